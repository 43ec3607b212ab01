"""``identkit check gelu softmax``: expert and gate without their options."""

from __future__ import annotations

import argparse

from identkit.cli.options import named_expert
from identkit.errors import InputError

OPTIONS = ("expert", "expr", "gate")


def read_positional(options: argparse.Namespace, *, required: bool = True) -> None:
    """Write what EXPERT and GATE say where --expert, --expr, --shape and --gate say it.

    ``required``: there has to be an expert and a gate. Raises InputError.
    """
    command = f"identkit {options.command}"
    by_option = [f"--{name}" for name in OPTIONS if getattr(options, name) is not None]
    if options.first is not None:
        if by_option:
            raise InputError(
                f"{options.command}: '{options.first}' and {by_option[0]} are two ways to say the "
                f"model; write {command} EXPERT GATE, or --expert or --expr and --gate."
            )
        if options.second is None:
            raise InputError(
                f"{options.command}: '{options.first}' is the expert and the gate is missing; "
                f"write it behind, as in {command} gelu softmax."
            )
        name = named_expert(options.first, ())
        if name is None:
            options.expr = options.first
        else:
            options.expert, *shape = name
            if shape and options.shape is not None:
                raise InputError(
                    f"--shape {options.shape}: '{options.first}' says its shape; drop one."
                )
            options.shape = shape[0] if shape else options.shape
        options.gate = options.second
    elif required and (options.gate is None or len(by_option) < 2):
        missing = "--gate" if options.gate is None and by_option else "--expert or --expr"
        raise InputError(
            f"{options.command}: give an expert and a gate, as in {command} gelu softmax"
            + (f"; {missing} is missing" if by_option else "")
            + f". See '{command} --help'."
        )
