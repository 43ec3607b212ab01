"""The strong condition on shared experts of a Gaussian mixture: products of first derivatives."""

from __future__ import annotations

from itertools import combinations_with_replacement

from identkit.atoms import AtomFunction
from identkit.conditions.contract import (
    BasisFunction,
    Condition,
    FunctionSet,
    expert_level,
    first,
)
from identkit.errors import InputError


def _functions(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    if atom.markers:
        raise InputError(
            "shared-strong: it is defined for an expert of one output; ask for strong, or for one "
            "component."
        )
    u = atom.symbol
    pairs = combinations_with_replacement(atom.parameters, 2)
    products = tuple(BasisFunction(u, (), ((p,), (q,))) for p, q in pairs)
    one = BasisFunction(u, (), ())
    return (
        FunctionSet("first derivatives", tuple(first(atom))),
        FunctionSet("products of first derivatives, and 1", products, (one,)),
    )


EXPERT = Condition(
    "shared-strong",
    "expert",
    "two sets: {∂_u h} and {∂_u h ∂_v h} ∪ {1}",
    "shared experts of a Gaussian MoE",
    "arXiv 2505.10860 Definition 1 (shared experts)",
    _functions,
    expert_level,
)
