"""Sigmoid gate, Regime 1: an expert that is 0 at η = 0 has exact refits far from the truth.

Statement (theory sections 4 and 6; arXiv 2405.13997, Regime 1). Let h(·, 0) ≡ 0, as for ridge
experts with relu, gelu, silu, tanh or sin. For every truth G* of k* atoms and every gate (β0, β1),
the k* + 1 atoms (β0, β1, 0), G*_1, …, G*_k* have the regression function of G*, while the Voronoi
loss is at least min_j min(‖η*_j‖, ‖η*_j‖²). So the least-squares estimator over k > k* atoms in a
box that holds η = 0 need not converge to G*: the published n^-1/4, and the derived one, are local.

Proved: f_G = f_G* for all x, gates and parameters, symbolically, d = 1 and 2; the lower bound, for
all gates. Its proof: the null atom lies in the cell of some j, where it pays ‖Δη‖ = ‖η*_j‖ if it is
alone there (exact cell), else ‖Δη‖²; all terms are ≥ 0. What `identkit.losses.voronoi` computes is
compared with the bound at seeded gates.
Observed: that least squares does go there.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sympy as sp

import identkit
from identkit.claims.checks import Claim, mutations
from identkit.experts import ACTIVATIONS, builtin, symbols
from identkit.losses import voronoi

SOURCE = "identkit (derived here), on arXiv 2405.13997, Regime 1"
REFIT = Claim(
    "null-refit-in-regime-1",
    "Regime 1, experts with h(·, 0) ≡ 0: an atom with η = 0 and any gate leaves f_G* unchanged, "
    "at a Voronoi loss ≥ min_j min(‖η*_j‖, ‖η*_j‖²)",
    SOURCE,
)
REACHED = Claim(
    "least-squares-reaches-null-refits",
    "gelu, n = 300: multi-start least squares from null starts ends below the local minimum near "
    "G* in most replicates, with an expert near 0",
    SOURCE,
)

TRUTH = identkit.MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
BUILTIN = (*ACTIVATIONS, "linear", "poly2", "poly3", "input-free")
NULL = frozenset(BUILTIN) - {"sigmoid", "softplus", "exp"}


def value_at_zero(name, dim):
    """The ridge expert at η = 0."""
    expert = builtin(name, dim=dim)
    return expert.expression.subs(dict.fromkeys(symbols(expert.parameters), sp.Integer(0)))


@pytest.mark.parametrize("dim", [1, 2])
@mutations(
    {
        "so for sigmoid": {"dim": 1, "null": NULL | {"sigmoid"}},
        "so for softplus": {"dim": 2, "null": NULL | {"softplus"}},
        "not for sin": {"dim": 1, "null": NULL - {"sin"}},
    }
)
def test_such_an_atom_adds_nothing_whatever_its_gate(dim, null=NULL):
    """Gate times h(x, 0) ≡ 0, for these and no other built-in ridge experts."""
    values = {name: sp.simplify(value_at_zero(name, dim)) for name in BUILTIN}
    gate = sp.Symbol("gate", positive=True)
    assert {name for name, value in values.items() if gate * value == 0} == null
    return REFIT.finding("proved", f"d = {dim}, {len(null)} built-in experts, every truth and gate")


@mutations(
    {
        "the bound is twice as large": {"factor": 2.0},
        "the first power is a bound as well": {"powers": (1,)},
    }
)
def test_the_voronoi_loss_is_bounded_below(factor=1.0, powers=(1, 2)):
    """The proof is in the text; here the loss at 4000 gates, some at the true atoms' own.

    A bound that ignored one of the two powers, or were larger, would be crossed.
    """
    rng = np.random.default_rng(0)
    truth = identkit.MixingMeasure(TRUTH.beta0, TRUTH.beta1, TRUTH.eta * 0.1)  # norms below 1
    gates = rng.uniform(-10, 10, (4000, 2))
    gates[:200] *= 0.01
    gates[200:204] = [[-40.0, 0.0], [-40.0, 1e-3], [-40.0, -4.5], [-40.0, -4.4]]
    for g in (TRUTH, truth):
        fitted = identkit.MixingMeasure(
            np.column_stack([gates[:, :1], np.tile(g.beta0, (4000, 1))]),
            np.concatenate([gates[:, None, 1:], np.tile(g.beta1, (4000, 1, 1))], axis=1),
            np.concatenate([np.zeros((4000, 1, 2)), np.tile(g.eta, (4000, 1, 1))], axis=1),
        )
        norms = np.linalg.norm(g.eta, axis=-1)
        bound = factor * min((norms**power).min() for power in powers)
        losses = voronoi(fitted, g, "sigmoid", 1).value
        assert (losses >= bound * (1 - 1e-12)).all()
    return REFIT.finding("proved", "every gate, by the null atom's own term")


@cache
def fits():
    """24 seeded replicates, fitted from starts of each kind."""
    from identkit.fit import Box, Model, replicates

    model = Model.of("gelu", "sigmoid")
    data = identkit.simulate(model, TRUTH, 300, 24, noise=0.003, seed=1)
    return {
        kind: replicates(
            data,
            lambda r, kind=kind: data.starts(3, kind=kind, indices=r),
            box=Box(beta0=(-1.5, 4.0)),
            flat=0.0,
        )
        for kind in ("local", "null")
    }


@mutations(
    {
        "in nearly all replicates": {"share": 0.999},
        "with an expert within 0.001 of 0": {"size": 1e-3},
    }
)
def test_least_squares_often_ends_there(share=0.5, size=0.25):
    """GELU, n = 300, seeded: the cost from null starts is below that from starts at the truth.

    In most replicates an atom stays near η = 0; the true ones have norms 2.3 and 4.2.
    """
    cost = fits()
    lower = np.mean(cost["null"].cost < cost["local"].cost * (1 - 1e-6))
    assert lower > share
    nearest = np.linalg.norm(cost["null"].measure.eta, axis=-1).min(axis=-1)
    assert np.median(nearest) < size
    return REACHED.finding("observed", "24 seeded replicates, noise 0.003, 3 starts of each kind")
