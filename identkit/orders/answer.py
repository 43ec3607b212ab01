"""The answer of ``identkit order``: every coordinate for one size of a cell, and its JSON form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from identkit.experts import Expert
from identkit.gates import RegimeCode
from identkit.likelihoods import asked_under
from identkit.orders.records import INFINITE, Bound, DirectionOrder, number_of
from identkit.results import Options
from identkit.vocabulary import Verdict

ORDER_SCHEMA = "identkit.order/1"


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
        "order": INFINITE if infinite else number_of(bound.order),
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
