"""The report of a fit at 80 columns, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.fit.inference import Direction
from identkit.fit.result import FitResult, Status
from identkit.fit.shared_gates import SharedGate
from identkit.fit.summary import ALIKE, FitReport
from identkit.report.fit_identifiability import joined, proved_lines
from identkit.report.terminal import COLOURS
from identkit.vocabulary import Verdict

if TYPE_CHECKING:
    from identkit.fit.change import Change

WIDTH = 68
"""Columns for the atoms of one block of estimates."""
SHOWN = 4
"""Directions, bounds and groups printed before "and n more"; all are in the JSON."""


REMEDIES = {
    Status.CONVERGED: "a local minimum; more --starts show whether there is a lower one",
    Status.AT_THE_BOX: "the minimum lies on the boundary of the box; widen it as below, or read "
    "the parameters at their bounds as not estimated",
    Status.LIGHT_ATOM: "an atom has almost no weight on the data, so its parameters mean nothing; "
    "lower --k, or narrow the --box of beta0; far off-centre inputs do this too",
    Status.FLAT_VALLEY: "the cost no longer falls while parameters still move along a valley; the "
    "data hardly determine them there; lower --k, or narrow the --box",
    Status.STEP_LIMIT: "no minimum within the step limit; raise --max-steps, or try more --starts",
    Status.DIVERGED: "the cost was not finite at any start; narrow the --box or rescale the data",
    Status.INTERRUPTED: "stopped before the end: what follows is not a minimum; run again",
}
"""What to do about a status on the command line."""


# -- sentences ----------------------------------------------------------------------------------


def notes(report: FitReport) -> list[tuple[str, str]]:
    """(label, sentence) for everything a reader must know before using the estimates."""
    lines: list[tuple[str, str]] = []
    result, c = report.result, report.covariance
    if result.change is not None:
        lines += _units(report, result.change)
    else:
        far = [
            f"'{name}' has mean {m:.3g} and s.d. {s:.3g}"
            for name, m, s in zip(report.inputs, report.means, report.spreads, strict=True)
            if abs(m) > 5.0 * s or not 0.05 < s < 20.0
        ]
        if far:
            text = f"{listed(far)}; starts and box are meant for inputs of order 1."
            lines.append(("scale", f"{text} Leave out --no-standardise."))
    if report.r_squared is not None and report.r_squared < 0.0:
        text = (
            f"R² is negative: a constant fits '{report.target}' (s.d. "
            f"{np.sqrt(report.variance):.3g}) better; more --starts, a larger --k, an expert with "
            "a factor and a level, or a wider --box may do."
        )
        lines.append(("scale", text))
    if c is not None and np.isfinite(c.standard_errors).any():
        lines.append(("± s.e.", f"{c.assumes}. Estimated error s.d.: {c.sigma:.3g}."))
    elif c is not None and not np.isfinite(c.sigma):
        lines.append(
            ("s.e.", f"none: {result.samples} samples leave nothing to estimate the errors with.")
        )
    elif result.objective.errors is None:
        lines.append(("s.e.", f"none are known for {result.objective.title}."))
    elif result.ridge:
        lines.append(("s.e.", f"none: the ridge, {result.ridge:g}, draws estimates towards 0."))
    elif c is None:
        lines.append(("s.e.", "none: they are those of a minimum."))
    if c is not None and c.undetermined:
        texts = [direction(d) for d in c.undetermined]
        lines.append(("n.d.", f"not determined by these data: {listed(texts)}."))
    if c is not None and c.wide:
        texts = [named(atom, name) for atom, name in c.wide]
        lines.append(("n.d.", f"standard error wider than the box: {listed(texts)}."))
    if report.bounds:
        texts = [
            f"{named(b.atom, b.parameter)} at its {b.side} bound"
            + (f" ({b.value:g} in standard units)" if b.standard else "")
            for b in report.bounds
        ]
        options = widened(report)
        text = f"{listed(texts)}{'; to widen: ' + ' '.join(options) if options else ''}."
        held = " Other standard errors are with these held." if c is not None else ""
        lines.append(("box", text + held))
    if report.pinned.any():
        lines.append(("fixed", _fixed(report)))
    held = report.fixed & ~report.pinned
    if held.any():
        names = result.model.layout.options(result.model.parameters, result.measure.atoms)
        own = list(dict.fromkeys(names[i] for i in np.flatnonzero(held)))
        lines.append(("fixed", f"{joined(own)}, as asked for."))
    lines += [("gates", gate_sentence(report, group)) for group in report.shared[:SHOWN]]
    if not report.shared and result.measure.atoms > 1 and result.status.finished:
        text = "no two atoms share a gate: no over-specified cell is seen, which excludes none."
        lines.append(("gates", text))
    return lines


def _units(report: FitReport, change: Change) -> list[tuple[str, str]]:
    """In which units the fit was made, and what could not change."""
    lines = []
    names = [*report.inputs, report.target]
    moved = [
        f"{name} = {o:.4g} + {s:.4g}·z" if o else f"{name} = {s:.4g}·z"
        for name, o, s in zip(names, change.origin, change.scale, strict=True)
        if o or s != 1.0
    ]
    if moved:
        text = f"fitted in standard units, {listed(moved)}; all numbers here are in yours."
        lines.append(("units", text))
    if change.kept:
        kept = " and ".join(change.kept)
        text = f"{kept} kept: no exact change of the parameters, or your bounds, allow another."
        lines.append(("units", text))
    return lines


def _fixed(report: FitReport) -> str:
    """What is held to fix gauges, and why."""
    model, atoms = report.result.model, report.result.measure.atoms
    if model.gate.is_affine:
        return f"gate of atom {atoms - 1}: a common shift of all gates changes nothing."
    numbers = model.layout.numbers(model.parameters, atoms)
    held = [named(*numbers[i]) for i in np.flatnonzero(report.pinned)]
    return f"{listed(held)}: a gauge of gate {model.gate.name} moves them and nothing else."


def widened(report: FitReport) -> list[str]:
    """Options that move the bounds that were reached to twice their size, one per name."""
    wider: dict[str, list[float]] = {}
    for b in report.bounds:
        if b.standard:  # no number of the user's has these bounds
            continue
        ends = wider.setdefault(b.option, list(b.between))
        upper = b.side == "upper"
        ends[upper] = b.value + (1.0 if upper else -1.0) * max(1.0, abs(b.value))
    return [f"--box {name}={low:g}:{high:g}" for name, (low, high) in wider.items()]


def direction(found: Direction) -> str:
    """One line on a direction: its parameters, and how they move."""
    which = ", ".join(named(atom, name) for atom, name in found.parameters)
    if len(found.parameters) == 1:
        return which
    if found.along is not None:
        change = ", ".join(f"{v:.2g}" for v in found.along)
        return f"({which}) along ({change})"
    return f"{found.count} combinations of {which}"


def named(atom: int | str | None, name: str) -> str:
    """A number by its name and its atom."""
    return name if atom is None else f"{name} of atom {atom}"


def gate_sentence(report: FitReport, group: SharedGate) -> str:
    """What follows from atoms that share a gate."""
    who = joined([str(a) for a in group.atoms])
    how = {
        "tolerance": "equal up to 0.1 per s.d. of x",
        "standard errors": "these data do not tell them apart",
    }[group.within]
    kind = "constant gates (β1 = 0)" if group.constant else "a gate"
    if report.result.model.gate.pinning is not None:
        kind = "a gate slope"
    return (
        f"atoms {who} share {kind}; {how}: candidates for one true atom, an over-specified cell. "
        "Do not read their standard errors if they are one."
    )


def identifiability_lines(report: FitReport) -> list[tuple[str, str]]:
    """(label, sentence): what is proved about the expert, and what it means for this fit."""
    found = report.identifiability
    if found is None:
        return []
    return proved_lines(
        found,
        report.result.model.gate,
        atoms=report.result.measure.atoms,
        groups=report.shared,
        regular=report.regular,
        seen=bool(report.shared) or not report.result.status.finished,
        clipped=any(b.option in ("beta0", "beta1") for b in report.bounds),
    )


def starts_sentence(report: FitReport) -> str:
    """How many starts reached the best cost, and how far off the others are."""
    result = report.result
    total, best = result.costs.shape[1], float(result.cost)
    reached = len(report.reached)
    text = f"{reached} of {total} reached this cost"
    others = [c for s, c in enumerate(result.costs[0]) if s not in report.reached]
    finite = [float(c) for c in others if np.isfinite(c)]
    if finite and best > 0:
        span = list(dict.fromkeys(_excess(c / best) for c in (min(finite), max(finite))))
        text += f"; the others cost {' to '.join(span)} more"
    counts: dict[str, int] = {}
    for status in result.statuses[0]:
        counts[status.value] = counts.get(status.value, 0) + 1
    text += f" ({', '.join(f'{n} {name}' for name, n in counts.items())})."
    if report.rivals:
        text += (
            f" As good within the noise (log-likelihood lower by at most {ALIKE:g}), with other "
            f"estimates: {len(report.rivals)}; more data or a smaller --k would decide."
        )
    elif reached == 1 and result.status.finished:
        text += " Try more --starts."
    return text


def _excess(ratio: float) -> str:
    return f"{100.0 * (ratio - 1.0):.2g} %" if ratio < 2.0 else f"{ratio - 1.0:.3g} times"


def listed(items: list[str]) -> str:
    """The first few of them, and how many are left out."""
    more = len(items) - SHOWN
    return "; ".join(items[:SHOWN]) + (f"; and {more} more (--json lists all)" if more > 0 else "")


# -- terminal -----------------------------------------------------------------------------------


def terminal(report: FitReport) -> RenderableType:
    """The report for a terminal of 80 columns."""
    result, model = report.result, report.result.model
    e, settings = model.expert, report.result.settings
    kind = f"{e.label}: " if e.name != "custom" else ""
    atoms, starts = result.measure.atoms, result.costs.shape[1]
    columns = ", ".join(
        name if name == given else f"{name} = {given}"
        for name, given in zip(e.inputs, report.inputs, strict=True)
    )
    cells = f", {settings.nodes} cells of nodes first" if settings.nodes else ""
    head = Text.assemble(
        (f"{kind}h(x) = {e.text}, gate {model.gate.name}, k = {atoms}", "bold"),
        f"\n{report.file}: {report.target} on {columns}; n = {result.samples}, d = {model.dim}\n",
        (
            f"{starts} {_plural(starts, 'start')}, seed {report.seed}, {settings.device}, "
            f"{settings.kernel} kernel{cells}, {report.seconds:.1f} s",
            "dim",
        ),
    )
    status = Text.assemble(
        (result.status.value, "bold green" if result.status.finished else "bold red"),
        f": {REMEDIES.get(result.status, result.status.remedy)}.",
    )
    r_squared = report.r_squared
    cost = f"{result.cost:.6g} ({result.objective.title})"
    if result.objective.quadratic:
        cost += f", RMS residual {_rms(result):.4g}"
    if r_squared is not None:
        cost += f", R² {_share(r_squared)}"
    first = grid([("status", status), ("cost", cost), ("starts", starts_sentence(report))])
    blocks: list[RenderableType] = [head, Text(), first, Text()]
    blocks += _estimates(report)
    remarks = notes(report)
    if remarks:
        blocks += [Text(), grid([(a, b) for a, b in remarks])]
    proved = identifiability_lines(report)
    if report.identifiability is not None and proved:
        title = Text("\nidentifiability", style="bold")
        if report.identifiability.domain is not None:
            title.append(f" (identkit check, x in {report.identifiability.domain})", style="dim")
        verdict = report.identifiability.verdict or Verdict.UNDECIDED
        rows = [
            (a, Text(b, style=COLOURS.get(verdict, "")) if a in ("proved", "check") else b)
            for a, b in proved
        ]
        blocks += [title, grid(rows)]
    versions = ", ".join(f"{name} {version}" for name, version in settings.libraries)
    blocks.append(Text(f"\nidentkit {settings.version}, {versions}", style="dim"))
    return Group(*blocks)


def _rms(result: FitResult) -> float:
    return float(result.root_mean_square)


def _share(value: float) -> str:
    """R² with the digits that distinguish it from 1."""
    return f"{value:.4f}" if value < 0.999 else f"1 − {1.0 - value:.2g}"


def grid(rows: list[tuple[str, Any]]) -> Table:
    """Labels beside what they label, folded."""
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True, min_width=8)
    table.add_column(overflow="fold")
    for label, content in rows:
        # a text is no markup: M[b,b] is a moment
        table.add_row(f"  {label}", Text(content) if isinstance(content, str) else content)
    return table


def _estimates(report: FitReport) -> list[RenderableType]:
    """Parameters in rows, atoms in columns, as many as fit side by side."""
    model, atoms = report.result.model, report.result.measure.atoms
    layout = model.layout
    cells = [[_cell(report, layout.index(i, v)) for v in range(layout.width)] for i in range(atoms)]
    widest = max(len(c) for column in cells for c in column)
    side = max(1, WIDTH // (widest + 3))
    blocks: list[RenderableType] = []
    for begin in range(0, atoms, side):
        part = range(begin, min(begin + side, atoms))
        table = Table.grid(padding=(0, 3))
        table.add_column(no_wrap=True)
        for _ in part:
            table.add_column(no_wrap=True, justify="left")
        table.add_row("  atom", *(str(i) for i in part), style="bold")
        for v, name in enumerate(model.names):
            table.add_row(f"  {name}", *(cells[i][v] for i in part))
        blocks += [table] if not blocks else [Text(), table]
    numbers = layout.numbers(model.parameters, atoms)
    beside = range(atoms * layout.width, len(numbers))
    if beside:
        table = Table.grid(padding=(0, 3))
        for i in beside:
            table.add_row(f"  {numbers[i][1]}", _cell(report, i))
        blocks += [Text(), table]
    return blocks


def _cell(report: FitReport, i: int) -> str:
    """An estimate with its standard error, or why there is none."""
    value = float(report.result.model.pack(report.result.measure)[i])
    if report.fixed[i]:
        return f"{value:.4g} (fixed)"
    if report.result.held[i]:
        return f"{value:.4g} (bound)"
    if report.covariance is None:
        return f"{value:.4g}"
    error = float(report.covariance.standard_errors[i])
    if not np.isfinite(error):
        return f"{value:.4g}" + (" (n.d.)" if np.isfinite(report.covariance.sigma) else "")
    return with_error(value, error)


def with_error(value: float, error: float) -> str:
    """A value with the digits that its standard error leaves meaningful.

    >>> with_error(1.23456, 0.0123), with_error(-31.9, 412.0)
    ('1.235 ± 0.012', '-32 ± 412')
    """
    if error <= 0.0 or not 1e-5 <= error < 1e5 or abs(value) >= 1e6:
        return f"{value:.4g} ± {error:.2g}"
    decimals = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
