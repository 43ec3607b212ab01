"""From one atom to every number of atoms: which combinations are the *same* functions for all θ?

Let V(θ) be the span of one atom's functions. Over k atoms with generic θ_1..θ_k independence can
only be lost through combinations c(θ)·g(·, θ) that stay in one fixed finite-dimensional space as θ
varies (polynomials of bounded degree, say). This module looks for such *fixed* combinations:

- one exists and its space has dimension m: with r of them per atom, more than m/r atoms are
  dependent, for every θ (a pigeonhole count: the proof of ``no`` for poly20);
- none exists and all kernels are algebraically independent: the functions are independent for
  every k and almost every θ. Proof: let K be C(x) with the kernels in x alone, and t_i the moving
  kernels of atom i. If Σ_i f_i = 0 with f_i in K(t_i) and all t_i independent over K, each f_i is
  free of t_i, that is in K; poles that move with θ differ between atoms and cannot cancel, so
  each f_i is a fixed combination, hence 0.

Kernels accepted as independent for almost every θ (Ax–Kolchin–Ostrowski): exp and tan of
polynomials in x that are Q-linearly independent modulo constants, and the moving ones also modulo
functions of x alone; erf of a polynomial; log of an irreducible polynomial in x and those exps;
atan of a polynomial.

Kinks. Where a kink of atom i moves with θ_i, the kinks of all other atoms, and those that do not
move, meet it in a null set only (Fubini), so Σ_i f_i = 0 makes f_i analytic across it: f_i is the
same function on both sides. Which sides meet at a kink that moves is not read off the signs but
shown by balls at the given θ (:meth:`identkit.sampling.Sampler.meetings`). A ``no`` for every θ
may not rely on what meets what: there the combination must be one function under each set of
signs of the kinks that do not move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat, fmpq_mpoly

from identkit.algebra import Element, Kernel
from identkit.normal_form import Field
from identkit.relations import Branch, Column, Combination, FormalFamily


@dataclass(frozen=True)
class FixedSpace:
    """``combinations`` of one atom's functions lie in a space of dimension ``dimension``.

    The space does not depend on θ, so ``atoms`` = dimension // len(combinations) + 1 atoms are
    dependent whatever their parameters. ``degree`` is set when the space is that of polynomials
    in x of at most this total degree; ``spanned_by`` lists its basis otherwise. Vectors of
    polynomials have one of ``degrees`` for each component, None where all combinations are 0.
    """

    combinations: tuple[Combination, ...]
    dimension: int
    degree: int | None
    spanned_by: tuple[str, ...]
    degrees: tuple[int | None, ...] = ()

    @property
    def atoms(self) -> int:
        """The smallest number of atoms for which the count proves dependence."""
        return self.dimension // len(self.combinations) + 1


class Movement:
    """The moving part of each function of one atom: a combination is fixed iff its part is 0.

    ``meetings`` are the sign patterns of the kinks seen in the domain at *one* value of θ, grouped
    by what meets at moving kinks: they occur for all θ near it, and nothing else is assumed to
    occur. With None every pattern is taken, as a statement for every θ needs: a combination must
    then be one function wherever the kinks that do not move (those of parameters alone among
    them) have the same signs.
    """

    def __init__(
        self, family: FormalFamily, meetings: Sequence[Sequence[dict[str, int]]] | None = None
    ) -> None:
        self.family, self.field = family, family.field
        # polynomials whose irreducibility and movement the argument relies on
        self.structural: list[fmpq_mpoly] = []
        self.cells: list[_Cell] = (
            self._every_cell()
            if meetings is None
            else [_Cell({}, self._branches_of(patterns)) for patterns in meetings]
        )
        self.columns = self._columns()

    def _branches_of(self, patterns: Sequence[dict[str, int]]) -> list[Branch]:
        """The branches with these signs; the signs of a branch are those it depends on."""
        return [
            b
            for b in self.family.branches
            if any(all(p[key] == sign for key, sign in b.signs.items()) for p in patterns)
        ]

    def _every_cell(self) -> list[_Cell]:
        found = self.family.cells(lambda key: not self._kink_moves(key))
        return [_Cell(signs, [self.family.branches[n] for n in inside]) for signs, inside in found]

    # -- rows -------------------------------------------------------------------------------

    def _columns(self) -> list[Column]:
        columns: list[Column] = [{} for _ in range(self.family.size)]
        for number, cell in enumerate(self.cells):
            first, *others = cell.branches
            for j, other in enumerate(others):
                differences = [o - f for o, f in zip(other.elements, first.elements, strict=True)]
                numerators, _ = self.family.over_common(differences)
                self._add(columns, (number, "jump", j), numerators)
            self._add_moving(columns, number, first.elements)
        return columns

    def _add(self, columns: list[Column], prefix: tuple, polys: Sequence[fmpq_mpoly]) -> None:
        for column, poly in zip(columns, polys, strict=True):
            self.family.add_rows(column, prefix, poly)

    def _add_moving(self, columns: list[Column], group: int, elements: Sequence[Element]) -> None:
        """∂/∂t for every moving kernel t, and remainders modulo every moving pole."""
        field = self.field
        numerators, common = self.family.over_common(elements)
        for kernel in moving_kernels(field):
            t = kernel.index
            slope = common.derivative(t)
            parts = [
                field.times(common, p.derivative(t)) - field.times(p, slope) for p in numerators
            ]
            self._add(columns, (group, "kernel", t), parts)
        _, factors = field.factor(common)
        for position, (factor, power) in enumerate(factors):
            if self.field.depends(self.field.occurring(factor))[0]:
                self.structural.append(factor)
            if self._pole_moves(factor):
                remainders = _remainders(field, numerators, factor**power)
                self._add(columns, (group, "pole", position), remainders)

    def _pole_moves(self, factor: fmpq_mpoly) -> bool:
        indices = self.field.occurring(factor)
        kernels = [k for i in indices if (k := self.field.kernel_at(i)) and k.in_x]
        if any(k.in_parameters for k in kernels):
            return False  # seen by the derivative in that kernel
        return self.field.depends(indices)[0] and moves(self.field, factor)

    def _kink_moves(self, key: str) -> bool:
        factor = self.field.sign_polys[key]
        return self.field.depends(self.field.occurring(factor))[0] and moves(self.field, factor)

    # -- answers ----------------------------------------------------------------------------

    def fixed_space(self, kept: Sequence[int]) -> FixedSpace | None:
        """The fixed combinations of the kept functions and a space that holds them.

        None if none could be exhibited exactly; that there is none is what :meth:`all_move` proves.
        """
        _, dependent = self.family.echelon(self.columns, kept)
        found = []
        for index, support in dependent:
            combination = self.family.null_combination(self.columns, index, support, check=False)
            if combination is not None and self._is_fixed(combination):
                found.append(combination)
        # each combination ends in a function no other contains, so they are independent
        return self.space_of(found) if found else None

    def all_move(self, kept: Sequence[int]) -> bool:
        """Proved: for almost every θ no combination of the kept functions is fixed."""
        return self.family.proved_independent(self.columns, kept)

    def space_of(self, combinations: Sequence[Combination]) -> FixedSpace | None:
        """The space holding these combinations, None unless all are proved fixed."""
        if not all(self._is_fixed(c) for c in combinations):
            return None
        return self._space(list(combinations))

    def _is_fixed(self, combination: Combination) -> bool:
        """Exact: one value per cell, without moving kernels or poles."""
        for cell in self.cells:
            values = [self.family.apply(combination, b) for b in cell.branches]
            first = values[0]
            if any(not (v - first).is_zero for v in values[1:]):
                return False
            indices = first.generators()
            if any((k := self.field.kernel_at(i)) and k.in_x and k.in_parameters for i in indices):
                return False
            below = self.field.occurring(first.den)
            if self.field.depends(below)[0] and moves(self.field, first.den):
                return False
        return True

    def _space(self, combinations: list[Combination]) -> FixedSpace | None:
        pieces = []
        for cell in self.cells:
            values = [self.family.apply(c, cell.branches[0]) for c in combinations]
            numerators, common = self.family.over_common(values)
            below = self._fixed_part(common)
            if not below.is_constant() and moves(self.field, below):
                return None
            pieces.append(
                _Piece(*self._split(cell.signs), tuple(numerators), below, common / below)
            )
        degrees = self._degrees(pieces)
        by_degree = None
        if degrees is not None:
            d = len(self.family.atom.inputs)
            by_degree = sum(math.comb(n + d, d) for n in degrees if n is not None)
        # where forms replace inputs, x-monomials in the forms differ from atom to atom
        basis = None if self.field.forms else self._span(pieces)
        if basis is not None and (by_degree is None or len(basis) < by_degree):
            return FixedSpace(tuple(combinations), len(basis), None, tuple(basis))
        if by_degree is None or degrees is None:
            return None
        degree = max((n for n in degrees if n is not None), default=0)
        several = degrees if self.family.atom.markers else ()
        return FixedSpace(tuple(combinations), by_degree, degree, (), several)

    def _degrees(self, pieces: Sequence[_Piece]) -> tuple[int | None, ...] | None:
        """The total degree in x of each component if all pieces are one polynomial in x alone."""
        field = self.field
        for piece in pieces:
            kernels = (field.kernel_at(i) for p in piece.numerators for i in field.occurring(p))
            if piece.region or not piece.below.is_constant() or any(k and k.in_x for k in kernels):
                return None
        atom = self.family.atom
        d, places = len(atom.inputs), range(len(atom.inputs), len(atom.variables))
        monomials = [m for piece in pieces for p in piece.numerators for m in p.monoms()]
        if not places:
            return (max((_degree_in_x(m, d) for m in monomials), default=0),)
        own = ([_degree_in_x(m, d) for m in monomials if m[i]] for i in places)
        return tuple(max(found, default=None) for found in own)

    def _span(self, pieces: Sequence[_Piece]) -> list[str]:
        """A basis of the span, over all θ, of the combinations.

        Written Σ_μ θ^μ s_μ(x), a combination lies for every θ in the span of its coefficients s_μ.
        """
        vectors: dict[tuple, dict[tuple, fmpq]] = {}
        below = {str(piece.below): piece.below for piece in pieces}
        for piece in pieces:
            for position, numerator in enumerate(piece.numerators):
                column: Column = {}
                # equal rows mean equal functions: same region, same denominator, same monomial
                self.family.add_rows(column, ((piece.region, str(piece.below)),), numerator)
                for row, terms in column.items():
                    for monomial, value in terms.items():
                        # pieces of one function under the same signs of parameters belong together,
                        # over the same factor in θ
                        key = (position, piece.pattern, str(piece.factor), monomial)
                        vectors.setdefault(key, {})[row] = fmpq(value)
        # the reduced echelon form, functions ordered by name: one basis whatever led to the span
        rows = sorted({row for v in vectors.values() for row in v}, key=self._row_name)
        flat = [v.get(row, fmpq(0)) for v in vectors.values() for row in rows]
        reduced, rank = fmpq_mat(len(vectors), len(rows), flat).rref()
        basis = [
            {row: reduced[n, i] for i, row in enumerate(rows) if reduced[n, i] != 0}
            for n in range(int(rank))
        ]
        return [self._vector_text(vector, below) for vector in basis]

    def _row_name(self, row: tuple) -> tuple:
        names = (*self.field.inputs, *self.field.parameters)
        place, *powers = row
        factors = sorted((str(self.field.generator_expression(i, names)), e) for i, e in powers)
        return sum(e for _, e in factors), factors, str(place)

    def _vector_text(self, vector: dict[tuple, fmpq], below: dict[str, fmpq_mpoly]) -> str:
        names = (*self.field.inputs, *self.field.parameters)
        parts: dict[tuple, list[Any]] = {}
        for (place, *powers), value in vector.items():
            factors = [self.field.generator_expression(i, names) ** int(e) for i, e in powers]
            parts.setdefault(place, []).append(
                sp.Mul(sp.Rational(int(value.p), int(value.q)), *factors)
            )
        texts = []
        for (region, denominator), terms in parts.items():
            bottom = self.field.to_sympy(
                Element(self.field, below[denominator], self.field.unit_poly)
            )
            where = ", ".join(f"{key} {'>' if sign > 0 else '<'} 0" for key, sign in region)
            shown = self.family.atom.shown(sp.Add(*terms) / bottom)
            texts.append(shown + (f" on {where}" if where else ""))
        return " and ".join(texts)

    def _fixed_part(self, denominator: fmpq_mpoly) -> fmpq_mpoly:
        """The factors of a denominator that depend on x."""
        result = self.field.unit_poly
        for factor, power in self.field.factor(denominator)[1]:
            if self.field.depends(self.field.occurring(factor))[0]:
                result = result * factor**power
        return result

    def _split(self, signs: dict[str, int]) -> tuple[tuple, tuple]:
        """Signs of parameters alone, and the signs that restrict x."""
        polys, still = self.field.sign_polys, sorted(signs.items())
        in_x = {key for key in signs if self.field.depends(self.field.occurring(polys[key]))[0]}
        return (
            tuple(pair for pair in still if pair[0] not in in_x),
            tuple(pair for pair in still if pair[0] in in_x),
        )


@dataclass(frozen=True)
class _Cell:
    """Branches on which a fixed combination must be one function, and the signs they share."""

    signs: dict[str, int]
    branches: list[Branch]


@dataclass(frozen=True)
class _Piece:
    """Fixed combinations on the part of the x-space where ``region``'s signs hold.

    ``pattern`` are signs of parameters; each value is numerator / (``below`` · ``factor``), where
    ``factor`` is free of x.
    """

    pattern: tuple
    region: tuple
    numerators: tuple[fmpq_mpoly, ...]
    below: fmpq_mpoly
    factor: fmpq_mpoly


def _degree_in_x(monomial: Sequence[Any], d: int) -> int:
    return sum(int(e) for e in monomial[:d])


def moving_kernels(field: Field) -> list[Kernel]:
    """Kernels that depend both on x and on θ."""
    return [k for k in field.kernels if k.in_x and k.in_parameters]


def moves(field: Field, poly: fmpq_mpoly) -> bool:
    """Whether the zero set of a polynomial changes with θ: no c(θ)·p(x) equals it."""
    in_x = {i for i in field.occurring(poly) if field.in_x(i)}
    if any((k := field.kernel_at(i)) and k.in_parameters for i in in_x):
        return True
    original = field.to_original(poly)
    by_monomial: dict[tuple, dict[tuple, fmpq]] = {}
    variables = {*range(field.d), *in_x}
    for exponents, coefficient in original.to_dict().items():
        row = tuple(e for i, e in enumerate(exponents) if i in variables)
        rest = tuple(e for i, e in enumerate(exponents) if i not in variables)
        by_monomial.setdefault(row, {})[rest] = fmpq(coefficient)
    first, *others = by_monomial.values()
    for other in others:
        if other.keys() != first.keys():
            return True
        ratios = [v / first[k] for k, v in other.items()]
        if any(r != ratios[0] for r in ratios):
            return True
    return False


def _remainders(field: Field, polys: Sequence[fmpq_mpoly], divisor: fmpq_mpoly) -> list[fmpq_mpoly]:
    """Pseudo-remainders in one variable, with the same multiplier for every polynomial."""
    degrees = divisor.degrees()
    variable = max((i for i in field.occurring(divisor) if field.in_x(i)), key=lambda i: degrees[i])
    n = int(degrees[variable])
    lead = _coefficient(field, divisor, variable, n)
    top = max((int(p.degrees()[variable]) for p in polys if not p.is_zero()), default=0)
    result = list(polys)
    for degree in range(top, n - 1, -1):
        shifted = field.times(divisor, field.gens[variable] ** (degree - n))
        result = [
            field.times(lead, p) - field.times(_coefficient(field, p, variable, degree), shifted)
            for p in result
        ]
    return result


def _coefficient(field: Field, poly: fmpq_mpoly, variable: int, degree: int) -> fmpq_mpoly:
    terms = {}
    for exponents, coefficient in poly.to_dict().items():
        if exponents[variable] == degree:
            monomial = list(exponents)
            monomial[variable] = 0
            terms[tuple(monomial)] = coefficient
    return field.context.from_dict(terms)
