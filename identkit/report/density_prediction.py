"""Predictions of a density as CSV, as ``identkit.density-prediction/1``, and in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit import __version__
from identkit.density.prediction import DensityPrediction
from identkit.density.result import Status
from identkit.density.saved import SavedDensity
from identkit.fit.box import number
from identkit.likelihoods import asked_under
from identkit.report.prediction import extrapolation
from identkit.tables.new_rows import NewRows

Array = NDArray[np.float64]
SCHEMA = "identkit.density-prediction/1"
_LINES = 4096
"""Rows of CSV made at a time."""


@dataclass(frozen=True, eq=False)
class PredictedDensity:
    """What a density says of the rows of a file; atoms apart ``by_atom`` if asked for."""

    fit: SavedDensity
    file: str
    rows: NewRows
    found: DensityPrediction
    by_atom: bool

    @cached_property
    def columns(self) -> dict[str, Any]:
        """What there is of each row, by name: the columns of the CSV, each (n,).

        Of a number y ``mean`` and ``sd`` of it given x, the interval's ends; of classes ``p_0``, …
        and the most probable ``class``. ``weight_…`` and ``mean_…`` are of the atoms, shared ones
        ``s0``, …; ``outside`` is 1 where the row lies outside the range of the data fitted.
        """
        found = self.found
        columns: dict[str, Any] = {}
        if found.probabilities is not None:
            names = self.fit.classes or ()
            columns |= {f"p_{c}": p for c, p in enumerate(found.probabilities)}
            columns["class"] = [names[c] for c in found.probabilities.argmax(axis=0)]
        else:
            columns |= {"mean": found.mean, "sd": found.deviation}
        if found.interval is not None:
            columns |= {"y_low": found.interval[:, 0], "y_high": found.interval[:, 1]}
        if self.by_atom:
            m, k = self.fit.measure.atoms
            labels = [f"s{a}" for a in range(m)] + [str(i) for i in range(k)]
            columns |= {f"weight_{n}": w for n, w in zip(labels, found.weights, strict=True)}
            if found.means is not None:
                columns |= {f"mean_{n}": h for n, h in zip(labels, found.means, strict=True)}
        if found.outside is not None:
            columns["outside"] = found.outside.any(axis=1)
        return columns

    @cached_property
    def residuals(self) -> dict[str, float | None] | None:
        """Where the target is there: root mean square and R² of y − E[y|x], the mean of
        log p(y|x), and of classes the part of the rows whose most probable class is theirs."""
        y = self.rows.y
        if y is None:
            return None
        model, found = self.fit.model, self.found
        density = float(model.log_density(self.fit.measure, self.rows.x, y).mean())
        square = share = accuracy = None
        if found.mean is not None:
            square = float(np.mean((y - found.mean) ** 2))
            variance = float(y.var())
            share = 1.0 - square / variance if variance > 0 else None
        elif found.probabilities is not None:
            accuracy = float(np.mean(found.probabilities.argmax(axis=0) == y))
        return {
            "root_mean_square": None if square is None else number(np.sqrt(square)),
            "r_squared": None if share is None else number(share),
            "log_density": number(density),
            "accuracy": accuracy,
        }


def csv_lines(predicted: PredictedDensity) -> Iterator[str]:
    """The lines of the CSV, names first; numbers to the last digit."""
    columns = predicted.columns
    yield ",".join(columns) + "\n"
    values = [v if isinstance(v, list) else v.tolist() for v in columns.values()]
    for start in range(0, len(predicted.rows.x), _LINES):
        parts = [[_cell(v) for v in column[start : start + _LINES]] for column in values]
        for cells in zip(*parts, strict=True):
            yield ",".join(cells) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        plain = not set(value) & set(',"\r\n')
        return value if plain else '"' + value.replace('"', '""') + '"'
    if isinstance(value, bool):
        return str(int(value))
    return repr(value) if np.isfinite(value) else ""


def document(predicted: PredictedDensity) -> dict[str, Any]:
    """The JSON form; numbers that are not finite are null."""
    fit = predicted.fit
    model = fit.model
    shared = {} if model.shared is None else {"shared": model.shared.expert.canonical()}
    return {
        "schema": SCHEMA,
        "version": __version__,
        "expert": model.routed.expert.canonical(),
        **asked_under(model.routed.gate.name, model.likelihood.name),
        **shared,
        "fit": {"file": fit.path, "target": fit.target, "inputs": list(fit.inputs)},
        "data": {"file": predicted.file, "rows": len(predicted.rows.x)},
        "level": predicted.found.level,
        "ranges": [list(pair) for pair in fit.ranges],
        "classes": None if fit.classes is None else list(fit.classes),
        "columns": {
            name: [bool(v) for v in values]
            if name == "outside"
            else list(values)
            if name == "class"
            else [number(v) for v in values]
            for name, values in predicted.columns.items()
        },
        "residuals": predicted.residuals,
        "notes": [f"{label}: {text}" for label, text in notes(predicted)],
    }


def notes(predicted: PredictedDensity) -> list[tuple[str, str]]:
    """(label, sentence) for what a reader must know before using the predictions."""
    fit, found = predicted.fit, predicted.found
    lines: list[tuple[str, str]] = []
    if fit.status is not Status.CONVERGED:
        lines.append(("fit", f"it ended '{fit.status.value}': {fit.status.remedy}."))
    if found.interval is not None:
        text = (
            f"{100 * found.level:g} % of y given x, between two quantiles of the mixture, for each "
            "row on its own; parameters are taken as known. Between two modes it may hold values "
            "that are hardly ever seen."
        )
        lines.append(("interval", text))
    lines += extrapolation(fit.inputs, found.outside, fit.ranges, "the density")
    measured = predicted.residuals
    if measured is not None:
        parts = [f"mean log p(y|x) {measured['log_density']:.4g}"]
        if measured["root_mean_square"] is not None:
            parts.append(f"root mean square of y − E[y|x] {measured['root_mean_square']:.4g}")
        if measured["r_squared"] is not None:
            parts.append(f"R² {measured['r_squared']:.4g}")
        if measured["accuracy"] is not None:
            parts.append(f"most probable class right for {100 * measured['accuracy']:.3g} %")
        lines.append(("residuals", f"'{fit.target}' is there: {', '.join(parts)} of these rows."))
    elif predicted.rows.without:
        lines.append(("residuals", f"none: {predicted.rows.without}"))
    return lines
