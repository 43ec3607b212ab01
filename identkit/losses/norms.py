"""Errors in L2(μ), μ uniform on the domain: quadrature for one input, Monte Carlo above."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from identkit.errors import InputError
from identkit.losses.partition import check_pair
from identkit.mixing import Array, MixingMeasure

if TYPE_CHECKING:
    from identkit.fit.model import Model

_PANEL_NODES = 8
_QUADRATURE_POINTS = 1024
_MONTE_CARLO_POINTS = 16384
_CHUNK = 512
"""Points per chunk: a constant, so that sums do not depend on how many measures there are."""


@dataclass(frozen=True, eq=False)
class RegressionError:
    """‖f_fitted − f_truth‖ in L2(μ), ``value`` (…,).

    Exactly one of ``error`` and ``standard_error`` (…,) is given: by quadrature the difference to
    half as many panels, by Monte Carlo the standard error (first order; 0 where the value is 0).
    ``method`` says which, with the number of points.
    """

    value: Array
    error: Array | None
    standard_error: Array | None
    method: str


@dataclass(frozen=True)
class Rule:
    """Points (n, d) with weights adding up to 1; quadrature has a coarser rule to compare with."""

    points: Array
    weights: Array
    coarse: tuple[Array, Array] | None
    method: str

    @classmethod
    def of(cls, dim: int, domain: tuple[float, float], points: int | None, seed: int) -> Rule:
        low, high = (float(v) for v in domain)
        if not (np.isfinite([low, high]).all() and low < high):
            raise InputError(f"domain {domain}: must be two numbers, the smaller first.")
        least = 2 * _PANEL_NODES if dim == 1 else 2
        if points is not None and points < least:
            raise InputError(f"points {points}: must be at least {least}.")
        if dim == 1:
            panels = max(2, (points or _QUADRATURE_POINTS) // (2 * _PANEL_NODES) * 2)
            fine, coarse = _gauss(low, high, panels), _gauss(low, high, panels // 2)
            method = f"Gauss–Legendre quadrature, {panels} panels of {_PANEL_NODES} points"
            return cls(*fine, coarse, method)
        n = points or _MONTE_CARLO_POINTS
        sample = np.random.default_rng(seed).uniform(low, high, (n, dim))
        return cls(sample, np.full(n, 1 / n), None, f"Monte Carlo, {n} points, seed {seed}")

    def norm(self, evaluate: Callable[[Array], Array]) -> tuple[Array, Array | None, Array | None]:
        """√∫ g² dμ of g = evaluate(points), shape (…, n), its error and its standard error."""
        mean, fourth = self._means(self.points, self.weights, evaluate)
        value = np.sqrt(mean)
        if self.coarse is not None:
            return (
                value,
                np.abs(value - np.sqrt(self._means(*self.coarse, evaluate)[0])),
                None,
            )
        # the standard error of the mean square, carried through the square root
        spread = np.sqrt(np.maximum(fourth - mean**2, 0.0) / (len(self.points) - 1))
        return value, None, spread / np.where(value > 0, 2 * value, 1.0)

    @staticmethod
    def _means(
        points: Array, weights: Array, evaluate: Callable[[Array], Array]
    ) -> tuple[Array, Array]:
        """The means of g² and g⁴, chunk by chunk; of each measure as if it were alone."""
        mean, fourth = np.zeros(()), np.zeros(())
        for start in range(0, len(points), _CHUNK):
            part = slice(start, start + _CHUNK)
            square = evaluate(points[part]) ** 2
            # not a matrix product: BLAS adds in an order that depends on the number of measures
            mean = mean + (square * weights[part]).sum(axis=-1)
            fourth = fourth + (square**2 * weights[part]).sum(axis=-1)
        return mean, fourth


def _gauss(low: float, high: float, panels: int) -> tuple[Array, Array]:
    node, weight = np.polynomial.legendre.leggauss(_PANEL_NODES)
    edges = np.linspace(low, high, panels + 1)
    middle, half = (edges[1:] + edges[:-1]) / 2, (high - low) / panels / 2
    points = (middle[:, None] + half * node).ravel()[:, None]
    return points, np.tile(weight / (2 * panels), panels)


def regression_error(
    model: Model,
    fitted: MixingMeasure,
    truth: MixingMeasure,
    domain: tuple[float, float] = (-3.0, 3.0),
    points: int | None = None,
    seed: int = 0,
) -> RegressionError:
    """‖f_fitted − f_truth‖ in L2(μ), μ uniform on domain^d, for one or many fitted measures.

    For d = 1 composite Gauss–Legendre quadrature (kinks of the expert limit it to second order in
    the panel width), for d ≥ 2 Monte Carlo with the seed; ``points`` sets the number of points.
    Memory stays bounded: points are taken in chunks.

    Raises :class:`~identkit.errors.InputError` for measures that do not fit together, an empty
    domain or too few points.
    """
    check_pair(fitted, truth)
    rule = Rule.of(model.dim, domain, points, seed)
    value, error, standard = rule.norm(lambda x: model.predict(fitted, x) - model.predict(truth, x))
    return RegressionError(value, error, standard, rule.method)
