"""Gates that select K atoms: softmax before the selection, sigmoid scores with a bias, faces.

Setting as in test_nested_gates 4: true atoms j = 1..k*, of distinct β1, experts h_j ≠ 0 that
differ; R_S the part of a convex domain where S is selected; a fitted gate selects K̄ of k atoms,
which converge to the atoms of their cells V_j. *Unnormalised*: f = Σ_{T_K} W_i h_i / Σ_all W_i, W =
e^s. *Biased*: T_K are the K largest c_i = σ(s_i) + b_i, f = Σ_{T_K} σ_i h_i / Σ_{T_K} σ_i. (P) the
products W_jW_l, j ≤ l, are independent over the experts on every open set, and for the biased gate
σ(s_j + δ)σ(s_l + δ') for j ≠ l and whatever numbers δ, δ' (almost every gates with β1 ≠ 0: the
e^s_j are then algebraically independent over the experts, test_routers 4, and a nonzero polynomial
in them is not 0).

Statements.

1. *Gauges.* (a) Unnormalised: a common shift u of all scores multiplies all W by e^u, selected or
   not, and leaves their order. (b) Biased: b + t; and where all β1 = 0, σ(β0) → c·σ(β0) with
   b → b + (1 − c)σ(β0), which keeps each c_i.
2. *Unnormalised cells.* Let f_G → f_G* on R_S. A_l is the sum of the a of the selected atoms of V_l
   (weights a_iW_l in the limit), B_l ≥ A_l that of all. Times both denominators the difference is
     Σ_l Σ_m A_lW_lW_m h_l − Σ_{j∈S} Σ_m W_jB_mW_m h_j = 0.
   By (P) its coefficients are 0 (c): W_j² gives A_j = B_j for j in S and A_l = 0 for l not in S,
   and W_jW_m, j in S, B_m = A_j. So in every cell, also of atoms that are not selected, the weights
   add up to B W_l with one B; all atoms of the cells of S are selected, and no others: Σ_S |V_j| =
   K̄ on every region, whole cells. K = 1 included. An atom outside all cells, of another β1, is in
   the denominator alone and its product with W_j would have to vanish: there is none. At a face of
   i and j all atoms of V_i and of V_j are level, as in test_nested_gates 4 (iii): equal parts,
   |V_i| = |V_j|.
3. *Unnormalised, second order on R_S*, cells with Σ_S |V_j| = K̄: q_l, r_j what the gates and the
   experts of a cell add. Times D² = (Σ_all W)² the change is, to second order in the moments (d),
     Σ_{j∈S} Σ_l W_jW_l [ (q_j − q_l) h_j + r_j ].
   By (P) r_j = 0 for j in S (from W_j²), and q_j = q_l for all l (from W_jW_l). If some cell, of
   any true atom, has one atom, Q = Δβ0 + Δβ1·x, which the shift makes 0: then r_j = 0 is the
   criterion of softmax for each j in S. The same argument with S for all atoms is that of top-K,
   whose cell of one atom has to be in S. On a compact part of the interior of R_S the selection of
   G near G* is that of the cells, so that this bounds ‖f_G − f_G*‖ from below by the loss of the
cells of S. 4. *Biased cells*, K ≥ 2. Atoms of V_j have σ(s_j + δ_i), δ_i in the limit. With A_l(x)
   = Σ σ(s_l + δ_i) over the selected atoms of V_l the difference times both denominators is
     Σ_{l∉S} Σ_{j∈S} A_lσ_j (h_l − h_j) + Σ_{l<j∈S} (A_lσ_j − A_jσ_l)(h_l − h_j) = 0   (e).
   A_l is a function of e^{s_l} alone. By (P) A_l = 0 for l ∉ S, and A_l/σ_l = A_j/σ_j, functions of
   different e^s, so one number a. Σ_i σ(s + δ_i) = a·σ(s) has, as rational functions of e^s, the
   poles −e^{−δ_i} on the left and −1 on the right: all δ_i = 0 and a is their number (f). So every
   cell of S has a = K̄/K = m selected atoms with the weight of the true one: K | K̄, |V_j| ≥ m.
   For K = 1 the weights cancel, A_l = 0 for l ∉ S remains, and m = K̄.
   At a face of i and j the m selected atoms of V_i all give way to the m of V_j, so that the
   largest and the smallest b_p − b_i in V_i and b_q − b_j in V_j are one number t: within exchanged
   cells the biases are b + t, and the faces are those of the truth. Conversely m copies of each
   atom with its b have f_G = f_G*.
5. *Biases.* Within regions f does not depend on b. A point x of a face of i and j gives b_i − b_j =
   σ(s_j(x)) − σ(s_i(x)). So b is known up to a shift of each component of the graph of exchanges,
   and each can be shifted a little without another face: what is selected is then the same (j).
6. *Faces.* S = T ∪ {i}, S' = T ∪ {j} with a common face F, ∇(c_i − c_j) ≠ 0 on it (c = s where
   nothing is added). Cells V_i, V_j of n selected atoms each; Δ_pq = (c_p − c_q) − (c_i − c_j) for
   p in V_i, q in V_j. Where Δ_pq > 0 at x in F, p is ahead of q on a strip of width ~ Δ_pq(x)
   beyond F; so r ≥ 1 atoms of V_i are selected there in place of r of V_j, and f_G − f_G* is there,
   up to what is small, g_r, which is r times one function up to positive factors (i):
     top-K and unnormalised: W (h_i − h_j)/D;   biased: σ_i(h_i − f') − σ_j(h_j − f'), f' = f_{S'}.
   In the same way for Δ_pq < 0. So if that is not 0 almost everywhere on F, with c > 0
     ‖f_G − f_G*‖² ≥ c·max_pq ∫_F |Δ_pq|.
   The faces move by at most a constant times ‖f_G − f_G*‖²: the square of the rate of f.
   *Spreading.* Scores being affine, p, p' in V_i then have s_p − s_p' = t·u on F up to that order,
   u = s_i − s_j, since an affine function that vanishes on F is a multiple of u. If V_i has two
   faces, u and u' not proportional, no spreading within V_i is left: with one input two faces at
   different x suffice (h). If all faces have one u, there is an exact family: two copies of every
   atom at s_l ± t·u, weights halved, K̄ = 2K, small t: on each region all W get the factor
   cosh(t·u), and the cells of S stay ahead since u(1 + t_p − t_q) has the sign of u (g). So a rate
   for cells of several atoms depends on the faces of a truth, and none is registered.

7. *Regions.* With k* − 1 inputs, slopes β1 in general position and x in R^d all C(k*, K) regions
   occur: x ↦ (s_j(x) − s_1(x))_j is onto (k).

Proved: 1–7 by the arguments above; (a)–(k) are computed.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
import sympy as sp

from identkit.claims.checks import Claim, mutations

SOURCE = "identkit (derived here)"
GAUGES = Claim(
    "top-k-selection-gauges",
    "gates that select: a common shift of all scores (softmax before or after the selection), of "
    "all selection biases (sigmoid), and of constant sigmoid weights a common factor that keeps "
    "σ + b, leave f and the selection as they are",
    SOURCE,
)
WHOLE = Claim(
    "top-k-unnormalised-whole-cells",
    "softmax before the selection, almost every gates: f_G → f_G* on one region makes the fit "
    "select whole cells there, Σ |V_j| = K̄, and pins the gates of all atoms; once a cell has one "
    "atom the second order of each region is that of softmax",
    SOURCE,
)
COPIES = Claim(
    "top-k-biased-copies",
    "sigmoid weights selected with a bias, almost every gates with β1 ≠ 0: f_G → f_G* on a region "
    "of K ≥ 2 atoms makes the fit select K̄/K copies of each, of its very weight; faces determine "
    "the biases up to a shift of each component of exchanged atoms",
    f"{SOURCE}, on arXiv 2412.19437",
)
FACES = Claim(
    "top-k-faces",
    "gates that select: where f_G* jumps at a face, ‖f_G − f_G*‖² is at least a constant times the "
    "move of the face; atoms of a cell with two faces of different scores are not spread, with one "
    "they can be, as an exact family",
    SOURCE,
)


@mutations({"a factor for the weights alone": {"kept": 0}})
def test_gauges(kept=1):
    """(a), (b): weights in a ratio, and what is compared, before and after."""
    x, u, v, t, c = sp.symbols("x u v t c", positive=True)
    s, b = sp.symbols("s1:4", real=True), sp.symbols("b1:4", real=True)
    weights = [sp.exp(e) for e in s]
    moved = [sp.exp(e + u * x + v) for e in s]
    assert all(
        sp.simplify(m / w - sp.exp(u * x + v)) == 0 for m, w in zip(moved, weights, strict=True)
    )
    for i, j in combinations(range(3), 2):
        assert (b[i] + t) - (b[j] + t) == b[i] - b[j]
    level = sp.Symbol("z", real=True)
    sigma = 1 / (1 + sp.exp(-level))
    lowered = sigma.subs(level, sp.log(c) - sp.log(1 + sp.exp(-level) - c))
    assert sp.simplify(lowered - c * sigma) == 0
    assert sp.simplify(lowered + b[0] + kept * (1 - c) * sigma - (sigma + b[0])) == 0
    return GAUGES.finding("proved", "as identities of weights and of what is compared")


@pytest.mark.parametrize("selected", [1, 2])
@mutations(
    {
        "the cells outside are free": {"selected": 2, "outside": True},
        "as after the selection": {"selected": 1, "every": False},
    }
)
def test_one_region_pins_every_cell(selected, outside=False, every=True):
    """(c): four atoms; the coefficients of W_lW_m leave A = B for S, A = 0 else, and one B."""
    n = 4
    w, h, a, b = (sp.symbols(f"{name}1:{n + 1}") for name in ("W", "h", "A", "B"))
    chosen = range(selected)
    below = b if every else a
    fitted = sum(a[i] * w[i] * h[i] for i in range(n))
    under = sum(below[i] * w[i] for i in range(n))
    whole = range(n) if every else chosen
    gap = fitted * sum(w[i] for i in whole) - sum(w[j] * h[j] for j in chosen) * under
    equations = sp.Poly(sp.expand(gap), *w).coeffs()
    found = sp.solve(equations, [*a, *b], dict=True)
    one = b[n - 1]
    expected = dict.fromkeys((*a[:selected], *b[:-1]), one)
    expected.update(dict.fromkeys(a[selected:], 0))
    if outside:
        del expected[b[n - 2]]
    assert found == [expected]
    return WHOLE.finding("proved", f"k* = {n}, K = {selected}, as polynomials in W")


@pytest.mark.parametrize(("atoms", "selected"), [(3, 1), (3, 2), (4, 2), (4, 4)])
@mutations(
    {
        "the denominator over the selected": {"atoms": 3, "selected": 2, "every": False},
        "without the experts": {"atoms": 3, "selected": 1, "own": 0},
    }
)
def test_second_order_of_a_region(atoms, selected, every=True, own=1):
    """(d): D²(f_G − f_G*) in q and r, to first order in these; and what makes it 0."""
    w, h, q, r = (sp.symbols(f"{name}1:{atoms + 1}") for name in ("W", "h", "q", "r"))
    chosen = range(selected)
    # f = N/D, both affine in t: D²f' = N'D − ND'
    top, under = sum(w[j] * h[j] for j in chosen), sum(w)
    more = sum(w[j] * (q[j] * h[j] + r[j]) for j in chosen)
    change = more * under - top * sum(x * y for x, y in zip(w, q, strict=True))
    predicted = sum(
        w[j] * w[i] * ((q[j] - q[i]) * h[j] + own * r[j])
        for j in chosen
        for i in (range(atoms) if every else chosen)
    )
    assert sp.expand(change - predicted) == 0
    # experts that differ and are not 0: numbers, since what is asked is a rank
    values = {x: sp.Rational(3 * n * n + 2, n + 1) for n, x in enumerate(h)}
    equations = sp.Poly(sp.expand(predicted.subs(values)), *w).coeffs()
    unknown = [*q, *r[:selected]]
    kernel = sp.Matrix([[sp.diff(e, x) for x in unknown] for e in equations]).nullspace()
    assert [list(v / v[0]) for v in kernel] == [[1] * atoms + [0] * selected]
    return WHOLE.finding("proved", f"k* = {atoms}, K = {selected}, as polynomials in W")


@mutations({"sums of other δ do as well": {"free": 2}, "K = 1": {"selected": 1}})
def test_biased_cells_of_a_region(free=1, selected=2):
    """(e): numbers n of atoms with e^δ in {1, 2, 1/3} in each of three cells, for all E and h.

    The difference is linear in the nine n; its rank at rational points leaves n = 1 at δ = 0 for
    both atoms of S, times one factor. For K = 1 the weights cancel, and sums at other δ are left.
    """
    shifts = (Fraction(1), Fraction(2), Fraction(1, 3))
    inside, rows = range(selected), []
    for n in range(24):
        e = [Fraction(3 + 5 * n + 7 * i * i, 2 + n + i) for i in range(3)]
        h = [Fraction((n + 2) * (i + 1) ** 2 + 1, 1 + n * i) for i in range(3)]
        sigma = [v / (1 + v) for v in e]
        mean = sum(sigma[j] * h[j] for j in inside) / sum(sigma[j] for j in inside)
        rows.append([c * v / (1 + c * v) * (h[i] - mean) for i, v in enumerate(e) for c in shifts])
    space = sp.Matrix([[sp.Rational(v.numerator, v.denominator) for v in r] for r in rows])
    kernel = space.nullspace()
    assert len(kernel) == free
    (only,) = kernel
    assert list(only / only[0]) == [1, 0, 0, 1, 0, 0, 0, 0, 0]
    return COPIES.finding("proved", "k* = 3, K = 2, three values of δ: an exact rank")


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@mutations({"where two δ are one": {"count": 2, "apart": 0}})
def test_shares_of_a_sigmoid_are_copies(count, apart=1):
    """(f): cE/(1 + cE), c = 1 and e^δ for other δ, are independent: Cauchy's determinant.

    det [1/(1/c_i + E_j)] = ∏ (1/c_i − 1/c_l)(E_j − E_m) / ∏ (1/c_i + E_j) is not 0 for distinct c.
    """
    for n in range(4):
        nodes = [sp.Rational(1)]
        nodes += [1 + sp.Rational(apart * (i + 1) * (n + 1), 3) for i in range(count)]
        places = [sp.Rational(2 + 3 * j + n, 7) for j in range(count + 1)]
        rows = [[c * e / (1 + c * e) for c in nodes] for e in places]
        found = sp.Matrix(rows).det()
        pairs = [(i, j) for i in range(count + 1) for j in range(i)]
        expected = sp.prod(
            [(1 / nodes[j] - 1 / nodes[i]) * (places[i] - places[j]) for i, j in pairs]
        )
        expected *= sp.prod(places) / sp.prod([1 / c + e for c in nodes for e in places])
        assert abs(found) == abs(expected) != 0
    return COPIES.finding("proved", f"{count} values of δ other than 0: Cauchy's determinant")


@pytest.mark.parametrize("copies", [1, 2, 3])
@mutations(
    {"one copy less": {"copies": 2, "missing": 1}, "a bias that differs": {"copies": 2, "off": 9}}
)
def test_copies_with_their_biases_have_the_same_f(copies, missing=0, off=0):
    """4, converse; and b may be shifted for each component as long as the selection stays (j)."""
    sigmas = [[Fraction(n, n + 7) for n in row] for row in ((1, 9, 4), (8, 3, 5), (2, 6, 7))]
    bias = [Fraction(1, 5), Fraction(0), Fraction(1, 9)]
    values = [Fraction(3), Fraction(-2), Fraction(7)]
    for sigma in sigmas:
        true = chosen(sigma, bias, values, 2)
        many = [sigma * copies, bias * copies, values * copies]
        if off:
            many[1] = [*bias, *(b - off * (i == 0) for i, b in enumerate(bias))]
        assert chosen(*many, 2 * copies - missing) == true
        assert chosen(sigma, [b + Fraction(22, 7) for b in bias], values, 2) == true
    return COPIES.finding("proved", "k* = 3, K = 2; for all by the argument")


def chosen(sigma, bias, values, count):
    """f of the ``count`` largest σ + b, divided by the sum over these."""
    order = sorted(range(len(sigma)), key=lambda i: sigma[i] + bias[i], reverse=True)[:count]
    return sum(sigma[i] * values[i] for i in order) / sum(sigma[i] for i in order)


@mutations({"a jump of the weights alone": {"own": 0}})
def test_jumps_at_a_face(own=1):
    """(i): n selected atoms in each cell, r of V_i in place of r of V_j."""
    n, r, si, sj, hi, hj, top, low = sp.symbols("n r s_i s_j h_i h_j N D", positive=True)
    before = (top + sj * hj) / (low + sj)
    mixed = (n * top + (n - r) * sj * hj + r * si * hi) / (n * low + (n - r) * sj + r * si)
    jump = r * (si * (own * hi - before) - sj * (own * hj - before))
    assert sp.cancel(mixed - before - jump / (n * low + (n - r) * sj + r * si)) == 0
    # the weights are level where scores decide: one factor is left
    assert sp.cancel((jump - r * si * (hi - hj)).subs(sj, si)) == 0
    # and with a denominator over all atoms, D, in equal parts 1/n
    mixed = (top + (n - r) * sj * hj / n + r * si * hi / n) / low
    assert (
        sp.cancel((mixed - (top + sj * hj) / low).subs(sj, si) - r * si * (hi - hj) / (n * low))
        == 0
    )
    return FACES.finding("proved", "as rational functions of weights and experts")


@mutations(
    {
        "copies of unlike spreading": {"alike": False},
        "spread along another direction": {"own": False},
    }
)
def test_copies_spread_along_the_face(alike=True, own=True):
    """(g): k* = 3, K = 2, one face: u = s_1 − s_2, y = e^{u/4}, W = (y², y^-2, 100)."""
    values = [Fraction(5), Fraction(-1), Fraction(2)]
    for y in (Fraction(1, 3), Fraction(9, 10), Fraction(10, 9), Fraction(3)):
        weights = [y**2, y**-2, Fraction(100)]
        true = largest(weights, values, 2)
        spread, many = [], []
        for n, (w, h) in enumerate(zip(weights, values, strict=True)):
            # t·u for t = ±1/4; its factor of one atom may be left out
            step = y if own else Fraction(2)
            step = step if alike or n else Fraction(1)
            spread += [w * step / 2, w / step / 2]
            many += [h, h]
        assert largest(spread, many, 4) == true
    return FACES.finding("proved", "k* = 3, K = 2, at rational weights; for all by the argument")


def largest(weights, values, count):
    """f of the ``count`` largest weights, divided by their sum."""
    order = sorted(range(len(weights)), key=lambda i: weights[i], reverse=True)[:count]
    return sum(weights[i] * values[i] for i in order) / sum(weights[i] for i in order)


@mutations({"at one face": {"same": True}})
def test_two_faces_leave_no_spreading(same=False):
    """(h): an affine function of one input that is 0 at two different points is 0."""
    a, b, x, y = sp.symbols("a b x y", real=True)
    other = x if same else y
    found = sp.solve([a * x + b, a * other + b], [a, b], dict=True)
    assert found == [{a: 0, b: 0}]
    u, v = sp.symbols("u v")  # with more inputs: t·u = t'·u' of two functions
    assert sp.solve(sp.Poly(a * u - b * v, u, v).coeffs(), [a, b], dict=True) == [{a: 0, b: 0}]
    return FACES.finding("proved", "one input; more by independence of u and u'")


@pytest.mark.parametrize(("atoms", "selected"), [(3, 1), (4, 2), (5, 2)])
@mutations({"with an input less": {"atoms": 4, "selected": 2, "less": 1}})
def test_all_regions_occur(atoms, selected, less=0):
    """(k): for slopes in general position some x has the scores of any set ahead."""
    dim = atoms - 1 - less
    slopes = sp.Matrix(atoms, dim, lambda i, j: sp.Integer(i + 2) ** (j + 1))
    offsets = sp.Matrix(atoms, 1, lambda i, _: sp.Rational(i * i, 3) - 1)
    differences = sp.Matrix([slopes.row(i) - slopes.row(0) for i in range(1, atoms)])
    assert differences.rank() == atoms - 1
    for some in combinations(range(atoms), selected):
        wanted = [sp.Integer(1) if i in some else sp.Integer(0) for i in range(atoms)]
        right = [wanted[i] - wanted[0] - offsets[i] + offsets[0] for i in range(1, atoms)]
        x = differences.LUsolve(sp.Matrix(right))
        scores = list(slopes * x + offsets)
        order = sorted(range(atoms), key=lambda i: scores[i], reverse=True)
        assert set(order[:selected]) == set(some)
    return WHOLE.finding("proved", f"k* = {atoms}, K = {selected}: {len(wanted) - 1} inputs")
