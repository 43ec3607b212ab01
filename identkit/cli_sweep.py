"""``identkit sweep``, ``runs`` and ``report``: many experiments, their store, their page."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from identkit.cli_help import Help
from identkit.cli_progress import require, status_line
from identkit.cli_run import STORE, add_run_options, check_run, observed, perform, print_interrupted
from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.rates.setting import Experiment

SWEEP_EXAMPLES = """\
examples:
  identkit sweep --list                     the shipped plans
  identkit sweep quick                      one of them
  identkit sweep plan.toml --store my.sqlite
  identkit sweep table --scheduler tcp://head:8786

A plan is a TOML file:

  name = "mine"
  sizes = {from = 1000, to = 100000, count = 5}
  replicates = 40

  [[grid]]
  experts = ["gelu", {expr = "c*tanh(a*x + b)"}]
  gates = ["sigmoid", "softmax"]
  truth = "search"

'identkit sweep --show quick' prints a shipped one to start from; the module
identkit.rates.plan explains every key. truth = "search" searches whenever the
plan is read, which takes half a minute each; 'identkit truth --save t.json'
and truth = "t.json" keep one.

Every fit is written to the store when its block ends. An interrupted or killed
sweep goes on where it was: give the same command again.

exit codes: 0 done; 1 some fits failed; 2 bad input; 130 interrupted."""

RUNS_EXAMPLES = """\
examples:
  identkit runs list
  identkit runs show --name gelu
  identkit runs export --csv fits.csv --parquet fits.parquet --store my.sqlite"""


def add_sweep(commands: argparse._SubParsersAction) -> None:
    """The parsers of the three commands."""
    sweep = commands.add_parser(
        "sweep",
        help="run a plan of rate experiments, resumable",
        description="Run all experiments of a TOML plan, or of a shipped one.",
        epilog=SWEEP_EXAMPLES,
        formatter_class=Help,
    )
    sweep.add_argument("plan", nargs="?", metavar="PLAN", help="a .toml file or a shipped plan")
    sweep.add_argument("--list", action="store_true", help="list the shipped plans")
    sweep.add_argument("--show", metavar="PLAN", help="print a shipped plan")
    sweep.add_argument("--dry-run", action="store_true", help="say what would run")
    sweep.add_argument("--store", metavar="FILE", help="keep fits here (<name>.sqlite)")
    sweep.add_argument("--json", action="store_true", help="schema identkit.sweep/1, sorted keys")
    add_run_options(sweep.add_argument_group("how"))
    runs = commands.add_parser(
        "runs",
        help="list, show or export the fits of a store",
        description="What a store of fits holds.",
        epilog=RUNS_EXAMPLES,
        formatter_class=Help,
    )
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
    report = commands.add_parser(
        "report",
        help="one HTML page of a store: verdicts, figures, certificates",
        description="Write one self-contained HTML page: published, certified and observed rates "
        "side by side, figures, certificates, settings, versions. It opens offline.",
        epilog="example: identkit report table.sqlite --out table.html",
    )
    report.add_argument("store", metavar="STORE", help="a store written by rates or sweep")
    report.add_argument("--out", metavar="FILE.html", help="where to (the store's name .html)")
    report.add_argument("--title", metavar="TEXT", help="the page's heading")


def run_sweep(options: argparse.Namespace, show: Callable[[Any], None]) -> int:
    """Run or describe a plan; the exit code."""
    require("sweep", "numpy", "torch", "numba")
    from identkit.rates.plan import load_plan, preset_text, presets
    from identkit.report import rates_report
    from identkit.report.json_form import dumps

    if options.list:
        listed = presets()
        if options.json:
            print(dumps(listed))
        else:
            show(rates_report.listing(listed))
        return 0
    if options.show is not None:
        print(preset_text(options.show).rstrip())
        return 0
    if options.plan is None:
        raise InputError("sweep: name a plan, a .toml file or one of 'identkit sweep --list'.")
    check_run(options)
    with status_line() as progress:
        plan = load_plan(options.plan, progress)
    path = f"{plan.name}.sqlite" if options.store is None else options.store
    if options.dry_run:
        if options.json:
            print(dumps([e.document() for e in plan.experiments]))
        else:
            show(rates_report.plan(plan.experiments, path))
        return 0
    from identkit.rates.store import Store

    with Store.open(path) as store:
        code = perform(options, list(plan.experiments), store)
        if code == 130:
            print_interrupted(store, path)
            return code
        results = [observed(e, store) for e in plan.experiments]
    if options.json:
        body = {"schema": "identkit.sweep/1", "plan": plan.name, "store": str(path)}
        print(dumps({**body, "results": [r.to_dict() for r in results]}))
    else:
        show(rates_report.overview(results, str(path)))
        print(f"fits kept in {path}; their page: identkit report {path}")
    return code


def run_runs(options: argparse.Namespace, show: Callable[[Any], None]) -> int:
    """List, show or export a store; the exit code."""
    require("runs", "numpy", "torch", "numba")
    from dataclasses import asdict

    from identkit.rates.store import Store
    from identkit.report import rates_report
    from identkit.report.json_form import dumps

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
        results = [observed(e, store) for e in _named(store.experiments(), options.name)]
    if options.json:
        body = {"schema": "identkit.sweep/1", "plan": None, "store": str(options.store)}
        print(dumps({**body, "results": [r.to_dict() for r in results]}))
    else:
        for result in results:
            show(rates_report.terminal(result))
    return 0


def _named(experiments: list[Experiment], name: str | None) -> list[Experiment]:
    """The experiments of this name, else with it in their names, or whose key begins with it."""
    if name is None:
        return experiments
    found = [e for e in experiments if e.name == name]
    found = found or [e for e in experiments if name in e.name or e.setting.key.startswith(name)]
    if not found:
        from identkit.errors import unknown_name

        raise unknown_name("experiment", name, [e.name for e in experiments])
    return found


def run_report(options: argparse.Namespace, show: Callable[[Any], None]) -> int:
    """Write the page of a store; the exit code."""
    require("report", "numpy", "torch", "numba", "matplotlib", extra="figures")
    from identkit.cli_run import work_bar
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
