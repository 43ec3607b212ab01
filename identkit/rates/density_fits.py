"""The fits of a block by maximum likelihood, the counterpart of least squares' in rates.fits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from identkit.density.engine import maximum_likelihood
from identkit.density.measure import DensityMeasure
from identkit.density.result import DensityFit, Status
from identkit.density.starts import random_starts
from identkit.fit.engine import Compute
from identkit.rates.density_quantities import density_errors
from identkit.rates.density_setting import AWAY, DensitySetting
from identkit.rates.quantities import DEVIANCE
from identkit.rates.rows import Block, Row

DENSITY_SAMPLES = 200_000
"""Samples in a block: seconds of work, and some tens of megabytes."""


def perform_density(
    setting: DensitySetting,
    block: Block,
    compute: Compute | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Row]:
    """Fit a block: a row for each replicate and budget. Empty if stopped.

    ``cost`` is −log-likelihood, the deviance 2·(log-likelihood of the truth − of the fit).
    """
    began = time.perf_counter()
    drawn = [setting.draw(block.n, r) for r in block.replicates]
    x, y = np.stack([x for x, _ in drawn]), np.stack([y for _, y in drawn])
    start = _starts(setting, block, x, y, compute)
    fits: list[DensityFit] = []
    spent = 0
    for budget in setting.budgets:
        if not fits:
            fits.append(_fitted(setting, x, y, start, budget, compute, stop))
        else:
            fits.append(_continued(setting, fits[-1], x, y, budget - spent, compute, stop))
        spent = budget
        if stop is not None and stop():
            return []
    model = setting.model
    reached = np.array([model.log_density(setting.truth, x[i], y[i]).sum() for i in range(len(y))])
    share = (time.perf_counter() - began) / len(block.replicates) / len(setting.budgets)
    rows, last = [], None
    numbers: dict[str, Any] = {}
    for budget, fit in zip(setting.budgets, fits, strict=True):
        if fit is not last:  # the same where every fit had ended within the last budget
            numbers = density_errors(setting, fit.measure)
            numbers[DEVIANCE] = 2 * (reached - fit.log_likelihood)
        last, vectors = fit, model.pack(fit.measure)
        for i, r in enumerate(block.replicates):
            rows.append(
                Row(
                    block.setting, block.start, block.n, r, budget, fit.status[i].value,
                    -float(fit.log_likelihood[i]), float(fit.gradient_norm[i]), int(fit.steps[i]),
                    tuple(vectors[i].tolist()),
                    {name: float(values[i]) for name, values in numbers.items()},
                    share,
                )
            )  # fmt: skip
    return sorted(rows, key=lambda row: (row.replicate, row.budget))


def _starts(
    setting: DensitySetting, block: Block, x: Any, y: Any, compute: Compute | None
) -> DensityMeasure | list[DensityMeasure]:
    """One near the truth for each replicate, or several that know the data alone."""
    if block.start != AWAY:
        return setting.near(list(block.replicates))
    each = [
        random_starts(
            setting.model, x[i], y[i], setting.atoms, setting.trials, setting.seed + r,
            box=setting.box, compute=compute,
        )
        for i, r in enumerate(block.replicates)
    ]  # fmt: skip
    return [DensityMeasure.stack([own[s] for own in each]) for s in range(setting.trials)]


def _fitted(
    setting: DensitySetting,
    x: Any,
    y: Any,
    start: Any,
    steps: int,
    compute: Compute | None,
    stop: Callable[[], bool] | None,
) -> DensityFit:
    return maximum_likelihood(
        setting.model, x, y, start,
        box=setting.box, max_steps=steps, flat=0.0, compute=compute, stop=stop,
    )  # fmt: skip


def _continued(
    setting: DensitySetting,
    before: DensityFit,
    x: Any,
    y: Any,
    steps: int,
    compute: Compute | None,
    stop: Callable[[], bool] | None,
) -> DensityFit:
    """Fits that ran into the step limit go on; the others stay as they are."""
    on = [i for i, status in enumerate(before.status) if status is Status.STEP_LIMIT]
    if not on:
        return before
    more = maximum_likelihood(
        setting.model, x[on], y[on], before.measure[on], box=setting.box, max_steps=steps,
        em_steps=0, flat=0.0, compute=compute, stop=stop,
    )  # fmt: skip
    vectors = setting.model.pack(before.measure).copy()
    vectors[on] = setting.model.pack(more.measure)
    status = list(before.status)
    numbers = {
        name: np.array(getattr(before, name))
        for name in ("log_likelihood", "gradient_norm", "steps")
    }
    for place, i in enumerate(on):
        status[i] = more.status[place]
        for name in ("log_likelihood", "gradient_norm"):
            numbers[name][i] = getattr(more, name)[place]
        numbers["steps"][i] += more.steps[place]
    return replace(
        before,
        measure=setting.model.unpack(vectors, setting.atoms),
        status=tuple(status),
        **numbers,
    )
