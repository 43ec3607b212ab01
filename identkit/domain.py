"""The box on which the inputs live: one interval for all of them, or one for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Union

from identkit.errors import InputError

Interval = tuple[Fraction, Fraction]
DomainLike = Union["Domain", Sequence[Any], Mapping[str, Sequence[Any]]]
"""(low, high) for every input, a pair for each in order, or a mapping from their names."""


@dataclass(frozen=True)
class Domain:
    """``intervals`` holds one (low, high) for every input alike, or one for each, in order."""

    intervals: tuple[Interval, ...] = ((Fraction(-3), Fraction(3)),)

    @classmethod
    def of(cls, given: DomainLike, inputs: Sequence[str] = ("x",)) -> Domain:
        """From (low, high), a list of such pairs, or a mapping from names of inputs, read exactly.

        Numbers may be text ("1/3"). Raises InputError for what is no interval, and for inputs that
        are missing or unknown.
        """
        if isinstance(given, Domain):
            pairs: list[object] = list(given.intervals)
        elif isinstance(given, Mapping):
            unknown = [str(name) for name in given if name not in inputs]
            missing = [name for name in inputs if name not in given]
            if unknown:
                raise InputError(
                    f"--domain: there is no input {unknown[0]}; the inputs are {', '.join(inputs)}."
                )
            if missing:
                raise InputError(
                    f"--domain: {missing[0]} has no interval; give {missing[0]}=LO:HI as well, or "
                    "one LO HI for all inputs."
                )
            pairs = [given[name] for name in inputs]
        elif _is_pair(given):
            pairs = [given]
        elif isinstance(given, Sequence) and not isinstance(given, str) and given:
            pairs = list(given)
        else:
            pairs = [given]
        if len(pairs) not in (1, len(inputs)):
            raise InputError(
                f"--domain: {len(pairs)} intervals for {len(inputs)} inputs; give one for each, or "
                "one for all."
            )
        intervals = tuple(_interval(pair) for pair in pairs)
        return cls(intervals[:1] if len(set(intervals)) == 1 else intervals)

    def sides(self, count: int) -> tuple[Interval, ...]:
        """An interval for each of ``count`` inputs."""
        return self.intervals * count if len(self.intervals) == 1 else self.intervals

    def text(self, dim: int) -> str:
        """As printed: ``[-3, 3]^2`` or ``[0, 5] × [-3, 3]``."""
        if len(self.intervals) == 1:
            return str(self) + (f"^{dim}" if dim > 1 else "")
        return str(self)

    def document(self) -> list[str] | list[list[str]]:
        """The JSON form: a pair of fractions, or a pair for each input."""
        pairs = [[str(low), str(high)] for low, high in self.intervals]
        return pairs[0] if len(pairs) == 1 else pairs

    def __str__(self) -> str:
        return " × ".join(f"[{low}, {high}]" for low, high in self.intervals)


EVERYWHERE = Domain()
"""[-3, 3] for every input, where nothing else is asked for."""


def _is_pair(given: object) -> bool:
    """Two numbers, and not two pairs."""
    return (
        isinstance(given, Sequence)
        and not isinstance(given, str)
        and len(given) == 2
        and not any(isinstance(v, Sequence) and not isinstance(v, str) for v in given)
    )


def _interval(pair: object) -> Interval:
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise InputError(f"--domain: {str(pair)[:60]!r} is no interval; give two numbers, LO HI.")
    low, high = (_exact(v) for v in pair)
    if not low < high:
        raise InputError(f"--domain {low} {high}: the width must be positive; give LO below HI.")
    return low, high


def _exact(value: object) -> Fraction:
    text = str(value).strip()
    # the exponent is looked at before the exact fraction is built: 1e999999999 must not allocate
    exponent = re.search(r"[eE]([+-]?[0-9]+)$", text)
    if len(text) > 60 or (exponent and len(exponent[1]) > 3):
        raise InputError(f"--domain: {text[:60]} is out of range; rescale x to within 1e-9..1e9.")
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"--domain: '{text}' is not a finite number; give two numbers.") from None
    if number and not 1e-9 <= abs(number) <= 1e9:
        raise InputError(f"--domain: {text} is out of range; rescale x to within 1e-9..1e9.")
    return number
