"""The atom function U(z; θ) = gate weight × expert: the one primitive every condition acts on.

For regression z = x. A density of y given x is decided by functions of x as well, one for each
derivative of N (:mod:`identkit.degeneracy.moments`).

An expert h: R^d → R^p is the scalar function Σ_c e_c·h_c(x) of (x, e), linear in *markers* e_1 …
e_p: vector functions of x are linearly independent over R just when these functions of (x, e) are,
so that every step made for scalar functions decides the vector ones (theory section 2). Markers are
variables like the inputs, except that no gate sees them and no condition multiplies by them. A
point is then (x, component): e is a unit vector there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

from identkit.experts import Expert, symbols
from identkit.gates import Gate
from identkit.gates.router import Router


@dataclass(frozen=True)
class AtomFunction:
    """A function of the inputs z and the parameters θ, with the name used for it in print.

    ``expression`` is U, ``inputs`` the names of z, ``parameters`` those of θ, in order, and
    ``markers`` those of e where U has several components.

    Where a router has parameters of its own, U = W + h: ``routed`` is W, a function of z and of the
    first parameters, those of the atom's ``gate`` and those that all atoms have ``shared``; h has
    the others. A derivative of U is one of W or of h.
    """

    symbol: str
    expression: sp.Expr
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    markers: tuple[str, ...] = ()
    routed: Any = None
    gate: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """What U is a function of at one θ: the inputs, and the markers after them."""
        return (*self.inputs, *self.markers)

    @property
    def parts(self) -> tuple[Any, ...]:
        """W and h, or U alone."""
        if self.routed is None:
            return (self.expression,)
        return self.routed, self.expression - self.routed

    @property
    def of_expert(self) -> tuple[str, ...]:
        """The parameters of h."""
        return self.parameters[len(self.gate) + len(self.shared) :]

    def at(self, point: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """The values of the variables at a point, whose last number is the component, if any."""
        if not self.markers:
            return tuple(point)
        *x, component = point
        return (*x, *(Fraction(int(component == c + 1)) for c in range(len(self.markers))))

    def everywhere(self, points: Sequence[tuple[Fraction, ...]]) -> list[tuple[Fraction, ...]]:
        """Each x with every component: the points of a function of several components."""
        if not self.markers:
            return list(points)
        components = [Fraction(c + 1) for c in range(len(self.markers))]
        return [(*x, c) for x in points for c in components]

    def shown(self, value: Any) -> str:
        """An expression linear in the markers as text: its components in brackets."""
        if not self.markers:
            return str(value)
        unit = symbols(self.markers)
        parts = (value.xreplace({e: sp.Integer(int(e == own)) for e in unit}) for own in unit)
        return f"({', '.join(map(str, parts))})"


def expert_function(expert: Expert) -> AtomFunction:
    """h alone: what expert-level conditions differentiate."""
    return AtomFunction(
        expert.symbol, expert.expression, expert.inputs, expert.parameters, expert.markers
    )


def difference_function(expert: Expert) -> AtomFunction:
    """U = h(x, η) − h(x, η′), θ = (η, η′); the names of η′ are those of η with an ending."""
    taken = {*expert.inputs, *expert.parameters}
    ends = (f"_{n}" for n in range(2, 2 + len(taken) ** 2))
    end = next(e for e in ends if not taken & {p + e for p in expert.parameters})
    others = tuple(p + end for p in expert.parameters)
    moved = dict(zip(symbols(expert.parameters), symbols(others), strict=True))
    return AtomFunction(
        "U",
        expert.expression - expert.expression.xreplace(moved),
        expert.inputs,
        (*expert.parameters, *others),
        expert.markers,
    )


def gate_parameters(dim: int) -> tuple[str, ...]:
    """Names of (β0, β1): not writable in the expression grammar, so no expert can clash."""
    return ("β0", "β1") if dim == 1 else ("β0", *(f"β1_{i}" for i in range(dim)))


def gated_function(expert: Expert, gate: Gate) -> AtomFunction:
    """F = weight(β1ᵀx + β0)·h, θ = (β0, β1, η); for a normalised gate, its numerator.

    With a router of its own, weight(π(x, γ) + β0)·h and γ for β1.
    """
    if gate.router is not None:
        routed = routed_function(expert, gate)
        return AtomFunction(
            "F", routed.routed * expert.expression, expert.inputs, routed.parameters
        )
    names = gate_parameters(expert.dim)
    intercept, *slopes = symbols(names)
    score = intercept + sum(
        (s * x for s, x in zip(slopes, symbols(expert.inputs), strict=True)), sp.Integer(0)
    )
    return AtomFunction(
        "F",
        gate.weight(score) * expert.expression,
        expert.inputs,
        (*names, *expert.parameters),
        expert.markers,
    )


OFFSET = "β0"
"""The parameter of a router that makes a factor of W."""


def routed_function(expert: Expert, gate: Gate) -> AtomFunction:
    """W + h with W = weight(β0 + score), θ = (β0, γ, η): what a router of its own asks about."""
    weigh = gate.weight
    return _beside(expert, gate.router, (OFFSET,), lambda s: weigh(symbols((OFFSET,))[0] + s))


def scored_function(expert: Expert, gate: Gate) -> AtomFunction:
    """π + h with the score π without β0, θ = (γ, η); π = β1ᵀx without a router of its own."""
    return _beside(expert, gate.scored, (), lambda s: s)


def _beside(
    expert: Expert, router: Router | None, more: tuple[str, ...], weigh: Callable[[Any], Any]
) -> AtomFunction:
    assert router is not None
    names, weight = (*more, *router.parameters(expert.inputs)), weigh(router.score(expert.inputs))
    return AtomFunction(
        "U",
        weight + expert.expression,
        expert.inputs,
        (*names, *router.shared, *expert.parameters),
        routed=weight,
        gate=names,
        shared=router.shared,
    )


def subject(expert: Expert, gate: Gate) -> AtomFunction:
    """What second order is about: h, and W where the router has parameters of its own."""
    return expert_function(expert) if gate.router is None else routed_function(expert, gate)
