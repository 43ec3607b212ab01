"""The monomial quadratic gate: atoms weigh exp(xᵀAx + β0), divided by the sum over atoms.

Second moments of A multiply polynomials of degree four and first moments those of degree two, so
that all of the gate is visible at second order, as under softmax.

Source: arXiv 2410.11222; theory section 9; proofs_check/test_routers.py.
"""

from __future__ import annotations

from typing import Any

from identkit.gates.gauge import Gauge, Values
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.quadratic import QUADRATIC, entries, form, monomials
from identkit.gates.regime import WeightRule
from identkit.gates.routed import divided, routed
from identkit.gates.router import Router
from identkit.layout import OFFSET


def score(values: Values, x: Any) -> Any:
    """The scores of the atoms at one x."""
    return (values["quadratic"] * monomials(x)).sum(axis=-1) + values["beta0"]


def shift(rule: WeightRule) -> Gauge:
    """One shift of all (A, β0)."""
    return Gauge(
        name="common shift",
        text="a common shift of all (A, β0) leaves f unchanged",
        rule=rule,
        moves=rule.blocks,
        dimension=lambda dim, atoms: dim * (dim + 1) // 2 + 1,
        move=_shifted,
        remedy="pin one atom",
        pins=True,
    )


def _shifted(values: Values, amount: Any) -> Values:
    return {
        "quadratic": values["quadratic"] + amount[..., None, :-1],
        "beta0": values["beta0"] + amount[..., -1:],
    }


COORDINATES = Coordinates(
    "A up to a common shift",
    lambda values: Normal(values["beta0"], (values["quadratic"],)),
    lambda values, shift, other: {"quadratic": values["quadratic"] + shift[..., None, :]},
)
GATES = routed(
    "monomial-quadratic",
    "exp(xᵀAx + β0), divided by the sum over atoms",
    Router("xᵀAx", entries, form),
    (QUADRATIC, OFFSET),
    score,
    "arXiv 2410.11222",
    (shift,),
    claims=("quadratic-gate-heat",),
    loss=divided(COORDINATES),
)
