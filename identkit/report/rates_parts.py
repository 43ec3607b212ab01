"""Parts that documents and reports of all rate experiments share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.rate import NONE
from identkit.rates.result import Line, Observed, Share, Verdict
from identkit.rates.slopes import Prediction, Slope
from identkit.vocabulary import Basis, Judgement


def interval(found: Slope | None) -> str:
    """A slope with its interval."""
    if found is None:
        return "too few values"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


COLOURS: Mapping[str, str] = {
    Judgement.CONSISTENT: "green",
    Judgement.INCONSISTENT: "bold red",
    Judgement.INCONCLUSIVE: "yellow",
}
SHORT = {NONE: "none"}
"""Rates as they fit a column."""


def titled(title: str) -> Table:
    """A table of a report."""
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False,
        show_edge=False,
    )  # fmt: skip


def verdict_table(
    result: Observed, start: str, title: str, head: str, rated: bool = False
) -> Table:
    """A line for each quantity from one kind of start, or only for those with a rate."""
    table = titled(title)
    table.add_column(head, overflow="fold")
    for name in Basis:
        table.add_column(name, overflow="fold", max_width=9)
    for name in ("slope", "90% interval", "verdict"):
        table.add_column(name, no_wrap=True, min_width=6)
    for v in result.verdicts:
        if v.start == start and (v.published or v.derived or not rated):
            line = result.line(v.quantity.key, start)
            if any(line.counts):
                rates = (_rate(v.published), _rate(v.derived))
                table.add_row(v.quantity.label, *rates, *_slope(line.slope), _said(v))
    return table


def verdicts(result: Observed, start: str) -> RenderableType:
    """The verdicts from one kind of start, with what stands against them."""
    table = verdict_table(result, start, f"{start} starts", "quantity")
    notes = _other_budget(result, start)
    # a reason that several quantities share is said once
    shared: dict[str, list[str]] = {}
    for v in result.verdicts:
        for reason in v.reasons if v.start == start else ():
            shared.setdefault(reason, []).append(v.quantity.label)
    notes += [f"{reason}: {'; '.join(labels)}" for reason, labels in shared.items()]
    return Group(table, noted(notes))


def summary(result: Observed) -> str:
    """The result in a line: the slopes beside published and derived rates, by verdict.

    Those from every kind of start that is judged, at the last budget.
    """
    said = []
    for basis in Basis:
        found = [getattr(v, f"against_{basis}") for v in result.verdicts]
        count = Counter(word for word in found if word is not None)
        parts = ", ".join(f"{count[word]} {word}" for word in Judgement if count[word])
        said.append(f"{basis}: {parts or 'no rate'}")
    return f"slopes beside rates: {'; '.join(said)}"


def noted(lines: Sequence[str]) -> RenderableType:
    """Lines that are broken with a hanging indent."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for line in lines:
        grid.add_row(" ·", line)
    return grid


def _slope(found: Slope | None) -> tuple[str, str]:
    if found is None:
        return "–", "too few values"
    return f"{found.value:.3f}", f"[{found.low:.3f}, {found.high:.3f}]"


def _rate(prediction: Prediction | None) -> str:
    return "–" if prediction is None else SHORT.get(prediction.rate, str(prediction.rate))


def verdict_words(verdict: Verdict) -> list[tuple[str, str | None]]:
    """(verdict, of what): one entry if published and derived agree or only one is there."""
    published, derived = verdict.against_published, verdict.against_derived
    if published is None or derived is None or published == derived:
        return [(derived or published or "–", None)]
    return [(published, Basis.PUBLISHED), (derived, Basis.DERIVED)]


def _said(verdict: Verdict) -> Text:
    parts = []
    for i, (word, which) in enumerate(verdict_words(verdict)):
        text = f"{which[0]}: {word}" if which else word
        parts.append(("\n" if i else "") + text)
    styled = Text()
    for part, (word, _) in zip(parts, verdict_words(verdict), strict=True):
        styled.append(part, style=COLOURS.get(word, ""))
    return styled


def _other_budget(result: Observed, start: str) -> list[str]:
    """Slopes at the earlier budgets, where they are not the same as at the last."""
    budgets = result.experiment.setting.budgets
    notes = []
    for budget in budgets[:-1]:
        changed = []
        for v in result.verdicts:
            if v.start == start:
                now, last = (
                    interval(result.line(v.quantity.key, start, b).slope)
                    for b in (budget, budgets[-1])
                )
                if now != last:
                    changed.append(f"{v.quantity.label} {now}")
        text = "; ".join(changed) if changed else "the same"
        notes.append(f"slopes after {budget} steps: {text}")
    return notes


def verdict_document(v: Verdict) -> dict[str, Any]:
    """A verdict."""
    return {
        "quantity": v.quantity.key,
        "label": v.quantity.label,
        "meaning": v.quantity.meaning,
        "start": v.start,
        "published": _prediction(v.published),
        "derived": _prediction(v.derived),
        "against_published": v.against_published,
        "against_derived": v.against_derived,
        "reasons": list(v.reasons),
    }


def _prediction(p: Prediction | None) -> dict[str, Any] | None:
    if p is None:
        return None
    return {"rate": str(p.rate), "low": p.low, "high": _number(p.high), "strict": p.strict}


def line_document(line: Line) -> dict[str, Any]:
    """A line, NaN as null."""
    s = line.slope
    return {
        "quantity": line.quantity,
        "start": line.start,
        "budget": line.budget,
        "counts": list(line.counts),
        "medians": [_number(v) for v in line.medians],
        "lower": [_number(v) for v in line.lower],
        "upper": [_number(v) for v in line.upper],
        "slope": None if s is None else {"value": s.value, "low": s.low, "high": s.high},
    }


def share_document(s: Share) -> dict[str, Any]:
    """How fits ended."""
    return {
        "start": s.start,
        "n": s.n,
        "budget": s.budget,
        "statuses": dict(s.statuses),
        "seconds": s.seconds,
        "trapped": s.trapped,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
