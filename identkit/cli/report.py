"""``identkit report``: the page of a store."""

from __future__ import annotations

import argparse

from identkit.cli.progress import require, work_bar
from identkit.files import check_target


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    report = commands.add_parser(
        "report",
        help="one HTML page of a store: verdicts, figures, certificates",
        description="Write one self-contained HTML page: published, certified and observed rates "
        "side by side, figures, certificates, settings, versions. It opens offline.",
        epilog="example: identkit report table.sqlite --out table.html",
    )
    report.set_defaults(call=run)
    report.add_argument("store", metavar="STORE", help="a store written by rates or sweep")
    report.add_argument("--out", metavar="FILE.html", help="where to (the store's name .html)")
    report.add_argument("--title", metavar="TEXT", help="the page's heading")


def run(options: argparse.Namespace) -> int:
    """Write the page of a store; the exit code."""
    require("report", "numpy", "torch", "numba", "matplotlib", extra="figures")
    if options.out is not None:
        check_target(options.out, f"--out '{options.out}'")
    from identkit.rates.presented import write_report

    with work_bar() as bar:
        out = write_report(
            options.store, options.out, title=options.title,
            progress=lambda done, total, name: bar(done, total, done, total, name),
        )  # fmt: skip
    print(f"page written to {out}")
    return 0
