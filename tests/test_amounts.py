"""What ``make test`` leaves to ``make test-all``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from amounts import ALL, SPARED, spared

HERE = Path(__file__).parent
TEST = "tests/test_order.py::test_a_router_makes_nothing_faster"
CASES = [f"{TEST}[{a}-{b}]" for a in range(20) for b in ("x", "y")]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.delenv(ALL, raising=False)


@pytest.mark.parametrize("test", SPARED)
def test_every_entry_names_a_test_with_cases(test):
    file, _, name = test.partition("::")
    before = (HERE / file).read_text(encoding="utf-8").split(f"\ndef {name}(")[0]
    decorators = before.rpartition("\n\n\n")[2]
    assert re.search(r"^@pytest\.mark\.parametrize", decorators, flags=re.M)
    assert f"\ndef {name}(" in (HERE / file).read_text(encoding="utf-8")
    assert SPARED[test] > 1


def test_about_every_nth_is_left_and_the_first_of_each_group():
    left = [case for case in CASES if case not in spared(CASES)]
    assert left[0] == CASES[0]
    assert len(CASES) / 8 < len(left) < len(CASES) / 2
    # both values of the second parameter: no axis is left out
    assert {case[-2] for case in left} == {"x", "y"}
    mutants = [
        f"tests/test_mutations.py::test_a_broken_statement_turns_red[{check}[{label}]]"
        for check in "abcdefgh"
        for label in "01234"
    ]
    kept = {m.split("[")[1] for m in mutants if m not in spared(mutants)}
    assert kept == set("abcdefgh")


def test_it_depends_on_ids_alone():
    every = spared(CASES)
    assert spared([*CASES[:1], *reversed(CASES[1:])]) == every
    assert spared(["tests/test_order.py::test_known_answers[0]", *CASES]) == every


def test_all_run_where_all_are_asked_for(monkeypatch):
    assert spared(CASES)
    monkeypatch.setenv(ALL, "1")
    assert not spared(CASES)
    assert not spared(["tests/test_layout.py::test_anything[0]"])
