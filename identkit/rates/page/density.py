"""The section of experiments with densities: truth, slopes, exponents, how fits ended."""

from __future__ import annotations

from collections.abc import Sequence

from identkit.rates.density_result import DensityResult
from identkit.rates.page.experiment import all_slopes, shares_table, warnings_list
from identkit.rates.page.pieces import slope_cell
from identkit.rates.quantities import quantity
from identkit.report.density_rates_report import truth_lines
from identkit.report.page.pieces import counted, definitions, esc, row, table


def densities_section(results: Sequence[DensityResult]) -> str:
    """Every experiment, open: the slopes are what there is to see."""
    parts = [_experiment(f"d{number}", result) for number, result in enumerate(results, 1)]
    return f"""<section aria-labelledby="densities">
<h2 id="densities">Densities</h2>
<p>Maximum likelihood of p(y|x). Derived rates hold near the truth, for generic parameters and
weights bounded below; they are upper bounds, so that errors may fall faster.</p>
{chr(10).join(parts)}
</section>"""


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
    return f"""<details>
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
