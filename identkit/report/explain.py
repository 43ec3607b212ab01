"""``identkit explain``: the second-order argument (theory section 4) as written on a page.

A check becomes an :class:`Explanation` once; terminal, Markdown and LaTeX only lay it out. Text
marks inline formulas with backquotes; formulas are kept in the records' plain notation
(``a*∂h/∂a + b*∂h/∂b = h``, ``M[a,b]``), from which the LaTeX is made.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from identkit.atoms import expert_function
from identkit.causes import CAUSES
from identkit.degeneracy.moments import moment_space
from identkit.degeneracy.records import (
    Dual,
    Exceptional,
    Family,
    Kink,
    MomentWitness,
    Premise,
    RateFinding,
    RealisedAtoms,
    SecondOrder,
    Visible,
)
from identkit.gates import regime_title
from identkit.gates import resolve as resolve_gate
from identkit.report import statements
from identkit.report.markup import expert_latex
from identkit.report.notation import is_sum, math_latex, pieces, text_latex
from identkit.report.snippet import snippet
from identkit.results import QUANTIFIERS, CheckResult, ConditionResult
from identkit.vocabulary import Across, Agreement, Cause, FamilyKind, Quantifier, Verdict

SHOWN = 6
"""Entries of a list printed before "and n more"; all are in the JSON."""
SHOWN_TERMS = 15
"""Terms of the expansion printed before "…"."""


@dataclass(frozen=True)
class Paragraph:
    """``kind`` is ``text``, ``item`` (of a list), ``formula`` (displayed) or ``code`` (Python)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Section:
    """One step of the argument."""

    heading: str
    paragraphs: tuple[Paragraph, ...]


@dataclass(frozen=True)
class Part:
    """The argument for one regime."""

    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Explanation:
    """The document: one part per result of the check."""

    title: str
    parts: tuple[Part, ...]


def explanation(result: CheckResult) -> Explanation:
    """The argument for every result, empty sections left out."""
    expert = result.expert
    label = f"`{expert.label}`" if expert.name == "custom" else expert.label
    known = resolve_gate(result.gate, result.likelihood).has_theory
    what = "Second-order nondegeneracy of" if known else "Conditions on"
    return Explanation(
        f"{what} {label} under the {result.gate} gate{statements.under(result)}",
        tuple(_part(result, r) for r in result.results),
    )


def _text(text: str) -> Paragraph:
    return Paragraph("text", text)


def _item(text: str) -> Paragraph:
    return Paragraph("item", text)


def _formula(text: str) -> Paragraph:
    return Paragraph("formula", text)


def _sentence(text: str) -> str:
    """With a capital (unless it starts with a symbol) and a full stop."""
    text = text.strip()
    if re.match(r"[a-z]{2}|a ", text):
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _more(total: int) -> list[Paragraph]:
    return [_text(f"And {total - SHOWN} more (--json lists all).")] if total > SHOWN else []


def _tuple(entries: Sequence[str]) -> str:
    return f"({', '.join(entries)})"


def _quantifier(name: Quantifier | None) -> str:
    return "" if name is None else QUANTIFIERS[name]


# -- sections -------------------------------------------------------------------------------


def _part(check: CheckResult, result: ConditionResult) -> Part:
    second = result.second_order
    title = statements.sentence(regime_title(result.regime) or f"Gate {check.gate}").rstrip(".")
    if statements.repeated(check, result):
        own = Section(f"The {result.condition} condition", tuple(_condition(result)))
        return Part(f"{title}: {result.condition}", (own,))
    sections = [Section("Setting", tuple(_setting(check, result)))]
    if second is not None:
        sections += [
            Section("Functions", tuple(_functions(check, second))),
            Section("Relations", tuple(_relations(second))),
            Section("Moments left free", tuple(_facial(second))),
            Section("Conclusion", tuple(_conclusion(second))),
            Section("Counterexample", tuple(_counterexample(check, second))),
            Section("What is identifiable", tuple(_identifiable(second))),
        ]
    else:
        sections += [
            Section(f"The {result.condition} condition", tuple(_condition(result))),
            Section("Premise", tuple(_premise(result.premise))),
        ]
    sections += [
        Section("Rate", tuple(_rate(result.rate))),
        Section("Exceptional parameters", tuple(_exceptional(result.exceptional))),
    ]
    return Part(title, tuple(s for s in sections if s.paragraphs))


def _setting(check: CheckResult, result: ConditionResult) -> Iterator[Paragraph]:
    expert, gate = check.expert, resolve_gate(check.gate, check.likelihood)
    eta = _tuple(expert.parameters)
    yield _text(
        f"The expert is `h(x, η)` below, with parameters `η = {eta}` and "
        f"{expert.dim} input{'s' if expert.dim > 1 else ''}; the {gate.name} gate gives an atom "
        f"the weight {gate.formula}."
    )
    yield _formula(f"h(x, η) = {expert.written}")
    yield _formula("f_G(x) = Σ_i weight_i(x)·h(x, η_i)")
    regime = gate.regime(result.regime)
    title = regime_title(result.regime)
    if regime is not None and title:
        yield _text(_sentence(f"{title}: {regime.meaning}"))
    if result.second_order is None:
        if regime is not None and regime.expansion is not None:
            yield _text(regime.expansion.argument)
        else:
            yield _text("The second-order question does not arise for this condition.")
        return
    if result.second_order.cause == Cause.NO_EXPANSION:
        why = statements.own_gate(check) or CAUSES[Cause.NO_EXPANSION]
        yield _text(f"Second order: {why}.")
        return
    yield _text(
        "Several fitted atoms surround one true atom. Let `δ_i = (Δβ1_i, Δη_i)` be the deviation "
        "of the i-th from it, `w_i` its weight and `w*` the true weight. The coefficients of the "
        "expansion of `f_G − f_G*` are the moments"
    )
    yield _formula("m0 = Σ w_i − w*,  m = Σ w_i·δ_i,  M = Σ w_i·δ_i·δ_iᵀ.")
    if regime is not None and regime.expansion is not None:
        yield _text(regime.expansion.argument)
    yield _text("Moments, not all 0, are invisible if the functions they multiply add up to 0.")


def _functions(check: CheckResult, second: SecondOrder) -> Iterator[Paragraph]:
    if not second.functions:
        return
    yield _text(
        f"To second order the moments multiply {len(second.functions)} "
        f"function{'s' if len(second.functions) > 1 else ''} of x, derivatives taken at the true "
        "atom:"
    )
    expansion = resolve_gate(check.gate, check.likelihood).expansion(second.regime)
    gates = expansion is not None and expansion.gates
    space = moment_space(expert_function(check.expert), gates)
    if tuple(m.function.label for m in space.moments) == second.functions:
        terms = [f"{'½·' * (m.scale == 2)}{m.name}·{m.function.label}" for m in space.moments]
        more = " + …" if len(terms) > SHOWN_TERMS else ""
        yield _formula(" + ".join(terms[:SHOWN_TERMS]) + more)
    else:
        more = ", …" if len(second.functions) > SHOWN_TERMS else ""
        yield _formula(", ".join(second.functions[:SHOWN_TERMS]) + more)


def _relations(second: SecondOrder) -> Iterator[Paragraph]:
    if second.invisible:
        count = len(second.invisible)
        yield _text(
            "One relation among them holds for every x, and gives moments that do not show:"
            if count == 1
            else f"{count} relations among them hold for every x; each gives moments that do "
            "not show:"
        )
        for entry in second.invisible[:SHOWN]:
            yield _formula(entry.equation)
            moments = ", ".join(f"`{name} = {value}`" for name, value in entry.moments)
            yield _text(f"that is, {moments}, all other moments 0.")
        yield from _more(count)
    elif second.determinant is not None:
        yield _text("None: every moment is visible.")
    elif second.functions:
        yield _text("No relation is recorded.")
    witness = second.determinant
    if witness is not None:
        size = len(witness.points)
        left = ", ".join(f"`{label}`" for label in second.independent[:SHOWN_TERMS])
        if len(second.independent) > SHOWN_TERMS:
            left += f" and {len(second.independent) - SHOWN_TERMS} more"
        yield _text(
            f"No other moment is invisible: the {size}×{size} determinant of {left}, at rational "
            f"parameters of one atom and rational points, is not 0 (ball arithmetic at "
            f"{witness.precision} bits)."
        )
    for kink in second.kinks:
        yield from _kink(kink)


def _kink(kink: Kink) -> Iterator[Paragraph]:
    yield _text(
        f"h has a kink at `{kink.argument} = 0`. The relations above are about the regular part "
        f"of the second derivatives; the part on the kink {{`{kink.argument} = 0`}} must vanish "
        "separately."
    )
    if kink.moves:
        yield _text("That part vanishes only if `M y = 0` for the directions that move the kink:")
        for move in kink.moves[:SHOWN]:
            yield _formula(f"y = {_vector(move)}")
        yield from _more(len(kink.moves))


def _vector(entries: Sequence[tuple[str, str]]) -> str:
    """A functional of the deviations: ``a*Δb - b*Δa``."""
    text = ""
    for name, value in entries:
        negative = _is_negative(value)
        size = value[1:] if negative else value
        factor = "" if size == "1" else f"({size})*" if is_sum(size) else f"{size}*"
        sign = (" - " if negative else " + ") if text else ("-" if negative else "")
        text += f"{sign}{factor}Δ{name}"
    return text or "0"


def _is_negative(text: str) -> bool:
    return text.startswith("-") and not is_sum(text)


_REASONS = {
    "coordinate": "a coordinate",
    "form": "a linear form in which h is written",
    "across": "a direction across an exact family",
}


def _facial(second: SecondOrder) -> Iterator[Paragraph]:
    if second.visible:
        yield _text(
            "Facial reduction, one step after another: whenever `yᵀMy = 0` for every invisible "
            "moment still left, `M y = 0`, since `M ⪰ 0`."
        )
        for step in dict.fromkeys(map(_step, second.visible)):
            yield _item(step)
    if second.dual is not None:
        yield from _dual(second.dual)


def _step(y: Visible) -> str:
    shown = f"`y = {_vector(y.entries)}`"
    if y.reason == "kink":
        return (
            f"{shown}, with the part on the kink: `M y = 0` for every invisible moment, because "
            "that part must vanish as well."
        )
    why = _REASONS.get(y.reason, y.reason)
    return f"{shown}, {why}: `yᵀMy = 0` for every invisible moment, hence `M y = 0` since `M ⪰ 0`."


def _dual(dual: Dual) -> Iterator[Paragraph]:
    yield _text(
        f"For the moments left there is `D ≻ 0` with `⟨D, M⟩ = 0` for all of them, at and near "
        f"`η = {_tuple(dual.at)}`; since `⟨D, M⟩ > 0` for every `M ⪰ 0` other than 0, none is "
        f"invisible, for {_quantifier(dual.quantifier)}. The blocks of D:"
    )
    for names, rows in dual.blocks:
        entries = "; ".join(", ".join(row) for row in rows)
        yield _formula(f"D{_tuple(names)} = [{entries}]")


def _conclusion(second: SecondOrder) -> Iterator[Paragraph]:
    yield _text(f"Nondegenerate: {second.verdict}. {_sentence(second.reason)}")
    if second.quantifier is not None:
        yield _text(f"This holds for {_quantifier(second.quantifier)}.")
    if second.verdict == Verdict.YES:
        yield _text(
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
        yield _text(f"Note: {note}")


def _counterexample(check: CheckResult, second: SecondOrder) -> Iterator[Paragraph]:
    for family in second.families:
        yield from _family(check, family)
    if second.witness is not None:
        yield from _witness(check, second.witness)


_KINDS = {
    FamilyKind.REDUNDANT: "h does not change along it",
    FamilyKind.SCALE: "h is multiplied along it",
    FamilyKind.SPLIT: "h is affine along it",
    FamilyKind.PHASE: "h turns in a plane along it",
}


def _velocity(family: Family) -> str:
    terms = [(f"∂h/∂{p}", v) for p, v in family.velocity if v != "0"]
    return _vector(terms).replace("Δ", "") if terms else "0"


def _family(check: CheckResult, family: Family) -> Iterator[Paragraph]:
    if family.kind == FamilyKind.FLOW or not family.curve:
        yield _text(
            "Exact family (flow): with the velocity V below, h is multiplied along the flow of V "
            "(no closed form was found for the curve), by the factor "
            f"`r1` = {family.r1}:"
        )
        yield _formula(f"∂_V h = {_velocity(family)}")
    else:
        s, own = family.parameter, family.parameter + "_i"
        kind = _KINDS.get(family.kind, family.kind)
        yield _text(f"Exact family ({family.kind}: {kind}), a curve of atoms in `{s}`:")
        yield _formula(",  ".join(f"{p}({s}) = {image}" for p, image in family.curve))
        if family.kind == FamilyKind.SCALE and any(
            f"exp({s})" in image for _, image in family.curve
        ):
            name = next(n for n in ("c", "r", "k", "ρ") if n not in check.expert.parameters)
            yield _text(f"Write `{name} = exp({s})`, which is positive.")
        yield _text(f"At `{s} = {family.origin}` it is the true η. For every x and η")
        yield _formula(f"h(x, η({s})) = {_combination(family)}")
        if family.r2 != "0":
            yield _formula(f"∂_V h = {_velocity(family)}")
        yield _text(
            f"So fitted atoms under the true atom's gate, at positions `{own}` ({family.cell} or "
            "more), give the same f as it does, as soon as"
        )
    for condition in family.conditions:
        yield _formula(re.sub(r"·\((\w+(?:\(\w+\))?)\)", r"·\1", condition))
    if not family.curve:
        yield _text(f"Fitted atoms needed in the cell: {family.cell}.")
    if family.invariants:
        shown = ", ".join(f"`{q}`" for q in family.invariants)
        yield _text(f"Constant along the curve: {shown}.")
    if family.eta and family.positions and family.curve:
        eta = ", ".join(
            f"{p} = {v}" for p, v in zip(check.expert.parameters, family.eta, strict=False)
        )
        yield _text(
            f"For example at `{eta}`, with positions `{_tuple(family.positions)}` and weights over "
            f"`w*` as in this Python, which evaluates both sides:"
        )
        yield Paragraph("code", snippet(check, family))


def _combination(family: Family) -> str:
    """r1·h + r2·∂_V h with the values put in."""
    terms = []
    for factor, function in ((family.r1, "h(x, η)"), (family.r2, "∂_V h(x, η)")):
        if factor != "0":
            size = f"({factor})" if is_sum(factor) or factor.startswith("-") else factor
            terms.append(function if factor == "1" else f"{size}·{function}")
    return " + ".join(terms) or "0"


def _atoms(count: int) -> str:
    return f"{count} atom" if count == 1 else f"{count} atoms"


def _witness(check: CheckResult, witness: MomentWitness) -> Iterator[Paragraph]:
    yield _text(
        f"Invisible moments, for {_quantifier(witness.quantifier)}"
        + (f", with M of rank {witness.rank}:" if witness.rank else ":")
    )
    yield _formula(",  ".join(f"{name} = {value}" for name, value in witness.moments))
    yield _text("All others are 0. They do not show, because for every x")
    yield _formula(witness.equation)
    if witness.at and witness.realised is None:
        yield _text(f"Found at `η = {_tuple(witness.at)}`.")
    if witness.realised is not None:
        yield from _realised(check, witness.realised)


def _realised(check: CheckResult, atoms: RealisedAtoms) -> Iterator[Paragraph]:
    yield _text(
        f"They are realised by {_atoms(atoms.cell)} around `η = {_tuple(atoms.eta)}`, with weights "
        f"over `w*` and deviations `δ_i` along a path in t, to six digits "
        "(the true atom at `t = 0`):"
    )
    names = list(check.expert.parameters)
    width = len(atoms.drift)
    if width > len(names):
        slopes = width - len(names)
        names = (["β1"] if slopes == 1 else [f"β1_{i}" for i in range(slopes)]) + names
    if len(names) == width:
        yield _text(f"Coordinates of a deviation: `{_tuple([f'Δ{n}' for n in names])}`.")
    for i, (w, row) in enumerate(zip(atoms.weights, atoms.deviations, strict=True), 1):
        drift = "" if all(_zero(v) for v in atoms.drift) else f" + t^2·{_rounded(atoms.drift)}"
        yield _formula(f"w_{i}/w* = {w},  δ_{i} = t·{_rounded(row)}{drift}")
    if not _zero(atoms.weight_shift):
        yield _text(
            f"With `w* = {atoms.weight}` the weights change by `{_short(atoms.weight_shift)}·t^2` "
            "in all, spread over the atoms."
        )
    if atoms.order == "inf":
        yield _text("Measured, f does not change at seeded points, to within the precision used.")
    else:
        yield _text(
            "The loss is of order `t^2`; measured, `‖f_G − f_G*‖` is of order `t^p` with "
            f"p = {atoms.order} (root mean square over seeded points): a measurement, not a proof."
        )
    for t, norm in atoms.steps:
        yield _item(f"t = {t}: {norm}")


def _short(number: str) -> str:
    """A decimal to six digits."""
    try:
        value = float(number)
    except ValueError:
        return number
    return "0" if abs(value) < 1e-30 else f"{value:.6g}"


def _rounded(numbers: Sequence[str]) -> str:
    return _tuple([_short(n) for n in numbers])


def _zero(text: str) -> bool:
    try:
        return abs(float(text)) < 1e-30
    except ValueError:
        return False


def _identifiable(second: SecondOrder) -> Iterator[Paragraph]:
    if second.identifiable:
        yield _text("Locally: fitted atoms in a small enough cell around the true atom.")
    for entry in second.identifiable:
        yield _item(f"`{entry.quantity}`: {entry.rate}; {entry.reason}")


def _condition(result: ConditionResult) -> Iterator[Paragraph]:
    yield _text(f"{statements.title(result)}: {result.verdict}.")
    for proof in result.counted:
        yield _text(_sentence(statements.claim(proof)))
        for relation in proof.relations[:SHOWN]:
            yield _formula(relation.text)
        yield from _more(len(proof.relations))


def _premise(premise: Premise | None) -> Iterator[Paragraph]:
    if premise is None:
        return
    yield _text("The theorem assumes that `f_G*` is not representable with `k > k*` atoms.")
    if premise.refits:
        yield _text("This premise fails; there are exact refits:")
        for refit in premise.refits:
            yield _item(f"{refit.kind}: {refit.description}")
    else:
        yield _text(f"{_sentence(premise.verdict)} No exact refit was found, which proves nothing.")
    if premise.searched:
        yield _text(f"Searched: {premise.searched}")


_AGREEMENT = {
    Agreement.UNCLAIMED: "no published claim to compare with",
    Agreement.PREMISE_FAILS: "the premise of the published theorem fails",
    Agreement.OPEN: "neither confirmed nor contradicted",
}


def _rate(rate: RateFinding | None) -> Iterator[Paragraph]:
    if rate is None:
        return
    published = rate.published or "no claim known"
    agreement = _AGREEMENT.get(rate.agreement, rate.agreement)
    derived = statements.derived_rate(rate)
    yield _text(f"Published: {published}. Derived: {derived}. Agreement: {agreement}.")
    for reason in rate.reasons:
        yield _item(_sentence(reason))


def _exceptional(entries: Sequence[Exceptional]) -> Iterator[Paragraph]:
    if not entries:
        return
    yield _text("Sets of measure zero at which atoms lose independence:")
    for entry in entries[:SHOWN]:
        yield _item(f"{entry.kind}: {entry.where}; for every x and η")
        yield _formula(entry.relation)
    yield from _more(len(entries))


# -- layouts --------------------------------------------------------------------------------


def terminal(result: CheckResult) -> RenderableType:
    """For a terminal of 80 columns; snippets start in the first column, to be pasted."""
    document = explanation(result)
    blocks: list[RenderableType] = [Text(document.title.replace("`", ""), style="bold")]
    for part in document.parts:
        blocks.append(Text(f"\n{part.title}", style="bold"))
        for number, section in enumerate(part.sections, 1):
            blocks.append(Text(f"\n{number}. {section.heading}", style="bold"))
            blocks += [_terminal_block(p) for p in section.paragraphs]
    blocks.append(Text(f"\nidentkit {result.version}, {result.seconds:.2f} s", style="dim"))
    return Group(*blocks)


def _terminal_block(paragraph: Paragraph) -> RenderableType:
    plain = paragraph.text.replace("`", "")
    if paragraph.kind == "code":
        return Text(f"\n{paragraph.text}\n", no_wrap=True, style="cyan")
    if paragraph.kind == "formula":
        return Padding(Text(plain, overflow="fold", style="bold"), (0, 0, 0, 6))
    if paragraph.kind == "item":
        wrapped = textwrap.fill(plain, 74, subsequent_indent="  ", break_on_hyphens=False)
        return Padding(Text(f"- {wrapped}", overflow="fold"), (0, 0, 0, 3))
    return Padding(Text(plain, overflow="fold"), (0, 0, 0, 3))


def markdown(result: CheckResult) -> str:
    """Markdown with $…$ mathematics (GitHub, Jupyter, Pandoc)."""
    document = explanation(result)
    blocks = [f"# {_markdown_text(document.title)}"]
    for part in document.parts:
        blocks.append(f"## {part.title}")
        for number, section in enumerate(part.sections, 1):
            blocks.append(f"### {number}. {section.heading}")
            blocks += [_markdown_block(result, p) for p in section.paragraphs]
    blocks.append(f"identkit {result.version}, seed {result.options.seed}")
    return re.sub(r"(?m)^(- .*)\n\n(?=- )", r"\1\n", "\n\n".join(blocks)) + "\n"


def _markdown_block(result: CheckResult, paragraph: Paragraph) -> str:
    if paragraph.kind == "code":
        return f"```python\n{paragraph.text}\n```"
    if paragraph.kind == "formula":
        return f"$$\n{_display(result, paragraph.text)}\n$$"
    text = _markdown_text(paragraph.text)
    return f"- {text}" if paragraph.kind == "item" else text


def _markdown_text(text: str) -> str:
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        f"${math_latex(p[1:-1])}$" if p.startswith("`") else re.sub(r"([*_<])", r"\\\1", p)
        for p in parts
    )


def _display(result: CheckResult, text: str) -> str:
    """LaTeX of a displayed formula; the expert itself as SymPy writes it."""
    if text == f"h(x, η) = {result.expert.written}":
        return rf"h(x, \eta) = {expert_latex(result)}"
    return math_latex(text)


def latex(result: CheckResult) -> str:
    """A fragment for a paper: sections, displayed formulas, snippets verbatim. Needs amsmath."""
    document = explanation(result)
    lines = [
        f"% needs amsmath; identkit {result.version}, seed {result.options.seed}",
        rf"\section*{{{text_latex(document.title)}}}",
    ]
    for part in document.parts:
        lines.append(rf"\subsection*{{{text_latex(part.title)}}}")
        for section in part.sections:
            lines.append(rf"\paragraph{{{text_latex(section.heading)}.}}")
            lines += _latex_section(result, section.paragraphs)
    return "\n".join(lines) + "\n"


def _latex_section(result: CheckResult, paragraphs: Sequence[Paragraph]) -> Iterator[str]:
    layouts: dict[str, Callable[[str], str]] = {
        "text": text_latex,
        "item": lambda t: rf"\item {text_latex(t)}",
        "formula": lambda t: _latex_formula(result, t),
        "code": lambda t: f"\\begin{{verbatim}}\n{t}\n\\end{{verbatim}}",
    }
    listing = False
    for i, p in enumerate(paragraphs):
        if p.kind == "item" and not listing:
            yield r"\begin{itemize}"
            listing = True
        # a formula between two items belongs to the first
        if listing and p.kind != "item" and not (p.kind == "formula" and _item_near(paragraphs, i)):
            yield r"\end{itemize}"
            listing = False
        yield layouts[p.kind](p.text)
    if listing:
        yield r"\end{itemize}"


def _item_near(paragraphs: Sequence[Paragraph], index: int) -> bool:
    return index > 0 and paragraphs[index - 1].kind == "item"


def _latex_formula(result: CheckResult, text: str) -> str:
    """Displayed, over several lines if long."""
    if len(text) <= 90 or text == f"h(x, η) = {result.expert.written}":
        return rf"\[ {_display(result, text)} \]"
    rows: list[list[str]] = [[]]
    for piece in pieces(text):
        if rows[-1] and len(" ".join([*rows[-1], piece])) > 120:
            rows.append([])
        rows[-1].append(piece)
    if len(rows) == 1:
        return rf"\[ {' '.join(rows[0])} \]"
    body = " \\\\\n".join("  " + " ".join(row) for row in rows)
    return f"\\begin{{multline*}}\n{body}\n\\end{{multline*}}"
