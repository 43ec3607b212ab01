"""Criteria by which a number of atoms is chosen, each with what it is and what it presumes.

All speak of n samples and a fit of k atoms by least squares, read as y_i ~ N(f(x_i), σ²/w_i) with
independent errors (weights w_i, 1 without). Smaller is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from identkit.fit.model import Model
from identkit.fit.summary import NOTHING_LEFT
from identkit.mixing import MixingMeasure

Array = NDArray[np.float64]

PRESUMES: Mapping[str, str] = {
    "bic": "−2ℓ + (parameters + 1)·log n, ℓ the normal log-likelihood at its best σ² (constants "
    "included), parameters those left when gauges are fixed, + 1 for σ². The penalty is that of "
    "regular models; with more atoms than there are the model is singular, where the right one is "
    "smaller, so that BIC rather names too few than too many.",
    "icl": "BIC + 2·Σ_i entropy of the gate at x_i. Least squares has no latent density: given x, "
    "which atom is meant does not depend on y, so that its probabilities are the gate's weights. "
    "It asks for experts that divide the inputs among themselves; smooth gates are charged for "
    "it, also where they are true.",
    "cv": "mean squared error of prediction on folds that were held out, each with fits of its "
    "own; named is the least k within one standard error of the least error. Nothing is presumed "
    "but exchangeable rows: not for time series. Folds share data, so the standard error is rough.",
    "dsc": "−(part + log n · ℓ/n), the part of the sum of all heights that the merge from k to "
    "k − 1 atoms has in the dendrogram of the largest fit, ℓ that of the fit of k atoms. From "
    "k = 2 on: it cannot name 1. Presumes that over-fitted atoms come together, as n^-1/4 does, "
    "and that the largest fit has more atoms than there are.",
}
"""Criterion -> what it is and presumes, in sentences."""


def log_likelihood(
    squares: float, samples: int, floor: float, weight: Array | None = None
) -> float:
    """ℓ = −n/2·(log 2πσ̂² + 1) + ½Σ log w_i at the best σ̂² = Σ w_i r_i²/n.

    ``squares`` is Σ w_i r_i², ``samples`` n counts the rows with w_i > 0 alone. Below ``floor`` a
    sum of squares is rounding, and fits of data without noise are all as good.
    """
    variance = max(squares, floor) / samples
    weights = 0.0 if weight is None else 0.5 * float(np.log(weight[weight > 0]).sum())
    return float(-0.5 * samples * (np.log(2.0 * np.pi * variance) + 1.0) + weights)


def rounding(y: Array, weight: Array | None = None) -> float:
    """What is left of Σ w y² when nothing is left but rounding."""
    squares = y**2 if weight is None else weight * y**2
    return NOTHING_LEFT * float(squares.sum())


def bic(likelihood: float, free: int, samples: int) -> float:
    """−2ℓ + (free + 1)·log n; Schwarz 1978."""
    return -2.0 * likelihood + (free + 1) * float(np.log(samples))


def gate_entropy(model: Model, measure: MixingMeasure, x: Array) -> float:
    """Σ_i −Σ_a w_a(x_i) log w_a(x_i) over the rows of x (n, d), of weights that sum to 1.

    >>> model = Model.of("tanh", "softmax")
    >>> G = MixingMeasure([0.0, 0.0], [[0.0], [0.0]], [[1.0, 0.0], [2.0, 0.0]])
    >>> float(np.exp2(gate_entropy(model, G, np.zeros((3, 1))) / np.log(2)).round(9))
    8.0
    """
    return float(special.entr(model.weights(measure, x)).sum())


def icl(bic: float, entropy: float) -> float:
    """BIC + 2·entropy (Biernacki, Celeux, Govaert 2000), the gate's weights as probabilities."""
    return bic + 2.0 * entropy


def dsc(height: float, likelihood: float, samples: float) -> float:
    """−(height + ω·ℓ/n) with ω = log n; arXiv 2403.01684, 2505.13052, 2510.12744.

    The papers take heights as they are and ℓ of the merged measure, which is not fitted again:
    one fit is enough, at n where merging two atoms of one cell leaves f. Under least squares spare
    atoms take gates at the bounds first (measured in tests/test_choice.py), slopes of 10 have
    squares of 100, and log n · ℓ/n is of order 10. So *dsc* takes the height as a part of all
    heights, free of units, and ℓ of the fit of k atoms, which is there. What consistency needs
    stays: for k < k* the limit of ℓ/n is lower, by more than any part once log n is large; for
    k ≥ k* the ℓ/n agree up to O(log n/n), and the part goes to 0 for k > k* alone.
    """
    return -(height + float(np.log(samples)) * likelihood / samples)


@dataclass(frozen=True)
class CrossValidation:
    """Mean errors of the held-out folds, and how many rows each has, or their weight.

    Of least squares they are squared errors, of densities −log p.
    """

    errors: tuple[float, ...]
    sizes: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Per held-out row, in units of y² for least squares."""
        return float(np.average(self.errors, weights=self.sizes))

    @property
    def standard_error(self) -> float:
        """s.d. of the folds' errors over √(folds)."""
        return float(np.std(self.errors, ddof=1) / np.sqrt(len(self.errors)))


def smallest(values: Mapping[int, float]) -> int | None:
    """The k of the least value, the least such k; None of none."""
    finite = {k: v for k, v in values.items() if np.isfinite(v)}
    return min(finite, key=lambda k: (finite[k], k)) if finite else None


def within_one_error(values: Mapping[int, CrossValidation]) -> int | None:
    """The least k whose mean is at most the least mean plus its standard error.

    >>> folds = (5, 5, 5)
    >>> few, more = (CrossValidation(e, folds) for e in ((1.1, 1.2, 1.0), (1.0, 1.3, 0.9)))
    >>> within_one_error({2: few, 3: more})
    2
    """
    best = smallest({k: v.mean for k, v in values.items()})
    if best is None:
        return None
    limit = values[best].mean + values[best].standard_error
    return min(k for k, v in values.items() if v.mean <= limit)


def folds_of(samples: int, folds: int, seed: int) -> list[NDArray[np.intp]]:
    """The rows of each fold, of sizes equal up to one; they depend on the seed and the numbers."""
    order = np.random.default_rng([seed, _STREAM]).permutation(samples)
    return [np.sort(part) for part in np.array_split(order, folds)]


_STREAM = 0x464F  # keeps these draws apart from those of starts


def plain(value: Any) -> float | None:
    """A number, or None for what is not there or not finite."""
    return None if value is None or not np.isfinite(value) else float(value)
