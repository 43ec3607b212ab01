"""Numbers that may be missing, and when two results that hold some are equal."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class Missing:
    """Base of dataclasses (``eq=False``) whose numbers are NaN where there is none.

    NaN equals NaN here: a result computed or read twice is equal to itself. Fields compare so up to
    Python 3.12 if both are one object, and never from 3.13 on.
    """

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))


def _values(result: Any) -> tuple[Any, ...]:
    return tuple(_plain(getattr(result, f.name)) for f in fields(result))


def _plain(value: Any) -> Any:
    """None for NaN, in tuples and dicts too."""
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value
