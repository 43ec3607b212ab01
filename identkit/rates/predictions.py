"""Which rate theory predicts for each quantity: as published, and as derived from a check."""

from __future__ import annotations

import re

from identkit.claims import published_rates
from identkit.degeneracy.rate import NONE, PREMISE_FAILS, SLOWER
from identkit.experts import Expert
from identkit.results import ConditionResult

ROOT = "n^-1/2"
FOURTH = "n^-1/4"


def published(gate: str, regime: int | None, condition: ConditionResult) -> dict[str, str]:
    """Quantity -> rate as printed for the condition's expert under this gate.

    The rate of experts is that of the table of claims; the theorems' other rates hold for all
    experts (regression) or for those the paper classifies as identifiable.
    """
    claim = None if condition.rate is None else condition.rate.published
    verdict = None if condition.published is None else condition.published.verdict
    rates = published_rates(gate, regime, verdict)
    if claim is not None:
        rates["minimiser-expert" if regime == 2 else "expert"] = claim
    return rates


def derived(expert: Expert, regime: int | None, condition: ConditionResult) -> dict[str, str]:
    """Quantity -> rate that follows from what is proved; quantities without one are left out."""
    if regime == 2:
        return _regime_2(condition)
    # f_G* is in the fitted class, of finite dimension: n^-1/2 up to logarithms
    rates = {"regression": ROOT}
    second = condition.second_order
    rate = None if condition.rate is None else condition.rate.derived
    if second is None or rate is None or second.verdict == "undecided":
        return rates
    if second.verdict == "yes":
        within = rate.removeprefix(FOURTH)  # " for one true atom", or nothing
        for name in ("expert", "gate"):
            rates[name] = rate
        for name in ("exact", "voronoi"):
            rates[name] = ROOT + within
        return rates
    if rate == SLOWER:
        return {**rates, "expert": SLOWER, "voronoi": "slower than n^-1/2"}
    if rate != NONE:
        return rates
    rates |= {"expert": NONE, "voronoi": NONE}
    alone = "" if second.across_atoms == "independent" else " for one true atom"
    if second.across_atoms != "dependent":
        rates["aggregate"] = ROOT + alone
    known = {i.quantity: i.rate for i in second.identifiable if i.rate.startswith("n^-")}
    for text, found in known.items():
        turned = _DIRECTION.fullmatch(text)
        if turned:
            rates[f"direction:{turned[1].replace(', ', ',')}"] = found
    moving = {name for family in second.families for name in family.moving}
    still = [name for name in expert.parameters if name not in moving]
    if still and all(name in known for name in still):
        rates[f"identified:{','.join(still)}"] = _slowest([known[name] for name in still])
    return rates


def _regime_2(condition: ConditionResult) -> dict[str, str]:
    rate = None if condition.rate is None else condition.rate.derived
    if rate == ROOT:
        return dict.fromkeys(("minimiser", "minimiser-expert", "minimiser-regression"), ROOT)
    if rate == PREMISE_FAILS:
        # f_G* has an exact refit: the global minimiser estimates it as any parametric function
        return {"regression": ROOT}
    if rate is not None and rate.startswith("slower"):
        return {"minimiser-expert": rate}
    return {}


_DIRECTION = re.compile(r"\(([^()]+)\)/‖\(\1\)‖")


def _slowest(rates: list[str]) -> str:
    """The one with the smallest power; texts are n^-1/2, n^-1/3 or n^-1/4, perhaps restricted."""
    return max(rates, key=lambda r: int(r.split(" ")[0].rpartition("/")[2]))
