"""The table of a choice of k of a density at 80 columns, for a terminal, and its sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.choice.choosing import CRITERIA
from identkit.density.choosing import PRESUMES, DensityCandidate, DensityChoice
from identkit.report.choice_report import OF, error_text
from identkit.report.fit_report import grid

COLUMNS = ("k", "status", "log p", "BIC", "ICL", "CV ± s.e.", "height")


def notes(choice: DensityChoice) -> list[tuple[str, str]]:
    """(label, sentence) for what each criterion names, presumes, and what was left out."""
    named = [f"{n.criterion} {n.k}" for n in choice.named if n.k is not None]
    lines = [("names", ", ".join(named) if named else "no criterion names a k.")]
    if len({n.k for n in choice.named if n.k is not None}) > 1:
        text = "the criteria disagree: they ask different questions, and these data do not settle "
        lines.append(("differ", text + "them; look at the fits, or get more data."))
    lines += [
        (n.criterion, f"names none: {n.reason.rstrip('.')}.") for n in choice.named if n.k is None
    ]
    if choice.ended:
        lines.append(("range", f"ends before k = {choice.asked[-1]}: {choice.ended}."))
    if choice.interrupted:
        lines.append(("stopped", "by Ctrl-C: what there was by then is compared."))
    if choice.lower:
        ks = ", ".join(map(str, choice.lower))
        text = f"k = {ks} has a log-likelihood below that of fewer atoms; raise --starts."
        lines.append(("starts", text))
    unusable = [str(c.k) for c in choice.candidates if not c.usable]
    loose = [str(c.k) for c in choice.candidates if c.usable and not c.settled]
    if loose and any(c.settled for c in choice.candidates):
        text = f"not determined by the data for k = {', '.join(loose)}: not named."
        lines.append(("loose", text))
    if unusable:
        text = f"not reached, or a spike, for k = {', '.join(unusable)}: left out."
        lines.append(("maximum", text))
    without = [str(c.k) for c in choice.candidates if c.cv is None]
    if choice.folds and without and not choice.interrupted:
        text = f"no errors for k = {', '.join(without)}: some fold could not be fitted."
        lines.append(("cv", text))
    last = max((c.k for c in choice.candidates if c.usable), default=0)
    highest = [n.criterion for n in choice.named if n.k == last > choice.candidates[0].k]
    if highest:
        text = f"{' and '.join(highest)}: k = {last} is the largest there is; more may be better."
        lines.append(("range", text))
    shown = [name for name in CRITERIA if choice.of(name).k is not None]
    return [*lines, *((name, PRESUMES[name]) for name in shown)]


def terminal(
    choice: DensityChoice, *, file: str, target: str, inputs: Sequence[str]
) -> RenderableType:
    """The table for a terminal of 80 columns."""
    model = choice.model
    e = model.routed.expert
    kind = f"{e.label}: " if e.name != "custom" else ""
    ks = [c.k for c in choice.candidates]
    folds = f"{choice.folds} folds" if choice.folds else "no folds"
    columns = textwrap.shorten(", ".join(inputs), 300, placeholder=" …")
    head = Text.assemble(
        (
            f"how many atoms? {kind}h(x) = {e.text}, gate {model.routed.gate.name}\n"
            f"{model.likelihood.title}",
            "bold",
        ),
        f"\n{file}: {target} on {columns}; rows {choice.rows:g}, d = {model.dim}\n",
        (f"k = {ks[0]} to {ks[-1]}, seed {choice.seed}, {folds}", "dim"),
    )
    table = Table.grid(padding=(0, 2))
    for name in COLUMNS:
        table.add_column(no_wrap=True, justify="left" if name == "status" else "right")
    table.add_row(*COLUMNS, style="bold")
    for candidate in choice.candidates:
        table.add_row(*row(choice, candidate))
    mark = Text("* named by the criterion of the column (height: by dsc)", style="dim")
    return Group(head, Text(), table, mark, Text(), grid([(a, b) for a, b in notes(choice)]))


def row(choice: DensityChoice, candidate: DensityCandidate) -> list[str]:
    """The cells of one k; what a criterion names has a star."""
    marked = {OF[n.criterion] for n in choice.named if n.k == candidate.k}
    heights = {level.k: level.height for level in choice.levels}
    height = heights.get(candidate.k)
    cells = {
        "k": str(candidate.k),
        "status": candidate.fit.status.value,
        "log p": f"{candidate.log_likelihood:.1f}",
        "BIC": f"{candidate.bic:.1f}",
        "ICL": f"{candidate.icl:.1f}",
        "CV ± s.e.": error_text(candidate.cv),
        "height": "–" if height is None else f"{height:.3g}",
    }
    return [cells[name] + ("*" if name in marked else " ") for name in COLUMNS]
