"""The sigmoid gate with a temperature: atoms weigh σ((β1ᵀx + β0)/τ), one τ > 0 of all atoms.

(β1, β0, τ) → c·(β1, β0, τ) leaves f as it is, so that τ is not identified. With τ held at 1 it is
the sigmoid gate, whose theorems then hold.

Source: arXiv 2602.01466; theory section 9; proofs_check/test_sigmoid_variants.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from identkit.gates import sigmoid
from identkit.gates.gauge import Gauge, Values
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.regime import Caveat
from identkit.gates.router import product
from identkit.layout import AFFINE, Block

TEMPERATURE = Block("temperature", "τ", "", "scale", "1", per_atom=False)
HELD = Caveat("the temperature held at 1 by its gauge", lambda situation: True)


def score(values: Values, x: Any) -> Any:
    """The scores of the atoms at one x."""
    return (values["beta0"] + (values["beta1"] * x).sum(axis=-1)) / values["temperature"]


def _scaled(values: Values, amount: Any) -> Values:
    factor = amount[..., 0]
    return {
        "beta1": values["beta1"] * amount[..., :1, None],
        "beta0": values["beta0"] * amount[..., :1],
        "temperature": values["temperature"] * factor,
    }


SCALE = Gauge(
    name="common scale",
    text="(β1, β0, τ) → c·(β1, β0, τ) for all atoms leaves f unchanged",
    rule=sigmoid.RULE,
    moves=(*AFFINE, TEMPERATURE),
    dimension=lambda dim, atoms: 1,
    move=_scaled,
    amounts="factors",
    remedy="hold τ = 1",
)


def _normal(values: Values) -> Normal:
    tau = values["temperature"][..., None]
    return Normal(values["beta0"] / tau, still=(values["beta1"] / tau[..., None],))


def _back(values: Values, shift: Any, other: Values) -> Values:
    tau = values["temperature"] * 0 + other["temperature"]
    return {
        **_scaled(values, (tau / values["temperature"])[..., None]),
        "temperature": tau,
    }


COORDINATES = Coordinates("β1/τ, β0/τ", _normal, _back)
GATE = replace(
    sigmoid.GATE,
    name="sigmoid-temperature",
    formula="σ((β1ᵀx + β0)/τ), τ of all atoms, not normalised",
    declared=(SCALE,),
    blocks=(*AFFINE, TEMPERATURE),
    fixed=(TEMPERATURE,),
    score=score,
    written=lambda x, v: (v["beta0"][0] + product(v["beta1"], x)) / v["temperature"][0],
    share=None,
    source="arXiv 2602.01466",
    regimes=tuple(
        replace(
            r,
            loss=r.loss and replace(r.loss, coordinates=COORDINATES),
            caveats=(*r.caveats, HELD),
            rests_on=(*r.rests_on, "sigmoid-temperature-scale"),
        )
        for r in sigmoid.GATE.regimes
    ),
)
