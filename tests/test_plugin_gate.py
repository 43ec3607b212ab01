"""A gate of somebody else's package: defined here, it passes through check, fit and rates."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import sympy as sp
from test_contracts import holds

import identkit
from identkit import InputError, MixingMeasure, check, registry
from identkit.certificates.store import certificate_document
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.expression import symbol
from identkit.fit import Model, least_squares
from identkit.gates import (
    GATES,
    Caveat,
    Expansion,
    Gate,
    LossTerms,
    Regime,
    Share,
    WeightRule,
    common_shift,
    gate,
    register,
    resolve,
)
from identkit.losses import voronoi
from identkit.testing import check_gate

RULE = WeightRule(2 ** symbol("s"), True)


def powers(beta0):
    weight = 2.0 ** (beta0 - beta0.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


# softmax with the scores in bits: its theorems hold, with β1, β0 times log 2
BITS = Gate(
    name="softmax-in-bits",
    formula="2**(β1ᵀx + β0), divided by the sum over atoms",
    weight=lambda s: 2**s,
    normalised=True,
    declared=(common_shift(RULE),),
    regimes=(
        Regime(
            key="any",
            condition="strong",
            meaning="any truth",
            expansion=Expansion(RULE, order=2, gates=False, argument="As for softmax."),
            loss=LossTerms(powers, share=True, compared="all", beta0="none"),
            caveats=(Caveat("k < 2k*", lambda situation: situation.atoms < 2),),
        ),
    ),
    share=Share(RULE, lambda b, m: b - np.log2(m)),
    source="a test",
)
TRUTH = MixingMeasure([0.7, 0.0], [[1.0], [0.0]], [[1.8, 1.0], [-2.4, 1.5]])


@pytest.fixture
def bits(monkeypatch):
    monkeypatch.setattr(gate, "GATES", GATES)
    yield register(BITS)
    del GATES[BITS.name]


def test_check_and_certificate(bits, capsys):
    (result,) = check("gelu", bits.name, dim=1).results
    assert (result.verdict, result.nondegenerate, str(result.rate.derived)) == (
        "yes",
        "yes",
        "n^-1/4",
    )
    assert result.caveats == ("k < 2k*",)
    assert verify(json.loads(json.dumps(certificate_document(check("gelu", bits, dim=1)))))
    assert holds(bits, bits.regimes[0])
    check_gate(bits)
    assert main(["check", "--expert", "relu", "--gate", bits.name]) == 0
    assert "no consistent estimator" in capsys.readouterr().out
    assert main(["gates"]) == 0
    assert bits.formula in " ".join(capsys.readouterr().out.split())


def test_fit_and_loss(bits):
    model = Model.of("gelu", bits.name)
    data = identkit.simulate(model, TRUTH, 400, noise=0.01, seed=0)
    x, y = data.data(0)
    fitted = least_squares(model, x, y, data.starts(2))
    assert fitted.status.finished
    assert float(voronoi(fitted.measure, TRUTH, bits).value) < 0.3
    assert float(voronoi(TRUTH.shifted(1.0, [2.0]), TRUTH, bits).value) == pytest.approx(0)
    assert data.starts(3, 0.0).atoms == 3


def test_rates(bits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH.to_dict()))
    arguments = ["rates", "--expert", "gelu", "--gate", bits.name, "--truth", "truth.json", "--n"]
    options = ["100,200,400", "--reps", "3", "--control", "2", "--json", "--noise", "0.05"]
    assert main([*arguments, *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"expert", "voronoi", "regression"} <= {v["quantity"] for v in found["verdicts"]}


def test_it_pickles_by_name(bits):
    assert pickle.loads(pickle.dumps(bits)) is bits


def test_entry_points(monkeypatch):
    class Entry:
        value = "somewhere:GATE"

        @staticmethod
        def load():
            return BITS

    monkeypatch.setattr(
        registry, "entry_points", lambda group, name: [Entry] if "bits" in name else []
    )
    try:
        assert resolve(BITS.name) is BITS
    finally:
        GATES.pop(BITS.name, None)
    with pytest.raises(InputError, match="is no gate of that name"):
        resolve("other-bits")


@pytest.mark.parametrize("name", ["softmax", "two words", "S", "1 + s"])
def test_names_that_cannot_be_registered(name):
    copied = Gate(name, "", sp.exp, False, (), (Regime("any", "weak", "any"),), "")
    with pytest.raises(InputError, match="registered"):
        register(copied)
