"""Fractions of polynomials over Q in inputs, parameters and kernels: the algebra of normal forms.

Polynomials are FLINT's (python-flint), so arithmetic, gcd and factorisation are exact and fast.
What the kernels mean is :mod:`identkit.normal_form`'s business; here a root kernel is known to
satisfy R^q = radicand, and every kernel knows whether it depends on x and on the parameters.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import Ordering, arb, fmpq, fmpq_mpoly, fmpq_mpoly_ctx, fmpz

from identkit.balls import Tape, ball, precision
from identkit.deadline import Deadline
from identkit.errors import OutOfTime
from identkit.expression import symbol
from identkit.vocabulary import Cause

MAX_TERMS = 20_000
"""Polynomials beyond this many terms are given up on (:class:`TooLarge`), not waited for."""
MAX_BITS = 8_192
"""Longest constant in a kernel (exp(n*log(2)) is 2**n): Python writes none above 14,000 bits."""
MAX_CONJUGATES = 12
"""Largest product of the indices of constant roots that are cleared from a denominator."""
PLACES_TRIED = 12
"""Places at which a denominator should be proved nonzero."""
SPARE_KERNELS = 96
"""Kernels one family may need; a d = 8 ridge expert needs two."""


class TooLarge(OutOfTime):
    """The normal form would outgrow its limits; independence can still be proved by balls."""

    cause = Cause.SIZE_LIMIT


@dataclass(frozen=True)
class Kernel:
    """A transcendental or algebraic generator.

    ``kind`` is exp, tan, erf, atan, log, root or pi; ``argument`` the element it is applied to
    (for tan, half the angle); ``unit`` a root's index. ``in_x`` and ``in_parameters`` tell on
    what it depends.
    """

    index: int
    kind: str
    argument: Element | None
    unit: int
    in_x: bool
    in_parameters: bool
    expression: sp.Expr


class Element:
    """A fraction num/den of polynomials in the field's generators, in lowest terms."""

    __slots__ = ("den", "field", "num")

    def __init__(self, field: Algebra, num: fmpq_mpoly, den: fmpq_mpoly) -> None:
        self.field, self.num, self.den = field, num, den

    def __add__(self, other: Element) -> Element:
        if self.den == other.den:
            return self.field.fraction(self.num + other.num, self.den)
        times = self.field.times
        return self.field.fraction(
            times(self.num, other.den) + times(other.num, self.den), times(self.den, other.den)
        )

    def __neg__(self) -> Element:
        return Element(self.field, -self.num, self.den)

    def __sub__(self, other: Element) -> Element:
        return self + (-other)

    def __mul__(self, other: Element) -> Element:
        times = self.field.times
        return self.field.fraction(times(self.num, other.num), times(self.den, other.den))

    def inverse(self) -> Element:
        if self.num.is_zero():
            raise TooLarge("a denominator vanishes identically")
        return self.field.fraction(self.den, self.num)

    def __truediv__(self, other: Element) -> Element:
        return self * other.inverse()

    def __pow__(self, power: int) -> Element:
        if power < 0:
            return self.inverse() ** (-power)
        result, square = self.field.one, self
        while power:
            if power & 1:
                result = result * square
            power >>= 1
            if power:
                square = square * square
        return result

    @property
    def is_zero(self) -> bool:
        """Proved zero as a function."""
        return bool(self.num.is_zero())

    def generators(self) -> set[int]:
        """Indices of the generators that occur."""
        return self.field.occurring(self.num) | self.field.occurring(self.den)


class Algebra:
    """Q(inputs, parameters, kernels).

    Generators are numbered: inputs, then parameters, then kernels in the order they are added.
    ``forms[i]`` is set where generator i stands for an affine form instead of input i (then
    written in the original inputs), ``form_expressions[i]`` is that form in SymPy.
    """

    def __init__(
        self, inputs: Sequence[str], parameters: Sequence[str], deadline: Deadline | None = None
    ) -> None:
        self.inputs, self.parameters = tuple(inputs), tuple(parameters)
        self.d, self.q = len(inputs), len(parameters)
        spare = [f"k{i}" for i in range(SPARE_KERNELS)]
        size = self.d + self.q
        self.context = fmpq_mpoly_ctx.get([f"g{i}" for i in range(size)] + spare, Ordering.lex)
        self.gens = self.context.gens()
        self.kernels: list[Kernel] = []
        self.deadline = deadline
        self._by_key: dict[tuple[str, Any], int] = {}
        self._roots: list[Kernel] = []
        self.unit_poly = self.context.constant(1)
        self.one = Element(self, self.unit_poly, self.unit_poly)
        self.zero = Element(self, self.context.constant(0), self.unit_poly)
        self.forms: dict[int, Element] = {}
        self.form_expressions: dict[int, sp.Expr] = {}

    def generator(self, index: int) -> Element:
        """The generator with this index as an element."""
        return Element(self, self.gens[index], self.unit_poly)

    def constant(self, value: Fraction | int) -> Element:
        """A rational constant."""
        fraction = Fraction(value)
        return Element(
            self,
            self.context.constant(fmpq(fraction.numerator, fraction.denominator)),
            self.unit_poly,
        )

    def times(self, left: fmpq_mpoly, right: fmpq_mpoly) -> fmpq_mpoly:
        """Product, refused with :class:`TooLarge` when it could outgrow the limits."""
        if len(left) * len(right) > 40 * MAX_TERMS:
            raise TooLarge("the normal form has too many terms")
        product = left * right
        if len(product) > MAX_TERMS:
            raise TooLarge("the normal form has too many terms")
        return product

    def fraction(self, num: fmpq_mpoly, den: fmpq_mpoly) -> Element:
        """num/den in lowest terms with root kernels reduced."""
        if self.deadline is not None:
            self.deadline.check()
        if self._roots:
            reduced_num, reduced_den = self.reduce(num), self.reduce(den)
            if reduced_num is not None or reduced_den is not None:
                top = reduced_num or Element(self, num, self.unit_poly)
                bottom = reduced_den or Element(self, den, self.unit_poly)
                return self.fraction(
                    self.times(top.num, bottom.den), self.times(top.den, bottom.num)
                )
        if den.is_zero():
            raise TooLarge("a denominator vanishes identically")
        if num.is_zero():
            return self.zero
        if den.is_constant():
            scale = den.leading_coefficient()
            return Element(self, num if scale == 1 else num / scale, self.unit_poly)
        common = num.gcd(den)
        if not common.is_constant():
            num, den = num / common, den / common
        scale = den.leading_coefficient()
        if scale != 1:
            num, den = num / scale, den / scale
        inverse = self._rational_inverse(den)
        if inverse is not None:
            return Element(self, num, self.unit_poly) * inverse
        return Element(self, num, den)

    def _rational_inverse(self, den: fmpq_mpoly) -> Element | None:
        """1/den without constant roots below the line, None if there are none (or no way).

        An element written with 1/√2 and √2/2 would have two forms, and a null vector many scales.
        Roots may depend on each other unnoticed (√(3 + 2√2) = 1 + √2): formal divisions are then
        by what is 0. So the result is checked: den·(1/den) = 1 as polynomials, and its denominator
        is proved not to be the function 0.
        """
        roots = self._constant_roots(den) if self._roots else []
        if not roots or math.prod(k.unit for k in roots) > MAX_CONJUGATES:
            return None
        try:
            found = self._conjugated(den, roots[0])
        except TooLarge:
            return None
        if found is None or not self.is_nonzero_somewhere(found.den):
            return None
        top = self.times(den, found.num)
        product = self.reduce(top) or Element(self, top, self.unit_poly)
        exact = self.times(found.den, product.den)
        reduced = self.reduce(exact) or Element(self, exact, self.unit_poly)
        same = product.num * reduced.den - reduced.num
        left = self.reduce(same) or Element(self, same, self.unit_poly)
        return found if left.is_zero else None

    def _constant_roots(self, poly: fmpq_mpoly) -> list[Kernel]:
        """The roots free of x in a polynomial, those added last first."""
        occurring = self.occurring(poly)
        return [k for k in reversed(self._roots) if k.index in occurring and not k.in_x]

    def _conjugated(self, den: fmpq_mpoly, root: Kernel) -> Element | None:
        """1/den formally, by solving den·y = 1 on the powers of one root."""
        assert root.argument is not None
        q, parts = root.unit, self.powers_of(den, root.index)
        known = [
            self.fraction(parts[i], self.unit_poly) if i in parts else self.zero for i in range(q)
        ]
        # multiplication by den on 1, R, …, R^(q-1), with the first unit vector beside it
        rows = [
            [known[i - j] if i >= j else root.argument * known[i - j + q] for j in range(q)]
            + [self.zero if i else self.one]
            for i in range(q)
        ]
        for k in range(q):
            swap = next((r for r in range(k, q) if not rows[r][k].is_zero), None)
            if swap is None:
                return None
            rows[k], rows[swap] = rows[swap], rows[k]
            pivot = rows[k][k].inverse()
            rows[k] = [v * pivot for v in rows[k]]
            for r in range(q):
                if r != k and not rows[r][k].is_zero:
                    factor = rows[r][k]
                    rows[r] = [v - factor * w for v, w in zip(rows[r], rows[k], strict=True)]
        result, power = self.zero, self.one
        for row in rows:
            result, power = result + row[q] * power, power * self.generator(root.index)
        return result

    def is_nonzero_somewhere(self, poly: fmpq_mpoly) -> bool:
        """Proved not to be the function 0: a ball at some inputs and parameters excludes 0."""
        if poly.is_constant():
            return not poly.is_zero()
        names = (*self.inputs, *self.parameters)
        variables = [symbol(n) for n in names]
        rng = random.Random(3)
        indices = sorted(self.occurring(poly))
        tape = Tape([self.generator_expression(i, names) for i in indices], variables)
        with precision(256):
            for _ in range(PLACES_TRIED):
                at = [ball(Fraction(rng.randrange(1, 64), 16)) for _ in names]
                values = dict(zip(indices, tape.evaluate(at), strict=True))
                total = value_of(poly.to_dict(), values)
                if total.is_finite() and not total.contains(0):
                    return True
        return False

    def powers_of(self, poly: fmpq_mpoly, index: int) -> dict[int, fmpq_mpoly]:
        """The coefficients of a polynomial in one generator."""
        parts: dict[int, dict] = {}
        for exponents, coefficient in poly.to_dict().items():
            monomial = list(exponents)
            monomial[index] = 0
            parts.setdefault(int(exponents[index]), {})[tuple(monomial)] = coefficient
        return {power: self.context.from_dict(terms) for power, terms in parts.items()}

    def reduce(self, poly: fmpq_mpoly) -> Element | None:
        """Replace R^q by its radicand for every root kernel R; None if nothing to do."""
        degrees = poly.degrees()
        for kernel in self._roots:
            if degrees[kernel.index] < kernel.unit:
                continue
            assert kernel.argument is not None
            parts: dict[int, dict] = {}
            for exponents, coefficient in poly.to_dict().items():
                high, low = divmod(exponents[kernel.index], kernel.unit)
                monomial = list(exponents)
                monomial[kernel.index] = low
                parts.setdefault(high, {})[tuple(monomial)] = coefficient
            total = self.zero
            for high, terms in parts.items():
                part = Element(self, self.context.from_dict(terms), self.unit_poly)
                total = total + part * kernel.argument**high
            return total
        return None

    def occurring(self, poly: fmpq_mpoly) -> set[int]:
        """Indices of the generators in a polynomial."""
        return {i for i, degree in enumerate(poly.degrees()) if degree > 0}

    def depends(self, indices: set[int]) -> tuple[bool, bool]:
        """Whether generators with these indices depend on x, and on the parameters."""
        in_x = in_parameters = False
        for i in indices:
            if i < self.d:
                in_x, in_parameters = True, in_parameters or i in self.forms
            elif i < self.d + self.q:
                in_parameters = True
            else:
                kernel = self.kernels[i - self.d - self.q]
                in_x, in_parameters = in_x or kernel.in_x, in_parameters or kernel.in_parameters
        return in_x, in_parameters

    def in_x(self, index: int) -> bool:
        """Whether one generator depends on x."""
        return self.depends({index})[0]

    def kernel_at(self, index: int) -> Kernel | None:
        """The kernel with this generator index, None for other generators."""
        position = index - self.d - self.q
        return self.kernels[position] if 0 <= position < len(self.kernels) else None

    def factor(self, poly: fmpq_mpoly) -> tuple[fmpq, list[tuple[fmpq_mpoly, int]]]:
        """Content and irreducible factors over Q."""
        if len(poly) > MAX_TERMS // 10:
            raise TooLarge("a polynomial is too large to factor")
        content, factors = poly.factor()
        return content, [(f, int(e)) for f, e in factors]

    def linear_part(
        self,
        element: Element,
        exclude: frozenset[int] | set[int] = frozenset(),
        only: set[int] | None = None,
    ) -> tuple[dict[int, Element], Element]:
        """Coefficients of the (free) inputs and the rest, for an element affine in them."""
        slopes: dict[int, dict] = {}
        rest: dict = {}
        for exponents, coefficient in element.num.to_dict().items():
            hit = [
                i
                for i in range(self.d)
                if exponents[i] and i not in exclude and (only is None or i in only)
            ]
            if hit:
                monomial = list(exponents)
                monomial[hit[0]] -= 1
                slopes.setdefault(hit[0], {})[tuple(monomial)] = coefficient
            else:
                rest[exponents] = coefficient

        def part(terms: dict) -> Element:
            return self.fraction(self.context.from_dict(terms), element.den)

        return {i: part(t) for i, t in slopes.items()}, part(rest)

    def to_original(self, poly: fmpq_mpoly) -> fmpq_mpoly:
        """A polynomial without x-kernels, written in the original inputs instead of the forms."""
        if not self.forms or not self.occurring(poly) & set(self.forms):
            return poly
        images = list(self.gens)
        for i, form in self.forms.items():
            if not form.den.is_constant():
                raise TooLarge("a coordinate form has a denominator")
            images[i] = form.num
        # a power e of a form with n terms has C(e + n - 1, e) terms
        bound = sum(
            math.prod(
                math.comb(int(exps[i]) + len(images[i]) - 1, int(exps[i])) for i in self.forms
            )
            for exps in poly.monoms()
        )
        if bound > MAX_TERMS:
            raise TooLarge("the expanded polynomial has too many terms")
        return poly.compose(*images, ctx=self.context)

    def kernel(
        self, kind: str, key: Any, argument: Element | None, unit: int, expression: sp.Expr
    ) -> Element:
        """The generator of the kernel with this key, added if it is new."""
        full_key = (kind, key)
        index = self._by_key.get(full_key)
        if index is None:
            index = self.d + self.q + len(self.kernels)
            if len(self.kernels) == SPARE_KERNELS:
                raise TooLarge("the normal form needs too many kernels")
            constants: Any = expression.atoms(sp.Rational)
            if any(max(abs(c.p), c.q).bit_length() > MAX_BITS for c in constants):
                raise TooLarge("a constant has too many digits")
            in_x, in_parameters = self.depends(argument.generators() if argument else set())
            kernel = Kernel(index, kind, argument, unit, in_x, in_parameters, expression)
            self.kernels.append(kernel)
            self._by_key[full_key] = index
            if kind == "root":
                self._roots.append(kernel)
        return self.generator(index)

    def has_roots(self) -> bool:
        """Whether some generator is a root."""
        return bool(self._roots)

    def leading_by_name(self, poly: fmpq_mpoly) -> fmpq:
        """The coefficient of the greatest monomial, whatever order the kernels were added in."""
        names = (*self.inputs, *self.parameters)

        def key(term: tuple[tuple[int, ...], fmpq]) -> list[tuple[str, int]]:
            powers = [(i, int(e)) for i, e in enumerate(term[0]) if e]
            return sorted((str(self.generator_expression(i, names)), e) for i, e in powers)

        return max(poly.to_dict().items(), key=key)[1]

    # -- back to SymPy ----------------------------------------------------------------------

    def to_sympy(self, element: Element) -> sp.Expr:
        """The element as a SymPy expression in the original inputs and parameters."""
        top, bottom = self._poly_to_sympy(element.num), self._poly_to_sympy(element.den)
        return top / bottom

    def _poly_to_sympy(self, poly: fmpq_mpoly) -> sp.Expr:
        names = (*self.inputs, *self.parameters)
        total = sp.Integer(0)
        for exponents, coefficient in poly.to_dict().items():
            value = rational(coefficient)
            term: sp.Expr = sp.Rational(value.numerator, value.denominator)
            for index, power in enumerate(exponents):
                if power:
                    term *= self.generator_expression(index, names) ** int(power)
            total += term
        return total

    def generator_expression(self, index: int, names: tuple[str, ...]) -> sp.Expr:
        """A generator as a SymPy expression; ``names`` are the inputs and parameters."""
        kernel = self.kernel_at(index)
        if kernel is not None:
            return kernel.expression
        if index in self.forms:
            return self.form_expressions[index]
        return symbol(names[index])


def value_of(terms: dict[tuple[int, ...], fmpq], values: dict[int, arb]) -> arb:
    """A polynomial, as its terms, at these balls of its generators."""
    total = arb(0)
    for exponents, coefficient in terms.items():
        product = arb(fmpq(coefficient))
        for index, power in enumerate(exponents):
            if power:
                product *= values[index] ** int(power)
        total += product
    return total


def rational(value: fmpq | fmpz) -> Fraction:
    """A FLINT number as a Fraction."""
    return Fraction(int(value.p), int(value.q)) if isinstance(value, fmpq) else Fraction(int(value))
