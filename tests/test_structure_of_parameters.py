"""Hidden constants, slopes with a sign of their own, and constants out of range: a right verdict,
``undecided`` with a reason, or one sentence. The right value comes from rational ranks."""

from __future__ import annotations

import random

import pytest
import sympy as sp
from amounts import amount

from identkit import Expert, IdentkitError, check, interactions
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.expression import FUNCTIONS
from identkit.report import explain
from identkit.results import CheckResult

GATES = ("softmax", "sigmoid")
ZEROS = (
    "sin({z})**2 + cos({z})**2 - 1",
    "cosh({z})**2 - sinh({z})**2 - 1",
    "tanh({z}) - sinh({z})/cosh({z})",
    "tan({z})*cos({z}) - sin({z})",
    "sigmoid({z}) + sigmoid(-({z})) - 1",
    "softplus({z}) - softplus(-({z})) - ({z})",
    "relu({z}) - relu(-({z})) - ({z})",
    "Max({z}, -({z})) - abs({z})",
    "(({z}) + 1)**2 - ({z})**2 - 2*({z}) - 1",
    "gelu({z}) - gelu(-({z})) - ({z})",
)
"""What is 0 for every z, by another identity each."""
SLOPES = (
    "abs(a)", "relu(a)", "sqrt(a**2)", "Max(a, b)", "Min(a, 2*a)", "a*abs(b)", "abs(a - b)",
    "abs(relu(a))", "Max(a, 0, b)", "exp(abs(a))",
)  # fmt: skip


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("zero", ZEROS)
def test_a_hidden_constant_is_no(zero, gate):
    """∂h/∂a ≡ 0 where h is 1 plus nothing, whatever the gate."""
    expert = Expert.from_expression(f"1 + {zero.format(z='a*x + b')}")
    result = check(expert, gate, time_limit=30)
    assert {r.verdict for r in result.results} == {"no"}
    assert verify(result.certificate())
    assert explain.markdown(result)
    assert interactions(expert, [("a",), ("b",)]).vanishing == ("∂U/∂a", "∂U/∂b")


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    ("outer", "slope"),
    [
        *(("tanh", slope) for slope in SLOPES),
        *(("gelu", slope) for slope in SLOPES[:3]),
        *(pytest.param("relu", slope, marks=pytest.mark.slow) for slope in SLOPES),
    ],
)
def test_a_slope_with_a_sign(outer, slope, gate):
    """Never an error, never a verdict that a sign of the parameters contradicts."""
    expert = Expert.from_expression(f"{outer}({slope}*x + b)")
    result = check(expert, gate, time_limit=10, atoms=2)
    for r in result.results:
        if r.verdict == "undecided":
            assert all(p.notes for p in r.proofs)
            continue
        signs = {_dead_derivative(expert, a, b) for a in (2, -2) for b in (1, 3, -3)}
        assert r.verdict != "no" or signs == {True} or r.proofs[0].kind != "relation"
        assert r.verdict != "yes" or False in signs
        assert r.quantifier != "almost-every" or r.verdict == "no"
    assert verify(result.certificate())


def _dead_derivative(expert: Expert, a: int, b: int) -> bool:
    """Whether ∂h/∂a is 0 at rational points around these parameters."""
    x, pa, pb = (sp.Symbol(n, real=True) for n in ("x", "a", "b"))
    slope = sp.diff(expert.expression, pa)
    points = [sp.Rational(i, 7) for i in range(-20, 21, 3)]
    values = [slope.subs({x: at, pa: a, pb: b}).doit() for at in points]
    return all(v == 0 for v in values)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"Max", "Min"}))
@pytest.mark.parametrize("number", ["1e38", "-1e38", "1e-38", "1e3", "0", "exp(50)", "exp(exp(9))"])
def test_constants_far_out(name, number):
    """A constant is computed with, or refused in one sentence; SymPy never writes its digits."""
    for text in (f"a*x*sigmoid({name}({number}))", f"{name}({number}*a*x + b)"):
        answer = _answer(text, "softmax", atoms=1)
        assert isinstance(answer, CheckResult) or "\n" not in answer


def _answer(text: str, gate: str, **options: int) -> CheckResult | str:
    """The result, or the sentence of a refusal; anything else is raised."""
    try:
        return check(Expert.from_expression(text), gate, time_limit=2, **options)
    except IdentkitError as refused:
        return str(refused)


def test_the_issue_on_the_command_line(capsys):
    assert main(["check", "--expr", "a*x*sigmoid(sinh(1e38))", "--gate", "softmax"]) == 2
    told = capsys.readouterr().err
    assert "'sinh(1e38)' is out of range" in told
    assert told.count("\n") == 1


def _expression(rng: random.Random, depth: int) -> str:
    """Any expression of the grammar, some of it hidden constants and signs of parameters."""
    choice = rng.random()
    if depth == 0 or choice < 0.15:
        return rng.choice(("a*x + b", "c*x", "abs(a)*x + b", "x", "a", "relu(b)", "2", "pi"))
    inner = _expression(rng, depth - 1)
    if choice < 0.45:
        return f"{rng.choice(sorted(set(FUNCTIONS) - {'Max', 'Min'}))}({inner})"
    if choice < 0.55:
        return f"({inner} + {rng.choice(ZEROS).format(z='a*x')})"
    if choice < 0.65:
        return f"({inner})**{rng.choice(('2', '-1', '1/2', 'c', '3'))}"
    other = _expression(rng, depth - 1)
    if choice < 0.75:
        return f"{rng.choice(('Max', 'Min'))}({inner}, {other})"
    return f"({inner} {rng.choice('+-*/')} {other})"


@pytest.mark.parametrize(
    ("count", "seed"), [(amount(10, 25), 1), pytest.param(1500, 2, marks=pytest.mark.slow)]
)
def test_nothing_but_verdicts_and_sentences(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        text, gate = _expression(rng, 2), rng.choice(GATES)
        answer = _answer(text, gate, atoms=2)
        assert isinstance(answer, CheckResult) or "\n" not in answer, text
        assert isinstance(answer, str) or (str(answer) and explain.latex(answer)), text
