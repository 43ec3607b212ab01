"""Softmax: splitting every true atom along the gate changes nothing; n^-1/4 needs an exact cell.

Statements. Let G* have k* atoms (β0_j, β1_j, η_j), with the experts h_j = h(·, η_j) arbitrary
functions on R^d.

1. *Common spreading* (theory section 4; not published). Replace every atom by two,
   (β0_j − log 2, β1_j ± t, η_j), t ∈ R^d. Then f_G = f_G* exactly: numerator and denominator are
   both multiplied by cosh(t·x). For k > 2k* divide atoms of G into equal ones (as a measure G has
   2k* atoms, and the published class is that of measures with at most k).
2. The Voronoi loss of it, of order r ≥ 1, minimised over the gauge, satisfies
   L(G, G*) ≥ ½ min(‖t‖, δ, 1)^r, δ = min_{j≠l} ‖η_j − η_l‖, weights summing to 1 in G*.
3. Hence the inequality ‖f_G − f_G*‖ ≥ c·L(G, G*) near G*, on which the published rate n^-1/4 for
   strongly identifiable experts rests, and which is stated for every k > k*, fails for every
   k ≥ 2k*, for every expert with distinct η_j: G → G* as t → 0, with L > 0 = ‖f_G − f_G*‖. And no
   estimator is consistent in L over a class that holds G* and G, the same law of the data: were
   L(Ĝ, G*) and L(Ĝ, G) both small, then in some gauge the slopes of the atoms of Ĝ with η near η_j
   would lie near one point with nearly all their weight, and in another near two points 2‖t‖ apart
   with half of it each; but shifts keep differences.
4. For k < 2k*, if no cell is empty, some cell has exactly one atom. Such a cell excludes the
   spreading: at second order, where the common polynomial of 5 has no quadratic part, and exactly.
5. What the denominator pins: with E_j = exp(β0_j + β1_j·x), f* = ΣE_jh_j/ΣE_j and any functions
   P_j, Σ_j P_j E_j (h_j − f*) = Σ_{j<l} (P_j − P_l) E_j E_l (h_j − h_l)/Σ_j E_j. So it vanishes
   if all P_j are equal, and only then if the E_j E_l (h_j − h_l) allow no other relation with
   coefficients P_j − P_l (k* = 2: always), P_j = m0_j + m_βj·x + ½ xᵀM_j x.

Proved: 1, 2 and the identity of 5 for every k*, d and r, arbitrary experts; 4 for every d and any
number of atoms. 3 follows. Not proved here: the published rate for k* < k < 2k*; and what a least
squares estimate, one of many minimisers of a noisy problem, does when k ≥ 2k*.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from identkit import MixingMeasure
from identkit.claims.checks import Claim, mutations
from identkit.losses import voronoi

SPREADING = Claim(
    "softmax-common-spreading",
    "Softmax: splitting every atom into two with gates β1 ± t leaves f unchanged, for any expert, "
    "number of atoms and t; the Voronoi loss of order r is at least ½ min(‖t‖, δ, 1)^r",
    "identkit (derived here)",
)
PUBLISHED = Claim(
    "softmax-rate-for-every-k",
    "Softmax, strongly identifiable experts: ‖f_G − f_G*‖ bounds the Voronoi loss near G*, hence "
    "n^-1/4 for over-specified atoms, for every number k > k* of fitted atoms",
    "arXiv 2402.02952, 2503.03213: theorem on strongly identifiable experts",
)
PINS = Claim(
    "softmax-denominator-pins",
    "What the softmax numerator shows of the gates' moments are their differences between cells; "
    "where these vanish, a cell with one atom, which exists if k < 2k* and none is empty, makes "
    "M = 0 in all",
    "identkit (derived here)",
)

s, tau = sp.symbols("s tau", real=True)
HALF = sp.Rational(1, 2)
COSH, SINH = sp.cosh(tau), sp.sinh(tau)


def _split(shares, steps):
    """Atoms of a cell as (share of e^β0, step of the score): the factor that they put on e^s."""
    return sum(p * sp.exp(step) for p, step in zip(shares, steps, strict=True))


@mutations(
    {
        "the weights are kept instead of halved": {"shares": (1, 1)},
        "the gates move to one side": {"steps": (tau, tau)},
        "the gates move by t and −2t": {"steps": (tau, -2 * tau)},
        "one cell may stay as it is": {"other": ((1,), (0,))},
        "cells may spread by different t": {"other": ((HALF, HALF), (2 * tau, -2 * tau))},
        "the factor is sinh": {"factor": SINH},
    }
)
def test_spreading_is_a_common_factor(
    shares=(HALF, HALF),
    steps=(tau, -tau),
    other=((HALF / 2, HALF / 2, HALF), (tau, tau, -tau)),
    factor=COSH,
):
    """Induction on k*, τ = t·x: if N and D over k* atoms have the factor, so have they over k* + 1.

    The last cell, ``other``, is one of three atoms, two of them equal: for k > 2k*. The factor
    is at least 1, so it may be cancelled.
    """
    n, d, h = sp.symbols("N D h")
    for cell in ((shares, steps), other):
        new = _split(*cell) * sp.exp(s)  # the cell's part of the denominator; times h, of N
        for earlier, part in ((n, h), (d, sp.Integer(1))):
            step = factor * earlier + new * part - factor * (earlier + sp.exp(s) * part)
            assert sp.simplify(step.rewrite(sp.exp)) == 0
    above = (sp.exp(tau / 2) - sp.exp(-tau / 2)) ** 2  # ≥ 0
    assert sp.simplify((2 * factor - 2).rewrite(sp.exp) - above) == 0
    return SPREADING.finding("proved", "common factor cosh(t·x), induction on k*; any d, any h")


@mutations(
    {
        "a shift of the gauge can bring both atoms nearer than t": {"signs": (1, 1)},
        "the constant is 1": {"constant": sp.Integer(1)},
        "for any m, also above 2": {"largest": 3},
    }
)
def test_the_loss_is_bounded_below_in_every_gauge(signs=(1, -1), constant=HALF, largest=2):
    """After a shift (log ρ, u) of the gauge, whatever the cells are, with m = min(‖t‖, δ, 1)^r.

    The two atoms of j stand at β1_j + u ± t. ‖u ± t‖² sum to 2‖u‖² + 2‖t‖², so with
    the sign of u·t one of them is at distance ≥ ‖t‖ of atom j, and both, in η, at distance ≥ δ
    of any other. Wherever it belongs, it adds ≥ ½ρw_j·m: in a cell of several atoms a distance
    ≥ min(‖t‖, δ) to the power r, in a cell of its own to the power 1 (m ≤ that, as r ≥ 1). The
    mismatches of weight are ≥ |ρ − 1|Σw_j = |ρ − 1|. And |ρ − 1| + ½ρm ≥ ½m for 0 ≤ m ≤ 2.
    (identkit divides weights by their sum: ρ = 1.)
    """
    u2, ut, t2 = sp.symbols("u2 ut t2", real=True)  # u·u, u·t, t·t: any d
    squares = [u2 + 2 * sign * ut + t2 for sign in signs]
    # the larger of the two is ≥ their mean, which is ≥ t·t
    assert sp.expand(sum(squares) / 2 - t2 - u2) == 0

    rho, m = sp.symbols("rho m", nonnegative=True)
    total = lambda mismatch: mismatch + rho * m / 2 - constant * m  # noqa: E731
    # affine in m for each ρ, and in ρ on either side of 1: look at the ends of both
    below, above = total(1 - rho), total(rho - 1)
    for value in (0, largest):
        for end in (0, 1):
            assert below.subs({m: value, rho: end}) >= 0
        assert above.subs({m: value, rho: 1}) >= 0
        assert sp.diff(above, rho).subs(m, value) >= 0
    return SPREADING.finding("proved", "loss: any k*, d, r ≥ 1, any shift of the gauge and cells")


DESCENT = 1e-7
"""How far above the infimum over the gauge identkit's descent may stop, relatively."""


@pytest.mark.parametrize(("atoms", "dim"), [(1, 1), (2, 1), (2, 2), (3, 1), (4, 3)])
@mutations(
    {
        "f changes": {"atoms": 2, "dim": 1, "change": 1e-3},
        "L is of order t²: at most t²/10": {"atoms": 2, "dim": 2, "upper": 0.1},
        "L ≥ 2 min(‖t‖, δ, 1)^r": {"atoms": 3, "dim": 1, "constant": 2},
        "L ≥ ½ min(‖t‖, δ, 1)^(r−1)": {"atoms": 3, "dim": 1, "lower_power": -1},
        "one extra atom is enough": {"atoms": 2, "dim": 1, "extra": 1},
    }
)
def test_the_published_inequality_fails(
    atoms, dim, change=0.0, upper=1.0, constant=0.5, lower_power=0, extra=None
):
    """G → G* with f_G = f_G* and ½ m ≤ L ≤ Σ ‖t‖^r, in identkit's loss, at seeded G* and tanh.

    ``extra`` of the k* true atoms are split: all, by default. That f is unchanged and L > 0 is
    proved above, for any expert; here are their numbers.
    """
    rng = np.random.default_rng(100 * atoms + dim)
    truth = MixingMeasure(
        rng.normal(size=atoms),
        rng.normal(size=(atoms, dim)),
        3 * rng.normal(size=(atoms, dim + 1)),
    )
    gaps = np.linalg.norm(truth.eta[:, None] - truth.eta, axis=-1)
    apart = min((gaps[i, j] for i in range(atoms) for j in range(i)), default=np.inf)
    x = rng.uniform(-3, 3, size=(200, dim))

    def mixture(g):
        weight = np.exp(g.beta0 + x @ g.beta1.T)
        experts = np.tanh(x @ g.eta[:, :-1].T + g.eta[:, -1])
        return (weight * experts).sum(1) / weight.sum(1)

    direction = rng.normal(size=dim)
    direction /= np.linalg.norm(direction)
    divided = np.arange(atoms) < (atoms if extra is None else extra)
    for size in (0.5, 0.1, 0.01):
        parts = [
            (b0 - np.log(2) * cut, b1 + sign * size * direction * cut, eta)
            for b0, b1, eta, cut in zip(truth.beta0, truth.beta1, truth.eta, divided, strict=True)
            for sign in ((1, -1) if cut else (1,))
        ]
        fitted = MixingMeasure(*(np.array(column) for column in zip(*parts, strict=True)))
        # rounding: a few ulp of values below 1
        assert abs(np.abs(mixture(fitted) - mixture(truth)).max() - change) < 1e-13
        for order in (2, 3):
            loss = float(voronoi(fitted, truth, "softmax", order=order).value)
            small = min(size, apart, 1.0)
            assert constant * small ** (order + lower_power) <= loss
            assert loss <= upper * size**order * (1 + DESCENT)
    return PUBLISHED.finding(
        "contradicted, with counterexample",
        f"k* = {atoms}, k = {2 * atoms}, d = {dim}: (β0_j − log 2, β1_j ± t, η_j) has the same f "
        "and L > 0; so for every k ≥ 2k* and any expert",
    )


# --- what the denominator pins, and when it pins all ---------------------------------------------


@mutations(
    {
        "only P_j = 0 makes it vanish": {"pair": lambda p, q: p},
        "P_j + P_l": {"pair": lambda p, q: p + q},
    }
)
def test_polynomials_are_pinned_up_to_a_common_one(pair=lambda p, q: p - q):
    """Any k*: Σ_j P_jE_j(h_jD − N) = Σ_{j,l} P_jE_jE_l(h_j − h_l), D = ΣE_l, N = ΣE_lh_l.

    The terms (j, l) and (l, j) together are those of the statement; (j, j) is 0.
    """
    pj, pl, ej, el, hj, hl = sp.symbols("P_j P_l E_j E_l h_j h_l")
    term = lambda p, e, h, f, g: p * e * (h * f - f * g)  # noqa: E731
    both = term(pj, ej, hj, el, hl) + term(pl, el, hl, ej, hj)
    assert sp.expand(both - pair(pj, pl) * ej * el * (hj - hl)) == 0
    assert sp.expand(term(pj, ej, hj, ej, hj)) == 0
    return PINS.finding("proved", "identity for every k*, arbitrary functions")


@mutations(
    {
        "without an exact cell, M = 0 as well": {"exact": False},
        "the constant and the slope are pinned to 0": {"values": (0, 0)},
    }
)
def test_one_exact_cell_pins_the_second_moment(exact=True, values=("c_l", "m_l")):
    """P_j = P_l in x with M_l = 0, an exact cell, forces M_j = 0, m0_j = m0_l and m_βj = m_βl.

    Any d: all coefficients of P_j − P_l along a line x = y·v, for each direction v; a quadratic
    form that vanishes along every line is 0. (An exact cell has no spread: its second-order term
    is m_βm_βᵀ/w, of higher order than the ‖m_β‖ that its loss counts.)
    """
    y, cj, mj, qj, cl, ml, ql = sp.symbols("y c_j m_j q_j c_l m_l q_l", real=True)
    first = cj + mj * y + qj * y**2 / 2
    second = cl + ml * y + (0 if exact else ql) * y**2 / 2
    (solution,) = sp.solve(sp.Poly(first - second, y).all_coeffs(), [cj, mj, qj], dict=True)
    constant, slope = (sp.Symbol(v, real=True) if isinstance(v, str) else v for v in values)
    assert solution == {cj: constant, mj: slope, qj: 0}
    return PINS.finding("proved", "one exact cell: M_j = 0 for all cells, any d")


@mutations(
    {
        "weights may have either sign": {"signed": True},
        "the terms are (β_i + β_l)²": {"square": lambda b, c: (b + c) ** 2},
    }
)
def test_one_exact_cell_pins_the_spread_exactly(square=lambda b, c: (b - c) ** 2, signed=False):
    """Σ_i w_i e^{β_i·x} = c e^{γ·x} for all x, w_i > 0, only if all β_i are γ: any number of atoms.

    Along a line (β_i numbers), T_i = w_i e^{β_i x}, S_p = Σ β_i^p T_i: (log S_0)''·S_0² is
    S_0S_2 − S_1² = Σ_{i<l} T_iT_l(β_i − β_l)², a sum of nonnegative terms, whereas (log c e^{γx})''
    is 0; so all β_i are equal, and then equal to γ. Induction: one more atom (T, β) adds
    T(β²S_0 − 2βS_1 + S_2) to the left side, and β²S_0 − 2βS_1 + S_2 is Σ_i T_i(β − β_i)².
    So the factors of all cells can only be equal without spread if one cell has one atom.
    """
    s0, s1, s2, new, beta, beta_i = sp.symbols("S0 S1 S2 T beta beta_i", real=True)
    weight_i = sp.Symbol("T_i", real=True) if signed else sp.Symbol("T_i", positive=True)
    left = lambda a, b, c: a * c - b**2  # noqa: E731
    added = left(s0 + new, s1 + beta * new, s2 + beta**2 * new) - left(s0, s1, s2)
    assert sp.expand(added - new * (beta**2 * s0 - 2 * beta * s1 + s2)) == 0
    moments = {s0: weight_i, s1: weight_i * beta_i, s2: weight_i * beta_i**2}
    one = (beta**2 * s0 - 2 * beta * s1 + s2).subs(moments)
    assert sp.expand(one - weight_i * square(beta, beta_i)) == 0  # linear in S: hence for sums
    assert sp.factor(one).is_nonnegative
    return PINS.finding("proved", "exactly: log-convexity, any number of atoms and d")


@mutations({"also for k = 2k*": {"surplus": 0}, "every cell has one atom": {"least": 0}})
def test_fewer_than_twice_the_atoms_leave_an_exact_cell(surplus=-1, least=1):
    """If no cell is empty and k ≤ 2k* − 1, some cell has one atom: else k ≥ 2k*. All k*.

    With e cells of one atom and k* − e of at least two, k ≥ e + 2(k* − e), that is e ≥ 2k* − k.
    """
    cells, single = sp.symbols("cells single", integer=True, positive=True)
    fewest = single + 2 * (cells - single)
    bound = sp.solve(sp.Eq(fewest, 2 * cells + surplus), single)
    assert bound == [least]
    return PINS.finding("proved", "pigeonhole: an exact cell whenever k < 2k*")
