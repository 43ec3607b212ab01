"""The weak condition: first derivatives alone, of the expert-gate product or of the expert."""

from __future__ import annotations

from identkit.atoms import AtomFunction, gated_function
from identkit.conditions.contract import Condition, FunctionSet, expert_level, first, one_atom


def _of_product(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    return (FunctionSet("first derivatives", tuple(first(atom)), coincidence=False),)


def _of_expert(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    """No first derivative of h is a combination of the others."""
    return (one_atom("first derivatives of the expert", first(atom)),)


PRODUCT = Condition(
    "weak",
    "product",
    "∂_β0 F, ∂_β1 F, ∂_η F, F = weight·h, at distinct gates with β1 ≠ 0",
    "sigmoid Regime 2",
    "Nguyen, Ho, Rinaldo, NeurIPS 2024 (arXiv 2405.13997)",
    _of_product,
    gated_function,
)
EXPERT = Condition(
    "weak",
    "expert",
    "∂_u h, of one atom",
    "normalized sigmoid, dense",
    "arXiv 2505.10860 Definition 2",
    _of_expert,
    expert_level,
    single=True,
)
