"""Objects that are known by name: how one is entered, and found in other people's packages."""

from __future__ import annotations

import re
from collections.abc import Container, MutableMapping
from importlib.metadata import entry_points
from typing import Protocol, TypeVar

from identkit.errors import InputError


class Named(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)

NAME = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]")
"""A name that can be an option."""


def enter(registry: MutableMapping[str, N], made: N, kind: type[N]) -> N:
    """Make an object known by its name.

    Raises InputError for what is not of this ``kind``, and for a name that could not be an option
    or is taken.
    """
    what = kind.__name__.lower()
    if not isinstance(made, kind):
        raise InputError(
            f"{what}: {made!r} is no {kind.__name__}; make one with {kind.__name__}(...)."
        )
    if not NAME.fullmatch(made.name):
        raise InputError(
            f"{what}: '{made.name}' cannot be registered; name it in small letters, digits and -."
        )
    if registry.get(made.name, made) is not made:
        raise InputError(f"{what}: {made.name} is registered already; choose another name.")
    registry[made.name] = made
    return made


def folded(name: str, known: Container[str]) -> str:
    """The known name that this one is but for the case of its letters, else the name as it is.

    Registered names are in small letters.

    >>> folded("GELU", {"gelu"}), folded("S", {"gelu"})
    ('gelu', 'S')
    """
    small = name.strip().lower()
    return small if small in known else name


def plugged_in(group: str, name: str, kind: type[N]) -> N | None:
    """What an installed package names so in this entry-point group. Raises InputError."""
    for entry in entry_points(group=group, name=name):
        found = entry.load()
        if isinstance(found, kind) and found.name == name:
            return found
        what = kind.__name__.lower()
        raise InputError(
            f"{what}: {entry.value}, the entry point for {name}, is no {what} of that name; mend "
            "the package that has it."
        )
    return None
