"""Regime 2: how far estimates are from the population minimisers, the exact refits of f_G*.

Where ``check`` has proved refits, two upper bounds of the distance to the set of them, the smaller
of which is reported:

* the proved refits: the true atoms with null experts beside them, or with one of them split in two.
  Atoms are matched by an assignment problem;
* descent: least squares on the population, y = f_G*, started at the estimate, in the same box. Near
  a regular part of the set its steps are nearly orthogonal to it, so that it ends close to the
  nearest point. It counts where it ends at an exact refit, that is with an error of f far below
  the estimate's. (On its way to a null expert it also turns that atom's gate, which does not matter
  at the end but counts in the distance.)

Where no refit is known the minimisers of the population are not known either: descent ends at a
local minimiser, and that is what is reported, under a name of its own.

Distances are Σ_i |Δβ0| + ‖Δβ1‖ + ‖Δη‖, the loss of Regime 2 in theory section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from identkit.degeneracy.records import Refit
from identkit.experts import symbols
from identkit.expression import parse
from identkit.fit.engine import Compute, least_squares
from identkit.losses.norms import Rule
from identkit.mixing import MixingMeasure
from identkit.rates.setting import Setting
from identkit.vocabulary import RefitKind

Array = NDArray[np.float64]

POINTS, MANY_POINTS = 512, 4096
"""Points of the population: Gauss nodes for d = 1, Monte Carlo points of seed 0 above."""
STEPS = 400
EXACT = 1e-3
"""Of the estimate's error of f: descent that ends below it has reached an exact refit, as near as
the distance to it needs."""


class Nearest(NamedTuple):
    """For each of R estimates: the distance, its largest ‖Δη‖, and ‖f − f of the minimiser‖."""

    distance: Array
    expert: Array
    regression: Array


def nearest(
    setting: Setting, fitted: MixingMeasure, refits: Sequence[Refit], regression: Array
) -> Nearest:
    """The nearest exact refit found, or without ``refits`` the minimiser that descent finds.

    NaN where neither way finds one. ``regression`` (R,) is ‖f_fitted − f_G*‖.
    """
    best, left = _descent(setting, fitted)
    if not refits:
        return best
    exact = left <= EXACT * regression
    best = Nearest(*(np.where(exact, values, np.nan) for values in best))
    for refit in refits:
        for distance, expert in _to_refit(setting, fitted, refit):
            closer = ~(best.distance <= distance)
            best = Nearest(
                np.where(closer, distance, best.distance),
                np.where(closer, expert, best.expert),
                np.where(closer, regression, best.regression),
            )
    return best


def within_box(setting: Setting, refits: Sequence[Refit]) -> tuple[Refit, ...]:
    """The refits that have a point in the box with k atoms; dead experts are not looked into."""
    eta = setting.model.layout["eta"]
    low, high = (end[eta] for end in setting.box.bounds(setting.model, 1))
    extra = setting.k - setting.truth.atoms

    def inside(eta: Array | None) -> bool:
        return eta is not None and bool(((low <= eta) & (eta <= high)).all())

    found = []
    for refit in refits:
        if refit.kind == RefitKind.NULL_EXPERT:
            middle = np.clip(np.zeros(len(low)), low, high)
            good = inside(_image(setting, refit.substitution[0], middle))
        else:
            good = (
                refit.kind == RefitKind.SPLITTING
                and extra == 1
                and any(
                    all(inside(_image(setting, part, eta)) for part in refit.substitution)
                    for eta in setting.truth.eta
                )
            )
        if good:
            found.append(refit)
    return tuple(found)


def _descent(setting: Setting, fitted: MixingMeasure) -> tuple[Nearest, Array]:
    """Where descent ends, NaN where it does not, and ‖f − f_G*‖ there."""
    model = setting.model
    rule = Rule.of(model.dim, setting.domain, POINTS if model.dim == 1 else MANY_POINTS, 0)
    y = model.predict(setting.truth, rule.points)
    result = least_squares(
        model, rule.points, np.tile(y, (len(fitted), 1)), fitted, box=setting.box,
        weight=len(y) * rule.weights, max_steps=STEPS, flat=0.0,
        compute=Compute(device="cpu", nodes=False),
    )  # fmt: skip
    near = result.measure
    total, expert = _gaps(fitted, near)
    gap = model.predict(fitted, rule.points) - model.predict(near, rule.points)
    # descent that ran out of steps is at no minimiser
    ended = np.array([s.finished for s in result.status])
    values = total.sum(axis=-1), expert.max(axis=-1), np.sqrt((gap**2 * rule.weights).sum(axis=-1))
    left = model.predict(near, rule.points) - y
    return (
        Nearest(*(np.where(ended, v, np.nan) for v in values)),
        np.sqrt((left**2 * rule.weights).sum(axis=-1)),
    )


def _gaps(fitted: MixingMeasure, other: MixingMeasure) -> tuple[Array, Array]:
    """|Δβ0| + ‖Δβ1‖ + ‖Δη‖ and ‖Δη‖, atom by atom."""
    expert = np.linalg.norm(fitted.eta - other.eta, axis=-1)
    gate = np.linalg.norm(fitted.beta1 - other.beta1, axis=-1)
    return np.abs(fitted.beta0 - other.beta0) + gate + expert, expert


def _to_refit(setting: Setting, fitted: MixingMeasure, refit: Refit) -> list[tuple[Array, Array]]:
    """Distances to the refits of this kind: one entry, or one for each true atom that splits."""
    truth, extra = setting.truth, setting.k - setting.truth.atoms
    if refit.kind == RefitKind.NULL_EXPERT:
        null = _off_null(setting, fitted, refit.substitution[0])
        columns = [_column(fitted, truth, j, truth.eta[j]) for j in range(truth.atoms)]
        return [_assigned(columns + [(null, null)] * extra)]
    if refit.kind != RefitKind.SPLITTING or extra != 1:
        return []
    found = []
    for j in range(truth.atoms):
        parts = [_image(setting, pair, truth.eta[j]) for pair in refit.substitution]
        if any(p is None for p in parts):
            continue
        columns = [_column(fitted, truth, i, truth.eta[i]) for i in range(truth.atoms) if i != j]
        columns += [_column(fitted, truth, j, p) for p in parts if p is not None]
        found.append(_assigned(columns))
    return found


def _column(fitted: MixingMeasure, truth: MixingMeasure, j: int, eta: Array) -> tuple[Array, Array]:
    """Gaps (R, k) of every fitted atom to an atom with the gate of true atom j and this η."""
    atom = MixingMeasure(
        np.broadcast_to(truth.beta0[j], fitted.beta0.shape),
        np.broadcast_to(truth.beta1[j], fitted.beta1.shape),
        np.broadcast_to(eta, fitted.eta.shape),
    )
    return _gaps(fitted, atom)


def _off_null(
    setting: Setting, fitted: MixingMeasure, images: tuple[tuple[str, str], ...]
) -> Array:
    """Distance (R, k) of η to the null experts: the parameters substituted, the others free.

    p = c is |p − c| away, p = ±v is |p ∓ v|/√2; the equations of a refit are about different p.
    """
    names = setting.model.parameters
    total = np.zeros(fitted.beta0.shape)
    for name, text in images:
        value = fitted.eta[..., names.index(name)]
        image: Any = parse(text)
        if image.is_number:
            total += (value - float(image)) ** 2
            continue
        (other,) = image.free_symbols
        sign = float(image.coeff(other))
        total += (value - sign * fitted.eta[..., names.index(str(other))]) ** 2 / 2
    return np.sqrt(total)


def _image(setting: Setting, images: tuple[tuple[str, str], ...], eta: Array) -> Array | None:
    """η after a substitution; None where it is not real and finite."""
    names = setting.model.parameters
    at: Any = dict(zip(symbols(names), map(float, eta), strict=True))
    moved = eta.copy()
    for name, text in images:
        value: Any = parse(text).subs(at).evalf()
        if not (value.is_real and value.is_finite):
            return None
        moved[names.index(name)] = float(value)
    return moved


def _assigned(columns: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The assignment of fitted atoms to columns with the least total, and its largest ‖Δη‖."""
    from scipy.optimize import linear_sum_assignment

    totals = np.stack([total for total, _ in columns], axis=-1)  # (R, k, k)
    experts = np.stack([expert for _, expert in columns], axis=-1)
    distance, expert = np.empty(len(totals)), np.empty(len(totals))
    for r, matrix in enumerate(totals):
        rows, chosen = linear_sum_assignment(matrix)
        distance[r] = matrix[rows, chosen].sum()
        expert[r] = experts[r, rows, chosen].max()
    return distance, expert
