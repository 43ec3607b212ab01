"""Records of the regions of a gate that selects, and of fits that fill them or do not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from identkit.domain import Domain
from identkit.selecting.regions import Division
from identkit.vocabulary import Quantifier, Verdict


@dataclass(frozen=True)
class Counterexample:
    """A truth and a fit with the cells in question, and a point at which their f differ.

    All experts are constants. Texts are in the grammar of ``--expr``; of each cell ``fitted`` is
    one atom, all of a cell being the same. ``selected`` are the numbers of atoms of each cell that
    the fit selects at x. ``exact``: f are fractions, else balls that do not meet.
    """

    x: tuple[str, ...]
    true: tuple[str, ...]
    fitted: tuple[str, ...]
    bias: tuple[str, ...]
    experts: tuple[str, ...]
    region: tuple[int, ...]
    selected: tuple[int, ...]
    f_true: str
    f_fitted: str
    exact: bool


@dataclass(frozen=True)
class Cells:
    """What is known of fits whose cells have these sizes, in the order of the true atoms.

    ``largest`` and ``smallest`` are those of Σ|V_j| over regions, ``published`` whether K̄ is at
    least the largest. ``converges``: whether some fit with these cells has f_G → f_G*; ``selected``
    is then n_j (0: that of an atom that is selected nowhere), None else.
    """

    sizes: tuple[int, ...]
    smallest: int
    largest: int
    published: bool
    converges: Verdict
    reason: str
    selected: tuple[int, ...] | None = None
    counterexample: Counterexample | None = None


@dataclass(frozen=True)
class Answer:
    """The regions of a truth and, where a fit was asked about, its cells.

    ``number`` of regions; ``sets`` are these, None if there are too many to list. ``division`` is
    that of the domain where scores are given. ``converges`` is about all ``cells`` together.
    """

    gate: str
    count: int
    true_atoms: int
    number: int
    sets: tuple[tuple[int, ...], ...] | None
    division: Division | None
    domain: Domain | None
    fitted: int | None
    fitted_count: int
    cells: tuple[Cells, ...]
    claim: str

    @property
    def converges(self) -> Verdict | None:
        """Yes if some cells do, no if none does; None where no fit was asked about."""
        found = {c.converges for c in self.cells}
        if not found:
            return None
        return next(v for v in (Verdict.YES, Verdict.UNDECIDED, Verdict.NO) if v in found)

    def to_dict(self) -> dict[str, Any]:
        """The document, schema ``identkit.regions/1``: atoms from 0, rationals as text."""
        split = self.division
        pieces = None
        if split is not None and self.domain is not None:
            pieces = {
                "domain": self.domain.document(),
                "pieces": [
                    {"low": str(p.low), "high": str(p.high), "atoms": list(p.atoms)}
                    for p in split.pieces
                ],
                "exact": split.exact,
                "open": split.open,
                "components": [list(c) for c in split.components],
            }
        return {
            "gate": self.gate,
            "selected": self.count,
            "true_atoms": self.true_atoms,
            "regions": self.number,
            "sets": None if self.sets is None else [list(s) for s in self.sets],
            "division": pieces,
            "fitted": self.fitted,
            "fitted_selected": self.fitted_count,
            "converges": self.converges,
            "cells": [asdict(c) for c in self.cells],
            "quantifier": Quantifier.ALMOST_EVERY,  # of a no: the gates
            "rests_on": [self.claim],
        }
