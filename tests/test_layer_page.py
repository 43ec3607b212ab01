"""docs/layers.md is what its script finds now."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")


@cache
def script():
    found = importlib.util.spec_from_file_location("layers", ROOT / "benchmarks" / "layers_page.py")
    assert found is not None
    made = importlib.util.module_from_spec(found)
    assert found.loader is not None
    found.loader.exec_module(made)
    return made


def plain(row):
    return re.sub(r"<sup>.*?</sup>", "", row)


@pytest.mark.parametrize("name", ["mixtral-8x7b", "llama-4-scout"])
def test_rows(name):
    found = script().analysed(name)
    assert script().read_row(found) in PAGE.splitlines()
    reasons = []
    assert plain(script().decided_row(found, reasons)) in map(plain, PAGE.splitlines())
    listed = re.findall(r"^\d+\. (.*)$", PAGE, flags=re.M)
    assert set(reasons) <= set(listed)
    if name in script().CHANGED:
        assert script().changes_part(found) in PAGE


def test_every_configuration_is_shown():
    assert {p.stem for p in script().CONFIGS.glob("*.json")} == set(script().NAMES)
    assert all(f"\n| {name} | " in PAGE for name in script().NAMES)


@pytest.mark.slow
def test_the_whole_page():
    assert script().page() == PAGE
