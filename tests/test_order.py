"""``identkit.order``: known answers, arcs verified and refused, what must not change them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise

import mpmath as mp
import pytest
import sympy as sp
from amounts import amount
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from identkit import DomainError, Expert, InputError, check, order, verify
from identkit.atoms import expert_function, routed_function
from identkit.cli import main
from identkit.deadline import Deadline
from identkit.domain import EVERYWHERE
from identkit.experts import builtin
from identkit.gates import resolve
from identkit.orders.arcs import (
    location_arc,
    pair_arc,
    pair_flow_arc,
    pair_polygon_arc,
    polygon_arc,
    ridge_arc,
    shared_location_arc,
)
from identkit.orders.measured import Measurement, atoms_at
from identkit.orders.records import Atoms
from identkit.orders.series import Expansion, trace_powers
from identkit.report.json_text import schema
from identkit.vocabulary import Through

GAUSS = "gaussian"


@cache
def orders(text, likelihood=None, cell=2, gate="softmax", **options):
    """Of an expression, or a built-in by its name, with one input."""
    named = "*" not in text and "(" not in text
    expert = text if named else Expert.from_expression(text)
    return order(expert, gate, likelihood=likelihood, dim=1, cell=cell, **options)


def said(found):
    return {d.direction: d.order for d in found.directions}


KNOWN = [
    # theory section 7: r(m) = 2m
    ("linear", GAUSS, 2, {"a": 2, "b": 4, "ν": 2}),
    ("linear", GAUSS, 3, {"a": 2, "b": 6, "ν": 3}),
    ("linear", GAUSS, 4, {"a": 2, "b": 8, "ν": 4}),
    ("gelu(a*x) + b", GAUSS, 3, {"a": 2, "b": 6, "ν": 3}),
    ("tanh(a*x + b) + c", GAUSS, 2, {"a": 2, "b": 2, "c": 4, "ν": 2}),
    ("(p + q)*x + p - q", GAUSS, 2, {"p": 4, "q": 4, "ν": 2}),
    # a square that is a slope
    ("a*x**2 + b*x + c", GAUSS, 2, {"a": [2, 4], "b": [2, 4], "c": 4, "ν": 2}),
    ("a*x**2 + b*x + c", GAUSS, 3, {"a": [2, 6], "b": ["8/3", 6], "c": 6, "ν": 3}),
    ("c*tanh(a*x + b) + d", GAUSS, 3, {"c": ["8/3", 6], "a": [2, 6], "b": [2, 6], "d": 6, "ν": 3}),
    # rank 2
    ("asinh(a*x + b)", GAUSS, 2, {"a": 2, "b": 2, "ν": 2}),
    ("asinh(a*x + b)", GAUSS, 3, {"a": 3, "b": 3, "ν": [2, 3]}),
    ("a*sin(x) + b*cos(x)", GAUSS, 4, {"a": 4, "b": 4, "ν": [2, 4]}),
    ("atan(a*x + b)", None, 2, {"a": 2, "b": 2}),
    ("atan(a*x + b)", None, 3, {"a": 3, "b": 3}),
    ("atan(a*x + b)", None, 4, {"a": 4, "b": 4}),
    ("atan(a*x + b)", None, 5, {"a": 5, "b": 5}),
    # least squares
    ("erf(a*x + b)", None, 2, {"a": 2, "b": 4}),
    ("erf(a*x + b)", None, 3, {"a": 3, "b": 6}),
    ("x*erf(2*a*x - b)", None, 2, {"a": 2, "b": 4}),
    (
        "erf(a*x + b) + erf(c*x + e)",
        None,
        2,
        {n: [k, None] for n, k in zip("abce", (2, 4, 2, 4), strict=True)},
    ),
    ("erf(a**3*x + b)", None, 2, {"a": [2, None], "b": [4, None]}),
    # two parameters in a heat or a Laplace equation
    ("exp(a*x**2 + b*x)", None, 3, {"a": 3, "b": 6}),
    ("exp(-(x - m)**2/s)/sqrt(s)", None, 2, {"m": 4, "s": 2}),
    ("b/((x - a)**2 + b**2)", None, 4, {"a": 4, "b": 4}),
    ("log((x - 2*m)**2 + s**2)", None, 3, {"m": 3, "s": 3}),
    ("exp(a*x)*cos(b*x)", None, 5, {"a": 5, "b": 5}),
    ("exp(a*x)*cos(b*x) + c*x", None, 3, {"a": [3, None], "b": [3, None], "c": "infinite"}),
    # rank 2
    ("a*tanh(x) + b/cosh(x)", GAUSS, 3, {"a": 3, "b": 3, "ν": [2, 3]}),
    ("c*sin(a*x + b)", GAUSS, 3, {"c": [3, 6], "a": [2, 6], "b": [3, 6], "ν": [2, 3]}),
    ("c*sin(a*x + b)", GAUSS, 4, {"c": 4, "a": [2, 4], "b": 4, "ν": [2, 4]}),
    ("linear", None, 2, {"a": "infinite", "b": "infinite"}),
    ("relu", None, 2, {"a": "infinite", "b": "infinite"}),
    ("gelu", None, 2, {"a": 2, "b": 2}),
    ("c*gelu(a*x + b)", None, 2, {"c": "infinite", "a": 2, "b": 2}),
    # nondegenerate densities
    ("gelu", GAUSS, 3, {"a": 2, "b": 2, "ν": 2}),
    ("relu", GAUSS, 2, {"a": 2, "b": 2, "ν": 2}),
    ("linear", "gaussian-known", 3, {"a": 2, "b": 2}),
    # kinks: b moves without one along (a, b) only, and not at all where a is 1
    ("abs(a*x + b)", GAUSS, 3, {"a": 2, "b": 2, "ν": 2}),
    ("relu(1*x - b)", None, 2, {"b": "3/2"}),
    ("relu(a*x)", GAUSS, 2, {"a": 2, "ν": 2}),
    ("Max(a*x + b, c)", GAUSS, 2, {"a": [2, 4], "b": 4, "c": 4, "ν": 2}),
]


@pytest.mark.parametrize(("text", "likelihood", "cell", "expected"), KNOWN)
def test_known_answers(text, likelihood, cell, expected):
    assert said(orders(text, likelihood, cell)) == expected


def test_under_the_sigmoid_gate_the_location_of_erf_is_as_slow():
    found = orders("erf(a*x + b)", None, 3, gate="sigmoid")
    assert found["b"].order == [6, None]
    assert found.regime == 1


def test_status_and_rate():
    found = orders("linear", GAUSS, 2)
    assert [d.status for d in found.directions] == ["exact"] * 3
    assert [d.rate for d in found.directions] == ["n^-1/4", "n^-1/8", "n^-1/4"]
    square = orders("a*x**2 + b*x + c", GAUSS, 3)["b"]
    assert (square.status, square.rate) == ("interval", "n^-3/16 to n^-1/12")
    erf = orders("erf(a*x + b)", None, 2)
    assert (erf["a"].status, erf["b"].status) == ("exact", "exact")
    assert erf["b"].rate == "n^-1/8"
    free = orders("erf(a*x + b)", None, 2, gate="sigmoid")
    assert (free["a"].status, free["b"].status) == ("open", "interval")
    assert free["b"].rate == "n^-1/8 or slower"
    exact = orders("linear", None, 2)["a"]
    assert (exact.status, exact.rate) == ("exact", "no consistent estimator")


def test_an_expansion_that_stops_early_claims_less():
    found = orders("linear", GAUSS, 4, max_order=5)
    assert said(found) == {"a": 2, "b": [5, 8], "ν": ["5/2", 4]}


def test_larger_cells_are_no_faster():
    for text in ("linear", "a*x**2 + b*x + c"):
        lowest = [orders(text, GAUSS, m) for m in (2, 3, 4)]
        for small, large in pairwise(lowest):
            for d in small.directions:
                assert large[d.direction].lower.order >= d.lower.order


# -- arcs -------------------------------------------------------------------------------------


def arc_of(kind, m):
    """(expert function, how it is seen, atoms, order)."""
    if kind == "location":
        atom = expert_function(Expert.from_expression("a*tanh(x) + 2*b"))
        return atom, Through.DENSITY, location_arc(m, {"b": 1}, sp.Integer(2)), 2 * m
    if kind == "ridge":
        atom = expert_function(Expert.from_expression("erf(a*x + b)"))
        return atom, Through.VALUE, ridge_arc(m, "b", ["a"], sp.Integer(2), 2 * m), 2 * m
    if kind == "polygon":
        atom = expert_function(Expert.from_expression("atan(a*x - 3*b)"))
        return atom, Through.VALUE, polygon_arc(m, "b", ["a"], sp.Integer(-3), m + 2), m
    if kind == "heat":
        atom = expert_function(Expert.from_expression("exp(-(x - m)**2/s)/sqrt(s)"))
        return atom, Through.VALUE, pair_flow_arc(m, "m", "s", sp.Integer(4)), 2 * m
    if kind == "laplace":
        atom = expert_function(Expert.from_expression("b/((x - 3*a)**2 + b**2)"))
        return atom, Through.VALUE, pair_polygon_arc(m, "a", "b", sp.Integer(3)), m
    atom = expert_function(Expert.from_expression("a*x**2 + b*x + c"))
    one = sp.Integer(1)
    return atom, Through.DENSITY, shared_location_arc("c", one, "b", {"a": one}, {}), 8


ARCS = [
    ("location", 2),
    ("location", 3),
    ("location", 4),
    ("ridge", 2),
    ("ridge", 3),
    ("shared", 3),
    ("heat", 2),
    ("heat", 3),
    *(("laplace", m) for m in (3, 4, 5)),
    *(("polygon", m) for m in (3, 4, 5, 6)),
]


@pytest.mark.parametrize(("kind", "m"), ARCS)
def test_an_arc_has_its_order_and_no_more(kind, m):
    atom, through, atoms, expected = arc_of(kind, m)
    assert Expansion(atom, through, expected + 2, Deadline(60)).order_of(atoms) == expected


@pytest.mark.parametrize(("kind", "m"), ARCS)
def test_numbers_agree_with_the_series(kind, m):
    """Ball arithmetic at the atoms; nothing of the series enters."""
    atom, through, atoms, expected = arc_of(kind, m)
    eta = [Fraction(3 + i, 4) for i in range(len(atom.parameters))]
    steps, slope = Measurement(atom, through, eta, EVERYWHERE, 1).steps(atoms)
    assert float(slope) == pytest.approx(expected, abs=0.02)
    assert len(steps) == 5


@settings(max_examples=amount(8, 25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(ARCS),
    group=st.integers(0, 2),
    place=st.integers(0, 3),
    by=st.sampled_from(["1/7", "-1/3", "1/1000000"]),
    weight=st.booleans(),
)
def test_a_changed_coefficient_is_refused(kind, group, place, by, weight):
    atom, through, atoms, expected = arc_of(*kind)
    chosen = group % len(atoms)
    old = atoms[chosen]
    if weight:
        at = place % len(old.weight)
        values = [
            str(Fraction(w) + (Fraction(by) if i == at else 0)) for i, w in enumerate(old.weight)
        ]
        new = replace(old, weight=tuple(values))
    else:
        at = place % len(old.deviations)
        name, text = old.deviations[at]
        moved = ((n, f"(1 + {by})*({t})" if n == name else t) for n, t in old.deviations)
        new = replace(old, deviations=tuple(moved))
        assert text
    changed = (*atoms[:chosen], new, *atoms[chosen + 1 :])
    assert Expansion(atom, through, expected, Deadline(60)).order_of(changed) < expected


def order_by_expansion(text, through, groups, limit):
    """The same by SymPy alone: the first power of t that is left."""
    t, u = sp.symbols("t u")
    h, total = sp.sympify(text), 0
    names = {str(s) for s in h.free_symbols} - {"x"}
    for weight, moved in groups:
        change = h.subs({n: sp.Symbol(n) + moved.get(n, 0) for n in names}, simultaneous=True) - h
        if through is Through.VALUE:
            total += weight * change
        else:
            exponent = u * change + u**2 * moved.get("ν", 0) / 2
            total += weight * sum(exponent**k / sp.factorial(k) for k in range(1, limit))
    series = sp.Poly(sp.expand(total), t)
    return next((n for n in range(1, limit) if series.coeff_monomial(t**n) != 0), limit)


SMALL = st.integers(-2, 2)
CURVE = st.tuples(SMALL, SMALL, SMALL)


@settings(max_examples=amount(8, 25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    which=st.sampled_from([("a*x**2 + b*x", Through.DENSITY), ("(a*x + b)**3", Through.VALUE)]),
    curves=st.lists(st.tuples(CURVE, CURVE), min_size=2, max_size=3),
    mirrored=st.booleans(),
)
def test_orders_of_arbitrary_arcs_are_those_of_a_plain_expansion(which, curves, mirrored):
    text, through = which
    t = sp.Symbol("t")
    if mirrored:  # higher orders are seen where first moments cancel
        curves = [c for p, q in curves for c in ((p, q), (tuple(-v for v in p), q))]
    groups = []
    for p, q in curves:
        moved = {"b": sum(c * t ** (n + 1) for n, c in enumerate(p)), "a": q[0] * t**2}
        if through is Through.DENSITY:
            moved["ν"] = q[1] * t**2 + q[2] * t**3
        groups.append((sp.Rational(1, len(curves)), moved))
    atoms = [
        Atoms(
            ("0", "1"),
            (str(weight),),
            tuple((n, str(v).replace("t", "τ")) for n, v in moved.items() if v != 0),
        )
        for weight, moved in groups
    ]
    found = Expansion(expert_function(Expert.from_expression(text)), through, 5, Deadline(60))
    assert found.order_of(atoms) == order_by_expansion(text, through, groups, 5)


def test_atoms_must_be_real_and_of_positive_weight():
    good = Atoms(("-3", "0", "1"), ("1/2",), (("b", "ξ*τ"),))
    assert len(atoms_at(good)) == 2
    assert atoms_at(replace(good, roots=("3", "0", "1"))) is None  # no real roots
    assert atoms_at(replace(good, roots=("0", "0", "1"))) is None  # a double root
    assert atoms_at(replace(good, weight=("1/2", "1"))) is None  # a negative weight
    atom = expert_function(Expert.from_expression("a*x + b"))
    expansion = Expansion(atom, Through.DENSITY, 3, Deadline(60))
    with pytest.raises(ValueError, match="vanish"):
        expansion.order_of([replace(good, deviations=(("b", "ξ + τ"),))])


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=4, unique=True), st.integers(0, 6))
def test_traces_are_sums_over_roots(roots, power):
    x = sp.Symbol("x")
    coefficients = sp.Poly(sp.Mul(*(x - r for r in roots)), x).all_coeffs()[::-1]
    group = Atoms(tuple(map(str, coefficients)), ("2", "-1"), ())
    expected = sum((2 - r) * r**power for r in roots)
    assert trace_powers(group, power + 1)[power] == expected


def test_the_arc_in_the_answer_can_be_checked_from_its_text():
    document = json.loads(json.dumps(orders("erf(a*x + b)", None, 3).to_dict()))
    arc = next(d for d in document["directions"] if d["direction"] == "b")["lower"]["arc"]
    atoms = [
        Atoms(tuple(g["roots"]), tuple(g["weight"]), tuple(g["deviations"].items()))
        for g in arc["atoms"]
    ]
    atom = expert_function(Expert.from_expression("erf(a*x + b)"))
    expansion = Expansion(atom, Through.VALUE, 7, Deadline(60))
    assert expansion.order_of(atoms) == arc["order"] == 6
    assert expansion.powers(atoms) == arc["powers"] == {"a": 2, "b": 1}
    assert sum(len(atoms_at(g)) for g in atoms) == arc["cell"] == 3


def test_a_pair_has_order_two():
    atom = expert_function(Expert.from_expression("tanh(a*x + b)"))
    assert Expansion(atom, Through.VALUE, 4, Deadline(60)).order_of(pair_arc("a")) == 2


# -- what must not change the answer ------------------------------------------------------------


@settings(max_examples=amount(4, 6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.permutations(["u", "v", "w"]),
    scale=st.sampled_from(["", "3*", "-2*"]),
    base=st.sampled_from(
        [("tanh({0}*x + {1}) + {s}{2}", GAUSS, 2), ("erf({0}*x + {s}{1})", None, 2)]
    ),
)
def test_names_and_units_of_parameters_do_not_matter(names, scale, base):
    text, likelihood, cell = base
    plain = orders(text.format("a", "b", "c", s=""), likelihood, cell)
    other = orders(text.format(*names, s=scale), likelihood, cell)
    image = dict(zip("abc", names, strict=True))
    moved = {image.get(d.direction, d.direction): d.order for d in plain.directions}
    assert said(other) == moved


def test_another_seed_gives_the_same_orders():
    found = [said(orders("a*x**2 + b*x + c", GAUSS, 3, seed=seed)) for seed in (0, 5)]
    assert found[0] == found[1]


# -- the command --------------------------------------------------------------------------------

ASKED = ["order", "--expert", "linear", "--gate", "softmax", "--likelihood", "gaussian"]


@pytest.mark.parametrize(
    "arguments",
    [
        ASKED,
        ["order", "--expr", "a*x**2 + b*x + c", *ASKED[3:], "--cell", "3"],
        ["order", "--expert", "relu", "--gate", "softmax"],
        ["order", "--expr", "c*tanh(a*x0 + b*x1 + e) + d", *ASKED[3:]],
    ],
)
def test_the_document_follows_its_schema_and_the_table_fits(arguments, capsys):
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("order-1")).validate(document)
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for d in document["directions"]:
        assert any(line.split()[:1] == [d["direction"]] for line in lines)


def test_the_first_example_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys; from identkit.cli import main\n"
        f"main({[*ASKED, '--cell', '3']!r})\n"
        "heavy = {'torch', 'matplotlib', 'scipy.optimize'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 10
    assert done.stdout.splitlines()[-1] == "heavy: []"
    assert "b          6      exact   n^-1/12" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*ASKED, "--cell", "1"], "--cell 1: give from 2 to 6"),
        ([*ASKED, "--cell", "7"], "--cell 7: give from 2 to 6"),
        ([*ASKED, "--max-order", "13"], "--max-order 13: give from 2 to 12"),
        ([*ASKED, "--max-order", "1"], "--max-order 1: give from 2 to 12"),
        (["order", "--expr", "1/x + a", "--gate", "softmax"], "singular"),
        (["order", "--expert", "gelu", "--gate", "(1 + tanh(s))/2"], "no expansion"),
        (["order", "--expert", "gelu", "--gate", "sigmoid", "--likelihood", "gaussian"], "order"),
        (["order", "--expr", "a*x; b*x", *ASKED[3:]], "one output"),
        (["order", "--expert", "gelu", "--gate", "softmax", "--variance", "known"], "variance"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("identkit: ")
    assert words in told
    assert len(told.splitlines()) == 1


def test_a_limit_leaves_what_every_expert_has():
    found = order("linear", "softmax", likelihood=GAUSS, dim=1, cell=3, time_limit=0.001)
    assert {d.status for d in found.directions} == {"open"}
    assert said(found) == {"a": [2, None], "b": [2, None], "ν": [2, None]}
    Draft202012Validator(schema("order-1")).validate(found.to_dict())


def test_errors_are_raised_in_python():
    with pytest.raises(InputError, match="not a whole number"):
        order("gelu", "softmax", cell=2.5)
    with pytest.raises(DomainError):
        order(Expert.from_expression("1/x + a"), "softmax", cell=2)


@pytest.mark.parametrize("cell", [2, 3])
def test_shared_experts_have_the_orders_of_routed_ones(cell):
    """r1(m) = r2(m) = 2m: of the weights free of x, and of those of a softmax."""
    shared, routed = (
        order("linear", gate, likelihood="gaussian", dim=1, cell=cell)
        for gate in ("input-free", "softmax")
    )
    orders = [{d.direction: d.order for d in found.directions} for found in (shared, routed)]
    assert orders[0] == orders[1]
    assert orders[0]["b"] == 2 * cell


def test_a_check_says_the_orders_too(capsys):
    arguments = [
        "--expert",
        "linear",
        "--gate",
        "softmax",
        "--dim",
        "1",
        "--likelihood",
        "gaussian",
    ]
    assert main(["check", *arguments, "--orders", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("check-1")).validate(document)
    for cell, found in zip((2, 3), document["orders"], strict=True):
        Draft202012Validator(schema("order-1")).validate(found)
        assert main(["order", *arguments, "--cell", str(cell), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == found
    checked = check("linear", "softmax", dim=1, likelihood="gaussian")
    assert [each["b"].order for each in checked.orders()] == [4, 6]
    assert main(["check", *arguments, "--orders"]) == 0
    assert "3 atoms in a cell: a 2 (n^-1/4); b 6 (n^-1/12)" in capsys.readouterr().out
    bare = ["check", "--expert", "gelu", "--gate", "1 + s**2", "--dim", "1", "--orders"]
    assert main(bare) == 2
    assert not capsys.readouterr().out


# -- gates with a router of their own --------------------------------------------------------------

ERF = "erf(a*x + b)"
TANH = "dense-to-sparse tanh"
ROUTED = [
    # b of the quadratic gate is slow for every expert: 2m, and A m (theory section 9)
    ("gelu", "quadratic", GAUSS, 2, {"a": [2, 4], "b": [2, 4], "ν": 2, "α": 2, "β": 4}),
    ("gelu", "quadratic", GAUSS, 3, {"a": [2, 6], "b": [2, 6], "ν": [2, 3], "α": 3, "β": 6}),
    ("gelu", "quadratic", "gaussian-known", 3, {"a": 2, "b": 2, "α": 3, "β": 6}),
    ("tanh", "quadratic", "gaussian-common", 2, {"a": 2, "b": 2, "α": 2, "β": 4}),
    ("gelu", "quadratic", None, 3,
     {"a": [2, None], "b": [2, None], "α": [3, None], "β": [6, None]}),
    ("sin", "gaussian-gate", GAUSS, 3, {"a": [2, 6], "b": [2, 6], "ν": [2, 3], "ρ": 3, "μ": 6}),
    ("linear", "quadratic", GAUSS, 2, {"a": [2, 4], "b": 4, "ν": 2, "α": 2, "β": 4}),
    # arcs of the expert alone, and what shows whatever the expert does
    ("linear", TANH, GAUSS, 3, {"a": 2, "b": 6, "ν": 3, "ω": 2}),
    ("linear", "dense-to-sparse", GAUSS, 2, {"a": 2, "b": 4, "ν": 2, "ω": 2}),
    ("linear", "monomial-quadratic", GAUSS, 2, {"a": [2, 4], "b": 4, "ν": 2, "α": 2}),
    ("linear", "hierarchical", GAUSS, 3, {"a": [2, 6], "b": 6, "ν": 3}),
    (ERF, TANH, None, 3, {"a": [3, None], "b": [6, None], "ω": [2, None]}),
    (ERF, "laplace", None, 2, {"a": [2, None], "b": [4, None], "ω": ["3/2", None]}),
    ("atan(a*x + b)", "dense-to-sparse gelu", None, 3,
     {"a": [3, None], "b": [3, None], "ω": [2, None]}),
    ("linear", TANH, None, 2, {"a": "infinite", "b": "infinite", "ω": [2, None]}),
    # nondegenerate: two, or what a kink moves
    ("tanh", TANH, None, 3, {"a": 2, "b": 2, "ω": 2}),
    ("tanh", "laplace", None, 2, {"a": 2, "b": 2, "ω": "3/2"}),
    ("gelu", "dense-to-sparse relu", GAUSS, 2, {"a": 2, "b": 2, "ν": 2, "ω": 2}),
    ("tanh", "dense-to-sparse w*x + v", GAUSS, 2,
     {"a": 2, "b": 2, "ν": 2, "ω_w": 2, "ω_v": "infinite"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "gate", "likelihood", "cell", "expected"), ROUTED)
def test_orders_with_a_router(text, gate, likelihood, cell, expected):
    assert said(orders(text, likelihood, cell, gate)) == expected


@pytest.mark.parametrize("likelihood", [None, GAUSS, "gaussian-known"])
@pytest.mark.parametrize("gate", [TANH, "dense-to-sparse", "laplace", "hierarchical"])
@pytest.mark.parametrize("text", [ERF, "linear", "gelu", "exp(a*x**2 + b*x)", "asinh(a*x + b)"])
def test_a_router_makes_nothing_faster(text, gate, likelihood):
    """Arcs with the gate untouched: at least what the expert has under softmax from below."""
    plain, routed = orders(text, likelihood), orders(text, likelihood, gate=gate)
    for d in plain.directions:
        if not d.infinite and not routed[d.direction].infinite:
            assert routed[d.direction].lower.order >= d.lower.order
        assert d.infinite == routed[d.direction].infinite


def test_two_inputs_of_a_quadratic_gate():
    found = order("gelu", "quadratic", dim=2, cell=3)
    own = {d.direction: d.order for d in found.directions if d.direction[0] in "αβ"}
    assert own == {**{f"α_{n}": [3, None] for n in ("00", "01", "11")}, "β_0": [6, None],
                   "β_1": [6, None]}  # fmt: skip
    Draft202012Validator(schema("order-1")).validate(found.to_dict())


@pytest.mark.parametrize(("gate", "u"), [("quadratic", "β"), ("gaussian-gate", "μ")])
@pytest.mark.parametrize("likelihood", [None, GAUSS])
@pytest.mark.parametrize("m", [2, 3])
def test_arcs_of_gates_from_the_definition(gate, u, likelihood, m):
    """50 digits, the weights written out: nothing of the series or of ball arithmetic."""
    arc = orders("gelu", likelihood, m, gate)[u].lower.arc
    assert float(arc.slope) == pytest.approx(2 * m, abs=0.05)
    eta = {"a": mp.mpf("0.8"), "b": mp.mpf("0.3")}
    names = {"quadratic": ("α", "β"), "gaussian-gate": ("ρ", "μ")}[gate]
    gamma = dict(zip(names, (mp.mpf("0.9"), mp.mpf("0.4")), strict=True))

    def score(g, x):
        if gate == "quadratic":
            return g["α"] * x**2 + g["β"] * x
        return mp.log(g["ρ"]) / 2 - g["ρ"] * (x - g["μ"]) ** 2 / 2

    def mixture(cell, x, y):
        second = (mp.mpf(1) / 2, dict(zip(names, (mp.mpf("0.5"), mp.mpf("-0.7")), strict=True)), -1)
        above = below = mp.mpf(0)
        for weight, g, sign in (*cell, second):
            h = sign * (eta["a"] * x + eta["b"])
            h = h * (1 + mp.erf(h / mp.sqrt(2))) / 2
            value = h if likelihood is None else mp.exp(-((y - h) ** 2) / 2)
            above += weight * mp.exp(score(g, x)) * value
            below += weight * mp.exp(score(g, x))
        return above / below

    def norm(t):
        (group,) = arc.atoms
        roots = mp.polyroots([mp.mpf(sp.Rational(c)) for c in reversed(group.roots)], extraprec=200)
        cell = []
        for s in roots:
            weight = sum(mp.mpf(sp.Rational(c)) * s**i for i, c in enumerate(group.weight))
            at = {"ξ": s, "τ": t, **gamma}
            moved = {n: mp.mpf(eval(d, {}, at)) for n, d in group.deviations}
            cell.append((weight, {n: v + moved.get(n, 0) for n, v in gamma.items()}, 1))
        points = [(mp.mpf(i) / 3, mp.mpf(i % 3) - 1) for i in range(-7, 8)]
        true = [(mp.mpf(1), gamma, 1)]
        return max(abs(mixture(cell, x, y) - mixture(true, x, y)) for x, y in points)

    with mp.workdps(50):
        slope = mp.log(norm(mp.mpf(2) ** -9) / norm(mp.mpf(2) ** -10), 2)
    assert float(slope) == pytest.approx(arc.order, abs=0.05)


@pytest.mark.parametrize("change", [("α", "-τ**2/3"), ("α", "-τ**2/2 + τ**3"), ("β", "2*ξ*τ")])
def test_a_changed_flow_of_a_gate_is_refused(change):
    """The weights of the atoms are expanded, not believed."""
    gate = resolve("quadratic")
    atom = routed_function(builtin("gelu", None, 1), gate)
    arc = orders("gelu", None, 3, "quadratic")["β"].lower.arc
    name, text = change
    (group,) = arc.atoms
    moved = tuple((n, text if n == name else d) for n, d in group.deviations)
    expansion = Expansion(atom, Through.VALUE, 6, Deadline(60))
    assert expansion.order_of(arc.atoms) == 6
    assert expansion.order_of([replace(group, deviations=moved)]) < 6


def test_a_gate_and_an_expert_that_move_together():
    """W·h of one arc: block 0 and block 1 both count."""
    atom = routed_function(builtin("linear", None, 1), resolve("quadratic"))
    expansion = Expansion(atom, Through.DENSITY, 5, Deadline(60))
    pair = Atoms(
        ("-1", "0", "1"),
        ("1/2",),
        (("β", "ξ*τ"), ("α", "-τ**2/2"), ("b", "ξ*τ"), ("a", "-τ**2"), ("ν", "-τ**2")),
    )
    assert expansion.order_of([pair]) == 4
    still = replace(pair, deviations=tuple(d for d in pair.deviations if d[0] != "a"))
    assert expansion.order_of([still]) == 2  # Σ wΔβΔb x is what −τ²·x makes up for


def test_a_check_says_orders_with_a_router(tmp_path):
    result = check("gelu", "quadratic", dim=1, likelihood=GAUSS)
    assert result.results[0].rate.derived == "n^-1/8 for cells of 2"
    plain = check("gelu", "quadratic", dim=1)
    assert plain.results[0].rate.derived == "n^-1/8 or slower for cells of 2"
    for i, found in enumerate((result, plain)):
        file = str(tmp_path / f"{i}.json")
        found.save(file)
        verified = verify(file)
        assert verified.results[0].orders == ()  # a file holds arcs of experts alone
        assert verified.results[0].rate.derived == "slower than n^-1/4"
