"""The verifier's automatic differentiation against SymPy's derivatives, function by function."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from flint import arb

from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, interval, precision, whole_power
from identkit.certificates.jets import Differentiator, _power_triple
from identkit.conditions import BasisFunction
from identkit.experts import symbols
from identkit.expression import parse

POINT = (Fraction(3, 7),)
THETA = (Fraction(5, 4), Fraction(2, 3), Fraction(7, 5))
NAMES = ("a", "b", "c")
PARTIALS = [(), *((u,) for u in NAMES), *((u, v) for u in NAMES for v in NAMES if u <= v)]

TEXTS = [
    *(f"{name}(a*x + b)*c" for name in ("exp", "sin", "cos", "tan", "tanh", "sinh", "cosh")),
    *(f"c*{name}(a*x + b)" for name in ("log", "atan", "erf", "relu", "abs", "sqrt")),
    "c*log((a*x + b)/9)",
    "c*sqrt((a*x + b)/9)",
    *(f"(a*x + b + c)**{n}" for n in (1, 2, 3, 4, -1, -2, "(3/2)", "(-1/3)")),
    *(f"b*(a*x - 9 + c)**{n}" for n in (1, 2, 3, -1, -2)),  # the base is negative
    "(a*x + b)**c",
    "exp(1)*a*b*c*x + pi*a**2 + c/3",
    "a*b*c*x + a*b + b*c",
    "tanh(a*sin(b*x)) - c",
]


def both(text, partials=PARTIALS, inputs=((),), theta=THETA):
    """Each derivative by jets and by SymPy, as balls, with the input factors in front."""
    h = parse(text)
    atom = AtomFunction("h", h, ("x",), NAMES)
    functions = [BasisFunction("h", i, (p,)) for p in partials for i in inputs]
    exact = [
        sp.Mul(*(symbols((n,))[0] for n in f.inputs)) * sp.diff(h, *symbols(f.factors[0]))
        if f.factors[0]
        else sp.Mul(*(symbols((n,))[0] for n in f.inputs)) * h
        for f in functions
    ]
    with precision(200):
        mine = Differentiator(atom, 2).values(functions, POINT, theta)
        tape = Tape(exact, symbols(("x", *NAMES)))
        return mine, tape.evaluate([ball(v) for v in (*POINT, *theta)])


@pytest.mark.parametrize("text", TEXTS)
def test_every_derivative_to_second_order(text):
    mine, theirs = both(text)
    assert len(mine) == 10
    with precision(200):
        for left, right in zip(mine, theirs, strict=True):
            assert left.is_finite()
            assert left.overlaps(right)
            assert abs(left - right) < arb(2) ** -150


def test_inputs_multiply():
    mine, theirs = both("c*tanh(a*x + b)", inputs=((), ("x",), ("x", "x")))
    for left, right in zip(mine, theirs, strict=True):
        assert left.overlaps(right)
    assert (mine[2] - mine[0] * ball(POINT[0] ** 2)).contains(0)


def test_products_of_derivatives():
    atom = AtomFunction("h", parse("a*x**2 + b*x + c"), ("x",), NAMES)
    (square, mixed) = Differentiator(atom, 1).values(
        [
            BasisFunction("h", (), (("b",), ("b",))),
            BasisFunction("h", ("x",), (("a",), ("c",))),
        ],
        POINT,
        THETA,
    )
    assert square.overlaps(ball(POINT[0] ** 2))
    assert mixed.overlaps(ball(POINT[0] ** 3))


@pytest.mark.parametrize("text", ["log(a*x - 9)*b*c", "sqrt(a*x - 9)*b*c", "(a*x - 9)**c*b"])
def test_what_is_not_real_is_not_finite(text):
    mine, _ = both(text, partials=[(), ("a",), ("a", "a")])
    assert not any(v.is_finite() for v in mine[:1])


@pytest.mark.parametrize("text", ["sqrt(a*x)*b*c", "log(a*x)*b*c", "(a*x)**(-1)*b*c"])
def test_at_the_edge_of_the_domain_nothing_is_claimed(text):
    """At z = 0 the function or its slope is infinite: no finite ball."""
    mine, _ = both(text, partials=[("a",)], theta=(Fraction(0), *THETA[1:]))
    assert not mine[0].is_finite()


@pytest.mark.parametrize(
    ("n", "expected"), [(0, (1, 0, 0)), (1, (0, 1, 0)), (2, (0, 0, 2)), (3, (0, 0, 0))]
)
def test_powers_at_zero(n, expected):
    """n·z**(n - 1) is not finite at z = 0 for n = 0, though the derivative is."""
    for value, exact in zip(_power_triple(arb(0), Fraction(n)), expected, strict=True):
        assert value == exact


def test_first_order_needs_no_hessian():
    atom = AtomFunction("h", parse("c*tanh(a*x + b)"), ("x",), NAMES)
    jet = Differentiator(atom, 1)._constant(arb(1))
    assert (len(jet.gradient), jet.hessian) == (3, [])
    assert [len(row) for row in Differentiator(atom, 2)._constant(arb(1)).hessian] == [3, 2, 1]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize(("low", "high"), [(-2, 1), (-1, 3), (0, 2), (-2, 0), (0, 0)])
def test_powers_of_a_ball_that_holds_0_are_balls(low, high, n):
    """FLINT's own power of such a ball is no number."""
    found = whole_power(interval(Fraction(low), Fraction(high)), n)
    assert found.is_finite()
    values = [(low + (high - low) * Fraction(k, 8)) ** n for k in range(9)]
    assert all(found.contains(arb(v.numerator) / v.denominator) for v in values)
    assert float(found.upper()) <= float(max(values)) + 0.1
    assert float(found.lower()) >= float(min(values)) - 0.1
