"""A rate of convergence as a value: what can be compared, and the text that views print.

Powers of n are up to logarithms, as the theorems state them (:attr:`Rate.logs`). Of which quantity
a rate is, under which caveats, and whether it is published or derived say the records that hold it:
:class:`identkit.results.StatedRate` says it all together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from identkit.errors import IdentkitError


class RateKind(StrEnum):
    """What a rate says; the text of those without an exponent."""

    POWER = "power"
    SLOWER = "slower"
    LOGARITHMIC = "1/log n"
    NONE = "no consistent estimator"
    PREMISE_FAILS = "none: the premise fails"
    UNDECIDED = "undecided"
    NOT_DERIVED = "not derived"


@dataclass(frozen=True, eq=False)
class Rate:
    """``n^-exponent`` up to logarithms, "slower than" it, or a kind without an exponent.

    ``one_atom``: proved where the truth has one atom. ``1/log n`` stands for "slower than any
    polynomial rate". A rate equals its text.

    >>> str(Rate.power(4, one_atom=True))
    'n^-1/4 for one true atom'
    >>> Rate.power(2).faster_than(Rate.power(4))
    True
    """

    kind: RateKind
    exponent: Fraction | None = None
    one_atom: bool = False

    def __post_init__(self) -> None:
        with_exponent = self.kind in (RateKind.POWER, RateKind.SLOWER)
        if with_exponent != (self.exponent is not None) or (self.one_atom and not self.polynomial):
            raise ValueError(f"no rate: {self.kind}, exponent {self.exponent}")

    @classmethod
    def power(cls, root: int, *, one_atom: bool = False) -> Rate:
        """n^-1/root."""
        return cls(RateKind.POWER, Fraction(1, root), one_atom)

    @classmethod
    def slower_than(cls, root: int) -> Rate:
        """Slower than n^-1/root, for some truth."""
        return cls(RateKind.SLOWER, Fraction(1, root))

    @classmethod
    def parse(cls, text: str) -> Rate:
        """From the text of a published claim or of a file. Raises IdentkitError for another."""
        plain = {str(kind): kind for kind in RateKind if kind not in ("power", "slower")}
        if text in plain:
            return cls(plain[text])
        found = _TEXT.fullmatch(text)
        if found is None:
            raise IdentkitError(f'"{text}" is no rate')
        slower, exponent, alone = found.groups()
        kind = RateKind.SLOWER if slower else RateKind.POWER
        return cls(kind, Fraction(exponent), alone is not None)

    @property
    def polynomial(self) -> bool:
        """Whether it is a power of n that is reached."""
        return self.kind is RateKind.POWER

    @property
    def logs(self) -> Fraction | None:
        """The largest power of log n beside the power of n; None where nothing bounds the error.

        f is estimated at (log n/n)^(1/2), so that n^-p is (log n/n)^p at most.
        """
        if self.kind is RateKind.LOGARITHMIC:
            return Fraction(-1)
        return self.exponent if self.polynomial else None

    @property
    def everywhere(self) -> Rate:
        """Without the restriction to one true atom."""
        return replace(self, one_atom=False)

    def faster_than(self, other: Rate) -> bool:
        """Whether every error at this rate falls faster than at the other, scopes apart.

        False where the two do not say: "slower than" bounds from one side only.
        """
        if not self.polynomial:
            return self.kind is RateKind.LOGARITHMIC and other.kind is RateKind.NONE
        assert self.exponent is not None
        if other.exponent is None:
            return other.kind in (RateKind.LOGARITHMIC, RateKind.NONE)
        if other.kind is RateKind.SLOWER:
            return self.exponent >= other.exponent
        return self.exponent > other.exponent

    def allows(self, derived: Rate) -> bool | None:
        """Whether a derived rate agrees with this published one; None where neither follows.

        No consistent estimator is the strongest form of "slower than any polynomial rate"; the same
        power under a further restriction says nothing of what is published, and "slower than" a
        power nothing of smaller ones.
        """
        if self.kind is RateKind.LOGARITHMIC:
            if derived.kind is RateKind.NONE:
                return True
            return False if derived.polynomial else None
        if derived.one_atom and not self.one_atom and derived.everywhere == self:
            return None
        if derived.kind is RateKind.SLOWER and self.polynomial:
            assert self.exponent is not None
            assert derived.exponent is not None
            return None if self.exponent < derived.exponent else False
        return derived == self

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Rate | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        if self.exponent is None:
            return str(self.kind)
        text = f"n^-{self.exponent}"
        if self.kind is RateKind.SLOWER:
            text = f"slower than {text}"
        return f"{text} for one true atom" if self.one_atom else text


def slowest(rates: Iterable[Rate]) -> Rate:
    """The slowest of powers of n, the first of equals. Raises ValueError if there is none."""
    first, *others = rates
    for rate in others:
        if first.faster_than(rate):
            first = rate
    return first


_TEXT = re.compile(r"(slower than )?n\^-(\d+(?:/[1-9]\d*)?)( for one true atom)?")

ROOT = Rate.power(2)
FOURTH = Rate.power(4)
KINK = Rate.power(3)
"""Moving a kink by t moves f by t^(3/2)."""
SLOWER_THAN_ROOT = Rate.slower_than(2)
SLOWER = Rate.slower_than(4)
LOGARITHMIC = Rate(RateKind.LOGARITHMIC)
NONE = Rate(RateKind.NONE)
"""Derived where an exact family exists: different parameters, the same f."""
PREMISE_FAILS = Rate(RateKind.PREMISE_FAILS)
UNDECIDED = Rate(RateKind.UNDECIDED)
NOT_DERIVED = Rate(RateKind.NOT_DERIVED)
"""Visible, and no rate follows."""
