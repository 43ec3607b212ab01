"""Claims as they are listed: with the recorded status, or with what a rerun of checks found."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from identkit.claims import unchecked
from identkit.claims.checks import STATUSES
from identkit.claims.record import FILE, Check, ClaimRecord, recorded, write
from identkit.errors import InputError, unknown_name
from identkit.vocabulary import ClaimStatus

if TYPE_CHECKING:
    from identkit.claims.running import Run

FAILED = "check failed"


@dataclass(frozen=True)
class Entry:
    """A claim as listed: its record, what a rerun found (None: not rerun), and what went wrong.

    ``unchecked`` says why it has no check; None if it has one.
    """

    claim: ClaimRecord
    found: ClaimRecord | None = None
    failures: tuple[tuple[str, str], ...] = ()
    seconds: float | None = None
    unchecked: str | None = None

    @property
    def status(self) -> str:
        """The status to print: a rerun's where there was one."""
        if self.failures:
            return FAILED
        return (self.found or self.claim).status


def unchecked_entries() -> list[Entry]:
    """Published claims without a check, as open ones."""
    return [
        Entry(ClaimRecord(u["id"], u["statement"], u["source"], ()), unchecked=u["why"])
        for u in unchecked()
    ]


def list_claims(words: Sequence[str] = (), status: str | None = None) -> list[Entry]:
    """The lemmas and published claims behind identkit, with the status of the last recorded run.

    Only those whose id or file contains one of the ``words``, and of this ``status`` (its begin
    will do). Published claims without a check come last.

    >>> [e.claim.id for e in list_claims(["kink-hat"])]
    ['kink-hat']
    >>> {e.status for e in list_claims(status="contradicted")}
    {'contradicted, with counterexample'}

    Raises :class:`~identkit.errors.InputError` for a word that no claim contains and an unknown
    status.
    """
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


def check_claims(
    entries: Sequence[Entry] | None = None,
    checks: str | None = None,
    *,
    record: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Entry]:
    """Rerun the checks of listed claims, by default of all; each with what was found.

    ``checks`` is the folder ``proofs_check`` (beside the package). A finding other than the
    recorded one is a failure; with ``record`` all are rerun and the new record is written instead.
    ``progress`` is called with the checks done and their number.

    Raises :class:`~identkit.errors.InputError` without pytest or the folder, where no entry has a
    check, and where one fails that was to be recorded.
    """
    try:
        from identkit.claims import running
    except ImportError:
        raise InputError(
            "check_claims: it needs pytest, which is not installed; run pip install identkit[test]."
        ) from None
    path = running.folder(checks)
    tests = [c.test for e in entries or () for c in e.claim.checks]
    if entries is not None and not record and not tests:
        raise InputError("claims --run: no claim chosen has a check; choose others.")
    run = running.rerun(
        path,
        [] if record else list(dict.fromkeys(tests)),
        compare=not record,
        progress=progress or (lambda done, total: None),
    )
    if record:
        if run.failed:
            raise InputError(f"--record: {run.failed[0][0]} fails; nothing was written.")
        write(run.claims, Path(running.__file__).with_name(FILE))
        recorded.cache_clear()
        entries = None  # it is read again: it holds new claims, and not those that are gone
    return _with_findings(run, list_claims() if entries is None else entries)


def _with_findings(run: Run, listed: Sequence[Entry]) -> list[Entry]:
    """The listed claims with what the run found, then failed checks that the record lacks."""
    found = {c.id: c for c in run.claims}
    failed = dict(run.failed)
    entries, owned = [], set()
    for e in listed:
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
            unknown = ClaimRecord(name, "", "", (Check(test, ClaimStatus.OPEN, ""),))
            entries.append(Entry(unknown, None, ((test, why),)))
    return entries
