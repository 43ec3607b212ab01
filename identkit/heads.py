"""The elementary functions that trees keep as they are, one row each.

A row holds what the other modules need to know of such a head: its SymPy class, its ball, its
second-order jet, what must stay away from a singularity, its name in NumPy. Libraries
for arrays are named, not imported. ``Step`` is none of them: it is defined on balls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp
from flint import arb

Triple = tuple[arb, arb, arb]
"""φ, φ' and φ'' at one ball."""


@dataclass(frozen=True)
class Head:
    """One elementary function of one real argument.

    ``triple`` gives balls of φ, φ', φ''; ``hazard`` the kind of singularity of its argument, if it
    has any; ``numpy`` is ``module:name``. SymPy, Python's math and torch call it ``name``, and so
    does LaTeX where ``latex`` says it.
    """

    name: str
    meaning: str
    head: Any
    ball: Callable[[arb], arb]
    triple: Callable[[arb], Triple]
    numpy: str
    hazard: str | None = None
    latex: bool = True


def _log_ball(z: arb) -> arb:
    return z.log() if z > 0 else arb("nan")


def _exp(z: arb) -> Triple:
    e = z.exp()
    return e, e, e


def _log(z: arb) -> Triple:
    r = 1 / z
    return (z.log() if z > 0 else arb("nan")), r, -r * r


def _sin(z: arb) -> Triple:
    return z.sin(), z.cos(), -z.sin()


def _cos(z: arb) -> Triple:
    return z.cos(), -z.sin(), -z.cos()


def _tan(z: arb) -> Triple:
    t = z.tan()
    s = 1 + t * t
    return t, s, 2 * t * s


def _tanh(z: arb) -> Triple:
    t = z.tanh()
    s = 1 - t * t
    return t, s, -2 * t * s


def _sinh(z: arb) -> Triple:
    return z.sinh(), z.cosh(), z.sinh()


def _cosh(z: arb) -> Triple:
    return z.cosh(), z.sinh(), z.cosh()


def _atan(z: arb) -> Triple:
    r = 1 / (1 + z * z)
    return z.atan(), r, -2 * z * r * r


def _asinh(z: arb) -> Triple:
    r = 1 / (1 + z * z).sqrt()
    return z.asinh(), r, -z * r * r * r


def _erf(z: arb) -> Triple:
    slope = 2 * (-z * z).exp() / arb.pi().sqrt()
    return z.erf(), slope, -2 * z * slope


HEADS: tuple[Head, ...] = (
    Head("exp", "exponential", sp.exp, arb.exp, _exp, "numpy:exp"),
    Head("log", "natural logarithm", sp.log, _log_ball, _log, "numpy:log", "log"),
    Head("sin", "sine", sp.sin, arb.sin, _sin, "numpy:sin"),
    Head("cos", "cosine", sp.cos, arb.cos, _cos, "numpy:cos"),
    Head("tan", "tangent", sp.tan, arb.tan, _tan, "numpy:tan", "tan"),
    Head("tanh", "hyperbolic tangent", sp.tanh, arb.tanh, _tanh, "numpy:tanh"),
    Head("sinh", "hyperbolic sine", sp.sinh, arb.sinh, _sinh, "numpy:sinh"),
    Head("cosh", "hyperbolic cosine", sp.cosh, arb.cosh, _cosh, "numpy:cosh"),
    Head("atan", "arctangent", sp.atan, arb.atan, _atan, "numpy:arctan", latex=False),
    Head(
        "asinh",
        "inverse hyperbolic sine",
        sp.asinh,
        arb.asinh,
        _asinh,
        "numpy:arcsinh",
        latex=False,
    ),
    Head("erf", "error function", sp.erf, arb.erf, _erf, "scipy.special:erf", latex=False),
)
