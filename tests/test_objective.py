"""Every objective by routes that share no code with it: sums, autograd, scipy; its refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from scipy import optimize

pytest.importorskip("torch")
pytest.importorskip("numba")

import torch

import identkit
from identkit import InputError, MixingMeasure
from identkit.cli import main
from identkit.fit import Box, Compute, Model, job, least_squares, solver, starts
from identkit.fit.inference import covariance
from identkit.fit.objective import OBJECTIVES, Objective, objective_of, register
from identkit.fit.starts import random_starts
from identkit.fit.sums import kernel_sums
from identkit.gates import GATES
from identkit.likelihoods import LEAST_SQUARES, LIKELIHOODS, Likelihood
from identkit.likelihoods import register as register_likelihood
from identkit.rates.setting import Setting
from identkit.report.json_text import schema

pytestmark = pytest.mark.usefixtures("one_thread")


def _times(values, weight):
    return values if weight is None else weight * values


# quadratic near 0 and linear far off, so that outliers count less
ROBUST = Objective(
    name="pseudo-huber",
    title="sum of √(1 + r²) − 1",
    cost=lambda r, w: _times((1 + r * r) ** 0.5 - 1, w).sum(-1),
    slope=lambda r, w: _times(r / (1 + r * r) ** 0.5, w),
    curvature=lambda r, w: _times((1 + r * r) ** -1.5, w),
)
HEAVY = Likelihood("heavy-noise", "heavy noise", "f(x)", "a test", objective=ROBUST.name)
UNFITTED = Likelihood("unfitted-noise", "noise", "f(x)", "a test", respond=lambda rng, f, noise: f)
ASTRAY = Likelihood("astray-noise", "noise", "f(x)", "a test", objective="nowhere")

TERMS = {
    LEAST_SQUARES: lambda r: r**2 / 2,
    ROBUST.name: lambda r: math.hypot(1.0, r) - 1.0,
}
"""ρ of every objective, written once more."""
EVERY = [*OBJECTIVES, ROBUST.name]
TRUTH = MixingMeasure([0.5, -0.5], [[2.0], [-1.0]], [[1.5, 1.0], [-2.0, 0.5]])


@pytest.fixture(autouse=True)
def further():
    """The likelihoods and the objective of this file, registered as a package would."""
    register(ROBUST)
    for made in (HEAVY, UNFITTED, ASTRAY):
        register_likelihood(made)
    yield
    del OBJECTIVES[ROBUST.name]
    for made in (HEAVY, UNFITTED, ASTRAY):
        del LIKELIHOODS[made.name]


def model_under(likelihood, gate="sigmoid"):
    plain = Model.of("tanh", gate)
    return Model(plain.expert, plain.gate.under(likelihood))


def under(objective, gate="sigmoid"):
    """A model that is fitted by this objective."""
    names = {each.objective: name for name, each in LIKELIHOODS.items() if each.objective}
    return model_under(names[objective], gate)


def sample(shape, weighted, seed=0):
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal(shape), rng.uniform(0.1, 2, shape) if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_cost_is_the_sum(name, weighted):
    objective = OBJECTIVES[name]
    residual, weight = sample((3, 40), weighted)
    weights = np.ones_like(residual) if weight is None else weight
    expected = [
        math.fsum(w * TERMS[name](r) for r, w in zip(*rows, strict=True))
        for rows in zip(residual, weights, strict=True)
    ]
    np.testing.assert_allclose(objective.cost(residual, weight), expected, rtol=1e-13)
    tensors = torch.from_numpy(residual), None if weight is None else torch.from_numpy(weight)
    np.testing.assert_allclose(objective.cost(*tensors).numpy(), expected, rtol=1e-13)
    assert (objective.cost(0 * residual, weight) == 0).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_slope_and_curvature_are_its_derivatives(name, weighted):
    objective = OBJECTIVES[name]
    values, weights = sample((2, 30), weighted)
    residual = torch.from_numpy(values).requires_grad_()
    weight = None if weights is None else torch.from_numpy(weights)
    (slope,) = torch.autograd.grad(
        objective.cost(residual, weight).sum(), residual, create_graph=True
    )
    (curvature,) = torch.autograd.grad(slope.sum(), residual)
    np.testing.assert_allclose(objective.slope(values, weights), slope.detach().numpy(), rtol=1e-13)
    found = objective.curvature(values, weights)
    assert (found is None) <= (weights is None)
    found = np.ones_like(values) if found is None else found
    np.testing.assert_allclose(found, curvature.numpy(), rtol=1e-13)


def differences(function, theta, step):
    """Central differences of a function of one vector, along the last axis."""
    steps = step * np.eye(len(theta))
    return np.stack([(function(theta + s) - function(theta - s)) / (2 * step) for s in steps], -1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
@pytest.mark.parametrize("name", EVERY)
def test_the_sums_of_a_step(name, gate, weighted):
    """Gradient, Gauss-Newton matrix, Hessian and bend against differences of f and of the cost."""
    model, objective = under(name, gate), OBJECTIVES[name]
    assert objective_of(model.gate) is objective
    y, weight = sample((1, 50), weighted, seed=1)
    x = np.linspace(-2, 2, 50)[:, None]
    theta = TRUTH.to_vector()
    velocity = np.cos(np.arange(len(theta)))

    def f(vector):
        return model.predict(model.unpack(vector), x)

    def cost(vector):
        return objective.cost(f(vector) - y[0], None if weight is None else weight[0])

    jacobian = differences(f, theta, 1e-5)
    curvature = objective.curvature(f(theta) - y[0], None if weight is None else weight[0])
    scaled = jacobian if curvature is None else curvature[:, None] * jacobian
    hessian = differences(lambda v: differences(cost, v, 1e-3), theta, 1e-3)
    bend = (f(theta + 1e-3 * velocity) - 2 * f(theta) + f(theta - 1e-3 * velocity)) / 1e-6
    which = torch.zeros(1, dtype=torch.int64)
    point, along = (torch.from_numpy(v[None].copy()) for v in (theta, velocity))
    for kernel in ("torch", "native") if objective.quadratic else ("torch",):
        sums = kernel_sums(model, x[None], y, weight, kernel, 1, torch.device("cpu"))
        total, gradient, gram, diagonal = (v.numpy()[0] for v in sums.steps(point, which, False))
        assert total == pytest.approx(cost(theta), rel=1e-13)
        np.testing.assert_allclose(gradient, differences(cost, theta, 1e-5), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(gram, jacobian.T @ scaled, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(diagonal, np.diag(gram), rtol=1e-12)
        second = sums.steps(point, which, True)[2].numpy()[0]
        np.testing.assert_allclose(second, hessian, rtol=1e-4, atol=1e-3)
        found = sums.bends(point, along, which).numpy()[0]
        np.testing.assert_allclose(found, scaled.T @ bend, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
@pytest.mark.parametrize("weighted", [False, True])
def test_standard_errors_against_curve_fit(gate, weighted):
    model = Model.of("tanh", gate)
    x, y = identkit.simulate(model, TRUTH, 400, noise=0.1, seed=3).data(0)
    weight = sample(400, weighted, seed=4)[1]
    result = least_squares(model, x, y, TRUTH, weight=weight)
    found = covariance(result, x, y, weight)
    theta, free = model.pack(result.measure), ~result.held

    def f(_, *part):
        vector = theta.copy()
        vector[free] = part
        return model.predict(model.unpack(vector), x)

    deviations = None if weight is None else weight**-0.5
    estimate, expected = optimize.curve_fit(f, x[:, 0], y, theta[free], deviations)
    np.testing.assert_allclose(estimate, theta[free], rtol=1e-5)
    np.testing.assert_allclose(found.matrix[np.ix_(free, free)], expected, rtol=1e-3, atol=1e-8)
    rest = (f(x, *theta[free]) - y) * np.sqrt(1.0 if weight is None else weight)
    assert found.sigma**2 == pytest.approx(rest @ rest / (400 - free.sum()), rel=1e-12)


def outliers():
    x, y = identkit.simulate(Model.of("tanh", "sigmoid"), TRUTH, 600, noise=0.1, seed=5).data(0)
    y[::20] += 40.0
    return x, y


def test_another_objective_is_minimised():
    """The minimum of scipy, which outliers move less than that of least squares."""
    x, y = outliers()
    model = under(ROBUST.name)
    result = least_squares(model, x, y, TRUTH)
    assert result.status.finished
    assert (result.settings.kernel, result.settings.nodes) == ("torch", 0)
    peer = optimize.least_squares(
        lambda v: model.predict(model.unpack(v), x) - y, TRUTH.to_vector(),
        loss="soft_l1", xtol=1e-12, ftol=1e-12, gtol=1e-10,
    )  # fmt: skip
    assert float(result.cost) == pytest.approx(peer.cost, rel=1e-8)
    squares = least_squares(Model.of("tanh", "sigmoid"), x, y, TRUTH)
    truth = model.predict(TRUTH, x)
    robust, plain = (np.abs(r.predict(x) - truth).mean() for r in (result, squares))
    assert robust < 0.2 * plain


def test_starts_are_compared_by_it():
    """Of the same random candidates each objective takes the one that it costs least."""
    x, y = outliers()
    robust, plain = under(ROBUST.name), under(LEAST_SQUARES)
    gains = []
    for seed in range(10):
        by_robust, by_squares = (
            starts.Drawing(model, x, y, 2, Box().bounds(model, 2), None).trial(
                np.random.default_rng(seed)
            )
            for model in (robust, plain)
        )
        costs = [
            {name: OBJECTIVES[name].cost(plain.predict(m, x) - y, None) for name in EVERY}
            for m in (by_robust, by_squares)
        ]
        assert costs[0][ROBUST.name] <= costs[1][ROBUST.name]
        assert costs[0][LEAST_SQUARES] >= costs[1][LEAST_SQUARES]
        gains.append(costs[1][ROBUST.name] - costs[0][ROBUST.name])
    assert max(gains) > 0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_rounding_is_measured_by_the_cost_of_nothing(name, weighted, monkeypatch):
    """What the solver takes for rounding is relative to the cost of f = 0."""
    seen = []

    def spy(sums, problems, *rest):
        seen.append(problems.scale.numpy())
        return solver.solve(sums, problems, *rest)

    monkeypatch.setattr(job, "solve", spy)
    x, y = outliers()
    weight = sample(len(y), weighted, seed=2)[1]
    least_squares(under(name), x, y, TRUTH, weight=weight, max_steps=2)
    expected = math.fsum(
        w * TERMS[name](v)
        for v, w in zip(y, np.ones_like(y) if weight is None else weight, strict=True)
    )
    assert seen
    np.testing.assert_allclose(np.concatenate(seen), expected, rtol=1e-12)


def test_nothing_is_said_that_only_squares_allow():
    x, y = outliers()
    model = under(ROBUST.name)
    report = identkit.fit_data((x, y), model.expert, model.gate, 2, starts=2, check=False)
    assert report.covariance is None
    text = " ".join(str(report).split())
    assert f"({ROBUST.title})" in text
    assert f"none are known for {ROBUST.title}." in text
    assert "RMS" not in text
    assert "R²" not in text
    document = json.loads(json.dumps(report.to_dict()))
    Draft202012Validator(schema("fit-3")).validate(document)
    assert document["likelihood"] == {"name": HEAVY.name}
    assert document["fits"][0]["root_mean_square"] is None
    plain = identkit.fit_data((x, y), "tanh", "sigmoid", 2, starts=2, check=False).to_dict()
    assert "likelihood" not in plain
    with pytest.raises(InputError, match="no standard errors are known for objective pseudo-huber"):
        covariance(report.result, x, y)
    with pytest.raises(InputError, match="kernel: native has no sums for objective pseudo-huber"):
        least_squares(model, x, y, TRUTH, compute=Compute(kernel="native"))


@pytest.mark.parametrize("made", [UNFITTED, ASTRAY])
def test_without_an_objective_nothing_is_fitted(made):
    model = model_under(made)
    x, y = outliers()
    said = f"no objective is registered for likelihood {made.name}; use {LEAST_SQUARES} or "
    for attempt in (
        lambda: least_squares(model, x, y, TRUTH),
        lambda: random_starts(model, x, y, 2, 1),
        lambda: identkit.fit_data((x, y), model.expert, model.gate, 2),
        lambda: Setting(model, 1, TRUTH, 3, 0.1, identkit.fit.Box()),
    ):
        with pytest.raises(InputError, match=said):
            attempt()


@pytest.mark.parametrize(("made", "said"), [(UNFITTED, "no objective"), (HEAVY, "are observed")])
def test_the_commands_refuse(made, said, monkeypatch, tmp_path, capsys):
    """A gate of somebody else's, under a likelihood that its package registers."""
    monkeypatch.setitem(GATES, "softmax", GATES["softmax"].under(made))
    assert main(["rates", "--expert", "tanh", "--gate", "softmax", "--no-store"]) == 2
    assert said in capsys.readouterr().err
    if made is UNFITTED:
        path = tmp_path / "data.csv"
        path.write_text("x,y\n" + "\n".join(f"{v},{v * v}" for v in range(30)))
        fit = ["fit", str(path), "--expert", "tanh", "--gate", "softmax", "--k", "1"]
        assert main(fit) == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.strip().splitlines()) == 1


def test_names_that_cannot_be_registered():
    with pytest.raises(InputError, match="is registered already"):
        register(replace(ROBUST, name=LEAST_SQUARES))
    with pytest.raises(InputError, match="is no Objective"):
        register("pseudo-huber")
    assert register(OBJECTIVES[LEAST_SQUARES]) is OBJECTIVES[LEAST_SQUARES]
