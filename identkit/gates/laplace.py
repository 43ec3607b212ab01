"""The Laplace gate: atoms weigh exp(−‖x − ω‖ + β0), divided by the sum over atoms.

In one dimension the score is affine on either side of ω: only the kink shows its second moment, and
outside the domain ω and β0 are confounded. In more dimensions it is smooth off ω, and its second
derivatives are integrable there, so that ω may lie in the domain.

Source: arXiv 2410.02935; theory section 9; proofs_check/test_routers.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from identkit.functions import FUNCTIONS
from identkit.gates.gauge import Values, common_offset
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.regime import Caveat
from identkit.gates.routed import divided, routed
from identkit.gates.router import Router, each
from identkit.layout import OFFSET, Block

CENTRE = Block("centre", "ω", "d", "slope", "x")
ONE_SIDE = Caveat(
    "with one input, atoms whose weights are proportional, ω on the same side of x, trade nothing "
    "between their experts (not checked)",
    lambda situation: True,
)


def distance(x: Sequence[Any], centre: Sequence[Any]) -> Any:
    """‖x − ω‖."""
    if len(x) == 1:
        return FUNCTIONS["abs"].build(x[0] - centre[0])
    return sp.sqrt(sp.Add(*((a - c) ** 2 for a, c in zip(x, centre, strict=True))))


def score(values: Values, x: Any) -> Any:
    """The scores of the atoms at one x."""
    squares = ((x - values["centre"]) ** 2).sum(axis=-1)
    return values["beta0"] - squares**0.5


ROUTER = Router("−‖x − ω‖", each("ω"), lambda x, gamma: -distance(x, gamma))
COORDINATES = Coordinates(
    "ω",
    lambda values: Normal(values["beta0"], still=(values["centre"],)),
    lambda values, shift, other: {},
)
GATES = routed(
    "laplace",
    "exp(−‖x − ω‖ + β0), divided by the sum over atoms",
    ROUTER,
    (CENTRE, OFFSET),
    score,
    "arXiv 2410.02935",
    (common_offset,),
    pieces=ONE_SIDE,
    claims=("laplace-gate",),
    loss=divided(COORDINATES),
)
