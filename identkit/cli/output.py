"""What commands write to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from identkit import streams

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(renderable: RenderableType) -> None:
    """Print for a terminal, as plain text of 80 columns where there is none."""
    if not sys.stdout.isatty():
        from identkit.report.terminal import plain

        sys.stdout.write(plain(renderable))
        return
    streams.console().print(renderable)
