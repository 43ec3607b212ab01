"""The table of a choice of k at 80 columns, for a terminal, and its sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.choice.choosing import CRITERIA, Candidate, Choice
from identkit.choice.criteria import PRESUMES, CrossValidation

COLUMNS = ("k", "status", "R²", "BIC", "ICL", "CV ± s.e.", "height")
OF = {"bic": "BIC", "icl": "ICL", "cv": "CV ± s.e.", "dsc": "height"}
"""Criterion -> the column that it marks."""


def notes(choice: Choice) -> list[tuple[str, str]]:
    """(label, sentence) for what each criterion names, presumes, and what was left out."""
    lines = [("names", _named(choice))]
    if not choice.agreed:
        text = "the criteria disagree: they ask different questions, and these data do not settle "
        lines.append(("differ", text + "them; look at the fits, or get more data."))
    lines += [
        (n.criterion, f"names none: {n.reason.rstrip('.')}.") for n in choice.named if n.k is None
    ]
    if choice.ended:
        lines.append(("range", f"ends before {_range(choice)}: {choice.ended}."))
    if choice.interrupted:
        left = [k for k in choice.asked if k not in {c.k for c in choice.candidates}]
        rest = f"; not fitted: {', '.join(map(str, left))}" if left and not choice.ended else ""
        lines.append(("stopped", f"by Ctrl-C: what there was by then is compared{rest}."))
    if choice.worse:
        ks = ", ".join(map(str, choice.worse))
        text = f"k = {ks} costs more than fewer atoms, so its fit is not the best there is; "
        lines.append(("starts", text + "raise --starts."))
    unfinished = [str(c.k) for c in choice.candidates if not c.finished]
    loose = [str(c.k) for c in choice.candidates if c.finished and not c.settled]
    if loose and any(c.settled for c in choice.candidates):
        text = f"not determined by the data for k = {', '.join(loose)}: not named."
        lines.append(("loose", text))
    if unfinished:
        lines.append(("minimum", f"not reached for k = {', '.join(unfinished)}: left out."))
    without = [str(c.k) for c in choice.candidates if c.cv is None]
    if choice.folds and without and not choice.interrupted:
        text = f"no errors for k = {', '.join(without)}: some fold could not be fitted."
        lines.append(("cv", text))
    if choice.least_error is not None and choice.least_error != choice.of("cv").k:
        lines.append(("cv", f"the least error is that of k = {choice.least_error}."))
    last = max((c.k for c in choice.candidates if c.finished), default=0)
    highest = [n.criterion for n in choice.named if n.k == last > choice.candidates[0].k]
    if highest:
        text = f"{' and '.join(highest)}: k = {last} is the largest there is; more may be better."
        lines.append(("range", text))
    if choice.levels:
        lines.append(("height", _heights(choice)))
    shown = [name for name in CRITERIA if choice.of(name).k is not None]
    return [*lines, *((name, PRESUMES[name]) for name in shown)]


def _named(choice: Choice) -> str:
    found = [f"{n.criterion} {n.k}" for n in choice.named if n.k is not None]
    return ", ".join(found) if found else "no criterion names a k."


def _range(choice: Choice) -> str:
    return f"k = {choice.asked[-1]}"


def _heights(choice: Choice) -> str:
    """Of what fit the dendrogram is, and what its assumption is."""
    gate, candidate = choice.model.gate, choice[choice.merged_from or 0]
    status = candidate.result.status.value
    presumed = "" if gate.merging is None else f" Presumed: {gate.merging.provided}."
    published = choice.published
    other = (
        "" if published is None else f" DSC as published, without these fits, names {published}."
    )
    return (
        f"the merge of the closest two of that many atoms, in the dendrogram of the fit with k = "
        f"{candidate.k} ({status}), parameters per s.d. of the inputs. Above the true k it falls "
        f"towards 0 as n grows.{presumed}{other}"
    )


def terminal(choice: Choice, *, file: str, target: str, inputs: Sequence[str]) -> RenderableType:
    """The table for a terminal of 80 columns."""
    e, gate = choice.model.expert, choice.model.gate
    kind = f"{e.label}: " if e.name != "custom" else ""
    ks = [c.k for c in choice.candidates]
    folds = f"{choice.folds} folds" if choice.folds else "no folds"
    columns = textwrap.shorten(", ".join(inputs), 300, placeholder=" …")
    head = Text.assemble(
        (f"how many atoms? {kind}h(x) = {e.text}, gate {gate.name}", "bold"),
        f"\n{file}: {target} on {columns}; n = {choice.samples}, d = {choice.model.dim}\n",
        (f"k = {ks[0]} to {ks[-1]}, seed {choice.seed}, {folds}", "dim"),
    )
    table = Table.grid(padding=(0, 2))
    for name in COLUMNS:
        table.add_column(no_wrap=True, justify="left" if name == "status" else "right")
    table.add_row(*COLUMNS, style="bold")
    for candidate in choice.candidates:
        table.add_row(*row(choice, candidate))
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="dim", no_wrap=True, min_width=8)
    rows.add_column(overflow="fold")
    for label, text in notes(choice):
        rows.add_row(f"  {label}", text)
    mark = Text("* named by the criterion of the column (height: by dsc)", style="dim")
    return Group(head, Text(), table, mark, Text(), rows)


def row(choice: Choice, candidate: Candidate) -> list[str]:
    """The cells of one k; what a criterion names has a star."""
    marked = {OF[n.criterion] for n in choice.named if n.k == candidate.k}
    height = choice.heights.get(candidate.k)
    cells = {
        "k": str(candidate.k),
        "status": candidate.result.status.value,
        "R²": _share(candidate.r_squared),
        "BIC": f"{candidate.bic:.1f}",
        "ICL": "–" if candidate.icl is None else f"{candidate.icl:.1f}",
        "CV ± s.e.": error_text(candidate.cv),
        "height": "–" if height is None else f"{height:.3g}",
    }
    return [cells[name] + ("*" if name in marked else " ") for name in COLUMNS]


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if value < 0.999 else f"1 − {1.0 - value:.2g}"


def error_text(cv: CrossValidation | None) -> str:
    """The mean over folds with its standard error."""
    return "–" if cv is None else f"{cv.mean:.4g} ± {cv.standard_error:.1g}"
