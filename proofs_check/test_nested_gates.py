"""Hierarchical and top-K gates: what pins the common factors, and which fits converge at all.

Setting. *Hierarchical*: f = Σ_g w_g Σ_i w_{i|g} h_gi with w_g = E_g/ΣE, w_{i|g} = W_gi/D_g, D_g =
Σ_i W_gi, E and W exponentials of scores. Each true group is fitted by one group; fitted atoms of a
group lie in cells around its true atoms, moments m0, m, M as under softmax; the first level is
exact, e_g = Δα0 + Δα1·x its first-order change E_g/E_g* − 1. q_gj is what the gates of the cell of
(g, j) add, Σ_i W_i = W_gj*(1 + q_gj), and r_gj what its experts add, Σ_i W_i V_i = W_gj*((1 +
q_gj)V_gj + r_gj); V is h or N(y | h, ν). The loss L counts e_g by its first power.

Statements.

1. *Expansion.* Let A be the largest of all moments m0, m, M and of the |e_g|, so that L = O(A). D(f
   − f*), D = ΣE, is, with f_g* the true function of group g,
     Σ_g E_g* [ e_g (f_g* − f*) + A_g ] + o(A),  A_g = D_g*^{-1} Σ_j W_gj* (q_gj (V_gj − f_g*) +
     r_gj)
   since f_g − f_g* = D_g^{-1} Σ_i W_gi (V_gi − f_g*), in which D_g may be replaced by D_g* because
   D_g*/D_g → 1 uniformly, and e_g (f_g − f_g*) = o(A) as both factors tend to 0 (a). So if ‖f − f*‖
   = o(L) along a sequence, it is o(A), and a limit point of (moments, e)/A, not 0, makes the
   displayed sum 0: what follows is about that.
2. *Gates.* Gaussian likelihood, pairs (h_gj, ν_gj) of all groups distinct for almost every x: the
   coefficient of N_gj is E_g*W_gj*/D_g* times  q_gj − q̄_g + e_g − ē,  q̄_g = Σ_l w_{l|g} q_gl and
   ē = Σ_g w_g e_g. All vanish iff in every group all q_gj are one function Q_g, and all e_g are one
   function (b): multiplied by w_{j|g} and summed over j they give e_g = ē, and then q_gj = q̄_g. If
   some atom of each group is fitted by one atom, Q_g = Δβ0 + Δβ1·x of that atom, and pinning it
   (the shift of the group's scores is a gauge) makes Q_g = 0; pinning one group makes all e_g = 0.
   So q_gj = 0 for all cells and what is left is r_gj = 0 on each derivative of N: the criterion of
   one level (theory sections 4 and 8), with q_j of an inner gate that has a score of its own.
   *Least squares.* Times D once more the sum is
     Σ_g E_g² A_g + Σ_{g<g'} E_gE_g' [ (e_g − e_g')(f_g* − f_g'*) + A_g + A_g' ]   (g).
   For almost every slopes α1 the products E_gE_g', g ≤ g', are independent over the field that
   inner weights and experts generate with their derivatives, which has finite transcendence degree
   (test_routers 4). So every A_g = 0, which is the equation of one level within the group and is
   dealt with there, for almost every inner gates; and then e_g = e_g' as f_g* ≠ f_g'*. The rest is
   as above. Outer scores −‖x − ψ‖ of two or more inputs: the same, for almost every ψ; the e_g are
   in span{1, ∂_ψπ_g}, one function of all only if it is constant (test_routers 8; with one input if
   two ψ lie in the domain), hence 0 once α0 is pinned.
3. *Void gates.* A group of one atom has w_{1|g} = 1 whatever its inner gate (c). A group whose
   inner scores differ by constants is several groups with equal outer slopes (d).

Setting. *Top-K*: T_K(x) are the K atoms with the largest scores, f = Σ_{T_K} e^{s_i} h_i / Σ_{T_K}
e^{s_i}. True atoms j = 1..k* > K ≥ 2, of distinct β1; region R_S the part of a convex domain where
T_K = S, which is convex, with interior. A fitted gate selects K̄ of k atoms. Fitted atoms converge,
(β1, η) to that of the true atom of their cell V_j, β0 to a finite limit: in the limit an atom i of
V_j has weight a_i W_j, a_i > 0. (P) the products W_jW_l, j ≤ l, are independent over the experts on
every open set, and these differ there (almost every gates, test_routers 4); or a Gaussian
likelihood with distinct pairs (h, ν), where (P) is not needed.

4. *Cells and regions.* Let f_G → f_G*.
   (i) On a piece of R_S where the selected atoms stay, A_l = Σ a_i over the selected atoms of V_l
   has A_l = 0 for l ∉ S, and the A_j, j ∈ S, are equal. For f_G and f_G* have denominators Σ A_lW_l
   and Σ_S W_j, and the difference times both is Σ_l Σ_{j∈S} A_lW_lW_j(h_l − h_j) = 0 (e): the
   coefficient of W_lW_j is A_l(h_l − h_j) for l ∉ S, (A_l − A_j)(h_l − h_j) for both in S.
   (ii) The number n_j of selected atoms of V_j is constant on R_S. Atoms of one cell have parallel
   scores, so that V_j gives its n_j largest a_i, and A_j grows with n_j. From one piece of R_S to
   the next some n_j would rise and another fall, K̄ being their sum: not both A_j stay equal.
   (iii) Let S = T ∪ {i} and S' = T ∪ {j} have a common face s_i = s_j, A and A' the common sums on
   both sides. Beyond the face V_i gives none, and V_j some; scores are continuous, so at the face
   all n_i selected atoms of V_i and n_j of V_j have the K̄-th largest score. So their a are all one
   number α, A = n_i α and A' = n_j α. Were A' > A, each cell of T would have more atoms beyond, and
   n_j < n_i of the K̄ be left for V_j: A' < A; and in the same way the other way round. So A' = A,
   n_j = n_i, and T keeps its n_t.
   (iv) Σ_{j∈S} n_j = K̄ on every region. Along regions joined by faces A is one number, and it
   determines n_j: the same on all regions, and where exchanges join all atoms n_j = m, K̄ = mK. The
   other atoms of V_j are selected nowhere in the limit. So with V_j read as its selected atoms, Σ_S
   |V_j| = K̄ for every S; and a cell of several atoms shares its weight in equal parts.
5. *Counterexample* to "K̄ ≥ max Σ |V_j| suffices". k* = 3, K = 2, one more atom: cells (2, 1, 1),
   K̄ = 3 = max. On the region of atoms 2 and 3 the fitted gate selects an atom of the cell of 1 as
   well, of weight bounded below: f_G stays away from f_G*, for every such fit, however close its
   atoms are (f). Atoms that are selected nowhere are free: K̄ = K and a fourth atom of a score
   below all others has f_G = f_G* for every η (h).

Proved: 1–5 by the arguments above; (a)–(h) are computed.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement, product

import pytest
import sympy as sp

from identkit.claims.checks import Claim, mutations

SOURCE = "identkit (derived here)"
GROUPS = Claim(
    "hierarchical-groups",
    "hierarchical gates, almost every choice of them: where each true group is fitted by one group "
    "with an atom fitted once, the gates of all cells are pinned and the criterion is that of one "
    "level, under the Gaussian likelihood and under least squares",
    SOURCE,
)
CELLS = Claim(
    "top-k-cells-fill-regions",
    "top-K gates: f_G → f_G* needs Σ |V_j| = K̄ over the true atoms of every region, V_j those of "
    "its cell that are selected; K̄ ≥ max Σ |V_j| does not suffice",
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


@pytest.mark.parametrize("groups", [2, 3])
@mutations(
    {
        "the groups' own terms once": {"groups": 2, "own": 0},
        "a sum of the e": {"groups": 3, "sign": -1},
    }
)
def test_least_squares_separates_the_groups(groups, own=1, sign=1):
    """(g): products of two groups' weights in D Σ E_g [e_g (f_g − f) + A_g]."""
    big, e, f, a = (sp.symbols(f"{n}1:{groups + 1}") for n in ("E", "e", "f", "A"))
    whole, below = sum(x * y for x, y in zip(big, f, strict=True)), sum(big)
    # D (f_g − f) has no denominator
    left = sum(big[g] * (e[g] * (below * f[g] - whole) + below * a[g]) for g in range(groups))
    right = own * sum(big[g] ** 2 * a[g] for g in range(groups))
    for g in range(groups):
        for other in range(g):
            gap = (e[g] - sign * e[other]) * (f[g] - f[other])
            right += big[g] * big[other] * (gap + a[g] + a[other])
    assert sp.expand(left - right) == 0
    return GROUPS.finding("proved", f"{groups} groups, as polynomials in E")


@mutations(
    {
        "the weight of a cell is free": {"equal": False},
        "an atom of another cell may be there": {"others": True},
    }
)
def test_cells_of_a_region_have_one_common_factor(equal=True, others=False):
    """(e): three atoms, S = {1, 2}; the coefficients of W_lW_j leave A_1 = A_2 and A_3 = 0."""
    w, h, big = (sp.symbols(f"{n}1:4") for n in ("W", "h", "A"))
    fitted = sum(big[i] * w[i] * h[i] for i in range(3))
    below = sum(big[i] * w[i] for i in range(3))
    true, under = w[0] * h[0] + w[1] * h[1], w[0] + w[1]
    gap = sp.Poly(sp.expand(fitted * under - true * below), *w)
    found = sp.solve(list(gap.coeffs()), big, dict=True)
    left = {big[0]: big[1]} if equal else {}
    assert found == [{**left, **({} if others else {big[2]: 0})}]
    return CELLS.finding("proved", "as polynomials in W, experts that differ")


@mutations({"convergence away from the face is enough": {"near": False}})
def test_selected_atoms_of_exchanged_cells_weigh_the_same(near=True):
    """(iii): all fits of three cells, k* = 3, K = 2, on a line of inputs through three regions.

    W = (y, 1/y, 100): the regions are {1, 3} for y > 1 and {2, 3} for y < 1. Every choice of one or
    two a from a grid in each cell, three in the last: fits for which (i) holds at every y, also
    near the face, have equal a within each cell that is exchanged there.
    """
    grid = (Fraction(1, 3), Fraction(1, 2), Fraction(1), Fraction(2))
    small = [c for n in (1, 2) for c in combinations_with_replacement(grid, n)]
    large = [*small, *combinations_with_replacement(grid, 3)]
    places = [*(Fraction(7, n) for n in (64, 16, 8)), *(Fraction(n, 7) for n in (8, 16, 64))]
    places = places if near else [places[0], places[-1]]
    held, unequal = 0, 0
    for cells in product(small, small, large):
        atoms = [(j, a) for j, cell in enumerate(cells) for a in cell]
        for count in range(2, len(atoms) + 1):
            if not all(_converges(_selected(atoms, y, count), y) for y in places):
                continue
            held += 1
            ends = ((0, places[-1]), (1, places[0]))
            first, second = ([a for j, a in _selected(atoms, y, count) if j == n] for n, y in ends)
            assert len(first) == len(second) or not near
            unequal += len({*first, *second}) > 1
    assert held > 10
    assert unequal == 0
    return CELLS.finding("proved", f"{held} fits of a grid, in agreement with the argument")


def _selected(atoms, y, count):
    weights = (y, 1 / y, Fraction(100))
    return sorted(atoms, key=lambda a: -weights[a[0]] * a[1])[:count]


def _converges(chosen, y):
    """(i): no atom of the cell outside, and the sums of the a of the two others agree."""
    sums = [sum(a for j, a in chosen if j == n) for n in range(3)]
    outside, inside = (1, 0) if y > 1 else (0, 1)
    return sums[outside] == 0 and sums[inside] == sums[2]


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
    """(f), (h): at a point of the region of atoms 2 and 3, weights instead of scores."""
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
