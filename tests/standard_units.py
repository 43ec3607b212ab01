"""How far a change of units and origins is from exact, at random measures and data."""

from __future__ import annotations

import numpy as np
from routed_models import measure

from identkit.fit.change import Change
from identkit.fit.model import Model

EXACT = 1e-10
"""Relative to f: of a wrong rule the difference is of order 1, of a right one some 1e-15; a pole
near a sample, or a high power of an origin, costs digits in between."""
TRIES, LEAST, MOST = 8, 5, 1e6
"""Measures tried until f is finite at LEAST samples, and below MOST, in standard units."""
NUDGE, CALM = 1e-13, 1e-8
"""sin(exp(z)) at z = 40 is any number between −1 and 1: where f moves by CALM of its size as x does
by NUDGE of its own, rounding decides."""


def data(rng: np.random.Generator, dim: int, n: int = 40, *, positive: bool = False):
    """x (n, d) and y (n,), each column of its own unit and origin; ``positive``: x above 0."""
    x = rng.normal(size=(n, dim)) * np.exp(rng.normal(size=dim)) + 3.0 * rng.normal(size=dim)
    y = rng.normal(size=n) * np.exp(rng.normal()) + 5.0 * rng.normal()
    return (np.abs(x) + 0.5 if positive else x), y


def defect(
    model: Model, change: Change, atoms: int, x, rng: np.random.Generator, *, of=np.max
) -> float:
    """max |f_θ(x) − (c + t·f_θ̃(x̃))|, over the size of the right side; NaN if f never is finite.

    ``of`` takes the place of the maximum over the samples.
    """
    for _ in range(TRIES):
        inner = measure(model, atoms, rng)
        outer = model.unpack(change.outward(model.pack(inner)))
        with np.errstate(all="ignore"):
            standard = model.predict(inner, change.inputs(x))
            user = model.predict(outer, x)
            near = model.predict(outer, x * (1.0 + NUDGE))
        both = np.isfinite(standard) & np.isfinite(user) & np.isfinite(near)
        size = np.abs(standard).max(initial=0.0, where=both)
        wild = both.any() and of(np.abs(near[both] - user[both])) > CALM * change.unit * max(
            size, 1.0
        )
        if both.sum() >= LEAST and size < MOST and not wild:
            off = of(np.abs(change.value(standard[both]) - user[both]))
            return float(off / (change.unit * max(size, 1.0) + abs(change.origin[-1])))
    return np.nan
