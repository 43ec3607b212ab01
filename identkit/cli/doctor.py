"""``identkit doctor``: what is installed, and what has to be mended."""

from __future__ import annotations

import argparse

from identkit.cli.help import Help
from identkit.cli.output import show
from identkit.cli.progress import status_line


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    doctor = commands.add_parser(
        "doctor",
        help="what is installed: versions, extras, threads, device, compiled kernels",
        description="List the libraries of each extra with their versions, threads and device, and "
        "the folders of compiled kernels. Every library that is installed is imported, each in a "
        "process of its own.",
        epilog="exit codes: 0 done; 1 a library that is installed is too old or cannot be imported",
        formatter_class=Help,
    )
    doctor.set_defaults(call=run)
    doctor.add_argument("--json", action="store_true", help="schema identkit.doctor/1, sorted keys")


def run(options: argparse.Namespace) -> int:
    """Look, print; the exit code."""
    from identkit.doctor import examine
    from identkit.report.doctor_report import terminal
    from identkit.report.json_text import dumps

    with status_line() as progress:
        progress("importing each library once")
        found = examine()
    if options.json:
        print(dumps(found.to_dict()))
    else:
        show(terminal(found))
    return 1 if found.problems else 0
