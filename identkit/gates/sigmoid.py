"""The sigmoid gate: atoms weigh σ(β1ᵀx + β0), and f is their sum."""

from __future__ import annotations

from typing import Any

import sympy as sp

from identkit.expression import symbol
from identkit.gates.gate import Gate, Share
from identkit.gates.merging import sigmoids
from identkit.gates.regime import Expansion, LossTerms, Regime, WeightRule

RULE = WeightRule(1 / (1 + sp.exp(-symbol("s"))), False)


def share(beta0: float, m: int) -> float:
    """logit(w/m), w = σ(β0): from log w, which is accurate where w is tiny."""
    import numpy as np

    log_share = -np.logaddexp(0.0, -beta0) - np.log(m)
    return log_share - np.log1p(-np.exp(log_share))


def weigh(beta0: Any) -> Any:
    """σ(β0)."""
    import numpy as np

    return np.exp(-np.logaddexp(0.0, -beta0))


SPARSE_LOSS = LossTerms(weigh, share=False, compared="over", beta0="exact")
DENSE_LOSS = LossTerms(weigh, share=False, compared="empty", beta0="all", order=1.0, fixed=True)

SPARSE = "every over-specified true atom has β1* = 0"
"""What merging under σ presumes: two atoms share a gate in the limit only there."""

GATE = Gate(
    name="sigmoid",
    formula="σ(β1ᵀx + β0), not normalised",
    weight=lambda s: 1 / (1 + sp.exp(-s)),
    normalised=False,
    declared=(),
    regimes=(
        Regime(
            key="sparse",
            number=1,
            condition="strong",
            meaning="every over-specified true atom has β1* = 0 (sparse)",
            expansion=Expansion(
                RULE,
                order=2,
                gates=True,
                across="moments",
                argument="With `s_i = σ(β0_i)` the weights `w_i` are `s_i` in `m0`, `m_η` and "
                "`M_ηη`, `s_i'` in `m_β` and `M_βη`, and `s_i''` in `M_ββ`. If `Σ s_i < 1` and "
                "`m_β = 0` then `M_ββ ⪰ 0` although some `s_i''` may be negative. So `M_ββ ⪰ 0`, "
                "`M_ηη ⪰ 0`, and `M_βη` lives in range `M_ββ` × range `M_ηη`.",
            ),
            loss=SPARSE_LOSS,
            refits="elsewhere",
            rests_on=("sigmoid-gate-sharing", "sigmoid-moments", "null-refit-in-regime-1"),
        ),
        Regime(
            key="dense",
            number=2,
            condition="weak",
            meaning="some over-specified true atom has β1* ≠ 0 (dense)",
            expansion=Expansion(
                RULE,
                order=1,
                gates=True,
                subject=" of the expert-gate product",
                argument="Two fitted atoms can share a true atom's gate in the limit only if its "
                "`β1* = 0`, so for the others the expansion of `f_G − f_G*` stops at first order: "
                "only first derivatives of `F = weight·h` in β0, β1 and η enter.",
            ),
            loss=DENSE_LOSS,
            refits="premise",
            rests_on=("sigmoid-gate-sharing", "regime-2-refits"),
        ),
    ),
    share=Share(RULE, share),
    merging=sigmoids(RULE, SPARSE),
    source="Nguyen, Ho, Rinaldo, NeurIPS 2024 (arXiv 2405.13997)",
)
