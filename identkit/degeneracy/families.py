"""Exact families: different mixing measures with the same regression function.

Let η(s) be a curve through η* with velocity V along which h(x, η(s)) = r1(s) h(x, η*) +
r2(s) (V·∇h)(x, η*) for every x. Atoms at s_1, …, s_m with weights w_i under the true atom's gate
give the same f as the true atom with weight w* as soon as Σ w_i r1(s_i) = w*, Σ w_i r2(s_i) = 0
and, under softmax, where the weights are in the denominator too, Σ w_i = w*. With r2 = 0 that is
the scale family w1 c1 + w2 c2 = w*, with r1 = 1 splitting a linear parameter, with (cos, sin) the
phase of sin. Such curves come from relations among h, ∇h, ∇²h, so candidates are read off those
(scalings and translations that h is an eigenfunction of, coordinates along which h satisfies a
second-order linear equation), and each is then proved in normal form with s as one more variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import gcd, lcm
from typing import Any

import sympy as sp
from sympy.integrals.manualintegrate import manualintegrate

from identkit.algebra import TooLarge
from identkit.atoms import AtomFunction
from identkit.coordinates import structural
from identkit.deadline import Deadline
from identkit.derivatives import Derivatives
from identkit.experts import symbols
from identkit.expression import is_affine, put, symbol
from identkit.forms import affine_forms
from identkit.normal_form import NeedSign, Rebase
from identkit.relations import FormalFamily, proved_zero
from identkit.vocabulary import FamilyKind


@dataclass(frozen=True)
class Curve:
    """A curve through η: ``images`` of the parameters in ``s``, multiplicative ones through exp(s).

    ``velocity`` is V at s = 0. ``scaling`` holds the integer weights k_u of η_u -> c^k_u η_u, c =
    exp(s), and None for translations.
    """

    s: Any
    images: dict[Any, Any]
    velocity: tuple[Any, ...]
    scaling: tuple[int, ...] | None


@dataclass(frozen=True)
class Lift:
    """A curve with h(curve) = r1 h + r2 V·∇h proved; r1, r2 are SymPy expressions in (s, η)."""

    curve: Curve
    r1: Any
    r2: Any

    @property
    def kind(self) -> FamilyKind:
        """redundant, scale, split or phase."""
        if self.r2 == 0:
            return FamilyKind.REDUNDANT if self.r1 == 1 else FamilyKind.SCALE
        return FamilyKind.SPLIT if self.r1 == 1 else FamilyKind.PHASE

    def usable(self, weight_free: bool) -> bool:
        """Whether it gives an exact family: under softmax the total weight is pinned."""
        return weight_free or self.r2 == 0 or self.r1 == 1


@dataclass(frozen=True)
class Flow:
    """V·∇h = λ h with V(η) free of x: h is multiplied along the flow of V."""

    velocity: tuple[Any, ...]
    rate: Any


def first_order_flows(
    atom: AtomFunction, gradient: Sequence[Any], deadline: Deadline
) -> list[Flow]:
    """A basis of the relations V·∇h = λ h, each proved in normal form (``gradient`` is ∇h)."""
    family = FormalFamily.from_expressions([*gradient, atom.expression], atom, deadline)
    columns = family.columns()
    _, dependent = family.echelon(columns, list(range(len(gradient) + 1)))
    flows = []
    for index, support in dependent:
        combination = family.null_combination(columns, index, support)
        if combination is None:
            continue
        coefficients = {i: family.field.to_sympy(c) for i, c in combination.coefficients.items()}
        velocity = tuple(coefficients.get(i, sp.Integer(0)) for i in range(len(gradient)))
        flows.append(Flow(velocity, -coefficients.get(len(gradient), sp.Integer(0))))
    return flows


def fresh_name(atom: AtomFunction) -> str:
    """A name for the curve's parameter that the expert does not use."""
    taken = {*atom.inputs, *atom.parameters}
    return next(n for n in ("s", "t", "r", *(f"s{i}" for i in range(99))) if n not in taken)


def scaling(flow: Flow, atom: AtomFunction) -> Curve | None:
    """The flow as η_u -> c^k_u η_u with integers k_u, if V_u / η_u are in rational proportion."""
    parameters = symbols(atom.parameters)
    ratios = [sp.cancel(v / p) for v, p in zip(flow.velocity, parameters, strict=True)]
    unit = next((r for r in ratios if r != 0), None)
    if unit is None:
        return None
    powers: list[Any] = [sp.cancel(r / unit) for r in ratios]
    if not all(p.is_Rational for p in powers):
        return None
    scale = lcm(*(int(p.q) for p in powers))
    whole = [int(p * scale) for p in powers]
    divisor = gcd(*whole)
    if any(abs(k // divisor) > 12 for k in whole):
        return None
    weights = tuple(k // divisor for k in whole)
    s = symbol(fresh_name(atom))
    images = {p: p * sp.exp(k * s) for p, k in zip(parameters, weights, strict=True) if k}
    velocity = tuple(k * p for p, k in zip(parameters, weights, strict=True))
    return Curve(s, images, velocity, weights)


def translation(direction: Sequence[Any], atom: AtomFunction) -> Curve | None:
    """η + s·v for a rational direction v, None if v depends on η."""
    unit = next((v for v in direction if v != 0), None)
    if unit is None:
        return None
    values: list[Any] = [sp.cancel(v / unit) for v in direction]
    if not all(v.is_Rational for v in values):
        return None
    s = symbol(fresh_name(atom))
    pairs = zip(symbols(atom.parameters), values, strict=True)
    images = {p: p + v * s for p, v in pairs if v != 0}
    return Curve(s, images, tuple(values), None)


def triangular(flow: Flow, atom: AtomFunction) -> Curve | None:
    """The flow integrated one parameter after another, where each rate is known by then."""
    parameters = symbols(atom.parameters)
    s = symbol(fresh_name(atom))
    for lead, speed in zip(parameters, flow.velocity, strict=True):
        if speed == 0:
            continue
        rates = {p: sp.cancel(v / speed) for p, v in zip(parameters, flow.velocity, strict=True)}
        images: dict[Any, Any] = {lead: lead + s}
        waiting = {p: r for p, r in rates.items() if r != 0 and p != lead}
        while waiting:
            ready = next((p for p, r in waiting.items() if not r.free_symbols & set(waiting)), None)
            if ready is None:
                break
            integral = manualintegrate(waiting.pop(ready).xreplace(images), s)
            if integral.has(sp.Integral) or integral.subs(s, 0).has(sp.zoo, sp.nan):
                break
            images[ready] = ready + integral - integral.subs(s, 0)
        else:
            return Curve(s, images, tuple(rates[p] for p in parameters), None)
    return None


def euler_fields(atom: AtomFunction) -> Iterator[Flow]:
    """η·∇ on the parameters of each affine form that is homogeneous in them: z -> c z."""
    parameters = symbols(atom.parameters)
    inputs: set[Any] = set(symbols(atom.inputs))
    arguments = {e.args[0] for e in atom.expression.atoms(sp.Function)}
    inner = sorted((e for e in arguments if is_affine(e, inputs)), key=str)
    for form in dict.fromkeys((*affine_forms(atom), *inner)):
        own = [p for p in parameters if form.has(p)]
        if sp.expand(sp.Add(*(p * sp.diff(form, p) for p in own)) - form) == 0:
            velocity = tuple(p if p in own else sp.Integer(0) for p in parameters)
            yield Flow(velocity, sp.Integer(0))


def candidate_curves(atom: AtomFunction, flows: Sequence[Flow]) -> Iterator[Curve]:
    """Curves worth testing: closed flows first, then coordinates and structural directions."""
    seen: list[tuple] = []
    for flow in (*flows, *euler_fields(atom)):
        for curve in (
            scaling(flow, atom),
            translation(flow.velocity, atom),
            triangular(flow, atom),
        ):
            if curve is not None:
                if (curve.velocity, curve.scaling is None) not in seen:
                    seen.append((curve.velocity, curve.scaling is None))
                    yield curve
                if curve.scaling is None or sp.cancel(flow.rate).is_number:
                    break
    q = len(atom.parameters)
    directions = [tuple(sp.Integer(int(i == j)) for j in range(q)) for i in range(q)]
    coordinates = structural(atom)
    if coordinates is not None:
        moved = coordinates.apply(atom)
        inverse = sp.Matrix(
            [[sp.Rational(c.numerator, c.denominator) for c in row] for row in coordinates.forms]
        ).inv()
        assert len(moved.parameters) == q
        directions += [tuple(inverse[i, j] for i in range(q)) for j in range(q)]
    for direction in directions:
        curve = translation(direction, atom)
        if curve is not None and (curve.velocity, True) not in seen:
            seen.append((curve.velocity, True))
            yield curve


def along(curve: Curve, gradient: Sequence[Any]) -> Any:
    """V·∇h."""
    return sp.Add(*(v * g for v, g in zip(curve.velocity, gradient, strict=True)))


def satisfies_second_order_equation(
    atom: AtomFunction, curve: Curve, gradient: Sequence[Any], hessian: Any, deadline: Deadline
) -> bool:
    """A cheap necessary test modulo a prime: V·∇(V·∇h) in the span of V·∇h and h."""
    first = along(curve, gradient)
    parameters = symbols(atom.parameters)
    pairs = list(enumerate(curve.velocity))
    second = sp.Add(*(a * b * hessian(i, j) for i, a in pairs for j, b in pairs if a != 0 != b))
    for own, slope in zip(curve.velocity, gradient, strict=True):
        # V differentiates its own coefficients too
        change = sp.Add(
            *(v * sp.diff(own, p) for v, p in zip(curve.velocity, parameters, strict=True))
        )
        second += change * slope
    family = FormalFamily.from_expressions([atom.expression, first, second], atom, deadline)
    pivots, _ = family.echelon(family.columns(), [0, 1, 2])
    return 2 not in pivots


def lift(atom: AtomFunction, curve: Curve, first: Any, deadline: Deadline) -> Lift | None:
    """r1, r2 with h(curve) = r1 h + r2·first, proved in normal form with s as a parameter."""
    name = str(curve.s)
    extended = replace(atom, parameters=(*atom.parameters, name))
    moved: Any = put(atom.expression, curve.images)
    family = FormalFamily.from_expressions([atom.expression, first, moved], extended, deadline)
    columns = family.columns()
    _, dependent = family.echelon(columns, [0, 1, 2])
    support = dict(dependent).get(2)
    if support is None:
        return None
    combination = family.null_combination(columns, 2, support)
    if combination is None:
        return None
    field = family.field
    top = combination.coefficients[2]
    values = [
        _readable(-field.to_sympy(combination.coefficients[i] / top), curve)
        if i in combination.coefficients
        else sp.Integer(0)
        for i in (0, 1)
    ]
    if not is_identity(atom, curve, first, values[0], values[1], deadline):
        return None
    return Lift(curve, values[0], values[1])


def _readable(value: Any, curve: Curve) -> Any:
    """cos s instead of (1 - tan²(s/2))/(1 + tan²(s/2)); re-proved afterwards."""
    if value.has(sp.tan):
        value = sp.simplify(value)
    return sp.cancel(value) if not value.has(sp.sin, sp.cos) else value


def is_identity(
    atom: AtomFunction, curve: Curve, first: Any, r1: Any, r2: Any, deadline: Deadline
) -> bool:
    """Proved: h(curve) − r1 h − r2·first is zero, on every branch of the kinks."""
    extended = replace(atom, parameters=(*atom.parameters, str(curve.s)))
    moved: Any = put(atom.expression, curve.images)
    return proved_zero(moved - r1 * atom.expression - r2 * first, extended, deadline)


def exact_lifts(
    atom: AtomFunction, gradient: Sequence[Any], hessian: Any, deadline: Deadline
) -> tuple[list[Lift], list[Flow]]:
    """All curves found along which h stays in a plane, and the first-order flows without one.

    ``hessian(i, j)`` gives ∂_i∂_j h. What the limits cut off is simply not found.
    """
    flows = first_order_flows(atom, gradient, deadline)
    lifts: list[Lift] = []
    for curve in candidate_curves(atom, flows):
        deadline.check()
        first = along(curve, gradient)
        try:
            if satisfies_second_order_equation(atom, curve, gradient, hessian, deadline):
                found = lift(atom, curve, first, deadline)
                if found is not None:
                    lifts.append(found)
        except (TooLarge, Rebase):
            continue
    return _one_per_direction(lifts, atom), flows


def exact_curves(atom: AtomFunction, deadline: Deadline) -> tuple[list[Lift], list[Flow]]:
    """The curves along which h stays in a plane, and the flows it is an eigenfunction of."""
    names, derivatives = atom.parameters, Derivatives(atom, deadline)
    try:
        return exact_lifts(
            atom,
            [derivatives.partial((p,)) for p in names],
            lambda i, j: derivatives.partial((names[i], names[j])),
            deadline,
        )
    except (TooLarge, Rebase, NeedSign):
        deadline.check()
        return [], []


def _one_per_direction(lifts: Sequence[Lift], atom: AtomFunction) -> list[Lift]:
    """Of curves with proportional velocities keep the one whose factors are free of η."""
    parameters = set(symbols(atom.parameters))
    kept: list[Lift] = []
    ordered = sorted(
        lifts, key=lambda f: bool((f.r1.free_symbols | f.r2.free_symbols) & parameters)
    )
    for candidate in ordered:
        if not any(_proportional(candidate.curve.velocity, k.curve.velocity) for k in kept):
            kept.append(candidate)
    return sorted(kept, key=lifts.index)


def _proportional(left: Sequence[Any], right: Sequence[Any]) -> bool:
    pairs = list(zip(left, right, strict=True))
    return all(
        sp.cancel(a * d - b * c) == 0 for i, (a, b) in enumerate(pairs) for c, d in pairs[:i]
    )
