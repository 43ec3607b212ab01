"""Records of a second-order question that nothing decided, with the reason."""

from __future__ import annotations

from dataclasses import replace

from identkit.causes import CAUSES
from identkit.degeneracy.records import SecondOrder
from identkit.gates import RegimeCode
from identkit.vocabulary import Across, Cause, Verdict


def blank(gate: str, regime: RegimeCode, reason: str) -> SecondOrder:
    """Nothing decided, for this reason."""
    return SecondOrder(
        gate, regime, Verdict.UNDECIDED, None, reason, (), (), None, Across.OPEN, (), (), (), None,
        None, (), (), (),
    )  # fmt: skip


def cut_short(gate: str, regime: RegimeCode, cause: Cause) -> SecondOrder:
    """Nothing decided, because a limit was reached."""
    reason = f"not decided within the limits: {CAUSES[cause]}"
    return replace(blank(gate, regime, reason), cause=cause)


def unknown(gate: str, regime: RegimeCode) -> SecondOrder:
    """Nothing decided, because no theorem says what moments multiply."""
    return replace(blank(gate, regime, CAUSES[Cause.NO_EXPANSION]), cause=Cause.NO_EXPANSION)
