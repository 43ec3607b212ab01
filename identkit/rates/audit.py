"""What the cells of a store must hold: a file that SQLite finds sound may still be damaged.

Everything is asked of SQLite, so that a store of a hundred thousand fits takes two seconds.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from identkit.density.result import Status as DensityStatus
from identkit.fit.result import Status
from identkit.mixing import layout_of
from identkit.rates.density_setting import DENSITY_SCHEMA, key_of
from identkit.rates.setting import MOST_SAMPLES
from identkit.simulation import STARTS

MALFORMED = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What reading a document of the wrong shape raises."""

_STATUSES = ", ".join(f"'{s.value}'" for s in (*Status, *DensityStatus))
_STARTS = ", ".join(f"'{s}'" for s in STARTS)
_LARGEST = 2**31


def _whole(column: str, least: int, most: int = _LARGEST) -> str:
    return f"typeof({column}) = 'integer' AND {column} BETWEEN {least} AND {most}"


def _real(column: str) -> str:
    return f"typeof({column}) IN ('real', 'null')"  # NaN is NULL


def _text(column: str) -> str:
    return f"typeof({column}) = 'text'"


def _json(column: str, kind: str, then: str = "1") -> str:
    """JSON text of a kind; the nested CASE keeps SQLite from reading anything else as JSON."""
    return (
        f"CASE WHEN typeof({column}) <> 'text' THEN 0 WHEN NOT json_valid({column}) THEN 0 "
        f"WHEN json_type({column}) <> '{kind}' THEN 0 ELSE {then} END"
    )


# a flat list of numbers and nulls has no other characters between its brackets
_NUMBERS = "substr(trim(estimates), 2, length(trim(estimates)) - 2) NOT GLOB '*[^-0-9eE+.,nul ]*'"
_NAMED = (
    "NOT EXISTS (SELECT 1 FROM json_each(errors) WHERE type NOT IN ('real', 'integer', 'null'))"
)
_GOOD: dict[str, tuple[str, dict[str, str]]] = {
    "settings": ("key", {"key": _text("key"), "document": _json("document", "object")}),
    "environments": ("id", {"id": _text("id"), "document": _json("document", "object")}),
    "experiments": (
        "name",
        {
            "name": _text("name"),
            "key": _text("key"),
            "document": _json("document", "object"),
            "created": _text("created"),
            "changed": _text("changed"),
        },
    ),
    "fits": (
        "rowid",
        {
            "setting": _text("setting"),
            "start": f"{_text('start')} AND start IN ({_STARTS})",
            "n": _whole("n", 1, MOST_SAMPLES),
            "replicate": _whole("replicate", 0),
            "budget": _whole("budget", 1),
            "seed": _whole("seed", 0, 2**63 - 1),
            "status": f"{_text('status')} AND status IN ({_STATUSES})",
            "cost": _real("cost"),
            "gradient_norm": _real("gradient_norm"),
            "steps": _whole("steps", 0),
            "estimates": _json("estimates", "array", _NUMBERS),
            "errors": _json("errors", "object", _NAMED),
            "seconds": _real("seconds"),
            "finished": f"{_text('finished')} AND finished GLOB '[0-9]*-[0-9]*-[0-9]*T*Z'",
            "environment": _text("environment"),
        },
    ),
}
"""Table -> what names a row, and column -> a condition, never NULL, on its cells."""


def faults(sql: sqlite3.Connection, schema: str) -> Iterator[str]:
    """What is wrong with the tables, a phrase each, from the coarsest to the finest."""
    if _tables(sql) != _tables_of(schema):
        yield "its tables are not those of a store"
    for table, (label, columns) in _GOOD.items():
        yield from _cells(sql, table, label, columns)
    for table, row, parent, _ in sql.execute("PRAGMA foreign_key_check"):
        yield f"table {table}, row {row}: table {parent} lacks what it refers to"
    for key, document in sql.execute("SELECT key, document FROM settings"):
        yield from _setting(sql, key, document)
    for name, key, document in sql.execute("SELECT name, key, document FROM experiments"):
        plan = _loaded(document)
        if not isinstance(plan, dict) or (plan.get("name"), plan.get("key")) != (name, key):
            yield f"experiment '{name}': its plan is not the one of its row"
    for identity, document in sql.execute("SELECT id, document FROM environments"):
        found = _loaded(document)
        named = isinstance(found, dict) and all(isinstance(v, str) for v in found.values())
        if not named or environment_id(document) != identity:
            yield f"environment '{identity}': it does not match its key"
    query = "SELECT setting FROM fits WHERE setting NOT IN (SELECT key FROM experiments) LIMIT 1"
    for (key,) in sql.execute(query):
        yield f"setting '{key[:12]}' has fits, but no experiment"


def environment_id(document: str) -> str:
    """The key of an environment's document."""
    return hashlib.sha256(document.encode(errors="replace")).hexdigest()[:16]


def _tables(sql: sqlite3.Connection) -> list[tuple[str, str, str]]:
    found = sql.execute(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' "
        "ORDER BY name"
    )
    return [(kind, name, " ".join(text.split())) for kind, name, text in found]


def _tables_of(schema: str) -> list[tuple[str, str, str]]:
    empty = sqlite3.connect(":memory:")
    try:
        empty.executescript(schema)
        return _tables(empty)
    finally:
        empty.close()


def _cells(
    sql: sqlite3.Connection, table: str, label: str, columns: dict[str, str]
) -> Iterator[str]:
    which = " ".join(f"WHEN NOT ({good}) THEN '{column}'" for column, good in columns.items())
    every = " AND ".join(f"({good})" for good in columns.values())
    query = f"SELECT {label}, CASE {which} END FROM {table} WHERE NOT ({every}) LIMIT 1"
    for row, column in sql.execute(query):
        shown = row if isinstance(row, int) else f"'{str(row)[:40]}'"
        yield f"table {table}, row {shown}: {column} holds what it cannot"


def _setting(sql: sqlite3.Connection, key: str, document: str) -> Iterator[str]:
    setting = _loaded(document)
    if key_of(setting) != key:
        yield f"setting '{key[:12]}': its document does not match its key"
        return
    try:
        width, seed = _width(setting), setting["seed"]
        if not (type(seed) is type(width) is int and 0 < width < _LARGEST and 0 <= seed < 2**63):
            raise ValueError
    except MALFORMED:
        yield f"setting '{key[:12]}': it is none"
        return
    query = (
        "SELECT rowid, json_array_length(estimates) FROM fits WHERE setting = ? AND "
        "(json_array_length(estimates) <> ? OR seed <> ?) LIMIT 1"
    )
    for row, length in sql.execute(query, (key, width, seed)):
        what = f"{length} estimates" if length != width else "its seed"
        yield f"table fits, row {row}: {what} is not what setting '{key[:12]}' gives"


def _width(setting: Any) -> int:
    """The length of the vectors of a setting's fits."""
    if setting.get("schema") == DENSITY_SCHEMA:
        return setting["length"]
    expert, k = setting["expert"], setting["k"]
    layout = layout_of(setting["truth"], len(expert["inputs"]), len(expert["parameters"]))
    if not (type(k) is int and 0 < k < _LARGEST):
        raise ValueError
    return layout.length(k)


def _loaded(document: str) -> Any:
    try:
        return json.loads(document)
    except MALFORMED:
        return None
