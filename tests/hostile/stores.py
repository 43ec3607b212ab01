"""Damaged and forged stores of fits: cells, documents, tables and bytes of a sound one changed."""

from __future__ import annotations

import hashlib
import io
import json
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from identkit.cli import main

COMMANDS = (
    ("runs", "list", "--store", "{store}"),
    ("runs", "list", "--json", "--store", "{store}"),
    ("runs", "show", "--store", "{store}"),
    ("runs", "export", "--csv", "{out}.csv", "--json", "{out}.json", "--store", "{store}"),
    ("sweep", "{plan}", "--store", "{store}", "--scheduler", "inline"),
)
PLAN = """\
name = "small"
sizes = [40, 60, 90]
replicates = 2
budgets = [5, 10]
flat = 0.0
starts = ["local"]
noise = 0.01

[[grid]]
experts = ["tanh"]
gates = ["sigmoid"]
regimes = [1]
truth = {beta0 = [1, -1], beta1 = [[0], [-4.5]], eta = [[2.2, 0.7], [-4, 1.25]]}
box = {beta0 = [-1.5, 4], beta1 = 10, eta = 10}
"""
VALUES = (
    "NULL", "''", "'{'", "'[]'", "'{}'", "'null'", "'[1,2'", "'[[1]]'", "'{\"a\":[1]}'", "-1",
    "0", "1.5", "9e999", "-9e999", "9223372036854775807", "x'00ff'", "'\x1b[2J'", "'9e9999'",
    "'[\"1\",\"2\"]'", "'nan'", "zeroblob(100000)", "cast(x'ff80' AS TEXT)", "'[' || hex(1) || ']'",
    "'2026-01-01T00:00:00Z'", "'[1e400,2]'", "'[1" + "0" * 500 + "]'", "'" + "[" * 600 + "'",
    "char(0)", "'{\"regression\": -1}'", "'{\"regression\": 1}'",
)  # fmt: skip
COLUMNS = {
    "settings": ("key", "document"),
    "experiments": ("name", "key", "document", "created", "changed"),
    "environments": ("id", "document"),
    "fits": (
        "setting", "start", "n", "replicate", "budget", "seed", "status", "cost", "gradient_norm",
        "steps", "estimates", "errors", "seconds", "finished", "environment",
    ),
}  # fmt: skip
SCHEMA_EDITS = (
    "DROP TABLE {t}",
    "ALTER TABLE {t} RENAME TO other",
    "ALTER TABLE {t} ADD COLUMN more TEXT",
    "ALTER TABLE {t} RENAME COLUMN {c} TO other",
    "DELETE FROM {t}",
    "CREATE VIEW other AS SELECT * FROM {t}",
    "CREATE TRIGGER other AFTER INSERT ON fits BEGIN DELETE FROM {t}; END",
    "CREATE TABLE other (a)",
    "PRAGMA user_version = {n}",
    "PRAGMA application_id = {n}",
    "DROP TABLE {t}; CREATE VIEW {t} AS SELECT 1 AS {c}",
    "DROP TABLE {t}; CREATE TABLE {t} ({c})",
    "INSERT INTO {t} SELECT * FROM {t} LIMIT 1",
)
DOCUMENT_EDITS = (
    None, "", "x", 0, -1, 1.5, True, [], {}, [[]], 10**30, 1e300, "\x1b[31m", ["x"], {"a": 1},
    "relu", "../../x", [1, 2, 3], ["a", "a"], [float("nan")], "__import__('os')", 2**31,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """SQL to run on a sound store, or (offset, bytes) to put into its file; what to call with."""

    kind: str
    sql: str
    edit: tuple[float, bytes] | None
    path: tuple[str, ...]
    value: object
    command: tuple[str, ...]


def cases(count: int, seed: int) -> Iterator[Case]:
    """Cells, documents (their keys recomputed or not), tables, rows, bytes, and cut files."""
    rng = random.Random(f"stores {seed}")
    for number in range(count):
        kind = ("cell", "document", "schema", "bytes", "cut", "forged")[number % 6]
        table = rng.choice(list(COLUMNS))
        column = rng.choice(COLUMNS[table])
        sql, edit, path, value = "", None, (), None
        if kind == "cell":
            rows = rng.choice(("", " WHERE rowid = 3" if table == "fits" else ""))
            sql = f"UPDATE {table} SET {column} = {rng.choice(VALUES)}{rows}"
        elif kind == "schema":
            sql = rng.choice(SCHEMA_EDITS).format(t=table, c=column, n=rng.choice((0, 2, -1)))
        elif kind in ("document", "forged"):
            path = (rng.choice(("settings", "experiments", "environments")),)
            value = rng.choice(DOCUMENT_EDITS)
        elif kind == "bytes":
            junk = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 64, 4096))))
            edit = (rng.random(), junk)
        else:
            edit = (rng.random(), b"")
        yield Case(kind, sql, edit, (*path, str(rng.random())), value, rng.choice(COMMANDS))


@cache
def sound() -> bytes:
    """A small store as a sweep leaves it."""
    with tempfile.TemporaryDirectory() as folder:
        plan, store = Path(folder, "plan.toml"), Path(folder, "sound.sqlite")
        plan.write_text(PLAN)
        command = ["sweep", str(plan), "--store", str(store), "--scheduler", "inline", "--json"]
        code, told, _ = _run(command)
        assert code == 0, told
        return store.read_bytes()


def attempt(case: Case, folder: Path) -> str:
    """Damage a store, run the command on it; ``accepted`` or ``refused``."""
    store, plan, out = folder / "case.sqlite", folder / "plan.toml", folder / "out"
    for left in folder.glob("*"):
        left.unlink()
    store.write_bytes(_damaged(case, folder))
    plan.write_text(PLAN)
    words = [w.format(store=store, plan=plan, out=out) for w in case.command]
    before = set(folder.iterdir())
    code, told, printed = _run(words)
    assert code in (0, 2), f"exit code {code} for {case}: {told}"
    assert "\x1b" not in told + printed, f"a raw escape for {case}"
    if code == 0:
        return "accepted"
    assert told.startswith("identkit: "), f"no sentence for {case}: {told!r}"
    assert told.count("\n") == 1, f"more than a sentence for {case}: {told!r}"
    assert str(store) in told, f"the store is not named for {case}: {told!r}"
    left = {p.name for p in set(folder.iterdir()) - before} - {"case.sqlite-wal", "case.sqlite-shm"}
    assert not left, f"{left} left by {case}"
    return "refused"


def _run(words: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(words)
        except BaseException as error:  # what a user would see as a traceback
            pytest.fail(f"{type(error).__name__}: {error} for {words}")
    return code, err.getvalue(), out.getvalue()


def _damaged(case: Case, folder: Path) -> bytes:
    raw = sound()
    if case.edit is not None:
        where, junk = case.edit
        place = int(where * len(raw))
        return raw[:place] + junk + (raw[place + len(junk) :] if junk else b"")
    path = folder / "making.sqlite"
    path.write_bytes(raw)
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        sql.execute("PRAGMA journal_mode = DELETE")
        if case.kind in ("document", "forged"):
            _edit_document(sql, case)
        else:
            try:
                sql.executescript(case.sql)
            except sqlite3.Error:
                sql.execute("PRAGMA user_version = 77")  # not possible: damaged otherwise
    content = path.read_bytes()
    path.unlink()
    return content


def _edit_document(sql: sqlite3.Connection, case: Case) -> None:
    """Change a leaf of a JSON document; ``forged``: and every key that should match it."""
    table, seed = case.path
    rng = random.Random(seed)
    (text,) = sql.execute(f"SELECT document FROM {table}").fetchone()
    document = json.loads(text)
    place, key = document, rng.choice(sorted(document))
    while isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
        place = place[key]
        key = rng.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
    if rng.random() < 0.15:
        del place[key]
    else:
        place[key] = case.value
    sql.execute(f"UPDATE {table} SET document = ?", (json.dumps(document),))
    if case.kind == "forged" and table == "settings":
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
        new = hashlib.sha256(canonical.encode()).hexdigest()
        sql.execute("UPDATE settings SET key = ?", (new,))
        sql.execute("UPDATE fits SET setting = ?", (new,))
        sql.execute(
            "UPDATE experiments SET key = ?, document = json_set(document, '$.key', ?)", (new, new)
        )
    elif case.kind == "forged" and table == "environments":
        new = hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]
        sql.execute("UPDATE environments SET id = ?", (new,))
        sql.execute("UPDATE fits SET environment = ?", (new,))
    elif case.kind == "forged" and isinstance(document.get("name"), str):
        sql.execute("UPDATE experiments SET name = ?", (document["name"],))
