"""Pieces of HTML about rates: predictions, slopes, what is observed of them."""

from __future__ import annotations

from identkit.rates.result import Verdict
from identkit.rates.slopes import Prediction, Slope
from identkit.report.page.pieces import signed, with_rates
from identkit.vocabulary import Basis, Judgement

MARKS = {
    Judgement.CONSISTENT: ("ok", "✓"),
    Judgement.INCONSISTENT: ("bad", "✗"),
    Judgement.INCONCLUSIVE: ("open", "?"),
}
"""Verdict -> class and symbol; the word always stands beside."""


def rate_cell(found: Prediction | None) -> str:
    return '<span class="none">–</span>' if found is None else with_rates(str(found.rate))


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
