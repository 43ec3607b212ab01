"""Gauges that move the temperature: found for a router, or excluded by a determinant."""

from __future__ import annotations

import re

import numpy as np
import pytest
import sympy as sp

from identkit import InputError, check
from identkit.expression import parse, symbol
from identkit.gates import resolve
from identkit.vocabulary import Half

HAVE = ("linear", "relu", "relu-bias", "Max(w*x, w*x/10)", "(w*x)**2", "exp-bias", "-(x - w)**2")
NONE = ("tanh", "tanh-bias", "gelu", "silu", "sigmoid", "softplus", "exp", "sin(w*x) + x*v")


def scale(router, dim=1):
    """(action, excluded) of the gauge that moves κ."""
    found = check("gelu", f"dense-to-sparse {router}", dim=dim)
    actions = [g.action for g in found.gauges if g.name == "scale of κ"]
    none = [n.excluded for n in found.no_gauges if n.name == "scale of κ"]
    assert len(actions) + len(none) == 1
    assert all(g.proved for g in found.gauges)
    return actions[0] if actions else None, bool(none) and none[0]


@pytest.mark.parametrize("router", HAVE)
def test_routers_with_a_scale(router):
    assert scale(router)[0] is not None


@pytest.mark.parametrize("router", NONE)
def test_routers_without_one(router):
    assert scale(router) == (None, True)


def test_two_inputs():
    assert "ω_0 → ω_0*exp(s), ω_1 → ω_1*exp(s), κ → κ*exp(-s)" in scale("linear", 2)[0]
    assert scale("tanh", 2) == (None, True)


def test_the_scale_of_a_euclidean_router_leaves_f():
    """Its common factor exp(−κx²) changes: β0 of each atom and the quotient make up for it."""
    action, _ = scale("-(x - w)**2")
    assert action == (
        "ω_w → ω_w*exp(s), κ → κ*exp(-s), β0 → β0 - κ*ω_w**2*(1 - exp(s)), for all atoms alike"
    )
    rng = np.random.default_rng(0)
    x, kappa, s = rng.normal(size=50), 0.7, 0.4
    w, beta0, h = rng.normal(size=3), rng.normal(size=3), rng.normal(size=(3, 50))

    def f(w, beta0, kappa):
        weights = np.exp(-kappa * (x - w[:, None]) ** 2 + beta0[:, None])
        return (weights * h).sum(axis=0) / weights.sum(axis=0)

    moved = f(w * np.exp(s), beta0 - kappa * w**2 * (1 - np.exp(s)), kappa * np.exp(-s))
    assert np.allclose(moved, f(w, beta0, kappa), rtol=1e-12)
    assert not np.allclose(f(w * np.exp(s), beta0, kappa * np.exp(-s)), f(w, beta0, kappa))


SPEEDS = {
    "(w + v**2)*x": lambda w, v, k: (-w - v**2, 0, k),
    "(w**2 + w)*x": lambda w, v, k: ((-(w**2) - w) / (2 * w + 1), 0, k),
    "(w + 1)*tanh(x*v)": lambda w, v, k: (-w - 1, 0, k),
}


@pytest.mark.parametrize("router", SPEEDS)
def test_a_flow_moves_what_is_shared_alike_for_all_atoms(router):
    """The speed of κ is free of ω; along it the difference of two atoms' scores stays."""
    action, _ = scale(router)
    assert action is not None
    moved = dict(re.findall(r"(ω_\w|κ)' = (.+?)(?=, | \(no closed)", action))
    assert moved["κ"] == "κ"
    w, v, kappa, x = sp.symbols("w v kappa x")
    speeds = SPEEDS[router](w, v, kappa)
    own = {symbol("w"): w, symbol("v"): v}
    said = parse(moved["ω_w"].replace("ω_", "")).xreplace(own)
    assert sp.simplify(said - speeds[0]) == 0
    score = kappa * parse(router).xreplace({symbol(str(n)): n for n in (w, v, x)})
    change = sum(s * sp.diff(score, p) for s, p in zip(speeds, (w, v, kappa), strict=True))
    assert not sp.simplify(change).free_symbols & {w, v}  # a common function of x


def test_a_gauge_that_the_value_at_zero_would_hide():
    """exp(w)·tanh(x + v) keeps W itself, though W/W(0, 0) changes."""
    action, _ = scale("exp(w)*tanh(x + v)")
    assert action is not None
    assert "ω_w → ω_w + log(κ) - log(s + κ)" in action


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("top-0", "give a number of atoms"),
        ("top-99999", "1 to 64"),
        ("dense-to-sparse w*y", "no input"),
        ("dense-to-sparse x", "no parameter of its own"),
        ("dense-to-sparse tanh(", "--router"),
    ],
)
def test_gates_that_there_are_not(name, says):
    with pytest.raises(InputError, match=says):
        resolve(name)


@pytest.mark.parametrize("name", ["top-2", "hierarchical", "quadratic", "dense-to-sparse tanh"])
def test_names_make_the_same_gate_again(name):
    gate = resolve(name)
    assert resolve(gate.name).rule == gate.rule
    assert resolve(gate.name, "gaussian").under("least-squares").rule == gate.rule


@pytest.mark.parametrize(
    ("gate", "letters"),
    [
        ("laplace", "ω"),
        ("quadratic", "A and β1"),
        ("dense-to-sparse tanh", "ω"),
        ("softmax", "β1"),
        ("hierarchical", "in one group, and all routed β1"),
    ],
)
def test_weights_of_the_routed_half_are_constants_only_where_their_scores_are(gate, letters):
    """Halves can be exchanged only where weights are free of x: equal γ of every block."""
    found = check("linear", gate, dim=1, likelihood="gaussian", shared="linear")
    said = {g.name: g.where for g in found.gauges if g.name.endswith("the halves")}
    assert len(said) == 2
    for where in said.values():
        assert f"{letters} are equal, or one atom is routed" in where


def test_copies_of_atoms_put_others_out_of_a_selection():
    """Under top-2 two copies of two atoms are four, of which two count; so nothing is claimed."""
    found = check("linear", "top-2", dim=1, likelihood="gaussian", shared="linear")
    assert [g.name for g in found.gauges if g.half is not Half.SHARED] == ["common shift"]
    halves = [n for n in found.no_gauges if n.name == "exchange of the halves"]
    assert [n.excluded for n in halves] == [False]
    assert "the sum over all atoms" in halves[0].reason
    x, slopes = 0.3, np.array([1.0, -1.0])
    h = np.array([2.0, 5.0])

    def top(scores, values):
        chosen = np.argsort(-scores)[:2]
        weights = np.exp(scores[chosen])
        return (weights * values[chosen]).sum() / weights.sum()

    copies = np.concatenate([slopes + 0.1, slopes - 0.1])
    assert abs(top(copies * x, np.tile(h, 2)) - top(slopes * x, h)) > 0.1


def test_an_orbit_of_a_score_is_one_of_the_gate():
    """w·v·x stays along (w·r, v/r): no parameter of the expert moves."""
    found = check("gelu", "dense-to-sparse w*v*x", dim=1)
    (orbit,) = [g for g in found.gauges if g.name.startswith("orbit of ω")]
    assert orbit.action == "(ω_w, ω_v) → (ω_w*exp(s), ω_v*exp(-s))"
    assert orbit.each
    scaled = check("gelu", "dense-to-sparse w*x + v*u", dim=1)
    actions = [g.action for g in scaled.gauges if g.name.startswith("orbit of ω")]
    assert "ω_u → s + ω_u, β0 → β0 - log(exp(s*κ*ω_v))" in actions
