"""The whitelisted parser: what it reads, what it refuses, and that it never evaluates."""

from __future__ import annotations

import contextlib
import time

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from identkit import Expert, ExpressionError, InputError
from identkit.expression import FUNCTIONS, MAX_BRACKETS, Step, parse, symbol


def test_powers_of_a_step_in_latex():
    step = Step(symbol("x"))
    assert sp.latex(step) == r"\mathbf{1}_{>0}\left(x\right)"
    assert sp.latex(step**2) == r"\mathbf{1}_{>0}^{2}\left(x\right)"
    assert sp.latex(parse("(relu(a*x) + relu(b)/x)**2").subs(symbol("x"), 1)).count("{2}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2*x + 1/4", 2 * symbol("x") + sp.Rational(1, 4)),
        ("0.1", sp.Rational(1, 10)),
        ("1e-3", sp.Rational(1, 1000)),
        ("+x - -x", 2 * symbol("x")),
        ("sin(pi)", sp.Integer(0)),
        ("sqrt(4)", sp.Integer(2)),
        ("sigmoid(x)", 1 / (1 + sp.exp(-symbol("x")))),
        ("Min(x, 1) + Max(x, 1)", None),
    ],
)
def test_values(text, expected):
    value = parse(text)
    if expected is not None:
        assert value == expected
    else:
        for number in (-2, sp.Rational(1, 2), 3):
            assert value.subs(symbol("x"), number) == number + 1


@pytest.mark.parametrize("number", [-3, sp.Rational(-1, 7), 2])
def test_piecewise_linear_functions(number):
    x = symbol("x")
    assert parse("relu(x)").subs(x, number) == max(number, 0)
    assert parse("abs(x)").subs(x, number) == abs(number)
    assert parse("Max(x, 0, -5)").subs(x, number) == max(number, 0, -5)
    assert parse("sqrt(x**2)").subs(x, number) == abs(number)


def test_derivative_of_a_step_is_zero_almost_everywhere():
    x = symbol("x")
    assert sp.diff(parse("relu(x)"), x) == Step(x)
    assert sp.diff(parse("relu(x)"), x, 2) == 0


MALICIOUS = [
    "__import__('os').system('x')",
    "().__class__.__bases__[0]",
    "x.__class__",
    "lambda: 0",
    "[x for x in (1,)]",
    "exec('1')",
    "eval('1')",
    "open('/etc/passwd')",
    "x if x else x",
    "f'{x}'",
    "x[0]",
    "x == 1",
    "x := 3",
    "*x",
    "tanh(*x)",
    "tanh(z=x)",
    "print(x)",
    "'a'*10",
    "True",
    "None",
    "1j*x",
    "0x10*x",
    "@",
    "x;x",
    "x\n=1",
    "a*x + b )",
    "x^2",
    "x // 2",
    "x % 2",
    "__x",
    "a__b*x",
    "",
    "   ",
    "tanh",
    "tanh(x, x)",
    "tanh()",
    "x(2)",
]


@pytest.mark.parametrize("text", MALICIOUS)
def test_refused_with_one_sentence(text):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith("expression: ")
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    "text",
    [
        "x**1000000000",
        "2**(10**9)*x",
        "x**(10**9)",
        "((x**100)**100)**100",
        "10**10**10",
        "1e999999999*x",
        "(((9**99)**99)**99)*x",
        "(" * (MAX_BRACKETS + 1) + "x" + ")" * (MAX_BRACKETS + 1),
        "+".join(["x"] * 1000),
        "-" * 200 + "x",
        "exp(" * 100 + "x" + ")" * 100,
        "x*" * 3000 + "x",
        "1/0*x",
        "x/(1-1)",
        "log(0)*x",
        "log(-1)*x",
        "sqrt(-1)*x",
        "0**(-1)*x",
        "tan(pi/2)*x",
        "((-1)**(1/3) - 1)*x*a",
        "(-8)**(1/3)*x",
        "(-2)**(a*x)",
        "a*x # comment",
        "a*x\x1b[2J",
        "a*β",
    ],
)
def test_sizes_and_singular_constants(text):
    with pytest.raises(ExpressionError):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        message = str(parse(text))
    except ExpressionError as refusal:
        message = str(refusal)
    assert "\n" not in message


def nested(name, depth, inner="a*x + b"):
    """name(…name(inner)…)."""
    return f"{name}(" * depth + inner + ")" * depth


GROWING = [
    *(nested(name, depth) for name in FUNCTIONS for depth in (20, 39)),
    *(nested(name, 20, "1/x") for name in FUNCTIONS),
    *(f"{name}(b, " * 20 + "a*x" + ")" * 20 for name in ("Max", "Min")),
    *(f"{name}({', '.join(f'a{i}*x + {i}' for i in range(n))})" for name in ("Max", "Min")
      for n in (20, 60)),
    "sqrt(1 + (" * 15 + "a*x" + ")**2)" * 15,
    "abs(abs(x - 1) - " * 15 + "a" + ")" * 15,
    "a*x/silu(" * 20 + "x" + ")" * 20,
    "*".join(f"(a*x + {i})" for i in range(140)),
    "sqrt(2)*a*x + " + " + ".join(f"sqrt({p})" for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31)),
    "a*x*abs(sqrt(2) + sqrt(3) - sqrt(5 + 2*sqrt(6)))",
    f"a*x*{'9' * 120}**(99/100)",
    f"a*x*exp(99*log({'9' * 120})/100)",
    f"a*x*(({'9' * 120})**(1/100))**99",
    "a*x*" + "*".join([f"{'9' * 120}**(1/100)"] * 12),
]  # fmt: skip


@pytest.mark.parametrize("text", GROWING, ids=lambda text: text[:24])
def test_read_or_refused_in_no_time(text):
    """Whatever doubles with each level, in the tree or in SymPy's own search."""
    began = time.monotonic()
    with contextlib.suppress(ExpressionError):
        parse(text)
    assert time.monotonic() - began < 3  # a tenth of that on an idle machine


@pytest.mark.parametrize(
    "text", [nested("relu", 20), "Max(b, " * 20 + "a*x" + ")" * 20, nested("silu", 20)]
)
def test_what_would_grow_is_refused(text):
    with pytest.raises(ExpressionError, match="written out it has more than"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [nested("exp", 4, "1"), "exp(exp(10))", "sinh(1e38)", "cosh(400)", "exp(-1000)"],
)
def test_constants_out_of_range(text):
    with pytest.raises(ExpressionError, match=r"is out of range; rescale"):
        parse(f"a*x*({text})")


@settings(max_examples=25)
@given(st.lists(st.fractions(-5, 5), min_size=1, max_size=6))
def test_max_and_min_of_several(numbers):
    """The values at ties too, where an argument that is not chosen must not count twice."""
    names = [f"a{i}" for i in range(len(numbers))]
    at = {
        symbol(n): sp.Rational(v.numerator, v.denominator)
        for n, v in zip(names, numbers, strict=True)
    }
    for name, of in (("Max", max), ("Min", min)):
        value = parse(f"{name}({', '.join(names)})").subs(at, simultaneous=True)
        assert value == sp.Rational(of(numbers).numerator, of(numbers).denominator)


def test_unknown_function_suggests_the_nearest():
    with pytest.raises(ExpressionError, match="unknown function 'gellu'; did you mean gelu"):
        parse("gellu(x)")


def test_inputs_and_parameters():
    expert = Expert.from_expression("c*tanh(a*x + b)")
    assert (expert.inputs, expert.parameters) == (("x",), ("c", "a", "b"))
    expert = Expert.from_expression("tanh(a*x0 + b*x2)", dim=4)
    assert expert.inputs == ("x0", "x1", "x2", "x3")
    expert = Expert.from_expression("tanh(a*x0 + x1)", parameters=("a", "x1"))
    assert (expert.inputs, expert.parameters) == (("x0",), ("a", "x1"))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a + b", {}),
        ("tanh(x)", {}),
        ("tanh(a*x) + tanh(b*x0)", {}),
        ("tanh(a*x)", {"dim": 2}),
        ("tanh(a*x1)", {"dim": 1}),
        ("tanh(a*x + b)", {"parameters": ("a",)}),
        ("tanh(a*x)", {"parameters": ("a", "b")}),
        ("tanh(a*x)", {"parameters": ("a+b",)}),
        ("tanh(a*x9999)", {}),
        ("x - x + a", {}),
    ],
)
def test_experts_that_cannot_be(text, options):
    with pytest.raises(InputError):
        Expert.from_expression(text, **options)
