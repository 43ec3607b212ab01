"""``identkit verify``: a certificate file proved again."""

from __future__ import annotations

import argparse

from identkit.cli.progress import status_line


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    verify = commands.add_parser(
        "verify",
        help="verify a certificate file written by check --save",
        description="Re-derive the functions and re-evaluate the proof from the file alone, by a "
        "route that does not use the prover's derivatives or determinants. Exit code 0: it holds; "
        "1: rejected, with the first thing that fails.",
    )
    verify.set_defaults(run=run)
    verify.add_argument("file", metavar="CERT.json")
    verify.add_argument("--json", action="store_true", help="machine-readable answer")
    verify.add_argument(
        "--time-limit", type=float, default=120.0, metavar="S", help="seconds, then an error (120)"
    )


def run(options: argparse.Namespace) -> int:
    """Verify, print; the exit code."""
    from identkit.certificates.store import load
    from identkit.certificates.verify import verify
    from identkit.report import statements
    from identkit.report.json_form import dumps

    document = load(options.file)
    with status_line() as progress:
        progress(f"verifying {options.file}")
        verified = verify(document, options.time_limit)
    if options.json:
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
        print(
            dumps(
                {
                    "schema": "identkit.verify/1",
                    "verified": True,
                    "expert": verified.expert.canonical(),
                    "gate": verified.gate,
                    "domain": verified.options.domain.document(),
                    "results": results,
                }
            )
        )
        return 0
    e = verified.expert
    box = verified.options.domain.text(e.dim)
    print(f"verified: h(x) = {e.text}, {verified.gate} gate")
    print(f"  inputs {', '.join(e.inputs)} in {box}, parameters {', '.join(e.parameters)}")
    for r in verified.results:
        print(f"  {statements.title(r)}: {r.verdict}")
        print(f"    {statements.scope(r)}")
        if r.coordinates:
            print(f"    in the coordinates {', '.join(r.coordinates)}")
        if r.rate is not None:
            premise = "" if r.premise is None else f", premise {r.premise.verdict}"
            derived = statements.derived_rate(r.rate)
            print(f"    nondegenerate: {r.nondegenerate}, derived rate: {derived}{premise}")
            for limit in statements.limits(r.rate):
                print(f"    {limit}")
    return 0
