"""Published claims, as data with sources (``published.json``), and the look-up for an expert."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from identkit.experts import Expert
from identkit.results import Published


@cache
def _published() -> dict:
    text = resources.files("identkit.claims").joinpath("published.json").read_text(encoding="utf-8")
    return json.loads(text)


def claims() -> tuple[dict, ...]:
    """Every published claim: gate, regime, experts it covers, condition, verdict, rate, source."""
    return tuple(_published()["claims"])


def rates() -> tuple[dict, ...]:
    """Every published rate of a quantity other than the experts themselves."""
    return tuple(_published()["rates"])


def unchecked() -> tuple[dict, ...]:
    """Published claims that no check here speaks of, each with the reason."""
    return tuple(_published()["unchecked"])


def published_claim(
    expert: Expert, gate: str, regime: int | None, condition: str, level: str
) -> Published | None:
    """What the literature says of this expert under this gate, or None.

    A claim is matched only at the level its condition is read at: the product-level form of
    ``strong`` is identkit's, so nothing published speaks of it.
    """
    for claim in claims():
        if (
            claim["gate"] == gate
            and claim["regime"] == regime
            and claim["condition"] == condition
            and claim["level"] == level
            and expert.family in claim["experts"]
            and expert.shape in claim["shapes"]
        ):
            return Published(claim["verdict"], claim["rate"], claim["source"])
    return None


def published_rates(gate: str, regime: int | None, verdict: str | None) -> dict[str, str]:
    """Quantity -> published rate, up to logarithms, besides that of the experts themselves.

    ``verdict`` is the paper's classification of the expert: rates of Voronoi losses are claimed for
    identifiable experts only.
    """
    return {
        rate["quantity"]: rate["rate"]
        for rate in rates()
        if rate["gate"] == gate
        and rate["regime"] == regime
        and (rate["for"] == "every expert" or verdict == "yes")
    }
