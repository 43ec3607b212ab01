"""Exact curves of a router's weight W beside those of the expert: families of a cell, and gauges.

W(x, γ, φ) and h(x, η) have no parameter in common, so that each has its curves. Along one of W the
true atom can be replaced by atoms with the same η whose weights make up for the factors. Where the
curve moves what all atoms share, as (ω, τ) → (cω, cτ) does under ωᵀx/τ, all atoms move along it
together and f stays as it is: a gauge, which is fixed by holding the shared parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.deadline import Deadline
from identkit.degeneracy.families import Flow, Lift, exact_curves
from identkit.experts import symbols


@dataclass(frozen=True)
class Curves:
    """Curves of one atom, and ``flows`` without a closed form; those ``of_router`` are of its W.

    Velocities are over all parameters of the atom. ``gauges`` move what all atoms share.
    """

    lifts: list[Lift]
    flows: list[Flow]
    of_router: tuple[Lift | Flow, ...] = ()
    gauges: tuple[Lift | Flow, ...] = ()


def curves_of(
    atom: AtomFunction, expert: tuple[list[Lift], list[Flow]], deadline: Deadline
) -> Curves:
    """Those of the ``expert`` with what is found of its router; to find nothing shows nothing."""
    if atom.routed is None:
        return Curves(*expert)
    alone = weight_function(atom)
    lifts, flows = exact_curves(alone, deadline)
    still, moving = _without_shared(flows, len(atom.shared))
    held = [x for x in _widened(lifts, alone.parameters, atom) if not _moves_shared(x, atom)]
    still = _widened(still, alone.parameters, atom)
    curves = _alike(lifts, alone, atom)
    lost = _apart(alone, atom.shared)
    if not curves and lost is not None:
        lifts, flows = exact_curves(lost, deadline)
        curves = _alike(lifts, alone, atom)
        moving += _without_shared(flows, len(atom.shared))[1]
    gauges = curves or _flows_alike(moving, alone, atom)[:1]
    own, flowing = (_widened(some, atom.of_expert, atom) for some in expert)
    return Curves([*own, *held], [*flowing, *still], (*held, *still), tuple(gauges))


def weight_function(atom: AtomFunction) -> AtomFunction:
    """W at β0 = 0, a function of γ and of what is shared."""
    offset, *gate = atom.gate
    weight = atom.routed.subs(symbols((offset,))[0], 0)
    return AtomFunction("W", weight, atom.inputs, (*gate, *atom.shared))


def _alike(lifts: Sequence[Lift], alone: AtomFunction, atom: AtomFunction) -> list[Lift]:
    """Those along which all atoms move together: what they share moves for each in one way."""
    return [
        x
        for x in _widened(lifts, alone.parameters, atom)
        if x.r2 == 0
        and _moves_shared(x, atom)
        and not any(
            e.free_symbols & _own(alone, atom)
            for p, e in x.curve.images.items()
            if str(p) in atom.shared
        )
    ]


def _flows_alike(moving: Sequence[Flow], alone: AtomFunction, atom: AtomFunction) -> list[Flow]:
    made = (_of_all_atoms(f, len(atom.shared), _own(alone, atom)) for f in moving)
    return _widened([f for f in made if f is not None], alone.parameters, atom)


def _own(alone: AtomFunction, atom: AtomFunction) -> set[Any]:
    """The parameters of W that each atom has for itself."""
    return {s for s in symbols(alone.parameters) if str(s) not in atom.shared}


def _of_all_atoms(flow: Flow, count: int, own: set[Any]) -> Flow | None:
    """The flow with a speed for what is shared that is free of the atom's ``own`` parameters.

    exp(w)·κ x is constant along (e^w − 1, −κe^w) up to a common factor: e^w is not that of another
    atom, so that the flow of all is (e^−w − 1, κ).
    """
    lead = next(v for v in flow.velocity[-count:] if v != 0)
    # what all atoms have in common of the speed stays: κ' = κ, not κ' = 1
    _, factor = sp.factor(lead).as_independent(*own, as_Add=False)
    velocity = tuple(sp.cancel(v / factor) for v in flow.velocity)
    if any(v.free_symbols & own for v in velocity[-count:]):
        return None
    return Flow(velocity, sp.cancel(flow.rate / factor))


def _apart(alone: AtomFunction, shared: Sequence[str]) -> AtomFunction | None:
    """W over its value at γ = 0, a function of x and φ that the weights of all atoms can lose.

    −κ(x − ω)² has the gauge of 2κωx − κω²: what κ does to −κx² is common to all atoms. None where
    there is nothing to lose.
    """
    still: Any = {s: sp.Integer(0) for s in symbols(alone.parameters) if str(s) not in shared}
    common = alone.expression.subs(still)
    of_x = common.free_symbols & {*symbols(alone.inputs)}
    if not shared or common.has(sp.nan, sp.zoo, sp.oo) or not of_x:
        return None
    return replace(alone, expression=sp.powsimp(alone.expression / common))


def separable(atom: AtomFunction) -> AtomFunction:
    """W_i/W_j of two atoms at β0 = 0, a function of γ, γ′ and of what is shared."""
    gate, weight = atom.gate[1:], weight_function(atom).expression
    other = tuple(f"{g}′" for g in gate)
    moved = dict(zip(symbols(gate), symbols(other), strict=True))
    ratio = sp.powsimp(weight / weight.xreplace(moved))
    return AtomFunction("W", ratio, atom.inputs, (*gate, *other, *atom.shared))


def _widened(found: Sequence[Any], own: Sequence[str], atom: AtomFunction) -> list[Any]:
    """Curves and flows with velocities over all parameters of the atom."""

    def wide(velocity: Sequence[Any]) -> tuple[Any, ...]:
        known = dict(zip(own, velocity, strict=True))
        return tuple(known.get(p, sp.Integer(0)) for p in atom.parameters)

    return [
        replace(x, velocity=wide(x.velocity))
        if isinstance(x, Flow)
        else replace(x, curve=replace(x.curve, velocity=wide(x.curve.velocity)))
        for x in found
    ]


def gauge_text(found: Lift | Flow, atom: AtomFunction) -> str:
    """What a gauge does to the parameters of every atom and to the shared ones."""
    if isinstance(found, Flow):
        pairs = zip(atom.parameters, found.velocity, strict=True)
        moved = ", ".join(f"{p}' = {v}" for p, v in pairs if v != 0)
        if found.rate != 0:
            moved = f"{moved}, β0' = {sp.simplify(-found.rate)}"
        return f"the flow of {moved} (no closed form)"
    images = ", ".join(f"{p} → {e}" for p, e in found.curve.images.items())
    if found.r1 == 1:
        return images
    return f"{images}, β0 → {sp.simplify(sp.Symbol('β0') - sp.log(found.r1))}"


def _moves_shared(found: Lift, atom: AtomFunction) -> bool:
    names = zip(atom.parameters, found.curve.velocity, strict=True)
    return any(v != 0 for p, v in names if p in atom.shared)


def _without_shared(flows: Sequence[Flow], count: int) -> tuple[list[Flow], list[Flow]]:
    """A basis of the flows' span: those that leave the shared parameters alone, and the others."""
    left, moving = list(flows), []
    for place in range(-count, 0):
        lead = next((f for f in left if f.velocity[place] != 0), None)
        if lead is None:
            continue
        left.remove(lead)
        moving.append(lead)
        left = [_minus(f, lead, f.velocity[place] / lead.velocity[place]) for f in left]
    return left, moving


def _minus(flow: Flow, other: Flow, factor: Any) -> Flow:
    pairs = zip(flow.velocity, other.velocity, strict=True)
    return Flow(
        tuple(sp.cancel(a - factor * b) for a, b in pairs),
        sp.cancel(flow.rate - factor * other.rate),
    )
