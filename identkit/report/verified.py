"""What ``identkit verify`` says of a certificate that holds: text and JSON."""

from __future__ import annotations

from typing import Any

from identkit.certificates.verify import Verified
from identkit.report import statements

SCHEMA = "identkit.verify/1"


def document(verified: Verified) -> dict[str, Any]:
    """The ``identkit.verify/1`` document."""
    results = [
        {
            "condition": r.condition,
            "level": r.level,
            "regime": r.regime,
            "verdict": r.verdict,
            "quantifier": r.quantifier,
            "atoms": r.atoms,
            "atoms_scope": r.atoms_scope,
            "coordinates": list(r.coordinates),
            "nondegenerate": r.nondegenerate,
            "rate": None if r.rate is None else r.rate.derived,
            "rate_cause": None if r.rate is None else r.rate.cause,
            "rate_elsewhere": None if r.rate is None else r.rate.elsewhere,
            "premise": None if r.premise is None else r.premise.verdict,
        }
        for r in verified.results
    ]
    return {
        "schema": SCHEMA,
        "verified": True,
        "expert": verified.expert.canonical(),
        "gate": verified.gate,
        "domain": verified.options.domain.document(),
        "results": results,
    }


def text(verified: Verified) -> str:
    """For a terminal."""
    e = verified.expert
    box = verified.options.domain.text(e.dim)
    lines = [
        f"verified: h(x) = {e.written}, {verified.gate} gate",
        f"  inputs {', '.join(e.inputs)} in {box}, parameters {', '.join(e.parameters)}",
    ]
    for r in verified.results:
        lines += [f"  {statements.title(r)}: {r.verdict}", f"    {statements.scope(r)}"]
        if r.coordinates:
            lines.append(f"    in the coordinates {', '.join(r.coordinates)}")
        if r.rate is not None:
            premise = "" if r.premise is None else f", premise {r.premise.verdict}"
            derived = statements.derived_rate(r.rate)
            lines.append(f"    nondegenerate: {r.nondegenerate}, derived rate: {derived}{premise}")
            lines += [f"    {limit}" for limit in statements.limits(r.rate)]
    return "\n".join(lines)
