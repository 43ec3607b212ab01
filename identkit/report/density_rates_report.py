"""The report of an experiment with densities, at 80 columns, and its document."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from identkit.rates.density_result import DENSITY_RATES, FINISHED, DensityResult
from identkit.rates.density_setting import DensitySetting
from identkit.rates.quantities import quantity
from identkit.rates.result import settings_of_analysis
from identkit.rates.slopes import LEVEL, Slope
from identkit.report.rates_parts import (
    interval,
    line_document,
    noted,
    share_document,
    titled,
    verdict_document,
    verdicts,
)


def terminal(result: DensityResult) -> RenderableType:
    """For a terminal of 80 columns."""
    blocks: list[RenderableType] = [_head(result)]
    for start in result.experiment.starts:
        blocks += [verdicts(result, start), _exponents(result, start)]
    for start, _ in result.experiment.runs[len(result.experiment.starts) :]:
        blocks.append(_exponents(result, start))
    blocks.append(_fits(result))
    if result.warnings:
        blocks += [Text("\nwarnings", style="yellow"), noted(result.warnings)]
    analysis = settings_of_analysis()
    blocks.append(
        Text(
            f"\nSlopes of log median on log n over all n, {LEVEL:.0%} bootstrap intervals "
            f"({analysis['bootstrap']} draws, seed {analysis['bootstrap_seed']}). Derived rates "
            "hold near the truth, for generic parameters, with weights bounded below; a rate is an "
            "upper bound, so that errors may fall faster. The exponent is α of (log n/n)^α by "
            "least squares on logarithms.",
            style="dim",
        )
    )
    return Group(*blocks)


def title(result: DensityResult) -> str:
    """Name, experts, gate and likelihood."""
    s = result.experiment.setting
    name, _, _ = result.experiment.name.rpartition(" / ")
    return f"{name}: {s.expert_label}, {s.gate.name} gate, {s.model.likelihood.title}"


def _head(result: DensityResult) -> Text:
    e, s = result.experiment, result.experiment.setting
    (m, k), (true_m, true_k) = s.atoms, s.truth.atoms
    lines = [
        f"\n{s.expert_label}, {s.gate.name} gate, {s.model.likelihood.title}",
        f"{true_m} + {true_k} true atoms, shared + routed; {m} + {k} fitted; seed {s.seed}",
        f"n = {', '.join(f'{n:,}' for n in e.sizes)}; {e.replicates} replicates; step budgets "
        f"{', '.join(map(str, s.budgets))}",
        *truth_lines(s),
    ]
    if result.alternatives:
        lines.append(
            "NOT IDENTIFIABLE: other measures have the same density, by "
            f"{', '.join(result.alternatives)}; nothing is predicted of parameters"
        )
    lines += [f"not met: {text}" for text in result.unmet]
    return Text.assemble((e.name, "bold"), "\n".join(lines), "\n")


def truth_lines(setting: DensitySetting) -> list[str]:
    """The true atoms."""
    model, truth = setting.model, setting.truth
    lines = []
    numbers = model.numbers(truth.atoms)
    vector = model.pack(truth)
    for half, count in (("shared", truth.atoms[0]), ("routed", truth.atoms[1])):
        for i in range(count):
            own = [
                (name, value)
                for (where, atom, name), value in zip(numbers, vector, strict=True)
                if (where, atom) == (half, i)
            ]
            said = ", ".join(
                f"ω = {truth.omega[i]:.6g}" if name == "log ω"
                else f"{name} = {math.exp(value):.6g}" if name in ("ν", "τ")
                else f"{name} = {value:.6g}"
                for name, value in own
            )  # fmt: skip
            lines.append(f"{half} {i}: {said}")
    return lines


def _exponents(result: DensityResult, start: str) -> RenderableType:
    table = titled(f"exponents of log(n)/n, {start} starts")
    for name in ("quantity", "of the mean", "of the median"):
        table.add_column(name, overflow="fold")
    for e in result.exponents:
        if e.start == start:
            table.add_row(quantity(e.quantity).label, interval(e.mean), interval(e.median))
    return table


def _fits(result: DensityResult) -> RenderableType:
    """How the fits ended, at the last budget."""
    table = titled("\nhow the fits ended")
    for name in ("start", "n", "finished", "below truth", "at the box", "ν at an end", "s per fit"):
        table.add_column(name, justify="left" if name == "start" else "right")
    last = result.experiment.setting.budgets[-1]
    for s in result.shares:
        if s.budget == last:
            table.add_row(
                s.start, f"{s.n:,}", f"{s.of(*FINISHED):.0%}",
                "–" if s.trapped is None else f"{s.trapped:.0%}",
                f"{s.of('at the box'):.0%}", f"{s.of('variance at its floor'):.0%}",
                f"{s.seconds:.3f}",
            )  # fmt: skip
    return table


def document(result: DensityResult) -> dict[str, Any]:
    """The ``identkit.density-rates/1`` document."""
    return {
        "schema": DENSITY_RATES,
        "experiment": result.experiment.document(),
        "complete": result.complete,
        "fits": result.fits,
        "analysis": settings_of_analysis(),
        "alternatives": list(result.alternatives),
        "unmet": list(result.unmet),
        "verdicts": [verdict_document(v) for v in result.verdicts],
        "lines": [line_document(line) for line in result.lines],
        "exponents": [
            {
                "quantity": e.quantity,
                "start": e.start,
                "mean": _slope(e.mean),
                "median": _slope(e.median),
            }
            for e in result.exponents
        ],
        "shares": [share_document(s) for s in result.shares],
        "warnings": list(result.warnings),
        "environments": list(result.environments),
    }


def _slope(found: Slope | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
