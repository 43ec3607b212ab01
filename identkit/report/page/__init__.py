"""One HTML page: what pages of identkit have in common.

A page is one file that loads nothing: style, figures and the data as JSON are in it. It reads
without a script; the few lines of JavaScript open all sections for printing and save the data.
The same data give the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from identkit import __version__
from identkit.files import write_whole
from identkit.report.page.pieces import esc

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
Link = tuple[str, str]
"""The id of a section and what it is called, as HTML."""


def document(
    *, title: str, kind: str, lead: str, links: Sequence[Link], body: str, data: Mapping[str, Any]
) -> str:
    """The page as HTML text; ``lead`` and ``body`` are HTML, ``body`` with :func:`data_note`."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="identkit {esc(__version__)}">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{esc(title)}</title>
<style>
{_data_file("page.css")}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>
<p class="kind">{kind} · identkit {esc(__version__)}</p>
<h1>{esc(title)}</h1>
<p class="lead">{lead}</p>
<nav aria-label="Sections">
{_in_rows([f'<a href="#{key}">{name}</a>' for key, name in links])}
</nav>
</header>
<main id="main" tabindex="-1">
{body}
</main>
<footer><p>Made with identkit {esc(__version__)}. This file needs no connection.</p></footer>
<script type="application/json" id="data">{text.replace("<", chr(92) + "u003c")}</script>
<script>
{_data_file("page.js")}</script>
</body>
</html>
"""


def section(key: str, title: str, body: str) -> str:
    """A section with the id ``key``; ``title`` and ``body`` are HTML."""
    return f'<section aria-labelledby="{key}">\n<h2 id="{key}">{title}</h2>\n{body}\n</section>'


def data_note(schema: str, name: str) -> str:
    """Where the data are, with the button that saves them as the file ``name``."""
    return f"""<p>All numbers of this page are in it as JSON (schema <code>{schema}</code>, element
<code>data</code>). <button type="button" id="save-data" data-name="{name}"
hidden>Download the data</button></p>"""


def write(path: str | os.PathLike[str], text: str, option: str = "") -> None:
    """Write a page to a file, whole or not at all. Raises InputError."""
    write_whole(path, lambda stream: stream.write(text.encode()), option)


def _in_rows(links: Sequence[str]) -> str:
    """Two in a line."""
    return "\n".join(" ".join(links[i : i + 2]) for i in range(0, len(links), 2))


def _data_file(name: str) -> str:
    """Style sheet or script, a file beside this one."""
    return resources.files("identkit.report.page").joinpath(name).read_text(encoding="utf-8")
