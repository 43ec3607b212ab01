"""One gate, one file: nothing outside ``identkit/gates`` branches on which gate or regime it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import identkit
from identkit.claims.record import recorded
from identkit.gates import GATES

PACKAGE = Path(identkit.__file__).parent
REGIMES = {r.code for g in GATES.values() for r in g.regimes} - {None}
REGIMES |= {r.key for g in GATES.values() for r in g.regimes}


def _last(node):
    """The name that an expression ends in: ``setting.regime`` -> ``regime``."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _constants(node):
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return {p.value for p in parts if isinstance(p, ast.Constant)}


def branches(source):
    """Lines that ask for the form of f, or compare something with a gate's or a regime's name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == "normalised":
            found.append(node.lineno)
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        names = {_last(s) for s in sides}
        values = {v for s in sides for v in _constants(s) if not isinstance(v, bool)}
        strings = {v for v in values if isinstance(v, str)}
        if strings & (set(GATES) | REGIMES - {"any"}):
            found.append(node.lineno)
        if names & {"regime", "regime_number"} and {v for v in values if isinstance(v, int)}:
            found.append(node.lineno)
    return found


def test_nothing_outside_gates_branches_on_which_gate_or_regime():
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent.name != "gates" and (lines := branches(path.read_text("utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "if setting.regime == 2: pass",
        "x = 1 if regime in (1, 2) else 0",
        'if gate.name == "softmax": pass',
        'if "sigmoid" != gate: pass',
        "if model.gate.normalised: pass",
        'if regime.key == "dense": pass',
    ],
)
def test_the_test_sees_such_lines(line):
    assert branches(line)


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_what_a_regime_rests_on_is_proved(gate):
    """Every theorem that is registered names its claims, and they are as strong as what is said."""
    claims = {c.id: c for c in recorded()}
    for regime in gate.regimes:
        assert bool(regime.rests_on) == (regime.expansion is not None)
        for claim in regime.rests_on:
            assert claims[claim].status in ("proved", "proved almost everywhere"), claim
