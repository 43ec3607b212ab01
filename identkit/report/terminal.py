"""Terminal output with rich: readable at 80 columns, without colour when piped."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from identkit.conditions import condition
from identkit.errors import shown
from identkit.likelihoods import resolve
from identkit.report import gauges, statements
from identkit.results import CheckResult, ConditionResult
from identkit.vocabulary import Agreement, ProofKind, Verdict

if TYPE_CHECKING:
    from identkit.alternatives import Alternative

COLOURS = {Verdict.YES: "bold green", Verdict.NO: "bold red", Verdict.UNDECIDED: "bold yellow"}
AGREEMENT_COLOURS = {Agreement.CONFIRMED: "green", Agreement.CONTRADICTED: "bold red"}
SHOWN_RELATIONS = 4
"""Relations printed before "and n more"; all are in the JSON."""


class Escaping(Console):
    """A console that writes control characters of the texts it is given as ``\\x1b``."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else shown(text, keep="\n"), style, control)


def check_report(
    result: CheckResult, instead: Sequence[Alternative] | None = None
) -> RenderableType:
    """The report of a check, with the alternatives if they were sought."""
    e = result.expert
    kind = f"{e.label}: " if e.name != "custom" else ""
    head = Text.assemble(
        (f"{kind}h(x) = {e.written}", "bold"),
        f"\n{result.seen.meaning}" if result.seen.meaning else "",
        f"\nη = ({', '.join(e.parameters)}), gate {result.gate}{statements.under(result)}",
        f", d = {e.dim}",
        f", {len(e.markers)} components\n" if e.markers else "\n",
        (statements.witness_scope(result), "dim"),
    )
    blocks: list[RenderableType] = [head]
    blocks += [_result_block(result, r) for r in result.results]
    if statements.own_gate(result):
        blocks.append(Text(f"\nthis gate: {statements.own_gate(result)}"))
    exceptional = statements.exceptional(result)
    if exceptional:
        blocks.append(Text("\nexceptional parameters (measure zero)", style="bold"))
        blocks += [Text(f"  {line}") for line in exceptional]
    found = gauges.lines(result)
    if found:
        letter = resolve(result.likelihood).letter
        blocks.append(Text(f"\ngauges (other parameters, the same {letter})", style="bold"))
        blocks += [Text(f"  {line}") for line in found]
    if result.requirement is not None:
        blocks.append(Text(f"\nrequired: {statements.requirement(result)}"))
    if result.shared is not None:
        blocks.append(Text("\nshared experts", style="bold"))
        blocks.append(check_report(result.shared))
    if instead is not None:
        blocks += _instead(instead)
    blocks.append(Text(f"\nidentkit {result.version}, {result.seconds:.2f} s", style="dim"))
    return Group(*blocks)


def _instead(found: Sequence[Alternative]) -> list[RenderableType]:
    """Nearby models that are not degenerate: what changes, the rates, the command."""
    blocks: list[RenderableType] = [Text("\nalternatives, each checked", style="bold")]
    for each in found:
        rates = dict.fromkeys(str(r.rate.derived) for r in each.check.results if r.rate is not None)
        blocks.append(Text(f"  {each.change}: {', '.join(rates)}"))
        blocks.append(Text(f"    identkit check {each.options}", style="dim"))
    return blocks if found else [*blocks, Text("  none was found")]


def _result_block(check: CheckResult, result: ConditionResult) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    formula = condition(result.condition, result.level).formula
    table.add_row("  functions", statements.about(check, formula))
    for proof in result.counted:
        if len(result.proofs) > 1:
            table.add_row("  set", proof.title)
        done = proof.kind != ProofKind.NONE
        table.add_row("  proved" if done else "  tried", statements.claim(proof))
        if done:
            table.add_row("  method", statements.method(proof))
        for i, relation in enumerate(proof.relations[:SHOWN_RELATIONS]):
            table.add_row("  relation" if i == 0 else "", relation.text)
        more = len(proof.relations) - SHOWN_RELATIONS
        if more > 0:
            table.add_row("", f"and {more} more (--json lists all)")
        if statements.merges(proof):
            table.add_row("  per atom", statements.merges(proof))
        for note in proof.notes if done else ():
            table.add_row("  note", note)
    if result.coordinates:
        table.add_row("  coords", ", ".join(result.coordinates))
    if statements.rank(result):
        table.add_row("  rank", statements.rank(result))
    table.add_row("  published", statements.published(result))
    if result.published is not None:
        style = AGREEMENT_COLOURS.get(result.agreement, "")
        table.add_row("  agreement", Text(statements.agreement(result), style=style))
    for label, text in statements.follows(check, result):
        answer = result.nondegenerate
        style = COLOURS[answer] if answer is not None and label == "second" else ""
        table.add_row(f"  {label}", Text(text, style=style))
    head = Text.assemble(
        "\n", (statements.title(result), "bold"), ": ", (result.verdict, COLOURS[result.verdict])
    )
    return Group(head, table)


def render(result: CheckResult) -> str:
    """The report as plain text."""
    return plain(check_report(result))


def plain(renderable: RenderableType, width: int = 80) -> str:
    """Plain text of 80 columns, without trailing blanks."""
    console = Escaping(
        file=io.StringIO(),
        width=width,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,  # in a notebook rich would display the text instead of returning it
    )
    console.print(renderable, highlight=False)
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
