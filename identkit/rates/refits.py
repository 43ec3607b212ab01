"""Regime 2: how far estimates are from the population minimisers, the exact refits of f_G*.

Two upper bounds of the distance to the set of minimisers, the smaller of which is reported:

* descent: least squares on the population, y = f_G*, started at the estimate, in the same box.
  Near a regular part of the set its steps are nearly orthogonal to it, so that it ends close to the
  nearest point. Where no exact refit exists it finds the (local) minimiser the theorem speaks of;
* the refits that ``check`` has proved: the true atoms with null experts beside them, or with one
  of them split in two. Atoms are matched by an assignment problem. (Descent to a null expert also
  turns its gate, which does not matter at the end but counts in the distance.)

Distances are Σ_i |Δβ0| + ‖Δβ1‖ + ‖Δη‖, the loss of Regime 2 in theory section 6.
"""

from __future__ import annotations

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

Array = NDArray[np.float64]

POINTS, MANY_POINTS = 512, 4096
"""Points of the population: Gauss nodes for d = 1, Monte Carlo points of seed 0 above."""
STEPS = 400


class Nearest(NamedTuple):
    """For each of R estimates: the distance, its largest ‖Δη‖, and ‖f − f of the minimiser‖."""

    distance: Array
    expert: Array
    regression: Array


def nearest(
    setting: Setting, fitted: MixingMeasure, refits: tuple[Refit, ...], regression: Array
) -> Nearest:
    """The nearest minimiser found; NaN where neither way finds one.

    ``regression`` (R,) is ‖f_fitted − f_G*‖: the third entry where a proved refit is nearest.
    """
    best = _descent(setting, fitted)
    for refit in refits:
        for distance, expert in _to_refit(setting, fitted, refit):
            closer = ~(best.distance <= distance)
            best = Nearest(
                np.where(closer, distance, best.distance),
                np.where(closer, expert, best.expert),
                np.where(closer, regression, best.regression),
            )
    return best


def _descent(setting: Setting, fitted: MixingMeasure) -> Nearest:
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
    return Nearest(*(np.where(ended, v, np.nan) for v in values))


def _gaps(fitted: MixingMeasure, other: MixingMeasure) -> tuple[Array, Array]:
    """|Δβ0| + ‖Δβ1‖ + ‖Δη‖ and ‖Δη‖, atom by atom."""
    expert = np.linalg.norm(fitted.eta - other.eta, axis=-1)
    gate = np.linalg.norm(fitted.beta1 - other.beta1, axis=-1)
    return np.abs(fitted.beta0 - other.beta0) + gate + expert, expert


def _to_refit(setting: Setting, fitted: MixingMeasure, refit: Refit) -> list[tuple[Array, Array]]:
    """Distances to the refits of this kind: one entry, or one for each true atom that splits."""
    truth, extra = setting.truth, setting.k - setting.truth.atoms
    if refit.kind == "null expert":
        null = _off_null(setting, fitted, refit.substitution[0])
        columns = [_column(fitted, truth, j, truth.eta[j]) for j in range(truth.atoms)]
        return [_assigned(columns + [(null, null)] * extra)]
    if refit.kind != "splitting" or extra != 1:
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
