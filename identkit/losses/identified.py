"""What a degenerate expert still identifies: distances to its exact families, aggregates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from identkit.degeneracy.records import Family
from identkit.errors import InputError
from identkit.expression import parse, symbol
from identkit.fit.model import numpy_functions
from identkit.gates import Gate
from identkit.losses.norms import Rule
from identkit.losses.partition import check_pair, largest, voronoi
from identkit.losses.shifts import Labels, squares
from identkit.mixing import Array, MixingMeasure
from identkit.vocabulary import FamilyKind

if TYPE_CHECKING:
    from identkit.fit.model import Model


@dataclass(frozen=True, eq=False)
class FamilyDistance:
    """The distance (…, k) of each fitted η to the curve of one exact family through η*."""

    kind: FamilyKind
    moving: tuple[str, ...]
    distance: Array


@dataclass(frozen=True, eq=False)
class DirectionError:
    """‖v_i/‖v_i‖ − v*/‖v*‖‖, shape (…, k), v the named parameters; NaN where v_i or v* is 0."""

    parameters: tuple[str, ...]
    error: Array


@dataclass(frozen=True, eq=False)
class IdentifiableErrors:
    """Errors of what stays identified; see :func:`identifiable_parts`.

    Per fitted atom (…, k): ``orbit``, the entries of ``families`` and ``directions``, and
    ``identified_error`` = ‖Δη‖ over the parameters ``identified`` (NaN if there are none). Per true
    atom (…, k*): ``aggregate``, with ``aggregate_error`` (quadrature) or
    ``aggregate_standard_error`` (Monte Carlo). ``notes`` say what could not be computed.
    """

    cells: Labels
    sizes: Labels
    orbit: Array
    families: tuple[FamilyDistance, ...]
    directions: tuple[DirectionError, ...]
    identified: tuple[str, ...]
    identified_error: Array
    aggregate: Array
    aggregate_error: Array | None
    aggregate_standard_error: Array | None
    method: str
    notes: tuple[str, ...]

    def by_cell(self, errors: Array) -> Array:
        """Of errors (…, k) per fitted atom, the largest in each cell: (…, k*), NaN where empty."""
        inside = self.cells[..., None] == np.arange(self.sizes.shape[-1])
        return largest(
            np.broadcast_to(errors[..., None, :], np.moveaxis(inside, -1, -2).shape),
            np.moveaxis(inside, -1, -2),
        )


def identifiable_parts(
    model: Model,
    fitted: MixingMeasure,
    truth: MixingMeasure,
    families: Sequence[Family],
    gate: Gate | str | None = None,
    *,
    cells: ArrayLike | None = None,
    domain: tuple[float, float] = (-3.0, 3.0),
    points: int | None = None,
    seed: int = 0,
) -> IdentifiableErrors:
    """What a fit identifies although its expert has exact families (theory section 4).

    ``families`` are those of ``identkit.check(…).results[0].second_order.families``: curves along
    which η can move without a change of f. For each fitted atom, against the true atom of its cell:

    - *orbit*: the distance from η_i to all that η* reaches along the families, one after another;
      with one family its curve, without any the point η*. (Each single curve: ``families``.)
    - *directions*: v/‖v‖ for a family that scales v as a whole, where no other family turns v.
    - *identified*: the parameters that no family moves.

    And for each true atom the *aggregate* error ‖Σ_{i∈cell} weight_i·h_i − weight_j*·h_j*‖ in
    L2(μ), for any expert; of an empty cell ‖weight_j*·h_j*‖.

    Nothing depends on the gauge or on labels. ``gate`` (by default the model's) is only needed for
    the cells; other ``cells`` (…, k) may be given, for instance where atoms have drifted so far
    along a family that they are nearest to another true atom. A direction is compared with its
    sign, also for an even power, which does not see it.

    Raises :class:`~identkit.errors.InputError` for measures or families that do not fit the model.
    """
    check_pair(fitted, truth)
    names = model.parameters
    if len(names) != truth.parameters or model.dim != truth.dim:
        raise InputError(
            f"model: it has d = {model.dim} and q = {len(names)}, the measures d = {truth.dim} and "
            f"q = {truth.parameters}; give measures of this model."
        )
    chosen = model.gate if gate is None else gate
    labels = voronoi(fitted, truth, chosen).cells if cells is None else np.asarray(cells)
    if (
        labels.shape != (*fitted.batch, fitted.atoms)
        or not np.isin(labels, range(truth.atoms)).all()
    ):
        raise InputError(
            f"cells: must hold labels 0 to {truth.atoms - 1}, in the shape "
            f"{(*fitted.batch, fitted.atoms)}."
        )
    labels = labels.astype(np.intp)
    known = [_Curve.of(f, names) for f in families]
    target, centre = fitted.eta.reshape(-1, len(names)), labels.reshape(-1)
    notes, single, starts = [], [], []
    for family, curve in zip(families, known, strict=True):
        if curve.images is None:
            notes.append(
                f"the family that moves {', '.join(family.moving)} has no closed form: distances "
                "to it are NaN"
            )
            distance = np.full(len(target), np.nan)
        else:
            place, distance = _nearest(curve, target, truth.eta, centre)
            starts.append(place)
        moving = family.moving
        single.append(FamilyDistance(family.kind, moving, distance.reshape(labels.shape)))
    if len(starts) < len(families):
        orbit = np.full(labels.shape, np.nan)
    elif not families:
        orbit = np.linalg.norm(fitted.eta - truth.eta[labels], axis=-1)
    elif len(families) == 1:
        orbit = single[0].distance
    else:
        orbit = _jointly(known, starts, target, truth.eta, centre).reshape(labels.shape)
    still = [u for u in range(len(names)) if not any(c.velocity[u] != 0 for c in known)]
    difference = fitted.eta - truth.eta[labels]
    rule = Rule.of(model.dim, domain, points, seed)
    inside = (labels[..., None] == np.arange(truth.atoms)).astype(np.float64)

    def gaps(x: Array) -> Array:
        parts = np.matmul(np.swapaxes(inside, -1, -2), model.contributions(fitted, x))
        return parts - model.contributions(truth, x)

    aggregate, error, standard = rule.norm(gaps)
    return IdentifiableErrors(
        cells=labels,
        sizes=inside.sum(axis=-2).astype(np.intp),
        orbit=orbit,
        families=tuple(single),
        directions=tuple(
            DirectionError(
                tuple(names[u] for u in turning),
                _angle(fitted.eta[..., turning], truth.eta[labels][..., turning]),
            )
            for turning in _directions(known, names)
        ),
        identified=tuple(names[u] for u in still),
        identified_error=(
            np.linalg.norm(difference[..., still], axis=-1)
            if still
            else np.full(labels.shape, np.nan)
        ),
        aggregate=aggregate,
        aggregate_error=error,
        aggregate_standard_error=standard,
        method=rule.method,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Curve:
    """A family in SymPy: ``images`` of all parameters in (s, η); None for a flow."""

    s: Any
    names: tuple[Any, ...]
    images: tuple[Any, ...] | None
    velocity: tuple[Any, ...]
    whole: bool

    @classmethod
    def of(cls, family: Family, names: tuple[str, ...]) -> _Curve:
        s, symbols = symbol(family.parameter), tuple(symbol(n) for n in names)
        stray = (set(dict(family.velocity)) | set(dict(family.curve))) - set(names)
        if stray:
            raise InputError(
                f"families: they move {', '.join(sorted(stray))}, which the model does not have; "
                "give those of the same expert."
            )
        velocity = {symbol(n): parse(text) for n, text in family.velocity}
        curve = {symbol(n): parse(text) for n, text in family.curve}
        whole = family.kind == FamilyKind.SCALE and all(
            sp.cancel(image - p * sp.exp(s)) == 0 for p, image in curve.items()
        )
        return cls(
            s,
            symbols,
            tuple(curve.get(p, p) for p in symbols) if curve else None,
            tuple(velocity.get(p, sp.Integer(0)) for p in symbols),
            whole,
        )

    def compiled(self) -> Callable[[Array, Array], Array]:
        """η(s) as a function of s (n,) and η (n, q): an (n, q) array."""
        return _compiled((self.s,), self.names, self.images or ())


def _compiled(
    moving: Sequence[Any], names: Sequence[Any], images: Sequence[Any]
) -> Callable[[Array, Array], Array]:
    """expressions as a function of positions (n,) or (n, F) and η (n, q): shape (n, images)."""
    call = sp.lambdify([*moving, *names], list(images), modules=[numpy_functions(), "numpy"])

    def evaluate(position: Array, eta: Array) -> Array:
        places = position.reshape(len(position), -1)
        with np.errstate(all="ignore"):
            values = call(*places.T, *eta.T)
        return np.stack([np.broadcast_to(v, len(eta)) for v in values], axis=-1)

    return evaluate


_REACH = 100.0
"""Positions s on a curve that are searched: ±100. exp(±100) is as good as 0 and infinity."""


def _nearest(curve: _Curve, target: Array, true: Array, centre: Labels) -> tuple[Array, Array]:
    """For each target (n, q) the s and the distance to the curve through its true η.

    A grid that is fine near 0 finds the valley, golden section its bottom; s = 0 is on the grid, so
    the distance is at most that to η* itself.
    """
    at = curve.compiled()
    side = np.sinh(np.linspace(0, np.arcsinh(_REACH * 50), 121)[1:]) / 50
    grid = np.concatenate([-side[::-1], [0.0], side])
    best = np.empty(len(target), dtype=np.intp)
    for j, eta in enumerate(true):
        mine = np.flatnonzero(centre == j)
        path = at(grid, np.broadcast_to(eta, (len(grid), len(eta))))
        for start in range(0, len(mine), 4096):
            part = mine[start : start + 4096]
            best[part] = np.argmin(_valid(squares(target[None, part], path)[0]), axis=-1)
    base = true[centre]

    def height(s: Array) -> Array:
        with np.errstate(all="ignore"):
            return _valid(((at(s, base) - target) ** 2).sum(axis=-1))

    ratio = (np.sqrt(5) - 1) / 2
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = height(left), height(right)
    for _ in range(80):  # 0.618^80 is below rounding
        down = f_left < f_right
        low, high = np.where(down, low, left), np.where(down, right, high)
        left, right = (
            np.where(down, high - ratio * (high - low), right),
            np.where(down, left, low + ratio * (high - low)),
        )
        fresh = height(np.where(down, left, right))
        f_left, f_right = np.where(down, fresh, f_right), np.where(down, f_left, fresh)
    places = np.stack([(low + high) / 2, grid[best]])
    heights = np.stack([height(p) for p in places])
    lowest = np.argmin(heights, axis=0)
    pick = (lowest, np.arange(len(target)))
    return places[pick], np.sqrt(heights[pick])


def _valid(square: Array) -> Array:
    return np.where(np.isnan(square), np.inf, square)


def _jointly(
    curves: Sequence[_Curve], starts: Sequence[Array], target: Array, true: Array, centre: Labels
) -> Array:
    """The distance (n,) to what η* reaches along all curves, one after the other.

    Levenberg–Marquardt in the positions (s_1, …, s_F), from s = 0 and from the nearest point of
    each single curve.
    """
    places = [symbol(f"position{f}") for f in range(len(curves))]
    images: list[Any] = list(curves[0].names)
    for curve, place in zip(curves, places, strict=True):
        reached = dict(zip(curve.names, images, strict=True))
        assert curve.images is not None
        images = [e.xreplace({curve.s: place, **reached}) for e in curve.images]
    q, count = len(images), len(places)
    at = _compiled(places, curves[0].names, images)
    slope = _compiled(places, curves[0].names, [sp.diff(e, p) for e in images for p in places])
    base = true[centre]
    best = np.sum((base - target) ** 2, axis=-1)
    for f in range(-1, count):
        s = np.zeros((len(target), count))
        if f >= 0:
            s[:, f] = starts[f]
        gap = at(s, base) - target
        height = _valid((gap**2).sum(axis=-1))
        damping = np.full(len(target), 1e-6)
        active = np.flatnonzero(np.isfinite(height))
        for _ in range(100):
            if not len(active):
                break
            jacobian = slope(s[active], base[active]).reshape(-1, q, count)
            gradient = np.einsum("nqf,nq->nf", jacobian, gap[active])
            normal = np.einsum("nqf,nqg->nfg", jacobian, jacobian)
            size = np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-300
            normal = normal + damping[active, None, None] * size * np.eye(count)
            step = -np.linalg.solve(normal, gradient[..., None])[..., 0]
            step *= np.minimum(1.0, 3.0 / np.maximum(np.abs(step).max(axis=-1), 1e-300))[:, None]
            moved = np.clip(s[active] + step, -_REACH, _REACH)
            trial = at(moved, base[active]) - target[active]
            value = _valid((trial**2).sum(axis=-1))
            better = value < height[active]
            gain = height[active] - value
            finished = (better & (gain <= 1e-14 * height[active])) | (
                ~better & (damping[active] > 1e8)
            )
            done = active[better]
            s[done], gap[done], height[done] = moved[better], trial[better], value[better]
            damping[active] = np.where(better, damping[active] / 10, damping[active] * 10)
            damping = np.maximum(damping, 1e-14)
            active = active[~finished & (height[active] > 1e-30)]
        best = np.minimum(best, height)
    return np.sqrt(best)


def _directions(curves: Sequence[_Curve], names: tuple[str, ...]) -> list[list[int]]:
    """Index sets of parameters that one family scales as a whole and no other family turns."""
    found = []
    for own in curves:
        moving = [u for u in range(len(names)) if own.velocity[u] != 0]
        if not own.whole or len(moving) < 2:
            continue
        factors = [[sp.cancel(c.velocity[u] / c.names[u]) for u in moving] for c in curves]
        if all(sp.cancel(f - fs[0]) == 0 for fs in factors for f in fs):
            found.append(moving)
    return found


def _angle(fitted: Array, true: Array) -> Array:
    lengths = [np.linalg.norm(v, axis=-1, keepdims=True) for v in (fitted, true)]
    undefined = (lengths[0] == 0) | (lengths[1] == 0)
    units = [
        v / np.where(undefined, 1.0, length)
        for v, length in zip((fitted, true), lengths, strict=True)
    ]
    error = np.linalg.norm(units[0] - units[1], axis=-1)
    return np.where(undefined[..., 0], np.nan, error)
