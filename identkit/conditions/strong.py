"""The strong condition: second derivatives as well, of the expert or of the expert-gate product."""

from __future__ import annotations

from itertools import combinations_with_replacement

from identkit.atoms import AtomFunction
from identkit.conditions.contract import (
    BasisFunction,
    Condition,
    FunctionSet,
    expert_level,
    first,
    input_times_first,
    second,
)


def _of_expert(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    functions = first(atom) + input_times_first(atom) + second(atom)
    return (FunctionSet("derivatives up to order 2", tuple(functions)),)


def _of_product(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    """x^α ∂^γ h: since ∂^α_{β1} of the weight at β1 = 0 is x^α times a number free of x."""
    u = atom.symbol
    gate_first = [BasisFunction(u, (x,), ((),), first=True) for x in atom.inputs]
    gate_second = [
        BasisFunction(u, pair, ((),)) for pair in combinations_with_replacement(atom.inputs, 2)
    ]
    functions = (
        first(atom)
        + gate_first
        + [BasisFunction(u, (), ((),))]
        + input_times_first(atom)
        + gate_second
        + second(atom)
    )
    return (FunctionSet("Taylor coefficients at β1 = 0 up to order 2", tuple(functions)),)


EXPERT = Condition(
    "strong",
    "expert",
    "∂_u h, ∂_u∂_v h, x_s ∂_u h",
    "sigmoid Regime 1, softmax",
    "arXiv 2505.10860 Definition 1 (routed experts); NeurIPS 2024 and ICML 2024 as read here",
    _of_expert,
    expert_level,
)
PRODUCT = Condition(
    "strong",
    "product",
    "x^α ∂^γ_η h, 0 ≤ |α| + |γ| ≤ 2: ∂^α_β1 ∂^γ_η F at β1 = 0, F = weight·h",
    "sigmoid Regime 1: all that its Taylor expansion contains",
    "theory of the Regime 1 expansion (arXiv 2405.13997)",
    _of_product,
    expert_level,
)
