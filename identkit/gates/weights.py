"""What SymPy finds of a weight as a function of the score, within a time limit of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import sympy as sp

from identkit.bounded import bounded
from identkit.deadline import Deadline
from identkit.errors import OutOfTime
from identkit.expression import enclosure, symbol

T = TypeVar("T")
Weight = Callable[[sp.Expr], sp.Expr]


def in_time(find: Callable[[], T], seconds: float, otherwise: T) -> T:
    """What is found in time: SymPy's simplify has no limit of its own."""
    try:
        return bounded(lambda _: find(), Deadline(seconds))
    except (OutOfTime, ArithmeticError, RecursionError, TypeError):  # SymPy on nan: TypeError
        return otherwise


def is_exponential(weight: Weight) -> bool:
    """Whether the weight is a·exp(c·s)."""
    s = symbol("s")
    rate: Any = sp.diff(weight(s), s) / weight(s)
    return vanishes(sp.diff(rate, s))


def vanishes(expression: Any) -> bool:
    """Whether a function of s is 0, by SymPy; a value that is not 0 spares the proof."""
    for at in (sp.Rational(1, 3), sp.Rational(7, 5)):
        value = enclosure(expression.subs(symbol("s"), at))
        if value is not None and (value > 0 or value < 0):
            return False
    return sp.simplify(expression) == 0


def known_as(weight: Weight, normalised: bool) -> str:
    """The built-in gate of this weight, up to the scale of s; empty if none."""
    if normalised and is_exponential(weight):
        return "softmax"
    s = symbol("s")
    rate: Any = sp.diff(weight(s)) / weight(s)  # c·(1 − σ(c·s)) for the sigmoid
    slope: Any = sp.simplify(2 * rate.subs(s, 0))
    if not slope.is_number or slope in (0, sp.nan, sp.zoo):
        return ""
    # divided by the sum, a constant factor of the weight changes nothing
    size: Any = 2 * weight(s).subs(s, 0) if normalised else sp.Integer(1)
    gap: Any = weight(s) - size / (1 + sp.exp(-slope * s))
    if not vanishes(gap.rewrite(sp.exp)):
        return ""
    return "normalized-sigmoid" if normalised else "sigmoid"
