"""Maximum likelihood for many problems at once: EM steps, then Newton with the exact Hessian.

The steps are those of the trust-region solver of least squares (:mod:`identkit.fit.solver`), which
never takes one that raises −log p. The first ``em_steps`` use the matrix that EM leaves of the
Hessian: of an expert that is linear in its parameters they are EM's weighted least squares. EM
alone needs thousands of steps where atoms share a true atom (benchmarks/README.md); Newton's steps
do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit import __version__
from identkit.density.box import CEILING, FLOOR, DensityBox
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.density.result import DensityFit, Settings, Status
from identkit.errors import InputError, whole
from identkit.fit.problem import LARGEST, Compute, Data, start_vectors
from identkit.mixing import real_array

if TYPE_CHECKING:
    from identkit.fit.solver import Solution

Array = NDArray[np.float64]
LIGHT = 1e-3
"""An atom is light when it has less than this part of the rows, by posterior probability."""
AT_FLOOR = 1e-6
"""Of log ν above its lower bound: there the variance is at its floor."""
LIGHT_SAMPLE = 4096
SAME = 1e-12
"""Likelihoods that differ by this part of the cost tie."""


def maximum_likelihood(
    model: DensityModel,
    x: ArrayLike,
    y: ArrayLike,
    start: DensityMeasure | Sequence[DensityMeasure],
    *,
    weight: ArrayLike | None = None,
    box: DensityBox | None = None,
    max_steps: int = 500,
    em_steps: int = 20,
    newton: bool = True,
    tolerance: float = 1e-16,
    flat: float = 1e-12,
    few: bool = False,
    compute: Compute | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> DensityFit:
    """Maximise Σ_j w_j log p_G(y_j | x_j) over mixing measures G in a box.

    ``x`` has shape (n, d) and ``y`` (n,) for one problem; (R, n, d) or (n, d), and (R, n), for R
    problems; classes of a categorical likelihood are 0, 1, …. ``start`` is a measure, or several to
    start from; each has one for all problems or R of them. ``weight``, like y in shape, counts
    rows. With ``newton`` False all steps are EM's. ``few`` fits fewer rows than parameters too,
    where the likelihood need not have a maximum. Gauges are fixed by holding the last gate at 0.

    >>> import numpy as np, identkit
    >>> from identkit.density import DensityMeasure, DensityModel, maximum_likelihood
    >>> model = DensityModel.of("linear", "softmax")
    >>> routed = identkit.MixingMeasure([0.5, 0.0], [[1.0], [0.0]], [[2.0, 1.0], [-1.0, 0.0]])
    >>> truth = DensityMeasure(routed, [0.1, 0.2])
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-2.0, 2.0, (300, 1))
    >>> maximum_likelihood(model, x, model.sample(truth, x, rng), truth).status
    <Status.CONVERGED: 'converged'>

    Raises :class:`~identkit.errors.InputError`, before any work, for data that do not fit the model
    or each other, are not finite, constant, of other classes, or fewer than the parameters. Of
    several problems those with such y are left out with status ``bad data``, unless all are.
    """
    from identkit.density.job import computing, meaning, solved

    began = time.perf_counter()
    box = DensityBox() if box is None else box
    compute = compute or Compute()
    whole("max_steps", max_steps, least=1)
    whole("em_steps", em_steps, least=0)
    if not 0 < tolerance < 1 or not 0 <= flat < 1:
        raise InputError("tolerance, flat: give numbers between 0 and 1.")
    data = checked(model, x, y, weight)
    starts, atoms = start_vectors(model, start, data.problems)
    spread = spreads(data)
    low, high = box.bounds(model, atoms, spread)
    fixed = model.pinned(atoms)
    free = int((~fixed & (low < high).any(axis=0)).sum())
    counted = data.samples
    if data.weight is not None:
        counted = int((data.weight[data.good] > 0).sum(axis=1).min())
        total = float(data.weight[data.good].sum(axis=1).min())
        if total < free <= counted and not few:
            raise InputError(
                f"weights: they say how often a row counts, and add up to {total:g}, less than the "
                f"{free} parameters of {sum(atoms)} "
                f"{'atoms' if sum(atoms) > 1 else 'atom'}; give counts, or multiply all weights."
            )
    if counted < free and not few:
        raise InputError(
            f"data: {counted} samples are fewer than the {free} parameters of {sum(atoms)} "
            "atoms; give more data or fit fewer atoms."
        )
    good = np.flatnonzero(data.good)
    several = starts.shape[1]
    which = np.repeat(good, several)
    theta = model.held(starts[good].reshape(len(which), -1), atoms)
    kernel, device, threads = computing(compute)
    end = solved(
        model, atoms, data, theta, which, (low[which], high[which], fixed), kernel, device, threads,
        {
            "max_steps": max_steps, "tolerance": tolerance, "flat": flat,
            "first_order": em_steps if newton else max_steps + 1,
        },
        newton, progress, stop,
    )  # fmt: skip
    settings = Settings(
        __version__, max_steps, em_steps, newton, tolerance, flat,
        *((FLOOR, CEILING, True) if box.variance is None else (*_ends(box), False)),
        device.type, kernel, threads if kernel == "native" else 0, _libraries(kernel),
    )  # fmt: skip
    return _result(
        model, atoms, data, end, starts, (low, high, fixed), settings, began,
        meaning(stop is not None and stop()),
    )  # fmt: skip


def checked(model: DensityModel, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None) -> Data:
    """The data, with classes checked where y is one. Raises InputError."""
    data = Data.checked(model.routed, x, y, weight)
    if model.density.spread:
        return data
    classes = model.routed.outputs + 1
    with np.errstate(invalid="ignore"):
        wrong = (data.y != np.floor(data.y)) | (data.y < 0) | (data.y >= classes)
    bad = wrong.any(axis=1) & data.good
    if bad.any():
        value = data.y[bad][0][wrong[bad][0]][0]
        if not (data.good & ~bad).any():
            raise InputError(
                f"y: {value:g} is no class of the model; give whole numbers from 0 to "
                f"{classes - 1}, {model.routed.outputs} logits are of {classes} classes."
            )
        return replace(data, good=data.good & ~bad)
    return data


def spreads(data: Data) -> Array:
    """The variance of y of each problem (R,), 1 where the data are bad."""
    with np.errstate(all="ignore"):
        w = np.ones_like(data.y) if data.weight is None else data.weight
        total = w.sum(axis=1, keepdims=True)
        mean = (w * data.y).sum(axis=1, keepdims=True) / total
        found = (w * (data.y - mean) ** 2).sum(axis=1) / total[:, 0]
    return np.where(data.good & np.isfinite(found) & (found > 0), found, 1.0)


def _result(
    model: DensityModel,
    atoms: tuple[int, int],
    data: Data,
    end: Solution,
    starts: Array,
    bounds: tuple[Array, Array, NDArray[np.bool_]],
    settings: Settings,
    began: float,
    meaning: dict[int, Status],
) -> DensityFit:
    problems, several = starts.shape[:2]
    good = np.flatnonzero(data.good)
    low, high, fixed = bounds

    def grid(values: Any) -> Any:
        array = values.numpy()
        return array.reshape(len(good), several, *array.shape[1:])

    theta, cost, state = grid(end.theta), grid(end.cost), grid(end.state)
    statuses = np.full((problems, several), Status.BAD_DATA, dtype=object)
    part = model.parts(atoms)[2]
    for i, r in enumerate(good):
        for s in range(several):
            found = meaning[int(state[i, s])]
            nu = theta[i, s, part]
            free = low[r, part] < high[r, part]
            low_ones = free & (nu <= low[r, part] + AT_FLOOR)
            if found.finished and low_ones.any():
                exact = settings.relative or spike(
                    model, atoms, theta[i, s], data, int(r), low_ones
                )
                found = Status.SPIKE if exact else Status.AT_THE_BOX
            statuses[r, s] = found
    order = list(Status)
    best = np.zeros(problems, dtype=np.int64)
    cost = np.where(np.isfinite(cost), cost, np.inf)
    for i, r in enumerate(good):
        useless = np.array(
            [s in (Status.SPIKE, Status.DIVERGED, Status.BAD_DATA) for s in statuses[r]]
        )
        usable = np.where(useless, np.inf, cost[i])
        usable = cost[i] if np.isinf(usable).all() else usable
        least = usable.min()
        if np.isinf(least):
            continue
        tied = usable <= least + SAME * (abs(least) + data.samples)
        rank = np.array([order.index(s) for s in statuses[r]])
        best[r] = int(np.where(tied, rank, len(order)).argmin())
    vector = starts[:, 0].copy()
    at = np.arange(len(good))
    vector[good] = theta[at, best[good]]
    held = np.broadcast_to(fixed | (low >= high), vector.shape).copy()
    held[good] |= grid(end.held)[at, best[good]]

    def spread(values: Any, fill: Any) -> Any:
        out = np.full((problems, *values.shape[1:]), fill, dtype=values.dtype)
        out[good] = values
        return out

    measure = model.unpack(vector, atoms)
    status = statuses[np.arange(problems), best]
    for r in good:
        status[r] = _refined(
            model, measure[int(r)], data, int(r), status[r], held[r], low[r], high[r]
        )
        statuses[r, best[r]] = status[r]
    gradient = grid(end.gradient)[at, best[good]]
    result = DensityFit(
        model=model,
        measure=measure,
        status=tuple(status),
        log_likelihood=spread(-cost[at, best[good]], np.nan),
        gradient_norm=spread(np.linalg.norm(gradient, axis=1), np.nan),
        steps=spread(grid(end.steps)[at, best[good]], 0),
        start=best,
        log_likelihoods=spread(-cost, np.nan),
        statuses=tuple(tuple(row) for row in statuses),
        held=held,
        fixed=np.atleast_1d((low >= high).all(axis=0)),
        samples=data.samples,
        seconds=time.perf_counter() - began,
        settings=settings,
    )
    return result[0] if data.single else result


def spike(
    model: DensityModel,
    atoms: tuple[int, int],
    vector: Array,
    data: Data,
    r: int,
    low: NDArray[np.bool_],
) -> bool:
    """Whether an atom whose variance is at the floor fits its rows exactly.

    Then its variance would fall to the default floor too. A floor of the user's may well lie above
    the spread of many rows: there the likelihood is bounded, and its maximum is on the box.
    ``low`` marks the variances of the vector.
    """
    measure = model.unpack(vector, atoms)
    x = data.x[r if len(data.x) > 1 else 0]
    own = model.posterior(measure, x, data.y[r])
    if data.weight is not None:
        own = own * data.weight[r]
    squares = (own * (data.y[r] - model.means(measure, x)) ** 2).sum(axis=1)
    left = squares / np.maximum(own.sum(axis=1), np.finfo(float).tiny)
    at = low[model.spread_index(atoms) - model.parts(atoms)[2].start]
    return bool((at & (left <= FLOOR * spreads(data)[r])).any())


def _refined(
    model: DensityModel,
    measure: DensityMeasure,
    data: Data,
    r: int,
    status: Status,
    held: NDArray[np.bool_],
    low: Array,
    high: Array,
) -> Status:
    """A maximum with a light atom, or on the box, has its own status."""
    if status is not Status.CONVERGED:
        return status
    part = slice(0, None, max(1, data.samples // LIGHT_SAMPLE))
    x = data.x[r if len(data.x) > 1 else 0, part]
    weight = np.ones(len(x)) if data.weight is None else data.weight[r, part]
    if not weight.any():  # all that were taken count for nothing
        return status
    shares = np.average(model.posterior(measure, x, data.y[r, part]), axis=-1, weights=weight)
    if shares.min() < LIGHT * shares.max():
        return Status.LIGHT_ATOM
    own = held & ~model.pinned(measure.atoms) & (low < high)
    return Status.AT_THE_BOX if own.any() else status


def _ends(box: DensityBox) -> tuple[float, float]:
    pairs = np.asarray(real_array("nu", box.variance))
    return float(pairs[..., 0].min()), float(min(pairs[..., 1].max(), LARGEST))


def _libraries(kernel: str) -> tuple[tuple[str, str], ...]:
    names = ["numpy", "torch", "sympy", *(["numba"] if kernel == "native" else [])]
    return tuple((name, version(name)) for name in sorted(names))
