"""Fits of many problems; torch is imported when there is one to fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.fit.problem import Compute, Data, free_numbers, start_vectors
from identkit.fit.result import Box, FitResult
from identkit.mixing import MixingMeasure

if TYPE_CHECKING:
    from identkit.simulation import Simulation

BATCH_BYTES = 2**28
"""Data of replicates fitted together when they are generated on the way."""


def least_squares(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    start: MixingMeasure | Sequence[MixingMeasure],
    *,
    weight: ArrayLike | None = None,
    box: Box | None = None,
    max_steps: int = 500,
    tolerance: float = 1e-16,
    first_order: int = 8,
    accelerate: bool = True,
    flat: float = 1e-8,
    ridge: float = 0.0,
    compute: Compute | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Minimise ½Σ_i w_i (f_G(x_i) − y_i)² over mixing measures G in a box.

    ``x`` has shape (n, d) and ``y`` (n,) for one problem; (R, n, d) or (n, d), and (R, n), for R
    problems. ``start`` is a mixing measure, or several to start from; each has one measure for all
    problems or R of them. The best of its starts is returned for each problem. Under a gate with a
    gauge the start is shifted so that the last atom's gate is 0, where it is held (the box speaks
    of these coordinates). ``weight``, like y in shape, is ≥ 0. ``ridge`` ρ adds ½ρ‖θ‖² to the cost,
    over the numbers that are not held to fix a gauge. Where the likelihood of the model's
    gate has another objective (:mod:`identkit.fit.objective`), its cost takes the place of the sum.

    >>> import numpy as np, identkit
    >>> from identkit.fit import least_squares, Model
    >>> model = Model.of("tanh", "sigmoid")
    >>> truth = identkit.MixingMeasure([0.0], [[0.0]], [[1.0, 0.5]])
    >>> data = identkit.simulate(model, truth, 200, noise=0.01)
    >>> least_squares(model, *data.data(0), start=truth).status
    <Status.CONVERGED: 'converged'>

    Raises :class:`~identkit.errors.InputError`, before any work, for a likelihood without an
    objective and for data that do not fit the model or each other, are not finite, are constant or
    fewer than the parameters. Of several problems those with such y are left out with status ``bad
    data``, unless all are.
    """
    from identkit.fit.job import Job, Options, check_options

    began = time.perf_counter()
    model.gate.needs_weights("fit")
    data = Data.checked(model, x, y, weight)
    starts, atoms = start_vectors(model, start, data.problems)
    box = Box() if box is None else box
    options = Options(max_steps, tolerance, first_order, accelerate, flat, ridge)
    check_options(options)
    low, high = box.bounds(model, atoms)
    if data.samples < free_numbers(model, atoms, low, high) and not ridge:
        raise InputError(
            f"data: {data.samples} samples are fewer than the {starts.shape[2]} parameters of "
            f"{atoms} atoms; give more data or fit fewer atoms."
        )
    job = Job(model, data, starts, atoms, low, high, options, compute or Compute())
    return job.run(box, began, progress, stop)


def replicates(
    simulation: Simulation,
    start: Callable[[NDArray[np.int64]], MixingMeasure | Sequence[MixingMeasure]],
    *,
    batch_bytes: int = BATCH_BYTES,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> FitResult:
    """Fit every replicate of a simulation; data are generated a batch at a time.

    ``start(indices)`` gives the starting measures of those replicates, for example
    ``lambda r: simulation.starts(3, indices=r)``. Other options as in :func:`least_squares`.
    """
    parts, done = [], 0
    for indices, x, y in simulation.batches(max_bytes=batch_bytes):
        before = done

        def report(finished: int, total: int, before: int = before, size: int = len(y)) -> None:
            if progress is not None:
                progress(before + finished * size // max(1, total), simulation.replicates)

        parts.append(
            least_squares(simulation.model, x, y, start(indices), progress=report, **options)
        )
        done += len(y)
    return FitResult.joined(parts)
