"""Gates given as expressions: verdicts, certificates, fits, and errors."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from checked import check

import identkit
from identkit import Gate, InputError
from identkit.certificates.store import digest
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.errors import CertificateError
from identkit.fit import Model, least_squares
from identkit.gates import resolve
from identkit.vocabulary import Cause

SIGMOID = "1/(1 + exp(-s))"


@pytest.mark.parametrize("expert", ["tanh", "relu", "exp", "poly2", "input-free"])
@pytest.mark.parametrize("text", [SIGMOID, "1/(1 + exp(-2*s))", "(1 + tanh(s))/2"])
def test_sigmoid_in_other_words_has_its_verdict(expert, text):
    """A rescaled score is a linear change of (β0, β1): no verdict depends on it."""
    (own,) = check(expert, text, dim=1).results
    (known,) = check(expert, "sigmoid", regime=2, dim=1).results
    assert (own.condition, own.level, own.verdict) == ("weak", "product", known.verdict)
    assert own.rate.cause == own.second_order.cause == Cause.NO_EXPANSION
    assert own.nondegenerate == str(own.rate.derived) == "undecided"


@pytest.mark.parametrize(
    ("expert", "gate", "verdict"),
    [
        ("exp", "exp(s)", "no"),  # exp(β0 + b + (β1 + a)x): four parameters, two numbers
        ("tanh", "exp(s)", "yes"),
        ("c*exp(-(a*x + b)**2)", "exp(-s**2)", "no"),  # a quadratic in five parameters
        ("tanh(a*x + b)", "exp(-s**2)", "yes"),
        ("a*x + b", "s", "no"),  # a quadratic in four parameters
        ("tanh(a*x + b)", "1 + s**2", "yes"),
    ],
)
def test_weak_by_hand(expert, gate, verdict):
    chosen = expert if expert.isalpha() else identkit.Expert.from_expression(expert)
    (result,) = check(chosen, Gate.from_expression(gate), dim=1).results
    assert result.verdict == verdict


def test_a_normalised_gate_asks_about_the_expert_alone():
    (result,) = check("tanh", "normalised (1 + tanh(s))/2", dim=1).results
    (softmax,) = check("tanh", "softmax", dim=1).results
    assert (result.condition, result.level, result.verdict) == ("strong", "expert", "yes")
    assert result.proofs == softmax.proofs
    assert result.published is None


def test_its_certificate_verifies_and_an_altered_gate_does_not():
    document = json.loads(json.dumps(check("exp", "exp(s)", dim=1).certificate()))
    assert document["gate"] == "exp(s)"
    assert verify(document).results[0].verdict == "no"
    forged = {**document, "gate": "exp(-s**2)"}
    with pytest.raises(CertificateError):
        verify({**forged, "digest": digest(forged)})


def test_one_gate_for_one_expression():
    gate = Gate.from_expression(" (1 + tanh(s))/2 ")
    assert resolve(gate.name) is gate is pickle.loads(pickle.dumps(gate))
    normalised = Gate.from_expression("exp(s)", normalised=True)
    assert resolve(normalised.name) is normalised
    assert not gate.has_theory
    assert resolve("sigmoid").has_theory


@pytest.mark.parametrize(
    ("text", "shifts"), [("exp(s)", True), ("exp(2*s + 1)", True), (SIGMOID, False)]
)
def test_gauge_of_normalised_gates(text, shifts):
    """f of two atoms under a common shift of the gates, against what the gate says of itself."""
    gate = Gate.from_expression(text, normalised=True)
    assert [g.name for g in gate.gauges] == ["common shift"] * shifts
    model, x = Model.of("tanh", gate), np.linspace(-3, 3, 7)[:, None]
    measure = identkit.MixingMeasure([1.0, -1.0], [[0.5], [-1.0]], [[2, 1], [-3, 1]])
    moved = measure.shifted(0.7, [0.3])
    same = np.allclose(model.predict(measure, x), model.predict(moved, x), rtol=1e-12)
    assert same is shifts
    assert model.pinned(2).any() == shifts


def test_fit_finds_the_truth_and_equals_the_built_in():
    truth = identkit.MixingMeasure([1.0, -1.0], [[0.5], [-1.0]], [[2, 1], [-3, 1]])
    results = []
    for gate in ("sigmoid", SIGMOID):
        model = Model.of("tanh", gate)
        data = identkit.simulate(model, truth, 600, noise=0.003, seed=0)
        x, y = data.data(0)
        results.append(least_squares(model, x, y, data.starts(2)[0]))
    assert all(r.status.finished for r in results)
    assert results[0].cost == pytest.approx(results[1].cost, rel=1e-9)
    assert np.allclose(results[1].measure.eta, truth.eta, atol=0.2)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("softmx", "did you mean softmax"),
        ("", "unknown gate ''"),
        ("t*s", "t is not s"),
        ("1 + 2", "the score s is not in it"),
        ("s +", "gate: cannot read"),
        ("__import__('os')", "not allowed"),
        ("normalised softmax", "use --gate softmax"),
        ("s-s", "the score s is not in it"),
    ],
)
def test_bad_gates_are_one_sentence(gate, words, capsys):
    assert main(["check", "--expert", "tanh", "--gate", gate]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_what_is_not_about_a_normalised_gate_is_refused(capsys):
    """F = weight·h is not an atom of f there: with the weight s every common scale of s is free."""
    gate = ["--expert", "tanh", "--gate", "normalised s"]
    for option in (["--condition", "weak"], ["--require", "weak"], ["--require", "nondegenerate"]):
        assert main(["check", *gate, *option]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("(1 + tanh(s))/2", "sigmoid"),
        ("sigmoid(3*s)", "sigmoid"),
        ("exp(s)", ""),
        ("1 + s**2", ""),
        ("normalised exp(-2*s)", "softmax"),
        ("Normalized sigmoid", "normalized-sigmoid"),
        ("normalised 5*sigmoid(2*s)", "normalized-sigmoid"),
        ("normalised sigmoid(s)**2", ""),
    ],
)
def test_a_built_in_gate_in_disguise_is_recognised(text, known):
    assert resolve(text).known_as == known


def test_other_spellings_and_types():
    assert resolve("Normalized sigmoid") is resolve("normalised sigmoid(s)")
    assert Gate.from_expression("normalised exp(s)").normalised
    for bad in (None, 3):
        with pytest.raises(InputError, match="gate"):
            Gate.from_expression(bad)
        with pytest.raises(InputError, match="gate"):
            check("tanh", bad, dim=1)


def test_rates_need_a_loss(capsys):
    assert main(["rates", "--expert", "tanh", "--gate", "exp(-s**2)"]) == 2
    assert "no Voronoi loss is known" in capsys.readouterr().err


def test_the_report_says_what_is_not_derived(capsys):
    assert main(["check", "--expert", "tanh", "--gate", "exp(-s**2)"]) == 0
    out = capsys.readouterr().out
    assert "no rate is derived" in out
    assert max(map(len, out.splitlines())) <= 80
    with pytest.raises(InputError):
        check("tanh", "exp(-s**2)", regime=1)
