"""Numbers by the names of parameters: ``--box``, ``--fix`` and ``--start``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.fit.result import Box


def read_starts(entries: list[str]) -> dict[str, list[float]]:
    """The values of ``NAME=V`` and ``NAME=V,W,…`` entries. Raises InputError.

    >>> read_starts(["m=200", "a=1,2"])
    {'m': [200.0], 'a': [1.0, 2.0]}
    """
    found: dict[str, list[float]] = {}
    for entry in entries:
        name, equals, value = (part.strip() for part in entry.partition("="))
        values = [_number(part) for part in value.split(",")]
        if not equals or any(v is None or not math.isfinite(v) for v in values):
            raise InputError(
                f"--start '{entry}': write NAME=VALUE, or a value for each atom, NAME=1,2."
            )
        if name in found:
            raise InputError(f"--start '{entry}': '{name}' has a value already; give it once.")
        found[name] = [v for v in values if v is not None]
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _check_name(option: str, entry: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InputError(
            f"--{option} '{entry}': there is no '{name}'; the parameters are "
            f"{', '.join(dict.fromkeys(known))}."
        )


def parse_box(
    entries: list[str],
    parameters: tuple[str, ...],
    gate: tuple[str, ...] = ("beta0", "beta1"),
    fixed: Sequence[str] = (),
) -> Box:
    """The box of ``NAME=LO:HI`` and ``NAME=B`` entries; the default for what is not named.

    ``gate`` are the names of the gate's blocks, ``fixed`` entries ``NAME=V`` of what is held.

    >>> parse_box(["beta0=-1.5:4", "a=0:inf"], ("a", "b")).to_dict()["eta"]
    [[0.0, None], [-10.0, 10.0]]
    """
    from identkit.fit.result import Box

    given: dict[str, tuple[float, float]] = {}
    known = (*gate, "eta", *parameters)
    for entry in entries:
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not equals or not value:
            raise InputError(f"--box '{entry}': write NAME=LO:HI, or NAME=B for ±B.")
        _check_name("box", entry, name, known)
        if name in given:
            raise InputError(f"--box '{entry}': '{name}' has bounds already; give them once.")
        ends = value.split(":")
        try:
            numbers = [float(end) for end in ends]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2) or any(math.isnan(v) for v in numbers):
            raise InputError(f"--box '{entry}': '{value}' is not LO:HI or B, two numbers or one.")
        if len(numbers) == 1 and numbers[0] <= 0:
            raise InputError(f"--box '{entry}': B stands for ±B and must be above 0.")
        low, high = (-numbers[0], numbers[0]) if len(numbers) == 1 else numbers
        if not low < high:
            raise InputError(f"--box '{entry}': {low:g} is not below {high:g}; swap or widen.")
        given[name] = (low, high)
    for entry in fixed:
        name, equals, text = (part.strip() for part in entry.partition("="))
        value = _number(text)
        if not equals or value is None or not math.isfinite(value):
            raise InputError(f"--fix '{entry}': write NAME=VALUE.")
        _check_name("fix", entry, name, known)
        if name in given:
            raise InputError(f"--fix '{entry}': '{name}' has bounds already; give one of them.")
        given[name] = (value, value)
    every = given.get("eta")
    # input-free's only parameter is itself called eta; the gate's names win
    eta = [given.get(p, every) if p not in gate else every for p in parameters]
    return Box.of(
        {
            **{name: given[name] for name in gate if name in given},
            "eta": every if set(eta) == {every} else tuple(eta),
        }
    )
