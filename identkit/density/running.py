"""The best of several starts of maximum likelihood, in standard units where that is exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.density.box import DensityBox
from identkit.density.engine import checked, maximum_likelihood
from identkit.density.model import DensityModel
from identkit.density.result import DensityFit
from identkit.density.starts import TRIAL_STEPS, random_starts
from identkit.density.units import Units
from identkit.errors import InputError, whole
from identkit.fit.box import Box
from identkit.fit.problem import Compute
from identkit.fit.running import Silent, Steps, named_numbers, placed
from identkit.mixing import real_array

Array = NDArray[np.float64]


def best_density(
    model: DensityModel,
    x: Array,
    y: Array,
    k: int,
    *,
    shared: int | None = None,
    weight: Array | None = None,
    starts: int = 5,
    seed: int = 0,
    standardise: bool = True,
    box: DensityBox | Box | None = None,
    variances: Sequence[float] | float | None = None,
    start: Mapping[str, Sequence[float] | float] | None = None,
    max_steps: int = 500,
    em_steps: int = 20,
    few: bool = False,
    compute: Compute | None = None,
    steps: Steps | None = None,
    stop: Callable[[], bool] | None = None,
) -> DensityFit:
    """Maximum likelihood of k routed atoms (and ``shared`` ones, 1 by default) from random starts.

    ``x`` (n, d) and ``y`` (n,); classes are 0, 1, …. With ``standardise`` it is found in standard
    units and told in those of the data; ``box``, ``variances`` and ``start`` are in the user's
    units. ``weight`` (n,) says how often a row counts; rows of weight 0 are left out.
    ``variances`` are the known ones of the likelihood ``gaussian-known``, one for all atoms
    or one each, shared atoms first. ``start`` maps a routed parameter's name to the value, one for
    all atoms or one for each, that every start begins with; ``few`` is that of
    :func:`~identkit.density.engine.maximum_likelihood`. Raises
    :class:`~identkit.errors.InputError`, as the parts do.
    """
    steps = Silent() if steps is None else steps
    if isinstance(box, Box):
        box = DensityBox(routed=box)
    box = DensityBox() if box is None else box
    if not isinstance(box, DensityBox):
        raise InputError(f"box: {box!r} is none; give an identkit.density.DensityBox.")
    if model.shared is None and shared:
        raise InputError(f"shared: {shared} atoms, but the model has no shared expert; name one.")
    whole("k", k, least=1)
    whole("starts", starts, least=1)
    whole("seed", seed, least=0)
    m = 0 if model.shared is None else (1 if shared is None else shared)
    atoms = (m, k)
    model.check_atoms(atoms)
    box = with_variances(model, box, variances, m + k)
    if weight is not None and np.shape(weight) == np.shape(y):
        counted = np.asarray(weight) != 0  # rows of weight 0 would be drawn as starts too
        if counted.any() and not counted.all():
            x, y, weight = x[counted], y[counted], np.asarray(weight)[counted]
    data = checked(model, x, y, weight)  # before anything is computed of them
    x, y, weight = data.x[0], data.y[0], None if data.weight is None else data.weight[0]
    values = placed(model.routed, start or {}, k)
    units = None
    if standardise:
        units = Units.of(
            model, x, y, atoms, weight=weight,
            bounded=named_numbers(model.routed, box.routed),
            bounded_shared=(
                () if model.shared is None else named_numbers(model.shared, box.shared)
            ),
        )  # fmt: skip
    where, inner_box = (x, y), box
    if units is not None:
        where, inner_box = (units.inputs(x), units.target(y)), units.box(box)

    def given(vector: Array) -> Array:
        user = vector.copy() if units is None else units.outward(vector)
        user[..., list(values)] = list(values.values())
        return user if units is None else units.inward(user)

    steps.begin("choosing starts", TRIAL_STEPS)
    measures = random_starts(
        model, *where, atoms, starts, seed,
        weight=weight, box=inner_box, given=given if values else None, few=few, compute=compute,
        progress=steps.update, stop=stop,
    )  # fmt: skip
    steps.begin("fitting", max_steps)
    found = maximum_likelihood(
        model, *where, measures,
        weight=weight, box=inner_box, max_steps=max_steps, em_steps=em_steps, few=few,
        compute=compute,
        progress=steps.update, stop=stop,
    )  # fmt: skip
    if units is None:
        return found
    return units.result(found, float(len(y)) if weight is None else float(weight.sum()))


def with_variances(model: DensityModel, box: DensityBox, variances: Any, count: int) -> DensityBox:
    """The box with variances that are known. Raises InputError where they are missing or given
    to another likelihood."""
    known = model.likelihood.name == "gaussian-known"
    if not known:
        if variances is not None:
            why = "estimates them" if model.density.spread else "has none"
            more = ", or choose variance='known'" if model.density.spread else ""
            raise InputError(
                f"variances: likelihood {model.likelihood.name} {why}; leave them out{more}."
            )
        return box
    if variances is None:
        raise InputError(
            "variances: they are known, so say what they are: one for all atoms, or one each."
        )
    array = np.atleast_1d(real_array("variances", variances))
    if array.ndim != 1 or len(array) not in (1, count) or not (array > 0).all():
        raise InputError(
            f"variances: {array.tolist()} for {count} atoms; give one above 0, or one for each."
        )
    array = np.broadcast_to(array, count)
    return DensityBox(box.routed, box.shared, np.stack([array, array], axis=1))
