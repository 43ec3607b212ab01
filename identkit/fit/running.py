"""From a table of data to a report: starts, the best of their fits, what is said about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from identkit.fit import inference
from identkit.fit.engine import least_squares
from identkit.fit.model import Model
from identkit.fit.problem import Compute
from identkit.fit.result import Box, FitResult
from identkit.fit.starts import TRIAL_STEPS, random_starts
from identkit.fit.summary import FitReport
from identkit.tables import Table

CHECK_SECONDS = 20.0
"""Time limit of the check that goes with a fit."""


class Steps(Protocol):
    """What is told of the parts of a run, and of their steps."""

    def begin(self, label: str, steps: int | None = None) -> None:
        """The next part of the run, of at most ``steps`` steps."""

    def update(self, done: int, total: int) -> None:
        """After every step: ``done`` of ``total`` runs are at their end."""


class Silent:
    """Nobody is told."""

    def begin(self, label: str, steps: int | None = None) -> None: ...

    def update(self, done: int, total: int) -> None: ...


def best_fit(
    model: Model,
    table: Table,
    k: int,
    *,
    starts: int = 5,
    seed: int = 0,
    box: Box | None = None,
    max_steps: int = 500,
    compute: Compute | None = None,
    steps: Steps | None = None,
    stop: Callable[[], bool] | None = None,
) -> FitResult:
    """The best of the fits of k atoms from random starts. Raises InputError, as these two do."""
    steps = Silent() if steps is None else steps
    x, y = table.x, table.y
    steps.begin("choosing starts", TRIAL_STEPS)
    measures = random_starts(
        model, x, y, k, starts, seed, box=box, compute=compute, progress=steps.update, stop=stop
    )
    steps.begin("fitting", max_steps)
    return least_squares(
        model, x, y, measures,
        box=box, max_steps=max_steps, compute=compute, progress=steps.update, stop=stop,
    )  # fmt: skip


def reported(
    result: FitResult,
    table: Table,
    *,
    file: str,
    seed: int,
    began: float,
    interrupted: bool = False,
    check: bool = True,
    steps: Steps | None = None,
) -> FitReport:
    """A fit with standard errors, shared gates and, unless it was cut short, what is proved.

    ``began`` is the :func:`time.perf_counter` of the run's begin. Ctrl-C ends the check, not the
    report.
    """
    x, y = table.x, table.y
    known = result.status.finished and result.objective.errors is not None
    matrix = inference.covariance(result, x, y) if known else None
    shared = inference.shared_gates(result, x, matrix)
    proved = None
    if check and not interrupted:
        if steps is not None:
            steps.begin("checking identifiability")
        try:
            proved = inference.identifiability(result.model, shared, x, time_limit=CHECK_SECONDS)
        except KeyboardInterrupt:
            interrupted = True
    with np.errstate(all="ignore"):
        spreads, means = x.std(axis=0), x.mean(axis=0)
        variance, square = float(y.var()), float(np.mean(y**2))
    return FitReport(
        result=result,
        file=file,
        target=table.target_name,
        inputs=table.input_names,
        means=tuple(map(float, means)),
        spreads=tuple(map(float, spreads)),
        variance=variance,
        mean_square=square,
        seed=seed,
        seconds=time.perf_counter() - began,
        interrupted=interrupted,
        covariance=matrix,
        shared=shared,
        identifiability=proved,
        table=table,
    )
