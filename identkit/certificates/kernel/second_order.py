"""Second order (theory section 4): families, null vectors, facial reduction.

*No* is shown by a family (a curve along which f stays the same), by a first-order relation, or by
invisible moments with M ⪰ 0. *Yes*: the null vectors are relations; as the functions left beside
them have a nonzero determinant, they are all there are. Where yᵀM y = 0 for the moments still
invisible, M ⪰ 0 gives M y = 0; the directions y of the file are gone through in its order, and
nothing may be left then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from typing import Any

import sympy as sp
from flint import arb, arb_mat

from identkit.atoms import AtomFunction
from identkit.balls import ball, precision
from identkit.certificates.kernel.every_k import apply, holds_for_every_k
from identkit.certificates.kernel.field import BITS, PLACES, Cases, Element, Unshown, vanishes
from identkit.certificates.kernel.outputs import at_units, one_function, widened
from identkit.certificates.kernel.points import (
    FIRST_BITS,
    Regularity,
    determinant_doubt,
    draws,
    refuted,
    samples,
)
from identkit.certificates.witness import excludes_zero, positive_definite
from identkit.conditions import AtomTerm, BasisFunction, part_of
from identkit.deadline import Deadline
from identkit.degeneracy.moments import MomentSpace, seen_atom, space_of, value_space
from identkit.degeneracy.records import Family, MomentWitness, SecondOrder
from identkit.errors import CertificateError
from identkit.expression import Step, free_names, parse, put, symbol
from identkit.gates import Expansion
from identkit.likelihoods import LEAST_SQUARES, resolve
from identkit.results import Options
from identkit.vocabulary import WEAKEST_FIRST, Across, FamilyKind, Quantifier, Through, Verdict

BY_MOMENTS = ("invisible", "witness")

Vector = dict[int, Element]
"""Moment -> value, free of x; absent means 0."""


class Analysis:
    """The evidence of a second-order verdict on the expert function ``atom``.

    ``expansion`` says whether weight and gate have moments of their own (sigmoid) or are pinned
    (softmax), and which functions have to be independent over atoms. Without one nothing is said.
    """

    def __init__(
        self,
        atom: AtomFunction,
        expansion: Expansion | None,
        options: Options,
        where: str,
        deadline: Deadline,
    ) -> None:
        self.given, self.atom = atom, one_function(atom)
        self.options, self.where, self.deadline = widened(options, atom), where, deadline
        self.gates = expansion is not None and expansion.gates
        self.across = "gates" if expansion is None else expansion.across
        self.sides = self.options.domain.sides(len(self.atom.inputs))
        likelihood = LEAST_SQUARES if expansion is None else expansion.likelihood
        self.through = resolve(likelihood).through
        self.space: MomentSpace = space_of(atom, self.gates, self.through)
        self.blocks = () if atom.markers else seen_atom(atom, self.through).markers
        self.functions = [m.function for m in self.space.moments]

    def fail(self, field: str, reason: str) -> CertificateError:
        return CertificateError(f"{self.where}.second_order.{field}: {reason}.")

    def check(self, found: SecondOrder) -> None:
        """Raises CertificateError for what is wrong, and Unshown for what is not shown."""
        found = replace(found, determinant=at_units(found.determinant, self.given))
        self._nothing_unread(found)
        if found.verdict == Verdict.UNDECIDED:
            return
        no = found.verdict == Verdict.NO
        shown = self._degenerate(found) if no else self._nondegenerate(found)
        order = WEAKEST_FIRST.index
        if found.quantifier is None:
            raise self.fail("quantifier", "is missing")
        if order(found.quantifier) > order(shown):
            raise Unshown(f"that it holds for {found.quantifier} parameters")
        if found.across_atoms == Across.INDEPENDENT and self.across != "gates":
            self._across_atoms(found)

    def _nothing_unread(self, found: SecondOrder) -> None:
        """Fields that the verdict does not rest on are empty: nobody would have checked them."""
        evidence = {
            Verdict.YES: ("invisible", "visible", "dual", "independent", "determinant"),
            Verdict.NO: ("families",) if found.families else BY_MOMENTS,
            Verdict.UNDECIDED: (),
        }[found.verdict]
        used = ("quantifier", *evidence) if evidence else ()
        for field in ("quantifier", "families", *BY_MOMENTS, "visible", "dual", "independent"):
            if getattr(found, field) and field not in used:
                raise self.fail(field, f"has no place beside {found.verdict}")
        if found.verdict != Verdict.YES and (
            found.determinant or found.across_atoms != Across.OPEN
        ):
            raise self.fail("across_atoms", f"has no place beside {found.verdict}")
        for i, f in enumerate(found.families):
            if f.kind == FamilyKind.FLOW and (f.parameter or f.curve or f.r1 or f.r2):
                raise self.fail(f"families[{i}]", "has no curve")

    def _across_atoms(self, found: SecondOrder) -> None:
        """The functions left are independent for every k, h and x h too if only a sum is pinned.

        The null vectors are then those known of each cell, also among h, x h, ∇h and ∇²h.
        """
        assert found.determinant is not None
        functions, cases, own = self.functions, self.cases, frozenset[str]()
        space = value_space(self.given, self.across)
        if space is not None:
            functions = [m.function for m in space.moments]
            cases = self._cases(functions)
            own = {f.label for f in functions} - {f.label for f in self.functions}
        left = [i for i, f in enumerate(functions) if f.label in {*own, *found.independent}]
        if not holds_for_every_k(cases, self.sides, found.determinant.atoms, left):
            raise Unshown("independence across atoms")

    # -- no ---------------------------------------------------------------------------------

    def _degenerate(self, found: SecondOrder) -> str:
        for i, family in enumerate(found.families):
            if family.kind == FamilyKind.FLOW:
                raise Unshown("a flow")
            self._family(family, f"families[{i}]")
        if found.families:
            return Quantifier.ALMOST_EVERY
        if self.atom.expression.has(Step):
            raise Unshown("that no kink shows the moments")
        second = [{i: self.one} for i, m in enumerate(self.space.moments) if len(m.pair) == 2]
        for vector in self._restrict(self._null_vectors(found), second):
            if any(self.space.moments[i].pair and not c.is_zero for i, c in vector.items()):
                return Quantifier.ALMOST_EVERY  # a relation among first moments
        if found.witness is None:
            raise self.fail("witness", "is missing")
        return self._positive(found.witness)

    def _positive(self, witness: MomentWitness) -> str:
        """Invisible moments whose M is positive semidefinite and not 0."""
        matrix, chosen = self._semidefinite(witness)
        head = matrix[chosen[0]][chosen[0]]
        constant = all(matrix[a][b].is_number for a in chosen for b in chosen)
        square = len(chosen) == 1 and self._is_square(head)
        return Quantifier.ALMOST_EVERY if constant or square else Quantifier.OPEN_SET

    def moments_of(self, witness: MomentWitness, coordinate: str) -> tuple[int, Element]:
        """The rank of invisible moments M ⪰ 0, and how large M is at a coordinate."""
        matrix, chosen = self._semidefinite(witness)
        names = self.space.coordinates
        own = names.index(coordinate) if coordinate in names else None
        return len(chosen), self.field.zero if own is None else matrix[own][own]

    def _semidefinite(self, witness: MomentWitness) -> tuple[list[list[Element]], list[int]]:
        """M and coordinates on which it is positive definite and that determine the rest."""
        if self.space.null:
            raise self.fail("witness", "is no relation among first derivatives")
        vector = self._vector(witness.moments, "witness.moments")
        at = self._numbers(witness.at, "witness.at")
        names = self.space.coordinates
        matrix = [[self._entry(vector, u, v) for v in names] for u in names]
        with precision(FIRST_BITS):
            values = self._at([e for row in matrix for e in row], at)
            m = [values[i * len(names) : (i + 1) * len(names)] for i in range(len(names))]
            chosen: list[int] = []
            for i in range(len(names)):
                trial = [*chosen, i]
                if positive_definite([[m[a][b] for b in trial] for a in trial]):
                    chosen = trial
        if not chosen:
            raise self.fail("witness", "has no positive second moment")
        # the rest is determined by it: the Schur complement is 0, as a function of θ
        if not self._schur_vanishes(matrix, chosen):
            raise Unshown("that the second moments are positive semidefinite")
        return matrix, chosen

    def _schur_vanishes(self, matrix: list[list[Element]], chosen: list[int]) -> bool:
        """Eliminates the chosen coordinates, whose pivots are positive at one θ."""
        work = [list(row) for row in matrix]
        for k in chosen:
            for i in range(len(work)):
                if i == k:
                    continue
                factor = work[i][k] / work[k][k]
                work[i] = [a - factor * b for a, b in zip(work[i], work[k], strict=True)]
        others = [i for i in range(len(work)) if i not in chosen]
        return all(work[i][j].is_zero for i in others for j in others)

    def _is_square(self, element: Element) -> bool:
        found = [self.field.factor(p) for p in (element.num, element.den)]
        return all(c > 0 and all(e % 2 == 0 for _, e in factors) for c, factors in found)

    # -- families ---------------------------------------------------------------------------

    def _family(self, family: Family, where: str) -> None:
        """h(curve(s)) = r1 h + r2·V·∇h, with weights for it on both sides of s = 0."""
        atom, s = self.atom, family.parameter
        if not s.isidentifier() or s in (*atom.inputs, *atom.parameters):
            raise self.fail(where, "has no parameter of its own")
        names = frozenset((*atom.parameters, s))
        images = {symbol(p): self._read(e, names, where) for p, e in family.curve}
        speed = {p: self._read(e, names - {s}, where) for p, e in family.velocity}
        r1, r2 = (self._read(e, names, where) for e in (family.r1, family.r2))
        if not {str(p) for p in images} | set(speed) <= set(atom.parameters):
            raise self.fail(where, "moves what is no parameter")
        kinds = {
            (True, True): FamilyKind.REDUNDANT,
            (False, True): FamilyKind.SCALE,
            (True, False): FamilyKind.SPLIT,
        }
        if family.kind != kinds.get((r1 == 1, r2 == 0), FamilyKind.PHASE):
            raise self.fail(where, "is of another kind")
        function, free = self._moving({*map(str, images), *speed}, where)
        if not (free or r2 == 0 or r1 == 1):
            raise self.fail(where, "changes the total weight, which the gate pins")
        density = self.through is not Through.VALUE and function is atom.parts[-1]
        if density and family.kind != FamilyKind.REDUNDANT:
            raise self.fail(where, "changes the density")
        extended = AtomFunction(atom.symbol, function, atom.inputs, (*atom.parameters, s))
        moved, number = put(function, images), len(atom.inputs) + len(atom.parameters)

        def build(field: Any) -> list[Element]:
            h = field.convert(function)
            rest = field.convert(moved) - field.convert(r1) * h
            for p, v in speed.items():
                slope = field.derivative(h, field.names.index(p))
                rest = rest - field.convert(r2) * field.convert(v) * slope
            changes = [field.derivative(field.convert(e), number) for e in images.values()]
            factors = [field.derivative(field.convert(r), number) for r in (r1, r2)]
            return [rest, *factors, *changes]

        written: list[Any] = [r1, r2, *images.values()]
        if any(e.has(Step) for e in written):
            raise Unshown("a family with kinks of its own")
        cases = Cases(extended, self.sides, build, self.deadline)
        field = cases.field
        if not all(case.elements[0].is_zero for case in cases.cases):
            raise Unshown("the identity of a family")
        start = {symbol(s): sp.Integer(0)}
        identities = [put(r1, start) - 1, put(r2, start)]
        identities += [put(e, start) - p for p, e in images.items()]
        if not all(self._is_zero(e) for e in identities):
            raise Unshown("that a curve begins at the truth")
        case = cases.cases[0]
        if not any(field.is_nonzero(e.num) for c in cases.cases for e in c.elements[3:]):
            raise Unshown("that a curve moves")
        needed = case.elements[2] if r2 != 0 else None if free or r1 == 1 else case.elements[1]
        if needed is not None and not self._nonzero_at_start(field, needed):
            raise Unshown("that weights exist for a family")

    def _moving(self, moved: set[str], where: str) -> tuple[Any, bool]:
        """What a curve is one of, h or a router's weight, and whether Σ w_i is free along it."""
        atom = self.atom
        if atom.routed is None or moved <= set(atom.of_expert):
            return atom.parts[-1], self.gates
        if not moved <= set(atom.gate):
            raise self.fail(where, "moves the parameters of a router and those of an expert")
        return atom.routed, True

    def _nonzero_at_start(self, field: Any, rate: Element) -> bool:
        """A factor changes at s = 0, so that it lies on both sides near it."""
        with precision(FIRST_BITS):
            for theta, points in draws(self.atom, self.sides, 5):
                at = [ball(v) for v in (*points[0], *theta, 0)]
                if excludes_zero(field.evaluate([rate], at)[0]):
                    return True
        return False

    # -- yes --------------------------------------------------------------------------------

    def _nondegenerate(self, found: SecondOrder) -> str:
        vectors = self._null_vectors(found)
        self._complete(found, vectors)
        for i, y in enumerate(found.visible):
            direction = {u: self._constant(e, f"visible[{i}]") for u, e in y.entries}
            if not set(direction) <= set(self.space.coordinates):
                raise self.fail(f"visible[{i}]", "is no direction of the moments")
            if not self._shows(direction, vectors):
                raise Unshown(f"that the direction {i + 1} is visible")
            vectors = self._restrict(vectors, self._rows(direction))
        if self.matter(vectors) or found.dual is not None:
            raise Unshown("that no moments are left")
        return Regularity(self.atom, self.sides).quantifier()

    def matter(self, vectors: Sequence[Vector]) -> bool:
        """Whether these vectors are moments that could be invisible."""
        return bool(vectors)

    def _complete(self, found: SecondOrder, vectors: Sequence[Vector]) -> None:
        """The functions left are independent, so there are no other null vectors."""
        aside = [i for i, f in enumerate(self.functions) if f.label not in found.independent]
        left = [f for f in self.functions if f.label in found.independent]
        if len(left) != len(found.independent) or len(aside) != len(vectors):
            raise self.fail("independent", "are not the functions left beside the null vectors")
        entries = [self._get(v, i) for v in vectors for i in aside]
        if vectors and not self._is_regular(entries, len(aside)):
            raise Unshown("that the null vectors are independent")
        if found.determinant is None:
            raise self.fail("determinant", "is missing")
        doubt = determinant_doubt(
            self.atom, left, (), 1, found.determinant, self.options, self.deadline, self.blocks
        )
        if doubt is not None:
            raise self.fail("determinant", doubt)

    def _is_regular(self, entries: Sequence[Element], size: int) -> bool:
        field = self.field
        with precision(BITS):
            for place in range(PLACES):
                at = [v[place] for v in field.inputs_and_parameters()]
                if excludes_zero(arb_mat(size, size, field.evaluate(entries, at)).det()):
                    return True
        return False

    def _rows(self, y: dict[str, Element]) -> list[Vector]:
        """The functionals μ ↦ (M y)_t; where M lives on directions v, y·v."""
        rest = [()] if self.space.null else [(t,) for t in self.space.coordinates]
        return [{self.space.index(*t, u): c for u, c in y.items()} for t in rest]

    def _shows(self, y: dict[str, Element], vectors: Sequence[Vector]) -> bool:
        """yᵀM y = 0 for all vectors."""
        if self.space.null:
            return all(self._value(self._rows(y)[0], v).is_zero for v in vectors)
        functional: Vector = {}
        for u, a in y.items():
            for v, b in y.items():
                i = self.space.index(u, v)
                functional[i] = self._get(functional, i) + a * b
        return all(self._value(functional, v).is_zero for v in vectors)

    # -- pieces -----------------------------------------------------------------------------

    def _parts(self, functions: Sequence[AtomTerm]) -> list[BasisFunction | None]:
        """What the functions are on each block of a density in turn, None where they are 0."""
        return [part_of(f, b) for b in self.blocks or ("",) for f in functions]

    def _cases(self, functions: Sequence[AtomTerm]) -> Cases:
        parts = self._parts(functions)

        def build(field: Any) -> list[Element]:
            found = iter(field.functions(self.atom, [f for f in parts if f is not None]))
            return [field.zero if f is None else next(found) for f in parts]

        return Cases(self.atom, self.sides, build, self.deadline)

    @cached_property
    def cases(self) -> Cases:
        return self._cases(self.functions)

    @property
    def field(self) -> Any:
        return self.cases.field

    @property
    def one(self) -> Element:
        return self.field.one

    @cached_property
    def _samples(self) -> list:
        parts = self._parts(self.functions)
        return samples(self.atom, [f for f in parts if f is not None], self.sides)

    def _read(self, text: str, names: frozenset[str], where: str) -> Any:
        expression = parse(text, extra=names, generous=True)
        if not free_names(expression) <= names:
            raise self.fail(where, f"'{text[:60]}' is not free of x")
        return expression

    def _constant(self, text: str, where: str) -> Element:
        expression = self._read(text, frozenset(self.atom.parameters), where)
        if expression.has(Step):
            raise self.fail(where, f"'{text[:60]}' has a kink")
        return self.field.convert(expression)

    def _numbers(self, texts: Sequence[str], where: str) -> list[Fraction]:
        if len(texts) != self.field.q:
            raise self.fail(where, "must be a value for each parameter")
        return [Fraction(t) for t in texts]

    def _is_zero(self, expression: Any) -> bool:
        return vanishes(expression, self.atom, self.sides, self.deadline)

    def _null_vectors(self, found: SecondOrder) -> list[Vector]:
        return [
            self._vector(entry.moments, f"invisible[{i}]")
            for i, entry in enumerate(found.invisible)
        ]

    def _vector(self, moments: Sequence[tuple[str, str]], where: str) -> Vector:
        """Moments whose expansion Σ μ_l g_l / scale_l is shown to vanish."""
        position = {m.name: i for i, m in enumerate(self.space.moments)}
        if not {name for name, _ in moments} <= set(position) or len(dict(moments)) != len(moments):
            raise self.fail(where, "is about other moments")
        names = frozenset(self.atom.parameters)
        texts = {position[name]: self._read(e, names, where) for name, e in moments}
        scales = {i: sp.Rational(1, self.space.moments[i].scale) for i in texts}
        scaled = {i: e * scales[i] for i, e in texts.items()}
        parts, size = self._parts(self.functions), len(self.functions)
        place = list(accumulate((f is not None for f in parts), initial=0))
        for start in range(0, len(parts), size):
            own = [i for i in texts if parts[start + i] is not None]
            values, places = [scaled[i] for i in own], [place[start + i] for i in own]
            if refuted(values, places, self.atom.parameters, self._samples):
                raise self.fail(where, "is not zero")
        vector = {position[name]: self._constant(e, where) for name, e in moments}
        combination = {
            i: c * self.field.constant(Fraction(1, self.space.moments[i].scale))
            for i, c in vector.items()
        }
        for start in range(0, len(parts), size):
            shifted = {start + i: c for i, c in combination.items()}
            if not all(apply(self.field, shifted, case).is_zero for case in self.cases.cases):
                raise Unshown("that moments are invisible")
        return {i: c for i, c in vector.items() if not c.is_zero}

    def _get(self, vector: Vector, i: int) -> Element:
        found = vector.get(i)
        return self.field.zero if found is None else found

    def _entry(self, vector: Vector, u: str, v: str) -> Element:
        return self._get(vector, self.space.index(u, v))

    def _value(self, functional: Vector, vector: Vector) -> Element:
        total = self.field.zero
        for i, c in functional.items():
            total = total + c * vector[i] if i in vector else total
        return total

    def _at(self, elements: Sequence[Element], theta: Sequence[Fraction]) -> list[arb]:
        middle = [ball((low + high) / 2) for low, high in self.sides]
        return self.field.evaluate(elements, [*middle, *(ball(v) for v in theta)])

    def _restrict(self, vectors: Sequence[Vector], functionals: Sequence[Vector]) -> list[Vector]:
        """A basis of the span on which the functionals vanish, for almost every θ."""
        span = [dict(v) for v in vectors]
        for functional in functionals:
            self.deadline.check()
            values = [self._value(functional, v) for v in span]
            live = [k for k, c in enumerate(values) if not c.is_zero]
            if not live:
                continue
            pivot = min(live, key=lambda k: (len(values[k].num) + len(values[k].den), k))
            for k in live:
                if k != pivot:
                    factor = values[k] / values[pivot]
                    changed = {i: c * factor for i, c in span[pivot].items()}
                    total = {
                        i: self._get(span[k], i) - self._get(changed, i)
                        for i in {*span[k], *changed}
                    }
                    span[k] = {i: c for i, c in total.items() if not c.is_zero}
            self.field.show_nonzero(values[pivot].num)
            del span[pivot]
        return span
