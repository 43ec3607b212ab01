"""``identkit claims``: lemmas and published claims with status, and the rerun of their checks."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from identkit.cli.help import Help
from identkit.cli.output import show
from identkit.cli.progress import require, status_line
from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.claims.record import ClaimRecord
    from identkit.claims.running import Run
    from identkit.report.claims_report import Entry

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
    parser.set_defaults(run=run)
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
    from identkit.report import claims_report as report

    if options.record and (options.words or options.status):
        raise InputError("--record: it reruns everything; leave out the words and --status.")
    chosen = _chosen(options.words, options.status)
    if options.run or options.record:
        run = _rerun(options, chosen)
        # a new record is read again: it holds new claims, and not those that are gone
        chosen = _with(run, _chosen((), None) if options.record else chosen)
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


def _chosen(words: Sequence[str], status: str | None) -> list[Entry]:
    """The claims asked for. Raises InputError if there are none."""
    from identkit.claims.checks import STATUSES
    from identkit.claims.record import recorded
    from identkit.errors import unknown_name
    from identkit.report.claims_report import Entry, unchecked_entries

    entries = [*(Entry(c) for c in recorded()), *unchecked_entries()]
    for word in words:
        if not any(_has(e.claim, word) for e in entries):
            near = difflib.get_close_matches(word, [e.claim.id for e in entries], n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else "identkit claims lists all."
            raise InputError(f"no claim's id or file contains '{word}'; {hint}")
    if words:
        entries = [e for e in entries if any(_has(e.claim, w) for w in words)]
    if status is not None:
        if status not in STATUSES:  # "contradicted" will do
            begun = [name for name in STATUSES if status and name.startswith(status)]
            if len(begun) != 1:
                raise unknown_name("status", status, STATUSES)
            status = begun[0]
        entries = [e for e in entries if e.status == status]
    return entries


def _has(claim: ClaimRecord, word: str) -> bool:
    return word.lower() in claim.id or word.lower() in claim.file


def _rerun(options: argparse.Namespace, chosen: Sequence[Entry]) -> Run:
    require("claims --run", "pytest", extra="test")
    from identkit.claims import record, running

    path = running.folder(options.checks)
    whole = options.record or not (options.words or options.status)
    tests = [] if whole else [c.test for e in chosen for c in e.claim.checks]
    if not tests and not whole:
        raise InputError("claims --run: no claim chosen has a check; choose others.")
    with status_line() as progress:
        progress("collecting checks")
        run = running.rerun(
            path,
            list(dict.fromkeys(tests)),
            compare=not options.record,
            progress=lambda done, total: progress(f"{done} of {total} checks"),
        )
    if options.record:
        if run.failed:
            raise InputError(f"--record: {run.failed[0][0]} fails; nothing was written.")
        record.write(run.claims, Path(running.__file__).with_name(record.FILE))
        record.recorded.cache_clear()
    return run


def _with(run: Run, chosen: Sequence[Entry]) -> list[Entry]:
    """The chosen claims with what the run found, then failed checks that the record lacks."""
    from identkit.claims.record import Check, ClaimRecord
    from identkit.report.claims_report import Entry

    found = {c.id: c for c in run.claims}
    failed = dict(run.failed)
    entries, owned = [], set()
    for e in chosen:
        tests = [k.test for k in e.claim.checks]
        owned.update(tests)
        failures = [(t, failed[t]) for t in tests if t in failed]
        failures += [(t, "there is no such check any more") for t in tests if t not in run.seconds]
        seconds = sum(run.seconds.get(t, 0.0) for t in tests) if tests else None
        claim = found.get(e.claim.id)
        entries.append(replace(e, found=claim, failures=tuple(failures), seconds=seconds))
    for test, why in failed.items():
        if test not in owned:
            name = test.rpartition("::")[2]
            unknown = ClaimRecord(name, "", "", (Check(test, "open", ""),))
            entries.append(Entry(unknown, None, ((test, why),)))
    return entries
