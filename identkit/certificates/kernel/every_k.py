"""From one atom to every number of atoms, and the spaces that refute it.

Call c(θ)·g(·, θ) *fixed* if it stays in one finite-dimensional space of functions of x for all θ.

- r independent fixed combinations in a space of dimension m: more than m/r atoms are dependent.
- None, and the generators independent: the functions are independent for every k and almost every
  θ. Let K be C(x) with the generators in x alone, t_i the moving generators of atom i. If
  Σ_i f_i = 0 with f_i in K(t_i) and all t_i algebraically independent over K, each f_i is in K;
  poles that move with θ differ between atoms and cannot cancel, so each f_i is fixed, hence 0. At
  kinks that move the same argument makes f_i one function on both sides (theory section 2).

That no combination is fixed is a matrix of full column rank: its rows are the derivatives by the
moving generators, the remainders at moving poles and the jumps across moving kinks; a minor is
shown to be nonzero by a ball. Which functions are independent is Ax's theorem with Kolchin's and
Ostrowski's: exp and tan of polynomials in x that are independent over Q modulo constants (the
moving ones modulo functions of x alone), erf of a polynomial, log of an irreducible polynomial in x
and those, atan of a polynomial.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from flint import arb_mat, fmpq, fmpq_mat, fmpq_mpoly, fmpz, nmod_mat

from identkit.balls import precision
from identkit.certificates.kernel.field import (
    PLACES,
    Case,
    Cases,
    Element,
    Field,
    Generator,
    Unshown,
    poly_value,
)
from identkit.certificates.kernel.points import Vector, Walk
from identkit.certificates.witness import excludes_zero
from identkit.domain import Interval

PRIME = (1 << 61) - 1

Column = dict[tuple, dict[tuple, Any]]


def split(field: Field, poly: fmpq_mpoly) -> Column:
    """Monomials in what depends on x -> the coefficients, as monomials in the rest."""
    rows: Column = {}
    for exponents, c in poly.to_dict().items():
        x = tuple((i, e) for i, e in enumerate(exponents) if e and field.in_x(i))
        rest = tuple(0 if e and field.in_x(i) else e for i, e in enumerate(exponents))
        rows.setdefault(x, {})[rest] = c
    return rows


def over_common(field: Field, elements: Sequence[Element]) -> tuple[list[fmpq_mpoly], fmpq_mpoly]:
    """Numerators over the least common denominator, and that denominator."""
    common = field.unit
    for e in elements:
        common = field.times(common, e.den / common.gcd(e.den))
    scaled = [field.fraction(field.times(e.num, common / e.den), field.unit) for e in elements]
    rest = field.unit  # a root's radicand can bring a denominator of its own
    for e in scaled:
        rest = field.times(rest, e.den / rest.gcd(e.den))
    if field.depends(rest):
        raise Unshown("a root is not cleared from a denominator")
    return [field.times(e.num, rest / e.den) for e in scaled], field.times(common, rest)


def moves(field: Field, poly: fmpq_mpoly) -> bool:
    """Whether the zero set changes with θ: the polynomial is not c(θ)·p(x)."""
    indices = [i for i in field.occurring(poly) if field.in_x(i)]
    if any((k := field.kernel_at(i)) and k.in_theta for i in indices):
        return True
    rows = list(split(field, field.in_inputs(poly)).values())
    first = rows[0]
    for row in rows[1:]:
        if row.keys() != first.keys() or len({fmpq(c) / first[m] for m, c in row.items()}) > 1:
            return True
    return False


class Movement:
    """What moves of each function, on cells of cases that meet at moving kinks."""

    def __init__(self, field: Field, cells: Sequence[Sequence[Case]]) -> None:
        self.field, self.structural = field, []
        self.columns: list[Column] = [{} for _ in cells[0][0].elements]
        for number, (first, *others) in enumerate(cells):
            for j, other in enumerate(others):
                jumps = [o - f for o, f in zip(other.elements, first.elements, strict=True)]
                self._add((number, "jump", j), over_common(field, jumps)[0])
            self._add_moving(number, first.elements)

    def _add(self, prefix: tuple, polys: Sequence[fmpq_mpoly]) -> None:
        for column, poly in zip(self.columns, polys, strict=True):
            for row, terms in split(self.field, poly).items():
                column[prefix, row] = terms

    def _add_moving(self, number: int, elements: Sequence[Element]) -> None:
        field = self.field
        numerators, common = over_common(field, elements)
        for k in field.kernels:
            if k.in_x and k.in_theta:
                slope = common.derivative(k.index)
                parts = [
                    field.times(common, p.derivative(k.index)) - field.times(p, slope)
                    for p in numerators
                ]
                self._add((number, "generator", k.index), parts)
        for position, (factor, power) in enumerate(field.factor(common)[1]):
            if not field.depends(factor):
                continue
            self.structural.append(factor)
            inside = map(field.kernel_at, field.occurring(factor))
            if not any(k and k.in_x and k.in_theta for k in inside) and moves(field, factor):
                remainders = _remainders(field, numerators, factor**power)
                self._add((number, "pole", position), remainders)

    def all_move(self, kept: Sequence[int]) -> bool:
        """Shown: for almost every θ no combination of these functions is fixed."""
        field, columns = self.field, [self.columns[i] for i in kept]
        rows = list(dict.fromkeys(row for column in columns for row in column))
        if len(rows) < len(columns):
            return False
        rng = random.Random(1)
        numbers = [rng.randrange(1, PRIME) for _ in field.gens]

        def modular(terms: dict) -> int:
            total = 0
            for exponents, c in terms.items():
                value = int(fmpq(c).p) * pow(int(fmpq(c).q), -1, PRIME)
                for index, power in enumerate(exponents):
                    value = (
                        value * pow(numbers[index], int(power), PRIME) % PRIME if power else value
                    )
                total += value
            return total % PRIME

        # which rows to take; that they are independent is what the ball shows
        flat = [modular(c.get(row, {})) for c in columns for row in rows]
        field.deadline.check()
        reduced, rank = nmod_mat(len(columns), len(rows), flat, PRIME).rref()
        if rank < len(columns):
            return False
        chosen: list[tuple] = []
        for position, row in enumerate(rows):
            if len(chosen) < rank and int(reduced[len(chosen), position]):
                chosen.append(row)
        with precision(max(384, 64 + 16 * rank)):
            for place in range(PLACES):
                values = [v[place] for v in field.values]
                entries = [poly_value(c.get(row, {}), values) for row in chosen for c in columns]
                if excludes_zero(arb_mat(rank, rank, entries).det()):
                    return True
        return False


def _remainders(field: Field, polys: Sequence[fmpq_mpoly], divisor: fmpq_mpoly) -> list[fmpq_mpoly]:
    """Pseudo-remainders in one variable, with the same multiplier for every polynomial."""
    degrees = divisor.degrees()
    variable = max(filter(field.in_x, field.occurring(divisor)), key=lambda i: degrees[i])
    n = int(degrees[variable])
    zero = field.context.constant(0)
    lead = field.powers(divisor, variable)[n]
    result = list(polys)
    top = max((int(p.degrees()[variable]) for p in polys), default=0)
    for degree in range(top, n - 1, -1):
        shifted = field.times(divisor, field.gens[variable] ** (degree - n))
        result = [
            field.times(lead, p) - field.times(field.powers(p, variable).get(degree, zero), shifted)
            for p in result
        ]
    return result


def holds_for_every_k(
    cases: Cases, sides: Sequence[Interval], atoms: Sequence[Vector], kept: Sequence[int]
) -> bool:
    """Whether the functions are shown to be independent for every k, each θ near one of these."""
    field = cases.field
    if not field.kinks:
        movements = [Movement(field, [cases.cases])]
    else:
        walks = []
        for theta in atoms:
            met = Walk(field, sides, theta).chains()
            if met not in walks:
                walks.append(met)
        movements = [
            Movement(field, cells)
            for met in walks
            if all(cells := [_meeting(cases, patterns) for patterns in met])
        ]
        if len(movements) < len(walks):
            return False
    return all(m.all_move(kept) and are_independent(field, m.structural) for m in movements)


def _meeting(cases: Cases, patterns: Sequence[dict[str, int]]) -> list[Case]:
    def met(case: Case) -> bool:
        return any(all(p[key] == sign for key, sign in case.signs.items()) for p in patterns)

    return [case for case in cases.cases if met(case)]


def every_cell(cases: Cases) -> list[tuple[dict[str, int], list[Case]]]:
    """The cases under each set of signs of the kinks that do not move."""
    field = cases.field

    def stands(key: str) -> bool:
        poly = field.kinks[key]
        return not (field.depends(poly) and moves(field, poly))

    return cases.cells(stands)


# -- dimension counts ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Space:
    """A space of functions of x that holds some combinations whatever θ; ``degree`` if that of
    the polynomials of at most this total degree."""

    dimension: int
    degree: int | None


def space_of(cases: Cases, combinations: Sequence[dict[int, Element]]) -> Space:
    """The space that holds them. Raises Unshown if one is not shown to be fixed."""
    field, vectors, degree = cases.field, {}, 0
    polynomial = True
    for signs, inside in every_cell(cases):
        sums = [[apply(field, c, case) for c in combinations] for case in inside]
        first = sums[0]
        if any(not (a - b).is_zero for row in sums[1:] for a, b in zip(first, row, strict=True)):
            raise Unshown("a combination is not the same on both sides of a kink that moves")
        numerators, common = over_common(field, first)
        below = field.unit
        for factor, power in field.factor(common)[1]:
            below = below * factor**power if field.depends(factor) else below
        if not below.is_constant() and moves(field, below):
            raise Unshown("a combination has a pole that moves")
        indices = set().union(*map(field.occurring, numerators))
        if any((k := field.kernel_at(i)) and k.in_x and k.in_theta for i in indices):
            raise Unshown("a combination moves")
        region = tuple(sorted(p for p in signs.items() if field.depends(field.kinks[p[0]])))
        pattern = tuple(sorted(p for p in signs.items() if p not in region))
        plain = not any((k := field.kernel_at(i)) and k.in_x for i in indices)
        polynomial = polynomial and plain and not region and below.is_constant()
        for position, poly in enumerate(numerators):
            if plain:
                powers = (sum(int(e) for e in m[: field.d]) for m in poly.monoms())
                degree = max(degree, *powers, 0)
            for row, terms in split(field, poly).items():
                for monomial, c in terms.items():
                    # regions belong together only over the same factor in θ
                    key = (position, pattern, str(common / below), monomial)
                    vectors.setdefault(key, {})[region, str(below), row] = fmpq(c)
    by_degree = math.comb(degree + field.d, field.d) if polynomial else None
    if not field.forms:  # in forms the monomials differ from atom to atom
        rows = list({row for v in vectors.values() for row in v})
        flat = [v.get(row, fmpq(0)) for v in vectors.values() for row in rows]
        rank = int(fmpq_mat(len(vectors), len(rows), flat).rank())
        if by_degree is None or rank < by_degree:
            return Space(rank, None)
    if by_degree is None:
        raise Unshown("no space is known that holds the combinations")
    return Space(by_degree, degree)


def apply(field: Field, combination: dict[int, Element], case: Case) -> Element:
    """Σ c·g in one case."""
    total = field.zero
    for i, c in combination.items():
        total = total + c * case.elements[i]
    return total


# -- the independence of the generators ---------------------------------------------------------


def are_independent(field: Field, poles: Sequence[fmpq_mpoly]) -> bool:
    """Whether the generators of distinct generic atoms are independent by the theorem."""
    logs = [_argument(k) for k in field.kernels if k.in_x and k.kind in ("log", "atan")]
    for poly in (*poles, *(p for e in logs for p in (e.num, e.den))):
        # factors and common divisors are those over Q(π): a root or a function of θ could hide one
        inside = filter(None, map(field.kernel_at, field.occurring(poly)))
        if not all(k.kind == "pi" or (k.kind in ("exp", "tan") and k.in_x) for k in inside):
            return False
    return _constants(field) and _in_x(field) and _logarithms(field)


def _argument(k: Generator) -> Element:
    assert k.argument is not None
    return k.argument


def _constants(field: Field) -> bool:
    """Roots of primes, and at most one number that is transcendental (Lindemann): π, exp(q)…"""
    families: set[Any] = set()
    for k in field.kernels:
        if k.in_x or k.in_theta:
            continue
        u = k.argument
        if k.kind == "pi":
            families.add("pi")
        elif u is None or not u.den.is_constant():
            return False
        elif u.is_number:
            if k.kind == "root" and fmpz(u.num.leading_coefficient().p).is_prime():
                continue
            if k.kind not in ("exp", "tan"):
                return False
            families.add(k.index)
        else:
            inner = [field.kernel_at(i) for i in u.generators()]
            if k.kind != "root" or len(u.num) > 1 or u.num.total_degree() > 1:
                return False
            if inner[0] is None or inner[0].kind != "pi":
                return False
            families.add("pi")
    return len(families) <= 1


def _in_x(field: Field) -> bool:
    in_x = [k for k in field.kernels if k.in_x]
    if any(k.kind == "root" for k in in_x):
        return False
    if not all(k.kind == "log" or _is_polynomial_in_x(field, _argument(k)) for k in in_x):
        return False
    for kind in ("exp", "tan"):
        across = [_mixed(field, _argument(k)) for k in in_x if k.in_theta and k.kind == kind]
        still = [k for k in in_x if not k.in_theta and k.kind == kind]
        within = [_slopes(field, _argument(k)) for k in still]
        if not (_rationally_independent(field, across) and _rationally_independent(field, within)):
            return False
    for k in in_x:
        if k.in_theta:
            # exp(-p²) is what erf(p) brings; for the others the argument itself has to move
            moved = field.generator(k.index) if k.kind == "log" else _argument(k)
            moved = moved * moved if k.kind == "erf" else moved
            if all(e.is_zero for e in _mixed(field, moved)):
                return False
    squares = [_argument(k) * _argument(k) for k in in_x if k.kind == "erf"]
    return all(
        any(not e.is_zero for e in _slopes(field, p - q))
        for i, p in enumerate(squares)
        for q in squares[:i]
    )


def _logarithms(field: Field) -> bool:
    """Their derivatives have simple poles, which no derivative of an element has."""
    primes: list[fmpq_mpoly] = []
    for k in field.kernels:
        if not k.in_x or k.kind not in ("log", "atan"):
            continue
        u = _argument(k)
        if k.kind == "atan":
            primes.append((field.one + u * u).num)
            continue
        inner = [g for i in u.generators() if (g := field.kernel_at(i))]
        if any(g.in_x and g.kind != "exp" for g in inner):
            return False
        for n in range(field.d):
            rate = field.derivative(u, n) / u
            if not rate.is_zero and not field.depends(rate.den):
                return False  # an exponential in disguise
        primes.append(u.num)
    return all(p.gcd(q).is_constant() for i, p in enumerate(primes) for q in primes[:i])


def _is_polynomial_in_x(field: Field, element: Element) -> bool:
    """A polynomial in x whose coefficients are made of parameters and simple functions of them."""
    for index in element.generators():
        k = field.kernel_at(index)
        if k is None:
            continue
        simple = k.kind in ("exp", "log") and not any(
            map(field.kernel_at, _argument(k).generators())
        )
        if k.in_x or (k.in_theta and not simple):
            return False
    return not field.depends(element.den)


def _slopes(field: Field, element: Element) -> list[Element]:
    return [field.derivative(element, n) for n in range(field.d)]


def _mixed(field: Field, element: Element) -> list[Element]:
    """All ∂²/∂x_s∂θ_j: zero exactly for c(θ) + p(x), the part that does not move."""
    numbers = range(field.d, field.d + field.q)
    return [field.derivative(s, n) for s in _slopes(field, element) for n in numbers]


def _rationally_independent(field: Field, vectors: Sequence[Sequence[Element]]) -> bool:
    if not vectors:
        return True
    rows: dict[tuple, list[fmpq]] = {}
    for position, entries in enumerate(zip(*vectors, strict=True)):
        for column, poly in enumerate(over_common(field, entries)[0]):
            for exponents, c in poly.to_dict().items():
                row = rows.setdefault((position, exponents), [fmpq(0)] * len(vectors))
                row[column] = fmpq(c)
    flat = list(chain.from_iterable(rows.values()))
    return bool(rows) and fmpq_mat(len(rows), len(vectors), flat).rank() == len(vectors)
