"""The report of a rate experiment at 80 columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.gates import regime_title
from identkit.rates.conditioned import Conditioning
from identkit.rates.density_result import DensityResult
from identkit.rates.density_setting import DensitySetting
from identkit.rates.result import ALIKE, FINISHED, Observed, RateResult
from identkit.rates.result import settings_of_analysis as analysis
from identkit.rates.setting import CONTROL
from identkit.rates.slopes import LEVEL
from identkit.report import density_rates_report, statements
from identkit.report.rates_parts import interval, noted, titled, verdict_table, verdicts

if TYPE_CHECKING:
    from identkit.fit.model import Model
    from identkit.mixing import MixingMeasure
    from identkit.rates.setting import Experiment
    from identkit.rates.store import Summary
    from identkit.rates.truth_search import Found


def terminal(result: RateResult | DensityResult) -> RenderableType:
    """For a terminal of 80 columns."""
    if isinstance(result, DensityResult):
        return density_rates_report.terminal(result)
    e = result.experiment
    blocks: list[RenderableType] = [_head(result)]
    for start in e.starts:
        blocks.append(verdicts(result, start))
    blocks.append(_fits(result))
    if result.controls:
        blocks.append(_controls(result))
    if result.warnings:
        blocks += [Text("\nwarnings", style="yellow"), noted(result.warnings)]
    blocks.append(Text(legend(result), style="dim"))
    return Group(*blocks)


def rates(result: RateResult) -> str:
    """What is published, certified and derived, in a line."""
    c = result.condition
    said = "–" if c.rate is None or c.rate.published is None else c.rate.published
    derived = "–" if c.rate is None else statements.derived_rate(c.rate)
    # at first order it would repeat the verdict
    second = "" if c.second_order is None else f", nondegenerate: {c.nondegenerate}"
    return f"published {said}; certified {c.condition}: {c.verdict}{second}; derived {derived}"


def title(result: Observed) -> str:
    """Expert, gate and regime."""
    if isinstance(result, DensityResult):
        return density_rates_report.title(result)
    s = result.experiment.setting
    regime = regime_title(s.regime)
    regime = f", {regime}" if regime else ""
    return f"{s.model.expert.label}, {s.model.gate.name} gate{regime}"


def _head(result: RateResult) -> Text:
    e, s = result.experiment, result.experiment.setting
    return Text.assemble(
        (title(result), "bold"),
        f"\n{rates(result)}\n",
        f"k* = {s.truth.atoms} true atoms, k = {s.k} fitted, d = {s.model.dim}, noise sd "
        f"{s.noise:g}, seed {s.seed}\n",
        f"n = {', '.join(f'{n:,}' for n in e.sizes)}; {e.replicates} replicates; "
        f"step budgets {', '.join(map(str, s.budgets))}\n",
        *(f"{line}\n" for line in truth_lines(result)),
    )


def truth_lines(result: RateResult) -> list[str]:
    """The true atoms, and how well they are conditioned."""
    s = result.experiment.setting
    lines = _atoms(s.model, s.truth, s.over)
    if result.conditioning is not None:
        lines.append(conditioning_text(result.conditioning))
    return lines


def _atoms(model: Model, truth: MixingMeasure, over: int) -> list[str]:
    layout, vector = truth.layout, truth.to_vector()
    cut = truth.atoms * layout.width
    lines = []
    for j, atom in enumerate(vector[:cut].reshape(truth.atoms, -1)):
        values = ", ".join(f"{n} = {v:g}" for n, v in zip(model.names, atom, strict=True))
        lines.append(f"atom {j}: {values}" + (" (over-specified)" if j == over else ""))
    for g, part in enumerate(layout.members):
        lines.append(f"group {g}: atoms {', '.join(map(str, range(part.start, part.stop)))}")
    named = layout.numbers(model.parameters, truth.atoms)[cut:]
    beside = [f"{name} = {v:g}" for (_, name), v in zip(named, vector[cut:], strict=True)]
    if beside:
        lines.append(", ".join(beside))
    return lines


def conditioning_text(found: Conditioning) -> str:
    """The two numbers in a line."""
    first, second = f"{found.first:.1e}", f"{found.second:.1e}"
    if found.determined > found.first:
        first = f"0 (dependent; else {found.determined:.1e})"
    if math.isnan(found.second):
        second = "does not apply"
    elif not found.curved:
        second = "0 (degenerate)"
    return f"conditioning: first-order tangent {first}, second-order form {second}"


def _fits(result: RateResult) -> RenderableType:
    """How the fits ended, at the last budget."""
    table = titled("\nhow the fits ended")
    heads = ("start", "n", "finished", "local minimum", "light atom", "at the box", "s per fit")
    for name in heads:
        table.add_column(name, justify="left" if name == "start" else "right")
    budgets = result.experiment.setting.budgets
    for s in result.shares:
        if s.budget == budgets[-1]:
            table.add_row(
                s.start, f"{s.n:,}", f"{s.of(*FINISHED):.0%}",
                "–" if s.trapped is None else f"{s.trapped:.0%}", f"{s.of('light atom'):.0%}",
                f"{s.of('at the box'):.0%}", f"{s.seconds:.3f}",
            )  # fmt: skip
    return table


def _controls(result: RateResult) -> RenderableType:
    """Costs from the other kinds of start beside those from the first, and the control's slopes."""
    e = result.experiment
    table = titled(f"\ncost beside that from {e.starts[0]} starts")
    for name in ("start", "fits", "lower", f"lower by {ALIKE:g} in deviance", "the same"):
        table.add_column(name, justify="left" if name == "start" else "right")
    for start in dict.fromkeys(c.start for c in result.controls):
        mine = [c for c in result.controls if c.start == start]
        columns = ("fits", "lower", "clearly", "same")
        table.add_row(start, *(str(sum(getattr(c, n) for c in mine)) for n in columns))
    if CONTROL not in dict(e.runs):
        return table
    notes = [f"{CONTROL}: the best of {e.setting.trials} starts"]
    for v in result.verdicts:
        slope = result.line(v.quantity.key, CONTROL).slope
        if v.start == e.starts[0] and slope is not None:
            notes.append(f"{CONTROL}: {v.quantity.label} {interval(slope)}")
    return Group(table, noted(notes))


def overview(results: Sequence[Observed], store: str) -> RenderableType:
    """The main quantities of several experiments, a line each."""
    blocks: list[RenderableType] = []
    for result in results:
        e = result.experiment
        for start in e.starts:
            title = f"{e.name}, {start} starts"
            blocks += [verdict_table(result, start, title, "", rated=True), Text("")]
    count = sum(bool(r.warnings) for r in results)
    if count:
        blocks.append(
            Text(f"{count} of {len(results)} experiments have warnings: identkit runs show --store "
                 f"{store}", style="yellow")
        )  # fmt: skip
    return Group(*blocks)


def runs(lines: Sequence[Summary]) -> RenderableType:
    """The experiments of a store."""
    if not lines:
        return Text("no experiments")
    table = titled("")
    for name in ("experiment", "key", "fits", "finished", "s", "last", "identkit"):
        table.add_column(name, overflow="fold", justify="left")
    for x in lines:
        ended = sum(x.statuses.values())
        good = sum(c for s, c in x.statuses.items() if s in FINISHED)
        table.add_row(
            x.name, x.key[:8], f"{x.rows:,} of {x.planned:,}",
            f"{good / ended:.0%}" if ended else "–", f"{x.seconds:.0f}",
            "–" if x.last is None else x.last[:16].replace("T", " "), ", ".join(x.versions),
        )  # fmt: skip
    return table


def listing(presets: Mapping[str, str]) -> RenderableType:
    """The shipped plans."""
    table = Table.grid(padding=(0, 2))
    for name, text in presets.items():
        table.add_row(name, text)
    return table


def plan(experiments: Sequence[Experiment], store: str) -> RenderableType:
    """What a sweep would run."""
    table = titled(f"{sum(e.fits for e in experiments):,} fits, kept in {store}")
    for name in ("experiment", "n", "replicates", "starts", "noise", "fits"):
        table.add_column(name, overflow="fold")
    for e in experiments:
        runs = ", ".join(f"{kind} {count}" for kind, count in e.runs)
        table.add_row(
            e.name, f"{e.sizes[0]:,} … {e.sizes[-1]:,} ({len(e.sizes)})", str(e.replicates), runs,
            "–" if isinstance(e.setting, DensitySetting) else f"{e.setting.noise:g}", f"{e.fits:,}",
        )  # fmt: skip
    return table


def truth_report(found: Found) -> RenderableType:
    """A truth that was searched."""
    regime, m = regime_title(found.regime), found.model
    regime = f", {regime}" if regime else ""
    lines = [f"{m.expert.label}, {m.gate.name} gate{regime}, d = {m.dim}"]
    lines += [f"  {line}" for line in _atoms(m, found.truth, found.over)]
    if not found.conditioning.curved and m.gate.chosen(found.regime).order != 1:
        lines.append(
            "  the experts are degenerate at second order: 'identkit explain' says which rate "
            "follows"
        )
    low, high = found.box.pair("beta0")
    lines += [
        conditioning_text(found.conditioning),
        f"  first: f per unit of a parameter; second: f per unit² of a cell; by "
        f"{found.conditioning.method}",
        f"noise sd {found.noise:g}, box: β0 in [{low:g}, {high:g}], |β1| ≤ "
        f"{found.box.pair('beta1')[1]:g}, |η| ≤ {found.box.pair('eta')[1]:g}",
        f"{found.candidates} candidates, seed {found.seed}, {found.seconds:.1f} s",
    ]
    return Text("\n".join(lines))


def legend(result: RateResult) -> str:
    """What the words mean, and the settings of the analysis."""
    a = analysis()
    names = sorted(
        {
            "{} on {}, torch {}".format(
                *(e.get(name, "unknown") for name in ("identkit", "device", "torch"))
            )
            for e in result.environments
        }
    )
    ran = f" Fits: identkit {'; '.join(names)}." if names else ""
    return (
        f"Slopes of log median on log n over all n, {LEVEL:.0%} bootstrap intervals "
        f"({a['bootstrap']} draws, seed {a['bootstrap_seed']}). consistent: the interval meets the "
        "slopes the rate allows over this window, up to logarithms and "
        f"±{a['finite_size']:g}, and not those of another of n^-1/2, n^-1/4, constant; "
        "inconsistent: it lies above; inconclusive: it decides nothing, or errors fall faster. "
        "none: no consistent estimator exists. Derived rates hold near the truth and are compared "
        "with fits from there (local, split). At the box: the minimum lies on its boundary; the "
        "box is part of the estimator, as Θ is compact in the theorems. p, d: against published, "
        "derived. Quantities: "
        f"'identkit rates --help'.{ran}"
    )
