"""How many generated cases a test looks at: few with ``make test``, all with ``make test-all``."""

from __future__ import annotations

import os

ALL = "IDENTKIT_TEST_ALL"
"""Environment variable that asks for all, set by ``make test-all``."""


def amount(few: int, all_: int) -> int:
    """``few``, or ``all_`` where the long run is asked for."""
    return all_ if ALL in os.environ else few
