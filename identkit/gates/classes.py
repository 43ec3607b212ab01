"""What is known of a gate under the categorical likelihood: what least squares knows of it.

Where weights sum to 1, the probabilities of all classes but the last are the regression function of
a mixture of the experts p, and distances in the two are of one order. So what a gate registers for
least squares, for experts of several outputs, holds with p in the place of h (theory section 8,
proofs_check/test_categorical).
"""

from __future__ import annotations

import re
from dataclasses import replace

from identkit.gates.gate import Gate
from identkit.gates.regime import Caveat, Regime
from identkit.likelihoods.categorical import NAME

REDUCTION = (
    "Weights sum to 1, so that `p_G − p_G*` is 0 where the probabilities of all classes but the "
    "last agree: these are a regression function whose experts are `p`."
)
CLAIMS = ("categorical-least-squares", "categorical-criterion")


def of_probabilities(text: str) -> str:
    """A sentence about f and h as one about p, which takes the place of both."""
    return re.sub(r"\b[fh](?=\b|_G)", "p", text)


def under_classes(gate: Gate) -> Gate:
    """The gate, which divides by the sum, with its theorems of least squares read for p."""
    return replace(
        gate,
        likelihood=NAME,
        source="arXiv 2310.14188 (softmax); identkit",
        regimes=tuple(map(_regime, gate.regimes)),
    )


def _regime(known: Regime) -> Regime:
    assert known.expansion is not None
    found = known.expansion
    return replace(
        known,
        also=tuple((name, _caveat(c)) for name, c in known.also),
        loss=None,
        expansion=replace(
            found,
            likelihood=NAME,
            argument=f"{REDUCTION} {of_probabilities(found.argument)}",
        ),
        caveats=tuple(map(_caveat, known.caveats)),
        rests_on=(*known.rests_on, *CLAIMS),
    )


def _caveat(known: Caveat) -> Caveat:
    return replace(known, text=of_probabilities(known.text))
