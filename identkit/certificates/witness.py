"""The record of a nonzero determinant."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Witness:
    """A nonzero determinant: ``atoms`` (k × q), ``points`` (N × d), all rational.

    ``determinant`` is the ball's text at ``precision`` bits, for reading; verification evaluates
    it afresh.
    """

    atoms: tuple[tuple[Fraction, ...], ...]
    points: tuple[tuple[Fraction, ...], ...]
    precision: int
    determinant: str
