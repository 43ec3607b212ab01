"""The ``identkit.layer/1`` document: one layer, or two that are compared."""

from __future__ import annotations

from typing import Any

from identkit.layers.findings import Findings
from identkit.report.layer_report import compared
from identkit.report.layer_words import expert_text, router_text

SCHEMA = "identkit.layer/1"


def layer_document(*found: Findings) -> dict[str, Any]:
    """What ``identkit layer --json`` prints; ``differences`` where two are compared."""
    document: dict[str, Any] = {"schema": SCHEMA, "layers": [_one(each) for each in found]}
    if len(found) == 2:
        document["differences"] = [
            {"what": what, "first": first, "second": second}
            for what, first, second in compared(*found)
            if first != second
        ]
    return document


def _one(found: Findings) -> dict[str, Any]:
    document = found.to_dict()
    made = found.architecture
    document["architecture"]["router"]["text"] = router_text(made.router)
    document["architecture"]["expert"]["text"] = expert_text(made.expert)
    return {"identkit": document.pop("version"), **document}
