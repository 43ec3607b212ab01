"""Arcs measured: ‖T_G(t) − T_*‖ against t in ball arithmetic, from the atoms alone.

Nothing is taken from the series: the roots are enclosed, h or the density is evaluated at the
atoms of the record, and the slope of the logarithms is what an order should be.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import arb, fmpq, fmpq_poly

from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, precision
from identkit.degeneracy.moments import SPREAD
from identkit.degeneracy.realise import bell, offsets, points_in
from identkit.domain import Domain
from identkit.experts import symbols
from identkit.expression import parse, symbol
from identkit.orders.records import ROOT_NAME, TIME_NAME, Atoms
from identkit.orders.series import rational
from identkit.vocabulary import Through

BITS = 400
POINTS = 24
STEPS = range(8, 13)
"""t = 2^-8 … 2^-12."""


def real_roots(coefficients: Sequence[str]) -> list[arb] | None:
    """All roots, enclosed, if the polynomial has as many real ones as its degree, all simple."""
    p = fmpq_poly([rational(c) for c in coefficients])
    if p.gcd(p.derivative()).degree() != 0:
        return None
    text = sum(sp.Rational(c) * symbol(ROOT_NAME) ** i for i, c in enumerate(coefficients))
    if p.degree() < 1 or sp.Poly(text, symbol(ROOT_NAME)).count_roots() != p.degree():
        return None
    roots: Any = p.numer().complex_roots()  # pairs (root, multiplicity)
    return [root.real for root, _ in roots]


def atoms_at(group: Atoms) -> list[tuple[arb, arb]] | None:
    """(s, w) for each root; None unless every root is real and simple and every weight positive."""
    with precision(BITS):
        roots = real_roots(group.roots)
        if roots is None:
            return None
        weight = fmpq_poly([rational(c) for c in group.weight])
        pairs = [(s, _value(weight, s)) for s in roots]
        return pairs if all(w > 0 for _, w in pairs) else None


def _value(p: fmpq_poly, s: arb) -> arb:
    total = arb(0)
    for c in reversed(p.coeffs()):
        total = total * s + arb(fmpq(c))
    return total


class Measurement:
    """The root mean square of T_G(t) − T_* over seeded points, for a true atom of weight 1.

    Where the gate moves, ``atom`` is W + h, and the true mixture has a second atom, at ``other``:
    weights are seen beside others only.
    """

    def __init__(
        self,
        atom: AtomFunction,
        through: Through,
        eta: Sequence[Fraction],
        domain: Domain,
        seed: int,
        other: Sequence[Fraction] | None = None,
    ) -> None:
        self.atom, self.through, self.eta, self.other = atom, through, eta, other
        parts = [atom.expression] if other is None else list(atom.parts)
        self.tape = Tape(parts, (*symbols(atom.variables), *symbols(atom.parameters)))
        rng = random.Random(seed)
        self.points = atom.everywhere(points_in(domain, len(atom.inputs), POINTS, rng))
        self.responses = offsets(self.points, rng)

    def steps(self, atoms: Sequence[Atoms]) -> tuple[tuple[tuple[str, str], ...], str]:
        """The pairs (t, norm) as text, and the last slope; no slope where a norm is not finite."""
        with precision(BITS):
            norms = [self._norm(atoms, Fraction(1, 2**k)) for k in STEPS]
            if not all(n is not None and n.is_finite() and n > 0 for n in norms):
                return (), ""
            shown = tuple(
                (f"1/{2**k}", f"{float(n.mid()):.6e}") for k, n in zip(STEPS, norms, strict=True)
            )
            slope = (norms[-2] / norms[-1]).log() / arb(2).log()
            return shown, f"{float(slope.mid()):.3f}"

    def _norm(self, atoms: Sequence[Atoms], t: Fraction) -> Any:
        placed = self._placed(atoms, t)
        if placed is None:
            return None
        total, true = arb(0), [ball(e) for e in self.eta]
        if self.other is not None:
            return self._of_mixtures(placed, true, [ball(e) for e in self.other])
        for point, offset in zip(self.points, self.responses, strict=True):
            z = [ball(v) for v in self.atom.at(point)]
            middle = self.tape.evaluate([*z, *true])[0]
            response = middle + ball(offset)
            change = -self._seen(middle, response, arb(1))
            for weight, eta, variance in placed:
                h = self.tape.evaluate([*z, *eta])[0]
                change += weight * self._seen(h, response, variance)
            total += change * change
        return (total / len(self.points)).sqrt()

    def _of_mixtures(
        self,
        placed: list[tuple[arb, list[arb], arb]],
        true: list[arb],
        other: list[arb],
    ) -> arb:
        """The same for atoms weighed by W, beside one that stays as it is."""
        total, unit = arb(0), arb(1)
        for point, offset in zip(self.points, self.responses, strict=True):
            z = [ball(v) for v in self.atom.at(point)]
            middle = self.tape.evaluate([*z, *true])[1]

            def mixture(atoms: list[tuple[arb, list[arb], arb]], z: Any, y: Any) -> Any:
                above, below = arb(0), arb(0)
                for share, theta, variance in atoms:
                    weight, h = self.tape.evaluate([*z, *theta])
                    above += share * weight * self._seen(h, y, variance)
                    below += share * weight
                return above / below

            y, beside = middle + ball(offset), (unit, other, unit)
            change = mixture([*placed, beside], z, y) - mixture([(unit, true, unit), beside], z, y)
            total += change * change
        return (total / len(self.points)).sqrt()

    def _seen(self, h: arb, y: arb, variance: arb) -> arb:
        """h itself, or √(2π) N(y | h, variance)."""
        if self.through is Through.VALUE:
            return h
        return bell(y - h, variance)

    def _placed(
        self, atoms: Sequence[Atoms], t: Fraction
    ) -> list[tuple[arb, list[arb], arb]] | None:
        """(weight, η, variance) of every atom at this t; the true variance is 1."""
        names = (ROOT_NAME, TIME_NAME, *self.atom.parameters)
        placed = []
        for group in atoms:
            pairs = atoms_at(group)
            if pairs is None:
                return None
            texts = [parse(text, frozenset(names), generous=True) for _, text in group.deviations]
            tape = Tape(texts, symbols(names))
            for s, weight in pairs:
                values = tape.evaluate([s, ball(t), *(ball(e) for e in self.eta)])
                moved = dict(zip([n for n, _ in group.deviations], values, strict=True))
                eta = [
                    ball(e) + moved.get(p, arb(0))
                    for p, e in zip(self.atom.parameters, self.eta, strict=True)
                ]
                placed.append((weight, eta, 1 + moved.get(SPREAD, arb(0))))
        return placed
