"""Router and expert do not interact: no derivative of one is made up for by the other.

Under softmax over a score π(x, γ) + β0 the expansion of a cell contains ∂_v h, ∂_v∂_w h and
∂_u π·∂_v h. The printed definition (arXiv 2503.03213) could not be read; this is the one of theory
section 9: a relation with a product ∂_u π·∂_v h in it is an interaction. The coincidence rule
applies: what vanishes is dropped and what is proportional is merged, never two first derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

from identkit.atoms import AtomFunction, scored_function
from identkit.conditions.contract import BasisFunction, Condition, FunctionSet


def functions_of(
    atom: AtomFunction, gate: Sequence[str], expert: Sequence[str]
) -> tuple[BasisFunction, ...]:
    """∂_v h, ∂_v∂_w h and ∂_u π·∂_v h for u among ``gate`` and v, w among ``expert``.

    ``atom`` is π + h, so that a derivative of it is one of π or of h.
    """
    u = atom.symbol
    return (
        *(BasisFunction(u, (), ((v,),), first=True, bases=("h",)) for v in expert),
        *(
            BasisFunction(u, (), (pair,), bases=("h",))
            for pair in combinations_with_replacement(expert, 2)
        ),
        *(BasisFunction(u, (), ((g,), (v,)), bases=("π", "h")) for g in gate for v in expert),
    )


def _functions(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    title = "derivatives of the expert up to order 2, and times those of the router"
    return (FunctionSet(title, functions_of(atom, atom.gate, atom.of_expert)),)


ROUTER = Condition(
    "algebraic-independence",
    "router",
    "∂_v h, ∂_v∂_w h, ∂_u π·∂_v h",
    "softmax over a score π(x, γ) + β0",
    "theory section 9, for the algebraic independence of arXiv 2503.03213",
    _functions,
    scored_function,
)
