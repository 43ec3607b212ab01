"""The quadratic gate: atoms weigh exp(xᵀAx + bᵀx + β0), divided by the sum over atoms.

∂²W/∂b_i∂b_j = ∂W/∂A_ij, A_ij (i ≤ j) being the coefficient of x_i x_j: two atoms at b ± t with A
less by t²/2 look like one up to t⁴, as a normal law's location and scale do. The gate's own b and A
are slow whatever the expert. Without bᵀx (``monomial-quadratic``) they are not.

Source: arXiv 2410.11222; theory section 9; proofs_check/test_routers.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

from identkit.gates.gauge import Gauge, Values
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.regime import WeightRule
from identkit.gates.routed import divided, routed
from identkit.gates.router import Router, each, product
from identkit.layout import OFFSET, SLOPE, Block

QUADRATIC = Block("quadratic", "A", "t", "slope", "1/x²")


def pairs(dim: int) -> list[tuple[int, int]]:
    """The places (i, j), i ≤ j, of A."""
    return list(combinations_with_replacement(range(dim), 2))


def entries(inputs: Sequence[str]) -> tuple[str, ...]:
    """The names of A_ij, i ≤ j."""
    dim = len(inputs)
    return ("α",) if dim == 1 else tuple(f"α_{i}{j}" for i, j in pairs(dim))


def form(x: Sequence[Any], a: Sequence[Any]) -> Any:
    """xᵀAx = Σ_{i ≤ j} A_ij x_i x_j."""
    return product(a, [x[i] * x[j] for i, j in pairs(len(x))])


def monomials(x: Any) -> Any:
    """x_i·x_j, i ≤ j, an array."""
    first, second = map(list, zip(*pairs(len(x)), strict=True))
    return x[first] * x[second]


def _names(inputs: Sequence[str]) -> tuple[str, ...]:
    return (*entries(inputs), *each("β")(inputs))


def _score(x: Sequence[Any], gamma: Sequence[Any]) -> Any:
    count = len(pairs(len(x)))
    return form(x, gamma[:count]) + product(gamma[count:], x)


def flows(inputs: Sequence[str], s: Any, t: Any, limit: int) -> list[dict[str, Any]]:
    """b + s·t·v and A less by t²/2·vvᵀ, along each e_i and each e_i + e_j (theory section 9)."""
    places, a, b = pairs(len(inputs)), entries(inputs), each("β")(inputs)
    found = []
    for i, j in places:
        along = {i, j}
        moved = {b[n]: s * t for n in sorted(along)}
        for name, place in zip(a, places, strict=True):
            if {*place} <= along:
                # v_k v_l x_k x_l stands twice in (vᵀx)² for k ≠ l
                moved[name] = -(t**2) if place[0] != place[1] else -(t**2) / 2
        found.append(moved)
    return found


def score(values: Values, x: Any) -> Any:
    """The scores of the atoms at one x."""
    return (
        (values["quadratic"] * monomials(x)).sum(axis=-1)
        + (values["beta1"] * x).sum(axis=-1)
        + values["beta0"]
    )


def shift(rule: WeightRule) -> Gauge:
    """One shift of all (A, b, β0)."""
    return Gauge(
        name="common shift",
        text="a common shift of all (A, b, β0) leaves f unchanged",
        rule=rule,
        moves=rule.blocks,
        dimension=lambda dim, atoms: dim * (dim + 1) // 2 + dim + 1,
        move=_shifted,
        remedy="pin one atom",
        pins=True,
    )


def _shifted(values: Values, amount: Any) -> Values:
    dim = values["beta1"].shape[-1]
    return {
        "quadratic": values["quadratic"] + amount[..., None, : -dim - 1],
        "beta1": values["beta1"] + amount[..., None, -dim - 1 : -1],
        "beta0": values["beta0"] + amount[..., -1:],
    }


def _normal(values: Values) -> Normal:
    return Normal(values["beta0"], (values["quadratic"], values["beta1"]))


def _back(values: Values, shift: Any, other: Values) -> Values:
    dim = values["beta1"].shape[-1]
    return {
        "quadratic": values["quadratic"] + shift[..., None, :-dim],
        "beta1": values["beta1"] + shift[..., None, -dim:],
    }


COORDINATES = Coordinates("(A, b) up to a common shift", _normal, _back)
GATES = routed(
    "quadratic",
    "exp(xᵀAx + bᵀx + β0), divided by the sum over atoms",
    Router("xᵀAx + bᵀx", _names, _score, flows=flows),
    (QUADRATIC, SLOPE, OFFSET),
    score,
    "arXiv 2410.11222",
    (shift,),
    claims=("quadratic-gate-heat",),
    loss=divided(COORDINATES, gates=False),
)
