"""``identkit rates``: options, defaults, the run, the report."""

from __future__ import annotations

import argparse
import tempfile
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from identkit.cli import rates_density
from identkit.cli.help import Help
from identkit.cli.options import STORE, add_model, add_run_options, check_run, chosen_model
from identkit.cli.output import show
from identkit.cli.positional import read_positional
from identkit.cli.progress import require, status_line
from identkit.cli.rates_density import TEACHES
from identkit.cli.run import perform, print_interrupted
from identkit.cli.truth import searched
from identkit.errors import InputError, unknown_name, whole
from identkit.vocabulary import Basis

if TYPE_CHECKING:
    from identkit.rates.setting import Experiment

EXAMPLES = f"""\
examples:
  identkit rates gelu sigmoid --regime 1
  identkit rates relu sigmoid --starts split --figure relu.svg
  identkit rates "c*tanh(a*x)" softmax --n 1e3:1e5:5 --reps 160
  identkit truth --expert tanh --gate softmax --save tanh.json
  identkit rates tanh softmax --truth tanh.json
  identkit rates gelu softmax --likelihood gaussian
  identkit rates --truth deepseek-repaired --only R1 --reps 40

what is done: k* atoms make the data, k* + 1 are fitted by least squares in a
box, at several sample sizes n, with many replicates. Errors are reduced to the
slope of their log median on log n.

quantities:
  regression function      L2 distance of f to the true one
  expert, gate             largest error of eta, of beta1, over the atoms that
                           share a true atom (an over-specified cell)
  exact atoms              error of an atom alone in its cell
  Voronoi loss             the loss of the theorems
  direction, aggregate,    what stays identifiable where a proved family of
  exact families           parameters leaves f unchanged
  nearest minimiser        Regime 2: distance to the population minimisers

starts:
  local   the truth, its atom 0 copied, plus noise (default)
  split   local, with the copies' scales spread (default with exact families)
  null    the truth and an atom whose expert is 0
  away    without regard to the truth; also run as a control

verdicts: consistent, inconsistent or inconclusive with the published and with
the derived rate; the report says how they are reached. They are observations
at these n, for this truth; proofs are 'identkit check'. The last line counts
them.

Every fit is kept in a store (--store): the same command again finds them, goes
on where it was interrupted, and adds replicates or sizes.

{TEACHES}

exit codes: 0 done, and any --require met; 1 not met, or fits missing; 2 bad
input; 3 the requirement is inconclusive; 130 interrupted."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    rates = commands.add_parser(
        "rates",
        help="fit simulated data at growing n: do the errors fall as predicted?",
        description="Observed rates beside published and derived ones, on simulated data.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    rates.set_defaults(call=run)
    what = add_model(rates, positional=True)
    what.add_argument("--truth", metavar="FILE", help="a saved truth (else one is searched)")
    rates_density.add(rates)
    data = rates.add_argument_group("experiment")
    data.add_argument(
        "--n", default="1e3:1e5:5", metavar="LO:HI:COUNT", help="sample sizes (1e3:1e5:5)"
    )
    data.add_argument("--reps", type=int, default=80, metavar="R", help="replicates (80)")
    data.add_argument("--noise", type=float, metavar="SD", help="standard deviation of the noise")
    data.add_argument(
        "--starts", metavar="KIND,…", help="local, split, null, away; of densities local, away"
    )
    data.add_argument(
        "--control", type=int, default=16, metavar="R", help="control replicates (16; 0: none)"
    )
    data.add_argument("--k", type=int, metavar="K", help="fitted atoms (one more than true ones)")
    data.add_argument("--budgets", metavar="A,B", help="step limits (300,3000)")
    data.add_argument("--seed", type=int, default=1, metavar="N", help="seed of all draws (1)")
    how = rates.add_argument_group("how")
    add_run_options(how)
    how.add_argument("--store", default=STORE, metavar="FILE", help=f"keep fits here ({STORE})")
    how.add_argument("--no-store", action="store_true", help="keep nothing")
    out = rates.add_argument_group("output")
    out.add_argument("--json", action="store_true", help="schema identkit.rates/1, sorted keys")
    out.add_argument("--figure", metavar="FILE", help="a .svg, .pdf or .png of the main quantities")
    out.add_argument(
        "--require",
        choices=tuple(Basis),
        help="exit 1 where an observation from the first kind of start is inconsistent with "
        "these rates, 3 if one is inconclusive",
    )


def run(options: argparse.Namespace) -> int:
    """Run, print; the exit code."""
    read_positional(options, required=False)
    require("rates", "numpy", "torch", "numba")
    sizes = parse_sizes(options.n)
    budgets, starts = _check_numbers(options)
    if options.figure is not None:
        require("rates --figure", "matplotlib", extra="figures")
        from identkit.rates.figure_files import check_path

        check_path(options.figure)
    check_run(options)
    from identkit.rates.running import check_requirement, observed, required
    from identkit.rates.store import Store

    make = rates_density.experiment if rates_density.asked(options) else _experiment
    experiment = make(options, sizes, budgets, starts)
    check_requirement(experiment, options.require)

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / STORE) if options.no_store else options.store
        with Store.open(path) as store:
            code = perform(options, [experiment], store)
            if code == 130 and not options.no_store:
                print_interrupted(store, path)
                return code
            result = observed(experiment, store)
    from identkit.report import rates_document, rates_report
    from identkit.report.json_text import dumps
    from identkit.report.rates_parts import summary

    if options.json:
        print(dumps(rates_document.document(result)))
    else:
        show(rates_report.terminal(result))
        if options.truth is None:
            print("truth searched; keep it: identkit truth with the same model and --save FILE")
        if not options.no_store:
            print(f"fits kept in {path}")
            print(f"a page of them: identkit report {path}")
    if options.figure is not None:
        from identkit.rates.figure_files import save
        from identkit.rates.figures import rate_figure

        save(rate_figure(result), options.figure)
        if not options.json:
            print(f"figure written to {options.figure}")
    if not options.json:
        print(textwrap.fill(summary(result), 80))
    return code or required(result, options.require)


def _experiment(
    options: argparse.Namespace,
    sizes: tuple[int, ...],
    budgets: tuple[int, ...],
    starts: tuple[str, ...],
) -> Experiment:
    """The experiment that the options ask for."""
    from identkit.rates.plan import defaults
    from identkit.rates.running import experiment_of
    from identkit.rates.truth import load_truth

    file = None
    if options.gate is None or (options.expert is None and options.expr is None):
        raise InputError(
            "rates: give an expert and a gate, as in identkit rates gelu sigmoid, or a --truth "
            "that is a .toml file of truths, which says both."
        )
    if options.truth is not None:
        file = load_truth(options.truth)
        if options.regime is None:
            options.regime = file.regime
    model, regime = chosen_model(options)
    # of groups the experiment says it, when their sizes are known
    least = 1 if model.gate.level is not None else model.layout.length(options.k or 3)
    if sizes[0] < least:
        raise InputError(f"--n {options.n}: the fit has {least} parameters; start higher.")
    with status_line() as progress:
        defaults(model, regime, progress=progress)  # what is proved is kept for the experiment
    truth = searched(model, regime, 2, options.seed, 2000) if file is None else file
    return experiment_of(
        model, regime, truth, sizes, options.reps,
        starts=starts, control=options.control, k=options.k, noise=options.noise, budgets=budgets,
        seed=options.seed,
    )  # fmt: skip


def _check_numbers(options: argparse.Namespace) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Budgets and starts, empty if not given; all that needs no model is checked first."""
    from identkit.simulation import STARTS

    whole("--seed", options.seed, least=0)
    whole("--reps", options.reps, least=2)
    whole("--control", options.control, least=0)
    if options.k is not None:
        whole("--k", options.k, least=1)
    if options.noise is not None and not 0 < options.noise < float("inf"):
        raise InputError(f"--noise {options.noise:g}: give a standard deviation above 0.")
    budgets: tuple[int, ...] = ()
    if options.budgets is not None:
        budgets = tuple(_whole("--budgets", part) for part in options.budgets.split(","))
        if budgets[0] < 1 or any(a >= b for a, b in pairwise(budgets)):
            raise InputError(f"--budgets {options.budgets}: give step limits in increasing order.")
    starts: tuple[str, ...] = ()
    if options.starts is not None:
        starts = tuple(part.strip() for part in options.starts.split(","))
        for kind in starts:
            if kind not in STARTS:
                raise unknown_name("start", kind, STARTS)
    if not options.no_store:
        from identkit.rates.store_file import check_place

        check_place(options.store, create=True)
    return budgets, starts


def _whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{option}: '{text}' is not a whole number.") from None


def parse_sizes(text: str) -> tuple[int, ...]:
    """Sample sizes of ``LO:HI:COUNT`` (evenly on a log scale) or ``A,B,C``.

    >>> parse_sizes("1e3:1e5:5")
    (1000, 3162, 10000, 31623, 100000)
    >>> parse_sizes("100,1000,5000")
    (100, 1000, 5000)
    """
    parts = text.split(":" if ":" in text else ",")
    try:
        numbers = [float(part) for part in parts]
        if any(v != int(v) or v < 1 for v in numbers):
            raise ValueError
    except (ValueError, OverflowError):
        raise InputError(
            f"--n {text}: write LO:HI:COUNT or A,B,C with whole numbers, as in 1e3:1e5:5."
        ) from None
    if ":" not in text:
        return tuple(int(v) for v in numbers)
    if len(numbers) != 3 or not numbers[0] < numbers[1] or not 3 <= numbers[2] <= 100:
        raise InputError(
            f"--n {text}: write LO:HI:COUNT with LO below HI and 3 to 100 sizes, as in 1e3:1e5:5."
        )
    low, high, count = numbers
    ratio = (high / low) ** (1 / (count - 1))
    return tuple(round(low * ratio**i) for i in range(int(count)))
