"""The report of a density at 80 columns, for a terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.density.components import Component, Number, components, floors
from identkit.density.engine import LIGHT
from identkit.density.reporting import ProvedHalf, gates_shared
from identkit.density.result import Status
from identkit.density.summary import DensityReport
from identkit.fit.inference import Identifiability
from identkit.fit.summary import ALIKE
from identkit.report.fit_identifiability import joined, proved_lines
from identkit.report.fit_report import SHOWN, WIDTH, direction, grid, listed, named, with_error
from identkit.report.terminal import COLOURS
from identkit.vocabulary import Verdict

REMEDIES = {
    Status.CONVERGED: "a local maximum; more --starts show whether there is a higher one",
    Status.AT_THE_BOX: "the maximum lies on the boundary of the box; widen it with --box, or read "
    "the parameters at their bounds as not estimated",
    Status.LIGHT_ATOM: "an atom has hardly any of the rows, so its parameters mean nothing; lower "
    "--k",
    Status.FLAT_VALLEY: "the likelihood no longer rises while parameters still move along a "
    "valley; the data hardly determine them there; lower --k, or narrow the --box",
    Status.SPIKE: "an atom fits its rows exactly and its variance is at the floor; if these are "
    "few, it is a spike, whose likelihood has no bound and means nothing: lower --k, or use "
    "--variance common; if they are all, the data have no noise: drop --likelihood",
    Status.STEP_LIMIT: "no maximum within the step limit; raise --max-steps, or try more --starts",
    Status.DIVERGED: "the likelihood was not finite at any start; narrow the --box or rescale the "
    "data",
    Status.INTERRUPTED: "stopped before the end: what follows is not a maximum; run again",
}
"""What to do about a status on the command line."""
APART = 3.0
"""Ratio of the two standard errors of a number beyond which neither is believed."""
STATES = {"gauge": "fixed", "fixed": "fixed", "bound": "bound", "n.d.": "n.d."}
"""Of a number without standard errors, as printed."""


# -- sentences ----------------------------------------------------------------------------------


def remedy(report: DensityReport) -> str:
    """What to do about the status."""
    status: Status = report.fit.status
    return REMEDIES.get(status, status.remedy)


def starts_sentence(report: DensityReport) -> str:
    """How many starts reached the best log-likelihood, and how the others ended."""
    fit = report.fit
    values, best = fit.log_likelihoods[0], float(fit.log_likelihood)
    reached, spiked = report.reached, report.spiked
    text = f"{len(reached)} of {len(values)} reached this log-likelihood"
    others = [
        best - float(v)
        for s, v in enumerate(values)
        if s not in reached and s not in spiked and np.isfinite(v)
    ]
    if others:
        ends = list(dict.fromkeys(f"{v:.3g}" for v in (min(others), max(others))))
        text += f"; {len(others)} ended lower, by {' to '.join(ends)}"
    if fit.model.density.spread:
        text += "; " + (f"{len(spiked)} ended at a spike" if spiked else "none ended at a spike")
    counts = Counter(status.value for status in fit.statuses[0])
    text += f" ({', '.join(f'{n} {name}' for name, n in counts.items())})."
    near = sum(v <= ALIKE for v in others)
    if near:
        text += (
            f" Lower by at most {ALIKE:g}, with other estimates: {near}; more data or a smaller "
            "--k would decide."
        )
    elif len(reached) == 1 and len(values) > 1 and fit.status.finished:
        text += " Try more --starts."
    return text


def notes(report: DensityReport) -> list[tuple[str, str]]:
    """(label, sentence) for everything a reader must know before using the estimates."""
    lines: list[tuple[str, str]] = []
    fit, c = report.fit, report.covariance
    parts, common = components(report)
    if report.classes is not None:
        names = [f"{name} ({i})" for i, name in enumerate(report.classes)]
        lines.append(("classes", f"{listed(names)}; the last has logit 0."))
    if fit.units is not None:
        lines += _units(report)
    if c is not None and np.isfinite(c.standard_errors).any():
        lines.append(("± s.e.", f"observed information; they presume {c.assumes}."))
        lines.append(
            ("(…)", f"in brackets those of the sandwich; they presume {c.sandwich_assumes}.")
        )
    elif c is None:
        lines.append(("s.e.", "none: they are those of a maximum."))
    apart = [
        named(part.label, n.name)
        for part in parts
        for n in part.numbers
        if np.isfinite(n.error) and not 1.0 / APART < n.sandwich / n.error < APART
    ]
    if apart:
        text = (
            f"they differ by more than {APART:g} times for {listed(apart)}: the model is wrong "
            "there, or the likelihood is no parabola; do not read either."
        )
        lines.append(("± s.e.", text))
    if c is not None and c.undetermined:
        texts = [direction(d) for d in c.undetermined]
        lines.append(("n.d.", f"not determined by these data: {listed(texts)}."))
    at_floor = floors(report)
    if at_floor:
        many = len(at_floor) > 1
        text = (
            f"variance{'s' * many} of atom{'s' * many} {joined(at_floor)} at the smallest that is "
            f"allowed{_floor(report)}: nothing is estimated by {'them' if many else 'it'}."
        )
        lines.append(("floor", text))
    bounds = [(part.label, n) for part in parts for n in part.numbers if n.state == "bound"]
    bounds += [(None, n) for n in common if n.state == "bound"]
    if bounds:
        wider = dict.fromkeys(f"--box {n.option}=LO:HI" for _, n in bounds)
        text = f"at a bound: {listed([named(atom, n.name) for atom, n in bounds])}; to widen: "
        lines.append(
            ("box", f"{text}{' '.join(wider)}. Other standard errors are with these held.")
        )
    lines += _light(report, parts)
    lines += _held(report, parts)
    for group in gates_shared(fit, _data(report).x, None if c is None else c.observed)[:SHOWN]:
        kind = "a gate slope" if fit.model.routed.gate.pinning is not None else "a gate"
        if group.constant:
            kind = "constant gates (β1 = 0)"
        how = {
            "tolerance": "equal up to 0.1 per s.d. of x",
            "standard errors": "these data do not tell them apart",
        }[group.within]
        text = (
            f"atoms {joined([str(a) for a in group.atoms])} share {kind}; {how}. Where their "
            "experts and variances agree too, they are candidates for one true atom; do not read "
            "their standard errors if they are one."
        )
        lines.append(("gates", text))
    return lines


def _data(report: DensityReport) -> Any:
    assert report.table is not None
    return report.table


def _units(report: DensityReport) -> list[tuple[str, str]]:
    change: Any = report.fit.units
    moved = [
        f"{name} = {o:.4g} + {s:.4g}·z" if o else f"{name} = {s:.4g}·z"
        for name, o, s in zip(
            [*report.inputs, report.target], change.routed.origin, change.routed.scale, strict=True
        )
        if o or s != 1.0
    ]
    if not moved:
        return []
    return [("units", f"fitted in standard units, {listed(moved)}; all numbers here are in yours.")]


def _floor(report: DensityReport) -> str:
    settings = report.fit.settings
    if report.fit.scaled.settings.relative:
        return f", {settings.floor:g} of that of '{report.target}'"
    return ""


def _light(report: DensityReport, parts: tuple[Component, ...]) -> list[tuple[str, str]]:
    """Atoms with hardly any rows, and those with fewer than they have numbers."""
    most = max(p.effective for p in parts)
    empty = [p.label for p in parts if p.effective < LIGHT * most]
    few = [
        f"{p.label} ({p.effective:.1f} rows, {len(p.numbers)} numbers)"
        for p in parts
        if p.label not in empty and p.effective < len(p.numbers)
    ]
    lines = []
    if empty:
        text = f"atom{'s' * (len(empty) > 1)} {joined(empty)} with hardly any rows: lower --k."
        lines.append(("light", text))
    if few:
        text = f"fewer effective rows than numbers: atom {listed(few)}; do not read those."
        lines.append(("few rows", text))
    return lines


def _held(report: DensityReport, parts: tuple[Component, ...]) -> list[tuple[str, str]]:
    """What gauges and the user hold."""
    lines = []
    model = report.fit.model
    gauge = [p.label for p in parts if any(n.state == "gauge" and n.name != "ω" for n in p.numbers)]
    if gauge:
        text = f"gate of atom {joined(gauge)}: "
        own = model.routed.gate
        text += (
            "a common shift of all gates changes nothing."
            if own.is_affine
            else f"a gauge of gate {own.name} moves it and nothing else."
        )
        lines.append(("fixed", text))
    fixed = list(dict.fromkeys(n.name for p in parts for n in p.numbers if n.state == "fixed"))
    if fixed:
        lines.append(("fixed", f"{joined(fixed)}, as asked for."))
    return lines


def identifiability_lines(report: DensityReport) -> list[tuple[str, str]]:
    """(label, sentence): what is proved about each expert under the likelihood, and what for."""
    lines = []
    for i, found in enumerate(report.identifiability or ()):
        half = half_lines(report, i, found)
        lines += [("shared", "experts of the shared half:"), *half] if i else half
    return lines


def half_lines(report: DensityReport, half: int, found: Identifiability) -> list[tuple[str, str]]:
    """The lines of the routed (0) or the shared (1) half."""
    from_routed = half == 0
    fit, c = report.fit, report.covariance
    model = fit.model.routed if from_routed else fit.model.shared
    assert model is not None
    groups = ()
    if from_routed:
        groups = gates_shared(fit, _data(report).x, None if c is None else c.observed)
    parts, _ = components(report)
    clipped = any(n.state == "bound" and n.name.startswith("β") for p in parts for n in p.numbers)
    lines = proved_lines(
        found,
        model.gate,
        atoms=fit.measure.atoms[1 - half],
        groups=groups,
        regular=report.regular and from_routed,
        # every shared atom has a constant weight: which are copies is for the experts to tell
        seen=not from_routed or bool(groups) or not fit.status.finished,
        clipped=clipped,
    )
    if isinstance(found, ProvedHalf):
        lines += [("gauge", gauge_sentence(g)) for g in found.gauges[:SHOWN]]
    return lines


def gauge_sentence(found: Any) -> str:
    """A way to move parameters that leaves p as it is."""
    where = f", where {found.where}" if found.where else ""
    return f"{found.name}, the same p: {found.action}{where}."


# -- terminal -----------------------------------------------------------------------------------


def terminal(report: DensityReport) -> RenderableType:
    """The report for a terminal of 80 columns."""
    fit = report.fit
    status = Text.assemble(
        (fit.status.value, "bold green" if report.exit_code == 0 else "bold red"),
        f": {remedy(report)}.",
    )
    first = grid(
        [
            ("status", status),
            ("log p", likelihood_sentence(report)),
            ("starts", starts_sentence(report)),
        ]
    )
    blocks: list[RenderableType] = [_head(report), Text(), first, Text()]
    blocks += _estimates(report)
    remarks = notes(report)
    if remarks:
        blocks += [Text(), grid([(a, b) for a, b in remarks])]
    proved = identifiability_lines(report)
    if report.identifiability and proved:
        title = Text("\nidentifiability", style="bold")
        own = report.identifiability[0]
        if own.domain is not None:
            title.append(f" (identkit check, x in {own.domain})", style="dim")
        colour = COLOURS.get(own.verdict or Verdict.UNDECIDED, "")
        rows = [(a, Text(b, style=colour) if a in ("proved", "check") else b) for a, b in proved]
        blocks += [title, grid(rows)]
    versions = ", ".join(f"{name} {version}" for name, version in fit.settings.libraries)
    blocks.append(Text(f"\nidentkit {fit.settings.version}, {versions}", style="dim"))
    return Group(*blocks)


def model_sentence(report: DensityReport) -> str:
    """Expert, gate, atoms and likelihood."""
    model, (m, k) = report.fit.model, report.fit.measure.atoms
    e = model.routed.expert
    kind = f"{e.label}: " if e.name != "custom" else ""
    text = f"{kind}h(x) = {e.text}, gate {model.routed.gate.name}, k = {k}"
    if model.shared is not None:
        own = model.shared.expert
        kind = f"{own.label}: " if own.name != "custom" else ""
        text += f"\n½ shared: {kind}h(x) = {own.text}, m = {m}"
    return f"{text}\n{model.likelihood.title}"


def _head(report: DensityReport) -> Text:
    fit, model = report.fit, report.fit.model
    columns = ", ".join(
        name if name == given else f"{name} = {given}"
        for name, given in zip(model.routed.expert.inputs, report.inputs, strict=True)
    )
    starts = len(fit.log_likelihoods[0])
    settings = fit.settings
    return Text.assemble(
        (model_sentence(report), "bold"),
        f"\n{report.file}: {report.target} on {columns}; {_counted(report)}, d = {model.dim}\n",
        (
            f"{starts} start{'s' * (starts > 1)}, seed {report.seed}, {settings.device}, "
            f"{settings.kernel} kernel, {report.seconds:.1f} s",
            "dim",
        ),
    )


def _counted(report: DensityReport) -> str:
    """n, and what weights add up to."""
    n = report.fit.samples
    if report.table is None or report.table.weight is None:
        return f"n = {n}"
    return f"n = {n}, weights add up to {report.rows:.6g}"


def likelihood_sentence(report: DensityReport) -> str:
    """Log-likelihood, the criteria, and how many numbers were estimated."""
    value = float(report.fit.log_likelihood)
    return (
        f"{value:.6g} (Σ log p(y|x)), BIC {report.bic:.6g}, ICL {report.icl:.6g}; "
        f"{report.free} numbers estimated"
    )


def _estimates(report: DensityReport) -> list[RenderableType]:
    """Numbers in rows, atoms in columns, as many as fit side by side; shared atoms apart."""
    parts, common = components(report)
    blocks: list[RenderableType] = []
    for half, title in (("shared", "shared atom"), ("routed", "atom")):
        own = [p for p in parts if p.half == half]
        if not own:
            continue
        cells = [[*map(_cell, p.numbers), *_rows(report, p)] for p in own]
        widest = max(len(c) for column in cells for c in column)
        side = max(1, WIDTH // (widest + 3))
        names = [*(n.name for n in own[0].numbers), *_labels(report)]
        for begin in range(0, len(own), side):
            table = Table.grid(padding=(0, 3))
            table.add_column(no_wrap=True)
            some = range(begin, min(begin + side, len(own)))
            for _ in some:
                table.add_column(no_wrap=True, justify="left")
            table.add_row(f"  {title}", *(own[i].label for i in some), style="bold")
            for row, name in enumerate(names):
                table.add_row(f"  {name}", *(cells[i][row] for i in some))
            blocks += [table] if not blocks else [Text(), table]
    if common:
        table = Table.grid(padding=(0, 3))
        for number in common:
            table.add_row(f"  {number.name}, all" if number.name == "ν" else f"  {number.name}",
                          _cell(number))  # fmt: skip
        blocks += [Text(), table]
    return blocks


def _labels(report: DensityReport) -> list[str]:
    return ["weight", "rows", "effective"]


def _rows(report: DensityReport, part: Component) -> list[str]:
    return [f"{part.weight:.3g}", str(part.assigned), f"{part.effective:.1f}"]


def _cell(number: Number) -> str:
    """An estimate with both standard errors, or why there are none."""
    if number.state:
        return f"{number.value:.4g} ({STATES[number.state]})"
    if not np.isfinite(number.error):
        return f"{number.value:.4g}"
    text = with_error(number.value, number.error)
    if not np.isfinite(number.sandwich):
        return text
    return f"{text} ({with_error(0.0, number.sandwich).partition('± ')[2]})"
