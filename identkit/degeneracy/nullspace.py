"""Invisible moments: the exact null space of the second-order functions of one atom.

A vector of moments μ is invisible when Σ μ_l g_l(x) = 0 for every x. The functions are brought to
normal form; each basis vector is solved for exactly over Q(θ) and its combination is proved zero
(:mod:`identkit.relations`). Restricting the space to moments with further linear constraints is
Gaussian elimination over Q(θ), every pivot proved nonzero by a ball.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from identkit.algebra import Element, TooLarge
from identkit.degeneracy.moments import MomentSpace
from identkit.normal_form import Field
from identkit.relations import Column, Combination, FormalFamily

Vector = dict[int, Element]
"""Moment index -> value, an element of Q(θ); absent means 0."""

MAX_ENTRIES = 4_000
"""Products of null vectors and constraints beyond which the elimination is given up on."""


@dataclass
class NullSpace:
    """``vectors`` span the invisible moments for almost every θ; ``combinations`` prove each.

    ``pivots`` are the functions left: that they are independent (hence the span complete) is
    shown by a determinant, not here.
    """

    family: FormalFamily
    space: MomentSpace
    pivots: list[int]
    combinations: list[Combination]
    vectors: list[Vector]

    @classmethod
    def of(cls, family: FormalFamily, space: MomentSpace) -> NullSpace:
        """Raises :class:`~identkit.algebra.TooLarge` if a dependence is not solved exactly."""
        columns: list[Column] = family.columns()
        order = sorted(range(len(space.moments)), key=lambda i: (len(space.moments[i].pair), i))
        pivots, dependent = family.echelon(columns, order)
        combinations = []
        for index, support in dependent:
            combination = family.null_combination(columns, index, support)
            if combination is None:
                raise TooLarge("a dependence was seen modulo a prime but not solved exactly")
            combinations.append(combination)
        vectors = [moment_vector(c, space, family.field) for c in combinations]
        return cls(family, space, pivots, combinations, vectors)


def moment_vector(combination: Combination, space: MomentSpace, field: Field) -> Vector:
    """The moments whose expansion is the combination Σ c_l g_l."""
    return {
        i: c * field.constant(space.moments[i].scale) if space.moments[i].scale != 1 else c
        for i, c in combination.coefficients.items()
    }


def value(functional: Vector, vector: Vector, field: Field) -> Element:
    """Σ functional_l · vector_l."""
    total = field.zero
    small, large = sorted((functional, vector), key=len)
    for i, c in small.items():
        if i in large:
            total = total + c * large[i]
    return total


def restrict(
    vectors: Sequence[Vector],
    functionals: Sequence[Vector],
    field: Field,
    is_nonzero: Callable[[Element], bool],
) -> list[Vector]:
    """A basis of the vectors' span on which all functionals vanish (for almost every θ).

    Raises :class:`~identkit.algebra.TooLarge` if a pivot is not proved nonzero.
    """
    if len(vectors) * len(functionals) > MAX_ENTRIES:
        raise TooLarge("the moment problem has too many invisible moments")
    span = [dict(v) for v in vectors]
    for functional in functionals:
        values = [value(functional, v, field) for v in span]
        live = [k for k, element in enumerate(values) if not element.is_zero]
        if not live:
            continue
        # the simplest pivot keeps the numbers small
        pivot = min(live, key=lambda k: (len(values[k].num) + len(values[k].den), k))
        if not is_nonzero(values[pivot]):
            raise TooLarge("a coefficient was neither proved zero nor proved nonzero")
        for k in live:
            if k != pivot:
                span[k] = minus(span[k], span[pivot], values[k] / values[pivot])
        del span[pivot]
    return span


def minus(left: dict[Any, Element], right: dict[Any, Element], factor: Element) -> dict:
    """left − factor·right, without zeros."""
    result = dict(left)
    for i, c in right.items():
        change = c * factor
        result[i] = result[i] - change if i in result else -change
    return {i: c for i, c in result.items() if not c.is_zero}
