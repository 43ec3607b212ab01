"""Verify a certificate from its file alone.

The :mod:`kernel <identkit.certificates.kernel>` looks at the evidence. Where it finds something
wrong, the file is rejected. What it cannot show (a limit is met, or a rule missing: that is no
judgement) is left to a second stage, :mod:`~identkit.certificates.rederive`, in which the prover
comes to the statement once more; :attr:`Verified.by` tells the two apart. Of the prover's code
nothing is imported before that.

What is verified is what is printed: verdicts with their quantifiers, nondegeneracy, the premise and
the rate. Which results a file has must be what some check asks for. A checksum covers what follows
from nothing else (seed, version, precision). An open question claims nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from identkit.atoms import AtomFunction, expert_function, subject
from identkit.bounded import bounded
from identkit.certificates.kernel import (
    Analysis,
    Orders,
    Part,
    Unshown,
    check_exceptional,
    check_refit,
    knows,
)
from identkit.certificates.order_entry import read_orders
from identkit.certificates.statement import (
    concluded,
    expected,
    read_exceptional,
    read_part,
    read_premise,
    read_second,
    statement,
)
from identkit.certificates.store import SCHEMA_NAME, digest, size_doubt
from identkit.conditions import condition as find_condition
from identkit.conditions import levels
from identkit.coordinates import structural
from identkit.deadline import Deadline
from identkit.degeneracy.records import SecondOrder
from identkit.errors import CertificateError, IdentkitError, InputError, OutOfTime
from identkit.experts import Expert
from identkit.gates import Gate, RegimeCode
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import LEAST_SQUARES, from_document
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.orders.records import DirectionOrder
from identkit.questions import (
    asked_with,
    check_time_limit,
    checked_likelihood,
    options_of,
    plans,
    questions_of,
)
from identkit.report.json_text import schema
from identkit.results import ConditionResult, Options, combined_verdict
from identkit.vocabulary import Verdict

TIME_LIMIT = 120.0
"""Seconds for one file; a certificate that takes longer is not verified."""
MAX_SENTENCE = 400
"""Characters of the sentence that rejects a file."""
KERNEL, PROVER = "kernel", "prover"


@dataclass(frozen=True)
class Verified:
    """What a verified certificate proves.

    ``by`` says for each result of which piece (``verdict``, ``second order``, ``premise``,
    ``exceptional``, ``orders``) the
    kernel has checked the evidence, and which only the prover came to again.
    """

    expert: Expert
    gate: str
    options: Options
    results: tuple[ConditionResult, ...]
    by: tuple[dict[str, str], ...]
    likelihood: str = LEAST_SQUARES


@dataclass(frozen=True)
class Open:
    """A piece of a result that the kernel cannot show: ``what`` it is missing."""

    result: int
    piece: str
    part: int
    what: str


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
        gate = resolve_gate(document["gate"], from_document(document.get("likelihood")))
        if gate.name != document["gate"]:
            raise CertificateError(f"gate: its name is '{gate.name}'.")
        options = _options(document, expert)
        entries = document["results"]
        _check_asked(gate, entries)
        checked_likelihood(expert, gate)
        seen = resolve_likelihood(gate.likelihood).seen(expert)
        reader = _Reader(seen, gate, options, deadline)
        bare = [reader.result(i, entry) for i, entry in enumerate(entries)]
        results = concluded(seen, gate, bare)
        for i, (entry, result) in enumerate(zip(entries, results, strict=True)):
            for key, value in statement(result).items():
                if entry[key] != value:
                    raise CertificateError(f"results[{i}].{key}: does not follow from the proof.")
        by = [dict.fromkeys(pieces, KERNEL) for pieces in reader.pieces]
        if reader.open:
            from identkit.certificates.rederive import rederive

            rederive(seen, gate, options, results, reader.open, deadline)
            for question in reader.open:
                by[question.result][question.piece] = PROVER
        deadline.check()
    except (CertificateError, OutOfTime):
        raise
    except IdentkitError as error:
        raise CertificateError(f"the certificate cannot be read: {error}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        # a crafted file can drive the algebra anywhere; wherever it breaks, it is rejected
        raise CertificateError(f"the certificate is malformed: {error}") from None
    return Verified(expert, gate.name, options, tuple(results), tuple(by), gate.likelihood)


class _Reader:
    """Reads the entries and has the kernel look at them; ``open`` is what it cannot show."""

    def __init__(self, expert: Expert, gate: Gate, options: Options, deadline: Deadline) -> None:
        self.expert, self.gate, self.options, self.deadline = expert, gate, options, deadline
        self.open: list[Open] = []
        self.pieces: list[list[str]] = []

    def result(self, number: int, entry: dict[str, Any]) -> ConditionResult:
        where, regime = f"results[{number}]", entry["regime"]
        condition = find_condition(entry["condition"], entry["level"])
        given = condition.atom(self.expert, self.gate)
        atom, others = self._coordinates(given, tuple(entry["coordinates"]), where)
        sets, parts = condition.build(atom), entry["certificate"]["parts"]
        if len(parts) != len(sets):
            raise CertificateError(f"{where}.certificate: {len(sets)} parts expected.")
        self.pieces.append(["verdict"])
        proofs = []
        for i, (data, functions) in enumerate(zip(parts, sets, strict=True)):
            place = f"{where}.certificate.parts[{i}]"
            named = {f.label: f for f in (*functions.functions, *functions.shared)}
            try:
                proof = read_part(data, named)
            except KeyError as name:
                raise CertificateError(f"{place}: the condition has no function {name}.") from None
            options = asked_with(condition, self.options)
            part = Part(atom, functions, proof, options, place, self.deadline)
            self._show(part.check, number, "verdict", i)
            proofs.append(proof)
        if others and any(p.depends_on_coordinates for p in proofs):
            if not entry["coordinates"]:
                raise CertificateError(f"{where}.coordinates: others may succeed.")
            self.open.append(Open(number, "verdict", -1, "that the given coordinates fail as well"))
        second, premise = self._second_order(number, entry, where), None
        orders = self._orders(number, entry, second, where)
        if (entry["refits"] is not None) != expected(self.gate, regime, condition.name)[1]:
            raise CertificateError(f"{where}.refits: there is no such question, or it is missing.")
        if entry["refits"] is not None:
            premise = read_premise(entry["refits"])
            self.pieces[-1].append("premise")
            sides, h = self.options.domain.sides(self.expert.dim), expert_function(self.expert)
            for i, refit in enumerate(premise.refits):
                place = f"{where}.refits[{i}]"
                self._show(
                    lambda refit=refit, place=place: check_refit(
                        h, refit, sides, place, self.deadline
                    ),
                    number,
                    "premise",
                    i,
                )
        exceptional = tuple(map(read_exceptional, entry["exceptional"]))
        if exceptional:
            self.pieces[-1].append("exceptional")
        for i, found in enumerate(exceptional):
            place = f"{where}.exceptional[{i}]"
            self._show(
                lambda found=found, place=place: check_exceptional(
                    expert_function(self.expert),
                    found,
                    self.options.domain.sides(self.expert.dim),
                    place,
                    self.deadline,
                ),
                number,
                "exceptional",
                i,
            )
        return ConditionResult(
            regime=regime,
            condition=condition.name,
            level=condition.level,
            verdict=combined_verdict(tuple(proofs)),
            proofs=tuple(proofs),
            coordinates=tuple(entry["coordinates"]),
            published=None,
            second_order=second,
            premise=premise,
            exceptional=exceptional,
            orders=orders,
        )

    def _show(self, check: Callable[[], None], number: int, piece: str, part: int) -> None:
        """Have the kernel look at a piece, and remember it where the kernel cannot show it."""
        try:
            check()
        except Unshown as missing:
            self.deadline.check()
            self.open.append(Open(number, piece, part, str(missing)))

    def _coordinates(
        self, atom: AtomFunction, equations: tuple[str, ...], where: str
    ) -> tuple[AtomFunction, bool]:
        """The atom function in the stored coordinates, and whether there are others.

        The given or the structural ones, no others: failing in coordinates of one's choice would
        prove nothing.
        """
        found = structural(atom)
        if not equations:
            return atom, found is not None
        if found is None or found.equations(atom.parameters) != equations:
            raise CertificateError(f"{where}.coordinates: are not those of the expression.")
        return found.apply(atom), True

    def _second_order(self, number: int, entry: dict[str, Any], where: str) -> Any:
        regime, data = entry["regime"], entry["certificate"]["second_order"]
        if (data is not None) != expected(self.gate, regime, entry["condition"])[0]:
            raise CertificateError(
                f"{where}.certificate.second_order: there is no such question, or it is missing."
            )
        if data is None:
            return None
        self.pieces[-1].append("second order")
        found, expansion = read_second(data, self.gate, regime), self.gate.expansion(regime)
        place = f"{where}.certificate"

        def check() -> None:
            if expansion is None and found.verdict != Verdict.UNDECIDED:
                raise CertificateError(f"{place}.second_order: no expansion is known here.")
            if expansion is not None and not knows(expansion):
                raise Unshown("the criterion of this gate")
            atom = subject(self.expert, self.gate)
            Analysis(atom, expansion, self.options, place, self.deadline).check(found)

        self._show(check, number, "second order", 0)
        return found

    def _orders(
        self, number: int, entry: dict[str, Any], second: SecondOrder | None, where: str
    ) -> tuple[DirectionOrder, ...]:
        data, regime = entry.get("orders"), entry["regime"]
        if data is None:
            return ()
        self.pieces[-1].append("orders")
        place, atom = f"{where}.orders", expert_function(self.expert)
        found = read_orders(data, atom, self.gate, regime, second, place)
        expansion = self.gate.expansion(regime)

        def check() -> None:
            if expansion is None or second is None or not knows(expansion):
                raise Unshown("the criterion of this gate")
            analysis = Analysis(
                atom, expansion, self.options, f"{where}.certificate", self.deadline
            )
            Orders(analysis, expansion, second, place).check(found)

        self._show(check, number, "orders", 0)
        return found


def _check_asked(gate: Gate, entries: Sequence[dict[str, Any]]) -> None:
    """The results are those of one check: a result cannot be moved where nothing contradicts it."""
    asked = tuple((entry["regime"], entry["condition"]) for entry in entries)
    for regime, name in asked:
        if gate.regime(regime) is None and regime is not None:
            raise CertificateError(f"results: the {gate.name} gate has no regime {regime}.")
        find_condition(name)
    if asked not in plans(gate):
        said = ", ".join(f"{name} in regime {regime or 'null'}" for regime, name in asked)
        raise CertificateError(f"results: no check of the {gate.name} gate gives {said}.")
    stored = [entry["level"] for entry in entries]
    if not any(_levels(gate, asked, level) == stored for level in (None, *levels())):
        raise CertificateError("results.level: no check asks for these levels together.")


def _levels(gate: Gate, asked: Sequence[tuple[RegimeCode, str]], level: str | None) -> list[str]:
    """The levels of these conditions where ``level`` is asked for; none where one lacks it."""
    try:
        return [found.level for _, found in questions_of(gate, asked, level)]
    except InputError:
        return []


def _check_form(document: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema(SCHEMA_NAME)).iter_errors(document))
    if error is not None:
        where = ".".join(str(p) for p in error.absolute_path) or "document"
        raise CertificateError(f"{where}: {error.message[:200]}")


def _expert(data: dict[str, Any]) -> Expert:
    expert = Expert.from_canonical(data)
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
