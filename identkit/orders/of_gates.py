"""Orders of the parameters γ of a router, where a gate has one of its own.

- *At least.* Two atoms at γ ± t; invisible moments; and the flows that a router proposes, with the
  m atoms at the zeros of He_m: Σ w e^π along b + s·t, A − t²/2 of a quadratic score is that of one
  atom up to t^2m (theory section 9). Each is expanded and measured like those of an expert.
- *At most.* Second order, where it shows everything; and under the Gaussian likelihood, where the
  score is a polynomial of degree 2 in x that determines γ, 2m for γ, and m for what of γ the terms
  of degree 2 determine alone (:data:`SCORE`).

Nothing else is known from above: then the order has no upper end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.degeneracy.kinks import Kinks, kink_constraints
from identkit.degeneracy.router_curves import weight_function
from identkit.experts import symbols
from identkit.expression import Step
from identkit.forms import affine_forms
from identkit.orders.arcs import S, T, at_gauss_points, pair_arc
from identkit.orders.lower import KINKS, Lower, moved_with
from identkit.orders.measured import Measurement, atoms_at
from identkit.orders.records import Arc, Atoms, Bound, DirectionOrder
from identkit.orders.series import Expansion
from identkit.orders.upper import Upper
from identkit.sampling import Sampler
from identkit.vocabulary import Through

SCORE, HEAT = "orders-of-quadratic-scores", "quadratic-gate-heat"


@dataclass
class OfGate:
    """Bounds for the parameters of the router of ``atom``, W + h; the others are those of h."""

    atom: AtomFunction
    lower: Lower
    upper: Upper

    def __post_init__(self) -> None:
        self.spans, self.cell = self.lower.spans, self.lower.cell
        self.names = self.atom.gate[1:]
        self.weight = weight_function(self.atom)

    def directions(self) -> list[DirectionOrder]:
        """Every coordinate of γ with its best bounds."""
        found = []
        for u in self.names:
            family = self.lower.infinite(u)
            if family is not None:
                found.append(DirectionOrder(u, self.cell, True, family, None))
                continue
            bounds = [self._pair(u), *self._arcs(u), *self.lower.moments(u)]
            above = [
                *self.upper.second_order(u, self._moves_kinks(u)),
                *self.upper.of_seen_gate(),
                *self._quadratic(u),
            ]
            best = max(bounds, key=lambda b: b.order)
            least = min(above, key=lambda b: b.order, default=None)
            found.append(DirectionOrder(u, self.cell, False, best, least))
        return found

    # -- at least -----------------------------------------------------------------------------

    @cached_property
    def _drawn(self) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
        """Parameters of two atoms, which share what all atoms do."""
        o = self.spans.options
        forms = affine_forms(self.atom)
        sampler = Sampler(self.atom, o.domain, o.seed, forms, self.spans.deadline)
        one, other = tuple(sampler.parameter_draw()), tuple(sampler.parameter_draw())
        start, end = len(self.atom.gate), len(self.atom.gate) + len(self.atom.shared)
        return one, (*other[:start], *one[start:end], *other[end:])

    @cached_property
    def kinks(self) -> Kinks:
        """What the kinks of W say of directions."""
        o, deadline = self.spans.options, self.spans.deadline
        sampler = Sampler(self.weight, o.domain, o.seed, affine_forms(self.weight), deadline)
        return kink_constraints(self.weight, sampler, deadline)

    def _moves_kinks(self, u: str) -> bool:
        kinked = self.weight.expression.has(Step)
        return kinked and moved_with(self.kinks, self.weight.parameters, u)

    def _pair(self, u: str) -> Bound:
        """Two atoms of half the weight at u ± t."""
        if not self.kinks.continuous:
            text = "a jump of the weight that moves by t changes T by O(t^1/2)"
            return Bound(Fraction(1, 2), "jump-pair", text)
        if self._moves_kinks(u):
            text = f"a pair at {u} ± t changes W by t around its kinks, T by O(t^3/2)"
            return Bound(Fraction(3, 2), "kink-pair", text, (KINKS,))
        arc = None
        if not self.weight.expression.has(Step):
            arc = self._compared(Arc("pair", 2, pair_arc(u), ((u, 1),), 2))
        return Bound(Fraction(2), "pair", f"a pair at {u} ± t changes T by O(t²)", arc=arc)

    def _arcs(self, u: str) -> Iterator[Bound]:
        """Along the flows that the router proposes."""
        for arc in self._flows:
            power = dict(arc.powers).get(u)
            if power is not None:
                size = "t" if power == 1 else f"t^{power}"
                moved = ", ".join(name for name, e in arc.powers if e == 1)
                text = (
                    f"{arc.cell} atoms at the zeros of He_{arc.cell} along {moved} of the gate, "
                    f"whose weights add up to that of one: Δ{u} ~ {size}, T changes by "
                    f"O(t^{arc.order}) whatever the expert"
                )
                yield Bound(Fraction(arc.order, power), arc.kind, text, (HEAT,), arc=arc)

    @cached_property
    def _flows(self) -> list[Arc]:
        router = self._router
        if router is None or router.flows is None:
            return []
        limit, found = min(2 * self.cell, self.lower.max_order), []
        # deviations are series in t up to the power that is asked for
        for moved in router.flows(self.atom.inputs, S, T, limit):
            atoms = at_gauss_points(self.cell, {n: sp.expand(d) for n, d in moved.items()})
            arc = self._proved(atoms, limit)
            if arc is not None:
                found.append(arc)
        return found

    @property
    def _router(self) -> Any:
        expansion = self.upper.regime.expansion
        return None if expansion is None else expansion.rule.router

    def _proved(self, atoms: tuple[Atoms, ...], limit: int) -> Arc | None:
        """The arc with its order, as for experts."""
        pairs = [atoms_at(group) for group in atoms]
        if any(found is None for found in pairs):
            return None
        expansion = Expansion(self.atom, self.spans.through, limit, self.spans.deadline)
        order, powers = expansion.order_of(atoms), expansion.powers(atoms)
        if order < 2:
            return None
        return self._compared(Arc("gate-flow", self.cell, atoms, tuple(powers.items()), order))

    def _compared(self, arc: Arc) -> Arc | None:
        """The arc with the slope of ‖T_G(t) − T_*‖ in a mixture of two; None if they disagree."""
        if not self.lower.measured:
            return arc
        one, other = self._drawn
        o = self.spans.options
        found = Measurement(self.atom, self.spans.through, one, o.domain, o.seed, other)
        return self.lower.agreed(arc, *found.steps(arc.atoms))

    # -- at most ------------------------------------------------------------------------------

    def _quadratic(self, u: str) -> Iterator[Bound]:
        """Gaussian likelihood: Σ w e^Δπ is 1 up to the distance of p, a system of r(m) = 2m."""
        if self.spans.through is Through.VALUE or not self._determined:
            return
        m, alone = self.cell, u in self._of_degree_two
        text = (
            f"the weight of the cell at x is seen beside that of an exact atom, and the score is a "
            f"polynomial of degree 2: at most {2 * m} for its slope, {m} for what is quadratic"
        )
        caveats = self.upper.regime_caveats("quadratic-score")
        order = Fraction(m if alone else 2 * m)
        yield Bound(order, "quadratic-score", text, (SCORE, HEAT), caveats)

    @cached_property
    def _coefficients(self) -> tuple[list[Any], list[Any]] | None:
        """Those of degree 1 and 2 in x of π, in γ; None for another function of x."""
        if self._router is None:
            return None
        inputs = symbols(self.atom.inputs)
        score = sp.expand(self._router.score(self.atom.inputs))
        if not score.is_polynomial(*inputs):
            return None
        terms = sp.Poly(score, *inputs).terms()
        if any(sum(powers) > 2 for powers, _ in terms):
            return None
        by_degree = ([c for powers, c in terms if sum(powers) == n] for n in (1, 2))
        first, second = by_degree
        return first, second

    def _rank(self, rows: list[Any]) -> int:
        """Of the Jacobian in γ at one point: no more than for almost every γ."""
        gamma = symbols(self.names)
        values = {s: sp.Rational(3 + 2 * i, 7 + i) for i, s in enumerate(gamma)}
        values |= {s: sp.Rational(5, 4) for s in symbols(self.atom.shared)}
        matrix = [[sp.diff(c, g).xreplace(values) for g in gamma] for c in rows]
        return sp.Matrix(matrix).rank() if matrix else 0

    @cached_property
    def _determined(self) -> bool:
        """Whether the coefficients determine γ near almost every γ."""
        found = self._coefficients
        return found is not None and self._rank([*found[0], *found[1]]) == len(self.names)

    @cached_property
    def _of_degree_two(self) -> set[str]:
        """The names of γ that are functions of the coefficients of degree 2."""
        found = self._coefficients
        second = [] if found is None else found[1]
        used = {s for c in second for s in c.free_symbols}
        names = [n for n in self.names if symbols((n,))[0] in used]
        # as many of them as the rank of these coefficients, which depend on nothing else of γ
        return set(names) if self._rank(second) == len(names) else set()
