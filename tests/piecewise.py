"""Piecewise-polynomial experts: a generator, and exact ranks by a route of their own.

Nothing of the prover is used: expressions are evaluated by second-order forward differentiation
over the rationals, the kinks decided by the sign of their argument at the point, and ranks are
those of rational matrices modulo a prime. Full rank at some parameters and points is a proof; a
smaller rank at many points, some on both sides of every kink met, is overwhelming evidence.
"""

from __future__ import annotations

import ast
import operator
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import Any

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


Row = tuple[fmpq, ...]


@dataclass(frozen=True, slots=True)
class Jet:
    """Value, gradient and Hessian in the parameters, all rational; None is a zero of any size."""

    value: fmpq
    first: Row | None = None
    second: tuple[Row, ...] | None = None

    def __add__(self, other: Jet) -> Jet:
        return Jet(
            self.value + other.value,
            _sum(self.first, other.first),
            _sum(self.second, other.second, _sum),
        )

    def scaled(self, factor: fmpq) -> Jet:
        """factor·self, for a rational factor."""
        return Jet(factor * self.value, *_multiples(factor, self))

    def __mul__(self, other: Jet) -> Jet:
        left, right = _multiples(other.value, self), _multiples(self.value, other)
        second = _sum(left[1], right[1], _sum)
        if self.first is not None and other.first is not None:
            crossed = tuple(
                tuple(a * d + c * b for b, d in zip(self.first, other.first, strict=True))
                for a, c in zip(self.first, other.first, strict=True)
            )
            second = _sum(second, crossed, _sum)
        return Jet(self.value * other.value, _sum(left[0], right[0]), second)

    def inverse(self) -> Jet:
        if self.value == 0:
            raise OnKink
        v = 1 / self.value
        first, second = _multiples(-v * v, self)
        if self.first is not None:
            squares = tuple(tuple(2 * v**3 * a * b for b in self.first) for a in self.first)
            second = _sum(second, squares, _sum)
        return Jet(v, first, second)

    def derivatives(self, count: int) -> tuple[fmpq, Row, tuple[Row, ...]]:
        """Value, gradient and Hessian, written out for this many parameters."""
        zeros = (fmpq(0),) * count
        return self.value, self.first or zeros, self.second or (zeros,) * count


def _sum(left: Any, right: Any, add: Callable[[Any, Any], Any] = operator.add) -> Any:
    """The entries' sums, of two rows or of two matrices."""
    if left is None or right is None:
        return right if left is None else left
    return tuple(add(a, b) for a, b in zip(left, right, strict=True))


def _multiples(factor: fmpq, jet: Jet) -> tuple[Row | None, tuple[Row, ...] | None]:
    """factor times the derivatives."""
    return (
        None if jet.first is None else tuple(factor * a for a in jet.first),
        None if jet.second is None else tuple(tuple(factor * a for a in r) for r in jet.second),
    )


class Expert:
    """An expression of + - * / ** and abs, relu, Min, Max, evaluated exactly."""

    def __init__(self, text: str, inputs: Sequence[str], parameters: Sequence[str]) -> None:
        self.inputs, self.parameters = tuple(inputs), tuple(parameters)
        q = len(self.parameters)
        self.places = {name: i for i, name in enumerate(self.parameters)}
        self.units = [tuple(fmpq(int(i == j)) for j in range(q)) for i in range(q)]
        self.decisions: list[int] = []
        self.tied = False
        self.value = self._compiled(ast.parse(text, mode="eval").body)

    def at(self, x: Sequence[fmpq], theta: Sequence[fmpq]) -> Jet:
        """h with its derivatives. Raises OnKink where there are none."""
        known = {n: Jet(v) for n, v in zip(self.inputs, x, strict=True)}
        for name, v, unit in zip(self.parameters, theta, self.units, strict=True):
            known[name] = Jet(v, unit)
        return self._at(known)

    def _at(self, known: dict[str, Jet]) -> Jet:
        self.decisions, self.tied = [], False
        return self.value(known)

    def branch(self, x: Sequence[fmpq], theta: Sequence[fmpq]) -> tuple[int, ...]:
        """Which argument each Min, Max, abs and relu takes at a point; () on a kink."""
        names = (*self.inputs, *self.parameters)
        try:
            self._at({n: Jet(v) for n, v in zip(names, (*x, *theta), strict=True)})
            if self.tied:  # whether it is a kink derivatives tell
                self.at(x, theta)
        except OnKink:
            return ()
        return tuple(self.decisions)

    def _compiled(self, node: ast.expr) -> Callable[[dict[str, Jet]], Jet]:
        """The node as a function of the jets of inputs and parameters: the tree is read once."""
        match node:
            case ast.Constant():
                constant = Jet(*exact([Fraction(str(node.value))]))
                return lambda known: constant
            case ast.Name(id=name):
                return lambda known: known[name]
            case ast.UnaryOp():
                operand = self._compiled(node.operand)
                return lambda known: operand(known).scaled(fmpq(-1))
            case ast.BinOp(op=ast.Pow()):
                assert isinstance(node.right, ast.Constant)
                base, exponent = self._compiled(node.left), int(str(node.right.value))
                return lambda known: reduce(operator.mul, [base(known)] * exponent, Jet(fmpq(1)))
            case ast.BinOp(op=op):
                left, right = self._compiled(node.left), self._compiled(node.right)
                if isinstance(op, ast.Add):
                    return lambda known: left(known) + right(known)
                if isinstance(op, ast.Sub):
                    return lambda known: left(known) + right(known).scaled(fmpq(-1))
                if isinstance(op, ast.Mult):
                    return lambda known: left(known) * right(known)
                return lambda known: left(known) * right(known).inverse()
            case ast.Call(func=ast.Name(id=name)):
                arguments = [self._compiled(a) for a in node.args]
                return lambda known: self._chosen(name, [a(known) for a in arguments])
        raise AssertionError(ast.dump(node))

    def _chosen(self, name: str, values: list[Jet]) -> Jet:
        if name in ("relu", "abs"):
            values.append(Jet(fmpq(0)) if name == "relu" else values[0].scaled(fmpq(-1)))
        chosen, q = 0, len(self.parameters)
        for n in range(1, len(values)):
            old, new = values[chosen], values[n]
            if new.value == old.value:
                self.tied = True
                if new.derivatives(q) != old.derivatives(q):
                    raise OnKink
            elif (new.value < old.value) == (name == "Min"):
                chosen = n
        self.decisions.append(chosen)
        return values[chosen]

    def functions(
        self, basis: Sequence[BasisFunction], x: Sequence[fmpq], theta: Sequence[fmpq]
    ) -> list[fmpq]:
        """The values of a condition's functions."""
        jet, values = self.at(x, theta).derivatives(len(self.parameters)), []
        at_x = dict(zip(self.inputs, x, strict=True))
        for function in basis:
            value = fmpq(1)
            for name in function.inputs:
                value *= at_x[name]
            for factor in function.factors:
                derivative: Any = jet[len(factor)]
                for name in factor:
                    derivative = derivative[self.places[name]]
                value *= derivative
            values.append(value)
        return values


def exact(values: Sequence[Fraction | int]) -> Row:
    return tuple(fmpq(v.numerator, v.denominator) for v in values)


# -- the rank after the coincidence rule --------------------------------------------------------


def points(count: int, dim: int, rng: random.Random, width: int = 3) -> list[Row]:
    """Rational points of [-width, width]^dim."""
    return [
        tuple(fmpq(rng.randrange(1, 4096) * 2 * width, 4096) - width for _ in range(dim))
        for _ in range(count)
    ]


def around_kinks(
    expert: Expert,
    atoms: Sequence[Row],
    found: Sequence[Row],
    stride: int,
) -> list[Row]:
    """Points on both sides of each kink met between neighbours, and between those kinks."""

    def branches(x: Row) -> list[tuple[int, ...]]:
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
            middle = tuple(a + (b - a) * fmpq(31, 64) for a, b in zip(low, high, strict=True))
            at = branches(middle)
            waiting += [
                (low, at_low, middle, at, depth - 1),
                (middle, at, high, at_high, depth - 1),
            ]
        stops = sorted(set(stops))
        for a, b in pairwise(stops):
            result += [a, tuple(u + (v - u) * fmpq(2, 5) for u, v in zip(a, b, strict=True))]
    return result


def across_kinks(expert: Expert, atoms: Sequence[Row], lines: int, rng: random.Random) -> list[Row]:
    """Points of the plane: some on every piece of random lines between the kinks they cross."""
    found = []
    for _ in range(lines):
        ends = points(2, 2, rng)
        along = [
            tuple(u + (v - u) * fmpq(n, 24) for u, v in zip(*ends, strict=True)) for n in range(25)
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
    atoms: Sequence[Row],
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
        for x in places:
            try:
                rows.append([expert.functions(basis, x, theta) for theta in atoms])
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
            independent = is_independent(
                expert, functions, [exact(theta) for theta in atoms], rng, refinements=1
            )
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
            if is_independent(expert, functions, [exact(theta) for theta in atoms], rng):
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
