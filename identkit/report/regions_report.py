"""The regions of a gate that selects, and which fits converge, on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.gates import resolve
from identkit.selecting.records import Answer, Cells, Counterexample
from identkit.vocabulary import Verdict

SHOWN = 12
"""Regions and cells that are listed; --json has all."""
COLOURS = {Verdict.YES: "bold green", Verdict.NO: "bold red", Verdict.UNDECIDED: "bold yellow"}


def regions_report(found: Answer) -> RenderableType:
    """The report of ``identkit regions``."""
    gate = resolve(found.gate)
    head = f"\nk* = {found.true_atoms} true atoms, K = {found.count} selected at each x"
    if found.fitted is not None:
        head += f"\na fit of k = {found.fitted} atoms selects K̄ = {found.fitted_count}"
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in _regions(found):
        grid.add_row(name, text)
    conditions = ", ".join(dict.fromkeys(n for r in gate.regimes for n, _ in r.conditions))
    grid.add_row("on each", f"{conditions} is decided by identkit check --gate {found.gate}")
    blocks: list[RenderableType] = [
        Text.assemble((f"{gate.name}: {gate.formula}", "bold"), head),
        Text(),
        grid,
    ]
    if found.cells:
        blocks += _fits(found)
    said = "atoms are counted from 0; |V_j| fitted atoms are in the cell of true atom j"
    if found.cells:
        said += "; a no is for almost every choice of the gates"
    blocks += [Text(), Text(f"{said} (claim {found.claim})", style="dim")]
    return Group(*blocks)


def _regions(found: Answer) -> list[tuple[str, str]]:
    split = found.division
    if split is None:
        sets = _sets(found.sets or ())
        listed = f": {sets}" if sets else ", too many to list"
        return [("regions", f"{found.number} somewhere, all K of the k*{listed}")]
    about = "" if split.exact else ", ends up to rounding"
    rows = [("regions", f"{found.number} for x in {found.domain}{about}")]
    for piece in split.pieces[:SHOWN]:
        ends = f"[{piece.low}, {piece.high}]"
        if not split.exact:
            ends = f"[{float(piece.low):.6g}, {float(piece.high):.6g}]"
        rows.append(("", f"{_set(piece.atoms)} on {ends}"))
    if len(split.pieces) > SHOWN:
        rows.append(("", _more(len(split.pieces) - SHOWN)))
    if split.open:
        rows.append(("undecided", split.open))
    if _biased(found):
        joined = ", ".join(_set(c) for c in split.components)
        rows.append(("biases", f"b is determined up to one shift for each of {joined}"))
    return rows


def _biased(found: Answer) -> bool:
    selection = resolve(found.gate).selection
    return selection is not None and selection.bias is not None


def _fits(found: Answer) -> list[RenderableType]:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("cells |V_j|", "Σ|V_j|", "K̄ ≥ max", "converges", "n_j, or why not"):
        table.add_column(name, header_style="dim", overflow="fold")
    # what converges first: it is what is asked
    ordered = sorted(found.cells, key=lambda c: c.converges != Verdict.YES)
    for cells in ordered[:SHOWN]:
        verdict = Text(str(cells.converges), style=COLOURS[cells.converges])
        why = cells.reason if cells.selected is None else _numbers(cells.selected)
        sums = f"{cells.smallest}"
        if cells.largest > cells.smallest:
            sums += f" to {cells.largest}"
        published = "holds" if cells.published else "fails"
        table.add_row(_numbers(cells.sizes), sums, published, verdict, why)
    blocks: list[RenderableType] = [Text(), table]
    if len(ordered) > SHOWN:
        blocks.append(Text(_more(len(ordered) - SHOWN), style="dim"))
    # the most telling one: the published condition holds, and nothing converges
    failing = [c for c in found.cells if c.counterexample is not None]
    for cells in sorted(failing, key=lambda c: not c.published)[:1]:
        blocks += _counterexample(cells)
    return blocks


def _counterexample(cells: Cells) -> list[RenderableType]:
    example = cells.counterexample
    assert example is not None
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("  true scores", "; ".join(example.true))
    grid.add_row("  one of each cell", "; ".join(example.fitted))
    if example.bias:
        grid.add_row("  biases", ", ".join(example.bias))
    grid.add_row("  experts", ", ".join(example.experts))
    grid.add_row("  at x", ", ".join(example.x))
    grid.add_row("  selected", f"{_set(example.region)}; the fit: {_chosen(example)}")
    how = "" if example.exact else " (certain digits)"
    grid.add_row("  f_G*", f"{example.f_true}{how}")
    grid.add_row("  f_G", f"{example.f_fitted}{how}")
    title = f"\nf_G stays away from f_G*: cells {_numbers(cells.sizes)}, constant experts"
    return [Text(title, style="bold"), grid]


def _chosen(example: Counterexample) -> str:
    each = (f"{n} of cell {j}" for j, n in enumerate(example.selected) if n)
    return ", ".join(each)


def _sets(sets: Sequence[Sequence[int]]) -> str:
    text = ", ".join(map(_set, sets[:SHOWN]))
    return f"{text}, {_more(len(sets) - SHOWN)}" if len(sets) > SHOWN else text


def _set(atoms: Sequence[int]) -> str:
    return f"{{{', '.join(map(str, atoms))}}}"


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _more(count: int) -> str:
    return f"and {count} more (--json lists all)"
