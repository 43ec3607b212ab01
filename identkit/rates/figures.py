"""Figures of rate experiments: error against n, log-log, with fitted and predicted lines.

Markers are medians over replicates, bands their quartiles; a fitted line is least squares on the
log medians, as in :mod:`identkit.rates.slopes`, a dashed grey one has the predicted slope through
the centre of the fit: the derived rate where there is one, else the published.

How they are drawn is in :mod:`identkit.rates.drawing`, how they are written in
:mod:`identkit.rates.figure_files`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from identkit.errors import InputError, unknown_name
from identkit.rates.density_result import DensityResult
from identkit.rates.drawing import (
    HEIGHT,
    LINE_HEIGHT,
    LOOKS,
    End,
    axes_of,
    draw,
    finish,
    legend_below,
    legend_entries,
    library,
    looks,
    plain,
    prediction,
    style,
    write_ends,
)
from identkit.rates.quantities import quantity as described
from identkit.rates.result import Line, Observed
from identkit.rates.slopes import LEVEL
from identkit.report import rates_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAIN = ("expert", "voronoi", "exact", "direction", "identified", "aggregate", "regression")
"""Kinds of quantities shown by default, in this order, where an experiment has them; direction,
identified and aggregate exist beside exact families only."""
MAIN_2 = (
    *("minimiser", "minimiser-expert", "minimiser-regression"),
    *("local-minimiser", "local-minimiser-expert", "local-minimiser-regression"),
    "regression",
)
"""… in Regime 2."""
DENSITY = ("hellinger", "printed", "quotient", "exact")
"""… of densities; :data:`CELLS` are a figure of their own."""
CELLS = "over"
"""Errors of the parameters in over-specified cells."""
COLUMNS = 3

Choice = str | Mapping[str, str] | Callable[[Observed], str]
"""A quantity for every experiment: one for all, by name of the experiment, or from the result."""


def main_quantities(result: Observed) -> tuple[str, ...]:
    """The keys that figures and tables show unless told otherwise."""
    known = tuple(dict.fromkeys(line.quantity for line in result.lines))
    if isinstance(result, DensityResult):
        return _seen(result, DENSITY)
    kinds = MAIN if result.experiment.setting.shared else MAIN_2
    return tuple(key for kind in kinds for key in known if key.partition(":")[0] == kind)


def cell_quantities(result: DensityResult) -> list[tuple[str, ...]]:
    """The keys of what over-specified cells show, parameter by parameter, for each half."""
    halves: dict[str, list[str]] = {}
    for key in _seen(result, (CELLS,)):
        halves.setdefault(key.split(":")[1], []).append(key)
    return [tuple(keys) for keys in halves.values()]


def _seen(result: DensityResult, kinds: Sequence[str]) -> tuple[str, ...]:
    """Keys of these kinds with values: a density's cells may have one atom or several."""
    known = dict.fromkeys(line.quantity for line in result.lines)
    seen = [key for key in known if _has_values(result.line(key))]
    return tuple(key for kind in kinds for key in seen if key.partition(":")[0] == kind)


def _has_values(line: Line) -> bool:
    return any(math.isfinite(m) and m > 0 for m in line.medians)


def main_loss(result: Observed) -> str:
    """The one quantity that sums an experiment up, for comparisons."""
    known = {line.quantity for line in result.lines}
    losses = ("minimiser", "local-minimiser", "quotient")
    return next((name for name in losses if name in known), "voronoi")


def title(result: Observed) -> str:
    """Expert, gate and regime."""
    return rates_report.title(result)


def rate_figure(
    result: Observed,
    quantities: Sequence[str] | None = None,
    start: str | None = None,
    budget: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Errors against n for one experiment, by default its main quantities.

    ``quantities`` are keys of the result, ``start`` and ``budget`` as in
    :meth:`~identkit.rates.result.RateResult.line`. The legend has the slopes with their intervals,
    the predicted rates stand at the ends of their lines.

    Raises :class:`~identkit.errors.InputError` for a quantity, start or budget that the result
    does not have, and without matplotlib.
    """
    keys = _keys(result, quantities)
    lines = [_line(result, key, start, budget) for key in keys]
    with style():
        rows = len(lines) + 1
        ax = axes_of(ax, HEIGHT + rows * LINE_HEIGHT)
        drawn = [
            draw(ax, result, line, look, described(line.quantity).label)
            for line, look in zip(lines, looks(len(lines)), strict=True)
        ]
        finish(ax, result.experiment.sizes, most=7)
        write_ends(ax, [end for one in drawn for end in one.predicted])
        ax.set_title(plain(title(result)))
        legend_below(ax, drawn)
    return ax


def compare_figure(
    results: Sequence[Observed],
    quantity: Choice = "voronoi",
    start: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One quantity of several experiments, each with a colour, a marker and a line style.

    ``quantity`` may be a mapping from the experiments' names or a function of the result, where
    they do not share one. ``start``: by default the first of each.

    Raises :class:`~identkit.errors.InputError` as :func:`rate_figure`, and for no or more results
    than there are looks.
    """
    if not 1 <= len(results) <= len(LOOKS):
        raise InputError(
            f"compare_figure: {len(results)} results; give 1 to {len(LOOKS)}, or use "
            "small_multiples."
        )
    lines = [_line(r, _chosen(quantity, r), start, None) for r in results]
    kinds = list(dict.fromkeys(described(line.quantity).label for line in lines))
    with style():
        ax = axes_of(ax, HEIGHT + (len(lines) + 1) * LINE_HEIGHT)
        names = labels(results)
        if len(kinds) > 1:
            names = [
                f"{name}, {described(line.quantity).label}"
                for name, line in zip(names, lines, strict=True)
            ]
        drawn = [
            draw(ax, result, line, look, name)
            for result, line, look, name in zip(
                results, lines, looks(len(lines)), names, strict=True
            )
        ]
        finish(ax, sorted({n for r in results for n in r.experiment.sizes}), most=7)
        write_ends(ax, [end for one in drawn for end in one.predicted])
        ax.set_title(plain(" / ".join(kinds)))
        legend_below(ax, drawn)
    return ax


def small_multiples(
    results: Sequence[Observed],
    quantities: Sequence[str] | None = None,
    start: str | None = None,
    budget: int | None = None,
    columns: int = COLUMNS,
) -> Figure:
    """A sweep: a panel for each experiment on shared scales, intervals of slopes at the ends.

    By default each panel has the main quantities of its experiment; a quantity looks the same in
    all panels. Raises :class:`~identkit.errors.InputError` as :func:`rate_figure`, for no results
    and for fewer columns than 1 or more than 3.
    """
    if not results:
        raise InputError("small_multiples: no results; give one or more.")
    if not 1 <= columns <= COLUMNS:
        raise InputError(f"columns: {columns} must be from 1 to {COLUMNS}.")
    chosen = [_keys(r, quantities) for r in results]
    # a kind has one look: the directions of different experts are of other parameters
    kinds = list(dict.fromkeys(key.partition(":")[0] for keys in chosen for key in keys))
    order = (*MAIN, *MAIN_2, *DENSITY)
    kinds.sort(key=lambda kind: order.index(kind) if kind in order else 99)
    look = dict(zip(kinds, looks(len(kinds)), strict=True))
    lines = [
        [_line(r, key, start, budget) for key in k] for r, k in zip(results, chosen, strict=True)
    ]
    columns = min(columns, len(results))
    rows = -(-len(results) // columns)
    with style():
        legend_rows = -(-(len(kinds) + 2) // columns)
        figure = library().figure.Figure(
            (3.0 * columns + 0.4, 2.2 * rows + 0.5 + LINE_HEIGHT * legend_rows)
        )
        figure.set_layout_engine("constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        handles: dict[str, Any] = {}
        sources: set[str] = set()
        ends: list[list[End]] = []
        for ax, result, mine in zip(grid.flat, results, lines, strict=False):
            ends.append([])
            for line in mine:
                kind, _, names = line.quantity.partition(":")
                label = kind if names else described(line.quantity).label
                one = draw(ax, result, line, look[kind], label)
                handles.setdefault(label, one.handle)
                sources.update(p.source for p in one.predicted)
                if one.fitted is not None:
                    ends[-1].append(one.fitted)
        sizes = sorted({n for r in results for n in r.experiment.sizes})
        for ax in grid.flat[: len(results)]:
            finish(ax, sizes, most=3)
        for ax, name, last in zip(grid.flat, labels(results), ends, strict=False):
            write_ends(ax, last)  # once the shared scale is known
            ax.set_ylabel("")
            ax.set_title(plain(name, 34), fontsize=8.5)
            ax.label_outer()
        for place, ax in enumerate(grid.flat):
            if place >= len(results):
                ax.remove()
                above = grid.flat[place - columns]
                above.tick_params(labelbottom=True)
                above.set_xlabel("n, samples")
        figure.supylabel("error", fontsize=9)
        entries, names = legend_entries(handles.items(), sources)
        figure.legend(entries, names, loc="outside lower center", ncols=columns, handlelength=3.4)
    return figure


def labels(results: Sequence[Observed]) -> list[str]:
    """Expert, gate and regime of each, with the experiment's name where these are not unique."""
    titles = [title(r) for r in results]
    return [
        t if titles.count(t) == 1 else f"{t} ({r.experiment.name})"
        for t, r in zip(titles, results, strict=True)
    ]


def caption(
    result: Observed, quantities: Sequence[str] | None = None, start: str | None = None
) -> str:
    """What :func:`rate_figure` shows, in words: its text alternative."""
    e = result.experiment
    start = e.starts[0] if start is None else start
    said = []
    for key in _keys(result, quantities):
        line = _line(result, key, start, None)
        values = [m for m in line.medians if math.isfinite(m)]
        if not values:
            continue
        span = f"medians from {values[0]:.2g} to {values[-1]:.2g}"
        if line.slope is not None:
            low, high = line.slope.low, line.slope.high
            span += f", slope {line.slope.value:.2f} ({LEVEL:.0%} interval {low:.2f} to {high:.2f})"
        found = prediction(result, key)
        if found is not None:
            span += f", {found[0]} rate {found[1].rate}"
        said.append(f"{described(key).label}: {span}")
    sizes = f"n = {e.sizes[0]:,} to {e.sizes[-1]:,}"
    text = f"{title(result)}, {start} starts, {sizes}. {'; '.join(said)}."
    return re.sub(r"-(?=\d)", "−", text)


def _keys(result: Observed, quantities: Sequence[str] | None) -> tuple[str, ...]:
    if quantities is None:
        if not result.lines:
            raise InputError(f"'{result.experiment.name}' has no fits yet; run it first.")
        return main_quantities(result)
    if isinstance(quantities, str):
        return (quantities,)
    if not quantities:
        raise InputError("quantities: none named; name one or more, or leave it out.")
    return tuple(quantities)


def _chosen(quantity: Choice, result: Observed) -> str:
    if callable(quantity):
        return quantity(result)
    if isinstance(quantity, str):
        return quantity
    name = result.experiment.name
    if name not in quantity:
        raise InputError(f"quantity: none is named for the experiment '{name}'; add it.")
    return quantity[name]


def _line(result: Observed, key: str, start: str | None, budget: int | None) -> Line:
    e = result.experiment
    starts = [name for name, _ in e.runs]
    if start is not None and start not in starts:
        raise InputError(f"start: '{start}' was not run for '{e.name}'; run: {', '.join(starts)}.")
    if budget is not None and budget not in e.setting.budgets:
        known = ", ".join(map(str, e.setting.budgets))
        raise InputError(f"budget: {budget} is not one of '{e.name}'; choose from {known}.")
    try:
        line = result.line(key, start, budget)
    except KeyError:
        raise unknown_name("quantity", key, {line.quantity for line in result.lines}) from None
    if not _has_values(line):
        raise InputError(
            f"quantity: {key} has no values in '{e.name}' from these starts; leave it out."
        )
    return line
