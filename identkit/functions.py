"""The functions a user's expression may call, one row each; nothing else lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from identkit.balls import Step
from identkit.heads import HEADS


@dataclass(frozen=True)
class Function:
    """A function of the grammar.

    ``copies`` is how often the argument occurs once the function is written out; ``python`` its
    value at ``z`` in Python with ``math`` alone, where ``math`` has no function of that name;
    ``builtin`` the function of Python that is the same; ``several`` allows more arguments.
    """

    name: str
    meaning: str
    build: Callable[..., Any]
    copies: int = 1
    python: str | None = None
    builtin: str | None = None
    several: bool = False


def step(z: Any) -> Any:
    """Step(z) as an expression (SymPy's annotations call it a class)."""
    return Step(z)


def _gelu(z: sp.Expr) -> sp.Expr:
    return z * (1 + sp.erf(z / sp.sqrt(2))) / 2


def _elu(z: Any) -> Any:
    # exp(min(0, z)): exp(z) alone overflows where it does not count
    negative = 1 - step(z)
    return z * step(z) + negative * (sp.exp(z * negative) - 1)


def _softsign(z: Any) -> Any:
    return z / (1 + z * (2 * step(z) - 1))


def _maximum(*args: Any) -> Any:
    if len(args) == 1:
        return args[0]
    # in halves: written out one by one the first argument would double with each further one
    middle = (len(args) + 1) // 2
    first, other = _maximum(*args[:middle]), _maximum(*args[middle:])
    return other + (first - other) * step(first - other)


def _minimum(*args: Any) -> Any:
    return -_maximum(*(-a for a in args))


_ROWS = (
    *(Function(h.name, h.meaning, h.head) for h in HEADS),
    Function("sqrt", "square root", sp.sqrt),
    Function("abs", "absolute value", lambda z: z * (2 * step(z) - 1), 2, builtin="abs"),
    Function("relu", "max(0, z)", lambda z: z * step(z), 2, "max(0.0, z)"),
    Function("gelu", "z*(1 + erf(z/sqrt(2)))/2", _gelu, 2, "z*(1 + erf(z/sqrt(2)))/2"),
    Function("silu", "z/(1 + exp(-z))", lambda z: z / (1 + sp.exp(-z)), 2, "z/(1 + exp(-z))"),
    Function("sigmoid", "1/(1 + exp(-z))", lambda z: 1 / (1 + sp.exp(-z)), 1, "1/(1 + exp(-z))"),
    Function("softplus", "log(1 + exp(z))", lambda z: sp.log(1 + sp.exp(z)), 1, "log(1 + exp(z))"),
    Function("elu", "z for z > 0, else exp(z) - 1", _elu, 6, "max(0.0, z) + exp(min(0.0, z)) - 1"),
    Function("softsign", "z/(1 + abs(z))", _softsign, 3, "z/(1 + abs(z))"),
    Function("Max", "largest of its arguments", _maximum, builtin="max", several=True),
    Function("Min", "smallest of its arguments", _minimum, builtin="min", several=True),
)

FUNCTIONS: dict[str, Function] = {row.name: row for row in _ROWS}
"""Name -> row: everything a user expression may call."""
SPELLINGS: dict[str, str] = {name.lower(): name for name in FUNCTIONS}
"""A name in small letters -> as the grammar spells it: functions are known in any case."""
