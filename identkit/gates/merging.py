"""Merging atoms: one atom in the place of two, with the moments that f shows at first order.

Around an over-specified true atom f depends on the moments m0 = Σ w_i − w*, m = Σ w_i δ_i and
M = Σ w_i δ_i δ_iᵀ of the deviations δ_i (theory section 4). One atom that has the m0 and m of two
stands for them, and f changes by second moments about it alone: by what merging is charged.

How weights and slopes of a gate make m0 and m_β is a theorem about its weight rule, so each rule
has a :class:`Merging` of its own, registered with its gate, and no gate has that of another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from identkit.gates.regime import WeightRule


@dataclass(frozen=True)
class Merging:
    """How two atoms under one weight rule become one.

    ``join`` maps the scores at one x, an array (2,), and the slopes (2, d) of two atoms to the
    score there and the slope (d,) of one with their m0 and m_β, the gates expanded about this x;
    the score is infinite where no atom of the rule has them. ``from_zero``:
    atoms of one cell have β1 → 0, and slopes are measured from 0; else from the merged one.
    ``affine``: the second moments of slopes vanish also for experts affine in all of η, whose own
    deviations f does not show. ``provided`` is what the theory behind it assumes, as a clause.
    """

    rule: WeightRule
    join: Callable[[Any, Any], tuple[Any, Any]] = field(repr=False)
    from_zero: bool
    affine: bool
    provided: str


def exponentials(rule: WeightRule, provided: str) -> Merging:
    """Of weights e^(β1ᵀx + β0) over their sum: masses e^β0 add up, slopes are averaged with them.

    About x = c numerator and denominator hold Σ e^s_i (1 + δ_iᵀ(x − c) + …), s_i being the score at
    c and δ_i the deviation of β1_i: m0 and m_β are those of the masses e^s_i.
    """
    return Merging(rule, _joined_exponentials, False, True, provided)


def sigmoids(rule: WeightRule, provided: str) -> Merging:
    """Of weights σ(β1ᵀx + β0) in the sparse regime: σ(β0) and σ'(β0)·β1 add up.

    About β1* = 0, σ(β0_i + β1_iᵀx) = s_i + s_i' β1_iᵀx + O(‖β1_i‖²) with s_i = σ(β0_i) and
    s_i' = s_i (1 − s_i), hence m0 = Σ s_i − s*, m_β = Σ s_i' β1_i. No atom weighs 1 or more.
    """
    return Merging(rule, _joined_sigmoids, True, False, provided)


def _joined_exponentials(score: Any, slope: Any) -> tuple[Any, Any]:
    import numpy as np

    share = np.exp(score - np.logaddexp.reduce(score))
    return np.logaddexp.reduce(score), share @ slope


def _joined_sigmoids(score: Any, slope: Any) -> tuple[Any, Any]:
    import numpy as np

    weight = np.exp(-np.logaddexp(0.0, -score))
    total = weight.sum()
    if not total < 1.0:
        return np.inf, np.zeros(slope.shape[1:])
    rate = weight * np.exp(-np.logaddexp(0.0, score))
    return np.log(total) - np.log1p(-total), rate @ slope / (total * (1.0 - total))
