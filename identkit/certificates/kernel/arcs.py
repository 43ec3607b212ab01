"""Arcs (theory section 10): to which power of t the atoms of an explicit curve change T.

The atoms lie at the roots of a polynomial over Q. Their weights are positive, and every root is
real and simple, by a Tarski query; sums over roots are Newton's. With Δh = Σ ∂^αh·δ^α/α! a
coefficient of t^n is an element of K[s]/(p), K the field of functions of x and η, and T is Δh
(least squares) or exp(u·Δh + u²·Δν/2), where the coefficient of every u^j, which stands for
∂^jN/∂h^j, has to be 0 by itself. Those of t^0 … t^(N−1) are 0 identically in x and η, while a
coordinate moves like t^e: its order is at least N/e.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_poly

from identkit.atoms import AtomFunction
from identkit.certificates.kernel.field import Cases, Element, Field, Unshown
from identkit.certificates.kernel.second_order import Analysis
from identkit.certificates.witness import excludes_zero
from identkit.conditions import BasisFunction
from identkit.degeneracy.moments import SPREAD
from identkit.errors import CertificateError
from identkit.experts import symbols
from identkit.expression import free_names, parse
from identkit.orders.records import ROOT_NAME, TIME_NAME, Arc, Atoms
from identkit.vocabulary import Through

Algebraic = list[Element]
"""Σ c_k s^k modulo the polynomial of the roots, by k."""
Series = list[Algebraic]
"""Coefficients of t^0, t^1, …"""
Term = tuple[tuple[Any, ...], fmpq]


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
