"""Gauges that move the temperature: found for a router, or excluded by a determinant."""

from __future__ import annotations

import numpy as np
import pytest

from identkit import InputError, check
from identkit.gates import resolve

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
