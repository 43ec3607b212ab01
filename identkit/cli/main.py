"""The parser of all commands, and the exit codes of what they raise.

Exit codes: 0 done, 1 not met, rejected or not at a minimum, 2 bad input, 3 undecided, 74 output
that cannot be written, 130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence

from identkit import __version__, streams
from identkit.cli import (
    check,
    claims,
    doctor,
    explain,
    fit,
    interactions,
    layer,
    listings,
    order,
    predict,
    rates,
    regions,
    report,
    routers,
    runs,
    sweep,
    table,
    truth,
    verify,
)
from identkit.cli.parser import Parser
from identkit.errors import CertificateError, IdentkitError, OutputError

EXIT_NOT_MET, EXIT_BAD_INPUT = 1, 2
COMMANDS = (
    check, explain, order, table, fit, predict, rates, truth, sweep, runs, report, claims,
    interactions, regions, layer, routers, verify, listings, doctor,
)  # fmt: skip
"""In the order of the help."""
FIRST_AN_EXPRESSION = ("check", "explain", "order", "rates", "interactions")
"""Commands whose first argument may be an expression, which may begin with a minus."""


def build_parser() -> argparse.ArgumentParser:
    """The parser, with help that teaches."""
    parser = Parser(
        prog="identkit",
        description="Machine-checked identifiability for mixture-of-experts models.",
        epilog="Start with: identkit check gelu sigmoid",
    )
    parser.add_argument("--version", action="version", version=f"identkit {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    # a short-lived process: collecting while SymPy is imported costs a tenth of its time
    gc.set_threshold(100_000, 50, 50)
    return streams.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = build_parser().parse_args(_shielded(arguments))
        if options.command is None:
            build_parser().print_help()
            return 0
        return options.call(options)
    except OutputError:
        raise
    except CertificateError as error:
        print(f"identkit: rejected: {error}", file=sys.stderr)
        return EXIT_NOT_MET
    except IdentkitError as error:
        print(f"identkit: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("identkit: interrupted; nothing was written.", file=sys.stderr)
        return 130


def _shielded(arguments: Sequence[str] | None) -> list[str]:
    """Values such as ``-.5`` or ``-a*x`` after their option, kept from looking like options.

    argparse takes an argument with a space in it for a value.
    """
    waiting = list(sys.argv[1:] if arguments is None else arguments)
    shielded: list[str] = []
    while waiting:
        argument = waiting.pop(0)
        if argument == "--domain" and waiting and not waiting[0].startswith("--"):
            shielded.append(f"--domain={_interval(waiting)}")
            continue
        first = len(shielded) == 1 and shielded[0] in FIRST_AN_EXPRESSION and argument != "-h"
        expression = first or shielded[-1:] in (["--expr"], ["--scores"])
        value = argument[1:2] == "." or (expression and not argument.startswith("--"))
        shielded.append(f" {argument}" if argument[:1] == "-" and value else argument)
    return shielded


def _interval(waiting: list[str]) -> str:
    """``LO HI`` as one argument ``LO:HI``; ``x0=LO:HI`` is one already."""
    first = waiting.pop(0)
    if "=" in first or not waiting or waiting[0].startswith("--"):
        return first
    return f"{first}:{waiting.pop(0)}"
