"""The moment-cone test: can second moments M ⪰ 0 be invisible?

Facial reduction, exact over Q(θ): if yᵀM y = 0 for all invisible moments then M y = 0, because
M ⪰ 0 (for the sigmoid gate: M_ββ ⪰ 0 by the lemma of theory section 4, M_ηη ⪰ 0, and M_βη lives
in range M_ββ × range M_ηη, so M_βη y = 0 as well). Repeated until nothing changes. Directions y
tried: the coordinates, the linear forms the expression is written in, the directions across an
exact family, and the directions in which a kink moves. If nothing is left, every moment is
visible; the steps are the proof. Otherwise :mod:`~identkit.degeneracy.semidefinite` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from identkit.algebra import Element
from identkit.degeneracy.moments import MomentSpace
from identkit.degeneracy.nullspace import NullSpace, Vector, restrict, value
from identkit.normal_form import Field


@dataclass(frozen=True)
class Direction:
    """A linear functional y on deviations, within the gate or within the expert coordinates.

    ``label`` is how it is printed; ``reason`` is ``coordinate``, ``form``, ``across`` (an exact
    family) or ``kink``.
    """

    label: str
    entries: tuple[tuple[str, Element], ...]
    reason: str


@dataclass
class Face:
    """The invisible moments left (``vectors``) and the directions y with M y = 0 found so far."""

    space: MomentSpace
    field: Field
    is_nonzero: Callable[[Element], bool]
    vectors: list[Vector]
    visible: list[Direction] = dataclass_field(default_factory=list)

    def quadratic(self, y: Direction) -> Vector:
        """The functional μ ↦ yᵀM y; where M lives on directions v, μ ↦ y·v, 0 where that is."""
        if self.space.null:
            return {self.space.index(u): a for u, a in y.entries}
        return self.bilinear(y, y)

    def bilinear(self, y: Direction, z: Direction) -> Vector:
        """The functional μ ↦ yᵀM z."""
        functional: Vector = {}
        for u, a in y.entries:
            for v, b in z.entries:
                i = self.space.index(u, v)
                functional[i] = functional.get(i, self.field.zero) + a * b
        return functional

    def shows_directly(self, y: Direction) -> bool:
        """yᵀM y = 0 for all moments left, before any step that uses M ⪰ 0."""
        functional = self.quadratic(y)
        return all(value(functional, v, self.field).is_zero for v in self.vectors)

    def restrict_to(self, functionals: list[Vector]) -> None:
        """Restrict to moments on which the functionals vanish."""
        self.vectors = restrict(self.vectors, functionals, self.field, self.is_nonzero)

    def rows(self, y: Direction) -> list[Vector]:
        """The functionals μ ↦ (M y)_t, one for each coordinate t."""
        if self.space.null:
            return [self.quadratic(y)]
        return [{self.space.index(t, u): a for u, a in y.entries} for t in self.space.coordinates]

    def annihilate(self, y: Direction) -> None:
        """Restrict to M y = 0."""
        self.vectors = restrict(self.vectors, self.rows(y), self.field, self.is_nonzero)
        self.visible.append(y)

    def reduce(self, directions: Sequence[Direction]) -> None:
        """Facial reduction along the given directions until nothing changes."""
        waiting = list(directions)
        changed = True
        while changed:
            changed = False
            for y in list(waiting):
                if self.shows_directly(y):
                    self.annihilate(y)
                    waiting.remove(y)
                    changed = True

    def first_order(self) -> list[Vector]:
        """A basis of the invisible moments with M = 0: a confounded or redundant parameter."""
        second = [{i: self.field.one} for i, m in enumerate(self.space.moments) if len(m.pair) == 2]
        return restrict(self.vectors, second, self.field, self.is_nonzero)


def coordinate_directions(space: MomentSpace, field: Field) -> list[Direction]:
    """The unit directions."""
    return [Direction(c, ((c, field.one),), "coordinate") for c in space.coordinates]


def face_of(null: NullSpace) -> Face:
    """The whole space of invisible moments."""
    family = null.family
    return Face(null.space, family.field, family.is_nonzero, list(null.vectors))


def in_span(y: Direction, others: Sequence[Direction], face: Face) -> bool:
    """Whether y is a combination of the others, for almost every θ: 0 wherever all of them are."""
    names = face.space.coordinates
    units: list[Vector] = [{i: face.field.one} for i in range(len(names))]
    *functionals, own = ({names.index(u): e for u, e in z.entries} for z in (*others, y))
    left = restrict(units, functionals, face.field, face.is_nonzero)
    return all(value(own, v, face.field).is_zero for v in left)
