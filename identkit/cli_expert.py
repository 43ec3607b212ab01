"""The expert and the gate on the command line, for every command that takes them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from identkit.domain import DomainLike
from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.experts import Expert


GATE = 'sigmoid, softmax, or the weight in s = β1ᵀx + β0, e.g. "(1 + tanh(s))/2" (see gates)'


def add_expert_options(group: argparse._ArgumentGroup) -> None:
    """--expert or --expr, --gate, --shape and --params."""
    one = group.add_mutually_exclusive_group(required=True)
    one.add_argument("--expert", metavar="NAME", help="a built-in expert; see 'identkit experts'")
    one.add_argument(
        "--expr",
        metavar="EXPRESSION",
        help="your own expert: inputs x (or x0, x1, …), every other symbol is a parameter; for "
        "check and explain, semicolons between the components of several outputs",
    )
    group.add_argument("--gate", required=True, metavar="GATE", help=GATE)
    group.add_argument("--shape", metavar="SHAPE", help="ridge (default), nobias or ffn")
    group.add_argument(
        "--params",
        metavar="A,B,…",
        help="with --expr: the parameters, where x names are among them",
    )


def add_domain(group: argparse._ActionsContainer) -> None:
    """--domain, as text: it is read exactly (see :func:`read_domain`)."""
    group.add_argument(
        "--domain",
        action="append",
        metavar="LO HI",
        help="the range of every input (-3 3); of one: x0=LO:HI, once for each",
    )


def read_domain(given: Sequence[str] | None) -> DomainLike:
    """The values of --domain as :meth:`identkit.domain.Domain.of` takes them.

    ``LO HI`` arrives as ``LO:HI``. Raises InputError.
    """
    if given is None:
        return ("-3", "3")
    named: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, sign, ends = text.rpartition("=")
        pair = tuple(v.strip() for v in ends.split(":"))
        if len(pair) != 2 or not all(pair):
            raise InputError(
                f"--domain {text}: give LO HI, or x0=LO:HI for each input, such as x0=0:5."
            )
        if not sign and len(given) > 1:
            raise InputError("--domain: give it once as LO HI, or once for each input as x0=LO:HI.")
        if not sign:
            return pair
        if name.strip() in named:
            raise InputError(f"--domain: {name.strip()} has two intervals; drop one.")
        named[name.strip()] = pair
    return named


def chosen_expert(options: argparse.Namespace, dim: int | None) -> Expert:
    """The expert of these options; ``dim`` None: 2 inputs, or those of the expression."""
    from identkit.experts import Expert, builtin

    if options.expr is None:
        if options.params is not None:
            raise InputError("--params: only an --expr expert has named parameters; drop it.")
        return builtin(options.expert, options.shape, 2 if dim is None else dim)
    if options.shape is not None:
        raise InputError("--shape: an --expr expert has no shapes; write it into the expression.")
    names = None
    if options.params is not None:
        names = tuple(n.strip() for n in options.params.split(",") if n.strip())
    return Expert.from_expression(options.expr, dim=dim, parameters=names)
