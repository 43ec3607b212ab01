"""A rate experiment as the document ``identkit.rates/1``, or ``/2`` of other blocks."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from identkit.rates.result import OF_BLOCKS, SCHEMA, Line, RateResult, Share, Verdict
from identkit.rates.result import settings_of_analysis as analysis
from identkit.rates.slopes import Prediction
from identkit.report import statements
from identkit.report.json_results import published_document

if TYPE_CHECKING:
    pass


def document(result: RateResult) -> dict[str, Any]:
    """The document; ``identkit.rates/2`` differs in the truth and the box, by name of a block."""
    c = result.condition
    return {
        "schema": SCHEMA if result.experiment.setting.truth.layout.standard else OF_BLOCKS,
        "experiment": result.experiment.document(),
        "complete": result.complete,
        "fits": result.fits,
        "analysis": analysis(),
        "certified": {
            "condition": c.condition,
            "level": c.level,
            "regime": c.regime,
            "verdict": c.verdict,
            "quantifier": c.quantifier,
            "nondegenerate": c.nondegenerate,
            "premise": None if c.premise is None else c.premise.verdict,
            "statement": statements.title(c),
            "published": published_document(c.published),
            "derived": None if c.rate is None else str(c.rate.derived.at_every_cell),
            "reasons": [] if c.rate is None else list(c.rate.reasons),
        },
        "conditioning": None if result.conditioning is None else result.conditioning.to_dict(),
        "verdicts": [_verdict(v) for v in result.verdicts],
        "lines": [_line(line) for line in result.lines],
        "shares": [_share(s) for s in result.shares],
        "controls": [asdict(control) for control in result.controls],
        "warnings": list(result.warnings),
        "environments": list(result.environments),
    }


def _verdict(v: Verdict) -> dict[str, Any]:
    return {
        "quantity": v.quantity.key,
        "label": v.quantity.label,
        "meaning": v.quantity.meaning,
        "start": v.start,
        "published": _prediction(v.published),
        "derived": _prediction(v.derived),
        "against_published": v.against_published,
        "against_derived": v.against_derived,
        "reasons": list(v.reasons),
    }


def _prediction(p: Prediction | None) -> dict[str, Any] | None:
    if p is None:
        return None
    return {"rate": str(p.rate), "low": p.low, "high": _number(p.high), "strict": p.strict}


def _line(line: Line) -> dict[str, Any]:
    s = line.slope
    return {
        "quantity": line.quantity,
        "start": line.start,
        "budget": line.budget,
        "counts": list(line.counts),
        "medians": [_number(v) for v in line.medians],
        "lower": [_number(v) for v in line.lower],
        "upper": [_number(v) for v in line.upper],
        "slope": None if s is None else {"value": s.value, "low": s.low, "high": s.high},
    }


def _share(s: Share) -> dict[str, Any]:
    return {
        "start": s.start,
        "n": s.n,
        "budget": s.budget,
        "statuses": dict(s.statuses),
        "seconds": s.seconds,
        "trapped": s.trapped,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
