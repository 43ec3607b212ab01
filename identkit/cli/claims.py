"""``identkit claims``: lemmas and published claims with status, and the rerun of their checks."""

from __future__ import annotations

import argparse

from identkit.cli.help import Help
from identkit.cli.output import show
from identkit.cli.progress import require, status_line
from identkit.errors import InputError

EXAMPLES = """\
examples:
  identkit claims                      every claim, its source and status
  identkit claims kink softmax-relu    those whose id or file contains a word
  identkit claims kink --run           rerun their checks
  identkit claims --status open        what is neither proved nor refuted
  identkit claims --markdown           a table with links to the checks

status:
  proved                    for all that the statement quantifies over: by exact
                            computation, or by the argument written in the
                            file, whose formulas are computed
  proved almost everywhere  for Lebesgue-almost every parameter
  proved on an open set     for all parameters in some open set
  observed                  numbers agree with it; no proof
  open                      neither proved nor refuted here
  contradicted, with counterexample
                            false as stated; the detail says where

Each claim is checked by a file in the repository's folder proofs_check, which
a referee can read and pytest can run. Without --run the status is that of the
last recorded run; --run needs the repository and identkit[test].

exit codes: 0 done; 1 a check failed, or found another status than recorded;
2 bad input."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of ``identkit claims``."""
    parser = commands.add_parser(
        "claims",
        help="list the theory's lemmas and claims with status, and rerun their checks",
        description="List the lemmas and published claims behind identkit: statement, source, "
        "status and the file that checks it.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    parser.set_defaults(call=run)
    parser.add_argument("words", nargs="*", metavar="WORD", help="parts of ids or file names (all)")
    parser.add_argument("--status", metavar="STATUS", help="only claims of this status")
    parser.add_argument("--run", action="store_true", help="rerun the checks (a minute or two)")
    parser.add_argument("--details", action="store_true", help="what each check showed")
    parser.add_argument(
        "--checks", metavar="DIR", help="the folder proofs_check (beside the package)"
    )
    parser.add_argument(
        "--record", action="store_true", help="rerun all and write the new record (developers)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="schema identkit.claims/1")
    form.add_argument("--markdown", action="store_true", help="a table for a README")


def run(options: argparse.Namespace) -> int:
    """List, and with --run rerun. Returns the exit code."""
    from identkit.claims.listing import check_claims, list_claims
    from identkit.report import claims_report as report

    if options.record and (options.words or options.status):
        raise InputError("--record: it reruns everything; leave out the words and --status.")
    chosen = list_claims(options.words, options.status)
    if options.run or options.record:
        require("claims --run", "pytest", extra="test")
        some = chosen if options.words or options.status else None
        with status_line() as progress:
            progress("collecting checks")
            chosen = check_claims(
                some, options.checks, record=options.record,
                progress=lambda done, total: progress(f"{done} of {total} checks"),
            )  # fmt: skip
    elif options.checks is not None:
        raise InputError("--checks: it has no effect without --run; add --run.")
    if options.json:
        print(report.json_text(chosen, options.run or options.record))
    elif options.markdown:
        print(report.markdown(chosen))
    else:
        details = options.details or bool(options.words and len(chosen) <= DETAILED)
        show(report.terminal(chosen, options.run or options.record, details))
    return 1 if any(e.failures for e in chosen) else 0


DETAILED = 3
"""So few claims, chosen by words, are shown with what each check found."""
