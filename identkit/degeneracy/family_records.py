"""Exact families as readable records: curve, conditions, an example, what stays constant.

What moves along a curve is not identified; across it, and in its invariants and totals, f changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import arb

from identkit.balls import Tape, ball, precision
from identkit.degeneracy.families import Flow, Lift
from identkit.degeneracy.records import CellQuantity, Family
from identkit.experts import symbols
from identkit.sampling import Sampler
from identkit.vocabulary import FamilyKind, QuantityKind

EXAMPLE_DIGITS = 30
"""Decimal digits of a family's example weights; f then agrees to far below 1e-12."""
MOST_HALVINGS = 20
"""Of the example's positions, from ±1/2, until both weights are positive."""


def family_of(found: Lift, sampler: Sampler, weight_free: bool, own: Sequence[str]) -> Family:
    """A closed curve, with an example at drawn parameters if only the expert's ``own`` move."""
    curve, s = found.curve, str(found.curve.s)
    names = sampler.atom.parameters
    images = {str(p): str(e) for p, e in curve.images.items()}
    conditions = [f"Σ w_i·({_at(found.r1, s)}) = w*"] if found.r1 != 1 else ["Σ w_i = w*"]
    if found.r2 != 0:
        conditions.append(f"Σ w_i·({_at(found.r2, s)}) = 0")
    if not weight_free and found.r1 != 1:
        conditions.append("Σ w_i = w*")
    pins_weights = found.kind == FamilyKind.REDUNDANT or (
        found.kind == FamilyKind.SCALE and weight_free
    )
    eta = sampler.parameter_draw()
    positions, weights = _example(found, names, eta)
    # the example is one of h: of a router's own curve there is none
    moving = {p for p, v in zip(names, curve.velocity, strict=True) if v != 0}
    listed = [v for p, v in zip(names, eta, strict=True) if p in own] if moving <= {*own} else []
    return Family(
        kind=found.kind,
        parameter=s,
        origin="0",
        curve=tuple((p, images[p]) for p in names if p in images),
        velocity=nonzero(names, curve.velocity),
        r1=str(found.r1),
        r2=str(found.r2),
        cell=1 if pins_weights else 2,
        conditions=tuple(conditions),
        invariants=invariants_of(found, names),
        totals=tuple(
            CellQuantity(QuantityKind.TOTAL, expression=t)
            for t in _totals(found, names, weight_free)
        ),
        eta=tuple(map(str, listed)),
        positions=positions,
        weights=weights,
    )


def _example(
    found: Lift, names: tuple[str, ...], eta: Sequence[Fraction]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Positions ±s, and weights over w* that are proved positive; empty if no s has them.

    Where a factor of the family changes at s = 0 with a sign, weights near 1/2 solve the
    conditions as s shrinks; far from 0 they can be negative, which is no mixing measure.
    """
    for halvings in range(1, MOST_HALVINGS + 1):
        positions = (Fraction(1, 2**halvings), Fraction(-1, 2**halvings))
        weights = _example_weights(found, names, eta, positions)
        if all(w > 0 for w in weights):
            texts = tuple(w.mid().str(EXAMPLE_DIGITS, radius=False) for w in weights)
            return tuple(str(p) for p in positions), texts
    return (), ()


def _example_weights(
    found: Lift, names: tuple[str, ...], eta: Sequence[Fraction], positions: Sequence[Fraction]
) -> tuple[arb, ...]:
    """Weights over w*, solving the family's conditions at two positions."""
    tape = Tape([found.r1, found.r2], (*symbols(tuple(names)), found.curve.s))
    with precision(256):
        (p1, q1), (p2, q2) = (tape.evaluate([*(ball(v) for v in eta), ball(s)]) for s in positions)
        if found.kind == FamilyKind.REDUNDANT:
            pair = [ball(Fraction(1, 2))] * 2
        elif found.r2 == 0:
            pair = [(1 - p2) / (p1 - p2), (p1 - 1) / (p1 - p2)]
        else:
            determinant = p1 * q2 - p2 * q1
            pair = [q2 / determinant, -q1 / determinant]
        return tuple(pair)


def flow_family(flow: Flow, names: Sequence[str], weight_free: bool) -> Family:
    """A flow without a closed curve."""
    factor = "1" if flow.rate == 0 else f"exp of the integral of {flow.rate} along the flow"
    total = [] if flow.rate == 0 else ["Σ w_i·r1(s_i) = w*"]
    if flow.rate == 0 or not weight_free:
        total.append("Σ w_i = w*")
    return Family(
        kind=FamilyKind.FLOW,
        parameter="s",
        origin="0",
        curve=(),
        velocity=nonzero(names, flow.velocity),
        r1=factor,
        r2="0",
        cell=1 if flow.rate == 0 or weight_free else 2,
        conditions=tuple(total),
        invariants=(),
        totals=(),
        eta=(),
        positions=(),
        weights=(),
    )


def nonzero(names: Sequence[str], row: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    """The entries of a row that are not 0, with the names of their places."""
    return tuple((p, str(e)) for p, e in zip(names, row, strict=True) if e != 0)


def _at(value: Any, parameter: str) -> str:
    return str(value.subs(sp.Symbol(parameter, real=True), sp.Symbol(f"{parameter}_i")))


def covered(flow: Flow, lifts: Sequence[Lift]) -> bool:
    """Whether a closed curve runs along this flow, or through its span with one of them."""
    rows = [list(x.curve.velocity) for x in lifts if x.r2 == 0]
    matrix = sp.Matrix([*rows, list(flow.velocity)])
    return bool(rows) and matrix.rank() == sp.Matrix(rows).rank()


def functionals_across(found: Lift) -> list[list[Any]]:
    """Functionals y with y·V = 0, one for each further moving parameter."""
    velocity = found.curve.velocity
    moving = [i for i, v in enumerate(velocity) if v != 0]
    rows = []
    for u in moving[1:]:
        row: list[Any] = [sp.Integer(0)] * len(velocity)
        row[u], row[moving[0]] = velocity[moving[0]], -velocity[u]
        common = sp.gcd(row[u], row[moving[0]])
        rows.append([sp.cancel(e / common) for e in row])
    return rows


def invariants_of(found: Lift, names: Sequence[str]) -> tuple[CellQuantity, ...]:
    """Quantities constant along the curve, besides the parameters that do not move."""
    moving = [(p, v) for p, v in zip(names, found.curve.velocity, strict=True) if v != 0]
    if len(moving) < 2:
        return ()
    powers = found.curve.scaling
    if powers is not None:
        weights = [k for k in powers if k]
        if len(set(weights)) == 1:
            return (CellQuantity(QuantityKind.DIRECTION, tuple(p for p, _ in moving)),)
        (first, _), k0 = moving[0], weights[0]
        texts = []
        for (p, _), k in zip(moving[1:], weights[1:], strict=True):
            base, own = sp.Symbol(first), sp.Symbol(p)
            ratio: Any = sp.Rational(k, k0)
            texts.append(str(own**ratio.q * base ** (-ratio.p)))
        return tuple(CellQuantity(QuantityKind.FUNCTION, expression=t) for t in texts)
    if all(v.is_number for _, v in moving):
        (first, v0) = moving[0]
        return tuple(
            CellQuantity(
                QuantityKind.FUNCTION,
                expression=str(sp.nsimplify(v0 * sp.Symbol(p) - v * sp.Symbol(first))),
            )
            for p, v in moving[1:]
        )
    return ()


def _totals(found: Lift, names: Sequence[str], weight_free: bool) -> tuple[str, ...]:
    """Weighted sums over the cell that multiply a function of its own."""
    s, moving = (
        str(found.curve.s),
        [p for p, v in zip(names, found.curve.velocity, strict=True) if v != 0],
    )
    only = moving[0] if len(moving) == 1 else None
    pinned = () if weight_free else ("Σ w_i",)
    if found.kind == FamilyKind.REDUNDANT:
        return ("Σ w_i",)
    if found.kind == FamilyKind.SCALE:
        if only and found.curve.scaling and found.r1 == sp.exp(found.curve.s):
            return (*pinned, f"Σ w_i·{only}_i")
        if found.r1 == sp.exp(found.curve.s) and found.curve.scaling:
            return (
                *pinned,
                f"Σ w_i·c_i, where ({', '.join(moving)})_i = c_i·({', '.join(moving)})*",
            )
        return (*pinned, f"Σ w_i·({_at(found.r1, s)})")
    if found.kind == FamilyKind.SPLIT:
        if only and found.r2 == found.curve.s:
            return ("Σ w_i", f"Σ w_i·{only}_i")
        return ("Σ w_i", f"Σ w_i·({_at(found.r2, s)})")
    return (*pinned, f"Σ w_i·({_at(found.r1, s)})", f"Σ w_i·({_at(found.r2, s)})")


def form_text(names: Sequence[str], row: Sequence[Any]) -> str:
    """A linear functional of the deviations, Δ marking them where it is more than a form."""
    constant = all(e.is_number for e in row)
    terms = [e * sp.Symbol(p if constant else f"Δ{p}") for p, e in zip(names, row, strict=True)]
    return str(sp.Add(*terms))


def quantity_of(label: str, names: Sequence[str]) -> CellQuantity:
    """A parameter, or else a function of them."""
    if label in names:
        return CellQuantity(QuantityKind.PARAMETER, (label,))
    return CellQuantity(QuantityKind.FUNCTION, expression=label)
