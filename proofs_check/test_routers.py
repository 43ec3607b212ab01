"""Softmax over a score of one's own: f_G = ΣW_ih_i/ΣW_i, W_i = exp(π(x, γ_i, φ) + β0_i), or p_G.

Setting. V_i is h(x, η_i) under least squares and N(y | h(x, η_i), ν_i) under the Gaussian
likelihood; T is f* or p*; φ are shared by all atoms (κ = 1/τ, π = κs, s the router). A cell is the
fitted atoms around a true atom (γ*, η*[, ν*]), exact if it has one atom, over-specified otherwise.
Deviations Δ = (Δγ, Δη[, Δν]), weights w_i = e^{β0_i}, moments m0 = Σw_i − w*, m = Σw_iΔ_i, M =
Σw_iΔ_iΔ_iᵀ ⪰ 0. W also stands for e^{π(x, γ*)}. L is the sum of |m0| over all cells, of ‖Δ‖ over
exact cells and of Σw_i‖Δ_i‖² over over-specified ones; |Δφ| besides where φ is estimated.

Hypotheses. X bounded with a positive density; π, h and two derivatives in γ, η continuous, or with
kinks as in test_gaussian_blocks 8; G → G*, no cell empty.
(E) some true atom is fitted by one atom: so for k < 2k*.
(S) *separate*: a function that is in span{1, ∂_uπ_l} for every exact l and in span{1, ∂_uπ_j,
    ∂_u∂_vπ_j + ∂_uπ_j∂_vπ_j} for every other j is constant, or moved by a gauge (3) which is fixed.
    It is enough that one pair (l, j) has no other functions in common.
(P) least squares: the products W_iW_j, i ≤ j, are independent over the functions that multiply them
    (4). Gaussian: (h_i(x), ν_i) ≠ (h_j(x), ν_j) for almost every x; Δν from a compact of (0, ∞).
(F) φ is held fixed; or it is estimated, (S) holds with ∂_φπ among the functions of both atoms, and
    ∂_φπ_l is not in span{1, ∂_uπ_l} for an exact l.

Statements.

1. *Blocks.* D_G(T_G − T) = Σ_i W_i(V_i − T). To second order a cell adds, over W,
     q (V − T):  q = m0 + m_γ·∇π + ½M_γγ:(∇²π + ∇π∇πᵀ)
     r, least squares:  m_η·∇h + ½M_ηη:∇²h + ∇πᵀM_γη∇h;   Gaussian: this is the coefficient of N′,
     and N″: ½m_ν + ½∇hᵀM_ηη∇h + ½∇πᵀM_γν;   N‴: ½M_ην·∇h;   N⁗: M_νν/8.
   (∇²W = W(∇²π + ∇π∇πᵀ).) The term M_γν of N″ goes with M_νν, which N⁗ makes 0: M ⪰ 0.
2. *Criterion.* Under (E), (S), (P), (F): some G → G* has ‖T_G − T‖ = o(L) iff at an over-specified
   atom there are m0, m_γ, m_η[, m_ν] and M ⪰ 0 over (γ, η), **M ≠ 0**, with
     q ≡ 0,  r ≡ 0  [and m_ν + ∇hᵀM_ηη∇h ≡ 0; with ν known or common m_ν = 0],
   or at an exact atom a relation v0 + v·∇π ≡ 0 or v·∇h ≡ 0. Where {1, ∇π} and ∇h are independent,
   M ≠ 0 says no more than that not all moments are 0.
   *Only if.* Norms are in L¹. Gaussian: coefficients of N_j^{(r)} in a space of finite dimension,
   on which c ↦ ∫∫|Σc_jrN_j^{(r)}| is a norm; so each is o(L), that of N_j being E_j(q_j − Q), Q =
   ΣE_lq_l/ΣE_l. Least squares: times D_*,
     Σ_{j<l} W_jW_l[(q_j − q_l)(h_j − h_l) + r_j + r_l] + Σ_j W_j²r_j = o(L)
   (a), so by (P) each r_j and each q_j − q_l is, where h_j ≠ h_l. An exact l has q_l = m0 + Δγ·∇π_l
   + o(L). Divide by L and pass to a limit: Q̄ is a function of (S), so a constant once the gauge is
   fixed, and 0 with the shift of β0 fixed at l if 1 ∉ span ∇π_l. All q̄_j = 0, r̄_j = 0, M̄ ⪰ 0. If
   all M̄ = 0 then exact cells carry L, and there m̄0 + v·∇π = 0, v·∇h = 0: a relation. Common ν: an
   exact atom has N″: ½Δν + O(L²), so Δν = o(L). Estimated φ: Δφ = O(L), as L counts it, so that its
   products with Δ are O(L^{3/2}); q̄_j contains Δ̄φ·∂_φπ_j, and (F) gives Δ̄φ = 0.
   *If.* M = BBᵀ, r columns, π_i > 0 and y_i = BU_i/√π_i as in test_gaussian_blocks 4, i ≤ r + 1.
   Atoms (γ*, η*) + ty_i + t²(m_γ, m_η), ν* + t²m_ν, of weights w*π_i(1 + t²m0), the others as they
   are: T_G − T = o(t²) (b), while L ≥ w*t² tr M + o(t²).
   *Cell size.* As there: {1, ∇π} and ∇h independent: a cell of m atoms has rank M̄ ≤ m − 1.
   *Coordinates.* With γ = γ(c), J its Jacobian, deviations δ of c have M_γγ = JM_ccJᵀ, M_γη = JM_cη
   and m_γ = Jm_c + ½M_cc:∇²γ: the criterion is the same in all coordinates (c).
3. *The common factor.* If Q(x) = v(γ)·∂_γπ(x, γ) for all γ with one Q, the flow of v has π → π + tQ
   (a), and all atoms moved along it leave T_G: an exact gauge; pinning one atom's position along
   the flows fixes it. So (S) holds with all of span{1, ∇π} moved by gauges where π is linear in γ,
   or in coordinates of γ: (w·x)² has w_j² → w_j² + t. Without a gauge's being fixed nothing
   follows.
4. *Products.* Let the experts be of the grammar. On an open set without kinks they generate, with
   their derivatives and those of π, a field K of finite transcendence degree N over R that is
   closed under ∂_x: every function of the grammar has a derivative in such a field (a). *(P) holds
   if no* exp(π_i + π_j − π_m − π_n), {i, j} ≠ {m, n}, *is in K*: in a shortest relation Σc_ae^{g_a}
   = 0, c_1 = 1, the derivative of the ratios c_ae^{g_a−g_1} is shorter, hence 0 (b), so e^{g_a−g_1}
   ∈ K.
   *Count.* e^{κ_1g}, …, e^{κ_ng} are algebraically independent over R for κ independent over Q and
   g not constant: their monomials are e^{λg} with different λ. So {κ: e^{κg} algebraic over K} is a
   group of rank ≤ N: countable. Here g = Σn_ps(x, ω_p), n = e_i + e_j − e_m − e_n ≠ 0 (c), is not
   constant for almost every ω, as ∂_{ω_p}∂_x g = n_p∂_ω∂_x s. **So for almost every ω, all but
   countably many κ.** The same for π = v(γ)·ψ(x), {v: e^{v·ψ} algebraic over K} being a countable
   group: softmax, quadratic and both cosine gates, almost every γ. Laplace, d ≥ 2: e^{R_ω}, R_ω =
   ‖x − ω‖, are algebraically independent over all algebraic functions, as ΣnR_ω ramifies at each ω
   with n ≠ 0; so at most N disjoint tuples (ω) have e^{Σn_pR_{ω_p}} algebraic over the experts'
   field, and all others share a centre with these: a null set. *Kinked scores* have pieces on which
   g is constant: there (P) fails (d), and what the other pieces leave has to be looked at.
5. *Quadratic gate.* A_ij, i ≤ j, the coefficient of x_ix_j: ∂²W/∂b_i∂b_j = ∂W/∂A_ij, i ≠ j too
   (half of it if A_ij = A_ji both carry one parameter). So M_bb = 1, m_A = −½ is invisible: b is
   degenerate for **every** expert and likelihood. m atoms with b + tz_i, A − t²/2, z_i the zeros of
   He_m and their Gauss weights: Σw_ie^{tz_ix − t²x²/2} = 1 + O(t^{2m}), not O(t^{2m+1}) (b): order
   2m for b, m for A, at least. Gaussian likelihood: no more. The coefficient of N_j is, to all
   orders, ΣW_i over the cell; with an exact atom pinned Σw_ie^{s_ix + v_ix²} has order ord_t p_G −
   p* on an interval of x, which is the system of theory section 7, r(m) = 2m. Monomial gate: the
   part of degree 4 of q is ½E[(xᵀδ_Ax)²] ≥ 0, so M_AA = 0 (c); the gate is seen at second order.
6. *Temperature.* (ω, τ) can be moved with f unchanged, to first order, iff κ′s_j − Σ_ud_ju∂_us_j −
   d_j0 = Q(x) for all atoms j, κ′ ≠ 0. s(cω) = c^ps(ω): (ω, τ) → (cω, c^pτ) (a). exp(ωx + ω0): ω0 →
   ω0 + log c, τ → cτ. −‖x − ω‖²: ω → cω, τ → cτ, β0 → β0 + (c − 1)‖ω‖²/τ. None for two atoms of
   different |ω| and φ(ω·x), φ(ω·x + ω0), φ = tanh, sigmoid, silu, softplus (its derivative): a pole
   z_n of φ is not one of the other atom's; the double pole of (d·x + d0)φ′ vanishes at infinitely
   many of them only if d = d0 = 0, and then the simple one of φ is left (b). gelu, and exp without
   bias, ω_j different: the functions xΦ(ωx), x²Φ′(ωx) and 1; e^{ωx}, xe^{ωx} and 1 are independent
   (c).
7. *Cosine.* b = β1/‖β1‖. β1 → cβ1 (a). *A further family:* b_j → b_j + u for all j, 2u·b_j + |u|² =
   0, leaves f: a manifold of dimension d − k* at u = 0 for independent b_j, k* < d; for k* = d the
   mirror image in the plane through all b_j (b). Q is constant if the b_j span R^d: an
   over-specified q_j has the even part ½x̂ᵀPMPx̂, constant only if PMP = 0 (c), d ≥ 2; then Q = c +
   v·x̂ with v ⊥ b_j for every j. *Perturbed*, τ1 fixed: the score is c·x/(‖x‖ + τ2), c = β1/(‖β1‖ +
   τ1) any vector of the open unit ball: c_j → c_j + u is an exact gauge of d dimensions (d), and
   all that scores share. (β1, τ1) → c(β1, τ1) if τ1 is estimated.
8. *Laplace.* d = 1: W″ = W − 2δ_ω: off ω m0 = −½M hides the second moment, the kink shows it unless
   V = T there. Two atoms ω ± t of weights ½/cosh t: 0 for |x − ω| > t, and ‖·‖² = (2/3)t³ + O(t⁴)
   (a): n^-1/3. ω outside the domain: ω and β0 are confounded exactly. d ≥ 2: |∇_ωπ| = 1, ∇²W/W =
   nnᵀ − (I − nnᵀ)/r, n = (x − ω)/r; its second derivatives are in L¹, also near ω in the domain, so
   that 2 holds there (translations are continuous in L¹). (S) holds: R(x)(r_l) ∩ R(x)(r_j) = R(x)
   for different ω, and what is rational in q_j is constant (b). Interactions n_1(x_0 − ω_0)∂h =
   n_0(x_1 − ω_1)∂h, with ∂_{a_u}h = x_u∂_bh (c), are literal and harmless: M_ωω = 0 makes M_ωη = 0.
9. *Ridge experts* h = φ(a·x + b). ∂_aF = τ∂_ω∂_bF for F = e^{ω·x/τ}h; ∂_ωπ∂_bh = ∂_{ω0}π∂_ah for π
   = ρ(ω·x + ω0), every ρ and φ. Where M_ωω = 0 they say nothing: M_ωb = 0.

Proved: all, by these arguments; the formulas that they use are computed. Open: an upper bound for
orders of the quadratic gate under least squares; (P) for kinked scores and Laplace with d = 1.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import sympy as sp

from identkit.claims.checks import Claim, mutations
from identkit.functions import FUNCTIONS
from identkit.heads import HEADS

DERIVED = "identkit (derived here)"
CRITERION = Claim(
    "routed-second-order",
    "Softmax over π(x, γ) + β0, some true atom exact, scores separate once their gauge is fixed, "
    "least squares with independent products W_iW_j or Gaussian with distinct pairs: T_G − T_* is "
    "o(loss) for some G → G* iff an over-specified atom has M ⪰ 0 over (γ, η), not 0, and m0, m_γ, "
    "m_η, m_ν invisible on the blocks V − T and ∂V, or an exact atom a relation of first order",
    DERIVED,
)
FACTOR = Claim(
    "routed-common-factor",
    "What the scores of all atoms have in common at first order, v(γ)·∂π(x, γ) = Q(x) for all γ, "
    "is moved by an exact gauge π → π + tQ of all atoms alike; once it is fixed the common factor "
    "is 0",
    DERIVED,
)
PRODUCTS = Claim(
    "weight-products-independent",
    "Experts of the grammar, scores without kinks: the products W_iW_j, i ≤ j, are linearly "
    "independent over the experts' functions and those of the scores for almost every choice of "
    "the gates (dense-to-sparse: almost every ω, all but countably many τ; Laplace: d ≥ 2)",
    DERIVED,
)
HEAT = Claim(
    "quadratic-gate-heat",
    "∂²W/∂b_i∂b_j = ∂W/∂A_ij for W = exp(xᵀAx + bᵀx): b is degenerate for every expert, of order "
    "2m at least in cells of m atoms, A of order m, no more under the Gaussian likelihood; without "
    "bᵀx all of A is seen at second order",
    "identkit (derived here), for the gates of arXiv 2410.11222",
)
TEMPERATURE = Claim(
    "temperature-scale",
    "(ω, τ) → (cω, c^p τ) is a gauge for routers homogeneous of degree p in ω; exp with a bias and "
    "the Euclidean router have one too; tanh, gelu, silu, sigmoid and softplus of ω·x + ω0, and "
    "exp of ω·x, have none with two atoms of different |ω|",
    "identkit (derived here), for the gates of arXiv 2401.13875",
)
COSINE = Claim(
    "cosine-scale",
    "Cosine gate: besides β1 → cβ1, b_j → b_j + u with 2u·b_j + |u|² = 0 for all atoms leaves f, a "
    "continuous family for k* < d; none at first order if the directions span R^d. Perturbed: a "
    "common shift of all β1/(‖β1‖ + τ1)",
    "identkit (derived here), for the gates of arXiv 2405.14131",
)
LAPLACE = Claim(
    "laplace-gate",
    "Laplace gate, d = 1: off ω its second moment is that of β0, the kink shows it at t^(3/2); "
    "outside the domain ω and β0 are confounded. d ≥ 2: scores of different ω have only constants "
    "in common up to second order",
    "identkit (derived here), for the gate of arXiv 2410.02935",
)
RIDGE = Claim(
    "ridge-router-interactions",
    "∂_aF = τ∂_ω∂_bF for every ridge expert under a linear router, ∂_ωπ∂_bh = ∂_ω0π∂_ah under "
    "every ridge router with a bias: harmless at second order where M_ωω = 0",
    DERIVED,
)

HALF, TWO_THIRDS = sp.Rational(1, 2), sp.Rational(2, 3)
t = sp.symbols("t", positive=True)
x, y, c, D = sp.symbols("x y c D", real=True)
e, E2, g, H, n = sp.symbols("e E2 g H n", real=True)
"""Of one fitted atom: Δγ·∇π, Δγᵀ∇²πΔγ, Δη·∇h, Δηᵀ∇²hΔη, Δν: numbers, in any dimension."""


def expanded(exponent, order=2):
    """Coefficients of t^0 … t^order of exp(exponent), a polynomial in t without constant term."""
    power, whole = sp.Integer(1), sp.Integer(1)
    for k in range(1, order + 1):
        power = sp.expand(power * exponent) / k
        whole += power
    whole = sp.expand(whole)
    return [whole.coeff(t, k) for k in range(order + 1)]


# --- 1 and 2 --------------------------------------------------------------------------------------

GATE = e + (E2 + e**2) / 2
STATED = {
    0: GATE,
    1: g + H / 2 + e * g,
    2: n / 2 + g**2 / 2 + e * n / 2,
    3: g * n / 2,
    4: n**2 / 8,
}


@mutations(
    {
        "without ∂π∂π on V − T": {"stated": STATED | {0: e + E2 / 2}},
        "without ∂²π on V − T": {"stated": STATED | {0: e + e**2 / 2}},
        "without M_γν on N″": {"stated": STATED | {2: n / 2 + g**2 / 2}},
        "without M_γη on N′": {"stated": STATED | {1: g + H / 2}},
        "second derivatives of π meet those of h": {"stated": STATED | {1: g + H / 2 + E2 * g}},
    }
)
def test_blocks_of_a_cell(stated=STATED):
    """e^{te + t²E2/2} N(y | h + tg + t²H/2, ν + tn): N(μ + m, ν + v) = e^{mD + vD²/2}N, D = ∂_μ.

    The heat equation of test_gaussian_blocks. Powers of D are the blocks; least squares is D⁰ on
    V − T and D¹ on 1, as h itself has no D². Sums over a cell make moments of these numbers.
    """
    _, first, second = expanded(
        t * e + t**2 * E2 / 2 + (t * g + t**2 * H / 2) * D + t * n * D**2 / 2
    )
    found = sp.Poly(first + second, D)
    assert found.degree() == max(stated)
    for order, value in stated.items():
        assert sp.expand(found.coeff_monomial(D**order) - value) == 0
    h, f = sp.symbols("h f")
    moved = (h + t * g + t**2 * H / 2 - f) * sum(
        t**k * v for k, v in enumerate(expanded(t * e + t**2 * E2 / 2))
    )
    plain = sp.expand(moved).coeff(t, 1) + sp.expand(moved).coeff(t, 2)
    assert sp.expand(plain - (h - f) * stated[0] - stated[1]) == 0
    return CRITERION.finding("proved", "blocks of one cell, any score and expert; free symbols")


@mutations({"a zero on the diagonal says nothing": {"diagonal": 1}})
def test_a_seen_variance_clears_its_row(diagonal=0):
    """M_νν = 0 and M ⪰ 0: the minor with γ is −M_γν² ≥ 0, so N″ is ½m_ν + ½∇hᵀM_ηη∇h."""
    cross, other = sp.symbols("c o", real=True)
    minor = sp.Matrix([[diagonal, cross], [cross, other]]).det()
    assert sp.solve(minor, cross) == [0]
    return CRITERION.finding("proved", "M_νν = 0 makes M_γν = M_ην = 0")


@mutations(
    {
        "the parts of pairs are sums of q": {"pair": lambda q, p: q + p},
        "squares have the part of the gate as well": {"square": 1},
        "no expert's part in pairs": {"mixed": 0},
    }
)
def test_least_squares_in_pairs(pair=lambda q, p: q - p, square=0, mixed=1):
    """(a) D_*Σ_jW_j[q_j(h_j − f*) + r_j], D_* = ΣW: three cells; more repeat these pairs."""
    count = range(3)
    weight, q, h, r = (sp.symbols(f"{name}0:3") for name in "Wqhr")
    total = sum(weight)
    f = sum(weight[j] * h[j] for j in count) / total
    left = total * sum(weight[j] * (q[j] * (h[j] - f) + r[j]) for j in count)
    right = sum(weight[j] ** 2 * (r[j] + square * q[j]) for j in count)
    for j in count:
        for k in range(j):
            part = pair(q[j], q[k]) * (h[j] - h[k]) + mixed * (r[j] + r[k])
            right += weight[j] * weight[k] * part
    assert sp.simplify(left - right) == 0
    return CRITERION.finding("proved", "what multiplies each W_iW_j")


@mutations(
    {
        "without the drift of the gate": {"gate": 0},
        "without the change of weight": {"weight": 0},
        "without the drift of the variance": {"variance": 0},
        "the deviations need not be centred": {"centred": False},
    }
)
def test_the_arc_is_invisible(gate=1, weight=1, variance=1, centred=True):
    """(b) One atom of the arc to t²; then means over π_i of y_i: 0, and M for products.

    d, l: m_γ·∇π, m_η·∇h. q = 0, r = 0 and m_ν + ∇hᵀM∇h = 0 are solved for d, l and n.
    """
    m0, d, low = sp.symbols("m0 d l", real=True)
    exponent = t * e + t**2 * (E2 / 2 + gate * d) + (t * g + t**2 * (H / 2 + low)) * D
    _, first, second = expanded(exponent + variance * t**2 * n * D**2 / 2)
    # means: symbols for M_γγ:∇²π, M_γγ:∇π∇π, M_ηη:∇²h, ∇πM∇h, ∇hM∇h
    means = ee, eg, gg = sp.symbols("ee eg gg", real=True)
    if centred:
        assert first.subs({e: 0, g: 0}) == 0
        moment = {e**2: ee, e * g: eg, g**2: gg}
        second = sp.expand(second).subs(moment).subs({e: 0, g: 0})
    second += weight * m0
    relations = {d: -m0 - (E2 + means[0]) / 2, low: -H / 2 - eg, n: -gg}
    assert sp.expand(second.subs(relations)) == 0
    return CRITERION.finding("proved", "the arc: T_G − T = o(t²), any cell, both likelihoods")


@mutations(
    {
        "without the curvature of the coordinates": {"curvature": 0},
        "the second moment is as it was": {"squared": lambda slope: sp.Integer(1)},
    }
)
def test_the_criterion_is_one_of_all_coordinates(curvature=HALF, squared=lambda slope: slope**2):
    """(c) m W_c + ½M W_cc for W(γ(c)) is m_γW_γ + ½M_γγW_γγ; one coordinate, as M is bilinear."""
    at, first, second = sp.symbols("c m M", real=True)
    outer, inner = sp.Function("W"), sp.Function("gamma")(at)
    whole = outer(inner)
    left = first * sp.diff(whole, at) + second * sp.diff(whole, at, 2) / 2
    slope, bend = sp.diff(inner, at), sp.diff(inner, at, 2)
    z = sp.Symbol("z")
    up, upper = (sp.diff(outer(z), z, k).subs(z, inner) for k in (1, 2))
    moved = (first * slope + curvature * second * bend) * up + second * squared(slope) * upper / 2
    assert sp.simplify((left - moved).doit()) == 0
    return CRITERION.finding("proved", "any coordinates of γ and η")


# --- 3 --------------------------------------------------------------------------------------------

w, v, u = sp.symbols("w v u", positive=True)
FLOWS = {
    "a square": ((w * x) ** 2, {w: sp.sqrt(w**2 + t)}, x**2),
    "a linear part": (sp.tanh(w * x) + v * x, {v: v + t}, x),
    "a power": (w**3 * sp.sin(x), {w: sp.cbrt(w**3 + t)}, sp.sin(x)),
    "a bias": (sp.tanh(w * x) + v, {v: v + t}, sp.Integer(1)),
}


@mutations(
    {
        "w → w + t for the square": {"flows": {"": (FLOWS["a square"][0], {w: w + t}, x**2)}},
        "tanh(w·x) has one": {"flows": {"": (sp.tanh(w * x), {w: w + t}, x)}},
    }
)
def test_common_functions_are_gauges(flows=FLOWS):
    """(a) d/dt π(x, γ(t)) = v(γ(t))·∂π = Q along the flow: π + tQ. Four routers as examples.

    The factor e^{tQ} of all W_i leaves ΣW_iV_i/ΣW_i, whatever the experts.
    """
    for score, moved, common in flows.values():
        change = score.subs(moved, simultaneous=True) - score
        assert sp.simplify(change - t * common) == 0
    weight, value = sp.symbols("W0:2"), sp.symbols("V0:2")
    factor = sp.exp(t * x)
    mixed = sum(a * b for a, b in zip(weight, value, strict=True)) / sum(weight)
    moved = mixed.subs({a: factor * a for a in weight}, simultaneous=True)
    assert sp.simplify(moved - mixed) == 0
    return FACTOR.finding("proved", "flow of v with v·∂π = Q; every expert")


# --- 4 --------------------------------------------------------------------------------------------


def closure(function, limit=8):
    """The transcendental functions of z among derivatives of one, as they are closed under ∂_z."""
    z = sp.Symbol("z", real=True)
    heads = (sp.exp, sp.log, sp.erf, sp.sin, sp.cos, sp.tan, sp.tanh, sp.sinh, sp.cosh)
    heads += (sp.atan, sp.asinh)
    found, waiting = set(), {function(z)}
    for _ in range(limit):
        if not waiting:
            return found
        found |= waiting
        new = set()
        for one in waiting:
            new |= {a for a in sp.diff(one, z).atoms(sp.Function) if isinstance(a, heads)}
        waiting = new - found
    raise AssertionError(f"derivatives of {function} do not close")


@mutations({"the gamma function is one of them": {"more": (sp.loggamma,)}})
def test_functions_of_the_grammar_close(more=()):
    """(a) Finitely many functions of z have derivatives that are algebraic in z and themselves.

    With z an expression, by the chain rule: finitely many for every expression. The other rows of
    the grammar are made of these, off their kinks.
    """
    for head in (*(h.head for h in HEADS), *more):
        found = closure(head)
        z = sp.Symbol("z", real=True)
        for one in found:
            names = {f: sp.Dummy() for f in sp.diff(one, z).atoms(sp.Function)}
            left = sp.diff(one, z).subs(names)
            assert not left.atoms(sp.Function)
            assert set(names) <= found
    assert {h.name for h in HEADS} <= set(FUNCTIONS)
    return PRODUCTS.finding("proved", "every function of the grammar; fields of finite degree")


@mutations(
    {
        "the coefficient's own derivative is enough": {"own": 0},
        "the exponent of the other atom does not count": {"other": 0},
    }
)
def test_a_shortest_relation_has_ratios_in_the_field(own=1, other=1):
    """(b) ∂_x(c e^{g−g1}) = e^{g−g1}(c′ + c(g′ − g1′)): the differentiated relation has no term 1.

    It has coefficients in K and is shorter, hence 0: c e^{g−g1} is a constant, e^{g−g1} ∈ K.
    """
    coefficient, g0, g1 = (sp.Function(name)(x) for name in ("c", "g", "g1"))
    ratio = coefficient * sp.exp(g0 - g1)
    slope = sp.diff(coefficient, x) + coefficient * (own * sp.diff(g0, x) - other * sp.diff(g1, x))
    assert sp.simplify(sp.diff(ratio, x) / sp.exp(g0 - g1) - slope) == 0
    return PRODUCTS.finding("proved", "independent over K iff no ratio is in K")


@mutations({"ordered pairs differ as well": {"unordered": False}})
def test_different_products_have_different_scores(unordered=True):
    """(c) e_i + e_j − e_m − e_n ≠ 0 for {i, j} ≠ {m, n}: it involves four atoms at most."""
    atoms = range(4)
    pairs = (
        list(combinations_with_replacement(atoms, 2))
        if unordered
        else [(i, j) for i in atoms for j in atoms]
    )
    vectors = [tuple(p.count(i) for i in atoms) for p in pairs]
    assert len(set(vectors)) == len(pairs)
    s = sp.Function("s")
    omega = sp.symbols("omega0:4")
    weights = sp.symbols("n0:4")
    whole = sum(k * s(x, o) for k, o in zip(weights, omega, strict=True))
    for k, o in zip(weights, omega, strict=True):
        assert sp.simplify(sp.diff(whole, o, x) - k * sp.diff(s(x, o), o, x)) == 0
    return PRODUCTS.finding("proved", "n ≠ 0 and ∂_ω∂_x g = n ∂_ω∂_x s; k atoms")


@mutations(
    {
        "Laplace weights on one side differ": {"side": lambda x, o, first: sp.Abs(x - o)},
        "a linear router has such pieces": {"router": lambda z: z},
    }
)
def test_kinked_scores_have_pieces_without(
    side=lambda x, o, first: x - o, router=lambda z: sp.Max(z, 0)
):
    """(d) Laplace, d = 1: W_1W_3 and W_2W_3 are proportional where x is on one side of ω_1, ω_2.

    relu(ωx), ω > 0: every W is 1 for x < 0.
    """
    first, second = sp.symbols("o1 o2", real=True)
    ratio = sp.exp(-side(x, first, True) + side(x, second, False))
    assert sp.simplify(sp.diff(ratio, x)) == 0
    slope = sp.symbols("slope", positive=True)
    below = -sp.symbols("below", positive=True)
    assert router(slope * below) == 0
    return PRODUCTS.finding("proved", "counterexamples for Laplace with d = 1 and relu routers")


# --- 5 --------------------------------------------------------------------------------------------

X = sp.symbols("x0:3", real=True)
B = sp.symbols("b0:3", real=True)
PLACES = list(combinations_with_replacement(range(3), 2))
A = {p: sp.Symbol(f"A{p[0]}{p[1]}", real=True) for p in PLACES}


@mutations(
    {
        "half of it off the diagonal": {"share": lambda i, j: 1 if i == j else HALF},
        "∂_A is half of ∂²_b, as for normal laws": {"share": lambda i, j: HALF},
    }
)
def test_heat_equation_of_the_quadratic_gate(share=lambda i, j: 1):
    """A_ij the coefficient of x_ix_j, i ≤ j; d = 3 shows each kind of place of any d."""
    score = sum(A[i, j] * X[i] * X[j] for i, j in PLACES) + sum(
        b * z for b, z in zip(B, X, strict=True)
    )
    weight = sp.exp(score)
    for i, j in PLACES:
        left = sp.diff(weight, B[i], B[j])
        assert sp.simplify(left - share(i, j) * sp.diff(weight, A[i, j])) == 0
    full = sp.Matrix(3, 3, lambda i, j: A[min(i, j), max(i, j)])  # A_ij = A_ji: half of it, i ≠ j
    both = (sp.Matrix([X]) * full * sp.Matrix(X))[0]
    for i, j in PLACES:
        twice = 1 if i == j else 2
        assert sp.expand(sp.diff(both, A[i, j]) - twice * X[i] * X[j]) == 0
    return HEAT.finding("proved", "every d; both readings of A")


def normal_moment(power):
    """E y^power, y ~ N(0, 1)."""
    return 0 if power % 2 else sp.factorial2(power - 1)


@mutations(
    {
        "A stays": {"drift": 0},
        "A drifts by t²": {"drift": 1},
        "one order more": {"order": lambda m: 2 * m + 2},
    }
)
def test_cells_of_the_quadratic_gate(drift=HALF, order=lambda m: 2 * m):
    """(b) Σ_iw_i p(z_i) = E p(y) for degrees < 2m: p = qHe_m + ρ, E qHe_m = 0. Not for He_m².

    So Σw_ie^{tz_ix} = e^{t²x²/2} + O(t^{2m}), with −m!(tx)^{2m}/(2m)! in that order.
    """
    z = sp.Symbol("z")
    for m in range(2, 6):
        hermite = sp.Poly(sp.hermite_prob(m, z), z)
        power_sums = []
        for k in range(2 * m + 1):
            rest = sp.Poly(z**k, z).rem(hermite)
            terms = rest.terms()
            power_sums.append(sum(value * normal_moment(degree) for (degree,), value in terms))
        s = sp.Symbol("s")  # t·x
        mean = sum(value * s**k / sp.factorial(k) for k, value in enumerate(power_sums))
        factor = sum((-drift * s**2) ** k / sp.factorial(k) for k in range(m + 1))
        product = sp.Poly(sp.expand(mean * factor), s)
        found = [product.coeff_monomial(s**k) for k in range(1, 2 * m + 1)]
        assert all(value == 0 for value in found[: order(m) - 1])
        assert found[2 * m - 1] == -sp.factorial(m) / sp.factorial(2 * m)
        assert power_sums[2 * m] == normal_moment(2 * m) - sp.factorial(m)
    return HEAT.finding("proved", "cells of m atoms, order 2m in b; m ≤ 5 computed")


@mutations(
    {
        "bᵀx is seen so as well": {"deviation": lambda d: dot(d[:3], X)},
        "first moments have that degree": {"first": 4},
    }
)
def test_the_monomial_gate_is_seen(
    deviation=lambda d: sum(a * X[i] * X[j] for a, (i, j) in zip(d, PLACES, strict=True)), first=2
):
    """(c) q's part of degree 4 is ½Σw_i(xᵀδ_ix)² ≥ 0: 0 only if each xᵀδ_ix is, so δ_i = 0.

    First moments have degree 2 and cannot cancel it. (x·δ_b)² has degree 2, and m_A cancels it.
    """
    deltas = sp.symbols("delta0:6", real=True)
    form = sp.Poly(deviation(deltas), *X)
    assert form.total_degree() == first
    assert sp.solve(form.coeffs(), deltas, dict=True) == [dict.fromkeys(deltas, 0)]
    assert (form**2).total_degree() == 4
    return HEAT.finding("proved", "monomial gate: M_AA = 0, any d by pairs of inputs")


# --- 6 --------------------------------------------------------------------------------------------

KAPPA, SCALE = sp.symbols("kappa C", positive=True)
INNER = sp.Symbol("z", positive=True)
HOMOGENEOUS = {
    "linear": (lambda z: z, 1),
    "relu": (lambda z: sp.Max(z, 0), 1),
    "square": (lambda z: z**2, 2),
    "abs": (sp.Abs, 1),
}


@mutations(
    {
        "tanh is homogeneous": {"routers": {"": (sp.tanh, 1)}},
        "the square has p = 1": {"routers": {"": (lambda z: z**2, 1)}},
        "exp without a bias has one": {"bias": lambda c: 0 * c},
        "the Euclidean one leaves β0": {"offset": 0},
    }
)
def test_scales_of_the_temperature(routers=HOMOGENEOUS, bias=sp.log, offset=1):
    """(a) s(cω·x)/(c^pτ) = s(ω·x)/τ, for z = ω·x any number; with a bias z = ω·x + ω0 as well."""
    for router, degree in routers.values():
        for z in (INNER, -INNER):
            assert sp.simplify(router(SCALE * z) / SCALE**degree - router(z)) == 0
    assert sp.simplify(sp.exp(INNER + bias(SCALE)) / SCALE - sp.exp(INNER)) == 0
    o = sp.symbols("omega0:3", real=True)
    euclid = lambda c: -sum((a - c * b) ** 2 for a, b in zip(X, o, strict=True))  # noqa: E731
    change = euclid(SCALE) * KAPPA / SCALE - euclid(1) * KAPPA
    change += offset * (SCALE - 1) * KAPPA * sum(b**2 for b in o)
    assert all(sp.simplify(sp.diff(change, b)) == 0 for b in o)  # one function of x for all atoms
    return TEMPERATURE.finding("proved", "homogeneous routers, exp with a bias, Euclidean")


POLE = sp.Symbol("z_n")
MEROMORPHIC = {
    "tanh": lambda q: sp.coth(q),
    "sigmoid": lambda q: 1 / (1 - sp.exp(-q)),
    "silu": lambda q: (POLE + q) / (1 - sp.exp(-q)),
    "softplus": None,
}


@mutations(
    {
        "the double pole vanishes by itself": {"double": 0},
        "without poles the same holds": {"routers": {"sine": sp.sin}},
    }
)
def test_poles_of_ridge_routers(double=1, routers=MEROMORPHIC):
    """(b) Near a pole z = z_n + q: φ has a simple pole, φ′ a double one, neither coefficient 0.

    softplus: of the derivative, ωσ − dσ − (dx + d0)ωσ′. z_n = iπ(2n + 1), for tanh iπ(n + ½): none
    is 0; those of an atom with another |ω| lie elsewhere, the nearest to the real line at least.
    """
    q = sp.Symbol("q")
    for name, near in routers.items():
        value = MEROMORPHIC["sigmoid"](q) if name == "softplus" else near(q)
        simple = sp.limit(q * value, q, 0)
        assert simple in (1, POLE)
        second = sp.limit(q**2 * sp.diff(value, q), q, 0)
        assert sp.simplify(second + double * simple) == 0
    d, d0 = sp.symbols("d d0")
    pole = sp.symbols("x0:2")  # two of the poles, x_0 ≠ x_1
    found = sp.solve([d * p + d0 for p in pole], (d, d0), dict=True)
    assert found == [{d: 0, d0: 0}]
    return TEMPERATURE.finding("proved", "tanh, sigmoid, silu, softplus, with a bias or without")


@mutations(
    {
        "the slopes may be equal": {"ratio": 1},
        "exp with a bias": {"bias": 1},
        "without the factor z": {"factor": 0, "ratio": 1},
    }
)
def test_gelu_and_exp_have_none(ratio=2, bias=0, factor=1):
    """(c) Slopes a and ``ratio``·a: coefficients of e^{ax}, e^{2ax}, or of Φ, Φ′ at ax and 2ax.

    κ′s − (dx + d′)s′ of one atom minus that of the other, minus a number: all coefficients are 0
    only if κ′ = 0. The functions are independent over polynomials: e^{2ax}/e^{ax} grows; 1 − Φ(ax)
    has at +∞ the divergent series of Mills' ratio times Φ′(ax), and Φ(2ax) decays at another speed.
    d′ is for a router with a bias, gelu's here; exp has a gauge with one (``bias``).
    """
    slope = sp.symbols("a", positive=True)
    offset = sp.symbols("omega0", real=True)
    k, d1, d2, f1, f2, level = unknown = sp.symbols("k d1 d2 f1 f2 level", real=True)
    names = one, other, small, smaller = sp.symbols("E1 E2 P1 P2")
    if ratio == 1:
        other, smaller = one, small

    def exponential(of, step, _, rate):
        return (k - step) * of

    def gelu(of, step, density, rate):  # z·of, of′ = density
        z = rate * x + offset
        return (factor * k * z + (1 - factor) * k) * of - step * (
            (factor * of) + (factor * z + 1 - factor) * density
        )

    for router, biased in ((exponential, bias), (gelu, 1)):
        step1, step2 = d1 * x + biased * f1, d2 * x + biased * f2
        whole = router(one, step1, small, slope) - router(other, step2, smaller, ratio * slope)
        equations = sp.Poly(sp.expand(whole - level), x, *names).coeffs()
        solved = sp.solve(equations, unknown, dict=True)
        assert solved
        assert all(found.get(k, k) == 0 for found in solved)
    return TEMPERATURE.finding(
        "proved", "gelu, with a bias or without, and exp without, different slopes"
    )


# --- 7 --------------------------------------------------------------------------------------------

UNIT = sp.symbols("U0:3", real=True)


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


@mutations(
    {
        "any u": {"constraint": lambda u, b: sp.Integer(0)},
        "u orthogonal to b": {"constraint": lambda u, b: 2 * dot(u, b)},
    }
)
def test_a_further_family_of_the_cosine_gate(constraint=lambda u, b: 2 * dot(u, b) + dot(u, u)):
    """(b) |b + u| = 1 iff 2u·b + |u|² = 0; scores then change by u·x̂, the same for all atoms.

    At u = 0 its derivative is 2b: of rank k* for independent b_j. The mirror u = −2(ν·b)ν, |ν| = 1,
    ν·b_j the same for all j, is one more. (a) is homogeneity, of degree 0.
    """
    b = sp.symbols("b0:3", real=True)
    length = dot(
        [p + q for p, q in zip(b, UNIT, strict=True)], [p + q for p, q in zip(b, UNIT, strict=True)]
    )
    assert sp.expand(length - dot(b, b) - constraint(UNIT, b)) == 0
    gradient = [sp.diff(constraint(UNIT, b), q).subs(dict.fromkeys(UNIT, 0)) for q in UNIT]
    assert gradient == [2 * p for p in b]
    normal = sp.symbols("v0:3", real=True)
    level = dot(normal, b)
    mirrored = [-2 * level * p for p in normal]
    rest = sp.Poly(sp.expand(constraint(mirrored, b)), *normal, *b)
    assert rest.rem(sp.Poly(dot(normal, normal) - 1, *normal, *b)) == 0
    cosine = dot(b, X) / sp.sqrt(dot(b, b) * dot(X, X))
    scaled = cosine.subs({p: SCALE * p for p in b}, simultaneous=True)
    assert sp.simplify(scaled - cosine) == 0
    return COSINE.finding("proved", "any d and k*; scale of each atom; mirror image for k* = d")


@mutations({"in one dimension as well": {"dimension": 1}})
def test_the_even_part_pins_the_second_moment(dimension=3):
    """(c) At b = (1, 0, 0), ‖β1‖ = 1: ∇π∇πᵀ:M = x̂ᵀPMPx̂; λ|x̂|² is none of them unless λ = 0.

    ∇²π is linear in x̂ too, and 0 along b (scale). First derivatives are v·x̂ with v ⊥ b.
    """
    names = X[:dimension]
    b = sp.symbols("b0:3", real=True)[:dimension]
    radius = sp.symbols("r", positive=True)
    cosine = dot(b, names) / sp.sqrt(dot(b, b))  # on |x| = 1
    at = {p: int(i == 0) for i, p in enumerate(b)}
    slope = [sp.simplify(sp.diff(cosine, p).subs(at)) for p in b]
    assert slope == [0, *names[1:]]
    second = sp.Matrix(dimension, dimension, lambda i, j: sp.Symbol(f"M{min(i, j)}{max(i, j)}"))
    even = (sp.Matrix([slope]) * second * sp.Matrix(slope))[0]
    constant = sp.Symbol("level")
    equations = sp.Poly(even - constant * dot(names, names), *names).coeffs()
    found = sp.solve(equations, [*{*second} - {*second[0, :]}, constant], dict=True)
    assert found
    assert all(value == 0 for value in found[0].values())
    assert found[0][constant] == 0
    hessian = sp.hessian(cosine, b).subs(at)
    assert sp.simplify(hessian[0, 0]) == 0
    linear = [
        sp.simplify(
            hessian[i, j].subs({p: radius * p for p in names}, simultaneous=True)
            - radius * hessian[i, j]
        )
        for i in range(dimension)
        for j in range(dimension)
    ]
    assert all(value == 0 for value in linear)
    assert len([s for s in slope if s != 0]) == dimension - 1 >= 1
    return COSINE.finding("proved", "Q is constant where the directions span; d ≥ 2")


@mutations(
    {
        "it is β1 that is shifted": {"inverse": lambda c, length: c},
        "the length comes back by another factor": {"inverse": lambda c, length: c / (1 + length)},
    }
)
def test_the_perturbed_gate_is_linear(inverse=lambda c, length: c / (1 - length)):
    """(d) c = β1/(‖β1‖ + 1) has ‖c‖ = ‖β1‖/(‖β1‖ + 1) < 1, and β1 = c/(1 − ‖c‖): a bijection.

    The score is c·x/(‖x‖ + τ2), linear in c. With τ1 for 1 in units of it.
    """
    length, entry = sp.symbols("length entry", positive=True)
    within = length / (1 + length)
    assert sp.simplify(inverse(entry / (1 + length), within) - entry) == 0
    assert sp.limit(within, length, sp.oo) == 1
    tau = sp.symbols("tau", positive=True)
    scaled = (SCALE * entry) / (SCALE * length + SCALE * tau)
    assert sp.simplify(scaled - entry / (length + tau)) == 0
    return COSINE.finding("proved", "perturbed: shift of β1/(‖β1‖ + τ1); (β1, τ1) → c(β1, τ1)")


# --- 8 --------------------------------------------------------------------------------------------


@mutations(
    {
        "of order t²": {"power": 4},
        "the constant is 1": {"constant": 1},
        "m0 = 0": {"weight": lambda t: sp.Integer(1)},
    }
)
def test_the_kink_of_the_laplace_gate(power=3, constant=TWO_THIRDS, weight=sp.cosh):
    """(a) ½(W(x − t) + W(x + t))/cosh t − W(x), W = e^{−|x|}: for x > t, and the square within.

    Off the kink W″ = W, so that m0 = −½M there. Outside the domain: e^{−(ω − x) + β0}.
    """
    beyond = (sp.exp(t) + sp.exp(-t)) / 2 / weight(t) - 1  # times e^{−x}
    assert sp.simplify(beyond.rewrite(sp.exp)) == 0
    z = sp.symbols("z", positive=True)
    inside = sp.exp(-t) * sp.cosh(z) / weight(t) - sp.exp(-z)
    square = 2 * sp.integrate(sp.expand((inside**2).rewrite(sp.exp)), (z, 0, t))
    assert sp.limit(sp.simplify(square) / t**power, t, 0) == constant
    omega, beta = sp.symbols("omega beta", real=True)
    score = -(omega - x) + beta
    assert sp.diff(score, omega) + sp.diff(score, beta) == 0
    return LAPLACE.finding("proved", "d = 1: t^(3/2) at the kink; confounded outside the domain")


@mutations(
    {
        "in one dimension as well": {"dimension": 1},
        "the gradient has another length": {"length": 2},
    }
)
def test_laplace_scores_are_separate(dimension=3, length=1):
    """(b) q with n = p/r, p = x − ω: its rational part is constant only if b = 0 and M = 0.

    Odd in r: b·p − (tr M − pᵀMp/r²)/2 = 0 for all p. By degree b = 0, then pᵀMp = r² tr M: M = λI
    and λ = dλ. d = 3 shows any d ≥ 2.
    """
    p = sp.symbols("p0:3", real=True)[:dimension]
    o = sp.symbols("omega0:3", real=True)[:dimension]
    z = X[:dimension]
    radius = sp.sqrt(sum((a - b) ** 2 for a, b in zip(z, o, strict=True)))
    weight = sp.exp(-radius)
    assert sp.simplify(sum(sp.diff(radius, b) ** 2 for b in o) - length) == 0
    r = sp.Symbol("r", positive=True)
    for i in range(dimension):
        for j in range(dimension):
            unit = (z[i] - o[i]) * (z[j] - o[j]) / radius**2
            stated = unit - (int(i == j) - unit) / radius
            assert sp.simplify(sp.diff(weight, o[i], o[j]) / weight - stated) == 0
    second = sp.Matrix(dimension, dimension, lambda i, j: sp.Symbol(f"M{min(i, j)}{max(i, j)}"))
    b = sp.symbols("b0:3")[:dimension]
    form = (sp.Matrix([p]) * second * sp.Matrix(p))[0]
    odd = dot(p, p) * dot(b, p) - (second.trace() * dot(p, p) - form) / 2
    unknown = [*dict.fromkeys([*second, *b])]
    found = sp.solve(sp.Poly(sp.expand(odd), *p).coeffs(), unknown, dict=True)
    assert found == [dict.fromkeys(unknown, 0)]
    assert r.is_positive
    return LAPLACE.finding("proved", "d ≥ 2: only constants in common, any two centres")


@mutations({"for every pair of derivatives": {"other": lambda a, b: a}})
def test_interactions_of_the_laplace_gate(other=lambda a, b: b):
    """(c) n_0(x_1 − ω_1) = n_1(x_0 − ω_0) and x_u∂_bh = ∂_{a_u}h: products of first derivatives."""
    o = sp.symbols("omega0:2", real=True)
    a = sp.symbols("a0:3", real=True)
    radius = sp.sqrt(sum((p - q) ** 2 for p, q in zip(X[:2], o, strict=True)))
    h = sp.Function("phi")(a[0] * X[0] + a[1] * X[1] + a[2])
    slope = [sp.diff(-radius, q) for q in o]
    up = slope[0] * (sp.diff(h, a[1]) - o[1] * sp.diff(h, a[2]))
    down = slope[1] * (sp.diff(h, other(a[1], a[0])) - o[0] * sp.diff(h, a[2]))
    assert sp.simplify((up - down).doit()) == 0
    return LAPLACE.finding("proved", "ridge experts interact literally, d ≥ 2")


# --- 9 --------------------------------------------------------------------------------------------


@mutations(
    {
        "without τ": {"factor": sp.Integer(1)},
        "a router without bias": {"bias": 0},
    }
)
def test_interactions_of_ridge_experts(factor=None, bias=1):
    """Any φ, ρ; one input: each input has its own ω and a."""
    omega, a, b, omega0 = sp.symbols("omega a b omega0", real=True)
    tau = sp.symbols("tau", positive=True)
    h = sp.Function("phi")(a * x + b)
    atom = sp.exp(omega * x / tau) * h
    scale = tau if factor is None else factor
    assert sp.simplify((sp.diff(atom, a) - scale * sp.diff(atom, omega, b)).doit()) == 0
    score = sp.Function("rho")(omega * x + bias * omega0)
    change = sp.diff(score, omega) * sp.diff(h, b) - sp.diff(score, omega0) * sp.diff(h, a)
    assert sp.simplify(change.doit()) == 0
    return RIDGE.finding("proved", "every ridge expert and router")
