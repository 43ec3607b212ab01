"""Standard output and error of a command: the one place where its text reaches a terminal.

Names come from files and users; a control character in one could rewrite what a terminal shows, so
all are written escaped. What cannot be written is an :class:`OutputError`, never a traceback.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from identkit.errors import OutputError, shown

EXIT_OUTPUT = 74
"""EX_IOERR: the command's answer could not be written."""


class _Stream:
    """A text stream whose control characters are escaped; ``failed`` is told of an error."""

    def __init__(self, stream: Any, failed: Callable[[Exception], None]) -> None:
        self.stream, self.failed = stream, failed

    def write(self, text: str) -> int:
        self._attempt(self.stream.write, shown(text, keep="\n\t"))
        return len(text)

    def flush(self) -> None:
        self._attempt(self.stream.flush)

    def _attempt(self, action: Callable[..., object], *arguments: str) -> None:
        try:
            action(*arguments)
        except (OSError, ValueError) as error:
            self.failed(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def run(command: Callable[[], int]) -> int:
    """The exit code of a command between streams that escape; 74 where its answer gets lost.

    A standard error that fails is done without.
    """
    out, err = sys.stdout, sys.stderr
    _occupy()
    for stream in (out, err):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # ∂ in any locale
    sys.stderr = _Stream(io.StringIO() if err is None else err, lambda error: _give_up(err))
    try:
        if out is None:
            raise OutputError(
                "standard output: it is closed; open it, or send it to a file or to /dev/null."
            )
        sys.stdout = _Stream(out, _lost)
        try:
            return command()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _give_up(out)  # the reader closed the pipe (| head): not an error
        return 0
    except OutputError as error:
        _give_up(out)
        print(f"identkit: {error}", file=sys.stderr)
        return EXIT_OUTPUT
    finally:
        sys.stderr.flush()
        sys.stdout, sys.stderr = out, err


def _lost(error: Exception) -> None:
    if isinstance(error, BrokenPipeError):
        raise error
    reason = getattr(error, "strerror", None) or "it is closed"
    raise OutputError(
        f"standard output: cannot be written ({reason}); send it to a file or a pipe that takes it."
    ) from None


def _occupy() -> None:
    """Fill closed descriptors 0 to 2: a store opened next would get one, and stray text with it."""
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)


def _give_up(stream: Any) -> None:
    """Send what is left of a stream nowhere: Python would try again when it exits, and complain."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
