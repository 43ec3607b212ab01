"""``identkit.interactions``: relations among partial derivatives, found and proved."""

from __future__ import annotations

import json
import random

import mpmath as mp
import pytest
import sympy as sp
from amounts import amount
from hypothesis import given, settings
from hypothesis import strategies as st

from identkit import InputError, interactions, router_interactions
from identkit.cli import main
from identkit.experts import builtin
from identkit.expression import parse

FUNCTIONS = [
    ("exp(-(y - mu)**2/(2*nu))/sqrt(2*pi*nu)", ("y",)),
    ("exp(b0 + b1*x)*gelu(a*x + b)", ("x",)),
    ("exp(b1*x/tau + b0)*(a*x + b)**2", ("x",)),
    ("erf(a*x + b)", ("x",)),
    ("c*relu(a*x + b)", ("x",)),
    ("sin(a*x + b) + c*x", ("x",)),
    ("a*x/(1 + exp(-b*x - c))", ("x",)),
    ("c*log(1 + exp(a*x0 + b*x1))", ("x0", "x1")),
]


MODULES = [{"Step": lambda v: mp.mpf(v > 0)}, "mpmath"]


def derivative(expression, names):
    """∂^n expression / ∂names by SymPy; almost everywhere for kinks."""
    for name in names:
        expression = sp.diff(expression, parse(name))
    return expression


@pytest.mark.parametrize(("text", "inputs"), FUNCTIONS)
def test_every_relation_holds_in_fifty_digits(text, inputs):
    """An independent route: SymPy derivatives, evaluated by mpmath at seeded points."""
    found = interactions(text, inputs=inputs)
    assert found.independent == "no"
    expression = parse(text)
    rng = random.Random(3)
    for relation in found.relations:
        total = sp.Integer(0)
        for term in relation.terms:
            total += parse(term.coefficient) * derivative(expression, term.function.factors[0])
        symbols = sorted(total.free_symbols | expression.free_symbols, key=str)
        for _ in range(3):
            point = {s: sp.Rational(rng.randint(21, 80), 40) for s in symbols}
            with mp.workdps(60):
                value = sp.lambdify([], total.subs(point), MODULES)()
            assert abs(value) < mp.mpf(10) ** -40, relation.text


@pytest.mark.parametrize(("text", "inputs"), FUNCTIONS)
def test_relations_are_a_basis(text, inputs):
    """Number of functions minus relations is the rank of an exact null space, found numerically.

    Rank from above by the relations, from below by 50 digits at more points than functions: an
    observation, but one that would show a missing relation.
    """
    found = interactions(text, inputs=inputs)
    expression = parse(text)
    names = [t.factors[0] for t in (*found.proof.dropped, *found.proof.kept)]
    derivatives = [derivative(expression, d) for d in names]
    parameters = [parse(n) for n in found.atom.parameters]
    rng = random.Random(5)
    theta = {p: sp.Rational(rng.randint(21, 80), 40) for p in parameters}
    variables = [parse(n) for n in found.atom.inputs]
    rows = [d.subs(theta) for d in derivatives]
    with mp.workdps(80):
        functions = [sp.lambdify(variables, r, MODULES) for r in rows]
        points = [
            [mp.mpf(rng.randint(-60, 60)) / 41 for _ in variables] for _ in range(2 * len(rows))
        ]
        matrix = mp.matrix([[f(*p) for f in functions] for p in points])
        singular = mp.svd_r(matrix, compute_uv=False)
        rank = sum(v > mp.mpf(10) ** -50 * singular[0] for v in singular)
    assert rank == len(rows) - len(found.relations) - len(found.vanishing)
    assert found.complete


@settings(max_examples=amount(5, 15), deadline=None)
@given(st.permutations(["b0", "b1", "a", "b"]), st.sampled_from(["tanh", "gelu", "softplus"]))
def test_names_do_not_matter(names, activation):
    """Renaming parameters renames the relation."""
    b0, b1, a, b = names
    text = f"exp({b0} + {b1}*x)*{activation}({a}*x + {b})"
    found = interactions(text, [[a], [b1, b], [b], [b, b]])
    (relation,) = found.relations
    assert {tuple(sorted(t.function.factors[0])) for t in relation.terms} == {
        (a,),
        tuple(sorted((b1, b))),
    }


def test_independence_is_for_the_number_of_atoms_asked():
    """Cubes lie in a space of dimension 4."""
    for atoms, expected in ((1, "yes"), (4, "yes"), (5, "no")):
        found = interactions("(a*x + b)**3", [()], atoms=atoms)
        assert found.independent == expected
    assert "dimension 4" in str(found)
    assert "4 atoms" in str(interactions("(a*x + b)**3", [()], atoms=4))


def test_vanishing_derivatives_are_said():
    found = interactions("a*x + b*x**2", order=2)
    assert set(found.vanishing) == {"∂²U/∂a²", "∂²U/∂a∂b", "∂²U/∂b²"}
    assert found.independent == "no"
    assert "∂²U/∂a² = 0" in str(found)


def test_json_form():
    document = json.loads(json.dumps(interactions("erf(a*x + b)").to_dict()))
    assert document["relations"] == ["2*a*∂U/∂a + 2*b*∂U/∂b = -∂²U/∂b²"]
    assert document["independent"] == "no"
    assert document["functions"][0] == "U"


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("tanh(a*x)", [["c"]]), {}, "c is not a parameter"),
        (("tanh(a*x)", [["a"], ["a"]]), {}, "listed twice"),
        (("tanh(a*x)", []), {}, "0 are listed"),
        (("tanh(a*x)",), {"order": 300}, "most 200 are compared"),
        (("tanh(a*x)",), {"order": -1}, "order"),
        (("tanh(a*x)",), {"atoms": 0}, "atoms"),
        (("tanh(a*x)",), {"inputs": ("y",)}, "y is not in"),
        (("tanh(a*x", ), {}, "expression"),
        (("tanh(a*x)",), {"domain": (3, -3)}, "width"),
    ],
)  # fmt: skip
def test_bad_arguments_are_one_sentence(arguments, options, words):
    with pytest.raises(InputError, match=words) as error:
        interactions(*arguments, **options)
    assert "\n" not in str(error.value)


def test_command(capsys):
    assert main(["interactions", "exp(b0 + b1*x)*tanh(a*x + b)", "--of", "a", "b1 b", "b"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "∂U/∂a = ∂²U/∂b1∂b"
    assert main(["interactions", "log(a*x)", "--domain", "1", "2"]) == 0
    assert "∂U/∂a" in capsys.readouterr().out
    assert main(["interactions", "relu(a*x + b)"]) == 0
    assert "Dirac parts are not compared" in capsys.readouterr().out
    assert main(["interactions", "-tanh(a*x + b)", "--order", "1", "--atoms", "2"]) == 0
    assert capsys.readouterr().out.startswith("linearly independent: 2 atoms")
    heat = ["interactions", "exp(-(y - m)**2/(2*v))/sqrt(2*pi*v)", "--inputs", "y", "--json"]
    assert main(heat) == 0
    assert json.loads(capsys.readouterr().out)["relations"] == ["2*∂U/∂v = ∂²U/∂m²"]
    assert main(["interactions", "tanh(a*x)", "--of", "c"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# -- a router and an expert -----------------------------------------------------------------------

ROUTERS = (
    "linear", "relu", "Max(w*x, w*x/10)", "(w*x)**2", "exp-bias", "-(x - w)**2",
    "tanh", "gelu", "sigmoid", "softplus",
)  # fmt: skip
EXPERTS = (
    ("relu", "ridge"), ("gelu", "ridge"), ("tanh", "ridge"), ("relu", "ffn"), ("gelu", "ffn"),
    ("tanh", "ffn"), ("linear", None), ("poly2", None), ("input-free", None), ("sin", "ridge"),
)  # fmt: skip


def expected(router: str, expert: str) -> tuple[str, str]:
    """By hand: x ∂_b h = ∂_a h for a ridge, and what a slope in the input is for ∂π.

    ∂_ωπ = κx under a linear router: one product is a first derivative, which merging hides, as
    under exp(ωx + ω0), where ∂_ωπ = x ∂_ω0π. ∂_wπ = 2κ(x − w): three functions, nothing to merge.
    Other scores are no combination of 1 and x. An expert free of x has no x ∂_b h.
    """
    if expert == "input-free":
        return "no", "no"
    return {
        "linear": ("yes", "no"), "exp-bias": ("yes", "no"), "-(x - w)**2": ("yes", "yes"),
    }.get(router, ("no", "no"))  # fmt: skip


GRID = [(r, e) for r in ROUTERS for e in EXPERTS]
SAMPLE = [
    ("linear", ("gelu", "ridge")), ("linear", ("relu", "ffn")), ("relu", ("relu", "ridge")),
    ("exp-bias", ("tanh", "ridge")), ("-(x - w)**2", ("linear", None)),
    ("-(x - w)**2", ("input-free", None)), ("tanh", ("sin", "ridge")),
    ("(w*x)**2", ("gelu", "ridge")), ("softplus", ("poly2", None)),
]  # fmt: skip


def interacting(router: str, expert: tuple[str, str | None]):
    found = router_interactions(builtin(*expert, 1), f"dense-to-sparse {router}")
    assert (found.literal, found.after_merging) == expected(router, expert[0]), str(found)
    return found


@pytest.mark.parametrize(("router", "expert"), SAMPLE)
def test_known_interactions(router, expert):
    interacting(router, expert)


@pytest.mark.slow
@pytest.mark.parametrize(("router", "expert"), [pair for pair in GRID if pair not in SAMPLE])
def test_ten_routers_and_ten_experts(router, expert):
    interacting(router, expert)


def test_gauges_come_first_and_are_named():
    """A temperature that a gauge moves, an orbit of a router, one of an expert."""
    linear = router_interactions("gelu", "dense-to-sparse", dim=1)
    assert [h.parameter for h in linear.held] == ["κ"]
    assert "∂π/∂κ" not in str(linear.to_dict()["literal"]["functions"])
    tanh = router_interactions("gelu", "dense-to-sparse tanh", dim=1)
    assert (tanh.held, tanh.free_shared, tanh.excluded) == ((), ("κ",), True)
    assert "∂π/∂κ*∂h/∂b" in tanh.to_dict()["literal"]["functions"]
    both = router_interactions(builtin("relu", "ffn", 1), "dense-to-sparse tanh(w*x*v)")
    assert [h.parameter for h in both.held] == ["ω_v", "c"]
    assert (
        both.literal == "no"
    )  # c∂_c h = a∂_a h + b∂_b h times ∂_ωπ is the orbit's, not the router's


@pytest.mark.parametrize("gate", ["softmax", "sigmoid", "hierarchical", "top-2", "1 + s**2"])
def test_without_a_router_of_its_own_the_score_is_linear(gate):
    found = router_interactions("gelu", gate, dim=1)
    assert (found.literal, found.after_merging) == ("yes", "no")
    (one,) = found.interactions
    assert one.relation.text == "∂h/∂a = ∂π/∂β1*∂h/∂b"
    proved = gate not in ("top-2", "1 + s**2")
    assert one.harmless == ("yes" if proved else "undecided")
    assert ("hence M[β1,b] = 0" in one.effect) == proved


def test_what_is_not_harmless():
    """M_bb of the quadratic gate is invisible: M_ba is not excluded; M_AA = 0 kills M_Ab."""
    found = router_interactions("gelu", "quadratic", dim=1)
    assert {i.harmless for i in found.interactions} == {"no"}
    texts = [i.effect for i in found.interactions]
    assert any("M[α,α] = 0 for all invisible moments, hence M[α,b] = 0" in t for t in texts)
    assert all("M[β,β] ≠ 0 is invisible" in t for t in texts)


@pytest.mark.parametrize(
    ("expert", "gate", "likelihood", "orders"),
    [
        ("linear", "dense-to-sparse", "gaussian", {"a": ("2", "no"), "b": ("4", "no")}),
        ("linear", "dense-to-sparse tanh", "gaussian", {"a": ("2", "no"), "b": ("4", "no")}),
        ("linear", "softmax", "gaussian", {"a": ("2", "no"), "b": ("4", "no")}),
        ("linear", "quadratic", "gaussian", {"a": ("[2, 4]", "undecided"), "b": ("4", "no")}),
        ("gelu", "dense-to-sparse", None, {}),
    ],
)
def test_what_an_interaction_does_to_orders(expert, gate, likelihood, orders):
    found = router_interactions(expert, gate, likelihood=likelihood, dim=1)
    assert {o.direction: (o.order, o.changed) for o in found.orders} == orders


@settings(max_examples=amount(4, 8), deadline=None)
@given(st.sampled_from(["w", "omega", "k"]), st.sampled_from(["tanh", "exp", "sigmoid"]))
def test_names_of_a_router_do_not_matter(name, function):
    own = f"dense-to-sparse {function}({name}*x + u)"
    found = router_interactions("tanh", own, dim=1)
    plain = router_interactions("tanh", f"dense-to-sparse {function}-bias", dim=1)
    assert (found.literal, found.after_merging) == (plain.literal, plain.after_merging)
    assert [i.harmless for i in found.interactions] == [i.harmless for i in plain.interactions]


@pytest.mark.parametrize("router", ["linear", "exp-bias", "-(x - w)**2"])
def test_interactions_hold_in_fifty_digits(router):
    """SymPy derivatives of π and h, at seeded points."""
    found = router_interactions("tanh", f"dense-to-sparse {router}", dim=1)
    score, h = found.atom.routed, found.atom.expression - found.atom.routed
    assert found.interactions
    for i in found.interactions:
        total = sp.Integer(0)
        for term in i.relation.terms:
            parts = [sp.Integer(1)]
            for base, names in zip(term.function.bases, term.function.factors, strict=True):
                part = score if base == "π" else h
                for n in names:
                    part = sp.diff(part, sp.Symbol(n, real=True))
                parts.append(part)
            coefficient = sp.sympify(
                term.coefficient, {str(s): s for s in (score + h).free_symbols}
            )
            total += coefficient * sp.Mul(*parts)
        rng = random.Random(7)
        for _ in range(3):
            point = {s: sp.Rational(rng.randint(21, 80), 40) for s in total.free_symbols}
            assert abs(sp.N(total.subs(point), 50)) < sp.Float("1e-40"), i.relation.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give U, or --gate with"),
        (["--expert", "gelu"], "give U, or --gate with"),
        (["--gate", "softmax"], "give U, or --gate with"),
        (["tanh(a*x)", "--gate", "softmax"], "--gate: it is about an expert and a gate"),
        (["--expert", "gelu", "--gate", "softmax", "--order", "3"], "--order: it is about a fun"),
        (["--expert", "gelu", "--gate", "softmax", "--router", "tanh"], "has no router"),
        (["--expert", "gelu", "--gate", "input-free", "--likelihood", "gaussian"], "free of x"),
        (["--expr", "a*x; b*x", "--gate", "softmax"], "one output"),
        (["--expert", "gelu", "--gate", "dense-to-sparse", "--router", "tanh(x)"], "no parameter"),
        (["--expert", "gelu", "--gate", "softmax", "--time-limit", "0"], "--time-limit"),
    ],
)  # fmt: skip
def test_bad_questions_are_one_sentence(arguments, words, capsys):
    assert main(["interactions", *arguments]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert len(told.splitlines()) == 1


def test_a_limit_leaves_both_open():
    found = router_interactions("gelu", "dense-to-sparse tanh", dim=1, time_limit=0.001)
    assert (found.literal, found.after_merging) == ("undecided", "undecided")
    json.dumps(found.to_dict())


def test_the_command_for_a_pair(capsys):
    ask = ["interactions", "--expert", "gelu", "--gate", "dense-to-sparse", "--dim", "1"]
    assert main(ask) == 0
    assert "κ*∂h/∂a = ∂π/∂ω*∂h/∂b" in capsys.readouterr().out
    assert main([*ask, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "identkit.router-interactions/1"
    assert document["literal"]["verdict"] == "yes"
