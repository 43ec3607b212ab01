"""Exact relations: columns, combinations, branches and modular points, on small known families."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from flint import fmpz

from identkit import relations
from identkit.algebra import TooLarge
from identkit.atoms import AtomFunction
from identkit.deadline import Deadline
from identkit.experts import symbols
from identkit.expression import parse
from identkit.relations import (
    Combination,
    FormalFamily,
    ModularPoint,
    _odd_part,
    _prime_below,
    proved_zero,
)

HIDDEN = "(sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2))"  # 0, which the normal form does not notice
CONJUGATE = "(sqrt(7 + 4*sqrt(3)) - 2 - sqrt(3))"  # 0, and not modulo the prime: another root


def family(*texts, parameters=("a", "b")):
    expressions = [parse(t) for t in texts]
    atom = AtomFunction("h", sum(expressions, sp.Integer(0)), ("x",), parameters)
    return FormalFamily.from_expressions(expressions, atom, Deadline(20))


def written(f, combination):
    return {i: str(f.field.to_sympy(c)) for i, c in combination.coefficients.items()}


def element(f, text):
    return f.field.convert(parse(text))


# -- branches -------------------------------------------------------------------------------------


def kinks(count):
    return " + ".join(f"abs(x + {i}*a)" for i in range(1, count + 1))


def test_branches_of_kinks():
    f = family("relu(x + a)*x", "abs(x + b)")
    assert len(f.branches) == 4
    assert {tuple(sorted(b.signs.values())) for b in f.branches} == {(-1, -1), (-1, 1), (1, 1)}
    assert f.size == 2


def test_zero_on_one_side_is_not_zero():
    f = family("relu(x + a) + relu(-x - a) - abs(x + a)", "relu(x + a)", "x - x + 0*a*b")
    assert [f.is_zero(i) for i in range(3)] == [True, False, True]


def test_cells_go_through_all_signs_of_interest():
    """On the branch x + b < 0 the sign of c plays no part; a statement about c needs it."""
    f = family("Max(relu(x + b) - a, 0) + x")
    moving = {k for k in f.field.sign_polys if "x" in k}
    whole = f.cells(lambda key: True)
    assert all(set(signs) >= set(f.branches[n].signs) for signs, inside in whole for n in inside)
    assert {n for _, inside in whole for n in inside} == set(range(len(f.branches)))
    assert f.cells(lambda key: False) == [({}, list(range(len(f.branches))))]
    for signs, inside in f.cells(lambda key: key not in moving):
        for n in inside:
            own = f.branches[n].signs
            assert all(own.get(key, sign) == sign for key, sign in signs.items())
    assert len(whole) == 4


def test_many_cells_are_too_large(monkeypatch):
    f = family("relu(x + b) + x")
    monkeypatch.setattr(relations, "MAX_CELLS", 2)
    assert len(f.cells(lambda key: True)) == 2
    monkeypatch.setattr(relations, "MAX_CELLS", 1)
    with pytest.raises(TooLarge, match="more than 1 cases"):
        f.cells(lambda key: True)


def test_a_slope_with_a_sign_is_a_matter_of_branches():
    f = family("tanh(abs(a)*x + b)", "x")
    assert [b.signs for b in f.branches] == [{"a": -1}, {"a": 1}]


def test_finer_units():
    assert family("exp(x) - exp(x/2)**2", "exp(x/6) - exp(x/2)").is_zero(0)


# -- columns --------------------------------------------------------------------------------------


def test_columns_separate_what_depends_on_x():
    """Each row is a monomial of what depends on x, its entries are free of x; the sum is h."""
    f = family("(a + b)*exp(a*x + b)*x**2 + relu(x + b)*a", "x*sin(x) + a")
    gens, in_x = f.field.gens, {k.index for k in f.field.kernels if k.in_x} | {0}
    in_x |= {i for i in range(f.field.d + f.field.q) if f.field.in_x(i)}
    for number, branch in enumerate(f.branches):
        numerators, _ = f.over_common(branch.elements)
        for column, numerator in zip(f.columns(), numerators, strict=True):
            total = f.field.context.constant(0)
            for row, terms in column.items():
                if row[0] != number:
                    continue
                assert {i for i, _ in row[1:]} <= in_x
                assert not any(e and i in in_x for t in terms for i, e in enumerate(t))
                monomial = f.field.unit_poly
                for i, e in row[1:]:
                    monomial *= gens[i] ** e
                total += monomial * f.field.context.from_dict(terms)
            assert total == numerator
    assert {row[0] for row in f.columns()[0]} == {0, 1}


def test_over_a_common_denominator():
    f = family("x/(1 + a)", "x/(a*b)", "1/(x + b)")
    elements = f.branches[0].elements
    numerators, common = f.over_common(elements)
    for numerator, e in zip(numerators, elements, strict=True):
        again = f.field.fraction(numerator, common)
        assert (again - e).is_zero
    assert not common.is_constant()


def test_constant_roots_are_cleared_alike():
    f = family("x/(sqrt(a) + 1)", "1/(1 + sqrt(2))")
    numerators, common = f.over_common(f.branches[0].elements)
    for numerator, e in zip(numerators, f.branches[0].elements, strict=True):
        assert (f.field.fraction(numerator, common) - e).is_zero


# -- combinations ---------------------------------------------------------------------------------


def test_proportional_functions():
    f = family("2*a*tanh(x)", "6*b*tanh(x)", "x*tanh(x)", "tanh(x) + x", "x - x + 0*a*b")
    columns = f.columns()
    assert written(f, f.proportional(columns, 0, 1)) == {1: "-a", 0: "3*b"}
    assert written(f, f.proportional(columns, 1, 0)) == {0: "-3*b", 1: "a"}
    for pair in ((0, 2), (0, 3), (3, 0), (0, 4), (4, 4)):
        assert f.proportional(columns, *pair) is None


def test_the_same_rows_are_not_enough():
    f = family("a*x + b", "b*x + a")
    assert f.proportional(f.columns(), 0, 1) is None


def test_a_combination_has_no_content_and_a_positive_lead():
    f = family("4*a*x + 6*b", "x", "1 + 0*x*a*b")
    columns = f.columns()
    pivots, ((index, support),) = f.echelon(columns, [1, 2, 0])
    assert (pivots, index, support) == ([1, 2], 0, [1, 2])
    found = f.null_combination(columns, index, support)
    assert written(f, found) == {0: "1", 1: "-4*a", 2: "-6*b"}
    assert written(f, f.null_combination(columns, index, support, check=False)) == written(f, found)
    assert f.vanishes(found)
    other = f.null_combination(columns, 2, [0, 1])
    assert written(f, other) == {0: "-1", 1: "4*a", 2: "6*b"}


def test_fractions_are_cleared_from_coefficients():
    f = family("x/2 + a/3", "x", "a + 0*x")
    found = f.null_combination(f.columns(), 0, [1, 2])
    assert written(f, found) == {0: "6", 1: "-3", 2: "-2"}


def test_the_last_coefficient_is_free_of_roots():
    f = family("sqrt(a)*x", "sqrt(b)*x")
    found = f.proportional(f.columns(), 1, 0)
    assert not f.field.has_roots() or f.vanishes(found)
    roots = {k.index for k in f.field.kernels if k.kind == "root"}
    assert not f.field.occurring(found.coefficients[1].num) & roots


@pytest.mark.parametrize(
    "texts",
    [
        ("sqrt(a)*x", "sqrt(b)*x**2", "x + x**2"),
        ("sqrt(a)*x", "x**2", "b*x"),  # where the second coefficient is 0
    ],
)
def test_the_last_of_several_coefficients_is_free_of_roots(texts):
    f = family(*texts)
    found = f.null_combination(f.columns(), 2, [0, 1])
    roots = {k.index for k in f.field.kernels if k.kind == "root"}
    assert f.vanishes(found)
    assert roots & f.field.occurring(found.coefficients[0].num)
    assert not roots & f.field.occurring(found.coefficients[2].num)


def test_a_function_that_vanishes_is_a_combination_of_its_own():
    f = family("x", "x - x + 0*a*b")
    assert written(f, f.null_combination(f.columns(), 1, [])) == {1: "1"}
    assert f.null_combination(f.columns(), 0, []) is None


def test_echelon_names_pivots_and_supports():
    f = family("x", "x**2", "a*x", "x**3", "b*x**2 + x", "x - x + 0*a*b")
    pivots, dependent = f.echelon(f.columns(), [0, 1, 2, 3, 4, 5])
    assert pivots == [0, 1, 3]
    assert dependent == [(2, [0]), (4, [0, 1]), (5, [])]
    pivots, dependent = f.echelon(f.columns(), [4, 0, 1])
    assert (pivots, dependent) == ([4, 0], [(1, [4, 0])])


def test_no_combination_where_there_is_none():
    f = family("x", "x**2", "tanh(a*x)")
    assert f.null_combination(f.columns(), 2, [0, 1]) is None
    assert f.null_combination(f.columns(), 2, [0, 0]) is None  # no two independent rows


def test_a_coefficient_may_be_zero():
    f = family("x", "x**2", "3*x")
    for check in (True, False):
        assert written(f, f.null_combination(f.columns(), 2, [0, 1], check)) == {0: "-3", 2: "1"}


def test_long_supports_are_not_solved(monkeypatch):
    f = family("x + a*x**2", "x", "x**2")
    assert f.null_combination(f.columns(), 0, [1, 2]) is not None
    monkeypatch.setattr(relations, "MAX_SUPPORT", 2)
    assert f.null_combination(f.columns(), 0, [1, 2]) is not None
    monkeypatch.setattr(relations, "MAX_SUPPORT", 1)
    assert f.null_combination(f.columns(), 0, [1, 2]) is None


def test_larger_determinants():
    """Four columns and a fifth: Cramer's rule with signs, a swap among the rows."""
    f = family("x**3 + a*x**2", "b*x**2 + x", "x + 1", "x**3 + a", "(a + b)*x**3 + x**2 + 2*x + 3")
    columns = f.columns()
    pivots, ((index, support),) = f.echelon(columns, [0, 1, 2, 3, 4])
    assert (pivots, index, support) == ([0, 1, 2, 3], 4, [0, 1, 2, 3])
    found = f.null_combination(columns, index, support)
    assert found is not None
    assert f.vanishes(found)
    assert len(found.coefficients) == 5


def test_what_vanishes_on_all_branches():
    f = family("abs(x + a)", "x + a")
    one = f.field.one
    assert not f.vanishes(Combination({0: one, 1: -one}))
    assert sum(f.apply(Combination({0: one, 1: -one}), b).is_zero for b in f.branches) == 1
    assert f.vanishes(Combination({}))
    for branch in f.branches:
        total = f.apply(Combination({0: one, 1: one + one}), branch)
        assert (total - branch.elements[0] - branch.elements[1] - branch.elements[1]).is_zero


@pytest.mark.parametrize(
    ("text", "nonzero"),
    [
        ("a - b", True), ("3", True), ("sqrt(2)", True), ("a", True), ("a*b - b*a", False),
        (HIDDEN, False), (f"a*{HIDDEN}", False), ("sin(a)**2 + cos(a)**2 - 1", False),
        ("1/a", True), ("log(a)", True), ("sqrt(a - 100)", False),
    ],
)  # fmt: skip
def test_nonzero_coefficients_are_shown_by_a_ball(text, nonzero):
    """sqrt(a - 100) is not real at the parameters tried: then nothing is claimed."""
    f = family(f"({text})*x", "x + a + b")
    assert f.is_nonzero(element(f, text)) is nonzero


def test_a_relation_needs_a_last_coefficient_that_is_not_zero():
    f = family(f"{HIDDEN}*x", "x")
    assert f.proportional(f.columns(), 0, 1) is not None  # h₀ = 0·h₁, last coefficient 1
    assert f.proportional(f.columns(), 1, 0) is None
    f = family(f"{CONJUGATE}*x", "x")
    for check in (True, False):
        assert f.null_combination(f.columns(), 1, [0], check) is None
        assert f.null_combination(f.columns(), 0, [1], check) is not None


# -- independence over Q(θ) -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "independent"),
    [
        (("x", "x**2", "tanh(a*x)"), True),
        (("x", "a*x"), False),
        (("a*x + b*x**2", "b*x + a*x**2"), True),
        (("x + x**2", "b*x + b*x**2"), False),
        ((f"{HIDDEN}*x", "x**2"), False),
        ((f"{CONJUGATE}*x", "x**2"), False),
        (("x", f"x + {CONJUGATE}*x**2"), False),
        ((f"{CONJUGATE}*x + b*x", "x**2"), True),
        (("x", f"x + {HIDDEN}*x**2"), False),
        (("sqrt(a)*x", "log(b)*x**2"), True),
        (("x", "x - x + 0*a*b"), False),
        (("tanh(a*x)", "x*tanh(a*x)", "x**2*tanh(a*x)", "x"), True),
    ],
)
def test_independent_columns_are_proved_so(texts, independent):
    f = family(*texts)
    assert f.proved_independent(f.columns(), range(len(texts))) is independent


def test_a_large_matrix_is_refused(monkeypatch):
    f = family("x + x**2", "x**3 + 1")
    monkeypatch.setattr(relations, "MAX_TERMS", Fraction(8, 200))
    assert f.echelon(f.columns(), [0, 1])[0] == [0, 1]
    monkeypatch.setattr(relations, "MAX_TERMS", Fraction(7, 200))
    with pytest.raises(TooLarge, match="coefficient matrix"):
        f.echelon(f.columns(), [0, 1])


# -- modular points -------------------------------------------------------------------------------


def test_roots_are_roots_modulo_the_prime():
    f = family("sqrt(a)*x + b**(1/3) + (a + b)**(1/4) + sqrt(2)*x + (1/a)**(1/6)")
    point = ModularPoint(f.field)
    p = point.prime
    assert p % 4 == 3
    roots = [k for k in f.field.kernels if k.kind == "root" and not k.in_x]
    assert len(roots) >= 4
    for root in roots:
        under = root.argument
        expected = point.poly(under.num) * pow(point.poly(under.den), -1, p) % p
        assert pow(point.values[root.index], root.unit, p) == expected


def test_values_modulo_the_prime():
    f = family("x + a + b")
    point = ModularPoint(f.field)
    p = point.prime
    assert fmpz(p).is_prime()
    a, b = (point.values[f.field.occurring(element(f, n).num).pop()] for n in "ab")
    value = point.poly(element(f, "a**3*b/7 - 2*b + 5/3").num)
    scale = element(f, "a**3*b/7 - 2*b + 5/3").den
    exact = (a**3 * b * pow(7, -1, p) - 2 * b + 5 * pow(3, -1, p)) % p
    assert value * pow(point.poly(scale), -1, p) % p == exact
    assert point.values == ModularPoint(f.field).values
    assert point.values != ModularPoint(f.field, seed=2).values


def test_primes_and_odd_parts():
    assert [_odd_part(q) for q in (1, 2, 3, 4, 6, 12, 40)] == [1, 1, 3, 1, 3, 3, 5]
    assert _prime_below(20, []) == 19
    assert _prime_below(19, []) == 11
    assert _prime_below(20, [3]) == 11  # 19 ≡ 1 mod 3: cubes are no permutation
    assert _prime_below(20, [2]) == 19
    assert _prime_below(12, [10]) == 7  # 11 ≡ 1 mod 5


def test_a_point_that_cannot_be_found_is_too_large(monkeypatch):
    f = family("sqrt(a)*x")
    monkeypatch.setattr(ModularPoint, "_set_root", lambda self, kernel: False)
    with pytest.raises(TooLarge, match="no modular point"):
        ModularPoint(f.field)


# -- one expression -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "zero"),
    [
        ("sin(a*x)**2 + cos(a*x)**2 - 1", True), ("tanh(a*x)", False),
        ("relu(x) - relu(-x) - x", True), ("relu(x)", False), (f"{HIDDEN}*x", False),
    ],
)  # fmt: skip
def test_proved_zero(text, zero):
    atom = AtomFunction("h", parse("a*x + b"), ("x",), ("a", "b"))
    assert proved_zero(parse(text), atom, Deadline(20)) is zero


def test_what_has_no_normal_form_is_not_proved_zero():
    atom = AtomFunction("h", parse("a*x + b"), ("x",), ("a", "b"))
    x = parse("x")
    assert proved_zero(sp.Integer(0), atom, Deadline(20))
    assert not proved_zero(sp.Integer(1), atom, Deadline(20))
    for odd in (sp.zoo, sp.nan, sp.oo * x, sp.I * x - sp.I * x + sp.I, sp.gamma(x)):
        assert not proved_zero(odd, atom, Deadline(20))
    assert not proved_zero(parse(kinks(5)) - parse(kinks(4)), atom, Deadline(20))


def test_many_kinks_are_too_large():
    assert len(family(kinks(4)).branches) == 16
    with pytest.raises(TooLarge, match="more than 16 branches"):
        family(kinks(5))


def test_branches_to_come_count_as_well(monkeypatch):
    monkeypatch.setattr(relations, "MAX_BRANCHES", 2)
    assert len(family(kinks(1)).branches) == 2
    monkeypatch.setattr(relations, "MAX_BRANCHES", 1)
    with pytest.raises(TooLarge, match="more than 1 branches"):
        family(kinks(1))


def test_rows_that_depend_on_others_are_passed_over():
    """The coefficients of x and x² are the same up to a factor: x² adds nothing."""
    texts = ("3*x + 2*x**2 + x**4", "3*x + 2*x**2 + x**3", "x**3 + x**4")
    f = family(*texts, f"3*({texts[0]}) - 5*({texts[1]}) + 7*({texts[2]})")
    found = f.null_combination(f.columns(), 3, [0, 1, 2])
    assert written(f, found) == {0: "-3", 1: "5", 2: "-7", 3: "1"}


def test_what_is_free_of_x_keeps_values_of_its_own_modulo_the_prime():
    """exp(a) is no power of a: with equal values the two functions would look dependent."""
    f = family("exp(a)*x + a*x**2", "a*x + exp(a)*x**2")
    assert f.echelon(f.columns(), [0, 1]) == ([0, 1], [])


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_determinants_of_singular_and_other_matrices(size):
    f = family("x + a + b")
    a, b = (element(f, n).num for n in "ab")
    one = f.field.unit_poly
    rows = [[a**i * b**j + (i * j) * one for j in range(size)] for i in range(size)]
    names = symbols(("a", "b"))
    exact = sp.Matrix(size, size, lambda i, j: names[0] ** i * names[1] ** j + i * j).det()
    found = f.field.to_sympy(f.field.fraction(f._determinant(rows), one))
    assert sp.expand(found - exact) == 0
    for column in range(size):
        singular = [[v if j != column else v - v for j, v in enumerate(row)] for row in rows]
        assert f._determinant(singular).is_zero()


def test_a_root_in_a_denominator_is_cleared_or_refused():
    """√u·√u = u = 1/(1 + y) + …: what is left below is multiplied into all, if it is free of x."""
    f = family("1/sqrt(1/(1 + a**2) + b)", "sqrt(1/(1 + a**2) + b)")
    numerators, common = f.over_common(f.branches[0].elements)
    for numerator, e in zip(numerators, f.branches[0].elements, strict=True):
        assert (f.field.fraction(numerator, common) - e).is_zero
    f = family("1/sqrt(1/(1 + x**2) + a)", "sqrt(1/(1 + x**2) + a)")
    with pytest.raises(TooLarge, match="cleared from a denominator"):
        f.over_common(f.branches[0].elements)
