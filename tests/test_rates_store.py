"""The store of fits: exact round trips, transactions, every kind of bad file, exports."""

from __future__ import annotations

import csv
import json
import math
import os
import sqlite3
import struct
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.fit.result import Box
from identkit.mixing import MixingMeasure
from identkit.rates.fits import Row
from identkit.rates.setting import Experiment, Setting
from identkit.rates.store import Store
from identkit.rates.store_file import APPLICATION

TRUTH = MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
SETTING = Setting(Model.of("gelu", "sigmoid"), 1, TRUTH, 3, 0.003, Box(beta0=(-1.5, 4)), seed=5)
HERE = {"identkit": "0.1.0", "system": "Linux"}
STRANGE = (
    0.1, 1 / 3, -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
    math.nan, math.inf, -math.inf, 1e22, 123456789.123456789, -1.0,
)  # fmt: skip


def experiment(name="a", setting=SETTING, sizes=(100, 200, 400), replicates=4, **options):
    return Experiment(name, setting, sizes, replicates, **options)


def row(replicate=0, n=100, budget=300, start="local", setting=SETTING, **values):
    plain = {
        "status": "converged", "cost": 0.1, "gradient_norm": 1e-9, "steps": 12,
        "estimates": (STRANGE * 9)[: setting.k * setting.model.per_atom],
        "errors": {"expert": 0.25, "direction:a,b": 0.5}, "seconds": 0.02,
    }  # fmt: skip
    return Row(setting.key, start, n, replicate, budget, **{**plain, **values})


def bits(values):
    """Equal for equal floats and no others: NaN is one, zeros have signs."""
    return [struct.pack("d", v) if v == v else "nan" for v in values]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.db"


@pytest.fixture
def store(path):
    with Store.open(path) as store:
        store.add_experiment(experiment())
        yield store


# -- rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", STRANGE)
def test_every_float_comes_back(store, path, value):
    errors = {"expert": value, "gate": 0.1}
    store.write([row(cost=value, gradient_norm=value, errors=errors, seconds=value)], HERE)
    with Store.open(path, read_only=True) as again:
        (found,) = again.rows(SETTING.key)
    assert bits(found.estimates) == bits(STRANGE)
    assert list(found.errors) == ["expert", "gate"]
    assert bits(found.errors.values()) == bits([value, 0.1])
    expected = abs(value) if value == 0 else value  # SQLite's columns know no negative zero
    assert bits([found.cost, found.gradient_norm, found.seconds]) == bits([expected] * 3)


def test_random_floats_come_back(store):
    raw = [struct.unpack("d", os.urandom(8))[0] for _ in range(3000)]
    store.write([row(estimates=tuple(raw), cost=raw[0])], HERE)
    (found,) = store.rows(SETTING.key)
    assert bits(found.estimates) == bits(raw)


def test_a_row_is_written_once(store):
    assert store.write([row(0), row(1)], HERE) == 2
    assert store.write([row(1, cost=7.0), row(2)], {**HERE, "system": "Darwin"}) == 1
    assert [(r.replicate, r.cost) for r in store.rows(SETTING.key)] == [
        (0, 0.1),
        (1, 0.1),
        (2, 0.1),
    ]
    assert store.write([], HERE) == 0
    assert store.environments(SETTING.key) == [HERE, {**HERE, "system": "Darwin"}]


def test_rows_are_sorted_and_chosen(store):
    rows = [
        row(r, n, budget, start)
        for start in ("local", "away")
        for n in (400, 100)
        for r in (10, 9)
        for budget in (3000, 300)
    ]
    store.write(rows, HERE)
    found = store.rows(SETTING.key)
    assert found == sorted(rows, key=lambda r: (r.start, r.n, r.replicate, r.budget))
    assert store.rows(SETTING.key, "away") == found[:8]
    assert store.rows(SETTING.key, "local", 400) == found[12:]
    assert store.rows(SETTING.key, n=100) == found[:4] + found[8:12]
    assert store.rows("0" * 64) == []


def test_done_needs_every_budget(store):
    store.write([row(0), row(0, budget=3000), row(1), row(5), row(5, budget=3000)], HERE)
    assert store.done(SETTING.key, "local", 100, (300, 3000)) == {0, 5}
    assert store.done(SETTING.key, "local", 100, (300,)) == {0, 1, 5}
    assert store.done(SETTING.key, "local", 100, (300, 3000), range(1, 5)) == set()
    assert store.done(SETTING.key, "local", 200, (300, 3000)) == set()


def test_a_block_is_written_whole_or_not_at_all(store, path):
    with pytest.raises((sqlite3.Error, AttributeError, TypeError)):
        store.write([row(0), row(1, status=None)], HERE)
    assert store.rows(SETTING.key) == []
    store.write([row(0)], HERE)
    other = replace(SETTING, seed=6)
    with pytest.raises(InputError, match="is not there; add its experiment"):
        store.write([row(0, setting=other)], HERE)


# -- experiments ------------------------------------------------------------------------------


def test_experiments_come_back(path):
    softmax = Setting(
        Model.of("tanh", "softmax", dim=2, shape="ffn"), None,
        MixingMeasure([1.0, 0.0], [[1.0, 2.0], [0.0, 0.0]], [[1, 2, 3, 4], [-1, 0.5, 1, 2]]),
        4, 0.1, Box(eta=((-1, 5), 6, 7, 8)), over=1, budgets=(7, 9, 100), flat=1e-8,
        domain=(-1.0, 2.0), seed=2**63 - 1,
    )  # fmt: skip
    expected = [
        experiment("first"),
        experiment("second", softmax, (100, 1000, 10**6), 7, starts=("split", "null"), control=3),
    ]
    with Store.open(path) as store:
        for e in expected:
            store.add_experiment(e)
        store.write([row(setting=softmax)], HERE)
        assert store._all("SELECT seed FROM fits") == [(2**63 - 1,)]
    with Store.open(path) as store:
        assert [e.document() for e in store.experiments()] == [e.document() for e in expected]
        assert [e.setting.key for e in store.experiments()] == [e.setting.key for e in expected]


def test_the_latest_plan_counts(store):
    store.add_experiment(experiment("b"))
    store.add_experiment(experiment(replicates=9))
    store.add_experiment(experiment(setting=replace(SETTING, seed=6)))
    found = store.experiments()
    assert [(e.name, e.setting.seed, e.replicates) for e in found] == [
        ("a", 5, 9), ("b", 5, 4), ("a", 6, 4),
    ]  # fmt: skip


def test_summary(store):
    store.add_experiment(experiment("empty", replace(SETTING, seed=6)))
    rows = [row(r, budget=b) for r in range(3) for b in (300, 3000)]
    rows[-1] = replace(rows[-1], status="step limit")
    outside = [row(4), row(0, n=300), row(0, budget=7), row(0, start="away")]
    store.write(rows, HERE)
    store.write(outside, {**HERE, "identkit": "0.0.9"})
    found, empty = store.summary()
    assert (found.name, found.key, found.expert) == ("a", SETTING.key, "gelu ridge")
    assert (found.gate, found.regime) == ("sigmoid", 1)
    assert (found.rows, found.planned) == (6, 24)
    assert found.statuses == {"converged": 2, "step limit": 1}
    assert found.seconds == pytest.approx(0.12)
    assert found.first is not None
    assert found.first == found.last
    assert found.versions == ("0.1.0",)
    assert (empty.rows, empty.statuses, empty.first, empty.versions) == (0, {}, None, ())


# -- files ------------------------------------------------------------------------------------


def test_open_makes_a_store_once(path):
    with pytest.raises(InputError, match=r"runs\.db: there is no such store; check the path"):
        Store.open(path, create=False)
    with pytest.raises(InputError, match="there is no such store"):
        Store.open(path, read_only=True)
    assert not path.exists()
    Store.open(path).close()
    with Store.open(str(path), create=False) as store:
        assert store.experiments() == []
    assert sorted(p.name for p in path.parent.iterdir()) == ["runs.db"]
    assert path.read_bytes()[60:72] == struct.pack(">III", 1, 0, APPLICATION)


def test_awkward_names(tmp_path):
    for name in ("a b.db", "100%?.db", "a#b.db", "ß&=.db"):
        with Store.open(tmp_path / name) as store:
            store.add_experiment(experiment())
    assert len(list(tmp_path.iterdir())) == 4


def test_read_only(store, path):
    with Store.open(path, read_only=True) as reader:
        store.write([row()], HERE)
        assert len(reader.rows(SETTING.key)) == 1
        with pytest.raises(InputError, match="may only be read"):
            reader.write([row(1)], HERE)


def sqlite_file(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def filled(path, replicates=400):
    with Store.open(path) as store:
        store.add_experiment(experiment())
        store.write([row(r) for r in range(replicates)], HERE)
    return path.read_bytes()


def text(path):
    path.write_text("experiment,n\n")


def nothing(path):
    path.touch()


def folder(path):
    path.mkdir()


def header_only(path):
    path.write_bytes(filled(path)[:60])


def truncated(path):
    data = filled(path)
    path.write_bytes(data[: len(data) // 2])


def one_page(path):
    path.write_bytes(filled(path)[:4096])


def zeroed(path):
    data = bytearray(filled(path))
    data[8192 : 8192 + 8 * 4096] = bytes(8 * 4096)
    path.write_bytes(data)


def foreign(path):
    sqlite_file(path, "CREATE TABLE t (x)", "PRAGMA application_id = 252006674")


def foreign_unmarked(path):
    sqlite_file(path, "CREATE TABLE t (x)")


def newer(path):
    filled(path)
    sqlite_file(path, "PRAGMA user_version = 2")


def gutted(path):
    filled(path)
    sqlite_file(path, "DROP TABLE fits")


def edited(path):
    filled(path)
    sqlite_file(path, "UPDATE settings SET document = replace(document, 'sigmoid', 'sigmund')")


def fifo(path):
    os.mkfifo(path)


BAD = {
    text: "is not a store of fits",
    folder: "is a folder; name a file in it",
    header_only: "damaged",
    truncated: "damaged",
    one_page: "damaged",
    zeroed: "damaged",
    foreign: "another program",
    foreign_unmarked: "another program",
    newer: "format 2, this identkit reads 1; update identkit",
    gutted: "damaged",
    edited: "cannot be read",
    fifo: "is not a regular file",
}


def everything(path, read_only):
    with Store.open(path, read_only=read_only) as store:
        for e in store.experiments():
            store.rows(e.setting.key)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_files(path, make, read_only):
    make(path)
    with pytest.raises(InputError) as caught:
        everything(path, read_only)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert BAD[make] in message
    assert "\n" not in message


def test_an_empty_file_becomes_a_store(path):
    nothing(path)
    with pytest.raises(InputError, match="is empty, there is no store in it"):
        Store.open(path, create=False)
    with Store.open(path) as store:
        assert store.experiments() == []


@pytest.mark.parametrize("place", ["missing/runs.db", "file/runs.db", "/proc/runs.db", "a\0b.db"])
def test_unwritable_places(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"choose another path|check the disk"):
        Store.open(tmp_path / place)


def test_a_full_disk_is_said(store, monkeypatch):
    store._sql.execute("PRAGMA max_page_count = 1")
    with pytest.raises(InputError, match="the disk is full; make room and run again"):
        store.write([row(r) for r in range(500)], HERE)
    store._sql.execute("PRAGMA max_page_count = 1000000")
    assert store.rows(SETTING.key) == []
    assert store.write([row(0)], HERE) == 1


def test_another_writer_is_waited_for(store, path, monkeypatch):
    monkeypatch.setattr("identkit.rates.store_file.PATIENCE", 0.05)
    with Store.open(path) as other:
        other._sql.execute("BEGIN IMMEDIATE")
        with Store.open(path) as third, pytest.raises(InputError, match="keeps writing"):
            third.write([row()], HERE)
        other._sql.execute("ROLLBACK")


def test_many_open_the_same_new_store(path):
    failures, gate = [], threading.Barrier(8)

    def begin(number):
        gate.wait()
        try:
            with Store.open(path) as store:
                store.add_experiment(experiment())
                for r in range(20):
                    store.write([row(r, budget=300), row(r, budget=3000)], HERE)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=begin, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Store.open(path) as store:
        assert len(store.rows(SETTING.key)) == 40


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from test_rates_store import *
store = Store.open({path!r})
store.add_experiment(experiment())
for r in range(300):
    store.write([row(r)], HERE)
store._sql.execute("BEGIN IMMEDIATE")
store._sql.execute("DELETE FROM fits")
os.kill(os.getpid(), 9)
"""


def test_killed_writers_lose_only_their_transaction(path):
    script = KILLED.format(tests=os.path.dirname(__file__), path=str(path))
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    wal = path.with_name("runs.db-wal")
    assert wal.exists()
    main = path.read_bytes()
    with Store.open(path, read_only=True) as store:
        assert len(store.rows(SETTING.key)) == 300
    # without the -wal file what was merged is left: a store, if an older one
    wal.unlink()
    path.with_name("runs.db-shm").unlink(missing_ok=True)
    path.write_bytes(main)
    with Store.open(path) as store:
        assert len(store.rows(SETTING.key)) <= 300
        store.add_experiment(experiment())
        store.write([row(r) for r in range(300)], HERE)
        assert len(store.rows(SETTING.key)) == 300


# -- export -----------------------------------------------------------------------------------


@pytest.fixture
def mixed(store):
    """Two settings with other parameters and other errors."""
    other = Setting(
        Model.of("tanh", "softmax", dim=2), None,
        MixingMeasure([0.0, 0.0], [[1.0, 2.0], [0.0, 0.0]], [[1, 2, 3], [-1, 0.5, 1]]),
        2, 0.1, Box(),
    )  # fmt: skip
    store.add_experiment(experiment('tanh, "2"', other))
    store.write([row(0), row(1, cost=math.nan, errors={"expert": math.nan})], HERE)
    estimates = tuple(float(i) for i in range(12))
    store.write([row(setting=other, estimates=estimates, errors={"gate": math.inf})], HERE)
    return store


GATE = ["beta1_0[0]", "beta1_1[0]", "beta0[0]", "eta.a0[0]", "eta.a1[0]", "eta.b[0]"]


def test_csv(mixed, tmp_path):
    assert mixed.export(tmp_path / "fits.csv", "csv") == 3
    with (tmp_path / "fits.csv").open(newline="", encoding="utf-8") as file:
        first, nan, other = csv.DictReader(file)
    assert list(first)[:6] == ["experiment", "setting", "expert", "gate", "regime", "start"]
    assert list(first)[17:24] == [
        "error.direction:a,b", "error.expert", "error.gate",
        "beta1[0]", "beta0[0]", "eta.a[0]", "eta.b[0]",
    ]  # fmt: skip
    assert (first["experiment"], first["expert"], first["gate"]) == ("a", "gelu ridge", "sigmoid")
    assert (first["regime"], first["seed"], first["n"]) == ("1", "5", "100")
    assert float(first["eta.a[0]"]) == STRANGE[2]
    assert float(first["eta.b[0]"]) == 5e-324
    assert first["eta.a[1]"] == ""  # NaN
    assert first["error.gate"] == first["beta1_0[0]"] == ""
    assert nan["cost"] == nan["error.expert"] == nan["error.direction:a,b"] == ""
    assert (other["experiment"], other["regime"], other["error.gate"]) == ('tanh, "2"', "", "inf")
    assert [float(other[c]) for c in GATE] == [0, 1, 2, 3, 4, 5]
    assert len(first["finished"]) == 24
    assert first["finished"].endswith("Z")


def test_json(mixed, tmp_path):
    assert mixed.export(tmp_path / "fits.json", "json") == 3
    text = (tmp_path / "fits.json").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 5
    found = json.loads(text, parse_constant=pytest.fail)
    assert found["schema"] == "identkit.fits/1"
    first, nan, other = found["fits"]
    assert list(first) == list(other)
    assert (first["cost"], first["eta.b[0]"], first["regime"]) == (0.1, 5e-324, 1)
    assert nan["cost"] is nan["error.expert"] is other["error.gate"] is other["regime"] is None


def test_parquet(mixed, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    assert mixed.export(tmp_path / "fits.parquet", "parquet") == 3
    table = pq.read_table(tmp_path / "fits.parquet")
    lines = table.to_pylist()
    assert table.schema.field("regime").type == "int64"
    assert table.schema.field("error.gate").type == "double"
    assert [line["regime"] for line in lines] == [1, 1, None]
    assert lines[2]["error.gate"] == math.inf
    assert lines[0]["error.gate"] is None
    assert [lines[2][c] for c in GATE] == [0, 1, 2, 3, 4, 5]
    columns = [c for c in table.column_names if c.endswith("]")]
    gelu = [c for c in columns if lines[0][c] is not None]
    assert bits(lines[0][c] for c in gelu) == bits(STRANGE)


def test_an_empty_store_has_columns(path, tmp_path):
    with Store.open(path) as store:
        for kind in ("csv", "json", "parquet"):
            assert store.export(tmp_path / f"fits.{kind}", kind) == 0
    assert (tmp_path / "fits.csv").read_text().startswith("experiment,setting,expert,")
    assert json.loads((tmp_path / "fits.json").read_text())["fits"] == []


def test_export_refusals(mixed, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="unknown export format 'cvs'; did you mean csv"):
        mixed.export(tmp_path / "fits", "cvs")
    with pytest.raises(InputError, match="is not a regular file"):
        mixed.export(tmp_path, "csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install identkit\[parquet\]"):
        mixed.export(tmp_path / "fits.parquet", "parquet")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("fits")] == []


def test_an_export_that_fails_leaves_the_old_file(mixed, tmp_path, monkeypatch):
    target = tmp_path / "fits.csv"
    target.write_text("old")
    monkeypatch.setattr(mixed, "_lines", lambda sheet: iter([{"n": 1}, 1 / 0]))
    with pytest.raises(ZeroDivisionError):
        mixed.export(target, "csv")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if "identkit" in p.name] == []
    monkeypatch.undo()
    assert mixed.write([row(7)], HERE) == 1  # the snapshot has ended
