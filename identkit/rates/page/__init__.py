"""One HTML page for rate experiments: published, certified, derived and observed side by side.

The page is one file that loads nothing: style, figures (SVG), certificates and the data as JSON are
in it. It reads without a script; the two lines of JavaScript open all sections for printing and
save the data. The same results give the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib import resources

from identkit import __version__
from identkit.errors import InputError
from identkit.files import write_whole
from identkit.rates import figures
from identkit.rates.density_result import DensityResult
from identkit.rates.page.density import densities_section, densities_summary
from identkit.rates.page.drawn import figures_section
from identkit.rates.page.experiment import experiments_section
from identkit.rates.page.pieces import definitions, esc, with_rates
from identkit.rates.page.verdicts import summary, verdicts_section
from identkit.rates.result import RateResult, settings_of_analysis
from identkit.rates.slopes import RATES
from identkit.report import rates_document


def write_page(
    path: str | os.PathLike[str],
    results: Sequence[RateResult | DensityResult],
    *,
    title: str,
    store: str | os.PathLike[str] | None = None,
) -> None:
    """Write :func:`page` to a file, whole or not at all. Raises InputError."""
    text = page(results, title=title, store=store)
    write_whole(path, lambda stream: stream.write(text.encode()))


def page(
    results: Sequence[RateResult | DensityResult],
    *,
    title: str,
    store: str | os.PathLike[str] | None = None,
) -> str:
    """The page as HTML text. ``store`` says where the fits are kept, for the reader.

    Raises :class:`~identkit.errors.InputError` for no results, and without matplotlib.
    """
    if not results:
        raise InputError("page: there are no results to show; give one or more.")
    densities = [r for r in results if isinstance(r, DensityResult)]
    others = [r for r in results if not isinstance(r, DensityResult)]
    names = figures.labels(others)
    documents = [rates_document.document(r) for r in results]
    data = json.dumps(
        {"title": title, "identkit": __version__, "results": documents},
        sort_keys=True, ensure_ascii=False, allow_nan=False,
    ).replace("<", r"\u003c")  # fmt: skip
    sections, links = [], []
    if others:
        sections = [
            verdicts_section(others, names),
            figures_section(others, names),
            experiments_section(others, names),
        ]
        links = [("verdicts", "Verdicts"), ("figures", "Figures"), ("experiments", "Experiments")]
    if densities:
        sections.append(densities_section(densities))
        links.append(("densities", "Densities"))
    links.append(("method", "Method and data"))
    navigation = [f'<a href="#{key}">{text}</a>' for key, text in links]
    body = "\n".join([*sections, _method(store)])
    lead = [summary(others, names)] if others else []
    if densities:
        lead.append(densities_summary(densities))
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
{data_file("page.css")}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>
<p class="kind">Rate experiments · identkit {esc(__version__)}</p>
<h1>{esc(title)}</h1>
<p class="lead">{" ".join(lead)}</p>
<nav aria-label="Sections">
{_in_rows(navigation)}
</nav>
</header>
<main id="main" tabindex="-1">
{body}
</main>
<footer><p>Made with identkit {esc(__version__)}. This file needs no connection.</p></footer>
<script type="application/json" id="data">{data}</script>
<script>
{data_file("page.js")}</script>
</body>
</html>
"""


def _in_rows(links: Sequence[str]) -> str:
    """Two in a line."""
    return "\n".join(" ".join(links[i : i + 2]) for i in range(0, len(links), 2))


def data_file(name: str) -> str:
    """Style sheet or script, a file beside this one."""
    return resources.files("identkit.rates.page").joinpath(name).read_text(encoding="utf-8")


def _method(store: str | os.PathLike[str] | None) -> str:
    a = settings_of_analysis()
    pairs = [
        ("Slope", "least squares of log median error on log n over all n of an experiment, which "
         "were fixed before the run"),
        ("Interval", f"{a['level']:.0%} percentile bootstrap, replicates resampled independently "
         f"at each n: {a['bootstrap']:,} draws, seed {a['bootstrap_seed']}"),
        ("Rates told apart", with_rates(", ".join(RATES))),
        ("Finite sizes", f"a slope may lie {a['finite_size']:g} beyond those a rate allows"),
        ("Analysed with", f"identkit {esc(a['identkit'])}"),
    ]  # fmt: skip
    if store is not None:
        pairs.append(("Fits", f"<code>{esc(os.fspath(store))}</code>"))
    return f"""<section aria-labelledby="method">
<h2 id="method">Method and data</h2>
{definitions(pairs)}
<p>All numbers of this page are in it as JSON (schemas <code>identkit.rates/1</code> and
<code>identkit.density-rates/1</code>, element <code>data</code>).
<button type="button" id="save-data" hidden>Download the data</button></p>
</section>"""


POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
