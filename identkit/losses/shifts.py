"""The smallest loss over common shifts, for one or many fitted measures.

**Coordinates.** Gates are compared in normal coordinates (``LossTerms.coordinates``, one object in
each gate's file), γ: numbers of an atom in which its gauges are nothing or a common shift of some
of them. For a gate of β1 and β0 they are γ = β1; of others scales are divided out, such as β1/‖β1‖
or ω/τ. What is said of β1 below holds for the numbers of γ that have a common shift.

**Gauge.** A softmax-type gate does not notice a common shift of all (β0, β1), so none of the
numbers here may: they depend on the fitted and on the true measure only up to such shifts, and up
to relabelling.

*β0.* The weights e^β0 of either measure are divided by their sum: they become the gate's weights at
x = 0. (As printed, Σ_j |Σ e^β0_i − e^β0_j*| + … is multiplied by e^c when c is added to every β0*:
it depends on how the truth is written down, and so does its size, though not its rate.) Minimising
over the fitted β0-shift instead would change the loss by a factor of at most 2 where it is below ½.

*β1.* The loss is read as its infimum over shifts t of the fitted slopes. If it is small at some
t, one fitted atom is close to its true atom, and the shift that puts these two on top of each other
changes the loss by a factor that depends on the weights only. Hence t runs over the k·k* candidates
β1*_j − β1_i, the smallest loss is kept, and then improved by descent in t (Weiszfeld's step for a
sum of first powers and squares). With one atom in a cell the result usually pins that atom.
The loss vanishes exactly if after some shift all fitted atoms lie on true ones, with equal weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.gates import Gate, LossTerms, Regime, in_regime, without_loss
from identkit.layout import needs_affine
from identkit.mixing import Array, MixingMeasure

Labels = NDArray[np.intp]
Mask = NDArray[np.bool_]


class Parts(NamedTuple):
    """The summands of a Voronoi loss, each of shape (…,).

    ``shared`` is |Δ| of parameters that belong to no atom and that no gauge moves, else 0.
    """

    weight: Array
    over: Array
    exact: Array
    shared: Array


@dataclass(frozen=True, eq=False)
class VoronoiLoss:
    """A Voronoi loss and what it is made of; see :func:`identkit.losses.voronoi`.

    ``value`` (…,) is the sum of ``parts``. ``cells`` (…, k) is the true atom of each fitted one;
    ``sizes`` and ``empty`` (…, k*) count them. ``eta_over`` and ``gate_over`` (…,) are the largest
    ‖Δη‖ and ‖Δγ‖ in over-specified cells, NaN where there are none; ``exact_error`` is the largest
    unweighted summand of a cell with one atom, NaN likewise. ``shift`` (…, m) is what was added to
    the fitted γ, β1 for a gate of β1 and β0, to align the gauge (0 where there is none).
    ``premise`` (…,) is False where a sparse regime is asked for but an over-specified true atom has
    β1* ≠ 0: a small loss then does not mean that the regression functions agree.
    """

    value: Array
    parts: Parts
    cells: Labels
    sizes: Labels
    empty: Mask
    eta_over: Array
    gate_over: Array
    exact_error: Array
    shift: Array
    premise: Mask


@dataclass(frozen=True)
class Formula:
    """The regime's terms with the power in over-specified cells, and the gate they are of."""

    gate: Gate
    terms: LossTerms
    order: float

    def check_blocks(self, fitted: MixingMeasure, truth: MixingMeasure) -> None:
        """Raise InputError unless the measures are of the gate whose loss is asked for."""
        for name, measure in (("fitted", fitted), ("truth", truth)):
            if self.terms.coordinates is None:
                needs_affine(measure.layout.of_gate, name, "loss")
            else:
                self.gate.check_layout(measure.layout)

    def normal(self, measure: MixingMeasure, name: str) -> Gates:
        """The gate's parameters in normal coordinates."""
        coordinates = self.terms.coordinates
        if coordinates is None:
            moving = 0 if self.gate.pinning is None else measure.dim
            return Gates(measure.beta0, measure.beta1, moving, ())
        with np.errstate(all="ignore"):  # what is no number is refused below
            own = coordinates.of({b.name: measure[b.name] for b in measure.layout.of_gate})
        gamma = np.concatenate([*own.moving, *own.still], axis=-1)
        if not all(np.isfinite(a).all() for a in (own.offset, gamma, *own.shared)):
            raise InputError(
                f"{name}: some atom has no {coordinates.text}, in which gates {self.gate.name} are "
                "compared; give parameters that have."
            )
        return Gates(own.offset, gamma, sum(a.shape[-1] for a in own.moving), own.shared)


class Gates(NamedTuple):
    """The gates of measures: offset (…, k), γ (…, k, m) of which the first move, what is shared."""

    offset: Array
    gamma: Array
    moving: int
    shared: tuple[Array, ...]


Power = float | Callable[[int], float]
"""A power in over-specified cells, of at least 1: a number, or a function of the cell's size."""


@dataclass(frozen=True)
class Powers:
    """Powers of over-specified cells: of ‖Δγ‖, and of each number of η by itself."""

    gate: Power
    numbers: tuple[Power, ...]

    def of_gate(self, size: Labels) -> Array:
        """For cells of these sizes (R, k)."""
        return _tabled(self.gate, size)

    def of_numbers(self, size: Labels) -> Array:
        """(R, k, q)."""
        return np.stack([_tabled(p, size) for p in self.numbers], axis=-1)


def _tabled(power: Power, size: Labels) -> Array:
    """The power for each cell's size; 1 for cells of one atom, where it is not used."""
    if not callable(power):
        return np.full(size.shape, float(power))
    table = np.ones(int(size.max()) + 1)
    for m in np.unique(size[size > 1]):
        table[m] = power(int(m))
        if not 1 <= table[m] < np.inf:
            raise InputError(f"orders: {table[m]:g} in cells of {m} atoms; give at least 1.")
    return table[size]


def formula_of(gate: Gate, regime: Regime, order: float | None) -> Formula:
    if order is not None and not 1 <= order < np.inf:
        raise InputError(f"order {order}: must be a number of at least 1.")
    terms = regime.loss
    if terms is None:
        raise without_loss(gate)
    if terms.fixed and order not in (None, terms.order):
        raise InputError(
            f"order {order}: the loss of the {gate.name} gate{in_regime(regime.code)} has first "
            "powers everywhere; leave it out."
        )
    return Formula(gate, terms, terms.order if order is None else order)


@dataclass(frozen=True)
class Problem:
    """R fitted measures against one, both in canonical order so that ties ignore labels."""

    formula: Formula
    moving: int  # the first numbers of γ, which are up to a common shift
    offset: Array  # (R, k)
    gamma: Array  # (R, k, m), minus ``origin``
    eta: Array
    true_offset: Array  # (k*,)
    true_gamma: Array  # (k*, m), minus ``true_origin``
    true_eta: Array
    shared: Array  # (R,): |Δ| of what belongs to no atom
    order: Labels  # (R, k): the fitted label at each canonical place
    true_order: Labels
    origin: Array  # (R, m), 0 where nothing moves
    true_origin: Array
    images: Array | None = None  # (G, R, k, q): other η that mean the same; the nearest counts
    powers: Powers | None = None  # in place of the formula's order

    @classmethod
    def of(cls, formula: Formula, fitted: MixingMeasure, truth: MixingMeasure) -> Problem:
        many = fitted if fitted.batch else MixingMeasure.stack([fitted])
        own, true = formula.normal(many, "fitted"), formula.normal(truth, "truth")
        return cls.between(formula, own, many.eta, true, truth.eta)

    @classmethod
    def between(
        cls,
        formula: Formula,
        own: Gates,
        eta: Array,
        true: Gates,
        true_eta: Array,
        images: Array | None = None,
        powers: Powers | None = None,
    ) -> Problem:
        """Of gates and η: (R, k, ·) fitted, (k*, ·) true, ``images`` (G, R, k, q)."""
        order = _canonical(own, eta)
        true_order = _canonical(true, true_eta)
        eta = np.take_along_axis(eta, order[..., None], axis=-2)
        if images is not None:
            images = np.take_along_axis(images, order[None, ..., None], axis=-2)
        true_eta = true_eta[true_order]
        gamma = np.take_along_axis(own.gamma, order[..., None], axis=-2)
        true_gamma = true.gamma[true_order]
        same = (np.diff(true_gamma, axis=0) == 0).all(-1) & (np.diff(true_eta, axis=0) == 0).all(-1)
        if same.any():
            i = int(np.argmax(same))
            first, second = sorted((int(true_order[i]), int(true_order[i + 1])))
            alike = "β1" if formula.terms.coordinates is None else "gate (β0 apart)"
            raise InputError(
                f"truth: atoms {first} and {second} have the same {alike} and η, so Voronoi cells "
                "cannot tell them apart; merge them."
            )
        origin, true_origin = gamma[:, 0].copy(), true_gamma[0].copy()
        origin[:, own.moving :] = true_origin[own.moving :] = 0.0
        shared = np.zeros(len(gamma))
        for mine, other in zip(own.shared, true.shared, strict=True):
            shared = shared + np.abs(mine - other)
        return cls(
            formula,
            own.moving,
            np.take_along_axis(own.offset, order, axis=-1),
            gamma - origin[:, None],
            eta,
            true.offset[true_order],
            true_gamma - true_origin,
            true_eta,
            shared,
            order,
            true_order,
            origin,
            true_origin,
            images,
            powers,
        )

    def prepared(self) -> Fixed:
        """All that does not change with the shift."""
        # differences first: a candidate shift then cancels its own pair exactly
        gaps = [self.gamma[:, :, None, s] - b for s, b in enumerate(self.true_gamma.T)]
        slopes = np.array(gaps).reshape(len(gaps), *self.gamma.shape[:2], len(self.true_gamma))
        eta2 = squares(self.eta, self.true_eta)
        for image in () if self.images is None else self.images:
            eta2 = np.minimum(eta2, squares(image, self.true_eta))
        change = np.abs(self.offset[:, :, None] - self.true_offset)
        weigh = self.formula.terms.weigh
        weight, true_weight = weigh(self.offset), weigh(self.true_offset)
        return Fixed(slopes, eta2, change, weight, true_weight)

    def at(self, shift: Array, fixed: Fixed) -> Evaluation:
        """The loss with ``shift`` (R, m) added to the fitted γ; O(R k k*)."""
        f = self.formula.terms
        gate2 = np.zeros_like(fixed.eta2)
        for off, moved in zip(fixed.slopes, shift.T, strict=True):
            gap = off + moved[:, None, None]
            gap *= gap
            gate2 += gap
        cells = np.argmin(gate2 + fixed.eta2, axis=-1)
        pick = cells[..., None]
        gate = np.sqrt(np.take_along_axis(gate2, pick, axis=-1)[..., 0])
        eta = np.sqrt(np.take_along_axis(fixed.eta2, pick, axis=-1)[..., 0])
        inside = cells[..., None] == np.arange(len(fixed.true_weight))  # (R, k, k*)
        sizes = inside.sum(axis=1)
        size = np.take_along_axis(sizes, cells, axis=-1)
        alone = size == 1
        compared = {"all": sizes >= 0, "over": sizes != 1, "empty": sizes == 0}[f.compared]
        total = np.einsum("rk,rkj->rj", fixed.weight, inside)
        gap = np.where(compared, np.abs(total - fixed.true_weight), 0.0).sum(axis=-1)
        change = 0.0
        if f.beta0 != "none":
            change = np.take_along_axis(fixed.change, pick, axis=-1)[..., 0]
        single = gate + eta + change
        gates = gate ** self._gate_power(size)
        several = (gates if f.gates == "all" else 0.0) + self._experts(cells, size, eta)
        several = several + (change if f.beta0 == "all" else 0.0)
        share = fixed.weight if f.share else 1.0
        parts = Parts(
            gap,
            np.where(alone, 0.0, share * several).sum(axis=-1),
            np.where(alone, share * single, 0.0).sum(axis=-1),
            self.shared,
        )
        height = sum(parts)
        if f.gates != "all":  # the shift and the cells are those that fit all gates best
            height = height + np.where(alone, 0.0, share * gates).sum(axis=-1)
        return Evaluation(cells, sizes, size, alone, gate, eta, single, parts, np.asarray(height))

    def _gate_power(self, size: Labels) -> Array | float:
        """The power of ‖Δγ‖ in over-specified cells of these sizes."""
        return self.formula.order if self.powers is None else self.powers.of_gate(size)

    def _experts(self, cells: Labels, size: Labels, eta: Array) -> Array:
        """The term of η in over-specified cells (R, k): ‖Δη‖^r, or Σ_u |Δη_u|^{r_u}."""
        if self.powers is None:
            return eta**self.formula.order
        gap = np.abs(self.eta - self.true_eta[cells])
        for image in () if self.images is None else self.images:
            other = np.abs(image - self.true_eta[cells])
            nearer = (other**2).sum(-1) < (gap**2).sum(-1)
            gap = np.where(nearer[..., None], other, gap)
        return (gap ** self.powers.of_numbers(size)).sum(axis=-1)

    def align(self, fixed: Fixed) -> tuple[Array, Evaluation]:
        """The shift (R, m) of the fitted γ with the smallest loss found, see the module."""
        measures, k, m = self.gamma.shape
        best = np.zeros((measures, m))
        if not self.moving:
            return best, self.at(best, fixed)
        lowest = np.full(measures, np.inf)
        moves = np.arange(m) < self.moving
        for i in range(k):
            for j in range(len(self.true_offset)):
                candidate = np.where(moves, -fixed.slopes[:, :, i, j].T, 0.0)
                value = self.at(candidate, fixed).height
                better = value < lowest
                best[better], lowest = candidate[better], np.where(better, value, lowest)
        length = np.ones(measures)
        for _ in range(_DESCENT_STEPS):
            step = np.where(moves, self._step(best, fixed), 0.0) * length[:, None]
            moved = best + step
            value = self.at(moved, fixed).height
            # one that has given up stays, whatever the others in the batch do
            better = (length >= 0.01) & (value < lowest * (1 - 1e-12))
            # too long a step (a corner, or a cell changed on the way) is shortened, then given up
            length = np.where(better, 1.0, length / 4)
            best[better], lowest = moved[better], np.where(better, value, lowest)
            if length.max() < 0.01:
                break
        return best, self.at(best, fixed)

    def _step(self, shift: Array, fixed: Fixed) -> Array:
        """Weiszfeld's step: minimise the quadratic that touches the loss from above.

        u‖v‖^p is below a quadratic with curvature p·u·‖v‖^{p−2} for p ≤ 2. Terms at v = 0, where
        a first power has a corner, are left out: if they hold the minimum there, no step that the
        others ask for, however short, lowers the loss.
        """
        at = self.at(shift, fixed)
        off = self.gamma + shift[:, None] - self.true_gamma[at.cells]
        power = np.where(at.alone, 1.0, self._gate_power(at.size))
        zero = at.gate <= 1e-14 * (1 + np.abs(self.true_gamma).max())
        norm = np.where(zero, 1.0, at.gate)
        stiff = np.where(zero, 0.0, power * fixed.weight * norm ** (power - 2))
        total = stiff.sum(axis=-1)[:, None]
        return -np.einsum("rk,rkd->rd", stiff, off) / np.where(total > 0, total, 1.0)


_DESCENT_STEPS = 30


class Fixed(NamedTuple):
    slopes: Array  # (m, R, k, k*): Δγ before the shift
    eta2: Array  # (R, k, k*): ‖Δη‖²
    change: Array  # (R, k, k*): |Δβ0|
    weight: Array
    true_weight: Array


class Evaluation(NamedTuple):
    cells: Labels  # (R, k), canonical labels
    sizes: Labels  # (R, k*)
    size: Labels  # (R, k): of the cell that the atom is in
    alone: Mask  # (R, k): the only one in its cell
    gate: Array  # (R, k): ‖Δγ‖
    eta: Array
    single: Array
    parts: Parts
    height: Array  # (R,): what the shift minimises


def _canonical(gates: Gates, eta: Array) -> Labels:
    """The order of atoms that is lexicographic in (η, γ, β0): shifts do not change it."""
    columns = [gates.offset]
    columns += [gates.gamma[..., s] for s in reversed(range(gates.gamma.shape[-1]))]
    columns += [eta[..., u] for u in reversed(range(eta.shape[-1]))]
    return np.lexsort(columns, axis=-1)


def squares(fitted: Array, true: Array) -> Array:
    """‖fitted_i − true_j‖², shape (R, k, k*), without a (R, k, k*, q) array."""
    total = np.zeros((*fitted.shape[:2], len(true)))
    for u in range(fitted.shape[2]):
        total += (fitted[:, :, None, u] - true[:, u]) ** 2
    return total
