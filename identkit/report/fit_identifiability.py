"""What is proved about the expert of a fit, and what it means for its atoms, in sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from identkit.degeneracy.document import document as plain_records
from identkit.fit.inference import Identifiability
from identkit.fit.shared_gates import SharedGate
from identkit.gates import Gate
from identkit.report import statements
from identkit.results import ConditionResult
from identkit.vocabulary import Verdict

REGULAR = (
    " The usual n^-1/2 of exactly specified ones presumes an interior truth and a nonsingular "
    "information matrix; at this estimate it is nonsingular."
)
"""What is said of rates where every parameter is determined."""


def proved_lines(
    found: Identifiability,
    gate: Gate,
    *,
    atoms: int,
    groups: Sequence[SharedGate],
    regular: bool,
    seen: bool,
    clipped: bool,
) -> list[tuple[str, str]]:
    """(label, sentence) for a fit of so many ``atoms`` under the gate.

    ``groups`` are the atoms that share a gate, ``regular`` says that the data determine every
    parameter, ``seen`` that an over-specified cell may be among them, ``clipped`` that gates are at
    their bounds.
    """
    if found.result is None:
        return [("check", f"not decided: {found.reason}")]
    r = found.result
    if atoms == 1:
        text = (
            "one atom shares no true atom with another: families and rates of over-specified "
            "cells need two and are left out."
        )
        return [("k = 1", text + (REGULAR if regular else ""))]
    label = "proved" if r.verdict != Verdict.UNDECIDED else "check"
    lines = [(label, _verdict(r, gate, groups, clipped))]
    families = () if r.second_order is None else r.second_order.families
    if families:
        moving = list(dict.fromkeys(f"({', '.join(f.moving)})" for f in families))
        lines.append(
            ("apart", f"not separately identifiable in an over-specified cell: {joined(moving)}.")
        )
    second = r.second_order
    if not families and second is not None and second.witness is not None:
        inside = re.findall(r"\[(.*?)\]", " ".join(name for name, _ in second.witness.moments))
        names = list(dict.fromkeys(name.strip() for text in inside for name in text.split(",")))
        text = f"not told apart to second order in an over-specified cell: {joined(names)}."
        lines.append(("apart", text))
    follows = statements.consequences(r, gate.likelihood)
    lines += [pair for pair in follows if pair[0] != "rate"]
    if r.rate is not None:
        none = "" if seen else " (none seen here)"
        derived = statements.directions(r) or statements.derived_rate(r.rate)
        text = f"in over-specified cells{none} derived: {derived}"
        if r.rate.published:
            text += f"; published: {r.rate.published} ({statements.rate_agreement(r.rate)})"
        text += "."
        if regular:
            text += REGULAR
        lines.append(("rate", text))
    return lines


def _verdict(r: ConditionResult, gate: Gate, groups: Sequence[SharedGate], clipped: bool) -> str:
    case, regime = gate.regime(r.regime), ""
    if case is not None and case.title:
        why = "no gate is shared"
        if groups:
            sparse = "shared gates are constant"
            why = "one of the shared gates is not constant" if case.admits(True) else sparse
        regime = f"; {case.title} since {why}"
    if regime and clipped:
        regime += ", as far as gates at their bounds tell"
    return f"{statements.title(r)}: {r.verdict} ({statements.scope(r)}){regime}."


def identifiability_document(
    found: Identifiability, lines: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """The JSON form, with the sentences."""
    r = found.result
    second = None if r is None else r.second_order
    families = () if second is None else second.families
    return {
        "verdict": found.verdict,
        "reason": found.reason,
        "regime": found.regime,
        "domain": None if found.domain is None else found.domain.document(),
        "condition": None if r is None else r.condition,
        "level": None if r is None else r.level,
        "nondegenerate": None if r is None else r.nondegenerate,
        "not_separately_identifiable": [list(f.moving) for f in families],
        "families": [plain_records(f) for f in families],
        "identifiable": [] if second is None else plain_records(second.identifiable),
        "premise": None if r is None else plain_records(r.premise),
        "rate": None if r is None else plain_records(r.rate),
        "lines": [f"{label}: {text}" for label, text in lines],
    }


def joined(items: Sequence[str]) -> str:
    """a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
