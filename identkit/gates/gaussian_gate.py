"""The Gaussian gate: atoms weigh exp(β0)·N(x | c, P⁻¹), divided by the sum over atoms.

A quadratic gate in other parameters: log N(x | c, P⁻¹) = xᵀAx + bᵀx + a number, with A = −½P and
b = Pc, an invertible change of (c, P) into (b, A) with A negative definite. So what is proved of
the quadratic gate holds: ∂²N/∂c² = 2 ∂N/∂Γ for Γ = P⁻¹ makes c and P slow whatever the expert. One
shift P_j + S, P_j c_j + t of all atoms, with β0 to match, is its gauge.

Source: arXiv 2305.07572; theory section 9; proofs_check/test_routers.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from identkit.errors import InputError
from identkit.expression import symbol
from identkit.gates.gauge import Values, common_offset
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.quadratic import pairs
from identkit.gates.regime import Caveat
from identkit.gates.routed import divided, routed
from identkit.gates.router import Router, each
from identkit.layout import OFFSET, Block

CENTRE = Block("centre", "c", "d", "slope", "x")
PRECISION = Block("precision", "P", "t", "scale", "1/x²")
HELD = Caveat(
    "the shift of all P and P·c by one matrix and one vector, a gauge with β0 to match, is held "
    "fixed",
    lambda situation: True,
)


def _names(inputs: Sequence[str]) -> tuple[str, ...]:
    dim = len(inputs)
    entries = ("ρ",) if dim == 1 else tuple(f"ρ_{i}{j}" for i, j in pairs(dim))
    return (*each("μ")(inputs), *entries)


def _score(x: Sequence[Any], gamma: Sequence[Any]) -> Any:
    """½ log det P − ½ (x − c)ᵀP(x − c), P symmetric with the entries i ≤ j."""
    dim = len(x)
    centre, entries = gamma[:dim], gamma[dim:]
    precision = sp.zeros(dim)
    for (i, j), e in zip(pairs(dim), entries, strict=True):
        precision[i, j] = precision[j, i] = e
    away = sp.Matrix([a - c for a, c in zip(x, centre, strict=True)])
    return sp.log(precision.det()) / 2 - (away.T * precision * away)[0] / 2


def _flows(inputs: Sequence[str], s: Any, t: Any, limit: int) -> list[dict[str, Any]]:
    """c + s·t·e_i and Γ = P⁻¹ less by t²·e_ie_iᵀ: ∂²N/∂c_i² = 2 ∂N/∂Γ_ii.

    P grows by t²·Pe_ie_iᵀP/(1 − t²P_ii), written as a series in t².
    """
    names, dim = _names(inputs), len(inputs)
    at = {}
    for place, name in zip(pairs(dim), names[dim:], strict=True):
        at[place] = at[place[::-1]] = symbol(name)
    found = []
    for i in range(dim):
        series = sum((t**2 * (t**2 * at[i, i]) ** n for n in range(limit // 2)), sp.Integer(0))
        moved = {names[i]: s * t}
        for (j, k), name in zip(pairs(dim), names[dim:], strict=True):
            moved[name] = sp.expand(at[j, i] * at[i, k] * series)
        found.append(moved)
    return found


def score(values: Values, x: Any) -> Any:
    """The scores of the atoms at one x."""
    away = x - values["centre"]
    at, dim = _matrix(values["precision"], away.shape[-1]), away.shape[-1]
    form = sum(at[i, j] * away[..., i] * away[..., j] for i in range(dim) for j in range(dim))
    return values["beta0"] + (_log(_determinant(at, tuple(range(dim)))) - form) / 2


def _matrix(entries: Any, dim: int) -> dict[tuple[int, int], Any]:
    """P by row and column, each (…, k), of its entries i ≤ j."""
    at = {}
    for n, (i, j) in enumerate(pairs(dim)):
        at[i, j] = at[j, i] = entries[..., n]
    return at


def _log(positive: Any) -> Any:
    import numpy as np

    return np.log(positive)


def _determinant(at: dict[tuple[int, int], Any], columns: tuple[int, ...]) -> Any:
    """Of the last rows with these columns, for arrays of any numbers."""
    row = max(i for i, _ in at) + 1 - len(columns)
    if len(columns) == 1:
        return at[row, columns[0]]
    return sum(
        (-1) ** n * at[row, c] * _determinant(at, columns[:n] + columns[n + 1 :])
        for n, c in enumerate(columns)
    )


def _halves(dim: int) -> list[float]:
    """What times P_ij is A_ij, the coefficient of x_i x_j in −½xᵀPx."""
    return [-0.5 if i == j else -1.0 for i, j in pairs(dim)]


def _normal(values: Values) -> Normal:
    """The quadratic gate's: A = −½P, b = Pc, and the score at x = 0."""
    entries, centre = values["precision"], values["centre"]
    dim = centre.shape[-1]
    slopes = 0 * centre
    for (i, j), entry in _matrix(entries, dim).items():
        slopes[..., i] += entry * centre[..., j]
    return Normal(score(values, 0.0), (entries * _halves(dim), slopes))


def _back(values: Values, shift: Any, other: Values) -> Values:
    old, dim = _normal(values), values["centre"].shape[-1]
    entries = values["precision"] + shift[..., None, :-dim] / _halves(dim)
    slopes = old.moving[1] + shift[..., None, -dim:]
    at = _matrix(entries, dim)
    if not all((_determinant(at, tuple(range(n, dim))) > 0).all() for n in range(dim)):
        raise InputError(
            "fitted: in the truth's gauge some P would not be positive definite; use voronoi, "
            "which needs no measure there."
        )
    whole, centre = tuple(range(dim)), 0 * slopes
    for j in whole:  # Cramer's rule
        column = {(i, j): slopes[..., i] for i in whole}
        centre[..., j] = _determinant({**at, **column}, whole) / _determinant(at, whole)
    there = {"centre": centre, "precision": entries}
    return {**there, "beta0": old.offset - score({**there, "beta0": 0.0}, 0.0)}


COORDINATES = Coordinates("(−½P, P·c) up to a common shift", _normal, _back)
GATES = routed(
    "gaussian-gate",
    "exp(β0)·N(x | c, P⁻¹), divided by the sum over atoms",
    Router("½ log det P − ½ (x − c)ᵀP(x − c)", _names, _score, flows=_flows),
    (CENTRE, PRECISION, OFFSET),
    score,
    "arXiv 2305.07572",
    (common_offset,),
    caveats=(HELD,),
    claims=("quadratic-gate-heat",),
    loss=divided(COORDINATES, gates=False),
)
