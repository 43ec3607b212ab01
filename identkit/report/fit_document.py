"""A fit as the document ``identkit.fit/1``, ``/2`` or ``/3``."""

from __future__ import annotations

from typing import Any

from identkit.files import check_json_target, write_whole
from identkit.fit.box import number
from identkit.fit.summary import FitReport
from identkit.report.fit_identifiability import identifiability_document
from identkit.report.fit_report import REMEDIES, identifiability_lines, notes, widened
from identkit.report.json_text import dumps


def document(report: FitReport) -> dict[str, Any]:
    """The document: that of the result, and ``report`` with everything else."""
    model, plain = report.result.model, report.result.to_dict()
    third = plain["schema"] == "identkit.fit/3"
    more = {"ranges": [list(r) for r in report.ranges], "weighted": report.weighted}
    inner = None if report.covariance is None else report.covariance.inner
    if inner is not None and inner.information is not None:
        plain["standardised"] |= {
            "information": inner.information.tolist(),
            "counted": inner.degrees + inner.rank,
        }
    return {
        **plain,
        "report": {
            "data": {
                "file": report.file,
                "target": report.target,
                "inputs": list(report.inputs),
                **(more if third else {}),
            },
            "parameters": list(model.names),
            "seed": report.seed,
            "seconds": report.seconds,
            "interrupted": report.interrupted,
            "remedy": REMEDIES.get(report.result.status, report.result.status.remedy),
            "r_squared": report.r_squared,
            "reached": report.reached,
            "rivals": report.rivals,
            "fixed": report.fixed.tolist(),
            "bounds": [
                {
                    "atom": b.atom, "parameter": b.parameter, "side": b.side, "value": b.value,
                    **({"standard": b.standard} if third else {}),
                }
                for b in report.bounds
            ],
            "widen": widened(report),
            "covariance": _covariance_document(report),
            "shared_gates": [
                {"atoms": list(g.atoms), "constant": g.constant, "within": g.within}
                for g in report.shared
            ],
            "identifiability": None
            if report.identifiability is None
            else identifiability_document(report.identifiability, identifiability_lines(report)),
            "notes": [f"{label}: {text}" for label, text in notes(report)],
        },
    }  # fmt: skip


def _covariance_document(report: FitReport) -> dict[str, Any] | None:
    c = report.covariance
    if c is None:
        return None
    return {
        "standard_errors": [number(v) for v in c.standard_errors],
        "matrix": [[number(v) for v in row] for row in c.matrix],
        "sigma": number(c.sigma),
        "free": c.free,
        "rank": c.rank,
        "tolerance": c.tolerance,
        "smallest_eigenvalue": number(c.smallest),
        "assumption": c.assumes,
        "wider_than_box": [{"atom": a, "parameter": name} for a, name in c.wide],
        "undetermined": [
            {
                "parameters": [{"atom": a, "parameter": name} for a, name in d.parameters],
                "count": d.count,
                "along": None if d.along is None else list(d.along),
            }
            for d in c.undetermined
        ],
    }


def save(report: FitReport, path: str) -> None:
    """Write the document; the file appears whole or not at all. Raises InputError."""
    check_json_target(path)
    text = dumps(document(report)) + "\n"
    write_whole(path, lambda stream: stream.write(text.encode()), "--save")
