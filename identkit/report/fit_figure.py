"""Figures of fits: the curve with its band, its experts and weights; for d > 1 partial dependence.

With one input: the data, f with its confidence band and the experts, drawn as strong as they weigh;
below, the weights. With several: for the inputs of the largest effect, f averaged over the data
with that input set (Friedman 2001, section 8.2) and below it the averaged weights; then predicted
against observed. Axes follow the data and f, never an expert that weighs nothing there.

Style and colours are those of :mod:`identkit.rates.drawing`. Needs matplotlib
(``pip install identkit[figures]``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.fit.prediction import LEVEL, predict
from identkit.fit.summary import FitReport
from identkit.rates.drawing import GREY, LOOKS, Look, library, plain, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

WIDTH = 5.4
"""Inches of the panel of one input; a column of a page."""
PANEL = 2.7
"""Inches of each panel of several."""
GRID = 1200
"""Points of a curve: more than the panel has pixels that differ."""
PARTIAL_GRID, PARTIAL_ROWS = 41, 500
"""Points of a partial dependence, and rows it is an average over, evenly taken from the data."""
MOST_INPUTS = 3
"""Panels of inputs that are still read at the width of a page, beside that of residuals."""
MOST_POINTS = 4000
"""Points drawn, evenly taken from the data: more are a blot, and megabytes in a vector file."""
MARGIN = 0.06
"""Of the height of data and f, above and below them."""
SEEN = 0.02
"""An expert is drawn where its atom's part in the weights is at least this: elsewhere it is not in
f, and may be anywhere."""
SHARE_WIDTH = (0.6, 2.0)
"""Line widths of an expert of no weight, and of all of it."""
DASH = (0.10, 0.05)
"""Inches of a dash and of the gap behind it."""
ATOMS_NAMED = 8
"""Atoms with an entry in the legend; colours repeat beyond 6, with other dashes."""


def figure(report: FitReport) -> Figure:
    """The figure of a fit with its data. Raises InputError without data or matplotlib."""
    if report.table is None:
        raise InputError("figure: the report has no data; fit again, and draw that report.")
    with style():
        if report.result.model.dim == 1:
            return _curve(report)
        return _partial(report)


# -- one input ---------------------------------------------------------------------------------


def _curve(report: FitReport) -> Figure:
    result, model = report.result, report.result.model
    table: Any = report.table
    made = library().figure.Figure((WIDTH, 4.6), layout="constrained")
    upper, lower = made.subplots(2, 1, sharex=True, height_ratios=(2.6, 1.0))
    low, high = report.ranges[0]
    x = np.linspace(low, high, GRID)[:, None]
    found = predict(result, report.covariance, x)
    weights, experts = model.weights(result.measure, x), model.experts(result.measure, x)
    part = evenly(len(table), MOST_POINTS)
    upper.scatter(
        table.x[part, 0], table.y[part], s=point_size(len(part)), color=GREY, alpha=0.45,
        linewidths=0, zorder=1, rasterized=len(part) > 1000,
    )  # fmt: skip
    ends = found.confidence
    if np.isfinite(ends).any():
        upper.fill_between(x[:, 0], *ends.T, color="#111111", alpha=0.16, linewidth=0, zorder=2)
    upper.plot(x[:, 0], found.f, color="#111111", linewidth=1.7, zorder=4)
    set_limits(upper, np.concatenate([table.y, found.f]))
    for i, look in enumerate(atom_looks(len(weights))):
        _strong(upper, x[:, 0], experts[i], weights[i], look)
        lower.plot(x[:, 0], weights[i], color=look.colour, linewidth=1.3, linestyle=look.dashes)
    weight_axis(lower, weights)
    lower.set_xlabel(plain(report.inputs[0], 60))
    upper.set_ylabel(plain(report.target, 40))
    upper.set_title(plain(_title(report), 64))
    _legend(made, len(weights), band=bool(np.isfinite(ends).any()), data="data")
    return made


def _strong(ax: Axes, x: Array, h: Array, weight: Array, look: Look) -> None:
    """An expert's curve in dashes, each as wide and as opaque as its atom weighs there.

    Dashes are cut by the length of the curve on paper; where the atom weighs nothing there is none.
    """
    low, high = ax.get_ylim()
    inches = np.stack([4.7 * (x - x[0]) / np.ptp(x), 2.7 * (h - low) / (high - low)], axis=1)
    length = np.r_[0.0, np.linalg.norm(np.diff(inches, axis=0), axis=1).cumsum()]
    place = length / sum(DASH)
    drawn = (np.abs(weight) >= SEEN) & np.isfinite(h) & (place % 1.0 < DASH[0] / sum(DASH))
    # a new dash where the period changes, or something between is not drawn
    new = np.flatnonzero(
        drawn & ~(np.r_[False, drawn[:-1]] & (np.diff(place // 1, prepend=0) == 0))
    )
    thin, thick = SHARE_WIDTH
    for first in new:
        last = first
        while last + 1 < len(x) and drawn[last + 1] and place[last + 1] // 1 == place[first] // 1:
            last += 1
        part = slice(first, last + 2)
        share = min(1.0, float(np.abs(weight[part]).mean()))
        ax.plot(
            x[part], h[part], color=look.colour, linewidth=thin + (thick - thin) * share,
            alpha=0.3 + 0.7 * share, zorder=3, solid_capstyle="butt", scaley=False, scalex=False,
        )  # fmt: skip


# -- several inputs ----------------------------------------------------------------------------


def _partial(report: FitReport) -> Figure:
    result = report.result
    table: Any = report.table
    curves = [_dependence(report, s) for s in range(result.model.dim)]
    effect = np.array([np.ptp(f) for _, f, _ in curves])
    shown = np.sort(np.argsort(-effect, kind="stable")[:MOST_INPUTS])
    count = len(shown) + 1
    made = library().figure.Figure((PANEL * count, 4.6), layout="constrained")
    grid = made.subplots(2, count, height_ratios=(2.0, 1.0), squeeze=False)
    everything = np.concatenate([curves[s][1] for s in shown])
    looks = atom_looks(result.measure.atoms)
    top = max(float(curves[s][2].max()) for s in shown)
    for column, s in enumerate(shown):
        x, f, weights = curves[s]
        upper, lower = grid[0, column], grid[1, column]
        upper.plot(x, f, color="#111111", linewidth=1.7)
        set_limits(upper, everything)
        upper.set_title(plain(f"f by {report.inputs[s]}, others averaged", 34), fontsize=9)
        for look, weight in zip(looks, weights, strict=True):
            lower.plot(x, weight, color=look.colour, linewidth=1.3, linestyle=look.dashes)
        _rug(upper, table.x[:, s])
        weight_axis(lower, np.array([top]))
        lower.set_xlabel(plain(report.inputs[s], 30))
        upper.sharex(lower)
        upper.tick_params(labelbottom=False)
        if column:
            lower.set_ylabel("")
    grid[0, 0].set_ylabel(plain(report.target, 40))
    _against(report, grid[0, -1], grid[1, -1])
    text = _title(report)
    left_out = len(curves) - len(shown)
    if left_out:
        text += f"; {left_out} input{'s' * (left_out > 1)} of smaller effect left out"
    made.suptitle(plain(text, 30 * count), fontsize=10, fontweight="bold", x=0.01, ha="left")
    _legend(made, result.measure.atoms, band=False, data="")
    return made


def _dependence(report: FitReport, s: int) -> tuple[Array, Array, Array]:
    """The input's values (g,), f averaged with it set to each (g,), and the weights (k, g)."""
    result, table = report.result, report.table
    assert table is not None
    rows = table.x[evenly(len(table), PARTIAL_ROWS)]
    # the middle of the data: at its ends there is one row, and combinations that no data have
    low, high = np.quantile(table.x[:, s], [0.02, 0.98])
    values = np.linspace(low, high, PARTIAL_GRID)
    points = np.repeat(rows[None], PARTIAL_GRID, axis=0)
    points[:, :, s] = values[:, None]
    flat = points.reshape(-1, rows.shape[1])
    f = result.predict(flat).reshape(PARTIAL_GRID, -1).mean(axis=1)
    weights = result.model.weights(result.measure, flat)
    return values, f, weights.reshape(len(weights), PARTIAL_GRID, -1).mean(axis=2)


def _against(report: FitReport, upper: Axes, lower: Axes) -> None:
    """Observed against fitted, and below it the residuals."""
    table: Any = report.table
    part = evenly(len(table), MOST_POINTS)
    f, y = report.result.predict(table.x[part]), table.y[part]
    look: Any = {
        "s": point_size(len(part)), "color": GREY, "alpha": 0.45, "linewidths": 0,
        "rasterized": len(part) > 1000,
    }  # fmt: skip
    upper.scatter(f, y, **look)
    upper.axline((float(y.mean()), float(y.mean())), slope=1.0, color="#111111", linewidth=1.0)
    upper.set_title("observed against fitted", fontsize=9)
    set_limits(upper, y)
    lower.scatter(f, y - f, **look)
    lower.axhline(0.0, color="#111111", linewidth=1.0)
    lower.set_xlabel(plain(f"fitted {report.target}", 30))
    lower.set_ylabel("residual")
    upper.sharex(lower)
    upper.tick_params(labelbottom=False)
    for ax in (upper, lower):
        ax.grid(True)


def _rug(ax: Axes, values: Array) -> None:
    """Where the data lie: their deciles on the axis."""
    at = np.quantile(values, np.linspace(0.1, 0.9, 9))
    ax.plot(
        at, np.zeros(9), "|", color=GREY, markersize=5, transform=ax.get_xaxis_transform(),
        clip_on=False,
    )  # fmt: skip


# -- parts -------------------------------------------------------------------------------------


def atom_looks(count: int) -> list[Look]:
    """A look for each atom; black is that of f. Beyond them lines are paired anew with colours."""
    own = [look for look in LOOKS if look.colour != "#000000"]
    size = len(own)
    return [
        Look(own[i % size].colour, own[i % size].marker, own[(i + 2 * (i // size)) % size].dashes)
        for i in range(count)
    ]


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Indices of at most so many rows, evenly taken."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def point_size(count: int) -> float:
    """Of points: small where there are many."""
    return 14.0 if count <= 300 else 7.0 if count <= 1500 else 3.0


def set_limits(ax: Axes, values: Array) -> None:
    """The vertical axis from the least to the greatest of the values, with some room."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    room = MARGIN * (high - low) or 1.0
    ax.set_ylim(low - room, high + room)
    ax.margins(x=0.02)
    ax.grid(True)


def weight_axis(ax: Axes, weights: Array) -> None:
    """From 0; to 1 where weights are shares."""
    top = float(np.nanmax(weights))
    ax.set_ylim(-0.04 * max(top, 1.0), 1.04 * max(top, 1.0))
    ax.margins(x=0.02)
    ax.set_ylabel("weight")
    ax.grid(True)


def _title(report: FitReport) -> str:
    model = report.result.model
    r = report.r_squared
    fit = "" if r is None else f", R² {r:.3f}" if r < 0.9995 else ", R² > 0.9995"
    return f"{model.expert.label}, {model.gate.name} gate, k = {report.result.measure.atoms}{fit}"


def _legend(made: Figure, atoms: int, *, band: bool, data: str) -> None:
    """Below the panels, where nothing is drawn."""
    parts = library()
    handles: list[Any] = []
    texts: list[str] = []
    if data:
        handles.append(
            parts.lines.Line2D([], [], linestyle="none", marker="o", markersize=4, color=GREY)
        )
        texts.append(data)
    handles.append(parts.lines.Line2D([], [], color="#111111", linewidth=1.7))
    texts.append("f")
    if band:
        handles.append(parts.patches.Patch(facecolor="#111111", alpha=0.16, linewidth=0))
        texts.append(f"{LEVEL:.0%} band of f")
    if data:
        handles.append(parts.lines.Line2D([], [], color=GREY, linewidth=1.2, linestyle="dashed"))
        texts.append("experts, as they weigh")
    for i, look in list(enumerate(atom_looks(atoms)))[:ATOMS_NAMED]:
        handles.append(
            parts.lines.Line2D([], [], color=look.colour, linewidth=1.3, linestyle=look.dashes)
        )
        texts.append(f"atom {i}")
    if atoms > ATOMS_NAMED:
        handles.append(parts.lines.Line2D([], [], linestyle="none"))
        texts.append(f"… of {atoms}")
    rows = -(-len(texts) // 5)
    made.legend(handles, texts, loc="outside lower center", ncols=-(-len(texts) // rows))
