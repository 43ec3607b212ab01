"""The rate that follows, with its reasons, beside the published one."""

from __future__ import annotations

from identkit.degeneracy.records import CUT_SHORT, Premise, Rate, SecondOrder
from identkit.results import ConditionResult, Published

NONE = "no consistent estimator"
"""Derived where an exact family exists: different parameters, the same f."""
PREMISE_FAILS = "none: the premise fails"
ELSEWHERE = "near the truth only: f_G* has exact refits elsewhere; "
"""How a reason begins that limits a rate to a neighbourhood of the truth."""
NOT_KNOWN_ELSEWHERE = "whether f_G* has exact refits elsewhere: "
SLOWER = "slower than n^-1/4"
LOGARITHMIC = "1/log n"
"""Published for "slower than any polynomial rate"."""


def derived_rate(
    published: Published | None,
    second_order: SecondOrder | None,
    premise: Premise | None,
    weak: ConditionResult | None,
) -> Rate:
    """The rate of the parameters of an over-specified atom under least squares.

    ``second_order`` for softmax and Regime 1; in Regime 2 it is None and the ``weak`` result with
    the ``premise`` of its theorem counts.
    """
    if second_order is not None:
        derived, reasons = _second_order(second_order)
    else:
        derived, reasons = _first_order(weak, premise)
    said = None if published is None else published.rate
    fails = premise is not None and premise.verdict == "fails"
    return Rate(said, derived, agreement(said, derived, fails), reasons)


def _second_order(found: SecondOrder) -> tuple[str, tuple[str, ...]]:
    if found.verdict == "undecided":
        return "undecided", (found.reason,)
    if found.verdict == "no" and found.families:
        kinds = ", ".join(dict.fromkeys(f.kind for f in found.families))
        return NONE, (
            f"exact family ({kinds}): different parameters near the truth give the same f",
            *_partial(found),
        )
    if found.verdict == "no":
        return SLOWER, (found.reason, "the loss of order t² is invisible to f at order t²")
    experts = list(found.identifiable)
    reasons = [
        "no second-order moment of a cell is invisible, so ‖f_G − f_G*‖ ≥ c·(Σ w‖Δ‖²) near the "
        "truth, and f is estimated at n^-1/2 up to logarithms"
    ]
    if found.gate == "softmax":
        reasons.append(
            "for almost every choice of the gates, provided some true atom is fitted by one "
            "atom only (k < 2k*)"
        )
    fast = [i.quantity for i in experts if i.rate.startswith("n^-1/3")]
    if fast:
        reasons.append(
            f"moving {', '.join(fast)} by t moves a kink, f by t^(3/2): t ~ n^-1/3 there"
        )
    if found.across_atoms == "dependent":
        reasons.append("for a single true atom: with several, functions of different atoms mix")
        return "n^-1/4 for one true atom", tuple(reasons)
    if found.across_atoms == "open":
        reasons.append("proved for a single true atom; with several it is open whether they mix")
        return "n^-1/4 for one true atom", tuple(reasons)
    return "n^-1/4", tuple(reasons)


def _partial(found: SecondOrder) -> tuple[str, ...]:
    lines = tuple(f"{i.rate} for {i.quantity}, locally: {i.reason}" for i in found.identifiable)
    if found.across_atoms == "dependent":
        return (*lines, "with several true atoms, functions of different atoms mix")
    return lines


def _first_order(
    weak: ConditionResult | None, premise: Premise | None
) -> tuple[str, tuple[str, ...]]:
    if weak is None or weak.verdict == "undecided":
        why = "was not asked for" if weak is None else "is not decided"
        return "undecided", (f"the weak condition {why}",)
    if weak.verdict == "no":
        return "slower than n^-1/2", (
            "first derivatives of the expert-gate product are linearly dependent",
        )
    if premise is not None and premise.searched.startswith(CUT_SHORT):
        return "undecided", (f"whether the theorem's premise holds: {premise.searched}",)
    reasons = ["first derivatives are independent: n^-1/2 towards a unique population minimiser"]
    if premise is not None and premise.verdict == "fails":
        reasons.append(
            "but f_G* has exact refits with more atoms: " + premise.refits[0].description
        )
        return PREMISE_FAILS, tuple(reasons)
    if weak.atoms_scope == "up-to":
        reasons.append(f"proved for at most {weak.atoms} atoms")
    reasons.append("provided f_G* has no exact refit with more atoms (none was found)")
    return "n^-1/2", tuple(reasons)


def elsewhere(premise: Premise) -> tuple[str, ...]:
    """Exact refits by an expert that is 0, under any sigmoid gate: in Regime 1 too."""
    if premise.searched.startswith(CUT_SHORT):
        return (f"{NOT_KNOWN_ELSEWHERE}{premise.searched}",)
    zero = [r for r in premise.refits if r.kind in ("null expert", "dead expert")]
    return tuple(f"{ELSEWHERE}{r.description}" for r in zero[:1])


def agreement(published: str | None, derived: str, premise_fails: bool) -> str:
    """Published against derived: ``confirmed``, ``contradicted``, ``premise-fails``, ``open``, …"""
    if published is None:
        return "unclaimed"
    if derived == "undecided":
        return "undecided"
    if premise_fails:
        return "premise-fails"
    if published == LOGARITHMIC:
        # no consistent estimator is the strongest form of "slower than any polynomial rate"
        return "confirmed" if derived == NONE else "contradicted" if derived[0] == "n" else "open"
    if derived != published and derived.startswith(published):
        return "open"  # derived under a further restriction
    return "confirmed" if published == derived else "contradicted"
