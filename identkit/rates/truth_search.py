"""Truths worth an experiment: a search for well-conditioned ones.

A truth drawn at random has a second-order number of about 3e-4, and then nothing is seen of the
rates at n ≤ 1e5 (fitting section 2.1). :func:`search_truth` looks for a good one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError, whole
from identkit.fit.model import Model
from identkit.fit.result import Box
from identkit.gates import RegimeCode
from identkit.losses.norms import Rule
from identkit.mixing import MixingMeasure
from identkit.rates.conditioned import (
    NOTHING,
    Cell,
    Conditioning,
    conditioning,
    expansion,
    minimum,
)
from identkit.rates.suggested import fitted_truth, suggested_box, suggested_noise
from identkit.rates.truth import save_truth, truth_document
from identkit.rates.truth_ranges import MARGIN, POINTS, Ranges

Array = NDArray[np.float64]

SMALLEST_N = 1000
"""The sample size that the noise of a found truth is made for."""
_REFINED, _REFINED_TWICE = 8, 3

_REFINE_CALLS = (100, 250)
"""Scores computed to improve each of the best candidates, and then of the best of these."""
_SCREEN_DIRECTIONS = 64


@dataclass(frozen=True, eq=False)
class Found:
    """What :func:`search_truth` found: the truth, its numbers, and what to fit it with.

    ``noise`` is a standard deviation for n ≥ 1000 and fits of k* + 1 atoms, ``box`` their bounds.
    """

    model: Model
    truth: MixingMeasure
    conditioning: Conditioning
    noise: float
    box: Box
    regime: RegimeCode
    over: int
    candidates: int
    seed: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form: that of the file, with the number of candidates and the seconds taken."""
        return {
            **truth_document(
                self.model, self.truth, self.noise, self.box, self.regime, self.conditioning,
                self.seed, self.over,
            ),
            "candidates": self.candidates,
            "seconds": self.seconds,
        }  # fmt: skip

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the truth to a ``.json`` file; see :func:`save_truth`."""
        save_truth(
            path, self.model, self.truth, noise=self.noise, box=self.box, regime=self.regime,
            conditioning=self.conditioning, seed=self.seed, over=self.over,
        )  # fmt: skip


def search_truth(
    model: Model,
    *,
    regime: RegimeCode = None,
    atoms: int = 2,
    over: int = 0,
    domain: tuple[float, float] = (-3.0, 3.0),
    seed: int = 0,
    candidates: int = 2000,
    progress: Callable[[int, int], object] | None = None,
) -> Found:
    """A truth of ``atoms`` atoms whose smaller conditioning number is large.

    Random truths are scored by min(first, second), the best few improved by Nelder–Mead, and the
    best of these rounded to two or three significant digits; its numbers are those of the rounded
    truth. Where ``second`` does not apply (a dense regime) or vanishes for every candidate, the
    score is the first-order number, by the smallest singular value above rounding.

    Ranges: slopes of pre-activations have norm 1 to 4.5 and vanish somewhere in the middle half of
    the domain, so that the expert bends there; other parameters have size 0.5 to 2; ‖β1‖ is 0.5 to
    5, and 0 for atom ``over`` in a sparse regime (the default where there is one); the gate's score
    at the centre is -1.5 to 2; the last atom's gate is 0 under softmax. (Slopes are per 1/6 of the
    domain's width.)
    True atoms are at least 1 apart in (β1, η), and no one's root mean square weight is below a
    tenth of another's.

    A function of its arguments, except for ``seconds``. ``progress(done, total)`` is called now
    and then. Raises :class:`~identkit.errors.InputError` for numbers out of range and when no
    candidate qualifies.
    """
    began = time.perf_counter()
    atoms, over = whole("atoms", atoms, least=1), whole("over", over, least=0)
    seed, candidates = whole("seed", seed, least=0), whole("candidates", candidates, least=1)
    if over >= atoms:
        raise InputError(f"over: there is no atom {over}; the {atoms} are counted from 0.")
    if not model.gate.is_affine:
        raise InputError(
            f"gate {model.gate.name}: truths are searched for scores β1ᵀx + β0 of all atoms alone; "
            "give one, --truth FILE with a mixing measure (save() writes it), or a plan (identkit "
            "sweep --help)."
        )
    case = model.gate.chosen(regime)
    try:
        rule = Rule.of(model.dim, domain, POINTS[model.dim > 1], seed)
    except TypeError:
        raise InputError(f"domain: {domain!r} is not a pair of numbers (low, high).") from None
    search = _Search(
        model, atoms, Cell.within(case, over, 2), rule,
        (float(domain[0]), float(domain[1])), seed,
    )  # fmt: skip
    # refining takes about as long as drawing
    steps, total = _REFINED + _REFINED_TWICE, 2 * candidates
    report = progress or (lambda done, total: None)
    rng = np.random.default_rng(seed)
    pool: list[tuple[float, float, Array]] = []
    for i in range(candidates):
        vector = search.draw(rng)
        bounds = search.bounds(vector)
        if bounds is not None:
            pool.append((*bounds, vector))
        if i % 50 == 49:
            report(i + 1, total)
    if not pool:
        raise InputError(
            f"search: none of {candidates} candidates for {model.expert.label} has finite f, atoms "
            "apart and comparable weights; try more candidates, a narrower domain or fewer atoms, "
            "or give a truth of your own."
        )
    pool.sort(key=lambda c: -min(c[:2]))
    curved = any(search.curved(vector) for *_, vector in pool[:_REFINED])
    best: list[tuple[float, Array]] = []
    for first, second, vector in sorted(pool, key=lambda c: -(min(c[:2]) if curved else c[0])):
        if curved and len(best) >= _REFINED and best[_REFINED - 1][0] >= min(first, second):
            break  # bounds from above: nothing better follows
        best.append((search.score(vector, curved), vector))
        best.sort(key=lambda c: -c[0])
        if not curved and len(best) == _REFINED:
            break
    few = [vector for _, vector in best[:_REFINED]]
    done = 0
    for calls, keep in zip(_REFINE_CALLS, (_REFINED_TWICE, 1), strict=True):
        refined = []
        for vector in few:
            refined.append(search.refined(vector, curved, calls))
            done += 1
            report(candidates + candidates * done // steps, total)
        refined.sort(key=lambda c: -c[0])
        few = [vector for _, vector in refined[:keep]]
    truth = search.rounded(few[0], curved)
    numbers = conditioning(model, truth, over=over, domain=domain, regime=case.code, seed=seed)
    fit = fitted_truth(model, truth, search.cell)
    report(total, total)
    return Found(
        model, truth, numbers, suggested_noise(numbers, SMALLEST_N, model.free(fit.atoms)),
        suggested_box(model, truth, over=over), case.code, over, candidates, seed,
        time.perf_counter() - began,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Search(Ranges):
    """The truths in the ranges, and their scores."""

    seed: int

    def _forms(self, vector: Array, margin: float = MARGIN) -> tuple[float, Array | None] | None:
        """The first-order number and the form, or None where the candidate does not qualify."""
        if not (self.admissible(vector, margin) and self.comparable(vector, margin)):
            return None
        found = expansion(self.model, self.model.unpack(vector), self.cell, self.rule)
        return None if found is None else (found.determined, found.form)

    def bounds(self, vector: Array) -> tuple[float, float] | None:
        """Upper bounds of both numbers: ``second`` at a few directions. None: does not qualify."""
        found = self._forms(vector)
        if found is None:
            return None
        first, form = found
        if form is None:
            return first, 0.0
        values = np.einsum("sp,rpq,sq->sr", self.directions, form, self.directions)
        return first, float(np.sqrt((values**2).sum(axis=1).min()))

    @cached_property
    def directions(self) -> Array:
        width = self.model.dim + len(self.model.parameters)
        drawn = np.random.default_rng(self.seed).standard_normal((_SCREEN_DIRECTIONS, width))
        drawn = np.concatenate([drawn, np.eye(width)])
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    def curved(self, vector: Array) -> bool:
        """Whether cells are seen at second order."""
        found = self._forms(vector)
        form = None if found is None else found[1]
        return form is not None and minimum(form, 2, self.seed)[0] > NOTHING

    def score(self, vector: Array, curved: bool, margin: float = MARGIN) -> float:
        """min(first, second), or the first-order number unless ``curved``; 0: does not qualify."""
        found = self._forms(vector, margin)
        if found is None:
            return 0.0
        first, form = found
        if not curved or form is None:
            return first
        return min(first, minimum(form, 2, self.seed, quick=True)[0])

    def refined(self, vector: Array, curved: bool, calls: int) -> tuple[float, Array]:
        """A better truth nearby, by Nelder–Mead in the free parameters; and its score."""
        from scipy.optimize import minimize

        full = vector.copy()

        def cost(free: Array) -> float:
            full[self.free] = free
            return -math.log(max(self.score(full, curved), 1e-30))

        start = vector[self.free]
        simplex = np.vstack([start, start + np.diag(np.where(start >= 0, -0.25, 0.25))])
        result = minimize(
            cost, start, method="Nelder-Mead",
            options={"maxfev": calls, "initial_simplex": simplex, "adaptive": True,
                     "xatol": 1e-3, "fatol": 1e-3},
        )  # fmt: skip
        best = vector.copy()
        best[self.free] = result.x
        return math.exp(-float(result.fun)), best

    def rounded(self, vector: Array, curved: bool) -> MixingMeasure:
        """The truth with two digits if its score suffers by at most 3%, else with three."""
        goal = 0.97 * self.score(vector, curved)
        best = (0.0, vector)
        for digits in (2, 3):
            short = np.array([float(f"{v:.{digits - 1}e}") for v in vector])
            best = max(best, (self.score(short, curved, 0.0), short), key=lambda c: c[0])
            if best[0] >= goal:
                break
        return self.model.unpack(best[1])
