"""What ``identkit verify`` says of a certificate that holds: text and JSON."""

from __future__ import annotations

from typing import Any

from identkit.certificates.verify import Verified
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import asked_under, resolve
from identkit.report import statements
from identkit.report.json_results import order_document
from identkit.vocabulary import Verdict

SCHEMA = "identkit.verify/2"


def _near(verified: Verified) -> list[bool]:
    """For each result whether its rate is about a neighbourhood of the truth."""
    found = (
        resolve_gate(verified.gate, verified.likelihood).regime(r.regime) for r in verified.results
    )
    return [regime is not None and regime.refits == "elsewhere" for regime in found]


def document(verified: Verified) -> dict[str, Any]:
    """The ``identkit.verify/2`` document."""
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
            "rate": None if r.rate is None else str(r.rate.derived),
            "rate_cause": None if r.rate is None else r.rate.cause,
            "near_the_truth_only": near,
            "premise": None if r.premise is None else r.premise.verdict,
            "orders": [order_document(d) for d in r.orders],
            "caveats": statements.provided(r),
            "checked_by": by,
        }
        for r, near, by in zip(verified.results, _near(verified), verified.by, strict=True)
    ]
    return {
        "schema": SCHEMA,
        "verified": True,
        "expert": verified.expert.canonical(),
        **asked_under(verified.gate, verified.likelihood),
        "domain": verified.options.domain.document(),
        "results": results,
    }


def text(verified: Verified) -> str:
    """For a terminal."""
    e = verified.expert
    box = verified.options.domain.text(e.dim)
    meaning = resolve(verified.likelihood).seen(e).meaning
    lines = [
        f"verified: h(x) = {e.written}, {verified.gate} gate{statements.under(verified)}",
        *([f"  {meaning}"] if meaning else []),
        f"  inputs {', '.join(e.inputs)} in {box}, parameters {', '.join(e.parameters)}",
    ]
    for r, near, by in zip(verified.results, _near(verified), verified.by, strict=True):
        lines += [f"  {statements.title(r)}: {r.verdict}", f"    {statements.scope(r)}"]
        if r.coordinates:
            lines.append(f"    in the coordinates {', '.join(r.coordinates)}")
        if r.rate is not None:
            premise = "" if r.premise is None else f", premise {r.premise.verdict}"
            derived = statements.directions(r) or statements.derived_rate(r.rate)
            lines.append(f"    nondegenerate: {r.nondegenerate}, derived rate: {derived}{premise}")
            lines += [f"    provided: {statements.sentence(c)}" for c in statements.provided(r)]
            if near and r.nondegenerate == Verdict.YES:
                lines.append("    near the truth only: exact refits elsewhere are not excluded")
        for who, what in (
            ("kernel", "checked by the kernel"),
            ("prover", "derived once more by the prover, not checked by the kernel"),
        ):
            pieces = [piece for piece, said in by.items() if said == who]
            if pieces:
                lines.append(f"    {what}: {', '.join(pieces)}")
    return "\n".join(lines)
