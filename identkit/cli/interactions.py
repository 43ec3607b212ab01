"""``identkit interactions``: the linear relations among partial derivatives of any function."""

from __future__ import annotations

import argparse

from identkit.cli.help import Help
from identkit.cli.options import add_domain, read_domain
from identkit.cli.output import show
from identkit.cli.progress import status_line
from identkit.vocabulary import Verdict

EXAMPLES = """\
examples:
  identkit interactions "exp(b0 + b1*x)*gelu(a*x + b)"
  identkit interactions "exp(b0 + b1*x)*tanh(a*x + b)" --of a "b1 b"
  identkit interactions "exp(-(y - m)**2/(2*v))/sqrt(2*pi*v)" --inputs y

Papers call such partial differential equations interactions between
parameters: a first derivative that equals a second one cannot be told from it
in a Taylor expansion. Derivatives of kinks are almost-everywhere ones, without
Dirac parts. An interaction slows estimation only where moments of
atoms can realise it; 'identkit check' decides that for the known gates.

exit codes: 0 relations found, or independence proved; 2 bad input;
3 undecided."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of ``identkit interactions``."""
    parser = commands.add_parser(
        "interactions",
        help="find the PDEs that a function of your own satisfies in its parameters",
        description="Find, and prove in exact arithmetic, the linear relations among partial "
        "derivatives of U in its parameters, with coefficients free of the inputs.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    parser.set_defaults(call=run)
    parser.add_argument("expression", metavar="U", help="in the grammar of --expr")
    parser.add_argument("--order", type=int, default=2, metavar="N", help="highest order (2)")
    parser.add_argument(
        "--of",
        nargs="+",
        metavar="NAMES",
        help='these derivatives instead: "b1 b" is ∂²U/∂b1∂b, "" is U itself',
    )
    parser.add_argument("--inputs", metavar="X,Y,…", help="names of the inputs (x, or x0, x1, …)")
    add_domain(parser)
    parser.add_argument(
        "--atoms", type=int, default=1, metavar="K", help="atoms for which to try independence (1)"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable answer")


def run(options: argparse.Namespace) -> int:
    """Find, print. Returns the exit code."""
    from rich.text import Text

    from identkit.interaction import interactions
    from identkit.report.json_text import dumps

    with status_line() as progress:
        progress("comparing partial derivatives")
        found = interactions(
            options.expression,
            None if options.of is None else [_names(name) for name in options.of],
            order=options.order,
            inputs=None if options.inputs is None else _names(options.inputs),
            atoms=options.atoms,
            domain=read_domain(options.domain),
        )
    if options.json:
        print(dumps({"schema": "identkit.interactions/1", **found.to_dict()}))
    else:
        show(Text(str(found)))
    return 3 if found.independent == Verdict.UNDECIDED else 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())
