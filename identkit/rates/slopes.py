"""Slopes of log median error on log n, their bootstrap intervals, and what they say of a rate.

Everything is fixed before a run: the window is the whole n-grid, the statistic the median over
replicates, the line least squares on logarithms, the interval the percentile bootstrap that
resamples replicates independently at each n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identkit.rate import FOURTH, LOGARITHMIC, NONE, ROOT, Rate, RateKind
from identkit.vocabulary import Judgement

Array = NDArray[np.float64]

LEVEL = 0.9
DRAWS = 2000
"""Bootstrap samples: the ends of a 90% interval then move by about 1% of its width."""
SEED = 2024
"""Of the bootstrap; printed with the slopes."""
FEWEST = 8
"""Finite values needed at each n for a median and its bootstrap to mean anything."""
FINITE_SIZE = 0.03
"""How far the slope over a finite window may lie from its limit. If the error is
c·n^-p·(1 + c'·n^-1/4), as for an expansion in deviations of order n^-1/4, the slope at n is off by
c'·n^-1/4/4: .025 for c' = 1 at n = 1e4, the middle of the default window."""
RATES = {str(ROOT): 0.5, str(FOURTH): 0.25, "constant": 0.0}
"""Powers that theory tells apart; an interval that also meets what a wrong one of them allows
decides nothing. (-1/3 is not among them: windows up to 1e5 do not tell it from its neighbours.)"""


@dataclass(frozen=True)
class Slope:
    """A slope with the ends of its interval, at level :data:`LEVEL`."""

    value: float
    low: float
    high: float


def slope(
    sizes: Sequence[float], values: Sequence[Array], seed: int = SEED, *, mean: bool = False
) -> Slope | None:
    """The slope of log median on log n; ``values`` has an array of replicates for each n.

    ``mean``: of the mean over replicates. ``sizes`` are n, or what takes its place.

    Values that are NaN are left out. None where a size has fewer than :data:`FEWEST` values left,
    or a median that is not positive and finite.

    >>> rng = np.random.default_rng(0)
    >>> n = [100, 1000, 10000]
    >>> found = slope(n, [m**-0.5 * np.exp(0.1 * rng.standard_normal(50)) for m in n])
    >>> found.low < -0.5 < found.high
    True
    """
    kept = [v[~np.isnan(v)] for v in values]
    if any(len(v) < FEWEST for v in kept):
        return None
    centre = np.mean if mean else np.median
    medians = np.array([centre(v) for v in kept])
    if not (np.isfinite(medians).all() and (medians > 0).all()):
        return None
    x = np.log(np.asarray(sizes, dtype=np.float64))
    x -= x.mean()
    x /= (x * x).sum()
    rng = np.random.default_rng(seed)
    draws = np.stack(
        [centre(v[rng.integers(0, len(v), (DRAWS, len(v)))], axis=1) for v in kept], axis=1
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.log(draws) @ x
    slopes = slopes[np.isfinite(slopes)]
    low, high = np.quantile(slopes, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Slope(float(np.log(medians) @ x), float(low), float(high))


def exponent(sizes: Sequence[int], values: Sequence[Array], *, mean: bool = False) -> Slope | None:
    """α of (log n / n)^α, by least squares on logarithms as arXiv 2505.10860 fits it.

    >>> rng = np.random.default_rng(0)
    >>> n = [100, 1000, 10000]
    >>> exact = [(np.log(m) / m) ** 0.25 * np.exp(0.1 * rng.standard_normal(50)) for m in n]
    >>> found = exponent(n, exact)
    >>> found.low < 0.25 < found.high
    True
    """
    return slope([math.log(n) / n for n in sizes], values, mean=mean)


def logarithm(sizes: Sequence[int]) -> float:
    """λ, the slope of log log n on log n over the window: what a factor log n adds to a slope."""
    first, last = math.log(sizes[0]), math.log(sizes[-1])
    return (math.log(last) - math.log(first)) / (last - first)


@dataclass(frozen=True)
class Prediction:
    """A rate and the slopes it allows over a window; ``strict``: the end ``low`` is excluded.

    n^-p up to logarithms allows the slopes of n^-p to (log n/n)^p; 1/log n ("slower than any
    polynomial") those of 1/log n and above; no consistent estimator those from 0 on. ``rivals``
    are those of :data:`RATES` it does not allow, with the slopes that they do.
    """

    rate: Rate
    low: float
    high: float
    strict: bool = False
    rivals: tuple[tuple[str, float, float], ...] = ()

    @classmethod
    def of(cls, rate: Rate | None, sizes: Sequence[int]) -> Prediction | None:
        """The slopes that a rate allows; None where it predicts nothing.

        >>> Prediction.of(FOURTH, [1000, 100000]).low
        -0.25
        >>> from identkit.rate import UNDECIDED
        >>> Prediction.of(UNDECIDED, [1000, 100000]) is None
        True
        """
        if rate is None:
            return None
        log = logarithm(sizes)
        power = None if rate.exponent is None else float(rate.exponent)
        logs = 0.0 if rate.logs is None else float(rate.logs)
        strict = rate.kind is RateKind.SLOWER
        if rate == LOGARITHMIC:
            low, high = logs * log, math.inf
        elif rate == NONE:
            low, high = 0.0, math.inf
        elif power is None:
            return None
        else:
            low, high = -power, math.inf if strict else -power + logs * log
        rivals = tuple(
            (name, -p, -p + p * log)
            for name, p in RATES.items()
            if not low <= -p <= high or (strict and p == power)
        )
        return cls(rate, low, high, strict, rivals)


FASTER, SLOWER = "faster than predicted, which refutes nothing", "slower than predicted"


def judge(prediction: Prediction, found: Slope | None) -> tuple[Judgement, str]:
    """What a slope says of a predicted rate, with the reason.

    ``inconsistent``: the interval lies above the slopes the rate allows, by more than
    :data:`FINITE_SIZE`. ``consistent``: it meets them, and not those of a rival, likewise widened.
    ``inconclusive``: otherwise. Errors that fall faster refute nothing: rates are upper bounds,
    "slower than" and "no consistent estimator" are about the worst truth, and starts know theirs.

    >>> judge(Prediction.of(FOURTH, [1000, 100000]), Slope(-0.26, -0.3, -0.2))
    ('consistent', '')
    >>> judge(Prediction.of(FOURTH, [1000, 100000]), Slope(0.0, -0.01, 0.01))
    ('inconsistent', 'slower than predicted')
    >>> judge(Prediction.of(FOURTH, [1000, 100000]), Slope(-0.3, -0.5, -0.1))
    ('inconclusive', 'n^-1/2 is not excluded')
    """
    if found is None:
        return Judgement.INCONCLUSIVE, "too few values for a slope"
    # a strict end is that of a rival
    low = prediction.low - (0.0 if prediction.strict else FINITE_SIZE)
    if found.high < low or (prediction.strict and found.high == low):
        return Judgement.INCONCLUSIVE, FASTER
    if found.low > prediction.high + FINITE_SIZE:
        return Judgement.INCONSISTENT, SLOWER
    for name, lowest, highest in prediction.rivals:
        if found.low <= highest + FINITE_SIZE and found.high >= lowest - FINITE_SIZE:
            return Judgement.INCONCLUSIVE, f"{name} is not excluded"
    return Judgement.CONSISTENT, ""
