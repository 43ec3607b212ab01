"""Model identifiability: f_G = f_G' only if G = G' up to relabelling and gauge? When, and when not.

Atoms are (u, z): u = β1·x + β0 the score, z = a·x + b the argument of the expert h = φ(z). All is
said for x in R, on an interval, and d ≥ 2 follows: on lines x = y·v + w the model is that of d = 1,
and the relations between G and G* found there are polynomial in (v, w); each of finitely many
relabellings has its own, one of them on a set of positive measure, hence for all (v, w). (In the
conditions, slopes are then vectors. relu: directly, kinks being hyperplanes.)

PAIRS. For almost every choice of the parameters of 2k atoms, k = 1, 2, 3, the functions
σ(u_i)φ(z_i) are linearly independent. Hence for any l < k: whatever l atoms G and G' have in common
(these cancel), f_G ≠ f_G' for almost every choice of the 2(k − l) others; also with fewer atoms in
one of them. Softmax: f_G = f_G' iff Σ_{i,j} E_iE'_j(h_i − h'_j) = 0, E_i = e^{u_i}; the 2k²
functions e^{(β1_i + β1'_j)x}h_i and e^{(β1_i + β1'_j)x}h'_j are independent for almost every choice
of slopes and η of the 2k atoms, so f_G ≠ f_G' for these, with any intercepts β0, β0'. (A witness
for d = 1 is one for d ≥ 2, with slopes along one axis. relu: an open set instead of almost every.)
Both are statements about almost every *pair*; they hold for exp, where almost every G has
partners (softmax: for k ≥ 2).

EVERY. Let G* satisfy the conditions below, which almost every G* does (relu: of an open set). Let G
have at most as many atoms, with any parameters, and f_G = f_G*. Then G = G* up to relabelling and
gauge. For every number k of atoms.

(K) gelu (also without bias), softplus, relu under either gate, the first two also times a parameter
    c, with c*_j ≠ 0. Conditions: a*_j ≠ 0, (a*_j, b*_j) pairwise distinct up to sign; softmax:
    β1*_j distinct; sigmoid gate: β1*_j ≠ 0, gates distinct up to sign; relu: kinks −b*_j/a*_j
    distinct and inside the domain. Proof. h = P(z)t(z) + Q(z), P and Q polynomials, t a kernel. Let
    K be the field of x and all e^{λx}, λ real; it contains the weights. Kernels of z's of slope ≠ 0
    that differ not only in sign are independent over K, together with 1 (atoms of G with a = 0 are
    in K). For by Ostrowski's theorem otherwise some v = Σc_i t(z_i), with numbers c_i not all 0, is
    in K. erf: adjoin the e^{q_i}, q_i = −z_i²/2, to K; v is a Laurent polynomial in exponentials,
    as denominators would persist in v'; its coefficient v_i of e^{q_i} is rational in x, and v_i' +
    q_i'v_i a number ≠ 0 if c_i ≠ 0; so v_i has no pole, and the left side is of degree deg v_i + 1.
    softplus: t' has residue 1 at e^z = −1, those of v' are 0, and among z's with poles on one line
    that of largest |a| has a pole nearest to R, which the others have not. relu: across a kink x0,
    f is continued by two analytic functions that differ by w·|a|(x − x0), w the weight. So every
    z*_j occurs in G up to sign, by the number of atoms once, and G has no other atoms. The
    coefficient of its kernel does not depend on the sign, so weights agree, and gates
    (test_softmax_gauge.py). Left is Σ w*_jz*_j = 0 over the reflected atoms: there are none:
    softmax, the e^{β1*_jx} are independent over C(x); sigmoid gate, among gates with poles on one
    line that of largest |β1*| has a pole of its own, not real, so z*_j ≠ 0 there. (relu and c:
    weights agree first up to factors r_j, which are 1: below for the sigmoid gate; softmax:
    Σr_jw*_j = 1 = Σw*_j, and the w*_j are independent.)
(S) Sigmoid gate; silu, tanh. Condition: the 2k slopes β1*_j, a*_j are independent over Q. For
    sigmoid experts the same up to (u, z) → (z, u), an exchange within single atoms.
(M) Softmax; silu, tanh, sigmoid. Condition: β1*_j − β1*_k (j < k) and a*_j, 2k − 1 numbers, are
    independent over Q.
(P) Polynomial experts, "η" read as "h". Sigmoid gate: slopes β1*_j independent over Q, and no
    partial sum of the h*_j is 0. Softmax: the β1*_j − β1*_k independent over Q and, for k ≥ 2, the
    h*_j not all equal (experts with parameters, so that this holds almost everywhere).
    Proof of the three, in the ring of Laurent polynomials over C(x) in exponentials Y whose slopes
    are a basis of the group that all slopes of G and G* generate: the Y are algebraically
    independent over C(x), and the ring is factorial. f = M/Π, Π the product of 1 + e^v over the
    *forms* v: the z's (2z for tanh; none for (P)), for the sigmoid gate also the u's, for softmax
    with k = 2 also u_1 − u_2 (k ≥ 3: f = M/(ΠD), see below). No factor of Π* divides M*, as
    residues do not vanish (checked). So Π* divides Π. Factors of 1 + e^v are functions of e^{v/n};
    so the forms of G are odd multiples of those of G* (e^{rv+s} = −1 wherever e^v = −1, r and s
    real: s = 0, r odd), and as many; so no atom of G has h = 0 (nor, k = 2, equal h's), as forms
    would be missing; now no factor of Π divides M either, and the multiples are ±1. What remains
    are finitely many arrangements, tried below. (S): forms belong to one atom iff the mixed
    derivative of f in their exponentials is not 0; and if Σ_j d_j = 0 with d_j of atom j alone,
    each d_j is free of exponentials. Softmax, k = 1: h determines η. Softmax, k ≥ 3: D* = ΣE*_j =
    Σc_jX_j takes part. It is irreducible, since Σc_jY_j^n (Y_j^n = X_j, any n) is smooth; it does
    not divide M*: (M) by ∂/∂e^{z_1} of ΣE*_jh*_j, (P) because its multiples have k terms or more,
    and Σ_{j<k} E*_j(h*_j − h*_k) fewer; nor does it divide a binomial. So it divides D = ΣE_i. D
    has at most k terms and, by Newton polytopes (a sum has the vertices of its summands or more;
    with k it is a multiple of the simplex), one for each vertex of the simplex of D*; along edges
    c_iX_i + c_jX_j divides the two terms at the ends; so D = κΣ(c_jX_j)^m up to a monomial, m odd.
    m = 1 (checked): gates agree. Then e^z as for (S), and coefficients of X_j.

FAILS. COUNTEREXAMPLES; some for almost every G.

Proved by computation: independence, by determinants in ball arithmetic; identities, residues and
finite enumerations used in (K), (S), (M), (P), whose other steps are the text above; each
counterexample symbolically. Not proved: EVERY for other experts (sin, erf, other factors c), and
for G with more atoms than G*.
"""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import permutations, product

import pytest
import sympy as sp

from identkit import interactions
from identkit.balls import Tape, ball, precision
from identkit.certificates.independence import determinant, excludes_zero
from identkit.claims.checks import Claim, mutations
from identkit.expression import Step, parse
from identkit.gates import resolve

PAIRS = Claim(
    "model-identifiability-pairs",
    "k ≤ 3, d ≥ 1, the experts named: f_G ≠ f_G' for almost every choice of the atoms that G and "
    "G' do not share (softmax: of all slopes and η, with any intercepts)",
    "identkit (derived here)",
)
PAIRS_KINKS = Claim(
    "model-identifiability-pairs-relu",
    PAIRS.statement + ": relu, atoms in an open set",
    PAIRS.source,
)
EVERY = Claim(
    "model-identifiability-every-model",
    "For almost every G* (relu: with kinks inside the domain) and every G with at most as many "
    "atoms, f_G = f_G* only if G = G* up to relabelling and gauge: gelu, softplus, relu, silu, "
    "tanh, polynomial experts with parameters (up to η with the same h), sigmoid (sigmoid gate: up "
    "to the exchange of gate and expert); every k and d",
    "identkit (derived here)",
)
COMPUTED = "; identities and cases computed, argument in the file"
FAILS = Claim(
    "model-identifiability-counterexamples",
    "Different G with equal f, not related by relabelling and gauge: for almost every G (exp, "
    "under softmax with k ≥ 2; sin; c·tanh, c·relu; even powers; sigmoid experts under the sigmoid "
    "gate), or for exceptional ones",
    "identkit (derived here)",
)

RIDGES = ("gelu", "silu", "tanh", "sigmoid", "softplus")
x = sp.Symbol("x", real=True)
u, z = sp.symbols("u z", real=True)


def sigma(s):
    """The logistic function."""
    return 1 / (1 + sp.exp(-s))


# --- pairs ----------------------------------------------------------------------------------------


def independent(text, atoms):
    """Whether the functions U(x; θ_i) of generic atoms are independent, and for which θ."""
    found = interactions(text, [()], atoms=atoms)
    return found.independent, found.quantifier


@pytest.mark.parametrize(
    ("experts", "quantifier"),
    [
        ((*(f"{name}(a*x + b)" for name in RIDGES), "gelu(a*x)", "sin(a*x + b)"), "almost-every"),
        (("a*x + b", "(a*x + b)**2", "eta", "c*gelu(a*x + b)", "exp(a*x + b)"), "almost-every"),
        (("relu(a*x + b)",), "open-set"),
    ],
)
@mutations(
    {
        "relu: for almost every choice": {
            "experts": ("relu(a*x + b)",),
            "quantifier": "almost-every",
        },
        "gates without a slope, linear experts": {
            "experts": ("a*x + b",),
            "quantifier": "almost-every",
            "gate": "1/(1 + exp(-g0))",
        },
        "linear experts without a gate": {
            "experts": ("a*x + b",),
            "quantifier": "almost-every",
            "gate": "1",
            "k": 3,
        },
        "input-free experts: for every choice": {
            "experts": ("eta",),
            "quantifier": "every",
            "k": 1,
        },
    }
)
def test_sigmoid_gate_pairs(experts, quantifier, gate="1/(1 + exp(-g1*x - g0))", k=3):
    """σ(g1·x + g0)·h at 2k atoms, k = 3; fewer (k < 3, common ones, smaller G') are a subset."""
    for expert in experts:
        assert independent(f"({expert})*({gate})", 2 * k) == ("yes", quantifier)
    detail = "sigmoid gate, 2k ≤ 6 atoms, ball determinants: " + ", ".join(experts)
    if quantifier == "open-set":
        return PAIRS_KINKS.finding("proved on an open set", detail)
    return PAIRS.finding("proved almost everywhere", detail)


def _softmax_functions(expert, k):
    """e^{(β1_i + β1'_j)x}h_i and e^{(β1_i + β1'_j)x}h'_j at rational parameters, all i, j ≤ k."""
    h, rng = parse(expert), random.Random(7)
    number = lambda: sp.Rational(rng.randrange(-1500, 1501), 1000)  # noqa: E731

    def atom(i):
        sign = (-1) ** i  # relu: some are 0 on the left, some on the right
        slope = sign * sp.Rational(rng.randrange(500, 1501), 1000)
        values = {"a": slope, "b": slope * number(), "eta": slope}  # a kink at −b/a is inside
        return number(), h.subs({s: values[s.name] for s in h.free_symbols if s != x})

    first, second = ([atom(i + j) for i in range(k)] for j in range(2))
    return [
        sp.exp((slope + other) * x) * value
        for slope, h_i in first
        for other, h_j in second
        for value in (h_i, h_j)
    ]


SMOOTH = (*(f"{n}(a*x + b)" for n in RIDGES), "gelu(a*x)", "a*x + b", "exp(a*x + b)")


@pytest.mark.parametrize("experts", [SMOOTH, ("relu(a*x + b)",)], ids=["smooth", "relu"])
@mutations(
    {
        "input-free experts, any intercepts": {"experts": ("eta",), "k": 2},
        "one expert without parameters": {"experts": ("exp(x)",), "k": 1},
        "linear experts without a slope": {"experts": ("b",), "k": 1},
    }
)
def test_softmax_pairs(experts, k=3):
    """A determinant of 2k² functions at rational points of [−3, 3], in ball arithmetic.

    It is analytic in the parameters, for relu near the given ones. k < 3: some of the functions.
    """
    size = 2 * k**2
    for expert in experts:
        tape = Tape(_softmax_functions(expert, k), (x,))
        with precision(1024):
            rows = [tape.evaluate([ball(Fraction(6 * i + 3, size) - 3)]) for i in range(size)]
            assert excludes_zero(determinant(rows))
    detail = "softmax, 2k² ≤ 18 functions, ball determinants: " + ", ".join(experts)
    if any(parse(e).has(Step) for e in experts):
        return PAIRS_KINKS.finding("proved on an open set", detail)
    return PAIRS.finding("proved almost everywhere", detail)


# --- every G: (K) ---------------------------------------------------------------------------------


def _readable(e):
    """Steps and |z| through sign(z)."""
    e = e.replace(Step, lambda s: (1 + sp.sign(s)) / 2)
    return e.replace(sp.Abs, lambda s: s * sp.sign(s))


def _vanishes(e, order=1):
    """e ≡ 0 in z, or for order 2 affine: by its derivative of this order, and its value at 0."""
    zero = _readable(e).subs(z, 0)
    return sp.simplify(_readable(sp.diff(e, z, order))) == 0 and (order > 1 or zero == 0)


def _nature(kernel):
    """How (K) shows that kernels are independent; empty if it does not."""
    rate = sp.diff(kernel, z)
    logarithmic = sp.simplify(sp.diff(rate, z) / rate)
    if logarithmic.is_polynomial(z) and sp.degree(logarithmic, z) >= 1:
        return "v' + q'v = c has no rational solution"
    if (sp.limit(rate, z, 0, "+") - sp.limit(rate, z, 0, "-")) != 0:
        return "kink"
    a = sp.Symbol("A")
    near = sp.cancel((1 + a) * rate.subs(sp.exp(z), a) / a)  # d(e^z)/dz = A
    return "residue" if near.is_rational_function(a) and near.subs(a, -1) != 0 else ""


SLOPE = sp.Symbol("g*", nonzero=True)
ERF, LOG = sp.erf(z / sp.sqrt(2)), sp.log(1 + sp.exp(z))


@pytest.mark.parametrize(
    ("name", "factor", "kernel", "rest", "nature"),
    [
        ("gelu", z / 2, ERF, z / 2, "v' + q'v = c has no rational solution"),
        ("softplus", sp.Integer(1), LOG, sp.Integer(0), "residue"),
        ("relu", sp.Rational(1, 2), sp.Abs(z), z / 2, "kink"),
    ],
)
@mutations(
    {
        "silu has the kernel of gelu": {
            "name": "silu",
            "factor": z / 2,
            "kernel": ERF,
            "rest": z / 2,
            "nature": "v' + q'v = c has no rational solution",
        },
        "a linear expert has a kernel": {
            "name": "",
            "factor": sp.Integer(1),
            "kernel": z,
            "rest": sp.Integer(0),
            "nature": "residue",
        },
        "an exp expert has a kernel": {
            "name": "exp",
            "factor": sp.Integer(1),
            "kernel": sp.exp(z),
            "rest": sp.Integer(0),
            "nature": "residue",
        },
        "an erf expert is the same as its reflection but for a polynomial": {
            "name": "erf",
            "factor": sp.Integer(1),
            "kernel": sp.erf(z),
            "rest": sp.Integer(0),
            "nature": "v' + q'v = c has no rational solution",
        },
        "a reflected softplus leaves −z": {
            "name": "softplus",
            "factor": sp.Integer(1),
            "kernel": LOG,
            "rest": sp.Integer(0),
            "nature": "residue",
            "left": -z,
        },
    }
)
def test_kernels_identify_every_model(name, factor, kernel, rest, nature, left=z):
    """(K): h = P·t + Q; t(−z) = ±t(z) + affine with P(−z) = ±P(z); h(z) − h(−z) = ``left``."""
    h = parse(f"{name}(z)")
    assert _vanishes(h - factor * kernel - rest)
    assert _nature(kernel) == nature
    signs = [s for s in (1, -1) if _vanishes(kernel.subs(z, -z) - s * kernel, order=2)]
    # the coefficient of the kernel, hence the weight, does not depend on the sign of (a, b)
    assert any(sp.expand(s * factor.subs(z, -z) - factor) == 0 for s in signs)
    assert _vanishes(h - h.subs(z, -z) - left)
    assert left != 0
    extent = "kinks inside the domain; " if nature == "kink" else ""
    return EVERY.finding("proved", f"(K) {name}, both gates, {extent}any k and d" + COMPUTED)


@mutations({"constant gates, β1 = 0, as well": {"slope": sp.Integer(0)}, "it is 2": {"factor": 2}})
def test_sigmoid_weights_have_no_scale(slope=SLOPE, factor=1):
    """r·σ(u) = σ(u*) with β1* ≠ 0 only for r = 1: (K) for relu, whose scale is |a|, and c·h.

    Both sides differentiated, with s = σ(u), s' = g·s(1 − s), and divided by r·s: an identity in
    s, which is not constant.
    """
    g, r, s = sp.symbols("g r s")
    equations = sp.Poly(g * (1 - s) - slope * (1 - r * s), s).all_coeffs()
    (solution,) = sp.solve(equations, [g, r], dict=True)
    assert solution == {g: slope, r: factor}
    return EVERY.finding(
        "proved", "(K) relu, sigmoid gate: weights agree, not only up to scale" + COMPUTED
    )


# --- every G: (S) and (M) -------------------------------------------------------------------------

U, A, B = sp.symbols("U A B")
FORMS = {"sigmoid": 1, "silu": 1, "tanh": 2}
"""e^{cz} is the exponential in φ(z)."""


def _expert(name, form, exponential):
    """φ at cz = form, e^form = exponential: a rational function."""
    half = form / FORMS[name]
    s = exponential / (1 + exponential)
    return {"sigmoid": s, "silu": half * s, "tanh": 2 * s - 1}[name]


def _weight(exponential):
    return exponential / (1 + exponential)


def _signed(variables):
    """All signed permutations of pairs (form, exponential)."""
    for order in permutations(range(len(variables))):
        for signs in product((1, -1), repeat=len(variables)):
            chosen = [variables[i] for i in order]
            yield (
                order,
                signs,
                [(s * form, e**s) for s, (form, e) in zip(signs, chosen, strict=True)],
            )


def _at_one_place(e):
    """The value of a rational function at rational numbers."""
    symbols = sorted(e.free_symbols, key=str)
    return e.subs({s: sp.Rational(7 + 5 * i, 3 + i) for i, s in enumerate(symbols)})


def _free(e, variables):
    """Whether a rational function does not depend on these variables."""
    slopes = [sp.diff(e, v) for v in variables]
    return all(_at_one_place(s) == 0 for s in slopes) and all(sp.cancel(s) == 0 for s in slopes)


@pytest.mark.parametrize(
    ("name", "equal"),
    [("silu", ((0, 1),)), ("tanh", ((0, 1),)), ("sigmoid", ((0, 1), (1, 0)))],
)
@mutations(
    {
        "sigmoid experts cannot be exchanged with gates": {"name": "sigmoid", "equal": ((0, 1),)},
        "silu experts can": {"name": "silu", "equal": ((0, 1), (1, 0))},
        "tanh experts can": {"name": "tanh", "equal": ((0, 1), (1, 0))},
        "with the signs of gate and expert turned, too": {
            "name": "tanh",
            "equal": ((0, 1),),
            "signs": {(1, 1), (-1, -1)},
        },
    }
)
def test_sigmoid_gate_every_model(name, equal, signs=frozenset({(1, 1)})):
    """(S): the eight atoms with forms ±u, ±v in either role; which differ by no exponential?

    u, v are free symbols besides U = e^u, A = e^v: a polynomial identity in them would be one for
    linear functions of x with slopes independent over Q, as their coefficients have degree 1.
    """
    v = sp.Symbol("v")
    atom = lambda score, form: _weight(score[1]) * _expert(name, *form)  # noqa: E731
    original = atom((u, U), (v, A))
    # residues at U = −1 and A = −1: the first depends on A, the second is not 0
    assert not _free(sp.cancel((1 + U) * original).subs(U, -1), [A])
    assert sp.cancel(sp.cancel((1 + A) * original).subs(A, -1)) != 0
    found = set()
    for order, turned, forms in _signed([(u, U), (v, A)]):
        other = atom(*forms)
        assert not _free(sp.diff(other, U), [A])  # forms of one atom are known as such
        if _free(other - original, [U, A]):
            assert sp.cancel(other - original) == 0
            found.add((order, turned))
    assert found == {(order, turned) for order in equal for turned in signs}
    detail = "up to the exchange of gate and expert" if len(equal) > 1 else "no exchange"
    return EVERY.finding("proved", f"(S) sigmoid gate, {name}, {detail}; any k and d" + COMPUTED)


@pytest.mark.parametrize("name", ["silu", "tanh", "sigmoid"])
@mutations(
    {
        "the labels can be recovered": {"name": "tanh", "equal": {((0, 1, 2), (1, 1, 1))}},
        "gate and expert can be exchanged": {
            "name": "sigmoid",
            "equal": {((0, 1, 2), (1, 1, 1)), ((1, 0, 2), (1, 1, 1))},
        },
    }
)
def test_softmax_two_atoms_every_model(
    name, equal=frozenset({((0, 1, 2), (1, 1, 1)), ((0, 2, 1), (-1, 1, 1))})
):
    """(M), k = 2: f = σ(u)φ_1 + (1 − σ(u))φ_2, u = u_1 − u_2, in 48 arrangements of the forms.

    Two are equal identically: the same, and the one with labels exchanged. A difference at one
    rational point shows the others to be different, forms being free symbols as above.
    """
    v, w = sp.symbols("v w")

    def mixture(score, first, second):
        weight = _weight(score[1])
        return weight * _expert(name, *first) + (1 - weight) * _expert(name, *second)

    original = mixture((u, U), (v, A), (w, B))
    assert not _free(sp.cancel((1 + U) * original).subs(U, -1), [A])
    assert sp.cancel(sp.cancel((1 + A) * original).subs(A, -1)) != 0
    found = set()
    for order, signs, forms in _signed([(u, U), (v, A), (w, B)]):
        difference = mixture(*forms) - original
        if _at_one_place(difference) == 0 and sp.cancel(difference) == 0:
            found.add((order, signs))
    assert found == equal
    return EVERY.finding("proved", f"(M) softmax, {name}, k = 2; any d" + COMPUTED)


@mutations(
    {
        "exp experts": {"experts": ("exp(a*x + b)",)},
        "σ(−u)h' and σ(u)h differ by no exponential for h' = h": {"reflected": 1},
        "they are then equal": {"left": 0},
        "labels can be recovered": {"swapped": ("h1", "h2")},
    }
)
def test_polynomial_experts_every_model(
    experts=("a*x + b", "(a*x + b)**3", "eta"), reflected=-1, left=-1, swapped=("h2", "h1")
):
    """(P): residues determine h, and forms turned round, u → −u, what is left.

    Sigmoid gate: h' = −h, and the atom differs by −h; so partial sums of the h*_j have to vanish.
    Softmax, k = 2: labels are exchanged. (u → u: h' = h.)
    """
    assert all(parse(e).is_polynomial(x) for e in experts)
    h, h1, h2, n1, n2 = sp.symbols("h h1 h2 n1 n2")
    turned = n1 * _weight(1 / U) - h * _weight(U)
    assert sp.solve(sp.numer(sp.together(sp.diff(turned, U))), n1) == [reflected * h]
    assert sp.cancel(turned.subs(n1, reflected * h)) == left * h
    mixed = lambda w, first, second: w * first + (1 - w) * second  # noqa: E731
    gap = mixed(_weight(1 / U), n1, n2) - mixed(_weight(U), h1, h2)
    (solution,) = sp.solve(sp.Poly(sp.numer(sp.together(gap)), U).coeffs(), [n1, n2], dict=True)
    assert solution == dict(zip((n1, n2), sp.symbols(swapped), strict=True))
    return EVERY.finding("proved", "(P) polynomial experts, both gates; any k and d" + COMPUTED)


@mutations({"k = 2 as well": {"least": 2}})
def test_softmax_powers_of_the_gate(least=3):
    """(M), k ≥ 3: Σy_j divides Σy_j^m, m odd, only for m = 1.

    At y = (1, …, 1, −(k − 1)) the first is 0, the second (k − 1) − (k − 1)^m, and
    (k − 1)^{m−1} = 1 has the logarithm (m − 1)·log(k − 1) = 0, whose second factor is positive.
    For k = 2 the point is (1, −1), and every odd m is possible.
    """
    others = least - 1 + sp.Symbol("j", integer=True, nonnegative=True)  # k − 1
    m = sp.Symbol("m", odd=True)
    assert others * 1 + (-others) == 0
    assert sp.Integer(-1) ** m == -1  # so the other sum is (k − 1) − (k − 1)^m
    logarithm = sp.expand_log(sp.log(others ** (m - 1)), force=True)
    assert sp.expand(logarithm - (m - 1) * sp.log(others)) == 0
    assert sp.log(others).is_positive
    return EVERY.finding(
        "proved", "(M) softmax, k ≥ 3: gates agree; silu, tanh, sigmoid; any d" + COMPUTED
    )


# --- where it fails -------------------------------------------------------------------------------


ALL = "almost every G, every k"
TRIPLE = "g0 g1 a b; g0 g1 a2 b2; g0 g1 -a-a2 -b-b2", "g0 g1 -a -b; g0 g1 -a2 -b2; g0 g1 a+a2 b+b2"
SCALE = "p*(1+q)/q/(1+p)"  # of weights at log p and log q
COUNTEREXAMPLES = {
    # gate, expert, atoms "β0 β1 a b [c]" before and after, extent; p, q, r are positive
    "sigmoid gate and expert exchanged": (
        *("sigmoid", "sigmoid(a*x + b)", "g0 g1 a b", "b a g1 g0", ALL),
    ),
    "sigmoid gate reflected, exp expert": (
        *("sigmoid", "exp(a*x + b)", "g0 g1 a b", "-g0 -g1 a+g1 b+g0", ALL),
    ),
    "sin reflected": ("sigmoid", "sin(a*x + b)", "g0 g1 a b", "g0 g1 -a pi-b", ALL),
    "c·tanh": ("sigmoid", "c*tanh(a*x + b)", "g0 g1 a b c", "g0 g1 -a -b -c", ALL),
    "c·relu": ("sigmoid", "c*relu(a*x + b)", "g0 g1 a b c", "g0 g1 r*a r*b c/r", ALL),
    "even power": ("sigmoid", "(a*x + b)**2", "g0 g1 a b", "g0 g1 -a -b", ALL),
    "β1 = 0, c·gelu: weight against scale": (
        *("sigmoid", "c*gelu(a*x + b)", "log(p) 0 a b c", f"log(q) 0 a b c*{SCALE}"),
        "k ≥ 1, some β1 = 0",
    ),
    "β1 = 0, relu: weight against scale": (
        *("sigmoid", "relu(a*x + b)", "log(p) 0 a b", f"log(q) 0 a*{SCALE} b*{SCALE}"),
        "k ≥ 1, some β1 = 0",
    ),
    "gelu is 0 at a = b = 0": (
        *("sigmoid", "gelu(a*x + b)", "g0 g1 0 0", "f0 f1 0 0", "k ≥ 1, some a = b = 0"),
    ),
    "linear experts under one gate": (
        *("sigmoid", "a*x + b", "g0 g1 a b; g0 g1 a2 b2", "g0 g1 a+r b; g0 g1 a2-r b2"),
        "k ≥ 2, equal gates",
    ),
    "opposite linear experts": (
        *("sigmoid", "a*x + b", "g0 g1 a b; f0 f1 -a -b", "-g0 -g1 -a -b; -f0 -f1 a b"),
        "k ≥ 2, opposite experts",
    ),
    "parallel relu experts under one gate": (
        *("sigmoid", "relu(a*x + b)", "g0 g1 a b; g0 g1 (p+q)*a (p+q)*b"),
        *("g0 g1 (1+p)*a (1+p)*b; g0 g1 q*a q*b", "k ≥ 2, equal gates and kinks"),
    ),
    **{
        f"{gate} gate, {name} experts with sum 0 reflected": (
            *(gate, f"{name}(a*x + b)", *TRIPLE, "k ≥ 3, three equal gates, z1 + z2 + z3 = 0"),
        )
        for gate, name in product(("sigmoid", "softmax"), ("gelu", "silu", "relu"))
        if (gate, name) != ("sigmoid", "silu")  # the same identity, slower
    },
    "softmax, exp experts: exponents exchanged": (
        *("softmax", "exp(a*x + b)", "g0 g1 a b; f0 f1 a2 b2"),
        *("g0 g1 a2+f1-g1 b2+f0-g0; f0 f1 a+g1-f1 b+g0-f0", "almost every G, every k ≥ 2"),
    ),
    "softmax, exp experts: exponents permuted": (
        *("softmax", "exp(a*x + b)", "g0 g1 a b; f0 f1 a2 b2; k0 k1 a3 b3"),
        "g0 g1 a2+f1-g1 b2+f0-g0; f0 f1 a3+k1-f1 b3+k0-f0; k0 k1 a+g1-k1 b+g0-k0",
        "almost every G, every k ≥ 3",
    ),
    "softmax, c·gelu: weight against scale": (
        *("softmax", "c*gelu(a*x + b)", "log(p+q) g1 a b c; log(q) g1 a2 b2 c"),
        "log(q) g1 a b c*(p+q)/q; log(p+q) g1 a2 b2 c*q/(p+q)",
        "k ≥ 2, equal β1",
    ),
    "softmax, c·tanh": ("softmax", "c*tanh(a*x + b)", "g0 g1 a b c", "g0 g1 -a -b -c", ALL),
    "softmax, equal atoms": (
        *("softmax", "gelu(a*x + b)", "log(p+q) g1 a b; log(q) g1 a b"),
        *("log(p) g1 a b; log(2*q) g1 a b", "k ≥ 2, equal (β1, η)"),
    ),
}
FIELDS = ("name", "gate", "expert", "before", "after", "extent")
POSITIVE = {sp.Symbol(s, real=True): sp.Symbol(s, positive=True) for s in "pqr"}
ATOMS = sp.symbols("g0 g1 f0 f1 k0 k1 a b a2 b2 a3 b3 c", real=True)
PLACE = {s: sp.Rational(3 + 4 * i, 28) for i, s in enumerate((*ATOMS, *POSITIVE.values()))}


def _false(name, **changed):
    """The arguments of a counterexample, some changed."""
    return dict(zip(FIELDS, (name, *COUNTEREXAMPLES[name]), strict=True)) | changed


def _atoms(text):
    """The parameters of each atom."""
    return [[parse(v).xreplace(POSITIVE) for v in atom.split()] for atom in text.split(";")]


def _sums(gate, expert, atoms):
    """Σ weight·h, and Σ weight for a normalised gate, 1 without."""
    names, parts = sp.symbols("a b c", real=True), []
    for score0, score1, *eta in atoms:
        values = dict(zip(names, eta, strict=False))
        h = parse(expert).subs(values, simultaneous=True)
        # the sign of a product with a positive factor
        h = h.replace(Step, lambda s: (1 + sp.sign(sp.factor(s))) / 2)
        parts.append((resolve(gate).weight(score0 + score1 * x), h))
    below = sum(w for w, _ in parts) if resolve(gate).normalised else sp.Integer(1)
    return sum(w * h for w, h in parts), below


def _zero(e):
    """e ≡ 0, symbolically; a value at one place refutes it sooner."""
    if abs(sp.N(e.subs({**PLACE, x: sp.Rational(2, 3)}), 30)) > 1e-20:
        return False
    return sp.simplify(sp.expand(e.rewrite(sp.exp))) == 0


def _equivalent(gate, before, after):
    """Whether G and G' are the same at PLACE up to relabelling and gauge."""
    old, new = ([[sp.N(v.subs(PLACE), 30) for v in atom] for atom in g] for g in (before, after))
    pinned = 2 if resolve(gate).normalised else 0
    for order in permutations(new):
        gaps = [[v - w for v, w in zip(*s, strict=True)] for s in zip(old, order, strict=True)]
        shift = [*gaps[0][:pinned], *([0] * (len(gaps[0]) - pinned))]
        # parameters are of size 1, evaluated to 30 digits
        if all(abs(v - s) < 1e-20 for gap in gaps for v, s in zip(gap, shift, strict=True)):
            return True
    return False


TWO = "g0 g1 a b; 0 0 a2 b2"
PERMUTED = "softmax, exp experts: exponents exchanged"


@pytest.mark.parametrize(
    FIELDS,
    [(name, *case) for name, case in COUNTEREXAMPLES.items()],
    ids=COUNTEREXAMPLES,
)
@mutations(
    {
        "tanh can be exchanged with its gate": _false(
            "sigmoid gate and expert exchanged", expert="tanh(a*x + b)"
        ),
        "gelu experts can be permuted like exp": _false(PERMUTED, expert="gelu(a*x + b)"),
        "any three gelu experts can be reflected": _false(
            "softmax gate, gelu experts with sum 0 reflected",
            before="g0 g1 a b; g0 g1 a2 b2; g0 g1 a3 b3",
            after="g0 g1 -a -b; g0 g1 -a2 -b2; g0 g1 -a3 -b3",
        ),
        "weight against scale for gelu without c": _false(
            "β1 = 0, relu: weight against scale", expert="gelu(a*x + b)"
        ),
        "weight against scale with β1 ≠ 0": _false(
            "β1 = 0, c·gelu: weight against scale",
            before="log(p) g1 a b c",
            after=f"log(q) g1 a b c*{SCALE}",
        ),
        "c·relu can be turned round like c·tanh": _false("c·tanh", expert="c*relu(a*x + b)"),
        "a relabelling is another model": _false(
            PERMUTED, before=TWO, after="0 0 a2 b2; g0 g1 a b"
        ),
        "a shift of the gauge is another model": _false(
            PERMUTED, before=TWO, after="g0+c g1+c a b; c c a2 b2"
        ),
    }
)
def test_where_it_fails(name, gate, expert, before, after, extent):
    """Numerators and denominators have one common factor, e^{affine}; G and G' differ at one place.

    Other atoms, shifted with that factor, may be added to both sums: this gives the larger k.
    """
    old_atoms, new_atoms = _atoms(before), _atoms(after)
    (old, below), (new, new_below) = (_sums(gate, expert, g) for g in (old_atoms, new_atoms))
    factor = sp.simplify(new_below / below)
    assert _zero(sp.diff(sp.expand_log(sp.log(factor), force=True), x, 2))
    assert _zero(new - factor * old)
    assert not _equivalent(gate, old_atoms, new_atoms)
    return FAILS.finding("proved", f"{name}: {extent}")
