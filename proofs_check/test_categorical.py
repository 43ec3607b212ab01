"""The categorical likelihood: experts give logits, and their probabilities are what is mixed.

Setting. y is one of S classes. An expert h = (h_1, …, h_{S−1}) gives logits, h_S = 0, and
p_c = exp(h_c)/Σ_l exp(h_l), sums over l = 1, …, S; for S = 2 it is p = σ(h). A mixing measure G
gives P_G(c|x) = Σ_i w_i(x) p_c(x, η_i), with weights w_i ≥ 0. Write p = (p_1, …, p_{S−1}) and
F_G = (P_G(1|x), …, P_G(S−1|x)) = Σ_i w_i(x) p(x, η_i). X compact, x with a positive density on its
interior, h of class C² in η (kinks as under least squares), η in a compact set, so |h_c| ≤ B.

Statements, for every S ≥ 2.

1. *Reduction.* Let the weights sum to 1. Then P_G(S|x) = 1 − Σ_{c<S} P_G(c|x), and P_G = P_G* iff
   F_G = F_G*. Every probability is at least c0 = e^{−2B}/S > 0, and H² = E Σ_c (√P_G − √P_G*)²,
   D² = E ‖F_G − F_G*‖² have
     D²/2 ≤ H² ≤ S·D²/(4 c0).
   At each x let d_c = P_G − P_G*. d_c² = (√P_G − √P_G*)²(√P_G + √P_G*)², the second factor at least
   4c0; and d_S = −Σ_{c<S} d_c, so that Σ_{c≤S} d_c² ≤ S·D² by Cauchy and Schwarz: the upper bound.
   And (Σ_c |d_c|)² ≤ H²·Σ(√P_G + √P_G*)² ≤ 4H²; positive and negative d_c add up to the same, so
   that Σ d_c² ≤ ½(Σ|d_c|)²: the lower bound. So whatever is o(loss) in D is in H, an arc has one
   order in both, and everything that is proved of ‖f_G − f_G*‖ under least squares for experts of
   several outputs, f_G = Σ w_i h(·, η_i) with Σ w_i = 1, holds for P_G with p in the place of h.
   Weights that do not sum to 1 give Σ_c P_G(c|x) = Σ_i w_i ≠ 1: no probabilities.
2. *Normalised gates.* With cells as under least squares, W_j the true unnormalised weights, q_j the
   gate's and r_j the expert's part of the expansion of a cell (vectors r_j; q_j has no class),
   D_* Σ_j W_j (q_j (p_j − F_*) + r_j), D_* = Σ W_j, is
     Σ_{j<l} W_jW_l [(q_j − q_l)(p_j − p_l) + r_j + r_l] + Σ_j W_j² r_j, in every component.
   Softmax, one true gate pinned at 0: for almost every choice of the others exp(β1_jᵀx) are
   algebraically independent over the field of p_j, x and derivatives, as in statement 2 of
   test_normalized_sigmoid, where p belongs to the functions that h is built from. The products
   W_jW_l, j ≤ l, are then distinct monomials: r_j = 0 in every component, and q_j = q_l from one in
   which p_j ≠ p_l; the softmax is injective, so there is one wherever h_j ≠ h_l. So k < 2k*, the
   gauge and M_ββ = 0 are as under least squares. The normalized sigmoid is
   test_normalized_sigmoid with vectors: each coefficient there is one in every component.
3. *Criterion in logits.* For M symmetric and m let L_c = m·∇h_c + ½M:∇²h_c and
   Q_cl = ∇h_cᵀM∇h_l, for c, l < S. Then m·∇p + ½M:∇²p = (diag p − ppᵀ) E with
     E_c = L_c + ½ Q_cc − Σ_{l<S} p_l Q_cl,
   and det(diag p − ppᵀ) = p_1⋯p_S > 0. So moments are invisible iff E_1 = … = E_{S−1} = 0, and,
   with M = 0, m·∇p = 0 iff m·∇h = 0: logits and probabilities have the same redundancies. S = 2:
   m·∇h + ½M:∇²h = ½ tanh(h/2) ∇hᵀM∇h. For every S, with A = log Σ exp(h_l) and p_c = e^{h_c − A}:
   ∂p_c = p_c ∂(h_c − A), ∂²p_c = p_c [∂²(h_c − A) + ∂(h_c − A)∂(h_c − A)ᵀ], ∂A = Σ p_l ∂h_l and
   ∂²A = Σ p_l (∂²h_l + ∂h_l∂h_lᵀ) − ∂A∂Aᵀ.
4. *Algebraic logits.* Let, at η, all h_c and their derivatives in η be algebraic functions of x on
   almost every line along one coordinate, and no h_c, h_c − h_l, c ≠ l < S, be free of it there.
   Then invisible (m, M ⪰ 0) ≠ 0 exist iff v·∇h = 0 for some v ≠ 0 (along a field v(η) degenerate,
   and with independent ∇h never), as under the Gaussian likelihood with a known variance. *Proof.*
   exp(h_c), c < S, and 1 are independent over the field K of algebraic functions: take a relation
   Σ a_i e^{g_i} = 0, a_i ≠ 0, of least length, a_1 e^{g_1} = 1 after division; its derivative is a
   shorter one, so a_i' + a_i g_i' = 0, and e^{g_i} = constant/a_i would be algebraic; but g_i is
   algebraic and not constant, so it has a pole on its compact Riemann surface, where e^{g_i} has an
   essential singularity and an algebraic function has none. Times Σ_l exp(h_l), E_c is a
   combination of these over K with coefficients L_c + ½Q_cc − Q_cl of exp(h_l) and L_c + ½Q_cc of
   1: so L_c + ½Q_cc = 0 and Q_cl = 0 for all l. With M ⪰ 0, Q_cc = 0 gives M∇h_c = 0 for every x,
   so M ≠ 0 has a v with v·∇h_c = 0 for all c, and M = 0 leaves m·∇h = 0. So linear and polynomial
   logits with independent ∇h are nondegenerate for every S; a bias, which costs the rate under
   least squares, does not.
5. *Examples.* One logit b free of x, S = 2: m_b = p − ½, M_bb = 1 is invisible, and p is split
   exactly: w_1σ(b_1) + w_2σ(b_2) = σ(b*). The logit of Φ(ax + b): p = Φ obeys the heat equation,
   ∂²_b p + a ∂_a p + b ∂_b p = 0. Logits for all S classes: one logit c added to all of them and
   to the reference is a redundancy.
6. *Constant weights* (input-free), each bounded away from 0 in fits: F_G − F_G* adds m0_j p_j +
   m_j·∇p_j + ½M_j:∇²p_j, Σ_j m0_j = 0 as both sum to 1. One cell: m0 = 0, the criterion of 3.
   Several: cell by cell where p, ∇p, ∇²p of all of them are independent up to the relations of each
   cell among ∇p, ∇²p alone.

7. *Classes in a fixed ratio.* If h_1 − h_2, or h_2 itself, is a parameter c of its own, free of x,
   the two classes (or class 2 and the reference) divide one probability q in the ratio σ(c): along
   a curve on which q stays, p is affine in σ(c), which moments with M_cc > 0 and rank one leave.

Proved: 1 to 7 by the arguments above; the formulas are computed, those of 3 for S = 2, 3, 4.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, combinations_with_replacement

import mpmath
import sympy as sp

from identkit.claims.checks import Claim, mutations

DERIVED = "identkit (derived here)"
REDUCTION = Claim(
    "categorical-least-squares",
    "Categorical likelihood, weights that sum to 1, logits in a compact set: D²/2 ≤ H² ≤ "
    "S·D²/(4c0) for the Hellinger distance H of P_G and P_G* and the L² distance D of the "
    "probabilities of all classes but the last, c0 the least probability; so identifiability, "
    "orders and rates are those of least squares with the vector expert p(h(x, η)); other weights "
    "give no probabilities",
    DERIVED,
)
CRITERION = Claim(
    "categorical-criterion",
    "Moments (m, M) are invisible in p = softmax(h, 0) iff m·∇h_c + ½M:∇²h_c + ½∇h_cᵀM∇h_c = "
    "Σ_l p_l ∇h_cᵀM∇h_l for every c < S; p and h have the same redundancies; under softmax gates "
    "in general position the common-factor equation holds in every component",
    DERIVED,
)
ALGEBRAIC = Claim(
    "categorical-algebraic-logits",
    "Logits that are algebraic in x, with no logit and no difference of two free of x: an expert "
    "is degenerate only by a redundancy of ∇h; so linear and polynomial logits with independent ∇h "
    "are nondegenerate for every number of classes",
    DERIVED,
)
EXAMPLES = Claim(
    "categorical-degenerate-logits",
    "A logit free of x is degenerate, and so are two classes in a free ratio that does not depend "
    "on x (a probability is split); the logit of Φ(ax + b) is (a heat equation); a number added to "
    "all S logits is a redundancy",
    DERIVED,
)
CONSTANT = Claim(
    "categorical-constant-weights",
    "Categorical likelihood, weights free of x and bounded away from 0: one cell is degenerate iff "
    "some M ⪰ 0, not all zero, has m·∇p + ½M:∇²p ≡ 0; several, where p, ∇p, ∇²p are independent "
    "over the cells up to each cell's own relations, can be treated one by one",
    DERIVED,
)
HALF = sp.Rational(1, 2)


ONE = sp.Integer(1)


def probabilities(logits):
    """p_1 … p_S, the last logit being 0."""
    sizes = [*map(sp.exp, logits), sp.Integer(1)]
    return [size / sp.Add(*sizes) for size in sizes]


# --- 1 --------------------------------------------------------------------------------------------


def squares(first, second):
    """Σ (√u − √v)² over all classes, and Σ (u − v)² over all but the last."""
    pairs = list(zip(first, second, strict=True))
    return (
        sum((mpmath.sqrt(u) - mpmath.sqrt(v)) ** 2 for u, v in pairs),
        sum((u - v) ** 2 for u, v in pairs[:-1]),
    )


@mutations(
    {
        "no factor S": {"upper": lambda count, squared, least: squared / (4 * least)},
        "H² ≥ D²": {"lower": lambda squared: squared},
        "small probabilities do not matter": {
            "upper": lambda count, squared, least: count * squared
        },
        "weights need not sum to 1": {"weights": (Fraction(1, 2), Fraction(1, 3))},
    }
)
def test_distances_are_of_one_order(
    lower=lambda squared: squared / 2,
    upper=lambda count, squared, least: count * squared / (4 * least),
    weights=(Fraction(1, 3), Fraction(2, 3)),
):
    """The identities behind the bounds, and pairs of probabilities that nearly meet them."""
    a, b = sp.symbols("a b", positive=True)
    gap = (a - b) ** 2 - (sp.sqrt(a) - sp.sqrt(b)) ** 2 * (sp.sqrt(a) + sp.sqrt(b)) ** 2
    assert sp.expand(gap) == 0
    for count in range(2, 6):
        d = sp.symbols(f"d1:{count}", real=True)
        rest = (count - 1) * sum(v**2 for v in d) - sum(d) ** 2  # Lagrange: a sum of squares
        assert sp.expand(rest - sum((u - v) ** 2 for u, v in combinations(d, 2))) == 0
    some = (Fraction(1, 2), Fraction(1, 3), Fraction(1, 6))
    others = (Fraction(1, 5), Fraction(1, 5), Fraction(3, 5))
    assert sum(weights[0] * u + weights[1] * v for u, v in zip(some, others, strict=True)) == 1
    with mpmath.workdps(60):
        tiny, least = mpmath.mpf(10) ** -25, mpmath.mpf(10) ** -6
        for count in (2, 3, 6):
            # what all other classes lose the last one gains, of the least probability
            first = [(1 - least) / (count - 1)] * (count - 1) + [least]
            second = [v - tiny for v in first[:-1]] + [least + tiny * (count - 1)]
            whole, squared = squares(first, second)
            assert lower(squared) <= whole <= upper(count, squared, least)
            assert whole > squared * (count - 1) / (4 * least) * mpmath.mpf("0.999")
        # two likely classes change places, beside a rare reference
        half = (1 - least) / 2
        whole, squared = squares((half, half, least), (half + tiny, half - tiny, least))
        assert lower(squared) <= whole < squared * mpmath.mpf("0.501")
    return REDUCTION.finding("proved", "every S: identities, Cauchy and Schwarz; nearly met")


# --- 2 --------------------------------------------------------------------------------------------


@mutations(
    {
        "the cells' experts do not mix": {
            "cross": lambda q, p, r, j, i: (q[j] - q[i]) * (p[j] - p[i])
        },
        "one class is seen alone": {"classes": (0, 0)},
        "squares hold the gate": {"square": lambda q, r, j: q[j] + r[j]},
    }
)
def test_the_common_factor_in_every_component(
    cross=lambda q, p, r, j, i: (q[j] - q[i]) * (p[j] - p[i]) + r[j] + r[i],
    square=lambda q, r, j: r[j],
    classes=(0, 1),
):
    """Three true atoms, two classes beside the reference: the identity of statement 2."""
    w, q = sp.symbols("w0:3", positive=True), sp.symbols("q0:3")
    p = [sp.symbols(f"p{c}_0:3") for c in range(2)]
    r = [sp.symbols(f"r{c}_0:3") for c in range(2)]
    for c, shown in enumerate(classes):
        mean = sum(v * own for v, own in zip(w, p[c], strict=True)) / sum(w)
        left = sum(w) * sum(w[j] * (q[j] * (p[c][j] - mean) + r[c][j]) for j in range(3))
        right = sum(w[j] ** 2 * square(q, r[shown], j) for j in range(3))
        right += sum(
            w[j] * w[i] * cross(q, p[shown], r[shown], j, i) for j, i in combinations(range(3), 2)
        )
        assert sp.expand(sp.simplify(left - right)) == 0
    kept = (ONE, *w[1:])  # the pinned weight, and those that are algebraically independent
    monomials = [kept[j] * kept[i] for j, i in combinations_with_replacement(range(3), 2)]
    assert len(set(monomials)) == len(monomials)
    return CRITERION.finding("proved", "common factor in each component; monomials distinct")


# --- 3 --------------------------------------------------------------------------------------------


def moments(count):
    """L_c and the symmetric matrix Q, any numbers, for so many classes."""
    first = sp.symbols(f"L1:{count}")
    square = sp.Matrix(
        count - 1, count - 1, lambda i, j: sp.Symbol(f"Q{min(i, j)}{max(i, j)}", real=True)
    )
    return first, square


def mean(square, p, c):
    """Σ_l p_l Q_cl."""
    return sum(v * square[c, i] for i, v in enumerate(p))


@mutations(
    {
        "the logits alone": {"entry": lambda first, square, p, c: first[c]},
        "no mean of the classes": {
            "entry": lambda first, square, p, c: first[c] + square[c, c] / 2
        },
        "half of the mean": {
            "entry": lambda first, square, p, c: first[c] + (square[c, c] - mean(square, p, c)) / 2
        },
        "the determinant without the reference": {"volume": lambda p: sp.prod(p[:-1])},
    }
)
def test_the_criterion_in_logits(
    entry=lambda first, square, p, c: first[c] + square[c, c] / 2 - mean(square, p, c),
    volume=sp.prod,
):
    """m·∇p + ½M:∇²p by the chain rule, for any L and Q: (diag p − ppᵀ)E."""
    for count in (2, 3, 4):
        z = sp.symbols(f"z1:{count}", real=True)
        own, sizes = range(count - 1), sp.symbols(f"e1:{count}", positive=True)
        at = dict(zip(z, map(sp.log, sizes), strict=True))  # fractions of exponentials
        p, (first, square) = probabilities(z), moments(count)
        seen = [v.subs(at) for v in p]
        jacobian = sp.diag(*seen[:-1]) - sp.Matrix(seen[:-1]) * sp.Matrix([seen[:-1]])
        stated = jacobian * sp.Matrix([entry(first, square, seen[:-1], c) for c in own])
        for c in own:
            change = sum(sp.diff(p[c], z[i]) * first[i] for i in own)
            change += HALF * sum(sp.diff(p[c], z[i], z[j]) * square[i, j] for i in own for j in own)
            assert sp.cancel(change.subs(at) - stated[c]) == 0
        assert sp.cancel(jacobian.det() - volume(seen)) == 0
    h = sp.Symbol("h", real=True)
    assert sp.simplify((1 / (1 + sp.exp(-h)) - HALF - sp.tanh(h / 2) / 2).rewrite(sp.exp)) == 0
    return CRITERION.finding("proved", "chain rule for S = 2, 3, 4; the determinant is p_1⋯p_S")


# --- 4 --------------------------------------------------------------------------------------------


@mutations(
    {
        "no exponential but the own": {
            "coefficient": lambda first, square, c, i: first[c] + square[c, c] / 2
        },
        "the reference counts as a class": {
            "constant": lambda first, square, c: first[c] - square[c, c] / 2
        },
    }
)
def test_coefficients_of_the_exponentials(
    coefficient=lambda first, square, c, i: first[c] + square[c, c] / 2 - square[c, i],
    constant=lambda first, square, c: first[c] + square[c, c] / 2,
):
    """E_c·Σ exp(h_l) in the exponentials, and what their vanishing leaves: L = 0 and Q = 0."""
    for count in (2, 3, 4):
        sizes, (first, square) = sp.symbols(f"e1:{count}", positive=True), moments(count)
        total, equations = 1 + sum(sizes), []
        for c in range(count - 1):
            entry = first[c] + square[c, c] / 2 - mean(square, sizes, c) / total
            poly = sp.Poly(sp.cancel(entry * total), *sizes)
            for i, size in enumerate(sizes):
                assert sp.expand(poly.coeff_monomial(size) - coefficient(first, square, c, i)) == 0
            assert sp.expand(poly.coeff_monomial(1) - constant(first, square, c)) == 0
            equations += poly.coeffs()
        unknowns = [*first, *sorted(square.free_symbols, key=str)]
        assert sp.solve(equations, unknowns, dict=True) == [dict.fromkeys(unknowns, 0)]
    return ALGEBRAIC.finding("proved", "exponentials are independent over algebraic functions")


# --- 5 --------------------------------------------------------------------------------------------


@mutations(
    {
        "m_b = p": {"first": lambda p: p},
        "the flow runs the other way": {"signs": (1, -1, -1)},
        "the reference stays": {"shifted": (0, 1)},
        "the other logit stays": {"ratio": lambda c: sp.Integer(0)},
    }
)
def test_degenerate_logits(
    first=lambda p: p - HALF,
    signs=(1, 1, 1),
    shifted=(0, 1, 2),
    ratio=lambda c: sp.exp(c) / (1 + sp.exp(c)),
):
    """A logit free of x, the logit of Φ, and a number added to every logit."""
    x, a, b, c, u, v = sp.symbols("x a b c u v", real=True)
    p = 1 / (1 + sp.exp(-b))
    assert sp.simplify(first(p) * sp.diff(p, b) + HALF * sp.diff(p, b, 2)) == 0
    phi = (1 + sp.erf((a * x + b) / sp.sqrt(2))) / 2
    logit = sp.log(phi / (1 - phi))
    assert sp.simplify(1 / (1 + sp.exp(-logit)) - phi) == 0
    flow = zip(signs, (sp.diff(phi, b, 2), a * sp.diff(phi, a), b * sp.diff(phi, b)), strict=True)
    assert sp.simplify(sum(s * part for s, part in flow)) == 0
    logits = [u * x, v * x, sp.Integer(0)]
    moved = [z + c if i in shifted else z for i, z in enumerate(logits)]
    for i, given in enumerate(probabilities(logits[:2])):
        assert sp.simplify(sp.exp(moved[i]) / sum(map(sp.exp, moved)) - given) == 0
    # h = (b, c) at any x: along v = r∂_b + ∂_c p_1 stays, and p_2 is affine in σ(c)
    p = probabilities((b, c))[:2]

    def along(f):
        return ratio(c) * sp.diff(f, b) + sp.diff(f, c)

    assert sp.simplify(along(p[0])) == 0
    speed = sp.exp(c) / (1 + sp.exp(c)) ** 2  # of σ(c)
    assert sp.simplify(along(along(p[1]) / speed)) == 0
    return EXAMPLES.finding("proved", "identities")


# --- 6 --------------------------------------------------------------------------------------------


@mutations(
    {
        "weights need not sum to 1": {"total": None},
        "second moments count twice": {"second": ONE},
    }
)
def test_constant_weights(total=ONE, second=HALF):
    """Two cells of two atoms, δ·∇p = g and δᵀ∇²pδ = s: the change to t², weights of sum 1."""
    t = sp.Symbol("t", real=True)
    rho, g, s, p = (sp.symbols(f"{name}0:4", real=True) for name in ("rho", "g", "s", "p"))
    w = sp.symbols("w0:4", positive=True)
    weights = [w[i] + t**2 * rho[i] for i in range(4)]
    if total is not None:
        weights[3] = total - sum(weights[:3])
    values = [p[2 * (i // 2)] + t * g[i] + t**2 * s[i] / 2 for i in range(4)]
    own = [*w[:3], 1 - sum(w[:3])]
    truth = (own[0] + own[1]) * p[0] + (own[2] + own[3]) * p[2]
    moved = sp.Poly(sp.expand(sum(map(sp.Mul, weights, values)) - truth), t)
    assert sp.expand(moved.coeff_monomial(t) - sum(map(sp.Mul, own, g))) == 0
    change = (rho[0] + rho[1]) * (p[0] - p[2])  # the two m0 add up to 0
    stated = change + second * sum(map(sp.Mul, own, s))
    assert sp.expand(moved.coeff_monomial(t**2) - stated) == 0
    return CONSTANT.finding("proved", "the expansion of cells, whose weights sum to 1")
