"""``identkit check``: conditions decided, and what follows from them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from identkit.cli.help import Help
from identkit.cli.options import add_question
from identkit.cli.output import show
from identkit.cli.progress import status_line
from identkit.cli.question import checked
from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.alternatives import Alternative
    from identkit.orders.answer import Orders
    from identkit.results import CheckResult

CELLS = (2, 3)
EXAMPLES = """\
examples:
  identkit check gelu sigmoid
  identkit check "c*atan(a*x + b)" softmax
  identkit check --expert gelu --gate sigmoid          # the same in full
  identkit check relu sigmoid --condition strong --level product
  identkit check "a*x" softmax --likelihood gaussian --shared tanh
  identkit check "c*relu(a*x + b)" softmax --alternatives
  identkit check gelu sigmoid --require strong --save gelu.json

verdicts:
  yes        proved: the condition holds (the report says for which parameters)
  no         proved: it fails, with the relation or the dimension count
  undecided  neither was proved within the limits; the report says what was
             tried

exit codes: 0 done and any --require met; 1 requirement not met; 2 bad input;
3 the required verdict (or, without --require, every verdict) is undecided."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    check = commands.add_parser(
        "check",
        help="prove or refute identifiability conditions for an expert and a gate",
        description="Prove or refute the identifiability conditions of an expert under a gate, "
        "say which rate follows, and which parameters can be told apart.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    check.set_defaults(call=run)
    add_question(check)
    out = check.add_argument_group("output")
    out.add_argument(
        "--require",
        metavar="NAME",
        help="strong, weak or nondegenerate: exit 1 unless it is proved",
    )
    out.add_argument(
        "--alternatives",
        action="store_true",
        help="where the expert is degenerate: nearby models that are proved not to be; and, for "
        "each gauge, two measures with the same f or p (of numbers of yours: see truth)",
    )
    out.add_argument(
        "--orders",
        action="store_true",
        help="how slow each parameter is, for cells of 2 and 3 fitted atoms (see order)",
    )
    form = out.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="schema identkit.check/1, sorted keys")
    form.add_argument("--latex", action="store_true", help="a paragraph to paste into a paper")
    out.add_argument("--save", metavar="CERT.json", help="write the certificate to a file")


def _alternatives(result: CheckResult) -> tuple[Alternative, ...]:
    """Nearby models, with the progress line."""
    from identkit.alternatives import alternatives

    with status_line() as progress:
        return alternatives(result, progress)


def _orders(result: CheckResult) -> list[Orders]:
    """Those of cells of 2 and 3 atoms, with the progress line."""
    from identkit.orders.deciding import orders_of

    found = []
    with status_line() as progress:
        for cell in CELLS:
            progress(f"orders for cells of {cell} atoms")
            found.append(orders_of(result, cell))
    return found


def run(options: argparse.Namespace) -> int:
    """Check, print, save; the exit code."""
    from identkit.certificates.store import save
    from identkit.report.json_form import check_document
    from identkit.report.json_text import dumps

    printer = "json_form" if options.json else "markup" if options.latex else "terminal"
    if options.shared is not None and options.save is not None:
        raise InputError(
            "--save: a certificate is of one half; save the shared experts' with --gate input-free."
        )
    for more in ("alternatives", "orders"):
        if options.latex and getattr(options, more):
            raise InputError(f"--{more}: there is no LaTeX of them; drop --latex, or use --json.")
    result = checked(options, printer, options.require)
    if options.save is not None:
        save(result, options.save)
    instead = _alternatives(result) if options.alternatives else None
    orders = _orders(result) if options.orders else None
    if options.json:
        found = {} if orders is None else {"orders": [each.to_dict() for each in orders]}
        print(dumps({**check_document(result, instead), **found}))
    elif options.latex:
        from identkit.report.markup import latex

        print(latex(result))
    else:
        from identkit.report.terminal import check_report

        show(check_report(result, instead))
        if options.alternatives:
            from identkit.report.truths_report import examples_report

            show(examples_report(result))
        if orders is not None:
            from identkit.report.orders_report import orders_summary

            show(orders_summary(orders))
        if options.save is not None:
            print(
                f"certificate written to {options.save}; check it: identkit verify {options.save}"
            )
    return result.exit_code
