"""``identkit order``: where second order fails, how slow each direction is."""

from __future__ import annotations

import argparse

from identkit.cli.help import Help
from identkit.cli.options import (
    add_domain,
    add_expert_options,
    add_likelihood,
    add_positional,
    chosen_expert,
    chosen_gate,
    read_domain,
)
from identkit.cli.output import show
from identkit.cli.positional import read_positional
from identkit.cli.progress import status_line

EXAMPLES = """\
examples:
  identkit order linear softmax --likelihood gaussian
  identkit order linear softmax --likelihood gaussian --cell 3
  identkit order "erf(a*x + b)" softmax --cell 3
  identkit order "a*x**2 + b*x + c" softmax --likelihood gaussian --cell 3

An order r of a direction: deviations of size t in it can change what is
estimated by t^r only, so that its rate is n^(-1/(2r)). 2 is n^-1/4.

status:
  exact     proved from both sides
  interval  proved: at least the first number, at most the second
            (∞: no upper bound is known)
  open      only the bound that every expert has
An order "infinite" moves along an exact family: nothing is estimated.

exit codes: 0 done; 2 bad input; 3 no direction has more than its trivial
bound."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of ``identkit order``."""
    parser = commands.add_parser(
        "order",
        help="where second order fails: how slow each direction is, as far as proved",
        description="Say how slow each parameter of an over-specified atom is: at least, by an "
        "explicit arc verified by exact series; at most, by a theorem whose hypotheses are proved.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    parser.set_defaults(call=run)
    what = parser.add_argument_group("model")
    add_positional(parser, what)
    add_expert_options(what, required=False)
    what.add_argument("--dim", type=int, metavar="D", help="number of inputs (default 2)")
    add_likelihood(what)
    how = parser.add_argument_group("how")
    how.add_argument(
        "--cell", type=int, default=2, metavar="M", help="atoms fitted to one true atom, 2 to 6 (2)"
    )
    how.add_argument(
        "--max-order",
        type=int,
        default=8,
        metavar="N",
        help="highest power of t up to which arcs are expanded, 2 to 12 (8)",
    )
    add_domain(how)
    how.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every draw (0)")
    how.add_argument(
        "--time-limit", type=float, default=60.0, metavar="S", help="seconds, then open (60)"
    )
    parser.add_argument("--json", action="store_true", help="schema identkit.order/1, sorted keys")


def run(options: argparse.Namespace) -> int:
    """Decide, print; the exit code."""
    from identkit.orders.deciding import order
    from identkit.report.json_text import dumps
    from identkit.vocabulary import OrderStatus

    read_positional(options)
    with status_line() as progress:
        progress("second order, arcs, bounds")
        found = order(
            chosen_expert(options, options.dim),
            chosen_gate(options),
            likelihood=options.likelihood,
            variance=options.variance,
            classes=options.classes,
            cell=options.cell,
            max_order=options.max_order,
            domain=read_domain(options.domain),
            seed=options.seed,
            time_limit=options.time_limit,
        )
    if options.json:
        print(dumps(found.to_dict()))
    else:
        from identkit.report.orders_report import orders_report

        show(orders_report(found))
    return 3 if all(d.status == OrderStatus.OPEN for d in found.directions) else 0
