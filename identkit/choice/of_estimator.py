"""``MoERegressor(n_atoms="bic")``: the number of atoms chosen by a criterion, then that fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from identkit.choice.choosing import CRITERIA, FOLDS, Choice, check_range, choose
from identkit.errors import InputError, whole

if TYPE_CHECKING:
    from identkit.choice.choosing import Fit
    from identkit.fit.running import Steps


def check_criterion(name: str) -> str:
    """The criterion. Raises InputError for a name of none."""
    if name not in CRITERIA:
        raise InputError(
            f"n_atoms: '{name}' is neither a number nor a criterion; give a whole number, or "
            f"{', '.join(CRITERIA)}."
        )
    return name


def chosen_fit(
    make: Callable[[int], Any],
    criterion: str,
    most: int,
    data: tuple[Any, Any, Any],
    seed: int,
) -> tuple[Any, Choice]:
    """The regressor of the k that a criterion names, of 1 to ``most``, fitted, and the choice.

    ``make(k)`` is a new one of k atoms, ``data`` what its ``fit`` takes: X, y and weights or None.
    Each is fitted to all rows, and to those outside each fold. Warnings are given for the one that
    is returned alone. Raises :class:`~identkit.errors.InputError` where the criterion names no k,
    and as ``fit`` does.
    """
    check_criterion(criterion)
    most = whole("max_atoms", most, least=1)
    kept: dict[int, tuple[Any, list[warnings.WarningMessage]]] = {}

    def fitted(k: int, rows: NDArray[np.intp] | None) -> tuple[Any, list[warnings.WarningMessage]]:
        part = data
        if rows is not None:
            part = tuple(None if p is None else np.asarray(p)[rows] for p in data)
        one = make(k)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            one.fit(*part)
        return one, said

    first = fitted(1, None)
    kept[1] = first
    model = first[0].result_.model
    x, values = (np.asarray(part, dtype=np.float64) for part in data[:2])
    values = values.reshape(-1)
    weight, counted = None, len(values)
    if data[2] is not None:
        given = np.asarray(data[2], dtype=np.float64)
        weight = np.broadcast_to(given, values.shape)
        counted = int((weight > 0).sum())
    folds = FOLDS if criterion == "cv" else 0
    check_range(model, range(1, most + 1), folds, criterion)

    def fit(k: int, rows: NDArray[np.intp] | None, steps: Steps) -> Any:
        if rows is not None and len(rows) < counted:  # else all that have a weight
            return fitted(k, rows)[0].result_
        if k not in kept:
            kept[k] = fitted(k, None)
        return kept[k][0].result_

    which: Fit = fit
    choice = choose(
        model, which, x,
        values, range(1, most + 1), weight=weight, folds=min(folds, counted), seed=seed,
    )  # fmt: skip
    named = choice.of(criterion)
    if named.k is None:
        raise InputError(f"n_atoms='{criterion}': it names no number of atoms: {named.reason}")
    best, said = kept[named.k]
    for warning in said:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return best, choice
