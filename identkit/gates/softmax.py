"""The softmax gate: atoms weigh exp(β1ᵀx + β0), divided by the sum over atoms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy as sp

from identkit.expression import symbol
from identkit.gates.classes import under_classes
from identkit.gates.density import REMAINS, VARIANCES, expansion
from identkit.gates.gate import Gate, Share
from identkit.gates.gauge import common_shift
from identkit.gates.merging import exponentials
from identkit.gates.regime import Caveat, Expansion, LossTerms, Regime, Situation, WeightRule

RULE = WeightRule(sp.exp(symbol("s")), True)


def share(beta0: float, m: int) -> float:
    """β0 − log m."""
    import numpy as np

    return beta0 - np.log(m)


def weigh(beta0: Any) -> Any:
    """e^β0 divided by its sum over atoms: the weights at x = 0."""
    import numpy as np

    weight = np.exp(beta0 - beta0.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


def below_doubling(situation: Situation) -> bool:
    """k < 2k*: then some true atom is fitted by one atom only."""
    return situation.atoms < 2 * len(situation.sloped)


FITTED_ONCE = Caveat(
    "for almost every choice of the gates, provided some true atom is fitted by one atom only "
    "(k < 2k*)",
    below_doubling,
)
GATE = Gate(
    name="softmax",
    formula="exp(β1ᵀx + β0), divided by the sum over atoms",
    weight=sp.exp,
    normalised=True,
    declared=(common_shift(RULE),),
    regimes=(
        Regime(
            key="any",
            condition="strong",
            meaning="any truth",
            expansion=Expansion(
                RULE,
                order=2,
                gates=False,
                argument="Multiplied by the denominator, `f_G − f_G*` pins `m0`, `m_β` and `M_ββ`, "
                "hence `M_βη = 0` because `M ⪰ 0`. What remains is `m_η` and `M_ηη ⪰ 0`, provided "
                "at least one true atom is fitted by a single atom: spreading every atom's gate "
                "alike, `β1_j ± t`, leaves f unchanged.",
            ),
            loss=LossTerms(weigh, share=True, compared="all", beta0="none"),
            caveats=(FITTED_ONCE,),
            rests_on=(
                "softmax-denominator-pins",
                "softmax-gate-identifiable-once-pinned",
                "softmax-common-spreading",
            ),
        ),
    ),
    share=Share(RULE, share),
    merging=exponentials(RULE, "k < 2k*, and generic gates"),
    source="Nguyen, Ho, Rinaldo, ICML 2024 (arXiv 2402.02952); arXiv 2503.03213",
)

_ANY = GATE.regimes[0]
GAUSSIAN = tuple(
    replace(
        GATE,
        likelihood=likelihood,
        source="arXiv 2505.10860",
        regimes=(
            replace(
                _ANY,
                loss=None,
                expansion=expansion(
                    RULE,
                    likelihood,
                    "Multiplied by the denominator",
                    "the gates are pinned as under least squares: `m0`, `m_β`, `M_ββ`, `M_βη`, "
                    "`M_βν` are 0.",
                    said,
                ),
                caveats=(*_ANY.caveats, VARIANCES),
                rests_on=(*_ANY.rests_on, *claims),
            ),
        ),
    )
    for likelihood, said, claims in REMAINS
)
"""What is known under the Gaussian likelihood, for each of its variances."""
CATEGORICAL = under_classes(GATE)
"""What is known under the categorical likelihood."""
