"""Published claims as data, one file for each paper (``published/``), and the look-up of an expert.

Classifications and rates are up to logarithms and of over-specified experts, under least squares
where no ``likelihood`` is named; regime null means that the gate has only one. ``experts`` are
names or families of built-in experts, ``cells`` is the number of fitted atoms in the cells that a
rate is stated for, if not for all.
``statements`` are of a gate, or of one model beside another (:mod:`identkit.stated`); ``read`` says
what of the paper was read. Every entry names the file that checks it; ``unchecked`` lists those
that identkit does not check, and why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from identkit.conditions import Condition
from identkit.experts import Expert
from identkit.gates import Gate, RegimeCode
from identkit.likelihoods import from_document
from identkit.rate import Rate
from identkit.results import Published
from identkit.vocabulary import Verdict


@cache
def papers() -> Mapping[str, dict]:
    """What each paper states, by its number at arXiv: ``claims``, ``rates`` and ``unchecked``.

    Also ``statements`` and ``read``, where there are any.
    """
    folder = resources.files("identkit.claims").joinpath("published")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    read = {f.name.removesuffix(".json"): json.loads(f.read_text(encoding="utf-8")) for f in files}
    return MappingProxyType(read)


def _published(kind: str) -> tuple[dict, ...]:
    return tuple(entry for paper in papers().values() for entry in paper.get(kind, ()))


def claims() -> tuple[dict, ...]:
    """Every published claim: gate, regime, experts it covers, condition, verdict, rate, source."""
    return _published("claims")


def rates() -> tuple[dict, ...]:
    """Every published rate of a quantity other than the experts themselves."""
    return _published("rates")


def statements() -> tuple[dict, ...]:
    """Every published statement of a gate, or of one model beside another."""
    return _published("statements")


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
            and covers(claim, expert)
        ):
            return as_published(claim)
    return None


def covers(claim: dict, expert: Expert) -> bool:
    """Whether the claim speaks of this expert, by its name or by its family."""
    named = expert.name in claim["experts"] or expert.family in claim["experts"]
    return named and expert.shape in claim["shapes"]


def as_published(claim: dict) -> Published:
    """The claim as results hold it."""
    cells = claim.get("cells")
    limit = "" if cells is None else f", for {of_cells(cells)}"
    rate = Rate.parse(claim["rate"])
    return Published(Verdict(claim["verdict"]), rate, f"{claim['source']}{limit}", cells)


def of_cells(atoms: int) -> str:
    """Of which cells a claim is stated."""
    return f"cells of {atoms} fitted atoms"


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
