"""Lemmas behind second-order nondegeneracy (theory section 4), each proved or refuted exactly.

The sigmoid lemma and the place where its hypothesis is needed; what the softmax denominator pins
and what it does not; relations confounded with the gate; the order t^{3/2} of a moving kink.
Exact arithmetic throughout (SymPy, rationals); none of this uses identkit.
"""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations, pairwise

import mpmath as mp
import pytest
import sympy as sp

s, u = sp.symbols("s u", positive=True)
x, t = sp.symbols("x t", real=True)


# --- the sigmoid lemma: Σ s_i < 1 and Σ s_i' β_i = 0 imply M_ββ ⪰ 0 ------------------------------


def g(value):
    return value * (1 - value) / (1 - 2 * value)


def test_g_is_convex_increasing_and_superadditive():
    """g(s) = s'/(1−2s), with s' = s(1−s), equals ¼(1/(1−2s) − (1−2s)), and g(0) = 0.

    On [0, 1/2) it is increasing and convex, and for s, u > 0 with s + u < 1/2
    g(s+u) − g(s) − g(u) = 2su(1−s−u) / ((1−2s)(1−2u)(1−2s−2u)) > 0: superadditive.
    Also s'' = s'(1−2s), and g(1−s) = s'/(2s−1) = −s'²/s'': the bound that an atom with s > 1/2
    asks of the others.
    """
    assert sp.simplify(g(s) - (1 / (1 - 2 * s) - (1 - 2 * s)) / 4) == 0
    assert g(sp.Integer(0)) == 0
    assert sp.simplify(sp.diff(g(s), s) - (1 / (1 - 2 * s) ** 2 + 1) / 2) == 0
    assert sp.simplify(sp.diff(g(s), s, 2) - 2 / (1 - 2 * s) ** 3) == 0
    gap = 2 * s * u * (1 - s - u) / ((1 - 2 * s) * (1 - 2 * u) * (1 - 2 * s - 2 * u))
    assert sp.simplify(g(s + u) - g(s) - g(u) - gap) == 0

    z = sp.symbols("z", real=True)
    sigma = 1 / (1 + sp.exp(-z))
    first, second = sp.diff(sigma, z), sp.diff(sigma, z, 2)
    assert sp.simplify(first - sigma * (1 - sigma)) == 0
    assert sp.simplify(second - first * (1 - 2 * sigma)) == 0
    assert sp.simplify(g(1 - s) + (s * (1 - s)) ** 2 / (s * (1 - s) * (1 - 2 * s))) == 0


def test_sigmoid_lemma_as_a_sum_of_squares():
    """The lemma with one s_1 > 1/2 and two other atoms, as an identity (d = 1 along v).

    Let u_i = v·β_i, u_1 = −(p_2 u_2 + p_3 u_3)/p_1 with p_i = s_i'. Then
    vᵀM_ββ v = (1 − (g_2+g_3)/g(1−s_1)) Σ_{i≥2} p_i(1−2s_i)u_i² + (a square)/g(1−s_1),
    and g_2 + g_3 < g(s_2+s_3) < g(1−s_1) when s_1+s_2+s_3 < 1: positive unless u_2 = u_3 = 0,
    which forces u_1 = 0. (Lagrange's identity; more atoms: the same with more squares. If no
    s_i > 1/2, every s_i'' ≥ 0, with at most one equal to 0: nothing to prove.)
    """
    s1, s2, s3, u2, u3 = sp.symbols("s1 s2 s3 u2 u3", real=True)
    p1, p2, p3 = (a * (1 - a) for a in (s1, s2, s3))
    u1 = -(p2 * u2 + p3 * u3) / p1
    form = sum(p * (1 - 2 * a) * b**2 for p, a, b in ((p1, s1, u1), (p2, s2, u2), (p3, s3, u3)))
    rest = p2 * (1 - 2 * s2) * u2**2 + p3 * (1 - 2 * s3) * u3**2
    # Lagrange: (Σ g)(Σ p(1−2s)u²) − (Σ p u)² = g_2 g_3 ((1−2s_2)u_2 − (1−2s_3)u_3)²
    square = g(s2) * g(s3) * ((1 - 2 * s2) * u2 - (1 - 2 * s3) * u3) ** 2
    top = g(1 - s1)
    claimed = (1 - (g(s2) + g(s3)) / top) * rest + square / top
    assert sp.cancel(sp.together(form - claimed)) == 0


def _second_moment(weights, betas):
    """Σ s_i'' β_i β_iᵀ, exactly."""
    dim = len(betas[0])
    second = [a * (1 - a) * (1 - 2 * a) for a in weights]
    entry = lambda r, c: sum(  # noqa: E731
        (w * b[r] * b[c] for w, b in zip(second, betas, strict=True)), Fraction(0)
    )
    return sp.Matrix(dim, dim, lambda r, c: sp.Rational(*entry(r, c).as_integer_ratio()))


def _is_psd(matrix):
    """All principal minors are ≥ 0 (exact rationals)."""
    size = matrix.shape[0]
    return all(
        matrix.extract(list(rows), list(rows)).det() >= 0
        for order in range(1, size + 1)
        for rows in combinations(range(size), order)
    )


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_sigmoid_lemma_at_random_rationals(dim):
    """M_ββ ⪰ 0 and rank M_ββ = rank span(β_i), exactly, at 40 random rational configurations.

    Σ s_i < 1, Σ s_i' β_i = 0, two to five atoms, s_1 > 1/2 in every configuration (so s_1'' < 0),
    β in Q^d. Equality of ranks is the second half of the lemma: M_ββ v = 0 only if every
    v·β_i = 0.
    """
    rng = random.Random(dim)
    for _ in range(40):
        count = rng.randint(2, 5)
        first = Fraction(rng.randint(51, 98), 100)
        parts = [rng.randint(1, 50) for _ in range(count - 1)]
        room = (1 - first) * Fraction(rng.randint(1, 999), 1000)
        weights = [first, *(room * part / sum(parts) for part in parts)]
        assert sum(weights) < 1
        betas = [[Fraction(rng.randint(-9, 9)) for _ in range(dim)] for _ in range(count - 1)]
        slopes = [a * (1 - a) for a in weights]
        head = [
            -sum(w * b[c] for w, b in zip(slopes[1:], betas, strict=True)) / slopes[0]
            for c in range(dim)
        ]
        betas = [head, *betas]
        moment = _second_moment(weights, betas)
        assert _is_psd(moment)
        assert moment.rank() == sp.Matrix([[sp.Rational(v) for v in b] for b in betas]).rank()


def test_sigmoid_lemma_needs_its_hypothesis():
    """Σ s_i < 1 cannot be dropped, nor weakened to ≤.

    s = (3/4, 1/2), β = (4, −3): Σ s_i' β_i = 0, Σ s_i = 5/4 and M_ββ = −3/2 < 0.
    s = (3/4, 26/100): just above 1, and M_ββ < 0 still.
    s = (3/4, 1/4), β = (1, −1): Σ s_i = 1 and M_ββ = 0 although β ≠ 0.
    """

    def moments(weights, betas):
        first = sum(a * (1 - a) * b for a, b in zip(weights, betas, strict=True))
        second = sum(a * (1 - a) * (1 - 2 * a) * b**2 for a, b in zip(weights, betas, strict=True))
        return first, second

    head = Fraction(3, 4)
    assert moments((head, Fraction(1, 2)), (4, -3)) == (0, Fraction(-3, 2))
    near = Fraction(26, 100)
    first, second = moments((head, near), (near * (1 - near), -head * (1 - head)))
    assert first == 0
    assert second < 0
    assert moments((head, Fraction(1, 4)), (1, -1)) == (0, 0)


# --- softmax: what the denominator pins ----------------------------------------------------------


def test_common_spreading_leaves_the_softmax_mixture_unchanged():
    """Split every true atom (β0, β1, η) into (β0 − log 2, β1 ± t, η): f_G = f_G*, exactly.

    For k* = 2, d = 1, arbitrary functions h_1, h_2 and every t: numerator and denominator are both
    multiplied by cosh(t x). So for k ≥ 2k* no softmax-gated expert is identifiable, strongly
    identifiable or not. (k* = 3, and any number, is the same factor; d > 1: cosh(t·x).)
    """
    h1, h2 = (sp.Function(name)(x) for name in ("h1", "h2"))
    a0, a1, b0, b1 = sp.symbols("a0 a1 b0 b1", real=True)

    def mixture(atoms):
        gates = [sp.exp(c0 + c1 * x) for c0, c1, _ in atoms]
        return sum(w * h for w, (_, _, h) in zip(gates, atoms, strict=True)), sum(gates)

    truth = ((a0, a1, h1), (b0, b1, h2))
    spread = [
        (c0 - sp.log(2), c1 + sign * t, h) for c0, c1, h in truth for sign in (sp.Integer(1), -1)
    ]
    (num, den), (num_spread, den_spread) = mixture(truth), mixture(spread)
    factor = (sp.exp(t * x) + sp.exp(-t * x)) / 2
    assert sp.simplify(sp.expand(num_spread - factor * num)) == 0
    assert sp.simplify(sp.expand(den_spread - factor * den)) == 0
    # hence equal quotients: the factor is ≥ 1 (here: (e^{tx/2} − e^{−tx/2})² = 2 cosh − 2)
    half = sp.exp(t * x / 2) - sp.exp(-t * x / 2)
    assert sp.simplify(sp.expand(half**2 - 2 * factor + 2)) == 0


def test_voronoi_loss_of_the_common_spreading_in_any_gauge():
    """The softmax loss of theory section 6, minimised over the common shift, is W·t² for t < 1.

    With a shift (log r, τ) and every fitted atom in the cell of its own true atom, the loss is
    W(|r − 1| + r(τ² + t²)), W = Σ_j e^{β0_j*}: an identity in r, τ, t, weights. It is smallest at
    τ = 0, r = 1: for r ≤ 1 it is W(1 − r(1 − t²)) at τ = 0, decreasing in r; for r ≥ 1 increasing.
    """
    r, tau = sp.symbols("r tau", real=True)
    w1, w2 = sp.symbols("w1 w2", positive=True)
    squares = sum(w * r / 2 * (tau + sign * t) ** 2 for w in (w1, w2) for sign in (1, -1))
    assert sp.expand(squares - (w1 + w2) * r * (tau**2 + t**2)) == 0
    below = 1 - r + r * t**2  # |r − 1| + r t² for r ≤ 1
    above = r - 1 + r * t**2
    assert sp.expand(sp.diff(below, r) + (1 - t**2)) == 0  # ≤ 0 for |t| ≤ 1
    assert sp.diff(above, r) == 1 + t**2  # > 0
    assert below.subs(r, 1) == above.subs(r, 1) == t**2


def _softmax_loss(truth, fitted):
    """Theory section 6, d = q = 1, rationals; atoms are (e^{β0}, β1, η)."""
    distance = lambda i, j: abs(i[1] - j[1]) + abs(i[2] - j[2])  # noqa: E731
    cells = [[] for _ in truth]
    for atom in fitted:
        squares = [(atom[1] - j[1]) ** 2 + (atom[2] - j[2]) ** 2 for j in truth]
        cells[squares.index(min(squares))].append(atom)
    loss = Fraction(0)
    for j, cell in zip(truth, cells, strict=True):
        loss += abs(sum(i[0] for i in cell) - j[0])
        for i in cell:
            if len(cell) == 1:
                loss += i[0] * distance(i, j)
            else:
                loss += i[0] * ((i[1] - j[1]) ** 2 + (i[2] - j[2]) ** 2)
    return loss


@pytest.mark.parametrize("step", [Fraction(1, 2), Fraction(1, 10), Fraction(1, 1000)])
def test_voronoi_loss_is_bounded_below_whatever_the_cells_are(step):
    """L ≥ ½ W t² for t ≤ 1 when the η_j* are at least 1 apart, even if a shift changes the cells.

    Proof: the mismatches of weight add up to at least W|r − 1|. Of the two atoms of each j, the
    one at β1_j* + τ ± t with the sign of τ is at distance ≥ t of atom j and ≥ 1 ≥ t of the others,
    so it contributes ≥ ½ r e^{β0_j*} t². And |r − 1| + ½ r t² ≥ ½ t². Here the loss itself, with
    its cells, in rationals, over a grid of shifts: ≥ ½ W t² everywhere, and its minimum is
    exactly W t², at no shift.
    """
    truth = [(Fraction(2), Fraction(0), Fraction(0)), (Fraction(3), Fraction(1, 3), Fraction(1))]
    total = sum(w for w, _, _ in truth)
    losses = {}
    for ratio in (Fraction(n, 20) for n in range(2, 41)):
        for tau in (*(step * n / 4 for n in range(-8, 9)), Fraction(-1, 3), Fraction(1, 3), 1):
            fitted = [
                (ratio * w / 2, slope + tau + sign * step, eta)
                for w, slope, eta in truth
                for sign in (1, -1)
            ]
            losses[ratio, tau] = _softmax_loss(truth, fitted)
    assert min(losses.values()) >= total * step**2 / 2
    assert min(losses, key=losses.get) == (1, 0)
    assert losses[1, 0] == total * step**2


def test_the_denominator_pins_polynomials_only_up_to_a_common_one():
    """Σ_j P_j E_j (h_j − f_*) with k* = 2 is (P_1 − P_2) E_1 E_2 (h_1 − h_2)/(E_1 + E_2).

    E_j = exp(β0_j + β1_j x), f_* = (E_1h_1 + E_2h_2)/(E_1 + E_2), P_j = m0_j + m_βj x + ½ M_ββj x²
    any functions. So it vanishes iff P_1 = P_2 where h_1 ≠ h_2, and not only for P_1 = P_2 = 0: a
    common constant and slope are the gauge, a common M_ββ is the common spreading.
    """
    names = ("P1", "P2", "E1", "E2", "h1", "h2")
    p1, p2, e1, e2, h1, h2 = sp.symbols(names)
    f = (e1 * h1 + e2 * h2) / (e1 + e2)
    total = p1 * e1 * (h1 - f) + p2 * e2 * (h2 - f)
    assert sp.cancel(total - (p1 - p2) * e1 * e2 * (h1 - h2) / (e1 + e2)) == 0


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_one_exact_cell_pins_the_spread_to_second_order(dim):
    """P_j = P_l identically in x, with M_ββ,l = 0 (cell l is exact), forces M_ββ,j = 0.

    P = m0 + m_β·x + ½ xᵀMx, d = 1, 2, 3: the linear system of all coefficients has M_j = 0,
    m0_j = m0_l, m_βj = m_βl as its only solution. (An exact cell has no spread of its own: its
    second-order term is m_β m_βᵀ/w, of higher order than the |m_β| that its loss counts.)
    """
    xs = sp.symbols(f"x0:{dim}", real=True)
    vector = sp.Matrix(xs)

    def polynomial(tag, spread):
        constant = sp.Symbol(f"c{tag}")
        slope = sp.Matrix(sp.symbols(f"m{tag}_0:{dim}"))
        matrix = sp.Matrix(dim, dim, lambda r, c: sp.Symbol(f"M{tag}_{min(r, c)}{max(r, c)}"))
        value = constant + (slope.T * vector)[0]
        if spread:
            value += (vector.T * matrix * vector)[0] / 2
        return value, constant, list(slope), sorted(matrix.free_symbols, key=str)

    first, constant, slope, matrix = polynomial("j", True)
    second, constant_l, slope_l, _ = polynomial("l", False)
    equations = sp.Poly(sp.expand(first - second), *xs).coeffs()
    solution = sp.solve(equations, [constant, *slope, *matrix], dict=True)
    assert solution == [
        {
            constant: constant_l,
            **dict(zip(slope, slope_l, strict=True)),
            **dict.fromkeys(matrix, sp.Integer(0)),
        }
    ]


@pytest.mark.parametrize("atoms", [2, 3])
def test_one_exact_cell_pins_the_spread_to_every_order(atoms):
    """Beyond second order: Σ_i w_i e^{β_i x} = c e^{γ x} for all x, w_i > 0, only if all β_i = γ.

    (log Σ w_i e^{β_i x})'' = Σ_{i<l} w_i w_l e^{(β_i+β_l)x} (β_i − β_l)² / (Σ w_i e^{β_i x})²,
    a sum of squares with positive coefficients (two and three atoms), and (log c e^{γx})'' = 0.
    So a cell whose common factor is that of an exact cell has no spread: for k < 2k*, where by
    counting some cell has one atom, the common spreading is impossible.
    """
    weights = sp.symbols(f"w0:{atoms}", positive=True)
    betas = sp.symbols(f"b0:{atoms}", real=True)
    terms = [w * sp.exp(b * x) for w, b in zip(weights, betas, strict=True)]
    total = sum(terms)
    second = sp.diff(total, x, 2) * total - sp.diff(total, x) ** 2  # (log)'' · total²
    squares = sum(
        terms[i] * terms[j] * (betas[i] - betas[j]) ** 2 for i, j in combinations(range(atoms), 2)
    )
    assert sp.expand(second - squares) == 0


# --- a first-order relation confounded with the gate ---------------------------------------------

a, b = sp.symbols("a b", real=True)


def test_confounded_first_order_relation_gives_a_rank_one_second_order_identity():
    """If V·∇h = (λ − μx)h identically in x and θ, V, λ, μ functions of θ, write D = V·∇. Then

    −½(λ² + Dλ) h + ½(Dμ) x h + ½ (DV)·∇h + ½μ²x² h + x μ V·∇h + ½ VVᵀ:∇²h = 0:

    the second-order equation of theory section 4 with M = (μ, V)(μ, V)ᵀ, m0 = −½(λ² + Dλ),
    m_β = ½Dμ, m_η = ½DV. Proved for arbitrary h, V, λ, μ (d = 1, two parameters): twice the left
    side equals (D + λ + μx) applied to E = V·∇h − (λ − μx)h, which is zero.
    """
    h = sp.Function("h")(x, a, b)
    v1, v2, lam, mu = (sp.Function(name)(a, b) for name in ("v1", "v2", "lam", "mu"))

    def field(f):
        return v1 * sp.diff(f, a) + v2 * sp.diff(f, b)

    twice = (
        -(lam**2 + field(lam)) * h
        + field(mu) * x * h
        + field(v1) * sp.diff(h, a)
        + field(v2) * sp.diff(h, b)
        + mu**2 * x**2 * h
        + 2 * x * mu * field(h)
        + v1**2 * sp.diff(h, a, 2)
        + 2 * v1 * v2 * sp.diff(h, a, b)
        + v2**2 * sp.diff(h, b, 2)
    )
    relation = field(h) - (lam - mu * x) * h
    assert sp.expand(twice - field(relation) - (lam + mu * x) * relation) == 0


LOGIT = sp.exp(a * x) / (1 + sp.exp(b * x))
BUMP = sp.exp(-((a * x + b) ** 2))
CONFOUNDED = [
    # h, V, λ, μ, then the moments m0, m_β, m_η
    pytest.param(LOGIT, (1, 0), 0, -1, (0, 0, (0, 0)), id="exp(ax)/(1+exp(bx))"),
    pytest.param(LOGIT, (a, 0), 0, -a, (0, -a / 2, (a / 2, 0)), id="the same, V scaled by a"),
    pytest.param(BUMP, (0, 1), -2 * b, 2 * a, (1 - 2 * b**2, 0, (0, 0)), id="exp(-(ax+b)^2)"),
]


@pytest.mark.parametrize(("h", "v", "lam", "mu", "moments"), CONFOUNDED)
def test_confounded_examples_and_their_moments(h, v, lam, mu, moments):
    """The relation and the second-order identity, with its moments, for two experts by name.

    exp(ax)/(1+exp(bx)): ∂_a h = x h, so M = (−1; 1, 0)(−1; 1, 0)ᵀ and all other moments are 0.
    exp(−(ax+b)²): ∂_b h = −(2b + 2ax)h, so M = (2a; 0, 1)(2a; 0, 1)ᵀ, m0 = 1 − 2b², rest 0.
    M_ββ = μ² > 0 and M is of rank one. Checked symbolically in x, a, b.
    """

    def vanishes(expression):
        return sp.simplify(sp.expand(sp.simplify(expression / h))) == 0

    gradient = [sp.diff(h, a), sp.diff(h, b)]
    assert vanishes(sum(c * d for c, d in zip(v, gradient, strict=True)) - (lam - mu * x) * h)

    def field(f):
        return v[0] * sp.diff(f, a) + v[1] * sp.diff(f, b)

    general = (
        -(sp.sympify(lam) ** 2 + field(lam)) / 2,
        sp.sympify(field(mu)) / 2,
        tuple(sp.sympify(field(c)) / 2 for c in v),
    )
    m0, m_beta, m_eta = general
    assert sp.expand(m0 - moments[0]) == 0
    assert sp.expand(m_beta - moments[1]) == 0
    assert all(sp.expand(c - d) == 0 for c, d in zip(m_eta, moments[2], strict=True))
    joint = sp.Matrix([mu, *v]) * sp.Matrix([mu, *v]).T
    assert joint.rank() == 1
    hessian = sp.hessian(h, (a, b))
    equation = (
        (m0 + m_beta * x + x**2 * joint[0, 0] / 2) * h
        + sum((m_eta[i] + x * joint[0, 1 + i]) * gradient[i] for i in range(2))
        + sum(joint[1 + i, 1 + j] * hessian[i, j] for i in range(2) for j in range(2)) / 2
    )
    assert vanishes(equation)


# --- ReLU: the kink moves ------------------------------------------------------------------------


def _relu_gap_squared(slope, intercept, direction, size):
    """∫_{-3}^{3} (½h(η+δ) + ½h(η−δ) − h(η))² dx for h = relu, δ = size·direction, in rationals.

    Exact: the integrand is a squared linear function between neighbouring kinks, and Simpson's
    rule is exact for quadratics.
    """
    atoms = [
        (Fraction(1, 2), slope + size * direction[0], intercept + size * direction[1]),
        (Fraction(1, 2), slope - size * direction[0], intercept - size * direction[1]),
        (Fraction(-1), slope, intercept),
    ]
    gap = lambda at: sum(w * max(c * at + d, 0) for w, c, d in atoms)  # noqa: E731
    kinks = {-d / c for _, c, d in atoms if c}
    edges = sorted({Fraction(-3), Fraction(3), *(k for k in kinks if -3 < k < 3)})
    return sum(
        (high - low) / 6 * (gap(low) ** 2 + 4 * gap((low + high) / 2) ** 2 + gap(high) ** 2)
        for low, high in pairwise(edges)
    )


SLOPE, INTERCEPT = Fraction(13, 10), Fraction(2, 5)


def test_relu_kink_moved_by_t_has_norm_t_to_three_halves_exactly():
    """½relu(z+t) + ½relu(z−t) − relu(z), z = ax+b, is the hat ½(t−|z|)₊: L2 norm² = t³/(6a).

    Exact integral for symbolic t > 0 (kinks inside the domain); the first moment is zero. Hence
    the norm is t^{3/2}/√(6a), against a Voronoi loss of order t².
    """
    step = sp.symbols("t", positive=True)
    z = sp.symbols("z", real=True)
    half = sp.Rational(1, 2)
    # by pieces: z in (−t, 0): ½(z+t); z in (0, t): ½(z+t) − z = ½(t−z); zero outside
    square = sp.integrate((half * (z + step)) ** 2, (z, -step, 0)) + sp.integrate(
        (half * (step - z)) ** 2, (z, 0, step)
    )
    assert sp.simplify(square - step**3 / 6) == 0
    for size in (Fraction(1, 10), Fraction(1, 10**6)):
        assert _relu_gap_squared(SLOPE, INTERCEPT, (0, 1), size) == size**3 / (6 * SLOPE)


@pytest.mark.parametrize(
    "direction", [(0, 1), (1, 0), (1, -2), (3, 1)], ids=["b", "a", "a-2b", "3a+b"]
)
def test_relu_order_along_other_directions_is_three_halves(direction):
    """Along directions not parallel to (a, b) the L2 norm decays like t^{3/2}: slope 1.5 ± 0.02.

    First moment zero (deviations ± t·direction, equal weights); the squared norms are exact
    rationals, the slope is their logarithm in 50 digits, between t = 2^-10 and 2^-20.
    """
    sizes = [Fraction(1, 2**10), Fraction(1, 2**20)]
    squares = [_relu_gap_squared(SLOPE, INTERCEPT, direction, size) for size in sizes]
    assert all(value > 0 for value in squares)
    with mp.workdps(50):
        logs = [mp.log(mp.mpf(v.numerator) / v.denominator) / 2 for v in squares]
        slope = (logs[0] - logs[1]) / (10 * mp.log(2))
        assert abs(slope - mp.mpf(3) / 2) < mp.mpf("0.02")


@pytest.mark.parametrize("size", [Fraction(1, 2), Fraction(1, 7), Fraction(1, 1000)])
def test_relu_along_its_scale_direction_is_exactly_zero(size):
    """Along (a, b) itself: ½relu((1+t)z) + ½relu((1−t)z) = relu(z) for t < 1, so the norm is 0."""
    assert _relu_gap_squared(SLOPE, INTERCEPT, (SLOPE, INTERCEPT), size) == 0
