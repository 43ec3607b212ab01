"""Exact normal form: functions of (x, θ) as fractions in a differential field.

Every expression of the grammar becomes a quotient of two polynomials over Q in the inputs, the
parameters and finitely many *kernels*: exp of a monomial, tan of half a monomial (for sin, cos),
erf, atan, log of an irreducible polynomial, a root, π. Identities between elementary functions
(tanh against exp, addition theorems, log of a product) disappear in the construction, so an
identity is proved by the numerator being the zero polynomial; SymPy's ``simplify`` is not used.

What this proves and what it does not. "The normal form is 0" is a proof that the function is 0,
because kernels are only ever replaced by equals. "The normal form is not 0" is a proof of the
opposite only if the kernels are algebraically independent (see :mod:`identkit.every_k`);
elsewhere in identkit non-vanishing is proved by ball arithmetic, never from here.

Coordinates: where the arguments of the kernels depend on x through affine forms z = aᵀx + b, the
forms replace inputs as polynomial variables (an invertible change for almost every θ), so that a
ridge expert has one kernel per function of z in any dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mpoly, fmpz

from identkit.algebra import Algebra, Element, Kernel, TooLarge, rational
from identkit.balls import Node
from identkit.deadline import Deadline
from identkit.expression import Step, symbol


class NeedSign(Exception):
    """Conversion met a Step whose argument's factor has no sign on this branch yet."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Rebase(Exception):
    """A kernel needs a finer unit (exp(z/2) after exp(z)); conversion starts over with it."""

    def __init__(self, kind: str, key: Any, unit: Any) -> None:
        super().__init__(kind)
        self.kind, self.key, self.unit = kind, key, unit


class Field(Algebra):
    """The algebra with its meaning: conversion from SymPy and the derivations ∂/∂v.

    ``forms`` lists affine forms in x (SymPy) that replace inputs as generators; ``units`` are the
    units of exp, tan and root kernels known from an earlier start (see :class:`Rebase`).
    :meth:`on_branch` sets the signs of the kinks' arguments.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        parameters: Sequence[str],
        forms: Sequence[sp.Expr] = (),
        units: dict[tuple[str, Any], Any] | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        super().__init__(inputs, parameters, deadline)
        self.units: dict[tuple[str, Any], Any] = units if units is not None else {}
        self.signs: dict[str, int] = {}
        self.sign_polys: dict[str, fmpq_mpoly] = {}
        self._memo: dict[sp.Basic, Element] = {
            symbol(name): self.generator(i)
            for i, name in enumerate((*self.inputs, *self.parameters))
        }
        self._derivatives: dict[tuple[int, str], Element] = {}
        self._change_coordinates(forms)

    # -- coordinates ------------------------------------------------------------------------

    def _change_coordinates(self, forms: Sequence[sp.Expr]) -> None:
        """Gauss–Jordan over Q(θ): each form takes the place of one input, while any is left."""
        solved: dict[int, Element] = {}
        raw = {form: self.convert(form) for form in forms}
        for form, affine in raw.items():
            slopes, current = self.linear_part(affine)
            for i, slope in slopes.items():
                current = current + slope * solved.get(i, self.generator(i))
            slopes, rest = self.linear_part(current, exclude=set(solved))
            if not slopes:
                continue
            pivot = min(slopes)
            value = self.generator(pivot) - rest
            for i, slope in slopes.items():
                if i != pivot:
                    value = value - slope * self.generator(i)
            value = value / slopes[pivot]
            solved = {i: self._substitute_input(v, pivot, value) for i, v in solved.items()}
            solved[pivot] = value
            self.forms[pivot] = affine
            self.form_expressions[pivot] = form
        # generator `pivot` now stands for its form: forget conversions made in the old meaning
        self._memo = {symbol(n): self._memo[symbol(n)] for n in (*self.inputs, *self.parameters)}
        for pivot, value in solved.items():
            self._memo[symbol(self.inputs[pivot])] = value

    def _substitute_input(self, element: Element, index: int, value: Element) -> Element:
        slopes, rest = self.linear_part(element, only={index})
        return rest + slopes[index] * value if index in slopes else element

    def on_branch(self, signs: dict[str, int]) -> None:
        """Convert from now on with these signs; conversions made under others are forgotten."""
        if self.signs != signs:
            names = {symbol(n) for n in (*self.inputs, *self.parameters)}
            self._memo = {k: v for k, v in self._memo.items() if k in names}
        self.signs = signs

    # -- conversion -------------------------------------------------------------------------

    def convert(self, node: Node) -> Element:
        """The element equal to a SymPy expression of the grammar.

        Raises :class:`NeedSign` or :class:`Rebase` for its caller to act on, and
        :class:`TooLarge` beyond the limits.
        """
        element = self._memo.get(node)
        if element is None:
            element = self._memo[node] = self._convert(node)
        return element

    def _convert(self, node: Node) -> Element:
        if node.is_Rational:
            return self.constant(Fraction(int(node.p), int(node.q)))
        if node is sp.pi:
            return self.kernel("pi", None, None, 0, sp.pi)
        if node is sp.E:
            return self.exp(self.one)
        if node.is_Add:
            total = self.zero
            for argument in node.args:
                total = total + self.convert(argument)
            return total
        if node.is_Mul:
            product = self.one
            for argument in node.args:
                product = product * self.convert(argument)
            return product
        if node.is_Pow:
            return self._convert_power(*node.args)
        if node.is_number and not node.args:
            raise TooLarge("an undefined value")
        if not node.args:
            raise TypeError(f"'{node}' is neither an input nor a parameter here")
        return self._convert_function(type(node), node.args[0])

    def _convert_power(self, base: Node, exponent: Node) -> Element:
        if base is sp.E:
            return self.exp(self.convert(exponent))
        if exponent.is_Integer:
            return self.convert(base) ** int(exponent)
        if exponent.is_Rational:
            return self.root(self.convert(base), int(exponent.q)) ** int(exponent.p)
        return self.exp(self.convert(exponent) * self.log(self.convert(base)))

    def _convert_function(self, head: type, argument: sp.Expr) -> Element:
        u = self.convert(argument)
        one = self.one
        if head is Step:
            return self.step(u)
        if head is sp.exp:
            return self.exp(u)
        if head is sp.log:
            return self.log(u)
        if head is sp.erf:
            return self._odd("erf", u)
        if head is sp.atan:
            return self._odd("atan", u)
        if head is sp.asinh:
            return self.log(u + self.root(one + u * u, 2))
        if head is sp.tan:
            s, c = self.half_angle(u + u)
            return s / c
        if head in (sp.sin, sp.cos):
            s, c = self.half_angle(u)
            sine, cosine = (s * c) * self.constant(2), c * c - s * s
            return (sine if head is sp.sin else cosine) / (c * c + s * s)
        if head is sp.tanh:
            e = self.exp(u + u)
            return (e - one) / (e + one)
        if head in (sp.sinh, sp.cosh):
            e = self.exp(u)
            other = e.inverse()
            return (e - other if head is sp.sinh else e + other) * self.constant(Fraction(1, 2))
        raise TypeError(f"no normal form for {head.__name__}")

    # -- kernels ----------------------------------------------------------------------------

    def _terms(self, u: Element) -> list[tuple[Any, Fraction, Element]]:
        """u as Σ c·m with rational c and Laurent monomials m (whole if its den is no monomial)."""
        if u.is_zero:
            return []
        if len(u.den) == 1:
            ((below, below_c),) = u.den.to_dict().items()
            terms = []
            for above, c in u.num.to_dict().items():
                key = tuple(a - b for a, b in zip(above, below, strict=True))
                monomial = self.fraction(
                    self.context.from_dict({above: fmpq(1)}),
                    self.context.from_dict({below: fmpq(1)}),
                )
                terms.append((key, rational(c / below_c), monomial))
            return terms
        scale = rational(u.num.leading_coefficient())
        whole = u * self.constant(1 / scale)
        return [(_text(whole), scale, whole)]

    def _multiple(self, kind: str, key: Any, c: Fraction) -> tuple[Fraction, int]:
        """The unit of a kernel family and c as an integer multiple of it."""
        unit = self.units.setdefault((kind, key), c)
        ratio = c / unit
        if ratio.denominator != 1:
            finer = Fraction(
                math.gcd(c.numerator * unit.denominator, unit.numerator * c.denominator),
                c.denominator * unit.denominator,
            )
            raise Rebase(kind, key, finer if unit > 0 else -finer)
        if abs(ratio) > 200:
            raise TooLarge("a kernel occurs with a very large multiple")
        return unit, int(ratio)

    def exp(self, u: Element) -> Element:
        """exp(Σ c·m) = ∏ exp(unit·m)^n."""
        result = self.one
        for key, c, monomial in self._terms(u):
            unit, n = self._multiple("exp", key, c)
            argument = monomial * self.constant(unit)
            kernel = self.kernel("exp", key, argument, 1, sp.exp(self.to_sympy(argument)))
            result = result * kernel**n
        return result

    def half_angle(self, u: Element) -> tuple[Element, Element]:
        """(S, C) proportional to (sin u/2, cos u/2), by the addition theorem.

        Homogeneous, because tan(u/2) may be infinite: it is for u = π.
        """
        total = (self.zero, self.one)
        for key, c, monomial in self._terms(u):
            unit, n = self._multiple("tan", key, c / 2)
            s, k = self._half_angle_kernel(key, monomial * self.constant(unit))
            step = (s, k) if n > 0 else (-s, k)
            for _ in range(abs(n)):
                (a, b), (s, k) = total, step
                total = (a * k + b * s, b * k - a * s)
        return total

    def _half_angle_kernel(self, key: Any, argument: Element) -> tuple[Element, Element]:
        tangent = sp.tan(self.to_sympy(argument))
        if tangent.has(sp.zoo):
            return self.one, self.zero
        if not tangent.has(sp.tan, sp.cot):
            return self.convert(tangent), self.one  # tan(π/3) is √3: no kernel of its own
        return self.kernel("tan", key, argument, 1, tangent), self.one

    def _odd(self, kind: str, u: Element) -> Element:
        if u.is_zero:
            return self.zero
        if u.num.leading_coefficient() < 0:
            return -self._odd(kind, -u)
        head = sp.erf if kind == "erf" else sp.atan
        # written as it is on this branch: atan(relu(a)*x + b) is atan(b) on one
        return self.kernel(kind, _text(u), u, 1, head(self.to_sympy(u)))

    def log(self, u: Element) -> Element:
        """log u = Σ e·log|f| over the irreducible factors f of u > 0."""
        self._refuse_negative_constant(u)
        total = self.zero
        for poly, sign in ((u.num, 1), (u.den, -1)):
            content, factors = self.factor(poly)
            for prime, power in _factor_rational(abs(rational(content))).items():
                kernel = self.kernel("log", prime, self.constant(prime), 1, sp.log(prime))
                total = total + kernel * self.constant(sign * power)
            for factor, power in factors:
                weight = self.constant(sign * int(power))
                kernel = self._exp_generator(factor)
                if kernel is not None:
                    assert kernel.argument is not None
                    total = total + kernel.argument * weight
                    continue
                argument = Element(self, factor, self.unit_poly)
                value: Any = self.to_sympy(argument)
                # log|f|: of a negative number SymPy would make log(-f) + iπ
                shown = sp.log(-value if value.is_number and value.is_negative else value)
                total = total + self.kernel("log", _text(argument), argument, 1, shown) * weight
        return total

    def _exp_generator(self, poly: fmpq_mpoly) -> Kernel | None:
        if len(poly) != 1 or poly.leading_coefficient() != 1:
            return None
        occurring = self.occurring(poly)
        if len(occurring) != 1 or poly.total_degree() != 1:
            return None
        kernel = self.kernel_at(occurring.pop())
        return kernel if kernel is not None and kernel.kind == "exp" else None

    def root(self, u: Element, q: int) -> Element:
        """u^(1/q) for u > 0; rational constants split into primes."""
        self._refuse_negative_constant(u)
        if u.num.is_constant() and u.den.is_constant() and not u.is_zero:
            value = rational(u.num.leading_coefficient())
            result = self.one
            for prime, power in _factor_rational(abs(value)).items():
                result = result * self._root_kernel(self.constant(prime), prime, q) ** power
            return result
        return self._root_kernel(u, _text(u), q)

    def _refuse_negative_constant(self, u: Element) -> None:
        """log and roots are of positive values; a negative constant has no real one."""
        if u.is_zero or (
            u.num.is_constant() and u.den.is_constant() and not u.num.leading_coefficient() > 0
        ):
            raise TooLarge("a logarithm or root of a number that is not positive")

    def _refuse_perfect_power(self, u: Element, q: int) -> None:
        """X^q − u must be irreducible, or the ring with R^q = u would have zero divisors."""
        powers = [e for poly in (u.num, u.den) for _, e in self.factor(poly)[1]]
        if powers and math.gcd(q, *powers) > 1:
            raise TooLarge("a root of a perfect power is not reduced")

    def _root_kernel(self, u: Element, key: Any, q: int) -> Element:
        self._refuse_perfect_power(u, q)
        unit = self.units.setdefault(("root", key), q)
        if unit % q:
            raise Rebase("root", key, math.lcm(unit, q))
        expression = self.to_sympy(u) ** sp.Rational(1, unit)
        return self.kernel("root", key, u, unit, expression) ** (unit // q)

    def step(self, u: Element) -> Element:
        """Step on the current branch: the sign of u from the signs of its irreducible factors."""
        if u.is_zero:
            return self.zero
        sign = 1
        for poly in (u.num, u.den):
            content, factors = self.factor(poly)
            sign *= 1 if content > 0 else -1
            for factor, power in factors:
                if power % 2 == 0 or self._is_positive(factor):
                    continue
                key, orientation = self.sign_key(factor)
                if key not in self.signs:
                    raise NeedSign(key)
                sign *= orientation * self.signs[key]
        return self.one if sign > 0 else self.zero

    def _is_positive(self, poly: fmpq_mpoly) -> bool:
        """Positive coefficients on products of exponentials and even powers."""
        kernels = [self.kernel_at(i) for i in range(len(self.gens))]
        return all(
            c > 0
            and all(
                e % 2 == 0 or ((k := kernels[i]) and k.kind == "exp") for i, e in enumerate(exps)
            )
            for exps, c in poly.to_dict().items()
        )

    def sign_key(self, factor: fmpq_mpoly) -> tuple[str, int]:
        """A factor up to sign, as text, and the sign."""
        orientation = 1 if factor.leading_coefficient() > 0 else -1
        argument = Element(self, factor * orientation, self.unit_poly)
        key = str(self.to_sympy(argument))
        self.sign_polys[key] = argument.num
        return key, orientation

    # -- derivations ------------------------------------------------------------------------

    def derivative(self, element: Element, name: str) -> Element:
        """∂/∂name by the chain rule on generators: a route independent of SymPy's diff."""
        num = self._derivative_poly(element.num, name)
        if element.den.is_constant():
            return num * Element(self, self.unit_poly, element.den)
        den = self._derivative_poly(element.den, name)
        bottom = Element(self, self.unit_poly, element.den)
        return num * bottom - element * den * bottom

    def _derivative_poly(self, poly: fmpq_mpoly, name: str) -> Element:
        total = self.zero
        for index in self.occurring(poly):
            inner = self._generator_derivative(index, name)
            if not inner.is_zero:
                outer = Element(self, poly.derivative(index), self.unit_poly)
                total = total + outer * inner
        return total

    def _generator_derivative(self, index: int, name: str) -> Element:
        key = (index, name)
        if key not in self._derivatives:
            self._derivatives[key] = self._new_generator_derivative(index, name)
        return self._derivatives[key]

    def _new_generator_derivative(self, index: int, name: str) -> Element:
        names = (*self.inputs, *self.parameters)
        if index < len(names):
            if index not in self.forms:
                return self.one if names[index] == name else self.zero
            # z = Σ s_i x_i + rest in the original inputs: differentiate, then rewrite them
            slopes, rest = self.linear_part(self.forms[index])
            if name in self.inputs:
                return slopes.get(self.inputs.index(name), self.zero)
            total = self.derivative(rest, name)
            for i, s in slopes.items():
                total = total + self.derivative(s, name) * self._memo[symbol(self.inputs[i])]
            return total
        kernel = self.kernel_at(index)
        assert kernel is not None
        u = kernel.argument
        if u is None:
            return self.zero
        inner = self.derivative(u, name)
        if inner.is_zero:
            return self.zero
        g, one = self.generator(index), self.one
        if kernel.kind == "exp":
            return g * inner
        if kernel.kind == "tan":
            return (one + g * g) * inner
        if kernel.kind == "erf":
            root_pi = self.root(self.convert(sp.pi), 2)
            return self.constant(2) / root_pi * self.exp(-(u * u)) * inner
        if kernel.kind == "atan":
            return inner / (one + u * u)
        if kernel.kind == "log":
            return inner / u
        return g * inner / (u * self.constant(kernel.unit))


def _text(element: Element) -> str:
    return f"({element.num})/({element.den})"


def _factor_rational(value: Fraction) -> dict[int, int]:
    """Prime -> exponent; a constant too large to factor counts as its own prime."""
    powers: dict[int, int] = {}
    for number, sign in ((value.numerator, 1), (value.denominator, -1)):
        if number.bit_length() > 96:
            powers[number] = powers.get(number, 0) + sign
            continue
        for prime, power in fmpz(number).factor():
            powers[int(prime)] = powers.get(int(prime), 0) + sign * int(power)
    return powers
