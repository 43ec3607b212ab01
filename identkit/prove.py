"""Decide one set of functions: coincidence rule, exact relations, fixed spaces, ball witness.

The order is the order of certainty. A relation within one atom or a fixed space is an exact
``no``; a nonzero determinant is a rigorous ``yes``; anything else is ``undecided`` with what was
tried. Nothing here rounds, and nothing is decided by a floating-point rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.balls import Tape
from identkit.causes import cause_of
from identkit.certificates.independence import Search, are_distinct, evaluate, find_witness
from identkit.certificates.witness import Witness
from identkit.coincidence import coincide_for
from identkit.conditions import BasisFunction, FunctionSet
from identkit.deadline import Deadline
from identkit.derivatives import Derivatives
from identkit.errors import DomainError, OutOfTime, Unproved
from identkit.every_k import FixedSpace
from identkit.formal import Formal, relation_quantifier, undecided
from identkit.forms import affine_forms
from identkit.normal_form import Rebase
from identkit.relation_text import space_text
from identkit.relations import FormalFamily
from identkit.results import FixedProof, Options, Relation, SetProof
from identkit.sampling import Sampler, is_harmless_number
from identkit.vocabulary import Cause, ProofKind, Quantifier, Verdict


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
