"""From a table of data to a report: starts, the best of their fits, what is said about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.fit import inference
from identkit.fit.change import Change, places_of
from identkit.fit.engine import least_squares
from identkit.fit.model import Model
from identkit.fit.problem import Compute, Data
from identkit.fit.result import Box, FitResult
from identkit.fit.shared_gates import shared_gates
from identkit.fit.starts import TRIAL_STEPS, random_starts
from identkit.fit.summary import FitReport
from identkit.tables import Table

Array = NDArray[np.float64]

CHECK_SECONDS = 20.0
"""Time limit of the check that goes with a fit."""


ROUNDED = 1e-12
"""Relative rounding of bounds that went to standard units and back."""


class Steps(Protocol):
    """What is told of the parts of a run, and of their steps."""

    def begin(self, label: str, steps: int | None = None) -> None:
        """The next part of the run, of at most ``steps`` steps."""

    def update(self, done: int, total: int) -> None:
        """After every step: ``done`` of ``total`` runs are at their end."""


class Silent:
    """Nobody is told."""

    def begin(self, label: str, steps: int | None = None) -> None: ...

    def update(self, done: int, total: int) -> None: ...


def best_fit(
    model: Model,
    x: Array,
    y: Array,
    k: int,
    *,
    weight: Array | None = None,
    rows: tuple[Array, Array] | None = None,
    starts: int = 5,
    seed: int = 0,
    standardise: bool = True,
    box: Box | None = None,
    start: Mapping[str, Sequence[float] | float] | None = None,
    ridge: float = 0.0,
    max_steps: int = 500,
    compute: Compute | None = None,
    steps: Steps | None = None,
    stop: Callable[[], bool] | None = None,
) -> FitResult:
    """The best fit of k atoms to x (n, d) and y (n,) from random starts.

    With ``standardise`` it is found in standard units and told in those of the data
    (:mod:`identkit.fit.change`); ``box`` and ``start`` are in the user's units, what the box does
    not name has the default bounds of standard units, or ±10 without. ``start`` maps a parameter's
    name to the value, one for all atoms or one for each, that every start begins with. ``ridge`` ρ
    adds ½ρ‖θ‖² in standard units. ``rows`` are x and y to draw starts from instead. Raises
    InputError, as the parts do.
    """
    steps = Silent() if steps is None else steps
    box = Box() if box is None else box
    if not isinstance(box, Box):
        raise InputError(f"box: {box!r} is none; give an identkit.fit.Box.")
    if isinstance(ridge, bool) or not isinstance(ridge, int | float | np.number):
        raise InputError(f"ridge: {ridge!r} is no number; give one of at least 0.")
    data = Data.checked(model, x, y, weight)  # before anything is computed of them
    x, y, weight = data.x[0], data.y[0], None if data.weight is None else data.weight[0]
    values = placed(model, start or {}, k)
    change = None
    if standardise:
        change = Change.of(model, x, y, k, weight=weight, bounded=named_numbers(model, box))
    where, inner_box = (x, y), box
    given = None
    if change is not None:
        where, inner_box = (change.inputs(x), change.target(y)), change.box(box)
    if values:
        _check_inside(model, change, inner_box, values, k)
        given = _given(change, values)
    drawn = where
    if rows is not None:
        drawn = rows if change is None else (change.inputs(rows[0]), change.target(rows[1]))
    steps.begin("choosing starts", TRIAL_STEPS)
    measures = random_starts(
        model, *drawn, k, starts, seed,
        weight=weight if rows is None else None, box=inner_box, given=given, ridge=ridge,
        compute=compute, progress=steps.update, stop=stop,
    )  # fmt: skip
    steps.begin("fitting", max_steps)
    found = least_squares(
        model, *where, measures,
        weight=weight, box=inner_box, ridge=ridge, max_steps=max_steps, compute=compute,
        progress=steps.update, stop=stop,
    )  # fmt: skip
    return found if change is None else change.result(found, box)


def _held(result: FitResult) -> list[str]:
    """The expert's parameters that bounds hold at one value."""
    inner, model = result.scaled, result.model
    low, high = inner.settings.box.bounds(model, inner.measure.atoms)
    at = model.layout["eta"]  # alike for all atoms
    return [p for p, same in zip(model.parameters, (low == high)[at], strict=True) if same]


def named_numbers(model: Model, box: Box) -> list[int]:
    """The numbers of a unit that the box names."""
    layout = model.layout
    named = box.named(layout, model.parameters)
    blocks = (*layout.of_atoms, *layout.of_groups, *layout.of_all)
    flags = [flag for block in blocks for flag in named[block.name]]
    return [i for i, flag in enumerate(flags) if flag]


def placed(model: Model, start: Mapping[str, Sequence[float] | float], k: int) -> dict[int, float]:
    """Values by their place in the vector. Raises InputError."""
    if not isinstance(start, Mapping):
        raise InputError(f"start: {start!r} is no mapping; give values by name, such as a=[1.0].")
    found = {}
    for name, entry in start.items():
        values = _values(name, entry)
        try:
            places = places_of(model, name, k)
        except InputError as error:
            raise InputError(f"start: {error}") from None
        if len(values) not in (1, len(places)):
            raise InputError(
                f"start: {name} has {len(values)} values; give one, or {len(places)} for "
                f"{k} {'atoms' if k > 1 else 'atom'}."
            )
        several = values * (len(places) if len(values) == 1 else 1)
        found |= dict(zip(places, several, strict=True))
    return found


def _values(name: str, entry: Sequence[float] | float) -> list[float]:
    """The finite numbers of one entry. Raises InputError."""
    try:
        values = np.atleast_1d(np.asarray(entry, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError(f"start: {name} is {entry!r}; give a finite number, or one for each atom.")
    return values.tolist()


def _check_inside(
    model: Model, change: Change | None, box: Box, values: Mapping[int, float], k: int
) -> None:
    """Raise InputError for a value outside its bounds: a start is clipped to the box.

    ``box`` is in standard units, where there is a ``change``. What an origin mixes with other
    numbers has no bounds of its own.
    """
    low, high = box.bounds(model, k)
    for i, value in values.items():
        ends = low[i], high[i]
        if change is not None:
            if not change.alone[i]:
                continue
            ends = (change.matrix[i, i] * np.array(ends) + change.offset[i]).tolist()
        # bounds there and back are rounded
        if ends[0] - ROUNDED * abs(ends[0]) <= value <= ends[1] + ROUNDED * abs(ends[1]):
            continue
        name = model.layout.options(model.parameters, k)[i]
        where = (
            f"it is held at {ends[0]:g}"
            if low[i] == high[i]
            else f"its bounds are {ends[0]:g} and {ends[1]:g}"
        )
        raise InputError(f"start: {name} = {value:g}, but {where}; change one of them.")


def _given(change: Change | None, values: Mapping[int, float]) -> Callable[[Array], Array]:
    """Vectors (…, p) in standard units with numbers at the user's values."""
    at, to = list(values), np.array(list(values.values()))

    def placed(vector: Array) -> Array:
        user = vector.copy() if change is None else change.outward(vector)
        user[..., at] = to
        return user if change is None else change.inward(user)

    return placed


def reported(
    result: FitResult,
    table: Table,
    *,
    file: str,
    seed: int,
    began: float,
    interrupted: bool = False,
    check: bool = True,
    steps: Steps | None = None,
) -> FitReport:
    """A fit with standard errors, shared gates and, unless it was cut short, what is proved.

    ``began`` is the :func:`time.perf_counter` of the run's begin. Ctrl-C ends the check, not the
    report.
    """
    x, y = table.x, table.y
    known = result.status.finished and result.objective.errors is not None and not result.ridge
    matrix = inference.covariance(result, x, y, table.weight) if known else None
    shared = shared_gates(result, x, matrix)
    proved = None
    if check and not interrupted:
        if steps is not None:
            steps.begin("checking identifiability")
        try:
            proved = inference.identifiability(
                result.model, shared, x, held=_held(result), time_limit=CHECK_SECONDS
            )
        except KeyboardInterrupt:
            interrupted = True
    with np.errstate(all="ignore"):
        spreads, means = x.std(axis=0), x.mean(axis=0)
        w = np.ones(len(y)) if table.weight is None else table.weight
        # of weighted residuals, as the root mean square is
        variance = float((w * (y - np.average(y, weights=w)) ** 2).mean())
        square = float((w * y**2).mean())
    return FitReport(
        result=result,
        file=file,
        target=table.target_name,
        inputs=table.input_names,
        means=tuple(map(float, means)),
        spreads=tuple(map(float, spreads)),
        variance=variance,
        mean_square=square,
        seed=seed,
        seconds=time.perf_counter() - began,
        interrupted=interrupted,
        covariance=matrix,
        shared=shared,
        identifiability=proved,
        table=table,
    )
