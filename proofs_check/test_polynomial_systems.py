"""The order of the polynomial system of over-fitted Gaussian mixtures: r(m) = 2m for every m ≥ 2.

Statement (theory section 7). For weights w_i > 0 (the s3_i²) and real (s_i, v_i), i = 1..m, let

    E_ℓ = Σ_i w_i P_ℓ(s_i, v_i),    P_ℓ(s, v) = Σ_{n1 + 2 n2 = ℓ} s^n1 v^n2 / (n1! n2!).

r(m) is the smallest r such that E_1 = … = E_r = 0 forces s_1 = … = s_m = 0. Ho and Nguyen (2016)
give r(2) = 4, r(3) = 6 and r(m) ≥ 7 for m ≥ 4. Here: r(m) = 2m for every m ≥ 2. A Gaussian expert
a·x + b with variance ν and a gate exp(β1·x) has the system (our reading of arXiv 2305.03288 and
2505.10860)

    E_{ℓ1 ℓ2} = Σ_i w_i Σ p1_i^α1 p2_i^α2 p3_i^α3 p4_i^α4 / α! = 0,    1 ≤ ℓ1 + ℓ2 ≤ r,

over α1 + α2 = ℓ1, α2 + α3 + 2 α4 = ℓ2, where p1, p2, p3, 2 p4 are the deviations of β1, a, b, ν;
nontrivial means some p3_i ≠ 0. Its order is the same, r2(m) = r(m), for every m.

Proof. Σ_i w_i exp(s_i t + v_i t²) = Σ_ℓ E_ℓ t^ℓ, so E_1 = … = E_r = 0 says: for c large, the
mixture of the N(s_i, c + 2 v_i) with weights w_i / Σw has the moments of N(0, c) up to order r.

r(m) ≥ 2m: take for s_i the zeros of the Hermite polynomial He_m, v_i = −1/2, and for w_i the
weights of Gauss quadrature. P_ℓ(s, −1/2) = He_ℓ(s)/ℓ!. For N(0, 1), E[p He_m] = E[p' He_{m−1}] = …
= E[p^(m)] = 0 if deg p < m. So He_m has m simple real zeros; quadrature at them is exact for
q He_m + rest with deg q ≤ m − 1, whence E_ℓ = E[He_ℓ]/ℓ! = 0 for 1 ≤ ℓ ≤ 2m − 1, and w_i = E[L_i²]
> 0 for the Lagrange polynomials L_i, as deg L_i² = 2m − 2. For m ≥ 2 some zero is not 0.

r(m) ≤ 2m: for a finite signed measure F let S(F) be the largest k such that continuous
φ_0, …, φ_k ≥ 0 with compact supports, each to the right of the one before, have ∫φ_i dF ≠ 0
alternating in sign. (i) S(G*F) ≤ S(F) for a Gaussian law G. Let ε > 0 and
g(x) = ∫_{y≥x} e^((x−y)/ε) dF/ε, that is g − εg' = F, −ε(e^(−x/ε) g)' = e^(−x/ε) F. If g alternates
at x_0 < … < x_k, so do the increments of e^(−x/ε) g over [x_0, x_1), …, [x_k, ∞), for it vanishes
at ∞; they are masses of −e^(−x/ε) F/ε, so k ≤ S(F). The same holds for −ε by reflection; both, n
times, are the multiplier (1 + τξ²/(2n))^(−n), which tends to exp(−τξ²/2); and S does not grow under
weak limits. (ii) A point mass adds at most 2 to S: a letter put into a word of signs adds at most
2 changes. (iii) So a combination of n distinct Gaussians, of variances ≥ 0 (0: a point mass), has
S ≤ 2(n − 1): take out the smallest variance by (i), then one component is a point mass, and (ii)
and induction. (Compare Kalai, Moitra and Valiant, STOC 2010.) (iv) For a solution of order r let
F = Σ w_i N(s_i, c + 2 v_i) − (Σw) N(0, c), with all variances positive. Some s_i ≠ 0, the weights
are positive and distinct Gaussians are linearly independent, so F ≠ 0. As S(F) ≤ 2m, pF ≥ 0 for
some polynomial p ≠ 0 of degree ≤ 2m, so ∫p dF > 0. But ∫p dF = 0 if deg p ≤ r. So r < 2m.

r2(m) = r(m): E_{ℓ1 ℓ2} are the coefficients of Σ w_i exp(p1 X + p2 XK + p3 K + p4 K²). Those with
ℓ1 = 0 are the old system in (p3, p4), so r2(m) ≤ r(m); and p1 = p2 = 0 embeds the old solutions.

Proved: r(m) = 2m for every m ≥ 2 by the argument above, with each identity in it checked here; the
points of Gauss and Hermite also one m at a time, in Q[x]/He_m; the absence of solutions of order 2m
once more, by elimination alone, for m = 2, and for m = 3 among the symmetric s = (−a, 0, a), v =
(u, z, u), w = (p, 1 − 2p, p). x is a number here; for x in R^d read p1·X. r2(m) = r(m) for every m;
for m ≥ 2 also if nontrivial means that some p1, p2, p3 or p4 is not 0. Not checked by machine: the
steps of (i), (iii) and (iv) that are analysis. The case m = 1 is different: r(1) = 1, as E_1 = w_1
s_1."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, product
from math import factorial

import pytest
import sympy as sp
from flint import fmpq, fmpq_poly

from identkit.claims.checks import Claim, mutations

ORDER = Claim(
    "polynomial-system-order",
    "r(m) = 2m for every m ≥ 2: r(2) = 4, r(3) = 6, r(4) = 8, …",
    "Ho and Nguyen 2016, Annals of Statistics (m = 2, 3); m ≥ 4: identkit (derived "
    "here; compare Kalai, Moitra and Valiant 2010)",
)
TWO_INDICES = Claim(
    "two-index-system-order",
    "the two-index system of softmax-gated Gaussian linear experts has r2(m) = r(m) for every m",
    "arXiv 2505.10860, Table 1 (m = 2, 3); all m: identkit (derived here)",
)


def left_side(order, s, v):
    """P_ℓ(s, v), as the system is written."""
    pairs = [(order - 2 * n, n) for n in range(order // 2 + 1)]
    return sum(s**i * v**j / (factorial(i) * factorial(j)) for i, j in pairs)


def hermite(m):
    """He_m, from He_{k+1} = x He_k − He_k'."""
    x, he = fmpq_poly([0, 1]), fmpq_poly([1])
    for _ in range(m):
        he = x * he - he.derivative()
    return he


def sum_over_roots(p, modulus):
    """Σ p(root) over the roots of the modulus, exactly: the trace of multiplication by p."""
    powers = range(modulus.degree())
    return sum(((p * fmpq_poly([0, 1]) ** k) % modulus)[k] for k in powers)


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6])
@mutations(
    {
        "they solve order 2m": {"m": 3, "below": 0},
        "the variances are −1/3": {"m": 3, "v": Fraction(-1, 3)},
        "the weights are equal": {"m": 3, "power": 0},
        "m = 1 has a nontrivial solution of order 1": {"m": 1},
    }
)
def test_gauss_hermite_points_solve_order_2m_minus_1(m, below=1, v=Fraction(-1, 2), power=2):
    """w_i = (m!/m²) / He_{m−1}(s_i)²; sums over the irrational zeros are exact, by traces."""
    he = hermite(m)
    x, v = fmpq_poly([0, 1]), fmpq(v.numerator, v.denominator)
    text = sum(sp.Rational(int(c.p), int(c.q)) * sp.Symbol("x") ** i for i, c in enumerate(he))
    assert he.gcd(he.derivative()).degree() == 0
    assert sp.count_roots(text) == m  # simple and all real, so 1/He_{m−1}² > 0
    assert he.degree() - (he[0] == 0) > 0, "every point is 0"
    common, inverse, _ = hermite(m - 1).xgcd(he)
    assert common == 1
    weight = inverse**power * fmpq(factorial(m), m**2)
    assert sum_over_roots(weight, he) == 1
    for order in range(1, 2 * m - below + 1):
        assert sum_over_roots(weight * left_side(order, x, fmpq_poly([v])), he) == 0, order
    return ORDER.finding("proved", f"m = {m}: a solution of order {2 * m - 1}, in Q[x]/He_{m}")


@mutations(
    {
        "quadrature at m points is exact in degree 2m": {"exact": (2, 0)},
        "v = −1/3 gives the polynomials He": {"v": Fraction(-1, 3)},
        "He is orthogonal for N(0, 2)": {"variance": 2},
        "L_i has degree m": {"lagrange": 0},
    }
)
def test_a_solution_of_order_2m_minus_1_for_every_m(
    exact=(2, -1), v=Fraction(-1, 2), variance=1, lagrange=-1
):
    """The steps of "r(m) ≥ 2m", for symbolic m."""
    x, s, t = sp.symbols("x s t")
    m = sp.Symbol("m", integer=True, positive=True)
    p, he = sp.Function("p")(x), sp.Function("He")(x)
    phi = sp.exp(-(x**2) / (2 * variance))
    # with He_{m+1} = x He_m − He_m': p He_{m+1} φ − p' He_m φ = −(p He_m φ)', of integral 0
    step = p * (x * he - he.diff(x)) - p.diff(x) * he
    assert sp.expand((step * phi + (p * he * phi).diff(x)) / phi) == 0
    # Σ P_ℓ t^ℓ gives (ℓ + 1) P_{ℓ+1} = s P_ℓ − P_ℓ', the recurrence of He_ℓ/ℓ!
    series = sp.exp(s * t + v * t**2)
    assert sp.simplify(series.diff(t) - (s * series - series.diff(s))) == 0
    degree = exact[0] * m + exact[1]
    assert (degree - m <= m - 1) == True  # noqa: E712  (the quotient by He_m has degree < m)
    assert (2 * (m + lagrange) <= degree) == True  # noqa: E712  (so w_i = E[L_i²])
    return ORDER.finding("proved", "r(m) ≥ 2m for every m ≥ 2: zeros of He_m, Gauss quadrature")


@mutations(
    {
        "there is none of order 2m − 1": {"order": (2, -1)},
        "a point mass adds one change of sign at most": {"gain": 1},
        "the multiplier tends to exp(−τξ²)": {"limit": 1},
        "weights may be negative": {"signs": (1, -1)},
        "N(s, c + v) has the series": {"factor": 1},
    }
)
def test_no_solution_of_order_2m_for_any_m(
    order=(2, 0), gain=2, limit=Fraction(1, 2), signs=(1, 1), factor=2
):
    """The steps of "r(m) ≤ 2m", (i) to (iv), for symbolic m."""
    x, s, v, c, t, xi = sp.symbols("x s v c t xi", real=True)
    eps, tau, n, p, q = sp.symbols("epsilon tau n p q", positive=True)
    m = sp.Symbol("m", integer=True, positive=True)
    # moments of N(s, c + 2v): the series of the system times that of N(0, c)
    assert sp.expand(s * t + (c + factor * v) * t**2 / 2 - c * t**2 / 2 - s * t - v * t**2) == 0
    # (i) the derivative of e^(−x/ε) g, and the limit of the multipliers
    g = sp.Function("g")(x)
    derivative = -eps * sp.exp(x / eps) * (sp.exp(-x / eps) * g).diff(x)
    assert sp.simplify(derivative - (g - eps * g.diff(x))) == 0
    inverse = ((1 - sp.I * eps * xi) * (1 + sp.I * eps * xi)).subs(eps, sp.sqrt(tau / (2 * n)))
    assert sp.simplify(inverse - (1 + tau * xi**2 / (2 * n))) == 0
    assert sp.limit(n * sp.log(sp.expand(inverse)), n, sp.oo) == limit * tau * xi**2
    # (ii) a letter more, between two letters (equal ones if it splits one) or at an end
    changes = lambda *word: sum(a != b for a, b in pairwise(word))  # noqa: E731
    inside = [changes(a, d, b) - changes(a, b) for a, d, b in product((-1, 1), repeat=3)]
    at_an_end = [changes(a, d) for a, d in product((-1, 1), repeat=2)]
    assert max(inside + at_an_end) == gain
    # (iii) m + 1 Gaussians, the first has no change of sign; (iv) atoms that coincide add up
    bound = gain * ((m + 1) - 1)
    assert (bound <= order[0] * m + order[1]) == True  # noqa: E712
    assert (signs[0] * p + signs[1] * q).is_positive
    return ORDER.finding(
        "proved",
        "r(m) ≤ 2m for every m: m + 1 Gaussians change sign at most 2m times; the analysis by hand",
    )


def zeros_inside(polynomial, variable, right):
    """How many zeros lie strictly between 0 and ``right``, by Sturm's theorem."""
    p = sp.Poly(polynomial, variable)
    return p.count_roots(0, right) - sum(p.eval(end) == 0 for end in (0, right))


@mutations({"none of order 3": {"none": 3}, "one of order 4": {"some": 4}})
def test_two_atoms_by_elimination(none=4, some=3):
    """Σw = 1 and E_1 = 0: s is (1 − w, −w) up to scaling, or trivial."""
    w, u, v = sp.symbols("w u v")
    left = [w * left_side(i, 1 - w, u) + (1 - w) * left_side(i, -w, v) for i in range(1, 5)]
    assert sp.expand(left[0]) == 0
    ((at_u, at_v),) = sp.linsolve(left[1:3], [u, v])  # unique: the determinant is not 0
    assert zeros_inside(sp.det(sp.Matrix(left[1:3]).jacobian([u, v])), w, 1) == 0
    left = [sp.expand(e.subs({u: at_u, v: at_v})) for e in left]
    solvable = lambda r: all(e == 0 or zeros_inside(e, w, 1) for e in left[:r])  # noqa: E731
    assert solvable(some)
    assert not solvable(none)
    return ORDER.finding("proved", "r(2) = 4 by elimination: E_4 ≠ 0 on all solutions of order 3")


@mutations({"none of order 5": {"none": 5}, "one of order 6": {"some": 6}})
def test_three_symmetric_atoms_by_elimination(none=6, some=5):
    """Odd equations hold, E_2 gives z; E_4 and E_6 are then polynomials in u over Q[p]."""
    p, u, z = sp.symbols("p u z")
    atoms = [(p, -1, u), (1 - 2 * p, 0, z), (p, 1, u)]
    left = {i: sp.expand(sum(w * left_side(i, s, v) for w, s, v in atoms)) for i in range(1, 7)}
    assert left[1] == left[3] == left[5] == 0
    (at_z,) = sp.solve(left[2], z)
    left = {i: sp.fraction(sp.factor(left[i].subs(z, at_z))) for i in (4, 6)}
    half = sp.Rational(1, 2)
    assert not any(zeros_inside(bottom, p, half) for _, bottom in left.values())
    fourth, sixth = (sp.Poly(top, u) for top, _ in left.values())

    def solvable(r):
        """E_4 has real zeros u for all p in (0, 1/2); does it share one with E_6 for some p?"""
        if r >= 6:
            return zeros_inside(sp.resultant(fourth, sixth), p, half) > 0
        discriminant = fourth.discriminant()
        assert fourth.degree() == 2
        return zeros_inside(discriminant, p, half) == 0 and discriminant.subs(p, half / 2) > 0

    assert solvable(some)
    assert not solvable(none)
    return ORDER.finding("proved", "r(3) = 6 among symmetric atoms, by elimination: a resultant")


def index_set(l1, l2, shared=1):
    """All α with α1 + α2 = ℓ1 and α2 + α3 + 2 α4 = ℓ2 (``shared``: α2 counts in both)."""
    ranges = (range(l1 + 1), range(l1 + 1), range(l2 + 1), range(l2 // 2 + 1))
    for a in product(*ranges):
        if a[0] + a[1] == l1 and shared * a[1] + a[2] + 2 * a[3] == l2:
            yield a


@mutations(
    {
        "a does not move the mean": {"shared": 0},
        "∂_ν is ∂²_μ": {"half": 1},
        "∂_ν is half of ∂_μ": {"nu": 1},
        "the leading coefficients are ν^(−j/2)": {"top": Fraction(1, 2)},
    }
)
def test_derivatives_reduce_to_two_indices(shared=1, half=Fraction(1, 2), nu=2, top=1):
    """F = exp(β1 x) N(y | ax + b, ν): Fourier transformed in y, ∂^α multiplies by Π rate_i^α_i.

    ∂^α F = 2^(−α4) x^(α1+α2) ∂_μ^(α2+α3+2α4) N · exp(β1 x). The x^i ∂_μ^j N are independent: as
    multiples of N they are polynomials in (x, y) with x^i y^j ν^(−j) as leading term in y.
    """
    x, k, beta, a, b, y = sp.symbols("x k beta a b y")
    n = sp.Symbol("nu", positive=True)
    transform = beta * x + sp.I * k * (a * x + b) - n * k**2 / 2
    rates = [transform.diff(parameter) for parameter in (beta, a, b, n)]
    assert not any(r.has(beta, a, b, n) for r in rates)
    mean = sp.I * k  # ∂_μ
    reduced = [x, x * mean**shared, mean, half * mean**nu]
    assert all(sp.expand(r - q) == 0 for r, q in zip(rates, reduced, strict=True))
    # ∂_μ(qN)/N = ∂_μ q + q (y − μ)/ν: one degree in y more, times 1/ν
    q, normal = sp.Function("q")(b, y), sp.exp(-((y - b) ** 2) / (2 * n))
    assert sp.simplify((q * normal).diff(b) / normal - q.diff(b) - q * (y - b) / n**top) == 0
    return TWO_INDICES.finding("proved", "reduction to the system, derivatives of every order")


@mutations(
    {
        "α2 enters one index only": {"shared": 0},
        "the old system is ℓ2 = 0": {"variable": 1},
        "p1 = 0 is enough to embed": {"zero": (0,)},
        "some p_i ≠ 0 is no weaker from order 3 on": {"agree": 3},
    }
)
def test_two_index_system_has_the_same_order(shared=1, variable=0, zero=(0, 1), agree=4):
    """The series of the system, its part ℓ1 = 0, and p1 = p2 = 0; m does not enter."""
    p = sp.symbols("p1:5")
    both = big_x, big_k = sp.symbols("X K")
    exponent = p[0] * big_x + p[1] * big_x * big_k + p[2] * big_k + p[3] * big_k**2
    series = sp.Poly(sum(exponent**j / sp.factorial(j) for j in range(agree + 1)), *both)
    left = {}
    for l1, l2 in product(range(agree + 1), repeat=2):
        if l1 + l2 <= agree:
            terms = [
                sp.prod(v**e / sp.factorial(e) for v, e in zip(p, a, strict=True))
                for a in index_set(l1, l2, shared)
            ]
            left[l1, l2] = sum(terms, sp.Integer(0))
            assert sp.expand(series.coeff_monomial(big_x**l1 * big_k**l2) - left[l1, l2]) == 0
    old = p[2] * big_k + p[3] * big_k**2
    assert sp.expand(exponent.subs(both[variable], 0) - old) == 0
    assert sp.expand(exponent.subs({p[i]: 0 for i in zero}) - old) == 0
    # p3 = 0 forces p4 = p1 = p2 = 0 from order 4 on: each has a sum of squares among the equations
    known = {p[2]: 0}
    for v in (p[3], p[0], p[1]):
        assert v**2 / 2 in [sp.expand(e.subs(known)) for e in left.values()], f"{v} ≠ 0 possible"
        known[v] = 0
    return TWO_INDICES.finding("proved", "every m: the part ℓ1 = 0, and p1 = p2 = 0; so r2(m) = 2m")
