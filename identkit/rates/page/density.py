"""The section of experiments with densities: truth, slopes, exponents, how fits ended."""

from __future__ import annotations

from collections.abc import Sequence

from identkit.rates import figures
from identkit.rates.density_result import DensityResult
from identkit.rates.page.drawn import drawn_figure
from identkit.rates.page.experiment import all_slopes, shares_table, warnings_list
from identkit.rates.page.pieces import judgement, rate_cell, reason_against, slope_cell
from identkit.rates.page.verdicts import axis, plot, tally
from identkit.rates.quantities import quantity
from identkit.rates.result import Verdict
from identkit.rates.slopes import LEVEL
from identkit.report.density_rates_report import truth_lines
from identkit.report.page.pieces import counted, definitions, esc, listed, row, table
from identkit.vocabulary import Basis


def densities_summary(results: Sequence[DensityResult]) -> str:
    """How many slopes agree with which rates: HTML of a paragraph's sentences."""
    shown = [v for r in results for v in _rated(r)]
    fits = sum(r.fits for r in results)
    told = [
        f"{counted(len(results), 'experiment')} with densities, {counted(fits, 'fit')}, "
        f"{counted(len(shown), 'slope')} beside a rate."
    ]
    told += [tally([getattr(v, f"against_{which}") for v in shown], which) for which in Basis]
    other = [r.experiment.name for r in results if r.alternatives]
    if other:
        told.append(
            f"Other measures have exactly the density of the truth of {esc(listed(other))}."
        )
    missing = sum(r.experiment.fits - r.fits for r in results)
    if missing:
        told.append(f"{counted(missing, 'fit')} missing.")
    return " ".join(filter(None, told))


def _rated(result: DensityResult) -> list[Verdict]:
    """The verdicts with a rate to hold them against, of quantities that were seen."""
    return [
        v
        for v in result.verdicts
        if (v.published or v.derived) and any(result.line(v.quantity.key, v.start).counts)
    ]


def densities_section(results: Sequence[DensityResult]) -> str:
    """The rates of every experiment, its figures, then all that was measured."""
    shown = [_figures(f"density-figure-{i}", r) for i, r in enumerate(results, 1) if r.lines]
    parts = [_experiment(f"d{number}", result) for number, result in enumerate(results, 1)]
    return f"""<section aria-labelledby="densities">
<h2 id="densities">Densities</h2>
<p>Maximum likelihood of p(y|x). Derived rates hold near the truth, for generic parameters and
weights bounded below; they are upper bounds, so that errors may fall faster. Figures: medians over
replicates with quartiles as a band, fitted lines in colour, dashed grey ones with the predicted
slope.</p>
{_verdicts(results)}
<div class="figures">
{chr(10).join(shown)}
</div>
{chr(10).join(parts)}
</section>"""


def _verdicts(results: Sequence[DensityResult]) -> str:
    """Published, derived and observed of every quantity with a rate."""
    groups = []
    for number, result in enumerate(results, 1):
        for start in result.experiment.starts:
            rows = [
                row(
                    esc(v.quantity.label),
                    [
                        rate_cell(v.published),
                        rate_cell(v.derived),
                        slope_cell(slope := result.line(v.quantity.key, start).slope),
                        plot(slope, v.derived or v.published),
                        judgement(v.against_published, reason_against(v, Basis.PUBLISHED)),
                        judgement(v.against_derived, reason_against(v, Basis.DERIVED)),
                    ],
                )
                for v in _rated(result)
                if v.start == start
            ]
            note = "" if result.complete else " · incomplete"
            note += " · not identifiable" if result.alternatives else ""
            head = (
                f'<tr class="group"><th scope="rowgroup" colspan="7"><span class="stay">'
                f'<a href="#d{number}">{esc(result.experiment.name)}</a> '
                f'<span class="start">{esc(start)} starts{note}</span></span></th></tr>'
            )
            groups.append("<tbody>\n" + "\n".join([head, *rows]) + "\n</tbody>")
    heads = (
        "Quantity", "Published", "Derived",
        f'Observed slope <span class="light">[{LEVEL:.0%} interval]</span>', axis(),
        "Against published", "Against derived",
    )  # fmt: skip
    caption = "Published, derived and observed, where there is a rate"
    return table("density-verdicts", caption, heads, groups, "verdicts")


def _figures(key: str, result: DensityResult) -> str:
    """Losses, and the parameters in over-specified cells of each half, from the first starts."""
    e, start = result.experiment, result.experiment.starts[0]
    cells = figures.cell_quantities(result)
    losses = figures.main_quantities(result)
    wanted = [("distance and losses", losses)] if losses else []
    wanted += [(f"{keys[0].split(':')[1]} parameters, over-specified", keys) for keys in cells]
    parts = []
    for number, (what, keys) in enumerate(wanted):
        said = (
            f"<b>{esc(e.name)}</b>, {what}; {esc(start)} starts; "
            f"{counted(e.replicates, 'replicate')} at each n."
        )
        drawn = figures.rate_figure(result, keys, start=start)
        alt = figures.caption(result, keys, start=start)
        name = f"{figures.title(result)}, {what}"
        parts.append(drawn_figure(f"{key}-{number}", drawn, name, alt, said))
    return "\n".join(parts)


def _experiment(key: str, result: DensityResult) -> str:
    e, s = result.experiment, result.experiment.setting
    fits = f"{result.fits:,} fits" if result.complete else f"{result.fits:,} of {e.fits:,} fits"
    warned = counted(len(result.warnings), "warning") if result.warnings else "no warnings"
    said = f"n = {e.sizes[0]:,} to {e.sizes[-1]:,}, {fits}, {warned}"
    (m, k), (true_m, true_k) = s.atoms, s.truth.atoms
    pairs = [
        ("Model", esc(f"{s.expert_label}, {s.gate.name} gate, {s.model.likelihood.title}")),
        ("Atoms", f"{true_m} + {true_k} true, shared + routed; {m} + {k} fitted"),
        ("Truth", "<br>".join(map(esc, truth_lines(s)))),
        ("Seed", str(s.seed)),
        ("Setting", f"<code>{s.key}</code>"),
    ]
    if result.alternatives:
        pairs.append(("Not identifiable", esc(", ".join(result.alternatives))))
    pairs += [("Not met", esc(text)) for text in result.unmet]
    parts = [warnings_list(result.warnings), definitions(pairs)]
    for start, _ in e.runs if result.lines else ():
        parts.append(all_slopes(f"{key}-{start}", result, start))
        parts.append(_exponents(f"{key}-{start}-exponents", result, start))
    parts.append(shares_table(key, result))
    return f"""<details id="{key}">
<summary><h3>{esc(e.name)}</h3> <span class="said">{said}</span></summary>
<div class="inside">
{chr(10).join(filter(None, parts))}
</div>
</details>"""


def _exponents(key: str, result: DensityResult, start: str) -> str:
    rows = [
        row(esc(quantity(e.quantity).label), [slope_cell(e.mean), slope_cell(e.median)])
        for e in result.exponents
        if e.start == start
    ]
    caption = f"Exponents of log(n)/n, least squares on logarithms, {esc(start)} starts"
    return table(key, caption, ["Quantity", "Of the mean", "Of the median"], rows)
