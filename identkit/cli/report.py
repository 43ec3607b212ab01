"""``identkit report``: the page of a store."""

from __future__ import annotations

import argparse
import os

from identkit.cli.progress import require, work_bar
from identkit.cli.run import observed
from identkit.errors import InputError


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    report = commands.add_parser(
        "report",
        help="one HTML page of a store: verdicts, figures, certificates",
        description="Write one self-contained HTML page: published, certified and observed rates "
        "side by side, figures, certificates, settings, versions. It opens offline.",
        epilog="example: identkit report table.sqlite --out table.html",
    )
    report.set_defaults(run=run)
    report.add_argument("store", metavar="STORE", help="a store written by rates or sweep")
    report.add_argument("--out", metavar="FILE.html", help="where to (the store's name .html)")
    report.add_argument("--title", metavar="TEXT", help="the page's heading")


def run(options: argparse.Namespace) -> int:
    """Write the page of a store; the exit code."""
    require("report", "numpy", "torch", "numba", "matplotlib", extra="figures")
    from identkit.files import regular
    from identkit.rates.page import write_page
    from identkit.rates.store import Store

    out = options.out or f"{os.path.splitext(options.store)[0]}.html"
    regular(out, out)
    with Store.open(options.store, read_only=True) as store:
        experiments = store.experiments()
        if not experiments:
            raise InputError(f"{options.store}: it holds no experiment; run one first.")
        results = []
        with work_bar() as bar:
            for i, experiment in enumerate(experiments):
                results.append(observed(experiment, store))
                bar(i + 1, len(experiments), i + 1, len(experiments), experiment.name)
    title = options.title or os.path.splitext(os.path.basename(options.store))[0]
    write_page(out, results, title=title, store=options.store)
    print(f"page written to {out}")
    return 0
