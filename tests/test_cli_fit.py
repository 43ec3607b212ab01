"""``identkit fit`` end to end: reports, JSON, files, wrong input, Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from jsonschema import Draft202012Validator

import identkit
from identkit.cli import fit as cli_fit
from identkit.cli import main
from identkit.cli.progress import Bar
from identkit.errors import InputError
from identkit.fit import Model, least_squares
from identkit.fit.result import Box
from identkit.report.json_text import schema

M = identkit.MixingMeasure
TANH = Model.of("tanh", "sigmoid")
TRUTH = M([-0.1, 0.4], [[0.3], [-1.1]], [[1.3, 0.1], [2.6, 0.9]])
ARGUMENTS = ["--expert", "tanh", "--gate", "sigmoid", "--k", "2"]


def write(path, model, truth, names, *, n=300, noise=0.05):
    x, y = identkit.simulate(model, truth, n, noise=noise, seed=3).data(0)
    table = np.column_stack([x, y])
    np.savetxt(path, table, delimiter=",", header=",".join(names), comments="", fmt="%.10g")
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path / "tanh.csv", TANH, TRUTH, ["dose", "y"], noise=0.01)
    over = M([0.0], [[0.0]], [[1.5, 1.0]])
    write(path / "over.csv", TANH, over, ["x", "y"])
    linear = M([0.5, 0.0], [[1.5, -1.0], [0.0, 0.0]], [[1.0, 2.0, 0.5], [-1.0, 0.5, -1.0]])
    write(path / "linear.csv", Model.of("linear", "softmax", dim=2), linear, ["age", "size", "y"])
    rows = np.arange(30.0)
    for name, header, columns in (
        ("few.csv", "x,y", [rows[:3], rows[:3] ** 2]),
        ("constant.csv", "u,x,y", [0 * rows + 5, rows, rows**2]),
        ("flat.csv", "x,y", [rows, 0 * rows + 5]),
        ("huge.csv", "x,y", [rows, 1e101 * rows]),
    ):
        np.savetxt(path / name, np.column_stack(columns), delimiter=",", header=header, comments="")
    (path / "missing.csv").write_text("x,y\n1,2\n2,\n3,4\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def document(capsys, *arguments):
    """The JSON of a fit, checked against the schema."""
    code = main(["fit", *arguments, "--json"])
    text = capsys.readouterr().out
    found = json.loads(text)
    Draft202012Validator(schema("fit-3")).validate(found)
    assert text == json.dumps(found, sort_keys=True, ensure_ascii=False, indent=1) + "\n"
    return code, found


def test_the_schema_is_valid():
    Draft202012Validator.check_schema(schema("fit-1"))


def test_report(capsys):
    assert main(["fit", "tanh.csv", *ARGUMENTS]) == 0
    captured = capsys.readouterr()
    out = captured.out
    assert captured.err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert "tanh ridge: h(x) = tanh(a*x + b), gate sigmoid, k = 2" in out
    assert "tanh.csv: y on x = dose; n = 300, d = 1" in out
    assert "5 starts, seed 0, cpu, native kernel" in out
    words = " ".join(out.split())
    assert "status converged: a local minimum" in words
    assert "independent errors of equal variance and an exactly specified model" in words
    assert "no two atoms share a gate" in words
    assert "Regime 2 · weak, product level: yes" in words
    assert out.count("±") == 9  # eight parameters and the explanation


def test_json_says_what_the_report_says(capsys):
    code, found = document(capsys, "tanh.csv", *ARGUMENTS)
    assert code == 0
    (fit,), report = found["fits"], found["report"]
    data = np.loadtxt("tanh.csv", delimiter=",", skiprows=1)[:, 0]
    assert report["data"] == {
        "file": "tanh.csv",
        "target": "y",
        "inputs": ["dose"],
        "ranges": [[data.min(), data.max()]],
        "weighted": False,
    }
    assert report["parameters"] == ["β1", "β0", "a", "b"]
    assert fit["status"] == "converged"
    assert len(fit["starts"]) == 5
    assert fit["start"] in report["reached"]
    assert fit["root_mean_square"] == pytest.approx(0.01, rel=0.2)
    assert 0.9 < report["r_squared"] < 1.0
    errors = np.array(report["covariance"]["standard_errors"])
    matrix = np.array(report["covariance"]["matrix"])
    np.testing.assert_allclose(errors**2, np.diag(matrix))
    measure = M.from_dict(fit["measure"])
    order = [0, 1] if measure.beta1[0, 0] > 0 else [1, 0]
    estimate = measure.relabelled(order).to_vector()
    errors = errors.reshape(2, 4)[order].ravel()
    assert (np.abs(estimate - TRUTH.to_vector()) < 4 * errors).all()
    assert report["identifiability"]["condition"] == "weak"
    assert report["shared_gates"] == []


def test_the_library_writes_the_same_schema():
    x = np.linspace(-1.0, 1.0, 50)[:, None]
    start = M([0.0], [[1.0]], [[1.0, 0.5]])
    many = least_squares(TANH, x, np.stack([np.tanh(x[:, 0]), x[:, 0] ** 2]), start)
    Draft202012Validator(schema("fit-1")).validate(json.loads(json.dumps(many.to_dict())))


def test_linear_softmax_in_two_dimensions(capsys):
    arguments = ["linear.csv", "--expert", "linear", "--gate", "softmax", "--k", "2"]
    assert main(["fit", *arguments]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "y on x0 = age, x1 = size; n = 300, d = 2" in out
    assert out.count("(fixed)") == 3
    words = " ".join(out.split())
    assert "not separately identifiable in an over-specified cell: (a0, a1, b)" in words
    assert "derived: no consistent estimator; published: 1/log n (confirmed)" in words
    _, found = document(capsys, *arguments, "--starts", "2", "--inputs", "size,age")
    assert found["report"]["data"]["inputs"] == ["size", "age"]
    assert found["report"]["fixed"] == [False] * 6 + [True] * 3 + [False] * 3
    assert ["a0", "a1", "b"] in found["report"]["identifiability"]["not_separately_identifiable"]


def test_one_atom_from_standard_input(capsys, monkeypatch):
    with open("tanh.csv", "rb") as file:
        stream = io.TextIOWrapper(io.BytesIO(file.read()))
    monkeypatch.setattr(sys, "stdin", stream)
    code = main(["fit", "-", "--expert", "tanh", "--gate", "softmax", "--k", "1", "--no-check"])
    out = capsys.readouterr().out
    assert code == 0
    assert "standard input: y on x = dose" in out
    assert "identifiability" not in out


def test_own_expression_and_parquet_free_formats(tmp_path, capsys):
    x = np.linspace(-2.0, 2.0, 200)[:, None]
    path = tmp_path / "data.npz"
    np.savez(path, x=x, y=0.5 * x[:, 0] ** 2 + 1.0 + 0.01 * np.sin(97.0 * x[:, 0]))
    arguments = [str(path), "--expr", "p*x*x + q", "--gate", "softmax", "--k", "1"]
    _, found = document(capsys, *arguments, "--starts", "1", "--no-check")
    np.testing.assert_allclose(found["fits"][0]["measure"]["eta"], [[0.5, 1.0]], atol=0.01)
    assert found["report"]["identifiability"] is None


def test_over_specified_atoms_are_said_to_share_a_gate(capsys):
    # a truth of one atom with a constant gate, fitted by two: narrow slopes keep both constant
    arguments = ["over.csv", *ARGUMENTS, "--box", "beta1=0.02", "--starts", "2"]
    _, found = document(capsys, *arguments)
    (group,) = found["report"]["shared_gates"]
    assert group == {"atoms": [0, 1], "constant": True, "within": "tolerance"}
    assert found["report"]["identifiability"]["regime"] == 1
    main(["fit", *arguments])
    words = " ".join(capsys.readouterr().out.split())
    assert "atoms 0 and 1 share constant gates (β1 = 0)" in words
    assert "candidates for one true atom, an over-specified cell" in words
    assert "Regime 1 since shared gates are constant" in words


def test_the_box_is_named_when_it_binds(capsys):
    arguments = ["tanh.csv", *ARGUMENTS, "--box", "a=-1:1", "--no-check"]
    code, found = document(capsys, *arguments)
    assert code == 0
    bounds = found["report"]["bounds"]
    assert {b["parameter"] for b in bounds} >= {"a"}
    assert {b["side"] for b in bounds} <= {"lower", "upper"}
    assert found["fits"][0]["status"] in ("at the box", "flat valley")
    main(["fit", *arguments])
    out = capsys.readouterr().out
    assert "(bound)" in out
    assert "to widen: --box a=" in " ".join(out.split())


def test_step_limit_is_exit_code_1(capsys):
    code, found = document(capsys, "tanh.csv", *ARGUMENTS, "--max-steps", "1", "--starts", "1")
    assert code == 1
    assert found["fits"][0]["status"] == "step limit"
    assert found["report"]["covariance"] is None
    assert "--max-steps" in found["report"]["remedy"]


def test_same_seed_same_result_whatever_the_threads(capsys):
    one, two, other = (
        document(capsys, "tanh.csv", *ARGUMENTS, "--starts", "2", "--no-check", *more)[1]["fits"]
        for more in (["--threads", "1"], ["--threads", "2"], ["--seed", "1"])
    )
    assert one == two
    assert one != other


def test_nodes_can_be_left_out(folder, capsys):
    path = write(folder / "long.csv", TANH, TRUTH, ["x", "y"], n=2000)
    arguments = [path, *ARGUMENTS, "--starts", "1", "--no-check"]
    _, with_nodes = document(capsys, *arguments)
    _, without = document(capsys, *arguments, "--no-nodes")
    assert with_nodes["settings"]["nodes"] > 0
    assert without["settings"]["nodes"] == 0
    cost = with_nodes["fits"][0]["cost"]
    assert without["fits"][0]["cost"] == pytest.approx(cost, rel=1e-8)


# -- files --------------------------------------------------------------------------------------


def test_save_writes_what_json_prints(tmp_path, capsys):
    path = tmp_path / "fit.json"
    arguments = ["tanh.csv", *ARGUMENTS, "--starts", "1", "--no-check"]
    main(["fit", *arguments, "--save", str(path)])
    assert f"written to {path}" in capsys.readouterr().out
    saved = json.loads(path.read_text(encoding="utf-8"))
    _, printed = document(capsys, *arguments)
    for found in (saved, printed):
        del found["seconds"], found["report"]["seconds"]
    assert saved == printed
    assert os.listdir(tmp_path) == ["fit.json"]


def test_a_file_that_cannot_be_written_is_refused_before_the_fit(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli_fit, "_fitted", lambda *a: pytest.fail("the fit was run"))
    for path in ("fit.csv", "fit", str(tmp_path / "no" / "fit.json")):
        assert main(["fit", "tanh.csv", *ARGUMENTS, "--save", path]) == 2
    (tmp_path / "folder.json").mkdir()
    assert main(["fit", "tanh.csv", *ARGUMENTS, "--save", str(tmp_path / "folder.json")]) == 2


def test_nothing_half_written(tmp_path, capsys, monkeypatch):
    path = tmp_path / "fit.json"
    path.write_text("before", encoding="utf-8")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    arguments = ["tanh.csv", *ARGUMENTS, "--starts", "1", "--no-check"]
    assert main(["fit", *arguments, "--save", str(path)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "before"
    assert os.listdir(tmp_path) == ["fit.json"]


# -- Ctrl-C -------------------------------------------------------------------------------------


def press(monkeypatch, label, times=1):
    """Ctrl-C at the first step of the part of the run with this label."""
    update, pressed = Bar.update, []

    def pressing(bar, done, total):
        while bar.label == label and len(pressed) < times:
            pressed.append(label)
            signal.raise_signal(signal.SIGINT)
        update(bar, done, total)

    monkeypatch.setattr(Bar, "update", pressing)


@pytest.mark.parametrize("label", ["choosing starts", "fitting"])
def test_the_first_interrupt_prints_what_is_there(label, capsys, monkeypatch):
    press(monkeypatch, label)
    before = signal.getsignal(signal.SIGINT)
    code, found = document(capsys, "tanh.csv", *ARGUMENTS)
    assert code == 130
    assert found["report"]["interrupted"] is True
    assert found["fits"][0]["status"] == "interrupted"
    assert found["report"]["covariance"] is None
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_interrupt_leaves_at_once(capsys, monkeypatch):
    press(monkeypatch, "fitting", times=2)
    assert main(["fit", "tanh.csv", *ARGUMENTS]) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("identkit: interrupted; nothing was written.\n")


def test_an_interrupt_during_the_check_keeps_the_fit(capsys, monkeypatch):
    import identkit.fit.inference

    def check(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(identkit.fit.inference, "identifiability", check)
    code, found = document(capsys, "tanh.csv", *ARGUMENTS)
    assert code == 130
    assert found["fits"][0]["status"] == "converged"
    assert found["report"]["covariance"] is not None


# -- wrong input --------------------------------------------------------------------------------

EXPR = ["--gate", "sigmoid", "--k", "2", "--expr"]
WRONG = [
    (["nofile.csv", *ARGUMENTS], "there is no such file"),
    (["missing.csv", *ARGUMENTS], "line 3, column 'y': the cell is empty"),
    (["few.csv", *ARGUMENTS], "3 samples are fewer than the 8 parameters"),
    (["constant.csv", *ARGUMENTS], "column 'u' is 5 in every row"),
    (["flat.csv", *ARGUMENTS], "nothing to fit"),
    (["huge.csv", *ARGUMENTS], "column 'y': it holds 2.9e+102; rescale it"),
    (["tanh.csv", "--expert", "tanh", "--gate", "sigmoid"], "--k"),
    (["tanh.csv", "--expert", "tan", "--gate", "sigmoid", "--k", "2"], "did you mean tanh"),
    (["tanh.csv", "--expert", "tanh", "--gate", "sigmod", "--k", "2"], "did you mean sigmoid"),
    (["tanh.csv", "--gate", "sigmoid", "--k", "2"], "--expert --expr"),
    (
        ["tanh.csv", "--expert", "tanh", "--gate", "sigmoid", "--k", "two"],
        "'two' is no number of atoms",
    ),
    (["tanh.csv", "--expert", "tanh", "--gate", "sigmoid", "--k", "0"], "from 1 to 100"),
    (["tanh.csv", *ARGUMENTS, "--starts", "0"], "--starts 0"),
    (["tanh.csv", *ARGUMENTS, "--seed", "-1"], "--seed -1"),
    (["tanh.csv", *ARGUMENTS, "--max-steps", "0"], "--max-steps 0"),
    (["tanh.csv", *ARGUMENTS, "--threads", "0"], "--threads 0"),
    (["tanh.csv", *ARGUMENTS, "--device", "gpu"], "use auto, cpu or cuda"),
    (["tanh.csv", *ARGUMENTS, "--target", "z"], "it has dose, y"),
    (["tanh.csv", *ARGUMENTS, "--inputs", "y"], "both the target and an input"),
    (["tanh.csv", *ARGUMENTS, "--shape", "round"], "unknown shape"),
    (["tanh.csv", *ARGUMENTS, "--params", "a"], "--params"),
    (["tanh.csv", *ARGUMENTS, "--box", "a"], "NAME=LO:HI"),
    (["tanh.csv", *ARGUMENTS, "--box", "q=3"], "the parameters are beta0, beta1, eta, a, b"),
    (
        ["tanh.csv", "--expr", "y*dose + b", "--gate", "softmax", "--k", "1", "--target", "y"],
        "--target y: the expression names it too",
    ),
    (
        ["tanh.csv", "--expr", "a*dose + w", "--gate", "softmax", "--k", "1", "--weights", "w"],
        "--weights w: the expression names it too",
    ),
    (["tanh.csv", *ARGUMENTS, "--box", "a=5:1"], "5 is not below 1"),
    (["tanh.csv", *ARGUMENTS, "--box", "a=-3"], "must be above 0"),
    (["tanh.csv", *ARGUMENTS, "--box", "a=1:2:3"], "two numbers or one"),
    (["tanh.csv", *ARGUMENTS, "--box", "beta0=nan"], "two numbers or one"),
    (["tanh.csv", *ARGUMENTS, "--box", "a=1", "--box", "a=2"], "bounds already"),
    (["tanh.csv", *EXPR, "tanh(a*x + b"], "cannot read"),
    (["tanh.csv", *EXPR, "a*log(x)"], "not finite on these data"),
    (["tanh.csv", *EXPR, "a*x", "--shape", "ffn"], "write it into the expression"),
    (["linear.csv", *EXPR, "tanh(a*x + b)"], "2 columns are inputs: 'age', 'size'"),
    (["tanh.csv", *EXPR, "tanh(a*x0 + b*x1)"], "1 column is an input: 'dose'"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=lambda a: " ".join(a)[:60])
def test_wrong_input_is_one_sentence_and_exit_code_2(arguments, said, capsys):
    assert main(["fit", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("identkit: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


@pytest.mark.parametrize("library", ["torch", "numba", "numpy"])
def test_a_missing_library_is_named(library, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    assert main(["fit", "tanh.csv", *ARGUMENTS]) == 2
    assert capsys.readouterr().err == (
        f"identkit: identkit fit needs {library}, which is not installed; run pip install "
        "identkit[fit].\n"
    )


def test_the_parser_is_light():
    code = (
        "import sys; from identkit.cli import build_parser; build_parser()\n"
        "print(sorted({'numpy', 'torch', 'numba', 'sympy', 'rich', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as done:
        main(["fit", "--help"])
    assert done.value.code == 0
    out = capsys.readouterr().out
    for part in ("identkit fit data.csv", "--box beta0=-1.5:4", "exit codes: 0 at a minimum"):
        assert part in out
    # what is written for people stays within 80 columns
    assert max(map(len, out[out.index("examples:") :].splitlines())) <= 80


def test_boxes():
    plain = cli_fit.parse_box([], ("a", "b"))
    assert plain == Box()
    mixed = cli_fit.parse_box(["b=0:1", "eta=20", "beta1=3"], ("a", "b"))
    assert mixed.eta == ((-20.0, 20.0), (0.0, 1.0))
    assert mixed.pair("beta1") == (-3.0, 3.0)
    assert cli_fit.parse_box(["eta=2"], ("eta",)).eta == (-2.0, 2.0)
    with pytest.raises(InputError, match="there is no 'eta0'"):
        cli_fit.parse_box(["eta0=1"], ("a",))


def test_a_fit_under_a_gate_without_an_expansion_has_a_valid_document(tmp_path, capsys):
    rows = [f"{x / 10},{x * x / 100}" for x in range(-30, 31)]
    (tmp_path / "d.csv").write_text("\n".join(["x,y", *rows]))
    arguments = ["fit", str(tmp_path / "d.csv"), "--expert", "tanh", "--gate", "(1 + tanh(s))/2"]
    assert main([*arguments, "--k", "1", "--starts", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"]["identifiability"]["rate"]["cause"] == "no-expansion"
    Draft202012Validator(schema("fit-3")).validate(found)
