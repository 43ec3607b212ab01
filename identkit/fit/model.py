"""A model to fit: gate × expert, compiled from its expressions to vectorised functions.

The same expressions that ``check`` certifies are differentiated by SymPy and printed for NumPy,
torch or Numba. Parameters are ordered as the layout says: (β1_1 … β1_d, β0, η_1 … η_q), atom after
atom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.experts import Expert, builtin, scalar
from identkit.fit.structure import (
    Places,
    Structure,
    places,
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
    (ω, ω', ω''). Entries that are constant are plain numbers.
    """

    expert: Callable[..., tuple]
    gate: Callable[..., tuple]


@dataclass(frozen=True)
class Model:
    """f_G(x) = Σ_i weight_i(x)·h(x, η_i) for one expert and one gate; any number of atoms.

    >>> model = Model.of("gelu", "sigmoid", dim=2)
    >>> model.parameters, model.slots
    (('a0', 'a1', 'b'), 1)
    """

    expert: Expert
    gate: Gate

    def __post_init__(self) -> None:
        scalar(self.expert, "a model is fitted and simulated with")

    @classmethod
    def of(
        cls,
        expert: Expert | str,
        gate: Gate | str,
        dim: int | None = None,
        shape: str | None = None,
    ) -> Model:
        """A model from names; ``dim`` (default 1) and ``shape`` belong to built-in experts."""
        if isinstance(expert, str):
            expert = builtin(expert, shape, 1 if dim is None else dim)
        elif shape is not None or dim not in (None, expert.dim):
            raise InputError(
                "model: dim and shape belong to built-in experts; the one given has its own."
            )
        return cls(expert, resolve(gate))

    def __getstate__(self) -> dict[str, Any]:
        """Pickled without what was compiled from the expressions."""
        return {"expert": self.expert, "gate": self.gate}

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
        return Layout.of(self.gate.blocks, self.dim, len(self.parameters))

    @property
    def per_atom(self) -> int:
        """The parameters of one atom, d + 1 + q of a gate with β1 and β0 alone."""
        return self.layout.width

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
    def places(self) -> Places:
        """Where the numbers of an atom enter f."""
        return places(self.layout, self.structure)

    @property
    def compressible(self) -> bool:
        """Whether data are compressed to Gauss nodes: one input and a smooth expert."""
        return self.dim == 1 and self.expert.is_smooth

    @property
    def slots(self) -> int:
        """Pre-activations of the expert."""
        return len(self.structure.slots)

    @cached_property
    def expressions(self) -> tuple[tuple[sp.Expr, ...], tuple[sp.Expr, ...]]:
        """φ with its first and second derivatives, and ω with its two.

        All that evaluates f is made of them. Raises InputError for a gate with other parameters
        than the score's.
        """
        self.gate.needs_affine("fit")
        s = self.structure
        first = [sp.diff(s.phi, u) for u in s.slots]
        second = [
            sp.diff(first[t], s.slots[v]) for t in range(len(s.slots)) for v in range(t, self.slots)
        ]
        weight: Any = stable(self.gate.weight(SCORE))
        gate = [weight, sp.diff(weight, SCORE), sp.diff(weight, SCORE, 2)]
        return (
            tuple(_decimals(stable(e)) for e in (s.phi, *first, *second)),
            tuple(_decimals(e) for e in gate),
        )

    @cached_property
    def exponential(self) -> bool:
        """Whether ω = exp: then a common factor cancels and scores are shifted by their maximum."""
        weight = self.expressions[1][0]
        return self.gate.divides and sp.diff(weight, SCORE) == weight

    @cached_property
    def arguments(self) -> tuple[Any, ...]:
        """What the expert's heads are called with: slots, then inputs used directly."""
        inputs = [sp.Symbol(self.expert.inputs[s], real=True) for s in self.structure.direct]
        return (*self.structure.slots, *inputs)

    def heads(self, functions: Mapping[str, Any]) -> Heads:
        """Compile for a library: ``functions`` maps the grammar's names to its functions."""
        expert, gate = self.expressions
        space = [dict(functions)]
        return Heads(
            sp.lambdify(self.arguments, expert, modules=space, cse=True),
            sp.lambdify((SCORE,), gate, modules=space, cse=True),
        )

    @cached_property
    def _values(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """φ and ω alone, for NumPy."""
        expert, gate = self.expressions
        space = [numpy_functions()]
        return (
            sp.lambdify(self.arguments, expert[0], modules=space, cse=True),
            sp.lambdify((SCORE,), gate[0], modules=space, cse=True),
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
        return measure.to_vector()

    def unpack(self, vector: ArrayLike) -> MixingMeasure:
        """The mixing measure(s) of parameter vectors (…, p)."""
        return MixingMeasure.of_vector(self.layout, vector)

    def pinned(self, atoms: int) -> NDArray[np.bool_]:
        """Mask (p,) of the parameters that are held at 0 to fix the gauge: the last atom's gate."""
        mask = np.zeros(self.layout.length(atoms), dtype=bool)
        gauge = self.gate.pinning
        if gauge is not None:
            mask[[self.layout.index(atoms - 1, i) for i in gauge.places(self.layout)]] = True
        return mask

    def free(self, atoms: int) -> int:
        """The number of parameters of k atoms that are left when the gauge is fixed."""
        gauge = self.gate.pinning
        fixed = 0 if gauge is None else gauge.dimension(self.dim, atoms)
        return self.layout.length(atoms) - fixed

    def predict(self, measure: MixingMeasure, x: ArrayLike) -> Array:
        """f_G(x), shape (…, n), for x of shape (n, d), or (R, n, d) with R measures."""
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

    def _by_chunks(
        self, measure: MixingMeasure, x: ArrayLike, combine: Callable[..., Array], axes: int
    ) -> Array:
        self.gate.needs_affine("fit")
        self.pack(measure)
        points = real_array("x", x)
        if points.ndim < 2 or points.shape[-1] != self.dim:
            raise InputError(f"x: has shape {points.shape}, must be (n, {self.dim}).")
        n = points.shape[-2]
        batch = np.broadcast_shapes(measure.batch, points.shape[:-2])
        shape = (*batch, *((measure.atoms,) if axes else ()), n)
        out = np.empty(shape)
        size = max(1, CHUNK // max(1, int(np.prod(batch, dtype=int))))
        for start in range(0, n, size):
            part = points[..., start : start + size, :]
            out[..., start : start + size] = combine(*self._chunk(measure, part))
        return out

    def _chunk(self, measure: MixingMeasure, x: Array) -> tuple[Array, Array]:
        """Weights and expert values, (…, k, n) each."""
        s = self.structure
        score = measure.beta0[..., None] + measure.beta1[..., :1] * x[..., None, :, 0]
        for c in range(1, self.dim):  # in the order of the inputs, whatever the batch
            score += measure.beta1[..., c : c + 1] * x[..., None, :, c]
        if self.exponential:
            score = score - score.max(axis=-2, keepdims=True)
        expert, gate = self._values
        weight = np.broadcast_to(gate(score), score.shape)
        if self.gate.divides:
            weight = weight / weight.sum(axis=-2, keepdims=True)
        slots: list[Any] = [0.0] * self.slots
        for value, t, feature, scale in zip(
            np.moveaxis(measure.eta, -1, 0), s.slot_of, s.feature_of, s.scale_of, strict=True
        ):
            column = scale * value[..., None]
            slots[t] = slots[t] + (
                column if feature == self.dim else column * x[..., None, :, feature]
            )
        direct = [x[..., None, :, feature] for feature in s.direct]
        return weight, np.broadcast_to(expert(*slots, *direct), score.shape)


SCORE = sp.Symbol("s", real=True)


def _decimals(expression: Any) -> Any:
    """Irrational constants as numbers, so that no library computes √2 for every sample."""
    return expression.replace(
        lambda node: node.is_number and not node.is_Rational and not node.is_Float,
        lambda node: node.evalf(17),
    )


def numpy_functions() -> dict[str, Any]:
    """The grammar's functions for NumPy arrays."""
    from scipy import special

    named = [(h, *h.numpy.split(":")) for h in HEADS]
    return {
        **{h.name: getattr(import_module(module), name) for h, module, name in named},
        "sqrt": np.sqrt,
        "acos": np.arccos,
        "Logistic": special.expit,
        "Softplus": lambda z: np.logaddexp(0.0, z),
        "Step": lambda z: np.heaviside(z, 0.0),
        "Abs": np.abs,
        "sign": np.sign,
    }
