"""Decide one set of functions: coincidence rule, exact relations, fixed spaces, ball witness.

The order is the order of certainty. A relation within one atom or a fixed space is an exact
``no``; a nonzero determinant is a rigorous ``yes``; anything else is ``undecided`` with what was
tried. Nothing here rounds, and nothing is decided by a floating-point rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import sympy as sp
from flint import fmpq, fmpq_mat

from identkit.algebra import Element
from identkit.atoms import AtomFunction
from identkit.balls import Tape
from identkit.causes import cause_of
from identkit.certificates.independence import (
    Search,
    are_distinct,
    evaluate,
    find_witness,
)
from identkit.certificates.witness import Witness
from identkit.coincidence import Coincidences, apply_rule, coincide_for, distinct_on_every_branch
from identkit.conditions import BasisFunction, FunctionSet
from identkit.deadline import Deadline
from identkit.derivatives import Derivatives
from identkit.errors import DomainError, OutOfTime, Unproved
from identkit.every_k import FixedSpace, Movement, dependence_risk
from identkit.forms import affine_forms
from identkit.normal_form import Field, Rebase
from identkit.relations import Column, Combination, FormalFamily
from identkit.results import (
    GIVEN_NUMBER,
    FixedProof,
    MergedFunction,
    Options,
    Relation,
    SetProof,
    Term,
)
from identkit.sampling import Sampler, is_harmless_number
from identkit.vocabulary import WEAKEST_FIRST, Cause, ProofKind, Quantifier, Verdict

MAX_EXACT_RANK = 400
"""Largest number of polynomial functions whose exact rational rank is computed."""


@dataclass
class Prover:
    """Everything needed to decide the sets of one condition for one atom function."""

    atom: AtomFunction
    options: Options
    deadline: Deadline

    def __post_init__(self) -> None:
        self.derivatives = Derivatives(self.atom, self.deadline)
        self.forms = affine_forms(self.atom)
        self.sampler = Sampler(
            self.atom, self.options.domain, self.options.seed, self.forms, self.deadline
        )
        self.quantifier = witness_quantifier(self.sampler)
        if self.quantifier == Quantifier.OPEN_SET and self.sampler.singular:
            self.sampler.parameter_draw()  # raises DomainError if the expert is nowhere regular

    def prove(self, functions: FunctionSet) -> SetProof:
        """Decide one set. Running out of time is an ``undecided`` proof, not an exception."""
        notes: list[str] = []
        try:
            return self._prove(functions, notes)
        except OutOfTime as limit:
            return undecided(functions, self.options.atoms, (*notes, str(limit)), limit.cause)

    def _prove(self, functions: FunctionSet, notes: list[str]) -> SetProof:
        basis = functions.functions
        expressions = self.derivatives.expressions(basis)
        shared = self.derivatives.expressions(functions.shared)
        try:
            family = FormalFamily.from_expressions(
                [*expressions, *shared], self.atom, self.deadline
            )
            formal = Formal(family, functions)
        except (OutOfTime, Rebase) as error:
            self.deadline.check()
            notes.append(f"no exact relation could be sought: {error}")
            return self._without_normal_form(functions, expressions, shared, notes)
        blank = formal.blank(self.options.atoms)
        if formal.rule.failure is not None:
            relation = formal.relation(formal.rule.failure)
            return replace(
                blank,
                kind=ProofKind.RELATION,
                verdict=Verdict.NO,
                relations=(relation,),
                quantifier=relation_quantifier(relation),
            )
        if formal.dependent:
            return self._dependent(formal, blank, expressions, notes)
        return self._independent(formal, blank, expressions, shared, notes)

    # -- no ---------------------------------------------------------------------------------

    def _dependent(
        self, formal: Formal, blank: SetProof, expressions: list[sp.Expr], notes: list[str]
    ) -> SetProof:
        """Relations within one atom: proved, and with a witness for the rest, an exact rank."""
        relations = [formal.exact(index, support) for index, support in formal.dependent]
        proved = tuple(formal.relation(r) for r in relations if r is not None)
        if not proved:
            raise Unproved("a dependence was seen modulo a prime but no exact relation was found")
        if formal.set.coincidence:
            self._assert_distinct(formal, {t.function for r in proved for t in r.terms}, proved)
        complete = len(proved) == len(relations)
        rank, witness, witnessed = None, None, ()
        if complete and not formal.set.shared:
            try:
                rank, witness, witnessed = self._rank(formal, expressions)
            except (OutOfTime, DomainError) as limit:
                notes.append(f"rank not determined: {limit}")
        return replace(
            blank,
            kind=ProofKind.RELATION,
            verdict=Verdict.NO,
            relations=proved,
            rank=rank,
            witness=witness,
            witnessed=witnessed,
            quantifier=formal.quantifier_of(proved),
            notes=tuple(notes),
        )

    def _assert_distinct(
        self, formal: Formal, functions: set[BasisFunction], relations: Sequence[Relation]
    ) -> None:
        """A relation is a failure only among functions that the coincidence rule cannot merge."""
        if any(all(t.function.first for t in r.terms) for r in relations):
            return
        chosen = [f for f in formal.set.functions if f in functions]
        tape = Tape(self.derivatives.expressions(chosen), self.sampler.variables)
        if not are_distinct(
            self.sampler,
            lambda theta, xs: evaluate(tape, [theta], xs, None, self.atom, self.deadline),
        ):
            raise Unproved("two of the functions related may coincide unnoticed")

    def _rank(
        self, formal: Formal, expressions: list[sp.Expr]
    ) -> tuple[int | None, Witness | None, tuple[BasisFunction, ...]]:
        atoms, pivots = self.options.atoms, formal.pivots
        if not formal.set.any_number or formal.movement_everywhere.all_move(pivots):
            search = self._search([expressions[i] for i in pivots], [], atoms)
            if search.witness is not None:
                return atoms * len(pivots), search.witness, formal.functions(pivots)
        return formal.polynomial_rank(self.sampler, pivots, atoms), None, ()

    # -- yes, or no for many atoms ----------------------------------------------------------

    def _independent(
        self,
        formal: Formal,
        blank: SetProof,
        expressions: list[sp.Expr],
        shared: list[sp.Expr],
        notes: list[str],
    ) -> SetProof:
        kept = formal.rule.kept
        try:
            fixed = formal.movement_everywhere.fixed_space(kept)
        except (OutOfTime, Rebase):
            self.deadline.check()
            fixed = None
        if fixed is not None and (formal.set.any_number or fixed.atoms <= self.options.atoms):
            return self._fixed(formal, blank, fixed)
        search = self._search([expressions[i] for i in kept], shared, self.options.atoms)
        obstacle, cause = None, None
        if search.witness is None:
            where = coincide_for(formal.family, formal.columns, kept)
            if where:
                cause = Cause.SIGNS
                notes.append(
                    f"where {where} functions of an atom coincide that differ elsewhere; the "
                    "coincidence rule is not applied sign by sign"
                )
        else:
            try:
                obstacle = formal.every_k_obstacle(self.sampler, search.witness.atoms)
            except (OutOfTime, Rebase) as error:
                self.deadline.check()
                obstacle, cause = str(error), cause_of(error)
        proof = replace(blank, notes=(*notes, *self._kink_notes()))
        return self._by_witness(replace(proof, cause=cause), search, obstacle)

    def _by_witness(self, blank: SetProof, search: Search, obstacle: str | None) -> SetProof:
        """``yes`` if a witness was found, else ``undecided`` with what was tried."""
        if search.witness is None:
            notes = (*blank.notes, search.tried)
            return replace(blank, notes=notes, cause=blank.cause or Cause.NOT_FOUND)
        return replace(
            blank,
            kind=ProofKind.BALL_DETERMINANT,
            verdict=Verdict.YES,
            witness=search.witness,
            witnessed=blank.kept,
            rank=blank.functions,
            quantifier=self.quantifier,
            every_k=obstacle is None,
            every_k_obstacle=obstacle,
        )

    def _fixed(self, formal: Formal, blank: SetProof, fixed: FixedSpace) -> SetProof:
        proof = FixedProof(
            tuple(formal.terms(c) for c in fixed.combinations),
            fixed.dimension,
            fixed.degree,
            space_text(fixed, self.atom),
            fixed.atoms,
        )
        self._assert_distinct(formal, {t.function for c in proof.combinations for t in c}, ())
        rank = None
        try:
            rank = formal.polynomial_rank(self.sampler, formal.rule.kept, fixed.atoms)
        except (OutOfTime, DomainError):
            self.deadline.check()  # the rank is an extra; the dimension count stands without it
        return replace(
            blank,
            kind=ProofKind.FINITE_DIMENSION,
            verdict=Verdict.NO,
            atoms=fixed.atoms,
            fixed=proof,
            rank=rank,
            quantifier=formal.quantifier_of_fixed(proof),
        )

    def _without_normal_form(
        self,
        functions: FunctionSet,
        expressions: list[sp.Expr],
        shared: list[sp.Expr],
        notes: list[str],
    ) -> SetProof:
        """No merging is possible, but a nonzero determinant still proves independence."""
        search = self._search(expressions, shared, self.options.atoms)
        blank = undecided(functions, self.options.atoms, tuple(notes), Cause.SIZE_LIMIT)
        return self._by_witness(blank, search, "the normal form is too large")

    def _search(self, functions: list[sp.Expr], shared: list[sp.Expr], atoms: int) -> Search:
        return find_witness(
            functions, shared, atoms, self.sampler, self.options.max_precision, self.deadline
        )

    def _kink_notes(self) -> tuple[str, ...]:
        if not self.sampler.uncrossed:
            return ()
        kinks = ", ".join(self.sampler.uncrossed)
        return (
            f"the kink {kinks} = 0 was not seen inside the domain {self.sampler.domain}; "
            "there the expert has no kink, or --domain misses it",
        )


def witness_quantifier(sampler: Sampler) -> Quantifier:
    """A witness extends to almost every θ only where U is analytic for all real (x, θ)."""
    if sampler.kinks:
        return Quantifier.OPEN_SET
    for hazard in sampler.singular:
        e = hazard.expression
        if e.is_number and is_harmless_number(hazard):
            continue
        positive_suffices = hazard.kind in ("pole", "log", "root")
        if not (e.is_positive and positive_suffices):
            return Quantifier.OPEN_SET
    return Quantifier.ALMOST_EVERY


class Formal:
    """The normal forms of one set, the coincidence rule applied, and relations made readable."""

    def __init__(self, family: FormalFamily, functions: FunctionSet) -> None:
        self.family = family
        self.set = functions
        self.basis = (*functions.functions, *functions.shared)
        self.columns: list[Column] = family.columns()
        self.rule: Coincidences = apply_rule(family, self.columns, functions)
        self.pivots: list[int] = []
        self.dependent: list[tuple[int, list[int]]] = []
        if self.rule.failure is None:
            order = [*range(len(functions.functions), len(self.basis)), *self._readable_order()]
            self.pivots, self.dependent = family.echelon(self.columns, order)

    def _readable_order(self) -> list[int]:
        """Low order first, so that relations express the complicated by the simple."""
        basis = self.basis
        return sorted(
            self.rule.kept,
            key=lambda i: (
                not basis[i].first or bool(basis[i].inputs),
                sum(len(f) for f in basis[i].factors) + len(basis[i].inputs),
                i,
            ),
        )

    def functions(self, indices: Sequence[int]) -> tuple[BasisFunction, ...]:
        return tuple(self.basis[i] for i in indices)

    def exact(self, index: int, support: list[int]) -> Combination | None:
        return self.family.null_combination(self.columns, index, support)

    @cached_property
    def movement_everywhere(self) -> Movement:
        """How the functions move with θ, on every branch of their kinks."""
        return Movement(self.family)

    def every_k_obstacle(
        self,
        sampler: Sampler,
        atoms: Sequence[Sequence[Fraction]],
        functions: Sequence[int] | None = None,
    ) -> str | None:
        """None if the kept (or given) functions are proved independent for every k near these.

        Every atom may lie near any of the given ones, so the argument has to hold at each, with
        the sign patterns of the kinks that are seen and meet there.
        """
        if not self.set.any_number:
            return GIVEN_NUMBER
        for movement in self._movements(sampler, atoms):
            if not movement.all_move(self.rule.kept if functions is None else functions):
                return "some combination may be the same function for every parameter"
            risk = dependence_risk(movement)
            if risk is not None:
                return risk
        return None

    def _movements(self, sampler: Sampler, atoms: Sequence[Sequence[Fraction]]) -> list[Movement]:
        field = self.family.field
        if not field.sign_polys:
            return [self.movement_everywhere]
        arguments = {k: field.to_sympy(_element(field, p)) for k, p in field.sign_polys.items()}
        seen: list[list[list[dict[str, int]]]] = []
        for theta in atoms:
            meetings = sampler.meetings(arguments, theta)
            if meetings not in seen:
                seen.append(meetings)
        return [Movement(self.family, meetings) for meetings in seen]

    def quantifier_of(self, relations: Sequence[Relation]) -> Quantifier:
        """For which parameters there is a failure: one relation is enough."""
        reached = {
            self._reach({t.function for t in r.terms}, relation_quantifier(r)) for r in relations
        }
        return max(reached, key=WEAKEST_FIRST.index)

    def quantifier_of_fixed(self, fixed: FixedProof) -> Quantifier:
        """The same for a dimension count."""
        quantifier = Quantifier.EVERY if independent_everywhere(fixed) else Quantifier.ALMOST_EVERY
        return self._reach({t.function for c in fixed.combinations for t in c}, quantifier)

    def _reach(self, related: set[BasisFunction], quantifier: Quantifier) -> Quantifier:
        """Near some parameters only if elsewhere functions may coincide that are distinct there."""
        indices = [i for i, f in enumerate(self.set.functions) if f in related]
        if all(self.basis[i].first for i in indices) or distinct_on_every_branch(
            self.family, self.columns, self.set, indices
        ):
            return quantifier
        return Quantifier.OPEN_SET

    def polynomial_rank(self, sampler: Sampler, indices: Sequence[int], atoms: int) -> int | None:
        """Exact generic rank of functions polynomial in x; None if it was not pinned down.

        The rank over Q at rational parameters bounds it from below; the numbers of functions and
        of monomials in x bound it from above. It is exact where the two meet. The components of a
        vector may depend on each other: there the dimension of the span, over all parameters, takes
        the place of the number of monomials.
        """
        field = self.family.field
        if atoms * len(indices) > MAX_EXACT_RANK or len(self.family.branches) > 1:
            return None
        numerators, common = self.family.over_common(
            [self.family.branches[0].elements[i] for i in indices]
        )
        occurring = set().union(*(field.occurring(p) for p in (common, *numerators)))
        if field.depends(field.occurring(common))[0] or any(map(field.kernel_at, occurring)):
            return None
        polys = [field.to_original(p).to_dict() for p in numerators]
        rows: dict[tuple, list[fmpq]] = {}
        width = atoms * len(indices)
        for number, theta in enumerate(sampler.atoms(atoms)):
            values = [fmpq(v.numerator, v.denominator) for v in theta]
            for position, poly in enumerate(polys):
                column = number * len(indices) + position
                for exponents, c in poly.items():
                    row = rows.setdefault(tuple(exponents[: field.d]), [fmpq(0)] * width)
                    product = fmpq(c)
                    for value, power in zip(values, exponents[field.d :], strict=False):
                        product *= value ** int(power)
                    row[column] += product
        if len(rows) > MAX_EXACT_RANK:
            return None
        flat = [v for row in rows.values() for v in row]
        rank = int(fmpq_mat(len(rows), width, flat).rank())
        bound = _span_dimension(polys, field.d) if self.family.atom.markers else len(rows)
        return rank if rank == min(width, bound) else None

    # -- readable records -------------------------------------------------------------------

    def terms(self, combination: Combination) -> tuple[Term, ...]:
        return tuple(
            Term(str(self.family.field.to_sympy(c)), self.basis[i])
            for i, c in combination.coefficients.items()
        )

    def relation(self, combination: Combination) -> Relation:
        terms = self.terms(combination)
        return Relation(terms, equation(combination, self.basis, self.family.field))

    def blank(self, atoms: int) -> SetProof:
        """The record before anything is decided."""
        rule = self.rule
        merged = tuple(
            MergedFunction(
                self.basis[m.index],
                self.basis[m.into],
                Relation(
                    self.terms(m.proof),
                    equation(m.proof, self.basis, self.family.field, solve_for=m.index),
                ),
            )
            for m in rule.merges
        )
        empty = undecided(self.set, atoms, ())
        if rule.failure is not None:
            return empty
        return replace(
            empty,
            kept=self.functions(rule.kept),
            merged=merged,
            dropped=self.functions(rule.dropped),
        )


def _span_dimension(polys: Sequence[dict[tuple, fmpq]], d: int) -> int:
    """The dimension of the span of Σ_μ θ^μ s_μ(x) for all θ: that of all the s_μ."""
    vectors: dict[tuple, dict[tuple, fmpq]] = {}
    for n, poly in enumerate(polys):
        for exponents, c in poly.items():
            vectors.setdefault((n, exponents[d:]), {})[exponents[:d]] = fmpq(c)
    places = sorted({place for vector in vectors.values() for place in vector})
    flat = [v.get(place, fmpq(0)) for v in vectors.values() for place in places]
    return int(fmpq_mat(len(vectors), len(places), flat).rank())


def _element(field: Field, poly: object) -> Element:
    return Element(field, poly, field.unit_poly)  # type: ignore[arg-type]


def undecided(
    functions: FunctionSet, atoms: int, notes: tuple[str, ...], cause: Cause | None = None
) -> SetProof:
    return SetProof(
        title=functions.title,
        kind=ProofKind.NONE,
        verdict=Verdict.UNDECIDED,
        atoms=atoms,
        kept=functions.functions,
        shared=functions.shared,
        merged=(),
        dropped=(),
        relations=(),
        witness=None,
        witnessed=(),
        fixed=None,
        rank=None,
        quantifier=None,
        every_k=False,
        every_k_obstacle=None,
        notes=notes,
        cause=cause,
    )


def is_number(text: str) -> bool:
    """Whether a coefficient is a nonzero rational number."""
    try:
        return Fraction(text) != 0
    except ValueError:
        return False


def relation_quantifier(relation: Relation) -> Quantifier:
    """A numeric coefficient never vanishes, so the relation is nontrivial at every parameter."""
    return (
        Quantifier.EVERY
        if any(is_number(t.coefficient) for t in relation.terms)
        else Quantifier.ALMOST_EVERY
    )


def independent_everywhere(proof: FixedProof) -> bool:
    """Each combination has a function with a numeric coefficient that no other one contains."""
    for position, combination in enumerate(proof.combinations):
        others = {t.function for i, c in enumerate(proof.combinations) if i != position for t in c}
        if not any(is_number(t.coefficient) and t.function not in others for t in combination):
            return False
    return True


def space_text(fixed: FixedSpace, atom: AtomFunction) -> str:
    if fixed.degree is not None:
        name = ", ".join(atom.inputs)
        degrees = fixed.degrees
        if not degrees:
            return f"polynomials in {name} of total degree at most {fixed.degree}"
        if all(n == fixed.degree for n in degrees):
            return (
                f"vectors of {len(degrees)} polynomials in {name} of total degree at most "
                + str(fixed.degree)
            )
        own = [
            f"of total degree at most {n} in component {c + 1}"
            for c, n in enumerate(degrees)
            if n is not None
        ]
        rest = ", 0 in the others" if len(own) < len(degrees) else ""
        return f"vectors of polynomials in {name}, {', '.join(own)}{rest}"
    return "span of " + ", ".join(fixed.spanned_by)


def equation(
    combination: Combination,
    basis: Sequence[BasisFunction],
    field: Field,
    solve_for: int | None = None,
) -> str:
    """Σ c·g = 0 as a person writes it: ``a*∂h/∂a + b*∂h/∂b = h``."""
    coefficients = {i: field.to_sympy(c) for i, c in combination.coefficients.items()}
    if solve_for is not None:
        scale = -coefficients.pop(solve_for)
        solved = {i: sp.cancel(c / scale) for i, c in coefficients.items()}
        return f"{basis[solve_for].label} = {_sum(solved, basis)}"
    right = _right_side(coefficients, basis)
    if right is None:
        negative = [i for i, c in coefficients.items() if c.could_extract_minus_sign()]
        if len(negative) < len(coefficients) - len(negative) and negative:
            # the shorter side comes first
            coefficients = {i: -c for i, c in coefficients.items()}
            negative = [i for i in coefficients if i not in negative]
        moved = {i: -coefficients[i] for i in negative}
    else:
        others = [c for i, c in coefficients.items() if i != right]
        if others and others[0].could_extract_minus_sign():
            coefficients = {i: -c for i, c in coefficients.items()}
        moved = {right: -coefficients[right]}
    left = {i: c for i, c in coefficients.items() if i not in moved}
    if not left:
        negative = next(iter(moved.values())).could_extract_minus_sign()
        left, moved = {i: -c if negative else c for i, c in moved.items()}, {}
    return f"{_sum(left, basis)} = {_sum(moved, basis)}"


def _right_side(coefficients: dict[int, sp.Expr], basis: Sequence[BasisFunction]) -> int | None:
    """The function to isolate: one with a numeric coefficient, the atom function itself first."""
    numeric = [i for i, c in coefficients.items() if c.is_Rational]
    if not numeric:
        return None
    return min(
        numeric,
        key=lambda i: (
            basis[i].factors != ((),) or bool(basis[i].inputs),
            -sum(len(f) for f in basis[i].factors),
            abs(abs(coefficients[i]) - 1),
            i,
        ),
    )


def _sum(coefficients: dict[int, sp.Expr], basis: Sequence[BasisFunction]) -> str:
    text = ""
    for i, c in coefficients.items():
        label = basis[i].label
        negative = c.could_extract_minus_sign()
        size = -c if negative else c
        factor = "" if size == 1 else f"({size})*" if size.is_Add else f"{size}*"
        term = str(size) if label == "1" else f"{factor}{label}"
        sign = " - " if negative else " + "
        text += (sign if text else "-" if negative else "") + term
    return text or "0"
