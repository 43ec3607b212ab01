"""Gates: how the weight of an atom depends on x. One file per gate; the rest reads the objects."""

from __future__ import annotations

from identkit.gates import (
    cosine,
    dense_to_sparse,
    euclidean_sigmoid,
    gaussian_gate,
    hierarchical,
    input_free,
    laplace,
    monomial_quadratic,
    normalized_sigmoid,
    quadratic,
    sigmoid,
    sigmoid_temperature,
    softmax,
    top_k,
    top_k_biased,
    top_k_unnormalised,
)
from identkit.gates.gate import (
    FAMILIES,
    GATES,
    GROUP,
    Gate,
    GateFamily,
    Share,
    gates_under,
    known_gates,
    register,
    resolve,
    without_loss,
)
from identkit.gates.gauge import Gauge, common_shift, described
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
from identkit.gates.selection import Selection

__all__ = [
    "GATES",
    "GROUP",
    "ROUTED",
    "Caveat",
    "Expansion",
    "Gate",
    "GateFamily",
    "Gauge",
    "LossTerms",
    "Regime",
    "RegimeCode",
    "Selection",
    "Share",
    "Situation",
    "WeightRule",
    "common_shift",
    "described",
    "gates_under",
    "in_regime",
    "known_gates",
    "regime_title",
    "register",
    "resolve",
    "without_loss",
]

for _gate in (sigmoid.GATE, softmax.GATE, normalized_sigmoid.GATE):
    register(_gate)
for _gate in (*softmax.GAUSSIAN, *normalized_sigmoid.GAUSSIAN, *input_free.GAUSSIAN):
    register(_gate)
for _gate in (softmax.CATEGORICAL, normalized_sigmoid.CATEGORICAL, input_free.CATEGORICAL):
    register(_gate)
for _gate in (sigmoid_temperature.GATE, euclidean_sigmoid.GATE):
    register(_gate)
for _module in (quadratic, monomial_quadratic, gaussian_gate, laplace, cosine):
    for _gate in _module.GATES:
        register(_gate)
ROUTED = dense_to_sparse.NAME
"""The gate whose router is chosen."""
FAMILIES += [
    GateFamily(dense_to_sparse.BEGINS, dense_to_sparse.NAME, dense_to_sparse.gate),
    GateFamily(
        top_k_unnormalised.BEGINS, f"top-2{top_k_unnormalised.ENDING}", top_k_unnormalised.gate
    ),
    GateFamily(top_k_biased.BEGINS, f"top-2{top_k_biased.ENDING}", top_k_biased.gate),
    GateFamily(top_k.BEGINS, "top-2", top_k.gate),
]
for _gate in hierarchical.GATES:
    register(_gate)
