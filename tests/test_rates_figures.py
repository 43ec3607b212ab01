"""Figures of rate experiments: what is drawn, into which files, and what stays as it was."""

from __future__ import annotations

import dataclasses
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("matplotlib")

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import identkit
from identkit.errors import InputError
from identkit.fit import Model
from identkit.fit.result import Box
from identkit.rate import ROOT, Rate
from identkit.rates import drawing, figure_files, figures, observe
from identkit.rates.fits import blocks, environment, perform
from identkit.rates.setting import Experiment, Setting
from identkit.rates.slopes import Prediction, slope

SIZES = (200, 400, 800)


@pytest.fixture(scope="module")
def result(one_thread):
    """tanh under the sigmoid gate, Regime 1, with a control: small and real."""
    truth = identkit.MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
    setting = Setting(
        Model.of("tanh", "sigmoid"), 1, truth, 3, 0.003, Box(beta0=(-1.5, 4.0)), budgets=(20, 60)
    )
    experiment = Experiment("small", setting, SIZES, 10, ("local",), control=2)
    rows = [row for block in blocks(experiment) for row in perform(setting, block)]
    return observe(experiment, rows, [environment()])


def changed(result, name="other", **lines):
    """The same under another name, with given medians (and their slopes) of some quantities."""
    moved = []
    for line in result.lines:
        if line.quantity in lines:
            medians = lines[line.quantity]
            values = [m * np.exp(0.1 * np.linspace(-1, 1, 20)) for m in medians]
            line = dataclasses.replace(
                line, medians=tuple(medians), lower=tuple(0.9 * m for m in medians),
                upper=tuple(1.1 * m for m in medians),
                slope=slope(SIZES, values) if np.isfinite(medians).all() else None,
            )  # fmt: skip
        moved.append(line)
    e = dataclasses.replace(result.experiment, name=name)
    return dataclasses.replace(result, experiment=e, lines=tuple(moved))


def with_rate(result, key, rate):
    verdicts = tuple(
        dataclasses.replace(v, derived=Prediction.of(Rate.parse(rate), SIZES))
        if v.quantity.key == key
        else v
        for v in result.verdicts
    )
    return dataclasses.replace(result, verdicts=verdicts)


def texts(ax):
    return [t.get_text() for t in ax.get_legend().get_texts()]


def fits(ax):
    """Fitted lines: in colour and without markers."""
    grey = to_rgb(drawing.GREY)
    return [
        line
        for line in ax.lines
        if to_rgb(line.get_color()) != grey and line.get_marker() == "None"
    ]


def predictions(ax):
    return [line for line in ax.lines if to_rgb(line.get_color()) == to_rgb(drawing.GREY)]


def test_legend_has_slopes_with_intervals(result):
    ax = figures.rate_figure(result)
    said = texts(ax)
    for key in figures.main_quantities(result):
        found = result.line(key)
        label = figures.described(key).label
        low, high = (f"{v:.2f}".replace("-", "−") for v in (found.slope.low, found.slope.high))
        assert f"{label}: $n^{{{found.slope.value:.2f}}}$ [{low}, {high}]" in said
    assert "derived rate" in said
    assert any("90% interval" in t for t in said)


def test_main_quantities(result):
    assert figures.main_quantities(result) == ("expert", "voronoi", "exact", "regression")
    more = [
        dataclasses.replace(result.line("expert"), quantity=q)
        for q in ("aggregate", "direction:a,b", "family", "identified:c")
    ]
    families = dataclasses.replace(result, lines=(*result.lines, *more))
    assert figures.main_quantities(families) == (
        "expert", "voronoi", "exact", "direction:a,b", "identified:c", "aggregate", "regression",
    )  # fmt: skip
    setting = dataclasses.replace(
        result.experiment.setting, regime=2,
        truth=identkit.MixingMeasure([1.0, -1.0], [[2.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]]),
    )  # fmt: skip
    e = dataclasses.replace(result.experiment, setting=setting)
    lines = [
        dataclasses.replace(result.line("expert"), quantity=q)
        for q in ("regression", "minimiser", "minimiser-expert", "minimiser-regression")
    ]
    second = dataclasses.replace(result, experiment=e, lines=tuple(lines))
    assert figures.main_quantities(second) == (
        "minimiser", "minimiser-expert", "minimiser-regression", "regression",
    )  # fmt: skip
    assert figures.main_loss(second) == "minimiser"


def test_lines_are_least_squares_and_predictions_cross_at_their_centre(result):
    ax = figures.rate_figure(result, ["expert"])
    (fit,), (predicted,) = fits(ax), predictions(ax)
    x, y = (np.log(v) for v in fit.get_data())
    medians = np.log(result.line("expert").medians)
    expected = np.polynomial.Polynomial.fit(np.log(SIZES), medians, 1)
    np.testing.assert_allclose(y, expected(x), atol=1e-9)
    xp, yp = (np.log(v) for v in predicted.get_data())
    np.testing.assert_allclose(np.diff(yp) / np.diff(xp), -0.25)
    np.testing.assert_allclose(np.interp(np.log(SIZES).mean(), xp, yp), medians.mean(), atol=1e-9)
    assert any("n^{-1/4}" in t.get_text() for t in ax.texts)


@pytest.mark.parametrize(
    ("rate", "text", "course"),
    [
        ("1/log n", "1/log n", lambda n: -np.log(np.log(n))),
        ("no consistent estimator", "no consistent\nestimator", lambda n: 0 * n),
        ("slower than n^-1/4", "slower than\n$n^{-1/4}$", lambda n: -np.log(n) / 4),
        ("n^-1/3 for one true atom", "$n^{-1/3}$", lambda n: -np.log(n) / 3),
    ],
)
def test_each_rate_has_its_course(result, rate, text, course):
    ax = figures.rate_figure(with_rate(result, "expert", rate), ["expert"])
    n, y = predictions(ax)[0].get_data()
    moved = np.log(y) - course(np.asarray(n))
    np.testing.assert_allclose(moved, moved[0], atol=1e-9)
    assert text in [t.get_text() for t in ax.texts]


def test_published_rate_stands_in_and_looks_different(result):
    derived = predictions(figures.rate_figure(result, ["expert"]))[0].get_linestyle
    other = tuple(
        dataclasses.replace(v, published=Prediction.of(ROOT, SIZES), derived=None)
        for v in result.verdicts
    )
    ax = figures.rate_figure(dataclasses.replace(result, verdicts=other), ["expert"])
    assert "published rate" in texts(ax)
    assert "derived rate" not in texts(ax)
    assert predictions(ax)[0]._dash_pattern != derived.__self__._dash_pattern


def test_axes_are_named_and_ticks_are_sizes(result):
    ax = figures.rate_figure(result)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("n, samples", "error")
    assert ax.get_title(loc="left") == "tanh ridge, sigmoid gate, Regime 1"
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert tuple(ax.get_xticks()) == SIZES


def test_given_axes_are_used(result):
    ax = Figure().subplots()
    assert figures.rate_figure(result, ax=ax) is ax
    assert ax.get_legend() is not None
    other = Figure().subplots()
    assert figures.compare_figure([result], ax=other) is other


def test_nothing_global_changes(result):
    before, loaded = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    figures.rate_figure(result)
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


@pytest.mark.parametrize(
    "name", ["figures", "drawing", "figure_files", "page/__init__", "page/drawn"]
)
def test_matplotlib_is_optional(name):
    """It is imported inside functions only."""
    source = Path(figures.__file__).parent.joinpath(f"{name}.py").read_text()
    assert not re.search(r"^(import|from) matplotlib", source, re.M)


@pytest.mark.parametrize("ending", ["svg", "pdf", "PNG"])
def test_files_repeat_to_the_byte_whatever_the_style(result, tmp_path, ending):
    heads = {"svg": b"<?xml", "pdf": b"%PDF", "PNG": b"\x89PNG"}
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    figure_files.save(figures.rate_figure(result, ["expert"]), paths[0])
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "none"}):
        figure_files.save(figures.rate_figure(result, ["expert"]), paths[1])
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(heads[ending])
    assert not re.search(rb"<dc:date>|CreationDate", first)


def test_files_appear_whole_or_not_at_all(result, tmp_path):
    figure = figures.rate_figure(result, ["expert"])
    for bad in ("a.gif", "a", "svg"):
        with pytest.raises(InputError, match=r"\.svg, \.pdf, \.png"):
            figure_files.save(figure, tmp_path / bad)
    with pytest.raises(InputError, match="folder"):
        figure_files.save(figure, tmp_path / "nowhere" / "a.svg")
    with pytest.raises(InputError, match="folder"):
        figure_files.check_path(tmp_path / "nowhere" / "a.svg")
    figure_files.check_path(tmp_path / "a.svg")
    kept = tmp_path / "kept.svg"
    kept.write_text("before")
    figure.figure.add_artist(Broken())
    with pytest.raises(RuntimeError, match="while drawing"):
        figure_files.save(figure, kept)
    assert kept.read_text() == "before"
    assert list(tmp_path.iterdir()) == [kept]


class Broken(matplotlib.lines.Line2D):
    def __init__(self):
        super().__init__([0, 1], [0, 1])

    def draw(self, renderer):
        raise RuntimeError("while drawing")


def test_looks_differ_in_grey():
    looks = drawing.LOOKS
    assert len({look.colour for look in looks}) == len(looks)
    assert len({look.marker for look in looks}) == len(looks)
    assert len({str(look.dashes) for look in looks}) == len(looks)
    dashes = {str(look.dashes) for look in looks}
    assert not dashes & {str(d) for d in drawing.PREDICTED.values()}
    many = drawing.looks(40)
    assert len({(k.colour, k.marker, str(k.dashes)) for k in many}) == len(many)


def test_comparison_has_one_look_each(result):
    other = changed(result, voronoi=(0.5, 0.4, 0.3), expert=(0.5, 0.4, 0.3))
    ax = figures.compare_figure([result, other])
    assert len({line.get_color() for line in fits(ax)}) == 2
    assert len({str(line._dash_pattern) for line in fits(ax)}) == 2
    assert len({line.get_marker() for line in ax.lines if line.get_marker() != "None"}) == 2
    # equal titles are told apart by the experiments' names
    assert [("(small)" in t, "(other)" in t) for t in texts(ax)[:2]] == [
        (True, False),
        (False, True),
    ]
    assert ax.get_title(loc="left") == "Voronoi loss"
    for chosen in (
        {"small": "voronoi", "other": "expert"},
        lambda r: "voronoi" if r.experiment.name == "small" else "expert",
    ):
        ax = figures.compare_figure([result, other], chosen)
        assert "Voronoi loss" in texts(ax)[0]
        assert "expert, over-specified" in texts(ax)[1]


def test_multiples_share_scales_in_three_columns(result):
    results = [changed(result, f"r{i}", expert=(0.1 * i, 0.1, 0.1)) for i in range(1, 5)]
    figure = figures.small_multiples(results, ["expert", "regression"])
    axes = figure.axes
    assert len(axes) == 4
    assert len({ax.get_ylim() for ax in axes}) == 1
    assert len({ax.get_xlim() for ax in axes}) == 1
    assert {ax.get_subplotspec().get_gridspec().ncols for ax in axes} == {3}
    # the middle of the first row has no axes below, so it keeps its own labels
    named = [bool(ax.get_xlabel()) for ax in axes]
    assert named == [False, True, True, True]
    assert len(figure.legends) == 1
    assert len(figures.small_multiples(results[:1]).axes) == 1


def test_values_that_cannot_be_drawn_are_left_out(result, tmp_path):
    gap = changed(result, expert=(0.1, float("nan"), 0.05), exact=(0.0, 0.1, 0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = figures.rate_figure(gap)
        figure_files.save(ax, tmp_path / "a.png")
    assert "expert, over-specified: too few values for a slope" in texts(ax)


def test_names_are_no_mathematics(result, tmp_path):
    odd = changed(result, name="a $x_{$ 中文 " + "long " * 40)
    ax = figures.compare_figure([result, odd])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure_files.save(ax, tmp_path / "a.png")


def test_svg_for_a_page(result):
    text = figure_files.svg(figures.rate_figure(result, ["expert"]), "p-")
    assert text.startswith("<svg")
    assert text.endswith("</svg>")
    assert "http" not in text
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(set(ids)) == len(ids)
    assert all(i.startswith("p-") for i in ids)
    used = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text)
    assert {a or b for a, b in used} <= set(ids)


def test_caption_says_what_is_shown(result):
    text = figures.caption(result)
    assert text.startswith("tanh ridge, sigmoid gate, Regime 1, local starts, n = 200 to 800.")
    assert "derived rate n^−1/4" in text
    assert "90% interval" in text


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: figures.rate_figure(r, ["experts"]), "did you mean expert"),
        (lambda r: figures.rate_figure(r, []), "quantities"),
        (lambda r: figures.rate_figure(r, start="split"), "'split' was not run"),
        (lambda r: figures.rate_figure(r, budget=7), "choose from 20, 60"),
        (lambda r: figures.compare_figure([r], "nothing"), "unknown quantity"),
        (lambda r: figures.compare_figure([r], {"other": "expert"}), "experiment 'small'"),
        (lambda r: figures.compare_figure([]), "0 results"),
        (lambda r: figures.compare_figure([r] * 8), "small_multiples"),
        (lambda r: figures.small_multiples([]), "no results"),
        (lambda r: figures.small_multiples([r], columns=4), "from 1 to 3"),
    ],
)
def test_what_is_not_there(result, call, words):
    with pytest.raises(InputError, match=words):
        call(result)


def test_without_matplotlib(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install identkit\[figures\]"):
        figures.rate_figure(result)
