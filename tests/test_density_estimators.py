"""MoEDensity and MoEClassifier: scikit-learn's own checks, and known answers."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("sklearn")

from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import identkit
from identkit.density import DensityBox, DensityMeasure, DensityModel, Status
from identkit.density.choosing import choose_density
from identkit.density.running import best_density
from identkit.density_estimators import MoEClassifier, MoEDensity
from identkit.errors import InputError
from identkit.estimating import counted
from identkit.experts import Expert
from identkit.fit import Box

pytestmark = pytest.mark.usefixtures("one_thread")

LINES = DensityModel.of("linear", "softmax")
TWO = DensityMeasure(
    identkit.MixingMeasure([0.5, 0.0], [[1.0], [0.0]], [[2.0, 1.0], [-1.0, 0.0]]), [0.1, 0.2]
)


def data(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2.0, 2.0, (n, 1))  # noqa: N806
    return X, LINES.sample(TWO, X, rng)


def labelled(n=300, seed=0):
    """Classes by the signs of both columns: no plane separates them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2)) * [1.0, 50.0] + [0.0, 200.0]  # noqa: N806
    same = X[:, 0] * (X[:, 1] - 200.0) / 50.0 + 0.3 * rng.normal(size=n) > 0
    return X, np.where(same, "same", "other")


# Its data sets are tiny: fewer samples than parameters, classes that a plane separates.
warns = pytest.mark.filterwarnings("ignore::UserWarning")


@warns
@parametrize_with_checks(
    [MoEDensity(n_starts=2, max_steps=50), MoEClassifier(n_starts=2, max_steps=50)]
)
def test_scikit_learn_compatible(estimator, check):
    check(estimator)


@pytest.mark.slow
@warns
@parametrize_with_checks(
    [
        MoEDensity(),
        MoEDensity("tanh", "normalized-sigmoid", 3, variance="common", shared="linear"),
        MoEClassifier("tanh", "softmax", 3),
    ]
)
def test_scikit_learn_compatible_as_constructed(estimator, check):
    check(estimator)


# -- densities -------------------------------------------------------------------------------------


def test_it_is_the_best_of_its_starts():
    X, y = data()  # noqa: N806
    fitted = MoEDensity(random_state=3).fit(X, y)
    seed = int(np.random.RandomState(3).randint(np.iinfo(np.int32).max))
    order = np.lexsort(np.column_stack([X, y]).T)
    result = best_density(LINES, X[order], y[order], 2, seed=seed)
    assert fitted.log_likelihood_ == result.log_likelihood
    assert np.array_equal(LINES.pack(fitted.measure_), LINES.pack(result.measure))
    assert fitted.converged_
    assert fitted.n_iter_ == max(1, result.steps)
    assert fitted.n_atoms_ == 2
    # near the truth, in whatever order
    first = int(fitted.measure_.routed.eta[:, 0].argmax())
    found = fitted.measure_[None] if fitted.measure_.batch else fitted.measure_
    eta = found.routed.eta[[first, 1 - first]]
    assert eta == pytest.approx(np.array(TWO.routed.eta), abs=0.15)
    assert found.variances[[first, 1 - first]] == pytest.approx([0.1, 0.2], rel=0.3)


def test_densities_by_hand():
    X, y = data(200)  # noqa: N806
    fitted = MoEDensity(random_state=0).fit(X, y)
    measure = fitted.measure_
    weights = np.exp(X @ measure.routed.beta1.T + measure.routed.beta0)
    weights /= weights.sum(axis=1, keepdims=True)
    means = X * measure.routed.eta[:, 0] + measure.routed.eta[:, 1]
    parts = weights * stats.norm.pdf(y[:, None], means, np.sqrt(measure.variances))
    logs = np.log(parts.sum(axis=1))
    assert fitted.log_density(X, y) == pytest.approx(logs)
    assert fitted.score(X, y) == pytest.approx(logs.mean())
    assert fitted.score(X, y, y**2) == pytest.approx(np.average(logs, weights=y**2))
    assert fitted.log_likelihood_ == pytest.approx(logs.sum())
    assert fitted.predict(X) == pytest.approx((weights * means).sum(axis=1))
    assert fitted.predict_proba(X) == pytest.approx(weights)
    posterior = parts / parts.sum(axis=1, keepdims=True)
    assert fitted.predict_proba(X, y) == pytest.approx(posterior)
    bic = -2 * logs.sum() + 8 * np.log(200)
    assert fitted.bic_ == pytest.approx(bic)
    assert fitted.icl_ == pytest.approx(bic + 2 * stats.entropy(posterior, axis=1).sum())


def test_one_linear_atom_is_linear_regression():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(100, 3))  # noqa: N806
    y = X @ [1.0, -2.0, 0.5] + rng.normal(size=100)
    fitted, line = MoEDensity(n_atoms=1, random_state=0).fit(X, y), LinearRegression().fit(X, y)
    assert fitted.predict(X) == pytest.approx(line.predict(X), abs=1e-7)
    left = ((y - line.predict(X)) ** 2).mean()
    assert fitted.measure_.variances == pytest.approx([left])
    assert fitted.score(X, y) == pytest.approx(-0.5 * np.log(2 * np.pi * np.e * left))


def test_without_inputs_it_is_a_gaussian_mixture():
    rng = np.random.default_rng(2)
    y = np.concatenate([rng.normal(-2.0, 0.5, 150), rng.normal(1.0, 1.0, 250)])
    X = rng.normal(size=(400, 1))  # noqa: N806
    fitted = MoEDensity("input-free", "input-free", random_state=0).fit(X, y)
    mixture: Any = GaussianMixture(2, tol=1e-10, max_iter=2000, random_state=0).fit(y[:, None])
    assert fitted.score(X, y) == pytest.approx(mixture.score(y[:, None]), abs=1e-6)
    order = fitted.measure_.routed.eta[:, 0].argsort()
    same = mixture.means_[:, 0].argsort()
    found = fitted.measure_.routed.eta[order, 0]
    assert found == pytest.approx(mixture.means_[same, 0], abs=1e-3)
    assert fitted.measure_.variances[order] == pytest.approx(
        mixture.covariances_[same, 0, 0], rel=1e-3
    )
    assert fitted.predict_proba(X, y)[:, order] == pytest.approx(
        mixture.predict_proba(y[:, None])[:, same], abs=1e-3
    )


def test_variances_common_and_known():
    X, y = data()  # noqa: N806
    common = MoEDensity(variance="common", random_state=0).fit(X, y)
    assert np.ptp(common.measure_.variances) == 0.0
    known = MoEDensity(variance="known", variances=[0.15, 0.15], random_state=0).fit(X, y)
    assert known.measure_.variances == pytest.approx([0.15, 0.15])
    free = MoEDensity(random_state=0).fit(X, y)
    assert free.score(X, y) > common.score(X, y) > known.score(X, y) - 1e-12
    sizes = [round((e.bic_ + 2 * e.log_likelihood_) / np.log(400)) for e in (free, common, known)]
    assert sizes == [8, 7, 6]


def test_shared_atoms_stand_first():
    X, y = data()  # noqa: N806
    fitted = MoEDensity(n_atoms=1, shared="linear", n_shared=2, random_state=0, n_starts=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(X, y)
    assert fitted.measure_.atoms == (2, 1)
    weights = fitted.predict_proba(X)
    assert weights.shape == (400, 3)
    assert weights[:, 2] == pytest.approx(0.5)
    assert weights[:, :2].sum(axis=1) == pytest.approx(0.5)


def test_weights_count_rows():
    X, y = data(120)  # noqa: N806
    times = np.random.default_rng(3).integers(0, 4, 120)
    weighted = MoEDensity(random_state=0).fit(X, y, sample_weight=times)
    repeated = MoEDensity(random_state=0).fit(X.repeat(times, axis=0), y.repeat(times))
    for name in ("log_likelihood_", "bic_", "icl_"):
        assert getattr(weighted, name) == getattr(repeated, name)
    assert np.array_equal(weighted.predict(X), repeated.predict(X))
    assert weighted.result_.samples == repeated.result_.samples == times.sum()


def test_equal_rows_are_counted():
    x = np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0], [1.0, 2.0]])
    y = np.array([3.0, 4.0, 3.0, 5.0])
    found = counted(x, y, None)
    assert found[0].tolist() == [[1.0, 2.0], [0.0, 1.0], [1.0, 2.0]]
    assert found[1].tolist() == [3.0, 4.0, 5.0]
    assert found[2] is not None
    assert found[2].tolist() == [2.0, 1.0, 1.0]
    assert counted(x[1:], y[1:], None)[2] is None
    weighted = counted(x, y, np.array([0.5, 2.0, 0.25, 1.0]))[2]
    assert weighted is not None
    assert weighted.tolist() == [0.75, 2.0, 1.0]


def test_draws_have_the_density():
    X, y = data()  # noqa: N806
    fitted = MoEDensity(random_state=0).fit(X, y)
    at = np.full((4000, 1), 0.5)
    drawn = fitted.sample(at, random_state=1)
    assert np.array_equal(drawn, fitted.sample(at, random_state=1))
    assert not np.array_equal(drawn, fitted.sample(at, random_state=2))
    grid = np.linspace(-3.0, 5.0, 2001)
    density = np.exp(fitted.log_density(np.full((2001, 1), 0.5), grid))
    distribution = density.cumsum() * (grid[1] - grid[0])
    found = stats.kstest(drawn, lambda v: np.interp(v, grid, distribution))
    assert found.pvalue > 0.01


def test_criteria_choose_the_atoms():
    X, y = data()  # noqa: N806
    for criterion in ("bic", "dsc"):
        fitted = MoEDensity(n_atoms=criterion, max_atoms=3, n_starts=3, random_state=0).fit(X, y)
        assert fitted.n_atoms_ == fitted.choice_.of(criterion).k == 2
    same = MoEDensity(n_starts=3, random_state=0).fit(X, y)
    assert fitted.log_likelihood_ == same.log_likelihood_
    assert fitted.bic_ == pytest.approx(fitted.choice_[2].bic)
    assert fitted.icl_ == pytest.approx(fitted.choice_[2].icl)
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    alone = choose_density(LINES, X, y, [1, 2, 3], starts=3, seed=seed)
    assert alone[1].bic == pytest.approx(fitted.choice_[1].bic)
    # a number again: nothing of the choice is left
    assert not hasattr(fitted.set_params(n_atoms=1).fit(X, y), "choice_")


def test_the_score_is_what_model_selection_maximises():
    X, y = data(200)  # noqa: N806
    search = GridSearchCV(MoEDensity(n_starts=2, random_state=0), {"n_atoms": [1, 2]}, cv=3)
    assert search.fit(X, y).best_params_ == {"n_atoms": 2}
    assert search.best_score_ == pytest.approx(search.best_estimator_.score(X, y), abs=0.1)


def test_a_pipeline_and_a_data_frame():
    pandas = pytest.importorskip("pandas")
    X, y = data(100)  # noqa: N806
    pipe = make_pipeline(StandardScaler(), MoEDensity(n_starts=1, random_state=0)).fit(X, y)
    fitted: Any = MoEDensity(n_starts=1, random_state=0)
    fitted.fit(pandas.DataFrame(X, columns=["dose"]), pandas.Series(y))
    assert fitted.feature_names_in_.tolist() == ["dose"]
    assert pipe.predict(X) == pytest.approx(fitted.predict(pandas.DataFrame(X, columns=["dose"])))


@pytest.mark.parametrize("made", [MoEDensity, MoEClassifier])
def test_fits_survive_pickling(made):
    X, y = data(60) if made is MoEDensity else labelled(100)  # noqa: N806
    fitted = made(n_starts=1, random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.result_.status is fitted.result_.status


# -- classes ---------------------------------------------------------------------------------------


def test_one_linear_atom_is_logistic_regression():
    """Unpenalised, of three classes in numbers of other units; overlapping, so it has a maximum."""
    X, y = load_iris(return_X_y=True)  # noqa: N806
    X = X[:, :2] * [1.0, 1000.0]  # noqa: N806
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    keep = names != "setosa"  # a plane separates those
    noisy = np.where(np.random.default_rng(4).uniform(size=150) < 0.2, np.roll(names, 37), names)
    for rows, labels in ((keep, names), (np.full(150, True), noisy)):
        fitted = MoEClassifier(n_atoms=1, random_state=0).fit(X[rows], labels[rows])
        scaled = StandardScaler().fit_transform(X[rows])
        known = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(scaled, labels[rows])
        assert fitted.classes_.tolist() == known.classes_.tolist()
        assert fitted.predict_proba(X[rows]) == pytest.approx(known.predict_proba(scaled), abs=1e-4)
        own = np.searchsorted(fitted.classes_, labels[rows])
        logs = fitted.predict_log_proba(X[rows])[np.arange(rows.sum()), own]
        assert fitted.log_likelihood_ == pytest.approx(logs.sum())
        assert fitted.score(X[rows], labels[rows]) == known.score(scaled, labels[rows])


@pytest.mark.filterwarnings("ignore:the fit ended 'at the box'")  # of gates as steep as steps
def test_two_atoms_do_what_one_plane_does_not():
    X, y = labelled()  # noqa: N806
    one = MoEClassifier(n_atoms=1, random_state=0).fit(X, y)
    fitted = MoEClassifier(n_atoms="bic", max_atoms=3, n_starts=3, random_state=0).fit(X, y)
    assert one.score(X, y) < 0.65
    assert fitted.n_atoms_ == 2
    assert fitted.score(X, y) > 0.8
    assert cross_val_score(MoEClassifier(random_state=0), X, y, cv=3).min() > 0.8
    assert fitted.measure_.variances is None
    assert fitted.predict_proba(X).sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("labels", [[False, True, False], [7, -1, 3], ["b", "a", "c"]])
def test_labels_of_any_type(labels):
    rng = np.random.default_rng(5)
    y = np.array(labels)[rng.integers(0, 3, 90)]
    X = rng.normal(size=(90, 1))  # noqa: N806
    fitted = MoEClassifier(n_atoms=1, n_starts=1, random_state=0).fit(X, y)
    assert fitted.classes_.tolist() == sorted(set(labels))
    assert fitted.predict(X).dtype == y.dtype
    shares = [np.mean(y == c) for c in fitted.classes_]  # logits have constants: means agree
    assert fitted.predict_proba(X).mean(axis=0) == pytest.approx(shares, abs=1e-6)


def test_an_expert_of_several_logits():
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(60, 1)), rng.integers(0, 3, 60)  # noqa: N806
    expert = Expert.from_expression(["a*x + b", "c*x + d"])
    own = MoEClassifier(expert, n_atoms=1, random_state=0).fit(X, y)
    made = MoEClassifier(n_atoms=1, random_state=0).fit(X, y)
    assert own.predict_proba(X) == pytest.approx(made.predict_proba(X), abs=1e-6)
    with pytest.raises(InputError, match="2 logits, of 3 classes, but y has 2"):
        MoEClassifier(expert).fit(X, y > 0)


def test_separated_classes_end_at_the_bounds_and_are_said_to():
    X = np.linspace(-1.0, 1.0, 40)[:, None]  # noqa: N806
    with pytest.warns(ConvergenceWarning, match=r"ended 'at the box'.*in standard units; widen"):
        fitted = MoEClassifier(n_atoms=1, random_state=0).fit(X, X[:, 0] > 0.013)
    assert fitted.score(X, X[:, 0] > 0.013) == 1.0


# -- what is said of a fit, and wrong use ----------------------------------------------------------


def test_a_fit_away_from_a_maximum_warns_with_the_remedy():
    X, y = data()  # noqa: N806
    with pytest.warns(ConvergenceWarning, match=r"step limit.*raise max_steps"):
        fitted = MoEDensity(n_atoms=4, max_steps=1, random_state=0).fit(X, y)
    assert not fitted.converged_
    with pytest.warns(ConvergenceWarning, match=r"ended 'at the box': .*a of atom \d"):
        fitted = MoEDensity(box=Box(eta=(1.2, None)), random_state=0).fit(X, y)
    assert np.abs(fitted.measure_.routed.eta[:, 0]).max() == pytest.approx(1.2)


def test_a_spike_is_warned_of_and_a_floor_bounds_it():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(60, 1))  # noqa: N806
    y = np.where(np.arange(60) < 30, 0.0, 1.0 + X[:, 0])
    with pytest.warns(ConvergenceWarning, match="a spike, whose likelihood has no bound"):
        fitted = MoEDensity(random_state=0).fit(X, y)
    assert fitted.result_.status is Status.SPIKE
    assert not fitted.converged_
    with pytest.warns(ConvergenceWarning):
        floor = MoEDensity(box=DensityBox(variance=(0.01, 10.0)), random_state=0).fit(X, y)
    assert floor.measure_.variances.min() == pytest.approx(0.01)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fewer_samples_than_parameters_warn_and_keep_the_atoms():
    X, y = data(6)  # noqa: N806
    few = "6 samples are fewer than the 8 free parameters of 2 atoms"
    with pytest.warns(UserWarning, match=few):
        fitted = MoEDensity(random_state=0).fit(X, y)
    assert fitted.measure_.atoms == (0, 2)
    assert fitted.result_.samples == 6


WRONG = [
    ({"n_atoms": 0}, "n_atoms: 0"),
    ({"n_atoms": 2.5}, "n_atoms: 2.5"),
    ({"n_atoms": "aic"}, "n_atoms: 'aic' is neither a number nor a criterion"),
    ({"n_atoms": "bic", "max_atoms": 0}, "max_atoms: 0"),
    ({"n_atoms": "bic", "gate": "hierarchical", "groups": (1, 1)}, "atoms are in groups"),
    ({"n_atoms": "dsc", "shared": "linear"}, "shared atoms: how they merge"),
    ({"n_starts": 0}, "n_starts: 0"),
    ({"variance": "fixed"}, "variance: 'fixed' is none; choose free, common, known"),
    ({"variance": "known"}, "variances: they are known, so say what they are"),
    ({"variances": [0.1]}, "variances: likelihood gaussian estimates them"),
    ({"n_shared": 1}, "shared: 1 atoms, but the model has no shared expert"),
    ({"n_shared": 0, "shared": "linear"}, "n_shared: 0"),
    ({"gate": "sigmoid"}, "its weights do not add up to 1"),
    ({"expert": "liner"}, "'liner'.*linear"),
    ({"device": "tpu"}, "device: 'tpu'"),
    ({"expert": Expert.from_expression("a*x0 + b*x1")}, "2 inputs, X has 1 columns"),
]


@pytest.mark.parametrize(("parameters", "sentence"), WRONG, ids=lambda p: str(p)[:40])
def test_wrong_parameters_are_named_in_fit(parameters, sentence):
    estimator = MoEDensity(**parameters)  # scikit-learn: never in the constructor
    with pytest.raises(ValueError, match=sentence):
        estimator.fit(*data(30))


@pytest.mark.parametrize("made", [MoEDensity, MoEClassifier])
def test_wrong_data(made):
    X, y = data(30)  # noqa: N806
    y = y if made is MoEDensity else y > 0
    for weight in ([-1.0] * 30, [0.0] * 30, [1.0] * 29, [np.nan] * 30):
        with pytest.raises(ValueError, match="weight"):
            made().fit(X, y, sample_weight=weight)
    with pytest.raises(InputError, match=r"X: .*mask"):
        made().fit(np.ma.masked_greater(X, 1.0), y)


def test_a_constant_and_a_single_class_are_refused():
    X, _ = data(30)  # noqa: N806
    with pytest.raises(InputError, match="y: all 30 values are 2"):
        MoEDensity().fit(X, np.full(30, 2.0))
    with pytest.raises(ValueError, match=r"at least 2 classes in the data, .* only one class: 'a'"):
        MoEClassifier().fit(X, ["a"] * 30)
    with pytest.raises(ValueError, match="only one class"):
        MoEClassifier().fit(X, ["a"] * 29 + ["b"], sample_weight=[1.0] * 29 + [0.0])


def test_more_classes_than_are_fitted_are_refused():
    with pytest.raises(InputError, match="y: it has 18 classes, and at most 17 are fitted"):
        MoEClassifier().fit(np.arange(36.0)[:, None], np.arange(36) % 18)


def test_they_are_public():
    assert identkit.MoEDensity is MoEDensity
    assert identkit.MoEClassifier is MoEClassifier
