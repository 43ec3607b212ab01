"""Total variation and Hellinger distances of conditional densities, against closed forms."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from identkit import InputError
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.experts import Expert
from identkit.losses.divergence import hellinger, total_variation
from identkit.mixing import MixingMeasure

ONE = DensityModel.of("linear", "softmax")
BOTH = DensityModel.of("linear", "softmax", shared="tanh")
SEEDS = st.integers(0, 2**32 - 1)


def normal(mean, variance, slope=0.0):
    return DensityMeasure(MixingMeasure([0.0], [[0.0]], [[slope, mean]]), [variance])


def drawn(rng, k, m, batch=(), d=1, model=BOTH):
    routed = MixingMeasure(
        rng.normal(size=(*batch, k)), rng.normal(size=(*batch, k, d)),
        rng.normal(size=(*batch, k, len(model.routed.parameters))),
    )  # fmt: skip
    return DensityMeasure.with_shared(
        routed, rng.uniform(0.05, 1.5, (*batch, k)), rng.uniform(0.2, 1.0, (*batch, m)),
        rng.normal(size=(*batch, m, len(model.shared.parameters))),
        rng.uniform(0.05, 1.5, (*batch, m)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gap", "first", "second"),
    [(0.0, 1.0, 4.0), (1.0, 1.0, 1.0), (2.5, 0.3, 2.0), (9.0, 1.0, 0.01), (1e-5, 1.0, 1.0)],
)
def test_hellinger_of_two_normal_densities(gap, first, second):
    """1 − √(2σ1σ2/(σ1² + σ2²)) exp(−Δ²/(4(σ1² + σ2²)))."""
    found = hellinger(ONE, normal(0.0, first), normal(gap, second), squared=True)
    total = first + second
    root = np.sqrt(2 * np.sqrt(first * second) / total)
    expected = -np.expm1(np.log(root) - gap**2 / (4 * total))
    assert found.value == pytest.approx(expected, rel=1e-9, abs=1e-16)
    assert abs(found.value - expected) <= found.error + 1e-16
    plain = hellinger(ONE, normal(0.0, first), normal(gap, second))
    assert plain.value == pytest.approx(np.sqrt(expected), rel=1e-8)


@pytest.mark.parametrize("gap", [1e-6, 0.1, 1.0, 5.0, 30.0])
@pytest.mark.parametrize("variance", [0.01, 1.0, 9.0])
def test_total_variation_of_equal_variances(gap, variance):
    """2Φ(|Δ|/(2σ)) − 1."""
    found = total_variation(ONE, normal(0.0, variance), normal(gap, variance))
    expected = 2 * norm.cdf(gap / (2 * np.sqrt(variance))) - 1
    assert found.value == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_of_the_average_over_x():
    """Means ±x: TV = 2Φ(|x|) − 1 at x, averaged over [−3, 3]; the kink at 0 is an edge."""
    found = total_variation(ONE, normal(0.0, 1.0, 1.0), normal(0.0, 1.0, -1.0))
    expected = quad(lambda x: 2 * norm.cdf(x) - 1, 0, 3, epsabs=1e-13)[0] / 3
    assert found.value == pytest.approx(expected, abs=1e-10)
    assert abs(found.value - expected) <= found.error
    assert found.standard_error is None
    half = total_variation(ONE, normal(0.0, 1.0, 1.0), normal(0.0, 1.0, -1.0), domain=(0.0, 3.0))
    assert half.value == pytest.approx(expected, abs=1e-10)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_against_adaptive_quadrature(seed):
    rng = np.random.default_rng(seed)
    one, other = drawn(rng, 3, 2), drawn(rng, 2, 1)
    x = rng.uniform(-3, 3, (2, 1))
    values = {"tv": [], "h2": []}
    for row in x:
        means = [BOTH.means(m, row[None])[:, 0] for m in (one, other)]
        sides = [
            (BOTH.weights(m, row[None])[:, 0], mean, np.sqrt(m.all_variances))
            for m, mean in zip((one, other), means, strict=True)
        ]

        def gap(y, sides=sides):
            return [float((w * norm.pdf(y, mean, sd)).sum()) for w, mean, sd in sides]

        cuts = sorted(np.concatenate(means))
        low, high = cuts[0] - 12, cuts[-1] + 12
        for name, of in (
            ("tv", lambda p, q: abs(p - q) / 2),
            ("h2", lambda p, q: (p**0.5 - q**0.5) ** 2 / 2),
        ):
            found = quad(lambda y, of=of: of(*gap(y)), low, high, points=cuts, limit=400)
            values[name].append(found[0])
    tv = total_variation(BOTH, one, other, x=x)
    h2 = hellinger(BOTH, one, other, x=x, squared=True)
    assert tv.value == pytest.approx(np.mean(values["tv"]), abs=2e-6)
    assert h2.value == pytest.approx(np.mean(values["h2"]), abs=2e-6)
    assert tv.standard_error == pytest.approx(np.std(values["tv"], ddof=1) / 2**0.5, abs=2e-6)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_bounds_and_symmetry(seed):
    rng = np.random.default_rng(seed)
    one, other = drawn(rng, 3, 2, (4,)), drawn(rng, 2, 2)
    options = {"points": 16}
    tv = total_variation(BOTH, one, other, **options)
    h = hellinger(BOTH, one, other, **options)
    h2 = hellinger(BOTH, one, other, squared=True, **options)
    slack = 1e-7
    assert (h.value**2 <= h2.value + slack).all()
    assert (h2.value <= tv.value + slack).all()
    assert (tv.value <= np.sqrt(2) * h.value + slack).all()
    assert ((tv.value >= 0) & (tv.value <= 1 + slack)).all()
    for found, back in (
        (tv, total_variation(BOTH, other, one, **options)),
        (h, hellinger(BOTH, other, one, **options)),
    ):
        np.testing.assert_allclose(found.value, back.value, rtol=1e-12)
    each = [total_variation(BOTH, o, other, **options).value for o in one]
    np.testing.assert_allclose(tv.value, each, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_gauges_have_distance_0(seed):
    rng = np.random.default_rng(seed)
    one = drawn(rng, 3, 2)
    image = DensityMeasure(
        one.routed.shifted(rng.normal(), rng.normal(size=1)), one.variances,
        one.shared, one.shared_variances,
    )  # fmt: skip
    assert total_variation(BOTH, image, one).value < 1e-12
    assert hellinger(BOTH, image, one).value < 1e-12


def test_several_inputs_are_drawn_with_the_seed():
    model = DensityModel.of("linear", "softmax", shared="tanh", dim=2)
    rng = np.random.default_rng(1)
    one, other = (drawn(rng, 2, 1, d=2, model=model) for _ in range(2))
    found = total_variation(model, one, other, seed=3)
    assert "Monte Carlo" in found.method
    assert found.value == total_variation(model, one, other, seed=3).value
    again = total_variation(model, one, other, seed=4, points=4096)
    assert abs(found.value - again.value) < 5 * (found.standard_error + again.standard_error)


def test_classes():
    model = DensityModel.of(Expert.from_expression("a*x + b"), "softmax", "categorical")
    one, other = (
        DensityMeasure(MixingMeasure([0.0], [[0.0]], [[0.0, b]])) for b in (0.0, np.log(3.0))
    )
    assert total_variation(model, one, other).value == pytest.approx(0.25)
    expected = ((0.5**0.5 - 0.75**0.5) ** 2 + (0.5**0.5 - 0.25**0.5) ** 2) / 2
    assert hellinger(model, one, other, squared=True).value == pytest.approx(expected)
    assert hellinger(model, one, other).value == pytest.approx(expected**0.5)


def test_forty_measures_at_64_inputs_are_fast():
    rng = np.random.default_rng(0)
    fitted, truth = drawn(rng, 3, 2, (40,)), drawn(rng, 2, 2)
    begin = time.process_time()
    total_variation(BOTH, fitted, truth)
    hellinger(BOTH, fitted, truth)
    # 1.1 s were measured for both
    assert time.process_time() - begin < 8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"x": [[0.0, 1.0]]}, "must be"),
        ({"x": [[0.0]]}, "at least two rows"),
        ({"domain": (1.0, 0.0)}, "the smaller first"),
        ({"points": 3}, "at least 16"),
        ({"tolerance": 0.0}, "above 0"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(InputError, match=said):
        total_variation(ONE, normal(0.0, 1.0), normal(1.0, 1.0), **options)


def test_batches_are_checked():
    two, three = (DensityMeasure.stack([normal(0.0, 1.0)] * n) for n in (2, 3))
    with pytest.raises(InputError, match="as many, or one"):
        total_variation(ONE, two, three)
