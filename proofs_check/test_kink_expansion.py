"""A kink that moves by t changes f by t^{3/2} only: n^{-1/3}, not n^{-1/4}.

Statement (theory section 4; derived here, not published). For every t > 0

    ∫ (ReLU(z + t) + ReLU(z − t) − 2 ReLU(z))² dz = (2/3) t³.

Let h(x, η) = ReLU(ax + b), d = 1, a ≠ 0, and replace an atom η = (a, b) by two of half its weight
at η ± t·v, v = (v_a, v_b), so that first moments match. For 0 < t|v_a| < |a|, D = a v_b − b v_a,

    ∫ (½h(x, η + tv) + ½h(x, η − tv) − h(x, η))² dx = t³ |D|³ / (6 a² (a² − t² v_a²)),

so the L2 norm is of order t^{3/2} along every direction v except ±(a, b), where it is exactly 0.
For an analytic activation φ with φ'' ≢ 0 the same combination is
½t² (v_a x + v_b)² φ''(ax + b) + O(t⁴): order t², along every v ≠ 0. "Hence n^{-1/3}": if f is
estimated at n^{-1/2}, then c t^{3/2} ≲ n^{-1/2}, that is t ≲ n^{-1/3}; and t = C n^{-1/3} with a
small C cannot be told from t = 0 by any estimator.

Proved: the three displays, symbolically, for all parameters (integrals over R; the gap vanishes
outside the kinks, so also over any interval that holds them). From below: under Gaussian errors of
variance ν, n observations at t = C n^{-1/3} have the Kullback–Leibler divergence
n‖f_t − f_0‖²/(2ν) from those at t = 0, which tends to a constant times C³. By Pinsker and Le Cam
no estimator of the direction (a, b)/‖(a, b)‖ is uniformly faster than n^{-1/3}.
Not proved: the rate from above for every G. It takes the published n^{-1/2} for f (up to logs) and
‖f_G − f*‖ ≥ c t^{3/2} for all G of the cell with kinks t away, shown here for the pairs above only.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import pytest
import sympy as sp

import identkit
from identkit.claims.checks import Claim, mutations
from identkit.experts import ACTIVATIONS, builtin, symbols

SOURCE = "identkit (derived here)"
HAT = Claim(
    "kink-hat", "∫ (ReLU(z+t) + ReLU(z−t) − 2ReLU(z))² dz = (2/3)t³ for every t > 0", SOURCE
)
ORDER = Claim(
    "kink-order",
    "two ReLU atoms at η ± t·v around η = (a, b), d = 1: ‖f_G − f*‖² is t³|D|³/(6a²(a² − t²v_a²)) "
    "times the squared weight, D = a·v_b − b·v_a; 0 along (a, b) only. Smooth experts: t⁴",
    SOURCE,
)
RATE = Claim(
    "kink-rate",
    "direction of an over-specified ReLU atom: no estimator is uniformly faster than n^-1/3; "
    "symmetric two-atom deviations have that rate if f is estimated at n^-1/2",
    SOURCE,
)

DERIVED = Claim(
    "kink-rate-derived",
    "identkit derives n^-1/3 for the direction of relu ridge, from the one direction that moves "
    "the kink: the gradient of D",
    SOURCE,
)

t, a, b, va, vb = sp.symbols("t a b v_a v_b", real=True)
P, Q, shift, r = sp.symbols("P Q e r", positive=True)
D = a * vb - b * va


def relu(u):
    """Max(u, 0), u factored so that SymPy sees its sign."""
    return sp.Max(sp.factor(u), 0)


@mutations(
    {
        "the constant is 1/3": {"constant": Fraction(1, 3)},
        "the order is t^4, as for a smooth expert": {"power": 4},
    }
)
def test_squared_hat_integrates_to_two_thirds_t_cubed(constant=Fraction(2, 3), power=3):
    """By pieces, for symbolic t: the function is t + z on (−t, 0), t − z on (0, t), 0 elsewhere."""
    step, z = sp.symbols("t z", positive=True)
    hat = lambda u: relu(u + step) + relu(u - step) - 2 * relu(u)  # noqa: E731
    assert sp.simplify(hat(step + z)) == sp.simplify(hat(-step - z)) == 0
    inside = step * z / (1 + z)  # every point of (0, t), for some z > 0
    assert sp.simplify(hat(inside) - (step - inside)) == 0
    assert sp.simplify(hat(-inside) - (step - inside)) == 0
    square = 2 * sp.integrate((step - z) ** 2, (z, 0, step))
    assert sp.simplify(square - constant * step**power) == 0
    return HAT.finding("proved", "symbolically, for all t > 0")


def squared_gap():
    """∫ gap², in P = a + t·v_a, Q = a − t·v_a and e = tD/a, all positive; x = ξ − b/a.

    gap = ½ReLU(Pξ + e) + ½ReLU(Qξ − e) − ReLU(½(P + Q)ξ), integrated by pieces.
    """
    slope, xi = (P + Q) / 2, sp.Symbol("xi", real=True)

    def gap(at):
        return relu(P * at + shift) / 2 + relu(Q * at - shift) / 2 - relu(slope * at)

    left, right = (P * xi + shift) / 2, (P * xi + shift) / 2 - slope * xi
    share = r / (1 + r)  # all of (0, 1)
    for piece, at in (
        (0, -shift / P - r),
        (left, -shift / P * share),
        (right, shift / Q * share),
        (0, shift / Q + r),
    ):
        assert sp.simplify(gap(at) - sp.sympify(piece).subs(xi, at)) == 0
    return sp.integrate(left**2, (xi, -shift / P, 0)) + sp.integrate(right**2, (xi, 0, shift / Q))


@cache
def norm_squared():
    """The same in (a, b), v, t, for a > 0, D > 0 and t|v_a| < a."""
    moved = [
        sp.expand((a + s * t * va) * (-b / a) + b + s * t * vb - s * t * D / a) for s in (1, -1)
    ]
    assert moved == [0, 0]  # at ξ = 0 the two arguments are ±tD/a
    value = squared_gap().subs({P: a + t * va, Q: a - t * va, shift: t * D / a}, simultaneous=True)
    return sp.factor(value)


@mutations(
    {
        "the constant is 1/3": {"constant": Fraction(1, 3)},
        "the order is t^4": {"power": 4},
        "a move of b alone is invisible": {"invisible": (sp.Integer(0), sp.Integer(1))},
        "the invisible direction is the one that moves the kink": {"invisible": (-b, a)},
    }
)
def test_relu_norm_along_every_direction(constant=Fraction(1, 6), power=3, invisible=(a, b)):
    """a > 0, D > 0 suffice: v → −v exchanges the two atoms, x → −x changes the sign of a and D.

    The denominator is positive for t|v_a| < |a|, so the norm vanishes iff D does; D is linear in v
    and its null space is the line of (a, b).
    """
    value = norm_squared()
    stated = constant * t**power * D**3 / (a**2 * (a**2 - t**2 * va**2))
    assert sp.simplify(value - stated) == 0
    (null,) = sp.Matrix([[sp.diff(D, va), sp.diff(D, vb)]]).nullspace()
    assert sp.simplify(null[0] * invisible[1] - null[1] * invisible[0]) == 0
    assert sp.simplify(value.subs({va: invisible[0], vb: invisible[1]}, simultaneous=True)) == 0
    return ORDER.finding("proved", "d = 1, every (a, b), a ≠ 0, every direction, closed form")


SMOOTH = tuple(name for name in ACTIVATIONS if builtin(name, dim=1).is_smooth)


@cache
def second_difference(name):
    """Taylor coefficients 0..2 in t of ½h(η + tv) + ½h(η − tv) − h(η), their order, φ'' and z."""
    expert = builtin(name, dim=1)
    (x,), (slope, intercept) = symbols(expert.inputs), symbols(expert.parameters)
    h, z = expert.expression, sp.Symbol("z", real=True)
    moved = [{slope: slope + s * t * va, intercept: intercept + s * t * vb} for s in (1, -1)]
    mean = sum(h.subs(m, simultaneous=True) for m in moved) / 2 - h
    terms = [sp.diff(mean, t, k).subs(t, 0) / sp.factorial(k) for k in range(3)]
    order = next((k for k, c in enumerate(terms) if sp.simplify(c) != 0), None)
    curvature = sp.diff(h.subs({slope: 0, intercept: z}), z, 2)
    square = (va * x + vb) ** 2 * curvature.subs(z, slope * x + intercept)
    return order, terms[2], square, curvature.subs(z, sp.Rational(1, 3))


@pytest.mark.parametrize("name", SMOOTH)
@mutations(
    {f"{name}: the order is t^{{3/2}}": {"name": name, "order": Fraction(3, 2)} for name in SMOOTH}
    | {f"{name}: the coefficient is 1": {"name": name, "constant": 1} for name in SMOOTH}
    | {"relu has the order t^2 too": {"name": "relu"}}
)
def test_smooth_experts_have_order_two(name, order=2, constant=Fraction(1, 2)):
    """The combination is even in t; its t² coefficient is constant·(v_a x + v_b)² φ''(ax + b).

    φ'' is analytic and not zero at 1/3, so for v ≠ 0, a ≠ 0 that is nonzero for almost every x.
    """
    found, coefficient, square, value = second_difference(name)
    assert found == order
    assert sp.simplify(coefficient - sp.Rational(constant) * square) == 0
    assert abs(value.evalf(30)) > sp.Rational(1, 100)
    return ORDER.finding("proved", f"{name}: t² along every v ≠ 0, every (a, b) with a ≠ 0")


@mutations(
    {
        "n^-1/4, as for a smooth expert": {"rate": Fraction(1, 4)},
        "n^-1/2": {"rate": Fraction(1, 2)},
        "f is estimated at n^-1/4": {"regression": Fraction(1, 4)},
    }
)
def test_from_order_three_halves_to_one_third(rate=Fraction(1, 3), regression=Fraction(1, 2)):
    """Along a two-atom curve: t^p ≲ n^{-1/2} gives t ≲ n^{-1/(2p)}, p read off the closed form.

    From below: with t = C n^{-rate} the divergence n‖f_t − f_0‖²/(2ν) has a limit in (0, ∞),
    proportional to C³: 0 as C → 0. (The density of x is a constant factor.)
    """
    n, c, nu = sp.symbols("n C nu", positive=True)
    moved = {a: 1, b: 0, va: 0, vb: 1, t: c * n ** (-sp.Rational(rate))}
    limit = sp.limit(n * norm_squared().subs(moved) / (2 * nu), n, sp.oo)
    assert limit.is_positive
    assert limit.is_finite
    assert sp.simplify(sp.diff(limit, c) * c - 3 * limit) == 0
    p = sp.simplify(sp.limit(t * sp.diff(sp.log(norm_squared()), t), t, 0)) / 2
    assert sp.Rational(rate) == sp.Rational(regression) / p
    return RATE.finding("proved", "two-point lower bound; the upper one on two-atom curves only")


@mutations(
    {
        "n^-1/4": {"rate": "n^-1/4"},
        "gelu has it too": {"expert": "gelu"},
        "along the scale direction the kink moves": {"moves": (a, b)},
    }
)
def test_identkit_derives_it(expert="relu", rate="n^-1/3", moves=(-b, a)):
    """The direction at n^-1/3, and as the only direction that moves the kink the gradient of D."""
    (result,) = identkit.check(expert, "sigmoid", regime=1, dim=1).results
    second = result.second_order
    found = {str(q.quantity): str(q.rate) for q in second.identifiable}
    assert found.get("(a, b)/‖(a, b)‖") == rate
    (kink,) = second.kinks
    (direction,) = kink.moves
    named = {"a": a, "b": b}
    entries = {k: sp.sympify(v, locals=named) for k, v in direction}
    assert sp.simplify(entries["a"] * moves[1] - entries["b"] * moves[0]) == 0
    assert entries["a"] * va + entries["b"] * vb == sp.expand(D)
    return DERIVED.finding("proved", "identkit.check, d = 1")
