"""docs/gates.md is what its script finds now."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from identkit import check
from identkit.gates import GATES, described

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8")


def script():
    found = importlib.util.spec_from_file_location("page", ROOT / "benchmarks" / "gates_page.py")
    assert found is not None
    made = importlib.util.module_from_spec(found)
    assert found.loader is not None
    found.loader.exec_module(made)
    return made


def test_every_gate_is_on_it_with_its_gauge():
    made = script()
    for gate in GATES.values():
        assert f"| `{gate.name}` | {made._cell(gate.formula)} | " in PAGE
        assert made._cell(described(gate.gauges)) in PAGE


@pytest.mark.parametrize("router", ["tanh", "linear"])
def test_a_row_of_temperatures(router):
    made = script()
    found = check("gelu", f"dense-to-sparse {router}", dim=1)
    assert f"| `{router}` | {made._cell(made._temperature(found))} |" in PAGE


def test_a_verdict_of_each_table():
    made = script()
    tables = re.split(r"^### ", PAGE, flags=re.M)[1:]
    assert len(tables) == len(made.LIKELIHOODS)
    for (likelihood, variance), table in zip(made.LIKELIHOODS, tables, strict=True):
        names = re.findall(r"`([^`]+)`", table)
        row = next(r for r in table.splitlines() if r.startswith("| tanh ridge |"))
        cells = [c.strip() for c in row.strip("|").split(" | ")][1:]
        gate = made.resolve(names[1], likelihood, variance)
        assert made._verdict(made.builtin("tanh", "ridge", 1), gate) == cells[1].rstrip(" |")


@pytest.mark.slow
def test_the_page_is_current():
    assert "\n".join(script().page()).rstrip() + "\n" == PAGE
