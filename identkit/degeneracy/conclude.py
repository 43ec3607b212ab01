"""From the conditions' verdicts to what they mean: second order, rate, premise, exceptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy as sp

from identkit.atoms import expert_function, gate_parameters, subject
from identkit.causes import CAUSES, cause_of
from identkit.deadline import Deadline
from identkit.degeneracy.analysis import Analysis
from identkit.degeneracy.families import Flow, Lift, exact_curves
from identkit.degeneracy.premise import regime_2_premise
from identkit.degeneracy.rate import caveats_of, derived_rate, near_the_truth
from identkit.degeneracy.records import Exceptional, Premise, SecondOrder
from identkit.degeneracy.router_curves import Curves, curves_of
from identkit.degeneracy.symmetry import exceptional_sets
from identkit.degeneracy.undecided import cut_short, unknown
from identkit.errors import OutOfTime
from identkit.experts import Expert, symbols
from identkit.forms import affine_forms
from identkit.gates import Expansion, Gate, RegimeCode
from identkit.normal_form import NeedSign, Rebase
from identkit.orders.finding import at_smallest_cell, spans_of
from identkit.orders.records import CellOrders
from identkit.questions import is_first_order, of_another_model
from identkit.results import ConditionResult, Options, Published

NOT_SEARCHED = Exceptional("not searched within the limits", "", "not-searched")


def exchanged(expert: Expert, gate: Gate) -> tuple[str, ...]:
    """The parameters that (β0, β1) can be exchanged with, in this order; none in general.

    σ(β1ᵀx + β0)·σ(aᵀx + b) is symmetric in (β0, β1) and (b, a), for every parameter: the expert is
    the gate's own function of a free affine form.
    """
    inputs, atom = symbols(expert.inputs), expert_function(expert)
    if gate.divides:
        return ()
    for form in (sign * f for f in affine_forms(atom) for sign in (1, -1)):
        offset = form.subs(dict.fromkeys(inputs, 0))
        terms = [offset, *(sp.diff(form, x) for x in inputs)]
        free = all(t.is_Symbol for t in terms) and len(set(terms)) == len(expert.parameters)
        if free and all(h in (0, gate.weight(form)) for h in expert.functions):
            return tuple(str(t) for t in terms)
    return ()


def gate_exchange(expert: Expert, gate: Gate) -> Exceptional | None:
    """That gate and expert can be exchanged, where they can."""
    terms = exchanged(expert, gate)
    if not terms:
        return None
    names, own = ", ".join(terms), ", ".join(gate_parameters(expert.dim))
    return Exceptional(
        f"({own}) exchanged with ({names}), at every parameter",
        f"F(x; ({own}), ({names})) = F(x; ({names}), ({own}))",
        "symmetry of one weighted atom",
    )


@dataclass
class Conclusions:
    """What holds for an expert under a gate, whatever condition is asked for; each found once.

    ``found`` is told of each piece once it is there, as :meth:`take` takes it.
    """

    expert: Expert
    gate: Gate
    options: Options
    deadline: Deadline
    found: Callable[[str, Any], None] = lambda name, piece: None

    def __post_init__(self) -> None:
        self.atom = expert_function(self.expert)
        self._second: dict[RegimeCode, SecondOrder | None] = {}
        self._orders: dict[RegimeCode, CellOrders] = {}

    def complete(
        self,
        result: ConditionResult,
        claim: Published | None,
        asked: Mapping[str, ConditionResult],
    ) -> ConditionResult:
        """The result with rate, premise and exceptions; ``claim`` is the published rate's.

        ``asked`` are the results on the conditions of the same regime, by name.
        """
        regime = self.gate.regime(result.regime)
        if of_another_model(regime, result.condition):
            return replace(result, exceptional=self.exceptional)
        second = self.second_order(result.regime)
        refits = "" if regime is None else regime.refits
        # orders may take long: whatever else there is to find comes first
        searched, exceptional = self.premise if refits else None, self.exceptional
        premise = searched if refits == "premise" else None
        orders = self.orders(result.regime)
        rate, provided = None, ()
        if regime is not None:
            rate = derived_rate(claim, second, premise, asked, regime, self.atom, orders)
            provided = caveats_of(rate, second, regime, asked, orders)
        if rate is not None and searched is not None and refits == "elsewhere":
            rate = near_the_truth(rate, searched)
        return replace(
            result,
            second_order=second,
            rate=rate,
            premise=premise,
            exceptional=exceptional,
            first_order=is_first_order(regime, result, asked),
            caveats=provided,
            orders=orders.directions,
        )

    def second_order(self, number: RegimeCode) -> SecondOrder | None:
        """The analysis for this regime; None where the expansion stops at first order."""
        if number not in self._second:
            self._second[number] = self._decided(number)
            self.found("second_order", (number, self._second[number]))
        return self._second[number]

    def _decided(self, number: RegimeCode) -> SecondOrder | None:
        regime = self.gate.regime(number)
        if regime is None:
            return None
        if regime.expansion is None:
            return unknown(self.gate.name, regime.code)
        if regime.expansion.order < 2:
            return None
        return self._analyse(number, regime.expansion)

    def _analyse(self, number: RegimeCode, expansion: Expansion) -> SecondOrder:
        atom, name, options = subject(self.expert, self.gate), self.gate.name, self.options
        try:
            return Analysis(
                atom, name, number, expansion, options, self.deadline, self.all_curves
            ).run()
        except (OutOfTime, Rebase, NeedSign) as error:
            return self._open(number, error)

    def _open(self, number: RegimeCode, limit: Exception) -> SecondOrder:
        return cut_short(self.gate.name, number, cause_of(limit))

    def orders(self, number: RegimeCode) -> CellOrders:
        """How slow each direction is in the smallest cell of which second order says something."""
        if number not in self._orders:
            self._orders[number] = self._ordered(number)
            self.found("orders", (number, self._orders[number]))
        return self._orders[number]

    def _ordered(self, number: RegimeCode) -> CellOrders:
        second, regime = self.second_order(number), self.gate.regime(number)
        if second is None or regime is None or not self.gate.has_orders:
            return CellOrders()
        spans = spans_of(self.expert, self.gate, self.options, self.deadline)
        return at_smallest_cell(spans, regime, second)

    @cached_property
    def curves(self) -> tuple[list[Lift], list[Flow]]:
        """The curves along which h stays in a plane, which all that follows starts from."""
        return exact_curves(self.atom, self.deadline)

    @cached_property
    def all_curves(self) -> Curves:
        """These and those of a router's weight, over all parameters of an atom."""
        return curves_of(subject(self.expert, self.gate), self.curves, self.deadline)

    def preset(self, number: RegimeCode, analysis: SecondOrder | None) -> None:
        """Take this analysis for the regime instead of making one."""
        self._second[number] = analysis

    def take(self, name: str, piece: Any) -> None:
        """Take a piece that was found elsewhere instead of looking for it."""
        if name == "second_order":
            self.preset(*piece)
        elif name == "orders":
            self._orders.update([piece])
        else:
            setattr(self, name, piece)

    def cut_short(self, limit: OutOfTime) -> None:
        """Leave open what has not been found."""
        for regime in self.gate.regimes:
            if regime.order == 2 and regime.code not in self._second:
                self.preset(regime.code, self._open(regime.code, limit))
            self._orders.setdefault(regime.code, CellOrders((), CAUSES[limit.cause]))
        self.__dict__.setdefault("premise", Premise.cut_short(limit.cause))
        self.__dict__.setdefault("exceptional", (NOT_SEARCHED,))

    @cached_property
    def premise(self) -> Premise:
        """Exact refits of f_G* with more atoms: whether the premise of a dense regime holds."""
        try:
            lifts, domain = self.curves[0], self.options.domain
            premise = regime_2_premise(self.atom, lifts, domain, self.deadline)
        except OutOfTime as limit:
            premise = Premise.cut_short(limit.cause)
        self.found("premise", premise)
        return premise

    @cached_property
    def exceptional(self) -> tuple[Exceptional, ...]:
        """Measure-zero sets where atoms lose independence."""
        try:
            sets = exceptional_sets(self.atom, self.curves[0], self.deadline)
            exchange = gate_exchange(self.expert, self.gate)
            sets = sets if exchange is None else (*sets, exchange)
        except OutOfTime:
            sets = (NOT_SEARCHED,)
        self.found("exceptional", sets)
        return sets
