"""Orders against numbers: along arcs at 50 digits, and where a minimisation finds nothing slower.

An order says how little T_G − T_* can be where a coordinate has moved by t. No list of answers is
here: what ``identkit.order`` proves of ``slow_experts.py`` is compared with ``slowness.py``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from functools import cache

import mpmath as mp
import numpy as np
import pytest
from slow_experts import CASES, KNOWN, STARTS, UNLISTED, relative_power
from slowness import DENSITY, DIGITS, LEAST, VALUE

from identkit import Expert, order

CLOSE = 0.3
"""How far above an upper bound the slope of minima may be.

They are c·t^r·(1 + O(t)) with t from 0.3 to 0.025: what is left of O(t) between the two smallest t
is a third at most of what tells two orders of these experts apart. Below a lower bound they may
stay: with x alone a few atoms come so close to any smooth f that c is reached at far smaller t; and
a minimum that was not reached at the smallest t makes the last slope smaller.
"""
LOOKS = [
    pytest.param(case, *look, id=f"{case.text} {case.gate} {look[0]} {look[1]}")
    for case in CASES
    for look in case.looks
]
QUICK = (
    ("a*x + b", 2, "b"),
    ("erf(a*x + b)", 2, "b"),
    ("atan(a*x + b)", 2, "b"),
    ("exp(a*x**2 + b*x)", 2, "b"),
    ("a*tanh(x) + b/cosh(x)", 2, "a"),
)


@cache
def directions(text: str, likelihood: str, gate: str, cell: int) -> dict:
    found = order(
        Expert.from_expression(text),
        gate,
        likelihood=None if likelihood == VALUE else likelihood,
        dim=1,
        cell=cell,
    )
    return {d.direction: d for d in found.directions}


def claimed(case, cell: int, coordinate: str):
    return directions(case.text, case.likelihood, case.gate, cell)[coordinate]


def printed(arc) -> list[dict]:
    return [
        {"roots": g.roots, "weight": g.weight, "deviations": dict(g.deviations)} for g in arc.atoms
    ]


def compared(case, cell: int, coordinate: str, times, starts: int) -> None:
    """No minimum is slower than the bound from above, and none above the arc from below."""
    direction, problem = claimed(case, cell, coordinate), case.problem(cell)
    arc = () if direction.lower.arc is None else printed(direction.lower.arc)
    power = relative_power(direction.lower.arc, coordinate)
    norms, slopes = problem.slopes(coordinate, times, starts=starts, arc=arc, power=power)
    upper = direction.upper.order if direction.upper else math.inf
    assert slopes[-1] <= upper + CLOSE, (norms, slopes, upper)
    for t, norm in zip(times, norms, strict=True):
        if arc:
            near = replace(problem, radius=2 * t ** (1 / power))
            place, sign = near.on_arc(arc, coordinate, t)
            assert norm <= near.norm(place, coordinate, t, sign) * 1.001, t
    if case.likelihood == DENSITY and not arc:
        assert max(slopes) >= direction.lower.order - CLOSE, (norms, slopes)


@pytest.mark.parametrize(("case", "cell", "coordinate", "times"), LOOKS)
def test_an_arc_is_as_slow_as_it_says(case, cell, coordinate, times):
    lower = claimed(case, cell, coordinate).lower
    arc = lower.arc
    if arc is None:
        assert lower.kind == "moments"  # atoms without a closed form
        return
    assert case.problem(cell).arc_slope(printed(arc)) == pytest.approx(arc.order, abs=0.15)


@pytest.mark.parametrize(("text", "cell", "coordinate"), QUICK)
def test_nothing_slower_is_found_quickly(text, cell, coordinate):
    case = next(c for c in CASES if c.text == text and c.gate == "softmax")
    times = next(t for m, u, t in case.looks if (m, u) == (cell, coordinate))
    compared(case, cell, coordinate, times, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "cell", "coordinate", "times"), LOOKS)
def test_nothing_slower_is_found(case, cell, coordinate, times):
    compared(case, cell, coordinate, times, STARTS[cell])


def test_experts_nobody_listed_have_orders_in_between():
    """Neither 2 nor infinite, of both likelihoods and cells of two, three and four atoms."""
    found = set()
    for case in UNLISTED:
        for cell, coordinate, _ in case.looks:
            lower = claimed(case, cell, coordinate).lower.order
            if 2 < lower < math.inf:
                found.add((case.text, case.likelihood, cell))
    for likelihood in {case.likelihood for case in UNLISTED}:
        texts = {text for text, own, _ in found if own == likelihood}
        assert len(texts) >= 5, likelihood
        assert {m for _, own, m in found if own == likelihood} == {2, 3, 4}


# -- the numbers themselves -----------------------------------------------------------------------


def test_an_arc_of_another_weight_is_noticed():
    case = KNOWN[0]
    arc = printed(claimed(case, 2, "b").lower.arc)
    changed = [{**arc[0], "deviations": {**arc[0]["deviations"], "ν": "-2*τ**2"}}]
    assert case.problem(2).arc_slope(changed) == pytest.approx(2, abs=0.05)


def test_the_minimum_is_below_the_arc():
    """In the norm of the minimisation, whose starts here are random."""
    case = KNOWN[0]
    problem = case.problem(2)
    t = 0.2
    norm, place, sign = problem.smallest("b", t, starts=3)
    weights, slopes_, moved, _ = problem.atoms(place, "b", t, sign)
    assert np.abs(moved[:, 1]).max() == pytest.approx(t)
    assert weights.min() >= LEAST[2] * 0.8
    arc = problem.difference([0.5, 0.5], [0, 0], [[0, t, -(t**2)], [0, -t, -(t**2)]], [0, 0, 0])
    assert norm <= np.linalg.norm(problem._grid[2] * arc)
    assert slopes_.shape[0] == 2


def test_derivatives_by_complex_steps():
    problem = KNOWN[0].problem(2)
    rng = np.random.default_rng(3)
    p = rng.standard_normal(problem.dimension) * 0.3
    exact = problem._jacobian(p, "b", 0.2, 1)
    for k in range(len(p)):
        up, down = p.copy(), p.copy()
        up[k] += 1e-6
        down[k] -= 1e-6
        change = problem._residual(up, "b", 0.2, 1) - problem._residual(down, "b", 0.2, 1)
        assert np.allclose(change / 2e-6, exact[:, k], atol=1e-8)


def test_both_evaluations_are_the_same():
    """Arrays and 50 digits, at the nodes of one."""
    for case in CASES:
        problem = case.problem(2)
        x, y, _ = problem._grid
        moved = [[0.05 * (i + j) for j in range(len(problem.coordinates))] for i in (1, -2)]
        other = [0.02] * len(problem.coordinates)
        here = problem.difference([0.4, 0.5], [0.1, -0.2], moved, other)[7]
        exact = problem.difference(
            [mp.mpf("0.4"), mp.mpf("0.5")],
            [mp.mpf("0.1"), mp.mpf("-0.2")],
            [[mp.mpf(v) for v in row] for row in moved],
            [mp.mpf("0.02")] * len(other),
            mp.mpf(x[7]),
            mp.mpf(y[7]),
            DIGITS,
        )
        assert abs(here - exact) < 1e-12, case.text


def test_slopes_of_orders_are_fractions():
    """The interval of b of a·x² + b·x + c starts at 8/3."""
    case = next(c for c in UNLISTED if c.text == "a*x**2 + b*x + c")
    assert claimed(case, 3, "b").lower.order == Fraction(8, 3)
