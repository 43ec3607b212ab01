"""Pieces of a page's HTML: escaped text, tables, lists of terms."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


def esc(text: object) -> str:
    return html.escape(str(text))


def with_rates(text: str) -> str:
    """Escaped text with powers of n set as such."""
    return re.sub(r"n\^-(\d+(?:/\d+)?)", r'<span class="rate">n<sup>−\1</sup></span>', esc(text))


def signed(text: str) -> str:
    """With minus signs, which line up with digits."""
    return re.sub(r"-(?=[\d.])", "−", text)


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def table(key: str, caption: str, heads: Sequence[str], body: Iterable[str], kind: str = "") -> str:
    """A table that scrolls in a region of its own; ``heads`` are HTML, ``body`` rows or groups."""
    top = "".join(f'<th scope="col">{h}</th>' for h in heads)
    rows = "\n".join(body)
    if not rows.startswith("<tbody"):
        rows = f"<tbody>\n{rows}\n</tbody>"
    return (
        f'<div class="scroll" role="region" aria-labelledby="{key}-caption" tabindex="0">'
        f'<table id="{key}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>'
        f'<caption id="{key}-caption">{caption}</caption>'
        f"<thead><tr>{top}</tr></thead>\n{rows}\n</table></div>"
    )


def row(head: str, cells: Iterable[str]) -> str:
    return f'<tr><th scope="row">{head}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    inner = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in pairs)
    return f'<dl class="pairs">{inner}</dl>'
