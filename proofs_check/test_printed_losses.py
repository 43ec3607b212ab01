"""Losses of densities: what the printed ones do not divide out, and one point for a scale orbit.

Setting (arXiv 2505.10860). p(y|x) = ½ Σ_a ω_a N(y | h1(x, κ_a), τ_a) + ½ Σ_i w_i(x)
N(y | h2(x, η_i), ν_i), or the routed half alone. D1 … D5 are the losses of its theorems: weights
e^β0 or σ(β0), distances of (κ, τ) and of (β1, η, ν) as they are written down.

Statements.

1. None of D1 … D5 is a function of the density alone: there are measures with the same p at
   positive distance. *Shift*: w stays under (β0, β1) → (β0 + t0, β1 + t1); one atom and its image
   have D1 = D2 = D5 = |e^t0 − 1| + e^t0·|t1|. *Scale orbits*: c·relu(ax) and c·silu(ax)·(ux) stay
   under (c, a) → (cr, a/r), (c, u) → (cr, u/r), r > 0; D1 = D3 = D4 = √((c − cr)² + (a − a/r)²) for
   one atom. *Factor of σ*: where all slopes are 0, w stays under σ(β0) → cσ(β0), and D3 = Σ|Δβ0|.
   *Exchange*: one shared and one routed atom of constants a, b and b, a; D1 = D2 = D3 = 2|a − b|.
2. Let integers k_u be given, not all 0, and let η_u ≠ 0 for some u with k_u > 0 and some with
   k_u < 0. On the orbit {(e^{k_u s} η_u)} there is exactly one point of least length, the same for
   all points of the orbit. If the η_u ≠ 0 that move all have k_u > 0, or all k_u < 0, the least
   length is approached only as s → ∓∞, where these η_u go to 0. So the point of least length in the
   closure of the orbit is a function of the orbit, and points of different closed orbits differ.
   The same holds for several scalings at once, s ∈ R^F, where the infimum is attained.

Proved. 1: computed below, exactly. 2: F(s) = Σ_u e^{2k_u s} η_u² has F″ = 4 Σ k_u² e^{2k_u s} η_u²
> 0, and F → ∞ at both ends in the first case, F is monotone in the second. A shift of s only
changes the parameter of the orbit, so the point is the orbit's. Closed orbits are disjoint, and so
are points on them. For several scalings F is convex, and where two points have the least length F
is constant on the segment between them, so that no η_u ≠ 0 moves along it: they are one point. For
c·relu(aᵀx + b) the point has c² = ‖a‖² + b²: computed.
"""

from __future__ import annotations

import sympy as sp

from identkit.claims.checks import Claim, mutations

PRINTED = Claim(
    "printed-losses-not-invariant",
    "D1 to D5 of arXiv 2505.10860 are not functions of the density: D1, D2, D5 change under common "
    "shifts of (β0, β1), D1, D3, D4 along scale orbits of experts, D3 under the factor of σ where "
    "all slopes are 0, D1 to D3 under exchanges of halves with constant gates",
    "identkit (derived here), on arXiv 2505.10860",
)
SHORTEST = Claim(
    "scale-orbit-shortest-point",
    "An orbit η_u → e^{k_u s} η_u has one point of least length if both signs of k_u occur among "
    "the η_u ≠ 0; else its closure has, where those η_u are 0. It depends on the orbit alone; for "
    "c·relu(aᵀx + b) it has c² = ‖a‖² + b²",
    "identkit (derived here)",
)
HALF, MOVE = sp.Rational(1, 2), (sp.log(2), 3)
x, t0, t1, s = sp.symbols("x t0 t1 s", real=True)
r, c, a, b, u = sp.symbols("r c a b u", positive=True)


def _sigma(z):
    return 1 / (1 + sp.exp(-z))


def _softmax(gates):
    weights = [sp.exp(slope * x + offset) for offset, slope in gates]
    return [w / sum(weights) for w in weights]


def _exact_cell(weight, true_weight, gate, expert):
    """|e^β0 − e^β0*| + e^β0 (|Δβ1| + ‖Δη‖) of one fitted and one true atom of equal variance."""
    return abs(weight - true_weight) + weight * (abs(gate) + expert)


@mutations(
    {
        "slopes are multiplied": {"act": lambda o, k: (o + t0, k * t1)},
        "the image is the truth": {"amount": (0, 0)},
    }
)
def test_common_shift(act=lambda o, k: (o + t0, k + t1), amount=MOVE):
    """The weights of two free gates stay; D1, D2, D5 of one atom are |e^t0 − 1| + e^t0·|t1|."""
    b0, b1, c0, c1 = sp.symbols("b0 b1 c0 c1", real=True)
    gates = [(b0, b1), (c0, c1)]
    before, after = _softmax(gates), _softmax([act(*g) for g in gates])
    for one, other in zip(before, after, strict=True):
        assert sp.simplify(sp.expand(one / other) - 1) == 0
    value = _exact_cell(sp.exp(amount[0]), 1, amount[1], 0)
    assert value == 7
    return PRINTED.finding("proved", "(β0, β1) + (log 2, 3): D1 = D2 = D5 = 7 for one atom")


@mutations(
    {
        "only c moves": {"inner": lambda value: value},
        "both grow": {"inner": lambda value: value * r},
    }
)
def test_scale_orbits(inner=lambda value: value / r):
    """relu(z) = max(z, 0), silu(z) = zσ(z): the function stays, the parameters do not."""
    # relu(z/r) = relu(z)/r for r > 0 on either side of the kink
    for side in (0, 1):
        assert sp.simplify(side * (c * r * inner(a) * x - c * a * x)) == 0
    assert (
        sp.simplify(
            c * r * a * x * _sigma(a * x) * inner(u) * x - c * a * x * _sigma(a * x) * u * x
        )
        == 0
    )
    moved = {c: 1, a: 2, r: 2}
    gap = sp.sqrt((c * r - c) ** 2 + (inner(a) - a) ** 2).subs(moved)
    assert gap == sp.sqrt(2)
    return PRINTED.finding("proved", "(c, a) = (1, 2) and (2, 1): D1 = D3 = D4 = √2 for one atom")


@mutations(
    {
        "the factor is a shift of β0": {"image": lambda o, f: o + sp.log(f)},
        "the slopes are not 0": {"slope": 1},
    }
)
def test_factor_of_sigma(image=lambda o, f: sp.log(f) - sp.log(1 + sp.exp(-o) - f), slope=0):
    """σ(β0) → fσ(β0): weights of two free offsets stay; from σ = ½ to ¼ |Δβ0| = log 3 each."""
    b0, c0 = sp.symbols("b0 c0", real=True)
    f = sp.Symbol("f", positive=True)

    def ratio(first, other):
        return _sigma(first + slope * x) / _sigma(other + slope * x)

    gap = ratio(image(b0, f), image(c0, f)) - ratio(b0, c0)
    assert sp.simplify(gap.rewrite(sp.exp)) == 0
    changes = [abs(image(sp.Integer(0), sp.Rational(1, 2))) for _ in range(2)]
    assert sp.simplify(sum(changes) - 2 * sp.log(3)) == 0
    return PRINTED.finding("proved", "σ(β0) from ½ to ¼ for two atoms: D3 = 2·log 3")


@mutations(
    {
        "different variances": {"variances": (1, 2)},
        "the same constants": {"values": (1, 1)},
        "the halves have different weights": {"half": sp.Rational(1, 3)},
    }
)
def test_exchange_of_halves(values=(1, 2), variances=(1, 1), half=HALF):
    """p = ½N(a) + ½N(b) either way; |Δκ| + |Δη| = 2|a − b|."""
    y = sp.Symbol("y", real=True)

    def density(shared, routed):
        parts = [(half, shared, variances[0]), (1 - half, routed, variances[1])]
        return sum(
            w * sp.exp(-((y - m) ** 2) / (2 * v)) / sp.sqrt(2 * sp.pi * v) for w, m, v in parts
        )

    first, other = values
    assert sp.simplify(density(first, other) - density(other, first)) == 0
    value = _exact_cell(1, 1, 0, abs(first - other)) + abs(first - other)
    assert value == 2
    return PRINTED.finding("proved", "constants 1 and 2 exchanged: D1 = D2 = D3 = 2")


@mutations(
    {
        "powers of one sign": {"powers": (1, 1)},
        "c does not move": {"powers": (0, -1)},
    }
)
def test_one_shortest_point(powers=(1, -1)):
    """F(s) = e^{2k s}c² + e^{−2l s}(a² + b²): convex, unbounded at both ends, and its minimum."""
    k, m = powers
    length = sp.exp(2 * k * s) * c**2 + sp.exp(2 * m * s) * (a**2 + b**2)
    assert sp.diff(length, s, 2).is_positive
    for end in (sp.oo, -sp.oo):
        assert sp.limit(length.subs({c: 2, a: 1, b: 3}), s, end) == sp.oo
    at = sp.log((a**2 + b**2) / c**2) / 4
    assert sp.simplify(sp.diff(length, s).subs(s, at)) == 0
    shortest = [(sp.exp(k * at) * c) ** 2, sp.exp(2 * m * at) * (a**2 + b**2)]
    assert sp.simplify(shortest[0] - shortest[1]) == 0
    # and it is the orbit's: the same from any other point of it
    moved = {c: c * r**k, a: a * r**m, b: b * r**m}
    assert sp.simplify(shortest[0].subs(moved, simultaneous=True) - shortest[0]) == 0
    return SHORTEST.finding(
        "proved", "c² = ‖a‖² + b² for c·relu(aᵀx + b); the rest by the argument"
    )


@mutations({"another sign": {"sign": -1}})
def test_orbits_that_are_not_closed(sign=1):
    """c = 0: the length falls to 0 as s → ∞, and does so nowhere else."""
    length = sp.exp(-2 * sign * s) * (a**2 + b**2)
    assert sp.diff(length, s).is_negative
    assert sp.limit(length.subs({a: 1, b: 2}), s, sp.oo) == 0
    return SHORTEST.finding("proved", "c = 0: the point of the closure is 0")
