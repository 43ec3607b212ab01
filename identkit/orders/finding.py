"""The orders of one atom's coordinates for one size of its cell, and the smallest of interest."""

from __future__ import annotations

from identkit.atoms import expert_function, routed_function, scored_function
from identkit.causes import CAUSES, cause_of
from identkit.deadline import Deadline
from identkit.degeneracy.moments import SPREAD
from identkit.degeneracy.records import SecondOrder
from identkit.errors import OutOfTime
from identkit.experts import Expert
from identkit.gates import Gate, Regime
from identkit.likelihoods import resolve
from identkit.normal_form import NeedSign, Rebase
from identkit.orders.lower import Lower
from identkit.orders.of_gates import OfGate
from identkit.orders.records import CellOrders, DirectionOrder
from identkit.orders.spans import Spans
from identkit.orders.upper import Upper
from identkit.results import Options
from identkit.vocabulary import Through, Verdict

CELLS = range(2, 7)
"""Sizes of cells for which arcs are known."""
MAX_ORDER = 8


def coordinates(
    parameters: tuple[str, ...], through: Through, router: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Those of η, ν where each atom has a variance of its own, and those of a ``router``."""
    return (*parameters, *((SPREAD,) if through is Through.DENSITY else ()), *router)


def spans_of(seen: Expert, gate: Gate, options: Options, deadline: Deadline) -> Spans:
    """For an expert as the gate's likelihood sees it."""
    through = resolve(gate.likelihood).through
    if gate.router is None:
        return Spans(expert_function(seen), through, options, deadline)
    own = routed_function(seen, gate), scored_function(seen, gate)
    return Spans(expert_function(seen), through, options, deadline, *own)


def directions(
    spans: Spans, regime: Regime, second: SecondOrder, cell: int, max_order: int, measured: bool
) -> tuple[DirectionOrder, ...]:
    """Every coordinate with its best bounds; ``measured``: arcs are compared with numbers, too."""
    lower = Lower(spans, second, cell, max_order, measured)
    upper = Upper(spans, second, regime, cell, lower)
    found = []
    for u in coordinates(spans.atom.parameters, spans.through):
        family = lower.infinite(u)
        best = lower.best(u) if family is None else family
        above = upper.best(u) if family is None else None
        found.append(DirectionOrder(u, cell, family is not None, best, above))
    if spans.routed is not None:
        found += OfGate(spans.routed, lower, upper).directions()
    for d in found:
        if d.upper is not None and d.upper.order < d.lower.order:
            raise AssertionError(
                f"{d.direction}: at least {d.lower.order}, at most {d.upper.order}"
            )
    return tuple(found)


def smallest_cell(second: SecondOrder) -> int | None:
    """The fewest fitted atoms with which second order is degenerate; 2 if it is not.

    None where it is not decided, or degenerate by moments of which no atoms are known.
    """
    if second.verdict == Verdict.UNDECIDED:
        return None
    if second.families:
        return max(2, min(f.cell for f in second.families))
    if second.verdict == Verdict.YES:
        return 2
    realised = None if second.witness is None else second.witness.realised
    return None if realised is None else max(2, realised.cell)


def at_smallest_cell(spans: Spans, regime: Regime, second: SecondOrder) -> CellOrders:
    """The orders at the smallest cell at which second order is degenerate, or why there are none.

    Where it is not, 2 stands for every cell: each direction has the same order there.
    """
    cell = smallest_cell(second)
    if cell is None or cell not in CELLS:
        return CellOrders((), "" if cell is None else f"no arcs are known for cells of {cell}")
    try:
        return CellOrders(directions(spans, regime, second, cell, MAX_ORDER, measured=False))
    except (OutOfTime, Rebase, NeedSign) as limit:
        return CellOrders((), CAUSES[cause_of(limit)])
