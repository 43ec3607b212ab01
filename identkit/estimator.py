"""A mixture of experts as a scikit-learn regressor; needs ``pip install identkit[sklearn]``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.choice.of_estimator import chosen_fit
from identkit.errors import InputError
from identkit.estimating import (
    MOST_NAMED,
    BaseEstimator,
    ConvergenceWarning,
    RegressorMixin,
    check_is_fitted,
    check_random_state,
    check_wholes,
    clone,
    distinct,
    filled_up,
    refuse_masks,
    validate_data,
    weights_of,
)
from identkit.fit import Box, Compute, FitResult, Model, Status
from identkit.fit.inference import covariance
from identkit.fit.prediction import LEVEL, Prediction, predict
from identkit.fit.running import best_fit
from identkit.fit.saved import with_interval
from identkit.fit.statistics import Statistics, statistics
from identkit.fit.summary import Bound, bounds_of
from identkit.mixing import MixingMeasure
from identkit.report import fit_summary

if TYPE_CHECKING:
    from identkit.choice import Choice
    from identkit.experts import Expert
    from identkit.gates import Gate

Array = NDArray[np.float64]

UNDETERMINED = 1e-6
"""Least ridge with fewer samples than parameters: without one rounding would choose among fits."""
WARNED = (
    Status.LIGHT_ATOM, Status.STEP_LIMIT, Status.DIVERGED, Status.INTERRUPTED, Status.BAD_DATA,
)  # fmt: skip
"""Ends of a fit that are warned of besides a bound of the box. A flat valley is none: the cost is
as low as it gets, and which parameters are not determined stands in the summary."""


class MoERegressor(RegressorMixin, BaseEstimator):
    """Least-squares fit of f_G(x) = Σ_i weight_i(x)·h(x, η_i), the best of several random starts.

    ``expert`` is a built-in's name, with ``shape``, or an :class:`identkit.Expert`; its number of
    inputs is the number of columns of X. ``gate`` is any that ``identkit gates`` lists, ``n_atoms``
    the number k of atoms and ``groups`` the sizes of their groups, which add up to k, under a
    hierarchical gate. X and y are standardised inside where experts and gate allow it, and
    parameters told in the units of X and y; tanh experts under a softmax gate still predict values
    in [-1, 1], while ``shape="ffn"`` gives every atom an output weight. ``box`` holds bounds of the
    parameters in these units (:class:`identkit.fit.Box`), ``start`` their values at every start,
    ``ridge`` ρ adds ½ρ‖θ‖² in standard units, ``standardise=False`` fits in the units of the data.
    ``max_steps`` are the evaluations per start, ``random_state`` seeds the starts, ``device`` is
    auto, cpu or cuda, ``n_jobs`` the threads.

    After ``fit``: ``measure_``, the fitted :class:`identkit.MixingMeasure`; ``result_``, the
    :class:`identkit.fit.FitResult` with status, cost and settings; ``n_iter_``, trial steps of the
    best start; ``n_features_in_`` and, for data frames, ``feature_names_in_``.

    With ``n_atoms`` one of "bic", "icl", "cv" and "dsc" every k from 1 to ``max_atoms`` is fitted
    and the one that the criterion names is kept: ``choice_``, an :class:`identkit.choice.Choice`,
    has what all of them say (:func:`identkit.choice.choose`; cross-validation for "cv" alone).
    ``n_atoms_`` is the number of atoms that were fitted.

    A number of atoms that is given is never changed silently. With fewer samples than parameters
    the fit is one of many with the same cost: ``fit`` warns and takes one of small parameters, by a
    ridge of at least 1e-6; predictions at other x mean little. A fit that ends away from a minimum,
    at a bound of the box, with an atom that weighs nothing or with R² < 0 gives a
    ConvergenceWarning with the remedy.

    With y of shape (n, m) each output has a fit of its own: ``estimators_``, ``results_`` and
    ``measures_`` are lists of m, and there is no ``result_`` and ``measure_``. Else ``covariance_``
    (None without standard errors) and ``statistics_`` are those of the fit.

    >>> import numpy as np
    >>> X = np.linspace(-3, 3, 200)[:, None]
    >>> y = np.tanh(2 * X[:, 0] + 1)
    >>> fitted = MoERegressor("tanh", "softmax", n_atoms=1, random_state=0).fit(X, y)
    >>> fitted.measure_.eta.round(6)
    array([[2., 1.]])
    """

    def __init__(
        self,
        expert: Expert | str = "tanh",
        gate: Gate | str = "softmax",
        n_atoms: int | str = 2,
        *,
        shape: str | None = None,
        n_starts: int = 5,
        box: Box | None = None,
        max_steps: int = 500,
        random_state: Any = None,
        device: str = "auto",
        n_jobs: int | None = None,
        groups: tuple[int, ...] | None = None,
        standardise: bool = True,
        start: Mapping[str, Sequence[float]] | None = None,
        ridge: float = 0.0,
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
        self.ridge = ridge
        self.max_atoms = max_atoms

    if TYPE_CHECKING:
        measure_: MixingMeasure
        result_: Any
        covariance_: Any
        statistics_: Statistics
        estimators_: list[Any]
        results_: list[Any]
        measures_: list[MixingMeasure]
        n_iter_: int
        n_features_in_: int
        n_atoms_: int
        choice_: Choice

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> MoERegressor:  # noqa: N803
        """Fit to X (n, d) and y (n,) or (n, m). Weight 2 gives the cost of a row twice, 0 of none.

        Raises :class:`~identkit.errors.InputError`, a ValueError, for parameters out of their
        range and, as scikit-learn does, ValueError for data that are not finite numbers.
        """
        if _outputs(y) > 1:
            return self._fit_outputs(X, y, sample_weight)
        self.__dict__.pop("estimators_", None)
        if isinstance(self.n_atoms, str):
            return self._fit_chosen(X, y, sample_weight)
        refuse_masks(X=X, y=y, sample_weight=sample_weight)
        checked: Any = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        x, target = np.asarray(checked[0]), np.asarray(checked[1], dtype=np.float64)
        check_wholes(self, "n_atoms")
        model = Model.of(
            self.expert,
            self.gate,
            x.shape[1] if isinstance(self.expert, str) else None,
            self.shape,
            self.groups or (),
        )
        if x.shape[1] != model.dim:
            raise InputError(
                f"expert: {model.expert.label} has {model.dim} inputs, X has {x.shape[1]} columns; "
                "choose the columns, or write an expert for them."
            )
        weight, kept = weights_of(sample_weight, x)
        x, target = x[kept], target[kept]
        samples, k = len(target), int(self.n_atoms)
        free = model.free(k)
        ridge = self.ridge
        if samples < free:
            ridge = max(ridge, UNDETERMINED)
            warnings.warn(
                f"{samples} samples are fewer than the {free} free parameters of {k} "
                f"{'atoms' if k > 1 else 'atom'}: many fits have the same cost, and one of small "
                f"parameters is taken (ridge={ridge:g}); give more data or fit fewer atoms.",
                stacklevel=2,
            )
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        filled = filled_up(x, target, weight, free)
        result = best_fit(
            model, *filled[:2], k,
            weight=filled[2],
            rows=distinct(x, target, free),
            starts=int(self.n_starts),
            seed=seed,
            standardise=self.standardise,
            box=self.box,
            start=self.start,
            ridge=ridge,
            max_steps=int(self.max_steps),
            compute=Compute(device=self.device, threads=self.n_jobs),
        )  # fmt: skip
        self.result_ = replace(result, samples=samples)
        self.measure_ = result.measure
        self.n_atoms_ = k
        self.n_iter_ = max(1, int(result.steps))
        errors = result.objective.errors is not None and not result.ridge
        known = result.status.finished and errors
        self.covariance_ = covariance(self.result_, x, target, weight) if known else None
        self.statistics_ = statistics(self.result_, self.covariance_, x, target, weight)
        for sentence in remarks(self.result_, self.statistics_):
            warnings.warn(sentence, ConvergenceWarning, stacklevel=2)
        return self

    def _fit_chosen(self, X: Any, y: Any, sample_weight: Any) -> MoERegressor:  # noqa: N803
        """As :meth:`fit`, with the number of atoms that a criterion names."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

        def make(k: int) -> MoERegressor:
            copy: Any = clone(self)
            return copy.set_params(n_atoms=k, random_state=seed)

        data = (X, y, sample_weight)
        best, choice = chosen_fit(make, str(self.n_atoms), self.max_atoms, data, seed)
        learnt = {name: v for name, v in vars(best).items() if name.endswith("_")}
        self.__dict__.update(learnt)
        self.choice_ = choice
        return self

    def _fit_outputs(self, X: Any, y: Any, sample_weight: Any) -> MoERegressor:  # noqa: N803
        """One fit for each column of y, all with the same seed: experts have one output."""
        checked: Any = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, multi_output=True, ensure_min_samples=2
        )
        targets = np.asarray(checked[1], dtype=np.float64)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        copies: list[Any] = [clone(self) for _ in targets.T]
        for copy in copies:
            copy.set_params(random_state=seed)
        for j, (copy, target) in enumerate(zip(copies, targets.T, strict=True)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                copy.fit(X, target, sample_weight)
            for one in caught:
                warnings.warn(f"output {j}: {one.message}", one.category, stacklevel=3)
        for name in ("result_", "measure_", "covariance_", "statistics_"):
            self.__dict__.pop(name, None)  # of an earlier fit to one output
        self.estimators_ = copies
        self.results_ = [copy.result_ for copy in copies]
        self.measures_ = [copy.measure_ for copy in copies]
        self.n_iter_ = max(copy.n_iter_ for copy in copies)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:  # noqa: N803
        """f at the rows of X (n, d), shape (n,); (n, m) after a fit to m outputs.

        With ``return_std`` a pair: f, and its standard error of the same shape, which is NaN where
        the data do not determine f, and everywhere after a fit that has no standard errors.
        """
        check_is_fitted(self)
        x: Any = validate_data(self, X, dtype=np.float64, reset=False)
        if not return_std:
            return self._joined([own.result_.predict(np.asarray(x)) for own in self._each])
        found = self._predictions(x, LEVEL)
        return self._joined([p.f for p in found]), self._joined([p.error for p in found])

    def predict_interval(self, X: Any, level: float = LEVEL, kind: str = "confidence") -> Array:  # noqa: N803
        """The ends of an interval at each row of X (n, d): (n, 2), for m outputs (n, 2, m).

        ``kind`` is ``confidence``, of f, or ``prediction``, of a new y of weight 1; NaN as the
        standard errors of :meth:`predict`. :mod:`identkit.fit.prediction` has the formulas and
        what they presume. Raises InputError for other kinds and for a level outside (0, 1).
        """
        check_is_fitted(self)
        x: Any = validate_data(self, X, dtype=np.float64, reset=False)
        found = self._predictions(x, level)
        return self._joined([with_interval(p, kind)[:, 1:] for p in found])

    def summary(self, level: float = LEVEL) -> str:
        """One page of text for each output: statistics, and estimates with t intervals."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        given = [f"x{i}" for i in range(self.n_features_in_)] if self.n_features_in_ > 1 else ["x"]
        inputs = given if names is None else list(map(str, names))
        each = self._each
        targets = ["y"] if len(each) == 1 else [f"y{j}" for j in range(len(each))]
        pages = [
            fit_summary.summary(
                own.result_, own.covariance_, own.statistics_, inputs, target, level
            )
            for own, target in zip(each, targets, strict=True)
        ]
        return "\n".join(pages)

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @property
    def _each(self) -> list[Any]:
        """The fitted regressors of the outputs, itself if there is one."""
        return getattr(self, "estimators_", [self])

    def _predictions(self, x: Array, level: float) -> list[Prediction]:
        return [predict(own.result_, own.covariance_, x, level=level) for own in self._each]

    def _joined(self, values: list[Array]) -> Array:
        """What there is of each output, along a last axis if there are several."""
        return np.stack(values, axis=-1) if hasattr(self, "estimators_") else values[0]


def remarks(result: FitResult, found: Statistics) -> list[str]:
    """What is to be warned of after a fit, each with the remedy in Python's terms."""
    sentences = []
    if result.status is Status.AT_THE_BOX:
        bounds = bounds_of(result)
        named = [f"{b.parameter}{'' if b.atom is None else f' of atom {b.atom}'}" for b in bounds]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        wider = (
            ""
            if all(b.standard for b in bounds)
            else f" widen it, box={_wider(result, bounds)}, or"
        )
        sentences.append(
            f"the fit ended 'at the box': {', '.join(named[:MOST_NAMED])}{more} at a bound;{wider} "
            "read them as not estimated."
        )
    elif result.status in WARNED:
        sentences.append(
            f"the fit ended with status '{result.status.value}': {result.status.remedy}."
        )
    if found.r_squared < 0.0:
        sentences.append(
            f"R² is {found.r_squared:.3g} on the data fitted, a constant is better: widen the box "
            "of the parameters that multiply h, or raise n_starts."
        )
    return sentences


def _wider(result: FitResult, bounds: list[Bound]) -> str:
    """A box in Python's terms whose bounds are twice as far where they were reached."""
    blocks = {b.name for b in result.model.layout.of_gate}
    ends: dict[str, list[float]] = {}
    for b in (b for b in bounds if not b.standard):
        name = b.option if b.option in blocks else "eta"
        low, high = ends.setdefault(name, list(b.between))
        further = b.value + (1.0 if b.side == "upper" else -1.0) * max(1.0, abs(b.value))
        ends[name] = [min(low, further, b.between[0]), max(high, further, b.between[1])]
    entries = ", ".join(f"{name}=({low:g}, {high:g})" for name, (low, high) in ends.items())
    if set(ends) <= {"beta1", "beta0", "eta"}:
        return f"Box({entries})"
    return f"Box.of(dict({entries}))"


def _outputs(y: Any) -> int:
    """The columns of y, 1 where it is no table; whatever else is wrong with it is said later."""
    try:
        shape = np.asarray(y).shape
    except ValueError:
        return 1
    return int(shape[1]) if len(shape) == 2 else 1
