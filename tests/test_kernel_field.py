"""The field of the kernel's zero test against balls: conversion, generators, kinks, derivatives."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from by_hand import atom_of, by, numbers
from flint import arb

from identkit.balls import Tape, ball, precision
from identkit.certificates.kernel import field as kernel_field
from identkit.certificates.kernel.field import (
    PLACES,
    Cases,
    Field,
    Unshown,
    _primes,
    nowhere_zero,
    vanishes,
)
from identkit.conditions import BasisFunction
from identkit.deadline import Deadline
from identkit.domain import EVERYWHERE
from identkit.experts import symbols
from identkit.expression import parse

SIDES = EVERYWHERE.sides(1)


def field(forms=(), inputs=("x",)):
    atom = atom_of("a*x + b" if len(inputs) == 1 else "a*x + b*y", ("a", "b"), inputs)
    sides = EVERYWHERE.sides(len(inputs))
    return Field(atom, sides, [parse(f) for f in forms], {}, Deadline(60))


def cases(text, build=None, parameters=("a", "b")):
    atom = atom_of(text, parameters)
    return Cases(atom, SIDES, build or (lambda f: [f.convert(atom.expression)]), Deadline(60))


def same(left, right):
    return left.overlaps(right) and (left - right).rad() < arb("1e-20")


# -- conversion -----------------------------------------------------------------------------------

TEXTS = (
    "a*x + b/3 - 7/5", "a**3*x**2 - b*x", "1/(a*x + b)", "(a*x + b)**-3/(1 + x**2)", "pi*x",
    "exp(1)*x", "exp(a*x + b)", "exp(a*x/2)*exp(a*x/3)", "exp(-a*x)", "exp((a*x + 1)/(b + x))",
    "exp(x/(1 + a))*exp(2*x/(1 + a))", "2**x", "(1 + a**2)**x",
    *(f"{f}(a*x + b)" for f in ("sin", "cos", "tan", "tanh", "sinh", "cosh", "erf", "atan")),
    *(f"{f}(2*a*x - b/2)" for f in ("sin", "cos", "tan", "tanh", "sinh", "cosh", "erf", "atan")),
    *(f"{f}(-3*a*x)" for f in ("sin", "cos", "tan", "tanh", "sinh", "cosh", "erf", "atan")),
    "sin(x + pi/3)", "cos(x - 5*pi/6)", "sin(a*x + 7*pi/12)", "cos(pi*x)", "sin(pi*a/3)",
    "tan(x + pi/4)", "sin(x + 3*pi/2)", "cos(x + pi)", "sin(x + 11*pi/6)", "sin(x + pi/5)",
    "log(1 + x**2)", "log(6*(1 + x**2)**2/(4 + a**2))", "log(exp(x)*(1 + a**2))", "log(1/a)",
    "log(7/3)*x", "sqrt(2)*x", "sqrt(1 + x**2)", "(1 + x**2)**(2/3)", "(1 + x**2)**(-1/2)",
    "1/(1 + sqrt(1 + x**2))", "sqrt(12)*x + 5**(1/3)", "(4/9)**(1/3)*x", "sqrt(a)*a**(1/3)*x",
    "a**b*x", "gelu(a*x + b)", "softplus(a*x)", "sigmoid(b - x)", "sqrt(1 + sqrt(1 + x**2))",
    "exp(3*x**2/(1 + a))", "sin(5*x**2/(2 + a))*exp(-x**2/(3 + 3*a))",
    "sqrt((1 + x**2)/(2 + x**2))*x", "((1 + x**2)/(2 + a))**(1/3)*x",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_an_element_is_what_it_was_made_of(text):
    expression = parse(text)
    tape = Tape([expression], symbols(("x", "a", "b")))
    elements = cases(text)
    f, (case,) = elements.field, elements.cases
    compared = 0
    with precision(256):
        for at in (("1/3", "2/7", "5/4"), ("-6/5", "3/2", "1/9"), ("5/2", "1/5", "2")):
            values = [ball(v) for v in numbers(*at)]
            expected = tape.evaluate(values)[0]
            if expected.is_finite():
                compared += 1
                assert same(f.evaluate(case.elements, values)[0], expected)
    assert compared
    # the values kept at the places are those of the inputs and parameters there
    given, found = f.inputs_and_parameters(), f._everywhere(case.elements[0])
    with precision(256):
        for n in range(PLACES):
            (expected,) = tape.evaluate([v[n] for v in given])
            assert same(found[n], expected) or not (expected.is_finite() and found[n].is_finite())
    assert f.at_places(case.elements[0])


@pytest.mark.parametrize("text", TEXTS)
def test_a_derivative_is_that_of_the_element(text):
    expression = parse(text)
    names = symbols(("x", "a", "b"))
    slopes = Tape([sp.diff(expression, n) for n in names], names)
    found = cases(text, lambda f: [f.derivative(f.convert(expression), n) for n in range(3)])
    (case,) = found.cases
    with precision(256):
        values = [ball(v) for v in numbers("1/3", "2/7", "5/4")]
        pairs = zip(found.field.evaluate(case.elements, values), slopes.evaluate(values),
                    strict=True)  # fmt: skip
        assert all(same(left, right) for left, right in pairs)


@pytest.mark.parametrize(
    "text",
    [
        "sin(x + pi/3) + sin(x - pi/3) - sin(x)",
        *(f"sin({n}*pi/6 + x) - sin({n}*pi/6)*cos(x) - cos({n}*pi/6)*sin(x)" for n in range(13)),
        *(f"exp({n}*a*x) - exp(a*x)**{n}" for n in (-2, -1, 2, 3, 7)),
        "exp(a*x/6) - exp(a*x/2)/exp(a*x/3)",
        "exp(-a*x/6)*exp(a*x/4) - exp(a*x/12)",
        "log(12) - 2*log(2) - log(3)",
        "log(2/3) - log(2) + log(3)",
        "log((1 + x**2)*(1 + a**2)) - log(1 + x**2) - log(1 + a**2)",
        "log(exp(a*x)*3) - a*x - log(3)",
        "sqrt(6) - sqrt(2)*sqrt(3)",
        "sqrt(8) - 2*sqrt(2)",
        "2**(1/3)*2**(1/6) - sqrt(2)",
        "(1 + x**2)**(1/6) - (1 + x**2)**(1/2)/(1 + x**2)**(1/3)",
        "1/sqrt(1 + x**2) - sqrt(1 + x**2)/(1 + x**2)",
        "1/(sqrt(1 + x**2) - x) - sqrt(1 + x**2) - x",
        "(a**2 - b**2)/(a - b) - a - b",
        "x/(a*x) - 1/a",
        "abs(x)**2 - x**2",
        "relu(2*x) - 2*relu(x)",
        "relu(-x/3) - relu(-x)/3",
        "abs(x**3) - x**2*abs(x)",
        "abs(x*exp(a)) - exp(a)*abs(x)",
        "abs((1 + x**2)*a) - (1 + x**2)*abs(a)",
        "abs(a/x) - abs(a)/abs(x)",
        "abs(pi*x) - pi*abs(x)",
        "abs(x)/x*abs(a)/a - abs(a*x)/(a*x)",
    ],
)  # fmt: skip
def test_rewritings_by_equals(text):
    assert vanishes(parse(text), atom_of("a*x + b"), SIDES, Deadline(60))


@pytest.mark.parametrize(
    "text",
    [
        *(f"sin({n}*pi/6 + x) - sin({n}*pi/6)*cos(x) + cos({n}*pi/6)*sin(x)" for n in (1, 2, 4)),
        "exp(a*x/6) - exp(a*x/2)/exp(a*x/4)", "log(12) - 2*log(3) - log(2)", "log(4) - log(2)",
        "sqrt(6) - sqrt(2) - sqrt(3)", "sqrt(8) - sqrt(2)", "(1 + x**2)**(1/3) - sqrt(1 + x**2)",
        "abs(x)**3 - x**3", "abs(a*x) - a*abs(x)", "relu(2*x) - relu(x)", "Max(a, b) - Max(b, x)",
        "abs(x - a) - abs(x + a)", "abs(x) - x", "abs(x) + x", "relu(a)*relu(-a) + x*relu(b)",
        "erf(a*x) - erf(b*x)", "atan(x) + atan(1/x) - pi/2", "tanh(x) - tanh(2*x)", "pi - 22/7",
        "exp(1) - 3", "sin(x)", "x", "1",
    ],
)  # fmt: skip
def test_what_is_not_0_is_not_found_to_be(text):
    assert not vanishes(parse(text), atom_of("a*x + b"), SIDES, Deadline(60))


def test_vanishing_needs_real_finite_numbers():
    atom = atom_of("a*x + b")
    assert vanishes(sp.Integer(0), atom, SIDES, Deadline(60))
    for odd in (sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I, sp.I * parse("x")):
        assert not vanishes(odd, atom, SIDES, Deadline(60))


def test_what_is_not_converted():
    f = field()
    for expression, reason in (
        (sp.Symbol("q") * parse("x"), "no meaning"),
        (sp.gamma(parse("x")), "no rule for gamma"),
    ):
        with pytest.raises(Unshown, match=reason):
            f.convert(expression)
    one, many, more = (f.convert(parse(text)) for text in ("exp(x)", "exp(200*x)", "exp(-200*x)"))
    assert (one**200 - many).is_zero
    assert (many * more - f.one).is_zero
    for text in ("exp(201*x)", "exp(-201*x)"):
        with pytest.raises(Unshown, match="very large multiple"):
            f.convert(parse(text))


def test_roots_of_what_is_not_positive():
    f = field()
    for u in (f.zero, f.constant(-2), f.constant(Fraction(-1, 3))):
        with pytest.raises(Unshown, match="not positive"):
            f.root(u, 2)
    for text, order in (("(1 + x**2)**2", 2), ("(1 + x**2)**4/(2 + x**2)**2", 6)):
        with pytest.raises(Unshown, match="perfect power"):
            f.root(f.convert(parse(text)), order)
    assert f.root(f.convert(parse("(1 + x**2)**2")), 3) is not None


@pytest.mark.parametrize("order", [2, 3, 5])
def test_powers_of_a_root_of_a_fraction(order):
    f = field()
    u = f.convert(parse("(1 + x**2)/(2 + a + x)"))
    root = f.root(u, order)
    product = f.one
    for power in range(1, 3 * order + 2):
        product = product * root
        high, low = divmod(power, order)
        assert (product - u**high * root**low).is_zero, power
        # all at once, of a polynomial that nothing has reduced
        (index,) = root.generators()
        whole = f.fraction(f.gens[index] ** power + 3 * f.gens[index] + 2, f.unit)
        assert (whole - product - f.constant(3) * root - f.constant(2)).is_zero, power


# -- arithmetic -----------------------------------------------------------------------------------


def test_elements():
    f = field()
    x, a = (f.convert(parse(n)) for n in "xa")
    total = f.one / (x + a) + f.one / (x - a)
    assert (total - (x + x) / (x * x - a * a)).is_zero
    assert ((x + a) ** -2 * (x + a) ** 3 - x - a).is_zero
    assert (a**0 - f.one).is_zero
    assert ((a + x) ** 5 - (a + x) * (a + x) ** 4).is_zero
    assert not (x - a).is_zero
    assert [f.constant(2).is_number, f.zero.is_number, a.is_number] == [True, True, False]
    assert not (f.one / a).is_number
    assert (x / (a + f.one)).generators() == {0, 1}
    assert str((f.constant(4) * x / (f.constant(2) * a)).den) == str(a.num)
    with pytest.raises(Unshown, match="nonzero"):
        f.one / f.zero


def test_polynomials_in_one_generator_and_factors():
    f = field()
    x, a, b = f.gens[:3]
    poly = 3 * a * x**2 - b * x**2 + 5 * x + a
    assert f.powers(poly, 0) == {2: 3 * a - b, 1: f.context.constant(5), 0: a}
    assert f.powers(poly, 1) == {0: -b * x**2 + 5 * x, 1: 3 * x**2 + 1}
    content, factors = f.factor(-6 * (x + a) ** 2 * (x - a))
    assert content == -6
    assert sorted((str(p), e) for p, e in factors) == sorted([(str(x + a), 2), (str(x - a), 1)])
    assert f.occurring(a * x + a) == {0, 1}
    assert [f.depends(p) for p in (a * b, a * x)] == [False, True]


def test_limits(monkeypatch):
    f = field()
    x, a, b = f.gens[:3]
    monkeypatch.setattr(kernel_field, "MAX_TERMS", 1)
    for product in ((x + a) * (x + b),):
        with pytest.raises(Unshown, match="too many terms"):
            f.fraction(product, f.unit)
    with pytest.raises(Unshown, match="too many terms"):
        f.times((x + a + b) ** 3, (x + a + b) ** 3)
    assert f.times(x + a, x + b) == (x + a) * (x + b)
    monkeypatch.setattr(kernel_field, "MAX_TERMS", 20)
    with pytest.raises(Unshown, match="too large to factor"):
        f.factor(x + a + b)
    assert len(f.factor(x + a)[1]) == 1
    monkeypatch.setattr(kernel_field, "MAX_CASES", 2)
    assert len(cases("abs(x)").cases) == 2
    with pytest.raises(Unshown, match="too many cases"):
        cases("abs(x) + abs(x + 1)")
    monkeypatch.setattr(kernel_field, "SPARE", 2)
    f = field()
    f.convert(parse("exp(x)*erf(x)"))
    with pytest.raises(Unshown, match="too many functions"):
        f.convert(parse("atan(x)"))


def test_generators_know_what_they_depend_on():
    f = field()
    for text, in_x, in_theta in (
        ("exp(x)", True, False), ("exp(a*x)", True, True), ("exp(a)", False, True),
        ("pi", False, False), ("erf(exp(a)*x)", True, True), ("log(2)", False, False),
    ):  # fmt: skip
        (index,) = f.convert(parse(text)).generators()
        assert (f.in_x(index), f.in_theta(index)) == (in_x, in_theta), text
        assert f.kernel_at(index).index == index
    assert [f.in_x(i) for i in range(3)] == [True, False, False]
    assert [f.in_theta(i) for i in range(3)] == [False, True, True]
    assert [f.kernel_at(i) for i in range(3)] == [None] * 3
    count = len(f.kernels)
    f.convert(parse("exp(2*a*x)*exp(a) + erf(-exp(a)*x)"))
    assert len(f.kernels) == count  # none of them is new


def test_what_is_shown_to_be_nonzero():
    f = field()
    x, a, _ = f.gens[:3]
    assert f.is_nonzero(f.unit)
    assert not f.is_nonzero(f.context.constant(0))
    assert f.is_nonzero(x - a)
    hidden = (f.convert(sp.sqrt(3 + 2 * sp.sqrt(2))) - f.convert(1 + sp.sqrt(2))).num
    assert not f.is_nonzero(hidden)
    with pytest.raises(Unshown):
        f.show_nonzero(hidden * x)
    f.show_nonzero(hidden + x)
    one, zero = arb(1), arb("[0 +/- 1e-9]")
    assert nowhere_zero([one, -one])
    for values in ([], [zero], [one, zero], [arb("nan")], [one, arb("nan")]):
        assert not nowhere_zero(values)


def test_places_are_in_the_domain_and_of_both_signs():
    atom = atom_of("a*x0 + b*x1", ("a", "b"), ("x0", "x1"))
    sides = ((Fraction(2), Fraction(3)), (Fraction(-9), Fraction(-7)))
    (x, y, *parameters) = Field(atom, sides, [], {}, Deadline(60)).inputs_and_parameters()
    assert all(2 < v < 3 for v in x)
    assert all(-9 < v < -7 for v in y)
    assert [len(v) for v in (x, y, *parameters)] == [PLACES] * 4
    assert any(v < 0 for line in parameters for v in line)
    assert all(v > 0 for line in parameters for n, v in enumerate(line) if n % 3 != 2)


def test_primes():
    assert _primes(Fraction(12)) == {2: 2, 3: 1}
    assert _primes(Fraction(4, 9)) == {2: 2, 3: -2}
    assert _primes(Fraction(1)) == {}
    large = 3 * (1 << 100)
    assert _primes(Fraction(large)) == {large: 1}
    assert _primes(Fraction(3 * (1 << 90))) == {3: 1, 2: 90}


# -- forms in place of inputs ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forms", "inputs"),
    [
        (["a*x + b"], ("x",)),
        (["2*x"], ("x",)),
        (["a*x + b*y"], ("x", "y")),
        (["a*x + b*y", "b*x - a*y + 1"], ("x", "y")),
        (["a*x + b", "b*x + 3"], ("x",)),
        (["a*y", "x + y"], ("x", "y")),
        (["a + b", "b*y"], ("x", "y")),
    ],
)
def test_inputs_in_terms_of_forms(forms, inputs):
    f = field(forms, inputs)
    names = symbols((*inputs, "a", "b"))
    texts = ("a*x**2 + b", "exp(a*x + b)*x", *(["x*y - a", "sin(y)"] if len(inputs) > 1 else []))
    with precision(256):
        values = [ball(v) for v in numbers("1/3", "5/7", "7/5", "-2/9")[: len(names)]]
        for text in (*inputs, *texts, *forms):
            e = f.convert(parse(text))
            (expected,) = Tape([parse(text)], names).evaluate(values)
            assert same(f.evaluate([e], values)[0], expected), text
            slopes = [f.derivative(e, n) for n in range(len(names))]
            exact = Tape([sp.diff(parse(text), n) for n in names], names).evaluate(values)
            for left, right in zip(f.evaluate(slopes, values), exact, strict=True):
                assert same(left, right), text
    for pivot, form in f.forms.items():
        assert f.in_x(pivot)
        assert f.in_theta(pivot)
        assert (f.generator(pivot) - f.convert(parse(forms[0]))).is_zero or len(forms) > 1
        assert not form.is_zero


def test_a_polynomial_in_forms_written_in_inputs():
    f = field(["a*x + b"])
    (pivot,) = f.forms
    z, a, b = f.gens[pivot], f.gens[1], f.gens[2]
    back = f.in_inputs(z**2 + a)
    x = f.gens[0]
    assert back == (a * x + b) ** 2 + a
    assert f.in_inputs(a * b) == a * b
    big = field(["x/(1 + a**2)"])
    with pytest.raises(Unshown, match="too large"):
        big.in_inputs(big.gens[0])


def test_affine_parts():
    f = field(inputs=("x", "y"))
    e = f.convert(parse("(a*x - 3*y + b*x + 7*a)/(1 + b)"))
    slopes, rest = f.linear_parts(e)
    below = f.convert(parse("1 + b"))
    assert (slopes[0] * below - f.convert(parse("a + b"))).is_zero
    assert (slopes[1] * below - f.constant(-3)).is_zero
    assert (rest * below - f.convert(parse("7*a"))).is_zero
    slopes, rest = f.linear_parts(e, {0})
    assert set(slopes) == {1}
    assert (rest * below - f.convert(parse("7*a + a*x + b*x"))).is_zero


# -- kinks ----------------------------------------------------------------------------------------


def signs(found):
    return sorted("".join("+" if s > 0 else "-" for _, s in sorted(c.signs.items()))
                  for c in found.cases)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abs(x)", ["+", "-"]), ("abs(a*x)", ["++", "+-", "-+", "--"]), ("abs(x**2*a)", ["+", "-"]),
        ("abs(exp(x)*a)", ["+", "-"]), ("abs(1 + x**2)", [""]), ("abs(1 + x**2 + pi)", [""]),
        ("abs(-3 - x**4)", [""]), ("abs(1 - x**2)", ["++", "+-", "-+", "--"]),
        ("abs(1 + x**3)", ["++", "+-", "-+", "--"]), ("abs(2 - a*x**2)", ["+", "-"]),
        ("abs(1/x)", ["+", "-"]), ("tanh(x)", [""]), ("abs(x + x**3)", ["+", "-"]),
        ("Max(x, 0)*Max(x - 1, 0)", ["++", "+-", "-"]),
    ],
)  # fmt: skip
def test_cases_of_signs(text, expected):
    found = signs(cases(text))
    assert len(found) == len(expected) or text.startswith(("abs(1 + x**3)", "Max"))
    assert set("".join(found)) == set("".join(expected))


@pytest.mark.parametrize(
    "text",
    ["abs(a*x + b)", "relu(a - x)*abs(x)", "Max(x, a, b)", "abs(x**2 - a)", "abs(-3 - x**3)",
     "relu((x - a)/(x + b))", "abs(abs(x) - a)", "abs(2 - a*x**2)", "abs(1/(x*a))"],
)  # fmt: skip
def test_on_each_side_of_kinks_it_is_the_function(text):
    found = cases(text)
    f, expression = found.field, parse(text)
    tape = Tape([expression], symbols(("x", "a", "b")))
    with precision(256):
        for at in (
            ("1/3", "2", "1"),
            ("-2", "1/3", "3/2"),
            ("5/2", "-1", "-2"),
            ("-1/5", "-2", "1"),
        ):
            values = [ball(v) for v in numbers(*at)]
            polys = {k: f.evaluate([f.fraction(p, f.unit)], values)[0] for k, p in f.kinks.items()}
            there = [c for c in found.cases if all(polys[k] * s > 0 for k, s in c.signs.items())]
            assert len(there) == 1
            assert same(f.evaluate(there[0].elements, values)[0], tape.evaluate(values)[0])


def test_cells_go_through_all_signs_of_interest():
    found = cases("Max(Max(x + b, 0) - a, 0)")
    assert found.cells(lambda key: False) == [({}, found.cases)]
    whole = found.cells(lambda key: True)
    keys = set(found.field.kinks)
    for given, inside in whole:
        assert inside
        for case in inside:
            assert all(given[key] == sign for key, sign in case.signs.items())
    assert {id(c) for _, inside in whole for c in inside} == {id(c) for c in found.cases}
    assert all(set(given) <= keys for given, _ in whole)
    assert len({tuple(sorted(given.items())) for given, _ in whole}) == len(whole)
    (one,) = [k for k in keys if "v1" not in k][:1]
    halves = found.cells(lambda key: key == one)
    assert sorted(given[one] for given, _ in halves) == [-1, 1]


def test_many_cells(monkeypatch):
    found = cases("abs(x + a) + abs(x + b)")
    monkeypatch.setattr(kernel_field, "MAX_CASES", 4)
    assert len(found.cells(lambda key: True)) == 4
    monkeypatch.setattr(kernel_field, "MAX_CASES", 3)
    with pytest.raises(Unshown, match="too many cases"):
        found.cells(lambda key: True)


# -- functions by their names ---------------------------------------------------------------------


def test_functions_are_products_of_derivatives_and_inputs():
    atom = atom_of("tanh(a*x + b)*x + a**2")
    a, b = symbols(("a", "b"))
    x, u = symbols(("x",))[0], atom.expression
    basis = [
        by("a"), by("ab"), by("bb"), BasisFunction("h", (), ((),)), BasisFunction("h", (), ()),
        BasisFunction("h", ("x", "x"), (("b",),)), BasisFunction("h", (), (("a",), ("b",))),
    ]  # fmt: skip
    exact = [
        sp.diff(u, a), sp.diff(u, a, b), sp.diff(u, b, b), u, sp.Integer(1),
        x**2 * sp.diff(u, b), sp.diff(u, a) * sp.diff(u, b),
    ]  # fmt: skip
    found = Cases(atom, SIDES, lambda f: f.functions(atom, basis), Deadline(60))
    tape = Tape(exact, (x, a, b))
    with precision(256):
        values = [ball(v) for v in numbers("1/3", "2", "-1/5")]
        pairs = zip(found.field.evaluate(found.cases[0].elements, values), tape.evaluate(values),
                    strict=True)  # fmt: skip
        assert all(same(left, right) for left, right in pairs)


def test_what_is_free_of_the_parameters_makes_no_cases_for_derivatives():
    atom = atom_of("abs(x) + a*x")
    for basis, count in (((by("a"),), 1), ((BasisFunction("h", (), ((),)),), 2)):
        found = Cases(atom, SIDES, lambda f, b=basis: f.functions(atom, b), Deadline(60))
        assert len(found.cases) == count
