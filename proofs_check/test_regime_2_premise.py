"""Regime 2 premise: exact refits with one atom more, for each built-in expert.

Statement (theory section 4; arXiv 2405.13997, Regime 2). The theorem assumes that f_G* is not a sum
of more than k* atoms. It is one, whatever the gates and the truth, for every expert that

* is null: h(·, η) ≡ 0 for some η. Add that atom with any gate;
* is dead: h(·, η) = 0 on the domain [−3, 3] for an open set of η. Likewise;
* splits under a common gate: h(x, η₁) + h(x, η₂) = h(x, η*), η₁ and η₂ functions of η*.

Of the built-in experts (d = 1) all but five have such a refit: sigmoid and softplus (ridge and
nobias) and exp (nobias). Softplus has none at all, exp at exceptional truths only. Below u_j, v_j
are affine in x ∈ R and not constant, and the zeros of the u_j are distinct.

Theorem 1. f* = Σ_j σ(u_j) log(1 + exp v_j), k* atoms; for ridge experts let the zeros of the v_j be
distinct, for nobias experts v_j = a_j x with a_j/a_l irrational, j ≠ l. Then f* is no such sum of
k atoms, k > k*, on any interval.
Proof. 1. 1 + e^v has a simple zero where v ∈ iπ(2Z + 1). Let Q be the set of these x: odd multiples
of iπ/|a|, shifted by the zero of v. Continued to C, a turn around q adds 2πi times the sum of σ(u)
over the atoms with q ∈ Q (others are single-valued near q). So at each q these sums agree, truth
and fit, as functions of x. They are positive for real x, so every fitted Q_i lies in the union of
the true Q_j. These are disjoint, and Q_i, odd multiples of its first point, lies in the one that
holds that point. Every Q_j needs an atom.
2. Were r ≥ 2 atoms assigned to one Q_j, as its odd multiples by M_1, …, M_r, all would contain the
ΠM-th: Σσ(u_i) = σ(u_j), which the limits at x → ±∞ forbid. So each Q_j has one atom, with
Q_i = Q_j, hence u_i = u_j and v_i = ±v_j.
3. The other atoms have a = 0: they are c_i σ(u_i), c_i = log(1 + e^b) > 0. With S the atoms of
v_i = −v_j, log(1 + e^{−v}) = log(1 + e^v) − v gives Σ c_i σ(u_i) = Σ_{j∈S} σ(u_j) v_j. S = ∅
contradicts c_i > 0. Else the poles of the σ(u_j) lie on distinct lines, and their residues on the
right, v_j/slope, are unbounded; those on the left take finitely many values. ∎
For d > 1 apply it on almost every line through 0.

Theorem 2 (k* + 1 atoms only: log 3 has three copies). f* = Σ_j σ(u_j) exp(a_j x), u_j = β1_j x +
β0_j, k* atoms, all β0_j ≠ 0. It is such a sum of k* + 1 atoms on some interval if and only if β0_j
= log 2 for some j.
Proof. "If": σ(u) e^{ax} = 2 σ(−u) e^{(a+β1)x}. "Only if": the poles P of σ(u) are odd multiples of
iπ/|β1| on the line Re x = r = −β0/β1 ≠ 0; residues e^{ax}/β1 of modulus e^{ar}/|β1|. Each true
line needs an atom, so one more is left, and the poles of a fitted atom alone on a line are true.
An atom alone on line j has P_i = P_j, and moduli and signs of the residues give a_i = a_j,
β1_i = β1_j: it is the true atom. If the atom left over has β1 = 0, it is w e^{ax} = 0: impossible.
So it shares line j with another, and the two have the sum σ(u_j) exp(a_j x). P_1 and P_2 differ
only by points of P_j, which they cover. If s_1, the first point of P_1, is not in P_2, then it is
in P_j, and P_1 ⊂ P_j; likewise for P_2. If neither P_1 ⊂ P_2 nor P_2 ⊂ P_1, then the first point of
P_j is in P_1, say, so P_1 = P_j ⊃ P_2: no. If P_2 ⊊ P_1, then P_1 = P_j, and the moduli on P_1∖P_2
make atom 1 the true one, so that atom 2 has no residue: no. If P_1 = P_2 ≠ P_j, the residues cancel
off P_j, and again by moduli everywhere: no. So P_1 = P_2 = P_j. Dividing, B_1 ω_1^m + B_2 ω_2^m = 1
for all m ∈ Z, B_i ≠ 0, ω_i = exp(2πi(a_i − a_j)/|β1_j|): by Vandermonde ω_1 = ω_2 = 1, that is
a_i = a_j + n_i β1_j, u_i = ±u_j. Over σ(u_j) exp(a_j x) the two atoms are monomials in e^{u_j} with
positive coefficients and the sum 1: both are free of x, so each is 1 (u_i = u_j, n_i = 0) or
e^{−β0_j} (u_i = −u_j, n_i = 1). Two of these have the sum 1 only if 2 e^{−β0_j} = 1. ∎

Proved: the refits, for all x, gates and parameters; the theorems, hence no refit at almost every
truth. Their argument is the text above; its formulas are checked here.
Open: whether sigmoid experts (ridge, nobias) have a refit at generic truths.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

import identkit
from identkit.claims.checks import Claim, mutations
from identkit.experts import ACTIVATIONS, SHAPELESS, SHAPES, builtin, symbols

SOURCE = "identkit (derived here), on arXiv 2405.13997, Regime 2"
REFITS = Claim(
    "regime-2-refits",
    "Regime 2, d = 1: f_G* has exact refits with k*+1 atoms, whatever the truth, for every "
    "built-in expert other than sigmoid, softplus (ridge, nobias) and exp (nobias), of which this "
    "says nothing: null or dead experts, splitting under one gate",
    SOURCE,
)
SOFTPLUS = Claim(
    "regime-2-softplus-has-no-refit",
    "softplus experts (ridge, nobias) under the sigmoid gate: at almost every truth with all "
    "β1* ≠ 0, f_G* is not a sum of k atoms for any k > k*",
    SOURCE,
)
EXPONENTIAL = Claim(
    "regime-2-refits-of-exp",
    "exp nobias under the sigmoid gate, β0* ≠ 0, distinct zeros of the gates' arguments: f_G* is a "
    "sum of k*+1 atoms iff some β0* = log 2",
    SOURCE,
)
REST = Claim(
    "regime-2-sigmoid-refits",
    "sigmoid experts (ridge, nobias): f_G* is not a sum of k*+1 atoms at generic truths",
    SOURCE,
)

POLYNOMIALS = ("poly2", "poly3")
BUILTIN = {f"{name} {shape}": (name, shape) for name in ACTIVATIONS for shape in SHAPES} | {
    name: (name, None) for key in SHAPELESS for name in (POLYNOMIALS if key == "polyP" else (key,))
}
FFN = frozenset(f"{name} ffn" for name in ACTIVATIONS)
PLAIN = frozenset({"linear", *POLYNOMIALS, "input-free"})
ZERO_AT_ZERO = ("relu", "gelu", "silu", "tanh", "sin")
NULL = PLAIN | FFN | {f"{n} {s}" for n in ZERO_AT_ZERO for s in ("ridge", "nobias")}
SPLITTING = PLAIN | FFN | {"relu ridge", "relu nobias", "sin ridge", "exp ridge"}
DEAD = frozenset({"relu ridge", "relu ffn"})
NONE = frozenset({"sigmoid ridge", "sigmoid nobias", "softplus ridge", "softplus nobias"}) | {
    "exp nobias"
}

x, u, v, z = sp.symbols("x u v z", real=True)
ROOT = sp.Symbol("r", nonzero=True)
sigma = lambda value: 1 / (1 + sp.exp(-value))  # noqa: E731
PHI = {
    "relu": lambda y: (y + sp.Abs(y)) / 2,
    "gelu": lambda y: y * (1 + sp.erf(y / sp.sqrt(2))) / 2,
    "silu": lambda y: y * sigma(y),
    "sigmoid": sigma,
    "softplus": lambda y: sp.log(1 + sp.exp(y)),
}


@cache
def premise(label):
    name, shape = BUILTIN[label]
    # one atom in the witness of `weak`: the premise does not depend on it
    (result,) = identkit.check(name, "sigmoid", shape=shape, regime=2, dim=1, atoms=1).results
    return result.premise


def names(label):
    """x and η of a built-in expert, as SymPy symbols by name."""
    expert = builtin(*BUILTIN[label], dim=1)
    return {str(s): s for s in symbols((*expert.inputs, *expert.parameters))}


def expert_at(label, images=()):
    """h at a refit's atom: its text with φ from the table above, images read by SymPy."""
    known = names(label)
    h = sp.sympify(builtin(*BUILTIN[label], dim=1).text, locals=known | PHI)
    return h.subs({known[p]: sp.sympify(t, locals=known) for p, t in images}, simultaneous=True)


def refits(label, kind):
    return [r.substitution for r in premise(label).refits if r.kind == kind]


def is_zero(expression):
    """An identity in all symbols, by SymPy."""
    return sp.simplify(sp.expand_trig(sp.expand(sp.factor_terms(expression)))) == 0


def difference(label, atoms, replaced):
    """f_G − f_G* for two true atoms with arbitrary gates; ``atoms`` replace the first, or join."""
    b00, b01, b10, b11, b20, b21 = sp.symbols("b00 b01 b10 b11 b20 b21", real=True)
    first, second, new = sigma(b00 + b01 * x), sigma(b10 + b11 * x), sigma(b20 + b21 * x)
    other = {n: f"{n}_2" for n in builtin(*BUILTIN[label], dim=1).parameters}
    truth = first * expert_at(label) + second * expert_at(label, other.items())
    fitted = second * expert_at(label, other.items())
    fitted += sum((first if replaced else new) * expert_at(label, a) for a in atoms)
    return (fitted if replaced else fitted + first * expert_at(label)) - truth


@mutations(
    {
        "the sigmoid ridge expert has a null parameter": {"null": NULL | {"sigmoid ridge"}},
        "gelu ridge has none": {"null": NULL - {"gelu ridge"}},
    }
)
def test_null_experts(null=NULL):
    """f_G = f_G* with the null atom added; outside the list h > 0 everywhere, so none exists."""
    found = {label for label in BUILTIN if refits(label, "null expert")}
    assert found == null
    for label in found:
        for (atom,) in refits(label, "null expert"):
            assert is_zero(difference(label, [atom], replaced=False))
    assert all(expert_at(label).is_positive for label in set(BUILTIN) - found)
    return REFITS.finding("proved", f"null experts, {len(found)}; the others are positive")


@mutations(
    {
        "relu nobias is dead on an open set": {"dead": DEAD | {"relu nobias"}},
        "relu ffn is not": {"dead": DEAD - {"relu ffn"}},
        "the same atom is dead on [−6, 6]": {"radius": 6},
    }
)
def test_dead_experts(dead=DEAD, radius=3):
    """h is 0 where ax + b < 0, and ax + b, affine in x, is negative at both ends of the domain."""
    assert {label for label in BUILTIN if refits(label, "dead expert")} == dead
    for label in dead:
        for (atom,) in refits(label, "dead expert"):
            at = {n: sp.sympify(t) for n, t in atom}
            ends = [at["a"] * end + at["b"] for end in (-radius, radius)]
            assert max(ends) < 0  # strictly: so for nearby (a, b) too
            negative = sp.Symbol("w", negative=True)
            assert PHI["relu"](negative) == 0
    return REFITS.finding("proved", "dead ReLU experts on [−3, 3], an open set of η")


@mutations(
    {
        "gelu ridge splits": {"splitting": SPLITTING | {"gelu ridge"}},
        "sin ridge does not": {"splitting": SPLITTING - {"sin ridge"}},
        "one of the two atoms is enough": {"atoms": 1},
    }
)
def test_splittings_under_a_common_gate(splitting=SPLITTING, atoms=2):
    """f_G = f_G* with one atom replaced by two under its gate."""
    assert {label for label in BUILTIN if refits(label, "splitting")} == splitting
    for label in splitting:
        for pair in refits(label, "splitting"):
            assert is_zero(difference(label, pair[:atoms], replaced=True))
    return REFITS.finding("proved", f"splittings, {len(splitting)} experts")


@mutations(
    {
        "all have one": {"none": NONE - {"softplus ridge"}},
        "tanh ridge has none": {"none": NONE | {"tanh ridge"}},
    }
)
def test_the_five_without_a_refit_found(none=NONE):
    """identkit finds none and says undecided, not that there is none."""
    undecided = {label for label in BUILTIN if premise(label).verdict == "undecided"}
    assert undecided == none == set(BUILTIN) - NULL - DEAD - SPLITTING
    assert all(premise(label).refits == () for label in none)
    return REST.finding("open", "none found by identkit; no proof that there is none")


@cache
def limits(sign):
    """Limits of σ(β1 x + β0) at −∞, +∞, β1 of this sign; None: any number in (0, 1)."""
    if sign == 0:
        return (None, None)
    slope = sp.Symbol("beta", positive=True) * sign
    return tuple(sp.limit(sigma(slope * z + u), z, end) for end in (-sp.oo, sp.oo))


@mutations(
    {
        "gates free of x may be split": {"slopes": (-1, 0, 1)},
        "no single gate is the true one": {"atoms": 1},
        "silu has these branch points": {"activation": "silu"},
        "branch points at even multiples": {"odd": 0},
        "the reflection adds +v": {"reflection": 1},
    }
)
def test_softplus_has_no_refit(
    activation="softplus", slopes=(-1, 1), atoms=2, odd=1, reflection=-1
):
    """The formulas of the proof, in its order."""
    phi, m = PHI[activation], sp.Symbol("m", integer=True)
    w = sp.Symbol("w")
    # 1: exp φ is entire, with simple zeros at iπ(2m + 1)
    inside = sp.simplify(sp.exp(phi(w)))
    assert sp.simplify(inside - 1 - sp.exp(w)) == 0
    at = sp.I * sp.pi * (2 * m + odd)
    assert sp.simplify(inside.subs(w, at)) == 0
    assert sp.simplify(sp.diff(inside, w).subs(w, at)) == -1
    # a product of odd numbers is odd: all progressions contain the ΠM-th multiple
    i, j = sp.symbols("i j", integer=True)
    assert ((2 * i + 1) * (2 * j + 1)).is_odd
    # 2: where the true gate tends to 0 all must; then they tend to 1 where it does, r ≥ 2 in number
    for true in slopes:
        assert set(limits(true)) == {0, 1}
        vanishing = limits(true).index(0)
        others = [limits(k)[1 - vanishing] for k in (-1, 0, 1) if limits(k)[vanishing] == 0]
        assert others == [1]
        assert atoms * others[0] > limits(true)[1 - vanishing]
    # 3: the reflection, c > 0, residues of σ(u_j) v_j at the poles u_j = iπ(2m + 1)
    assert sp.simplify(sp.exp(phi(-v)) - sp.exp(phi(v) + reflection * v)) == 0
    assert phi(z).is_positive
    beta0, beta1, slope, offset = sp.symbols("beta0 beta1 a b", real=True, nonzero=True)
    pole = (sp.I * sp.pi * (2 * m + 1) - beta0) / beta1
    denominator = (1 + sp.exp(-w)).subs(w, beta1 * x + beta0)
    assert sp.simplify(denominator.subs(x, pole)) == 0
    residue = (slope * pole + offset) / sp.simplify(sp.diff(denominator, x).subs(x, pole))
    assert sp.simplify(residue - (slope * pole + offset) / beta1) == 0
    assert sp.limit(sp.Abs(residue.subs(m, z)), z, sp.oo) == sp.oo
    return SOFTPLUS.finding(
        "proved almost everywhere",
        "all k > k*: argument by hand, its formulas here; d > 1 by lines",
    )


@mutations(
    {
        "iff β0* = 0": {"weight": 1},
        "iff β0* = log 3": {"weight": 3},
        "the moduli of the residues give a on the line Re x = 0 too": {"root": 0},
        "ω_2 = 1 and ω_1 = −1 are possible": {"omega": -1},
    }
)
def test_exp_has_refits_at_one_weight(weight=2, root=ROOT, omega=1):
    """The formulas of the second proof, symbolically; ``weight`` is e^{β0*}."""
    a, a1, beta1, n = sp.symbols("a a1 beta1 n", real=True)
    total = sp.Symbol("E", positive=True)  # e^{β0}
    gate = beta1 * x + sp.log(total)
    true = sigma(gate) * sp.exp(a * x)
    # equal moduli of residues, e^{a1 r} = e^{ar}, determine a
    assert sp.solve((a1 - a) * root, a1) == [a]
    # B_1 ω_1^m + B_2 ω_2^m = 1, m = 0, 1, 2: only for ω_1 = ω_2 = 1 if B_1, B_2 ≠ 0
    b1, b2, o1, o2 = sp.symbols("B1 B2 omega1 omega2", nonzero=True)
    powers = [b1 * o1**m + b2 * o2**m - 1 for m in range(3)]
    determinant = sp.Matrix(3, 3, lambda m, i: (o1, o2, 1)[i] ** m).det()
    assert sp.expand(determinant - (o2 - o1) * (1 - o1) * (1 - o2)) == 0
    assert sp.solve([p.subs(o2, 1) for p in powers], [b1, b2, o1], dict=True) == [
        {b1: 1 - b2, o1: omega}
    ]
    same = [p.subs(o2, o1) for p in powers]  # (B_1 + B_2) ω^m = 1
    assert sp.expand(same[1] - o1 * same[0]) == o1 - 1
    # the atoms with u_i = ±u, a_i = a + nβ1: free of x over the true one for one n each
    values = []
    for sign, shift in ((1, 0), (-1, 1)):
        ratio = sigma(sign * gate) * sp.exp((a + n * beta1) * x) / true
        rate = sp.simplify(sp.diff(sp.log(ratio), x) / beta1)
        assert sp.simplify(rate - (n - shift)) == 0
        values.append(sp.simplify(ratio.subs(n, shift)))
    sums = [values[i] + values[k] for i in range(2) for k in range(i, 2)]
    assert {e for total_ in sums for e in sp.solve(total_ - 1, total)} == {weight}
    return EXPONENTIAL.finding("proved", "every k*, d = 1: argument by hand, its formulas here")
