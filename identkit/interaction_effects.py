"""What an interaction of router and expert does: to second order, and to the orders beyond.

At second order a relation with ∂_u π·∂_v h is about the moment M_uv of a cell. M ⪰ 0, so that it is
0 where every invisible M has M_uu = 0: then the interaction is harmless, and what decides is the
expert by itself. Where that is degenerate, an interaction could make it slower still. The bounds
from below are those of arcs that leave the gate as it is: where the same order is the bound from
above, with all of the gate free, no interaction changes it.

Source: theory sections 9 and 10; proofs_check/test_routed_orders.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from identkit.atoms import AtomFunction
from identkit.conditions import BasisFunction
from identkit.degeneracy.records import SecondOrder
from identkit.gates import Gate, Regime
from identkit.gates.regime import in_regime
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.orders.records import CellOrders
from identkit.results import Relation
from identkit.vocabulary import OrderStatus, Verdict


@dataclass(frozen=True)
class Interaction:
    """One relation with a product of a router's and an expert's derivative, and what it does.

    ``harmless``: ``yes`` where every invisible second moment has M_uu = 0 for the parameters u of
    the router in it, so that M_uv = 0; ``no`` where moments with M_uu ≠ 0 are invisible, so that
    these M_uv are not excluded; else ``undecided``. ``effect`` is the reason in a sentence.
    """

    relation: Relation
    harmless: Verdict
    effect: str

    def to_dict(self) -> dict[str, str]:
        """The JSON form."""
        return {
            "relation": self.relation.text,
            "harmless": str(self.harmless),
            "effect": self.effect,
        }


@dataclass(frozen=True)
class OrderEffect:
    """The order of one parameter of the expert in cells of ``cell`` atoms, as text.

    ``changed``: ``no`` where it is exact and reached with the gate as it is, or infinite along an
    exact family; ``undecided`` where the interaction might make it slower.
    """

    direction: str
    cell: int
    order: str
    changed: Verdict

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "direction": self.direction,
            "cell": self.cell,
            "order": self.order,
            "changed": str(self.changed),
        }


OF_MOMENTS = "moments"
"""Lower bounds whose atoms may move the gate as well."""


def order_effects(found: CellOrders, parameters: Sequence[str]) -> tuple[OrderEffect, ...]:
    """Of the expert's parameters."""
    effects = []
    for d in found.directions:
        if d.direction in parameters:
            value = d.order
            text = str(value)
            if isinstance(value, list):
                text = f"[{value[0]}, {'∞' if value[1] is None else value[1]}]"
            exact = d.status is OrderStatus.EXACT and d.lower.kind != OF_MOMENTS
            changed = Verdict.NO if exact else Verdict.UNDECIDED
            effects.append(OrderEffect(d.direction, d.cell, text, changed))
    return tuple(effects)


def order_lines(effects: Sequence[OrderEffect]) -> Iterator[str]:
    """For reading: which orders no interaction changes, and which it might."""
    for verdict, said in (
        (Verdict.NO, "reached with the gate as it is: no interaction changes them"),
        (Verdict.UNDECIDED, "whether an interaction makes them slower is open"),
    ):
        own = [e for e in effects if e.changed == verdict]
        if own:
            listed = ", ".join(f"{e.direction} {e.order}" for e in own)
            yield f"orders in cells of {own[0].cell}: {listed}; {said}"


@dataclass(frozen=True)
class Effects:
    """What second order says of the moments that an interaction is about."""

    gate: Gate
    regime: Regime | None
    second: SecondOrder | None
    atom: AtomFunction

    @property
    def decides(self) -> str:
        """In a clause, whatever the interactions."""
        if self.second is None or self.regime is None:
            likelihood = resolve_likelihood(self.gate.likelihood).title
            return f"no expansion is proved for the gate {self.gate.name} under {likelihood}"
        word = {
            Verdict.YES: "nondegenerate: no interaction slows anything",
            Verdict.NO: "degenerate",
            Verdict.UNDECIDED: "not decided",
        }[self.second.verdict]
        where = in_regime(self.regime.code)
        reason = "" if self.second.verdict == Verdict.YES else f": {self.second.reason}"
        return f"{word}{where}{reason}"

    def of(self, relation: Relation) -> Interaction:
        """The relation with its effect."""
        named = ((f.factors[0][0], f.factors[1][0]) for f in products(relation))
        pairs = list(dict.fromkeys(named))
        shared = list(dict.fromkeys(u for u, _ in pairs if u in self.atom.shared))
        own = list(dict.fromkeys(u for u, _ in pairs if u not in self.atom.shared))
        apart = (
            f"; {', '.join(shared)} belongs to no atom and is held fixed there" if shared else ""
        )
        if self.second is None or self.regime is None:
            return Interaction(relation, Verdict.UNDECIDED, f"open: {self.decides}")
        if not own:
            return Interaction(
                relation,
                Verdict.UNDECIDED,
                f"open: second order holds {', '.join(shared)} fixed, and no moment of an atom is "
                "in it",
            )
        left = [u for u in own if not self._killed(u)]
        killed = [u for u in own if u not in left]
        said = []
        if killed:
            squares = " = ".join(f"M[{u},{u}]" for u in killed)
            crossed = " = ".join(f"M[{u},{v}]" for u, v in pairs if u in killed)
            said.append(f"{squares} = 0 for all invisible moments, hence {crossed} = 0")
        if not left:
            text = f"harmless at second order: {said[0]}{apart}"
            return Interaction(relation, Verdict.YES, text)
        crossed = ", ".join(f"M[{u},{v}]" for u, v in pairs if u in left)
        squares = ", ".join(f"M[{u},{u}]" for u in left)
        if all(self._invisible(u) for u in left):
            said.insert(
                0, f"not excluded: {crossed}, since {squares} ≠ 0 is invisible at second order"
            )
            return Interaction(relation, Verdict.NO, f"{'; '.join(said)}{apart}")
        said.insert(0, f"open: second order does not show that {squares} = 0")
        return Interaction(relation, Verdict.UNDECIDED, f"{'; '.join(said)}{apart}")

    def _killed(self, own: str) -> bool:
        """Whether M_uu = 0 for all invisible M ⪰ 0 and this parameter of the router."""
        assert self.second is not None
        assert self.regime is not None
        expansion = self.regime.expansion
        pinned = expansion is not None and not expansion.gates and self.gate.router is None
        shown = pinned or any(y.label == own for y in self.second.visible)
        return shown or self.second.verdict == Verdict.YES

    def _invisible(self, own: str) -> bool:
        """Whether atoms are known with invisible moments, M_uu ≠ 0 among them."""
        witness = None if self.second is None else self.second.witness
        named = {} if witness is None or witness.realised is None else dict(witness.moments)
        return named.get(f"M[{own},{own}]", "0") != "0"


def products(relation: Relation) -> list[BasisFunction]:
    """Its products of a derivative of π with one of h."""
    return [t.function for t in relation.terms if len(t.function.factors) == 2]
