"""A choice of k of a density as the document ``identkit.density-choice/1``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from identkit import __version__
from identkit.density.choosing import PRESUMES, DensityCandidate, DensityChoice
from identkit.fit.box import number
from identkit.likelihoods import asked_under
from identkit.report.choice_document import cv_document, dendrogram_document, named_document
from identkit.report.density_choice_report import notes

SCHEMA = "identkit.density-choice/1"


def document(
    choice: DensityChoice,
    *,
    file: str,
    target: str,
    inputs: Sequence[str],
    chosen_by: str,
    fit: dict[str, Any] | None,
) -> dict[str, Any]:
    """The document; ``fit`` is that of the fit of the k that ``chosen_by`` names, if there is one.

    Numbers that are not finite are null.
    """
    model = choice.model
    shared = {} if model.shared is None else {"shared": model.shared.expert.canonical()}
    return {
        "schema": SCHEMA,
        "version": __version__,
        "expert": model.routed.expert.canonical(),
        **asked_under(model.routed.gate.name, model.likelihood.name),
        **shared,
        "data": {"file": file, "target": target, "inputs": list(inputs)},
        "rows": choice.rows,
        "seed": choice.seed,
        "folds": choice.folds,
        "asked": list(choice.asked),
        "ended": choice.ended or None,
        "interrupted": choice.interrupted,
        "candidates": [_candidate(choice, c) for c in choice.candidates],
        "dendrogram": dendrogram_document(choice),
        "named": named_document(choice, PRESUMES),
        "chosen_by": chosen_by,
        "chosen": choice.of(chosen_by).k,
        "notes": [f"{label}: {text}" for label, text in notes(choice)],
        "fit": fit,
    }


def _candidate(choice: DensityChoice, c: DensityCandidate) -> dict[str, Any]:
    return {
        "k": c.k,
        "status": c.fit.status.value,
        "free": c.free,
        "log_likelihood": number(c.log_likelihood),
        "entropy": number(c.entropy),
        "bic": number(c.bic),
        "icl": number(c.icl),
        "cv": cv_document(c.cv),
        "height": choice.heights.get(c.k),
        "measure": c.fit.measure.to_dict(),
    }
