"""``check`` with a memory: tests that only read a result share one computation of it.

The memory is a folder that lasts as long as a run of the suite, so the workers of pytest-xdist
share it too. Tests of limits, seeds, progress, processes and of the prover itself call
``identkit.check``: what they are about must happen.
"""

from __future__ import annotations

import inspect
import os
import pickle
import tempfile
import time
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import identkit
from identkit.experts import resolve as resolve_expert
from identkit.presented import CheckResult

FOLDER = "IDENTKIT_TEST_CHECKS"
"""Environment variable with the folder, set by ``conftest.py``: workers inherit it."""
PATIENCE = 120.0
"""Seconds to wait for another worker that is at the same check."""

_compute = identkit.check
_signature = inspect.signature(_compute)


def check(expert, gate, **options) -> CheckResult:
    """As :func:`identkit.check`; a call with the same arguments has been answered before."""
    bound = _signature.bind(expert, gate, **options)
    bound.apply_defaults()
    given = bound.arguments
    given.pop("progress")  # nobody looks
    if not isinstance(given["gate"], str) or FOLDER not in os.environ:
        return _compute(expert, gate, **options)
    given["expert"] = resolve_expert(expert, given.pop("shape"), given.pop("dim"))
    return pickle.loads(_remembered(repr(sorted(given.items()))) or _computed(given))


def share() -> None:
    """Let everything in this process that asks for a check ask here."""
    import identkit.checking
    import identkit.stated
    import identkit.table

    identkit.check = identkit.checking.check = identkit.table.check = check
    identkit.stated.check = check


def verdicts(expert, **options) -> tuple[str, str, str]:
    """Under the sigmoid gate: strong at expert and at product level, weak. By two checks."""
    strong, weak = check(expert, "sigmoid", **options).results
    (product,) = check(expert, "sigmoid", condition="strong", level="product", **options).results
    assert (strong.condition, strong.level, weak.condition) == ("strong", "expert", "weak")
    return strong.verdict, product.verdict, weak.verdict


def _place(question: str) -> Path:
    return Path(os.environ[FOLDER], sha256(question.encode()).hexdigest())


@cache
def _read(place: Path) -> bytes:
    return place.read_bytes()


def _remembered(question: str) -> bytes | None:
    """The answer, waiting while another worker computes it."""
    place = _place(question)
    began = time.monotonic()
    while True:
        with suppress(FileNotFoundError):
            return _read(place)
        with suppress(FileExistsError):
            place.with_suffix(".lock").touch(exist_ok=False)
            return None
        if time.monotonic() - began > PATIENCE:
            return None
        time.sleep(0.02)


def _computed(given: dict) -> bytes:
    place = _place(repr(sorted(given.items())))
    lock = place.with_suffix(".lock")
    try:
        result = _compute(**given)
        answer = pickle.dumps(result)
        # what a limit cut short on a busy machine may be reached the next time
        if result.seconds < given["time_limit"] / 2:
            with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
                file.write(answer)
            os.replace(file.name, place)
        return answer
    finally:
        lock.unlink(missing_ok=True)
