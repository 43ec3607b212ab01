"""Bounds of the numbers of a density: of both halves, and of the variances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.density.model import DensityModel
from identkit.errors import InputError
from identkit.fit.box import Box

Array = NDArray[np.float64]
FLOOR = 1e-10
"""Least variance, of that of y: a standard deviation of 1e-5 of y's. Below there is nothing but
spikes, whose likelihood has no bound, and data without noise."""
CEILING = 100.0
"""Largest variance, of that of y."""


@dataclass(frozen=True)
class DensityBox:
    """Bounds of routed and shared numbers, and of variances in the squared unit of y.

    ``variance`` is a pair (low, high), or (m + k,) pairs with equal ends for variances that are
    known, shared atoms first; None for FLOOR and CEILING times the variance of y.
    """

    routed: Box = field(default_factory=Box)
    shared: Box = field(default_factory=Box)
    variance: Any = None

    def __post_init__(self) -> None:
        if self.variance is None:
            return
        try:
            pairs = np.asarray(self.variance, dtype=np.float64)
        except (TypeError, ValueError):
            pairs = np.zeros(0)
        good = pairs.ndim in (1, 2) and pairs.shape[-1] == 2
        if not good or not (pairs[..., 0] > 0).all() or not (pairs[..., 0] <= pairs[..., 1]).all():
            raise InputError(
                f"box: nu is {self.variance!r}; give (low, high) with 0 < low ≤ high, in the "
                "squared unit of y."
            )

    def bounds(
        self, model: DensityModel, atoms: tuple[int, int], spread: Array
    ) -> tuple[Array, Array]:
        """Lower and upper bounds (R, p) of the vector, for variances of y (R,)."""
        low, high = self.routed.bounds(model.routed, atoms[1])
        if model.shared is not None:
            more = self.shared.bounds(model.shared, atoms[0])
            low, high = np.concatenate([low, more[0]]), np.concatenate([high, more[1]])
        problems, count = len(spread), model.spreads(atoms)
        below, above = (np.broadcast_to(end, (problems, len(end))).copy() for end in (low, high))
        if not count:
            return below, above
        if self.variance is None:
            ends = np.log(spread)[:, None] + np.log([FLOOR, CEILING])
            pairs = np.broadcast_to(ends[:, None], (problems, count, 2))
        else:
            given = np.log(np.asarray(self.variance, dtype=np.float64))
            if given.ndim == 1:
                pairs = np.broadcast_to(given, (problems, count, 2))
            else:
                if len(given) != sum(atoms):
                    raise InputError(
                        f"box: nu has {len(given)} pairs for {sum(atoms)} atoms; give one for each."
                    )
                found = np.empty((count, 2))
                places = model.spread_index(atoms) - len(low)
                found[places] = given
                pairs = np.broadcast_to(found, (problems, count, 2))
        return (
            np.concatenate([below, pairs[..., 0]], axis=1),
            np.concatenate([above, pairs[..., 1]], axis=1),
        )
