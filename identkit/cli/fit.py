"""``identkit fit``: options, data, the run. NumPy and torch are imported by the run."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from identkit.cli import choose, fit_density
from identkit.cli.help import Help
from identkit.cli.numbers import parse_box, read_starts
from identkit.cli.options import add_expert_options, chosen_expert, chosen_gate
from identkit.cli.output import show
from identkit.cli.progress import (
    check_device,
    interruptible,
    progress_bar,
    require,
    telling_of_compilation,
)
from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.experts import Expert
    from identkit.fit.model import Model
    from identkit.fit.result import Box, FitResult
    from identkit.fit.running import Steps
    from identkit.fit.summary import FitReport
    from identkit.gates import Gate
    from identkit.tables import Table

MOST_ATOMS, MOST_STARTS = 100, 1000

EXAMPLES = (
    """\
examples:
  identkit fit data.csv --expert gelu --gate sigmoid --k 3
  identkit fit data.csv --target price --inputs age,size --expert linear \\
      --gate softmax --k 2
  identkit fit data.csv --expr "c*tanh(a*x + b)" --gate sigmoid --k 2 \\
      --box c=0:20 --starts 20
  identkit fit data.csv --expr "v*dose/(K + dose)" --gate softmax --k 1 \\
      --target rate --start K=0.1 --weights w
  identkit fit data.parquet --expert relu --gate softmax --k 4 --save fit.json
  identkit fit data.csv --expert tanh --gate softmax --k 2 --figure fit.png
  identkit fit data.csv --expert linear --gate hierarchical --k 4 --groups 2,2
  identkit fit data.csv --expert tanh --gate dense-to-sparse --router tanh --k 2
  identkit fit data.csv --expert linear --gate softmax --k 1:6 --choose cv
"""
    + fit_density.EXAMPLES
    + """

data: CSV (with or without a line of names), NPZ or Parquet, "-" for CSV on
standard input. The target is the column y, else the last; the others are
inputs, in order x0, x1, … (x if there is one). A column is a name, or a number
counted from 0. An --expr may call columns by name: "a*exp(-b*dose) + c"; those
are then the inputs.

standard units: the fit is made with inputs and target of mean 0 and s.d. 1, as
far as the expert and the gate allow exactly the same change of parameters, and
told in your units. --no-standardise fits in your units.

box: the default bounds are wide, in standard units; yours are in your units:
  --box beta0=-1.5:4   offsets of the gates, from -1.5 to 4
  --box beta1=20       slopes of the gates, ±20
  --box eta=inf        all parameters of the expert, without bounds
  --box a=0:5          one of them, by its name
  --box centre=-5:5    another block of the gate (see identkit gates NAME)
  --fix a=1            held at 1

Each estimate has a standard error where the data determine it; what it assumes
is printed too. Which parameters of the expert can be told apart, and how fast
they are learned, is proved as by 'identkit check'.

"""
    + fit_density.TEACHES
    + """

how many atoms: --k 1:6 fits every k, compares them by BIC, ICL,
cross-validation and the dendrogram of the largest fit (DSC), says where these
disagree and what each presumes, and reports the fit that --choose names.

exit codes: 0 at a minimum, of a density at a maximum; 1 not (step limit,
diverged, a spike); 2 bad input;
130 Ctrl-C: the fit stops after its step and prints what it has."""
)


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    fit = commands.add_parser(
        "fit",
        help="fit a mixture of experts to a data file, with standard errors",
        description="Least-squares fit of k atoms, or with --likelihood one of the whole density "
        "p(y|x), the best of several starts, with standard errors and what is identifiable.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    fit.set_defaults(call=run)
    fit.add_argument("data", metavar="DATA", help="a .csv, .npz or .parquet file, or -")
    what = fit.add_argument_group("model")
    add_expert_options(what)
    what.add_argument(
        "--k", required=True, type=choose.atoms, metavar="K", help="number of atoms; 1:6 compares"
    )
    what.add_argument(
        "--groups",
        metavar="M,N,…",
        help="sizes of the groups of atoms, of a hierarchical gate; they add up to K",
    )
    fit_density.add(fit)
    columns = fit.add_argument_group("columns")
    columns.add_argument("--target", metavar="Y", help="the column to predict (y, else the last)")
    columns.add_argument(
        "--inputs",
        metavar="A,B,…",
        help="the input columns (those that --expr names, else all others)",
    )
    columns.add_argument(
        "--weights",
        metavar="W",
        help="a column of weights ≥ 0: 1/variance; of densities, how often a row counts",
    )
    how = fit.add_argument_group("how")
    how.add_argument("--starts", type=int, default=5, metavar="N", help="random starts (5)")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the starts (0)")
    how.add_argument(
        "--box",
        action="append",
        default=[],
        metavar="NAME=LO:HI",
        help="bounds of beta0, beta1, eta or a parameter, or NAME=B for ±B; repeatable",
    )
    how.add_argument(
        "--start",
        action="append",
        default=[],
        metavar="NAME=V",
        help="where every start has a parameter, V,W,… for each atom; repeatable",
    )
    how.add_argument(
        "--fix", action="append", default=[], metavar="NAME=V", help="hold a parameter; repeatable"
    )
    how.add_argument(
        "--ridge", type=float, default=0.0, metavar="R", help="add R/2 Σθ² in standard units (0)"
    )
    how.add_argument(
        "--no-standardise", action="store_true", help="fit in the units of the data, box ±10"
    )
    how.add_argument(
        "--max-steps", type=int, default=500, metavar="N", help="step limit of each start (500)"
    )
    how.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda")
    how.add_argument(
        "--threads", type=int, metavar="N", help="threads on the CPU (1); results do not depend"
    )
    how.add_argument(
        "--no-nodes", action="store_true", help="one input: no compression before the last steps"
    )
    how.add_argument("--no-check", action="store_true", help="skip the check (at most 20 s)")
    choose.add(fit)
    out = fit.add_argument_group("output")
    out.add_argument(
        "--json",
        action="store_true",
        help="schema identkit.fit/3 (/1, /2 with --no-standardise); identkit.density-fit/1",
    )
    out.add_argument("--save", metavar="FILE.json", help="write the same to a file")
    out.add_argument(
        "--figure",
        metavar="FILE",
        help="draw the fit, or the criteria of a range of k (.svg, .pdf, .png)",
    )


def run(options: argparse.Namespace) -> int:
    """Fit, print, save; the exit code."""
    _check_numbers(options)
    require("fit", "numpy", "torch", "numba")
    from identkit.files import check_apart
    from identkit.fit.problem import check_table
    from identkit.gates import resolve
    from identkit.tables import read_table

    form = fit_density.check(options)
    gate = resolve(chosen_gate(options))
    many = isinstance(options.k, range)
    groups = read_groups(options.groups, options.k[-1] if many else options.k, gate)
    if options.save is not None:
        from identkit.files import check_json_target

        check_json_target(options.save)
    if options.figure is not None:
        from identkit.rates.figure_files import check_path

        check_path(options.figure)
    for path, name in (
        (options.save, "--save"), (options.figure, "--figure"),
        (options.save_posterior, "--save-posterior"),
    ):  # fmt: skip
        check_apart(path, options.data, name)
    read_starts(options.start)  # before the data: refused at once
    mentioned: set[str] = set()
    if options.expr is not None:
        from identkit.experts import names_written

        listed = {n.strip() for n in (options.params or "").split(",")}
        mentioned = names_written(options.expr) - listed
        for name, column in (("weights", options.weights), ("target", options.target)):
            if column in mentioned:
                raise InputError(
                    f"--{name} {column}: the expression names it too; rename the parameter, or "
                    "list it in --params."
                )
    table = read_table(
        options.data, options.target, options.inputs, weights=options.weights, mentioned=mentioned,
        classes=form is not None and form.with_classes is not None,
    )  # fmt: skip
    expert = _expert(options, table, mentioned)
    check_table(table)
    if form is not None:
        return fit_density.run(options, form, gate, groups, expert, table)
    from identkit.fit.model import Model

    model = Model(expert, gate, groups)
    blocks = tuple(sorted(b.name for b in model.layout.of_gate))
    box = parse_box(options.box, model.parameters, blocks, options.fix)
    if many:
        if options.start:
            raise InputError("--start: it is for one k; give one number of atoms, or leave it out.")
        return choose.run(
            options, model, table, lambda k, *rest: _best(options, model, box, k, *rest)
        )
    report = _fitted(options, model, table, box)

    from identkit.report import fit_document, fit_report
    from identkit.report.json_text import dumps

    if options.save is not None:
        fit_document.save(report, options.save)
    if options.figure is not None:
        from identkit.rates.figure_files import save
        from identkit.report.fit_figure import figure

        save(figure(report), options.figure)
    if options.json:
        print(dumps(fit_document.document(report)))
    else:
        show(fit_report.terminal(report))
        if options.save is not None:
            print(f"written to {options.save}")
        if options.figure is not None:
            print(f"drawn to {options.figure}")
    return report.exit_code


def read_groups(text: str | None, k: int, gate: Gate) -> tuple[int, ...]:
    """The sizes of the groups, as they are asked for. Raises InputError."""
    if text is None:
        if gate.level is not None:
            raise InputError(
                f"gate {gate.name}: atoms are in groups; give their sizes, which add up to {k}, "
                f"such as --groups {(k + 1) // 2}{f',{k // 2}' if k > 1 else ''}."
            )
        return ()
    if gate.level is None:
        raise InputError(f"--groups {text}: gate {gate.name} has no groups; drop it.")
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise InputError(f"--groups '{text}': write sizes with commas between them, such as 2,1.")
    sizes = tuple(map(int, parts))
    if 0 in sizes or sum(sizes) != k:
        raise InputError(
            f"--groups {text}: the sizes must be at least 1 and add up to --k {k}; they add up to "
            f"{sum(sizes)}."
        )
    return sizes


def _check_numbers(options: argparse.Namespace) -> None:
    if not isinstance(options.k, range):
        choose.check_one(options)
    ends = (options.k[0], options.k[-1]) if isinstance(options.k, range) else (options.k,)
    for name, value, low, high in (
        *(("k", end, 1, MOST_ATOMS) for end in ends),
        ("starts", options.starts, 1, MOST_STARTS),
        ("max-steps", options.max_steps, 1, 10**9),
        ("seed", options.seed, 0, 2**63 - 1),
        ("threads", options.threads, 1, 1024),
    ):
        if value is not None and not low <= value <= high:
            raise InputError(f"--{name} {value}: give a whole number from {low} to {high}.")
    if not 0.0 <= options.ridge < math.inf:
        raise InputError(f"--ridge {options.ridge:g}: give a number of at least 0.")
    check_device(options.device)


def _expert(options: argparse.Namespace, table: Table, mentioned: set[str]) -> Expert:
    """The expert, with one input for each input column."""
    # an expression says itself how many inputs it has; one that differs is told which columns
    named = mentioned & set(table.input_names)
    expert = chosen_expert(
        options,
        table.dim if options.expr is None else None,
        table.input_names if named else None,
    )
    if expert.dim != table.dim:
        names = ", ".join(f"'{name}'" for name in table.input_names)
        d = f"{expert.dim} input{'s' * (expert.dim > 1)} ({', '.join(expert.inputs)})"
        columns = "column is an input" if table.dim == 1 else "columns are inputs"
        remedy = (
            "choose as many with --inputs"
            if expert.dim < table.dim
            else "use fewer in the expression, or choose another file"
        )
        raise InputError(
            f"--expr '{options.expr}': it has {d}, but {table.dim} {columns}: {names}; {remedy}."
        )
    return expert


def _fitted(options: argparse.Namespace, model: Model, table: Table, box: Box) -> FitReport:
    """The run with progress, stopped by Ctrl-C where it is."""
    from identkit.fit.running import reported

    began = time.perf_counter()
    with progress_bar() as bar, telling_of_compilation(bar):
        with interruptible() as stopped:
            result = _best(options, model, box, options.k, table, bar, stopped)
            interrupted = stopped()
        return reported(
            result, table,
            file=options.data if options.data != "-" else "standard input", seed=options.seed,
            began=began, interrupted=interrupted, check=not options.no_check, steps=bar,
        )  # fmt: skip


def _best(
    options: argparse.Namespace,
    model: Model,
    box: Box,
    k: int,
    table: Table,
    steps: Steps,
    stop: Callable[[], bool],
) -> FitResult:
    """The best fit of k atoms, as the options say."""
    from identkit.fit.problem import Compute
    from identkit.fit.running import best_fit

    return best_fit(
        model, table.x, table.y, k,
        weight=table.weight, starts=options.starts, seed=options.seed,
        standardise=not options.no_standardise, box=box, start=read_starts(options.start),
        ridge=options.ridge, max_steps=options.max_steps,
        compute=Compute(
            device=options.device, nodes=not options.no_nodes, threads=options.threads
        ),
        steps=steps, stop=stop,
    )  # fmt: skip
