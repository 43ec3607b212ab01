"""Every check of ``proofs_check/`` fails when its statement is broken.

Each check lists false variants of its statement. All of them must turn it red: by an assertion, or
by a finding whose status is not the recorded one, which a run under pytest rejects. Every keyword
default, that is every part of a statement, must be changed by some variant.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

import pytest

from identkit.claims.checks import Finding
from identkit.claims.record import recorded

FOLDER = Path(__file__).resolve().parents[1] / "proofs_check"


def load(path):
    """A check's module, the one that pytest collects: both share what it computes."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    return importlib.import_module(path.stem)


CHECKS = [
    pytest.param(check, id=f"{path.stem}::{name}")
    for path in sorted(FOLDER.glob("test_*.py"))
    for name, check in inspect.getmembers(load(path), inspect.isfunction)
    if name.startswith("test_")
]
MUTANTS = [
    pytest.param(check.values[0], variant, id=f"{check.id}[{label}]")
    for check in CHECKS
    for label, variant in getattr(check.values[0], "mutations", {}).items()
]


def is_red(check, variant):
    """Whether the check rejects this variant: an assertion, or another status than recorded."""
    try:
        found = check(**variant)
    except AssertionError:
        return True
    known = {r.id: {c.status for c in r.checks} for r in recorded()}
    findings = found if isinstance(found, tuple) else (found,)
    assert all(isinstance(f, Finding) for f in findings)
    return any(f.status not in known.get(f.claim.id, {f.status}) for f in findings)


@pytest.mark.parametrize(("check", "variant"), MUTANTS)
def test_a_broken_statement_turns_red(check, variant):
    assert is_red(check, variant)


@pytest.mark.parametrize("check", CHECKS)
def test_every_part_of_a_statement_is_broken_once(check):
    variants = getattr(check, "mutations", {})
    assert variants, "the check has no mutation"
    parts = {
        name
        for name, parameter in inspect.signature(check).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert parts <= {name for variant in variants.values() for name in variant}
