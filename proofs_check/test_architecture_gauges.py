"""Gauges of an architecture: what moves all gates alike, and what goes between the halves.

Setting. f = Σ w_i h_i, w_i = W_i/Σ_j W_j with W_i > 0, W the weight of an atom's gate; and
(arXiv 2505.10860, DeepSeekMoE) p(y|x) = ½ Σ_a ω_a N(y | h1(x, κ_a), τ_a) + ½ Σ_i w_i(x)
N(y | h2(x, η_i), ν_i), Σω = 1.

Statements.

1. *Common factor.* Let an action g on the gates have W(gγ) = m(x)·W(γ), with the same m for every
   γ. Then f and p stay if g moves the gates of all atoms, for every k and whatever the experts.
   They also stay if every atom is replaced by copies at g_1γ, …, g_rγ with the same g_1, …, g_r
   for all: numerator and denominator gain Σ_c m_c. W(gγ)/W(γ) = W(gγ′)/W(γ′) for two arbitrary γ,
   γ′ is the hypothesis; so a check with two atoms is one for every k. Examples: (β1 + t1, β0 + t0)
   under softmax; σ(β0) → c·σ(β0) where all β1 = 0, β0 → log c − log(1 + e^−β0 − c), for which
   c < 1 + e^−β0 is needed.
2. *Transport.* Let all w_i be constants. Collect P = Σω_a δ, Q = Σw_i δ on the pairs c = (function
   of x, variance). For every signed measure D with D(all) = 0, −P ≤ D ≤ Q, supported on pairs that
   both halves can have, (P + D, Q − D) is an architecture of constant gates with the same p. On n
   such pairs, both halves having mass on them, these are an (n − 1)-dimensional set; D = Q − P
   exchanges the halves, if all pairs are of both.
3. *Nothing else.* If any two of the functions of P, Q, P′, Q′ differ at almost every x, and (P, Q),
   (P′, Q′) have constant gates and the same p, then P′ + Q′ = P + Q, so that D = P′ − P is as in 2.
4. The hypothesis of 3 is needed where functions have kinks: relu(x) + min(x, 0) = x + 0, and for
   every x the values {relu(x), min(x, 0)} are {x, 0}. So P = ½δ_relu + ½δ_min and P′ = ½δ_x + ½δ_0,
   all of one variance, beside the same Q, have the same p.

Proved. 1: W(g_cγ_j) = m_cW(γ_j) and Σ_j Σ_c m_cW_jh_j/Σ_j Σ_c m_cW_j = Σ_j W_jh_j/Σ_j W_j. 2: the
coefficient of N at c in 2p is P_c + Q_c; D(all) = 0 keeps both sums 1, −P ≤ D ≤ Q positivity. The
dimension: the plane ΣD = 0 meets the interior of the box −P ≤ D ≤ Q, since Σ(−P_c) < 0 < ΣQ_c over
the n pairs. 3: at almost every x the pairs (value, variance) are distinct, so that N at them are
independent functions of y (statement 2 of test_gaussian_blocks), and each coefficient is the same.
Computed: the identities with symbols, the dimension, and 4 with its sign cases.
"""

from __future__ import annotations

import sympy as sp

from identkit.claims.checks import Claim, mutations

FACTOR = Claim(
    "common-factor-of-weights",
    "Weights divided by their sum: an action on gates that multiplies every W_i by one function of "
    "x leaves f and p as they are, for every k and all experts; so do copies of every atom by "
    "several such actions, the same for all atoms",
    "identkit (derived here)",
)
TRANSPORT = Claim(
    "constant-gate-transport",
    "Shared experts beside routed ones with weights free of x: p is the same for shared P + D and "
    "routed Q − D, ΣD = 0, −P ≤ D ≤ Q, D on the pairs (function, variance) that both halves have: "
    "n − 1 parameters for n pairs; nothing else, where distinct functions differ almost everywhere",
    "identkit (derived here), on arXiv 2505.10860",
)
KINKS = Claim(
    "constant-gate-transport-kinks",
    "Where distinct functions may agree on an open set of x, as relu(x), min(x, 0), x and 0 do, "
    "architectures of constant gates have the same p that no transport between halves relates",
    "identkit (derived here)",
)
x, b0, b1, c0, c1, t0, t1, c = sp.symbols("x b0 b1 c0 c1 t0 t1 c", real=True)
h1, h2 = sp.symbols("h1 h2")
EXP, SIGMOID = sp.exp, lambda s: 1 / (1 + sp.exp(-s))


def _shift(offset, slope):
    return offset + t0, slope + t1


def _one_sided(offset, slope):
    return offset + t0, slope * t1


def _scale(offset, slope):
    return sp.log(c) - sp.log(1 + sp.exp(-offset) - c), slope


def _is_zero(expression):
    return sp.simplify(sp.expand(expression.rewrite(sp.exp))) == 0


@mutations(
    {
        "slopes are multiplied, not shifted": {"shift": _one_sided},
        "the sigmoid has a common shift": {"first": SIGMOID},
        "exp has the scale of σ": {"second": EXP},
        "σ is scaled whatever the slopes": {"slopes": (b1, c1)},
        "the scale is a shift": {"scale": lambda offset, slope: (offset + sp.log(c), slope)},
    }
)
def test_one_factor_for_two_arbitrary_gates(
    first=EXP, shift=_shift, second=SIGMOID, scale=_scale, slopes=(0, 0)
):
    """W(gγ)·W(γ′) = W(gγ′)·W(γ) for arbitrary γ, γ′: both actions."""
    for weight, action, gates in (
        (first, shift, ((b0, b1), (c0, c1))),
        (second, scale, ((b0, slopes[0]), (c0, slopes[1]))),
    ):
        own = [weight(o + s * x) for o, s in gates]
        moved = [weight(o + s * x) for o, s in (action(*g) for g in gates)]
        assert _is_zero(moved[0] * own[1] - moved[1] * own[0])
    return FACTOR.finding("proved", "softmax and σ at β1 = 0; every k by the argument")


@mutations(
    {
        "copies of one atom only": {"copies": ((0, 1), (0,))},
        "copies by different actions": {"copies": ((0, 1), (0, 2))},
        "one copy counts twice": {"counts": (2, 1)},
    }
)
def test_copies_by_the_same_actions(copies=((0, 1), (0, 1)), counts=(1, 1)):
    """Atoms of weights W_j become copies of weights m_c·W_j; f for free symbols m, W, h."""
    factors, weights = sp.symbols("m0:3"), sp.symbols("W0:2")
    values = (h1, h2)
    many = [
        (counts[j] ** place * factors[which] * weights[j], values[j])
        for j in range(2)
        for place, which in enumerate(copies[j])
    ]
    one = sum(w * h for w, h in zip(weights, values, strict=True)) / sum(weights)
    other = sum(w * h for w, h in many) / sum(w for w, _ in many)
    assert sp.cancel(one - other) == 0
    return FACTOR.finding("proved", "copies, for free factors, weights and experts")


@mutations(
    {
        "the routed half keeps its weights": {"routed": lambda q, d: q},
        "the sum of D is free": {"closed": False},
        "n parameters": {"free": lambda n: n},
    }
)
def test_transport(routed=lambda q, d: q - d, closed=True, free=lambda n: n - 1):
    """Free P, Q, D on n pairs: 2p, both sums, and how many D there are inside the box."""
    for n in (2, 3, 5):
        own, other, moved = (sp.symbols(f"{letter}0:{n}") for letter in "pqd")
        normal = sp.symbols(f"N0:{n}")
        if closed:
            moved = (*moved[:-1], -sum(moved[:-1]))
        rows = list(zip(own, other, moved, normal, strict=True))
        before = sum((p + q) * f for p, q, _, f in rows)
        after = sum((p + d + routed(q, d)) * f for p, q, d, f in rows)
        assert sp.expand(before - after) == 0
        assert sp.expand(sum(moved)) == 0  # both halves keep their sum
        moving = sorted({s for d in moved for s in sp.sympify(d).free_symbols}, key=str)
        assert sp.Matrix([moved]).jacobian(moving).rank() == free(n)
    return TRANSPORT.finding("proved", "for free weights; nothing else by independence in y")


def _at(functions, point):
    return [f(point) for f in functions]


@mutations(
    {
        "x and 1 instead": {"right": (lambda v: v, lambda v: sp.Integer(1))},
        "relu and |x|": {"left": (lambda v: sp.Max(v, 0), lambda v: sp.Abs(v))},
    }
)
def test_kinked_functions_have_more(
    left=(lambda v: sp.Max(v, 0), lambda v: sp.Min(v, 0)),
    right=(lambda v: v, lambda v: sp.Integer(0)),
):
    """At x > 0 and at x < 0 the values of both pairs are the same, up to order."""
    positive, negative = sp.Symbol("u", positive=True), -sp.Symbol("u", positive=True)
    for point in (positive, negative, sp.Integer(0)):
        one, other = (sorted(map(str, _at(side, point))) for side in (left, right))
        assert one == other
    assert {str(f(positive)) + str(f(negative)) for f in left}.isdisjoint(
        str(f(positive)) + str(f(negative)) for f in right
    )  # four different functions
    return KINKS.finding("proved", "relu, min(x, 0) against x, 0, for x > 0, x < 0 and x = 0")
