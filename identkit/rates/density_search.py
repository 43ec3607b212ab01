"""Truths of densities worth an experiment: a search for well-conditioned ones.

The counterpart of :mod:`identkit.rates.truth_search`. What is made large is the smallest singular
value of the scores ∂ log p/∂θ at the truth, that is, of the information of one sample: at
first order, of fits with as many atoms as are true. How far cells of several fitted atoms are from
the n at which their rates show is not searched for: n^-1/8 takes what it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.architecture.measures import Setting
from identkit.deadline import Deadline
from identkit.density.half import Half
from identkit.density.inference import scores
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.domain import Domain
from identkit.errors import InputError, whole
from identkit.gates import Regime, RegimeCode, resolve
from identkit.mixing import MixingMeasure
from identkit.rates.density_plan import exact_measure
from identkit.rates.density_setting import check_variances
from identkit.rates.truth_ranges import random_truths
from identkit.truths.record import SECONDS, Truth

Array = NDArray[np.float64]
NOISE = 0.05
"""Variance of an atom, of the mean square of its expert on the domain: a fixed signal, so that
truths are compared by their shape."""
ROWS = 2000
"""Rows at which scores are computed."""
FLAT = 1e-9
"""Singular values below this share of the largest are those of exact orbits of an expert."""
DIGITS = 2
"""Of every number of a truth."""


def search_density_truth(
    model: DensityModel,
    *,
    regime: RegimeCode = None,
    atoms: int = 2,
    shared_atoms: int = 1,
    fitted: tuple[int, int] | None = None,
    domain: tuple[float, float] = (-3.0, 3.0),
    seed: int = 1,
    candidates: int = 300,
    progress: Callable[[int, int], object] | None = None,
) -> Truth:
    """The best of ``candidates`` random truths, in decimals of two digits, which are exact.

    Routed atoms are drawn in the ranges of :func:`~identkit.rates.truth_search.search_truth`, atom
    0 with β1 = 0 in a sparse regime (the default where there is one); shared ones likewise, with
    equal ω; variances are :data:`NOISE` of the mean square of the expert, their mean where all are
    common. ``fitted`` is (shared, routed), by default one routed atom more than is true.

    A function of its arguments. ``progress(done, total)`` is called now and then. Raises
    :class:`~identkit.errors.InputError` for numbers out of range, a gate that has not β1 and β0
    alone, a likelihood without variances to estimate, and when no candidate qualifies.
    """
    atoms, candidates = whole("atoms", atoms, least=1), whole("candidates", candidates, least=1)
    shared_atoms = whole("shared atoms", shared_atoms, least=1) if model.shared is not None else 0
    seed = whole("seed", seed, least=0)
    check_variances(model.likelihood)
    gate = model.routed.gate
    shared = None if model.shared is None else model.shared.expert
    setting = Setting(model.routed.expert, gate, Deadline(SECONDS), shared)
    if not setting.plain:
        raise InputError(
            f"gate {gate.name}: truths are searched for scores β1ᵀx + β0 of all atoms alone; use "
            "softmax or normalized-sigmoid."
        )
    case = gate.chosen(regime)
    found: tuple[float, DensityMeasure] | None = None
    report = progress or (lambda done, total: None)
    rng = np.random.default_rng(seed)
    x = rng.uniform(*domain, (ROWS, model.dim))
    halves = _halves(model, case, atoms, shared_atoms, domain, seed)
    for i in range(candidates):
        drawn = _measure(model, halves, x)
        if drawn is not None:
            y = model.sample(drawn, x, rng)
            size = least_singular(model, drawn, x, y)
            if found is None or size > found[0]:
                found = size, drawn
        if i % 10 == 9:
            report(i + 1, candidates)
    if found is None:
        raise InputError(
            f"search: none of {candidates} candidates for {model.routed.expert.label} has atoms "
            "apart and comparable weights; try more candidates, or write a truth of your own."
        )
    return Truth(
        name=model.routed.expert.label
        if shared is None
        else f"{shared.label} + {model.routed.expert.label}",
        expert=model.routed.expert,
        gate=gate,
        shared=shared,
        measure=exact_measure(setting, found[1]),
        fitted=(shared_atoms, atoms + 1) if fitted is None else fitted,
        domain=Domain.of((repr(float(domain[0])), repr(float(domain[1])))),
        source=f"searched by identkit, seed {seed}, {candidates} candidates",
    )


def least_singular(model: DensityModel, measure: DensityMeasure, x: Array, y: Array) -> float:
    """The smallest singular value of the rows' scores over √n, without gauges and exact orbits."""
    rows = scores(model, measure, x, y)[:, ~model.pinned(measure.atoms)]
    if not np.isfinite(rows).all():
        return 0.0
    values = np.linalg.svd(rows / np.sqrt(len(rows)), compute_uv=False)
    return float(values[values > FLAT * values[0]].min())


# -- candidates -----------------------------------------------------------------------------------


def _halves(
    model: DensityModel,
    case: Regime,
    atoms: int,
    shared_atoms: int,
    domain: tuple[float, float],
    seed: int,
) -> tuple[Any, Any]:
    """Endless draws of the routed atoms, and of shared ones as atoms of softmax; None: rejected."""
    routed = random_truths(model.routed, case, atoms, domain=domain, seed=seed)
    if model.shared is None:
        return routed, None
    gate = resolve("softmax", model.likelihood.name)
    plain = Half(model.shared.expert, gate, (), model.shared.density)
    return routed, random_truths(
        plain, gate.chosen(None), shared_atoms, domain=domain, seed=seed + 1
    )


def _measure(model: DensityModel, halves: tuple[Any, Any], x: Array) -> DensityMeasure | None:
    """One candidate in two digits; None where a half does not qualify."""
    routed = next(halves[0])
    beside = None if halves[1] is None else next(halves[1])
    if routed is None or (halves[1] is not None and beside is None):
        return None
    routed = _short(routed)
    spread = _spread(model.routed, routed, x)
    if beside is None:
        return DensityMeasure(routed, _same(spread) if model.common else spread)
    assert model.shared is not None
    eta = _short(beside).eta
    other = _spread(Half(model.shared.expert, resolve("softmax", model.likelihood.name)),
                    beside, x)  # fmt: skip
    if model.common:
        both = _same(np.concatenate([spread, other]))
        spread, other = both[: len(spread)], both[len(spread) :]
    omega = np.full(len(eta), 1 / len(eta))
    return DensityMeasure.with_shared(routed, spread, omega, eta, other)


def _spread(half: Half, measure: MixingMeasure, x: Array) -> Array:
    """A variance for each atom."""
    return _digits(NOISE * (half.experts(measure, x) ** 2).mean(axis=-1))


def _same(variances: Array) -> Array:
    return np.full(len(variances), float(_digits(variances.mean())))


def _short(measure: MixingMeasure) -> MixingMeasure:
    return MixingMeasure.of_vector(measure.layout, _digits(measure.to_vector()))


def _digits(values: Any) -> Any:
    return np.vectorize(lambda v: float(f"{v:.{DIGITS - 1}e}"))(values)
