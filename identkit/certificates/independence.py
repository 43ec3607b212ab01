"""Independence by a determinant: rational parameters and points, evaluated in ball arithmetic.

If Σ c_l g_l = 0 had a solution c ≠ 0 the matrix [g_l(x_i)] would be singular for all points; a
ball for its determinant that excludes 0 refutes that, rigorously, at these parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from flint import arb

from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, precision
from identkit.certificates.witness import (
    Witness,
    determinant,
    excludes_zero,
    pairwise_independent,
)
from identkit.deadline import Deadline
from identkit.sampling import Sampler

FIRST_PRECISION = 128
"""Bits of the first attempt; then doubled."""
RETRY_PRECISION = 1024
"""Bits after which a fresh draw of points is tried before going higher."""
DRAWS_TRIED = 4
"""Independent draws of parameters and points before giving up."""
DISTINCT_POINTS = 12
DISTINCT_PRECISION = 256
"""Points and bits at which functions are shown to be pairwise non-proportional."""
LIFE_POINTS = 60
"""Points at which each function of an atom should be nonzero somewhere."""
SELECTION_LIMIT = 90
"""Largest matrix for which points are selected out of a larger pool."""
POOL = 4
"""Points in the pool per point selected; doubled at each draw, since kinks of several atoms leave
narrow gaps in which points must lie."""
COMPONENT_POOL = 2
"""The same for functions of several components, of which one may have to carry them all."""
POOL_WORK = 200_000
"""Arithmetic operations of one elimination beyond which the pool is not enlarged."""


@dataclass(frozen=True)
class Search:
    """The outcome of looking for a witness: the witness, or what was tried."""

    witness: Witness | None
    tried: str


def evaluate(
    tape: Tape,
    atoms: Sequence[Sequence[Fraction]],
    points: Sequence[Sequence[Fraction]],
    shared: Tape | None,
    atom: AtomFunction,
    deadline: Deadline,
) -> list[list[arb]]:
    """rows: points; columns: the tape's functions at each atom in turn, then the shared ones."""
    parameters = [[ball(v) for v in values] for values in atoms]
    rows = []
    for point in points:
        deadline.check()
        x = [ball(v) for v in atom.at(point)]
        row = [value for values in parameters for value in tape.evaluate([*x, *values])]
        rows.append(row + (shared.evaluate([*x, *parameters[0]]) if shared else []))
    return rows


def are_distinct(
    sampler: Sampler,
    rows_at: Callable[[Sequence[Fraction], Sequence[Sequence[Fraction]]], list[list[arb]]],
) -> bool:
    """Proved: the functions that ``rows_at(θ, points)`` evaluates are pairwise non-proportional."""
    for _ in range(DRAWS_TRIED):
        theta, x = sampler.parameter_draw(), sampler.points(DISTINCT_POINTS)
        points = sampler.atom.everywhere(x)
        with precision(DISTINCT_PRECISION):
            if pairwise_independent(rows_at(theta, points)):
                return True
    return False


def find_witness(
    functions: Sequence[sp.Expr],
    shared: Sequence[sp.Expr],
    atoms: int,
    sampler: Sampler,
    max_precision: int,
    deadline: Deadline,
) -> Search:
    """Search for parameters and points at which the determinant is nonzero."""
    tape = Tape(functions, sampler.variables)
    shared_tape = Tape(shared, sampler.variables) if shared else None
    several = bool(sampler.atom.markers)
    size = atoms * len(functions) + len(shared)
    tried, limit = 0, max_precision
    alive = _alive(tape, sampler, deadline) if sampler.kinks else None
    for draw in range(DRAWS_TRIED):
        tried = draw + 1
        thetas = sampler.atoms(atoms, alive)
        points = sampler.points(size)
        if draw or sampler.kinks or several:
            pool = size * POOL << draw
            pool = max(POOL * size, min(pool, POOL_WORK // max(1, size) ** 2))
            if several and not sampler.kinks:
                pool = COMPONENT_POOL * size << draw
            points = select_points(tape, shared_tape, thetas, sampler, (size, pool), deadline)
        bits = min(FIRST_PRECISION if size < 100 else 2 * FIRST_PRECISION, max_precision)
        last = draw == DRAWS_TRIED - 1
        limit = max_precision if last else min(RETRY_PRECISION, max_precision)
        while True:
            with precision(bits):
                rows = evaluate(tape, thetas, points, shared_tape, sampler.atom, deadline)
                value = determinant(rows)
                text = value.str(12)
                if excludes_zero(arb(text)):  # as printed: a ball of no digit is no witness
                    witness = Witness(tuple(thetas), tuple(points), bits, text)
                    return Search(witness, f"{tried} draw(s), up to {bits} bits")
            deadline.check()
            if bits >= limit:
                break
            bits = min(2 * bits, limit)
    return Search(
        None,
        f"a nonzero {size}×{size} determinant was sought at {tried} draws of parameters and "
        f"points, up to {limit} bits",
    )


def _alive(
    tape: Tape, sampler: Sampler, deadline: Deadline
) -> Callable[[Sequence[Fraction]], bool]:
    """Whether no function of an atom vanishes at all points seen, as behind a kink not crossed."""
    # a stream of its own, so that the one of the search does not depend on what is looked at here
    looking = Sampler(sampler.atom, sampler.domain, sampler.seed, (), deadline)
    seen = sampler.atom.everywhere(looking.points(LIFE_POINTS))

    def alive(theta: Sequence[Fraction]) -> bool:
        rows = evaluate(tape, [theta], seen, None, sampler.atom, deadline)
        return not any(all(v == 0 for v in column) for column in zip(*rows, strict=True))

    return alive


def _any_points(sampler: Sampler, size: int) -> list[tuple[Fraction, ...]]:
    return sampler.atom.everywhere(sampler.points(size))[:size]


def select_points(
    tape: Tape,
    shared: Tape | None,
    atoms: Sequence[Sequence[Fraction]],
    sampler: Sampler,
    count: tuple[int, int],
    deadline: Deadline,
) -> list[tuple[Fraction, ...]]:
    """Points out of a pool, ``count`` = (points, pool), by Gaussian elimination with row pivoting.

    Only midpoints are used: this chooses where to look and proves nothing. Of several components
    each may tell a different number of functions apart, so that there is no choice without it.
    """
    (size, of), atom = count, sampler.atom
    if size > SELECTION_LIMIT and not atom.markers:
        return _any_points(sampler, size)
    waiting, pool, rows = sampler.points(of), [], []
    batch = len(waiting)
    if atom.markers:
        sampler.rng.shuffle(waiting)
        batch = -(-of // len(atom.markers))
    with precision(4 * FIRST_PRECISION):
        while waiting and len(pool) < of:
            drawn, waiting = atom.everywhere(waiting[:batch]), waiting[batch:]
            for point, row in zip(
                drawn, evaluate(tape, atoms, drawn, shared, atom, deadline), strict=True
            ):
                # a component that is free of a parameter is 0 in all that is derived by it
                if not atom.markers or any(v != 0 for v in row):
                    pool.append(point)
                    rows.append([v.mid() for v in row])
        if len(pool) < size or any(not v.is_finite() for row in rows for v in row):
            return _any_points(sampler, size)
        left = list(range(len(pool)))
        chosen: list[int] = []
        for column in range(size):
            deadline.check()
            best = max(
                left,
                key=lambda r: (
                    float(abs(rows[r][column]).mid().log())
                    if rows[r][column] != 0
                    else float("-inf")
                ),
            )
            chosen.append(best)
            left.remove(best)
            pivot = rows[best]
            if pivot[column] == 0:
                continue
            for r in left:
                factor = (rows[r][column] / pivot[column]).mid()
                if factor != 0:
                    row = rows[r]
                    for j in range(column, size):
                        row[j] = (row[j] - factor * pivot[j]).mid()
    return [pool[i] for i in sorted(chosen)]
