"""Two measures compared in numbers: log p(y|x), or f(x), enclosed at points drawn with a seed.

The proof that two measures are the same is in normal form; this shows it in digits, by formulas of
its own: Σ w_i(x) N(y | h_i(x), ν_i) in ball arithmetic, so that every digit that is shown is right.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import arb

from identkit.architecture.measures import Setting
from identkit.architecture.records import ExactMeasure
from identkit.balls import Tape, ball, precision
from identkit.domain import Domain
from identkit.errors import InputError
from identkit.experts import symbols
from identkit.expression import parse
from identkit.likelihoods import resolve
from identkit.vocabulary import Through

DIGITS = 50
BITS = 320
STEPS = 1000
"""x is drawn as a multiple of 1/1000 of its interval, y within three standard deviations."""


@dataclass(frozen=True)
class Compared:
    """One point: x and y (None for f), the two values in digits, and a bound on their difference.

    The bound is relative, |one − other|/max(1, |one|), from enclosures of both.
    """

    x: tuple[str, ...]
    y: str | None
    one: str
    other: str
    gap: float


def compared(
    setting: Setting,
    one: ExactMeasure,
    other: ExactMeasure,
    *,
    domain: Domain,
    seed: int = 0,
    count: int = 3,
    digits: int = DIGITS,
) -> list[Compared]:
    """Both functions at ``count`` points drawn with ``seed`` from the domain of x.

    Raises InputError for a categorical likelihood, of which densities are not written here, and for
    a measure whose numbers still hold symbols.
    """
    likelihood = resolve(setting.gate.likelihood)
    if likelihood.variance is None and likelihood.through is not Through.VALUE:
        raise InputError(f"likelihood: {likelihood.name} has no density in y; use gaussian.")
    draws, found = random.Random(seed), []
    functions = [_Function(setting, measure) for measure in (one, other)]
    sides = domain.sides(setting.dim)
    with precision(BITS):
        for _ in range(count):
            x = [
                low + (high - low) * Fraction(draws.randrange(1, STEPS), STEPS)
                for low, high in sides
            ]
            y = functions[0].draw(x, draws) if setting.density else None
            values = [function.at(x, y) for function in functions]
            gap = abs(values[0] - values[1]) / abs(values[0]).max(arb(1))
            texts = [v.str(digits, radius=False) for v in values]
            shown = None if y is None else str(y)
            found.append(
                Compared(tuple(map(str, x)), shown, texts[0], texts[1], float(gap.upper()))
            )
    return found


class _Function:
    """p or f of a measure, in balls."""

    def __init__(self, setting: Setting, measure: ExactMeasure) -> None:
        rows = setting.parts(measure)
        flat: list[Any] = [e for weight, h, _ in rows for e in (weight, h)]
        flat += [sp.Integer(1) if v is None else parse(v) for _, _, v in rows]
        inputs = symbols(setting.expert.inputs)
        extra = {str(s) for e in flat for s in e.free_symbols} - set(setting.expert.inputs)
        if extra:
            raise InputError(f"measure: {', '.join(sorted(extra))} has no value; give it one.")
        self.atoms, self.density = len(rows), setting.density
        self.tape = Tape(flat, inputs)

    def _parts(self, x: list[Fraction]) -> list[tuple[arb, arb, arb]]:
        values = self.tape.evaluate([ball(v) for v in x])
        return [
            (values[2 * i], values[2 * i + 1], values[2 * self.atoms + i])
            for i in range(self.atoms)
        ]

    def draw(self, x: list[Fraction], draws: random.Random) -> Fraction:
        """A y near the mean of an atom."""
        _, mean, variance = draws.choice(self._parts(x))
        near = float(mean) + draws.uniform(-3, 3) * float(variance) ** 0.5
        return Fraction(round(near * STEPS), STEPS)

    def at(self, x: list[Fraction], y: Fraction | None) -> arb:
        """log p(y|x), or f(x) without y."""
        parts = self._parts(x)
        if y is None:
            return sum((w * h for w, h, _ in parts), arb(0))
        normal = [
            w * (-((ball(y) - h) ** 2) / (2 * v)).exp() / (2 * arb.pi() * v).sqrt()
            for w, h, v in parts
        ]
        return sum(normal, arb(0)).log()
