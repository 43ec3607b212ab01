"""Sigmoid gate, Regime 1: an expert that is 0 at η = 0 has exact refits far from the truth.

Statement (theory sections 4 and 6; arXiv 2405.13997, Regime 1). Let h(·, 0) ≡ 0, as for ridge
experts with relu, gelu, silu, tanh or sin. For every truth G* of k* atoms and every gate
(β0, β1), the k* + 1 atoms (β0, β1, 0), G*_1, …, G*_k* have the regression function of G*, while
the Voronoi loss is bounded below. So the least-squares estimator over k > k* atoms in a box that
holds η = 0 need not converge to G*: the published n^-1/4, and the derived one, are local.

Proved: f_G = f_G*, for all x, gates and parameters (symbolically); the lower bound of the loss, for
all gates, by the term of the null atom. Observed: that least squares does go there.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

import identkit
from identkit.experts import builtin, symbols
from identkit.losses import voronoi

TRUTH = identkit.MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
NULL = ("relu", "gelu", "silu", "tanh", "sin", "linear", "poly2")


@pytest.mark.parametrize("name", NULL)
@pytest.mark.parametrize("dim", [1, 2])
def test_such_an_atom_adds_nothing_whatever_its_gate(name, dim):
    expert = builtin(name, dim=dim)
    zero = dict.fromkeys(symbols(expert.parameters), sp.Integer(0))
    assert expert.expression.subs(zero) == 0


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "exp"])
def test_others_are_not_null(name):
    expert = builtin(name, dim=1)
    zero = dict.fromkeys(symbols(expert.parameters), sp.Integer(0))
    assert sp.simplify(expert.expression.subs(zero)) != 0


def test_the_voronoi_loss_is_bounded_below():
    """The null atom pays ‖Δη‖ = ‖η*_j‖ at least, squared if it shares its cell, whichever j."""
    rng = np.random.default_rng(0)
    gates = rng.uniform(-10, 10, (4000, 2))
    gates[:200] *= 0.01
    fitted = identkit.MixingMeasure(
        np.column_stack([gates[:, :1], np.tile(TRUTH.beta0, (4000, 1))]),
        np.concatenate([gates[:, None, 1:], np.tile(TRUTH.beta1, (4000, 1, 1))], axis=1),
        np.concatenate([np.zeros((4000, 1, 2)), np.tile(TRUTH.eta, (4000, 1, 1))], axis=1),
    )
    sizes = np.linalg.norm(TRUTH.eta, axis=-1)
    bound = min(sizes.min(), sizes.min() ** 2)
    assert (voronoi(fitted, TRUTH, "sigmoid", 1).value >= bound * (1 - 1e-12)).all()


def test_least_squares_often_ends_there():
    """GELU, n = 300: from null starts the cost is lower than from the truth in many replicates."""
    from identkit.fit import Box, Model, replicates

    model = Model.of("gelu", "sigmoid")
    data = identkit.simulate(model, TRUTH, 300, 24, noise=0.003, seed=1)
    cost = {
        kind: replicates(
            data,
            lambda r, kind=kind: data.starts(3, kind=kind, indices=r),
            box=Box(beta0=(-1.5, 4.0)),
            flat=0.0,
        )
        for kind in ("local", "null")
    }
    lower = np.mean(cost["null"].cost < cost["local"].cost * (1 - 1e-6))
    assert lower > 0.3
    expert = np.linalg.norm(cost["null"].measure.eta, axis=-1).min(axis=-1)
    assert np.median(expert) < 0.25  # an atom stays near η = 0; the true ones have 2.3 and 4.2
