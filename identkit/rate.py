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
    BETWEEN = "between"
    OR_SLOWER = "or slower"
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
    polynomial rate". ``cell``: for cells of so many fitted atoms, and no faster for larger ones;
    such a rate can be known to lie between two powers, n^-``exponent`` and the slower n^-``least``,
    or to be the first of them or slower. A rate equals its text.

    >>> str(Rate.power(4, one_atom=True))
    'n^-1/4 for one true atom'
    >>> Rate.power(2).faster_than(Rate.power(4))
    True
    """

    kind: RateKind
    exponent: Fraction | None = None
    one_atom: bool = False
    cell: int | None = None
    least: Fraction | None = None

    def __post_init__(self) -> None:
        with_exponent = self.kind in WITH_EXPONENT
        if with_exponent != (self.exponent is not None) or (self.one_atom and not self.polynomial):
            raise ValueError(f"no rate: {self.kind}, exponent {self.exponent}")
        if (self.kind is RateKind.BETWEEN) != (self.least is not None):
            raise ValueError(f"no rate: {self.kind}, at least {self.least}")
        of_a_cell = self.kind in (RateKind.BETWEEN, RateKind.OR_SLOWER)
        if of_a_cell != (self.cell is not None) and self.kind is not RateKind.POWER:
            raise ValueError(f"no rate: {self.kind}, cells of {self.cell}")

    @classmethod
    def power(cls, root: int, *, one_atom: bool = False) -> Rate:
        """n^-1/root."""
        return cls(RateKind.POWER, Fraction(1, root), one_atom)

    @classmethod
    def slower_than(cls, root: int) -> Rate:
        """Slower than n^-1/root, for some truth."""
        return cls(RateKind.SLOWER, Fraction(1, root))

    @classmethod
    def of_orders(
        cls, low: Fraction, high: Fraction | None, cell: int, *, one_atom: bool = False
    ) -> Rate:
        """That of cells of ``cell`` atoms in which the slowest direction has such an order.

        Order r is n^(-1/(2r)); without ``high`` nothing is known from above.

        >>> str(Rate.of_orders(Fraction(4), Fraction(4), 2))
        'n^-1/8 for cells of 2'
        """
        fast = 1 / (2 * low)
        if high is None:
            return cls(RateKind.OR_SLOWER, fast, cell=cell)
        if high == low:
            return cls(RateKind.POWER, fast, one_atom, cell)
        return cls(RateKind.BETWEEN, fast, one_atom, cell, 1 / (2 * high))

    @classmethod
    def parse(cls, text: str) -> Rate:
        """From the text of a published claim or of a file. Raises IdentkitError for another."""
        plain = {str(kind): kind for kind in RateKind if kind not in WITH_EXPONENT}
        if text in plain:
            return cls(plain[text])
        found = _TEXT.fullmatch(text)
        if found is None:
            raise IdentkitError(f'"{text}" is no rate')
        slower, exponent, least, or_slower, cell, alone = found.groups()
        known = [
            (slower, RateKind.SLOWER),
            (least, RateKind.BETWEEN),
            (or_slower, RateKind.OR_SLOWER),
        ]
        kinds = [kind for said, kind in known if said] or [RateKind.POWER]
        try:
            (kind,) = kinds
            end = None if least is None else Fraction(least)
            atoms = None if cell is None else int(cell)
            return cls(kind, Fraction(exponent), alone is not None, atoms, end)
        except ValueError:
            raise IdentkitError(f'"{text}" is no rate') from None

    @property
    def polynomial(self) -> bool:
        """Whether a power of n is reached."""
        return self.kind in (RateKind.POWER, RateKind.BETWEEN)

    @property
    def logs(self) -> Fraction | None:
        """The largest power of log n beside the power of n; None where nothing bounds the error.

        f is estimated at (log n/n)^(1/2), so that n^-p is (log n/n)^p at most.
        """
        if self.kind is RateKind.LOGARITHMIC:
            return Fraction(-1)
        return self.slow_end if self.polynomial else None

    @property
    def slow_end(self) -> Fraction | None:
        """The power of n that is reached, of two the slower one."""
        return self.exponent if self.least is None else self.least

    @property
    def at_every_cell(self) -> Rate:
        """What is left of the rate of a degenerate cell for larger cells: slower than n^-1/4."""
        return self if self.cell is None else SLOWER

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
        own = self.slow_end
        assert own is not None
        if other.exponent is None:
            return other.kind in (RateKind.LOGARITHMIC, RateKind.NONE)
        return own >= other.exponent if other.kind is RateKind.SLOWER else own > other.exponent

    def allows(self, derived: Rate, cells: int | None = None) -> bool | None:
        """Whether a derived rate agrees with this published one; None where neither follows.

        ``cells``: it is published for cells of so many fitted atoms, otherwise for all.

        No consistent estimator is the strongest form of "slower than any polynomial rate"; the same
        power under a further restriction says nothing of what is published, and "slower than" a
        power nothing of smaller ones.
        """
        if derived.cell is not None:
            return self._allows_in_cells(derived, cells)
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

    def _allows_in_cells(self, derived: Rate, cells: int | None) -> bool | None:
        """The same for the rate of a cell: larger ones are no faster, and by how much is not said.

        What is published for all cells is contradicted by one of them, and confirmed by none.
        """
        assert derived.exponent is not None
        slow = derived.slow_end if derived.polynomial else Fraction(0)
        assert slow is not None
        if self.kind is RateKind.LOGARITHMIC:
            return False if slow and cells in (None, derived.cell) else None
        if not self.polynomial or self.exponent is None:
            return None
        if self.exponent > derived.exponent and (cells is None or cells >= (derived.cell or 0)):
            return False
        if derived.one_atom and not self.one_atom:
            return None
        if cells != derived.cell or slow <= self.exponent < derived.exponent:
            return None
        return True if slow == self.exponent else False if slow > self.exponent else None

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
        elif self.kind is RateKind.OR_SLOWER:
            text = f"{text} or slower"
        elif self.least is not None:
            text = f"{text} to n^-{self.least}"
        if self.cell is not None:
            text = f"{text} for cells of {self.cell}"
        return f"{text} for one true atom" if self.one_atom else text


def slowest(rates: Iterable[Rate]) -> Rate:
    """The slowest of powers of n, the first of equals. Raises ValueError if there is none."""
    first, *others = rates
    for rate in others:
        if first.faster_than(rate):
            first = rate
    return first


WITH_EXPONENT = (RateKind.POWER, RateKind.BETWEEN, RateKind.OR_SLOWER, RateKind.SLOWER)
_POWER = r"n\^-(\d+(?:/[1-9]\d*)?)"
_TEXT = re.compile(
    rf"(slower than )?{_POWER}(?: to {_POWER})?( or slower)?(?: for cells of ([1-9]\d*))?"
    r"( for one true atom)?"
)

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
