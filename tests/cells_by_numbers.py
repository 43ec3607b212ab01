"""Whether a cell under softmax over a score of one's own is degenerate, by numbers.

Nothing of identkit is used: scores and experts are Python functions of (x, parameters) in mpmath,
their derivatives central differences, the invisible moments the null space of functions sampled at
many x by elimination with complete pivoting, and M ⪰ 0 is looked for among them here. With 120
digits and steps of 1e-30 derivatives are right to 1e-58; what elimination leaves is either below
1e-45 or a pivot.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from mpmath import mp
from scipy.optimize import minimize

DIGITS = 120
STEP = "1e-30"
NOTHING = "1e-45"
LEAST_SQUARES, FREE, KNOWN = "least-squares", "free", "known"


@dataclass(frozen=True)
class Part:
    """A score or an expert: its value at (x, parameters), and parameters that stand for most.

    ``kink`` maps the parameters to (x0, p) where a kink p(x) = 0 moves: p gives p at (x, θ).
    """

    value: Callable[[Sequence[Any], Sequence[Any]], Any]
    at: tuple[str, ...]
    kink: Callable[[Sequence[Any]], Any] | None = None
    argument: Callable[[Sequence[Any], Sequence[Any]], Any] | None = None


def derivatives(f: Callable[[Sequence[Any]], Any], at: Sequence[Any]) -> tuple[Any, list, dict]:
    """f, ∂_u f and ∂_u∂_v f (u ≤ v) at a point."""
    h = mp.mpf(STEP)

    def moved(*steps: tuple[int, int]) -> Any:
        point = list(at)
        for place, sign in steps:
            point[place] = point[place] + sign * h
        return f(point)

    value, count = f(at), range(len(at))
    up, down = [moved((u, 1)) for u in count], [moved((u, -1)) for u in count]
    first = [(a - b) / (2 * h) for a, b in zip(up, down, strict=True)]
    second = {(u, u): (up[u] - 2 * value + down[u]) / h**2 for u in count}
    for u in count:
        for v in range(u + 1, len(at)):
            corners = (moved((u, s), (v, r)) * s * r for s in (1, -1) for r in (1, -1))
            second[u, v] = sum(corners) / (4 * h**2)
    return value, first, second


def degenerate(
    score: Part, expert: Part, likelihood: str, domain: tuple[int, int] = (-3, 3), dim: int = 1
) -> bool:
    """Whether moments that are not all 0, with M ⪰ 0, are invisible in each block."""
    with mp.workdps(DIGITS):
        gamma, eta = ([mp.mpf(v) for v in part.at] for part in (score, expert))
        g, q = len(gamma), len(eta)
        names = range(g + q)
        pairs = list(combinations_with_replacement(names, 2))
        count = 1 + g + q + 1 + len(pairs)  # m0, m_γ, m_η, m_ν, M
        rng, rows = random.Random(5), []
        place = {pair: 2 + g + q + i for i, pair in enumerate(pairs)}
        for _ in range(3 * count):
            x = [mp.mpf(rng.randrange(10**6)) / 10**6 for _ in range(dim)]
            x = [domain[0] + (domain[1] - domain[0]) * v for v in x]
            _, up, upper = derivatives(lambda t, x=x: score.value(x, t), gamma)
            _, of, over = derivatives(lambda t, x=x: expert.value(x, t), eta)
            weight, mean, spread = ([mp.mpf(0)] * count for _ in range(3))
            weight[0] = mp.mpf(1)
            weight[1 : 1 + g] = up
            mean[1 + g : 1 + g + q] = of
            spread[1 + g + q] = mp.mpf(1)
            for u, v in pairs:
                half = 2 if u == v else 1
                if v < g:
                    weight[place[u, v]] = (upper[u, v] + up[u] * up[v]) / half
                elif u >= g:
                    mean[place[u, v]] = over[u - g, v - g] / half
                    spread[place[u, v]] = 2 * of[u - g] * of[v - g] / half
                else:
                    mean[place[u, v]] = up[u] * of[v - g]
            rows += [weight, mean]
            if likelihood != LEAST_SQUARES:
                rows.append(spread)
        if likelihood != FREE:
            rows.append([mp.mpf(int(i == 1 + g + q)) for i in range(count)])
        for part, values, first in ((score, gamma, 0), (expert, eta, g)):
            if part.kink is None:
                continue
            x = part.kink(values)
            if not domain[0] < x[0] < domain[1]:
                continue
            _, p, _ = derivatives(lambda t, x=x, a=part.argument: a(x, t), values)
            # ⟨M, ppᵀ⟩ = 0 on the kink and M ⪰ 0: Mp = 0
            for u in names:
                row = [mp.mpf(0)] * count
                for i, slope in enumerate(p):
                    row[place[tuple(sorted((u, first + i)))]] += slope
                rows.append(row)
        return _cone(rows, count, place, len(names))


def null_space(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """A basis, each vector 1 at a column of its own."""
    left = [list(r) for r in rows]
    largest = [max((abs(r[c]) for r in left), default=mp.mpf(0)) for c in range(count)]
    scale = [v if v > mp.mpf(NOTHING) else mp.mpf(1) for v in largest]
    left = [[v / s for v, s in zip(r, scale, strict=True)] for r in left]
    pivots: list[int] = []
    done: list[list[Any]] = []
    while left:
        size, i, c = max(
            ((abs(r[c]), i, c) for i, r in enumerate(left) for c in range(count)),
            key=lambda e: e[0],
        )
        if size < mp.mpf(NOTHING):
            break
        row = left.pop(i)
        row = [v / row[c] for v in row]
        for others in (left, done):
            for n, other in enumerate(others):
                factor = other[c]
                if factor != 0:
                    others[n] = [a - factor * b for a, b in zip(other, row, strict=True)]
        pivots.append(c)
        done.append(row)
    basis = []
    for free in (c for c in range(count) if c not in pivots):
        vector = [mp.mpf(0)] * count
        vector[free] = mp.mpf(1)
        for c, row in zip(pivots, done, strict=True):
            vector[c] = -row[free]
        basis.append([v / s for v, s in zip(vector, scale, strict=True)])
    return basis


def _cone(rows: list, count: int, place: dict, size: int) -> bool:
    while True:
        basis = null_space(rows, count)
        if not basis:
            return False
        largest = max(abs(v) for b in basis for v in b)
        zero = [
            u
            for u in range(size)
            if all(abs(b[place[u, u]]) < mp.mpf("1e-30") * largest for b in basis)
        ]
        more = [
            place[tuple(sorted((u, v)))]
            for u in zero
            for v in range(size)
            if any(abs(b[place[tuple(sorted((u, v)))]]) > mp.mpf("1e-30") * largest for b in basis)
        ]
        if not more:  # M_uu = 0 clears the row of u
            break
        rows += [[mp.mpf(int(i == c)) for i in range(count)] for c in set(more)]
    matrices = np.array(
        [[[float(b[place[tuple(sorted((u, v)))]]) for v in range(size)] for u in range(size)]
         for b in basis]
    )  # fmt: skip
    flat = matrices.reshape(len(basis), -1)
    if np.linalg.matrix_rank(flat, tol=1e-12 * max(1.0, np.abs(flat).max())) < len(basis):
        return True  # first moments alone
    return _positive(matrices)


def _positive(matrices: Any) -> bool:
    """Whether some combination is ⪰ 0 and not 0: the largest smallest eigenvalue over a sphere."""
    used = [u for u in range(matrices.shape[1]) if np.abs(matrices[:, u]).max() > 1e-20]
    matrices = matrices[np.ix_(range(len(matrices)), used, used)]
    flat = matrices.reshape(len(matrices), -1)
    orthonormal = np.linalg.qr(flat.T)[0].T.reshape(matrices.shape)

    def loss(c: Any) -> float:
        values = np.linalg.eigvalsh(np.tensordot(c / np.linalg.norm(c), orthonormal, 1))
        return -float(values[0])

    rng, best = np.random.default_rng(0), np.inf
    starts = [s * row for row in np.eye(len(matrices)) for s in (1, -1)]
    starts += list(rng.normal(size=(0 if len(matrices) == 1 else 20, len(matrices))))
    for start in starts:
        found = loss(start)
        if len(matrices) > 1:
            options = {"xatol": 1e-12, "fatol": 1e-14, "maxiter": 4000}
            found = min(found, minimize(loss, start, method="Nelder-Mead", options=options).fun)
        best = min(best, found)
        if best < 1e-7:
            return True
    assert best > 1e-4, f"too close to tell: {best}"
    return False


def nullity(
    score: Callable[[Sequence[Any], Sequence[Any]], Any],
    expert: Callable[[Sequence[Any], Sequence[Any]], Any],
    atoms: Sequence[tuple[Sequence[str], Sequence[str], int]],
    dim: int = 1,
) -> int:
    """How many combinations of the moments of all cells leave f, nothing being multiplied apart.

    Atoms are (γ, η, order): the moments of a cell up to order 1 (an exact atom) or 2.
    """
    with mp.workdps(DIGITS):
        rng, rows, count = random.Random(7), [], 0
        while not rows or len(rows) < 3 * count:
            x = [-3 + 6 * mp.mpf(rng.randrange(10**6)) / 10**6 for _ in range(dim)]
            parts = []
            for gamma, eta, _ in atoms:
                own, other = ([mp.mpf(v) for v in part] for part in (gamma, eta))
                parts.append(
                    (
                        derivatives(lambda t, x=x: mp.exp(score(x, t)), own),
                        derivatives(lambda t, x=x: expert(x, t), other),
                    )
                )
            total = sum(weight[0] for weight, _ in parts)
            f = sum(weight[0] * h[0] for weight, h in parts) / total
            row: list[Any] = []
            for ((value, up, upper), (h, of, over)), (*_, order) in zip(parts, atoms, strict=True):
                row += [value * (h - f), *(v * (h - f) for v in up), *(value * v for v in of)]
                if order == 2:
                    row += [v * (h - f) for v in upper.values()]
                    row += [v * slope for v in up for slope in of]
                    row += [value * v for v in over.values()]
            count = len(row)
            rows.append([v / total for v in row])
        return len(null_space(rows, count))
