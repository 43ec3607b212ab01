"""A gate that somebody registers never inherits its neighbour's theorem."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

import identkit
from identkit import InputError, MixingMeasure, check
from identkit.certificates.store import certificate_document, digest
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.errors import CertificateError
from identkit.fit import Box, Model, least_squares
from identkit.fit.shared_gates import shared_gates
from identkit.gates import GATES
from identkit.rates.setting import Setting
from identkit.vocabulary import Cause

SIGMOID, SOFTMAX = GATES["sigmoid"], GATES["softmax"]
# what somebody writes who copies the row that looks most like theirs
COPIES = {
    "divided-sigmoid": (SIGMOID, lambda s: 1 / (1 + sp.exp(-s)), True),
    "probit-like": (SIGMOID, lambda s: (1 + sp.erf(s)) / 2, False),
    "steep": (SIGMOID, lambda s: 1 / (1 + sp.exp(-2 * s)), False),
    "exponential": (SOFTMAX, sp.exp, False),
    "normalized-softplus": (SOFTMAX, lambda s: sp.log(1 + sp.exp(s)), True),
}


def copied(name):
    original, weight, normalised = COPIES[name]
    return replace(original, name=name, weight=weight, normalised=normalised)


@pytest.fixture(params=COPIES)
def gate(request, monkeypatch):
    found = copied(request.param)
    monkeypatch.setitem(GATES, found.name, found)
    return found


@pytest.mark.parametrize("expert", ["gelu", "relu", "poly2", "input-free"])
def test_no_theorem_is_inherited(gate, expert):
    for regime in gate.regimes:
        if regime.condition == "weak" and gate.divides:
            continue  # refused, see below
        (result,) = check(expert, gate, dim=1, regime=regime.code).results
        assert result.verdict in ("yes", "no")
        assert result.nondegenerate == str(result.rate.derived) == "undecided"
        assert result.second_order.cause == result.rate.cause == Cause.NO_EXPANSION
        assert not result.second_order.families
        assert result.premise is None
        assert result.rate.elsewhere is None


def test_its_certificate_says_no_more(gate):
    regime = next(r for r in gate.regimes if r.condition == "strong")
    result = check("gelu", gate, dim=1, regime=regime.code)
    document = json.loads(json.dumps(certificate_document(result)))
    verify(document)
    neighbour = "softmax" if regime.code is None else "sigmoid"
    forged = json.loads(
        json.dumps(certificate_document(check("gelu", neighbour, dim=1, regime=regime.code)))
    )
    forged["gate"] = gate.name
    with pytest.raises(CertificateError):
        verify({**forged, "digest": digest(forged)})


def test_weak_is_not_asked_of_what_is_no_atom_of_f(monkeypatch, capsys):
    monkeypatch.setitem(GATES, "divided-sigmoid", copied("divided-sigmoid"))
    arguments = ["check", "--expert", "tanh", "--gate", "divided-sigmoid", "--regime", "2"]
    assert main(arguments) == 2
    assert "divides by the sum of all weights" in capsys.readouterr().err


def test_no_loss_no_sharing_no_rates(gate):
    truth = MixingMeasure([1.0, 0.0], [[0.5], [0.0]], [[2, 1], [-3, 1]])
    with pytest.raises(InputError, match="no Voronoi loss is known"):
        identkit.losses.voronoi(truth, truth, gate)
    data = identkit.simulate(Model.of("tanh", gate), truth, 50, noise=0.1, seed=0)
    with pytest.raises(InputError, match="no rule shares the weight"):
        data.starts(3)
    assert data.starts(2).atoms == 2
    with pytest.raises(InputError, match="no Voronoi loss is known"):
        Setting(Model.of("tanh", gate), gate.regimes[0].code, truth, 3, 0.1, Box())


def test_another_name_for_the_same_rule_keeps_its_theorems(monkeypatch):
    logistic = replace(SIGMOID, name="logistic", weight=lambda s: 1 / (1 + sp.exp(-s)))
    monkeypatch.setitem(GATES, "logistic", logistic)
    assert logistic.regimes == SIGMOID.regimes
    mine, theirs = (check("gelu", g, dim=1).results for g in (logistic, SIGMOID))
    assert [(r.verdict, r.nondegenerate, r.rate.derived) for r in mine] == [
        (r.verdict, r.nondegenerate, r.rate.derived) for r in theirs
    ]


@pytest.mark.parametrize(("gate", "same"), [("normalised sigmoid", False), ("softmax", True)])
def test_slopes_alone_are_a_gate_only_under_a_common_shift(gate, same):
    """Under a normalised sigmoid two scores that differ by 2 have ratios from e² down to 1."""
    model = Model.of("tanh", gate)
    truth = MixingMeasure([1.0, -1.0], [[0.5], [0.5]], [[2, 1], [-3, 1]])
    data = identkit.simulate(model, truth, 300, noise=0.001, seed=0)
    x, y = data.data(0)
    fitted = least_squares(model, x, y, truth)
    assert bool(shared_gates(fitted, np.asarray(x))) is same
