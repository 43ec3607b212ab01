"""The file of a store: what is in it, opening it, and SQLite's errors as sentences."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from identkit.errors import InputError
from identkit.rates.audit import faults

APPLICATION = 0x69646B74
"""application_id of the file: "idkt"."""
FORMAT = 1
"""user_version of the file."""
CHECKED_BYTES = 2**28
"""Smaller files are checked for damage when opened: some ten seconds at most."""
PATIENCE = 60.0
"""Seconds to wait for another process that writes."""

# fits keeps its rowid: the index of the key then answers what is done without reading the rows
_SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL);
CREATE TABLE experiments (
    name TEXT NOT NULL, key TEXT NOT NULL REFERENCES settings, document TEXT NOT NULL,
    created TEXT NOT NULL, changed TEXT NOT NULL, PRIMARY KEY (name, key)
);
CREATE TABLE environments (id TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE fits (
    setting TEXT NOT NULL REFERENCES settings, start TEXT NOT NULL, n INTEGER NOT NULL,
    replicate INTEGER NOT NULL, budget INTEGER NOT NULL, seed INTEGER NOT NULL,
    status TEXT NOT NULL, cost REAL, gradient_norm REAL, steps INTEGER NOT NULL,
    estimates TEXT NOT NULL, errors TEXT NOT NULL, seconds REAL, finished TEXT NOT NULL,
    environment TEXT NOT NULL REFERENCES environments,
    PRIMARY KEY (setting, start, n, replicate, budget)
);
"""


def check_place(name: str, create: bool) -> None:
    """What can be said without SQLite, whose own messages do not tell these cases apart."""
    path = Path(name)
    try:
        if path.is_dir():
            raise InputError(f"{name}: is a folder; name a file in it, such as runs.db.")
        if path.exists() and not path.is_file():
            raise InputError(f"{name}: is not a regular file; choose another path.")
        if not path.exists():
            if not create:
                raise InputError(f"{name}: there is no such store; check the path.")
            if not path.resolve().parent.is_dir():
                raise InputError(
                    f"{name}: there is no folder {path.resolve().parent}; make it, or choose "
                    "another path."
                )
            return
        with path.open("rb") as file:
            head = file.read(100)
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name}: cannot be opened ({reason}); choose another path.") from None
    if head and not head.startswith(b"SQLite format 3\x00"[: len(head)]):
        raise InputError(f"{name}: is not a store of fits (SQLite); choose another path.")
    if 0 < len(head) < 100:
        raise _damaged(name, "it is cut off")


def connect(name: str, create: bool, read_only: bool) -> sqlite3.Connection:
    """A connection that can read; transactions are begun by hand."""
    address = Path(name).resolve().as_uri()
    modes = [f"?mode={'ro' if read_only else 'rwc' if create else 'rw'}"]
    if read_only and not Path(f"{name}-wal").exists():
        modes.append("?mode=ro&immutable=1")  # a folder where SQLite cannot make its -shm file
    while True:
        connection = sqlite3.connect(
            address + modes.pop(0), uri=True, isolation_level=None, timeout=PATIENCE
        )
        try:
            connection.execute("PRAGMA schema_version").fetchone()
            return connection
        except BaseException as error:
            connection.close()
            if not (modes and isinstance(error, sqlite3.OperationalError)):
                raise


def check_content(name: str, sql: sqlite3.Connection, create: bool) -> None:
    """The file is a store, or becomes one if it is empty."""

    def pragma(which: str) -> Any:
        return sql.execute(f"PRAGMA {which}").fetchone()[0]

    sql.execute("BEGIN")  # one view of both: another process may just be making the store
    application, tables = pragma("application_id"), pragma("schema_version")
    sql.execute("COMMIT")
    if application != APPLICATION:
        if application or tables:
            raise InputError(
                f"{name}: is an SQLite file of another program; choose another path for the store."
            )
        if not create:
            raise InputError(f"{name}: is empty, there is no store in it; check the path.")
        _initialise(sql)
    version = pragma("user_version")
    if version != FORMAT:
        raise InputError(
            f"{name}: has format {version}, this identkit reads {FORMAT}; "
            + ("update identkit." if version > FORMAT else "the file is damaged, restore it.")
        )
    if os.path.getsize(name) < CHECKED_BYTES:
        sound = pragma("quick_check(1)")
        if sound != "ok":
            raise _damaged(name, sound)
        sql.execute("BEGIN")
        fault = next(faults(sql, _SCHEMA), None)
        sql.execute("COMMIT")
        if fault is not None:
            raise InputError(
                f"{name}: the store cannot be read ({fault}); it was damaged or changed by hand, "
                "restore a copy, or move it away and run again."
            )


def _initialise(sql: sqlite3.Connection) -> None:
    """Make the tables, unless another process was quicker."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            sql.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait here while another process makes the same store
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
    sql.execute("BEGIN IMMEDIATE")
    try:
        if not sql.execute("PRAGMA schema_version").fetchone()[0]:
            for statement in _SCHEMA.split(";"):
                sql.execute(statement)
            sql.execute(f"PRAGMA application_id = {APPLICATION}")
            sql.execute(f"PRAGMA user_version = {FORMAT}")
        sql.execute("COMMIT")
    except BaseException:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise
    # into the file itself, which is then a store even if its -wal file is deleted
    sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _damaged(name: str, reason: str) -> InputError:
    reason = " ".join(reason.split())[:120]
    return InputError(
        f"{name}: the store is damaged ({reason}); restore a copy, or move it away and run again."
    )


@contextmanager
def reported(name: str) -> Iterator[None]:
    """SQLite's errors as one sentence."""
    try:
        yield
    except UnicodeDecodeError:  # SQLite quotes the file in its message
        raise _damaged(name, "a text in it is not UTF-8") from None
    except sqlite3.DatabaseError as error:
        text = str(error)
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise  # a mistake of ours
        if "readonly" in text:
            what, remedy = "it may only be read", "open it for writing, or copy it"
        elif "locked" in text:
            what, remedy = "another process keeps writing to it", "wait, or stop that process"
        elif "full" in text:
            what, remedy = "the disk is full", "make room and run again, finished fits are kept"
        elif isinstance(error, sqlite3.OperationalError) and not re.search(
            "no such|decode|JSON", text
        ):
            what, remedy = text, "check the disk, or choose another path"
        else:
            raise _damaged(name, text) from None
        raise InputError(f"{name}: cannot be used, {what}; {remedy}.") from None
