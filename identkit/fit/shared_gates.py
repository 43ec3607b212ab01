"""Fitted atoms that share a gate, as far as the data tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from identkit.fit.inference import Covariance
from identkit.fit.model import Model
from identkit.fit.result import FitResult
from identkit.fit.starts import spread
from identkit.mixing import MixingMeasure

Array = NDArray[np.float64]

SAME_GATE = 0.1
"""Gates count as equal when their scores differ by less than this per standard deviation of x,
which changes a sigmoid weight by less than 0.025."""
SCORED = 4096
"""Samples on which scores are compared."""
MAYBE_SAME_GATE = 1.0
"""… or by less than this, if the data do not tell them apart (Wald statistic)."""


@dataclass(frozen=True)
class SharedGate:
    """Fitted atoms whose gates are equal as far as the data tell: candidates for one true atom.

    ``constant`` says that their slopes are 0 as far as the data tell; ``within`` is ``tolerance``
    if all gates differ by less than SAME_GATE, else ``standard errors``.
    """

    atoms: tuple[int, ...]
    constant: bool
    within: Literal["tolerance", "standard errors"]


def shared_gates(
    result: FitResult, x: Array, covariance: Covariance | None = None
) -> tuple[SharedGate, ...]:
    """Groups of fitted atoms with one gate, as far as the data tell.

    Two gates are equal when their scores differ by less than SAME_GATE per standard deviation of x,
    or by less than MAYBE_SAME_GATE and no more than their standard errors explain: a Wald statistic
    of m components at most two standard deviations above its mean, m + 2√(2m). Under a gate
    with a common shift, and where slopes are 0, only slopes are compared: what is left are weights.
    Scores that are not β1ᵀx + β0 are compared on the data, by their standard deviation there, with
    SAME_GATE alone; those of atoms in different groups are not.
    """
    if result.change is not None and result.inner is not None:
        inner = None if covariance is None else covariance.inner
        return shared_gates(result.inner, result.change.inputs(x), inner)
    matrix = None if covariance is None else covariance.matrix
    return alike_gates(result.model, result.measure, x, matrix)


def alike_gates(
    model: Model, measure: MixingMeasure, x: Array, matrix: Array | None = None
) -> tuple[SharedGate, ...]:
    """The same of one measure; ``matrix`` (p, p) is the covariance of its vector, if known."""
    if not model.gate.is_affine:
        return _alike(model, measure, x)
    d, k = model.dim, measure.atoms
    sd, mean = spread(x), x.mean(axis=0)
    # places in an atom: slopes, then the offset
    slopes, offset = model.layout["beta1"], model.layout["beta0"]
    gate = np.r_[slopes, offset]
    # rows: what the slopes and the level of a score are at the scale of the data
    units = np.zeros((d + 1, d + 1))
    units[:d, :d] = np.diag(sd)
    units[d, :d], units[d, d] = mean, 1.0
    gates = np.concatenate([measure.beta1, measure.beta0[:, None]], axis=1) @ units.T

    def within(i: int, j: int | None, size: int) -> str | None:
        """How the first components of gates i and j, or of gate i and 0, agree."""
        gap = gates[i, :size] - (0.0 if j is None else gates[j, :size])
        distance = float(np.linalg.norm(gap))
        if distance <= SAME_GATE:
            return "tolerance"
        if matrix is None or distance > MAYBE_SAME_GATE:
            return None
        pick = np.zeros((size, len(matrix)))
        for atom, sign in ((i, 1.0), (j, -1.0)):
            if atom is not None:
                pick[:, atom * model.per_atom + gate] += sign * units[:size]
        touched = np.abs(pick).sum(axis=0) > 0
        part = pick[:, touched] @ matrix[np.ix_(touched, touched)] @ pick[:, touched].T
        if not np.isfinite(part).all():
            return "standard errors"  # not determined: nothing tells them apart
        statistic = float(gap @ np.linalg.pinv(part, hermitian=True) @ gap)
        if not part.any() or statistic > size + 2.0 * np.sqrt(2.0 * size):
            return None
        return "standard errors"

    flat = [within(i, None, d) for i in range(k)]
    pairs: dict[tuple[int, int], str] = {}
    for i in range(k):
        for j in range(i + 1, k):
            level = model.gate.pinning is None and not (flat[i] and flat[j])
            how = within(i, j, d + level)
            if how is not None:
                pairs[i, j] = how
    return _grouped(
        k, pairs, lambda group: model.gate.pinning is None and all(flat[i] for i in group)
    )


def _alike(model: Model, measure: MixingMeasure, x: Array) -> tuple[SharedGate, ...]:
    """The groups by the scores on the data, up to a constant where weights are divided."""
    part = x[:: max(1, len(x) // SCORED)]
    with np.errstate(all="ignore"):
        scores = model.scores(measure, part)
    centred = scores - scores.mean(axis=-1, keepdims=True)
    compared = centred if model.gate.divides else scores
    flat = np.sqrt((centred**2).mean(axis=-1)) <= SAME_GATE
    pairs = {}
    for members in model.layout.members or (slice(0, measure.atoms),):
        for i in range(members.start, members.stop):
            for j in range(i + 1, members.stop):
                gap = compared[i] - compared[j]
                if np.sqrt((gap**2).mean()) <= SAME_GATE:
                    pairs[i, j] = "tolerance"
    weighed = not model.gate.divides  # else a constant score is no more than a weight
    return _grouped(measure.atoms, pairs, lambda group: weighed and bool(flat[group].all()))


def _grouped(
    atoms: int, pairs: dict[tuple[int, int], str], constant: Callable[[list[int]], bool]
) -> tuple[SharedGate, ...]:
    """Groups in which all share their gate with all."""
    groups: list[list[int]] = []
    for i in range(atoms):
        # an atom joins a group all of whose members share its gate
        home = next((g for g in groups if all((j, i) in pairs for j in g)), None)
        if home is None:
            groups.append([i])
        else:
            home.append(i)
    found = []
    for group in groups:
        if len(group) > 1:
            ties = {pairs[i, j] for n, i in enumerate(group) for j in group[n + 1 :]}
            how = "tolerance" if ties == {"tolerance"} else "standard errors"
            found.append(SharedGate(tuple(group), constant(group), how))
    return tuple(found)
