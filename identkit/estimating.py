"""What the scikit-learn estimators share: the names they take from it, and how they read data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError, whole
from identkit.mixing import real_array

try:
    from sklearn.base import BaseEstimator as BaseEstimator
    from sklearn.base import ClassifierMixin as ClassifierMixin
    from sklearn.base import DensityMixin as DensityMixin
    from sklearn.base import RegressorMixin as RegressorMixin
    from sklearn.base import clone as clone
    from sklearn.exceptions import ConvergenceWarning as ConvergenceWarning
    from sklearn.utils import check_random_state as check_random_state
    from sklearn.utils.multiclass import (
        check_classification_targets as check_classification_targets,
    )
    from sklearn.utils.validation import _check_sample_weight
    from sklearn.utils.validation import check_is_fitted as check_is_fitted
    from sklearn.utils.validation import validate_data as validate_data
except ImportError as error:
    if error.name is not None and error.name.split(".")[0] != "sklearn":
        raise
    raise ImportError(
        "Estimators need scikit-learn 1.6 or newer; run 'pip install identkit[sklearn]'."
    ) from None

Array = NDArray[np.float64]

MOST_NAMED = 4
"""Parameters at a bound that a warning names."""


def refuse_masks(**given: Any) -> None:
    """Raise InputError for masked arrays, whose mask scikit-learn drops."""
    for name, array in given.items():
        if np.ma.isMaskedArray(array):
            real_array(name, array)


def check_wholes(estimator: Any, *names: str) -> None:
    """Raise InputError unless these of an estimator, and what all have, are whole numbers."""
    for name in (*names, "n_starts", "max_steps", "n_jobs"):
        if name != "n_jobs" or estimator.n_jobs is not None:
            whole(name, getattr(estimator, name), least=1)


def weights_of(given: Any, x: Array) -> tuple[Array | None, NDArray[np.bool_]]:
    """The weights above 0 of rows x (n, d), None if none are given, and which rows have one.

    Raises InputError for negative ones, and where all are 0.
    """
    if given is None:
        return None, np.ones(len(x), dtype=bool)
    weight = _check_sample_weight(given, x, dtype=np.float64)
    if (weight < 0).any():
        raise InputError("sample_weight: it holds a negative value; remove it.")
    kept = weight > 0
    if not kept.any():  # only newer scikit-learn says so itself
        raise InputError("sample_weight: all are 0, so nothing is left to fit; raise some.")
    return weight[kept], kept


def _order(rows: Array) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The lexicographic order of rows (n, c), and which of the ordered ones are new."""
    order = np.lexsort(rows.T)
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (np.diff(rows[order], axis=0) != 0).any(axis=1)
    return order, new


def distinct(x: Array, y: Array, least: int) -> tuple[Array, Array]:
    """The distinct rows in lexicographic order, repeated until there are ``least``.

    Starts drawn from them depend neither on the order of the rows nor on whether a row is given
    twice or with weight 2.
    """
    rows = np.column_stack([x, y])
    order, new = _order(rows)
    rows = rows[order][new]
    if len(rows) < least:
        rows = np.resize(rows, (least, rows.shape[1]))
    return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, -1])


def filled_up(
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


def counted(x: Array, y: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
    """The distinct rows of x (n, d), y (n,) in lexicographic order, with the sums of their weights.

    No weights are returned where all would be 1.
    """
    rows = np.column_stack([x, y])
    order, new = _order(rows)
    rows = rows[order]
    own = np.ones(len(rows)) if weight is None else weight[order]
    sums = np.add.reduceat(own, np.flatnonzero(new))
    rows = np.ascontiguousarray(rows[new])
    found = None if (sums == 1.0).all() else sums
    return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, -1]), found
