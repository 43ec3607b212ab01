"""Arcs verified by series: which coefficients of T_G(t) − T_* in t are identically 0 in x and η.

With Δh = h(x, η + δ(t)) − h(x, η), written in the partial derivatives ∂^α h as unknowns, T is

- least squares: Σ w (h + Δh), a function of x;
- Gaussian: Σ w exp(u·Δh + u²·Δν/2), where u^j stands for ∂^j N/∂h^j: at any x these are independent
  functions of y, so that the coefficient of every u^j has to vanish by itself.

Where the gate moves, T_G − T_* is Σ W_i(V_i − T) over the denominator: with unknowns ∂^α W as well,
the blocks are Σ w W − W_*, which multiplies V − T, and those above with W beside w.

A coefficient of t^n is then a polynomial in s, in the ∂^α h and in η. Its sum over the atoms is
exact: s runs over the roots of a polynomial over Q, and the sum of a power of s over them is a
trace. What is left is 0 as a polynomial, or becomes 0 once the ∂^α h are put in
(:func:`identkit.relations.proved_zero`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from math import factorial
from typing import Any

import sympy as sp
from flint import Ordering, fmpq, fmpq_mpoly, fmpq_mpoly_ctx, fmpq_poly

from identkit.atoms import AtomFunction
from identkit.deadline import Deadline
from identkit.degeneracy.moments import SPREAD
from identkit.derivatives import Derivatives
from identkit.experts import symbols
from identkit.expression import parse, symbol
from identkit.orders.records import ROOT_NAME, TIME_NAME, Atoms
from identkit.relations import proved_zero
from identkit.vocabulary import Through

_NAMES = frozenset({ROOT_NAME, TIME_NAME})

Series = list[fmpq_mpoly]
"""Coefficients of t^0, t^1, …"""


def rational(text: str) -> fmpq:
    """A rational from its text."""
    value = Fraction(text)
    return fmpq(value.numerator, value.denominator)


def trace_powers(atoms: Atoms, count: int) -> list[fmpq]:
    """Σ w(s) s^k over the roots, k = 0 … count − 1, exactly."""
    modulus = fmpq_poly([rational(c) for c in atoms.roots])
    weight = fmpq_poly([rational(c) for c in atoms.weight]) % modulus
    degree, s = modulus.degree(), fmpq_poly([0, 1])
    # the trace of multiplication by a polynomial, from those of 1, s, s², …
    unit = [_trace(s**k % modulus, modulus) for k in range(degree)]
    found = []
    for _ in range(count):
        found.append(sum((c * unit[i] for i, c in enumerate(weight.coeffs())), fmpq(0)))
        weight = weight * s % modulus
    return found


def _trace(p: fmpq_poly, modulus: fmpq_poly) -> fmpq:
    total, s = fmpq(0), fmpq_poly([0, 1])
    for k in range(modulus.degree()):
        row = (p * s**k) % modulus
        total += row.coeffs()[k] if k < len(row.coeffs()) else fmpq(0)
    return total


class Expansion:
    """The series of T along arcs of one expert function, up to t^(limit − 1)."""

    def __init__(
        self, atom: AtomFunction, through: Through, limit: int, deadline: Deadline
    ) -> None:
        self.atom, self.through, self.limit, self.deadline = atom, through, limit, deadline
        self.derivatives = Derivatives(atom, deadline)

    def order_of(self, atoms: Sequence[Atoms]) -> int:
        """The largest N ≤ limit for which the coefficients of t^0 … t^(N−1) are proved 0.

        0 where the weights do not add up to that of the true atom.
        """
        one = sum((trace_powers(group, 1)[0] for group in atoms), fmpq(0))
        if one != 1:
            return 0
        work = _Work(self, atoms)
        return next((n for n in range(1, self.limit) if not work.vanishes(n)), self.limit)

    def powers(self, atoms: Sequence[Atoms]) -> dict[str, int]:
        """The exact order in t of every coordinate that moves, for almost every η."""
        work, found = _Work(self, atoms), {}
        for group, series in zip(atoms, work.moved, strict=True):
            modulus = fmpq_poly([rational(c) for c in group.roots])
            for name, coefficients in series.items():
                for n, c in enumerate(coefficients):
                    if n < found.get(name, self.limit) and work.survives(c, modulus):
                        found[name] = n
        return found


class _Work:
    """One arc in the ring Q[s, ∂^α h, η]."""

    def __init__(self, expansion: Expansion, atoms: Sequence[Atoms]) -> None:
        self.expansion, self.atoms, self.limit = expansion, atoms, expansion.limit
        self.eta = expansion.atom.parameters
        texts = [[(name, _read(text, self.eta)) for name, text in g.deviations] for g in atoms]
        first = {
            name: min(_first_power(text) for group in texts for own, text in group if own == name)
            for name in dict.fromkeys(own for group in texts for own, _ in group)
        }
        self.gate = frozenset(expansion.atom.gate)
        self.alphas = [
            alpha
            for alpha in _multi_indices([(p, first[p]) for p in self.eta if p in first], self.limit)
            if expansion.derivatives.partial(alpha) != 0
        ]
        if self.gate & first.keys():
            self.alphas.append(())  # W itself
        names = ["s", *(f"d{i}" for i in range(len(self.alphas))), *self.eta]
        labels = [f"g{i}" for i in range(len(names))]  # names of η need not be FLINT's
        self.ring = fmpq_mpoly_ctx.get(labels, Ordering.lex)
        self.gens = self.ring.gens()
        self.zero, self.one = self.ring.constant(0), self.ring.constant(1)
        self.derivative = self.gens[1 : 1 + len(self.alphas)]
        places = [0, *range(1 + len(self.alphas), len(names))]
        place = dict(zip((ROOT_NAME, *self.eta), places, strict=True))
        self.moved = [{name: self._series(text, place) for name, text in group} for group in texts]
        self.traces = [trace_powers(group, 2 * self.limit + 1) for group in atoms]

    def _series(self, text: Any, place: dict[str, int]) -> Series:
        """The deviation as a series in t; a polynomial in s, t and η over Q."""
        names = [*symbols(tuple(place)), symbol(TIME_NAME)]
        series = [self.zero] * self.limit
        for monomial, c in sp.Poly(text, *names, domain="QQ").terms():
            *exponents, n = monomial
            if n < self.limit:
                term = self.ring.constant(fmpq(int(c.p), int(c.q)))
                for i, e in zip(place.values(), exponents, strict=True):
                    term = term * self.gens[i] ** e
                series[n] += term
        return series

    def survives(self, coefficient: fmpq_mpoly, modulus: fmpq_poly) -> bool:
        """Whether it is not 0 at some root, for almost every η; the roots are simple."""
        by_eta: dict[tuple[int, ...], list[fmpq]] = {}
        for exponents, c in coefficient.to_dict().items():
            row = by_eta.setdefault(tuple(exponents[1:]), [])
            row += [fmpq(0)] * (exponents[0] + 1 - len(row))
            row[exponents[0]] += c
        return any(fmpq_poly(row) % modulus != 0 for row in by_eta.values())

    # -- series in t ------------------------------------------------------------------------

    def _times(self, left: Series, right: Series) -> Series:
        product = [self.zero] * self.limit
        for i, a in enumerate(left):
            if a != 0:
                for j, b in enumerate(right[: self.limit - i]):
                    if b != 0:
                        product[i + j] += a * b
        self.expansion.deadline.check()
        return product

    def _powers(self, base: Series, divided: bool = False) -> Iterator[Series]:
        """base^k, or base^k/k!, k = 0, 1, … until it is 0 in this precision."""
        power, k = [self.one, *[self.zero] * (self.limit - 1)], 0
        while any(c != 0 for c in power):
            scale = fmpq(1, factorial(k) if divided else 1)
            yield [c * scale for c in power]
            power, k = self._times(power, base), k + 1

    def _change(self, moved: dict[str, Series], of_gate: bool) -> Series:
        """Δh, or ΔW, along the deviations of one group of atoms."""
        table = {p: list(self._powers(moved[p], divided=True)) for p in moved if p in self.eta}
        total = [self.zero] * self.limit
        for alpha, unknown in zip(self.alphas, self.derivative, strict=True):
            if not alpha or (alpha[0] in self.gate) != of_gate:
                continue
            term = [self.one, *[self.zero] * (self.limit - 1)]
            for p in dict.fromkeys(alpha):
                powers, count = table.get(p, []), alpha.count(p)
                term = self._times(term, powers[count]) if count < len(powers) else []
                if not term:
                    break
            total = [a + b * unknown for a, b in zip(total, term, strict=True)] if term else total
        return total

    @cached_property
    def sums(self) -> list[dict[int, fmpq_mpoly]]:
        """By power of t: block j -> its coefficient, summed over all atoms."""
        through = self.expansion.through
        total: list[dict[int, fmpq_mpoly]] = [{} for _ in range(self.limit)]
        for moved, traces in zip(self.moved, self.traces, strict=True):
            change = self._change(moved, False)
            if through is Through.VALUE:
                blocks = {1: change}
            else:
                wide = moved.get(SPREAD, [self.zero] * self.limit)
                blocks = self._blocks(change, [c * fmpq(1, 2) for c in wide])
            if () in self.alphas:
                own = self._change(moved, True)
                whole = [self.derivative[self.alphas.index(())] + own[0], *own[1:]]
                blocks = {0: own, **{j: self._times(whole, s) for j, s in blocks.items()}}
            for j, series in blocks.items():
                for n, c in enumerate(series):
                    summed = self._over_roots(c, traces)
                    total[n][j] = total[n].get(j, self.zero) + summed
        return total

    def _blocks(self, mean: Series, half: Series) -> dict[int, Series]:
        """The coefficient of each u^j in exp(u·mean + u²·half), j ≥ 1."""
        found: dict[int, Series] = {}
        spread = list(self._powers(half, divided=True))
        for i, a in enumerate(self._powers(mean, divided=True)):
            for k, b in enumerate(spread):
                if i + k:
                    term = self._times(a, b)
                    old = found.get(i + 2 * k, [self.zero] * self.limit)
                    found[i + 2 * k] = [x + y for x, y in zip(old, term, strict=True)]
        return found

    def _over_roots(self, poly: fmpq_mpoly, traces: Sequence[fmpq]) -> fmpq_mpoly:
        terms: dict[tuple[int, ...], fmpq] = {}
        for (power, *rest), c in poly.to_dict().items():
            key = (0, *rest)
            terms[key] = terms.get(key, fmpq(0)) + c * traces[power]
        return self.ring.from_dict({k: c for k, c in terms.items() if c != 0})

    def vanishes(self, n: int) -> bool:
        """The coefficient of t^n, proved 0 in every block."""
        return all(self._is_zero(c) for c in self.sums[n].values())

    def _is_zero(self, coefficient: fmpq_mpoly) -> bool:
        if coefficient == 0:
            return True
        partial = self.expansion.derivatives.partial
        weight = self.expansion.atom.routed
        known = [partial(alpha) if alpha else weight for alpha in self.alphas]
        values = [sp.Integer(0), *known, *symbols(self.eta)]
        terms = []
        for exponents, c in coefficient.to_dict().items():
            factors = [v**e for v, e in zip(values, exponents, strict=True) if e]
            terms.append(sp.Mul(sp.Rational(int(c.p), int(c.q)), *factors))
        return proved_zero(sp.Add(*terms), self.expansion.atom, self.expansion.deadline)


def _read(text: str, names: Sequence[str]) -> Any:
    return sp.expand(parse(text, _NAMES | {*names}, generous=True))


def _first_power(text: Any) -> int:
    """The least power of t in a deviation, which vanishes with t."""
    time = symbol(TIME_NAME)
    least = min(m[0] for m, _ in sp.Poly(text, time).terms())
    if not least:
        raise ValueError(f"the deviation {text} does not vanish with {TIME_NAME}")
    return least


def _multi_indices(weights: Sequence[tuple[str, int]], limit: int) -> list[tuple[str, ...]]:
    """Sorted names with repetitions, not none, of total weight below the limit."""
    found: list[tuple[tuple[str, ...], int]] = [((), 0)]
    for name, weight in weights:
        found = [
            ((*names, *[name] * k), size + k * weight)
            for names, size in found
            for k in range((limit - 1 - size) // weight + 1)
        ]
    return [names for names, _ in found if names]
