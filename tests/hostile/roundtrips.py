"""Certificates of generated experts, read back: what ``check`` saves, ``verify`` accepts.

The verifier comes to each function by another route than the prover, so roots, kernels and signs
meet it in another order; nothing that a file says may depend on that.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hostile.expressions import composed, hidden, piecewise, vector
from identkit import Expert, check
from identkit.certificates.store import certificate_document
from identkit.certificates.verify import verify
from identkit.errors import IdentkitError, OutOfTime

TIME_LIMIT = 3.0
_ROOTED = (
    "{}*x + b", "b*sin({}*x + c)", "exp(a*x + {})", "tanh(x*{} + b)", "sqrt({}*x + b)",
    "{0}*gelu(a*x) + {0}", "c*tanh({}*x)", "x**2*{} + a*x", "gelu(x)*{} + b",
)  # fmt: skip
_CONSTANT_IN_X = (
    "sqrt(a)", "sqrt(2)*a", "tan(a)", "gelu(c)", "erf(a)", "softplus(erf(c))", "(c - a)/gelu(c)",
    "sqrt(1 + a**2)", "1/(1 + sqrt(c))", "a**(1/3)", "log(1 + sqrt(a))", "sinh(a)/erf(c)",
    "atan(a*c)", "sqrt(a + sqrt(c))", "sqrt(pi)*a", "1/(sqrt(2) + sqrt(a))", "sigmoid(a - c)",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An expert and the gate it is checked under."""

    expression: str
    gate: str


def cases(count: int, seed: int) -> Iterator[Case]:
    """Experts with constants of every kind, and the expressions that fuzzing composes."""
    rng = random.Random(seed)
    for _ in range(count):
        kind = rng.choice((composed, hidden, piecewise, vector, vector, _rooted, _rooted, _rooted))
        yield Case(kind(rng), rng.choice(("sigmoid", "softmax")))


def attempt(case: Case, folder: Path) -> str:
    """Check, write, read and verify."""
    try:
        expert = Expert.from_expression(case.expression)
        result = check(expert, case.gate, time_limit=TIME_LIMIT)
        document = certificate_document(result)
    except IdentkitError:
        return "refused"
    try:
        verified = verify(json.loads(json.dumps(document)))
    except OutOfTime:
        return "not verified in time"
    except IdentkitError as error:
        raise AssertionError(f"{case}: {error}") from None
    assert [r.verdict for r in verified.results] == [r.verdict for r in result.results], case
    rates = [None if r.rate is None else r.rate.derived for r in verified.results]
    assert rates == [None if r.rate is None else r.rate.derived for r in result.results], case
    prover = any(who == "prover" for by in verified.by for who in by.values())
    return "verified, in part by the prover" if prover else "verified by the kernel"


def _rooted(rng: random.Random) -> str:
    first, second = rng.choice(_CONSTANT_IN_X), rng.choice(_CONSTANT_IN_X)
    factor = rng.choice(
        (f"({first})", f"({first})", f"({first} + {second})", f"({first}*{second})")
    )
    return rng.choice(_ROOTED).format(factor)
