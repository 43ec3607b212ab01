"""Standard errors of maximum likelihood: observed information, and the sandwich.

With H = −∂² log-likelihood at the estimate and B = Σ_j w_j g_j g_jᵀ of the rows' scores g_j, over
the numbers that neither a gauge nor the box holds, the covariance is H⁻¹ where the model is right,
and H⁻¹BH⁻¹ also where it is not (White 1982): then of the measure nearest to the truth in
Kullback's divergence. Neither is valid in an over-specified cell: H is singular at the truth there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.density.engine import checked
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.density.result import DensityFit
from identkit.fit.inference import ROUNDING, Direction, Seen, check_one, spectrum
from identkit.fit.problem import Data

Array = NDArray[np.float64]
ROWS = 8192
"""Rows whose scores are computed at a time."""
OBSERVED = (
    "a true model with independent rows, and a truth inside the box; not valid for atoms that "
    "share a true atom (an over-specified cell), which converge like n^-1/4 or slower"
)
SANDWICH = (
    "independent rows; of the measure nearest to the truth where the model is wrong; not valid in "
    "an over-specified cell either"
)


@dataclass(frozen=True, eq=False)
class DensityCovariance:
    """Covariances (p, p) of the numbers of :meth:`DensityModel.numbers`, in the user's units.

    Variances are themselves here, not their logarithms. ``observed`` is H⁻¹, ``sandwich`` H⁻¹BH⁻¹;
    rows are 0 for what is held and NaN for what the data do not determine, which
    ``undetermined`` lists. ``standard_errors`` and ``sandwich_errors`` (p,) are NaN for both.
    ``omega_errors`` (m,) are those of the shared atoms' weights. ``rank`` is that of H over
    ``free`` numbers, whose scaled eigenvalues were compared with ``tolerance``; ``smallest`` is
    the smallest above it.
    """

    observed: Array
    sandwich: Array
    standard_errors: Array
    sandwich_errors: Array
    omega_errors: Array
    free: int
    rank: int
    tolerance: float
    smallest: float
    undetermined: tuple[Direction, ...]
    assumes: str = OBSERVED
    sandwich_assumes: str = SANDWICH


def scores(model: DensityModel, measure: DensityMeasure, x: ArrayLike, y: ArrayLike) -> Array:
    """∂ log p(y_j|x_j)/∂θ of every row, (n, p), in the coordinates of the model's vector.

    ``measure`` is one measure, x (n, d) and y (n,) in its units.
    """
    atoms = measure.atoms
    data = checked(model, x, y, None)
    vector = model.pack(measure)
    out = np.empty((data.samples, len(vector)))
    columns = data.y[0]
    for begin in range(0, data.samples, ROWS):
        part = slice(begin, begin + ROWS)
        size = len(columns[part])
        # every row is a problem of its own, for the kernel that fitted
        rows = Data(
            np.ascontiguousarray(data.x[0][part][:, None, :]),
            np.ascontiguousarray(columns[part][:, None]),
            None,
            np.ones(size, dtype=bool),
            False,
        )
        sums = _sums(model, atoms, rows)
        theta = np.ascontiguousarray(np.broadcast_to(vector, (size, len(vector))))
        out[part] = -sums.steps(theta, np.arange(size), False)[1]
    return out


def _sums(model: DensityModel, atoms: tuple[int, int], data: Data) -> Any:
    from identkit.density.job import sums_of

    return sums_of(model, atoms, data)


def information(
    fit: DensityFit, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None
) -> Array:
    """−∂² log-likelihood (p, p) in the coordinates of the fit's vector."""
    model = fit.model
    data = checked(model, x, y, weight)
    sums = _sums(model, fit.measure.atoms, data)
    vector = model.pack(fit.measure)[None].copy()
    return sums.steps(vector, np.zeros(1, dtype=np.int64), True)[2][0]


def covariance(
    fit: DensityFit, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None
) -> DensityCovariance:
    """Both covariances of one fit; x (n, d), y and weight (n,) are its data.

    Raises :class:`~identkit.errors.InputError` for several fits and for one that is not at a
    maximum.
    """
    check_one(fit, "maximum")
    inner, model, atoms = fit.scaled, fit.model, fit.measure.atoms
    data = checked(model, x, y, weight)
    points, target = data.x[0], data.y[0]
    if fit.units is not None:
        points, target = fit.units.inputs(points), fit.units.target(target)
    w = None if data.weight is None else data.weight[0]
    hessian = information(inner, points, target, w)
    rows = scores(model, inner.measure, points, target)
    middle = (rows if w is None else rows * w[:, None]).T @ rows
    free = np.flatnonzero(~inner.held)
    tolerance = ROUNDING * len(hessian) * np.sqrt(data.samples) * np.finfo(float).eps
    found = spectrum(hessian[np.ix_(free, free)], tolerance)
    # rows: the user's numbers, in the free ones of the solver
    change = np.eye(len(hessian)) if fit.units is None else fit.units.matrix
    part = model.parts(atoms)[2]
    natural = np.ones(len(hessian))
    natural[part] = np.exp(model.pack(fit.measure)[part])
    seen = Seen((natural[:, None] * change)[:, free] / found.scale, found)
    sound, vectors = found.values[found.sound], found.vectors[:, found.sound]
    between = vectors.T @ (middle[np.ix_(free, free)] / np.outer(found.scale, found.scale))
    observed, errors = seen.covariance(1.0 / sound)
    robust, robust_errors = seen.covariance(between @ vectors / np.outer(sound, sound))
    return DensityCovariance(
        observed,
        robust,
        errors,
        robust_errors,
        omega_errors(fit, observed),
        len(free),
        len(sound),
        float(tolerance),
        float(sound.min()) if len(sound) else np.nan,
        seen.undetermined(_numbers(model.numbers(atoms))),
    )


def omega_errors(fit: DensityFit, matrix: Array) -> Array:
    """Standard errors (m,) of ω, by the delta method."""
    model, atoms = fit.model, fit.measure.atoms
    if model.shared is None:
        return np.empty(0)
    start = model.parts(atoms)[1].start
    place = model.shared.layout["beta0"].start
    at = [start + model.shared.layout.index(i, place) for i in range(atoms[0])]
    omega = fit.measure.omega
    slope = np.diag(omega) - np.outer(omega, omega)
    with np.errstate(invalid="ignore"):
        found = np.sqrt(np.diag(slope @ matrix[np.ix_(at, at)] @ slope.T))
    return np.where(found > 0.0, found, np.nan)


def _numbers(
    numbers: Sequence[tuple[str, int | None, str]],
) -> tuple[tuple[Any, str], ...]:
    """As directions name them: shared atoms by ``s0``, ``s1``, …."""
    return tuple(
        (f"s{i}" if half == "shared" and i is not None else i, name) for half, i, name in numbers
    )
