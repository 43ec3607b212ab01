"""Why a question was left open: a code in records and files, a clause where one reads it.

A question left open claims nothing, so its cause needs no proof; whatever depends on the answer
is then open as well.
"""

from __future__ import annotations

from identkit.vocabulary import Cause

CAUSES = {
    Cause.TIME_LIMIT: "the time limit was reached",
    Cause.MEMORY_LIMIT: "the memory limit was reached",
    Cause.BROKE_OFF: "the computation broke off",
    Cause.SIZE_LIMIT: "the expressions outgrow the limits of the normal form",
    Cause.UNPROVED: "a dependence was seen but not proved",
    Cause.NOT_FOUND: "no proof was found within the draws and the precision",
    Cause.NO_EXPANSION: "no expansion is registered for this regime",
    Cause.SIGNS: "functions coincide for some signs of the parameters only",
}


def cause_of(error: Exception) -> Cause:
    """The code for what cut an analysis short; a normal form that cannot be begun is too large."""
    return getattr(error, "cause", Cause.SIZE_LIMIT)
