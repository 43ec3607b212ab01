"""Figures of fits: what is drawn, that axes follow the data, files, and wrong use."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("matplotlib")

import identkit
from identkit.cli import main
from identkit.errors import InputError
from identkit.report.fit_figure import MOST_INPUTS

CURVE = ["data.csv", "--expert", "linear", "--gate", "softmax", "--k", "2", "--no-check"]


def kinked(n=200):
    """Two steep lines: each is far from the data where it does not weigh."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, n)
    return x[:, None], np.where(x < 0, -4.0 * x, 4.0 * x) + 0.1 * rng.normal(size=n)


@pytest.fixture(scope="module")
def curve():
    return identkit.fit_data(kinked(), "linear", "softmax", 2, check=False)


def test_one_input(curve):
    made = curve.figure()
    upper, lower = made.axes
    assert upper.get_ylabel() == "y"
    assert lower.get_xlabel() == "x"
    assert lower.get_ylabel() == "weight"
    # the axes are those of the data: 6 % more than their range, though experts go to -8
    y = kinked()[1]
    low, high = upper.get_ylim()
    assert low > y.min() - 0.1 * np.ptp(y)
    assert high < y.max() + 0.1 * np.ptp(y)
    experts = curve.result.model.experts(curve.result.measure, np.array([[-2.0], [2.0]]))
    assert experts.min() < y.min() - 0.5 * np.ptp(y)
    f = next(line for line in upper.lines if line.get_color() == "#111111")
    assert np.array_equal(f.get_ydata(), curve.result.predict(np.array(f.get_xdata())[:, None]))
    drawn = [(line.get_color(), line.get_linewidth()) for line in upper.lines if line is not f]
    assert {colour for colour, _ in drawn} == {"#0072b2", "#d55e00"}
    assert max(w for _, w in drawn) > 1.9  # where an atom is alone
    assert min(w for _, w in drawn) < 0.9
    assert len(upper.collections) == 2  # points, band
    texts = [t.get_text() for t in made.legends[0].get_texts()]
    assert texts[:3] == ["data", "f", "95% band of f"]
    assert texts[-2:] == ["atom 0", "atom 1"]


def test_an_expert_is_drawn_only_where_it_weighs(curve):
    upper = curve.figure().axes[0]
    weights = curve.result.model.weights
    for i, colour in enumerate(("#0072b2", "#d55e00")):
        ends = [np.array(line.get_xdata()) for line in upper.lines if line.get_color() == colour]
        at = np.concatenate(ends)
        seen = weights(curve.result.measure, at[:, None])[i]
        assert seen.min() > 0.01
        assert at.size < 1200


def test_without_standard_errors_there_is_no_band(curve):
    bare = replace(curve, covariance=None)
    made = identkit.FitReport.figure(bare)
    assert len(made.axes[0].collections) == 1
    assert "95% band of f" not in [t.get_text() for t in made.legends[0].get_texts()]


def test_several_inputs_show_those_of_the_largest_effect():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 5))
    y = x @ [0.1, 3.0, 0.0, 2.0, 1.0] + 0.1 * rng.normal(size=400)
    report = identkit.fit_data((x, y), "linear", "softmax", 1, check=False)
    made = report.figure()
    labels = [ax.get_xlabel() for ax in made.axes if ax.get_xlabel()]
    assert labels == ["x1", "x3", "x4", "fitted y"]
    assert len(labels) == MOST_INPUTS + 1
    assert "2 inputs of smaller effect left out" in made.get_suptitle()
    # a linear function: its partial dependence is a line with its own slope
    curve = made.axes[0].lines[0]
    slope = np.diff(curve.get_ydata()) / np.diff(curve.get_xdata())
    np.testing.assert_allclose(slope, report.result.measure.eta[0, 1], rtol=1e-6)


def test_many_atoms_and_names_that_are_no_mathematics(tmp_path):
    x, y = kinked(120)
    path = tmp_path / "names.csv"
    rows = np.column_stack([x, y])
    np.savetxt(path, rows, delimiter=",", header="$dose_{1}$,$y", comments="")
    report = identkit.fit_data(str(path), "tanh", "sigmoid", 10, starts=1, max_steps=5, check=False)
    made = report.figure(tmp_path / "many.png")
    assert made.axes[1].get_xlabel() == r"\$dose_{1}\$"
    assert "… of 10" in [t.get_text() for t in made.legends[0].get_texts()]
    assert (tmp_path / "many.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "begin"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"),
                                             ("a.pdf", b"%PDF")])  # fmt: skip
def test_files(curve, tmp_path, name, begin):
    curve.figure(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(begin)
    curve.figure(tmp_path / name)
    assert (tmp_path / name).read_bytes() == content


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = np.column_stack(kinked())
    np.savetxt("data.csv", rows, delimiter=",", header="dose,y", comments="")
    assert main(["fit", *CURVE, "--figure", "fit.svg"]) == 0
    assert "drawn to fit.svg" in capsys.readouterr().out
    assert (tmp_path / "fit.svg").stat().st_size > 5000
    for target, sentence in (
        ("fit.gif", "fit.gif: figures are written as .svg, .pdf, .png; choose one"),
        ("no/fit.png", "no/fit.png: its folder does not exist"),
    ):
        assert main(["fit", *CURVE, "--figure", target]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert sentence in captured.err
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["fit", *CURVE, "--figure", "fit.png"]) == 2
    assert "run pip install identkit[figures]" in capsys.readouterr().err
    assert not (tmp_path / "fit.png").exists()


def test_without_data_there_is_nothing_to_draw(curve):
    with pytest.raises(InputError, match="the report has no data; fit again"):
        replace(curve, table=None).figure()
