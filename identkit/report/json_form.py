"""The machine-readable forms: ``identkit.check/1`` and what the other commands print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from identkit.architecture.examples import examples_of
from identkit.architecture.records import ExactMeasure, Example, FoundGauge
from identkit.degeneracy.document import document
from identkit.layout import SLOPE
from identkit.likelihoods import asked_under
from identkit.report.json_results import result_document
from identkit.report.json_text import options_document
from identkit.results import CheckResult

if TYPE_CHECKING:
    from identkit.alternatives import Alternative

CHECK_SCHEMA = "identkit.check/1"


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
