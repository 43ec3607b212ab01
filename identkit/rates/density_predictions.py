"""Which rate theory predicts for each error of a fitted density.

p is estimated at n^-1/2 (Hellinger), whatever the experts. Of a cell of m fitted atoms each
coordinate has an order r, found and proved by :func:`identkit.orders.deciding.orders_of`, and is
estimated at n^(-1/(2r)); atoms alone in their cell at n^-1/2. The loss with these powers then is at
n^-1/2. All of that is for generic parameters: where a measure beside the truth has exactly its
density, which :mod:`identkit.truths.alternatives` finds for the very numbers, no loss that tells
the two apart can fall, and nothing is predicted of parameters.
"""

from __future__ import annotations

import json
from fractions import Fraction
from functools import lru_cache

from identkit.architecture.measures import Setting as Architecture
from identkit.checking import SHARED, check
from identkit.deadline import Deadline
from identkit.domain import Domain
from identkit.experts import Expert
from identkit.gates import RegimeCode
from identkit.orders.answer import Orders
from identkit.orders.deciding import orders_of
from identkit.orders.records import DirectionOrder
from identkit.rate import NONE, ROOT, Rate
from identkit.rates.density_plan import exact_measure
from identkit.rates.density_setting import NEAR, DensitySetting
from identkit.results import CheckResult
from identkit.truths.alternatives import alternatives_of
from identkit.truths.record import SECONDS, Truth
from identkit.vocabulary import OrderStatus

VARIANCE = "variance"
VARIANCE_SYMBOL = "ν"
LARGEST_CELL = 6
"""Orders of larger cells are not asked for."""


def cells_of(setting: DensitySetting) -> dict[str, int]:
    """Half -> the fitted atoms of its largest cell, where every true atom has one at least."""
    pairs = zip(("shared", "routed"), setting.atoms, setting.truth.atoms, strict=True)
    return {half: fitted - true + 1 for half, fitted, true in pairs if true}


@lru_cache(maxsize=64)
def _checked(
    expert: Expert, gate: str, likelihood: str, regime: RegimeCode, low: float, high: float
) -> CheckResult:
    return check(expert, gate, likelihood=likelihood, regime=regime, domain=(repr(low), repr(high)))


@lru_cache(maxsize=64)
def _orders(
    expert: Expert, gate: str, likelihood: str, regime: RegimeCode, ends: tuple[float, float],
    cell: int,
) -> Orders:  # fmt: skip
    return orders_of(_checked(expert, gate, likelihood, regime, *ends), cell)


def orders_of_half(setting: DensitySetting, half: str) -> Orders | None:
    """The orders of an over-specified cell of a half; None where every cell has one atom."""
    cell = cells_of(setting)[half]
    if cell < 2 or cell > LARGEST_CELL or (setting.dense and half == "routed"):
        return None
    model, name = setting.model, setting.model.likelihood.name
    if half == "shared":
        assert model.shared is not None
        return _orders(model.shared.expert, SHARED, name, None, setting.domain, cell)
    gate = model.routed.gate.name
    return _orders(model.routed.expert, gate, name, setting.regime, setting.domain, cell)


def _named(found: Orders) -> dict[str, DirectionOrder]:
    own = {VARIANCE_SYMBOL: VARIANCE}
    return {own.get(d.direction, d.direction): d for d in found.directions}


def orders_in(setting: DensitySetting, half: str) -> dict[str, float]:
    """The powers of the loss for a half: the proved orders, and 2 where none is proved exactly.

    They are those of the largest cell there can be, in cells of any size: powers that are too high
    make a loss smaller, never one that the rate of p does not bound.
    """
    found = orders_of_half(setting, half)
    powers: dict[str, float] = {}
    for name, direction in () if found is None else _named(found).items():
        if direction.status is OrderStatus.EXACT and not direction.infinite:
            powers[name] = float(direction.lower.order)
    return powers


def attained(setting: DensitySetting) -> bool:
    """Whether p_G* is in the fitted class: copies of an atom with a slope do not share its weight.

    Of a dense regime with more atoms than are true that is not known (theory section 9).
    """
    return not (setting.dense and setting.atoms[1] > setting.truth.atoms[1])


def derived(setting: DensitySetting, start: str) -> dict[str, Rate]:
    """Quantity -> rate that follows from what is proved, for fits from this kind of start."""
    if not attained(setting):
        return {}
    rates = {"hellinger": ROOT}
    if start != NEAR or unmet(setting) or known_alternatives(setting):
        return rates
    rates["quotient"] = ROOT
    every = True
    for half, cell in cells_of(setting).items():
        if cell < 2 or setting.truth.atoms[half == "routed"] > 1:
            rates[f"exact:{half}"] = ROOT
        found = orders_of_half(setting, half)
        if cell < 2:
            continue
        if found is None:
            every = False
            continue
        slow = []
        for name, direction in _named(found).items():
            if direction.infinite:
                rates[f"over:{half}:{name}"] = NONE
            elif direction.status is OrderStatus.EXACT:
                order = Fraction(direction.lower.order)
                slow.append(order)
                rates[f"over:{half}:{name}"] = _power(order)
            else:
                every = False
        if half == "routed" and slow and all(order == 2 for order in slow):
            rates["over:routed:gate"] = _power(Fraction(2))
    if not every:
        del rates["quotient"]
    if setting.loss is not None and every and _counts_orders(setting):
        rates[f"printed:{setting.loss}"] = ROOT
    return rates


def _counts_orders(setting: DensitySetting) -> bool:
    """Whether the printed loss takes every direction to its own order, at least.

    D1 and D3 take over-specified cells to the power 2, which n^-1/2 needs no more than where all
    orders are 2; D2 has the powers of linear experts.
    """
    if setting.loss == "D2":
        return True
    for half, cell in cells_of(setting).items():
        found = orders_of_half(setting, half)
        if cell < 2 or found is None:
            continue
        finite = [d for d in _named(found).values() if not d.infinite]
        if any(Fraction(d.lower.order) > 2 for d in finite):
            return False
    return True


def _power(order: Fraction) -> Rate:
    """n^(-1/(2r))."""
    root = 2 * order
    if root.denominator == 1:
        return Rate.power(int(root))
    return Rate.of_orders(order, order, 2)


def published(setting: DensitySetting) -> dict[str, Rate]:
    """Quantity -> rate in print: the printed loss at (log n/n)^(1/2), the density too."""
    rates = {"hellinger": ROOT}
    if setting.loss is not None:
        rates[f"printed:{setting.loss}"] = ROOT
    return rates


def unmet(setting: DensitySetting) -> tuple[str, ...]:
    """The caveats of the regime's theorem that the truth does not meet."""
    situation = setting.situation
    return tuple(c.text for c in setting.case.caveats if not c.holds(situation))


def known_alternatives(setting: DensitySetting) -> tuple[str, ...]:
    """Gauges that lead from the truth to other measures of the same density, by name.

    Gauges of the gate that every measure has are left out: they are held, or divided out.
    """
    return _alternatives(json.dumps(setting.document(), sort_keys=True))


@lru_cache(maxsize=64)
def _alternatives(document: str) -> tuple[str, ...]:
    found = alternatives_of(exact(DensitySetting.from_document(json.loads(document))), points=0)
    names = [other.name for other, _ in found.found if not other.of_the_gate]
    return tuple(dict.fromkeys(names))


def exact(setting: DensitySetting) -> Truth:
    """The truth as exact numbers: its decimals, which are what data are drawn from."""
    model, truth = setting.model, setting.truth
    shared = None if model.shared is None else model.shared.expert
    architecture = Architecture(model.routed.expert, setting.gate, Deadline(SECONDS), shared)

    low, high = setting.domain
    return Truth(
        "truth",
        model.routed.expert,
        setting.gate,
        shared,
        exact_measure(architecture, truth),
        setting.atoms,
        Domain.of((repr(low), repr(high))),
        "a setting",
        setting.loss,
    )
