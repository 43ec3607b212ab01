"""Identifiability conditions, one file each; the rest reads the objects."""

from __future__ import annotations

from identkit.conditions import (
    algebraic_independence,
    anchor,
    separate,
    shared_strong,
    strong,
    weak,
)
from identkit.conditions.contract import (
    CONDITIONS,
    UNIT,
    AtomTerm,
    BasisFunction,
    BlockFunction,
    Condition,
    FunctionSet,
    condition,
    levels,
    part_of,
    register,
)

__all__ = [
    "CONDITIONS",
    "UNIT",
    "AtomTerm",
    "BasisFunction",
    "BlockFunction",
    "Condition",
    "FunctionSet",
    "condition",
    "levels",
    "part_of",
    "register",
]

for _condition in (
    strong.EXPERT,
    strong.PRODUCT,
    weak.PRODUCT,
    weak.EXPERT,
    anchor.EXPERT,
    shared_strong.EXPERT,
    algebraic_independence.ROUTER,
    separate.ROUTER,
):
    register(_condition)
