"""``identkit truth``: a truth at which rates show, or truths in a file and their alternatives."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from identkit.cli import rates_density
from identkit.cli.help import Help
from identkit.cli.options import add_model, chosen_model
from identkit.cli.output import show
from identkit.cli.progress import require, status_line, work_bar
from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.fit.model import Model
    from identkit.gates import RegimeCode
    from identkit.truths.record import Truth

EXAMPLES = """\
examples:
  identkit truth --expert gelu --gate sigmoid
  identkit truth --expert softplus --gate softmax --dim 2 --save truth.json
  identkit truth --expert gelu --gate softmax --likelihood gaussian \\
      --save truth.toml
  identkit truth --list                     truths that come with identkit
  identkit truth deepseek-published         what else has their densities
  identkit truth mine.toml --only A --json

A rate shows at sample sizes one can afford only if the truth is
well-conditioned. Two numbers say so: the smallest singular value of the first
derivatives of f, and the smallest second-order change of f that first
derivatives cannot undo. A truth at random has about 3e-4; 5e-3 is good. The
noise is chosen so that atoms of a cell deviate by about 0.2 at n = 1000.

Of a density (--likelihood gaussian) the scores of a sample are made far from
dependent; its file is TOML, in exact numbers, and is printed as any other:

With the name of a file nothing is searched: each truth in it, in exact
numbers, is printed with every other measure of the same density that its
gauges lead to, each proved and shown to 50 digits. The module
identkit.truths.record explains the form of a file."""


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
    truth.add_argument(
        "file", nargs="?", metavar="FILE", help="a .toml file of truths, or one of --list"
    )
    given = truth.add_argument_group("truths in a file")
    given.add_argument("--list", action="store_true", help="list those that come with identkit")
    given.add_argument("--only", metavar="NAME", help="one of its truths (all)")
    given.add_argument(
        "--points", type=int, default=3, metavar="N", help="(x, y) to compare densities at (3)"
    )
    what = add_model(truth)
    rates_density.add_density(what)
    what.add_argument("--atoms", type=int, default=2, metavar="K", help="true atoms (2)")
    what.add_argument("--atoms-shared", type=int, metavar="M", help="true shared atoms (1)")
    how = truth.add_argument_group("how")
    how.add_argument("--candidates", type=int, metavar="N", help="draws (2000; of densities 300)")
    how.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the draws (1)")
    out = truth.add_argument_group("output")
    out.add_argument(
        "--json", action="store_true", help="schema identkit.truth/1; of a file identkit.truths/1"
    )
    out.add_argument(
        "--save", metavar="FILE", help="write it, for 'rates --truth': .json, of a density .toml"
    )


def run(options: argparse.Namespace) -> int:
    """Search, print, save; the exit code."""
    if not 0 <= options.points <= 1000:
        raise InputError(f"--points: {options.points} must be from 0 to 1000.")
    if options.list or options.file is not None:
        return _given(options)
    if options.gate is None or (options.expert is None and options.expr is None):
        raise InputError(
            "truth: give --gate and --expert or --expr to search a truth, or the name of a file of "
            "truths (see --list)."
        )
    if rates_density.is_density(options):
        return _density(options)
    rates_density.refuse_without(options, "atoms-shared", "shared")
    require("truth", "numpy", "scipy")
    from identkit.report.json_text import dumps
    from identkit.report.rates_report import truth_report

    if options.save is not None:
        from identkit.files import check_json_target

        check_json_target(options.save)
    model, regime = chosen_model(options)
    found = searched(
        model,
        regime,
        options.atoms,
        options.seed,
        2000 if options.candidates is None else options.candidates,
    )
    if options.save is not None:
        found.save(options.save)
    if options.json:
        print(dumps(found.to_dict()))
    else:
        show(truth_report(found))
        if options.save is not None:
            print(f"written to {options.save}; use it: identkit rates … --truth {options.save}")
    return 0


def _density(options: argparse.Namespace) -> int:
    """A truth of a density, searched; the exit code."""
    require("truth", "numpy", "scipy", "torch", "numba")
    from identkit.truths.writing import check_truth_target, save_truth

    if options.save is not None:
        check_truth_target(options.save)
    found = rates_density.searched(options, options.atoms, options.candidates, options.atoms_shared)
    code = _printed(options, found.name, found.source, (found,))
    if options.save is not None:
        save_truth(options.save, found)
        if not options.json:
            print(f"written to {options.save}; use it: identkit rates --truth {options.save}")
    return code


def _given(options: argparse.Namespace) -> int:
    """The truths of a file with their alternatives; the exit code."""
    from identkit.report.json_text import dumps
    from identkit.truths.record import load_truths, settings

    for name in (*rates_density.MODEL, "atoms-shared", "save"):
        if getattr(options, name.replace("-", "_")) is not None:
            raise InputError(f"--{name}: a file of truths says all about them; drop it.")
    if options.list:
        listed = settings()
        if options.json:
            print(dumps(listed))
        else:
            from identkit.report.rates_report import listing

            show(listing(listed))
        return 0
    loaded = load_truths(options.file)
    chosen = loaded.truths if options.only is None else (loaded[options.only],)
    return _printed(options, loaded.name, loaded.source, chosen)


def _printed(options: argparse.Namespace, name: str, source: str, truths: Sequence[Truth]) -> int:
    """Truths with their alternatives; the exit code."""
    from identkit.report.json_text import dumps
    from identkit.report.truths_report import document, report
    from identkit.truths.alternatives import alternatives_of

    with status_line() as progress:
        found = [
            alternatives_of(truth, seed=options.seed, points=options.points, progress=progress)
            for truth in truths
        ]
    if options.json:
        print(dumps(document(name, source, found)))
    else:
        show(report(name, source, found))
    return 0 if all(each.complete for each in found) else 3


def searched(model: Model, regime: RegimeCode, atoms: int, seed: int, candidates: int) -> Any:
    """A search, with progress."""
    from identkit.rates.truth_search import search_truth

    with work_bar() as bar:
        return search_truth(
            model, regime=regime, atoms=atoms, seed=seed, candidates=candidates,
            progress=lambda done, total: bar(done, total, done, total, "searching a truth"),
        )  # fmt: skip
