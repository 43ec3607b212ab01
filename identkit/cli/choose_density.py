"""``identkit fit --likelihood … --k 1:6``: densities of a range of k, the report of one chosen."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from identkit.cli.choose import FOLDS
from identkit.cli.output import show
from identkit.cli.progress import interruptible, progress_bar

if TYPE_CHECKING:
    from identkit.density.model import DensityModel
    from identkit.tables import Table


def run(
    options: argparse.Namespace, model: DensityModel, table: Table, given: dict[str, Any]
) -> int:
    """Fit, print, save, draw; the exit code. ``given`` are the options of every fit."""
    from identkit.choice.choosing import check_range
    from identkit.density.choosing import choose_density
    from identkit.density.reporting import reported

    criterion = options.choose or "bic"
    folds = FOLDS if options.folds is None else options.folds
    ks = check_range(model.routed, options.k, folds, criterion)
    file = options.data if options.data != "-" else "standard input"
    began, report = time.perf_counter(), None
    with progress_bar() as bar:
        with interruptible() as stopped:
            choice = choose_density(
                model, table.x, table.y, ks,
                folds=folds, steps=bar, stop=stopped, **given,
            )  # fmt: skip
        chosen = choice.of(criterion)
        if chosen.k is not None:
            report = reported(
                choice[chosen.k].fit, table,
                file=file, seed=options.seed, began=began, interrupted=choice.interrupted,
                check=not options.no_check, steps=bar,
            )  # fmt: skip
    about: dict[str, Any] = {
        "file": file, "target": table.target_name, "inputs": table.input_names
    }  # fmt: skip
    from identkit.report import (
        density_choice_document,
        density_choice_report,
        density_document,
        density_report,
    )
    from identkit.report.json_text import dumps

    single = None if report is None else density_document.document(report)
    document = density_choice_document.document(choice, chosen_by=criterion, fit=single, **about)
    if options.save is not None:
        from identkit.files import write_whole

        text = dumps(document) + "\n"
        write_whole(options.save, lambda stream: stream.write(text.encode()), "--save")
    if options.save_posterior is not None and report is not None:
        density_document.save_posterior(report, options.save_posterior)
    if options.figure is not None:
        from identkit.rates.figure_files import save
        from identkit.report.choice_figure import figure

        save(figure(choice, errors="−log p of rows held out ± s.e."), options.figure)
    if options.json:
        print(dumps(document))
    else:
        show(density_choice_report.terminal(choice, **about))
        if report is not None:
            print(f"\nk = {chosen.k}, named by {criterion}\n")
            show(density_report.terminal(report))
        else:
            print(f"\n{criterion} names no k, so that no fit is reported: {chosen.reason}")
        for path in (options.save, options.save_posterior, options.figure):
            if path is not None and (path != options.save_posterior or report is not None):
                print(f"written to {path}")
    if choice.interrupted:
        return 130
    return 1 if report is None else report.exit_code
