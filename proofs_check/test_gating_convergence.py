"""Which true atoms two fitted atoms can share: the split into Regimes 1 and 2 of sigmoid gates.

Statement (arXiv 2405.13997, the two regimes). In the limit the m fitted atoms of a cell have one
expert, so their gates add up to the true one. Let σ(β1*ᵀx + β0*) = Σ_{i≤m} lim σ(β1_iᵀx + β0_i) on
a set with interior, m ≥ 2, slopes with finite limits (not assumed to be β1*), intercepts bounded
below (limits in R or +∞). Then β1* = 0 and all limiting slopes are 0. If an intercept may tend to
−∞, those atoms vanish, whatever their slopes, and the statement holds for the others if they are
two or more; a single one tends to the true gate. Conversely, for β1* = 0 every split of σ(β0*) into
m positive parts does it.

Proof. Both sides are analytic, so they agree on R^d, and on a line x = tu with u·β1* > 0 and
u·β1_i ≠ 0 wherever β1_i ≠ 0. Each term is ≥ 0 and has limits at t → ±∞; the truth has 0 and 1. At
−∞ all terms must vanish: none falls, is constant or 1. At +∞ exactly one rises. If β1* = 0, both
ends are σ(β0*) < 1: no term can rise, fall, or be 1.

Independence. 1 and σ(β_i t + b_i), i ≤ m, β_i ≠ 0, are linearly independent for all m if the
pairs (β_i, b_i) are distinct up to sign; up to sign there is σ(z) + σ(−z) = 1. Proof: the poles
are at (iπ(2k+1) − b_i)/β_i. In a relation take the largest |β_i|: its pole nearest to the real axis
is a pole of no other, with residue c_i/β_i, so c_i = 0. (In R^d: restrict to a line as above.)

Normalised sigmoid (arXiv 2505.10860): weights σ_i/Σσ. The cell sums S_j obey S_j = R σ_j* with one
function R for all j. Let slopes tend to those of the cell and intercepts be finite, let cell l be
exact (one fitted atom), m atoms be in cell j ≠ l. (1) If β1_l* ≠ 0, then m ≥ 2 and β1_j* ≠ 0 only
for (β1_l*, β0_l*) = −(β1_j*, β0_j*): there the two true weights are a softmax, and the limits are
β0_j* − log m, β0_l* + log m. (2) If β1_l* = 0, R is a constant c, and Σσ(z + b_i) = cσ(z + b*)
forces c = m and b_i = b*. This happens: m copies of atom j, and mσ(β0_l*) < 1 for the other gates
if these have no slopes. (3) m copies of every true atom (R = m) do it for all slopes.
So the split carries over if some exact true atom has a slope and is no mirror image, and
not without that: (2), (3) and the mirror image.

Proved: all of this, for all m, d and parameters named. Not treated: slopes that diverge; cells of
the normalised gate all of which have two or more atoms, beyond (3).
"""

from __future__ import annotations

import pytest
import sympy as sp

import identkit
from identkit.claims.checks import Claim, mutations

GATES = Claim(
    "sigmoid-gate-sharing",
    "if the limits of two or more sigmoid gates, slopes bounded and intercepts bounded below, add "
    "up to σ(β1*ᵀx+β0*), then β1* = 0 and all slopes tend to 0; every split of σ(β0*) occurs",
    "Nguyen, Ho, Rinaldo, NeurIPS 2024, the two regimes (arXiv 2405.13997)",
)
INDEPENDENT = Claim(
    "sigmoids-independent",
    "1 and sigmoids with nonzero slopes, distinct up to sign, are linearly independent",
    "identkit (derived here)",
)
NORMALISED = Claim(
    "normalized-sigmoid-gate-sharing",
    "slopes that tend to the cell's, finite limiting intercepts: if an exactly fitted true atom l "
    "has β1_l* ≠ 0, fitted atoms share the normalised sigmoid "
    "weight of atom j only if β1_j* = 0 or (β1_l*, β0_l*) = −(β1_j*, β0_j*)",
    "identkit (derived here)",
)
READING = Claim(
    "normalized-sigmoid-regimes",
    "fitted atoms can share the normalised sigmoid weight of a true atom with β1* ≠ 0: three "
    "families; so the two regimes of the sigmoid gate do not carry over as they are",
    "identkit (derived here), on arXiv 2505.10860",
)

t, z, b = sp.symbols("t z b", real=True)
u, v, c, slope, high = sp.symbols("u v c slope high", positive=True)
m = sp.symbols("m", integer=True, positive=True)


def sigma(score):
    return 1 / (1 + sp.exp(-score))


def ends(gate):
    """The limits of a gate at t → −∞ and t → +∞."""
    return sp.limit(gate, t, -sp.oo), sp.limit(gate, t, sp.oo)


FINITE = {"rising": sigma(slope * t + b), "falling": sigma(b - slope * t), "flat": u / (1 + u)}
LIMITS = {name: ends(gate) for name, gate in FINITE.items()}
LIMITS["β0 → +∞"] = (sp.limit(sigma(z), z, sp.oo),) * 2
LIMITS["β0 → −∞"] = (sp.limit(sigma(z), z, -sp.oo),) * 2


def most(truth, kinds):
    """How many atoms of these kinds can sum to the truth at both ends, as terms are ≥ 0."""
    total = [end.subs(u, high) for end in LIMITS[truth]]  # its own σ(β0*)
    room = 0
    for kind in kinds:
        pairs = list(zip(total, LIMITS[kind], strict=True))
        if any(sp.simplify(whole - part).is_negative for whole, part in pairs):
            continue  # a single one exceeds the truth at an end
        bounds = [sp.floor(whole / part) for whole, part in pairs if part.is_positive]
        # parts u/(1+u) may be as small as we like, and vanishing ones are free
        room += min([bound for bound in bounds if bound.is_Integer], default=sp.oo)
    return room


@mutations(
    {
        "a sloped gate is not shared even if β0 → −∞ is allowed": {"β0": ("β0 → +∞", "β0 → −∞")},
        "a flat true gate is not shared either": {"truth": "flat"},
        "a sloped true gate is the limit of no single gate": {"atoms": 1},
    }
)
def test_a_sloped_gate_is_not_a_sum(truth="rising", atoms=2, β0=("β0 → +∞",)):
    """No kind but "rising" fits, once; falling truths are rising along −u."""
    assert most(truth, (*FINITE, *β0)) < atoms
    return GATES.finding("proved", "limits at both ends of a line, for all numbers of atoms and d")


@mutations(
    {
        "several sloped gates add up to a constant": {"kinds": ("flat", "rising")},
        "gates that tend to 1 add up to a constant": {"kinds": ("flat", "β0 → +∞")},
        "no gate at all": {"kinds": ()},
    }
)
def test_a_flat_gate_is_a_sum_of_flat_ones_only(kinds=("flat",)):
    """The kinds with finite limits that fit under a flat truth are the flat ones."""
    possible = [kind for kind in (*FINITE, "β0 → +∞") if most("flat", (kind,)) > 0]
    assert possible == list(kinds)
    return GATES.finding("proved", "β1* = 0 forces all limiting slopes to be 0")


@mutations(
    {
        "copies with slope 1 work as well": {"gate_slope": 1},
        "copies of the true intercept work": {"share": 1},
    }
)
def test_every_flat_gate_can_be_shared(gate_slope=0, share=1 / m):
    """σ(logit p) = p, so intercepts logit(p_i) with Σp_i = σ(β0*) do it; here m equal parts."""
    part = u / (1 + u) * share
    logit = sp.log(part / (1 - part))
    whole = sigma(gate_slope * z + sp.log(u))
    assert sp.simplify(sigma(sp.log(v / (1 - v))) - v) == 0
    assert sp.simplify(m * sigma(gate_slope * z + logit) - whole) == 0
    return GATES.finding("proved", "if: symbolically, all m")


@mutations(
    {
        "the vanishing atoms may sit anywhere": {"drift": 0},
        "weights that tend to 1 vanish": {"drift": 1},
    }
)
def test_compactness_is_needed(drift=-1):
    """σ(z) + σ(βx + drift·n) → σ(z), uniformly on bounded sets: σ is increasing, |βx| ≤ v."""
    n = sp.symbols("n", positive=True)
    assert sp.diff(sigma(z), z).is_positive
    assert sp.limit(sigma(v + drift * n), n, sp.oo) == 0
    return GATES.finding("proved", "the exception without a lower bound: all but one atom vanish")


@mutations(
    {
        "pairs that differ only in sign count as distinct": {"same": {(1, 1)}},
        "only equal slopes matter, whatever the intercepts": {"same": {(1, 0), (-1, 0)}},
        "straight lines are independent too": {"expert": "c*(a*x+b)"},
    }
)
def test_distinct_sigmoids_are_independent(
    same=frozenset({(1, 1), (-1, -1)}), expert="c*sigmoid(a*x+b)"
):
    """The nearest pole of the steepest atom is one of atom 2 only if β_2, b_2 = ±(β_1, b_1).

    And identkit agrees: `strong` holds the functions ∂h/∂c = σ(ax+b), independent for every k and
    almost every parameter, with the reflection among the exceptional ones.
    """
    k = sp.symbols("k", integer=True)
    beta, ratio, other = sp.symbols("beta ratio other", real=True, nonzero=True)
    pole = (sp.I * sp.pi * (2 * k + 1) - b) / beta
    denominator = 1 / sigma(beta * t + b)
    assert sp.simplify(sp.expand(denominator.subs(t, pole))) == 0
    assert sp.simplify(sp.expand(sp.diff(denominator, t).subs(t, pole)) - beta) == 0  # residue 1/β
    # slope ratio·β with |ratio| ≤ 1; its score at the pole k = 0 must be iπ·(odd)
    score = sp.expand(ratio * beta * pole.subs(k, 0) + other)
    odd = sp.im(score) / sp.pi
    ratios = [value for value in (-1, 0, 1) if odd.subs(ratio, value) % 2 == 1]
    shared = {(r, sp.solve(sp.re(score).subs(ratio, r), other)[0] / b) for r in ratios}
    assert shared == set(same)
    assert sp.simplify(sigma(z) + sigma(-z)) == 1
    result = identkit.check(identkit.Expert.from_expression(expert), "softmax").results[0]
    assert (result.verdict, result.atoms_scope) == ("yes", "every")
    assert any("h(x; c, -a, -b) = c" in exception.relation for exception in result.exceptional)
    return INDEPENDENT.finding("proved", "poles: all m, all parameters")


def atom(scale, power=1):
    """σ(power·s + log scale) as a function of u = e^s."""
    return scale * u**power / (1 + scale * u**power)


@mutations(
    {
        "two atoms share a sloped gate": {"atoms": 2},
        "so for an exact cell without slope": {"exact_slope": 0},
        "so for slopes of opposite sense": {"exact_slope": -1},
    }
)
def test_exact_cell_parallel_or_independent(exact_slope=1, atoms=1):
    """R → 1 where the exact gate tends to 1, and S_j/σ_j* → m where that of j does.

    For the same sense both happen along one line; for independent slopes R = S_j/σ_j* depends on
    β1_lᵀx alone and on β1_jᵀx alone, hence is constant, so its limits along both are the same.
    """
    exact = sp.limit(atom(v, exact_slope) / atom(c, exact_slope), u, sp.oo)
    shared = m * sp.limit(atom(v) / atom(c), u, sp.oo)  # m terms with this limit each
    assert sp.solve(shared - exact, m) == [atoms]
    return NORMALISED.finding("proved", "slopes independent or of the same sense: symbolic limits")


@mutations(
    {
        "the mirror image has the same intercept": {"mirror": c},
        "its fitted intercepts are the true ones": {"split": 1},
        "α = 2 is possible": {"largest": 2},
    }
)
def test_exact_cell_of_the_opposite_sense(mirror=1 / c, split=m, largest=1):
    """β1_l* = −α β1_j*: with u = e^{β1_jᵀx}, c = e^{β0_j*}, B = e^{β0_l*}, B' = e^{β0_l}, all > 0,

    S(1 + u^α/B') = σ*(1 + u^α/B), S = Σ c_i u/(1 + c_i u), σ* = cu/(1 + cu). S ≠ σ* as m ≥ 2, so
    B ≠ B' and u^α = (S − σ*)/(σ*/B − S/B') is rational: α is an integer, by the order at 0. Where
    u^α = −B', neither σ* nor 1 + u^α/B vanishes, so S has a pole; those of S are real and simple.
    But e^{iπ/α} B'^{1/α} is not real for α ≥ 2. For α = 1 this pole is −B' ≠ −1/c, and
    S = p·σ* + q·(u/B')/(1 + u/B'), p + q = m, q ≥ 1. At u → 0: pc + q/B' = c, so p < 1: p = 0.
    """
    prime, truth = sp.symbols("prime truth", positive=True)
    assert sp.simplify(sp.exp(sp.I * sp.pi / m) ** m) == -1
    assert sp.sin(sp.pi / largest) == 0  # real
    assert sp.simplify(sp.pi - sp.pi / (largest + m)).is_positive  # beyond: angles in (0, π)
    right = atom(c) * (1 + u / truth) / (1 + u / prime)
    p, q = sp.symbols("p q", nonnegative=True)
    left = p * atom(c) + q * atom(1 / prime)
    (copies,) = sp.solve(sp.limit((left - right) / u, u, 0), p)
    assert sp.simplify(1 - copies - q / (c * prime)) == 0  # > 0
    left = left.subs({p: 0, q: m})
    equations = [sp.limit((left - right) / u, u, 0), sp.limit(left - right, u, sp.oo)]
    (solution,) = sp.solve(equations, [truth, prime], dict=True)
    assert sp.simplify(solution[truth] - mirror) == 0
    assert sp.simplify(solution[prime] - split * mirror) == 0
    assert sp.simplify((left - right).subs(solution)) == 0
    return NORMALISED.finding("proved", "opposite sense: rational functions of e^{β1ᵀx}, all m")


@mutations(
    {
        "the factor is 1, as without normalisation": {"factor": 1},
        "the intercepts need not agree": {"spread": 1},
    }
)
def test_a_constant_ratio_is_the_number_of_copies(factor=m, spread=0):
    """Σσ(s + b_i) = kσ(s + b*) at s → ∞: k = m.

    At u = e^s → 0: Σc_i = mc and Σc_i² = mc², so Σ(c_i − c)² = 0 with c_i = e^{b_i}, c = e^{b*}.
    """
    assert m * sp.limit(atom(v), u, sp.oo) == factor * sp.limit(atom(c), u, sp.oo)
    first, second = (sp.series(atom(c), u, 0, 3).coeff(u, n) for n in (1, 2))
    total, squares = m * first, m * -second  # of the c_i, as both sides agree to second order
    assert sp.simplify(sp.series(atom(v), u, 0, 3).coeff(u, 2) + v**2) == 0
    assert sp.expand(squares - 2 * c * total + m * c**2 - spread) == 0
    return NORMALISED.finding("proved", "exact cells without slope: R = m and copies, all m")


FLAT, SLOPED = v / (1 + v) / m, v / (1 + v)  # σ(β0_l*) < 1/m; a gate with a slope of its own
COUNTEREXAMPLES = {
    # true gates of atoms j and l, then the sums of the fitted ones in their cells
    "copies, the rest flat": ([atom(c), FLAT], [m * atom(c), m * FLAT]),
    "copies of all": ([atom(c), SLOPED], [m * atom(c), m * SLOPED]),
    "mirror image": (
        [atom(c), 1 - atom(c)],
        [m * atom(c / m), 1 - atom(c / m)],  # 1 − σ(z) = σ(−z)
    ),
    "copies, the rest sloped": ([atom(c), SLOPED], [m * atom(c), m * v / (1 + m * v)]),
    "copies, the rest as it was": ([atom(c), SLOPED], [m * atom(c), SLOPED]),
}


@pytest.mark.parametrize("case", ["copies, the rest flat", "copies of all", "mirror image"])
@mutations(
    {
        "m copies of a gate, another sloped one with m-fold odds": {
            "case": "copies, the rest sloped"
        },
        "m copies of a gate, the others unchanged": {"case": "copies, the rest as it was"},
        "the fitted flat weights stay below 1/m": {"case": "copies, the rest flat", "bound": 1 / m},
    }
)
def test_normalised_weights_are_shared_with_a_slope(case, bound=1):
    """The normalised weight of cell j is the true one for all x, all m, though β1_j* ≠ 0.

    "Copies, the rest flat" needs fitted weights mσ(β0_l*) < 1. u = e^{β1_jᵀx}; v is free.
    """
    (true_j, true_l), (cell_j, cell_l) = COUNTEREXAMPLES[case]
    if case == "copies, the rest flat":
        assert sp.simplify(bound - cell_l).is_positive
    assert sp.simplify(cell_j / (cell_j + cell_l) - true_j / (true_j + true_l)) == 0
    assert sp.simplify(sp.diff(true_j, u)).is_positive  # it has a slope
    found = {
        "copies, the rest flat": "gates σ(x), 1/4: the atoms σ(x), σ(x), 1/2 have the same weights",
        "copies of all": "each true atom m times, any slopes (k ≥ 2k*)",
        "mirror image": "σ(z), σ(−z): m atoms at z − log m, one at −z + log m",
    }[case]
    return READING.finding("proved", found)
