"""Orders (theory section 10): each direction's lower bound by an arc, its upper bound by a theorem.

*At least r*: an arc (:mod:`~identkit.certificates.kernel.arcs`), two atoms at ± t, or invisible
second moments of rank R: some R + 1 atoms have order 3 then, some R pairs ± order 4.

*At most r*: 2m and m for ν under the Gaussian likelihood, if ∇h is independent, by a determinant;
2 beside an output bias, if no S ⪰ 0 hides there, by null vectors and facial reduction; and, under
least squares, those of ridges that solve a heat or the Laplace equation in location and scale.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property

from identkit.balls import ball, precision
from identkit.certificates.jets import Differentiator
from identkit.certificates.kernel.arcs import Curve
from identkit.certificates.kernel.field import Element, Unshown
from identkit.certificates.kernel.points import (
    FIRST_BITS,
    Regularity,
    draw,
    draws,
    is_nonsingular,
)
from identkit.certificates.kernel.second_order import Analysis, Vector
from identkit.conditions import BasisFunction
from identkit.degeneracy.moments import SPREAD, beside_space
from identkit.degeneracy.records import SecondOrder
from identkit.errors import CertificateError
from identkit.expression import Step, symbol
from identkit.gates import Expansion, input_free, softmax
from identkit.orders.records import Arc, Bound, DirectionOrder
from identkit.vocabulary import Quantifier, Through, Verdict


class Orders:
    """Bounds of orders for cells of one size; ``second`` is what is shown of second order."""

    def __init__(
        self, analysis: Analysis, expansion: Expansion, second: SecondOrder, where: str
    ) -> None:
        self.analysis, self.expansion, self.second, self.where = analysis, expansion, second, where
        self.atom, self.through = analysis.atom, analysis.through
        free = (SPREAD,) if self.through is Through.DENSITY else ()
        self.coordinates = (*self.atom.parameters, *free)

    def fail(self, field: str, reason: str) -> CertificateError:
        return CertificateError(f"{self.where}.{field}: {reason}.")

    def check(self, found: Sequence[DirectionOrder]) -> None:
        """Raises CertificateError for what is wrong, and Unshown for what is not shown."""
        if tuple(d.direction for d in found) != self.coordinates:
            raise self.fail("directions", "are not the coordinates of an atom in their order")
        if self.atom.expression.has(Step):
            raise Unshown("orders of an expert with kinks")
        shown: dict[Arc, dict[str, Fraction]] = {}
        for arc in dict.fromkeys(d.lower.arc for d in found):
            if arc is not None:
                checked = Curve(self.analysis, self.coordinates, arc, found[0].cell, self.where)
                shown[arc] = checked.orders()
        for d in found:
            self._lower(d, {} if d.lower.arc is None else shown[d.lower.arc])
            if d.upper is not None:
                self._upper(d, d.upper)

    # -- at least -------------------------------------------------------------------------------

    def _lower(self, found: DirectionOrder, by_arc: dict[str, Fraction]) -> None:
        bound, name = found.lower, found.direction
        if (bound.kind == "arc") != (bound.arc is not None):
            raise self.fail(name, f"a bound of kind {bound.kind} is not one by an arc")
        if bound.arc is not None:
            if by_arc.get(name) != bound.order:
                raise self.fail(name, f"the arc does not show that its order is {bound.order}")
        elif bound.kind == "pair":
            # h has two derivatives, and at ± t the first cancels
            if bound.order != 2:
                raise self.fail(name, "a pair has order 2")
        elif bound.kind == "moments":
            self._moments(found)
        else:
            raise Unshown(f"a lower bound of kind {bound.kind[:20]}")

    def _moments(self, found: DirectionOrder) -> None:
        witness = self.second.witness
        if witness is None:
            raise self.fail(found.direction, "no invisible moments are in the file")
        if self.analysis.gates:
            raise Unshown("orders from moments in which the gate takes part")
        rank, size = self.analysis.moments_of(witness, found.direction)
        if not self.analysis.field.is_nonzero(size.num):
            raise Unshown(f"that the moments move {found.direction}")
        needed = {3: rank + 1, 4: 2 * rank}.get(int(found.lower.order))
        if found.lower.order.denominator != 1 or needed is None or found.cell < needed:
            raise self.fail(found.direction, f"moments of rank {rank} do not show its order")

    # -- at most --------------------------------------------------------------------------------

    def _upper(self, found: DirectionOrder, bound: Bound) -> None:
        name = found.direction
        if bound.arc is not None or bound.order < found.lower.order:
            raise self.fail(name, "an upper bound lies below the lower one")
        if bound.kind == "at-most-2m":
            expected = found.cell if name == SPREAD else 2 * found.cell
            if self.through is not Through.DENSITY or bound.order != expected:
                raise self.fail(name, "no mixture of Gaussians has this upper bound")
            self._gradient()
        elif bound.kind == "beside-location":
            if self.through is not Through.DENSITY or bound.order != 2 or name == SPREAD:
                raise self.fail(name, "no output bias gives this upper bound")
            self._beside(name, bound)
        elif bound.kind == "ridge-flow":
            self._ridge(name, found.cell, bound)
        else:
            raise Unshown(f"an upper bound of kind {bound.kind[:20]}")

    def _ridge(self, name: str, cell: int, bound: Bound) -> None:
        """A ridge that solves a heat equation: 2m for its location; the Laplace equation: m."""
        if self.expansion.rule != softmax.RULE or self.through is not Through.VALUE:
            raise self.fail(name, "a ridge gives this bound under softmax and least squares only")
        if self._flow is None:
            raise Unshown("that the expert is a ridge with a flow")
        offset, heat = self._flow
        if bound.order != (2 * cell if heat and name == offset else cell):
            raise self.fail(name, "no ridge has this upper bound")

    @cached_property
    def _flow(self) -> tuple[str, bool] | None:
        """(location, whether the equation is the heat equation) of h = φ(z), z = b + Σ p·c·x_s.

        ∂_z²h = −κz∂_zh with a number κ > 0, or (1 + z²)∂_z²h = −2z∂_zh: what else h may do with x,
        ∂_zh is C(x)exp(−κz²/2) or C(x)/(1 + z²), C not 0.
        """
        field, names, u = self.analysis.field, self.atom.parameters, self.atom.symbol
        if len(names) < 2:
            return None
        for b in names:
            basis = [BasisFunction(u, (), ((p,),)) for p in names]
            *slopes, bend = field.functions(self.atom, [*basis, BasisFunction(u, (), ((b, b),))])
            own = dict(zip(names, slopes, strict=True))
            if not field.is_nonzero(own[b].num) or not self._slopes_of_inputs(own, b):
                continue
            z = field.convert(symbol(b))
            for p in names:
                if p != b:
                    z = z + field.convert(symbol(p)) * (own[p] / own[b])
            if not field.is_nonzero(z.num):
                continue
            rate = bend / (z * own[b])
            if rate.is_number and self._is_negative(rate):
                return b, True
            if ((field.one + z * z) * bend + field.constant(2) * z * own[b]).is_zero:
                return b, False
        return None

    def _slopes_of_inputs(self, own: dict[str, Element], b: str) -> bool:
        """Whether each other parameter is, up to a number, the slope of an input of its own."""
        field, left = self.analysis.field, [symbol(x) for x in self.atom.inputs]
        for p, slope in own.items():
            if p == b:
                continue
            rate = slope / own[b]
            mine = [x for x in left if (rate / field.convert(x)).is_number]
            if len(mine) != 1 or rate.is_zero:
                return False
            left.remove(mine[0])
        return True

    def _is_negative(self, number: Element) -> bool:
        with precision(FIRST_BITS):
            middle = [ball((low + high) / 2) for low, high in self.analysis.sides]
            at = [*middle, *(ball(1) for _ in self.atom.parameters)]
            return bool(self.analysis.field.evaluate([number], at)[0] < 0)

    def _gradient(self) -> None:
        if not self._independent_gradient:
            raise Unshown("that the first derivatives are independent")

    @cached_property
    def _independent_gradient(self) -> bool:
        """A determinant of ∇h excludes 0 at one θ, hence at almost every one if h is analytic."""
        sides, atom, rng = self.analysis.sides, self.atom, random.Random(7)
        regularity = Regularity(atom, sides)
        if regularity.quantifier() != Quantifier.ALMOST_EVERY:
            return False
        gradient = [BasisFunction(atom.symbol, (), ((p,),)) for p in atom.parameters]
        differentiator = Differentiator(atom, 1)
        with precision(FIRST_BITS):
            for theta, _ in draws(atom, sides, 6):
                points = [draw(sides, rng) for _ in gradient]
                rows = [differentiator.values(gradient, x, theta) for x in points]
                if regularity.is_regular(theta) and is_nonsingular(rows):
                    return True
        return False

    def _beside(self, name: str, bound: Bound) -> None:
        if self.expansion.rule not in (softmax.RULE, input_free.RULE):  # the latter with β = 0
            raise self.fail(name, "an output bias gives this bound under the softmax gate only")
        if self._location is None or name == self._location or bound.evidence is None:
            raise self.fail(name, "there is no output bias beside it")
        self._gradient()
        if bound.evidence not in self._seen:
            Beside(self, self._location).check(bound.evidence)
            self._seen.append(bound.evidence)

    @cached_property
    def _seen(self) -> list[SecondOrder]:
        return []

    @cached_property
    def _location(self) -> str | None:
        """The first parameter whose derivative is free of x and of itself, and not 0."""
        field = self.analysis.field
        functions = [BasisFunction(self.atom.symbol, (), ((p,),)) for p in self.atom.parameters]
        slopes = field.functions(self.atom, functions)
        for number, (p, slope) in enumerate(zip(self.atom.parameters, slopes, strict=True)):
            if slope.is_zero or field.depends(slope.num) or field.depends(slope.den):
                continue
            if field.derivative(slope, field.d + number).is_zero and field.is_nonzero(slope.num):
                return p
        return None


class Beside(Analysis):
    """That no S ⪰ 0, S ≠ 0 has both S:∇²h and ∇hᵀS∇h in span{1, x, ∇h}, beside a location."""

    def __init__(self, orders: Orders, location: str) -> None:
        own = orders.analysis
        where = f"{orders.where}.beside"
        super().__init__(own.atom, orders.expansion, own.options, where, own.deadline)
        others = [p for p in own.atom.parameters if p != location]
        self.space = beside_space(own.atom, others)
        self.functions = [m.function for m in self.space.moments]

    def check(self, found: SecondOrder) -> None:
        if found.verdict != Verdict.YES:
            raise self.fail("verdict", "is not that nothing hides")
        super().check(found)

    def matter(self, vectors: Sequence[Vector]) -> bool:
        """Relations among 1, x and ∇h alone are no second moments."""
        second = [i for i, m in enumerate(self.space.moments) if len(m.pair) == 2]
        return any(i in v for v in vectors for i in second)
