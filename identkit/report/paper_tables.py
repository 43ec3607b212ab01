"""What one paper states of experts beside what is certified: terminal, JSON, Markdown, LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from identkit.claims.listing import Entry
from identkit.likelihoods import asked_under
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.report import statements
from identkit.report.claims_report import COLOURS as STATUS_COLOURS
from identkit.report.claims_report import escaped
from identkit.report.json_text import dumps
from identkit.report.markup import escape, relation_latex
from identkit.report.notation import text_latex
from identkit.report.tables import piped, row_document, tabular
from identkit.report.terminal import AGREEMENT_COLOURS
from identkit.report.terminal import COLOURS as VERDICT_COLOURS
from identkit.stated import Derived, Stated
from identkit.table import PaperRow, PaperTable
from identkit.vocabulary import Agreement, Quantifier, Verdict

SCHEMA = "identkit.paper-table/1"
REACH = {
    Quantifier.EVERY: "all parameters",
    Quantifier.ALMOST_EVERY: "almost all parameters",
    Quantifier.OPEN_SET: "an open set of parameters",
}
"""For which parameters of the atoms a verdict is proved, as it fits a cell."""
COLUMNS = ("expert", "published", "certified", "derived rate")
NOTHING = "None of this paper's claims is of an expert that identkit can compare."
OTHERS = "other statements, with the status of their checks"
NOT_COMPARED = "stated there, not checked by identkit"
LEGEND = (
    "Published: the classification and the rate of an over-specified expert, as stated. Certified: "
    "for how many atoms k and for which parameters the verdict is proved. No consistent estimator: "
    "other parameters near the truth give exactly the same model. Hypotheses of a derived rate are "
    "in the report of the check, which writes the certificate of a row as well: "
    "`identkit check --expert NAME [--shape SHAPE] --gate GATE [--likelihood NAME] --condition "
    "NAME --save FILE`."
)


def model(row: PaperRow) -> str:
    """The gate and the likelihood of a claim."""
    return f"{row.check.gate}{statements.under(row.check)}"


def published(row: PaperRow) -> str:
    """The classification and the rate, as stated."""
    cells = "" if row.cells is None else f" for {row.cells}"
    return f"{row.published.verdict}, {row.published.rate}{cells}"


def certified(row: PaperRow) -> tuple[str, str]:
    """The verdict with its reach, and how it agrees with the claim."""
    result = row.result
    if result.quantifier is None:
        return result.verdict, ""
    reach = f"{statements.numbers(result)}, {REACH[result.quantifier]}"
    return f"{result.verdict}, {reach}", result.agreement


def derived(row: PaperRow) -> tuple[str, str]:
    """The derived rate, and how it agrees with the claim."""
    rate = row.result.rate
    if rate is None:
        return "not derived", ""
    # that it is undecided, or that a premise fails, is all there is to say
    silent = rate.agreement in (Agreement.UNDECIDED, Agreement.PREMISE_FAILS)
    return statements.derived_rate(rate), "" if silent else statements.rate_agreement(rate)


def reasons(row: PaperRow) -> Iterator[tuple[str, str]]:
    """What stands against the claim: against the condition, against the rate."""
    result, rate, second = row.result, row.result.rate, row.result.second_order
    if result.agreement == Agreement.CONTRADICTED:
        yield "condition", _relation(row) or statements.claim(result.deciding)
    if rate is None:
        return
    letter = resolve_likelihood(row.check.likelihood).letter
    if rate.agreement == Agreement.PREMISE_FAILS and result.premise is not None:
        yield "premise", result.premise.refits[0].description
    elif rate.agreement == Agreement.CONTRADICTED and second is not None and second.families:
        known = [f"{i.quantity} {i.rate}" for i in second.identifiable if i.rate.polynomial]
        locally = f"; locally {', '.join(known)}" if known else ""
        yield "rate", f"{statements.family(second.families[0], letter)}{locally}"
    elif rate.agreement == Agreement.CONTRADICTED:
        yield "rate", rate.reasons[0]


def _relation(row: PaperRow) -> str:
    """The relation by which the condition fails, where it fails by one."""
    failed = row.result.verdict == Verdict.NO and row.result.relations
    return row.result.relations[0].text if failed else ""


def sources(rows: Iterable[PaperRow]) -> list[str]:
    """Where the claims stand, each place once, with its experts where there are several places."""
    places: dict[str, list[str]] = {}
    for row in rows:
        places.setdefault(row.source, []).append(row.check.expert.label)
    if len(places) == 1:
        return [f"stated: {place}" for place in places]
    return [
        f"stated of {', '.join(dict.fromkeys(names))}: {place}" for place, names in places.items()
    ]


def beside(said: Stated) -> list[str]:
    """What is derived beside a statement, each as a sentence without its full stop."""
    (likelihood,) = {d.likelihood for d in said.derived}
    under = f"under {resolve_likelihood(likelihood).title}"
    if said.form == "pairs":
        return [f"derived {under}: {_rate(fast)}; {_rate(slow)}" for fast, slow in said.pairs]
    left = ", ".join(f"{d.expert} {d.rate}" for d in said.derived)
    if said.form == "every":
        return [f"derived {under}: {left}"]
    if not said.gauge:
        return []
    return [
        f"the interaction is an exact gauge, by which no estimator of what it moves is consistent: "
        f"{said.gauge}",
        f"what is left once it is fixed, {under}: {left}",
    ]


def _rate(derived: Derived) -> str:
    return f"{derived.expert} under {derived.gate} {derived.rate}"


def _beside(table: PaperTable, entry: Entry) -> list[str]:
    return [line for said in table.stated if said.claim == entry.claim.id for line in beside(said)]


def _question(row: PaperRow) -> tuple[str, str]:
    """What claims that are listed together have in common."""
    return model(row), statements.title(row.result)


def _foot(table: PaperTable) -> str:
    return f"{LEGEND} identkit {table.version}, seed {table.seed}."


def _dimension(table: PaperTable) -> str:
    return f"{table.paper}, d = {table.dim}"


def terminal(table: PaperTable) -> RenderableType:
    """For a terminal of 80 columns."""
    blocks: list[RenderableType] = [Text(_dimension(table), style="bold"), Text(table.about)]
    if table.read:
        blocks.append(Text(f"read of it: {table.read}", style="dim"))
    for (where, asked), group in groupby(table.rows, _question):
        blocks += _group(f"{where}: {asked}", list(group))
    if not table.rows:
        blocks.append(Text(f"\n{NOTHING}"))
    for heading, entries in ((OTHERS, table.observed), (NOT_COMPARED, table.unchecked)):
        if entries:
            blocks.append(Text(f"\n{heading}", style="bold"))
            blocks += [line for entry in entries for line in _entry(entry, _beside(table, entry))]
    if table.rows:
        blocks.append(Text(f"\n{_foot(table)}", style="dim"))
    return Group(*blocks)


def _group(heading: str, rows: Sequence[PaperRow]) -> Iterator[RenderableType]:
    yield Text(f"\n{heading}", style="bold")
    grid = RichTable(show_lines=len(rows) < 3, expand=False)
    for name, width in zip(COLUMNS, (13, 14, 22, 18), strict=True):
        grid.add_column(name, width=width)
    for row in rows:
        verdict, agreed = certified(row)
        first = Text(verdict)
        first.stylize(VERDICT_COLOURS[row.result.verdict], 0, len(row.result.verdict))
        grid.add_row(
            row.check.expert.label,
            published(row),
            _with(first, agreed),
            _with(Text(derived(row)[0]), derived(row)[1]),
        )
    yield grid
    for row in rows:
        for what, reason in reasons(row):
            yield _indented(Text(f"{row.check.expert.label}, {what}: {reason}"))
    for source in sources(rows):
        yield _indented(Text(source, style="dim"))


def _with(text: Text, agreed: str) -> Text:
    """The agreement on a line of its own."""
    if agreed:
        style = next((c for a, c in AGREEMENT_COLOURS.items() if a == agreed), "")
        text.append("\n").append(agreed, style=style)
    return text


def _entry(entry: Entry, derived: Sequence[str]) -> Iterator[RenderableType]:
    if entry.unchecked is None:
        style = STATUS_COLOURS[entry.claim.status]
        yield _indented(Text.assemble((entry.status, style), f"  {entry.claim.statement}"))
        yield _indented(Text(entry.claim.source, style="dim"), 4)
        yield from (_indented(Text(line), 4) for line in derived)
        return
    yield _indented(Text(entry.claim.statement))
    yield _indented(Text(entry.claim.source, style="dim"), 4)
    yield _indented(Text(f"why: {entry.unchecked}"), 4)


def _indented(text: Text, by: int = 2) -> RenderableType:
    return Padding(text, (0, 0, 0, by))


def json_document(table: PaperTable) -> dict[str, Any]:
    """The machine-readable table, schema ``identkit.paper-table/1``."""
    return {
        "schema": SCHEMA,
        "identkit": table.version,
        "dim": table.dim,
        "seed": table.seed,
        "paper": table.paper,
        "about": table.about,
        **({"read": table.read} if table.read else {}),
        "rows": [
            {"claim": row.claim, "cells": row.cells, **row_document(row.check, row.result)}
            for row in table.rows
        ],
        "observed": [
            {
                "claim": e.claim.id,
                "statement": e.claim.statement,
                "source": e.claim.source,
                "status": e.status,
                **_derived_document(table, e),
            }
            for e in table.observed
        ],
        "unchecked": [
            {
                "claim": e.claim.id,
                "statement": e.claim.statement,
                "source": e.claim.source,
                "why": e.unchecked,
            }
            for e in table.unchecked
        ],
    }


def _derived_document(table: PaperTable, entry: Entry) -> dict[str, Any]:
    for said in table.stated:
        if said.claim == entry.claim.id:
            rates = [
                {"expert": d.expert, **asked_under(d.gate, d.likelihood), "rate": str(d.rate)}
                for d in said.derived
            ]
            gauge = {"gauge": said.gauge} if said.gauge else {}
            return {"agreement": said.agreement, **gauge, "derived": rates}
    return {}


def json_text(table: PaperTable) -> str:
    """The same as text."""
    return dumps(json_document(table))


def _flat(row: PaperRow) -> list[str]:
    """A row of a table that stands alone: what is asked is in it."""
    answers = (": ".join(filter(None, pair)) for pair in (certified(row), derived(row)))
    where, asked = _question(row)
    return [row.check.expert.label, where, asked, published(row), *answers]


HEADER = ("expert", "gate", "condition", *COLUMNS[1:])


def _whose(row: PaperRow, what: str) -> str:
    return f"{', '.join((row.check.expert.label, *_question(row)))}: {what}"


def markdown(table: PaperTable) -> str:
    """For a README."""
    parts = [f"**{_dimension(table)}.** {escaped(statements.sentence(table.about))}"]
    if table.read:
        parts.append(escaped(statements.sentence(f"read of it: {table.read}")))
    if table.rows:
        parts.append(piped(HEADER, [[escaped(cell) for cell in _flat(r)] for r in table.rows]))
    else:
        parts.append(NOTHING)
    against = [
        f"- {escaped(_whose(row, what))}: `{reason}`"
        for row in table.rows
        for what, reason in reasons(row)
    ]
    if against:
        parts.append("Against the claims:\n\n" + "\n".join(against))
    for heading, entries in ((OTHERS, table.observed), (NOT_COMPARED, table.unchecked)):
        if entries:
            items = "\n".join(f"- {escaped(_item(e, _beside(table, e)))}" for e in entries)
            parts.append(f"{statements.sentence(heading)[:-1]}:\n\n{items}")
    return "\n\n".join([*parts, *([_foot(table)] if table.rows else [])])


def _item(entry: Entry, derived: Sequence[str]) -> str:
    what = f"{entry.claim.statement} ({entry.claim.source})"
    if entry.unchecked is None:
        return "; ".join([f"{what}: {entry.status}", *derived])
    return f"{what}. Not checked: {entry.unchecked}."


def _reason_latex(row: PaperRow, reason: str) -> str:
    if reason == _relation(row):
        return f"${relation_latex(row.result.relations[0])}$"
    return text_latex(reason)


def latex(table: PaperTable) -> str:
    """A tabular environment, and lists of what stands against the claims or is not checked."""
    parts = [f"% identkit {table.version}, {_dimension(table)}, seed {table.seed}; needs amsmath"]
    if table.rows:
        parts.append(tabular(HEADER, [_flat(row) for row in table.rows]))
    else:
        parts.append(NOTHING)
    against = [
        f"{escape(_whose(row, what))}: {_reason_latex(row, reason)}"
        for row in table.rows
        for what, reason in reasons(row)
    ]
    lists = [("Against the claims", against)]
    for heading, entries in ((OTHERS, table.observed), (NOT_COMPARED, table.unchecked)):
        items = [text_latex(_item(e, _beside(table, e))) for e in entries]
        lists.append((statements.sentence(heading)[:-1], items))
    for heading, items in lists:
        if items:
            inner = "\n".join(rf"  \item {item}" for item in items)
            parts.append(f"{heading}:\n\\begin{{itemize}}\n{inner}\n\\end{{itemize}}")
    return "\n".join(parts)
