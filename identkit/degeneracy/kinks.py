"""Kinks: what the δ-part of ∇²_η h says about invisible second moments.

Let h be analytic on both sides of the kink {p(x, θ) = 0} and continuous there. The jump of h is
then p·r near the kink, so ∇²_η h contains r ∇_ηp ∇_ηpᵀ δ(p), and no other function of the second
order has a δ there. If r does not vanish identically, ⟨M, ∇_ηp ∇_ηpᵀ⟩ = 0 on the kink for every
invisible M, and M ⪰ 0 gives M ∇_ηp(x) = 0 for every x with p = 0.

Treated are kinks with p = A x_s + B, where A and B are free of x_s: on the kink x_s = −B/A, hence
A·∇_ηp = A ∇B − B ∇A, a polynomial in the remaining inputs, and each of its coefficients is a vector
y with M y = 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp

from identkit.algebra import Element
from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, interval, precision
from identkit.deadline import Deadline
from identkit.experts import symbols
from identkit.expression import Step
from identkit.relations import Branch, FormalFamily, proved_zero
from identkit.sampling import Sampler

DRAWS = 12
"""Parameter draws, each with as many points of the kink, at which jumps are looked at."""


@dataclass(frozen=True)
class KinkConstraint:
    """M y = 0 for every y in ``rows`` (over the parameters of h), from the kink of ``argument``."""

    argument: str
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Kinks:
    """``continuous``: h is proved continuous at every kink. ``complete``: none was left out."""

    constraints: tuple[KinkConstraint, ...]
    continuous: bool
    complete: bool


@dataclass(frozen=True)
class _Section:
    """The kink A x_s + B = 0 solved for the input x_s; ``rest`` are the other inputs."""

    solved: Any
    slope: Any
    offset: Any
    rest: tuple[Any, ...]

    def on_kink(self, expression: Any) -> Any:
        return expression.xreplace({self.solved: -self.offset / self.slope})

    def rows(self, parameters: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
        """Coefficients of A ∇B − B ∇A on the monomials of the remaining inputs."""
        a, b = self.slope, self.offset
        gradient = [sp.expand(a * sp.diff(b, u) - b * sp.diff(a, u)) for u in parameters]
        terms: list[dict[Any, Any]] = [
            sp.Poly(g, *self.rest).as_dict() if self.rest else {(): g} for g in gradient
        ]
        monomials = sorted({m for t in terms for m in t}, reverse=True)
        rows = (tuple(t.get(m, sp.S.Zero) for t in terms) for m in monomials)
        return tuple(row for row in rows if any(entry != 0 for entry in row))


def kink_constraints(atom: AtomFunction, sampler: Sampler, deadline: Deadline) -> Kinks:
    """The linear constraints on invisible M ⪰ 0 that the kinks of h impose, for almost every θ.

    ``sampler`` draws parameters for which the kinks cross the domain.
    """
    if not atom.expression.has(Step):
        return Kinks((), True, True)
    family = FormalFamily.from_expressions([atom.expression], atom, deadline)
    study = _Study(family, sampler)
    constraints: list[KinkConstraint] = []
    continuous = complete = True
    for key, argument in study.arguments.items():
        if not argument.free_symbols & set(study.inputs):
            continue  # at almost every θ it is not 0
        moving = bool(argument.free_symbols & set(study.parameters))
        section = next(study.continuous_sections(key), None)
        if section is None:
            continuous = continuous and study.divisible(key)
            complete = complete and not moving
            continue
        rows = section.rows(study.parameters)
        if not rows:
            continue
        slopes = [sp.diff(jump, section.solved) for jump in study.jumps(key, section)]
        if all(study.vanishes(section.on_kink(s), section.rest) for s in slopes):
            continue  # no δ: h is once differentiable there
        if study.nonzero_on(key, section, slopes):
            constraints.append(KinkConstraint(key, rows))
        else:
            complete = False
    return Kinks(tuple(constraints), continuous, complete)


class _Study:
    """The branches of one h and what is proved about the jumps between them."""

    def __init__(self, family: FormalFamily, sampler: Sampler) -> None:
        self.family, self.sampler = family, sampler
        self.inputs, self.parameters = symbols(family.atom.inputs), symbols(family.atom.parameters)
        self.variables = (*symbols(family.atom.variables), *self.parameters)
        field = family.field
        self.arguments: dict[str, Any] = {
            key: field.to_sympy(Element(field, poly, field.unit_poly))
            for key, poly in field.sign_polys.items()
        }

    def continuous_sections(self, key: str) -> Iterator[_Section]:
        """The ways to solve for one input, those at which h is proved continuous on the kink."""
        argument = sp.expand(self.arguments[key])
        try:
            poly: Any = sp.Poly(argument, *self.inputs)
        except sp.PolynomialError:
            return  # an input occurs inside a function
        for x in self.inputs:
            if poly.degree(x) == 1:
                rest = tuple(y for y in self.inputs if y != x)
                section = _Section(x, sp.diff(argument, x), argument.xreplace({x: sp.S.Zero}), rest)
                jumps = self.jumps(key, section)
                if jumps and all(self.vanishes(section.on_kink(j), rest) for j in jumps):
                    yield section

    def pairs(self, key: str, section: _Section | None) -> Iterator[tuple[Branch, Branch]]:
        """Branches on the two sides of a kink whose other signs agree on it."""
        sides: dict[int, list[tuple[Branch, dict]]] = {1: [], -1: []}
        for branch in self.family.branches:
            if key in branch.signs:
                signs = self._other_signs(branch, key, section)
                if signs is not None:
                    sides[branch.signs[key]].append((branch, signs))
        for above, left in sides[1]:
            for below, right in sides[-1]:
                if all(right.get(k, sign) == sign for k, sign in left.items()):
                    yield above, below

    def _other_signs(self, branch: Branch, key: str, section: _Section | None) -> dict | None:
        """Signs of the other arguments as functions on the kink; None if they contradict."""
        signs: dict = {}
        for other, sign in branch.signs.items():
            if other == key:
                continue
            shown: Any = other
            if section is not None:
                shown = sp.expand(section.on_kink(self.arguments[other]))
                if shown == 0:
                    continue
                if shown.could_extract_minus_sign():
                    shown, sign = -shown, -sign
                if (shown.is_nonnegative and sign < 0) or (shown.is_nonpositive and sign > 0):
                    return None
            if signs.setdefault(shown, sign) != sign:
                return None
        return signs

    def jumps(self, key: str, section: _Section) -> list[Any]:
        """The different h₊ − h₋, as expressions without kinks."""
        found = (a.elements[0] - b.elements[0] for a, b in self.pairs(key, section))
        return list(dict.fromkeys(self.family.field.to_sympy(e) for e in found))

    def vanishes(self, expression: Any, inputs: tuple[Any, ...]) -> bool:
        """Proved identically zero in the given inputs and θ."""
        names, own = tuple(x.name for x in inputs), self.family.atom
        atom = AtomFunction("h", expression, names, own.parameters, own.markers)
        return proved_zero(expression, atom, self.family.deadline)

    def _draw(self) -> list[Any]:
        known = dict(zip(self.sampler.atom.parameters, self.sampler.parameter_draw(), strict=True))
        return [ball(known[p]) for p in self.family.atom.parameters]

    def nonzero_on(self, key: str, section: _Section, slopes: list[Any]) -> bool:
        """Each jump of the slope is proved not identically zero on the kink, by balls.

        So are the other kinks' arguments (one at the same place could cancel this one), and at
        some point of the kink inside the domain the signs are those of two branches that meet.
        """
        variables, s = self.variables, self.inputs.index(section.solved)
        at, everywhere = self.family.atom.at, self.family.atom.everywhere
        others = [k for k in self.arguments if k != key]
        pairs = list(self.pairs(key, section))
        tape = Tape([*(self.arguments[k] for k in others), *slopes], variables)
        solution = Tape([-section.offset, section.slope], variables)
        waiting, met = set(range(len(tape.outputs))), False
        low, high = self.sampler.sides[s]
        with precision(256):
            for _ in range(DRAWS):
                self.family.deadline.check()
                theta = self._draw()
                drawn = (self.sampler.point() for _ in range(DRAWS))
                for point in (own for x in drawn for own in everywhere([x])):
                    x = [ball(v) for v in at(point)]
                    top, bottom = solution.evaluate([*x, *theta])
                    x[s] = top / bottom
                    if not (ball(low) < x[s] < ball(high)):
                        continue
                    values = tape.evaluate([*x, *theta])
                    waiting -= {n for n, v in enumerate(values) if v > 0 or v < 0}
                    signs = {
                        k: 1 if v > 0 else -1
                        for k, v in zip(others, values, strict=False)
                        if v > 0 or v < 0
                    }
                    met = met or any(
                        all(k == key or signs.get(k) == v for b in pair for k, v in b.signs.items())
                        for pair in pairs
                    )
                    if met and not waiting:
                        return True
        return False

    def divisible(self, key: str) -> bool:
        """Continuity where the kink is not solved: each jump is p·N/D with D ≠ 0 on the domain.

        D must not contain p itself: draws whose kink misses the domain would hide a jump.
        """
        field = self.family.field
        argument = Element(field, field.sign_polys[key], field.unit_poly)
        quotients = [(a.elements[0] - b.elements[0]) / argument for a, b in self.pairs(key, None)]
        if any(not q.den.gcd(argument.num).is_constant() for q in quotients):
            return False
        bottoms = [field.to_sympy(Element(field, q.den, field.unit_poly)) for q in quotients]
        tape = Tape(bottoms, (*self.inputs, *self.parameters))  # they are free of the markers
        with precision(64):
            box = [interval(low, high) for low, high in self.sampler.sides]
            values = tape.evaluate([*box, *self._draw()])
        return bool(values) and all(v.is_finite() and not v.contains(0) for v in values)
