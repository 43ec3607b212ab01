"""The Gaussian likelihood: atoms are N(y | h(x, η), ν), what is estimated is the density p(y|x).

With h and ν the mean and the variance, ∂N/∂ν = ½ ∂²N/∂h², and at distinct (h, ν) the derivatives
N, N′, N″, N‴, N⁗ of the atoms with respect to the mean are independent functions of y. So an
expansion vanishes only if the coefficient of each of them does, atom by atom (theory section 8):

- variance ``free``, one for each atom: m_η·∇h + ½ M_ηη:∇²h = 0 on N′ and ½ m_ν + ½ ∇hᵀM_ηη∇h = 0
  on N″. What multiplies N‴ and N⁗ pins M_ην and M_νν.
- ``known``: the same without m_ν. Since M_ηη ⪰ 0, M_ηη ∇h(x) = 0 for every x: only a direction v
  with v·∇h = 0 is left.
- ``common`` to all atoms and estimated: an atom that is fitted by one atom alone pins it, and then
  it is as if it were known.

Source: arXiv 2505.10860; theory section 8; proofs_check/test_gaussian_blocks.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sympy as sp

from identkit.likelihoods.contract import Likelihood
from identkit.likelihoods.density import LogDensity
from identkit.vocabulary import Through, Variance

if TYPE_CHECKING:
    import numpy as np

FAMILY = "gaussian"
_SAID = {
    Variance.FREE: "one variance for each atom",
    Variance.COMMON: "one variance for all atoms, estimated",
    Variance.KNOWN: "variances known",
}

_VARIANCE = {Variance.FREE: "ν_i", Variance.COMMON: "ν", Variance.KNOWN: "ν_i"}


def _logarithm(h: tuple[Any, ...], y: tuple[Any, ...], spread: Any) -> Any:
    square = (y[0] - h[0]) ** 2
    return -(square * sp.exp(-spread) + spread + sp.log(2 * sp.pi)) / 2


def _draw(rng: np.random.Generator, h: Any, nu: Any) -> Any:
    return h[0] + nu**0.5 * rng.standard_normal(h.shape[-1])


def _information(h: tuple[Any, ...], spread: Any) -> tuple[tuple[Any, ...], ...]:
    return (sp.exp(-spread), sp.Integer(0)), (sp.Integer(0), sp.Rational(1, 2))


def _columns(y: Any, m: int) -> Any:
    return y[..., None]


def _mean(h: Any) -> Any:
    return h[..., 0, :]


DENSITY = LogDensity(
    formula=_logarithm, information=_information, columns=_columns, draw=_draw, mean=_mean
)
"""log N(y | h, ν)."""


def name_of(variance: Variance) -> str:
    """``gaussian`` where each atom has its own variance, else with the variant behind it."""
    return FAMILY if variance is Variance.FREE else f"{FAMILY}-{variance}"


LIKELIHOODS = tuple(
    Likelihood(
        name=name_of(variance),
        title=f"the Gaussian likelihood ({said})",
        estimates=f"the conditional density p(y|x), {said}",
        source="arXiv 2505.10860",
        through=Through.DENSITY if variance is Variance.FREE else Through.MEAN,
        model=f"p_G(y|x) = Σ_i weight_i(x)·N(y | h(x, η_i), {_VARIANCE[variance]})",
        letter="p",
        distance="the Hellinger distance of p_G and p_G*",
        estimated="p is estimated at n^-1/2 up to logarithms",
        family=FAMILY,
        variance=variance,
        density=DENSITY,
    )
    for variance, said in _SAID.items()
)
