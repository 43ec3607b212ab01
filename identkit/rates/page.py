"""One HTML page for rate experiments: published, certified, derived and observed side by side.

The page is one file that loads nothing: style, figures (SVG), certificates and the data as JSON are
in it. It reads without a script; the two lines of JavaScript open all sections for printing and
save the data. The same results give the same bytes.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from typing import Any

from identkit import __version__, vocabulary
from identkit.certificates.store import certificate_document
from identkit.conditions import condition
from identkit.errors import InputError
from identkit.files import write_whole
from identkit.fit.result import Status
from identkit.rates import figures
from identkit.rates.quantities import checked, quantity
from identkit.rates.result import ALIKE, RateResult, Verdict, settings_of_analysis
from identkit.rates.setting import CONTROL
from identkit.rates.slopes import (
    LEVEL,
    Prediction,
    Slope,
)
from identkit.report import explain, rates_report, statements
from identkit.report.json_form import dumps
from identkit.results import ConditionResult, SetProof
from identkit.simulation import STARTS
from identkit.vocabulary import Judgement, PremiseVerdict, ProofKind

MARKS = {
    Judgement.CONSISTENT: ("ok", "✓"),
    Judgement.INCONSISTENT: ("bad", "✗"),
    Judgement.INCONCLUSIVE: ("open", "?"),
}
"""Verdict -> class and symbol; the word always stands beside."""
SHOWN_RELATIONS = 6
"""Relations of a proof listed before "and n more"; all are in the certificate."""


def write_page(
    path: str | os.PathLike[str],
    results: Sequence[RateResult],
    *,
    title: str,
    store: str | os.PathLike[str] | None = None,
) -> None:
    """Write :func:`page` to a file, whole or not at all. Raises InputError."""
    text = page(results, title=title, store=store)
    write_whole(path, lambda stream: stream.write(text.encode()))


def page(
    results: Sequence[RateResult], *, title: str, store: str | os.PathLike[str] | None = None
) -> str:
    """The page as HTML text. ``store`` says where the fits are kept, for the reader.

    Raises :class:`~identkit.errors.InputError` for no results, and without matplotlib.
    """
    if not results:
        raise InputError("page: there are no results to show; give one or more.")
    names = figures.labels(results)
    documents = [rates_report.document(r) for r in results]
    data = json.dumps(
        {"title": title, "identkit": __version__, "results": documents},
        sort_keys=True, ensure_ascii=False, allow_nan=False,
    ).replace("<", r"\u003c")  # fmt: skip
    body = "\n".join(
        [
            _verdicts(results, names),
            _figures(results, names),
            _experiments(results, names),
            _method(store),
        ]
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="identkit {_e(__version__)}">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{_e(title)}</title>
<style>
{_data("page.css")}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>
<p class="kind">Rate experiments · identkit {_e(__version__)}</p>
<h1>{_e(title)}</h1>
<p class="lead">{_summary(results, names)}</p>
<nav aria-label="Sections">
<a href="#verdicts">Verdicts</a> <a href="#figures">Figures</a>
<a href="#experiments">Experiments</a> <a href="#method">Method and data</a>
</nav>
</header>
<main id="main" tabindex="-1">
{body}
</main>
<footer><p>Made with identkit {_e(__version__)}. This file needs no connection.</p></footer>
<script type="application/json" id="data">{data}</script>
<script>
{_data("page.js")}</script>
</body>
</html>
"""


def _data(name: str) -> str:
    """Style sheet or script, a file beside this one."""
    return resources.files("identkit.rates").joinpath(name).read_text(encoding="utf-8")


# -- words and small pieces -----------------------------------------------------------------


def _e(text: object) -> str:
    return html.escape(str(text))


def _rates(text: str) -> str:
    """Escaped text with powers of n set as such."""
    return re.sub(r"n\^-(\d+(?:/\d+)?)", r'<span class="rate">n<sup>−\1</sup></span>', _e(text))


def _rate(found: Prediction | None) -> str:
    return '<span class="none">–</span>' if found is None else _rates(str(found.rate))


def _signed(text: str) -> str:
    """With minus signs, which line up with digits."""
    return re.sub(r"-(?=[\d.])", "−", text)


def _slope(found: Slope | None) -> str:
    if found is None:
        return '<span class="none">too few values</span>'
    text = _signed(f"{found.value:.3f}"), _signed(f"[{found.low:.3f}, {found.high:.3f}]")
    return f'<span class="num"><b>{text[0]}</b> {text[1]}</span>'


def _verdict(word: Judgement | None, reason: str = "") -> str:
    if word is None:
        return '<span class="none">–</span>'
    kind, mark = MARKS[word]
    why = f'<br><span class="why">{_rates(reason)}</span>' if reason else ""
    return f'<span class="v {kind}"><span aria-hidden="true">{mark}</span> {word}</span>{why}'


def _reason(verdict: Verdict, which: str) -> str:
    start = f"{which}: "
    return next((r.removeprefix(start) for r in verdict.reasons if r.startswith(start)), "")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _shown(result: RateResult) -> list[Verdict]:
    """The verdicts of the main table: every start, main quantities."""
    keys = figures.main_quantities(result)
    return [result.verdict(key, start) for start in result.experiment.starts for key in keys]


def _summary(results: Sequence[RateResult], names: Sequence[str]) -> str:
    shown = [v for r in results for v in _shown(r)]
    said = [
        _tally([getattr(v, f"against_{which}") for v in shown], which)
        for which in ("published", "derived")
    ]
    fits = sum(r.fits for r in results)
    text = [
        f"{_counted(len(results), 'experiment')} with {_counted(fits, 'fit')} to simulated data, "
        f"summed up in {_counted(len(shown), 'observed slope')}.",
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
            order = ("derived", "published") if derived else ("published", "derived")
            what = "; ".join(f"{_e(name)} ({_e(_listed(list(ls)))})" for name, ls in told.items())
            text.append(
                f"Where the two disagree, the observation is consistent with the {order[0]} rate "
                f"and not with the {order[1]} one for {what}."
            )
    missing = sum(r.experiment.fits - r.fits for r in results)
    if missing:
        text.append(f"{_counted(missing, 'fit')} of the plan {'is' if missing == 1 else 'are'} "
                    "still missing.")  # fmt: skip
    count = sum(len(r.warnings) for r in results)
    if count:
        text.append(f"There {'is' if count == 1 else 'are'} {_counted(count, 'warning')} to read "
                    "before the slopes are used.")  # fmt: skip
    return " ".join(text)


def _tally(answers: Sequence[str | None], which: str) -> str:
    judged = [a for a in answers if a is not None]
    if not judged:
        return ""
    parts = [f"<b>{judged.count(word)} {word}</b>" for word in MARKS]
    return f"Against the {which} rates: {_listed(parts)}."


# -- tables ---------------------------------------------------------------------------------


def _table(
    key: str, caption: str, heads: Sequence[str], body: Iterable[str], kind: str = ""
) -> str:
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


def _row(head: str, cells: Iterable[str]) -> str:
    return f'<tr><th scope="row">{head}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>'


_LOW, _HIGH, _ACROSS, _DEEP = -0.75, 0.15, 116, 18
_FRACTIONS = {0.0: "0", -0.25: "−¼", -0.5: "−½"}


def _place(value: float) -> float:
    """A slope across the small plot, cut at its ends."""
    part = (min(max(value, _LOW), _HIGH) - _LOW) / (_HIGH - _LOW)
    return round(4 + part * (_ACROSS - 8), 1)


def _axis() -> str:
    """The scale of the small plots, for the head of their column."""
    marks = "".join(
        f'<text x="{_place(rate)}" y="11" text-anchor="middle">{_FRACTIONS[rate]}</text>'
        for rate in _FRACTIONS
    )
    return (
        f'<svg class="plot" role="img" width="{_ACROSS}" height="13" viewBox="0 0 {_ACROSS} 13">'
        f"<title>scale of slopes: −½, −¼, 0</title>{marks}</svg>"
    )


def _plot(found: Slope | None, rate: Prediction | None) -> str:
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
        f'viewBox="0 0 {_ACROSS} {_DEEP}"><title>{_signed(words)}</title>{"".join(parts)}</svg>'
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
        vocabulary.Verdict.YES: "✓",
        vocabulary.Verdict.NO: "✗",
        PremiseVerdict.FAILS: "✗",
    }
    return "<br>".join(
        f"{_e(name)}: <b>{_e(verdict)}</b> "
        f'<span aria-hidden="true">{marks.get(verdict, "?")}</span>'
        for name, verdict in lines
    )


# -- sections -------------------------------------------------------------------------------


def _verdicts(results: Sequence[RateResult], names: Sequence[str]) -> str:
    groups = []
    for number, (result, name) in enumerate(zip(results, names, strict=True), 1):
        for start in result.experiment.starts:
            mine = [v for v in _shown(result) if v.start == start]
            note = "" if result.complete else " · incomplete"
            head = (
                f'<tr class="group"><th scope="rowgroup" colspan="8"><span class="stay">'
                f'<a href="#experiment-{number}">{_e(name)}</a> '
                f'<span class="start">{_e(start)} starts{note}</span></span></th></tr>'
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
                rows.append(
                    f'<tr><th scope="row">{_e(v.quantity.label)}</th>'
                    f"<td>{_rate(v.published)}</td>{proved}<td>{_rate(v.derived)}</td>"
                    f"<td>{_slope(line.slope)}</td>"
                    f"<td>{_plot(line.slope, v.derived or v.published)}</td>"
                    f"<td>{_verdict(v.against_published, _reason(v, 'published'))}</td>"
                    f"<td>{_verdict(v.against_derived, _reason(v, 'derived'))}</td></tr>"
                )
            groups.append("<tbody>\n" + "\n".join(rows) + "\n</tbody>")
    heads = (
        "Quantity", "Published", "Certified", "Derived",
        f'Observed slope <span class="light">[{LEVEL:.0%} interval]</span>', _axis(),
        "Against published", "Against derived",
    )  # fmt: skip
    caption = "Published, certified, derived and observed, side by side"
    return f"""<section aria-labelledby="verdicts">
<h2 id="verdicts">Verdicts</h2>
{_LEGEND}
{_table("table-verdicts", caption, heads, groups, "verdicts")}
</section>"""


_CONSISTENT, _INCONSISTENT, _INCONCLUSIVE = map(_verdict, Judgement)
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


def _figures(results: Sequence[RateResult], names: Sequence[str]) -> str:
    shown = []
    # an experiment may be in the store before its first fit
    seen = [(i, r, n) for i, (r, n) in enumerate(zip(results, names, strict=True), 1) if r.lines]
    fitted = [r for _, r, _ in seen]
    if 1 < len(fitted) <= len(figures.LOOKS):
        losses = [figures.main_loss(r) for r in fitted]
        said = dict.fromkeys(quantity(key).label for key in losses)
        alt = "Loss against n for " + "; ".join(
            f"{name}: {_slope_words(r.line(key).slope)}"
            for (_, r, name), key in zip(seen, losses, strict=True)
        )
        drawn = figures.compare_figure(fitted, figures.main_loss)
        what = f"The loss of every experiment: {_e(_listed(list(said)))}."
        shown.append(_figure("figure-all", drawn, "All experiments", alt, what, wide=True))
    elif len(fitted) > 1:
        drawn = figures.small_multiples(fitted)
        what = "All experiments on shared scales; the numbers are slopes."
        alt = f"{len(fitted)} panels of errors against n; the table of verdicts has the slopes."
        shown.append(_figure("figure-all", drawn, "All experiments", alt, what, wide=True))
    for number, result, name in seen:
        start = result.experiment.starts[0]
        shown.append(_rate_figure(f"figure-{number}", result, name, start))
    return f"""<section aria-labelledby="figures">
<h2 id="figures">Figures</h2>
<p>Medians over replicates, with quartiles as a band. Lines in colour are fitted; dashed grey ones
have the predicted slope through the centre of the fit, the rate at their end.</p>
<div class="figures">
{chr(10).join(shown)}
</div>
</section>"""


def _slope_words(found: Slope | None) -> str:
    return "no slope" if found is None else _signed(f"slope {found.value:.2f}")


def _rate_figure(key: str, result: RateResult, name: str, start: str) -> str:
    e = result.experiment
    what = (
        f"<b>{_e(name)}</b>, {_e(start)} starts; {_counted(e.replicates, 'replicate')} at each n, "
        f"noise {e.setting.noise:g}."
    )
    drawn = figures.rate_figure(result, start=start)
    return _figure(key, drawn, name, figures.caption(result, start=start), what)


def _figure(key: str, drawn: Any, name: str, alt: str, caption: str, wide: bool = False) -> str:
    text = figures.svg(drawn, f"{key}-")
    label = (
        f'<svg role="img" aria-labelledby="{key}-name {key}-text"', f'<title id="{key}-name">'
        f'{_e(name)}</title><desc id="{key}-text">{_e(alt)}</desc>',
    )  # fmt: skip
    head, _, rest = text.partition(">")
    text = f"{label[0]}{head.removeprefix('<svg')}>{label[1]}{rest}"
    kind = "paper wide" if wide else "paper"
    return (
        f'<figure class="{kind}" id="{key}"><div class="canvas" role="region" tabindex="0" '
        f'aria-label="figure: {_e(name)}">{text}</div><figcaption>{caption}</figcaption></figure>'
    )


def _experiments(results: Sequence[RateResult], names: Sequence[str]) -> str:
    parts = [
        _experiment(number, result, name)
        for number, (result, name) in enumerate(zip(results, names, strict=True), 1)
    ]
    return f"""<section aria-labelledby="experiments">
<h2 id="experiments">Experiments</h2>
<p>Everything behind a row of the table: all quantities, how the fits ended, the truth, the
certificate. Open one with Enter or a click.</p>
{chr(10).join(parts)}
</section>"""


def _experiment(number: int, result: RateResult, name: str) -> str:
    e = result.experiment
    key = f"e{number}"
    warned = _counted(len(result.warnings), "warning") if result.warnings else "no warnings"
    fits = f"{result.fits:,} fits" if result.complete else f"{result.fits:,} of {e.fits:,} fits"
    said = f"n = {e.sizes[0]:,} to {e.sizes[-1]:,}, {fits}, {warned}"
    parts = [_warnings(result)]
    for start, _ in e.runs if result.lines else ():
        parts.append(_all_slopes(f"{key}-{start}", result, start))
        if start in e.starts[1:] and result.lines:
            parts.append(_rate_figure(f"{key}-{start}-figure", result, name, start))
    parts += [_shares(key, result), _controls(key, result), _setting(key, result)]
    parts += [_certificate(key, number, result), _environments(key, result)]
    return f"""<details>
<summary><h3>{_e(name)}</h3> <span class="said">{said}</span></summary>
<div class="inside" id="experiment-{number}">
{chr(10).join(filter(None, parts))}
</div>
</details>"""


def _warnings(result: RateResult) -> str:
    if not result.warnings:
        return ""
    items = "".join(f"<li>{_e(w)}</li>" for w in result.warnings)
    return f'<div class="warnings"><h4>Warnings</h4><ul>{items}</ul></div>'


def _all_slopes(key: str, result: RateResult, start: str) -> str:
    """Every quantity from one kind of start: slopes at all budgets, verdicts, medians by n."""
    e = result.experiment
    judged = {v.quantity.key: v for v in result.verdicts if v.start == start}
    rows, medians = [], []
    for name in dict.fromkeys(line.quantity for line in result.lines):
        what, v = quantity(name), judged.get(name)
        found = [result.line(name, start, b) for b in e.setting.budgets]
        cells = [_slope(line.slope) for line in found]
        if v is not None:
            cells = [
                _rate(v.published), _rate(v.derived), *cells,
                _verdict(v.against_published, _reason(v, "published")),
                _verdict(v.against_derived, _reason(v, "derived")),
            ]  # fmt: skip
        rows.append(_row(f'{_e(what.label)}<br><span class="why">{_e(what.meaning)}</span>', cells))
        last = found[-1]
        spread = zip(last.medians, last.lower, last.upper, strict=True)
        medians.append(_row(_e(what.label), (_spread(*three) for three in spread)))
    steps = [f"Slope after {b:,} steps" for b in e.setting.budgets]
    heads = ["Quantity", *steps]
    if judged:
        heads = ["Quantity", "Published", "Derived", *steps, "Against published", "Against derived"]
    control = " (control)" if start not in e.starts else ""
    return "\n".join(
        [
            f"<h4>Slopes, {_e(start)} starts{control}</h4>",
            f'<p class="why">{_e(STARTS[start])}.</p>',
            _table(f"{key}-slopes", f"All quantities, {_e(start)} starts", heads, rows),
            _table(
                f"{key}-medians",
                f"Median errors [quartiles], {_e(start)} starts, after {e.setting.budgets[-1]:,} "
                "steps",
                ["Quantity", *(f"n = {n:,}" for n in e.sizes)],
                medians,
            ),
        ]
    )


def _spread(middle: float, low: float, high: float) -> str:
    if not math.isfinite(middle):
        return '<span class="none">–</span>'
    text = _signed(f"{middle:.3g} [{low:.2g}, {high:.2g}]")
    return f'<span class="num">{text}</span>'


def _shares(key: str, result: RateResult) -> str:
    if not result.shares:
        return "<h4>How the fits ended</h4><p>There are no fits yet.</p>"
    found = {name for share in result.shares for name, _ in share.statuses}
    order = [s.value for s in Status]
    known = sorted(found, key=lambda s: order.index(s) if s in order else len(order))
    place = {start: i for i, (start, _) in enumerate(result.experiment.runs)}
    rows = [
        _row(
            _e(s.start),
            [
                f"{s.n:,}", f"{s.budget:,}", f"{s.fits:,}",
                *(f"{s.of(name):.0%}" for name in known),
                "–" if s.trapped is None else f"{s.trapped:.0%}", f"{s.seconds:.3f}",
            ],
        )
        for s in sorted(result.shares, key=lambda s: (place[s.start], s.n, s.budget))
    ]  # fmt: skip
    heads = ["Start", "n", "Steps", "Fits", *map(_e, known), "above the truth", "s per fit"]
    return "\n".join(
        [
            "<h4>How the fits ended</h4>",
            '<p class="why">“above the truth”: cost more than the truth does, hence caught in a '
            "local minimum.</p>",
            _table(f"{key}-shares", "Share of fits by status", heads, rows, "numbers"),
        ]
    )


def _controls(key: str, result: RateResult) -> str:
    if not result.controls:
        return (
            ""
            if CONTROL in result.experiment.starts
            else ("<h4>Control run</h4><p>None: no fits were started away from the truth.</p>")
        )
    s = result.experiment.setting
    rows = [
        _row(
            f"{c.start}, n = {c.n:,}",
            [str(v) for v in (c.fits, c.lower, c.clearly, c.same, c.fits - c.lower - c.same)],
        )
        for c in result.controls
    ]
    return "\n".join(
        [
            "<h4>Other starts</h4>",
            f"<p>Cost on the same data beside that from the {_e(result.experiment.starts[0])} "
            "start. A lower one means that the fit from there misses the least-squares estimate; "
            f"clearly lower is by more than {ALIKE:g} in deviance. {CONTROL.capitalize()}: the "
            f"best of {_counted(s.trials, 'start')} without regard to the truth.</p>",
            _table(
                f"{key}-controls", "Cost from other starts, compared with the first kind",
                ["Start", "Fits", "Lower", "Clearly", "Same", "Higher"], rows, "numbers",
            ),
        ]
    )  # fmt: skip


def _setting(key: str, result: RateResult) -> str:
    e, s = result.experiment, result.experiment.setting
    model = s.model
    atoms = s.truth.to_vector().reshape(s.truth.atoms, -1)
    rows = [
        _row(
            f"{j}{' (over-specified)' if j == s.over and s.k > s.truth.atoms else ''}",
            [f'<span class="num">{_signed(f"{v:g}")}</span>' for v in atom],
        )
        for j, atom in enumerate(atoms)
    ]
    box = s.box.to_dict()
    pairs = [
        ("Model", f"h(x) = <code>{_e(model.expert.text)}</code>, {_e(model.gate.name)} gate, "
         f"d = {model.dim}; k* = {s.truth.atoms} true atoms, k = {s.k} fitted"),
        ("Data", _e(_signed(f"x uniform on [{s.domain[0]:g}, {s.domain[1]:g}]")
                    + (f"^{model.dim}" if model.dim > 1 else "")
                    + f"; noise, standard deviation {s.noise:g}; seed {s.seed}")),
        ("Sizes", f"n = {', '.join(f'{n:,}' for n in e.sizes)}; "
         + _listed([f"{_counted(count, 'replicate')} from {_e(start)} starts"
                    for start, count in e.runs])),
        ("Box", "; ".join(f"{_e(name)} in {_bounds(bound)}" for name, bound in box.items())),
        ("Steps", f"limits {_listed([f'{b:,}' for b in s.budgets])}; tolerance of flat valleys "
         f"{s.flat:g}"),
        ("Starts", f"standard deviation {s.scale:g} around the truth; split scales by "
         f"{s.spread:g}; {_counted(s.trials, 'trial')} away from it"),
        *_conditioning(result),
        ("Key", f'<code class="key">{s.key}</code>'),
    ]  # fmt: skip
    return "\n".join(
        [
            "<h4>Truth and estimator</h4>",
            _table(f"{key}-truth", "True atoms", ["Atom", *map(_e, model.names)], rows, "numbers"),
            _pairs(pairs),
        ]
    )


def _bounds(bound: Any) -> str:
    """Of a box's JSON form: b for [-b, b], a pair, or one of these for each parameter."""
    if isinstance(bound, list) and any(isinstance(b, list) for b in bound):
        return " × ".join(map(_bounds, bound))
    low, high = bound if isinstance(bound, list) else (-bound, bound)
    return _signed(f"[{low:g}, {high:g}]")


def _conditioning(result: RateResult) -> list[tuple[str, str]]:
    found = result.conditioning
    if found is None:
        return []
    return [
        (
            "Conditioning",
            f"{_e(rates_report.conditioning_text(found).partition(': ')[2])}; {found.method}",
        )
    ]


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    inner = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in pairs)
    return f'<dl class="pairs">{inner}</dl>'


# -- the certificate ------------------------------------------------------------------------


def _certificate(key: str, number: int, result: RateResult) -> str:
    check = checked(result.experiment.setting)
    c = result.condition
    document = dumps(certificate_document(check)) + "\n"
    coded = base64.b64encode(document.encode()).decode()
    file = f"certificate-{number}.json"
    exceptional = statements.exceptional(check)
    argument = explain.explanation(check).parts[0]
    return "\n".join(
        [
            "<h4>Certificate</h4>",
            f"<p><b>{_e(statements.title(c))}: {_e(c.verdict)}</b>, {_e(statements.scope(c))}. "
            f"{_e(statements.witness_scope(check))}.</p>",
            _pairs(_proved(c)),
            *(
                ["<p>Exceptional parameters (measure zero):</p>", _list(exceptional)]
                if exceptional
                else []
            ),
            f'<p><a class="button" download="{file}" '
            f'href="data:application/json;base64,{coded}">Download the certificate</a> '
            f'<span class="why">JSON, {len(document.encode()) / 1000:,.0f} kB; check it with '
            f"<code>identkit verify {file}</code></span></p>",
            f'<details class="argument"><summary>The argument, step by step</summary>'
            f'<div class="inside">{_argument(argument)}</div></details>',
        ]
    )


def _proved(c: ConditionResult) -> Iterator[tuple[str, str]]:
    """Labels and texts of what was proved and how, those of the terminal's report."""
    yield "Functions", f"<code>{_e(condition(c.condition, c.level).formula)}</code>"
    for proof in c.counted:
        if len(c.proofs) > 1:
            yield "Set", _e(proof.title)
        done = proof.kind != ProofKind.NONE
        yield "Proved" if done else "Tried", _e(statements.sentence(statements.claim(proof)))
        if done:
            yield "Method", _e(statements.method(proof))
        if proof.relations:
            yield "Relations", _relations(proof)
        if statements.merges(proof):
            yield "Per atom", _e(statements.merges(proof))
        for note in proof.notes if done else ():
            yield "Note", _e(note)
    if c.coordinates:
        yield "Coordinates", _e(", ".join(c.coordinates))
    if statements.rank(c):
        yield "Rank", _e(statements.rank(c))
    yield "Published", _rates(statements.published(c))
    if c.published is not None:
        yield "Agreement", _e(statements.agreement(c))
    names = {"second": "Second order", "locally": "Identifiable"}
    for label, text in statements.consequences(c):
        yield names.get(label, label.capitalize()), _rates(text)
    if c.rate is not None and c.rate.reasons:
        yield "Because", _rates("; ".join(c.rate.reasons))


def _relations(proof: SetProof) -> str:
    shown = [f"<code>{_e(r.text)}</code>" for r in proof.relations[:SHOWN_RELATIONS]]
    more = len(proof.relations) - SHOWN_RELATIONS
    return "<br>".join([*shown, f"and {more} more"] if more > 0 else shown)


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_e(item)}</li>' for item in items)}</ul>"


def _argument(part: explain.Part) -> str:
    blocks = []
    for section in part.sections:
        blocks.append(f"<h5>{_e(section.heading)}</h5>")
        listing = False
        for paragraph in section.paragraphs:
            item = paragraph.kind == "item"
            if item != listing:
                blocks.append("<ul>" if item else "</ul>")
                listing = item
            if paragraph.kind in ("formula", "code"):
                blocks.append(
                    f'<pre tabindex="0" aria-label="{paragraph.kind}">{_e(paragraph.text)}</pre>'
                )
            else:
                text = re.sub(r"`([^`]*)`", r"<code>\1</code>", _rates(paragraph.text))
                blocks.append(f"<li>{text}</li>" if item else f"<p>{text}</p>")
        if listing:
            blocks.append("</ul>")
    return "\n".join(blocks)


def _environments(key: str, result: RateResult) -> str:
    if not result.environments:
        return ""
    names = list(dict.fromkeys(name for found in result.environments for name in found))
    rows = [
        _row(str(i), [_e(found.get(name, "–")) for name in names])
        for i, found in enumerate(result.environments, 1)
    ]
    heads = ["", *map(_e, names)]
    heads[0] = "Run"
    return "<h4>Versions</h4>\n" + _table(
        f"{key}-versions", "Software and machines that the fits were computed with", heads, rows
    )


def _method(store: str | os.PathLike[str] | None) -> str:
    a = settings_of_analysis()
    pairs = [
        ("Slope", "least squares of log median error on log n over all n of an experiment, which "
         "were fixed before the run"),
        ("Interval", f"{a['level']:.0%} percentile bootstrap, replicates resampled independently "
         f"at each n: {a['bootstrap']:,} draws, seed {a['bootstrap_seed']}"),
        ("Rates told apart", _rates(", ".join(a["rates_told_apart"]))),
        ("Finite sizes", f"a slope may lie {a['finite_size']:g} beyond those a rate allows"),
        ("Analysed with", f"identkit {_e(a['identkit'])}"),
    ]  # fmt: skip
    if store is not None:
        pairs.append(("Fits", f"<code>{_e(os.fspath(store))}</code>"))
    return f"""<section aria-labelledby="method">
<h2 id="method">Method and data</h2>
{_pairs(pairs)}
<p>All numbers of this page are in it as JSON (schema <code>identkit.rates/1</code>, element
<code>data</code>). <button type="button" id="save-data" hidden>Download the data</button></p>
</section>"""


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
