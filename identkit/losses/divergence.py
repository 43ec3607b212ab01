"""Distances of two conditional densities, averaged over x: total variation and Hellinger.

    TV(x) = ½ ∫ |p − q| dy,  H²(x) = ½ ∫ (√p − √q)² dy,  H² ≤ TV ≤ √2·H

For Gaussian atoms, at each x, y is cut into pieces at the means of all components of both densities
and up to 12 of their standard deviations to either side. *Total variation*: with P, Q the
distribution functions, ½ Σ |Δ(P − Q)| over the pieces, cut besides where p − q changes sign; that
is exact up to sign changes that no piece shows. *Hellinger*: Gauss–Legendre rules on each piece.
Either is computed on the pieces and on their halves, and again until the two agree.
The ``error`` is the last difference plus a bound of what lies beyond the outermost pieces.

For classes both are sums. x is averaged by quadrature for one input, by Monte Carlo above, or over
a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.errors import InputError
from identkit.likelihoods.categorical import probabilities
from identkit.losses.norms import Rule
from identkit.losses.shifts import Labels
from identkit.mixing import Array, real_array

QUADRATURE_POINTS = 64
MONTE_CARLO_POINTS = 512
_MARKS = (-12.0, -5.0, -2.5, -1.0, 0.0, 1.0, 2.5, 5.0, 12.0)
"""Cuts beside each mean, in standard deviations."""
_NODES = 5
_TAIL = 4e-33
"""More than what one component has beyond 12 of its standard deviations: 2·Φ(−12) = 3.6e-33."""
_ROOT_STEPS = 30
_MOST_HALVINGS = 5
_CHUNK = 2**21
"""Numbers in one array over (measures, x, y, components)."""


Kind = Literal["variation", "hellinger", "squared"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """An average over x, ``value`` (…,), and how far it may be off.

    ``error`` (…,) is what the integrals over y, and over x where there is a rule for it, change
    when they are refined, with what lies beyond the pieces. ``standard_error`` (…,) is of x drawn
    at random, or of a given sample as one of its population; None for a rule. ``method`` says what
    was done.
    """

    value: Array
    error: Array
    standard_error: Array | None
    method: str


def total_variation(
    model: DensityModel,
    one: DensityMeasure,
    other: DensityMeasure,
    *,
    domain: tuple[float, float] = (-3.0, 3.0),
    x: ArrayLike | None = None,
    points: int | None = None,
    seed: int = 0,
    tolerance: float = 1e-8,
) -> Estimate:
    """E_x TV(p_one(·|x), p_other(·|x)), x uniform on domain^d or the rows of ``x`` (n, d).

    Measures are single or batches of R, one with each or R with R. ``points`` are those of the rule
    in x (by default 64, or 512 drawn with the ``seed`` for d ≥ 2), ``tolerance`` is what two
    resolutions in y may differ by before pieces are halved, five times at most.

    Raises :class:`~identkit.errors.InputError` for measures that do not fit the model or each
    other, an empty domain, too few points, and a likelihood that is neither Gaussian nor of
    classes.
    """
    return _averaged(model, one, other, "variation", domain, x, points, seed, tolerance)


def hellinger(
    model: DensityModel,
    one: DensityMeasure,
    other: DensityMeasure,
    *,
    squared: bool = False,
    domain: tuple[float, float] = (-3.0, 3.0),
    x: ArrayLike | None = None,
    points: int | None = None,
    seed: int = 0,
    tolerance: float = 1e-8,
) -> Estimate:
    """E_x H(p_one(·|x), p_other(·|x)), or E_x H² if ``squared``; as :func:`total_variation`."""
    kind: Kind = "squared" if squared else "hellinger"
    return _averaged(model, one, other, kind, domain, x, points, seed, tolerance)


def _averaged(
    model: DensityModel,
    one: DensityMeasure,
    other: DensityMeasure,
    kind: Kind,
    domain: tuple[float, float],
    x: ArrayLike | None,
    points: int | None,
    seed: int,
    tolerance: float,
) -> Estimate:
    batches = {m.batch for m in (one, other)} - {()}
    if len(batches) > 1:
        raise InputError(
            f"other: it has {other.batch} measures, the first {one.batch}; give as many, or one."
        )
    if not tolerance > 0:
        raise InputError(f"tolerance {tolerance}: must be above 0.")
    if x is not None:
        sample = real_array("x", x)
        if sample.ndim != 2 or sample.shape[1] != model.dim or len(sample) < 2:
            raise InputError(
                f"x: has shape {sample.shape}, must be (n, {model.dim}) with at least two rows."
            )
        nodes, weights = sample, np.full(len(sample), 1 / len(sample))
        coarse, method = None, f"average over {len(sample)} given inputs"
    else:
        count = QUADRATURE_POINTS if model.dim == 1 else MONTE_CARLO_POINTS
        rule = Rule.of(model.dim, domain, count if points is None else points, seed)
        nodes, weights, coarse, method = rule.points, rule.weights, rule.coarse, rule.method
    values, errors = _at(model, one, other, nodes, kind, tolerance)
    value, error = (values * weights).sum(axis=-1), (errors * weights).sum(axis=-1)
    if coarse is not None:
        rough, _ = _at(model, one, other, coarse[0], kind, tolerance)
        return Estimate(
            value, error + np.abs(value - (rough * coarse[1]).sum(axis=-1)), None, method
        )
    spread = values.std(axis=-1, ddof=1) / np.sqrt(len(nodes))
    return Estimate(value, error, spread, method)


def _at(
    model: DensityModel,
    one: DensityMeasure,
    other: DensityMeasure,
    x: Array,
    kind: Kind,
    tolerance: float,
) -> tuple[Array, Array]:
    """The distance at each x and its error, (…, n)."""
    sides = [_components(model, m, x) for m in (one, other)]
    if not model.density.spread:
        return _of_classes(sides[0], sides[1], kind)
    shape = np.broadcast_shapes(*(w.shape[:-1] for w, _, _ in sides))
    rows = []
    for w, mean, sd in sides:
        rows.append([np.broadcast_to(a, (*shape, a.shape[-1])) for a in (w, mean, sd)])
    flat = [[a.reshape(-1, a.shape[-1]) for a in side] for side in rows]
    mixtures = _Mixtures(
        np.concatenate([flat[0][0], -flat[1][0]], axis=-1),
        np.concatenate([flat[0][1], flat[1][1]], axis=-1),
        np.concatenate([flat[0][2], flat[1][2]], axis=-1),
        flat[0][0].shape[-1],
    )
    value, error = np.empty(len(mixtures.mean)), np.empty(len(mixtures.mean))
    total = mixtures.mean.shape[-1]
    step = max(1, _CHUNK // (2 * total * total * len(_MARKS) * _NODES))
    for start in range(0, len(value), step):
        part = slice(start, start + step)
        value[part], error[part] = _refined(mixtures.of(part), kind, tolerance)
    return value.reshape(shape), error.reshape(shape)


Side = tuple[Array, Array, Array]


def _components(model: DensityModel, measure: DensityMeasure, x: Array) -> Side:
    """Weights, means and standard deviations of the components, (…, n, C) each.

    Of classes the second are their probabilities, (…, n, C, classes), and the third is not used.
    """
    weights = np.moveaxis(model.weights(measure, x), -1, -2)
    if not model.density.spread:
        if model.density.mean is not None:
            raise InputError(
                f"likelihood {model.likelihood.name}: no distance of its densities is known."
            )
        return weights, np.moveaxis(probabilities(model.outputs(measure, x)), -1, -3), weights
    means = np.moveaxis(model.means(measure, x), -1, -2)
    sd = np.sqrt(np.asarray(measure.all_variances))[..., None, :]
    return weights, means, np.broadcast_to(sd, means.shape)


def _of_classes(one: Side, other: Side, kind: Kind) -> tuple[Array, Array]:
    p, q = ((side[0][..., None] * side[1]).sum(axis=-2) for side in (one, other))
    if kind == "variation":
        value = np.abs(p - q).sum(axis=-1) / 2
    else:
        value = ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2
        value = value if kind == "squared" else np.sqrt(value)
    return value, np.zeros_like(value)


@dataclass(frozen=True, eq=False)
class _Mixtures:
    """N pairs of mixtures: weights (N, C), those of the second negative, means, deviations."""

    weight: Array
    mean: Array
    sd: Array
    first: int  # components of the first mixture

    def of(self, part: slice) -> _Mixtures:
        return _Mixtures(self.weight[part], self.mean[part], self.sd[part], self.first)

    def terms(self, y: Array) -> Array:
        """weight·N(y), signed, of each component at y (N, P): (N, P, C)."""
        weight, mean, sd = (a[:, None] for a in (self.weight, self.mean, self.sd))
        z = (y[..., None] - mean) / sd
        return np.exp(-0.5 * z * z) * (weight / (sd * np.sqrt(2 * np.pi)))

    def distribution(self, y: Array) -> Array:
        """P − Q at y (N, P)."""
        from scipy.special import ndtr

        z = (y[..., None] - self.mean[:, None]) / self.sd[:, None]
        return (self.weight[:, None] * ndtr(z)).sum(axis=-1)

    def cuts(self) -> Array:
        """Where y is cut, (N, P), in increasing order."""
        marks = np.array(_MARKS)
        found = self.mean[:, :, None] + self.sd[:, :, None] * marks
        return np.sort(found.reshape(len(self.mean), -1), axis=-1)


def _refined(mixtures: _Mixtures, kind: Kind, tolerance: float) -> tuple[Array, Array]:
    """The distance of each pair, pieces halved while two resolutions differ by more."""
    cuts = mixtures.cuts()
    value = _once(mixtures, cuts, kind)
    error = np.full(len(value), np.inf)
    rows = np.arange(len(value))
    for _ in range(_MOST_HALVINGS):
        part = mixtures if len(rows) == len(value) else _rows(mixtures, rows)
        cuts = _halved(cuts)
        finer = _once(part, cuts, kind)
        error[rows] = np.abs(finer - value[rows]) + _tail(kind, finer)
        value[rows] = finer
        keep = error[rows] > tolerance
        rows, cuts = rows[keep], cuts[keep]
        if not len(rows):
            break
    return value, error


def _tail(kind: Kind, value: Array) -> Array:
    """What lies beyond the outermost pieces, at most _TAIL of either density."""
    if kind == "hellinger":
        return np.minimum(np.sqrt(_TAIL), _TAIL / np.maximum(value, 1e-300))
    return np.full_like(value, _TAIL)


def _rows(mixtures: _Mixtures, rows: Labels) -> _Mixtures:
    return _Mixtures(mixtures.weight[rows], mixtures.mean[rows], mixtures.sd[rows], mixtures.first)


def _halved(cuts: Array) -> Array:
    middle = (cuts[:, 1:] + cuts[:, :-1]) / 2
    return np.sort(np.concatenate([cuts, middle], axis=-1), axis=-1)


def _once(mixtures: _Mixtures, cuts: Array, kind: Kind) -> Array:
    if kind == "variation":
        return _variation(mixtures, cuts)
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    middle, half = (cuts[:, 1:] + cuts[:, :-1]) / 2, (cuts[:, 1:] - cuts[:, :-1]) / 2
    y = (middle[..., None] + half[..., None] * node).reshape(len(cuts), -1)
    terms = mixtures.terms(y)
    p = terms[..., : mixtures.first].sum(axis=-1)
    q = -terms[..., mixtures.first :].sum(axis=-1)
    gap = np.sqrt(p) - np.sqrt(q)
    square = (gap * gap * (half[..., None] * weight).reshape(len(cuts), -1)).sum(axis=-1) / 2
    return square if kind == "squared" else np.sqrt(square)


def _variation(mixtures: _Mixtures, cuts: Array) -> Array:
    """½ Σ |Δ(P − Q)| over the pieces, each cut where p − q changes its sign."""
    gap = mixtures.terms(cuts).sum(axis=-1)
    row, column = np.nonzero(gap[:, 1:] * gap[:, :-1] < 0)
    steps = np.abs(np.diff(mixtures.distribution(cuts), axis=-1))
    ends = [mixtures.distribution(cuts[:, [0]]), mixtures.distribution(cuts[:, [-1]])]
    total = steps.sum(axis=-1) + np.abs(ends[0])[:, 0] + np.abs(ends[1])[:, 0]
    if len(row):
        roots = _roots(mixtures, cuts, gap, row, column)
        part = _rows(mixtures, row)
        low, at, high = (
            part.distribution(y[:, None])[:, 0]
            for y in (cuts[row, column], roots, cuts[row, column + 1])
        )
        gain = np.abs(at - low) + np.abs(high - at) - np.abs(high - low)
        np.add.at(total, row, gain)
    return total / 2


def _roots(mixtures: _Mixtures, cuts: Array, gap: Array, row: Labels, column: Labels) -> Array:
    """A zero of p − q in each piece whose ends differ in sign, by bisection.

    P − Q is flat there, so that the error of its value is the square of that of y.
    """
    part = _rows(mixtures, row)
    low, high = cuts[row, column].copy(), cuts[row, column + 1].copy()
    sign = np.sign(gap[row, column])
    for _ in range(_ROOT_STEPS):
        middle = (low + high) / 2
        value = part.terms(middle[:, None])[:, 0].sum(axis=-1)
        same = np.sign(value) == sign
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return (low + high) / 2
