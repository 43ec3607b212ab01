"""The store: every fit is a row of an SQLite file, written when its block ends, never changed.

A killed run loses the blocks it was computing and nothing else; two sweeps may share a file.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from identkit.errors import InputError
from identkit.files import write_whole
from identkit.gates import RegimeCode
from identkit.rates.audit import MALFORMED, environment_id
from identkit.rates.formats import PLAIN, REAL, writer
from identkit.rates.rows import Row
from identkit.rates.setting import Experiment, setting_from
from identkit.rates.store_file import check_content, check_place, connect, reported

_COLUMNS = tuple(f.name for f in fields(Row))


@dataclass(frozen=True)
class Summary:
    """An experiment in a line. Only rows within its latest plan are counted.

    ``statuses`` maps how fits ended, at the largest budget, to how many; ``seconds`` were spent on
    the rows; ``versions`` are identkit's that computed them; times are UTC, None without rows.
    """

    name: str
    key: str
    expert: str
    gate: str
    regime: RegimeCode
    rows: int
    planned: int
    statuses: dict[str, int]
    seconds: float
    first: str | None
    last: str | None
    versions: tuple[str, ...]


class Store:
    """An open store; a context manager.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder + "/runs.db") as store:
    ...     store.experiments()
    []
    """

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path, self._sql = path, connection
        self._seeds: dict[str, int] = {}

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], create: bool = True, read_only: bool = False
    ) -> Store:
        """Open the store at ``path``; make it if it is not there and ``create``.

        Writes of a killed process that are complete are recovered, others dropped. Raises
        :class:`~identkit.errors.InputError` for a file that is no store, damaged, of a newer
        format or cannot be opened.
        """
        name, create = os.fspath(path), create and not read_only
        check_place(name, create)
        with reported(name):
            connection = connect(name, create, read_only)
        try:
            with reported(name):
                check_content(name, connection, create)
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
            return cls(name, connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the file; the last one to close it merges its -wal file."""
        self._sql.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------

    def add_experiment(self, experiment: Experiment) -> None:
        """Keep the plan of an experiment; an earlier plan of the same name and setting goes."""
        document = experiment.document()
        setting = _dump(document.pop("setting"))
        key, plan, now = experiment.setting.key, _dump(document), _now()
        with self._transaction() as sql:
            sql.execute("INSERT INTO settings VALUES (?, ?) ON CONFLICT DO NOTHING", (key, setting))
            sql.execute(
                "INSERT INTO experiments VALUES (?, ?, ?, ?, ?) ON CONFLICT (name, key) DO UPDATE "
                "SET document = excluded.document, changed = excluded.changed "
                "WHERE document <> excluded.document",
                (experiment.name, key, plan, now, now),
            )

    def write(self, rows: Sequence[Row], environment: Mapping[str, str]) -> int:
        """Add the rows of a block in one transaction; how many were new.

        A row that is there already stays. The setting must belong to an experiment added before.
        """
        if not rows:
            return 0
        document, now = _dump(dict(environment)), _now()
        identity = environment_id(document)
        values = [
            (
                r.setting, r.start, r.n, r.replicate, r.budget, self._seed(r.setting), r.status,
                r.cost, r.gradient_norm, r.steps, _numbers(r.estimates), _named(r.errors),
                r.seconds, now, identity,
            )
            for r in rows
        ]  # fmt: skip
        with self._transaction() as sql:
            sql.execute(
                "INSERT INTO environments VALUES (?, ?) ON CONFLICT DO NOTHING",
                (identity, document),
            )
            before = sql.total_changes
            marks = ", ".join("?" * len(values[0]))
            sql.executemany(f"INSERT INTO fits VALUES ({marks}) ON CONFLICT DO NOTHING", values)
            return sql.total_changes - before

    def _seed(self, key: str) -> int:
        if key not in self._seeds:
            found = self._one("SELECT document FROM settings WHERE key = ?", key)
            if found is None:
                raise InputError(
                    f"{self.path}: setting {key[:12]} is not there; add its experiment."
                )
            self._seeds[key] = json.loads(found[0])["seed"]
        return self._seeds[key]

    # -- reading ------------------------------------------------------------------------------

    def experiments(self) -> list[Experiment]:
        """All experiments, in the order they were added first."""
        found = self._all(
            "SELECT e.name, e.document, s.document FROM experiments e JOIN settings s USING (key) "
            "ORDER BY e.rowid"
        )
        return [self._experiment(*row) for row in found]

    def _experiment(self, name: str, plan: str, setting: str) -> Experiment:
        with self._read(f"experiment '{name}'"):
            return Experiment.from_document({**json.loads(plan), "setting": json.loads(setting)})

    @contextmanager
    def _read(self, what: str) -> Iterator[None]:
        """Whatever reading a cell raises as one sentence that names its row."""
        try:
            yield
        except MALFORMED as error:
            raise InputError(
                f"{self.path}: {what} cannot be read ({error}); it was changed by hand or by "
                "another version, restore the file."
            ) from None

    def done(
        self,
        key: str,
        start: str,
        n: int,
        budgets: Sequence[int],
        among: range | None = None,
    ) -> set[int]:
        """The replicates with rows at every budget; ``among`` restricts the question."""
        among = range(2**62) if among is None else among
        marks = ", ".join("?" * len(budgets))
        found = self._all(
            "SELECT replicate FROM fits WHERE setting = ? AND start = ? AND n = ? "
            f"AND replicate >= ? AND replicate < ? AND budget IN ({marks}) "
            f"GROUP BY replicate HAVING count(*) = {len(budgets)}",
            key, start, n, among.start, among.stop, *budgets,
        )  # fmt: skip
        return {r for (r,) in found}

    def rows(self, key: str, start: str | None = None, n: int | None = None) -> list[Row]:
        """The fits of a setting, sorted by (start, n, replicate, budget)."""
        where, values = "setting = ?", [key]
        for column, value in (("start", start), ("n", n)):
            if value is not None:
                where, values = f"{where} AND {column} = ?", [*values, value]
        found = self._all(
            f"SELECT {', '.join(_COLUMNS)} FROM fits WHERE {where} "
            "ORDER BY start, n, replicate, budget",
            *values,
        )
        rows = []
        for values in found:
            with self._read(f"a fit of setting '{key[:12]}', {values[1:5]},"):
                rows.append(_row(values))
        return rows

    def environments(self, key: str) -> list[dict[str, str]]:
        """The environments that rows of a setting were computed in, the first used first."""
        found = self._all(
            "SELECT e.document FROM fits f JOIN environments e ON e.id = f.environment "
            "WHERE f.setting = ? GROUP BY e.id ORDER BY min(f.rowid)",
            key,
        )
        with self._read("an environment"):
            return [json.loads(document) for (document,) in found]

    def summary(self) -> list[Summary]:
        """A line for each experiment, in the order they were added."""
        with self._snapshot():
            return [self._summary(e) for e in self.experiments()]

    def _summary(self, experiment: Experiment) -> Summary:
        setting = experiment.setting
        sizes = ", ".join(map(str, experiment.sizes))
        budgets = ", ".join(map(str, setting.budgets))
        parts = " OR ".join("(start = ? AND replicate < ?)" for _ in experiment.runs)
        where = f"f.setting = ? AND n IN ({sizes}) AND budget IN ({budgets}) AND ({parts}) "
        values = (setting.key, *(v for run in experiment.runs for v in run))
        count, seconds, first, last = self._all(
            "SELECT count(*), coalesce(sum(seconds), 0.0), min(finished), max(finished) "
            f"FROM fits f WHERE {where}",
            *values,
        )[0]
        statuses = self._all(
            f"SELECT status, count(*) FROM fits f WHERE {where} AND budget = ? "
            "GROUP BY status ORDER BY count(*) DESC, status",
            *values, setting.budgets[-1],
        )  # fmt: skip
        used = self._all(
            "SELECT DISTINCT e.document FROM fits f JOIN environments e ON e.id = f.environment "
            f"WHERE {where}",
            *values,
        )
        versions = {json.loads(d).get("identkit", "unknown") for (d,) in used}
        return Summary(
            experiment.name, setting.key, setting.expert_label, setting.gate.name, setting.regime,
            count, experiment.fits, dict(statuses), seconds, first, last,
            tuple(sorted(versions)),
        )  # fmt: skip

    # -- export -------------------------------------------------------------------------------

    def export(self, path: str | os.PathLike[str], kind: str) -> int:
        """Write all fits to a ``csv``, ``json`` or ``parquet`` file, one line each; how many.

        Columns: experiment (the first of the setting), the setting's key, expert, gate, regime,
        then those of the table ``fits``; ``error.<quantity>``; and the estimates, with the atom in
        brackets: ``beta1[0]`` (``beta1_0[0]``, … for more than one input), ``beta0[0]`` and
        ``eta.<parameter>[0]``. A column that a fit does not have is empty (null). NaN is an empty
        cell in CSV, null in JSON, where infinity is null too. The file appears whole or not at all.

        Raises :class:`~identkit.errors.InputError` for another kind, without pyarrow, and for a
        place that cannot be written.
        """
        write = writer(kind)
        with self._snapshot():
            sheets = self._sheets()
            kinds = [k for (k,) in self._all("SELECT DISTINCT key FROM fits, json_each(errors)")]
            estimates = list(dict.fromkeys(c for s in sheets for c in s.columns))
            columns = [*PLAIN, *(f"error.{k}" for k in sorted(kinds)), *estimates]
            count = 0

            def lines() -> Iterator[dict[str, Any]]:
                nonlocal count
                for sheet in sheets:
                    for line in self._lines(sheet):
                        count += 1
                        yield line

            write_whole(path, lambda stream: write(stream, columns, lines()))
        return count

    def _sheets(self) -> list[_Sheet]:
        found = self._all(
            "SELECT s.key, s.document, (SELECT name FROM experiments e WHERE e.key = s.key "
            "ORDER BY e.rowid LIMIT 1) FROM settings s ORDER BY s.rowid"
        )
        sheets = []
        for key, document, name in found:
            with self._read(f"setting '{key[:12]}'"):
                sheets.append(_Sheet.of(key, document, name))
        return sheets

    def _lines(self, sheet: _Sheet) -> Iterator[dict[str, Any]]:
        names = [n for n in PLAIN if n not in sheet.plain] + ["errors", "estimates"]
        with reported(self.path):
            found = self._sql.execute(
                f"SELECT {', '.join(names)} FROM fits WHERE setting = ? "
                "ORDER BY start, n, replicate, budget",
                (sheet.plain["setting"],),
            )
            for values in found:
                with self._read(f"a fit of setting '{sheet.plain['setting'][:12]}'"):
                    line = {**sheet.plain, **dict(zip(names, values, strict=True))}
                    for column in REAL:
                        line[column] = _number(line[column])
                    errors, estimates = (
                        json.loads(line.pop("errors")),
                        json.loads(line.pop("estimates")),
                    )
                    line |= {f"error.{k}": _number(v) for k, v in errors.items()}
                    line |= dict(zip(sheet.columns, map(_number, estimates), strict=True))
                yield line

    # -- SQL ----------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with reported(self.path):
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield self._sql
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Reads that see one state of the file, whatever others write."""
        with reported(self.path):
            self._sql.execute("BEGIN")
        try:
            yield
        finally:
            self._sql.execute("ROLLBACK")

    def _all(self, query: str, *values: Any) -> list[tuple]:
        with reported(self.path):
            return self._sql.execute(query, values).fetchall()

    def _one(self, query: str, *values: Any) -> tuple | None:
        with reported(self.path):
            return self._sql.execute(query, values).fetchone()


@dataclass(frozen=True)
class _Sheet:
    """What the exported lines of a setting have in common."""

    plain: dict[str, Any]
    columns: list[str]

    @classmethod
    def of(cls, key: str, document: str, name: str | None) -> _Sheet:
        setting = setting_from(json.loads(document))
        return cls(
            {
                "experiment": name,
                "setting": key,
                "expert": setting.expert_label,
                "gate": setting.gate.name,
                "regime": setting.regime,
            },
            setting.columns,
        )


# -- values -----------------------------------------------------------------------------------


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dump(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _text(value: float) -> str:
    """A number in JSON that comes back exactly: NaN as null, infinity as 9e999 (SQLite's way)."""
    if math.isfinite(value):
        return repr(float(value))
    return "null" if math.isnan(value) else "9e999" if value > 0 else "-9e999"


def _numbers(values: Iterable[float]) -> str:
    return f"[{','.join(map(_text, values))}]"


def _named(values: Mapping[str, float]) -> str:
    return "{" + ",".join(f"{json.dumps(k)}:{_text(v)}" for k, v in values.items()) + "}"


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _row(values: Sequence[Any]) -> Row:
    line = dict(zip(_COLUMNS, values, strict=True))
    for column in REAL:
        line[column] = _number(line[column])
    line["estimates"] = tuple(map(_number, json.loads(line["estimates"])))
    line["errors"] = {k: _number(v) for k, v in json.loads(line["errors"]).items()}
    return Row(**line)
