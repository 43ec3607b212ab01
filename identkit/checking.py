"""``identkit.check``: from an expert and a gate to proved verdicts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from identkit import __version__
from identkit.architecture.measures import Setting
from identkit.architecture.records import FoundGauge, NoGauge
from identkit.architecture.search import search
from identkit.atoms import AtomFunction
from identkit.bounded import bounded
from identkit.claims import published_claim
from identkit.conditions import Condition
from identkit.conditions import condition as find_condition
from identkit.coordinates import structural
from identkit.deadline import Deadline
from identkit.degeneracy.conclude import Conclusions
from identkit.domain import DomainLike
from identkit.errors import InputError, OutOfTime
from identkit.experts import Expert
from identkit.experts import resolve as resolve_expert
from identkit.formal import undecided
from identkit.gates import Gate, RegimeCode, known_gates
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import Likelihood
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.prove import Prover
from identkit.questions import (
    NONDEGENERATE,
    REQUIREMENTS,
    asked_in,
    asked_with,
    checked_likelihood,
    in_classes,
    one_output,
    options_of,
    plan_of,
    questions_of,
)
from identkit.results import (
    CheckResult,
    ConditionResult,
    Options,
    Requirement,
    SetProof,
    combined_verdict,
)
from identkit.vocabulary import Through, Verdict

SHARED = "input-free"
"""The gate of shared experts."""


def check(
    expert: Expert | str,
    gate: Gate | str,
    *,
    likelihood: Likelihood | str | None = None,
    variance: str | None = None,
    classes: int | None = None,
    shared: Expert | str | None = None,
    shape: str | None = None,
    dim: int = 2,
    regime: RegimeCode = None,
    condition: str | None = None,
    level: str | None = None,
    atoms: int = 3,
    domain: DomainLike = (-3, 3),
    seed: int = 0,
    max_precision: int = 8192,
    time_limit: float = 60.0,
    require: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> CheckResult:
    """Decide identifiability conditions for an expert under a gate, by proof.

    By default the conditions of every regime of the gate (for sigmoid: ``strong`` in the sparse
    one, ``weak`` in the dense one); ``regime`` (its key, or its number in the papers),
    ``condition`` and ``level`` narrow that down. ``nondegenerate`` follows
    from these, and may be named in place of a condition or required. ``expert`` is an
    :class:`~identkit.experts.Expert` or a built-in's name, then ``shape`` and ``dim`` apply.
    ``likelihood`` is the gate's, least squares for a gate given by name; under another one nothing
    follows but what the gate registers for it. ``variance`` is ``free``, ``common`` or ``known``
    under a Gaussian likelihood. Under the categorical one the expert gives logits, and ``classes``
    S gives an expert of one output its own parameters for each of S − 1 of them (2 classes without
    it). ``shared`` is the expert of the shared half of an architecture with both, of the same
    inputs: ½ Σ ω_a N(y | h1, τ_a) beside half of the gate's mixture; it is decided as well, with
    input-free weights.
    ``atoms`` is k in the witness, ``domain`` the (low, high) of every input, or a mapping with one
    for each (``{"x0": (0, 5), "x1": (-3, 3)}``), ``require`` a condition
    that must hold for exit code 0. ``progress`` is called with a line before each step.

    >>> result = check("gelu", "sigmoid", dim=1)
    >>> [r.verdict for r in result.results]
    ['yes', 'yes']

    Raises :class:`~identkit.errors.InputError` for arguments that cannot be used, and
    :class:`~identkit.errors.DomainError` for an expert that is singular on the domain.
    Verdicts are never guessed: what cannot be proved within ``max_precision`` bits and
    ``time_limit`` seconds is ``undecided``. The work is done in a child process, which is ended
    soon after that, and at 1.5 GiB, whatever it is doing (:mod:`identkit.bounded`).
    """
    started = time.monotonic()
    expert, gate = resolve_expert(expert, shape, dim), resolve_gate(gate, likelihood, variance)
    gate.needs_score("condition")
    expert = in_classes(expert, gate, classes)
    checked_likelihood(expert, gate)
    options = options_of(atoms, domain, expert.inputs, seed, max_precision, time_limit)
    if require is not None and require not in REQUIREMENTS:
        raise InputError(f"--require {require}: choose one of {', '.join(REQUIREMENTS)}.")
    plan = plan_of(gate, regime, condition, require)
    if not gate.has_theory and NONDEGENERATE in (require, condition):
        raise InputError(
            f"{NONDEGENERATE}: it is not known how to decide it for the gate {gate.name}; use "
            f"{known_gates(lambda g: g.has_theory)}, or ask for {gate.regimes[0].condition}."
        )
    questions = questions_of(gate, plan, level)
    half = None if shared is None else _shared_half(shared, expert, gate)
    seen = resolve_likelihood(gate.likelihood).seen(expert)
    own = _Check(seen, gate, questions, options, progress, half)
    results = own.results()
    other = None
    if half is not None:
        asked = require if require == NONDEGENERATE else None
        known = {"likelihood": gate.likelihood, **vars(options)}
        other = check(half, SHARED, **known, require=asked, progress=progress)
    return CheckResult(
        version=__version__,
        expert=expert,
        gate=gate.name,
        options=options,
        results=tuple(results),
        requirement=_requirement(require, results),
        seconds=time.monotonic() - started,
        likelihood=gate.likelihood,
        shared=other,
        gauges=tuple(g for g in own.gauges if isinstance(g, FoundGauge)),
        no_gauges=tuple(g for g in own.gauges if isinstance(g, NoGauge)),
    )


def _shared_half(shared: Expert | str, expert: Expert, gate: Gate) -> Expert:
    """The shared experts of an architecture. Raises InputError where there can be none."""
    if resolve_likelihood(gate.likelihood).through is Through.VALUE:
        raise InputError(
            "--shared: shared experts are those of a density; add --likelihood gaussian."
        )
    found = resolve_expert(shared, None, expert.dim)
    if found.inputs != expert.inputs:
        raise InputError(
            f"--shared: its inputs are {', '.join(found.inputs)}, those of the routed expert "
            f"{', '.join(expert.inputs)}; write both in the same."
        )
    one_output(found, gate)
    return found


def _cut_short(limit: OutOfTime) -> NoGauge:
    return NoGauge("further gauges", False, f"the search was cut short: {limit}")


class _Check:
    """One check in a child process: what it reaches comes back piece by piece.

    Where it is ended, the pieces that are missing are the records of what was cut short.
    """

    def __init__(
        self,
        expert: Expert,
        gate: Gate,
        questions: list[tuple[RegimeCode, Condition]],
        options: Options,
        progress: Callable[[str], None] | None,
        shared: Expert | None = None,
    ) -> None:
        self.expert, self.gate, self.questions = expert, gate, questions
        self.options, self.progress, self.shared = options, progress, shared
        self.deadline = Deadline(options.time_limit)
        self.decided: list[ConditionResult] = []
        self.gauges: list[FoundGauge | NoGauge] = []
        self.concluded: list[ConditionResult] | None = None
        self.conclusions = Conclusions(expert, gate, options, self.deadline)

    def results(self) -> list[ConditionResult]:
        """All results, complete as far as the limits allow."""
        try:
            return bounded(self._work, self.deadline, self._receive)
        except OutOfTime as limit:
            if self.concluded is not None:  # all but the gauges was reached
                self.gauges.append(_cut_short(limit))
                return self.concluded
            # to name the functions takes no weight, and a large one takes time
            bare = replace(self.gate, weight=lambda score: score)
            for regime, condition in self.questions[len(self.decided) :]:
                sets = condition.build(condition.atom(self.expert, bare))
                atoms = asked_with(condition, self.options).atoms
                proofs = tuple(undecided(s, atoms, (str(limit),), limit.cause) for s in sets)
                self.decided.append(self._result(regime, condition, proofs, ()))
            self.conclusions.cut_short(limit)
            self.gauges.append(_cut_short(limit))
            return conclude(self.expert, self.gate, self.decided, self.conclusions)

    def _work(self, send: Callable[[Any], None]) -> list[ConditionResult]:
        label = f"{self.expert.label}, {self.gate.name} gate"
        conclusions = replace(self.conclusions, found=lambda *piece: send(piece))
        decided = []
        try:
            for regime, condition in self.questions:
                send(("step", f"{label}: {condition.name}"))
                decided.append(self._decide(regime, condition))
                send(("decided", decided[-1]))
            send(("step", f"{label}: second order, rate, exact refits"))
            results = conclude(self.expert, self.gate, decided, conclusions)
            if not self.gate.has_theory:
                send(("known_as", self.gate.known_as))  # for the report, while there is time
            send(("concluded", results))
            send(("step", f"{label}: gauges"))
            setting = Setting(self.expert, self.gate, self.deadline, self.shared)
            lifts, _ = conclusions.curves
            for found in search(
                setting, results, lifts, lambda: conclusions.all_curves.gauges, self.options
            ):
                send(("gauge", found))
            return results
        except (OverflowError, RecursionError):
            raise InputError(
                f"expert: '{self.expert.text[:60]}' has constants too large to compute with; "
                "rescale it."
            ) from None

    def _receive(self, message: tuple[Any, ...]) -> None:
        kind, *values = message
        if kind == "decided":
            self.decided += values
        elif kind == "concluded":
            self.concluded = values[0]
        elif kind == "gauge":
            self.gauges += values
        elif kind == "known_as":
            vars(self.gate)[kind] = values[0]
        elif kind != "step":
            self.conclusions.take(kind, *values)
        elif self.progress is not None:
            self.progress(*values)

    def _decide(self, regime: RegimeCode, condition: Condition) -> ConditionResult:
        atom = condition.atom(self.expert, self.gate)
        proofs = prove_sets(condition, atom, self.options, self.deadline)
        equations: tuple[str, ...] = ()
        if any(p.depends_on_coordinates for p in proofs):
            coordinates = structural(atom)
            if coordinates is not None:
                moved = coordinates.apply(atom)
                proofs = prove_sets(condition, moved, self.options, self.deadline)
                equations = coordinates.equations(atom.parameters)
        return self._result(regime, condition, proofs, equations)

    def _result(
        self,
        regime: RegimeCode,
        condition: Condition,
        proofs: tuple[SetProof, ...],
        equations: tuple[str, ...],
    ) -> ConditionResult:
        claim = published_claim(self.expert, self.gate, regime, condition)
        return ConditionResult(
            regime=regime,
            condition=condition.name,
            level=condition.level,
            verdict=combined_verdict(proofs),
            proofs=proofs,
            coordinates=equations,
            published=claim,
        )


def conclude(
    expert: Expert, gate: Gate, results: list[ConditionResult], conclusions: Conclusions
) -> list[ConditionResult]:
    """The results with what follows from them: second order, rates, premise, exceptions."""
    completed = []
    for r in results:
        # rates are published for the regime, whatever condition was asked for
        regime = gate.regime(r.regime)
        name, level = (r.condition, None) if regime is None else regime.conditions[0]
        first = find_condition(name, level)
        claim = published_claim(expert, gate, r.regime, first)
        completed.append(conclusions.complete(r, claim, asked_in(regime, results)))
    return completed


def prove_sets(
    condition: Condition, atom: AtomFunction, options: Options, deadline: Deadline
) -> tuple[SetProof, ...]:
    """A proof for each set of the condition's functions, an open question where none is found."""
    sets = condition.build(atom)
    options = asked_with(condition, options)
    try:
        prover = Prover(atom, options, deadline)
    except OutOfTime as limit:
        return tuple(undecided(s, options.atoms, (str(limit),), limit.cause) for s in sets)
    return tuple(prover.prove(s) for s in sets)


def _requirement(name: str | None, results: list[ConditionResult]) -> Requirement | None:
    if name is None:
        return None
    if name == NONDEGENERATE:
        verdicts = [r.nondegenerate for r in results if r.nondegenerate is not None]
    else:
        verdicts = [r.verdict for r in results if r.condition == name]
    if not verdicts:
        raise InputError(f"--require {name}: the question does not arise here; drop it.")
    met = False if Verdict.NO in verdicts else None if Verdict.UNDECIDED in verdicts else True
    return Requirement(name, met)
