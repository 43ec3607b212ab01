"""JSON as identkit writes it, the schemas of the package, and the options that formats hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from identkit.results import CheckResult


def dumps(document: Any) -> str:
    """JSON text with sorted keys; Greek letters stay readable."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1)


@cache
def schema(name: str) -> dict:
    """A JSON Schema shipped in the package, complete in itself: ``check-1``, ``certificate-3``.

    Files hold the definitions that are a format's own; those it refers to besides are added from
    ``shared.json``, which several formats share.
    """
    document, shared = _schema_file(name), _schema_file("shared")["$defs"]
    own = document.setdefault("$defs", {})
    waiting = list(_references(document))
    while waiting:
        wanted = waiting.pop()
        if wanted not in own:
            own[wanted] = shared[wanted]
            waiting += _references(shared[wanted])
    return document


def _schema_file(name: str) -> dict:
    text = resources.files("identkit.report").joinpath("schemas", f"{name}.json").read_text("utf-8")
    return json.loads(text)


def _references(part: Any) -> Iterator[str]:
    """The definitions that a part of a schema refers to."""
    if isinstance(part, dict):
        target = part.get("$ref")
        if isinstance(target, str):
            yield target.removeprefix("#/$defs/")
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def options_document(result: CheckResult) -> dict[str, Any]:
    """Options other than the seed, exact values as text."""
    o = result.options
    return {
        "atoms": o.atoms,
        "domain": o.domain.document(),
        "max_precision": o.max_precision,
        "time_limit": o.time_limit,
    }
