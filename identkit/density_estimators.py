"""Densities as scikit-learn estimators; they need ``pip install identkit[sklearn]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.density.box import DensityBox
from identkit.density.model import DensityModel
from identkit.errors import InputError, whole
from identkit.estimated_density import DensityEstimator
from identkit.estimating import (
    ClassifierMixin,
    DensityMixin,
    check_classification_targets,
    check_is_fitted,
    check_random_state,
    check_wholes,
    refuse_masks,
    validate_data,
    weights_of,
)
from identkit.experts import MAX_COMPONENTS, Expert, builtin
from identkit.fit.box import Box
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.likelihoods.categorical import probabilities, with_classes
from identkit.vocabulary import Variance

if TYPE_CHECKING:
    from identkit.gates import Gate

Array = NDArray[np.float64]


class MoEDensity(DensityMixin, DensityEstimator):
    """Maximum likelihood of p(y|x) = Σ_i w_i(x) N(y | h(x, η_i), ν_i), best of random starts.

    ``expert``, ``gate``, ``n_atoms``, ``shape``, ``groups``, ``start``, ``standardise``,
    ``n_starts``, ``max_steps``, ``random_state``, ``device`` and ``n_jobs`` are those of
    :class:`identkit.MoERegressor`; the gate is one whose weights add up to 1. ``variance`` is
    "free" (each atom its own ν_i), "common" or "known"; then ``variances``, in the squared unit of
    y, are one for all atoms or one each, shared ones first. With ``shared``, an expert, half of the
    density is that of ``n_shared`` atoms (1) whose weights do not depend on x. ``box`` holds
    bounds, a :class:`identkit.density.DensityBox` or those of routed atoms alone.

    After ``fit``: ``measure_``, the :class:`identkit.density.DensityMeasure`, and ``result_``, the
    :class:`identkit.density.DensityFit`, in the units of X and y; ``log_likelihood_``, ``bic_`` and
    ``icl_`` (n is the sum of the weights, which count rows); ``converged_``, whether it ended at a
    maximum that is no spike; ``n_iter_``, ``n_atoms_``, ``n_features_in_`` and, for data frames,
    ``feature_names_in_``. A fit that ended elsewhere, at a bound or with an atom that has hardly
    any rows gives a ConvergenceWarning with the remedy. With fewer rows than parameters the
    likelihood need not have a maximum: ``fit`` warns.

    With ``n_atoms`` one of "bic", "icl", "cv" and "dsc" every k from 1 to ``max_atoms`` is fitted
    and the one that the criterion names is kept: ``choice_``, an
    :class:`identkit.density.choosing.DensityChoice`, has what all of them say.

    As an estimator of a density it is no regressor to scikit-learn, whose regressors have no
    ``predict_proba``; ``score`` is the mean of log p(y|x), which model selection maximises.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2, 2, (400, 1))
    >>> y = np.where(rng.uniform(size=400) < 0.3, 3 * X[:, 0], -1.0) + 0.1 * rng.normal(size=400)
    >>> fitted = MoEDensity(random_state=0).fit(X, y)
    >>> float(np.sort(fitted.predict_proba(X).mean(axis=0))[0].round(1))
    0.3
    """

    def __init__(
        self,
        expert: Expert | str = "linear",
        gate: Gate | str = "softmax",
        n_atoms: int | str = 2,
        *,
        variance: str = "free",
        variances: ArrayLike | None = None,
        shared: Expert | str | None = None,
        n_shared: int | None = None,
        shape: str | None = None,
        n_starts: int = 5,
        box: DensityBox | Box | None = None,
        max_steps: int = 500,
        random_state: Any = None,
        device: str = "auto",
        n_jobs: int | None = None,
        groups: tuple[int, ...] | None = None,
        standardise: bool = True,
        start: Mapping[str, Sequence[float]] | None = None,
        max_atoms: int = 6,
    ) -> None:
        self.expert = expert
        self.gate = gate
        self.n_atoms = n_atoms
        self.variance = variance
        self.variances = variances
        self.shared = shared
        self.n_shared = n_shared
        self.shape = shape
        self.n_starts = n_starts
        self.box = box
        self.max_steps = max_steps
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.groups = groups
        self.standardise = standardise
        self.start = start
        self.max_atoms = max_atoms

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> MoEDensity:  # noqa: N803
        """Fit to X (n, d) and y (n,). Weight 2 counts a row twice, 0 leaves it out.

        Raises :class:`~identkit.errors.InputError`, a ValueError, for parameters out of their
        range and, as scikit-learn does, ValueError for data that are not finite numbers.
        """
        refuse_masks(X=X, y=y, sample_weight=sample_weight)
        checked: Any = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        x, target = np.asarray(checked[0]), np.asarray(checked[1], dtype=np.float64)
        check_wholes(self)
        if self.n_shared is not None:
            whole("n_shared", self.n_shared, least=1)
        known = [str(v) for v in Variance]
        if self.variance not in known:
            raise InputError(f"variance: '{self.variance}' is none; choose {', '.join(known)}.")
        model = DensityModel.of(
            self.expert,
            self.gate,
            resolve_likelihood("gaussian", str(self.variance)),
            self.shared,
            x.shape[1] if isinstance(self.expert, str) else None,
            self.groups or (),
            self.shape,
        )
        weight, kept = weights_of(sample_weight, x)
        self._fit_rows(model, x[kept], target[kept], weight, self.n_shared, self.variances)
        return self

    def predict(self, X: Any) -> Array:  # noqa: N803
        """E[y|x] at the rows of X (n, d), shape (n,)."""
        x = self._inputs(X)
        return self.result_.model.mean(self.measure_, x)

    def predict_proba(self, X: Any, y: Any = None) -> Array:  # noqa: N803
        """The probabilities of the atoms at the rows of X (n, d), (n, atoms), shared ones first.

        They are the weights at x, and with y (n,) those given y as well, the posterior ones.
        """
        x, model = self._inputs(X), self._of_rows
        if y is None:
            return model.weights(self.measure_, x).T
        return model.posterior(self.measure_, *self._rows(X, y)).T

    def log_density(self, X: Any, y: Any) -> Array:  # noqa: N803
        """log p(y|x) of the rows of X (n, d) and y (n,), shape (n,), natural logarithms."""
        return self._of_rows.log_density(self.measure_, *self._rows(X, y))

    def score(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
    ) -> float:
        """The mean of log p(y|x), weighted by ``sample_weight`` (n,)."""
        return float(np.average(self.log_density(X, y), weights=sample_weight))

    def sample(self, X: Any, random_state: Any = None) -> Array:  # noqa: N803
        """One y (n,) for each row of X (n, d), drawn from p(y|x).

        ``random_state`` is a seed or a RandomState; None draws anew each time.
        """
        x = self._inputs(X)
        seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
        return self._of_rows.sample(self.measure_, x, np.random.default_rng(seed))

    @property
    def _of_rows(self) -> DensityModel:
        check_is_fitted(self)
        return self.result_.model

    def _rows(self, X: Any, y: Any) -> tuple[Array, Array]:  # noqa: N803
        """Rows with their y."""
        check_is_fitted(self)
        checked: Any = validate_data(self, X, y, dtype=np.float64, y_numeric=True, reset=False)
        return np.asarray(checked[0]), np.asarray(checked[1], dtype=np.float64)

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class MoEClassifier(ClassifierMixin, DensityEstimator):
    """Maximum likelihood of P(y = c | x) = Σ_i w_i(x) softmax_c(h(x, η_i)), best of random starts.

    ``expert`` gives the logits, that of the last class is 0: one of one output gets its own
    parameters for each class but the last
    (:func:`identkit.likelihoods.categorical.with_classes`), one of several has one output for each
    but the last. Other options are those of :class:`MoEDensity`. X is standardised inside where
    expert and gate allow it, and parameters told in its units. Logits of classes that a plane
    separates have no maximum: their parameters end at the bounds, by default ±30 in standard units,
    and ``fit`` says so.

    After ``fit``: ``classes_``, the labels in order, and what :class:`MoEDensity` has: ``measure_``
    (without variances), ``result_``, ``log_likelihood_``, ``bic_``, ``icl_``, ``converged_``,
    ``n_iter_``, ``n_atoms_``, ``choice_``, ``n_features_in_``, ``feature_names_in_``.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 2))
    >>> y = np.where(X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=400) > 0, "same", "other")
    >>> MoEClassifier(random_state=0).fit(X, y).score(X, y) > 0.8
    True
    """

    def __init__(
        self,
        expert: Expert | str = "linear",
        gate: Gate | str = "softmax",
        n_atoms: int | str = 2,
        *,
        shape: str | None = None,
        n_starts: int = 5,
        box: DensityBox | Box | None = None,
        max_steps: int = 500,
        random_state: Any = None,
        device: str = "auto",
        n_jobs: int | None = None,
        groups: tuple[int, ...] | None = None,
        standardise: bool = True,
        start: Mapping[str, Sequence[float]] | None = None,
        max_atoms: int = 6,
    ) -> None:
        self.expert = expert
        self.gate = gate
        self.n_atoms = n_atoms
        self.shape = shape
        self.n_starts = n_starts
        self.box = box
        self.max_steps = max_steps
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.groups = groups
        self.standardise = standardise
        self.start = start
        self.max_atoms = max_atoms

    if TYPE_CHECKING:
        classes_: NDArray[Any]

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> MoEClassifier:  # noqa: N803
        """Fit to X (n, d) and labels y (n,). Weight 2 counts a row twice, 0 leaves it out.

        Raises :class:`~identkit.errors.InputError`, a ValueError, for parameters out of their
        range and for labels of one class, and, as scikit-learn does, ValueError for other data.
        """
        refuse_masks(X=X, sample_weight=sample_weight)
        checked: Any = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        x, labels = np.asarray(checked[0]), checked[1]
        check_classification_targets(labels)
        check_wholes(self)
        weight, kept = weights_of(sample_weight, x)
        x, labels = x[kept], labels[kept]
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                "This solver needs samples of at least 2 classes in the data, but the data "
                f"contains only one class: {self.classes_.tolist()[0]!r}"
            )
        model = DensityModel.of(
            self._logits(x.shape[1]), self.gate, "categorical", groups=self.groups or ()
        )
        self._fit_rows(model, x, numbers.astype(np.float64), weight)
        return self

    def _logits(self, dim: int) -> Expert:
        """The expert of all logits but the last."""
        own, classes = self.expert, len(self.classes_)
        if isinstance(own, str):
            own = builtin(own, self.shape, dim)
        if not own.markers and classes > MAX_COMPONENTS + 1:
            raise InputError(
                f"y: it has {classes} classes, and at most {MAX_COMPONENTS + 1} are fitted; put "
                "some together."
            )
        if not own.markers:
            return with_classes(own, classes)
        if len(own.functions) != classes - 1:
            raise InputError(
                f"expert: '{own.text[:60]}' has {len(own.functions)} logits, of "
                f"{len(own.functions) + 1} classes, but y has {classes}; write one for each class "
                "but the last."
            )
        return own

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable label at each row of X (n, d), shape (n,)."""
        probable = self.predict_proba(X).argmax(axis=1)
        return self.classes_[probable]

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """P(y = c | x) at the rows of X (n, d), (n, classes), in the order of ``classes_``."""
        x, model = self._inputs(X), self.result_.model
        shares = probabilities(model.outputs(self.measure_, x))
        found = np.einsum("in,icn->nc", model.weights(self.measure_, x), shares)
        return found / found.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X: Any) -> Array:  # noqa: N803
        """The logarithms of :meth:`predict_proba`, (n, classes)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))
