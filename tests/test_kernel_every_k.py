"""The kernel on every number of atoms: functions that stay in one space, and those that move."""

from __future__ import annotations

import pytest
from by_hand import WRONG, Asked, atom_of, independent, terms

from identkit.certificates.kernel.every_k import are_independent
from identkit.certificates.kernel.field import Field, Unshown
from identkit.deadline import Deadline
from identkit.domain import EVERYWHERE
from identkit.expression import parse
from identkit.vocabulary import Quantifier

AT = (("1", "1/2", "2"),)
POLE = "(x + 4 + a**2)"

MOVING = (
    ("tanh(a*x + b)", "AB"),
    ("b*erf(x + a)", "AB"),
    ("b*erf(a*x)", "AB"),
    ("b*atan(a*x)", "AB"),
    ("b*sin(a*x)", "AB"),
    ("b*sin(a*x) + c*cos(a*x)", "BC"),
    ("b*log(1 + exp(a*x))", "AB"),
    ("b*log(x**2 + a**2 + 1)", "AB"),
    ("b*exp(a*x)", "AB"),
    ("b*exp(a*x**2 + x)", "AB"),
    ("b*exp(x*exp(a))", "AB"),
    ("b*exp(x**2*exp(a))", "AB"),
    ("b*exp(x**2*tanh(a))", "B"),
    ("b*exp(x*log(1 + a**2))", "AB"),
    ("b*exp(a*x) + c*exp(sqrt(2)*a*x)", "BC"),
    ("b*exp(a*x) + c*exp(2*a*x)", "BC"),
    ("b*exp(a*x)*log(1 + x**2)", "B"),
    ("x**2*(b*x + c)*tanh(a*x)", "BC"),
    # poles that move
    (f"b/{POLE}", "AB"),
    (f"b*x/{POLE}", "B"),
    (f"b*(x + c)/{POLE}", "AC"),
    ("b*(x + c)/(x**2 + 1 + a**2)", "BC"),
    ("b*(x**3 + c)/(x**2 + 1 + a**2)", "BC"),
    (f"b/{POLE} + c/{POLE}**2", "BC"),
    (f"b/{POLE} + c/((x + 9)*{POLE})", "B"),
    # kinks that move
    ("b*relu(x + a)", "AB"),
    ("relu(a*x + b)", "AB"),
    ("b*abs(x + a) + c*x*abs(x + a)", "BC"),
    ("b*relu(x + a)*abs(x)", "B"),
    # constants of which at most one is transcendental
    ("sqrt(2)*sqrt(3)*b*tanh(a*x)", "B"),
    ("sqrt(pi)*b*tanh(a*x)", "B"),
    ("exp(1)*b*tanh(a*x)", "B"),
    ("exp(3)*sqrt(2)*b*tanh(a*x)", "B"),
)

FIXED = (
    ("b*x + c", "BC"),
    ("b*exp(x)", "B"),
    ("b*erf(x)", "B"),
    ("b*atan(x)", "B"),
    ("b*log(1 + exp(x))", "B"),
    ("b*sin(x + a)", "AB"),
    ("b*exp(x + a)", "B"),
    ("b*exp(x + a/(1 + c**2))", "B"),
    ("b*log(exp(a)*(1 + x**2))", "B"),
    ("b*log((1 + a**2)*(1 + x**2))", "B"),
    ("b*x/(1 + x**2)", "B"),
    ("b*x/((1 + a**2)*(1 + x**2))", "B"),
    # one fixed combination of functions that move
    ("b*(x + tanh(a*x)) + c*tanh(a*x)", "BC"),
    ("b*x + c*tanh(a*x)", "BC"),
    ("(b*x + c)*(1 + tanh(a*x)) - c*tanh(a*x)", "BC"),
    (f"b*(x + c)/{POLE}", "BC"),
    (f"b*x + c/{POLE}", "BC"),
    (f"b/{POLE} + c*(1/{POLE} + 1/(x + 9))", "BC"),
    ("b*(x**2 + c)/(x**2 + 1 + a**2)", "BC"),
    # kinks that stay, or through which it is smooth
    ("b*relu(x)", "B"),
    ("b*abs(x) + c*tanh(a*x)", "BC"),
    ("b*relu(x + a) + c*(relu(x + a) + abs(x))", "BC"),
    ("b*relu(x + a) + c*(relu(x + a) + x)", "BC"),
    ("b*(abs(x + a) - 2*relu(x + a))", "B"),
)
"""Of these k atoms are dependent from some k on."""

OUT_OF_REACH = (
    ("b*sqrt(1 + a**2*x**2)", "B"),
    ("b*exp(x**2*exp(exp(a)))", "B"),
    ("b*exp(x**2*erf(a))", "B"),
    ("b*exp(x**2*sqrt(1 + a**2))", "B"),
    # transcendental constants that nobody has shown to be independent
    ("exp(pi)*b*tanh(a*x)", "B"),
    ("log(pi)*b*tanh(a*x)", "B"),
    ("log(2)*b*tanh(a*x)", "B"),
    ("exp(2)*pi*b*tanh(a*x)", "B"),
    ("exp(1)*exp(sqrt(2))*b*tanh(a*x)", "B"),
    ("sqrt(3 + 2*sqrt(2))*b*tanh(a*x)", "B"),
    ("sqrt(1 + pi)*b*tanh(a*x)", "B"),
    ("b*log(x**2 + exp(a) + 1)", "B"),
    ("b*log(3 + a**2 + sin(a*x))", "B"),
    ("b*log(3 + tan(a*x/4)**2)", "B"),
)
"""Independent or not: nothing is shown."""


def claim(text, names):
    asked = Asked(text, names, "abc", k=1)
    return asked, independent(asked, AT, every_k=True, quantifier=Quantifier.OPEN_SET)


@pytest.mark.parametrize(("text", "names"), MOVING)
def test_what_moves_is_independent_for_every_k(text, names):
    asked, proof = claim(text, names)
    asked.check(proof)


@pytest.mark.parametrize(("text", "names"), [*FIXED, *OUT_OF_REACH])
def test_what_stays_is_not(text, names):
    asked, proof = claim(text, names)
    asked.refuses(proof, "every number of atoms", Unshown)


@pytest.mark.parametrize(
    ("text", "combination", "dimension"),
    [
        ("b*x", {"B": "1"}, 1),
        ("b*abs(x)", {"B": "1"}, 1),
        ("b*(x + x**3)", {"B": "1"}, 1),
        ("b*(x + a*x**3)", {"B": "1"}, 2),
        ("b*(x + a)**2", {"B": "1"}, 3),
        ("b*(x**2 + a)", {"B": "1"}, 2),
        ("b*x/(1 + x**2)", {"B": "1"}, 1),
        ("b*exp(x + a)", {"B": "1"}, 1),
        ("b*sin(x + a)", {"B": "1"}, 2),
        ("b*(relu(x) + a*relu(-x))", {"B": "1"}, 2),
        ("b*relu(x + a) + c*(relu(x + a) + x)", {"C": "1", "B": "-1"}, 1),
        ("b*(x*Max(a, 0) + x**2*Max(-a, 0))", {"B": "1"}, 2),  # for a > 0 it is x, else x²
        ("b*(relu(x + a) - relu(-x - a))", {"B": "1"}, 2),  # x + a
        ("b*(x/(1 + a**2) + x**2/(2 + a**2))", {"B": "1"}, 2),
    ],
)
def test_spaces_that_hold_a_function_whatever_the_parameters(text, combination, dimension):
    asked = Asked(text, [*combination], "abc", k=5)
    options = {"quantifier": Quantifier.OPEN_SET}
    asked.check(asked.fixed(terms(**combination), dimension=dimension, atoms=dimension + 1,
                            **options))  # fmt: skip
    for other in {0, 1, 2, 3, 4} - {dimension}:
        wrong = asked.fixed(terms(**combination), dimension=other, atoms=other + 1, **options)
        asked.refuses(wrong, "dimension|fixed")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "b*tanh(a*x)",
            "b*relu(x + a)",
            "b*(relu(x + a) - 2*relu(-x - a))",
            "b/(x**2 + 2 + a**2)",
        ),
        *("b*exp(a*x)", "b*abs(x)*relu(x + a)", "b*relu(x)*tanh(a*x)"),
        "b*(x*Max(a, 0) + relu(x + a)*Max(-a, 0))",  # for a > 0 only it is x
    ],
)
def test_what_moves_is_in_no_space(text):
    asked = Asked(text, "B", "ab", k=5)
    for dimension in range(4):
        proof = asked.fixed(terms(B="1"), dimension=dimension, atoms=dimension + 1)
        with pytest.raises(WRONG):
            asked.check(proof)


@pytest.mark.parametrize(
    ("kind", "first", "dependent", "independent_"),
    [
        ("erf", "a*x", "-a*x", "2*a*x"),
        ("exp", "a*x", "2*a*x", "3*a*x + b*x**2"),
        ("tan", "a*x", "-a*x/3", "a*x + x**2*b"),
        ("log", "1 + a**2*x**2", "(1 + a**2*x**2)**2", "3 + a**2*x**2"),
        ("atan", "a*x", "-a*x", "2*a*x"),
    ],
)
def test_generators_that_depend_on_each_other(kind, first, dependent, independent_):
    """Conversion makes one generator of them; taken for two, they are not independent."""
    for second, expected in ((dependent, False), (independent_, True)):
        field = Field(atom_of("a*x + b"), EVERYWHERE.sides(1), [], {}, Deadline(60))
        field.kernel(kind, field.convert(parse(first)))
        assert are_independent(field, [])
        field.kernel(kind, field.convert(parse(second)))
        assert len(field.kernels) == 2
        assert are_independent(field, []) is expected
