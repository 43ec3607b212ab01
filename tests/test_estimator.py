"""MoERegressor: scikit-learn's own checks, and that it is the fitter underneath."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("sklearn")

from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from identkit.errors import InputError
from identkit.estimator import MoERegressor
from identkit.experts import Expert
from identkit.fit import Box, Model, least_squares
from identkit.fit.change import Change
from identkit.fit.starts import random_starts
from identkit.mixing import MixingMeasure

pytestmark = pytest.mark.usefixtures("one_thread")

TRUTH = MixingMeasure([0.0, 0.0], [[0.0], [2.0]], [[2.0, 1.0], [-1.5, 0.5]])


def data(n=300, noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-3, 3, (n, 1))  # noqa: N806
    y = Model.of("tanh", "softmax").predict(TRUTH, X) + noise * rng.standard_normal(n)
    return X, y


# Its data sets are tiny: fewer samples than parameters, y beyond what tanh reaches.
warns = pytest.mark.filterwarnings("ignore::UserWarning")


@warns
@parametrize_with_checks([MoERegressor(n_starts=2, max_steps=50)])
def test_scikit_learn_compatible(estimator, check):
    check(estimator)


@pytest.mark.slow
@warns
@parametrize_with_checks([MoERegressor(), MoERegressor("gelu", "sigmoid", 3, shape="ffn")])
def test_scikit_learn_compatible_as_constructed(estimator, check):
    check(estimator)


# -- the fit underneath ----------------------------------------------------------------------------


def test_it_is_the_best_of_its_starts():
    X, y = data()  # noqa: N806
    fitted = MoERegressor(random_state=3).fit(X, y)
    # the same fit by hand, from starts that see the rows sorted
    seed = int(np.random.RandomState(3).randint(np.iinfo(np.int32).max))
    order = np.lexsort(np.column_stack([X, y]).T)
    model = Model.of("tanh", "softmax")
    change = Change.of(model, X, y, 2)
    inside, box = change.inputs(X), change.box(Box())
    starts = random_starts(model, inside[order], y[order], 2, 5, seed, box=box)
    result = least_squares(model, inside, y, starts, box=box)
    assert fitted.result_.cost == result.cost
    assert np.array_equal(fitted.result_.inner.measure.to_vector(), result.measure.to_vector())
    assert fitted.n_iter_ == max(1, result.steps)
    assert np.array_equal(fitted.predict(X), result.predict(inside))
    np.testing.assert_allclose(fitted.predict(X), model.predict(fitted.measure_, X), rtol=1e-12)
    # and it reaches the truth's cost: σ² of the noise times n, less the parameters
    assert fitted.result_.root_mean_square == pytest.approx(0.02, rel=0.1)
    assert fitted.score(X, y) > 0.99


def test_the_seed_decides():
    X, y = data(noise=0.3)  # noqa: N806
    one, again, other = (
        MoERegressor(n_starts=1, random_state=s).fit(X, y).result_.costs for s in (0, 0, 5)
    )
    assert np.array_equal(one, again)
    starts = [MoERegressor(n_starts=2, max_steps=1, random_state=s) for s in (0, 5)]
    with pytest.warns(ConvergenceWarning, match="step limit"):
        first, second = (s.fit(X, y).measure_.to_vector() for s in starts)
    assert not np.array_equal(first, second)  # at least its labels are others
    assert other.shape == (1, 1)


def test_dimension_and_names_come_from_the_data():
    rng = np.random.default_rng(1)
    X = rng.uniform(-2, 2, (200, 3))  # noqa: N806
    y = np.tanh(X @ [1.0, -0.5, 0.2])
    fitted = MoERegressor(n_atoms=1, random_state=0).fit(X, y)
    assert fitted.measure_.dim == fitted.n_features_in_ == 3
    assert fitted.measure_.eta == pytest.approx(np.array([[1.0, -0.5, 0.2, 0.0]]), abs=1e-6)
    with pytest.raises(ValueError, match="2 features, but MoERegressor is expecting 3"):
        fitted.predict(X[:, :2])


def test_weights_count_rows():
    """Weight 2 is a row twice, 0 a row left out: the same starts, the same minimum."""
    X, y = data(80, noise=0.1)  # noqa: N806
    times = np.random.default_rng(2).integers(0, 4, 80)
    weighted = MoERegressor(random_state=0).fit(X, y, sample_weight=times)
    repeated = MoERegressor(random_state=0).fit(X.repeat(times, axis=0), y.repeat(times))
    assert weighted.result_.costs == pytest.approx(repeated.result_.costs, rel=1e-9)
    assert weighted.predict(X) == pytest.approx(repeated.predict(X), abs=1e-7)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fewer_samples_than_parameters_warn_and_keep_the_atoms():
    X, y = data(5)  # noqa: N806
    regressor = MoERegressor(n_atoms=3, max_steps=30, random_state=0)
    few = "5 samples are fewer than the 10 free parameters of 3 atoms"
    with pytest.warns(UserWarning, match=few):
        regressor.fit(X, y)
    assert regressor.measure_.atoms == 3
    assert regressor.result_.samples == 5
    assert regressor.score(X, y) > 0.99  # rows of weight 0 add nothing


def test_a_fit_away_from_a_minimum_warns_with_the_remedy():
    X, y = data()  # noqa: N806
    with pytest.warns(ConvergenceWarning, match=r"step limit.*raise max_steps"):
        MoERegressor(max_steps=1, random_state=0).fit(X, y)


def test_an_expression_as_expert():
    X, y = data()  # noqa: N806
    expert = Expert.from_expression("c*tanh(a*x + b)")
    fitted = MoERegressor(expert, "softmax", n_atoms=1, random_state=0).fit(X, y)
    most = 0.9 * abs(fitted.measure_.eta[0, 0])
    tight = clone(fitted).set_params(box=Box(eta=((-most, most), None, None)))
    with pytest.warns(ConvergenceWarning, match="c of atom 0 at a bound; widen it"):
        tight.fit(X, y)
    assert fitted.measure_.parameters == 3
    copy = clone(fitted)
    assert copy.expert == expert
    assert not hasattr(copy, "measure_")


def test_box_is_part_of_the_estimator():
    X, y = data()  # noqa: N806
    with pytest.warns(ConvergenceWarning, match="at the box"):
        fitted = MoERegressor(box=Box(eta=0.5), random_state=0).fit(X, y)
    assert np.abs(fitted.measure_.eta).max() <= 0.5
    assert fitted.result_.settings.box == Box(eta=0.5)
    assert fitted.result_.held.any()


def test_grid_search_over_atoms():
    X, y = data(120)  # noqa: N806
    search = GridSearchCV(MoERegressor(n_starts=2, random_state=0), {"n_atoms": [1, 2]}, cv=3)
    search.fit(X, y)
    assert search.best_params_ == {"n_atoms": 2}


def test_a_fitted_regressor_survives_pickling():
    X, y = data(100)  # noqa: N806
    fitted = MoERegressor(n_starts=1, random_state=0).fit(X, y)
    before = fitted.predict(X)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(X), before)
    assert again.result_.status is fitted.result_.status
    assert again.result_.model == fitted.result_.model


def test_data_frames_and_their_column_names():
    pandas = pytest.importorskip("pandas")
    X, y = data(60)  # noqa: N806
    frame = pandas.DataFrame(X, columns=["dose"])
    fitted = MoERegressor(n_starts=1, random_state=0).fit(frame, y)
    assert fitted.feature_names_in_.tolist() == ["dose"]


# -- what is said of a fit -------------------------------------------------------------------------


def warned(regressor, X, y):  # noqa: N803
    """The ConvergenceWarnings of a fit; any other warning is an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        regressor.fit(X, y)
    return [str(one.message) for one in caught]


def test_a_fit_at_the_box_names_parameters_and_a_box_that_works():
    X, y = data()  # noqa: N806
    tight = Box(eta=1.2)
    with pytest.warns(ConvergenceWarning, match="at a bound") as caught:
        MoERegressor(box=tight, random_state=0).fit(X, y)
    text = str(caught[0].message)
    assert re.search(r"ended 'at the box': .*a of atom \d.* at a bound", text)
    widened = re.search(r"box=(Box\(.*\)), or read them as not estimated", text)
    assert widened is not None
    box = eval(widened[1], {"Box": Box})
    assert box.pair("eta")[1] > tight.pair("eta")[1]
    assert MoERegressor(box=box, random_state=0).fit(X, y).result_.cost < 2.0


def test_worse_than_a_constant_is_warned_of():
    X, y = data()  # noqa: N806
    texts = warned(MoERegressor(random_state=0), X, 100.0 + y)  # tanh is at most 1
    assert re.search("R² is -.* on the data fitted, a constant is better: widen", texts[-1])


def test_an_atom_without_weight_is_warned_of():
    X, y = data()  # noqa: N806
    box = Box(beta0=(-40.0, -30.0), beta1=0.1)
    texts = warned(MoERegressor(n_atoms=2, box=box, random_state=0, n_starts=1), X, y)
    assert len(texts) == 1
    assert "'light atom': an atom has almost no weight on the data" in texts[0]


def test_a_good_fit_warns_of_nothing_and_has_its_statistics():
    X, y = data()  # noqa: N806
    fitted = MoERegressor(random_state=0).fit(X, y)
    found = fitted.statistics_
    residual = y - fitted.predict(X)
    n, p = 300, 6
    assert (found.samples, found.dim, found.free, found.degrees) == (n, 1, p, n - p)
    assert found.sigma == pytest.approx(np.sqrt(residual @ residual / (n - p)))
    assert found.r_squared == pytest.approx(fitted.score(X, y))
    assert found.adjusted == pytest.approx(1 - (1 - found.r_squared) * (n - 1) / (n - p))
    normal = stats.norm(scale=np.sqrt(residual @ residual / n))
    likelihood = normal.logpdf(residual).sum()
    assert found.bic == pytest.approx(-2 * likelihood + (p + 1) * np.log(n))
    assert sum(found.shares) == pytest.approx(1.0)


def test_weighted_statistics_are_those_of_rows_repeated():
    X, y = data(80, noise=0.1)  # noqa: N806
    times = np.random.default_rng(2).integers(0, 4, 80)
    weighted = MoERegressor(random_state=0).fit(X, y, sample_weight=times).statistics_
    repeated = MoERegressor(random_state=0).fit(X.repeat(times, 0), y.repeat(times)).statistics_
    assert weighted.samples == np.count_nonzero(times)
    assert weighted.r_squared == pytest.approx(repeated.r_squared)
    assert sorted(weighted.shares) == pytest.approx(sorted(repeated.shares), abs=1e-6)


def test_summary_is_a_page():
    X, y = data()  # noqa: N806
    fitted = MoERegressor(random_state=0).fit(X, y)
    text = fitted.summary(level=0.9)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 60
    assert "n = 300, d = 1, 6 free parameters, 294 degrees of freedom" in text
    assert "90 % interval" in text
    assert text.count("fixed: a gauge") == 2
    at = next(line for line in lines if line.split()[:1] == ["a"]).split()
    value, error = (float(v) for v in at[1:3])
    low, high = (float(v.strip("[],")) for v in at[3:5])
    t = stats.t.ppf(0.95, 294)
    assert [low, high] == pytest.approx([value - t * error, value + t * error], rel=0.02)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 12))  # noqa: N806
    wide = MoERegressor("linear", "softmax", 4, n_starts=1, max_steps=200, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        wide.fit(X, X[:, 0] + rng.normal(size=500))
    assert len(wide.summary().splitlines()) <= 60
    assert "… and 64 more parameters" in wide.summary()


def test_standard_errors_and_intervals():
    X, y = data()  # noqa: N806
    fitted = MoERegressor(random_state=0).fit(X, y)
    f, error = fitted.predict(X, return_std=True)
    assert np.array_equal(f, fitted.predict(X))
    ends = fitted.predict_interval(X, level=0.8)
    t = stats.t.ppf(0.9, 294)
    np.testing.assert_allclose(ends, np.stack([f - t * error, f + t * error], 1))
    of_y = fitted.predict_interval(X, level=0.8, kind="prediction")
    inside = np.mean((of_y[:, 0] <= y) & (y <= of_y[:, 1]))
    assert inside == pytest.approx(0.8, abs=0.07)  # three standard errors of 300 rows
    with pytest.raises(InputError, match="interval: 'of y' is none"):
        fitted.predict_interval(X, kind="of y")
    with pytest.raises(InputError, match="level: 2 must lie"):
        fitted.predict_interval(X, level=2)
    with pytest.warns(ConvergenceWarning):
        stopped = MoERegressor(max_steps=1, random_state=0).fit(X, y)
    assert np.isnan(stopped.predict(X, return_std=True)[1]).all()
    assert "none: they are those of a minimum" in stopped.summary()


def test_several_outputs_are_several_fits():
    X, y = data()  # noqa: N806
    y = np.tanh(2.0 * X[:, 0] + 1.0) + y - MoERegressor(random_state=0).fit(X, y).predict(X)
    both = np.column_stack([y, np.tanh(X[:, 0] - 0.5)])
    regressor = MoERegressor(n_atoms=1, random_state=0, n_starts=2)
    fitted = clone(regressor).fit(X, both)
    assert fitted.predict(X).shape == (300, 2)
    assert len(fitted.results_) == len(fitted.measures_) == 2
    assert not hasattr(fitted, "result_")
    for j, own in enumerate(fitted.estimators_):
        assert np.array_equal(fitted.predict(X)[:, j], own.predict(X))
        assert np.array_equal(fitted.predict_interval(X)[..., j], own.predict_interval(X))
    assert fitted.predict(X, return_std=True)[1].shape == (300, 2)
    assert fitted.measures_[1].eta == pytest.approx(np.array([[1.0, -0.5]]), abs=1e-6)
    assert fitted.summary().count("residual s.d.") == 2
    assert "y1 on x" in fitted.summary()
    # one output again: nothing of the several is left
    fitted.fit(X, y)
    assert fitted.predict(X).shape == (300,)
    assert not hasattr(fitted, "estimators_")
    texts = warned(clone(regressor), X, np.column_stack([y, 100 + y]))
    assert all(text.startswith("output 1: ") for text in texts)
    assert any(text.startswith("output 1: R² is -") for text in texts)


# -- wrong use -------------------------------------------------------------------------------------

WRONG = [
    ({"n_atoms": 0}, "n_atoms: 0"),
    ({"n_atoms": 2.0}, "n_atoms: 2.0"),
    ({"n_atoms": True}, "n_atoms: True"),
    ({"n_starts": 0}, "n_starts: 0"),
    ({"max_steps": -1}, "max_steps: -1"),
    ({"n_jobs": 0}, "n_jobs: 0"),
    ({"expert": "tanj"}, "'tanj'.*tanh"),
    ({"gate": "softmx"}, "'softmx'.*softmax"),
    ({"shape": "rigde"}, "'rigde'.*ridge"),
    ({"device": "tpu"}, "device: 'tpu'"),
    ({"random_state": "seed"}, "seed"),
    ({"expert": Expert.from_expression("a*x0 + b*x1")}, "2 inputs, X has 1 columns"),
]


@pytest.mark.parametrize(("parameters", "sentence"), WRONG, ids=lambda p: str(p)[:40])
def test_wrong_parameters_are_named_in_fit(parameters, sentence):
    regressor = MoERegressor(**parameters)  # scikit-learn: never in the constructor
    with pytest.raises(ValueError, match=sentence):
        regressor.fit(*data(30))


@pytest.mark.parametrize("weight", [[-1.0] * 30, [0.0] * 30, [1.0] * 29, [np.nan] * 30])
def test_wrong_weights(weight):
    with pytest.raises(ValueError, match="weight"):
        MoERegressor().fit(*data(30), sample_weight=weight)


def test_constant_y_names_the_target():
    X, _ = data(30)  # noqa: N806
    with pytest.raises(InputError, match=r"y: all .* values are 2.*check the target column"):
        MoERegressor().fit(X, np.full(30, 2.0))


def test_without_scikit_learn():
    """identkit is imported as ever; the class asks for the extra in one sentence."""
    program = """
        import sys
        sys.modules["sklearn"] = None
        import identkit, identkit.fit
        try:
            import identkit.estimator
        except ImportError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 1
    assert "pip install identkit[sklearn]" in done.stdout
