"""A nonzero determinant: its record, and what balls say of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, arb_mat


@dataclass(frozen=True)
class Witness:
    """A nonzero determinant: ``atoms`` (k × q), ``points`` (N × d), all rational.

    For an expert of several outputs a point has its component, from 1, as one more number.
    ``determinant`` is the ball's text at ``precision`` bits, for reading; verification evaluates
    it afresh.
    """

    atoms: tuple[tuple[Fraction, ...], ...]
    points: tuple[tuple[Fraction, ...], ...]
    precision: int
    determinant: str


def determinant(rows: list[list[arb]]) -> arb:
    """The ball determinant, columns scaled by powers of two for a readable size."""
    n = len(rows)
    return arb_mat(n, n, [value for row in rows for value in row]).det()


def excludes_zero(value: arb) -> bool:
    """Whether a ball is finite and does not contain 0."""
    return bool(value.is_finite() and not value.contains(0))


def pairwise_independent(rows: list[list[arb]]) -> bool:
    """Proved: no column vanishes and no two are proportional, by 2×2 minors that exclude 0.

    Functions that coincide without the normal form noticing would be merges left undone, and a
    relation between them no failure; this shows that there are none among the columns.
    """
    count = len(rows[0])
    if count == 1:
        return any(excludes_zero(row[0]) for row in rows)
    return all(
        any(excludes_zero(r[i] * s[j] - r[j] * s[i]) for n, r in enumerate(rows) for s in rows[:n])
        for i in range(count)
        for j in range(i)
    )


def positive_definite(matrix: Sequence[Sequence[arb]]) -> bool:
    """Proved: every pivot of LDLᵀ is a positive ball."""
    work = [list(row) for row in matrix]
    for k, row in enumerate(work):
        if not row[k] > 0:
            return False
        for other in work[k + 1 :]:
            factor = other[k] / row[k]
            for j in range(k, len(work)):
                other[j] = other[j] - factor * row[j]
    return True
