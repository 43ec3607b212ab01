"""Arcs that are proposed; :mod:`identkit.orders.series` decides to which order they hold.

- Gauss and Hermite: s at the zeros of He_m with the weights of Gauss quadrature, and a variance
  that falls by t² for a location that moves by s·t. Σ w He_l(s) = 0 for l = 1 … 2m − 1, so that a
  flow ∂²_location = 2∂_variance makes T_G(t) − T_* = O(t^2m) (proofs_check, r(m) ≥ 2m).
- The same for a ridge φ(z) with φ″ = −κ z φ′: in the coordinates z = ρ(α·x − μ), v = 1/(κρ²), the
  identity ∂²_μ h = 2∂_v h holds, so that ρ = (1 − κt²)^(−1/2) and μ + s·t solve.
- A ridge φ(z) with (1 + z²)φ″ = −2zφ′, as atan: in the coordinates z = (u − μ)/σ it is harmonic, so
  that a regular polygon of m atoms around (μ, σ) makes T_G(t) − T_* = O(t^m): Σ (e^(2πik/m))^l = 0
  for l = 1 … m − 1.
- For ∂²_p h = c·∂_q h, or ∂²_p h = −κ²∂²_q h with numbers c and κ, these two in p and q themselves.
- A pair at one location beside a third atom (theory, orders): Δc = t²(1, 1, −2), a second
  coordinate at ±t³, whose square is compensated by a third one of order t⁴.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import factorial
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_poly

from identkit.degeneracy.moments import SPREAD
from identkit.experts import symbols
from identkit.expression import symbol
from identkit.orders.records import ROOT_NAME, TIME_NAME, Atoms

S, T = symbol(ROOT_NAME), symbol(TIME_NAME)


def hermite(m: int) -> fmpq_poly:
    """He_m, from He_{k+1} = x He_k − He_k′."""
    x, he = fmpq_poly([0, 1]), fmpq_poly([1])
    for _ in range(m):
        he = x * he - he.derivative()
    return he


@cache
def gauss(m: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """He_m and its Gauss weights (m!/m²)/He_{m−1}² as a polynomial modulo He_m, as text."""
    he = hermite(m)
    _, inverse, _ = hermite(m - 1).xgcd(he)
    weight = (inverse * inverse * fmpq(factorial(m), m * m)) % he
    return _texts(he), _texts(weight)


def _texts(p: fmpq_poly) -> tuple[str, ...]:
    return tuple(str(Fraction(int(fmpq(c).p), int(fmpq(c).q))) for c in p.coeffs())


def at_gauss_points(m: int, deviations: Mapping[str, Any]) -> tuple[Atoms, ...]:
    """The m atoms with these deviations, SymPy expressions in s, t and η."""
    roots, weight = gauss(m)
    return (Atoms(roots, weight, tuple((name, str(d)) for name, d in deviations.items())),)


def location_arc(m: int, velocity: Mapping[str, Any], speed: Any) -> tuple[Atoms, ...]:
    """Along V with V·∇h = ``speed``, free of x: η + s·t·V and a variance less by (speed·t)²."""
    moved = {p: sp.expand(S * T * v) for p, v in velocity.items() if v != 0}
    return at_gauss_points(m, {**moved, SPREAD: sp.expand(-((speed * T) ** 2))})


def ridge_arc(
    m: int, offset: str, others: Sequence[str], curvature: Any, limit: int
) -> tuple[Atoms, ...]:
    """For z linear in the ``offset`` and the ``others``, with ∂²h = −curvature·(E·∇h) there."""
    b = symbol(offset)
    # (1 − κt²)^(−1/2) up to t^(limit − 1)
    terms = [
        sp.binomial(2 * k, k) * (curvature * T**2 / 4) ** k for k in range((limit + 1) // 2 + 1)
    ]
    scale = sp.Add(*terms)
    moved = {str(p): sp.expand(p * (scale - 1)) for p in symbols(tuple(others))}
    moved[offset] = sp.expand(b * (scale - 1) - scale * S * T)
    return at_gauss_points(m, moved)


_SQUARES: dict[int, list[tuple[tuple[int, ...], Any]]] = {
    2: [((0, 1), sp.Integer(1)), ((0, 1), sp.Integer(-1))],
    3: [((0, 1), sp.Integer(1)), ((-3, 0, 4), sp.Rational(-1, 2))],
    4: [((0, 1), sp.Integer(1)), ((0, 1), sp.Integer(-1)), ((-1, 0, 1), sp.Integer(0))],
    5: [((0, 1), sp.Integer(1)), ((5, 0, -20, 0, 16), 2 * S**2 - sp.Rational(3, 2))],
    6: [
        *(((0, 1), sp.Integer(sign)) for sign in (1, -1)),
        *(((-3, 0, 4), sp.Rational(sign, 2)) for sign in (1, -1)),
    ],
}
"""m -> its corners: the polynomial of s = sin θ, and cos θ as a polynomial in s."""


def polygon_arc(
    m: int, offset: str, others: Sequence[str], slope: Any, limit: int
) -> tuple[Atoms, ...]:
    """For a harmonic ridge: μ + t·cos θ, σ(1 + t·sin θ) at the corners of a regular polygon.

    z has the ``slope`` in the ``offset`` and is linear in it and the ``others``.
    """
    b, groups = symbol(offset), []
    inverse = sp.Add(*((-S * T) ** k for k in range(limit + 1)))  # 1/(1 + s·t)
    moved = {str(p): sp.expand(p * (inverse - 1)) for p in symbols(tuple(others))}
    for roots, cosine in _SQUARES[m]:
        own = {**moved, offset: sp.expand((b - T * cosine / slope) * inverse - b)}
        if roots == (0, 1):
            own = {name: d.xreplace({S: sp.Integer(0)}) for name, d in own.items()}
        kept = tuple((name, str(d)) for name, d in own.items() if d != 0)
        groups.append(Atoms(tuple(map(str, roots)), (str(Fraction(1, m)),), kept))
    return tuple(groups)


def pair_flow_arc(m: int, first: str, second: str, rate: Any) -> tuple[Atoms, ...]:
    """For ∂²_first h = rate·∂_second h: s·t and −rate·t²/2, at the zeros of He_m."""
    return at_gauss_points(m, {first: S * T, second: -rate * T**2 / 2})


def pair_polygon_arc(m: int, first: str, second: str, ratio: Any) -> tuple[Atoms, ...]:
    """For ∂²_first h = −ratio²·∂²_second h: t·(cos θ/ratio, sin θ) at the corners of a polygon."""
    groups = []
    for roots, cosine in _SQUARES[m]:
        moved = {first: sp.expand(T * cosine / ratio), second: S * T}
        if roots == (0, 1):
            moved = {name: d.xreplace({S: sp.Integer(0)}) for name, d in moved.items()}
        kept = tuple((name, str(d)) for name, d in moved.items() if d != 0)
        groups.append(Atoms(tuple(map(str, roots)), (str(Fraction(1, m)),), kept))
    return tuple(groups)


def shared_location_arc(
    location: str, speed: Any, moving: str, square: Mapping[str, Any], bend: Mapping[str, Any]
) -> tuple[Atoms, ...] | None:
    """Three atoms of equal weights, two of them at one location and apart in ``moving``.

    With c the location (∂_c h = k, ``speed``), for (∂_moving h)² = Σ ``square``_q ∂_q h and
    ∂²_moving h = Σ ``bend``_q ∂_q h, the empty name for 1: Δc = t²(1, 1, −2), Δmoving = λt³(1, −1,
    0), Δν = −k²t⁴(5, 5, 8)/3, the square compensated by Δq = −λ²t⁴ square_q (1, 1, −2)/(6k) and
    in the variance by its constant, the bend by Δq = −λ²t⁶ bend_q/3. None where no λ makes this
    polynomial in η.
    """
    names = [n for n in dict.fromkeys((*square, *bend)) if n and n != location]
    bottoms = [sp.denom(sp.together(c)) for c in (*square.values(), *bend.values())]
    unit = sp.lcm([sp.Integer(1), *bottoms])
    groups = []
    for c, side, wide in ((1, 1, 5), (1, -1, 5), (-2, 0, 8)):
        two = abs(side) * unit**2 * T**6
        moved = {
            location: c * T**2 - sp.cancel(two * bend.get("", 0) / (2 * speed)),
            moving: side * unit * T**3,
            SPREAD: -sp.Rational(wide, 3) * speed**2 * T**4 - sp.cancel(two * square.get("", 0)),
        }
        for n in names:
            # Σ w (k·Δc)·Δq = −Σ w (Δmoving)²·square_q/2
            shift = -sp.Rational(c, 6) * sp.cancel(square.get(n, 0) * unit**2 / speed) * T**4
            shift -= sp.cancel(bend.get(n, 0) * unit**2) / 3 * T**6
            moved[n] = moved.get(n, 0) + shift
        kept = {n: sp.expand(d) for n, d in moved.items() if sp.expand(d) != 0}
        if not all(d.is_polynomial(*d.free_symbols) for d in kept.values()):
            return None
        groups.append(
            Atoms(("0", "1"), ("1/3",), tuple((name, str(d)) for name, d in kept.items()))
        )
    return tuple(groups)


def pair_arc(coordinate: str) -> tuple[Atoms, ...]:
    """Two atoms of equal weights at ± t in one coordinate."""
    return (Atoms(("-1", "0", "1"), ("1/2",), ((coordinate, f"{ROOT_NAME}*{TIME_NAME}"),)),)
