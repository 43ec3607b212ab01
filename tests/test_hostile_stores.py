"""Damaged and forged stores: success or one sentence, whatever command reads them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing

import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from hostile import stores

from identkit.cli import main


def test_a_few(tmp_path, one_thread):
    assert {stores.attempt(case, tmp_path) for case in stores.cases(24, seed=1)} >= {"refused"}


@pytest.mark.slow
def test_many(tmp_path, one_thread):
    ends = Counter(stores.attempt(case, tmp_path) for case in stores.cases(300, seed=2))
    assert ends["refused"] > ends["accepted"]


def test_the_sound_one_is_accepted(tmp_path, one_thread):
    for command in stores.COMMANDS:
        case = stores.Case("schema", "SELECT 1", None, ("", ""), None, command)
        assert stores.attempt(case, tmp_path) == "accepted"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE fits SET estimates = '{' WHERE rowid = 3", "table fits, row 3: estimates"),
        ("UPDATE fits SET estimates = '[1,2]' WHERE rowid = 4", "table fits, row 4: 2 estimates"),
        ("UPDATE fits SET seed = 8 WHERE rowid = 4", "table fits, row 4: its seed"),
        ("UPDATE fits SET status = 'fine' WHERE rowid = 2", "table fits, row 2: status"),
        (
            "UPDATE settings SET document = json_set(document, '$.expert.expression', 'sin(a*x)')",
            "does not match its key",
        ),
        ("UPDATE experiments SET name = 'other'", "experiment 'other': its plan"),
        ("DELETE FROM experiments", "has fits, but no experiment"),
        ("DELETE FROM settings", "table settings lacks"),
        ("CREATE TRIGGER t AFTER INSERT ON fits BEGIN DELETE FROM fits; END", "its tables"),
    ],
)
def test_the_row_is_named(sql, named, tmp_path, capsys, one_thread):
    path = tmp_path / "s.sqlite"
    path.write_bytes(stores.sound())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)
    capsys.readouterr()
    for command in ("list", "show"):
        assert main(["runs", command, "--store", str(path)]) == 2
        told = capsys.readouterr().err
        assert named in told
        assert str(path) in told
