"""One HTML page about routers: tables of every layer and checkpoint, a figure, the data as JSON.

The page is one file that loads nothing (:mod:`identkit.report.page`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from identkit.rates.page.drawn import drawn_figure
from identkit.report import routers_document
from identkit.report.page import data_note, document, section, write
from identkit.report.page.pieces import counted, definitions, esc, row, signed, table
from identkit.report.routers_figure import alternative, figure
from identkit.report.routers_report import baselines, interval, most_specialised, number
from identkit.routers.metrics import LEAST_OCCURRENCES
from identkit.routers.records import Found, LayerFound

Column = tuple[str, str]
"""Head and cell."""


def write_page(path: str | os.PathLike[str], found: Found) -> None:
    """Write :func:`page` to a file, whole or not at all. Raises InputError."""
    write(path, page(found), "--html")


def page(found: Found) -> str:
    """The page as HTML text. Raises :class:`~identkit.errors.InputError` without matplotlib."""
    title = f"Routers of {os.path.basename(os.path.normpath(found.path))}"
    drawn = drawn_figure(
        "figure-routers", figure(found), "Routers", alternative(found), _caption(found), wide=True
    )
    sections = [("use", "Use of experts", _use(found))]
    if _compared(found):
        sections.append(("changes", "Over checkpoints", _changes(found)))
    sections.append(("figures", "Figure", f'<div class="figures">{drawn}</div>'))
    sections.append(("method", "Method and data", _method(found)))
    return document(
        title=title,
        kind="Routers",
        lead=_lead(found),
        links=[(key, name) for key, name, _ in sections],
        body="\n".join(section(*each) for each in sections),
        data={"title": title, **routers_document.document(found)},
    )


def _lead(found: Found) -> str:
    tops = " or ".join(str(top) for top in sorted({one.top for one in found.found}))
    tokens = max(one.tokens for one in found.found)
    text = (
        f"Top-{tops} of {counted(found.experts, 'expert')}, {counted(len(found.layers), 'layer')}, "
        f"{counted(len(found.checkpoints), 'checkpoint')}, {counted(tokens, 'token')}."
    )
    random = ", ".join(f"{esc(name)} {number(value)}" for name, value in baselines(found))
    return f"{text} Random routing would give {random}." if random else text


def _rows(found: Sequence[LayerFound], cells: Sequence[Sequence[str]]) -> list[str]:
    return [
        row(f"layer {one.layer}", [signed(c) for c in each])
        for one, each in zip(found, cells, strict=True)
    ]


def _table(
    key: str, caption: str, found: Sequence[LayerFound], columns: Sequence[Sequence[Column]]
) -> str:
    """Of the columns (one sequence for each layer) those that have a value somewhere."""
    heads = [head for head, _ in columns[0]]
    kept = [i for i in range(len(heads)) if any(each[i][1] not in ("–", "") for each in columns)]
    cells = [[esc(each[i][1]) for i in kept] for each in columns]
    return table(key, caption, ["", *(heads[i] for i in kept)], _rows(found, cells), "numbers")


def _use(found: Found) -> str:
    """A table of evenness, one of what experts share, for the last checkpoint."""
    last = [one for one in found.found if one.checkpoint == found.checkpoints[-1]]
    at = f"checkpoint {found.checkpoints[-1]}" if len(found.checkpoints) > 1 else "all tokens"
    even = [
        [
            ("Jain's index", interval(one.jain)),
            ("entropy over log n", interval(one.entropy)),
            ("Jain's index by weight", interval(one.jain_weight)),
            ("router entropy, nats", interval(one.router_entropy)),
            ("balance n Σ f P", interval(one.balance)),
            ("selected among the k most probable", interval(one.expected)),
            ("dead experts", ", ".join(map(str, one.dead)) or "none"),
            ("overloaded experts", ", ".join(map(str, one.overloaded)) or "none"),
        ]
        for one in last
    ]
    special = [
        [
            ("co-activation", interval(one.coactivation)),
            ("strongest pairs, P(b | a)", _pairs(one)),
            ("types: Jain's index", interval(one.over_types and one.over_types.jain)),
            ("vocabulary", interval(one.over_types and one.over_types.vocabulary)),
            ("random", _vocabulary_random(one)),
            ("domains, bits", interval(one.domains and one.domains.information)),
            ("most specialised", most_specialised(found, one)),
        ]
        for one in last
    ]
    tables = _table("evenness", f"Evenness, {at}", last, even) + _table(
        "specialisation", f"Co-activation and specialisation, {at}", last, special
    )
    if not found.between:
        return tables
    rows = [
        row(
            f"layers {b.layer} and {b.next}",
            [
                signed(esc(interval(b.information))), number(b.information.random),
                f"{b.a}, {b.b}: {b.b_given_a:.3f}",
            ],
        )
        for b in found.between
    ]  # fmt: skip
    heads = ["", "mutual information, bits", "random", "strongest pair, P(b | a)"]
    return tables + table("between", f"Between layers, {at}", heads, rows, "numbers")


def _pairs(one: LayerFound) -> str:
    shown = []
    for p in one.pairs:
        a, b = (p.a, p.b) if p.b_given_a >= p.a_given_b else (p.b, p.a)
        shown.append(f"{a}, {b}: {max(p.b_given_a, p.a_given_b):.3f}")
    return "; ".join(shown)


def _vocabulary_random(one: LayerFound) -> str:
    types = one.over_types
    return "–" if types is None or types.vocabulary is None else number(types.vocabulary.random)


def _compared(found: Found) -> list[LayerFound]:
    return [one for one in found.found if one.saturation is not None]


def _changes(found: Found) -> str:
    bodies = []
    typed = any(one.over_types is not None for one in _compared(found))
    heads = ["checkpoint", "saturation", "change to the next", "Jain's index"]
    heads += ["types: saturation", "types: change", "habits: saturation"] if typed else []
    for layer in found.layers:
        head = (
            f'<tr class="group"><th scope="rowgroup" colspan="{len(heads)}">layer {layer}</th></tr>'
        )
        rows = [head]
        for one in _compared(found):
            if one.layer == layer:
                types = one.over_types
                cells = [interval(one.saturation), interval(one.change), interval(one.jain)]
                if typed:
                    cells += [
                        interval(types and types.saturation), interval(types and types.change),
                        interval(types and types.modal_saturation),
                    ]  # fmt: skip
                rows.append(row(str(one.checkpoint), [esc(c) for c in cells]))
        bodies.append("<tbody>\n" + "\n".join(rows) + "\n</tbody>")
    caption = "What the same tokens select at each checkpoint"
    return table("by-checkpoint", caption, heads, bodies, "numbers")


def _caption(found: Found) -> str:
    text = "Bars are bootstrap intervals; dashed grey lines are random routing."
    return f"{text} Lines of the last panel: balanced, and {found.overloaded_above:g} times that."


def _method(found: Found) -> str:
    pairs = [
        ("Saturation", "Σ|E(t) ∩ E(T)|/(N k): the part of a token's experts that the last "
         "checkpoint T selects as well"),
        ("Change rate", "Σ|E(t+1) ∖ E(t)|/(N k)"),
        ("Jain's index", "(Σ r)²/(n Σ r²) of the shares of tokens r: 1 if even, 1/n if one "
         "expert has all"),
        ("Co-activation", "P(b | a) = N(a, b)/N(a) over all unordered pairs of a token's experts; "
         "the mean over a of the greatest"),
        ("Over types", f"each type of token counts once; the vocabulary specialisation is the mean "
         f"of the best expert's share of types with {LEAST_OCCURRENCES} occurrences or more"),
        ("Habits", "the k experts that a type selects most often, compared with those at the last "
         "checkpoint"),
        ("Domains", "mutual information of a token's domain and a selected expert"),
        ("Dead, overloaded", f"selected less than {found.dead_below:g} times, more than "
         f"{found.overloaded_above:g} times as often as if balanced"),
        ("Intervals", f"{found.level:.0%} bootstrap over blocks of at most {found.block:,} tokens, "
         f"over types by groups of types; {found.draws:,} draws, seed {found.seed}"),
        *(("Note", esc(note)) for note in found.notes),
    ]  # fmt: skip
    return f"{definitions(pairs)}\n{data_note(routers_document.SCHEMA, 'routers.json')}"
