"""What is found of a layer, or of two, on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.layers.findings import Change, Decided, Findings
from identkit.layers.record import Architecture
from identkit.likelihoods import LEAST_SQUARES, resolve
from identkit.report.layer_words import expert_text, regime_line, router_text, shared_text

SCALE_HELD = "the scale of its unit held"


def layer_report(found: Findings) -> RenderableType:
    """The report of ``identkit layer``."""
    blocks: list[RenderableType] = [_head(found.architecture), Text(), _grid(_rows(found))]
    size = _dimensions(found.dimension)
    blocks.append(_title(f"gauges (other numbers, the same layer): {size}"))
    for gauge in found.gauges:
        size = f", {_dimensions(gauge.dimension)}" if gauge.dimension else ""
        blocks.append(Text(f"  {gauge.name}: {gauge.action}{size}"))
        how = "proved" if gauge.proved else "not proved here"
        rows = [("where", gauge.where)] if gauge.where else []
        blocks.append(_grid([*rows, (how, gauge.proof), ("any width", gauge.widths)]))
    if found.absent:
        blocks.append(_title("no gauge"))
        for none in found.absent:
            said = "none" if none.excluded else "not found"
            blocks.append(_grid([(said, f"{none.name}: {none.reason}")]))
    blocks.append(_title(f"verdicts for an expert of {_small(found)}"))
    blocks.append(Text(f"  {_letters(found)}", style="dim"))
    for each in found.decided:
        blocks += _decided(each)
    blocks.append(_title("changes, each checked with that expert"))
    for change in found.changes:
        blocks += _change(change)
    seconds = f"{found.seconds:.2f} s"
    blocks.append(Text(f"\nidentkit {found.version}, seed {found.seed}, {seconds}", style="dim"))
    return Group(*blocks)


def _head(architecture: Architecture) -> Text:
    router = architecture.router
    return Text.assemble(
        (f"{architecture.source} ({architecture.family})", "bold"),
        f"\n{router.count} experts, {router.selected} for each x, d = {architecture.hidden}",
    )


def _rows(found: Findings) -> list[tuple[str, str]]:
    made = found.architecture
    rows = [
        ("router", router_text(made.router)),
        ("expert", expert_text(made.expert)),
        ("shared", shared_text(made)),
    ]
    if made.output_bias:
        rows.append(("bias", "a vector is added to the sum"))
    if made.assumed:
        said = ", ".join(f"{key} {value}" for key, value in made.assumed)
        rows.append(("assumed", f"{said} (not in the file: the default of its class)"))
    rows += [("note", note) for note in made.notes]
    gate = found.gate if found.gate is not None else f"none registered: {found.why_no_gate}"
    return [*rows, ("gate", gate)]


def _dimensions(count: int) -> str:
    return f"{count} dimension{'s' * (count != 1)}"


def _small(found: Findings) -> str:
    inputs = "1 input" if found.inputs == 1 else f"{found.inputs} inputs"
    return f"1 unit, {inputs}, 1 output"


def _letters(found: Findings) -> str:
    """Which letter is which matrix, each once."""
    named = {}
    for parameter, matrix in found.letters:
        named.setdefault(matrix, []).append(parameter)
    return ", ".join(f"{' '.join(own)}: {matrix}" for matrix, own in named.items())


def _decided(each: Decided) -> list[RenderableType]:
    what = "as it is" if each.scaled else SCALE_HELD
    blocks: list[RenderableType] = [
        Text(f"  {what}, {_likelihood(each)}: {each.rate}"),
    ]
    rows = [("h", each.expert)]
    rows += [(f"gate {each.gate}", regime_line(v, short=True)) for v in each.verdicts]
    undecided = f"undecided{' beside that' if each.scaled and each.rate != 'undecided' else ''}"
    if each.reasons:
        rows.append((undecided, "; ".join(each.reasons)))
    return [*blocks, _grid(rows)]


def _likelihood(each: Decided) -> str:
    known = resolve(each.likelihood)
    return "least squares" if known.name == LEAST_SQUARES else f"{known.family} likelihood"


def _change(change: Change) -> list[RenderableType]:
    rows = []
    if change.gone:
        rows.append(("gone", ", ".join(change.gone)))
    if change.new:
        rows.append(("new", ", ".join(change.new)))
    rows += [("then", regime_line(v)) for v in change.verdicts]
    rows += [("", f"provided {p}") for p in dict.fromkeys(_provided(change))]
    rows.append(("", change.command))
    return [Text(f"  {change.change}"), _grid(rows)]


def _provided(change: Change) -> list[str]:
    """The hypotheses of its rates, without the sentence's dress."""
    found = [p.rstrip(".") for v in change.verdicts for p in v.provided]
    return [p[:1].lower() + p[1:] for p in found]


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
        what = "as it is" if each.scaled else SCALE_HELD
        facts[f"{what}, {_likelihood(each)}"] = each.rate
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
