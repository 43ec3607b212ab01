"""The cosine gates: atoms weigh exp(β1ᵀx/(‖β1‖‖x‖) + β0), divided by the sum over atoms.

Only the direction b = β1/‖β1‖ counts: β1 → c·β1 leaves f as it is, for every atom by itself. So
does b → b + u for all atoms where every b + u has length 1: there are such u near 0 unless the
directions of the true atoms span the inputs' space. The *perturbed* gate, β1ᵀx/((‖β1‖ + τ1)(‖x‖ +
τ2)) with τ1 and τ2 given (1 here), has no scale, but it is linear in c = β1/(‖β1‖ + τ1), any vector
of length below 1: one shift of all c leaves f as it is. It would have (β1, τ1) → c·(β1, τ1) if τ1
were estimated. Second order is decided in coordinates without a gauge of one atom: the ratios of
β1's numbers to its first, and χ = c; it is the same in all coordinates.

Source: arXiv 2405.14131; theory section 9; proofs_check/test_routers.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from identkit.errors import InputError
from identkit.functions import FUNCTIONS
from identkit.gates.gauge import Gauge, Values, common_offset
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.regime import Caveat, WeightRule
from identkit.gates.routed import divided, routed
from identkit.gates.router import Router, each, product
from identkit.layout import OFFSET, Block

DIRECTION = Block("direction", "β1", "d", "slope", None)
SPAN = Caveat(
    "the directions of the true atoms' β1 span the inputs' space (almost all do for k* ≥ d; "
    "otherwise a common change of all directions leaves f as it is)",
    lambda situation: True,
)


def _ratios(inputs: Sequence[str]) -> tuple[str, ...]:
    if len(inputs) == 1:
        raise InputError(
            "gate cosine: with one input the score is a sign; use it with two inputs or more, or "
            "perturbed-cosine."
        )
    return each("β")(inputs)[1:]


def _plain(x: Sequence[Any], ratios: Sequence[Any]) -> Any:
    """With the first number of β1 held at 1, which fixes its scale; at −1 by analyticity."""
    b = (sp.Integer(1), *ratios)
    return product(x, b) / (norm(b) * norm(x))


def norm(vector: Sequence[Any]) -> Any:
    """‖·‖."""
    if len(vector) == 1:
        return FUNCTIONS["abs"].build(vector[0])
    return sp.sqrt(product(vector, vector))


def _length(vector: Any) -> Any:
    return (vector**2).sum(axis=-1) ** 0.5


def _cosine(values: Values, x: Any, added: int) -> Any:
    slope = values["direction"]
    return (slope * x).sum(axis=-1) / ((_length(slope) + added) * (_length(x) + added)) + values[
        "beta0"
    ]


def _symbolic(x: Sequence[Any], values: Mapping[str, Sequence[Any]], added: int) -> Any:
    """The same in SymPy."""
    slope = values["direction"]
    return product(slope, x) / ((norm(slope) + added) * (norm(x) + added)) + values["beta0"][0]


def scale(rule: WeightRule) -> Gauge:
    """β1 → c·β1, for each atom by itself."""
    return Gauge(
        name="scale of each β1",
        text="β1 → c·β1 of any atom leaves f unchanged",
        rule=rule,
        moves=(DIRECTION,),
        dimension=lambda dim, atoms: atoms,
        move=lambda values, amount: {"direction": values["direction"] * amount[..., :, None]},
        amounts="factors",
        remedy="fix ‖β1‖ = 1",
    )


def shift(rule: WeightRule) -> Gauge:
    """β1/(‖β1‖ + 1) → β1/(‖β1‖ + 1) + u for all atoms.

    u = a/(1 + ‖a‖) times the product of the atoms' 1/(‖β1‖ + 1), so that every amount a leaves all
    lengths below 1.
    """
    return Gauge(
        name="shift of all β1/(‖β1‖ + 1)",
        text="a common shift of all β1/(‖β1‖ + 1) leaves f unchanged",
        rule=rule,
        moves=(DIRECTION,),
        dimension=lambda dim, atoms: dim,
        move=_shifted,
        remedy="fix β1 of one atom",
    )


def _shifted(values: Values, amount: Any) -> Values:
    slope = values["direction"]
    room = 1 / (1 + _length(slope)[..., None])  # 1 − ‖c‖
    below = amount / (1 + (amount**2).sum(axis=-1, keepdims=True) ** 0.5)
    c = slope * room + room.prod(axis=-2, keepdims=True) * below[..., None, :]
    return {"direction": c / (1 - _length(c)[..., None])}


def _split(slope: Any) -> tuple[Any, Any]:
    """β1/‖β1‖ and ‖β1‖, (…, k, d) and (…, k, 1); no number without a direction."""
    largest = abs(slope).max(axis=-1, keepdims=True)  # its square may be no number
    unit = slope / largest
    length = _length(unit)[..., None]
    return unit / length, largest * length


def _directions(values: Values) -> Normal:
    """All β1/‖β1‖, also up to a common shift: the score is linear in them."""
    unit, _ = _split(values["direction"])
    return Normal(values["beta0"], (unit,))


def _of_length_one(values: Values, shift: Any, other: Values) -> Values:
    """‖β1‖ = 1, shifted where that leaves all lengths at 1."""
    unit, _ = _split(values["direction"])
    moved = unit + shift[..., None, :]
    there = (abs(_length(moved) - 1) < 1e-9).all(axis=-1)[..., None, None]
    return {"direction": moved * there + unit * ~there}


def _perturbed(values: Values) -> Any:
    """χ = β1/(‖β1‖ + 1)."""
    slope = values["direction"]
    return slope / (1 + _length(slope)[..., None])


def _unperturbed(values: Values, shift: Any, other: Values) -> Values:
    moved = _perturbed(values) + shift[..., None, :]
    room = 1 - _length(moved)[..., None]
    if not (room > 0).all():
        raise InputError(
            "fitted: in the truth's gauge some β1/(‖β1‖ + 1) would have a length of 1 or more; "
            "use voronoi, which needs no measure there."
        )
    return {"direction": moved / room}


GATES = (
    *routed(
        "cosine",
        "exp(β1ᵀx/(‖β1‖‖x‖) + β0), divided by the sum over atoms",
        Router("β1ᵀx/(‖β1‖‖x‖), β1 = (1, β_1, …)", _ratios, _plain),
        (DIRECTION, OFFSET),
        lambda values, x: _cosine(values, x, 0),
        "arXiv 2405.14131",
        (common_offset, scale),
        caveats=(SPAN,),
        written=lambda x, v: _symbolic(x, v, 0),
        claims=("cosine-scale",),
        loss=divided(Coordinates("β1/‖β1‖ up to a common shift", _directions, _of_length_one)),
    ),
    *routed(
        "perturbed-cosine",
        "exp(β1ᵀx/((‖β1‖ + 1)(‖x‖ + 1)) + β0), divided by the sum over atoms",
        Router(
            "χᵀx/(‖x‖ + 1), χ = β1/(‖β1‖ + 1)",
            each("χ"),
            lambda x, c: product(x, c) / (norm(x) + 1),
        ),
        (DIRECTION, OFFSET),
        lambda values, x: _cosine(values, x, 1),
        "arXiv 2405.14131",
        (common_offset, shift),
        written=lambda x, v: _symbolic(x, v, 1),
        claims=("cosine-scale",),
        loss=divided(
            Coordinates(
                "β1/(‖β1‖ + 1) up to a common shift",
                lambda values: Normal(values["beta0"], (_perturbed(values),)),
                _unperturbed,
            )
        ),
    ),
)
