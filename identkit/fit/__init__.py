"""Least-squares fits of mixtures of experts: one problem or thousands at once, CPU or GPU."""

from identkit.fit.engine import Compute, least_squares, replicates
from identkit.fit.model import Model
from identkit.fit.result import Box, FitResult, Status

__all__ = ["Box", "Compute", "FitResult", "Model", "Status", "least_squares", "replicates"]
