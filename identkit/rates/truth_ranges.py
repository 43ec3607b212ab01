"""The ranges in which truths of experiments are searched: draws, and what is admissible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from identkit.fit.model import Model
from identkit.gates import Regime
from identkit.losses.norms import Rule
from identkit.mixing import MixingMeasure
from identkit.rates.conditioned import Cell

Array = NDArray[np.float64]

_SLOPE = (1.0, 4.5)
"""Norm of an expert's slope, on a domain of width 6."""
_LONE = (0.5, 2.0)
"""Size of a parameter that belongs to no pre-activation with an input, as an output weight."""
_GATE_SLOPE = (0.5, 5.0)
"""‖β1‖ where it is not 0, on a domain of width 6."""
_GATE_SCORE = (-1.5, 2.0)
"""Score of a gate at the centre of the domain."""
_APART = 1.0
"""Least distance of two true atoms in (β1, η)."""
_SHARE = 0.1
"""Least ratio of the root mean square weights of two atoms."""
MARGIN = 0.02
"""The search stays this share of a range inside it, so that rounding does not leave it."""
POINTS = (256, 2048)
"""Points of an integral during the search, d = 1 and above; the numbers returned use more."""


@dataclass(frozen=True, eq=False)
class Ranges:
    """The space of truths, as vectors of parameters."""

    model: Model
    atoms: int
    cell: Cell
    rule: Rule
    domain: tuple[float, float]

    @cached_property
    def unit(self) -> float:
        """Slopes are in units of 6 / width."""
        return 6.0 / (self.domain[1] - self.domain[0])

    @cached_property
    def centre(self) -> float:
        return (self.domain[0] + self.domain[1]) / 2

    @cached_property
    def middle(self) -> float:
        """Half the width of the middle half of the domain."""
        return (self.domain[1] - self.domain[0]) / 4

    @cached_property
    def slots(self) -> list[tuple[list[tuple[int, int]], int | None]]:
        """Pre-activations with inputs: their slopes (parameter, input) and the offset, if any."""
        s, d = self.model.structure, self.model.dim
        found = []
        for t in range(len(s.slots)):
            inside = [i for i, slot in enumerate(s.slot_of) if slot == t]
            slopes = [(i, s.feature_of[i]) for i in inside if s.feature_of[i] < d]
            offset = next((i for i in inside if s.feature_of[i] == d), None)
            if slopes:
                found.append((slopes, offset))
        return found

    @cached_property
    def lone(self) -> list[int]:
        """Parameters outside the pre-activations with inputs."""
        inside = {i for slopes, offset in self.slots for i in (*(i for i, _ in slopes), offset)}
        return [i for i in range(len(self.model.parameters)) if i not in inside]

    @cached_property
    def places(self) -> tuple[slice, int, slice]:
        """Where slopes, offset and expert parameters stand in a row of the vector."""
        layout = self.model.layout
        return layout["beta1"], layout["beta0"].start, layout["eta"]

    def pinned(self, atom: int) -> bool:
        return self.model.gate.pinning is not None and atom == self.atoms - 1

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """What the refinement may move."""
        mask = ~self.model.pinned(self.atoms)
        if not self.cell.regime.admits(True):
            mask.reshape(self.atoms, -1)[self.cell.over, self.places[0]] = False
        return mask

    def draw(self, rng: np.random.Generator) -> Array:
        d, scale = self.model.dim, self.model.structure.scale_of
        slope, level, expert = self.places
        rows = np.zeros((self.atoms, self.model.per_atom))
        for atom, row in enumerate(rows):
            if not self.pinned(atom):
                if self.free.reshape(rows.shape)[atom, slope].all():
                    row[slope] = self.unit * rng.uniform(*_GATE_SLOPE) * _direction(rng, d)
                row[level] = rng.uniform(*_GATE_SCORE) - self.centre * row[slope].sum()
            eta = row[expert]
            for slopes, offset in self.slots:
                a = self.unit * rng.uniform(*_SLOPE) * _direction(rng, len(slopes))
                turn = self.centre + self.middle * rng.uniform(-1, 1, len(slopes))
                for (i, _), value in zip(slopes, a, strict=True):
                    eta[i] = value / scale[i]
                if offset is not None:
                    eta[offset] = -(a @ turn) / scale[offset]
            for i in self.lone:
                eta[i] = rng.uniform(*_LONE) * rng.choice([-1.0, 1.0])
        return rows.reshape(-1)

    def admissible(self, vector: Array, margin: float) -> bool:
        """Whether it is within the ranges, this share of them inside, with atoms apart."""
        slope, level, expert = self.places
        scale = self.model.structure.scale_of
        rows = vector.reshape(self.atoms, -1)
        for atom, row in enumerate(rows):
            if not self.pinned(atom):
                norm = float(np.linalg.norm(row[slope])) / self.unit
                if self.free.reshape(rows.shape)[atom, slope].all() and not _within(
                    norm, _GATE_SLOPE, margin
                ):
                    return False
                score = float(row[level] + self.centre * row[slope].sum())
                if not _within(score, _GATE_SCORE, margin):
                    return False
            eta = row[expert]
            for slopes, offset in self.slots:
                a = np.array([eta[i] * scale[i] for i, _ in slopes])
                if not _within(float(np.linalg.norm(a)) / self.unit, _SLOPE, margin):
                    return False
                b = 0.0 if offset is None else eta[offset] * scale[offset]
                # aᵀx + b vanishes in the cube |x_s − centre| ≤ middle
                if offset is not None and not (
                    abs(b + self.centre * a.sum()) <= (1 - margin) * self.middle * np.abs(a).sum()
                ):
                    return False
            if not all(_within(abs(float(eta[i])), _LONE, margin) for i in self.lone):
                return False
        places = np.delete(rows, level, axis=1)
        gaps = np.linalg.norm(places[:, None] - places, axis=2)
        return bool((gaps[np.triu_indices(self.atoms, 1)] >= _APART * (1 + margin)).all())

    def comparable(self, vector: Array, margin: float) -> bool:
        """Whether no atom has hardly any weight."""
        with np.errstate(all="ignore"):
            weights = self.model.weights(self.model.unpack(vector), self.rule.points)
            size = np.sqrt((weights**2) @ self.rule.weights)
        return bool(size.min() >= _SHARE * (1 + margin) * size.max())


def random_truths(
    model: Model,
    case: Regime,
    atoms: int,
    rng: np.random.Generator,
    *,
    over: int = 0,
    domain: tuple[float, float] = (-3.0, 3.0),
) -> Iterator[MixingMeasure | None]:
    """Endless draws; None for one that is not admissible, or with an atom of hardly any weight."""
    rule = Rule.of(model.dim, domain, POINTS[model.dim > 1], 0)
    ranges = Ranges(model, atoms, Cell.within(case, over, 2), rule, domain)
    while True:
        vector = ranges.draw(rng)
        suits = ranges.admissible(vector, MARGIN) and ranges.comparable(vector, MARGIN)
        yield model.unpack(vector) if suits else None


def _direction(rng: np.random.Generator, size: int) -> Array:
    drawn = rng.standard_normal(size)
    return drawn / np.linalg.norm(drawn)


def _within(value: float, ends: tuple[float, float], margin: float) -> bool:
    margin = margin * (ends[1] - ends[0]) - 1e-9
    return ends[0] + margin <= value <= ends[1] - margin
