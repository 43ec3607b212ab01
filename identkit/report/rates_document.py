"""A rate experiment as the document ``identkit.rates/1``, or ``/2`` of other blocks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from identkit.rates.density_result import DensityResult
from identkit.rates.result import OF_BLOCKS, SCHEMA, RateResult
from identkit.rates.result import settings_of_analysis as analysis
from identkit.report import density_rates_report, statements
from identkit.report.json_results import published_document
from identkit.report.rates_parts import line_document, share_document, verdict_document


def document(result: RateResult | DensityResult) -> dict[str, Any]:
    """The document; ``identkit.rates/2`` differs in the truth and the box, by name of a block.

    That of a density is ``identkit.density-rates/1``.
    """
    if isinstance(result, DensityResult):
        return density_rates_report.document(result)
    c = result.condition
    return {
        "schema": SCHEMA if result.experiment.setting.truth.layout.standard else OF_BLOCKS,
        "experiment": result.experiment.document(),
        "complete": result.complete,
        "fits": result.fits,
        "analysis": analysis(),
        "certified": {
            "condition": c.condition,
            "level": c.level,
            "regime": c.regime,
            "verdict": c.verdict,
            "quantifier": c.quantifier,
            "nondegenerate": c.nondegenerate,
            "premise": None if c.premise is None else c.premise.verdict,
            "statement": statements.title(c),
            "published": published_document(c.published),
            "derived": None if c.rate is None else str(c.rate.derived.at_every_cell),
            "reasons": [] if c.rate is None else list(c.rate.reasons),
        },
        "conditioning": None if result.conditioning is None else result.conditioning.to_dict(),
        "verdicts": [verdict_document(v) for v in result.verdicts],
        "lines": [line_document(line) for line in result.lines],
        "shares": [share_document(s) for s in result.shares],
        "controls": [asdict(control) for control in result.controls],
        "warnings": list(result.warnings),
        "environments": list(result.environments),
    }
