"""Lower bounds of orders: explicit arcs, and moments that second order does not see.

A bound r of a coordinate u says that some arc has |Δ_u| ~ t^e and T_G − T_* = O(t^(re)). An arc
of fewer atoms counts too: some of a larger cell's atoms then coincide.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.degeneracy.kinks import Kinks, kink_constraints
from identkit.degeneracy.moments import SPREAD, seen_atom
from identkit.degeneracy.records import SecondOrder
from identkit.experts import symbols
from identkit.expression import Step
from identkit.forms import affine_forms, may_jump
from identkit.orders.arcs import (
    location_arc,
    pair_arc,
    pair_flow_arc,
    pair_polygon_arc,
    polygon_arc,
    ridge_arc,
    shared_location_arc,
)
from identkit.orders.caveats import near
from identkit.orders.flows import Flows, PairFlow, RidgeFlow
from identkit.orders.measured import Measurement, atoms_at
from identkit.orders.records import Arc, Atoms, Bound
from identkit.orders.series import Expansion
from identkit.orders.spans import Spans
from identkit.sampling import Sampler
from identkit.vocabulary import Through, Verdict

SYSTEM = "polynomial-system-order"
KINKS = "kink-order"
RIDGE, SCALE = "orders-ridge-flow", "orders-scale-beside-a-bias"
POLYGON = "orders-harmonic-ridge"
MOMENTS = "orders-of-invisible-moments"
UNTOUCHED = "orders-untouched-gates"
PAIRS = "orders-of-flows"
_CLAIMS = {
    "shared-location": (SCALE,),
    "ridge-flow": (RIDGE, SYSTEM),
    "polygon": (POLYGON,),
    "pair-flow": (PAIRS, SYSTEM),
    "pair-polygon": (PAIRS,),
}
"""Kind of an arc -> the claims that say how slow it is."""
SLACK = 0.1
"""How far below its order the measured slope of an arc may stay."""


@dataclass
class Lower:
    """Lower bounds for one expert; ``second`` is the second-order analysis.

    ``measured``: an arc is compared with the density or f at its atoms, and has the slope found.
    """

    spans: Spans
    second: SecondOrder
    cell: int
    max_order: int
    measured: bool

    def __post_init__(self) -> None:
        self.atom: AtomFunction = self.spans.atom
        self.through = self.spans.through
        self.flows = Flows(self.spans)
        self.deadline = self.spans.deadline

    @cached_property
    def _drawn(self) -> tuple[Sampler, Sequence[Fraction]]:
        """A sampler and its first parameters."""
        o = self.spans.options
        seen, forms = seen_atom(self.atom, self.through), affine_forms(self.atom)
        sampler = Sampler(seen, o.domain, o.seed, forms, self.deadline)
        return sampler, sampler.parameter_draw()

    @cached_property
    def kinks(self) -> Kinks:
        """What the kinks of h say of directions."""
        return kink_constraints(self.atom, self._drawn[0], self.deadline)

    def best(self, coordinate: str) -> Bound:
        """The largest bound; of equals an explicit arc before moments."""
        bounds = [self._pair(coordinate)]
        bounds += [
            self._of(arc, coordinate, text)
            for arc, text in self.arcs
            if coordinate in dict(arc.powers)
        ]
        return max([*bounds, *self.moments(coordinate)], key=lambda b: b.order)

    def infinite(self, coordinate: str) -> Bound | None:
        """The bound where the coordinate moves along an exact family of this cell's size."""
        for family in self.second.families:
            if coordinate in family.moving and family.cell <= self.cell:
                text = (
                    f"an exact family ({family.kind}) moves {coordinate} with {family.cell} atoms "
                    "and changes nothing"
                )
                return Bound(Fraction(0), "family", text)
        return None

    # -- every expert -----------------------------------------------------------------------

    def _pair(self, coordinate: str) -> Bound:
        """Two atoms at ± t; where that moves a kink of h, T changes by t^(3/2)."""
        if self._kinked and may_jump(self.atom):
            return Bound(
                Fraction(1, 2), "jump-pair", "a jump that moves by t changes T by O(t^1/2)"
            )
        if coordinate != SPREAD and self.moves_kinks(coordinate):
            h = self.atom.symbol
            text = f"a pair at {coordinate} ± t changes {h} by t around its kinks, T by O(t^3/2)"
            return Bound(Fraction(3, 2), "kink-pair", text, (KINKS,))
        arc = None
        if not self._kinked:  # T has two derivatives, and the first cancels
            arc = self._compared(Arc("pair", 2, pair_arc(coordinate), ((coordinate, 1),), 2))
        text = f"a pair at {coordinate} ± t changes T by O(t²)"
        if self._kinked and coordinate != SPREAD:
            text = f"a pair that moves {coordinate} and no kink changes T by O(t²)"
        return Bound(Fraction(2), "pair", text, arc=arc)

    @cached_property
    def _kinked(self) -> bool:
        return self.atom.expression.has(Step)

    def moves_kinks(self, coordinate: str) -> bool:
        """Not excluded: every direction with this coordinate moves some kink."""
        return self._kinked and moved_with(self.kinks, self.atom.parameters, coordinate)

    # -- moments that are invisible -----------------------------------------------------------

    def moments(self, coordinate: str) -> Iterator[Bound]:
        """Invisible moments of rank R: order 3 for R + 1 atoms, 4 for R pairs y, −y.

        T has no term of order t² along atoms t·y_i + t²·m; pairs leave no odd powers of t.
        """
        found = self.second.witness
        named = () if found is None else [name for name, value in found.moments if value != "0"]
        if found is None or found.realised is None or self.second.verdict != Verdict.NO:
            return
        routed = self.spans.routed
        kinked = self._kinked or (routed is not None and routed.routed.has(Step))
        if kinked or f"M[{coordinate},{coordinate}]" not in named:
            return
        caveats = near(found.quantifier)
        pairs = found.realised.cell == 2 or not any(n == "m0" for n in named)
        for atoms, order in ((found.realised.cell, 3), (2 * found.rank, 4)):
            if self.cell >= atoms and order <= self.max_order and (order == 3 or pairs):
                text = (
                    f"moments of rank {found.rank} are invisible at second order; {atoms} atoms "
                    f"with them change T by O(t^{order}): {found.equation}"
                )
                if atoms == found.realised.cell and float(found.realised.order) < order - SLACK:
                    continue  # the series and the atoms disagree: nothing is claimed
                yield Bound(Fraction(order), "moments", text, (MOMENTS,), caveats)

    # -- explicit arcs ------------------------------------------------------------------------

    @cached_property
    def arcs(self) -> list[tuple[Arc, str]]:
        """Every arc that is proved, with what it is."""
        found = []
        for kind, atoms, limit, text in self._proposed():
            arc = self._proved(kind, atoms, min(limit, self.max_order))
            if arc is not None:
                found.append((arc, text))
        return found

    def _proposed(self) -> Iterator[tuple[str, tuple[Atoms, ...], int, str]]:
        m = self.cell
        location = self.spans.location if self.through is Through.DENSITY else None
        if location is not None:
            own = [p for p in location if p]
            text = (
                f"{m} atoms at the zeros of He_{m} along {', '.join(own)}, variances less by t²: "
                "∂²N/∂h² = 2∂N/∂ν"
            )
            velocity = {p: location[p] for p in own}
            yield "gauss-hermite", location_arc(m, velocity, location[""]), 2 * m, text
            yield from self._shared(own[0], location[""]) if m > 2 and len(own) == 1 else ()
        if self.through is Through.VALUE:
            yield from map(self._along_ridge, self.flows.ridges)
            yield from map(self._along_pair, self.flows.pairs)

    def _along_ridge(self, flow: RidgeFlow) -> tuple[str, tuple[Atoms, ...], int, str]:
        m, b, others, h = self.cell, flow.offset, flow.others, self.atom.symbol
        if flow.curvature is not None:
            text = (
                f"{m} atoms at the zeros of He_{m} along the location of z, where ∂²{h}/∂μ² = "
                f"2∂{h}/∂v: φ'' = −{flow.curvature}·z·φ'"
            )
            return "ridge-flow", ridge_arc(m, b, others, flow.curvature, 2 * m), 2 * m, text
        text = (
            f"{m} atoms at the corners of a regular polygon around location and scale of "
            f"z, where ∂²{h}/∂μ² + ∂²{h}/∂σ² = 0: (1 + z²)φ'' = −2zφ'"
        )
        return "polygon", polygon_arc(m, b, others, flow.slope, m), m, text

    def _along_pair(self, flow: PairFlow) -> tuple[str, tuple[Atoms, ...], int, str]:
        m, p, q, h = self.cell, flow.first, flow.second, self.atom.symbol
        if flow.ratio is None:
            text = (
                f"{m} atoms at the zeros of He_{m} along {p}, where ∂²{h}/∂{p}² = "
                f"{flow.rate}·∂{h}/∂{q}"
            )
            return "pair-flow", pair_flow_arc(m, p, q, flow.rate), 2 * m, text
        text = (
            f"{m} atoms at the corners of a regular polygon in {p} and {q}, where ∂²{h}/∂{p}² = "
            f"−{flow.ratio**2}·∂²{h}/∂{q}²"
        )
        return "pair-polygon", pair_polygon_arc(m, p, q, flow.ratio), m, text

    def _shared(
        self, location: str, speed: Any
    ) -> Iterator[tuple[str, tuple[Atoms, ...], int, str]]:
        """Three atoms, two at one location: where the square of a slope is a slope."""
        if self._kinked or self.beside:
            return
        for p in self.atom.parameters:
            spans = None if p == location else self.spans.square_and_bend(p, location)
            atoms = None if spans is None else shared_location_arc(location, speed, p, *spans)
            if atoms is not None:
                text = (
                    f"two of three atoms share {location} and differ in {p}; (∂h/∂{p})² is a "
                    "combination of first derivatives, which compensate it"
                )
                yield "shared-location", atoms, 8, text

    @cached_property
    def beside(self) -> SecondOrder | None:
        """What proves that the other coordinates have order 2 beside the location."""
        location = self.spans.location
        own = [p for p in location or () if p]
        if len(own) != 1 or self._kinked:
            return None
        return self.spans.beside_location(own[0])

    # -- proved and measured ------------------------------------------------------------------

    def _proved(self, kind: str, atoms: tuple[Atoms, ...], limit: int) -> Arc | None:
        """The arc with its order; None where it is no arc of real atoms of positive weight."""
        pairs = [atoms_at(group) for group in atoms]
        if any(found is None for found in pairs):
            return None
        expansion = Expansion(self.atom, self.through, limit, self.deadline)
        order, powers = expansion.order_of(atoms), expansion.powers(atoms)
        if order < 2:
            return None
        count = sum(len(found) for found in pairs if found is not None)
        return self._compared(Arc(kind, count, atoms, tuple(powers.items()), order))

    def _compared(self, arc: Arc) -> Arc | None:
        """The arc with what numbers say of it, if they are asked; None where they disagree."""
        if not self.measured:
            return arc
        options, eta = self.spans.options, self._drawn[1]
        found = Measurement(self.atom, self.through, eta, options.domain, options.seed)
        steps, slope = found.steps(arc.atoms)
        return self.agreed(arc, steps, slope)

    @staticmethod
    def agreed(arc: Arc, steps: tuple[tuple[str, str], ...], slope: str) -> Arc | None:
        """The arc with what was measured."""
        if slope and float(slope) < arc.order - SLACK:
            return None  # the series and the atoms disagree: nothing is claimed
        return replace(arc, steps=steps, slope=slope)

    def _of(self, arc: Arc, coordinate: str, text: str) -> Bound:
        power = dict(arc.powers)[coordinate]
        size = "t" if power == 1 else f"t^{power}"
        said = f"{text}: Δ{coordinate} ~ {size}, T changes by O(t^{arc.order})"
        claims = _CLAIMS.get(arc.kind, (SYSTEM,))
        if self.spans.routed is not None:
            claims = (*claims, UNTOUCHED)
        return Bound(Fraction(arc.order, power), arc.kind, said, claims, arc=arc)


def moved_with(kinks: Kinks, names: Sequence[str], coordinate: str) -> bool:
    """Not excluded: every direction in these names with the coordinate moves some kink."""
    rows = [row for kink in kinks.constraints for row in kink.rows]
    if not kinks.complete:
        return True
    if not rows:
        return False  # kinks that stand still
    rng = random.Random(0)
    at = {s: sp.Rational(rng.randrange(1, 64), 16) for s in symbols(tuple(names))}
    matrix: Any = sp.Matrix([[sp.sympify(e).xreplace(at) for e in row] for row in rows])
    unit = sp.Matrix([[sp.Integer(p == coordinate) for p in names]])
    if not all(entry.is_Rational for entry in matrix):
        return True
    return matrix.col_join(unit).rank() == matrix.rank()
