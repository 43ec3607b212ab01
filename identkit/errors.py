"""The exceptions identkit raises on purpose; the command line turns each into one sentence."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Iterable
from typing import Any

from identkit.vocabulary import Cause

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Characters that a terminal acts on instead of showing them: controls, marks of direction."""


def shown(text: str, keep: str = "") -> str:
    r"""``text`` with control characters written out, except those to ``keep``.

    >>> shown("price\x1b[2J")
    'price\\x1b[2J'
    """
    return _UNSEEN.sub(lambda m: m[0] if m[0] in keep else ascii(m[0])[1:-1], text)


class IdentkitError(Exception):
    """Base of every error identkit raises on purpose. The text names the culprit and the remedy.

    It is one line: names in it come from files.
    """

    def __str__(self) -> str:
        return shown(super().__str__())


class InputError(IdentkitError, ValueError):
    """An argument, option or file that cannot be used as it is (exit code 2)."""


class ExpressionError(InputError):
    """An expert expression outside the grammar or its limits (exit code 2)."""


class DomainError(InputError):
    """An expert that is singular or not real somewhere on the domain (exit code 2)."""


class CertificateError(IdentkitError):
    """A certificate that is not what it claims to be (exit code 1 of ``identkit verify``)."""


class OutputError(IdentkitError):
    """Standard output that cannot be written (exit code 74, EX_IOERR)."""


class OutOfTime(IdentkitError):
    """A limit was reached; the check turns this into ``undecided``, with the code ``cause``."""

    cause: Cause = Cause.TIME_LIMIT


class OutOfMemory(OutOfTime):
    """The work took more memory than it may."""

    cause = Cause.MEMORY_LIMIT


class BrokeOff(OutOfTime):
    """The process that did the work ended by itself."""

    cause = Cause.BROKE_OFF


class Unproved(OutOfTime):
    """Something was seen that is not proved, and that would decide the question."""

    cause = Cause.UNPROVED


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not registered, with the nearest known names."""
    known = sorted(known)
    small = {each.lower(): each for each in known}
    near = [small[m] for m in difflib.get_close_matches(name.lower(), small, n=2, cutoff=0.5)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}."
    return InputError(f"unknown {kind} '{name}'; {hint}")


def whole(name: str, value: Any, *, least: int) -> int:
    """``value`` as an int. Raises InputError unless it is a whole number from ``least`` on.

    >>> whole("atoms", 3, least=1)
    3
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name}: {value!r} is not a whole number; give one.") from None
    if isinstance(value, bool) or number < least:
        raise InputError(f"{name}: {value} must be a whole number, {least} or more.")
    return number
