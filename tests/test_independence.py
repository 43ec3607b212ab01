"""Determinants in ball arithmetic, and the search for one, on functions that can be checked."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from flint import arb

from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, precision
from identkit.certificates.independence import (
    are_distinct,
    determinant,
    evaluate,
    excludes_zero,
    find_witness,
    pairwise_independent,
    select_points,
)
from identkit.deadline import Deadline
from identkit.domain import Domain
from identkit.experts import symbols
from identkit.expression import parse
from identkit.sampling import Sampler

VARIABLES = symbols(("x", "a", "b"))

ATOM = AtomFunction("h", parse("tanh(a*x + b)"), ("x",), ("a", "b"))


def sampler(text="tanh(a*x + b)", seed=0):
    atom = AtomFunction("h", parse(text), ("x",), ("a", "b"))
    return Sampler(atom, Domain.of((-3, 3)), seed, (), Deadline(30))


def search(*texts, shared=(), atoms=2, bits=512, h="tanh(a*x + b)"):
    functions, common = [parse(t) for t in texts], [parse(t) for t in shared]
    return find_witness(functions, common, atoms, sampler(h), bits, Deadline(30))


def rows(*numbers):
    return [[ball(Fraction(v)) for v in row] for row in numbers]


@pytest.mark.parametrize(
    ("value", "excluded"),
    [
        (arb(1), True), (arb(-2), True), (arb(0), False), (arb(0, 1), False),
        (arb(1, 2), False), (arb("nan"), False), (arb("inf"), False), (arb(1, 0.5), True),
    ],
)  # fmt: skip
def test_which_balls_exclude_zero(value, excluded):
    assert excludes_zero(value) is excluded


def test_a_determinant_by_hand():
    assert determinant(rows((1, 2), (3, 4))) == -2
    assert determinant(rows((2, 0, 1), (1, 3, 2), (1, 1, 4))) == 18
    assert determinant(rows((7,))) == 7


@pytest.mark.parametrize(
    ("values", "independent"),
    [
        (((0,), (3,)), True),
        (((0,), (0,)), False),
        (((1, 1), (1, 2)), True),
        (((1, 2), (2, 4), (3, 6)), False),
        (((1, 2), (2, 4), (3, 7)), True),  # the last two rows alone tell
        (((1, 0), (2, 0)), False),
        (((1, 1, 1), (1, 2, 3)), True),
        (((1, 1, 2), (1, 2, 2)), False),  # first and third
        (((1, 2, 2), (1, 1, 1)), False),  # second and third
        (((1, 1, 1), (2, 2, 3)), False),  # first and second
    ],
)
def test_pairs_by_minors(values, independent):
    assert pairwise_independent(rows(*values)) is independent


def test_columns_are_atoms_in_turn_then_what_they_share():
    tape, shared = (
        Tape([parse("a*x"), parse("b")], VARIABLES),
        Tape([parse("x**2 + 0*a")], VARIABLES),
    )
    atoms = [(Fraction(2), Fraction(3)), (Fraction(5), Fraction(7))]
    points = [(Fraction(1),), (Fraction(-2),)]
    found = evaluate(tape, atoms, points, shared, ATOM, Deadline(5))
    assert [[int(v.unique_fmpz()) for v in row] for row in found] == [
        [2, 3, 5, 7, 1],
        [-4, 3, -10, 7, 4],
    ]
    assert [len(row) for row in evaluate(tape, atoms, points, None, ATOM, Deadline(5))] == [4, 4]


def test_a_witness_has_a_determinant_that_is_not_zero():
    found = search("tanh(a*x + b)", "x*tanh(a*x + b)", shared=("1 + 0*a*b*x",))
    witness = found.witness
    assert found.tried == "1 draw(s), up to 128 bits"
    assert witness is not None
    assert (len(witness.atoms), len(witness.points), witness.precision) == (2, 5, 128)
    tape = Tape([parse("tanh(a*x + b)"), parse("x*tanh(a*x + b)")], VARIABLES)
    shared = Tape([parse("1 + 0*a*b*x")], VARIABLES)
    with precision(witness.precision):
        value = determinant(
            evaluate(tape, witness.atoms, witness.points, shared, ATOM, Deadline(5))
        )
        assert excludes_zero(value)
        assert value.overlaps(arb(witness.determinant))
        assert excludes_zero(arb(witness.determinant))


@pytest.mark.parametrize(
    ("bits", "said"),
    [(128, "up to 128 bits"), (200, "up to 200 bits"), (2048, "up to 2048 bits")],
)
def test_dependent_functions_have_no_witness(bits, said):
    found = search("a*x", "b*x", bits=bits)
    assert found.witness is None
    assert "a nonzero 4×4 determinant was sought at 4 draws" in found.tried
    assert found.tried.endswith(said)


def test_more_bits_are_taken_where_they_are_needed():
    """The two functions differ by 1e-60: not at 128 bits, at 256."""
    found = search("tanh(a*x + b)", "tanh(a*x + b) + x/10**60", atoms=1)
    assert found.witness is not None
    assert found.witness.precision == 256
    assert found.tried == "1 draw(s), up to 256 bits"
    assert search("tanh(a*x + b)", "tanh(a*x + b) + x/10**60", atoms=1, bits=128).witness is None


def test_kinks_take_points_where_functions_live():
    """Each of four relus needs points behind its own kink."""
    found = search("relu(a*x + b)", "x*relu(a*x + b)", atoms=4, h="relu(a*x + b)")
    assert found.witness is not None
    step = Tape([parse("relu(a*x + b)")], VARIABLES)
    for theta in found.witness.atoms:
        values = [
            row[0] for row in evaluate(step, [theta], found.witness.points, None, ATOM, Deadline(5))
        ]
        assert sum(v > 0 for v in values) >= 2


def test_points_are_selected_for_their_pivots():
    """relu(x - 5/2) needs a point beyond 5/2, which a tenth of them are."""
    text = "relu(x - a) + b"
    tape, theta = Tape([parse("relu(x - a)"), parse("b + 0*x")], VARIABLES), (Fraction(5, 2), 1)
    chosen, again = (
        select_points(tape, None, [theta], sampler(text), (2, 64), Deadline(5)) for _ in range(2)
    )
    assert chosen == again
    assert len(set(chosen)) == 2
    assert any(x > Fraction(5, 2) for (x,) in chosen)
    # too large for an elimination: drawn as they come
    assert select_points(tape, None, [], sampler(text), (91, 200), Deadline(5)) == sampler(
        text
    ).points(91)


BUMP = "relu(x)*relu(1/4 - x)"


@pytest.mark.parametrize("first", ["x + 0*a*b", "relu(x - 4) + 0*a*b"])
def test_points_are_selected_by_elimination(first):
    """What tells the second function from the first lives on (0, 1/4), where neither is large.

    The other first function is 0 on the domain: no pivot, and none of its rows is divided by it.
    """
    tape = Tape([parse(first), parse(f"x + {BUMP}" if first[0] == "x" else BUMP)], VARIABLES)
    theta = (Fraction(1), Fraction(1))
    chosen = select_points(tape, None, [theta], sampler(), (2, 128), Deadline(5))
    assert any(0 < x < Fraction(1, 4) for (x,) in chosen)


def test_where_functions_are_not_finite_points_are_taken_as_drawn():
    tape = Tape([parse("log(x) + 0*a*b"), parse("x")], VARIABLES)
    expected = sampler()
    expected.points(16)
    found = select_points(tape, None, [(Fraction(1), Fraction(1))], sampler(), (2, 16), Deadline(5))
    assert found == expected.points(2)


class Asked(Deadline):
    """Counts how often it is asked."""

    times = 0

    def check(self):
        self.times += 1


def test_the_deadline_is_asked_at_every_point_and_every_column():
    asked = Asked(5)
    tape = Tape([parse("a*x"), parse("b + 0*x")], VARIABLES)
    select_points(tape, None, [(Fraction(1), Fraction(1))], sampler(), (2, 16), asked)
    assert asked.times == 16 + 2


def test_functions_are_shown_to_be_distinct():
    def at(*texts):
        tape = Tape([parse(t) for t in texts], VARIABLES)
        return lambda theta, points: evaluate(tape, [theta], points, None, ATOM, Deadline(5))

    assert are_distinct(sampler(), at("tanh(a*x)", "x*tanh(a*x)", "b + x"))
    assert not are_distinct(sampler(), at("tanh(a*x)", "b*tanh(a*x)"))
    hidden = "(sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2))"
    assert not are_distinct(sampler(), at("x + 0*a*b", f"x + {hidden}*a*x**2"))


def test_nothing_is_evaluated_past_the_deadline():
    from identkit.errors import OutOfTime

    class Past(Deadline):
        def check(self):
            raise OutOfTime("over")

    with pytest.raises(OutOfTime):
        find_witness([sp.tanh(parse("a*x + b"))], [], 1, sampler(), 128, Past(1))
