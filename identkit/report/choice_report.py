"""The table of a choice of k at 80 columns, for a terminal, and its sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.choice.choosing import CRITERIA, Candidate, Choice
from identkit.choice.comparison import Comparison
from identkit.choice.criteria import PRESUMES, CrossValidation

COLUMNS = ("k", "status", "R²", "BIC", "ICL", "CV ± s.e.", "height")
OF = {"bic": "BIC", "icl": "ICL", "cv": "CV ± s.e.", "dsc": "height"}
"""Criterion -> the column that it marks."""


def notes(choice: Choice) -> list[tuple[str, str]]:
    """(label, sentence) for what each criterion names, presumes, and what was left out."""
    lines = named_notes(choice)
    if choice.interrupted:
        left = [k for k in choice.asked if k not in {c.k for c in choice.candidates}]
        rest = f"; not fitted: {', '.join(map(str, left))}" if left and not choice.ended else ""
        lines.append(("stopped", f"by Ctrl-C: what there was by then is compared{rest}."))
    if choice.worse:
        ks = ", ".join(map(str, choice.worse))
        text = f"k = {ks} costs more than fewer atoms, so its fit is not the best there is; "
        lines.append(("starts", text + "raise --starts."))
    unfinished = [c.k for c in choice.candidates if not c.finished]
    lines += left_out(choice, unfinished, ("minimum", "not reached"))
    if choice.least_error is not None and choice.least_error != choice.of("cv").k:
        lines.append(("cv", f"the least error is that of k = {choice.least_error}."))
    lines += largest(choice, unfinished)
    if choice.levels:
        lines.append(("height", _heights(choice)))
    return [*lines, *presumed(choice, PRESUMES)]


def named_notes(choice: Comparison[Any]) -> list[tuple[str, str]]:
    """What each criterion names, whether they agree, and where the range ended."""
    found = [f"{n.criterion} {n.k}" for n in choice.named if n.k is not None]
    lines = [("names", ", ".join(found) if found else "no criterion names a k.")]
    if not choice.agreed:
        text = "the criteria disagree: they ask different questions, and these data do not settle "
        lines.append(("differ", text + "them; look at the fits, or get more data."))
    lines += [
        (n.criterion, f"names none: {n.reason.rstrip('.')}.") for n in choice.named if n.k is None
    ]
    if choice.ended:
        lines.append(("range", f"ends before k = {choice.asked[-1]}: {choice.ended}."))
    return lines


def left_out(
    choice: Comparison[Any], unfinished: Sequence[int], said: tuple[str, str]
) -> list[tuple[str, str]]:
    """The k that no criterion names: not determined, or ``said`` of the unfinished ones."""
    lines = []
    loose = [str(c.k) for c in choice.candidates if c.k not in unfinished and not c.settled]
    if loose and any(c.settled for c in choice.candidates):
        text = f"not determined by the data for k = {', '.join(loose)}: not named."
        lines.append(("loose", text))
    if unfinished:
        lines.append((said[0], f"{said[1]} for k = {', '.join(map(str, unfinished))}: left out."))
    without = [str(c.k) for c in choice.candidates if c.cv is None]
    if choice.folds and without and not choice.interrupted:
        text = f"no errors for k = {', '.join(without)}: some fold could not be fitted."
        lines.append(("cv", text))
    return lines


def largest(choice: Comparison[Any], unfinished: Sequence[int]) -> list[tuple[str, str]]:
    """That a criterion names the largest k that could be fitted, if one does."""
    last = max((c.k for c in choice.candidates if c.k not in unfinished), default=0)
    highest = [n.criterion for n in choice.named if n.k == last > choice.candidates[0].k]
    if not highest:
        return []
    text = f"{' and '.join(highest)}: k = {last} is the largest there is; more may be better."
    return [("range", text)]


def presumed(choice: Comparison[Any], presumes: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the criteria that name a k presume."""
    return [(name, presumes[name]) for name in CRITERIA if choice.of(name).k is not None]


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
    head = Text.assemble(
        (f"how many atoms? {kind}h(x) = {e.text}, gate {gate.name}", "bold"),
        f"\n{file}: {target} on {columns_text(inputs)}; n = {choice.samples}, "
        f"d = {choice.model.dim}\n",
        (range_text(choice), "dim"),
    )
    cells = [row(choice, candidate) for candidate in choice.candidates]
    return laid_out(head, COLUMNS, cells, notes(choice))


def columns_text(inputs: Sequence[str]) -> str:
    """The names of the inputs, not without end."""
    return textwrap.shorten(", ".join(inputs), 300, placeholder=" …")


def range_text(choice: Comparison[Any]) -> str:
    """The k that were fitted, seed and folds."""
    ks = [c.k for c in choice.candidates]
    folds = f"{choice.folds} folds" if choice.folds else "no folds"
    return f"k = {ks[0]} to {ks[-1]}, seed {choice.seed}, {folds}"


def laid_out(
    head: Text, columns: Sequence[str], cells: Sequence[list[str]], said: list[tuple[str, str]]
) -> RenderableType:
    """Head, a line for each k, and the notes."""
    table = Table.grid(padding=(0, 2))
    for name in columns:
        table.add_column(no_wrap=True, justify="left" if name == "status" else "right")
    table.add_row(*columns, style="bold")
    for row in cells:
        table.add_row(*row)
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="dim", no_wrap=True, min_width=8)
    rows.add_column(overflow="fold")
    for label, text in said:
        rows.add_row(f"  {label}", text)
    mark = Text("* named by the criterion of the column (height: by dsc)", style="dim")
    return Group(head, Text(), table, mark, Text(), rows)


def row(choice: Choice, candidate: Candidate) -> list[str]:
    """The cells of one k; what a criterion names has a star."""
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
    return marked_cells(choice, candidate.k, COLUMNS, cells)


def marked_cells(
    choice: Comparison[Any], k: int, columns: Sequence[str], cells: Mapping[str, str]
) -> list[str]:
    """With a star in the columns of the criteria that name k."""
    marked = {OF[n.criterion] for n in choice.named if n.k == k}
    return [cells[name] + ("*" if name in marked else " ") for name in columns]


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if value < 0.999 else f"1 − {1.0 - value:.2g}"


def error_text(cv: CrossValidation | None) -> str:
    """The mean over folds with its standard error."""
    return "–" if cv is None else f"{cv.mean:.4g} ± {cv.standard_error:.1g}"
