"""One set of functions in normal form: coincidences, dependent functions, exact ranks, records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property

from flint import fmpq, fmpq_mat

from identkit.algebra import Element
from identkit.coincidence import Coincidences, apply_rule, distinct_on_every_branch
from identkit.conditions import BasisFunction, FunctionSet
from identkit.every_k import Movement
from identkit.kernel_risk import dependence_risk
from identkit.normal_form import Field
from identkit.relation_text import equation
from identkit.relations import Column, Combination, FormalFamily
from identkit.results import GIVEN_NUMBER, FixedProof, MergedFunction, Relation, SetProof, Term
from identkit.sampling import Sampler
from identkit.vocabulary import WEAKEST_FIRST, Cause, ProofKind, Quantifier, Verdict

MAX_EXACT_RANK = 400
"""Largest number of polynomial functions whose exact rational rank is computed."""


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
    """The record of a set about which nothing is proved."""
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
