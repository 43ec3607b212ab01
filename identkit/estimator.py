"""A mixture of experts as a scikit-learn regressor; needs ``pip install identkit[sklearn]``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.choice.of_estimator import chosen_fit
from identkit.errors import InputError, whole
from identkit.fit import Box, Compute, Model
from identkit.fit.running import best_fit
from identkit.mixing import MixingMeasure, real_array

try:
    from sklearn.base import BaseEstimator, RegressorMixin, clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    if error.name is not None and error.name.split(".")[0] != "sklearn":
        raise
    raise ImportError(
        "MoERegressor needs scikit-learn 1.6 or newer; run 'pip install identkit[sklearn]'."
    ) from None

if TYPE_CHECKING:
    from identkit.choice import Choice
    from identkit.experts import Expert
    from identkit.gates import Gate

Array = NDArray[np.float64]

UNDETERMINED = 1e-6
"""Least ridge with fewer samples than parameters: without one rounding would choose among fits."""


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
    ridge of at least 1e-6; predictions at other x mean little. A fit that ends away from a minimum
    gives a ConvergenceWarning with the remedy.

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
        n_iter_: int
        n_features_in_: int
        n_atoms_: int
        choice_: Choice

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> MoERegressor:  # noqa: N803
        """Fit to X (n, d) and y (n,). Weight 2 gives the cost of a row twice, 0 of none.

        Raises :class:`~identkit.errors.InputError`, a ValueError, for parameters out of their
        range and, as scikit-learn does, ValueError for data that are not finite numbers.
        """
        if isinstance(self.n_atoms, str):
            return self._fit_chosen(X, y, sample_weight)
        for name, given in (("X", X), ("y", y), ("sample_weight", sample_weight)):
            if np.ma.isMaskedArray(given):
                real_array(name, given)  # scikit-learn drops the mask
        checked: Any = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        x, target = np.asarray(checked[0]), np.asarray(checked[1], dtype=np.float64)
        for name in ("n_atoms", "n_starts", "max_steps", "n_jobs"):
            if name != "n_jobs" or self.n_jobs is not None:
                whole(name, getattr(self, name), least=1)
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
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, x, dtype=np.float64)
            if (weight < 0).any():
                raise InputError("sample_weight: it holds a negative value; remove it.")
            kept = weight > 0
            if not kept.any():  # only newer scikit-learn says so itself
                raise InputError("sample_weight: all are 0, so nothing is left to fit; raise some.")
            x, target, weight = x[kept], target[kept], weight[kept]
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
        filled = _filled(x, target, weight, free)
        result = best_fit(
            model, *filled[:2], k,
            weight=filled[2],
            rows=_distinct(x, target, free),
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
        if not result.status.finished:
            warnings.warn(
                f"the fit ended with status '{result.status.value}': {result.status.remedy}.",
                ConvergenceWarning,
                stacklevel=2,
            )
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

    def predict(self, X: Any) -> Array:  # noqa: N803
        """f at the rows of X (n, d), shape (n,)."""
        check_is_fitted(self)
        x: Any = validate_data(self, X, dtype=np.float64, reset=False)
        return self.result_.predict(np.asarray(x))


def _distinct(x: Array, y: Array, least: int) -> tuple[Array, Array]:
    """The distinct rows in lexicographic order, repeated until there are ``least``.

    Starts drawn from them depend neither on the order of the rows nor on whether a row is given
    twice or with weight 2.
    """
    rows = np.column_stack([x, y])
    rows = rows[np.lexsort(rows.T)]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (np.diff(rows, axis=0) != 0).any(axis=1)
    rows = rows[new]
    if len(rows) < least:
        rows = np.resize(rows, (least, rows.shape[1]))
    return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, -1])


def _filled(
    x: Array, y: Array, weight: Array | None, least: int
) -> tuple[Array, Array, Array | None]:
    """At least as many rows as free parameters: rows of weight 0 change no sum."""
    missing = least - len(y)
    if missing <= 0:
        return x, y, weight
    weight = np.ones(len(y)) if weight is None else weight
    return (
        np.concatenate([x, np.repeat(x[:1], missing, axis=0)]),
        np.concatenate([y, np.repeat(y[:1], missing)]),
        np.concatenate([weight, np.zeros(missing)]),
    )
