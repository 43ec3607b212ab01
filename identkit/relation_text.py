"""Exact relations and the spaces of a dimension count, as a person writes them."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.conditions import AtomTerm
from identkit.every_k import FixedSpace
from identkit.normal_form import Field
from identkit.relations import Combination


def space_text(fixed: FixedSpace, atom: AtomFunction) -> str:
    """The space of functions of x that the combinations of one atom lie in."""
    if fixed.degree is not None:
        name = ", ".join(atom.inputs)
        degrees = fixed.degrees
        if not degrees:
            return f"polynomials in {name} of total degree at most {fixed.degree}"
        if all(n == fixed.degree for n in degrees):
            return (
                f"vectors of {len(degrees)} polynomials in {name} of total degree at most "
                + str(fixed.degree)
            )
        own = [
            f"of total degree at most {n} in component {c + 1}"
            for c, n in enumerate(degrees)
            if n is not None
        ]
        rest = ", 0 in the others" if len(own) < len(degrees) else ""
        return f"vectors of polynomials in {name}, {', '.join(own)}{rest}"
    return "span of " + ", ".join(fixed.spanned_by)


def equation(
    combination: Combination,
    basis: Sequence[AtomTerm],
    field: Field,
    solve_for: int | None = None,
) -> str:
    """Σ c·g = 0 as a person writes it: ``a*∂h/∂a + b*∂h/∂b = h``."""
    coefficients = {i: field.to_sympy(c) for i, c in combination.coefficients.items()}
    if solve_for is not None:
        scale = -coefficients.pop(solve_for)
        solved = {i: sp.cancel(c / scale) for i, c in coefficients.items()}
        return f"{basis[solve_for].label} = {_sum(solved, basis)}"
    right = _right_side(coefficients, basis)
    if right is None:
        negative = [i for i, c in coefficients.items() if c.could_extract_minus_sign()]
        if len(negative) < len(coefficients) - len(negative) and negative:
            # the shorter side comes first
            coefficients = {i: -c for i, c in coefficients.items()}
            negative = [i for i in coefficients if i not in negative]
        moved = {i: -coefficients[i] for i in negative}
    else:
        others = [c for i, c in coefficients.items() if i != right]
        if others and others[0].could_extract_minus_sign():
            coefficients = {i: -c for i, c in coefficients.items()}
        moved = {right: -coefficients[right]}
    left = {i: c for i, c in coefficients.items() if i not in moved}
    if not left:
        negative = next(iter(moved.values())).could_extract_minus_sign()
        left, moved = {i: -c if negative else c for i, c in moved.items()}, {}
    return f"{_sum(left, basis)} = {_sum(moved, basis)}"


def _right_side(coefficients: dict[int, sp.Expr], basis: Sequence[AtomTerm]) -> int | None:
    """The function to isolate: one with a numeric coefficient, the atom function itself first."""
    numeric = [i for i, c in coefficients.items() if c.is_Rational]
    if not numeric:
        return None
    return min(
        numeric,
        key=lambda i: (
            basis[i].factors != ((),) or bool(basis[i].inputs),
            -sum(len(f) for f in basis[i].factors),
            abs(abs(coefficients[i]) - 1),
            i,
        ),
    )


def _sum(coefficients: dict[int, sp.Expr], basis: Sequence[AtomTerm]) -> str:
    text = ""
    for i, c in coefficients.items():
        label = basis[i].label
        negative = c.could_extract_minus_sign()
        size = -c if negative else c
        factor = "" if size == 1 else f"({size})*" if size.is_Add else f"{size}*"
        term = str(size) if label == "1" else f"{factor}{label}"
        sign = " - " if negative else " + "
        text += (sign if text else "-" if negative else "") + term
    return text or "0"
