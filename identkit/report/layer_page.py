"""One HTML page about a layer, or two beside each other: verdicts, gauges with proofs, changes.

The page is one file that loads nothing (:mod:`identkit.report.page`); what it says is what the
terminal says (:mod:`identkit.report.layer_words`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from identkit.layers.findings import Findings, LayerGauge
from identkit.report.layer_document import SCHEMA, layer_document
from identkit.report.layer_report import compared
from identkit.report.layer_words import (
    absent_rows,
    change_rows,
    decided_rows,
    decided_title,
    dimensions,
    gauge_rows,
    letters,
    read_rows,
    size_text,
    small_expert,
    title,
)
from identkit.report.page import Link, data_note, document, section, write
from identkit.report.page.pieces import definitions, esc, row, table, with_rates

Part = tuple[str, str, str]
"""The end of its id, its heading and what it holds, as HTML."""


def write_page(path: str | os.PathLike[str], *found: Findings) -> None:
    """Write :func:`page` to a file, whole or not at all. Raises InputError."""
    write(path, page(*found), "--html")


def page(*found: Findings) -> str:
    """The page of one layer, or of two that are compared, as HTML text."""
    names = [each.architecture.source for each in found]
    if len(found) == 1:
        sections = [(key, name, body) for key, name, body in _parts(found[0], "", 3)]
    else:
        sections = [
            ("differences", "What differs", _differences(found[0], found[1])),
            *(
                (f"layer{i}", esc(name), _folded(each, f"layer{i}-"))
                for i, (each, name) in enumerate(zip(found, names, strict=True), 1)
            ),
        ]
    sections.append(("method", "Method and data", _method(found)))
    links: list[Link] = [(key, name) for key, name, _ in sections]
    return document(
        title=title(found[0].architecture) if len(found) == 1 else " beside ".join(names),
        kind="Layer" if len(found) == 1 else "Layers",
        lead="<br>".join(_lead(each, len(found) > 1) for each in found),
        links=links,
        body="\n".join(section(*each) for each in sections),
        data=layer_document(*found),
    )


def _lead(found: Findings, named: bool) -> str:
    """The verdict: the rate of the layer as it is, and with the scale of units held."""
    said = []
    for scaled in (True, False):
        rows = [d for d in found.decided if d.scaled is scaled]
        alike = len({d.rate for d in rows}) == 1
        for d in rows[:1] if alike else rows:
            name = decided_title(d).partition(",")[0] if alike else decided_title(d)
            said.append(f"{esc(name)}: <b>{with_rates(d.rate)}</b>")
    own = f"<b>{esc(found.architecture.source)}</b>, " if named else ""
    size = f"{esc(size_text(found.architecture))}, gauges of {dimensions(found.dimension)}"
    return f"{own}{size}. Rate of the layer {'; '.join(said)}."


def _parts(found: Findings, prefix: str, level: int) -> Iterator[Part]:
    """What is said of one layer; headings in it are of this level."""
    yield f"{prefix}verdicts", "Verdicts", _verdicts(found, prefix, level)
    yield f"{prefix}read", "What was read", _listed(read_rows(found))
    yield f"{prefix}gauges", "Gauges", _gauges(found, level)
    yield f"{prefix}changes", "What a change buys", _changes(found, level)


def _folded(found: Findings, prefix: str) -> str:
    """The same, each part folded."""
    return "\n".join(
        f'<details id="{key}"><summary><h3>{name}</h3></summary>\n<div class="inside">{body}</div>'
        "</details>"
        for key, name, body in _parts(found, prefix, 4)
    )


def _verdicts(found: Findings, prefix: str, level: int) -> str:
    rows = [row(esc(decided_title(d)), [f"<b>{with_rates(d.rate)}</b>"]) for d in found.decided]
    heads = ["expert, estimate", "rate of the layer's parameters"]
    summary = table(f"{prefix}rates", "What is known of the layer itself", heads, rows)
    small = f"For an expert of {esc(small_expert(found))}; {esc(letters(found))}."
    blocks = [
        _heading(level, decided_title(each)) + _listed(decided_rows(each), code=("h",))
        for each in found.decided
    ]
    return f"{summary}\n<p>{small}</p>\n" + "\n".join(blocks)


def _gauges(found: Findings, level: int) -> str:
    intro = (
        f"<p>Other numbers, the same layer: {esc(dimensions(found.dimension))} that move under no "
        "condition.</p>"
    )
    blocks = [_heading(level, gauge.name) + _listed(_of_gauge(gauge)) for gauge in found.gauges]
    if found.absent:
        blocks.append(_heading(level, "No gauge") + _listed(absent_rows(found)))
    return "\n".join([intro, *blocks])


def _of_gauge(gauge: LayerGauge) -> list[tuple[str, str]]:
    size = [("dimension", f"{gauge.dimension:,}")] if gauge.dimension else []
    return [("action", gauge.action), *size, *gauge_rows(gauge)]


def _changes(found: Findings, level: int) -> str:
    intro = "<p>Each is checked with that small expert, by the command under it.</p>"
    blocks = [
        _heading(level, change.change)
        + _listed(change_rows(change))
        + f"<pre><code>{esc(change.command)}</code></pre>"
        for change in found.changes
    ]
    return "\n".join([intro, *blocks])


def _differences(one: Findings, other: Findings) -> str:
    names = [esc(each.architecture.source) for each in (one, other)]
    rows = compared(one, other)
    differ = [
        row(esc(what), [with_rates(first), with_rates(second)])
        for what, first, second in rows
        if first != second
    ]
    same = [(what, first) for what, first, second in rows if first == second]
    shown = table("table-differences", "Different", ["", *names], differ, "beside")
    return shown + (f"<h3>The same</h3>{_listed(same)}" if same else "")


def _method(found: tuple[Findings, ...]) -> str:
    settings = [
        ("seed", str(found[0].seed)),
        ("time limit", f"{found[0].time_limit:g} s for each layer"),
        *((f"time of {each.architecture.source}", f"{each.seconds:.2f} s") for each in found),
        ("proofs", "Gauges are found for an expert with one hidden unit and proved again with two "
         "units, two inputs and two outputs; verdicts are of the small expert under the registered "
         "gate. Undecided is neither yes nor no."),
    ]  # fmt: skip
    return _listed(settings) + data_note(SCHEMA, "layer.json")


def _listed(rows: Iterable[tuple[str, str]], code: tuple[str, ...] = ()) -> str:
    return definitions(
        (esc(name), f"<code>{esc(text)}</code>" if name in code else with_rates(text))
        for name, text in rows
    )


def _heading(level: int, text: str) -> str:
    return f"<h{level}>{esc(text)}</h{level}>"
