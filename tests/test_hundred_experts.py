"""Verdicts of second order on 161 typed experts, against null spaces of 80 digits.

``second_order.py`` answers from the criteria as printed, with a certificate of its own either way;
no verdict is listed here. What identkit leaves undecided is listed with its reason.
"""

from __future__ import annotations

from functools import cache

import mpmath as mp
import pytest
import second_order as numbers
from checked import check
from second_order import DIGITS, FREE, KNOWN, LEAST_SQUARES
from typed_experts import TYPED

from identkit import Expert
from identkit.vocabulary import Verdict

VALUES = ((7, 5), (-4, 7), (5, 9), (-11, 13), (6, 5), (3, 8), (-9, 11))
OTHERS = ((-8, 9), (5, 11), (-9, 7), (4, 3), (-7, 12), (13, 9), (6, 11))
POSITIVE = ("(x - m)**2/s", "b/((x - a)", "(x - m)/s")
"""What must not vanish on the domain where all parameters are positive."""
FAR = ("1/(x + a)", "(a*x + b)/(x + c)")
"""A pole at minus the last parameter, to be kept off the domain."""

UNDECIDED = {
    # a constant is a combination of squared slopes on every piece of this set of parameters, and
    # of another one on others: the null space that all sets share is smaller than that of each
    ("relu(a*x + b) - relu(c*x + e)", FREE): "the null space may be larger",
}
QUICK = TYPED[::9]
"""For ``make test``: some of every kind, since kinds stand together."""

ALL = [
    pytest.param(*row, marks=() if row in QUICK else pytest.mark.slow, id=row[0]) for row in TYPED
]
LIKELIHOODS = (LEAST_SQUARES, FREE, KNOWN)


def place(text: str, dim: int, values=VALUES) -> list:
    """Parameters at which the expert is looked at, kinks and bends inside the domain."""
    with mp.workdps(DIGITS):
        names = numbers.Expert(text, dim).parameters
        eta = [mp.mpf(p) / q for p, q in values[: len(names)]]
        if any(inner in text for inner in POSITIVE):
            eta = [abs(v) for v in eta]
        if text in FAR:
            eta[-1] = 3 + abs(eta[-1])
        return eta


@cache
def own(text: str, dim: int, likelihood: str) -> numbers.Answer:
    return numbers.verdict(text, dim, place(text, dim), likelihood)


def said(text: str, likelihood: str, gate: str = "softmax"):
    options = {}
    if likelihood != LEAST_SQUARES:
        options = {"likelihood": "gaussian", "variance": likelihood}
    (result,) = check(Expert.from_expression(text), gate, **options).results
    return result


def agrees(text: str, dim: int, likelihood: str, result) -> None:
    if result.nondegenerate == Verdict.UNDECIDED:
        assert UNDECIDED[text, likelihood] in result.second_order.reason
    else:
        answer = own(text, dim, likelihood)
        assert result.nondegenerate == answer.verdict, (likelihood, answer)


@pytest.mark.parametrize(("text", "dim"), ALL)
def test_the_verdict_is_that_of_the_numbers(text, dim):
    for likelihood in LIKELIHOODS:
        agrees(text, dim, likelihood, said(text, likelihood))


@pytest.mark.parametrize(("text", "dim"), ALL)
def test_constant_weights_ask_the_same_of_the_expert(text, dim):
    for likelihood in (FREE, KNOWN):
        agrees(text, dim, likelihood, said(text, likelihood, "input-free"))


@pytest.mark.parametrize(("text", "dim"), ALL)
def test_the_moments_named_are_invisible_and_their_rank_is_the_cell_less_one(text, dim):
    """At the parameters that the witness names: M ⪰ 0 of rank R, all equations 0, R + 1 atoms."""
    for likelihood in (LEAST_SQUARES, FREE):
        second = said(text, likelihood).second_order
        found = second.witness
        if found is None or found.realised is None or second.verdict != Verdict.NO:
            continue
        with mp.workdps(DIGITS):
            expert = numbers.Expert(text, dim)
            order = Expert.from_expression(text).parameters
            known = {p: mp.mpf(1) * _fraction(v) for p, v in zip(order, found.at, strict=True)}
            eta = [known[p] for p in expert.parameters]
            moments = {name: _value(value, known) for name, value in found.moments}
            q = len(eta)
            m = mp.matrix(q, q)
            for i, j in numbers._pairs(q):
                u, v = expert.parameters[i], expert.parameters[j]
                m[i, j] = m[j, i] = moments.get(f"M[{u},{v}]", moments.get(f"M[{v},{u}]", 0))
            vector = [moments.get(f"m[{p}]", mp.mpf(0)) for p in expert.parameters]
            vector.append(moments.get("m[ν]", mp.mpf(0)))
            vector += [m[i, j] for i, j in numbers._pairs(q)]
            for row in numbers.equations(expert, eta, likelihood):
                terms = [a * b for a, b in zip(row, vector, strict=True)]
                assert abs(mp.fsum(terms)) <= mp.mpf(10) ** -60 * (1 + mp.fsum(map(abs, terms)))
            values = list(mp.eigsy(m, eigvals_only=True))
            size = max(map(abs, values))
            assert size > 0
            assert min(values) > -(mp.mpf(10) ** -60) * size
            rank = sum(v > mp.mpf(10) ** -40 * size for v in values)
            assert rank == found.rank
            assert found.realised.cell == rank + 1


def _fraction(text: str):
    top, _, bottom = text.partition("/")
    return mp.mpf(top) / mp.mpf(bottom or "1")


def _value(text: str, known: dict):
    expert = numbers.Expert(text)
    return expert.jet([mp.mpf(0)], [known[p] for p in expert.parameters], derivatives=False).v


@pytest.mark.slow
@pytest.mark.parametrize(("text", "dim"), TYPED, ids=[text for text, _ in TYPED])
def test_other_parameters_have_the_same_answer(text, dim):
    """Of the numbers alone: verdicts are about almost every η, or an open set."""
    for likelihood in LIKELIHOODS:
        eta = place(text, dim, OTHERS)
        other = numbers.verdict(text, dim, eta, likelihood, seed=1)
        assert other.verdict == own(text, dim, likelihood).verdict, likelihood


# -- the numbers themselves -----------------------------------------------------------------------


def test_a_kink_that_moves_decides():
    """Without its equation |ax + b| would be degenerate: (∂_b h)² = 1 on both sides."""
    eta = place("abs(a*x + b)", 1)
    expert = numbers.Expert("abs(a*x + b)")
    with mp.workdps(DIGITS):
        rows = numbers.equations(expert, eta, FREE)
        q = len(eta)
        at_kink = [row for row in rows if not any(row[: q + 1])]
        vectors = numbers.null_vectors([row for row in rows if row not in at_kink])
        without = numbers.decide(numbers.Space(expert, rows, vectors, False))
    assert at_kink
    assert without.verdict == "no"
    assert own("abs(a*x + b)", 1, FREE).verdict == "yes"


@pytest.mark.parametrize(
    ("matrices", "verdict", "rank"),
    [
        ([[[1, 0], [0, -1]]], "yes", None),
        ([[[0, 1], [1, 0]]], "yes", None),
        ([[[1, 1], [1, 1]]], "no", 1),
        ([[[2, 1], [1, 1]]], "no", 2),
        # a cone that is met on its boundary alone: M_11 = −M_13 needs M_11 = 0
        ([[[1, 0, -1], [0, 0, 0], [-1, 0, 0]], [[0, 0, 0], [0, 1, 0], [0, 0, 0]]], "no", 1),
        ([[[1, 0, 0], [0, -1, 0], [0, 0, 0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]]], "yes", None),
        ([[[1, 0, 0], [0, 1, 0], [0, 0, -1]], [[0, 0, 0], [0, 0, 0], [0, 0, 1]]], "no", 1),
        ([[[0, 0, 1], [0, 1, 0], [1, 0, 0]]], "yes", None),
    ],
)
def test_the_semidefinite_question(matrices, verdict, rank):
    q = len(matrices[0])
    expert = numbers.Expert(" + ".join(f"p{i}*x" for i in range(q)))
    pairs = numbers._pairs(q)
    vectors = [[mp.mpf(0)] * (q + 1) + [mp.mpf(m[i][j]) for i, j in pairs] for m in matrices]
    answer = numbers.decide(numbers.Space(expert, [], vectors, False))
    assert (answer.verdict, answer.rank) == (verdict, rank)


def test_jets_are_derivatives():
    """Against differences of the values, in every function of the list."""
    h = mp.mpf(10) ** -20
    for text, dim in TYPED:
        expert, eta = numbers.Expert(text, dim), place(text, dim)
        with mp.workdps(DIGITS):
            x = [mp.mpf(17) / 23 + n for n in range(dim)]
            first, second = expert.derivatives(x, eta)
            q = len(eta)
            for i in range(q):
                up, down = list(eta), list(eta)
                up[i], down[i] = up[i] + h, down[i] - h
                values = [expert.jet(x, e, derivatives=False).v for e in (up, down)]
                assert abs((values[0] - values[1]) / (2 * h) - first[i]) < mp.mpf(10) ** -30, text
                ends = [expert.derivatives(x, e)[0] for e in (up, down)]
                for j in range(q):
                    slope = (ends[0][j] - ends[1][j]) / (2 * h)
                    assert abs(slope - second[i * q + j]) < mp.mpf(10) ** -30, text
