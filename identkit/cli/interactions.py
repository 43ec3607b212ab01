"""``identkit interactions``: relations among derivatives, of a function or of router and expert."""

from __future__ import annotations

import argparse
from typing import Any

from identkit.cli.help import Help
from identkit.cli.options import (
    add_domain,
    add_expert_options,
    add_likelihood,
    chosen_expert,
    chosen_gate,
    read_domain,
)
from identkit.cli.output import show
from identkit.cli.progress import status_line
from identkit.errors import InputError
from identkit.vocabulary import Verdict

EXAMPLES = """\
examples:
  identkit interactions --expert gelu --gate dense-to-sparse --dim 1
  identkit interactions --expert tanh --gate dense-to-sparse --router exp-bias
  identkit interactions --expr "a*x + b" --gate softmax --likelihood gaussian
  identkit interactions "exp(b0 + b1*x)*gelu(a*x + b)"
  identkit interactions "exp(b0 + b1*x)*tanh(a*x + b)" --of a "b1 b"
  identkit interactions "exp(-(y - m)**2/(2*v))/sqrt(2*pi*v)" --inputs y

Papers call such partial differential equations interactions between
parameters: a first derivative that equals a second one cannot be told from it
in a Taylor expansion. Derivatives of kinks are almost-everywhere ones, without
Dirac parts.

Of an expert and a gate, the gauges are named and removed, and relations are
sought at one atom among the derivatives of h and those of the score pi times
those of h: literally, and after what vanishes is dropped and what is
proportional merged. The first example prints

  literally: yes, for every choice of the atoms' parameters
    κ*∂h/∂a = ∂π/∂ω*∂h/∂b
      harmless at second order: M[ω,ω] = 0 for all invisible moments,
      hence M[ω,b] = 0
  after merging: no, for Lebesgue-almost every choice of the atoms' parameters

An interaction slows estimation only where moments of atoms can realise it.

exit codes: 0 relations found, or independence proved; 2 bad input;
3 undecided."""
OF_A_FUNCTION = ("order", "of", "inputs", "atoms")
OF_A_PAIR = (
    "expert", "expr", "gate", "router", "shape", "params", "dim", "likelihood", "variance",
    "classes", "seed", "time_limit",
)  # fmt: skip


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of ``identkit interactions``."""
    parser = commands.add_parser(
        "interactions",
        help="find how a router and an expert, or the parameters of any function, interact",
        description="Find, and prove in exact arithmetic, the linear relations with coefficients "
        "free of the inputs: among derivatives of an expert and products with those of a gate's "
        "router, or among partial derivatives of a function U in its parameters.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    parser.set_defaults(call=run)
    pair = parser.add_argument_group("an expert and a gate")
    add_expert_options(pair, required=False)
    pair.add_argument("--dim", type=int, metavar="D", help="number of inputs (default 2)")
    add_likelihood(pair)
    pair.add_argument("--seed", type=int, metavar="N", help="seed of every draw (0)")
    pair.add_argument("--time-limit", type=float, metavar="S", help="seconds, then undecided (60)")
    own = parser.add_argument_group("or a function")
    own.add_argument("expression", metavar="U", nargs="?", help="in the grammar of --expr")
    own.add_argument("--order", type=int, metavar="N", help="highest order (2)")
    own.add_argument(
        "--of",
        nargs="+",
        metavar="NAMES",
        help='these derivatives instead: "b1 b" is ∂²U/∂b1∂b, "" is U itself',
    )
    own.add_argument("--inputs", metavar="X,Y,…", help="names of the inputs (x, or x0, x1, …)")
    own.add_argument(
        "--atoms", type=int, metavar="K", help="atoms for which to try independence (1)"
    )
    add_domain(parser)
    parser.add_argument("--json", action="store_true", help="machine-readable answer")


def run(options: argparse.Namespace) -> int:
    """Find, print. Returns the exit code."""
    if options.expression is None:
        return _of_a_pair(options)
    _refuse(options, OF_A_PAIR, "is about an expert and a gate, not about a function U")
    from rich.text import Text

    from identkit.interaction import interactions
    from identkit.report.json_text import dumps

    with status_line() as progress:
        progress("comparing partial derivatives")
        found = interactions(
            options.expression,
            None if options.of is None else [_names(name) for name in options.of],
            inputs=None if options.inputs is None else _names(options.inputs),
            domain=read_domain(options.domain),
            **_given(options, ("order", "atoms")),
        )
    if options.json:
        print(dumps({"schema": "identkit.interactions/1", **found.to_dict()}))
    else:
        show(Text(str(found)))
    return 3 if found.independent == Verdict.UNDECIDED else 0


def _of_a_pair(options: argparse.Namespace) -> int:
    """The same for a router and an expert."""
    if options.gate is None or (options.expert is None and options.expr is None):
        raise InputError(
            "interactions: it is about a function U, or an expert and a gate; give U, or --gate "
            "with --expert or --expr."
        )
    _refuse(options, OF_A_FUNCTION, "is about a function U, not about an expert and a gate")
    from rich.text import Text

    from identkit.report.json_text import dumps
    from identkit.router_interaction import router_interactions

    with status_line() as progress:
        progress("gauges, relations of router and expert, second order")
        found = router_interactions(
            chosen_expert(options, options.dim),
            chosen_gate(options),
            likelihood=options.likelihood,
            variance=options.variance,
            classes=options.classes,
            domain=read_domain(options.domain),
            **_given(options, ("seed", "time_limit")),
        )
    if options.json:
        print(dumps(found.to_dict()))
    else:
        show(Text(str(found)))
    return 3 if Verdict.UNDECIDED in (found.literal, found.after_merging) else 0


def _refuse(options: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    """Raise InputError for the first option of these that is given."""
    for name in names:
        if getattr(options, name) is not None:
            raise InputError(f"--{name.replace('_', '-')}: it {why}; drop one of the two.")


def _given(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the options that are given, others have the default of what is called."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())
