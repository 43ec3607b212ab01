"""Likelihoods, one file each; the rest reads the objects."""

from __future__ import annotations

from identkit.likelihoods import categorical, gaussian, least_squares
from identkit.likelihoods.contract import (
    LEAST_SQUARES,
    LIKELIHOODS,
    Likelihood,
    asked_under,
    from_document,
    register,
    resolve,
)

__all__ = [
    "LEAST_SQUARES",
    "LIKELIHOODS",
    "Likelihood",
    "asked_under",
    "from_document",
    "register",
    "resolve",
]

for _likelihood in (least_squares.LIKELIHOOD, *gaussian.LIKELIHOODS, categorical.LIKELIHOOD):
    register(_likelihood)
