"""Why a question was left open: a code in records and files, a clause where one reads it.

A question left open claims nothing, so its cause needs no proof; whatever depends on the answer
is then open as well.
"""

from __future__ import annotations

TIME_LIMIT = "time-limit"
SIZE_LIMIT = "size-limit"
UNPROVED = "unproved"
NOT_FOUND = "not-found"

CAUSES = {
    TIME_LIMIT: "the time limit was reached",
    SIZE_LIMIT: "the expressions outgrow the limits of the normal form",
    UNPROVED: "a dependence was seen but not proved",
    NOT_FOUND: "no proof was found within the draws and the precision",
}

LIMITS = (TIME_LIMIT, SIZE_LIMIT)
"""Those that cut an analysis short."""


def cause_of(error: Exception) -> str:
    """The code for what cut an analysis short; a normal form that cannot be begun is too large."""
    return getattr(error, "cause", SIZE_LIMIT)
