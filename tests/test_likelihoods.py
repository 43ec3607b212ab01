"""A likelihood is one object, and no gate takes a theorem from one to another."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

import identkit
from identkit import Expert, InputError, MixingMeasure, check, registry
from identkit.certificates.store import digest
from identkit.cli import main
from identkit.errors import CertificateError
from identkit.fit import Model
from identkit.gates import GATES, resolve
from identkit.gates.gate import VARIANTS
from identkit.gates.gate import register as register_gate
from identkit.likelihoods import LEAST_SQUARES, LIKELIHOODS, Likelihood, register
from identkit.vocabulary import Cause

LAPLACE = Likelihood(
    name="laplace-noise",
    title="Laplace noise",
    estimates="the regression function f(x)",
    source="a test",
    respond=lambda rng, f, noise: f + noise * rng.laplace(size=len(f)) / np.sqrt(2),
)
DENSITY = Likelihood("a-density", "a density", "p(y|x)", "a test")
TRUTH = MixingMeasure([0.7, 0.0], [[1.0], [0.0]], [[1.8, 1.0], [-2.4, 1.5]])


@pytest.fixture
def further():
    for made in (LAPLACE, DENSITY):
        register(made)
    yield
    for made in (LAPLACE, DENSITY):
        del LIKELIHOODS[made.name]
        VARIANTS.pop(made.name, None)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("expert", ["gelu", "relu"])
def test_no_theorem_goes_from_one_likelihood_to_another(further, gate, expert):
    where = {"dim": 2, "domain": (1, 3)} if gate == "cosine" else {"dim": 1}
    known = check(expert, gate, **where)
    found = check(expert, gate, **where, likelihood=LAPLACE.name)
    assert found.likelihood == LAPLACE.name
    for result, own in zip(found.results, known.results, strict=False):
        assert result.verdict == own.verdict  # a condition is about h and the gate alone
        assert result.nondegenerate == result.rate.derived == "undecided"
        assert result.second_order.cause == result.rate.cause == Cause.NO_EXPANSION
        assert result.premise is None
        assert result.published is None
    with pytest.raises(InputError, match="nondegenerate"):
        check(expert, gate, **where, likelihood=DENSITY, require="nondegenerate")


def test_what_is_registered_for_the_likelihood_counts(further):
    softmax = GATES["softmax"]
    theorem = replace(softmax.regimes[0].expansion, likelihood=LAPLACE.name)
    regime = replace(softmax.regimes[0], expansion=theorem, rests_on=())
    own = register_gate(replace(softmax, likelihood=LAPLACE.name, regimes=(regime,)))
    assert resolve("softmax", LAPLACE) is own
    assert own.under(LEAST_SQUARES) is softmax
    assert pickle.loads(pickle.dumps(own)) is own
    (result,) = check("gelu", "softmax", dim=1, likelihood=LAPLACE).results
    assert (result.nondegenerate, result.rate.derived) == ("yes", "n^-1/4")
    assert replace(softmax, regimes=(regime,)).regimes[0].expansion is None


def test_the_certificate_names_it(further):
    found = check("gelu", "softmax", dim=1, likelihood=LAPLACE)
    document = json.loads(json.dumps(found.certificate()))
    assert document["likelihood"] == {"name": LAPLACE.name}
    verified = identkit.verify(document)
    assert verified.results[0].nondegenerate == "undecided"
    assert verified.to_dict()["likelihood"] == {"name": LAPLACE.name}
    older = {**document, "likelihood": LAPLACE.name}
    assert identkit.verify({**older, "digest": digest(older)}).likelihood == LAPLACE.name
    assert "likelihood" not in check("gelu", "softmax", dim=1).certificate()
    forged = json.loads(json.dumps(check("gelu", "softmax", dim=1).certificate()))
    forged["likelihood"] = LAPLACE.name
    with pytest.raises(CertificateError):
        identkit.verify({**forged, "digest": digest(forged)})


def test_it_is_printed(further, capsys):
    arguments = ["--expert", "gelu", "--gate", "sigmoid", "--dim", "1", "--likelihood"]
    for command in ("check", "explain"):
        assert main([command, *arguments, LAPLACE.name]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "under Laplace noise" in text
        assert "nothing is registered" in text
    assert main(["check", *arguments, LAPLACE.name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["likelihood"] == {"name": LAPLACE.name}
    assert main(["check", *arguments, "laplace-nois"]) == 2
    assert "did you mean laplace-noise?" in capsys.readouterr().err
    assert main(["likelihoods"]) == 0
    assert DENSITY.estimates in capsys.readouterr().out


def test_responses_are_its_own(further):
    """The same f and other noise; none where the likelihood draws none."""
    model = Model.of("gelu", "sigmoid")
    other = Model(model.expert, model.gate.under(LAPLACE))
    x, _ = identkit.simulate(model, TRUTH, 2000, noise=0.1, seed=0).data(0)
    same, z = identkit.simulate(other, TRUTH, 2000, noise=0.1, seed=0).data(0)
    assert np.array_equal(x, same)
    drawn = (z - model.predict(TRUTH, x)) / 0.1
    assert np.std(drawn) == pytest.approx(1, abs=0.1)
    assert np.mean(drawn**4) == pytest.approx(6, abs=2)  # 3 for normal noise
    with pytest.raises(InputError, match="no rule draws a response"):
        identkit.simulate(Model(model.expert, model.gate.under(DENSITY)), TRUTH, 10, noise=0.1)


@pytest.mark.parametrize("name", [LEAST_SQUARES, "two words", "S"])
def test_names_that_cannot_be_registered(name):
    with pytest.raises(InputError, match="registered"):
        register(Likelihood(name, "", "", ""))
    with pytest.raises(InputError, match="is no Likelihood"):
        register(name)


def test_entry_points(monkeypatch):
    class Entry:
        value = "somewhere:LAPLACE"

        @staticmethod
        def load():
            return LAPLACE

    found = {LAPLACE.name: [Entry], "other-noise": [Entry]}
    monkeypatch.setattr(registry, "entry_points", lambda group, name: found[name])
    try:
        assert check(Expert.from_expression("a*x"), "softmax", likelihood=LAPLACE.name).results
    finally:
        LIKELIHOODS.pop(LAPLACE.name, None)
    with pytest.raises(InputError, match="is no likelihood of that name"):
        check("gelu", "softmax", likelihood="other-noise")
