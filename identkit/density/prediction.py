"""What a density says of new inputs: E[y|x], quantiles of the mixture, probabilities of classes.

The quantile of order p solves Σ_c w_c(x)·Φ((y − h_c(x))/√ν_c) = p. The left side rises in y, and
the root lies between the least and the greatest quantile of order p of the atoms that weigh
something: there bisection halves the bracket until it is two neighbouring numbers. Parameters are
taken as known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.errors import InputError
from identkit.fit.prediction import LEVEL, check_level
from identkit.likelihoods.categorical import probabilities
from identkit.mixing import real_array

Array = NDArray[np.float64]
Ranges = Sequence[tuple[float, float]]
LEAST_WEIGHT = 1e-15
"""Of an atom that counts for the bracket: less changes no sum near 1."""
HALVINGS = 200
"""More than a bracket of two float64 numbers needs."""


@dataclass(frozen=True, eq=False)
class DensityPrediction:
    """The density at n inputs; of one measure with m shared and k routed atoms, shared ones first.

    ``weights`` (m + k, n) add up to 1. Of a number y ``mean`` and ``deviation`` (n,) are E[y|x] and
    √Var[y|x], ``means`` (m + k, n) those of the atoms, ``interval`` (n, 2) the quantiles
    (1 ± level)/2; of classes all four are None, ``probabilities`` (S, n). ``outside`` (n, d) marks
    inputs beyond the range of the data fitted, and is None where that is not known.
    """

    weights: Array
    means: Array | None
    mean: Array | None
    deviation: Array | None
    interval: Array | None
    probabilities: Array | None
    level: float
    outside: NDArray[np.bool_] | None


def predict_density(
    model: DensityModel,
    measure: DensityMeasure,
    x: ArrayLike,
    *,
    level: float = LEVEL,
    interval: bool = False,
    ranges: Ranges = (),
) -> DensityPrediction:
    """What the density says at x (n, d); the ``interval`` of the ``level`` if it is asked for.

    Raises InputError for several measures, x of another shape or not finite, a level that is none,
    and an interval of classes.
    """
    check_level(level)
    points = checked_inputs(model, measure, x)
    weights = model.weights(measure, points)
    limits = np.array(ranges).reshape(-1, 2)
    outside = (points < limits[:, 0]) | (points > limits[:, 1]) if len(limits) else None
    if not model.density.spread:
        if interval:
            raise InputError("interval: y is a class and has none; leave it out.")
        shares = probabilities(model.outputs(measure, points))
        found = (weights[:, None] * shares).sum(axis=0)
        return DensityPrediction(weights, None, None, None, None, found, level, outside)
    means = model.means(measure, points)
    mean = (weights * means).sum(axis=0)
    nu = _variances(measure)[:, None]
    deviation = np.sqrt((weights * (nu + (means - mean) ** 2)).sum(axis=0))
    ends = None
    if interval:
        orders = (0.5 - level / 2.0, 0.5 + level / 2.0)
        ends = np.stack([_root(weights, means, np.sqrt(nu), p) for p in orders], axis=1)
    return DensityPrediction(weights, means, mean, deviation, ends, None, level, outside)


def quantile(model: DensityModel, measure: DensityMeasure, x: ArrayLike, order: float) -> Array:
    """The quantile of y given x (n, d) of an ``order`` between 0 and 1, shape (n,).

    >>> import identkit
    >>> model = DensityModel.of("linear", "softmax")
    >>> one = DensityMeasure(identkit.MixingMeasure([0.0], [[0.0]], [[2.0, 1.0]]), [0.25])
    >>> quantile(model, one, [[3.0]], 0.5)
    array([7.])

    Raises InputError for another order, several measures, x of another shape, and classes.
    """
    if not 0.0 < order < 1.0:
        raise InputError(f"order: {order:g} must lie between 0 and 1, as 0.5 does.")
    points = checked_inputs(model, measure, x)
    weights, means = model.weights(measure, points), model.means(measure, points)
    return _root(weights, means, np.sqrt(_variances(measure))[:, None], order)


def checked_inputs(model: DensityModel, measure: DensityMeasure, x: ArrayLike) -> Array:
    """x (n, d) for one measure. Raises InputError."""
    if measure.batch:
        raise InputError("predict: there are several measures; choose one, as in measure[0].")
    points = real_array("x", x)
    if points.ndim != 2 or points.shape[1] != model.dim:
        raise InputError(f"x: has shape {points.shape}, must be (n, {model.dim}).")
    if not np.isfinite(points).all():
        row = int(np.argwhere(~np.isfinite(points))[0][0])
        raise InputError(f"x: row {row} holds a value that is not finite; fill it in or remove it.")
    return points


def _variances(measure: DensityMeasure) -> Array:
    every = measure.all_variances
    assert every is not None
    return every


def _root(weights: Array, means: Array, deviations: Array, order: float) -> Array:
    """The quantiles (n,) of mixtures of normals: weights, means (C, n), deviations (C, 1)."""
    from scipy import special

    own = means + deviations * special.ndtri(order)
    counts = weights > LEAST_WEIGHT
    low = np.where(counts, own, np.inf).min(axis=0)
    high = np.where(counts, own, -np.inf).max(axis=0)
    for _ in range(HALVINGS):
        middle = low + 0.5 * (high - low)
        below = (weights * special.ndtr((middle - means) / deviations)).sum(axis=0) < order
        if ((middle <= low) | (middle >= high)).all():
            break
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low + 0.5 * (high - low)
