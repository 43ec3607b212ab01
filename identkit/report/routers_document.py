"""An analysis of routers as the document ``identkit.routers/1``."""

from __future__ import annotations

from typing import Any

from identkit import __version__
from identkit.routers.metrics import LEAST_OCCURRENCES
from identkit.routers.records import Domains, Found, LayerFound, OverTypes
from identkit.routers.resampling import Estimate

SCHEMA = "identkit.routers/1"


def document(found: Found) -> dict[str, Any]:
    """The document; numbers that there are not, or that are not finite, are null."""
    return {
        "schema": SCHEMA,
        "version": __version__,
        "path": found.path,
        "experts": found.experts,
        "checkpoints": list(found.checkpoints),
        "layers": list(found.layers),
        "domain_names": list(found.domain_names),
        "types": found.types,
        "bootstrap": {
            "block": found.block,
            "seed": found.seed,
            "draws": found.draws,
            "level": found.level,
        },
        "thresholds": {
            "dead_below": found.dead_below,
            "overloaded_above": found.overloaded_above,
            "least_occurrences": LEAST_OCCURRENCES,
        },
        "found": [_layer(one, found.experts) for one in found.found],
        "between": [
            {
                "layer": b.layer, "next": b.next, "information": _estimate(b.information),
                "a": b.a, "b": b.b, "b_given_a": b.b_given_a,
            }
            for b in found.between
        ],
        "notes": list(found.notes),
    }  # fmt: skip


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate.to_dict()


def _layer(one: LayerFound, experts: int) -> dict[str, Any]:
    estimates = (
        "jain", "entropy", "jain_weight", "weight_entropy", "router_entropy", "balance", "expected",
        "coactivation", "saturation", "change",
    )  # fmt: skip
    return {
        "layer": one.layer,
        "checkpoint": one.checkpoint,
        "tokens": one.tokens,
        "top": one.top,
        "shares": list(one.shares),
        "dead": list(one.dead),
        "overloaded": list(one.overloaded),
        **{name: _estimate(getattr(one, name)) for name in estimates},
        "pairs": [
            {
                "a": p.a, "b": p.b, "tokens": p.tokens, "b_given_a": p.b_given_a,
                "a_given_b": p.a_given_b,
            }
            for p in one.pairs
        ],
        "pairs_random": (one.top - 1) / (experts - 1) if one.top > 1 else None,
        "over_types": None if one.over_types is None else _types(one.over_types),
        "domains": None if one.domains is None else _domains(one.domains),
    }  # fmt: skip


def _types(types: OverTypes) -> dict[str, Any]:
    return {
        "types": types.types,
        "frequent": types.frequent,
        **{
            name: _estimate(getattr(types, name))
            for name in (
                "jain",
                "entropy",
                "saturation",
                "change",
                "modal_saturation",
                "modal_change",
                "vocabulary",
            )
        },
    }


def _domains(domains: Domains) -> dict[str, Any]:
    return {
        "tokens": list(domains.tokens),
        "shares": [list(row) for row in domains.shares],
        "information": _estimate(domains.information),
    }
