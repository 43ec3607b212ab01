"""Both halves as one mixing measure P + Q on pairs (function, variance).

Where the routed weights are constants, P + Q is all that p shows of the halves (claim
``constant-gate-transport``, :mod:`identkit.architecture.halves`): transport and exchange leave it.
It is written in the parameters of that expert whose family holds the functions of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

from identkit.architecture.overlap import Overlap, overlap
from identkit.deadline import Deadline
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.experts import Expert, symbols
from identkit.fit.model import numpy_functions
from identkit.losses.quotient import SECONDS, Quotient
from identkit.losses.shifts import Formula, Gates
from identkit.losses.template import (
    BOTH,
    INPUT_FREE,
    HalfLoss,
    Orders,
    Side,
    atoms_of,
    loss_of,
    powers_of,
)
from identkit.mixing import Array

_EQUAL = 1e-9
"""Relative: true pairs (function, variance) that differ by less are one pair."""


@lru_cache(maxsize=64)
def common_functions(shared: Expert, routed: Expert) -> Overlap | None:
    """The functions that both halves have, by proof (:mod:`identkit.architecture.overlap`)."""
    return overlap(shared, routed, Deadline(SECONDS))


def both_halves(
    model: DensityModel,
    own: DensityMeasure,
    truth: DensityMeasure,
    formula: Formula,
    gates: list[Gates],
    found: Overlap,
    space: Quotient,
    orders: Orders,
) -> HalfLoss:
    """The halves as one measure P + Q of total 2 on the pairs (function, variance)."""
    assert model.shared is not None
    onto_shared = found.to_shared is not None
    images = found.to_shared if onto_shared else found.to_routed
    assert images is not None
    source, target = (model.routed, model.shared) if onto_shared else (model.shared, model.routed)
    move = _compiled(tuple(source.parameters), tuple(images[p] for p in target.parameters))
    measures, sides = [], []
    for measure, gate in zip((own, truth), gates, strict=True):
        shared = measure.shared
        assert shared is not None
        routed, slopes = as_constants(formula, gate)
        omega = shared.beta0 - np.logaddexp.reduce(shared.beta0, axis=-1)[..., None]
        kappa = shared.eta if onto_shared else move(shared.eta)
        eta = move(measure.routed.eta) if onto_shared else measure.routed.eta
        gamma = np.concatenate([np.zeros((*kappa.shape[:-1], slopes.shape[-1])), slopes], axis=-2)
        offset = np.concatenate([omega, routed], axis=-1)
        variances = None
        if measure.variances is not None and measure.shared_variances is not None:
            variances = np.concatenate([measure.shared_variances, measure.variances], axis=-1)
        measures.append(Gates(offset, gamma, 0, ()))
        sides.append(atoms_of(space, np.concatenate([kappa, eta], axis=-2), variances))
    measures[1], sides[1], pairs = _merged(measures[1], sides[1])
    name = "shared_orders" if onto_shared else "orders"
    powers = powers_of(target, orders, name, own.variances is not None)
    return replace(loss_of(BOTH, measures, sides, powers), pairs=pairs)


def _merged(gates: Gates, side: Side) -> tuple[Gates, Side, tuple[tuple[int, ...], ...]]:
    """True atoms that are one pair (function, variance) as one, with the sum of their weights."""
    eta, images = side
    every = [eta] if images is None else [eta, *images]
    near = _EQUAL * (1 + np.abs(eta).max())
    pairs: list[list[int]] = []
    for i in range(len(eta)):
        for pair in pairs:
            if min(np.abs(own[i] - eta[pair[0]]).max() for own in every) <= near:
                pair.append(i)
                break
        else:
            pairs.append([i])
    offset = np.array([np.logaddexp.reduce(gates.offset[pair]) for pair in pairs])
    first = [pair[0] for pair in pairs]
    still = Gates(offset, np.zeros((len(pairs), gates.gamma.shape[-1])), 0, ())
    merged = (eta[first], None if images is None else images[:, first])
    return still, merged, tuple(map(tuple, pairs))


def spread_gates(formula: Formula, gate: Gates, weight: Array) -> Array:
    """How far gates are from weights that are constants, (…, k, ·); 0 where they are.

    Of gates with a common shift γ counts from its mean. Others (σ) are constants where all γ are 0
    or all gates are equal: γ, or (γ, β0) from its mean, whichever is less in all.
    """
    gamma, share = gate.gamma, weight[..., None]
    if formula.gate.pinning is not None:
        return gamma - (share * gamma).sum(axis=-2, keepdims=True)
    flat = np.concatenate([gamma, np.zeros((*gamma.shape[:-1], 1))], axis=-1)
    alike = np.concatenate([gamma, gate.offset[..., None]], axis=-1)
    alike = alike - (share * alike).sum(axis=-2, keepdims=True)
    sizes = [(weight * np.linalg.norm(g, axis=-1)).sum(axis=-1) for g in (flat, alike)]
    return np.where((sizes[0] <= sizes[1])[..., None, None], flat, alike)


def as_constants(formula: Formula, gate: Gates) -> tuple[Array, Array]:
    """(log weight (…, k), distance of the gates from constants (…, k, ·)); weights add up to 1."""
    if formula.terms.coordinates is INPUT_FREE.terms.coordinates:
        log = gate.offset
    else:
        log = np.log(formula.terms.weigh(gate.offset))
    log = log - np.logaddexp.reduce(log, axis=-1)[..., None]
    return log, spread_gates(formula, gate, np.exp(log))


def _compiled(names: tuple[str, ...], images: tuple[Any, ...]) -> Callable[[Array], Array]:
    """The images as a function of (…, names): (…, images)."""
    call = sp.lambdify(symbols(names), list(images), modules=[numpy_functions(), "numpy"])

    def evaluate(eta: Array) -> Array:
        values = call(*np.moveaxis(eta, -1, 0))
        return np.stack([np.broadcast_to(v, eta.shape[:-1]) for v in values], axis=-1)

    return evaluate
