"""The sigmoid gate with a Euclidean score: atoms weigh σ(β0 − ‖x − ω‖²), not divided by their sum.

No weight is a constant of x, and no sum of two is one: an atom fitted by several would have its
weight divided among them, which e^{2ωᵀx} forbids. So the expansion stops at first order for every
truth: around the atoms of a population minimiser, taken to be unique, if f_G* has no exact refit
(the premise). There is no scale gauge: a temperature is held at 1.

Source: arXiv 2602.01466; theory section 9; proofs_check/test_sigmoid_variants.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sympy as sp

from identkit.expression import symbol
from identkit.gates.gate import Gate
from identkit.gates.gauge import Values
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.regime import Expansion, Regime, WeightRule
from identkit.gates.router import Router, each
from identkit.gates.sigmoid import DENSE_LOSS
from identkit.layout import OFFSET, Block

CENTRE = Block("centre", "ω", "d", "slope", "x")


def _score(x: Sequence[Any], centre: Sequence[Any]) -> Any:
    return -sp.Add(*((a - c) ** 2 for a, c in zip(x, centre, strict=True)))


def score(values: Values, x: Any) -> Any:
    """The scores of the atoms at one x."""
    return values["beta0"] - ((x - values["centre"]) ** 2).sum(axis=-1)


ROUTER = Router("−‖x − ω‖²", each("ω"), _score)
RULE = WeightRule(1 / (1 + sp.exp(-symbol("s"))), False, (CENTRE, OFFSET), ROUTER)
COORDINATES = Coordinates(
    "ω",
    lambda values: Normal(values["beta0"], still=(values["centre"],)),
    lambda values, shift, other: {},
)

GATE = Gate(
    name="euclidean-sigmoid",
    formula="σ(β0 − ‖x − ω‖²), not normalised",
    weight=lambda s: 1 / (1 + sp.exp(-s)),
    normalised=False,
    declared=(),
    regimes=(
        Regime(
            key="any",
            condition="weak",
            meaning="any truth",
            expansion=Expansion(
                RULE,
                order=1,
                gates=True,
                subject=" of the expert-gate product",
                argument="Several fitted atoms cannot share a true atom's weight in the limit: "
                "`Σ σ(β0_i − ‖x − ω_i‖²)` is one such weight only if all but one are 0. So the "
                "expansion of `f_G − f_G*` stops at first order: only first derivatives of "
                "`F = weight·h` in β0, ω and η enter.",
            ),
            loss=replace(DENSE_LOSS, coordinates=COORDINATES),
            refits="premise",
            rests_on=("euclidean-gate-sharing", "regime-2-refits"),
        ),
    ),
    blocks=(CENTRE, OFFSET),
    score=score,
    router=ROUTER,
    source="arXiv 2602.01466",
)
