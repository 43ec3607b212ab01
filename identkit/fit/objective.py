"""What a fit minimises: the contract of an objective, least squares, and the registry.

With residuals r_i = f_G(x_i) − y_i and weights w_i an objective is cost(G) = Σ_i w_i·ρ(r_i), and
with J the Jacobian of (f_G(x_i))_i over the parameters

    gradient = Jᵀ(w·ρ'(r)),    Hessian = Jᵀ diag(w·ρ''(r)) J + Σ_i w_i·ρ'(r_i)·∇²f_G(x_i);

Gauss-Newton keeps the first term of the Hessian. The solver, its kernels, starts, standard errors
and reports take from an :class:`Objective` what differs between objectives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from identkit.errors import InputError
from identkit.likelihoods import LEAST_SQUARES, LIKELIHOODS, resolve
from identkit.registry import enter

if TYPE_CHECKING:
    from identkit.gates import Gate


@dataclass(frozen=True)
class StandardErrors:
    """The covariance σ²·(Jᵀ diag(w·ρ'') J)⁻¹ of an estimate.

    ``variance(cost, samples, rank)`` is σ² from the cost at a minimum, the number of samples and
    the rank of that matrix; NaN where no degrees of freedom are left. ``assumes`` says, to stand
    before a full stop, what makes it valid.
    """

    variance: Callable[[float, int, int], float] = field(repr=False)
    assumes: str


@dataclass(frozen=True)
class Objective:
    """What is minimised over mixing measures.

    ``name`` is what likelihoods call it, ``title`` how its cost is printed. The three functions
    take residuals, shape (…, n), and weights of that shape or None for all 1, both NumPy arrays or
    both torch tensors: ``cost`` is Σ w·ρ(r), shape (…), at least 0 and 0 where all residuals are;
    ``slope`` w·ρ'(r) and ``curvature`` w·ρ''(r) have shape (…, n), and the latter may be None for
    all 1. ``quadratic``: ρ(r) = r²/2, for which there are a fused kernel, the compression to nodes
    and a root mean square in units of y. ``errors`` is None where no standard errors are known.
    """

    name: str
    title: str
    cost: Callable[[Any, Any], Any] = field(repr=False)
    slope: Callable[[Any, Any], Any] = field(repr=False)
    curvature: Callable[[Any, Any], Any] = field(repr=False)
    quadratic: bool = False
    errors: StandardErrors | None = None


def _weighted(residual: Any, weight: Any) -> Any:
    return residual if weight is None else weight * residual


def _half_squares(residual: Any, weight: Any) -> Any:
    return 0.5 * (residual * _weighted(residual, weight)).sum(-1)


def _residual_variance(cost: float, samples: int, rank: int) -> float:
    """2·cost/(n − rank), unbiased for errors of equal variance where f is linear."""
    degrees = samples - rank
    return 2.0 * cost / degrees if degrees > 0 else np.nan


OBJECTIVES: dict[str, Objective] = {}
"""Every objective that is known by name."""


def register(made: Objective) -> Objective:
    """Make an objective known by its name, in this process; a module of likelihoods does so.

    Raises :class:`~identkit.errors.InputError` for what is none, and for a name that is taken.
    """
    return enter(OBJECTIVES, made, Objective)


def objective_of(gate: Gate) -> Objective:
    """What a fit under the gate's likelihood minimises. Raises InputError where nothing is known.

    >>> from identkit.gates import GATES
    >>> objective_of(GATES["softmax"]).title
    'half the sum of squares'
    """
    likelihood = resolve(gate.likelihood)
    found = None if likelihood.objective is None else OBJECTIVES.get(likelihood.objective)
    if found is None:
        known = [each.name for each in LIKELIHOODS.values() if each.objective in OBJECTIVES]
        raise InputError(
            f"fit: no objective is registered for likelihood {likelihood.name}; use "
            f"{' or '.join(known)}."
        )
    return found


register(
    Objective(
        name=LEAST_SQUARES,
        title="half the sum of squares",
        cost=_half_squares,
        slope=_weighted,
        curvature=lambda residual, weight: weight,
        quadratic=True,
        errors=StandardErrors(
            _residual_variance,
            "independent errors of equal variance and an exactly specified model; not valid for "
            "atoms that share a true atom (an over-specified cell), which converge like n^-1/4 or "
            "slower",
        ),
    )
)
