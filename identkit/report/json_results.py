"""One result of a check as plain JSON values, with its orders and what is published."""

from __future__ import annotations

from typing import Any

from identkit.certificates.document import evidence
from identkit.degeneracy.document import document
from identkit.orders.records import DirectionOrder
from identkit.results import ConditionResult, Published


def result_document(result: ConditionResult) -> dict[str, Any]:
    """One entry of ``results``."""
    second = result.second_order
    return {
        "regime": result.regime,
        "condition": result.condition,
        "level": result.level,
        "verdict": result.verdict,
        "coordinates": list(result.coordinates),
        "atoms": result.atoms,
        "atoms_scope": result.atoms_scope,
        "functions": result.functions,
        "merged": result.merged,
        "rank": result.rank,
        "quantifier": result.quantifier,
        "certificate": {**evidence(result), "second_order": document(second)},
        "relations": [r.text for r in result.relations],
        "published": published_document(result.published),
        "agreement": result.agreement,
        "nondegenerate": result.nondegenerate,
        "witness": None if second is None else document(second.witness),
        "family": document(second.families[0]) if second and second.families else None,
        "identifiable": [] if second is None else document(second.identifiable),
        "rate": document(result.rate),
        "orders": [order_document(d) for d in result.orders],
        "premise": document(result.premise),
        "exceptional": document(result.exceptional),
    }


def order_document(found: DirectionOrder) -> dict[str, Any]:
    """One direction's order, without what proves it."""
    return {
        "direction": found.direction,
        "cell": found.cell,
        "order": found.order,
        "status": found.status,
        "rate": found.rate,
    }


def published_document(published: Published | None) -> dict[str, str] | None:
    """A published claim, or None."""
    if published is None:
        return None
    return {
        "verdict": published.verdict,
        "rate": str(published.rate),
        "source": published.source,
    }
