"""Frozen records of orders: arcs, bounds with their evidence, directions.

Expressions are kept as text in identkit's grammar, so that an arc can be verified from its record
alone (:mod:`identkit.orders.series`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from identkit.degeneracy.records import SecondOrder
from identkit.vocabulary import OrderStatus

INFINITE = "infinite"
"""The order of a direction that moves along an exact family."""
ROOT_NAME, TIME_NAME = "ξ", "τ"
"""What deviations are written in besides η, for s and t: names that no expression can have."""


@dataclass(frozen=True)
class Atoms:
    """Fitted atoms that differ in one number s: one for each root of a polynomial over Q.

    ``roots`` and ``weight`` are coefficients from the constant term on: of the polynomial, and of
    the weight (relative to that of the true atom) as a polynomial in s. ``deviations`` are pairs
    (coordinate, text in s, t and the parameters η of the true atom), s and t written ξ and τ; the
    coordinate ν is a variance.
    """

    roots: tuple[str, ...]
    weight: tuple[str, ...]
    deviations: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Arc:
    """A curve G(t) of fitted atoms through the true atom, t ↓ 0.

    ``cell`` counts them. ``powers`` are pairs (coordinate, e): its largest deviation is of order
    t^e exactly. ``order`` is N with T_G(t) − T_* = O(t^N), proved by the coefficients of t^0 …
    t^(N−1); ``steps`` are pairs (t, measured root mean square) and ``slope`` their last slope.
    """

    kind: str
    cell: int
    atoms: tuple[Atoms, ...]
    powers: tuple[tuple[str, int], ...]
    order: int
    steps: tuple[tuple[str, str], ...] = ()
    slope: str = ""

    def bound(self, coordinate: str) -> Fraction | None:
        """The order that it shows a coordinate to have at least; None where that stands still."""
        power = dict(self.powers).get(coordinate)
        return None if power is None else Fraction(self.order, power)


@dataclass(frozen=True)
class Bound:
    """One proved bound of an order and what proves it.

    ``kind`` is a word for it, ``text`` the argument in one sentence, ``claims`` the statements of
    ``proofs_check`` it rests on, ``arc`` the explicit curve where there is one. ``evidence`` is
    that of a question like second order's: no S ⪰ 0 is left beside a location.
    """

    order: Fraction
    kind: str
    text: str
    claims: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    arc: Arc | None = None
    evidence: SecondOrder | None = None


@dataclass(frozen=True)
class DirectionOrder:
    """The order of one coordinate of an atom, for cells of ``cell`` fitted atoms.

    ``lower`` and ``upper`` are the best bounds proved, None where none is: without ``upper`` the
    order may be anything from ``lower`` on. An ``infinite`` order moves along an exact family.
    """

    direction: str
    cell: int
    infinite: bool
    lower: Bound
    upper: Bound | None

    @property
    def status(self) -> OrderStatus:
        """``exact`` where the bounds meet, ``open`` where only the trivial bound is known."""
        if self.infinite or (self.upper is not None and self.upper.order == self.lower.order):
            return OrderStatus.EXACT
        nothing = self.upper is None and self.lower.kind in TRIVIAL
        return OrderStatus.OPEN if nothing else OrderStatus.INTERVAL

    @property
    def order(self) -> int | str | list[int | str | None]:
        """A number, an interval whose end may be missing, or ``infinite``."""
        if self.infinite:
            return INFINITE
        if self.status is OrderStatus.EXACT:
            return number_of(self.lower.order)
        end = None if self.upper is None else number_of(self.upper.order)
        return [number_of(self.lower.order), end]

    @property
    def rate(self) -> str:
        """n^(-1/(2·order)), up to logarithms."""
        if self.infinite:
            return "no consistent estimator"
        slow = power_of(self.lower.order)
        if self.status is OrderStatus.EXACT:
            return slow
        if self.upper is None:
            return f"{slow} or slower"
        return f"{slow} to {power_of(self.upper.order)}"

    @property
    def caveats(self) -> tuple[str, ...]:
        """What the bounds suppose."""
        bounds = (self.lower, *(() if self.upper is None else (self.upper,)))
        return tuple(dict.fromkeys(c for b in bounds for c in b.caveats))

    @property
    def at_every_cell(self) -> bool:
        """Whether the order is the same for every number of atoms, as the upper bound has it."""
        exact = self.status is OrderStatus.EXACT
        return exact and self.upper is not None and self.upper.kind in EVERY_CELL


@dataclass(frozen=True)
class CellOrders:
    """The orders of all coordinates for one size of a cell; ``obstacle`` says why there are none.

    None of both: the question does not arise, or second order is not decided.
    """

    directions: tuple[DirectionOrder, ...] = ()
    obstacle: str = ""


TRIVIAL = ("pair", "kink-pair", "jump-pair")
"""Kinds of lower bounds that every expert has."""


ONE_ATOM, OPEN_SET = "for one true atom", "for parameters in an open set"
"""Caveats of bounds."""
EVERY_CELL = ("second-order", "beside-location", "known-variance", "seen-gate")
"""Kinds of upper bounds that hold for cells of every size."""
MORE_IS_SLOWER = ("gauss-hermite", "ridge-flow", "gate-flow")
"""Kinds of arcs whose order is twice the number of their atoms."""


def slower_with_more(found: Sequence[DirectionOrder]) -> bool:
    """Whether all these directions are proved to be slower in larger cells: exact here, by arcs
    that there are for every number of atoms, with an order that grows with it.
    """
    bounds = [d.lower.arc for d in found if d.lower.kind in MORE_IS_SLOWER]
    arcs = [arc for arc in bounds if arc is not None]
    return all(
        d.status is OrderStatus.EXACT
        and any(d.lower.order == arc.bound(d.direction) for arc in arcs)
        for d in found
    )


def power_of(order: Fraction) -> str:
    """The rate of an order.

    >>> power_of(Fraction(4)), power_of(Fraction(8, 3))
    ('n^-1/8', 'n^-3/16')
    """
    return f"n^-{1 / (2 * order)}"


def number_of(value: Fraction) -> int | str:
    """A whole number as such, a fraction as text."""
    return value.numerator if value.denominator == 1 else str(value)
