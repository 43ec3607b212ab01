"""What is to be fitted, checked before any work: data, starts, where to compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.mixing import real_array
from identkit.tables import Table

Array = NDArray[np.float64]

LARGEST = 1e100
"""Of |x|, |y| and weights: beyond it squares leave the range of float64."""
SMALLEST = 1e-100
"""Of the largest |y| and weight: below it squares vanish."""


@dataclass(frozen=True)
class Compute:
    """Where and how to compute.

    ``device``: auto, cpu or cuda. ``kernel``: auto (native on the CPU, torch elsewhere), native or
    torch. ``nodes``: compress one-dimensional data of a smooth expert, polish on all of it.
    ``threads``: of the native kernel, by default 1; results do not depend on it. On two cores a
    second one gained a tenth at d = 8 and lost a third at d = 1 (benchmarks/README.md).
    """

    device: str = "auto"
    kernel: str = "auto"
    nodes: bool = True
    threads: int | None = None


@dataclass(frozen=True)
class Data:
    """x (R or 1, n, d), y (R, n), weight (R, n) or None; ``good`` (R,) marks usable problems."""

    x: Array
    y: Array
    weight: Array | None
    good: NDArray[np.bool_]
    single: bool

    @property
    def problems(self) -> int:
        return len(self.y)

    @property
    def samples(self) -> int:
        return self.y.shape[1]

    @classmethod
    def checked(cls, model: Model, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None) -> Data:
        points, values = real_array("x", x), real_array("y", y)
        single = values.ndim == 1
        if values.ndim not in (1, 2) or points.ndim not in (2, 3) or (single and points.ndim == 3):
            raise InputError(
                f"data: x has shape {points.shape} and y {values.shape}; they must be (n, d) and "
                "(n,), or (R, n, d) and (R, n) for R problems."
            )
        values = np.atleast_2d(values)
        points = points if points.ndim == 3 else points[None]
        if points.shape[1] != values.shape[1] or points.shape[0] not in (1, len(values)):
            raise InputError(
                f"data: x has {points.shape[1]} rows and y {values.shape[1]}; give one y for "
                "each row of x."
                if points.shape[1] != values.shape[1]
                else f"data: x has {points.shape[0]} problems and y {len(values)}; give as many."
            )
        if points.shape[2] != model.dim:
            raise InputError(
                f"x: it has {points.shape[2]} columns, the expert {model.expert.label} has "
                f"{model.dim} inputs; choose the columns or set the dimension."
            )
        good = np.ones(len(values), dtype=bool)
        faults: list[str] = []
        weights = None
        if weight is not None:
            weights = _weights(weight, values.shape)
            good = weights.any(axis=1)
            if not good.all():
                faults.append("weight: all are 0, so there is nothing to fit; raise some.")
        for name, array in (("x", points), ("y", values)):
            axes = tuple(range(1, array.ndim))
            with np.errstate(invalid="ignore"):
                ok = (np.abs(array) <= LARGEST).all(axis=axes)
            if not ok.all():
                bad = np.argwhere(~(np.abs(array) <= LARGEST))[0]
                value = array[tuple(bad)]
                faults.append(
                    f"{name}: row {bad[1]} holds {value:g}; "
                    + (
                        f"rescale it, magnitudes up to {LARGEST:g} are fitted."
                        if np.isfinite(value)
                        else "remove rows with missing or infinite values."
                    )
                )
            good &= ok
        if not values.size:
            raise InputError(
                f"data: there is no sample (y has shape {values.shape}); give data to fit."
            )
        constant = (values == values[:, :1]).all(axis=1)
        if constant[good].any():
            faults.append(
                f"y: all {values.shape[1]} values are {values[good & constant][0, 0]:g}, so there "
                "is nothing to fit; check the target column."
            )
        good &= ~constant
        tiny = np.abs(np.where(good[:, None], values, 1.0)).max(axis=1) < SMALLEST
        if tiny.any():
            faults.append(
                f"y: its largest magnitude is {np.abs(values[tiny][0]).max():g}, squares of which "
                f"vanish; rescale it to {SMALLEST:g} or more."
            )
        good &= ~tiny
        if not good.any():
            raise InputError(faults[0])
        # writeable too: torch warns of read-only arrays, Numba compiles once more for them
        kind: Any = ("C_CONTIGUOUS", "WRITEABLE")
        return cls(
            np.require(points, requirements=kind),
            np.require(values, requirements=kind),
            weights,
            good,
            single,
        )


def _weights(weight: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Weights in the shape (R, n) of y, a copy."""
    array = real_array("weight", weight)
    if array.shape not in (shape, shape[1:]):
        raise InputError(
            f"weight: it has shape {array.shape}, y has {shape[1]} samples in {shape[0]} "
            f"{'problems' if shape[0] > 1 else 'problem'}; give one weight for each y."
        )
    if not np.isfinite(array).all() or (array < 0).any():
        raise InputError("weight: it holds a negative or not finite value; remove it.")
    largest = array.max(initial=0.0)
    if largest > LARGEST or 0 < largest < SMALLEST:
        raise InputError(
            f"weight: its largest is {largest:g}; rescale, only ratios of weights matter."
        )
    return np.array(np.broadcast_to(array, shape))


def check_table(table: Table) -> None:
    """Raise InputError, naming the column, for data that no fit could use."""
    columns = [*zip(table.input_names, table.x.T, strict=True), (table.target_name, table.y)]
    for name, column in columns:
        if abs(column).max() > LARGEST:
            raise InputError(
                f"column '{name}': it holds {column[abs(column).argmax()]:g}; rescale it, "
                f"magnitudes up to {LARGEST:g} are fitted."
            )
    largest = abs(table.y).max()
    if 0 < largest < SMALLEST:
        raise InputError(
            f"column '{table.target_name}': its largest magnitude is {largest:g}; rescale it to "
            f"{SMALLEST:g} or more."
        )
    for s, name in enumerate(table.input_names):
        column = table.x[:, s]
        if len(column) > 1 and (column == column[0]).all():
            raise InputError(
                f"inputs: column '{name}' is {column[0]:g} in every row, so its slopes cannot be "
                "told from offsets; leave it out with --inputs."
            )


def free_numbers(model: Model, atoms: int, low: Array, high: Array) -> int:
    """How many numbers of k atoms a fit determines: not those that a gauge or bounds hold."""
    return int((~model.pinned(atoms) & (low < high)).sum())


def start_vectors(model: Any, start: Any, problems: int) -> tuple[Array, Any]:
    """Starting vectors, shape (R, S, p), and the atoms, of a measure or several of a model's."""
    several = [start] if hasattr(start, "batch") else list(start)
    if not several:
        raise InputError("start: it is empty; give at least one mixing measure.")
    columns = []
    for measure in several:
        vector = model.pack(measure)
        if vector.ndim == 2 and len(vector) not in (1, problems):
            raise InputError(
                f"start: it holds {len(vector)} measures for {problems} problems; give one, or "
                "one for each problem, and several starts as a list."
            )
        columns.append(np.broadcast_to(np.atleast_2d(vector), (problems, vector.shape[-1])))
    if len({measure.atoms for measure in several}) > 1:
        raise InputError("start: the starts have different numbers of atoms; give the same.")
    return np.stack(columns, axis=1), several[0].atoms
