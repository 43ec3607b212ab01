"""Conditional densities: mixtures of experts fitted by maximum likelihood."""

from __future__ import annotations

from identkit.density.box import DensityBox
from identkit.density.engine import maximum_likelihood
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.density.result import DensityFit, Status

__all__ = [
    "DensityBox",
    "DensityFit",
    "DensityMeasure",
    "DensityModel",
    "Status",
    "maximum_likelihood",
]
