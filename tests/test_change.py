"""Data in standard units: what is chosen, that it goes there and back, and covariances with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from standard_units import EXACT, data, defect

from identkit import Expert, fit_data
from identkit.errors import InputError
from identkit.experts import builtin
from identkit.fit.change import Change, places_of
from identkit.fit.inference import covariance
from identkit.fit.model import Model
from identkit.fit.result import Box
from identkit.gates import resolve

pytestmark = pytest.mark.usefixtures("one_thread")

SEED = 20261130
PEAK = "a*exp(-(x - m)**2/s**2) + b*x + c"
MODELS = {
    "linear": Model.of("linear", "softmax", dim=2),
    "peak": Model.of(Expert.from_expression(PEAK), "softmax"),
    "gaussian": Model.of("linear", "gaussian-gate", dim=2),
    "hierarchical": Model(builtin("tanh", "ffn", 2), resolve("hierarchical"), (2, 1)),
    "top-2": Model.of("linear", "top-2", dim=1),
    "temperature": Model.of("tanh", "dense-to-sparse relu-bias", dim=2, shape="ffn"),
}


def drawn(name: str, seed: int = 0):
    model = MODELS[name]
    rng = np.random.default_rng([SEED, seed])
    return model, *data(rng, model.dim), rng


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back(name):
    model, x, y, rng = drawn(name)
    change = Change.of(model, x, y, 3)
    vector = rng.normal(size=(4, model.layout.length(3)))
    np.testing.assert_allclose(change.inward(change.outward(vector)), vector, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(change.value(change.target(y)), y, rtol=1e-13)


@pytest.mark.parametrize("name", MODELS)
def test_a_document_is_the_change(name):
    model, x, y, _ = drawn(name)
    change = Change.of(model, x, y, 3)
    again = Change.from_document(model, 3, change.document())
    # scales go through logarithms once more
    np.testing.assert_allclose(again.matrix, change.matrix, rtol=1e-12)
    np.testing.assert_allclose(again.offset, change.offset, rtol=1e-12)
    assert again.document()["inputs"]["origin"] == change.document()["inputs"]["origin"]
    assert again.kept == change.kept


def test_a_document_that_changes_f_is_refused():
    model = Model.of("tanh", "softmax")
    x, y = data(np.random.default_rng(SEED), 1)
    document = Change.of(model, x, y, 1).document()
    own = document["inputs"]["origin"]
    for target, inputs, said in (
        ({"origin": 0.0, "scale": 2.0}, None, "scales are none"),
        ({"origin": 1.0, "scale": 1.0}, None, "origins are none"),
        (None, {"origin": [*own, 0.0], "scale": [1.0]}, "other than 1 inputs"),
    ):
        wrong = dict(document) | ({"target": target} if target else {"inputs": inputs})
        with pytest.raises(InputError, match=said):
            Change.from_document(model, 1, wrong)


def test_columns_have_mean_0_and_deviation_1_where_all_is_closed():
    model, x, y, rng = drawn("linear")
    weight = rng.uniform(0.1, 3.0, size=len(y))
    change = Change.of(model, x, y, 2, weight=weight)
    for column in (*change.inputs(x).T, change.target(y)):
        assert np.average(column, weights=weight) == pytest.approx(0.0, abs=1e-12)
        assert np.average(column**2, weights=weight) == pytest.approx(1.0, rel=1e-12)


def test_a_constant_column_and_a_zero_one_have_a_scale():
    model = MODELS["linear"]
    x = np.stack([np.full(30, 7.0), np.zeros(30)], axis=1)
    change = Change.of(model, x, np.arange(30.0), 2)
    assert (change.scale > 0).all()
    assert np.isfinite(change.inputs(x)).all()
    assert defect(model, change, 2, x, np.random.default_rng(SEED)) < EXACT


def test_root_mean_squares_where_the_origin_stays():
    model = Model.of("tanh", "softmax", shape="ffn")
    x, y = data(np.random.default_rng(SEED), 1)
    change = Change.of(model, x, y, 1)
    assert change.origin[-1] == 0.0  # no number is added to c·tanh
    assert change.unit == pytest.approx(np.sqrt(np.mean(y**2)), rel=1e-12)


# -- bounds of the user's -------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("which", range(3))
def test_numbers_with_bounds_are_alone_and_f_is_the_same(name, which):
    model, x, y, rng = drawn(name, which)
    size = model.per_atom
    bounded = sorted(rng.choice(size, size=min(size, 1 + 2 * which), replace=False).tolist())
    change = Change.of(model, x, y, 3, bounded=bounded)
    assert defect(model, change, 3, x, rng) < EXACT
    gather = model.gather(3)
    units = np.arange(change.alone.size).reshape(3, -1) if gather is None else gather
    assert change.alone[units[:, bounded]].all()


def test_bounds_of_an_intercept_keep_the_origin_of_its_inputs():
    model, x, y, _ = drawn("linear")
    names = (*("beta1",) * 2, "beta0", *model.parameters)
    free = Change.of(model, x, y, 2)
    assert free.origin.all()
    held = Change.of(model, x, y, 2, bounded=[names.index("b")])
    assert held.origin.tolist() == [0.0, 0.0, free.origin[-1]]
    slopes = Change.of(model, x, y, 2, bounded=[names.index("a0")])
    np.testing.assert_array_equal(slopes.origin, free.origin)  # a slope mixes with nothing


def test_the_box_is_that_of_the_user_where_it_is_named():
    model, x, y, _ = drawn("peak")
    box = Box(eta=((0.0, 5.0), (-2.0, 9.0), None, None, (-1.0, 1.0)))  # a, m, s, b, c
    at = [places_of(model, n, 2)[0] for n in ("a", "m", "c")]
    change = Change.of(model, x, y, 2, bounded=at)
    low, high = change.box(box).bounds(model, 2)
    ends = np.array([change.outward(low), change.outward(high)])
    np.testing.assert_allclose(ends[:, at], [[0.0, -2.0, -1.0], [5.0, 9.0, 1.0]], atol=1e-12)


# -- covariances ----------------------------------------------------------------------------------

ALIKE = 1e-6
"""Two ways to one covariance: the condition of the one in the user's units is up to 1e8."""


def report_of(model: Model, seed: int = 0, k: int = 1, **options):
    """A fit of data made by the model, far from the origin but not out of sight."""
    rng = np.random.default_rng([SEED, seed])
    u = rng.uniform(-2.0, 2.0, size=(200, model.dim))
    f = 2.0 * np.exp(-((u[:, 0] - 0.3) ** 2)) + 0.7 * u.sum(axis=1)
    x, y = 4.0 + 1.5 * u, 10.0 + 3.0 * (f + 0.1 * rng.normal(size=len(u)))
    return x, y, fit_data((x, y), model.expert, model.gate, k, check=False, **options)


@pytest.mark.parametrize("name", ["linear", "peak"])
def test_covariances_are_those_computed_in_the_units_of_the_user(name):
    model = MODELS[name]
    x, y, report = report_of(model, k=2 if name == "linear" else 1)
    assert report.result.status.finished
    assert report.covariance is not None
    wide = Box(np.inf, np.inf, np.inf)
    settings = replace(report.result.settings, box=wide)
    plain = replace(report.result, change=None, inner=None, settings=settings)
    direct = covariance(plain, x, y)
    assert direct.rank == report.covariance.rank == direct.free
    np.testing.assert_allclose(report.covariance.matrix, direct.matrix, rtol=ALIKE, atol=1e-9)
    np.testing.assert_allclose(
        report.covariance.standard_errors, direct.standard_errors, rtol=ALIKE, equal_nan=True
    )
    assert report.covariance.sigma == pytest.approx(direct.sigma, rel=1e-9)


REDUNDANT = {
    "c*d*(a*x + b) + e": ("c", "d"),  # scales, beside two origins
    "a*exp(-(x - m)**2/s**2) + b*x + c + d": ("c", "d"),  # two intercepts
    "p*x + q*x + b": ("p", "q"),  # slopes that an origin mixes with b
}


@pytest.mark.parametrize("text", REDUNDANT)
def test_f_does_not_change_along_what_is_not_determined(text):
    model = Model.of(Expert.from_expression(text), "softmax")
    x, _, report = report_of(model, starts=3)
    found, result = report.covariance, report.result
    assert found is not None
    assert found.undetermined
    assert found.rank < found.free
    numbers = model.layout.numbers(model.parameters, 1)
    vector = model.pack(result.measure)
    slope = model.gradient(result.measure, x)
    told: set[str] = set()
    for direction in found.undetermined:
        told |= {name for _, name in direction.parameters}
        if direction.along is None:
            continue
        along = np.zeros_like(vector)
        along[[numbers.index(p) for p in direction.parameters]] = direction.along
        assert np.linalg.norm(along) == pytest.approx(1.0)
        # beside what one of its numbers would do alone
        alone = np.abs(slope * along).sum(axis=1).max()
        assert np.abs(slope @ along).max() < 1e-6 * alone
    assert set(REDUNDANT[text]) <= told
    # each number without a standard error is in a direction, and no other
    lost = {n for (_, n), e in zip(numbers, found.standard_errors, strict=True) if np.isnan(e)}
    assert lost - {"β1", "β0"} == told


def test_an_intercept_is_determined_where_the_slopes_beside_it_are_not():
    """p*x + q*x + b: the b of the user is b̃ − m(p̃ + q̃) + …, and p̃ + q̃ is determined."""
    model = Model.of(Expert.from_expression("p*x + q*x + b"), "softmax")
    x, y, report = report_of(model, starts=1)
    plain = fit_data((x, y), "linear", "softmax", 1, check=False, starts=1)
    assert report.covariance is not None
    assert plain.covariance is not None
    assert [d.parameters for d in report.covariance.undetermined] == [((0, "p"), (0, "q"))]
    np.testing.assert_allclose(
        report.covariance.standard_errors[-1], plain.covariance.standard_errors[-1], rtol=ALIKE
    )
