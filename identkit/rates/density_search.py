"""Truths of densities worth an experiment: a search for well-conditioned ones.

The counterpart of :mod:`identkit.rates.truth_search`. What is made large is the smallest singular
value of the scores ∂ log p/∂θ at the truth, that is, of the information of one sample: at
first order, of fits with as many atoms as are true. How far cells of several fitted atoms are from
the n at which their rates show is not searched for: n^-1/8 takes what it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.architecture.measures import Setting
from identkit.atoms import expert_function
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
from identkit.sampling import Sampler
from identkit.truths.record import SECONDS, Truth

Array = NDArray[np.float64]
NOISE = 0.05
"""Variance of an atom, of the mean square of its expert on the domain: a fixed signal, so that
truths are compared by their shape."""
ROWS = 2000
"""Rows at which scores are computed."""
FLAT = 1e-9
"""Singular values below this share of the largest are 0 to rounding. As many as the candidate with
the fewest has are exact orbits of the expert; a candidate with more of them is degenerate."""
SIZES = (1e-3, 1e3)
"""Root mean squares of experts on the domain that are admitted."""
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

    All are judged on the same inputs and the same noise. Experts are real and finite on the whole
    domain, by interval arithmetic, with a root mean square in :data:`SIZES`. Routed atoms are drawn
    in the ranges of :func:`~identkit.rates.truth_search.search_truth`, atom 0 with β1 = 0 in a
    sparse regime (the default where there is one); shared ones likewise, with equal ω; variances
    are :data:`NOISE` of the mean square of the expert, their mean where all are common. ``fitted``
    is (shared, routed), by default one routed atom more than is true. The source of the truth says
    its least singular value.

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
    if not setting.plain or "beta1" not in model.routed.layout:
        raise InputError(
            f"gate {gate.name}: truths are searched for scores β1ᵀx + β0 of all atoms alone; use "
            "softmax or normalized-sigmoid."
        )
    case = gate.chosen(regime)
    ends = (repr(float(domain[0])), repr(float(domain[1])))
    space = Domain.of(ends)
    report = progress or (lambda done, total: None)
    # streams of their own: of inputs, of routed and shared atoms, of the noise
    streams = np.random.SeedSequence(seed).spawn(4)
    x = np.random.default_rng(streams[0]).uniform(*domain, (ROWS, model.dim))
    halves = _Halves(model, case, (shared_atoms, atoms), domain, streams[1:3], space)
    found: list[tuple[Array, DensityMeasure]] = []
    for i in range(candidates):
        drawn = halves.measure(x)
        if drawn is not None:
            y = model.sample(drawn, x, np.random.default_rng(streams[3]))
            values = singular_values(model, drawn, x, y)
            if np.isfinite(values).all():
                found.append((values, drawn))
        report(i + 1, candidates)
    if not found:
        raise InputError(
            f"search: none of {candidates} candidates for {model.routed.expert.label}"
            f"{'' if shared is None else f' and {shared.label}'} is real, finite and of moderate "
            f"size on the domain {space}, with atoms apart and comparable weights; try more "
            "candidates, or write a truth of your own."
        )
    orbits = min(int((values <= FLAT * values[0]).sum()) for values, _ in found)
    size, best = max(
        ((float(values[-1 - orbits]), drawn) for values, drawn in found), key=lambda c: c[0]
    )
    return Truth(
        name=model.routed.expert.label
        if shared is None
        else f"{shared.label} + {model.routed.expert.label}",
        expert=model.routed.expert,
        gate=gate,
        shared=shared,
        measure=exact_measure(setting, best),
        fitted=(shared_atoms, atoms + 1) if fitted is None else fitted,
        domain=space,
        source=f"searched by identkit, seed {seed}, {candidates} candidates; least singular value "
        f"of the scores {size:.1e}",
    )


def singular_values(model: DensityModel, measure: DensityMeasure, x: Array, y: Array) -> Array:
    """Of the rows' scores over √n, without those of gauges that are held, the largest first."""
    rows = scores(model, measure, x, y)[:, ~model.pinned(measure.atoms)]
    if not np.isfinite(rows).all():
        return np.array([np.nan])
    values: Any = np.linalg.svd(rows / np.sqrt(len(rows)), compute_uv=False)
    return values


# -- candidates -----------------------------------------------------------------------------------


class _Halves:
    """Random measures in two digits."""

    def __init__(
        self,
        model: DensityModel,
        case: Regime,
        atoms: tuple[int, int],
        domain: tuple[float, float],
        streams: list[np.random.SeedSequence],
        space: Domain,
    ) -> None:
        self.model, self.space = model, space
        rngs = [np.random.default_rng(stream) for stream in streams]
        self.routed = random_truths(model.routed, case, atoms[1], rngs[0], domain=domain)
        self.regular = [_regular(model.routed, space)]
        self.shared: Any = None
        if model.shared is not None:
            gate = resolve("softmax", model.likelihood.name)
            self.plain = Half(model.shared.expert, gate, (), model.shared.density)
            own = gate.chosen(None)
            self.shared = random_truths(self.plain, own, atoms[0], rngs[1], domain=domain)
            self.regular.append(_regular(self.plain, space))

    def measure(self, x: Array) -> DensityMeasure | None:
        """One candidate; None where it does not qualify."""
        drawn = [next(self.routed)]
        if self.shared is not None:
            drawn.append(next(self.shared))
        if any(one is None for one in drawn):
            return None
        short = [MixingMeasure.of_vector(m.layout, _digits(m.to_vector())) for m in drawn if m]
        halves = [self.model.routed, *([self.plain] if self.shared is not None else [])]
        spreads = []
        for half, own, regular in zip(halves, short, self.regular, strict=True):
            if not all(regular(eta) for eta in own.eta):
                return None
            with np.errstate(all="ignore"):  # it may overflow, and is refused then
                square = (half.experts(own, x) ** 2).mean(axis=-1)
            if not ((square > SIZES[0] ** 2) & (square < SIZES[1] ** 2)).all():
                return None
            spreads.append(_digits(NOISE * square))
        if self.model.common:
            mean = float(_digits(np.concatenate(spreads).mean()))
            spreads = [np.full(len(s), mean) for s in spreads]
        if len(short) == 1:
            return DensityMeasure(short[0], spreads[0])
        eta = short[1].eta
        omega = np.full(len(eta), 1 / len(eta))
        return DensityMeasure.with_shared(short[0], spreads[0], omega, eta, spreads[1])


def _regular(half: Half, space: Domain) -> Callable[[Array], bool]:
    """Whether an atom's expert is real and finite on the whole domain."""
    looking = Sampler(expert_function(half.expert), space, 0, (), Deadline(SECONDS))

    def of(eta: Array) -> bool:
        return looking.irregular([Fraction(repr(float(v))) for v in eta]) is None

    return of


def _digits(values: Any) -> Any:
    return np.vectorize(lambda v: float(f"{v:.{DIGITS - 1}e}"))(values)
