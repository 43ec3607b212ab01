"""The JSON Schemas that are shipped: complete, each definition written once, and not changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from identkit.report.json_form import schema

FOLDER = resources.files("identkit.report").joinpath("schemas")
FILES = {
    file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8"))
    for file in FOLDER.iterdir()
}
NAMES = sorted(set(FILES) - {"shared"})
RELEASED = {
    "certificate-3": "ca8be03f4e916b2b",
    "check-1": "c99dca0b6089b002",
    "claims-1": "ad71554705ab8e8d",
    "fit-1": "077729b7e489b761",
    "rates-1": "b0d9597ffc54ae8d",
}
"""Format -> begin of the SHA-256 of its schema with every reference replaced by what it names.

A format that files are written in does not change: what must change is a new one.
"""


def written_out(part: Any, definitions: dict[str, Any]) -> Any:
    """A part of a schema without references."""
    if isinstance(part, dict):
        plain = {
            key: written_out(value, definitions)
            for key, value in part.items()
            if key not in ("$ref", "$defs")
        }
        if "$ref" in part:
            named = definitions[part["$ref"].removeprefix("#/$defs/")]
            plain = {**written_out(named, definitions), **plain}
        return plain
    return [written_out(inner, definitions) for inner in part] if isinstance(part, list) else part


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from [part["$ref"]] if "$ref" in part else []
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_complete_in_itself(name):
    document = schema(name)
    Draft202012Validator.check_schema(document)
    named = set(references(document))
    assert named == {f"#/$defs/{key}" for key in document["$defs"]}


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_a_released_format_does_not_change(name):
    document = schema(name)
    text = json.dumps(written_out(document, document["$defs"]), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest().startswith(RELEASED[name])


def test_a_definition_is_written_once():
    """What two formats define alike is in ``shared.json``, and only what two formats use."""
    seen: dict[tuple[str, str], list[str]] = {}
    for file, document in FILES.items():
        for key, value in document["$defs"].items():
            seen.setdefault((key, json.dumps(value, sort_keys=True)), []).append(file)
    assert not {key[0]: files for key, files in seen.items() if len(files) > 1}
    for key in FILES["shared"]["$defs"]:
        users = [n for n in NAMES if key in schema(n)["$defs"] and key not in FILES[n]["$defs"]]
        assert len(users) > 1, key


def test_the_loader_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(
        "identkit.report.json_form._schema_file",
        lambda name: {"$defs": {}} if name == "shared" else {"$ref": "#/$defs/lost"},
    )
    with pytest.raises(KeyError, match="lost"):
        schema("no-such-format")
