"""Verify a certificate from its file alone, by a route that shares little with the prover.

- Determinants: the stored points are evaluated again, at the stored precision or up to four times
  that, by automatic differentiation (:mod:`~identkit.certificates.jets`) in place of SymPy, and
  nonsingularity is shown by an approximate inverse C with ‖I − C·A‖ < 1 (by the determinant only
  where the entries' scales put that out of reach).
- Relations, merged and dropped functions: the functions are re-derived by the chain rule of the
  differential field (:meth:`identkit.normal_form.Field.derivative`), and the stored combination
  must be the zero element.
- Everything counted, quantified or worded is recomputed from the condition's definition and
  compared; which results a file has must be what some check asks for.
- Second order: the null space is solved for again on functions derived by the chain rule, the
  determinant of the functions left is evaluated as above, and families, refits, exceptional sets
  and rates are proved and concluded anew; what is stored must be what comes out.
- A question left open is a code (``cause``) that claims nothing. Want of time is taken as it
  stands, and what would depend on the answer is concluded without it; another cause must be what
  the prover comes to again.

The coincidence rule, the fixed spaces and the theorem behind "every k" are recomputed with the
prover's own code, but on the functions re-derived here. A checksum covers what follows from
nothing else (seed, version, precision).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from flint import arb, arb_mat

from identkit.algebra import Element, TooLarge
from identkit.atoms import AtomFunction
from identkit.balls import precision
from identkit.bounded import bounded
from identkit.causes import LIMITS, MACHINE, NOT_FOUND, SIGNS, SIZE_LIMIT, UNPROVED
from identkit.certificates.document import REMARKS, read_part
from identkit.certificates.independence import (
    FIRST_PRECISION,
    are_distinct,
    determinant,
    excludes_zero,
)
from identkit.certificates.jets import Differentiator
from identkit.certificates.store import digest, size_doubt
from identkit.checking import conclude, prove_sets
from identkit.claims import published_claim
from identkit.conditions import LEVELS, BasisFunction, FunctionSet
from identkit.conditions import condition as find_condition
from identkit.coordinates import structural
from identkit.deadline import Deadline
from identkit.degeneracy.analysis import cut_short
from identkit.degeneracy.conclude import NOT_SEARCHED, Conclusions
from identkit.degeneracy.moments import MomentSpace, moment_space
from identkit.degeneracy.records import Premise
from identkit.errors import CertificateError, IdentkitError, InputError, OutOfTime
from identkit.experts import Expert, builtin, symbols
from identkit.expression import Step, free_names, parse
from identkit.forms import affine_forms
from identkit.gates import Gate
from identkit.gates import resolve as resolve_gate
from identkit.normal_form import Field, NeedSign, Rebase
from identkit.prove import (
    Formal,
    equation,
    relation_quantifier,
    space_text,
    witness_quantifier,
)
from identkit.questions import check_time_limit, options_of, plans
from identkit.relations import Combination, FormalFamily
from identkit.report.json_form import result_document, schema
from identkit.results import (
    ConditionResult,
    Options,
    Relation,
    SetProof,
    Term,
    combined_verdict,
)
from identkit.sampling import Sampler

TIME_LIMIT = 120.0
"""Seconds for one file; a certificate that takes longer is not verified."""
MAX_SENTENCE = 400
"""Characters of the sentence that rejects a file."""
READ_BITS = 45
"""Relative accuracy at which a stored determinant, of 12 digits, is compared."""


@dataclass(frozen=True)
class Verified:
    """What a verified certificate proves."""

    expert: Expert
    gate: str
    options: Options
    results: tuple[ConditionResult, ...]


def verify(document: dict[str, Any], time_limit: float = TIME_LIMIT) -> Verified:
    """Verify a certificate document within ``time_limit`` seconds.

    Raises :class:`~identkit.errors.CertificateError`, naming the first field or proof that does
    not hold, and :class:`~identkit.errors.OutOfTime`. Returns what was proved.
    """
    check_time_limit(time_limit)
    doubt = size_doubt(document)
    if doubt is not None:
        raise CertificateError(f"{doubt}.")
    _check_form(document)
    if digest(document) != document["digest"]:
        raise CertificateError("digest: the file was changed after it was written.")
    deadline = Deadline(time_limit)
    try:
        return bounded(lambda _: _verified(document, deadline), deadline)
    except CertificateError as error:
        said = str(error)  # it may quote what the file says
        raise CertificateError(
            said if len(said) <= MAX_SENTENCE else f"{said[:MAX_SENTENCE]}…"
        ) from None
    except OutOfTime as limit:
        raise OutOfTime(f"the certificate is not verified: {limit}; raise --time-limit.") from None


def _verified(document: dict[str, Any], deadline: Deadline) -> Verified:
    try:
        expert = _expert(document["expert"])
        gate = resolve_gate(document["gate"])
        if gate.name != document["gate"]:
            raise CertificateError(f"gate: its name is '{gate.name}'.")
        options = _options(document, expert)
        entries = document["results"]
        _check_asked(gate, entries)
        bare = [
            _Result(expert, gate.name, entry, options, f"results[{i}]", deadline).verify()
            for i, entry in enumerate(entries)
        ]
        conclusions = Conclusions(expert, gate, options, deadline, derived_by_chain_rule)
        _keep_open(conclusions, entries)
        results = tuple(conclude(expert, gate, bare, conclusions))
        deadline.check()  # what was concluded without the time for it is nobody's statement
        for i, (entry, result) in enumerate(zip(entries, results, strict=True)):
            _compare(entry, result, conclusions.atom, f"results[{i}]", deadline)
    except CertificateError:
        raise
    except TooLarge as error:
        raise CertificateError(f"the certificate cannot be re-derived: {error}") from None
    except OutOfTime:
        raise
    except (IdentkitError, NeedSign, Rebase) as error:
        raise CertificateError(f"the certificate cannot be re-derived: {error}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        # a crafted file can drive the re-derivation anywhere; wherever it breaks, it is rejected
        raise CertificateError(f"the certificate is malformed: {error}") from None
    return Verified(expert, gate.name, options, results)


def by_chain_rule(
    field: Field, atom: AtomFunction, basis: Sequence[BasisFunction]
) -> list[Element]:
    """The functions, derived inside the differential field."""
    # kinks of what is free of the parameters need no branches for its derivatives, which are 0
    _, moving = atom.expression.as_independent(*symbols(atom.parameters), as_Add=True)
    whole = any(not factor for f in basis for factor in f.factors)
    known: dict[tuple[str, ...], Element] = {
        (): field.convert(atom.expression if whole else moving)
    }

    def partial(names: tuple[str, ...]) -> Element:
        if names not in known:
            known[names] = field.derivative(partial(names[:-1]), names[-1])
        return known[names]

    elements = []
    for f in basis:
        value = field.one
        for name in f.inputs:
            value = value * field.convert(parse(name))
        for factor in f.factors:
            value = value * partial(factor)
        elements.append(value)
    return elements


def derived_by_chain_rule(
    atom: AtomFunction, space: MomentSpace, deadline: Deadline
) -> FormalFamily:
    """The functions that moments multiply, without SymPy's diff."""
    basis = [m.function for m in space.moments]
    return FormalFamily(atom, lambda field: by_chain_rule(field, atom, basis), deadline)


def _keep_open(conclusions: Conclusions, entries: Sequence[dict[str, Any]]) -> None:
    """What was left open for want of time is not asked again: an open question claims nothing.

    Everything else in the entries is then concluded from it, and compared.
    """
    c = conclusions
    for entry in entries:
        second, number = entry["certificate"]["second_order"], entry["regime"]
        expansion = c.gate.expansion(number)
        if second is not None and expansion is not None and expansion.order == 2:
            if second["cause"] in MACHINE:
                c.preset(number, cut_short(c.gate.name, number, second["cause"]))
            elif second["cause"] == SIZE_LIMIT:
                # the normal form may outgrow its limits on the prover's route to it only
                again = Conclusions(c.expert, c.gate, c.options, c.deadline)
                c.preset(number, again.second_order(number))
        premise, rate = entry["premise"] or {}, entry["rate"] or {}
        for cause in (premise.get("cause"), rate.get("elsewhere")):
            if cause in MACHINE:
                c.premise = Premise.cut_short(cause)
        if any(e["kind"] == NOT_SEARCHED.kind for e in entry["exceptional"]):
            c.exceptional = (NOT_SEARCHED,)


def _check_asked(gate: Gate, entries: Sequence[dict[str, Any]]) -> None:
    """The results are those of one check: a result cannot be moved where nothing contradicts it."""
    asked = tuple((entry["regime"], entry["condition"]) for entry in entries)
    for number, name in asked:
        if gate.regime(number) is None and number is not None:
            raise CertificateError(f"results: the {gate.name} gate has no regime {number}.")
        find_condition(name)
    if asked not in plans(gate):
        said = ", ".join(f"{name} in regime {number or 'null'}" for number, name in asked)
        raise CertificateError(f"results: no check of the {gate.name} gate gives {said}.")
    stored = [entry["level"] for entry in entries]
    if not any(_levels(asked, level) == stored for level in (None, *LEVELS)):
        raise CertificateError("results.level: no check asks for these levels together.")


def _levels(asked: Sequence[tuple[int | None, str]], level: str | None) -> list[str]:
    """The levels of these conditions where ``level`` is asked for; none where one lacks it."""
    try:
        return [find_condition(name, level).level for _, name in asked]
    except InputError:
        return []


def _compare(
    entry: dict[str, Any],
    result: ConditionResult,
    atom: AtomFunction,
    where: str,
    deadline: Deadline,
) -> None:
    """Everything stored is what was derived, and the second-order determinant is nonzero."""
    expected = result_document(result)
    for part in expected["certificate"]["parts"]:
        for remark in REMARKS:
            del part[remark]
    for key, value in expected.items():
        if entry[key] != value:
            raise CertificateError(f"{where}.{key}: does not follow from the proof.")
    second = result.second_order
    if second is None or second.determinant is None:
        return
    expansion = resolve_gate(second.gate).expansion(second.regime)
    assert expansion is not None
    space = moment_space(atom, expansion.gates)
    functions = [m.function for m in space.moments if m.function.label in second.independent]
    witness, differentiator = second.determinant, Differentiator(atom, 2)
    doubt = singularity_doubt(
        lambda: [differentiator.values(functions, x, witness.atoms[0]) for x in witness.points],
        witness.precision,
        witness.determinant,
        deadline,
    )
    if doubt is not None:
        raise CertificateError(f"{where}.certificate.second_order.determinant: {doubt}.")


def _check_form(document: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema("certificate-2")).iter_errors(document))
    if error is not None:
        where = ".".join(str(p) for p in error.absolute_path) or "document"
        raise CertificateError(f"{where}: {error.message[:200]}")


def _expert(data: dict[str, Any]) -> Expert:
    if data["name"] == "custom":
        # through the same door as a user's text: roles of names cannot be swapped or invented
        expert = Expert.from_expression(
            data["expression"], dim=data["dim"], parameters=tuple(data["parameters"])
        )
    else:
        expert = builtin(data["name"], data["shape"], data["dim"])
    if expert.canonical() != data:
        raise CertificateError("expert: it is not the expert of that name, shape and dimension.")
    return expert


def _options(document: dict[str, Any], expert: Expert) -> Options:
    data = document["options"]
    options = options_of(
        data["atoms"], data["domain"], expert.inputs, document["seed"], data["max_precision"]
    )
    if options.domain.document() != data["domain"]:
        raise CertificateError("options.domain: is not written in its shortest form.")
    return options


class _Result:
    """Verifies one entry of ``results``."""

    def __init__(
        self,
        expert: Expert,
        gate: str,
        entry: dict[str, Any],
        options: Options,
        where: str,
        deadline: Deadline,
    ) -> None:
        self.entry, self.options, self.where = entry, options, where
        self.deadline = deadline
        self.condition = find_condition(entry["condition"], entry["level"])
        self.given = self.condition.atom(expert, resolve_gate(gate))
        self.atom = self._in_coordinates(self.given)
        self.sets = self.condition.build(self.atom)
        self.published = published_claim(
            expert, gate, entry["regime"], entry["condition"], entry["level"]
        )

    def _in_coordinates(self, atom: AtomFunction) -> AtomFunction:
        """The atom function in the stored coordinates: the given or the structural ones, no others.

        Failing in coordinates of one's choice would prove nothing.
        """
        equations = tuple(self.entry["coordinates"])
        self.structural = structural(atom)
        if not equations:
            return atom
        if self.structural is None or self.structural.equations(atom.parameters) != equations:
            raise CertificateError(f"{self.where}.coordinates: are not those of the expression.")
        return self.structural.apply(atom)

    def verify(self) -> ConditionResult:
        parts = self.entry["certificate"]["parts"]
        if len(parts) != len(self.sets):
            raise CertificateError(f"{self.where}.certificate: {len(self.sets)} parts expected.")
        proofs = []
        for i, (data, functions) in enumerate(zip(parts, self.sets, strict=True)):
            where = f"{self.where}.certificate.parts[{i}]"
            part = _Part(self.atom, functions, data, self.options, where, self.deadline)
            proofs.append(part.verify())
        self._left_open(proofs)
        if self.entry["coordinates"]:
            given = prove_sets(self.condition, self.given, self.options, self.deadline)
            if not any(p.depends_on_coordinates for p in given):
                self.deadline.check()
                raise CertificateError(f"{self.where}.coordinates: the given ones do not fail.")
        elif self.structural is not None and any(p.depends_on_coordinates for p in proofs):
            raise CertificateError(f"{self.where}.coordinates: others may succeed.")
        return ConditionResult(
            regime=self.entry["regime"],
            condition=self.entry["condition"],
            level=self.entry["level"],
            verdict=combined_verdict(tuple(proofs)),
            proofs=tuple(proofs),
            coordinates=tuple(self.entry["coordinates"]),
            published=self.published,
        )

    def _left_open(self, proofs: Sequence[SetProof]) -> None:
        """What is left open for another reason than time, the prover leaves open for it again."""
        if all(p.cause in (None, *MACHINE) for p in proofs):
            return
        again = prove_sets(self.condition, self.atom, self.options, self.deadline)
        for i, (stored, found) in enumerate(zip(proofs, again, strict=True)):
            same = (stored.kind, stored.cause) == (found.kind, found.cause)
            if stored.cause not in (None, *MACHINE) and not same:
                self.deadline.check()
                where = f"{self.where}.certificate.parts[{i}]"
                raise CertificateError(f"{where}.cause: the question is not open for that reason.")


class _Part:
    """Verifies the proof of one set of functions."""

    def __init__(
        self,
        atom: AtomFunction,
        functions: FunctionSet,
        data: dict[str, Any],
        options: Options,
        where: str,
        deadline: Deadline,
    ) -> None:
        self.atom, self.functions, self.options, self.where = atom, functions, options, where
        self.basis = (*functions.functions, *functions.shared)
        try:
            self.proof = read_part(data, {f.label: f for f in self.basis})
        except KeyError as name:
            raise CertificateError(f"{where}: the condition has no function {name}.") from None
        self.deadline = deadline
        self.sampler = Sampler(
            atom, options.domain, options.seed, affine_forms(atom), self.deadline
        )

    def fail(self, field: str, reason: str) -> CertificateError:
        return CertificateError(f"{self.where}.{field}: {reason}.")

    def verify(self) -> SetProof:
        proof = self.proof
        if proof.title != self.functions.title or proof.shared != self.functions.shared:
            raise self.fail("title", "is not this condition's set of functions")
        checks = {
            "ball-determinant": self._independent,
            "relation": self._relation,
            "finite-dimension": self._finite_dimension,
            "none": self._nothing,
        }
        self._nothing_unread()
        expected = checks[proof.kind]()
        for field in ("verdict", "quantifier", "rank", "every_k", "atoms"):
            if getattr(proof, field) != getattr(expected, field):
                raise self.fail(field, "does not follow from the proof")
        return proof

    def _nothing_unread(self) -> None:
        """Fields a kind of proof does not use must be empty: nobody would have checked them."""
        proof = self.proof
        used = {
            "ball-determinant": {"witness"},
            "relation": {"relations"} if proof.rank is None else {"relations", "witness"},
            "finite-dimension": {"fixed"},
            "none": set(),
        }[proof.kind]
        for field in ("relations", "witness", "fixed"):
            if getattr(proof, field) and field not in used:
                raise self.fail(field, f"has no place in a proof of kind {proof.kind}")
        causes = {
            "ball-determinant": (None, SIZE_LIMIT),
            "none": (*LIMITS, UNPROVED, NOT_FOUND, SIGNS),
        }.get(proof.kind, (None,))
        if proof.cause not in causes:
            raise self.fail("cause", f"has no place in a proof of kind {proof.kind}")

    # -- kinds ------------------------------------------------------------------------------

    def _nothing(self) -> SetProof:
        if self.proof.cause in (NOT_FOUND, SIGNS):
            self._partition()
        elif not self._untouched():
            raise self.fail("kept", "must be the condition's set: nothing was merged")
        return replace(
            self.proof,
            verdict="undecided",
            quantifier=None,
            rank=None,
            every_k=False,
            atoms=self.options.atoms,
        )

    def _independent(self) -> SetProof:
        proof = self.proof
        if not self._untouched():
            # independence of all functions as they stand needs no rule, hence no normal form
            self._partition()
        if proof.witnessed != proof.kept:
            raise self.fail("witness.functions", "must be the kept functions")
        self._determinant(proof.kept, proof.shared, self.options.atoms)
        assert proof.witness is not None
        if self._refuted_by_dimension():
            raise self.fail("verdict", "holds for few atoms only: a dimension count refutes it")
        return replace(
            proof,
            verdict="yes",
            quantifier=witness_quantifier(self.sampler),
            rank=proof.functions,
            every_k=self._every_k(proof.witness.atoms),
            atoms=self.options.atoms,
        )

    def _every_k(self, atoms: Sequence[Sequence[Fraction]]) -> bool:
        """Whether independence holds for every number of atoms; False where that is left open."""
        if self.proof.cause is not None:
            return False
        try:
            return self.formal.every_k_obstacle(self.sampler, atoms) is None
        except (OutOfTime, Rebase):
            self.deadline.check()
            return False

    def _untouched(self) -> bool:
        """Whether every function of the condition is kept: nothing merged, nothing dropped."""
        proof = self.proof
        return proof.kept == self.functions.functions and not (proof.merged or proof.dropped)

    def _refuted_by_dimension(self) -> bool:
        """Whether a dimension count is found, looked for exactly as far as the prover does."""
        try:
            formal = self.formal
            return formal.movement_everywhere.fixed_space(formal.rule.kept) is not None
        except (OutOfTime, Rebase):
            self.deadline.check()
            return False

    def _relation(self) -> SetProof:
        proof = self.proof
        if not proof.relations:
            raise self.fail("relations", "holds no relation")
        for i, relation in enumerate(proof.relations):
            self._vanishes(relation, f"relations[{i}]")
        failure = self.formal.rule.failure is not None
        if failure:
            self._is_failure()
        else:
            self._partition()
            self._distinct({t.function for r in proof.relations for t in r.terms})
            allowed = {*proof.kept, *proof.shared}
            for i, relation in enumerate(proof.relations):
                if not {t.function for t in relation.terms} <= allowed:
                    raise self.fail(f"relations[{i}]", "uses a function that was not kept")
        return replace(
            proof,
            verdict="no",
            quantifier=relation_quantifier(proof.relations[0])
            if failure
            else self.formal.quantifier_of(proof.relations),
            rank=None if failure else self._rank(),
            every_k=False,
            atoms=self.options.atoms,
        )

    def _is_failure(self) -> None:
        """One relation among first derivatives alone, found before anything was merged."""
        proof = self.proof
        if not self._untouched():
            raise self.fail("kept", "must be the condition's set: nothing was merged")
        if len(proof.relations) != 1 or not all(t.function.first for t in proof.relations[0].terms):
            raise self.fail("relations", "must be one among first derivatives")

    def _distinct(self, functions: set[BasisFunction]) -> None:
        """No two of the functions related are a merge left undone, unless they are all first."""
        proof = self.proof
        if any(all(t.function.first for t in r.terms) for r in proof.relations):
            return
        chosen = [f for f in self.functions.functions if f in functions]
        order = max((len(factor) for f in chosen for factor in f.factors), default=1)
        differentiator = Differentiator(self.atom, order)
        if not are_distinct(
            self.sampler, lambda theta, xs: [differentiator.values(chosen, x, theta) for x in xs]
        ):
            raise self.fail("relations", "may be between functions that coincide")

    def _rank(self) -> int | None:
        """The exact rank, if one is claimed: witness from below, relations from above."""
        proof = self.proof
        if proof.rank is None:
            return None
        if proof.witness is None:
            pivots = [self.basis[i] for i in self.formal.pivots]
            return self._polynomial_rank(pivots, self.options.atoms)
        if proof.shared:
            raise self.fail("rank", "is not defined beside shared functions")
        if not set(proof.witnessed) <= set(proof.kept):
            raise self.fail("witness.functions", "are not among the kept functions")
        if len(set(proof.witnessed)) != len(proof.witnessed):
            raise self.fail("witness.functions", "repeats a function")
        if len(proof.relations) != len(proof.kept) - len(proof.witnessed):
            raise self.fail("relations", "are too few for the rank")
        if not self._relations_triangular():
            raise self.fail("relations", "are not independent of each other")
        self._determinant(proof.witnessed, (), self.options.atoms)
        return self.options.atoms * len(proof.witnessed)

    def _dependent_functions(self) -> list[BasisFunction]:
        """The function each relation adds to those before it: its last term."""
        return [r.terms[-1].function for r in self.proof.relations]

    def _relations_triangular(self) -> bool:
        """Each relation expresses its last function by witnessed ones, so none is redundant."""
        last, witnessed = self._dependent_functions(), set(self.proof.witnessed)
        others = {t.function for r in self.proof.relations for t in r.terms[:-1]}
        return len(set(last)) == len(last) and not set(last) & witnessed and others <= witnessed

    def _finite_dimension(self) -> SetProof:
        proof, fixed = self.proof, self.proof.fixed
        if fixed is None or not fixed.combinations:
            raise self.fail("fixed", "is missing")
        self._partition()
        allowed = set(proof.kept)
        combinations = []
        for i, terms in enumerate(fixed.combinations):
            if not {t.function for t in terms} <= allowed:
                raise self.fail(f"fixed.combinations[{i}]", "uses a function that was not kept")
            combinations.append(self._combination(terms))
        self._distinct(allowed & {t.function for terms in fixed.combinations for t in terms})
        last = {terms[-1].function for terms in fixed.combinations}
        others = {t.function for terms in fixed.combinations for t in terms[:-1]}
        if len(last) != len(fixed.combinations) or last & others:
            raise self.fail("fixed.combinations", "are not independent of each other")
        space = self.formal.movement_everywhere.space_of(combinations)
        if space is None:
            raise self.fail("fixed.combinations", "are not the same functions for every parameter")
        found = (space.dimension, space.degree, space_text(space, self.atom), space.atoms)
        if found != (fixed.dimension, fixed.degree, fixed.space, fixed.atoms):
            raise self.fail("fixed", "does not describe the space of its combinations")
        rank = None
        if proof.rank is not None:
            rank = self._polynomial_rank(list(proof.kept), fixed.atoms)
        return replace(
            proof,
            verdict="no",
            quantifier=self.formal.quantifier_of_fixed(fixed),
            rank=rank,
            every_k=False,
            atoms=fixed.atoms,
        )

    # -- pieces -----------------------------------------------------------------------------

    @cached_property
    def family(self) -> FormalFamily:
        """All functions of the set, re-derived inside the differential field."""
        return FormalFamily(self.atom, self._rederive, self.deadline)

    def _rederive(self, field: Field) -> list[Element]:
        return by_chain_rule(field, self.atom, self.basis)

    @cached_property
    def formal(self) -> Formal:
        """The coincidence rule applied to the re-derived functions."""
        return Formal(self.family, self.functions)

    def _polynomial_rank(self, functions: Sequence[BasisFunction], atoms: int) -> int | None:
        indices = [self.basis.index(f) for f in functions]
        return self.formal.polynomial_rank(self.sampler, indices, atoms)

    def _combination(self, terms: Sequence[Term]) -> Combination:
        field = self.family.field
        coefficients: dict[int, Element] = {}
        for term in terms:
            names = frozenset(self.atom.parameters)
            expression = parse(term.coefficient, extra=names, generous=True)
            if not free_names(expression) <= names or expression.has(Step):
                raise self.fail("coefficient", f"'{term.coefficient}' is not free of x")
            value = field.convert(expression)
            if not value.den.is_constant():
                raise self.fail("coefficient", f"'{term.coefficient}' has a pole")
            if value.is_zero or self.basis.index(term.function) in coefficients:
                raise self.fail("coefficient", f"'{term.coefficient}' is zero or repeated")
            coefficients[self.basis.index(term.function)] = value
        if not self.family.is_nonzero(list(coefficients.values())[-1]):
            raise self.fail("coefficient", f"'{terms[-1].coefficient}' is not proved nonzero")
        return Combination(coefficients)

    def _vanishes(
        self, relation: Relation, field: str, solve_for: BasisFunction | None = None
    ) -> None:
        """The relation is zero, and its text says what its terms say."""
        combination = self._combination(relation.terms)
        if not self.family.vanishes(combination):
            raise self.fail(field, "is not zero")
        isolated = None if solve_for is None else self.basis.index(solve_for)
        text = equation(combination, self.basis, self.family.field, isolated)
        if text != relation.text:
            raise self.fail(f"{field}.text", f"should read '{text}'")

    def _partition(self) -> None:
        """kept, merged and dropped are what the coincidence rule makes of the re-derived functions.

        The rule has to be applied completely: two proportional functions left among the kept ones
        would make any expert look dependent.
        """
        proof, rule = self.proof, self.formal.rule
        derived = (
            [self.basis[i] for i in rule.kept],
            [(self.basis[m.index], self.basis[m.into]) for m in rule.merges],
            [self.basis[i] for i in rule.dropped],
        )
        stored = (
            list(proof.kept),
            [(m.function, m.into) for m in proof.merged],
            list(proof.dropped),
        )
        if rule.failure is not None or stored != derived:
            raise self.fail("kept", "is not what the coincidence rule leaves")
        for f in proof.dropped:
            if f.first or not self.family.is_zero(self.basis.index(f)):
                raise self.fail("dropped", f"{f.label} may not be dropped")
        for i, m in enumerate(proof.merged):
            terms = m.relation.terms
            if m.function.first or m.into not in proof.kept:
                raise self.fail(f"merged[{i}]", "merges what may not be merged")
            if [t.function for t in terms] != [m.into, m.function]:
                raise self.fail(f"merged[{i}]", "is not a proportionality of the two functions")
            self._vanishes(m.relation, f"merged[{i}]", m.function)

    def _determinant(
        self, functions: Sequence[BasisFunction], shared: Sequence[BasisFunction], atoms: int
    ) -> None:
        """Nonsingularity of the stored matrix at the stored precision."""
        witness = self.proof.witness
        if witness is None:
            raise self.fail("witness", "is missing")
        size = atoms * len(functions) + len(shared)
        q, d = len(self.atom.parameters), len(self.atom.inputs)
        if len(witness.atoms) != atoms or any(len(t) != q for t in witness.atoms):
            raise self.fail("witness.atoms", f"must be {atoms} lists of {q} parameters")
        if len(witness.points) != size or any(len(x) != d for x in witness.points):
            raise self.fail("witness.points", f"must be {size} points of {d} inputs")
        if witness.precision > self.options.max_precision:
            raise self.fail("witness.precision", "exceeds the file's max_precision")
        if any(self.sampler.irregular(theta) is not None for theta in witness.atoms):
            raise self.fail("witness.atoms", "make the expert singular on the domain")
        sides = self.options.domain.sides(d)
        if any(
            not low <= v <= high
            for x in witness.points
            for v, (low, high) in zip(x, sides, strict=True)
        ):
            raise self.fail("witness.points", "leave the domain")
        order = max((len(factor) for f in functions for factor in f.factors), default=1)
        differentiator = Differentiator(self.atom, order)
        doubt = singularity_doubt(
            lambda: self._rows(functions, shared, differentiator),
            witness.precision,
            witness.determinant,
            self.deadline,
        )
        if doubt is not None:
            raise self.fail("witness", doubt)

    def _rows(
        self,
        functions: Sequence[BasisFunction],
        shared: Sequence[BasisFunction],
        differentiator: Differentiator,
    ) -> list[list[arb]]:
        """rows: points; columns: functions at each atom in turn, then the shared ones."""
        assert self.proof.witness is not None
        atoms = self.proof.witness.atoms
        rows = []
        for x in self.proof.witness.points:
            self.deadline.check()
            row = [v for theta in atoms for v in differentiator.values(functions, x, theta)]
            rows.append(row + differentiator.values(shared, x, atoms[0]))
        return rows


def singularity_doubt(
    rows_at: Callable[[], list[list[arb]]], bits: int, text: str, deadline: Deadline
) -> str | None:
    """None if the matrix is proved nonsingular and ``text`` is its determinant, else the doubt.

    ``rows_at`` evaluates it at the precision in force, a low one first, whatever the file claims to
    have needed. Time for a higher one must be left, since the linear algebra cannot be interrupted.
    """
    stored = _ball(text)
    if stored is None or not excludes_zero(stored):
        return "stores a determinant that is no finite ball without 0"
    value, attempt = arb("nan"), min(bits, 2 * FIRST_PRECISION)
    # the inverse can need more precision than the determinant the prover was content with
    while attempt <= 4 * bits:
        began = time.monotonic()
        with precision(attempt):
            rows = rows_at()
            value = determinant(rows)
            if not value.overlaps(stored):
                return "does not have the determinant stored"
            known = value.rel_accuracy_bits() >= READ_BITS or attempt >= bits
            if known and is_nonsingular(rows):
                return None
        deadline.leave(4 * (time.monotonic() - began))
        attempt *= 2
    # a matrix whose entries differ by many orders of magnitude: its inverse is out of reach
    return None if excludes_zero(value) else "proves nothing: the matrix may be singular"


def _ball(text: str) -> arb | None:
    try:
        return arb(text)
    except ValueError:
        return None


def _scaled(line: Sequence[arb]) -> list[arb]:
    largest = max((abs(v.mid()) for v in line), key=lambda v: v)
    return [v / largest for v in line] if largest > 0 else list(line)


def is_nonsingular(rows: list[list[arb]]) -> bool:
    """Proved: with C near the inverse of A, ‖I − C·A‖_∞ < 1 makes A invertible (Neumann)."""
    n = len(rows)
    if any(not v.is_finite() for row in rows for v in row):
        return False
    # dividing a row or column by a nonzero number changes nothing but the conditioning
    for _ in range(2):
        rows = [_scaled(line) for line in zip(*rows, strict=True)]
    matrix = arb_mat(n, n, [v for row in rows for v in row])
    try:
        inverse = matrix.mid().inv().mid()
    except ZeroDivisionError:
        return False
    product = inverse * matrix
    for i in range(n):
        total = arb(0)
        for j in range(n):
            total += abs(product[i, j] - (1 if i == j else 0))
        if not total < 1:
            return False
    return True
