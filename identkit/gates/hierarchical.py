"""Hierarchical gates: a softmax over groups times one over the atoms of each group.

f = Σ_g w_g(x) Σ_i w_{i|g}(x) h_gi, ``hierarchical``; ``hierarchical-softmax-laplace`` has Laplace
gates within the groups, ``hierarchical-laplace-laplace`` on both levels. A shift of all β0 (and β1)
leaves f as it is on the first level and within each group by itself; a group of one atom has a void
inner gate; a group whose inner gates do not depend on x is several groups. Where each true group is
fitted by one group, that has an atom fitted by one atom, these pin the group's common factor, and
the first level's: what is left of an atom is what is left under its inner gate alone. Under least
squares products of two groups' weights are independent over all that is within the groups.

Source: arXiv 2410.02935; theory section 9; proofs_check/test_nested_gates.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sympy as sp

from identkit.expression import symbol
from identkit.gates import laplace, softmax
from identkit.gates.density import REMAINS, VARIANCES, expansion
from identkit.gates.gate import WITHIN, Gate, Share
from identkit.gates.gauge import Gauge, common_shift
from identkit.gates.regime import Caveat, Regime, WeightRule
from identkit.gates.routed import least_squares, routed
from identkit.gates.router import Level, product
from identkit.layout import AFFINE, OFFSET, Block
from identkit.likelihoods import LEAST_SQUARES

GROUPS = Caveat(
    "each true group is fitted by one group, of atoms around its own, and some atom of each by one "
    "atom only; for almost every choice of the gates",
    lambda situation: True,
)
CENTRES = Caveat(
    "with one input, the centres of two groups at least lie in the domain", lambda situation: True
)
ONE_SIDE = Caveat(
    "with one input, atoms or groups whose weights are proportional, their centres on the same "
    "side of x, trade nothing between their experts (not checked)",
    lambda situation: True,
)
GROUP_SLOPE = Block("alpha1", "α1", "d", "slope", "1/x", per_atom=False, per_group=True)
GROUP_OFFSET = Block("alpha0", "α0", "", "weight", "1", per_atom=False, per_group=True)
GROUP_CENTRE = Block("psi", "ψ", "d", "slope", "x", per_atom=False, per_group=True)


def _level(outer: str, within: str) -> Level:
    """The gate over groups."""
    if outer == "laplace":
        return Level(
            (GROUP_CENTRE, GROUP_OFFSET),
            lambda x, values: values["alpha0"][0] - laplace.distance(x, values["psi"]),
            within,
            (GROUP_OFFSET,),
        )
    return Level(
        (GROUP_SLOPE, GROUP_OFFSET),
        lambda x, values: values["alpha0"][0] + product(values["alpha1"], x),
        within,
        (GROUP_SLOPE, GROUP_OFFSET),
    )


SOFTMAX = "a softmax over groups and one within each"
ONE_GROUP = "all routed atoms are in one group"


def _shifts(rule: WeightRule) -> Gauge:
    """What moves is the shift that all groups have in common; each group has its own."""
    return replace(
        common_shift(rule),
        name=WITHIN,
        text="a shift of all scores of the first level, or of all within one group, leaves f "
        "unchanged",
        remedy="pin one group, and one atom of each",
        pins=False,
    )


def _softmax() -> tuple[Gate, ...]:
    rule = WeightRule(sp.exp(symbol("s")), True, structure=SOFTMAX)
    found = [(least_squares(rule), (GROUPS,), ("weight-products-independent",))]
    found += [
        (
            expansion(
                rule,
                likelihood,
                "Multiplied by the denominators of both levels",
                "the gates are pinned group by group and then on the first level.",
                said,
            ),
            (GROUPS, VARIANCES),
            claims,
        )
        for likelihood, said, claims in REMAINS
    ]
    return tuple(
        Gate(
            name="hierarchical",
            formula="exp(α1ᵀx + α0)/Σ over groups, times exp(β1ᵀx + β0)/Σ within the group",
            weight=sp.exp,
            normalised=True,
            declared=(_shifts(rule),),
            regimes=(
                Regime(
                    key="any",
                    condition="strong",
                    meaning="any truth",
                    expansion=theorem,
                    loss=softmax.GATE.regimes[0].loss
                    if theorem.likelihood == LEAST_SQUARES
                    else None,
                    caveats=caveats,
                    rests_on=("hierarchical-groups", *claims),
                ),
            ),
            source="arXiv 2410.02935",
            likelihood=theorem.likelihood,
            blocks=AFFINE,
            structure=SOFTMAX,
            together=ONE_GROUP,
            share=Share(rule, softmax.share),
            level=_level("softmax", "softmax"),
        )
        for theorem, caveats, claims in found
    )


def _offsets(rule: WeightRule) -> Gauge:
    """The shifts of β0, each group by itself, and of the first level's α0."""
    return replace(_shifts(rule), moves=(OFFSET,), dimension=lambda dim, atoms: 1)


def _laplace(outer: str, formula: str, more: Sequence[Caveat]) -> tuple[Gate, ...]:
    """Laplace gates within the groups, under ``outer`` on the first level."""
    return routed(
        f"hierarchical-{outer}-laplace",
        f"{formula}/Σ over groups, times exp(−‖x − ω‖ + β0)/Σ within the group",
        laplace.ROUTER,
        (laplace.CENTRE, *AFFINE[1:]),
        None,
        "arXiv 2410.02935",
        (_offsets,),
        separate=True,
        pieces=ONE_SIDE,
        caveats=(GROUPS, *more),
        claims=("hierarchical-groups",),
        structure=f"groups ({outer}) and within each (Laplace)",
        together=ONE_GROUP,
        level=_level(outer, "laplace"),
        loss=laplace.GATES[0].regimes[0].loss,
    )


GATES: tuple[Any, ...] = (
    *_softmax(),
    *_laplace("softmax", "exp(α1ᵀx + α0)", ()),
    *_laplace("laplace", "exp(−‖x − ψ‖ + α0)", (CENTRES,)),
)
