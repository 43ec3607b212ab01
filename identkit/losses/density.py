"""The loss of fitted densities, with every gauge of the architecture divided out.

p(y|x) = ½ Σ_a ω_a N(y | h1(x, κ_a), τ_a) + ½ Σ_i w_i(x) N(y | h2(x, η_i), ν_i), or the routed half
alone; or of classes, then without variances. The template (theory section 12), over the cells of
true atoms, one fitted atom *exact* and several *over-specified*:

    Σ_j |Σ weight − weight_j*| + Σ_exact weight·(‖Δγ‖ + ‖Δ‖) + Σ_over weight·(‖Δγ‖^r + Σ_u |Δ_u|^r_u)

Δ is of (η, ν), γ are the gate's normal coordinates, r_u is the order at which direction u becomes
visible. Before any distance is taken

- the gate's gauges go, as in :mod:`identkit.losses.shifts`: common shifts of (β0, β1);
- η goes to the representative of its function (:mod:`identkit.losses.quotient`): scale orbits;
- where the true routed weights are constants, weights count as they are at x = 0, divided by their
  sum (the factor of σ goes), and slopes count from what they have in common;
- where besides both experts have functions in common, the halves are one mixing measure P + Q on
  pairs (function, variance): all that p shows of them (transport and exchange).

What is left: that k2 ≥ 2k2* atoms under a softmax type gate can be copies of all true atoms with a
common spreading of their gates, and periods, as 2π in c·sin(ax + b). ``caveats`` say which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import sympy as sp

from identkit.architecture.overlap import Overlap, overlap
from identkit.deadline import Deadline
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.errors import InputError
from identkit.experts import Expert, symbols
from identkit.fit.model import Model, numpy_functions
from identkit.gates import Gate, LossTerms, RegimeCode
from identkit.gates.input_free import GAUSSIAN as INPUT_FREE_GATES
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.softmax import weigh
from identkit.likelihoods import LEAST_SQUARES
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.losses.quotient import SECONDS, Quotient, quotient
from identkit.losses.shifts import Formula, Gates, Labels, Parts, Power, Powers, Problem, formula_of
from identkit.mixing import Array, MixingMeasure

VARIANCE = "variance"
GATE = "gate"
"""Names in ``orders`` besides those of the expert's parameters."""
DEFAULT_ORDER = 2.0
Orders = Power | Mapping[str, Power]
"""One power for all, or powers by the names of parameters, ``variance`` and ``gate``, 2 for those
that are not named. A power is a number or a function of the cell's size, as ``lambda m: 2 * m``."""
_EQUAL = 1e-9
"""Relative: true pairs (function, variance) that differ by less are one pair."""


@dataclass(frozen=True, eq=False)
class HalfLoss:
    """The loss of some atoms: ``value`` (…,) is the sum of ``parts``.

    ``cells`` (…, k) is the true atom of each fitted one, ``sizes`` (…, k*) count them. Where the
    halves are one measure, fitted atoms are the shared ones, then the routed ones, and true atoms
    the pairs (function, variance), each named in ``pairs`` by its true atoms in the same order.
    """

    value: Array
    parts: Parts
    cells: Labels
    sizes: Labels
    pairs: tuple[tuple[int, ...], ...] = ()


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
    nondegenerate expert has. Those of a degenerate one are not guessed; ``identkit order`` finds
    them, for a linear expert with its own variance ``{"b": lambda m: 2 * m, "variance": lambda m:
    m}``. ``regime`` is that of the gate, its first one by default; in a dense one ``truth`` is a
    population minimiser, and all powers are 1.

    Raises :class:`~identkit.errors.InputError` for measures that do not fit the model or each
    other, orders of what the expert does not have or below 1, a gate without a loss, and an expert
    whose function stays along curves on which no coordinates are known.
    """
    _check(model, fitted, truth)
    own = fitted if fitted.batch else _lifted(fitted)
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
        halves["both"] = _both(
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
            formula, gates = _as_constants(formula, gates)
            divided.append("a common factor of the routed weights, which are constants")
        elif gate.pinning is not None:
            divided.append(gate.pinning.text)
        halves["routed"] = _routed(model.routed, own, truth, formula, gates, quotients, orders)
    if gate.pinning is not None and fitted.routed.atoms >= 2 * truth.routed.atoms:
        caveats.append(
            "k ≥ 2k* routed atoms: copies of all true atoms with a common spreading of their gates "
            "have the same density, and are not divided out"
        )
    if not fitted.batch:
        halves = {name: _single(half) for name, half in halves.items()}
    value = np.asarray(sum(half.value for half in halves.values()))
    return DensityLoss(value, halves, tuple(divided), tuple(caveats))


@lru_cache(maxsize=64)
def common_functions(shared: Expert, routed: Expert) -> Overlap | None:
    """The functions that both halves have, by proof (:mod:`identkit.architecture.overlap`)."""
    return overlap(shared, routed, Deadline(SECONDS))


# -- halves ----------------------------------------------------------------------------------------


def _shared(
    model: Model,
    own: DensityMeasure,
    truth: DensityMeasure,
    found: Quotient,
    orders: Orders,
) -> HalfLoss:
    assert own.shared is not None and truth.shared is not None
    sides = [
        _atoms(found, own.shared.eta, own.shared_variances),
        _atoms(found, truth.shared.eta, truth.shared_variances),
    ]
    gates = [_plain(own.shared.beta0, 0), _plain(truth.shared.beta0, 0)]
    powers = _powers(model, orders, "shared_orders", own.shared_variances is not None)
    return _loss(INPUT_FREE, gates, sides, powers)


def _routed(
    model: Model,
    own: DensityMeasure,
    truth: DensityMeasure,
    formula: Formula,
    gates: list[Gates],
    quotients: Mapping[str, Quotient],
    orders: Orders,
) -> HalfLoss:
    found = quotients["routed"]
    sides = [
        _atoms(found, own.routed.eta, own.variances),
        _atoms(found, truth.routed.eta, truth.variances),
    ]
    powers = _powers(model, orders, "orders", own.variances is not None)
    if formula.terms.fixed:
        if orders != DEFAULT_ORDER:
            raise InputError(
                "orders: the loss of this regime has first powers everywhere; leave them out."
            )
        powers = None
    return _loss(formula, gates, sides, powers)


def _both(
    model: DensityModel,
    own: DensityMeasure,
    truth: DensityMeasure,
    formula: Formula,
    gates: list[Gates],
    found: Overlap,
    space: Quotient,
    orders: Orders,
) -> HalfLoss:
    """The halves as one measure P + Q of total 2 on the pairs (function, variance)."""
    assert model.shared is not None
    onto_shared = found.to_shared is not None
    images = found.to_shared if onto_shared else found.to_routed
    assert images is not None
    source, target = (model.routed, model.shared) if onto_shared else (model.shared, model.routed)
    move = _compiled(tuple(source.parameters), tuple(images[p] for p in target.parameters))
    measures, sides = [], []
    for measure, gate in zip((own, truth), gates, strict=True):
        shared = measure.shared
        assert shared is not None
        routed = np.log(formula.terms.weigh(gate.offset))
        routed = routed - np.logaddexp.reduce(routed, axis=-1)[..., None]
        omega = shared.beta0 - np.logaddexp.reduce(shared.beta0, axis=-1)[..., None]
        kappa = shared.eta if onto_shared else move(shared.eta)
        eta = move(measure.routed.eta) if onto_shared else measure.routed.eta
        slopes = _spread(formula, gate, np.exp(routed))
        gamma = np.concatenate([np.zeros((*kappa.shape[:-1], slopes.shape[-1])), slopes], axis=-2)
        offset = np.concatenate([omega, routed], axis=-1)
        variances = None
        if measure.variances is not None and measure.shared_variances is not None:
            variances = np.concatenate([measure.shared_variances, measure.variances], axis=-1)
        measures.append(Gates(offset, gamma, 0, ()))
        sides.append(_atoms(space, np.concatenate([kappa, eta], axis=-2), variances))
    measures[1], sides[1], pairs = _merged(measures[1], sides[1])
    name = "shared_orders" if onto_shared else "orders"
    powers = _powers(target, orders, name, own.variances is not None)
    return replace(_loss(BOTH, measures, sides, powers), pairs=pairs)


def _merged(
    gates: Gates, side: tuple[Array, Array | None]
) -> tuple[Gates, tuple[Array, Array | None], tuple[tuple[int, ...], ...]]:
    """True atoms that are one pair (function, variance) as one, with the sum of their weights."""
    eta, images = side
    every = [eta] if images is None else [eta, *images]
    near = _EQUAL * (1 + np.abs(eta).max())
    pairs: list[list[int]] = []
    for i in range(len(eta)):
        for pair in pairs:
            if min(np.abs(own[i] - eta[pair[0]]).max() for own in every) <= near:
                pair.append(i)
                break
        else:
            pairs.append([i])
    offset = np.array([np.logaddexp.reduce(gates.offset[pair]) for pair in pairs])
    first = [pair[0] for pair in pairs]
    still = Gates(offset, np.zeros((len(pairs), gates.gamma.shape[-1])), 0, ())
    merged = (eta[first], None if images is None else images[:, first])
    return still, merged, tuple(map(tuple, pairs))


def _loss(
    formula: Formula,
    gates: list[Gates],
    sides: list[tuple[Array, Array | None]],
    powers: Powers | None,
) -> HalfLoss:
    problem = Problem.between(
        formula, gates[0], sides[0][0], gates[1], sides[1][0], sides[0][1], powers
    )
    _, at = problem.align(problem.prepared())
    cells = np.empty_like(at.cells)
    np.put_along_axis(cells, problem.order, problem.true_order[at.cells], axis=-1)
    sizes = np.empty_like(at.sizes)
    sizes[:, problem.true_order] = at.sizes
    return HalfLoss(np.asarray(sum(at.parts)), at.parts, cells, sizes)


# -- gates -----------------------------------------------------------------------------------------


def _no_gauge(values: Mapping[str, Array], shift: Array, other: Mapping[str, Array]) -> dict:
    return {}


def _weights_alone(values: Mapping[str, Array]) -> Normal:
    offset = values["beta0"]
    return Normal(offset, (), (np.zeros((*offset.shape, 0)),))


def _twice(offset: Array) -> Array:
    return 2 * weigh(offset)


_CONSTANT = LossTerms(
    weigh,
    share=True,
    compared="all",
    beta0="none",
    coordinates=Coordinates("weights", _weights_alone, _no_gauge),
)


INPUT_FREE = Formula(INPUT_FREE_GATES[0], _CONSTANT, DEFAULT_ORDER)
"""The template for weights that are constants and add up to 1."""
BOTH = replace(INPUT_FREE, terms=replace(_CONSTANT, weigh=_twice))
"""The same for P + Q."""


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


def _plain(offset: Array, slopes: int) -> Gates:
    return Gates(offset, np.zeros((*offset.shape, slopes)), 0, ())


def _constant(gate: Gate, true: Gates) -> bool:
    """Whether the true routed weights do not depend on x (``Setting.constant`` in numbers).

    Raises InputError where they do not because all gates are equal with β1 ≠ 0, and the gate has no
    common shift: of that no loss is known, and with β1 = 0 the truth is the same density.
    """
    gamma = true.gamma
    if gamma.shape[-1] == 0 or len(gamma) == 1:
        return gate.divides
    if not gate.divides:
        return False
    near = _EQUAL * (1 + np.abs(gamma).max())
    alike = bool((np.abs(gamma - gamma[0]) <= near).all())
    if gate.pinning is not None or not alike:
        return alike
    if (np.abs(gamma) <= near).all():
        return True
    if (np.abs(true.offset - true.offset[0]) <= near).all():
        raise InputError(
            "truth: all routed gates are equal, so that the weights are constants; write it with "
            "β1 = 0, which is the same density."
        )
    return False


def _spread(formula: Formula, gate: Gates, weight: Array) -> Array:
    """Slopes (…, k, m) counted from what all have in common where that is a gauge."""
    if formula.gate.pinning is None or gate.gamma.shape[-1] == 0:
        return gate.gamma
    return gate.gamma - (weight[..., None] * gate.gamma).sum(axis=-2, keepdims=True)


def _as_constants(formula: Formula, gates: list[Gates]) -> tuple[Formula, list[Gates]]:
    """Of gates without a common shift: weights at x = 0 over their sum, and β1 beside them."""
    made = []
    for gate in gates:
        weight = formula.terms.weigh(gate.offset)
        made.append(Gates(np.log(weight), gate.gamma, 0, ()))
    return INPUT_FREE, made


# -- experts ---------------------------------------------------------------------------------------


def _quotient(model: DensityModel, half: Model) -> Quotient:
    return quotient(resolve_likelihood(model.likelihood).seen(half.expert))


def _atoms(found: Quotient, eta: Array, variances: Array | None) -> tuple[Array, Array | None]:
    """(η, ν) with η at its representative, (…, k, q + 1), and at those of other signs."""

    def beside(values: Array) -> Array:
        if variances is None:
            return values
        column = np.broadcast_to(variances[..., None], (*values.shape[:-1], 1))
        return np.concatenate([values, column], axis=-1)

    images = found.images(eta)
    return beside(found.representatives(eta)), None if images is None else beside(images)


def _compiled(names: tuple[str, ...], images: tuple[sp.Expr, ...]):  # noqa: ANN202
    call = sp.lambdify(symbols(names), list(images), modules=[numpy_functions(), "numpy"])

    def evaluate(eta: Array) -> Array:
        values = call(*np.moveaxis(eta, -1, 0))
        return np.stack([np.broadcast_to(v, eta.shape[:-1]) for v in values], axis=-1)

    return evaluate


def _powers(model: Model, orders: Orders, option: str, variance: bool) -> Powers | None:
    """None for one number: then ‖Δ‖ has it, not each number by itself."""
    names = (*model.parameters, *((VARIANCE,) if variance else ()))
    given = orders if isinstance(orders, Mapping) else dict.fromkeys((*names, GATE), orders)
    stray = set(given) - {*names, GATE}
    if stray:
        raise InputError(
            f"{option}: {', '.join(sorted(stray))} is none of {', '.join((*names, GATE))}."
        )
    for name, power in given.items():
        for size in (2, 3):
            value = power(size) if callable(power) else power
            if not 1 <= value < np.inf:
                raise InputError(f"{option}: {name} has {value}; give a number of at least 1.")
    return Powers(given.get(GATE, DEFAULT_ORDER), tuple(given.get(n, DEFAULT_ORDER) for n in names))


# -- shapes ----------------------------------------------------------------------------------------


def _check(model: DensityModel, fitted: DensityMeasure, truth: DensityMeasure) -> None:
    if truth.batch:
        raise InputError(f"truth: it is a batch of {truth.batch[0]} measures; give one of them.")
    for name, measure in (("fitted", fitted), ("truth", truth)):
        model.routed.pack(measure.routed)
        if (measure.shared is None) != (model.shared is None):
            said = "has no shared atoms" if measure.shared is None else "has shared atoms"
            raise InputError(f"{name}: it {said}, unlike the model; give measures of this model.")
        if model.shared is not None and measure.shared is not None:
            model.shared.pack(measure.shared)
    kinds = [[m.variances is None, m.shared_variances is None] for m in (fitted, truth)]
    if kinds[0] != kinds[1]:
        raise InputError("fitted: one measure has variances, the other not; give both alike.")


def _lifted(measure: DensityMeasure) -> DensityMeasure:
    """One measure as a batch of one."""
    shared = measure.shared
    return DensityMeasure(
        MixingMeasure.stack([measure.routed]),
        None if measure.variances is None else measure.variances[None],
        None if shared is None else MixingMeasure.stack([shared]),
        None if measure.shared_variances is None else measure.shared_variances[None],
    )


def _single(half: HalfLoss) -> HalfLoss:
    return replace(
        half,
        value=half.value[0],
        parts=Parts(*(p[0] for p in half.parts)),
        cells=half.cells[0],
        sizes=half.sizes[0],
    )
