"""What ``rates`` and ``sweep`` share: the run of experiments, and reading a store."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from identkit.cli.progress import interruptible, work_bar

if TYPE_CHECKING:
    from identkit.rates.result import RateResult
    from identkit.rates.setting import Experiment


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
