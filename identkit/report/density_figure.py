"""Figures of densities: data by their most probable atom, means with bands, weights.

With one input: p(y|x) as a shade, the data coloured by their most probable atom, the atoms' means
h ± 2√ν, drawn where they weigh something; below, the weights. Of a categorical response the
probabilities of the classes stand in the middle. With several inputs: observed against E[y|x] (of
classes, how probable each class is where it is observed), and the weights in order of size.

Needs matplotlib (``pip install identkit[figures]``).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from identkit.density.components import components
from identkit.density.prediction import predict_density
from identkit.density.summary import DensityReport
from identkit.errors import InputError
from identkit.rates.drawing import GREY, Look, library, plain, style
from identkit.report.fit_figure import (
    ATOMS_NAMED,
    MOST_POINTS,
    SEEN,
    atom_looks,
    evenly,
    point_size,
    set_limits,
    weight_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
WIDTH = 5.4
"""Inches of a panel; a column of a page."""
GRID, SHADES = 600, (240, 200)
"""Points of a curve, and the cells of the shade across and up."""
DEVIATIONS = 2.0
"""Half the width of the band of an atom, in standard deviations."""
MARGIN = 0.02
"""Of the width of the data, left and right of them."""
STRONGEST, SLICES = 0.28, 60
"""Opacity of the band of an atom that has all the weight, and in how many pieces it follows it."""
JITTER = 0.18
"""Half the height over which rows of one class are spread, evenly by their order."""
DARKEST = 0.55
"""Opacity of the shade where the density is largest."""


def figure(report: DensityReport) -> Figure:
    """The figure of a density with its data. Raises InputError without data or matplotlib."""
    if report.table is None:
        raise InputError("figure: the report has no data; fit again, and draw that report.")
    with style():
        if report.fit.model.dim > 1:
            return _several(report)
        return _curve(report) if report.classes is None else _classes(report)


# -- one input ---------------------------------------------------------------------------------


def _curve(report: DensityReport) -> Figure:
    fit, table = report.fit, _table(report)
    model, measure = fit.model, fit.measure
    made = library().figure.Figure((WIDTH, 4.8), layout="constrained")
    upper, lower = made.subplots(2, 1, sharex=True, height_ratios=(2.6, 1.0))
    x = _grid(report, GRID)
    weights, means = model.weights(measure, x), model.means(measure, x)
    every: Any = measure.all_variances
    deviation = np.sqrt(every)[:, None]
    looks = _looks(report)
    set_limits(upper, table.y)
    low, high = upper.get_ylim()
    _shade(report, upper, low, high)
    _points(report, upper, table.y, looks)
    for look, w, h, sd in zip(looks, weights, means, deviation, strict=True):
        seen = w >= SEEN
        line = np.where(seen, h, np.nan)
        upper.plot(x[:, 0], line, color=look.colour, linewidth=1.5, linestyle=look.dashes, zorder=4)
        _band(upper, x[:, 0], h, DEVIATIONS * sd, w, look)
    upper.set_ylim(low, high)
    room = MARGIN * (x[-1, 0] - x[0, 0])
    upper.set_xlim(x[0, 0] - room, x[-1, 0] + room)  # the shade would leave none
    _weights(report, lower, x, weights, looks)
    upper.set_ylabel(plain(report.target, 40))
    upper.set_title(plain(_title(report), 64))
    _legend(made, report, looks, band=True, shade=True)
    return made


def _band(ax: Axes, x: Array, h: Array, half: Array, weight: Array, look: Look) -> None:
    """h ± ``half``, as opaque as the atom weighs there."""
    edges = np.linspace(0, len(x) - 1, SLICES + 1).astype(int)
    for a, b in itertools.pairwise(edges):
        part = slice(a, b + 1)
        ax.fill_between(
            x[part], (h - half)[part], (h + half)[part], color=look.colour,
            alpha=STRONGEST * float(weight[part].mean()), linewidth=0, zorder=2,
        )  # fmt: skip


def _shade(report: DensityReport, ax: Axes, low: float, high: float) -> None:
    """p(y|x) as a grey that is darkest at its largest value at each x: narrow and wide alike."""
    across, up = SHADES
    x, y = _grid(report, across), np.linspace(low, high, up)
    model, measure = report.fit.model, report.fit.measure
    points = np.repeat(x, up, axis=0)
    p = np.exp(model.log_density(measure, points, np.tile(y, across))).reshape(across, up)
    top = p.max(axis=1, keepdims=True)
    share = np.divide(p, top, out=np.zeros_like(p), where=top > 0)
    colours = np.zeros((up, across, 4))
    colours[..., 3] = DARKEST * 0.5 * np.sqrt(share).T
    ax.imshow(
        colours, extent=(float(x[0, 0]), float(x[-1, 0]), low, high), aspect="auto",
        origin="lower", interpolation="bilinear", zorder=0.5,
    )  # fmt: skip


def _classes(report: DensityReport) -> Figure:
    """Rows by class and most probable atom, probabilities of the classes, weights."""
    fit, table = report.fit, _table(report)
    names = report.classes or ()
    made = library().figure.Figure((WIDTH, 5.6), layout="constrained")
    upper, middle, lower = made.subplots(3, 1, sharex=True, height_ratios=(1.4, 1.4, 1.0))
    looks = _looks(report)
    # rows of a class are spread by their order, the same every time
    place = table.y + JITTER * (2.0 * ((np.arange(len(table)) * 0.618034) % 1.0) - 1.0)
    _points(report, upper, place, looks)
    upper.set_yticks(range(len(names)), [plain(n, 14) for n in names])
    upper.set_ylim(-0.6, len(names) - 0.4)
    upper.set_ylabel(plain(report.target, 30))
    x = _grid(report, GRID)
    found: Any = predict_density(fit.model, fit.measure, x).probabilities
    for c, (name, p) in enumerate(zip(names, found, strict=True)):
        tone = f"{0.05 + 0.6 * c / max(1, len(names) - 1):.2f}"
        dashes: Any = ("-", "--", "-.", ":")[c % 4]
        middle.plot(x[:, 0], p, color=tone, linewidth=1.5, linestyle=dashes, label=plain(name, 14))
    middle.set_ylim(-0.04, 1.04)
    middle.set_ylabel("P(class | x)")
    middle.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    for ax in (upper, middle):
        ax.grid(True)
        ax.margins(x=0.02)
    _weights(report, lower, x, fit.model.weights(fit.measure, x), looks)
    upper.set_title(plain(_title(report), 64))
    _legend(made, report, looks, band=False, shade=False)
    return made


# -- several inputs ----------------------------------------------------------------------------


def _several(report: DensityReport) -> Figure:
    made = library().figure.Figure((1.5 * WIDTH, 3.7), layout="constrained")
    left, right = made.subplots(1, 2, width_ratios=(1.2, 1.0))
    looks = _looks(report)
    fit, table = report.fit, _table(report)
    if report.classes is None:
        mean = fit.model.mean(fit.measure, table.x)
        _points(report, left, table.y, looks, at=mean)
        middle = float(table.y.mean())
        left.axline((middle, middle), slope=1.0, color="#111111", linewidth=1.0)
        set_limits(left, table.y)
        left.set_xlabel(plain(f"E[{report.target} | x]", 40))
        left.set_ylabel(plain(report.target, 40))
    else:
        _table_of_classes(report, left)
    weights = np.sort(fit.model.weights(fit.measure, table.x), axis=1)[:, ::-1]
    part = np.linspace(0.0, 1.0, weights.shape[1])
    for look, w in zip(looks, weights, strict=True):
        right.plot(part, w, color=look.colour, linewidth=1.3, linestyle=look.dashes)
    weight_axis(right, weights)
    right.set_xlabel("part of the rows, by weight")
    made.suptitle(plain(_title(report), 90), fontsize=10, fontweight="bold", x=0.01, ha="left")
    _legend(made, report, looks, band=False, shade=False, data=report.classes is None)
    return made


def _table_of_classes(report: DensityReport, ax: Axes) -> None:
    """Mean probability of each class (across) where a class is observed (down)."""
    table, names = _table(report), report.classes or ()
    found: Any = predict_density(report.fit.model, report.fit.measure, table.x).probabilities
    w = np.ones(len(table)) if table.weight is None else table.weight
    own = table.y[None] == np.arange(len(names))[:, None]
    share = (own * w) @ found.T / (own * w).sum(axis=1)[:, None]
    ax.imshow(share, vmin=0.0, vmax=1.0, cmap="Greys", aspect="auto")
    for i, row in enumerate(share):
        for j, value in enumerate(row):
            colour = "white" if value > 0.55 else "#111111"
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    short = [plain(n, 12) for n in names]
    ax.set_xticks(range(len(names)), short)
    ax.set_yticks(range(len(names)), short)
    ax.set_xlabel("mean probability of class")
    ax.set_ylabel(plain(f"{report.target} observed", 30))
    ax.grid(False)


# -- parts -------------------------------------------------------------------------------------


def _table(report: DensityReport) -> Any:
    assert report.table is not None
    return report.table


def _grid(report: DensityReport, count: int) -> Array:
    x = _table(report).x[:, 0]
    return np.linspace(x.min(), x.max(), count)[:, None]


def _looks(report: DensityReport) -> list[Look]:
    return atom_looks(sum(report.fit.measure.atoms))


def _points(
    report: DensityReport, ax: Axes, y: Array, looks: list[Look], at: Array | None = None
) -> None:
    """Rows in the colour and marker of their most probable atom; ``at`` is across, else x."""
    table = _table(report)
    across = table.x[:, 0] if at is None else at
    part = evenly(len(table), MOST_POINTS)
    size = point_size(len(part))
    for c, look in enumerate(looks):
        own = part[report.assigned[part] == c]
        ax.scatter(
            across[own], y[own], s=size, color=look.colour, marker=look.marker, alpha=0.6,
            linewidths=0, zorder=3, rasterized=len(part) > 1000,
        )  # fmt: skip


def _weights(report: DensityReport, ax: Axes, x: Array, weights: Array, looks: list[Look]) -> None:
    for look, w in zip(looks, weights, strict=True):
        ax.plot(x[:, 0], w, color=look.colour, linewidth=1.3, linestyle=look.dashes)
    weight_axis(ax, weights)
    ax.set_xlabel(plain(report.inputs[0], 60))


def _title(report: DensityReport) -> str:
    model, (m, k) = report.fit.model, report.fit.measure.atoms
    # of several logits the label is their expressions
    what = model.routed.expert.label
    if report.classes is not None:
        what = f"{len(report.classes)} classes"
    text = f"{what}, {model.routed.gate.name} gate, k = {k}"
    if m:
        text += f", {m} shared"
    value = f"{float(report.fit.log_likelihood):.4g}".replace("-", "\N{MINUS SIGN}")
    return f"{text}, log p = {value}"


def _legend(
    made: Figure, report: DensityReport, looks: list[Look], *, band: bool, shade: bool,
    data: bool = True,
) -> None:  # fmt: skip
    """Below the panels, where nothing is drawn."""
    parts = library()
    handles: list[Any] = []
    texts: list[str] = []
    labels = [p.label for p in components(report)[0]]
    for label, look in list(zip(labels, looks, strict=True))[:ATOMS_NAMED]:
        handles.append(
            parts.lines.Line2D(
                [], [], color=look.colour, linewidth=1.3, linestyle=look.dashes,
                marker=look.marker if data else None, markersize=4,
            )
        )  # fmt: skip
        texts.append(f"atom {label}")
    if len(looks) > ATOMS_NAMED:
        handles.append(parts.lines.Line2D([], [], linestyle="none"))
        texts.append(f"… of {len(looks)}")
    if band:
        handles.append(parts.patches.Patch(facecolor=GREY, alpha=0.25, linewidth=0))
        texts.append(f"mean ± {DEVIATIONS:g} s.d.")
    if shade:
        handles.append(parts.patches.Patch(facecolor="#000000", alpha=0.5 * DARKEST, linewidth=0))
        texts.append("p(y|x)")
    rows = -(-len(texts) // 5)
    made.legend(handles, texts, loc="outside lower center", ncols=-(-len(texts) // rows))
