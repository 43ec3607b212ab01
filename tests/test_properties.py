"""Metamorphic properties: what must not change a verdict, and what must."""

from __future__ import annotations

import re
from fractions import Fraction

import checked
import pytest
from amounts import amount
from checked import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identkit import Expert
from identkit.experts import builtin

EXPERTS = (
    "tanh(a*x + b)",
    "c*gelu(a*x + b)",
    "relu(a*x + b)",
    "sin(a*x + b)",
    "exp(a*x + b)",
    "erf(a*x + b)",
    "(a*x + b)**3",
    "tanh(a*x + b) + tanh(c*x + e)",
    "1/(1 + (a*x + b)**2)",
    "silu(a*x0 + b*x1 + c)",
)
slow_enough = settings(
    max_examples=amount(3, 6), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def verdicts(text, **options):
    found = checked.verdicts(Expert.from_expression(text), **options)
    assert "undecided" not in found
    return found


def substituted(text, images):
    """Replace whole names by bracketed expressions."""
    return re.sub(r"[A-Za-z]\w*", lambda m: f"({images[m[0]]})" if m[0] in images else m[0], text)


def parameters(text):
    return Expert.from_expression(text).parameters


@slow_enough
@given(st.sampled_from(EXPERTS), st.randoms(use_true_random=False), st.integers(0, 1000))
def test_relabelling_parameters_and_atoms(text, random, seed):
    """Other names, another order of parameters, other draws (hence other atom labels)."""
    names = list(parameters(text))
    new = [f"p{i}" for i in range(len(names))]
    random.shuffle(new)
    assert verdicts(substituted(text, dict(zip(names, new, strict=True))), seed=seed) == verdicts(
        text
    )


@st.composite
def invertible(draw, size):
    """An integer matrix of determinant ±1, ±2, ±4: products of elementary ones and a scaling."""
    rows = [[int(i == j) for j in range(size)] for i in range(size)]
    for _ in range(draw(st.integers(1, 3))):
        i, j = draw(st.permutations(range(size)))[:2] if size > 1 else (0, 0)
        if i == j:
            break
        factor = draw(st.sampled_from([-2, -1, 1, 2]))
        rows[i] = [a + factor * b for a, b in zip(rows[i], rows[j], strict=True)]
    scale = draw(st.sampled_from([-1, 1, 2]))
    rows[0] = [scale * v for v in rows[0]]
    return rows


@settings(slow_enough, max_examples=amount(5, 10))
@given(st.data())
def test_linear_reparametrisation(data):
    """η = A·η' for an invertible matrix A changes no verdict."""
    text = data.draw(st.sampled_from(EXPERTS))
    names = parameters(text)
    matrix = data.draw(invertible(len(names)))
    new = [f"p{i}" for i in range(len(names))]
    images = {
        name: " + ".join(f"({v})*{p}" for v, p in zip(row, new, strict=True) if v)
        for name, row in zip(names, matrix, strict=True)
    }
    assert verdicts(substituted(text, images)) == verdicts(text)


@slow_enough
@given(st.sampled_from(EXPERTS), st.sampled_from(["2", "-1", "1/3"]))
def test_rescaling_x(text, scale):
    inputs = Expert.from_expression(text).inputs
    assert verdicts(substituted(text, {x: f"{scale}*{x}" for x in inputs})) == verdicts(text)


@slow_enough
@given(st.sampled_from(EXPERTS), st.sampled_from(["a + r", "a - 2*r", "a*r", "a + r**2"]))
def test_a_redundant_parameter_turns_every_verdict_to_no(text, image):
    expert = Expert.from_expression(substituted(text, {"a": image}))
    for name in ("strong", "weak"):
        (result,) = check(expert, "sigmoid", condition=name).results
        assert result.verdict == "no"
        relation = result.relations[0]
        assert {t.function.factors for t in relation.terms} == {(("a",),), (("r",),)}


@slow_enough
@given(st.sampled_from(EXPERTS), st.integers(-5, 5), st.integers(1, 6))
def test_the_domain_does_not_matter_for_analytic_experts(text, low, width):
    if "relu" in text:
        return
    assert verdicts(text, domain=(low, low + Fraction(width, 2))) == verdicts(text)


@pytest.mark.parametrize("domain", [(100, 106), (0, "1/1000"), (-1000, 1000), ("-0.5", 2)])
@pytest.mark.parametrize("name", ["gelu", "relu", "tanh"])
def test_unusual_domains(name, domain):
    """Slopes and offsets are scaled to the domain, and kinks placed inside it."""
    results = check(name, "sigmoid", dim=1, domain=domain).results
    assert [r.verdict for r in results] == ["yes", "yes"]


def test_a_relu_without_a_kink_in_the_domain_is_said_so():
    expert = Expert.from_expression("relu(a**2*x + b**2 + 1)")
    (result,) = check(expert, "softmax", domain=(1, 2)).results
    assert result.verdict != "yes"
    assert any("was not seen inside the domain" in n for n in result.deciding.notes)


def test_literal_reading_of_the_coincidence_rule_depends_on_coordinates():
    """Why identkit.coordinates exists: the same identity is a merge or a four-term relation.

    With a = p + q, b = p - q, ∂_a h = x ∂_b h becomes (∂_p + ∂_q)h = x(∂_p - ∂_q)h.
    """
    given, mixed = "tanh(a*x + b)", "tanh((p + q)*x + p - q)"
    (first,) = check(Expert.from_expression(given), "softmax").results
    (second,) = check(Expert.from_expression(mixed), "softmax").results
    assert first.coordinates == ()
    assert second.coordinates == ("u1 = p + q", "u2 = p - q")
    assert first.verdict == second.verdict == "yes"
    assert first.functions == second.functions


def test_coordinates_come_from_all_powers_of_x():
    assert verdicts("tanh(x**2 + p*(x + 1) + q*(x - 1))") == verdicts("tanh(x**2 + a*x + b)")


def test_coordinates_have_names_of_their_own():
    expert = Expert.from_expression("tanh((u1 + u2)*x + u1 - u2)")
    (result,) = check(expert, "softmax").results
    assert result.coordinates == ("uu1 = u1 + u2", "uu2 = u1 - u2")


@pytest.mark.parametrize("name", ["gelu", "relu"])
def test_more_inputs_and_more_atoms(name):
    assert check(builtin(name, dim=3), "softmax").results[0].verdict == "yes"
    assert check(builtin(name, dim=1), "softmax", atoms=6).results[0].verdict == "yes"
