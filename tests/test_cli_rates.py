"""``identkit rates``, ``truth``, ``sweep``, ``runs`` and ``report`` as their users call them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from identkit.cli import main
from identkit.mixing import MixingMeasure

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ["--n", "150:600:3", "--reps", "8", "--control", "2", "--scheduler", "inline"]
TANH = ["--expert", "tanh", "--gate", "sigmoid"]
PLAN = """\
# A small plan.
name = "small"
sizes = [150, 300, 600]
replicates = 8
gates = ["sigmoid"]
regimes = [1]
noise = 0.005
truth = {beta0 = [1.7, 1.3], beta1 = [[0], [-1.7]], eta = [[-2.1, 0.25], [-4.4, -5.3]]}
budgets = [30, 90]
flat = 0.0
starts = ["local"]

[[grid]]
experts = ["tanh"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a truth, a plan and a store of one experiment."""
    path = tmp_path_factory.mktemp("rates")
    truth = MixingMeasure([1.7, 1.3], [[0.0], [-1.7]], [[-2.1, 0.25], [-4.4, -5.3]])
    truth.save(path / "truth.json")
    (path / "plan.toml").write_text(PLAN)
    where = ["--store", str(path / "runs.sqlite"), "--truth", str(path / "truth.json")]
    assert main(["rates", *TANH, *SMALL, *where]) == 0
    return path


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_same_command_finds_its_fits(folder, capsys):
    """And gives the same numbers, now as JSON."""
    before = fits(folder / "runs.sqlite")
    where = ["--store", folder / "runs.sqlite", "--truth", folder / "truth.json", "--json"]
    code, out, _ = run(capsys, "rates", *TANH, *SMALL, *where)
    assert code == 0
    document = json.loads(out)
    assert document["schema"] == "identkit.rates/1"
    assert document["complete"]
    assert document["fits"] == (8 + 2) * 3 * 2
    assert fits(folder / "runs.sqlite") == before
    for line in document["lines"]:
        assert len(line["medians"]) == 3
        if line["slope"] is not None:
            assert line["slope"]["low"] <= line["slope"]["high"]


def fits(path):
    # a connection's own context manager ends a transaction, and leaves it open
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM fits ORDER BY 1, 2, 3, 4, 5").fetchall()


def test_more_replicates_keep_those_that_are_there(folder, capsys, tmp_path):
    (tmp_path / "runs.sqlite").write_bytes((folder / "runs.sqlite").read_bytes())
    before = fits(tmp_path / "runs.sqlite")
    where = ["--store", tmp_path / "runs.sqlite", "--truth", folder / "truth.json"]
    more = [*SMALL[:3], "9", *SMALL[4:]]
    code, _, _ = run(capsys, "rates", *TANH, *more, *where)
    assert code == 0
    after = fits(tmp_path / "runs.sqlite")
    assert set(before) < set(after)
    assert len(after) == len(before) + 3 * 2


def test_the_report_at_80_columns(folder, capsys):
    code, out, _ = run(capsys, "runs", "show", "--store", folder / "runs.sqlite")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for words in ("tanh ridge, sigmoid gate, Regime 1", "90% interval", "conditioning", "seed 1"):
        assert words in out
    assert "derived n^-1/4" in out


def test_listing_and_export(folder, capsys, tmp_path):
    store = folder / "runs.sqlite"
    code, out, _ = run(capsys, "runs", "list", "--store", store)
    assert code == 0
    assert "60 of 60" in out
    code, out, _ = run(capsys, "runs", "list", "--store", store, "--json")
    (only,) = json.loads(out)["experiments"]
    assert (only["rows"], only["planned"]) == (60, 60)
    out = tmp_path / "fits.csv"
    assert run(capsys, "runs", "export", "--store", store, "--csv", out)[0] == 0
    assert len(out.read_text().splitlines()) == 61


def test_the_page(folder, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    code, out, _ = run(capsys, "report", folder / "runs.sqlite", "--out", page, "--title", "A & B")
    assert code == 0
    assert str(page) in out
    text = page.read_text()
    assert "<h1>A &amp; B</h1>" in text


def test_a_figure(folder, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    figure = tmp_path / "f.svg"
    where = ["--store", folder / "runs.sqlite", "--truth", folder / "truth.json"]
    assert run(capsys, "rates", *TANH, *SMALL, *where, "--figure", figure)[0] == 0
    assert figure.read_text().startswith("<?xml")


@pytest.mark.parametrize(("which", "code"), [("published", 0), ("derived", None)])
def test_requirements_are_three_valued(folder, capsys, which, code):
    """Published of tanh: the regression function only."""
    where = ["--store", folder / "runs.sqlite", "--truth", folder / "truth.json"]
    found, out, _ = run(capsys, "rates", *TANH, *SMALL, *where, "--require", which, "--json")
    answers = [v[f"against_{which}"] for v in json.loads(out)["verdicts"]]
    expected = 1 if "inconsistent" in answers else 3 if "inconclusive" in answers else 0
    assert found == expected
    assert (
        code is None or {"consistent": 0, "inconclusive": 3, "inconsistent": 1}[answers[0]] == found
    )


def test_a_sweep_and_its_plan(folder, capsys, tmp_path):
    plan, store = folder / "plan.toml", tmp_path / "s.sqlite"
    code, out, _ = run(capsys, "sweep", plan, "--dry-run", "--store", store)
    assert code == 0
    assert "48 fits" in out
    assert not store.exists()
    arguments = ["sweep", plan, "--store", store, "--scheduler", "inline"]
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    first = json.loads(out)
    assert [r["complete"] for r in first["results"]] == [True]
    # the same fits as those of `rates`, where the settings are the same
    code, out, _ = run(capsys, *arguments, "--json")
    assert json.loads(out) == first


def test_shipped_plans_are_listed_and_shown(capsys):
    code, out, _ = run(capsys, "sweep", "--list", "--json")
    assert code == 0
    assert {"quick", "neurips", "table", "relu", "regime-2", "protocols"} <= set(json.loads(out))
    code, out, _ = run(capsys, "sweep", "--show", "quick")
    assert code == 0
    assert 'name = "quick"' in out


def test_a_searched_truth_is_used_by_rates(capsys, tmp_path):
    file = tmp_path / "t.json"
    code, out, _ = run(capsys, "truth", *TANH, "--candidates", "12", "--save", file, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["conditioning"]["second"] > 0
    code, out, _ = run(
        capsys, "rates", *TANH, *SMALL, "--control", "0", "--truth", file, "--no-store", "--json"
    )
    assert code == 0
    setting = json.loads(out)["experiment"]["setting"]
    assert setting["noise"] == found["noise"]
    assert setting["truth"]["eta"] == found["measure"]["eta"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rates", *TANH, "--n", "1000"], "3 or more"),
        (["rates", *TANH, "--n", "1e3:1e5"], "LO:HI:COUNT"),
        (["rates", *TANH, "--n", "1.5,2,3"], "whole numbers"),
        (["rates", *TANH, "--regime", "3"], "choose sparse (1) or dense (2)"),
        (
            ["rates", "--expert", "tanh", "--gate", "softmax", "--regime", "1"],
            "no such regime; leave it out",
        ),
        (["rates", *TANH, "--truth", "missing.json"], "missing.json"),
        (["rates", *TANH, "--starts", "near"], "near"),
        (["rates", *TANH, "--device", "tpu"], "--device tpu"),
        (["rates", *TANH, "--seed", "-1"], "--seed: -1"),
        (["rates", *TANH, "--budgets", "a,b"], "'a' is not a whole number"),
        (["rates", *TANH, "--budgets", "300,200"], "increasing"),
        (["rates", *TANH, "--scheduler", "slurm"], "slurm"),
        (["rates", *TANH, "--workers", "0"], "workers"),
        (["rates", *TANH, "--reps", "1"], "--reps"),
        (["rates", *TANH, "--noise", "0"], "--noise 0"),
        (["rates", *TANH, "--k", "1"], "at least"),
        (["rates", *TANH, "--figure", "f.jpg"], ".svg"),
        (["truth", *TANH, "--save", "t.txt"], ".json"),
        (["truth", *TANH, "--save", "nowhere/t.json"], "directory"),
        (["truth", *TANH, "--candidates", "0"], "candidates"),
        (["sweep"], "name a plan"),
        (["sweep", "nope"], "nope"),
        (["sweep", "--show", "nope"], "nope"),
        (["runs", "list", "--store", "nope.sqlite"], "nope.sqlite"),
        (["runs", "export", "--store", "nope.sqlite"], "name a file"),
        (["report", "nope.sqlite"], "nope.sqlite"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "rates" and "--truth" not in arguments and "softmax" not in arguments:
        arguments = [*arguments, "--truth", str(folder / "truth.json")]
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("identkit: ")
    assert err.count("\n") == 1
    assert words in err
    assert not list(tmp_path.glob("*.sqlite"))


def test_no_experiment_named_like_that(folder, capsys):
    store = folder / "runs.sqlite"
    code, _, err = run(capsys, "runs", "show", "--store", store, "--name", "gelu")
    assert code == 2
    assert "tanh ridge" in err
    key = json.loads(run(capsys, "runs", "list", "--store", store, "--json")[1])
    key = key["experiments"][0]["key"][:8]
    assert run(capsys, "runs", "show", "--store", store, "--name", key, "--json")[0] == 0


def test_proofs_do_not_import_what_rates_need():
    code = (
        "import sys; from identkit.cli import main; main(['check', '--expert', 'linear', "
        "'--gate', 'softmax', '--json']); "
        "print([m for m in ('numpy', 'torch', 'matplotlib', 'scipy') if m in sys.modules], "
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
