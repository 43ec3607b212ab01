"""Predictions of a fit as CSV, as the document ``identkit.prediction/1``, and in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit import __version__
from identkit.fit.box import number
from identkit.fit.prediction import Prediction
from identkit.fit.result import Status
from identkit.fit.saved import SavedFit
from identkit.likelihoods import asked_under
from identkit.tables.new_rows import NewRows

Array = NDArray[np.float64]

SCHEMA = "identkit.prediction/1"
_LINES = 4096
"""Rows of CSV made at a time."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions at the rows of a file, with the ``weights`` (k, n) of the atoms if asked for."""

    fit: SavedFit
    file: str
    rows: NewRows
    found: Prediction
    weights: Array | None

    @cached_property
    def columns(self) -> dict[str, Array]:
        """What there is of each row, by name: the columns of the CSV, each (n,).

        ``f`` and its standard error ``f_se``, the ends of the intervals of f and of a new y, the
        atoms' weights, and 1 where the row lies outside the range of the data fitted.
        """
        found = self.found
        columns: dict[str, Array] = {"f": found.f, "f_se": found.error}
        for name, ends in (("f", found.confidence), ("y", found.prediction)):
            columns |= {f"{name}_low": ends[:, 0], f"{name}_high": ends[:, 1]}
        if self.weights is not None:
            columns |= {f"weight_{i}": self.weights[i] for i in range(len(self.weights))}
        if found.outside is not None:
            columns["outside"] = np.asarray(found.outside.any(axis=1), dtype=np.float64)
        return columns

    @property
    def residuals(self) -> dict[str, float | None] | None:
        """Root mean square and R² where the target is there; R² None where it is constant."""
        y = self.rows.y
        if y is None:
            return None
        square = float(np.mean((y - self.found.f) ** 2))
        variance = float(y.var())
        return {
            "root_mean_square": number(np.sqrt(square)),
            "r_squared": number(1.0 - square / variance) if variance > 0 else None,
        }


def csv_lines(predicted: Predicted) -> Iterator[str]:
    """The lines of the CSV, names first; numbers to the last digit, an empty cell where none is."""
    columns = predicted.columns
    yield ",".join(columns) + "\n"
    whole = [name == "outside" for name in columns]
    for start in range(0, len(predicted.found.f), _LINES):
        parts = [
            [_cell(v, w) for v in values[start : start + _LINES].tolist()]
            for values, w in zip(columns.values(), whole, strict=True)
        ]
        for cells in zip(*parts, strict=True):
            yield ",".join(cells) + "\n"


def _cell(value: float, whole: bool) -> str:
    if whole:
        return str(int(value))
    return repr(value) if np.isfinite(value) else ""


def document(predicted: Predicted) -> dict[str, Any]:
    """The JSON form; numbers that are not finite are null."""
    fit, found = predicted.fit, predicted.found
    gate = fit.model.gate
    return {
        "schema": SCHEMA,
        "version": __version__,
        "expert": fit.model.expert.canonical(),
        **asked_under(gate.name, gate.likelihood),
        "fit": {"file": fit.path, "target": fit.target, "inputs": list(fit.inputs)},
        "data": {"file": predicted.file, "rows": len(found.f)},
        "level": found.level,
        "sigma": number(found.sigma),
        "degrees_of_freedom": found.degrees,
        "presumes": found.presumes or None,
        "ranges": [list(pair) for pair in fit.ranges],
        "columns": {
            name: [number(v) for v in values] if name != "outside" else [bool(v) for v in values]
            for name, values in predicted.columns.items()
        },
        "residuals": predicted.residuals,
        "notes": [f"{label}: {text}" for label, text in notes(predicted)],
    }


def notes(predicted: Predicted) -> list[tuple[str, str]]:
    """(label, sentence) for what a reader must know before using the predictions."""
    fit, found = predicted.fit, predicted.found
    lines: list[tuple[str, str]] = []
    if fit.result.status is not Status.CONVERGED:
        lines.append(("fit", f"it ended '{fit.result.status.value}': {fit.result.status.remedy}."))
    if np.isfinite(found.error).any():
        text = (
            f"{100 * found.level:g} % for each row on its own, Student's t with {found.degrees} "
            f"degrees of freedom; they presume {found.presumes}."
        )
        lines.append(("intervals", text))
    if found.reason:
        lines.append(("no interval", f"{found.reason}."))
    lines += extrapolation(fit.inputs, found.outside, fit.ranges, "f")
    measured = predicted.residuals
    if measured is not None:
        share = measured["r_squared"]
        r = "" if share is None else f", R² {share:.4g}"
        rms = measured["root_mean_square"]
        lines.append(
            ("residuals", f"'{fit.target}' is there: root mean square {rms:.4g}{r} of these rows.")
        )
    elif predicted.rows.without:
        lines.append(("residuals", f"none: {predicted.rows.without}"))
    return lines


def extrapolation(
    inputs: Sequence[str],
    outside: NDArray[np.bool_] | None,
    ranges: Sequence[tuple[float, float]],
    what: str,
) -> list[tuple[str, str]]:
    """How many rows lie ``outside`` (n, d) the ranges of the data fitted; ``what`` is predicted."""
    if outside is None:
        text = "the file of the fit has no ranges of its data, so extrapolation is not seen."
        return [("range", text)]
    count = int(outside.any(axis=1).sum())
    if not count:
        return []
    where = [
        f"'{name}' {int(beyond.sum())} times (fitted on {low:.4g} to {high:.4g})"
        for name, beyond, (low, high) in zip(inputs, outside.T, ranges, strict=True)
        if beyond.any()
    ]
    text = (
        f"{count:,} of {len(outside):,} rows lie outside that of the data fitted: "
        f"{', '.join(where)}; {what} is extrapolated there, which no interval covers."
    )
    return [("range", text)]
