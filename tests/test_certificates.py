"""Certificates: saved, verified from the file alone, and refused after any alteration."""

from __future__ import annotations

import copy
import json
from fractions import Fraction

import pytest
import sympy as sp
from amounts import amount
from checked import check
from flint import arb_mat, fmpq, fmpq_mat
from hostile import roundtrips
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from identkit import Expert
from identkit.atoms import expert_function
from identkit.balls import Tape, ball, precision
from identkit.certificates.jets import Differentiator
from identkit.certificates.kernel.points import is_nonsingular
from identkit.certificates.store import certificate_document, digest, load, save
from identkit.certificates.verify import verify
from identkit.conditions import condition
from identkit.derivatives import Derivatives
from identkit.errors import CertificateError, InputError
from identkit.experts import builtin, symbols
from identkit.gates import GATES
from identkit.report.json_text import dumps, schema

CASES = {
    "yes": ("gelu", {"dim": 1}),
    "kinks": ("relu", {"dim": 1}),
    "relation with rank": ("relu", {"dim": 1, "condition": "strong", "level": "product"}),
    "first derivatives related": ("relu", {"dim": 1, "condition": "weak", "shape": "ffn"}),
    "two sets": ("tanh", {"dim": 1, "condition": "shared-strong"}),
    "dimension": ("poly20", {"dim": 1, "condition": "shared-strong"}),
    "fixed functions": (Expert.from_expression("a*sin(x) + b*cos(x)"), {}),
    "coordinates": (Expert.from_expression("tanh((p + q)*x + p - q)"), {}),
    "merged": ("gelu", {"dim": 1, "shape": "ffn"}),
    "up to k": (Expert.from_expression("tanh(tanh(a*x + b))"), {}),
    "nothing": ("gelu", {"dim": 1, "max_precision": 64, "atoms": 8, "condition": "strong"}),
}


@pytest.fixture(scope="module")
def documents():
    return {
        name: json.loads(dumps(certificate_document(check(expert, "sigmoid", **options))))
        for name, (expert, options) in CASES.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_verifies(documents, name):
    verified = verify(documents[name])
    stored = [r["verdict"] for r in documents[name]["results"]]
    assert [r.verdict for r in verified.results] == stored
    Draft202012Validator.check_schema(schema("certificate-3"))


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path


def altered(value):
    """Another value of the same kind, where possible another valid one."""
    swaps = {
        "yes": "no",
        "no": "yes",
        "every": "almost-every",
        "almost-every": "every",
        "open-set": "almost-every",
        "up-to": "every",
        "from": "every",
        "expert": "product",
        "product": "expert",
        "sigmoid": "softmax",
        "confirmed": "unclaimed",
        "unclaimed": "confirmed",
        "strong": "weak",
        "weak": "strong",
        "relation": "none",
        "ball-determinant": "relation",
        "finite-dimension": "relation",
        "none": "relation",
    }
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if value is None or value == []:
        return 1 if value is None else ["∂h/∂a"]
    if value in swaps:
        return swaps[value]
    try:
        return str(Fraction(value) + Fraction(1, 7))
    except ValueError:
        return value + "0"


def set_leaf(document, path, value):
    target = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value


def get_leaf(document, path):
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize("name", CASES)
def test_any_altered_field_fails(documents, name):
    document = documents[name]
    for path in leaves(document):
        forged = copy.deepcopy(document)
        set_leaf(forged, path, altered(get_leaf(document, path)))
        assert forged != document, path
        with pytest.raises(CertificateError):
            verify(forged)


# what a forger who recomputes the digest may still change without making a false statement:
# settings nothing is concluded from, and evidence (another one can be just as valid)
REMARKS = {"identkit", "seed", "max_precision", "time_limit"}
EQUALLY_TRUE = {"gate", "regime", "domain", "points", "precision", "coefficient"}
EVIDENCE = {"substitution", "visible"}


def is_statement(path, value):
    words = [key for key in path if isinstance(key, str)]
    witness_or_option = words[-1] == "atoms" and words[-2] in ("witness", "options")
    weaker = path[-1] == "quantifier" and value == "every"  # becomes almost-every
    other = words[-1] in REMARKS | EQUALLY_TRUE or EVIDENCE & set(words)
    return not (other or witness_or_option or weaker)


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_altered_statements_fail_even_with_a_new_digest(documents, name, every):
    document = documents[name]
    paths = [p for p in leaves(document) if is_statement(p, get_leaf(document, p))]
    for path in paths[len(name) % every :: every]:
        forged = copy.deepcopy(document)
        set_leaf(forged, path, altered(get_leaf(document, path)))
        forged["digest"] = digest(forged)
        if forged == document:  # the altered field was the digest
            continue
        with pytest.raises(CertificateError):
            verify(forged)


def forge(document, change):
    forged = copy.deepcopy(document)
    change(forged["results"][0]["certificate"]["parts"][0])
    forged["digest"] = digest(forged)
    return forged


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["witness"].update(
            points=[p["witness"]["points"][0]] * len(p["witness"]["points"])
        ),
        lambda p: p["witness"].update(atoms=[p["witness"]["atoms"][0]] * 3),
        lambda p: p["witness"]["points"].pop(),
        lambda p: p["witness"]["points"].__setitem__(0, ["7"]),
        lambda p: p["kept"].pop(),
        lambda p: p["kept"].__setitem__(0, p["kept"][1]),
        lambda p: p["merged"].clear(),
        lambda p: p["dropped"].append(p["kept"].pop()),
        lambda p: p["merged"][0]["relation"]["terms"][0].update(coefficient="0"),
        lambda p: p["merged"][0]["relation"]["terms"][1].update(coefficient="x"),
        lambda p: p.update(witness=None),
        lambda p: p.update(kind="none", verdict="undecided"),
    ],
)
def test_forgeries_of_a_yes_fail(documents, change):
    with pytest.raises(CertificateError):
        verify(forge(documents["yes"], change))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["relations"].clear(),
        lambda p: p["relations"].pop(),
        lambda p: p["relations"].append(p["relations"][0]),
        lambda p: p["relations"][0]["terms"].pop(),
        lambda p: p["relations"][0]["terms"][0].update(coefficient="0"),
        lambda p: [
            t.update(coefficient="sqrt(6) - sqrt(2)*sqrt(3)") for t in p["relations"][0]["terms"]
        ],
        lambda p: p.update(rank=18),
        lambda p: p["witness"]["functions"].pop(),
    ],
)
def test_forgeries_of_a_no_fail(documents, change):
    with pytest.raises(CertificateError):
        verify(forge(documents["relation with rank"], change))


def test_the_coincidence_rule_must_be_applied_completely(documents):
    """Two proportional functions left among the kept ones would make GELU look dependent."""
    part = documents["yes"]["results"][0]["certificate"]["parts"][0]
    (merge,) = part["merged"]
    space = {
        "combinations": [merge["relation"]["terms"]],
        "dimension": 1,
        "atoms": 2,
    }
    proofs = (
        {"kind": "relation", "relations": [merge["relation"]]},
        {"kind": "finite-dimension", "atoms": 2, "fixed": space},
    )
    functions = condition("strong").build(expert_function(builtin("gelu", dim=1)))[0].functions
    common = {
        "kept": [f.label for f in functions],
        "merged": [],
        "witness": None,
        "every_k": False,
        "verdict": "no",
        "rank": None,
        "quantifier": "every",
    }
    for proof in proofs:
        forged = forge(documents["yes"], lambda p, proof=proof: p.update(common | proof))
        scope = "every" if "relations" in proof else "from"
        forged["results"][0].update(verdict="no", quantifier="every", atoms_scope=scope)
        forged["results"][0]["atoms"] = proof.get("atoms", 3)
        forged["digest"] = digest(forged)
        with pytest.raises(CertificateError, match=r"coinciden|not coincide"):
            verify(forged)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (
            "relations",
            [{"terms": [{"coefficient": "1", "function": "∂h/∂a"}]}],
        ),
        (
            "fixed",
            {
                "combinations": [[{"coefficient": "1", "function": "∂h/∂a"}]],
                "dimension": 1,
                "atoms": 2,
            },
        ),
    ],
)
def test_fields_nobody_reads_must_be_empty(documents, field, value):
    with pytest.raises(CertificateError, match="has no place"):
        verify(forge(documents["yes"], lambda p: p.update({field: value})))


@pytest.mark.parametrize(
    "expert",
    [
        {"parameters": ["p", "q", "z"]},
        {"parameters": ["x"], "inputs": ["p", "q"], "dim": 2},
        {"inputs": ["x", "q"], "parameters": ["p"], "dim": 2},
        {"expression": "tanh((p + q)*x + p - q) # tanh(x)"},
    ],
)
def test_roles_of_names_cannot_be_forged(documents, expert):
    forged = copy.deepcopy(documents["coordinates"])
    forged["expert"].update(expert)
    forged["digest"] = digest(forged)
    with pytest.raises(CertificateError):
        verify(forged)


def test_a_domain_on_which_the_expert_is_singular_is_rejected():
    expert = Expert.from_expression("log(x + 4)*tanh(a*x + b)")
    document = json.loads(dumps(certificate_document(check(expert, "softmax"))))
    verify(document)
    document["options"]["domain"] = ["-10", "10"]
    document["digest"] = digest(document)
    with pytest.raises(CertificateError, match="singular on the domain"):
        verify(document)


@pytest.mark.parametrize(
    "equations",
    [
        ["u1 = a + b", "u2 = a - b"],  # a choice in which the coincidence rule fails
        ["x = a", "u2 = b"],  # would turn the input into a parameter
        ["b = a", "a = b"],
        ["u1 = a", "u2 = a"],
    ],
)
def test_coordinates_cannot_be_chosen(documents, equations):
    forged = copy.deepcopy(documents["yes"])
    forged["results"][0]["coordinates"] = equations
    forged["digest"] = digest(forged)
    with pytest.raises(CertificateError, match="coordinates"):
        verify(forged)


def test_rank_of_a_failure_is_not_claimed():
    document = json.loads(dumps(certificate_document(check("exp", "softmax", level="product"))))
    assert document["results"][0]["certificate"]["parts"][0]["rank"] is None
    with pytest.raises(CertificateError):
        verify(forge(document, lambda p: p.update(rank=0)))


def test_a_few_independent_atoms_do_not_refute_a_dimension_count(documents):
    """linear at k = 1: three independent functions, but the condition fails from k = 2 on."""
    honest = json.loads(dumps(certificate_document(check("linear", "softmax", dim=1, atoms=1))))
    part = honest["results"][0]["certificate"]["parts"][0]
    witness = {
        "functions": part["kept"],
        "atoms": [["1", "1"]],
        "points": [["0"], ["1"], ["2"]],
        "precision": 128,
        "determinant": "[2 +/- 1e-30]",
    }

    def change(p):
        p.update(
            kind="ball-determinant",
            verdict="yes",
            atoms=1,
            fixed=None,
            witness=witness,
            rank=len(p["kept"]),
            quantifier="almost-every",
        )

    with pytest.raises(CertificateError, match=r"dimension count|determinant"):
        verify(forge(honest, change))


HONEST = [
    ("sqrt(1 + x**2) + b", {"condition": "strong"}),
    (
        "exp(cosh(a*x0**2 + b))*exp((b*x0 + b*x1 + a)*a)",
        {"condition": "strong", "level": "product"},
    ),
    ("((x + a)**20 + relu(x - a)*relu(-x - a)*(x + 2*a)**4)/(9 + x)", {"seed": 7}),
    ("exp(exp(a*x + b))", {}),
    # more kinks than the normal form takes: proved without it, so verified without it
    (
        "tanh(a*x) + abs(x) + abs(x - 1) + abs(x - 2) + abs(x + 1) + abs(x + 2) + b*x",
        {"condition": "weak"},
    ),
    # and with kinks that no derivative has
    ("tanh(a*x) + abs(x) + abs(x - 1) + abs(x - 2) + abs(x + 1) + abs(x + 2) + b*x", {"regime": 1}),
    ("relu(x0 + a*x1)", {}),
    ("sqrt(a*x + b)*sqrt(c*x + e)", {}),
]


@pytest.mark.parametrize(("text", "options"), HONEST)
def test_honest_certificates_of_odd_experts_verify(text, options):
    result = check(Expert.from_expression(text), "sigmoid", **options)
    verified = verify(json.loads(dumps(certificate_document(result))))
    assert [r.verdict for r in verified.results] == [r.verdict for r in result.results]
    assert "undecided" not in [r.verdict for r in result.results]


@pytest.mark.parametrize("coefficient", ["q", "nan", "relu(a)", "1/0", "x", "(-1)**(1/3)", "((("])
def test_odd_coefficients_are_rejected_not_raised(documents, coefficient):
    def change(p):
        p["relations"][0]["terms"][0]["coefficient"] = coefficient

    with pytest.raises(CertificateError):
        verify(forge(documents["relation with rank"], change))


def test_a_parameter_cannot_be_dropped_from_the_expert(documents):
    forged = copy.deepcopy(documents["coordinates"])
    forged["expert"]["parameters"] = ["p"]
    forged["digest"] = digest(forged)
    with pytest.raises(CertificateError):
        verify(forged)


def test_save_and_load(tmp_path, documents):
    path = tmp_path / "cert.json"
    check("gelu", "sigmoid", dim=1).save(str(path))
    assert load(path) == documents["yes"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b"\xff\xfe",
        b"null",
        b"[" * 100_000,
        b'{"schema": 1, "schema": 2}',
        b'{"schema": 2.0}',
        b'{"schema": NaN}',
    ],
)
def test_files_that_are_no_certificates(tmp_path, content):
    path = tmp_path / "cert.json"
    path.write_bytes(content)
    with pytest.raises(InputError):
        load(path)


# -- the two evaluation routes, and the rank tests, against each other ---------------------------


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("name", ["gelu", "silu", "tanh", "softplus", "sin", "relu", "exp"])
@pytest.mark.parametrize(("which", "level"), [("strong", "product"), ("weak", "product")])
def test_automatic_differentiation_agrees_with_sympy(name, dim, which, level):
    expert = builtin(name, "ffn", dim)
    c = condition(which, level)
    atom = c.atom(expert, GATES["sigmoid"])
    functions = c.build(atom)[0].functions
    tape = Tape(Derivatives(atom).expressions(functions), symbols((*atom.inputs, *atom.parameters)))
    x = [Fraction(3, 7)] * dim
    theta = [Fraction(2 * i + 3, 11) for i in range(len(atom.parameters))]
    with precision(160):
        left = tape.evaluate([ball(v) for v in (*x, *theta)])
        right = Differentiator(atom, 2).values(functions, x, theta)
    for function, a, b in zip(functions, left, right, strict=True):
        assert a.overlaps(b), function.label
        assert abs(a - b) < 1e-30, function.label


matrices = st.integers(2, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.fractions(-3, 3, max_denominator=4), min_size=n, max_size=n),
        min_size=n,
        max_size=n,
    )
)


@given(matrices, st.booleans())
def test_ball_rank_against_exact_rational_rank(rows, singular):
    """Ball arithmetic proves nonsingular exactly the matrices that are."""
    if singular:
        rows = [*rows[:-1], [a + 2 * b for a, b in zip(rows[0], rows[-2], strict=True)]]
    n = len(rows)
    exact = fmpq_mat(n, n, [fmpq(v.numerator, v.denominator) for r in rows for v in r])
    with precision(256):
        balls = [[ball(v) for v in r] for r in rows]
        value = arb_mat(n, n, [v for r in balls for v in r]).det()
        assert is_nonsingular(balls) == (exact.rank() == n)
        assert value.contains(arb_mat(exact).det())
        assert (not value.contains(0)) == (exact.rank() == n)


def test_an_ill_conditioned_matrix_needs_precision():
    """A Hilbert matrix of order 40 (condition number 1e60) is nonsingular, not so at 64 bits."""
    rows = [[Fraction(1, i + j + 1) for j in range(40)] for i in range(40)]
    with precision(64):
        assert not is_nonsingular([[ball(v) for v in r] for r in rows])
    with precision(1024):
        assert is_nonsingular([[ball(v) for v in r] for r in rows])


def test_balls_that_are_not_real_are_not_finite():
    x = sp.Symbol("x", real=True)
    tape = Tape([sp.log(x), sp.sqrt(x), x ** sp.Rational(1, 3), 1 / (x + 1)], [x])
    assert [v.is_finite() for v in tape.evaluate([ball(-1)])] == [False] * 4


def test_generated_certificates_are_verified(tmp_path):
    for case in roundtrips.cases(amount(5, 12), seed=5):
        roundtrips.attempt(case, tmp_path)


@pytest.mark.slow
def test_many_generated_certificates_are_verified(tmp_path):
    for case in roundtrips.cases(400, seed=6):
        roundtrips.attempt(case, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        # √π and tan(a) come in another order by the chain rule: the scale of null vectors
        "sqrt(tan(a)*x + b)",
        "exp(3*x + (c - a)/gelu(c))",
        "b*sin(softplus(erf(c))*x + relu(b))",
        "x**2*(1/(sqrt(2) + sqrt(a))) + a*x",  # a fixed space, whatever multiples span it
        "relu(relu(Min(abs(a)*x, x)))",  # Step(0): z Step(z) vanishes for z < 0
        "c*tanh((tan(a)*sigmoid(a - c))*x)",  # a coefficient of more than 150 terms
    ],
)
@pytest.mark.parametrize(
    "gate", [g if g == "sigmoid" else pytest.param(g, marks=pytest.mark.slow) for g in GATES]
)
def test_certificates_do_not_depend_on_the_route(text, gate):
    """Under the sigmoid, which asks for both conditions; the others ask for the strong one."""
    expert = Expert.from_expression(text)
    verify(json.loads(dumps(certificate_document(check(expert, gate, time_limit=10.0)))))


def test_no_certificate_is_written_that_would_be_too_large(monkeypatch, tmp_path):
    monkeypatch.setattr("identkit.certificates.store.MAX_TEXT", 30)
    with pytest.raises(InputError, match="cannot be written so that verify reads it"):
        save(check("gelu", "softmax"), tmp_path / "certificate.json")
    assert not list(tmp_path.iterdir())
