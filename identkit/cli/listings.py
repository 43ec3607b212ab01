"""``identkit experts``, ``gates``, ``conditions`` and ``likelihoods``: what exists."""

from __future__ import annotations

import argparse

from identkit.cli.output import show


def add(commands: argparse._SubParsersAction) -> None:
    """The parsers of the commands."""
    for name, text in (
        ("experts", "list the built-in experts with formulas"),
        ("gates", "list the gates with formulas and sources"),
        ("conditions", "list the identifiability conditions with functions and sources"),
        ("likelihoods", "list what can be estimated: the likelihoods with sources"),
    ):
        listing = commands.add_parser(name, help=text, description=text)
        listing.set_defaults(call=run)
        if name == "gates":
            listing.add_argument(
                "name", nargs="?", metavar="NAME", help="all that is known of this gate"
            )
        listing.add_argument("--json", action="store_true", help="machine-readable list")


def run(options: argparse.Namespace) -> int:
    """Print; the exit code."""
    from identkit.report import listings

    chosen = getattr(options, "name", None)
    if options.json:
        print(listings.json_text(options.command, chosen))
    else:
        show(listings.terminal(options.command, chosen))
    return 0
