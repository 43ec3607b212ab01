"""Noise and box that a truth is worth fitting with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError, whole
from identkit.fit.model import Model
from identkit.fit.result import Box
from identkit.mixing import MixingMeasure
from identkit.rates.conditioned import (
    Cell,
    Conditioning,
)
from identkit.simulation import Simulation

Array = NDArray[np.float64]


def suggested_noise(
    conditioning: Conditioning, n: int, parameters: int, error: float = 0.2
) -> float:
    """The noise level at which errors in the over-specified cell are ``error`` at sample size n.

    ``parameters`` counts those of the fit. Least squares finds f to about ‖f̂ − f*‖ =
    noise·√(parameters/n). A cell of radius t shows in f as second·t², so that its errors are the t
    with second·t² = noise·√(parameters/n); n should be the smallest of an experiment, since with
    larger errors there f is no longer what its expansion says. Errors of first order must not be
    larger: first·error ≥ noise·√(parameters/n). The smaller noise is taken; where ``second`` does
    not apply or vanishes, first order alone, by the smallest singular value above rounding. At
    most 0.01 (fitting section 2.2), rounded to one significant digit.

    >>> from identkit.rates.conditioned import Conditioning
    >>> suggested_noise(Conditioning(0.0044, 0.0062, (), ""), n=1000, parameters=12)
    0.002

    Raises :class:`~identkit.errors.InputError` for numbers out of range.
    """
    n, parameters = whole("n", n, least=1), whole("parameters", parameters, least=1)
    if not 0 < error < math.inf:
        raise InputError(f"error: {error!r} must be a positive number.")
    shows = conditioning.determined * error
    if conditioning.curved:
        shows = min(shows, conditioning.second * error**2)
    noise = min(shows / math.sqrt(parameters / n), 0.01)
    if not noise > 0:
        raise InputError("conditioning: the truth's parameters do not change f; choose another.")
    return float(f"{noise:.0e}")


def suggested_box(
    model: Model, truth: MixingMeasure, *, over: int = 0, k: int | None = None
) -> Box:
    """Bounds for fits of k atoms (k* + 1) to ``truth``: wide, except that no atom may become light.

    Without a lower bound on β0 fits slide to an atom with hardly any weight and an error of order
    1, at a slightly lower cost, and the n^{-1/4} disappears (fitting section 2.3). So β0 ends 0.5
    below the smallest one of the truth: among the exact atoms, those that share the weight of atom
    ``over`` and, under softmax, the pinned gate's 0, with the last fitted or the last true atom
    pinned, so that the box holds the truth either way. 0.5 leaves five standard deviations to
    local starts with scale 0.1, while an atom at the bound keeps at least e^{-1/2} = 61% of the
    weight of the lightest true one. The upper end is 4, or 1 above the largest true β0; both are
    rounded outwards to a tenth. |β1| and |η| end at 10, or at 2.5 times the largest true value, as
    do other blocks; those that divide begin at 0.1, or a tenth of the smallest true value.

    >>> truth = MixingMeasure([1.4, 0.0], [[0.9], [0.0]], [[1.5, 0.95], [-2.4, -1.55]])
    >>> suggested_box(Model.of("gelu", "softmax"), truth).beta0
    (-0.5, 4.0)
    """
    model = model.grouped(truth.layout.groups)
    cell = Cell.of(model, truth, over, k, None)
    held = [model.gate.held(measure) for measure in (fitted_truth(model, truth, cell), truth)]
    entries: dict[str, Any] = {}
    for block in truth.layout.blocks:
        values = np.concatenate([measure[block.name].ravel() for measure in held])
        if block.role == "weight":
            low = math.floor(10 * (float(values.min()) - 0.5) + 1e-9) / 10
            high = max(4.0, math.ceil(10 * (float(values.max()) + 1) - 1e-9) / 10)
            entries[block.name] = (low, high)
            continue
        widest = max(10.0, float(math.ceil(2.5 * float(np.abs(values).max()))))
        entries[block.name] = widest
        if all(truth.layout.positive(block)):
            entries[block.name] = (min(0.1, float(values.min()) / 10), widest)
    return Box.of(entries)


def fitted_truth(model: Model, truth: MixingMeasure, cell: Cell) -> MixingMeasure:
    """What local starts of k* + 1 atoms scatter around; the truth where no gate can be shared."""
    if cell.copies == 1:
        return truth
    alone = Simulation(model, truth, 1, 1, 0.0, 0, (0.0, 1.0))
    return alone.starts(truth.atoms + cell.copies - 1, 0.0, over=cell.over)[0]
