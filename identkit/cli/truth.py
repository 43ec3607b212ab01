"""``identkit truth``: a truth at which rates show."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from identkit.cli.help import Help
from identkit.cli.options import add_model, chosen_model
from identkit.cli.output import show
from identkit.cli.progress import require, work_bar

if TYPE_CHECKING:
    from identkit.fit.model import Model
    from identkit.gates import RegimeCode

EXAMPLES = """\
examples:
  identkit truth --expert gelu --gate sigmoid
  identkit truth --expert softplus --gate softmax --dim 2 --save truth.json

A rate shows at sample sizes one can afford only if the truth is
well-conditioned. Two numbers say so: the smallest singular value of the first
derivatives of f, and the smallest second-order change of f that first
derivatives cannot undo. A truth at random has about 3e-4; 5e-3 is good. The
noise is chosen so that atoms of a cell deviate by about 0.2 at n = 1000."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    truth = commands.add_parser(
        "truth",
        help="search a well-conditioned truth for rate experiments",
        description="Search parameters at which rates show, with noise and box for them.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    truth.set_defaults(call=run)
    what = add_model(truth)
    what.add_argument("--atoms", type=int, default=2, metavar="K", help="true atoms (2)")
    how = truth.add_argument_group("how")
    how.add_argument("--candidates", type=int, default=2000, metavar="N", help="draws (2000)")
    how.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the search (1)")
    out = truth.add_argument_group("output")
    out.add_argument("--json", action="store_true", help="schema identkit.truth/1")
    out.add_argument("--save", metavar="FILE.json", help="write it, for 'rates --truth'")


def run(options: argparse.Namespace) -> int:
    """Search, print, save; the exit code."""
    require("truth", "numpy", "scipy")
    from identkit.report.json_text import dumps
    from identkit.report.rates_report import truth_report

    if options.save is not None:
        from identkit.files import check_json_target

        check_json_target(options.save)
    model, regime = chosen_model(options)
    found = searched(model, regime, options.atoms, options.seed, options.candidates)
    if options.save is not None:
        found.save(options.save)
    if options.json:
        print(dumps(found.to_dict()))
    else:
        show(truth_report(found))
        if options.save is not None:
            print(f"written to {options.save}; use it: identkit rates … --truth {options.save}")
    return 0


def searched(model: Model, regime: RegimeCode, atoms: int, seed: int, candidates: int) -> Any:
    """A search, with progress."""
    from identkit.rates.truth_search import search_truth

    with work_bar() as bar:
        return search_truth(
            model, regime=regime, atoms=atoms, seed=seed, candidates=candidates,
            progress=lambda done, total: bar(done, total, done, total, "searching a truth"),
        )  # fmt: skip
