"""The Gaussian likelihood at second order: one block for each derivative of N, one atom decides.

Setting. p_G(y|x) = Σ w_i(x) N(y | h(x, η_i), ν_i), y a number, w softmax, ν a variance; W_i = e^s
are the weights before division by their sum D_G. N', N'', … are derivatives in the mean μ. Fitted
atoms are grouped in cells around true atoms (β1*, η*, ν*) with weights w* = e^{β0*}; a cell of one
atom is exact, others are over-specified. Deviations Δ = (Δβ1, Δη, Δν), weights w_i = e^{β0_i},
moments m0 = Σw_i − w*, m = Σw_iΔ_i, M = Σw_iΔ_iΔ_iᵀ ⪰ 0, all in blocks. The loss L is the sum of
|m0| over all cells, w(‖Δβ1‖ + ‖Δη‖ + |Δν|) over exact cells and Σw_i‖Δ_i‖² over over-specified
ones.

Hypotheses. X compact, x with a positive density on its interior; h and its first two derivatives in
η are continuous in (x, η); ν* > 0. (P) *pairs*: for any two true atoms (h_i(x), ν_i) ≠ (h_j(x),
ν_j) for almost every x. (Q) *caveat*: the gauge is fixed by pinning an exact atom, which exists for
k < 2k* if no cell is empty, so that its q_l below is 0. G → G*: every fitted atom tends to a true
one, and m0 → 0; no lower bound of single weights is needed.

Statements, for every k, d and number of parameters in η.

1. *Heat.* ∂_ν N = ½ N''. So ∂_μ^a ∂_ν^b N = 2^{−b} N^{(a+2b)}, at second order N' (μ), ½N'' (ν),
   N'' (μμ), ½N''' (μν), ¼N'''' (νν).
2. *Independence.* For distinct pairs (μ_i, ν_i), i ≤ k, the functions N_i^{(r)}, r = 0..R, are
   linearly independent on every open interval of y. Proof. N^{(r)} = H_r N, H_r a polynomial in y
   of degree exactly r (a). Let Σ P_i N_i = 0 with polynomials P_i, on an interval and, all being
   entire, on R. Take the largest ν and, among these, the largest μ, (μ_k, ν_k): then N_i/N_k is the
   exponential of a polynomial of degree ≤ 2 that tends to −∞ at +∞ (b), for every i ≠ k; so P_i
   N_i/N_k → 0, P_k → 0, P_k = 0. The same for k − 1 atoms. So all P_i = Σ_r c_ir H_r are 0, and by
   the degrees all c_ir.
   Hence if Σ_i Σ_r c_ir(x) N_i^{(r)} = 0 for all x, y, each c_ir(x) = 0 wherever the pairs are
   distinct: almost everywhere under (P), then everywhere if c_ir is continuous. *One atom decides
   for every k.* Where pairs coincide only the sums of their c_ir vanish (analytic h: an open set of
   x without coincidence is enough; two ReLU atoms, both 0 on an open set, with one ν, need (P)).
3. *Blocks.* D_G (p_G − p*) = Σ_i W_i (V_i − p*). To second order a cell adds e^{β1*·x} times
     N: m0 + m_β·x + ½ xᵀM_ββx =: w* q(x);   N': m_η·∇h + ½ M_ηη:∇²h + xᵀM_βη∇h;
     N'': ½m_ν + ½ ∇hᵀM_ηη∇h + ½ xᵀM_βν;   N''': ½ M_ην·∇h;   N'''': M_νν/8,
   and, by V_i − p*, the coefficient of N_j is E_j (q_j − ΣE_lq_l/ΣE_l), E = w* e^{β1*·x}: it
   vanishes for all j iff all q_j are one function Q.
4. *Criterion.* Some G → G* has ‖p_G − p*‖ = o(L), in L¹(dy dx), if and only if at some
   over-specified atom there are m_η, M_ηη ⪰ 0, **M_ηη ≠ 0**, and m_ν with
     m_η·∇h + ½ M_ηη:∇²h ≡ 0  and  ∇hᵀM_ηη∇h ≡ −m_ν in x,
   or at some exact atom a relation v·∇h ≡ 0, v ≠ 0. ("If": cells of rank(M_ηη) + 1 atoms or more.)
   If ∇h is independent at the atom, M_ηη ≠ 0 says no more than (m_η, M_ηη, m_ν) ≠ 0. Otherwise it
   does: h = η²x at η* = 0 has m_η = 1, M = 0, and yet p_G − p* is of order L.
   *Only if.* The coefficients of 3 lie in a space of functions of finite dimension on which, by 2,
   c ↦ ∫∫|Σ c_jr N_j^{(r)}| is a norm; the remainder is o(L). So all are o(L). By (Q) q_j = o(L):
   m0, m_β, M_ββ are. M_νν is, by N''''. M/L is bounded and ⪰ 0, so its blocks in the rows of β and
   ν are o(1) (a). As span ∇h is closed, N' and N'' give in the limit M̄_ηη = lim M_ηη/L, along a
   subsequence, and m̄_η, m̄_ν that solve both equations. If all M̄_ηη = 0, exact cells carry L;
   there q_l, Δη_l·∇h_l and then Δν_l are o(L), so with ∇h_l independent all of L is o(L): a
   contradiction.
   *If.* Let M_ηη = BBᵀ, B with r columns, π_i > 0, Σπ_i = 1, i ≤ r + 1, [√π, U] orthogonal,
   y_i = BU_i/√π_i (b): Σπ_iy_i = 0, Σπ_iy_iy_iᵀ = M_ηη. Atoms η* + t y_i + t² m_η, ν* + t² m_ν of
   weights π_iw*, gates unchanged, the other atoms exact: D_G = D_*, p_G − p* = o(t²) (c), O(t³) if
   h is C³, L = w* t² tr M_ηη + O(t⁴). More atoms: divide one into copies. An exact atom moves to
   η* + tv, with L = w*t|v|.
5. *Known variance* (or m_ν = 0). Solutions (m_η, M_ηη) ≠ 0 exist at η* iff some v ≠ 0 has v·∇h ≡ 0
   there: M = Σ b bᵀ, so ∇hᵀM∇h ≡ 0 makes every b·∇h ≡ 0. Independent ∇h: M = 0, then m_η = 0; ∇²h
   does not matter. A relation along a differentiable field, v(η)·∇h(x, η) ≡ 0 near η*, has
   M = vvᵀ ≠ 0 and m_η = ½(v·∂)v: degenerate. If ∇h is dependent for almost every η, such a field
   exists around almost every η* for analytic h (where the rank of ∇h is locally constant). At one
   point alone the relation may have M = 0 only (η²x again).
6. *Common variance*, one number ν for all atoms, fitted as one. If some true atom is exact and
   p_G − p* = o(L), then Δν = o(L): its block N'' is w(Δν + (Δη·∇h)²)/2 + O(L²), and Δη = O(L) since
   L counts it by its first power (if it did not, N' with independent ∇h would show it). So
   m_ν = o(L) in every cell, and the criterion is that of 5. Without an exact atom, hence for
   k ≥ 2k* only (where (Q) fails too), it is not: linear experts with every atom divided into b ± t,
   ν − t² differ by O(t⁴).
7. *Cell size.* ∇h independent at the atom: a cell of m atoms has rank M̄_ηη ≤ m − 1. Let
   z_i = √(w_i/L) Δη_i. By N', Σw_iΔη_i = O(L), so Σ√w_i z_i → 0: a relation that is not trivial in
   the limit, since Σw_i → w* > 0 (single weights may tend to 0). With 4: a cell of m atoms is
   degenerate iff some solution has 1 ≤ rank M_ηη ≤ m − 1. If all have rank two or more, cells of
   two atoms are not.
8. *Kinks.* Let h = g + ρ·max(p, 0) with g, ρ, p of class C² in (x, η), ∂_x p ≠ 0 wherever p = 0,
   and almost everywhere there ρ ≠ 0 and the pairs distinct. Tested with smooth φ(x)ψ(y) of compact
   support, p_G is C² in η, and its second-order term contains besides the blocks of 3, with
   one-sided derivatives, the Dirac term ½ρ ⟨M_ηη, ∂_ηp ∂_ηpᵀ⟩ δ(p) N'. All else is a function, N''
   with its products of first derivatives too: so the term vanishes for itself, and M_ηη ∂_ηp = 0 on
   the kink, as M ⪰ 0 and N'(y|h(x), ν) is not 0 for all y. In d dimensions: along a coordinate line
   with ∂p/∂x_1 ≠ 0, then integrate over the others. Conversely a solution with M_ηη ∂_ηp = 0 on the
   kink is realised as in 4: y_i·∂_ηp = 0 there, so the atoms' kinks lie within O(t²) of it, where
   they differ from the expansion by O(t²): O(t⁴) in L¹.
9. *ReLU FFN.* (κ2, κ1, κ0) → (κ2/c, cκ1, cκ0), c > 0, changes neither h = κ2·relu(κ1x + κ0) nor
   p_G: κ2 ∂h/∂κ2 = κ1 ∂h/∂κ1 + κ0 ∂h/∂κ0 is a relation among first derivatives of one atom.
10. *Output bias.* h = g(x, ζ) + c, ν free: M_cc = 1, m_ν = −1, all else 0, solves 4 with rank one,
   for every g. Two atoms c ± t, ν − t² of equal weights: p_G − p* = −w(x)(t⁴/12)N'''' + O(t⁶).
11. *Normalized sigmoid*, weights σ(β1·x + β0)/Σ, no gauge. Let some exact atom l have β1_l* ≠ 0,
   every over-specified one β1* = 0 (there is one), and single weights of their cells be bounded
   below. Then q_l = (1 − σ)(Δβ0 + Δβ1·x) + O(L²), σ the weight of l, and a quadratic polynomial q_j
   of an over-specified cell are one Q to o(L) only if both are 0 (a). So Q = 0. By the lemma on
   sigmoid moments, as Σs_i → s* < 1 and Σs_i'β_i = o(√L), M_ββ = o(L) means Σs_i‖β_i‖² = o(L): M_βη
   and M_βν are too (b). What is left are 4 to 8, with s_i for w_i. If all β1* = 0, cσ(β0) for σ(β0)
   has the same p.

Proved: all, by the arguments above; the formulas they use are computed. That Table 1 of arXiv
2505.10860 lists ReLU FFN experts under its Definitions 1 and 2, which ask for independent first
derivatives, is the paper's; that they have none is 9.
"""

from __future__ import annotations

import pytest
import sympy as sp

from identkit.claims.checks import Claim, mutations

DERIVED = "identkit (derived here)"
HEAT = Claim(
    "gaussian-heat-equation",
    "∂N/∂ν = ½ ∂²N/∂μ² for N(y|μ, ν), so every derivative ∂_μ^a ∂_ν^b N is 2^-b N^(a+2b)",
    DERIVED,
)
INDEPENDENT = Claim(
    "gaussian-derivatives-independent",
    "For distinct (μ_i, ν_i) the derivatives of N(y|μ_i, ν_i) in μ, of any orders and for any "
    "number of atoms, are linearly independent on every interval of y; so under the Gaussian "
    "likelihood atoms decouple wherever the pairs (h_i(x), ν_i) are distinct for almost every x",
    DERIVED,
)
BLOCKS = Claim(
    "gaussian-second-order-blocks",
    "Softmax, Gaussian likelihood: the second-order change of a cell as coefficients of N, N', "
    "N'', N''' and N'''' in the moments of its deviations; the gate part vanishes iff the q_j of "
    "all cells are one function",
    DERIVED,
)
CRITERION = Claim(
    "gaussian-softmax-criterion",
    "Softmax, Gaussian likelihood, own variances, Q = 0 and distinct pairs: p_G − p* is o(loss) "
    "for some G → G* iff an over-specified atom has M_ηη ⪰ 0, not 0, m_η and m_ν with m_η·∇h + "
    "½M_ηη:∇²h ≡ 0 and ∇hᵀM_ηη∇h ≡ −m_ν (realised by rank(M_ηη) + 1 atoms), or an exact atom a "
    "relation among its first derivatives",
    DERIVED,
)
KNOWN = Claim(
    "gaussian-known-variance-redundancy",
    "With the variance known, moments (m_η, M_ηη ⪰ 0) ≠ 0 are invisible at η* iff v·∇h ≡ 0 for "
    "some v ≠ 0; along a field v(η) with M_ηη = vvᵀ, hence degenerate; with independent ∇h never",
    DERIVED,
)

COMMON = Claim(
    "gaussian-common-variance-pinned",
    "With one variance for all atoms and an exactly fitted true atom, m_ν = 0 in every cell: the "
    "criterion of known variance; with every linear atom divided, b ± t and ν − t² are invisible "
    "at second order",
    DERIVED,
)
RANK = Claim(
    "gaussian-cell-rank",
    "Independent ∇h, Gaussian likelihood or softmax gate: the limiting second moment of a cell of "
    "m atoms has rank m − 1 at most, so invisible moments of rank r need r + 1 atoms, and those "
    "suffice",
    DERIVED,
)
KINK = Claim(
    "gaussian-kink-block",
    "A kink p = 0 of h adds ½ρ⟨M_ηη, ∂p∂pᵀ⟩δ(p) to the coefficient of N', which nothing cancels: "
    "M_ηη ∂p = 0 on the kink; so |ax + b| is nondegenerate if its kink is in the domain",
    DERIVED,
)
ORBIT = Claim(
    "gaussian-relu-ffn-orbit",
    "(κ2/c, cκ1, cκ0), c > 0, gives the same κ2·relu(κ1x + κ0) and density: ReLU FFN experts "
    "satisfy neither Definition 1 nor Definition 2",
    "identkit (derived here), on arXiv 2505.10860, Table 1 and Definitions 1 and 2",
)
BIAS = Claim(
    "gaussian-output-bias",
    "Gaussian likelihood, ν free: every expert g(x, ζ) + c is degenerate at second order, with "
    "M_cc = 1, m_ν = −1",
    DERIVED,
)
SIGMOID = Claim(
    "gaussian-normalized-sigmoid-sparse",
    "Normalized sigmoid, Gaussian likelihood, distinct pairs: if some exact atom has β1* ≠ 0 and "
    "every over-specified one β1* = 0, the gates' moments vanish (Q = 0, M_ββ = 0), and the "
    "criterion is that of the softmax gate",
    DERIVED,
)

HALF = sp.Rational(1, 2)
y, mu, t = sp.symbols("y mu t", real=True)
x, a, b, c = sp.symbols("x a b c", real=True)
nu = sp.symbols("nu", positive=True)
gap = sp.symbols("gap", positive=True)
DENSITY = sp.exp(-((y - mu) ** 2) / (2 * nu)) / sp.sqrt(2 * sp.pi * nu)


def derivative(order):
    """N^(order)/N, a polynomial in y."""
    return sp.expand(sp.cancel(sp.diff(DENSITY, mu, order) / DENSITY))


def series(mean, variance, order, factor=1):
    """Coefficients of t^0 … t^order of factor·N(y | μ + mean, ν + variance), over N."""
    moved = factor * DENSITY.subs({mu: mu + mean, nu: nu + variance}, simultaneous=True)
    ratio = sp.log(moved / DENSITY)
    exponent = sp.expand_log(ratio, force=True)
    terms = [sp.Integer(1)]  # of exp(exponent), by F' = exponent'·F
    slopes = [
        sp.cancel(sp.diff(exponent, t, n + 1).subs(t, 0)) / sp.factorial(n) for n in range(order)
    ]
    for n in range(order):
        terms.append(sum(slopes[i] * terms[n - i] for i in range(n + 1)) / (n + 1))
    assert sp.simplify(exponent.subs(t, 0)) == 0
    return [sp.expand(term) for term in terms]


def blocks(term, highest=4):
    """The numbers c_r of term = Σ_r c_r N^(r)/N: from the leading coefficients in y."""
    found, rest = {}, sp.expand(term)
    for order in range(highest, -1, -1):
        part = sp.expand(rest.coeff(y, order) * nu**order)
        found[order] = part
        rest = sp.expand(rest - part * derivative(order))
    assert sp.simplify(rest) == 0
    return found


# --- 1 and 2 --------------------------------------------------------------------------------------


@mutations(
    {
        "∂_ν N = N''": {"factor": sp.Integer(1)},
        "∂_ν is one derivative in μ": {"order": lambda a, b: a + b},
    }
)
def test_heat_equation(factor=HALF, order=lambda a, b: a + 2 * b):
    """Derivatives in μ and ν commute: from ∂_ν N = ½N'' all mixed ones, those up to b = 2 here."""
    for a in range(3):
        for b in range(3):
            left = sp.diff(DENSITY, mu, a, nu, b)
            right = factor**b * sp.diff(DENSITY, mu, order(a, b))
            assert sp.simplify((left - right) / DENSITY) == 0
    return HEAT.finding("proved", "all orders: derivatives commute")


@mutations(
    {
        "the degree does not rise": {"rise": 0},
        "the leading coefficient is 1": {"leading": lambda value: value},
    }
)
def test_degree_of_the_hermite_factor(rise=1, leading=lambda value: value / nu):
    """(a) ∂_μ(z^j N) = (z^{j+1}/ν − j z^{j−1})N, z = y − μ: degree j becomes j + 1, for every j.

    So H_0 = 1 has degree 0, and H_r leading coefficient ν^−r, by induction.
    """
    z, j = sp.symbols("z j", positive=True)
    # z moves with −μ, N as computed
    step = -sp.diff(z**j, z) + z**j * derivative(1).subs(y, mu + z)
    assert sp.simplify(step - z ** (j + 1) / nu + j * z ** (j - 1)) == 0
    for order in range(6):
        polynomial = sp.Poly(derivative(order), y)
        assert polynomial.degree() == rise * order
        following = sp.Poly(derivative(order + 1), y)
        assert sp.simplify(following.LC() - leading(polynomial.LC())) == 0
    return INDEPENDENT.finding("proved", "degrees of Hermite factors, all orders by induction")


@mutations(
    {
        "the smallest variance decays slowest": {"wider": lambda v: v / (1 + gap)},
        "among equal variances the smallest mean does, at +∞": {"later": lambda m: m - gap},
        "equal pairs are told apart": {"later": lambda m: m},
    }
)
def test_the_slowest_gaussian(wider=lambda v: v * (1 + gap), later=lambda m: m + gap):
    """(b) log(N_i/N_k) as a polynomial in y, (μ_k, ν_k) any pair behind (μ_i, ν_i) in the order."""
    m = sp.symbols("m", real=True)

    def log_ratio(mean, variance):
        of = -((y - mu) ** 2) / (2 * nu)
        return sp.Poly(sp.expand(of - of.subs({mu: mean, nu: variance}, simultaneous=True)), y)

    first = log_ratio(m, wider(nu))  # any two means
    assert first.degree() == 2
    assert sp.factor(first.coeff_monomial(y**2)).is_negative
    second = log_ratio(later(mu), nu)
    assert second.degree() == 1
    assert sp.factor(second.coeff_monomial(y)).is_negative
    return INDEPENDENT.finding("proved", "all k: divide by the slowest Gaussian; any interval of y")


@mutations(
    {
        "a pair may occur twice": {"pairs": ((0, 1), (0, 2), (0, 1))},
        "derivatives in ν are new functions": {"variance": 1},
    }
)
def test_rank_of_taylor_coefficients(pairs=((0, 1), (0, 2), (1, 1), (-1, 3)), variance=0):
    """20 functions, N^(0) … N^(4) at four pairs that share means and variances: exact ranks.

    Without the factor exp(−μ²/2ν), which no rank feels, Taylor coefficients at y = 0 are rational.
    """
    columns = []
    size = 5 * len(pairs) + variance * len(pairs)
    for mean, var in pairs:
        at = {mu: mean, nu: var}
        exponent = [sp.Rational(mean, var), -sp.Rational(1, 2 * var)]  # μy/ν − y²/2ν
        base = [sp.Integer(1)]
        for n in range(size + 8):
            tail = 2 * exponent[1] * base[n - 1] if n else 0
            base.append((exponent[0] * base[n] + tail) / (n + 1))
        factors = [derivative(r) for r in range(5)]
        if variance:
            factors.append(sp.cancel(sp.diff(DENSITY, nu) / DENSITY))
        for factor in factors:
            parts = sp.Poly(factor.subs(at), y).all_coeffs()[::-1]
            columns.append(
                [
                    sum(c * base[n - i] for i, c in enumerate(parts) if n >= i)
                    for n in range(size + 8)
                ]
            )
    assert sp.Matrix(columns).rank() == len(columns) == size
    return INDEPENDENT.finding("proved", "four pairs, five derivatives each, in rationals")


# --- 3 --------------------------------------------------------------------------------------------

e, g, H, n = sp.symbols("e g H n", real=True)
"""Of one fitted atom: Δβ1·x, Δη·∇h, Δηᵀ∇²hΔη, Δν: numbers, in any dimension."""
SECOND_ORDER = {
    0: e + e**2 / 2,
    1: g + H / 2 + e * g,
    2: n / 2 + g**2 / 2 + e * n / 2,
    3: g * n / 2,
    4: n**2 / 8,
}


@mutations(
    {
        "without the product of gate and mean": {"stated": SECOND_ORDER | {1: g + H / 2}},
        "without the product of gate and variance": {
            "stated": SECOND_ORDER | {2: n / 2 + g**2 / 2}
        },
        "N'''' has M_νν/4": {"stated": SECOND_ORDER | {4: n**2 / 4}},
        "N''' has M_ην·∇h": {"stated": SECOND_ORDER | {3: g * n}},
        "the Hessian counts in N''": {"stated": SECOND_ORDER | {2: (n + g**2 + H + e * n) / 2}},
    }
)
def test_blocks_of_one_cell(stated=SECOND_ORDER):
    """e^{te} N(y | μ + tg + ½t²H, ν + tn) to t²; weighted sums over a cell make moments of it.

    Σw_i e_i = m_β·x, Σw_i e_i g_i = xᵀM_βη∇h, Σw_i H_i = M_ηη:∇²h and so on; Σw_i − w* = m0.
    """
    constant, first, second = series(t * g + t**2 * H / 2, t * n, 2, factor=sp.exp(t * e))
    assert constant == 1
    found = blocks(first + second)
    assert set(found) == set(stated)
    for order, value in stated.items():
        assert sp.expand(found[order] - value) == 0
    return BLOCKS.finding("proved", "identity in free symbols; any d and number of parameters")


@mutations(
    {
        "each q_j has to vanish": {"common": lambda mean: 0 * mean},
        "the plain mean of the q_l": {"weighted": False},
    }
)
def test_the_gate_part_vanishes_iff_common(common=lambda mean: mean, weighted=True):
    """Any number of other cells: A = ΣE_lN_l, B = ΣE_l, C = ΣE_lq_lN_l, F = ΣE_lq_l over them.

    Σ_i W_iV_i has the part Σ_l E_l(1 + q_l)N_l, D_G the part Σ_l E_l(1 + q_l). All coefficients
    E_j(q_j − mean) are 0 iff every q_j is the mean, one function.
    """
    own, q_own, own_n, a, b, c, f = sp.symbols("E_j q_j N_j A B C F")
    p = (own * own_n + a) / (own + b)
    change = own * (1 + q_own) * own_n + a + c - (own * (1 + q_own) + b + f) * p
    mean = (own * q_own + f) / (own + b) if weighted else (q_own + f) / (1 + b)
    found = sp.diff(change, own_n)
    assert sp.simplify(found - own * (q_own - common(mean))) == 0
    assert sp.simplify(change - own_n * found).has(own_n) is False
    return BLOCKS.finding("proved", "coefficient of N_j for any number of cells")


# --- 4 --------------------------------------------------------------------------------------------


@mutations({"the minor says nothing": {"sign": -1}})
def test_a_zero_on_the_diagonal_clears_its_row(sign=1):
    """(a) The minor of rows i, j of M ⪰ 0 with M_ii = 0 is −M_ij² ≥ 0. In the limit of M/L.

    M_ββ = 0 makes M_βη = M_βν = 0, and M_νν = 0 makes M_ην = 0. Then the blocks left are m_η·∇h +
    ½M_ηη:∇²h of N' and ½(m_ν + ∇hᵀM_ηη∇h) of N''.
    """
    cross, other = sp.symbols("c o", real=True)
    minor = sp.Matrix([[0, cross], [cross, other]]).det()
    assert (sign * minor).is_nonpositive  # as it is ≥ 0 too, it is 0
    assert sp.solve(minor, cross) == [0]
    left = {k: v.subs({e: 0}) for k, v in SECOND_ORDER.items()}
    assert sp.expand(left[1] - g - H / 2) == 0
    assert sp.expand(left[2] - (n + g**2) / 2) == 0
    assert left[0] == 0
    return CRITERION.finding("proved", "what M_ββ = 0 and M_νν = 0 leave")


WEIGHTS = ((9, 16), (1, 4, 4), (1, 1, 1, 1), (1, 9, 4, 4, 16, 2))


@mutations({"r atoms are enough for rank r": {"extra": 0}})
def test_atoms_with_given_moments(extra=1):
    """(b) The reflection that maps the first axis to √π: its other columns are U, any π and r."""
    for weights in WEIGHTS:
        roots = sp.Matrix([sp.sqrt(sp.Rational(w, sum(weights))) for w in weights])
        count = len(weights)
        mirror = roots - sp.eye(count)[:, 0]
        reflection = sp.eye(count) - 2 * mirror * mirror.T / (mirror.T * mirror)[0]
        assert sp.simplify(reflection[:, 0] - roots).is_zero_matrix
        used = reflection[:, extra:]
        steps = [used[i, :] / roots[i] for i in range(count)]
        first, second = sp.zeros(1, used.shape[1]), sp.zeros(used.shape[1])
        for root, step in zip(roots, steps, strict=True):
            first += root**2 * step
            second += root**2 * step.T * step
        assert sp.simplify(first).is_zero_matrix
        assert sp.simplify(second - sp.eye(count - extra)).is_zero_matrix
    return CRITERION.finding("proved", "r + 1 atoms with moments 0 and I_r; B maps them to M_ηη")


@mutations(
    {
        "without the drift of the variance": {"variance": 0},
        "the variance drifts with t": {"power": 1},
        "first moments need not vanish": {"centred": False},
    }
)
def test_the_witness_is_invisible_to_second_order(variance=1, power=2, centred=True):
    """(c) One atom of it to t²: g_i = y_i·∇h, H_i = y_iᵀ∇²hy_i, ℓ = m_η·∇h; then the mean over π_i.

    The coefficients are affine in g_i, H_i and g_i², whose means are 0, −2ℓ and −m_ν.
    """
    drift = sp.symbols("l", real=True)
    mean = t * g + t**2 * (H / 2 + drift)
    _, first, second = series(mean, variance * t**power * n, 2)

    def averaged(term):
        parts = sp.Poly(term, g, H)
        means = {(0, 0): 1, (1, 0): 0 if centred else g, (0, 1): -2 * drift, (2, 0): -n}
        assert set(parts.monoms()) <= set(means)
        return sp.expand(sum(c * means[k] for k, c in parts.terms()))

    assert averaged(first) == 0
    assert averaged(second) == 0
    return CRITERION.finding("proved", "witness: p_G − p* = o(t²), h ∈ C² in η; any cell")


@mutations(
    {
        "the loss of the witness is of order t⁴": {"order": 4},
        "and its constant is 1": {"constant": lambda trace: trace / trace},
    }
)
def test_the_loss_of_the_witness(order=2, constant=lambda trace: trace):
    """Σπ_i‖t y_i + t² m‖² + (t²m_ν)²: y² = ‖y_i‖² and y_i·m have the means tr M_ηη and 0."""
    trace, square, variance = sp.symbols("trace mm n", positive=True)
    inner, length = sp.symbols("ym yy", real=True)
    loss = sp.expand(t**2 * length + 2 * t**3 * inner + t**4 * square + t**4 * variance**2)
    loss = loss.subs({length: trace, inner: 0})
    assert sp.limit(loss / t**order, t, 0) == constant(trace)
    return CRITERION.finding("proved", "L = w*t² tr M_ηη + O(t⁴), gates and weights exact")


@mutations(
    {
        "m_η is visible": {"visible": lambda first, second: first + second},
        "M is invisible": {"visible": lambda first, second: 0 * second},
        "f moves by less than L": {"ratio": lambda place: 0 * place},
    }
)
def test_first_moments_alone_are_no_witness(
    visible=lambda first, second: second, ratio=lambda place: place
):
    """h = η²x at η* = 0: ∇h = 0, ∇²h = 2x. The invisible (m_η, M) are those with M = 0, any m_η.

    But the mean of h over atoms Δη_i moves by Σw_iΔη_i² x, which is x·L, whatever m_η is.
    """
    eta, first, second = sp.symbols("eta m M", real=True)
    h = eta**2 * x
    slope, curvature = (sp.diff(h, eta, k).subs(eta, 0) for k in (1, 2))
    block = first * slope + second * curvature / 2
    assert sp.expand(block - visible(first, second) * x) == 0
    assert sp.expand(h.subs(eta, t) - ratio(x) * t**2) == 0
    return CRITERION.finding("proved", "M_ηη ≠ 0 is needed where ∇h has a relation: η²x at 0")


# --- experts with a witness -----------------------------------------------------------------------

z = a * x + b
ASINH = {
    "h": sp.asinh(z),
    "parameters": (a, b),
    "second": sp.Matrix([[a**2, a * b], [a * b, b**2 + 1]]),
    "first": (a / 2, b / 2),
    "variance": -1,
    "rank": 2,
}
CIRCLE = {
    "h": a * sp.sin(x) + b * sp.cos(x),
    "parameters": (a, b),
    "second": sp.eye(2),
    "first": (0, 0),
    "variance": -1,
    "rank": 2,
}
SINE = {
    "h": c * sp.sin(z),
    "parameters": (a, b, c),
    "second": sp.diag(0, 1, c**2),
    "first": (0, 0, c / 2),
    "variance": -(c**2),
    "rank": 2,
}
LINEAR = {
    "h": z,
    "parameters": (a, b),
    "second": sp.diag(0, 1),
    "first": (0, 0),
    "variance": -1,
    "rank": 1,
}
WITNESSES = {"asinh": ASINH, "circle": CIRCLE, "sine": SINE, "linear": LINEAR}


@pytest.mark.parametrize("witness", WITNESSES.values(), ids=WITNESSES)
@mutations(
    {
        "asinh without the drift of η": {"witness": ASINH | {"first": (0, 0)}},
        "asinh with rank one": {"witness": ASINH | {"second": sp.diag(0, 1)}},
        "linear: the slope too": {"witness": LINEAR | {"second": sp.eye(2)}},
        "the variance is known": {"witness": LINEAR | {"variance": 0}},
        "asinh: rank one is enough": {"witness": ASINH | {"rank": 1}},
        "an indefinite M": {"witness": LINEAR | {"second": sp.diag(0, -1), "variance": 1}},
        "sine without the drift of c": {"witness": SINE | {"first": (0, 0, 0)}},
        "gelu-like curvature": {"witness": LINEAR | {"h": sp.tanh(z)}},
    }
)
def test_witnesses_of_experts(witness):
    """Both equations of 4, and M_ηη ⪰ 0 of the stated rank, for all parameters with a, c ≠ 0."""
    h, names = witness["h"], witness["parameters"]
    slope = sp.Matrix([sp.diff(h, p) for p in names])
    second = witness["second"]
    mean = (sp.Matrix([witness["first"]]) * slope)[0]
    hessian = sp.hessian(h, names)
    mean += sum(second[i] * hessian[i] for i in range(len(second))) / 2
    assert sp.simplify(mean) == 0
    assert sp.simplify((slope.T * second * slope)[0] + witness["variance"]) == 0
    signs = second.charpoly().all_coeffs()  # of a symmetric matrix: alternating iff M ⪰ 0
    assert all(sp.factor((-1) ** k * v).is_nonnegative for k, v in enumerate(signs))
    assert second.rank() == witness["rank"]
    return CRITERION.finding("proved", "asinh, a·sin x + b·cos x, c·sin(ax + b): rank 2; linear: 1")


# --- 5 --------------------------------------------------------------------------------------------


@mutations(
    {
        "M may be indefinite": {"signs": (1, -1)},
        "only the first square counts": {"signs": (1, 0)},
    }
)
def test_a_semidefinite_form_that_vanishes(signs=(1, 1)):
    """M = Σ ±b bᵀ: ∇hᵀM∇h = Σ ±(b·∇h)², and M∇h = Σ ±b(b·∇h). Any number of b and of parameters.

    With signs + every square is 0, so M∇h ≡ 0: with independent ∇h every row of M is 0. Three
    functions 1, x, x² are independent, and (1)(x²) − (x)² = 0 is an indefinite form of them.
    """
    entries = sp.symbols("h1:4", real=True)
    first, second = (sp.Matrix(sp.symbols(f"{k}1:4", real=True)) for k in "bc")
    slope = sp.Matrix(entries)
    form = signs[0] * first * first.T + signs[1] * second * second.T
    values = (first.T * slope)[0], (second.T * slope)[0]
    whole = (slope.T * form * slope)[0]
    assert sp.expand(whole - values[0] ** 2 - values[1] ** 2) == 0
    assert sp.expand(form * slope - first * values[0] - second * values[1]).is_zero_matrix
    indefinite = sp.Matrix([[0, 0, HALF], [0, -1, 0], [HALF, 0, 0]])
    powers = sp.Matrix([1, x, x**2])
    assert sp.expand((powers.T * indefinite * powers)[0]) == 0
    assert min(indefinite.eigenvals()) < 0
    return KNOWN.finding("proved", "M∇h ≡ 0; independent ∇h: M = 0 and m_η = 0, any ∇²h")


@mutations(
    {
        "the drift is (v·∂)v": {"drift": sp.Integer(1)},
        "the field may be replaced by its value at η*": {"drift": sp.Integer(0)},
    }
)
def test_a_relation_along_a_field(drift=HALF):
    """v(η)·∇h ≡ 0 differentiated along v: ((v·∂)v)·∇h + vᵀ∇²hv ≡ 0. Any h; two parameters here.

    The sums over parameters are those of any number: each derivative of v_i meets ∂_i h.
    """
    h = sp.Function("h")(a, b)
    v = [sp.Function(name)(a, b) for name in ("v1", "v2")]
    names = (a, b)
    along = lambda f: sum(u * sp.diff(f, p) for u, p in zip(v, names, strict=True))  # noqa: E731
    relation = along(h)
    moved = sum(drift * along(u) * sp.diff(h, p) for u, p in zip(v, names, strict=True))
    form = sum(v[i] * v[j] * sp.diff(h, names[i], names[j]) for i in range(2) for j in range(2))
    assert sp.simplify(moved + form / 2 - along(relation) / 2) == 0
    return KNOWN.finding("proved", "a field of relations: M_ηη = vvᵀ, m_η = ½(v·∂)v")


# --- 6 --------------------------------------------------------------------------------------------


@mutations(
    {
        "a cell of two atoms does so as well": {"power": HALF},
        "N'' shows Δν in full": {"share": sp.Integer(1)},
    }
)
def test_an_exact_atom_pins_the_common_variance(power=1, share=HALF):
    """N'' of one atom with Δη·∇h and Δβ1·x of order L^power, Δν of order L: its part of order L.

    Only Δν is in it, so Δν = o(L). In an over-specified cell Δη is of order √L and can cancel Δν.
    """
    loss, variance, mean, gate = sp.symbols("L v m q", positive=True)
    sizes = {n: variance * loss, g: mean * loss**power, e: gate * loss**power}
    leading = sp.expand(SECOND_ORDER[2].subs(sizes, simultaneous=True) / loss)
    assert sp.limit(leading, loss, 0) == share * variance
    return COMMON.finding("proved", "N'' of an exact atom, any gate; then m_ν = w*Δν in all cells")


PAIR = (1, -1)


def divided(shifts, variance, order=4):
    """Coefficients in t of the mean of N(y | μ + t·shift, ν + t²·variance) over equal atoms."""
    each = [series(t * sp.Integer(v), t**2 * sp.Integer(variance), order) for v in shifts]
    return [sp.expand(sum(column) / len(shifts)) for column in zip(*each, strict=True)]


@mutations(
    {
        "an atom may stay exact": {"other": (0,)},
        "the variance stays": {"variance": 0},
        "the variance drifts upwards": {"variance": 1},
    }
)
def test_without_an_exact_atom_it_is_free(other=PAIR, variance=-1):
    """Two cells, one common ν − t²: b ± t in both, and p_G − p* is O(t⁴), not 0.

    h = a·x + b: M_bb = 1, ∇²h = 0, whatever the gates. Every cell has two atoms, so k ≥ 2k*.
    """
    for shifts in (PAIR, other):
        found = divided(shifts, variance)
        assert found[0] == 1
        assert found[1] == found[2] == found[3] == 0
        assert found[4] != 0
    return COMMON.finding("proved", "counterexample: linear experts, every atom divided")


# --- 7 --------------------------------------------------------------------------------------------


@mutations({"the leading deviations need not be centred": {"centred": False}})
def test_a_cell_of_m_atoms_has_rank_below_m(centred=True):
    """m vectors z_i with Σ√w_i z_i = 0: every minor of size m of Σz_iz_iᵀ is det² of them, hence 0.

    The relation makes it so for every m: a column is a combination of the others. m = 1 to 4 here;
    a minor of another choice of rows and columns is a product of two such determinants.
    """
    for count in range(1, 5):
        vectors = sp.Matrix(count, count, lambda i, j: sp.Symbol(f"z{i}{j}", real=True))
        roots = sp.symbols(f"r0:{count}", positive=True)
        if centred:
            last = sum((roots[i] * vectors[i, :] for i in range(count - 1)), sp.zeros(1, count))
            vectors[count - 1, :] = -last / roots[-1]
        assert sp.simplify(vectors.det()) == 0
        if count > 1:
            assert sp.simplify(vectors[:-1, :-1].det()) != 0  # and rank m − 1 occurs
    return RANK.finding("proved", "rank M̄_ηη ≤ m − 1, every m; r + 1 atoms by the criterion")


@mutations({"a linear expert needs rank two": {"square": lambda point: sp.Integer(1)}})
def test_asinh_keeps_its_rate_for_two_atoms(square=lambda point: 1 + point**2):
    """Rank one, M = uuᵀ: ∇hᵀM∇h = (u·(x, 1))² h'², constant κ only if κ = 0, so u = 0; a ≠ 0.

    For asinh(ax + b) h'² is 1/(1 + z²): (u1·x + u2)² = κ(1 + z²), and the coefficients of these
    have u1²·u2² − (u1u2)² = κ²a². With 1 instead of 1 + z² κ is free: linear experts.
    """
    kappa = sp.symbols("k", real=True)
    slope = sp.diff(sp.asinh(z), b)
    assert sp.simplify(slope**2 * (1 + z**2)) == 1
    top, middle, low = (sp.Poly(kappa * square(z), x).coeff_monomial(x**k) for k in (2, 1, 0))
    discriminant = sp.expand(top * low - (middle / 2) ** 2)
    assert sp.expand(discriminant - kappa**2 * a**2) == 0
    return RANK.finding("proved", "asinh ridge: no solution of rank one, one of rank two")


# --- 8 --------------------------------------------------------------------------------------------


@mutations(
    {
        "the kink adds nothing": {"dirac": 0},
        "it adds half of ρ(∂p)²δ(p) to ∂²h": {"dirac": HALF},
        "its sign is that of ∂p/∂x": {"absolute": lambda v: v},
    }
)
def test_a_moving_kink_adds_a_dirac_term(dirac=1, absolute=sp.Abs):
    """∂²/∂η² of ∫Φ(x, h)dx along one direction of η, Φ = φ(x)ψ(y)N(y|h, ν): its boundary term.

    F' = ∫_{x<x0} Φ_h h⁻_η + ∫_{x>x0} Φ_h h⁺_η, as h is continuous; F'' has, besides the integrals,
    x0'·(h⁻_η − h⁺_η)Φ_h at x0, where p = 0 and x0' = −p_η/p_x. δ(p) is δ(x − x0)/|p_x|. Half of it
    is the term of the expansion; Σw_i(v_i·∂p)² over directions v_i is ⟨M, ∂p∂pᵀ⟩.
    """
    eta = sp.symbols("eta", real=True)
    p_of, rho_of, g_of = (sp.Function(name)(x, eta) for name in ("p", "rho", "g"))
    slopes = sp.symbols("p_x p_eta rho", real=True)
    inside, outside = sp.diff(g_of + rho_of * p_of, eta), sp.diff(g_of, eta)
    for sign in (1, -1):
        steep = sp.Symbol("u", positive=True) * sign
        speed = -slopes[1] / steep
        left, right = (outside, inside) if sign > 0 else (inside, outside)  # p < 0 left of x0
        jump = (left - right).subs(sp.diff(p_of, eta), slopes[1])
        jump = jump.subs(p_of, 0).subs(rho_of, slopes[2]).doit()
        boundary = sp.expand(speed * jump)
        assert sp.simplify(boundary - dirac * slopes[2] * slopes[1] ** 2 / absolute(steep)) == 0
    # an integral in closed form: h = max(ηx − 1, 0), Φ = h²·x + h, η > 1, over (0, 1)
    eta = sp.Symbol("eta", positive=True)
    h = eta * x - 1
    whole = sp.integrate(sp.expand(h**2 * x + h), (x, 1 / eta, 1))
    smooth = sp.integrate(sp.diff(h**2 * x + h, eta, 2), (x, 1 / eta, 1))
    point = (2 * h * x + 1).subs(x, 1 / eta)  # Φ_h at the kink
    dirac_part = dirac * point * (1 / eta) ** 2 / eta
    assert sp.simplify(sp.diff(whole, eta, 2) - smooth - dirac_part) == 0
    return KINK.finding("proved", "boundary term for any g, ρ, p; d ≥ 1 along coordinate lines")


@mutations(
    {
        "without its kink |ax + b| has no solution either": {"kink": False},
        "kinked experts are all degenerate": {"solution": -1},
    }
)
def test_absolute_value_and_relu_are_nondegenerate(kink=True, solution=0):
    """|z| and relu(z), z = ax + b, a ≠ 0, kink inside: the solutions (M, m_ν) of N'' and the kink.

    |z|: ∇h = ±(x, 1) on both sides; N'' leaves M_bb = −m_ν; the kink, x0 = −b/a, takes it. Its
    smooth part alone is that of a linear expert. relu: dead on one side, so m_ν = 0 already. Then
    M = 0, and m_η·∇h = 0 gives m_η = 0. (Without the kink in the domain: linear, or dead.)
    """
    entries = aa, ab, bb, variance = sp.symbols("M_aa M_ab M_bb v", real=True)
    form = lambda at: aa * at**2 + 2 * ab * at + bb  # noqa: E731
    for sides in ((1, -1), (1, 0)):
        equations = []
        for side in sides:
            equations += sp.Poly(side**2 * form(x) + variance, x).all_coeffs()
        jump = sides[0] - sides[1]  # of dh/dp: ρ
        if kink:
            equations.append(jump * form(-b / a))
        (found,) = sp.solve(equations, entries, dict=True)
        values = [found.get(v, v) for v in entries]
        assert values == [0, 0, solution, 0]
    return KINK.finding("proved", "|ax + b| and relu(ax + b): M = 0, kink inside the domain")


# --- 9 and 10 -------------------------------------------------------------------------------------

TWELFTH = sp.Rational(1, 12)


@mutations(
    {
        "softplus has the orbit": {"activation": lambda v: sp.log(1 + sp.exp(v))},
        "c may be negative": {"factor": -1},
        "the scale of the output stays": {"power": 0},
    }
)
def test_relu_ffn_orbit(activation=lambda v: sp.Max(v, 0), factor=1, power=1):
    """Both signs of z = κ1x + κ0; the density sees h alone. Also leaky ReLU, by homogeneity.

    The relation is the derivative of the orbit at c = 1. Deviations (κ2/c − κ2, …) are not 0 for
    c ≠ 1, p is the same: an exact atom has a relation, v·∇h ≡ 0, at every parameter.
    """
    scale, size = sp.symbols("scale size", positive=True)
    k2, k1, k0 = sp.symbols("k2 k1 k0", real=True)
    moved = factor * scale
    for sign in (1, -1):
        at = sign * size  # every value of z but 0
        assert sp.simplify(k2 / moved**power * activation(moved * at) - k2 * activation(at)) == 0
    h = lambda inside: k2 * (k1 * x + k0) if inside else sp.Integer(0)  # noqa: E731
    for inside in (True, False):
        value = h(inside)
        relation = power * k2 * sp.diff(value, k2)
        relation -= k1 * sp.diff(value, k1) + k0 * sp.diff(value, k0)
        assert sp.expand(relation) == 0
    return ORBIT.finding("proved", "exact orbit at every parameter; Definitions 1 and 2 fail")


@mutations(
    {
        "the variance is known": {"variance": 0},
        "a factor c as well": {"expert": lambda g, c: g * c},
        "it is visible at order t³": {"order": 3},
        "the fourth order is N''''/12": {"leading": TWELFTH},
    }
)
def test_output_bias(variance=-1, expert=lambda g, c: g + c, order=4, leading=-TWELFTH):
    """Any function g(x, ζ), two entries of ζ here: the row of c in ∇²h is 0, ∂h/∂c = 1.

    Two atoms c ± t: all terms to the first that is not 0.
    """
    zeta = sp.symbols("zeta1:3", real=True)
    h = expert(sp.Function("g")(x, *zeta), c)
    assert sp.diff(h, c, 2) == 0
    assert sp.simplify(sp.diff(h, c) ** 2 + variance) == 0
    found = divided(PAIR, variance)
    assert all(term == 0 for term in found[1:order])
    parts = blocks(found[order])
    assert parts == {0: 0, 1: 0, 2: 0, 3: 0, 4: leading}
    return BIAS.finding("proved", "every g, any d; rank one, two atoms; order t⁴")


# --- 11 -------------------------------------------------------------------------------------------


@mutations(
    {
        "the exact atom may have β1* = 0": {"sloped": False},
        "its weight changes by σ": {"ratio": lambda s: sp.Integer(1)},
    }
)
def test_a_sloped_exact_atom_makes_q_zero(sloped=True, ratio=lambda s: 1 - s):
    """(a) (1 − σ)A = P, A affine, P quadratic, along a line x0 + y·v with β1*·v = k > 0.

    1/(1 − σ) = 1 + e^s: A = (1 + e^s)P. 1, y, y², and these times e^{ky} are independent on every
    interval (by growth, and analyticity), so every coefficient is 0. Lines with β1*·v ≠ 0 fill an
    open set: A = P = 0.
    """
    logit, exponential = sp.symbols("s E", positive=True)
    affine, quadratic = sp.symbols("A0:2"), sp.symbols("P0:3")
    sigma = 1 / (1 + sp.exp(-logit))
    assert sp.simplify(sp.diff(sigma, logit) / sigma - ratio(sigma)) == 0
    share = sp.simplify(ratio(sigma)).subs(sp.exp(logit), exponential)
    left = sum(v * y**i for i, v in enumerate(affine))
    right = sum(v * y**i for i, v in enumerate(quadratic))
    numerator = sp.numer(sp.together(share * left - right))
    functions = (y, exponential) if sloped else (y,)  # with β1* = 0, e^s is a number
    equations = sp.Poly(sp.expand(numerator), *functions).coeffs()
    found = sp.solve(equations, (*affine, *quadratic), dict=True)
    assert found == [dict.fromkeys((*affine, *quadratic), 0)]
    return SIGMOID.finding("proved", "Q = 0 by one exact atom with β1* ≠ 0; any d")


@mutations(
    {
        "the gate's second moment has the weights s'": {"second": lambda s: s * (1 - s)},
        "the cross moment has the weights s": {"cross": lambda s: s},
    }
)
def test_blocks_of_a_flat_sigmoid_cell(
    second=lambda s: s * (1 - s) * (1 - 2 * s), cross=lambda s: s * (1 - s)
):
    """(b) σ(s0 + te) N(y | μ + tg + ½t²H, ν + tn) to t², s = σ(s0): the moments of the lemma.

    N: m0 + Σs'e + ½Σs''e², so Σs_i'β_i = o(√L) and Σs_i''β_iβ_iᵀ = o(L): for the limits u_i of
    β_i/√L the lemma gives u_i = 0. The cross moments are Σs_i'e_ig_i and Σs_i'e_in_i: o(L), by
    Cauchy–Schwarz. What is left is 3 with s_i for w_i.
    """
    level = sp.symbols("s0", real=True)
    weight = 1 / (1 + sp.exp(-level))
    factor = (1 + sp.exp(-level)) / (1 + sp.exp(-level - t * e))
    _, first, quadratic = series(t * g + t**2 * H / 2, t * n, 2, factor=factor)
    found = blocks(first + quadratic)
    stated = {k: weight * v.subs(e, 0) for k, v in SECOND_ORDER.items()}
    stated[0] = weight * (1 - weight) * e + second(weight) * e**2 / 2
    stated[1] += cross(weight) * e * g
    stated[2] += cross(weight) * e * n / 2
    for order, value in stated.items():
        assert sp.simplify(weight * found[order] - value) == 0
    return SIGMOID.finding("proved", "by the lemma on sigmoid moments: M_ββ = M_βη = M_βν = 0")
