"""Derivatives in ball arithmetic by forward automatic differentiation, for verification.

A :class:`Jet` carries a value, its gradient and Hessian in the parameters θ, all balls. Nothing
here uses SymPy's ``diff``: the expression tree of U is only walked, so a mistake in the derived
formulas and a mistake here would have to coincide to pass verification.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb

from identkit.atoms import AtomFunction
from identkit.balls import Node, ball, step, whole_power
from identkit.conditions import BasisFunction
from identkit.experts import symbols
from identkit.expression import Step
from identkit.heads import HEADS, Triple


class Jet:
    """value + gradient·δ + ½ δᵀ Hessian δ; the Hessian is stored as its upper triangle."""

    __slots__ = ("gradient", "hessian", "value")

    def __init__(self, value: arb, gradient: list[arb], hessian: list[list[arb]]) -> None:
        self.value, self.gradient, self.hessian = value, gradient, hessian

    def __add__(self, other: Jet) -> Jet:
        return Jet(
            self.value + other.value,
            [a + b for a, b in zip(self.gradient, other.gradient, strict=True)],
            [
                [a + b for a, b in zip(r, s, strict=True)]
                for r, s in zip(self.hessian, other.hessian, strict=True)
            ],
        )

    def __mul__(self, other: Jet) -> Jet:
        u, v, g, w = self.value, other.value, self.gradient, other.gradient
        return Jet(
            u * v,
            [v * a + u * b for a, b in zip(g, w, strict=True)],
            [
                [
                    v * r + u * s + g[i] * w[i + j] + g[i + j] * w[i]
                    for j, (r, s) in enumerate(zip(row, other.hessian[i], strict=True))
                ]
                for i, row in enumerate(self.hessian)
            ],
        )

    def compose(self, outer: Triple) -> Jet:
        """φ(self) from φ, φ', φ'' at self.value (Faà di Bruno to order 2)."""
        f, f1, f2 = outer
        g = self.gradient
        return Jet(
            f,
            [f1 * a for a in g],
            [
                [f1 * h + f2 * g[i] * g[i + j] for j, h in enumerate(row)]
                for i, row in enumerate(self.hessian)
            ],
        )


def _step(z: arb) -> Triple:
    # where the sign is open (relu(relu(z)) for z < 0) both one-sided derivatives lie in the ball
    return step(z), arb(0), arb(0)


_TRIPLES: dict[type, Callable[[arb], Triple]] = {
    **{h.head: h.triple for h in HEADS},
    Step: _step,
}


def _power_triple(z: arb, exponent: Fraction) -> Triple:
    if exponent.denominator == 1:
        n = int(exponent)
        if n >= 0:
            first = n * whole_power(z, n - 1) if n >= 1 else arb(0)
            second = n * (n - 1) * whole_power(z, n - 2) if n >= 2 else arb(0)
            return whole_power(z, n), first, second
        return z**n, n * z ** (n - 1), n * (n - 1) * z ** (n - 2)
    if not z > 0:
        return arb("nan"), arb("nan"), arb("nan")
    r = ball(exponent)
    power = (r * z.log()).exp()
    return power, r * power / z, r * (r - 1) * power / (z * z)


class Differentiator:
    """Evaluates basis functions of one atom function at a point, from jets of U.

    ``order`` is the highest derivative needed (1 or 2; with 1 the Hessian is left empty).
    """

    def __init__(self, atom: AtomFunction, order: int) -> None:
        self.atom, self.order = atom, order
        self.parameters = symbols(atom.parameters)
        self.position = {name: i for i, name in enumerate(atom.parameters)}

    def values(
        self, functions: Sequence[BasisFunction], x: Sequence[Fraction], theta: Sequence[Fraction]
    ) -> list[arb]:
        """The functions' values at one point (with its component) and one atom's parameters."""
        values = (ball(v) for v in self.atom.at(x))
        inputs = dict(zip(self.atom.variables, values, strict=True))
        jet = self._jet(inputs, theta)
        results = []
        for f in functions:
            value = arb(1)
            for name in f.inputs:
                value *= inputs[name]
            for factor in f.factors:
                value *= self._partial(jet, factor)
            results.append(value)
        return results

    def _partial(self, jet: Jet, factor: tuple[str, ...]) -> arb:
        if not factor:
            return jet.value
        indices = sorted(self.position[name] for name in factor)
        if len(indices) == 1:
            return jet.gradient[indices[0]]
        i, j = indices
        return jet.hessian[i][j - i]

    def _jet(self, inputs: dict[str, arb], theta: Sequence[Fraction]) -> Jet:
        memo: dict[sp.Basic, Jet] = {}
        for name, value in inputs.items():
            memo[symbols((name,))[0]] = self._constant(value)
        for i, (p, value) in enumerate(zip(self.parameters, theta, strict=True)):
            jet = self._constant(ball(value))
            jet.gradient[i] = arb(1)
            memo[p] = jet
        return self._walk(self.atom.expression, memo)

    def _constant(self, value: arb) -> Jet:
        n = len(self.parameters)
        rows = n if self.order > 1 else 0
        return Jet(value, [arb(0)] * n, [[arb(0)] * (n - i) for i in range(rows)])

    def _walk(self, node: Node, memo: dict[sp.Basic, Jet]) -> Jet:
        if node not in memo:
            memo[node] = self._node(node, memo)
        return memo[node]

    def _node(self, node: Node, memo: dict[sp.Basic, Jet]) -> Jet:
        if node.is_Rational:
            return self._constant(ball(Fraction(int(node.p), int(node.q))))
        if node is sp.pi:
            return self._constant(arb.pi())
        if node is sp.E:
            return self._constant(arb.const_e())
        arguments = node.args
        if node.is_Add or node.is_Mul:
            total = self._walk(arguments[0], memo)
            for other in arguments[1:]:
                jet = self._walk(other, memo)
                total = total + jet if node.is_Add else total * jet
            return total
        if node.is_Pow:
            base, exponent = arguments
            if base is sp.E:
                jet = self._walk(exponent, memo)
                return jet.compose(_TRIPLES[sp.exp](jet.value))
            jet = self._walk(base, memo)
            if exponent.is_Rational:
                power = Fraction(int(exponent.p), int(exponent.q))
                return jet.compose(_power_triple(jet.value, power))
            log = jet.compose(_TRIPLES[sp.log](jet.value))
            product = self._walk(exponent, memo) * log
            return product.compose(_TRIPLES[sp.exp](product.value))
        jet = self._walk(arguments[0], memo)
        return jet.compose(_TRIPLES[type(node)](jet.value))
