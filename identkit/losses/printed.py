"""The losses D1 … D5 as arXiv 2505.10860 prints them, to compare with; none knows its gauges.

Cells: V1_a of shared atoms by (κ, τ), V2_j of routed ones by (β1, η, ν), all as they are written
down; Δ is fitted minus true. With W1 = Σ_a |Σ_{V1_a} ω_i − ω_a*|, *exact* cells of one atom and
*over-specified* ones of several (norms of vectors, |·| of numbers):

    S  = W1 + Σ_exact ω_i (‖Δκ‖ + |Δτ|) + Σ_over ω_i (‖Δκ‖² + |Δτ|²)
    D1 = S + Σ_j |Σ e^β0_i − e^β0_j*| + Σ_exact e^β0_i (‖Δβ1‖ + ‖Δη‖ + |Δν|)
           + Σ_over e^β0_i (‖Δβ1‖² + ‖Δη‖² + |Δν|²)
    D2 = D1 with, in over-specified cells of m atoms and r = r(m), for linear experts κ = (κ1, κ0)
           ω_i (‖Δκ1‖² + |Δκ0|^r + |Δτ|^(r/2)) and
           e^β0_i (‖Δβ1‖^r + ‖Δη1‖^(r/2) + |Δη0|^r + |Δν|^(r/2))
    D3 = S + Σ_over |Σ σ(β0_i) − σ(β0_j*)| + Σ_exact (‖Δβ1‖ + |Δβ0| + ‖Δη‖ + |Δν|)
           + Σ_over (‖Δβ1‖² + ‖Δη‖² + |Δν|²)
    D4 = S + Σ_j Σ_V2_j (‖Δβ1‖ + |Δβ0| + ‖Δη‖ + |Δν|) against a population minimiser Ǧ2
    D5 = S + the largest, over K true routed atoms, of D1's other terms in their cells

r(m) = 2m (claims ``polynomial-system-order``, ``two-index-system-order``). As printed none is
invariant (claim ``printed-losses-not-invariant``): D1, D2, D5 under common shifts of (β0, β1); D1,
D3, D4 along scale orbits of experts; D3 under the factor of σ where all slopes are 0; D1 to D3
under exchanges of halves with constant gates. What is invariant is
:func:`identkit.losses.density.density_loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np

from identkit.density.measure import DensityMeasure
from identkit.errors import InputError
from identkit.losses.shifts import Labels, Mask
from identkit.mixing import Array, MixingMeasure

Name = Literal["D1", "D2", "D3", "D4", "D5"]


def order_of_cell(m: int) -> int:
    """r(m) = 2m: the order of the system of equations for a cell of m atoms."""
    return 2 * m


def printed_loss(
    name: Name,
    fitted: DensityMeasure,
    truth: DensityMeasure,
    *,
    minimiser: MixingMeasure | None = None,
    minimiser_variances: Array | None = None,
    active: int | None = None,
    order: Callable[[int], float] = order_of_cell,
) -> Array:
    """A loss of arXiv 2505.10860 as printed, shape (…,), of fitted measures against one true one.

    Of ``D4`` the routed half is compared with the ``minimiser`` and its variances (k2,), of ``D5``
    ``active`` is K, the number of atoms that the gate selects. ``order`` is r in ``D2``, for
    experts whose last parameter is the intercept. Without shared atoms W1 and what is beside it
    are 0.

    Raises :class:`~identkit.errors.InputError` for another name, measures that do not fit together,
    without variances or without β1 and β0, and options that are missing or of another loss.

    Source: arXiv 2505.10860, theory section 6.
    """
    if name not in get_args(Name):
        raise InputError(f"loss {name}: choose one of {', '.join(get_args(Name))}.")
    _check_options(name, truth, minimiser, active)
    _check(fitted, truth)
    degree = order if name == "D2" else None
    shared = _shared(fitted, truth, degree)
    target, variances = truth.routed, truth.variances
    if minimiser is not None:
        target = minimiser
        variances = truth.variances if minimiser_variances is None else minimiser_variances
        if np.shape(variances) != (target.atoms,) or target.batch:
            raise InputError(
                f"minimiser: its variances have shape {np.shape(variances)}, must be "
                f"({target.atoms},)."
            )
    own = fitted.routed
    columns = [own.beta1, own.eta, fitted.variances[..., None]]
    true = [target.beta1, target.eta, np.asarray(variances)[..., None]]
    cells = _Cells.of(columns, true)
    beta1, eta, nu = (cells.norms(a, b) for a, b in zip(columns, true, strict=True))
    if name in ("D1", "D2", "D5"):
        weight, true_weight = np.exp(own.beta0), np.exp(target.beta0)
        several = beta1**2 + eta**2 + nu**2
        if degree is not None:
            r = cells.degrees(degree)
            slope = cells.norms(own.eta[..., :-1], target.eta[..., :-1])
            level = cells.norms(own.eta[..., -1:], target.eta[..., -1:])
            several = beta1**r + slope ** (r / 2) + level**r + nu ** (r / 2)
        terms = weight * np.where(cells.alone, beta1 + eta + nu, several)
        each = np.abs(cells.sums(weight) - true_weight) + cells.sums(terms)
        if name == "D5":
            # of sums that are at least 0, the largest over K-subsets is that of the K largest
            each = np.sort(each, axis=-1)[..., -active:] if active else each
        return shared + each.sum(axis=-1)
    change = np.abs(own.beta0 - target.beta0[cells.labels])
    if name == "D4":
        return shared + (beta1 + change + eta + nu).sum(axis=-1)
    weight, true_weight = _sigma(own.beta0), _sigma(target.beta0)
    gap = np.abs(cells.sums(weight) - true_weight)
    terms = np.where(cells.alone, beta1 + change + eta + nu, beta1**2 + eta**2 + nu**2)
    return shared + np.where(cells.sizes > 1, gap, 0.0).sum(axis=-1) + terms.sum(axis=-1)


class _Cells(NamedTuple):
    """labels (…, k): the nearest true atom, of equal ones the first; sizes (…, k*) of the cells."""

    labels: Labels
    sizes: Labels
    inside: Mask  # (…, k, k*)
    alone: Mask  # (…, k)

    @classmethod
    def of(cls, fitted: list[Array], true: list[Array]) -> _Cells:
        own, other = np.concatenate(fitted, axis=-1), np.concatenate(true, axis=-1)
        square = sum((own[..., :, None, u] - other[:, u]) ** 2 for u in range(own.shape[-1]))
        labels = np.argmin(np.asarray(square), axis=-1)
        inside = labels[..., None] == np.arange(len(other))
        sizes = inside.sum(axis=-2)
        return cls(labels, sizes, inside, np.take_along_axis(sizes, labels, axis=-1) == 1)

    def norms(self, fitted: Array, true: Array) -> Array:
        """‖Δ‖ to the true atom of its cell, (…, k)."""
        return np.linalg.norm(fitted - true[self.labels], axis=-1)

    def sums(self, values: Array) -> Array:
        """Of values (…, k) over each cell, (…, k*)."""
        return np.where(self.inside, values[..., None], 0.0).sum(axis=-2)

    def degrees(self, order: Callable[[int], float]) -> Array:
        """r of the cell that each atom is in, (…, k)."""
        table = np.array([0.0, *(float(order(m)) for m in range(1, self.labels.shape[-1] + 1))])
        return table[np.take_along_axis(self.sizes, self.labels, axis=-1)]


def _shared(
    fitted: DensityMeasure, truth: DensityMeasure, degree: Callable[[int], float] | None
) -> Array:
    """S, for linear experts with the powers of D2."""
    own, true = fitted.shared, truth.shared
    if own is None or true is None:
        return np.zeros(fitted.batch)
    variances = [fitted.shared_variances[..., None], truth.shared_variances[..., None]]
    cells = _Cells.of([own.eta, variances[0]], [true.eta, variances[1]])
    kappa, tau = cells.norms(own.eta, true.eta), cells.norms(*variances)
    several = kappa**2 + tau**2
    if degree is not None:
        r = cells.degrees(degree)
        slope = cells.norms(own.eta[..., :-1], true.eta[..., :-1])
        level = cells.norms(own.eta[..., -1:], true.eta[..., -1:])
        several = slope**2 + level**r + tau ** (r / 2)
    omega = fitted.omega
    gap = np.abs(cells.sums(omega) - truth.omega).sum(axis=-1)
    return gap + (omega * np.where(cells.alone, kappa + tau, several)).sum(axis=-1)


def _sigma(beta0: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -beta0))


def _check_options(
    name: Name, truth: DensityMeasure, minimiser: MixingMeasure | None, active: int | None
) -> None:
    if (name == "D4") != (minimiser is not None):
        raise InputError(
            "minimiser: D4 compares with a population minimiser of the routed half; give one."
            if minimiser is None
            else f"minimiser: it is of D4; leave it out of {name}."
        )
    if (name == "D5") != (active is not None):
        raise InputError(
            "active: D5 is about a gate that selects K atoms; give K."
            if active is None
            else f"active: it is of D5; leave it out of {name}."
        )
    if active is not None and not 1 <= active <= truth.routed.atoms:
        raise InputError(
            f"active {active}: must be from 1 to {truth.routed.atoms}, the true atoms."
        )


def _check(fitted: DensityMeasure, truth: DensityMeasure) -> None:
    if truth.batch:
        raise InputError(f"truth: it is a batch of {truth.batch[0]} measures; give one of them.")
    for name, measure in (("fitted", fitted), ("truth", truth)):
        if measure.variances is None:
            raise InputError(
                f"{name}: the printed losses are of variances; give a measure of some."
            )
        if not {"beta0", "beta1"} <= {b.name for b in measure.routed.layout.blocks}:
            raise InputError(f"{name}: the printed losses are of β1 and β0; give such a gate.")
    if (fitted.shared is None) != (truth.shared is None):
        raise InputError("fitted: one measure has shared atoms, the other not; give both alike.")
    pairs = [(fitted.routed, truth.routed)]
    if fitted.shared is not None and truth.shared is not None:
        pairs.append((fitted.shared, truth.shared))
    if any((a.dim, a.parameters) != (b.dim, b.parameters) for a, b in pairs):
        raise InputError(
            "fitted: it has other inputs or expert parameters than the truth; give measures of one "
            "model."
        )
