"""Why a question was left open: a code in records and files, a clause where one reads it.

A question left open claims nothing, so its cause needs no proof; whatever depends on the answer
is then open as well.
"""

from __future__ import annotations

TIME_LIMIT = "time-limit"
MEMORY_LIMIT = "memory-limit"
BROKE_OFF = "broke-off"
SIZE_LIMIT = "size-limit"
UNPROVED = "unproved"
NOT_FOUND = "not-found"
SIGNS = "signs"
NO_EXPANSION = "no-expansion"

CAUSES = {
    TIME_LIMIT: "the time limit was reached",
    MEMORY_LIMIT: "the memory limit was reached",
    BROKE_OFF: "the computation broke off",
    SIZE_LIMIT: "the expressions outgrow the limits of the normal form",
    UNPROVED: "a dependence was seen but not proved",
    NOT_FOUND: "no proof was found within the draws and the precision",
    NO_EXPANSION: "no expansion is registered for this regime",
    SIGNS: "functions coincide for some signs of the parameters only",
}

MACHINE = (TIME_LIMIT, MEMORY_LIMIT, BROKE_OFF)
"""Those that another machine, or another day, may not meet."""
"""Those that cut an analysis short."""


def cause_of(error: Exception) -> str:
    """The code for what cut an analysis short; a normal form that cannot be begun is too large."""
    return getattr(error, "cause", SIZE_LIMIT)
