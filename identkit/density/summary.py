"""A density fitted to one data set with all that is said about it, as records and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from identkit.density.inference import DensityCovariance
from identkit.density.result import DensityFit, Status
from identkit.fit.inference import Identifiability
from identkit.tables import Table

Array = NDArray[np.float64]
SAME = 1e-6
"""Log-likelihoods that differ by less reached the same maximum."""


def bic(log_likelihood: float, free: int, rows: float) -> float:
    """−2ℓ + free·log n; Schwarz 1978. Smaller is better."""
    return -2.0 * log_likelihood + free * float(np.log(rows))


def entropy(posterior: Array, weight: Array | None = None) -> float:
    """Σ_j −Σ_c r_c(j) log r_c(j) of posterior probabilities (C, n)."""
    own = special.entr(posterior).sum(axis=0)
    return float(own.sum() if weight is None else (weight * own).sum())


def estimated(fit: DensityFit) -> int:
    """The numbers that were estimated: those that no gauge holds and no bounds fix.

    A number that ended at its bound counts: the data put it there.
    """
    inner = fit.scaled
    return int((~inner.model.pinned(inner.measure.atoms) & ~inner.fixed).sum())


@dataclass(frozen=True, eq=False)
class DensityReport:
    """A density fitted to one data set with all that is said about it.

    ``covariance`` is None where the fit is not at a maximum, ``identifiability`` where no check was
    asked for: of the routed expert, then of the shared one where there is one. ``classes`` are the
    names of the classes of a categorical response, in order; ``table`` are the data, classes as
    numbers.
    """

    fit: DensityFit
    file: str
    target: str
    inputs: tuple[str, ...]
    seed: int
    seconds: float
    interrupted: bool
    covariance: DensityCovariance | None
    identifiability: tuple[Identifiability, ...] | None
    classes: tuple[str, ...] | None = None
    table: Table | None = field(default=None, repr=False)

    @property
    def rows(self) -> float:
        """n, or the sum of the weights."""
        if self.table is not None and self.table.weight is not None:
            return float(self.table.weight.sum())
        return float(self.fit.samples)

    @property
    def free(self) -> int:
        """The numbers that were estimated (:func:`estimated`)."""
        return estimated(self.fit)

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Mask (p,) of what equal bounds hold, variances that are known among it."""
        return self.fit.scaled.fixed

    @property
    def bic(self) -> float:
        """−2ℓ + p·log n with p estimated numbers."""
        return bic(float(self.fit.log_likelihood), self.free, self.rows)

    @cached_property
    def posterior(self) -> Array:
        """P(atom | x_j, y_j), (m + k, n), shared atoms first."""
        assert self.table is not None
        return self.fit.model.posterior(self.fit.measure, self.table.x, self.table.y)

    @property
    def icl(self) -> float:
        """BIC + 2·entropy of the posterior probabilities (Biernacki, Celeux, Govaert 2000)."""
        weight = None if self.table is None else self.table.weight
        return self.bic + 2.0 * entropy(self.posterior, weight)

    @property
    def effective(self) -> Array:
        """Σ_j w_j r_c(j), the rows of each atom, (m + k,)."""
        weight = None if self.table is None else self.table.weight
        posterior = self.posterior
        return posterior.sum(axis=1) if weight is None else posterior @ weight

    @cached_property
    def assigned(self) -> NDArray[np.intp]:
        """The most probable atom of each row, (n,), counted as in :attr:`posterior`."""
        return self.posterior.argmax(axis=0)

    @property
    def reached(self) -> list[int]:
        """The starts that reached the best log-likelihood."""
        values, best = self.fit.log_likelihoods[0], float(self.fit.log_likelihood)
        return [s for s, v in enumerate(values) if abs(v - best) <= SAME * max(1.0, abs(best))]

    @property
    def spiked(self) -> list[int]:
        """The starts that ended at a spike."""
        return [s for s, status in enumerate(self.fit.statuses[0]) if status is Status.SPIKE]

    @property
    def regular(self) -> bool:
        """Whether these data determine every parameter, at a maximum inside the box."""
        c: Any = self.covariance
        return self.fit.status is Status.CONVERGED and c is not None and c.rank == c.free

    @property
    def exit_code(self) -> int:
        """0 at a maximum, 1 not (a spike is none), 130 interrupted."""
        if self.interrupted:
            return 130
        good = self.fit.status.finished and self.fit.status is not Status.SPIKE
        return 0 if good else 1
