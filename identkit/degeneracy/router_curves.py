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
    offset, *gate = atom.gate
    alone = AtomFunction(
        "W", atom.routed.subs(symbols((offset,))[0], 0), atom.inputs, (*gate, *atom.shared)
    )
    lifts, flows = exact_curves(_apart(alone, atom.shared), deadline)
    still, moving = _without_shared(flows, len(atom.shared))
    lifts, still, moving = (
        _widened(some, alone.parameters, atom) for some in (lifts, still, moving)
    )
    held = [x for x in lifts if not _moves_shared(x.curve.velocity, atom)]
    gauges = [x for x in lifts if x not in held and x.r2 == 0]
    own, flowing = (_widened(some, atom.of_expert, atom) for some in expert)
    return Curves(
        [*own, *held], [*flowing, *still], (*held, *still), tuple(gauges) or tuple(moving)
    )


def _apart(alone: AtomFunction, shared: Sequence[str]) -> AtomFunction:
    """W over its value at γ = 0, a function of x and φ that the weights of all atoms can lose.

    −κ(x − ω)² has the gauge of 2κωx − κω²: what κ does to −κx² is common to all atoms.
    """
    still: Any = {s: sp.Integer(0) for s in symbols(alone.parameters) if str(s) not in shared}
    common = alone.expression.subs(still)
    of_x = common.free_symbols & {*symbols(alone.inputs)}
    if not shared or common.has(sp.nan, sp.zoo, sp.oo) or not of_x:
        return alone
    return replace(alone, expression=sp.powsimp(alone.expression / common))


def separable(atom: AtomFunction) -> AtomFunction:
    """W_i/W_j of two atoms at β0 = 0, a function of γ, γ′ and of what is shared."""
    offset, *gate = atom.gate
    alone = atom.routed.subs(symbols((offset,))[0], 0)
    other = [f"{g}′" for g in gate]
    moved = dict(zip(symbols(tuple(gate)), symbols(tuple(other)), strict=True))
    ratio = sp.powsimp(alone / alone.xreplace(moved))
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
        return f"the flow of {moved} (no closed form)"
    images = ", ".join(f"{p} → {e}" for p, e in found.curve.images.items())
    if found.r1 == 1:
        return images
    return f"{images}, β0 → {sp.simplify(sp.Symbol('β0') - sp.log(found.r1))}"


def _moves_shared(velocity: Sequence[Any], atom: AtomFunction) -> bool:
    names = zip(atom.parameters, velocity, strict=True)
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
