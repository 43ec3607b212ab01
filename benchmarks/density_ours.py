"""The same fits by identkit: maximum likelihood from random starts, Gaussian linear experts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from density_peers import SPIKE, Start
from numpy.typing import NDArray

from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.density.result import Status
from identkit.density.running import best_density
from identkit.gates import input_free
from identkit.mixing import MixingMeasure

Array = NDArray[np.float64]


def model(gate: str, dim: int) -> DensityModel:
    """Linear experts of d = ``dim`` inputs, one variance each, under softmax or input-free."""
    rule = input_free.GAUSSIAN[0] if gate == "input-free" else gate
    return DensityModel.of("linear", rule, dim=dim)


def measure(start: Start, gate: str, dim: int) -> DensityMeasure:
    """The parameters of a peer's start in identkit's layout (slopes before intercepts)."""
    p = dim + 1
    values = np.array(start.parameters)
    k = len(values) // (2 * p + 1)
    scores, lines = values[: 2 * p * k].reshape(2, k, p)
    eta = np.concatenate([lines[:, 1:], lines[:, :1]], axis=1)
    variances = values[2 * p * k :]
    if gate == "softmax":
        return DensityMeasure(MixingMeasure(scores[:, 0], scores[:, 1:], eta), variances)
    layout = model(gate, dim).routed.layout
    return DensityMeasure(MixingMeasure.of(layout, {"beta0": scores[:, 0], "eta": eta}), variances)


def log_likelihood(start: Start, gate: str, x: Array, y: Array) -> float:
    """identkit's log-likelihood at a peer's parameters; x (n, d), y (n,)."""
    dim = x.shape[1]
    return float(model(gate, dim).log_density(measure(start, gate, dim), x, y).sum())


@dataclass(frozen=True)
class Ours:
    """What ``best_density`` found, from ``starts`` random starts in one batch.

    ``loglik`` and ``statuses`` are of each start in its order, ``best`` is the log-likelihood of
    the fit that is returned, recomputed from its parameters in the units of the data; ``variance``
    and ``points`` are its smallest variance (of that of y) and least number of rows of an expert;
    ``seconds`` are CPU seconds per start, choice of starts included.
    """

    loglik: tuple[float, ...]
    statuses: tuple[str, ...]
    best: float
    status: str
    variance: float
    points: float
    seconds: float

    def maximum(self, dim: int) -> bool:
        """Whether it is no spike, by the rule for the peers."""
        spike = self.variance < SPIKE or self.points < dim + 2
        return not spike and self.status != Status.SPIKE.value


def ours(x: Array, y: Array, k: int, starts: int, seed: int, gate: str) -> Ours:
    """Fit k linear experts to x (n, d), y (n,); functions are compiled before the clock runs."""
    fitted = model(gate, x.shape[1])
    best_density(fitted, x, y, k, starts=1, seed=seed, max_steps=1)
    began = time.process_time()
    found = best_density(fitted, x, y, k, starts=starts, seed=seed)
    seconds = (time.process_time() - began) / starts
    return Ours(
        loglik=tuple(float(v) for v in found.log_likelihoods[0]),
        statuses=tuple(s.value for s in found.statuses[0]),
        best=float(fitted.log_density(found.measure, x, y).sum()),
        status=found.status.value,
        variance=float(found.measure.variances.min() / y.var(ddof=1)),
        points=float(fitted.posterior(found.measure, x, y).sum(axis=-1).min()),
        seconds=seconds,
    )
