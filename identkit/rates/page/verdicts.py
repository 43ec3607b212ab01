"""The section of verdicts, the summary above it and the small plots of slopes in it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from identkit.rates import figures
from identkit.rates.page.pieces import MARKS, judgement, rate_cell, reason_against, slope_cell
from identkit.rates.result import RateResult, Verdict
from identkit.rates.slopes import LEVEL, Prediction, Slope
from identkit.report.page.pieces import counted, esc, listed, signed, table
from identkit.vocabulary import Basis, Judgement, PremiseVerdict
from identkit.vocabulary import Verdict as Proved


def _shown(result: RateResult) -> list[Verdict]:
    """The verdicts of the main table: every start, main quantities."""
    keys = figures.main_quantities(result)
    return [result.verdict(key, start) for start in result.experiment.starts for key in keys]


def summary(results: Sequence[RateResult], names: Sequence[str]) -> str:
    """How many slopes agree with which rates, and what is missing: HTML of one paragraph."""
    shown = [v for r in results for v in _shown(r)]
    said = [tally([getattr(v, f"against_{which}") for v in shown], which) for which in Basis]
    fits = sum(r.fits for r in results)
    text = [
        f"{counted(len(results), 'experiment')} with {counted(fits, 'fit')} to simulated data, "
        f"summed up in {counted(len(shown), 'observed slope')}.",
        *filter(None, said),
    ]
    split = []
    for result, name in zip(results, names, strict=True):
        for v in _shown(result):
            answers = (v.against_published, v.against_derived)
            if set(answers) == {Judgement.CONSISTENT, Judgement.INCONSISTENT}:
                split.append((name, v.quantity.label, answers[1] == Judgement.CONSISTENT))
    for derived in (True, False):
        told: dict[str, dict[str, None]] = {}
        for name, label, which in split:
            if which == derived:
                told.setdefault(name, {})[label] = None
        if told:
            order = tuple(Basis)[::-1] if derived else tuple(Basis)
            what = "; ".join(f"{esc(name)} ({esc(listed(list(ls)))})" for name, ls in told.items())
            text.append(
                f"Where the two disagree, the observation is consistent with the {order[0]} rate "
                f"and not with the {order[1]} one for {what}."
            )
    missing = sum(r.experiment.fits - r.fits for r in results)
    if missing:
        text.append(f"{counted(missing, 'fit')} of the plan {'is' if missing == 1 else 'are'} "
                    "still missing.")  # fmt: skip
    count = sum(len(r.warnings) for r in results)
    if count:
        text.append(f"There {'is' if count == 1 else 'are'} {counted(count, 'warning')} to read "
                    "before the slopes are used.")  # fmt: skip
    return " ".join(text)


def tally(answers: Sequence[str | None], which: str) -> str:
    judged = [a for a in answers if a is not None]
    if not judged:
        return ""
    parts = [f"<b>{judged.count(word)} {word}</b>" for word in MARKS]
    return f"Against the {which} rates: {listed(parts)}."


_LOW, _HIGH, _ACROSS, _DEEP = -0.75, 0.15, 116, 18
_FRACTIONS = {0.0: "0", -0.25: "−¼", -0.5: "−½"}


def _place(value: float) -> float:
    """A slope across the small plot, cut at its ends."""
    part = (min(max(value, _LOW), _HIGH) - _LOW) / (_HIGH - _LOW)
    return round(4 + part * (_ACROSS - 8), 1)


def axis() -> str:
    """The scale of the small plots, for the head of their column."""
    marks = "".join(
        f'<text x="{_place(rate)}" y="11" text-anchor="middle">{_FRACTIONS[rate]}</text>'
        for rate in _FRACTIONS
    )
    return (
        f'<svg class="plot" role="img" width="{_ACROSS}" height="13" viewBox="0 0 {_ACROSS} 13">'
        f"<title>scale of slopes: −½, −¼, 0</title>{marks}</svg>"
    )


def plot(found: Slope | None, rate: Prediction | None) -> str:
    """Slope and interval on the band of slopes that the rate allows."""
    if found is None:
        return ""
    parts = [
        f'<line class="grid" x1="{_place(r)}" x2="{_place(r)}" y1="0" y2="{_DEEP}"/>'
        for r in _FRACTIONS
    ]
    words = f"slope {found.value:.2f}, interval {found.low:.2f} to {found.high:.2f}"
    if rate is not None:
        low, high = _place(rate.low), _place(rate.high)
        wide = round(max(high - low, 2), 1)
        parts.append(f'<rect class="allowed" x="{low}" y="2" width="{wide}" height="{_DEEP - 4}"/>')
        words += f"; allowed by the rate: from {rate.low:.2f}"
        words += f" to {rate.high:.2f}" if math.isfinite(rate.high) else " up"
    middle = _DEEP / 2
    parts.append(
        f'<line class="interval" x1="{_place(found.low)}" x2="{_place(found.high)}" '
        f'y1="{middle}" y2="{middle}"/>'
        f'<circle class="dot" cx="{_place(found.value)}" cy="{middle}" r="3.2"/>'
    )
    return (
        f'<svg class="plot" role="img" width="{_ACROSS}" height="{_DEEP}" '
        f'viewBox="0 0 {_ACROSS} {_DEEP}"><title>{signed(words)}</title>{"".join(parts)}</svg>'
    )


def _certified(result: RateResult) -> str:
    """The certified verdicts, a line each."""
    c = result.condition
    lines: list[tuple[str, str]] = [(c.condition, c.verdict)]
    if c.second_order is not None:  # at first order it would repeat the verdict
        lines.append(("nondegenerate", c.second_order.verdict))
    if c.premise is not None:
        lines.append(("premise", c.premise.verdict))
    marks: dict[str, str] = {
        Proved.YES: "✓",
        Proved.NO: "✗",
        PremiseVerdict.FAILS: "✗",
    }
    return "<br>".join(
        f"{esc(name)}: <b>{esc(verdict)}</b> "
        f'<span aria-hidden="true">{marks.get(verdict, "?")}</span>'
        for name, verdict in lines
    )


def verdicts_section(results: Sequence[RateResult], names: Sequence[str]) -> str:
    """The table of all experiments, with what its columns and words mean."""
    groups = []
    for number, (result, name) in enumerate(zip(results, names, strict=True), 1):
        for start in result.experiment.starts:
            mine = [v for v in _shown(result) if v.start == start]
            note = "" if result.complete else " · incomplete"
            head = (
                f'<tr class="group"><th scope="rowgroup" colspan="8"><span class="stay">'
                f'<a href="#experiment-{number}">{esc(name)}</a> '
                f'<span class="start">{esc(start)} starts{note}</span></span></th></tr>'
            )
            rows = [head]
            if not mine:
                rows.append('<tr><th scope="row">no fits yet</th><td colspan="7"></td></tr>')
            for i, v in enumerate(mine):
                line = result.line(v.quantity.key, start)
                proved = (
                    f'<td rowspan="{len(mine)}" class="certified">{_certified(result)}</td>'
                    if i == 0
                    else ""
                )
                answers = zip(Basis, (v.against_published, v.against_derived), strict=True)
                against = "".join(
                    f"<td>{judgement(answer, reason_against(v, basis))}</td>"
                    for basis, answer in answers
                )
                rows.append(
                    f'<tr><th scope="row">{esc(v.quantity.label)}</th>'
                    f"<td>{rate_cell(v.published)}</td>{proved}<td>{rate_cell(v.derived)}</td>"
                    f"<td>{slope_cell(line.slope)}</td>"
                    f"<td>{plot(line.slope, v.derived or v.published)}</td>"
                    f"{against}</tr>"
                )
            groups.append("<tbody>\n" + "\n".join(rows) + "\n</tbody>")
    heads = (
        "Quantity", "Published", "Certified", "Derived",
        f'Observed slope <span class="light">[{LEVEL:.0%} interval]</span>', axis(),
        "Against published", "Against derived",
    )  # fmt: skip
    caption = "Published, certified, derived and observed, side by side"
    return f"""<section aria-labelledby="verdicts">
<h2 id="verdicts">Verdicts</h2>
{_LEGEND}
{table("table-verdicts", caption, heads, groups, "verdicts")}
</section>"""


_CONSISTENT, _INCONSISTENT, _INCONCLUSIVE = map(judgement, Judgement)
_LEGEND = f"""<dl class="legend">
<div><dt>Published</dt><dd>The rate the paper states for this expert and gate, up to logarithms.
</dd></div>
<div><dt>Certified</dt><dd>What identkit proved of the paper’s condition (strong or weak
identifiability) and of second-order nondegeneracy: yes and no are proofs, undecided is neither.
</dd></div>
<div><dt>Derived</dt><dd>The rate that follows from what is certified, near the truth; compared
with fits from starts there (local, split).</dd></div>
<div><dt>Observed</dt><dd>The slope of log median error on log n, with its {LEVEL:.0%} bootstrap
interval (dot and line); the shaded band has the slopes that the derived rate allows on this range
of n, or the published one where nothing is derived.</dd></div>
<div><dt>{_CONSISTENT}</dt><dd>The interval meets the slopes that the rate allows and
not those of another of n<sup>−1/2</sup>, n<sup>−1/4</sup>, constant. That is no proof.</dd></div>
<div><dt>{_INCONSISTENT}</dt><dd>The interval lies above the slopes that the rate allows.
</dd></div>
<div><dt>{_INCONCLUSIVE}</dt><dd>The interval, the step budget or the fits decide nothing,
or errors fall faster, which refutes no upper bound.
</dd></div>
</dl>"""
