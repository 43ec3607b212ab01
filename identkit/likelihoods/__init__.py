"""Likelihoods, one file each; the rest reads the objects."""

from __future__ import annotations

from identkit.likelihoods import least_squares
from identkit.likelihoods.contract import (
    LEAST_SQUARES,
    LIKELIHOODS,
    Likelihood,
    register,
    resolve,
)

__all__ = ["LEAST_SQUARES", "LIKELIHOODS", "Likelihood", "register", "resolve"]

register(least_squares.LIKELIHOOD)
