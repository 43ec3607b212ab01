"""Moments of second order that a relation among first derivatives makes invisible."""

from __future__ import annotations

from typing import Any

import sympy as sp

from identkit.degeneracy.nullspace import NullSpace, Vector
from identkit.degeneracy.readable import Readable
from identkit.experts import symbols


def second_from_first(vector: Vector, null: NullSpace, readable: Readable) -> Vector | None:
    """Moments with M = (μ, v)(μ, v)ᵀ, invisible because the first-order relation is.

    From V·∇h = (λ − μᵀx) h, identically in θ, follows V·∇(V·∇h) = (Vλ − xᵀVμ + (λ − μᵀx)²) h,
    and the expansion vanishes with m0 = −½(λ² + Vλ), m_β = ½ Vμ, m_η = ½ Vv. Checked exactly.
    """
    field, space = null.family.field, null.space
    if space.null:
        return None
    at = {space.moments[i].pair: field.to_sympy(c) for i, c in vector.items()}
    speed = {p: at.get((p,), sp.Integer(0)) for p in space.coordinates}
    rate = -at.get((), sp.Integer(0))

    def along(value: Any) -> Any:
        names = zip(space.experts, symbols(space.experts), strict=True)
        return sp.Add(*(speed[p] * sp.diff(value, s) for p, s in names))

    values: dict[int, Any] = {}
    for i, m in enumerate(space.moments):
        if not m.pair:
            values[i] = -(rate**2 + along(rate)) / 2
        elif len(m.pair) == 1 and m.pair[0] in speed:
            values[i] = along(speed[m.pair[0]]) / 2
        elif len(m.pair) == 2:
            values[i] = speed[m.pair[0]] * speed[m.pair[1]]
    lifted = {i: c for i, v in values.items() if not (c := field.convert(v)).is_zero}
    return lifted if null.family.vanishes(readable.combination(lifted)) else None
