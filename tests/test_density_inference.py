"""Standard errors of maximum likelihood: closed forms, repeated rows, spread over replicates."""

from __future__ import annotations

import numpy as np
import pytest

import identkit
from identkit.density import DensityBox, DensityMeasure, DensityModel, maximum_likelihood
from identkit.density.inference import covariance, information, scores
from identkit.density.running import best_density
from identkit.errors import InputError
from identkit.fit.box import Box

LINE = DensityModel.of("linear", "softmax")
ROUTED = identkit.MixingMeasure([0.5, 0.0], [[1.0], [0.0]], [[2.0, 1.0], [-1.0, 0.0]])
TRUTH = DensityMeasure(ROUTED, [0.1, 0.2])


def drawn(n, seed=0, model=LINE, truth=TRUTH):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2.0, 2.0, (n, model.dim))
    return x, model.sample(truth, x, rng)


@pytest.fixture(scope="module")
def line():
    """One atom: the linear model with normal errors."""
    x, y = drawn(80, seed=3)
    fit = best_density(LINE, x, y, 1, starts=1)
    return x, y, fit, covariance(fit, x, y)


def test_one_atom_has_the_errors_of_the_linear_model(line):
    x, y, fit, found = line
    design = np.column_stack([x, np.ones(len(y))])
    beta = np.linalg.lstsq(design, y, rcond=None)[0]
    left = y - design @ beta
    nu = float((left**2).mean())
    inverse = np.linalg.inv(design.T @ design)
    assert np.allclose(fit.measure.routed.eta[0], beta, rtol=1e-9)
    assert np.isclose(fit.measure.variances[0], nu, rtol=1e-9)
    names = LINE.names((0, 1))
    at = [names.index(p) for p in ("a", "b", "ν")]
    expected = [*np.sqrt(nu * np.diag(inverse)), nu * np.sqrt(2.0 / len(y))]
    assert np.allclose(found.standard_errors[at], expected, rtol=1e-7)


def test_the_sandwich_of_one_atom_is_white_s(line):
    x, y, fit, found = line
    design = np.column_stack([x, np.ones(len(y))])
    left = y - design @ fit.measure.routed.eta[0]
    nu = float(fit.measure.variances[0])
    # scores of (a, b, ν); H is blockdiagonal at the maximum
    rows = np.column_stack([design * left[:, None] / nu, (left**2 / nu - 1.0) / (2.0 * nu)])
    bread = np.zeros((3, 3))
    bread[:2, :2] = np.linalg.inv(design.T @ design / nu)
    bread[2, 2] = 2.0 * nu**2 / len(y)
    expected = np.sqrt(np.diag(bread @ rows.T @ rows @ bread))
    names = LINE.names((0, 1))
    at = [names.index(p) for p in ("a", "b", "ν")]
    assert np.allclose(found.sandwich_errors[at], expected, rtol=1e-7)


def test_scores_add_up_to_the_gradient_and_their_products_to_the_information():
    x, y = drawn(20000, seed=1)
    fit = maximum_likelihood(LINE, x, y, TRUTH)
    rows = scores(fit.model, fit.measure, x, y)
    free = ~fit.held
    assert np.abs(rows.sum(axis=0)[free]).max() < 1e-4 * np.sqrt((rows[:, free] ** 2).sum())
    # Fisher: at the truth E[g gᵀ] = −E[∂²]; n = 20,000 leaves a few per cent
    gap = rows.T @ rows - information(fit, x, y)
    size = np.sqrt(np.diag(information(fit, x, y)))[free]
    assert np.abs(gap[np.ix_(free, free)] / np.outer(size, size)).max() < 0.1


def test_weights_are_repeated_rows():
    x, y = drawn(300, seed=2)
    counts = np.random.default_rng(0).integers(0, 4, 300).astype(float)
    fit = maximum_likelihood(LINE, x, y, TRUTH, weight=counts)
    again = np.repeat(np.arange(300), counts.astype(int))
    other = maximum_likelihood(LINE, x[again], y[again], TRUTH)
    one, two = covariance(fit, x, y, counts), covariance(other, x[again], y[again])
    assert np.isclose(fit.log_likelihood, other.log_likelihood, rtol=1e-12)
    for name in ("standard_errors", "sandwich_errors"):
        a, b = getattr(one, name), getattr(two, name)
        assert np.allclose(a, b, rtol=1e-6, equal_nan=True)


def test_units_of_the_data_go_through():
    x, y = drawn(400, seed=5)
    fit = best_density(LINE, x, y, 2, starts=2)
    other = best_density(LINE, 10.0 * x, 1000.0 * y, 2, starts=2)
    one, two = covariance(fit, x, y), covariance(other, 10.0 * x, 1000.0 * y)
    factor = np.array([0.1, 1.0, 100.0, 1000.0, 0.1, 1.0, 100.0, 1000.0, 1e6, 1e6])
    assert np.allclose(two.standard_errors, factor * one.standard_errors, rtol=1e-5, equal_nan=True)
    assert np.isclose(other.log_likelihood, fit.log_likelihood - 400 * np.log(1000.0), rtol=1e-10)


def test_collinear_inputs_are_not_determined():
    model = DensityModel.of("linear", "softmax", dim=2)
    x, y = drawn(200, seed=6)
    double = np.column_stack([x[:, 0], 1.0 + 2.0 * x[:, 0]])
    fit = best_density(model, double, y, 1, starts=1)
    found = covariance(fit, double, y)
    assert found.rank == found.free - 1
    (direction,) = found.undetermined
    assert {name for _, name in direction.parameters} == {"a0", "a1", "b"}
    names = model.names((0, 1))
    lost = np.isnan(found.standard_errors)
    assert {n for n, gone in zip(names, lost, strict=True) if gone} >= {"a0", "a1", "b"}
    assert np.isfinite(found.standard_errors[names.index("ν")])


def test_weights_of_shared_atoms_have_errors():
    model = DensityModel.of("linear", "softmax", shared="linear")
    truth = DensityMeasure.with_shared(
        ROUTED, [0.1, 0.2], [0.3, 0.7], [[0.0, 4.0], [1.0, -4.0]], [0.05, 0.05]
    )
    x, y = drawn(4000, seed=7, model=model, truth=truth)
    fit = maximum_likelihood(model, x, y, truth)
    found = covariance(fit, x, y)
    omega = fit.measure.omega
    assert np.abs(omega - [0.3, 0.7]).max() < 5.0 * found.omega_errors.max()
    # two weights that add up to 1, of half of the rows, told apart by their means
    assert np.allclose(found.omega_errors[0], found.omega_errors[1], rtol=1e-6)
    assert np.allclose(found.omega_errors[0], np.sqrt(0.3 * 0.7 / 2000), rtol=0.1)


def test_what_is_held_has_no_error():
    x, y = drawn(200, seed=8)
    known = DensityModel.of("linear", "softmax", "gaussian-known")
    fit = best_density(known, x, y, 2, variances=[0.1, 0.2], starts=2)
    found = covariance(fit, x, y)
    assert np.isnan(found.standard_errors[-2:]).all()
    assert (found.observed[-2:] == 0.0).all()
    box = DensityBox(routed=Box(eta=[(2.0, 2.0), None]))
    fit = best_density(LINE, x, y, 2, box=box, starts=2)
    found = covariance(fit, x, y)
    names = LINE.names((0, 2))
    assert all(np.isnan(found.standard_errors[i]) for i, n in enumerate(names) if n == "a")


def test_refused():
    x, y = drawn(100, seed=9)
    batch = maximum_likelihood(LINE, x, np.stack([y, y]), TRUTH)
    with pytest.raises(InputError, match="several fits"):
        covariance(batch, x, y)
    cut = maximum_likelihood(LINE, x, y, DensityMeasure(ROUTED, [1.0, 1.0]), max_steps=1)
    with pytest.raises(InputError, match="not at a maximum"):
        covariance(cut, x, y)


def test_errors_are_the_spread_of_two_hundred_replicates():
    estimates, errors, robust = [], [], []
    for seed in range(200):
        x, y = drawn(500, seed=seed)
        fit = maximum_likelihood(LINE, x, y, TRUTH)
        found = covariance(fit, x, y)
        vector = LINE.pack(fit.measure)
        vector[-2:] = np.exp(vector[-2:])
        estimates.append(vector)
        errors.append(found.standard_errors)
        robust.append(found.sandwich_errors)
    free = ~np.isnan(errors[0])
    spread = np.std(estimates, axis=0, ddof=1)[free]
    # the spread of 200 has a relative error of 5 %; ten numbers stay within three of it
    for kind in (errors, robust):
        ratio = np.mean(kind, axis=0)[free] / spread
        assert (abs(ratio - 1.0) < 0.15).all(), ratio
