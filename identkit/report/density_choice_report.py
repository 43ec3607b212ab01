"""The table of a choice of k of a density at 80 columns, for a terminal, and its sentences."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from identkit.density.choosing import PRESUMES, DensityCandidate, DensityChoice
from identkit.report.choice_report import (
    columns_text,
    error_text,
    laid_out,
    largest,
    left_out,
    marked_cells,
    named_notes,
    presumed,
    range_text,
)

COLUMNS = ("k", "status", "log p", "BIC", "ICL", "CV ± s.e.", "height")


def notes(choice: DensityChoice) -> list[tuple[str, str]]:
    """(label, sentence) for what each criterion names, presumes, and what was left out."""
    lines = named_notes(choice)
    if choice.interrupted:
        lines.append(("stopped", "by Ctrl-C: what there was by then is compared."))
    if choice.lower:
        ks = ", ".join(map(str, choice.lower))
        text = f"k = {ks} has a log-likelihood below that of fewer atoms; raise --starts."
        lines.append(("starts", text))
    unusable = [c.k for c in choice.candidates if not c.usable]
    lines += left_out(choice, unusable, ("maximum", "not reached, or a spike,"))
    lines += largest(choice, unusable)
    return [*lines, *presumed(choice, PRESUMES)]


def terminal(
    choice: DensityChoice, *, file: str, target: str, inputs: Sequence[str]
) -> RenderableType:
    """The table for a terminal of 80 columns."""
    model = choice.model
    e = model.routed.expert
    kind = f"{e.label}: " if e.name != "custom" else ""
    head = Text.assemble(
        (
            f"how many atoms? {kind}h(x) = {e.text}, gate {model.routed.gate.name}\n"
            f"{model.likelihood.title}",
            "bold",
        ),
        f"\n{file}: {target} on {columns_text(inputs)}; rows {choice.rows:g}, d = {model.dim}\n",
        (range_text(choice), "dim"),
    )
    cells = [row(choice, candidate) for candidate in choice.candidates]
    return laid_out(head, COLUMNS, cells, notes(choice))


def row(choice: DensityChoice, candidate: DensityCandidate) -> list[str]:
    """The cells of one k; what a criterion names has a star."""
    height = choice.heights.get(candidate.k)
    cells = {
        "k": str(candidate.k),
        "status": candidate.fit.status.value,
        "log p": f"{candidate.log_likelihood:.1f}",
        "BIC": f"{candidate.bic:.1f}",
        "ICL": f"{candidate.icl:.1f}",
        "CV ± s.e.": error_text(candidate.cv),
        "height": "–" if height is None else f"{height:.3g}",
    }
    return marked_cells(choice, candidate.k, COLUMNS, cells)
