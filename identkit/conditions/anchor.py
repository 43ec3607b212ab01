"""The anchor condition: whether one gate with β1* ≠ 0 pins the denominator (normalized sigmoid)."""

from __future__ import annotations

from identkit.atoms import AtomFunction, difference_function
from identkit.conditions.contract import BasisFunction, Condition, FunctionSet, one_atom
from identkit.experts import Expert
from identkit.gates import Gate


def _functions(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    """U = h(x, η) − h(x, η′): U and x U against the first derivatives, those in η alone."""
    u, own = atom.symbol, atom.parameters[: len(atom.parameters) // 2]
    functions = [
        *(BasisFunction(u, (), ((p,),), first=True) for p in own),
        BasisFunction(u, (), ((),), first=True),
        *(BasisFunction(u, (x,), ((),), first=True) for x in atom.inputs),
    ]
    return (one_atom("an affine multiple of U, and first derivatives", functions),)


def _difference(expert: Expert, gate: Gate) -> AtomFunction:
    return difference_function(expert)


EXPERT = Condition(
    "anchor",
    "expert",
    "∂_u h(x, η), U and x_s U, U = h(x, η) − h(x, η′), of two atoms η, η′",
    "normalized sigmoid, sparse: whether one gate with β1* ≠ 0 is enough",
    "theory section 4",
    _functions,
    _difference,
    single=True,
)
