"""Data in standard units, and how densities fitted there read in the user's.

x = m + s·x̃ and y = c + t·ỹ as for least squares (:mod:`identkit.fit.change`), with the changes that
both halves are closed under. Then h = c + t·h̃, ν = t²·ν̃ and p(y|x) = p̃(ỹ|x̃)/t exactly: the
log-likelihood falls by Σw·log t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.density.box import DensityBox
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.density.result import DensityFit
from identkit.fit.change import LINEAR, STEEP, Change, moments
from identkit.fit.closure import Closure

Array = NDArray[np.float64]
GATE = 1e3
"""Default bound of the gate's numbers in standard units. Steep gates are maxima of real data, at
slopes of 57 and 91 of mcycle with two and three atoms (benchmarks/README.md); least squares bounds
them more tightly, since its spare atoms take steep gates."""
AGREE = 1e-12
"""Relative rounding of the scales that two halves ask for."""


@dataclass(frozen=True, eq=False)
class Units:
    """A change of units and origins of both halves; ``shared`` is None without shared atoms."""

    model: DensityModel
    atoms: tuple[int, int]
    routed: Change
    shared: Change | None

    @classmethod
    def of(
        cls,
        model: DensityModel,
        x: Array,
        y: Array,
        atoms: tuple[int, int],
        *,
        weight: Array | None = None,
        bounded: Sequence[int] = (),
        bounded_shared: Sequence[int] = (),
    ) -> Units | None:
        """The change that brings x (n, d) and y (n,) nearest to mean 0 and standard deviation 1.

        ``bounded`` are numbers of a unit of each half that the user bounds. None where the halves
        allow no common change.
        """
        halves = [(model.routed, bounded)]
        if model.shared is not None:
            halves.append((model.shared, bounded_shared))
        closures = [Closure(half) for half, _ in halves]
        may = np.ones(model.dim + 1, dtype=bool)
        for closure, (half, named) in zip(closures, halves, strict=True):
            may[:-1] &= [
                entries is not None
                and not any(e.row in named and e.column is not None for e in entries)
                for entries in closure.moves
            ]
            may[-1] &= closure.level is not None and half.gate.adds_up
        may[-1] &= model.density.spread
        centre, wanted = np.zeros(len(may)), np.ones(len(may))
        for i, column in enumerate([*x.T, y]):
            mean, deviation, size = moments(column, weight)
            centre[i] = mean if may[i] else 0.0
            wanted[i] = (deviation if may[i] else size) or 1.0
        if not model.density.spread:
            centre[-1], wanted[-1] = 0.0, 1.0
        for _ in closures:
            for closure in closures:
                wanted = closure.factors(wanted)[1]
        scales = [closure.factors(wanted)[1] for closure in closures]
        whole = all(np.allclose(s, wanted, rtol=AGREE, atol=0.0) for s in scales)
        if not model.density.spread:
            whole &= abs(wanted[-1] - 1.0) < AGREE
        if not whole:
            return None
        made = [
            Change.made(half, closure, centre, wanted, count)
            for (half, _), closure, count in zip(halves, closures, atoms[::-1], strict=False)
        ]
        return cls(model, atoms, made[0], made[1] if len(made) > 1 else None)

    @property
    def unit(self) -> float:
        """t, the unit of y."""
        return self.routed.unit if self.model.density.spread else 1.0

    def inputs(self, x: Array) -> Array:
        """x̃ of x (…, n, d)."""
        return self.routed.inputs(x)

    def target(self, y: Array) -> Array:
        """ỹ of y."""
        return self.routed.target(y) if self.model.density.spread else y

    @property
    def matrix(self) -> Array:
        """A (p, p) of θ = A·θ̃ + a, variances by their logarithms."""
        size = self.model.length(self.atoms)
        found = np.eye(size)
        for part, change in self._parts():
            found[part, part] = change.matrix
        return found

    @property
    def offset(self) -> Array:
        """a (p,)."""
        found = np.zeros(self.model.length(self.atoms))
        for part, change in self._parts():
            found[part] = change.offset
        found[self.model.parts(self.atoms)[2]] = 2.0 * np.log(self.unit)
        return found

    def _parts(self) -> list[tuple[slice, Change]]:
        routed, shared, _ = self.model.parts(self.atoms)
        more = [] if self.shared is None else [(shared, self.shared)]
        return [(routed, self.routed), *more]

    def outward(self, vector: Array) -> Array:
        """θ (…, p) of θ̃."""
        return vector @ self.matrix.T + self.offset

    def inward(self, vector: Array) -> Array:
        """θ̃ (…, p) of θ."""
        moved: Any = np.linalg.solve(self.matrix, (vector - self.offset)[..., None])
        return moved[..., 0]

    def measure(self, inner: DensityMeasure) -> DensityMeasure:
        """The measure(s) in the user's units."""
        return self.model.unpack(self.outward(self.model.pack(inner)), self.atoms)

    def box(self, box: DensityBox) -> DensityBox:
        """The bounds in standard units: the user's where given, else the default ones."""
        variance = None
        if box.variance is not None:
            variance = np.asarray(box.variance, dtype=np.float64) / self.unit**2
        gate = GATE if self.model.routed.exponential else STEEP  # σ(−1000) is 0 in float64
        # logits beyond STEEP are probabilities of 0 and 1, to which the likelihood may drift
        most = LINEAR if self.model.density.spread else STEEP
        return replace(
            box,
            routed=self.routed.box(box.routed, most, gate),
            shared=box.shared if self.shared is None else self.shared.box(box.shared, most, GATE),
            variance=variance,
        )

    def result(self, inner: DensityFit, total: float) -> DensityFit:
        """A fit in standard units as one in the user's; ``total`` is the weight of all rows."""
        lost = total * np.log(self.unit)
        return replace(
            inner,
            measure=self.measure(inner.measure),
            log_likelihood=inner.log_likelihood - lost,
            log_likelihoods=inner.log_likelihoods - lost,
            units=self,
            inner=inner,
        )

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return self.routed.document()
