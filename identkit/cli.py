"""The command line: parse, call, print. Exit codes 0 done, 1 not met, rejected or not at a minimum,
2 bad input, 3 undecided, 74 output that cannot be written, 130 interrupted."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from identkit import __version__, streams
from identkit.cli_claims import add_claims, run_claims
from identkit.cli_expert import add_domain, add_expert_options, chosen_expert, read_domain
from identkit.cli_fit import add_fit, run_fit
from identkit.cli_help import Help
from identkit.cli_interactions import add_interactions, run_interactions
from identkit.cli_progress import status_line
from identkit.cli_rates import add_rates, run_rates, run_truth
from identkit.cli_sweep import add_sweep, run_report, run_runs, run_sweep
from identkit.errors import CertificateError, IdentkitError, InputError, OutputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from identkit.results import CheckResult

EXIT_NOT_MET, EXIT_BAD_INPUT, EXIT_UNDECIDED = 1, 2, 3

CHECK_EXAMPLES = """\
examples:
  identkit check --expert gelu --gate sigmoid
  identkit check --expert relu --gate sigmoid --condition strong --level product
  identkit check --expr "c*atan(a*x + b)" --gate softmax
  identkit check --expert gelu --gate sigmoid --require strong --save gelu.json

verdicts:
  yes        proved: the condition holds (the report says for which parameters)
  no         proved: it fails, with the relation or the dimension count
  undecided  neither was proved within the limits; the report says what was
             tried

exit codes: 0 done and any --require met; 1 requirement not met; 2 bad input;
3 the required verdict (or, without --require, every verdict) is undecided."""


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are one sentence and exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see '{self.prog} --help'.")


def build_parser() -> argparse.ArgumentParser:
    """The parser, with help that teaches."""
    parser = _Parser(
        prog="identkit",
        description="Machine-checked identifiability for mixture-of-experts models.",
        epilog="Start with: identkit check --expert gelu --gate sigmoid",
    )
    parser.add_argument("--version", action="version", version=f"identkit {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    _add_check(commands)
    _add_table(commands)
    add_fit(commands)
    add_rates(commands)
    add_sweep(commands)
    add_claims(commands)
    add_interactions(commands)
    verify = commands.add_parser(
        "verify",
        help="verify a certificate file written by check --save",
        description="Check the evidence in the file by a small kernel that shares no code with the "
        "prover. What the kernel cannot show the prover derives once more, and it says so. Exit "
        "code 0: it holds; 1: rejected, with the first thing that fails.",
    )
    verify.add_argument("file", metavar="CERT.json")
    verify.add_argument("--json", action="store_true", help="machine-readable answer")
    verify.add_argument(
        "--time-limit", type=float, default=120.0, metavar="S", help="seconds, then an error (120)"
    )
    for name, text in (
        ("experts", "list the built-in experts with formulas"),
        ("gates", "list the gates with formulas and sources"),
        ("conditions", "list the identifiability conditions with functions and sources"),
    ):
        listing = commands.add_parser(name, help=text, description=text)
        listing.add_argument("--json", action="store_true", help="machine-readable list")
    return parser


def _add_check(commands: argparse._SubParsersAction) -> None:
    check = commands.add_parser(
        "check",
        help="prove or refute identifiability conditions for an expert and a gate",
        description="Prove or refute the identifiability conditions of an expert under a gate, "
        "say which rate follows, and which parameters can be told apart.",
        epilog=CHECK_EXAMPLES,
        formatter_class=Help,
    )
    _add_question(check)
    out = check.add_argument_group("output")
    out.add_argument(
        "--require",
        metavar="NAME",
        help="strong, weak or nondegenerate: exit 1 unless it is proved",
    )
    form = out.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="schema identkit.check/1, sorted keys")
    form.add_argument("--latex", action="store_true", help="a paragraph to paste into a paper")
    out.add_argument("--save", metavar="CERT.json", help="write the certificate to a file")
    explain = commands.add_parser(
        "explain",
        help="the second-order argument step by step: which rate follows, and why",
        description="The second-order argument as on a page: the functions of one atom, the "
        "relations among them, the moments these leave free, the conclusion, and the "
        "counterexample if there is one. Takes the arguments of check.",
        epilog="example: identkit explain --expert relu --gate softmax --markdown",
    )
    _add_question(explain)
    form = explain.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="what check --json prints")
    form.add_argument("--markdown", action="store_true", help="for a README or a notebook")
    form.add_argument("--latex", action="store_true", help="for a paper (amsmath)")


def _add_question(check: argparse.ArgumentParser) -> None:
    """What to check and how: the arguments check and explain share."""
    what = check.add_argument_group("what to check")
    add_expert_options(what)
    what.add_argument("--dim", type=int, metavar="D", help="number of inputs (default 2)")
    which = check.add_argument_group("which conditions")
    which.add_argument("--regime", type=int, metavar="1|2", help="sigmoid gate: one regime (both)")
    which.add_argument(
        "--condition",
        metavar="NAME",
        help="strong, weak, shared-strong or nondegenerate (the regime's own)",
    )
    which.add_argument("--level", metavar="LEVEL", help="expert or product (see conditions)")
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


def _add_table(commands: argparse._SubParsersAction) -> None:
    table = commands.add_parser(
        "table",
        help="experts × (gate, regime): published claims beside certified verdicts",
        description="Certify every built-in expert and print it beside the published table.",
    )
    table.add_argument("--dim", type=int, default=2, metavar="D", help="number of inputs (2)")
    table.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every draw (0)")
    form = table.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="machine-readable table")
    form.add_argument("--markdown", action="store_true", help="for a README")
    form.add_argument("--latex", action="store_true", help="for a paper")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    # a short-lived process: collecting while SymPy is imported costs a tenth of its time
    gc.set_threshold(100_000, 50, 50)
    return streams.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = build_parser().parse_args(_shielded(arguments))
        command: dict[str | None, Callable[[argparse.Namespace], int]] = {
            "check": _check,
            "explain": _explain,
            "table": _table,
            "fit": lambda options: run_fit(options, _print),
            "rates": lambda options: run_rates(options, _print),
            "truth": lambda options: run_truth(options, _print),
            "sweep": lambda options: run_sweep(options, _print),
            "runs": lambda options: run_runs(options, _print),
            "report": lambda options: run_report(options, _print),
            "claims": lambda options: run_claims(options, _print),
            "interactions": lambda options: run_interactions(options, _print),
            "verify": _verify,
            "experts": _list,
            "gates": _list,
            "conditions": _list,
        }
        if options.command is None:
            build_parser().print_help()
            return 0
        return command[options.command](options)
    except OutputError:
        raise
    except CertificateError as error:
        print(f"identkit: rejected: {error}", file=sys.stderr)
        return EXIT_NOT_MET
    except IdentkitError as error:
        print(f"identkit: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("identkit: interrupted; nothing was written.", file=sys.stderr)
        return 130


def _shielded(arguments: Sequence[str] | None) -> list[str]:
    """Values such as ``-.5`` or ``-a*x`` after their option, kept from looking like options.

    argparse takes an argument with a space in it for a value.
    """
    waiting = list(sys.argv[1:] if arguments is None else arguments)
    shielded: list[str] = []
    while waiting:
        argument = waiting.pop(0)
        if argument == "--domain" and waiting and not waiting[0].startswith("--"):
            shielded.append(f"--domain={_interval(waiting)}")
            continue
        expression = shielded[-1:] in (["--expr"], ["interactions"])
        value = argument[1:2] == "." or (expression and not argument.startswith("--"))
        shielded.append(f" {argument}" if argument[:1] == "-" and value else argument)
    return shielded


def _interval(waiting: list[str]) -> str:
    """``LO HI`` as one argument ``LO:HI``; ``x0=LO:HI`` is one already."""
    first = waiting.pop(0)
    if "=" in first or not waiting or waiting[0].startswith("--"):
        return first
    return f"{first}:{waiting.pop(0)}"


def _checked(options: argparse.Namespace, printer: str, require: str | None = None) -> CheckResult:
    """The check that the arguments shared by check and explain ask for.

    ``printer`` is the module that will print it: imported while a child process is at work.
    """
    if "identkit.checking" not in sys.modules:
        gc.disable()  # nothing of what is imported is garbage
        import_module("identkit.checking")
        gc.freeze()
        gc.enable()
    from identkit.checking import check

    expert = chosen_expert(options, options.dim)
    with status_line() as show:

        def progress(text: str) -> None:
            show(text)
            import_module(f"identkit.report.{printer}")

        result = check(
            expert,
            options.gate,
            regime=options.regime,
            condition=options.condition,
            level=options.level,
            atoms=options.atoms,
            domain=read_domain(options.domain),
            seed=options.seed,
            max_precision=options.max_precision,
            time_limit=options.time_limit,
            require=require,
            progress=progress,
        )
    return result


def _explain(options: argparse.Namespace) -> int:
    from identkit.report import explain
    from identkit.report.json_form import dumps

    result = _checked(options, "json_form" if options.json else "explain")
    if options.json:
        print(dumps(result.to_dict()))
    elif options.markdown:
        print(explain.markdown(result))
    elif options.latex:
        print(explain.latex(result))
    else:
        _print(explain.terminal(result))
    return result.exit_code


def _check(options: argparse.Namespace) -> int:
    from identkit.report.json_form import dumps

    printer = "json_form" if options.json else "markup" if options.latex else "terminal"
    result = _checked(options, printer, options.require)
    if options.save is not None:
        result.save(options.save)
    if options.json:
        print(dumps(result.to_dict()))
    elif options.latex:
        from identkit.report.markup import latex

        print(latex(result))
    else:
        from identkit.report.terminal import check_report

        _print(check_report(result))
        if options.save is not None:
            print(
                f"certificate written to {options.save}; check it: identkit verify {options.save}"
            )
    return result.exit_code


def _table(options: argparse.Namespace) -> int:
    from identkit.experts import check_dim
    from identkit.report import tables
    from identkit.table import table

    check_dim(options.dim)
    with status_line() as progress:
        result = table(options.dim, seed=options.seed, progress=progress)
    if options.json:
        print(tables.json_text(result))
    elif options.markdown:
        print(tables.markdown(result))
    elif options.latex:
        print(tables.latex(result))
    else:
        _print(tables.terminal(result))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from identkit.certificates.store import load
    from identkit.certificates.verify import verify
    from identkit.gates import resolve as resolve_gate
    from identkit.report import statements
    from identkit.report.json_form import dumps

    document = load(options.file)
    with status_line() as progress:
        progress(f"verifying {options.file}")
        verified = verify(document, options.time_limit)
    gate = resolve_gate(verified.gate)
    near = [
        (found := gate.regime(r.regime)) is not None and found.refits == "elsewhere"
        for r in verified.results
    ]
    if options.json:
        results = [
            {
                "condition": r.condition,
                "level": r.level,
                "regime": r.regime,
                "verdict": r.verdict,
                "quantifier": r.quantifier,
                "atoms": r.atoms,
                "atoms_scope": r.atoms_scope,
                "coordinates": list(r.coordinates),
                "nondegenerate": r.nondegenerate,
                "rate": None if r.rate is None else r.rate.derived,
                "rate_cause": None if r.rate is None else r.rate.cause,
                "near_the_truth_only": n,
                "premise": None if r.premise is None else r.premise.verdict,
                "checked_by": by,
            }
            for r, n, by in zip(verified.results, near, verified.by, strict=True)
        ]
        print(
            dumps(
                {
                    "schema": "identkit.verify/2",
                    "verified": True,
                    "expert": verified.expert.canonical(),
                    "gate": verified.gate,
                    "domain": verified.options.domain.document(),
                    "results": results,
                }
            )
        )
        return 0
    e = verified.expert
    box = verified.options.domain.text(e.dim)
    print(f"verified: h(x) = {e.text}, {verified.gate} gate")
    print(f"  inputs {', '.join(e.inputs)} in {box}, parameters {', '.join(e.parameters)}")
    for r, n, by in zip(verified.results, near, verified.by, strict=True):
        print(f"  {statements.title(r)}: {r.verdict}")
        print(f"    {statements.scope(r)}")
        if r.coordinates:
            print(f"    in the coordinates {', '.join(r.coordinates)}")
        if r.rate is not None:
            premise = "" if r.premise is None else f", premise {r.premise.verdict}"
            derived = statements.derived_rate(r.rate)
            print(f"    nondegenerate: {r.nondegenerate}, derived rate: {derived}{premise}")
            if n and r.nondegenerate == "yes":
                print("    near the truth only: exact refits elsewhere are not excluded")
        for who, what in (
            ("kernel", "checked by the kernel"),
            ("prover", "derived once more by the prover, not checked by the kernel"),
        ):
            pieces = [piece for piece, said in by.items() if said == who]
            if pieces:
                print(f"    {what}: {', '.join(pieces)}")
    return 0


def _list(options: argparse.Namespace) -> int:
    from identkit.report import listings

    if options.json:
        print(listings.json_text(options.command))
    else:
        _print(listings.terminal(options.command))
    return 0


def _print(renderable: RenderableType) -> None:
    if not sys.stdout.isatty():
        from identkit.report.terminal import plain

        sys.stdout.write(plain(renderable))
        return
    streams.console().print(renderable)


if __name__ == "__main__":
    sys.exit(main())
