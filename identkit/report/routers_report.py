"""What routers do, for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from identkit.errors import shown
from identkit.routers.metrics import LEAST_OCCURRENCES
from identkit.routers.records import Found, LayerFound
from identkit.routers.resampling import Estimate

WIDTH = 80
MOST_ROWS = 40
"""Rows of layers and checkpoints that are listed; beyond, there are means over layers."""
MOST_NAME = 12
"""Characters of the name of a domain."""
MOST_NAMED = 8
"""Experts that are listed in a row."""


def number(value: float | None) -> str:
    """Of three decimals, five from 0.995 on: indices near 1 differ there.

    >>> number(0.5), number(0.99991), number(1.0)
    ('0.500', '0.99991', '1')
    """
    if value is None or value != value:
        return "–"
    if value in (0.0, 1.0):
        return f"{value:.0f}"
    return f"{value:.5f}" if 0.995 <= value < 1.0 or 0.0 < value < 0.005 else f"{value:.3f}"


def interval(estimate: Estimate | None) -> str:
    """The value with its interval in brackets."""
    if estimate is None:
        return "–"
    if estimate.low is None:
        return number(estimate.value)
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def baselines(found: Found) -> list[tuple[str, float]]:
    """(metric, its value under random routing) where one number is for all layers; else none."""
    tops = {one.top for one in found.found}
    if len(tops) > 1:
        return []
    top, n = tops.pop(), found.experts
    pairs = [("saturation", top / n), ("change", 1.0 - top / n)]
    jain = [one.jain.random for one in found.found if one.jain.random is not None]
    pairs += [("Jain", min(jain))]
    return pairs + ([("P(b|a)", (top - 1) / (n - 1))] if top > 1 and n > 1 else [])


def terminal(found: Found) -> RenderableType:
    """The report."""
    last = [one for one in found.found if one.checkpoint == found.checkpoints[-1]]
    blocks: list[RenderableType] = [_head(found)]
    for title, lines in (
        (_at(found), _use(last)),
        ("experts", _experts(found, last)),
        (f"over types of tokens{_types(last)}", _over_types(last)),
        ("weights and probabilities of the router", _router(last)),
        ("domains", _domains(found, last)),
        ("between layers", _between(found)),
        ("over checkpoints", _changes(found)),
    ):
        if lines:
            blocks.append(Text(f"\n{title}", style="bold"))
            blocks += [Text(line) for line in lines]
    blocks += [Text(""), *(Text(line, style="dim") for line in _foot(found))]
    return Group(*blocks)


def _head(found: Found) -> Text:
    tops = sorted({one.top for one in found.found})
    tokens = sorted({one.tokens for one in found.found})
    many = f"{tokens[0]:,}" if len(tokens) == 1 else f"{tokens[0]:,} to {tokens[-1]:,}"
    what = (
        f"top-{' or '.join(map(str, tops))} of {found.experts} experts, "
        f"{_count(len(found.layers), 'layer')}, "
        f"{_count(len(found.checkpoints), 'checkpoint')}, {many} tokens"
    )
    lines = [shown(found.path), *_wrapped(what)]
    random = ", ".join(f"{name} {number(value)}" for name, value in baselines(found))
    return Text("\n".join([*lines, *(_wrapped(f"random routing: {random}") if random else [])]))


def _at(found: Found) -> str:
    if len(found.checkpoints) == 1:
        return "use of the experts"
    return f"use of the experts at the last checkpoint, {found.checkpoints[-1]}"


def _use(last: Sequence[LayerFound]) -> list[str]:
    rows = [
        (
            str(one.layer), interval(one.jain), interval(one.entropy),
            str(len(one.dead)), str(len(one.overloaded)),
        )
        for one in last
    ]  # fmt: skip
    return _table(("layer", "Jain's index", "entropy", "dead", "over"), rows, MOST_ROWS)


def _experts(found: Found, last: Sequence[LayerFound]) -> list[str]:
    lines: list[str] = []
    for one in last:
        if one.dead:
            lines += _wrapped(f"layer {one.layer}: dead {_named(one.dead)}", "  ")
        if one.overloaded:
            most = max(one.overloaded, key=lambda e: one.shares[e])
            share = f"{most} by {one.shares[most]:.1%} of the tokens"
            lines += _wrapped(
                f"layer {one.layer}: overloaded {_named(one.overloaded)} ({share})", "  "
            )
    lines = _cut(lines, MOST_ROWS // 2)
    pairs = [one for one in last if one.pairs]
    if pairs:
        rows = []
        for one in pairs:
            pair = one.pairs[0]
            a, b = (pair.a, pair.b) if pair.b_given_a >= pair.a_given_b else (pair.b, pair.a)
            part = max(pair.b_given_a, pair.a_given_b)
            rows.append((str(one.layer), interval(one.coactivation), f"{a}, {b}: {part:.3f}"))
        heads = ("layer", "co-activation, mean of max P(b|a)", "strongest a, b: P(b|a)")
        lines += _table(heads, rows, MOST_ROWS)
    return lines


def _types(last: Sequence[LayerFound]) -> str:
    seen = {one.over_types.types for one in last if one.over_types is not None}
    return f" ({_count(max(seen), 'type')}, each counted once)" if seen else ""


def _over_types(last: Sequence[LayerFound]) -> list[str]:
    rows = []
    frequent, random = 0, None
    for one in last:
        types = one.over_types
        if types is not None:
            rows.append((str(one.layer), interval(types.jain), interval(types.vocabulary)))
            frequent = max(frequent, types.frequent)
            random = types.vocabulary.random if types.vocabulary is not None else random
    if not rows:
        return []
    lines = _table(("layer", "Jain's index", "vocabulary specialisation"), rows, MOST_ROWS)
    said = "" if random is None else f"; random routing {number(random)}"
    return lines + _wrapped(
        f"vocabulary: over {_count(frequent, 'type')} with {LEAST_OCCURRENCES} occurrences or "
        f"more{said}",
        "  ",
    )


def _router(last: Sequence[LayerFound]) -> list[str]:
    columns = [
        (head, [getattr(one, name) for one in last])
        for head, name in (
            ("Jain by weight", "jain_weight"),
            ("entropy", "router_entropy"),
            ("balance", "balance"),
            ("selected = top", "expected"),
        )
    ]
    kept = [(head, values) for head, values in columns if any(v is not None for v in values)]
    if not kept:
        return []
    rows = [
        (str(one.layer), *(number(None if v[i] is None else v[i].value) for _, v in kept))
        for i, one in enumerate(last)
    ]
    lines = _table(("layer", *(head for head, _ in kept)), rows, MOST_ROWS)
    said = {
        "entropy": "entropy: of the probabilities of all experts, nats",
        "balance": "balance: n Σ f P, which is k where experts are used evenly",
        "selected = top": "selected = top: the part of the selected experts that are the k most "
        "probable; below 1 there is a selection bias or grouping, and logits do not say what is "
        "selected",
    }
    for head, _ in kept:
        lines += _wrapped(said[head], "  ") if head in said else []
    return lines


def _domains(found: Found, last: Sequence[LayerFound]) -> list[str]:
    rows = []
    for one in last:
        if one.domains is not None:
            random = number(one.domains.information.random)
            rows.append((
                str(one.layer), interval(one.domains.information), random,
                most_specialised(found, one),
            ))  # fmt: skip
    heads = ("layer", "mutual information, bits", "random", "most specialised")
    return _table(heads, rows, MOST_ROWS) if rows else []


def most_specialised(found: Found, one: LayerFound) -> str:
    """The domain and expert whose part exceeds the expert's share of all tokens most."""
    if one.domains is None:
        return "–"
    _, d, e = max(
        (share - one.shares[e], d, e)
        for d, shares in enumerate(one.domains.shares)
        for e, share in enumerate(shares)
    )
    name = shown(found.domain_names[d])
    name = name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}…"
    return f"{name}: {e}, {one.domains.shares[d][e]:.1%} (all {one.shares[e]:.1%})"


def _between(found: Found) -> list[str]:
    rows = [
        (
            f"{b.layer}, {b.next}",
            interval(b.information),
            number(b.information.random),
            f"{b.a}, {b.b}: {b.b_given_a:.3f}",
        )
        for b in found.between
    ]
    heads = ("layers", "mutual information, bits", "random", "strongest a, b: P(b|a)")
    return _table(heads, rows, MOST_ROWS) if rows else []


def _changes(found: Found) -> list[str]:
    compared = [one for one in found.found if one.saturation is not None]
    if not compared:
        return []
    typed = any(one.over_types is not None for one in compared)
    heads = ("layer", "checkpoint", "saturation", "change to the next")
    if len(compared) <= MOST_ROWS:
        rows = [
            (str(o.layer), str(o.checkpoint), interval(o.saturation), interval(o.change))
            for o in compared
        ]
        lines = _table(heads, rows, MOST_ROWS)
        if not typed:
            return lines
        rows = [
            (
                str(o.layer),
                str(o.checkpoint),
                interval(o.over_types and o.over_types.saturation),
                interval(o.over_types and o.over_types.modal_saturation),
            )
            for o in compared
        ]
        heads = ("layer", "checkpoint", "saturation over types", "of their habits")
        lines += ["", *_table(heads, rows, MOST_ROWS)]
        return lines + _wrapped(
            "habits: the k experts that a type selects most often, as some scripts compare", "  "
        )
    rows = []
    for t in found.checkpoints:
        here = [one for one in compared if one.checkpoint == t]
        rows.append((
            str(t), _spread([o.saturation for o in here]), _spread([o.change for o in here])
        ))  # fmt: skip
    lines = _table(("checkpoint", "saturation", "change to the next"), rows, MOST_ROWS)
    more = " and averages over types" if typed else ""
    return lines + _wrapped(f"means over layers [least, greatest]; layers{more}: --json", "  ")


def _spread(estimates: Sequence[Estimate | None]) -> str:
    values = [e.value for e in estimates if e is not None]
    if not values:
        return "–"
    mean = sum(values) / len(values)
    return f"{number(mean)} [{number(min(values))}, {number(max(values))}]"


def _foot(found: Found) -> list[str]:
    lines: list[str] = []
    if found.draws and any(one.jain.low is not None for one in found.found):
        lines += _wrapped(
            f"in brackets: {found.level:.0%} bootstrap intervals over blocks of at most "
            f"{found.block:,} tokens, those over types over groups of types; {found.draws:,} "
            f"draws, seed {found.seed}"
        )
    lines += _wrapped(
        f"dead: selected less than {found.dead_below:g} times as often as if balanced; over: more "
        f"than {found.overloaded_above:g} times"
    )
    for note in found.notes:
        lines += _wrapped(note, "note: ")
    return lines


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], most: int) -> list[str]:
    """Lines with columns as wide as they must be, aligned on the left."""
    rows = list(rows)
    shown_rows = rows[:most]
    columns = list(zip(heads, *shown_rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *shown_rows)
    ]
    more = len(rows) - most
    return lines + ([f"  and {more:,} more (--json has all)"] if more > 0 else [])


def _cut(lines: list[str], most: int) -> list[str]:
    if len(lines) <= most:
        return lines
    return [*lines[:most], f"  and {len(lines) - most:,} lines more (--json has all)"]


def _named(experts: Sequence[int]) -> str:
    first = ", ".join(map(str, experts[:MOST_NAMED]))
    more = len(experts) - MOST_NAMED
    return first if more <= 0 else f"{first} and {more:,} more"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _wrapped(text: str, label: str = "") -> list[str]:
    blank = " " * len(label)
    return textwrap.wrap(text, WIDTH, initial_indent=label, subsequent_indent=blank)
