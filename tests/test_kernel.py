"""The kernel that checks certificates: what it imports, what it accepts, what it must not."""

from __future__ import annotations

import ast
import contextlib
import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp
from hostile.certificates import BASES, LIGHT, base

import identkit
from identkit import Expert, check
from identkit.atoms import AtomFunction
from identkit.certificates.kernel import field as kernel_field
from identkit.certificates.kernel.field import Cases, Field, Unshown, vanishes
from identkit.certificates.kernel.points import Regularity, is_positive
from identkit.certificates.store import certificate_document, digest
from identkit.certificates.verify import verify
from identkit.deadline import Deadline
from identkit.domain import EVERYWHERE
from identkit.errors import CertificateError
from identkit.experts import ACTIVATIONS, SHAPES, builtin
from identkit.expression import parse

PROVER = (
    *("prove", "formal", "relation_text", "every_k", "kernel_risk", "coincidence", "relations"),
    *("normal_form", "algebra", "checking", "sampling", "derivatives"),
    *("certificates.independence", "certificates.rederive", "degeneracy.analysis"),
    *("degeneracy.conclude", "degeneracy.cone", "degeneracy.families", "degeneracy.kinks"),
    *("degeneracy.nullspace", "degeneracy.realise", "degeneracy.premise"),
    *("degeneracy.semidefinite", "degeneracy.symmetry", "degeneracy.family_records"),
    "degeneracy.readable",
)
KERNEL = Path(identkit.__file__).parent / "certificates" / "kernel"
RESTS_ON = {
    # the grammar, balls and jets; the definitions of what is claimed; plain records
    *("expression", "balls", "certificates.jets", "certificates.witness", "deadline", "errors"),
    *("experts", "atoms", "gates", "conditions", "domain", "forms", "degeneracy.moments"),
    *("results", "degeneracy.records", "orders.records", "likelihoods", "vocabulary"),
}


def test_the_kernel_rests_on_definitions_balls_and_records_alone():
    found = set()
    for path in KERNEL.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("identkit."):
                found.add(node.module.removeprefix("identkit."))
    own = {name for name in found if name.startswith("certificates.kernel")}
    assert found - own == RESTS_ON


LEFT = {"two outputs": {"verdict"}, "a linear output": {"verdict", "exceptional"}}
"""Of several outputs: dimensions by component, and a reflection with a rest."""
WITHOUT_PROVER = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in BARRED:
            raise ImportError(f"{name} is of the prover")

BARRED = {f"identkit.{name}" for name in sys.argv[1].split()}
sys.meta_path.insert(0, Refuse())  # in force in the child process that does the work, too
from identkit.cli import main
codes = [main(["verify", path]) for path in sys.argv[2:]]
print([name for name in BARRED if name in sys.modules], codes)
"""


def test_verify_imports_nothing_of_the_prover(tmp_path):
    paths = []
    for number, name in enumerate(n for n in LIGHT if n not in LEFT):
        paths.append(str(tmp_path / f"{number}.json"))
        Path(paths[-1]).write_text(json.dumps(base(name)), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_PROVER, " ".join(PROVER), *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.splitlines()[-1] == f"[] {[0] * len(paths)}", run.stderr


def by_kernel(result):
    verified = verify(json.loads(json.dumps(certificate_document(result))))
    return {who for by in verified.by for who in by.values()} == {"kernel"}


@pytest.mark.parametrize(
    "name", [n if n in LIGHT else pytest.param(n, marks=pytest.mark.slow) for n in BASES]
)
def test_every_kind_of_certificate_is_checked_by_the_kernel_alone(name):
    verified = verify(base(name))
    left = {piece for by in verified.by for piece, said in by.items() if said != "kernel"}
    assert left == LEFT.get(name, set())


@pytest.mark.slow
@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_kernel_alone_checks_every_built_in_expert(name, shape, gate):
    for dim in (1, 2):
        assert by_kernel(check(builtin(name, shape, dim), gate))


@pytest.mark.parametrize("name", ["gelu", "sin", "exp", "linear"])
def test_second_order_under_the_normalized_sigmoid_is_shown_by_the_kernel(name):
    assert by_kernel(check(builtin(name, None, 1), "normalized-sigmoid"))


# -- what the kernel cannot show ----------------------------------------------------------------


@pytest.mark.parametrize(("name", "shape"), [("sin", "ridge"), ("exp", "nobias")])
def test_cells_are_not_told_apart_where_h_is_a_combination_of_its_derivatives(name, shape):
    """h = −∂²h/∂b² for sin(a·x + b): with a sum pinned alone, its weight trades with curvature."""
    result = check(builtin(name, shape, 1), "normalized-sigmoid")
    document = json.loads(json.dumps(certificate_document(result)))
    second = document["results"][0]["certificate"]["second_order"]
    assert (second["verdict"], second["across_atoms"]) == ("yes", "open")
    second["across_atoms"] = "independent"
    document["digest"] = digest(document)
    with pytest.raises(CertificateError):
        verify(document)


def test_a_degenerate_cell_needs_a_family_or_moments():
    document = json.loads(
        json.dumps(certificate_document(check(builtin("gelu", None, 1), "sigmoid")))
    )
    second = document["results"][0]["certificate"]["second_order"]
    second.update(verdict="no", across_atoms="open", invisible=[], visible=[], independent=[])
    second.update(determinant=None)
    document["digest"] = digest(document)
    with pytest.raises(CertificateError, match="witness: is missing"):
        verify(document)


def test_evidence_that_the_kernel_does_not_read_is_the_prover_s():
    document = json.loads(
        json.dumps(certificate_document(check(builtin("gelu", None, 1), "sigmoid")))
    )
    second = document["results"][0]["certificate"]["second_order"]
    second["dual"] = [[["β1"], [["1"]]], [["a", "b"], [["1", "0"], ["0", "1"]]]]
    document["digest"] = digest(document)
    with pytest.raises(CertificateError, match="the prover does not come to the same"):
        verify(document)


def test_what_the_kernel_cannot_show_is_told_apart(monkeypatch):
    monkeypatch.setattr(kernel_field, "MAX_CASES", 1)  # so that it cannot look at a kink
    document = base("relu")
    verified = verify(document)
    pieces = ("verdict", "second order", "exceptional")
    assert verified.by[0] == dict.fromkeys(pieces, "prover")
    assert verified.by[1]["verdict"] == "prover"


def test_the_prover_has_to_come_to_the_same(monkeypatch):
    monkeypatch.setattr(kernel_field, "MAX_CASES", 1)
    forged = copy.deepcopy(base("functions"))
    monkeypatch.undo()
    entry = forged["results"][1]
    entry["certificate"]["parts"][0]["every_k"] = True
    entry["atoms_scope"] = "every"
    forged["digest"] = digest(forged)
    with pytest.raises(CertificateError, match=r"cannot show .* and the prover does not come"):
        verify(forged)


# -- the zero test ------------------------------------------------------------------------------

SIDES = EVERYWHERE.sides(1)
IDENTITIES = (
    "exp(a*x + b) - exp(a*x)*exp(b)",
    "exp(a*x/2)**2 - exp(a*x)",
    "tanh(a*x) - (exp(2*a*x) - 1)/(exp(2*a*x) + 1)",
    "tanh(2*x) - 2*tanh(x)/(1 + tanh(x)**2)",
    "sin(a*x + b) - sin(a*x)*cos(b) - cos(a*x)*sin(b)",
    "sin(x + pi/3) + sin(x - pi/3) - sin(x)",
    "cos(2*x) - 1 + 2*sin(x)**2",
    "cosh(x)**2 - sinh(x)**2 - 1",
    "log(exp(x) + exp(2*x)) - x - log(1 + exp(x))",
    "softplus(x) - softplus(-x) - x",
    "gelu(x) - gelu(-x) - x",
    "(1 + x**2)**(1/3)*(1 + x**2)**(2/3) - 1 - x**2",
    "1/(1 + sqrt(2)) - sqrt(2) + 1",
    "atan(x*(a + 1)) - atan(a*x + x)",
    "erf(-x*a) + erf(a*x)",
    "abs(a*x) - abs(a)*abs(x)",
    "relu(a*x + b) - relu(-a*x - b) - a*x - b",
    "Max(a*x, b) + Min(a*x, b) - a*x - b",
    "relu(exp(a)*x) - exp(a)*relu(x)",
    "relu(sqrt(2)*x)/sqrt(2) - relu(x)",
)
NO_IDENTITIES = (
    "exp(a*x + b) - exp(a*x)*exp(b) - 1/10**30",
    "tanh(a*x) - a*x",
    "relu(a*x + b) + relu(-a*x - b) - a*x - b",
    "abs(x + a) - x - a",
    "Max(a*x, b) - a*x",
    "sqrt(x**2 + 2*x*a + a**2) - x - a",
    "erf(x) - erf(2*x)",
    "log(1 + exp(x)) - x",
    "relu(x - 100)*a",
    "sin(x)**2 - cos(x)**2",
)


def zero(text):
    expression = parse(text)
    return vanishes(
        expression, AtomFunction("h", expression, ("x",), ("a", "b")), SIDES, Deadline(60)
    )


@pytest.mark.parametrize("text", IDENTITIES)
def test_identities_are_accepted(text):
    assert zero(text)


@pytest.mark.parametrize("text", NO_IDENTITIES)
def test_nothing_else_is(text):
    with contextlib.suppress(Unshown):  # no judgement is as good
        assert not zero(text)


def field():
    atom = AtomFunction("h", sp.Integer(0), ("x",), ("a", "b"))
    return Field(atom, SIDES, [], {}, Deadline(60))


def test_what_is_0_unnoticed_is_not_divided_by():
    """√(3 + 2√2) = 1 + √2: the generators do not know, the balls do."""
    f = field()
    hidden = f.convert(sp.sqrt(3 + 2 * sp.sqrt(2))) - f.convert(1 + sp.sqrt(2))
    assert not hidden.is_zero
    with pytest.raises(Unshown, match="nonzero"):
        f.one / hidden
    with pytest.raises(Unshown, match="nonzero"):
        f.convert((sp.sqrt(3 + 2 * sp.sqrt(2)) - 1 - sp.sqrt(2)) ** -1)


def test_derivatives_by_the_chain_rule_are_those_of_sympy():
    a, b, x = (sp.Symbol(n, real=True) for n in "abx")
    for text in (
        "tanh(a*x + b)*erf(x)",
        "sqrt(1 + a**2*x**2)",
        "atan(a*x)*sin(b*x)",
        "gelu(a*x + b)",
    ):
        u = parse(text)
        atom = AtomFunction("h", u, ("x",), ("a", "b"))
        for number, variable in enumerate((x, a, b)):

            def build(f, number=number, variable=variable, u=u):
                return [f.derivative(f.convert(u), number) - f.convert(sp.diff(u, variable))]

            assert Cases(atom, SIDES, build, Deadline(60)).cases[0].elements[0].is_zero


@pytest.mark.parametrize(
    ("text", "positive"),
    [
        ("1 + exp(x)", True),
        ("1 + a**2", True),
        ("log(2 + x**2)", True),
        ("cosh(a*x)", True),
        ("sqrt(1 + x**4)*exp(-a)", True),
        ("a**2", False),
        ("exp(x) - 1", False),
        ("1 + a*x", False),
        ("log(1 + x)", False),
        ("x**3 + 1", False),
    ],
)
def test_positivity(text, positive):
    assert is_positive(parse(text)) == positive


@pytest.mark.parametrize(
    ("text", "quantifier"),
    [
        ("gelu(a*x + b)", "almost-every"),
        ("1/(a*x + b)", "open-set"),
        ("relu(a*x + b)", "open-set"),
        ("softplus(a*x)/sqrt(2)", "almost-every"),
        ("tan(a*x)", "open-set"),
        ("x/(2 + sin(a*x))", "open-set"),
    ],
)
def test_how_far_a_witness_reaches(text, quantifier):
    expert = Expert.from_expression(text)
    atom = AtomFunction("h", expert.expression, expert.inputs, expert.parameters)
    assert Regularity(atom, SIDES).quantifier() == quantifier


def test_pieces_over_different_factors_are_counted_apart():
    """f = x₊/(1 + a²) + (−x)₊/(2 + a²): two atoms' ∂f/∂a are independent, three are not."""
    expert = Expert.from_expression("relu(x)/(1 + a**2) + relu(-x)/(2 + a**2)")
    result = check(expert, "sigmoid", condition="shared-strong")
    assert result.results[0].proofs[0].fixed.dimension == 2
    document = json.loads(json.dumps(certificate_document(result)))
    verify(document)
    part = document["results"][0]["certificate"]["parts"][0]
    part["fixed"].update(dimension=1, atoms=2)
    part["atoms"] = document["results"][0]["atoms"] = 2
    document["digest"] = digest(document)
    with pytest.raises(CertificateError, match="does not describe the space"):
        verify(document)
