"""The metrics of one layer at one checkpoint, from its sums."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.routers import metrics
from identkit.routers.counts import BLOCKS, BlockSums, TypeCounts, overlaps
from identkit.routers.labels import Labels
from identkit.routers.records import Domains, LayerFound, OverTypes, Pair
from identkit.routers.resampling import Bootstrap, Estimate, groups_of

Array = NDArray[Any]
MOST_PAIRS = 5
"""Pairs of experts that are listed."""


def found_at(
    layer: int,
    checkpoint: int,
    top: int,
    experts: int,
    sums: BlockSums,
    types: TypeCounts | None,
    compared: dict[str, TypeCounts],
    type_hits: dict[str, Array],
    labels: Labels,
    bootstrap: Bootstrap,
    dead_below: float,
    overloaded_above: float,
) -> LayerFound:
    """All metrics of ``sums``, and of ``types`` with the overlaps of their tokens.

    ``compared`` are the types at the "last" and the "next" checkpoint, ``type_hits`` the overlaps.
    """
    tokens, use = int(sums.total("tokens")), sums.total("use")
    by_block = partial(_by_block, sums, bootstrap)

    def mean_per_token(name: str, most: float, random: float | None = None) -> Estimate | None:
        return by_block(_ratio, name, "tokens", most=most, random=random)

    jain_random = metrics.jain_random(experts, top, tokens)
    return LayerFound(
        layer=layer,
        checkpoint=checkpoint,
        tokens=tokens,
        top=top,
        shares=tuple((use / tokens).tolist()),
        jain=_sure(by_block(metrics.jain, "use", most=1.0, random=jain_random)),
        entropy=_sure(
            by_block(
                metrics.utilisation_entropy, "use", most=1.0,
                random=metrics.utilisation_entropy_random(experts, top, tokens),
            )
        ),
        jain_weight=by_block(metrics.jain, "weight", most=1.0),
        weight_entropy=mean_per_token("weight_entropy", np.log(top)),
        router_entropy=mean_per_token("router_entropy", np.log(experts)),
        balance=by_block(
            metrics.load_balance, "use", "probability", "tokens", most=experts, random=float(top)
        ),
        expected=by_block(
            partial(metrics.saturation, top=top), "expected", "tokens", most=1.0,
            random=top / experts,
        ),
        dead=tuple(metrics.dead(use, tokens, top, dead_below)),
        overloaded=tuple(metrics.overloaded(use, tokens, top, overloaded_above)),
        coactivation=None
        if top == 1
        else by_block(metrics.strongest_coactivation, "pairs", "use", most=1.0),
        pairs=_pairs(sums.total("pairs"), use),
        saturation=by_block(
            partial(metrics.saturation, top=top), "last", "tokens", most=1.0, random=top / experts
        ),
        change=by_block(
            partial(metrics.change_rate, top=top), "next", "tokens", most=1.0,
            random=1.0 - top / experts,
        ),
        over_types=None
        if types is None
        else _over_types(types, compared, type_hits, top, bootstrap),
        domains=_domains(sums, labels, top, by_block),
    )  # fmt: skip


def _sure(estimate: Estimate | None) -> Estimate:
    assert estimate is not None
    return estimate


def _by_block(
    sums: BlockSums, bootstrap: Bootstrap, statistic: Any, *names: str,
    most: float = np.inf, random: float | None = None,
) -> Estimate | None:  # fmt: skip
    if not all(name in sums for name in names):
        return None
    parts = [sums.by_block(name) for name in names]
    return bootstrap.estimate(statistic, *parts, most=float(most), random=random)


def _ratio(total: Array, count: Array) -> Array:
    return np.asarray(total) / count


def _pairs(pairs: Array, use: Array) -> tuple[Pair, ...]:
    given = metrics.coactivation(pairs, use)
    either = np.triu(np.maximum(given, given.T), 1)
    order = np.argsort(-either, axis=None, kind="stable")[:MOST_PAIRS]
    return tuple(
        Pair(int(a), int(b), int(pairs[a, b]), float(given[a, b]), float(given[b, a]))
        for a, b in zip(*np.unravel_index(order, either.shape), strict=True)
        if pairs[a, b]
    )


def _domains(sums: BlockSums, labels: Labels, top: int, by_block: Any) -> Domains | None:
    if "domain" not in sums:
        return None
    use, tokens = sums.total("domain"), sums.total("domain_tokens")
    present = int(np.count_nonzero(tokens))
    random = metrics.mutual_information_random(present, use.shape[1], top, int(tokens.sum()))
    return Domains(
        tuple(tokens.tolist()),
        tuple(map(tuple, metrics.specialisation(use, tokens).tolist())),
        by_block(metrics.mutual_information, "domain", random=random),
    )


def _over_types(
    types: TypeCounts,
    compared: dict[str, TypeCounts],
    hits: dict[str, Array],
    top: int,
    bootstrap: Bootstrap,
) -> OverTypes | None:
    """Averages over the types that occur here, resampled by random groups of them."""
    seen = np.flatnonzero(types.occurrences)
    if not len(seen):
        return None
    occurrences, experts = types.occurrences[seen], types.use.shape[1]
    group = groups_of(len(seen), min(BLOCKS, len(seen)), bootstrap.seed)
    number = np.bincount(group).astype(float)
    share = np.zeros((len(number), experts))
    best, frequent = np.zeros(len(number)), np.zeros(len(number))
    for g in range(len(number)):
        members = np.flatnonzero(group == g)
        use, occurs = types.use[seen[members]], occurrences[members]
        share[g] = metrics.specialisation(use, occurs).sum(axis=0)
        often = occurs >= metrics.LEAST_OCCURRENCES
        best[g] = metrics.best_shares(use[often], occurs[often]).sum()
        frequent[g] = often.sum()

    def overlap(name: str, statistic: Any, random: float) -> Estimate | None:
        if name not in hits:
            return None
        return over_groups(hits[name][seen] / occurrences, statistic, random)

    def over_groups(overlaps: Array, statistic: Any, random: float | None) -> Estimate:
        sums = np.bincount(group, weights=overlaps)
        return bootstrap.estimate(
            partial(statistic, top=top), sums, number, most=1.0, random=random
        )

    def habits(name: str, statistic: Any, random: float) -> Estimate | None:
        if name not in compared:
            return None
        here, there = (metrics.modal(t.use[seen], top) for t in (types, compared[name]))
        return over_groups(overlaps(here.T, there.T), statistic, random)

    often = occurrences[occurrences >= metrics.LEAST_OCCURRENCES]
    vocabulary = None
    if len(often):
        random = metrics.best_shares_random(often, experts, top, bootstrap.seed)
        vocabulary = bootstrap.estimate(_safe_ratio, best, frequent, most=1.0, random=random)
    return OverTypes(
        len(seen),
        bootstrap.estimate(metrics.jain, share, most=1.0),
        bootstrap.estimate(metrics.utilisation_entropy, share, most=1.0),
        overlap("last", metrics.saturation, top / experts),
        overlap("next", metrics.change_rate, 1.0 - top / experts),
        habits("last", metrics.saturation, top / experts),
        habits("next", metrics.change_rate, 1.0 - top / experts),
        len(often),
        vocabulary,
    )


def _safe_ratio(total: Array, count: Array) -> Array:
    """NaN, which is left out, for a resample without a unit."""
    with np.errstate(invalid="ignore"):
        return np.asarray(total) / count
