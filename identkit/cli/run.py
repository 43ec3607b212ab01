"""What ``rates`` and ``sweep`` share: the run of experiments with progress."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from identkit.cli.progress import interruptible, work_bar

if TYPE_CHECKING:
    from identkit.rates.setting import Experiment
    from identkit.rates.store import Store


def perform(options: argparse.Namespace, experiments: list[Experiment], store: Store) -> int:
    """Run what is missing, with progress; 0, 1 where a block failed, 130 where interrupted."""
    from identkit.rates import running

    with interruptible() as stopped, work_bar() as show:
        outcome = running.perform(
            experiments, store,
            scheduler=options.scheduler, workers=options.workers, device=options.device,
            progress=show, stop=stopped,
        )  # fmt: skip
    for failure in outcome.failed:
        print(f"identkit: {failure}", file=sys.stderr)
    return outcome.exit_code


def print_interrupted(store: Store, path: object) -> None:
    """How much is kept, and how to go on."""
    lines = store.summary()
    rows, planned = sum(x.rows for x in lines), sum(x.planned for x in lines)
    print(f"{rows:,} of {planned:,} fits are in {path}; the same command goes on.")
