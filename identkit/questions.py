"""The questions a check can be asked: options, and which conditions of which regimes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import product

from identkit.conditions import CONDITIONS
from identkit.conditions import condition as find_condition
from identkit.domain import Domain, DomainLike
from identkit.errors import InputError
from identkit.gates import Gate
from identkit.results import Options

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


def plan_of(
    gate: Gate, regime: int | None, condition: str | None, require: str | None
) -> list[tuple[int | None, str]]:
    """Which (regime, condition) pairs to decide."""
    if regime is not None and gate.regime(regime) is None:
        numbers = [str(r.number) for r in gate.regimes if r.number is not None]
        remedy = f"choose {' or '.join(numbers)}" if numbers else "drop --regime"
        raise InputError(f"--regime {regime}: the {gate.name} gate has no such regime; {remedy}.")
    if condition == NONDEGENERATE:
        condition = None
    if condition is not None:
        find_condition(condition)
    chosen = [r for r in gate.regimes if regime is None or r.number == regime]
    plan = [(r.number, r.condition) for r in chosen]
    if condition is not None:
        matching = [pair for pair in plan if pair[1] == condition]
        plan = matching or [(regime, condition)]
    if require not in (None, NONDEGENERATE) and all(name != require for _, name in plan):
        if condition is not None:
            raise InputError(
                f"--require {require}: --condition {condition} leaves it unchecked; drop one."
            )
        plan.append((regime, require))
    if gate.normalised and any(name == "weak" for _, name in plan) and not gate.shifts:
        raise InputError(
            "weak: it is about F = weight·h, and a normalised gate divides by the sum of all "
            "weights; write the gate without 'normalised', or use strong."
        )
    return plan


def plans(gate: Gate) -> set[tuple[tuple[int | None, str], ...]]:
    """Every list of (regime, condition) that some check of this gate decides."""
    found = set()
    regimes = (None, *(r.number for r in gate.regimes))
    names = (None, *(c.name for c in CONDITIONS))
    for regime, name, require in product(regimes, names, (None, *REQUIREMENTS)):
        with suppress(InputError):
            found.add(tuple(plan_of(gate, regime, name, require)))
    return found
