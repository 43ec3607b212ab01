"""Sigmoid gates with a temperature, and with a Euclidean score.

Statements.

1. *Temperature.* σ((β1ᵀx + β0)/τ), one τ > 0 of all atoms: (β1, β0, τ) → c·(β1, β0, τ), c > 0,
   leaves every weight as it is, so τ is not identified; every measure has exactly one image with τ
   = 1, where the gate is σ(β1ᵀx + β0). What is proved of the sigmoid gate holds there.
2. *Euclidean score.* ω_i, ω ∈ R^d, β0_i, β0 ∈ R. If Σ_{i ≤ m} σ(β0_i − ‖x − ω_i‖²) = σ(β0 − ‖x −
   ω‖²) on an open set of x then m = 1. Proof. Both sides are analytic: the identity holds for all
   x. Let z = e^{−‖x‖²}, a_i = e^{β0_i − ‖ω_i‖²} > 0, g_i = a_i e^{2ω_i·x}: σ = z g_i/(1 + z g_i) =
   z g_i − z²g_i² + … for large ‖x‖, along every ray. Times e^{‖x‖²}, the difference of both sides
   is Σ g_i − g + O(e^{−‖x‖²/2}); an exponential polynomial that tends to 0 so fast along every line
   is 0 (its restriction to a line is Σ c_n e^{λ_n s}, whose largest term would win). So Σ_i a_i
   e^{2ω_i·x} = a e^{2ω·x}; all a_i > 0, so all ω_i = ω and Σ a_i = a (a). Next, times e^{2‖x‖²}: Σ
   a_i² = a² in the same way, and with a_i > 0 only one of them is not 0 (b). The same for Σ_i σ_i
   h(x, η_i) with all η_i tending to η*, h(·, η*) not 0: at a limit of fitted atoms of bounded
   parameters whose f_G tends to f_G*, the cell has Σ σ_i = σ* where h(x, η*) ≠ 0, an open set, so
   it is one atom. Where the η_i tend to different limits, or atoms of different cells make up for
   each other, f_G* has an exact refit with more atoms: that it has none is the premise, as in
   Regime 2 of the sigmoid gate (test_regime_2_premise: a null expert and c·φ break it under this
   gate too). Under it f_G of k > k* atoms does not tend to f_G* at all, and what is estimated is a
   population minimiser, taken to be unique. Around its distinct atoms the expansion stops at first
   order: only ∂_β0 F, ∂_ω F, ∂_η F, F = σ·h, enter, and ‖f_G − f_Ḡ‖ ≥ c·Σ‖Δ‖ near it if these are
   independent over atoms.

Proved: by the arguments; (a) and (b) are computed.
"""

from __future__ import annotations

import pytest
import sympy as sp

from identkit.claims.checks import Claim, mutations

SOURCE = "identkit (derived here), on arXiv 2602.01466"
SCALE = Claim(
    "sigmoid-temperature-scale",
    "σ((β1ᵀx + β0)/τ): (β1, β0, τ) → c·(β1, β0, τ) leaves every weight as it is; one has τ = 1",
    SOURCE,
)
SHARING = Claim(
    "euclidean-gate-sharing",
    "Σ σ(β0_i − ‖x − ω_i‖²) of two or more atoms is never σ(β0 − ‖x − ω‖²)",
    SOURCE,
)


@mutations({"β0 stays": {"offset": 0}, "τ is squared": {"power": 2}})
def test_the_scale_of_a_temperature(offset=1, power=1):
    """The score is homogeneous of degree 0 in (β1, β0, τ)."""
    b, a, x = sp.symbols("beta1 beta0 x", real=True)
    tau, c = sp.symbols("tau c", positive=True)
    moved = (c * b * x + c**offset * a) / (c**power * tau)
    assert sp.simplify(moved - (b * x + a) / tau) == 0
    return SCALE.finding("proved", "every c > 0")


@pytest.mark.parametrize("atoms", [2, 3])
@mutations({"a_i of any sign": {"atoms": 2, "positive": False}})
def test_weights_with_equal_sums_and_squares(atoms, positive=True):
    """(b): Σ a_i = a and Σ a_i² = a² make Σ_{i<j} a_i a_j = 0, so that at most one is not 0."""
    a = sp.symbols(f"a1:{atoms + 1}", positive=positive, real=True)
    cross = sp.expand((sum(a) ** 2 - sum(v**2 for v in a)) / 2)
    assert cross == sum(u * v for i, u in enumerate(a) for v in a[i + 1 :])
    assert cross.is_positive
    return SHARING.finding("proved", f"{atoms} atoms")


@mutations({"the second term is positive": {"sign": 1}})
def test_the_expansion_of_the_weight(sign=-1):
    """(a): σ(β0 − ‖x − ω‖²) = z g − z² g² + O(z³), g = e^{β0 − ω² + 2ωx}, z = e^{−x²}."""
    z, g, w, x, b = sp.symbols("z g omega x beta0", positive=True)
    weight = z * g / (1 + z * g)
    assert sp.expand(sp.series(weight, z, 0, 3).removeO() - (z * g + sign * z**2 * g**2)) == 0
    score = sp.expand(b - (x - w) ** 2)
    assert sp.simplify(score - (-(x**2) + b - w**2 + 2 * w * x)) == 0
    return SHARING.finding("proved", "two terms")
