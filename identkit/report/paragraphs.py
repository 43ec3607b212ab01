"""What an explanation is made of: paragraphs, in sections, in parts.

Text marks inline formulas with backquotes; formulas are kept in the records' plain notation
(``a*∂h/∂a + b*∂h/∂b = h``, ``M[a,b]``), from which the LaTeX is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from identkit.report.notation import is_sum
from identkit.results import QUANTIFIERS
from identkit.vocabulary import Quantifier

SHOWN = 6
"""Entries of a list printed before "and n more"; all are in the JSON."""


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


def prose(text: str) -> Paragraph:
    return Paragraph("text", text)


def item(text: str) -> Paragraph:
    return Paragraph("item", text)


def formula(text: str) -> Paragraph:
    return Paragraph("formula", text)


def and_more(total: int) -> list[Paragraph]:
    return [prose(f"And {total - SHOWN} more (--json lists all).")] if total > SHOWN else []


def tuple_text(entries: Sequence[str]) -> str:
    return f"({', '.join(entries)})"


def quantifier_text(name: Quantifier | None) -> str:
    return "" if name is None else QUANTIFIERS[name]


def vector_text(entries: Sequence[tuple[str, str]]) -> str:
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
