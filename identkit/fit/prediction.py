"""Predictions of a fit with standard errors, by the delta method, and where they extrapolate.

With g = ∂f_G(x)/∂θ at the estimate and C = σ²(JᵀJ)⁺ over the free parameters the standard error of
f_G(x) is √(gᵀCg), that of an observation there √(σ² + gᵀCg); quantiles are those of Student's t
with n − rank degrees of freedom (Seber and Wild, Nonlinear Regression, section 5.1). The
pseudo-inverse leaves out directions that the data do not determine. Where g has a part along one,
nothing bounds f there, and there is no interval; where it has none, as at every x for an exact
symmetry of f, the interval is what it would be with any choice along them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.fit.inference import PART, Covariance, spectrum
from identkit.fit.result import FitResult
from identkit.mixing import real_array

Array = NDArray[np.float64]
Ranges = Sequence[tuple[float, float]]

LEVEL = 0.95
"""Of intervals, unless told otherwise."""
PRESUMES = (
    "f is taken as linear in the parameters about the estimate (delta method), parameters at a "
    "bound as known"
)
"""What intervals presume besides what standard errors do."""
_CHUNK = 4096
"""Rows whose gradients are held at a time."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """f at n inputs and, for each of them, how well the data determine it.

    ``f`` and its standard error ``error`` have shape (n,), in units of y; ``error`` is NaN where
    the fit has none, ``lost`` (n,) marks the rows whose gradient has a part that the data do not
    determine, and ``reason`` says why there are NaNs (empty without them). ``outside`` (n, d) marks
    inputs beyond the range of the data fitted, and is None where that is not known. ``sigma`` is
    the standard deviation of an observation of weight 1, ``degrees`` those of freedom it was
    estimated with, ``presumes`` what intervals presume, to stand before a full stop.
    """

    f: Array
    error: Array
    sigma: float
    degrees: int
    level: float
    outside: NDArray[np.bool_] | None
    lost: NDArray[np.bool_]
    reason: str
    presumes: str

    @property
    def confidence(self) -> Array:
        """The interval of f, (n, 2), for each x on its own."""
        return self._interval(self.error)

    @property
    def prediction(self) -> Array:
        """The interval of one new observation of weight 1 at x, (n, 2)."""
        return self._interval(np.sqrt(self.sigma**2 + self.error**2))

    def _interval(self, error: Array) -> Array:
        half = quantile(self.degrees, self.level) * error
        return np.stack([self.f - half, self.f + half], axis=1)


def quantile(degrees: int, level: float) -> float:
    """Of Student's t, for two-sided intervals of the level; NaN without degrees of freedom."""
    from scipy import special

    return float(special.stdtrit(degrees, 0.5 + level / 2.0)) if degrees > 0 else float("nan")


def data_ranges(x: Array) -> tuple[tuple[float, float], ...]:
    """(lowest, highest) of each column of x (n, d)."""
    return tuple(zip(x.min(axis=0).tolist(), x.max(axis=0).tolist(), strict=True))


def check_level(level: float) -> float:
    """Raise InputError unless the level of an interval lies between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise InputError(f"level: {level:g} must lie between 0 and 1, as 0.95 does.")
    return level


def predict(
    result: FitResult,
    covariance: Covariance | None,
    x: ArrayLike,
    *,
    level: float = LEVEL,
    ranges: Ranges = (),
) -> Prediction:
    """f of one fit at x (n, d), with standard errors where ``covariance`` has them.

    ``ranges`` are (lowest, highest) of each input of the data fitted. Raises InputError for several
    fits, x of another shape or not finite, and a level that is none.
    """
    check_level(level)
    if result.measure.batch:
        raise InputError("predict: the result holds several fits; choose one, as in result[0].")
    points = real_array("x", x)
    if not np.isfinite(points).all():
        row = int(np.argwhere(~np.isfinite(points))[0][0])
        raise InputError(f"x: row {row} holds a value that is not finite; fill it in or remove it.")
    f = result.predict(points)
    error, lost, reason = np.full(len(f), np.nan), np.zeros(len(f), dtype=bool), ""
    if covariance is None:
        errors = result.objective.errors
        reason = f"standard errors are of a minimum, and the fit ended '{result.status.value}'"
        if errors is None:
            reason = f"no standard errors are known for {result.objective.title}"
    elif not np.isfinite(covariance.sigma):
        reason = f"{result.samples} samples leave nothing to estimate the errors with"
    else:
        for start in range(0, len(points), _CHUNK):
            part = slice(start, start + _CHUNK)
            error[part], lost[part] = _errors_at(result, covariance, points[part])
        if lost.any():
            reason = f"the data do not determine f at {int(lost.sum()):,} of {len(f):,} rows"
            if covariance.information is None:
                reason += ", as far as the file tells: it has no part of its covariance for some"
    limits = np.array(ranges).reshape(-1, 2)
    outside = (points < limits[:, 0]) | (points > limits[:, 1]) if len(limits) else None
    assumes = "" if covariance is None else f"{covariance.assumes}; {PRESUMES}"
    return Prediction(
        f,
        error,
        np.nan if covariance is None else covariance.sigma,
        0 if covariance is None else covariance.degrees,
        level,
        outside,
        lost,
        reason,
        assumes,
    )


def _errors_at(
    result: FitResult, covariance: Covariance, x: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Standard errors of f at x (n, d), and where there are none; in standard units if any."""
    change, inner = result.change, result.inner
    if change is None or inner is None or covariance.inner is None:
        return _errors(result, covariance, result.model.gradient(result.measure, x))
    error, lost = _errors_at(inner, covariance.inner, change.inputs(x))
    return change.unit * error, lost


def _errors(
    result: FitResult, covariance: Covariance, gradient: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """√(gᵀCg) for gradients (n, p), NaN where they are not determined, and where that is."""
    free = np.flatnonzero(~result.held)
    if covariance.information is None:
        return _from_matrix(covariance.matrix[np.ix_(free, free)], gradient[:, free])
    inner = covariance.information[np.ix_(free, free)]
    scale, values, vectors, sound = spectrum(inner, covariance.tolerance)
    along = (gradient[:, free] / scale) @ vectors
    error = covariance.sigma * np.sqrt((along[:, sound] ** 2 / values[sound]).sum(axis=1))
    # What rounding leaves along null directions: √tolerance where their eigenvalue is as large as
    # it may be, and the angle by which rounding turns them out of the others' space, at most its
    # size over the gap (Davis and Kahan).
    leeway = np.sqrt(covariance.tolerance)
    if sound.any() and not sound.all():
        leeway = min(PART, max(leeway, covariance.tolerance / values[sound].min()))
    beyond = np.linalg.norm(along[:, ~sound], axis=1)
    lost = beyond > leeway * np.linalg.norm(along, axis=1)
    error[lost] = np.nan
    return error, lost


def _from_matrix(matrix: Array, gradient: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The same from a covariance that has NaN for parameters not determined."""
    unknown = np.isnan(np.diag(matrix))
    lost = (gradient[:, unknown] != 0.0).any(axis=1)
    known = matrix[np.ix_(~unknown, ~unknown)]
    g = gradient[:, ~unknown]
    # rounding may make a variance near 0 negative
    error = np.sqrt(((g @ known) * g).sum(axis=1).clip(min=0.0))
    error[lost] = np.nan
    return error, lost
