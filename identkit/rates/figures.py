"""Figures of rate experiments: error against n, log-log, with fitted and predicted lines.

Markers are medians over replicates, bands their quartiles; a fitted line is least squares on the
log medians, as in :mod:`identkit.rates.slopes`, a dashed grey one has the predicted slope through
the centre of the fit: the derived rate where there is one, else the published.

Colours are those of Okabe and Ito; markers and line styles differ as well, for print in grey. No
pyplot: figures leave nothing behind. Needs matplotlib (``pip install identkit[figures]``).
"""

from __future__ import annotations

import io
import math
import os
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from identkit.errors import InputError, unknown_name
from identkit.files import regular, write_whole
from identkit.rate import LOGARITHMIC, NONE
from identkit.rates.quantities import quantity as described
from identkit.rates.result import Line, RateResult
from identkit.rates.slopes import LEVEL, Prediction, Slope
from identkit.report import rates_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".pdf", ".png")
MAIN = ("expert", "voronoi", "exact", "direction", "identified", "aggregate", "regression")
"""Kinds of quantities shown by default, in this order, where an experiment has them; direction,
identified and aggregate exist beside exact families only."""
MAIN_2 = (
    *("minimiser", "minimiser-expert", "minimiser-regression"),
    *("local-minimiser", "local-minimiser-expert", "local-minimiser-regression"),
    "regression",
)
"""… in Regime 2."""
WIDTH, HEIGHT = 5.0, 3.3
"""Inches of the axes and what belongs to them, without the legend: a column of a page."""
LINE_HEIGHT = 0.19
"""Inches of a line of the legend."""
COLUMNS = 3
DPI = 200

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

_GREY = "#6f6f6f"
_SHORT_DASH, _DASH_DOT = (0, (2.2, 1.8)), (0, (5, 1.6, 1, 1.6))
_PREDICTED = {"derived": _SHORT_DASH, "published": _DASH_DOT}
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

Choice = str | Mapping[str, str] | Callable[[RateResult], str]
"""A quantity for every experiment: one for all, by name of the experiment, or from the result."""


def main_quantities(result: RateResult) -> tuple[str, ...]:
    """The keys that figures and tables show unless told otherwise."""
    known = tuple(dict.fromkeys(line.quantity for line in result.lines))
    kinds = MAIN if result.experiment.setting.shared else MAIN_2
    return tuple(key for kind in kinds for key in known if key.partition(":")[0] == kind)


def main_loss(result: RateResult) -> str:
    """The one quantity that sums an experiment up, for comparisons."""
    known = {line.quantity for line in result.lines}
    losses = ("minimiser", "local-minimiser")
    return next((name for name in losses if name in known), "voronoi")


def title(result: RateResult) -> str:
    """Expert, gate and regime."""
    return rates_report.title(result)


def rate_figure(
    result: RateResult,
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
    with _style():
        rows = len(lines) + 1
        ax = _axes(ax, HEIGHT + rows * LINE_HEIGHT)
        drawn = [
            _draw(ax, result, line, look, described(line.quantity).label)
            for line, look in zip(lines, _looks(len(lines)), strict=True)
        ]
        _finish(ax, result.experiment.sizes, most=7)
        _ends(ax, [end for one in drawn for end in one.predicted])
        ax.set_title(_text(title(result)))
        _legend(ax, drawn)
    return ax


def compare_figure(
    results: Sequence[RateResult],
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
    with _style():
        ax = _axes(ax, HEIGHT + (len(lines) + 1) * LINE_HEIGHT)
        names = labels(results)
        if len(kinds) > 1:
            names = [
                f"{name}, {described(line.quantity).label}"
                for name, line in zip(names, lines, strict=True)
            ]
        drawn = [
            _draw(ax, result, line, look, name)
            for result, line, look, name in zip(
                results, lines, _looks(len(lines)), names, strict=True
            )
        ]
        _finish(ax, sorted({n for r in results for n in r.experiment.sizes}), most=7)
        _ends(ax, [end for one in drawn for end in one.predicted])
        ax.set_title(_text(" / ".join(kinds)))
        _legend(ax, drawn)
    return ax


def small_multiples(
    results: Sequence[RateResult],
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
    kinds.sort(key=lambda kind: (MAIN + MAIN_2).index(kind) if kind in MAIN + MAIN_2 else 99)
    look = dict(zip(kinds, _looks(len(kinds)), strict=True))
    lines = [
        [_line(r, key, start, budget) for key in k] for r, k in zip(results, chosen, strict=True)
    ]
    columns = min(columns, len(results))
    rows = -(-len(results) // columns)
    with _style():
        legend_rows = -(-(len(kinds) + 2) // columns)
        figure = _matplotlib().figure.Figure(
            (3.0 * columns + 0.4, 2.2 * rows + 0.5 + LINE_HEIGHT * legend_rows)
        )
        figure.set_layout_engine("constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        handles: dict[str, Any] = {}
        styles: dict[str, None] = {}
        ends: list[list[_End]] = []
        for ax, result, mine in zip(grid.flat, results, lines, strict=False):
            ends.append([])
            for line in mine:
                kind, _, names = line.quantity.partition(":")
                label = kind if names else described(line.quantity).label
                one = _draw(ax, result, line, look[kind], label)
                handles.setdefault(label, one.handle)
                styles |= dict.fromkeys(p.source for p in one.predicted)
                if one.fitted is not None:
                    ends[-1].append(one.fitted)
        sizes = sorted({n for r in results for n in r.experiment.sizes})
        for ax in grid.flat[: len(results)]:
            _finish(ax, sizes, most=3)
        for ax, name, last in zip(grid.flat, labels(results), ends, strict=False):
            _ends(ax, last)  # once the shared scale is known
            ax.set_ylabel("")
            ax.set_title(_text(name, 34), fontsize=8.5)
            ax.label_outer()
        for place, ax in enumerate(grid.flat):
            if place >= len(results):
                ax.remove()
                above = grid.flat[place - columns]
                above.tick_params(labelbottom=True)
                above.set_xlabel("n, samples")
        figure.supylabel("error", fontsize=9)
        entries = [*handles.values(), *map(_proxy, _order(styles)), _band_proxy()]
        names = [*handles, *(f"{source} rate" for source in _order(styles))]
        names.append(f"quartiles; in brackets: {LEVEL:.0%} interval of the slope")
        figure.legend(entries, names, loc="outside lower center", ncols=columns, handlelength=3.4)
    return figure


def labels(results: Sequence[RateResult]) -> list[str]:
    """Expert, gate and regime of each, with the experiment's name where these are not unique."""
    titles = [title(r) for r in results]
    return [
        t if titles.count(t) == 1 else f"{t} ({r.experiment.name})"
        for t, r in zip(titles, results, strict=True)
    ]


def caption(
    result: RateResult, quantities: Sequence[str] | None = None, start: str | None = None
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
        found = _prediction(result, key)
        if found is not None:
            span += f", {found[0]} rate {found[1].rate}"
        said.append(f"{described(key).label}: {span}")
    sizes = f"n = {e.sizes[0]:,} to {e.sizes[-1]:,}"
    text = f"{title(result)}, {start} starts, {sizes}. {'; '.join(said)}."
    return re.sub(r"-(?=\d)", "−", text)


def save(figure: Figure | Axes, path: str | os.PathLike[str]) -> None:
    """Write a figure, or the one that axes belong to, as .svg, .pdf or .png.

    The same figure gives the same bytes. Raises :class:`~identkit.errors.InputError` for other
    endings and where the file cannot be written; a file there before is then untouched.
    """
    ending = Path(path).suffix.lower()
    check_path(path)
    write_whole(path, partial(_write, figure, ending[1:]))


def check_path(path: str | os.PathLike[str]) -> None:
    """Whether :func:`save` could write there, to be known before hours of fits.

    Raises :class:`~identkit.errors.InputError` for other endings, a folder that does not exist,
    and without matplotlib.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"{path}: figures are written as {', '.join(FORMATS)}; choose one.")
    if not regular(path, str(path)).parent.is_dir():
        raise InputError(f"{path}: its folder does not exist; make it or choose another path.")
    with _style():
        pass


def svg(figure: Figure | Axes, prefix: str) -> str:
    """The figure as an ``<svg>`` element to put into an HTML page, ids starting with ``prefix``.

    Without prologue, style sheet and namespaces, which HTML does not need; it has no ``<title>``.
    """
    stream = io.BytesIO()
    _write(figure, "svg", stream)
    text = stream.getvalue().decode()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<defs>\s*</defs>", "", text, flags=re.S
    )
    text = re.sub(r' xmlns(:\w+)?="[^"]*"| version="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", text)
    return re.sub(r"\n\s*\n|\n +", "\n", text)


def _write(figure: Figure | Axes, format: str, stream: Any) -> None:
    owner: Any = figure
    while getattr(owner, "figure", owner) is not owner:
        owner = owner.figure
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with _style(), warnings.catch_warnings():
        # a name in another script is drawn as boxes; no reason to fail
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        owner.savefig(
            stream, format=format, dpi=DPI, metadata=dates[format], bbox_inches="tight",
            pad_inches=0.06,
        )  # fmt: skip


def _matplotlib() -> Any:
    """The library, with the parts used here; whatever is drawn begins with it."""
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
def _style() -> Iterator[None]:
    """matplotlib with our style and no one else's."""
    matplotlib = _matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams
        settings.update(STYLE)
        yield


def _axes(ax: Axes | None, height: float) -> Axes:
    if ax is not None:
        return ax
    return _matplotlib().figure.Figure((WIDTH, height), layout="constrained").subplots()


def _looks(count: int) -> list[Look]:
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


def _keys(result: RateResult, quantities: Sequence[str] | None) -> tuple[str, ...]:
    if quantities is None:
        if not result.lines:
            raise InputError(f"'{result.experiment.name}' has no fits yet; run it first.")
        return main_quantities(result)
    if isinstance(quantities, str):
        return (quantities,)
    if not quantities:
        raise InputError("quantities: none named; name one or more, or leave it out.")
    return tuple(quantities)


def _chosen(quantity: Choice, result: RateResult) -> str:
    if callable(quantity):
        return quantity(result)
    if isinstance(quantity, str):
        return quantity
    name = result.experiment.name
    if name not in quantity:
        raise InputError(f"quantity: none is named for the experiment '{name}'; add it.")
    return quantity[name]


def _line(result: RateResult, key: str, start: str | None, budget: int | None) -> Line:
    e = result.experiment
    starts = [name for name, _ in e.runs]
    if start is not None and start not in starts:
        raise InputError(f"start: '{start}' was not run for '{e.name}'; run: {', '.join(starts)}.")
    if budget is not None and budget not in e.setting.budgets:
        known = ", ".join(map(str, e.setting.budgets))
        raise InputError(f"budget: {budget} is not one of '{e.name}'; choose from {known}.")
    try:
        return result.line(key, start, budget)
    except KeyError:
        raise unknown_name("quantity", key, {line.quantity for line in result.lines}) from None


def _prediction(result: RateResult, key: str) -> tuple[str, Prediction] | None:
    """Derived or else published, which does not depend on the start."""
    for verdict in result.verdicts:
        if verdict.quantity.key == key:
            if verdict.derived is not None:
                return "derived", verdict.derived
            if verdict.published is not None:
                return "published", verdict.published
    return None


@dataclass(frozen=True)
class _End:
    """The right end of a line, with the text to put there."""

    x: float
    y: float
    text: str
    source: str


@dataclass(frozen=True)
class _Drawn:
    handle: Any
    label: str
    predicted: list[_End]
    fitted: _End | None


def _draw(ax: Axes, result: RateResult, line: Line, look: Look, label: str) -> _Drawn:
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
        found = _prediction(result, line.quantity)
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
            ax.plot(over, y, color=_GREY, linewidth=1.0, linestyle=_PREDICTED[source], zorder=2.5)
            predicted.append(_End(float(sizes[-1]), float(y[-1]), rate_text(rate), source))
        if line.slope is not None:
            y = np.exp(centre + line.slope.value * (x - x.mean()))
            ax.plot(sizes, y, linestyle=look.dashes, zorder=2, **common)
            text = f"[{line.slope.low:.2f}, {line.slope.high:.2f}]".replace("-", "−")
            fitted = _End(float(sizes[-1]), float(y[-1]), text, "fit")
    handle = _matplotlib().lines.Line2D(
        [], [], linestyle=look.dashes, **common, **look.marks,
    )  # fmt: skip
    return _Drawn(handle, f"{_text(label, 50)}: {slope_text(line.slope)}", predicted, fitted)


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


def _ends(ax: Axes, ends: Sequence[_End]) -> None:
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


def _finish(ax: Axes, sizes: Sequence[int], most: int) -> None:
    """Scales, ticks at sizes, grid and labels."""
    ticker = _matplotlib().ticker
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


def _legend(ax: Axes, drawn: Sequence[_Drawn]) -> None:
    """Below the axes, where no line is."""
    styles = _order(dict.fromkeys(p.source for one in drawn for p in one.predicted))
    handles = [one.handle for one in drawn] + [_proxy(s) for s in styles] + [_band_proxy()]
    texts = [one.label for one in drawn] + [f"{s} rate" for s in styles]
    texts.append(f"quartiles; in brackets: {LEVEL:.0%} interval of the slope")
    root: Any = ax.get_figure()
    below = ax.transAxes + _matplotlib().transforms.ScaledTranslation(
        0, -_BELOW / 72, root.dpi_scale_trans
    )
    ax.legend(
        handles, texts, loc="upper left", bbox_to_anchor=(0.0, 0.0), bbox_transform=below,
        borderaxespad=0.0, handlelength=3.4, labelspacing=0.45, borderpad=0.0,
    )  # fmt: skip


def _order(sources: Mapping[str, None]) -> list[str]:
    return [source for source in _PREDICTED if source in sources]


def _proxy(source: str) -> Any:
    return _matplotlib().lines.Line2D(
        [], [], color=_GREY, linewidth=1.0, linestyle=_PREDICTED[source]
    )


def _band_proxy() -> Any:
    return _matplotlib().patches.Patch(facecolor=_GREY, alpha=0.25, linewidth=0)


def _text(text: str, width: int = 76) -> str:
    """Plain text for matplotlib: no mathematics, two lines at most."""
    lines = textwrap.wrap(text, width, max_lines=2, placeholder=" …") or [""]
    return "\n".join(lines).replace("$", r"\$")
