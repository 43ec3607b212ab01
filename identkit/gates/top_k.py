"""Top-K gates: softmax over the atoms with the K largest scores β1ᵀx + β0, ``top-2``, ``top-3``, …

The inputs fall into regions, at most C(k*, K), on each of which the same true atoms are selected
and f_G* is a softmax mixture of these. Regions that share an atom have their common factors Q in
common. In the interior of a region fitted atoms are selected as the true ones of their cells are,
if the fitted gate selects enough of them: K̄ ≥ max Σ |V_j| over the K true atoms of a region; with
fewer f_G does not converge to f_G* there, and no rate holds. Top-1 has constant weights: (β1, β0) →
c·(β1, β0) leaves f as it is, and what shows of the gates is where regions meet.

Source: arXiv 2309.13850; theory section 9; proofs_check/test_nested_gates.py.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from identkit.errors import InputError
from identkit.expression import symbol
from identkit.gates.density import REMAINS, VARIANCES, expansion
from identkit.gates.gate import Gate
from identkit.gates.gauge import common_shift
from identkit.gates.regime import Caveat, Regime, WeightRule
from identkit.gates.routed import FITTED_ONCE, PRODUCTS, least_squares
from identkit.layout import AFFINE
from identkit.likelihoods import LEAST_SQUARES, Likelihood, resolve

BEGINS = r"top-(?=[0-9]|k\b)"
MOST = 64
ENOUGH = Caveat(
    "the fitted gate selects K̄ atoms, at least as many as the cells of any K true atoms that are "
    "selected together hold (K̄ ≥ max Σ |V_j|)",
    lambda situation: True,
)
CONNECTED = Caveat(
    "the regions are connected by true atoms that they share, and each true atom is selected "
    "somewhere",
    lambda situation: True,
)


def gate(text: str, likelihood: Likelihood | str | None = None) -> Gate:
    """The gate ``top-K``, ``text`` is K. Raises InputError for one that there is not.

    >>> gate("2").formula
    'exp(β1ᵀx + β0) of the 2 largest scores, divided by their sum'
    """
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
        raise InputError(f"gate top-{text}: give a number of atoms, such as top-2 (1 to {MOST}).")
    wanted = resolve(LEAST_SQUARES if likelihood is None else likelihood).name
    known = {g.likelihood: g for g in _gates(int(text))}
    return known[wanted] if wanted in known else known[LEAST_SQUARES].under(wanted)


@cache
def _gates(k: int) -> tuple[Gate, ...]:
    structure = f"the {k} largest"
    rule = WeightRule(sp.exp(symbol("s")), True, structure=structure)
    shared = (FITTED_ONCE, CONNECTED, ENOUGH)
    found = [(least_squares(rule), (*shared, PRODUCTS), ())]
    found += [
        (
            expansion(
                rule,
                likelihood,
                "In each region, multiplied by the denominator",
                "the gates are pinned as under softmax, region by region.",
                said,
            ),
            (*shared, VARIANCES),
            claims,
        )
        for likelihood, said, claims in REMAINS
    ]
    return tuple(
        Gate(
            name=f"top-{k}",
            formula=f"exp(β1ᵀx + β0) of the {k} largest scores, divided by their sum",
            weight=sp.exp,
            normalised=True,
            declared=(common_shift(rule),),
            regimes=(
                Regime(
                    key="any",
                    condition="strong",
                    meaning="any truth of more than K atoms"
                    if k > 1
                    else "any truth; no rate is derived, since the weights are 0 and 1",
                    expansion=theorem if k > 1 else None,
                    caveats=caveats if k > 1 else (),
                    rests_on=("top-k-regions", *claims) if k > 1 else (),
                ),
            ),
            source="arXiv 2309.13850",
            likelihood=theorem.likelihood,
            blocks=AFFINE,
            structure=structure,
        )
        for theorem, caveats, claims in found
    )
