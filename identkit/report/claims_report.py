"""Every claim with source, status and check: for a terminal, as Markdown and JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from identkit import __version__
from identkit.claims.checks import STATUSES
from identkit.claims.listing import FAILED, Entry
from identkit.report.json_text import dumps
from identkit.vocabulary import ClaimStatus

SCHEMA = "identkit.claims/1"
COLOURS: Mapping[str, str] = {
    ClaimStatus.PROVED: "bold green",
    ClaimStatus.ALMOST_EVERYWHERE: "green",
    ClaimStatus.ON_AN_OPEN_SET: "green",
    ClaimStatus.OBSERVED: "cyan",
    ClaimStatus.OPEN: "yellow",
    ClaimStatus.CONTRADICTED: "bold red",
}
UNCHECKED = "published, not checked by identkit"


def terminal(entries: Sequence[Entry], rerun: bool, details: bool) -> RenderableType:
    """For a terminal of 80 columns; ``details`` adds what each check showed."""
    blocks: list[RenderableType] = []
    for file, group in groupby(entries, key=lambda e: e.claim.file):
        blocks.append(Text(f"\n{file or UNCHECKED}", style="bold"))
        for entry in group:
            blocks += _claim(entry, details)
    if not rerun:
        blocks.append(
            Text(
                "\nThe status is that of the last recorded run; --run reruns the checks.",
                style="dim",
            )
        )
    count = Counter(e.status for e in entries)
    parts = [f"{count[s]} {s}" for s in (*STATUSES, FAILED) if count[s]]
    blocks.append(Text(f"\n{len(entries)} claim{'s' * (len(entries) != 1)}: {'; '.join(parts)}"))
    return Group(*blocks)


def _claim(entry: Entry, details: bool) -> list[RenderableType]:
    seconds = "" if entry.seconds is None else f"  {entry.seconds:.1f} s"
    status = (entry.status, COLOURS.get(entry.status, "bold red"))
    head = Text.assemble("  ", status, "  ", (entry.claim.id + seconds, "dim"))
    lines = [Text(entry.claim.statement), Text(entry.claim.source, style="dim")]
    if entry.unchecked is not None:
        lines.append(Text(f"not checked: {entry.unchecked}"))
    lines += [Text(f"{_name(test)}: {why}", style="red") for test, why in entry.failures]
    current = entry.found or entry.claim
    if details:
        lines += [Text(f"{_name(c.test)}: {c.status}; {c.detail}") for c in current.checks]
    elif entry.status == ClaimStatus.CONTRADICTED:
        lines.append(
            Text(next(c.detail for c in current.checks if c.status == ClaimStatus.CONTRADICTED))
        )
    return [head, *(Padding(line, (0, 0, 0, 4)) for line in lines)]


def _name(test: str) -> str:
    """A check's name within its file."""
    return test.partition("::")[2] or test


def markdown(entries: Sequence[Entry]) -> str:
    """A table with a link from each claim to its check."""
    lines = ["| claim | status | check | source |", "| --- | --- | --- | --- |"]
    for e in entries:
        link = f"[{e.claim.file.partition('/')[2]}]({e.claim.file})" if e.claim.checks else "–"
        cells = (escaped(e.claim.statement), e.status, link, escaped(e.claim.source))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Mathematics as plain text in a Markdown table."""
    return re.sub(r"([|*_<>])", r"\\\1", text)


def document(entries: Sequence[Entry], rerun: bool) -> dict[str, Any]:
    """The ``identkit.claims/1`` document."""
    return {
        "schema": SCHEMA,
        "identkit": __version__,
        "rerun": rerun,
        "claims": [
            {
                **(e.found or e.claim).canonical(),
                "file": e.claim.file or None,
                "status": None if e.failures else e.status,
                "recorded": e.claim.status,
                "unchecked": e.unchecked,
                "failures": [{"test": test, "reason": why} for test, why in e.failures],
                "seconds": None if e.seconds is None else round(e.seconds, 3),
            }
            for e in entries
        ],
    }


def json_text(entries: Sequence[Entry], rerun: bool) -> str:
    """The document as text."""
    return dumps(document(entries, rerun))
