"""The same fits by identkit: maximum likelihood from random starts, Gaussian linear experts."""

from __future__ import annotations

import numpy as np
from density_peers import Start
from numpy.typing import NDArray

from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
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
