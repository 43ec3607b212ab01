"""Maximum likelihood: it rises, stays in the box, and says where the maximum means nothing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import identkit
from identkit.density import (
    DensityBox,
    DensityFit,
    DensityMeasure,
    DensityModel,
    Status,
    maximum_likelihood,
)
from identkit.density.box import FLOOR
from identkit.density.choosing import choose_density
from identkit.density.running import best_density
from identkit.errors import InputError
from identkit.experts import builtin
from identkit.fit.box import Box
from identkit.likelihoods.categorical import with_classes
from identkit.mixing import MixingMeasure

LINEAR = DensityModel.of("linear", "softmax")
TRUTH = DensityMeasure(
    MixingMeasure([0.5, 0.0], [[1.0], [0.0]], [[2.0, 1.0], [-1.0, 0.0]]), [0.1, 0.2]
)
POOR = DensityMeasure(
    MixingMeasure([0.0, 0.0], [[0.2], [0.0]], [[0.1, 0.5], [-0.2, -0.5]]), [3.0, 3.0]
)
CONSTANT = DensityModel.of("input-free", "softmax")
"""y has two means, whatever x is, but for the weights."""
SPREAD = DensityMeasure(MixingMeasure([0.0, 0.0], [[0.0], [0.0]], [[-2.0], [2.0]]), [1.0, 1.0])


def drawn(seed: int, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2.0, 2.0, (rows, 1))
    return x, LINEAR.sample(TRUTH, x, rng)


def two_means(seed: int, rows: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.where(rng.uniform(size=rows) < 0.4, -2.0, 2.0) + 0.5 * rng.normal(size=rows)
    return rng.normal(size=(rows, 1)), y


def on_a_row(value: float) -> DensityMeasure:
    """A start whose first atom is at a value of y, with a variance that reaches no other."""
    routed = MixingMeasure([-3.0, 0.0], [[0.0], [0.0]], [[value], [0.0]])
    return DensityMeasure(routed, [1e-9, 4.0])


def packed(fit: DensityFit) -> np.ndarray:
    return fit.model.pack(fit.measure)


def same(ours: DensityFit, theirs: DensityFit) -> bool:
    return bool(
        np.array_equal(packed(ours), packed(theirs))
        and ours.log_likelihood == theirs.log_likelihood
        and ours.status == theirs.status
    )


# -- it rises -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"em_steps": 0}, {"em_steps": 3}, {"newton": False}])
def test_no_step_lowers_the_likelihood(options):
    x, y = drawn(1)
    before = LINEAR.log_density(POOR, x, y).sum()
    for steps in range(1, 25):
        fit = maximum_likelihood(LINEAR, x, y, POOR, max_steps=steps, **options)
        assert fit.log_likelihood >= before
        assert fit.log_likelihood == pytest.approx(LINEAR.log_density(fit.measure, x, y).sum())
        before = fit.log_likelihood


def test_steps_of_em_lead_where_those_of_newton_do():
    x, y = drawn(2, 300)
    newton = maximum_likelihood(LINEAR, x, y, POOR)
    em = maximum_likelihood(LINEAR, x, y, POOR, newton=False, max_steps=2000)
    assert newton.status is Status.CONVERGED
    assert em.status.finished
    assert em.log_likelihood == pytest.approx(newton.log_likelihood, rel=1e-9)
    assert np.allclose(packed(em), packed(newton), atol=1e-4)
    assert newton.steps < em.steps


@pytest.mark.parametrize(
    ("expert", "likelihood", "shared"),
    [("linear", "gaussian", None), ("linear", "gaussian-common", "linear"),
     ("linear", "categorical", None)],
)  # fmt: skip
def test_bfgs_finds_nothing_above_the_maximum(expert, likelihood, shared):
    model = DensityModel.of(expert, "softmax", likelihood, shared=shared)
    x, y = drawn(3, 300)
    if likelihood == "categorical":
        y = (y + 0.7 * np.random.default_rng(0).normal(size=300) > 0.5).astype(float)
    atoms = (0 if shared is None else 1, 2)
    start = np.zeros(model.length(atoms))
    start[: packed_of(TRUTH).size] = packed_of(TRUTH)
    fit = maximum_likelihood(model, x, y, model.unpack(start, atoms))
    assert fit.status.finished
    free = np.flatnonzero(~np.asarray(fit.held))
    vector = model.pack(fit.measure)

    def cost(values: np.ndarray) -> float:
        moved = vector.copy()
        moved[free] = values
        return -float(model.log_density(model.unpack(moved, atoms), x, y).sum())

    found = minimize(cost, vector[free], method="BFGS")
    assert np.abs(found.x).max() <= 10.0  # in the box of the fit
    assert -fit.log_likelihood <= found.fun + 1e-6
    assert fit.gradient_norm <= 1e-3


def packed_of(measure: DensityMeasure) -> np.ndarray:
    return LINEAR.routed.pack(measure.routed)


# -- the box, and variances that are known ----------------------------------------------------


def test_numbers_stay_in_the_box():
    x, y = drawn(4)
    box = DensityBox(Box(beta1=0.5, eta=1.5), variance=(0.15, 0.6))
    fit = maximum_likelihood(LINEAR, x, y, POOR, box=box)
    assert np.abs(fit.measure.routed.beta1).max() <= 0.5
    assert np.abs(fit.measure.routed.eta).max() <= 1.5
    assert fit.measure.variances.min() >= 0.15 * (1 - 1e-12)
    assert fit.measure.variances.max() <= 0.6 * (1 + 1e-12)
    assert fit.status in (Status.AT_THE_BOX, Status.SPIKE)
    assert fit.log_likelihood < maximum_likelihood(LINEAR, x, y, POOR).log_likelihood


def test_known_variances_are_held():
    model = DensityModel.of("linear", "softmax", "gaussian-known")
    x, y = drawn(5)
    box = DensityBox(variance=[[0.1, 0.1], [0.2, 0.2]])
    fit = maximum_likelihood(model, x, y, TRUTH, box=box)
    assert fit.status is Status.CONVERGED
    assert fit.measure.variances == pytest.approx([0.1, 0.2], rel=1e-12)
    free = maximum_likelihood(LINEAR, x, y, TRUTH)
    assert free.log_likelihood >= fit.log_likelihood
    assert free.free == fit.free + 2


# -- where the likelihood has no bound --------------------------------------------------------


def test_an_atom_on_two_equal_values_is_a_spike_and_leaves_others_alone():
    x, y = (np.stack(parts) for parts in zip(*(two_means(seed) for seed in range(3)), strict=True))
    y[1, 7] = y[1, 3]
    starts = DensityMeasure.stack([SPREAD, on_a_row(y[1, 3]), SPREAD])
    fits = maximum_likelihood(CONSTANT, x, y, starts)
    assert [s is Status.SPIKE for s in fits.status] == [False, True, False]
    for r in (0, 2):
        assert same(fits[r], maximum_likelihood(CONSTANT, x[r], y[r], SPREAD))
        assert fits.status[r] is Status.CONVERGED
    assert fits.measure.variances[1].min() == pytest.approx(FLOOR * y[1].var(), rel=1e-6)
    assert "floor" in fits.status[1].remedy


def test_a_spike_is_never_the_best_start_if_another_is_none():
    x, y = two_means(4)
    y[10] = y[11] = y[12] = y[13]
    starts = [on_a_row(y[13]), SPREAD]
    box = DensityBox(variance=(1e-300, 1e3))
    for order in ((0, 1), (1, 0)):
        fit = maximum_likelihood(CONSTANT, x, y, [starts[i] for i in order], box=box)
        assert fit.statuses[0][order.index(0)] is Status.SPIKE
        assert fit.log_likelihoods[0, order.index(0)] > fit.log_likelihoods[0, order.index(1)]
        assert fit.status is Status.CONVERGED
        assert fit.start == order.index(1)
    alone = maximum_likelihood(CONSTANT, x, y, [starts[0]], box=box)
    assert alone.status is Status.SPIKE


def test_an_atom_with_one_row_is_a_spike_or_light():
    x, y = two_means(5, 2500)
    y[100] = 40.0
    routed = MixingMeasure([-5.0, 0.0], [[0.0], [0.0]], [[9.0], [0.0]])
    wide = DensityBox(Box(eta=50.0, beta0=20.0))
    free = maximum_likelihood(CONSTANT, x, y, DensityMeasure(routed, [1.0, 4.0]), box=wide)
    assert free.status is Status.SPIKE
    common = DensityModel.of("input-free", "softmax", "gaussian-common")
    held = maximum_likelihood(common, x, y, DensityMeasure(routed, [4.0, 4.0]), box=wide)
    assert held.status is Status.LIGHT_ATOM
    assert held.measure.routed.eta[0, 0] == pytest.approx(40.0, abs=0.1)


# -- data that are no data --------------------------------------------------------------------


def test_a_constant_y_is_left_out():
    x, y = (np.stack(parts) for parts in zip(*(drawn(seed) for seed in range(3)), strict=True))
    y[1] = 2.5
    fits = maximum_likelihood(LINEAR, x, y, POOR)
    assert fits.status[1] is Status.BAD_DATA
    assert np.isnan(fits.log_likelihood[1])
    for r in (0, 2):
        assert same(fits[r], maximum_likelihood(LINEAR, x[r], y[r], POOR))
    with pytest.raises(InputError, match=r"all 200 values are 2\.5"):
        maximum_likelihood(LINEAR, x[1], y[1], POOR)


def test_one_class_is_refused_and_left_out():
    model = DensityModel.of("linear", "softmax", "categorical")
    start = DensityMeasure(TRUTH.routed)
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(2, 150, 1)), rng.integers(0, 2, size=(2, 150)).astype(float)
    y[0] = 1.0
    fits = maximum_likelihood(model, x, y, start)
    assert fits.status[0] is Status.BAD_DATA
    assert same(fits[1], maximum_likelihood(model, x[1], y[1], start))
    with pytest.raises(InputError, match="nothing to fit"):
        maximum_likelihood(model, x[0], y[0], start)
    y[0] = rng.integers(0, 3, size=150)
    assert maximum_likelihood(model, x, y, start).status[0] is Status.BAD_DATA
    with pytest.raises(InputError, match="2 is no class"):
        maximum_likelihood(model, x[0], y[0], start)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_values_that_are_no_numbers_are_left_out(value):
    x, y = (np.stack(parts) for parts in zip(*(drawn(seed) for seed in range(2)), strict=True))
    y[0, 17] = value
    fits = maximum_likelihood(LINEAR, x, y, POOR)
    assert fits.status[0] is Status.BAD_DATA
    assert same(fits[1], maximum_likelihood(LINEAR, x[1], y[1], POOR))


def test_more_parameters_than_rows_are_refused_in_one_sentence():
    x, y = drawn(7, 6)
    with pytest.raises(InputError) as raised:
        maximum_likelihood(LINEAR, x, y, POOR)
    assert str(raised.value) == (
        "data: 6 samples are fewer than the 8 parameters of 2 atoms; give more data or fit fewer "
        "atoms."
    )


def test_collinear_columns_change_nothing_but_the_parameters():
    model = DensityModel.of("linear", "softmax", dim=2)
    x, y = drawn(8)
    both = np.concatenate([x, 2.0 * x], axis=1)
    routed = MixingMeasure([0.5, 0.0], [[1.0, 0.0], [0.0, 0.0]], [[2.0, 0, 1.0], [-1.0, 0, 0.0]])
    fit = maximum_likelihood(model, both, y, DensityMeasure(routed, [0.1, 0.2]))
    one = maximum_likelihood(LINEAR, x, y, TRUTH)
    assert fit.status.finished
    assert fit.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)


# -- other ways to ask the same ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_weights_are_repeated_rows(kind):
    model = DensityModel.of("linear", "softmax", kind)
    x, y = drawn(9)
    rng = np.random.default_rng(0)
    start = TRUTH
    if kind == "categorical":
        y, start = rng.integers(0, 2, size=200).astype(float), DensityMeasure(TRUTH.routed)
    count = rng.integers(0, 4, size=200)
    weighted = maximum_likelihood(model, x, y, start, weight=count.astype(float))
    rows = np.repeat(np.arange(200), count)
    repeated = maximum_likelihood(model, x[rows], y[rows], start)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-10)
    if kind == "gaussian":
        assert np.allclose(packed(weighted), packed(repeated), atol=1e-5)


def test_one_problem_is_a_batch_of_one():
    x, y = drawn(10)
    one = maximum_likelihood(LINEAR, x, y, POOR)
    batch = maximum_likelihood(LINEAR, x[None], y[None], POOR)
    assert len(batch) == 1
    assert same(one, batch[0])
    with pytest.raises(TypeError):
        len(one)


def test_several_starts_are_the_best_of_them():
    x, y = drawn(11)
    starts = [POOR, TRUTH]
    each = [maximum_likelihood(LINEAR, x, y, start) for start in starts]
    both = maximum_likelihood(LINEAR, x, y, starts)
    assert np.array_equal(both.log_likelihoods[0], [fit.log_likelihood for fit in each])
    assert both.log_likelihood == pytest.approx(max(f.log_likelihood for f in each), rel=1e-12)


def test_three_classes():
    expert = with_classes(builtin("linear", None, 1), 3)
    model = DensityModel.of(expert, "softmax", "categorical")
    rng = np.random.default_rng(12)
    eta = [[2.0, 1.0, -2.0, 0.0], [-1.0, 0.0, 1.0, 1.0]]
    truth = DensityMeasure(MixingMeasure([0.2, 0.0], [[2.0], [0.0]], eta))
    x = rng.normal(size=(600, 1))
    y = model.sample(truth, x, rng)
    fit = maximum_likelihood(model, x, y, truth)
    assert fit.status.finished
    assert fit.log_likelihood > model.log_density(truth, x, y).sum()
    total = np.exp([model.log_density(fit.measure, x, np.full(600, c)) for c in range(3)])
    assert total.sum(axis=0) == pytest.approx(np.ones(600), rel=1e-12)


def test_the_mixture_of_normals_is_that_of_scikit_learn():
    mixture: Any = pytest.importorskip("sklearn.mixture")
    x, y = two_means(13, 400)
    box = DensityBox(Box(beta1=(0.0, 0.0)))
    fit = maximum_likelihood(CONSTANT, x, y, SPREAD, box=box)
    peer = mixture.GaussianMixture(
        2, means_init=[[-2.0], [2.0]], tol=1e-12, reg_covar=0.0, max_iter=5000, random_state=0
    ).fit(y[:, None])
    assert fit.status is Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(400 * peer.score(y[:, None]), rel=1e-9)
    assert fit.measure.routed.eta[:, 0] == pytest.approx(peer.means_[:, 0], abs=1e-5)
    assert fit.measure.variances == pytest.approx(peer.covariances_[:, 0, 0], rel=1e-4)
    weights = CONSTANT.weights(fit.measure, x[:1])[:, 0]
    assert weights == pytest.approx(peer.weights_, abs=1e-5)


def weighted(weights, **options):
    """A fit of LINE to 120 rows with these weights."""
    rng = np.random.default_rng(4)
    x = rng.uniform(-2.0, 2.0, (len(weights), 1))
    y = np.where(x[:, 0] > 0, 2.0 * x[:, 0], -x[:, 0]) + 0.3 * rng.standard_normal(len(weights))
    model = DensityModel.of("linear", "softmax")
    return best_density(model, x, y, 2, weight=np.array(weights), **options), x, y


def test_a_floor_of_the_user_s_with_many_rows_is_a_bound():
    rng = np.random.default_rng(0)
    x = rng.uniform(-2.0, 2.0, (120, 1))
    y = np.where(x[:, 0] > 0, 2.0 * x[:, 0], -x[:, 0]) + 0.1 * rng.standard_normal(120)
    model = DensityModel.of("linear", "softmax")
    box = DensityBox(variance=(0.1, 9.0))
    fit = best_density(model, x, y, 2, box=box)
    assert fit.status is Status.AT_THE_BOX
    assert np.isclose(fit.measure.variances, 0.1).all()
    choice = choose_density(model, x, y, [1, 2], box=box, starts=2)
    assert choice.of("bic").k == 2


def test_a_floor_of_the_user_s_with_few_rows_is_a_spike():
    rng = np.random.default_rng(0)
    x = rng.uniform(-2.0, 2.0, (60, 1))
    y = rng.standard_normal(60)
    model = DensityModel.of("linear", "softmax")
    routed = identkit.MixingMeasure(
        [np.log(2 / 58), 0.0], [[0.0], [0.0]],
        [[(y[1] - y[0]) / (x[1, 0] - x[0, 0]),
          y[0] - x[0, 0] * (y[1] - y[0]) / (x[1, 0] - x[0, 0])], [0.0, 0.0]],
    )  # fmt: skip
    start = DensityMeasure(routed, [1e-6, 1.0])
    fit = maximum_likelihood(model, x, y, start, box=DensityBox(variance=(1e-9, 9.0)))
    assert fit.status is Status.SPIKE


def test_rows_of_weight_zero_are_no_rows():
    weights = np.ones(300)
    weights[100:] = 0.0
    fit, x, y = weighted(weights)
    model = fit.model
    alone = best_density(model, x[:100], y[:100], 2)
    assert fit.log_likelihood == alone.log_likelihood
    assert fit.samples == 100
    assert (model.pack(fit.measure) == model.pack(alone.measure)).all()


def test_half_of_many_rows_may_weigh_nothing():
    fit, _, _ = weighted(np.arange(8200) % 2.0, starts=1)
    assert fit.status.finished
    # given to the engine itself, which leaves no row out
    rng = np.random.default_rng(1)
    x = rng.uniform(-2.0, 2.0, (8200, 1))
    again = maximum_likelihood(
        fit.model, x, x[:, 0] + rng.standard_normal(8200), fit.measure,
        weight=np.arange(8200) % 2.0,
    )  # fmt: skip
    assert again.status.finished


def test_weights_that_count_less_than_the_parameters_are_refused():
    with pytest.raises(InputError, match=r"add up to 1\.2, less than the 8 parameters of 2 atoms"):
        weighted(np.full(120, 0.01))
    with pytest.raises(InputError, match="5 samples are fewer than the 8 parameters"):
        weighted(np.r_[np.ones(5), np.zeros(100)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"box": 3}, "box: 3 is none"),
        ({"seed": -1}, "seed"),
        ({"variances": "x"}, "leave them out, or choose variance='known'"),
    ],
)
def test_wrong_arguments_get_a_sentence(options, said):
    with pytest.raises(InputError, match=re.escape(said)):
        weighted(np.ones(60), **options)
    with pytest.raises(InputError, match="k"):
        best_density(DensityModel.of("linear", "softmax"), np.ones((9, 1)), np.arange(9.0), 0)
