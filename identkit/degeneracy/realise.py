"""Explicit atoms with given second moments: the witness of a degeneracy made concrete.

Atoms deviate by t·y_i + t²·drift with equal weights; the y_i are the vertices of a simplex with
Σ y_i = 0 and the required second moments, the drift supplies the first moments.

- softmax: weights 1/m of w* = 1, M_ηη = Σ y_i y_iᵀ / m.
- sigmoid, Regime 1, with s* = σ(β0*) = 1/2 and s = s*/m: M_ββ = Σ s''ββᵀ, M_βη = Σ s'βΔηᵀ and
  M_ηη = Σ s ΔηΔηᵀ, where s' = s(1−s), s'' = s'(1−2s). In the coordinates √s'' β and √s Δη the
  second moments are Q = [[M_ββ, M_βη/κ], [·, M_ηη]] with κ = s'/√(s s'') ≥ 1; Q ⪰ 0 if M ⪰ 0.
- Gaussian likelihood with a free variance: as softmax; the variance has a drift alone, from ν* = 1.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from flint import arb
from mpmath import mp

from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, precision
from identkit.degeneracy.moments import MomentSpace
from identkit.degeneracy.records import RealisedAtoms
from identkit.domain import Domain
from identkit.experts import symbols

BITS = 300
DIGITS = 40
"""Decimal digits of the recorded deviations; the norms are those of the recorded atoms."""
POINTS = 64
STEPS = range(4, 10)
"""t = 2^-4 … 2^-9."""
ROUNDING = 1e-12
"""Eigenvalues below this, relative to the largest, count as 0."""
NEGLIGIBLE = arb(2) ** -100


def realise(
    atom: AtomFunction,
    space: MomentSpace,
    moments: Mapping[tuple[str, ...], Any],
    eta: tuple[Fraction, ...],
    seed: int,
    domain: Domain,
) -> RealisedAtoms | None:
    """Atoms G_t around η* with these moments (keys are pairs as in the space; absent means 0).

    None if Q is not positive semidefinite, or if h is not finite at the atoms. ``order`` is
    ``inf`` if f does not change to within 100 bits.
    """
    with mp.workprec(BITS):
        gate = space.weight_free
        weight = Fraction(1, 2) if gate else Fraction(1)
        scales: list[Any] = []
        vertices = None
        for m in range(2, len(space.coordinates) + 2):
            scales = _scales(space, weight / m, gate)
            root = _root(_second(space, moments, scales, weight / m, gate))
            if root is None:
                return None
            if root.cols < m:
                vertices = _simplex(root, m)
                break
        if vertices is None:
            return None
        cell = len(vertices)
        deviations = [[_decimal(v / s) for v, s in zip(y, scales, strict=True)] for y in vertices]
        s = weight / cell
        rates = {c: s * (1 - s) if c in space.gates else s for c in space.coordinates}
        drift = [
            _decimal(mp.mpf(moments.get((c,), 0)) / _mpf(rates.get(c, s) * cell))
            for c in (*space.coordinates, *space.pinned)
        ]
        shift = _decimal(mp.mpf(moments.get((), 0)))
    measured = _Measurement(atom, space, eta, weight, gate, seed, domain)
    norms = [measured.norm(Fraction(1, 2**n), deviations, drift, shift) for n in STEPS]
    if not all(n.is_finite() for n in norms[-2:]):
        return None
    return RealisedAtoms(
        cell,
        tuple(map(str, eta)),
        str(weight),
        (str(Fraction(1, cell)),) * cell,
        tuple(map(tuple, deviations)),
        tuple(drift),
        shift,
        tuple(
            (str(Fraction(1, 2**k)), f"{float(n.mid()):.6e}")
            for k, n in zip(STEPS, norms, strict=True)
            if n.is_finite()
        ),
        _order(norms),
    )


def _order(norms: Sequence[arb]) -> str:
    if norms[-1].mid() < NEGLIGIBLE:
        return "inf"
    with precision(BITS):
        return f"{float(((norms[-2] / norms[-1]).log() / arb(2).log()).mid()):.2f}"


def _mpf(value: Fraction) -> Any:
    return mp.mpf(value.numerator) / value.denominator


def _decimal(value: Any) -> str:
    return str(mp.nstr(value, DIGITS))


def _scales(space: MomentSpace, s: Fraction, gate: bool) -> list[Any]:
    """√s'' for β and √s for η: what a deviation is multiplied by in the coordinates of Q."""
    curvature = s * (1 - s) * (1 - 2 * s) if gate else s
    return [mp.sqrt(_mpf(curvature if c in space.gates else s)) for c in space.coordinates]


def _second(
    space: MomentSpace,
    moments: Mapping[tuple[str, ...], Any],
    scales: Sequence[Any],
    s: Fraction,
    gate: bool,
) -> Any:
    """The matrix Q."""
    names = space.coordinates
    q = mp.zeros(len(names))
    for i, u in enumerate(names):
        for j, v in enumerate(names[i:], i):
            value = mp.mpf(moments.get((u, v), moments.get((v, u), 0)))
            if gate and (u in space.gates) != (v in space.gates):
                value = value * scales[i] * scales[j] / _mpf(s * (1 - s))
            q[i, j] = q[j, i] = value
    return q


def _root(q: Any) -> Any | None:
    """L with L Lᵀ = Q, as many columns as the rank; None if Q is not positive semidefinite."""
    values, vectors = mp.eigsy(q)
    largest = max([abs(v) for v in values], default=mp.zero)
    if any(v < -ROUNDING * largest for v in values):
        return None
    kept = [k for k in range(q.rows) if values[k] > ROUNDING * largest]
    root = mp.zeros(q.rows, max(1, len(kept)))
    for column, k in enumerate(kept):
        for i in range(q.rows):
            root[i, column] = mp.sqrt(values[k]) * vectors[i, k]
    return root


def _simplex(root: Any, m: int) -> list[list[Any]]:
    """y_1 … y_m with Σ y_i = 0 and Σ y_i y_iᵀ = L Lᵀ, from the rows of the Helmert matrix."""
    points = []
    for i in range(m):
        unit = [
            (1 if i < k else -k if i == k else 0) / mp.sqrt(k * (k + 1))
            for k in range(1, root.cols + 1)
        ]
        points.append(
            [mp.fsum(root[row, k] * u for k, u in enumerate(unit)) for row in range(root.rows)]
        )
    return points


def points_in(
    domain: Domain, dim: int, count: int, rng: random.Random
) -> list[tuple[Fraction, ...]]:
    """Rational points of the domain, multiples of 1/1024 of its widths."""
    return [
        tuple(
            low + (high - low) * Fraction(rng.randrange(1, 1024), 1024)
            for low, high in domain.sides(dim)
        )
        for _ in range(count)
    ]


def offsets(points: Sequence[Any], rng: random.Random) -> list[Fraction]:
    """For each point how far y is from the true mean, of variance 1."""
    return [Fraction(rng.randrange(-3072, 3073), 1024) for _ in points]


def bell(away: arb, variance: arb) -> arb:
    """√(2π)·N(``away`` | 0, ``variance``)."""
    return (-away * away / (2 * variance)).exp() / variance.sqrt()


class _Measurement:
    """The root mean square of f_{G_t} − f_{G*} (for softmax: of its numerator) over points.

    Of a density, over points of x and of y − h(x, η*).
    """

    def __init__(
        self,
        atom: AtomFunction,
        space: MomentSpace,
        eta: Sequence[Fraction],
        weight: Fraction,
        gate: bool,
        seed: int,
        domain: Domain,
    ) -> None:
        self.atom, self.space = atom, space
        self.eta, self.weight, self.gate = eta, weight, gate
        self.places = [atom.parameters.index(c) for c in space.coordinates if c not in space.gates]
        self.tape = Tape(atom.parts, (*symbols(atom.variables), *symbols(atom.parameters)))
        rng = random.Random(seed)
        self.points = points_in(domain, len(atom.inputs), POINTS, rng)
        self.responses = offsets(self.points, rng) if space.pinned else []

    def norm(self, t: Fraction, deviations: list[list[str]], drift: list[str], shift: str) -> arb:
        """At one t, the atoms being those recorded as text."""
        split = len(self.space.gates)
        total = self.weight + Fraction(shift) * t * t
        s = total / len(deviations)
        moved = [
            [t * Fraction(y) + t * t * Fraction(z) for y, z in zip(row, drift, strict=False)]
            for row in deviations
        ]
        if self.responses:
            return self._density_norm(moved, s / self.weight, t * t * Fraction(drift[-1]))
        with precision(BITS):
            square = arb(0)
            for point in self.atom.everywhere(self.points):
                z = [ball(v) for v in self.atom.at(point)]
                start, h = self._routed(z, self.eta)
                change, value = -start, -ball(self.weight) * start * h
                for row in moved:
                    factor, h = self._routed(z, self._moved(row[split:]))
                    change += ball(s / self.weight) * factor
                    value += self._weight(z, s, row[:split]) * factor * h
                square += value * value
                if self.atom.routed is not None:  # what multiplies h − f in f_G − f_G*
                    square += change * change
            return (square.mid() / POINTS).sqrt() if square.is_finite() else square

    def _density_norm(self, moved: list[list[Fraction]], share: Fraction, spread: Fraction) -> arb:
        """Of Σ share·N(y | h(x, η_i), 1 + ``spread``) − N(y | h(x, η*), 1), times √(2π)."""
        with precision(BITS):
            square, variance = arb(0), 1 + ball(spread)
            if not variance > 0:
                return arb("nan")
            for point, offset in zip(self.points, self.responses, strict=True):
                z, y = [ball(v) for v in point], ball(offset)
                (start, middle), total = self._routed(z, self.eta), arb(0)
                for row in moved:
                    factor, h = self._routed(z, self._moved(row))
                    total += ball(share) * factor * bell(y + middle - h, variance)
                total = total - start * bell(y, arb(1))
                square += total * total
            return (square.mid() / POINTS).sqrt() if square.is_finite() else square

    def _weight(self, z: list[arb], s: Fraction, slopes: Sequence[Fraction]) -> arb:
        """σ(βᵀx + logit s), or the weight itself under softmax."""
        if not self.gate:
            return ball(s)
        score = sum((ball(b) * v for b, v in zip(slopes, z, strict=False)), arb(0))
        return 1 / (1 + ball((1 - s) / s) * (-score).exp())

    def _moved(self, row: Sequence[Fraction]) -> list[Fraction]:
        """θ* with these deviations."""
        theta = list(self.eta)
        for place, v in zip(self.places, row, strict=False):
            theta[place] += v
        return theta

    def _routed(self, z: list[arb], theta: Sequence[Fraction]) -> tuple[arb, arb]:
        """What a router makes of the weight (1 without one), and h."""
        *factor, h = self.tape.evaluate([*z, *(ball(e) for e in theta)])
        return (factor[0] if factor else arb(1)), h
