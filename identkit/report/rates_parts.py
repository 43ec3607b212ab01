"""Parts that documents and reports of all rate experiments share."""

from __future__ import annotations

import math
from typing import Any

from identkit.rates.result import Line, Share, Verdict
from identkit.rates.slopes import Prediction, Slope


def interval(found: Slope | None) -> str:
    """A slope with its interval."""
    if found is None:
        return "too few values"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def verdict_document(v: Verdict) -> dict[str, Any]:
    """A verdict."""
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


def line_document(line: Line) -> dict[str, Any]:
    """A line, NaN as null."""
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


def share_document(s: Share) -> dict[str, Any]:
    """How fits ended."""
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
