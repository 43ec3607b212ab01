"""Orders in a certificate: bounds with their evidence, records <-> plain JSON values.

They are there where second order is degenerate and no exact family is known: the rate rests on
them. Elsewhere the orders follow from the second order. For each direction the file has the kind
and the value of its two bounds. Arcs stand once (``arcs``), a bound refers to one by its number;
``beside`` is the evidence that no S ⪰ 0 hides beside an output bias (theory section 10).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from identkit.atoms import AtomFunction
from identkit.certificates.statement import read_second, second_entry
from identkit.degeneracy.records import SecondOrder
from identkit.errors import CertificateError
from identkit.expression import Step
from identkit.gates import Gate, RegimeCode
from identkit.likelihoods import resolve
from identkit.orders.caveats import one_by_one, supposed
from identkit.orders.records import Arc, Atoms, Bound, DirectionOrder
from identkit.results import ConditionResult
from identkit.vocabulary import Verdict

ARC = "arc"
"""The kind of every lower bound by an explicit arc: what leads to one is not in the file."""


def has_orders(second: SecondOrder | None, gate: Gate) -> bool:
    """Whether a certificate may hold orders beside this second order.

    Those under a router of one's own it cannot: arcs in a file are those of an expert.
    """
    if gate.router is not None or gate.structure:
        return False
    return second is not None and second.verdict == Verdict.NO and not second.families


def order_entry(result: ConditionResult, gate: Gate) -> dict[str, Any]:
    """``orders`` of one entry of ``results``; empty where there is none."""
    if not result.orders or not has_orders(result.second_order, gate):
        return {}
    own = [_arc(d.lower) for d in result.orders]
    arcs = [arc for arc in dict.fromkeys(own) if arc is not None]
    uppers = [d.upper for d in result.orders if d.upper is not None]
    beside = next((u.evidence for u in uppers if u.evidence is not None), None)
    entry = {
        "cell": result.orders[0].cell,
        "arcs": [{"order": order, "atoms": [_atoms(g) for g in atoms]} for order, atoms in arcs],
        "beside": None if beside is None else second_entry(beside),
        "directions": [
            {
                "direction": d.direction,
                "lower": {
                    **_bound(d.lower, d.lower.kind if arc is None else ARC),
                    "arc": None if arc is None else arcs.index(arc),
                },
                "upper": None if d.upper is None else _bound(d.upper, d.upper.kind),
            }
            for d, arc in zip(result.orders, own, strict=True)
        ],
    }
    return {"orders": entry}


def _arc(bound: Bound) -> tuple[int, tuple[Atoms, ...]] | None:
    """What a file holds of the arc of a lower bound; that of a pair ± t is understood."""
    return None if bound.arc is None or bound.kind == "pair" else (bound.arc.order, bound.arc.atoms)


def _atoms(group: Atoms) -> dict[str, Any]:
    return {
        "roots": list(group.roots),
        "weight": list(group.weight),
        "deviations": [list(pair) for pair in group.deviations],
    }


def _bound(bound: Bound, kind: str) -> dict[str, Any]:
    return {"kind": kind, "order": str(bound.order)}


def read_orders(
    data: dict[str, Any],
    atom: AtomFunction,
    gate: Gate,
    code: RegimeCode,
    second: SecondOrder | None,
    where: str,
) -> tuple[DirectionOrder, ...]:
    """The records, with what the bounds suppose. Raises CertificateError for what has no place."""
    regime = gate.regime(code)
    if regime is None or second is None or not has_orders(second, gate):
        raise CertificateError(f"{where}: have no place beside this second order.")
    arcs = [
        Arc(ARC, 0, tuple(_read_atoms(g) for g in a["atoms"]), (), a["order"]) for a in data["arcs"]
    ]
    beside = None if data["beside"] is None else read_second(data["beside"], gate, code)
    alone = not one_by_one(resolve(gate.likelihood).through, second.across_atoms, regime)
    kinked, used = atom.expression.has(Step), set()

    def bound(entry: dict[str, Any]) -> Bound:
        kind, number = entry["kind"], entry.get("arc")
        own = beside if kind == "beside-location" else None
        quantifier = second.quantifier if own is None else own.quantifier
        used.update({kind} if own else {number})
        if number is not None and number >= len(arcs):
            raise CertificateError(f"{where}: refer to an arc that is not there.")
        return Bound(
            Fraction(entry["order"]),
            kind,
            "",
            caveats=supposed(kind, quantifier, regime, alone=alone, kinked=kinked),
            arc=None if number is None else arcs[number],
            evidence=own,
        )

    found = tuple(
        DirectionOrder(
            d["direction"],
            data["cell"],
            False,
            bound(d["lower"]),
            None if d["upper"] is None else bound(d["upper"]),
        )
        for d in data["directions"]
    )
    if not used >= {*range(len(arcs)), *(["beside-location"] if beside else [])}:
        raise CertificateError(f"{where}: hold evidence that no bound refers to.")
    return found


def _read_atoms(data: dict[str, Any]) -> Atoms:
    deviations = tuple((name, text) for name, text in data["deviations"])
    return Atoms(tuple(data["roots"]), tuple(data["weight"]), deviations)
