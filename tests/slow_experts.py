"""Experts with slow directions, and where their orders are looked at: one row each, no answers.

The second half are experts that no list of answers names; what is claimed of each comes from
``identkit.order`` and is compared with arcs and minima (``slowness.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from slowness import DENSITY, VALUE, Problem

SMALL, LARGE, LARGEST = (0.1, 0.05, 0.025), (0.3, 0.2, 0.14), (0.5, 0.4, 0.3)
"""t where the change of T is of low order, and where it would vanish in rounding."""


@dataclass(frozen=True)
class Case:
    """The parameters of the two true atoms, and (cell, coordinate, times) to look at."""

    text: str
    likelihood: str
    eta: dict[str, float]
    other: tuple[float, ...]
    looks: tuple[tuple[int, str, tuple[float, ...]], ...]
    gate: str = "softmax"

    def problem(self, cell: int) -> Problem:
        own = tuple(self.eta.items())
        return Problem(self.text, self.likelihood, own, self.other, cell, self.gate == "softmax")


RIDGE = {"a": 0.8, "b": 0.3}
RIDGE_OTHER = (-0.7, 1.2)
STEEP, STEEP_OTHER = {"a": 1.8, "b": 0.4}, (-1.3, 1.1)
"""Least squares sees x alone: where h is flat there, a few atoms come close to any f."""


def _looks(coordinate, *cells, small=()):
    return tuple((m, coordinate, SMALL if m in small else LARGE) for m in cells)


KNOWN = (
    Case("a*x + b", DENSITY, RIDGE, RIDGE_OTHER,
         (*_looks("b", 2, 3), (4, "b", LARGEST), (2, "a", SMALL), (2, "ν", SMALL),
          (3, "ν", SMALL))),
    Case("a*x + b", DENSITY, RIDGE, RIDGE_OTHER, _looks("b", 2, 3), gate="input-free"),
    Case("erf(a*x + b)", VALUE, STEEP, STEEP_OTHER,
         (*_looks("b", 2, 3), (2, "a", SMALL), (3, "a", SMALL))),
    Case("atan(a*x + b)", VALUE, STEEP, STEEP_OTHER, _looks("b", 2, 3, 4, small=(2, 3))),
    Case("asinh(a*x + b)", DENSITY, RIDGE, RIDGE_OTHER, _looks("b", 2, 3, 4, small=(2,))),
    Case("a*sin(x) + b*cos(x)", DENSITY, RIDGE, RIDGE_OTHER, _looks("a", 2, 3, 4, small=(2,))),
)  # fmt: skip
UNLISTED = (
    Case("exp(a*x) + c", DENSITY, {"a": 0.5, "c": 0.3}, (-0.4, -1.0), _looks("c", 2, 3)),
    Case("softplus(a*x + b) + c", DENSITY, {"a": 0.9, "b": 0.2, "c": 0.3}, (-0.7, 0.5, -1.0),
         (*_looks("c", 2, 3), (2, "a", SMALL))),
    Case("a*tanh(x) + b/cosh(x)", DENSITY, RIDGE, RIDGE_OTHER,
         _looks("a", 2, 3, 4, small=(2,))),
    Case("c*sin(a*x + b)", DENSITY, {"a": 0.9, "b": 0.3, "c": 1.2}, (0.6, -0.8, 0.8),
         (*_looks("b", 2, 3, 4, small=(2,)), (3, "a", SMALL))),
    Case("a*cos(x) + b*sin(x) + c*x", DENSITY, {"a": 0.8, "b": 0.3, "c": 0.2}, (-0.7, 1.2, -0.4),
         (*_looks("a", 2, 3, 4, small=(2,)), (3, "c", SMALL))),
    Case("exp(a*x**2 + b*x)", VALUE, {"a": -1.2, "b": 0.8}, (-0.7, -1.1),
         (*_looks("b", 2, 3, small=(2,)), (2, "a", SMALL), (3, "a", SMALL))),
    Case("exp(-(x - m)**2/s)/sqrt(s)", VALUE, {"m": 0.3, "s": 0.6}, (-1.1, 1.1),
         (*_looks("m", 2, 3), (3, "s", SMALL))),
    Case("b/((x - a)**2 + b**2)", VALUE, {"a": 0.3, "b": 0.6}, (-0.9, 0.9),
         _looks("a", 2, 3, 4, small=(2, 3))),
    Case("log((x - m)**2 + s**2)", VALUE, {"m": 0.3, "s": 0.6}, (-0.9, 0.9),
         _looks("m", 2, 3, 4, small=(2, 3))),
    Case("exp(a*x)*cos(b*x)", VALUE, {"a": 0.3, "b": 2.2}, (-0.4, 1.5),
         _looks("a", 2, 3, 4, small=(2, 3))),
    Case("erf((x - m)/s)", VALUE, {"m": 0.3, "s": 0.6}, (-0.9, 0.9), _looks("m", 2, 3)),
    Case("a*x**2 + b*x + c", DENSITY, {"a": 0.2, "b": 0.4, "c": 0.3}, (-0.3, -0.5, -1.0),
         _looks("b", 2, 3, small=(2, 3))),
    Case("c*tanh(a*x + b) + e", DENSITY, {"a": 0.9, "b": 0.2, "c": 1.1, "e": 0.3},
         (-0.6, 0.7, 0.8, -1.0), _looks("c", 2, 3, small=(2, 3))),
)  # fmt: skip
CASES = (*KNOWN, *UNLISTED)
STARTS = {2: 5, 3: 4, 4: 2}
"""Cell -> random starts at each t, beside those that other t and arcs give."""


def relative_power(arc, coordinate: str) -> float:
    """The power of the coordinate along an arc where what moves most is t; 1 without an arc."""
    powers = {} if arc is None else dict(arc.powers)
    return powers.get(coordinate, 1) / min(powers.values(), default=1)
