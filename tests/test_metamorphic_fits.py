"""Fits of the same data told otherwise: other units and origins, another order, weights, bounds.

Estimates and standard errors must change as the algebra of each model says, written here by hand,
and predictions not at all.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from identkit import Expert, fit_data
from identkit.errors import InputError
from identkit.fit import Box, Model, least_squares
from identkit.fit.change import places_of
from identkit.fit.inference import Covariance
from identkit.fit.running import best_fit

pytestmark = pytest.mark.usefixtures("one_thread")

SEED, N = 20261130, 160
SAME = 1e-8
"""Of estimates and predictions told in other units: what converges is the same problem up to
rounding of the data, 1e-16 times its condition."""
ERRORS = 1e-7
"""Of standard errors, which the condition of JᵀJ, the square of J's, takes digits of."""
PEAK = "a*exp(-(x - m)**2/s**2) + b*x + c"


def numbers(report) -> np.ndarray:
    return report.result.model.pack(report.result.measure)


def fit(data, expert, gate="softmax", k=1, **options):
    report = fit_data(data, expert, gate, k, check=False, **{"starts": 3, **options})
    assert report.result.status.value == "converged"
    return report


def covariance(report) -> Covariance:
    assert report.covariance is not None
    return report.covariance


def peak(rng):
    x = rng.uniform(-2.0, 3.0, size=(N, 1))
    f = 2.0 * np.exp(-((x[:, 0] - 0.4) ** 2) / 0.3) + 0.5 * x[:, 0] + 1.0
    return x, f + 0.1 * rng.normal(size=N)


def two_planes(rng):
    x = rng.normal(size=(N, 2))
    weight = 1.0 / (1.0 + np.exp(-3.0 * x[:, 0] - 1.0))
    f = weight * (x @ [2.0, -1.0] + 1.0) + (1.0 - weight) * (x @ [-1.0, 0.5] - 2.0)
    return x, f + 0.1 * rng.normal(size=N)


def one_step(rng):
    x = rng.normal(size=(N, 1))
    weight = 1.0 / (1.0 + np.exp(-2.0 * x[:, 0]))
    return x, weight * 2.0 * np.tanh(x[:, 0] + 0.5) + 0.05 * rng.normal(size=N)


# A and a of θ' = A·θ + a for x' = s·x + o, y' = t·y + c, number by number
def of_peak(k, s, o, t, c):
    a, at = np.eye(7), np.zeros(7)  # β1, β0 (held at 0), a, m, s, b, c
    a[2, 2], a[3, 3], a[4, 4], a[5, 5], a[6, 6] = t, s[0], s[0], t / s[0], t
    at[3] = o[0]
    a[6, 5], at[6] = -t * o[0] / s[0], c
    return a, at


def of_planes(k, s, o, t, c):
    own, at = np.zeros((6, 6)), np.zeros(6)  # β1_0, β1_1, β0, a0, a1, b
    for i in (0, 1):
        own[i, i], own[2, i] = 1.0 / s[i], -o[i] / s[i]
        own[3 + i, 3 + i], own[5, 3 + i] = t / s[i], -t * o[i] / s[i]
    own[2, 2], own[5, 5], at[5] = 1.0, t, c
    return np.kron(np.eye(k), own), np.tile(at, k)


def of_step(k, s, o, t, c):
    a = np.diag([1.0 / s[0], 1.0, t, 1.0 / s[0], 1.0])  # β1, β0, c, a, b
    a[1, 0], a[4, 3] = -o[0] / s[0], -o[0] / s[0]
    assert c == 0.0  # nothing is added to c·tanh
    return a, np.zeros(5)


CASES = {
    "peak": (PEAK, "softmax", 1, peak, of_peak),
    "planes": ("linear", "softmax", 2, two_planes, of_planes),
    "step": ("c*tanh(a*x + b)", "sigmoid", 1, one_step, of_step),
}
CHANGES = (
    ("scales", 0.01, 0.0, 1e4, 0.0),
    ("origins", 1.0, 30.0, 1.0, -7.0),
    ("both", 12.0, -5.0, 0.02, 0.4),
)


@pytest.fixture(scope="module")
def fitted():
    """The fit of each case as it is drawn; all are fitted once."""
    found = {}
    for name, (expert, gate, k, draw, _) in CASES.items():
        own = expert if expert == "linear" else Expert.from_expression(expert)
        x, y = draw(np.random.default_rng(SEED))
        found[name] = x, y, own, gate, k, fit((x, y), own, gate, k)
    return found


def symmetry(name, vector):
    """The matrix that brings one of several vectors of the same f to the one looked for.

    s and −s are one width, c·tanh(z) = −c·tanh(−z), and two atoms can change places: which a fit
    finds first is a matter of rounding.
    """
    found = np.eye(len(vector))
    if name == "peak" and vector[4] < 0:
        found[4] *= -1.0
    if name == "step" and vector[2] < 0:
        found[2:] *= -1.0
    if name == "planes" and vector[3] < vector[9]:
        found = np.roll(found, 6, axis=0)
        found[:3], found[6:9] = 0.0, 0.0
        found[:3, :3] = -np.eye(3)  # the second atom's gate stays at 0
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("change", CHANGES, ids=[c[0] for c in CHANGES])
def test_units_and_origins_of_columns(fitted, name, change):
    _, scale, origin, unit, level = change
    x, y, expert, gate, k, before = fitted[name]
    d = x.shape[1]
    s = np.array([scale, 3.0 * scale])[:d]  # each column its own
    o = np.array([origin, -2.0 * origin])[:d]
    level = 0.0 if name == "step" else level
    after = fit((s * x + o, unit * y + level), expert, gate, k)
    a, at = CASES[name][4](k, s, o, unit, level)
    own, new = symmetry(name, numbers(before)), symmetry(name, numbers(after))
    expected, found = a @ own @ numbers(before) + at, new @ numbers(after)
    size = np.abs(a) @ np.abs(own @ numbers(before)) + np.abs(at)  # before cancellation
    np.testing.assert_array_less(np.abs(found - expected), SAME * size + 1e-300)
    rows = np.linspace(-1.5, 2.5, 7)[:, None] * np.ones(d)
    told, expected = after.predict(s * rows + o), unit * before.predict(rows) + level
    np.testing.assert_allclose(told, expected, rtol=SAME, atol=SAME * unit)
    # covariances follow the same matrix
    expected, found = (
        np.sqrt(np.diag(m @ np.nan_to_num(covariance(report).matrix) @ m.T))
        for m, report in ((a @ own, before), (new, after))
    )
    np.testing.assert_allclose(found, expected, rtol=ERRORS)
    assert (found > 0).sum() == covariance(after).rank
    assert covariance(after).sigma == pytest.approx(unit * covariance(before).sigma, rel=SAME)


@pytest.mark.parametrize("name", CASES)
def test_the_default_fit_is_the_unscaled_one(fitted, name):
    """In the user's own units, without bounds, from the solution: it stays there."""
    x, y, _, _, _, before = fitted[name]
    result, model = before.result, before.result.model
    plain = least_squares(model, x, y, result.measure, box=Box(np.inf, np.inf, np.inf))
    assert plain.status.finished
    assert plain.cost == pytest.approx(result.cost, rel=1e-12)
    np.testing.assert_allclose(
        model.predict(plain.measure, x), before.predict(x), rtol=1e-7, atol=1e-7
    )


@pytest.mark.parametrize("name", CASES)
def test_the_order_of_the_rows_is_no_matter(fitted, name):
    x, y, expert, gate, k, before = fitted[name]
    order = np.random.default_rng(SEED).permutation(len(y))
    after = fit((x[order], y[order]), expert, gate, k)
    assert after.result.cost == pytest.approx(before.result.cost, rel=SAME)
    np.testing.assert_allclose(after.predict(x), before.predict(x), rtol=1e-7, atol=1e-7)


def test_weight_2_is_a_row_twice(fitted):
    x, y, expert, gate, k, _ = fitted["peak"]
    times = np.random.default_rng(SEED).integers(0, 4, len(y))
    weighted = fit((x, y), expert, gate, k, weight=times.astype(float))
    repeated = fit((x.repeat(times, axis=0), y.repeat(times)), expert, gate, k)
    assert weighted.result.cost == pytest.approx(repeated.result.cost, rel=1e-10)
    one, other = (symmetry("peak", numbers(r)) @ numbers(r) for r in (weighted, repeated))
    np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(weighted.predict(x), repeated.predict(x), rtol=SAME, atol=SAME)


# -- values of the user's -------------------------------------------------------------------------


def pinned(model: Model, name: str, value: float) -> Box:
    entries = [(value, value) if p == name else None for p in model.parameters]
    return Box(eta=tuple(entries))


@pytest.mark.parametrize(("name", "value"), [("s", 0.6), ("m", 0.5), ("b", 0.45), ("c", 1.1)])
def test_a_fixed_number_is_the_model_with_it_written_in(fitted, name, value):
    x, y, expert, _, _, _ = fitted["peak"]
    held = fit((x, y), expert, box=pinned(Model.of(expert, "softmax"), name, value))
    assert held.result.measure.eta[0][expert.parameters.index(name)] == pytest.approx(
        value, rel=1e-12
    )
    written = Expert.from_expression(re.sub(rf"\b{name}\b", f"({value})", PEAK))
    other = fit((x, y), written)
    assert held.result.cost == pytest.approx(other.result.cost, rel=1e-10)
    np.testing.assert_allclose(held.predict(x), other.predict(x), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(
        np.delete(covariance(held).standard_errors[2:], expert.parameters.index(name)),
        covariance(other).standard_errors[2:],
        rtol=1e-6,
    )
    assert len(written.parameters) == len(expert.parameters) - 1
    assert covariance(held).degrees == covariance(other).degrees


def test_the_box_holds_in_the_units_of_the_user(fitted):
    x, y, expert, _, _, before = fitted["peak"]
    far_x, far_y = 2000.0 + 10.0 * x, 1e3 * y
    at = {p: i for i, p in enumerate(expert.parameters)}
    free = fit((far_x, far_y), expert)
    m = free.result.measure.eta[0][at["m"]]
    assert m == pytest.approx(2000.0 + 10.0 * before.result.measure.eta[0][at["m"]], rel=SAME)
    bounds = tuple((m + 1.0, m + 9.0) if p == "m" else None for p in expert.parameters)
    report = fit_data(
        (far_x, far_y), expert, "softmax", 1, box=Box(eta=bounds), starts=3, check=False
    )
    assert report.result.status.value == "at the box"
    assert report.result.measure.eta[0][at["m"]] == pytest.approx(m + 1.0, rel=1e-12)
    (bound,) = report.bounds
    assert (bound.parameter, bound.side) == ("m", "lower")
    assert bound.between == pytest.approx((m + 1.0, m + 9.0), rel=1e-12)
    with pytest.raises(InputError, match="box: eta"):
        fit((far_x, far_y), expert, box=Box(eta=((1.0, 2.0),)))


def test_starts_are_where_the_user_says():
    """A fit that begins at the solution, in far units, ends there; one that is begun elsewhere, and
    stopped, does not."""
    expert = Expert.from_expression(PEAK)
    x, y = peak(np.random.default_rng(SEED))
    far = 2000.0 + 10.0 * x, 1e3 * y
    report = fit(far, expert)
    values = dict(zip(expert.parameters, report.result.measure.eta[0], strict=True))

    def begun(steps, **others):
        return fit_data(
            far, expert, "softmax", 1, starts=1, max_steps=steps, check=False,
            start={name: float(v) for name, v in {**values, **others}.items()},
        ).result  # fmt: skip

    np.testing.assert_allclose(begun(2).measure.eta, report.result.measure.eta, rtol=1e-7)
    # a peak at the other end, where there is none: its centre has not come back in one step
    away = begun(1, m=1981.0, s=1.0)
    assert away.cost > 2.0 * report.result.cost
    at = expert.parameters.index("m")
    assert abs(away.measure.eta[0][at] - 1981.0) < abs(away.measure.eta[0][at] - values["m"])


WRONG_STARTS = {
    "outside": ({"m": 9.0}, Box(eta=(None, (0.0, 2.0), None, None, None)), "bounds are 0 and 2"),
    "held": ({"m": 1.0}, Box(eta=(None, (2.0, 2.0), None, None, None)), "it is held at 2"),
    "beyond what is default": ({"a": 1e12}, None, "start: a = 1e.12, but its bounds are"),
    "not finite": ({"m": np.inf}, None, "m is inf; give a finite number"),
    "a word": ({"m": "here"}, None, "m is 'here'; give a finite number"),
    "too many": ({"m": [1.0, 2.0]}, None, "m has 2 values; give one, or 1 for 1 atom"),
    "no parameter": ({"z": 1.0}, None, "there is no 'z'; the parameters are"),
    "no names": (3.0, None, "3.0 is no mapping"),
}


@pytest.mark.parametrize("wrong", WRONG_STARTS)
def test_starts_that_cannot_be_honoured_are_refused(wrong):
    start, box, said = WRONG_STARTS[wrong]
    x, y = peak(np.random.default_rng(SEED))
    model = Model.of(Expert.from_expression(PEAK), "softmax")
    with pytest.raises(InputError, match=said):
        best_fit(model, x, y, 1, start=start, box=box)


def test_bounds_and_ridges_of_another_kind_are_refused():
    x, y = peak(np.random.default_rng(SEED))
    model = Model.of(Expert.from_expression(PEAK), "softmax")
    several: tuple[tuple[dict[str, Any], str], ...] = (
        ({"box": 3}, "box: 3 is none; give an identkit.fit.Box"),
        ({"ridge": "x"}, "ridge: 'x' is no number"),
        ({"ridge": True}, "ridge: True is no number"),
    )
    for options, said in several:
        with pytest.raises(InputError, match=said):
            best_fit(model, x, y, 1, **options)


def test_a_ridge_of_0_is_none_and_a_large_one_leaves_small_standard_numbers(fitted):
    x, y, expert, gate, k, before = fitted["planes"]
    none = fit((x, y), expert, gate, k, ridge=0.0)
    np.testing.assert_array_equal(numbers(none), numbers(before))
    sizes = []
    for ridge in (0.1, 10.0, 1e6):
        report = fit((x, y), expert, gate, k, ridge=ridge)
        inner = report.result.scaled
        sizes.append(float(np.linalg.norm(inner.model.pack(inner.measure))))
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] < 1e-3
    # at small standard numbers f is nearly the mean of y, not 0
    np.testing.assert_allclose(report.predict(x), y.mean(), atol=0.01 * y.std())


def test_a_ridge_is_of_standard_units(fitted):
    x, y, expert, gate, k, _ = fitted["planes"]
    one = fit((x, y), expert, gate, k, ridge=1.0)
    other = fit((1e3 * x + 5e3, 40.0 * y - 9.0), expert, gate, k, ridge=1.0)
    np.testing.assert_allclose(
        other.predict(1e3 * x + 5e3), 40.0 * one.predict(x) - 9.0, rtol=SAME, atol=SAME
    )


# -- another program ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_standard_errors_are_those_of_scipy_far_from_the_origin(seed):
    """x ~ 2000 ± 10: SciPy is given the solution, and unscaled data; it only has to stay there."""
    from scipy.optimize import curve_fit

    rng = np.random.default_rng([SEED, seed])
    x = rng.uniform(1990.0, 2010.0, size=N)
    y = 300.0 * np.exp(-((x - 2003.0) ** 2) / 9.0) - 4.0 * (x - 2000.0) + 50.0
    y = y + 5.0 * rng.normal(size=N)
    report = fit((x[:, None], y), Expert.from_expression(PEAK))
    eta = report.result.measure.eta[0]

    def f(x, a, m, s, b, c):
        return a * np.exp(-((x - m) ** 2) / s**2) + b * x + c

    found, peer = curve_fit(
        f, x, y, p0=eta, method="trf", x_scale=np.abs(eta), ftol=1e-14, xtol=1e-14
    )
    assert found == pytest.approx(eta, rel=1e-6)
    errors = covariance(report).standard_errors[2:]
    # SciPy's derivatives are differences: five digits
    np.testing.assert_allclose(errors, np.sqrt(np.diag(peer)), rtol=1e-4)


def test_places_of_names():
    model = Model.of("linear", "softmax", dim=2)
    assert places_of(model, "a0", 2) == [3, 9]
    assert places_of(model, "beta1", 2) == [0, 1, 6, 7]
    with pytest.raises(InputError, match="there is no 'z'; the parameters are"):
        places_of(model, "z", 2)
