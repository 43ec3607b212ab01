"""A sound zero test: functions of (x, θ) as fractions of polynomials over Q in generators.

A generator is an input, a parameter, or one exp, tan (of half an angle), erf, atan, log, root or π.
Generators are only ever replaced by equals: exp(u + v) = exp(u)exp(v), the addition theorem of the
tangent, log of a product, R^q = radicand; so a fraction whose numerator is the polynomial 0 *is* 0.
The converse fails, since generators may depend on each other unnoticed, and nothing here uses it.

Two things have to hold besides. A denominator must not be the function 0 unnoticed (with
√(3 + 2√2) = 1 + √2 it could be): whatever is divided by is shown to be nonzero by balls at every
one of a few places where it is defined (:meth:`Field.show_nonzero`). And Step makes cases: under
each set of signs of the irreducible factors of its arguments the functions are smooth, and what is
claimed has to hold in every case (:class:`Cases`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import Ordering, arb, fmpq, fmpq_mpoly, fmpq_mpoly_ctx, fmpz

from identkit.atoms import AtomFunction
from identkit.balls import NOT_A_NUMBER, Node, ball, precision
from identkit.conditions import BasisFunction
from identkit.deadline import Deadline
from identkit.domain import Interval
from identkit.experts import symbols
from identkit.expression import Step, symbol
from identkit.forms import affine_forms

MAX_TERMS = 20_000
MAX_CASES = 64
"""Sets of signs of the kinks."""
MAX_UNITS = 40
"""How often exp(z) may be rewritten as exp(z/2)²."""
SPARE = 96
"""Generators besides inputs and parameters."""
PLACES = 9
"""Rational values of (x, θ) at which denominators and pivots are looked at."""
BITS = 384


class Unshown(Exception):
    """The kernel cannot show it: a limit was met, or a rule is missing. No judgement on it."""


class _Finer(Exception):
    """A generator is needed for a fraction of its argument."""

    def __init__(self, key: tuple, unit: Any) -> None:
        super().__init__(key)
        self.key, self.unit = key, unit


class _NeedSign(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True)
class Generator:
    """``argument`` is what the function is applied to, ``order`` the index of a root."""

    index: int
    kind: str
    argument: Element | None
    order: int
    in_x: bool
    in_theta: bool


class Element:
    """num/den in lowest terms."""

    __slots__ = ("den", "field", "num")

    def __init__(self, field: Field, num: fmpq_mpoly, den: fmpq_mpoly) -> None:
        self.field, self.num, self.den = field, num, den

    def __add__(self, other: Element) -> Element:
        f = self.field
        if self.den == other.den:
            return f.fraction(self.num + other.num, self.den)
        top = f.times(self.num, other.den) + f.times(other.num, self.den)
        return f.fraction(top, f.times(self.den, other.den))

    def __neg__(self) -> Element:
        return Element(self.field, -self.num, self.den)

    def __sub__(self, other: Element) -> Element:
        return self + (-other)

    def __mul__(self, other: Element) -> Element:
        f = self.field
        return f.fraction(f.times(self.num, other.num), f.times(self.den, other.den))

    def __truediv__(self, other: Element) -> Element:
        self.field.show_nonzero(other.num)
        return self * self.field.fraction(other.den, other.num)

    def __pow__(self, power: int) -> Element:
        if power < 0:
            return (self.field.one / self) ** -power
        result = self.field.one
        for bit in bin(power)[2:]:
            result = result * result
            result = result * self if bit == "1" else result
        return result

    @property
    def is_zero(self) -> bool:
        """Whether it is proved to be the function 0; False says nothing."""
        return bool(self.num.is_zero())

    @property
    def is_number(self) -> bool:
        return bool(self.num.is_constant() and self.den.is_constant())

    def generators(self) -> set[int]:
        return self.field.occurring(self.num) | self.field.occurring(self.den)


class Field:
    """The generators of one set of functions, their derivatives and their values at places.

    ``forms`` are affine forms in x, each of which takes the place of an input as a generator (an
    invertible change wherever the slope divided by is nonzero). ``units`` are the arguments of exp
    and tan and the indices of roots that everything else is an integer multiple of.
    """

    def __init__(
        self,
        atom: AtomFunction,
        sides: Sequence[Interval],
        forms: Sequence[Any],
        units: dict[tuple, Any],
        deadline: Deadline,
    ) -> None:
        self.names = (*atom.inputs, *atom.parameters)
        self.d, self.q = len(atom.inputs), len(atom.parameters)
        self.deadline, self.units = deadline, units
        size = self.d + self.q
        names = [f"v{i}" for i in range(size)] + [f"k{i}" for i in range(SPARE)]
        self.context = fmpq_mpoly_ctx.get(names, Ordering.lex)
        self.gens = self.context.gens()
        self.unit = self.context.constant(1)
        self.one, self.zero = (Element(self, self.context.constant(c), self.unit) for c in (1, 0))
        self.kernels: list[Generator] = []
        self.forms: dict[int, Element] = {}
        self.signs: dict[str, int] = {}
        self.kinks: dict[str, fmpq_mpoly] = {}
        self._given = _places(sides, self.q)
        self.values = [list(v) for v in self._given]
        self._derivatives: dict[tuple[int, int], Element] = {}
        self._memo = {symbol(n): self.generator(i) for i, n in enumerate(self.names)}
        self._replace_inputs(forms)

    # -- arithmetic -------------------------------------------------------------------------

    def generator(self, index: int) -> Element:
        return Element(self, self.gens[index], self.unit)

    def constant(self, value: Fraction | int) -> Element:
        number = Fraction(value)
        return Element(
            self, self.context.constant(fmpq(number.numerator, number.denominator)), self.unit
        )

    def polynomial(self, terms: dict) -> fmpq_mpoly:
        return self.context.from_dict(terms)

    def times(self, left: fmpq_mpoly, right: fmpq_mpoly) -> fmpq_mpoly:
        if len(left) * len(right) > 40 * MAX_TERMS:
            raise Unshown("a polynomial has too many terms")
        return left * right

    def fraction(self, num: fmpq_mpoly, den: fmpq_mpoly) -> Element:
        """num/den, where den is not the function 0."""
        self.deadline.check()
        if len(num) + len(den) > MAX_TERMS:
            raise Unshown("a polynomial has too many terms")
        for root in self.kernels:
            if root.kind != "root":
                continue
            if num.degrees()[root.index] >= root.order or den.degrees()[root.index] >= root.order:
                top, bottom = self._reduced(num, root), self._reduced(den, root)
                return self.fraction(self.times(top[0], bottom[1]), self.times(top[1], bottom[0]))
        if num.is_zero():
            return self.zero
        if not den.is_constant():
            common = num.gcd(den)
            if not common.is_constant():
                num, den = num / common, den / common
        if den.is_zero():
            raise Unshown("a denominator is 0")
        scale = den.leading_coefficient()
        return Element(self, num / scale, den / scale)

    def _reduced(self, poly: fmpq_mpoly, root: Generator) -> tuple[fmpq_mpoly, fmpq_mpoly]:
        """The polynomial with R^q = radicand, over a power of the radicand's denominator."""
        u = root.argument
        assert u is not None
        highest = int(poly.degrees()[root.index]) // root.order
        total = self.context.constant(0)
        for power, part in self.powers(poly, root.index).items():
            high, low = divmod(power, root.order)
            factor = self.times(u.num**high, u.den ** (highest - high))
            total += self.times(self.times(part, self.gens[root.index] ** low), factor)
        return total, u.den**highest

    def powers(self, poly: fmpq_mpoly, index: int) -> dict[int, fmpq_mpoly]:
        """The coefficients of a polynomial in one generator."""
        parts: dict[int, dict] = {}
        for exponents, c in poly.to_dict().items():
            rest = [*exponents[:index], 0, *exponents[index + 1 :]]
            parts.setdefault(int(exponents[index]), {})[tuple(rest)] = c
        return {power: self.polynomial(terms) for power, terms in parts.items()}

    def factor(self, poly: fmpq_mpoly) -> tuple[Fraction, list[tuple[fmpq_mpoly, int]]]:
        if len(poly) > MAX_TERMS // 10:
            raise Unshown("a polynomial is too large to factor")
        content, factors = poly.factor()
        return _rational(content), [(f, int(e)) for f, e in factors]

    def occurring(self, poly: fmpq_mpoly) -> set[int]:
        return {i for i, degree in enumerate(poly.degrees()) if degree > 0}

    def kernel_at(self, index: int) -> Generator | None:
        position = index - self.d - self.q
        return self.kernels[position] if position >= 0 else None

    def in_x(self, index: int) -> bool:
        kernel = self.kernel_at(index)
        return index < self.d if kernel is None else kernel.in_x

    def in_theta(self, index: int) -> bool:
        kernel = self.kernel_at(index)
        return (index >= self.d or index in self.forms) if kernel is None else kernel.in_theta

    def depends(self, poly: fmpq_mpoly) -> bool:
        """Whether a generator that depends on x occurs."""
        return any(map(self.in_x, self.occurring(poly)))

    def in_inputs(self, poly: fmpq_mpoly) -> fmpq_mpoly:
        """A polynomial without functions of x, in the inputs in place of the forms."""
        if not self.occurring(poly) & set(self.forms):
            return poly
        images = list(self.gens)
        for i, form in self.forms.items():
            if not form.den.is_constant() or len(poly) * len(form.num) > 2_000:
                raise Unshown("a polynomial in the forms is too large")
            images[i] = form.num
        return poly.compose(*images, ctx=self.context)

    # -- values at places -------------------------------------------------------------------

    def evaluate(self, elements: Sequence[Element], at: Sequence[arb]) -> list[arb]:
        """Elements at balls of the inputs and parameters."""
        known = [*at, *(NOT_A_NUMBER for _ in self.kernels)]
        for in_x in (False, True):
            if in_x:  # the slopes of the forms are known by now
                forms = {p: self._quotient(form, known) for p, form in self.forms.items()}
                known = [forms.get(i, v) for i, v in enumerate(known)]
            for k in self.kernels:
                if k.in_x == in_x:
                    inner = arb(0) if k.argument is None else self._quotient(k.argument, known)
                    known[k.index] = _FUNCTIONS[k.kind](inner, k.order)
        return [self._quotient(e, known) for e in elements]

    def _quotient(self, element: Element, values: Sequence[arb]) -> arb:
        return _value(element.num, values) / _value(element.den, values)

    def inputs_and_parameters(self) -> list[list[arb]]:
        """The places themselves."""
        return self._given

    def at_places(self, element: Element) -> list[arb]:
        """The values where they are finite."""
        return [v for v in self._everywhere(element) if v.is_finite()]

    def is_nonzero(self, poly: fmpq_mpoly) -> bool:
        """Shown to be nonzero wherever it is defined among the places."""
        if poly.is_constant():
            return not poly.is_zero()
        return nowhere_zero(self.at_places(Element(self, poly, self.unit)))

    def show_nonzero(self, poly: fmpq_mpoly) -> None:
        if not self.is_nonzero(poly):
            raise Unshown("what is divided by is not shown to be nonzero")

    # -- conversion -------------------------------------------------------------------------

    def _replace_inputs(self, forms: Sequence[Any]) -> None:
        """Gauss–Jordan over Q(θ): generator p stands for a form from now on, not for input p."""
        solved: dict[int, Element] = {}
        for affine in [self.convert(form) for form in forms]:
            slopes, current = self.linear_parts(affine)
            for i, slope in slopes.items():
                current = current + slope * solved.get(i, self.generator(i))
            slopes, rest = self.linear_parts(current, set(solved))
            if not slopes:
                continue
            pivot = min(slopes)
            value = self.generator(pivot) - rest
            for i, slope in slopes.items():
                value = value if i == pivot else value - slope * self.generator(i)
            value = value / slopes[pivot]
            for i, other in solved.items():
                inner, outer = self.linear_parts(other, set(range(self.d)) - {pivot})
                solved[i] = outer + inner[pivot] * value if pivot in inner else other
            solved[pivot] = value
            self.forms[pivot] = affine
        found = {p: self._everywhere(affine) for p, affine in self.forms.items()}
        self.values = [found.get(i, v) for i, v in enumerate(self.values)]
        self._memo = {symbol(n): self._memo[symbol(n)] for n in self.names}
        for pivot, value in solved.items():
            self._memo[symbol(self.names[pivot])] = value

    def _everywhere(self, element: Element) -> list[arb]:
        with precision(BITS):
            return [self._quotient(element, [v[n] for v in self.values]) for n in range(PLACES)]

    def linear_parts(
        self,
        element: Element,
        without: set[int] = frozenset(),  # type: ignore[assignment]
    ) -> tuple[dict[int, Element], Element]:
        """Slopes in the inputs (but some) and the rest of an element that is affine in them."""
        slopes: dict[int, dict] = {}
        rest: dict = {}
        for exponents, c in element.num.to_dict().items():
            hit = next((i for i in range(self.d) if exponents[i] and i not in without), None)
            if hit is None:
                rest[exponents] = c
                continue
            monomial = list(exponents)
            monomial[hit] -= 1
            slopes.setdefault(hit, {})[tuple(monomial)] = c
        parts = {i: self.fraction(self.polynomial(t), element.den) for i, t in slopes.items()}
        return parts, self.fraction(self.polynomial(rest), element.den)

    def under(self, signs: dict[str, int]) -> None:
        """Convert with these signs of the kinks from now on."""
        self._memo = {symbol(n): self._memo[symbol(n)] for n in self.names}
        self.signs = signs

    def convert(self, node: Node) -> Element:
        """The element equal to an expression of the grammar."""
        if node not in self._memo:
            self._memo[node] = self._convert(node)
        return self._memo[node]

    def _convert(self, node: Node) -> Element:
        if node.is_Rational:
            return self.constant(Fraction(int(node.p), int(node.q)))
        if node is sp.pi:
            return self.kernel("pi", None)
        if node is sp.E:
            return self.exp(self.one)
        if not node.args:
            raise Unshown(f"'{node}' has no meaning here")
        if node.is_Add or node.is_Mul:
            total = self.convert(node.args[0])
            for part in node.args[1:]:
                value = self.convert(part)
                total = total + value if node.is_Add else total * value
            return total
        if node.is_Pow:
            base, exponent = node.args
            if base is sp.E:
                return self.exp(self.convert(exponent))
            if exponent.is_Integer:
                return self.convert(base) ** int(exponent)
            if exponent.is_Rational:
                return self.root(self.convert(base), int(exponent.q)) ** int(exponent.p)
            return self.exp(self.convert(exponent) * self.log(self.convert(base)))
        return self._function(type(node), self.convert(node.args[0]))

    def _function(self, head: type, u: Element) -> Element:
        one, two = self.one, self.constant(2)
        if head is Step:
            return self.step(u)
        if head in (sp.exp, sp.log):
            return self.exp(u) if head is sp.exp else self.log(u)
        if head in (sp.erf, sp.atan):
            if u.is_zero:
                return self.zero
            if u.num.leading_coefficient() < 0:
                return -self._function(head, -u)
            return self.kernel("erf" if head is sp.erf else "atan", u)
        if head is sp.asinh:
            return self.log(u + self.root(one + u * u, 2))
        if head is sp.tan:
            s, c = self._half_angle(u + u)
            return s / c
        if head in (sp.sin, sp.cos):
            s, c = self._half_angle(u)
            return (s * c * two if head is sp.sin else c * c - s * s) / (c * c + s * s)
        e = self.exp(u + u if head is sp.tanh else u)
        if head is sp.tanh:
            return (e - one) / (e + one)
        if head in (sp.sinh, sp.cosh):
            other = one / e
            return (e - other if head is sp.sinh else e + other) / two
        raise Unshown(f"no rule for {head.__name__}")

    # -- generators -------------------------------------------------------------------------

    def kernel(self, kind: str, argument: Element | None, order: int = 0) -> Element:
        """The generator of this function of this argument, added if it is new."""
        for k in self.kernels:
            same = k.kind == kind and k.order == order
            u, v = k.argument, argument
            if same and (u is None or v is None or (u - v).is_zero):
                return self.generator(k.index)
        if len(self.kernels) == SPARE:
            raise Unshown("too many functions")
        index = self.d + self.q + len(self.kernels)
        inside = argument.generators() if argument is not None else set()
        in_x, in_theta = any(map(self.in_x, inside)), any(map(self.in_theta, inside))
        inner = [arb(0)] * PLACES if argument is None else self._everywhere(argument)
        with precision(BITS):
            self.values.append([_FUNCTIONS[kind](u, order) for u in inner])
        self.kernels.append(Generator(index, kind, argument, order, in_x, in_theta))
        return self.generator(index)

    def _terms(self, u: Element) -> list[tuple[Any, Fraction, Element]]:
        """u as Σ c·m with rational c and Laurent monomials m; whole if its den is no monomial."""
        if u.is_zero:
            return []
        if len(u.den) > 1:
            scale = _rational(u.num.leading_coefficient())
            whole = u * self.constant(1 / scale)
            return [(f"({whole.num})/({whole.den})", scale, whole)]
        ((below, bottom),) = u.den.to_dict().items()
        terms = []
        for above, c in u.num.to_dict().items():
            powers = tuple(a - b for a, b in zip(above, below, strict=True))
            top = self.polynomial({tuple(max(p, 0) for p in powers): fmpq(1)})
            low = self.polynomial({tuple(max(-p, 0) for p in powers): fmpq(1)})
            terms.append((powers, _rational(c / bottom), self.fraction(top, low)))
        return terms

    def _multiple(self, kind: str, key: Any, c: Fraction) -> tuple[Fraction, int]:
        """The unit of a function's arguments, and c as an integer multiple of it."""
        unit = self.units.setdefault((kind, key), c)
        ratio = c / unit
        if ratio.denominator != 1:
            a, b = c.numerator * unit.denominator, unit.numerator * c.denominator
            finer = Fraction(math.gcd(a, b), c.denominator * unit.denominator)
            raise _Finer((kind, key), finer if unit > 0 else -finer)
        if abs(ratio) > 200:
            raise Unshown("a function of a very large multiple")
        return unit, int(ratio)

    def exp(self, u: Element) -> Element:
        result = self.one
        for key, c, monomial in self._terms(u):
            unit, n = self._multiple("exp", key, c)
            result = result * self.kernel("exp", monomial * self.constant(unit)) ** n
        return result

    def _half_angle(self, u: Element) -> tuple[Element, Element]:
        """(S, C) proportional to (sin u/2, cos u/2), from the tangents of its terms."""
        a, b = self.zero, self.one
        for key, c, monomial in self._terms(u):
            s, k = self._simple_angle(monomial, c / 2)
            n = 1
            if k is None:
                unit, n = self._multiple("tan", key, c / 2)
                s, k = self.kernel("tan", monomial * self.constant(unit)), self.one
            s = s if n > 0 else -s
            for _ in range(abs(n)):
                a, b = a * k + b * s, b * k - a * s
        return a, b

    def _simple_angle(self, monomial: Element, c: Fraction) -> tuple[Element, Element | None]:
        """(S, C) for c·π if 12·c is whole; else C is None."""
        pi = next((k.index for k in self.kernels if k.kind == "pi"), None)
        if pi is None or monomial.num != self.gens[pi] or 12 % c.denominator:
            return self.zero, None
        three, one, turn = self.root(self.constant(3), 2), self.one, int(12 * c) % 12
        two = one + one
        size = [self.zero, two - three, one / three, one, three, two + three]
        if turn == 6:
            return one, self.zero
        return (size[turn], one) if turn < 6 else (-size[12 - turn], one)

    def log(self, u: Element) -> Element:
        """log u = Σ e·log|f| over the irreducible factors f of u > 0."""
        total = self.zero
        for poly, sign in ((u.num, 1), (u.den, -1)):
            content, factors = self.factor(poly)
            for prime, power in _primes(abs(content)).items():
                total = total + self.kernel("log", self.constant(prime)) * self.constant(
                    sign * power
                )
            for factor, power in factors:
                (index, *more) = self.occurring(factor)
                k = self.kernel_at(index)
                if k is not None and k.kind == "exp" and not more and factor == self.gens[index]:
                    assert k.argument is not None
                    value = k.argument
                else:
                    value = self.kernel("log", Element(self, factor, self.unit))
                total = total + value * self.constant(sign * power)
        return total

    def root(self, u: Element, order: int) -> Element:
        """u^(1/q) for u > 0; a number's from those of its primes."""
        if u.is_zero or (u.is_number and _rational(u.num.leading_coefficient()) < 0):
            raise Unshown("the root of a number that is not positive")
        if u.is_number:
            result = self.one
            for prime, power in _primes(_rational(u.num.leading_coefficient())).items():
                result = result * self._root(self.constant(prime), prime, order) ** power
            return result
        powers = [e for poly in (u.num, u.den) for _, e in self.factor(poly)[1]]
        if math.gcd(order, *powers) > 1:
            raise Unshown("the root of a perfect power")
        return self._root(u, f"({u.num})/({u.den})", order)

    def _root(self, u: Element, key: Any, order: int) -> Element:
        unit = self.units.setdefault(("root", key), order)
        if unit % order:
            raise _Finer(("root", key), math.lcm(unit, order))
        return self.kernel("root", u, unit) ** (unit // order)

    def step(self, u: Element) -> Element:
        if u.is_zero:
            return self.zero
        sign = 1
        for poly in (u.num, u.den):
            content, factors = self.factor(poly)
            sign *= 1 if content > 0 else -1
            for factor, power in factors:
                if power % 2 and not self._is_positive(factor):
                    sign *= self._sign(factor)
        return self.one if sign > 0 else self.zero

    def _sign(self, factor: fmpq_mpoly) -> int:
        orientation = 1 if factor.leading_coefficient() > 0 else -1
        key = str(factor * orientation)
        self.kinks[key] = factor * orientation
        if key not in self.signs:
            raise _NeedSign(key)
        return orientation * self.signs[key]

    def _is_positive(self, poly: fmpq_mpoly) -> bool:
        """Positive coefficients on positive generators and even powers."""

        def positive(index: int) -> bool:
            k = self.kernel_at(index)
            return k is not None and k.kind in ("exp", "pi", "root")

        return all(
            c > 0 and all(e % 2 == 0 or positive(i) for i, e in enumerate(exponents))
            for exponents, c in poly.to_dict().items()
        )

    # -- derivatives ------------------------------------------------------------------------

    def derivative(self, element: Element, name: int) -> Element:
        """∂ by the input or parameter with this number, by the chain rule on generators."""
        num = self._derivative(element.num, name)
        if element.den.is_constant():
            return num
        bottom = Element(self, self.unit, element.den)
        return (num - element * self._derivative(element.den, name)) * bottom

    def _derivative(self, poly: fmpq_mpoly, name: int) -> Element:
        total = self.zero
        for index in self.occurring(poly):
            inner = self._generator_derivative(index, name)
            if not inner.is_zero:
                total = total + Element(self, poly.derivative(index), self.unit) * inner
        return total

    def _generator_derivative(self, index: int, name: int) -> Element:
        key = (index, name)
        if key not in self._derivatives:
            self._derivatives[key] = self._chain_rule(index, name)
        return self._derivatives[key]

    def _chain_rule(self, index: int, name: int) -> Element:
        k = self.kernel_at(index)
        if k is None:
            if index not in self.forms:
                return self.one if index == name else self.zero
            slopes, rest = self.linear_parts(self.forms[index])  # in the inputs themselves
            if name < self.d:
                return slopes.get(name, self.zero)
            total = self.derivative(rest, name)
            for i, slope in slopes.items():
                x = self._memo[symbol(self.names[i])]
                total = total + self.derivative(slope, name) * x
            return total
        u = k.argument
        inner = self.zero if u is None else self.derivative(u, name)
        if u is None or inner.is_zero:
            return self.zero
        g, one = self.generator(index), self.one
        if k.kind == "exp":
            return g * inner
        if k.kind == "tan":
            return (one + g * g) * inner
        if k.kind == "erf":
            slope = self.constant(2) / self.root(self.kernel("pi", None), 2)
            return slope * self.exp(-(u * u)) * inner
        if k.kind == "atan":
            return inner / (one + u * u)
        if k.kind == "log":
            return inner / u
        return g * inner / (u * self.constant(k.order))

    def functions(self, atom: AtomFunction, basis: Sequence[BasisFunction]) -> list[Element]:
        """The functions named: monomials in x times partial derivatives of U."""
        # what is free of θ makes no cases for derivatives, which are 0
        _, moving = atom.expression.as_independent(*symbols(atom.parameters), as_Add=True)
        whole = any(not factor for f in basis for factor in f.factors)
        known: dict[tuple[str, ...], Element] = {
            (): self.convert(atom.expression if whole else moving)
        }

        def partial(names: tuple[str, ...]) -> Element:
            if names not in known:
                inner = partial(names[:-1])
                known[names] = self.derivative(inner, self.names.index(names[-1]))
            return known[names]

        found = []
        for f in basis:
            value = self.one
            for name in f.inputs:
                value = value * self.convert(symbol(name))
            for factor in f.factors:
                value = value * partial(factor)
            found.append(value)
        return found


@dataclass(frozen=True)
class Case:
    """What was built where the kinks' arguments have these signs."""

    signs: dict[str, int]
    elements: list[Element]


class Cases:
    """``build(field)`` under every set of signs of the kinks, in one field."""

    def __init__(
        self,
        atom: AtomFunction,
        sides: Sequence[Interval],
        build: Callable[[Field], list[Element]],
        deadline: Deadline,
    ) -> None:
        forms = [f for f in affine_forms(atom) if not f.has(Step)]
        units: dict[tuple, Any] = {}
        for _ in range(MAX_UNITS):
            try:
                self.field = Field(atom, sides, forms, units, deadline)
                self.cases = self._all(build)
                return
            except _Finer as finer:
                units[finer.key] = finer.unit
        raise Unshown("functions of ever smaller parts of an argument")

    def _all(self, build: Callable[[Field], list[Element]]) -> list[Case]:
        done: list[Case] = []
        waiting: list[dict[str, int]] = [{}]
        while waiting:
            if len(done) + len(waiting) > MAX_CASES:
                raise Unshown("the kinks make too many cases")
            signs = waiting.pop()
            self.field.under(signs)
            try:
                done.append(Case(signs, build(self.field)))
            except _NeedSign as needed:
                waiting += [{**signs, needed.key: 1}, {**signs, needed.key: -1}]
        return done

    def cells(self, of_interest: Callable[[str], bool]) -> list[tuple[dict[str, int], list[Case]]]:
        """The cases under each set of signs of all the kinks of interest.

        A case does not know the signs that play no part in it; it belongs to both sides of those.
        """
        done: list[tuple[dict[str, int], list[Case]]] = []
        waiting: list[tuple[dict[str, int], list[Case]]] = [({}, self.cases)]
        while waiting:
            if len(done) + len(waiting) > MAX_CASES:
                raise Unshown("the kinks make too many cases")
            signs, inside = waiting.pop()
            keys = (key for case in inside for key in case.signs if key not in signs)
            key = next(filter(of_interest, keys), None)
            if key is None:
                done.append((signs, inside))
                continue
            for sign in (1, -1):
                there = [c for c in inside if c.signs.get(key, sign) == sign]
                waiting.append(({**signs, key: sign}, there))
        return done


def vanishes(
    expression: Any, atom: AtomFunction, sides: Sequence[Interval], deadline: Deadline
) -> bool:
    """Whether an expression in the inputs and parameters is proved to be 0, in every case."""
    if expression == 0:
        return True
    if expression.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
        return False
    own = AtomFunction(atom.symbol, expression, atom.inputs, atom.parameters)
    found = Cases(own, sides, lambda field: [field.convert(expression)], deadline)
    return all(case.elements[0].is_zero for case in found.cases)


def _value(poly: fmpq_mpoly, values: Sequence[arb]) -> arb:
    return poly_value(poly.to_dict(), values)


def poly_value(terms: dict, values: Sequence[arb]) -> arb:
    """A polynomial, as its terms, at values of the generators."""
    total = arb(0)
    for exponents, c in terms.items():
        term = arb(fmpq(c))
        for index, power in enumerate(exponents):
            if power:
                term *= values[index] ** int(power)
        total += term
    return total


def nowhere_zero(values: Sequence[arb]) -> bool:
    """At least one value, and every ball excludes 0."""
    return bool(values) and all(v > 0 or v < 0 for v in values)


def _places(sides: Sequence[Interval], q: int) -> list[list[arb]]:
    """For each input and parameter its value at every place; parameters of both signs."""
    rng = random.Random(11)
    with precision(BITS):
        inputs = [
            [ball(low + (high - low) * Fraction(rng.randrange(1, 512), 512)) for _ in range(PLACES)]
            for low, high in sides
        ]
        sizes = [
            [Fraction(rng.randrange(192, 3072), 1024) for _ in range(PLACES)] for _ in range(q)
        ]
        # a third of the places have parameters of both signs, where some experts are not real
        parameters = [
            [ball(-v if n % 3 == 2 and rng.random() < 0.5 else v) for n, v in enumerate(line)]
            for line in sizes
        ]
    return inputs + parameters


_FUNCTIONS: dict[str, Callable[[arb, int], arb]] = {
    "pi": lambda u, _: arb.pi(),
    "exp": lambda u, _: u.exp(),
    "tan": lambda u, _: u.tan(),
    "erf": lambda u, _: u.erf(),
    "atan": lambda u, _: u.atan(),
    "log": lambda u, _: abs(u).log() if u > 0 or u < 0 else NOT_A_NUMBER,
    "root": lambda u, order: u.root(order) if u > 0 else NOT_A_NUMBER,
}


def _rational(value: fmpq | fmpz) -> Fraction:
    return Fraction(int(value.p), int(value.q)) if isinstance(value, fmpq) else Fraction(int(value))


def _primes(value: Fraction) -> dict[int, int]:
    """Prime -> exponent; a number too large to factor counts as its own prime."""
    powers: dict[int, int] = {}
    for number, sign in ((value.numerator, 1), (value.denominator, -1)):
        small = number.bit_length() <= 96
        for prime, power in fmpz(number).factor() if small else [(number, 1)]:
            powers[int(prime)] = powers.get(int(prime), 0) + sign * int(power)
    return powers
