"""How far fitted mixing measures are from the true one: Voronoi losses (theory section 6),
regression error, and the errors of what a degenerate expert still identifies.

**Gauge.** A softmax-type gate does not notice a common shift of all (β0, β1), so none of the
numbers here may: they depend on the fitted and on the true measure only up to such shifts, and up
to relabelling.

*β0.* The weights e^β0 of either measure are divided by their sum: they become the gate's weights at
x = 0. (As printed, Σ_j |Σ e^β0_i − e^β0_j*| + … is multiplied by e^c when c is added to every β0*:
it depends on how the truth is written down, and so does its size, though not its rate.) Minimising
over the fitted β0-shift instead would change the loss by a factor of at most 2 where it is below ½.

*β1.* The loss is read as its infimum over shifts t of the fitted slopes. If it is small at some
t, one fitted atom is close to its true atom, and the shift that puts these two on top of each other
changes the loss by a factor that depends on the weights only. Hence t runs over the k·k* candidates
β1*_j − β1_i, the smallest loss is kept, and then improved by descent in t (Weiszfeld's step for a
sum of first powers and squares). With one atom in a cell the result usually pins that atom.
The loss vanishes exactly if after some shift all fitted atoms lie on true ones, with equal weights.

Cells, and which of them are over-specified, jump with the parameters; ties go to the true atom with
the smaller (η, β1, β0) in lexicographic order, so that they do not depend on labels.

Parameters are dimensionless; arrays have the fitted measure's leading shape, () or (R,).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from identkit.degeneracy.records import Family
from identkit.errors import InputError
from identkit.expression import parse, symbol
from identkit.gates import Gate, resolve
from identkit.mixing import Array, MixingMeasure

Labels = NDArray[np.intp]
Mask = NDArray[np.bool_]


class Predictor(Protocol):
    """What is asked of a model; :class:`identkit.fit.model.Model` is one."""

    @property
    def dim(self) -> int: ...
    @property
    def parameters(self) -> tuple[str, ...]: ...
    def predict(self, measure: MixingMeasure, x: ArrayLike) -> Array: ...
    def weights(self, measure: MixingMeasure, x: ArrayLike) -> Array: ...
    def experts(self, measure: MixingMeasure, x: ArrayLike) -> Array: ...


class Parts(NamedTuple):
    """The summands of a Voronoi loss, each of shape (…,)."""

    weight: Array
    over: Array
    exact: Array


@dataclass(frozen=True, eq=False)
class VoronoiLoss:
    """A Voronoi loss and what it is made of; see :func:`voronoi`.

    ``value`` (…,) is the sum of ``parts``. ``cells`` (…, k) is the true atom of each fitted one;
    ``sizes`` and ``empty`` (…, k*) count them. ``eta_over`` and ``gate_over`` (…,) are the largest
    ‖Δη‖ and ‖Δβ1‖ in over-specified cells, NaN where there are none; ``exact_error`` is the largest
    unweighted summand of a cell with one atom, NaN likewise. ``shift`` (…, d) is what was added to
    the fitted β1 to align the gauge (0 without one). ``premise`` (…,) is False where Regime 1 is
    asked for but an over-specified true atom has β1* ≠ 0: a small loss then does not mean that the
    regression functions agree.
    """

    value: Array
    parts: Parts
    cells: Labels
    sizes: Labels
    empty: Mask
    eta_over: Array
    gate_over: Array
    exact_error: Array
    shift: Array
    premise: Mask


@dataclass(frozen=True)
class _Formula:
    """Which terms a loss has (theory section 6).

    ``share``: an atom's terms are multiplied by its weight. ``compared``: the cells whose weights
    are compared: ``all``, ``over`` (and empty ones) or ``empty``. ``beta0``: where |Δβ0| enters,
    ``exact`` cells, ``all`` or ``none``. ``order``: the power in over-specified cells. ``sparse``:
    the premise is β1* = 0 for over-specified atoms.
    """

    normalised: bool
    share: bool
    compared: str
    beta0: str
    order: float
    sparse: bool

    def weight(self, beta0: Array) -> Array:
        """What an atom weighs at β1ᵀx = 0."""
        if self.normalised:
            weight = np.exp(beta0 - beta0.max(axis=-1, keepdims=True))
            return weight / weight.sum(axis=-1, keepdims=True)
        return np.exp(-np.logaddexp(0.0, -beta0))


def _formula(gate: Gate, regime: int | None, order: float | None) -> _Formula:
    known = [r.number for r in gate.regimes]
    if gate.name not in ("sigmoid", "softmax"):
        raise InputError(f"gate {gate.name}: no Voronoi loss is known; use sigmoid or softmax.")
    number = known[0] if regime is None else regime
    if number not in known:
        raise InputError(
            f"regime {regime}: gate {gate.name} has "
            + ("none; leave it out." if known == [None] else f"{' and '.join(map(str, known))}.")
        )
    if order is not None and not 1 <= order < np.inf:
        raise InputError(f"order {order}: must be a number of at least 1.")
    if gate.name == "softmax":
        return _Formula(True, True, "all", "none", 2.0 if order is None else order, False)
    if number == 1:
        return _Formula(False, False, "over", "exact", 2.0 if order is None else order, True)
    if order not in (None, 1):
        raise InputError(f"order {order}: Regime 2 has first powers everywhere; leave it out.")
    return _Formula(False, False, "empty", "all", 1.0, False)


@dataclass(frozen=True)
class _Problem:
    """R fitted measures against one, both in canonical order so that ties ignore labels."""

    formula: _Formula
    beta0: Array  # (R, k)
    beta1: Array  # (R, k, d), minus ``origin`` under a gauge
    eta: Array
    true_beta0: Array  # (k*,)
    true_beta1: Array  # (k*, d), minus ``true_origin`` under a gauge
    true_eta: Array
    order: Labels  # (R, k): the fitted label at each canonical place
    true_order: Labels
    origin: Array  # (R, d)
    true_origin: Array

    @classmethod
    def of(cls, formula: _Formula, fitted: MixingMeasure, truth: MixingMeasure) -> _Problem:
        many = fitted if fitted.batch else MixingMeasure.stack([fitted])
        order, true_order = _canonical(many), _canonical(truth)
        many, truth = many.relabelled(order), truth.relabelled(true_order)
        same = (np.diff(truth.beta1, axis=0) == 0).all(-1) & (np.diff(truth.eta, axis=0) == 0).all(
            -1
        )
        if same.any():
            i = int(np.argmax(same))
            first, second = sorted((int(true_order[i]), int(true_order[i + 1])))
            raise InputError(
                f"truth: atoms {first} and {second} have the same β1 and η, so Voronoi cells "
                "cannot tell them apart; merge them."
            )
        origin, true_origin = many.beta1[:, 0], truth.beta1[0]
        if not formula.normalised:
            origin, true_origin = np.zeros_like(origin), np.zeros_like(true_origin)
        return cls(
            formula,
            many.beta0,
            many.beta1 - origin[:, None],
            many.eta,
            truth.beta0,
            truth.beta1 - true_origin,
            truth.eta,
            order,
            true_order,
            origin,
            true_origin,
        )

    def prepared(self) -> _Fixed:
        """All that does not change with the shift."""
        # differences first: a candidate shift then cancels its own pair exactly
        slopes = np.stack([self.beta1[:, :, None, s] - b for s, b in enumerate(self.true_beta1.T)])
        eta2 = _squares(self.eta, self.true_eta)
        change = np.abs(self.beta0[:, :, None] - self.true_beta0)
        weight, true_weight = self.formula.weight(self.beta0), self.formula.weight(self.true_beta0)
        return _Fixed(slopes, eta2, change, weight, true_weight)

    def at(self, shift: Array, fixed: _Fixed) -> _Evaluation:
        """The loss with ``shift`` (R, d) added to the fitted slopes; O(R k k*)."""
        f = self.formula
        gate2 = np.zeros_like(fixed.eta2)
        for off, moved in zip(fixed.slopes, shift.T, strict=True):
            gap = off + moved[:, None, None]
            gap *= gap
            gate2 += gap
        cells = np.argmin(gate2 + fixed.eta2, axis=-1)
        pick = cells[..., None]
        gate = np.sqrt(np.take_along_axis(gate2, pick, axis=-1)[..., 0])
        eta = np.sqrt(np.take_along_axis(fixed.eta2, pick, axis=-1)[..., 0])
        inside = cells[..., None] == np.arange(len(fixed.true_weight))  # (R, k, k*)
        sizes = inside.sum(axis=1)
        alone = np.take_along_axis(sizes, cells, axis=-1) == 1
        compared = {"all": sizes >= 0, "over": sizes != 1, "empty": sizes == 0}[f.compared]
        total = np.einsum("rk,rkj->rj", fixed.weight, inside)
        gap = np.where(compared, np.abs(total - fixed.true_weight), 0.0).sum(axis=-1)
        change = 0.0
        if f.beta0 != "none":
            change = np.take_along_axis(fixed.change, pick, axis=-1)[..., 0]
        single = gate + eta + change
        several = gate**f.order + eta**f.order + (change if f.beta0 == "all" else 0.0)
        share = fixed.weight if f.share else 1.0
        parts = Parts(
            gap,
            np.where(alone, 0.0, share * several).sum(axis=-1),
            np.where(alone, share * single, 0.0).sum(axis=-1),
        )
        return _Evaluation(cells, sizes, alone, gate, eta, single, parts)

    def align(self, fixed: _Fixed) -> tuple[Array, _Evaluation]:
        """The shift (R, d) of the fitted slopes with the smallest loss found, see the module."""
        measures, k, d = self.beta1.shape
        best = np.zeros((measures, d))
        if not self.formula.normalised:
            return best, self.at(best, fixed)
        lowest = np.full(measures, np.inf)
        for i in range(k):
            for j in range(len(self.true_beta0)):
                candidate = -fixed.slopes[:, :, i, j].T
                value = sum(self.at(candidate, fixed).parts)
                better = value < lowest
                best[better], lowest = candidate[better], np.where(better, value, lowest)
        length = np.ones(measures)
        for _ in range(_DESCENT_STEPS):
            step = self._step(best, fixed) * length[:, None]
            moved = best + step
            value = sum(self.at(moved, fixed).parts)
            better = value < lowest * (1 - 1e-12)
            # too long a step (a corner, or a cell changed on the way) is shortened, then given up
            length = np.where(better, 1.0, length / 4)
            best[better], lowest = moved[better], np.where(better, value, lowest)
            if length.max() < 0.01:
                break
        return best, self.at(best, fixed)

    def _step(self, shift: Array, fixed: _Fixed) -> Array:
        """Weiszfeld's step: minimise the quadratic that touches the loss from above.

        u‖v‖^p is below a quadratic with curvature p·u·‖v‖^{p−2} for p ≤ 2. Terms at v = 0, where
        a first power has a corner, are left out: if they hold the minimum there, no step that the
        others ask for, however short, lowers the loss.
        """
        at = self.at(shift, fixed)
        off = self.beta1 + shift[:, None] - self.true_beta1[at.cells]
        power = np.where(at.alone, 1.0, self.formula.order)
        zero = at.gate <= 1e-14 * (1 + np.abs(self.true_beta1).max())
        norm = np.where(zero, 1.0, at.gate)
        stiff = np.where(zero, 0.0, power * fixed.weight * norm ** (power - 2))
        total = stiff.sum(axis=-1)[:, None]
        return -np.einsum("rk,rkd->rd", stiff, off) / np.where(total > 0, total, 1.0)


_DESCENT_STEPS = 30


class _Fixed(NamedTuple):
    slopes: Array  # (d, R, k, k*): Δβ1 before the shift
    eta2: Array  # (R, k, k*): ‖Δη‖²
    change: Array  # (R, k, k*): |Δβ0|
    weight: Array
    true_weight: Array


class _Evaluation(NamedTuple):
    cells: Labels  # (R, k), canonical labels
    sizes: Labels  # (R, k*)
    alone: Mask  # (R, k): the only one in its cell
    gate: Array  # (R, k): ‖Δβ1‖
    eta: Array
    single: Array
    parts: Parts


def _canonical(measure: MixingMeasure) -> Labels:
    """The order of atoms that is lexicographic in (η, β1, β0): shifts do not change it."""
    columns = [measure.beta0]
    columns += [measure.beta1[..., s] for s in reversed(range(measure.dim))]
    columns += [measure.eta[..., u] for u in reversed(range(measure.parameters))]
    return np.lexsort(columns, axis=-1)


def _squares(fitted: Array, true: Array) -> Array:
    """‖fitted_i − true_j‖², shape (R, k, k*), without a (R, k, k*, q) array."""
    total = np.zeros((*fitted.shape[:2], len(true)))
    for u in range(fitted.shape[2]):
        total += (fitted[:, :, None, u] - true[:, u]) ** 2
    return total


def _fitting(fitted: MixingMeasure, truth: MixingMeasure) -> None:
    if truth.batch:
        raise InputError(f"truth: it is a batch of {truth.batch[0]} measures; give one of them.")
    if (fitted.dim, fitted.parameters) != (truth.dim, truth.parameters):
        raise InputError(
            f"fitted: it has d = {fitted.dim} and q = {fitted.parameters}, the truth d = "
            f"{truth.dim} and q = {truth.parameters}; give measures of one model."
        )


def voronoi(
    fitted: MixingMeasure,
    truth: MixingMeasure,
    gate: Gate | str,
    regime: int | None = None,
    order: float | None = None,
) -> VoronoiLoss:
    """The Voronoi loss of fitted measures, one or many, against one true measure.

    With w = σ(β0), respectively e^β0 divided by its sum, Δ fitted minus true, and cells of one atom
    *exact*, of more *over-specified*:

    - sigmoid, Regime 1 (its default): Σ_over |Σ_i w_i − w_j*| + Σ_over Σ_i (‖Δβ1‖^r + ‖Δη‖^r)
      + Σ_exact (|Δβ0| + ‖Δβ1‖ + ‖Δη‖);
    - sigmoid, Regime 2: Σ_i (|Δβ0| + ‖Δβ1‖ + ‖Δη‖) over all cells, ``truth`` being a population
      minimiser (take the smallest value over several);
    - softmax: Σ_j |Σ_i w_i − w_j*| + Σ_over Σ_i w_i (‖Δβ1‖^r + ‖Δη‖^r)
      + Σ_exact w_i (‖Δβ1‖ + ‖Δη‖), minimal over the gauge as the module describes.

    An empty cell adds its w_j* and is reported. ``order`` is r, by default 2; r = 1 gives first
    powers. Raises :class:`~identkit.errors.InputError` for measures that do not fit together, two
    true atoms with equal (β1, η), an unknown gate or regime, and r < 1.

    >>> truth = MixingMeasure([0.0, 1.0], [[0.0], [2.0]], [[1.0], [3.0]])
    >>> fitted = MixingMeasure([0.0, 1.0], [[0.0], [2.0]], [[1.25], [3.0]])
    >>> float(voronoi(fitted, truth, "sigmoid").value)
    0.25
    >>> float(voronoi(truth.shifted(5.0, [-7.0]), truth, "softmax").value)
    0.0

    Source: theory section 6; arXiv 2405.13997 (sigmoid), 2402.02952 (softmax).
    """
    formula = _formula(resolve(gate), regime, order)
    _fitting(fitted, truth)
    problem = _Problem.of(formula, fitted, truth)
    shift, at = problem.align(problem.prepared())
    cells = np.empty_like(at.cells)
    np.put_along_axis(cells, problem.order, problem.true_order[at.cells], axis=-1)
    sizes = np.empty_like(at.sizes)
    sizes[:, problem.true_order] = at.sizes
    in_several = ~at.alone
    sloped = (truth.beta1 != 0).any(axis=-1)
    premise = ~(sizes[:, sloped] > 1).any(axis=-1) | (not formula.sparse)
    shape = fitted.batch

    def shaped(array: Any) -> Any:
        return array.reshape((*shape, *array.shape[1:]))

    return VoronoiLoss(
        value=shaped(np.asarray(sum(at.parts))),
        parts=Parts(*(shaped(p) for p in at.parts)),
        cells=shaped(cells),
        sizes=shaped(sizes),
        empty=shaped(sizes == 0),
        eta_over=shaped(_largest(at.eta, in_several)),
        gate_over=shaped(_largest(at.gate, in_several)),
        exact_error=shaped(_largest(at.single, at.alone)),
        shift=shaped(shift + problem.true_origin - problem.origin),
        premise=shaped(premise),
    )


def cells(fitted: MixingMeasure, truth: MixingMeasure, gate: Gate | str) -> Labels:
    """Voronoi cells, shape (…, k): for each fitted atom the nearest true one in (β1, η).

    Under a softmax-type gate at the shift of β1 that minimises the loss of :func:`voronoi`.

    >>> truth = MixingMeasure([0.0, 0.0], [[0.0], [2.0]], [[1.0], [3.0]])
    >>> cells(MixingMeasure([0.0] * 3, [[7.0], [5.0], [7.0]], [[3.0], [1.0], [2.9]]), truth,
    ...       "softmax")
    array([1, 0, 1])
    """
    return voronoi(fitted, truth, gate).cells


def align(fitted: MixingMeasure, truth: MixingMeasure, gate: Gate | str) -> MixingMeasure:
    """The fitted measures, written in the truth's gauge where the gate has one.

    β1 as in :func:`voronoi`; β0 so that Σ_i e^β0_i is that of the truth.

    >>> truth = MixingMeasure([0.0, 1.0], [[0.0], [2.0]], [[1.0], [3.0]])
    >>> align(truth.shifted(4.0, [-8.0]), truth, "softmax").beta1
    array([[0.],
           [2.]])
    """
    gate = resolve(gate)
    shift = voronoi(fitted, truth, gate).shift
    if not _formula(gate, None, None).normalised:
        return fitted
    sums = [np.logaddexp.reduce(m.beta0, axis=-1) for m in (truth, fitted)]
    return fitted.shifted(sums[0] - sums[1], shift)


def _largest(values: Array, where: Mask) -> Array:
    """The maximum over the last axis where ``where`` holds; NaN if nowhere."""
    largest = np.where(where, values, -np.inf).max(axis=-1)
    return np.where(where.any(axis=-1), largest, np.nan)


# -- errors in L2(μ), μ uniform on the domain ----------------------------------------------------

_PANEL_NODES = 8
_QUADRATURE_POINTS = 1024
_MONTE_CARLO_POINTS = 16384
_CHUNK_NUMBERS = 2**21
"""Numbers in the largest array over (measures, atoms, points): 16 MiB."""


@dataclass(frozen=True, eq=False)
class RegressionError:
    """‖f_fitted − f_truth‖ in L2(μ), ``value`` (…,).

    Exactly one of ``error`` and ``standard_error`` (…,) is given: by quadrature the difference to
    half as many panels, by Monte Carlo the standard error (first order; 0 where the value is 0).
    ``method`` says which, with the number of points.
    """

    value: Array
    error: Array | None
    standard_error: Array | None
    method: str


@dataclass(frozen=True)
class _Rule:
    """Points (n, d) with weights adding up to 1; quadrature has a coarser rule to compare with."""

    points: Array
    weights: Array
    coarse: tuple[Array, Array] | None
    method: str

    @classmethod
    def of(cls, dim: int, domain: tuple[float, float], points: int | None, seed: int) -> _Rule:
        low, high = (float(v) for v in domain)
        if not (np.isfinite([low, high]).all() and low < high):
            raise InputError(f"domain {domain}: must be two numbers, the smaller first.")
        least = 2 * _PANEL_NODES if dim == 1 else 2
        if points is not None and points < least:
            raise InputError(f"points {points}: must be at least {least}.")
        if dim == 1:
            panels = max(2, (points or _QUADRATURE_POINTS) // (2 * _PANEL_NODES) * 2)
            fine, coarse = _gauss(low, high, panels), _gauss(low, high, panels // 2)
            method = f"Gauss–Legendre quadrature, {panels} panels of {_PANEL_NODES} points"
            return cls(*fine, coarse, method)
        n = points or _MONTE_CARLO_POINTS
        sample = np.random.default_rng(seed).uniform(low, high, (n, dim))
        return cls(sample, np.full(n, 1 / n), None, f"Monte Carlo, {n} points, seed {seed}")

    def norm(
        self, rows: int, evaluate: Callable[[Array], Array]
    ) -> tuple[Array, Array | None, Array | None]:
        """√∫ g² dμ of g = evaluate(points), shape (…, n), its error and its standard error.

        ``rows`` is the number of values that ``evaluate`` makes for one point.
        """
        mean, fourth = self._means(self.points, self.weights, rows, evaluate)
        value = np.sqrt(mean)
        if self.coarse is not None:
            return (
                value,
                np.abs(value - np.sqrt(self._means(*self.coarse, rows, evaluate)[0])),
                None,
            )
        # the standard error of the mean square, carried through the square root
        spread = np.sqrt(np.maximum(fourth - mean**2, 0.0) / (len(self.points) - 1))
        return value, None, spread / np.where(value > 0, 2 * value, 1.0)

    @staticmethod
    def _means(
        points: Array, weights: Array, rows: int, evaluate: Callable[[Array], Array]
    ) -> tuple[Array, Array]:
        """The means of g² and g⁴, chunk by chunk."""
        size = max(1, _CHUNK_NUMBERS // rows)
        mean, fourth = np.zeros(()), np.zeros(())
        for start in range(0, len(points), size):
            part = slice(start, start + size)
            square = evaluate(points[part]) ** 2
            mean, fourth = mean + square @ weights[part], fourth + square**2 @ weights[part]
        return mean, fourth


def _gauss(low: float, high: float, panels: int) -> tuple[Array, Array]:
    node, weight = np.polynomial.legendre.leggauss(_PANEL_NODES)
    edges = np.linspace(low, high, panels + 1)
    middle, half = (edges[1:] + edges[:-1]) / 2, (high - low) / panels / 2
    points = (middle[:, None] + half * node).ravel()[:, None]
    return points, np.tile(weight / (2 * panels), panels)


def regression_error(
    model: Predictor,
    fitted: MixingMeasure,
    truth: MixingMeasure,
    domain: tuple[float, float] = (-3.0, 3.0),
    points: int | None = None,
    seed: int = 0,
) -> RegressionError:
    """‖f_fitted − f_truth‖ in L2(μ), μ uniform on domain^d, for one or many fitted measures.

    For d = 1 composite Gauss–Legendre quadrature (kinks of the expert limit it to second order in
    the panel width), for d ≥ 2 Monte Carlo with the seed; ``points`` sets the number of points.
    Memory stays bounded: points are taken in chunks.

    Raises :class:`~identkit.errors.InputError` for measures that do not fit together, an empty
    domain or too few points.
    """
    _fitting(fitted, truth)
    rule = _Rule.of(model.dim, domain, points, seed)
    rows = fitted.beta0.size
    value, error, standard = rule.norm(
        rows, lambda x: model.predict(fitted, x) - model.predict(truth, x)
    )
    return RegressionError(value, error, standard, rule.method)


# -- what a degenerate expert still identifies ---------------------------------------------------


@dataclass(frozen=True, eq=False)
class FamilyDistance:
    """The distance (…, k) of each fitted η to the curve of one exact family through η*."""

    kind: str
    moving: tuple[str, ...]
    distance: Array


@dataclass(frozen=True, eq=False)
class DirectionError:
    """‖v_i/‖v_i‖ − v*/‖v*‖‖, shape (…, k), v the named parameters; NaN where v_i or v* is 0."""

    parameters: tuple[str, ...]
    error: Array


@dataclass(frozen=True, eq=False)
class IdentifiableErrors:
    """Errors of what stays identified; see :func:`identifiable_parts`.

    Per fitted atom (…, k): ``orbit``, the entries of ``families`` and ``directions``, and
    ``identified_error`` = ‖Δη‖ over the parameters ``identified`` (NaN if there are none). Per true
    atom (…, k*): ``aggregate``, with ``aggregate_error`` (quadrature) or
    ``aggregate_standard_error`` (Monte Carlo). ``notes`` say what could not be computed.
    """

    cells: Labels
    sizes: Labels
    orbit: Array
    families: tuple[FamilyDistance, ...]
    directions: tuple[DirectionError, ...]
    identified: tuple[str, ...]
    identified_error: Array
    aggregate: Array
    aggregate_error: Array | None
    aggregate_standard_error: Array | None
    method: str
    notes: tuple[str, ...]

    def by_cell(self, errors: Array) -> Array:
        """Of errors (…, k) per fitted atom, the largest in each cell: (…, k*), NaN where empty."""
        inside = self.cells[..., None] == np.arange(self.sizes.shape[-1])
        return _largest(
            np.broadcast_to(errors[..., None, :], np.moveaxis(inside, -1, -2).shape),
            np.moveaxis(inside, -1, -2),
        )


def identifiable_parts(
    model: Predictor,
    fitted: MixingMeasure,
    truth: MixingMeasure,
    families: Sequence[Family],
    gate: Gate | str | None = None,
    *,
    cells: ArrayLike | None = None,
    domain: tuple[float, float] = (-3.0, 3.0),
    points: int | None = None,
    seed: int = 0,
) -> IdentifiableErrors:
    """What a fit identifies although its expert has exact families (theory section 4).

    ``families`` are those of ``identkit.check(…).results[0].second_order.families``: curves along
    which η can move without a change of f. For each fitted atom, against the true atom of its cell:

    - *orbit*: the distance from η_i to all that η* reaches along the families, one after another;
      with one family its curve, without any the point η*. (Each single curve: ``families``.)
    - *directions*: v/‖v‖ for a family that scales v as a whole, where no other family turns v.
    - *identified*: the parameters that no family moves.

    And for each true atom the *aggregate* error ‖Σ_{i∈cell} weight_i·h_i − weight_j*·h_j*‖ in
    L2(μ), for any expert; of an empty cell ‖weight_j*·h_j*‖.

    Nothing depends on the gauge or on labels. ``gate`` (by default the model's) is only needed for
    the cells; other ``cells`` (…, k) may be given, for instance where atoms have drifted so far
    along a family that they are nearest to another true atom. A direction is compared with its
    sign, also for an even power, which does not see it.

    Raises :class:`~identkit.errors.InputError` for measures or families that do not fit the model.
    """
    _fitting(fitted, truth)
    names = model.parameters
    if len(names) != truth.parameters or model.dim != truth.dim:
        raise InputError(
            f"model: it has d = {model.dim} and q = {len(names)}, the measures d = {truth.dim} and "
            f"q = {truth.parameters}; give measures of this model."
        )
    chosen = gate if gate is not None else getattr(model, "gate", None)
    if chosen is None:
        raise InputError("gate: the model does not say which; give it.")
    labels = voronoi(fitted, truth, chosen).cells if cells is None else np.asarray(cells)
    if labels.shape != fitted.beta0.shape or not np.isin(labels, range(truth.atoms)).all():
        raise InputError(
            f"cells: must hold labels 0 to {truth.atoms - 1}, in the shape {fitted.beta0.shape}."
        )
    labels = labels.astype(np.intp)
    known = [_Curve.of(f, names) for f in families]
    target, centre = fitted.eta.reshape(-1, len(names)), labels.reshape(-1)
    notes, single, starts = [], [], []
    for family, curve in zip(families, known, strict=True):
        if curve.images is None:
            notes.append(
                f"the family that moves {', '.join(family.moving)} has no closed form: distances "
                "to it are NaN"
            )
            distance = np.full(len(target), np.nan)
        else:
            place, distance = _nearest(curve, target, truth.eta, centre)
            starts.append(place)
        moving = family.moving
        single.append(FamilyDistance(family.kind, moving, distance.reshape(labels.shape)))
    if len(starts) < len(families):
        orbit = np.full(labels.shape, np.nan)
    elif not families:
        orbit = np.linalg.norm(fitted.eta - truth.eta[labels], axis=-1)
    elif len(families) == 1:
        orbit = single[0].distance
    else:
        orbit = _jointly(known, starts, target, truth.eta, centre).reshape(labels.shape)
    still = [u for u in range(len(names)) if not any(c.velocity[u] != 0 for c in known)]
    difference = fitted.eta - truth.eta[labels]
    rule = _Rule.of(model.dim, domain, points, seed)
    inside = (labels[..., None] == np.arange(truth.atoms)).astype(np.float64)

    def gaps(x: Array) -> Array:
        parts = model.weights(fitted, x) * model.experts(fitted, x)
        true = model.weights(truth, x) * model.experts(truth, x)
        return np.matmul(np.swapaxes(inside, -1, -2), parts) - true

    aggregate, error, standard = rule.norm(fitted.beta0.size + inside.size, gaps)
    return IdentifiableErrors(
        cells=labels,
        sizes=inside.sum(axis=-2).astype(np.intp),
        orbit=orbit,
        families=tuple(single),
        directions=tuple(
            DirectionError(
                tuple(names[u] for u in turning),
                _angle(fitted.eta[..., turning], truth.eta[labels][..., turning]),
            )
            for turning in _directions(known, names)
        ),
        identified=tuple(names[u] for u in still),
        identified_error=(
            np.linalg.norm(difference[..., still], axis=-1)
            if still
            else np.full(labels.shape, np.nan)
        ),
        aggregate=aggregate,
        aggregate_error=error,
        aggregate_standard_error=standard,
        method=rule.method,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Curve:
    """A family in SymPy: ``images`` of all parameters in (s, η); None for a flow."""

    s: Any
    names: tuple[Any, ...]
    images: tuple[Any, ...] | None
    velocity: tuple[Any, ...]
    whole: bool

    @classmethod
    def of(cls, family: Family, names: tuple[str, ...]) -> _Curve:
        s, symbols = symbol(family.parameter), tuple(symbol(n) for n in names)
        stray = (set(dict(family.velocity)) | set(dict(family.curve))) - set(names)
        if stray:
            raise InputError(
                f"families: they move {', '.join(sorted(stray))}, which the model does not have; "
                "give those of the same expert."
            )
        velocity = {symbol(n): parse(text) for n, text in family.velocity}
        curve = {symbol(n): parse(text) for n, text in family.curve}
        whole = family.kind == "scale" and all(
            sp.cancel(image - p * sp.exp(s)) == 0 for p, image in curve.items()
        )
        return cls(
            s,
            symbols,
            tuple(curve.get(p, p) for p in symbols) if curve else None,
            tuple(velocity.get(p, sp.Integer(0)) for p in symbols),
            whole,
        )

    def compiled(self) -> Callable[[Array, Array], Array]:
        """η(s) as a function of s (n,) and η (n, q): an (n, q) array."""
        return _compiled((self.s,), self.names, self.images or ())


def _compiled(
    moving: Sequence[Any], names: Sequence[Any], images: Sequence[Any]
) -> Callable[[Array, Array], Array]:
    """expressions as a function of positions (n,) or (n, F) and η (n, q): shape (n, images)."""
    from identkit.fit.model import numpy_functions

    call = sp.lambdify([*moving, *names], list(images), modules=[numpy_functions(), "numpy"])

    def evaluate(position: Array, eta: Array) -> Array:
        places = position.reshape(len(position), -1)
        with np.errstate(all="ignore"):
            values = call(*places.T, *eta.T)
        return np.stack([np.broadcast_to(v, len(eta)) for v in values], axis=-1)

    return evaluate


_REACH = 100.0
"""Positions s on a curve that are searched: ±100. exp(±100) is as good as 0 and infinity."""


def _nearest(curve: _Curve, target: Array, true: Array, centre: Labels) -> tuple[Array, Array]:
    """For each target (n, q) the s and the distance to the curve through its true η.

    A grid that is fine near 0 finds the valley, golden section its bottom; s = 0 is on the grid, so
    the distance is at most that to η* itself.
    """
    at = curve.compiled()
    side = np.sinh(np.linspace(0, np.arcsinh(_REACH * 50), 121)[1:]) / 50
    grid = np.concatenate([-side[::-1], [0.0], side])
    best = np.empty(len(target), dtype=np.intp)
    for j, eta in enumerate(true):
        mine = np.flatnonzero(centre == j)
        path = at(grid, np.broadcast_to(eta, (len(grid), len(eta))))
        for start in range(0, len(mine), 4096):
            part = mine[start : start + 4096]
            best[part] = np.argmin(_valid(_squares(target[None, part], path)[0]), axis=-1)
    base = true[centre]

    def height(s: Array) -> Array:
        with np.errstate(all="ignore"):
            return _valid(((at(s, base) - target) ** 2).sum(axis=-1))

    ratio = (np.sqrt(5) - 1) / 2
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = height(left), height(right)
    for _ in range(80):  # 0.618^80 is below rounding
        down = f_left < f_right
        low, high = np.where(down, low, left), np.where(down, right, high)
        left, right = (
            np.where(down, high - ratio * (high - low), right),
            np.where(down, left, low + ratio * (high - low)),
        )
        fresh = height(np.where(down, left, right))
        f_left, f_right = np.where(down, fresh, f_right), np.where(down, f_left, fresh)
    places = np.stack([(low + high) / 2, grid[best]])
    heights = np.stack([height(p) for p in places])
    lowest = np.argmin(heights, axis=0)
    pick = (lowest, np.arange(len(target)))
    return places[pick], np.sqrt(heights[pick])


def _valid(square: Array) -> Array:
    return np.where(np.isnan(square), np.inf, square)


def _jointly(
    curves: Sequence[_Curve], starts: Sequence[Array], target: Array, true: Array, centre: Labels
) -> Array:
    """The distance (n,) to what η* reaches along all curves, one after the other.

    Levenberg–Marquardt in the positions (s_1, …, s_F), from s = 0 and from the nearest point of
    each single curve.
    """
    places = [symbol(f"position{f}") for f in range(len(curves))]
    images: list[Any] = list(curves[0].names)
    for curve, place in zip(curves, places, strict=True):
        reached = dict(zip(curve.names, images, strict=True))
        assert curve.images is not None
        images = [e.xreplace({curve.s: place, **reached}) for e in curve.images]
    q, count = len(images), len(places)
    at = _compiled(places, curves[0].names, images)
    slope = _compiled(places, curves[0].names, [sp.diff(e, p) for e in images for p in places])
    base = true[centre]
    best = np.sum((base - target) ** 2, axis=-1)
    for f in range(-1, count):
        s = np.zeros((len(target), count))
        if f >= 0:
            s[:, f] = starts[f]
        gap = at(s, base) - target
        height = _valid((gap**2).sum(axis=-1))
        damping = np.full(len(target), 1e-6)
        active = np.flatnonzero(np.isfinite(height))
        for _ in range(100):
            if not len(active):
                break
            jacobian = slope(s[active], base[active]).reshape(-1, q, count)
            gradient = np.einsum("nqf,nq->nf", jacobian, gap[active])
            normal = np.einsum("nqf,nqg->nfg", jacobian, jacobian)
            size = np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-300
            normal = normal + damping[active, None, None] * size * np.eye(count)
            step = -np.linalg.solve(normal, gradient[..., None])[..., 0]
            step *= np.minimum(1.0, 3.0 / np.maximum(np.abs(step).max(axis=-1), 1e-300))[:, None]
            moved = np.clip(s[active] + step, -_REACH, _REACH)
            trial = at(moved, base[active]) - target[active]
            value = _valid((trial**2).sum(axis=-1))
            better = value < height[active]
            gain = height[active] - value
            finished = (better & (gain <= 1e-14 * height[active])) | (
                ~better & (damping[active] > 1e8)
            )
            done = active[better]
            s[done], gap[done], height[done] = moved[better], trial[better], value[better]
            damping[active] = np.where(better, damping[active] / 10, damping[active] * 10)
            damping = np.maximum(damping, 1e-14)
            active = active[~finished & (height[active] > 1e-30)]
        best = np.minimum(best, height)
    return np.sqrt(best)


def _directions(curves: Sequence[_Curve], names: tuple[str, ...]) -> list[list[int]]:
    """Index sets of parameters that one family scales as a whole and no other family turns."""
    found = []
    for own in curves:
        moving = [u for u in range(len(names)) if own.velocity[u] != 0]
        if not own.whole or len(moving) < 2:
            continue
        factors = [[sp.cancel(c.velocity[u] / c.names[u]) for u in moving] for c in curves]
        if all(sp.cancel(f - fs[0]) == 0 for fs in factors for f in fs):
            found.append(moving)
    return found


def _angle(fitted: Array, true: Array) -> Array:
    lengths = [np.linalg.norm(v, axis=-1, keepdims=True) for v in (fitted, true)]
    undefined = (lengths[0] == 0) | (lengths[1] == 0)
    units = [
        v / np.where(undefined, 1.0, length)
        for v, length in zip((fitted, true), lengths, strict=True)
    ]
    error = np.linalg.norm(units[0] - units[1], axis=-1)
    return np.where(undefined[..., 0], np.nan, error)
