"""∂f_G(x)/∂θ for every parameter of a measure: what the delta method needs at new x.

With D_r the derivative of f_G by row r of an atom, a slot of its score, its expert or the score of
its group (:class:`identkit.fit.structure.Places`), a number v of the atom that enters row r times
c_v·feature_v has ∂f/∂θ_v = c_v·feature_v(x)·D_r(x); numbers that atoms share are summed over them.
With weights w_i = ω_i/Ω and h_i the experts' values

    D of a slot of the expert:   w_i·∂h_i/∂u
    D of a slot of the score:    ω_i'/Ω·(h_i − f)·∂s_i/∂u, and ω_i'·h_i·∂s_i/∂u without a divisor
    within group g of weight π:  π_g·ω_i'/Ω_g·(h_i − f_g)·∂s_i/∂u
    D of a slot of the group's:  π_g·(f_g − f)·∂τ_g/∂u

where f_g is the mean of the group. What a gate selects is constant between its jumps, so atoms that
are not selected have no derivative but what they add to Ω.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from identkit.fit.model import Model
    from identkit.fit.structure import Structure
    from identkit.mixing import MixingMeasure

Array = NDArray[np.float64]


def gradient_chunk(model: Model, measure: MixingMeasure, x: Array) -> Array:
    """∂f/∂θ at x (n, d), shape (n, p), for one measure; all n at once."""
    atoms, n = measure.atoms, len(x)
    features = np.concatenate([x, np.ones((n, 1))], axis=1).T
    vector, index = model.pack(measure), model.gather(atoms)
    units = (vector if index is None else vector[index.reshape(-1)]).reshape(atoms, -1)
    rows = np.zeros((max(model.places.row) + 1, atoms, n))
    for value, row, feature, scale in zip(units.T, *model.places[:3], strict=True):
        rows[row] += (scale * value[:, None]) * features[feature]
    derivatives = _by_rows(model, measure, rows, x)
    each = np.empty((n, atoms, model.per_atom))
    for v, (row, feature, scale) in enumerate(zip(*model.places[:3], strict=True)):
        each[..., v] = (derivatives[row] * (scale * features[feature])).T
    flat = each.reshape(n, -1)
    if index is None:
        return flat
    out = np.zeros((n, len(vector)))
    for column, place in enumerate(index.reshape(-1)):
        out[:, place] += flat[:, column]
    return out


def _by_rows(model: Model, measure: MixingMeasure, rows: Array, x: Array) -> Array:
    """D, the derivatives of f by each row of each atom, (rows, k, n)."""
    shape = rows.shape[1:]
    score_slots = 1 if model.score is None else len(model.score.slots)
    own, expert, outer = np.split(rows, [score_slots, score_slots + model.slots])
    heads = model.numpy_heads
    h = _called(heads.expert, model.structure, expert, x, shape)
    with np.errstate(divide="ignore", invalid="ignore"):  # 1/0 where InverseRoot is 0
        s = (
            [own[0], np.ones(shape)]
            if model.score is None
            else _called(heads.score, model.score, own, x, shape)
        )
        tau = [] if model.group_score is None else _called(
            heads.group, model.group_score, outer, x, shape
        )  # fmt: skip
    weight, slope, moved, group = _moved(model, measure, s[0], h[0], tau)
    out = np.zeros_like(rows)
    for t in range(score_slots):
        out[t] = slope * moved * s[1 + t]
    for t in range(model.slots):
        out[score_slots + t] = weight * h[1 + t]
    for t in range(len(outer)):
        # every atom of a group has its numbers, the first stands for all
        first = [part.start for part in model.layout.members]
        out[score_slots + model.slots + t, first] = group * tau[1 + t][first]
    return out


def _called(head, found: Structure, slots: Array, x: Array, shape: tuple[int, int]) -> list[Array]:
    """Value and first derivatives of a head, each (k, n)."""
    values = head(*slots, *(x[None, :, feature] for feature in found.direct))
    return [np.broadcast_to(v, shape) for v in values[: 1 + len(slots)]]


def _moved(
    model: Model, measure: MixingMeasure, score: Array, h: Array, tau: list[Array]
) -> tuple[Array, Array, Array, Array]:
    """Weights, ω'/Ω, what each of the latter moves, and π_g·(f_g − f) of groups (G, n)."""
    gate, selection = model.gate, model.gate.selection
    members = model.layout.members or (slice(None),)
    weight = model.weights_of_scores(measure, score, tau[0] if tau else None)
    f = (weight * h).sum(axis=0)
    none = np.zeros((0, *f.shape))
    if model.exponential:  # a common factor cancels within what is divided
        score = score - np.concatenate(
            [np.broadcast_to(score[p].max(axis=0), score[p].shape) for p in members]
        )
    omega, slope = (np.broadcast_to(v, h.shape) for v in model.numpy_heads.gate(score)[:2])
    if selection is not None:
        # an atom that is selected weighs something, unless ω underflows
        chosen = weight != 0.0
        whole = selection.divided_by == "all"
        total = (omega if whole else omega * chosen).sum(axis=0)
        moved = np.where(chosen, h, 0.0) - f if whole else np.where(chosen, h - f, 0.0)
        return weight, slope / total, moved, none
    if not gate.divides:
        return weight, slope, h, none
    if not tau:
        return weight, slope / omega.sum(axis=0), h - f, none
    shares, moved, groups = np.empty(h.shape), np.empty(h.shape), []
    for part in members:
        outer = weight[part].sum(axis=0)
        inside = omega[part] / omega[part].sum(axis=0)
        mean = (inside * h[part]).sum(axis=0)
        shares[part] = outer * slope[part] / omega[part].sum(axis=0)
        moved[part] = h[part] - mean
        groups.append(outer * (mean - f))
    return weight, shares, moved, np.stack(groups)
