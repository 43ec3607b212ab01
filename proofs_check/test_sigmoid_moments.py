"""The moments of the sigmoid gate in Regime 1: M_ββ ⪰ 0, although some σ'' may be negative.

Statement (theory section 4; not published). Let s_i ∈ (0, 1), β_i ∈ R^d, i ≤ m, Σs_i < 1 and
Σ s_i' β_i = 0, where s' = s(1−s), s'' = s'(1−2s) are σ' and σ'' at logit s. Then
M_ββ = Σ s_i'' β_i β_iᵀ ⪰ 0, and M_ββ v = 0 only if v·β_i = 0 for every i. So M_ββ = 0 only if every
β_i = 0, and M_βη = Σ s_i' β_i Δη_iᵀ has its column space in that of M_ββ, its row space in that of
M_ηη = Σ s_i Δη_i Δη_iᵀ. The hypothesis is sharp: for m = 2, β ≠ 0, M_ββ has the sign of
1 − s_1 − s_2.

Proof, all m and d. Fix v and let u_i = v·β_i, p_i = s_i'. Then Σp_i u_i = 0, and
vᵀM_ββ v = Σ p_i(1−2s_i)u_i². If all s_i ≤ 1/2, each term is ≥ 0, and at most one factor 1−2s_i
is 0, whose u_i follows from the others. Otherwise one s_1 > 1/2. If m = 1, u_1 = 0. Else let, over
the other atoms, Q = Σ p_i(1−2s_i)u_i², L = Σ p_i u_i, S = Σ s_i < 1 − s_1 < 1/2, G = Σ g(s_i) with
g(s) = s'/(1−2s), and T = g(1−s_1). Then
(a) D = GQ − L² ≥ 0 (Cauchy–Schwarz), by induction: one more atom makes it (1 + g/G)D + a square;
(b) G ≤ g(S) by induction, as g(S+s) > g(S) + g(s) for S, s > 0, S + s < 1/2; and g(S) < T;
(c) vᵀM_ββ v = (1 − G/T)Q + D/T ≥ 0, and it is 0 only if Q = 0: u_i = 0 for i ≥ 2, so u_1 = 0.
As M_ββ ⪰ 0, M_ββ v = 0 means vᵀM_ββ v = 0.

Proved: all of it. (a), (b), (c) are identities and inequalities in free symbols; an inequality is
proved when a substitution that covers its domain leaves positive coefficients only.
"""

from __future__ import annotations

import random

import pytest
import sympy as sp

from identkit.claims.checks import Claim, mutations

LEMMA = Claim(
    "sigmoid-moments",
    "Σs_i < 1 and Σs_i'β_i = 0 imply M_ββ = Σs_i''β_iβ_iᵀ ⪰ 0, with M_ββ v = 0 only if all "
    "v·β_i = 0; sharp: for two atoms M_ββ has the sign of 1 − Σs_i",
    "identkit (derived here)",
)
HALF = sp.Rational(1, 2)
s, r, u = sp.symbols("s r u", real=True)
G, Q, L = sp.symbols("G Q L")  # of any number of atoms, see the proof
α, γ = sp.symbols("α γ", positive=True)


def first(weight):
    """σ' where σ = weight."""
    return weight * (1 - weight)


def second(weight):
    """σ'' where σ = weight."""
    return first(weight) * (1 - 2 * weight)


def g(weight):
    return first(weight) / (1 - 2 * weight)


def positive(fraction):
    """Numerator and denominator have positive coefficients only, in positive symbols."""
    for part in sp.fraction(sp.cancel(sp.together(fraction))):
        coefficients = sp.Poly(part, α, γ).coeffs()
        if not all(value > 0 for value in coefficients):
            return False
    return True


@mutations({"σ'' = σ'(1−σ)": {"factor": 1}, "σ'' = σ'(1−3σ)": {"factor": 3}})
def test_derivatives_of_the_sigmoid(factor=2):
    z = sp.symbols("z", real=True)
    sigma = 1 / (1 + sp.exp(-z))
    assert sp.simplify(sp.diff(sigma, z) - first(sigma)) == 0
    assert sp.simplify(sp.diff(sigma, z, 2) - first(sigma) * (1 - factor * sigma)) == 0
    assert sp.expand(second(s) - first(s) * (1 - factor * s)) == 0
    return LEMMA.finding("proved", "s', s'' in terms of s")


@mutations({"another square": {"minus": 0}, "the opposite sign of L": {"minus": -1}})
def test_cauchy_schwarz_by_induction(minus=1):
    """(a): from (G, Q, L) to one more atom (s, u), with any number of atoms before. D = 0 at first.

    s < 1/2, so g(s) > 0, and G > 0: both terms are ≥ 0.
    """
    more = (G + g(s)) * (Q + second(s) * u**2) - (L + first(s) * u) ** 2
    square = (g(s) * L - minus * G * first(s) * u) ** 2 / (G * g(s))
    assert sp.cancel(more - (1 + g(s) / G) * (G * Q - L**2) - square) == 0
    assert sp.cancel(g(s) * second(s) * u**2 - (first(s) * u) ** 2) == 0
    assert positive(g(HALF * α / (1 + α)))
    return LEMMA.finding("proved", "Cauchy–Schwarz, all m: induction step as an identity")


@mutations(
    {
        "g is superadditive up to S + s < 1": {"bound": 1},
        "g is superadditive up to S + s < 0.51": {"bound": sp.Rational(51, 100)},
        "g is subadditive": {"sign": -1},
    }
)
def test_g_is_superadditive(bound=HALF, sign=1):
    """(b): S, s = bound·(α, γ)/(1 + α + γ) is every pair of positives with S + s < bound.

    As g > 0, g is also increasing.
    """
    left, right = (bound * part / (1 + α + γ) for part in (α, γ))
    assert positive(sign * (g(left + right) - g(left) - g(right)))
    return LEMMA.finding("proved", "superadditivity for two, by induction for all m")


@mutations(
    {
        "Σs_i < 5/4 is enough": {"total": sp.Rational(5, 4)},
        "Σs_i < 1.001 is enough": {"total": sp.Rational(1001, 1000)},
        "one atom has weight 1/3 or more": {"heavy": sp.Rational(1, 3)},
    }
)
def test_one_heavy_atom_is_outweighed(total=1, heavy=HALF):
    """G ≤ g(S) < T = g(1−s_1) and S < 1/2: s_1 > heavy is any, S > 0 is any below total − s_1."""
    s1 = (1 + heavy * γ) / (1 + γ)
    rest = (total - s1) * α / (1 + α)
    assert positive(g(1 - s1) - g(rest))
    assert positive(HALF - rest)
    return LEMMA.finding("proved", "G < T: positive coefficients")


@mutations(
    {
        "Σ s_i β_i = 0 instead of Σ s_i' β_i = 0": {"moment": lambda weight: weight},
        "the heavy atom enters with the others' sign": {"sign": -1},
    }
)
def test_the_form_is_a_sum_of_nonnegative_terms(moment=first, sign=1):
    """(c): u_1 is given by the first moment; Q, L and G are those of any number of other atoms."""
    s1 = sp.symbols("s1", positive=True)
    top = g(1 - s1)
    head = -L / moment(s1)
    form = sign * second(s1) * head**2 + Q
    assert sp.cancel(form - (1 - G / top) * Q - (G * Q - L**2) / top) == 0
    return LEMMA.finding("proved", "vᵀM_ββ v = (1 − G/T)Q + D/T, with every v: all m and d")


@mutations(
    {
        "Σs_i ≤ 1 is enough": {"hypothesis": lambda total: total <= 1},
        "no hypothesis is needed": {"hypothesis": lambda total: True},
        "M_ββ has the sign of 3/2 − Σs_i": {"threshold": sp.Rational(3, 2)},
    }
)
def test_the_hypothesis_is_sharp_for_two_atoms(threshold=1, hypothesis=lambda total: total < 1):
    """β = t(p_2, −p_1): M_ββ = p_1p_2t²(1 − s_1 − s_2)(s_1(1−s_2) + s_2(1−s_1)).

    So M_ββ > 0, = 0, < 0 for Σs_i <, =, > 1: every pair of weights with Σs_i ≥ 1 is a
    counterexample. E.g. s = (3/4, 1/4): M_ββ = 0 with β = (1, −1).
    """
    betas = first(r) * u, -first(s) * u
    assert sp.expand(first(s) * betas[0] + first(r) * betas[1]) == 0
    moment = second(s) * betas[0] ** 2 + second(r) * betas[1] ** 2
    rest = first(s) * first(r) * u**2 * (s * (1 - r) + r * (1 - s))
    assert sp.expand(moment - rest * (threshold - s - r)) == 0
    heavy = sp.Rational(3, 4)
    for light in (sp.Rational(n, 100) for n in (20, 25, 26, 50)):
        definite = moment.subs({s: heavy, r: light, u: 1}) > 0
        assert definite == hypothesis(heavy + light)
    return LEMMA.finding("proved", "sharpness: every pair with Σs_i ≥ 1 is a counterexample")


def _configuration(rng, dim, total):
    """Weights with s_1 > 1/2 and Σs_i = total·(something < 1), β with Σ s_i'β_i = 0; rationals."""
    count = rng.randint(2, 5)
    head = sp.Rational(rng.randint(51, 98), 100)
    parts = [rng.randint(1, 50) for _ in range(count - 1)]
    room = (total - head) * sp.Rational(rng.randint(900, 999), 1000)
    weights = [head, *(room * part / sum(parts) for part in parts)]
    betas = sp.Matrix(count - 1, dim, lambda *_: rng.randint(-9, 9))
    slopes = sp.Matrix([[first(weight) for weight in weights[1:]]])
    return weights, sp.Matrix.vstack(-slopes * betas / first(head), betas)


@pytest.mark.parametrize("dim", [1, 2, 3])
@mutations(
    {
        "Σs_i up to 3/2": {"dim": 2, "total": sp.Rational(3, 2)},
        "the first moment need not vanish": {"dim": 2, "centred": False},
    }
)
def test_ranges_of_the_moments(dim, total=1, centred=True):
    """vᵀM_βη w = Σ s_i'(v·β_i)(w·Δη_i) vanishes where M_ββ v = 0 or M_ηη w = 0, by the lemma.

    The whole in rationals, two to five atoms in R^d: M_ββ ⪰ 0 (signs of the characteristic
    polynomial), rank M_ββ = rank (β_i), and M_βη adds to the ranges of neither M_ββ nor M_ηη.
    """
    rng = random.Random(dim)
    for _ in range(12):
        weights, betas = _configuration(rng, dim, total)
        if not centred:
            betas[0, :] *= 3
        etas = sp.Matrix(len(weights), 2, lambda *_: rng.randint(-3, 3))
        diagonal = [sp.diag(*map(f, weights)) for f in (second, first, lambda weight: weight)]
        bb = betas.T * diagonal[0] * betas
        be = betas.T * diagonal[1] * etas
        ee = etas.T * diagonal[2] * etas
        signs = bb.charpoly().all_coeffs()
        assert all((-1) ** n * value >= 0 for n, value in enumerate(signs))
        assert bb.rank() == betas.rank() == bb.row_join(be).rank()
        assert ee.rank() == ee.row_join(be.T).rank()
    return LEMMA.finding("proved", "ranges of M_βη: by the lemma; also 36 rational configurations")
