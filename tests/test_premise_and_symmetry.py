"""The premise of Regime 2 and exceptional pairs of atoms: known answers, checked numerically."""

from __future__ import annotations

import random
import re
from fractions import Fraction

import pytest
import sympy as sp
from checked import check

import identkit
from identkit.atoms import expert_function
from identkit.certificates.verify import verify
from identkit.deadline import Deadline
from identkit.degeneracy.families import exact_lifts
from identkit.degeneracy.premise import proved_zero, regime_2_premise
from identkit.degeneracy.rate import ELSEWHERE, NOT_KNOWN_ELSEWHERE
from identkit.degeneracy.symmetry import exceptional_sets
from identkit.domain import Domain
from identkit.errors import OutOfTime
from identkit.experts import Expert, builtin, symbols
from identkit.expression import parse, symbol
from identkit.rate import FOURTH

BOX = (Fraction(-1), Fraction(1))
DIMS = pytest.mark.parametrize("dim", [1, 2])


def atom_and_lifts(expert):
    atom = expert_function(expert)
    names = symbols(atom.parameters)
    gradient = [sp.diff(atom.expression, p) for p in names]
    lifts, _ = exact_lifts(
        atom, gradient, lambda i, j: sp.diff(gradient[i], names[j]), Deadline(30)
    )
    return atom, lifts


def premise(expert, box=BOX):
    atom, lifts = atom_and_lifts(expert)
    found = regime_2_premise(atom, lifts, Domain((box,)), Deadline(60))
    check_refits(atom, found, box)
    return found


def value(expression, point):
    """A float, by SymPy; Step is evaluated by its own rule."""
    return float(expression.xreplace(point).evalf(30))


def random_point(names, rng, low=0.2, high=1.7):
    return {s: sp.Rational(round(rng.uniform(low, high) * 1000), 1000) for s in symbols(names)}


def check_refits(atom, found, box):
    """Every refit numerically, from the record's text alone."""
    assert found.verdict == ("fails" if found.refits else "undecided")
    rng = random.Random(7)
    for refit in found.refits:
        atoms = [{symbol(p): parse(v) for p, v in images} for images in refit.substitution]
        for _ in range(8):
            point = {
                **random_point(atom.parameters, rng),
                **random_point(atom.inputs, rng, float(box[0]), float(box[1])),
            }
            total = sum(value(atom.expression.xreplace(images), point) for images in atoms)
            target = value(atom.expression, point) if refit.kind == "splitting" else 0
            assert total == pytest.approx(target, abs=1e-12)


def check_reflections(atom, sets):
    """Every reflection numerically, from its text h(x; …) ± h(x; …) = …"""
    rng = random.Random(8)
    names = symbols(atom.parameters)

    def called(match):
        images = [parse(v) for v in match.group(1).split(", ")]
        moved = atom.expression.xreplace(dict(zip(names, images, strict=True)))
        return f"({value(moved, point)!r})"

    for exceptional in sets:
        if exceptional.kind == "orbit":
            continue
        for _ in range(5):
            point = {
                **random_point(atom.parameters, rng),
                **random_point(atom.inputs, rng, -1.5, 1.5),
            }
            left, right = re.sub(r"h\(x; ([^()]*)\)", called, exceptional.relation).split(" = ")
            assert float(sp.sympify(left)) == pytest.approx(
                float(sp.sympify(right, locals={str(k): v for k, v in point.items()})), abs=1e-12
            )


def exceptional(expert):
    atom, lifts = atom_and_lifts(expert)
    sets = exceptional_sets(atom, lifts, Deadline(60))
    check_reflections(atom, sets)
    return sets


def of_kind(found, kind):
    return [r.substitution for r in found.refits if r.kind == kind]


# -- the premise ----------------------------------------------------------------------------


@DIMS
@pytest.mark.parametrize("name", ["gelu", "relu", "silu", "tanh", "sin", "linear", "poly2"])
def test_ridge_experts_are_null_at_zero(name, dim):
    expert = builtin(name, None, dim)
    zero = tuple((p, "0") for p in expert.parameters)
    assert of_kind(premise(expert), "null expert") == [(zero,)]


@DIMS
@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
def test_positive_experts_have_no_refit(name, dim):
    found = premise(builtin(name, None, dim))
    assert found.verdict == "undecided"
    assert "pairs" in found.searched


@DIMS
def test_exp_splits_but_is_never_null(dim):
    found = premise(builtin("exp", None, dim))
    half = (("b", "b - log(2)"),)
    assert [r.kind for r in found.refits] == ["splitting"]
    assert of_kind(found, "splitting") == [(half, half)]


@DIMS
def test_sin_splits_by_a_third_of_pi(dim):
    pairs = of_kind(premise(builtin("sin", None, dim)), "splitting")
    assert pairs == [((("b", "b + pi/3"),), (("b", "b - pi/3"),))]


@DIMS
@pytest.mark.parametrize("name", ["gelu", "tanh", "relu"])
def test_an_outer_factor_is_null_at_zero_and_splits(name, dim):
    found = premise(builtin(name, "ffn", dim))
    assert of_kind(found, "null expert") == [((("c", "0"),),)]
    assert ((("c", "c/2"),), (("c", "c/2"),)) in of_kind(found, "splitting")


@DIMS
def test_input_free_splits_in_half(dim):
    half = (("eta", "eta/2"),)
    assert of_kind(premise(builtin("input-free", None, dim)), "splitting") == [(half, half)]


@DIMS
def test_relu_splits_and_dies(dim):
    found = premise(builtin("relu", None, dim))
    assert [r.kind for r in found.refits] == ["null expert", "dead expert", "splitting"]
    half = tuple((p, f"{p}/2") for p in builtin("relu", None, dim).parameters)
    assert of_kind(found, "splitting") == [(half, half)]


def test_dead_depends_on_the_box():
    expert = builtin("relu", "nobias", 1)
    assert not of_kind(premise(expert), "dead expert")
    positive = premise(expert, (Fraction(1), Fraction(2)))
    assert of_kind(positive, "dead expert") == [((("a", "-1"),),)]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Min(0, a*x + b)", {"null expert", "dead expert", "splitting"}),
        ("abs(a*x + b)", {"null expert", "splitting"}),
        ("relu(a*x + b)**2", {"null expert", "dead expert", "splitting"}),
        ("relu(a*x + b) + relu(c*x + e)", {"null expert", "dead expert", "splitting"}),
        ("c*atan(a*x + b)", {"null expert", "splitting"}),
        ("exp(a*b + x)*tanh(c*x)", {"null expert", "splitting"}),
        ("sinh(a*x + b)", {"null expert"}),
        ("sqrt(a*x0 + b*x1 + c)", {"null expert"}),
        ("exp(-(a*x0 + b*x1)**2)", set()),
        ("cos(a*x)", set()),
        ("1/(1 + (a*x + b)**2)", set()),
    ],
)
def test_unlisted_refits(text, kinds):
    assert {r.kind for r in premise(Expert.from_expression(text)).refits} == kinds


@pytest.mark.parametrize(
    ("text", "null"),
    [
        ("tanh(a*x + b) - tanh(c*x + e)", {"c": "a", "e": "b"}),
        ("tanh(a*x + b) + tanh(c*x + e)", {"c": "-a", "e": "-b"}),
        (
            "tanh(a*x0 + b*x1 + c) - tanh(e*x0 + f*x1 + g)",
            {"e": "a", "f": "b", "g": "c"},
        ),
        ("log(a + b*x**2)", {"a": "1", "b": "0"}),
        ("(a + b)*exp(c*x)", {"b": "-a"}),
        ("(a*x + b)/(c*x + e)", {"a": "0", "b": "0"}),
    ],
)
def test_the_smallest_null_substitution(text, null):
    (found,) = of_kind(premise(Expert.from_expression(text)), "null expert")
    assert dict(found[0]) == null


def test_many_inputs():
    found = premise(builtin("gelu", None, 12))
    assert of_kind(found, "null expert") == [
        (tuple((p, "0") for p in builtin("gelu", None, 12).parameters),)
    ]


def test_a_nonzero_expression_is_not_proved_zero():
    atom = expert_function(builtin("tanh", None, 1))
    assert proved_zero(parse("sinh(a*x) - cosh(a*x)*tanh(a*x)"), atom, Deadline(5))
    assert not proved_zero(parse("sinh(a*x) - tanh(a*x)"), atom, Deadline(5))
    assert not proved_zero(sp.zoo, atom, Deadline(5))


def test_the_deadline_is_kept():
    atom, lifts = atom_and_lifts(builtin("gelu", None, 1))
    for search in (
        lambda: regime_2_premise(atom, lifts, Domain((BOX,)), Deadline(-1)),
        lambda: exceptional_sets(atom, lifts, Deadline(-1)),
    ):
        with pytest.raises(OutOfTime):
            search()


# -- exceptional pairs ----------------------------------------------------------------------


def relations(sets, kind):
    return [e.relation for e in sets if e.kind == kind]


@DIMS
@pytest.mark.parametrize(
    ("name", "relation"),
    [
        ("tanh", "h(x; {minus}) = -h(x; {plus})"),
        ("sin", "h(x; {minus}) = -h(x; {plus})"),
        ("linear", "h(x; {minus}) = -h(x; {plus})"),
        ("gelu", "h(x; {plus}) - h(x; {minus}) = {z}"),
        ("relu", "h(x; {plus}) - h(x; {minus}) = {z}"),
        ("silu", "h(x; {plus}) - h(x; {minus}) = {z}"),
        ("softplus", "h(x; {plus}) - h(x; {minus}) = {z}"),
        ("sigmoid", "h(x; {plus}) + h(x; {minus}) = 1"),
    ],
)
def test_ridge_reflections(name, relation, dim):
    expert = builtin(name, None, dim)
    sets = exceptional(expert)
    plus = ", ".join(expert.parameters)
    minus = ", ".join(f"-{p}" for p in expert.parameters)
    z = "a*x + b" if dim == 1 else "a0*x0 + a1*x1 + b"
    assert relations(sets, "reflection") == [relation.format(plus=plus, minus=minus, z=z)]
    assert not relations(sets, "symmetry of one atom")
    if dim == 1:
        where = next(e.where for e in sets if e.kind == "reflection")
        assert where == "(a', b') = (-a, -b) under equal gates"


@pytest.mark.parametrize(
    ("text", "symmetric", "reflected"),
    [
        (
            "c*tanh(a*x + b)",
            ["h(x; -c, -a, -b) = h(x; c, a, b)"],
            ["h(x; -c, a, b) = -h(x; c, a, b)"],
        ),
        (
            "c*gelu(a*x + b)",
            [],
            [
                "h(x; -c, a, b) = -h(x; c, a, b)",
                "h(x; c, a, b) - h(x; c, -a, -b) = a*c*x + b*c",
            ],
        ),
        ("exp(-(a*x + b)**2)", ["h(x; -a, -b) = h(x; a, b)"], []),
        ("abs(a*x0 + b*x1)", ["h(x; -a, -b) = h(x; a, b)"], []),
        ("erf(a*x0 + b*x1)", [], ["h(x; -a, -b) = -h(x; a, b)"]),
        ("relu(a*x + b)**2", [], []),  # z²: no second derivative is lost
        ("exp(a*x + b)", [], []),
        (
            "a*b*tanh(c*x)",
            ["h(x; -a, -b, c) = h(x; a, b, c)", "h(x; -a, b, -c) = h(x; a, b, c)"],
            ["h(x; -a, b, c) = -h(x; a, b, c)"],
        ),
        ("a*x + tanh(b*x)", [], ["h(x; -a, -b) = -h(x; a, b)"]),
        (
            "relu(a*x + b) + relu(c*x + e)",
            [],
            [
                "h(x; a, b, c, e) - h(x; -a, -b, c, e) = a*x + b",
                "h(x; a, b, c, e) - h(x; a, b, -c, -e) = c*x + e",
            ],
        ),
    ],
)
def test_unlisted_reflections(text, symmetric, reflected):
    sets = exceptional(Expert.from_expression(text))
    assert relations(sets, "symmetry of one atom") == symmetric
    assert relations(sets, "reflection") == reflected


def test_reflections_in_many_inputs():
    sets = exceptional(builtin("tanh", "ffn", 8))
    assert len(relations(sets, "symmetry of one atom")) == 1
    assert len(relations(sets, "reflection")) == 1


@pytest.mark.parametrize(
    ("text", "orbits"),
    [
        ("sin(a*x + b)", ["h(x; a, b + s) = cos(s)*h + sin(s)*∂h/∂b"]),
        ("exp(a*x + b)", ["h(x; a, b + s) = exp(s)*h"]),
        ("relu(a*x + b)", ["h(x; a*exp(s), b*exp(s)) = exp(s)*h"]),
        ("a*x + tanh(b*x)", ["h(x; a + s, b) = h + s*∂h/∂a"]),
        ("c*gelu(a*x0 + b*x1)", ["h(x; c*exp(s), a, b) = exp(s)*h"]),
        ("tanh(a*x + b)", []),
        ("tanh((a + b)*x)", []),  # redundant: h does not move
    ],
)
def test_orbits(text, orbits):
    expert = Expert.from_expression(text)
    sets = exceptional(expert)
    assert relations(sets, "orbit") == orbits
    atom = expert_function(expert)
    rng = random.Random(9)
    point = {**random_point(("s", *atom.parameters), rng), **random_point(atom.inputs, rng)}
    for relation in orbits:
        left, right = relation.split(" = ")
        images = [parse(v) for v in left.removeprefix("h(x; ").removesuffix(")").split(", ")]
        moved = atom.expression.xreplace(dict(zip(symbols(atom.parameters), images, strict=True)))
        for p in atom.parameters:
            slope = value(sp.diff(atom.expression, symbol(p)), point)
            right = right.replace(f"∂h/∂{p}", repr(slope))
        right = re.sub(r"\bh\b", repr(value(atom.expression, point)), right)
        names = {str(k): v for k, v in point.items()}
        assert value(moved, point) == pytest.approx(float(sp.sympify(right, locals=names)))


def test_regime_1_rates_are_near_the_truth_only():
    """An expert that is 0 at η = 0 can be added with any gate: an exact refit in Regime 1 too."""
    for name, somewhere in (("gelu", True), ("tanh", True), ("sigmoid", False)):
        (result,) = check(name, "sigmoid", regime=1, dim=1).results
        found = [r for r in result.rate.reasons if r.startswith(ELSEWHERE)]
        assert bool(found) is somewhere, name
        assert str(result.rate.derived) == "n^-1/4"
    (softmax,) = check("gelu", "softmax", dim=1).results  # a null atom takes weight away
    assert not any(r.startswith(ELSEWHERE) for r in softmax.rate.reasons)


def test_a_search_for_refits_that_was_cut_short_is_said_and_verifies(monkeypatch):
    from identkit.degeneracy import conclude

    def cut(*arguments):
        raise OutOfTime("the time limit of 1 s was reached")

    monkeypatch.setattr(conclude, "regime_2_premise", cut)
    result = identkit.check("gelu", "sigmoid", regime=1, dim=1)
    assert result.results[0].rate.reasons[-1].startswith(NOT_KNOWN_ELSEWHERE)
    document = result.certificate()
    monkeypatch.undo()
    (again,) = verify(document).results
    assert again.rate.derived == result.results[0].rate.derived == FOURTH
