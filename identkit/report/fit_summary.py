"""A fit on one page of plain text: statistics, and estimates with t intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from identkit.fit.inference import Covariance
from identkit.fit.prediction import LEVEL, check_level, quantile
from identkit.fit.result import FitResult
from identkit.fit.statistics import Statistics
from identkit.report.fit_report import direction

WIDTH = 80
MOST_ROWS = 40
"""Parameters listed: what stands around them takes the other lines of a page of 60."""
MOST_DIRECTIONS = 3
"""Directions not determined that are listed."""


def summary(
    result: FitResult,
    covariance: Covariance | None,
    found: Statistics,
    inputs: Sequence[str],
    target: str,
    level: float = LEVEL,
) -> str:
    """Statistics of the fit, then each parameter with standard error and t interval; at most 60
    lines of 80 columns. Raises InputError for a level that is none."""
    check_level(level)
    model, e = result.model, result.model.expert
    kind = f"{e.label}: " if e.name != "custom" else ""
    lines = _wrapped(
        f"{kind}h(x) = {e.text}, gate {model.gate.name}, k = {result.measure.atoms}", ""
    )
    lines += _wrapped(f"{target} on {', '.join(inputs)}", "")
    lines += [""]
    lines += _wrapped(f"{result.status.value}: {result.status.remedy}.", "status  ")
    d = f"{found.degrees} degrees of freedom" if found.degrees > 0 else "no degrees of freedom left"
    lines += _wrapped(
        f"n = {found.samples}, d = {found.dim}, {found.free} free parameters, {d}", "data    "
    )
    numbers = [
        ("residual s.d.", found.sigma), ("R²", found.r_squared), ("adjusted R²", found.adjusted),
        ("BIC", found.bic),
    ]  # fmt: skip
    lines += _wrapped(", ".join(f"{name} {_number(v)}" for name, v in numbers), "fit     ")
    shares = ", ".join(f"{s:.3g} of atom {i}" for i, s in enumerate(found.shares))
    lines += _wrapped(shares, "weights ")
    lines += ["", *_estimates(result, covariance, found, level), ""]
    return "\n".join([*lines, *_remarks(covariance)]).rstrip() + "\n"


def _estimates(
    result: FitResult, covariance: Covariance | None, found: Statistics, level: float
) -> list[str]:
    model, atoms = result.model, result.measure.atoms
    numbers = model.layout.numbers(model.parameters, atoms)
    fixed, vector = model.pinned(atoms), model.pack(result.measure)
    t = quantile(found.degrees, level)
    rows = [("atom", "parameter", "estimate", "s.e.", f"{100 * level:g} % interval")]
    before: int | None = -1
    for i, (atom, name) in enumerate(numbers[:MOST_ROWS]):
        error = np.nan if covariance is None else float(covariance.standard_errors[i])
        value = float(vector[i])
        if fixed[i]:
            said, interval = "", "fixed: a gauge"
        elif result.held[i]:
            said, interval = "", "at a bound"
        elif np.isfinite(error):
            low, high = value - t * error, value + t * error
            said, interval = f"{error:.3g}", f"[{low:.4g}, {high:.4g}]"
        else:
            none = covariance is None or not np.isfinite(covariance.sigma)
            said, interval = "", "" if none else "not determined"
        shown = "" if atom == before else "" if atom is None else str(atom)
        rows.append((shown, name, f"{value:.4g}", said, interval))
        before = atom
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for a, name, value, error, interval in rows:
        cells = (
            a.ljust(widths[0]), name.ljust(widths[1]), value.rjust(widths[2]),
            error.rjust(widths[3]), interval,
        )  # fmt: skip
        lines.append("  ".join(cells).rstrip())
    if len(numbers) > MOST_ROWS:
        lines.append(f"… and {len(numbers) - MOST_ROWS} more parameters")
    return lines


def _remarks(covariance: Covariance | None) -> list[str]:
    if covariance is None:
        return _wrapped("none: they are those of a minimum that has them.", "s.e.    ")
    if not np.isfinite(covariance.sigma):
        return _wrapped("none: no samples are left to estimate the errors with.", "s.e.    ")
    lines = _wrapped(f"presume {covariance.assumes}.", "s.e.    ")
    for found in covariance.undetermined[:MOST_DIRECTIONS]:
        lines += _wrapped(f"not determined by these data: {direction(found)}", "n.d.    ")[:3]
    more = len(covariance.undetermined) - MOST_DIRECTIONS
    return lines + ([f"        and {more} more"] if more > 0 else [])


def _wrapped(text: str, label: str) -> list[str]:
    """At most 4 lines of text behind a label."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=label, subsequent_indent=" " * len(label), max_lines=4,
        placeholder=" …",
    )  # fmt: skip


def _number(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "–"
