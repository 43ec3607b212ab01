"""Voronoi cells and the losses on them (theory section 6), for one or many fitted measures.


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

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.gates import (
    Gate,
    Gauge,
    LossTerms,
    Regime,
    RegimeCode,
    in_regime,
    resolve,
    without_loss,
)
from identkit.layout import needs_affine
from identkit.mixing import Array, MixingMeasure

Labels = NDArray[np.intp]
Mask = NDArray[np.bool_]


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
    the fitted β1 to align the gauge (0 without one). ``premise`` (…,) is False where a sparse
    regime is asked for but an over-specified true atom has β1* ≠ 0: a small loss then does not
    mean that the regression functions agree.
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
    """The regime's terms with the power in over-specified cells, and the gauge to align over."""

    terms: LossTerms
    order: float
    gauge: Gauge | None


def _formula(gate: Gate, regime: Regime, order: float | None) -> _Formula:
    if order is not None and not 1 <= order < np.inf:
        raise InputError(f"order {order}: must be a number of at least 1.")
    terms = regime.loss
    if terms is None:
        raise without_loss(gate)
    if terms.fixed and order not in (None, terms.order):
        raise InputError(
            f"order {order}: the loss of the {gate.name} gate{in_regime(regime.code)} has first "
            "powers everywhere; leave it out."
        )
    return _Formula(terms, terms.order if order is None else order, gate.pinning)


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
        if formula.gauge is None:
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
        eta2 = squares(self.eta, self.true_eta)
        change = np.abs(self.beta0[:, :, None] - self.true_beta0)
        weigh = self.formula.terms.weigh
        weight, true_weight = weigh(self.beta0), weigh(self.true_beta0)
        return _Fixed(slopes, eta2, change, weight, true_weight)

    def at(self, shift: Array, fixed: _Fixed) -> _Evaluation:
        """The loss with ``shift`` (R, d) added to the fitted slopes; O(R k k*)."""
        f, order = self.formula.terms, self.formula.order
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
        several = gate**order + eta**order + (change if f.beta0 == "all" else 0.0)
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
        if self.formula.gauge is None:
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
            # one that has given up stays, whatever the others in the batch do
            better = (length >= 0.01) & (value < lowest * (1 - 1e-12))
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


def squares(fitted: Array, true: Array) -> Array:
    """‖fitted_i − true_j‖², shape (R, k, k*), without a (R, k, k*, q) array."""
    total = np.zeros((*fitted.shape[:2], len(true)))
    for u in range(fitted.shape[2]):
        total += (fitted[:, :, None, u] - true[:, u]) ** 2
    return total


def check_pair(fitted: MixingMeasure, truth: MixingMeasure) -> None:
    if truth.batch:
        raise InputError(f"truth: it is a batch of {truth.batch[0]} measures; give one of them.")
    for name, measure in (("fitted", fitted), ("truth", truth)):
        needs_affine(measure.layout.of_gate, name, "loss")
    if (fitted.dim, fitted.parameters) != (truth.dim, truth.parameters):
        raise InputError(
            f"fitted: it has d = {fitted.dim} and q = {fitted.parameters}, the truth d = "
            f"{truth.dim} and q = {truth.parameters}; give measures of one model."
        )


def voronoi(
    fitted: MixingMeasure,
    truth: MixingMeasure,
    gate: Gate | str,
    regime: RegimeCode = None,
    order: float | None = None,
) -> VoronoiLoss:
    """The Voronoi loss of fitted measures, one or many, against one true measure.

    With w = σ(β0), respectively e^β0 divided by its sum, Δ fitted minus true, and cells of one atom
    *exact*, of more *over-specified*:

    - sigmoid and normalized sigmoid, sparse (the default): Σ_over |Σ_i w_i − w_j*|
      + Σ_over Σ_i (‖Δβ1‖^r + ‖Δη‖^r) + Σ_exact (|Δβ0| + ‖Δβ1‖ + ‖Δη‖);
    - the same gates, dense: Σ_i (|Δβ0| + ‖Δβ1‖ + ‖Δη‖) over all cells, ``truth`` being a
      population minimiser (take the smallest value over several);
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

    Source: theory section 6; arXiv 2405.13997 (sigmoid), 2402.02952 (softmax), 2505.10860 (the
    normalized sigmoid, without its shared experts).
    """
    found = resolve(gate)
    case = found.chosen(regime)
    formula = _formula(found, case, order)
    check_pair(fitted, truth)
    problem = _Problem.of(formula, fitted, truth)
    shift, at = problem.align(problem.prepared())
    cells = np.empty_like(at.cells)
    np.put_along_axis(cells, problem.order, problem.true_order[at.cells], axis=-1)
    sizes = np.empty_like(at.sizes)
    sizes[:, problem.true_order] = at.sizes
    in_several = ~at.alone
    sloped = (truth.beta1 != 0).any(axis=-1)
    premise = ~(sizes[:, sloped] > 1).any(axis=-1) | case.admits(True)
    shape = fitted.batch

    def shaped(array: Any) -> Any:
        return array.reshape((*shape, *array.shape[1:]))

    return VoronoiLoss(
        value=shaped(np.asarray(sum(at.parts))),
        parts=Parts(*(shaped(p) for p in at.parts)),
        cells=shaped(cells),
        sizes=shaped(sizes),
        empty=shaped(sizes == 0),
        eta_over=shaped(largest(at.eta, in_several)),
        gate_over=shaped(largest(at.gate, in_several)),
        exact_error=shaped(largest(at.single, at.alone)),
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
    if gate.pinning is None:
        return fitted
    sums = [np.logaddexp.reduce(m.beta0, axis=-1) for m in (truth, fitted)]
    amount = np.concatenate([shift, (sums[0] - sums[1])[..., None]], axis=-1)
    return gate.pinning.apply(fitted, amount)


def largest(values: Array, where: Mask) -> Array:
    """The maximum over the last axis where ``where`` holds; NaN if nowhere."""
    largest = np.where(where, values, -np.inf).max(axis=-1)
    return np.where(where.any(axis=-1), largest, np.nan)
