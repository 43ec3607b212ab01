"""The rate that follows, with its reasons, beside the published one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from identkit.atoms import AtomFunction
from identkit.causes import CAUSES
from identkit.degeneracy.records import Premise, RateFinding, SecondOrder
from identkit.forms import may_jump
from identkit.gates import Regime
from identkit.likelihoods import LEAST_SQUARES, Likelihood, resolve
from identkit.orders.records import ONE_ATOM, Bound, CellOrders, DirectionOrder
from identkit.rate import (
    FOURTH,
    KINK,
    NONE,
    PREMISE_FAILS,
    SLOWER,
    SLOWER_THAN_ROOT,
    UNDECIDED,
    Rate,
)
from identkit.results import ConditionResult, Published
from identkit.vocabulary import (
    Across,
    Agreement,
    AtomsScope,
    Cause,
    PremiseVerdict,
    RateCause,
    RefitKind,
    Verdict,
)

NO_ORDERS = CellOrders()
ELSEWHERE = "near the truth only: f_G* has exact refits elsewhere; "
"""How a reason begins that limits a rate to a neighbourhood of the truth."""
NOT_KNOWN_ELSEWHERE = "near the truth only: exact refits elsewhere are not known; "

OPEN: Mapping[Cause | RateCause, str] = {
    RateCause.SECOND_ORDER_OPEN: "second order is not decided",
    RateCause.WEAK_NOT_ASKED: "the weak condition was not asked for",
    RateCause.WEAK_OPEN: "the weak condition is not decided",
    RateCause.JUMPS: "a jump that moves shows at first order, which derivatives do not tell",
    RateCause.PREMISE_OPEN: "n^-1/2 if the theorem's premise holds",
    **CAUSES,
}
"""Why no rate is derived: codes, and clauses to read."""


def derived_rate(
    published: Published | None,
    second_order: SecondOrder | None,
    premise: Premise | None,
    asked: Mapping[str, ConditionResult],
    regime: Regime,
    atom: AtomFunction,
    orders: CellOrders = NO_ORDERS,
) -> RateFinding:
    """The rate of the parameters of an over-specified atom under the gate's likelihood.

    ``second_order`` where the regime's expansion has order 2; where it has order 1 that is None
    and the regime's own condition, among those ``asked``, with the ``premise`` of its theorem
    counts. ``atom`` is the expert; ``orders`` are those of a cell in which second order is
    degenerate.
    """
    cause: Cause | RateCause | None = None
    if second_order is not None and second_order.verdict == Verdict.UNDECIDED:
        derived, reasons = UNDECIDED, (second_order.reason,)
        cause = second_order.cause or RateCause.SECOND_ORDER_OPEN
    elif second_order is not None:
        derived, reasons = _second_order(second_order, regime, caveats(regime, asked), orders)
    else:
        derived, reasons, cause = _first_order(asked.get(regime.condition), premise, regime, atom)
    said, cells = (None, None) if published is None else (published.rate, published.cells)
    fails = premise is not None and premise.verdict == PremiseVerdict.FAILS
    return RateFinding(said, derived, agreement(said, derived, fails, cells), reasons, cause)


def caveats(regime: Regime, asked: Mapping[str, ConditionResult]) -> tuple[str, ...]:
    """The hypotheses of the regime's theorem, those that its further conditions leave included."""
    verdicts = {name: result.verdict for name, result in asked.items()}
    return tuple(c.text for c in regime.caveats_given(verdicts))


def caveats_of(
    rate: RateFinding,
    second: SecondOrder | None,
    regime: Regime,
    asked: Mapping[str, ConditionResult],
    orders: CellOrders = NO_ORDERS,
) -> tuple[str, ...]:
    """The hypotheses where some rate rests on the regime's theorem: an exact family does not.

    Rates of a cell rest on the theorems of the bounds of its orders.
    """
    if rate.derived.cell is not None:
        return tuple(dict.fromkeys(c for d in orders.directions for c in d.caveats))
    local = () if second is None else second.identifiable
    if rate.derived.polynomial or rate.cause == RateCause.PREMISE_OPEN:
        return caveats(regime, asked)
    return caveats(regime, asked) if any(i.rate.polynomial for i in local) else ()


def _second_order(
    found: SecondOrder, regime: Regime, provided: tuple[str, ...], orders: CellOrders
) -> tuple[Rate, tuple[str, ...]]:
    if found.verdict == Verdict.NO and found.families:
        kinds = ", ".join(dict.fromkeys(f.kind for f in found.families))
        return NONE, (
            f"exact family ({kinds}): different parameters near the truth give the same "
            f"{_likelihood(regime).letter}",
            *_partial(found),
        )
    if found.verdict == Verdict.NO:
        needed = slower_from(found)
        shown = () if needed is None else (f"shown for cells of {needed} or more fitted atoms",)
        letter = _likelihood(regime).letter
        invisible = f"the loss of order t² is invisible to {letter} at order t²"
        derived = of_orders(orders.directions)
        if derived != SLOWER:
            return derived, (found.reason, invisible, *_bounds(orders.directions))
        open_ = (f"by how much is open: {orders.obstacle}",) if orders.obstacle else ()
        return SLOWER, (found.reason, invisible, *shown, *open_)
    experts = list(found.identifiable)
    seen = _likelihood(regime)
    reasons = [
        f"no second-order moment of a cell is invisible, so {seen.distance} ≥ c·(Σ w‖Δ‖²) near the "
        f"truth, and {seen.estimated}"
    ]
    reasons += provided
    fast = [str(i.quantity) for i in experts if i.rate.everywhere == KINK]
    if fast:
        reasons.append(
            f"moving {', '.join(fast)} by t moves a kink, {seen.letter} by t^(3/2): t ~ n^-1/3 "
            "there"
        )
    alone = "" if regime.expansion is None else regime.expansion.alone
    if found.across_atoms == Across.DEPENDENT:
        reasons.append(f"for {alone}: with several, functions of different atoms mix")
        return replace(FOURTH, one_atom=True), tuple(reasons)
    if found.across_atoms == Across.OPEN:
        reasons.append(f"proved for {alone}; with several it is open whether they mix")
        return replace(FOURTH, one_atom=True), tuple(reasons)
    return FOURTH, tuple(reasons)


def of_orders(directions: Sequence[DirectionOrder]) -> Rate:
    """That of the slowest direction of a degenerate cell; slower than n^-1/4 in any case."""
    low = max((d.lower.order for d in directions), default=Fraction(2))
    if low <= 2:
        return SLOWER
    ends = [d.upper.order for d in directions if d.upper is not None]
    high = max(ends) if len(ends) == len(directions) else None
    alone = any(ONE_ATOM in d.caveats for d in directions)
    return Rate.of_orders(low, high, directions[0].cell, one_atom=alone and high is not None)


def _bounds(directions: Sequence[DirectionOrder]) -> Iterator[str]:
    """What proves each bound of an order, with the directions that it is of."""
    sides: tuple[tuple[str, Callable[[DirectionOrder], Bound | None]], ...] = (
        ("order at least", lambda d: d.lower),
        ("order at most", lambda d: d.upper),
    )
    for word, side in sides:
        named: dict[str, list[str]] = {}
        for d in directions:
            bound = side(d)
            if bound is not None:
                said = f"{word} {bound.order} in cells of {d.cell}: {bound.text}"
                named.setdefault(said, []).append(d.direction)
        yield from (f"{', '.join(names)}: {said}" for said, names in named.items())


def _likelihood(regime: Regime) -> Likelihood:
    """What the theorem of the regime is a theorem under."""
    named = LEAST_SQUARES if regime.expansion is None else regime.expansion.likelihood
    return resolve(named)


def slower_from(found: SecondOrder) -> int | None:
    """How many fitted atoms a cell needs for the invisible moments: more than the rank of M."""
    realised = None if found.witness is None else found.witness.realised
    return None if realised is None else realised.cell


def _partial(found: SecondOrder) -> tuple[str, ...]:
    lines = tuple(f"{i.rate} for {i.quantity}, locally: {i.reason}" for i in found.identifiable)
    if found.across_atoms == Across.DEPENDENT:
        return (*lines, "with several true atoms, functions of different atoms mix")
    return lines


def _first_order(
    weak: ConditionResult | None, premise: Premise | None, regime: Regime, atom: AtomFunction
) -> tuple[Rate, tuple[str, ...], Cause | RateCause | None]:
    """Derived rate, reasons, and why there is no rate: none follows unless the premise holds."""
    subject = "" if regime.expansion is None else regime.expansion.subject
    if weak is None or weak.verdict == Verdict.UNDECIDED:
        cause = RateCause.WEAK_NOT_ASKED if weak is None else RateCause.WEAK_OPEN
        return UNDECIDED, (OPEN[cause],), cause
    if weak.verdict == Verdict.NO and may_jump(atom):
        return UNDECIDED, (OPEN[RateCause.JUMPS],), RateCause.JUMPS
    if weak.verdict == Verdict.NO:
        reason = f"first derivatives{subject} are linearly dependent"
        return SLOWER_THAN_ROOT, (reason,), None
    if premise is not None and premise.cause is not None:
        return UNDECIDED, (f"the theorem's premise: {premise.searched}",), premise.cause
    reasons = ["first derivatives are independent: n^-1/2 towards a unique population minimiser"]
    if premise is not None and premise.verdict == PremiseVerdict.FAILS:
        reasons.append(
            "but f_G* has exact refits with more atoms: " + premise.refits[0].description
        )
        return PREMISE_FAILS, tuple(reasons), None
    if weak.atoms_scope == AtomsScope.UP_TO:
        reasons.append(f"proved for at most {weak.atoms} atoms")
    reasons += [c.text for c in regime.caveats]
    reasons.append(
        "provided f_G* has no exact refit with more atoms: none was found, which proves nothing"
        if premise is not None
        else "provided the population minimiser is unique and its Hessian is not singular: neither "
        "is shown for this gate"
    )
    return UNDECIDED, tuple(reasons), RateCause.PREMISE_OPEN


def near_the_truth(rate: RateFinding, premise: Premise) -> RateFinding:
    """A rate of Regime 1, limited where f_G* has exact refits elsewhere or none were searched for.

    An expert that is 0 refits f_G* exactly under any sigmoid gate, in Regime 1 too.
    """
    if premise.cause is not None:
        reason, code = f"{NOT_KNOWN_ELSEWHERE}{premise.searched}", premise.cause
    else:
        zero = [
            r for r in premise.refits if r.kind in (RefitKind.NULL_EXPERT, RefitKind.DEAD_EXPERT)
        ]
        if not zero:
            return rate
        reason, code = f"{ELSEWHERE}{zero[0].description}", "refits"
    return replace(rate, reasons=(*rate.reasons, reason), elsewhere=code)


def agreement(
    published: Rate | None, derived: Rate, premise_fails: bool, cells: int | None = None
) -> Agreement:
    """Published against derived: ``confirmed``, ``contradicted``, ``premise-fails``, ``open``, …

    ``cells``: the published rate is stated for cells of so many fitted atoms only.
    """
    if published is None:
        return Agreement.UNCLAIMED
    if derived == UNDECIDED:
        return Agreement.UNDECIDED
    if premise_fails:
        return Agreement.PREMISE_FAILS
    return {True: Agreement.CONFIRMED, False: Agreement.CONTRADICTED, None: Agreement.OPEN}[
        published.allows(derived, cells)
    ]
