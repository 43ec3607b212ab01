"""identkit.testing as another project's tests would use it, and the public names."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings

import identkit
from identkit import Expert, InputError
from identkit.experts import ACTIVATIONS
from identkit.gates import GATES
from identkit.mixing import MixingMeasure
from identkit.testing import assert_identifiable, experts, gates, mixing_measures


def test_guard_passes_on_a_proof_and_returns_it():
    result = assert_identifiable("gelu", "sigmoid", condition="strong", dim=1)
    assert result.results[0].verdict == "yes"


@pytest.mark.parametrize(
    ("expert", "options"),
    [
        (Expert.from_expression("tanh((a + b)*x)"), {}),
        ("relu", {"level": "product", "dim": 1}),
        ("gelu", {"dim": 1, "max_precision": 64, "atoms": 8}),  # undecided does not pass either
    ],
)
def test_guard_fails_with_the_report(expert, options):
    with pytest.raises(AssertionError, match="strong identifiability is not proved"):
        assert_identifiable(expert, "sigmoid", condition="strong", **options)


@pytest.mark.parametrize("expert", [Expert.from_expression("c*silu(a*x0 + b*x1)"), "relu", "exp"])
def test_guard_fails_where_strong_holds_and_the_expert_is_degenerate(expert):
    result = identkit.check(expert, "softmax")
    assert [(r.condition, r.verdict, r.nondegenerate) for r in result.results] == [
        ("strong", "yes", "no")
    ]
    with pytest.raises(AssertionError, match=r"^nondegeneracy is not proved"):
        assert_identifiable(expert, "softmax")
    with pytest.raises(AssertionError, match="degenerate: its parameters have no consistent est"):
        assert_identifiable(expert, "softmax", condition="strong")


def test_guard_asks_for_nondegeneracy_unless_told_otherwise():
    for options in ({}, {"condition": "nondegenerate"}):
        result = assert_identifiable("tanh", "sigmoid", dim=1, **options)
        assert [r.nondegenerate for r in result.results] == ["yes", "yes"]
    own = "(1 + tanh(s))/2"
    with pytest.raises(InputError, match=r"nondegenerate: it is not known.*ask for weak"):
        assert_identifiable("tanh", own)
    assert assert_identifiable("tanh", own, dim=1, condition="weak").results[0].verdict == "yes"


@given(experts(max_dim=3), gates())
def test_strategies_give_experts_and_gates(expert, gate):
    assert isinstance(expert, Expert)
    assert gate.name in GATES
    assert expert.dim <= 3


@given(experts(smooth=True))
def test_smooth_experts(expert):
    assert expert.is_smooth


@given(experts(smooth=False))
def test_experts_with_kinks(expert):
    assert expert.name == "relu"
    assert not expert.is_smooth


@settings(max_examples=10, deadline=None)
@given(experts(max_dim=1, polynomials=False, shapes=("ridge",)))
def test_every_ridge_expert_passes_strong_at_expert_level(expert):
    assert expert.name in ACTIVATIONS
    assert identkit.check(expert, "softmax", condition="strong").results[0].verdict == "yes"


@given(mixing_measures(parameters=2, dim=2, min_atoms=2))
def test_mixing_measures(measure):
    assert measure.beta1.shape == (measure.atoms, 2)
    assert measure.eta.shape == (measure.atoms, 2)
    order = list(reversed(range(measure.atoms)))
    twice = measure.relabelled(order).relabelled(order)
    assert (twice.beta0 == measure.beta0).all()
    assert (measure.shifted(1.0, [0.0, 2.0]).beta1[:, 0] == measure.beta1[:, 0]).all()


@pytest.mark.parametrize(
    "arguments",
    [
        ([0.0], [[1.0]], [[1.0], [2.0]]),
        ([0.0], [1.0], [[1.0]]),
        ([], [], []),
        ([float("nan")], [[1.0]], [[1.0]]),
        (["a"], [[1.0]], [[1.0]]),
    ],
)
def test_mixing_measures_that_cannot_be(arguments):
    with pytest.raises(InputError):
        MixingMeasure(*arguments)


def test_mixing_measures_are_read_only():
    measure = MixingMeasure([0.0], [[1.0]], [[1.0]])
    with pytest.raises(ValueError, match="read-only"):
        measure.beta0[0] = 1.0
    with pytest.raises(InputError, match="not a permutation"):
        measure.relabelled([1])


def test_the_guard_in_the_readme_works_as_pasted(tmp_path):
    readme = Path(__file__).parents[1] / "README.md"
    (block,) = re.findall(r"```python\n(# test_model.py.*?)```", readme.read_text("utf-8"), re.S)
    pasted = tmp_path / "test_model.py"
    pasted.write_text(block, encoding="utf-8")
    names = runpy.run_path(str(pasted))
    names["test_experts_are_identifiable"]()
    assert names["EXPERT"].dim == 2


def test_public_names():
    assert set(identkit.__all__) == {
        "CertificateError",
        "CheckResult",
        "DensityReport",
        "DomainError",
        "Expert",
        "ExpressionError",
        "FitReport",
        "Gate",
        "IdentkitError",
        "InputError",
        "MixingMeasure",
        "__version__",
        "certified_table",
        "check",
        "check_claims",
        "choose_atoms",
        "explain",
        "fit",
        "fit_data",
        "fit_density",
        "interactions",
        "list_claims",
        "losses",
        "order",
        "paper_table",
        "read_fit",
        "router_interactions",
        "run_density_rates",
        "run_rates",
        "run_sweep",
        "search_density_truth",
        "search_truth",
        "simulate",
        "stored_results",
        "verify",
        "write_report",
    }
    for name in identkit.__all__:
        assert getattr(identkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'chekc'"):
        identkit.chekc  # noqa: B018
    assert callable(identkit.check)
