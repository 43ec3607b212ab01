"""Least squares: f is estimated, from Y = f(X) + ε with noise of constant variance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from identkit.likelihoods.contract import LEAST_SQUARES, Likelihood

if TYPE_CHECKING:
    import numpy as np


def respond(rng: np.random.Generator, f: Any, noise: float) -> Any:
    """f + noise·N(0, 1)."""
    drawn = rng.standard_normal(len(f))
    drawn *= noise
    drawn += f
    return drawn


LIKELIHOOD = Likelihood(
    name=LEAST_SQUARES,
    title="least squares",
    estimates="the regression function f(x)",
    source="Nguyen, Ho, Rinaldo, ICML 2024 (arXiv 2402.02952) and NeurIPS 2024 (arXiv 2405.13997)",
    respond=respond,
    objective=LEAST_SQUARES,
)
