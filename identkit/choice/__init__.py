"""How many experts: criteria over a range of k, and the dendrogram of one over-specified fit."""

from identkit.choice.choosing import CRITERIA, Choice, choose
from identkit.choice.criteria import PRESUMES, CrossValidation
from identkit.choice.dendrogram import Dendrogram, Merge, dendrogram
from identkit.choice.frame import Frame

__all__ = [
    "CRITERIA",
    "PRESUMES",
    "Choice",
    "CrossValidation",
    "Dendrogram",
    "Frame",
    "Merge",
    "choose",
    "dendrogram",
]
