"""Expressions: noise, damage, depth, length, constants, hidden constants, kinks, own gates.

What is at stake is not the verdict but that there is one: success, or one sentence and exit code 2,
within the time limit, SLACK and the memory that a child process may take.
"""

from __future__ import annotations

import contextlib
import io
import random
import re
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from identkit.bounded import MEMORY
from identkit.cli import main
from identkit.expression import FUNCTIONS

LIMITS = (*(0.1,) * 9, 1.0)
"""Seconds that a check may take, one of these at random."""
SLACK = 2.0
_UNARY = [name for name in FUNCTIONS if name not in ("Max", "Min")]
_VALID = (
    "c*tanh(a*x + b)", "relu(a*x0 + b*x1)", "Max(a*x, 0) - Min(b, x)", "gelu(a*x)/(1 + exp(-c))",
    "(a*x + b)**3", "sqrt(a**2 + 1)*x", "abs(a)*x + sin(b*x)", "log(1 + exp(a*x0 - b*x1))",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Arguments of the command line."""

    kind: str
    limit: float
    arguments: tuple[str, ...]


def cases(count: int, seed: int) -> Iterator[Case]:
    """``count`` cases, every kind as often as any other."""
    rng = random.Random(seed)
    kinds = list(_KINDS)
    for i in range(count):
        kind = kinds[i % len(kinds)]
        text, limit = _KINDS[kind](rng), rng.choice(LIMITS)
        arguments = (*_arguments(text, kind, rng), "--time-limit", str(limit))
        yield Case(kind, limit, arguments)


def attempt(case: Case, folder: Path) -> str:
    """Check the expression, in this process: ``accepted`` (exit code 0 or 3) or ``refused``."""
    out, err = io.StringIO(), io.StringIO()
    began = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(case.arguments)
    seconds = time.monotonic() - began
    assert seconds < case.limit + SLACK, f"{seconds:.1f} s: {case}"
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert largest < MEMORY + 2**29, f"{largest} bytes: {case}"
    if code in (0, 3):
        assert not err.getvalue(), f"{err.getvalue()}: {case}"
        return "accepted"
    sentence = err.getvalue()
    assert code == 2, f"exit {code}, {sentence}: {case}"
    assert sentence.startswith("identkit: "), f"{sentence}: {case}"
    assert sentence.count("\n") == 1, f"{sentence}: {case}"
    assert sentence[:-1].isprintable(), f"{sentence!r}: {case}"
    assert not out.getvalue(), f"{out.getvalue()}: {case}"
    return "refused"


def _arguments(text: str, kind: str, rng: random.Random) -> tuple[str, ...]:
    if kind == "gate":
        return ("check", "--expr", "tanh(a*x)", "--gate", f" {text}")
    gate = rng.choice(("sigmoid", "softmax"))
    command = rng.choice(("check", "check", "explain"))
    form = rng.choice(((), ("--json",), ("--latex",)))
    return (command, "--expr", f" {text}", "--gate", gate, *form)


# -- texts ------------------------------------------------------------------------------------


def _noise(rng: random.Random) -> str:
    length = rng.choice((1, 5, 30, 200, 3000))
    if rng.random() < 0.3:
        return bytes(rng.randrange(256) for _ in range(length)).decode("latin-1")
    letters = rng.choice(("()+-*/^., xab019e_", "".join(map(chr, range(32, 127))), "(((--**,"))
    return "".join(rng.choice(letters) for _ in range(length))


def _damaged(rng: random.Random) -> str:
    text = rng.choice(_VALID)
    for _ in range(rng.randrange(1, 5)):
        i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        piece = rng.choice(("", "(", ")", "**", "/0", "x", "1e99", ",", "-", "é", text[i:j] * 2))
        text = text[:i] + piece + text[rng.choice((i, j)) :]
        text = text or "x"
    return text


def _deep(rng: random.Random) -> str:
    depth = rng.choice((3, 6, 10, 20, 35, 60))
    names = [rng.choice((*_UNARY, "Max", "Min", "", "1/", "-", "2**")) for _ in range(depth)]
    if rng.random() < 0.5:
        names = [names[0]] * depth
    text = rng.choice(("x", "a*x + b", "a*x0 + b*x1 + c", "1"))
    for name in names:
        more = f", {rng.choice(('0', 'x', '-b', '1/3'))}" if name in ("Max", "Min") else ""
        text = f"{name}({text}{more})"
        if rng.random() < 0.2:
            text = f"{rng.choice(('a*', '1 - ', '(1 + x)**2*', 'x/'))}{text}"
    return f"c*{text} + a*x"


def _long(rng: random.Random) -> str:
    count, joint = rng.choice((5, 12, 40, 140, 400)), rng.choice((" + ", "*", " - ", "/", ", "))
    term = rng.choice(
        ("tanh(a{0}*x + b{0})", "c{0}*tanh(a*x)", "x{0}", "(x + {0})", "sin({0}*x)", "a*x**{0}",
         "exp(a*x/{0})", "log(x**2 + {0})", "sqrt({0})*a*x", "relu(a*x - {0})")
    )  # fmt: skip
    terms = [term.format(i + 1) for i in range(count)]
    if joint == ", ":
        return f"{rng.choice(('Max', 'Min', 'tanh'))}({joint.join(terms)})*a*x"
    head = f"tanh({joint.join(terms)})" if rng.random() < 0.3 else joint.join(terms)
    return f"{head}{rng.choice((' + b*x', '*a', ''))}"


def _constant(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.1:
        digits = "".join(rng.choice("0123456789") for _ in range(rng.choice((1, 2, 30, 120, 400))))
        return rng.choice(
            (str(rng.randrange(12)), digits, f"0.{digits}", f"1e{rng.choice((-99, -9, 38, 99))}",
             "pi", f"{rng.randrange(1, 99)}/{rng.randrange(1, 99)}")
        )  # fmt: skip
    if rng.random() < 0.4:
        left, right = _constant(rng, depth - 1), _constant(rng, depth - 1)
        return f"({left}){rng.choice(('+', '-', '*', '/', '**'))}({right})"
    if rng.random() < 0.2:
        return f"({_constant(rng, depth - 1)})**{rng.choice(('(1/2)', '(99/100)', '-3', '100'))}"
    return f"{rng.choice(_UNARY)}({_constant(rng, depth - 1)})"


def _constants(rng: random.Random) -> str:
    number = _constant(rng, rng.randrange(1, 6))
    return rng.choice(
        ("a*x*({})", "tanh(a*x + {})", "({})*a*x + b", "relu(a*x - ({}))", "a*x/({})",
         "abs({})*a*x", "Max(a*x, {})", "exp(a*x + ({}))", "(a*x)**({})", "({})**(a*x)",
         "sqrt({})*a*x", "log({})*a*x")
    ).format(number)  # fmt: skip


def composed(rng: random.Random) -> str:
    inputs = ["x"] if (count := rng.randrange(1, 4)) == 1 else [f"x{i}" for i in range(count)]

    def part(depth: int) -> str:
        if depth == 0 or rng.random() < 0.1:
            return rng.choice((*inputs, "a", "b", "c", "2", "1/3", "pi"))
        roll = rng.random()
        if roll < 0.45:
            left, right = part(depth - 1), part(depth - 1)
            return f"({left} {rng.choice(('+', '-', '*', '*', '/'))} {right})"
        if roll < 0.55:
            return f"({part(depth - 1)})**{rng.choice(('2', '3', '-1', '(1/2)', '(2/3)', 'a'))}"
        if roll < 0.65:
            return f"{rng.choice(('Max', 'Min'))}({part(depth - 1)}, {part(depth - 1)})"
        return f"{rng.choice(_UNARY)}({part(depth - 1)})"

    linear = " + ".join(f"a{i}*{name}" for i, name in enumerate(inputs))
    return f"{part(rng.randrange(1, 5))}*({linear})" if rng.random() < 0.5 else part(4)


def hidden(rng: random.Random) -> str:
    """Constants that only an identity shows to be constant, and zeros that only one shows."""
    z = rng.choice(("a*x + b", "a*x", "a*x**2", "x0*a + x1*b", "sqrt(2)", "1", "a", "tanh(a*x)"))
    constant = rng.choice(
        ("sin({0})**2 + cos({0})**2", "cosh({0})**2 - sinh({0})**2", "exp({0})*exp(-({0}))",
         "log(exp({0})) - ({0})", "sigmoid({0}) + sigmoid(-({0}))", "relu({0}) - relu(-({0}))",
         "tan({0})*cos({0}) - sin({0})", "abs({0})**2 - ({0})**2", "(({0}) + 1)**2 - ({0})**2",
         "2*sinh({0})*cosh({0}) - sinh(2*({0}))", "Max({0}, 0) + Min({0}, 0)",
         "erf({0}) + erf(-({0}))", "silu({0}) - ({0})*sigmoid({0})", "sqrt(({0})**2) - abs({0})",
         "sqrt(2) + sqrt(3) - sqrt(5 + 2*sqrt(6))", "atan(1) - pi/4")
    ).format(z)  # fmt: skip
    return rng.choice(
        ("{}", "a*x + {}", "a*x*({})", "tanh(a*x + {})", "a*x/({})", "a*x/({} - 1)", "log({})*a*x",
         "sqrt({} - 1)*a*x", "relu({})*a*x", "({})**(a*x)", "exp({})*a*x", "abs({} - 1) + a*x")
    ).format(constant)  # fmt: skip


def piecewise(rng: random.Random) -> str:
    def form() -> str:
        return rng.choice(
            ("a*x + b", "x", "b", "c", "0", "1", "-1/2", "a*x", "abs(x - b)", "relu(x)", "x**2",
             "sqrt(a**2)*x", "abs(a)*x + b", "sqrt(b**2)", "Max(a, 0)*x")
        )  # fmt: skip

    def part(depth: int) -> str:
        if depth == 0:
            return form()
        name = rng.choice(("Max", "Min", "relu", "abs", "plus"))
        inner = [part(depth - 1) for _ in range(rng.randrange(2, 5))]
        if name == "plus":
            return f"({' - '.join(inner)})"
        return f"{name}({', '.join(inner if name in ('Max', 'Min') else inner[:1])})"

    return f"{part(rng.randrange(1, 4))}{rng.choice(('', ' + a*x', '*a*x'))}"


def vector(rng: random.Random) -> str:
    """Several components: of any kind, empty, constant, or 0."""
    kinds = (composed, composed, hidden, piecewise, lambda _: rng.choice(_VALID))
    more = ("0", "x", "c", "a*b", "x1*a")
    parts = [
        rng.choice(more) if rng.random() < 0.3 else rng.choice(kinds)(rng)
        for _ in range(rng.choice((2, 2, 2, 3, 5)))
    ]
    if rng.random() < 0.9:
        # one component may write x, another x0
        parts = [re.sub(r"\bx\b", "x0", part) for part in parts]
    if rng.random() < 0.1:
        parts = rng.choice(([*parts, ""], ["", *parts], parts * 9, [_damaged(rng), *parts]))
    return rng.choice(("; ", ";", " ; ")).join(parts)


def _gate(rng: random.Random) -> str:
    weight = rng.choice((composed, piecewise, _deep, _damaged, hidden))(rng)
    weight = re.sub(r"\b(x[012]?|[abc][012]?)\b", lambda _: rng.choice(("s", "s", "2")), weight)
    weight = f"1 + ({weight})**2" if rng.random() < 0.3 else weight
    return f"normalised {weight}" if rng.random() < 0.3 else weight


_KINDS: dict[str, Callable[[random.Random], str]] = {
    "noise": _noise,
    "damaged": _damaged,
    "deep": _deep,
    "long": _long,
    "constants": _constants,
    "composed": composed,
    "hidden": hidden,
    "piecewise": piecewise,
    "vector": vector,
    "gate": _gate,
}
