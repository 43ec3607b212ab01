"""The second-order argument (theory section 4) as written on a page, a section for each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from identkit.atoms import subject
from identkit.causes import CAUSES
from identkit.degeneracy.moments import space_of
from identkit.degeneracy.records import (
    Dual,
    Exceptional,
    Kink,
    Premise,
    SecondOrder,
    Visible,
)
from identkit.gates import regime_title
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.report import statements
from identkit.report.counterexample import counterexample
from identkit.report.gauges import gauges_part
from identkit.report.paragraphs import (
    SHOWN,
    Explanation,
    Paragraph,
    Part,
    Section,
    and_more,
    formula,
    item,
    prose,
    quantifier_text,
    tuple_text,
    vector_text,
)
from identkit.results import CheckResult, ConditionResult
from identkit.vocabulary import Across, Agreement, Cause, Through, Verdict

SHOWN_TERMS = 15
"""Terms of the expansion printed before "…"."""


def explanation(result: CheckResult) -> Explanation:
    """The argument for every result, of shared experts as well, and the gauges."""
    other = result.shared
    parts = [_part(result, r) for r in result.results]
    if other is not None:
        parts += [replace(_part(other, r), title="Shared experts") for r in other.results]
    of_gauges = [gauges_part(each) for each in (result, other) if each is not None]
    beside = "" if other is None else f", beside shared {_label(other)}"
    known = resolve_gate(result.gate, result.likelihood).has_theory
    what = "Second-order nondegeneracy of" if known else "Conditions on"
    return Explanation(
        f"{what} {_label(result)} under the {result.gate} gate{beside}{statements.under(result)}",
        (*parts, *(part for part in of_gauges if part is not None)),
    )


def _label(result: CheckResult) -> str:
    expert = result.expert
    return f"`{expert.label}`" if expert.name == "custom" else expert.label


def _part(check: CheckResult, result: ConditionResult) -> Part:
    second = result.second_order
    title = statements.sentence(regime_title(result.regime) or f"Gate {check.gate}").rstrip(".")
    if statements.repeated(check, result):
        own = Section(f"The {result.condition} condition", tuple(_condition(result)))
        return Part(f"{title}: {result.condition}", (own,))
    through = resolve_likelihood(check.likelihood).through
    sections = [Section("Setting", tuple(_setting(check, result)))]
    if second is not None:
        sections += [
            Section("Functions", tuple(_functions(check, second))),
            Section("Relations", tuple(_relations(second, check.seen.symbol))),
            Section(
                "Moments left free",
                tuple(_facial(second, through)),
            ),
            Section("Conclusion", tuple(_conclusion(second))),
            Section("Counterexample", tuple(counterexample(check, second))),
            Section("What is identifiable", tuple(_identifiable(result, second))),
        ]
    else:
        sections += [
            Section(f"The {result.condition} condition", tuple(_condition(result))),
            Section("Premise", tuple(_premise(result.premise))),
        ]
    sections += [
        Section("Rate", tuple(_rate(check, result))),
        Section("Exceptional parameters", tuple(_exceptional(result.exceptional))),
    ]
    return Part(title, tuple(s for s in sections if s.paragraphs))


def _setting(check: CheckResult, result: ConditionResult) -> Iterator[Paragraph]:
    expert, gate = check.expert, resolve_gate(check.gate, check.likelihood)
    eta = tuple_text(expert.parameters)
    yield prose(
        f"The expert is `h(x, η)` below, with parameters `η = {eta}` and "
        f"{expert.dim} input{'s' if expert.dim > 1 else ''}; the {gate.name} gate gives an atom "
        f"the weight {gate.formula}."
    )
    yield formula(f"h(x, η) = {expert.written}")
    if check.seen.meaning:
        yield prose(f"It gives logits: {check.seen.meaning}.")
    seen = resolve_likelihood(check.likelihood)
    yield formula(seen.model)
    regime = gate.regime(result.regime)
    title = regime_title(result.regime)
    if regime is not None and title:
        yield prose(statements.sentence(f"{title}: {regime.meaning}"))
    if result.second_order is None:
        if regime is not None and regime.expansion is not None:
            yield prose(regime.expansion.argument)
        else:
            yield prose("The second-order question does not arise for this condition.")
        return
    if result.second_order.cause == Cause.NO_EXPANSION:
        why = statements.own_gate(check) or CAUSES[Cause.NO_EXPANSION]
        yield prose(f"Second order: {why}.")
        return
    own = ", Δν_i" if seen.through is Through.DENSITY else ""
    slopes = "Δβ1_i" if gate.router is None else "Δγ_i"
    if gate.router is not None:
        names = ", ".join(gate.router.parameters(expert.inputs))
        score = str(gate.router.score(expert.inputs))
        yield prose(f"The score is `π + β0`, with `γ = {names}` and")
        yield formula(f"π(x, γ) = {score},  W = exp(π + β0).")
    yield prose(
        f"Several fitted atoms surround one true atom. Let `δ_i = ({slopes}, Δη_i{own})` be the "
        "deviation of the i-th from it, `w_i` its weight and `w*` the true weight. The "
        f"coefficients of the expansion of `{seen.letter}_G − {seen.letter}_G*` are the moments"
    )
    yield formula("m0 = Σ w_i − w*,  m = Σ w_i·δ_i,  M = Σ w_i·δ_i·δ_iᵀ.")
    if regime is not None and regime.expansion is not None:
        yield prose(regime.expansion.argument)
    yield prose("Moments, not all 0, are invisible if the functions they multiply add up to 0.")


def _functions(check: CheckResult, second: SecondOrder) -> Iterator[Paragraph]:
    if not second.functions:
        return
    yield prose(
        f"To second order the moments multiply {len(second.functions)} "
        f"function{'s' if len(second.functions) > 1 else ''} of x, derivatives taken at the true "
        "atom:"
    )
    gate = resolve_gate(check.gate, check.likelihood)
    expansion = gate.expansion(second.regime)
    gates = expansion is not None and expansion.gates
    through = resolve_likelihood(check.likelihood).through
    space = space_of(subject(check.seen, gate), gates, through)
    if tuple(m.function.label for m in space.moments) == second.functions:
        terms = [f"{'½·' * (m.scale == 2)}{m.name}·{m.function.label}" for m in space.moments]
        more = " + …" if len(terms) > SHOWN_TERMS else ""
        yield formula(" + ".join(terms[:SHOWN_TERMS]) + more)
    else:
        more = ", …" if len(second.functions) > SHOWN_TERMS else ""
        yield formula(", ".join(second.functions[:SHOWN_TERMS]) + more)


def _relations(second: SecondOrder, symbol: str) -> Iterator[Paragraph]:
    if second.invisible:
        count = len(second.invisible)
        yield prose(
            "One relation among them holds for every x, and gives moments that do not show:"
            if count == 1
            else f"{count} relations among them hold for every x; each gives moments that do "
            "not show:"
        )
        for entry in second.invisible[:SHOWN]:
            yield formula(entry.equation)
            moments = ", ".join(f"`{name} = {value}`" for name, value in entry.moments)
            yield prose(f"that is, {moments}, all other moments 0.")
        yield from and_more(count)
    elif second.determinant is not None:
        yield prose("None: every moment is visible.")
    elif second.functions:
        yield prose("No relation is recorded.")
    witness = second.determinant
    if witness is not None:
        size = len(witness.points)
        left = ", ".join(f"`{label}`" for label in second.independent[:SHOWN_TERMS])
        if len(second.independent) > SHOWN_TERMS:
            left += f" and {len(second.independent) - SHOWN_TERMS} more"
        yield prose(
            f"No other moment is invisible: the {size}×{size} determinant of {left}, at rational "
            f"parameters of one atom and rational points, is not 0 (ball arithmetic at "
            f"{witness.precision} bits)."
        )
    for kink in second.kinks:
        yield from _kink(kink, symbol)


def _kink(kink: Kink, symbol: str) -> Iterator[Paragraph]:
    yield prose(
        f"{symbol} has a kink at `{kink.argument} = 0`. The relations above are about the regular "
        f"part of the second derivatives; the part on the kink {{`{kink.argument} = 0`}} must "
        "vanish separately."
    )
    if kink.moves:
        yield prose("That part vanishes only if `M y = 0` for the directions that move the kink:")
        for move in kink.moves[:SHOWN]:
            yield formula(f"y = {vector_text(move)}")
        yield from and_more(len(kink.moves))


_REASONS = {
    "coordinate": "a coordinate",
    "form": "a linear form in which h is written",
    "across": "a direction across an exact family",
}


_EACH = (
    "Facial reduction, one step after another: whenever `yᵀMy = 0` for every invisible moment "
    "still left, `M y = 0`, since `M ⪰ 0`."
)
_STEPS = {
    Through.VALUE: _EACH,
    Through.DENSITY: _EACH,
    Through.MEAN: "Invisible `M ⪰ 0` live on the directions `v` with `v·∇h = 0`: `M y = 0` for "
    "every y orthogonal to these.",
}


def _facial(second: SecondOrder, through: Through) -> Iterator[Paragraph]:
    if second.visible:
        yield prose(_STEPS[through])
        for step in dict.fromkeys(_step(y, through) for y in second.visible):
            yield item(step)
    if second.dual is not None:
        yield from _dual(second.dual)


def _step(y: Visible, through: Through) -> str:
    shown = f"`y = {vector_text(y.entries)}`"
    if through is Through.MEAN:
        return f"{shown}: `M y = 0` for every invisible moment."
    if y.reason == "kink":
        return (
            f"{shown}, with the part on the kink: `M y = 0` for every invisible moment, because "
            "that part must vanish as well."
        )
    why = _REASONS.get(y.reason, y.reason)
    return f"{shown}, {why}: `yᵀMy = 0` for every invisible moment, hence `M y = 0` since `M ⪰ 0`."


def _dual(dual: Dual) -> Iterator[Paragraph]:
    yield prose(
        f"For the moments left there is `D ≻ 0` with `⟨D, M⟩ = 0` for all of them, at and near "
        f"`η = {tuple_text(dual.at)}`; since `⟨D, M⟩ > 0` for every `M ⪰ 0` other than 0, none is "
        f"invisible, for {quantifier_text(dual.quantifier)}. The blocks of D:"
    )
    for names, rows in dual.blocks:
        entries = "; ".join(", ".join(row) for row in rows)
        yield formula(f"D{tuple_text(names)} = [{entries}]")


def _conclusion(second: SecondOrder) -> Iterator[Paragraph]:
    yield prose(f"Nondegenerate: {second.verdict}. {statements.sentence(second.reason)}")
    if second.quantifier is not None:
        yield prose(f"This holds for {quantifier_text(second.quantifier)}.")
    if second.verdict == Verdict.YES:
        yield prose(
            {
                Across.INDEPENDENT: "The functions of different true atoms are independent, so "
                "that each cell can be treated by itself.",
                Across.DEPENDENT: "This is for a single true atom: with several, functions of "
                "different atoms are dependent.",
            }.get(
                second.across_atoms,
                "This is proved for a single true atom; whether functions of several atoms mix "
                "is open.",
            )
        )
    for note in second.notes:
        yield prose(f"Note: {note}")


def _identifiable(result: ConditionResult, second: SecondOrder) -> Iterator[Paragraph]:
    if second.identifiable:
        yield prose("Locally: fitted atoms in a small enough cell around the true atom.")
    for entry in second.identifiable:
        if statements.said_by_orders(result, entry.quantity, entry.rate):
            yield item(f"`{entry.quantity}`: {entry.reason}; how fast, see below")
            continue
        yield item(f"`{entry.quantity}`: {entry.rate}; {entry.reason}")


def _condition(result: ConditionResult) -> Iterator[Paragraph]:
    yield prose(f"{statements.title(result)}: {result.verdict}.")
    for proof in result.counted:
        yield prose(statements.sentence(statements.claim(proof)))
        for relation in proof.relations[:SHOWN]:
            yield formula(relation.text)
        yield from and_more(len(proof.relations))


def _premise(premise: Premise | None) -> Iterator[Paragraph]:
    if premise is None:
        return
    yield prose("The theorem assumes that `f_G*` is not representable with `k > k*` atoms.")
    if premise.refits:
        yield prose("This premise fails; there are exact refits:")
        for refit in premise.refits:
            yield item(f"{refit.kind}: {refit.description}")
    else:
        found = statements.sentence(premise.verdict)
        yield prose(f"{found} No exact refit was found, which proves nothing.")
    if premise.searched:
        yield prose(f"Searched: {premise.searched}")


_AGREEMENT = {
    Agreement.UNCLAIMED: "no published claim to compare with",
    Agreement.PREMISE_FAILS: "the premise of the published theorem fails",
    Agreement.OPEN: "neither confirmed nor contradicted",
}


def _rate(check: CheckResult, result: ConditionResult) -> Iterator[Paragraph]:
    rate = result.rate
    if rate is None:
        return
    published = rate.published or "no claim known"
    agreement = _AGREEMENT.get(rate.agreement, rate.agreement)
    derived = statements.derived_rate(rate)
    each = statements.directions(result)
    yield prose(f"Published: {published}. Derived: {derived}. Agreement: {agreement}.")
    if each:
        yield prose(
            "An order r says that deviations of size t in a direction are compatible with a change "
            f"of T = {resolve_likelihood(check.likelihood).letter} by t^r, and with no smaller "
            f"one; its rate is n^(-1/(2r)). Derived: {each}."
        )
    for reason in rate.reasons:
        yield item(statements.sentence(reason))


def _exceptional(entries: Sequence[Exceptional]) -> Iterator[Paragraph]:
    if not entries:
        return
    yield prose("Sets of measure zero at which atoms lose independence:")
    for entry in entries[:SHOWN]:
        yield item(f"{entry.kind}: {entry.where}; for every x and η")
        yield formula(entry.relation)
    yield from and_more(len(entries))
