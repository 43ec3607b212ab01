"""How figures of rate experiments are drawn: style, looks of lines, one line, axes, legend.

Colours are those of Okabe and Ito; markers and line styles differ as well, for print in grey. No
pyplot: figures leave nothing behind. Needs matplotlib (``pip install identkit[figures]``).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from identkit.errors import InputError
from identkit.rate import LOGARITHMIC, NONE
from identkit.rates.result import Line, Observed
from identkit.rates.slopes import LEVEL, Prediction, Slope
from identkit.vocabulary import Basis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


WIDTH, HEIGHT = 5.0, 3.3
"""Inches of the axes and what belongs to them, without the legend: a column of a page."""
LINE_HEIGHT = 0.19
"""Inches of a line of the legend."""

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same everywhere
    "font.size": 9.0,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#444444",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "text.color": "#111111",
    "axes.labelcolor": "#111111",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "text.usetex": False,
    "path.simplify": False,
    "svg.fonttype": "path",  # opens the same without the font
    "svg.hashsalt": "identkit",  # ids of elements repeat from run to run
    "pdf.fonttype": 42,  # text stays text
}

GREY = "#6f6f6f"
_SHORT_DASH, _DASH_DOT = (0, (2.2, 1.8)), (0, (5, 1.6, 1, 1.6))
PREDICTED = {Basis.DERIVED: _SHORT_DASH, Basis.PUBLISHED: _DASH_DOT}
_BELOW = 38
"""Points from the axes down to the legend: tick labels, axis label and some air."""
_LEAST_GAP = 0.06
"""Of the height of the axes, between labels at the ends of lines."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and line style of one line; no two looks share any of them."""

    colour: str
    marker: str
    dashes: Any

    @property
    def marks(self) -> dict[str, Any]:
        """Of the marker; crosses and pluses look smaller than they are."""
        size = 6.4 if self.marker in "XP" else 5.2
        return {
            "marker": self.marker, "markersize": size, "markeredgecolor": "white",
            "markeredgewidth": 0.5,
        }  # fmt: skip


LOOKS = (
    Look("#0072b2", "o", "solid"),
    Look("#d55e00", "s", (0, (7, 1.5))),
    Look("#009e73", "^", (0, (7, 1.5, 1.2, 1.5))),
    Look("#cc79a7", "D", (0, (3.5, 1.2))),
    Look("#000000", "X", (0, (1.2, 1.2))),
    Look("#e69f00", "v", (0, (7, 1.5, 1.2, 1.5, 1.2, 1.5))),
    Look("#56b4e9", "P", (0, (3.5, 1.2, 1.2, 1.2))),
)
"""Of lines in the order they are drawn; yellow of the palette is left out, too light on white."""


def library() -> Any:
    """matplotlib, with the parts used here; whatever is drawn begins with it."""
    try:
        import matplotlib.figure
        import matplotlib.lines
        import matplotlib.patches
        import matplotlib.ticker
        import matplotlib.transforms
    except ImportError:
        raise InputError(
            "figures need matplotlib, which is not installed; run pip install identkit[figures]."
        ) from None
    return matplotlib


@contextmanager
def style() -> Iterator[None]:
    """matplotlib with our style and no one else's."""
    matplotlib = library()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams
        settings.update(STYLE)
        yield


def axes_of(ax: Axes | None, height: float) -> Axes:
    """The given ones, or new ones of our width on a figure of ``height`` inches."""
    if ax is not None:
        return ax
    return library().figure.Figure((WIDTH, height), layout="constrained").subplots()


def looks(count: int) -> list[Look]:
    """The first looks; beyond them colours, markers and lines are paired anew."""
    size = len(LOOKS)
    return [
        Look(
            LOOKS[i % size].colour,
            LOOKS[(i + i // size) % size].marker,
            LOOKS[(i + 2 * (i // size)) % size].dashes,
        )
        for i in range(count)
    ]


def prediction(result: Observed, key: str) -> tuple[Basis, Prediction] | None:
    """Derived or else published, which does not depend on the start."""
    for verdict in result.verdicts:
        if verdict.quantity.key == key:
            if verdict.derived is not None:
                return Basis.DERIVED, verdict.derived
            if verdict.published is not None:
                return Basis.PUBLISHED, verdict.published
    return None


@dataclass(frozen=True)
class End:
    """The right end of a line, with the text to put there."""

    x: float
    y: float
    text: str
    source: str


@dataclass(frozen=True)
class Drawn:
    """One line as drawn: its entry in the legend, the ends of its predicted and fitted lines."""

    handle: Any
    label: str
    predicted: list[End]
    fitted: End | None


def draw(ax: Axes, result: Observed, line: Line, look: Look, label: str) -> Drawn:
    """One line: band, medians, fit and prediction."""
    sizes = np.array(result.experiment.sizes, dtype=np.float64)
    medians, low, high = (np.array(v) for v in (line.medians, line.lower, line.upper))
    seen = np.isfinite(medians) & (medians > 0)
    common: dict[str, Any] = {"color": look.colour, "linewidth": 1.5}
    band = seen & (low > 0)
    ax.fill_between(sizes[band], low[band], high[band], color=look.colour, alpha=0.14, linewidth=0)
    ax.plot(
        sizes[seen], medians[seen], linestyle="none", color=look.colour, zorder=3, **look.marks,
    )  # fmt: skip
    predicted, fitted = [], None
    if seen.all():
        # through (mean log n, mean log median), as least squares does
        x = np.log(sizes)
        centre = float(np.log(medians).mean())
        found = prediction(result, line.quantity)
        if found is not None:
            source, rate = found
            y = np.exp(centre + _course(rate, sizes))
            grid = np.geomspace(sizes[0], sizes[-1], 60)
            if rate.rate == LOGARITHMIC:
                shown = np.exp(centre + _course(rate, grid) - _course(rate, grid).mean())
                shown *= float(np.exp(centre - np.interp(x.mean(), np.log(grid), np.log(shown))))
                y, over = shown, grid
            else:
                over = sizes
            ax.plot(over, y, color=GREY, linewidth=1.0, linestyle=PREDICTED[source], zorder=2.5)
            predicted.append(End(float(sizes[-1]), float(y[-1]), rate_text(rate), source))
        if line.slope is not None:
            y = np.exp(centre + line.slope.value * (x - x.mean()))
            ax.plot(sizes, y, linestyle=look.dashes, zorder=2, **common)
            text = f"[{line.slope.low:.2f}, {line.slope.high:.2f}]".replace("-", "−")
            fitted = End(float(sizes[-1]), float(y[-1]), text, "fit")
    handle = library().lines.Line2D(
        [], [], linestyle=look.dashes, **common, **look.marks,
    )  # fmt: skip
    return Drawn(handle, f"{plain(label, 50)}: {slope_text(line.slope)}", predicted, fitted)


def _course(rate: Prediction, n: Any) -> Any:
    """Log of the predicted error over n, up to a constant: mean 0."""
    x = np.log(n)
    y = -np.log(x) if rate.rate == LOGARITHMIC else rate.low * x
    return y - y.mean()


def slope_text(found: Slope | None) -> str:
    """``n^-0.26 [-0.31, -0.21]`` for a legend."""
    if found is None:
        return "too few values for a slope"
    text = f"[{found.low:.2f}, {found.high:.2f}]".replace("-", "−")
    return rf"$n^{{{found.value:.2f}}}$ {text}"


def rate_text(rate: Prediction) -> str:
    """A rate for the end of its line."""
    if rate.rate == NONE:
        return "no consistent\nestimator"
    if rate.rate.exponent is None:
        return str(rate.rate)
    text = f"$n^{{-{rate.rate.exponent}}}$"
    return text if rate.rate.polynomial else f"slower than\n{text}"


def write_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Texts to the right of the lines' ends, moved apart where they would overlap."""
    if not ends:
        return
    low, high = (math.log(v) for v in ax.get_ylim())
    gap = _LEAST_GAP * (high - low)
    ordered = sorted(ends, key=lambda end: end.y)
    heights = [math.log(end.y) for end in ordered]
    lines = [1 + end.text.count("\n") for end in ordered]
    places = list(heights)
    for i in range(1, len(places)):
        least = places[i - 1] + gap * (lines[i - 1] + lines[i]) / 2
        places[i] = max(places[i], least)
    # half of the push goes down
    shift = np.mean(places) - np.mean(heights)
    for end, place in zip(ordered, places, strict=True):
        ax.annotate(
            end.text, (end.x, math.exp(place - shift)), xytext=(6, 0), textcoords="offset points",
            va="center", ha="left", fontsize=7.5, color="#444444", annotation_clip=False,
            linespacing=0.95,
        )  # fmt: skip


def finish(ax: Axes, sizes: Sequence[int], most: int) -> None:
    """Scales, ticks at sizes, grid and labels."""
    ticker = library().ticker
    ax.set_xscale("log")
    ax.set_yscale("log")
    count = len(sizes)
    step = max(1, -(-(count - 1) // (most - 1)))
    # from the end, where the verdict lies; both ends where only few fit
    places = range(count - 1, -1, -step) if most > 3 else {0, count - 1}
    if most == 3 and count % 2:
        places = {*places, count // 2}
    shown = [sizes[i] for i in sorted(places)]
    ax.xaxis.set_major_locator(ticker.FixedLocator(list(map(float, shown))))
    ax.xaxis.set_minor_locator(ticker.NullLocator())
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda n, _: f"{n:,.0f}"))
    ax.margins(x=0.04)
    ax.grid(True, which="major")
    ax.set_xlabel("n, samples")
    ax.set_ylabel("error")


def legend_below(ax: Axes, drawn: Sequence[Drawn]) -> None:
    """Below the axes, where no line is."""
    sources = [end.source for one in drawn for end in one.predicted]
    handles, texts = legend_entries([(one.label, one.handle) for one in drawn], sources)
    root: Any = ax.get_figure()
    below = ax.transAxes + library().transforms.ScaledTranslation(
        0, -_BELOW / 72, root.dpi_scale_trans
    )
    ax.legend(
        handles, texts, loc="upper left", bbox_to_anchor=(0.0, 0.0), bbox_transform=below,
        borderaxespad=0.0, handlelength=3.4, labelspacing=0.45, borderpad=0.0,
    )  # fmt: skip


def legend_entries(
    lines: Iterable[tuple[str, Any]], sources: Collection[str]
) -> tuple[list[Any], list[str]]:
    """Handles and texts: the lines drawn, the kinds of predicted rates among them, the band."""
    parts = library()
    texts, handles = map(list, zip(*lines, strict=True))
    for source in (s for s in PREDICTED if s in sources):
        texts.append(f"{source} rate")
        handles.append(
            parts.lines.Line2D([], [], color=GREY, linewidth=1.0, linestyle=PREDICTED[source])
        )
    texts.append(f"quartiles; in brackets: {LEVEL:.0%} interval of the slope")
    handles.append(parts.patches.Patch(facecolor=GREY, alpha=0.25, linewidth=0))
    return handles, texts


def plain(text: str, width: int = 76) -> str:
    """Plain text for matplotlib: no mathematics, two lines at most."""
    lines = textwrap.wrap(text, width, max_lines=2, placeholder=" …") or [""]
    return "\n".join(lines).replace("$", r"\$")
