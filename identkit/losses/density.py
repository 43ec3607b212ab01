"""The loss of fitted densities, with every gauge of the architecture divided out.

p(y|x) = ½ Σ_a ω_a N(y | h1(x, κ_a), τ_a) + ½ Σ_i w_i(x) N(y | h2(x, η_i), ν_i), or the routed half
alone; or of classes, then without variances. The template (theory section 6), over the cells of
true atoms, one fitted atom *exact* and several *over-specified*:

    Σ_j |Σ weight − weight_j*| + Σ_exact weight·(‖Δγ‖ + ‖Δ‖)
      + Σ_over weight·(‖Δγ‖^r + Σ_u |Δ_u|^r_u)

Δ is of (η, ν), γ are the gate's normal coordinates, r_u is the order at which direction u becomes
visible. Before any distance is taken

- the gate's gauges go, as in :mod:`identkit.losses.shifts`: common shifts of (β0, β1);
- η goes to the representative of its function (:mod:`identkit.losses.quotient`): scale orbits;
- where the true routed weights are constants, so that the factor of σ is a gauge, weights count as
  they are at x = 0, divided by their sum, and gates count by how far they are from constant ones;
- where besides both experts have functions in common, the halves are one mixing measure P + Q on
  pairs (function, variance): all that p shows of them (transport and exchange).

What is left: that k2 ≥ 2k2* atoms under a softmax type gate can be copies of all true atoms with a
common spreading of their gates, and periods, as 2π in c·sin(ax + b). ``caveats`` say which.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.gates import Gate, RegimeCode
from identkit.likelihoods import LEAST_SQUARES
from identkit.losses.joint import as_constants, both_halves, common_functions
from identkit.losses.quotient import Quotient, quotient
from identkit.losses.shifts import Formula, Gates, Parts, formula_of
from identkit.losses.template import (
    DEFAULT_ORDER,
    INPUT_FREE,
    HalfLoss,
    Orders,
    atoms_of,
    loss_of,
    plain_gates,
    powers_of,
)
from identkit.mixing import Array

_EQUAL = 1e-9
"""Relative: gates that differ by less are equal."""


@dataclass(frozen=True, eq=False)
class DensityLoss:
    """A loss of densities; see :func:`density_loss`.

    ``value`` (…,) is the sum of what ``halves`` have, by name: ``shared`` and ``routed``, or
    ``both`` where the halves were compared as one measure P + Q. ``divided_out`` says what was,
    ``caveats`` what was not or could not be.
    """

    value: Array
    halves: dict[str, HalfLoss]
    divided_out: tuple[str, ...]
    caveats: tuple[str, ...]


def density_loss(
    model: DensityModel,
    fitted: DensityMeasure,
    truth: DensityMeasure,
    *,
    regime: RegimeCode = None,
    orders: Orders = DEFAULT_ORDER,
    shared_orders: Orders = DEFAULT_ORDER,
) -> DensityLoss:
    """The gauge-free Voronoi loss of fitted densities, one or R, against one true one.

    ``orders`` are the powers of over-specified routed cells, ``shared_orders`` those of shared
    ones and of both halves where they are one measure over κ. By default all are 2: what a
    nondegenerate expert has. Those of a degenerate one are not guessed: ``identkit order`` finds
    them (:func:`identkit.losses.template.known_orders`), for a linear expert with its own variance
    ``{"b": lambda m: 2 * m, "variance": lambda m: m}``. ``regime`` is that of the gate, its first
    one by default; in a dense one ``truth`` is a population minimiser, and all powers are 1.

    Raises :class:`~identkit.errors.InputError` for measures that do not fit the model or each
    other, orders of what the expert does not have or below 1, a gate without a loss, and an expert
    whose function stays along curves on which no coordinates are known.
    """
    _check(model, fitted, truth)
    own = fitted if fitted.batch else DensityMeasure.stack([fitted])
    gate = model.routed.gate.under(LEAST_SQUARES)
    quotients = {"routed": _quotient(model, model.routed)}
    if model.shared is not None:
        quotients["shared"] = _quotient(model, model.shared)
    divided = [
        f"{half} {model_of.expert.label}: {text}"
        for half, model_of in (("routed", model.routed), ("shared", model.shared))
        if model_of is not None
        for text in quotients[half].texts
    ]
    caveats = []
    formula = _formula(gate, regime)
    gates = [formula.normal(own.routed, "fitted"), formula.normal(truth.routed, "truth")]
    constant = _constant(gate, gates[1])
    halves: dict[str, HalfLoss] = {}
    found = None
    if model.shared is not None:
        if constant:
            found = common_functions(model.shared.expert, model.routed.expert)
            if found is None:
                caveats.append(
                    "the true routed weights are constants, and no function was found that both "
                    "halves have, which is no proof: an exchange of the halves is not divided out"
                )
        if found is None:
            halves["shared"] = _shared(model.shared, own, truth, quotients["shared"], shared_orders)
    if found is not None:
        onto_shared = found.to_shared is not None
        halves["both"] = both_halves(
            model,
            own,
            truth,
            formula,
            gates,
            found,
            quotients["shared" if onto_shared else "routed"],
            shared_orders if onto_shared else orders,
        )
        divided.append("transport and exchange between the halves, whose gates are constants")
    else:
        if constant and gate.pinning is None:
            # as constants, whatever their regime: the factor of σ is a gauge of all of these
            pairs = [as_constants(formula, g) for g in gates]
            gates = [plain_gates(pairs[0][0], pairs[0][1])]
            gates.append(plain_gates(pairs[1][0], np.zeros_like(pairs[1][1])))
            formula = INPUT_FREE
            divided.append("a common factor of the routed weights, which are constants")
        divided += [g.text for g in gate.gauges if g.caveat is None]
        halves["routed"] = _routed(
            model.routed, own, truth, formula, gates, quotients["routed"], orders
        )
    if gate.pinning is not None and fitted.routed.atoms >= 2 * truth.routed.atoms:
        caveats.append(
            "k ≥ 2k* routed atoms: copies of all true atoms with a common spreading of their gates "
            "have the same density, and are not divided out"
        )
    sizes = None if "routed" not in halves or constant else halves["routed"].sizes
    if sizes is not None and not gate.chosen(regime).admits(True):
        sloped = (gates[1].gamma != 0).any(axis=-1)
        if (sizes[:, sloped] > 1).any():
            caveats.append(
                "a true atom with β1* ≠ 0 is fitted by several, outside of the sparse regime: a "
                "small loss does not mean that the densities agree"
            )
    if not fitted.batch:
        halves = {name: _single(half) for name, half in halves.items()}
    value = np.asarray(sum(half.value for half in halves.values()))
    return DensityLoss(value, halves, tuple(divided), tuple(caveats))


# -- halves ----------------------------------------------------------------------------------------


def _shared(
    model: Model,
    own: DensityMeasure,
    truth: DensityMeasure,
    found: Quotient,
    orders: Orders,
) -> HalfLoss:
    assert own.shared is not None
    assert truth.shared is not None
    sides = [
        atoms_of(found, own.shared.eta, own.shared_variances),
        atoms_of(found, truth.shared.eta, truth.shared_variances),
    ]
    gates = [plain_gates(own.shared.beta0), plain_gates(truth.shared.beta0)]
    powers = powers_of(model, orders, "shared_orders", own.shared_variances is not None)
    return loss_of(INPUT_FREE, gates, sides, powers)


def _routed(
    model: Model,
    own: DensityMeasure,
    truth: DensityMeasure,
    formula: Formula,
    gates: list[Gates],
    found: Quotient,
    orders: Orders,
) -> HalfLoss:
    sides = [
        atoms_of(found, own.routed.eta, own.variances),
        atoms_of(found, truth.routed.eta, truth.variances),
    ]
    powers = powers_of(model, orders, "orders", own.variances is not None)
    if formula.terms.fixed:
        if orders != DEFAULT_ORDER:
            raise InputError(
                "orders: the loss of this regime has first powers everywhere; leave them out."
            )
        powers = None
    return loss_of(formula, gates, sides, powers)


# -- gates -----------------------------------------------------------------------------------------


def _formula(gate: Gate, regime: RegimeCode) -> Formula:
    """The gate's own terms, those under least squares: what is compared does not depend on y."""
    if gate.name == INPUT_FREE.gate.name:
        return INPUT_FREE
    if gate.level is not None:
        raise InputError(
            f"gate {gate.name}: no loss of densities is known for gates of two levels; compare "
            "them by their divergence."
        )
    return formula_of(gate, gate.chosen(regime), None)


def _constant(gate: Gate, true: Gates) -> bool:
    """Whether the true routed weights do not depend on x (``Setting.constant``, in numbers)."""
    gamma = true.gamma
    if not gate.divides or gamma.shape[-1] == 0 or len(gamma) == 1:
        return gate.divides
    near = _EQUAL * (1 + np.abs(gamma).max())
    alike = bool((np.abs(gamma - gamma[0]) <= near).all())
    if gate.pinning is not None:
        return alike
    flat = bool((np.abs(gamma) <= near).all())
    return flat or (alike and bool((np.abs(true.offset - true.offset[0]) <= near).all()))


# -- experts ---------------------------------------------------------------------------------------


def _quotient(model: DensityModel, half: Model) -> Quotient:
    return quotient(model.likelihood.seen(half.expert))


# -- shapes ----------------------------------------------------------------------------------------


def _check(model: DensityModel, fitted: DensityMeasure, truth: DensityMeasure) -> None:
    if truth.batch:
        raise InputError(f"truth: it is a batch of {truth.batch[0]} measures; give one of them.")
    for measure in (fitted, truth):
        model.pack(measure)


def _single(half: HalfLoss) -> HalfLoss:
    return replace(
        half,
        value=half.value[0],
        parts=Parts(*(p[0] for p in half.parts)),
        cells=half.cells[0],
        sizes=half.sizes[0],
    )
