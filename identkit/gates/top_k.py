"""Top-K gates: softmax over the atoms with the K largest scores β1ᵀx + β0, ``top-2``, ``top-3``, …

The inputs fall into regions, at most C(k*, K), on each of which the same true atoms are selected
and f_G* is a softmax mixture of these. A fitted gate that selects K̄ atoms, K ≥ 2, has f_G → f_G*
on a region only if all of these are in the cells V_j of its K true atoms and their weights add up
to those of the true ones times one factor. So Σ |V_j| = K̄ on *every* region, V_j those of a cell
that are selected. Where regions are joined by exchanges of one atom for another all cells have one
size m, K̄ = mK, and share their weight in equal parts; every other fitted atom is selected nowhere:
nothing is known of it. Hence no rate is registered for several fitted atoms around one true atom;
conditions are decided as on each region. Two copies of every atom are no gauge as under softmax:
they put others out of the sum. At a face ‖f_G − f_G*‖² bounds its move from below; copies spread
along u = s_i − s_j are an exact family where all faces have one u, and there is no spreading in a
cell with two. For top-1 the weights are 0 and 1: (β1, β0) → c·(β1, β0), c > 0,
leaves f as it is.

Source: arXiv 2309.13850; theory section 9; proofs_check/test_nested_gates.py, test_selections.py.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from identkit.expression import symbol
from identkit.gates.gate import Gate
from identkit.gates.gauge import Gauge, common_shift
from identkit.gates.regime import Regime, WeightRule
from identkit.gates.selection import CellTheorem, Selection, selected
from identkit.likelihoods import Likelihood, resolve

BEGINS = r"top-(?=[0-9]|k\b)"


def gate(text: str, likelihood: Likelihood | str | None = None) -> Gate:
    """The gate ``top-K``, ``text`` is K. Raises InputError for one that there is not.

    >>> gate("2").formula
    'exp(β1ᵀx + β0) of the 2 largest scores, divided by their sum'
    """
    found = _of(selected(text))
    return found if likelihood is None else found.under(resolve(likelihood))


def scale(rule: WeightRule) -> Gauge:
    """Of top-1: the order of the scores is all that is left of them."""
    return Gauge(
        name="common scale",
        text="(β1, β0) → c·(β1, β0) for all atoms leaves f unchanged",
        rule=rule,
        moves=rule.blocks,
        dimension=lambda dim, atoms: 1,
        move=lambda values, c: {
            "beta1": values["beta1"] * c[..., None, :],
            "beta0": values["beta0"] * c,
        },
        amounts="factors",
        remedy="hold the difference of two β1 at length 1",
    )


@cache
def _of(k: int) -> Gate:
    structure = f"the {k} largest"
    rule = WeightRule(sp.exp(symbol("s")), True, structure=structure)
    return Gate(
        name=f"top-{k}",
        formula=f"exp(β1ᵀx + β0) of the {k} largest scores, divided by their sum",
        weight=sp.exp,
        normalised=True,
        declared=(common_shift(rule), *((scale(rule),) if k == 1 else ())),
        regimes=(Regime("any", "strong", "any truth, region by region"),),
        source="arXiv 2309.13850",
        structure=structure,
        together=None,
        selection=Selection(
            k,
            divided_by="selected",
            theorem=CellTheorem(rule, "parts", "top-k-cells-fill-regions"),
        ),
    )
