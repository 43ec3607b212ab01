"""Damaged and strange data and truth files, and arrays from Python: one sentence or a fit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from hostile import data

from identkit import InputError, MixingMeasure
from identkit.cli import main
from identkit.fit import Model, least_squares

MODEL = Model.of("tanh", "sigmoid")
START = MixingMeasure([0.0], [[0.5]], [[1.0, 0.5]])
X = np.linspace(-3, 3, 40)[:, None]
Y = np.sin(X[:, 0])
MASK = np.arange(40) == 3


def test_a_few(tmp_path, one_thread):
    assert {data.attempt(case, tmp_path) for case in data.cases(36, seed=1)} >= {"refused"}


@pytest.mark.slow
def test_many(tmp_path, one_thread):
    ends = Counter(data.attempt(case, tmp_path) for case in data.cases(400, seed=2))
    assert ends["accepted"]
    assert ends["refused"]


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X[:0], Y[:0], "no sample"),
        (np.zeros((0, 40, 1)), np.zeros((0, 40)), "no sample"),
        (X[:1], Y[:1], "nothing to fit"),
        (X[:3], Y[:3], "fewer than"),
        (X, np.ma.array(Y, mask=MASK), r"y: the value at \[3\] is masked"),
        (np.ma.array(X, mask=MASK[:, None]), Y, r"x: the value at \[3, 0\] is masked"),
        (X, Y + 0j, "not complex128"),
        (X + 1j, Y, "not complex128"),
        (X, Y.astype(str), "real numbers"),
        (X, Y.astype("M8[s]"), "not datetime64"),
        (X, np.zeros(40, dtype=[("a", "f8")]), "real numbers"),
        (X, np.array([1j] * 40, dtype=object), "real numbers"),
        (X, Y.astype(np.longdouble) * np.longdouble("1e400"), "holds"),
        (X, np.where(MASK, np.nan, Y), "row 3 holds nan"),
        *((X, Y * scale, "squares of which vanish") for scale in (1e-120, 1e-175, 1e-310, 5e-324)),
        *((X, Y * scale, "rescale") for scale in (1e110, 1e160, 1e300)),
        (X, 0 * Y, "nothing to fit"),
    ],
)
def test_arrays_are_refused_in_a_sentence(x, y, words):
    with pytest.raises(InputError, match=words) as refused:
        least_squares(MODEL, x, y, START)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("y", [Y > 0, (9 * Y).astype(int), Y.astype(object), np.ma.array(Y)])
def test_other_kinds_of_numbers_are_fitted(y, one_thread):
    plain = least_squares(MODEL, X, np.array(y, dtype=float), START)
    assert least_squares(MODEL, X, y, START).cost == plain.cost


@pytest.mark.parametrize("weight", [np.full(40, 1e300), np.full(40, 1e-300), np.ones(40) + 1j])
def test_weights_out_of_range(weight):
    with pytest.raises(InputError, match="weight"):
        least_squares(MODEL, X, Y, START, weight=weight)


def test_the_estimator_keeps_the_mask():
    sklearn = pytest.importorskip("sklearn")
    assert sklearn
    from identkit import MoERegressor

    with pytest.raises(InputError, match="masked"):
        MoERegressor().fit(np.ma.array(X, mask=MASK[:, None]), Y)


@pytest.mark.parametrize("name", ["a" * 300 + ".json", "loop/x.json", "loop"])
def test_places_that_cannot_be(name, tmp_path, capsys):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    place = str(tmp_path / name)
    table = tmp_path / "d.csv"
    table.write_text("x,y\n" + "\n".join(f"{i},{i * i % 7}" for i in range(30)))
    model = ["--expert", "tanh", "--gate", "softmax"]
    for words in (
        ["check", *model, "--dim", "1", "--save", place],
        ["fit", str(table), *model, "--k", "1", "--no-check", "--save", place],
        ["verify", place],
        ["sweep", place],
        ["runs", "list", "--store", place],
        ["report", place],
        ["fit", place, *model, "--k", "1"],
    ):
        assert main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    ["../../x", "/tmp/x", "..", ".hidden", "a/b", "a\\\\b", "-x", "a\\u001bb", "x" * 200, "a:b"],
)
def test_a_plan_stays_in_the_folder(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'name = "{name}"\nsizes = [40, 60, 90]\nreplicates = 2\n'
        '[[grid]]\nexperts = ["tanh"]\ngates = ["sigmoid"]\n'
    )
    assert main(["sweep", str(plan)]) == 2
    told = capsys.readouterr().err
    assert "names the store" in told
    assert "\x1b" not in told
    assert [p.name for p in tmp_path.iterdir()] == ["plan.toml"]
