"""What vectors of moments and directions say, as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from identkit.algebra import Element
from identkit.balls import Tape, ball, precision
from identkit.degeneracy.cone import Direction
from identkit.degeneracy.moments import MomentSpace
from identkit.degeneracy.nullspace import Vector
from identkit.degeneracy.records import Invisible, MomentWitness, RealisedAtoms, Visible
from identkit.experts import symbols
from identkit.normal_form import Field
from identkit.relation_text import equation
from identkit.relations import Combination
from identkit.vocabulary import Quantifier


@dataclass(frozen=True)
class Readable:
    """Texts and values of moments in ``space`` with coefficients in ``field``."""

    space: MomentSpace
    field: Field

    def _text(self, element: Element) -> str:
        return str(sp.cancel(self.field.to_sympy(element)))

    def moments(self, vector: Vector) -> tuple[tuple[str, str], ...]:
        """Names and values of those that are not 0."""
        return tuple((self.space.moments[i].name, self._text(vector[i])) for i in sorted(vector))

    def equation(self, vector: Vector) -> str:
        """The relation that makes them invisible."""
        basis = [m.function for m in self.space.moments]
        return equation(self.combination(vector), basis, self.field)

    def combination(self, vector: Vector) -> Combination:
        """Σ c_l g_l from the moments: each divided by its scale."""
        field, moments = self.field, self.space.moments
        return Combination(
            {i: c * field.constant(Fraction(1, moments[i].scale)) for i, c in vector.items()}
        )

    def invisible(self, combination: Combination, vector: Vector) -> Invisible:
        """One vector of the null space."""
        basis = [m.function for m in self.space.moments]
        text = equation(combination, basis, self.field)
        return Invisible(self.moments(vector), text)

    def visible(self, y: Direction, by_regular: set[str]) -> Visible:
        """A direction and why it shows; ``by_regular``: those for which no kink is needed."""
        entries = tuple((c, self._text(e)) for c, e in y.entries)
        kink = y.reason != "kink" and y.label not in by_regular
        return Visible(y.label, entries, "kink" if kink else y.reason)

    def values(self, vector: Vector, at: Sequence[Fraction]) -> dict[tuple[str, ...], float]:
        """The moments at the parameters ``at`` of one atom, by their coordinates."""
        expressions = [self.field.to_sympy(c) for c in vector.values()]
        tape = Tape(expressions, symbols(self.field.parameters))
        with precision(256):
            balls = tape.evaluate([ball(v) for v in at])
        pairs = [self.space.moments[i].pair for i in vector]
        return {pair: float(b.mid()) for pair, b in zip(pairs, balls, strict=True)}

    def witness(
        self,
        vector: Vector,
        rank: int,
        quantifier: Quantifier,
        at: Sequence[Fraction],
        realised: RealisedAtoms | None,
    ) -> MomentWitness:
        """Invisible moments with M of this rank, found at ``at``."""
        return MomentWitness(
            self.moments(vector),
            self.equation(vector),
            rank,
            quantifier,
            tuple(str(v) for v in at),
            realised,
        )
