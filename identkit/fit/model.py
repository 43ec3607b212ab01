"""A model to fit: gate × expert, compiled from its expressions to vectorised functions.

The same expressions that ``check`` certifies are differentiated by SymPy and printed for NumPy,
torch or Numba. Parameters are ordered as the layout says: (β1_1 … β1_d, β0, η_1 … η_q), atom after
atom, then what groups of atoms or all of them share. Computed with is a *unit* for each atom: its
own numbers, those of its group and those of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.experts import Expert, builtin, scalar
from identkit.expression import Step, symbol
from identkit.fit.gradient import gradient_chunk
from identkit.fit.printing import function_of
from identkit.fit.structure import (
    Places,
    Root,
    Structure,
    places,
    score_structure,
    stable,
    structure,
)
from identkit.gates import Gate, resolve
from identkit.heads import HEADS
from identkit.layout import Layout
from identkit.mixing import MixingMeasure, real_array

Array = NDArray[np.float64]
CHUNK = 8192
"""Samples per chunk where whole arrays over (atoms, samples) are built: they stay in cache."""


@dataclass(frozen=True)
class Heads:
    """Scalar functions of the slots, to be called with (slots…, direct inputs…).

    ``expert`` returns φ, then φ_t for each slot, then φ_tt' for t ≤ t'. ``gate`` maps the score to
    (ω, ω', ω''). Entries that are constant are plain numbers. ``score`` is to the slots of the
    score, and ``group`` to those of the group's, what ``expert`` is to its own; None for
    β1ᵀx + β0, and without groups.
    """

    expert: Callable[..., tuple]
    gate: Callable[..., tuple]
    score: Callable[..., tuple] | None = None
    group: Callable[..., tuple] | None = None


@dataclass(frozen=True)
class Model:
    """f_G(x) = Σ_i weight_i(x)·h(x, η_i) for one expert and one gate; any number of atoms.

    ``groups`` are the sizes of the groups of atoms under a gate of two levels.

    >>> model = Model.of("gelu", "sigmoid", dim=2)
    >>> model.parameters, model.slots
    (('a0', 'a1', 'b'), 1)
    """

    expert: Expert
    gate: Gate
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        scalar(self.expert, "a model is fitted and simulated with")
        if self.gate.router is not None:
            self.gate.router.parameters(self.expert.inputs)  # raises unless it is about these

    @classmethod
    def of(
        cls,
        expert: Expert | str,
        gate: Gate | str,
        dim: int | None = None,
        shape: str | None = None,
        groups: Sequence[int] = (),
    ) -> Model:
        """A model from names; ``dim`` (default 1) and ``shape`` belong to built-in experts."""
        if isinstance(expert, str):
            expert = builtin(expert, shape, 1 if dim is None else dim)
        elif shape is not None or dim not in (None, expert.dim):
            raise InputError(
                "model: dim and shape belong to built-in experts; the one given has its own."
            )
        return cls(expert, resolve(gate), tuple(groups))

    def grouped(self, groups: Sequence[int]) -> Model:
        """The model with groups of other sizes."""
        sizes = tuple(groups)
        if sizes == self.groups:
            return self
        if sizes not in self._siblings:
            made = replace(self, groups=sizes)
            for name in _OF_ANY_GROUPS if self.groups else ():  # what was compiled is the same
                made.__dict__[name] = getattr(self, name)
            self._siblings[sizes] = made
        return self._siblings[sizes]

    @cached_property
    def _siblings(self) -> dict[tuple[int, ...], Model]:
        """The models with other groups that were asked for."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Pickled without what was compiled from the expressions."""
        return {"expert": self.expert, "gate": self.gate, "groups": self.groups}

    @property
    def dim(self) -> int:
        """d, the number of inputs."""
        return self.expert.dim

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of η, length q."""
        return self.expert.parameters

    @cached_property
    def layout(self) -> Layout:
        """The gate's blocks and η."""
        return self.gate.layout(self.dim, len(self.parameters), self.groups)

    @property
    def per_atom(self) -> int:
        """The numbers of a unit, d + 1 + q of a gate with β1 and β0 alone."""
        return self.layout.width + self.layout.group_width + self.layout.shared

    def gather(self, atoms: int) -> NDArray[np.intp] | None:
        """Where the vector has the numbers of each unit, (k, per_atom); None where in order."""
        layout = self.layout
        if not layout.beside:
            return None
        group = np.repeat(np.arange(len(layout.groups)), layout.groups or 0)
        shared = layout.length(atoms) - layout.shared
        own = np.arange(atoms)[:, None] * layout.width + np.arange(layout.width)
        parts = [own]
        if len(group):
            first = atoms * layout.width + group[:, None] * layout.group_width
            parts.append(first + np.arange(layout.group_width))
        parts.append(np.tile(shared + np.arange(layout.shared), (atoms, 1)))
        return np.concatenate(parts, axis=1)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of one atom's parameters, in the order of the vector."""
        return self.layout.names(self.parameters)

    @property
    def units(self) -> tuple[str | None, ...]:
        """Units of one atom's parameters, None where they are not known: of an expert that is
        affine in η and x they are those of y over x, of any other they are the expert's own."""
        s = self.structure
        slots: Any = s.slots
        linear = sum(slots)
        own: list[str | None] = [None] * len(self.parameters)
        if sp.expand(s.phi - linear) == 0:
            inputs = (*self.expert.inputs, "")
            own = [f"y/{inputs[f]}".rstrip("/") for f in s.feature_of]
        return self.layout.units(self.expert.inputs, own)

    @cached_property
    def structure(self) -> Structure:
        return structure(self.expert)

    @cached_property
    def score(self) -> Structure | None:
        """The slots of the score; None for the one of β1ᵀx + β0."""
        if self.gate.is_affine:
            return None
        blocks = [b for b in self.layout.of_gate if not b.per_group]
        ordered = [b for b in blocks if b.per_atom] + [b for b in blocks if not b.per_atom]
        return self._score_of(ordered, self.gate.score_of)

    @cached_property
    def group_score(self) -> Structure | None:
        """The slots of the score of a group, None without groups."""
        level = self.gate.level
        return None if level is None else self._score_of(level.blocks, level.score)

    def _score_of(self, blocks: Sequence[Any], of: Callable[..., Any]) -> Structure:
        inputs = [symbol(name) for name in self.expert.inputs]
        values = {
            b.name: tuple(
                sp.Symbol(f"{b.name}[{i}]", real=True, positive=p or None)
                for i, p in enumerate(self.layout.positive(b))
            )
            for b in blocks
        }
        numbers = [v for b in blocks for v in values[b.name]]
        return score_structure(of(inputs, values), inputs, numbers)

    @cached_property
    def places(self) -> Places:
        """Where the numbers of an atom enter f."""
        return places(self.layout, self.score, self.structure, self.group_score)

    @property
    def compressible(self) -> bool:
        """Whether data are compressed to Gauss nodes: one input, a smooth expert and gate."""
        return self.dim == 1 and self.expert.is_smooth and self._gate_is_smooth

    @property
    def _gate_is_smooth(self) -> bool:
        if self.gate.is_affine:
            return True
        scores = (s.phi for s in (self.score, self.group_score) if s is not None)
        kinked = any(phi.has(Step, sp.Abs, sp.sign, Root) for phi in scores)
        return self.gate.selection is None and not kinked

    @property
    def slots(self) -> int:
        """Pre-activations of the expert."""
        return len(self.structure.slots)

    @cached_property
    def expressions(self) -> tuple[tuple[sp.Expr, ...], tuple[sp.Expr, ...]]:
        """φ with its first and second derivatives, and ω with its two.

        All that evaluates f is made of them, and of the scores. Raises InputError for a gate whose
        weights are not known.
        """
        self.gate.needs_weights("fit")
        weight: Any = stable(self.gate.weight(SCORE))
        gate = [weight, sp.diff(weight, SCORE), sp.diff(weight, SCORE, 2)]
        return (
            _derivatives(self.structure),
            tuple(decimals(e) for e in gate),
        )

    @cached_property
    def exponential(self) -> bool:
        """Whether ω = exp: then a common factor cancels and scores are shifted by their maximum."""
        weight = self.expressions[1][0]
        return self.gate.divides and sp.diff(weight, SCORE) == weight

    @cached_property
    def arguments(self) -> tuple[Any, ...]:
        """What the expert's heads are called with: slots, then inputs used directly."""
        return self._arguments(self.structure)

    def _arguments(self, found: Structure) -> tuple[Any, ...]:
        return (*found.slots, *(symbol(self.expert.inputs[s]) for s in found.direct))

    def heads(self, functions: Mapping[str, Any]) -> Heads:
        """Compile for a library: ``functions`` maps the grammar's names to its functions."""
        return Heads(
            function_of(self.arguments, self.expressions[0], functions),
            self.gate_heads(functions),
            self.compiled(self.score, functions),
            self.compiled(self.group_score, functions),
        )

    def gate_heads(self, functions: Mapping[str, Any]) -> Callable[..., tuple]:
        """(ω, ω', ω'') of the score, compiled for a library."""
        return function_of((SCORE,), self.expressions[1], functions)

    def compiled(self, found: Structure | None, functions: Mapping[str, Any]) -> Any:
        """A function with its derivatives in its slots; None for none."""
        if found is None:
            return None
        return function_of(self._arguments(found), _derivatives(found), functions)

    @cached_property
    def numpy_heads(self) -> Heads:
        """The heads for NumPy arrays."""
        return self.heads(numpy_functions())

    @cached_property
    def _values(self) -> tuple[Callable[..., Any], ...]:
        """φ and ω alone, for NumPy, and the scores of atoms and groups where there are slots."""
        expert, gate = self.expressions
        functions = numpy_functions()
        scores = (s for s in (self.score, self.group_score) if s is not None)
        return (
            function_of(self.arguments, expert[0], functions),
            function_of((SCORE,), gate[0], functions),
            *(function_of(self._arguments(s), decimals(s.phi), functions) for s in scores),
        )

    def pack(self, measure: MixingMeasure) -> Array:
        """The parameter vector(s) (…, p). Raises InputError if the measure does not fit."""
        if measure.dim != self.dim or measure.parameters != len(self.parameters):
            raise InputError(
                f"mixing measure: it has d = {measure.dim} inputs and q = {measure.parameters} "
                f"expert parameters; {self.expert.label} has {self.dim} and "
                f"{len(self.parameters)}."
            )
        self.gate.check_layout(measure.layout)
        if measure.layout.groups != self.groups:
            raise InputError(
                f"mixing measure: its groups have the sizes {_sizes(measure.layout.groups)}, those "
                f"of the model {_sizes(self.groups)}; give the same."
            )
        return measure.to_vector()

    def unpack(self, vector: ArrayLike) -> MixingMeasure:
        """The mixing measure(s) of parameter vectors (…, p)."""
        return MixingMeasure.of_vector(self.layout, vector)

    def pinned(self, atoms: int) -> NDArray[np.bool_]:
        """Mask (p,) of the parameters that are held to fix gauges, as the last atom's gate at 0."""
        mask = np.zeros(self.layout.length(atoms), dtype=bool)
        mask[self.gate.pinned(self.layout, atoms)] = True
        return mask

    def free(self, atoms: int) -> int:
        """The number of parameters of k atoms that are left when the gauge is fixed."""
        return self.layout.length(atoms) - int(self.pinned(atoms).sum())

    def predict(self, measure: MixingMeasure, x: ArrayLike) -> Array:
        """f_G(x), shape (…, n), for x of shape (n, d), or (R, n, d) with R measures.

        Here and below the groups may be those of the measure, of other sizes than the model's.
        """
        return self._by_chunks(measure, x, lambda w, h: (w * h).sum(axis=-2), 0)

    def weights(self, measure: MixingMeasure, x: ArrayLike) -> Array:
        """Gate weights, shape (…, k, n); under a normalised gate they sum to 1 over atoms."""
        return self._by_chunks(measure, x, lambda w, h: w, 1)

    def experts(self, measure: MixingMeasure, x: ArrayLike) -> Array:
        """h(x, η_i), shape (…, k, n)."""
        return self._by_chunks(measure, x, lambda w, h: h, 1)

    def contributions(self, measure: MixingMeasure, x: ArrayLike) -> Array:
        """weight_i(x)·h(x, η_i), the terms of f_G, shape (…, k, n)."""
        return self._by_chunks(measure, x, lambda w, h: w * h, 1)

    def scores(self, measure: MixingMeasure, x: ArrayLike) -> Array:
        """The scores of the atoms, within their groups, shape (…, k, n)."""
        return self._by_chunks(measure, x, lambda w, h: w, 1, "_scores")

    def gradient(self, measure: MixingMeasure, x: ArrayLike) -> Array:
        """∂f_G(x)/∂θ of one measure for x (n, d): shape (n, p), in the order of the vector.

        Raises :class:`~identkit.errors.InputError` for a batch of measures, and as
        :meth:`predict` does. Formulas: :mod:`identkit.fit.gradient`.
        """
        self.gate.needs_weights("fit")
        if measure.batch:
            raise InputError("gradient: there are several measures; choose one, as in measure[0].")
        if measure.layout.groups != self.groups and measure.layout.groups and self.groups:
            return self.grouped(measure.layout.groups).gradient(measure, x)
        size, points = self.pack(measure).size, self._points(x)
        if points.ndim != 2:
            raise InputError(f"x: has shape {points.shape}, must be (n, {self.dim}).")
        out = np.empty((len(points), size))
        # as many numbers at a time as there are in a chunk of weights
        step = max(1, CHUNK // max(1, size // 8))
        for start in range(0, len(points), step):
            part = slice(start, start + step)
            out[part] = gradient_chunk(self, measure, points[part])
        return out

    def _points(self, x: ArrayLike) -> Array:
        """x as an array (…, n, d). Raises InputError for another shape."""
        points = real_array("x", x)
        if points.ndim < 2 or points.shape[-1] != self.dim:
            raise InputError(f"x: has shape {points.shape}, must be (n, {self.dim}).")
        return points

    def _by_chunks(
        self,
        measure: MixingMeasure,
        x: ArrayLike,
        combine: Callable[..., Array],
        axes: int,
        computed: str = "_chunk",
    ) -> Array:
        self.gate.needs_weights("fit")
        if self.groups and measure.layout.groups != self.groups and measure.layout.groups:
            other = self.grouped(measure.layout.groups)
            return other._by_chunks(measure, x, combine, axes, computed)
        self.pack(measure)
        points = self._points(x)
        n = points.shape[-2]
        batch = np.broadcast_shapes(measure.batch, points.shape[:-2])
        shape = (*batch, *((measure.atoms,) if axes else ()), n)
        out = np.empty(shape)
        size = max(1, CHUNK // max(1, int(np.prod(batch, dtype=int))))
        for start in range(0, n, size):
            part = points[..., start : start + size, :]
            values = getattr(self, computed)(measure, part)
            out[..., start : start + size] = combine(*values)
        return out

    def _chunk(self, measure: MixingMeasure, x: Array) -> tuple[Array, Array]:
        """Weights and expert values, (…, k, n) each."""
        s, expert = self.structure, self._values[0]
        weight = self.weights_of_scores(measure, *self._scores(measure, x))
        slots: list[Any] = [0.0] * self.slots
        for value, t, feature, scale in zip(
            np.moveaxis(measure.eta, -1, 0), s.slot_of, s.feature_of, s.scale_of, strict=True
        ):
            column = scale * value[..., None]
            slots[t] = slots[t] + (
                column if feature == self.dim else column * x[..., None, :, feature]
            )
        direct = [x[..., None, :, feature] for feature in s.direct]
        return weight, np.broadcast_to(expert(*slots, *direct), weight.shape)

    def _scores(self, measure: MixingMeasure, x: Array) -> tuple[Array, Array | None]:
        """Scores (…, k, n), and those of the groups for each of their atoms."""
        if self.score is None:
            score = measure.beta0[..., None] + measure.beta1[..., :1] * x[..., None, :, 0]
            for c in range(1, self.dim):  # in the order of the inputs, whatever the batch
                score += measure.beta1[..., c : c + 1] * x[..., None, :, c]
            return score, None
        columns = self._columns(measure)
        found = [
            self._slots(part, columns, first, x)
            for part, first in zip((self.score, self.group_score), self._firsts, strict=True)
            if part is not None
        ]
        with np.errstate(divide="ignore", invalid="ignore"):  # 1/0 where InverseRoot is 0
            of = [call(*arguments) for call, arguments in zip(self._values[2:], found, strict=True)]
        atoms = (*measure.batch, measure.atoms, x.shape[-2])
        shape = np.broadcast_shapes(atoms, (*x.shape[:-2], 1, 1))
        own, *groups = (np.broadcast_to(values, shape) for values in of)
        return own, groups[0] if groups else None

    @property
    def _firsts(self) -> tuple[int, int]:
        """The first row of the slots of the score, and of those of the group's."""
        own = 0 if self.score is None else len(self.score.slots)
        return 0, own + self.slots

    def _columns(self, measure: MixingMeasure) -> Array:
        """The numbers of the units, one after the other: (per_atom, …, k)."""
        vector, index = measure.to_vector(), self.gather(measure.atoms)
        units = vector if index is None else vector[..., index.reshape(-1)]
        return np.moveaxis(units.reshape(*measure.batch, measure.atoms, self.per_atom), -1, 0)

    def _slots(self, found: Structure, columns: Array, first: int, x: Array) -> list[Any]:
        """The arguments of a score: its slots, whose rows begin at ``first``, and inputs."""
        slots: list[Any] = [0.0] * len(found.slots)
        for value, row, feature, scale in zip(columns, *self.places[:3], strict=True):
            t = row - first
            if 0 <= t < len(slots):
                column = scale * value[..., None]
                term = column if feature == self.dim else column * x[..., None, :, feature]
                slots[t] = slots[t] + term
        return [*slots, *(x[..., None, :, feature] for feature in found.direct)]

    def weights_of_scores(self, measure: MixingMeasure, score: Array, group: Array | None) -> Array:
        """Weights of scores (…, k, n), those of groups repeated for each of their atoms."""
        members, selection = self.layout.members or (slice(None),), self.gate.selection
        gate = self._values[1]
        if self.exponential:
            top = [score[..., part, :].max(axis=-2, keepdims=True) for part in members]
            sizes = [score[..., part, :].shape[-2] for part in members]
            score = score - np.concatenate(
                [np.repeat(m, n, axis=-2) for m, n in zip(top, sizes, strict=True)], axis=-2
            )
        weight = np.broadcast_to(gate(score), score.shape)
        if selection is not None:
            compared = score
            if selection.bias is not None:
                compared = weight + measure[selection.bias.name][..., None]
            chosen = selected(compared, selection.count)
            total = weight if selection.divided_by == "all" else weight * chosen
            return weight * chosen / total.sum(axis=-2, keepdims=True)
        if not self.gate.divides:
            return weight
        parts = [
            weight[..., part, :] / weight[..., part, :].sum(axis=-2, keepdims=True)
            for part in members
        ]
        weight = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2)
        if group is None:
            return weight
        first = group[..., [part.start for part in members], :]
        outer = np.exp(first - first.max(axis=-2, keepdims=True))
        outer = outer / outer.sum(axis=-2, keepdims=True)
        return weight * np.repeat(outer, self.groups, axis=-2)


def selected(compared: Array, count: int) -> NDArray[np.bool_]:
    """Whether each of (…, k, n) is among the ``count`` largest of the k; of equal ones the first.

    >>> selected(np.array([[1.0], [3.0], [3.0]]), 1)[:, 0]
    array([False,  True, False])
    """
    order = np.argsort(-compared, axis=-2, kind="stable")
    chosen = np.zeros(compared.shape, dtype=bool)
    np.put_along_axis(chosen, order[..., :count, :], True, axis=-2)
    return chosen


def _sizes(groups: Sequence[int]) -> str:
    return " + ".join(map(str, groups)) or "none"


def _derivatives(found: Structure) -> tuple[Any, ...]:
    """φ, then φ_t for each slot, then φ_tt' for t ≤ t'."""
    first = [sp.diff(found.phi, u) for u in found.slots]
    second = [
        sp.diff(first[t], found.slots[v])
        for t in range(len(found.slots))
        for v in range(t, len(found.slots))
    ]
    return tuple(decimals(stable(e)) for e in (found.phi, *first, *second))


_OF_ANY_GROUPS = (
    "structure", "score", "group_score", "expressions", "exponential", "_values", "numpy_heads",
)  # fmt: skip
"""What a model has that does not depend on the sizes of groups."""
SCORE = sp.Symbol("s", real=True)


def decimals(expression: Any) -> Any:
    """Irrational constants as numbers, so that no library computes √2 for every sample."""
    return expression.replace(
        lambda node: node.is_number and not node.is_Rational and not node.is_Float,
        lambda node: node.evalf(17),
    )


def numpy_functions() -> dict[str, Any]:
    """The grammar's functions for NumPy arrays."""
    return {
        **{h.name: _of_library(h.numpy) for h in HEADS},
        "sqrt": np.sqrt,
        "acos": np.arccos,
        "Logistic": _of_library("scipy.special:expit"),
        "Softplus": lambda z: np.logaddexp(0.0, z),
        "Root": np.sqrt,
        "InverseRoot": lambda z: np.where(z > 0, 1.0 / np.sqrt(z), 0.0),
        "Power": _power,
        "LogPower": _log_power,
        "Step": lambda z: np.heaviside(z, 0.0),
        "Abs": np.abs,
        "sign": np.sign,
    }


def _power(z: Any, b: Any) -> Any:
    with np.errstate(divide="ignore"):  # 0 to a negative power, in 1/(1 + z^b) say
        return np.power(z, b)


def _log_power(z: Any, b: Any, n: int) -> Any:
    at = np.where(z == 0.0, 1.0, z)
    return np.where(z == 0.0, 0.0, np.power(at, b) * np.log(at) ** n)


def _of_library(place: str) -> Callable[..., Any]:
    """The function at ``module:name``; SciPy takes a while, and is imported by the first call."""
    module, name = place.split(":")
    if module == "numpy":
        return getattr(np, name)
    return lambda z: getattr(import_module(module), name)(z)
