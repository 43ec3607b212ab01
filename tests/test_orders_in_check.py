"""Orders in ``check``, ``explain`` and ``table``: the smallest degenerate cell, and its rate."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from checked import check
from jsonschema import Draft202012Validator

import identkit
from identkit import Expert, order
from identkit.atoms import expert_function
from identkit.certificates.store import certificate_document
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.degeneracy import conclude
from identkit.degeneracy.rate import agreement, derived_rate, of_orders
from identkit.errors import OutOfTime
from identkit.gates import resolve as resolve_gate
from identkit.orders import finding
from identkit.orders.measured import Measurement
from identkit.orders.records import Bound, CellOrders, DirectionOrder
from identkit.rate import FOURTH, LOGARITHMIC, SLOWER, Rate
from identkit.rates import predictions
from identkit.report.json_form import check_document
from identkit.report.json_text import schema
from identkit.report.statements import directions
from identkit.report.terminal import render

GAUSS = "gaussian"
LINEAR = "a n^-1/4; in cells of 2: b n^-1/8, ν n^-1/4, slower with more"


def checked(text, likelihood=None, gate="softmax", **options):
    """The first result for an expression, or a built-in by its name, with one input."""
    named = "*" not in text and "(" not in text
    expert = text if named else Expert.from_expression(text)
    options = {"dim": 1, **options} if named else options
    return check(expert, gate, likelihood=likelihood, **options)


KNOWN = [
    # (expert, likelihood, gate, cell, rate of all, what is said of each direction)
    ("linear", GAUSS, "softmax", 2, "n^-1/8 for cells of 2", LINEAR),
    ("linear", GAUSS, "input-free", 2, "n^-1/8 for cells of 2", LINEAR),
    (
        "tanh(a*x + b) + c",
        GAUSS,
        "softmax",
        2,
        "n^-1/8 for cells of 2",
        "a, b n^-1/4; in cells of 2: c n^-1/8, ν n^-1/4, slower with more",
    ),
    (
        "a*sin(x) + b*cos(x)",
        GAUSS,
        "softmax",
        3,
        "n^-1/6 for cells of 3",
        "in cells of 3: a, b n^-1/6, ν n^-1/4 to n^-1/6, no faster with more",
    ),
    (
        "erf(a*x + b)",
        None,
        "softmax",
        2,
        "n^-1/8 for cells of 2",
        "in cells of 2: a n^-1/4, b n^-1/8, slower with more",
    ),
    (
        "erf(a*x + b)",
        None,
        "sigmoid",
        2,
        "n^-1/8 or slower for cells of 2",
        "in cells of 2: a n^-1/4 or slower, b n^-1/8 or slower, no faster with more",
    ),
    (
        "atan(a*x + b)",
        None,
        "softmax",
        3,
        "n^-1/6 for cells of 3",
        "in cells of 3: a, b n^-1/6, no faster with more",
    ),
    ("gelu", GAUSS, "softmax", 2, "n^-1/4", ""),
    ("gelu", None, "sigmoid", 2, "n^-1/4", ""),
    ("c*gelu(a*x + b)", None, "softmax", 2, "no consistent estimator", ""),
    ("relu", None, "softmax", 2, "no consistent estimator", ""),
    ("relu(1*x - b)", None, "softmax", 2, "n^-1/4", ""),
]


@pytest.mark.parametrize(("text", "likelihood", "gate", "cell", "rate", "said"), KNOWN)
def test_known_answers(text, likelihood, gate, cell, rate, said):
    result = checked(text, likelihood, gate).results[0]
    assert {d.cell for d in result.orders} == {cell}
    assert result.rate.derived == rate == Rate.parse(rate)
    assert directions(result) == said


@pytest.mark.parametrize(("text", "likelihood", "gate", "cell", "rate", "said"), KNOWN)
def test_the_orders_are_those_of_the_command(text, likelihood, gate, cell, rate, said):
    """The bounds of ``identkit order`` for that cell, which come with numbers as well."""
    found = checked(text, likelihood, gate)
    named = "*" not in text and "(" not in text
    expert = text if named else Expert.from_expression(text)
    again = order(expert, gate, likelihood=likelihood, dim=1, cell=cell)
    assert [(d.direction, d.order, d.status, d.rate) for d in again.directions] == [
        (d.direction, d.order, d.status, d.rate) for d in found.results[0].orders
    ]
    for d, other in zip(found.results[0].orders, again.directions, strict=True):
        assert d.lower.kind == other.lower.kind
        assert (d.upper and d.upper.kind) == (other.upper and other.upper.kind)


@pytest.mark.parametrize(("text", "likelihood"), [("gelu", GAUSS), ("tanh", None)])
def test_a_nondegenerate_direction_has_order_2_at_every_cell(text, likelihood):
    own = checked(text, likelihood).results[0].orders
    assert all(d.at_every_cell and d.order == 2 for d in own)
    for cell in (3, 5):
        found = order(text, "softmax", likelihood=likelihood, dim=1, cell=cell)
        assert {d.order for d in found.directions} == {2}


def test_the_document_and_the_report(capsys):
    arguments = ["--expert", "linear", "--gate", "softmax", "--dim", "1", "--likelihood", GAUSS]
    assert main(["check", *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("check-1")).validate(document)
    (result,) = document["results"]
    assert result["orders"] == [
        {"direction": "a", "cell": 2, "order": 2, "status": "exact", "rate": "n^-1/4"},
        {"direction": "b", "cell": 2, "order": 4, "status": "exact", "rate": "n^-1/8"},
        {"direction": "ν", "cell": 2, "order": 2, "status": "exact", "rate": "n^-1/4"},
    ]
    assert result["rate"]["derived"] == "n^-1/8 for cells of 2"
    assert result["rate"]["agreement"] == "confirmed"
    assert main(["check", *arguments]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"derived: {LINEAR}; published: n^-1/8 (confirmed)" in text
    assert "not derived" not in text  # of a: second order leaves it open, its order does not
    assert main(["explain", *arguments]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"Derived: {LINEAR}." in text
    assert "b: order at least 4 in cells of 2: 2 atoms at the zeros of He_2 along b" in text
    assert "b: order at most 4 in cells of 2: at every x the cell is a mixture" in text
    assert main(["explain", *arguments, "--latex"]) == 0
    assert "$n^{-1/8}$" in capsys.readouterr().out
    for named in ({}, {"dim": 3}):
        whole = check_document(identkit.check("linear", "softmax", likelihood=GAUSS, **named))
        Draft202012Validator(schema("check-1")).validate(whole)


def test_where_the_question_does_not_arise():
    dense = check("gelu", "sigmoid", dim=1).results[1]
    assert (dense.second_order, dense.orders) == (None, ())
    assert check("gelu", "(1 + tanh(s))/2", dim=1).results[0].orders == ()


def test_several_outputs():
    """Two of the same say what one does; and the kernel checks it."""
    one = checked("erf(a*x + b)").results[0]
    found = check(Expert.from_expression(["erf(a*x + b)", "2*erf(a*x + b)"]), "softmax")
    two = found.results[0]
    assert [(d.direction, d.order) for d in two.orders] == [
        (d.direction, d.order) for d in one.orders
    ]
    assert one.rate.derived == two.rate.derived == "n^-1/8 for cells of 2"
    verified = verify(certificate_document(found))
    assert verified.by[0]["orders"] == "kernel"
    assert verified.results[0].rate.derived == two.rate.derived
    apart = check(Expert.from_expression(["erf(a*x + b)", "tanh(a*x + b)"]), "softmax").results[0]
    assert [(d.direction, d.order) for d in apart.orders] == [("a", 2), ("b", 2)]


def test_no_numbers_are_measured(monkeypatch):
    def fail(*_):
        raise AssertionError("measured")

    monkeypatch.setattr(Measurement, "steps", fail)
    found = identkit.check("linear", "softmax", likelihood=GAUSS, dim=1)
    assert found.results[0].rate.derived == "n^-1/8 for cells of 2"
    with pytest.raises(AssertionError, match="measured"):
        order("linear", "softmax", likelihood=GAUSS, dim=1)


@pytest.mark.parametrize("where", ["directions", "at_smallest_cell"])
def test_without_time_the_old_sentence_stays_with_the_reason(monkeypatch, where):
    """In the search itself, and where the whole check is ended in it."""

    def stop(*_, **__):
        raise OutOfTime("the time limit was reached")

    monkeypatch.setattr(finding if where == "directions" else conclude, where, stop)
    found = identkit.check("linear", "softmax", likelihood=GAUSS, dim=1)
    (result,) = found.results
    assert (result.orders, result.rate.derived) == ((), "slower than n^-1/4")
    assert "by how much is open: the time limit was reached" in result.rate.reasons
    assert result.rate.agreement == "open"
    assert result.exceptional
    text = render(found)
    assert "derived: slower than n^-1/4" in text
    assert "Shown for cells of 2 or more fitted atoms." in text


def test_rate_experiments_speak_of_cells_of_every_size():
    """Their format knows no cells; what is predicted there holds for larger ones as well."""
    result = checked("erf(a*x + b)", None, "sigmoid").results[0]
    assert result.rate.derived.at_every_cell == SLOWER
    assert FOURTH.at_every_cell == FOURTH
    assert predictions.SLOWER is SLOWER


# -- rates of cells -----------------------------------------------------------------------------


def direction(name, low, high, cell=2, caveats=()):
    upper = None if high is None else Bound(Fraction(high), "at-most-2m", "", caveats=caveats)
    return DirectionOrder(name, cell, False, Bound(Fraction(low), "moments", ""), upper)


@pytest.mark.parametrize(
    ("orders", "rate"),
    [
        ([], "slower than n^-1/4"),
        ([(2, 4), (2, 2)], "slower than n^-1/4"),  # no arc: the old statement says more
        ([(2, 2), (4, 4)], "n^-1/8 for cells of 2"),
        ([(2, 4), (4, 4)], "n^-1/8 for cells of 2"),
        ([(3, 6), (2, 3)], "n^-1/6 to n^-1/12 for cells of 2"),
        ([(Fraction(8, 3), 6), (6, 6)], "n^-1/12 for cells of 2"),
        ([(Fraction(8, 3), None), (2, 2)], "n^-3/16 or slower for cells of 2"),
    ],
)
def test_the_slowest_direction_is_the_rate_of_all(orders, rate):
    found = [direction(f"u{i}", *o) for i, o in enumerate(orders)]
    assert of_orders(found) == rate
    alone = [direction(f"u{i}", *o, caveats=("for one true atom",)) for i, o in enumerate(orders)]
    limited = of_orders(alone)
    assert limited.everywhere == rate
    assert limited.one_atom == limited.polynomial


def test_published_against_the_rate_of_a_cell():
    eighth, between, slow = (
        Rate.of_orders(Fraction(low), high, 2)
        for low, high in ((4, Fraction(4)), (3, Fraction(6)), (4, None))
    )
    p = Rate.power
    cases = {
        (p(8), eighth, 2): "confirmed",
        (p(8), eighth, None): "open",  # for all cells more is said than is derived
        (p(8), eighth, 3): "open",
        (p(4), eighth, None): "contradicted",
        (p(4), eighth, 3): "contradicted",  # larger cells are no faster
        (p(4), eighth, 1): "open",
        (p(12), eighth, 2): "contradicted",
        (p(12), eighth, None): "open",
        (LOGARITHMIC, eighth, None): "contradicted",
        (p(8), between, 2): "open",
        (p(4), between, 2): "contradicted",
        (p(16), between, 2): "contradicted",
        (p(12), between, 2): "open",
        (LOGARITHMIC, between, None): "contradicted",
        (p(8), slow, 2): "open",
        (p(6), slow, 2): "contradicted",
        (p(16), slow, 2): "open",
        (LOGARITHMIC, slow, None): "open",
        (p(8), replace(eighth, one_atom=True), 2): "open",
        (p(4), replace(eighth, one_atom=True), 2): "contradicted",
    }
    for (published, derived, cells), answer in cases.items():
        assert agreement(published, derived, False, cells) == answer, (published, derived, cells)
    assert FOURTH.faster_than(eighth)
    assert FOURTH.faster_than(between)
    assert between.faster_than(Rate.power(16))
    assert not between.faster_than(eighth)
    assert not slow.faster_than(Rate.power(16))


@pytest.mark.parametrize(
    "text",
    [
        "n^-1/8 or slower",
        "n^-1/6 to n^-1/12",
        "slower than n^-1/4 for cells of 2",
        "slower than n^-1/8 or slower for cells of 2",
        "n^-1/8 for cells of 0",
        "n^-1/8 or slower for cells of 2 for one true atom",
    ],
)
def test_other_texts_are_no_rates(text):
    with pytest.raises(identkit.IdentkitError, match="is no rate"):
        Rate.parse(text)


def test_an_obstacle_is_a_reason():
    result = checked("linear", GAUSS).results[0]
    atom, regime = (
        expert_function(Expert.from_expression("a*x + b")),
        resolve_gate("softmax", GAUSS).regime(None),
    )
    cut = CellOrders((), "no arcs are known for cells of 9")
    found = derived_rate(None, result.second_order, None, {}, regime, atom, cut)
    assert found.reasons[-1] == "by how much is open: no arcs are known for cells of 9"
