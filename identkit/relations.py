"""Exact linear relations, with coefficients free of x, among the functions of one atom.

The functions are brought to normal form and expanded in the monomials that depend on x; a
relation is a null vector of the coefficient matrix over Q(θ). Its support is located modulo a
prime, its coefficients are then solved for exactly and the combination is checked to be the zero
polynomial: the check is the proof, the prime only says where to look.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain

import sympy as sp
from flint import arb_mat, fmpq, fmpq_mpoly, fmpz, nmod_mat

from identkit.algebra import MAX_TERMS, Element, Kernel, TooLarge, value_of
from identkit.atoms import AtomFunction
from identkit.balls import Node, Tape, ball, precision
from identkit.deadline import Deadline
from identkit.experts import symbols
from identkit.expression import Step
from identkit.forms import affine_forms
from identkit.normal_form import Field, NeedSign, Rebase

MAX_BRANCHES = 16
"""Sign patterns of the kinks; more than four kinks per atom are given up on."""
MAX_CELLS = 64
"""Sets of signs of some of the kinks that a statement about all of them goes through."""
MAX_SUPPORT = 24
"""Longest relation whose coefficients are solved for exactly."""

MAX_REBASES = 20
"""How often kernels may be rewritten in finer units (exp(z/2) met after exp(z))."""

Row = tuple
Column = dict[Row, dict[tuple[int, ...], fmpq]]


@dataclass(frozen=True)
class Branch:
    """The functions where the kinks' arguments have the given signs."""

    signs: dict[str, int]
    elements: list[Element]


@dataclass
class Combination:
    """Σ coefficient·function over some functions, coefficients elements free of x."""

    coefficients: dict[int, Element] = field(default_factory=dict)


class FormalFamily:
    """Functions of one atom in normal form, on every branch of their kinks."""

    def __init__(
        self, atom: AtomFunction, build: Callable[[Field], list[Element]], deadline: Deadline
    ) -> None:
        self.atom = atom
        self.deadline = deadline
        # coordinates are one choice for all branches: a slope |a| has a form on each only
        forms = [f for f in affine_forms(atom) if not f.has(Step)]
        units: dict = {}
        for _ in range(MAX_REBASES):
            try:
                self.field = Field(atom.variables, atom.parameters, forms, units, deadline)
                self.branches = self._branches(build)
                break
            except Rebase as finer:
                units[finer.kind, finer.key] = finer.unit
        else:
            raise TooLarge("the kernels need ever finer units")
        self.size = len(self.branches[0].elements)

    @classmethod
    def from_expressions(
        cls, expressions: Sequence[sp.Expr], atom: AtomFunction, deadline: Deadline
    ) -> FormalFamily:
        """From derivatives already taken by SymPy."""
        return cls(atom, lambda field: [field.convert(e) for e in expressions], deadline)

    def _branches(self, build: Callable[[Field], list[Element]]) -> list[Branch]:
        """Depth first over the signs of the kinks' arguments."""
        done: list[Branch] = []
        waiting: list[dict[str, int]] = [{}]
        while waiting:
            if len(done) + len(waiting) > MAX_BRANCHES:
                raise TooLarge(f"the kinks make more than {MAX_BRANCHES} branches")
            signs = waiting.pop()
            self.field.on_branch(signs)
            try:
                done.append(Branch(signs, build(self.field)))
            except NeedSign as needed:
                waiting += [{**signs, needed.key: 1}, {**signs, needed.key: -1}]
        return done

    def cells(self, of_interest: Callable[[str], bool]) -> list[tuple[dict[str, int], list[int]]]:
        """The branches under each set of signs of *all* the kinks of interest.

        A branch does not know the signs that play no part in it: x + b < 0 alone decides the value
        0 of min(max(x + b, 0), c), and for a statement about every c that branch belongs to c > 0
        and to c < 0. Cells that no parameter realises are not left out. Raises TooLarge.
        """
        done: list[tuple[dict[str, int], list[int]]] = []
        waiting: list[tuple[dict[str, int], list[int]]] = [({}, list(range(len(self.branches))))]
        while waiting:
            if len(done) + len(waiting) > MAX_CELLS:
                raise TooLarge(f"the kinks make more than {MAX_CELLS} cases")
            signs, inside = waiting.pop()
            keys = (key for n in inside for key in self.branches[n].signs if key not in signs)
            key = next(filter(of_interest, keys), None)
            if key is None:
                done.append((signs, inside))
                continue
            for sign in (1, -1):
                there = [n for n in inside if self.branches[n].signs.get(key, sign) == sign]
                waiting.append(({**signs, key: sign}, there))
        return done

    def is_zero(self, index: int) -> bool:
        """Proved identically zero in x and θ."""
        return all(b.elements[index].is_zero for b in self.branches)

    def columns(self) -> list[Column]:
        """Coefficients of each function on the x-monomials, over a common denominator."""
        columns: list[Column] = [{} for _ in range(self.size)]
        for number, branch in enumerate(self.branches):
            for column, poly in zip(columns, self.over_common(branch.elements)[0], strict=True):
                self.add_rows(column, (number,), poly)
        return columns

    def over_common(self, elements: Sequence[Element]) -> tuple[list[fmpq_mpoly], fmpq_mpoly]:
        """Numerators over the least common denominator, and that denominator."""
        common = self.field.unit_poly
        for element in elements:
            if not element.den.is_constant() and element.den != common:
                common = self.field.times(common, element.den / common.gcd(element.den))
        scaled = [
            self.field.fraction(self.field.times(e.num, common / e.den), self.field.unit_poly)
            for e in elements
        ]
        # reducing a root can leave a denominator free of x: clear it from all alike
        rest = self.field.unit_poly
        for e in scaled:
            if not e.den.is_constant() and e.den != rest:
                rest = self.field.times(rest, e.den / rest.gcd(e.den))
        if self.field.depends(self.field.occurring(rest))[0]:
            raise TooLarge("a root could not be cleared from a denominator")
        numerators = [self.field.times(e.num, rest / e.den) for e in scaled]
        common = self.field.times(common, rest)
        return numerators, common

    def add_rows(self, column: Column, prefix: tuple, poly: fmpq_mpoly) -> None:
        """Split each monomial into the part that depends on x (the row) and the rest."""
        in_x = [self.field.in_x(i) for i in range(self.field.d + self.field.q)]
        in_x += [k.in_x for k in self.field.kernels]
        live = len(in_x)
        for exponents, coefficient in poly.to_dict().items():
            row = prefix + tuple((i, e) for i, e in enumerate(exponents[:live]) if e and in_x[i])
            rest = tuple(0 if i < live and in_x[i] else e for i, e in enumerate(exponents))
            column.setdefault(row, {})[rest] = coefficient

    def proportional(self, columns: list[Column], i: int, j: int) -> Combination | None:
        """c_j g_j + c_i g_i = 0 with coefficients free of x and c_i ≠ 0, if that is so."""
        if columns[i].keys() != columns[j].keys() or not columns[i]:
            return None
        row = min(columns[i], key=lambda r: len(columns[i][r]) + len(columns[j][r]))
        ctx = self.field.context
        ci, cj = ctx.from_dict(columns[j][row]), -ctx.from_dict(columns[i][row])
        return self._checked([j, i], [cj, ci])

    def _checked(self, support: list[int], coefficients: list[fmpq_mpoly]) -> Combination | None:
        """The combination, primitive, if it is proved zero and its last coefficient nonzero."""
        coefficients = self._primitive(coefficients)
        one = self.field.unit_poly
        combination = Combination(
            {
                i: Element(self.field, c, one)
                for i, c in zip(support, coefficients, strict=True)
                if not c.is_zero()
            }
        )
        last = combination.coefficients.get(support[-1])
        if last is None or not self.is_nonzero(last) or not self.vanishes(combination):
            return None
        return combination

    def is_nonzero(self, element: Element) -> bool:
        """Proved nonzero for almost every parameter: a ball at some θ excludes 0.

        A nonzero normal form is not enough here: two constants could be equal unnoticed.
        """
        if element.num.is_constant() and element.den.is_constant():
            return not element.is_zero
        tape = Tape([self.field.to_sympy(element)], symbols(self.atom.parameters))
        rng = random.Random(1)
        with precision(256):
            for _ in range(40):
                theta = [Fraction(rng.randrange(1, 64), 16) for _ in self.atom.parameters]
                (value,) = tape.evaluate([ball(v) for v in theta])
                if value.is_finite() and not value.contains(0):
                    return True
        return False

    def apply(self, combination: Combination, branch: Branch) -> Element:
        """Σ c·g on one branch."""
        total = self.field.zero
        for i, c in combination.coefficients.items():
            total = total + c * branch.elements[i]
        return total

    def vanishes(self, combination: Combination) -> bool:
        """Proved zero, identically in x and θ, on every branch."""
        return all(self.apply(combination, b).is_zero for b in self.branches)

    def _primitive(self, coefficients: list[fmpq_mpoly]) -> list[fmpq_mpoly]:
        """The vector up to scale, in one form whatever route led to it.

        The last coefficient is free of roots, the coefficients have no common factor, and the
        last one's greatest monomial (by the names in it) has a positive coefficient.
        """
        if self.field.has_roots():
            unit = self.field.unit_poly
            reduced = [self.field.fraction(c, unit) for c in coefficients]
            if not reduced[-1].is_zero:
                scale = reduced[-1].inverse()
                coefficients, _ = self.over_common([c * scale for c in reduced])
        common = self.field.context.constant(0)
        for c in coefficients:
            common = common.gcd(c)
        coefficients = [c / common for c in coefficients]
        denominator, divisor = fmpz(1), fmpz(0)
        for value in chain.from_iterable(c.coeffs() for c in coefficients):
            denominator = denominator.lcm(fmpq(value).q)
        for value in chain.from_iterable(c.coeffs() for c in coefficients):
            divisor = divisor.gcd(fmpz((fmpq(value) * denominator).p))
        scale = fmpq(denominator, divisor or 1)
        last = coefficients[-1]
        if last != 0 and self.field.leading_by_name(last) < 0:
            scale = -scale
        return [c * scale for c in coefficients]

    # -- linear algebra ---------------------------------------------------------------------

    def _modular_matrix(
        self, columns: list[Column], order: Sequence[int]
    ) -> tuple[nmod_mat, list[Row]]:
        """The coefficient matrix at a random point modulo a prime, and what its rows stand for."""
        point = ModularPoint(self.field)
        rows = {row: n for n, row in enumerate({r: None for i in order for r in columns[i]})}
        if len(rows) * len(order) > 200 * MAX_TERMS:
            raise TooLarge("the coefficient matrix is too large")
        dense = [[0] * len(order) for _ in range(max(1, len(rows)))]
        for position, index in enumerate(order):
            for row, terms in columns[index].items():
                dense[rows[row]][position] = point.value(terms)
        self.deadline.check()
        flat = list(chain.from_iterable(dense))
        return nmod_mat(len(dense), len(order), flat, point.prime), list(rows)

    def proved_independent(self, columns: list[Column], order: Sequence[int]) -> bool:
        """Whether the coefficient columns are independent for almost every θ, by a ball minor.

        Rows are chosen modulo a prime; the minor is then evaluated at rational parameters in ball
        arithmetic, so no constant is assumed to be transcendental.
        """
        matrix, rows = self._modular_matrix(columns, order)
        reduced, rank = matrix.transpose().rref()
        if rank < len(order):
            return False
        chosen: list[Row] = []
        for position, row in enumerate(rows):
            if len(chosen) < rank and int(reduced[len(chosen), position]):
                chosen.append(row)
        names = (*self.field.inputs, *self.field.parameters)
        free = list(range(self.field.d, self.field.d + self.field.q))
        free += [k.index for k in self.field.kernels if not k.in_x]
        expressions = [self.field.generator_expression(i, names) for i in free]
        tape = Tape(expressions, symbols(self.atom.parameters))
        rng = random.Random(2)
        with precision(64 + 16 * rank):
            for _ in range(40):
                theta = [Fraction(rng.randrange(1, 64), 16) for _ in self.atom.parameters]
                values = dict(zip(free, tape.evaluate([ball(v) for v in theta]), strict=True))
                entries = [
                    value_of(columns[i].get(row, {}), values) for row in chosen for i in order
                ]
                minor = arb_mat(rank, rank, entries).det()
                if minor.is_finite() and not minor.contains(0):
                    return True
        return False

    def echelon(self, columns: list[Column], order: Sequence[int]) -> tuple[list[int], list]:
        """Pivot columns modulo a prime, and for each other column (index, its support)."""
        matrix, _ = self._modular_matrix(columns, order)
        reduced, rank = matrix.rref()
        pivots: list[int] = []
        dependent: list[tuple[int, list[int]]] = []
        row_of: list[int] = []
        for position in range(len(order)):
            if len(row_of) < rank and int(reduced[len(row_of), position]):
                row_of.append(position)
                pivots.append(order[position])
                continue
            support = [order[p] for r, p in enumerate(row_of) if int(reduced[r, position])]
            dependent.append((order[position], support))
        return pivots, dependent

    def null_combination(
        self, columns: list[Column], index: int, support: list[int], check: bool = True
    ) -> Combination | None:
        """Exact coefficients of the dependence of one column on others (Cramer's rule)."""
        if len(support) > MAX_SUPPORT:
            return None
        chosen = [*support, index]
        rows = self._independent_rows(columns, chosen)
        if rows is None:
            return None
        ctx = self.field.context
        zero = ctx.constant(0)
        matrix = [
            [ctx.from_dict(columns[c][r]) if r in columns[c] else zero for c in chosen]
            for r in rows
        ]
        coefficients = []
        for position in range(len(chosen)):
            minor = [row[:position] + row[position + 1 :] for row in matrix]
            value = self._determinant(minor)
            coefficients.append(-value if position % 2 else value)
        if all(c.is_zero() for c in coefficients):
            return None
        if check:
            return self._checked(chosen, coefficients)
        one = self.field.unit_poly
        combination = Combination(
            {
                i: Element(self.field, c, one)
                for i, c in zip(chosen, self._primitive(coefficients), strict=True)
                if not c.is_zero()
            }
        )
        last = combination.coefficients.get(index)
        return combination if last is not None and self.is_nonzero(last) else None

    def _independent_rows(self, columns: list[Column], chosen: list[int]) -> list[Row] | None:
        """len(chosen) − 1 rows on which the columns other than the last are independent."""
        point = ModularPoint(self.field)
        p = point.prime
        target = len(chosen) - 1
        rows = sorted(
            {r for c in chosen for r in columns[c]},
            key=lambda r: (sum(len(columns[c].get(r, ())) for c in chosen), str(r)),
        )
        found: list[Row] = []
        basis: dict[int, list[int]] = {}
        for row in rows:
            if len(found) == target:
                break
            vector = [point.value(columns[c].get(row, {})) for c in chosen[:-1]]
            for lead, other in basis.items():
                if vector[lead]:
                    factor = vector[lead]
                    vector = [(v - factor * o) % p for v, o in zip(vector, other, strict=True)]
            lead = next((i for i, v in enumerate(vector) if v), None)
            if lead is not None:
                inverse = pow(vector[lead], -1, p)
                basis[lead] = [v * inverse % p for v in vector]
                found.append(row)
        return found if len(found) == target else None

    def _determinant(self, matrix: list[list[fmpq_mpoly]]) -> fmpq_mpoly:
        """Bareiss elimination: every division is exact in the polynomial ring."""
        n = len(matrix)
        if n == 0:
            return self.field.unit_poly
        work = [list(row) for row in matrix]
        previous, sign = self.field.unit_poly, 1
        times = self.field.times
        for k in range(n - 1):
            self.deadline.check()
            swap = next((r for r in range(k, n) if not work[r][k].is_zero()), None)
            if swap is None:
                return self.field.context.constant(0)
            if swap != k:
                work[k], work[swap] = work[swap], work[k]
                sign = -sign
            for i in range(k + 1, n):
                for j in range(k + 1, n):
                    value = times(work[k][k], work[i][j]) - times(work[i][k], work[k][j])
                    work[i][j] = value / previous
            previous = work[k][k]
        return work[-1][-1] if sign > 0 else -work[-1][-1]


def proved_zero(expression: Node, atom: AtomFunction, deadline: Deadline) -> bool:
    """The normal form of an expression in x and η is 0: a proof. False says nothing."""
    if expression == 0:
        return True
    if expression.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
        return False
    own = replace(atom, expression=expression)
    try:
        return FormalFamily.from_expressions([expression], own, deadline).is_zero(0)
    except (TooLarge, Rebase, NeedSign, TypeError):
        return False  # TypeError: SymPy left a function that has no normal form


class ModularPoint:
    """Random values modulo a prime for the generators free of x, consistent with the roots.

    A rank found here is a hint, which exact arithmetic or balls have to confirm: a nested root can
    be another one than the real one, so that a constant that is 0 unnoticed need not be 0 here.
    """

    def __init__(self, field: Field, seed: int = 1) -> None:
        rng = random.Random(seed)
        roots = [k for k in field.kernels if k.kind == "root" and not k.in_x]
        self.prime, self.values = 1 << 61, {}
        for _ in range(64):
            # a constant's root exists for some primes only, so the prime changes as well
            self.prime = _prime_below(self.prime, [k.unit for k in roots])
            for _ in range(16 if roots else 1):
                self.values = {i: rng.randrange(1, self.prime) for i in range(len(field.gens))}
                if all(self._set_root(k) for k in roots):
                    return
        raise TooLarge("no modular point with all roots was found")

    def _set_root(self, kernel: Kernel) -> bool:
        argument = kernel.argument
        assert argument is not None
        bottom = self.poly(argument.den)
        if bottom == 0:
            return False
        u = self.poly(argument.num) * pow(bottom, -1, self.prime) % self.prime
        q = kernel.unit
        odd = _odd_part(q)
        root = pow(u, pow(odd, -1, self.prime - 1), self.prime) if odd > 1 else u
        while q % 2 == 0:
            # p ≡ 3 mod 4: of the two square roots exactly one is a square itself
            root = pow(root, (self.prime + 1) // 4, self.prime)
            q //= 2
        if pow(root, kernel.unit, self.prime) != u:
            return False
        self.values[kernel.index] = root
        return True

    def poly(self, poly: fmpq_mpoly) -> int:
        return self.value(poly.to_dict())

    def value(self, terms: dict[tuple[int, ...], fmpq]) -> int:
        p, total = self.prime, 0
        for exponents, coefficient in terms.items():
            number = fmpq(coefficient)
            product = int(number.p) * pow(int(number.q), -1, p) % p
            for index, power in enumerate(exponents):
                if power:
                    product = product * pow(self.values[index], int(power), p) % p
            total += product
        return total % p


def _odd_part(q: int) -> int:
    while q % 2 == 0:
        q //= 2
    return q


def _prime_below(bound: int, units: Sequence[int]) -> int:
    """The next prime p ≡ 3 mod 4 below ``bound`` for which every needed odd root exists."""
    odd_parts = [_odd_part(q) for q in units]
    candidate = bound - 1
    while not (
        candidate % 4 == 3
        and all(fmpz(candidate - 1).gcd(fmpz(q)) == 1 for q in odd_parts)
        and fmpz(candidate).is_prime()
    ):
        candidate -= 1
    return candidate
