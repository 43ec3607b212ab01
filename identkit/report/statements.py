"""What a result says, in sentences: exactly what was proved, for which parameters, by what method.

Every renderer prints these, so that terminal, LaTeX and HTML cannot drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from identkit.causes import CAUSES
from identkit.degeneracy.rate import OPEN, slower_from
from identkit.degeneracy.records import CellQuantity, Family, MomentWitness, RateFinding
from identkit.gates import GATES, in_regime, regime_title
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import LEAST_SQUARES
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.orders.records import DirectionOrder, slower_with_more
from identkit.rate import NONE, NOT_DERIVED, SLOWER, UNDECIDED, Rate
from identkit.results import GIVEN_NUMBER, QUANTIFIERS, CheckResult, ConditionResult, SetProof
from identkit.vocabulary import Agreement, AtomsScope, Cause, FamilyKind, ProofKind, Quantifier

if TYPE_CHECKING:
    from identkit.certificates.verify import Verified


def under(result: CheckResult | Verified) -> str:
    """`` under`` the likelihood, to follow the gate; nothing for least squares."""
    if result.likelihood == LEAST_SQUARES:
        return ""
    return f" under {resolve_likelihood(result.likelihood).title}"


def about(result: CheckResult, text: str) -> str:
    """A sentence about h as one about what the likelihood sees of it."""
    return re.sub(r"\bh\b", result.seen.symbol, text)


def title(result: ConditionResult) -> str:
    """For example ``Regime 1 · strong, expert level``."""
    regime = regime_title(result.regime)
    return f"{regime}{' · ' * bool(regime)}{result.condition}, {result.level} level"


def scope(result: ConditionResult) -> str:
    """The quantifiers over parameters and over the number of atoms, in one phrase."""
    if result.quantifier is None:
        return "not decided"
    return f"{numbers(result)}, {QUANTIFIERS[result.quantifier]}"


def numbers(result: ConditionResult) -> str:
    """For how many atoms the verdict is proved; nothing for one that is not decided."""
    return {
        AtomsScope.EVERY: "every k",
        AtomsScope.UP_TO: f"k ≤ {result.atoms}",
        AtomsScope.FROM: f"k ≥ {result.atoms}",
        AtomsScope.ONE: "one atom",
        AtomsScope.NONE: "",
    }[result.atoms_scope]


def claim(proof: SetProof) -> str:
    """What one set's proof establishes."""
    functions = f"the {len(proof.kept)} functions per atom"
    if len(proof.kept) == 1:
        functions = "the functions of the atoms, one each,"
    if proof.shared:
        functions += f" together with {', '.join(f.label for f in proof.shared)}"
    if proof.kind == ProofKind.BALL_DETERMINANT:
        assert proof.quantifier is not None
        who = QUANTIFIERS[proof.quantifier]
        if proof.every_k:
            near = (
                ", near those of the certificate" if proof.quantifier == Quantifier.OPEN_SET else ""
            )
            return (
                f"{functions} are linearly independent for every number k of atoms and {who}{near}."
            )
        if proof.atoms == 1 and proof.every_k_obstacle == GIVEN_NUMBER:
            count = len(proof.kept)
            if count == 1:
                return f"the function is not 0 for {who}."
            return f"the {count} functions are linearly independent for {who}."
        reason = f" ({proof.every_k_obstacle})" if proof.every_k_obstacle else ""
        fewer = ", hence for fewer," if proof.atoms > 1 else ""
        return (
            f"{functions} are linearly independent for k = {proof.atoms} atoms{fewer} and {who}; "
            f"larger k is not proved{reason}."
        )
    if proof.kind == ProofKind.RELATION:
        assert proof.quantifier is not None
        count = len(proof.relations)
        plural = "a relation holds" if count == 1 else f"{count} relations hold"
        nontrivial = "it is" if count == 1 else "at least one of them is"
        return (
            f"{plural} among the functions of a single atom, with coefficients free of x; "
            f"{nontrivial} nontrivial for {QUANTIFIERS[proof.quantifier]}."
        )
    if proof.kind == ProofKind.FINITE_DIMENSION:
        assert proof.fixed is not None
        assert proof.quantifier is not None
        r = len(proof.fixed.combinations)
        which = "one combination" if r == 1 else f"{r} independent combinations"
        return (
            f"each atom has {which} of its functions in one space that does not depend on the "
            f"parameters, of dimension {proof.fixed.dimension} ({proof.fixed.space}); so "
            f"{proof.fixed.atoms} or more atoms are dependent, for {QUANTIFIERS[proof.quantifier]}."
        )
    unnamed = "no proof found" if proof.cause is None else CAUSES[proof.cause]
    said = "; ".join(proof.notes) or unnamed
    remedy = (
        ""
        if proof.cause in (Cause.SIGNS, Cause.UNPROVED)
        else "; raise --max-precision or --time-limit"
    )
    return f"{said}{remedy}."


def method(proof: SetProof) -> str:
    """By what method."""
    parts = []
    w = proof.witness
    if w is not None:
        size = len(w.points)
        parts.append(
            f"{size}×{size} determinant at rational parameters and points, ball arithmetic at "
            f"{w.precision} bits: {w.determinant}"
        )
    if proof.kind == ProofKind.BALL_DETERMINANT and proof.every_k:
        parts.append("every k because kinks, poles and transcendental parts move from atom to atom")
    if proof.kind == ProofKind.RELATION:
        parts.insert(0, "exact relation, proved in normal form")
    if proof.kind == ProofKind.FINITE_DIMENSION:
        parts.insert(0, "dimension count in a fixed space")
    return "; ".join(parts) or "no proof found"


def rank(result: ConditionResult) -> str:
    """The exact rank, where it was proved, and how."""
    if result.rank is None:
        return ""
    how = "" if result.deciding.witness else ", by exact rational elimination"
    at = "" if result.atoms_scope == AtomsScope.ONE else f" at k = {result.atoms}"
    return f"{result.rank} of {result.functions} functions{at}{how}"


def agreement(result: ConditionResult) -> str:
    """Published against certified verdict, with the reach of the certified one."""
    if result.agreement == Agreement.CONFIRMED and result.quantifier == Quantifier.OPEN_SET:
        return "confirmed on an open set of parameters"
    if result.agreement == Agreement.CONTRADICTED:
        return "contradicted (the verdict on this condition; a rate is another matter)"
    return result.agreement


def requirement(result: CheckResult) -> str:
    """Whether the required condition holds, and as far as it was proved."""
    assert result.requirement is not None
    words = {True: "met", False: "not met", None: "undecided"}
    if result.requirement.name == "nondegenerate":
        return f"nondegenerate: {words[result.requirement.met]}"
    met = words[result.requirement.met]
    partial = [
        r
        for r in result.results
        if r.condition == result.requirement.name and r.atoms_scope == AtomsScope.UP_TO
    ]
    if not result.requirement.met:
        return f"{result.requirement.name}: {met}"
    limit = f" for k ≤ {partial[0].atoms} atoms; larger k is not proved" if partial else ""
    return f"{result.requirement.name}: {met}{limit}{nevertheless(result)}"


def nevertheless(result: CheckResult) -> str:
    """What a condition that holds does not say: the expert is degenerate all the same."""
    if not result.degenerate:
        return ""
    first = result.degenerate[0]
    where = in_regime(first.regime)
    none = first.rate is not None and first.rate.derived == NONE
    what = "have no consistent estimator" if none else "are learned more slowly than n^-1/4"
    return (
        f"; nevertheless the expert is degenerate{where}: its parameters {what} (see 'second'); "
        "require nondegenerate"
    )


SHOWN_EXCEPTIONS = 4
"""Exceptional sets printed before "and n more"; all are in the JSON."""


def repeated(check: CheckResult, result: ConditionResult) -> bool:
    """Whether what follows from the regime was said of an earlier result of the check."""
    before = check.results[: check.results.index(result)]
    return any(
        (r.regime, r.second_order, r.rate) == (result.regime, result.second_order, result.rate)
        for r in before
    )


def follows(check: CheckResult, result: ConditionResult) -> list[tuple[str, str]]:
    """The consequences, once for each regime."""
    if repeated(check, result):
        return []
    found = consequences(result, check.likelihood)
    return [(label, about(check, text) if label == "family" else text) for label, text in found]


def consequences(result: ConditionResult, likelihood: str) -> list[tuple[str, str]]:
    """Second order, witness or family, what is identifiable, premise and rate, a line each."""
    letter = resolve_likelihood(likelihood).letter
    lines: list[tuple[str, str]] = []
    second = result.second_order
    if second is not None:
        open_set = second.quantifier == Quantifier.OPEN_SET
        who = f", for {QUANTIFIERS[Quantifier.OPEN_SET]}" if open_set else ""
        lines.append(("second", f"nondegenerate: {second.verdict}{who}. {sentence(second.reason)}"))
        lines += [("family", family(f, letter)) for f in second.families[:2]]
        if second.witness is not None:
            lines.append(("witness", witness(second.witness, letter)))
        known = [
            f"{s.quantity}: {'visible, rate ' if s.rate == NOT_DERIVED else ''}{s.rate}"
            for s in result.rates
            if s.quantity is not None and not said_by_orders(result, s.quantity, s.rate)
        ]
        if known:
            lines.append(("locally", "; ".join(known)))
    if result.premise is not None:
        refits = [sentence(r.description) for r in result.premise.refits]
        what = (
            " ".join(refits[:2])
            or f"No exact refit was found; searched: {sentence(result.premise.searched)}"
        )
        lines.append(("premise", f"{result.premise.verdict}. {what}"))
    if result.rate is not None:
        said = result.rate.published or "–"
        outcome = rate_agreement(result.rate)
        derived = directions(result) or derived_rate(result.rate)
        lines.append(("rate", f"derived: {derived}; published: {said} ({outcome})"))
        needed = None if second is None else slower_from(second)
        slow = result.rate.derived.at_every_cell == SLOWER
        if second is not None and slow and needed is not None:
            if result.rate.derived == SLOWER:
                lines.append(("where", f"Shown for cells of {needed} or more fitted atoms."))
            lines += [("where", sentence(note)) for note in second.notes]
        lines += [("provided", sentence(caveat)) for caveat in provided(result)]
        lines += [("where", limit) for limit in limits(result.rate)]
    return lines


def provided(result: ConditionResult) -> list[str]:
    """The caveats under which some rate holds, each once."""
    return list(dict.fromkeys(caveat for s in result.rates for caveat in s.caveats))


def derived_rate(rate: RateFinding) -> str:
    """The derived rate, or why there is none."""
    return str(rate.derived) if rate.cause is None else f"{rate.derived} ({OPEN[rate.cause]})"


def directions(result: ConditionResult) -> str:
    """How slow each direction of a degenerate cell is: ``a n^-1/4; in cells of 2: b n^-1/8, …``.

    Empty where the rate rests on no orders.
    """
    if result.rate is None or result.rate.derived.cell is None:
        return ""
    everywhere = [d for d in result.orders if d.at_every_cell]
    others = [d for d in result.orders if not d.at_every_cell]
    small = f"in cells of {result.rate.derived.cell}: {_by_rate(others)}"
    said = f"{small}, {'slower' if slower_with_more(others) else 'no faster'} with more"
    return f"{_by_rate(everywhere)}; {said}" if everywhere else said


def _by_rate(found: Sequence[DirectionOrder]) -> str:
    """Directions of one rate together."""
    named: dict[str, list[str]] = {}
    for d in found:
        named.setdefault(d.rate, []).append(d.direction)
    return ", ".join(f"{', '.join(names)} {rate}" for rate, names in named.items())


def said_by_orders(result: ConditionResult, quantity: CellQuantity, rate: Rate) -> bool:
    """Whether second order leaves the rate of a direction open, and its order says it."""
    return rate == NOT_DERIVED and str(quantity) in [d.direction for d in result.orders]


def limits(rate: RateFinding) -> list[str]:
    """That the rate holds near the truth only, where it does and there is a rate."""
    if rate.elsewhere is None or rate.derived in (NONE, UNDECIDED):
        return []
    return [sentence(rate.reasons[-1])]


def sentence(text: str) -> str:
    """With a capital (unless it starts with a symbol) and a full stop; of nothing, nothing."""
    text = text.strip()
    if re.match(r"[a-z]{2}|a ", text):
        text = text[0].upper() + text[1:]
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def family(found: Family, letter: str) -> str:
    """A family in one line: the curve and the conditions on weights and positions."""
    if found.kind == FamilyKind.FLOW:
        curve = ", ".join(f"{p}' = {v}" for p, v in found.velocity)
        return f"flow of {curve} (no closed form): h is multiplied by {found.r1}"
    curve = ", ".join(f"{p} → {image}" for p, image in found.curve)
    atoms = "one fitted atom" if found.cell == 1 else f"{found.cell} fitted atoms"
    verb = "suffices" if found.cell == 1 else "suffice"
    return (
        f"{found.kind}: {curve}; same {letter} for atoms at s_1, s_2, … whenever "
        f"{', '.join(found.conditions)} ({atoms} {verb})"
    )


def witness(found: MomentWitness, letter: str) -> str:
    """The invisible moments and what was measured with atoms that have them."""
    moments = ", ".join(f"{name} = {value}" for name, value in found.moments)
    text = f"invisible moments {moments}"
    if found.realised is not None:
        text += (
            f"; {found.realised.cell} atoms have them: measured ‖{letter}_G − {letter}_G*‖ "
            f"~ t^{found.realised.order}, while the loss is of order t²"
        )
    return text


def rate_agreement(rate: RateFinding) -> str:
    """Published against derived rate, in words."""
    return {
        Agreement.PREMISE_FAILS: "the theorem's premise fails",
        Agreement.OPEN: "neither confirmed nor contradicted",
    }.get(rate.agreement, rate.agreement)


def exceptional(result: CheckResult) -> list[str]:
    """Parameters at which two atoms lose independence."""
    found = result.results[0].exceptional
    lines = [f"{e.relation}  [{e.where}]" for e in found[:SHOWN_EXCEPTIONS]]
    more = len(found) - SHOWN_EXCEPTIONS
    return [*lines, f"and {more} more (--json lists all)"] if more > 0 else lines


def own_gate(result: CheckResult) -> str:
    """What is not derived for a gate of one's own; empty for the built-in ones."""
    gate = resolve_gate(result.gate, result.likelihood)
    if gate.has_theory:
        return ""
    named = gate.structure or (result.likelihood != LEAST_SQUARES and result.gate in GATES)
    if named:
        return f"no rate is derived: nothing is registered for the {gate.name} gate{under(result)}"
    same = gate.known_as
    hint = (
        f"; it is the {same} gate up to the scale of s, --gate {same} derives rates" if same else ""
    )
    return (
        "no rate is derived: which moments of a cell can be invisible is known for the gates of "
        f"identkit gates only; symmetries of the gate itself are not searched{hint}"
    )


def merges(proof: SetProof) -> str:
    """What the coincidence rule did to one atom's functions."""
    parts = []
    if proof.merged:
        # a second derivative merged with a first is what a reader should see
        order = sorted(proof.merged, key=lambda m: -sum(len(f) for f in m.function.factors))
        shown = ", ".join(dict.fromkeys(m.relation.text for m in (order[0], order[-1])))
        parts.append(f"{len(proof.merged)} merged as one function, e.g. {shown}")
    if proof.dropped:
        parts.append(f"{len(proof.dropped)} dropped (zero), e.g. {proof.dropped[0].label}")
    return "; ".join(parts)


def published(result: ConditionResult) -> str:
    """The published claim in words."""
    p = result.published
    return "no claim known" if p is None else f"{p.verdict}, {p.rate}: {p.source}"


def witness_scope(result: CheckResult) -> str:
    """The options that matter to the reader."""
    o = result.options
    box = o.domain.text(result.expert.dim)
    return f"x in {box}; determinants: {o.atoms} atoms, seed {o.seed}, up to {o.max_precision} bits"
