"""What ``rates`` and ``sweep`` share: where fits are computed, progress, reading a store."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from identkit.cli_progress import check_device, interruptible
from identkit.streams import console

if TYPE_CHECKING:
    from identkit.rates.result import RateResult
    from identkit.rates.setting import Experiment

STORE = "identkit-runs.sqlite"
"""Where fits are kept unless --store says otherwise."""
PLAIN_SECONDS = 30.0
"""Between lines of progress where standard error is no terminal."""


def add_run_options(group: argparse._ArgumentGroup) -> None:
    """Where the fits are computed."""
    group.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda")
    group.add_argument("--workers", type=int, metavar="N", help="processes (one per core)")
    group.add_argument(
        "--scheduler",
        default="processes",
        metavar="NAME",
        help="processes, inline, local (Dask on this machine) or tcp://… (a Dask scheduler)",
    )


def check_run(options: argparse.Namespace) -> None:
    """Refuse options that cannot work before anything is computed or written."""
    from identkit.rates.scheduling import check_scheduler

    check_device(options.device)
    check_scheduler(options.scheduler, options.workers)


def perform(options: argparse.Namespace, experiments: list[Experiment], store: Any) -> int:
    """Run what is missing, with progress; 0, 1 where a block failed, 130 where interrupted."""
    from identkit.fit.engine import Compute
    from identkit.rates.scheduling import scheduler
    from identkit.rates.sweep import run

    compute = Compute(device=options.device)
    with (
        interruptible() as stopped,
        scheduler(options.scheduler, options.workers) as chosen,
        work_bar() as show,
    ):
        outcome = run(experiments, store, chosen, compute=compute, progress=show, stop=stopped)
    for failure in outcome.failed:
        print(f"identkit: {failure}", file=sys.stderr)
    return outcome.exit_code


def print_interrupted(store: Any, path: object) -> None:
    """How much is kept, and how to go on."""
    lines = store.summary()
    rows, planned = sum(x.rows for x in lines), sum(x.planned for x in lines)
    print(f"{rows:,} of {planned:,} fits are in {path}; the same command goes on.")


def observed(experiment: Experiment, store: Any) -> RateResult:
    """What the rows in a store say of an experiment."""
    from identkit.rates.result import observe

    key = experiment.setting.key
    return observe(experiment, store.rows(key), store.environments(key))


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
