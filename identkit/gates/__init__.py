"""Gates: how the weight of an atom depends on x. One file per gate; the rest reads the objects."""

from __future__ import annotations

from identkit.gates import normalized_sigmoid, sigmoid, softmax
from identkit.gates.gate import (
    GATES,
    GROUP,
    Gate,
    Share,
    known_gates,
    register,
    resolve,
    without_loss,
)
from identkit.gates.regime import (
    Caveat,
    Expansion,
    LossTerms,
    Regime,
    RegimeCode,
    Situation,
    WeightRule,
    in_regime,
    regime_title,
)

__all__ = [
    "GATES",
    "GROUP",
    "Caveat",
    "Expansion",
    "Gate",
    "LossTerms",
    "Regime",
    "RegimeCode",
    "Share",
    "Situation",
    "WeightRule",
    "in_regime",
    "known_gates",
    "regime_title",
    "register",
    "resolve",
    "without_loss",
]

for _gate in (
    sigmoid.GATE,
    softmax.GATE,
    normalized_sigmoid.GATE,
    *softmax.GAUSSIAN,
    *normalized_sigmoid.GAUSSIAN,
):
    register(_gate)
