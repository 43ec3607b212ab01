"""``identkit runs``: what a store of fits holds."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from identkit.cli.help import Help
from identkit.cli.options import STORE
from identkit.cli.output import show
from identkit.cli.progress import require
from identkit.errors import InputError

EXAMPLES = """\
examples:
  identkit runs list
  identkit runs show --name gelu
  identkit runs export --csv fits.csv --parquet fits.parquet --store my.sqlite"""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    runs = commands.add_parser(
        "runs",
        help="list, show or export the fits of a store",
        description="What a store of fits holds.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    runs.set_defaults(call=run)
    actions = runs.add_subparsers(dest="action", metavar="list|show|export", required=True)
    for name, text in (
        ("list", "the experiments: fits there and planned, how they ended, versions"),
        ("show", "the report of one experiment, or of all"),
        ("export", "all fits, one line each"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("--store", default=STORE, metavar="FILE", help=f"the store ({STORE})")
        if name == "export":
            for kind in ("csv", "parquet", "json"):
                action.add_argument(f"--{kind}", metavar="FILE", help=f"write a {kind} file")
        else:
            action.add_argument("--json", action="store_true", help="machine-readable")
        if name == "show":
            action.add_argument(
                "--name", metavar="TEXT", help="experiments with it in their name or key"
            )


def run(options: argparse.Namespace) -> int:
    """List, show or export a store; the exit code."""
    require("runs", "numpy", "torch", "numba")
    from identkit.rates.running import named, observed
    from identkit.rates.store import Store
    from identkit.report import rates_document, rates_report
    from identkit.report.json_text import dumps

    if options.action == "export":
        wanted = {kind: getattr(options, kind) for kind in ("csv", "parquet", "json")}
        wanted = {kind: path for kind, path in wanted.items() if path is not None}
        if not wanted:
            raise InputError("runs export: name a file, as in --csv fits.csv.")
        with Store.open(options.store, read_only=True) as store:
            for kind, path in wanted.items():
                print(f"{store.export(path, kind):,} fits written to {path}")
        return 0
    with Store.open(options.store, read_only=True) as store:
        if options.action == "list":
            lines = store.summary()
            if options.json:
                experiments = [asdict(x) for x in lines]
                print(dumps({"schema": "identkit.runs/1", "experiments": experiments}))
            else:
                show(rates_report.runs(lines))
            return 0
        results = [observed(e, store) for e in named(store.experiments(), options.name)]
    if options.json:
        body = {"schema": "identkit.sweep/1", "plan": None, "store": str(options.store)}
        print(dumps({**body, "results": [rates_document.document(r) for r in results]}))
    else:
        for result in results:
            show(rates_report.terminal(result))
    return 0
