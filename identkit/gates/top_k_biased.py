"""Sigmoid scores selected with a bias, as in DeepSeek-V3: ``top-2-biased``, ``top-3-biased``, …

Selected are the K atoms with the largest σ(s_i) + b_i; the weights are σ(s_i)/Σ σ over these. The
*selection bias* b_i, one number of each atom, decides which atoms count and is in no weight.

*Gauges*: b_i → b_i + t for all atoms. Where every β1 = 0 also σ(β0) → c·σ(β0) for all, with
b_i → b_i + (1 − c)·σ(β0_i), which leaves σ + b: that of the normalised sigmoid gate, with the
selection kept. For K = 1 the weight is 1, and the gates are seen in the regions alone.

*What regions say of b*: nothing within. A face where atom i gives way to j is
{σ(s_i) + b_i = σ(s_j) + b_j}, so that one point of it determines b_i − b_j, given the scores. So b
is determined up to one shift for each connected component of the graph of exchanges; components
move against each other as long as no other face enters the domain, an open condition. An atom that
is selected everywhere can have any larger b, one that is selected nowhere any smaller one. Where
f_G* jumps at the face, ‖f_G − f_G*‖² is at least a constant times the distance by which it has
moved: b_i − b_j comes at the rate 1/n where f comes at n^-1/2, as a change point does.

*Which fits converge*, K ≥ 2, K̄ selected of k: for almost every gates with β1 ≠ 0, f_G → f_G* on a
region only if just m = K̄/K atoms of each cell of S are selected, each with the weight of the true
atom: Σ σ(s + δ_i) is c·σ(s) for no other δ, by poles, and c is the same for all cells. So K̄ is a
multiple of K and |V_j| ≥ m for each true atom that is selected anywhere; more atoms are free, held
out by their b. Within exchanged cells the b are the true ones plus one number. Atoms with β1 = 0
can share a weight otherwise.

*Second order*, region by region: that of ``normalized-sigmoid`` on the atoms of S. With m = 1 all
atoms with β1 ≠ 0 are fitted once, and first derivatives of the expert count; m ≥ 2 is an exact
refit (copies) that no theorem here covers. No rate is registered.

Source: arXiv 2412.19437 (the weights), 2408.15664 (the bias); identkit; theory section 9;
proofs_check/test_selections.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy as sp

from identkit.expression import symbol
from identkit.gates.gate import Gate
from identkit.gates.gauge import Gauge, Values
from identkit.gates.normalized_sigmoid import flat, scaled
from identkit.gates.regime import Caveat, Regime, WeightRule
from identkit.gates.selection import BIAS, CellTheorem, Selection, variant
from identkit.layout import AFFINE, OFFSET
from identkit.likelihoods import Likelihood, resolve

ENDING = "-biased"
BEGINS = r"top-(?=[^-]*-biased\s*$)"


def gate(text: str, likelihood: Likelihood | str | None = None) -> Gate:
    """The gate ``top-K-biased`` from ``K-biased``. Raises InputError where K is none.

    >>> gate("2-biased").formula
    'σ(β1ᵀx + β0) of the 2 largest σ(β1ᵀx + β0) + b, divided by their sum'
    """
    found = _of(variant(text, ENDING))
    return found if likelihood is None else found.under(resolve(likelihood))


def score(values: Values, x: Any) -> Any:
    """The scores (k,) of the atoms at one x (d,): β1ᵀx + β0, without b."""
    return values["beta0"] + (values["beta1"] * x).sum(axis=-1)


def _shifted(values: Values, amount: Any) -> Values:
    return {BIAS.name: values[BIAS.name] + amount}


def _scaled(values: Values, amount: Any) -> Values:
    import numpy as np

    weight = 1 / (1 + np.exp(-values["beta0"]))
    bias = values[BIAS.name] + (1 - amount) * weight
    return {**scaled(values, amount), BIAS.name: bias}


def shift(rule: WeightRule) -> Gauge:
    """One shift of all selection biases: their differences alone decide."""
    return Gauge(
        name="shift of the selection",
        text="a common shift of all selection biases leaves f unchanged",
        rule=rule,
        moves=(BIAS,),
        dimension=lambda dim, atoms: 1,
        move=_shifted,
        remedy="hold that of one atom at 0",
        pins=True,
        formula=((BIAS.name, f"{BIAS.name} + t0"),),
    )


def scale(rule: WeightRule) -> Gauge:
    """The common factor of constant weights, σ + b being kept."""
    return Gauge(
        name="common factor",
        text="σ(β0) → c·σ(β0), b → b + (1 - c)·σ(β0) for all atoms leaves f unchanged",
        rule=rule,
        moves=(OFFSET, BIAS),
        dimension=lambda dim, atoms: 1,
        move=_scaled,
        amounts="factors",
        caveat=Caveat("every β1* = 0", flat),
        formula=(
            ("beta0", "log(c) - log(1 + exp(-beta0) - c)"),
            (BIAS.name, f"{BIAS.name} + (1 - c)/(1 + exp(-beta0))"),
        ),
    )


@cache
def _of(k: int) -> Gate:
    structure, blocks = f"the {k} largest of σ(s) + b", (*AFFINE, BIAS)
    rule = WeightRule(1 / (1 + sp.exp(-symbol("s"))), True, blocks, structure=structure)
    return Gate(
        name=f"top-{k}{ENDING}",
        formula=f"σ(β1ᵀx + β0) of the {k} largest σ(β1ᵀx + β0) + b, divided by their sum",
        weight=lambda s: 1 / (1 + sp.exp(-s)),
        normalised=True,
        declared=(shift(rule), *((scale(rule),) if k > 1 else ())),
        regimes=(Regime("any", "strong", "any truth, region by region"),),
        source="arXiv 2412.19437, 2408.15664; identkit",
        blocks=blocks,
        score=score,
        structure=structure,
        together=None,
        selection=Selection(
            k,
            divided_by="selected",
            bias=BIAS,
            theorem=CellTheorem(rule, "copies", "top-k-biased-copies"),
        ),
    )
