"""MoERegressor: scikit-learn's own checks, and that it is the fitter underneath."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("sklearn")

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
    assert fitted.measure_.parameters == 3
    copy = clone(fitted)
    assert copy.expert == expert
    assert not hasattr(copy, "measure_")


def test_box_is_part_of_the_estimator():
    X, y = data()  # noqa: N806
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
