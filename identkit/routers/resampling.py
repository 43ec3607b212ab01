"""Bootstrap intervals: over blocks of consecutive tokens, since neighbours are not independent.

Means over types of tokens are resampled by groups of types, into which a seed divides them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LEVEL = 0.95
DRAWS = 1000
LEAST = 32
"""With fewer blocks there is no interval.

Measured coverage of 95 % intervals, 2,000 simulated recordings of skewed use with half of a block's
tokens alike: saturation 94 % and Jain's index 94 % with 64 blocks, 92 and 86 % with 16, 89 and 76 %
with 8.
"""
_SLICE = 2**22
"""Numbers of a resampled statistic that are held at a time."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, None where there is none, and that of random routing."""

    value: float
    low: float | None = None
    high: float | None = None
    random: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """As it stands in JSON; None for what is not finite."""
        pairs = vars(self).items()
        return {k: None if v is None or not np.isfinite(v) else float(v) for k, v in pairs}


@dataclass(frozen=True)
class Bootstrap:
    """Resamples of blocks, drawn with ``seed``: the same for every statistic of one recording.

    Intervals are basic ones, [2θ − q₉₇.₅, 2θ − q₂.₅], which correct the bias of concave statistics
    such as Jain's index to first order (a resample is less even than the sample by as much as the
    sample is less even than the routing). They are cut to the statistic's range and always contain
    the estimate.
    """

    seed: int
    draws: int = DRAWS
    level: float = LEVEL

    def estimate(
        self,
        statistic: Callable[..., Array],
        *sums: Array,
        least: float = 0.0,
        most: float = np.inf,
        random: float | None = None,
    ) -> Estimate:
        """``statistic`` of the totals of ``sums`` (B, …), with an interval if B ≥ 32.

        It takes arrays with the resamples (R, …) as leading axis, and gives (R,).
        """
        value = float(statistic(*(s.sum(axis=0) for s in sums)))
        blocks = len(sums[0])
        if self.draws < 1 or blocks < LEAST or not np.isfinite(value):
            return Estimate(value, random=random)
        times = self._times(blocks)
        size = max(1, max(int(np.prod(s.shape[1:])) for s in sums))
        step = max(1, _SLICE // size)
        found = np.concatenate(
            [
                statistic(*(np.tensordot(times[i : i + step], s, axes=1) for s in sums))
                for i in range(0, self.draws, step)
            ]
        )
        return self._interval(value, found, least, most, random)

    def _times(self, blocks: int) -> Array:
        """How often each block is drawn, (R, B)."""
        rng = np.random.default_rng([self.seed, blocks])
        return rng.multinomial(blocks, np.full(blocks, 1.0 / blocks), self.draws).astype(float)

    def _interval(
        self, value: float, found: Array, least: float, most: float, random: float | None
    ) -> Estimate:
        found = found[np.isfinite(found)]
        if not len(found):
            return Estimate(value, random=random)
        tail = (1.0 - self.level) / 2.0
        low, high = 2.0 * value - np.quantile(found, [1.0 - tail, tail])
        low, high = min(max(low, least), value), max(min(high, most), value)
        return Estimate(value, float(low), float(high), random)


def groups_of(units: int, groups: int, seed: int) -> Array:
    """A random group, 0 … groups − 1 and of about equal size, for each unit."""
    return np.random.default_rng([seed, units, groups]).permutation(units) % groups
