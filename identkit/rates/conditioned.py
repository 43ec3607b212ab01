"""How well a truth is conditioned: what the smallest effect of its parameters on f is.

A true atom is fitted by m = k − k* + 1 atoms that share its weight equally, every other one by
one atom. Two numbers decide whether the rates of theory section 6 are visible at a sample size and
a noise level (fitting section 2.1). All functions are functions of x in L2(μ), μ uniform on
domain^d; f_G − f* is expanded in the parameters of the fitted atoms around the truth.

*First order.* The tangent is spanned by the derivatives of f in all parameters of the exact atoms
and, for the over-specified one, in (β1, β0, η) of one of its m atoms: the others give the same
functions, which are counted once. ``first`` is the smallest singular value of these functions,
not normalised: its unit is f per unit of a parameter. A parameter that enters at first order is
estimated to about ‖f̂ − f*‖/first.

*Second order.* Deviations of the cell's atoms with mean 0 change f at second order only. With two
atoms these are θ ± t·v, v = (Δβ1, Δη) of norm 1, and f changes by t²·D(v) + o(t²) with
D(v) = ½ Σ U''[v, v] over both, U the function of one atom. What lies in the tangent can be undone
by the other parameters, at order t². So ``second`` is the minimum over v of the norm of D(v) minus
its projection onto the tangent: a cell of radius t shows in f as second·t².

One v is enough: a cell enters to second order through Σ_i w_i δ_i, a first-order term, and
Σ_i w_i δ_i δ_iᵀ; two deviations with mean 0 are opposite, so the latter has rank one. For m > 2 it
has rank up to m − 1, and the minimum is over all such matrices of trace m, with t the root mean
square of the deviations. A deviation of β0 of order t plays no part: its second derivatives lie in
the tangent (under softmax always, under sigmoid since β1* = 0). Weights that differ by more do: two
atoms with the shares s and 1 − s, 2t apart, show as about 4s(1 − s) of the above. A light atom is
hardly seen at all, which is why a box has to keep the weights up (fitting section 2.3).

*Gates that are not divided by their sum* (sigmoid). U = weight(β1ᵀx + β0)·h(x, η). In a dense
regime, β1* ≠ 0, fitted atoms cannot share a gate and there is no such expansion: ``second`` does
not apply and the atom counts as an exact one.

*Gates that are* (softmax, normalized sigmoid). f_G − f* = Σ_i w_i (h_i − f*) / Σ_i w_i, so that
U = w·(h − f*) with f* fixed and w over the true denominator; to the orders that count, that is the
denominator. Under a common shift (softmax) one exact atom's gate is pinned, the last one's:
``first`` is in these coordinates (it changes with the atom that is pinned), ``second`` does not
depend on them.

Derivatives in η are those of SymPy, almost everywhere: kinks count for nothing here, so the second
derivative of ReLU is 0 and ``second`` with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from identkit.errors import InputError, whole
from identkit.experts import symbols
from identkit.fit.model import Model, numpy_functions
from identkit.fit.structure import stable
from identkit.gates import Regime, RegimeCode, known_gates
from identkit.losses.norms import Rule
from identkit.mixing import MixingMeasure
from identkit.rates.missing import Missing
from identkit.rates.setting import sloped_atoms
from identkit.simulation import Simulation

Array = NDArray[np.float64]

NOTHING = 1e-8
"""A number at or below this is rounding: the form is degenerate there."""

_RANK = 1e-12
"""Singular values below this times the largest are rounding."""
_NUMBERS = 2**22
"""Numbers in the largest array of the minimisation over directions: 32 MiB."""
_STEPS = 60
"""Newton steps of the minimisation over directions, at most."""


@dataclass(frozen=True, eq=False)
class Conditioning(Missing):
    """The conditioning numbers of a truth; see :func:`conditioning`.

    ``first`` is the smallest singular value of the tangent, ``second`` the smallest second-order
    form orthogonal to it, attained at the unit vector ``direction`` = (Δβ1, Δη); NaN and () where
    there is none. ``determined`` is the smallest singular value above rounding: ``first``, unless
    the first-order functions are dependent. ``method`` says how integrals were taken.
    """

    first: float
    second: float
    direction: tuple[float, ...]
    method: str
    determined: float = np.nan

    def __post_init__(self) -> None:
        if np.isnan(self.determined):
            object.__setattr__(self, "determined", self.first)

    @property
    def worst(self) -> float:
        """The smaller of both; ``first`` where there is no second order."""
        return self.first if np.isnan(self.second) else min(self.first, self.second)

    @property
    def curved(self) -> bool:
        """Whether cells are seen at second order: ``second`` applies and is not just rounding."""
        return self.second > NOTHING

    def to_dict(self) -> dict[str, Any]:
        """JSON form; a ``second`` that does not apply is null."""
        return {
            "first": self.first,
            "second": None if np.isnan(self.second) else self.second,
            "direction": list(self.direction),
            "method": self.method,
            "determined": self.determined,
        }


def conditioning(
    model: Model,
    truth: MixingMeasure,
    *,
    over: int = 0,
    k: int | None = None,
    domain: tuple[float, float] = (-3.0, 3.0),
    regime: RegimeCode = None,
    points: int | None = None,
    seed: int = 0,
) -> Conditioning:
    """The conditioning numbers of ``truth`` when k atoms (default k* + 1) are fitted to it.

    ``over`` is the true atom fitted by more than one; see the module for the definitions.
    ``regime`` is read off the truth; giving it makes sure. Integrals over domain^d:
    d = 1 composite Gauss–Legendre quadrature, d ≥ 2 Monte Carlo with ``seed``; ``points`` sets how
    many. The minimum over directions is the best of seeded starts.

    >>> truth = MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
    >>> numbers = conditioning(Model.of("gelu", "sigmoid"), truth)
    >>> f"{numbers.first:.4f} {numbers.second:.4f}"
    '0.0044 0.0062'

    Raises :class:`~identkit.errors.InputError` for a truth that is a batch or does not fit the
    model or the regime, an atom that does not exist, k < k*, an empty domain, too few
    points, and where f or a derivative is not finite.
    """
    cell = Cell.of(model, truth, over, k, regime)
    try:
        rule = Rule.of(model.dim, domain, points, seed)
    except TypeError:
        raise InputError(f"domain: {domain!r} is not a pair of numbers (low, high).") from None
    width = model.dim + len(model.parameters)
    functions = model.layout.length(truth.atoms) + width * (width + 1) // 2
    if len(rule.points) < functions:
        raise InputError(
            f"points {len(rule.points)}: must be at least {functions}, the number of functions."
        )
    found = expansion(model, truth, cell, rule)
    if found is None:
        raise InputError(
            f"truth: f or a derivative is not finite somewhere on [{domain[0]:g}, {domain[1]:g}]"
            f"^{model.dim}; change the truth or narrow the domain."
        )
    second, direction = np.nan, ()
    if found.form is not None:
        second, at = minimum(found.form, cell.copies, seed)
        direction = tuple(float(c) for c in at)
    return Conditioning(found.first, float(second), direction, rule.method, found.determined)


@dataclass(frozen=True)
class Cell:
    """Atom ``over`` is fitted by ``copies`` atoms, 1 also where they cannot share its gate."""

    over: int
    copies: int
    regime: Regime

    @classmethod
    def of(
        cls, model: Model, truth: MixingMeasure, over: int, k: int | None, regime: RegimeCode
    ) -> Cell:
        """Raises InputError unless truth, atom, k and regime fit together."""
        if truth.batch:
            raise InputError(f"truth: holds {len(truth)} measures; choose one, as in truth[0].")
        model.pack(truth)  # raises unless it fits
        over = whole("over", over, least=0)
        if over >= truth.atoms:
            raise InputError(
                f"over: the truth has no atom {over}; its {truth.atoms} are counted from 0."
            )
        k = truth.atoms + 1 if k is None else whole("k", k, least=0)
        if k < truth.atoms:
            raise InputError(
                f"k: {k} atoms are fewer than the {truth.atoms} of the truth; raise k."
            )
        return cls.within(of_truth(model, regime, truth, over), over, k - truth.atoms + 1)

    @classmethod
    def within(cls, regime: Regime, over: int, copies: int) -> Cell:
        """With as many copies where a true atom can be shared in this regime."""
        return cls(over, 1 if regime.order == 1 else copies, regime)


def of_truth(model: Model, which: RegimeCode, truth: MixingMeasure, over: int) -> Regime:
    """The truth's regime. Raises InputError if it is another than the one named."""
    found = model.gate.of_truth(bool(sloped_atoms(truth)[over]))
    if which is not None and model.gate.chosen(which) != found:
        raise InputError(
            f"regime {which}: atom {over} is over-specified and has β1* {found.needs}, which is "
            f"{found.title}; change the truth or leave the regime out."
        )
    return found


# -- the expansion of f ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Expansion:
    """The tangent's singular values and the form: D(v) ⊥ tangent has norm ‖(vᵀ form_r v)_r‖.

    ``form`` has shape (r, d + q, d + q), symmetric in the last two; None without a cell.
    """

    first: float
    determined: float
    form: Array | None


def expansion(
    model: Model, truth: MixingMeasure, cell: Cell, rule: Rule, second: bool = True
) -> Expansion | None:
    """f to second order around a truth; None where it is not finite. ``second`` asks for the form.

    Costs a few milliseconds: the search for a truth calls it for every candidate.
    """
    root = np.sqrt(rule.weights)
    with np.errstate(all="ignore"):
        parts = _derivatives(model, truth, cell, rule.points, second and cell.copies > 1)
    tangent, pairs = (p * root for p in parts)  # rows are functions
    if not (np.isfinite(tangent).all() and np.isfinite(pairs).all()):
        return None
    basis, triangle = np.linalg.qr(tangent.T)
    values = np.linalg.svd(triangle, compute_uv=False)
    determined = values[values > _RANK * values[0]]
    smallest = float(determined[-1]) if determined.size else 0.0
    if not len(pairs):
        return Expansion(float(values[-1]), smallest, None)
    # dependent functions: QR would add directions that are rounding; columns scaled to decide that
    size = np.linalg.norm(triangle, axis=0)
    left, values_scaled, _ = np.linalg.svd(triangle / np.where(size > 0, size, 1.0))
    basis = basis @ left[:, values_scaled > _RANK * values_scaled[0]]
    rest = pairs.T
    for _ in range(2):  # twice is enough
        rest = rest - basis @ (basis.T @ rest)
    reduced = np.linalg.qr(rest, mode="r")  # the same norms in few coordinates
    width = model.dim + len(model.parameters)
    form = np.empty((len(reduced), width, width))
    rows, columns = np.triu_indices(width)
    form[:, rows, columns] = reduced
    form[:, columns, rows] = reduced
    return Expansion(float(values[-1]), smallest, cell.copies / 2 * form)


def _derivatives(
    model: Model, truth: MixingMeasure, cell: Cell, x: Array, second: bool
) -> tuple[Array, Array]:
    """First derivatives (c, n) of f and, for one atom of the cell, second ones (pairs, n).

    Pairs u ≤ v of (β1, η), in the order of ``np.triu_indices``; none unless ``second``.
    """
    d, over = model.dim, cell.over
    beta0 = truth.beta0
    if cell.copies > 1:  # the gate of one of the atoms that local starts scatter around
        alone = Simulation(model, truth, 1, 1, 0.0, 0, (0.0, 1.0))
        centre = alone.starts(truth.atoms + cell.copies - 1, 0.0, over=over)
        beta0 = beta0.copy()
        beta0[over] = centre.beta0[0, over]
    values, curvatures, gate = _compiled(model)
    inputs = x.T
    h, *slopes = (
        np.broadcast_to(part, (truth.atoms, len(x)))
        for part in values(*inputs, *truth.eta.T[..., None])
    )
    score = truth.beta1 @ inputs + beta0[:, None]
    weight = tuple(np.broadcast_to(part, score.shape) for part in gate(score))
    if model.gate.divides:
        full = truth.beta1 @ inputs + truth.beta0[:, None]
        if model.exponential:  # a common factor cancels, and the largest weight is 1
            top = full.max(axis=0)
            weight, whole = (np.exp(score - top),) * 3, np.exp(full - top)
        else:
            whole = np.broadcast_to(gate(full)[0], full.shape)
        total = whole.sum(axis=0)
        weight = tuple(part / total for part in weight)
        h = h - (whole / total * h).sum(axis=0)
    layout = model.layout
    tangent = np.empty((truth.atoms, layout.width, len(x)))
    tangent[:, layout["beta1"]] = (weight[1] * h)[:, None] * inputs
    tangent[:, layout["beta0"]] = (weight[1] * h)[:, None]
    for u, slope in enumerate(slopes, layout["eta"].start):
        tangent[:, u] = weight[0] * slope
    rows = tangent.reshape(-1, len(x))
    gauge = model.gate.pinning
    if gauge is not None:  # the last atom's gate is pinned, if it can be
        atom = truth.atoms - 1
        if atom == over and atom > 0:
            atom -= 1
        rows = np.delete(rows, [layout.index(atom, i) for i in gauge.places(layout)], axis=0)
    if not second:
        return rows, np.empty((0, len(x)))
    one, two, three = (part[over] for part in weight)
    bends = curvatures(*inputs, *truth.eta[over])
    pairs = [three * h[over] * inputs[s] * inputs[t] for s in range(d) for t in range(s, d)]
    cross = [[two * inputs[s] * slope[over] for slope in slopes] for s in range(d)]
    listed: list[Any] = []
    for s in range(d):  # row by row of the upper triangle
        listed += [pairs.pop(0) for _ in range(s, d)] + cross[s]
    listed += [one * np.broadcast_to(bend, len(x)) for bend in bends]
    return rows, np.array(listed)


@lru_cache(maxsize=64)
def _compiled(model: Model) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """(h, ∂_u h …) and (∂_u∂_v h for u ≤ v …) of (inputs…, η…), and the gate's (ω, ω', ω'')."""
    if model.gate.divides and not model.gate.has_theory:
        raise InputError(
            f"gate {model.gate.name}: no conditioning is known; use "
            f"{known_gates(lambda g: g.has_theory)}."
        )
    names = symbols(model.expert.parameters)
    arguments = (*symbols(model.expert.inputs), *names)
    h: Any = stable(model.expert.expression)
    first = [sp.diff(h, u) for u in names]
    second = [sp.diff(f, v) for i, f in enumerate(first) for v in names[i:]]
    space = [{**numpy_functions(), "pi": np.pi, "E": np.e}]
    values, curvatures = (
        sp.lambdify(arguments, [stable(e) for e in part], modules=space, cse=True)
        for part in ([h, *first], second)
    )
    return values, curvatures, model.heads(numpy_functions()).gate


# -- the smallest second-order form ---------------------------------------------------------------


def minimum(form: Array, copies: int, seed: int, quick: bool = False) -> tuple[float, Array]:
    """min ‖(Σ_c v_cᵀ form_r v_c)_r‖ over v of norm 1 in (copies − 1)·(d + q) coordinates.

    Returns it with a unit vector (d + q,) where it is attained: v for two copies, else the leading
    direction of Σ_c v_c v_cᵀ; its largest entry is positive. The square is a quartic; from many
    starts (random ones, coordinate axes and those of the form's flattest matrices) it is minimised
    by Newton's method on the sphere, with negative curvature followed downhill and steps damped
    until they descend; the best go on after a few steps. ``quick`` tries few starts.
    """
    width = form.shape[1]
    if copies > 2:
        form = np.asarray(np.kron(np.eye(copies - 1), form), dtype=np.float64)
    size = float(np.linalg.norm(form))
    if size == 0.0:
        return 0.0, np.eye(width)[0]
    r, p, _ = form.shape
    v = _sphere(form, seed, 24 if quick else min(150 + 6 * p**2, max(50, _NUMBERS // (r * p))))
    sifted, kept = (3, 3) if quick else (6, 4 * p)
    form = form / size
    value, slope, bend = _quartic(form, v)
    damping = np.full(len(v), 1e-3)
    for step in range(_STEPS):
        if step == sifted:
            best = np.argsort(value, kind="stable")[:kept]
            v, value, slope, bend, damping = (a[best] for a in (v, value, slope, bend, damping))
        curvature, axes = np.linalg.eigh(bend)
        floor = damping * np.abs(curvature).max(axis=1) + 1e-300
        along = np.einsum("spq,sp->sq", axes, slope) / (np.abs(curvature) + floor[:, None])
        trial = v - np.einsum("spq,sq->sp", axes, along)
        trial /= np.linalg.norm(trial, axis=1, keepdims=True)
        new = _quartic(form, trial)
        better = new[0] < value
        over = np.where(better, value - new[0] <= (1e-6 if quick else 1e-13) * value, damping >= 1)
        damping = np.where(better, damping / 10, damping * 10)
        v[better] = trial[better]
        for old, now in zip((value, slope, bend), new, strict=True):
            old[better] = now[better]
        if (over | (value <= 1e-32)).all():
            break
    best = v[int(np.argmin(value))].reshape(-1, width)
    at = np.linalg.svd(best)[2][0]
    at = at * np.sign(at[int(np.argmax(np.abs(at)))]) + 0.0  # no -0
    return size * float(np.sqrt(value.min())), at


def _sphere(form: Array, seed: int, starts: int) -> Array:
    """Starting points (s, p): random, axes, eigenvectors of the three flattest matrices."""
    p = form.shape[1]
    drawn = np.random.default_rng(seed).standard_normal((starts, p))
    flattest = np.linalg.svd(form.reshape(len(form), -1))[2][-3:].reshape(-1, p, p)
    flattest = flattest + flattest.transpose(0, 2, 1)
    axes = np.linalg.eigh(flattest)[1].transpose(0, 2, 1).reshape(-1, p)
    v = np.concatenate([drawn, np.eye(p), axes])
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def _quartic(form: Array, v: Array) -> tuple[Array, Array, Array]:
    """F = Σ_r (vᵀ form_r v)² at unit vectors v (s, p), with its gradient and Hessian on the sphere.

    The Hessian is 1 along v, where nothing moves, so that it can be inverted.
    """
    r, p, _ = form.shape
    applied = (v @ form.transpose(2, 0, 1).reshape(p, r * p)).reshape(-1, r, p)
    rest = np.einsum("srp,sp->sr", applied, v)
    value = (rest**2).sum(axis=1)
    slope = 4 * np.einsum("sr,srp->sp", rest, applied)
    bend = 8 * applied.transpose(0, 2, 1) @ applied
    bend += 4 * (rest @ form.reshape(r, p * p)).reshape(-1, p, p)
    bend -= 4 * value[:, None, None] * np.eye(p)
    along = v[:, :, None] * v[:, None, :]
    project = np.eye(p) - along
    return value, slope - 4 * value[:, None] * v, project @ bend @ project + along
