"""Which rate theory predicts for each quantity: as published, and as derived from a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from identkit.claims import published_rates
from identkit.degeneracy.records import CellQuantity, SecondOrder
from identkit.rate import NONE, ROOT, SLOWER, SLOWER_THAN_ROOT, Rate, slowest
from identkit.rates.refits import within_box
from identkit.rates.setting import Setting
from identkit.results import ConditionResult
from identkit.vocabulary import Across, QuantityKind, Verdict

LOCAL = ("local", "split")
"""Starts in the cell of a true atom, near which the derived rates hold. Elsewhere there may be
exact refits: with the sigmoid gate, true atoms and one whose expert is 0, in either regime."""


def published(setting: Setting, condition: ConditionResult) -> dict[str, Rate]:
    """Quantity -> rate as printed for the setting's expert under its gate, from any start.

    The rate of experts is that of the table of claims; the theorems' other rates hold for all
    experts (regression) or for those the paper classifies as identifiable.
    """
    regime = setting.regime
    claim = None if condition.rate is None else condition.rate.published
    verdict = None if condition.published is None else condition.published.verdict
    rates = published_rates(setting.model.gate, regime, verdict)
    if claim is not None:
        rates["expert" if setting.shared else "minimiser-expert"] = claim
    if setting.k == setting.truth.atoms:  # claims are about over-specified fits
        rates = {name: rate for name, rate in rates.items() if name in ("regression", "exact")}
    return rates


def derived(
    setting: Setting,
    condition: ConditionResult,
    start: str,
    further: Mapping[str, Verdict] = MappingProxyType({}),
) -> dict[str, Rate]:
    """Quantity -> rate that follows from what is proved, for fits from this kind of start.

    ``further`` are the verdicts on the regime's further conditions, by name. Left out are
    quantities without a rate, and rates whose restrictions the setting does not meet: a start in
    the cell, a single true atom, the caveats of the regime (k < 2k* under softmax), a cell large
    enough for an exact family or for invisible moments.
    """
    # f_G* is in the fitted class, of finite dimension: n^-1/2 up to logarithms
    regression = {"regression": ROOT}
    if not setting.shared:
        # the global minimiser estimates f as any parametric function
        return regression if attained(setting, condition) else {}
    second = condition.second_order
    known = setting.truth.atoms
    caveats = setting.case.caveats_given(further)
    unmet = not all(c.holds(setting.situation) for c in caveats)
    if second is None or start not in LOCAL or second.verdict == Verdict.UNDECIDED or unmet:
        return regression
    if setting.k == known:
        alone = second.across_atoms == Across.INDEPENDENT or known == 1
        return (
            {**regression, "exact": ROOT} if second.verdict == Verdict.YES and alone else regression
        )
    rates = {**regression, **_cell(setting, condition, second)}
    if known > 1:
        rates = {name: rate for name, rate in rates.items() if not rate.one_atom}
    return rates


def _cell(setting: Setting, condition: ConditionResult, second: SecondOrder) -> dict[str, Rate]:
    """What the second-order analysis says of an over-specified cell of k − k* + 1 atoms."""
    rate = None if condition.rate is None else condition.rate.derived.at_every_cell
    if rate is None:
        return {}
    atoms = setting.k - setting.truth.atoms + 1
    if second.verdict == Verdict.YES:
        return {
            **dict.fromkeys(("expert", "gate"), rate),
            **dict.fromkeys(("exact", "voronoi"), replace(ROOT, one_atom=rate.one_atom)),
        }
    if rate == SLOWER:
        realised = None if second.witness is None else second.witness.realised
        if realised is None or realised.cell > atoms:
            return {}
        return {"expert": SLOWER, "voronoi": SLOWER_THAN_ROOT}
    families = [f for f in second.families if f.cell <= atoms]
    if rate != NONE or not families:
        return {}
    rates = {"expert": NONE, "voronoi": NONE}
    if second.across_atoms != Across.DEPENDENT:
        rates["aggregate"] = replace(ROOT, one_atom=second.across_atoms != Across.INDEPENDENT)
    known = {i.quantity: i.rate for i in second.identifiable if i.rate.polynomial}
    for quantity, found in known.items():
        if quantity.kind is QuantityKind.DIRECTION:
            rates[f"direction:{','.join(quantity.parameters)}"] = found
    moving = {name for family in second.families for name in family.moving}
    still = [name for name in setting.model.expert.parameters if name not in moving]
    alone = [CellQuantity(QuantityKind.PARAMETER, (name,)) for name in still]
    if still and all(quantity in known for quantity in alone):
        rates[f"identified:{','.join(still)}"] = slowest(known[quantity] for quantity in alone)
    return rates


def attained(setting: Setting, condition: ConditionResult) -> bool:
    """Whether f_G* is known to be in the fitted class.

    Where a true atom can be fitted by several, the truth with a copied atom is in it; settings make
    sure that it is in the box. Elsewhere an exact refit in the box has to be known.
    """
    if setting.shared or setting.k == setting.truth.atoms:
        return True
    return condition.premise is not None and bool(within_box(setting, condition.premise.refits))
