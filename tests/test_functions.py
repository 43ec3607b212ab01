"""Every row of the elementary functions agrees with SymPy, whichever module reads it."""

from __future__ import annotations

import ast
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import identkit
from identkit.balls import Tape, ball
from identkit.expression import FUNCTIONS, parse, symbol
from identkit.fit import vector_math
from identkit.fit.model import numpy_functions
from identkit.fit.torch_kernel import torch_functions
from identkit.heads import HEADS, Head

POINTS = [Fraction(p) for p in ("-40", "-5/2", "-1/3", "1/7", "9/4", "40")]
Z = symbol("z")


PACKAGE = Path(identkit.__file__).parent


def lists_of_functions(source: str) -> list[int]:
    """Lines where three functions of the grammar or more are named side by side."""
    found = []
    for node in ast.walk(ast.parse(source)):
        parts: list = []
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            parts = node.elts
        elif isinstance(node, ast.Dict):
            parts = node.keys
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = [w for w in node.value.split("|") if w in FUNCTIONS]
            found += [node.lineno] if len(named) > 2 else []
        named = [p.value for p in parts if isinstance(p, ast.Constant) and p.value in FUNCTIONS]
        found += [node.lineno] if len(named) > 2 else []
    return found


def test_no_other_module_lists_them() -> None:
    # activations are experts with names alike; the kernel trusts no table but its own
    own = {"functions.py", "heads.py", "experts.py", "field.py"}
    # what transformers and torch call activations
    foreign = {"layers/families.py", "layers/traced.py"}
    found = {
        path.name: lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in own
        and path.relative_to(PACKAGE).as_posix() not in foreign
        and (lines := lists_of_functions(path.read_text("utf-8")))
    }
    assert not found
    assert lists_of_functions('KNOWN = ("exp", "log", "sin")')
    assert lists_of_functions('KNOWN = {"exp": 1, "tanh": 2, "erf": 3}')
    assert lists_of_functions('KNOWN = "exp|log|sin"')


def points(head: Head) -> list[Fraction]:
    return [p for p in POINTS if p > 0 or head.name != "log"]


def digits(value: sp.Expr, at: Fraction) -> float:
    return float(value.subs(Z, sp.Rational(at.numerator, at.denominator)).evalf(30))


@pytest.mark.parametrize("head", HEADS, ids=lambda h: h.name)
def test_the_jet_and_the_ball_are_the_derivatives_of_sympy(head: Head) -> None:
    for at in points(head):
        expected = [digits(sp.diff(head.head(Z), Z, n), at) for n in range(3)]
        found = [float(v.mid()) for v in head.triple(ball(at))]
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-13)
        assert float(head.ball(ball(at)).mid()) == pytest.approx(expected[0], rel=1e-13)


@pytest.mark.parametrize("head", HEADS, ids=lambda h: h.name)
def test_arrays_agree_with_sympy(head: Head) -> None:
    import torch

    for at in points(head):
        expected, z = digits(head.head(Z), at), float(at)
        close = pytest.approx(expected, rel=1e-13, abs=1e-15)
        assert numpy_functions()[head.name](np.array(z)) == close
        assert torch_functions()[head.name](torch.tensor(z, dtype=torch.float64)).item() == close
        assert vector_math.FUNCTIONS[head.name](z) == close


@pytest.mark.parametrize("row", FUNCTIONS.values(), ids=lambda r: r.name)
def test_a_row_is_what_its_python_says(row) -> None:
    """Written out in balls, and in Python's own words."""
    parsed = parse(f"{row.name}(z)")
    space = {"abs": abs, "max": max, "min": min, **vars(math)}
    source = row.python or f"{row.builtin or row.name}(z)"
    if row.several:
        parsed, source = parse(f"{row.name}(z, 1)"), f"{row.builtin}(z, 1)"
    tape = Tape([parsed], [Z])
    for at in POINTS:
        if at <= 0 and row.name in ("log", "sqrt"):
            continue
        value = eval(source, {**space, "z": float(at)})
        assert float(tape.evaluate([ball(at)])[0].mid()) == pytest.approx(value, rel=1e-11)
