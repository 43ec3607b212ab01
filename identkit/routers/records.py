"""What an analysis of routers found."""

from __future__ import annotations

from dataclasses import dataclass

from identkit.routers.resampling import Estimate


@dataclass(frozen=True)
class Pair:
    """Experts a and b that tokens select together: P(b | a) and P(a | b), from N_ab."""

    a: int
    b: int
    tokens: int
    b_given_a: float
    a_given_b: float


@dataclass(frozen=True)
class OverTypes:
    """Each type of token counts once, however often it occurs; intervals are over types."""

    types: int
    jain: Estimate
    entropy: Estimate
    saturation: Estimate | None
    change: Estimate | None
    modal_saturation: Estimate | None
    """Overlap of the k experts that a type selects most often, here and at the last checkpoint."""
    modal_change: Estimate | None
    frequent: int
    """Types that occur often enough for the vocabulary specialisation."""
    vocabulary: Estimate | None
    """The mean over these of the best expert's share; None if there is no such type."""


@dataclass(frozen=True)
class Domains:
    """How far domains select experts of their own."""

    tokens: tuple[int, ...]
    shares: tuple[tuple[float, ...], ...]
    """Of the tokens of domain D, the part that selects e: rows are domains."""
    information: Estimate
    """Mutual information of domain and expert, bits."""


@dataclass(frozen=True)
class LayerFound:
    """One layer at one checkpoint."""

    layer: int
    checkpoint: int
    tokens: int
    top: int
    shares: tuple[float, ...]
    """N_e/N of each expert; they sum to k."""
    jain: Estimate
    entropy: Estimate
    jain_weight: Estimate | None
    """Jain's index of the sums of routing weights."""
    weight_entropy: Estimate | None
    """Of the weights of the selected experts of a token, nats; at most log k."""
    router_entropy: Estimate | None
    """Of the router's probabilities over all experts, nats; at most log n."""
    balance: Estimate | None
    """n Σ f_e P_e."""
    expected: Estimate | None
    """The part of the selected experts that are among the k most probable."""
    dead: tuple[int, ...]
    overloaded: tuple[int, ...]
    coactivation: Estimate | None
    """Mean over a of max_b P(b | a); None for k = 1."""
    pairs: tuple[Pair, ...]
    """The strongest, by the greater of both conditional parts."""
    saturation: Estimate | None
    change: Estimate | None
    """To the next checkpoint; None at the last."""
    over_types: OverTypes | None
    domains: Domains | None


@dataclass(frozen=True)
class Between:
    """How far the experts of a layer tell those of the next one, at the last checkpoint."""

    layer: int
    next: int
    information: Estimate
    """Mutual information of a selected expert of each, bits."""
    a: int
    b: int
    """Of all that are selected at least as often as half of balanced, the greatest P(b | a)."""
    b_given_a: float


@dataclass(frozen=True)
class Found:
    """The analysis of a recording."""

    path: str
    experts: int
    checkpoints: tuple[int, ...]
    layers: tuple[int, ...]
    found: tuple[LayerFound, ...]
    """By layer, then checkpoint."""
    between: tuple[Between, ...]
    """Consecutive layers, if that was asked for."""
    domain_names: tuple[str, ...]
    types: int | None
    """Types of tokens that occur."""
    block: int
    """Tokens of a block of the bootstrap."""
    seed: int
    draws: int
    level: float
    dead_below: float
    overloaded_above: float
    notes: tuple[str, ...]

    def at(self, layer: int, checkpoint: int) -> LayerFound:
        """Raises KeyError for what is not there."""
        for one in self.found:
            if (one.layer, one.checkpoint) == (layer, checkpoint):
                return one
        raise KeyError((layer, checkpoint))
