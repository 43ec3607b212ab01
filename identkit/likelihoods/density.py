"""The log-density of one atom as a formula: what maximum likelihood differentiates and compiles.

With h = (h_1, …, h_m) an expert's values at x and ν a variance, where there is one, an atom has
the density V(y; h, ν). Derivatives with respect to pre-activations follow by SymPy, so that a
likelihood needs to write its logarithm, and the information that y has on average about (h, log ν):
the matrix of the first steps of a fit, which is positive semidefinite wherever they begin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def _one(m: int) -> int:
    return 1


@dataclass(frozen=True)
class LogDensity:
    """log V(y; h, ν) and what belongs to it.

    ``spread``: whether there is a variance ν; formulas see its logarithm. ``formula(h, y, l)`` is a
    SymPy expression of the m values of h, the r columns of the response and l = log ν (None
    without one); ``information(h, l)`` the matrix E[−∂²log V] over (h_1, …, h_m, l), as a nested
    tuple, or None where y is not in −∂²log V, which then is what is averaged. ``columns(y, m)``
    makes the columns (…, n, r) of responses (…, n), ``responses(m)`` is r. ``mean(h)`` is E[y] for
    values h (…, m, n), shape (…, n), None where y is a class. ``draw(rng, h, nu)`` gives responses
    (n,) for h (m, n) and variances (n,). Functions with names let what holds them be pickled.
    """

    formula: Callable[[tuple[Any, ...], tuple[Any, ...], Any], Any] = field(repr=False)
    columns: Callable[[Any, int], Any] = field(repr=False)
    draw: Callable[[np.random.Generator, Any, Any], Any] = field(repr=False)
    information: Callable[[tuple[Any, ...], Any], tuple[tuple[Any, ...], ...]] | None = field(
        repr=False, default=None
    )
    responses: Callable[[int], int] = field(repr=False, default=_one)
    mean: Callable[[Any], Any] | None = field(repr=False, default=None)
    spread: bool = True
