"""The gauges of an architecture: a line each, and the argument with measures to paste."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from identkit.architecture.examples import examples_of
from identkit.architecture.halves import EXCHANGE
from identkit.architecture.records import ExactAtom, ExactMeasure, Example, FoundGauge, NoGauge
from identkit.architecture.search import SCALE
from identkit.checking import SHARED
from identkit.expression import CONSTANTS
from identkit.functions import FUNCTIONS
from identkit.layout import SLOPE
from identkit.likelihoods import resolve
from identkit.report import statements
from identkit.report.paragraphs import Paragraph, Part, Section, formula, item, prose
from identkit.report.snippet import CODE_WIDTH, wrapped
from identkit.results import CheckResult
from identkit.vocabulary import GaugeKind, Half

SHOWN_GAUGES = 6
"""Lines of a report; all are in the JSON."""
BETWEEN = (EXCHANGE, "further gauges", SCALE)
"""How those gauges begin of which a report says that none was found; all are in the JSON."""


def lines(result: CheckResult) -> list[str]:
    """What a report says: an action and its condition in each line; cells are said elsewhere."""
    shown = [g for g in result.gauges if g.kind is not GaugeKind.CELL]
    found = [_line(gauge) for gauge in shown[:SHOWN_GAUGES]]
    if len(shown) > SHOWN_GAUGES:
        found.append(f"and {len(shown) - SHOWN_GAUGES} more (--json lists all)")
    return found + [_none(n) for n in result.no_gauges if n.name.startswith(BETWEEN)]


def _line(gauge: FoundGauge) -> str:
    where = f"  [{gauge.where}]" if gauge.where else ""
    doubt = "" if gauge.proved else "; declared by the gate, not proved here"
    return f"{gauge.name}: {gauge.action}{where}{doubt}"


def _none(none: NoGauge) -> str:
    return f"{none.name}: {'none' if none.excluded else 'not found'}; {none.reason}"


# -- the argument ---------------------------------------------------------------------------------

_WHY = {
    GaugeKind.GATE: "Every weight is multiplied by the same function of x, which the sum over "
    "atoms divides out, whatever the experts.",
    GaugeKind.COPIES: "Each of the two copies multiplies the weights of all atoms by one function "
    "of x, so that numerator and denominator gain the same factor, their sum.",
    GaugeKind.ORBIT: "h is the same function of x all along the curve.",
    GaugeKind.CELL: "h stays in the span of h and `∂_V h` along the curve, and the conditions on "
    "weights and positions make the sum the same.",
    GaugeKind.SYMMETRY: "The atom is the same function of x.",
    GaugeKind.EXCHANGE: "Routed weights that are constants make `p = ½·Σ (P_c + Q_c)·N_c`, with "
    "P and Q the weights of the shared and of the routed half on pairs c of a function and a "
    "variance: only P + Q is seen.",
    GaugeKind.TRANSPORT: "Only P + Q is seen, so that weight can go over for any of the n pairs "
    "that both halves have, as long as both keep their sum: n − 1 continuous parameters. Where "
    "distinct functions differ at almost every x, p leaves nothing else open between halves of "
    "constant gates.",
}


OWN_WEIGHT = "The weight of the atom is the same function of x, for any atom by itself."


def gauges_part(result: CheckResult) -> Part | None:
    """The part of an explanation on gauges; None where nothing was looked for."""
    sections = [
        Section(_heading(gauge), tuple(_argument(result, gauge, example)))
        for gauge, example in examples_of(result)
    ]
    if result.no_gauges:
        none = [item(statements.sentence(_none(n))) for n in result.no_gauges]
        sections.append(Section("Looked for without success", tuple(none)))
    title = "Gauges" if result.gate != SHARED else "Gauges of shared experts"
    return Part(title, tuple(sections)) if sections else None


def _heading(gauge: FoundGauge) -> str:
    name = gauge.name[0].upper() + gauge.name[1:]
    return f"{name} (shared experts)" if gauge.half is Half.SHARED else name


def _argument(
    result: CheckResult, gauge: FoundGauge, example: Example | None
) -> Iterator[Paragraph]:
    letter = resolve(result.likelihood).letter
    yield from _action(gauge.action)
    yield prose(OWN_WEIGHT if gauge.each and gauge.kind is GaugeKind.GATE else _WHY[gauge.kind])
    if gauge.where:
        yield prose(statements.sentence(f"where {gauge.where}"))
    if gauge.kind is not GaugeKind.TRANSPORT:
        count = f"{gauge.dimension} continuous parameter{'s' * (gauge.dimension != 1)}"
        what = count if gauge.dimension else "a finite symmetry"
        yield prose(statements.sentence(f"{what}{' of each atom' if gauge.each else ''}"))
    how = "Proved" if gauge.proved else "Not proved here"
    rests = f" (claims {', '.join(gauge.rests_on)})" if gauge.rests_on else ""
    yield prose(f"{how}: {gauge.method}{rests}.")
    if example is None:
        yield prose("No example with short numbers was found.")
        return
    yield prose(
        f"For example G and G′ below, with the same {letter}: the normal form of "
        f"`{letter}_G − {letter}_G′` is 0."
    )
    yield Paragraph("code", example_code(example))


def _action(text: str) -> Iterator[Paragraph]:
    """Formulas on their own lines, words in a sentence."""
    formulas, *words = re.split(r",? (?=for all atoms|in two copies|at s_1)", text, maxsplit=1)
    if "leaves" in formulas:
        yield prose(statements.sentence(text))
        return
    yield formula(formulas)
    yield from (prose(statements.sentence(own)) for own in words)


def example_code(example: Example) -> str:
    """Both measures, side by side in a comment and then as Python."""
    both = (example.given, example.alternative)
    listed = [rows(measure) for measure in both]
    width = max(map(len, ("G", *listed[0]))) + 3
    table = [
        f"# {left:{width}}{right}".rstrip()
        for left, right in _side_by_side([["G", *listed[0]], ["G′", *listed[1]]])
    ]
    named = zip(("G", "G_alternative"), both, strict=True)
    return "\n".join([*(t for t in table if len(t) <= CODE_WIDTH), *measures_code(named)])


def measures_code(named: Iterable[tuple[str, ExactMeasure]]) -> list[str]:
    """Lines of Python that define measures by name, with what they need of math."""
    lines, text = [], ""
    for name, measure in named:
        lines += [f"{name} = {{", *_half("routed", measure.routed)]
        lines += [*_half("shared", measure.shared), "}"]
        text += " ".join(n for a in (*measure.routed, *measure.shared) for n in _numbers(a)) + " "
    known = sorted({*FUNCTIONS, *CONSTANTS} & set(re.findall(r"[a-z]+", text)))
    return [f"from math import {', '.join(known)}", "", *lines] if known else lines


def _side_by_side(columns: Sequence[list[str]]) -> list[tuple[str, str]]:
    count = max(map(len, columns))
    left, right = ([*c, *[""] * (count - len(c))] for c in columns)
    return list(zip(left, right, strict=True))


def rows(measure: ExactMeasure) -> list[str]:
    """One atom a row: the half, the numbers of its gate; η; ν."""
    halves = (("routed", measure.routed), ("shared", measure.shared))
    return [f"{half} ({_row(atom)})" for half, atoms in halves for atom in atoms]


def _row(atom: ExactAtom) -> str:
    gate = ", ".join(text for _, texts in atom.weight for text in texts)
    parts = [gate, ", ".join(text for _, text in atom.eta)]
    return "; ".join([*parts, *([] if atom.variance is None else [atom.variance])])


def _numbers(atom: ExactAtom) -> list[str]:
    gate = [text for _, texts in atom.weight for text in texts]
    return [*gate, *(text for _, text in atom.eta), atom.variance or ""]


def _half(name: str, atoms: Sequence[ExactAtom]) -> list[str]:
    if not atoms:
        return [f'    "{name}": [],']
    rows = []
    for atom in atoms:
        own = {b: f"[{', '.join(v)}]" if b == SLOPE.name else v[0] for b, v in atom.weight}
        gate = [f'"{block}": {value}' for block, value in own.items()]
        eta = ", ".join(f'"{p}": {text}' for p, text in atom.eta)
        variance = [] if atom.variance is None else [f'"variance": {atom.variance}']
        entry = ", ".join([*gate, f'"eta": {{{eta}}}', *variance])
        rows += wrapped(f"{{{entry}}},", " " * 8)
    return [f'    "{name}": [', *rows, "    ],"]
