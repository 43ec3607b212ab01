"""``identkit routers``: which experts are selected, how evenly, and how that changes."""

from __future__ import annotations

import argparse

from identkit.cli.help import Help
from identkit.cli.output import show
from identkit.cli.progress import require, work_bar
from identkit.errors import InputError

EXAMPLES = """\
examples:
  identkit routers run.npz --experts 64
  identkit routers run/ --tokens tokens.npz --html routers.html
  identkit routers run/ --json --types 2000
  identkit routers run/ --model model.py:MyModel --checkpoints saved/ \\
      --tokens ids.npy

RUN is a file (.npz, .safetensors, .parquet), or a folder of checkpoint100.npz,
checkpoint200.npz, … (parts: checkpoint100-part0.npz). Arrays in them:
  layer0, layer1, …        selected experts, integers (tokens, k)
  weights/layer0           their routing weights (may be missing)
  probabilities/layer0     of all experts before the selection (may be missing)
  tokens, domains          an id, and a number or name, for each token (both
                           may be missing, or be in the file of --tokens,
                           or in tokens.npz in the folder)
In one file, checkpoint100/layer0 is of checkpoint 100. In Parquet they are
columns, of lists. identkit.routers.recorder.RouterRecorder(model, folder)
records a torch model.

With --model and --checkpoints RUN is a new folder: the weights of every
checkpoint (step-1000.pt, checkpoint-1000/model.safetensors, …) are run over the
ids of --tokens, and what its routers select is recorded there. NAME of --model
is a module, or what makes one, as in identkit layer; its code is imported.

Saturation: the part of a token's experts that the last checkpoint selects as
well. Change: the part that the next one does not. Jain's index: 1 if experts
are used evenly, 1/n if one is used. Random routing gives k/n, 1 − k/n and
nearly 1. Recordings of any length are read in bounded memory.

exit codes: 0 done; 2 bad input."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of ``identkit routers``."""
    parser = commands.add_parser(
        "routers",
        help="which experts tokens select: evenness, change, co-activation, specialisation",
        description="Metrics of recorded routing, with bootstrap intervals and what random "
        "routing would give.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    parser.set_defaults(call=run)
    parser.add_argument("path", metavar="RUN", help="a recording: a file, or a folder of files")
    what = parser.add_argument_group("what is recorded")
    what.add_argument("--tokens", metavar="FILE", help="ids (and domains) of the tokens")
    what.add_argument("--experts", type=int, metavar="N", help="experts that there are, n")
    made = parser.add_argument_group("recorded now, from checkpoints of a torch model")
    made.add_argument("--model", metavar="FILE:NAME", help="model.py:NAME or package.module:NAME")
    made.add_argument("--config", metavar="FILE", help="what a class is made of, as JSON")
    made.add_argument("--checkpoints", metavar="DIR", help="a folder with weights")
    made.add_argument("--length", type=int, metavar="L", help="tokens of a sequence (128)")
    made.add_argument("--batch", type=int, metavar="B", help="sequences at a time (8)")
    made.add_argument(
        "--routers", metavar="A,B,…", help="modules that route (named router or gate, alike)"
    )
    made.add_argument("--device", metavar="NAME", help="auto, cpu or cuda (auto)")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--types", type=int, metavar="N", help="types of tokens, the most frequent (all)"
    )
    how.add_argument(
        "--dead", type=float, metavar="X", help="dead below X times the balanced share (0.01)"
    )
    how.add_argument(
        "--overloaded", type=float, metavar="X", help="overloaded above X times it (2)"
    )
    how.add_argument(
        "--between", action="store_true", help="what each layer tells of the next, too"
    )
    how.add_argument("--draws", type=int, metavar="N", help="of the bootstrap (1000); 0: none")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every draw (0)")
    how.add_argument("--workers", type=int, metavar="N", help="threads (one per core, at most 4)")
    out = parser.add_argument_group("output")
    out.add_argument("--json", action="store_true", help="schema identkit.routers/1")
    out.add_argument("--figure", metavar="FILE", help="draw it: .svg, .pdf or .png")
    out.add_argument("--html", metavar="FILE", help="one page with everything")


def run(options: argparse.Namespace) -> int:
    """Analyse, print, draw. Returns the exit code."""
    require("routers", "numpy")
    from identkit.routers.analysis import analyse
    from identkit.routers.recorded import recording

    if options.figure is not None:
        from identkit.rates.figure_files import check_path

        check_path(options.figure)
    if options.html is not None:
        from identkit.files import check_target

        require("routers --html", "matplotlib", extra="figures")
        check_target(options.html, f"--html '{options.html}'")
    given = {
        "dead_below": options.dead, "overloaded_above": options.overloaded, "draws": options.draws,
    }  # fmt: skip
    tokens = options.tokens
    if _to_be_made(options):
        _record(options)
        tokens = None
    recorded = recording(options.path, tokens)
    with work_bar() as bar:
        found = analyse(
            recorded,
            experts=options.experts,
            types=options.types,
            seed=options.seed,
            between=options.between,
            workers=options.workers,
            progress=lambda done, total, label: bar(done, total, done, total, label),
            **{name: value for name, value in given.items() if value is not None},
        )
    if options.figure is not None:
        from identkit.rates.figure_files import save
        from identkit.report.routers_figure import figure

        save(figure(found), options.figure)
    if options.html is not None:
        from identkit.report.routers_page import write_page

        write_page(options.html, found)
    if options.json:
        from identkit.report.json_text import dumps
        from identkit.report.routers_document import document

        print(dumps(document(found)))
        return 0
    from identkit.report.routers_report import terminal

    show(terminal(found))
    for path in (options.figure, options.html):
        if path is not None:
            print(f"written to {path}")
    return 0


def _to_be_made(options: argparse.Namespace) -> bool:
    """Whether RUN is recorded now. Raises InputError for options that do not go together."""
    own = ("config", "length", "batch", "routers", "device")
    asked = options.model is not None or options.checkpoints is not None
    if not asked:
        for name in own:
            if getattr(options, name) is not None:
                raise InputError(
                    f"--{name}: it is about a recording from checkpoints; add --model and "
                    "--checkpoints, or drop it."
                )
        return False
    for name in ("model", "checkpoints", "tokens"):
        if getattr(options, name) is None:
            raise InputError(
                f"--{name}: is missing; a recording from checkpoints needs --model, --checkpoints "
                "and --tokens."
            )
    return True


def _record(options: argparse.Namespace) -> None:
    """Write the recording of every checkpoint, with progress."""
    require("routers --model", "torch")
    from identkit.cli.layer import named
    from identkit.fit.job import device_of
    from identkit.layers.imported import load
    from identkit.routers.checkpoints import record_checkpoints

    place = named(options.model)
    if place is None:
        raise InputError(f"--model {options.model}: give file.py:NAME or package.module:NAME.")
    device = device_of(options.device or "auto")
    routers = None
    if options.routers is not None:
        routers = [name.strip() for name in options.routers.split(",") if name.strip()]
    given = {"length": options.length, "batch": options.batch}
    model = load(*place, config=options.config)
    with work_bar() as bar:
        record_checkpoints(
            model, options.checkpoints, options.tokens, options.path, routers=routers,
            experts=options.experts, device=device,
            progress=lambda done, total, what: bar(done, total, done, total, what),
            **{name: value for name, value in given.items() if value is not None},
        )  # fmt: skip
