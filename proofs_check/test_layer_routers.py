"""Routers of layers: what moves W and the selection biases, and what does not.

Setting. Scores s_i = W_i·x (+ b0_i) of n experts, of which a set S(x) of k is selected, by scores
or by what is made of them; weights e^{s_i} or σ(s_i), divided by their sum over S, over all
experts, or by nothing, times a factor; f = Σ_{i ∈ S} w_i h_i.

Statements.

1. *Shift.* W → W + 1·vᵀ, b0 → b0 + t adds τ = v·x + t to all scores. Softmax weights over S or
   over all stay, for every n, k and factor; so does every selection that is made by differences of
   scores, or by softmax weights (groups of experts by their largest weight, a bias added to
   weights). Where i and j are selected together w_i/w_j = e^{s_i − s_j}, so that nothing else
   moves W_i − W_j; weights that are divided over all experts show all differences, 1/w_i = Σ_l
   e^{s_l − s_i}.
2. *Divided sigmoids.* Scores without intercepts, W_i ≠ W_j, both selected on an open set: w_i/w_j
   there determines W_i and W_j. So W has no shift, and no other curve or finite action on rows
   that are selected together with another one. (With intercepts there are exceptions, and families
   where slopes are 0: test_gating_convergence.) Sigmoids that are not divided determine their
   scores.
3. *One selected* expert whose weight is divided by itself has weight 1. Then W → c·W + 1·vᵀ, c >
   0, leaves f, for e^s and for σ, if scores alone select. Beside a bias b, σ + b, it does not.
4. *Selection bias.* b → b + t leaves the selection by the k largest σ + b, also within the groups
   with the largest sum (or any function that gains the same number for all groups) of their m
   largest σ + b, if experts outside of these are put at −∞. Put at 0 they are not out: then b + t
   selects others where some σ + b < 0.
5. *Weight on the input.* f = h(σ(W_i·x)x, η_i) on the region of i, h(z) = Σ_j c_j φ(a_j·z)(u_j·z)
   or Σ_j c_j φ(a_j·z), any width, φ real analytic on R and meromorphic on C: silu, gelu, tanh, not
   relu. What leaves h as it is leaves f. The shift of W does not. On an open set f determines
   (W_i·v)² for every v along which h is no rational function, so W_i up to its sign, whatever η_i;
   and no curve of (W_i, η_i) with the same f moves W_i. For silu h is not rational along v if Σ
   c_j(u_j·v) over all j with the greatest |a_j·v| is not 0: almost every v, for rows that differ
   and no zeros.

Proved. 1: e^{s + τ} = e^τ e^s, which divides out; order statistics see differences. 2: clear
denominators: e^{−s_j} + e^{−p} + e^{−s_j−p} = e^{−q} + e^{−s_i} + e^{−q−s_i} for other scores p, q
of i and j. Exponentials of different linear forms are independent on every open set, so both sides
are one multiset: 1 or more of the 4! ways to match {0, s_j, p, s_j + p} with {0, q, s_i, q + s_i}.
Each is a linear system, which implies p = s_i, q = s_j, or s_i = s_j (computed). 3: σ increases.
4: the m-th largest of c + t is that of c, plus t. 5: f is analytic, so it is known on all of R^d.
On a line x = tv let w = W·v ≠ 0. z = tσ(wt) is meromorphic in t, infinite at wt ∈ iπ(2Z + 1)
alone, at simple poles (a). h(zv) is meromorphic in z, so f(tv) is in t but at these points; at one
of them it is not: t is an analytic function of 1/z there, so h(zv) would be meromorphic at ∞ too,
hence rational. So the points where f(tv) is not meromorphic, iπ(2Z + 1)/|w|, determine |w|; there
are none if w = 0. w² = (W·v)² for an open set of v determines W up to its sign. Silu: h(zv) has
poles at z ∈ iπ(2Z + 1)/a_j·v alone, of residue z²Σ c_j(u_j·v) over the j with a pole there (b).
Let |a| be the greatest |a_j·v|; a smaller |a_l·v| has a pole at iπ(2m + 1)/|a| only if the
denominator of |a_l·v/a| divides 2m + 1, so infinitely many poles are of |a| alone, and a rational
function has finitely many.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pytest
import sympy as sp

from identkit.claims.checks import Claim, mutations

DERIVED = "identkit (derived here)"
SHIFT = Claim(
    "layer-router-shift",
    "Softmax weights of the selected or of all experts, divided by either sum, times a factor, and "
    "every selection by scores or softmax weights stay under W → W + 1·vᵀ, for every number of "
    "experts and inputs; weights of experts selected together show all else of their rows",
    DERIVED,
)
ROWS = Claim(
    "layer-sigmoid-rows",
    "Divided sigmoid weights of linear scores without intercept determine both rows of two experts "
    "with different rows that are selected together on an open set: no shift, no other action",
    "identkit (derived here), for the weights of arXiv 2412.19437",
)
ONE = Claim(
    "layer-one-selected",
    "One selected expert, its weight divided by itself: W → c·W + 1·vᵀ, c > 0, leaves the layer if "
    "scores alone select, for softmax and sigmoid weights; with a selection bias it does not",
    DERIVED,
)
BIAS = Claim(
    "layer-selection-bias",
    "b → b + t leaves the selection by σ + b, also from groups by sums of their largest, if "
    "experts outside of these are put at −∞; at 0 they are not out where some σ + b is negative",
    "identkit (derived here), for the selection of arXiv 2412.19437",
)
INPUT = Claim(
    "layer-weight-on-input",
    "f = h(σ(W·x)x, η), any width, an activation that is meromorphic (silu, gelu, tanh): f "
    "on an open set determines W up to its sign, unless h is rational along lines; so no curve of "
    "(W, η) with the same f moves W",
    "identkit (derived here), for the layer of Llama-4",
)
FOUR = 4
C, NEGATIVE = sp.Symbol("c", positive=True), sp.Symbol("c", negative=True)
LOG2, HALF, BIAS_OF_ONE = sp.log(2), sp.Rational(1, 2), sp.Rational(3, 20)


def sigmoid(s):
    return 1 / (1 + sp.exp(-s))


def _is_zero(expression):
    return sp.cancel(sp.expand_power_exp(sp.together(expression.rewrite(sp.exp)))) == 0


@pytest.mark.parametrize("experts", [2, 3, 5])
@mutations(
    {
        "sigmoid weights have it": {"experts": 2, "weight": sigmoid},
        "one row alone moves": {"experts": 3, "moved": lambda s, i, t: s + (t if i == 0 else 0)},
        "scores are multiplied": {"experts": 2, "moved": lambda s, i, t: s * t},
    }
)
def test_a_shift_leaves_softmax_weights(experts, weight=sp.exp, moved=lambda s, i, t: s + t):
    """Any k of n, divided by their sum and by that of all, for free scores; and all differences."""
    s, (t, factor) = sp.symbols(f"s0:{experts}", real=True), sp.symbols("t phi", positive=True)
    other = [moved(score, i, t) for i, score in enumerate(s)]
    for chosen in range(1, experts + 1):
        for divided in {chosen, experts}:
            own, now = (factor * weight(x[0]) / sum(map(weight, x[:divided])) for x in (s, other))
            assert _is_zero(own - now)
    assert all(sp.expand(other[i] - other[0] - s[i] + s[0]) == 0 for i in range(experts))
    ratio = weight(s[0]) / weight(s[1])
    assert _is_zero(ratio - sp.exp(s[0] - s[1]))  # what is seen of two
    return SHIFT.finding("proved", f"{experts} experts, every k; every n by the argument")


@mutations(
    {
        "a weight that is not divided": {"slices": (1, 1)},
        "W·x is multiplied": {"shift": lambda rows, v: [[2 * e for e in row] for row in rows]},
    }
)
def test_a_shift_of_rows_is_one_of_scores(
    slices=(1, 3),
    shift=lambda rows, v: [[e + t for e, t in zip(row, v, strict=True)] for row in rows],
):
    """Three experts, four inputs: scores of W + 1·vᵀ, and the weight of the first."""
    rows = [sp.symbols(f"w{i}_0:4") for i in range(3)]
    v, x = sp.symbols("v0:4"), sp.symbols("x0:4")
    first, last = slices
    made = []
    for w in (rows, shift(rows, v)):
        scores = [sp.expand(sum(e * z for e, z in zip(row, x, strict=True))) for row in w]
        made.append(
            sum(map(sp.exp, scores[:first]))
            / (sum(map(sp.exp, scores[:last])) if last > first else 1)
        )
    assert _is_zero(made[0] - made[1])
    return SHIFT.finding("proved", "rows of W with four inputs")


def sigmoid_sides(i, j, p, q):
    """Negated exponents of (1 + e^{−s_j})(1 + e^{−p}) = (1 + e^{−q})(1 + e^{−s_i}), both sides."""
    zero = sp.zeros(1, FOUR)
    return [zero, j, p, j + p], [zero, q, i, q + i]


def softmax_sides(i, j, p, q):
    """The same for e^{s_i − s_j} = e^{p − q}."""
    return [j + p], [q + i]


@mutations(
    {
        "softmax weights determine them too": {"sides": softmax_sides},
        "equal rows are determined": {"excluded": ()},
        "the rows are exchanged": {"images": (1, 0)},
    }
)
def test_divided_sigmoids_determine_two_rows(
    sides=sigmoid_sides, excluded=((0, 1),), images=(0, 1)
):
    """Every matching of the exponents implies p = s_i and q = s_j, or rows that are equal."""
    i, j, p, q = (sp.eye(FOUR)[row, :] for row in range(FOUR))  # of s_i, s_j, p, q
    left, right = sides(i, j, p, q)
    wanted = [p - (i, j)[images[0]], q - (i, j)[images[1]]]
    never = [(i, j)[a] - (i, j)[b] for a, b in excluded]
    for order in permutations(right):
        system = sp.Matrix.vstack(*(a - b for a, b in zip(left, order, strict=True)))

        def implied(equation, system=system):
            return sp.Matrix.vstack(system, equation).rank() == system.rank()

        assert all(map(implied, wanted)) or any(map(implied, never))
    s, t, a, b = sp.symbols("s t a b", real=True)
    cleared = (1 + sp.exp(-t)) * (1 + sp.exp(-a)) - (1 + sp.exp(-b)) * (1 + sp.exp(-s))
    ratios = sigmoid(s) / sigmoid(t) - sigmoid(a) / sigmoid(b)
    assert _is_zero(ratios * (1 + sp.exp(-s)) * (1 + sp.exp(-a)) - cleared)
    return ROWS.finding("proved", "all 24 matchings of exponents; exponentials are independent")


@mutations({"nothing moves": {"shift": 0}})
def test_a_shift_changes_divided_sigmoids(shift=LOG2):
    """Scores (0, log 2): the weight of the first is 3/7, and 5/11 after a shift by log 2."""
    found = []
    for t in (0, shift):
        own = [sp.nsimplify(sp.simplify(sigmoid(s + t))) for s in (sp.Integer(0), sp.log(2))]
        found.append(own[0] / sum(own))
    assert found == [sp.Rational(3, 7), sp.Rational(5, 11)]
    return ROWS.finding("proved", "exact numbers")


@mutations(
    {
        "c < 0 too": {"factor": NEGATIVE},
        "a bias of the selection is no matter": {"bias": BIAS_OF_ONE},
        "weights are not divided": {"divided": lambda w: 1},
    }
)
def test_one_selected(factor=C, bias=0, divided=lambda w: w):
    """The weight is w/w; the order stays: exact scores (0, log 2), (log 2, log 4) with a bias."""
    s, t, v = sp.symbols("s t v", real=True)
    assert all(sp.simplify(weight(s) / divided(weight(s))) == 1 for weight in (sp.exp, sigmoid))
    rises = sp.exp(-s) / (1 + sp.exp(-s)) ** 2
    assert rises.is_positive
    assert sp.simplify(sp.diff(sigmoid(s), s) - rises) == 0
    apart = sp.factor((factor * s + v) - (factor * t + v))
    assert sp.cancel(apart / (s - t)).is_positive
    orders = [
        sp.simplify(sigmoid(sp.log(2) * k) + bias - sigmoid(sp.log(2) * (k + 1))) < 0
        for k in range(3)
    ]
    assert len(set(map(bool, orders))) == 1
    return ONE.finding("proved", "scores alone; a bias of 3/20 decides otherwise after a shift")


@mutations({"without a bias": {"bias": 0}})
def test_a_bias_beside_one_selected(bias=BIAS_OF_ONE):
    """(0, log 2): ½ + b < ⅔; shifted by log 2: ⅔ + b > ⅘: the other expert is selected."""
    before, after = (
        sp.simplify(sigmoid(sp.log(2) * k) + bias - sigmoid(sp.log(2) * (k + 1))) for k in (0, 1)
    )
    assert before < 0 < after
    return ONE.finding("proved", "exact numbers")


# --- 4 --------------------------------------------------------------------------------------------

VALUES = tuple(Fraction(v, 7) for v in (-5, -1, 2, 3, 8, 13))
OUT = Fraction(-(10**9))
"""Less than everything, for −∞."""


def two_largest(group):
    return sum(sorted(group)[-2:])


def selected(values, score, fill, *, size=2, kept=2, top=2):
    """The ``top`` largest in the ``kept`` groups of ``size`` with the greatest scores."""
    groups = [values[g : g + size] for g in range(0, len(values), size)]
    best = sorted(range(len(groups)), key=lambda g: score(groups[g]))[-kept:]
    choice = [v if i // size in best else fill for i, v in enumerate(values)]
    return frozenset(sorted(range(len(values)), key=lambda i: choice[i])[-top:])


@mutations(
    {
        "experts outside are put at 0": {"fill": Fraction(0)},
        "groups by products": {"scores": (lambda g: g[0] * g[1],)},
        "one bias alone moves": {"moved": lambda values, t: (values[0] + t, *values[1:])},
    }
)
def test_a_shift_of_selection_biases(
    fill=OUT, scores=(two_largest, max), moved=lambda values, t: tuple(v + t for v in values)
):
    """All orders of six exact σ + b, in one group, and in three of which two are kept."""
    for order in permutations(VALUES):
        for t in (Fraction(-3), Fraction(1, 3), Fraction(4)):
            for score in scores:
                for size, kept in ((6, 1), (2, 2), (3, 1)):
                    own, now = (
                        selected(v, score, fill, size=size, kept=kept)
                        for v in (order, moved(order, t))
                    )
                    assert own == now
    values = sp.symbols("c0:3", real=True)
    t = sp.Symbol("t", real=True)
    largest = sp.Max(*(v + t for v in values))
    for point in permutations((1, 2, 5)):
        at = dict(zip(values, point, strict=True))
        assert sp.expand(largest.subs(at) - sp.Max(*values).subs(at) - t) == 0
    return BIAS.finding(
        "proved", "order statistics gain t; six experts, all orders, two group scores"
    )


@mutations(
    {
        "put at −∞": {"fill": OUT},
        "all σ + b positive": {"values": tuple(Fraction(v, 10) for v in (3, 2, 1, 1))},
    }
)
def test_a_fill_of_zero_is_not_out(
    fill=Fraction(0), values=tuple(Fraction(v, 10) for v in (3, -1, 1, -2))
):
    """Two groups of two, one kept, two selected: (0.3, −0.1 | 0.1, −0.2) and the same + 1/5."""
    before = selected(values, two_largest, fill, kept=1)
    after = selected(tuple(v + Fraction(1, 5) for v in values), two_largest, fill, kept=1)
    assert before != after == frozenset({0, 1})
    return BIAS.finding("proved", "exact numbers")


# --- 5 --------------------------------------------------------------------------------------------


def silu(z):
    return z * sigmoid(z)


@mutations(
    {
        "at iπ·2m": {"at": lambda m: 2 * m},
        "of order two": {"order": 2},
    }
)
def test_poles_of_the_weight(at=lambda m: 2 * m + 1, order=1):
    """(a): 1 + e^{−z} is 0 at iπ(2m + 1), its derivative is 1 there: a simple pole of residue 1."""
    m, z = sp.Symbol("m", integer=True), sp.Symbol("z")
    place = sp.I * sp.pi * at(m)
    below = 1 + sp.exp(-z)
    assert sp.simplify(below.subs(z, place)) == 0
    assert all(
        sp.simplify(sp.diff(below, z, k).subs(z, place)) == (0 if k < order else 1)
        for k in range(1, order + 1)
    )
    return INPUT.finding("proved", "(a)")


@mutations(
    {
        "linear experts have them": {"unit": lambda z: z},
        "units may cancel": {"ups": (1, -1)},
        "residues are those of φ": {"power": 1},
    }
)
def test_poles_of_an_expert(unit=silu, ups=(1, 1), power=2):
    """(b): two units with one |a|, gates a and −a: residue z²·Σcu at z = iπ(2m + 1)/a, not 0."""
    z, a, c = sp.symbols("z a c", positive=True)
    for m in (0, 1, 2):
        place = sp.I * sp.pi * (2 * m + 1) / a
        h = sum(c * u * z * unit(sign * a * z) for u, sign in zip(ups, (1, -1), strict=True))
        # a simple pole: N/D with D(place) = 0 has residue N/D′
        numerator, below = sp.fraction(sp.together(h.rewrite(sp.exp)))
        slope = sp.diff(below, z).subs(z, place)
        assert sp.simplify(below.subs(z, place)) == 0
        residue = sp.simplify(numerator.subs(z, place) / slope)
        wanted = place**power * c * sum(ups)
        assert wanted != 0
        assert sp.simplify(residue - wanted) == 0
    return INPUT.finding("proved", "(b), three poles; every pole by the same lines")


@mutations(
    {"which a smaller one shares": {"numerators": (2, 4, 6)}, "at 1/3": {"ratio": Fraction(3, 1)}}
)
def test_poles_that_no_smaller_gate_shares(numerators=(1, 7, 13), ratio=Fraction(2, 3)):
    """|a_l|/|a| = 2/3 has a pole at iπ(2m + 1)/|a| iff (2m + 1)·2/3 is odd, so 3 | 2m + 1."""
    assert ratio < 1
    for odd in numerators:
        assert odd % 2 == 1
        assert (odd * ratio).denominator != 1 or (odd * ratio).numerator % 2 == 0
    return INPUT.finding("proved", "the step of the argument, on an example")


@mutations({"no shift": {"shift": sp.Integer(0)}})
def test_a_shift_moves_a_weight_on_the_input(shift=HALF):
    """One unit, a = c = u = 1: h(z) = z²σ(z) at x = 2 log 2, W = 0 and ½: z = log 2, 4/3 log 2."""
    point = 2 * sp.log(2)
    made = []
    for w in (sp.Integer(0), shift):
        z = sp.simplify(point * sigmoid(w * point))
        made.append(z)
    assert made[0] == sp.log(2)
    assert made[1] == sp.log(2) * sp.Rational(4, 3)
    z = sp.Symbol("z", positive=True)
    slope = sp.diff(z**2 * sigmoid(z), z)
    assert sp.simplify(slope - z * sigmoid(z) * (2 + z * (1 - sigmoid(z)))) == 0  # > 0 for z > 0
    return INPUT.finding("proved", "exact numbers; z²σ(z) increases")
