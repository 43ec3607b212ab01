"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from identkit.cli.progress import check_device
from identkit.domain import DomainLike
from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.experts import Expert
    from identkit.fit.model import Model
    from identkit.gates import RegimeCode

STORE = "identkit-runs.sqlite"
"""Where fits are kept unless --store says otherwise."""

BUILT_IN = re.compile(r"[a-z]{2,}[0-9]*(-free)?", re.IGNORECASE)
"""A name, not an expression."""
GATE = 'its name (see gates), or the weight in s = β1ᵀx + β0, e.g. "(1 + tanh(s))/2"'


def regime_code(text: str) -> int | str:
    """A regime as written: its key, or its number in the papers."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def add_positional(command: argparse.ArgumentParser, group: argparse._ArgumentGroup) -> None:
    """EXPERT and GATE, which --expert or --expr and --gate may say instead."""
    group.add_argument(
        "first",
        nargs="?",
        metavar="EXPERT",
        help="a built-in expert (see 'identkit experts'), or an expression as --expr takes it",
    )
    group.add_argument("second", nargs="?", metavar="GATE", help="the gate, as --gate takes it")
    command.usage = (
        f"{command.prog} EXPERT GATE [options]\n"
        f"       {command.prog} (--expert NAME | --expr EXPR) --gate GATE [options]"
    )


def add_expert_options(group: argparse._ArgumentGroup, *, required: bool = True) -> None:
    """--expert or --expr, --gate, --router, --shape and --params.

    ``required``: argparse asks for the first two; else the command does, where it needs them.
    """
    one = group.add_mutually_exclusive_group(required=required)
    one.add_argument("--expert", metavar="NAME", help="a built-in expert; see 'identkit experts'")
    one.add_argument(
        "--expr",
        metavar="EXPRESSION",
        help="your own expert: inputs x (or x0, x1, …), every other symbol is a parameter; for "
        "check and explain, semicolons between the components of several outputs",
    )
    group.add_argument("--gate", required=required, metavar="GATE", help=GATE)
    group.add_argument(
        "--router",
        metavar="ROUTER",
        help="of the dense-to-sparse gate: linear (default), a function such as tanh or tanh-bias, "
        "or an expression in the inputs and parameters of its own",
    )
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


def chosen_expert(
    options: argparse.Namespace, dim: int | None, inputs: Sequence[str] | None = None
) -> Expert:
    """The expert of these options; ``dim`` None: 2 inputs, or those of the expression.

    ``inputs`` are the names of the inputs of an expression that calls them by these.
    """
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
    return Expert.from_expression(options.expr, dim=dim, parameters=names, inputs=inputs)


def named_expert(text: str, inputs: Sequence[str]) -> list[str] | None:
    """The name in a text that may be an expression instead, and the shape behind it if any."""
    name, *shape = text.split() or [""]
    named = BUILT_IN.fullmatch(name) and name not in inputs and len(shape) < 2
    return [name, *shape] if named and all(map(str.isalpha, shape)) else None


def shared_expert(options: argparse.Namespace, expert: Expert) -> Expert | None:
    """The shared expert: a built-in one, with its shape behind it, or an expression."""
    from identkit.experts import Expert, builtin, names_written
    from identkit.expression import INPUT

    text = getattr(options, "shared", None)
    if text is None:
        return None
    name = named_expert(text, expert.inputs)
    if name is not None:
        return builtin(*name, dim=expert.dim)
    stray = [n for n in names_written(text) if INPUT.match(n) and int(n[1:] or "0") >= expert.dim]
    if stray:
        raise InputError(
            f"--shared {text}: it uses {min(stray)}, but the inputs are "
            f"{', '.join(expert.inputs)}; use no others."
        )
    own = None if all(map(INPUT.match, expert.inputs)) else expert.inputs
    return Expert.from_expression(text, dim=expert.dim, inputs=own)


def chosen_gate(options: argparse.Namespace) -> str:
    """The gate's name, its router behind it. Raises InputError."""
    if options.router is None:
        return options.gate
    from identkit.gates import ROUTED

    gate = options.gate.strip().lower()
    if gate != ROUTED:
        raise InputError(
            f"--router {options.router}: gate {options.gate} has no router to choose; drop it, or "
            f"use --gate {ROUTED}."
        )
    if not options.router.strip():
        raise InputError("--router: it is empty; write one such as tanh(w*x), or linear.")
    return f"{gate} {options.router}"


def add_likelihood(what: argparse._ActionsContainer) -> None:
    """``--likelihood`` and which variant of it."""
    what.add_argument(
        "--likelihood",
        metavar="NAME",
        help="what is estimated, and how (least-squares; see likelihoods)",
    )
    what.add_argument(
        "--variance",
        metavar="WHICH",
        help="of a Gaussian likelihood: free, one for each atom; common to all; known (free)",
    )
    what.add_argument(
        "--classes",
        type=int,
        metavar="S",
        help="of the categorical likelihood: parameters for each of S − 1 logits (2)",
    )


def add_question(check: argparse.ArgumentParser) -> None:
    """What to check and how: the arguments check and explain share."""
    what = check.add_argument_group("what to check")
    add_positional(check, what)
    add_expert_options(what, required=False)
    what.add_argument("--dim", type=int, metavar="D", help="number of inputs (default 2)")
    add_likelihood(what)
    what.add_argument(
        "--shared",
        metavar="EXPERT",
        help="shared experts beside the routed ones (a name or an expression; needs a density)",
    )
    which = check.add_argument_group("which conditions")
    which.add_argument(
        "--regime",
        type=regime_code,
        metavar="sparse|dense",
        help="one regime of the gate (all); 1 and 2 for those of sigmoid",
    )
    which.add_argument(
        "--condition",
        metavar="NAME",
        help="strong, weak, shared-strong or nondegenerate (the regime's own)",
    )
    which.add_argument(
        "--level", metavar="LEVEL", help="expert, product or router (see conditions)"
    )
    how = check.add_argument_group("how")
    how.add_argument("--atoms", type=int, default=3, metavar="K", help="atoms in the witness (3)")
    add_domain(how)
    how.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every draw (0)")
    how.add_argument(
        "--max-precision",
        type=int,
        default=8192,
        metavar="BITS",
        help="ball arithmetic limit (8192)",
    )
    how.add_argument(
        "--time-limit", type=float, default=60.0, metavar="S", help="seconds, then undecided (60)"
    )


def add_run_options(group: argparse._ArgumentGroup) -> None:
    """Where the fits are computed."""
    group.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda")
    group.add_argument("--workers", type=int, metavar="N", help="processes (one per core)")
    group.add_argument(
        "--scheduler",
        default="processes",
        metavar="NAME",
        help="processes, inline, local (Dask on this machine) or tcp://… (a Dask scheduler)",
    )


def check_run(options: argparse.Namespace) -> None:
    """Refuse options that cannot work before anything is computed or written."""
    from identkit.rates.scheduling import check_scheduler

    check_device(options.device)
    check_scheduler(options.scheduler, options.workers)


def add_model(
    command: argparse.ArgumentParser, *, positional: bool = False
) -> argparse._ArgumentGroup:
    """The options of :func:`chosen_model`; that it is given is for the command to ask."""
    what = command.add_argument_group("model")
    if positional:
        add_positional(command, what)
    add_expert_options(what, required=False)
    what.add_argument("--dim", type=int, metavar="D", help="number of inputs (1)")
    what.add_argument(
        "--regime",
        type=regime_code,
        metavar="sparse|dense",
        help="of the gate (its first); 1 and 2 for those of sigmoid",
    )
    return what


def chosen_model(options: argparse.Namespace) -> tuple[Model, RegimeCode]:
    """The model and its regime."""
    from identkit.fit.model import Model
    from identkit.gates import resolve
    from identkit.rates.running import needs_loss

    gate = resolve(chosen_gate(options))
    needs_loss(gate)
    # without --dim a built-in has one input, an expression those it names
    dim = 1 if options.dim is None and options.expr is None else options.dim
    model = Model(chosen_expert(options, dim), gate)
    return model, gate.chosen(options.regime, "--regime").code
