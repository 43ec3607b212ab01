"""A choice of k as the document ``identkit.fit-choice/1``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from identkit import __version__
from identkit.choice.choosing import Candidate, Choice
from identkit.choice.comparison import Comparison
from identkit.choice.criteria import PRESUMES, CrossValidation, plain
from identkit.fit.box import number
from identkit.likelihoods import asked_under
from identkit.report.choice_report import notes

SCHEMA = "identkit.fit-choice/1"


def document(
    choice: Choice,
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
    gate = choice.model.gate
    return {
        "schema": SCHEMA,
        "version": __version__,
        "expert": choice.model.expert.canonical(),
        **asked_under(gate.name, gate.likelihood),
        "data": {"file": file, "target": target, "inputs": list(inputs)},
        "samples": choice.samples,
        "seed": choice.seed,
        "folds": choice.folds,
        "asked": list(choice.asked),
        "ended": choice.ended or None,
        "interrupted": choice.interrupted,
        "candidates": [_candidate(choice, c) for c in choice.candidates],
        "dendrogram": dendrogram_document(choice),
        "named": named_document(choice, PRESUMES),
        "least_error": choice.least_error,
        "published": choice.published,
        "agreed": choice.agreed,
        "chosen_by": chosen_by,
        "chosen": choice.of(chosen_by).k,
        "notes": [f"{label}: {text}" for label, text in notes(choice)],
        "fit": fit,
    }


def _candidate(choice: Choice, c: Candidate) -> dict[str, Any]:
    return {
        "k": c.k,
        "status": c.result.status.value,
        "cost": number(c.result.cost),
        "free": c.free,
        "r_squared": c.r_squared,
        "log_likelihood": number(c.log_likelihood),
        "bic": number(c.bic),
        "icl": plain(c.icl),
        "cv": cv_document(c.cv),
        "height": plain(choice.heights.get(c.k)),
        "measure": c.result.measure.to_dict(),
    }


def cv_document(cv: CrossValidation | None) -> dict[str, Any] | None:
    """Errors on rows that were held out, by folds."""
    if cv is None:
        return None
    return {
        "mean": cv.mean,
        "standard_error": cv.standard_error,
        "errors": list(cv.errors),
        "sizes": list(cv.sizes),
    }


def named_document(choice: Comparison[Any], presumes: Mapping[str, str]) -> list[dict[str, Any]]:
    """What each criterion names, and presumes."""
    return [
        {
            "criterion": n.criterion,
            "k": n.k,
            "reason": n.reason or None,
            "presumes": presumes[n.criterion],
        }
        for n in choice.named
    ]


def dendrogram_document(choice: Comparison[Any]) -> dict[str, Any] | None:
    """The dendrogram and its levels."""
    tree = choice.dendrogram
    if tree is None:
        return None
    return {
        "k": choice.merged_from,
        "masses": list(tree.masses),
        "merges": [
            {"left": m.left, "right": m.right, "height": m.height, "atoms": list(m.atoms)}
            for m in tree.merges
        ],
        "levels": [
            {
                "k": level.k,
                "height": level.height,
                "part": level.part,
                "merged": number(level.merged),
                "published": number(level.published),
                "dsc": plain(level.dsc),
            }
            for level in choice.levels
        ],
    }
