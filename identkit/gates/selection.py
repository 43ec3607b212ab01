"""Which atoms a gate selects at an input, as data: what fits, simulation and the command read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from identkit.errors import InputError
from identkit.gates.regime import WeightRule
from identkit.layout import Block

MOST = 64
"""Atoms that a gate which is known by name selects."""


@dataclass(frozen=True)
class CellTheorem:
    """Which cells of fitted atoms let f_G → f_G*, a theorem of one weight rule.

    On each region some n_j of the |V_j| atoms of each cell are selected, Σ n_j = K̄ over the true
    atoms of the region. ``cells`` says what else: ``parts``, any n_j ≤ |V_j|, which share the true
    atom's weight, all others being selected nowhere; ``whole``, n_j = |V_j|; ``copies``, the same
    n_j ≤ |V_j| for all, each atom having the whole weight. ``claim`` is where it is proved.
    """

    rule: WeightRule
    cells: Literal["parts", "whole", "copies"]
    claim: str


@dataclass(frozen=True)
class Selection:
    """At each x the ``count`` atoms with the largest weight(s) + bias are selected; others weigh 0.

    ``divided_by`` says by what the weights of these are divided: by their own sum (``selected``) or
    by that over all atoms, selected or not (``all``). ``bias`` is a block of one number of each
    atom that is added to its weight for the selection alone, None where nothing is: then the
    selected atoms are those of the largest scores, since weights increase with them. ``theorem``
    says which fits converge, None where that is not known.

    >>> Selection(2, "selected").bias is None
    True
    """

    count: int
    divided_by: Literal["selected", "all"]
    bias: Block | None = None
    theorem: CellTheorem | None = None


BIAS = Block("selection_bias", "b", "", "weight", "1")
"""A number of each atom that is added to its weight to be compared, and is not in the weight."""


def selected(text: str) -> int:
    """K from the rest of a gate's name, behind ``top-``. Raises InputError for one that is none."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
        raise InputError(
            f"gate top-{text}: give a number of atoms, 1 to {MOST}, and no more or a variant: "
            "top-2, top-2-unnormalised, top-2-biased."
        )
    return int(text)


def variant(text: str, ending: str) -> int:
    """K from ``K-variant``, which ends in ``ending`` or another spelling of the same length."""
    return selected(text.strip()[: -len(ending)])
