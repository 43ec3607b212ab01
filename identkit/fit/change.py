"""Data in standard units, and how measures fitted there read in the user's.

x = m + s·x̃ and y = c + t·ỹ, with (s, t) among the changes of units that the model is closed under
(:mod:`identkit.fit.closure`), and m, c different from 0 where it is closed under moves. Then

    f_G(x) = c + t·f_G̃(x̃)    with    θ = A·θ̃ + a

exactly, whatever the data: the standardised fit *is* the fit in the user's units, better
conditioned, with bounds and random starts that follow the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.fit.closure import Closure
from identkit.fit.result import Box, FitResult
from identkit.fit.starts import linear_parameters

if TYPE_CHECKING:
    from identkit.fit.model import Model

Array = NDArray[np.float64]

STEEP = 30.0
"""Default bound of the numbers of a score or a pre-activation, in standard units: there a sigmoid
goes from 0.1 to 0.9 within a seventh of a standard deviation; steeper ones are steps."""
NONLINEAR = 1e3
"""Of other numbers in which h is not linear, as exponents and places: they are of order 1 in
standard units, or far away where a curve is nearly a simpler one."""
LINEAR = 1e6
"""Of numbers in which h is linear: least squares bounds them where the data determine them."""
LEAST_SCALE = 1e-3
"""Least default value of a number that divides, in standard units."""


@dataclass(frozen=True, eq=False)
class Change:
    """A change of units and origins for k atoms.

    ``origin`` and ``scale`` (d + 1,) are of the inputs and, last, of y: x̃ = (x − origin)/scale.
    ``matrix`` A (p, p) and ``offset`` a (p,) map standard numbers to the user's, θ = A·θ̃ + a.
    ``kept`` names the units and the origins of inputs that stay the user's.
    """

    model: Model
    origin: Array
    scale: Array
    matrix: Array
    offset: Array
    kept: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        model: Model,
        x: Array,
        y: Array,
        atoms: int,
        *,
        weight: Array | None = None,
        bounded: Sequence[int] = (),
    ) -> Change:
        """The change that brings x (n, d) and y (n,) nearest to mean 0 and standard deviation 1.

        Where an origin cannot move, the root mean square takes the place of the deviation.
        ``bounded`` are numbers of a unit with bounds or values of the user's: what would mix them
        with others, as an intercept with slopes, stays at its origin.
        """
        closure = Closure(model)
        moves = [
            entries is not None
            and not any(e.row in bounded and e.column is not None for e in entries)
            for entries in closure.moves
        ]
        level = closure.level if model.gate.adds_up else None
        columns = [*x.T, y]
        may = [*moves, level is not None]
        centre, wanted = np.zeros(len(columns)), np.ones(len(columns))
        for i, column in enumerate(columns):
            mean, deviation, size = moments(column, weight)
            centre[i] = mean if may[i] else 0.0
            wanted[i] = (deviation if may[i] else size) or 1.0
        _, scale = closure.factors(wanted)
        return cls.made(model, closure, centre, scale, atoms)

    @classmethod
    def from_document(cls, model: Model, atoms: int, document: Mapping[str, Any]) -> Change:
        """The inverse of :meth:`document`. Raises InputError for a change that changes f."""
        inputs, target = document["inputs"], document["target"]
        centre = np.array([*inputs["origin"], target["origin"]])
        scale = np.array([*inputs["scale"], target["scale"]])
        if len(inputs["origin"]) != model.dim or len(inputs["scale"]) != model.dim:
            raise InputError(f"it has origins and scales of other than {model.dim} inputs.")
        closure = Closure(model)
        if not np.allclose(closure.factors(scale)[1], scale, rtol=1e-9, atol=0.0):
            raise InputError("its scales are none that the model is closed under.")
        level = model.gate.adds_up and closure.level is not None
        may = [*(entries is not None for entries in closure.moves), level]
        if any(c and not can for c, can in zip(centre, may, strict=True)):
            raise InputError("its origins are none that the model is closed under.")
        return cls.made(model, closure, centre, scale, atoms)

    @classmethod
    def made(
        cls, model: Model, closure: Closure, centre: Array, scale: Array, atoms: int
    ) -> Change:
        factors, _ = closure.factors(scale)
        unit, shift = np.diag(factors), np.zeros(len(factors))
        for s, entries in enumerate(closure.moves):
            if not centre[s]:
                continue
            # h(x; θ) = h(x − m; θ') with θ = B·θ' + b
            step, more = np.eye(len(factors)), np.zeros(len(factors))
            for e in entries or ():
                gain = e.at(centre[s])
                if e.column is None:
                    more[e.row] += gain
                else:
                    step[e.row, e.column] += gain
            unit, shift = step @ unit, step @ shift + more
        if centre[-1] and closure.level is not None:
            row, slope = closure.level
            shift[row] += centre[-1] / slope
        matrix, offset = _assembled(model, unit, shift, atoms)
        return cls(model, centre, scale, matrix, offset, tuple(_kept(model, closure, centre)))

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return not self.origin.any() and bool((self.scale == 1.0).all())

    @property
    def unit(self) -> float:
        """t, the unit of y."""
        return float(self.scale[-1])

    def inputs(self, x: Array) -> Array:
        """x̃ of x (…, n, d)."""
        return (x - self.origin[:-1]) / self.scale[:-1]

    def target(self, y: Array) -> Array:
        """ỹ of y."""
        return (y - self.origin[-1]) / self.scale[-1]

    def value(self, f: Array) -> Array:
        """f of f̃."""
        return self.origin[-1] + self.scale[-1] * f

    def outward(self, vector: Array) -> Array:
        """θ (…, p) of θ̃."""
        return vector @ self.matrix.T + self.offset

    def inward(self, vector: Array) -> Array:
        """θ̃ (…, p) of θ."""
        moved: Any = np.linalg.solve(self.matrix, (vector - self.offset)[..., None])
        return moved[..., 0]

    @property
    def alone(self) -> NDArray[np.bool_]:
        """Which of the user's numbers are one standard number, times a factor and moved: (p,)."""
        other = self.matrix.copy()
        np.fill_diagonal(other, 0.0)
        return np.asarray(~other.any(axis=1))

    def box(self, box: Box, linear: float = LINEAR, gate: float = STEEP) -> Box:
        """The bounds in standard units: the user's where given, else the default ones.

        ``linear`` bounds the numbers in which h is linear, ``gate`` those of the gate.
        """
        layout, parameters = self.model.layout, self.model.parameters
        given = box.pairs(layout, parameters)
        named = box.named(layout, parameters)
        experts = _bounds(self.model, linear)
        found: dict[str, Any] = {}
        for block, numbers in self._numbers():
            pairs = []
            for i, number in enumerate(numbers):
                if named[block.name][i]:
                    factor, offset = self.matrix[number, number], self.offset[number]
                    pairs.append(tuple((end - offset) / factor for end in given[block.name][i]))
                else:
                    positive = layout.positive(block)[i]
                    bound = experts[i] if block.role == "expert" else gate
                    pairs.append((LEAST_SCALE if positive else -bound, bound))
            found[block.name] = pairs
        return Box.of(found)

    def _numbers(self) -> list[tuple[Any, list[int]]]:
        """Each block with the places of its numbers in the vector: of the first atom or group."""
        layout, found, at = self.model.layout, [], 0
        atoms = layout.atoms(len(self.offset)) or 0
        for blocks, start in (
            (layout.of_atoms, 0),
            (layout.of_groups, atoms * layout.width),
            (layout.of_all, len(self.offset) - layout.shared),
        ):
            at = start
            for block in blocks:
                found.append((block, list(range(at, at + layout.size(block)))))
                at += layout.size(block)
        return found

    def result(self, inner: FitResult, box: Box) -> FitResult:
        """A fit in standard units as one in the user's."""
        vector = self.outward(self.model.pack(inner.measure))
        squares = self.unit**2 if inner.objective.quadratic else 1.0
        gradient = inner.gradient_norm * squares if self.is_identity else np.nan
        return replace(
            inner,
            measure=self.model.unpack(vector),
            cost=inner.cost * squares,
            costs=inner.costs * squares,
            gradient_norm=gradient,
            settings=replace(inner.settings, box=box),
            change=self,
            inner=inner,
        )

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "inputs": {"origin": self.origin[:-1].tolist(), "scale": self.scale[:-1].tolist()},
            "target": {"origin": float(self.origin[-1]), "scale": float(self.scale[-1])},
            "kept": list(self.kept),
        }


def moments(column: Array, weight: Array | None) -> tuple[float, float, float]:
    """Mean, standard deviation and root mean square; sums that do not depend on the order."""
    w = np.ones(len(column)) if weight is None else weight
    largest = float(np.abs(column[w > 0]).max(initial=0.0))
    if largest == 0.0:
        return 0.0, 0.0, 0.0
    scaled, total = column / largest, math.fsum(w)
    mean = math.fsum(w * scaled) / total
    deviation = math.sqrt(math.fsum(w * (scaled - mean) ** 2) / total)
    size = math.sqrt(math.fsum(w * scaled**2) / total)
    return mean * largest, deviation * largest, size * largest


def _assembled(model: Model, unit: Array, shift: Array, atoms: int) -> tuple[Array, Array]:
    """A and a for k atoms from those of one unit."""
    layout = model.layout
    length, size = layout.length(atoms), len(shift)
    gather = model.gather(atoms)
    if gather is None:
        gather = np.arange(length).reshape(atoms, size)
    matrix, offset = np.zeros((length, length)), np.zeros(length)
    for places in gather:
        matrix[np.ix_(places, places)] = unit
        offset[places] = shift
    return matrix, offset


def _bounds(model: Model, most: float) -> list[float]:
    """Default bounds of the expert's numbers in standard units."""
    linear, read = linear_parameters(model), model.structure
    inner = {t for t, f in zip(read.slot_of, read.feature_of, strict=True) if f < model.dim}
    return [
        most if v in linear else STEEP if t in inner else NONLINEAR
        for v, t in enumerate(read.slot_of)
    ]


def _kept(model: Model, closure: Closure, centre: Array) -> list[str]:
    """The units that stay the user's, and the origins of inputs that do."""
    names = (*model.expert.inputs, "y")
    unscaled = [n for n, can in zip(names, closure.scaled, strict=True) if not can]
    unmoved = [n for n, c in zip(model.expert.inputs, centre, strict=False) if not c]
    found = []
    if unscaled:
        found.append(f"units of {', '.join(unscaled)}")
    if unmoved:
        found.append(f"origin of {', '.join(unmoved)}")
    return found


def places_of(model: Model, name: str, atoms: int) -> list[int]:
    """Where the vector has the numbers that an option calls ``name``: a parameter or a block.

    Raises InputError for a name that the model does not have.
    """
    options = model.layout.options(model.parameters, atoms)
    gate = [b.name for b in model.layout.of_gate]
    wanted = [*gate, *model.parameters]
    if name not in wanted:
        raise InputError(
            f"there is no '{name}'; the parameters are {', '.join(dict.fromkeys(wanted))}."
        )
    return [i for i, option in enumerate(options) if option == name]
