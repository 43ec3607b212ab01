"""The document ``identkit.rates/1`` against its JSON Schema."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from jsonschema import Draft202012Validator
from test_rates_result import GOOD, TWIN, experiment, rows, setting

from identkit.fit import Box
from identkit.fit.result import Status
from identkit.rates import observe
from identkit.rates.fits import environment
from identkit.rates.quantities import _FIXED
from identkit.report.json_text import schema
from identkit.simulation import STARTS

pytestmark = pytest.mark.usefixtures("one_thread")

BUDGETS = {"budgets": (10, 20)}


def identifiable():
    """gelu, sigmoid, Regime 1: everything is there."""
    e = experiment(replicates=10)
    return observe(e, rows(e, GOOD), [environment()])


def full_of_holes():
    """relu, softmax, with a control: values that do not exist, statuses, sizes without fits."""
    e = experiment(
        setting=setting("relu", "softmax", **BUDGETS), replicates=10, starts=("local", "split"),
        control=4,
    )  # fmt: skip
    powers = {"expert": 0.0, "exact": -0.5, "voronoi": 0.0, "regression": -0.5, "family": -0.5}
    powers |= {"aggregate": -0.5, "direction:a,b": -1 / 3}
    found = []
    for i, row in enumerate(rows(e, powers)):
        values = dict(row.errors)
        if row.start == "split" and row.n == e.sizes[0]:
            continue
        if row.start == "away" and row.n == e.sizes[-1]:
            continue
        if row.n == e.sizes[1] or i % 7 == 0:
            values |= {"family": math.nan, "direction:a,b": math.nan}
        status = list(Status)[i % len(Status)].value
        found.append(replace(row, errors=values, status=status))
    return observe(e, found)


def regime_2():
    """gelu, sigmoid, Regime 2: distances to minimisers, no second-order form."""
    one = setting(regime=2, truth=TWIN, box=Box(beta0=(-3, 4)), **BUDGETS)
    e = experiment(setting=one, replicates=10, starts=("null",))
    names = ("minimiser", "minimiser-expert", "minimiser-regression", "regression")
    return observe(e, rows(e, dict.fromkeys(names, -0.5)), [environment()] * 2)


def nothing():
    """No fits, and as many atoms fitted as are true."""
    return observe(experiment(setting=setting(k=2, **BUDGETS)), [])


@pytest.fixture(scope="module")
def validator():
    return Draft202012Validator(schema("rates-1"))


@pytest.fixture(scope="module")
def documents():
    made = (identifiable(), full_of_holes(), regime_2(), nothing())
    return {
        name: json.loads(json.dumps(result.to_dict(), allow_nan=False))
        for name, result in zip(("whole", "holes", "regime 2", "nothing"), made, strict=True)
    }


def test_the_schema_is_valid():
    Draft202012Validator.check_schema(schema("rates-1"))


@pytest.mark.parametrize("name", ["whole", "holes", "regime 2", "nothing"])
def test_documents_validate(name, documents, validator):
    validator.validate(documents[name])


def test_the_documents_of_this_test_have_all_that_may_be_missing(documents):
    whole, holes, second = (documents[n] for n in ("whole", "holes", "regime 2"))
    lines = holes["lines"]
    assert any(x["slope"] is None and None in x["medians"] for x in lines)
    assert any(x["quantity"].startswith("direction:") for x in lines)
    assert holes["controls"]
    assert not holes["complete"]
    assert {name for s in holes["shares"] for name in s["statuses"]} == {s.value for s in Status}
    assert second["conditioning"]["second"] is None
    assert second["certified"]["premise"] is not None
    assert documents["nothing"]["conditioning"] is None
    assert whole["complete"]
    highs = [v["derived"]["high"] for v in holes["verdicts"] if v["derived"]]
    assert None in highs
    assert any(v["against_published"] is None for v in holes["verdicts"])


# -- nothing more, nothing less -------------------------------------------------------------------


def nodes(value, path=()):
    """(path, part) of all objects in a document or schema."""
    if isinstance(value, dict):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        if isinstance(part, dict | list):
            yield from nodes(part, (*path, key))


def test_every_property_is_required_and_no_other_allowed():
    """Optional would have to be said here; only counts by status have keys of their own."""
    free = []
    for path, part in nodes(schema("rates-1")):
        if "type" not in part or part["type"] != "object":
            continue
        if "properties" in part:
            assert part["required"] == sorted(part["properties"]), path
            assert part["additionalProperties"] is False, path
        else:
            assert "propertyNames" in part, path
            free.append(path[-1])
    assert free == ["statuses"]


def changed(document, path, change):
    other = copy.deepcopy(document)
    part = other
    for key in path:
        part = part[key]
    change(part)
    return other


def test_an_added_or_removed_key_fails(documents, validator):
    seen = set()
    for document in documents.values():
        for path, part in nodes(document):
            shape = (*(k for k in path if isinstance(k, str)), *sorted(part))
            if shape in seen or path[-1:] == ("statuses",):
                continue
            seen.add(shape)
            added = changed(document, path, lambda p: p.update(surplus=1))
            assert not validator.is_valid(added), path
            for key in part:
                removed = changed(document, path, lambda p, key=key: p.pop(key))
                assert not validator.is_valid(removed), (*path, key)
    assert len(seen) > 15


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdicts", 0, "against_derived"), "yes"),
        (("verdicts", 0, "quantity"), "experts"),
        (("verdicts", 0, "derived", "rate"), "fast"),
        (("verdicts", 0, "start"), "near"),
        (("shares", 0, "statuses"), {"done": 3}),
        (("shares", 0, "trapped"), 1.5),
        (("lines", 0, "medians"), [-0.1, 0.1, 0.2]),
        (("experiment", "setting", "box", "eta"), [[-10, 10, 10]]),
        (("experiment", "key"), "470e"),
        (("schema",), "identkit.rates/2"),
    ],
)
def test_values_that_mean_nothing_fail(path, value, documents, validator):
    *to, last = path
    wrong = changed(documents["whole"], to, lambda part: part.update({last: value}))
    assert not validator.is_valid(wrong)


def test_the_schema_knows_all_names():
    known = schema("rates-1")["$defs"]
    assert known["status"]["enum"] == [s.value for s in Status]
    assert known["start"]["enum"] == list(STARTS)
    assert known["quantity"]["anyOf"][0]["enum"] == list(_FIXED)
