"""``identkit verify``: a certificate file proved again."""

from __future__ import annotations

import argparse

from identkit.cli.progress import status_line


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    verify = commands.add_parser(
        "verify",
        help="verify a certificate file written by check --save",
        description="Check the evidence in the file by a small kernel that shares no code with the "
        "prover. What the kernel cannot show the prover derives once more, and it says so. Exit "
        "code 0: it holds; 1: rejected, with the first thing that fails.",
    )
    verify.set_defaults(call=run)
    verify.add_argument("file", metavar="CERT.json")
    verify.add_argument("--json", action="store_true", help="machine-readable answer")
    verify.add_argument(
        "--time-limit", type=float, default=120.0, metavar="S", help="seconds, then an error (120)"
    )


def run(options: argparse.Namespace) -> int:
    """Verify, print; the exit code."""
    from identkit.certificates.store import load
    from identkit.certificates.verify import verify
    from identkit.report import verified
    from identkit.report.json_text import dumps

    document = load(options.file)
    with status_line() as progress:
        progress(f"verifying {options.file}")
        found = verify(document, options.time_limit)
    print(dumps(verified.document(found)) if options.json else verified.text(found))
    return 0
