"""The published table beside the certified one: terminal, JSON, Markdown, LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from identkit.degeneracy.document import document
from identkit.likelihoods import asked_under
from identkit.rate import NONE, PREMISE_FAILS
from identkit.report.json_results import published_document
from identkit.report.json_text import dumps
from identkit.report.markup import escape
from identkit.report.terminal import AGREEMENT_COLOURS, COLOURS
from identkit.results import CheckResult, ConditionResult
from identkit.table import Table
from identkit.vocabulary import Agreement, Quantifier

LEGEND = (
    "Each cell: certified / published verdict with the published rate; then the derived rate "
    "(none: an exact family rules out every consistent estimator; undecided: none is proved, as in "
    "Regime 2 where it is open whether the theorem's premise holds). "
    "! marks a contradiction (or a theorem whose premise fails), ° a proof on an open set of "
    "parameters. strong is read at expert level, weak at product level. Each certified verdict "
    "is a proof, printed by `identkit check --expert NAME [--shape SHAPE] --gate GATE` under the "
    "same --likelihood."
)


SHORT = {NONE: "none", PREMISE_FAILS: "premise fails"}
"""Derived rates as they fit a cell."""


def _heading(gate: str, result: ConditionResult) -> str:
    regime = f" regime {result.regime}" if result.regime is not None else ""
    return f"{gate}{regime}: {result.condition}"


def _cell(result: ConditionResult) -> str:
    p = result.published
    said = f"{p.verdict} {p.rate}" if p is not None else "–"
    mark = " !" if result.agreement == Agreement.CONTRADICTED else ""
    reach = "°" if result.quantifier == Quantifier.OPEN_SET else ""
    derived = (
        "" if result.rate is None else f"; {SHORT.get(result.rate.derived, result.rate.derived)}"
    )
    if result.rate is not None and result.rate.agreement in (
        Agreement.CONTRADICTED,
        Agreement.PREMISE_FAILS,
    ):
        derived += " !"
    return f"{result.verdict}{reach} / {said}{mark}{derived}"


def _grid(table: Table) -> tuple[list[str], list[list[str]]]:
    header = ["expert", *(_heading(g, r) for g, r in table.rows[0].cells)]
    return header, [[row.expert, *(_cell(r) for _, r in row.cells)] for row in table.rows]


def terminal(table: Table) -> RenderableType:
    """For a terminal of 80 columns."""
    header, _ = _grid(table)
    grid = RichTable(title=f"certified / published, d = {table.dim}", show_lines=False)
    for i, name in enumerate(header):
        grid.add_column(name, no_wrap=i == 0)
    for row in table.rows:
        cells = []
        for _, r in row.cells:
            text = Text(_cell(r))
            text.stylize(COLOURS[r.verdict], 0, len(r.verdict))
            if r.agreement == Agreement.CONTRADICTED:
                text.stylize(AGREEMENT_COLOURS[r.agreement], len(r.verdict))
            cells.append(text)
        grid.add_row(row.expert, *cells)
    foot = f"{LEGEND} identkit {table.version}, seed {table.seed}."
    return Group(grid, Text(foot, style="dim"))


def json_document(table: Table) -> dict[str, Any]:
    """The machine-readable table, schema ``identkit.table/1``."""
    return {
        "schema": "identkit.table/1",
        "identkit": table.version,
        "dim": table.dim,
        "seed": table.seed,
        "rows": [row_document(c, r) for row in table.rows for c in row.checks for r in c.results],
    }


def row_document(check: CheckResult, r: ConditionResult) -> dict[str, Any]:
    """One result of a check as a row."""
    return {
        "expert": check.expert.label,
        **asked_under(check.gate, check.likelihood),
        "regime": r.regime,
        "condition": r.condition,
        "level": r.level,
        "verdict": r.verdict,
        "quantifier": r.quantifier,
        "atoms_scope": r.atoms_scope,
        "relations": [x.text for x in r.relations],
        "published": published_document(r.published),
        "agreement": r.agreement,
        "nondegenerate": r.nondegenerate,
        "rate": document(r.rate),
    }


def json_text(table: Table) -> str:
    """The same as text."""
    return dumps(json_document(table))


def markdown(table: Table) -> str:
    """For a README."""
    header, rows = _grid(table)
    return f"{piped(header, rows)}\n\n{LEGEND}"


def latex(table: Table) -> str:
    """A tabular environment."""
    header, rows = _grid(table)
    about = f"% identkit {table.version}, d = {table.dim}, seed {table.seed}"
    return f"{about}\n{tabular(header, rows)}"


def piped(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells of Markdown as a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def tabular(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells of text as a LaTeX tabular environment."""
    head, *body = (" & ".join(map(escape, cells)) for cells in (header, *rows))
    inner = "\n".join(rf"  {line} \\" for line in body)
    return (
        f"\\begin{{tabular}}{{{'l' * len(header)}}}\n  \\hline\n  {head} \\\\\n  \\hline\n"
        f"{inner}\n  \\hline\n\\end{{tabular}}"
    )
