"""What bounds of orders suppose, by their kind: the same from a search and from a file."""

from __future__ import annotations

from identkit.gates import Regime
from identkit.gates.density import VARIANCES
from identkit.orders.records import ONE_ATOM, OPEN_SET
from identkit.vocabulary import Across, Quantifier, Through

OF_THE_REGIME = (
    "second-order", "below-rank", "beside-location", "rank-two", "ridge-flow", "pair-flow",
    "known-variance", "quadratic-score", "seen-gate",
)  # fmt: skip
"""Upper bounds that rest on the regime's theorem."""


def supposed(
    kind: str, quantifier: Quantifier | None, regime: Regime, *, alone: bool, kinked: bool
) -> tuple[str, ...]:
    """The hypotheses of a bound.

    ``quantifier``: for which η its evidence holds; ``alone``: of one true atom only; ``kinked``: h
    has kinks.
    """
    if kind == "moments":
        return near(quantifier)
    if kind == "at-most-2m":
        # with kinks ∇h is proved independent near one η, and x must stay away from other atoms
        return (VARIANCES.text, *((OPEN_SET, ONE_ATOM) if kinked else ()))
    if kind in OF_THE_REGIME:
        own = (c.text for c in regime.caveats_given({}))
        return (*own, *near(quantifier), *((ONE_ATOM,) if alone else ()))
    return ()


def near(quantifier: Quantifier | None) -> tuple[str, ...]:
    """That evidence holds near some η only, where it does."""
    return (OPEN_SET,) if quantifier == Quantifier.OPEN_SET else ()


def one_by_one(through: Through, across: Across, regime: Regime) -> bool:
    """Whether each true atom can be treated by itself.

    Those of a density always can, and those that almost every gates tell apart.
    """
    gates = regime.expansion is not None and regime.expansion.across == "gates"
    return gates or through is not Through.VALUE or across == Across.INDEPENDENT
