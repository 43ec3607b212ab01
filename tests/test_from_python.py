"""What commands do can be done from Python, with the same answers."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import identkit
from identkit.cli import main

TRUTH = identkit.MixingMeasure([0.0, 0.5], [[0.0], [1.0]], [[1.0, 0.5], [2.0, -0.5]])
SMALL = {"sizes": (100, 200, 400), "replicates": 2, "control": 0, "budgets": (20,)}


def printed(capsys, *arguments):
    """The JSON of a command."""
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def plain(document):
    """As JSON, without what depends on the clock and the machine."""
    document = json.loads(json.dumps(document))

    def strip(part):
        if isinstance(part, dict):
            return {k: strip(v) for k, v in part.items() if k != "seconds"}
        return [strip(v) for v in part] if isinstance(part, list) else part

    return strip(document)


def test_explain(capsys):
    main(["explain", "--expert", "relu", "--gate", "softmax", "--dim", "1", "--markdown"])
    command = capsys.readouterr().out
    found = identkit.explain("relu", "softmax", dim=1)
    assert found.markdown() + "\n" == command
    assert found._repr_markdown_() == found.markdown()
    assert r"\section*" in found.latex()
    assert "no consistent estimator" in str(found)
    assert repr(found) == f"<Explanation of {found.check!r}>"


def test_verify(tmp_path, capsys):
    path = str(tmp_path / "gelu.json")
    result = identkit.check("gelu", "sigmoid", dim=1)
    result.save(path)
    found = identkit.verify(path)
    assert found.to_dict() == printed(capsys, "verify", path)
    assert identkit.verify(result.certificate()).to_dict() == found.to_dict()
    main(["verify", path])
    assert str(found) + "\n" == capsys.readouterr().out
    with pytest.raises(identkit.CertificateError, match="digest"):
        identkit.verify({**result.certificate(), "seed": 1})


def test_certified_table(monkeypatch, capsys):
    from identkit import table

    monkeypatch.setattr(table, "ROWS", (("relu", "ridge"), ("linear", None)))
    found = identkit.certified_table(1)
    assert found.to_dict() == printed(capsys, "table", "--dim", "1")
    assert found.markdown() == found._repr_markdown_()
    assert "| linear |" in found.markdown()
    assert r"\begin{tabular}" in found.latex()
    assert found.rows[0].checks[0].to_dict()["schema"] == "identkit.check/1"
    assert "certified / published, d = 1" in str(found)
    with pytest.raises(identkit.InputError, match="dim"):
        identkit.certified_table(0)


def test_claims(capsys):
    listed = printed(capsys, "claims", "kink-hat")["claims"]
    assert [e.claim.id for e in identkit.list_claims(["kink-hat"])] == [c["id"] for c in listed]
    assert {e.status for e in identkit.list_claims(status="open")} == {"open"}
    with pytest.raises(identkit.InputError, match="no claim's id or file contains 'zzz'"):
        identkit.list_claims(["zzz"])
    with pytest.raises(identkit.InputError, match="no claim chosen has a check"):
        identkit.check_claims([])
    with pytest.raises(identkit.InputError, match="no checks are there"):
        identkit.check_claims(checks="no-such-folder")


def test_fit_data(tmp_path, capsys):
    x = np.linspace(-2.0, 2.0, 60)
    y = np.tanh(x) / (1 + np.exp(-0.3 - x)) + 0.01 * np.random.default_rng(0).normal(size=60)
    path = str(tmp_path / "data.csv")
    np.savetxt(path, np.column_stack([x, y]), delimiter=",", header="x,y", comments="", fmt="%.17g")
    command = printed(
        capsys, "fit", path, "--expert", "tanh", "--gate", "sigmoid", "--k", "1", "--starts", "2"
    )
    found = identkit.fit_data(path, "tanh", "sigmoid", 1, starts=2)
    assert plain(found.to_dict()) == plain(command)
    arrays = identkit.fit_data((x[:, None], y), "tanh", "sigmoid", 1, starts=2, check=False)
    assert arrays.to_dict()["fits"][0]["cost"] == command["fits"][0]["cost"]
    assert arrays.identifiability is None
    assert "identkit check" not in str(arrays)
    assert "converged" in str(arrays)
    assert repr(arrays) == "<FitReport: tanh ridge, sigmoid gate, k = 1: converged>"
    found.save(str(tmp_path / "fit.json"))
    saved = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    assert plain(saved) == plain(command)


def test_fit_data_stops_and_tells():
    x = np.linspace(-2.0, 2.0, 60)[:, None]
    told = []

    class Told:
        def begin(self, label, steps=None):
            told.append(label)

        def update(self, done, total):
            told.append((done, total))

    found = identkit.fit_data(
        (x, np.tanh(x[:, 0])), "tanh", "sigmoid", 1, starts=1, steps=Told(), stop=lambda: True
    )
    assert found.interrupted
    assert found.exit_code == 130
    assert found.identifiability is None
    assert [t for t in told if isinstance(t, str)] == ["choosing starts", "fitting"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ((np.zeros(3), np.zeros(3)), "they must be"),
        ((np.zeros((3, 1)), np.zeros(4)), "they must be"),
        ((np.ones((9, 1)), np.arange(9.0)), "in every row"),
        ((np.arange(18.0).reshape(9, 2), np.arange(9.0)), "choose the columns"),
    ],
)
def test_data_that_cannot_be_fitted(data, said):
    with pytest.raises(identkit.InputError, match=said):
        identkit.fit_data(data, identkit.Expert.from_expression("tanh(a*x)"), "sigmoid", 1)


def test_rates_sweep_and_report(tmp_path, capsys):
    store, truth = str(tmp_path / "fits.sqlite"), str(tmp_path / "truth.json")
    TRUTH.save(truth)
    told = []
    found = identkit.run_rates(
        "tanh", "sigmoid", truth=truth, noise=0.1, store=store, scheduler="inline", **SMALL,
        progress=lambda *where: told.append(where),
    )  # fmt: skip
    assert found.complete
    assert told[-1][:2] == (6, 6)
    command = printed(
        capsys, "rates", "--expert", "tanh", "--gate", "sigmoid", "--truth", truth, "--noise",
        "0.1", "--n", "100,200,400", "--reps", "2", "--control", "0", "--budgets", "20",
        "--scheduler", "inline", "--store", store,
    )  # fmt: skip
    assert found.to_dict() == command  # the fits of the store, found again
    assert identkit.stored_results(store, "tanh")[0].to_dict() == command
    assert repr(found).endswith("6 of 6 fits>")
    assert "regression" in str(found)
    with pytest.raises(identkit.InputError, match="gelu"):
        identkit.stored_results(store, "gelu")
    seen = []
    page = identkit.write_report(store, progress=lambda *where: seen.append(where))
    assert page == str(tmp_path / "fits.html")
    assert seen == [(1, 1, found.experiment.name)]
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nsizes = [100, 200, 400]\nreplicates = 2\nbudgets = [20]\nnoise = 0.1\n'
        '[[grid]]\nexperts = ["tanh"]\ngates = ["sigmoid"]\nregimes = [1]\ntruth = "truth.json"\n',
        encoding="utf-8",
    )
    (swept,) = identkit.run_sweep(tmp_path / "mine.toml", store, scheduler="inline")
    assert swept.experiment.setting.key == found.experiment.setting.key
    assert swept.to_dict()["lines"] == command["lines"]


def test_rates_that_cannot_be():
    with pytest.raises(identkit.InputError, match="no Voronoi loss"):
        identkit.run_rates("tanh", "(1 + tanh(s))/2")
    with pytest.raises(identkit.InputError, match="regime 3"):
        identkit.run_rates("tanh", "sigmoid", regime=3)
    with pytest.raises(identkit.InputError, match="no-such-plan"):
        identkit.run_sweep("no-such-plan")


def test_names_wait_for_their_libraries():
    """``import identkit`` is light; no name needs torch, pytest or matplotlib before it is used."""
    code = (
        "import sys, identkit\n"
        "print(sorted({'numpy', 'sympy', 'torch', 'rich'} & set(sys.modules)))\n"
        "for name in ('torch', 'pytest', 'matplotlib', 'sklearn'): sys.modules[name] = None\n"
        "from identkit import *\n"
        "print(run_rates.__module__, check_claims.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "identkit.rates.presented identkit.claims.listing"]
