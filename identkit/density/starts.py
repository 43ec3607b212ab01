"""Starting measures of maximum likelihood for data that nobody knows the truth of.

The trials of every other start divide the rows among the atoms, by the nearest of some random rows
in (x, y) with random weights of the axes: by regions of x, by levels of y, or anything between.
Those of the others put each atom's expert through a few random rows, wherever they are, and give
all atoms the variance that is left about the nearest: curves that cross are found so. Gates start
without slopes, or as for least squares where they have none. Trials take a few steps of the fit, on
a subsample; the best that is no spike becomes the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.density.box import DensityBox
from identkit.density.engine import maximum_likelihood
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel, Half
from identkit.density.result import Status
from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.fit.problem import Compute
from identkit.fit.starts import Drawing, linear_parameters, spread
from identkit.layout import OFFSET, SLOPE
from identkit.likelihoods import LEAST_SQUARES
from identkit.mixing import MixingMeasure

Array = NDArray[np.float64]

TRIALS, TRIAL_STEPS = 2, 20
"""Short fits per start, and the steps of each; one alone where nothing of an expert is drawn at
random. More find the same maxima: of 100 starts for 3 atoms where 2 are true 43 to 46 end in the
second highest with 1, 2 or 3."""
SAMPLE, PER_PARAMETER = 2000, 10
"""Rows of the subsample, or more so that it has PER_PARAMETER for each parameter."""
FEW_TRIALS = 4
"""Short fits of a start through a few rows: most of these are far from any maximum."""
UNEVEN = (0.0, 2.0)
"""Standard deviations of the logarithms of their variances, one for each trial: of the maxima of
real data some are found with equal ones alone, some with uneven ones (benchmarks/README.md)."""
AXES = 1.5
"""Standard deviation of the logarithm of the weight of y among the axes."""
LEAST_VARIANCE = 1e-4
"""Of that of y, at a start: rows that an expert can fit exactly would start as a spike."""
RIDGE = 1e-6
"""Of the scaled normal equations of the linear parameters."""
NOISE = 0.3
"""Standard deviation of logits' parameters and of slopes, in standard units."""
_STREAM = 0x4D4C  # keeps these draws apart from others


def random_starts(
    model: DensityModel,
    x: Array,
    y: Array,
    atoms: tuple[int, int],
    count: int = 5,
    seed: int = 0,
    *,
    weight: Array | None = None,
    box: DensityBox | None = None,
    given: Callable[[Array], Array] | None = None,
    few: bool = False,
    compute: Compute | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[DensityMeasure]:
    """``count`` starting measures of (m, k) atoms for data x (n, d), y (n,).

    Start s is a function of (seed, s) and the data: more starts leave the first ones as they are.
    ``given`` puts numbers of vectors (…, p) at values of the user's, ``few`` is that of the fit.
    Raises :class:`~identkit.errors.InputError` as
    :func:`~identkit.density.engine.maximum_likelihood`.
    """
    model.check_atoms(atoms)
    if count < 1 or atoms[1] < 1:
        raise InputError(f"starts: {count} of {atoms[1]} atoms; give at least one of each.")
    length = model.length(atoms)
    size = min(len(y), max(SAMPLE, PER_PARAMETER * length))
    rng = np.random.default_rng([seed, _STREAM])
    rows = np.sort(rng.choice(len(y), size=size, replace=False))
    if (y[rows] == y[rows[0]]).all():
        others = np.flatnonzero(y != y[rows[0]])[: max(1, size // 2)]
        rows = np.concatenate([others, rows[: size - len(others)]])
    x, y = x[rows], y[rows]
    if weight is not None:
        weight = weight[rows] * (size / weight[rows].sum())
    parts = _Trials(model, x, y, atoms, weight)
    trials: list[DensityMeasure] = []
    of: list[int] = []
    for s in range(count):
        own = np.random.default_rng([seed, s, _STREAM])
        through = parts.divided and s % 2 == 1
        each = FEW_TRIALS if through else TRIALS if parts.random else 1
        trials += [parts.trial(own, through) for _ in range(each)]
        of += [s] * each
    vectors = np.stack([model.pack(t) for t in trials])
    if given is not None:
        vectors = given(vectors)
    short = maximum_likelihood(
        model, x, np.broadcast_to(y, (len(trials), size)), model.unpack(vectors, atoms),
        weight=None if weight is None else np.broadcast_to(weight, (len(trials), size)),
        box=box, max_steps=TRIAL_STEPS, em_steps=TRIAL_STEPS, few=few, compute=compute,
        progress=progress, stop=stop,
    )  # fmt: skip
    value = np.where(np.isfinite(short.log_likelihood), short.log_likelihood, -np.inf)
    spiked = np.array([s is Status.SPIKE for s in short.status])
    value = np.where(spiked, -1e300, value)
    best = [
        max((t for t in range(len(of)) if of[t] == s), key=value.__getitem__) for s in range(count)
    ]
    return [short.measure[t] for t in best]


class _Trials:
    """Trials for one model and data set."""

    def __init__(
        self,
        model: DensityModel,
        x: Array,
        y: Array,
        atoms: tuple[int, int],
        weight: Array | None,
    ) -> None:
        self.model, self.x, self.y, self.atoms = model, x, y, atoms
        self.weight = weight
        deviation = spread(x)
        self.axes = (x - x.mean(axis=0)) / deviation
        scale = float(spread(y[:, None])[0])
        self.target = (y - y.mean()) / scale
        self.variance = scale**2
        self.halves: dict[str, _Experts] = {}
        for name, half, count in (
            ("shared", model.shared, atoms[0]), ("routed", model.routed, atoms[1])
        ):  # fmt: skip
            if half is not None:
                self.halves[name] = _Experts(half, x, y, count)

    @property
    def divided(self) -> bool:
        """Whether rows can be divided in both ways: classes are not interpolated."""
        return self.model.density.spread and sum(self.atoms) > 1

    @property
    def random(self) -> bool:
        """Whether parameters of an expert are drawn."""
        return any(len(e.linear) < len(e.half.parameters) for e in self.halves.values())

    def trial(self, rng: np.random.Generator, few: bool = False) -> DensityMeasure:
        """Experts of a division of the rows, or, each of its own, of ``few`` rows."""
        m, k = self.atoms
        own = self._few(rng, m + k) if few else self._division(rng, m + k)
        if self.weight is not None and not few:
            own = own * self.weight
        shares = np.full(m + k, 1.0 / (m + k)) if few else own.mean(axis=1)
        found: dict[str, Any] = {}
        nearest = np.full(len(self.y), np.inf)
        for name, at in (("shared", slice(0, m)), ("routed", slice(m, None))):
            if name not in self.halves:
                continue
            part = self.halves[name]
            eta, left, away = part.fitted(rng, own[at])
            nearest = np.minimum(nearest, away.min(axis=0))
            gates = part.gates(rng, shares[at])
            found[name] = MixingMeasure.of(part.half.layout, {**gates, "eta": eta})
            if self.model.density.spread:
                found[name + "_variances"] = np.maximum(left, LEAST_VARIANCE * self.variance)
        if few:
            level = max(float(nearest.mean()), LEAST_VARIANCE * self.variance)
            for name, part in self.halves.items():
                uneven = rng.choice(UNEVEN)
                apart = np.exp(uneven * rng.standard_normal(part.count))
                found[name + "_variances"] = level * apart
        if self.model.common and self.model.density.spread:
            total = float(np.average(
                np.concatenate([found.get("shared_variances", []), found["routed_variances"]]),
                weights=shares,
            ))  # fmt: skip
            for name in ("shared", "routed"):
                if name in self.halves:
                    found[name + "_variances"] = np.full(self.halves[name].count, total)
        return DensityMeasure(
            found["routed"],
            found.get("routed_variances"),
            found.get("shared"),
            found.get("shared_variances"),
        )

    def _few(self, rng: np.random.Generator, count: int) -> Array:
        """Rows (count, n) that are 1 at a few random rows of each atom, about as many as an expert
        needs to be determined."""
        n = len(self.target)
        needed = max(len(e.half.parameters) for e in self.halves.values()) + 1
        own = np.zeros((count, n))
        for c in range(count):
            own[c, rng.choice(n, size=min(n, needed), replace=False)] = 1.0
        return own

    def _division(self, rng: np.random.Generator, count: int) -> Array:
        """Rows (count, n) that are 1 where a row is an atom's; every atom has some."""
        n = len(self.target)
        if count == 1:
            return np.ones((1, n))
        factor = np.exp(AXES * rng.standard_normal())
        points = np.column_stack([self.axes, factor * self.target])
        centres = points[rng.choice(n, size=count, replace=n < count)]
        away = ((points[None] - centres[:, None]) ** 2).sum(axis=2)
        own = np.zeros((count, n))
        own[away.argmin(axis=0), np.arange(n)] = 1.0
        # softened, so that no atom is without rows and equal ones come apart
        own = 0.9 * own + 0.1 * rng.dirichlet(np.ones(count), size=n).T
        return own


class _Experts:
    """The atoms of one half fitted to rows with weights."""

    def __init__(self, half: Half, x: Array, y: Array, count: int) -> None:
        self.half, self.x, self.y, self.count = half, x, y, count
        assert half.density is not None
        self.drawing = None
        self.linear: list[int] = []
        if half.outputs == 1:
            plain = Model(half.expert, half.gate.under(LEAST_SQUARES), half.groups)
            length = half.layout.length(count)
            bounds = (np.full(length, -np.inf), np.full(length, np.inf))
            self.drawing = Drawing(plain, x, y, count, bounds, None)
            self.linear = linear_parameters(plain) if half.density.spread else []

    def gates(self, rng: np.random.Generator, shares: Array) -> dict[str, Array]:
        """Blocks of the gate: offsets by the shares of atoms, slopes small."""
        layout = self.half.layout
        drawn: dict[str, Array] = {}
        offsets = np.log(np.maximum(shares, 1e-3))
        plain = {*layout.of_gate} <= {SLOPE, OFFSET}
        if not plain and self.drawing is not None:
            several, _ = self.drawing.draw(rng, 0.0)
            return {name: values[0] for name, values in several.items()}
        deviation = spread(self.x)
        for block in layout.of_gate:
            if block == OFFSET:
                drawn[block.name] = offsets
            elif block == SLOPE:
                size = (self.count, layout.dim)
                drawn[block.name] = NOISE * rng.standard_normal(size) / deviation
            else:
                shape = layout.shape(block, self.count)
                drawn[block.name] = (
                    np.ones(shape) if any(layout.positive(block))
                    else NOISE * rng.standard_normal(shape)
                )  # fmt: skip
        if SLOPE in layout.of_gate and OFFSET in layout.of_gate:
            drawn[OFFSET.name] = offsets - drawn[SLOPE.name] @ self.x.mean(axis=0)
        return drawn

    def fitted(self, rng: np.random.Generator, own: Array) -> tuple[Array, Array, Array]:
        """η (count, q); what is left (count,), the mean square of y − h over an atom's rows; the
        squares (count, n) of all rows."""
        q = len(self.half.parameters)
        if self.drawing is None or not self.half.density.spread:  # type: ignore[union-attr]
            return self._logits(rng), np.ones(self.count), np.zeros(own.shape)
        with np.errstate(all="ignore"):
            for attempt in range(5):
                _, drawn = self.drawing.draw(rng, 3.0 * attempt)
                eta = np.broadcast_to(drawn, (len(drawn), self.count, q)).copy()
                if self.linear:
                    eta = self._solved(eta, own)
                h = self.half.outputs_at(eta, self.x)[:, :, 0]
                away = (h - self.y) ** 2
                left = (own * away).sum(axis=2) / own.sum(axis=1)
                left = np.where(np.isfinite(left), left, np.inf)
                best = left.argmin(axis=0)
                at = np.arange(self.count)
                if np.isfinite(left[best, at]).all():
                    return eta[best, at], left[best, at], away[best, at]
        raise InputError(
            f"expert: {self.half.expert.label} is not finite on these data for random parameters; "
            "check its domain and the data."
        )

    def _logits(self, rng: np.random.Generator) -> Array:
        deviation = np.append(spread(self.x), 1.0)
        s = self.half.structure
        scale = deviation[list(s.feature_of)] * np.abs(s.scale_of)
        return NOISE * rng.standard_normal((self.count, len(scale))) / scale

    def _solved(self, eta: Array, own: Array) -> Array:
        """Linear parameters by weighted least squares for each candidate and atom."""

        def values(probe: Array) -> Array:
            return self.half.outputs_at(probe, self.x)[:, :, 0]

        probe = eta.copy()
        probe[..., self.linear] = 0.0
        base = values(probe)
        columns = []
        for v in self.linear:
            unit = probe.copy()
            unit[..., v] = 1.0
            columns.append(values(unit) - base)
        design = np.stack(columns, axis=-1)  # (candidates, atoms, n, linear)
        weighted = own[None, :, :, None] * design
        gram = np.einsum("cjnl,cjnm->cjlm", weighted, design)
        right = np.einsum("cjnl,cjn->cjl", weighted, self.y - base)
        size = np.sqrt(np.einsum("cjll->cjl", gram))
        size = np.where(size > 0, size, 1.0)
        gram = gram / (size[..., :, None] * size[..., None, :])
        gram = gram + RIDGE * np.eye(gram.shape[-1])
        usable = np.isfinite(gram).all(axis=(2, 3)) & np.isfinite(right).all(axis=2)
        out = eta.copy()
        solved = np.full_like(right, np.nan)
        solved[usable] = np.linalg.solve(gram[usable], (right / size)[usable][..., None])[..., 0]
        out[..., self.linear] = solved / size
        return out
