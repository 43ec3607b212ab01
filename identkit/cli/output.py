"""What commands write to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(renderable: RenderableType) -> None:
    """Print for a terminal, as plain text of 80 columns where there is none."""
    if not sys.stdout.isatty():
        from identkit.report.terminal import plain

        sys.stdout.write(plain(renderable))
        return
    console().print(renderable)


def console(*, error: bool = False) -> Any:
    """A rich console on the terminal itself: styles pass, control characters of texts do not."""
    from identkit.report.terminal import Escaping

    stream = sys.stderr if error else sys.stdout
    return Escaping(file=getattr(stream, "stream", stream), highlight=False)
