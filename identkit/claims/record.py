"""What the checks of ``proofs_check/`` found when they were last run (``record.json``).

The record is written by ``identkit claims --run --record`` and never by hand. Every later run of a
check compares its finding with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from identkit.claims.checks import Finding, weakest
from identkit.files import write_whole
from identkit.vocabulary import ClaimStatus

FILE = "record.json"
REMEDY = "if the change is right, run identkit claims --run --record"


@dataclass(frozen=True)
class Check:
    """One check's finding: its pytest node, and what it showed."""

    test: str
    status: ClaimStatus
    detail: str


@dataclass(frozen=True)
class ClaimRecord:
    """A claim with the findings of its checks."""

    id: str
    statement: str
    source: str
    checks: tuple[Check, ...]

    @property
    def status(self) -> ClaimStatus:
        """The weakest of its checks'; ``contradicted`` outweighs all; ``open`` without a check."""
        return weakest(c.status for c in self.checks) if self.checks else ClaimStatus.OPEN

    @property
    def file(self) -> str:
        """Where it is checked; empty if nowhere."""
        return self.checks[0].test.partition("::")[0] if self.checks else ""

    def canonical(self) -> dict:
        """The JSON form."""
        return asdict(self)


@cache
def recorded() -> tuple[ClaimRecord, ...]:
    """The record shipped with this version, in the order of the files."""
    resource = resources.files("identkit.claims").joinpath(FILE)
    if not resource.is_file():
        return ()
    return tuple(
        ClaimRecord(c["id"], c["statement"], c["source"], tuple(map(_check, c["checks"])))
        for c in json.loads(resource.read_text(encoding="utf-8"))["claims"]
    )


def _check(data: Mapping[str, str]) -> Check:
    return Check(data["test"], ClaimStatus(data["status"]), data["detail"])


def disagreement(records: Sequence[ClaimRecord], test: str, found: Finding) -> str | None:
    """Why this finding is not the recorded one, in a sentence; None if it is.

    ``detail`` may differ: it may hold numbers that depend on the machine.
    """
    claim = found.claim
    known = next((r for r in records if r.id == claim.id), None)
    check = None
    if known is not None:
        check = next((c for c in known.checks if c.test == test), None)
    if known is None or check is None:
        return f"claim {claim.id}: the record has no finding of {test}; {REMEDY}."
    if (known.statement, known.source) != (claim.statement, claim.source):
        return f"claim {claim.id}: its statement or source is not the recorded one; {REMEDY}."
    if check.status != found.status:
        return f"claim {claim.id}: recorded as {check.status}, found {found.status}; {REMEDY}."
    return None


def gathered(found: Sequence[tuple[str, Mapping[str, str]]]) -> tuple[ClaimRecord, ...]:
    """Claims from (test, finding) pairs, in their order."""
    claims: dict[str, ClaimRecord] = {}
    for test, f in found:
        check = _check({"test": test, **f})
        before = claims.get(f["id"])
        checks = (check,) if before is None else (*before.checks, check)
        claims[f["id"]] = ClaimRecord(f["id"], f["statement"], f["source"], checks)
    return tuple(claims.values())


def write(claims: Sequence[ClaimRecord], path: Path) -> None:
    """Write the record, one line per field so that changes can be read."""
    note = "Written by identkit claims --run --record from the checks in proofs_check; not by hand."
    document = {"note": note, "claims": [c.canonical() for c in claims]}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, lambda stream: stream.write(text.encode()), "--record")
