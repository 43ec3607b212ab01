"""Powers with fitted exponents at z = 0: doses of zero in dose-response curves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import identkit
from identkit.experts import Expert
from identkit.fit import Compute, Model
from identkit.fit.torch_kernel import torch_functions

CURVES = {
    "1/(1 + (x/e)**b)": {"e": 4.0, "b": 2.0},
    "1/(1 + (x/e)**(-b))": {"e": 4.0, "b": 2.5},
    "v*x**n/(K**n + x**n)": {"v": 3.0, "n": 1.7, "K": 5.0},
    "a*x**b + c": {"a": 2.0, "b": 0.6, "c": 1.0},
    "c + (d - c)/(1 + (x/e)**b)": {"c": 0.5, "d": 2.5, "e": 3.0, "b": 3.0},
}


def curve(text):
    expert = Expert.from_expression(text)
    model = Model.of(expert, "softmax")
    return model, np.array([[CURVES[text][p] for p in expert.parameters]])


@pytest.mark.parametrize("text", CURVES)
@pytest.mark.parametrize("kernel", ["native", "torch"])
def test_curves_with_zero_doses_are_found(text, kernel):
    model, eta = curve(text)
    x = np.r_[np.zeros(5), np.linspace(0.2, 30.0, 60)][:, None]
    y = model.predict(identkit.MixingMeasure([0.0], [[0.0]], eta), x)
    assert np.isfinite(y).all()
    report = identkit.fit_data(
        (x, y), model.expert, "softmax", 1, starts=10, check=False, compute=Compute(kernel=kernel)
    )
    assert report.result.root_mean_square < 1e-9
    np.testing.assert_allclose(report.predict(x), y, atol=1e-8)
    assert np.isfinite(report.covariance.matrix).all()


@pytest.mark.parametrize("text", CURVES)
def test_derivatives_at_zero_are_those_close_by(text):
    """Against values and derivatives at x = 1e-14, or the limit where they still move there."""
    model, eta = curve(text)
    measure = identkit.MixingMeasure([0.0], [[0.0]], eta)
    at, near = (model.gradient(measure, np.array([[x]])) for x in (0.0, 1e-14))
    assert np.isfinite(at).all()
    np.testing.assert_allclose(at, near, atol=1e-6)


@pytest.mark.parametrize("text", CURVES)
def test_away_from_zero_they_are_those_of_autograd(text):
    model, eta = curve(text)
    measure = identkit.MixingMeasure([0.0], [[0.0]], eta)
    x = np.linspace(0.5, 9.0, 7)
    found = model.gradient(measure, x[:, None])[:, 2:]
    theta = torch.tensor(eta[0], requires_grad=True)
    value = model.heads(torch_functions()).expert
    read = model.structure
    for i, point in enumerate(x):
        slots = [torch.zeros((), dtype=torch.float64) for _ in read.slots]
        for v, (t, feature, scale) in enumerate(
            zip(read.slot_of, read.feature_of, read.scale_of, strict=True)
        ):
            slots[t] = slots[t] + scale * theta[v] * (point if feature < 1 else 1.0)
        direct = [torch.tensor(point, dtype=torch.float64) for _ in read.direct]
        (own,) = torch.autograd.grad(value(*slots, *direct)[0], theta)
        np.testing.assert_allclose(found[i], own.numpy(), rtol=1e-9, atol=1e-12)
