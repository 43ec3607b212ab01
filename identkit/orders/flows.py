"""Where ∇²h of an expert flows along its own parameters: h as a heat or a Laplace equation.

- A ridge φ(z), z affine in its parameters: φ″ = −κzφ′ (erf), or (1 + z²)φ″ = −2zφ′ (atan).
- Two parameters: ∂²_p h = c·∂_q h, or ∂²_p h = −κ²·∂²_q h, with rational c and κ.

Each makes arcs of every order (:mod:`identkit.orders.lower`) and bounds them
(:mod:`identkit.orders.upper`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations, permutations
from math import isqrt
from typing import Any

import sympy as sp

from identkit.derivatives import Derivatives
from identkit.experts import symbols
from identkit.expression import symbol
from identkit.forms import affine_forms
from identkit.orders.spans import LIMITS, Spans
from identkit.relations import FormalFamily, proved_zero
from identkit.vocabulary import Quantifier


@dataclass(frozen=True)
class RidgeFlow:
    """φ(z) of a form z with a number ∂z/∂offset and the parameters ``others`` beside it.

    ``curvature`` is κ where φ″ = −κzφ′ (in units of z = Σ p ∂z/∂p); None for the Laplace equation.
    """

    form: Any
    offset: str
    others: tuple[str, ...]
    curvature: Any | None

    @property
    def slope(self) -> Any:
        """∂z/∂offset."""
        return sp.diff(self.form, symbol(self.offset))


@dataclass(frozen=True)
class PairFlow:
    """∂²_p h = ``rate``·∂_q h; or ∂²_p h = −κ²·∂²_q h, κ the ``ratio``, and no rate."""

    first: str
    second: str
    rate: Any | None = None
    ratio: Any | None = None


@dataclass
class Flows:
    """The flows of one expert function, each proved once."""

    spans: Spans

    def __post_init__(self) -> None:
        self.atom, self.deadline = self.spans.atom, self.spans.deadline
        self.partial = Derivatives(self.atom, self.deadline).partial

    @cached_property
    def ridges(self) -> list[RidgeFlow]:
        """Of the first kind, all offsets."""
        found = []
        for z, b, others in self._offsets():
            bend, slope = self.partial((b, b)), self.partial((b,))
            euler = sp.Add(*(symbol(p) * self.partial((p,)) for p in (b, *others)))
            ratio = self._ratio(bend, euler)
            if ratio is not None:
                found.append(RidgeFlow(z, b, others, -ratio))
            laplace = (1 + z**2) * bend + 2 * z * sp.diff(z, symbol(b)) * slope
            if bend != 0 and proved_zero(laplace, self.atom, self.deadline):
                found.append(RidgeFlow(z, b, others, None))
        return found

    @cached_property
    def pairs(self) -> list[PairFlow]:
        """Of the second kind."""
        found = []
        names = self.atom.parameters
        for p, q in permutations(names, 2):
            rate = self._ratio(self.partial((p, p)), self.partial((q,)))
            if rate is not None:
                found.append(PairFlow(p, q, rate=rate))
        for p, q in combinations(names, 2):
            ratio = self._ratio(self.partial((p, p)), self.partial((q, q)))
            root = None if ratio is None or ratio > 0 else _root(-ratio)
            if root is not None:
                found.append(PairFlow(p, q, ratio=root))
        return found

    def whole(self, flow: RidgeFlow) -> bool:
        """Whether h moves with η through z alone, and every other parameter is one input's slope.

        Then z and hence h along almost every line in x has a location and a scale, which together
        determine all parameters.
        """
        names = self.atom.parameters
        if set(names) != {flow.offset, *flow.others} or not flow.others:
            return False
        speed, inputs = self.partial((flow.offset,)), set(symbols(self.atom.inputs))
        seen: set[Any] = set()
        for p in flow.others:
            rate = sp.diff(flow.form, symbol(p))
            own: set[Any] = rate.free_symbols & inputs
            number: Any = sp.cancel(rate / sp.prod(own))
            if len(own) != 1 or own & seen or not number.is_Rational:
                return False
            seen |= own
            change = self.partial((p,)) * flow.slope - rate * speed
            if not proved_zero(change, self.atom, self.deadline):
                return False
        return True

    def levels_apart(
        self, levels: Sequence[Sequence[tuple[str, ...]]], reach: Fraction
    ) -> Quantifier | None:
        """Whether ∂^α h of all levels are independent, and gate slopes do not lift their levels.

        ``levels[n]`` are indices α of level n + 1. x_s times those of a level ℓ < ``reach`` must
        be independent of all of them, or bring none above level ℓ + ``reach``.
        """
        plain = [(alpha, n) for n, level in enumerate(levels, 1) for alpha in level]
        functions = [self.partial(alpha) for alpha, _ in plain]
        level = [n for _, n in plain]
        for x in symbols(self.atom.inputs):
            for alpha, n in plain:
                if n < reach:
                    functions.append(x * self.partial(alpha))
                    level.append(n)
        try:
            family = FormalFamily.from_expressions(functions, self.atom, self.deadline)
            columns = family.columns()
            pivots, dependent = family.echelon(columns, list(range(len(functions))))
            if not set(range(len(plain))) <= set(pivots):
                return None
            for index, support in dependent:
                if family.null_combination(columns, index, support) is None:
                    return None
                if any(k < len(plain) and level[k] > level[index] + reach for k in support):
                    return None
            return self.spans.independence([functions[k] for k in pivots])
        except LIMITS:
            self.deadline.check()
            return None

    def _offsets(self) -> Iterator[tuple[Any, str, tuple[str, ...]]]:
        """(z, offset, the other parameters of z) of each affine form z, a number as ∂z/∂offset."""
        for z in affine_forms(self.atom):
            names = [p for p in self.atom.parameters if z.has(symbol(p))]
            for b in names:
                if sp.diff(z, symbol(b)).is_number:
                    yield z, b, tuple(p for p in names if p != b)

    def _ratio(self, left: Any, right: Any) -> Any | None:
        """c with left = c·right, a rational number other than 0."""
        if left == 0 or right == 0:
            return None
        try:
            family = FormalFamily.from_expressions([left, right], self.atom, self.deadline)
            found = family.proportional(family.columns(), 1, 0)
        except LIMITS:
            self.deadline.check()
            return None
        if found is None:
            return None
        values = {i: family.field.to_sympy(c) for i, c in found.coefficients.items()}
        ratio = sp.cancel(-values[1] / values[0])
        return ratio if ratio.is_Rational and ratio != 0 else None


def _root(square: Any) -> Any | None:
    """The rational root of a positive rational, if it has one."""
    top, bottom = isqrt(int(square.p)), isqrt(int(square.q))
    root = sp.Rational(top, bottom)
    return root if root**2 == square else None
