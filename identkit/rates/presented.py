"""``identkit.rates.observe``: what rows show, with its JSON form."""

from __future__ import annotations

from typing import Any

from identkit.presented import presenting
from identkit.rates import result
from identkit.report import rates_report


class RateResult(result.RateResult):
    """The answer of a rate experiment; see :func:`observe`."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema ``identkit.rates/1``; numbers that are not finite are null."""
        return rates_report.document(self)


observe = presenting(RateResult, result.observe)
