"""Softmax over a score of one's own: exp(π(x, γ) + β0), divided by the sum over atoms.

Times its denominator, f_G − f_G* is Σ_i W_i (V_i − T), T = f_G* or p_G*, V = h or N(y | h, ν), and
a cell adds to second order

    (V − T)·[m0 W + m_γ·∇W + ½ M_γγ:∇²W]  +  ∇V·m_η W + ½ M_ηη:∇²V W + M_γη:∇W ∇V.

The coefficients of V_j − T are one common factor Q times W_j. A true atom fitted by one atom has
Q W = m0 W + m_γ·∇W, and where scores of different atoms have nothing in common but what the gate's
gauges move, Q = 0 once these are fixed. Then each cell stands for itself: the first bracket is 0,
and so is the rest on each derivative of V. Second moments of the gate can be invisible here: they
are not where π is β1ᵀx.

Source: theory section 9; proofs_check/test_routers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import sympy as sp

from identkit.expression import symbol
from identkit.gates.density import VARIANCES
from identkit.gates.gate import Gate, Share
from identkit.gates.gauge import Gauge
from identkit.gates.normal import Coordinates
from identkit.gates.regime import Caveat, Expansion, LossTerms, Regime, WeightRule
from identkit.gates.router import Level, Router, Written
from identkit.gates.softmax import FITTED_ONCE, share, weigh
from identkit.layout import Block
from identkit.likelihoods import LEAST_SQUARES, LIKELIHOODS, resolve
from identkit.vocabulary import Through

APART = Caveat(
    "what the scores of two atoms have in common, beside constants, is moved by a gauge of all "
    "atoms that is held fixed (not proved)",
    lambda situation: True,
)
PIECES = Caveat(
    "the pieces of the domain on which the scores of no two atoms differ by a constant show all of "
    "the experts (kinks of the scores make others; not checked)",
    lambda situation: True,
)
_ARGUMENT = (
    "Multiplied by the denominator, `f_G − f_G*` is `Σ W_i (V_i − T)`. What multiplies `V_j − T` "
    "is a common factor times `W_j`, and an atom that is fitted by one atom only makes that factor "
    "0 once the gauge is fixed. So `m0 W + m_γ·∇W + ½ M_γγ:∇²W = 0` for each cell, and on the "
    "derivatives of `V` what is left of the expert, with the mixed moments `M_γη` on `∇W·∇h`."
)


def least_squares(rule: WeightRule) -> Expansion:
    """What is left under softmax over some of the atoms at a time: the expert's own moments."""
    return Expansion(
        rule,
        order=2,
        gates=False,
        argument="Multiplied by the denominators, `f_G − f_G*` pins `m0`, `m_β` and `M_ββ` of "
        "every cell, hence `M_βη = 0` because `M ⪰ 0`. What remains is `m_η` and `M_ηη ⪰ 0`.",
    )


def divided(coordinates: Coordinates, *, gates: bool = True) -> LossTerms:
    """The loss of softmax in the gate's own coordinates: atoms weigh e^offset, divided by the sum.

    ``gates``: whether second moments of the gate are visible for some expert.
    """
    return LossTerms(
        weigh,
        share=True,
        compared="all",
        beta0="none",
        coordinates=coordinates,
        gates="all" if gates else "exact",
    )


def routed(
    name: str,
    formula: str,
    router: Router,
    blocks: tuple[Block, ...],
    score: Any,
    source: str,
    gauges: Iterable[Any],
    *,
    separate: bool = False,
    pieces: Caveat | None = None,
    caveats: tuple[Caveat, ...] = (),
    structure: str = "",
    together: str = "",
    level: Level | None = None,
    written: Written | None = None,
    holds: Callable[[int], tuple[Block, ...]] | None = None,
    claims: tuple[str, ...] = (),
    loss: LossTerms | None = None,
) -> tuple[Gate, ...]:
    """The gate under least squares and under each Gaussian likelihood.

    ``gauges`` map the weight rule to a gauge. ``separate``: whether it is to be asked that scores
    of different atoms share constants alone; otherwise it is proved that the gauges move all that
    they share. ``pieces``: under least squares, where scores with kinks leave a hypothesis;
    without kinks the products W_i·W_j are independent over the experts for almost every gates.
    ``structure``: over what weights are divided where it is not all atoms; what pins the common
    factors is then said by the ``caveats``, and ``together`` when it is all atoms. ``level``,
    ``written`` and ``holds`` are as in :class:`~identkit.gates.gate.Gate`; ``loss`` is that under
    least squares. Copies of an atom share its e^β0.
    """
    rule = WeightRule(sp.exp(symbol("s")), True, blocks, router, structure)
    declared: tuple[Gauge, ...] = tuple(made(rule) for made in gauges)
    names = (LEAST_SQUARES, *(n for n, own in LIKELIHOODS.items() if own.family == "gaussian"))
    made = []
    for likelihood in names:
        density = resolve(likelihood).through is not Through.VALUE
        provided = (
            *(() if structure else (FITTED_ONCE,)),
            *caveats,
            *((VARIANCES,) if density else () if pieces is None else (pieces,)),
        )
        argument = _ARGUMENT.replace("f_G", "p_G") if density else _ARGUMENT
        apart = "gaussian-derivatives-independent" if density else "weight-products-independent"
        regime = Regime(
            key="any",
            condition="algebraic-independence",
            also=(("separate", APART),) if separate else (),
            meaning="any truth",
            expansion=Expansion(
                rule, order=2, gates=False, likelihood=likelihood, argument=argument
            ),
            loss=loss if likelihood == LEAST_SQUARES else None,
            caveats=provided,
            rests_on=("routed-second-order", "routed-common-factor", apart, *claims),
        )
        made.append(
            Gate(
                name=name,
                formula=formula,
                weight=sp.exp,
                normalised=True,
                declared=declared,
                regimes=(regime,),
                source=source,
                likelihood=likelihood,
                blocks=blocks,
                score=score,
                router=router,
                structure=structure,
                together=together,
                share=Share(rule, share),
                level=level,
                written=written,
                holds=holds,
            )
        )
    return tuple(made)
