"""The categorical likelihood: logits, their probabilities, and the criterion by numbers alone."""

from __future__ import annotations

import json
import random
from functools import cache
from itertools import combinations_with_replacement

import jsonschema
import mpmath
import numpy as np
import pytest
import sympy as sp
from amounts import amount
from checked import check
from hypothesis import given, settings
from hypothesis import strategies as st
from test_gaussian import holds_positive

import identkit
from identkit import Expert, InputError, order
from identkit.certificates.store import digest
from identkit.cli import main
from identkit.errors import CertificateError
from identkit.experts import builtin, symbols
from identkit.gates import GATES, resolve
from identkit.likelihoods import LIKELIHOODS
from identkit.likelihoods.categorical import with_classes
from identkit.report.json_text import schema
from identkit.testing import check_gate

LOGITS = {
    # logits of all classes but the last -> nondegenerate under softmax (theory section 8)
    "a*x + b": "yes",
    "a*x": "yes",
    "a*x**2 + b*x + c": "yes",
    "(a*x + b)**2": "yes",
    "(a*x + b)**3": "yes",
    "a/(1 + x**2) + b": "yes",
    "a*sqrt(1 + x**2) + b*x": "yes",
    "exp(a*x + b)": "yes",
    "tanh(a*x + b)": "yes",
    "c*tanh(a*x + b)": "yes",
    "tanh(a*x) + c": "yes",
    "gelu(a*x + b)": "yes",
    "erf(a*x + b)": "yes",
    "atan(a*x + b)": "yes",
    "asinh(a*x + b)": "yes",
    "c*sin(a*x + b)": "yes",
    "(a + b)*x": "no",  # a redundancy
    "c*silu(a*x)*(u*x)": "no",
    "log((1 + erf(a*x + b))/(1 - erf(a*x + b)))": "no",  # p is erf: a heat equation
    "log(exp(a*x + b) + c)": "no",  # 1 − p is a free number times a probability
    "a*x + b; c*x + d": "yes",
    "a*x + b; a*x + b": "yes",
    "a*x + b; -a*x - b": "yes",
    "a*x; b*x": "yes",
    "a*x + b; exp(c*x)": "yes",
    "a*x + b; c*tanh(d*x)": "yes",
    "a*x + b; c": "no",  # classes 2 and 3 are divided by a number
    "a*x + b; a*x + c": "no",  # and so are 1 and 2
    "a*x + b + e; c*x + d + e": "no",  # a logit for each class
    "a*x; b*x; c*x": "yes",
    "a*x + b; a*x; c": "no",
}
KINKED = {
    "relu(a*x + b)": "yes",
    "abs(a*x + b)": "yes",
    "c*relu(a*x + b)": "no",  # (c, a, b) → (c/r, ra, rb)
    "relu(a*x + b); c*x": "yes",
    "c*relu(a*x + b); d*x": "no",
    "a0*x0 + a1*x1 + b": "yes",
    "c*relu(a0*x0 + a1*x1 + b)": "no",
    "a*x0 + b; c*x1 + d": "yes",
}
PLACE = [sp.Rational(n, d) for n, d in ((7, 5), (-4, 7), (5, 9), (-11, 13), (3, 7), (8, 11))]
NUMBERS = ["a", "b", "c", "d"]


@cache
def found(text, gate="softmax", **options):
    return check(Expert.from_expression(text), gate, likelihood="categorical", **options)


@pytest.mark.parametrize("text", [*LOGITS, *KINKED])
def test_known_answers(text):
    (result,) = found(text).results
    assert result.nondegenerate == {**LOGITS, **KINKED}[text]


@pytest.mark.parametrize(("classes", "number"), [(2, 2), (3, 4), (4, 6)])
def test_linear_logits_of_several_classes(classes, number):
    result = check("linear", "softmax", likelihood="categorical", dim=1, classes=classes)
    assert len(result.expert.parameters) == number
    assert result.results[0].verdict == result.results[0].nondegenerate == "yes"
    assert {i.rate.everywhere for i in result.results[0].second_order.identifiable} == {
        result.results[0].rate.derived
    }


def test_what_least_squares_hides_a_class_shows():
    """An output bias and a factor cost the rate of the mean, and not that of a probability."""
    for text in ("a*x + b", "c*tanh(a*x + b)", "erf(a*x + b)"):
        (mean,) = check(Expert.from_expression(text), "softmax").results
        assert mean.nondegenerate == "no"
        assert found(text).results[0].nondegenerate == "yes"


def test_a_logit_free_of_x_is_split():
    (result,) = check("input-free", "softmax", likelihood="categorical", dim=1).results
    assert (result.verdict, result.nondegenerate) == ("no", "no")
    (family,) = result.second_order.families
    assert (family.kind, family.cell) == ("scale", 2)
    assert family.conditions[-1] == "Σ w_i = w*"


def test_atoms_with_the_moments_of_a_heat_equation():
    (text,) = (t for t in LOGITS if t.startswith("log((1"))
    atoms = found(text).results[0].second_order.witness.realised
    assert (atoms.cell, float(atoms.order) > 2.9) == (2, True)
    # order says how slow, with the arc of the ridge that p is
    slow = order(Expert.from_expression(text), "softmax", likelihood="categorical")
    bounds = {d.direction: d.lower for d in slow.directions}
    assert bounds["b"].order == 4
    assert "∂²p/∂μ²" in bounds["b"].text


# -- by numbers alone ------------------------------------------------------------------------------


def softmax(logits):
    sizes = [*map(mpmath.exp, logits), mpmath.mpf(1)]
    return [s / mpmath.fsum(sizes) for s in sizes][:-1]


def points(dim, count, seed=0):
    rng = random.Random(seed)
    return [
        [mpmath.mpf(rng.randrange(-2900, 2900)) / 1000 for _ in range(dim)] for _ in range(count)
    ]


def null_space(text):
    """Moments (m, M) with L_c + ½Q_cc = Σ_l p_l Q_cl at sixty digits: the criterion in logits.

    Neither derivatives of p nor anything of the exact route but the parser.
    """
    expert = Expert.from_expression(text)
    x, names = symbols(expert.inputs), symbols(expert.parameters)
    at = dict(zip(names, PLACE, strict=False))
    pairs = list(combinations_with_replacement(range(len(names)), 2))
    h = expert.functions
    wanted = [[f, *(sp.diff(f, p) for p in names)] for f in h]
    wanted = [
        [*row, *(sp.diff(f, names[i], names[j]) for i, j in pairs)]
        for f, row in zip(h, wanted, strict=True)
    ]
    with mpmath.workdps(60):
        at_x = [sp.lambdify(x, [v.subs(at) for v in row], "mpmath") for row in wanted]
        rows = []
        for point in points(len(x), 3 * (len(names) + len(pairs))):
            values = [f(*point) for f in at_x]
            first = [v[1 : 1 + len(names)] for v in values]
            second = [v[1 + len(names) :] for v in values]
            p = softmax([v[0] for v in values])
            for c, (slope, curve) in enumerate(zip(first, second, strict=True)):
                mean = [
                    mpmath.fsum(q * f[i] for q, f in zip(p, first, strict=True))
                    for i in range(len(names))
                ]
                row = list(slope)
                for (i, j), own in zip(pairs, curve, strict=True):
                    square = own + slope[i] * slope[j] - slope[i] * mean[j] - slope[j] * mean[i]
                    row.append(square / 2 if i == j else square)
                rows.append(row)
                assert c < len(h)
        _, sizes, right = mpmath.svd_r(mpmath.matrix(rows))
        null = [k for k in range(len(sizes)) if sizes[k] < mpmath.mpf(10) ** -40 * sizes[0]]
        basis = []
        for k in null:
            m = np.zeros((len(names), len(names)))
            for column, (i, j) in enumerate(pairs, len(names)):
                m[i, j] = m[j, i] = float(right[k, column])
            basis.append(m)
    return np.array(basis).reshape(-1, len(names), len(names))


@pytest.mark.parametrize("text", LOGITS)
def test_the_criterion_in_logits_by_numbers(text):
    basis = null_space(text)
    assert holds_positive(basis) == (LOGITS[text] == "no")
    second = found(text).results[0].second_order
    assert len(second.invisible) == len(basis)


def literal(text):
    """[∂_u p, x ∂_u p, ∂_u∂_v p] of one atom as functions of (x, η), a list for each class."""
    expert = Expert.from_expression(text)
    x, names = symbols(expert.inputs), symbols(expert.parameters)
    total = 1 + sp.Add(*map(sp.exp, expert.functions))
    columns = []
    for h in expert.functions:
        p = sp.exp(h) / total
        first = [sp.diff(p, u) for u in names]
        second = [sp.diff(p, u, v) for u, v in combinations_with_replacement(names, 2)]
        columns.append([*first, *(s * f for s in x for f in first), *second])
    return x, names, columns


def numeric_rank(text, atoms, seed=1):
    """Of these functions over so many atoms, at eighty digits."""
    x, names, columns = literal(text)
    rng = random.Random(seed)
    with mpmath.workdps(80):
        thetas = [
            [mpmath.mpf(rng.randrange(40, 160)) / 100 * rng.choice((-1, 1)) for _ in names]
            for _ in range(atoms)
        ]
        functions = [sp.lambdify([*x, *names], row, "mpmath") for row in columns]
        count = len(columns[0]) * atoms
        matrix = mpmath.matrix(
            [
                [value for theta in thetas for value in f(*point, *theta)]
                for point in points(len(x), count + 3, seed)
                for f in functions
            ]
        )
        sizes = mpmath.svd_r(matrix, compute_uv=False)
        return sum(s > sizes[0] * mpmath.mpf(10) ** -45 for s in sizes), count


RANKED = [t for t in LOGITS if "gelu" not in t and "erf" not in t and len(t) < 24]


@pytest.mark.parametrize("text", RANKED)
def test_ranks_of_the_literal_functions(text):
    """Merged and dropped functions add nothing; what is left is independent, or is not."""
    result = found(text, atoms=2).results[0]
    rank, count = numeric_rank(text, 2)
    if result.verdict == "yes":
        assert rank == result.rank
        assert sum(p.kind == "ball-determinant" for p in result.proofs) == 1
    else:
        (proof,) = result.proofs
        kept = len(proof.kept)
        assert rank < kept * 2 <= count


TERMS = st.sampled_from(["a*x", "b", "c*x**2", "a*b*x", "exp(c*x)", "tanh(a*x + b)", "sin(x)*c"])


@settings(max_examples=amount(5, 12), deadline=None)
@given(
    st.lists(TERMS, min_size=1, max_size=2, unique=True), st.lists(TERMS, max_size=2, unique=True)
)
def test_generated_logits_agree_with_the_numbers(one, other):
    parts = [" + ".join(terms) for terms in (one, other) if terms]
    text = "; ".join(parts)
    if "x" not in text.replace("exp", ""):
        return
    (result,) = found(text).results
    if result.nondegenerate != "undecided":
        assert holds_positive(null_space(text)) == (result.nondegenerate == "no"), text


POLYNOMIALS = st.sampled_from(
    ["a*x", "b", "c*x**2", "a*b*x", "a*c", "d*x**3", "(a + d)*x", "b*d*x"]
)


@settings(max_examples=amount(5, 12), deadline=None)
@given(
    st.lists(POLYNOMIALS, min_size=1, max_size=3, unique=True),
    st.lists(POLYNOMIALS, max_size=2, unique=True),
)
def test_polynomial_logits_are_degenerate_by_redundancies_alone(one, other):
    """An exact rank of the coefficients of ∇h, where no logit and no difference is free of x."""
    text = "; ".join(" + ".join(terms) for terms in (one, other) if terms)
    if "x" not in text:
        return
    expert = Expert.from_expression(text)
    x, names = sp.Symbol("x", real=True), symbols(expert.parameters)
    at = dict(zip(names, PLACE, strict=False))
    h = [f.subs(at) for f in expert.functions]
    if any(sp.expand(f - g).has(x) is False for i, f in enumerate(h) for g in [0, *h[:i]]):
        return
    rows = [
        [c for f in expert.functions for c in _coefficients(sp.diff(f, p).subs(at), x)]
        for p in names
    ]
    redundant = sp.Matrix(rows).rank() < len(names)
    assert found(text).results[0].nondegenerate == ("no" if redundant else "yes"), text


def _coefficients(expression, x):
    given = sp.Poly(expression, x).all_coeffs()[::-1]
    return [*given, *(0 for _ in range(4 - len(given)))]


def test_probabilities_are_those_of_the_definition():
    """p of the expert that is decided about, against exponentials of the logits it was given."""
    for text in ("a*x + b", "a*x + b; c*tanh(x)", "a*x; b*x; relu(a*x)"):
        seen = found(text).seen
        x, names = symbols(seen.inputs), symbols(seen.parameters)
        given = Expert.from_expression(text)
        assert seen.components == given.components
        with mpmath.workdps(50):
            for point in points(1, 5):
                at = [*point, *(mpmath.mpf(v.p) / v.q for v in PLACE[: len(names)])]
                step = {"Step": lambda z: mpmath.mpf(z > 0)}
                logits = [
                    sp.lambdify([*x, *names], f, [step, "mpmath"])(*at) for f in given.functions
                ]
                made = [sp.lambdify([*x, *names], f, [step, "mpmath"])(*at) for f in seen.functions]
                for own, wanted in zip(made, softmax(logits), strict=True):
                    assert abs(own - wanted) < mpmath.mpf(10) ** -45


def test_classes_whose_ratio_is_free_of_x_are_split():
    """h = (ax + b, c): M along r∂_b + ∂_c, r = e^c/(1 + e^c), in numbers and in the certificate."""
    second = found("a*x + b; c").results[0].second_order
    assert second.families or second.witness is not None
    (m,) = null_space("a*x + b; c")
    with mpmath.workdps(30):
        size = mpmath.exp(mpmath.mpf(PLACE[2].p) / PLACE[2].q)
        r = float(size / (1 + size))
    wanted = np.outer([0, r, 1], [0, r, 1]) * m[2, 2]
    assert np.abs(m - wanted).max() < 1e-12 * abs(m[2, 2])


# -- gates -----------------------------------------------------------------------------------------


def test_gates_that_divide_and_no_other():
    for gate, known in (("softmax", 1), ("normalized-sigmoid", 2), ("input-free", 1)):
        own = resolve(gate, "categorical")
        assert len([r for r in own.regimes if r.expansion is not None]) == known
        for regime in own.regimes:
            assert regime.loss is None
            assert "f_G" not in regime.expansion.argument + " ".join(c.text for c in regime.caveats)
        check_gate(own)
    with pytest.raises(InputError, match="does not divide by the sum"):
        check("gelu", "sigmoid", likelihood="categorical")
    with pytest.raises(InputError, match="does not divide by the sum"):
        order("gelu", "sigmoid", likelihood="categorical")
    # nothing follows for a gate of one's own, whose conditions are decided
    (own,) = check("linear", "normalised exp(s) + 1", likelihood="categorical", dim=1).results
    assert (own.verdict, own.nondegenerate) == ("yes", "undecided")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [("a*x + b", 1), ("a*x", 0), ("tanh(a*x)", 0), ("a*x + b; c*x + d", 3), ("a*x + b; c", None)],
)
def test_the_softmax_pins_its_gates_by_numbers(text, hidden):
    """All that a cell of two atoms and an exact atom show of Σ W_i (p(η_i) − P*), at eighty digits.

    Hidden are ∂_a p − x ∂_b p, of m_η and M_βη, for each pair of a slope and its bias: M_ββ = 0 is
    seen and makes M_βη = 0; and ∂_a∂_d p − ∂_b∂_c p, of which no M ⪰ 0 is made. Where the expert
    is degenerate more is hidden.
    """
    expert = Expert.from_expression(text)
    (x,), eta = symbols(expert.inputs), symbols(expert.parameters)
    total = 1 + sp.Add(*map(sp.exp, expert.functions))
    places = [dict(zip(eta, PLACE[start:] + PLACE[:start], strict=False)) for start in (0, 1)]
    gates = [sp.exp(sp.Rational(3, 4) * x + sp.Rational(1, 5)), sp.Integer(1)]  # the second pinned
    rows = []
    for h in expert.functions:
        p = sp.exp(h) / total
        values = [p.subs(at) for at in places]
        mean = sum(w * v for w, v in zip(gates, values, strict=True)) / sum(gates)
        slopes = [sp.diff(p, u) for u in eta]
        cell = [(p - mean) * x**n for n in range(3)]
        cell += [*slopes, *(x * s for s in slopes)]
        cell += [sp.diff(p, u, v) for u, v in combinations_with_replacement(eta, 2)]
        row = [gates[0] * f.subs(places[0]) for f in cell]
        rows.append([*row, *(gates[1] * s.subs(places[1]) for s in slopes)])
    with mpmath.workdps(80):
        functions = [sp.lambdify(x, row, "mpmath") for row in rows]
        at_x = [point for (point,) in points(1, len(rows[0]) + 4)]
        sizes = mpmath.svd_r(
            mpmath.matrix([list(f(v)) for v in at_x for f in functions]), compute_uv=False
        )
        lost = len(rows[0]) - sum(s > sizes[0] * mpmath.mpf(10) ** -45 for s in sizes)
    assert (found(text).results[0].nondegenerate == "yes") == (hidden is not None)
    if hidden is None:
        assert lost > 1  # beside ∂_a p = x ∂_b p
    else:
        assert lost == hidden


@pytest.mark.parametrize(
    "text", ["a*x + b", "relu(a*x + b)", "c*relu(a*x + b)", "a*x + b; c*x + d"]
)
def test_other_gates_ask_the_same_of_the_expert(text):
    softmax_gate = found(text).results[0].nondegenerate
    sparse = found(text, "normalized-sigmoid").results[0]
    assert (
        sparse.nondegenerate == found(text, "input-free").results[0].nondegenerate == softmax_gate
    )
    assert any("σ(β0)" in caveat for caveat in sparse.caveats) == bool(sparse.caveats)


def test_constant_weights_trade_where_p_is_one_of_its_derivatives():
    """Of two cells one can weigh more and the other less, where p = c ∂_c p."""
    text = "log(c*exp(a*x)/(9 + exp(a*x) - c*exp(a*x)))"  # p = c·e^(ax)/(9 + e^(ax))
    options = {"domain": ("-1/4", "1/4")}
    (bare,) = found(text, "input-free", **options).results
    assert (bare.nondegenerate, bare.second_order.across_atoms) == ("no", "dependent")
    told = found("a*x + b", "input-free").results[0]
    assert told.second_order.across_atoms == "independent"


# -- classes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "params", "classes", "written"),
    [
        ("a*x + b", None, 2, "a*x + b"),
        ("a*x + b", None, 3, "a_1*x + b_1; a_2*x + b_2"),
        ("a*x + a_1", None, 3, "a_c1*x + a_1_c1; a_c2*x + a_1_c2"),
        ("exp(e*x) + p", None, 3, "exp(e_1*x) + p_1; exp(e_2*x) + p_2"),
        ("a*x0 + a0*x1", None, 3, "a_1*x0 + a0_1*x1; a_2*x0 + a0_2*x1"),
        ("1e-3*e*x + x0", ("e", "x0"), 3, "1e-3*e_1*x + x0_1; 1e-3*e_2*x + x0_2"),
    ],
)
def test_parameters_of_each_logit(text, params, classes, written):
    expert = Expert.from_expression(text, parameters=params)
    made = with_classes(expert, classes)
    assert made.text == written
    assert made.inputs == expert.inputs
    assert len(made.parameters) == (classes - 1) * len(expert.parameters)


def test_classes_of_built_in_experts():
    made = with_classes(builtin("gelu", "ffn", dim=2), 4)
    assert len(made.components) == 3
    assert made.parameters[:4] == ("c_1", "a0_1", "a1_1", "b_1")
    same = with_classes(builtin("gelu", None, dim=2), 2)
    assert same == builtin("gelu", None, dim=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--expert", "linear", "--classes", "1"], "from 2 to 17 classes"),
        (["--expert", "linear", "--classes", "18"], "from 2 to 17 classes"),
        (["--expert", "input-free", "--classes", "3"], "ignores x"),
        (["--expert", "linear", "--variance", "free"], "categorical has no variance"),
        (["--expr", "a*x; b*x", "--classes", "3"], "2 logits, of 3 classes"),
        (["--expert", "linear", "--shared", "tanh"], "--shared"),
        (["--expert", "linear", "--likelihood", "least-squares", "--classes", "3"], "is a number"),
        (["--expert", "linear", "--gate", "sigmoid"], "does not divide by the sum"),
        (["--expert", "linear", "--condition", "weak", "--level", "product"], "divides"),
    ],
)
def test_bad_input_is_one_sentence(arguments, said, capsys):
    dim = [] if "--expr" in arguments else ["--dim", "1"]
    base = ["check", "--gate", "softmax", "--likelihood", "categorical", *dim]
    if said == "divides":
        base[2] = "normalized-sigmoid"
    assert main([*base, *arguments]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert said in printed.err
    assert len(printed.err.strip().splitlines()) == 1


def test_classes_are_a_number(capsys):
    arguments = ["--expert", "linear", "--gate", "softmax", "--likelihood", "categorical"]
    assert main(["check", *arguments, "--classes", "x"]) == 2
    assert "--classes: invalid int value" in capsys.readouterr().err


# -- files and print -------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", ["softmax", "normalized-sigmoid", "input-free"])
@pytest.mark.parametrize("text", ["a*x + b", "relu(a*x + b)", "c*relu(a*x + b)"])
def test_the_kernel_shows_it_for_two_classes(text, gate):
    document = json.loads(json.dumps(found(text, gate).certificate()))
    assert document["likelihood"] == {"name": "categorical"}
    assert document["expert"]["expression"] == text  # p is made of it once more
    verified = identkit.verify(document)
    assert [r.nondegenerate for r in verified.results] == [
        r.nondegenerate for r in found(text, gate).results
    ]
    for by in verified.by:
        assert {by["verdict"], by.get("second order", "kernel")} == {"kernel"}


def test_a_certificate_of_several_classes():
    document = json.loads(json.dumps(found("a*x + b; c*x + d").certificate()))
    verified = identkit.verify(document)
    assert verified.results[0].nondegenerate == "yes"
    assert {*verified.by[0].values()} == {"kernel"}
    document["expert"]["components"][1] = document["expert"]["components"][0]
    document["expert"]["expression"] = "a*x + b; a*x + b"
    document["digest"] = digest(document)
    with pytest.raises(CertificateError):
        identkit.verify(document)


@pytest.mark.parametrize(
    ("made", "read"),
    [
        ("categorical", None),
        (None, "categorical"),
        ("categorical", {"name": "gaussian", "variance": "known"}),
    ],
)
def test_a_certificate_of_another_likelihood_is_rejected(made, read):
    result = check("gelu", "softmax", dim=1, likelihood=made)
    document = json.loads(json.dumps(result.certificate()))
    document.pop("likelihood", None)
    if read is not None:
        document["likelihood"] = {"name": read} if isinstance(read, str) else read
    document["digest"] = digest(document)
    with pytest.raises(CertificateError):
        identkit.verify(document)


def test_a_gate_that_gives_no_probabilities_is_rejected():
    document = json.loads(json.dumps(check("gelu", "sigmoid", dim=1, regime=1).certificate()))
    document["likelihood"] = {"name": "categorical"}
    document["digest"] = digest(document)
    with pytest.raises(CertificateError, match="does not divide"):
        identkit.verify(document)


def test_what_is_printed(capsys, tmp_path):
    arguments = ["--expert", "linear", "--gate", "softmax", "--dim", "1"]
    own = ["--likelihood", "categorical"]
    path = tmp_path / "c.json"
    assert main(["check", *arguments, *own, "--classes", "3", "--save", str(path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "h(x) = (a_1*x + b_1, a_2*x + b_2)" in text
    assert "the probabilities of 3 classes but the last, whose logit is 0" in text
    assert "∂_u p, ∂_u∂_v p, x_s ∂_u p" in text
    assert "∂²p/∂b_1∂a_2" in text
    assert main(["verify", str(path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "under the categorical likelihood" in text
    assert "3 classes" in text
    assert main(["check", *arguments, *own, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(schema("check-1")).validate(document)
    assert document["likelihood"] == {"name": "categorical"}
    assert "∂h" not in json.dumps(document, ensure_ascii=False)
    for form in ([], ["--markdown"], ["--latex"]):
        assert main(["explain", *arguments, *own, *form]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "∂h" not in text
        assert "f_G" not in text
    assert "the first of 2 classes" in found("a*x + b")._repr_html_()
    assert main(["likelihoods"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert LIKELIHOODS["categorical"].estimates in text
    assert "softmax, normalized-sigmoid, input-free" in text


def test_the_snippet_evaluates_probabilities(capsys):
    for text, several in (("c*relu(a*x + b)", False), ("c*relu(a*x + b); d*x", True)):
        assert (
            main(["explain", "--expr", text, "--gate", "softmax", "--likelihood", "categorical"])
            == 0
        )
        printed = capsys.readouterr().out
        code = printed[printed.index("import random") :]
        code = code[
            : code.index('print(f"largest') + len('print(f"largest difference: {worst:.1e}")')
        ]
        assert ("(h(*z),)" in code) != several
        exec(code, {})
        printed = capsys.readouterr().out
        assert float(printed.split(":")[1]) < 1e-12


def test_alternatives_stay_under_it():
    result = check(Expert.from_expression("c*relu(a*x + b)"), "softmax", likelihood="categorical")
    proposed = result.alternatives()
    assert proposed
    assert {each.check.likelihood for each in proposed} == {"categorical"}
    assert all("--likelihood categorical" in each.options for each in proposed)


def test_nothing_is_fitted_or_drawn_under_it():
    from identkit import MixingMeasure
    from identkit.fit import Model, least_squares

    model = Model(builtin("linear", dim=1), GATES["softmax"].under("categorical"))
    truth = MixingMeasure([0.7, 0.0], [[1.0], [0.0]], [[1.8, 1.0], [-2.4, 1.5]])
    with pytest.raises(InputError, match="no rule draws a response"):
        identkit.simulate(model, truth, 10, noise=0.1)
    with pytest.raises(InputError, match="no objective is registered"):
        least_squares(model, np.arange(9.0).reshape(-1, 1), np.arange(9.0), [truth])
