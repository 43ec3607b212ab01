"""A point at which a fit with given cells differs from the truth, in numbers.

Source: theory section 9; proofs_check/test_selections.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import sympy as sp

from identkit.balls import ball, precision
from identkit.gates.selection import CellTheorem, Selection
from identkit.selecting.records import Counterexample
from identkit.selecting.regions import Division, Piece, Score

BITS = 128
PARTS = (Fraction(1, 2), Fraction(1, 64), Fraction(63, 64))
"""Of a piece of the domain, where f is compared."""
EXPERTS = (lambda j: j + 1, lambda j: 2**j, lambda j: (-1) ** j * (j + 1) ** 2)
"""Constants that experts are, tried until f differ."""


class _Values(NamedTuple):
    """Selected atoms of the cells of the truth and of the fit, both f, and the experts."""

    truth: Sequence[int]
    fit: Sequence[int]
    f_true: Any
    f_fitted: Any
    experts: Sequence[int]


@dataclass(frozen=True)
class Differing:
    """The fit whose cells have these ``sizes``, each of copies of its true atom.

    They share its weight in equal parts, or each has all of it, as the theorem says. The fit
    selects ``count`` atoms; ``lines`` are the true scores, None for those that show every region.
    """

    selection: Selection
    theorem: CellTheorem
    count: int
    sizes: tuple[int, ...]
    lines: tuple[Score, ...] | None

    def somewhere(self) -> Counterexample | None:
        """k* inputs, s_j = log(p)·x_j, p prime above all sizes: every region occurs.

        At x_j = K, …, 1 in the region and -1, -2, … outside weights are powers of p, which no share
        1/|V_j| puts in another order.
        """
        count, p = self.selection.count, int(sp.nextprime(max(self.sizes)))
        rising = sorted(range(len(self.sizes)), key=lambda j: self.sizes[j])
        for chosen in (rising[:count], rising[-count:]):
            x = dict(zip(chosen, range(count, 0, -1), strict=True))
            others = (j for j in rising if j not in x)
            x.update({j: -1 - n for n, j in enumerate(list(others))})
            place = [x[j] for j in range(len(self.sizes))]
            found = self._compared([Fraction(p) ** v for v in place], [Fraction(0)] * len(place))
            if found is not None:
                scores = [f"log({p})*x{j}" for j in range(len(place))]
                return self._example(place, scores, found, exact=True)
        return None

    def within(self, split: Division) -> Counterexample | None:
        """A point of the domain, where balls tell that f differ."""
        lines = self.lines or ()
        with precision(BITS):
            for piece in split.pieces:
                for part in PARTS:
                    x = _short(piece, part)
                    exponentials = [ball(s.at(x)).exp() for s in lines]
                    found = self._compared(exponentials, [ball(s.bias) for s in lines])
                    if found is not None:
                        return self._example([x], [_line(s) for s in lines], found, exact=False)
        return None

    def _compared(self, exponentials: Sequence[Any], bias: Sequence[Any]) -> _Values | None:
        """What f are where the e^s_j are given; None where they do not differ for certain."""
        copies, ones = self.theorem.cells == "copies", [1] * len(self.sizes)
        weights = [w / (1 + w) for w in exponentials] if copies else list(exponentials)
        parts = weights if copies else [w / n for w, n in zip(weights, self.sizes, strict=True)]
        ahead = [[w + b for w, b in zip(own, bias, strict=True)] for own in (weights, parts)]
        truth = _taken(ones, ahead[0], self.selection.count)
        fit = _taken(self.sizes, ahead[1], self.count)
        if truth is None or fit is None:
            return None
        every = self.selection.divided_by == "all"
        for value in EXPERTS:
            h = [value(j) for j in range(len(ones))]
            f_true = _mean(truth, weights, h, ones if every else truth)
            f_fitted = _mean(fit, parts, h, self.sizes if every else fit)
            if f_true > f_fitted or f_true < f_fitted:
                return _Values(truth, fit, f_true, f_fitted, h)
        return None

    def _example(
        self, x: Sequence[Any], scores: Sequence[str], found: _Values, *, exact: bool
    ) -> Counterexample:
        shared = self.theorem.cells != "copies"
        each = zip(scores, self.sizes, strict=True)
        bias = () if self.lines is None else tuple(str(s.bias) for s in self.lines)
        return Counterexample(
            x=tuple(map(str, x)),
            true=tuple(scores),
            fitted=tuple(f"{s} - log({n})" if n > 1 and shared else s for s, n in each),
            bias=() if self.selection.bias is None else bias or ("0",) * len(scores),
            experts=tuple(map(str, found.experts)),
            region=tuple(j for j, n in enumerate(found.truth) if n),
            selected=tuple(found.fit),
            f_true=str(found.f_true),
            f_fitted=str(found.f_fitted),
            exact=exact,
        )


def _taken(sizes: Sequence[int], compared: Sequence[Any], count: int) -> list[int] | None:
    """How many atoms of each cell are among the ``count`` largest; None where balls do not tell."""

    def middle(j: int) -> Any:
        return compared[j] if isinstance(compared[j], Fraction) else float(compared[j].mid())

    order = sorted(range(len(sizes)), key=middle, reverse=True)
    numbers, left = [0] * len(sizes), count
    for j in order:
        numbers[j] = min(sizes[j], left)
        left -= numbers[j]
    # the atoms of one cell are level, so that any of them may be left out
    whole = [j for j in order if numbers[j] == sizes[j]]
    rest = [j for j in order if numbers[j] < sizes[j]]
    last = [j for j in rest if numbers[j]]
    certain = all(compared[i] > compared[j] for i in whole for j in rest)
    certain &= all(compared[i] > compared[j] for i in last for j in rest if j != i)
    return numbers if certain else None


def _mean(
    numbers: Sequence[int], weights: Sequence[Any], values: Sequence[int], below: Sequence[int]
) -> Any:
    """Σ n w h / Σ m w, n the ``numbers`` of atoms that are selected and m those ``below``."""
    total = sum(n * w * h for n, w, h in zip(numbers, weights, values, strict=True))
    return total / sum(m * w for m, w in zip(below, weights, strict=True))


def _short(piece: Piece, part: Fraction) -> Fraction:
    """A point of a piece, with a small denominator if there is one."""
    x = piece.low + part * (piece.high - piece.low)
    near = (x.limit_denominator(n) for n in (1, 2, 4, 8, 64))
    return next((v for v in near if piece.low < v < piece.high), x)


def _line(score: Score) -> str:
    """A score of one input as text."""
    text = f"{_factor(score.slope)}x" if score.slope else ""
    if score.offset or not text:
        sign = " + " if score.offset >= 0 else " - "
        text = f"{text}{sign}{abs(score.offset)}" if text else str(score.offset)
    return text


def _factor(number: Fraction) -> str:
    return {Fraction(1): "", Fraction(-1): "-"}.get(number, f"{number}*")
