"""A time limit that long computations ask about; reaching it is an answer (`undecided`)."""

from __future__ import annotations

import time

from identkit.errors import OutOfTime


class Deadline:
    """Its :meth:`check` raises :class:`~identkit.errors.OutOfTime` after ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the time is up, negative once it is."""
        return self._end - time.monotonic()

    def reached(self) -> OutOfTime:
        """What to raise when it is."""
        return OutOfTime(f"the time limit of {self.seconds:g} s was reached")

    def check(self) -> None:
        """Raise if the time is up."""
        self.leave(0)

    def leave(self, seconds: float) -> None:
        """Raise unless this much time is left: for a step that cannot be interrupted."""
        if self.left() < seconds:
            raise self.reached()
