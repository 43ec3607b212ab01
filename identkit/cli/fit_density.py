"""``identkit fit --likelihood``: options of densities, the run, the files."""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING, Any

from identkit.cli import choose_density
from identkit.cli.numbers import parse_box, read_starts
from identkit.cli.options import shared_expert
from identkit.cli.output import show
from identkit.cli.progress import interruptible, progress_bar, telling_of_compilation
from identkit.errors import InputError
from identkit.vocabulary import Variance

if TYPE_CHECKING:
    from identkit.density.box import DensityBox
    from identkit.density.model import DensityModel
    from identkit.density.summary import DensityReport
    from identkit.experts import Expert
    from identkit.gates import Gate
    from identkit.likelihoods import Likelihood
    from identkit.tables import Table

SPREAD = "nu"
"""Variances, in ``--box``."""
SHARED = "shared."
"""Before the names of numbers of the shared half, in ``--box`` and ``--fix``."""
MOST_SHARED = 100

EXAMPLES = """\
  identkit fit data.csv --expert linear --gate softmax --k 2 \\
      --likelihood gaussian
  identkit fit data.csv --expert tanh --gate softmax --k 2 \\
      --likelihood gaussian --variance common --shared linear \\
      --save-posterior atoms.csv
  identkit fit iris.csv --target species --expert linear --gate softmax --k 2 \\
      --likelihood categorical"""
TEACHES = """\
densities: with --likelihood the whole of p(y|x) is fitted, by maximum
likelihood: gaussian, each atom N(y | h(x), ν) with a variance ν, or
categorical, where h gives logits and the target names classes, in texts or
numbers. Weights have to add up to 1 (softmax, normalized-sigmoid, …; see
identkit gates). --shared adds atoms without a gate, which have half of the
weight. In --box and --fix 'nu' are the variances, in the squared unit of the
target, and 'shared.a' is the parameter a of shared experts. A variance that
falls to its floor is a spike on a few rows: no such start is reported while
another is left."""


def add(fit: argparse.ArgumentParser) -> None:
    """The options of densities."""
    what = fit.add_argument_group("density (with --likelihood)")
    what.add_argument(
        "--likelihood",
        metavar="NAME",
        help="least-squares (default), gaussian or categorical",
    )
    what.add_argument(
        "--variance",
        metavar="WHICH",
        help="gaussian: free, one for each atom; common to all; known (free)",
    )
    what.add_argument(
        "--variances",
        metavar="V,W,…",
        help="the known ones: one for all atoms, or one each, shared atoms first",
    )
    what.add_argument(
        "--classes", type=int, metavar="S", help="categorical: how many there must be (those found)"
    )
    what.add_argument("--shared", metavar="EXPERT", help="shared experts: a name or an expression")
    what.add_argument("--k-shared", type=int, metavar="M", help="number of shared atoms (1)")
    what.add_argument(
        "--save-posterior",
        metavar="FILE.csv",
        help="write each row's posterior probability of every atom",
    )


def check(options: argparse.Namespace) -> Likelihood | None:
    """The likelihood that is asked for, None for least squares.

    Raises InputError, before the data are read, for options that do not go together.
    """
    from identkit.likelihoods import LEAST_SQUARES, resolve

    form = resolve(options.likelihood or LEAST_SQUARES, options.variance)
    own = {
        "variances": options.variances, "classes": options.classes, "shared": options.shared,
        "k-shared": options.k_shared, "save-posterior": options.save_posterior,
    }  # fmt: skip
    if form.name == LEAST_SQUARES:
        for name, value in own.items():
            if value is not None:
                raise InputError(
                    f"--{name}: it is about a density, and least squares fits none; add "
                    "--likelihood gaussian or categorical."
                )
        return None
    if form.density is None:
        raise InputError(
            f"--likelihood {form.name}: it has no density to maximise; use gaussian or categorical."
        )
    if options.ridge:
        raise InputError(
            f"--ridge {options.ridge:g}: it is of least squares; drop it, or hold parameters with "
            "--fix and --box."
        )
    if options.classes is not None and form.with_classes is None:
        raise InputError(
            f"--classes {options.classes}: a response is a number under {form.family}; drop it, or "
            "use --likelihood categorical."
        )
    if options.k_shared is not None and options.shared is None:
        raise InputError(
            f"--k-shared {options.k_shared}: there is no shared expert; name one with --shared."
        )
    if options.k_shared is not None and not 1 <= options.k_shared <= MOST_SHARED:
        raise InputError(
            f"--k-shared {options.k_shared}: give a whole number from 1 to {MOST_SHARED}."
        )
    known = form.variance is Variance.KNOWN
    if options.variances is not None and not known:
        raise InputError(
            f"--variances {options.variances}: {form.title} has none that are known; drop it, or "
            "use --likelihood gaussian --variance known."
        )
    if known and options.variances is None:
        raise InputError(
            "--variance known: say what they are, such as --variances 0.5, or one for each atom."
        )
    read_variances(options)
    if options.save_posterior is not None:
        _check_target(options.save_posterior)
    return form


def read_variances(options: argparse.Namespace) -> list[float] | None:
    """The values of --variances. Raises InputError."""
    text = options.variances
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(0.0 < v < math.inf for v in values):
        raise InputError(f"--variances '{text}': write numbers above 0 with commas between them.")
    if isinstance(options.k, range):
        count = 1
    else:
        count = options.k + (0 if options.shared is None else options.k_shared or 1)
    if len(values) not in (1, count):
        raise InputError(
            f"--variances '{text}': it has {len(values)} values for {count} atoms; give one, or "
            "one for each atom, shared atoms first; of a range of k one."
        )
    return values


def _check_target(path: str) -> None:
    from identkit.files import check_target, regular

    label = f"--save-posterior {path}"
    if regular(path, label).suffix.lower() != ".csv":
        raise InputError(f"{label}: the name must end in .csv.")
    check_target(path, label)


def run(
    options: argparse.Namespace,
    form: Likelihood,
    gate: Gate,
    groups: tuple[int, ...],
    expert: Expert,
    table: Table,
) -> int:
    """Fit, print, save; the exit code."""
    from identkit.density.asked import model_for

    model = model_for(
        table, expert, gate, form,
        classes=options.classes, shared=shared_expert(options, expert), groups=groups,
    )  # fmt: skip
    box = read_box(options, model)
    if isinstance(options.k, range):
        if options.start:
            raise InputError("--start: it is for one k; give one number of atoms, or leave it out.")
        given = _given(options, box, table)
        if given["variances"] is not None:
            given["variances"] = given["variances"][0]
        return choose_density.run(options, model, table, given)
    report = _fitted(options, model, box, table)

    from identkit.report import density_document, density_report
    from identkit.report.json_text import dumps

    if options.save is not None:
        density_document.save(report, options.save)
    if options.save_posterior is not None:
        density_document.save_posterior(report, options.save_posterior)
    if options.figure is not None:
        from identkit.rates.figure_files import save
        from identkit.report.density_figure import figure

        save(figure(report), options.figure)
    if options.json:
        print(dumps(density_document.document(report)))
        return report.exit_code
    show(density_report.terminal(report))
    for path, done in (
        (options.save, "written"), (options.save_posterior, "posterior probabilities written"),
        (options.figure, "drawn"),
    ):  # fmt: skip
        if path is not None:
            print(f"{done} to {path}")
    return report.exit_code


def read_box(options: argparse.Namespace, model: DensityModel) -> DensityBox:
    """The bounds of both halves and of the variances. Raises InputError."""
    from identkit.density.box import DensityBox

    halves: dict[str, tuple[list[str], list[str]]] = {"": ([], []), SHARED: ([], [])}
    spread: list[str] = []
    for place, entries in ((0, options.box), (1, options.fix)):
        for entry in entries:
            name = entry.partition("=")[0].strip()
            if name == SPREAD:
                if place:
                    raise InputError(
                        f"--fix '{entry}': variances are held by --variance known --variances "
                        "V,W,…."
                    )
                spread.append(entry)
            elif name.startswith(SHARED):
                if model.shared is None:
                    raise InputError(
                        f"--{('box', 'fix')[place]} '{entry}': there is no shared expert; name one "
                        "with --shared."
                    )
                halves[SHARED][place].append(entry.strip().removeprefix(SHARED))
            else:
                halves[""][place].append(entry)
    found: dict[str, Any] = {}
    for prefix, half in (("", model.routed), (SHARED, model.shared)):
        if half is not None:
            blocks = tuple(sorted(b.name for b in half.layout.of_gate))
            parts = halves[prefix]
            found["shared" if prefix else "routed"] = parse_box(
                parts[0], half.parameters, blocks, parts[1]
            )
    if spread:
        found["variance"] = _spread(spread, model)
    return DensityBox(**found)


def _spread(entries: list[str], model: DensityModel) -> tuple[float, float]:
    """Bounds of the variances."""
    entry = entries[0]
    if SPREAD in model.routed.parameters:
        raise InputError(
            f"--box '{entry}': '{SPREAD}' are variances, and a parameter of the expert too; rename "
            "the parameter."
        )
    variance = model.likelihood.variance
    if variance is None or variance is Variance.KNOWN:
        why = "has none" if variance is None else "knows them"
        raise InputError(f"--box '{entry}': {model.likelihood.title} {why}; drop it.")
    ends = entry.partition("=")[2].split(":")
    if len(ends) == 2 and ends[0].strip() == ends[1].strip():
        raise InputError(
            f"--box '{entry}': both ends are the same; a variance that is known is given by "
            f"--variance known --variances {ends[0].strip()}."
        )
    pair = parse_box(entries, (), (SPREAD,)).entries[SPREAD]
    if not pair[0] > 0:
        raise InputError(f"--box '{entry}': variances are above 0; write {SPREAD}=LO:HI.")
    return pair


def _given(options: argparse.Namespace, box: DensityBox, table: Table) -> dict[str, Any]:
    """What every fit is asked for."""
    from identkit.fit.problem import Compute

    return {
        "shared": options.k_shared, "weight": table.weight, "starts": options.starts,
        "seed": options.seed, "standardise": not options.no_standardise, "box": box,
        "variances": read_variances(options), "max_steps": options.max_steps,
        "compute": Compute(device=options.device, threads=options.threads),
    }  # fmt: skip


def _fitted(
    options: argparse.Namespace, model: DensityModel, box: DensityBox, table: Table
) -> DensityReport:
    """The run with progress, stopped by Ctrl-C where it is."""
    from identkit.density.reporting import reported
    from identkit.density.running import best_density

    began = time.perf_counter()
    with progress_bar() as bar, telling_of_compilation(bar):
        with interruptible() as stopped:
            fit = best_density(
                model, table.x, table.y, options.k,
                start=read_starts(options.start), steps=bar, stop=stopped,
                **_given(options, box, table),
            )  # fmt: skip
            interrupted = stopped()
        return reported(
            fit, table,
            file=options.data if options.data != "-" else "standard input", seed=options.seed,
            began=began, interrupted=interrupted, check=not options.no_check, steps=bar,
        )  # fmt: skip
