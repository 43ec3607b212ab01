"""One HTML page for rate experiments: published, certified, derived and observed side by side.

The page is one file that loads nothing (:mod:`identkit.report.page`): figures (SVG), certificates
and the data are in it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from identkit import __version__
from identkit.errors import InputError
from identkit.rates import figures
from identkit.rates.density_result import DensityResult
from identkit.rates.page.density import densities_section, densities_summary
from identkit.rates.page.drawn import figures_section
from identkit.rates.page.experiment import experiments_section
from identkit.rates.page.verdicts import summary, verdicts_section
from identkit.rates.result import RateResult, settings_of_analysis
from identkit.rates.slopes import RATES
from identkit.report import rates_document
from identkit.report.page import data_note, document, section, write
from identkit.report.page.pieces import definitions, esc, with_rates


def write_page(
    path: str | os.PathLike[str],
    results: Sequence[RateResult | DensityResult],
    *,
    title: str,
    store: str | os.PathLike[str] | None = None,
) -> None:
    """Write :func:`page` to a file, whole or not at all. Raises InputError."""
    write(path, page(results, title=title, store=store))


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
    schemas = ", ".join(sorted({d["schema"] for d in documents}))
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
    lead = [summary(others, names)] if others else []
    if densities:
        lead.append(densities_summary(densities))
    return document(
        title=title,
        kind="Rate experiments",
        lead=" ".join(lead),
        links=links,
        body="\n".join([*sections, _method(store, schemas)]),
        data={"title": title, "identkit": __version__, "results": documents},
    )


def _method(store: str | os.PathLike[str] | None, schemas: str) -> str:
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
    note = data_note(schemas, "rates.json")
    return section("method", "Method and data", f"{definitions(pairs)}\n{note}")
