"""Verdicts and rates for the small expert under the layer's gate, and changes of the layer.

What is proved of a registered gate is stated of that gate. Of the layer itself a rate is stated
only if nothing departs from that model, or if an exact curve of one expert leaves the layer as it
is: then no estimator of the numbers that it moves is consistent, whatever the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from identkit.architecture.measures import Setting
from identkit.architecture.records import FoundGauge
from identkit.architecture.search import of_the_gate
from identkit.checking import check
from identkit.deadline import Deadline
from identkit.experts import Expert
from identkit.gates import regime_title, resolve
from identkit.layers.findings import Change, Decided, RegimeVerdict
from identkit.layers.gauges import inputs_of
from identkit.layers.record import Architecture, Scores
from identkit.layers.symbols import MATRICES, departures, expert, gate_of
from identkit.likelihoods import LEAST_SQUARES
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.rate import NONE, UNDECIDED
from identkit.results import CheckResult, ConditionResult
from identkit.vocabulary import GaugeKind, RateCause, Through, Verdict

DENSITY = "gaussian"
LIKELIHOODS = (LEAST_SQUARES, DENSITY)

_CAUSES = {
    str(RateCause.PREMISE_OPEN): "the premise of its theorem, that f has no exact refit, is open",
    str(RateCause.WEAK_OPEN): "weak is undecided",
    str(RateCause.SECOND_ORDER_OPEN): "the second order is undecided",
}

SHARE = 1 / 6
"""Of the time for all, for one check."""
SHORTEST = 0.5
"""Seconds that each check has even when the time is up, so that it can say so."""

Ask = Callable[..., CheckResult]


def asking(seed: int, deadline: Deadline, progress: Callable[[str], None] | None) -> Ask:
    """``check`` with these options, each question asked once, and a part of the time for each."""
    known: dict[Any, CheckResult] = {}

    def ask(of: Expert, gate: str, likelihood: str, shared: Expert | None = None) -> CheckResult:
        key = (of, gate, likelihood, shared)
        if key not in known:
            known[key] = check(
                of, gate, likelihood=likelihood, shared=shared, seed=seed,
                time_limit=share_of(deadline), progress=progress,
            )  # fmt: skip
        return known[key]

    return ask


def share_of(deadline: Deadline) -> float:
    """Seconds for one check: a part of the whole, and of what is left."""
    return max(min(deadline.seconds * SHARE, deadline.left()), SHORTEST)


def decided(architecture: Architecture, ask: Ask) -> Iterator[Decided]:
    """For the expert as it is, and with the scale of its units held, under each likelihood."""
    form = architecture.expert
    whole = expert(form, inputs=inputs_of(form))
    for scaled in (True, False):
        own = expert(form, scaled=scaled, inputs=inputs_of(form))
        if not scaled and not _moves(architecture, whole, ask):
            continue
        for likelihood in LIKELIHOODS:
            yield _decided(architecture, own, scaled, likelihood, ask)


def _moves(architecture: Architecture, own: Expert, ask: Ask) -> tuple[str, ...]:
    """The matrices that exact curves of one expert move; none if there is no such curve."""
    found = ask(own, _any_gate(architecture), LEAST_SQUARES)
    orbits = [g for g in found.gauges if g.kind is GaugeKind.ORBIT and g.proved]
    moved = {p[0] for g in orbits for p, image in g.images if image != p}
    return tuple(MATRICES[letter] for letter in MATRICES if letter in moved)


def listed(words: Sequence[str]) -> str:
    """Words as in a sentence.

    >>> listed(("gate", "up", "down"))
    'gate, up and down'
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _any_gate(architecture: Architecture) -> str:
    """A gate under which the expert is asked about: its own curves are the same under any."""
    return gate_of(architecture.router)[0] or "softmax"


def _decided(
    architecture: Architecture, own: Expert, scaled: bool, likelihood: str, ask: Ask
) -> Decided:
    gate, why = gate_of(architecture.router)
    reasons = [] if gate is not None else [why]
    density = resolve_likelihood(likelihood).through is not Through.VALUE
    if density and gate is not None and not resolve(gate).adds_up:
        reasons.append("the weights do not add up to 1, so that they mix no densities")
    verdicts: tuple[RegimeVerdict, ...] = ()
    command = ""
    if not reasons and gate is not None:
        found = ask(own, gate, likelihood)
        verdicts, command = verdicts_of(found), command_of(found)
        reasons += departures(architecture)
        reasons += dict.fromkeys(v.why for v in verdicts if v.rate == str(UNDECIDED) and v.why)
    moved = _moves(architecture, own, ask)
    if moved:
        rate = f"{NONE} of {listed(moved)}"
    else:
        rates = {v.rate for v in verdicts}
        rate = rates.pop() if len(rates) == 1 and not reasons else str(UNDECIDED)
    return Decided(scaled, own.text, gate, likelihood, rate, tuple(reasons), verdicts, command)


def verdicts_of(found: CheckResult, half: str = "") -> tuple[RegimeVerdict, ...]:
    """Those of the regimes' own conditions, in order; ``half`` names the half they are of."""
    gate = resolve(found.gate, found.likelihood)
    verdicts = []
    for r in found.results:
        regime = gate.regime(r.regime)
        if regime is not None and regime.condition != r.condition:
            continue  # what the regime asks besides
        rate = "" if r.rate is None else str(r.rate.derived)
        verdicts.append(
            RegimeVerdict(
                regime=half or regime_title(r.regime),
                condition=r.condition,
                verdict=r.verdict,
                nondegenerate=r.nondegenerate,
                rate=rate,
                why=_why(r),
                provided=r.caveats if r.rate is not None and r.rate.derived.polynomial else (),
            )
        )
    return tuple(verdicts)


def _why(result: ConditionResult) -> str:
    """Why no power of n follows, as far as the record says so."""
    second, rate = result.second_order, result.rate
    if second is not None and second.verdict != Verdict.YES:
        text = second.reason.rstrip(".")
        return text[:1].lower() + text[1:]
    return (
        "" if rate is None or rate.cause is None else _CAUSES.get(str(rate.cause), str(rate.cause))
    )


def command_of(found: CheckResult) -> str:
    """The command that checks it again."""
    own = found.expert
    given = f'--expr "{own.text}"' + ("" if own.dim == 1 else f" --dim {own.dim}")
    given += f" --gate {found.gate}"
    if found.likelihood != LEAST_SQUARES:
        given += f" --likelihood {found.likelihood}"
    if found.shared is not None:
        given += f' --shared "{found.shared.expert.text}"'
    return f"identkit check {given}"


# -- changes --------------------------------------------------------------------------------------


def changes(architecture: Architecture, ask: Ask) -> Iterator[Change]:
    """Nearby layers, each checked: what is gone, what is new, which rate follows."""
    form = architecture.expert
    whole = expert(form, inputs=inputs_of(form))
    held = expert(form, scaled=False, inputs=inputs_of(form))
    gate, hold = gate_of(architecture.router)[0], ""
    before = _of_router(architecture)
    if moved := _moves(architecture, whole, ask):
        hold = "hold one number of each unit at 1, so that it has no scale"
        found = ask(held, _any_gate(architecture), LEAST_SQUARES)
        gone = (f"scale of {listed(moved)}",) if _no_curve(found) else ()
        yield Change(hold, gone, (), () if gate is None else verdicts_of(found), command_of(found))
        hold = "the same, and "
    else:
        held = whole
    asked = (
        ("weigh all experts by softmax, with intercepts", "softmax", LEAST_SQUARES, None),
        ("… and estimate a density, a variance for each expert", "softmax", DENSITY, None),
        ("weigh all experts by divided sigmoids, with intercepts", "normalized-sigmoid",
         LEAST_SQUARES, None),
        ("… and estimate a density", "normalized-sigmoid", DENSITY, None),
        ("a density with softmax, and a shared half", "softmax", DENSITY, held),
    )  # fmt: skip
    for text, name, likelihood, shared in asked:
        if (name, likelihood, shared) == (gate, LEAST_SQUARES, None):
            continue  # it is that layer
        said = text if text.startswith("…") else f"{hold}{text}"
        yield _change(architecture, said, ask(held, name, likelihood, shared), before)


def _of_router(architecture: Architecture) -> set[str]:
    """Names of what moves the layer's router; where no gate is registered, as its parts say."""
    router = architecture.router
    name, _ = gate_of(router)
    if name is not None:
        return _of_gate(architecture, name)
    own = {"common shift"} if router.scores is Scores.SOFTMAX else set()
    return own | ({"shift of the selection"} if router.selection_bias else set())


def _of_gate(architecture: Architecture, name: str, likelihood: str = LEAST_SQUARES) -> set[str]:
    """Names of what the gate declares."""
    form = architecture.expert
    small = expert(form, inputs=inputs_of(form))
    setting = Setting(small, resolve(name, likelihood), Deadline(SHORTEST))
    return {_name(g) for g in of_the_gate(setting) if g.kind is GaugeKind.GATE}


def _name(gauge: FoundGauge) -> str:
    return f"{gauge.name} where {gauge.where}" if gauge.where else gauge.name


def _no_curve(found: CheckResult) -> bool:
    """Proved: h changes along every curve of one expert."""
    return any(n.excluded for n in found.no_gauges if "curve of" in n.name) or any(
        r.verdict == Verdict.YES for r in found.results
    )


def _change(architecture: Architecture, text: str, found: CheckResult, before: set[str]) -> Change:
    after = _of_gate(architecture, found.gate, found.likelihood)
    between = (GaugeKind.EXCHANGE, GaugeKind.TRANSPORT)
    after |= {_name(g) for g in found.gauges if g.kind in between}
    half = () if found.shared is None else verdicts_of(found.shared, "shared half")
    return Change(
        change=text,
        gone=tuple(sorted(before - after)),
        new=tuple(sorted(after - before)),
        verdicts=verdicts_of(found) + half,
        command=command_of(found),
    )
