"""A density as the document ``identkit.density-fit/1``, and posterior probabilities as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from identkit import __version__
from identkit.density.components import Component, Number, components, floors
from identkit.density.reporting import ProvedHalf, gates_shared
from identkit.density.summary import DensityReport
from identkit.files import check_json_target, check_target, write_whole
from identkit.fit.box import number
from identkit.fit.prediction import data_ranges
from identkit.likelihoods import asked_under
from identkit.report.density_report import half_lines, notes, remedy
from identkit.report.fit_identifiability import identifiability_document
from identkit.report.json_text import dumps

SCHEMA = "identkit.density-fit/1"
_LINES = 4096
"""Rows of CSV made at a time."""


def document(report: DensityReport) -> dict[str, Any]:
    """The document: model, estimate and settings, and ``report`` with everything that is said."""
    fit, table = report.fit, report.table
    assert table is not None
    model, atoms = fit.model, fit.measure.atoms
    gate = model.routed.gate
    parts, common = components(report)
    c = report.covariance
    shared = {} if model.shared is None else {"shared": model.shared.expert.canonical()}
    change = {} if fit.units is None else {"standardised": fit.units.document()}
    return {
        "schema": SCHEMA,
        "version": __version__,
        "expert": model.routed.expert.canonical(),
        **asked_under(gate.name, model.likelihood.name),
        **shared,
        **change,
        "samples": fit.samples,
        "seconds": fit.seconds,
        "settings": fit.settings_document(),
        "fit": {
            "measure": fit.measure.to_dict(),
            "status": fit.status.value,
            "log_likelihood": number(fit.log_likelihood),
            "gradient_norm": number(fit.gradient_norm),
            "steps": int(fit.steps),
            "start": int(fit.start),
            "starts": [
                {"log_likelihood": number(v), "status": s.value}
                for v, s in zip(fit.log_likelihoods[0], fit.statuses[0], strict=True)
            ],
            "held": fit.scaled.held.tolist(),
            "fixed": report.fixed.tolist(),
        },
        "report": {
            "data": {
                "file": report.file,
                "target": report.target,
                "inputs": list(report.inputs),
                "ranges": [list(pair) for pair in data_ranges(table.x)],
                "weighted": table.weight is not None,
                "rows": report.rows,
                "classes": None if report.classes is None else list(report.classes),
            },
            "parameters": [
                {"half": half, "atom": atom, "name": name}
                for half, atom, name in model.numbers(atoms)
            ],
            "seed": report.seed,
            "seconds": report.seconds,
            "interrupted": report.interrupted,
            "remedy": remedy(report),
            "free": report.free,
            "bic": number(report.bic),
            "icl": number(report.icl),
            "reached": report.reached,
            "spiked": report.spiked,
            "floor": floors(report),
            "components": [_component(p) for p in parts],
            "common": [_number(n) for n in common],
            "covariance": _covariance(report),
            "shared_gates": [
                {"atoms": list(g.atoms), "constant": g.constant, "within": g.within}
                for g in gates_shared(fit, table.x, None if c is None else c.observed)
            ],
            "identifiability": _identifiability(report),
            "notes": [f"{label}: {text}" for label, text in notes(report)],
        },
    }


def _number(found: Number) -> dict[str, Any]:
    return {
        "name": found.name,
        "value": found.value,
        "standard_error": number(found.error),
        "sandwich_error": number(found.sandwich),
        "state": found.state,
    }


def _component(found: Component) -> dict[str, Any]:
    return {
        "half": found.half,
        "atom": found.atom,
        "numbers": [_number(n) for n in found.numbers],
        "weight": found.weight,
        "assigned": found.assigned,
        "effective": found.effective,
    }


def _covariance(report: DensityReport) -> dict[str, Any] | None:
    """Both matrices, in the order of ``parameters``; variances themselves, logarithms of ω."""
    c = report.covariance
    if c is None:
        return None
    return {
        "observed": [[number(v) for v in row] for row in c.observed],
        "sandwich": [[number(v) for v in row] for row in c.sandwich],
        "standard_errors": [number(v) for v in c.standard_errors],
        "sandwich_errors": [number(v) for v in c.sandwich_errors],
        "free": c.free,
        "rank": c.rank,
        "tolerance": c.tolerance,
        "smallest_eigenvalue": number(c.smallest),
        "assumption": c.assumes,
        "sandwich_assumption": c.sandwich_assumes,
        "undetermined": [
            {
                "parameters": [
                    {"atom": None if atom is None else str(atom), "parameter": name}
                    for atom, name in d.parameters
                ],
                "count": d.count,
                "along": None if d.along is None else list(d.along),
            }
            for d in c.undetermined
        ],
    }


def _identifiability(report: DensityReport) -> list[dict[str, Any]] | None:
    """What is proved of each half, the routed one first, with the gauges of the model."""
    if report.identifiability is None:
        return None
    return [
        {
            "half": ("routed", "shared")[i],
            "proved": identifiability_document(found, half_lines(report, i, found)),
            "gauges": [
                {"name": g.name, "half": g.half, "action": g.action, "where": g.where or None}
                for g in (found.gauges if isinstance(found, ProvedHalf) else ())
            ],
        }
        for i, found in enumerate(report.identifiability)
    ]


def save(report: DensityReport, path: str) -> None:
    """Write the document; the file appears whole or not at all. Raises InputError."""
    check_json_target(path)
    text = dumps(document(report)) + "\n"
    write_whole(path, lambda stream: stream.write(text.encode()), "--save")


def posterior_lines(report: DensityReport) -> Iterator[str]:
    """CSV: the row, counted from 0, P(atom | x, y) of each atom, and the most probable one."""
    parts, _ = components(report)
    labels = [p.label for p in parts]
    yield ",".join(["row", *(f"p_{label}" for label in labels), "atom"]) + "\n"
    posterior = report.posterior.T
    for start in range(0, len(posterior), _LINES):
        block = posterior[start : start + _LINES]
        for i, (row, best) in enumerate(zip(block.tolist(), block.argmax(axis=1), strict=True)):
            yield ",".join([str(start + i), *map(repr, row), labels[int(best)]]) + "\n"


def save_posterior(report: DensityReport, path: str) -> None:
    """Write the posterior probabilities of the rows as CSV. Raises InputError."""
    check_target(path, f"--save-posterior {path}")
    write_whole(
        path,
        lambda stream: stream.writelines(line.encode() for line in posterior_lines(report)),
        "--save-posterior",
    )
