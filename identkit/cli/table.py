"""``identkit table``: the published table beside certified verdicts."""

from __future__ import annotations

import argparse

from identkit.cli.options import add_likelihood
from identkit.cli.output import show
from identkit.cli.progress import status_line
from identkit.errors import InputError


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    table = commands.add_parser(
        "table",
        help="experts × (gate, regime): published claims beside certified verdicts",
        description="Certify every built-in expert and print it beside the published table, or "
        "with --paper what one paper states of experts.",
        epilog="examples: identkit table --paper 2505.10860 --dim 1; "
        "identkit table --gate laplace --gate quadratic --likelihood gaussian",
    )
    table.set_defaults(call=run)
    table.add_argument("--paper", metavar="NUMBER", help="the claims of this paper, as at arXiv")
    table.add_argument(
        "--gate",
        action="append",
        metavar="GATE",
        help="a gate of the table, once for each (those with the score β1ᵀx + β0)",
    )
    add_likelihood(table)
    table.add_argument("--dim", type=int, default=2, metavar="D", help="number of inputs (2)")
    table.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every draw (0)")
    form = table.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="machine-readable table")
    form.add_argument("--markdown", action="store_true", help="for a README")
    form.add_argument("--latex", action="store_true", help="for a paper")


def run(options: argparse.Namespace) -> int:
    """Certify, print; the exit code."""
    from identkit.experts import check_dim
    from identkit.report import paper_tables, tables
    from identkit.table import paper_table, table

    check_dim(options.dim)
    for name in ("gate", "likelihood", "variance"):
        if options.paper is not None and getattr(options, name) is not None:
            raise InputError(f"--{name}: a paper's claims have gates of their own; drop it.")
    with status_line() as progress:
        chosen = {"seed": options.seed, "progress": progress}
        if options.paper is None:
            under = {"likelihood": options.likelihood, "variance": options.variance}
            view, result = tables, table(options.dim, gates=options.gate, **under, **chosen)
        else:
            view, result = paper_tables, paper_table(options.paper, options.dim, **chosen)
    if options.json:
        print(view.json_text(result))
    elif options.markdown:
        print(view.markdown(result))
    elif options.latex:
        print(view.latex(result))
    else:
        show(view.terminal(result))
    return 0
