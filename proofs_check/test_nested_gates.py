"""Hierarchical and top-K gates: what pins the common factors, and which fits converge at all.

Setting. *Hierarchical*: f = Σ_g w_g Σ_i w_{i|g} h_gi with w_g = E_g/ΣE, w_{i|g} = W_gi/D_g, D_g =
Σ_i W_gi, E and W exponentials of scores. Each true group is fitted by one group; fitted atoms of a
group lie in cells around its true atoms, moments m0, m, M as under softmax; the first level is
exact, e_g = Δα0 + Δα1·x its first-order change E_g/E_g* − 1. q_gj is what the gates of the cell of
(g, j) add, Σ_i W_i = W_gj*(1 + q_gj), and r_gj what its experts add, Σ_i W_i V_i = W_gj*((1 +
q_gj)V_gj + r_gj); V is h or N(y | h, ν). The loss L counts e_g by its first power.

Statements.

1. *Expansion.* D(f − f*), D = ΣE, is to second order, with f_g* the true function of group g, Σ_g
     E_g* [ e_g (f_g* − f*) + D_g*^{-1} Σ_j W_gj* (q_gj (V_gj − f_g*) + r_gj) ] + o(L),
   since f_g − f_g* = D_g^{-1} Σ_i W_gi (V_gi − f_g*) is o(√L) and e_g is O(L) (a).
2. *Gates.* Gaussian likelihood, distinct pairs (h, ν): the coefficient of N_gj is E_g*W_gj*/D_g*
   times  q_gj − q̄_g + e_g − ē,  q̄_g = Σ_l w_{l|g} q_gl and ē = Σ_g w_g e_g. All vanish iff in
   every group all q_gj are one function Q_g, and all e_g are one function (b): multiplied by
   w_{j|g} and summed over j they give e_g = ē, and then q_gj = q̄_g. If some atom of each group is
   fitted by one atom, Q_g = Δβ0 + Δβ1·x of that atom, and pinning it (the shift of the group's
   scores is a gauge) makes Q_g = 0; pinning one group makes all e_g = 0. So q_gj = 0 for all cells
   and what is left is r_gj = 0 on each derivative of N: the criterion of one level (theory sections
   4 and 8), with q_j of an inner gate that has a score of its own. Least squares: the same if the
   products of the weights of two atoms, E_gW_gi/D_g · E_g'W_g'i'/D_g' are independent over the
   functions of the experts (not proved here).
3. *Void gates.* A group of one atom has w_{1|g} = 1 whatever its inner gate (c). A group whose
   inner scores differ by constants is several groups with equal outer slopes (d).

Setting. *Top-K*: T_K(x) are the K atoms with the largest scores, f = Σ_{T_K} e^{s_i} h_i / Σ_{T_K}
e^{s_i}. True atoms j = 1..k* > K ≥ 2, region R_S the interior of {x: T_K = S}. A fitted gate
selects K̄ of k atoms. Fitted atoms are bounded, weights bounded below; fitted atoms tend to true
ones of their cells V_j in (β1, η), β0 converges. Experts h_j with {h_j − f} such that no other
convex combination than the true one gives f_G* on a region (two weights per region: e.g. K = 2 and
a third h_l outside {h_i, h_j} on the region, not on the line through them).

4. *Cells and regions.* f_G → f_G* on R_S implies Σ_{j∈S} |V_j ∩ selected| = K̄, all selected atoms
   are in cells of S, and the selected atoms of the cell of j carry the weight of j in the limit.
   Otherwise a selected atom of the cell of l ∉ S keeps a weight bounded below on a compact part of
   R_S, and f_G tends to another convex combination. If every fitted atom of a cell has the score of
   its true atom but for a constant that tends to a share log w_i (the cells of an over-specified
   softmax fit), then in R_S all of the cells of S have larger scores than others where the gap of
   scores is large, so that Σ_{j∈S} |V_j| = K̄ for every region on which the gap exceeds these
   constants. Two regions S ∪ {i}, S ∪ {j}: |V_i| = |V_j|.
5. *Counterexample* to "K̄ ≥ max Σ |V_j| suffices". k* = 3, K = 2, one more atom: cells (2, 1, 1),
   K̄ = 3 = max. On the region of atoms 2 and 3 the fitted gate selects an atom of the cell of 1 as
   well, of weight bounded below: f_G stays away from f_G*, for every such fit, however close its
   atoms are (e). Atoms that are selected nowhere are free: K̄ = K and a fourth atom of a score
   below all others has f_G = f_G* for every η (f).

Proved: 1–5 by the arguments above; (a)–(f) are computed.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp

from identkit.claims.checks import Claim, mutations

SOURCE = "identkit (derived here)"
GROUPS = Claim(
    "hierarchical-groups",
    "hierarchical gates, Gaussian likelihood: where each true group is fitted by one group with an "
    "atom fitted once, the gates of all cells are pinned and the criterion is that of one level",
    SOURCE,
)
CELLS = Claim(
    "top-k-cells-fill-regions",
    "top-K gates: f_G → f_G* needs Σ |V_j| = K̄ over the true atoms of every region; "
    "K̄ ≥ max Σ |V_j| does not suffice",
    f"{SOURCE}, on arXiv 2309.13850",
)


@pytest.mark.parametrize("sizes", [(1, 2), (2, 3), (2, 2, 1)])
@mutations(
    {
        "without dividing within the groups": {"sizes": (2, 3), "inner": False},
        "with a free constant more": {"sizes": (2, 2, 1), "more": 1},
    }
)
def test_only_common_factors_are_left(sizes, inner=True, more=0):
    """(b): the solutions of q_gj − q̄_g + e_g − ē = 0, at generic weights, are Q_g and one e."""
    weights = [
        [sp.Rational(3 + 2 * i + 5 * g, 7 + i) for i in range(n)] for g, n in enumerate(sizes)
    ]
    outer = [sp.Rational(2 + g, 5) for g in range(len(sizes))]
    inside = [[w / sum(row) for w in row] for row in weights]
    above = [e / sum(outer) for e in outer]
    q = [[sp.Symbol(f"q_{g}_{j}") for j in range(n)] for g, n in enumerate(sizes)]
    e = sp.symbols(f"e0:{len(sizes)}")
    level = sum(w * v for w, v in zip(above, e, strict=True))
    equations = []
    for g, row in enumerate(q):
        mean = sum(w * v for w, v in zip(inside[g], row, strict=True)) if inner else 0
        equations += [v - mean + e[g] - level for v in row]
    unknown = [*(v for row in q for v in row), *e]
    free = len(unknown) - sp.Matrix([[sp.diff(eq, u) for u in unknown] for eq in equations]).rank()
    assert free == len(sizes) + 1 + more
    common = {
        **{v: sp.Symbol(f"Q{g}") for g, row in enumerate(q) for v in row},
        **dict.fromkeys(e, 1),
    }
    assert all(sp.simplify(eq.subs(common)) == 0 for eq in equations)
    return GROUPS.finding("proved", f"groups of {', '.join(map(str, sizes))} atoms")


@mutations({"where e is left out": {"first": 0}, "to third order": {"least": 3}})
def test_the_expansion_of_two_levels(first=1, least=2):
    """(a): symbols for V; e, q and r of order t, their products of order t²."""
    t = sp.Symbol("t")
    e = sp.symbols("e1 e2")
    q, r, v, w = (sp.symbols(f"{n}11 {n}12 {n}21 {n}22") for n in "qrvw")
    big = sp.symbols("E1 E2", positive=True)

    def f(s):
        total, below = sp.Integer(0), sp.Integer(0)
        for g in range(2):
            places = (2 * g, 2 * g + 1)
            d = sum(w[i] * (1 + s * q[i]) for i in places)
            inner = sum(w[i] * ((1 + s * q[i]) * v[i] + s * r[i]) for i in places) / d
            total += big[g] * (1 + s * e[g]) * inner
            below += big[g] * (1 + s * e[g])
        return total / below

    start = f(sp.Integer(0))
    change = sp.diff(f(t), t).subs(t, 0) * sum(big)
    expected = sp.Integer(0)
    for g in range(2):
        places = (2 * g, 2 * g + 1)
        d = sum(w[i] for i in places)
        own = sum(w[i] * v[i] for i in places) / d
        moved = sum(w[i] * (q[i] * (v[i] - own) + r[i]) for i in places) / d
        expected += big[g] * (first * e[g] * (own - start) + moved)
    values = {s: sp.Rational(3 + 7 * n, 11 + n) for n, s in enumerate((*e, *q, *r, *v, *w, *big))}
    assert (change - expected).subs(values) == 0
    step = sp.Rational(1, 10**6)
    rest = abs((f(step) - start) * sum(big) - step * expected).subs(values)
    assert rest < step**least * 100
    return GROUPS.finding("proved", "first order in e, q, r; the rest is of second order in them")


@mutations({"inner slopes that differ": {"other": sp.Symbol("a2", real=True)}})
def test_void_and_constant_inner_gates(other=None):
    """(c), (d): with equal inner slopes the share of an atom in its group is free of x."""
    a, b, c, x = sp.symbols("a b c x", real=True)
    scores = [a * x + b, (a if other is None else other) * x + c]
    ratio = sp.simplify(sp.exp(scores[1]) / sp.exp(scores[0]))
    assert sp.simplify(sp.diff(1 / (1 + ratio), x)) == 0
    assert sp.simplify(sp.exp(scores[0]) / sum([sp.exp(scores[0])])) == 1
    return GROUPS.finding("proved", "groups of one atom, inner slopes that are equal")


def top(scores, values, count):
    """f of the ``count`` largest scores; scores are log-weights, exact as weights here."""
    chosen = sorted(range(len(scores)), key=lambda i: -scores[i])[:count]
    return sum(scores[i] * values[i] for i in chosen) / sum(scores[i] for i in chosen)


@mutations(
    {
        "it converges with K̄ = 3": {"selected": 3, "gap": 0},
        "with K̄ = K the fourth atom is not free": {"other": Fraction(9)},
    }
)
def test_more_selected_atoms_bring_in_another(selected=3, gap=None, other=Fraction(1, 9)):
    """(e), (f): at a point of the region of atoms 2 and 3, weights instead of scores."""
    weights, values = (
        [Fraction(1), Fraction(3), Fraction(2)],
        [Fraction(5), Fraction(-1), Fraction(2)],
    )
    true = top(weights, values, 2)
    assert true == Fraction(3 * -1 + 2 * 2, 5)
    for shift in (Fraction(0), Fraction(1, 10), Fraction(1, 10**6)):
        split = [Fraction(1, 2) + shift, Fraction(1, 2) - shift, *weights[1:]]
        found = top(split, [values[0] + shift, values[0], *values[1:]], selected)
        distance = abs(found - true)
        assert distance == 0 if gap == 0 else distance > Fraction(1, 3)
    for free in (Fraction(100), Fraction(-7)):
        assert top([*weights, other], [*values, free], 2) == true
    return CELLS.finding("proved", "k* = 3, K = 2, cells (2, 1, 1), K̄ = 3; a void atom")
