"""``identkit fit --k A:B`` and ``MoERegressor(n_atoms="bic")`` end to end."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from jsonschema import Draft202012Validator

import identkit
from identkit.choice import PRESUMES
from identkit.cli import choose as cli_choose
from identkit.cli import main
from identkit.errors import InputError
from identkit.fit import Model
from identkit.report.json_text import schema

pytestmark = pytest.mark.usefixtures("one_thread")

M = identkit.MixingMeasure
TRUTH = M([0.0, 0.0], [[0.0], [2.0]], [[2.0, 1.0], [-1.5, 0.5]])
ARGUMENTS = ["data.csv", "--expert", "tanh", "--gate", "softmax", "--starts", "3", "--no-check"]


def sample(n=250, seed=3):
    return identkit.simulate(Model.of("tanh", "softmax"), TRUTH, n, noise=0.1, seed=seed).data(0)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    x, y = sample()
    table = np.column_stack([x, y])
    np.savetxt(tmp_path / "data.csv", table, delimiter=",", header="dose,y", comments="")
    monkeypatch.chdir(tmp_path)


def fit(*arguments):
    return main(["fit", *ARGUMENTS, *arguments])


def document(text):
    found = json.loads(text)
    Draft202012Validator(schema("fit-choice-1")).validate(found)
    return found


def test_the_table_and_the_report_of_the_one_chosen(capsys):
    assert fit("--k", "1:3", "--folds", "3") == 0
    captured = capsys.readouterr()
    out, words = captured.out, " ".join(captured.out.split())
    assert captured.err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert "how many atoms? tanh ridge: h(x) = tanh(a*x + b), gate softmax" in out
    assert "data.csv: y on dose; n = 250, d = 1" in out
    assert "k = 1 to 3, seed 0, 3 folds" in out
    (header,) = [line for line in out.splitlines() if line.split()[:2] == ["k", "status"]]
    assert header.split() == ["k", "status", "R²", "BIC", "ICL", "CV", "±", "s.e.", "height"]
    rows = {line.split()[0]: line for line in out.splitlines() if line[:3] in (" 1 ", " 2 ", " 3 ")}
    assert set(rows) == {"1", "2", "3"}
    assert "*" in rows["2"]
    assert "k = 2, named by bic" in out
    assert "tanh ridge: h(x) = tanh(a*x + b), gate softmax, k = 2" in out
    for name in ("bic", "cv", "dsc"):
        assert PRESUMES[name][:40] in words


def test_json_file_and_figure_say_the_same(capsys):
    assert fit("--k", "1:3", "--folds", "0", "--json", "--save", "c.json", "--figure", "c.svg") == 0
    text = capsys.readouterr().out
    found = document(text)
    with open("c.json", encoding="utf-8") as file:
        assert file.read() == text
    assert text == json.dumps(found, sort_keys=True, ensure_ascii=False, indent=1) + "\n"
    with open("c.svg", encoding="utf-8") as file:
        assert "<svg" in file.read()
    Draft202012Validator(schema("fit-3")).validate(found["fit"])
    assert found["chosen"] == 2
    assert found["chosen_by"] == "bic"
    assert len(found["fit"]["fits"][0]["measure"]["beta0"]) == 2
    assert [c["k"] for c in found["candidates"]] == [1, 2, 3]
    assert all(c["cv"] is None for c in found["candidates"])
    assert {n["criterion"]: n["k"] for n in found["named"]}["cv"] is None
    assert found["dendrogram"]["k"] == 3
    assert [m["atoms"] for m in found["dendrogram"]["merges"]][-1] == [0, 1, 2]
    fitted = identkit.choose_atoms(sample(), "tanh", "softmax", [1, 2, 3], starts=3, folds=0)
    assert [c.bic for c in fitted.choice.candidates] == pytest.approx(
        [c["bic"] for c in found["candidates"]], rel=1e-4
    )
    Draft202012Validator(schema("fit-choice-1")).validate(json.loads(json.dumps(fitted.to_dict())))


def test_choose_by_cross_validation(capsys):
    assert fit("--k", "1:2", "--folds", "3", "--choose", "cv", "--json") == 0
    found = document(capsys.readouterr().out)
    assert found["chosen_by"] == "cv"
    assert found["chosen"] == 2
    errors = found["candidates"][1]["cv"]
    assert sum(errors["sizes"]) == 250
    assert errors["mean"] == pytest.approx(np.average(errors["errors"], weights=errors["sizes"]))
    assert errors["mean"] == pytest.approx(0.01, rel=0.4)  # the errors have s.d. 0.1


def test_ctrl_c_prints_what_is_there(capsys, monkeypatch):
    asked = []

    @contextmanager
    def pressed():
        def stopped():
            return len(asked) > 1

        yield stopped

    from identkit.fit import running

    best = running.best_fit

    def counted(model, x, y, k, **options):
        asked.append(k)
        options["stop"] = None
        return best(model, x, y, k, **options)

    monkeypatch.setattr(cli_choose, "interruptible", pressed)
    monkeypatch.setattr(running, "best_fit", counted)
    assert fit("--k", "1:6", "--json") == 130
    found = document(capsys.readouterr().out)
    assert [c["k"] for c in found["candidates"]] == [1, 2]
    assert found["interrupted"]
    assert found["chosen"] == 2
    assert any("not fitted: 3, 4, 5, 6" in note for note in found["notes"])


def test_more_parameters_than_rows_end_the_range(capsys):
    x, y = sample(9)
    np.savetxt("data.csv", np.column_stack([x, y]), delimiter=",", header="dose,y", comments="")
    fit("--k", "1:6", "--folds", "0", "--json")
    found = document(capsys.readouterr().out)
    assert found["asked"] == [1, 2, 3, 4, 5, 6]
    assert len(found["candidates"]) == 2
    assert found["ended"] == "k = 3 has 10 free parameters, more than the 9 samples"


def test_without_a_named_k_nothing_is_reported(capsys):
    assert fit("--k", "1:1", "--folds", "0", "--choose", "dsc") == 1
    out = capsys.readouterr().out
    assert "dsc names no k, so that no fit is reported: no fit of 2 atoms" in out


WRONG = [
    (["--k", "2", "--choose", "cv"], "--choose: it is about a range of k"),
    (["--k", "2", "--folds", "3"], "--folds: it is about a range of k"),
    (["--k", "0:3"], "--k 0: give a whole number from 1"),
    (["--k", "1:1000"], "--k 1000: give a whole number"),
    (["--k", "1:3", "--folds", "1"], "folds: 1 leaves nothing to fit"),
    (["--k", "1:3", "--folds", "0", "--choose", "cv"], "there are no folds"),
    (["--k", "1:3", "--gate", "sigmoid", "--choose", "icl"], "do not sum to 1"),
    (["--k", "1:3", "--expert", "relu", "--choose", "dsc"], "there is no dendrogram"),
    (["--k", "1:3", "--gate", "top-2"], "begin the range at 2"),
    (["--k", "1:3", "--figure", "c.txt"], "figures are written as"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=lambda a: " ".join(a)[:60])
def test_wrong_input_is_one_sentence_and_exit_code_2(arguments, said, capsys):
    assert fit(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("identkit: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


@pytest.mark.parametrize("text", ["", "a", "1:2:3", "3:1", "-1", "1.5", "1:"])
def test_what_is_no_range(text, capsys):
    assert fit(f"--k={text}") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"identkit: argument --k: '{text}'")
    assert captured.err.count("\n") == 1


# -- the regressor ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def regressor():
    pytest.importorskip("sklearn")
    from identkit.estimator import MoERegressor

    return MoERegressor


@pytest.mark.parametrize("criterion", ["bic", "cv", "dsc"])
def test_a_regressor_that_chooses(regressor, criterion):
    x, y = sample(150)
    made = regressor("tanh", "softmax", criterion, n_starts=2, max_atoms=3, random_state=0)
    made.fit(x, y)
    assert made.n_atoms == criterion  # as it was given
    assert made.n_atoms_ == made.measure_.atoms == made.choice_.of(criterion).k == 2
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    alone = regressor("tanh", "softmax", 2, n_starts=2, random_state=seed).fit(x, y)
    np.testing.assert_array_equal(made.predict(x), alone.predict(x))
    assert not hasattr(alone, "choice_")
    assert alone.n_atoms_ == 2


def test_rows_without_weight_and_a_regressor_that_chooses(regressor):
    x, y = sample(150)
    weight = np.ones(150)
    weight[::5] = 0.0
    kept = weight > 0
    options = {"n_starts": 2, "max_atoms": 2, "random_state": 0}
    one = regressor("tanh", "softmax", "cv", **options).fit(x, y, weight)
    other = regressor("tanh", "softmax", "cv", **options).fit(x[kept], y[kept])
    assert one.n_atoms_ == other.n_atoms_ == 2
    assert one.choice_.samples == other.choice_.samples == 120
    for k in (1, 2):
        assert one.choice_[k].cv.mean == pytest.approx(other.choice_[k].cv.mean, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_atoms": "aic"}, "n_atoms: 'aic' is neither a number nor a criterion"),
        ({"n_atoms": "bic", "max_atoms": 0}, "max_atoms: 0 must be a whole number"),
        ({"n_atoms": "icl", "gate": "sigmoid"}, "do not sum to 1"),
        ({"n_atoms": "dsc", "max_atoms": 1}, "it names no number of atoms"),
    ],
)
def test_a_regressor_that_cannot_choose(regressor, options, said):
    x, y = sample(60)
    with pytest.raises(InputError) as refused:
        regressor("tanh", **options, n_starts=1).fit(x, y)
    assert said in str(refused.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learn_compatible_where_it_chooses(regressor):
    from sklearn.utils.estimator_checks import check_estimator

    check_estimator(regressor(n_atoms="bic", max_atoms=2, n_starts=2, max_steps=50))
