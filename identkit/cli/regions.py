"""``identkit regions``: where a top-K gate selects which atoms, and which fits of it converge."""

from __future__ import annotations

import argparse

from identkit.cli.help import Help
from identkit.cli.options import add_domain, read_domain
from identkit.cli.output import show
from identkit.errors import InputError
from identkit.vocabulary import Verdict

EXAMPLES = """\
examples:
  identkit regions top-2 --true-atoms 4
  identkit regions top-2 --true-atoms 4 --fitted 5 --fitted-top 3
  identkit regions top-2 --cells 2,1,1 --fitted-top 3
  identkit regions top-2-unnormalised --true-atoms 3 --fitted 6 --fitted-top 4
  identkit regions top-2 --scores "1 0; -1 0; 0 1/2" --domain -2 2 --fitted 4
  identkit regions top-2-biased --scores "1 0 0; -1 0 1/4; 2 1 0"

A gate that selects K atoms divides the inputs into regions, on each of which
f_G* is a mixture of the same K true atoms. A fit has one cell of atoms around
each true atom, of sizes |V_j|, and selects K̄ of them. It converges only if on
EVERY region numbers n_j ≤ |V_j| of its cells' atoms are selected with Σ n_j =
K̄; the published K̄ ≥ max Σ|V_j| does not suffice. Where a fit fails, a measure
and a point x at which f differs are printed.

exit codes: 0 decided, or only regions were asked for; 2 bad input; 3
undecided."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of ``identkit regions``."""
    parser = commands.add_parser(
        "regions",
        help="of a top-K gate: which atoms are selected where, and which fits converge",
        description="The regions of a gate that selects K atoms, and whether a fit with more "
        "atoms, or one that selects more, can converge; decided in exact arithmetic.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    parser.set_defaults(call=run)
    parser.add_argument("gate", metavar="GATE", help="top-2, top-2-unnormalised, top-2-biased, …")
    truth = parser.add_argument_group("the truth")
    truth.add_argument("--true-atoms", type=int, metavar="N", help="true atoms, k*")
    truth.add_argument(
        "--scores",
        metavar="TEXT",
        help='of each true atom for one input: "β1 β0; β1 β0; …", and b under a selection bias; '
        "then only the regions in the domain count (all K of the k*)",
    )
    add_domain(truth)
    fit = parser.add_argument_group("the fit")
    fit.add_argument("--fitted", type=int, metavar="N", help="fitted atoms, k: all sizes of cells")
    fit.add_argument("--cells", metavar="N,N,…", help="the sizes of cells, one for each true atom")
    fit.add_argument("--fitted-top", type=int, metavar="N", help="atoms that it selects, K̄ (K)")
    parser.add_argument("--json", action="store_true", help="schema identkit.regions/1")


def run(options: argparse.Namespace) -> int:
    """Decide, print. Returns the exit code."""
    from identkit.report.json_text import dumps
    from identkit.report.regions_report import regions_report
    from identkit.selecting.answers import SCHEMA, answer

    if options.scores is None and options.domain is not None:
        raise InputError("--domain: regions are counted in it only with --scores; add these.")
    found = answer(
        options.gate,
        true_atoms=options.true_atoms,
        fitted=options.fitted,
        fitted_top=options.fitted_top,
        cells=_cells(options.cells),
        scores=_scores(options.scores),
        domain=read_domain(options.domain),
    )
    if options.json:
        print(dumps({"schema": SCHEMA, **found.to_dict()}))
    else:
        show(regions_report(found))
    unsure = found.division is not None and bool(found.division.open)
    return 3 if unsure or found.converges == Verdict.UNDECIDED else 0


def _cells(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = text.replace(",", " ").split()
    if not parts or not all(p.isascii() and p.isdigit() and len(p) < 5 for p in parts):
        raise InputError(f"--cells {text[:40]}: give whole numbers, such as 2,1,1.")
    return [int(p) for p in parts]


def _scores(text: str | None) -> list[list[str]] | None:
    if text is None:
        return None
    return [atom.replace(",", " ").split() for atom in text.strip().strip(";").split(";")]
