"""The loss under a gate of two levels: within each group, and between the groups.

Fitted groups are matched with true ones, in the way that makes the loss least. Of a matched pair it
is the loss of the inner gate between the atoms of the two, each group's shift by itself; between
groups it is Σ_g |W_g − W_g*| + W_g ‖Δα1_g‖, W_g = e^α0 over its sum, at the best common shift of α1
(of a Laplace gate ‖Δψ‖, without a shift). Only what is proved is compared: each true group fitted
by one group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import permutations
from typing import Any

import numpy as np

from identkit.errors import InputError
from identkit.gates import Gate, resolve
from identkit.gates.softmax import weigh
from identkit.losses.shifts import Parts, VoronoiLoss
from identkit.mixing import Array, MixingMeasure

MOST_GROUPS = 6
"""Groups whose matchings, 720 of them, are all tried."""


def of_levels(
    fitted: MixingMeasure,
    truth: MixingMeasure,
    gate: Gate,
    order: float | None,
    within: Callable[..., VoronoiLoss],
) -> VoronoiLoss:
    """As :func:`identkit.losses.voronoi`, which is ``within`` the groups.

    ``shift`` has shape (…, groups, m).

    Raises InputError for another number of groups than the truth's, and for more than six.
    """
    assert gate.level is not None
    for measure in (fitted, truth):
        gate.check_layout(measure.layout)
    count = len(truth.layout.groups)
    if len(fitted.layout.groups) != count:
        raise InputError(
            f"fitted: it has {len(fitted.layout.groups)} groups, the truth {count}; no loss is "
            "known of true groups that are fitted by several; fit as many groups."
        )
    if count > MOST_GROUPS:
        raise InputError(
            f"groups: {count} are more than the {MOST_GROUPS} whose matchings are compared; "
            "compare groups by themselves."
        )
    many = fitted if fitted.batch else MixingMeasure.stack([fitted])
    inner = resolve(gate.level.within)
    own, true = _groups(many, inner), _groups(truth, inner)
    inside = [[within(f, t, inner, order=order) for t in true] for f in own]
    outer = _outer(many, truth, gate)
    matchings = list(permutations(range(count)))
    totals = np.array(
        [
            sum(inside[g][t].value for g, t in enumerate(match)) + sum(outer[match][:2])
            for match in matchings
        ]
    )
    best = totals.argmin(axis=0)

    def chosen(of: Any) -> Any:
        """A function of the matching, for each measure the one of its best."""
        values = np.array([of(match) for match in matchings])
        return values[best, np.arange(len(best))]

    def summed(name: str, beside: Any = None) -> Array:
        return chosen(
            lambda m: (
                sum(getattr(inside[g][t].parts, name) for g, t in enumerate(m))
                + (0.0 if beside is None else beside(m))
            )
        )

    def most(name: str, beside: Any = None) -> Array:
        def of(match: tuple[int, ...]) -> Array:
            found = [getattr(inside[g][t], name) for g, t in enumerate(match)]
            found += [] if beside is None else [beside(match)]
            with np.errstate(all="ignore"):
                return np.fmax.reduce(np.array(found))

        return chosen(of)

    def labels(match: tuple[int, ...]) -> Any:
        starts = [part.start for part in truth.layout.members]
        return np.concatenate([inside[g][t].cells + starts[t] for g, t in enumerate(match)], axis=1)

    cells = chosen(labels).astype(np.intp)
    sizes = (cells[..., None] == np.arange(truth.atoms)).sum(axis=1)
    value = totals[best, np.arange(len(best))]
    parts = Parts(
        summed("weight", lambda m: outer[m][0]),
        summed("over"),
        summed("exact", lambda m: outer[m][1]),
        np.zeros_like(value),
    )
    result = VoronoiLoss(
        value=value,
        parts=parts,
        cells=cells,
        sizes=sizes,
        empty=sizes == 0,
        eta_over=most("eta_over"),
        gate_over=most("gate_over"),
        exact_error=most("exact_error", lambda m: outer[m][2]),
        shift=chosen(lambda m: np.stack([inside[g][t].shift for g, t in enumerate(m)], axis=1)),
        premise=np.ones(len(value), dtype=bool),
    )
    return result if fitted.batch else _single(result)


def _groups(measure: MixingMeasure, inner: Gate) -> list[MixingMeasure]:
    """The measure of each group under the inner gate alone."""
    layout = inner.layout(measure.dim, measure.parameters)
    found = []
    for part in measure.layout.members:
        values = {}
        for block in layout.blocks:
            array = measure[block.name]
            values[block.name] = array[..., part, :] if block.axis else array[..., part]
        found.append(MixingMeasure.of(layout, values))
    return found


def _outer(
    fitted: MixingMeasure, truth: MixingMeasure, gate: Gate
) -> dict[tuple[int, ...], tuple[Array, Array, Array]]:
    """By matching: Σ |ΔW|, Σ W ‖Δα1‖ and max ‖Δα1‖, each (R,)."""
    assert gate.level is not None
    slope, offset = gate.level.blocks
    shifted = slope in gate.level.pinned
    weight, true_weight = weigh(fitted[offset.name]), weigh(truth[offset.name])
    found = {}
    for match in permutations(range(weight.shape[-1])):
        index = list(match)
        gap = fitted[slope.name] - truth[slope.name][index]  # (R, groups, m)
        candidates = [gap - gap[:, [g]] for g in range(gap.shape[1])] if shifted else [gap]
        sizes = np.stack([np.linalg.norm(c, axis=-1) for c in candidates])
        totals = (weight * sizes).sum(axis=-1)
        best = totals.argmin(axis=0)
        rows = np.arange(len(best))
        found[match] = (
            np.abs(weight - true_weight[index]).sum(axis=-1),
            totals[best, rows],
            sizes[best, rows].max(axis=-1),
        )
    return found


def _single(found: VoronoiLoss) -> VoronoiLoss:
    values = {f.name: getattr(found, f.name) for f in fields(found) if f.name != "parts"}
    return replace(
        found,
        parts=Parts(*(p[0] for p in found.parts)),
        **{name: array[0] for name, array in values.items()},
    )
