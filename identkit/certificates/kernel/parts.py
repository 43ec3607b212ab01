"""The proof of one set of functions: what its evidence shows.

- *independent*: the functions kept have a nonzero determinant; each one dropped is 0, each one
  merged is a multiple, free of x, of one kept. Then no merge is missing either.
- *relation*: Σ c·g = 0 with some c nonzero, among functions no two of which are proportional (two
  first derivatives apart), so that the coincidence rule cannot remove it.
- *finite dimension*: combinations in one space of functions of x whatever θ.
- *none*: nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from typing import Any

from flint import arb

from identkit.atoms import AtomFunction
from identkit.balls import ball, precision
from identkit.certificates.kernel.every_k import (
    Movement,
    apply,
    every_cell,
    holds_for_every_k,
    space_of,
)
from identkit.certificates.kernel.field import Cases, Element, Unshown
from identkit.certificates.kernel.outputs import at_units, is_scalar, one_function, widened
from identkit.certificates.kernel.points import (
    FIRST_BITS,
    Regularity,
    determinant_doubt,
    distinct,
    draws,
    refuted,
    samples,
)
from identkit.certificates.witness import pairwise_independent
from identkit.conditions import BasisFunction, FunctionSet
from identkit.deadline import Deadline
from identkit.errors import CertificateError
from identkit.expression import Step, free_names, parse
from identkit.results import Options, SetProof, Term
from identkit.vocabulary import WEAKEST_FIRST, ProofKind, Quantifier, Verdict

MAX_SUSPECTS = 6
"""Cases, all subsets of which are gone through."""


class Part:
    """The evidence of one set, for the functions ``functions`` of ``atom``."""

    def __init__(
        self,
        atom: AtomFunction,
        functions: FunctionSet,
        proof: SetProof,
        options: Options,
        where: str,
        deadline: Deadline,
    ) -> None:
        self.atom, self.functions, self.where = one_function(atom), functions, where
        self.proof = replace(proof, witness=at_units(proof.witness, atom))
        self.options, self.deadline = widened(options, atom), deadline
        self.scalar = is_scalar(atom)
        self.basis = (*functions.functions, *functions.shared)
        self.sides = self.options.domain.sides(len(self.atom.inputs))

    def fail(self, field: str, reason: str) -> CertificateError:
        return CertificateError(f"{self.where}.{field}: {reason}.")

    def check(self) -> None:
        """Raises CertificateError for what is wrong, and Unshown for what is not shown."""
        proof = self.proof
        if proof.title != self.functions.title or proof.shared != self.functions.shared:
            raise self.fail("title", "is not this condition's set of functions")
        self._nothing_unread()
        kinds = {
            ProofKind.BALL_DETERMINANT: self._independent,
            ProofKind.RELATION: self._relation,
            ProofKind.FINITE_DIMENSION: self._finite_dimension,
            ProofKind.NONE: self._nothing,
        }
        shown = kinds[proof.kind]()
        for field in ("verdict", "rank", "atoms"):
            if getattr(proof, field) != getattr(shown, field):
                raise self.fail(field, "does not follow from the proof")
        if (proof.quantifier is None) != (shown.quantifier is None):
            raise self.fail("quantifier", "does not follow from the proof")
        if proof.quantifier is not None and shown.quantifier is not None:
            order = WEAKEST_FIRST.index
            if order(proof.quantifier) > order(shown.quantifier):
                raise Unshown(f"that it holds for {proof.quantifier} parameters")

    def _nothing_unread(self) -> None:
        """Fields a kind of proof does not use must be empty: nobody would have checked them."""
        proof = self.proof
        used = {
            ProofKind.BALL_DETERMINANT: {"witness"},
            ProofKind.RELATION: {"relations"} if proof.rank is None else {"relations", "witness"},
            ProofKind.FINITE_DIMENSION: {"fixed"},
            ProofKind.NONE: set(),
        }[proof.kind]
        for field in ("relations", "witness", "fixed"):
            if getattr(proof, field) and field not in used:
                raise self.fail(field, f"has no place in a proof of kind {proof.kind}")
        if proof.every_k and proof.kind != ProofKind.BALL_DETERMINANT:
            raise self.fail("every_k", f"has no place in a proof of kind {proof.kind}")

    # -- kinds ------------------------------------------------------------------------------

    def _nothing(self) -> SetProof:
        if self.proof.kept or self.proof.merged or self.proof.dropped:
            raise self.fail("kept", "has no place where nothing is claimed")
        return replace(
            self.proof,
            verdict=Verdict.UNDECIDED,
            quantifier=None,
            rank=None,
            atoms=self.options.atoms,
        )

    def _independent(self) -> SetProof:
        proof, witness = self.proof, self.proof.witness
        self._partition()
        if proof.witnessed != proof.kept:
            raise self.fail("witness.functions", "must be the kept functions")
        self._determinant(proof.kept, proof.shared, self.options.atoms)
        assert witness is not None
        kept = [self.basis.index(f) for f in proof.kept]
        if proof.every_k:
            if not holds_for_every_k(self.cases, self.sides, witness.atoms, kept):
                raise Unshown("independence for every number of atoms")
        elif self.functions.any_number:
            cells = [cases for _, cases in every_cell(self.cases)]
            if not Movement(self.cases.field, cells).all_move(kept):
                raise Unshown("that no dimension count refutes it for more atoms")
        quantifier = Regularity(self.atom, self.sides).quantifier()
        return replace(
            proof,
            verdict=Verdict.YES,
            quantifier=quantifier,
            rank=proof.functions,
            atoms=self.options.atoms,
        )

    def _relation(self) -> SetProof:
        proof = self.proof
        if not proof.relations:
            raise self.fail("relations", "holds no relation")
        for i, relation in enumerate(proof.relations):
            self._vanishes(relation.terms, f"relations[{i}]")
        related = {t.function for r in proof.relations for t in r.terms}
        self._partition()
        failures = [
            r for r in proof.relations if self._rule_leaves_alone({t.function for t in r.terms})
        ]
        if not failures and all(len(r.terms) <= 2 for r in proof.relations):
            raise self.fail("relations", "are what the coincidence rule merges or drops")
        if not failures:
            raise Unshown("that the functions related do not coincide")
        if not related <= {*proof.kept, *proof.shared}:
            raise self.fail("relations", "uses a function that was not kept")
        shown = [self._quantifier(r.terms) for r in failures]
        return replace(
            proof,
            verdict=Verdict.NO,
            quantifier=max(shown, key=WEAKEST_FIRST.index),
            rank=self._rank(),
            atoms=self.options.atoms,
        )

    def _rank(self) -> int | None:
        """The exact rank, if one is claimed: witness from below, relations from above."""
        proof = self.proof
        if proof.rank is None:
            return None
        if proof.witness is None or proof.shared:
            raise self.fail("rank", "is not shown by a determinant")
        witnessed, last = set(proof.witnessed), [r.terms[-1].function for r in proof.relations]
        if not witnessed <= set(proof.kept) or len(witnessed) != len(proof.witnessed):
            raise self.fail("witness.functions", "are not distinct functions kept")
        others = {t.function for r in proof.relations for t in r.terms[:-1]}
        if len(last) != len(proof.kept) - len(witnessed) or len(set(last)) != len(last):
            raise self.fail("relations", "are too few for the rank")
        if set(last) & witnessed or not others <= witnessed:
            raise self.fail("relations", "are not independent of each other")
        self._determinant(proof.witnessed, (), self.options.atoms)
        return self.options.atoms * len(witnessed)

    def _finite_dimension(self) -> SetProof:
        proof, fixed = self.proof, self.proof.fixed
        if fixed is None or not fixed.combinations:
            raise self.fail("fixed", "is missing")
        self._partition()
        terms = [t for c in fixed.combinations for t in c]
        if not {t.function for t in terms} <= set(proof.kept):
            raise self.fail("fixed.combinations", "use a function that was not kept")
        last = {c[-1].function for c in fixed.combinations}
        others = {t.function for c in fixed.combinations for t in c[:-1]}
        if len(last) != len(fixed.combinations) or last & others:
            raise self.fail("fixed.combinations", "are not independent of each other")
        if not self._rule_leaves_alone({t.function for t in terms}):
            raise Unshown("that the functions combined do not coincide")
        space = space_of(self.cases, [self._coefficients(c) for c in fixed.combinations])
        count = fixed.dimension // len(fixed.combinations) + 1
        if space.dimension > fixed.dimension and not self.scalar:
            raise Unshown("a dimension of polynomials by component")
        if space.dimension > fixed.dimension or fixed.atoms != count:
            raise self.fail("fixed", "does not describe the space of its combinations")
        if space.dimension < fixed.dimension:
            raise Unshown(f"that the space has dimension {fixed.dimension}, not less")
        if not self.functions.any_number and count > self.options.atoms:
            raise self.fail("fixed", "is about more atoms than are asked for")
        everywhere = all(
            any(
                is_number(t.coefficient)
                and all(
                    t.function not in {u.function for u in o}
                    for o in fixed.combinations
                    if o is not c
                )
                for t in c
            )
            for c in fixed.combinations
        )
        quantifier = Quantifier.EVERY if everywhere else Quantifier.ALMOST_EVERY
        return replace(
            proof,
            verdict=Verdict.NO,
            quantifier=self._reach({t.function for t in terms}, quantifier),
            rank=None,
            atoms=fixed.atoms,
        )

    # -- pieces -----------------------------------------------------------------------------

    @cached_property
    def cases(self) -> Cases:
        """All functions of the set, in every case of their kinks."""
        return Cases(
            self.atom, self.sides, lambda f: f.functions(self.atom, self.basis), self.deadline
        )

    @cached_property
    def _samples(self) -> list:
        return samples(self.atom, self.basis, self.sides)

    def _coefficients(self, terms: Sequence[Term]) -> dict[int, Element]:
        field, names = self.cases.field, frozenset(self.atom.parameters)
        found: dict[int, Element] = {}
        for t in terms:
            index = self.basis.index(t.function)
            value = field.convert(self._expression(t, names))
            if not value.den.is_constant():
                raise Unshown("a coefficient without a pole")
            if value.is_zero or index in found:
                raise self.fail("coefficient", f"'{t.coefficient}' is zero or repeated")
            found[index] = value
        if not field.is_nonzero(list(found.values())[-1].num):
            raise self.fail("coefficient", f"'{terms[-1].coefficient}' is not shown nonzero")
        return found

    def _expression(self, term: Term, names: frozenset[str]) -> Any:
        expression = parse(term.coefficient, extra=names, generous=True)
        if not free_names(expression) <= names or expression.has(Step):
            raise self.fail("coefficient", f"'{term.coefficient}' is not free of x")
        return expression

    def _vanishes(self, terms: Sequence[Term], field: str) -> None:
        """Σ c·g = 0: refuted by a ball, or else proved."""
        names = frozenset(self.atom.parameters)
        expressions = [self._expression(t, names) for t in terms]
        positions = [self.basis.index(t.function) for t in terms]
        if refuted(expressions, positions, self.atom.parameters, self._samples):
            raise self.fail(field, "is not zero")
        combination = self._coefficients(terms)
        if not all(apply(self.cases.field, combination, c).is_zero for c in self.cases.cases):
            raise Unshown("that a relation is zero")

    def _partition(self) -> None:
        """kept, merged and dropped are the functions, each once; the last two by right."""
        proof, order = self.proof, self.functions.functions
        listed = [*proof.kept, *(m.function for m in proof.merged), *proof.dropped]
        if sorted(map(order.index, listed)) != list(range(len(order))):
            raise self.fail("kept", "with merged and dropped are not the condition's functions")
        for group in (proof.kept, proof.dropped):
            if list(group) != sorted(group, key=order.index):
                raise self.fail("kept", "is not in the order of the condition")
        for f in proof.dropped:
            if f.first:
                raise self.fail("dropped", f"{f.label} may not be dropped")
            self._vanishes((Term("1", f),), "dropped")
        for i, m in enumerate(proof.merged):
            terms, where = m.relation.terms, f"merged[{i}]"
            rightly = m.into.first or order.index(m.into) < order.index(m.function)
            if not self.functions.coincidence or m.function.first or not rightly:
                raise self.fail(where, "merges what may not be merged")
            if m.into not in proof.kept or [t.function for t in terms] != [m.into, m.function]:
                raise self.fail(where, "is not a proportionality of the two functions")
            self._vanishes(terms, where)

    def _determinant(
        self, functions: Sequence[BasisFunction], shared: Sequence[BasisFunction], atoms: int
    ) -> None:
        witness = self.proof.witness
        if witness is None:
            raise self.fail("witness", "is missing")
        doubt = determinant_doubt(
            self.atom, functions, shared, atoms, witness, self.options, self.deadline
        )
        if doubt is not None:
            raise self.fail("witness", doubt)

    # -- whether a failure is one by the coincidence rule ------------------------------------

    def _rule_leaves_alone(self, related: set[BasisFunction]) -> bool:
        """No two of the functions are proportional, or all are first derivatives."""
        if not self.functions.coincidence or all(f.first for f in related):
            return True
        chosen = [f for f in self.functions.functions if f in related]
        return distinct(self.atom, chosen, self.sides)

    def _quantifier(self, terms: Sequence[Term]) -> Quantifier:
        """A numeric coefficient never vanishes: the relation is nontrivial at every parameter."""
        numeric = any(is_number(t.coefficient) for t in terms)
        return self._reach(
            {t.function for t in terms}, Quantifier.EVERY if numeric else Quantifier.ALMOST_EVERY
        )

    def _reach(self, related: set[BasisFunction], quantifier: Quantifier) -> Quantifier:
        """Near some parameters only if elsewhere functions may coincide that are distinct there."""
        own = self.functions.functions
        indices = [i for i, f in enumerate(own) if f in related]
        if all(f.first for f in related) or self._distinct_in_every_case(indices):
            return quantifier
        return Quantifier.OPEN_SET

    def _distinct_in_every_case(self, related: Sequence[int]) -> bool:
        """Whether the functions stay distinct whatever cases are met near a parameter.

        Only some cases may be met, and functions may coincide on those: a relation among them is no
        failure there, unless a first derivative vanishes on them.
        """
        field, cases = self.cases.field, self.cases.cases
        first = [i for i, f in enumerate(self.functions.functions) if f.first]

        def rows(n: int, theta: Sequence, points: Sequence) -> list[list[arb]]:
            elements = [cases[n].elements[i] for i in related]
            return [field.evaluate(elements, [ball(v) for v in (*x, *theta)]) for x in points]

        def are_distinct(met: tuple[int, ...]) -> bool:
            with precision(FIRST_BITS):
                return any(
                    pairwise_independent([r for n in met for r in rows(n, theta, points)])
                    for theta, points in draws(self.atom, self.sides, 4)
                )

        def fails(met: tuple[int, ...]) -> bool:
            return any(all(cases[n].elements[i].is_zero for n in met) for i in first)

        if len(cases) == 1 and self.functions.coincidence:
            return True  # seen in :meth:`_rule_leaves_alone`
        # in more cases functions are distinct if they are in one of them
        suspects = [n for n in range(len(cases)) if not are_distinct((n,))]
        return len(suspects) <= MAX_SUSPECTS and all(
            fails(met) or are_distinct(met)
            for size in range(1, len(suspects) + 1)
            for met in combinations(suspects, size)
        )


def is_number(text: str) -> bool:
    """Whether a coefficient is a nonzero rational number."""
    try:
        return Fraction(text) != 0
    except ValueError:
        return False
