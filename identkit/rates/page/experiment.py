"""The section of experiments: everything behind the rows of one in the table of verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from identkit.fit.result import Status
from identkit.rates.page.certificate import certificate_part
from identkit.rates.page.drawn import experiment_figure
from identkit.rates.page.pieces import judgement, rate_cell, reason_against, slope_cell
from identkit.rates.quantities import quantity
from identkit.rates.result import ALIKE, Observed, RateResult
from identkit.rates.setting import CONTROL
from identkit.report import rates_report
from identkit.report.page.pieces import counted, definitions, esc, listed, row, signed, table
from identkit.simulation import STARTS
from identkit.vocabulary import Basis


def experiments_section(results: Sequence[RateResult], names: Sequence[str]) -> str:
    """Every experiment, folded."""
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
    warned = counted(len(result.warnings), "warning") if result.warnings else "no warnings"
    fits = f"{result.fits:,} fits" if result.complete else f"{result.fits:,} of {e.fits:,} fits"
    said = f"n = {e.sizes[0]:,} to {e.sizes[-1]:,}, {fits}, {warned}"
    parts = [warnings_list(result.warnings)]
    for start, _ in e.runs if result.lines else ():
        parts.append(all_slopes(f"{key}-{start}", result, start))
        if start in e.starts[1:] and result.lines:
            parts.append(experiment_figure(f"{key}-{start}-figure", result, name, start))
    parts += [shares_table(key, result), _controls(key, result), _setting(key, result)]
    parts += [certificate_part(number, result), _environments(key, result)]
    return f"""<details>
<summary><h3>{esc(name)}</h3> <span class="said">{said}</span></summary>
<div class="inside" id="experiment-{number}">
{chr(10).join(filter(None, parts))}
</div>
</details>"""


def warnings_list(warnings: Sequence[str]) -> str:
    """Nothing without a warning."""
    if not warnings:
        return ""
    items = "".join(f"<li>{esc(w)}</li>" for w in warnings)
    return f'<div class="warnings"><h4>Warnings</h4><ul>{items}</ul></div>'


def all_slopes(key: str, result: Observed, start: str) -> str:
    """Every quantity from one kind of start: slopes at all budgets, verdicts, medians by n."""
    e = result.experiment
    judged = {v.quantity.key: v for v in result.verdicts if v.start == start}
    rows, medians = [], []
    for name in dict.fromkeys(line.quantity for line in result.lines):
        what, v = quantity(name), judged.get(name)
        found = [result.line(name, start, b) for b in e.setting.budgets]
        cells = [slope_cell(line.slope) for line in found]
        if v is not None:
            cells = [
                rate_cell(v.published), rate_cell(v.derived), *cells,
                judgement(v.against_published, reason_against(v, Basis.PUBLISHED)),
                judgement(v.against_derived, reason_against(v, Basis.DERIVED)),
            ]  # fmt: skip
        rows.append(
            row(f'{esc(what.label)}<br><span class="why">{esc(what.meaning)}</span>', cells)
        )
        last = found[-1]
        spread = zip(last.medians, last.lower, last.upper, strict=True)
        medians.append(row(esc(what.label), (_spread(*three) for three in spread)))
    steps = [f"Slope after {b:,} steps" for b in e.setting.budgets]
    heads = ["Quantity", *steps]
    if judged:
        heads = ["Quantity", "Published", "Derived", *steps, "Against published", "Against derived"]
    control = " (control)" if start not in e.starts else ""
    return "\n".join(
        [
            f"<h4>Slopes, {esc(start)} starts{control}</h4>",
            f'<p class="why">{esc(STARTS[start])}.</p>',
            table(f"{key}-slopes", f"All quantities, {esc(start)} starts", heads, rows),
            table(
                f"{key}-medians",
                f"Median errors [quartiles], {esc(start)} starts, after {e.setting.budgets[-1]:,} "
                "steps",
                ["Quantity", *(f"n = {n:,}" for n in e.sizes)],
                medians,
            ),
        ]
    )


def _spread(middle: float, low: float, high: float) -> str:
    if not math.isfinite(middle):
        return '<span class="none">–</span>'
    text = signed(f"{middle:.3g} [{low:.2g}, {high:.2g}]")
    return f'<span class="num">{text}</span>'


def shares_table(key: str, result: Observed) -> str:
    """Shares of fits by how they ended."""
    if not result.shares:
        return "<h4>How the fits ended</h4><p>There are no fits yet.</p>"
    found = {name for share in result.shares for name, _ in share.statuses}
    order = [s.value for s in Status]
    known = sorted(found, key=lambda s: order.index(s) if s in order else len(order))
    place = {start: i for i, (start, _) in enumerate(result.experiment.runs)}
    rows = [
        row(
            esc(s.start),
            [
                f"{s.n:,}", f"{s.budget:,}", f"{s.fits:,}",
                *(f"{s.of(name):.0%}" for name in known),
                "–" if s.trapped is None else f"{s.trapped:.0%}", f"{s.seconds:.3f}",
            ],
        )
        for s in sorted(result.shares, key=lambda s: (place[s.start], s.n, s.budget))
    ]  # fmt: skip
    heads = ["Start", "n", "Steps", "Fits", *map(esc, known), "above the truth", "s per fit"]
    return "\n".join(
        [
            "<h4>How the fits ended</h4>",
            '<p class="why">“above the truth”: cost more than the truth does, hence caught in a '
            "local minimum.</p>",
            table(f"{key}-shares", "Share of fits by status", heads, rows, "numbers"),
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
        row(
            f"{c.start}, n = {c.n:,}",
            [str(v) for v in (c.fits, c.lower, c.clearly, c.same, c.fits - c.lower - c.same)],
        )
        for c in result.controls
    ]
    return "\n".join(
        [
            "<h4>Other starts</h4>",
            f"<p>Cost on the same data beside that from the {esc(result.experiment.starts[0])} "
            "start. A lower one means that the fit from there misses the least-squares estimate; "
            f"clearly lower is by more than {ALIKE:g} in deviance. {CONTROL.capitalize()}: the "
            f"best of {counted(s.trials, 'start')} without regard to the truth.</p>",
            table(
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
        row(
            f"{j}{' (over-specified)' if j == s.over and s.k > s.truth.atoms else ''}",
            [f'<span class="num">{signed(f"{v:g}")}</span>' for v in atom],
        )
        for j, atom in enumerate(atoms)
    ]
    box = s.box.to_dict()
    pairs = [
        ("Model", f"h(x) = <code>{esc(model.expert.text)}</code>, {esc(model.gate.name)} gate, "
         f"d = {model.dim}; k* = {s.truth.atoms} true atoms, k = {s.k} fitted"),
        ("Data", esc(signed(f"x uniform on [{s.domain[0]:g}, {s.domain[1]:g}]")
                    + (f"^{model.dim}" if model.dim > 1 else "")
                    + f"; noise, standard deviation {s.noise:g}; seed {s.seed}")),
        ("Sizes", f"n = {', '.join(f'{n:,}' for n in e.sizes)}; "
         + listed([f"{counted(count, 'replicate')} from {esc(start)} starts"
                    for start, count in e.runs])),
        ("Box", "; ".join(f"{esc(name)} in {_bounds(bound)}" for name, bound in box.items())),
        ("Steps", f"limits {listed([f'{b:,}' for b in s.budgets])}; tolerance of flat valleys "
         f"{s.flat:g}"),
        ("Starts", f"standard deviation {s.scale:g} around the truth; split scales by "
         f"{s.spread:g}; {counted(s.trials, 'trial')} away from it"),
        *_conditioning(result),
        ("Key", f'<code class="key">{s.key}</code>'),
    ]  # fmt: skip
    return "\n".join(
        [
            "<h4>Truth and estimator</h4>",
            table(f"{key}-truth", "True atoms", ["Atom", *map(esc, model.names)], rows, "numbers"),
            definitions(pairs),
        ]
    )


def _bounds(bound: Any) -> str:
    """Of a box's JSON form: b for [-b, b], a pair, or one of these for each parameter."""
    if isinstance(bound, list) and any(isinstance(b, list) for b in bound):
        return " × ".join(map(_bounds, bound))
    low, high = bound if isinstance(bound, list) else (-bound, bound)
    return signed(f"[{low:g}, {high:g}]")


def _conditioning(result: RateResult) -> list[tuple[str, str]]:
    found = result.conditioning
    if found is None:
        return []
    return [
        (
            "Conditioning",
            f"{esc(rates_report.conditioning_text(found).partition(': ')[2])}; {found.method}",
        )
    ]


def _environments(key: str, result: RateResult) -> str:
    if not result.environments:
        return ""
    names = list(dict.fromkeys(name for found in result.environments for name in found))
    rows = [
        row(str(i), [esc(found.get(name, "–")) for name in names])
        for i, found in enumerate(result.environments, 1)
    ]
    heads = ["", *map(esc, names)]
    heads[0] = "Run"
    return "<h4>Versions</h4>\n" + table(
        f"{key}-versions", "Software and machines that the fits were computed with", heads, rows
    )
