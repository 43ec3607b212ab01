"""Coordinates in which fitted atoms can be compared and merged, or why there are none.

A distance between atoms means something where over-specified atoms of one cell come together: where
f shows M = Σ w_i δ_i δ_iᵀ (theory section 4). It does not along exact families, curves on which
atoms spread without a change of f. Whether an expert has one is proved as ``check`` does.

A Gaussian density shows more (theory section 8): atoms N(y|h, ν) with different functions h or
different ν are told apart, so that the only exact families are those along which h does not change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identkit.atoms import expert_function
from identkit.deadline import Deadline
from identkit.degeneracy.families import exact_curves
from identkit.degeneracy.symmetry import reflections
from identkit.errors import InputError, OutOfTime
from identkit.fit.model import Model
from identkit.fit.starts import linear_parameters, spread
from identkit.gates.merging import Merging
from identkit.likelihoods import resolve
from identkit.vocabulary import Through

Array = NDArray[np.float64]

SEARCH_SECONDS = 20.0
"""For exact families and sign flips of an expert; the built-in ones take less than one."""
MOST_FLIPS = 8
"""Generators of sign flips that are multiplied out: 256 signs."""


@dataclass(frozen=True, eq=False)
class Frame:
    """How atoms of one model are compared.

    ``flips`` (g, q) holds the signs s, the first all 1, with h(x, s·η) = h(x, η). ``compared``:
    whether η is in the distance; of experts affine in all of η it is not, since atoms of a cell
    with any η have the f of one with their mean.
    """

    model: Model
    merging: Merging
    flips: Array
    compared: bool

    @classmethod
    def of(cls, model: Model) -> Frame:
        """Raises :class:`~identkit.errors.InputError` where merging atoms is not known.

        That is under gates without a :class:`~identkit.gates.merging.Merging`, and for experts
        along whose exact families atoms of one cell stay apart: of f, or of the density where the
        gate is one under a Gaussian likelihood.
        """
        gate, expert = model.gate, model.expert
        of_f = resolve(gate.likelihood).through is Through.VALUE
        if gate.merging is None:
            raise InputError(
                f"gate {gate.name}: how two atoms merge is not known, so that there is no "
                "dendrogram; choose by bic or cv."
            )
        # a kink in a pre-activation has no second derivative to show
        every = expert.is_smooth and len(linear_parameters(model)) == len(model.parameters)
        if of_f and every and gate.merging.affine:
            return cls(model, gate.merging, np.ones((1, len(model.parameters))), False)
        atom, deadline = expert_function(expert), Deadline(SEARCH_SECONDS)
        free = any(r.expansion is not None and r.expansion.gates for r in gate.regimes)
        try:
            lifts, flows = exact_curves(atom, deadline)
            signs = [
                dict(e.identity.terms[1][1])
                for e in reflections(atom, deadline)
                if e.kind == "symmetry of one atom" and e.identity is not None
            ]
        except OutOfTime:
            raise InputError(
                f"expert {expert.label}: whether atoms of one cell come together was not found "
                f"within {SEARCH_SECONDS:g} s, so that there is no dendrogram; choose by bic or cv."
            ) from None
        if of_f:
            found = [lift.curve.velocity for lift in lifts if lift.usable(free)]
            found += [flow.velocity for flow in flows if not found]
        else:  # h is the last column of the echelon: a relation among ∇h alone has rate 0
            found = [flow.velocity for flow in flows if flow.rate == 0]
        if found:
            moved = [p for p, v in zip(model.parameters, found[0], strict=True) if v != 0]
            raise InputError(
                f"expert {expert.label}: atoms of one cell can differ in {', '.join(moved)} "
                f"without a change of {'f' if of_f else 'h'}, so that no distance between atoms "
                "vanishes and there is no dendrogram; choose by bic or cv."
            )
        return cls(model, gate.merging, _group(signs, model.parameters), True)

    def standard(self, eta: Array, x: Array) -> Array:
        """η (k, q) as it would be if the columns of x (n, d) had mean 0 and s.d. 1.

        A pre-activation aᵀx + b has a·s.d. and b + aᵀmean. What is in no sum with an input stays,
        and so does b where an expert has a without b.
        """
        found, d = self.model.structure, self.model.dim
        centre, unit = x.mean(axis=0), spread(x)
        places = list(zip(found.slot_of, found.feature_of, found.scale_of, strict=True))
        offsets = {slot: (v, scale) for v, (slot, f, scale) in enumerate(places) if f == d}
        moved = eta.copy()
        for v, (slot, feature, scale) in enumerate(places):
            if feature < d:
                moved[:, v] *= unit[feature]
                if slot in offsets:
                    at, own = offsets[slot]
                    moved[:, at] += scale / own * centre[feature] * eta[:, v]
        return moved


def _group(signs: list[dict[str, str]], parameters: tuple[str, ...]) -> Array:
    """All products of the generators, the identity first."""
    group = np.ones((1, len(parameters)))
    for flip in signs[:MOST_FLIPS]:
        own = np.array([-1.0 if p in flip else 1.0 for p in parameters])
        group = np.concatenate([group, group * own])
    return group
