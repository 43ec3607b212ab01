"""Records of the second-order analysis -> plain JSON values."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

from identkit.degeneracy.records import CellQuantity
from identkit.rate import Rate


def document(record: Any) -> Any:
    """Dataclasses become objects, tuples lists, rationals, rates and quantities text."""
    if isinstance(record, Fraction | Rate | CellQuantity):
        return str(record)
    if is_dataclass(record):
        shown = (f for f in fields(record) if "evidence" not in f.metadata)
        return {f.name: document(getattr(record, f.name)) for f in shown}
    if isinstance(record, tuple):
        return [document(entry) for entry in record]
    return record
