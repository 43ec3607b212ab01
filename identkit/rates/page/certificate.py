"""What was proved for an experiment: in words, as a file to download, as an argument."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator

from identkit.certificates.store import certificate_document
from identkit.conditions import condition
from identkit.rates.quantities import checked
from identkit.rates.result import RateResult
from identkit.report import statements
from identkit.report.argument import explanation
from identkit.report.json_text import dumps
from identkit.report.page.pieces import definitions, esc, with_rates
from identkit.report.paragraphs import Part
from identkit.results import ConditionResult, SetProof
from identkit.vocabulary import ProofKind

SHOWN_RELATIONS = 6
"""Relations of a proof listed before "and n more"; all are in the certificate."""


def certificate_part(number: int, result: RateResult) -> str:
    """Everything certified for the experiment of this number, which is in the file's name."""
    check = checked(result.experiment.setting)
    c = result.condition
    document = dumps(certificate_document(check)) + "\n"
    coded = base64.b64encode(document.encode()).decode()
    file = f"certificate-{number}.json"
    exceptional = statements.exceptional(check)
    argument = explanation(check).parts[0]
    return "\n".join(
        [
            "<h4>Certificate</h4>",
            f"<p><b>{esc(statements.title(c))}: {esc(c.verdict)}</b>, {esc(statements.scope(c))}. "
            f"{esc(statements.witness_scope(check))}.</p>",
            definitions(_proved(c, check.likelihood)),
            *(
                ["<p>Exceptional parameters (measure zero):</p>", _list(exceptional)]
                if exceptional
                else []
            ),
            f'<p><a class="button" download="{file}" '
            f'href="data:application/json;base64,{coded}">Download the certificate</a> '
            f'<span class="why">JSON, {len(document.encode()) / 1000:,.0f} kB; check it with '
            f"<code>identkit verify {file}</code></span></p>",
            f'<details class="argument"><summary>The argument, step by step</summary>'
            f'<div class="inside">{_argument(argument)}</div></details>',
        ]
    )


def _proved(c: ConditionResult, likelihood: str) -> Iterator[tuple[str, str]]:
    """Labels and texts of what was proved and how, those of the terminal's report."""
    yield "Functions", f"<code>{esc(condition(c.condition, c.level).formula)}</code>"
    for proof in c.counted:
        if len(c.proofs) > 1:
            yield "Set", esc(proof.title)
        done = proof.kind != ProofKind.NONE
        yield "Proved" if done else "Tried", esc(statements.sentence(statements.claim(proof)))
        if done:
            yield "Method", esc(statements.method(proof))
        if proof.relations:
            yield "Relations", _relations(proof)
        if statements.merges(proof):
            yield "Per atom", esc(statements.merges(proof))
        for note in proof.notes if done else ():
            yield "Note", esc(note)
    if c.coordinates:
        yield "Coordinates", esc(", ".join(c.coordinates))
    if statements.rank(c):
        yield "Rank", esc(statements.rank(c))
    yield "Published", with_rates(statements.published(c))
    if c.published is not None:
        yield "Agreement", esc(statements.agreement(c))
    names = {"second": "Second order", "locally": "Identifiable"}
    for label, text in statements.consequences(c, likelihood):
        yield names.get(label, label.capitalize()), with_rates(text)
    if c.rate is not None and c.rate.reasons:
        yield "Because", with_rates("; ".join(c.rate.reasons))


def _relations(proof: SetProof) -> str:
    shown = [f"<code>{esc(r.text)}</code>" for r in proof.relations[:SHOWN_RELATIONS]]
    more = len(proof.relations) - SHOWN_RELATIONS
    return "<br>".join([*shown, f"and {more} more"] if more > 0 else shown)


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{esc(item)}</li>' for item in items)}</ul>"


def _argument(part: Part) -> str:
    blocks = []
    for section in part.sections:
        blocks.append(f"<h5>{esc(section.heading)}</h5>")
        listing = False
        for paragraph in section.paragraphs:
            item = paragraph.kind == "item"
            if item != listing:
                blocks.append("<ul>" if item else "</ul>")
                listing = item
            if paragraph.kind in ("formula", "code"):
                blocks.append(
                    f'<pre tabindex="0" aria-label="{paragraph.kind}">{esc(paragraph.text)}</pre>'
                )
            else:
                text = re.sub(r"`([^`]*)`", r"<code>\1</code>", with_rates(paragraph.text))
                blocks.append(f"<li>{text}</li>" if item else f"<p>{text}</p>")
        if listing:
            blocks.append("</ul>")
    return "\n".join(blocks)
