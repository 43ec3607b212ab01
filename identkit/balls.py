"""SymPy expressions -> rigorous ball arithmetic (FLINT/Arb through python-flint).

An expression is flattened once into a :class:`Tape`, a straight-line program in which equal
subexpressions appear once; the tape is then run at many points. Every result is a ball that
contains the true value; a value that is not real or not finite comes back as a ball that is not
finite, never as an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import arb, fmpq
from flint import ctx as flint_context

from identkit.heads import HEADS

NOT_A_NUMBER = arb("nan")

Node = Any
"""A SymPy node: SymPy's own annotations do not say which attributes a node has."""


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Ball arithmetic at ``bits`` bits inside the block."""
    before = flint_context.prec
    flint_context.prec = bits
    try:
        yield
    finally:
        flint_context.prec = before


def ball(value: Fraction | int) -> arb:
    """The ball of a rational at the current precision."""
    fraction = Fraction(value)
    return arb(fmpq(fraction.numerator, fraction.denominator))


def interval(low: Fraction, high: Fraction) -> arb:
    """A ball containing [low, high]."""
    return ball(low).union(ball(high))


class Step(sp.Function):
    """1 where the argument is positive, 0 where it is negative; derivative 0 almost everywhere."""

    nargs = 1
    is_real = True

    @classmethod
    def eval(cls, arg: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        # by balls: SymPy's is_positive seeks minimal polynomials where digits do not tell
        known = sign(arg) if arg.is_number else None
        return None if known is None else sp.Integer(int(known > 0))

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        power = "" if exp is None else f"^{{{exp}}}"
        return rf"\mathbf{{1}}_{{>0}}{power}\left({printer._print(self.args[0])}\right)"


def step(z: arb) -> arb:
    """Step of a ball: 1, 0, or a ball around [0, 1] when the sign is not known."""
    if z > 0:
        return arb(1)
    if z < 0:
        return arb(0)
    return interval(Fraction(0), Fraction(1)) if z.is_finite() else NOT_A_NUMBER


def whole_power(z: arb, n: int) -> arb:
    """z^n. FLINT's own is no number for n > 0 where the ball holds 0, as that of x - x may."""
    if n <= 0 or z > 0 or z < 0 or not z.is_finite():
        return z**n
    ends = [_exact_power(end, n) for end in (z.lower(), z.upper())]
    return ends[0].union(ends[1]) if n % 2 else arb(0).union(ends[0]).union(ends[1])


def _exact_power(z: arb, n: int) -> arb:
    return z**n if z > 0 or z < 0 else arb(0)


def _power(base: arb, exponent: arb) -> arb:
    return base**exponent if base > 0 else NOT_A_NUMBER


_UNARY: dict[type, Callable[[arb], arb]] = {**{h.head: h.ball for h in HEADS}, Step: step}
_HAZARDS = {**{h.head: h.hazard for h in HEADS}, Step: "kink"}


@dataclass(frozen=True)
class Hazard:
    """A place where an expression can stop being analytic: what must stay away from 0."""

    kind: str
    expression: sp.Expr
    slot: int


class Tape:
    """A straight-line ball-arithmetic program for some expressions in some variables.

    ``hazards`` lists the subexpressions whose sign or zero decides whether the expressions are
    analytic: denominators, arguments of log and of fractional powers, tan, and ``Step`` (kinks).
    """

    def __init__(self, expressions: Iterable[sp.Expr], variables: Sequence[sp.Symbol]) -> None:
        self.hazards: list[Hazard] = []
        self._slot: dict[sp.Basic, int] = {v: i for i, v in enumerate(variables)}
        self._size = len(variables)
        # one entry per operation: (target slot, function, argument slots)
        self._program: list[tuple[int, Callable[..., arb], tuple[int, ...]]] = []
        self.outputs = [self._add(e) for e in expressions]

    def _emit(self, function: Callable[..., arb], *arguments: int) -> int:
        slot = self._size
        self._size += 1
        self._program.append((slot, function, arguments))
        return slot

    def _add(self, node: Node) -> int:
        slot = self._slot.get(node)
        if slot is None:
            slot = self._slot[node] = self._compile(node)
        return slot

    def _hazard(self, kind: str, argument: Node, slot: int) -> None:
        if all(h.kind != kind or h.slot != slot for h in self.hazards):
            self.hazards.append(Hazard(kind, argument, slot))

    def _compile(self, node: Node) -> int:
        if node.is_Rational:
            value = Fraction(int(node.p), int(node.q))
            return self._emit(lambda: ball(value))
        if node is sp.pi:
            return self._emit(arb.pi)
        if node is sp.E:
            return self._emit(arb.const_e)
        if node.is_number and not node.args:
            return self._emit(lambda: NOT_A_NUMBER)
        if node.is_Add:
            return self._fold(arb.__add__, node.args)
        if node.is_Mul:
            return self._fold(arb.__mul__, node.args)
        if node.is_Pow:
            return self._compile_power(*node.args)
        if type(node) in _UNARY:
            argument = self._add(node.args[0])
            kind = _HAZARDS[type(node)]
            if kind:
                self._hazard(kind, node.args[0], argument)
            return self._emit(_UNARY[type(node)], argument)
        raise TypeError(f"no ball arithmetic for {type(node).__name__}")

    def _fold(self, operation: Callable[..., arb], arguments: Iterable[Node]) -> int:
        slots = [self._add(a) for a in arguments]
        total = slots[0]
        for slot in slots[1:]:
            total = self._emit(operation, total, slot)
        return total

    def _compile_power(self, base: Node, exponent: Node) -> int:
        if base is sp.E:
            return self._emit(arb.exp, self._add(exponent))
        slot = self._add(base)
        if exponent.is_Integer:
            n = int(exponent)
            if n < 0:
                self._hazard("pole", base, slot)
            return self._emit(lambda z: whole_power(z, n), slot)
        self._hazard("root", base, slot)
        if exponent.is_Rational:
            p, q = int(exponent.p), int(exponent.q)
            return self._emit(lambda z: z.root(q) ** p if z > 0 else NOT_A_NUMBER, slot)
        return self._emit(_power, slot, self._add(exponent))

    def run(self, values: Sequence[arb]) -> list[arb]:
        """All slots for these variable values; ``outputs`` and ``hazards`` index into it."""
        slots: list[arb] = [NOT_A_NUMBER] * self._size
        slots[: len(values)] = values
        for target, function, arguments in self._program:
            slots[target] = function(*[slots[i] for i in arguments])
        return slots

    def evaluate(self, values: Sequence[arb]) -> list[arb]:
        """The expressions' values, in order."""
        slots = self.run(values)
        return [slots[i] for i in self.outputs]


def enclosure(value: Any) -> arb | None:
    """A ball around a constant, tight enough to tell its sign if 1,024 bits are; None if no such.

    Unlike SymPy's digits it costs the same however large the constant is.
    """
    try:
        tape = Tape([value], ())
    except TypeError:
        return None
    found = None
    for bits in (128, 1024):
        with precision(bits):
            found = tape.evaluate([])[0]
        if found.is_finite() and (found > 0 or found < 0):
            return found
    return found if found is not None and found.is_finite() else None


def sign(number: Any) -> int | None:
    """-1, 0 or 1; None where 1,024 bits do not tell."""
    if number.is_Rational or number.is_Float:
        return 1 if number > 0 else -1 if number < 0 else 0
    found = enclosure(number)
    return None if found is None else 1 if found > 0 else -1 if found < 0 else None
