"""The errors whose decay a rate experiment measures, computed for each fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from identkit.checking import check
from identkit.degeneracy.records import Family
from identkit.experts import Expert
from identkit.gates import RegimeCode
from identkit.losses import identifiable_parts, regression_error, voronoi
from identkit.mixing import MixingMeasure
from identkit.rates.refits import nearest, within_box
from identkit.rates.setting import Setting
from identkit.results import CheckResult, ConditionResult

Array = NDArray[np.float64]

DEVIANCE = "deviance"
"""Key beside the errors: 2·(cost − cost of the truth)/noise². The least-squares estimate has it at
most 0 where f_G* is in the fitted class, so that a fit above 0 is caught in a local minimum."""


@dataclass(frozen=True)
class Quantity:
    """What a number is: ``label`` for a table, ``meaning`` in a sentence.

    ``bound``: it is an upper bound of what the theory speaks of, so that it refutes no rate by
    falling slower.
    """

    key: str
    label: str
    meaning: str

    @property
    def bound(self) -> bool:
        return self.key in ("minimiser", "minimiser-expert")


def quantity(key: str) -> Quantity:
    """The description of a key of :func:`errors`."""
    for known in (_FIXED, _OF_DENSITIES):
        if key in known:
            return Quantity(key, *known[key])
    kind, _, names = key.partition(":")
    if kind == "direction":
        text = f"({names.replace(',', ', ')})"
        return Quantity(
            key, f"direction of {text}",
            f"largest ‖v/‖v‖ − v*/‖v*‖‖ in over-specified cells, v = {text}",
        )  # fmt: skip
    if kind in _OF_HALVES:
        half, _, name = names.partition(":")
        label, meaning = _OF_HALVES[kind]
        return Quantity(key, label.format(half, name), meaning.format(half, name))
    names = names.replace(",", ", ")
    return Quantity(
        key, f"parameters {names}", f"largest error of ({names}) in over-specified cells"
    )


_FIXED = {
    "expert": ("expert, over-specified", "largest ‖Δη‖ in over-specified cells"),
    "gate": ("gate, over-specified", "largest ‖Δβ1‖ (of other scores ‖Δγ‖) in "
             "over-specified cells"),
    "exact": ("exact atoms", "largest error of an atom alone in its cell"),
    "voronoi": ("Voronoi loss", "Voronoi loss of the regime (theory section 6)"),
    "regression": ("regression function", "‖f_G − f_G*‖ in L2(μ)"),
    "family": ("distance to the exact families", "largest distance of an atom in an "
               "over-specified cell to the curves along which f does not change"),
    "aggregate": ("aggregate of the cell", "largest ‖Σ w_i h_i − w* h*‖ in L2(μ) over "
                  "over-specified cells"),
    "minimiser": ("nearest population minimiser", "Σ |Δβ0| + ‖Δβ1‖ + ‖Δη‖ to the nearest exact "
                  "refit of f_G* found (an upper bound of the distance to their set)"),
    "minimiser-expert": ("expert, to that minimiser", "largest ‖Δη‖ to the same minimiser"),
    "minimiser-regression": ("regression, to that minimiser", "‖f_G − f of that minimiser‖ in "
                             "L2(μ)"),
    "local-minimiser": ("local population minimiser", "Σ |Δβ0| + ‖Δβ1‖ + ‖Δη‖ to the local "
                        "minimiser of ‖f_G − f_G*‖ that descent from the estimate ends at (no "
                        "exact refit is known, nor whether this is the least minimum)"),
    "local-minimiser-expert": ("expert, to that minimiser", "largest ‖Δη‖ to the same minimiser"),
    "local-minimiser-regression": ("regression, to that minimiser", "‖f_G − f of that "
                                   "minimiser‖ in L2(μ)"),
}  # fmt: skip


_OF_DENSITIES = {
    "hellinger": ("Hellinger distance", "E_x of the Hellinger distance of p_G(·|x) and p_G*(·|x)"),
    "quotient": ("loss on the quotient", "the Voronoi loss with every gauge divided out"),
}
_OF_HALVES = {
    "over": ("{0} {1}, over-specified", "largest error of {1} in over-specified {0} cells"),
    "exact": ("{0} atoms alone", "largest error of a {0} atom alone in its cell"),
    "printed": ("{0} as printed", "the loss {0} of arXiv 2505.10860, which knows no gauge"),
}
"""Kind of error of a density -> label and meaning, with the half (or the loss) and a name."""


def errors(setting: Setting, fitted: MixingMeasure) -> dict[str, Array]:
    """Quantity -> its value for each of R fitted measures, (R,); NaN where it does not exist."""
    with np.errstate(all="ignore"):  # a logarithm of a fitted negative number is NaN, and counted
        return _errors(setting, fitted)


def _errors(setting: Setting, fitted: MixingMeasure) -> dict[str, Array]:
    model, truth, gate = setting.model, setting.truth, setting.model.gate
    values: dict[str, Array] = {}
    values["regression"] = regression_error(model, fitted, truth, setting.domain).value
    if not setting.shared and not gate.is_affine:
        return values
    if not setting.shared:
        premise = certified(setting).premise
        refits = within_box(setting, () if premise is None else premise.refits)
        near = nearest(setting, fitted, refits, values["regression"])
        name = "minimiser" if refits else "local-minimiser"
        return {
            **values,
            name: near.distance,
            f"{name}-expert": near.expert,
            f"{name}-regression": near.regression,
        }
    if not gate.has_loss:
        return values
    loss = voronoi(fitted, truth, gate, setting.regime)
    values |= {
        "expert": loss.eta_over,
        "gate": loss.gate_over,
        "exact": loss.exact_error,
        "voronoi": loss.value,
    }
    known = families(setting)
    if not known:
        return values
    parts = identifiable_parts(
        model, fitted, truth, known, gate, cells=loss.cells, domain=setting.domain
    )
    several = parts.sizes > 1

    def over(by_cell: Array) -> Array:
        """The largest over the over-specified cells."""
        inside = np.where(several & ~np.isnan(by_cell), by_cell, -np.inf).max(axis=-1)
        return np.where(np.isfinite(inside), inside, np.nan)

    values["family"] = over(parts.by_cell(parts.orbit))
    values["aggregate"] = over(parts.aggregate)
    for turned in parts.directions:
        name = f"direction:{','.join(turned.parameters)}"
        values[name] = over(parts.by_cell(turned.error))
    if parts.identified:
        name = f"identified:{','.join(parts.identified)}"
        values[name] = over(parts.by_cell(parts.identified_error))
    return values


def families(setting: Setting) -> tuple[Family, ...]:
    """The exact families of the expert under the gate, as proved by ``check``."""
    second = certified(setting).second_order
    return () if second is None else second.families


def certified(setting: Setting) -> ConditionResult:
    """What ``check`` proves of the setting's expert, gate and regime."""
    return checked(setting).results[0]


def checked(setting: Setting) -> CheckResult:
    """The check behind it, for its certificate; computed once a process."""
    model, (low, high) = setting.model, setting.domain
    return check_once(model.expert, model.gate.name, setting.regime, low, high)


@lru_cache(maxsize=64)
def check_once(
    expert: Expert, gate: str, regime: RegimeCode, low: float, high: float
) -> CheckResult:
    """The regime's own condition and what follows, on [low, high]^d."""
    return check(expert, gate, regime=regime, domain=(repr(low), repr(high)))
