"""Orders under gates with a router of their own: W_i = exp(π(x, γ_i, φ) + β0_i), divided by ΣW.

Setting and letters as in test_routers and test_orders: a true atom (γ, η[, ν]) of weight w* is
fitted by m ≥ 2 atoms of weights bounded below, ε = ‖T_G − T_*‖; some true atom is fitted by one
atom, the gauge of all scores is fixed there, and φ is held.

Statements (theory section 10).

1. *The gate untouched.* If the fitted atoms keep γ and their e^β0 add up to that of the true atom,
   then T_G − T_* = (W_*/D_*)·(Σ p_i V(η_i) − V(η_*)), p_i the shares of the weight: to every order,
   for every gate that divides by the sum over all atoms, over those of a group, or over groups and
   within them, with any score. So every arc of the expert alone, and every order that it shows, is
   one under all of these gates.
2. *Gaussian likelihood, any variance: the weight of a cell shows.* Σ w_i e^{Δπ_i(x)} = w* + O(ε) in
   L¹ over x, Δπ_i = π(x, γ_i) − π(x, γ_*).
3. If in 2 the gate alone is nondegenerate (m0 + m·∇π + ½M:(∇²π + ∇π∇πᵀ) ≡ 0 and M ⪰ 0 imply M = 0;
   1 and ∇π independent; π three times differentiable) then Σ w_i|Δγ_i|² ≤ Cε, whatever the expert
   does: γ has order 2.
4. As 3, ν free, h = g(x, ζ) + c: if no S ⪰ 0, S ≠ 0 has both S:∇²g and ∇gᵀS∇g in span{1, ∇π, ∇g},
   then ζ has order 2, at every cell size.
5. If in 2 π is a polynomial of degree 2 in x whose coefficients, that of 1 apart, determine γ:
   |Δγ|^2m ≤ Cε, and |Δu|^m ≤ Cε for what is a function u of the coefficients of degree 2. With the
   arcs of test_routers 5, b of a quadratic gate has order 2m and A order m exactly, whatever the
   expert, and so do c and P of a Gaussian gate.
6. Gaussian likelihood, ν known (or common, pinned by the exact atom), ∇h independent, any gate that
   divides: Σ w_i|Δη_i|² ≤ Cε. η has order 2, whatever the gate does.

Proof of 1. W_i = e^{β0_i}·e^π(x, γ_*) = p_i W_*: the sum of the weights is as it was, in a group
and over groups, and what is left is one term. (a)

Proof of 2. At almost every x the (h_j(x), ν_j) are distinct and the ∂^r N_j independent functions
of y. The cell is Σ ω_i N(h + s_i, ν + 2v_i) = Σ_ℓ E_ℓ ∂^ℓN, ω_i the weights divided by the sum of
all; as in test_orders 1, D = max(|s_i|, |v_i|^½) has D^2m ≤ C·(change at x), for a known ν D² has,
so that the remainder after ℓ = 2m is of that size, and E_0 = Σ ω_i is known up to it. So is the
weight of the exact atom, whose own gate is held: their ratio is Σ w_i e^{Δπ_i} over w_l, times a
function of x that is given.

Proof of 3. Put B = Σ w_i|Δγ_i|² and suppose ε = o(B) along a sequence. Σ w_i e^{Δπ_i} − w* = m0 +
m·∇π + ½M:(∇²π + ∇π∇πᵀ) + o(B), M = Σ wΔγΔγᵀ. Divided by B + |m0| + |m| it tends to 0: a limit point
of (m0, m, M) is a solution, not 0. M = 0 leaves a relation of 1 and ∇π; M ≠ 0 there is none of.

Proof of 4. That of test_orders 2, with e^{Δπ} = 1 + ∇π·Δγ + O(|Δγ|²) for exp(β·x): every term of
E_1 and E_2 is a multiple of 1, ∂_uπ or ∂_p g, or has S alone, or is o(tr S). (b)

Proof of 5. On a line through the domain e^{Δπ_i} is a constant, which tends to 1 and joins w_i,
times e^{s_iz + v_iz²} = Σ P_ℓ(s_i, v_i)z^ℓ. D = max(|s_i|, |v_i|^½): Σ w_iP_ℓ = O(ε) + O(D^{2m+1})
for 1 ≤ ℓ ≤ 2m, as powers of z are independent; if ε = o(D^2m) a limit point solves the system of
theory section 7 to order 2m with (s, v) ≠ 0, and there is none, as in test_orders 1. So |s|^2m +
|v|^m ≤ Cε on the line x_0 + z·e, s = e·Δb + 2x_0ᵀΔA e and v = eᵀΔA e: all e give |ΔA|^m ≤ C'ε, then
|Δb|^2m ≤ C'ε (c). γ is locally a differentiable function of (A, b), and u of A.

Proof of 6. E_2 = ½Σ ω_i s_i² (+ ½Δν Σω_i, common ν: the exact atom has Δν = O(ε)) is O(change at x)
since its coefficient stands alone beside ∂²N, D² ≤ C·(change at x). Integrated: Σ w_i ∫|Δh_i|² ≤
Cε, and ∫|Δh_i|² ≥ c|Δη_i|². (d)

Proved: 1 to 6 by these arguments, with the identities computed here. Open: anything from above
under least squares where second order is degenerate: there E_0 and E_1 come in products of weights
(test_routers 2a), and nothing is known of how x, ∇π and ∂^ℓh interact beyond second order.
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial

import sympy as sp

from identkit.claims.checks import Claim, mutations

UNTOUCHED = Claim(
    "orders-untouched-gates",
    "Atoms that keep their gate and share e^β0 change T by W_*/D_* times what their experts do: an "
    "arc of the expert alone has its order under every gate that divides by sums of e^(π + β0)",
    "identkit (derived here)",
)
SEEN = Claim(
    "orders-of-seen-gates",
    "Gaussian likelihood, some true atom fitted by one atom: Σ w e^Δπ = w* + O(‖p_G − p_*‖) for "
    "every cell, so a gate that is nondegenerate alone has order 2 whatever the expert; and beside "
    "an output bias ζ has order 2 if no S ⪰ 0, S ≠ 0 has S:∇²g and ∇gᵀS∇g in span{1, ∇π, ∇g}",
    "identkit (derived here)",
)
SCORE = Claim(
    "orders-of-quadratic-scores",
    "Gaussian likelihood, some true atom fitted by one atom, a score of degree 2 in x that "
    "determines γ: γ has order 2m at most in cells of m atoms, what the terms of degree 2 "
    "determine m; b of the quadratic gate and c of the Gaussian gate 2m, A and P m, whatever the "
    "expert",
    "identkit (derived here), from r(m) = 2m",
)
KNOWN = Claim(
    "orders-known-variance",
    "Gaussian likelihood, variance known or common and pinned, any gate that divides, independent "
    "∇h: the expert's parameters have order 2 at every cell size, whatever the gate does",
    "identkit (derived here)",
)


@mutations(
    {
        "the weights add up to more": {"total": 2},
        "the gate of one atom moves": {"moved": 1},
    }
)
def test_a_gate_that_is_left_alone(total=1, moved=0):
    """(a) Three atoms for one, beside another; and the same within one of two groups."""
    p = sp.symbols("p1:3", positive=True)
    shares = (*p, total - sum(p))
    values = sp.symbols("V1:4")
    one, other, value, beside, shift = sp.symbols("W U V B delta")
    gates = (one * (1 + moved * shift), one, one)
    above = sum(s * g * v for s, g, v in zip(shares, gates, values, strict=True))
    below = sum(s * g for s, g in zip(shares, gates, strict=True))
    change = sum(s * v for s, v in zip(shares, values, strict=True)) - value
    true = (one * value + other * beside) / (one + other)
    found = (above + other * beside) / (below + other) - true
    assert sp.simplify(found - one / (one + other) * change) == 0
    first, second, away = sp.symbols("G H A")  # groups' weights, and what the other one has
    nested = (first * (above + other * beside) / (below + other) + second * away) / (first + second)
    plain = (first * true + second * away) / (first + second)
    whole = first / (first + second) * one / (one + other) * change
    assert sp.simplify(nested - plain - whole) == 0
    return UNTOUCHED.finding("proved", "one level and two, free weights, values and shares")


PI1, PI2, G1, G2, G3 = sp.symbols("pi1 pi2 G1 G2 G3")
ONE = sp.Integer(1)


@mutations(
    {
        "the span needs no ∇π": {"span": (ONE, G1)},
        "the span needs no ∇h": {"span": (ONE, PI1)},
        "the gate is pinned to first order only": {"pinned": 3},
        "γ δ is not small": {"crossed": 2},
    }
)
def test_what_a_location_hides_beside_a_router(span=(ONE, PI1, G1), pinned=2, crossed=1):
    """(b) Every term of E_1 and E_2 is in the span, has S alone, or is o(s)."""
    d, gamma, c, v = sp.symbols("d gamma c v")
    change = G1 * d + G2 * d**2 / 2 + G3 * d**3 / 6 + c
    exponent = PI1 * gamma + PI2 * gamma**2 / 2
    gate = sum(sp.expand(exponent**n) / factorial(n) for n in range(4))
    main = {}
    for name, value in (("E1", change), ("E2", change**2 / 2 + v)):
        for (i, j, k, ell), coefficient in sp.Poly(sp.expand(gate * value), d, gamma, c, v).terms():
            small = (
                j >= pinned or (i >= crossed and j >= crossed) or (i >= 2 and i + j + k + ell > 2)
            )
            if (i, j, k, ell) == (2, 0, 0, 0):
                main[name] = coefficient
            elif not small:
                assert any((coefficient / f).is_number for f in span), (name, i, j, k, ell)
    assert main == {"E1": G2 / 2, "E2": G1**2 / 2}
    return SEEN.finding("proved", "all terms of both coefficients; the limits by hand")


@mutations(
    {
        "without the square of the slope": {"square": 0},
        "the curvature counts twice": {"bend": 1},
    }
)
def test_second_order_of_a_cells_weight(square=Fraction(1, 2), bend=Fraction(1, 2)):
    """e^Δπ to second order, two parameters: m·∇π + ½M:(∇²π + ∇π∇πᵀ)."""
    t, p, q = sp.symbols("t p q")
    first = sp.symbols("a b")
    second = sp.symbols("aa ab bb")
    moved = (p, q)
    linear = sum(f * z for f, z in zip(first, moved, strict=True))
    form = second[0] * p**2 + 2 * second[1] * p * q + second[2] * q**2
    exponent = t * linear + t**2 * form / 2
    series = sp.series(sp.exp(exponent), t, 0, 3).removeO()
    stated = sp.nsimplify(bend) * form + sp.nsimplify(square) * linear**2
    assert sp.expand(sp.expand(series).coeff(t, 2) - stated) == 0
    assert sp.expand(sp.expand(series).coeff(t, 1) - linear) == 0
    return SEEN.finding("proved", "free symbols; bilinear in any number of parameters")


@mutations(
    {
        "v has the weight of s": {"weight": 1},
        "a line does not see A in the slope": {"crossed": 0},
        "v is half of eᵀAe": {"half": Fraction(1, 2)},
    }
)
def test_scores_of_degree_two_on_a_line(weight=2, crossed=2, half=1):
    """(c) π(x_0 + z·e) for free A, b in two dimensions, and the weights of P_ℓ."""
    z, t, d = sp.symbols("z t D")
    a = sp.Matrix(2, 2, sp.symbols("A11 A12 A12 A22"))
    b, e, start = (sp.Matrix(sp.symbols(f"{n}1:3")) for n in ("b", "e", "o"))
    x = start + z * e
    score = sp.expand((x.T * a * x + b.T * x)[0])
    slope = (e.T * b)[0] + crossed * (start.T * a * e)[0]
    assert sp.expand(score.coeff(z, 1) - slope) == 0
    assert sp.expand(score.coeff(z, 2) - sp.nsimplify(half) * (e.T * a * e)[0]) == 0
    s, v = sp.symbols("s v")
    series = sp.series(sp.exp(s * t + v * t**2), t, 0, 7).removeO()
    for ell in range(1, 7):
        part = sp.expand(series).coeff(t, ell)
        moved = part.subs({s: d * s, v: d**weight * v}, simultaneous=True)
        assert sp.expand(moved - d**ell * part) == 0
    return SCORE.finding("proved", "slope and curvature on every line; from r(m) = 2m")


@mutations(
    {
        "c is read off b alone": {"divided": 0},
        "the flow of c leaves Γ": {"drift": 0},
    }
)
def test_the_gaussian_gate_is_quadratic(divided=1, drift=1):
    """A = −P/2, b = Pc: P a function of A alone; ∂²N/∂c² = 2 ∂N/∂Γ, Γ = 1/P."""
    x, c = sp.symbols("x c", real=True)
    wide, precision = sp.symbols("Gamma P", positive=True)
    normal = sp.exp(-((x - c) ** 2) / (2 * wide)) / sp.sqrt(wide)
    assert sp.simplify(sp.diff(normal, c, 2) - drift * 2 * sp.diff(normal, wide)) == 0
    score = sp.expand(-precision * (x - c) ** 2 / 2)
    assert sp.simplify(score.coeff(x, 1) / (precision * divided + 1 - divided) - c) == 0
    assert score.coeff(x, 2) == -precision / 2
    return SCORE.finding("proved", "one input; in more, P and Pc in the same way")


@mutations({"the square of a mean is enough": {"square": lambda m, s: m**2}})
def test_a_known_variance_shows_the_spread(square=lambda m, s: s):
    """(d) N(h + s, ν) is exp(s∂) N: the coefficient of ∂²N is ½Σωs², a sum of squares."""
    t = sp.Symbol("t")
    weight, s = sp.symbols("w1:4", positive=True), sp.symbols("s1:4", real=True)
    series = sum(
        w * sp.series(sp.exp(a * t), t, 0, 3).removeO() for w, a in zip(weight, s, strict=True)
    )
    found = sp.expand(series).coeff(t, 2)
    mean = sum(w * a for w, a in zip(weight, s, strict=True))
    spread = sum(w * a**2 for w, a in zip(weight, s, strict=True))
    assert sp.expand(found - square(mean, spread) / 2) == 0
    assert all(sp.diff(spread, a, 2).is_positive for a in s)
    return KNOWN.finding("proved", "three atoms; a sum of squares for any number")
