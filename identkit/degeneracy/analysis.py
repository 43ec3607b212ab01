"""The second-order analysis: null space, exact families, moment cone, what is identifiable.

The order is the order of certainty. An exact family is a ``no`` that no expansion can overturn; an
empty face is a ``yes`` once the functions set aside are shown to be all the dependent ones; then
come first-order relations, and last the semidefinite problem on what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.certificates.independence import Search, find_witness
from identkit.conditions import AtomTerm, BasisFunction, FunctionSet
from identkit.coordinates import structural
from identkit.deadline import Deadline
from identkit.degeneracy.cone import (
    Direction,
    Face,
    coordinate_directions,
    face_of,
    in_span,
)
from identkit.degeneracy.families import Flow, Lift
from identkit.degeneracy.family_records import (
    covered,
    family_of,
    flow_family,
    form_text,
    functionals_across,
    invariants_of,
    nonzero,
    quantity_of,
)
from identkit.degeneracy.first_order import second_from_first
from identkit.degeneracy.kinks import Kinks, kink_constraints
from identkit.degeneracy.moments import MomentSpace, seen_atom, space_of, value_space
from identkit.degeneracy.nullspace import NullSpace, Vector
from identkit.degeneracy.readable import Readable
from identkit.degeneracy.realise import realise
from identkit.degeneracy.records import CellQuantity, Identified, Kink, RealisedAtoms, SecondOrder
from identkit.degeneracy.router_curves import Curves, gauge_text
from identkit.degeneracy.semidefinite import Feasible, Infeasible, decide
from identkit.degeneracy.undecided import blank
from identkit.derivatives import Derivatives
from identkit.errors import DomainError, OutOfTime
from identkit.formal import Formal, is_number
from identkit.forms import affine_forms
from identkit.gates import Expansion, RegimeCode
from identkit.likelihoods import resolve
from identkit.normal_form import NeedSign, Rebase
from identkit.prove import witness_quantifier
from identkit.rate import FOURTH, KINK, NOT_DERIVED, ROOT, Rate, slowest
from identkit.relations import FormalFamily
from identkit.results import Options
from identkit.sampling import Sampler
from identkit.vocabulary import Across, FamilyKind, Quantifier, Through, Verdict


@dataclass
class Analysis:
    """Decides nondegeneracy of one over-specified cell for the expert function ``atom``.

    ``expansion`` says whether m0 and the gate's own moments take part (``weight_free``), and what
    has to be independent over atoms; ``curves`` are those found of h, and of a router's weight.
    """

    atom: AtomFunction
    gate: str
    regime: RegimeCode
    expansion: Expansion
    options: Options
    deadline: Deadline
    curves: Curves

    def __post_init__(self) -> None:
        self.weight_free = self.expansion.gates
        likelihood = resolve(self.expansion.likelihood)
        self.through = likelihood.through
        self.letter = likelihood.letter
        self.same = f"an exact family of mixing measures has the same {self.letter}"
        self.space = space_of(self.atom, self.weight_free, self.through)
        self.seen = seen_atom(self.atom, self.through)
        self.derivatives = Derivatives(self.atom, self.deadline)
        forms = affine_forms(self.atom)
        self.sampler = Sampler(
            self.seen, self.options.domain, self.options.seed, forms, self.deadline
        )
        self.labels = tuple(m.function.label for m in self.space.moments)

    def _usable(self, found: Lift) -> bool:
        """Whether it gives an exact family; a density stays the same only if h does."""
        if self.through is Through.VALUE or found in self.curves.of_router:
            return found.usable(self._weight_free(found))
        return found.kind == FamilyKind.REDUNDANT

    def _weight_free(self, found: Lift | Flow) -> bool:
        """Whether the sum of the weights can change along a curve: along one of W itself it can."""
        return self.weight_free or found in self.curves.of_router

    def _functions(self, space: MomentSpace) -> FormalFamily:
        expressions = self.derivatives.expressions([m.function for m in space.moments])
        return FormalFamily.from_expressions(expressions, self.seen, self.deadline)

    def run(self) -> SecondOrder:
        """The analysis. Raises OutOfTime, Rebase or NeedSign where the limits cut it off."""
        lifts, flows = self.curves.lifts, self.curves.flows
        families = [
            family_of(x, self.sampler, self._weight_free(x), self.atom.of_expert)
            for x in lifts
            if self._usable(x)
        ]
        self.eta = self.sampler.parameter_draw()
        kinks = kink_constraints(self.atom, self.sampler, self.deadline)
        if kinks.continuous:
            # V·∇h = λ h almost everywhere integrates along the flow only if h does not jump
            families += [
                flow_family(f, self.atom.parameters, self._weight_free(f))
                for f in flows
                if not covered(f, lifts)
                and (self.through is Through.VALUE or f in self.curves.of_router or f.rate == 0)
            ]
        empty = replace(
            blank(self.gate, self.regime, self.same),
            functions=self.labels,
            families=tuple(families),
            kinks=tuple(
                Kink(k.argument, tuple(nonzero(self.atom.parameters, row) for row in k.rows))
                for k in kinks.constraints
            ),
            notes=tuple(
                f"{gauge_text(g, self.atom)} for all atoms leaves {self.letter} unchanged: what "
                f"follows holds with {', '.join(self.atom.shared)} held fixed"
                for g in self.curves.gauges
            ),
        )
        known = (
            replace(empty, verdict=Verdict.NO, quantifier=Quantifier.ALMOST_EVERY)
            if families
            else None
        )
        try:
            return self._by_moments(known or empty, lifts, kinks)
        except (OutOfTime, Rebase, NeedSign) as error:
            self.deadline.check()
            if known is None:
                return replace(empty, reason=f"no exact moments: {error}")
            why = f"what stays identifiable was not determined: {error}"
            return replace(known, notes=(*known.notes, why))

    # -- moments ----------------------------------------------------------------------------

    def _by_moments(self, known: SecondOrder, lifts: list[Lift], kinks: Kinks) -> SecondOrder:
        null = NullSpace.of(self._functions(self.space), self.space)
        self.null = null
        self.readable = Readable(self.space, null.family.field)
        directions = self._directions(lifts)
        kinked = () if self.space.null else kinks.constraints  # M∇h = 0 needs none
        rows = [[self._direction("", r, "kink") for r in k.rows] for k in kinked]

        def moves_a_kink(y: Direction) -> bool:
            # else δ can leave every kink where it is and have y·δ ≠ 0, which shows by its square
            return any(in_span(y, own, regular) for own in rows)

        # regular part alone, and with each kink's own block yᵀM z = 0: no step uses M ⪰ 0 yet
        regular, direct = face_of(null), face_of(null)
        direct.restrict_to(
            [direct.bilinear(y, z) for ys in rows for i, y in enumerate(ys) for z in ys[i:]]
        )
        shown = {
            y.label: KINK if moves_a_kink(y) and not regular.shows_directly(y) else FOURTH
            for y in (*directions, *(y for ys in rows for y in ys))
            if direct.shows_directly(y)
        }
        regular.reduce(directions)
        by_regular = {y.label for y in regular.visible}
        face = face_of(null)
        for y in (y for ys in rows for y in ys):
            face.annihilate(y)
        face.reduce(directions)
        if not known.families:
            # everything visible is bounded below together, by compactness
            shown |= {
                y.label: KINK if moves_a_kink(y) and y.label not in by_regular else FOURTH
                for y in face.visible
            }
        found = replace(
            known,
            invisible=tuple(
                self.readable.invisible(c, v)
                for c, v in zip(null.combinations, null.vectors, strict=True)
            ),
            visible=tuple(self.readable.visible(y, by_regular) for y in face.visible),
        )
        if not known.families:
            found = self._decide(found, face, kinks)
            return self._identifiable(found, lifts, shown)
        found = replace(
            found,
            reason=self.same,
            across_atoms=self._across_atoms([self.eta])
            if self._independent().witness
            else Across.OPEN,
        )
        return self._identifiable(found, lifts, shown)

    @cached_property
    def _left(self) -> list[AtomTerm]:
        """The functions that remain when one per invisible moment is set aside."""
        return [self.space.moments[i].function for i in self.null.pivots]

    def _independent(self) -> Search:
        """A determinant proving them independent for one atom."""
        expressions, bits = self.derivatives.expressions(self._left), self.options.max_precision
        return find_witness(expressions, [], 1, self.sampler, bits, self.deadline)

    def _decide(self, found: SecondOrder, face: Face, kinks: Kinks) -> SecondOrder:
        reason, quantifier, dual = "every moment is visible", None, None
        vectors = face.first_order()
        if not vectors and face.vectors:
            outcome = self._semidefinite(face)
            if isinstance(outcome, Feasible):
                return self._degenerate(found, face, outcome, kinks)
            if outcome is None:
                return replace(
                    found,
                    reason="invisible moments with M ⪰ 0 were neither found nor excluded",
                )
            dual, quantifier = outcome.dual, outcome.dual.quantifier
            reason = "a positive definite dual excludes every invisible M ⪰ 0"
        elif vectors:
            if not kinks.continuous:
                return replace(found, reason="h may jump, so first moments may show after all")
            return self._first_order(found, vectors)
        return self._nondegenerate(replace(found, dual=dual), reason, quantifier)

    def _semidefinite(self, face: Face) -> Feasible | Infeasible | None:
        samples = [self.sampler.parameter_draw() for _ in range(3)]
        return decide(face, samples, self.atom.parameters)

    def _nondegenerate(
        self, found: SecondOrder, reason: str, quantifier: Quantifier | None
    ) -> SecondOrder:
        """``yes`` once the functions left are proved independent: the null space is complete."""
        search = self._independent()
        if search.witness is None:
            return replace(found, reason=f"the null space may be larger: {search.tried}")
        reach = witness_quantifier(self.sampler)
        return replace(
            found,
            verdict=Verdict.YES,
            quantifier=Quantifier.OPEN_SET if Quantifier.OPEN_SET in (reach, quantifier) else reach,
            reason=reason,
            independent=tuple(f.label for f in self._left),
            determinant=search.witness,
            across_atoms=self._across_atoms(search.witness.atoms),
        )

    def _across_atoms(self, atoms: Sequence[Sequence[Fraction]]) -> Across:
        """Whether the cells of several true atoms can be treated one by one."""
        if self.expansion.across == "gates":
            return Across.INDEPENDENT
        try:
            null = self.null
            space = value_space(self.atom, self.expansion.across)
            if space is not None:
                null = NullSpace.of(self._functions(space), space)
                face = face_of(null)
                face.reduce(coordinate_directions(space, null.family.field))
                if face.first_order():
                    # h or x h is a combination of ∇h: a cell's weight trades with that of another,
                    # since only their sum is pinned
                    return Across.DEPENDENT
                if face.vectors:
                    return Across.OPEN
            listed = (m.function for m in null.space.moments)
            own = tuple(f for f in listed if isinstance(f, BasisFunction))  # no density's come here
            functions = FunctionSet("", own, (), False)
            formal = Formal(null.family, functions)
            if formal.movement_everywhere.fixed_space(null.pivots) is not None:
                return Across.DEPENDENT
            obstacle = formal.every_k_obstacle(self.sampler, atoms, null.pivots)
            return Across.INDEPENDENT if obstacle is None else Across.OPEN
        except (OutOfTime, Rebase, DomainError):
            self.deadline.check()
            return Across.OPEN

    def _first_order(self, found: SecondOrder, vectors: list[Vector]) -> SecondOrder:
        """V·∇h = (λ − μᵀx) h: invisible at first order, and then at second order as well."""
        for vector in vectors:
            lifted = second_from_first(vector, self.null, self.readable)
            realised = None if lifted is None else self._realise(lifted, self.eta)
            if lifted is not None and realised is not None:
                break
        else:
            lifted, realised = vectors[0], None
        return replace(
            found,
            verdict=Verdict.NO,
            quantifier=Quantifier.ALMOST_EVERY,
            reason="first moments alone are invisible: a parameter is redundant or confounded "
            f"with the gate ({self.readable.equation(vectors[0])})",
            witness=self.readable.witness(
                lifted, int(realised is not None), Quantifier.ALMOST_EVERY, self.eta, realised
            ),
        )

    def _degenerate(
        self, found: SecondOrder, face: Face, outcome: Feasible, kinks: Kinks
    ) -> SecondOrder:
        if not (kinks.complete and kinks.continuous):
            return replace(found, reason="moments invisible off the kinks may show on them")
        at = outcome.at or self.eta
        realised = self._realise(outcome.vector, at)
        witness = self.readable.witness(
            outcome.vector, outcome.rank, outcome.quantifier, at, realised
        )
        if realised is None:
            return replace(
                found, witness=witness, reason="invisible moments found, but no atoms with them"
            )
        return replace(
            found,
            verdict=Verdict.NO,
            quantifier=outcome.quantifier,
            reason="moments with M ⪰ 0 are invisible at second order; no exact family was found",
            witness=witness,
            notes=(*found.notes, *self._smaller_cells(face, outcome.rank)),
        )

    def _smaller_cells(self, face: Face, rank: int) -> tuple[str, ...]:
        """That cells too small for M keep the rate, where M is the only one up to a factor.

        ∇h is independent here, so the leading deviations of m atoms are centred and span less than
        m dimensions (theory section 8); other gates have moments of their own.
        """
        alone = len(face.vectors) == 1 and rank > 1 and self.expansion.across == "gates"
        if not alone or self._independent().witness is None:
            return ()
        few = "of 2" if rank == 2 else f"of 2 to {rank}"
        return (
            f"cells {few} fitted atoms keep n^-1/4: M has rank {rank}, and no other is invisible",
        )

    def _realise(self, vector: Vector, at: Sequence[Fraction]) -> RealisedAtoms | None:
        values, o = self.readable.values(vector, at), self.options
        return realise(self.atom, self.space, values, tuple(at), o.seed, o.domain)

    # -- directions -------------------------------------------------------------------------

    def _direction(self, label: str, row: Sequence[Any], reason: str) -> Direction:
        field = self.null.family.field
        pairs = zip(self.atom.parameters, row, strict=True)
        entries = tuple(
            (p, field.convert(e)) for p, e in pairs if e != 0 and p in self.space.coordinates
        )
        return Direction(label or form_text(self.atom.parameters, row), entries, reason)

    def _of_moments(self, row: Sequence[Any]) -> bool:
        """Whether a functional is one of deviations that have second moments."""
        names = zip(self.atom.parameters, row, strict=True)
        return all(p in self.space.coordinates for p, e in names if e != 0)

    def _directions(self, lifts: list[Lift]) -> list[Direction]:
        """Coordinates, then the linear forms of the expression, then across each family."""
        directions = coordinate_directions(self.space, self.null.family.field)
        coordinates = structural(self.atom)
        for form in coordinates.forms if coordinates is not None else ():
            if sum(1 for c in form if c) > 1:
                row = [sp.Rational(c.numerator, c.denominator) for c in form]
                if self._of_moments(row):
                    directions.append(self._direction("", row, "form"))
        for found in lifts:
            rows = functionals_across(found)
            directions += [self._direction("", r, "across") for r in rows if self._of_moments(r)]
        first: dict[str, Direction] = {}
        for y in directions:
            first.setdefault(y.label, y)
        return list(first.values())

    def _identifiable(
        self, found: SecondOrder, lifts: list[Lift], shown: dict[str, Rate]
    ) -> SecondOrder:
        """Quantities determined locally; ``shown`` has the rate of each visible direction.

        Beside an exact family M is unbounded along it, so that M y = 0 by facial reduction says
        nothing quantitative: only directions that show directly get a rate there.
        """
        names = self.atom.parameters
        seen = {y.label for y in found.visible}
        usable = [x for x in lifts if self._usable(x)]
        moving = {p for x in usable for p, v in zip(names, x.curve.velocity, strict=True) if v != 0}
        across = [
            [form_text(names, row) for row in functionals_across(x) if self._of_moments(row)]
            for x in usable
        ]
        needed = [p for p in self.space.coordinates if p not in moving]
        needed += [label for labels in across for label in labels]
        # a rate follows only if nothing but the families themselves stays invisible
        settled = found.verdict != Verdict.UNDECIDED and all(label in shown for label in needed)
        alone = found.across_atoms != Across.INDEPENDENT
        result: list[Identified] = []

        def add(quantity: CellQuantity, labels: Sequence[str], reason: str) -> None:
            rates = [shown[label] for label in labels if label in shown]
            known = settled and len(rates) == len(labels)
            rate = replace(slowest(rates), one_atom=alone) if known else NOT_DERIVED
            kinks = len(rates) == len(labels) and {*rates} == {KINK}
            why = "moving it moves a kink" if kinks else reason
            if quantity not in [i.quantity for i in result]:
                result.append(Identified(quantity, rate, why))

        for y in found.visible:
            simple = all(is_number(e) for _, e in y.entries)
            if y.label in names or (simple and y.reason == "form"):
                add(quantity_of(y.label, names), [y.label], "its second moment is visible")
        for x, labels in zip(usable, across, strict=True):
            if labels and all(label in seen for label in labels):
                for quantity in invariants_of(x, names):
                    add(quantity, labels, "constant along the family, visible across it")
        if settled and len(found.families) == 1:
            reason = "the coefficient of a function of the cell itself"
            result += [
                Identified(t, replace(ROOT, one_atom=alone), reason)
                for t in found.families[0].totals
            ]
        return replace(found, identifiable=tuple(result))
