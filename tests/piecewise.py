"""Piecewise-polynomial experts: a generator, and exact ranks by a route of their own.

Nothing of the prover is used: expressions are evaluated by second-order forward differentiation
over the rationals, the kinks decided by the sign of their argument at the point, and ranks are
those of rational matrices modulo a prime. Full rank at some parameters and points is a proof; a
smaller rank at many points, some on both sides of every kink met, is overwhelming evidence.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from flint import fmpq, nmod_mat

from identkit.conditions import BasisFunction, FunctionSet
from identkit.results import SetProof

PRIME = 2**61 - 1
"""Ranks are taken modulo it: full rank there is full rank over Q."""
POINTS_PER_FUNCTION = 4
REFINEMENTS = 3
"""Sets of points before a rank below full is believed: the later ones surround the kinks."""


class OnKink(Exception):
    """The point lies on a kink, where the expert has no derivative."""


@dataclass(frozen=True)
class Jet:
    """Value, gradient and Hessian in the parameters, all rational."""

    value: fmpq
    first: tuple[fmpq, ...]
    second: tuple[tuple[fmpq, ...], ...]

    def __add__(self, other: Jet) -> Jet:
        return Jet(
            self.value + other.value,
            tuple(a + b for a, b in zip(self.first, other.first, strict=True)),
            tuple(
                tuple(a + b for a, b in zip(r, s, strict=True))
                for r, s in zip(self.second, other.second, strict=True)
            ),
        )

    def scaled(self, factor: fmpq) -> Jet:
        """factor·self, for a rational factor."""
        return Jet(
            factor * self.value,
            tuple(factor * a for a in self.first),
            tuple(tuple(factor * a for a in row) for row in self.second),
        )

    def __mul__(self, other: Jet) -> Jet:
        q = range(len(self.first))
        return Jet(
            self.value * other.value,
            tuple(self.first[i] * other.value + self.value * other.first[i] for i in q),
            tuple(
                tuple(
                    self.second[i][j] * other.value
                    + self.first[i] * other.first[j]
                    + self.first[j] * other.first[i]
                    + self.value * other.second[i][j]
                    for j in q
                )
                for i in q
            ),
        )

    def inverse(self) -> Jet:
        if self.value == 0:
            raise OnKink
        v, q = 1 / self.value, range(len(self.first))
        return Jet(
            v,
            tuple(-v * v * self.first[i] for i in q),
            tuple(
                tuple(
                    2 * v**3 * self.first[i] * self.first[j] - v * v * self.second[i][j] for j in q
                )
                for i in q
            ),
        )


class Expert:
    """An expression of + - * / ** and abs, relu, Min, Max, evaluated exactly."""

    def __init__(self, text: str, inputs: Sequence[str], parameters: Sequence[str]) -> None:
        self.tree = ast.parse(text, mode="eval").body
        self.inputs, self.parameters = tuple(inputs), tuple(parameters)
        q = len(self.parameters)
        self.zeros = (fmpq(0),) * q
        self.decisions: list[int] = []
        self.flat = (self.zeros,) * q
        self.units = [tuple(fmpq(int(i == j)) for j in range(q)) for i in range(q)]

    def _constant(self, value: fmpq | Fraction | int) -> Jet:
        return Jet(_exact(value), self.zeros, self.flat)

    def at(self, x: Sequence[fmpq | Fraction], theta: Sequence[fmpq | Fraction]) -> Jet:
        """h with its derivatives. Raises OnKink where there are none."""
        known = {n: self._constant(v) for n, v in zip(self.inputs, x, strict=True)}
        for name, v, unit in zip(self.parameters, theta, self.units, strict=True):
            known[name] = Jet(_exact(v), unit, self.flat)
        self.decisions = []
        return self._value(self.tree, known)

    def branch(self, x: Sequence[Fraction], theta: Sequence[Fraction]) -> tuple[int, ...]:
        """Which argument each Min, Max, abs and relu takes at a point; () on a kink."""
        try:
            self.at(x, theta)
        except OnKink:
            return ()
        return tuple(self.decisions)

    def _value(self, node: ast.expr, known: dict[str, Jet]) -> Jet:
        match node:
            case ast.Constant():
                return self._constant(Fraction(str(node.value)))
            case ast.Name():
                return known[node.id]
            case ast.UnaryOp():
                return self._value(node.operand, known).scaled(fmpq(-1))
            case ast.BinOp(op=ast.Pow()):
                assert isinstance(node.right, ast.Constant)
                base, power = self._value(node.left, known), self._constant(1)
                for _ in range(int(str(node.right.value))):
                    power = power * base
                return power
            case ast.BinOp():
                left, right = self._value(node.left, known), self._value(node.right, known)
                if isinstance(node.op, ast.Add):
                    return left + right
                if isinstance(node.op, ast.Sub):
                    return left + right.scaled(fmpq(-1))
                constant = left.second is self.flat and left.first is self.zeros
                if constant and isinstance(node.op, ast.Mult):
                    return right.scaled(left.value)
                return left * (right if isinstance(node.op, ast.Mult) else right.inverse())
            case ast.Call(func=ast.Name(id=name)):
                values = [self._value(a, known) for a in node.args]
                if name in ("relu", "abs"):
                    values.append(
                        self._constant(0) if name == "relu" else values[0].scaled(fmpq(-1))
                    )
                chosen = 0
                for n in range(1, len(values)):
                    old, new = values[chosen], values[n]
                    if new.value == old.value and new != old:
                        raise OnKink
                    if new.value != old.value and (new.value < old.value) == (name == "Min"):
                        chosen = n
                self.decisions.append(chosen)
                return values[chosen]
        raise AssertionError(ast.dump(node))

    def functions(
        self,
        basis: Sequence[BasisFunction],
        x: Sequence[fmpq | Fraction],
        theta: Sequence[fmpq | Fraction],
    ) -> list[fmpq]:
        """The values of a condition's functions."""
        jet, values = self.at(x, theta), []
        places = {name: i for i, name in enumerate(self.parameters)}
        at_x = dict(zip(self.inputs, map(_exact, x), strict=True))
        for function in basis:
            value = fmpq(1)
            for name in function.inputs:
                value *= at_x[name]
            for factor in function.factors:
                derivative: object = (jet.value, jet.first, jet.second)[len(factor)]
                for name in factor:
                    derivative = derivative[places[name]]  # type: ignore[index]
                value *= derivative  # type: ignore[operator]
            values.append(value)
        return values


def _exact(value: fmpq | Fraction | int) -> fmpq:
    if isinstance(value, fmpq):
        return value
    return fmpq(Fraction(value).numerator, Fraction(value).denominator)


# -- the rank after the coincidence rule --------------------------------------------------------


def points(count: int, dim: int, rng: random.Random, width: int = 3) -> list[tuple[Fraction, ...]]:
    """Rational points of [-width, width]^dim."""
    return [
        tuple(Fraction(rng.randrange(1, 4096) * 2 * width, 4096) - width for _ in range(dim))
        for _ in range(count)
    ]


def around_kinks(
    expert: Expert,
    atoms: Sequence[Sequence[Fraction]],
    found: Sequence[tuple[Fraction, ...]],
    stride: int,
) -> list[tuple[Fraction, ...]]:
    """Points on both sides of each kink met between neighbours, and between those kinks."""

    def branches(x: tuple[Fraction, ...]) -> list[tuple[int, ...]]:
        return [expert.branch(x, theta) for theta in atoms]

    line = sorted(found)[::stride]
    result = list(line)
    for x, y in pairwise(line):
        waiting, stops = [(x, branches(x), y, branches(y), 12)], []
        while waiting:
            low, at_low, high, at_high, depth = waiting.pop()
            if at_low == at_high or not depth:
                stops += [low, high]
                continue
            middle = tuple(a + (b - a) * Fraction(31, 64) for a, b in zip(low, high, strict=True))
            at = branches(middle)
            waiting += [
                (low, at_low, middle, at, depth - 1),
                (middle, at, high, at_high, depth - 1),
            ]
        stops = sorted(set(stops))
        for a, b in pairwise(stops):
            result += [a, tuple(u + (v - u) * Fraction(2, 5) for u, v in zip(a, b, strict=True))]
    return result


def across_kinks(
    expert: Expert, atoms: Sequence[Sequence[Fraction]], lines: int, rng: random.Random
) -> list[tuple[Fraction, ...]]:
    """Points of the plane: some on every piece of random lines between the kinks they cross."""
    found = []
    for _ in range(lines):
        ends = points(2, 2, rng)
        along = [
            tuple(u + (v - u) * Fraction(n, 24) for u, v in zip(*ends, strict=True))
            for n in range(25)
        ]
        pieces = around_kinks(expert, atoms, along, 1)
        found += rng.sample(pieces, min(len(pieces), 60))
    return found


def rank(columns: Sequence[Sequence[fmpq]]) -> int:
    """The rank modulo a prime, never above that over Q."""
    if not columns:
        return 0
    entries = [int(v.p) * pow(int(v.q), -1, PRIME) % PRIME for column in columns for v in column]
    return int(nmod_mat(len(columns), len(columns[0]), entries, PRIME).rank())


def _proportional(left: Sequence[fmpq], right: Sequence[fmpq]) -> bool:
    """Whether right = c·left, for left ≠ 0."""
    at = next(i for i, v in enumerate(left) if v != 0)
    factor = right[at] / left[at]
    return all(r == factor * v for v, r in zip(left, right, strict=True))


def _reduced(columns: list[list[fmpq]], first: list[bool]) -> list[list[fmpq]] | None:
    """One atom's columns after the coincidence rule; None where it finds a failure."""
    kept: list[tuple[list[fmpq], bool]] = []
    for column, is_first in sorted(zip(columns, first, strict=True), key=lambda c: not c[1]):
        if not any(column):
            if is_first:
                return None
            continue
        twin = next((f for other, f in kept if _proportional(other, column)), None)
        if twin is None:
            kept.append((column, is_first))
        elif twin and is_first:
            return None
    return [column for column, _ in kept]


def is_independent(
    expert: Expert,
    functions: FunctionSet,
    atoms: Sequence[Sequence[Fraction]],
    rng: random.Random,
    refinements: int = REFINEMENTS,
) -> bool:
    """Whether the set is independent at these atoms (True is a proof, see the module)."""
    basis = (*functions.functions, *functions.shared)
    count = POINTS_PER_FUNCTION * (len(atoms) * len(functions.functions) + len(functions.shared))
    for attempt in range(refinements):
        rows = []
        places = points(count, len(expert.inputs), rng)
        if attempt and len(expert.inputs) == 1:
            places = around_kinks(expert, atoms, places, 1)
        elif attempt:
            places += across_kinks(expert, atoms, 8 * attempt**2, rng)
        exact = [[_exact(v) for v in theta] for theta in atoms]
        for place in places:
            x = [_exact(v) for v in place]
            try:
                rows.append([expert.functions(basis, x, theta) for theta in exact])
            except OnKink:
                continue
        if not rows:
            return False  # two arguments of a Max are the same function
        columns: list[list[fmpq]] = []
        failed = False
        for atom in range(len(atoms)):
            own = [list(c) for c in zip(*(row[atom] for row in rows), strict=True)]
            own = own[: len(functions.functions)]
            if functions.coincidence:
                reduced = _reduced(own, [f.first for f in functions.functions])
                failed = failed or reduced is None
                own = reduced or []
            else:
                own = [
                    c for c, f in zip(own, functions.functions, strict=True) if f.first or any(c)
                ]
            columns += own
        shared = [
            [row[0][len(functions.functions) + i] for row in rows]
            for i in range(len(functions.shared))
        ]
        if not failed and rank([*columns, *shared]) == len(columns) + len(shared):
            return True
        count *= 2
    return False


def contradiction(
    expert: Expert, functions: FunctionSet, proof: SetProof, rng: random.Random, draws: int = 12
) -> str | None:
    """What speaks against a proved verdict, None if nothing does."""
    if proof.verdict == "no":
        somewhere = False
        for _ in range(draws):
            scale = rng.choice((1, 2, 4))
            atoms = [
                tuple(
                    Fraction(rng.randrange(-255, 256) * scale, 256) or Fraction(1, 3)
                    for _ in expert.parameters
                )
                for _ in range(proof.atoms)
            ]
            independent = is_independent(expert, functions, atoms, rng, refinements=1)
            if independent and proof.quantifier != "open-set":
                return f"no, but independent at {atoms}"
            somewhere = somewhere or not independent
        return None if somewhere else "no, but independent wherever it was tried"
    if proof.verdict == "yes":
        assert proof.witness is not None
        for size in (Fraction(1, 8), Fraction(1, 24), Fraction(1, 96), Fraction(1, 480)):
            # a witness may lie where a kink of the parameters alone is: the claim is about nearby
            atoms = [
                tuple(v + Fraction(rng.randrange(-999, 1000), 10**9) for v in theta)
                for theta in proof.witness.atoms
            ]
            for copy in range(2 if proof.every_k else 0):
                # steps of a size of their own: kinks that nearly coincide hide between the points
                steps = [
                    size * (copy + 1) * rng.choice((-1, 1)) * Fraction(rng.randrange(256, 512), 512)
                    for _ in expert.parameters
                ]
                base = rng.choice(proof.witness.atoms)
                moved = zip(base, steps, strict=True)
                atoms.append(tuple(v + s * max(abs(v), Fraction(1, 2)) for v, s in moved))
            if is_independent(expert, functions, atoms, rng):
                return None
        return f"yes, but dependent at {atoms}"
    return None


# -- experts ------------------------------------------------------------------------------------


def experts(count: int, seed: int) -> Iterator[tuple[str, int]]:
    """Expressions and their number of inputs: Min, Max, abs, relu and signs, nested to depth 3."""
    rng = random.Random(seed)
    for _ in range(count):
        dim = 1 if rng.random() < 0.7 else 2
        yield _Writer(rng, dim).write(rng.choice((1, 2, 2, 3))), dim


class _Writer:
    def __init__(self, rng: random.Random, dim: int) -> None:
        self.rng = rng
        self.inputs = ("x",) if dim == 1 else ("x0", "x1")
        self.parameters = "abcd"[: rng.choice((1, 2, 2, 3, 3, 4))]

    def write(self, depth: int) -> str:
        text = self._expression(depth)
        for name in self.inputs:
            if name not in text:
                text = f"{text}+relu({name}-{self._parameter()})"
        if not set(text) & set("abcd"):
            text = f"relu({text}-{self._parameter()})"
        return text

    def _parameter(self) -> str:
        return self.rng.choice(self.parameters)

    def _linear(self) -> str:
        x, p = self.rng.choice(self.inputs), self._parameter
        forms = (
            x, f"{x}+{p()}", f"{p()}*{x}+{p()}", f"{x}-{p()}", f"{p()}*{x}", f"{p()}*{x}+1",
            f"{p()}*{self.inputs[0]}+{p()}*{self.inputs[-1]}+{p()}", f"{x}**2-{p()}",
            f"{x}**2-1", f"1-{x}",
        )  # fmt: skip
        return self.rng.choice(forms)

    def _constant(self) -> str:
        p = self._parameter()
        return self.rng.choice((p, p, p, f"-{p}", f"2*{p}", f"{p}**2", "0", "1", f"abs({p})"))

    def _expression(self, depth: int) -> str:
        if depth == 0:
            return self._linear() if self.rng.random() < 0.65 else self._constant()

        def inner() -> str:
            return self._expression(depth - 1)

        kind = self.rng.randrange(10)
        if kind < 2:
            return f"relu({inner()})"
        if kind < 3:
            return f"abs({inner()})"
        if kind < 7:
            head, several = self.rng.choice(("Min", "Max")), self.rng.random() < 0.15
            return f"{head}({', '.join(inner() for _ in range(2 + several))})"
        if kind < 8:
            return f"({inner()}) + ({inner()})"
        if kind < 9:
            return f"{self._parameter()}*({inner()})"
        argument = self._linear()
        return f"({inner()})*(1+abs({argument})/({argument}))/2"
