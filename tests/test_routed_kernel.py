"""The sums of a step under every gate against automatic differentiation, and weights by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from routed_models import NAMES, by_torch, dims, measure, model

from identkit.fit.job import kernel_sums
from identkit.fit.model import selected
from identkit.fit.routed_kernel import RoutedSums
from identkit.gates import resolve

SAMPLES = 70
CASES = [(name, dim) for name in NAMES for dim in dims(name)]


@pytest.mark.parametrize("kernel", ["torch", "native"])
@pytest.mark.parametrize(("name", "dim"), CASES)
def test_sums_are_those_of_automatic_differentiation(name, dim, kernel):
    expert = "tanh" if dim == 1 else "gelu"
    rng = np.random.default_rng(sum(map(ord, f"{name}{dim}{expert}")))
    made = model(name, dim, expert)
    drawn = measure(made, 3, rng)
    x = torch.from_numpy(rng.normal(size=(SAMPLES, dim)))
    y = torch.from_numpy(rng.normal(size=SAMPLES))
    weight = torch.from_numpy(rng.uniform(0.5, 2.0, size=SAMPLES))
    theta = torch.from_numpy(made.pack(drawn).copy())
    velocity = torch.from_numpy(rng.normal(size=len(theta)))
    which = torch.zeros(1, dtype=torch.int64)
    if kernel == "torch":
        sums = RoutedSums(made, x[None], y[None], weight[None], torch.device("cpu"))
    else:
        sums = kernel_sums(
            made, x.numpy()[None], y.numpy()[None], weight.numpy()[None], kernel, 1, None
        )
    cost, gradient, hessian, width = sums.steps(theta[None], which, True)
    _, again, gram, diagonal = sums.steps(theta[None], which, False)
    bends = sums.bends(theta[None], velocity[None], which)

    def f(vector):
        return by_torch(made, vector, x)

    def half(vector):
        return 0.5 * (weight * (f(vector) - y) ** 2).sum()

    jacobian = torch.autograd.functional.jacobian(f, theta)
    weighted = jacobian.T @ (weight[:, None] * jacobian)

    def along(vector):
        return torch.autograd.functional.jvp(f, vector, velocity, create_graph=True)[1]

    bent = torch.autograd.functional.jvp(along, theta, velocity)[1]
    same = [
        (cost[0], half(theta)),
        (gradient[0], torch.autograd.functional.jacobian(half, theta)),
        (again[0], gradient[0]),
        (gram[0], weighted),
        (diagonal[0], torch.diagonal(weighted)),
        (hessian[0], torch.autograd.functional.hessian(half, theta)),
        (bends[0], jacobian.T @ (weight * bent)),
    ]
    for ours, theirs in same:
        assert float((ours - theirs).abs().max()) <= 1e-10 * float(theirs.abs().max())
    # of shared numbers a bound stands for the diagonal
    assert bool((width[0] >= torch.diagonal(weighted) * (1 - 1e-12) - 1e-12).all())
    assert np.abs(made.predict(drawn, x.numpy()) - f(theta).numpy()).max() <= 1e-12


@pytest.mark.parametrize(("name", "dim"), CASES)
def test_weights_are_of_the_scores_that_the_gate_says_in_numbers(name, dim):
    gate = resolve(name)
    if gate.score is None or gate.structure:
        pytest.skip("the gate says its score in symbols alone")
    rng = np.random.default_rng(5)
    made = model(name, dim)
    drawn = measure(made, 3, rng)
    x = rng.normal(size=(SAMPLES, dim))
    values = {b.name: drawn[b.name] for b in drawn.layout.blocks}
    scores = np.array([gate.score(values, point) for point in x]).T
    weights = np.exp(scores) if gate.divides else 1 / (1 + np.exp(-scores))
    if gate.divides:
        weights /= weights.sum(axis=0)
    assert np.abs(weights - made.weights(drawn, x)).max() <= 1e-14


@pytest.mark.parametrize("name", ["hierarchical", "hierarchical-softmax-laplace", "top-2"])
def test_weights_sum_to_one(name):
    rng = np.random.default_rng(1)
    made = model(name, 1)
    weights = made.weights(measure(made, 3, rng), rng.normal(size=(SAMPLES, 1)))
    assert np.abs(weights.sum(axis=0) - 1).max() <= 1e-15
    assert ((weights > 0).sum(axis=0) == (2 if name == "top-2" else 3)).all()


def test_sums_do_not_depend_on_the_batch():
    rng = np.random.default_rng(3)
    for name in ("hierarchical", "dense-to-sparse tanh", "top-2"):
        made = model(name, 1)
        x, y = rng.normal(size=(5, SAMPLES, 1)), rng.normal(size=(5, SAMPLES))
        theta = np.stack([made.pack(measure(made, 3, rng)) for _ in range(5)])
        sums = RoutedSums(made, torch.from_numpy(x), torch.from_numpy(y), None, torch.device("cpu"))
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            whole = sums.steps(torch.from_numpy(theta), torch.arange(5), True)
            for r in range(5):
                alone = sums.steps(torch.from_numpy(theta[r : r + 1]), torch.tensor([r]), True)
                for one, many in zip(alone, whole, strict=True):
                    assert torch.equal(one[0], many[r])
        finally:
            torch.set_num_threads(before)


def test_of_equal_scores_the_first_is_selected():
    compared = np.array([[1.0, 2.0], [2.0, 2.0], [2.0, 0.0]])
    assert selected(compared, 1).tolist() == [[False, True], [True, False], [False, False]]
    assert selected(compared, 5).all()
