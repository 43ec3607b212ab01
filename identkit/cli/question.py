"""The check that ``check`` and ``explain`` ask for."""

from __future__ import annotations

import argparse
import gc
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from identkit.cli.options import chosen_expert, chosen_gate, read_domain
from identkit.cli.progress import status_line

if TYPE_CHECKING:
    from identkit.experts import Expert
    from identkit.results import CheckResult

BUILT_IN = re.compile(r"[a-z]{2,}[0-9]*(-free)?")
"""A name, not an expression."""


def _shared(options: argparse.Namespace, expert: Expert) -> Expert | None:
    """The shared expert: a built-in one, with its shape behind it, or an expression."""
    from identkit.experts import Expert, builtin

    text = getattr(options, "shared", None)
    if text is None:
        return None
    name, *shape = text.split() or [""]
    if BUILT_IN.fullmatch(name) and name not in expert.inputs and len(shape) < 2:
        return builtin(name, *shape, dim=expert.dim)
    return Expert.from_expression(text, dim=expert.dim)


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
            shared=_shared(options, expert),
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
