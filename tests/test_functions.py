"""Every row of the elementary functions agrees with SymPy, whichever module reads it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from identkit.balls import Tape, ball
from identkit.expression import FUNCTIONS, parse, symbol
from identkit.fit import vector_math
from identkit.fit.model import numpy_functions
from identkit.fit.torch_kernel import torch_functions
from identkit.heads import HEADS, Head

POINTS = [Fraction(p) for p in ("-40", "-5/2", "-1/3", "1/7", "9/4", "40")]
Z = symbol("z")


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
