"""The fits of a block of replicates: the unit of work of a sweep, on whatever machine.

A block is a function of the setting and of (start, n, replicates) alone. On one kind of CPU each
fit is bitwise the same in any block, so that interrupted, repeated and distributed runs agree.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import sympy

from identkit import __version__
from identkit.fit.engine import Compute, least_squares
from identkit.fit.result import FitResult, Status
from identkit.mixing import MixingMeasure
from identkit.rates.density_fits import DENSITY_SAMPLES, perform_density
from identkit.rates.density_setting import DensitySetting
from identkit.rates.quantities import DEVIANCE, errors
from identkit.rates.rows import Block, Row
from identkit.rates.setting import CONTROL, AnySetting, Experiment, Setting, setting_from
from identkit.simulation import Simulation, simulate

SMOOTH_SAMPLES, KINKED_SAMPLES = 2_000_000, 250_000
"""Samples in a block: seconds of work. Without compression to nodes (kinks, d ≥ 2) a sample costs
about ten times as much."""
FEWEST, MOST = 4, 80
"""Replicates in a block; batches of a few dozen fits of small data take half the time per fit."""


def blocks(
    experiment: Experiment, done: Callable[[str, int], set[int]] = lambda start, n: set()
) -> Iterator[Block]:
    """The blocks of an experiment that are not done, smaller n first.

    ``done(start, n)`` are the replicates with rows at every budget. Blocks are cut at fixed places
    whatever is done, so that a resumed run computes the batches an uninterrupted one does.
    """
    setting = experiment.setting
    if isinstance(setting, DensitySetting):
        samples = DENSITY_SAMPLES
    else:
        samples = SMOOTH_SAMPLES if setting.model.compressible else KINKED_SAMPLES
    for n in experiment.sizes:
        size = min(MOST, max(FEWEST, samples // n))
        for start, replicates in experiment.runs:
            finished = done(start, n)
            for first in range(0, replicates, size):
                wanted = range(first, min(first + size, replicates))
                missing = tuple(r for r in wanted if r not in finished)
                if missing:
                    yield Block(setting.key, start, n, missing)


def perform(
    setting: AnySetting,
    block: Block,
    compute: Compute | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Row]:
    """Fit a block: a row for each replicate and budget, in that order. Empty if stopped."""
    if isinstance(setting, DensitySetting):
        return perform_density(setting, block, compute, stop)
    began = time.perf_counter()
    data = simulate(
        setting.model, setting.truth, block.n, max(block.replicates) + 1,
        noise=setting.noise, seed=setting.seed, domain=setting.domain,
    )  # fmt: skip
    x, y = data.batch(block.replicates)
    start: Any = starts(setting, data, block.start, block.replicates)
    results: list[FitResult] = []
    spent = 0
    for budget in setting.budgets:
        if not results:
            fresh = least_squares(
                setting.fitted, x, y, start, box=setting.box, max_steps=budget, flat=setting.flat,
                compute=compute, stop=stop,
            )  # fmt: skip
        else:
            fresh = _continued(setting, results[-1], x, y, budget - spent, compute, stop)
        if stop is not None and stop():
            return []
        results.append(fresh)
        spent = budget
    reached = results[0].objective.cost(setting.model.predict(setting.truth, x) - y, None)
    share = (time.perf_counter() - began) / len(block.replicates) / len(setting.budgets)
    rows = []
    numbers: dict[str, Any] = {}
    last = None
    for budget, result in zip(setting.budgets, results, strict=True):
        if result is not last:  # the same where every fit had ended within the last budget
            numbers = errors(setting, result.measure)
            numbers[DEVIANCE] = 2 * (np.asarray(result.cost) - reached) / setting.noise**2
        last = result
        vectors = result.measure.to_vector()
        for i, r in enumerate(block.replicates):
            rows.append(
                Row(
                    block.setting, block.start, block.n, r, budget, result.status[i].value,
                    float(result.cost[i]), float(result.gradient_norm[i]), int(result.steps[i]),
                    tuple(vectors[i].tolist()),
                    {name: float(values[i]) for name, values in numbers.items()},
                    share,
                )
            )  # fmt: skip
    return sorted(rows, key=lambda row: (row.replicate, row.budget))


def starts(
    setting: Setting, data: Simulation, kind: str, replicates: Sequence[int]
) -> MixingMeasure | list[MixingMeasure]:
    """The starting measures of some replicates; several for a control."""
    common: dict[str, Any] = {"kind": kind, "indices": replicates}
    if kind == CONTROL:
        low, high = setting.box.bounds(setting.fitted, setting.k)
        # near the truth in size, blind to where it is
        reach = np.maximum(1.5 * _sizes(setting), 1)
        box = (np.maximum(low, -reach), np.minimum(high, reach))
        common["over"] = setting.over
        return [data.starts(setting.k, start=s, box=box, **common) for s in range(setting.trials)]
    return data.starts(
        setting.k, scale=setting.scale, over=setting.over, spread=setting.spread, **common
    )


def _sizes(setting: Setting) -> Any:
    """The largest |·| of the truth's atoms, groups and shared numbers, for the vector of a fit."""
    truth, layout = np.abs(setting.truth.to_vector()), setting.truth.layout
    cut = setting.truth.atoms * layout.width
    rest = cut + len(layout.groups) * layout.group_width
    own = truth[:cut].reshape(-1, layout.width).max(axis=0)
    parts = [np.tile(own, setting.k)]
    if layout.groups:
        group = truth[cut:rest].reshape(len(layout.groups), -1).max(axis=0)
        parts.append(np.tile(group, len(layout.groups)))
    return np.concatenate([*parts, truth[rest:]])


def _continued(
    setting: Setting,
    before: FitResult,
    x: Any,
    y: Any,
    steps: int,
    compute: Compute | None,
    stop: Callable[[], bool] | None,
) -> FitResult:
    """Fits that ran into the step limit go on; the others stay as they are."""
    on = [i for i, status in enumerate(before.status) if status is Status.STEP_LIMIT]
    if not on:
        return before
    more = least_squares(
        setting.fitted, x[on], y[on], before.measure[on], box=setting.box, max_steps=steps,
        flat=setting.flat, compute=compute, stop=stop, first_order=0,
    )  # fmt: skip
    vectors = before.measure.to_vector().copy()
    vectors[on] = more.measure.to_vector()
    status, cost = list(before.status), np.array(before.cost)
    gradient, steps_taken = np.array(before.gradient_norm), np.array(before.steps)
    for place, i in enumerate(on):
        status[i] = more.status[place]
        cost[i], gradient[i] = more.cost[place], more.gradient_norm[place]
        steps_taken[i] += more.steps[place]
    return replace(
        before, measure=setting.fitted.unpack(vectors), status=tuple(status), cost=cost,
        gradient_norm=gradient, steps=steps_taken,
    )  # fmt: skip


@lru_cache(maxsize=64)
def setting_of(document: str) -> AnySetting:
    """The setting of a document as JSON; kept, since compiling a model's expressions takes seconds.

    Raises InputError for a document that is none.
    """
    return setting_from(json.loads(document))


def environment(compute: Compute | None = None) -> dict[str, str]:
    """Versions and machine that a row was computed with; the device is the one asked for."""
    import numba
    import scipy
    import torch

    chosen = compute or Compute()
    device = chosen.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {
        "identkit": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "sympy": sympy.__version__,
        "torch": torch.__version__,
        "numba": numba.__version__,
        "device": device,
        "processor": name,
        "system": platform.system(),
    }


def _processor() -> str:
    """The CPU's name where the system tells it, else its architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return f"{names[0]} ({len(names)} cores)" if names else platform.machine()
