"""Voronoi cells and the losses on them (theory section 6), for one or many fitted measures.

**Gauge.** What a gate does not notice is in none of the numbers here: they depend on the fitted and
on the true measure only up to the gate's gauges and relabelling (``losses/shifts.py``).

Cells, and which of them are over-specified, jump with the parameters; ties go to the true atom with
the smaller (η, γ, β0) in lexicographic order, so that they do not depend on labels.

Parameters are dimensionless; arrays have the fitted measure's leading shape, () or (R,).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from identkit.errors import InputError
from identkit.gates import Gate, RegimeCode, resolve
from identkit.losses.levels import of_levels
from identkit.losses.shifts import Labels, Mask, Parts, Problem, VoronoiLoss, formula_of
from identkit.mixing import Array, MixingMeasure


def check_pair(fitted: MixingMeasure, truth: MixingMeasure) -> None:
    if truth.batch:
        raise InputError(f"truth: it is a batch of {truth.batch[0]} measures; give one of them.")
    if (fitted.dim, fitted.parameters) != (truth.dim, truth.parameters):
        raise InputError(
            f"fitted: it has d = {fitted.dim} and q = {fitted.parameters}, the truth d = "
            f"{truth.dim} and q = {truth.parameters}; give measures of one model."
        )
    if replace(fitted.layout, groups=truth.layout.groups) != truth.layout:
        raise InputError("fitted: it has other blocks than the truth; give measures of one model.")


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

    Other gates have these terms in normal coordinates: γ for β1, such as ω/τ or β1/‖β1‖, and an
    offset for β0 (the table of theory section 6).

    - quadratic and Gaussian gates: without ‖Δγ‖^r, since their own second moments are invisible
      whatever the expert; ``gate_over`` has ‖Δγ‖, at the shift that fits all of γ;
    - Laplace, cosine, dense-to-sparse and monomial gates: as softmax, and |Δτ| where no gauge moves
      τ. With one input an ω of a Laplace gate has to lie in the domain;
    - gates of two levels: the inner gate's in each group, and between groups
      (:mod:`identkit.losses.levels`);
    - sigmoid with a temperature: as sigmoid, of β1/τ and β0/τ; with a Euclidean score: as dense.

    An empty cell adds its w_j* and is reported. ``order`` is r, by default 2; r = 1 gives first
    powers. Raises :class:`~identkit.errors.InputError` for measures that do not fit together or are
    not of the gate, two true atoms with equal (γ, η), an unknown gate or regime, one without a
    loss, a router with a gauge that no coordinates are known of, and r < 1.

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
    formula = formula_of(found, case, order)
    if found.level is not None:
        if truth.batch:
            check_pair(fitted, truth)
        return of_levels(fitted, truth, found, order, voronoi)
    formula.check_blocks(fitted, truth)
    check_pair(fitted, truth)
    problem = Problem.of(formula, fitted, truth)
    shift, at = problem.align(problem.prepared())
    cells = np.empty_like(at.cells)
    np.put_along_axis(cells, problem.order, problem.true_order[at.cells], axis=-1)
    sizes = np.empty_like(at.sizes)
    sizes[:, problem.true_order] = at.sizes
    in_several = ~at.alone
    sloped = (formula.normal(truth, "truth").gamma != 0).any(axis=-1)
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
    """Voronoi cells, shape (…, k): for each fitted atom the nearest true one in (γ, η).

    γ is β1 for a gate of β1 and β0, else as in :func:`voronoi`; under a softmax-type gate at the
    shift of γ that minimises the loss.

    >>> truth = MixingMeasure([0.0, 0.0], [[0.0], [2.0]], [[1.0], [3.0]])
    >>> cells(MixingMeasure([0.0] * 3, [[7.0], [5.0], [7.0]], [[3.0], [1.0], [2.9]]), truth,
    ...       "softmax")
    array([1, 0, 1])
    """
    return voronoi(fitted, truth, gate).cells


def align(fitted: MixingMeasure, truth: MixingMeasure, gate: Gate | str) -> MixingMeasure:
    """The fitted measures, written in the truth's gauge where the gate has one.

    β1 as in :func:`voronoi`; β0 so that Σ_i e^β0_i is that of the truth. f stays as it is. Under
    other gates γ is shifted, τ is that of the truth where a gauge moves it, and β1 of a cosine gate
    has length 1. Raises :class:`~identkit.errors.InputError` as :func:`voronoi` does, where the
    parameter space of the gate ends before, and for routers whose coordinates are not inverted.

    >>> truth = MixingMeasure([0.0, 1.0], [[0.0], [2.0]], [[1.0], [3.0]])
    >>> align(truth.shifted(4.0, [-8.0]), truth, "softmax").beta1
    array([[0.],
           [2.]])
    """
    gate = resolve(gate)
    if gate.level is not None:
        raise InputError(
            f"gate {gate.name}: measures are not written in another's gauge; compare them by "
            "voronoi."
        )
    shift = voronoi(fitted, truth, gate).shift
    formula = formula_of(gate, gate.chosen(None), None)
    coordinates = formula.terms.coordinates
    if coordinates is not None:
        moved = coordinates.back(_values(fitted), shift, _values(truth))
        fitted = _with(fitted, moved)
    if gate.pinning is None:
        return fitted
    sums = [
        np.logaddexp.reduce(formula.normal(m, name).offset, axis=-1)
        for m, name in ((truth, "truth"), (fitted, "fitted"))
    ]
    offset = (sums[0] - sums[1])[..., None]
    if coordinates is not None:
        return _with(fitted, {"beta0": fitted.beta0 + offset})
    return gate.pinning.apply(fitted, np.concatenate([shift, offset], axis=-1))


def _values(measure: MixingMeasure) -> dict[str, Array]:
    return {b.name: measure[b.name] for b in measure.layout.blocks}


def _with(measure: MixingMeasure, values: Mapping[str, Any]) -> MixingMeasure:
    return MixingMeasure.of(measure.layout, {**_values(measure), **values})


def largest(values: Array, where: Mask) -> Array:
    """The maximum over the last axis where ``where`` holds; NaN if nowhere."""
    largest = np.where(where, values, -np.inf).max(axis=-1)
    return np.where(where.any(axis=-1), largest, np.nan)
