"""Second moments on what facial reduction left: positive semidefinite and invisible, or none?

A solver in floating point (Clarabel) only proposes. Infeasible: D = (D_β, D_η) ≻ 0 orthogonal to
(M_ββ, M_ηη) for all invisible moments left, so that M_ββ = 0 and M_ηη = 0. Feasible: invisible
moments whose joint M is positive semidefinite. Either is verified: rational entries, the linear
equations solved exactly over Q(θ), positive definiteness by an LDLᵀ in ball arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any

import sympy as sp
from flint import arb

from identkit.algebra import Element, TooLarge
from identkit.balls import Tape, ball, precision
from identkit.certificates.witness import excludes_zero, positive_definite
from identkit.degeneracy.cone import Face
from identkit.degeneracy.nullspace import Vector, minus
from identkit.degeneracy.records import Dual
from identkit.experts import symbols
from identkit.vocabulary import Quantifier

MARGIN = 1e-6
"""The least eigenvalue (at trace 1) from which a proposal is worth verifying."""

Row = dict[Any, Element]


@dataclass(frozen=True)
class Infeasible:
    """No invisible moments left have M_ββ ⪰ 0 and M_ηη ⪰ 0 not both zero."""

    dual: Dual


@dataclass(frozen=True)
class Feasible:
    """Invisible moments with joint M ⪰ 0 of this rank, at ``at`` and as ``quantifier`` says."""

    vector: Vector
    rank: int
    quantifier: Quantifier
    at: tuple[Fraction, ...]


def decide(
    face: Face, theta_samples: Sequence[tuple[Fraction, ...]], parameters: tuple[str, ...]
) -> Infeasible | Feasible | None:
    """Infeasible or feasible, proved for almost every θ or near one sample; None if neither."""
    problem = _Problem(face, parameters)
    for vector in face.vectors:
        found = problem.rank_one(vector, theta_samples)
        if found is not None:
            return found
    for theta in theta_samples:
        result = problem.infeasible(theta) or problem.feasible(theta, theta_samples)
        if result is not None:
            return result
    return None


class _Problem:
    def __init__(self, face: Face, parameters: tuple[str, ...]) -> None:
        self.face, self.space, self.field = face, face.space, face.field
        self.parameters = symbols(parameters)

    def entry(self, vector: Vector, u: str, v: str) -> Element:
        return vector.get(self.space.index(u, v), self.field.zero)

    def at(self, elements: Sequence[Element], theta: Sequence[Fraction]) -> list[arb]:
        """The elements (free of x) at θ."""
        tape = Tape([self.field.to_sympy(e) for e in elements], self.parameters)
        return tape.evaluate([ball(v) for v in theta])

    # -- rank one, exactly ------------------------------------------------------------------

    def rank_one(
        self, vector: Vector, theta_samples: Sequence[tuple[Fraction, ...]]
    ) -> Feasible | None:
        """If M = m mᵀ/M_pp identically: the vector times ±1 or M_pp, so that M ⪰ 0 at every θ."""
        names = self.space.coordinates
        pivot = next((u for u in names if not self.entry(vector, u, u).is_zero), None)
        if pivot is None:
            return None
        head = self.entry(vector, pivot, pivot)
        for i, u in enumerate(names):
            for v in names[i:]:
                minor = self.entry(vector, u, v) * head - self.entry(vector, u, pivot) * self.entry(
                    vector, pivot, v
                )
                if not minor.is_zero:
                    return None
        with precision(256):
            live = (t for t in theta_samples if excludes_zero(self.at([head], t)[0]))
            theta = next(live, None)
        if theta is None:
            return None
        factor = head
        if _is_number(head):
            factor = self.field.constant(1 if head.num.leading_coefficient() > 0 else -1)
        scaled = {i: c * factor for i, c in vector.items()}
        return Feasible(scaled, 1, Quantifier.ALMOST_EVERY, theta)

    # -- no solution: a dual matrix ---------------------------------------------------------

    def infeasible(self, theta: tuple[Fraction, ...]) -> Infeasible | None:
        """D with ⟨D, M⟩ = 0: pivot entries from free ones by the echelon form over Q(θ)."""
        blocks = [b for b in (self.space.gates, self.space.experts) if b]
        keys = [(u, v) for b in blocks for i, u in enumerate(b) for v in b[i:]]
        rows = [
            {
                (u, v): e * self.field.constant(1 if u == v else 2)
                for u, v in keys
                if not (e := self.entry(vector, u, v)).is_zero
            }
            for vector in self.face.vectors
        ]
        solved, _ = _echelon(rows, self.face.is_nonzero)
        with precision(256):
            values = {
                pivot: dict(zip(row, self.at(list(row.values()), theta), strict=True))
                for pivot, row in solved.items()
            }
            entries = self._interior(blocks, keys, values)
        if entries is None:
            return None
        constant = all(_is_number(e) for row in solved.values() for e in row.values())
        point = dict(zip(self.parameters, map(_sympy, theta), strict=True))
        text: dict[Any, Any] = {k: _sympy(v) for k, v in entries.items()}
        for pivot, row in solved.items():
            terms = [
                -text[k] * self.field.to_sympy(e).xreplace(point)
                for k, e in row.items()
                if k != pivot
            ]
            text[pivot] = sp.Add(*terms)
        shown = tuple(
            (b, tuple(tuple(str(text[_key(b, u, v)]) for v in b) for u in b)) for b in blocks
        )
        quantifier = Quantifier.ALMOST_EVERY if constant else Quantifier.OPEN_SET
        return Infeasible(Dual(tuple(map(str, theta)), shown, quantifier))

    def _interior(self, blocks: list, keys: list, values: dict) -> dict | None:
        """Rational free entries for which D, completed, is proved positive definite."""
        if not all(v.is_finite() for row in values.values() for v in row.values()):
            return None
        zero = arb(0)
        equations = [([float(r.get(k, zero).mid()) for k in keys], 0.0) for r in values.values()]
        equations.append(([float(u == v) for u, v in keys], 1.0))
        units = [
            (len(b), [{(b.index(u), b.index(v)): 1.0} if u in b else {} for u, v in keys])
            for b in blocks
        ]
        solution = _most_definite(units, equations)
        if solution is None or solution[0] < MARGIN:
            return None
        for bits in (4, 10, 20, 40):
            free = {
                k: Fraction(round(x * 2**bits), 2**bits)
                for k, x in zip(keys, solution[1], strict=True)
                if k not in values
            }
            full = {k: ball(v) for k, v in free.items()}
            for pivot, row in values.items():
                full[pivot] = -sum((c * full[k] for k, c in row.items() if k != pivot), zero)
            if all(
                positive_definite([[full[_key(b, u, v)] for v in b] for u in b]) for b in blocks
            ):
                return free
        return None

    # -- a solution -------------------------------------------------------------------------

    def feasible(
        self, theta: tuple[Fraction, ...], theta_samples: Sequence[tuple[Fraction, ...]]
    ) -> Feasible | None:
        """M ≻ 0 on coordinates that determine the rest: by M y = 0, or by M itself."""
        annihilated, _ = _echelon(
            [dict(y.entries) for y in self.face.visible], self.face.is_nonzero
        )
        names = [c for c in self.space.coordinates if c not in annihilated]
        keys = [(u, v) for i, u in enumerate(names) for v in names[i:]]
        rows = [
            {(u, v): e for u, v in keys if not (e := self.entry(vector, u, v)).is_zero}
            for vector in self.face.vectors
        ]
        _, independent = _echelon(rows, self.face.is_nonzero)
        if not names or not independent:
            return None
        rows = [rows[k] for k in independent]
        vectors = [self.face.vectors[k] for k in independent]
        with precision(256):
            values = [dict(zip(r, self.at(list(r.values()), theta), strict=True)) for r in rows]
            if not all(v.is_finite() for row in values for v in row.values()):
                return None
            shapes = [
                {(names.index(u), names.index(v)): float(x.mid()) for (u, v), x in row.items()}
                for row in values
            ]
            trace = [sum(x for (i, j), x in shape.items() if i == j) for shape in shapes]
            solution = _most_definite([(len(names), shapes)], [(trace, 1.0)])
            if solution is None:
                return None
            least, weights = solution
            if least < -MARGIN:
                return None
            for bits in (4, 10, 20, 40) if least > MARGIN else ():
                factors = [Fraction(round(c * 2**bits), 2**bits) for c in weights]
                full = {
                    k: sum(
                        (ball(c) * r.get(k, arb(0)) for c, r in zip(factors, values, strict=True)),
                        arb(0),
                    )
                    for k in keys
                }
                if positive_definite([[full[_key(names, u, v)] for v in names] for u in names]):
                    constant = all(_is_number(e) for row in rows for e in row.values())
                    quantifier = Quantifier.ALMOST_EVERY if constant else Quantifier.OPEN_SET
                    vector = self._combination(factors, vectors)
                    return Feasible(vector, len(names), quantifier, theta)
        # a boundary point with simple coefficients
        for size in (12, 120):
            factors = [Fraction(c).limit_denominator(size) for c in weights]
            vector = self._combination(factors, vectors)
            found = self.rank_one(vector, theta_samples) or self.of_lower_rank(vector, theta)
            if found is not None:
                return found
        return None

    def of_lower_rank(self, vector: Vector, theta: tuple[Fraction, ...]) -> Feasible | None:
        """If ±M ≻ 0 at θ on coordinates that determine the rest: their Schur complement is 0."""
        names = self.space.coordinates
        matrix = [[self.entry(vector, u, v) for v in names] for u in names]
        with precision(256):
            values = [self.at(row, theta) for row in matrix]
            for sign in (1, -1):
                chosen: list[int] = []
                for i in range(len(names)):
                    trial = [*chosen, i]
                    if positive_definite([[sign * values[a][b] for b in trial] for a in trial]):
                        chosen = trial
                if chosen:
                    break
            else:
                return None
        for p in chosen:
            top = matrix[p]
            matrix = [[m - row[p] / top[p] * t for m, t in zip(row, top, strict=True)]
                      for row in matrix]  # fmt: skip
        if not all(e.is_zero for row in matrix for e in row):
            return None
        constant = all(_is_number(e) for e in vector.values())
        quantifier = Quantifier.ALMOST_EVERY if constant else Quantifier.OPEN_SET
        own = {i: c * self.field.constant(sign) for i, c in vector.items()}
        return Feasible(own, len(chosen), quantifier, theta)

    def _combination(self, factors: Sequence[Fraction], vectors: Sequence[Vector]) -> Vector:
        total: Vector = {}
        for factor, vector in zip(factors, vectors, strict=True):
            for i, c in vector.items():
                total[i] = total.get(i, self.field.zero) + c * self.field.constant(factor)
        return {i: c for i, c in total.items() if not c.is_zero}


def _is_number(element: Element) -> bool:
    return bool(element.num.is_constant() and element.den.is_constant())


def _sympy(value: Fraction) -> Any:
    return sp.Rational(value.numerator, value.denominator)


def _key(names: Sequence[str], u: str, v: str) -> tuple[str, str]:
    return (u, v) if names.index(u) <= names.index(v) else (v, u)


def _echelon(
    rows: Sequence[Row], is_nonzero: Callable[[Element], bool]
) -> tuple[dict[Any, Row], list[int]]:
    """Gauss–Jordan over Q(θ): pivot -> row with 1 there, and which rows were independent."""
    solved: dict[Any, Row] = {}
    independent: list[int] = []
    for number, row in enumerate(rows):
        row = {k: c for k, c in row.items() if not c.is_zero}
        for pivot, other in solved.items():
            if pivot in row:
                row = minus(row, other, row[pivot])
        if not row:
            continue
        pivot = next(
            (k for k in sorted(row, key=lambda k: len(row[k].num)) if is_nonzero(row[k])), None
        )
        if pivot is None:
            raise TooLarge("a coefficient was neither proved zero nor proved nonzero")
        scale = row[pivot].inverse()
        row = {k: c * scale for k, c in row.items()}
        solved = {p: minus(o, row, o[pivot]) if pivot in o else o for p, o in solved.items()}
        solved[pivot] = row
        independent.append(number)
    return solved, independent


def _most_definite(
    blocks: Sequence[tuple[int, Sequence[dict[tuple[int, int], float]]]],
    equations: Sequence[tuple[Sequence[float], float]],
) -> tuple[float, list[float]] | None:
    """y with the largest t such that Σ y_n E_n − t·1 ⪰ 0 in each block, under linear equations.

    ``blocks`` are (size, upper triangles of the E_n). Floating point: a proposal, no proof. None
    if no solution is found.
    """
    # imported here: only these problems need a solver
    import numpy as np
    from scipy.sparse import csc_matrix

    clarabel: Any = import_module("clarabel")

    count = len(equations[0][0])
    scales = [max(map(abs, values)) or 1.0 for values, _ in equations]
    top = [
        [x / s for x in values] + [0.0] for (values, _), s in zip(equations, scales, strict=True)
    ]
    right = [value / s for (_, value), s in zip(equations, scales, strict=True)]
    cones: list[Any] = [clarabel.ZeroConeT(len(equations))]
    for size, shapes in blocks:
        for j in range(size):
            for i in range(j + 1):
                scale = 1.0 if i == j else 2**0.5
                line = [-scale * e.get((i, j), 0.0) for e in shapes]
                top.append([*line, 1.0 if i == j else 0.0])
                right.append(0.0)
        cones.append(clarabel.PSDTriangleConeT(size))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    objective = np.zeros(count + 1)
    objective[-1] = -1.0
    square = csc_matrix((count + 1, count + 1))
    solver = clarabel.DefaultSolver(
        square, objective, csc_matrix(np.array(top)), np.array(right), cones, settings
    )
    *y, least = solver.solve().x
    if not np.isfinite([*y, least]).all():
        return None
    return float(least), [float(v) for v in y]
