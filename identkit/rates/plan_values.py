"""The keys of a sweep file, each with what reads its value or says what to write."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from identkit.errors import InputError, unknown_name
from identkit.experts import MAX_DIM, Expert, builtin
from identkit.fit.result import Box
from identkit.gates import Gate, RegimeCode, resolve
from identkit.rates.setting import (
    MOST_REPLICATES,
    MOST_SAMPLES,
    MOST_SIZES,
)
from identkit.simulation import STARTS

SEARCH = "search"


def read_values(where: str, table: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """The values of a table, read."""
    values = {}
    for key, value in table.items():
        if key not in known:
            raise InputError(f"{where}: {unknown_name('key', key, known)}")
        try:
            values[key] = KEYS[key](value)
        except InputError as error:
            raise InputError(f"{where}: {key}: {plain_error(error)}") from None
    return values


def plain_error(error: InputError) -> str:
    """The text of an error, with keys for the command line's options."""
    return re.sub(r"--(dim|params|shape)\b", r"\1", str(error))


def brief(value: Any) -> str:
    """The value as JSON, cut after 40 characters."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise InputError(f"{brief(value)} must be a whole number from {least:,} to {most:,}.")
        return value

    return read


def _real(least: float = -math.inf, *, above: bool = False) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if type(value) not in (int, float) or not abs(value) < 1e300:
            raise InputError(f"{brief(value)} must be a number.")
        if value < least or (above and value == least):
            raise InputError(
                f"{brief(value)} must be {'above' if above else 'at least'} {least:g}."
            )
        return float(value)

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f'{brief(value)} must be a text in quotes, as in "gelu".')
    return value.strip()


def _list(read: Callable[[Any], Any], what: str) -> Callable[[Any], tuple]:
    def read_all(value: Any) -> tuple:
        if not isinstance(value, list) or not value:
            raise InputError(f"{brief(value)} must be a list of {what} in brackets.")
        return tuple(read(v) for v in value)

    return read_all


def _rising(read: Callable[[Any], int], what: str, least: int) -> Callable[[Any], tuple[int, ...]]:
    entries = _list(read, what)

    def read_all(value: Any) -> tuple[int, ...]:
        numbers = entries(value)
        if len(numbers) < least or any(a >= b for a, b in pairwise(numbers)):
            raise InputError(f"{brief(value)} must be {least} or more {what} in increasing order.")
        return numbers

    return read_all


def _table(value: Any, keys: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """The values of an inline table."""
    for key in value:
        if key not in keys:
            raise unknown_name("key", key, keys)
    values = {}
    for key, entry in value.items():
        try:
            values[key] = keys[key](entry)
        except InputError as error:
            raise InputError(f"{key}: {error}") from None
    return values


_SIZE = _whole(1, MOST_SAMPLES)
_SIZES = _rising(_SIZE, "sample sizes", 3)


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, dict):
        return _SIZES(value)
    ends = _table(value, {"from": _SIZE, "to": _SIZE, "count": _whole(3, MOST_SIZES)})
    for key in ("from", "to", "count"):
        if key not in ends:
            raise InputError(f"{key} is missing; write {{from = 1000, to = 100000, count = 5}}.")
    first, last, count = ends["from"], ends["to"], ends["count"]
    if not first < last:
        raise InputError(f"from = {first} is not below to = {last}; exchange them.")
    sizes = [round(first * (last / first) ** (i / (count - 1))) for i in range(count)]
    if any(a >= b for a, b in pairwise(sizes)):
        raise InputError(f"{count} sizes do not fit between {first} and {last}; use fewer.")
    return tuple(sizes)


def _expert(value: Any) -> Callable[[int | None], Expert]:
    """An expert once the number of inputs is known."""
    if isinstance(value, str):
        return lambda dim: builtin(value, None, 1 if dim is None else dim)
    if not isinstance(value, dict):
        raise InputError(
            f'{brief(value)} must be a name or a table, as in "gelu" or {{expr = "c*tanh(a*x)"}}.'
        )
    values = _table(
        value, {"name": _text, "shape": _text, "expr": _text, "params": _list(_text, "names")}
    )
    if ("name" in values) == ("expr" in values):
        raise InputError(f"{brief(value)} must have either name or expr.")
    for key, owner in (("shape", "name"), ("params", "expr")):
        if key in values and owner not in values:
            raise InputError(f"{brief(value)}: {key} belongs to {owner}; leave it out.")
    if "name" in values:
        return lambda dim: builtin(values["name"], values.get("shape"), 1 if dim is None else dim)
    return lambda dim: Expert.from_expression(
        values["expr"], dim=dim, parameters=values.get("params")
    )


def _gate(value: Any) -> Gate:
    return resolve(_text(value))


def _start(value: Any) -> str:
    name = _text(value)
    if name not in STARTS:
        raise unknown_name("start", name, STARTS)
    return name


def _bounds(value: Any) -> tuple[float, float]:
    """One form for all ways to write it: the setting's key must not depend on them."""
    number = _real()
    if isinstance(value, list):
        if len(value) != 2:
            raise InputError(f"{brief(value)} must be two numbers [low, high], or b for ±b.")
        low, high = map(number, value)
    else:
        high = _real(0.0, above=True)(value)
        low = -high
    if not low < high:
        raise InputError(f"low {low:g} is not below high {high:g}; exchange them or widen.")
    return low, high


def _box(value: Any) -> Box:
    if not isinstance(value, dict):
        raise InputError(
            f"{brief(value)} must be a table, as in {{beta0 = [-1.5, 4], beta1 = 10, eta = 10}}."
        )

    def bounds(entry: Any) -> Any:
        several = isinstance(entry, list) and any(isinstance(e, list) for e in entry)
        return tuple(map(_bounds, entry)) if several else _bounds(entry)

    values = _table(value, dict.fromkeys(value, bounds))
    whole = {name: _bounds(10) for name in ("beta1", "beta0", "eta")}
    return Box.of({**whole, **values})


def _truth(value: Any) -> str | dict[str, Any]:
    """A path, or the blocks of a measure by name, which a gate says what they are to be."""
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, dict):
        raise InputError(
            f'{brief(value)} must be "search", the path of a truth file, or a table with beta0, '
            "beta1 and eta, or the other blocks of the gate."
        )
    real = _real()

    def numbers(entry: Any) -> Any:
        if not isinstance(entry, list):
            return real(entry)
        return [list(map(real, e)) if isinstance(e, list) else real(e) for e in entry]

    keys = {"groups": _list(_whole(1, 100), "sizes")}
    return _table(value, {name: keys.get(name, numbers) for name in value})


def _fitted(value: Any) -> dict[str, int]:
    if not isinstance(value, dict):
        raise InputError(f"{brief(value)} must be a table, as in {{shared = 2, routed = 3}}.")
    return _table(value, dict.fromkeys(("shared", "routed"), _whole(1, 100)))


def _domain(value: Any) -> tuple[float, float]:
    if not isinstance(value, list):
        raise InputError(f"{brief(value)} must be two numbers [low, high].")
    return _bounds(value)


def _regime(value: Any) -> RegimeCode:
    if isinstance(value, str):
        return value
    return _whole(1, 99)(value)


def _flat(value: Any) -> float:
    number = _real(0.0)(value)
    if number >= 1:
        raise InputError(f"{number:g} must be below 1.")
    return number


KEYS: dict[str, Callable[[Any], Any]] = {
    "seed": _whole(0, 2**63 - 1),
    "sizes": _sizes,
    "replicates": _whole(2, MOST_REPLICATES),
    "control": _whole(0, MOST_REPLICATES),
    "budgets": _rising(_whole(1, 10**9), "step limits", 1),
    "label": _text,
    "truths": _text,
    "only": _list(_text, "names of truths"),
    "fitted": _fitted,
    "experts": _list(_expert, "experts"),
    "gates": _list(_gate, "gates"),
    "regimes": _list(_regime, "regimes"),
    "dim": _whole(1, MAX_DIM),
    "starts": _list(_start, "kinds of start"),
    "k": _whole(1, 100),
    "noise": _real(0.0, above=True),
    "box": _box,
    "truth": _truth,
    "over": _whole(0, 99),
    "flat": _flat,
    "scale": _real(0.0),
    "spread": _real(0.0),
    "trials": _whole(1, 1000),
    "domain": _domain,
}
"""Key -> what its value is read with; raises InputError without the place."""
