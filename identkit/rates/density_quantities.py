"""The errors of fitted densities whose decay is measured, computed for each fit.

- ``hellinger``: E_x H(p_G(·|x), p_G*(·|x));
- ``printed:D1`` …: a loss of arXiv 2505.10860 as printed, which knows no gauge: gates are shifted
  before so that Σ e^β0 and the mean slope under these weights are the truth's, where a shift is a
  gauge, else it would measure where a start happened to lie;
- ``quotient``: the loss with every gauge divided out (:mod:`identkit.losses.density`), whose
  powers are the proved orders of the cell;
- ``over:shared:b`` …: the largest |Δ| of one parameter in over-specified cells of one half, at the
  representatives of the experts' functions, ``exact:shared`` of all numbers of atoms alone.

Cells are by (function, variance), as those of the losses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.density.measure import DensityMeasure
from identkit.density.model import Half
from identkit.losses.density import density_loss
from identkit.losses.divergence import hellinger
from identkit.losses.printed import printed_loss
from identkit.losses.quotient import quotient
from identkit.mixing import MixingMeasure
from identkit.rates.density_predictions import VARIANCE, orders_in
from identkit.rates.density_setting import DensitySetting

Array = NDArray[np.float64]
TOLERANCE = 1e-6
"""Of a Hellinger distance, which is some 1e-3 at n = 1e6."""


def density_errors(setting: DensitySetting, fitted: DensityMeasure) -> dict[str, Array]:
    """Quantity -> its value for each of R fitted measures, (R,); NaN where it does not exist."""
    model, truth = setting.model, setting.truth
    near = aligned(setting, fitted)
    values: dict[str, Array] = {
        "hellinger": hellinger(
            model, fitted, truth, domain=setting.domain, tolerance=TOLERANCE
        ).value
    }
    with np.errstate(all="ignore"):
        if setting.loss is not None:
            name: Any = setting.loss
            own: dict[str, Any] = {}
            if name == "D4":
                own = {"minimiser": truth.routed, "minimiser_variances": truth.variances}
            values[f"printed:{name}"] = printed_loss(name, near, truth, **own)
        powers: dict[str, Any] = {}
        if not setting.dense:  # first powers everywhere
            powers["orders"] = orders_in(setting, "routed")
        if truth.shared is not None:
            powers["shared_orders"] = orders_in(setting, "shared")
        loss = density_loss(model, fitted, truth, regime=setting.regime, **powers)
        values["quotient"] = loss.value
        values |= _of_half(model.routed, near.routed, near.variances, truth.routed, truth.variances)
        if model.shared is not None and near.shared is not None and truth.shared is not None:
            values |= _of_half(
                model.shared, near.shared, near.shared_variances, truth.shared,
                truth.shared_variances,
            )  # fmt: skip
    return values


def aligned(setting: DensitySetting, fitted: DensityMeasure) -> DensityMeasure:
    """The same densities, with gates shifted to the truth's total weight and mean slope."""
    if setting.gate.pinning is None:
        return fitted

    def totals(routed: MixingMeasure) -> tuple[Array, Array]:
        top = routed.beta0.max(axis=-1, keepdims=True)
        weight = np.exp(routed.beta0 - top)
        total = weight.sum(axis=-1)
        mean = (weight[..., None] * routed.beta1).sum(axis=-2) / total[..., None]
        return top[..., 0] + np.log(total), mean

    own, (level, mean) = totals(fitted.routed), totals(setting.truth.routed)
    moved = MixingMeasure.of(
        fitted.routed.layout,
        {
            "beta0": fitted.routed.beta0 + (level - own[0])[..., None],
            "beta1": fitted.routed.beta1 + (mean - own[1])[..., None, :],
            "eta": fitted.routed.eta,
        },
    )
    return DensityMeasure(moved, fitted.variances, fitted.shared, fitted.shared_variances)


def _of_half(
    half: Half, fitted: MixingMeasure, variances: Any, truth: MixingMeasure, true: Any
) -> dict[str, Array]:
    """Errors of one half, by parameter in over-specified cells, of atoms alone together."""
    shared = "beta1" not in fitted.layout
    name = "shared" if shared else "routed"
    found = quotient(half.expert)
    own, other = found.representatives(fitted.eta), found.representatives(truth.eta)
    gap = own[..., :, None, :] - other
    images = found.images(fitted.eta)
    square = (gap**2).sum(axis=-1)
    for image in () if images is None else images:
        turned = image[..., :, None, :] - other
        closer = (turned**2).sum(axis=-1)
        gap = np.where((closer < square)[..., None], turned, gap)
        square = np.minimum(square, closer)
    spread = variances[..., :, None] - true
    cells = (square + spread**2).argmin(axis=-1)
    inside = cells[..., None] == np.arange(truth.atoms)
    alone = np.take_along_axis(inside.sum(axis=-2), cells, axis=-1) == 1
    at = cells[..., None, None]
    columns = dict(
        zip(half.parameters, np.take_along_axis(gap, at, axis=-2)[..., 0, :].T, strict=True)
    )
    columns = {p: np.abs(v.T) for p, v in columns.items()}
    columns[VARIANCE] = np.abs(np.take_along_axis(spread, cells[..., None], axis=-1)[..., 0])
    if not shared:
        slopes = fitted.beta1[..., :, None, :] - truth.beta1
        own_slopes = np.take_along_axis(slopes, at, axis=-2)[..., 0, :]
        columns["gate"] = np.linalg.norm(own_slopes, axis=-1)
    values = {f"over:{name}:{column}": _largest(size, ~alone) for column, size in columns.items()}
    values[f"exact:{name}"] = _largest(np.max(list(columns.values()), axis=0), alone)
    return values


def _largest(sizes: Array, where: NDArray[np.bool_]) -> Array:
    """The largest over the atoms of a kind, NaN where there is none."""
    most = np.where(where, sizes, -np.inf).max(axis=-1)
    return np.where(np.isfinite(most), most, np.nan)
