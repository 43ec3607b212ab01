"""How well a fit describes its data, in the numbers that statisticians look for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identkit.fit.inference import Covariance
from identkit.fit.result import FitResult

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """Of a fit of one data set; numbers are NaN where they have no meaning.

    ``samples`` n are those of weight above 0, ``free`` the parameters that neither gauge nor box
    holds, ``degrees`` n − rank of the information (n − free without one) and ``sigma`` the residual
    standard deviation √(Σ w·r²/degrees). ``r_squared`` is 1 − Σ w·r²/Σ w·(y − ȳ)², ``adjusted``
    1 − (1 − R²)·(n − 1)/degrees, ``bic`` n·(log(2π·Σ w·r²/n) + 1) − Σ log w + (free + 1)·log n, of
    normal errors (Schwarz 1978). ``shares`` are the mean weights of the atoms, which add up to 1
    under a normalised gate.
    """

    samples: int
    dim: int
    free: int
    degrees: int
    sigma: float
    r_squared: float
    adjusted: float
    bic: float
    shares: tuple[float, ...]


def statistics(
    result: FitResult,
    covariance: Covariance | None,
    x: Array,
    y: Array,
    weight: Array | None = None,
) -> Statistics:
    """The statistics of one fit to x (n, d) and y (n,) with weights (n,), inverse variances up to a
    factor. Without ``covariance`` the rank is taken to be that of all free parameters."""
    w = np.ones(len(y)) if weight is None else weight
    x, y, w = x[w > 0], y[w > 0], w[w > 0]
    n, free = len(y), int((~result.held).sum())
    degrees = n - free if covariance is None else covariance.degrees
    with np.errstate(all="ignore"):
        squares = w @ (result.predict(x) - y) ** 2
        total = w @ (y - np.average(y, weights=w)) ** 2
        unexplained = squares / total
        likelihood = -0.5 * (n * (np.log(2.0 * np.pi * squares / n) + 1.0) - np.log(w).sum())
        left = degrees if degrees > 0 else np.nan
        shares = np.average(result.model.weights(result.measure, x), axis=1, weights=w)
        return Statistics(
            samples=n,
            dim=result.model.dim,
            free=free,
            degrees=degrees,
            sigma=float(np.sqrt(squares / left)),
            r_squared=float(1.0 - unexplained),
            adjusted=float(1.0 - unexplained * (n - 1) / left),
            bic=float(-2.0 * likelihood + (free + 1) * np.log(n)),
            shares=tuple(map(float, shares)),
        )
