"""Experts of several outputs, against ranks found by other routes and against scalar experts."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
from fractions import Fraction
from functools import cache
from itertools import combinations_with_replacement

import mpmath
import pytest
import sympy as sp
from amounts import amount
from flint import fmpq, fmpq_mat
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from identkit import Expert, MixingMeasure, check, interactions
from identkit.certificates.store import certificate_document, digest
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.errors import CertificateError, DomainError, ExpressionError, InputError
from identkit.estimator import MoERegressor
from identkit.fit import Model
from identkit.report import explain, markup
from identkit.report.snippet import snippet
from identkit.testing import assert_identifiable

few = settings(
    max_examples=amount(3, 6), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

# components, then verdicts: strong under softmax (expert level), nondegenerate, weak (sigmoid)
CASES = (
    (("tanh(a*x + b)", "tanh(c*x + d)"), "yes", "yes", "yes"),
    (("a*x + b", "(a*x + b)**2"), "no", "yes", "yes"),  # polynomials of degree 2 and 3
    (("a*x + b", "c*x + d"), "no", "no", "yes"),
    (("a*b*x", "a*x"), "no", "no", "yes"),  # no redundancy, unlike a*b*x; linear all the same
    (("relu(a*x + b)", "c"), "no", "no", "yes"),  # (0, 1) is ∂_c for every atom
    (("tanh(a*x + b)", "x"), "yes", "yes", "yes"),  # ∂_u of the second is 0
    (("tanh(a*x + b)", "tanh(a*x + b)"), "yes", "yes", "yes"),
    (("tanh(a*x + b)", "0"), "yes", "yes", "yes"),
    (("tanh(a*x + b)", "a"), "no", "yes", "yes"),  # ∂_a − x ∂_b is (0, 1) for every atom
    (("tanh(a*b*x)", "tanh(a*x)"), "no", "yes", "yes"),  # a∂_a∂_b − b∂_b² = ∂_b, of three functions
    (("tanh(a*b*x)", "0"), "no", "no", "no"),  # a∂_a = b∂_b, as for one output
    (("v*tanh(a*x)", "w*tanh(a*x)"), "no", "no", "yes"),  # v∂_a∂_v + w∂_a∂_w = ∂_a
    (("tanh(a*x0 + b*x1)", "tanh(b*x0)"), "yes", "yes", "yes"),
    (("gelu(a*x0 + b)", "gelu(c*x1 + d)", "x0*x1"), "yes", "yes", "yes"),
    (("relu(a*x + b)", "relu(c*x + d)"), "yes", "no", "yes"),
)


def expert(parts):
    return Expert.from_expression(list(parts))


@cache
def entry(parts, condition, gate, level=None, atoms=3):
    (result,) = check(
        expert(parts), gate, condition=condition, level=level, atoms=atoms, time_limit=60
    ).results
    return result


def strong(parts, **options):
    return entry(tuple(parts), "strong", "softmax", **options)


def weak(parts):
    return entry(tuple(parts), "weak", "sigmoid")


@pytest.mark.parametrize(("parts", "of_strong", "nondegenerate", "of_weak"), CASES)
def test_known_answers(parts, of_strong, nondegenerate, of_weak):
    assert (strong(parts).verdict, strong(parts).nondegenerate) == (of_strong, nondegenerate)
    assert weak(parts).verdict == of_weak


# -- ranks by other routes ----------------------------------------------------------------------


def literal(parts, level):
    """The functions as the definition lists them, vectors of SymPy expressions: no markers.

    ``softmax`` are those that moments multiply there; under sigmoid they are all of ``product``.
    """
    own = expert(parts)
    h = own.functions
    x, eta = ([sp.Symbol(n, real=True) for n in names] for names in (own.inputs, own.parameters))

    def times(factor, vector):
        return tuple(factor * part for part in vector)

    def partial(*variables):
        return tuple(sp.diff(part, *variables) for part in h)

    found = [partial(u) for u in eta]
    if level != "softmax":
        found += [times(s, partial(u)) for s in x for u in eta]
    found += [partial(u, v) for u, v in combinations_with_replacement(eta, 2)]
    if level == "product":
        found += [h, *(times(s, h) for s in x)]
        found += [times(s * t, h) for s, t in combinations_with_replacement(x, 2)]
    return found, x, eta


def numeric_rank(parts, level, atoms, places=(), seed=0):
    """Rank of the functions over these atoms, by elimination with full pivoting in 150 digits.

    Points are drawn; ``places`` are further ones, between kinks that lie close together.
    """
    functions, x, eta = literal(parts, level)
    step = {"Step": lambda z: mpmath.mpf(z > 0)}
    columns = [sp.lambdify([*x, *eta], list(f), modules=[step, "mpmath"]) for f in functions]
    rng = random.Random(seed)
    with mpmath.workdps(150):
        thetas = [[mpmath.mpf(v.numerator) / v.denominator for v in theta] for theta in atoms]
        points = [
            [mpmath.mpf(rng.randrange(-3000, 3000)) / 1000 for _ in x]
            for _ in range(2 * len(functions) * len(thetas))
        ]
        d = len(x)
        points += [[mpmath.mpf(v.numerator) / v.denominator for v in p[:d]] for p in places]
        rows = []
        for point in points:
            values = [f(*point, *theta) for theta in thetas for f in columns]
            rows += [[mpmath.mpf(v[c]) for v in values] for c in range(len(parts))]
        return _eliminated(rows)


def _eliminated(rows):
    rank, left = 0, [row for row in rows if any(row)]
    while left:
        i, j = max(
            ((i, j) for i, row in enumerate(left) for j in range(len(row))),
            key=lambda at: abs(left[at[0]][at[1]]),
        )
        pivot = left.pop(i)
        if abs(pivot[j]) < mpmath.mpf(10) ** -90:
            break
        rank += 1
        live = [n for n, v in enumerate(pivot) if v]
        for row in left:
            factor = row[j] / pivot[j]
            if factor:
                for n in live:
                    row[n] -= factor * pivot[n]
                row[j] = mpmath.mpf(0)
    return rank


def drawn(parts, count, seed=1):
    rng = random.Random(seed)
    parameters = expert(parts).parameters
    return [[Fraction(rng.randrange(40, 160), 128) for _ in parameters] for _ in range(count)]


def agrees(parts, result, level):
    """The verdict against the rank of the definition's own functions."""
    proof = result.deciding
    if proof.kind == "ball-determinant":
        witness = proof.witness
        rank = numeric_rank(parts, level, witness.atoms, witness.points)
        assert rank == len(proof.kept) * len(witness.atoms)
    elif proof.kind == "finite-dimension":
        rank = numeric_rank(parts, level, drawn(parts, proof.atoms))
        assert rank < len(proof.kept) * proof.atoms
        assert proof.rank in (None, rank)
    elif proof.kind == "relation":
        first = numeric_rank(parts, level, drawn(parts, 1))
        assert first < len(proof.kept)
        if proof.rank is not None and proof.witness is None:
            assert proof.rank == numeric_rank(parts, level, drawn(parts, proof.atoms))
        elif proof.rank is not None:
            witness = proof.witness
            assert proof.rank == numeric_rank(parts, level, witness.atoms, witness.points)


@pytest.mark.parametrize("level", ["expert", "product"])
@pytest.mark.parametrize("parts", [case[0] for case in CASES if len(case[0]) == 2])
def test_ranks_of_the_definitions_own_functions(parts, level):
    result = strong(parts, level=level, atoms=2)
    assert result.verdict != "undecided"
    agrees(parts, result, level)


@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
@pytest.mark.parametrize("parts", [case[0] for case in CASES if len(case[0]) == 2])
def test_invisible_moments_are_all_there_are(parts, gate):
    second = entry(parts, "strong", gate).second_order
    level = "softmax" if gate == "softmax" else "product"
    functions = literal(parts, level)[0]
    assert len(second.functions) == len(functions)
    rank = numeric_rank(parts, level, drawn(parts, 1))
    assert len(second.invisible) == len(functions) - rank


POLYNOMIALS = ("a*x + b", "(a*x + b)**2", "a*b*x", "x**2*a + c", "c", "x", "b*x**3", "0", "a**2*x")


@few
@given(st.lists(st.sampled_from(POLYNOMIALS), min_size=2, max_size=3))
def test_polynomials_against_an_exact_rank(parts):
    parts = tuple(parts)
    try:
        result = strong(parts, atoms=2)
    except ExpressionError:
        assume(False)  # no parameter, or no input
    proof = result.deciding
    assert result.verdict == "no"  # polynomials of bounded degree
    functions, x, eta = literal(parts, "expert")
    atoms = drawn(parts, proof.atoms)
    rows = {}
    for n, theta in enumerate(atoms):
        values = {
            p: sp.Rational(v.numerator, v.denominator) for p, v in zip(eta, theta, strict=True)
        }
        for i, f in enumerate(functions):
            for c, part in enumerate(f):
                for monomial, value in sp.Poly(part.xreplace(values), *x).terms():
                    column = n * len(functions) + i
                    rows.setdefault((c, monomial), {})[column] = fmpq(int(value.p), int(value.q))
    width = len(functions) * len(atoms)
    flat = [row.get(i, fmpq(0)) for row in rows.values() for i in range(width)]
    rank = fmpq_mat(len(rows), width, flat).rank()
    assert proof.rank in (None, rank)
    if proof.kind == "finite-dimension":
        assert rank < len(proof.kept) * proof.atoms
    else:
        assert rank < len(functions) * proof.atoms


SMOOTH = (
    "tanh(a*x + b)",
    "sin(a*x)",
    "exp(b*x)",
    "tanh(b*x)",
    "a*x",
    "a*b",
    "x**2",
    "0",
    "b*sin(x)",
)


@few
@given(st.lists(st.sampled_from(SMOOTH), min_size=2, max_size=3))
def test_smooth_experts_against_a_numeric_rank(parts):
    try:
        result = strong(parts, atoms=2)
    except ExpressionError:
        assume(False)
    agrees(tuple(parts), result, "expert")


# -- against scalar experts ---------------------------------------------------------------------

SCALARS = (
    "tanh(a*x + b)",
    "relu(a*x + b)",
    "c*gelu(a*x)",
    "(a*x + b)**2",
    "erf(a*x + b)",
    "tanh(a*b*x)",
    "tanh((a + b)*x + a - b)",
    "c*abs(x) + a*x",
)


def told(result):
    """What a result says, without the numbers of a search."""
    second = result.second_order
    return (
        *(result.verdict, result.nondegenerate, result.quantifier, result.atoms_scope),
        *(result.atoms, result.coordinates, result.rank, [r.text for r in result.relations]),
        [[f.label for f in proof.kept] for proof in result.proofs],
        None if result.rate is None else result.rate.derived,
        None
        if second is None
        else (
            *(second.verdict, second.reason, second.invisible, second.visible, second.identifiable),
            [(f.kind, f.curve, f.conditions) for f in second.families],
        ),
    )


@pytest.mark.parametrize("text", SCALARS)
@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
@pytest.mark.parametrize("how", ["twice", "with 0", "scaled"])
def test_what_a_second_output_does_not_tell(text, gate, how):
    parts = {"twice": (text, text), "with 0": ("0", text), "scaled": (text, f"-3/2*({text})")}[how]
    scalar = check(Expert.from_expression(text), gate).results
    both = check(expert(parts), gate).results
    assert [told(r) for r in both] == [told(r) for r in scalar]


@pytest.mark.parametrize("text", ["tanh(a*x + b)", "c*relu(a*x0 + b*x1)"])
def test_one_component_is_a_scalar_expert(text):
    one = Expert.from_expression([text])
    assert one == Expert.from_expression(text)
    assert not one.markers
    assert "components" not in one.canonical()
    assert one.expression == one.functions[0]


def test_invisible_moments_show_to_the_same_order():
    """erf: a heat equation; the norms of the realised atoms are √2 times those of one output."""
    norms = []
    for parts in (("erf(a*x + b)",), ("erf(a*x + b)", "0"), ("erf(a*x + b)",) * 2):
        second = strong(parts).second_order
        assert second.verdict == "no"
        assert not second.families
        norms.append([float(v) for _, v in second.witness.realised.steps])
    one, with_zero, twice = norms
    assert with_zero == one
    assert twice == pytest.approx([v * 2**0.5 for v in one], rel=1e-5)


COMPONENTS = (
    "tanh(a*x + b)", "tanh(a*b*x)", "relu(a*x + b)", "a*x", "b*x + a", "a*b", "sin(b*x)",
    "exp(a*x)", "x", "0", "(a + b)*x", "c*tanh(a*x)", "c",
)  # fmt: skip


def some(count):
    return st.lists(st.sampled_from(COMPONENTS), min_size=2, max_size=count)


def _usable(parts):
    """There is an input and a parameter."""
    try:
        expert(parts)
    except ExpressionError:
        assume(False)


@few
@given(some(3), st.randoms(use_true_random=False))
def test_the_order_of_components_does_not_matter(parts, rng):
    _usable(parts)
    moved = list(parts)
    rng.shuffle(moved)
    for of in (strong, weak):
        one, other = of(parts), of(moved)
        assert (one.verdict, one.nondegenerate) == (other.verdict, other.nondegenerate)
        assert len(one.deciding.kept) == len(other.deciding.kept)


@few
@given(some(2), st.sampled_from(COMPONENTS))
def test_one_more_component_hides_nothing(parts, more):
    """First derivatives at distinct gates, and moments at second order: a relation has to hold in
    every component, so one more can only take some away. (Not so for strong, where functions that
    coincided may be told apart: see CASES.)"""
    _usable(parts)
    first, then = weak(parts), weak([*parts, more])
    own = set(expert(parts).parameters)
    assume(set(expert([*parts, more]).parameters) == own)
    if first.verdict == "yes":
        assert then.verdict == "yes"
    if strong(parts).nondegenerate == "yes":
        assert strong([*parts, more]).nondegenerate == "yes"


def test_one_more_component_may_show_everything():
    assert (weak(["tanh(a*b*x)"]).verdict, strong(["tanh(a*b*x)"]).nondegenerate) == ("no", "no")
    parts = ["tanh(a*b*x)", "tanh(a*x)"]
    assert (weak(parts).verdict, strong(parts).nondegenerate) == ("yes", "yes")
    # a*b*x has a redundant parameter; with a*x beside it no first-order relation is left
    assert strong(["a*b*x"]).relations[0].text == "b*∂h/∂b = a*∂h/∂a"
    assert not strong(["a*b*x", "a*x"]).relations
    assert (weak(["a*b*x"]).verdict, weak(["a*b*x", "a*x"]).verdict) == ("no", "yes")


def test_functions_that_coincide_in_one_component_only_are_two():
    result = strong(["tanh(a*x + b)", "a"])
    assert not result.deciding.merged
    assert result.deciding.fixed.dimension == 1
    assert result.atoms == 2
    assert numeric_rank(("tanh(a*x + b)", "a"), "expert", drawn(("tanh(a*x + b)", "a"), 2)) == 13


@few
@given(st.tuples(*[st.integers(-3, 3)] * 4).filter(lambda m: m[0] * m[3] != m[1] * m[2]))
def test_an_invertible_mixture_of_outputs_changes_nothing(matrix):
    a, b, c, d = matrix
    for (h, g), of in ((("tanh(p*x + q)", "p*x"), strong), (("relu(p*x + q)", "q"), weak)):
        one, other = of([h, g]), of([f"{a}*({h}) + {b}*({g})", f"{c}*({h}) + {d}*({g})"])
        assert (one.verdict, one.nondegenerate) == (other.verdict, other.nondegenerate)


# -- what is printed and stored -----------------------------------------------------------------


@pytest.mark.parametrize("parts", [case[0] for case in CASES])
def test_no_marker_is_ever_printed(parts):
    result = check(expert(parts), "softmax")
    texts = [
        str(result),
        json.dumps(result.to_dict(), ensure_ascii=False),
        markup.latex(result),
        markup.html(result),
        explain.markdown(result),
        explain.latex(result),
    ]
    for text in texts:
        assert not set(text) & set("₁₂₃")
        assert "e_{1}" not in text
    assert result.to_dict()["expert"]["components"] == list(parts)
    assert f"({', '.join(parts)})" in str(result).replace("\n", " ")


def test_fixed_spaces_are_written_by_component():
    assert strong(("a*b*x", "a*x")).deciding.fixed.space == (
        "span of (x, 0), (0, x), (x**2, 0), (0, x**2)"
    )
    space = strong(("a*x + b", "(a*x + b)**2")).deciding.fixed
    assert (space.dimension, space.space) == (
        7,
        "vectors of polynomials in x, of total degree at most 2 in component 1, of total degree at "
        "most 3 in component 2",
    )
    assert strong(("relu(a*x + b)", "c")).deciding.fixed.space == (
        "vectors of polynomials in x, of total degree at most 1 in component 2, 0 in the others"
    )


def test_a_family_is_evaluated_in_python():
    result = check(expert(("c*relu(a*x0 + b*x1)", "a*x0*c", "Max(c, x1*c)")), "softmax")
    families = [f for f in result.results[0].second_order.families if f.eta]
    assert families
    for family in families:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(snippet(result, family), {})
        assert float(said.getvalue().split(":")[1]) < 1e-12


def test_a_sigmoid_expert_is_exchanged_with_its_gate_where_no_other_output_tells():
    def kinds(*parts):
        (result,) = check(expert(parts), "sigmoid", regime=1).results
        return [e.kind for e in result.exceptional]

    assert "symmetry of one weighted atom" in kinds("sigmoid(a*x + b)", "0")
    assert "symmetry of one weighted atom" in kinds("sigmoid(a*x + b)", "sigmoid(a*x + b)")
    assert "symmetry of one weighted atom" not in kinds("sigmoid(a*x + b)", "x")


def test_a_point_of_a_determinant_has_a_component():
    witness = strong(("tanh(a*x + b)", "tanh(c*x + d)")).deciding.witness
    assert {len(point) for point in witness.points} == {2}
    assert {point[1] for point in witness.points} == {1, 2}
    # ∂_u of a component that is free of u is 0: it is never chosen
    witness = strong(("tanh(a*x + b)", "x")).deciding.witness
    assert {point[1] for point in witness.points} == {1}


STORED = (
    (("tanh(a*x + b)", "tanh(c*x + d)"), "sigmoid"),
    (("relu(a*x + b)", "c"), "sigmoid"),
    (("a*x + b", "(a*x + b)**2"), "softmax"),
    (("tanh(a*b*x)", "tanh(a*x)"), "softmax"),
    (("relu(a*x + b)", "a*x0_"), "softmax"),
    (("tanh((p + q)*x + p - q)", "p"), "softmax"),
)


@cache
def stored(parts, gate):
    document = certificate_document(check(expert(parts), gate, atoms=2))
    return json.loads(json.dumps(document))


def test_an_expert_made_from_a_text_without_spaces_has_the_same_certificate():
    bare = Expert("custom", "tanh(a*x + b);tanh(c*x + d)", ("x",), ("a", "b", "c", "d"))
    assert bare.canonical() == expert(("tanh(a*x + b)", "tanh(c*x + d)")).canonical()


@pytest.mark.parametrize(("parts", "gate"), STORED)
def test_certificates_are_verified(parts, gate):
    document = stored(parts, gate)
    verified = verify(copy.deepcopy(document))
    assert verified.expert == expert(parts)
    assert [r.verdict for r in verified.results] == [r["verdict"] for r in document["results"]]


def _witness(document):
    return document["results"][0]["certificate"]["parts"][0]["witness"]


def _set_component(value):
    def change(document):
        _witness(document)["points"][0][1] = value

    return change


def _swapped(document):
    document["expert"]["components"].reverse()


def _both_swapped(document):
    """The outputs exchanged throughout, but not in the determinant."""
    document["expert"]["components"].reverse()
    document["expert"]["expression"] = "; ".join(document["expert"]["components"])


def _without(document):
    del document["expert"]["components"]


def _one_only(document):
    document["expert"]["components"].pop()


def _scalar(document):
    del document["expert"]["components"]
    document["expert"]["expression"] = "tanh(a*x + b)"


def _all_in_one(document):
    for point in _witness(document)["points"]:
        point[1] = "1"


def _bare_points(document):
    for point in _witness(document)["points"]:
        del point[1]


def _longer_points(document):
    for point in _witness(document)["points"]:
        point.append("1")


def _other_output(document):
    document["expert"]["components"][1] = "tanh(c*x - d)"
    document["expert"]["expression"] = "; ".join(document["expert"]["components"])


FORGED = (
    *(_set_component(v) for v in ("0", "3", "-1", "1/2", "3/2")),
    *(_swapped, _both_swapped, _without, _one_only, _scalar, _all_in_one, _bare_points),
    *(_longer_points, _other_output),
)


@pytest.mark.parametrize("change", FORGED)
def test_forged_components_are_rejected(change):
    document = copy.deepcopy(stored(("tanh(a*x + b)", "tanh(c*x + d)"), "sigmoid"))
    change(document)
    document["digest"] = digest(document)
    with pytest.raises(CertificateError):
        verify(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda fixed: fixed.update(dimension=4),
        lambda fixed: fixed.update(space="vectors of 2 polynomials in x of total degree at most 1"),
        lambda fixed: fixed["combinations"][0][0].update(coefficient="2*x"),
        lambda fixed: fixed["combinations"].pop(),
    ],
)
def test_forged_spaces_of_vectors_are_rejected(change):
    document = copy.deepcopy(stored(("relu(a*x + b)", "c"), "sigmoid"))
    change(document["results"][0]["certificate"]["parts"][0]["fixed"])
    document["digest"] = digest(document)
    with pytest.raises(CertificateError):
        verify(document)


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a*x; ", "component 2 of 2 is empty"),
        ("; a*x", "component 1 of 2 is empty"),
        (["a*x", "", "b"], "component 2 of 3 is empty"),
        ([], "has 0 components"),
        (["a*x"] * 17, "has 17 components"),
        (["a*x", None], "component 2 is None"),
        (["a*x; b*x", "c"], "';' is not allowed"),
        ("x; x**2", "no parameter"),
        ("a; b", "does not contain an input"),
        ("a*x; b*x0", "mixes x with x0"),
        ("a*x + c - c; b", "c cancels out"),
        ("a*x; b**", "cannot read"),
        ([f"a*x + {'0' * 900} + b"] * 3, "characters, at most"),
        (["a*x"] + ["relu(relu(relu(relu(relu(relu(relu(relu(a*x))))))))"] * 15, "operations"),
    ],
)
def test_what_is_no_expert_is_refused_with_one_sentence(given, said):
    with pytest.raises(ExpressionError, match=said.replace("(", r"\(")) as caught:
        Expert.from_expression(given)
    assert "\n" not in str(caught.value)


def test_a_name_that_cancels_in_one_component_only_is_no_mistake():
    assert Expert.from_expression("a*x + b - b; b*x").parameters == ("a", "b")


def test_parameters_and_inputs_are_shared():
    own = Expert.from_expression("b*x1; a*b", dim=3)
    assert (own.inputs, own.parameters) == (("x0", "x1", "x2"), ("b", "a"))
    assert not own.is_smooth or own.is_smooth == Expert.from_expression("tanh(a*x)").is_smooth
    assert not Expert.from_expression("a*x; relu(x)").is_smooth
    listed = Expert.from_expression("x0*x; x", parameters=("x0",))
    assert (listed.inputs, listed.parameters) == (("x",), ("x0",))
    with pytest.raises(InputError, match="q is not in"):
        Expert.from_expression("a*x; b*x", parameters=("a", "b", "q"))


def test_a_singular_component_is_named():
    with pytest.raises(DomainError, match="'x' vanishes"):
        check(expert(["a*x", "b/x"]), "softmax")


def test_conditions_of_scalar_experts_are_refused():
    with pytest.raises(
        InputError, match="shared-strong: it is defined for an expert of one output"
    ):
        check(expert(["a*x", "b"]), "softmax", condition="shared-strong")


def test_what_needs_one_output_is_refused():
    own = expert(["a*x", "b*x"])
    for what in (
        lambda: Model.of(own, "softmax"),
        lambda: MoERegressor(own).fit([[0.0], [1.0]], [0.0, 1.0]),
        lambda: interactions(own),
        lambda: interactions("a*x; b*x"),
        lambda: interactions("a*x; b*x", inputs=("x",)),
    ):
        with pytest.raises(InputError) as caught:
            what()
        assert "\n" not in str(caught.value)
    assert MixingMeasure  # measures know no expert


@pytest.mark.parametrize(
    "arguments",
    [
        ["truth", "--expr", "a*x; b*x", "--gate", "softmax"],
        ["rates", "--expr", "a*x; b*x", "--gate", "softmax"],
        ["interactions", "a*x; b*x"],
        ["check", "--expr", "a*x; b*x", "--gate", "softmax", "--condition", "shared-strong"],
        ["check", "--expr", "a*x;; b*x", "--gate", "softmax"],
        ["explain", "--expr", ";", "--gate", "softmax"],
    ],
)
def test_commands_refuse_with_one_sentence(arguments, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("identkit: ")
    assert said.err.count("\n") == 1
    assert not said.out


def test_data_and_plans_are_refused_with_one_sentence(tmp_path, capsys):
    data, plan = tmp_path / "data.csv", tmp_path / "plan.toml"
    data.write_text("x,y\n0,1\n1,2\n2,4\n", encoding="utf-8")
    plan.write_text('experts = [{expr = "a*x; b*x"}]\ngates = ["softmax"]\n', encoding="utf-8")
    for arguments in (
        ["fit", str(data), "--target", "y", "--k", "1", "--expr", "a*x; b*x", "--gate", "softmax"],
        ["sweep", str(plan), "--dry-run"],
    ):
        assert main(arguments) == 2, arguments
        assert capsys.readouterr().err.count("\n") == 1


def test_check_and_verify_on_the_command_line(tmp_path, capsys):
    path = str(tmp_path / "c.json")
    arguments = ["check", "--expr", "tanh(a*x + b); x", "--gate", "softmax", "--save", path]
    assert main(arguments) == 0
    assert main(["verify", path]) == 0
    assert "h(x) = (tanh(a*x + b), x), softmax gate" in capsys.readouterr().out
    assert main(["verify", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["expert"]["components"] == ["tanh(a*x + b)", "x"]


def test_a_guard_in_a_test_suite():
    assert_identifiable(expert(["tanh(a*x + b)", "a*x"]), "softmax")
    with pytest.raises(AssertionError):
        assert_identifiable(expert(["tanh(a*b*x)", "tanh(a*b*x)"]), "softmax")
