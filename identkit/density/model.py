"""The model of a conditional density: routed atoms, shared atoms, a likelihood.

    p(y|x) = Σ_i w_i(x) V(y; h(x, η_i), ν_i)
    p(y|x) = ½ Σ_a ω_a V(y; h_1(x, κ_a), τ_a) + ½ Σ_i w_i(x) V(y; h_2(x, η_i), ν_i)

with weights w that add up to 1. The vector that is fitted is the routed half's numbers, the shared
half's, then the logarithms of the variances: of routed atoms, of shared ones, or one of all. An
atom's *rows* are the slots of its score, those of its expert and log ν; log p is a function of the
rows, which are linear in the numbers of the vector (:mod:`identkit.fit.structure`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.density.half import Half
from identkit.density.measure import DensityMeasure
from identkit.errors import InputError
from identkit.experts import Expert, builtin
from identkit.fit.model import CHUNK
from identkit.gates import Gate, input_free, resolve
from identkit.likelihoods import Likelihood
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.likelihoods.density import LogDensity
from identkit.mixing import real_array
from identkit.vocabulary import Variance

Array = NDArray[np.float64]
HALF = float(np.log(0.5))


class Entry(NamedTuple):
    """The number ``number`` of the vector adds scale·θ·feature to a row."""

    number: NDArray[np.int64]
    row: NDArray[np.int64]
    feature: NDArray[np.int64]
    scale: Array


class Rows(NamedTuple):
    """Where rows stand, for m shared and k routed atoms (shared ones first).

    ``start`` (C,) is an atom's first row, ``group`` (C,) its group, ``half`` (C,) 0 if it is
    shared, else 1; ``group_half`` and ``group_start`` (G,) are of the groups; ``total`` rows.
    """

    start: NDArray[np.int64]
    group: NDArray[np.int64]
    half: NDArray[np.int64]
    group_half: NDArray[np.int64]
    group_start: NDArray[np.int64]
    total: int
    entries: Entry


@dataclass(frozen=True)
class DensityModel:
    """p(y|x) for an expert, a gate and a likelihood; ``shared`` is the expert of shared atoms.

    >>> model = DensityModel.of("linear", "softmax", shared="tanh")
    >>> model.length((1, 2)), model.numbers((1, 2))[-3:]
    (14, (('routed', 0, 'ν'), ('routed', 1, 'ν'), ('shared', 0, 'τ')))

    Raises :class:`~identkit.errors.InputError` for a gate whose weights do not add up to 1, for a
    likelihood without a density, and for experts of other inputs or outputs than it needs.
    """

    routed: Half
    likelihood: Likelihood
    shared: Half | None = None

    @classmethod
    def of(
        cls,
        expert: Expert | str,
        gate: Gate | str = "softmax",
        likelihood: Likelihood | str = "gaussian",
        shared: Expert | str | None = None,
        dim: int | None = None,
        groups: Sequence[int] = (),
        shape: str | None = None,
    ) -> DensityModel:
        """A model from names or objects; ``dim`` (default 1) and ``shape`` are of built-in ones."""
        form = resolve_likelihood(likelihood)
        if form.density is None:
            raise InputError(
                f"likelihood {form.name}: it has no density to maximise; use gaussian or "
                "categorical."
            )
        inputs = 1 if dim is None else dim
        if isinstance(shared, Expert) and isinstance(expert, str) and dim is None:
            inputs = shared.dim
        routed = builtin(expert, shape, inputs) if isinstance(expert, str) else expert
        beside = builtin(shared, None, routed.dim) if isinstance(shared, str) else shared
        rule = resolve(gate, form)
        if not rule.adds_up:
            raise InputError(
                f"gate {rule.name}: its weights do not add up to 1, so that there is no density "
                "p(y|x) to fit; use softmax or normalized-sigmoid, or least squares."
            )
        rule.needs_weights("fit")
        own = Half(routed, rule, tuple(groups), form.density)
        other = None
        if beside is not None:
            if beside.dim != routed.dim:
                raise InputError(
                    f"--shared: '{beside.text[:60]}' has {beside.dim} inputs, the routed expert "
                    f"{routed.dim}; give experts of the same inputs."
                )
            other = Half(beside, input_free.GAUSSIAN[0].under(form), (), form.density)
            if other.outputs != own.outputs:
                raise InputError(
                    f"--shared: it has {other.outputs} outputs, the routed expert {own.outputs}; "
                    "give the same number."
                )
        if form.density.spread and own.outputs > 1:
            raise InputError(
                f"likelihood {form.name}: the response is one number, the expert has "
                f"{own.outputs} outputs; give one, or use categorical."
            )
        return cls(own, form, other)

    # -- shape of the vector ---------------------------------------------------------------------

    @property
    def density(self) -> LogDensity:
        """What is fitted."""
        assert self.likelihood.density is not None
        return self.likelihood.density

    @property
    def common(self) -> bool:
        """Whether all atoms have one variance."""
        return self.likelihood.variance is Variance.COMMON

    @property
    def dim(self) -> int:
        """d, the number of inputs."""
        return self.routed.dim

    def grouped(self, groups: Sequence[int]) -> DensityModel:
        """The model with routed atoms in groups of other sizes."""
        return replace(self, routed=replace(self.routed, groups=tuple(groups)))

    def spreads(self, atoms: tuple[int, int]) -> int:
        """The number of variances."""
        if not self.density.spread:
            return 0
        return 1 if self.common else sum(atoms)

    def parts(self, atoms: tuple[int, int]) -> tuple[slice, slice, slice]:
        """Where the vector has routed numbers, shared ones, and log-variances."""
        first = self.routed.layout.length(atoms[1])
        second = first + (0 if self.shared is None else self.shared.layout.length(atoms[0]))
        last = second + self.spreads(atoms)
        return slice(0, first), slice(first, second), slice(second, last)

    def length(self, atoms: tuple[int, int]) -> int:
        """The length of the vector of m shared and k routed atoms."""
        return self.parts(atoms)[2].stop

    def check_atoms(self, atoms: tuple[int, int]) -> None:
        """Raise InputError for atoms that the model does not have."""
        if (self.shared is None) != (atoms[0] == 0):
            raise InputError(
                f"atoms: {atoms[0]} shared ones, but the model has "
                f"{'no shared expert; name one' if self.shared is None else 'some; give one'}."
            )

    def pinned(self, atoms: tuple[int, int]) -> NDArray[np.bool_]:
        """Mask (p,) of what is held to fix gauges."""
        none = np.zeros(self.spreads(atoms), dtype=bool)
        shared = [] if self.shared is None else [self.shared.pinned(atoms[0])]
        return np.concatenate([self.routed.pinned(atoms[1]), *shared, none])

    def spread_index(self, atoms: tuple[int, int]) -> NDArray[np.int64]:
        """Where the vector has log ν of each atom, shared ones first, (C,)."""
        start, (m, k) = self.parts(atoms)[2].start, atoms
        if self.common:
            return np.full(m + k, start)
        return start + np.concatenate([k + np.arange(m), np.arange(k)])

    def numbers(self, atoms: tuple[int, int]) -> tuple[tuple[str, int | None, str], ...]:
        """(half, atom, name as printed) of every number of the vector; no atom of what is shared
        by all: half is ``routed``, ``shared`` or ``all``."""
        m, k = atoms
        found = [
            ("routed", i, name) for i, name in self.routed.layout.numbers(self.routed.parameters, k)
        ]
        if self.shared is not None:
            found += [
                ("shared", i, {"β0": "log ω"}.get(name, name))
                for i, name in self.shared.layout.numbers(self.shared.parameters, m)
            ]
        if self.common:
            found.append(("all", None, "ν"))
        elif self.density.spread:
            found += [("routed", i, "ν") for i in range(k)]
            found += [("shared", i, "τ") for i in range(m)]
        return tuple(found)

    def names(self, atoms: tuple[int, int]) -> tuple[str, ...]:
        """The numbers of the vector as printed, without their atoms."""
        return tuple(name for _, _, name in self.numbers(atoms))

    def pack(self, measure: DensityMeasure) -> Array:
        """The vector(s) (…, p), variances as logarithms. Raises InputError if it does not fit."""
        self.check_atoms(measure.atoms)
        routed = self._grouped(measure)
        parts = [routed.pack(measure.routed)]
        if self.shared is not None and measure.shared is not None:
            parts.append(self.shared.pack(measure.shared))
        if self.density.spread != (measure.variances is not None):
            raise InputError(
                f"measure: likelihood {self.likelihood.name} has "
                + ("variances; give them." if self.density.spread else "no variances; drop them.")
            )
        if self.density.spread:
            every: Any = measure.all_variances
            if self.common:
                if not np.allclose(every, every[..., :1], rtol=1e-9, atol=0.0):
                    raise InputError("variances: one of all atoms is asked for; give equal ones.")
                parts.append(np.log(every[..., :1]))
            else:
                m = measure.atoms[0]
                parts += [np.log(every[..., m:]), np.log(every[..., :m])]
        return np.concatenate(parts, axis=-1)

    def unpack(self, vector: ArrayLike, atoms: tuple[int, int]) -> DensityMeasure:
        """The measure(s) of vectors (…, p)."""
        array = np.asarray(vector, dtype=np.float64)
        routed, shared, _ = (array[..., part] for part in self.parts(atoms))
        own = self.routed.unpack(routed)
        beside = None if self.shared is None else self.shared.unpack(shared)
        if not self.density.spread:
            return DensityMeasure(own, None, beside)
        every = np.exp(array[..., self.spread_index(atoms)])
        m = atoms[0]
        return DensityMeasure(
            own, every[..., m:], beside, None if beside is None else every[..., :m]
        )

    def held(self, vector: Array, atoms: tuple[int, int]) -> Array:
        """Vectors (…, p) with gauges fixed."""
        out = vector.copy()
        routed, shared, _ = self.parts(atoms)
        own = self.routed.unpack(vector[..., routed])
        out[..., routed] = self.routed.gate.held(own).to_vector()
        if self.shared is not None:
            beside = self.shared.unpack(vector[..., shared])
            out[..., shared] = self.shared.gate.held(beside).to_vector()
        return out

    def rows(self, atoms: tuple[int, int]) -> Rows:
        """Rows and how the vector's numbers enter them."""
        m, k = atoms
        halves = [(0, self.shared, m, self.parts(atoms)[1].start)] if m else []
        halves.append((1, self.routed, k, 0))
        spread = self.spread_index(atoms) if self.density.spread else None
        start, group, half, group_half, group_start, of_groups = [], [], [], [], [], []
        entries: list[tuple[int, int, int, float]] = []
        at = 0
        for side, model, count, first in halves:
            assert model is not None
            scores = 1 if model.score is None else len(model.score.slots)
            width = scores + len(model.variables)
            sizes = model.groups or (count,)
            outer = 0 if model.group_score is None else len(model.group_score.slots)
            home = np.repeat(np.arange(len(sizes)), sizes) + len(group_half)
            leaders = np.cumsum([0, *sizes[:-1]])
            gather = model.gather(count)
            if gather is None:
                gather = np.arange(count * model.per_atom).reshape(count, -1)
            inner = scores + len(model.structure.slots)
            for i in range(count):
                c = len(start)
                start.append(at)
                group.append(int(home[i]))
                half.append(side)
                for v, (row, feature, scale) in enumerate(zip(*model.places[:3], strict=True)):
                    index = first + int(gather[i, v])
                    if row < inner:
                        entries.append((index, at + row, feature, scale))
                    elif i in leaders:
                        of_groups.append((index, int(home[i]), row - inner, feature, scale))
                if spread is not None:
                    entries.append((int(spread[c]), at + inner, self.dim, 1.0))
                at += width
            group_half += [side] * len(sizes)
            group_start += [outer] * len(sizes)
        widths = np.array(group_start)
        places = at + np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(int)
        entries += [(i, int(places[g]) + t, f, s) for i, g, t, f, s in of_groups]
        index, row, feature, scale = zip(*entries, strict=True)

        def whole(values: Any) -> NDArray[np.int64]:
            return np.array(values, dtype=np.int64)

        return Rows(
            whole(start), whole(group), whole(half), whole(group_half), whole(places),
            at + int(widths.sum()),
            Entry(whole(index), whole(row), whole(feature), np.array(scale, dtype=np.float64)),
        )  # fmt: skip

    # -- values ----------------------------------------------------------------------------------

    def log_components(self, measure: DensityMeasure, x: ArrayLike, y: ArrayLike) -> Array:
        """log of weight_c(x)·V_c(y), (…, m + k, n), shared atoms first, with their ½."""
        points, targets = self._points(x), real_array("y", y)
        if targets.shape != points.shape[:1]:
            raise InputError(f"y: has shape {targets.shape}, must be {points.shape[:1]}.")
        columns = self.density.columns(targets, self.routed.outputs)
        return self._by_chunks(measure, points, columns, True)

    def _by_chunks(
        self, measure: DensityMeasure, x: Array, columns: Array | None, density: bool
    ) -> Array:
        self.pack(measure)
        out = np.empty((*measure.batch, sum(measure.atoms), len(x)))
        step = max(1, CHUNK // max(1, int(np.prod(measure.batch, dtype=int))))
        m = measure.atoms[0]
        routed = self._grouped(measure)
        for begin in range(0, len(x), step):
            part = slice(begin, begin + step)
            weights = routed.log_weights(measure.routed, x[part])
            if self.shared is not None and measure.shared is not None:
                shared = self.shared.log_weights(measure.shared, x[part])
                weights = np.concatenate([shared, weights], axis=-2) + HALF
            if density and columns is not None:
                every: Any = measure.all_variances
                spread = None if every is None else np.log(every)
                for model, own, at in (
                    (self.shared, measure.shared, slice(0, m)),
                    (routed, measure.routed, slice(m, None)),
                ):
                    if model is not None and own is not None:
                        ell = None if spread is None else spread[..., at]
                        weights[..., at, :] += model.logarithms(own, x[part], columns[part], ell)
            out[..., part] = weights
        return out

    def _grouped(self, measure: DensityMeasure) -> Half:
        groups = measure.routed.layout.groups
        if groups == self.routed.groups or not (groups and self.routed.groups):
            return self.routed
        return replace(self.routed, groups=groups)

    def _points(self, x: ArrayLike) -> Array:
        points = real_array("x", x)
        if points.ndim != 2 or points.shape[1] != self.dim:
            raise InputError(f"x: has shape {points.shape}, must be (n, {self.dim}).")
        return points

    def log_density(self, measure: DensityMeasure, x: ArrayLike, y: ArrayLike) -> Array:
        """log p(y_j | x_j), shape (…, n), for x (n, d) and y (n,); classes count from 0."""
        return _log_sum(self.log_components(measure, x, y))

    def posterior(self, measure: DensityMeasure, x: ArrayLike, y: ArrayLike) -> Array:
        """P(atom | x_j, y_j), (…, m + k, n), shared atoms first."""
        parts = self.log_components(measure, x, y)
        return np.exp(parts - _log_sum(parts)[..., None, :])

    def weights(self, measure: DensityMeasure, x: ArrayLike) -> Array:
        """The weights of the atoms at x (n, d), (…, m + k, n), shared ones first; they add to 1."""
        return np.exp(self._by_chunks(measure, self._points(x), None, False))

    def outputs(self, measure: DensityMeasure, x: ArrayLike) -> Array:
        """h of every atom, (…, m + k, outputs, n)."""
        points = self._points(x)
        found = [self.routed.outputs_at(measure.routed.eta, points)]
        if self.shared is not None and measure.shared is not None:
            found.insert(0, self.shared.outputs_at(measure.shared.eta, points))
        return np.concatenate(found, axis=-3)

    def means(self, measure: DensityMeasure, x: ArrayLike) -> Array:
        """E[y | x, atom], (…, m + k, n). Raises InputError where y is a class."""
        if self.density.mean is None:
            raise InputError(f"likelihood {self.likelihood.name}: y is a class and has no mean.")
        return self.density.mean(self.outputs(measure, x))

    def mean(self, measure: DensityMeasure, x: ArrayLike) -> Array:
        """E[y | x], (…, n)."""
        return (self.weights(measure, x) * self.means(measure, x)).sum(axis=-2)

    def sample(self, measure: DensityMeasure, x: ArrayLike, rng: np.random.Generator) -> Array:
        """y (n,) drawn from p(·|x_j), for one measure."""
        if measure.batch:
            raise InputError("sample: there are several measures; choose one, as in measure[0].")
        points = self._points(x)
        heights = self.weights(measure, points).cumsum(axis=0)
        chosen = (rng.uniform(size=len(points)) >= heights[:-1]).sum(axis=0)
        at = np.arange(len(points))
        h = self.outputs(measure, points)[chosen, :, at].T
        every = measure.all_variances
        nu = None if every is None else every[chosen]
        return self.density.draw(rng, h, nu)


def _log_sum(parts: Array) -> Array:
    """log Σ exp over the atoms of (…, C, n)."""
    top = parts.max(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return top + np.log(np.exp(parts - top[..., None, :]).sum(axis=-2))
