"""What the kernel takes from balls at points: determinants, regularity, signs, kinks that meet."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from by_hand import atom_of, by, numbers
from flint import arb

from identkit.balls import ball, precision
from identkit.certificates.kernel import points as kernel_points
from identkit.certificates.kernel.field import Cases
from identkit.certificates.kernel.points import (
    Regularity,
    Walk,
    distinct,
    draws,
    is_nonsingular,
    is_positive,
    order_of,
    refuted,
    samples,
    singularity_doubt,
)
from identkit.deadline import Deadline
from identkit.domain import EVERYWHERE, Domain
from identkit.expression import parse

SIDES = EVERYWHERE.sides(1)


def matrix(*rows):
    return [[v if isinstance(v, arb) else ball(Fraction(v)) for v in row] for row in rows]


# -- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sides", [SIDES, ((Fraction(5), Fraction(6)), (Fraction(-100), Fraction(1, 2)))]
)
def test_points_are_drawn_from_the_domain(sides):
    atom = atom_of("a*x0 + b*x1", ("a", "b"), ("x0", "x1")[: len(sides)])
    seen = list(draws(atom, sides, 1))
    assert len(seen) == 12
    for theta, points in seen:
        assert len(theta) == 2
        assert len(points) == 12
        for x in points:
            assert all(low < v < high for v, (low, high) in zip(x, sides, strict=True))
    assert len({theta for theta, _ in seen}) == 12
    assert {v > 0 for theta, _ in seen for v in theta} == {True, False}
    assert all(v > 0 for theta, _ in seen[1::2] for v in theta)  # where some are real only


def test_coefficients_are_refuted_by_any_sample():
    """x and x² of (a·x + b)² at one point: c₀·x + c₁·x² vanishes there for −x·c₁ alone."""
    atom = atom_of("a*x + b*x**2")
    seen = samples(atom, (by("a"), by("b")), SIDES)
    assert len(seen) == 12
    zero, one, a = sp.Integer(0), sp.Integer(1), parse("a")
    names = ("a", "b")
    for coefficients in ((one, zero), (zero, a), (one, one), (a, -a)):
        assert refuted(coefficients, (0, 1), names, seen)
    assert not refuted((zero, zero), (0, 1), names, seen)
    assert not refuted((a, -a), (1, 1), names, seen)
    assert not refuted((one, one), (0, 1), names, ())
    # by the last of the samples alone: the others have the same parameter
    last = seen[-1][0][0]
    product = sp.prod([a - sp.Rational(str(theta[0])) for theta, _ in seen[:-1]])
    assert last not in [theta[0] for theta, _ in seen[:-1]]
    assert refuted((product, zero), (0, 1), names, seen)
    assert not refuted((product, zero), (0, 1), names, seen[:-1])


def test_samples_are_where_the_functions_are_finite():
    atom = atom_of("sqrt(a)*x + log(b)")
    seen = samples(atom, (by("a"), by("b")), SIDES)
    assert 0 < len(seen) < 12
    assert all(theta[0] > 0 for theta, _ in seen)
    assert all(v.is_finite() for _, values in seen for v in values)
    assert samples(atom_of("sqrt(-1 - a**2)*x + b"), (by("a"),), SIDES) == []


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("a*x + b*x**2", ["a", "b"], True),
        ("a*x + 2*b*x", ["a", "b"], False),
        ("exp(a)*x + b*x*exp(x)", ["a", "aa", "b"], False),
        ("a*x + b*0*x", ["a", "b"], False),
        ("a*x", ["b"], False),
        ("a*x", ["a"], True),
        ("a*abs(x) + b*x", ["a", "b"], True),
        ("sqrt(a)*x + b*x**2", ["a", "b"], True),  # where it is real
    ],
)
def test_distinct_functions(text, names, expected):
    assert distinct(atom_of(text), [by(n) for n in names], SIDES) is expected


def test_the_order_of_derivatives():
    assert order_of([by("a"), by("ab")]) == 2
    assert order_of([by("a")]) == 1
    assert order_of([]) == 1


# -- determinants ---------------------------------------------------------------------------------


def doubted(rows, text, bits=64):
    """The doubt, and how often the matrix was looked at."""
    looked = []

    def rows_at():
        looked.append(True)
        return rows() if callable(rows) else matrix(*rows)

    return singularity_doubt(rows_at, bits, text, Deadline(60)), len(looked)


IDENTITY = ((1, 0), (0, 1))


def test_a_determinant_that_is_shown():
    assert doubted(IDENTITY, "1") == (None, 1)
    assert doubted(((0, 1), (1, 0)), "-1") == (None, 1)
    assert doubted(((2, 1), (1, 1)), "[1.5 +/- 1]", 10_000) == (None, 1)
    assert doubted(((Fraction(1, 10**40), 0), (0, 10**40)), "1") == (None, 1)


@pytest.mark.parametrize(
    "text", ["x", "", "nan", "inf", "0", "[+/- 1]", "[1 +/- 1.01]", "[1 +/- inf]"]
)
def test_a_text_that_is_no_determinant(text):
    doubt, looked = doubted(IDENTITY, text)
    assert "no finite ball without 0" in doubt
    assert looked == 0


def test_another_determinant():
    for text in ("1.001", "-1", "2"):
        assert doubted(IDENTITY, text) == ("does not have the determinant stored", 1)
    assert doubted(((1, 2), (2, 4)), "1")[0] == "does not have the determinant stored"


def test_a_singular_matrix_is_looked_at_ever_more_closely_and_not_for_ever():
    """(1/3, 2/3; 2/3, 4/3): the determinant is 0 up to the precision, which 1e-90 is below."""

    def rows():
        third = ball(Fraction(1, 3))
        return [[third, third * 2], [third * 2, third * 4]]

    assert doubted(rows, "1e-90") == ("proves nothing: the matrix may be singular", 3)
    assert doubted(rows, "1e-30")[0] == "does not have the determinant stored"
    assert doubted(rows, "1e-90", 256) == ("does not have the determinant stored", 2)


def test_a_rough_value_is_looked_at_again():
    """Of 16 bits: not enough to be compared before the precision is that of the file."""

    def rows():
        return matrix((arb("[1 +/- 1e-5]"), 0), (0, 1))

    assert doubted(rows, "1", 64) == (None, 1)
    assert doubted(rows, "1", 256) == (None, 1)
    assert doubted(rows, "1", 1024) == (None, 3)


def test_where_the_inverse_is_out_of_reach_the_determinant_may_still_tell():
    def rows():
        return matrix((arb("[1 +/- 0.6]"), arb("[0 +/- 0.6]")), (0, 1))

    assert not is_nonsingular(rows())
    assert doubted(rows, "1")[0] is None


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        (IDENTITY, True),
        (((0, 1), (1, 0)), True),
        (((5,),), True),
        (((0,),), False),
        (((1, 2), (2, 4)), False),
        (((1, 2), (2, 5)), True),
        (((0, 0), (0, 1)), False),
        (((1, 0), (1, 0)), False),
        (((1, 1), (0, 0)), False),
        (((1, 0), (0, Fraction(1, 10**60))), True),
        (((10**60, 10**60), (1, -1)), True),
        (((1, Fraction(1, 10**60)), (10**60, 1)), False),
        (((1, 2, 3), (4, 5, 6), (7, 8, 10)), True),
        (((1, 2, 3), (4, 5, 6), (7, 8, 9)), False),
        (((arb("[1 +/- 0.4]"), 0), (0, 1)), True),
        (((arb("[1 +/- 1.1]"), 0), (0, 1)), False),
        (((1, 0), (0, arb("[1 +/- 1.1]"))), False),
        (((1, arb("[0 +/- 0.9]")), (arb("[0 +/- 0.9]"), 1)), True),
        (((1, arb("[0 +/- 1.1]")), (arb("[0 +/- 1.1]"), 1)), False),
        (((arb("nan"), 0), (0, 1)), False),
        (((1, arb("inf")), (0, 1)), False),
    ],
)
def test_matrices_that_are_shown_to_be_invertible(rows, shown):
    with precision(128):
        assert is_nonsingular(matrix(*rows)) is shown


# -- regularity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "theta", "regular"),
    [
        ("1/(a*x + b)", ("1", "4"), True),
        ("1/(a*x + b)", ("1", "-4"), True),
        ("1/(a*x + b)", ("1", "3"), False),
        ("1/(a*x + b)", ("1", "1"), False),
        ("1/(a*x + b)", ("1", "31/10"), True),
        ("log(a*x + b)", ("1", "4"), True),
        ("log(a*x + b)", ("1", "-4"), False),
        ("log(a*x + b)", ("-1", "2"), False),
        ("sqrt(a*x + b)", ("1", "4"), True),
        ("sqrt(a*x + b)", ("1", "-4"), False),
        ("(a*x + b)**a", ("1/2", "4"), True),
        ("(a*x + b)**a", ("1", "-4"), False),
        ("tan(a*x + b)", ("1/2", "0"), True),
        ("tan(a*x + b)", ("1/10", "22/7"), True),  # where the cosine is negative
        ("tan(a*x + b)", ("1", "0"), False),
        ("1/(x**2 + a*x + b)", ("0", "1/10"), True),
        ("1/(x**2 + a*x + b)", ("0", "0"), False),
        ("1/(x**2 + a*x + b)", ("2", "11/10"), True),  # (x + 1)² + 1/10
        ("1/(x**2 + a*x + b)", ("2", "1"), False),
        ("log(a*x + 4)/(x + b)", ("1", "4"), True),
        ("log(a*x + 4)/(x + b)", ("1", "0"), False),
        ("log(a*x + 4)/(x + b)", ("2", "4"), False),
        ("relu(a*x + b)", ("1", "0"), True),
        ("tanh(a*x + b)", ("1", "0"), True),
    ],
)
def test_where_an_expert_is_regular_on_the_whole_domain(text, theta, regular):
    assert Regularity(atom_of(text), SIDES).is_regular(numbers(*theta)) is regular


def test_each_input_has_its_own_side():
    atom = atom_of("1/(a + x0 + x1)", ("a",), ("x0", "x1"))
    assert Regularity(atom, EVERYWHERE.sides(2)).is_regular(numbers("7"))
    assert not Regularity(atom, EVERYWHERE.sides(2)).is_regular(numbers("5"))
    sides = Domain.of([[0, 1], [-1, 100]], ("x0", "x1")).sides(2)
    assert Regularity(atom, sides).is_regular(numbers("2"))
    assert not Regularity(atom, sides).is_regular(numbers("1/2"))
    # boxes are halved along the side that is widest beside its whole length
    halves = Regularity(atom, sides)._halves
    low, whole = (Fraction(0), Fraction(1)), (Fraction(-1), Fraction(100))
    first = halves([low, whole])
    assert first == [[(0, Fraction(1, 2)), whole], [(Fraction(1, 2), 1), whole]]
    middle = Fraction(99, 2)
    assert halves(first[0]) == [[first[0][0], (-1, middle)], [first[0][0], (middle, 100)]]


def test_boxes_run_out(monkeypatch):
    regularity = Regularity(atom_of("1/(x**2 - x + a)", ("a",)), SIDES)
    assert regularity.is_regular(numbers("3/10"))
    monkeypatch.setattr(kernel_points, "BOXES", 3)
    assert not regularity.is_regular(numbers("3/10"))
    assert regularity.is_regular(numbers("100"))  # the whole and its halves
    monkeypatch.setattr(kernel_points, "BOXES", 1)
    assert not regularity.is_regular(numbers("0"))


@pytest.mark.parametrize(
    ("text", "quantifier"),
    [
        ("tanh(a*x) + log(2)", "almost-every"),
        ("tanh(a*x)/(sqrt(2) - 1)", "almost-every"),
        ("tanh(a*x)/(1 - sqrt(2))", "almost-every"),  # a negative number is no pole
        ("tanh(a*x)*tan(1)", "almost-every"),
        ("tan(2)*x*a", "almost-every"),
        ("1/(1 + x**2*a**2)", "almost-every"),
        ("1/(1 + x**2*a)", "open-set"),
        ("log(1 + x**2*a**2)/b", "open-set"),
        ("log(1 + x**2*a**2) + log(b)", "open-set"),
        ("log(b**2) + a*x", "open-set"),
        ("sqrt(1 + exp(a*x)) + relu(b)*x", "open-set"),
        ("sqrt(1 + exp(a*x))*b", "almost-every"),
        ("abs(x)*a", "open-set"),
    ],
)
def test_how_far_a_witness_reaches(text, quantifier):
    assert Regularity(atom_of(text), SIDES).quantifier() == quantifier


@pytest.mark.parametrize(
    ("text", "positive"),
    [
        ("3", True), ("0", False), ("-2", False), ("sqrt(2) - 1", True), ("1 - sqrt(2)", False),
        ("1 + sqrt(x)", True), ("sqrt(x)", False), ("1 + x**3", False), ("1 + x", False),
        ("1 + x**2*exp(a)", True), ("1 + x**2*a", False), ("1 + a*x**2", False),
        ("x**2 + a**2", False), ("exp(x) + a**4", True), ("exp(x)*a**2", False),
        ("exp(x)*cosh(a)", True), ("exp(x) - cosh(a)", False), ("-exp(x)", False),
        ("-1 - x**2", False), ("(1 + x**2)**3", True), ("1/(1 + x**2)", True),
        ("(1 + x)**2", False), ("log(1 + x**2)", False), ("log(1 + exp(x))", True),
        ("log(exp(x))", False), ("sinh(x)", False), ("tanh(x) + 1", False), ("erf(x)", False),
        ("2 + sin(x)", False), ("1 + x**2 + a", False), ("1 + x**2 + a**2", True),
        ("1 + x**2*a**2", True), ("x**2 + exp(a)*x**4", False), ("1 + (x + 9)**(1/3)", True),
    ],
)  # fmt: skip
def test_positive_for_all_values(text, positive):
    assert is_positive(parse(text)) is positive


# -- kinks ----------------------------------------------------------------------------------------


def chains(text, theta, names="ab", sides=SIDES, inputs=("x",)):
    """Patterns of signs as they are met from the left, a set for each chain."""
    atom = atom_of(text, tuple(names), inputs)
    field = Cases(atom, sides, lambda f: [f.convert(atom.expression)], Deadline(60)).field
    keys = sorted(field.kinks)
    found = Walk(field, sides, numbers(*theta)).chains()
    signed = [{"".join("+" if p[k] > 0 else "-" for k in keys) for p in chain} for chain in found]
    assert sum(map(len, signed)) == sum(map(len, found))
    return sorted(signed, key=sorted)


TWO = "abs(x + a) + x*abs(x + b)"


@pytest.mark.parametrize(
    ("text", "theta", "met"),
    [
        ("abs(x + a)", ("1", "0"), [{"+", "-"}]),
        ("abs(a*x + b)", ("1/3", "1/7"), [{"+", "-"}]),
        ("abs(x + a)", ("4", "0"), [{"+"}]),
        ("abs(x + a)", ("-301/100", "0"), [{"-"}]),
        ("abs(x + a)", ("299/100", "0"), [{"+", "-"}]),
        (TWO, ("1", "-1"), [{"--", "+-", "++"}]),
        (TWO, ("-1", "1"), [{"--", "-+", "++"}]),
        (TWO, ("1", "1001/1000"), [{"--", "-+", "++"}]),  # between two points of the walk
        (TWO, ("1", "100001/100000"), [{"--", "-+", "++"}]),
        (TWO, ("1", "1"), [{"++"}, {"--"}]),  # at once: not told apart
        (TWO, ("1", "5"), [{"++", "-+"}]),
        (TWO, ("5", "5"), [{"++"}]),
        # a kink that stays parts cells, one that moves joins them
        ("abs(x) + a", ("1", "1"), [{"+"}, {"-"}]),
        ("abs(x)*abs(x + a)", ("1", "1"), [{"++"}, {"-+", "--"}]),
        ("abs(x)*abs(x + a)", ("4", "1"), [{"++"}, {"-+"}]),
        ("abs(x**2 + a)", ("-1", "1"), [{"+", "-"}]),
        ("abs(x**2 + a)", ("-10", "1"), [{"-"}]),
    ],
)
def test_kinks_that_meet(text, theta, met):
    assert chains(text, theta) == met


def test_a_point_on_a_kink_is_on_no_side():
    atom = atom_of("abs(x + a)*abs(x + b)")
    found = Cases(atom, SIDES, lambda f: [f.convert(atom.expression)], Deadline(60)).field
    walk = Walk(found, SIDES, numbers("1", "2"))
    for x, side in (("-1", None), ("-2", None), ("-3", (-1, -1)), ("0", (1, 1))):
        assert walk._signs(numbers(x)) == side
    assert set(walk._signs(numbers("-3/2"))) == {1, -1}


def test_kinks_in_two_inputs():
    sides = EVERYWHERE.sides(2)
    assert chains("abs(x0 + a) + b*x1", ("1", "1"), sides=sides, inputs=("x0", "x1")) == [
        {"+", "-"}
    ]
    apart = Domain.of([[0, 1], [10, 11]], ("x0", "x1")).sides(2)
    assert chains("abs(x0 + x1 + a)", ("-5", "1"), sides=apart, inputs=("x0", "x1")) == [{"+"}]
    assert chains("abs(x0 - x1 + a)", ("5", "1"), sides=apart, inputs=("x0", "x1")) == [{"-"}]
