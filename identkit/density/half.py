"""One half of a density: atoms whose expert is seen through a log-density.

An atom's density depends on the pre-activations of its expert and on log ν; its logarithm, two
derivatives and the information are SymPy expressions of these, compiled for NumPy, Numba or torch
as the functions of least squares are (:mod:`identkit.fit.structure`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from identkit.expression import symbol
from identkit.fit.model import Model, decimals, numpy_functions, selected
from identkit.fit.printing import function_of
from identkit.fit.structure import stable
from identkit.likelihoods.density import LogDensity
from identkit.mixing import MixingMeasure

Array = NDArray[np.float64]
SPREAD = sp.Symbol("_l", real=True)
"""log ν; a name that the grammar cannot write."""


@dataclass(frozen=True)
class Half(Model):
    """The atoms of one half: a model whose expert may have several outputs, seen by a density."""

    density: LogDensity | None = None

    def __post_init__(self) -> None:
        if self.gate.router is not None:
            self.gate.router.parameters(self.expert.inputs)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "density": self.density}

    @property
    def outputs(self) -> int:
        """m, the values of h."""
        return len(self.expert.functions)

    @cached_property
    def values_of_slots(self) -> tuple[Any, ...]:
        """h_1 … h_m in the slots."""
        markers = [symbol(e) for e in self.expert.markers]
        phi: Any = self.structure.phi
        return tuple(sp.diff(phi, e) for e in markers) if markers else (phi,)

    @cached_property
    def expressions(self) -> tuple[tuple[sp.Expr, ...], tuple[sp.Expr, ...]]:
        """As of a model; of several outputs the values alone."""
        own, gate = super().expressions
        return (self.values_of_slots, gate) if self.expert.markers else (own, gate)

    @cached_property
    def columns(self) -> tuple[Any, ...]:
        """Symbols of the columns of the response."""
        assert self.density is not None
        count = self.density.responses(self.outputs)
        return tuple(sp.Symbol(f"_y{c}", real=True) for c in range(count))

    @property
    def variables(self) -> tuple[Any, ...]:
        """The rows of an atom that its density depends on: slots, then log ν."""
        assert self.density is not None
        return (*self.structure.slots, *((SPREAD,) if self.density.spread else ()))

    @property
    def given(self) -> tuple[Any, ...]:
        """What the density's functions are called with: its variables, direct inputs, columns."""
        direct = self.arguments[len(self.structure.slots) :]
        return (*self.variables, *direct, *self.columns)

    @cached_property
    def density_heads(self) -> tuple[Any, ...]:
        """log V, its first derivatives, its second for t ≤ t', and the information, t ≤ t'."""
        density, h, v = self.density, self.values_of_slots, self.variables
        assert density is not None
        spread = SPREAD if density.spread else None
        # stable in h before it is differentiated: exp(h)/(1 + exp(h)) would overflow
        values = tuple(sp.Symbol(f"_h{c}", real=True) for c in range(len(h)))
        formula: Any = stable(density.formula(values, self.columns, spread))
        at = dict(zip(values, h, strict=True))
        phi = formula.xreplace(at)
        first = [sp.diff(phi, u) for u in v]
        pairs = [(s, t) for s in range(len(v)) for t in range(s, len(v))]
        second = [sp.diff(first[s], v[t]) for s, t in pairs]
        if density.information is None:
            inner = -sp.hessian(formula, values).xreplace(at)
        else:
            inner = sp.Matrix(density.information(h, spread))
        along = sp.Matrix([*h, *((SPREAD,) if density.spread else ())])
        jacobian = along.jacobian(list(v))
        average = jacobian.T * inner * jacobian
        return tuple(
            decimals(stable(e)) for e in (phi, *first, *second, *(average[s, t] for s, t in pairs))
        )

    @cached_property
    def _logarithm(self) -> Any:
        return function_of(self.given, self.density_heads[0], numpy_functions())

    @cached_property
    def _means(self) -> Any:
        arguments = (*self.structure.slots, *self.arguments[len(self.structure.slots) :])
        return function_of(
            arguments, tuple(decimals(stable(h)) for h in self.values_of_slots), numpy_functions()
        )

    def outputs_at(self, eta: Array, x: Array) -> Array:
        """h (…, k, m, n) of η (…, k, q) at x (n, d)."""
        slots, direct, shape = self._evaluated(eta, x)
        values = self._means(*slots, *direct)
        return np.stack([np.broadcast_to(v, shape) for v in values], axis=-2)

    def log_weights(self, measure: MixingMeasure, x: Array) -> Array:
        """log of the weights (…, k, n) at x (n, d), −∞ of those that are 0.

        Where ω = exp they are differences of scores: weights below the range of float64 have
        logarithms too, and count where log V tells more than they do.
        """
        if not self.exponential:
            with np.errstate(divide="ignore"):
                return np.log(self.weights(measure, x))
        score, group = self._scores(measure, x)
        selection = self.gate.selection
        if selection is not None:
            compared = score
            if selection.bias is not None:
                biases = measure[selection.bias.name][..., None]
                compared = np.exp(score - score.max(axis=-2, keepdims=True)) + biases
            score = np.where(selected(compared, selection.count), score, -np.inf)
        parts = measure.layout.members or (slice(None),)
        own = [
            score[..., part, :] - np.logaddexp.reduce(score[..., part, :], axis=-2, keepdims=True)
            for part in parts
        ]
        found = np.concatenate(own, axis=-2)
        if group is None:
            return found
        first = group[..., [part.start for part in parts], :]
        outer = first - np.logaddexp.reduce(first, axis=-2, keepdims=True)
        return found + np.repeat(outer, measure.layout.groups, axis=-2)

    def logarithms(
        self, measure: MixingMeasure, x: Array, columns: Array, spread: Array | None
    ) -> Array:
        """log V (…, k, n) at x (n, d) and columns (n, r); ``spread`` log ν (…, k)."""
        slots, direct, shape = self._evaluated(measure.eta, x)
        more = [] if spread is None else [spread[..., None]]
        values = self._logarithm(*slots, *more, *direct, *columns.T)
        return np.broadcast_to(values, shape)

    def _evaluated(self, eta: Array, x: Array) -> tuple[list[Any], list[Any], Any]:
        s = self.structure
        slots: list[Any] = [0.0] * len(s.slots)
        for value, t, feature, scale in zip(
            np.moveaxis(eta, -1, 0), s.slot_of, s.feature_of, s.scale_of, strict=True
        ):
            column = scale * value[..., None]
            slots[t] = slots[t] + (column if feature == self.dim else column * x[:, feature])
        return slots, [x[:, f] for f in s.direct], (*eta.shape[:-1], len(x))
