"""Numerics for theory section 6: how small can ‖f_G − f_G*‖ be, given the Voronoi loss L(G, G*)?

Independent of identkit: no symbolic algebra, no conditions, only models, losses and a minimiser.
One true atom is over-specified (two fitted atoms), d = 1, X uniform on [-3, 3].

- ``sigmoid``: that is the only true atom; β1* = 0 and σ(β0*) = 0.6 (Regime 1);
- ``softmax``: a second true atom is fitted by exactly one, whose (β0, β1) is pinned at the truth:
  this fixes the gauge; its η is free.

``smallest_ratio`` minimises ‖f_G − f_G*‖_{L2(μ)} / L(G, G*) over G on the sphere where the
deviations δ = (Δβ1_1, Δη_1, Δβ1_2, Δη_2) of the over-specified cell have Euclidean norm ε. The
total weight (and for softmax the η of the exact atom) moves freely; each fitted atom has between a
tenth and nine tenths of the weight of the cell. That bound stands for the compact parameter space
of the theorems: the sigmoid loss does not weigh ‖Δ‖² by σ(β0_i), so a fitted atom of vanishing
weight would make the ratio vanish for any expert.

The minimiser is a trust-region least-squares method on the residual function (f_G − f_G*)/L at
quadrature nodes, with complex-step derivatives, from many seeded starts. The coordinates are the
weight split, the difference of the two atoms (order ε) and their mean (order ε²), so that the
first-moment condition is a coordinate plane and not a curved valley. ``ratio_high_precision``
evaluates the result again in 50 digits, on panels split at the kinks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace

import mpmath as mp
import numpy as np
from scipy import optimize, special

LOW, HIGH = -3.0, 3.0
NODES = 80

_NUMPY = SimpleNamespace(
    tanh=np.tanh,
    sin=np.sin,
    exp=np.exp,
    erf=special.erf,
    relu=lambda z: np.where(np.real(z) > 0, z, 0),
    sqrt2=np.sqrt(2.0),
)
_MPMATH = SimpleNamespace(
    tanh=mp.tanh,
    sin=mp.sin,
    exp=mp.exp,
    erf=mp.erf,
    relu=lambda z: z if z > 0 else mp.mpf(0),
    sqrt2=None,  # set at the working precision
)


@dataclass(frozen=True)
class Expert:
    """``h(f, x, η)``, with the functions f of numpy or of mpmath; two generic true parameters."""

    h: Callable
    eta: tuple[float, ...]  # of the over-specified atom
    other: tuple[float, ...]  # of the exactly fitted atom (softmax)
    # a direction in η to start from as well, for exact families where few random starts reach
    # rounding at every ε (a slow test searches without); none for the other experts
    hint: tuple[float, ...] | None = None
    kinks: bool = False


def _gelu(f, z):
    return z * (1 + f.erf(z / f.sqrt2)) / 2


EXPERTS = {
    "tanh ridge": Expert(lambda f, x, e: f.tanh(e[0] * x + e[1]), (1.3, 0.4), (-0.8, 0.9)),
    "gelu ridge": Expert(lambda f, x, e: _gelu(f, e[0] * x + e[1]), (1.3, 0.4), (-0.8, 0.9)),
    "sin ridge": Expert(lambda f, x, e: f.sin(e[0] * x + e[1]), (1.3, 0.4), (-0.8, 0.9)),
    "erf ridge": Expert(lambda f, x, e: f.erf(e[0] * x + e[1]), (1.3, 0.4), (-0.8, 0.9)),
    "relu ridge": Expert(
        lambda f, x, e: f.relu(e[0] * x + e[1]), (1.3, 0.4), (-0.8, 0.9), (1.3, 0.4), True
    ),
    "gelu ffn": Expert(
        lambda f, x, e: e[0] * _gelu(f, e[1] * x + e[2]),
        (1.1, 1.3, 0.4),
        (0.9, -0.8, 0.9),
        (1.0, 0.0, 0.0),
    ),
    "exp ridge": Expert(
        lambda f, x, e: f.exp(e[0] * x + e[1]), (0.5, 0.2), (-0.4, -0.3), (0.0, 1.0)
    ),
}

SIGMOID_WEIGHT = 0.6  # σ(β0*)
SOFTMAX_ATOM, SOFTMAX_OTHER = (0.2, 0.6), (0.0, -0.3)  # (β0, β1)


@dataclass(frozen=True)
class Measure:
    """A fitted G: weights at x = 0 (σ(β0) or e^{β0}) and deviations of the two atoms."""

    weights: tuple
    beta: tuple  # Δβ1 of the two atoms
    eta: tuple  # Δη of the two atoms
    other: tuple  # Δη of the exact atom


@dataclass(frozen=True)
class Minimum:
    ratio: float
    measure: Measure
    parameters: np.ndarray = field(repr=False)
    ratios: np.ndarray = field(repr=False)  # of all starts, ascending


class Problem:
    """The ratio for one expert, gate and radius ε, as a function of free coordinates."""

    def __init__(self, expert: str, gate: str, epsilon: float) -> None:
        self.expert, self.gate, self.epsilon = EXPERTS[expert], gate, epsilon
        self.q = len(self.expert.eta)
        x, w = np.polynomial.legendre.leggauss(24 if self.expert.kinks else NODES)
        edges = [LOW, HIGH]
        if self.expert.kinks:  # a dense panel around each kink: spacing far below ε
            kinks = [-e[1] / e[0] for e in self._true_etas()]
            edges = sorted({LOW, HIGH, *(k + s for k in kinks for s in (-0.4, -0.1, 0, 0.1, 0.4))})
        self.x, weights = _panels(edges, x, w)
        self.root_weights = np.sqrt(weights)
        self.dimension = 2 + 2 * (1 + self.q) + (self.q if gate == "softmax" else 0)

    def _true_etas(self) -> tuple:
        both = (self.expert.eta, self.expert.other)
        return both if self.gate == "softmax" else both[:1]

    def measure(self, p: np.ndarray) -> Measure:
        """Free coordinates to G; ``p`` may be complex and have leading batch axes."""
        eps, q = self.epsilon, self.q
        p = np.moveaxis(p, -1, 0)
        # the numbers below only keep trial steps in a box; they are inactive at the minima
        true_weight = SIGMOID_WEIGHT if self.gate == "sigmoid" else np.exp(SOFTMAX_ATOM[0])
        total = true_weight + 0.2 * np.tanh(eps**2 * p[1] / 0.2)
        share = 0.1 + 0.8 / (1 + np.exp(-np.tanh(p[0] / 20) * 20))
        first, second = total * share, total * (1 - share)
        spread, mean = p[2 : 3 + q], p[3 + q : 4 + 2 * q]
        if self.gate == "sigmoid":  # β counts with σ', η with σ
            g1, g2 = first * (1 - first), second * (1 - second)
        else:
            g1, g2 = first, second
        lever1 = np.stack([g2 / (g1 + g2)] + [1 - share] * q)
        lever2 = np.stack([g1 / (g1 + g2)] + [share] * q)
        delta1, delta2 = lever1 * spread + eps * mean, -lever2 * spread + eps * mean
        scale = eps / np.sqrt((delta1**2).sum(0) + (delta2**2).sum(0))
        delta1, delta2 = delta1 * scale, delta2 * scale
        other = 0.5 * np.tanh(eps**2 * p[4 + 2 * q :] / 0.5)
        return Measure(
            (first, second),
            (delta1[0], delta2[0]),
            (tuple(delta1[1:]), tuple(delta2[1:])),
            tuple(other),
        )

    def loss(self, g: Measure):
        """The Voronoi loss of theory section 6."""
        true_weight = SIGMOID_WEIGHT if self.gate == "sigmoid" else np.exp(SOFTMAX_ATOM[0])
        total = g.weights[0] + g.weights[1] - true_weight
        loss = total * np.sign(np.real(total))
        for weight, beta, eta in zip(g.weights, g.beta, g.eta, strict=True):
            squares = beta**2 + sum(e**2 for e in eta)
            loss = loss + (squares if self.gate == "sigmoid" else weight * squares)
        if self.gate == "softmax":  # the exact cell: first power
            loss = loss + np.exp(SOFTMAX_OTHER[0]) * np.sqrt(sum(e**2 for e in g.other) + 1e-60)
        return loss

    def difference(self, g: Measure):
        """f_G − f_G* at the nodes."""
        fn, h, x = _NUMPY, self.expert.h, self.x
        etas = [
            [s + _column(e) for s, e in zip(self.expert.eta, eta, strict=True)] for eta in g.eta
        ]
        slopes = [_column(beta) for beta in g.beta]
        weights = [_column(weight) for weight in g.weights]
        if self.gate == "sigmoid":
            return sum(
                w / (w + (1 - w) * np.exp(-b * x)) * h(fn, x, e)
                for w, b, e in zip(weights, slopes, etas, strict=True)
            ) - SIGMOID_WEIGHT * h(fn, x, self.expert.eta)
        # over f_G* the numerator alone cancels: (N − f* D)/D, with f* fixed
        own = np.exp(SOFTMAX_ATOM[0] + SOFTMAX_ATOM[1] * x)
        rest = np.exp(SOFTMAX_OTHER[0] + SOFTMAX_OTHER[1] * x)
        star, star_other = h(fn, x, self.expert.eta), h(fn, x, self.expert.other)
        f_star = (own * star + rest * star_other) / (own + rest)
        other = [s + _column(e) for s, e in zip(self.expert.other, g.other, strict=True)]
        atoms = [
            w * np.exp((SOFTMAX_ATOM[1] + b) * x) for w, b in zip(weights, slopes, strict=True)
        ]
        numerator = sum(
            a * (h(fn, x, e) - f_star) for a, e in zip(atoms, etas, strict=True)
        ) + rest * (h(fn, x, other) - f_star)
        return numerator / (atoms[0] + atoms[1] + rest)

    def residual(self, p: np.ndarray) -> np.ndarray:
        g = self.measure(p)
        return self.root_weights * self.difference(g) / _column(self.loss(g))

    def jacobian(self, p: np.ndarray) -> np.ndarray:
        step = 1e-30
        batch = p + 1j * step * np.eye(len(p))
        return (self.residual(batch).imag / step).T


def _column(value):
    """Broadcast a batch of scalars against the nodes."""
    value = np.asarray(value)
    return value[..., None] if value.ndim else value


def _panels(edges: Sequence[float], x: np.ndarray, w: np.ndarray):
    """Gauss–Legendre on every panel, for the uniform distribution on the whole."""
    nodes, weights = [], []
    for low, high in pairwise(edges):
        nodes.append((high + low) / 2 + (high - low) / 2 * x)
        weights.append((high - low) / 2 * w / (HIGH - LOW))
    return np.concatenate(nodes), np.concatenate(weights)


def smallest_ratio(
    expert: str,
    gate: str,
    epsilon: float,
    *,
    starts: int = 16,
    seed: int = 0,
    warm: Sequence[np.ndarray] = (),
    evaluations: int = 300,
    hints: bool = True,
) -> Minimum:
    """The smallest ratio found from ``starts`` random starts and the ``warm`` ones."""
    problem = Problem(expert, gate, epsilon)
    rng = np.random.default_rng(seed)
    points = [rng.normal(size=problem.dimension) for _ in range(starts)]
    points.extend(warm)
    if hints and problem.expert.hint is not None:
        hint = np.zeros(problem.dimension)
        hint[3 : 3 + problem.q] = problem.expert.hint
        points.append(hint)
    found = []
    for point in points:
        solution = optimize.least_squares(
            problem.residual,
            point,
            jac=problem.jacobian,
            method="trf",
            xtol=1e-12,
            ftol=1e-9,
            gtol=1e-15,
            max_nfev=evaluations,
        )
        best = solution.x if np.isfinite(solution.cost) else point
        found.append((float(np.linalg.norm(problem.residual(best))), best))
    found.sort(key=lambda pair: pair[0])
    if problem.expert.kinks:  # kinks closer than the nodes look equal: measure with split panels
        found = [
            (ratio_high_precision(expert, gate, problem.measure(p)), p)
            for p in (*points, *(best for _, best in found))
        ]
        found.sort(key=lambda pair: pair[0])
    ratio, best = found[0]
    return Minimum(ratio, problem.measure(best), best, np.array([r for r, _ in found]))


def path(expert: str, gate: str, epsilons: Sequence[float], **options) -> dict[float, Minimum]:
    """``smallest_ratio`` for each ε, each also started at the minimisers found for the others."""
    minima: dict[float, Minimum] = {}
    for epsilon in epsilons:
        warm = [m.parameters for m in minima.values()]
        minima[epsilon] = smallest_ratio(expert, gate, epsilon, warm=warm, **options)
    for epsilon in epsilons[-2::-1]:
        warm = [m.parameters for m in minima.values()]
        again = smallest_ratio(expert, gate, epsilon, warm=warm, **{**options, "starts": 0})
        minima[epsilon] = min(minima[epsilon], again, key=lambda minimum: minimum.ratio)
    return minima


def ratio_high_precision(expert: str, gate: str, measure: Measure, digits: int = 50) -> float:
    """‖f_G − f_G*‖ / L(G, G*) for this G in multiprecision: no trick, only digits.

    Written a second time from the definition of section 1, panels split at the kinks.
    """
    e = EXPERTS[expert]
    with mp.workdps(digits):
        fn = SimpleNamespace(**{**vars(_MPMATH), "sqrt2": mp.sqrt(2)})
        eta, other = [mp.mpf(v) for v in e.eta], [mp.mpf(v) for v in e.other]
        shifted = [
            [s + mp.mpf(d) for s, d in zip(eta, eta_i, strict=True)] for eta_i in measure.eta
        ]
        beta = [mp.mpf(b) for b in measure.beta]
        weights = [mp.mpf(w) for w in measure.weights]
        if gate == "sigmoid":
            true_weight = mp.mpf(SIGMOID_WEIGHT)
            fit_other = []

            def model(x, atoms):
                logits = [mp.log(w / (1 - w)) + b * x for w, b, _ in atoms]
                return sum(
                    e.h(fn, x, a[2]) / (1 + mp.exp(-z)) for z, a in zip(logits, atoms, strict=True)
                )

            truth = [(true_weight, mp.mpf(0), eta)]
            fitted = [(w, b, t) for w, b, t in zip(weights, beta, shifted, strict=True)]
        else:
            # the true weight is the double that the minimiser's loss uses
            true_weight = mp.mpf(float(np.exp(SOFTMAX_ATOM[0])))
            fit_other = [mp.mpf(d) for d in measure.other]

            def model(x, atoms):
                gates = [w * mp.exp(b * x) for w, b, _ in atoms]
                return sum(
                    g * e.h(fn, x, a[2]) for g, a in zip(gates, atoms, strict=True)
                ) / mp.fsum(gates)

            slope, rest = mp.mpf(SOFTMAX_ATOM[1]), (mp.mpf(1), mp.mpf(SOFTMAX_OTHER[1]))
            truth = [(true_weight, slope, eta), (*rest, other)]
            fitted = [(w, slope + b, t) for w, b, t in zip(weights, beta, shifted, strict=True)]
            moved = [s + d for s, d in zip(other, fit_other, strict=True)]
            fitted.append((*rest, moved))
        edges = {LOW, HIGH}
        if e.kinks:
            edges |= {float(-t[1] / t[0]) for _, _, t in truth + fitted}
        x, w = np.polynomial.legendre.leggauss(NODES if not e.kinks else 12)
        nodes, node_weights = _panels(sorted(edges), x, w)
        square = mp.fsum(
            mp.mpf(float(v))
            * (model(mp.mpf(float(t)), fitted) - model(mp.mpf(float(t)), truth)) ** 2
            for t, v in zip(nodes, node_weights, strict=True)
        )
        loss = abs(mp.fsum(weights) - true_weight) + mp.sqrt(mp.fsum(d**2 for d in fit_other))
        for weight, b, d in zip(weights, beta, measure.eta, strict=True):
            squares = b**2 + mp.fsum(mp.mpf(v) ** 2 for v in d)
            loss += squares if gate == "sigmoid" else weight * squares
        return float(mp.sqrt(square) / loss)
