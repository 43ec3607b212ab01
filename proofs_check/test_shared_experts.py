"""Shared experts: weights free of x, beside routed ones, under the Gaussian likelihood.

Setting (arXiv 2505.10860, DeepSeekMoE): p(y|x) = ½ Σ_a ω_a N(y | h1(x, κ_a), τ_a) +
½ Σ_i w_i(x) N(y | h2(x, η_i), ν_i), Σω = 1, w the weights of a gate. Assume fitted weights bounded
away from 0 and, for almost every x, distinct pairs (mean, variance) of all true atoms, shared and
routed.

Statements.

1. *Criterion.* A fitted measure tends to the true one with cells around each true atom. By
   statement 2 of test_gaussian_blocks the derivatives of N at distinct pairs are independent
   functions of y, so p_G − p_* is o(loss) only if the blocks of each true atom are, and those of a
   shared one are its own: with constant weights the expansion of a cell, in ω_i, Δκ_i, Δτ_i, is
   that of test_gaussian_blocks 3 without Δβ1 and Δβ0, and Σω_i − ω* on N. So Σω_i − ω* = o(loss),
   M_ττ = 0 by N'''', M_κτ = 0 as M ⪰ 0, and what is left on N' and N'' is the criterion of a
   routed atom. The routed half is multiplied by ½ and divided by its own sum, as alone. A mixture
   with constant weights and no routed half is the case without them.
2. *Exchange.* If the routed gates are constant in x (all β1 equal under softmax, all β1 = 0 under
   the normalized sigmoid) and h1 = h2, then shared (ω_a; κ_a, τ_a), routed (w_i; η_i, ν_i) and
   shared (w_i; η_i, ν_i), routed (ω_a; κ_a, τ_a) have the same density. The truths T1 and T2 of the
   paper's simulations have equal slopes, β1 = 5; that of T3 has β1 = 0.

Proved: 1 by the argument above, with the expansion computed; 2, with the numbers of T2 to 50
digits.
"""

from __future__ import annotations

import mpmath
import sympy as sp

from identkit.claims.checks import Claim, mutations

CRITERION = Claim(
    "gaussian-shared-criterion",
    "Weights free of x, Gaussian likelihood, distinct pairs, fitted weights bounded away from 0: a "
    "shared atom is degenerate iff some M ⪰ 0, not 0, with m and m_τ has m·∇h + ½M:∇²h ≡ 0 and "
    "∇hᵀM∇h ≡ −m_τ, whatever is routed beside it",
    "identkit (derived here)",
)
EXCHANGE = Claim(
    "gaussian-constant-gate-exchange",
    "With routed gates constant in x and equal expert functions, the shared and the routed half "
    "can be exchanged: another measure with the same density; so in the truths T1, T2 and T3 of "
    "arXiv 2505.10860",
    "identkit (derived here), on arXiv 2505.10860, simulations",
)
y, mu, g, H, n, w, rho, t = sp.symbols("y mu g H n w rho t", real=True)
nu = sp.symbols("nu", positive=True)
STATED = {0: rho, 1: w * (g + H / 2), 2: w * (n + g**2) / 2, 3: w * g * n / 2, 4: w * n**2 / 8}


@mutations(
    {
        "the weight has no part of its own": {"stated": STATED | {0: sp.Integer(0)}},
        "the Hessian shows in N''": {"stated": STATED | {2: w * (n + g**2 + H) / 2}},
        "N'''' has M_ττ/4": {"stated": STATED | {4: w * n**2 / 4}},
    }
)
def test_a_cell_with_constant_weight(stated=STATED):
    """(w + t²ρ) N(y | μ + tg + ½t²H, ν + tn) to t²; derivatives of N from ∂_ν N = ½N''."""
    density = sp.exp(-((y - mu) ** 2) / (2 * nu)) / sp.sqrt(2 * sp.pi * nu)
    moved = (w + t**2 * rho) * density.subs(
        {mu: mu + t * g + t**2 * H / 2, nu: nu + t * n}, simultaneous=True
    )
    second = sum(sp.diff(moved, t, k).subs(t, 0) / sp.factorial(k) for k in (1, 2))
    combination = sum(c * sp.diff(density, mu, k) for k, c in stated.items())
    assert sp.simplify((second - combination) / density) == 0
    return CRITERION.finding("proved", "expansion of a cell; blocks by independence in y")


T2 = {
    "shared": [("1", "2", "0", ".2")],
    "routed": [("-.5", "8", "2", ".4"), (".5", "-6", "1", ".4")],
}


@mutations(
    {
        "another slope of one gate": {"slopes": ("5", "5.1")},
        "weights exchanged among atoms": {"order": (1, 0)},
    }
)
def test_the_truth_t2_has_another_measure(slopes=("5", "5"), order=(0, 1)):
    """p of T2 and of the exchanged measure at points of x and y, to 50 digits."""
    with mpmath.workdps(60):
        number = mpmath.mpf

        def normal(x, at, a, b, variance):
            gap = at - number(a) * x - number(b)
            size = mpmath.sqrt(2 * mpmath.pi * number(variance))
            return mpmath.exp(-gap * gap / (2 * number(variance))) / size

        sizes = [mpmath.exp(number(beta0)) for beta0, *_ in T2["routed"]]
        constant = [s / sum(sizes) for s in sizes]
        assert mpmath.nstr(constant[0], 16) == "0.2689414213699951"
        (one,) = T2["shared"]
        for i in range(7):
            x = number(2 * i - 6) / 2
            scores = [s * mpmath.exp(number(b) * x) for s, b in zip(sizes, slopes, strict=True)]
            for j in range(5):
                at = number(3 * j - 6) / 2
                routed = [normal(x, at, *atom[1:]) for atom in T2["routed"]]
                given = sum(s * v for s, v in zip(scores, routed, strict=True)) / sum(scores)
                other = sum(constant[k] * v for k, v in zip(order, routed, strict=True))
                shared = normal(x, at, *one[1:])
                gap = (shared + given) / 2 - (other + shared) / 2
                assert abs(gap) < number(10) ** -50 * (shared + given + 1)
    return EXCHANGE.finding("proved", "the halves are sums of constants times N; T2 to 50 digits")
