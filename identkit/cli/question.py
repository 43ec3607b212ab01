"""The check that ``check`` and ``explain`` ask for."""

from __future__ import annotations

import argparse
import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from identkit.cli.options import chosen_expert, chosen_gate, read_domain, shared_expert
from identkit.cli.positional import read_positional
from identkit.cli.progress import status_line

if TYPE_CHECKING:
    from identkit.results import CheckResult


def checked(options: argparse.Namespace, printer: str, require: str | None = None) -> CheckResult:
    """The check that the arguments shared by check and explain ask for.

    ``printer`` is the module that will print it: imported while a child process is at work.
    """
    if "identkit.checking" not in sys.modules:
        gc.disable()  # nothing of what is imported is garbage
        import_module("identkit.checking")
        gc.freeze()
        gc.enable()
    from identkit.checking import check

    read_positional(options)
    expert = chosen_expert(options, options.dim)
    with status_line() as show:

        def progress(text: str) -> None:
            show(text)
            import_module(f"identkit.report.{printer}")

        result = check(
            expert,
            chosen_gate(options),
            likelihood=options.likelihood,
            variance=options.variance,
            classes=options.classes,
            shared=shared_expert(options, expert),
            regime=options.regime,
            condition=options.condition,
            level=options.level,
            atoms=options.atoms,
            domain=read_domain(options.domain),
            seed=options.seed,
            max_precision=options.max_precision,
            time_limit=options.time_limit,
            require=require,
            progress=progress,
        )
    return result
