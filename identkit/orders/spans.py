"""Questions of linear algebra over Q(θ) that bounds of orders rest on, each answered by proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy as sp

from identkit.algebra import TooLarge
from identkit.atoms import AtomFunction
from identkit.certificates.independence import find_witness
from identkit.certificates.witness import Witness
from identkit.conditions import AtomTerm, BasisFunction
from identkit.deadline import Deadline
from identkit.degeneracy.cone import coordinate_directions, face_of
from identkit.degeneracy.moments import MomentSpace, beside_space, seen_atom, space_of
from identkit.degeneracy.nullspace import NullSpace
from identkit.degeneracy.readable import Readable
from identkit.degeneracy.records import Invisible, SecondOrder
from identkit.degeneracy.semidefinite import Infeasible, decide
from identkit.degeneracy.undecided import blank
from identkit.derivatives import Derivatives
from identkit.errors import DomainError
from identkit.forms import affine_forms
from identkit.normal_form import NeedSign, Rebase
from identkit.prove import witness_quantifier
from identkit.relations import FormalFamily
from identkit.results import Options
from identkit.sampling import Sampler
from identkit.vocabulary import Quantifier, Through, Verdict

Values = dict[str, Any]
"""Parameter -> coefficient, an expression in η."""
LIMITS = (TooLarge, Rebase, NeedSign, DomainError)
"""What a normal form or a draw can end in: then nothing is known."""


@dataclass
class Spans:
    """One expert function h; ``through`` is how the likelihood sees it.

    ``routed`` is W + h and ``scored`` π + h where the gate has a router of its own.
    """

    atom: AtomFunction
    through: Through
    options: Options
    deadline: Deadline
    routed: AtomFunction | None = None
    scored: AtomFunction | None = None

    def _sampler(self, atom: AtomFunction) -> Sampler:
        o = self.options
        return Sampler(atom, o.domain, o.seed, affine_forms(self.atom), self.deadline)

    def independent(self, atom: AtomFunction, functions: Sequence[AtomTerm]) -> bool:
        """Whether they are proved independent functions, for almost every θ or on an open set."""
        expressions = Derivatives(self.atom, self.deadline).expressions(functions)
        if not expressions or any(e == 0 for e in expressions):
            return not expressions
        return self._witness(atom, expressions) is not None

    def _witness(self, atom: AtomFunction, expressions: Sequence[Any]) -> Witness | None:
        bits = self.options.max_precision
        return find_witness(expressions, [], 1, self._sampler(atom), bits, self.deadline).witness

    def independence(self, expressions: Sequence[Any]) -> Quantifier | None:
        """For which η these functions of x and η are proved independent, None for none."""
        sampler, bits = self._sampler(self.atom), self.options.max_precision
        search = find_witness(expressions, [], 1, sampler, bits, self.deadline)
        return None if search.witness is None else witness_quantifier(sampler)

    @cached_property
    def gradient_independent(self) -> bool:
        """No relation V·∇h = 0 at first order: the first derivatives are independent."""
        u = self.atom.symbol
        functions = [BasisFunction(u, (), ((p,),)) for p in self.atom.parameters]
        try:
            return self.independent(self.atom, functions)
        except LIMITS:
            self.deadline.check()
            return False

    @cached_property
    def location(self) -> dict[str, Any] | None:
        """V with V·∇h = κ ≠ 0 free of x, and κ under the empty name: a location of the response.

        Only with the same V everywhere, so that h moves by κ·s along η + s·V.
        """
        derivatives = Derivatives(self.atom, self.deadline)
        names = self.atom.parameters
        for p in names:
            speed = sp.cancel(derivatives.partial((p,)))
            inside = {*self.atom.variables, p}
            if speed != 0 and not {str(s) for s in speed.free_symbols} & inside:
                polynomial = speed.is_polynomial(*speed.free_symbols)
                return {p: sp.Integer(1), "": speed} if polynomial else None
        try:
            columns = [*(derivatives.partial((p,)) for p in names), sp.Integer(1)]
            family = FormalFamily.from_expressions(columns, self.atom, self.deadline)
            rows = family.columns()
            _, dependent = family.echelon(rows, list(range(len(columns))))
            for index, support in dependent:
                found = family.null_combination(rows, index, support)
                if found is None:
                    continue
                values = {
                    i: sp.cancel(family.field.to_sympy(c)) for i, c in found.coefficients.items()
                }
                # rational V and κ: the line through η is then an exact curve, if at all
                if len(names) in values and all(v.is_Rational for v in values.values()):
                    own = {p: values[i] for i, p in enumerate(names) if i in values}
                    return {**own, "": -values[len(names)]}
        except LIMITS:
            self.deadline.check()
        return None

    def square_and_bend(self, p: str, location: str) -> tuple[Values, Values] | None:
        """(∂_p h)² and ∂²_p h as combinations of first derivatives and 1, if both are.

        The coefficient of 1 is under the empty name; ∂h along the location is a constant itself.
        """
        others = [q for q in self.atom.parameters if q != location]
        derivatives = Derivatives(self.atom, self.deadline)
        slope, bend = derivatives.partial((p,)), derivatives.partial((p, p))
        first = [*(derivatives.partial((q,)) for q in others), sp.Integer(1)]
        try:
            found = [self._combination(first, target) for target in (slope**2, bend)]
        except LIMITS:
            self.deadline.check()
            return None
        if found[0] is None or found[1] is None:
            return None
        named = [dict(zip((*others, ""), values, strict=True)) for values in found if values]
        return named[0], named[1]

    def _combination(self, functions: list[Any], target: Any) -> list[Any] | None:
        """Coefficients free of x with which the functions add up to the target."""
        if target == 0:
            return [sp.Integer(0)] * len(functions)
        last = len(functions)
        family = FormalFamily.from_expressions([*functions, target], self.atom, self.deadline)
        columns = family.columns()
        _, dependent = family.echelon(columns, list(range(last + 1)))
        support = dict(dependent).get(last)
        found = None if support is None else family.null_combination(columns, last, support)
        if found is None:
            return None
        values = {i: family.field.to_sympy(c) for i, c in found.coefficients.items()}
        return [sp.cancel(-values.get(i, 0) / values[last]) for i in range(last)]

    def only_vector_of_rank(self, weight_free: bool, rank: int) -> bool:
        """Whether all invisible moments are multiples of one vector, of this rank ≥ 2."""
        if weight_free or rank < 2:
            return False
        try:
            space = space_of(self.atom, False, self.through)
            null, _ = self._complete(space)
        except LIMITS:
            self.deadline.check()
            return False
        return null is not None and len(null.vectors) == 1

    def _complete(self, space: MomentSpace) -> tuple[NullSpace | None, Witness | None]:
        """The null space and the determinant that proves it complete; None of both without one."""
        seen = seen_atom(self.atom, self.through)
        functions = [m.function for m in space.moments]
        expressions = Derivatives(self.atom, self.deadline).expressions(functions)
        family = FormalFamily.from_expressions(expressions, seen, self.deadline)
        null = NullSpace.of(family, space)
        left = [expressions[i] for i in null.pivots]
        witness = self._witness(seen, left) if left else None
        return (None, None) if witness is None else (null, witness)

    def beside_location(self, location: str) -> SecondOrder | None:
        """That no S ⪰ 0, S ≠ 0 on the other coordinates ζ has both S:∇²h and ∇hᵀS∇h in
        span{1, x, ∇_ζ h}: the evidence, as that of a second order without invisible moments.

        With a router of one's own ∇π stands for x.

        Proved for almost every η, or on an open set where a dual matrix says so; None if neither.
        """
        others = tuple(p for p in self.atom.parameters if p != location)
        yes = replace(blank("", None, ""), verdict=Verdict.YES, quantifier=Quantifier.ALMOST_EVERY)
        if not others:
            return yes
        try:
            # π + h has the derivatives of both; parts of its own, a density needs no W of it
            whole = self.atom if self.scored is None else plain(self.scored)
            own = replace(self, atom=whole)
            gate = None if self.scored is None else self.scored.gate
            space = beside_space(whole, others, gate)
            null, witness = own._complete(space)
            if null is None:
                return None
            readable = Readable(space, null.family.field)
            second = [i for i, m in enumerate(space.moments) if len(m.pair) == 2]
            face = face_of(null)
            # relations among 1, x and ∇_ζ h alone say nothing of S
            face.vectors = [v for v in face.vectors if any(i in v for i in second)]
            face.reduce(coordinate_directions(space, null.family.field))
            labels = {y.label for y in face.visible}
            found = replace(
                yes,
                invisible=tuple(Invisible(readable.moments(v), "") for v in null.vectors),
                visible=tuple(readable.visible(y, labels) for y in face.visible),
                independent=tuple(space.moments[i].function.label for i in null.pivots),
                determinant=witness,
            )
            if not any(i in v for v in face.vectors for i in second):
                return found
            sampler = own._sampler(seen_atom(whole, Through.DENSITY))
            draws = [sampler.parameter_draw() for _ in range(2)]
            outcome = decide(face, draws, whole.parameters)
            if not isinstance(outcome, Infeasible):
                return None
            return replace(found, dual=outcome.dual, quantifier=outcome.dual.quantifier)
        except LIMITS:
            self.deadline.check()
            return None


def plain(atom: AtomFunction) -> AtomFunction:
    """The same function of all its parameters, not taken apart into a router's and an expert's."""
    return replace(atom, routed=None, gate=(), shared=())
