"""Scores of different atoms have only constants in common, up to the second order of one of them.

Under softmax over a score π(x, γ) + β0 what multiplies V_j − T is a common factor times the weight.
An atom fitted by one atom makes it a combination of 1 and ∂_u π, one fitted by several one of 1,
∂_u π and ∂_u∂_v π + ∂_u π ∂_v π: if no function but a constant is both, it is that constant.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

from identkit.atoms import AtomFunction, scored_function
from identkit.conditions.contract import BasisFunction, Condition, FunctionSet


def _functions(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    u, gate = atom.symbol, atom.gate
    pairs = list(combinations_with_replacement(gate, 2))
    functions = [BasisFunction(u, (), ((g,),), first=True, bases=("π",)) for g in gate]
    functions += [BasisFunction(u, (), (pair,), bases=("π",)) for pair in pairs]
    functions += [BasisFunction(u, (), ((g,), (k,)), bases=("π", "π")) for g, k in pairs]
    title = "derivatives of the score up to order 2, products, and 1"
    return (FunctionSet(title, tuple(functions), (BasisFunction(u, (), ()),)),)


ROUTER = Condition(
    "separate",
    "router",
    "1, ∂_u π, ∂_u∂_v π, ∂_u π·∂_v π",
    "softmax over a score π(x, γ) + β0: that one atom pins the common factor",
    "theory section 9",
    _functions,
    scored_function,
)
