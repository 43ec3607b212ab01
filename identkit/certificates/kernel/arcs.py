"""Orders (theory section 9): each direction's lower bound by an arc, its upper bound by a theorem.

*At least r*: along atoms at the roots of a polynomial over Q the coefficients of t^0 … t^(N−1) in
T_G(t) − T_* are 0 identically in x and η, while the coordinate moves like t^(N/r). The weights are
positive, and every root real and simple, by a Tarski query; sums over roots are Newton's. With
Δh = Σ ∂^αh·δ^α/α! a coefficient is an element of K[s]/(p), K the field of functions of x and η,
and T is Δh (least squares) or exp(u·Δh + u²·Δν/2), where the coefficient of every u^j, the one of
∂^jN/∂h^j, has to be 0 by itself. Or second moments of rank R are invisible: then some R + 1 atoms
have order 3, some R pairs ± order 4.

*At most r*: 2m and m for ν under the Gaussian likelihood, if ∇h is independent, by a determinant;
2 beside an output bias, if no S ⪰ 0 hides there, by null vectors and facial reduction.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_poly

from identkit.atoms import AtomFunction
from identkit.balls import precision
from identkit.certificates.jets import Differentiator
from identkit.certificates.kernel.field import Cases, Element, Field, Unshown
from identkit.certificates.kernel.points import (
    FIRST_BITS,
    Regularity,
    draw,
    draws,
    is_nonsingular,
)
from identkit.certificates.kernel.second_order import Analysis, Vector
from identkit.certificates.witness import excludes_zero
from identkit.conditions import BasisFunction
from identkit.degeneracy.moments import SPREAD, beside_space
from identkit.degeneracy.records import SecondOrder
from identkit.errors import CertificateError
from identkit.experts import symbols
from identkit.expression import Step, free_names, parse
from identkit.gates import Expansion, softmax
from identkit.orders.records import ROOT_NAME, TIME_NAME, Arc, Atoms, Bound, DirectionOrder
from identkit.vocabulary import Quantifier, Through, Verdict

Algebraic = list[Element]
"""Σ c_k s^k modulo the polynomial of the roots, by k."""
Series = list[Algebraic]
"""Coefficients of t^0, t^1, …"""
Term = tuple[tuple[Any, ...], fmpq]


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
        else:
            raise Unshown(f"an upper bound of kind {bound.kind[:20]}")

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
        if self.expansion.rule != softmax.RULE:
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


# -- one arc ------------------------------------------------------------------------------------


class Curve:
    """One arc: that it is one of real atoms of positive weight, and what it shows."""

    def __init__(
        self, analysis: Analysis, coordinates: Sequence[str], arc: Arc, cell: int, where: str
    ) -> None:
        self.analysis, self.arc, self.where = analysis, arc, where
        self.atom: AtomFunction = analysis.atom
        self.names = (TIME_NAME, ROOT_NAME, *self.atom.parameters)
        self.groups = [_Group(g, self, coordinates) for g in arc.atoms]
        if sum(g.degree for g in self.groups) > cell:
            raise self.fail(f"has more than {cell} atoms")
        if sum((g.sums[0] for g in self.groups), fmpq(0)) != 1:
            raise self.fail("has weights that do not add up to that of the true atom")

    def fail(self, reason: str) -> CertificateError:
        return CertificateError(f"{self.where}.arcs: an arc {reason}.")

    def orders(self) -> dict[str, Fraction]:
        """What the arc shows of each coordinate that moves: N over the power of t."""
        self._vanishes()
        powers: dict[str, int] = {}
        for group in self.groups:
            for name, power in group.powers():
                powers[name] = min(power, powers.get(name, power))
        return {name: Fraction(self.arc.order, power) for name, power in powers.items()}

    def _vanishes(self) -> None:
        """T_G(t) − T_* has no t^0 … t^(N−1), identically."""
        found = Cases(self.atom, self.analysis.sides, self._coefficients, self.analysis.deadline)
        for case in found.cases:
            for value in case.elements:
                if value.is_zero:
                    continue
                if any(map(excludes_zero, found.field.at_places(value))):
                    raise self.fail(f"does not change T by O(t^{self.arc.order})")
                raise Unshown("that the coefficients of an arc vanish")

    def _coefficients(self, field: Field) -> list[Element]:
        """Those of t^1 … t^(N−1) on every block, summed over all atoms."""
        limit = self.arc.order
        total: dict[tuple[int, int], Element] = {}
        for group in self.groups:
            ring = _Ring(field, group.modulus, limit)
            moved = {name: ring.series(terms) for name, terms in group.moved.items()}
            change = ring.change(self.atom, moved)
            if self.analysis.through is Through.VALUE:
                blocks = {1: change}
            else:
                blocks = ring.blocks(change, moved.get(SPREAD, ring.zero))
            for j, series in blocks.items():
                for n in range(1, limit):
                    before = total.get((j, n), field.zero)
                    total[j, n] = before + ring.sum(series[n], group.sums)
        return list(total.values())


class _Group:
    """Atoms at the roots of one polynomial: their weights' sums and deviations, read."""

    def __init__(self, atoms: Atoms, curve: Curve, coordinates: Sequence[str]) -> None:
        self.modulus, self.weight = _polynomial(atoms.roots), _polynomial(atoms.weight)
        self.degree = self.modulus.degree()
        if self.degree < 1 or not all_positive(self.weight, self.modulus):
            raise curve.fail("has atoms that are not real and simple, or a weight not positive")
        self.sums = weighted_sums(self.weight, self.modulus, 2 * self.degree)
        given = [name for name, _ in atoms.deviations]
        if not set(given) <= set(coordinates) or len(set(given)) != len(given):
            raise curve.fail("moves what is no coordinate")
        self.moved = {name: self._read(text, curve) for name, text in atoms.deviations}

    def _read(self, text: str, curve: Curve) -> list[Term]:
        """A polynomial in t, s and η over Q that vanishes with t: exponents and coefficients."""
        names = frozenset(curve.names)
        expression = parse(text, extra=names, generous=True)
        if not free_names(expression) <= names or not expression.is_polynomial(
            *expression.free_symbols
        ):
            raise curve.fail("has a deviation that is no polynomial in s, t and η")
        try:
            polynomial = sp.Poly(expression, *symbols(curve.names), domain="QQ")
        except sp.CoercionFailed:
            raise curve.fail("has a deviation that is not rational") from None
        terms = [(m, fmpq(int(c.p), int(c.q))) for m, c in polynomial.terms() if c]
        if any(m[0] < 1 for m, _ in terms):
            raise curve.fail("has a deviation that does not vanish with t")
        return terms

    def powers(self) -> Iterator[tuple[str, int]]:
        """Each coordinate with the first power of t that is not 0 at every root, for generic η."""
        for name, terms in self.moved.items():
            rows: dict[tuple[int, ...], dict[int, fmpq]] = {}
            for (power, root, *rest), c in terms:
                rows.setdefault((power, *rest), {})[root] = c
            found = [
                key[0]
                for key, row in rows.items()
                if _polynomial_of(row) % self.modulus != fmpq_poly([0])
            ]
            if found:
                yield name, min(found)


class _Ring:
    """K[s]/(p), and series over it in t to a power."""

    def __init__(self, field: Field, modulus: fmpq_poly, limit: int) -> None:
        self.field, self.limit = field, limit
        leading = modulus.coeffs()[-1]
        # s^degree in the lower powers
        self.reduction = [_rational(-c / leading) for c in modulus.coeffs()[:-1]]
        self.degree = len(self.reduction)
        self.nothing: Algebraic = [field.zero] * self.degree
        self.zero: Series = [self.nothing] * limit
        self.one: Series = [[field.one, *self.nothing[1:]], *self.zero[1:]]

    def series(self, terms: Sequence[Term]) -> Series:
        """A polynomial in t, s and η, cut off."""
        field, found = self.field, [list(a) for a in self.zero]
        for (power, root, *rest), c in terms:
            if power >= self.limit:
                continue
            value = field.constant(_rational(c))
            for i, e in enumerate(rest):
                value = value * field.generator(field.d + i) ** e if e else value
            whole = [field.zero] * root + [value]
            found[power] = self._plus(found[power], self._reduced(whole))
        return found

    def _plus(self, left: Algebraic, right: Algebraic) -> Algebraic:
        return [a + b for a, b in zip(left, right, strict=True)]

    def _reduced(self, whole: Algebraic) -> Algebraic:
        """Modulo the polynomial, the highest power first."""
        found = list(whole) + [self.field.zero] * (self.degree - len(whole))
        while len(found) > self.degree:
            top, low = found.pop(), len(found) - self.degree
            if not top.is_zero:
                for i, c in enumerate(self.reduction):
                    if c:
                        found[low + i] = found[low + i] + top * self.field.constant(c)
        return found

    def product(self, left: Series, right: Series) -> Series:
        """Cut off at the power of t."""
        self.field.deadline.check()
        found = [list(a) for a in self.zero]
        for i, a in enumerate(left):
            if all(v.is_zero for v in a):
                continue
            for j, b in enumerate(right[: self.limit - i]):
                if all(v.is_zero for v in b):
                    continue
                whole = [self.field.zero] * (2 * self.degree - 1)
                for k, u in enumerate(a):
                    for m, v in enumerate(b):
                        if not (u.is_zero or v.is_zero):
                            whole[k + m] = whole[k + m] + u * v
                found[i + j] = self._plus(found[i + j], self._reduced(whole))
        return found

    def scaled(self, series: Series, factor: Fraction) -> Series:
        c = self.field.constant(factor)
        return [[v * c for v in a] for a in series]

    def added(self, left: Series, right: Series) -> Series:
        return [self._plus(a, b) for a, b in zip(left, right, strict=True)]

    def powers(self, base: Series) -> list[Series]:
        """base^k/k!, k = 0, 1, … up to the last that is not cut off."""
        found = [self.one]
        while not all(v.is_zero for a in found[-1] for v in a):
            found.append(self.scaled(self.product(found[-1], base), Fraction(1, len(found))))
        return found[:-1]

    def change(self, atom: AtomFunction, moved: dict[str, Series]) -> Series:
        """Δh = Σ ∂^αh·δ^α/α! over α ≠ 0."""
        names = [p for p in atom.parameters if p in moved]
        terms: list[tuple[tuple[str, ...], Series]] = [((), self.one)]
        for p in names:
            powers = self.powers(moved[p])
            terms = [
                ((*alpha, *[p] * k), series)
                for alpha, before in terms
                for k, power in enumerate(powers)
                for series in [before if k == 0 else self.product(before, power)]
                if not all(v.is_zero for a in series for v in a)
            ]
        terms = [(alpha, series) for alpha, series in terms if alpha]
        basis = [BasisFunction(atom.symbol, (), (alpha,)) for alpha, _ in terms]
        partials = self.field.functions(atom, basis)
        total = self.zero
        for (_, series), partial in zip(terms, partials, strict=True):
            if not partial.is_zero:
                total = self.added(total, [[v * partial for v in a] for a in series])
        return total

    def blocks(self, mean: Series, spread: Series) -> dict[int, Series]:
        """The coefficient of each u^j, j ≥ 1, in exp(u·mean + u²·spread/2)."""
        found: dict[int, Series] = {}
        wide = self.powers(self.scaled(spread, Fraction(1, 2)))
        for i, a in enumerate(self.powers(mean)):
            for k, b in enumerate(wide):
                if i + k:
                    term = self.product(a, b)
                    before = found.get(i + 2 * k)
                    found[i + 2 * k] = term if before is None else self.added(before, term)
        return found

    def sum(self, value: Algebraic, sums: Sequence[fmpq]) -> Element:
        """Σ w(s)·value(s) over the roots."""
        total = self.field.zero
        for c, weight in zip(value, sums, strict=False):
            total = total + c * self.field.constant(_rational(weight))
        return total


# -- polynomials over Q ---------------------------------------------------------------------------


def _polynomial(texts: Sequence[str]) -> fmpq_poly:
    values = [Fraction(t) for t in texts]
    return fmpq_poly([fmpq(v.numerator, v.denominator) for v in values])


def _polynomial_of(row: dict[int, fmpq]) -> fmpq_poly:
    return fmpq_poly([row.get(i, fmpq(0)) for i in range(max(row) + 1)])


def _rational(value: Any) -> Fraction:
    return Fraction(int(fmpq(value).p), int(fmpq(value).q))


def weighted_sums(weight: fmpq_poly, modulus: fmpq_poly, count: int) -> list[fmpq]:
    """Σ w(s) s^k over the roots, k < ``count``, from the power sums by Newton's identities.

    >>> [str(v) for v in weighted_sums(fmpq_poly([1]), fmpq_poly([-2, 0, 1]), 3)]
    ['2', '0', '4']
    """
    coefficients, n = modulus.coeffs(), modulus.degree()
    # e_k with signs: p = s^n + c_1 s^(n−1) + … + c_n
    c = [coefficients[n - k] / coefficients[n] for k in range(n + 1)]
    sums = [fmpq(n)]
    for k in range(1, count + weight.degree() + 1):
        known = sum((c[i] * sums[k - i] for i in range(1, min(k, n + 1))), fmpq(0))
        sums.append(-known - (k * c[k] if k <= n else fmpq(0)))
    own = weight.coeffs()
    return [sum((w * sums[k + i] for i, w in enumerate(own)), fmpq(0)) for k in range(count)]


def all_positive(weight: fmpq_poly, modulus: fmpq_poly) -> bool:
    """Whether all roots are real and simple, and the weight is positive at each of them.

    The Tarski query, the sum of the signs of w at the distinct real roots of p, is the degree of p
    then and only then. It is the loss of sign changes from −∞ to ∞ in the signed remainder sequence
    of p and p′·w.

    >>> [all_positive(fmpq_poly([1]), fmpq_poly([c, 0, 1])) for c in (-2, 2)]
    [True, False]
    """
    sequence = [modulus, (modulus.derivative() * weight) % modulus]
    while sequence[-1] != 0:
        sequence.append(-(sequence[-2] % sequence[-1]))
    kept = sequence[:-1]

    def changes(sign: Callable[[fmpq_poly], int]) -> int:
        signs = [sign(p) for p in kept]
        return sum(a != b for a, b in pairwise(signs))

    def at_infinity(p: fmpq_poly) -> int:
        return 1 if p.coeffs()[-1] > 0 else -1

    def at_minus_infinity(p: fmpq_poly) -> int:
        return at_infinity(p) * (-1) ** p.degree()

    return changes(at_minus_infinity) - changes(at_infinity) == modulus.degree()
