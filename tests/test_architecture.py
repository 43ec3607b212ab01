"""Gauges of an architecture: which are found, that they are gauges, and that false ones are not.

f and p are written here once more, with mpmath: what identkit proves in normal form is compared
with numbers that come from no code of identkit.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import jsonschema
import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

import identkit
from identkit import Expert, Gate, check
from identkit.architecture.examples import examples_of, numbers
from identkit.architecture.halves import Component, measure
from identkit.architecture.measures import Setting, routed_atom, written
from identkit.architecture.moves import Move
from identkit.architecture.overlap import embedded, excluded, overlap
from identkit.architecture.records import ExactAtom, ExactMeasure
from identkit.architecture.search import keeps_h, of_a_gauge
from identkit.cli.main import main
from identkit.deadline import Deadline
from identkit.domain import Domain
from identkit.experts import builtin
from identkit.expression import parse
from identkit.gates import GATES, Caveat, Regime, WeightRule, common_shift, gates_under, resolve
from identkit.layout import SLOPE
from identkit.report.gauges import example_code
from identkit.report.json_text import schema

GAUSSIAN = {"likelihood": "gaussian"}
RATIONALS = st.fractions(min_value=-3, max_value=3, max_denominator=7)
POSITIVE = st.fractions(min_value=Fraction(1, 7), max_value=3, max_denominator=7)


def setting(expert, gate="softmax", shared=None, likelihood=None, variance=None):
    made = [None if text is None else Expert.from_expression(text) for text in (expert, shared)]
    return Setting(made[0], resolve(gate, likelihood, variance), Deadline(60), made[1])


# -- f and p, written apart -------------------------------------------------------------------

NUMBERS = {"log": mpmath.log, "exp": mpmath.exp, "pi": mpmath.pi, "sqrt": mpmath.sqrt}
PHI = {
    "relu": lambda z: max(z, mpmath.mpf(0)),
    "gelu": lambda z: z * mpmath.ncdf(z),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    "tanh": mpmath.tanh,
    "sin": mpmath.sin,
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
}


def number(text):
    """A number of an example, by Python and mpmath instead of identkit's parser."""
    with mpmath.workdps(60):
        body = "".join(
            f"mpf({part})" if part.isdigit() else part for part in re.split(r"(\d+)", str(text))
        )
        return mpmath.mpf(eval(body, {"__builtins__": {}, "mpf": mpmath.mpf, **NUMBERS}))


def value(expert, eta, x):
    """h(x, η) of an expert's text."""
    names = {**PHI, **NUMBERS, **eta, **dict(zip(expert.inputs, x, strict=True))}
    return mpmath.mpf(eval(expert.text, {"__builtins__": {}, **names}))


WEIGHTS = {
    "softmax": (mpmath.exp, True),
    "input-free": (mpmath.exp, True),
    "sigmoid": (PHI["sigmoid"], False),
    "normalized-sigmoid": (PHI["sigmoid"], True),
}


def estimated(made: Setting, exact: ExactMeasure, x, y):
    """f(x), or p(y|x)."""
    weight, divides = WEIGHTS[made.gate.name]

    def seen(expert, atom):
        h = value(expert, {p: number(t) for p, t in atom.eta}, x)
        if atom.variance is None:
            return h
        nu = number(atom.variance)
        return mpmath.exp(-((y - h) ** 2) / (2 * nu)) / mpmath.sqrt(2 * mpmath.pi * nu)

    sizes = []
    for atom in exact.routed:
        blocks = dict(atom.weight)
        score = number(blocks["beta0"][0])
        for slope, own in zip(blocks.get("beta1", ()), x, strict=False):
            score += number(slope) * own
        sizes.append(weight(score))
    total = sum(sizes) if divides else 1
    rows = zip(sizes, exact.routed, strict=True)
    routed = sum((w / total * seen(made.expert, atom) for w, atom in rows), mpmath.mpf(0))
    own = [(number(dict(a.weight)["omega"][0]), seen(made.beside, a)) for a in exact.shared]
    shared = sum((w * v for w, v in own), mpmath.mpf(0))
    half = mpmath.mpf(1) / 2 if exact.routed and exact.shared else 1
    return half * (routed + shared)


def largest_gap(made, one, other):
    """Over a few x and y, of the values there."""
    with mpmath.workdps(50):
        worst = mpmath.mpf(0)
        for i in range(5):
            x = [mpmath.mpf(2 * i - 5 + j) / 3 for j in range(made.dim)]
            for y in (mpmath.mpf(-3) / 2, mpmath.mpf(2) / 3):
                left, right = estimated(made, one, x, y), estimated(made, other, x, y)
                worst = max(worst, abs(left - right) / (1 + abs(left)))
        return worst


# -- what is found ----------------------------------------------------------------------------

SHIFT, SPREAD = "common shift", "common spreading"
HALVES = ("exchange of the halves", "transport between the halves")
KNOWN = [
    ("a*x + b", "softmax", "k*x + m", (SHIFT, SPREAD, *HALVES)),
    ("c*relu(a*x + b)", "softmax", "c*relu(a*x + b)", (SHIFT, SPREAD, "orbit", *HALVES)),
    ("a*x", "normalized-sigmoid", "k*x + m", ("common factor", *HALVES)),
    ("c*silu(a*x)*(u*x)", "softmax", None, (SHIFT, SPREAD, "orbit", "sign flip")),
    ("c*tanh(a*x + b)", "softmax", "tanh(k*x + m)", (SHIFT, SPREAD, "sign flip", *HALVES)),
    ("c*tanh(a*x + b) + d", "softmax", "sigmoid(k*x + m)", (SHIFT, SPREAD, "sign flip", *HALVES)),
    ("tanh(a*x + b)", "normalized-sigmoid", "gelu(a*x + b)", ("common factor",)),
    ("a*x + b", "softmax", "gelu(a*x + b)", (SHIFT, SPREAD)),
    ("a*x + b", "input-free", None, (SHIFT,)),
    ("k*x + m", "input-free", "m + k*x", (SHIFT, *HALVES)),
    ("tanh((p + q)*x + r)", "softmax", None, (SHIFT, SPREAD, "orbit")),
]


@pytest.mark.parametrize(("expert", "gate", "shared", "names"), KNOWN)
def test_the_gauges_of_a_density(expert, gate, shared, names):
    beside = None if shared is None else Expert.from_expression(shared)
    result = check(Expert.from_expression(expert), gate, shared=beside, **GAUSSIAN)
    assert tuple(g.name for g in result.gauges) == names
    assert all(g.proved for g in result.gauges)
    made = setting(expert, gate, shared, **GAUSSIAN)
    for gauge, example in examples_of(result):
        assert example is not None, gauge.name
        assert largest_gap(made, example.given, example.alternative) < mpmath.mpf(10) ** -45


REGRESSION = [
    (("relu", None), "sigmoid", ("scale family",)),
    (("relu", "ffn"), "softmax", (SHIFT, SPREAD, "orbit", "scale family", "scale family")),
    (("tanh", "ffn"), "sigmoid", ("scale family", "sign flip")),
    (("sigmoid", None), "sigmoid", ("exchange of gate and expert",)),
    (("sin", None), "sigmoid", ("phase family",)),
    (("gelu", None), "softmax", (SHIFT, SPREAD)),
]


@pytest.mark.parametrize(("named", "gate", "names"), REGRESSION)
def test_the_gauges_of_a_regression(named, gate, names):
    result = check(builtin(*named, dim=1), gate)
    assert tuple(g.name for g in result.gauges) == names
    made = Setting(result.expert, resolve(gate), Deadline(60))
    for gauge, example in examples_of(result):
        assert example is not None, gauge.name
        assert largest_gap(made, example.given, example.alternative) < mpmath.mpf(10) ** -45


def test_relu_orbit_has_the_numbers_of_the_paper():
    """(κ2, κ1, κ0) → (κ2/r, rκ1, rκ0); κ = (−8, 6, 0) and (−4, 12, 0) have one density."""
    made = setting("c*relu(a*x + b)", shared="c*relu(a*x + b)", **GAUSSIAN)
    atoms = [
        ExactAtom((("omega", ("1",)),), (("c", c), ("a", a), ("b", "0")), "1/4")
        for c, a in (("-8", "6"), ("-4", "12"), ("-4", "11"))
    ]
    routed = ExactAtom(
        (("beta1", ("5",)), ("beta0", ("0",))), (("c", "1"), ("a", "1"), ("b", "0")), "1"
    )
    one, other, wrong = (ExactMeasure((routed,), (atom,)) for atom in atoms)
    assert made.same(one, other)
    assert not made.same(one, wrong)


def truth_t2(p):
    """The truth T2 of arXiv 2505.10860 with weight p of the shared atom and of routed 2 exchanged.

    Its routed slopes are equal, so that the weights are w and 1 − w, w = 1/(1 + e).
    """
    w = 1 / (1 + sp.E)
    gates = (w, 1 - w - p, p)
    etas = (("8", "2", "2/5"), ("-6", "1", "2/5"), ("2", "0", "1/5"))
    routed = tuple(
        ExactAtom(
            (("beta1", ("5",)), ("beta0", (written(sp.log(g)),))), (("a", a), ("b", b)), variance
        )
        for g, (a, b, variance) in zip(gates, etas, strict=True)
        if g != 0
    )
    own = ((1 - p, etas[2]), (p, etas[1]))
    shared = tuple(
        ExactAtom((("omega", (written(g),)),), (("a", a), ("b", b)), variance)
        for g, (a, b, variance) in own
        if g != 0
    )
    return ExactMeasure(routed, shared)


def test_the_truth_t2_lies_on_a_family():
    made = setting("a*x + b", shared="a*x + b", **GAUSSIAN)
    truth = truth_t2(sp.Integer(0))
    given = [("-1/2", "8", "2"), ("1/2", "-6", "1")]
    printed = tuple(
        ExactAtom((("beta1", ("5",)), ("beta0", (o,))), (("a", a), ("b", b)), "2/5")
        for o, a, b in given
    )
    assert made.same(replace(truth, routed=printed), truth)
    for p in (sp.Rational(1, 10), sp.Rational(7, 10)):
        assert made.same(truth, truth_t2(p))
        assert largest_gap(made, truth, truth_t2(p)) < mpmath.mpf(10) ** -45
    w = 1 / (1 + sp.E)
    swapped = ExactMeasure(
        (replace(truth.shared[0], weight=printed[0].weight),),
        tuple(
            replace(a, weight=(("omega", (written(g),)),))
            for g, a in zip((w, 1 - w), truth.routed, strict=True)
        ),
    )
    assert made.same(truth, swapped)
    other_way = replace(swapped, shared=swapped.shared[::-1])
    wrong = tuple(
        replace(a, weight=b.weight) for a, b in zip(other_way.shared, swapped.shared, strict=True)
    )
    assert not made.same(truth, replace(swapped, shared=wrong))


# -- the actions, on measures drawn -----------------------------------------------------------


def drawn_atoms(data, made, count, gates=RATIONALS):
    found = []
    for _ in range(count):
        gate = {n: sp.Rational(data.draw(gates)) for n, _ in made.numbers}
        eta = {p: sp.Rational(data.draw(RATIONALS)) for p in made.expert.parameters}
        found.append((gate, eta, sp.Rational(data.draw(POSITIVE)) if made.density else None))
    return found


def exact(made, atoms):
    return ExactMeasure(tuple(routed_atom(made, *atom) for atom in atoms))


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("expert", ["gelu(a*x0 + b*x1)", "c*tanh(a*x)"])
@given(data=st.data())
def test_moving_all_gates_leaves_p(expert, copies, data):
    made = setting(expert, **GAUSSIAN)
    (shift,) = made.gate.gauges
    gauge = list(of_a_gauge(made, shift))[int(copies)]
    move = Move.of_record(made, gauge)
    atoms = drawn_atoms(data, made, 2)
    amounts = [
        {t: sp.Rational(data.draw(RATIONALS)) for t in move.amounts} for _ in range(1 + copies)
    ]
    moved = [(move.at(g, t), eta, nu) for g, eta, nu in atoms for t in amounts]
    assert largest_gap(made, exact(made, atoms), exact(made, moved)) < mpmath.mpf(10) ** -40


@given(data=st.data())
def test_weight_goes_between_the_halves(data):
    made = setting("c*tanh(a*x + b)", shared="tanh(k*x + m)", **GAUSSIAN)
    found = overlap(made.shared, made.expert, made.deadline)
    parts = []
    for _ in range(3):
        k, m = (sp.Rational(data.draw(RATIONALS)) for _ in range(2))
        eta = {"c": sp.Integer(1), "a": k, "b": m}
        assert found.to_routed == {"c": 1, "a": parse("k"), "b": parse("m")}
        parts.append(Component({"k": k, "m": m}, eta, sp.Rational(data.draw(POSITIVE))))
    raw = [[data.draw(POSITIVE) for _ in range(3)] for _ in range(2)]
    shared, routed = ([sp.Rational(v) / sp.Rational(sum(row)) for v in row] for row in raw)
    room = min(*shared, *routed)
    steps = [
        room * sp.Rational(data.draw(st.fractions(-1, 1, max_denominator=9))) / 2 for _ in "ab"
    ]
    steps.append(-sum(steps))
    moved = (
        [s + d for s, d in zip(shared, steps, strict=True)],
        [r - d for r, d in zip(routed, steps, strict=True)],
    )
    if min(map(min, moved)) <= 0:
        return
    one = measure(
        made, list(zip(parts, shared, strict=True)), list(zip(parts, routed, strict=True))
    )
    other = measure(made, *(list(zip(parts, row, strict=True)) for row in moved))
    assert largest_gap(made, one, other) < mpmath.mpf(10) ** -40
    assert made.same(one, other)
    if any(steps) and len({str((p.kappa, p.variance)) for p in parts}) == 3:
        kept = measure(
            made, list(zip(parts, moved[0], strict=True)), list(zip(parts, routed, strict=True))
        )
        assert not made.same(one, kept)


@given(data=st.data())
def test_an_orbit_leaves_p(data):
    made = setting("c*relu(a*x + b)", **GAUSSIAN)
    atoms = drawn_atoms(data, made, 2, st.integers(-2, 2))  # small: they are exponents
    r = sp.Rational(data.draw(POSITIVE))
    gate, eta, nu = atoms[0]
    moved = {"c": eta["c"] / r, "a": r * eta["a"], "b": r * eta["b"]}
    one, other = exact(made, atoms), exact(made, [(gate, moved, nu), atoms[1]])
    assert made.same(one, other)
    assert largest_gap(made, one, other) < mpmath.mpf(10) ** -40


# -- what is no gauge -------------------------------------------------------------------------


RELU_ORBIT = {"c": "c/exp(s)", "a": "a*exp(s)", "b": "b*exp(s)"}


@pytest.mark.parametrize(
    ("expert", "right", "wrong"),
    [
        ("c*relu(a*x + b)", RELU_ORBIT, {"c": "c*exp(s)"}),
        ("c*relu(a*x + b)", RELU_ORBIT, {"c": "c/exp(2*s)"}),
        ("c*silu(a*x)*(u*x)", {"c": "c*exp(s)", "u": "u*exp(-s)"}, {"a": "a*exp(s)"}),
        ("c*tanh(a*x + b)", {"c": "-c", "a": "-a", "b": "-b"}, {"b": "b"}),
        ("tanh((p + q)*x)", {"p": "p + s", "q": "q - s"}, {"q": "q - 2*s"}),
    ],
)  # fmt: skip
def test_a_false_curve_is_not_proved(expert, right, wrong):
    made = setting(expert)
    texts = {p: parse(e) for p, e in right.items()}
    assert keeps_h(made, texts, ["s"])
    assert not keeps_h(made, {**texts, **{p: parse(e) for p, e in wrong.items()}}, ["s"])


@pytest.mark.parametrize(
    "formula",
    [
        (("beta1", "beta1 + 2*t1"), ("beta0", "beta0*t0")),
        (("beta1", "beta1*t1"), ("beta0", "beta0 + t0")),
        (("beta0", "beta0 + t0"),),
    ],
)
def test_a_false_action_on_gates_is_not_proved(formula):
    made = setting("gelu(a*x + b)")
    (shift,) = made.gate.gauges
    (found,) = of_a_gauge(made, replace(shift, formula=formula))
    assert not found.proved
    (found,) = of_a_gauge(made, replace(shift, formula=()))  # of somebody else, who does not say
    assert (found.proved, found.method, found.images) == (False, "declared by the gate", ())


@pytest.mark.parametrize(
    ("holds", "known"),
    [
        (lambda s: not any(s.sloped), True),
        (lambda s: s.atoms < 9, False),
        (lambda s: all(s.sloped), False),
        (lambda s: False, False),
    ],
)
def test_only_a_caveat_about_slopes_is_understood(holds, known):
    """That all β1 are 0 is put in; of any other condition nothing is proved."""
    (scale,) = GATES["normalized-sigmoid"].gauges
    gauge = replace(scale, caveat=Caveat("a condition", holds))
    move = Move.of(setting("a*x", "normalized-sigmoid"), gauge)
    assert (move is not None) == known


def test_weights_that_are_not_divided_have_to_stay():
    """Of (β1ᵀx + β0)² without a sum: the sign of the gate is free, its size is not."""
    rule = WeightRule(parse("s**2"), False)
    square = replace(GATES["sigmoid"], name="square", weight=lambda s: s**2, declared=())
    made = Setting(Expert.from_expression("a*x"), square, Deadline(9))
    for factor, proved in (("-1", True), ("2", False)):
        formula = tuple((name, f"{factor}*{name}") for name in ("beta1", "beta0"))
        gauge = replace(common_shift(rule), formula=formula, per_input=())
        (found,) = of_a_gauge(made, gauge)  # copies of all atoms would double f
        assert found.proved == proved


def test_what_is_not_proved_has_no_example_and_says_so(capsys):
    rule = GATES["softmax"].rule
    own = Gate(
        name="own-softmax",
        formula="exp(s), divided by the sum over atoms",
        weight=sp.exp,
        normalised=True,
        declared=(replace(common_shift(rule), formula=()),),
        regimes=(Regime("any", "strong", "any truth"),),
        source="a test",
    )
    result = check("gelu", own, dim=1)
    made = Setting(result.expert, own, Deadline(9))
    (gauge,) = result.gauges
    assert not gauge.proved
    assert identkit.architecture.examples.example_of(made, gauge) is None
    from identkit.report.gauges import lines

    assert lines(result) == [
        "common shift: a common shift of all (β0, β1) leaves f unchanged; declared by the gate, "
        "not proved here"
    ]


def test_where_a_cell_can_take_the_place_of_an_atom():
    """Under softmax its weights multiply whatever the slopes; σ(β0) does so at β1 = 0 alone."""
    wheres = {
        gate: {g.where for g in check("relu", gate, dim=1).gauges if g.kind == "cell"}
        for gate in ("softmax", "sigmoid")
    }
    assert wheres == {
        "softmax": {"2 fitted atoms or more for one"},
        "sigmoid": {"β1 = 0 of that atom"},
    }


def test_weights_are_inverted_where_that_is_known():
    third = sp.Rational(1, 3)
    offsets = {"softmax": "-log(3)", "normalized-sigmoid": "-log(2)"}
    for gate, offset in offsets.items():
        assert str(sp.log(sp.exp(setting("a*x", gate).offset(third)))) == offset
    own = setting("a*x", "normalised exp(s) + exp(2*s)")
    assert own.offset(third) is None
    assert not own.equal_slopes
    assert setting("a*x").equal_slopes
    assert setting("a*x", "sigmoid").constant is None


def test_a_changed_number_is_no_example():
    result = check("linear", "softmax", dim=1, shared="linear", **GAUSSIAN)
    made = setting("a*x + b", shared="a*x + b", **GAUSSIAN)
    changes = 0
    for _, example in examples_of(result):
        for half in ("routed", "shared"):
            atoms = getattr(example.alternative, half)
            for i, atom in enumerate(atoms):
                for eta in ({**dict(atom.eta), "a": "17"}, {**dict(atom.eta), "b": "17"}):
                    other = [*atoms[:i], replace(atom, eta=tuple(eta.items())), *atoms[i + 1 :]]
                    forged = replace(example.alternative, **{half: tuple(other)})
                    assert not made.same(example.given, forged)
                    changes += 1
                wider = [*atoms[:i], replace(atom, variance="17"), *atoms[i + 1 :]]
                assert not made.same(
                    example.given, replace(example.alternative, **{half: tuple(wider)})
                )
    assert changes > 20


def test_weights_of_shared_atoms_are_weights():
    made = setting("a*x", shared="a*x", **GAUSSIAN)
    routed = ExactAtom((("beta1", ("0",)), ("beta0", ("0",))), (("a", "1"),), "1")

    def shared(*omegas):
        atoms = [ExactAtom((("omega", (o,)),), (("a", "1"),), "1") for o in omegas]
        return ExactMeasure((routed,), tuple(atoms))

    assert made.same(shared("1"), shared("1/3", "2/3"))
    assert not made.same(shared("3/2", "-1/2"), shared("1"))  # no measure
    assert not made.same(shared("1"), shared("1/2"))
    zero = replace(routed, variance="0")
    assert not made.same(ExactMeasure((zero,)), ExactMeasure((zero,)))


def test_the_halves_are_told_apart():
    """Proved for a polynomial against what is none; otherwise not found is no proof."""
    box = Domain.of((-3, 3), ("x",))
    pairs = {
        ("gelu(a*x + b)", "k*x + m"): "almost every choice of its parameters",
        ("relu(a*x + b)", "k*x + m"): "an open set of its parameters",
        ("(a*x + b)**3", "k*x**2 + m"): "almost every choice of its parameters",
    }
    for (source, target), who in pairs.items():
        made = [Expert.from_expression(t) for t in (source, target)]
        assert who in excluded(*made, box, Deadline(9))
        assert overlap(made[1], made[0], Deadline(9)) is None
    for source, target in (("k*x + m", "gelu(a*x + b)"), ("a*x", "k*x + m"), ("a*x**2", "k*x**2")):
        made = [Expert.from_expression(t) for t in (source, target)]
        assert excluded(*made, box, Deadline(9)) is None
    result = check("linear", "softmax", dim=1, shared="gelu", **GAUSSIAN)
    (none,) = [n for n in result.no_gauges if n.name == HALVES[0]]
    assert none.excluded
    result = check("tanh", "softmax", dim=1, shared="gelu", **GAUSSIAN)
    (none,) = [n for n in result.no_gauges if n.name == HALVES[0]]
    assert (none.excluded, "that is no proof" in none.reason) == (False, True)


@pytest.mark.parametrize(
    ("source", "target", "images"),
    [
        ("a*x", "k*x + m", {"k": "a", "m": "0"}),
        ("k*x + m", "a*x", None),
        ("tanh(k*x + m)", "c*tanh(a*x + b)", {"c": "1", "a": "k", "b": "m"}),
        ("c*tanh(a*x + b)", "tanh(k*x + m)", None),
        ("(k*x + m)**2", "a*x**2 + b*x + c", {"a": "k**2", "b": "2*k*m", "c": "m**2"}),
        ("(m + k*x)**2", "(a*x + b)**2", {"a": "k", "b": "m"}),
        ("relu(k*x)", "c*relu(a*x + b)", {"c": "1", "a": "k", "b": "0"}),
        ("c*sin(x + d)", "a*sin(x) + b*cos(x)", {"a": "c*cos(d)", "b": "c*sin(d)"}),
        ("silu(k*x0 + m*x1)", "silu(a*x1 + b*x0)", {"a": "m", "b": "k"}),
        ("gelu(a*x + b)", "silu(a*x + b)", None),
    ],
)
def test_one_family_in_the_other(source, target, images):
    made = [Expert.from_expression(t) for t in (source, target)]
    found = embedded(*made, Deadline(20))
    assert (None if found is None else {p: str(e) for p, e in found.items()}) == images


def test_numbers_are_written_in_the_grammar():
    """SymPy's name for e would be read as a parameter."""
    result = check(
        Expert.from_expression("a*x"), "softmax", shared=Expert.from_expression("exp(1)*k*x"),
        **GAUSSIAN,
    )  # fmt: skip
    found = {g.name: (g, example) for g, example in examples_of(result)}
    for name in HALVES:
        gauge, example = found[name]
        assert dict(gauge.images)["k"] == "a*exp(-1)"
        made = setting("a*x", shared="exp(1)*k*x", **GAUSSIAN)
        assert largest_gap(made, example.given, example.alternative) < mpmath.mpf(10) ** -45


@pytest.mark.parametrize("variance", ["common", "known"])
def test_variances_that_are_not_free_are_equal(variance):
    result = check("linear", "softmax", dim=1, shared="linear", variance=variance, **GAUSSIAN)
    found = {g.name: (g, example) for g, example in examples_of(result)}
    gauge, example = found[HALVES[1]]
    assert ("variances are equal" in gauge.where) == (variance == "known")
    atoms = (*example.given.routed, *example.given.shared)
    assert {a.variance for a in atoms} == {"1"}


# -- one concept, one place -------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 2])
def test_a_formula_of_a_gauge_is_its_move(dim):
    """What is proved of a gate's formula is proved of what fits and losses do with ``move``."""
    rng = np.random.default_rng(0)
    seen = 0
    for gate in (*gates_under("least-squares"), *gates_under("gaussian")):
        scored = gate.router is not None or gate.fixed  # shown of the score itself, or of f
        for gauge in () if scored else gate.gauges:
            made = Setting(builtin("gelu", dim=dim), gate, Deadline(9))
            move = Move.of(made, gauge)
            assert move is not None, gate.name
            size = gauge.dimension(dim, 3)
            factors = gauge.amounts == "factors"
            amount = rng.uniform(0.1, 0.9, size) if factors else rng.normal(size=size)
            values = {b.name: rng.normal(size=(3, dim) if b.axis else 3) for b in gate.blocks}
            moved = {**values, **gauge.move(values, amount)}
            ordered = sorted(move.amounts, key=lambda t: (t == "t0", t))  # t1 before t0
            amounts = dict(zip(ordered, amount, strict=True))
            for atom in range(3):
                own = {
                    n: values[b][atom] if b != SLOPE.name else values[b][atom][i]
                    for b in values
                    for i, n in enumerate(n for n, own in made.numbers if own == b)
                }
                exactly = move.at(own, amounts)
                for name, block in made.numbers:
                    place = [n for n, b in made.numbers if b == block].index(name)
                    given = moved[block][atom]
                    given = given[place] if block == SLOPE.name else given
                    assert float(exactly[name]) == pytest.approx(float(given), abs=1e-12)
                    seen += 1
    assert seen > 10


def test_every_claim_behind_a_gauge_is_checked():
    checks = "".join(p.read_text("utf-8") for p in Path("proofs_check").glob("test_*.py"))
    for expert, gate, shared, _ in KNOWN[:3]:
        beside = Expert.from_expression(shared)
        for gauge in check(Expert.from_expression(expert), gate, shared=beside, **GAUSSIAN).gauges:
            assert all(f'"{claim}"' in checks for claim in gauge.rests_on)
            assert gauge.rests_on or gauge.each


# -- limits and views -------------------------------------------------------------------------


def test_a_search_that_is_cut_short_says_so():
    result = check("gelu", "softmax", time_limit=0.01)
    assert result.gauges == ()
    assert [(n.name, n.excluded) for n in result.no_gauges] == [("further gauges", False)]
    assert "time limit" in result.no_gauges[0].reason


def test_json_lists_gauges_with_exact_pairs(capsys):
    arguments = ["--expert", "linear", "--gate", "softmax", "--dim", "1", "--shared", "linear"]
    assert main(["check", *arguments, "--likelihood", "gaussian", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schema("check-1"))
    listed = {g["name"]: g for g in document["gauges"]}
    assert set(listed) == {SHIFT, SPREAD, *HALVES}
    assert all(g["proved"] and g["action"] for g in listed.values())
    example = listed[HALVES[0]]["example"]
    assert [len(example["given"][h]) for h in ("routed", "shared")] == [2, 1]
    assert [len(example["alternative"][h]) for h in ("routed", "shared")] == [1, 2]
    assert {a["omega"] for a in example["alternative"]["shared"]} == {"1/2"}
    assert {g["name"] for g in document["shared"]["gauges"]} == {SHIFT}


def test_a_report_has_a_line_for_each(capsys):
    arguments = ["--gate", "softmax", "--dim", "1", "--likelihood", "gaussian"]
    assert main(["check", "--expert", "relu", "--shape", "ffn", *arguments]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "gauges (other parameters, the same p)" in text
    assert "orbit: (c, a, b) → (c*r, a/r, b/r), r > 0" in text
    assert "common shift: (β1, β0) → (β1 + t1, β0 + t0), for all atoms alike" in text
    assert "[k ≥ 2k*]" in text
    assert main(["check", "--expert", "linear", *arguments, "--shared", "gelu"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "exchange of the halves: none; a polynomial of degree 1 in x" in text


@pytest.mark.parametrize("layout", [[], ["--markdown"], ["--latex"]])
def test_explain_has_both_halves_and_the_gauges(layout, capsys):
    arguments = ["explain", "--expr", "c*relu(a*x + b)", "--gate", "softmax", *layout]
    assert main([*arguments, "--likelihood", "gaussian", "--shared", "relu ffn"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for said in ("beside shared relu ffn", "Shared experts", "Exchange of the halves", "Orbit",
                 "Transport between the halves", "G_alternative = {",
                 "constant-gate-transport"):  # fmt: skip
        assert said in text


def test_explain_wants_a_density_for_shared_experts(capsys):
    arguments = ["explain", "--expert", "gelu", "--gate", "softmax", "--shared", "gelu"]
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert "add --likelihood gaussian" in printed.err
    assert len(printed.err.strip().splitlines()) == 1


def test_an_example_can_be_pasted():
    result = check("sin", "sigmoid", dim=1)
    ((_, example),) = result.gauge_examples()
    code = example_code(example)
    assert all(len(line) <= 80 for line in code.splitlines())
    names: dict = {}
    exec(code, names)  # the text of our own example
    made, given = names["G_alternative"], names["G"]

    def f(measure_, x):
        return sum(
            math.sin(a["eta"]["a"] * x + a["eta"]["b"]) / (1 + math.exp(-a["beta0"]))
            for a in measure_["routed"]
        )

    assert {a["beta1"][0] for a in made["routed"]} == {0}
    assert max(abs(f(made, x / 7) - f(given, x / 7)) for x in range(-20, 21)) < 1e-14


def test_small_numbers_are_no_two_alike():
    made = setting("c*tanh(a*x + b)")
    etas = numbers(made, 4)
    assert len({tuple(e.values()) for e in etas}) == 4
