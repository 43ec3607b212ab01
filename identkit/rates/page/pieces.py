"""Pieces of the page's HTML: escaped text, cells, tables, lists of terms."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from identkit.rates.result import Verdict
from identkit.rates.slopes import Prediction, Slope
from identkit.vocabulary import Basis, Judgement

MARKS = {
    Judgement.CONSISTENT: ("ok", "✓"),
    Judgement.INCONSISTENT: ("bad", "✗"),
    Judgement.INCONCLUSIVE: ("open", "?"),
}
"""Verdict -> class and symbol; the word always stands beside."""


def esc(text: object) -> str:
    return html.escape(str(text))


def with_rates(text: str) -> str:
    """Escaped text with powers of n set as such."""
    return re.sub(r"n\^-(\d+(?:/\d+)?)", r'<span class="rate">n<sup>−\1</sup></span>', esc(text))


def rate_cell(found: Prediction | None) -> str:
    return '<span class="none">–</span>' if found is None else with_rates(str(found.rate))


def signed(text: str) -> str:
    """With minus signs, which line up with digits."""
    return re.sub(r"-(?=[\d.])", "−", text)


def slope_cell(found: Slope | None) -> str:
    if found is None:
        return '<span class="none">too few values</span>'
    text = signed(f"{found.value:.3f}"), signed(f"[{found.low:.3f}, {found.high:.3f}]")
    return f'<span class="num"><b>{text[0]}</b> {text[1]}</span>'


def judgement(word: Judgement | None, reason: str = "") -> str:
    if word is None:
        return '<span class="none">–</span>'
    kind, mark = MARKS[word]
    why = f'<br><span class="why">{with_rates(reason)}</span>' if reason else ""
    return f'<span class="v {kind}"><span aria-hidden="true">{mark}</span> {word}</span>{why}'


def reason_against(verdict: Verdict, which: Basis) -> str:
    start = f"{which}: "
    return next((r.removeprefix(start) for r in verdict.reasons if r.startswith(start)), "")


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def table(key: str, caption: str, heads: Sequence[str], body: Iterable[str], kind: str = "") -> str:
    """A table that scrolls in a region of its own; ``heads`` are HTML, ``body`` rows or groups."""
    top = "".join(f'<th scope="col">{h}</th>' for h in heads)
    rows = "\n".join(body)
    if not rows.startswith("<tbody"):
        rows = f"<tbody>\n{rows}\n</tbody>"
    return (
        f'<div class="scroll" role="region" aria-labelledby="{key}-caption" tabindex="0">'
        f'<table id="{key}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>'
        f'<caption id="{key}-caption">{caption}</caption>'
        f"<thead><tr>{top}</tr></thead>\n{rows}\n</table></div>"
    )


def row(head: str, cells: Iterable[str]) -> str:
    return f'<tr><th scope="row">{head}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    inner = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in pairs)
    return f'<dl class="pairs">{inner}</dl>'
