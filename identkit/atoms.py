"""The atom function U(z; θ) = gate weight × expert: the one primitive every condition acts on.

For regression z = x. A Gaussian likelihood will be a further object of this kind with z = (x, y)
and one more parameter; nothing below the atom function needs to know.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from identkit.experts import Expert, symbols
from identkit.gates import Gate


@dataclass(frozen=True)
class AtomFunction:
    """A function of the inputs z and the parameters θ, with the name used for it in print.

    ``expression`` is U, ``inputs`` the names of z, ``parameters`` those of θ, in order.
    """

    symbol: str
    expression: sp.Expr
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]


def expert_function(expert: Expert) -> AtomFunction:
    """h alone: what expert-level conditions differentiate."""
    return AtomFunction("h", expert.expression, expert.inputs, expert.parameters)


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
    )


def gate_parameters(dim: int) -> tuple[str, ...]:
    """Names of (β0, β1): not writable in the expression grammar, so no expert can clash."""
    return ("β0", "β1") if dim == 1 else ("β0", *(f"β1_{i}" for i in range(dim)))


def gated_function(expert: Expert, gate: Gate) -> AtomFunction:
    """F = weight(β1ᵀx + β0)·h, θ = (β0, β1, η); for a normalised gate, its numerator."""
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
    )
