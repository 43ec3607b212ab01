"""What papers state of a gate, or of one model beside another, set beside what is derived here.

Such a statement (``statements`` of a paper's file, :mod:`identkit.claims`) has one of three forms.
A rate of parameters that an exact gauge of the gate moves: of these no estimator is consistent, the
strongest form of "slower than any polynomial rate"; what is left once the gauge is fixed is another
question, which ``check`` answers expert by expert. One rate of ``every`` expert under a gate: some
are asked for. Or that one model's parameters are estimated faster than another's: in each of the
``pairs`` both rates are derived. The rest are lemmas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from identkit.checking import check
from identkit.claims.record import recorded
from identkit.degeneracy.rate import agreement as agreement_of
from identkit.experts import builtin
from identkit.likelihoods import from_document
from identkit.rate import NONE, UNDECIDED, Rate
from identkit.results import CheckResult
from identkit.vocabulary import Agreement, ClaimStatus, PremiseVerdict, Quantifier


@dataclass(frozen=True)
class Derived:
    """The rate derived for one expert under one gate and likelihood.

    ``agreement``: beside the rate that is stated; beside one of what a gauge moves, as if it were
    stated of what is left. ``quantifier``: for which parameters the rate is proved, None where it
    is open.
    """

    expert: str
    gate: str
    likelihood: str
    rate: Rate
    agreement: Agreement
    quantifier: Quantifier | None


@dataclass(frozen=True)
class Stated:
    """A statement with what is derived: ``gauge`` in words, what is left; or the rates asked for.

    ``claim`` is its id in the record. ``agreement``: not decided where the gauge is not found or
    not proved, open where the two rates of a pair do not say which is the faster.
    """

    claim: str
    form: Literal["gauge", "every", "pairs"]
    agreement: Agreement
    gauge: str
    derived: tuple[Derived, ...]

    @property
    def pairs(self) -> tuple[tuple[Derived, Derived], ...]:
        """What is stated to be the faster, and the slower; none in the other forms."""
        both = self.derived if self.form == "pairs" else ()
        return tuple(zip(both[::2], both[1::2], strict=True))


def stated(
    entry: dict, dim: int, *, seed: int = 0, progress: Callable[[str], None] | None = None
) -> Stated | None:
    """Derive what the entry of a paper's file speaks of; None for a lemma.

    ``dim`` inputs, or as many as the entry asks for at least.
    """

    def ask(question: dict) -> CheckResult:
        inputs = max(dim, entry.get("dim", 1))
        low, high = entry.get("domain", (-3, 3))
        return check(
            builtin(question["expert"], question["shape"], inputs),
            question["gate"],
            likelihood=from_document(question.get("likelihood")).name,
            domain=[(low, high)] * inputs,
            seed=seed,
            progress=progress,
        )

    if "pairs" in entry:
        both = tuple(_derived(ask(question)) for pair in entry["pairs"] for question in pair)
        found = Stated(entry["id"], "pairs", Agreement.OPEN, "", both)
        return replace(found, agreement=compared(found.pairs))
    named = entry.get("gauge", entry.get("every"))
    if named is None:
        return None
    of_gate = {key: named.get(key) for key in ("gate", "likelihood")}
    found = [ask({"expert": e, "shape": s, **of_gate}) for e, s in entry["experts"]]
    rate = Rate.parse(entry["rate"])
    derived = tuple(_derived(f, rate) for f in found)
    if "every" in entry:
        return Stated(entry["id"], "every", weakest(d.agreement for d in derived), "", derived)
    action = moved_by(named, found)
    agreed = agreement_of(rate, NONE if action else UNDECIDED, False)
    return Stated(entry["id"], "gauge", agreed, action, derived)


def moved_by(named: dict, found: list[CheckResult]) -> str:
    """How the gauge of this name moves parameters in all of the checks; empty if not proved."""
    gauges = [next((g for g in f.gauges if g.name == named["name"]), None) for f in found]
    lemma = next((c for c in recorded() if c.id == named["claim"]), None)
    proved = lemma is not None and lemma.status == ClaimStatus.PROVED
    actions = {g.action for g in gauges if g is not None and (g.proved or proved)}
    return "" if None in gauges or len(actions) != 1 else actions.pop()


def weakest(found: Iterable[Agreement]) -> Agreement:
    """Of a statement on every expert: one that says otherwise is enough."""
    met = set(found)
    if Agreement.CONTRADICTED in met:
        return Agreement.CONTRADICTED
    return Agreement.CONFIRMED if met == {Agreement.CONFIRMED} else Agreement.OPEN


def _derived(found: CheckResult, rate: Rate | None = None) -> Derived:
    result = found.results[0]
    assert result.rate is not None
    fails = result.premise is not None and result.premise.verdict == PremiseVerdict.FAILS
    second = result.second_order
    return Derived(
        found.expert.label,
        found.gate,
        found.likelihood,
        result.rate.derived,
        agreement_of(rate, result.rate.derived, fails),
        result.quantifier if second is None else second.quantifier,
    )


def compared(pairs: tuple[tuple[Derived, Derived], ...]) -> Agreement:
    """Whether the first of each pair is the faster."""
    if any(slow.rate.faster_than(fast.rate) for fast, slow in pairs):
        return Agreement.CONTRADICTED
    if pairs and all(fast.rate.faster_than(slow.rate) for fast, slow in pairs):
        return Agreement.CONFIRMED
    return Agreement.OPEN
