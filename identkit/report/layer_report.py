"""What is found of a layer, or of two, on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.layers.findings import Findings
from identkit.layers.record import Architecture
from identkit.report.layer_words import (
    absent_rows,
    change_rows,
    decided_rows,
    decided_title,
    dimensions,
    expert_text,
    gauge_rows,
    gauge_title,
    letters,
    read_rows,
    router_text,
    shared_text,
    size_text,
    small_expert,
    title,
)


def layer_report(found: Findings) -> RenderableType:
    """The report of ``identkit layer``."""
    blocks: list[RenderableType] = [_head(found.architecture), Text(), _grid(read_rows(found))]
    size = dimensions(found.dimension)
    blocks.append(_title(f"gauges (other numbers, the same layer): {size}"))
    for gauge in found.gauges:
        blocks += [Text(f"  {gauge_title(gauge)}"), _grid(gauge_rows(gauge))]
    if found.absent:
        blocks.append(_title("no gauge"))
        blocks += [_grid([row]) for row in absent_rows(found)]
    blocks.append(_title(f"verdicts for an expert of {small_expert(found)}"))
    blocks.append(Text(f"  {letters(found)}", style="dim"))
    for each in found.decided:
        blocks.append(Text(f"  {decided_title(each)}: {each.rate}"))
        blocks.append(_grid(decided_rows(each)))
    blocks.append(_title("changes, each checked with that expert"))
    for change in found.changes:
        blocks.append(Text(f"  {change.change}"))
        blocks.append(_grid([*change_rows(change), ("", change.command)]))
    seconds = f"{found.seconds:.2f} s"
    blocks.append(Text(f"\nidentkit {found.version}, seed {found.seed}, {seconds}", style="dim"))
    return Group(*blocks)


def _head(architecture: Architecture) -> Text:
    return Text.assemble((title(architecture), "bold"), f"\n{size_text(architecture)}")


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _grid(rows: Iterable[tuple[str, str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in rows:
        grid.add_row(Text(f"    {name}"), Text(text))
    return grid


# -- two layers -----------------------------------------------------------------------------------


def compared(one: Findings, other: Findings) -> list[tuple[str, str, str]]:
    """(what, of the first, of the second), a row each."""
    pairs = [_facts(one), _facts(other)]
    return [
        (key, pairs[0].get(key, "–"), pairs[1].get(key, "–")) for key in {**pairs[0], **pairs[1]}
    ]


def _facts(found: Findings) -> dict[str, str]:
    made = found.architecture
    facts = {
        "d": str(made.hidden),
        "router": router_text(made.router),
        "expert": expert_text(made.expert),
        "shared": shared_text(made),
        "output bias": "yes" if made.output_bias else "no",
        "gate": found.gate or "none registered",
    }
    facts |= {n.name: "none" if n.excluded else "not found" for n in found.absent}
    facts |= {g.name: g.action for g in found.gauges if not g.where}
    facts |= {f"{g.name} where {g.where}": g.action for g in found.gauges if g.where}
    facts["dimensions of gauges"] = str(found.dimension)
    for each in found.decided:
        facts[decided_title(each)] = each.rate
    return facts


def comparison(one: Findings, other: Findings) -> RenderableType:
    """Two layers side by side, the same once."""
    names = (one.architecture.source, other.architecture.source)
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("", style="dim", ratio=2, overflow="fold")
    for name in names:
        table.add_column(Text(name), ratio=3, overflow="fold")
    same = []
    for what, first, second in compared(one, other):
        if first == second:
            same.append((what, first))
        else:
            table.add_row(*map(Text, (what, first, second)))
    blocks: list[RenderableType] = [Text(f"{names[0]} beside {names[1]}", style="bold"), Text()]
    blocks.append(table)
    if same:
        blocks += [_title("the same"), _grid(same)]
    tail = f"\nidentkit {one.version}, seed {one.seed}, {one.seconds + other.seconds:.2f} s"
    return Group(*blocks, Text(tail, style="dim"))
