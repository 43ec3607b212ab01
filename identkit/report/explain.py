"""``identkit explain``: the second-order argument (theory section 4) as written on a page.

A check becomes an :class:`~identkit.report.paragraphs.Explanation` once; terminal, Markdown and
LaTeX only lay it out.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from identkit.report.argument import explanation
from identkit.report.markup import expert_latex
from identkit.report.notation import math_latex, pieces, text_latex
from identkit.report.paragraphs import Paragraph
from identkit.results import CheckResult


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
