"""Simulated data Y = f_G*(X) + ε and starting measures, replicate by replicate (theory section 1).

Replicate r is drawn by a generator of its own, seeded by (seed, r, n). Batches, chunks and the
order of the calls therefore cannot change a bit of it, and any replicate can be redrawn alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError, unknown_name, whole
from identkit.layout import EXPERT, Layout
from identkit.likelihoods import LEAST_SQUARES, resolve
from identkit.mixing import MixingMeasure

if TYPE_CHECKING:
    from identkit.fit.model import Model
    from identkit.gates import Gate

Array = NDArray[np.float64]

CHUNK = 16_384
"""Samples of one replicate drawn at a time: a constant, since predict sees these chunks."""

STARTS = {
    "local": "the truth, one atom of it copied, plus noise",
    "split": "local, with the scales of the copies spread around 1",
    "null": "the truth plus atoms whose expert is zero (η = 0), plus noise",
    "away": "uniform on a box, without regard to the truth",
}
"""Kind of starting measure -> meaning."""

_KIND_CODE = {"local": 0, "split": 1, "null": 2, "away": 3}  # part of the seed: never renumber
_STARTS_STREAM = 0x5354  # keeps the key of a start apart from that of the data


def simulate(
    model: Model,
    truth: MixingMeasure,
    n: int,
    replicates: int = 1,
    *,
    noise: float,
    seed: int = 0,
    domain: tuple[float, float] = (-3.0, 3.0),
) -> Simulation:
    """Data sets (x, y) with x uniform on domain^d, y = f_truth(x) + noise·N(0, 1).

    ``noise`` is the standard deviation. Nothing is drawn here: the :class:`Simulation` draws the
    replicates asked for.

    >>> from identkit.fit.model import Model
    >>> truth = MixingMeasure([0.0, 1.0], [[0.0], [2.0]], [[1.0, 0.5], [-1.0, 0.3]])
    >>> data = simulate(Model.of("gelu", "sigmoid"), truth, n=5, replicates=3, noise=0.1)
    >>> x, y = data.data(2)
    >>> len(data), x.shape, y.shape
    (3, (5, 1), (5,))

    Raises :class:`~identkit.errors.InputError` for a number out of its range and for a truth that
    is a batch or does not fit the model.
    """
    n = whole("n", n, least=1)
    replicates = whole("replicates", replicates, least=1)
    seed = whole("seed", seed, least=0)
    sd = _number("noise", noise)
    if sd < 0:
        raise InputError(f"noise: {sd:g} is a standard deviation, which is 0 or more.")
    try:
        low, high = domain
    except (TypeError, ValueError):
        raise InputError(f"domain: {domain!r} is not a pair of numbers (low, high).") from None
    low, high = _number("domain", low), _number("domain", high)
    if not low < high or not np.isfinite(high - low):
        raise InputError(f"domain: [{low:g}, {high:g}] is empty or too wide; give low < high.")
    if truth.batch:
        raise InputError(f"truth: holds {len(truth)} measures; choose one, as in truth[0].")
    model.gate.needs_weights("simulation")
    model.pack(truth)  # raises unless it fits
    drawing(model.gate)
    return Simulation(model, truth, n, replicates, sd, seed, (low, high))


@dataclass(frozen=True, eq=False)
class Simulation:
    """``replicates`` data sets of ``n`` samples, drawn when asked for; see :func:`simulate`.

    The data of replicate r are a function of (``seed``, r, ``n``) and of what they are drawn for;
    x alone is a function of (``seed``, r, ``n``), d and ``domain``, so different truths and noise
    levels are compared at the same points.
    """

    model: Model
    truth: MixingMeasure
    n: int
    replicates: int
    noise: float
    seed: int
    domain: tuple[float, float]

    def __len__(self) -> int:
        """The number of replicates."""
        return self.replicates

    @property
    def dim(self) -> int:
        """d, the number of inputs."""
        return self.model.dim

    @property
    def bytes_per_replicate(self) -> int:
        """Memory of one replicate's x and y."""
        return 8 * self.n * (self.dim + 1)

    def data(self, r: int) -> tuple[Array, Array]:
        """x of shape (n, d) and y of shape (n,) of replicate r, counted from 0."""
        x, y = self.batch([r])
        return x[0], y[0]

    def batch(self, indices: Iterable[int]) -> tuple[Array, Array]:
        """x of shape (B, n, d) and y of shape (B, n) of some replicates, in the order given.

        Raises :class:`~identkit.errors.InputError` for a replicate that does not exist, and where
        f of the truth is not finite at some x.
        """
        chosen = self._indices(indices)
        x = np.empty((len(chosen), self.n, self.dim))
        y = np.empty((len(chosen), self.n))
        for i, r in enumerate(chosen):
            self._draw(r, x[i], y[i])
        return x, y

    def batches(
        self, max_bytes: int = 2**28, indices: Iterable[int] | None = None
    ) -> Iterator[tuple[NDArray[np.intp], Array, Array]]:
        """Stream (indices, x, y) over all replicates, or some, with data below ``max_bytes``.

        A batch takes at most half of ``max_bytes``, because a loop still holds the last one while
        the next is drawn; it has at least one replicate, whatever that takes. Each batch has
        arrays of its own, which may be kept.
        """
        whole("max_bytes", max_bytes, least=1)
        chosen = self._indices(range(self.replicates) if indices is None else indices)
        size = max(1, max_bytes // (2 * self.bytes_per_replicate))
        parts = (chosen[i : i + size] for i in range(0, len(chosen), size))
        # nothing of a batch stays in a variable here: the consumer alone keeps it alive
        return ((np.array(part, dtype=np.intp), *self.batch(part)) for part in parts)

    def _indices(self, indices: Iterable[int]) -> list[int]:
        chosen = [whole("replicate", r, least=0) for r in indices]
        beyond = next((r for r in chosen if r >= self.replicates), None)
        if beyond is not None:
            raise InputError(
                f"replicate: {beyond} does not exist; the {self.replicates} are counted from 0."
            )
        return chosen

    def _draw(self, r: int, x: Array, y: Array) -> None:
        """Fill x (n, d) and y (n,), both contiguous: first all of x, then the noise."""
        rng, respond = generator(self.seed, r, self.n), drawing(self.model.gate)
        low, high = self.domain
        flat = x.reshape(-1)  # a view: uniforms are drawn sample by sample, input by input
        for start in range(0, flat.size, CHUNK):
            part = flat[start : start + CHUNK]
            rng.random(out=part)
            part *= high - low
            part += low
        for start in range(0, self.n, CHUNK):
            points, part = x[start : start + CHUNK], y[start : start + CHUNK]
            part[...] = respond(rng, self.model.predict(self.truth, points), self.noise)
            if not np.isfinite(part).all():
                where = points[int(np.argmin(np.isfinite(part)))]
                raise InputError(
                    "truth: f is not finite at x = "
                    f"({', '.join(f'{v:.4g}' for v in where)}); change the truth or narrow the "
                    "domain."
                )

    def starts(
        self,
        k: int,
        scale: float = 0.1,
        kind: str = "local",
        start: int = 0,
        *,
        over: int = 0,
        spread: float = 0.4,
        box: tuple[ArrayLike, ArrayLike] = (-3.0, 3.0),
        indices: Iterable[int] | None = None,
    ) -> MixingMeasure:
        """One starting measure of k atoms for each replicate (or for ``indices``): a batch (R,).

        ``kind`` is one of :data:`STARTS`; ``start`` counts several starts of one replicate. Start
        s of replicate r is a function of (seed, r, kind, s) and of the options, not of n.

        ``local``: true atom ``over`` stands m = k − k* + 1 times, side by side, with its weight
        shared out (sigmoid: σ(β0_i) = σ(β0*)/m; softmax: β0_i = β0* − log m), the other true atoms
        once; then ``scale``·N(0, 1) is added to every parameter. ``split``: before that, η of the
        m copies is multiplied by m numbers evenly from 1 − ``spread`` to 1 + ``spread``.
        ``null``: the truth comes first, then k − k* atoms with the gate of atom ``over`` and η = 0,
        plus the same noise; under a normalised gate these take weight away from the others.
        ``away``: every parameter is uniform between the ends of ``box``, each a number or one per
        parameter of an atom (β1, β0, η); ``scale`` plays no part. Where atoms are in groups, copies
        are in the group of ``over``; what a gauge holds, as a temperature, stays as it is.

        Raises :class:`~identkit.errors.InputError` for an unknown kind, k < k* (except ``away``),
        and for copies under a gate whose weight it cannot share out.
        """
        if kind not in STARTS:
            raise unknown_name("start", kind, STARTS)
        k, start = whole("k", k, least=1), whole("start", start, least=0)
        chosen = self._indices(range(self.replicates) if indices is None else indices)
        if not chosen:
            raise InputError("replicate: none is chosen; name at least one.")
        rngs = (generator(self.seed, r, _KIND_CODE[kind], start, _STARTS_STREAM) for r in chosen)
        if kind == "away":
            fitted = self.fitted(k, over)
            shape = (fitted.layout.length(k),)
            low, high = _box(box, k, fitted.layout)
            drawn = np.stack([rng.random(shape) for rng in rngs])
            vectors = low + (high - low) * drawn
        else:
            scale = _number("scale", scale)
            if scale < 0:
                raise InputError(f"scale: {scale:g} is a standard deviation, which is 0 or more.")
            centre = self._centre(k, kind, whole("over", over, least=0), spread)
            fitted = self.model.grouped(centre.layout.groups)
            shape = (centre.layout.length(k),)
            drawn = np.stack([rng.standard_normal(shape) for rng in rngs])
            still = fitted.gate.still(fitted.layout, k)  # a gauge, or jumps of f: not moved
            drawn[:, still] = 0.0
            vectors = centre.to_vector() + scale * drawn
        return fitted.unpack(vectors)

    def fitted(self, k: int, over: int = 0) -> Model:
        """The model of k atoms: where atoms are in groups, the group of ``over`` has the others."""
        groups = list(self.truth.layout.groups)
        if groups:
            home = next(g for g, part in enumerate(self.truth.layout.members) if over < part.stop)
            groups[home] += k - self.truth.atoms
            if groups[home] < 1:
                raise InputError(f"k: {k} atoms leave group {home} empty; raise k.")
        return self.model.grouped(groups)

    def _centre(self, k: int, kind: str, over: int, spread: float) -> MixingMeasure:
        """The measure that starts of this kind scatter around."""
        truth = self.truth
        if k < truth.atoms:
            raise InputError(
                f"k: {k} atoms are fewer than the {truth.atoms} of the truth; raise k, or start "
                "'away'."
            )
        if over >= truth.atoms:
            raise InputError(
                f"over: the truth has no atom {over}; its {truth.atoms} are counted from 0."
            )
        extra = k - truth.atoms
        # the copies are beside the atom, in its group
        order = [j for j in range(truth.atoms) for _ in range(extra + 1 if j == over else 1)]
        copies = list(range(over, over + extra + 1))
        if kind == "null" and not truth.layout.groups:
            order = [*range(truth.atoms), *[over] * extra]
            copies = [over, *range(truth.atoms, k)]
        layout = self.fitted(k, over).layout
        values = {
            b.name: truth[b.name][order] if b.per_atom else truth[b.name] for b in layout.blocks
        }
        eta = values[EXPERT.name]
        if kind == "null":
            eta[copies[1:]] = 0.0
            return MixingMeasure.of(layout, values)
        if extra:
            values["beta0"][copies] = _shared(self.model.gate, truth.beta0[over], extra + 1)
        if extra and kind == "split":
            spread = _number("spread", spread)
            eta[copies] *= np.linspace(1 - spread, 1 + spread, extra + 1)[:, None]
        return MixingMeasure.of(layout, values)


def drawing(gate: Gate) -> Callable[[np.random.Generator, Array, float], Array]:
    """How responses are drawn under the gate's likelihood. Raises InputError if none are."""
    likelihood = resolve(gate.likelihood)
    if likelihood.respond is None:
        raise InputError(
            f"likelihood {likelihood.name}: no rule draws a response from f; use {LEAST_SQUARES}."
        )
    return likelihood.respond


def _shared(gate: Gate, beta0: float, m: int) -> float:
    if gate.share is None:
        raise InputError(
            f"k: no rule shares the weight of gate '{gate.name}' among {m} copies; start from "
            "'null' or 'away'."
        )
    return gate.share.beta0(beta0, m)


def generator(seed: int, *key: int) -> np.random.Generator:
    """The stream of a seed and some whole numbers."""
    # PCG64DXSM: the fast one of NumPy's generators recommended for many parallel streams
    return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(seed, spawn_key=key)))


def _box(box: tuple[ArrayLike, ArrayLike], k: int, layout: Layout) -> tuple[Array, Array]:
    """The ends of a box as arrays of the vector's length.

    They are numbers, or one per parameter of an atom, or one per number of the vector.
    """
    width, length = layout.width, layout.length(k)
    try:
        ends = [np.asarray(end, dtype=np.float64) for end in box]
        if not layout.beside:
            ends = [np.tile(end, k) if end.shape == (width,) else end for end in ends]
        low, high = (np.broadcast_to(end, (length,)) for end in ends)
    except (TypeError, ValueError):
        count = f"{width} numbers (β1, β0, η of an atom)"
        if layout.beside:
            count = f"{length} numbers, those of the vector"
        raise InputError(f"box: must be (low, high), each a number or {count}.") from None
    if not (np.isfinite(low) & np.isfinite(high) & (low <= high)).all():
        raise InputError("box: each low must be finite and at most its high; exchange or correct.")
    return low, high


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name}: {value!r} is not a number; give one.") from None
    if not np.isfinite(number):
        raise InputError(f"{name}: {number} must be finite; give another number.")
    return number
