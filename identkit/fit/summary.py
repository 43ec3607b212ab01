"""A fit of one data set with everything that is said about it, as records and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from identkit.fit.inference import Covariance, Identifiability
from identkit.fit.prediction import data_ranges
from identkit.fit.result import FitResult, Status
from identkit.fit.shared_gates import SharedGate
from identkit.tables import Table

SAME_COST = 1e-6
"""Starts whose costs differ by this part reached the same minimum."""
NOTHING_LEFT = 1e-12
"""Of the sum of squares of y: differences below are rounding, in a fit without noise."""
ALIKE = 2.0
"""Difference of log-likelihoods, with normal errors, below which two minima fit equally well."""


@dataclass(frozen=True)
class Bound:
    """A parameter at a bound; ``option`` is its name in ``--box``, ``between`` the bounds.

    ``atom`` is None for what groups of atoms or all of them share. ``standard``: the bounds are of
    the number in standard units, which is no number of the user's alone.
    """

    atom: int | None
    parameter: str
    side: str
    option: str
    between: tuple[float, float]
    standard: bool = False

    @property
    def value(self) -> float:
        return self.between[self.side == "upper"]


@dataclass(frozen=True, eq=False)
class FitReport:
    """A fit of one data set with all that is said about it.

    ``covariance`` is None where the fit is not at a minimum or its objective knows no standard
    errors, ``identifiability`` where no check was asked for. ``variance`` is the mean square of y
    about its mean; ``means``, ``spreads`` and ``ranges`` are of the inputs, in order. ``table`` are
    the data.
    """

    result: FitResult
    file: str
    target: str
    inputs: tuple[str, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    variance: float
    mean_square: float
    seed: int
    seconds: float
    interrupted: bool
    covariance: Covariance | None
    shared: tuple[SharedGate, ...]
    identifiability: Identifiability | None
    table: Table | None = field(default=None, repr=False)

    @property
    def weighted(self) -> bool:
        """Whether the data have weights."""
        return self.table is not None and self.table.weight is not None

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """(lowest, highest) of each input of the data; empty without them."""
        return () if self.table is None else data_ranges(self.table.x)

    @property
    def r_squared(self) -> float | None:
        """1 − Σ residual² / Σ(y − ȳ)²."""
        value = 1.0 - float(self.result.root_mean_square) ** 2 / self.variance
        return value if np.isfinite(value) else None

    @property
    def reached(self) -> list[int]:
        """The starts that reached the best cost."""
        costs, best = self.result.costs[0], float(self.result.cost)
        slack = SAME_COST * best + NOTHING_LEFT * 0.5 * self.mean_square * self.result.samples
        return [s for s, cost in enumerate(costs) if cost <= best + slack]

    @property
    def rivals(self) -> list[int]:
        """Starts that ended elsewhere, with a cost that the errors do not tell from the best."""
        if self.covariance is None or not np.isfinite(self.covariance.sigma):
            return []
        limit = float(self.result.cost) + ALIKE * self.covariance.sigma**2
        costs = self.result.costs[0]
        return [s for s, c in enumerate(costs) if c <= limit and s not in self.reached]

    @property
    def bounds(self) -> list[Bound]:
        """Parameters at a bound of the box; those held to fix the gauge are not."""
        return bounds_of(self.result)

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Mask (p,) of the parameters held to fix the gauge, or by bounds that are equal."""
        inner = self.result.scaled
        low, high = inner.settings.box.bounds(inner.model, inner.measure.atoms)
        return self.pinned | (low == high)

    @property
    def pinned(self) -> NDArray[np.bool_]:
        """Mask (p,) of the parameters held to fix the gauge."""
        return self.result.model.pinned(self.result.measure.atoms)

    @property
    def regular(self) -> bool:
        """Whether these data determine every parameter, at one minimum inside the box."""
        c = self.covariance
        if self.result.status is not Status.CONVERGED or self.rivals or c is None:
            return False
        return c.rank == c.free and not c.wide

    @property
    def exit_code(self) -> int:
        """0 at a minimum, 1 not, 130 interrupted."""
        if self.interrupted:
            return 130
        return 0 if self.result.status.finished else 1


def bounds_of(result: FitResult) -> list[Bound]:
    """The parameters of one fit at a bound of its box; those that are held are not."""
    inner, change = result.scaled, result.change
    model, atoms = inner.model, inner.measure.atoms
    low, high = inner.settings.box.bounds(model, atoms)
    vector = model.pack(inner.measure)
    options = model.layout.options(model.parameters, atoms)
    numbers = model.layout.numbers(model.parameters, atoms)
    found = []
    for i in np.flatnonzero(inner.held & ~model.pinned(atoms) & (low < high)):
        side = "upper" if vector[i] >= high[i] else "lower"
        own = change is None or bool(change.alone[i])
        between = low[i], high[i]
        if change is not None and own:
            between = (change.matrix[i, i] * np.array(between) + change.offset[i]).tolist()
        ends = (float(between[0]), float(between[1]))
        found.append(Bound(*numbers[i], side, options[i], ends, not own))
    return found
