"""Published claims as data, one file for each paper (``published/``), and the look-up of an expert.

Classifications and rates are up to logarithms and of over-specified experts, under least squares
where no ``likelihood`` is named; regime null means that the gate has only one. Every entry names
the file that checks it; ``unchecked`` lists those that identkit does not check, and why.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from identkit.conditions import Condition
from identkit.experts import Expert
from identkit.gates import Gate, RegimeCode
from identkit.likelihoods import from_document
from identkit.rate import Rate
from identkit.results import Published
from identkit.vocabulary import Verdict


@cache
def _published(kind: str) -> tuple[dict, ...]:
    folder = resources.files("identkit.claims").joinpath("published")
    papers = sorted(folder.iterdir(), key=lambda paper: paper.name)
    read = (json.loads(paper.read_text(encoding="utf-8")) for paper in papers)
    return tuple(entry for paper in read for entry in paper[kind])


def claims() -> tuple[dict, ...]:
    """Every published claim: gate, regime, experts it covers, condition, verdict, rate, source."""
    return _published("claims")


def rates() -> tuple[dict, ...]:
    """Every published rate of a quantity other than the experts themselves."""
    return _published("rates")


def unchecked() -> tuple[dict, ...]:
    """Published claims that no check here speaks of, each with the reason."""
    return _published("unchecked")


def published_claim(
    expert: Expert, gate: Gate, regime: RegimeCode, condition: Condition
) -> Published | None:
    """What the literature says of this expert under this gate and its likelihood, or None.

    A claim is matched only at the level its condition is read at: the product-level form of
    ``strong`` is identkit's, so nothing published speaks of it.
    """
    for claim in claims():
        if (
            claim["gate"] == gate.name
            and from_document(claim.get("likelihood")).name == gate.likelihood
            and claim["regime"] == regime
            and claim["condition"] == condition.name
            and claim["level"] == condition.level
            and expert.family in claim["experts"]
            and expert.shape in claim["shapes"]
        ):
            return Published(Verdict(claim["verdict"]), Rate.parse(claim["rate"]), claim["source"])
    return None


def published_rates(gate: Gate, regime: RegimeCode, verdict: Verdict | None) -> dict[str, Rate]:
    """Quantity -> published rate, up to logarithms, besides that of the experts themselves.

    ``verdict`` is the paper's classification of the expert: rates of Voronoi losses are claimed for
    identifiable experts only.
    """
    return {
        rate["quantity"]: Rate.parse(rate["rate"])
        for rate in rates()
        if rate["gate"] == gate.name
        and from_document(rate.get("likelihood")).name == gate.likelihood
        and rate["regime"] == regime
        and (rate["for"] == "every expert" or verdict == Verdict.YES)
    }
