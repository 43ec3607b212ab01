"""The coincidence rule on functions written down by hand."""

from __future__ import annotations

import pytest
import sympy as sp

from identkit import coincidence
from identkit.atoms import AtomFunction
from identkit.coincidence import apply_rule, coincide_for, distinct_on_every_branch
from identkit.conditions import BasisFunction, FunctionSet
from identkit.deadline import Deadline
from identkit.expression import parse
from identkit.relations import FormalFamily, ModularPoint

ZERO = "sin(a*x)**2 + cos(a*x)**2 - 1"


def family_of(*texts):
    expressions = [parse(t) for t in texts]
    atom = AtomFunction("h", sum(expressions, sp.Integer(0)), ("x",), ("a", "b"))
    return FormalFamily.from_expressions(expressions, atom, Deadline(20))


def questions(count, first=(), coincidence=True):
    """Labels for the functions; those in ``first`` count as first derivatives."""
    basis = [BasisFunction("h", ("x",) * i, ((),), i in first) for i in range(count)]
    return FunctionSet("by hand", tuple(basis), coincidence=coincidence)


def ruled(*texts, first=(), coincidence=True):
    family = family_of(*texts)
    rule = apply_rule(family, family.columns(), questions(len(texts), first, coincidence))
    return family, rule


def test_distinct_functions_are_all_kept():
    _, rule = ruled("tanh(a*x)", "x*tanh(a*x)", "b*x + 1")
    assert (rule.kept, rule.dropped, rule.merges, rule.failure) == ((0, 1, 2), (), (), None)


def test_a_function_that_vanishes_is_dropped():
    _, rule = ruled("tanh(a*x)", ZERO, "x", first=(0,))
    assert (rule.kept, rule.dropped, rule.merges, rule.failure) == ((0, 2), (1,), (), None)


@pytest.mark.parametrize("coincidence", [True, False])
def test_a_first_derivative_that_vanishes_is_a_failure(coincidence):
    family, rule = ruled(ZERO, "tanh(a*x)", ZERO, first=(1, 2), coincidence=coincidence)
    assert (rule.kept, rule.dropped, rule.merges) == ((), (), ())
    assert rule.failure is not None
    assert rule.failure.coefficients == {2: family.field.one}


def test_where_the_rule_does_not_apply_nothing_is_merged():
    _, rule = ruled("tanh(a*x)", "b*tanh(a*x)", ZERO, coincidence=False)
    assert (rule.kept, rule.dropped, rule.merges, rule.failure) == ((0, 1), (2,), (), None)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_proportional_functions_merge_into_the_first_derivative(place):
    texts = ["2*tanh(a*x)", "b*tanh(a*x)", "(a + b)*tanh(a*x)"]
    family, rule = ruled(*texts, "x", first=(place,))
    assert (rule.kept, rule.failure) == ((place, 3), None)
    assert [(m.index, m.into) for m in rule.merges] == [(i, place) for i in range(3) if i != place]
    for merge in rule.merges:
        assert set(merge.proof.coefficients) == {merge.index, merge.into}
        assert family.vanishes(merge.proof)


def test_two_first_derivatives_are_never_merged():
    family, rule = ruled("x", "tanh(a*x)", "x*tanh(a*x)", "b*tanh(a*x)", first=(1, 3))
    assert (rule.kept, rule.dropped, rule.merges) == ((), (), ())
    assert rule.failure is not None
    assert set(rule.failure.coefficients) == {1, 3}
    assert family.vanishes(rule.failure)


def test_a_factor_that_depends_on_x_is_no_reason_to_merge():
    _, rule = ruled("tanh(a*x)", "x*tanh(a*x)", first=(0,))
    assert rule.kept == (0, 1)


def test_what_is_proportional_modulo_a_prime_only_is_kept(monkeypatch):
    family = family_of("tanh(a*x)", "b*tanh(a*x)")
    monkeypatch.setattr(family, "proportional", lambda columns, i, j: None)
    for first in ((), (0, 1)):
        rule = apply_rule(family, family.columns(), questions(2, first))
        assert (rule.kept, rule.merges, rule.failure) == ((0, 1), (), None)


@pytest.mark.parametrize(
    "hidden", ["sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2)", "sqrt(7 + 4*sqrt(3)) + 2 + sqrt(3)"]
)
def test_what_is_0_at_the_modular_point_alone(hidden):
    """Coefficients that are 0 there are none: a function of them is a group of its own."""
    family = family_of(f"({hidden})*x", f"({hidden})*x**2 + x", "3*x")
    columns = family.columns()
    point = ModularPoint(family.field)
    assert columns[0]
    assert not any(point.value(terms) for terms in columns[0].values())
    rule = apply_rule(family, columns, questions(3))
    assert (rule.kept, rule.dropped, rule.merges, rule.failure) == ((0, 1, 2), (), (), None)
    assert not distinct_on_every_branch(family, columns, questions(3), (1, 2))
    assert not distinct_on_every_branch(family, columns, questions(3), (0, 1))


# -- on the branches of kinks ---------------------------------------------------------------------


def distinct(*texts, related, first=()):
    family = family_of(*texts)
    asked = questions(len(texts), first)
    return distinct_on_every_branch(family, family.columns(), asked, related)


def test_functions_that_coincide_on_one_side_only():
    """|z| and z are proportional on either side, not on both together."""
    sides = ("abs(x + a)", "x + a")
    assert not distinct(*sides, related=(0, 1))
    assert distinct(*sides, related=(0,))
    # a first derivative that is 0 on that side makes it a failure all the same
    dead = ("relu(x + a)", "relu(-x - a)")
    assert distinct(*sides, *dead, related=(0, 1), first=(2, 3))
    assert not distinct(*sides, *dead, related=(0, 1), first=(2,))
    assert not distinct(*sides, *dead, related=(0, 1))


def test_functions_that_coincide_on_both_sides():
    """Where both sides are met no first derivative vanishes, and 2|z| is |z| still."""
    texts = ("abs(x + a)", "2*abs(x + a)", "relu(x + a)", "relu(-x - a)")
    assert not distinct(*texts, related=(0, 1), first=(2, 3))


def test_a_function_that_vanishes_on_one_side_is_not_distinct():
    assert not distinct("relu(x + a)", "x", related=(0, 1))
    assert distinct("relu(x + a)", "x", related=(0, 1), first=(0,))
    assert distinct("x*relu(x + a) + x**3", "x", related=(0, 1))


def test_many_suspects_are_not_gone_through(monkeypatch):
    texts = ("abs(x + a)", "x + a", "relu(x + a)", "relu(-x - a)")
    assert distinct(*texts, related=(0, 1), first=(2, 3))
    monkeypatch.setattr(coincidence, "MAX_SUSPECTS", 2)
    assert distinct(*texts, related=(0, 1), first=(2, 3))
    monkeypatch.setattr(coincidence, "MAX_SUSPECTS", 1)
    assert not distinct(*texts, related=(0, 1), first=(2, 3))


def test_what_is_distinct_on_a_branch_is_no_suspect(monkeypatch):
    """x and x + max(x + a, 0) coincide for x + a < 0 alone, where a first derivative vanishes."""
    monkeypatch.setattr(coincidence, "MAX_SUSPECTS", 1)
    texts = ("x + relu(x + a)", "x", "relu(x + a)")
    assert distinct(*texts, related=(0, 1), first=(2,))
    assert not distinct(*texts, related=(0, 1))


def coinciding(*texts, kept):
    family = family_of(*texts)
    return coincide_for(family, family.columns(), kept)


def test_signs_of_parameters_for_which_functions_coincide():
    texts = ("x + x*relu(a)", "x + x**2*relu(a)", "x**3")
    assert coinciding(*texts, kept=(0, 1)) == "a < 0"
    assert coinciding(*texts, kept=(0, 1, 2)) == "a < 0"
    assert coinciding(*texts, kept=(0, 2)) == ""
    both = coinciding(*texts[:2], "x**3 + relu(b)", kept=(0, 1)).split(", ")
    assert both[0] == "a < 0"
    assert both[1] in ("b < 0", "b > 0")
    assert coinciding("x + x*relu(-a)", "x + x**2*relu(-a)", kept=(0, 1)) == "a > 0"
    # a kink in x is crossed, and is no matter of parameters
    assert coinciding("abs(x + a)", "x + a", kept=(0, 1)) == ""
