"""What a mixture-of-experts layer computes: an :class:`Architecture`.

A layer maps x in R^d to Σ_i w_i(x)·h(x, η_i), the scores of its router being W x, a row of W for
each expert, and h_i a small network. Shared experts, if any, are added for every x. Numbers are
exact texts where a configuration has decimals.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Scores(StrEnum):
    """What is made of a score W x before or after the selection."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


class Divided(StrEnum):
    """Over which experts the weights add up to 1, before the scaling factor."""

    SELECTED = "selected"
    ALL = "all"
    NOT = "none"


LEARNED = "τ"
"""The temperature where it is a parameter."""


class Form(StrEnum):
    """The network of one expert, φ its activation, ⊙ the product of units."""

    GLU = "glu"
    """down(φ(gate x) ⊙ up x)"""
    PLAIN = "plain"
    """down φ(gate x)"""
    CLAMPED = "clamped-glu"
    """down((g·σ(αg)) ⊙ (u + 1)), g = min(gate x + b, L), u = up x + b' cut to [-L, L]; biases"""


@dataclass(frozen=True)
class Router:
    """How ``count`` experts are weighed, of which ``selected`` count at one x.

    ``first``: whether the scores are turned into weights before or after the selection; both give
    the same function where ``divided`` is by the selected softmax weights. ``bias``: the score has
    an intercept. ``selection_bias``: a number b_i of each expert that decides the selection alone.
    Of ``groups`` of experts only the ``groups_kept`` with the largest ``group_score`` may be
    selected. ``factor`` multiplies the weights; ``temperature``, a number or :data:`LEARNED`,
    divides the scores. ``on_input``: the weight multiplies x, not h(x).
    """

    scores: Scores
    count: int
    selected: int
    divided: Divided
    first: str
    bias: bool = False
    selection_bias: bool = False
    groups: int = 1
    groups_kept: int = 1
    group_score: str = ""
    factor: str = "1"
    temperature: str = "1"
    on_input: bool = False

    @property
    def grouped(self) -> bool:
        """Whether groups restrict the selection."""
        return self.groups_kept < self.groups

    @property
    def largest_of_group(self) -> int:
        """Of how many of a group's largest values its score is the sum."""
        return 2 if self.group_score.startswith("the sum of its two") else 1


@dataclass(frozen=True)
class ExpertForm:
    """One expert: its form, activation by name, ``width`` hidden units, whether it has biases.

    ``biased`` names the maps with a bias where only some have one (gate, up, down). ``alpha`` and
    ``limit`` are those of the clamped form, empty for others; without ``limit`` it is the clamped
    form at inputs that reach no clamp.
    """

    form: Form
    activation: str
    width: int
    bias: bool = False
    alpha: str = ""
    limit: str = ""
    biased: tuple[str, ...] = ()

    def has_bias(self, name: str) -> bool:
        """Whether the map gate, up or down has a bias."""
        return self.bias and (not self.biased or name in self.biased)


@dataclass(frozen=True)
class SharedExperts:
    """``count`` experts that every x passes, one network of ``width`` hidden units together.

    ``gated``: their sum is multiplied by σ(vᵀx), v a parameter.
    """

    count: int
    width: int
    gated: bool = False


@dataclass(frozen=True)
class Architecture:
    """One layer: ``family`` is the ``model_type``, ``source`` what it was read from.

    ``hidden`` is d, of inputs and outputs. ``output_bias``: a vector is added to the sum.
    ``assumed`` are keys that the configuration leaves out, with the family's default; ``notes``
    say what else the published layer does that is no part of this function.
    """

    family: str
    source: str
    router: Router
    expert: ExpertForm
    hidden: int
    shared: SharedExperts | None = None
    output_bias: bool = False
    assumed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "assumed": dict(self.assumed), "notes": list(self.notes)}
