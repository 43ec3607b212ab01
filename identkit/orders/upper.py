"""Upper bounds of orders: no arc is slower. Each names the theorem that it is an instance of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import sympy as sp

from identkit.degeneracy.moments import SPREAD
from identkit.degeneracy.records import SecondOrder
from identkit.degeneracy.router_curves import weight_function
from identkit.derivatives import Derivatives
from identkit.expression import Step, symbol
from identkit.forms import may_jump
from identkit.gates import Regime, softmax
from identkit.orders.caveats import one_by_one, supposed
from identkit.orders.lower import KINKS, SYSTEM, Lower
from identkit.orders.records import Bound
from identkit.orders.spans import LIMITS, Spans
from identkit.rate import FOURTH, KINK
from identkit.vocabulary import WEAKEST_FIRST, Quantifier, Through, Verdict

AT_MOST = "orders-at-most-2m"
BESIDE = "orders-beside-a-location"
RANK = "orders-below-the-rank"
CIRCLE = "orders-of-rank-two"
GATED = "orders-of-flows-with-gates"
PAIRS = "orders-of-flows"
KNOWN, SEEN = "orders-known-variance", "orders-of-seen-gates"


@dataclass
class Upper:
    """Upper bounds for one expert under one regime; ``lower`` shares what it has found."""

    spans: Spans
    second: SecondOrder
    regime: Regime
    cell: int
    lower: Lower
    _gate_at: Quantifier | None = None

    def best(self, coordinate: str) -> Bound | None:
        """The smallest bound, the simplest of equals; None where none is proved."""
        bounds = [
            *self.second_order(coordinate, self.lower.moves_kinks(coordinate)),
            *self._below_rank(),
            *self._beside(coordinate),
            *self._circle(coordinate),
            *self._ridge(coordinate),
            *self._pair(coordinate),
            *self._at_most(coordinate),
            *self._mean(coordinate),
        ]
        return min(bounds, key=lambda b: b.order, default=None)

    def second_order(self, coordinate: str, moves_kinks: bool) -> Iterator[Bound]:
        """What second order shows: everything, or this coordinate beside an exact family."""
        caveats = self.regime_caveats("second-order", self.second.quantifier)
        rates = {str(i.quantity): i.rate.everywhere for i in self.second.identifiable}
        own = rates.get(coordinate)
        if own == KINK and moves_kinks:
            text = f"moving {coordinate} by t moves a kink, and T by t^3/2"
            yield Bound(Fraction(3, 2), "second-order", text, (KINKS,), caveats)
        elif self.second.verdict == Verdict.YES:
            text = "no second-order moment of a cell is invisible"
            yield Bound(Fraction(2), "second-order", text, (), caveats)
        elif own in (FOURTH, KINK):
            text = f"the second moment of {coordinate} is visible beside the exact family"
            yield Bound(Fraction(2), "second-order", text, (), caveats)

    def _below_rank(self) -> Iterator[Bound]:
        """Fewer atoms than needed for the only invisible moments, up to a factor."""
        found = self.second.witness
        if found is None or self.second.verdict != Verdict.NO or self.second.families:
            return
        if not self._affine:  # what the gate moves has moments of its own
            return
        if self.cell > found.rank or self.spans.atom.expression.has(Step):
            return
        expansion = self.regime.expansion
        free = expansion is None or expansion.gates
        if self.spans.only_vector_of_rank(free, found.rank):
            text = (
                f"all invisible moments have rank {found.rank}; centred deviations of "
                f"{self.cell} atoms have rank {self.cell - 1} at most"
            )
            caveats = self.regime_caveats("below-rank", found.quantifier)
            yield Bound(Fraction(2), "below-rank", text, (RANK,), caveats)

    def _beside(self, coordinate: str) -> Iterator[Bound]:
        """The coordinates other than an output bias, where no S ⪰ 0 can hide behind it."""
        if self.spans.through is not Through.DENSITY or coordinate == SPREAD:
            return
        if not (self._convex or self._gate_seen):
            return
        beside = "x" if self._convex else "∇π"
        own = [p for p in self.spans.location or () if p]
        if own and coordinate not in own and self._gradient and self.lower.beside:
            text = (
                f"beside {own[0]} no S ⪰ 0 has both S:∇²h and ∇hᵀS∇h in span{{1, {beside}, ∇h}}, "
                "so that mean and variance of y given x show the other second moments"
            )
            evidence = self.lower.beside
            caveats = self.regime_caveats("beside-location", evidence.quantifier)
            claims = (BESIDE,) if self._convex else (SEEN,)
            yield Bound(Fraction(2), "beside-location", text, claims, caveats, evidence=evidence)

    def _circle(self, coordinate: str) -> Iterator[Bound]:
        """One invisible M of rank two: ∇h on its plane runs along a circle, and harmonics part."""
        found, m = self.second.witness, self.cell
        if self.spans.through is not Through.DENSITY or coordinate == SPREAD or not self._convex:
            return
        if found is None or found.rank != 2 or self.spans.atom.expression.has(Step):
            return
        if self.second.verdict != Verdict.NO or self.second.families or not self._gradient:
            return
        # of three atoms the third harmonic could be a slope of another parameter
        if m < 4 and len(self.spans.atom.parameters) > 2:
            return
        if self.spans.only_vector_of_rank(False, 2):
            text = (
                f"all invisible moments are multiples of one of rank 2: on its plane |∇h| is free "
                f"of x, and the power sums of the deviations up to {m} show as harmonics of ∇h"
            )
            caveats = self.regime_caveats("rank-two", found.quantifier)
            yield Bound(Fraction(m), "rank-two", text, (CIRCLE, AT_MOST), caveats)

    def _ridge(self, coordinate: str) -> Iterator[Bound]:
        """Least squares, softmax: the flow of a ridge is no slower than while the gates stay."""
        m, flows = self.cell, self.lower.flows
        if not self._value:
            return
        for flow in flows.ridges:
            heat = flow.curvature is not None
            if (flow.curvature is not None and flow.curvature <= 0) or not flows.whole(flow):
                continue
            order = 2 * m if heat and coordinate == flow.offset else m
            kind = "a heat" if heat else "the Laplace"
            text = (
                f"h is a ridge that solves {kind} equation in location and scale: the system of "
                f"{m} atoms has no solution of higher order, and gate slopes do not add one"
            )
            caveats = self.regime_caveats("ridge-flow", None)
            yield Bound(Fraction(order), "ridge-flow", text, (GATED, SYSTEM), caveats)

    def _pair(self, coordinate: str) -> Iterator[Bound]:
        """The same for two parameters, where what gate slopes bring is proved to be apart."""
        m, flows = self.cell, self.lower.flows
        if not self._value or len(self.spans.atom.parameters) != 2:
            return
        for flow in flows.pairs:
            p, q = flow.first, flow.second
            if flow.rate is not None:
                levels = [[(p,) * n] for n in range(1, 2 * m + 1)]
                apart = flows.levels_apart(levels, Fraction(m))
                order = 2 * m if coordinate == p else m
            else:
                levels = [[(p,) * n, tuple(sorted((p,) * (n - 1) + (q,)))] for n in range(1, m + 1)]
                apart = flows.levels_apart(levels, Fraction(m, 2))
                order = m
            if apart is not None:
                text = (
                    f"the derivatives of h that ∂²h/∂{p}² leaves are independent, and x times them "
                    f"reaches no higher ones: the system of {m} atoms has no solution of higher "
                    "order"
                )
                claims = (PAIRS, GATED, SYSTEM)
                caveats = self.regime_caveats("pair-flow", apart)
                yield Bound(Fraction(order), "pair-flow", text, claims, caveats)

    @property
    def _convex(self) -> bool:
        """Weights exp: Σ w exp(β·x) pins Σ w|β|² by convexity; others are another theorem."""
        expansion = self.regime.expansion
        exponential = expansion is not None and expansion.rule.weight == sp.exp(symbol("s"))
        return exponential and self._affine

    @cached_property
    def _gate_seen(self) -> bool:
        """A router of one's own, all of whose second moments show by the cell's weight alone.

        Under the Gaussian likelihood Σ w e^Δπ is that of the true atom up to the distance of p, and
        then so is Σ w|Δγ|²: no invisible M has M_γγ ≠ 0, and 1, ∇π are independent.
        """
        routed, through = self.spans.routed, self.spans.through
        if routed is None or through is Through.VALUE or self.second.verdict == Verdict.UNDECIDED:
            return False
        weight, names = weight_function(routed), routed.gate[1:]
        seen = {y.label for y in self.second.visible}
        if weight.expression.has(Step) or not seen >= {*names}:
            return False
        alone = replace(self.spans, atom=weight, routed=None, scored=None)
        partial = Derivatives(weight, self.spans.deadline).partial
        try:
            functions = [weight.expression, *(partial((g,)) for g in names)]
            self._gate_at = alone.independence(functions)
        except LIMITS:
            self.spans.deadline.check()
            return False
        return self._gate_at is not None

    def of_seen_gate(self) -> Iterator[Bound]:
        """Of the parameters of a router, whatever the expert does."""
        if self._gate_seen:
            text = (
                "the weight of the cell at x is seen beside that of an exact atom, and shows all "
                "second moments of the gate, whatever the expert does"
            )
            where = WEAKEST_FIRST.index
            reach = max(filter(None, (self._gate_at, self.second.quantifier)), key=where)
            caveats = self.regime_caveats("seen-gate", reach)
            yield Bound(Fraction(2), "seen-gate", text, (SEEN,), caveats)

    @property
    def _affine(self) -> bool:
        """Scores β1ᵀx + β0 of all atoms: without a router of one's own, or levels of gates."""
        expansion = self.regime.expansion
        rule = None if expansion is None else expansion.rule
        return rule is not None and rule.router is None and not rule.structure

    @property
    def _value(self) -> bool:
        """f of a softmax, whose products of two weights part for almost every gates; no kinks."""
        expansion = self.regime.expansion
        return (
            self.spans.through is Through.VALUE
            and expansion is not None
            and expansion.rule == softmax.RULE
            and not self.spans.atom.expression.has(Step)
        )

    def _at_most(self, coordinate: str) -> Iterator[Bound]:
        """At each x the density is a mixture of N(h, ν): at most 2m for h, m for ν."""
        if self.spans.through is not Through.DENSITY or not self._gradient:
            return
        m = self.cell
        order = m if coordinate == SPREAD else 2 * m
        text = (
            f"at every x the cell is a mixture of {m} Gaussians around one: "
            f"|Δh|^{2 * m} + |Δν|^{m} ≤ C·|T_G − T_*|, and ∇h is independent"
        )
        caveats = self.regime_caveats("at-most-2m", None)
        yield Bound(Fraction(order), "at-most-2m", text, (AT_MOST, SYSTEM), caveats)

    def _mean(self, coordinate: str) -> Iterator[Bound]:
        """With a variance that is known or pinned, the variance of y at x shows Σ w|Δh|²."""
        if self.spans.through is not Through.MEAN or not self._gradient:
            return
        text = (
            "at every x the variance of the cell's mixture exceeds ν by the mean of |Δh|², "
            "whatever the weights do, and ∇h is independent"
        )
        yield Bound(
            Fraction(2),
            "known-variance",
            text,
            (KNOWN,),
            self.regime_caveats("known-variance", None),
        )

    @property
    def _gradient(self) -> bool:
        return not may_jump(self.spans.atom) and self.spans.gradient_independent

    def regime_caveats(self, kind: str, quantifier: Quantifier | None = None) -> tuple[str, ...]:
        """What a bound of this kind supposes."""
        alone = not one_by_one(self.spans.through, self.second.across_atoms, self.regime)
        kinked = self.spans.atom.expression.has(Step)
        return supposed(kind, quantifier, self.regime, alone=alone, kinked=kinked)
