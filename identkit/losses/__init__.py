"""How far fitted mixing measures are from the true one: losses, errors of f, identifiable parts."""

from identkit.losses.identified import IdentifiableErrors, identifiable_parts
from identkit.losses.norms import RegressionError, regression_error
from identkit.losses.partition import VoronoiLoss, align, cells, voronoi

__all__ = [
    "IdentifiableErrors",
    "RegressionError",
    "VoronoiLoss",
    "align",
    "cells",
    "identifiable_parts",
    "regression_error",
    "voronoi",
]
