"""Frozen records of orders: arcs, bounds with their evidence, directions, the whole answer.

Expressions are kept as text in identkit's grammar, so that an arc can be verified from its record
alone (:mod:`identkit.orders.series`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from identkit.experts import Expert
from identkit.gates import RegimeCode
from identkit.likelihoods import asked_under
from identkit.results import Options
from identkit.vocabulary import OrderStatus, Verdict

INFINITE = "infinite"
"""The order of a direction that moves along an exact family."""


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


@dataclass(frozen=True)
class Bound:
    """One proved bound of an order and what proves it.

    ``kind`` is a word for it, ``text`` the argument in one sentence, ``claims`` the statements of
    ``proofs_check`` it rests on, ``arc`` the explicit curve where there is one.
    """

    order: Fraction
    kind: str
    text: str
    claims: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    arc: Arc | None = None


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
            return _number(self.lower.order)
        end = None if self.upper is None else _number(self.upper.order)
        return [_number(self.lower.order), end]

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


@dataclass(frozen=True, repr=False)
class Orders:
    """The orders of all coordinates of an atom; ``notes`` say what limits the answer."""

    version: str
    expert: Expert
    gate: str
    regime: RegimeCode
    likelihood: str
    cell: int
    max_order: int
    options: Options
    verdict: Verdict
    directions: tuple[DirectionOrder, ...]
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> DirectionOrder:
        """The order of one coordinate by its name."""
        return next(d for d in self.directions if d.direction == name)

    def to_dict(self) -> dict[str, Any]:
        """The ``identkit.order/1`` document."""
        return {
            "schema": ORDER_SCHEMA,
            "identkit": self.version,
            "seed": self.options.seed,
            "expert": self.expert.canonical(),
            **asked_under(self.gate, self.likelihood),
            "regime": self.regime,
            "cell": self.cell,
            "options": {"max_order": self.max_order, "domain": self.options.domain.document()},
            "verdict": str(self.verdict),
            "directions": [_direction(d) for d in self.directions],
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        return f"<Orders: {self.expert.label}, {self.gate}, {len(self.directions)} directions>"

    def __str__(self) -> str:
        return "\n".join(
            f"{d.direction}: {d.order} ({d.status}), {d.rate}" for d in self.directions
        )


ORDER_SCHEMA = "identkit.order/1"
TRIVIAL = ("pair", "kink-pair", "jump-pair")
"""Kinds of lower bounds that every expert has."""


def power_of(order: Fraction) -> str:
    """The rate of an order.

    >>> power_of(Fraction(4)), power_of(Fraction(8, 3))
    ('n^-1/8', 'n^-3/16')
    """
    return f"n^-{1 / (2 * order)}"


def _number(value: Fraction) -> int | str:
    return value.numerator if value.denominator == 1 else str(value)


def _direction(found: DirectionOrder) -> dict[str, Any]:
    return {
        "direction": found.direction,
        "cell": found.cell,
        "order": found.order,
        "status": str(found.status),
        "rate": found.rate,
        "lower": _bound(found.lower, found.infinite),
        "upper": None if found.upper is None else _bound(found.upper, False),
        "caveats": list(found.caveats),
    }


def _bound(bound: Bound, infinite: bool) -> dict[str, Any]:
    arc = bound.arc
    return {
        "order": INFINITE if infinite else _number(bound.order),
        "kind": bound.kind,
        "text": bound.text,
        "claims": list(bound.claims),
        "arc": None
        if arc is None
        else {
            "kind": arc.kind,
            "cell": arc.cell,
            "order": arc.order,
            "powers": dict(arc.powers),
            "atoms": [
                {
                    "roots": list(group.roots),
                    "weight": list(group.weight),
                    "deviations": dict(group.deviations),
                }
                for group in arc.atoms
            ],
            "steps": [list(step) for step in arc.steps],
            "slope": arc.slope,
        },
    }
