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

from identkit.expression import symbol
from identkit.gates.gauge import Values, common_offset
from identkit.gates.quadratic import pairs
from identkit.gates.regime import Caveat
from identkit.gates.routed import routed
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
    import numpy as np

    away, entries = x - values["centre"], values["precision"]
    dim = away.shape[-1]
    at = {}
    for n, (i, j) in enumerate(pairs(dim)):
        at[i, j] = at[j, i] = entries[..., n]
    form = sum(at[i, j] * away[..., i] * away[..., j] for i in range(dim) for j in range(dim))
    return values["beta0"] + (np.log(_determinant(at, tuple(range(dim)))) - form) / 2


def _determinant(at: dict[tuple[int, int], Any], columns: tuple[int, ...]) -> Any:
    """Of the last rows with these columns, for arrays of any numbers."""
    row = max(i for i, _ in at) + 1 - len(columns)
    if len(columns) == 1:
        return at[row, columns[0]]
    return sum(
        (-1) ** n * at[row, c] * _determinant(at, columns[:n] + columns[n + 1 :])
        for n, c in enumerate(columns)
    )


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
)
