"""``identkit.order``: how slow each coordinate of an over-specified atom is, as far as proved."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from identkit import __version__
from identkit.bounded import bounded
from identkit.deadline import Deadline
from identkit.degeneracy.conclude import Conclusions
from identkit.degeneracy.records import SecondOrder
from identkit.domain import DomainLike
from identkit.errors import InputError, OutOfTime, whole
from identkit.experts import Expert
from identkit.experts import resolve as resolve_expert
from identkit.gates import Gate, Regime, known_gates
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import Likelihood
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.orders.answer import Orders
from identkit.orders.finding import CELLS, MAX_ORDER, coordinates, directions, spans_of
from identkit.orders.records import Bound, DirectionOrder
from identkit.questions import checked_likelihood, in_classes, options_of
from identkit.results import CheckResult, ConditionResult, Options
from identkit.vocabulary import Verdict

HIGHEST = 12
"""The highest power of t up to which arcs are expanded."""
GENERIC = "for almost every parameter, weights of the fitted atoms bounded below, up to logarithms"


def order(
    expert: Expert | str,
    gate: Gate | str,
    *,
    likelihood: Likelihood | str | None = None,
    variance: str | None = None,
    classes: int | None = None,
    shape: str | None = None,
    dim: int = 2,
    cell: int = 2,
    max_order: int = MAX_ORDER,
    domain: DomainLike = (-3, 3),
    seed: int = 0,
    max_precision: int = 8192,
    time_limit: float = 60.0,
) -> Orders:
    """The order of every coordinate of a true atom that ``cell`` atoms are fitted to.

    Let T be what is estimated: f, or the density p(y|x). Over all arcs G(t), t ↓ 0, of ``cell``
    atoms of positive weights around the true atom, analytic in a root of t, the other true atoms
    fitted as well as they can be, the order of a coordinate u is the supremum of

        ord_t ‖T_G(t) − T_*‖ / ord_t max_i |u_i − u_*|.

    It is r where deviations of size t in u are compatible with a change of T by t^r and with no
    smaller one; since T is estimated at n^-1/2, u is estimated at n^(-1/(2r)) up to logarithms: 2
    is n^-1/4. Coordinates are those of η and, where each atom has a variance of its own, ν.

    Every bound is proved, never guessed. *At least*: an explicit arc, whose coefficients in t are
    shown to vanish identically by exact series (up to t^``max_order``), or invisible moments.
    *At most*: second order, or a theorem of ``proofs_check`` whose hypotheses are proved for this
    expert. The status is ``exact`` where both meet, ``interval`` where they do not, ``open`` where
    only the bound is known that every expert has; ``infinite`` where an exact family moves u.

    >>> found = order("linear", "softmax", likelihood="gaussian", dim=1, cell=2)
    >>> [(d.direction, d.order, d.rate) for d in found.directions]
    [('a', 2, 'n^-1/4'), ('b', 4, 'n^-1/8'), ('ν', 2, 'n^-1/4')]

    Raises :class:`~identkit.errors.InputError` for arguments that cannot be used,
    :class:`~identkit.errors.DomainError` for an expert that is singular on the domain. The work is
    limited in time and memory like that of :func:`identkit.check`.
    """
    expert, gate = resolve_expert(expert, shape, dim), resolve_gate(gate, likelihood, variance)
    expert = in_classes(expert, gate, classes)
    options = options_of(1, domain, expert.inputs, seed, max_precision, time_limit)
    return _ordered(expert, gate, cell, max_order, options)


def orders_of(result: CheckResult, cell: int) -> Orders:
    """The orders for the expert, gate, likelihood and options of a check. Raises InputError.

    What the check found of second order is taken from it.
    """
    gate = resolve_gate(result.gate, result.likelihood)
    return _ordered(result.expert, gate, cell, MAX_ORDER, result.options, result.results)


def _ordered(
    expert: Expert,
    gate: Gate,
    cell: int,
    max_order: int,
    options: Options,
    results: Sequence[ConditionResult] = (),
) -> Orders:
    gate.needs_score("order")  # β0 alone is softmax with every β1 = 0
    if not gate.has_orders:
        gate.needs_affine("order")
    checked_likelihood(expert, gate)
    cell, max_order = whole("cell", cell, least=0), whole("max-order", max_order, least=0)
    if cell not in CELLS:
        raise InputError(
            f"--cell {cell}: give from {CELLS[0]} to {CELLS[-1]} atoms fitted to one true atom."
        )
    if not 2 <= max_order <= HIGHEST:
        raise InputError(f"--max-order {max_order}: give from 2 to {HIGHEST}.")
    regime = next((r for r in gate.regimes if r.order >= 2), None)
    if regime is None:
        raise InputError(
            f"order: no expansion of second order is known for the gate {gate.name} under "
            f"{resolve_likelihood(gate.likelihood).title}; use "
            f"{known_gates(lambda g: g.has_orders and _expanded(g.under(gate.likelihood)))}."
        )
    deadline = Deadline(options.time_limit)
    known = (r.second_order for r in results if r.regime == regime.code)
    second = next((s for s in known if s is not None and s.cause is None), None)
    question = _Question(expert, gate, regime, options, cell, max_order, deadline, second)
    try:
        return bounded(lambda _: question.decided(), deadline)
    except OutOfTime as limit:
        return question.open(str(limit))
    except (OverflowError, RecursionError):
        raise InputError(
            f"expert: '{expert.text[:60]}' has constants too large to compute with; rescale it."
        ) from None


def _expanded(gate: Gate) -> bool:
    return any(r.order >= 2 for r in gate.regimes)


class _Question:
    """One expert under one regime, for one size of cells."""

    def __init__(
        self,
        expert: Expert,
        gate: Gate,
        regime: Regime,
        options: Options,
        cell: int,
        max_order: int,
        deadline: Deadline,
        second: SecondOrder | None,
    ) -> None:
        self.expert, self.gate, self.regime, self.options = expert, gate, regime, options
        self.cell, self.max_order, self.deadline = cell, max_order, deadline
        self.known = second
        self.likelihood = resolve_likelihood(gate.likelihood)
        self.seen = self.likelihood.seen(expert)
        own = () if gate.router is None else gate.router.parameters(expert.inputs)
        self.coordinates = coordinates(expert.parameters, self.likelihood.through, own)

    def decided(self) -> Orders:
        """Every coordinate with its best bounds."""
        found = Conclusions(self.seen, self.gate, self.options, self.deadline)
        if self.known is not None:
            found.preset(self.regime.code, self.known)
        second = found.second_order(self.regime.code)
        assert second is not None
        spans = spans_of(self.seen, self.gate, self.options, self.deadline)
        bounds = directions(spans, self.regime, second, self.cell, self.max_order, measured=True)
        notes = (GENERIC, f"second order: {second.reason}")
        return self._orders(second.verdict, bounds, notes)

    def open(self, reason: str) -> Orders:
        """Nothing but what every expert has, for this reason."""
        smooth = self.seen.is_smooth
        text = "a pair at ± t changes T by O(t²)" if smooth else "a jump that moves by t"
        bound = Bound(Fraction(2) if smooth else Fraction(1, 2), "pair", text)
        found = tuple(DirectionOrder(u, self.cell, False, bound, None) for u in self.coordinates)
        return self._orders(Verdict.UNDECIDED, found, (GENERIC, f"cut short: {reason}"))

    def _orders(
        self, verdict: Verdict, found: tuple[DirectionOrder, ...], notes: tuple[str, ...]
    ) -> Orders:
        return Orders(
            version=__version__,
            expert=self.expert,
            gate=self.gate.name,
            regime=self.regime.code,
            likelihood=self.gate.likelihood,
            cell=self.cell,
            max_order=self.max_order,
            options=self.options,
            verdict=verdict,
            directions=found,
            notes=notes,
        )
