"""The machine-readable forms: ``identkit.check/1`` and what the other commands print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from identkit.architecture.examples import examples_of
from identkit.architecture.records import ExactMeasure, Example, FoundGauge
from identkit.certificates.document import evidence
from identkit.degeneracy.document import document
from identkit.layout import SLOPE
from identkit.likelihoods import asked_under
from identkit.orders.records import DirectionOrder
from identkit.results import CheckResult, ConditionResult, Published

if TYPE_CHECKING:
    from identkit.alternatives import Alternative

CHECK_SCHEMA = "identkit.check/1"


def dumps(document: Any) -> str:
    """JSON text with sorted keys; Greek letters stay readable."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1)


@cache
def schema(name: str) -> dict:
    """A JSON Schema shipped in the package, complete in itself: ``check-1``, ``certificate-3``.

    Files hold the definitions that are a format's own; those it refers to besides are added from
    ``shared.json``, which several formats share.
    """
    document, shared = _schema_file(name), _schema_file("shared")["$defs"]
    own = document.setdefault("$defs", {})
    waiting = list(_references(document))
    while waiting:
        wanted = waiting.pop()
        if wanted not in own:
            own[wanted] = shared[wanted]
            waiting += _references(shared[wanted])
    return document


def _schema_file(name: str) -> dict:
    text = resources.files("identkit.report").joinpath("schemas", f"{name}.json").read_text("utf-8")
    return json.loads(text)


def _references(part: Any) -> Iterator[str]:
    """The definitions that a part of a schema refers to."""
    if isinstance(part, dict):
        target = part.get("$ref")
        if isinstance(target, str):
            yield target.removeprefix("#/$defs/")
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def check_document(
    result: CheckResult, instead: Sequence[Alternative] | None = None
) -> dict[str, Any]:
    """The ``identkit.check/1`` document of a check, with the alternatives if they were sought."""
    return {
        "schema": CHECK_SCHEMA,
        "identkit": result.version,
        "seed": result.options.seed,
        **asked_under(result.gate, result.likelihood),
        "expert": result.expert.canonical(),
        "options": options_document(result),
        "results": [result_document(r) for r in result.results],
        **({} if result.shared is None else {"shared": check_document(result.shared)}),
        "gauges": [gauge_document(*found) for found in examples_of(result)],
        "no_gauges": [document(none) for none in result.no_gauges],
        **({} if instead is None else {"alternatives": [_alternative(a) for a in instead]}),
        "requirement": None
        if result.requirement is None
        else {"name": result.requirement.name, "met": result.requirement.met},
    }


def gauge_document(gauge: FoundGauge, example: Example | None) -> dict[str, Any]:
    """One entry of ``gauges``."""
    return {
        "name": gauge.name,
        "kind": gauge.kind,
        "half": gauge.half,
        "action": gauge.action,
        "where": gauge.where or None,
        "images": dict(gauge.images),
        "amounts": list(gauge.amounts),
        "dimension": gauge.dimension,
        "each": gauge.each,
        "proved": gauge.proved,
        "method": gauge.method,
        "rests_on": list(gauge.rests_on),
        "example": None
        if example is None
        else {
            "given": measure_document(example.given),
            "alternative": measure_document(example.alternative),
        },
    }


def measure_document(measure: ExactMeasure) -> dict[str, Any]:
    """A measure in exact numbers, each as text; ``beta1`` and other blocks of several as lists."""
    return {
        half: [
            {
                **{b: list(v) if b == SLOPE.name else v[0] for b, v in atom.weight},
                "eta": dict(atom.eta),
                **({} if atom.variance is None else {"variance": atom.variance}),
            }
            for atom in atoms
        ]
        for half, atoms in (("routed", measure.routed), ("shared", measure.shared))
    }


def _alternative(found: Alternative) -> dict[str, Any]:
    return {
        "change": found.change,
        "options": found.options,
        "rates": [
            {
                "regime": r.regime,
                "derived": None if r.rate is None else str(r.rate.derived),
                "caveats": list(r.caveats),
            }
            for r in found.check.results
        ],
    }


def options_document(result: CheckResult) -> dict[str, Any]:
    """Options other than the seed, exact values as text."""
    o = result.options
    return {
        "atoms": o.atoms,
        "domain": o.domain.document(),
        "max_precision": o.max_precision,
        "time_limit": o.time_limit,
    }


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
