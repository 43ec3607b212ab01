"""The questions a check can be asked: options, and which conditions of which regimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product

from identkit.atoms import gated_function
from identkit.conditions import CONDITIONS, Condition
from identkit.conditions import condition as find_condition
from identkit.domain import Domain, DomainLike
from identkit.errors import InputError
from identkit.experts import Expert
from identkit.gates import Gate, Regime, RegimeCode, known_gates
from identkit.likelihoods import LEAST_SQUARES, resolve
from identkit.results import ConditionResult, Options
from identkit.vocabulary import Through

MAX_ATOMS = 50
MAX_PRECISION = 65_536
NONDEGENERATE = "nondegenerate"
"""Not a condition of its own: what follows from those of each regime, at second order."""
REQUIREMENTS = ("strong", "weak", NONDEGENERATE)


def check_time_limit(seconds: float) -> None:
    """Raise InputError unless this is more than 0 seconds and at most a day."""
    if not 0 < seconds <= 86_400:
        raise InputError(f"--time-limit {seconds:g}: give between 0 and 86400 seconds.")


def options_of(
    atoms: int,
    domain: DomainLike,
    inputs: Sequence[str],
    seed: int,
    max_precision: int,
    time_limit: float = Options.time_limit,
) -> Options:
    """The options, each within its range. Raises InputError."""
    if not 1 <= atoms <= MAX_ATOMS:
        raise InputError(f"--atoms {atoms}: the number of atoms must be between 1 and {MAX_ATOMS}.")
    if not 64 <= max_precision <= MAX_PRECISION:
        raise InputError(
            f"--max-precision {max_precision}: give between 64 and {MAX_PRECISION} bits."
        )
    check_time_limit(time_limit)
    if not 0 <= seed < 2**63:
        raise InputError(f"--seed {seed}: give a whole number from 0 to 2**63 - 1.")
    return Options(atoms, Domain.of(domain, inputs), seed, max_precision, time_limit)


def one_output(expert: Expert, gate: Gate) -> None:
    """Raise InputError for an expert of several outputs where a density is estimated."""
    if expert.markers and resolve(gate.likelihood).through is not Through.VALUE:
        raise InputError(
            f"likelihood {resolve(gate.likelihood).family}: for an expert of one output, not of "
            f"{len(expert.markers)}; give one component, or use {LEAST_SQUARES}."
        )


def checked_likelihood(expert: Expert, gate: Gate) -> None:
    """Raise InputError for an expert or a gate that the gate's likelihood does not speak of."""
    one_output(expert, gate)
    likelihood = resolve(gate.likelihood)
    outputs = len(likelihood.seen(expert).markers)
    if gate.router is not None and outputs:
        raise InputError(
            f"gate {gate.name}: what its score asks of an expert is known for one output (or two "
            f"classes), not for {outputs}; give one component, or use softmax."
        )
    if likelihood.divided and not gate.adds_up:
        raise InputError(
            f"likelihood {likelihood.family}: the {gate.name} gate does not divide by the sum of "
            "the weights, so that they give no probabilities; use "
            f"{known_gates(lambda g: g.adds_up)}."
        )


def in_classes(expert: Expert, gate: Gate, classes: int | None) -> Expert:
    """The expert for responses in so many classes. Raises InputError where there are none."""
    if classes is None:
        return expert
    likelihood = resolve(gate.likelihood)
    if likelihood.with_classes is None:
        raise InputError(
            f"--classes {classes}: a response is a number under {likelihood.family}; drop it, or "
            "use --likelihood categorical."
        )
    return likelihood.with_classes(expert, classes)


def plan_of(
    gate: Gate, which: RegimeCode, condition: str | None, require: str | None
) -> list[tuple[RegimeCode, str]]:
    """Which (regime, condition) pairs to decide."""
    chosen = gate.regimes if which is None else (gate.chosen(which, "--regime"),)
    regime = None if which is None else chosen[0].code
    if condition == NONDEGENERATE:
        condition = None
    if (
        condition is not None
        and find_condition(condition).level == "router"
        and gate.router is None
    ):
        use = known_gates(lambda g: g.router is not None)
        raise InputError(
            f"--condition {condition}: it is about a score with parameters of its own, which the "
            f"{gate.name} gate has none of; drop it, or use {use}."
        )
    plan = [(r.code, name) for r in chosen for name, _ in r.conditions]
    if condition is not None:
        matching = [pair for pair in plan if pair[1] == condition]
        plan = matching or [(regime, condition)]
    if require not in (None, NONDEGENERATE) and all(name != require for _, name in plan):
        if condition is not None:
            raise InputError(
                f"--require {require}: --condition {condition} leaves it unchecked; drop one."
            )
        plan.append((regime, require))
    return plan


def questions_of(
    gate: Gate, plan: Sequence[tuple[RegimeCode, str]], level: str | None
) -> list[tuple[RegimeCode, Condition]]:
    """The conditions at ``level``, or else at that of the regime. Raises InputError."""
    questions = []
    for code, name in plan:
        regime = gate.regime(code)
        own = dict(() if regime is None else regime.conditions).get(name)
        found = find_condition(name, level or own)
        if found.atom is gated_function:
            what = f"{name} at product level"
            if gate.router is None and not gate.fixed:
                gate.needs_affine(what)
        if found.atom is gated_function and gate.divides and gate.pinning is None:
            raise InputError(
                f"{name}: it is about F = weight·h, and the {gate.name} gate divides by the sum of "
                "all weights; use --level expert, or strong."
            )
        questions.append((code, found))
    return questions


def plans(gate: Gate) -> set[tuple[tuple[RegimeCode, str], ...]]:
    """Every list of (regime, condition) that some check of this gate decides."""
    found = set()
    regimes = (None, *(r.code for r in gate.regimes))
    names = (None, *(c.name for c in CONDITIONS))
    for regime, name, require in product(regimes, names, (None, *REQUIREMENTS)):
        with suppress(InputError):
            found.add(tuple(plan_of(gate, regime, name, require)))
    return found


def of_another_model(regime: Regime | None, condition: str) -> bool:
    """Whether a condition is about shared experts, of which this regime's gate weighs none."""
    own = () if regime is None else tuple(name for name, _ in regime.conditions)
    return condition == "shared-strong" and condition not in own


def asked_with(condition: Condition, options: Options) -> Options:
    """The options with the number of atoms that the condition is about."""
    return replace(options, atoms=1) if condition.single else options


def asked_in(
    regime: Regime | None, results: Sequence[ConditionResult]
) -> dict[str, ConditionResult]:
    """The results on the regime's own conditions, by name."""
    if regime is None:
        return {}
    own = {(c.name, c.level) for c in (find_condition(*pair) for pair in regime.conditions)}
    mine = (r for r in results if r.regime == regime.code)
    return {r.condition: r for r in mine if (r.condition, r.level) in own}


def is_first_order(
    regime: Regime | None, result: ConditionResult, asked: Mapping[str, ConditionResult]
) -> bool:
    """Whether the regime's expansion stops at first order and this is the condition it asks for."""
    return regime is not None and regime.order == 1 and asked.get(regime.condition) is result
