"""Slopes, intervals, and verdicts on rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from identkit.rate import ROOT, Rate
from identkit.rates.slopes import (
    FEWEST,
    FINITE_SIZE,
    Prediction,
    Slope,
    judge,
    logarithm,
    slope,
)
from identkit.vocabulary import Judgement

CONSISTENT, INCONSISTENT, INCONCLUSIVE = Judgement
SIZES = (1000, 3162, 10000, 31623, 100000)


def errors(power, sizes=SIZES, replicates=40, spread=0.5, seed=0):
    rng = np.random.default_rng(seed)
    return [n**power * np.exp(spread * rng.standard_normal(replicates)) for n in sizes]


@pytest.mark.parametrize("power", [-0.5, -0.25, 0.0])
def test_the_slope_of_a_power_law(power):
    found = slope(SIZES, errors(power))
    assert found.low < power < found.high
    assert found.low < found.value < found.high


def test_the_slope_is_that_of_an_independent_regression():
    values = errors(-0.3)
    line = stats.linregress(np.log(SIZES), np.log([np.median(v) for v in values]))
    assert slope(SIZES, values).value == pytest.approx(line.slope, abs=1e-12)


def test_intervals_cover_at_about_their_level():
    """Of 200 experiments the 90% interval holds the slope in 170 to 195."""
    held = 0
    for seed in range(200):
        found = slope(SIZES, errors(-0.25, replicates=25, seed=seed))
        held += found.low <= -0.25 <= found.high
    assert 170 <= held <= 195


@settings(max_examples=10, deadline=None)
@given(st.floats(1e-6, 1e6), st.permutations(range(40)))
def test_units_and_the_order_of_replicates_do_not_matter(unit, order):
    values = errors(-0.4)
    here, there = slope(SIZES, values), slope(SIZES, [unit * v for v in values])
    assert there.value == pytest.approx(here.value, abs=1e-9)
    assert there.low == pytest.approx(here.low, abs=1e-9)
    assert slope(SIZES, [v[list(order)] for v in values]).value == pytest.approx(here.value)


def test_more_replicates_narrow_the_interval():
    few, many = (slope(SIZES, errors(-0.25, replicates=r)) for r in (40, 640))
    assert many.high - many.low < 0.4 * (few.high - few.low)


def test_missing_values_are_left_out_and_too_few_give_no_slope():
    values = errors(-0.5, replicates=FEWEST + 2)
    full = slope(SIZES, [v[:-1] for v in values])
    for v in values:
        v[-1] = math.nan
    assert slope(SIZES, values) == full
    values[2][:3] = math.nan
    assert slope(SIZES, values) is None
    assert slope(SIZES, [0 * v for v in errors(-0.5)]) is None


def test_the_logarithm_of_a_rate_over_a_window():
    log = logarithm(SIZES)
    at = [math.log(n) / n for n in (SIZES[0], SIZES[-1])]
    exact = math.log(at[1] / at[0]) / math.log(SIZES[-1] / SIZES[0])
    assert exact == pytest.approx(-1 + log, abs=1e-12)


@pytest.mark.parametrize(
    ("rate", "low", "high"),
    [
        ("n^-1/2", -0.5, -0.5 + logarithm(SIZES) / 2),
        ("n^-1/4", -0.25, -0.25 + logarithm(SIZES) / 4),
        ("n^-1/4 for one true atom", -0.25, -0.25 + logarithm(SIZES) / 4),
        ("1/log n", -logarithm(SIZES), math.inf),
        ("no consistent estimator", 0.0, math.inf),
        ("slower than n^-1/4", -0.25, math.inf),
    ],
)
def test_what_a_rate_allows(rate, low, high):
    found = Prediction.of(Rate.parse(rate), SIZES)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.strict == rate.startswith("slower")


@pytest.mark.parametrize("rate", ["undecided", "none: the premise fails", "not derived"])
def test_rates_that_predict_nothing(rate):
    assert Prediction.of(None, SIZES) is None
    assert Prediction.of(Rate.parse(rate), SIZES) is None


@pytest.mark.parametrize(
    ("rate", "interval", "verdict"),
    [
        ("n^-1/4", (-0.30, -0.20), CONSISTENT),
        ("n^-1/4", (-0.36, -0.30), INCONCLUSIVE),
        ("n^-1/4", (-0.15, -0.05), INCONSISTENT),
        ("n^-1/4", (-0.55, -0.20), INCONCLUSIVE),
        ("n^-1/4", (-0.30, 0.01), INCONCLUSIVE),
        ("n^-1/4", (-0.22, -0.01), INCONCLUSIVE),
        ("no consistent estimator", (-0.22, -0.01), INCONCLUSIVE),
        ("n^-1/2", (-0.52, -0.45), CONSISTENT),
        ("n^-1/2", (-0.40, -0.30), INCONSISTENT),
        ("n^-1/2", (-0.60, -0.20), INCONCLUSIVE),
        ("1/log n", (-0.05, 0.05), CONSISTENT),
        ("1/log n", (-0.35, -0.20), INCONCLUSIVE),
        ("1/log n", (-0.30, 0.10), INCONCLUSIVE),
        ("no consistent estimator", (-0.02, 0.05), CONSISTENT),
        ("no consistent estimator", (-0.30, -0.10), INCONCLUSIVE),
        ("slower than n^-1/4", (-0.17, -0.10), CONSISTENT),
        ("slower than n^-1/4", (-0.22, -0.10), INCONCLUSIVE),
        ("slower than n^-1/4", (-0.28, -0.20), INCONCLUSIVE),
        ("slower than n^-1/4", (-0.40, -0.30), INCONCLUSIVE),
    ],
)
def test_verdicts(rate, interval, verdict):
    low, high = interval
    found = Slope((low + high) / 2, low, high)
    answer, reason = judge(Prediction.of(Rate.parse(rate), SIZES), found)
    assert answer == verdict
    assert bool(reason) == (verdict != CONSISTENT)


def test_no_slope_is_inconclusive():
    assert judge(Prediction.of(ROOT, SIZES), None)[0] == INCONCLUSIVE


@given(st.floats(-1, 1), st.floats(0.001, 1), st.sampled_from(["n^-1/2", "n^-1/4", "1/log n"]))
def test_a_verdict_never_gets_firmer_as_the_interval_widens(middle, half, rate):
    """A wider interval turns consistent or inconsistent into inconclusive, not into the other."""
    prediction = Prediction.of(Rate.parse(rate), SIZES)
    narrow = judge(prediction, Slope(middle, middle - half / 4, middle + half / 4))[0]
    wide = judge(prediction, Slope(middle, middle - half, middle + half))[0]
    assert (narrow, wide) not in {(CONSISTENT, INCONSISTENT), (INCONCLUSIVE, INCONSISTENT)}


@given(
    st.floats(-3, 0.5), st.floats(0.001, 1), st.sampled_from(["1/log n", "no consistent estimator"])
)
def test_claims_about_the_worst_truth_are_never_refuted(middle, half, rate):
    """One truth says nothing against them; nor do errors that fall faster than an upper bound."""
    found = Slope(middle, middle - half, middle + half)
    assert judge(Prediction.of(Rate.parse(rate), SIZES), found)[0] != INCONSISTENT


def test_slack_is_that_of_finite_samples():
    """±FINITE_SIZE: .025 is what a relative correction n^-1/4 does to the slope at n = 1e4."""
    n = np.array([9_999.0, 10_001.0])
    error = n**-0.25 * (1 + n**-0.25)
    local = np.diff(np.log(error))[0] / np.diff(np.log(n))[0]
    assert abs(local + 0.25) < FINITE_SIZE
    assert abs(local + 0.25) > FINITE_SIZE / 2
