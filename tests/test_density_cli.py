"""``identkit fit --likelihood`` end to end: reports, documents, files, predictions, wrong input."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from jsonschema import Draft202012Validator
from scipy.stats import norm

import identkit
from identkit.cli import main
from identkit.density import DensityMeasure, DensityModel
from identkit.density.saved import density_of, read_density_fit
from identkit.errors import InputError
from identkit.report.json_text import schema
from identkit.tables import read_table

LINES = DensityModel.of("linear", "softmax")
TRUTH = DensityMeasure(
    identkit.MixingMeasure([0.5, 0.0], [[3.0], [0.0]], [[2.0, 1.0], [-1.0, 0.0]]), [0.05, 0.3]
)
GAUSSIAN = ["--expert", "linear", "--gate", "softmax", "--k", "2", "--likelihood", "gaussian"]
QUICK = ["--starts", "2", "--no-check"]
CLASSES = [
    "classes.csv", "--expert", "linear", "--gate", "softmax", "--k", "1",
    "--likelihood", "categorical",
]  # fmt: skip
LOGITS = ((1.5, -0.5), (-0.7, 0.8))
"""Of the classes blue and green, with red's 0: a·x + b."""


def write(path, names, *columns):
    rows = [names, *zip(*columns, strict=True)]
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("densities")
    rng = np.random.default_rng(5)
    x = rng.uniform(-2.0, 2.0, (400, 1))
    y = LINES.sample(TRUTH, x, rng)
    write(path / "lines.csv", ["x", "y", "w"], x[:, 0], y, rng.integers(0, 3, 400))
    h = np.array([a * x[:, 0] + b for a, b in LOGITS] + [0.0 * x[:, 0]])
    heights = (np.exp(h) / np.exp(h).sum(axis=0)).cumsum(axis=0)
    c = (rng.uniform(size=400) > heights[:-1]).sum(axis=0)
    write(path / "classes.csv", ["x", "kind"], x[:, 0], np.array(["blue", "green", "red"])[c])
    write(path / "one.csv", ["x", "kind"], x[:9, 0], ["red"] * 9)
    # ten rows on a line, without noise, among others
    line = np.where(np.arange(40) < 10, 2.0 * x[:40, 0] + 1.0, rng.normal(size=40) - 4.0)
    write(path / "exact.csv", ["x", "y"], x[:40, 0], line)
    write(path / "two.csv", ["u", "v", "y"], x[:200, 0], x[200:, 0], y[:200] + x[200:, 0])
    return path


@pytest.fixture(autouse=True)
def _here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def document(capsys, *arguments):
    """The JSON of a fit, checked against the schema."""
    code = main(["fit", *arguments, "--json"])
    found = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("density-fit-1")).validate(found)
    return code, found


def predicted(capsys, *arguments):
    """The columns of a prediction, and what is said beside them."""
    assert main(["predict", *arguments]) == 0
    captured = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    return {name: [row[name] for row in rows] for name in rows[0]}, captured.err


def numbers(column):
    return np.array(column, dtype=np.float64)


def test_report(capsys):
    assert main(["fit", "lines.csv", "--inputs", "x", *GAUSSIAN, "--starts", "3"]) == 0
    captured = capsys.readouterr()
    out = captured.out
    assert captured.err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert "linear: h(x) = a*x + b, gate softmax, k = 2" in out
    assert "the Gaussian likelihood (one variance for each atom)" in out
    assert "lines.csv: y on x; n = 400, d = 1" in out
    words = " ".join(out.split())
    assert "3 of 3 reached this log-likelihood; none ended at a spike (3 converged)" in words
    assert "strong, expert level: no" in words
    # the moments of the certificate, as it names them
    assert "not told apart to second order in an over-specified cell: ν and b" in words
    assert "M[b,b] = 2" in words
    assert "b n^-1/8, ν n^-1/4, slower with more; published: n^-1/8 (confirmed)" in words
    assert "common shift, the same p" in words


def test_known_answers(capsys):
    code, found = document(capsys, "lines.csv", "--inputs", "x", *GAUSSIAN, *QUICK)
    assert code == 0
    report, measure = found["report"], found["fit"]["measure"]
    table = read_table("lines.csv", inputs="x")
    x, y = table.x[:, 0], table.y
    # p(y|x) written out anew
    routed = measure["routed"]
    score = np.outer(np.ravel(routed["beta1"]), x) + np.array(routed["beta0"])[:, None]
    weight = np.exp(score) / np.exp(score).sum(axis=0)
    a, b = np.array(routed["eta"]).T
    mean = np.outer(a, x) + b[:, None]
    own = weight * norm.pdf(y, mean, np.sqrt(measure["variances"])[:, None])
    value = np.log(own.sum(axis=0)).sum()
    assert found["fit"]["log_likelihood"] == pytest.approx(value, rel=1e-12)
    posterior = own / own.sum(axis=0)
    entropy = -np.sum(posterior * np.log(np.where(posterior > 0, posterior, 1.0)))
    assert report["free"] == 8
    assert report["bic"] == pytest.approx(-2 * value + 8 * np.log(400), rel=1e-12)
    assert report["icl"] == pytest.approx(report["bic"] + 2 * entropy, rel=1e-10)
    for c, part in enumerate(report["components"]):
        assert part["weight"] == pytest.approx(weight[c].mean(), rel=1e-10)
        assert part["effective"] == pytest.approx(posterior[c].sum(), rel=1e-10)
        assert part["assigned"] == (posterior.argmax(axis=0) == c).sum()
    # the truth within four standard errors of both kinds, atoms in some order
    by_slope = sorted(report["components"], key=lambda part: -part["numbers"][2]["value"])
    truths = (((2.0, 1.0), 0.05), ((-1.0, 0.0), 0.3))
    for part, ((slope, level), nu) in zip(by_slope, truths, strict=True):
        told = {n["name"]: n for n in part["numbers"]}
        for name, truth in (("a", slope), ("b", level), ("ν", nu)):
            for kind in ("standard_error", "sandwich_error"):
                assert abs(told[name]["value"] - truth) < 4 * told[name][kind], (name, kind)
                assert 0 < told[name][kind] < 0.2
    states = [n["state"] for n in report["components"][-1]["numbers"]]
    assert states == ["gauge", "gauge", "", "", ""]


@pytest.mark.parametrize(
    ("arguments", "free"),
    [
        (["--variance", "common"], 7),
        (["--variance", "known", "--variances", "0.05,0.3"], 6),
        (["--shared", "linear"], 8 + 3),
        (["--weights", "w", "--no-standardise"], 8),
        (["--fix", "a=1.5", "--box", "nu=0.001:5", "--max-steps", "60"], 6),
    ],
)  # fmt: skip
def test_documents_of_every_kind_are_valid(arguments, free, capsys):
    code, found = document(capsys, "lines.csv", "--inputs", "x", *GAUSSIAN, *QUICK, *arguments)
    assert code == 0
    assert found["report"]["free"] == free
    read = density_of(found)
    assert read.log_likelihood == found["fit"]["log_likelihood"]
    atoms = [p["half"] for p in found["report"]["components"]]
    assert atoms == ["shared"] * ("--shared" in arguments) + ["routed", "routed"]
    assert sum(p["weight"] for p in found["report"]["components"]) == pytest.approx(1.0)


def test_weights_count_rows(folder, capsys):
    """A row of weight 2 is two rows, one of weight 0 is none."""
    rows = (folder / "lines.csv").read_text(encoding="utf-8").splitlines()
    twice = [row for row in rows[1:] for _ in range(int(row.split(",")[2]))]
    (folder / "twice.csv").write_text("\n".join([rows[0], *twice]), encoding="utf-8")
    _, weighted = document(
        capsys, "lines.csv", "--inputs", "x", "--weights", "w", *GAUSSIAN, "--no-check"
    )
    _, repeated = document(capsys, "twice.csv", "--inputs", "x", *GAUSSIAN, "--no-check")
    for name in ("bic", "icl"):
        assert weighted["report"][name] == pytest.approx(repeated["report"][name], rel=1e-9)
    one, other = (f["report"]["covariance"]["standard_errors"] for f in (weighted, repeated))
    one, other = (np.sort([v for v in values if v is not None]) for values in (one, other))
    assert one == pytest.approx(other, rel=1e-5)


def test_saved_read_and_predicted(folder, capsys):
    data = ["lines.csv", "--inputs", "x"]
    more = ["--save", "fit.json", "--save-posterior", "posterior.csv", "--shared", "linear"]
    assert main(["fit", *data, *GAUSSIAN, *QUICK, *more]) == 0
    assert "written to fit.json" in capsys.readouterr().out
    table = read_table("lines.csv", inputs="x")
    report = identkit.fit_density(
        "lines.csv", "linear", "softmax", 2, shared="linear", inputs="x", starts=2, check=False
    )
    saved = read_density_fit("fit.json")
    assert saved.classes is None
    assert np.array_equal(saved.predict(table.x), report.predict(table.x))
    assert np.array_equal(saved.quantile(table.x, 0.3), report.quantile(table.x, 0.3))
    columns, said = predicted(
        capsys, "fit.json", "lines.csv", "--interval", "prediction", "--weights", "--level", "0.9"
    )
    assert "between two quantiles of the mixture" in said
    assert np.array_equal(numbers(columns["mean"]), report.predict(table.x))
    labels = ["s0", "0", "1"]
    weight, mean = (
        np.array([numbers(columns[f"{kind}_{label}"]) for label in labels])
        for kind in ("weight", "mean")
    )
    assert weight.sum(axis=0) == pytest.approx(np.ones(400))
    assert weight[0] == pytest.approx(np.full(400, 0.5))
    assert (weight * mean).sum(axis=0) == pytest.approx(numbers(columns["mean"]))
    sd = np.sqrt(saved.measure.all_variances)[:, None]
    for name, order in (("y_low", 0.05), ("y_high", 0.95)):
        height = (weight * norm.cdf(numbers(columns[name]), mean, sd)).sum(axis=0)
        assert height == pytest.approx(np.full(400, order), abs=1e-12)
    second = (weight * (sd**2 + mean**2)).sum(axis=0) - numbers(columns["mean"]) ** 2
    assert numbers(columns["sd"]) ** 2 == pytest.approx(second)
    inside = (table.y > numbers(columns["y_low"])) & (table.y < numbers(columns["y_high"]))
    assert 0.85 < inside.mean() < 0.95
    # the file of posterior probabilities, by Bayes' rule
    text = (folder / "posterior.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    own = weight * norm.pdf(table.y, mean, sd)
    found = np.array([[float(row[f"p_{label}"]) for row in rows] for label in labels])
    assert found == pytest.approx(own / own.sum(axis=0), abs=1e-12)
    assert [row["atom"] for row in rows] == [labels[c] for c in own.argmax(axis=0)]
    assert [int(row["row"]) for row in rows] == list(range(400))
    assert saved.posterior(table.x, table.y) == pytest.approx(found)
    assert main(["predict", "fit.json", "lines.csv", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("density-prediction-1")).validate(answer)
    assert answer["columns"]["mean"] == columns_of(columns["mean"])


def columns_of(column):
    return [float(cell) for cell in column]


def test_classes(folder, capsys):
    assert main(["fit", *CLASSES, "--save", "classes.json", "--starts", "2"]) == 0
    out = capsys.readouterr().out
    assert "classes blue (0); green (1); red (2); the last has logit 0" in " ".join(out.split())
    assert "spike" not in out
    saved = read_density_fit("classes.json")
    assert saved.classes == ("blue", "green", "red")
    found = np.array(saved.document["fit"]["measure"]["routed"]["eta"]).reshape(2, 2)
    errors = saved.standard_errors[-4:].reshape(2, 2)
    assert (abs(found - np.array(LOGITS)) < 4 * errors).all()
    columns, said = predicted(capsys, "classes.json", "classes.csv")
    table = read_table("classes.csv", classes=True)
    h = np.array([a * table.x[:, 0] + b for a, b in found] + [0.0 * table.x[:, 0]])
    shares = np.exp(h) / np.exp(h).sum(axis=0)
    for c in range(3):
        assert numbers(columns[f"p_{c}"]) == pytest.approx(shares[c], rel=1e-9)
    assert columns["class"] == [saved.classes[c] for c in shares.argmax(axis=0)]
    right = np.mean(shares.argmax(axis=0) == table.y)
    assert f"right for {100 * right:.3g} % of these rows" in said
    (folder / "other.csv").write_text("x,kind\n0.5,red\n1.5,pink\n", encoding="utf-8")
    _, said = predicted(capsys, "classes.json", "other.csv")
    assert "residuals: none: 'pink' in column 'kind' is none of the classes fitted" in said
    with pytest.raises(InputError, match="'pink' is none of the classes blue, green, red"):
        saved.posterior([[0.0]], ["pink"])


def test_numbers_are_classes_too(capsys):
    rng = np.random.default_rng(2)
    x = rng.uniform(-2.0, 2.0, (80, 1))
    y = np.where(x[:, 0] + rng.logistic(size=80) > 0, 10, 2)
    report = identkit.fit_density(
        (x, y), "linear", "softmax", 1, likelihood="categorical", starts=1, check=False
    )
    assert report.classes == ("2", "10")
    # two classes, one atom: logistic regression, whose score at the maximum is 0
    first = report.predict(x)[:, 0]
    assert np.abs(((y == 2) - first) @ np.c_[x, np.ones(80)]).max() < 1e-6


def test_python_prints_what_the_command_prints(capsys):
    main(["fit", "lines.csv", "--inputs", "x", *GAUSSIAN, *QUICK])
    out = capsys.readouterr().out
    report = identkit.fit_density(
        "lines.csv", "linear", "softmax", 2, inputs="x", starts=2, check=False
    )

    def untimed(text):
        return [line for line in text.splitlines() if "seed 0" not in line]

    assert untimed(str(report)) == untimed(out)
    assert [part.label for part in report.components] == ["0", "1"]
    assert "gaussian, k = 2: converged" in repr(report)


def test_a_spike_is_no_fit(capsys):
    """Ten rows lie on a line: every start that finds it ends with a variance of almost 0."""
    arguments = ["exact.csv", *GAUSSIAN, "--starts", "3", "--no-check"]
    code, found = document(capsys, *arguments)
    assert code == 1
    assert found["fit"]["status"] == "variance at its floor"
    assert found["report"]["spiked"] == [0, 1, 2]
    assert len(found["report"]["floor"]) == 1
    assert main(["fit", *arguments]) == 1
    words = " ".join(capsys.readouterr().out.split())
    assert "whose likelihood has no bound and means nothing: lower --k" in words
    assert "at the smallest that is allowed, 1e-10 of that of 'y'" in words
    code, found = document(capsys, *arguments, "--variance", "common")
    assert code == 0
    assert not found["report"]["floor"]


def test_how_many_atoms(folder, capsys):
    data = ["lines.csv", "--inputs", "x", *GAUSSIAN[:4], "--likelihood", "gaussian", *QUICK]
    more = ["--k", "1:3", "--folds", "2", "--save", "choice.json", "--figure", "choice.png"]
    assert main(["fit", *data, *more]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "k = 2, named by bic" in out
    assert "how many atoms? linear" in out
    found = json.loads((folder / "choice.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema("density-choice-1")).validate(found)
    Draft202012Validator(schema("density-fit-1")).validate(found["fit"])
    assert {n["criterion"]: n["k"] for n in found["named"]} == dict.fromkeys(
        ("bic", "icl", "cv", "dsc"), 2
    )
    chosen = next(c for c in found["candidates"] if c["k"] == 2)
    for name in ("bic", "icl"):
        assert chosen[name] == pytest.approx(found["fit"]["report"][name], rel=1e-12)
    for arguments, said in (
        (["--start", "a=1"], "it is for one k"),
        (["--variance", "known", "--variances", "1,2"], "of a range of k one"),
        (["--choose", "cv", "--folds", "0"], "there are no folds"),
    ):
        assert main(["fit", *data, "--k", "1:3", *arguments]) == 2
        assert said in capsys.readouterr().err


WRONG = [
    (["--gate", "sigmoid"], "gate sigmoid: its weights do not add up to 1"),
    (["--likelihood", "gausian"], "unknown likelihood 'gausian'; did you mean gaussian?"),
    (["--ridge", "1"], "--ridge 1: it is of least squares"),
    (["--variance", "known"], "--variance known: say what they are"),
    (["--variances", "1"], "has none that are known"),
    (["--variance", "known", "--variances", "1,-2"], "write numbers above 0"),
    (["--variance", "known", "--variances", "1,2,3"], "3 values for 2 atoms"),
    (["--variance", "low"], "choose one of free, common, known"),
    (["--classes", "3"], "a response is a number under gaussian"),
    (["--k-shared", "2"], "there is no shared expert"),
    (["--shared", "tanh", "--k-shared", "0"], "give a whole number from 1 to 100"),
    (["--shared", "a*x0 + b*x1"], "it uses x1, but the inputs are x; use no others"),
    (["--box", "nu=0:2"], "variances are above 0"),
    (["--box", "nu=2"], "variances are above 0"),
    (["--fix", "nu=2"], "variances are held by --variance known"),
    (["--box", "shared.a=1"], "there is no shared expert"),
    (["--shared", "tanh", "--box", "shared.c=1"], "there is no 'c'"),
    (["--start", "c=1"], "there is no 'c'"),
    (["--save-posterior", "p.txt"], "the name must end in .csv"),
    (["--save-posterior", "nowhere/p.csv"], "its directory does not exist"),
    (["--target", "z"], "has no column 'z'"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_input_is_one_sentence_and_exit_code_2(arguments, said, capsys):
    given = ["lines.csv", "--inputs", "x", *GAUSSIAN, *QUICK]
    assert main(["fit", *given, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("identkit: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["classes.csv", *GAUSSIAN], "is not a number"),
        ([*CLASSES, "--classes", "2"], "column 'kind' has 3 (blue, green, red)"),
        ([*CLASSES, "--box", "nu=1:2"], "the categorical likelihood has none"),
        (["one.csv", *CLASSES[1:]], "all rows are of the class red"),
        (["lines.csv", *CLASSES[1:]], "different values, at most 17 classes are fitted"),
        (["lines.csv", *GAUSSIAN[:6], "--shared", "tanh"], "least squares fits none"),
        (["lines.csv", *GAUSSIAN[:6], "--save-posterior", "p.csv"], "least squares fits none"),
    ],
)
def test_wrong_data_and_combinations(arguments, said, capsys):
    assert main(["fit", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["fit"].update(log_likelihood=1.0), "not that of its start"),
        (lambda d: d["report"].update(bic=1.0), "BIC is not that of"),
        (lambda d: d["report"]["parameters"].pop(), "parameters are not those of the model"),
        (lambda d: d["report"]["data"].update(inputs=["x", "z"]), "2 inputs"),
        (lambda d: d["report"]["data"].update(classes=["a", "b"]), "classes are not those"),
        (lambda d: d["fit"]["measure"].update(variances=[0.1]), "variances"),
        (lambda d: d["expert"].update(expression="a*x"), "expert"),
        (lambda d: d.update(schema="identkit.density-fit/9"), "update identkit"),
        (lambda d: d["report"]["covariance"]["standard_errors"].__setitem__(0, 9.0), "errors"),
        (lambda d: d.update(more=1), "is not as it was saved"),
    ],
)
def test_an_altered_file_is_refused(change, said, capsys):
    _, found = document(capsys, "lines.csv", "--inputs", "x", *GAUSSIAN, *QUICK)
    change(found)
    with pytest.raises(InputError, match=said):
        density_of(found)


def test_predictions_that_cannot_be(capsys):
    main(["fit", *CLASSES, *QUICK, "--save", "c.json"])
    main(["fit", "lines.csv", "--inputs", "x", *GAUSSIAN[:6], *QUICK, "--save", "l.json"])
    capsys.readouterr()
    for name, said in (("c.json", "y is a class and has none"), ("l.json", "least-squares fit")):
        assert main(["predict", name, "lines.csv", "--interval", "prediction"]) == 2
        assert said in capsys.readouterr().err


def test_figures(folder, capsys):
    pytest.importorskip("matplotlib")
    more = [*QUICK, "--figure"]
    shared = ["--shared", "linear"]
    two = [*GAUSSIAN, "--inputs", "u,v"]
    for name, arguments in (
        ("curve.png", ["lines.csv", "--inputs", "x", *GAUSSIAN, *shared]),
        ("classes.png", CLASSES),
        ("two.png", ["two.csv", *two]),
    ):
        assert main(["fit", *arguments, *more, name]) == 0
        assert f"drawn to {name}" in capsys.readouterr().out
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    made = identkit.fit_density("lines.csv", "linear", "softmax", 2, inputs="x", check=False)
    upper, lower = made.figure().axes
    table = read_table("lines.csv", inputs="x")
    low, high = upper.get_ylim()
    assert low < table.y.min() < table.y.max() < high
    assert lower.get_ylabel() == "weight"
    assert sum(len(c.get_offsets()) for c in upper.collections if c.get_zorder() == 3) == 400


def test_the_check_needs_no_torch():
    code = (
        "import sys; from identkit.cli import main; "
        "main(['check', '--expert', 'linear', '--gate', 'softmax', '--likelihood', 'gaussian']); "
        "main(['fit', '--help'])"
    )
    code = (
        f"try:\n    exec({code!r})\nexcept SystemExit:\n    pass\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--save-posterior" in done.stdout
