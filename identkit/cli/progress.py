"""What long commands share: libraries they need, a progress bar, Ctrl-C."""

from __future__ import annotations

import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from identkit.cli.output import console
from identkit.errors import InputError

QUIET_SECONDS = 2.0
"""Nothing is shown before: most runs are done by then."""
PLAIN_SECONDS = 30.0
"""Between lines of progress where standard error is no terminal."""
COMPILING = "compiling for this machine, once"
"""Instead of a label, while Numba compiles what it will keep on disk: some ten seconds."""


def require(command: str, *libraries: str, extra: str = "fit") -> None:
    """Say how to install what is not there: the proofs need none of these.

    Nothing is imported: torch alone takes a second, and the options are not looked at yet.
    """
    for name in libraries:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"identkit {command} needs {name}, which is not installed; "
                f"run pip install identkit[{extra}]."
            )


def check_device(name: str) -> None:
    """Raise InputError for a --device nobody knows; whether it is there is seen by the fit."""
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {name}: use auto, cpu or cuda.")


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C sets what the yielded function tells; a second one interrupts at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set  # signals arrive in the main thread only
        return

    def stop(number: int, frame: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("identkit: stopping after this step; Ctrl-C again to leave at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class Bar:
    """Progress on standard error, where somebody is watching and it takes a while."""

    def __init__(self, screen: Any) -> None:
        self.screen, self.task, self.since, self.shown = screen, None, time.monotonic(), False
        self.label = ""

    def begin(self, label: str, steps: int | None = None) -> None:
        """The next part of the run, of at most ``steps`` steps."""
        self.label = label
        if self.screen is not None:
            if self.task is not None:
                self.screen.remove_task(self.task)
            self.task = self.screen.add_task(label, total=steps, runs="")
            self._look()

    def update(self, done: int, total: int) -> None:
        """After every step: ``done`` of ``total`` runs are at their end."""
        if self.screen is not None:
            self.screen.update(self.task, advance=1, runs=f"{done} of {total} done, time left ≤")
            self._look()

    def compiling(self, begins: bool) -> None:
        """Numba begins to compile its loops, or ends: shown at once, since no step ends before."""
        if self.screen is not None and self.task is not None:
            self.screen.update(self.task, description=COMPILING if begins else self.label)
            if not self.shown:
                self.screen.start()
                self.shown = True

    def _look(self) -> None:
        if not self.shown and time.monotonic() - self.since > QUIET_SECONDS:
            self.screen.start()
            self.shown = True


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """A bar on standard error; silent where nobody is watching."""
    if not sys.stderr.isatty():
        yield Bar(None)
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    # the bar counts steps up to their limit: most fits end before
    screen = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[runs]}"),
        TimeRemainingColumn(),
        console=console(error=True),
        transient=True,
    )
    try:
        yield Bar(screen)
    finally:
        screen.stop()


@contextmanager
def telling_of_compilation(bar: Bar) -> Iterator[None]:
    """The bar is told when Numba compiles what it keeps on disk, not when that is loaded."""
    if bar.screen is None:
        yield
        return
    from numba.core import event

    class Told(event.Listener):
        depth = 0  # a loop compiles those it calls

        def on_start(self, event: Any) -> None:
            self._count(event, 1)

        def on_end(self, event: Any) -> None:
            self._count(event, -1)

        def _count(self, event: Any, change: int) -> None:
            if event.data["dispatcher"].stats.cache_path is not None:
                self.depth += change
                bar.compiling(self.depth > 0)

    with event.install_listener("numba:compile", Told()):
        yield


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """A status line on standard error, shown only where somebody is watching."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.text import Text

    with console(error=True).status("starting") as status:
        yield lambda text: status.update(Text(text))  # a name may look like rich's markup


@contextmanager
def work_bar() -> Iterator[Callable[[int, int, float, float, str], None]]:
    """Progress on standard error: what is called with (done, all, work done, all work, label).

    A bar with the time left in a terminal; elsewhere, in a log, a line every now and then.
    """
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn

    screen = Progress(
        TextColumn("{task.percentage:>3.0f}%"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.description}", markup=False),
        console=console(error=True),
        transient=True,
    )
    task = screen.add_task("starting", total=None, left="")
    began = time.monotonic()

    def show(done: int, total: int, work: float, whole: float, label: str) -> None:
        left = time_left(time.monotonic() - began, work, whole)
        counted = f"{done:,} of {total:,}" + (f", {label}" if label else "")
        screen.update(task, completed=work, total=whole or None, left=left, description=counted)

    with screen:
        yield show


class _Lines:
    """Progress for logs."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def __call__(self, done: int, total: int, work: float, whole: float, label: str) -> None:
        now = time.monotonic()
        if now - self.last > PLAIN_SECONDS:
            self.last = now
            left = time_left(now - self.began, work, whole)
            print(f"identkit: {done:,} of {total:,}, {left}; {label}", file=sys.stderr, flush=True)


def time_left(elapsed: float, work: float, whole: float) -> str:
    """In words, from the share of the work that is done.

    >>> time_left(30.0, 1.0, 4.0)
    '1:30 left'
    """
    if not work > 0:
        return "estimating"
    seconds = round(elapsed * max(0.0, whole - work) / work)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    clock = f"{minutes}:{seconds:02d}"
    return (f"{hours}:{minutes:02d}:{seconds:02d}" if hours else clock) + " left"
