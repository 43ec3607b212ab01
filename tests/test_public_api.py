"""The public names and their signatures, as committed: a change of them is seen in a diff.

If a change is meant: python tests/test_public_api.py
"""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

SNAPSHOT = Path(__file__).parent / "golden" / "public_api.txt"
MODULES = ("identkit", "identkit.fit", "identkit.losses", "identkit.rates", "identkit.testing")


def _members(name: str, value: object) -> Iterator[str]:
    """One line for a function; for a class its constructor and public members too."""
    if not callable(value):
        yield name
        return
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        yield from (f"{name}.{member}" for member in value.__members__)
        return
    try:
        yield f"{name}{inspect.signature(value)}"
    except (TypeError, ValueError):
        yield name
    if not inspect.isclass(value) or issubclass(value, Exception):
        return
    own = (c for c in value.__mro__ if c.__module__.startswith("identkit"))
    for key in sorted({key for c in own for key in vars(c) if not key.startswith("_")}):
        member = inspect.getattr_static(value, key)
        inner = getattr(member, "__func__", member)
        if inspect.isfunction(inner):
            yield f"  {name}.{key}{inspect.signature(inner)}"
        else:
            yield f"  {name}.{key}"


def lines() -> Iterator[str]:
    """All public names."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in sorted(module.__all__):
            if not name.startswith("__"):
                yield from _members(f"{module_name}.{name}", getattr(module, name))


def test_the_public_api_is_the_committed_one():
    assert list(lines()) == SNAPSHOT.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(lines()) + "\n", encoding="utf-8")
