"""The normalized sigmoid gate: atoms weigh σ(β1ᵀx + β0), divided by the sum over atoms.

Sparse regime (every over-specified true atom has β1* = 0), least squares. Write Z for the true
atoms with β1* = 0, of weights s_j, S = Σ s_j, H = Σ s_j h_j, and E for those with β1* ≠ 0, each
fitted by one atom; let q_j and r_j be the gate's and the expert's part of the expansion of a cell,

    Σ_i σ_i = s_j (1 + q_j) + …,    Σ_i σ_i h_i = s_j (h_j + q_j h_j + r_j) + …,

and A_e = Δβ0 + Δβ1ᵀx, m_e = Δη for e in E, Q = Σ s_j q_j. Times its squared denominator, f_G − f_G*
is a polynomial in the σ_e whose coefficients do not hold the slopes of E; for almost every choice
of these the σ_e are algebraically independent over the coefficients, so each of them is 0:

    σ_e²σ_e':  A_e (h_e' − h_e)
    σ_e²:      m_e·∇h_e − A_e (S h_e − H)
    σ_e:       Σ s_j (q_j h_j + r_j) − Q h_e + A_e (S h_e − H) + S m_e·∇h_e
    1:         S Σ s_j (q_j h_j + r_j) − Q H

With two atoms in E the first gives A_e = 0; with one the second does, if no affine multiple of
h_e − H/S is a combination of ∇h_e (condition ``anchor``). Either way m_e·∇h_e = 0 and then Q = 0:
the denominator pins the sum of the cells' weights, and with one atom in Z only the moments of the
expert are left, as under softmax. Several atoms in Z, also exactly fitted ones, can be treated one
by one if their h, x h, ∇h, ∇²h are independent. Without E, σ(β0_j) → c·σ(β0_j) is an exact gauge.

Dense regime: first order only. With Z empty the same lines ask for m_e·∇h_e = 0 alone.
Source: theory section 4; proofs_check/test_normalized_sigmoid.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy as sp

from identkit.expression import symbol
from identkit.gates.classes import under_classes
from identkit.gates.density import REMAINS, VARIANCES, WEIGHTS, expansion
from identkit.gates.gate import Gate, Share
from identkit.gates.gauge import Gauge, Values
from identkit.gates.merging import sigmoids
from identkit.gates.regime import Caveat, Expansion, Regime, Situation, WeightRule
from identkit.gates.sigmoid import DENSE_LOSS, SPARSE, SPARSE_LOSS, share
from identkit.gates.softmax import below_doubling
from identkit.layout import OFFSET

RULE = WeightRule(1 / (1 + sp.exp(-symbol("s"))), True)


def anchored(situation: Situation) -> bool:
    """Some true atom has a gate that depends on x."""
    return any(situation.sloped)


def anchored_twice(situation: Situation) -> bool:
    """Two true atoms have a gate that depends on x."""
    return sum(situation.sloped) > 1


def slopes_fitted_once(situation: Situation) -> bool:
    """The surplus atoms are at a true atom with β1* = 0."""
    return not situation.sloped[situation.over]


def several(situation: Situation) -> bool:
    """A single atom's weight cancels, and flat atoms ask for more."""
    return len(situation.sloped) > 1 and all(situation.sloped)


def flat(situation: Situation) -> bool:
    """No gate depends on x."""
    return not any(situation.sloped)


def scaled(values: Values, amount: Any) -> Values:
    """β0 of c·σ(β0): log c − log(1 + e^−β0 − c)."""
    import numpy as np

    return {"beta0": np.log(amount) - np.log1p(np.exp(-values["beta0"]) - amount)}


SCALE = Gauge(
    name="common factor",
    text="σ(β0) → c·σ(β0) for all atoms leaves f unchanged",
    rule=RULE,
    moves=(OFFSET,),
    dimension=lambda dim, atoms: 1,
    move=scaled,
    amounts="factors",
    caveat=Caveat("every β1* = 0", flat),
    formula=(("beta0", "log(c) - log(1 + exp(-beta0) - c)"),),
)

GATE = Gate(
    name="normalized-sigmoid",
    formula="σ(β1ᵀx + β0), divided by the sum over atoms",
    weight=lambda s: 1 / (1 + sp.exp(-s)),
    normalised=True,
    declared=(SCALE,),
    regimes=(
        Regime(
            key="sparse",
            condition="strong",
            also=(
                (
                    "anchor",
                    Caveat(
                        "two true atoms have β1* ≠ 0: that one is enough is not proved",
                        anchored_twice,
                    ),
                ),
            ),
            meaning="every over-specified true atom has β1* = 0",
            expansion=Expansion(
                RULE,
                order=2,
                gates=False,
                across="values",
                alone="a single true atom with β1* = 0 (any number with β1* ≠ 0)",
                argument="Times the denominator, `f_G − f_G*` is a polynomial in the weights of "
                "the atoms with `β1* ≠ 0`, which are algebraically independent of all else for "
                "almost every choice of their slopes. Its coefficients pin these atoms' gates "
                "(condition `anchor` if there is only one), then the sum of the other weights: "
                "with one cell `m0`, `m_β` and `M_ββ` vanish, hence `M_βη = 0`. What remains is "
                "`m_η` and `M_ηη ⪰ 0`.",
            ),
            loss=SPARSE_LOSS,
            caveats=(
                Caveat(
                    "for almost every choice of the nonzero β1*, provided some true atom has "
                    "β1* ≠ 0 (without one, all σ(β0) can be multiplied by a constant)",
                    anchored,
                ),
                Caveat(
                    "near the truth, where no atom with β1* ≠ 0 is fitted twice: elsewhere f_G* "
                    "can have exact refits, such as two copies of each such atom beside doubled "
                    "weights of the others, if these are below 1/2 and k is large enough",
                    slopes_fitted_once,
                ),
            ),
            rests_on=("normalized-sigmoid-sparse", "normalized-sigmoid-refits", "sigmoid-moments"),
        ),
        Regime(
            key="dense",
            condition="weak",
            level="expert",
            meaning="some over-specified true atom has β1* ≠ 0",
            expansion=Expansion(
                RULE,
                order=1,
                gates=True,
                subject=" of the expert",
                argument="The theorem is about first order, near a unique minimiser. Times the "
                "denominator, the first-order change of f is a polynomial in the weights, which "
                "are algebraically independent of the experts for almost every choice of the "
                "slopes. With two atoms or more its coefficients vanish only if every gate stays "
                "and `m_η·∇h = 0` for every atom: only first derivatives of `h` in η enter.",
            ),
            loss=DENSE_LOSS,
            caveats=(
                Caveat(
                    "for almost every choice of gates with β1 ≠ 0, of two true atoms or more (the "
                    "weight of a single one cancels)",
                    several,
                ),
                Caveat(
                    "some true atom is fitted by one atom only (k < 2k*), since two copies of "
                    "every atom are an exact refit",
                    below_doubling,
                ),
            ),
            rests_on=("normalized-sigmoid-dense", "normalized-sigmoid-refits"),
        ),
    ),
    share=Share(RULE, share),
    merging=sigmoids(RULE, f"{SPARSE}, and some true atom with β1* ≠ 0 is fitted once"),
    source="arXiv 2505.10860 (Gaussian likelihood); least squares: identkit",
)

_SPARSE, _DENSE = GATE.regimes
_ANCHORED = (
    Caveat(
        "some true atom, fitted by one atom, has β1* ≠ 0 (without one, all σ(β0) can be multiplied "
        "by a constant)",
        anchored,
    ),
    Caveat(
        "near the truth, where no atom with β1* ≠ 0 is fitted twice: elsewhere p_G* can have exact "
        "refits, as f_G* has under least squares",
        slopes_fitted_once,
    ),
)
GAUSSIAN = tuple(
    replace(
        GATE,
        likelihood=likelihood,
        source="arXiv 2505.10860",
        regimes=(
            replace(
                _SPARSE,
                also=(),
                loss=None,
                expansion=expansion(
                    RULE,
                    likelihood,
                    "Times the denominator",
                    "the gate's part of every cell is one function Q of x; an exactly fitted atom "
                    "with `β1* ≠ 0` makes it 0, since its part is `(1 − σ)(Δβ0 + Δβ1ᵀx)` and that "
                    "of a cell with `β1* = 0` a polynomial. Then `m0 = m_β = M_ββ = 0` by the "
                    "lemma on sigmoid moments, so `M_βη = M_βν = 0`.",
                    said,
                ),
                caveats=(*_ANCHORED, WEIGHTS, VARIANCES),
                rests_on=(
                    "gaussian-normalized-sigmoid-sparse",
                    "normalized-sigmoid-refits",
                    "sigmoid-moments",
                    *claims,
                ),
            ),
            _DENSE,  # what is known of it is under least squares alone
        ),
    )
    for likelihood, said, claims in REMAINS
)
"""What is known under the Gaussian likelihood, for each of its variances: the sparse regime."""
CATEGORICAL = under_classes(GATE)
"""What is known under the categorical likelihood, in both regimes."""
