"""Weights that do not depend on x: a mixture with constant weights, as of shared experts.

Atoms weigh exp(β0) over the sum. Nothing is known of f under least squares. Under the Gaussian
likelihood there is a density to estimate: DeepSeekMoE (arXiv 2505.10860) is ½ Σ ω_a N(y | h1, τ_a)
of such shared experts and ½ of routed ones. The derivatives of all atoms' N are independent
functions of y, so the halves can be treated one by one where the pairs (h, ν) are distinct: m0 = 0
on N, and of the expert what is left under softmax. Fitted weights are bounded away from 0, or a
routed atom of constant gate takes the place of a shared one.

Under the categorical likelihood Σ_j (m0_j p_j + m_j·∇p_j + ½M_j:∇²p_j) = 0 with Σ m0_j = 0 is what
is left: one cell has m0 = 0 and the criterion of softmax, several ask for independent p, ∇p, ∇²p.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy as sp

from identkit.expression import symbol
from identkit.gates.classes import CLAIMS, REDUCTION
from identkit.gates.density import REMAINS, VARIANCES, WEIGHTS, expansion
from identkit.gates.gate import Gate
from identkit.gates.gauge import Values, common_shift
from identkit.gates.regime import Caveat, Expansion, Regime, WeightRule
from identkit.gates.softmax import below_doubling
from identkit.layout import OFFSET
from identkit.likelihoods import resolve
from identkit.likelihoods.categorical import NAME
from identkit.vocabulary import Variance

RULE = WeightRule(sp.exp(symbol("s")), True, (OFFSET,))

FITTED_ONCE = Caveat("some true atom is fitted by one atom only (k < 2k*)", below_doubling)


def score(values: Values, x: Any) -> Any:
    """β0 of each atom, whatever x."""
    return values["beta0"]


GAUSSIAN = tuple(
    Gate(
        name="input-free",
        formula="exp(β0), divided by the sum over atoms",
        weight=sp.exp,
        normalised=True,
        declared=(common_shift(RULE),),
        blocks=RULE.blocks,
        score=score,
        likelihood=likelihood,
        source="arXiv 2505.10860 (shared experts)",
        regimes=(
            Regime(
                key="any",
                condition="shared-strong",
                meaning="any truth",
                expansion=expansion(
                    RULE, likelihood, "With constant weights", "this leaves `m0 = 0`.", said
                ),
                caveats=(
                    *((FITTED_ONCE,) if resolve(likelihood).variance is Variance.COMMON else ()),
                    WEIGHTS,
                    VARIANCES,
                ),
                rests_on=("gaussian-shared-criterion", *claims),
            ),
        ),
    )
    for likelihood, said, claims in REMAINS
)
"""What is known of such weights, for each variance of the Gaussian likelihood."""
CATEGORICAL = replace(
    GAUSSIAN[0],
    likelihood=NAME,
    source="identkit",
    regimes=(
        Regime(
            key="any",
            condition="strong",
            meaning="any truth",
            expansion=Expansion(
                RULE,
                order=2,
                gates=False,
                across="weights",
                likelihood=NAME,
                argument=f"{REDUCTION} With constant weights `p_G − p_G*` adds `m0·p + m_η·∇p + "
                "½ M_ηη:∇²p` for each cell, and the `m0` add up to 0: with one cell `m0 = 0`, and "
                "what remains is `m_η` and `M_ηη ⪰ 0`. Several cells can be treated one by one "
                "where `p, ∇p, ∇²p` of all of them are independent.",
            ),
            caveats=(WEIGHTS,),
            rests_on=(*CLAIMS, "categorical-constant-weights"),
        ),
    ),
)
"""What is known of them under the categorical likelihood."""
