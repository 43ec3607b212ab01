"""Starting measures for a fit of data nobody knows the truth of: random, scaled to the data.

A start is found in two stages on a subsample. Each trial is the best of some random candidates:
gates and pre-activations of order 1 over the data, which change sign inside them; parameters in
which f is linear (c of c·φ, all of a linear expert) are then solved for by least squares, and
otherwise the pre-activations of all atoms are multiplied so that h has the size of y. Then the
trials take a few steps of the fit, and the best becomes the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.fit.closure import Closure
from identkit.fit.engine import Compute, least_squares
from identkit.fit.model import Model
from identkit.fit.objective import objective_of
from identkit.fit.problem import free_numbers
from identkit.fit.result import Box
from identkit.fit.structure import Structure
from identkit.gates.quadratic import pairs
from identkit.layout import POSITIVE, Block
from identkit.mixing import MixingMeasure

if TYPE_CHECKING:
    from identkit.fit.engine import Compute

Array = NDArray[np.float64]

TRIALS, TRIAL_STEPS = 16, 25
"""Short fits per start, and the steps of each."""
MORE_TRIALS, MORE_CANDIDATES = 2, 4
"""Times as many where numbers are in no pre-activation, as the places of peaks: for two peaks that
overlap (NIST's Gauss3) 14 of 40 starts then reach the certified minimum, where 6 did."""
SMALL = 60
"""Parameters up to which a start has all its trials; the time of a step grows like their square."""
CANDIDATES = 8
"""Random candidates per trial; the least cost on the subsample wins."""
SAMPLE = 500
"""Samples in the subsample, or more so that it has PER_PARAMETER for each parameter."""
PER_PARAMETER = 10
ENTRIES = 2**23
"""Numbers in the largest array (candidates × samples × linear parameters): 64 MiB."""
RIDGE = 1e-3
"""Of the scaled normal equations for the linear parameters: keeps them of the order of y."""
SPREAD = 0.5
"""Standard deviation of log-scales and of the offsets of pre-activations."""
ROUNDS = 5
LIFT = 3.0
"""If f is not finite for any candidate (a logarithm, a root), pre-activations are raised by LIFT
standard deviations of the data per round."""
SIZES = 1.0
"""Powers of ten about the size of a unit: certified minima of NIST's problems lie within 2.2, and
half of the trials draw closer (benchmarks/README.md)."""
NEARBY = 0.1
"""Of the standard deviation of an input, about a sample."""
LEAST_POWER, MOST_SCALE = 0.5, 1e6
"""h(t·u) ~ t^p is used to scale h to y only for p above LEAST_POWER: tanh is bounded."""
NARROW = 4.0
"""Of a precision, over 1/variance of the inputs: half their standard deviation."""
_SLOPES = {"beta0": ("beta1",), "alpha0": ("alpha1",)}
"""The slopes beside which an offset stands."""
_STREAM = 0x5354  # keeps these draws apart from those of simulated data


def random_starts(
    model: Model,
    x: Array,
    y: Array,
    k: int,
    count: int = 5,
    seed: int = 0,
    *,
    weight: Array | None = None,
    box: Box | None = None,
    given: Callable[[Array], Array] | None = None,
    ridge: float = 0.0,
    compute: Compute | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[MixingMeasure]:
    """``count`` starting measures of k atoms for data x (n, d), y (n,), inside the box.

    Start s is a function of (seed, s) and the data: more starts leave the first ones as they are.
    ``given`` puts numbers of vectors (…, p) at values of the user's. ``weight`` (n,), ``box``,
    ``ridge``, ``compute``, ``progress`` and ``stop`` are those of
    :func:`~identkit.fit.engine.least_squares`.

    >>> x = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> starts = random_starts(Model.of("tanh", "sigmoid"), x, np.tanh(x[:, 0]), k=2, count=3)
    >>> len(starts), starts[0].atoms
    (3, 2)

    Raises :class:`~identkit.errors.InputError` for a likelihood without an objective, for more
    parameters than samples, and where f is not finite on the data for any parameters tried.
    """
    model.gate.needs_weights("fit")
    if k < 1 or count < 1:
        raise InputError(f"starts: {count} of {k} atoms; give at least one of each.")
    if x.ndim != 2 or x.shape[1] != model.dim:
        raise InputError(f"x: has shape {x.shape}, must be (n, {model.dim}).")
    length = model.layout.length(k)
    box = Box() if box is None else box
    bounds = box.bounds(model, k)
    if free_numbers(model, k, *bounds) > len(y) and not ridge:
        raise InputError(
            f"data: {len(y)} samples are fewer than the {length} parameters of {k} "
            f"{'atoms' if k > 1 else 'atom'}; give more data or fit fewer atoms."
        )
    size = min(len(y), max(SAMPLE, PER_PARAMETER * length))
    rows = np.random.default_rng([seed, _STREAM]).choice(len(y), size=size, replace=False)
    if (y[rows] == y[rows[0]]).all():
        # rare values, as in counts: half of the subsample, or all there are, take another value
        others = np.flatnonzero(y != y[rows[0]])[: size // 2]
        rows = np.concatenate([others, rows[: size - len(others)]])
    x, y = x[rows], y[rows]
    weight = None if weight is None else weight[rows]
    drawing = Drawing(model, x, y, k, bounds, given)
    most = TRIALS * (MORE_TRIALS if drawing.lone else 1)
    each = int(np.clip(most * (SMALL / length) ** 2, 2, most))
    trials: list[MixingMeasure] = []
    for s in range(count):
        rng = np.random.default_rng([seed, s, _STREAM])
        trials += [drawing.trial(rng, sized=t % 2 == 1) for t in range(each)]
    short = least_squares(
        model,
        x,
        np.broadcast_to(y, (len(trials), size)),
        MixingMeasure.stack(trials),
        weight=weight,
        box=box,
        ridge=ridge,
        max_steps=TRIAL_STEPS,
        compute=replace(compute or Compute(), nodes=False),
        progress=progress,
        stop=stop,
    )
    cost = np.where(np.isfinite(short.cost), short.cost, np.inf).reshape(count, each)
    return [short.measure[s * each + int(t)] for s, t in enumerate(cost.argmin(axis=1))]


class Drawing:
    """Candidates for one model and data set. Arrays: C candidates, k atoms, m samples."""

    def __init__(
        self,
        model: Model,
        x: Array,
        y: Array,
        k: int,
        bounds: tuple[Array, Array],
        given: Callable[[Array], Array] | None,
    ) -> None:
        self.model, self.x, self.y, self.k = model, x, y, k
        self.low, self.high = bounds
        self.given = given
        self.objective = objective_of(model.gate)
        self.spread = spread(x)
        with np.errstate(all="ignore"):
            self.size = float(np.sqrt(np.mean(np.square(y)))) or 1.0
        held = (self.low == self.high)[model.layout["eta"]]  # alike for all atoms
        self.linear = [v for v in linear_parameters(model) if not held[v]]
        room = ENTRIES // (len(y) * k * max(1, len(self.linear)))
        most = CANDIDATES * (MORE_CANDIDATES if self.lone else 1)
        self.candidates = int(np.clip(room, 1, most))

    def trial(self, rng: np.random.Generator, *, sized: bool = False) -> MixingMeasure:
        """The best of some candidates; ``sized``: numbers of their own by the units of the data."""
        x, y = self.x, self.y
        for attempt in range(ROUNDS):
            with np.errstate(all="ignore"):
                gates, eta = self.draw(rng, LIFT * attempt)
                if sized:
                    eta = self._sized(rng, eta)
                drawn = self._inside(self._measure(gates, eta), rng)
                gates = {b.name: drawn[b.name] for b in self.model.layout.of_gate}
                eta = self._solved(gates, drawn.eta)
                usable = np.isfinite(eta).all(axis=(1, 2), keepdims=True)
                eta = np.where(usable, eta, 0.0)
                drawn = self._inside(self._measure(gates, eta), None)
                cost = self.objective.cost(self.model.predict(drawn, x) - y, None)
            cost = np.where(usable.ravel() & np.isfinite(cost), cost, np.inf)
            if np.isfinite(cost).any():
                return drawn[int(cost.argmin())]
        raise InputError(
            f"expert: {self.model.expert.label} is not finite on these data for any of "
            f"{ROUNDS * self.candidates} random parameters; check its domain and the data."
        )

    def _inside(self, drawn: MixingMeasure, rng: np.random.Generator | None) -> MixingMeasure:
        """What lies outside the box drawn again inside it, or, without ``rng``, put on its bound.

        Uniformly, or beyond the end of a half-line as far as it was drawn from 0.
        """
        vector, low, high = drawn.to_vector(), self.low, self.high
        if rng is not None:
            part, out = rng.uniform(size=vector.shape), (vector < low) | (vector > high)
            ends = np.where(np.isfinite(low), low, high), np.where(np.isfinite(high), high, low)
            half = ~np.isfinite(low) | ~np.isfinite(high)
            away = np.where(np.isfinite(low), 1.0, -1.0) * np.abs(vector)
            inside = np.where(half, ends[0] + away, ends[0] + part * (ends[1] - ends[0]))
            vector = np.where(out, inside, vector)
        vector = np.clip(vector, low, high)
        return self.model.unpack(vector if self.given is None else self.given(vector))

    def _measure(self, gates: Mapping[str, Array], eta: Array) -> MixingMeasure:
        return MixingMeasure.of(self.model.layout, {**gates, "eta": eta})

    def draw(self, rng: np.random.Generator, lift: float) -> tuple[dict[str, Array], Array]:
        """The gates' blocks, each (C, k, …), (C, groups, …) or (C, …), and eta (C, k, q)."""
        model, shape = self.model, (self.candidates, self.k)
        gates: dict[str, Array] = {}
        for block in sorted(model.layout.of_gate, key=lambda b: b.role == "weight"):
            gates[block.name] = self._block(rng, block, gates)
        eta = rng.standard_normal((*shape, len(model.parameters)))
        eta = self._slotted(rng, model.structure, eta, lift)
        if not self.linear:
            eta = eta * self._scale(gates, eta, rng)
        return gates, eta

    def _block(self, rng: np.random.Generator, block: Block, drawn: Mapping[str, Array]) -> Array:
        """One block: at the place, of the slope or of the size that its unit says.

        An offset makes the score cross 0 at a sample, where there are slopes to do so.
        """
        layout, spread = self.model.layout, self.spread
        lead = (self.candidates, *layout.shape(block, self.k)[: block.several])
        size, x = layout.size(block), self.x
        if block.axis == "t":
            products = np.array([spread[i] * spread[j] for i, j in pairs(layout.dim)])
            above = np.array(layout.positive(block))
            if not above.any():
                return rng.standard_normal((*lead, size)) / products
            narrow = np.exp(SPREAD * rng.standard_normal((*lead, size))) * NARROW / products
            return np.where(above, narrow, 0.0)
        if block.axis == "r":
            score, own = self.model.score, rng.standard_normal((*lead, size))
            assert score is not None
            return 2.0 * self._slotted(rng, self._router(score), own, 0.0)
        if block.role in POSITIVE:
            return np.ones((*lead, *layout.shape(block, self.k)[block.several :]))
        if block.unit == "x":
            centre = x[rng.integers(len(x), size=lead)]
            return centre + SPREAD * spread * rng.standard_normal((*lead, size))
        if block.axis == "d":
            return 2.0 * self._slopes(rng, lead, size) / spread
        if block == self._bias:
            return np.zeros(lead)
        slope = next((drawn[n] for n in _SLOPES.get(block.name, ()) if n in drawn), None)
        if slope is None:
            return SPREAD * rng.standard_normal(lead)
        centre = x[rng.integers(len(x), size=lead)]
        return -(slope * centre).sum(axis=-1) + SPREAD * rng.standard_normal(lead)

    @property
    def _bias(self) -> Block | None:
        selection = self.model.gate.selection
        return None if selection is None else selection.bias

    def _router(self, score: Structure) -> Structure:
        """The slots of the router's own numbers, the first of the score's."""
        place = self.model.layout["router"]
        return replace(
            score,
            slot_of=score.slot_of[place],
            feature_of=score.feature_of[place],
            scale_of=score.scale_of[place],
        )

    def _slopes(self, rng: np.random.Generator, lead: tuple[int, ...], count: int) -> Array:
        """Directions of length about 1 in standard deviations of the inputs."""
        size = np.exp(SPREAD * rng.standard_normal((*lead, 1)))
        return size * rng.standard_normal((*lead, count)) / np.sqrt(count)

    def _slotted(
        self, rng: np.random.Generator, s: Structure, numbers: Array, lift: float
    ) -> Array:
        """Numbers (C, k, m), those in slots with inputs drawn so that these cross 0 at a sample."""
        x, d, shape = self.x, self.model.dim, numbers.shape[:2]
        for t in range(len(s.slots)):
            members = [v for v, slot in enumerate(s.slot_of) if slot == t]
            moving = [v for v in members if s.feature_of[v] < d]
            if not moving:
                continue
            inputs = [s.feature_of[v] for v in moving]
            drawn = self._slopes(rng, shape, len(moving)) / self.spread[inputs]
            centre = x[rng.integers(len(x), size=shape)][..., inputs]
            numbers[..., moving] = drawn / [s.scale_of[v] for v in moving]
            for v in members:
                if v not in moving:
                    offset = SPREAD * rng.standard_normal(shape) + lift
                    numbers[..., v] = (offset - (drawn * centre).sum(axis=-1)) / s.scale_of[v]
        return numbers

    def _sized(self, rng: np.random.Generator, eta: Array) -> Array:
        """The numbers that are in no pre-activation drawn by the units of the data.

        Of either sign and within SIZES powers of ten of the size that the unit has in the data; one
        in the unit of an input half of the time at a sample, as the place of a peak.
        """
        eta, powers = eta.copy(), self._powers
        for v in self.lone:
            size = float(np.prod(self.sizes ** powers[v]))
            shape = eta.shape[:2]
            drawn = size * 10.0 ** rng.uniform(-SIZES, SIZES, size=shape)
            drawn = drawn * np.where(rng.uniform(size=shape) < 0.5, -1.0, 1.0)
            at = [s for s in range(self.model.dim) if powers[v, s] == 1.0]
            if len(at) == 1 and np.abs(powers[v]).sum() == 1.0:
                near = self.x[rng.integers(len(self.x), size=shape), at[0]]
                # not at the sample itself, where x − p = 0
                near = near + NEARBY * self.spread[at[0]] * rng.standard_normal(shape)
                drawn = np.where(rng.uniform(size=shape) < 0.5, near, drawn)
            eta[..., v] = drawn
        return eta

    @cached_property
    def lone(self) -> list[int]:
        slots = self.model.structure.slot_of
        return [v for v, t in enumerate(slots) if not self._moves(t) and v not in self.linear]

    @cached_property
    def _powers(self) -> Array:
        return Closure(self.model).exponents

    @cached_property
    def sizes(self) -> Array:
        """Root mean squares of the inputs and of y, 1 where they are 0."""
        with np.errstate(all="ignore"):
            root = np.sqrt(np.mean(np.column_stack([self.x, self.y]) ** 2, axis=0))
        return np.where((root > 0) & np.isfinite(root), root, 1.0)

    def _scale(self, gates: Mapping[str, Array], eta: Array, rng: np.random.Generator) -> Array:
        """Factors (C, 1, q) of parameters in pre-activations that bring h to the size of y."""
        moving = np.array([self._moves(t) for t in self.model.structure.slot_of])

        def size(factor: float) -> Array:
            measure = self._measure(gates, np.where(moving, factor, 1.0) * eta)
            return np.sqrt(np.mean(self.model.experts(measure, self.x) ** 2, axis=(1, 2)))

        once, twice = size(1.0), size(2.0)
        usable = np.isfinite(once) & np.isfinite(twice) & (once > 0) & (twice > 0)
        factor = 1.0
        if usable.any():
            power = float(np.median(np.log2(twice[usable] / once[usable])))
            if power > LEAST_POWER:
                factor = float(self.size / np.median(once[usable])) ** (1.0 / power)
                factor = min(max(factor, 1.0 / MOST_SCALE), MOST_SCALE)
        jitter = np.exp(SPREAD * rng.standard_normal((len(eta), 1, 1)))
        return np.where(moving, factor * jitter, 1.0)

    def _moves(self, slot: int) -> bool:
        """Whether a pre-activation depends on an input; other parameters are on their own."""
        s = self.model.structure
        return any(
            f < self.model.dim for t, f in zip(s.slot_of, s.feature_of, strict=True) if t == slot
        )

    def _solved(self, gates: Mapping[str, Array], eta: Array) -> Array:
        """eta with the parameters in which f is affine solved for, by ridge regression."""
        if not self.linear:
            return eta
        x, y = self.x, self.y

        def terms(unit: int | None) -> Array:
            probe = eta.copy()
            probe[..., self.linear] = 0.0
            if unit is not None:
                probe[..., unit] = 1.0
            return self.model.contributions(self._measure(gates, probe), x)

        base = terms(None)
        # rows: candidates; columns: parameter by parameter, atoms within
        design = np.concatenate([terms(v) - base for v in self.linear], axis=1)
        rest = y - base.sum(axis=1)
        root = np.sqrt((design**2).sum(axis=2))
        root = np.where(root > 0, root, 1.0)
        design = design / root[..., None]
        gram = design @ design.transpose(0, 2, 1) + RIDGE * np.eye(design.shape[1])
        right = np.einsum("cmn,cn->cm", design, rest)
        usable = np.isfinite(gram).all(axis=(1, 2)) & np.isfinite(right).all(axis=1)
        solved = np.full_like(right, np.nan)
        solved[usable] = np.linalg.solve(gram[usable], right[usable][..., None])[..., 0]
        out = eta.copy()
        values = (solved / root).reshape(len(eta), len(self.linear), self.k)
        out[..., self.linear] = values.transpose(0, 2, 1)
        return out


def linear_parameters(model: Model) -> list[int]:
    """Indices of expert parameters in which h is affine, jointly.

    >>> linear_parameters(Model.of("gelu", "sigmoid", shape="ffn"))
    [0]
    """
    phi: Any = model.structure.phi
    chosen: list[Any] = []
    for slot in model.structure.slots:
        slope = sp.diff(phi, slot)  # a kink has no second derivative, but a slope that changes
        if not slope.has(slot, *chosen):
            chosen.append(slot)
    slots = model.structure.slots
    return [v for v, t in enumerate(model.structure.slot_of) if slots[t] in chosen]


def spread(x: Array) -> Array:
    """Standard deviation of each column of x (n, d), 1 where it is 0 or not finite."""
    with np.errstate(all="ignore"):
        sd = x.std(axis=0)
    return np.where((sd > 0) & np.isfinite(sd), sd, 1.0)
