"""What is measured of routers: formulas on sums over tokens, and what random routing would give.

E_i(t) is the set of the k experts of n that token i selects at checkpoint t, T is the last one, N
the number of tokens, N_e the tokens that select expert e. Arrays may have leading axes (resamples).
Sources: arXiv 2409.02060 (OLMoE) section 5; arXiv 2505.10860 appendix H; theory, section 15;
proofs_check/test_routing_baselines.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DEAD = 0.01
"""An expert is dead when it is selected less often than this part of the balanced share k/n."""
OVERLOADED = 2.0
"""An expert is overloaded when it is selected more often than this multiple of k/n."""
LEAST_OCCURRENCES = 10
"""Types of tokens that occur less often do not count for the vocabulary specialisation.

The published script shows only these; the best share of a type that occurs once is 1.
"""


def jain(shares: Array) -> Array:
    """Jain's index (Σr)²/(n Σr²) of ``shares`` (…, n): 1 if equal, 1/n if one expert has all.

    Jain, Chiu and Hawe 1984; for experts arXiv 2505.10860 appendix H. NaN where all are 0.

    >>> float(jain(np.array([1.0, 1.0, 0.0, 0.0])))
    0.5
    """
    shares = np.asarray(shares, dtype=np.float64)
    squares = (shares**2).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return shares.sum(axis=-1) ** 2 / (shares.shape[-1] * squares)


def jain_random(experts: int, top: int, tokens: float) -> float:
    """1/(1 + (n/k − 1)/N): Jain's index of N tokens that select k of n at random.

    N_e has mean Nk/n and variance N(k/n)(1 − k/n), of which E[N_e²]/E[N_e]² follows.
    """
    return 1.0 / (1.0 + (experts / top - 1.0) / tokens)


def utilisation_entropy(shares: Array) -> Array:
    """−Σ p log p / log n of ``shares`` (…, n) over their sum: 1 if equal, 0 for one expert.

    One expert of one has 1. NaN where all shares are 0.
    """
    shares = np.asarray(shares, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        p = shares / shares.sum(axis=-1, keepdims=True)
    if p.shape[-1] == 1:
        return p[..., 0]
    logs = np.log(p, out=np.zeros_like(p), where=p > 0.0)
    return -(p * logs).sum(axis=-1) / np.log(p.shape[-1])


def utilisation_entropy_random(experts: int, top: int, tokens: float) -> float:
    """1 − (n/k − 1)/(2N log n), to first order in 1/N, when k of n are selected at random."""
    if experts == 1:
        return 1.0
    return max(0.0, 1.0 - (experts / top - 1.0) / (2.0 * tokens * np.log(experts)))


def saturation(hits: Array, tokens: Array, top: int) -> Array:
    """Σ_i |E_i(t) ∩ E_i(T)| / (N k), ``hits`` being the numerator's sum: OLMoE section 5.1.

    Random routing: k/n.
    """
    return np.asarray(hits) / (np.asarray(tokens) * float(top))


def change_rate(hits: Array, tokens: Array, top: int) -> Array:
    """Σ_i |E_i(t+1) ∖ E_i(t)| / (N k) = 1 − overlap: arXiv 2505.10860 appendix H.

    ``hits`` is Σ_i |E_i(t) ∩ E_i(t+1)|. Random routing: 1 − k/n.
    """
    return 1.0 - saturation(hits, tokens, top)


def coactivation(pairs: Array, use: Array) -> Array:
    """P(b | a) = N_ab/N_a over all unordered pairs of the k experts of a token, (…, n, n).

    OLMoE section 5.2 defines it so; its script counts only pairs of neighbouring ranks. The
    diagonal is 0, and so are rows of experts never selected. Random routing: (k − 1)/(n − 1).
    """
    use = np.asarray(use, dtype=np.float64)[..., :, None]
    return np.divide(pairs, use, out=np.zeros(np.shape(pairs)), where=use > 0.0)


def strongest_coactivation(pairs: Array, use: Array) -> Array:
    """The mean over experts a that are used of max_b P(b | a), of shapes (…, n, n) and (…, n)."""
    best = coactivation(pairs, use).max(axis=-1)
    used = np.asarray(use) > 0
    return best.sum(axis=-1) / np.maximum(used.sum(axis=-1), 1)


def load_balance(use: Array, probability: Array, tokens: Array) -> Array:
    """n Σ_e f_e P_e: f_e = N_e/N, P_e the mean probability of the router (arXiv 2101.03961 eq. 4).

    f sums to k, so a balanced router has k, and one that has collapsed onto k experts has n. All of
    ``probability`` (…, n) is of the softmax over all experts, before the selection.
    """
    tokens = np.asarray(tokens, dtype=np.float64)[..., None]
    return np.shape(use)[-1] * ((use / tokens) * (probability / tokens)).sum(axis=-1)


def dead(use: Array, tokens: float, top: int, below: float = DEAD) -> list[int]:
    """Experts with N_e/N < ``below``·k/n, of ``use`` (n,)."""
    balanced = tokens * top / len(use)
    return [int(e) for e in np.flatnonzero(use < below * balanced)]


def overloaded(use: Array, tokens: float, top: int, above: float = OVERLOADED) -> list[int]:
    """Experts with N_e/N > ``above``·k/n, of ``use`` (n,)."""
    balanced = tokens * top / len(use)
    return [int(e) for e in np.flatnonzero(use > above * balanced)]


def specialisation(use: Array, occurrences: Array) -> Array:
    """N_De/N_D: of the tokens of a domain or type D the part that selects e (OLMoE section 5.3).

    Shapes (…, D, n) and (…, D); 0 for a D without tokens. Random routing: k/n.
    """
    occurrences = np.asarray(occurrences, dtype=np.float64)[..., None]
    return np.divide(use, occurrences, out=np.zeros(np.shape(use)), where=occurrences > 0.0)


def mutual_information(use: Array) -> Array:
    """I(domain; expert) in bits of ``use`` (…, D, n), a selected expert drawn at random.

    0 if every domain uses the experts alike, at most log₂ min(D, n).
    """
    joint = np.asarray(use, dtype=np.float64)
    joint = joint / np.maximum(joint.sum(axis=(-2, -1), keepdims=True), 1.0)
    expected = joint.sum(axis=-1, keepdims=True) * joint.sum(axis=-2, keepdims=True)
    ratio = np.divide(joint, expected, out=np.ones_like(joint), where=joint > 0.0)
    return (joint * np.log2(ratio)).sum(axis=(-2, -1))


def mutual_information_random(domains: int, experts: int, top: int, tokens: float) -> float:
    """(D − 1)(n − k)/(2 N k log 2), to first order in 1/N, when k of n are selected at random.

    The χ² statistic 2Nk·log 2·I has mean (D − 1)(n − 1) for independent draws; k without
    replacement have (1 − k/n) n/(n − 1) of their variance.
    """
    return (domains - 1) * (experts - top) / (2.0 * tokens * top * np.log(2.0))


def between_random(experts: int, top: int, other: int, tokens: float) -> float:
    """(n − k)(n − k′)/(2 N k k′ log 2): bits shared by layers that select k and k′ of n at random.

    The centred indicators of an expert in each layer have variance (k/n)(1 − k/n)(k′/n)(1 − k′/n)
    per token, so that the χ² statistic 2Nkk′·log 2·I of the n² cells has mean (n − k)(n − k′).
    """
    return (experts - top) * (experts - other) / (2.0 * tokens * top * other * np.log(2.0))


def modal(use: Array, top: int) -> Array:
    """The k experts that each type selects most often, (V, k), of ``use`` (V, n).

    LibMoE's script (language_modeling/paper/deepseek/router_saturation.py) keeps these of each
    vocabulary item, so its saturation compares habits of types: it is greater than that of tokens,
    since what a type does now and then is averaged away. Ties go to the lower number.
    """
    return np.argsort(-use.astype(np.int64), axis=-1, kind="stable")[..., :top]


def best_shares(use: Array, occurrences: Array) -> Array:
    """max_e N_ve/N_v of each type v: its mean over types is the vocabulary specialisation.

    OLMoE's script averages this over the types (there over k = 1).
    """
    return specialisation(use, occurrences).max(axis=-1)


def best_shares_random(occurrences: Array, experts: int, top: int, seed: int) -> float:
    """The mean over types of max_e N_ve/N_v when N_ve are binomial (N_v, k/n), one seeded draw.

    The experts of a token are drawn independently here, which k without replacement are not.
    """
    rng = np.random.default_rng(seed)
    total = 0.0
    for part in np.array_split(occurrences, max(1, len(occurrences) * experts // 2**22)):
        drawn = rng.binomial(part[:, None], top / experts, (len(part), experts))
        total += float((drawn.max(axis=1) / part).sum())
    return total / len(occurrences)
