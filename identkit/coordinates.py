"""Linear coordinates of η: the coincidence rule must not depend on how η is written.

Taken literally the rule of theory section 2 does: ``tanh(a*x + b)`` passes ``strong`` because
∂_a h = x ∂_b h is a merge of two functions, but with a = p + q, b = p - q the same identity reads
∂_p h + ∂_q h = x ∂_p h - x ∂_q h, a relation among four. Linear independence itself is unchanged
by an invertible linear map of η, so identkit reads the rule as: it passes if it passes in some
linear coordinates of η. The given ones are tried first, then those in which the expression is
written most simply: the linear forms in η that occur in it as coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat

from identkit.atoms import AtomFunction
from identkit.balls import Node
from identkit.experts import symbols
from identkit.expression import Step

Form = tuple[Fraction, ...]


@dataclass(frozen=True)
class Coordinates:
    """New coordinates u = L·η: ``forms`` are the rows of L, ``names`` the names u1, u2, …"""

    names: tuple[str, ...]
    forms: tuple[Form, ...]

    def equations(self, parameters: tuple[str, ...]) -> tuple[str, ...]:
        """For example ``("u1 = p + q", "u2 = p - q")``."""
        return tuple(
            f"{name} = {_combination(form, parameters)}"
            for name, form in zip(self.names, self.forms, strict=True)
        )

    def apply(self, atom: AtomFunction) -> AtomFunction:
        """The atom function written in the new coordinates: η = L⁻¹·u."""
        inverse = _matrix(self.forms).inv()
        new = symbols(self.names)
        old = symbols(atom.parameters)
        images = {
            p: sp.Add(*(_rational(inverse[i, j]) * u for j, u in enumerate(new)))
            for i, p in enumerate(old)
        }
        expression: Any = atom.expression.xreplace(images)
        moved = replace(atom, expression=expression, parameters=self.names)
        if atom.routed is None:
            return moved
        ends = len(atom.gate), len(atom.gate) + len(atom.shared)
        gate, shared = self.names[: ends[0]], self.names[ends[0] : ends[1]]
        return replace(moved, routed=atom.routed.xreplace(images), gate=gate, shared=shared)


def structural(atom: AtomFunction) -> Coordinates | None:
    """Coordinates made of the linear forms in η that occur as coefficients; None if not new.

    Where a router has parameters of its own, they, the shared ones and η stay apart.
    """
    q = len(atom.parameters)
    chosen: list[Form] = []
    forms = [*_forms(atom), *_units(q)]
    for block in _blocks(atom):
        first = len(chosen)
        for form in forms:
            own = all(i in block for i, c in enumerate(form) if c)
            if own and len(chosen) < first + len(block) and _rank([*chosen, form]) > len(chosen):
                chosen.append(form)
    if all(sum(1 for c in form if c) == 1 for form in chosen):
        return None
    taken = {*atom.inputs, *atom.parameters}
    stem = "u"
    while any(f"{stem}{i + 1}" in taken for i in range(q)):
        stem += "u"
    return Coordinates(tuple(f"{stem}{i + 1}" for i in range(q)), tuple(chosen))


def _blocks(atom: AtomFunction) -> Iterator[range]:
    """The places of parameters that may be mixed: a condition differentiates by each sort."""
    ends = (0, len(atom.gate), len(atom.gate) + len(atom.shared), len(atom.parameters))
    yield from (range(a, b) for a, b in pairwise(ends) if a < b)


def _is_plain_polynomial(node: Node, inputs: set[Any]) -> bool:
    """A polynomial in x, no term of which multiplies two sums: its coefficients are as written."""

    def sums(term: Node) -> int:
        if term.is_Pow:
            return sums(term.base) * int(term.exp) if term.exp.is_Integer else 2
        if term.is_Mul:
            return sum(sums(a) for a in term.args)
        return int(term.is_Add and bool(term.free_symbols & inputs))

    polynomial = node.is_polynomial(*inputs) and not node.has(Step)
    return polynomial and all(sums(term) <= 1 for term in node.args)


def _units(q: int) -> list[Form]:
    return [tuple(Fraction(int(i == j)) for j in range(q)) for i in range(q)]


def _forms(atom: AtomFunction) -> Iterator[Form]:
    inputs: set[Any] = set(symbols(atom.variables))
    parameters = symbols(atom.parameters)

    def visit(node: Node) -> Iterator[Node]:
        """Maximal parts free of x, with affine expressions in x collected by coefficient."""
        if not node.free_symbols & inputs:
            yield node
        elif node.is_Add and _is_plain_polynomial(node, inputs):
            yield from sp.Poly(node, *inputs).coeffs()
        else:
            for argument in node.args:
                yield from visit(argument)

    def linear(node: Node) -> Iterator[Form]:
        rates: list[Any] = [sp.diff(node, p) for p in parameters]
        if all(r.is_Rational for r in rates):
            if any(rates):
                yield tuple(Fraction(int(r.p), int(r.q)) for r in rates)
        elif node.args:
            for argument in node.args:
                yield from linear(argument)

    for part in visit(atom.expression):
        yield from linear(part)


def _matrix(forms: tuple[Form, ...] | list[Form]) -> fmpq_mat:
    flat = [fmpq(c.numerator, c.denominator) for form in forms for c in form]
    return fmpq_mat(len(forms), len(forms[0]), flat)


def _rank(forms: list[Form]) -> int:
    return int(_matrix(forms).rank())


def _rational(value: fmpq) -> Any:
    return sp.Rational(int(value.p), int(value.q))


def _combination(form: Form, names: tuple[str, ...]) -> str:
    terms = zip(form, symbols(names), strict=True)
    return str(sp.Add(*(sp.Rational(c.numerator, c.denominator) * s for c, s in terms)))
