"""Second order by numbers alone: the criteria of theory section 4, 8 and their semidefinite part.

Nothing of identkit enters. Expressions are read by Python's parser and evaluated with their first
and second derivatives in η by jets of 80 digits. At one η and many x

- least squares, softmax: m·∇h + ½ M:∇²h = 0;
- Gaussian, ν free: that, and ∇hᵀM∇h = −m_ν;
- Gaussian, ν known: that, and M∇h = 0;
- at a kink, where ∇h jumps by J, JᵀM J = 0: the part of ∇²h on the kink is a multiple of J Jᵀ,

are linear equations in (m, m_ν, M); their null space is found by elimination. Whether it holds
M ⪰ 0, not all zero, is answered with a certificate of 80 digits either way, from one convex
minimisation: with L the space of the M, f(Y) = ½‖(I − Y)₊‖² over Y ∈ L⊥ is 0 where some Y ≻ 0 is
orthogonal to L, and no less than ½ where not; at the minimum (I − Y)₊ is then in L.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import mpmath as mp
import numpy as np
from scipy import optimize

DIGITS = 80
LOW, HIGH = -3, 3
ZERO, SURE = mp.mpf(10) ** -55, mp.mpf(10) ** -38
"""Pivots below the first are 0; none may lie between the two."""
BESIDE = mp.mpf(10) ** -70
"""How far from a kink its two sides are looked at."""
LEAST_SQUARES, FREE, KNOWN = "least-squares", "free", "known"


class Undefined(Exception):
    """The oracle cannot answer: pivots too close to call, or no certificate found."""


# -- jets -----------------------------------------------------------------------------------------


class Jet:
    """A value with its gradient and Hessian in η."""

    def __init__(self, value, first=None, second=None) -> None:
        self.v, self.g, self.h = value, first, second

    def __add__(self, other):
        other = _jet(other)
        return Jet(self.v + other.v, _plus(self.g, other.g), _plus(self.h, other.h))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -_jet(other)

    def __mul__(self, other):
        if not isinstance(other, Jet):
            return Jet(self.v * other, _times(self.g, other), _times(self.h, other))
        second = _plus(_times(self.h, other.v), _times(other.h, self.v))
        if self.g is not None and other.g is not None:
            q = len(self.g)
            crossed = [
                self.g[i] * other.g[j] + self.g[j] * other.g[i] for i in range(q) for j in range(q)
            ]
            second = _plus(second, crossed)
        return Jet(
            self.v * other.v, _plus(_times(self.g, other.v), _times(other.g, self.v)), second
        )

    def through(self, value, slope, bend):
        """φ(self) from φ, φ', φ'' at the value."""
        second = _times(self.h, slope)
        if self.g is not None:
            second = _plus(second, [bend * a * b for a in self.g for b in self.g])
        return Jet(value, _times(self.g, slope), second)


def _jet(value) -> Jet:
    return value if isinstance(value, Jet) else Jet(mp.mpf(value))


def _plus(left, right):
    if left is None or right is None:
        return right if left is None else left
    return [a + b for a, b in zip(left, right, strict=True)]


def _times(row, factor):
    return None if row is None else [factor * a for a in row]


def _smooth(z: Jet, name: str) -> Jet:
    v, one = z.v, mp.mpf(1)
    if name == "exp":
        e = mp.exp(v)
        return z.through(e, e, e)
    if name == "log":
        return z.through(mp.log(v), 1 / v, -1 / v**2)
    if name == "sqrt":
        r = mp.sqrt(v)
        return z.through(r, 1 / (2 * r), -1 / (4 * r**3))
    if name in ("sin", "cos"):
        s, c = mp.sin(v), mp.cos(v)
        return z.through(s, c, -s) if name == "sin" else z.through(c, -s, -c)
    if name in ("sinh", "cosh"):
        s, c = mp.sinh(v), mp.cosh(v)
        return z.through(s, c, s) if name == "sinh" else z.through(c, s, c)
    if name == "tan":
        t = mp.tan(v)
        return z.through(t, 1 + t**2, 2 * t * (1 + t**2))
    if name == "tanh":
        t = mp.tanh(v)
        return z.through(t, 1 - t**2, -2 * t * (1 - t**2))
    if name == "sigmoid":
        s = one / (1 + mp.exp(-v))
        return z.through(s, s * (1 - s), s * (1 - s) * (1 - 2 * s))
    if name == "softplus":
        s = one / (1 + mp.exp(-v))
        return z.through(mp.log(1 + mp.exp(v)), s, s * (1 - s))
    if name == "atan":
        r = one / (1 + v**2)
        return z.through(mp.atan(v), r, -2 * v * r**2)
    if name == "asinh":
        r = one / mp.sqrt(1 + v**2)
        return z.through(mp.asinh(v), r, -v * r**3)
    if name == "erf":
        slope = 2 * mp.exp(-(v**2)) / mp.sqrt(mp.pi)
        return z.through(mp.erf(v), slope, -2 * v * slope)
    if name == "gelu":
        bell = mp.exp(-(v**2) / 2) / mp.sqrt(2 * mp.pi)
        cdf = (1 + mp.erf(v / mp.sqrt(2))) / 2
        return z.through(v * cdf, cdf + v * bell, (2 - v**2) * bell)
    if name == "silu":
        return z * _smooth(z, "sigmoid")
    raise KeyError(name)


def _power(base: Jet, exponent: Jet) -> Jet:
    if exponent.g is None and exponent.v == int(exponent.v):
        n = int(exponent.v)
        if n == 0:
            return _jet(1)
        if n < 0:
            v = base.v
            return base.through(v**n, n * v ** (n - 1), n * (n - 1) * v ** (n - 2))
        return reduce(lambda a, b: a * b, [base] * n)
    return _smooth(_smooth(base, "log") * exponent, "exp")


class Expert:
    """h(x, η) from text; every kink it meets is noted while it is evaluated."""

    def __init__(self, text: str, dim: int = 1) -> None:
        self.text, self.dim = text, dim
        tree = ast.parse(text, mode="eval").body
        self.inputs = ["x"] if dim == 1 else [f"x{s}" for s in range(dim)]
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call)}
        self.parameters = sorted(names - called - {*self.inputs, "pi"})
        self.arguments: list[mp.mpf] = []  # of the kinks, as met
        self._h = self._compiled(tree)

    def jet(self, x: Sequence, eta: Sequence, derivatives: bool = True) -> Jet:
        q = len(self.parameters)
        known = {name: Jet(value) for name, value in zip(self.inputs, x, strict=True)}
        known["pi"] = Jet(+mp.pi)
        for i, (name, value) in enumerate(zip(self.parameters, eta, strict=True)):
            unit = [mp.mpf(i == j) for j in range(q)] if derivatives else None
            known[name] = Jet(value, unit)
        self.arguments = []
        return _jet(self._h(known))

    def derivatives(self, x: Sequence, eta: Sequence) -> tuple[list, list]:
        """∇h and ∇²h, row by row."""
        jet, q = self.jet(x, eta), len(self.parameters)
        return jet.g or [mp.mpf(0)] * q, jet.h or [mp.mpf(0)] * (q * q)

    def _compiled(self, node: ast.expr) -> Callable:
        match node:
            case ast.Constant(value=value):
                constant = Jet(mp.mpf(str(value)))
                return lambda known: constant
            case ast.Name(id=name):
                return lambda known: known[name]
            case ast.UnaryOp(operand=operand):
                inner = self._compiled(operand)
                return lambda known: -inner(known)
            case ast.BinOp(left=a, op=op, right=b):
                left, right = self._compiled(a), self._compiled(b)
                minus = _jet(-1)
                return {
                    ast.Add: lambda known: left(known) + right(known),
                    ast.Sub: lambda known: left(known) - right(known),
                    ast.Mult: lambda known: left(known) * right(known),
                    ast.Div: lambda known: left(known) * _power(right(known), minus),
                    ast.Pow: lambda known: _power(left(known), right(known)),
                }[type(op)]
            case ast.Call(func=ast.Name(id=name), args=args):
                inner = [self._compiled(a) for a in args]
                return lambda known: self._called(name, [f(known) for f in inner])
        raise AssertionError(ast.dump(node))

    def _called(self, name: str, values: list[Jet]) -> Jet:
        z = values[0]
        if name == "relu":
            return self._larger(z, _jet(0))
        if name == "abs":
            return self._larger(z, -z)
        if name == "elu":
            return z if self._positive(z) else _smooth(z, "exp") - 1
        if name == "softsign":
            return z * _power((z if self._positive(z) else -z) + 1, _jet(-1))
        if name == "Max":
            return reduce(self._larger, values)
        if name == "Min":
            return -reduce(self._larger, [-v for v in values])
        return _smooth(z, name)

    def _larger(self, left: Jet, right: Jet) -> Jet:
        return left if self._positive(left - right) else right

    def _positive(self, z: Jet) -> bool:
        self.arguments.append(z.v)
        return z.v > 0


# -- where to look --------------------------------------------------------------------------------


def _signs(expert: Expert, x: Sequence, eta: Sequence) -> tuple[bool, ...]:
    expert.jet(x, eta, derivatives=False)
    return tuple(v > 0 for v in expert.arguments)


def kinks_on(expert: Expert, start: Sequence, end: Sequence, eta: Sequence) -> list[mp.mpf]:
    """Places s in (0, 1) on the segment where some kink's argument changes its sign."""

    def at(s):
        return [a + s * (b - a) for a, b in zip(start, end, strict=True)]

    places = []
    steps = [mp.mpf(n) / 61 for n in range(62)]
    for low, high in pairwise(steps):
        left, right = _signs(expert, at(low), eta), _signs(expert, at(high), eta)
        if left == right:
            continue
        for _ in range(16):  # then there is one kink in between
            middle = (low + high) / 2
            if _signs(expert, at(middle), eta) == left:
                low = middle
            else:
                high = middle
        changed = next(i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)

        def argument(s, changed=changed):
            expert.jet(at(s), eta, derivatives=False)
            return expert.arguments[changed]

        root = mp.findroot(argument, (low, high), solver="anderson", tol=mp.mpf(10) ** -150)
        places.append(root)
    return places


def points(expert: Expert, eta: Sequence, count: int, seed: int) -> tuple[list, list]:
    """Points x, enough on every piece, and pairs on the two sides of kinks."""
    rng, d = random.Random(seed), expert.dim

    def drawn():
        return [mp.mpf(rng.randrange(1, 6000)) / 1000 + LOW for _ in range(d)]

    expert.jet(drawn(), eta, derivatives=False)
    if not expert.arguments:
        return [drawn() for _ in range(2 * count)], []
    found, sides = [], []
    for _ in range(1 if d == 1 else 12):
        start, end = ([mp.mpf(LOW)], [mp.mpf(HIGH)]) if d == 1 else (drawn(), drawn())

        def at(s, start=start, end=end):
            return [a + s * (b - a) for a, b in zip(start, end, strict=True)]

        places = kinks_on(expert, start, end, eta)
        stops = [mp.mpf(0), *places, mp.mpf(1)]
        own = count + 3 if d == 1 else count // 6 + 2
        for low, high in pairwise(stops):
            found += [at(low + (high - low) * (2 * n + 1) / (2 * own)) for n in range(own)]
        sides += [(at(s - BESIDE), at(s + BESIDE)) for s in places]
    return found, sides


# -- the equations --------------------------------------------------------------------------------


@dataclass
class Space:
    """The null space: vectors of coefficients, and their M as matrices of 80 digits."""

    expert: Expert
    rows: list[list]
    vectors: list[list]
    redundant: bool
    """Whether some of them has M = 0: a relation of first derivatives alone."""

    def matrices(self) -> list:
        q = len(self.expert.parameters)
        found = []
        for vector in self.vectors:
            m = mp.matrix(q, q)
            for value, (i, j) in zip(vector[q + 1 :], _pairs(q), strict=True):
                m[i, j] = m[j, i] = value
            found.append(m)
        return found


def _pairs(q: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(q) for j in range(i, q)]


def equations(expert: Expert, eta: Sequence, likelihood: str, seed: int = 0) -> list[list]:
    """Rows over (m, m_ν, M_ij for i ≤ j)."""
    q = len(expert.parameters)
    pairs = _pairs(q)
    columns = q + 1 + len(pairs)
    found, sides = points(expert, eta, columns, seed)
    zero, rows = mp.mpf(0), []
    for x in found:
        first, second = expert.derivatives(x, eta)
        bend = [second[i * q + j] * (1 if i != j else mp.mpf("0.5")) for i, j in pairs]
        rows.append([*first, zero, *bend])
        if likelihood == FREE:
            square = [first[i] * first[j] * (2 if i != j else 1) for i, j in pairs]
            rows.append([zero] * q + [mp.mpf(1), *square])
        if likelihood == KNOWN:
            for u in range(q):  # the rows of M∇h
                row = [first[i + j - u] if u in (i, j) else zero for i, j in pairs]
                rows.append([zero] * q + [zero, *row])
    for left, right in sides:
        jump = [
            a - b
            for a, b in zip(
                expert.derivatives(right, eta)[0], expert.derivatives(left, eta)[0], strict=True
            )
        ]
        if max(map(abs, jump)) > mp.mpf(10) ** -50:
            square = [jump[i] * jump[j] * (2 if i != j else 1) for i, j in pairs]
            rows.append([zero] * (q + 1) + square)
    if likelihood != FREE:  # there is no m_ν
        rows.append([zero] * q + [mp.mpf(1)] + [zero] * len(pairs))
    return rows


def null_vectors(rows: list[list]) -> list[list]:
    """A basis of the null space, by elimination with complete pivoting; raises Undefined."""
    rows = [list(row) for row in rows]
    n = len(rows[0])
    scale = [max(abs(row[k]) for row in rows) for k in range(n)]
    scale = [size if size > ZERO else mp.mpf(1) for size in scale]
    free, pivots, left = list(range(n)), [], list(range(len(rows)))
    rows = [[v / scale[k] for k, v in enumerate(row)] for row in rows]
    while free and left:
        size, r, c = max((abs(rows[i][k]), i, k) for i in left for k in free)
        if size < SURE:
            if size > ZERO:
                raise Undefined(f"a pivot of size {mp.nstr(size, 3)}")
            break
        pivots.append((r, c))
        left.remove(r)
        free.remove(c)
        top = rows[r]
        inverse = 1 / top[c]
        rows[r] = top = [v * inverse for v in top]
        for i in range(len(rows)):
            factor = rows[i][c]
            if i != r and factor != 0:
                rows[i] = [a - factor * b if b else a for a, b in zip(rows[i], top, strict=True)]
    vectors = []
    for k in free:
        vector = [mp.mpf(0)] * n
        vector[k] = mp.mpf(1)
        for r, c in pivots:
            vector[c] = -rows[r][k]
        vectors.append([v / scale[i] for i, v in enumerate(vector)])
    return vectors


def null_space(expert: Expert, eta: Sequence, likelihood: str, seed: int = 0) -> Space:
    with mp.workdps(DIGITS):
        rows = equations(expert, eta, likelihood, seed)
        vectors = null_vectors(rows)
        q = len(expert.parameters)
        second = [v[q + 1 :] for v in vectors]
        redundant = bool(vectors) and len(null_vectors(_transposed(second))) > 0
        return Space(expert, rows, vectors, redundant)


def _transposed(rows: list[list]) -> list[list]:
    return [list(column) for column in zip(*rows, strict=True)]


# -- the semidefinite question --------------------------------------------------------------------


@dataclass
class Answer:
    """``verdict`` as identkit says it: yes, no invisible M ⪰ 0; no, there is one, of this rank."""

    verdict: str
    rank: int | None
    why: str


def _orthonormal(matrices: list) -> list:
    """Of the space they span, at 80 digits (Gram and Schmidt, twice)."""
    basis: list = []
    for m in matrices:
        for _ in range(2):
            for b in basis:
                m = m - b * _dot(b, m)
        size = mp.sqrt(_dot(m, m))
        if size > mp.mpf(10) ** -30:
            basis.append(m / size)
    return basis


def _dot(a, b):
    return mp.fsum(a[i, j] * b[i, j] for i in range(a.rows) for j in range(a.cols))


def decide(space: Space) -> Answer:
    """Whether the space holds moments with M ⪰ 0, not all zero, with a certificate."""
    if not space.vectors:
        return Answer("yes", None, "no invisible moments at all")
    if space.redundant:
        return Answer("no", 1, "a relation of first derivatives")
    with mp.workdps(DIGITS):
        basis = _orthonormal(space.matrices())
        q = basis[0].rows
        flat = np.array([[float(b[i, j]) for i in range(q) for j in range(q)] for b in basis])
        symmetric = np.array(_symmetric_units(q)).reshape(-1, q * q)
        inside = symmetric - symmetric @ flat.T @ flat
        _, sizes, frame = np.linalg.svd(inside, full_matrices=False)
        frame = frame[sizes > 0.5]  # an orthonormal basis of L⊥
        hidden = np.eye(q)
        if len(frame):
            y = _least_gap(frame, q)
            if np.linalg.eigvalsh(y)[0] > 1e-9 * np.linalg.norm(y) and _positive_dual(y, basis):
                return Answer("yes", None, "a positive definite matrix is orthogonal to all M")
            values, vectors = np.linalg.eigh(np.eye(q) - y)
            hidden = (vectors * np.maximum(values, 0)) @ vectors.T
        for rank in range(1, q + 1):
            if _polished(basis, frame, hidden, rank):
                return Answer("no", rank, f"M = V Vᵀ of rank {rank}")
    raise Undefined("no certificate found")


def _symmetric_units(q: int) -> list[np.ndarray]:
    units = []
    for i, j in _pairs(q):
        unit = np.zeros((q, q))
        unit[i, j] = unit[j, i] = 1 if i == j else 0.5**0.5
        units.append(unit)
    return units


def _least_gap(frame: np.ndarray, q: int) -> np.ndarray:
    """Y ∈ L⊥ that minimises ½‖(I − Y)₊‖²."""

    def value(c):
        y = (c @ frame).reshape(q, q)
        values, vectors = np.linalg.eigh(np.eye(q) - y)
        part = (vectors * np.maximum(values, 0)) @ vectors.T
        return 0.5 * np.sum(part**2), -frame @ part.ravel()

    c = np.zeros(len(frame))
    for _ in range(6):
        c = optimize.minimize(
            value, c, jac=True, method="BFGS", options={"gtol": 1e-12, "maxiter": 4000}
        ).x
    return (c @ frame).reshape(q, q)


def _positive_dual(y: np.ndarray, basis: list) -> bool:
    """Y made orthogonal to L at 80 digits, and its Cholesky factor found."""
    exact = mp.matrix(y.tolist())
    for b in basis:
        exact = exact - b * _dot(b, exact)
    try:
        mp.cholesky((exact + exact.T) / 2)
    except ValueError:
        return False
    return True


def _polished(basis: list, frame: np.ndarray, hidden: np.ndarray, rank: int) -> bool:
    """Whether some M = V Vᵀ in L, V of q × rank, |V| = 1, is found to 50 digits."""
    q = basis[0].rows

    def residual(v):
        v = v.reshape(q, rank)
        return np.append(frame @ (v @ v.T).ravel(), np.sum(v**2) - 1)

    values, vectors = np.linalg.eigh(hidden)
    rng = np.random.default_rng(0)
    first = (vectors * np.sqrt(np.maximum(values, 0)))[:, -rank:]
    for n in range(12):
        start = first if n == 0 else rng.standard_normal((q, rank))
        start = start / (np.linalg.norm(start) or 1)
        found = optimize.least_squares(residual, start.ravel(), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        if found.cost < 1e-16 and _newton(basis, found.x.reshape(q, rank)):
            return True
    return False


def _newton(basis: list, start: np.ndarray) -> bool:
    """Levenberg and Marquardt at 80 digits on the part of V Vᵀ outside L."""
    q, rank = start.shape
    pairs = _pairs(q)
    root = mp.sqrt(2)
    rows = [[b[i, j] * (1 if i == j else root) for i, j in pairs] for b in basis]

    def outside(entries):
        for row in rows:
            along = mp.fsum(a * b for a, b in zip(row, entries, strict=True))
            entries = [e - along * r for e, r in zip(entries, row, strict=True)]
        return entries

    v = mp.matrix(start.tolist())
    previous = mp.inf
    for _ in range(120):
        m = v * v.T
        left = outside([m[i, j] * (1 if i == j else root) for i, j in pairs])
        left.append(mp.fsum(v[i, r] ** 2 for i in range(q) for r in range(rank)) - 1)
        size = mp.sqrt(mp.fsum(e * e for e in left))
        if size < mp.mpf(10) ** -55:
            return True
        if size > previous * mp.mpf("0.95"):
            return False
        previous = size
        columns = []
        for a in range(q):
            for r in range(rank):
                d = mp.matrix(q, q)
                for j in range(q):
                    d[a, j] += v[j, r]
                    d[j, a] += v[j, r]
                own = outside([d[i, j] * (1 if i == j else root) for i, j in pairs])
                columns.append([*own, 2 * v[a, r]])
        jacobian = mp.matrix(_transposed(columns))
        normal = jacobian.T * jacobian + mp.eye(len(columns)) * size * mp.mpf(10) ** -6
        step = mp.lu_solve(normal, jacobian.T * mp.matrix(left))
        for a in range(q):
            for r in range(rank):
                v[a, r] -= step[a * rank + r]
    return False


def verdict(text: str, dim: int, eta: Sequence, likelihood: str, seed: int = 0) -> Answer:
    """The whole question for one expert at one η."""
    return decide(null_space(Expert(text, dim), eta, likelihood, seed))
