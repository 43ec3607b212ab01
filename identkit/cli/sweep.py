"""``identkit sweep``: a plan of many experiments."""

from __future__ import annotations

import argparse

from identkit.cli.help import Help
from identkit.cli.options import add_run_options, check_run
from identkit.cli.output import show
from identkit.cli.progress import require, status_line
from identkit.cli.run import perform, print_interrupted
from identkit.errors import InputError

EXAMPLES = """\
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


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    sweep = commands.add_parser(
        "sweep",
        help="run a plan of rate experiments, resumable",
        description="Run all experiments of a TOML plan, or of a shipped one.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    sweep.set_defaults(call=run)
    sweep.add_argument("plan", nargs="?", metavar="PLAN", help="a .toml file or a shipped plan")
    sweep.add_argument("--list", action="store_true", help="list the shipped plans")
    sweep.add_argument("--show", metavar="PLAN", help="print a shipped plan")
    sweep.add_argument("--dry-run", action="store_true", help="say what would run")
    sweep.add_argument("--store", metavar="FILE", help="keep fits here (<name>.sqlite)")
    sweep.add_argument("--json", action="store_true", help="schema identkit.sweep/1, sorted keys")
    add_run_options(sweep.add_argument_group("how"))


def run(options: argparse.Namespace) -> int:
    """Run or describe a plan; the exit code."""
    require("sweep", "numpy", "torch", "numba")
    from identkit.rates.plan import load_plan, preset_text, presets
    from identkit.report import rates_document, rates_report
    from identkit.report.json_text import dumps

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
    from identkit.rates.running import observed
    from identkit.rates.store import Store

    with Store.open(path) as store:
        code = perform(options, list(plan.experiments), store)
        if code == 130:
            print_interrupted(store, path)
            return code
        results = [observed(e, store) for e in plan.experiments]
    if options.json:
        body = {"schema": "identkit.sweep/1", "plan": plan.name, "store": str(path)}
        print(dumps({**body, "results": [rates_document.document(r) for r in results]}))
    else:
        show(rates_report.overview(results, str(path)))
        print(f"fits kept in {path}; their page: identkit report {path}")
    return code
