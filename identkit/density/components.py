"""The atoms of a fitted density with their numbers, errors and rows: what tables and files list."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from identkit.density.inference import omega_errors
from identkit.density.summary import DensityReport

Array = NDArray[np.float64]
FLOOR = 1e-6
"""Of log ν above the smallest that the box allows: as the engine judges a spike."""


@dataclass(frozen=True)
class Number:
    """An estimate with its standard errors: of the observed information, and of the sandwich.

    ``state`` says why there is none: ``gauge``, ``fixed`` by equal bounds, at a ``bound``, ``n.d.``
    where the data do not determine it; empty else. Errors are NaN without. ``option`` is its name
    in ``--box``.
    """

    name: str
    value: float
    error: float
    sandwich: float
    state: str
    option: str


@dataclass(frozen=True)
class Component:
    """One atom. ``numbers`` are its gate, its expert's parameters and its variance (ω of a shared
    one in the place of the gate); ``weight`` is the mean of its weight over the rows, ``assigned``
    the rows for which it is the most probable atom, ``effective`` the sum of its posterior
    probabilities, with the rows' weights."""

    half: str
    atom: int
    numbers: tuple[Number, ...]
    weight: float
    assigned: int
    effective: float

    @property
    def label(self) -> str:
        """``0``, or ``s0`` of a shared atom."""
        return f"s{self.atom}" if self.half == "shared" else str(self.atom)


def components(report: DensityReport) -> tuple[tuple[Component, ...], tuple[Number, ...]]:
    """The atoms, shared ones first, and the numbers that several of them have in common."""
    fit, table = report.fit, report.table
    assert table is not None
    model, (m, k) = fit.model, fit.measure.atoms
    numbers = _numbers(report)
    weights = model.weights(fit.measure, table.x)
    mean = np.average(weights, axis=1, weights=table.weight)
    counted = slice(None)
    if report.table is not None and report.table.weight is not None:
        counted = report.table.weight > 0
    assigned = np.bincount(report.assigned[counted], minlength=m + k)
    effective = report.effective
    own: dict[tuple[str, int], list[Number]] = {}
    common: list[Number] = []
    for (half, atom, _), number in zip(model.numbers((m, k)), numbers, strict=True):
        if half == "all" or atom is None:
            common.append(number)
        elif half == "routed" and number.name in _of_groups(report):
            common.append(replace(number, name=f"{number.name} of group {atom}"))
        else:
            own.setdefault((half, atom), []).append(number)
    order = [("shared", a) for a in range(m)] + [("routed", i) for i in range(k)]
    return tuple(
        Component(
            half, atom, tuple(own.get((half, atom), ())), float(mean[c]), int(assigned[c]),
            float(effective[c]),
        )
        for c, (half, atom) in enumerate(order)
    ), tuple(common)  # fmt: skip


def _options(report: DensityReport) -> list[str]:
    """How the bounds of every number of the vector are asked for."""
    model, (m, k) = report.fit.model, report.fit.measure.atoms
    found = list(report.fit.measure.routed.layout.options(model.routed.parameters, k))
    if model.shared is not None:
        own = model.shared.layout.options(model.shared.parameters, m)
        found += [f"shared.{name}" for name in own]
    return found + ["nu"] * model.spreads((m, k))


def _of_groups(report: DensityReport) -> set[str]:
    layout = report.fit.measure.routed.layout
    return {name for b in layout.of_groups for name in b.names(layout.size(b))} | {
        b.label for b in layout.of_groups
    }


def _numbers(report: DensityReport) -> list[Number]:
    """The numbers of the vector as printed: variances and ω themselves, not their logarithms."""
    fit = report.fit
    model, atoms = fit.model, fit.measure.atoms
    values = model.pack(fit.measure).copy()
    part = model.parts(atoms)[2]
    values[part] = np.exp(values[part])
    inner, c = fit.scaled, report.covariance
    pinned, fixed = model.pinned(atoms), report.fixed
    nothing = np.full(len(values), np.nan)
    errors = nothing if c is None else c.standard_errors.copy()
    robust = nothing if c is None else c.sandwich_errors.copy()
    omega = fit.measure.omega
    spare = [] if c is None else [c.omega_errors, omega_errors(fit, c.sandwich)]
    found, options = [], _options(report)
    for i, (half, atom, name) in enumerate(model.numbers(atoms)):
        value, error, sandwich = float(values[i]), float(errors[i]), float(robust[i])
        state = ""
        if pinned[i]:
            state = "gauge"
        elif fixed[i]:
            state = "fixed"
        elif inner.held[i]:
            state = "bound"
        if half == "shared" and name == "log ω":
            name, value = "ω", float(omega[atom])
            error, sandwich = (float(s[atom]) for s in spare) if spare else (np.nan, np.nan)
            state = "gauge" if atoms[0] == 1 else "" if state == "gauge" else state
        if not state and c is not None and not np.isfinite(error):
            state = "n.d."
        if state:
            error = sandwich = np.nan
        found.append(Number(name, value, error, sandwich, state, options[i]))
    return found


def floors(report: DensityReport) -> list[str]:
    """The labels of the atoms whose variance ended at the smallest that the box allows."""
    fit = report.fit
    model, (m, k) = fit.model, fit.measure.atoms
    if not model.density.spread:
        return []
    inner = fit.scaled
    places = model.spread_index((m, k))
    vector = model.pack(inner.measure)
    least = np.log(inner.settings.floor)
    if inner.settings.relative and report.table is not None:
        y, w = report.table.y, report.table.weight
        if fit.units is not None:
            y = fit.units.target(y)
        mean = np.average(y, weights=w)
        least += np.log(np.average((y - mean) ** 2, weights=w))
    low = ~report.fixed[places] & (vector[places] <= least + FLOOR)
    names = [f"s{a}" for a in range(m)] + [str(i) for i in range(k)]
    return [name for name, at in zip(names, low, strict=True) if at]
