"""``identkit fit --k 1:6``: the fits of a range of k, the table, the report of the one chosen."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from identkit.cli.output import show
from identkit.cli.progress import interruptible, progress_bar
from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.fit.model import Model
    from identkit.fit.result import FitResult
    from identkit.tables import Table

CRITERIA = ("bic", "icl", "cv", "dsc")
FOLDS = 5


def add(fit: argparse.ArgumentParser) -> None:
    """The options about a range of k."""
    many = fit.add_argument_group("how many atoms (with --k A:B)")
    many.add_argument(
        "--choose",
        choices=CRITERIA,
        help="whose k is reported (bic): bic, icl, cross-validation, or dsc, the dendrogram's",
    )
    many.add_argument(
        "--folds", type=int, metavar="N", help=f"folds of cross-validation ({FOLDS}); 0: none"
    )


def atoms(text: str) -> int | range:
    """``3``, or ``1:6`` for 1 to 6.

    >>> atoms("3"), atoms("1:6")
    (3, range(1, 7))
    """
    parts = text.split(":")
    if len(parts) > 2 or not all(p.strip().isascii() and p.strip().isdigit() for p in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of atoms; write 3, or 1:6")
    low, high = int(parts[0]), int(parts[-1])
    if low > high:
        raise argparse.ArgumentTypeError(f"'{text}': {low} is above {high}; swap them")
    return low if len(parts) == 1 else range(low, high + 1)


def check_one(options: argparse.Namespace) -> None:
    """Raise InputError for options about a range where --k is one number."""
    for name in ("choose", "folds"):
        if getattr(options, name) is not None:
            raise InputError(f"--{name}: it is about a range of k; give one, such as --k 1:6.")


def run(
    options: argparse.Namespace,
    model: Model,
    table: Table,
    best: Callable[[int, Table, Any, Callable[[], bool]], FitResult],
) -> int:
    """Fit, print, save, draw; the exit code. ``best(k, table, steps, stop)`` fits one k."""
    from identkit.choice.choosing import check_range, choose
    from identkit.fit.running import reported

    criterion = options.choose or "bic"
    folds = FOLDS if options.folds is None else options.folds
    ks = check_range(model, options.k, folds, criterion)
    if options.figure is not None:
        from identkit.rates.figure_files import check_path

        check_path(options.figure)
    file = options.data if options.data != "-" else "standard input"
    began, report = time.perf_counter(), None
    with progress_bar() as bar:
        with interruptible() as stopped:

            def fit(k: int, rows: Any, steps: Any) -> FitResult:
                return best(k, table if rows is None else table.rows(rows), steps, stopped)

            choice = choose(
                model, fit, table.x, table.y, ks,
                weight=table.weight, folds=folds, seed=options.seed, steps=bar, stop=stopped,
            )  # fmt: skip
        chosen = choice.of(criterion)
        if chosen.k is not None:
            report = reported(
                choice[chosen.k].result, table,
                file=file, seed=options.seed, began=began, interrupted=choice.interrupted,
                check=not options.no_check, steps=bar,
            )  # fmt: skip
    about = {"file": file, "target": table.target_name, "inputs": table.input_names}
    from identkit.report import choice_document, choice_report, fit_document, fit_report
    from identkit.report.json_text import dumps

    single = None if report is None else fit_document.document(report)
    document = choice_document.document(choice, chosen_by=criterion, fit=single, **about)
    if options.save is not None:
        from identkit.files import write_whole

        text = dumps(document) + "\n"
        write_whole(options.save, lambda stream: stream.write(text.encode()), "--save")
    if options.figure is not None:
        from identkit.rates.figure_files import save
        from identkit.report.choice_figure import figure

        save(figure(choice), options.figure)
    if options.json:
        print(dumps(document))
    else:
        show(choice_report.terminal(choice, **about))
        if report is not None:
            print(f"\nk = {chosen.k}, named by {criterion}\n")
            show(fit_report.terminal(report))
        else:
            print(f"\n{criterion} names no k, so that no fit is reported: {chosen.reason}")
        for path in (options.save, options.figure):
            if path is not None:
                print(f"written to {path}")
    if choice.interrupted:
        return 130
    return 1 if report is None else report.exit_code
