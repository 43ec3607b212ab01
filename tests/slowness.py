"""How little T_G − T_* can be where a coordinate has moved by t: arcs, and a minimisation.

Nothing of identkit enters but the text of an arc. The model is that of theory section 10, d = 1:
two true atoms under a softmax gate, the first fitted by m atoms, the second by one whose gate is
the gauge. T is f, or the density of y given x; the norm is that of L² over x and y, by quadrature.

``Problem.smallest`` minimises ‖T_G − T_*‖ over everything else — weights within a box, gate slopes,
parameters, variances, the second atom — where one atom's coordinate has moved by t:
Levenberg and Marquardt from many starts, with derivatives by complex steps. ``arc_norm`` puts the
atoms of an arc into the same model at 50 digits.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise
from types import SimpleNamespace

import mpmath as mp
import numpy as np
from scipy import optimize, special

LOW, HIGH = -3.0, 3.0
DENSITY, VALUE = "gaussian", "least-squares"
SLOPES = (0.4, -0.7)
"""Gate slopes of the two true atoms."""
VARIANCE, OTHER_VARIANCE = 1.0, 1.4
LEAST = {2: 0.1, 3: 0.1, 4: 0.04}
"""Cell -> least share of an atom in its weight: those of Gauss and Hermite's points have more."""

ARRAYS = SimpleNamespace(
    exp=np.exp,
    log=np.log,
    sqrt=np.sqrt,
    sin=np.sin,
    cos=np.cos,
    sinh=np.sinh,
    cosh=np.cosh,
    tanh=np.tanh,
    atan=np.arctan,
    asinh=np.arcsinh,
    erf=special.erf,
    gelu=lambda z: z * (1 + special.erf(z / 2**0.5)) / 2,
    softplus=lambda z: np.log(1 + np.exp(z)),
    silu=lambda z: z / (1 + np.exp(-z)),
    number=float,
)
DIGITS = SimpleNamespace(
    exp=mp.exp,
    log=mp.log,
    sqrt=mp.sqrt,
    sin=mp.sin,
    cos=mp.cos,
    sinh=mp.sinh,
    cosh=mp.cosh,
    tanh=mp.tanh,
    atan=mp.atan,
    asinh=mp.asinh,
    erf=mp.erf,
    gelu=lambda z: z * (1 + mp.erf(z / mp.sqrt(2))) / 2,
    softplus=lambda z: mp.log(1 + mp.exp(z)),
    silu=lambda z: z / (1 + mp.exp(-z)),
    number=mp.mpf,
)


def value(text: str, known: dict, functions: SimpleNamespace = ARRAYS):
    """The expression, its names known, in numbers or arrays of these functions."""

    def of(node: ast.expr):
        match node:
            case ast.Constant(value=number):
                return functions.number(str(number))
            case ast.Name(id=name):
                return known[name]
            case ast.UnaryOp(operand=operand):
                return -of(operand)
            case ast.BinOp(left=a, op=ast.Pow(), right=ast.Constant(value=int() as n)):
                return reduce(lambda u, v: u * v, [of(a)] * n)
            case ast.BinOp(left=a, op=op, right=b):
                left, right = of(a), of(b)
                if isinstance(op, ast.Add):
                    return left + right
                if isinstance(op, ast.Sub):
                    return left - right
                return left * right if isinstance(op, ast.Mult) else left / right
            case ast.Call(func=ast.Name(id=name), args=args):
                return getattr(functions, name)(*map(of, args))
        raise AssertionError(ast.dump(node))

    return of(ast.parse(text, mode="eval").body)


def _panel(low: float, high: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(count)
    return (high + low) / 2 + (high - low) / 2 * x, w * (high - low) / 2


@dataclass(frozen=True)
class Problem:
    """One expert (text in x, its parameters at ``eta``, those of the second atom at ``other``)."""

    text: str
    likelihood: str
    eta: tuple[tuple[str, float], ...]
    other: tuple[float, ...]
    cell: int
    gated: bool = True
    """Whether weights depend on x; without, they are constant."""
    radius: float = 0.6
    """How far any parameter and any gate slope may move."""

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.eta]

    @property
    def coordinates(self) -> list[str]:
        return [*self.names, *(["ν"] if self.likelihood == DENSITY else [])]

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x and y of every node, and the root of its weight."""
        density = self.likelihood == DENSITY
        x, wx = _panel(LOW, HIGH, 10 if density else 40)
        wx = wx / (HIGH - LOW)
        if not density:
            return x, np.zeros_like(x), np.sqrt(wx)
        means = [self._mean(x, [v for _, v in self.eta]), self._mean(x, list(self.other))]
        low, high = np.min(means) - 6, np.max(means) + 6
        y, wy = _panel(low, high, 24)
        grid_x, grid_y = np.meshgrid(x, y, indexing="ij")
        weights = np.outer(wx, wy)
        return grid_x.ravel(), grid_y.ravel(), np.sqrt(weights.ravel())

    def _mean(self, x, eta, functions=ARRAYS):
        return value(self.text, {"x": x, **dict(zip(self.names, eta, strict=True))}, functions)

    def _seen(self, x, y, eta, variance, functions=ARRAYS):
        h = self._mean(x, eta, functions)
        if self.likelihood == VALUE:
            return h
        root = functions.sqrt(variance)
        return functions.exp(-((y - h) * (y - h)) / (2 * variance)) / root

    # -- coordinates of G -------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        m, q = self.cell, len(self.coordinates)
        return 1 + m + m + m * q + q

    def atoms(self, p: np.ndarray, coordinate: str, t: float, sign: int):
        """(weight, Δβ, Δη, Δν) of every atom of the cell, and (Δη, Δν) of the second atom.

        The weights are shares of at least LEAST times a total near 1. Of the coordinate the first
        atom has ±t; all else is within the radius.
        """
        m, q = self.cell, len(self.coordinates)
        p = p.reshape(len(p), -1, 1)  # a column for each derivative, beside the nodes
        total, logs, slopes, free, other = np.split(p, np.cumsum([1, m, m, m * q]))
        e = np.exp(3 * np.tanh(logs / 3))
        least = LEAST[m]
        shares = (least + (1 - least * m) * e / e.sum(0)) * (1 + 0.2 * np.tanh(total))
        free = free.reshape(m, q, *p.shape[1:])
        moved = self.radius * np.tanh(free / self.radius)
        u = self.coordinates.index(coordinate)
        moved[0, u] = sign * t
        tilt = self.radius * np.tanh(slopes / self.radius) if self.gated else 0 * slopes
        return shares, tilt, moved, self.radius * np.tanh(other / self.radius)

    def difference(self, weights, slopes, moved, other, x=None, y=None, functions=ARRAYS):
        """T_G − T_* at the nodes; the weights over e^(β0) of the first true atom."""
        if x is None:
            x, y, _ = self._grid
        q = len(self.names)
        true = [functions.number(v) for _, v in self.eta]
        second = [functions.number(v) for v in self.other]
        one, two = functions.number(VARIANCE), functions.number(OTHER_VARIANCE)
        first, last = SLOPES if self.gated else (0.0, 0.0)
        own = functions.exp(functions.number(first) * x)
        rest = functions.exp(functions.number(last) * x)
        star = (
            own * self._seen(x, y, true, one, functions)
            + rest * self._seen(x, y, second, two, functions)
        ) / (own + rest)
        top, bottom = 0, rest
        for w, b, d in zip(weights, slopes, moved, strict=True):
            eta = [v + e for v, e in zip(true, d[:q], strict=True)]
            variance = one + d[q] if len(d) > q else one
            gate = w * own * functions.exp(b * x)
            top = top + gate * (self._seen(x, y, eta, variance, functions) - star)
            bottom = bottom + gate
        eta = [v + e for v, e in zip(second, other[:q], strict=True)]
        variance = two + other[q] if len(other) > q else two
        top = top + rest * (self._seen(x, y, eta, variance, functions) - star)
        return top / bottom

    # -- the minimum --------------------------------------------------------------------------

    def norm(self, p: np.ndarray, coordinate: str, t: float, sign: int = 1) -> float:
        return float(np.linalg.norm(self._residual(p, coordinate, t, sign)))

    def _residual(self, p, coordinate, t, sign):
        with np.errstate(all="ignore"):  # a scale that has become 0, or a variance below it
            found = self._grid[2] * self.difference(*self.atoms(p, coordinate, t, sign))
        found = np.where(np.isfinite(found), found, 1e6)
        return found[0] if p.ndim == 1 else found.T

    def _jacobian(self, p, coordinate, t, sign):
        step = 1e-30
        batch = p[:, None] + 1j * step * np.eye(len(p))
        return self._residual(batch, coordinate, t, sign).imag / step

    def smallest(
        self,
        coordinate: str,
        t: float,
        *,
        starts: int,
        seed: int = 0,
        warm: Sequence[tuple[np.ndarray, int]] = (),
        evaluations: int = 200,
    ) -> tuple[float, np.ndarray, int]:
        """The least norm found, where and with which sign; ``warm`` starts come first."""
        rng = np.random.default_rng(seed)
        begin = list(warm)
        while len(begin) < len(warm) + starts:
            if len(begin) % 2:
                p = rng.standard_normal(self.dimension) * t ** rng.choice([0.5, 1, 1.5])
                p[1 : 1 + self.cell] = rng.standard_normal(self.cell)
            else:
                p = self._polygon(t, rng)
            begin.append((p, int(rng.choice([-1, 1]))))
        best = (np.inf, begin[0][0], 1)
        for p, sign in begin:
            found = self._descended(p, coordinate, t, sign, evaluations, rounds=2)
            best = min(best, found, key=lambda b: b[0])
        _, p, sign = best
        return min(
            best,
            self._descended(p, coordinate, t, sign, evaluations, rounds=12),
            key=lambda b: b[0],
        )

    def _polygon(self, t: float, rng: np.random.Generator) -> np.ndarray:
        """A start: equal weights at the corners of a regular polygon in some plane of η."""
        m, q = self.cell, len(self.coordinates)
        p = np.zeros(self.dimension)
        plane = rng.standard_normal((2, q))
        plane[:, len(self.names) :] = 0  # variances move with the square
        angles = 2 * np.pi * (np.arange(m) + rng.random()) / m
        moved = 1.5 * t * np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane
        moved[:, len(self.names) :] = -(t**2)
        p[1 + 2 * m : 1 + 2 * m + m * q] = moved.ravel()
        return p

    def _descended(
        self, p: np.ndarray, coordinate: str, t: float, sign: int, evaluations: int, rounds: int
    ) -> tuple[float, np.ndarray, int]:
        """From one start; again from where it stopped, in units of what is left, while it pays."""
        scale = self.norm(p, coordinate, t, sign)
        for _ in range(rounds):
            found = optimize.least_squares(
                lambda z, c=scale: self._residual(z, coordinate, t, sign) / c,
                p,
                lambda z, c=scale: self._jacobian(z, coordinate, t, sign) / c,
                method="lm",
                xtol=1e-14,
                ftol=1e-12,
                gtol=1e-14,
                max_nfev=evaluations,
            )
            p, old = found.x, scale
            scale = float(np.sqrt(2 * found.cost)) * scale
            if scale == 0 or scale > 0.97 * old:
                break
        return scale, p, sign

    def slopes(
        self,
        coordinate: str,
        times: Sequence[float],
        starts: int,
        seed: int = 0,
        arc: Sequence[dict] = (),
        power: float = 1,
    ) -> tuple[list[float], list[float]]:
        """The least norms at these t, the larger first, and the slopes between them.

        A minimum, scaled down by several powers, is a start for the next t; and what is found
        there, scaled up, one for the t before. The atoms of an arc are one start more. Nothing
        moves by more than 2·t^(1/``power``): an order is about a neighbourhood of the truth, and
        far from it a few atoms come close to any smooth f. ``power`` is that of the coordinate
        where what moves most is t.
        """
        norms: list[float] = []
        places: list[tuple[np.ndarray, int]] = []
        for n, t in enumerate(times):
            begin = [] if n == 0 else self._scaled(places[-1], t / times[n - 1])
            if arc:
                begin.append(replace(self, radius=2.0).on_arc(arc, coordinate, t))
            near = replace(self, radius=2 * t ** (1 / power))
            norm, place, sign = near.smallest(coordinate, t, starts=starts, seed=seed, warm=begin)
            norms.append(norm)
            places.append((place, sign))
        for n in reversed(range(len(times) - 1)):
            begin = self._scaled(places[n + 1], times[n] / times[n + 1])
            near = replace(self, radius=2 * times[n] ** (1 / power))
            norm, place, sign = near.smallest(coordinate, times[n], starts=0, warm=begin)
            if norm < norms[n]:
                norms[n], places[n] = norm, (place, sign)
        steps = pairwise(zip(times, norms, strict=True))
        return norms, [float(np.log(a / b) / np.log(s / t)) for (s, a), (t, b) in steps]

    def _scaled(self, place: tuple[np.ndarray, int], ratio: float) -> list[tuple[np.ndarray, int]]:
        p, sign = place
        found = []
        for exponent in (0.0, 0.5, 1.0, 1.5, 2.0):
            scaled = p.copy()
            scaled[1 + self.cell :] *= ratio**exponent
            found.append((scaled, sign))
        return found

    # -- arcs ---------------------------------------------------------------------------------

    def arc_slope(self, atoms: Sequence[dict]) -> float:
        """Of ‖T_G(t) − T_*‖ in t, from t = 1/64 and 1/128."""
        norms = [self.arc_norm(atoms, mp.mpf(1) / n) for n in (64, 128)]
        return float(mp.log(norms[0] / norms[1]) / mp.log(2))

    def on_arc(self, atoms: Sequence[dict], coordinate: str, t: float) -> tuple[np.ndarray, int]:
        """The free numbers of the arc's atoms where the coordinate has moved by t; and its sign."""
        u = self.coordinates.index(coordinate)

        def largest(time):
            return max(abs(d[u]) for _, d in self.placed(atoms, mp.mpf(time)))

        low, high = mp.mpf(0), mp.mpf(1)
        while largest(high) < t:
            high *= 2
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if largest(middle) < t else (low, middle)
        placed = self.placed(atoms, high)
        while len(placed) < self.cell:  # of a smaller cell: one of its atoms twice
            w, moved = placed.pop(0)
            placed += [(w / 2, moved), (w / 2, moved)]
        placed.sort(key=lambda a: -abs(a[1][u]))
        m, q = self.cell, len(self.coordinates)
        moved = np.array([[float(v) for v in d] for _, d in placed])
        excess = np.array([max(float(w) - LEAST[m], 1e-3) for w, _ in placed])
        logs = 3 * np.arctanh(np.clip((np.log(excess) - np.log(excess).mean()) / 3, -0.9, 0.9))
        free = self.radius * np.arctanh(np.clip(moved / self.radius, -0.95, 0.95))
        p = np.concatenate([[0.0], logs, np.zeros(m), free.ravel(), np.zeros(q)])
        return p, 1 if moved[0, u] > 0 else -1

    def placed(self, atoms: Sequence[dict], t) -> list[tuple]:
        """(weight, deviations) of every atom of an arc, as it is printed."""
        true = {name: mp.mpf(v) for name, v in self.eta}
        found = []
        for group in atoms:
            weights = [_ratio(w) for w in group["weight"]]
            for s in _real_roots([_ratio(r) for r in group["roots"]]):
                known = {**true, "ξ": s, "τ": t}
                moved = {
                    name: value(text, known, DIGITS) for name, text in group["deviations"].items()
                }
                w = mp.fsum(c * s**i for i, c in enumerate(weights))
                found.append((w, [moved.get(c, mp.mpf(0)) for c in self.coordinates]))
        return found

    def arc_norm(self, atoms: Sequence[dict], t) -> mp.mpf:
        """‖T_G(t) − T_*‖ of an arc at 50 digits, over some x and y."""
        with mp.workdps(50):
            true = {name: mp.mpf(v) for name, v in self.eta}
            placed = self.placed(atoms, mp.mpf(t))
            assert abs(mp.fsum(w for w, _ in placed) - 1) < mp.mpf(10) ** -40
            assert min(w for w, _ in placed) > 0
            still = [mp.mpf(0)] * len(placed)
            rest = [mp.mpf(0)] * len(self.coordinates)
            total = mp.mpf(0)
            for i in range(11):
                x = mp.mpf(LOW) + mp.mpf(HIGH - LOW) * (2 * i + 1) / 22
                middle = self._mean(x, list(true.values()), DIGITS)
                for j in range(9 if self.likelihood == DENSITY else 1):
                    y = middle + mp.mpf(5 * j - 21) / 9
                    change = self.difference(
                        [w for w, _ in placed], still, [d for _, d in placed], rest, x, y, DIGITS
                    )
                    total += change**2
            return mp.sqrt(total)


def _ratio(text: str):
    top, _, bottom = text.partition("/")
    return mp.mpf(top) / mp.mpf(bottom or "1")


def _real_roots(coefficients: Sequence) -> list:
    with mp.workdps(60):
        roots = mp.polyroots(list(coefficients)[::-1], maxsteps=200, extraprec=200)
        assert all(abs(mp.im(r)) < mp.mpf(10) ** -40 for r in roots)
    return [mp.re(r) for r in roots]
