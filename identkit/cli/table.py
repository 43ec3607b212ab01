"""``identkit table``: the published table beside certified verdicts."""

from __future__ import annotations

import argparse

from identkit.cli.output import show
from identkit.cli.progress import status_line


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    table = commands.add_parser(
        "table",
        help="experts × (gate, regime): published claims beside certified verdicts",
        description="Certify every built-in expert and print it beside the published table, or "
        "with --paper what one paper states of experts.",
        epilog="example: identkit table --paper 2505.10860 --dim 1",
    )
    table.set_defaults(call=run)
    table.add_argument("--paper", metavar="NUMBER", help="the claims of this paper, as at arXiv")
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
    with status_line() as progress:
        chosen = {"seed": options.seed, "progress": progress}
        if options.paper is None:
            view, result = tables, table(options.dim, **chosen)
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
