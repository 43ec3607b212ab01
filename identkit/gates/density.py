"""What is left of an expert under the Gaussian likelihood once the gate is pinned, in words.

For the gates' files, which say why theirs is: theory section 8, proofs_check/test_gaussian_blocks.
"""

from __future__ import annotations

from identkit.gates.regime import Caveat, Expansion, WeightRule
from identkit.likelihoods.gaussian import name_of
from identkit.vocabulary import Variance

BLOCKS = (
    "`p_G − p_G*` is, at almost every x, a combination of `N, N′, N″, N‴, N⁗` of each true atom, "
    "which are independent functions of y where the pairs `(h, ν)` of true atoms are distinct."
)
_LEFT = {
    Variance.FREE: "What remains on the blocks `N′` and `N″` is `m_η·∇h + ½ M_ηη:∇²h = 0` and "
    "`½ m_ν + ½ ∇hᵀM_ηη∇h = 0`, for each true atom by itself; `N‴` and `N⁗` pin `M_ην` and `M_νν`.",
    Variance.COMMON: "A true atom fitted by one atom pins the common variance; then `½ ∇hᵀM_ηη∇h = "
    "0` remains on the block `N″` of the others, hence `M_ηη ∇h(x) = 0` for every x: only "
    "directions `v` with `v·∇h = 0` are left.",
    Variance.KNOWN: "With the variance known, `½ ∇hᵀM_ηη∇h = 0` remains on the block `N″`, hence "
    "`M_ηη ∇h(x) = 0` for every x: only directions `v` with `v·∇h = 0` are left.",
}
_CLAIMS = {
    Variance.FREE: "gaussian-softmax-criterion",
    Variance.COMMON: "gaussian-common-variance-pinned",
    Variance.KNOWN: "gaussian-known-variance-redundancy",
}
_ALWAYS = ("gaussian-derivatives-independent", "gaussian-second-order-blocks")

REMAINS = tuple(
    (name_of(variance), said, (*_ALWAYS, _CLAIMS[variance])) for variance, said in _LEFT.items()
)
"""The likelihood, what remains of the expert under it, and the claims that this rests on."""


def expansion(rule: WeightRule, likelihood: str, how: str, gate: str, said: str) -> Expansion:
    """The second order of p_G − p_G*: blocks once ``how`` is done, and what N says of the gate.

    ``said`` is what remains of the expert (:data:`REMAINS`).
    """
    return Expansion(
        rule,
        order=2,
        gates=False,
        likelihood=likelihood,
        argument=f"{how}, {BLOCKS} On `N` {gate} {said}",
    )


VARIANCES = Caveat("for variances in a compact subset of (0, ∞)", lambda situation: True)
WEIGHTS = Caveat("for fitted weights bounded away from 0", lambda situation: True)
