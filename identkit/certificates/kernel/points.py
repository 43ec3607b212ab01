"""What balls at rational points show: values, determinants, regularity, which kinks meet."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy as sp
from flint import arb, arb_mat

from identkit.atoms import AtomFunction
from identkit.balls import Hazard, Node, Tape, ball, interval, precision
from identkit.certificates.jets import Differentiator
from identkit.certificates.kernel.field import Element, Field
from identkit.certificates.witness import (
    Witness,
    determinant,
    excludes_zero,
    pairwise_independent,
)
from identkit.conditions import AtomTerm, BasisFunction, part_of
from identkit.deadline import Deadline
from identkit.domain import Interval
from identkit.experts import symbols
from identkit.results import Options
from identkit.vocabulary import Quantifier

FIRST_BITS = 256
READ_BITS = 45
"""Relative accuracy at which a stored determinant, of 12 digits, is compared."""
BOXES = 128
"""Parts of the domain looked at to show that the expert is regular on all of it."""
DRAWS = 12
"""Parameters at which functions are looked at."""
POINTS = 12
WALK_POINTS = 300
WALK_DEPTH = 14
"""Bisections between two points in search of what meets at a kink."""

Vector = tuple[Fraction, ...]


def draw(sides: Sequence[Interval], rng: random.Random) -> Vector:
    """A point of the domain."""
    return tuple(low + (high - low) * Fraction(rng.randrange(1, 1024), 1024) for low, high in sides)


def draws(
    atom: AtomFunction, sides: Sequence[Interval], seed: int
) -> Iterator[tuple[Vector, list[Vector]]]:
    """Parameters, and points of the domain, to look at."""
    rng = random.Random(seed)
    reach = max(max(abs(low), abs(high)) for low, high in sides)
    for n in range(DRAWS):
        scale = 1 if n % 4 < 2 else 3 / reach
        signs = [1 if n % 2 or rng.random() < 0.5 else -1 for _ in atom.parameters]
        theta = tuple(s * scale * Fraction(rng.randrange(160, 960), 512) for s in signs)
        yield theta, [draw(sides, rng) for _ in range(POINTS)]


def order_of(functions: Sequence[BasisFunction]) -> int:
    return max((len(factor) for f in functions for factor in f.factors), default=1)


def samples(
    atom: AtomFunction, functions: Sequence[BasisFunction], sides: Sequence[Interval]
) -> list[tuple[Vector, list[arb]]]:
    """Parameters with the functions' values at a point, where these are finite."""
    differentiator = Differentiator(atom, order_of(functions))
    found = []
    with precision(FIRST_BITS):
        for theta, points in draws(atom, sides, 1):
            values = differentiator.values(functions, points[0], theta)
            if all(v.is_finite() for v in values):
                found.append((theta, values))
    return found


def refuted(
    coefficients: Sequence[Any],
    positions: Sequence[int],
    parameters: tuple[str, ...],
    seen: Sequence[tuple[Vector, list[arb]]],
) -> bool:
    """Whether Σ c·g, over the functions at these positions, is nonzero in a sample."""
    tape = Tape(coefficients, symbols(parameters))
    with precision(FIRST_BITS):
        for theta, values in seen:
            factors = tape.evaluate([ball(v) for v in theta])
            terms = (c * values[i] for c, i in zip(factors, positions, strict=True))
            if excludes_zero(sum(terms, arb(0))):
                return True
    return False


def distinct(
    atom: AtomFunction, functions: Sequence[BasisFunction], sides: Sequence[Interval]
) -> bool:
    """Whether no function vanishes and no two are proportional, at some parameters."""
    differentiator = Differentiator(atom, order_of(functions))
    with precision(FIRST_BITS):
        return any(
            pairwise_independent([differentiator.values(functions, x, theta) for x in points])
            for theta, points in draws(atom, sides, 2)
        )


# -- determinants -------------------------------------------------------------------------------


def singularity_doubt(
    rows_at: Callable[[], list[list[arb]]], bits: int, text: str, deadline: Deadline
) -> str | None:
    """None if the matrix is proved nonsingular and ``text`` is its determinant, else the doubt.

    ``rows_at`` evaluates it at the precision in force, a low one first, whatever the file claims to
    have needed. Time for a higher one must be left, since the linear algebra cannot be interrupted.
    """
    stored = _ball(text)
    if stored is None or not excludes_zero(stored):
        return "stores a determinant that is no finite ball without 0"
    value, attempt = arb("nan"), min(bits, FIRST_BITS)
    # the inverse can need more precision than the determinant the prover was content with
    while attempt <= 4 * bits:
        began = time.monotonic()
        with precision(attempt):
            rows = rows_at()
            value = determinant(rows)
            if not value.overlaps(stored):
                return "does not have the determinant stored"
            known = value.rel_accuracy_bits() >= READ_BITS or attempt >= bits
            if known and is_nonsingular(rows):
                return None
        deadline.leave(4 * (time.monotonic() - began))
        attempt *= 2
    # a matrix whose entries differ by many orders of magnitude: its inverse is out of reach
    return None if excludes_zero(value) else "proves nothing: the matrix may be singular"


def _ball(text: str) -> arb | None:
    try:
        return arb(text)
    except ValueError:
        return None


def _scaled(line: Sequence[arb]) -> list[arb]:
    largest = max((abs(v.mid()) for v in line), key=lambda v: v)
    return [v / largest for v in line] if largest > 0 else list(line)


def is_nonsingular(rows: list[list[arb]]) -> bool:
    """Proved: with C near the inverse of A, ‖I − C·A‖_∞ < 1 makes A invertible (Neumann)."""
    n = len(rows)
    if any(not v.is_finite() for row in rows for v in row):
        return False
    # dividing a row or column by a nonzero number changes nothing but the conditioning
    for _ in range(2):
        rows = [_scaled(line) for line in zip(*rows, strict=True)]
    matrix = arb_mat(n, n, [v for row in rows for v in row])
    try:
        inverse = matrix.mid().inv().mid()
    except ZeroDivisionError:
        return False
    product = inverse * matrix
    sums = (
        sum((abs(product[i, j] - (1 if i == j else 0)) for j in range(n)), arb(0)) for i in range(n)
    )
    return all(total < 1 for total in sums)


# -- regularity ---------------------------------------------------------------------------------


class Regularity:
    """Where U is analytic: the subexpressions whose zeros and signs decide it."""

    def __init__(self, atom: AtomFunction, sides: Sequence[Interval]) -> None:
        self.sides = sides
        self.tape = Tape([atom.expression], (*symbols(atom.inputs), *symbols(atom.parameters)))
        self.kinks = [h for h in self.tape.hazards if h.kind == "kink"]
        self.singular = [h for h in self.tape.hazards if h.kind != "kink"]
        held = set().union(*(h.expression.free_symbols for h in self.singular))
        self.live = [i for i, x in enumerate(symbols(atom.inputs)) if x in held]

    def quantifier(self) -> Quantifier:
        """A witness extends to almost every θ only where U is analytic for all real (x, θ)."""
        with precision(FIRST_BITS):
            numbers = (h for h in self.singular if h.expression.is_number)
            fine = {
                id(h) for h in numbers if _harmless(h, Tape([h.expression], ()).evaluate([])[0])
            }
        rest = [h for h in self.singular if id(h) not in fine]
        analytic = all(h.kind != "tan" and is_positive(h.expression) for h in rest)
        return Quantifier.ALMOST_EVERY if analytic and not self.kinks else Quantifier.OPEN_SET

    def is_regular(self, theta: Vector) -> bool:
        """Shown on the whole domain at these parameters, by intervals."""
        waiting, examined = [list(self.sides)], 0
        with precision(64):
            while waiting and self.singular:
                box = waiting.pop()
                examined += 1
                values = [interval(low, high) for low, high in box] + [ball(v) for v in theta]
                slots = self.tape.run(values)
                if all(_harmless(h, slots[h.slot]) for h in self.singular):
                    continue
                if examined >= BOXES or not self.live:
                    return False
                waiting += self._halves(box)
        return True

    def _halves(self, box: list[Interval]) -> list[list[Interval]]:
        def share(i: int) -> Fraction:
            (low, high), (least, most) = box[i], self.sides[i]
            return (high - low) / (most - least)

        widest = max(self.live, key=share)  # of those that a singularity can depend on
        low, high = box[widest]
        parts = ((low, (low + high) / 2), ((low + high) / 2, high))
        return [[*box[:widest], half, *box[widest + 1 :]] for half in parts]


def _harmless(hazard: Hazard, value: arb) -> bool:
    value = value.cos() if hazard.kind == "tan" else value
    away = hazard.kind in ("pole", "tan") and value < 0
    return bool(value.is_finite() and (value > 0 or away))


def is_positive(node: Node) -> bool:
    """Shown to be positive for all real values of its symbols, where it is defined."""
    if node.is_number:
        with precision(FIRST_BITS):
            return bool(Tape([node], ()).evaluate([])[0] > 0)
    if node.is_Add:
        return all(map(_is_nonnegative, node.args)) and any(map(is_positive, node.args))
    if node.is_Mul:
        return all(map(is_positive, node.args))
    if node.is_Pow:
        return node.args[0] is sp.E or is_positive(node.args[0])
    if isinstance(node, sp.log):
        return is_positive(node.args[0] - 1)
    return isinstance(node, sp.exp | sp.cosh)


def _is_nonnegative(node: Node) -> bool:
    if node == 0 or is_positive(node):
        return True
    if node.is_Pow:
        even = node.exp.is_Integer and int(node.exp) % 2 == 0
        return bool(even or not node.exp.is_Integer)  # a fractional power is of what is positive
    return bool(node.is_Mul and all(map(_is_nonnegative, node.args)))


# -- independence ---------------------------------------------------------------------------------


def determinant_doubt(
    atom: AtomFunction,
    functions: Sequence[AtomTerm],
    shared: Sequence[BasisFunction],
    atoms: int,
    witness: Witness,
    options: Options,
    deadline: Deadline,
    blocks: Sequence[str] = (),
) -> str | None:
    """None if the functions are shown to be independent at the witness, else the doubt.

    With ``blocks`` of a density a point has one more number, that of the block, from 1.
    """
    size, q, d = atoms * len(functions) + len(shared), len(atom.parameters), len(atom.inputs)
    numbers = [Fraction(n + 1) for n in range(len(blocks))]
    place = {tuple(x[d:]) for x in witness.points}
    if blocks and not place <= {(n,) for n in numbers}:
        return f"must have points of {d} inputs and the number of a block"
    sides = options.domain.sides(d)
    if len(witness.atoms) != atoms or any(len(t) != q for t in witness.atoms):
        return f"must have {atoms} lists of {q} parameters"
    if len(witness.points) != size or any(len(x) != d + bool(blocks) for x in witness.points):
        return f"must have {size} points of {d} inputs"
    if witness.precision > options.max_precision:
        return "exceeds the file's max_precision"
    if not all(map(Regularity(atom, sides).is_regular, witness.atoms)):
        return "is at atoms that make the expert singular on the domain"
    pairs = ((v, side) for x in witness.points for v, side in zip(x, sides, strict=False))
    if any(not low <= v <= high for v, (low, high) in pairs):
        return "has points that leave the domain"
    whole = [f for g in functions for f in (part_of(g, b) for b in blocks or ("",)) if f]
    differentiator = Differentiator(atom, order_of(whole))

    def values(point: Sequence[Fraction], theta: Sequence[Fraction]) -> list[arb]:
        block = blocks[int(point[d]) - 1] if blocks else ""
        parts = [part_of(f, block) for f in functions]
        found = iter(differentiator.values([f for f in parts if f], point[:d], theta))
        return [next(found) if f else arb(0) for f in parts]

    def rows() -> list[list[arb]]:
        found = []
        for x in witness.points:
            deadline.check()
            row = [v for theta in witness.atoms for v in values(x, theta)]
            found.append(row + differentiator.values(shared, x[:d], witness.atoms[0]))
        return found

    return singularity_doubt(rows, witness.precision, witness.determinant, deadline)


# -- kinks --------------------------------------------------------------------------------------


class Walk:
    """Between points of the domain at one θ: which signs of the kinks are met, and what meets.

    A pattern is shown at a point. Two are joined where a kink that moves with θ parts them: on a
    segment only its argument changes sign, no other vanishes, and some ∂/∂θ_j of it does not vanish
    either. All of it stays true for θ nearby.
    """

    def __init__(self, field: Field, sides: Sequence[Interval], theta: Vector) -> None:
        self.field, self.keys = field, list(field.kinks)
        one = field.unit
        self.arguments = [Element(field, field.kinks[key], one) for key in self.keys]
        numbers = range(field.d, field.d + field.q)
        self.speeds = [[field.derivative(a, n) for n in numbers] for a in self.arguments]
        self.still = {n for n, s in enumerate(self.speeds) if all(e.is_zero for e in s)}
        self.parent: dict[tuple[int, ...], tuple[int, ...]] = {}
        rng, (low, high) = random.Random(3), sides[0]
        strata = [
            low + (high - low) * Fraction(8 * n + 4, 8 * WALK_POINTS) for n in range(WALK_POINTS)
        ]
        wobble = (high - low) / (4 * WALK_POINTS)
        points = [
            (s + wobble * Fraction(rng.randrange(-512, 512), 512), *draw(sides, rng)[1:])
            for s in strata
        ]
        with precision(64):
            self.theta = [ball(v) for v in theta]
            seen = [(x, s) for x in points if (s := self._signs(x)) is not None]
            for (x, at_x), (y, at_y) in pairwise(seen):
                self._step(x, at_x, y, at_y, WALK_DEPTH)

    def chains(self) -> list[list[dict[str, int]]]:
        """The patterns met, those together that a chain of moving kinks joins."""
        chains: dict[tuple[int, ...], list[dict[str, int]]] = {}
        for signs in sorted(self.parent):
            pattern = dict(zip(self.keys, signs, strict=True))
            chains.setdefault(self._root(signs), []).append(pattern)
        return list(chains.values())

    def _signs(self, x: Vector) -> tuple[int, ...] | None:
        values = self.field.evaluate(self.arguments, [*(ball(v) for v in x), *self.theta])
        if not all(v > 0 or v < 0 for v in values):
            return None
        signs = tuple(1 if v > 0 else -1 for v in values)
        self.parent.setdefault(signs, signs)
        return signs

    def _root(self, signs: tuple[int, ...]) -> tuple[int, ...]:
        while self.parent[signs] != signs:
            signs = self.parent[signs]
        return signs

    def _step(self, x: Vector, at_x: tuple, y: Vector, at_y: tuple, depth: int) -> None:
        if self._root(at_x) == self._root(at_y):
            return
        changed = [n for n, (s, t) in enumerate(zip(at_x, at_y, strict=True)) if s != t]
        if len(changed) == 1 and self._moves_between(changed[0], x, y):
            self.parent[self._root(at_x)] = self._root(at_y)
            return
        if self.still.issuperset(changed) or not depth:
            return
        self.field.deadline.check()
        middle = tuple(s + (t - s) * Fraction(61, 128) for s, t in zip(x, y, strict=True))
        between = self._signs(middle)
        if between is not None:
            self._step(x, at_x, middle, between, depth - 1)
            self._step(middle, between, y, at_y, depth - 1)

    def _moves_between(self, n: int, x: Vector, y: Vector) -> bool:
        box = [interval(min(s, t), max(s, t)) for s, t in zip(x, y, strict=True)]
        values = self.field.evaluate(self.arguments, [*box, *self.theta])
        if not all(i == n or v > 0 or v < 0 for i, v in enumerate(values)):
            return False
        return any(v > 0 or v < 0 for v in self.field.evaluate(self.speeds[n], [*box, *self.theta]))
