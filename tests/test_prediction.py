"""Predictions: intervals by independent routes and by their coverage, saved fits, the command."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from jsonschema import Draft202012Validator
from scipy import stats

import identkit
from identkit.cli import main
from identkit.errors import InputError
from identkit.experts import Expert
from identkit.fit import Box, Model, least_squares
from identkit.fit.inference import covariance
from identkit.fit.prediction import data_ranges, predict
from identkit.fit.saved import covariance_of, fit_of, read_fit
from identkit.report.json_text import schema

M = identkit.MixingMeasure
TANH = Model.of("tanh", "sigmoid")
TRUTH = M([0.5, -0.5], [[2.0], [-1.0]], [[1.5, 1.0], [-2.0, 0.5]])
LINE = M([0.0], [[0.0]], [[1.0, 0.5]])


def own(text):
    """One atom of an expression, whose gate is 1: a plain regression."""
    return Model.of(Expert.from_expression(text), "softmax")


def fitted(model, x, y, start, **options):
    result = least_squares(model, x, y, start, **options)
    return result, covariance(result, x, y)


# -- intervals -------------------------------------------------------------------------------------


def test_a_line_has_the_intervals_of_a_textbook():
    rng = np.random.default_rng(3)
    x = rng.uniform(-2, 3, (25, 1))
    y = 1.0 + 0.5 * x[:, 0] + 0.3 * rng.normal(size=25)
    result, errors = fitted(Model.of("linear", "softmax"), x, y, LINE)
    at = np.array([[-5.0], [0.3], [7.0]])
    found = predict(result, errors, at, level=0.9, ranges=data_ranges(x))
    line = stats.linregress(x[:, 0], y)
    residual = y - line.intercept - line.slope * x[:, 0]
    sigma = np.sqrt(residual @ residual / 23)
    spread = ((x[:, 0] - x.mean()) ** 2).sum()
    error = sigma * np.sqrt(1 / 25 + (at[:, 0] - x.mean()) ** 2 / spread)
    t = stats.t.ppf(0.95, 23)
    np.testing.assert_allclose(found.error, error, rtol=1e-8)
    f = line.intercept + line.slope * at[:, 0]
    half = t * np.sqrt(sigma**2 + error**2)
    np.testing.assert_allclose(found.confidence, np.stack([f - t * error, f + t * error], 1))
    np.testing.assert_allclose(found.prediction, np.stack([f - half, f + half], 1))
    assert found.degrees == 23
    assert found.outside is not None
    assert found.outside[:, 0].tolist() == [True, False, True]
    assert found.reason == ""


def test_weights_of_samples_are_in_the_intervals():
    """Weight 2 of a row is the row twice, but for the degrees of freedom."""
    rng = np.random.default_rng(4)
    x = rng.uniform(-2, 2, (40, 1))
    y, weight = x[:, 0] + 0.2 * rng.normal(size=40), rng.integers(0, 3, 40).astype(float)
    model = Model.of("linear", "softmax")
    result = least_squares(model, x, y, LINE, weight=weight)
    found = predict(result, covariance(result, x, y, weight), x)
    twice = [a.repeat(weight.astype(int), axis=0) for a in (x, y)]
    other = predict(*fitted(model, *twice, LINE), x)
    scale = np.sqrt(other.degrees / found.degrees)
    assert found.degrees == np.count_nonzero(weight) - 2
    np.testing.assert_allclose(found.error, scale * other.error, rtol=1e-6)


def test_a_direction_that_f_does_not_see_costs_no_interval():
    """c·a·x is one number times x: c and a are not determined, f and its error are."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-2, 2, (30, 1))
    y = 1.5 * x[:, 0] + 0.1 * rng.normal(size=30)
    result, errors = fitted(own("c*(a*x)"), x, y, M([0.0], [[0.0]], [[1.0, 1.2]]))
    assert errors.rank == 1
    assert errors.free == 2
    assert np.isnan(errors.standard_errors).all()
    found = predict(result, errors, x)
    np.testing.assert_allclose(
        found.error, errors.sigma * np.abs(x[:, 0]) / np.sqrt((x**2).sum()), rtol=1e-8
    )
    assert not found.lost.any()
    assert found.degrees == 29


def test_where_the_data_do_not_determine_f_there_is_no_interval():
    """No x beyond the kink: its coefficient is free, and f beyond it is anything."""
    rng = np.random.default_rng(6)
    x = rng.uniform(-2, 0.5, (30, 1))
    y = x[:, 0] + 0.1 * rng.normal(size=30)
    result, errors = fitted(own("a*x + b*relu(x - 1)"), x, y, M([0.0], [[0.0]], [[1.0, 0.3]]))
    at = np.array([[-1.0], [0.9], [1.1], [3.0]])
    found = predict(result, errors, at)
    assert found.lost.tolist() == [False, False, True, True]
    assert np.isnan(found.confidence).any(axis=1).tolist() == found.lost.tolist()
    assert np.isnan(found.prediction).any(axis=1).tolist() == found.lost.tolist()
    assert "do not determine f at 2 of 4 rows" in found.reason
    assert np.isfinite(found.f).all()


def test_no_interval_without_standard_errors():
    x = np.linspace(-2, 2, 12)[:, None]
    y = np.tanh(x[:, 0])
    stopped = least_squares(TANH, x, y, TRUTH, max_steps=1)
    assert "ended 'step limit'" in predict(stopped, None, x).reason
    line = Model.of("linear", "softmax")
    found = predict(*fitted(line, x[:2], y[:2], LINE), x)
    assert "2 samples leave nothing to estimate the errors with" in found.reason
    assert np.isnan(found.prediction).all()


def test_intervals_cover_as_often_as_they_say():
    """400 data sets of a regular model: 95 % intervals of f and of a new y.

    Each share has a standard error of 1.1 % at one x; at five x they are averaged.
    """
    sets, at = 400, np.array([[-2.5], [-1.0], [0.0], [1.0], [2.5]])
    simulation = identkit.simulate(TANH, TRUTH, 300, replicates=sets, noise=0.1, seed=11)
    x, y = simulation.batch(range(sets))
    many = least_squares(TANH, x, y, TRUTH, box=Box(eta=20.0, beta1=20.0, beta0=20.0))
    truth = TANH.predict(TRUTH, at)
    new = truth + 0.1 * np.random.default_rng(12).normal(size=(sets, len(at)))
    of_f, of_y, left_out = [], [], 0
    for r in range(sets):
        one = many[r]
        if not one.status.finished:
            left_out += 1
            continue
        found = predict(one, covariance(one, x[r], y[r]), at)
        for ends, value, into in (
            (found.confidence, truth, of_f),
            (found.prediction, new[r], of_y),
        ):
            into.append((ends[:, 0] <= value) & (value <= ends[:, 1]))
    assert left_out <= sets // 100
    assert 0.93 <= np.mean(of_f) <= 0.97
    assert 0.93 <= np.mean(of_y) <= 0.97


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95.0, np.nan])
def test_a_level_that_is_none(level):
    x = np.linspace(-1, 1, 20)[:, None]
    result, errors = fitted(Model.of("linear", "softmax"), x, x[:, 0] ** 2, LINE)
    with pytest.raises(InputError, match=r"level: .* must lie between 0 and 1"):
        predict(result, errors, x, level=level)


def test_wrong_input():
    x = np.linspace(-1, 1, 20)[:, None]
    y = np.stack([x[:, 0] ** 2, x[:, 0]])
    many = least_squares(Model.of("linear", "softmax"), x, y, LINE)
    with pytest.raises(InputError, match="several fits; choose one"):
        predict(many, None, x)
    with pytest.raises(InputError, match=r"x: row 1 .* not finite"):
        predict(many[0], None, [[0.0], [np.nan]])
    with pytest.raises(InputError, match=r"x: has shape \(3,\)"):
        predict(many[0], None, [0.0, 1.0, 2.0])


# -- reports and files -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fits")
    x, y = identkit.simulate(TANH, TRUTH, 300, noise=0.05, seed=3).data(0)
    rows = np.column_stack([x, y])
    np.savetxt(path / "data.csv", rows, delimiter=",", header="dose,y", comments="")
    report = identkit.fit_data(str(path / "data.csv"), "tanh", "sigmoid", 2, check=False)
    report.save(str(path / "fit.json"))
    plane = Model.of("linear", "softmax", dim=2)
    truth = M([0.5, 0.0], [[1.5, -1.0], [0.0, 0.0]], [[1.0, 2.0, 0.5], [-1.0, 0.5, -1.0]])
    x, y = identkit.simulate(plane, truth, 300, noise=0.1, seed=3).data(0)
    rows = np.column_stack([x, y])
    np.savetxt(path / "plane.csv", rows, delimiter=",", header="age,size,y", comments="")
    assert main(["fit", str(path / "plane.csv"), "--expert", "linear", "--gate", "softmax",
                 "--k", "2", "--save", str(path / "plane.json")]) == 0  # fmt: skip
    return path


@pytest.fixture(autouse=True)
def _here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_a_report_predicts_and_so_does_its_file():
    report = identkit.fit_data("data.csv", "tanh", "sigmoid", 2, check=False)
    saved = identkit.read_fit("fit.json")
    x = np.linspace(-3, 3, 7)[:, None]
    for interval in (None, "confidence", "prediction"):
        found = report.predict(x, interval, level=0.8)
        assert found.shape == ((7,) if interval is None else (7, 3))
        np.testing.assert_allclose(saved.predict(x, interval, level=0.8), found, rtol=1e-6)
    assert np.array_equal(report.predict(x), report.result.predict(x))
    wide, narrow = report.predict(x, "prediction"), report.predict(x, "confidence")
    assert (wide[:, 1] < narrow[:, 1]).all()
    with pytest.raises(InputError, match="interval: 'both' is none; use 'confidence'"):
        report.predict(x, "both")
    data = np.loadtxt("data.csv", delimiter=",", skiprows=1)
    assert report.ranges == ((data[:, 0].min(), data[:, 0].max()),)
    assert saved.ranges == report.ranges
    assert identkit.FitReport.load("fit.json").inputs == ("dose",)


def test_every_number_of_a_file_comes_back():
    report = identkit.fit_data("data.csv", "tanh", "sigmoid", 2, check=False)
    saved = fit_of(json.loads(json.dumps(report.to_dict())))
    assert np.array_equal(saved.measure.to_vector(), report.result.measure.to_vector())
    assert saved.result.to_dict() == report.result.to_dict()
    ours, theirs = report.covariance, saved.covariance
    assert ours is not None
    assert theirs is not None
    assert np.array_equal(ours.matrix, theirs.matrix, equal_nan=True)
    assert (ours.degrees, ours.rank, ours.sigma) == (theirs.degrees, theirs.rank, theirs.sigma)


@pytest.mark.parametrize(
    ("gate", "options"),
    [("hierarchical", {"groups": (1, 1)}), ("dense-to-sparse tanh", {}), ("(1 + tanh(s))/2", {}),
     ("gaussian-gate", {}), ("normalized-sigmoid", {})],
)  # fmt: skip
def test_files_of_every_kind_of_gate(gate, options):
    """Gate, groups and router come back from their names; /2 where there are other blocks."""
    from identkit.fit.running import best_fit, reported
    from identkit.report.fit_document import document
    from identkit.tables import read_table

    table = read_table("data.csv")
    model = Model.of("tanh", gate, 1, **options)
    box = Box(eta=np.inf, beta0=(-np.inf, 4.0)) if "beta0" in model.layout else None
    result = best_fit(model, table.x, table.y, 2, starts=1, max_steps=40, box=box)
    report = reported(result, table, file="data.csv", seed=0, began=0.0, check=False)
    saved = fit_of(json.loads(json.dumps(document(report))))
    assert saved.model == model
    for one, other in ((saved.result, result), (saved.result.scaled, result.scaled)):
        np.testing.assert_array_equal(
            one.settings.box.bounds(model, 2), other.settings.box.bounds(model, 2)
        )
    np.testing.assert_allclose(saved.predict(table.x), result.predict(table.x), rtol=1e-12)


def test_directions_in_a_file_and_the_information_where_it_is_there():
    """Without the information a row that needs what the file lacks has no interval; with it, it
    has."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-2, 2, (30, 1))
    table = (x, 1.5 * x[:, 0] + 0.1 * rng.normal(size=30))
    expert = Expert.from_expression("c*(a*x)")
    inside = identkit.fit_data(table, expert, "softmax", 1, check=False)
    assert np.isfinite(fit_of(json.loads(json.dumps(inside.to_dict()))).predictions(x).error).all()
    report = identkit.fit_data(table, expert, "softmax", 1, check=False, standardise=False)
    saved = fit_of(json.loads(json.dumps(report.to_dict())))
    found = saved.predictions(x)
    assert found.lost.all()
    assert "as far as the file tells" in found.reason
    assert report.covariance is not None
    section = saved.document["report"]["covariance"]
    gram = report.covariance.information
    assert gram is not None
    whole = covariance_of({**section, "information": gram.tolist()}, saved.result)
    expected = report.predictions(x).error
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(predict(saved.result, whole, x).error, expected)


def changed(path, value):
    document = json.loads(Path("plane.json").read_text(encoding="utf-8"))
    part = document
    for key in path[:-1]:
        part = part[key]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return document


ALTERED = [
    (("schema",), "identkit.fit/9", "schema 'identkit.fit/9', not .*; update identkit"),
    (("schema",), "identkit.check/1", "schema 'identkit.check/1', not"),
    (("schema",), None, "names no schema"),
    (("gate",), "sofmax", "sofmax.*did you mean softmax"),
    (("gate",), "hierarchical", "layout|blocks|groups"),
    (("expert", "expression"), "a0*x0 + a1*x1 - b", "not the one of its name"),
    (("expert", "dim"), 3, "not the one of its name"),
    (("samples",), 299, "root mean square is not that of its cost"),
    (("fits", 0, "cost"), 0.5, "cost is not that of its start"),
    (("fits", 0, "start"), 9, "start 9 is not one of its 5"),
    (("fits", 0, "held"), [False], "held has 1 entries for 12"),
    (("fits", 0, "measure", "beta0"), [0.0], "atoms"),
    (("fits", 0, "measure"), {"schema": "identkit.mixing/1"}, "fits.0.measure"),
    (("report", "parameters"), ["a"], "parameters are not those"),
    (("report", "data", "inputs"), ["age"], "it names 1 inputs"),
    (("report", "covariance", "sigma"), 0.01, "standard deviation is not that of cost"),
    (("report", "covariance", "rank"), 8, "standard deviation is not that of cost"),
    (("report", "covariance", "rank"), 90, "rank of 90"),
    (("report", "covariance", "matrix", 0, 0), 1.0, "not those of its covariance"),
    (("report", "covariance", "matrix", 0, 1), 1.0, "not those of its covariance"),
    (("report", "covariance", "matrix"), [[1.0]], "shape"),
    (("report",), None, "has no report, which names the columns"),
    (("fits",), [], "fits"),
    (("more",), 1, "more"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), ALTERED)
def test_an_altered_file_is_refused(path, value, sentence, capsys):
    with pytest.raises(InputError, match=sentence):
        fit_of(changed(path, value), "plane.json")
    with open("altered.json", "w", encoding="utf-8") as file:
        json.dump(changed(path, value), file)
    assert main(["predict", "altered.json", "plane.csv"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "altered.json" in captured.err


def test_two_fits_in_a_file_are_refused():
    document = json.loads(Path("plane.json").read_text(encoding="utf-8"))
    document["fits"] *= 2
    with pytest.raises(InputError, match=r"holds 2 fits; save one"):
        fit_of(document)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("", "is not JSON"), ("[1]", "names no schema"), ("nan", "is not JSON"), ("[" * 5000, "JSON"),
     ("\xff", "is not JSON")],
)  # fmt: skip
def test_what_is_no_document(content, sentence, tmp_path):
    path = tmp_path / "fit.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=sentence):
        read_fit(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_fit(tmp_path)


# -- the command -----------------------------------------------------------------------------------


def columns(text):
    lines = text.splitlines()
    rows = np.genfromtxt(lines[1:], delimiter=",", ndmin=2)
    return dict(zip(lines[0].split(","), rows.T, strict=True))


def test_csv(capsys):
    assert main(["predict", "plane.json", "plane.csv", "--weights", "--level", "0.9"]) == 0
    captured = capsys.readouterr()
    found = columns(captured.out)
    data = np.loadtxt("plane.csv", delimiter=",", skiprows=1)
    saved = read_fit("plane.json")
    expected = saved.predictions(data[:, :2], 0.9)
    names = ["f", "f_se", "f_low", "f_high", "y_low", "y_high", "weight_0", "weight_1", "outside"]
    assert list(found) == names
    for name, value in (
        ("f", expected.f),
        ("f_se", expected.error),
        ("f_low", expected.confidence[:, 0]),
        ("f_high", expected.confidence[:, 1]),
        ("y_low", expected.prediction[:, 0]),
        ("y_high", expected.prediction[:, 1]),
    ):
        assert np.array_equal(found[name], value)  # to the last digit
    np.testing.assert_allclose(found["weight_0"] + found["weight_1"], 1.0)
    assert not found["outside"].any()
    share = np.mean((found["y_low"] <= data[:, 2]) & (data[:, 2] <= found["y_high"]))
    assert share == pytest.approx(0.9, abs=0.05)  # three standard errors of 300 rows
    words = captured.err
    assert "90 % for each row on its own, Student's t with 291 degrees of freedom" in words
    assert "they presume independent errors of equal variance" in words
    assert "'y' is there: root mean square 0.099" in words


def test_columns_are_found_by_name_and_rows_outside_are_named(capsys, monkeypatch):
    text = "size,id,age\n1,a,2\n1,b,20\n-9,c,2\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["predict", "plane.json", "-"]) == 0
    captured = capsys.readouterr()
    found = columns(captured.out)
    expected = read_fit("plane.json").predict([[2.0, 1.0], [20.0, 1.0], [2.0, -9.0]])
    assert np.array_equal(found["f"], expected)
    assert found["outside"].tolist() == [0, 1, 1]
    assert (
        "2 of 3 rows lie outside that of the data fitted: 'age' 1 times (fitted on -2.995 to 2.944)"
        in (captured.err)
    )
    assert "residuals" not in captured.err


def test_json(capsys):
    """Of a file in the units of the data, which has no ranges without a check."""
    main(["fit", "data.csv", "--expert", "tanh", "--gate", "sigmoid", "--k", "2", "--no-check",
          "--no-standardise", "--save", "plain.json"])  # fmt: skip
    capsys.readouterr()
    assert main(["predict", "plain.json", "data.csv", "--json", "--weights"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    found = json.loads(captured.out)
    Draft202012Validator(schema("prediction-1")).validate(found)
    assert found["data"] == {"file": "data.csv", "rows": 300}
    assert found["ranges"] == []
    assert "outside" not in found["columns"]
    assert any("extrapolation is not seen" in note for note in found["notes"])
    assert found["residuals"]["r_squared"] > 0.85
    assert len(found["columns"]["weight_1"]) == 300


def test_without_an_interval_cells_are_empty(capsys):
    main(["fit", "data.csv", "--expert", "tanh", "--gate", "sigmoid", "--k", "2", "--no-check",
          "--max-steps", "1", "--starts", "1", "--save", "stopped.json"])  # fmt: skip
    capsys.readouterr()
    assert main(["predict", "stopped.json", "data.csv"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].endswith(",,,,,,0")
    assert "it ended 'step limit': no minimum within the step limit" in captured.err
    assert "intervals" not in captured.err
    assert "standard errors are of a minimum" in captured.err
    assert main(["predict", "stopped.json", "data.csv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("prediction-1")).validate(found)
    assert set(found["columns"]["f_se"]) == {None}


def test_out_appears_whole_or_not_at_all(capsys, tmp_path):
    target = tmp_path / "out.csv"
    assert main(["predict", "fit.json", "data.csv", "--out", str(target)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "300 rows written" in captured.err
    assert len(target.read_text().splitlines()) == 301
    assert main(["predict", "fit.json", "nothing.csv", "--out", str(tmp_path / "no.csv")]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


WRONG = [
    (["fit.json", "plane.csv"], "no column 'dose'; did you mean size? It has age, size, y"),
    (["plane.json", "data.csv"], "no columns 'age', 'size'; it has dose, y; add them, or rename"),
    (["none.json", "data.csv"], "none.json: cannot be read (No such file"),
    (["data.csv", "data.csv"], "data.csv: is not JSON; give a file of 'identkit fit --save'"),
    (["fit.json", "none.csv"], "there is no such file"),
    (["fit.json", "data.csv", "--level", "95"], "level: 95 must lie between 0 and 1"),
    (["fit.json", "data.csv", "--level", "x"], "--level"),
    (["fit.json", "data.csv", "--out", "a.txt"], "--out a.txt: the name must end in .csv"),
    (["fit.json", "data.csv", "--json", "--out", "a.csv"], "must end in .json"),
    (["fit.json", "data.csv", "--out", "no/a.csv"], "its directory does not exist"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_wrong_input_is_one_sentence(capsys, arguments, sentence):
    assert main(["predict", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert sentence in captured.err


def test_a_target_that_cannot_be_read_is_said_and_left_out(capsys):
    with open("blank.csv", "w", encoding="utf-8") as file:
        file.write("dose,y\n1,\n2,0.5\n")
    assert main(["predict", "fit.json", "blank.csv"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    assert "residuals: none: blank.csv: line 2, column 'y': the cell is empty" in captured.err


def test_the_first_inputs_fault_is_not_hidden(capsys):
    with open("fault.csv", "w", encoding="utf-8") as file:
        file.write("dose\n1\nx\n")
    assert main(["predict", "fit.json", "fault.csv"]) == 2
    assert "line 3, column 'dose': 'x' is not a number" in capsys.readouterr().err


def test_help_shows_the_columns(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    out = capsys.readouterr().out
    assert "y_low, y_high" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_report_has_a_summary():
    report = identkit.fit_data("data.csv", "tanh", "sigmoid", 2, check=False)
    text = report.summary(level=0.99)
    assert max(map(len, text.splitlines())) <= 80
    assert "y on dose" in text
    assert "n = 300, d = 1, 8 free parameters, 292 degrees of freedom" in text
    assert "99 % interval" in text
    found = report.statistics
    assert report.covariance is not None
    assert found.sigma == pytest.approx(report.covariance.sigma)
    assert found.r_squared == pytest.approx(report.r_squared)
    assert f"R² {found.r_squared:.4g}" in text


def test_columns_named_in_an_expression(capsys):
    """The inputs are those that the expression names, also in the file and for new rows."""
    rng = np.random.default_rng(3)
    dose, other, weight = rng.uniform(0, 2, 60), rng.normal(size=60), rng.uniform(0.5, 2.0, 60)
    rate = 3.0 * dose / (0.4 + dose) + 0.05 * rng.normal(size=60)
    np.savetxt("dose.csv", np.column_stack([other, dose, weight, rate]), delimiter=",",
               header="other,dose,w,rate", comments="")  # fmt: skip
    given = ["--expr", "v*dose/(K + dose)", "--gate", "softmax", "--k", "1", "--target", "rate"]
    assert main(["fit", "dose.csv", *given, "--weights", "w", "--save", "dose.json"]) == 0
    assert "rate on dose; n = 60, d = 1" in capsys.readouterr().out
    saved = read_fit("dose.json")
    assert saved.inputs == ("dose",)
    assert saved.document["report"]["data"]["weighted"] is True
    assert main(["predict", "dose.json", "dose.csv"]) == 0
    found = columns(capsys.readouterr().out)
    np.testing.assert_allclose(found["f"], saved.predict(dose[:, None]), rtol=1e-12)
    assert np.isfinite(found["f_se"]).all()
