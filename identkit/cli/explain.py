"""``identkit explain``: the second-order argument written out."""

from __future__ import annotations

import argparse

from identkit.cli.help import Help
from identkit.cli.options import add_question
from identkit.cli.output import show
from identkit.cli.question import checked

EXAMPLES = """\
examples:
  identkit explain relu softmax --markdown
  identkit explain linear softmax --likelihood gaussian --shared linear"""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    explain = commands.add_parser(
        "explain",
        help="the second-order argument step by step: which rate follows, and why",
        description="The second-order argument as on a page: the functions of one atom, the "
        "relations among them, the moments these leave free, the conclusion, the "
        "counterexample if there is one, and the gauges with measures to paste. Takes the "
        "arguments of check.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    explain.set_defaults(call=run)
    add_question(explain)
    form = explain.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="what check --json prints")
    form.add_argument("--markdown", action="store_true", help="for a README or a notebook")
    form.add_argument("--latex", action="store_true", help="for a paper (amsmath)")


def run(options: argparse.Namespace) -> int:
    """Check, explain; the exit code."""
    from identkit.report import explain
    from identkit.report.json_form import check_document
    from identkit.report.json_text import dumps

    result = checked(options, "json_form" if options.json else "explain")
    if options.json:
        print(dumps(check_document(result)))
    elif options.markdown:
        print(explain.markdown(result))
    elif options.latex:
        print(explain.latex(result))
    else:
        show(explain.terminal(result))
    return result.exit_code
