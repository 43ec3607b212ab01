"""The JSON Schemas that are shipped: complete, each definition written once, and not changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from identkit.choice import CRITERIA
from identkit.density.result import Status as DensityStatus
from identkit.fit.result import Status
from identkit.layers.families import AFTER, BEFORE
from identkit.layers.record import Divided, Form, Scores
from identkit.layout import STANDARD
from identkit.mixing import SCHEMA as MIXING
from identkit.rates.density_setting import LOSSES
from identkit.report.density_report import STATES
from identkit.report.json_text import schema
from identkit.vocabulary import (
    Across,
    Agreement,
    AtomsScope,
    Cause,
    ClaimStatus,
    ExceptionalKind,
    FamilyKind,
    GaugeKind,
    Half,
    Judgement,
    LibraryState,
    OrderStatus,
    PremiseVerdict,
    ProofKind,
    Quantifier,
    RateCause,
    RefitKind,
    Variance,
    Verdict,
)

FOLDER = resources.files("identkit.report").joinpath("schemas")
FILES = {
    file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8"))
    for file in FOLDER.iterdir()
}
NAMES = sorted(set(FILES) - {"shared"})
RELEASED = {
    "certificate-3": "5e61e8cc3edf99c2",
    "check-1": "1f281f2fe74f4319",
    "claims-1": "ad71554705ab8e8d",
    "fit-1": "111b4698fa8f966a",
    "rates-1": "744e83d3e1522184",
}
"""Format -> begin of the SHA-256 of its schema with every reference replaced by what it names.

A format that files are written in does not change: what must change is a new one.
"""

LIMITS = {Cause.TIME_LIMIT, Cause.MEMORY_LIMIT, Cause.BROKE_OFF, Cause.SIZE_LIMIT}
OF_CONDITIONS = set(Agreement) - {Agreement.OPEN, Agreement.PREMISE_FAILS}
WITHOUT_RELATION = {"symmetry of one weighted atom", "not-searched"}
WORDS = {
    "verdict": set(Verdict),
    "nondegenerate": set(Verdict),
    "quantifier": set(Quantifier),
    "atoms_scope": set(AtomsScope),
    "part/kind": set(ProofKind),
    "certificate/kind": set(ProofKind),
    "family/kind": set(FamilyKind),
    "refit/kind": set(RefitKind),
    "gauge/kind": set(GaugeKind),
    "half": set(Half),
    "exceptional/kind": set(get_args(ExceptionalKind)) - WITHOUT_RELATION,
    "across_atoms": set(Across),
    "premise": set(PremiseVerdict),
    "result/agreement": OF_CONDITIONS,
    "row/agreement": OF_CONDITIONS,
    "rate/agreement": set(Agreement),
    "observed/agreement": set(Agreement) - {Agreement.UNCLAIMED, Agreement.PREMISE_FAILS},
    "part/cause": set(Cause) - {Cause.NO_EXPANSION},
    "second_order/cause": {*LIMITS, Cause.NO_EXPANSION},
    "rate/cause": {*RateCause, *LIMITS, Cause.NO_EXPANSION},
    "elsewhere": {*LIMITS, "refits"},
    "premise/cause": LIMITS,
    "likelihood/variance": set(Variance),
    "judgement": set(Judgement),
    "library/state": set(LibraryState),
    "claims-1: status": set(ClaimStatus),
    "observed/status": set(ClaimStatus),
    "order_status": set(OrderStatus),
    "router/scores": set(Scores),
    "router/divided": set(Divided),
    "router/first": {BEFORE, AFTER},
    "expert/form": set(Form),
    "status": {s.value for s in Status},
    "density_status": {s.value for s in DensityStatus},
    "estimate/state": {"", *STATES},
    "gauges/half": set(Half),
    "criterion": set(CRITERIA),
    "setting/loss": set(LOSSES),
    "other/kind": set(GaugeKind),
}
"""End of a place in a schema, the longest that fits -> the words that stand there."""
RELEASED_OTHERWISE = {
    # that a premise holds is never proved
    "shared: premise/verdict": {*PremiseVerdict, "holds"},
    "rates-1: certified/premise": {*PremiseVerdict, "holds"},
    # what a certificate leaves out, since nothing in it is of that kind or shows it
    "certificate-3: second_order/across_atoms": {Across.INDEPENDENT, Across.OPEN},
    "certificate-3: result/rate/cause": {*RateCause, Cause.NO_EXPANSION},
    # a published verdict of an experiment is one
    "rates-1: published/verdict": {Verdict.YES, Verdict.NO},
}
OTHER = ("regime", "level", "shape", "side", "within", "kernel", "start", "condition")
OTHER_PLACES = ("rates-1: quantity", "rates-1: certified/derived")
"""Lists that are no vocabulary of records."""


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


def listed(part: Any, place: str) -> Iterator[tuple[str, set[str]]]:
    """(definition and properties, the words) of each list of words, None apart."""
    if isinstance(part, list):
        for inner in part:
            yield from listed(inner, place)
    elif isinstance(part, dict):
        if "enum" in part:
            yield place, {word for word in part["enum"] if word is not None}
        for key, inner in part.items():
            step = key not in ("$defs", "properties", "items", "anyOf", "additionalProperties")
            yield from listed(inner, f"{place}/{key}" if step and place else key if step else place)


LISTS = [
    (f"{file}: {place}", words)
    for file, document in sorted(FILES.items())
    for place, words in listed(document, "")
]


@pytest.mark.parametrize(("place", "words"), LISTS, ids=[place for place, _ in LISTS])
def test_the_words_of_a_schema_are_those_of_the_records(place, words):
    if place.endswith(OTHER) or place in OTHER_PLACES:
        return
    fitting = [end for end in WORDS if place.endswith(end)]
    expected = RELEASED_OTHERWISE.get(place) or WORDS[max(fitting, key=len)]
    assert words == {str(word) for word in expected}


def test_every_exception_is_somewhere():
    places = {place for place, _ in LISTS}
    assert places >= {*RELEASED_OTHERWISE, *OTHER_PLACES}
    assert all(any(p.endswith(end) for p in places) for end in (*WORDS, *OTHER))


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


def objects(part: Any) -> Iterator[dict[str, Any]]:
    """Every object with properties in a schema."""
    if isinstance(part, dict):
        yield from [part["properties"]] if isinstance(part.get("properties"), dict) else []
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from objects(inner)


def depth(part: dict[str, Any]) -> int:
    """How often a list stands in a list, a number being none."""
    return 1 + depth(part["items"]) if part["type"] == "array" else 0


@pytest.mark.parametrize("name", ["fit-1", "rates-1"])
def test_measures_and_boxes_have_the_blocks_of_the_standard_layout(name):
    """These formats hold standard measures only, so that their names follow from the layout."""
    names = {b.name for b in STANDARD}
    document = FILES[name]
    measure = document["$defs"]["measure"]
    if "$ref" in measure:  # one of the measures of several formats
        measure = schema(name)["$defs"][measure["$ref"].removeprefix("#/$defs/")]
        document = {"own": document, "measure": measure}
    assert measure["properties"]["schema"] == {"const": MIXING}
    assert set(measure["properties"]) == set(measure["required"]) == {"schema", *names}
    for block in STANDARD:
        part = measure["properties"][block.name]
        assert depth(part) == block.rank
        shape = block.shape.partition(" or ")[0]
        assert shape in part.get("description", shape)
    others = [found for found in objects(document) if names & set(found)]
    assert [set(found) - {"schema"} for found in others] == [names] * 2  # a measure and a box


def test_the_loader_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(
        "identkit.report.json_text._schema_file",
        lambda name: {"$defs": {}} if name == "shared" else {"$ref": "#/$defs/lost"},
    )
    with pytest.raises(KeyError, match="lost"):
        schema("no-such-format")
