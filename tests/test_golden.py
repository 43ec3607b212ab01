"""Files of every format, written once and committed: read with the same content ever after.

A format that is no longer read is refused with one sentence (``certificate-1.json`` and ``-2``, see
test_forgeries).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from identkit import MixingMeasure
from identkit.certificates.store import load
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.layout import AFFINE, EXPERT, Block, Layout
from identkit.rates import Store, load_truth
from identkit.rates.setting import Setting

GOLDEN = Path(__file__).parent / "golden"


def test_certificate():
    verified = verify(load(GOLDEN / "certificate-3.json"))
    assert (verified.expert.label, verified.gate) == ("relu ridge", "sigmoid")
    assert all(who == "kernel" for by in verified.by for who in by.values())
    assert [(r.regime, r.verdict, str(r.rate.derived)) for r in verified.results] == [
        (1, "yes", "no consistent estimator"),
        (2, "yes", "none: the premise fails"),
    ]


def test_certificate_of_a_density():
    verified = verify(load(GOLDEN / "certificate-3-gaussian.json"))
    assert (verified.expert.label, verified.gate) == ("linear", "softmax")
    assert verified.likelihood == "gaussian"
    assert all(who == "kernel" for by in verified.by for who in by.values())
    assert [str(r.rate.derived) for r in verified.results] == ["slower than n^-1/4"]


@pytest.mark.parametrize("kind", ["json", "npz"])
def test_mixing_measure(kind):
    measure = MixingMeasure.load(GOLDEN / f"mixing-1.{kind}")
    assert measure.beta0.tolist() == [0.5, -0.25]
    assert measure.beta1.tolist() == [[1.0], [0.0]]
    assert measure.eta.tolist() == [[2.0, 1.0], [-3.0, 0.5]]


@pytest.mark.parametrize("kind", ["json", "npz"])
def test_mixing_measure_of_another_layout(kind):
    """With a block that all atoms share, and one of each atom besides the score's."""
    measure = MixingMeasure.load(GOLDEN / f"mixing-2.{kind}")
    temperature = Block("temperature", "τ", "", "scale", "1", per_atom=False)
    variance = Block("variance", "v", "", "variance", "y^2")
    assert measure.layout == Layout((*AFFINE, variance, EXPERT, temperature), dim=2, parameters=1)
    assert measure.beta0.tolist() == [0.5, -0.25]
    assert measure.beta1.tolist() == [[1.0, -2.0], [0.0, 0.125]]
    assert measure["variance"].tolist() == [0.5, 2.0]
    assert measure.eta.tolist() == [[3.0], [-1.5]]
    assert measure["temperature"].tolist() == 0.75
    written = json.loads((GOLDEN / "mixing-2.json").read_text(encoding="utf-8"))
    assert measure.to_dict() == written
    assert written["schema"] == "identkit.mixing/2"


def test_truth():
    found = load_truth(GOLDEN / "truth-1.json")
    written = json.loads((GOLDEN / "truth-1.json").read_text())
    assert found.truth.to_dict() == written["measure"]
    assert (found.gate, found.regime, found.noise) == ("softmax", None, 0.007)
    assert found.box.beta0 == (-0.5, 4.0)


def test_store(tmp_path, capsys):
    """Its settings have the keys under which its fits are found, and its fits their digits."""
    path = tmp_path / "store.sqlite"
    shutil.copy(GOLDEN / "store-1.sqlite", path)
    with Store.open(path, create=False) as store:
        (experiment,) = store.experiments()
        key = experiment.setting.key
        assert experiment.name == "tanh ridge / softmax"
        assert Setting.from_document(experiment.setting.document()).key == key
        rows = store.rows(key)
    assert len(rows) == 12
    assert sorted({(r.n, r.budget, r.start) for r in rows}) == [
        (n, 30, "local") for n in (100, 200, 400)
    ]
    first = min(rows, key=lambda r: (r.n, r.replicate))
    assert (first.status, first.cost) == ("step limit", 0.0022716493793769037)
    assert first.estimates[-2:] == (2.132685741364281, -2.641066245047175)
    assert first.errors["exact"] == 0.05248613312873483
    assert main(["runs", "list", "--store", str(path), "--json"]) == 0
    assert experiment.name in capsys.readouterr().out
