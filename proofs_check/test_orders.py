"""Orders of directions: no slower than 2m for m atoms, and arcs that are as slow as claimed.

Statement (theory section 10). A true atom (η, ν) of weight w* is fitted by m ≥ 2 atoms of weights
bounded below; ε is the distance of p_G and p_* in L¹ over a compact set of x. Near the truth:

1. Gaussian likelihood, a variance for each atom, weights W_i(x) that add up to 1 at each x (any
   gate that divides), ∇h independent functions of x: |Δη_i|^2m + |Δν_i|^m ≤ Cε. So no parameter of
   the expert has an order above 2m, and ν none above m.
2. Softmax, some true atom fitted by one atom; h = g(x, ζ) + c three times differentiable; no S ⪰ 0,
   S ≠ 0 has both S:∇²g and ∇gᵀS∇g in span{1, x, ∇g}: then |Δζ_i|² ≤ Cε. The order of ζ is 2, for
   cells of any size.
3. If all invisible moments of second order (M ⪰ 0) have rank R, cells of m ≤ R atoms have order 2.
4. Invisible moments of rank R: some R + 1 atoms change T by O(t³), some R pairs by O(t⁴), at
   deviations of order t.
5. h = φ(aᵀx + b) with φ″ = −κzφ′, as erf has (κ = 2): ∂²_μ h = 2∂_v h in the coordinates
   aᵀx + b = ρ(αᵀx − μ), v = 1/(κρ²). Under least squares m atoms change f by O(t^2m) with b ~ t.
   For d = 1 and κ > 0, while the gates stay, that is the slowest.
6. h = φ(aᵀx + b) with (1 + z²)φ″ = −2zφ′, as atan: ∂²_μ h + ∂²_σ h = 0 in z = (αᵀx − μ)/σ. Under
   least squares the m corners of a regular polygon around (μ, σ) change f by O(t^m). For d = 1,
   while the gates stay, m atoms have order m at most.
7. Gaussian likelihood, ν free, three atoms: c of c·tanh(ax + b) + d, and b of a·x² + b·x + c, are
   n^-3/16 or slower.
8. Least squares, softmax, some true atom fitted by one atom, almost every gates: what 5 and 6 say
   is the slowest, whatever the gate slopes do, for every d: |Δb|^2m + |Δa|^m ≤ Cε, and |Δa|^m +
   |Δb|^m ≤ Cε. So too for h = H(x, z), ∂_zH = C(x)φ'(z), C ≠ 0 almost everywhere.
9. Gaussian likelihood, ν free, softmax as in 8 or constant weights, ∇h independent: if all
   invisible moments of second order are multiples of one, of rank 2, then |Δη|^m ≤ Cε for m ≥ 4,
   and for m = 2, 3 if there are two parameters.
10. Two parameters p, q and ∂²_p h = c·∂_q h, c a number: under least squares p has order ≥ 2m and q
   ≥ m, as in 5; for ∂²_p h = −κ²∂²_q h both have order ≥ m, as in 6. Softmax as in 8: no more, if
   the derivatives of h left by the equation (∂_p^ℓ h, ℓ ≤ 2m; ∂_p^ℓ h and ∂_p^(ℓ−1)∂_q h, ℓ ≤ m)
   are independent and x·∂h of level ℓ brings none above level ℓ + m, ℓ + m/2 in the second case.

Proof of 1. At a fixed x the cell is Σ W_i N(μ + s_i, ν + 2v_i) with s_i = Δh_i(x), 2v_i = Δν_i, and
Σ W_i N(μ + s_i, ν + 2v_i) = Σ_ℓ E_ℓ ∂^ℓ N(μ, ν), E_ℓ = Σ W_i P_ℓ(s_i, v_i) as in
test_polynomial_systems. Let D = max(|s_i|, |v_i|^½). If the cell changes by o(D^2m) along a
sequence, then E_ℓ = o(D^2m) for ℓ ≤ 2m, since the ∂^ℓ N are independent and the remainder is
O(D^(2m+1)). E_ℓ has weight ℓ in (s, v): at a limit point of (s/D, v/D²) and of the weights, which
stay positive, E_1 = … = E_2m = 0. As r(m) = 2m all s_i = 0 there; then E_4 = ½ Σ W_i v_i² = 0 and
v_i = 0, although max(|s_i|, |v_i|^½) = 1. So D^2m ≤ C·(change at x), C the same for all x in a
compact set, and E_ℓ = O(change at x) for ℓ ≤ 2m. Integrated over x: ∫|Δh_i|^2m dx + |v_i|^m ≤ Cε,
and ∫|Δh_i|^2m dx ≥ c|Δη_i|^2m, since Δh_i/|Δη_i| tends to V·∇h ≠ 0 with |V| = 1. With several true
atoms the same holds for each, with its own number of atoms (one for an exactly fitted atom: |Δh| +
|Δν|), on a set of x where the (h_j, ν_j) stay apart: all ∂^ℓ N there are independent.

Proof of 2. The coefficient of N gives Σ w_i exp(β_i·x) = w* + O(ε) once the gauge sets β of the
atom that is fitted by one atom to its true value; since exp(z) + exp(−z) − 2 ≥ z² second
differences give B = Σ w|β_i|² = O(ε). By 1, Σ w_i exp(β_i·x) Δh_i and Σ w_i exp(β_i·x)(½Δh_i² +
v_i) are O(ε) in L¹. Let S = Σ w_i δ_i δ_iᵀ, δ_i = Δζ_i, s = tr S, and suppose ε = o(s) along a
sequence. Expanded, each term is a multiple of 1, x or ∇g; or one with S alone, S:∇²g/2 and
½∇gᵀS∇g; or o(s): it has β twice (O(B) = O(ε)), or β and δ (at most √(Bs)), or δ twice and one more
deviation, which tends to 0. So a limit point of S/s is what there is none of, spans of finitely
many functions being closed. Weights free of x are those of softmax with every β_i = 0.

Proof of 3. Let D = max |δ_i| and suppose T changes by o(D²). The first moment m is O(D²), since
m·∇h/|m| would tend to 0 otherwise. So at a limit point of δ/D and m/D², M = Σ w δδᵀ ≠ 0 is
invisible, while Σ w δ = 0, whence M has rank m − 1 < R at most.

Proof of 4. Atoms at t·y_i + t²·d with Σ w y_i = 0, Σ w y_i y_iᵀ = M and d = m: the terms of order t
and t² are the first moment and the invisible combination. Where y comes with −y, t ↦ −t permutes
the atoms, so that T is even in t. 7 is a series.

Proof of 5, the slowest: ∂_x h is a constant times N(x | μ, v), so f changes by Σ E_ℓ ∂^(ℓ−1) N, as
in 1.

Proof of 6. A harmonic function is the real part of F(μ + iσ), so that f changes by the real part of
Σ p_k F^(k)/k!, p_k = Σ w_i δ_i^k of the complex deviations δ_i. At a polygon p_1 = … = p_(m−1) = 0.
For d = 1 F^(k) is a multiple of (x − ζ)^−k, ζ = μ + iσ: their real and imaginary parts are
independent functions. If f changes by o(D^m), D = max |δ_i|, a limit point has p_1 = … = p_m = 0;
its n ≤ m distinct nonzero δ with their total weights solve a regular system (Vandermonde), so n =
0, although max |δ_i|/D = 1.

Proof of 8. Put q_j = Σ (w_i/w_j) exp(Δβ_i·x) − 1 and r_j = Σ (w_i/w_j) exp(Δβ_i·x)(h_i − h_j)
over the cell of true atom j, so that D_G D_*(f_G − f_*) = Σ_{j<l} W_jW_l [(q_j − q_l)(h_j − h_l) +
r_j + r_l] + Σ_j W_j² r_j. Expanded to a fixed order, and for almost every gates, the products of
two weights separate: r_j and q_j − q_l are O(ε + remainder), and q_l = 0 for the atom whose gate is
the gauge. Suppose ε = o(R), R the largest D_j^2m_j of a cell (D_j^m_j in 6), and take that cell.
The coefficient of x² in q gives Σ w|Δβ|² = O(ε) + O(D^(2m+1)) + o(Σ w|Δβ|²) = o(D^2m), so that
Δβ_i = o(D^m). In r the terms with Δβ twice are o(D^2m); with it once they are F_ℓ x ∂^ℓh, F_ℓ =
Σ w_i Δβ_i P_ℓ = o(D^(m+ℓ)). Along a line in x, x ∂^ℓh brings no more than level ℓ + 1 (Hermite's
recursion; level ℓ for poles), so that E_ℓ = o(D^2m) + o(D^(m+ℓ−1)) = o(D^ℓ) for ℓ ≤ 2m, and the
limit point is one of 5. In 6: Δβ_i = o(D^(m/2)) and p_ℓ = o(D^m) + o(D^(m/2+ℓ)) = o(D^ℓ). Lines of
d independent directions, near which ε holds on average, have the locations and scales that give a
and b. A factor C(x) of every ∂^ℓh, ℓ ≥ 1, changes no level: where C ≠ 0 it can be divided out.

Proof of 9. By 1, |v_i|^m = O(ε) and E_ℓ = Σ W_i P_ℓ(Δh_i, v_i) = O(ε) in L¹ for ℓ ≤ 2m, at every x;
let D = max |Δη_i| and suppose ε = o(D^m). Convexity as in 2: β_i = O(ε^½) = o(D^(m/2)), so that it
adds o(D^ℓ) to E_ℓ. E_1 and E_2, in which Σ w v is free of x, make S = Σ w δδᵀ/D² invisible in the
limit, so S is a multiple of M = VVᵀ and δ = D·V c + o(D), |c| ≤ C. There |Vᵀ∇h| is free of x: Vᵀ∇h
is a constant times (cos θ, sin θ), θ not constant in x since ∇h is independent, and Δh = D·Re(c
exp(−iθ)) + o(D), c complex. For m ≥ 4 also v = O(D²): else v ≫ D², E_2 and E_4 leave Σ w v = o(v)
and Σ w v² = o(v²), as E_4 = o(D^m) = o(v²). The harmonic ℓ of E_ℓ/D^ℓ is p_ℓ(c) up to a constant,
with no v in it. So p_1 = … = p_m = 0 at a limit point, and c = 0 as in 6, although |δ|/D = 1. For m
= 3 and two parameters v = o(D) is enough: beside s³/6, E_3 has Σ w v s, a combination of first
harmonics, plus O(vD²) = o(D³). m = 2 is 3.

Proof of 10. exp(s∂_p + u∂_q) h = Σ P_ℓ(s, u/c) ∂_p^ℓ h in the first case, and Σ (Re δ^ℓ A_ℓ +
Im δ^ℓ B_ℓ)/ℓ! in the second, δ = κs + iu. The rest is the proof of 8: what x·∂h brings to level j
is o(D^(m+ℓ)), j ≤ ℓ + m, hence o(D^j).

Proved: 1 to 10 by these arguments, with each identity computed here; 1 rests on r(m) = 2m and 5 on
Gauss and Hermite's points, both in test_polynomial_systems. The limits are by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import factorial

import pytest
import sympy as sp

from identkit.claims.checks import Claim, mutations

AT_MOST = Claim(
    "orders-at-most-2m",
    "Gaussian likelihood, a variance for each atom, any gate that divides, independent ∇h: a true "
    "atom fitted by m ≥ 2 atoms, weights bounded below, has |Δη|^2m + |Δν|^m ≤ C·‖p_G − p_*‖ near "
    "the truth, whatever else moves",
    "identkit (derived here), from r(m) = 2m",
)
BESIDE = Claim(
    "orders-beside-a-location",
    "Softmax, Gaussian likelihood, ν free, h = g(x, ζ) + c: if no S ⪰ 0, S ≠ 0 has S:∇²g and "
    "∇gᵀS∇g in span{1, x, ∇g}, then ζ has order 2 (n^-1/4) at every cell size",
    "identkit (derived here)",
)
RANK = Claim(
    "orders-below-the-rank",
    "cells of m atoms have order 2 if every invisible moment of second order has rank ≥ m",
    "identkit (derived here)",
)
MOMENTS = Claim(
    "orders-of-invisible-moments",
    "invisible moments of rank R: R + 1 atoms at distance t change T by O(t³), R pairs by O(t⁴)",
    "identkit (derived here)",
)
RIDGE = Claim(
    "orders-ridge-flow",
    "h = φ(aᵀx + b) with φ'' = −κzφ', as erf: ∂²h/∂μ² = 2∂h/∂v for the location and the squared "
    "width, so under least squares b has order ≥ 2m in cells of m atoms; 2m for d = 1, κ > 0 while "
    "the gates stay",
    "identkit (derived here)",
)
HARMONIC = Claim(
    "orders-harmonic-ridge",
    "h = φ(aᵀx + b) with (1 + z²)φ'' = −2zφ', as atan: harmonic in location and scale, so under "
    "least squares a and b have order ≥ m in cells of m atoms; m for d = 1 while the gates stay",
    "identkit (derived here)",
)
SCALE = Claim(
    "orders-scale-beside-a-bias",
    "Gaussian likelihood, ν free, three atoms: c of c·tanh(ax + b) + d is n^-3/16 or slower, and "
    "so is b of a·x² + b·x + c",
    "identkit (derived here)",
)

GATED = Claim(
    "orders-of-flows-with-gates",
    "Least squares, softmax, some true atom fitted by one atom, almost every gates: for a ridge as "
    "erf (φ'' = −κzφ', κ > 0) b has order 2m and a order m, for one as atan both have order m, at "
    "most, with gate slopes free and any number of inputs",
    "identkit (derived here)",
)
CIRCLE = Claim(
    "orders-of-rank-two",
    "Gaussian likelihood, ν free, softmax or constant weights, independent ∇h: if all invisible "
    "moments are multiples of one of rank 2, cells of m ≥ 4 atoms have order m at most, and of 2 "
    "or 3 where there are two parameters (asinh(ax + b), a·sin x + b·cos x)",
    "identkit (derived here)",
)
FLOWS = Claim(
    "orders-of-flows",
    "Least squares, two parameters: ∂²h/∂p² = c ∂h/∂q gives p order ≥ 2m and q ≥ m, ∂²h/∂p² = "
    "−κ² ∂²h/∂q² gives both ≥ m; no more under softmax where what is left of the derivatives is "
    "independent and x does not lift it",
    "identkit (derived here)",
)


def left_side(order, s, v):
    """P_ℓ(s, v) = Σ s^i v^j/(i! j!) over i + 2j = ℓ."""
    pairs = [(order - 2 * n, n) for n in range(order // 2 + 1)]
    return sum(s**i * v**j / (factorial(i) * factorial(j)) for i, j in pairs)


@mutations(
    {
        "∂N/∂ν is ∂²N/∂μ²": {"half": 1},
        "v has the weight of s": {"weight": 1},
        "the equations up to 2m − 1 are enough": {"order": (2, -1)},
        "E_3 shows the variances": {"shows": 3},
    }
)
def test_at_every_x_a_cell_is_a_mixture(half=Fraction(1, 2), weight=2, order=(2, 0), shows=4):
    """The expansion at one x, the weights of E_ℓ, and what is left where every s_i is 0."""
    s, v, k, wide = sp.symbols("s v k Delta", real=True)
    d, n = sp.Symbol("D", positive=True), sp.Symbol("n", integer=True, nonnegative=True)
    # Fourier transforms: N(μ + s, ν + Δ) is N(μ, ν) times exp(s X + v X²), X = ∂_μ
    big_x = sp.I * k
    ratio = sp.I * k * s - wide * k**2 / 2
    assert sp.expand(ratio - (s * big_x + half * wide * big_x**2)) == 0
    t = sp.Symbol("t")
    series = sp.exp(s * t + v * t**2).series(t, 0, 9).removeO()
    for ell in range(1, 9):
        assert sp.expand(series.coeff(t, ell) - left_side(ell, s, v)) == 0
        moved = left_side(ell, d * s, d**weight * v)
        assert sp.expand(moved - d**ell * left_side(ell, s, v)) == 0
    remaining = left_side(shows, 0, v)
    assert (remaining.subs(v, sp.Symbol("u", nonzero=True, real=True))).is_positive
    enough = order[0] * (n + 2) + order[1] - shows  # m = n + 2
    assert enough.is_nonnegative
    return AT_MOST.finding("proved", "from r(m) = 2m, by weights and a limit; every m ≥ 2")


@mutations(
    {
        "one derivative less is enough": {"more": 0},
        "equal means need no variances": {"apart": 0},
    }
)
def test_derivatives_of_distinct_normals_are_independent(more=1, apart=1):
    """Σ p_j(ξ) exp(iμ_jξ − ν_jξ²/2) = 0: the least ν_j alone is left far out, then one μ_j."""
    xi, mu, other = sp.symbols("xi mu other", real=True)
    gap = sp.Symbol("gap", positive=True) * apart
    degree = 3
    assert sp.limit(xi ** (2 * degree) * sp.exp(-gap * xi**2 / 2), xi, sp.oo) == 0
    low = sum(sp.Symbol(f"p{i}") * xi**i for i in range(degree + 1)) * sp.exp(sp.I * mu * xi)
    high = sp.Symbol("q") * xi**degree * sp.exp(sp.I * other * xi)
    for _ in range(degree + more):  # D − iμ lowers the degree beside exp(iμξ), and no other
        low = sp.expand(low.diff(xi) - sp.I * mu * low)
        high = sp.expand(high.diff(xi) - sp.I * mu * high)
    assert sp.simplify(low) == 0
    top = sp.expand(sp.simplify(high * sp.exp(-sp.I * other * xi))).coeff(xi, degree)
    expected = sp.Symbol("q") * (sp.I * (other - mu)) ** (degree + more)
    assert sp.expand(top - expected) == 0
    return AT_MOST.finding("proved", "atoms decouple where (h_j, ν_j) are distinct")


X, G1, G2, G3 = sp.symbols("x G1 G2 G3")
ONE = sp.Integer(1)


@mutations(
    {
        "the span needs no x": {"span": (ONE, G1)},
        "the span needs no 1": {"span": (X, G1)},
        "the gates are pinned to first order only": {"pinned": 3},
        "β δ is not small": {"crossed": 2},
        "the square is −z² at least": {"least": 3},
    }
)
def test_what_a_location_can_hide(span=(ONE, X, G1), pinned=2, crossed=1, least=1):
    """Every term of E_1 and E_2 is in the span, has S alone, or is o(s)."""
    d, beta, c, v, z = sp.symbols("d beta c v z")
    change = G1 * d + G2 * d**2 / 2 + G3 * d**3 / 6 + c
    gate = sum((beta * X) ** n / factorial(n) for n in range(4))
    main = {}
    for name, value in (("E1", change), ("E2", change**2 / 2 + v)):
        for (i, j, k, ell), coefficient in sp.Poly(sp.expand(gate * value), d, beta, c, v).terms():
            small = (
                j >= pinned or (i >= crossed and j >= crossed) or (i >= 2 and i + j + k + ell > 2)
            )
            if (i, j, k, ell) == (2, 0, 0, 0):
                main[name] = coefficient
            elif not small:
                assert any((coefficient / f).is_number for f in span), (name, i, j, k, ell)
    assert main == {"E1": G2 / 2, "E2": G1**2 / 2}
    convex = sp.series(2 * sp.cosh(z) - 2 - least * z**2, z, 0, 12).removeO()
    assert all(coefficient >= 0 for coefficient in sp.Poly(convex, z).coeffs())
    return BESIDE.finding("proved", "all terms of both coefficients; the limit by hand")


@pytest.mark.parametrize("m", [2, 3])
@mutations(
    {
        "the rank is m − 2 at most": {"m": 3, "size": -1},
        "the atoms need no centre": {"m": 2, "centred": 0},
    }
)
def test_centred_atoms_have_rank_m_minus_1(m, size=0, centred=1):
    """M = Y diag(w) Yᵀ with Y w = 0: every minor of size m vanishes."""
    rows = m + size
    w = sp.symbols(f"w1:{m + 1}", positive=True)
    y = [sp.Matrix(sp.symbols(f"y{i}_1:{rows + 1}")) for i in range(1, m)]
    last = -sum((w[i] * y[i] for i in range(m - 1)), sp.zeros(rows, 1)) / w[-1]
    points = [*y, last * centred + (1 - centred) * sp.Matrix(sp.symbols(f"z1:{rows + 1}"))]
    second = sum((w[i] * p * p.T for i, p in enumerate(points)), sp.zeros(rows, rows))
    assert sp.simplify(second.det()) == 0
    return RANK.finding(
        "proved", f"m = {m}: M has rank {m - 1} at most, by a minor; all m: M w = 0"
    )


@mutations({"three atoms reach t⁴": {"simplex": 4}, "a pair reaches t⁵": {"pairs": 5}})
def test_atoms_with_given_moments(simplex=3, pairs=4):
    """A function of two variables to order 4 at t·y_i + t²·d, its term of order t² set to 0."""
    p, q, t = sp.symbols("p q t")
    f = sum(
        sp.Symbol(f"f{i}{j}") * p**i * q**j for i, j in product(range(5), repeat=2) if 0 < i + j < 5
    )
    d = (sp.Symbol("d1"), sp.Symbol("d2"))
    root = sp.sqrt(3) / 2
    half = sp.Rational(1, 2)
    triangle = [(1, 0), (-half, root), (-half, -root)]
    cross = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    for points, order in ((triangle, simplex), (cross, pairs)):
        moved = [f.subs({p: t * y + t**2 * d[0], q: t * z + t**2 * d[1]}, simultaneous=True)
                 for y, z in points]  # fmt: skip
        total = sp.Poly(sp.expand(sum(moved) / len(points)), t)
        second = total.coeff_monomial(t**2)
        expected = d[0] * sp.Symbol("f10") + d[1] * sp.Symbol("f01")
        m = sum((sp.Matrix(y) * sp.Matrix(y).T for y in points), sp.zeros(2, 2)) / len(points)
        expected += (
            m[0, 0] * sp.Symbol("f20") + m[0, 1] * sp.Symbol("f11") + m[1, 1] * sp.Symbol("f02")
        )
        assert sp.expand(second - expected) == 0  # the invisible combination
        for n in range(1, order):
            assert n == 2 or sp.expand(total.coeff_monomial(t**n)) == 0, n
    return MOMENTS.finding("proved", "two variables, rank 2; parity for any number of pairs")


@mutations(
    {
        "v is 1/(2κρ²)": {"width": 2},
        "φ'' = −κφ'": {"power": 0},
        "erf has κ = 1": {"kappa": 1},
    }
)
def test_a_ridge_with_a_flow(width=1, power=1, kappa=2):
    """∂²_μ h = 2 ∂_v h for every solution of φ'' = −κzφ', in Q(κ)."""
    u, mu, z = sp.symbols("u mu z", real=True)
    v, k = sp.symbols("v kappa", positive=True)
    rho = 1 / sp.sqrt(width * k * v)
    slope = sp.Function("phi1")(z)  # φ', whose derivative is −κzφ'
    argument = rho * (u - mu)
    derivative = -k * z**power * slope
    along = slope.subs(z, argument)
    second = rho**2 * derivative.subs(z, argument)
    assert sp.simplify(second - 2 * along * argument.diff(v)) == 0
    h = sp.erf(z)
    assert sp.simplify(h.diff(z, 2) + kappa * z * h.diff(z)) == 0
    normal = sp.exp(-((u - mu) ** 2) / (2 * v)) / sp.sqrt(2 * sp.pi * v)
    bell = rho * sp.exp(-k * argument**2 / 2)  # ∂_x h for φ' = exp(−κz²/2)
    assert sp.simplify(sp.log(bell / normal).diff(v)) == 0
    # the arc: v falls by t², so that ρ/ρ* = (1 − κt²)^(−1/2) where ρ* = 1
    t = sp.Symbol("t")
    assert sp.simplify(rho.subs(v, 1 / k - t**2) ** -2 - width * (1 - k * t**2)) == 0
    return RIDGE.finding("proved", "every φ of the class; arcs of Gauss and Hermite for every m")


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6])
@mutations(
    {
        "p_m is 0 too": {"m": 4, "below": 0},
        "the polygon has a corner more": {"m": 4, "corners": 1},
        "(1 + z²)φ'' = −zφ'": {"m": 3, "factor": 1},
        "some δ may be 0": {"m": 3, "nonzero": 0},
    }
)
def test_a_harmonic_ridge(m, below=1, corners=0, factor=2, nonzero=1):
    """The Laplace equation, the power sums of a polygon, and the Vandermonde determinant."""
    u, mu, z = sp.symbols("u mu z", real=True)
    sigma = sp.Symbol("sigma", positive=True)
    slope = sp.Function("phi1")(z)
    argument = (u - mu) / sigma
    at = lambda value: value.subs(z, argument)  # noqa: E731
    curve = -factor * z * slope / (1 + z**2)
    along_mu = at(curve) * argument.diff(mu) ** 2
    along_sigma = at(curve) * argument.diff(sigma) ** 2 + at(slope) * argument.diff(sigma, 2)
    assert sp.simplify(along_mu + along_sigma) == 0
    h = sp.atan(z)
    assert sp.simplify((1 + z**2) * h.diff(z, 2) + 2 * z * h.diff(z)) == 0
    root = sp.exp(2 * sp.pi * sp.I / (m + corners))
    for power in range(1, m + 1 - below):
        total = sum(root ** (power * k) for k in range(m))
        assert sp.simplify(sp.expand_complex(total)) == 0, power
    # atan((x − μ)/σ) and −Im log(x − ζ), ζ = μ + iσ, have the same derivative in x
    x = sp.Symbol("x", real=True)
    own = sp.atan((x - mu) / sigma).diff(x) - sp.im(sp.expand_complex(1 / (x - mu - sp.I * sigma)))
    assert sp.simplify(own) == 0
    if m <= 3:
        deltas = [*sp.symbols(f"d2:{m + 1}"), sp.Symbol("d1") * nonzero]
        system = sp.Matrix(m, m, lambda k, j: deltas[j] ** (k + 1))
        gaps = [deltas[i] - deltas[j] for i in range(m) for j in range(i)]
        assert sp.expand(system.det()) != 0
        assert sp.expand(system.det() ** 2 - sp.prod(deltas) ** 2 * sp.prod(gaps) ** 2) == 0
    return HARMONIC.finding("proved", f"m = {m}: power sums; the argument for every m")


@mutations(
    {
        "three at one location": {"location": (1, 1, 1)},
        "not compensated": {"compensate": 0},
        "the variance falls by 5/3 alike": {"variance": (5, 5, 5)},
        "of order t⁹": {"reach": 9},
    }
)
def test_a_square_that_is_a_slope(location=(1, 1, -2), compensate=1, variance=(5, 5, 8), reach=8):
    """Σ ⅓ exp(u Δh + u² Δν/2) = 1 + O(τ⁸), with τ³ in the coordinate that is squared."""
    x, u, tau, a, b, c = sp.symbols("x u tau a b c")
    z = sp.Symbol("z")
    phi = sp.tanh(a * x + b)

    def change_of_tanh(shift_b, shift_c):
        """Δ(c tanh(ax + b)), tanh' = 1 − tanh² used as long as needed."""
        powers, d = [z], sp.expand(1 - z**2)
        derivative = d
        while len(powers) < 4:
            powers.append(sp.expand(derivative))
            derivative = sp.expand(sp.diff(derivative, z) * d)
        moved = sum(p * shift_b**n / factorial(n) for n, p in enumerate(powers))
        return sp.expand((c + shift_c) * moved - c * z)

    for kind in ("polynomial", "tanh"):
        total = 0
        for place, side, wide in zip(location, (1, -1, 0), variance, strict=True):
            spread = -sp.Rational(wide, 3) * tau**4
            shift = compensate * sp.Rational(place, 6) * tau**4
            if kind == "polynomial":
                change = place * tau**2 + side * tau**3 * x - shift * x**2
            else:
                change = place * tau**2 + change_of_tanh(c * shift, c * side * tau**3)
                spread -= abs(side) * c**2 * tau**6
            exponent = sp.expand(u * change + u**2 * spread / 2)
            powers, term = sp.Integer(1), sp.Integer(1)
            for n in range(1, 5):
                term = _cut(term * exponent, tau, 9)
                powers += term / factorial(n)
            total += powers / 3
        series = sp.Poly(sp.expand(total), tau)
        for n in range(1, reach):
            assert sp.expand(series.coeff_monomial(tau**n)) == 0, (kind, n)
    assert sp.simplify(phi.diff(b) - (1 - phi**2)) == 0
    return SCALE.finding("proved", "both arcs, τ = t^½: deviations τ³, change τ⁸, every a, b, c")


def _cut(value, name, degree):
    """Without powers from ``degree`` on."""
    terms = sp.Poly(sp.expand(value), name).terms()
    return sum(c * name**n for (n,), c in terms if n < degree)


@mutations(
    {
        "weights once": {"twice": 0},
        "the difference of the experts is not there": {"apart": 0},
        "r of the other cell does not count": {"both": 0},
    }
)
def test_what_a_quotient_shows(twice=1, apart=1, both=1):
    """N_G D_* − N_* D_G for two cells: products of two weights."""
    w = sp.symbols("W1 W2")
    q, r, h = sp.symbols("q1 q2"), sp.symbols("r1 r2"), sp.symbols("h1 h2")
    top = sum(w[j] * ((1 + q[j]) * h[j] + r[j]) for j in range(2))
    bottom = sum(w[j] * (1 + q[j]) for j in range(2))
    star, under = sum(w[j] * h[j] for j in range(2)), sum(w)
    crossed = apart * (q[0] - q[1]) * (h[0] - h[1]) + r[0] + both * r[1]
    expected = w[0] * w[1] * crossed + twice * sum(w[j] ** 2 * r[j] for j in range(2))
    assert sp.expand(top * under - star * bottom - expected) == 0
    return GATED.finding("proved", "two cells, any experts; more cells are pairs of them")


@mutations(
    {
        "x leaves the level": {"lift": 0},
        "the slopes are not pinned": {"pinned": 0},
        "half of the power of D pins them": {"pinned": Fraction(1, 4)},
        "a pole is lifted": {"pole": -1},
    }
)
def test_gate_slopes_do_not_lift(lift=1, pinned=1, pole=0):
    """x·∂^ℓh of the two ridges, and what F_ℓ = o(D^(pinned·m + ℓ)) is beside E_ℓ = o(D^ℓ)."""
    x, mu, zeta = sp.symbols("x mu zeta")
    v = sp.Symbol("v", positive=True)
    bell = sp.exp(-((x - mu) ** 2) / (2 * v))
    for level in range(1, 8):  # ∂^ℓ of the integral of the bell is ∂^(ℓ−1) of the bell
        ratio = sp.Poly(sp.expand(sp.simplify(x * bell.diff(x, level - 1) / bell)), x)
        assert ratio.degree() == level - 1 + lift
        power = x * (x - zeta) ** -level
        lower = (x - zeta) ** (-level + pole) * zeta + (x - zeta) ** (1 - level)
        assert sp.simplify(power - lower) == 0
    for m in range(2, 7):
        for level in range(1, 2 * m + 1):
            assert pinned * m + level >= level + lift  # of E_(ℓ+1), o(D^(ℓ+1)) is asked
    return GATED.finding("proved", "levels up to 7 by division; every m by the weights")


@pytest.mark.parametrize("ell", [1, 2, 3, 4, 5, 6])
@mutations(
    {
        "the variance shows in it": {"ell": 4, "harmonic": -2},
        "of the conjugate": {"ell": 3, "conjugate": 1},
        "without the factorial": {"ell": 2, "divided": 0},
    }
)
def test_power_sums_are_the_last_harmonics(ell, harmonic=0, conjugate=0, divided=1):
    """P_ℓ(Re(δ exp(−iθ)), v) has δ^ℓ/(2^ℓ ℓ!) at exp(−iℓθ), and no v there."""
    a, b, v, z = sp.symbols("a b v z")  # z = exp(−iθ)
    delta = a + sp.I * b
    s = (delta * z + sp.conjugate(delta).subs({sp.conjugate(a): a, sp.conjugate(b): b}) / z) / 2
    found = sp.expand(left_side(ell, s, v)).coeff(z, ell + harmonic)
    own = delta if not conjugate else a - sp.I * b
    expected = own**ell / (2**ell * (factorial(ell) if divided else 1))
    assert sp.expand(found - expected) == 0
    return CIRCLE.finding("proved", f"harmonic {ell} of E_{ell}; then the argument for every m")


@mutations(
    {
        "the location alone": {"scale": 0},
        "a difference of squares": {"sign": -1},
    }
)
def test_experts_whose_gradient_runs_along_a_circle(scale=1, sign=1):
    """∇hᵀM∇h is free of x for M of rank 2."""
    x, a, b = sp.symbols("x a b", real=True)
    eta = sp.Matrix([a, b])
    experts = {
        sp.asinh(a * x + b): scale * eta * eta.T + sign * sp.diag(0, 1),
        a * sp.sin(x) + b * sp.cos(x): sp.diag(scale, sign),
        a * sp.tanh(x) + b / sp.cosh(x): sp.diag(scale, sign),
    }
    for h, m in experts.items():
        slope = sp.Matrix([h.diff(a), h.diff(b)])
        free = sp.simplify((slope.T * m * slope)[0].rewrite(sp.exp).diff(x))
        assert free == 0, h
    return CIRCLE.finding("proved", "three examples, of which identkit finds M itself")


@mutations(
    {
        "u is v": {"heat": 2},
        "δ is s + iκu": {"place": 1},
        "κ is its square": {"root": 2},
    }
)
def test_shifts_along_a_flow(heat=1, place=0, root=1):
    """exp(s∂_p + u∂_q) with the equation put in, as polynomials in the derivatives."""
    s, u, big_p, big_q = sp.symbols("s u P Q", real=True)
    c, k = sp.symbols("c kappa", positive=True)
    for ell in range(1, 7):
        # ∂_q is P²/c: the part of degree ℓ in P, s of weight 1 and u of weight 2
        parts = (
            (s * big_p) ** i / factorial(i) * (u * big_p**2 / c) ** j / factorial(j)
            for i, j in ((ell - 2 * j, j) for j in range(ell // 2 + 1))
        )
        expected = left_side(ell, s, heat * u / c) * big_p**ell
        assert sp.expand(sum(parts) - expected) == 0
        # P² = −κ²Q²; with P = κA, A² = −Q²
        shift = sp.rem(
            sp.expand((s * k**root * big_p + u * big_q) ** ell), big_p**2 + big_q**2, big_q
        )
        delta = s + sp.I * u * k if place else s * k + sp.I * u
        real, imaginary = sp.expand(delta**ell).as_real_imag()
        other = real * big_p**ell + imaginary * big_p ** (ell - 1) * big_q
        assert sp.expand(shift - other) == 0, ell
    return FLOWS.finding("proved", "levels up to 6; the sum over atoms as for ridges")
