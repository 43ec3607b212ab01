"""What a gauge of a gate does to the numbers of one atom's gate, and why no weight changes.

Weights W_i are divided by their sum over atoms, so that f and p stay whatever the experts if every
W_i is multiplied by the same function of x; and copies of all atoms whose W are multiplied by m_1,
m_2, … multiply numerator and denominator by Σ m_c. Both hold for every number of atoms as soon as
W(moved)/W is the same for two atoms with arbitrary gates: that is what is proved here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from identkit.architecture.measures import Setting
from identkit.architecture.records import FoundGauge
from identkit.expression import parse, symbol
from identkit.gates import Gauge, Situation
from identkit.layout import SLOPE
from identkit.vocabulary import GaugeKind


@dataclass(frozen=True)
class Move:
    """The action of a gauge on the numbers of a gate: images by name, free amounts, β1 = 0."""

    setting: Setting
    images: dict[str, Any]
    amounts: tuple[str, ...]
    flat: bool

    @classmethod
    def of(cls, setting: Setting, gauge: Gauge) -> Move | None:
        """None where the gauge does not say what it does, or its caveat is not about slopes."""
        caveat = gauge.caveat
        flat = caveat is not None
        if caveat is not None and (
            not caveat.holds(Situation(2, (False, False)))
            or caveat.holds(Situation(2, (True,) * 2))
        ):
            return None
        formula = dict(gauge.formula)
        if set(formula) != {b.name for b in gauge.moves}:
            return None
        images = {}
        for name, block in setting.numbers:
            if block in formula:
                ending = name.removeprefix(block)
                own = {block: name, **{t: t + ending for t in gauge.per_input}}
                renaming = {symbol(a): symbol(b) for a, b in own.items()}
                images[name] = parse(formula[block]).xreplace(renaming)
        numbers = {name for name, _ in setting.numbers}
        free = {str(s) for e in images.values() for s in e.free_symbols} - numbers
        return cls(setting, images, tuple(sorted(free)), flat)

    @classmethod
    def of_record(cls, setting: Setting, gauge: FoundGauge) -> Move:
        """That of a gauge that was found; of one under a condition β1 = 0."""
        images = {n: parse(text) for n, text in gauge.images}
        flat = gauge.kind is GaugeKind.GATE and gauge.where != ""
        return cls(setting, images, gauge.amounts, flat)

    def _gates(self) -> tuple[dict[str, Any], dict[str, Any]]:
        still = {n: sp.Integer(0) for n, b in self.setting.numbers if self.flat and b == SLOPE.name}
        first, other = self.setting.generic_gates
        return {**first, **still}, {**other, **still}

    def at(self, gate: Mapping[str, Any], amounts: Mapping[str, Any]) -> dict[str, Any]:
        """The gate of an atom, moved."""
        own = {symbol(n): v for n, v in {**gate, **amounts}.items()}
        return {**gate, **{n: e.xreplace(own) for n, e in self.images.items()}}

    def common_factor(self) -> bool:
        """Proved: W(moved)/W is the same for any two atoms; equal to 1 where f does not divide.

        And the atoms that a gate selects stay so.
        """
        first, other = self._gates()
        free = {t: symbol(t) for t in self.amounts}
        if not self._selects_alike(first, other, free):
            return False
        weight, own = self.setting.gate.weight, [self.setting.score(g) for g in (first, other)]
        moved = [self.setting.score(self.at(g, free)) for g in (first, other)]
        steps = {sp.expand(new - old) for new, old in zip(moved, own, strict=True)}
        if steps == {sp.Integer(0)}:
            moved = own
        elif len(steps) == 1:  # the same step of both scores, whatever it is made of
            own = [symbol("s_i"), symbol("s_j")]
            moved = [s + symbol("s") for s in own]
        if not self.setting.gate.divides:
            return self.setting.is_identity(weight(moved[0]) - weight(own[0]))
        return self.setting.is_identity(
            weight(moved[0]) * weight(own[1]) - weight(moved[1]) * weight(own[0])
        )

    def _selects_alike(
        self, first: Mapping[str, Any], other: Mapping[str, Any], free: Mapping[str, Any]
    ) -> bool:
        """Proved: what two atoms are compared by differs as before. A factor leaves their order."""
        gate, selection = self.setting.gate, self.setting.gate.selection
        if selection is None or selection.bias is None:
            return True
        name = selection.bias.name

        def ahead(one: Mapping[str, Any], two: Mapping[str, Any]) -> Any:
            """By how much an atom is ahead of another one."""
            sides = [gate.weight(self.setting.score(g)) + g[name] for g in (one, two)]
            return sides[0] - sides[1]

        moved = ahead(self.at(first, free), self.at(other, free))
        return self.setting.is_identity(moved - ahead(first, other))

    def factor_moves(self) -> bool:
        """Whether the common factor may depend on x, so that copies differ from equal ones."""
        slopes = {n for n, b in self.setting.numbers if b == SLOPE.name}
        return bool(slopes & set(self.images))
