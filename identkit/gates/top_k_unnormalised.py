"""The K largest weights of softmax, as they are: ``top-2-unnormalised``, ``top-3-unnormalised``, …

Atom i weighs exp(s_i)/Σ_l exp(s_l), the sum being over *all* atoms, if its score is among the K
largest, else 0: softmax before the selection, not divided again. On the region R_S of inputs where
S is selected f_G* = Σ_S W_j h_j / Σ_l W_l. The weights add up to less than 1: there is no density.

*Gauge*: a common shift of all (β1, β0), for every K; the atoms that are not selected are in the
denominator, so that even for K = 1 the gates are seen within every region.

*Which fits converge*: f_G → f_G* on one region, for almost every gates, only if all atoms of the
cells of S are selected there, none of another cell is, and the weights of *every* cell, selected or
not, add up to those of its true atom times one factor. So Σ |V_j| = K̄ over whole cells on every
region; no fitted atom is free, as one that is selected nowhere is under ``top-K``. Only the cells
of true atoms that are selected nowhere have any size. Cells that are exchanged at a face have one
size, and their atoms weigh the same.

*Second order*, region by region: times both denominators f_G − f_G* is a sum of products W_jW_l, j
in S, with the coefficients

    l in S:  (q_j − q_l)(h_j − h_l) + r_j + r_l    l not in S:  (q_j − q_l) h_j + r_j    W_j²:  r_j

in the gate's and the expert's part of cells. All vanish iff all q, also of atoms that are not
selected, are one function Q and every r_j is 0. A cell of one atom makes Q = 0 once the shift is
fixed: then the criterion is that of softmax, on each region by itself. If all cells have m ≥ 2
atoms none pins Q within regions; the faces then say more (``top_k``). No rate is registered: which
case a truth is in depends on its regions.

Source: identkit; theory section 9; proofs_check/test_selections.py.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from identkit.expression import symbol
from identkit.gates.gate import Gate
from identkit.gates.gauge import common_shift
from identkit.gates.regime import Regime, WeightRule
from identkit.gates.selection import CellTheorem, Selection, variant
from identkit.likelihoods import Likelihood, resolve

ENDING = "-unnormalised"
BEGINS = r"top-(?=[^-]*-unnormali[sz]ed\s*$)"


def gate(text: str, likelihood: Likelihood | str | None = None) -> Gate:
    """The gate ``top-K-unnormalised`` from ``K-unnormalised``. Raises InputError where K is none.

    >>> gate("2-unnormalised").formula
    'exp(β1ᵀx + β0) of the 2 largest scores, divided by the sum over all atoms'
    """
    found = _of(variant(text, ENDING))
    return found if likelihood is None else found.under(resolve(likelihood))


@cache
def _of(k: int) -> Gate:
    structure = f"all atoms, of which the {k} largest count"
    rule = WeightRule(sp.exp(symbol("s")), True, structure=structure)
    return Gate(
        name=f"top-{k}{ENDING}",
        formula=f"exp(β1ᵀx + β0) of the {k} largest scores, divided by the sum over all atoms",
        weight=sp.exp,
        normalised=True,
        declared=(common_shift(rule),),
        regimes=(Regime("any", "strong", "any truth, region by region"),),
        source="arXiv 2309.13850 (softmax after the selection); identkit",
        structure=structure,
        together=None,
        selection=Selection(
            k,
            divided_by="all",
            theorem=CellTheorem(rule, "whole", "top-k-unnormalised-whole-cells"),
        ),
    )
