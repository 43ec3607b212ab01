"""∂f/∂θ at any x against automatic differentiation of f by another route, for every gate."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from routed_models import NAMES, by_torch, dims, measure, model

from identkit.errors import InputError
from identkit.fit.model import CHUNK, Model
from identkit.gates import GATES

AFFINE = tuple(n for n, g in GATES.items() if g.is_affine and g.weight is not None)
AGREE = 1e-9
"""Of the largest entry: both are sums of few products of order 1."""


def by_autograd(made, vector, x):
    """Rows of the Jacobian of f, one for each x."""
    theta = torch.tensor(vector, requires_grad=True)
    f = by_torch(made, theta, torch.from_numpy(x))
    rows = [torch.autograd.grad(v, theta, retain_graph=True)[0] for v in f]
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("name", [*NAMES, *AFFINE])
def test_against_autograd(name):
    for dim in dims(name):
        rng = np.random.default_rng(dim)
        made = model(name, dim)
        drawn = measure(made, 3, rng)
        x = rng.normal(size=(40, dim))
        found = made.gradient(drawn, x)
        expected = by_autograd(made, made.pack(drawn), x)
        assert found.shape == expected.shape
        size = np.abs(expected).max()
        assert size > 0.1
        np.testing.assert_allclose(found, expected, rtol=0, atol=AGREE * size)


@pytest.mark.parametrize("expert", ["relu", "gelu", "linear", "poly2", "softplus"])
@pytest.mark.parametrize("gate", ["softmax", "sigmoid", "hierarchical", "top-2"])
def test_against_central_differences(gate, expert):
    rng = np.random.default_rng(5)
    groups = (2, 1) if GATES.get(gate) and GATES[gate].level else ()
    made = Model.of(expert, gate, 2, groups=groups)
    drawn = measure(made, 3, rng)
    x, theta = rng.normal(size=(60, 2)), made.pack(drawn)
    step = 1e-5
    columns = []
    for i in range(len(theta)):
        move = np.zeros_like(theta)
        move[i] = step
        ends = [made.predict(made.unpack(theta + s * move), x) for s in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * step))
    np.testing.assert_allclose(made.gradient(drawn, x), np.stack(columns, 1), rtol=1e-6, atol=1e-7)


def test_chunks_are_one_array():
    """Rows do not depend on where a chunk ends, and one row is one row of many."""
    made = Model.of("tanh", "softmax", 2)
    rng = np.random.default_rng(0)
    drawn, x = measure(made, 3, rng), rng.normal(size=(CHUNK + 77, 2))
    whole = made.gradient(drawn, x)
    for part in (slice(0, 1), slice(CHUNK - 3, CHUNK + 5)):
        np.testing.assert_allclose(made.gradient(drawn, x[part]), whole[part], atol=1e-14)
    assert made.gradient(drawn, x[:0]).shape == (0, 18)


def test_other_groups_than_those_of_the_model():
    rng = np.random.default_rng(1)
    made = model("hierarchical", 1, groups=(1, 2))
    drawn = measure(made, 3, rng)
    x = rng.normal(size=(9, 1))
    np.testing.assert_array_equal(
        model("hierarchical", 1).gradient(drawn, x), made.gradient(drawn, x)
    )


def test_wrong_input():
    made = Model.of("tanh", "softmax", 2)
    drawn = measure(made, 2, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"x: has shape \(3, 1\), must be \(n, 2\)"):
        made.gradient(drawn, np.zeros((3, 1)))
    with pytest.raises(InputError, match="several measures"):
        made.gradient(drawn.stack([drawn, drawn]), np.zeros((3, 2)))
