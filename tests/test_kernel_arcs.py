"""The kernel on orders: honest arcs and bounds, and the nearest ones that show nothing."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
import sympy as sp
from amounts import amount
from by_hand import atom_of
from checked import check
from flint import fmpq_poly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identkit import Expert
from identkit.atoms import expert_function
from identkit.certificates.kernel.arcs import Curve, all_positive, weighted_sums
from identkit.certificates.kernel.field import Unshown
from identkit.certificates.kernel.orders import Orders
from identkit.certificates.kernel.second_order import Analysis
from identkit.certificates.order_entry import order_entry, read_orders
from identkit.certificates.statement import open_question
from identkit.certificates.store import certificate_document, digest, load
from identkit.certificates.verify import verify
from identkit.deadline import Deadline
from identkit.degeneracy.records import MomentWitness
from identkit.errors import CertificateError
from identkit.gates import GATES, resolve
from identkit.orders.measured import atoms_at
from identkit.orders.records import Arc, Atoms, Bound, DirectionOrder
from identkit.orders.series import Expansion, trace_powers
from identkit.report.json_text import dumps
from identkit.results import Options
from identkit.vocabulary import Quantifier, Through, Verdict

GAUSS = "gaussian"
GOLDEN = Path(__file__).parent / "golden"
LINE, BIAS, ERF, RANK_2 = "a*x + b", "tanh(a*x + b) + c", "erf(a*x + b)", "a*sin(x) + b*cos(x)"
MODELS = {
    "line": (LINE, "softmax", GAUSS),
    "bias": (BIAS, "softmax", GAUSS),
    "erf": (ERF, "softmax", None),
    "erf, sigmoid": (ERF, "sigmoid", None),
    "polygon": ("atan(a*x + b)", "softmax", None),
    "moments": (RANK_2, "softmax", GAUSS),
    "shared": ("c*tanh(a*x + b) + d", "input-free", GAUSS),
    "constant weights": (LINE, "input-free", GAUSS),
    "sparse": (LINE, "normalized-sigmoid", GAUSS),
    "square": ("a*x**2 + b*x + c", "softmax", GAUSS),
    "sum": ("(p + q)*x + p - q", "softmax", GAUSS),
}


@cache
def document(name):
    text, gate, likelihood = MODELS[name]
    found = check(Expert.from_expression(text), gate, likelihood=likelihood)
    return json.loads(dumps(certificate_document(found)))


def signed(changed):
    return {**changed, "digest": digest(changed)}


@pytest.mark.parametrize("name", MODELS)
def test_the_kernel_shows_the_orders_of_a_check(name):
    text, gate, likelihood = MODELS[name]
    result = check(Expert.from_expression(text), gate, likelihood=likelihood).results[0]
    verified = verify(document(name))
    # that all invisible moments are multiples of one is left to the prover
    assert verified.by[0]["orders"] == ("prover" if name == "moments" else "kernel")
    again = verified.results[0]
    assert again.rate.derived == result.rate.derived
    assert [(d.direction, d.order, d.rate) for d in again.orders] == [
        (d.direction, d.order, d.rate) for d in result.orders
    ]
    assert set(result.caveats) <= set(again.caveats)


def test_what_the_kernel_cannot_show_the_prover_comes_to_again():
    found = check(Expert.from_expression("Max(a*x + b, c)"), "softmax", likelihood=GAUSS)
    kinked = certificate_document(found)
    assert verify(kinked).by[0]["orders"] == "prover"
    changed = copy.deepcopy(kinked)
    changed["results"][0]["orders"]["directions"][1]["upper"] = None
    changed["results"][0]["rate"]["derived"] = "n^-1/8 or slower for cells of 2"
    with pytest.raises(CertificateError, match="kinks, and the prover does not come to the same"):
        verify(signed(changed))


def test_a_file_of_format_3_with_orders():
    verified = verify(load(GOLDEN / "certificate-3-orders.json"))
    assert (verified.expert.label, verified.gate) == ("tanh(a*x+b)+c", "softmax")
    assert verified.by[0]["orders"] == "kernel"
    (result,) = verified.results
    assert result.rate.derived == "n^-1/8 for cells of 2"
    assert {d.direction: d.order for d in result.orders} == {"a": 2, "b": 2, "c": 4, "ν": 2}


def test_without_orders_less_is_said():
    bare = copy.deepcopy(document("line"))
    del bare["results"][0]["orders"]
    with pytest.raises(CertificateError, match="rate: does not follow"):
        verify(signed(bare))
    bare["results"][0]["rate"]["derived"] = "slower than n^-1/4"
    assert "orders" not in verify(signed(bare)).by[0]


def arcs(name):
    return copy.deepcopy(document(name)["results"][0]["orders"]["arcs"])


def forged(name, edit):
    changed = copy.deepcopy(document(name))
    orders = changed["results"][0]["orders"]
    edit(orders, changed["results"][0])
    return signed(changed)


def first(orders):
    return orders["arcs"][0]["atoms"][0]


def direction(orders, name):
    return next(d for d in orders["directions"] if d["direction"] == name)


def on_atoms(**values):
    return lambda orders, _: first(orders).update(values)


def on_order(order, name, claimed):
    """An arc of that order, and the bound that would follow for the direction."""

    def edit(orders, result):
        orders["arcs"][0]["order"] = order
        direction(orders, name)["lower"]["order"] = claimed
        upper = direction(orders, name)["upper"]
        if upper is not None:
            upper["order"] = claimed

    return edit


def on_bound(name, side, value):
    return lambda orders, _: direction(orders, name).update({side: value})


def at_most(order, kind="at-most-2m"):
    return {"kind": kind, "order": order}


def at_least(order, kind="moments", arc=None):
    return {"kind": kind, "order": order, "arc": arc}


def without_upper(claim):
    def edit(orders, result):
        for d in orders["directions"]:
            d["upper"] = None
        orders["beside"] = None
        result["rate"]["derived"] = claim

    return edit


FORGERIES = {
    "a weight": ("line", on_atoms(weight=["2/3"]), "do not add up"),
    "weights that add up": ("line", on_atoms(weight=["1/2", "1/3"]), "does not change T by O"),
    "a negative weight": ("line", on_atoms(weight=["1/2", "1"]), "weight not positive"),
    "weight 0 at a root": ("line", on_atoms(weight=["1/2", "1/2"]), "weight not positive"),
    "roots that are not real": ("line", on_atoms(roots=["1", "0", "1"]), "not real"),
    "a double root": ("line", on_atoms(roots=["0", "0", "1"]), "not real and simple"),
    "a missing atom": ("line", on_atoms(roots=["-1", "1"], weight=["1"]), "does not change"),
    "one atom too many": (
        "line",
        on_atoms(roots=["0", "-3", "0", "1"], weight=["1/3"]),
        "more than 2 atoms",
    ),
    "other roots": ("line", on_atoms(roots=["-2", "0", "1"]), "does not change T by O"),
    "a wrong power": (
        "line",
        on_atoms(deviations=[["b", "ξ*τ**2"], ["ν", "-τ**4"]]),
        "does not show",
    ),
    "no compensation": ("line", on_atoms(deviations=[["b", "ξ*τ"]]), "does not change T by O"),
    "too much of it": (
        "line",
        on_atoms(deviations=[["b", "ξ*τ"], ["ν", "-2*τ**2"]]),
        "does not change T by O",
    ),
    "atoms away from the true one": (
        "line",
        on_atoms(deviations=[["b", "ξ*τ + 1"], ["ν", "-τ**2"]]),
        "vanish with t",
    ),
    "a deviation twice": (
        "line",
        on_atoms(deviations=[["b", "ξ*τ"], ["b", "ξ*τ"]]),
        "no coordinate",
    ),
    "another coordinate": (
        "line",
        on_atoms(deviations=[["b", "ξ*τ"], ["x", "-τ**2"]]),
        "no coordinate",
    ),
    "a deviation that sees x": (
        "line",
        on_atoms(deviations=[["b", "ξ*τ*x"], ["ν", "-τ**2"]]),
        "no polynomial",
    ),
    "a deviation with a pole": (
        "line",
        on_atoms(deviations=[["b", "ξ*τ/a"], ["ν", "-τ**2"]]),
        "no polynomial",
    ),
    "a variance under least squares": (
        "erf",
        on_atoms(deviations=[["b", "ξ*τ"], ["ν", "-τ**2"]]),
        "no coordinate",
    ),
    "N too large": ("line", on_order(5, "b", "5"), "does not change T by O"),
    "N too large, of erf": ("erf", on_order(5, "b", "5"), "does not change T by O"),
    "N too large, of a polygon": ("polygon", on_order(4, "b", "4"), "does not change T by O"),
    "an order that the arc lacks": (
        "line",
        on_bound("b", "lower", at_least("5", "arc", 0)),
        "show",
    ),
    "a power that the arc lacks": ("line", on_bound("a", "lower", at_least("4", "arc", 0)), "show"),
    "an arc that is not there": (
        "line",
        on_bound("b", "lower", at_least("4", "arc", 3)),
        "not there",
    ),
    "an arc without an arc": ("line", on_bound("b", "lower", at_least("4", "arc")), "no bound"),
    "a pair of order 4": ("line", on_bound("a", "lower", at_least("4", "pair")), "order 2"),
    "an upper bound that is too low": ("erf", on_bound("b", "upper", at_most("3")), "below"),
    "2m under least squares": ("erf", on_bound("b", "upper", at_most("4")), "mixture"),
    "m for an expert's parameter": ("line", on_bound("b", "upper", at_most("2")), "below"),
    "2m − 1": ("moments", on_bound("a", "upper", at_most("5")), "mixture"),
    "m − 1 for ν": ("moments", on_bound("ν", "upper", at_most("2")), "rank-two"),
    "beside itself": ("line", on_bound("b", "upper", at_most("4", "beside-location")), "bias"),
    "order 2 of the bias itself": (
        "line",
        lambda orders, _: (
            orders.update(arcs=[]),
            direction(orders, "b").update(
                lower=at_least("2", "pair"), upper=at_most("2", "beside-location")
            ),
        ),
        "no output bias beside it",
    ),
    "beside, for ν": ("line", on_bound("ν", "upper", at_most("2", "beside-location")), "bias"),
    "beside without evidence": (
        "line",
        lambda orders, _: orders.update(beside=None),
        "no output bias beside it",
    ),
    "beside under another gate": (
        "sparse",
        on_bound("a", "upper", at_most("2", "beside-location")),
        "softmax gate only",
    ),
    "beside no location": (
        "moments",
        lambda orders, _: [
            d.update(lower=at_least("2", "pair"), upper=at_most("2", "beside-location"))
            for d in orders["directions"][:1]
        ],
        "no output bias",
    ),
    "moments of order 4 by a triangle": (
        "moments",
        on_bound("a", "lower", at_least("4")),
        "moments of rank 2",
    ),
    "moments of order 7/2": ("moments", on_bound("a", "lower", at_least("7/2")), "of rank 2"),
    "moments of order 5/2": ("moments", on_bound("a", "lower", at_least("5/2")), "of rank 2"),
    "moments of ν": ("moments", on_bound("ν", "lower", at_least("3")), "the prover"),
    "a smaller cell": ("moments", lambda orders, _: orders.update(cell=2), "of rank 2"),
    "a direction less": (
        "line",
        lambda orders, _: orders["directions"].pop(),
        "coordinates of an atom",
    ),
    "another order of directions": (
        "line",
        lambda orders, _: orders["directions"].reverse(),
        "coordinates of an atom",
    ),
    "evidence that nobody reads": (
        "line",
        lambda orders, _: orders["arcs"].append(orders["arcs"][0]),
        "no bound refers",
    ),
    "a rate without upper bounds": ("line", without_upper("n^-1/8 for cells of 2"), "rate"),
    "an exact rate of erf": (
        "erf, sigmoid",
        lambda _, result: result["rate"].update(derived="n^-1/8 for cells of 2"),
        "rate",
    ),
    "2m for the scale of erf": (
        "erf",
        on_bound("a", "upper", at_most("4", "ridge-flow")),
        "no ridge",
    ),
    "m for an expert that is no ridge": (
        "square",
        on_bound("a", "upper", at_most("2", "ridge-flow")),
        "under softmax and least squares only",
    ),
    "the rate of another cell": (
        "line",
        lambda _, result: result["rate"].update(derived="n^-1/8 for cells of 3"),
        "rate",
    ),
    "bounds of another kind": ("line", on_bound("b", "upper", at_most("4", "guess")), "the prover"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_rejected_with_one_sentence(name):
    model, edit, why = FORGERIES[name]
    with pytest.raises(CertificateError) as rejected:
        verify(forged(model, edit))
    said = str(rejected.value)
    assert why in said
    assert said.endswith(".")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ["line", "bias"])
def test_evidence_beside_a_bias_is_checked(name):
    """The determinant, the functions it is of, and that they leave no second moment."""

    def less(orders, _):
        own = orders["beside"]
        own["independent"] = own["independent"][1:]
        own["determinant"]["points"] = own["determinant"]["points"][1:]

    def moved(orders, _):
        points = orders["beside"]["determinant"]["points"]
        points[0] = points[2]

    def degenerate(orders, _):
        orders["beside"]["verdict"] = "no"

    for edit in (less, moved, degenerate):
        with pytest.raises(CertificateError):
            verify(forged(name, edit))


def test_less_may_be_claimed():
    def weaker(orders, result):
        for d in orders["directions"]:
            d["upper"] = None
        orders["beside"] = None
        result["rate"]["derived"] = "n^-1/8 or slower for cells of 2"

    verified = verify(forged("line", weaker))
    assert verified.by[0]["orders"] == "kernel"
    assert [d.order for d in verified.results[0].orders] == [[2, None], [4, None], [2, None]]


def test_there_are_orders_only_where_the_rate_rests_on_them():
    for text, gate, likelihood in ((LINE, "softmax", None), ("gelu(a*x + b)", "softmax", GAUSS)):
        found = check(Expert.from_expression(text), gate, likelihood=likelihood)
        assert found.results[0].orders
        own = json.loads(dumps(certificate_document(found)))
        assert "orders" not in own["results"][0]
        own["results"][0]["orders"] = document("line")["results"][0]["orders"]
        with pytest.raises(CertificateError, match="no place"):
            verify(signed(own))


def test_an_entry_is_read_back():
    for name, (text, gate, likelihood) in MODELS.items():
        result = check(Expert.from_expression(text), gate, likelihood=likelihood).results[0]
        own = resolve(gate, likelihood)
        entry = order_entry(result, own)
        atom = atom_of(text, result.second_order and Expert.from_expression(text).parameters)
        read = read_orders(entry["orders"], atom, own, result.regime, result.second_order, "here")
        assert order_entry(replace(result, orders=read), own) == entry, name


# -- the pieces of an arc -----------------------------------------------------------------------


def analysis(text, likelihood=GAUSS, parameters=("a", "b")):
    expansion = resolve("softmax", likelihood).expansion(None)
    own = Analysis(atom_of(text, parameters), expansion, Options(), "here", Deadline(60))
    return own, expansion


def curve(text, groups, order, cell=6, likelihood=GAUSS):
    own, _ = analysis(text, likelihood)
    coordinates = ("a", "b", "ν") if likelihood == GAUSS else ("a", "b")
    return Curve(own, coordinates, Arc("arc", 0, tuple(groups), (), order), cell, "here")


def test_an_arc_that_is_not_symmetric():
    """Shared weights 2 : 1 at 1 and −2: the variances make it exact to t³, and to no more."""
    atoms = Atoms(("-2", "1", "1"), ("5/9", "1/9"), (("b", "ξ*τ"), ("ν", "-2*τ**2 + ξ*τ**2/3")))
    assert len(atoms_at(atoms)) == 2
    assert curve(LINE, [atoms], 4).orders() == {"b": Fraction(4), "ν": Fraction(2)}
    with pytest.raises(CertificateError, match="does not change"):
        curve(LINE, [atoms], 5).orders()


SMALL = st.integers(-2, 2)
CURVE = st.tuples(SMALL, SMALL, SMALL)


@settings(max_examples=amount(15, 40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    which=st.sampled_from([(LINE, GAUSS), ("a*x**2 + b*x", GAUSS), ("(a*x + b)**3", None)]),
    curves=st.lists(st.tuples(CURVE, CURVE), min_size=1, max_size=2),
    roots=st.sampled_from(
        [("0", "1"), ("-1", "0", "1"), ("2", "-3", "1"), ("-3", "0", "1"), ("0", "-3", "0", "1")]
    ),
)
def test_kernel_and_prover_agree_on_any_arc(which, curves, roots):
    """Two expansions written apart: one in unknown derivatives, one in the field of functions."""
    text, likelihood = which
    atoms = []
    for p, q in curves:
        moved = {
            "b": f"({p[0]})*ξ*τ + ({p[1]})*τ**2 + ({p[2]})*a*τ**2*ξ + τ**4",
            "a": f"({q[0]})*τ**2 + ({q[1]})*ξ**2*τ**2 + τ**4",
        }
        if likelihood == GAUSS:
            moved["ν"] = f"({q[1]})*τ**2 + ({q[2]})*τ**3 + τ**4"
        weight = Fraction(1, len(curves) * (len(roots) - 1))
        atoms.append(Atoms(roots, (str(weight),), tuple(moved.items())))
    through = Through.DENSITY if likelihood == GAUSS else Through.VALUE
    expansion = Expansion(atom_of(text), through, 5, Deadline(60))
    order, powers = expansion.order_of(atoms), expansion.powers(atoms)
    shown = curve(text, atoms, order, likelihood=likelihood).orders()
    assert shown == {n: Fraction(order, e) for n, e in powers.items() if e < 5}
    if order < 5:
        with pytest.raises(CertificateError, match="does not change"):
            curve(text, atoms, order + 1, likelihood=likelihood).orders()


COEFFICIENTS = st.lists(st.integers(-4, 4), min_size=1, max_size=5)


@given(COEFFICIENTS, st.lists(st.integers(-3, 3), min_size=1, max_size=3))
def test_positive_weights_at_real_roots(roots, weight):
    """The Tarski query against roots enclosed in balls."""
    coefficients = [*roots, 1]
    group = Atoms(tuple(map(str, coefficients)), tuple(map(str, weight)), ())
    found = atoms_at(group) if any(weight) else None
    assert all_positive(fmpq_poly(weight), fmpq_poly(coefficients)) == (found is not None)


@given(COEFFICIENTS, st.lists(st.integers(-3, 3), min_size=1, max_size=3))
def test_sums_over_roots(roots, weight):
    """Newton's identities against traces of multiplication."""
    coefficients = [*roots, 2]
    group = Atoms(tuple(map(str, coefficients)), tuple(map(str, weight)), ())
    assert weighted_sums(fmpq_poly(weight), fmpq_poly(coefficients), 4) == trace_powers(group, 4)


def test_an_arc_of_coinciding_atoms_moves_nothing():
    still = Atoms(("-1", "0", "1"), ("1/2",), (("b", "(ξ**2 - 1)*τ"), ("a", "ξ*τ")))
    assert curve(LINE, [still], 2).orders() == {"a": Fraction(2)}


@pytest.mark.parametrize(
    ("text", "parameters", "shown"),
    [
        ("tanh(a*x + b)", ("a", "b"), True),
        ("a*x + b", ("a", "b"), True),
        ("tanh((a + b)*x)", ("a", "b"), False),  # a redundant parameter
        ("sqrt(a*x + b + 20)", ("a", "b"), False),  # not analytic for all parameters
        ("relu(a*x + b)", ("a", "b"), False),
    ],
)
def test_upper_bounds_need_independent_first_derivatives(text, parameters, shown):
    own, expansion = analysis(text, parameters=parameters)
    second = replace(open_question(GATES["softmax"], None), verdict=Verdict.NO)
    found = [
        DirectionOrder(
            name, 2, False, Bound(Fraction(2), "pair", ""), Bound(Fraction(order), "at-most-2m", "")
        )
        for name, order in (*((p, 4) for p in parameters), ("ν", 2))
    ]
    if shown:
        Orders(own, expansion, second, "here").check(found)
    else:
        with pytest.raises(Unshown):
            Orders(own, expansion, second, "here").check(found)


def bounded(name, lower, upper=None, arc=None, evidence=None):
    above = None if upper is None else Bound(Fraction(2), upper, "", evidence=evidence)
    return DirectionOrder(name, 2, False, Bound(Fraction(2), lower, "", arc=arc), above)


def test_an_output_bias_is_no_help_under_least_squares():
    """The evidence is honest, and another model's."""
    text = "tanh(a*x) + b"
    density = check(Expert.from_expression(text), "softmax", likelihood=GAUSS).results[0].orders
    evidence = next(d.upper.evidence for d in density if d.upper.evidence is not None)
    second = replace(open_question(GATES["softmax"], None), verdict=Verdict.NO)
    for likelihood, names in ((GAUSS, ("a", "b", "ν")), (None, ("a", "b"))):
        own, expansion = analysis(text, likelihood)
        upper = {"a": "beside-location"}
        found = [bounded(n, "pair", upper.get(n), evidence=evidence) for n in names]
        orders = Orders(own, expansion, second, "here")
        if likelihood == GAUSS:
            orders.check(found)
        else:
            with pytest.raises(CertificateError, match="no output bias"):
                orders.check(found)


def test_a_bound_is_of_the_kind_of_its_evidence():
    own, expansion = analysis(LINE)
    second = replace(open_question(GATES["softmax"], None), verdict=Verdict.NO)
    arc = Arc("arc", 0, (Atoms(("-1", "0", "1"), ("1/2",), (("b", "ξ*τ"),)),), (), 2)
    orders = Orders(own, expansion, second, "here")
    orders.check([bounded("a", "pair"), bounded("b", "arc", arc=arc), bounded("ν", "pair")])
    for kind, other in (("pair", arc), ("arc", None), ("moments", arc)):
        found = [bounded("a", "pair"), bounded("b", kind, arc=other), bounded("ν", "pair")]
        with pytest.raises(CertificateError, match="by an arc"):
            orders.check(found)


HIDDEN_ZERO = "(sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2))"


@pytest.mark.parametrize(
    ("text", "flow"),
    [
        (ERF, ("b", True)),
        ("erf(2*b - a*x/3)", ("b", True)),
        ("x**2*erf(a*x + b) + sin(x)", ("b", True)),  # C(x)·φ(z) flows as φ(z)
        ("erf(a*x0 + b)*cos(x1)", ("b", True)),
        ("atan(a*x + b)", ("b", False)),
        ("atan(2*b + a*x)", None),  # in units of z with ∂z/∂b = 1 it is another equation
        (f"erf(a*x0 + {HIDDEN_ZERO}*c*x1 + b)", None),  # c moves nothing, unseen by normal forms
        ("erf(a*x + b) + c", None),
        ("c*erf(a*x + b)", None),
        ("erf(a*x + c*x + b)", None),
        ("erf(a*x**2 + b)", None),
        ("erf(a*x + b + 1)", None),
        ("erf(a*x)", None),
        ("erf(a*b*x + b)", None),
        ("exp(a*x + b)", None),
    ],
)
def test_a_ridge_with_a_flow_moves_with_the_slopes_of_its_inputs(text, flow):
    atom = expert_function(Expert.from_expression(text))
    expansion = resolve("softmax").expansion(None)
    own = Analysis(atom, expansion, Options(), "here", Deadline(60))
    second = replace(open_question(GATES["softmax"], None), verdict=Verdict.NO)
    assert Orders(own, expansion, second, "here")._flow == flow


def test_a_flow_backwards_is_none():
    """φ'' = 2zφ' has derivatives that grow: exp(z²) instead of exp(−z²)."""
    own, expansion = analysis("a*x + b", None)
    orders = Orders(own, expansion, open_question(GATES["softmax"], None), "here")
    field = own.field
    assert [orders._is_negative(field.constant(n)) for n in (-2, 2, 0)] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "location"),
    [("a*x + b", "b"), ("a*x + b**2", None), ("tanh(a*x + b)", None), ("b*tanh(x) + 2*a", "a")],
)
def test_a_location_has_a_slope_free_of_x_and_of_itself(text, location):
    own, expansion = analysis(text)
    second = replace(open_question(GATES["softmax"], None), verdict=Verdict.NO)
    assert Orders(own, expansion, second, "here")._location == location


def test_moments_of_a_gate_are_left_to_the_prover():
    expansion = resolve("sigmoid").expansion(1)
    own = Analysis(atom_of(ERF), expansion, Options(), "here", Deadline(60))
    moments = {"m[a]": "2*a", "m[b]": "2*b", "M[b,b]": "2"}
    witness = MomentWitness(tuple(moments.items()), "", 0, None, ("1", "1"), None)
    second = replace(open_question(GATES["sigmoid"], 1), verdict=Verdict.NO, witness=witness)
    found = [
        DirectionOrder("a", 2, False, Bound(Fraction(2), "pair", ""), None),
        DirectionOrder("b", 2, False, Bound(Fraction(4), "moments", ""), None),
    ]
    with pytest.raises(Unshown, match="gate takes part"):
        Orders(own, expansion, second, "here").check(found)
    own, expansion = analysis(ERF, None)
    Orders(own, expansion, second, "here").check(found)  # under softmax it takes none


def test_moments_must_move_the_direction():
    own, expansion = analysis(RANK_2)
    moments = {"m[ν]": "-1/2", "M[a,a]": "1/2", "M[b,b]": "1/2"}
    witness = MomentWitness(tuple(moments.items()), "", 0, None, ("1", "1"), None)
    second = replace(
        open_question(GATES["softmax"], None),
        verdict=Verdict.NO,
        quantifier=Quantifier.ALMOST_EVERY,
        witness=witness,
    )

    def bounds(order, cell, named=("a", "b")):
        lower = {True: Bound(Fraction(order), "moments", ""), False: Bound(Fraction(2), "pair", "")}
        return [DirectionOrder(n, cell, False, lower[n in named], None) for n in ("a", "b", "ν")]

    orders = Orders(own, expansion, second, "here")
    orders.check(bounds(3, 3))
    orders.check(bounds(4, 4))
    for order, cell in ((4, 3), (3, 2), (5, 6)):
        with pytest.raises(CertificateError, match="rank 2"):
            orders.check(bounds(order, cell))
    with pytest.raises(Unshown, match="the moments move ν"):
        orders.check(bounds(3, 3, ("a", "ν")))
    assert sp.Integer(2) == own.moments_of(witness, "a")[0]
