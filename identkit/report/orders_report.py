"""Orders on a terminal of 80 columns: a table, then what proves each bound."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.degeneracy.moments import SPREAD
from identkit.likelihoods import resolve
from identkit.orders.answer import Orders
from identkit.orders.records import Bound, DirectionOrder
from identkit.vocabulary import OrderStatus

COLOURS = {
    OrderStatus.EXACT: "bold green",
    OrderStatus.INTERVAL: "bold yellow",
    OrderStatus.OPEN: "dim",
}


def orders_report(found: Orders) -> RenderableType:
    """The report of ``identkit order``."""
    e = found.expert
    kind = f"{e.label}: " if e.name != "custom" else ""
    regime = "" if found.regime is None else f", regime {found.regime}"
    likelihood = resolve(found.likelihood)
    meaning = likelihood.seen(e).meaning
    head = Text.assemble(
        (f"{kind}h(x) = {e.written}", "bold"),
        f"\n{meaning}" if meaning else "",
        f"\ngate {found.gate}{regime}, {likelihood.title}",
        f"\n{found.cell} atoms fitted to one true atom",
    )
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("direction", "order", "status", "rate", "at least by", "at most by"):
        table.add_column(name, header_style="dim", overflow="fold")
    for d in found.directions:
        status = Text(str(d.status), style=COLOURS[d.status])
        table.add_row(d.direction, order_text(d), status, d.rate, d.lower.kind, _kind(d.upper))
    blocks: list[RenderableType] = [head, Text(), table]
    for title, sides in (("at least", "lower"), ("at most", "upper")):
        texts: dict[str, list[str]] = {}
        for d in found.directions:
            bound: Bound | None = getattr(d, sides)
            if bound is not None:
                texts.setdefault(_why(bound), []).append(d.direction)
        if texts:
            blocks += [Text(f"\n{title}", style="bold"), _grid(texts)]
    caveats: dict[str, list[str]] = {}
    for d in found.directions:
        for c in d.caveats:
            caveats.setdefault(c, []).append(d.direction)
    if caveats:
        blocks += [Text("\nprovided", style="bold"), _grid(caveats)]
    blocks += [Text(), *(Text(note, style="dim") for note in found.notes)]
    if any(d.direction == SPREAD for d in found.directions):
        blocks.append(Text("ν is the variance of an atom", style="dim"))
    blocks.append(Text(f"identkit {found.version}", style="dim"))
    return Group(*blocks)


def orders_summary(found: Sequence[Orders]) -> RenderableType:
    """A line for each size of a cell, beneath the report of a check."""
    blocks: list[RenderableType] = [Text("\norders: Δu ~ t changes T by t^r", style="bold")]
    for each in found:
        shown = (f"{d.direction} {order_text(d)} ({d.rate})" for d in each.directions)
        blocks.append(Text(f"  {each.cell} atoms in a cell: {'; '.join(shown)}"))
    return Group(*blocks)


def order_text(found: DirectionOrder) -> str:
    """4, [4, 6], [4, ∞) or infinite."""
    value = found.order
    if not isinstance(value, list):
        return str(value)
    low, high = value
    return f"[{low}, ∞]" if high is None else f"[{low}, {high}]"


def _kind(bound: Bound | None) -> str:
    return "–" if bound is None else bound.kind


def _why(bound: Bound) -> str:
    slope = bound.arc.slope if bound.arc is not None else ""
    return f"{bound.text}; measured slope {slope}" if slope else bound.text


def _grid(rows: dict[str, list[str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", overflow="fold", max_width=14)
    grid.add_column(overflow="fold")
    for text, names in rows.items():
        grid.add_row(f"  {', '.join(names)}", text)
    return grid
