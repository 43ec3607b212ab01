"""``identkit layer``: what can be identified in a mixture-of-experts layer of a network."""

from __future__ import annotations

import argparse
import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from identkit.cli.help import Help
from identkit.cli.output import show
from identkit.cli.progress import require, status_line
from identkit.errors import InputError

if TYPE_CHECKING:
    from identkit.layers.findings import Findings
    from identkit.layers.record import Architecture

NAMED = re.compile(r"(?P<place>.+):(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
"""file.py:NAME, package.module:NAME"""
EXAMPLES = """\
examples:
  identkit layer config.json
  identkit layer path/to/model
  identkit layer --compare olmoe/config.json deepseek-v3/config.json
  identkit layer config.json --json
  identkit layer model.py:MyLayer --html layer.html
  identkit layer mypackage.layers:MyLayer --config sizes.json

SOURCE is a configuration of transformers (a config.json, or a directory with
one): mixtral, olmoe, qwen2_moe, qwen3_moe, deepseek_v2, deepseek_v3,
granitemoe, gpt_oss, llama4, jetmoe, switch_transformers. It is read without
weights, without transformers and without the network; a key that may change
what the layer computes and is not known is refused.

Or SOURCE is a layer of torch, file.py:NAME or package.module:NAME. That code is
imported, and run: NAME is a module, or a class or function that makes one
without arguments, or with --config of one object that has the keys of a JSON
file as attributes (for a class of transformers, the configuration of the
file's model_type). Its parameters are drawn anew and what its forward computes
is compared; a module of another shape is refused with the line.

Gauges are found for an expert with one hidden unit and proved again with two
units, two inputs and two outputs; the report says why they are those of every
width. Verdicts are of the small expert under the registered gate with the
layer's weights. Where there is none, or the layer has what no theorem has
(scores without an intercept, shared experts added to f), rates are undecided
and the reasons are listed.

exit codes: 0 done; 2 bad input."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of ``identkit layer``."""
    parser = commands.add_parser(
        "layer",
        help="what can be identified in a layer of a network, from its configuration or code",
        description="Read a mixture-of-experts layer from a configuration or a module of torch "
        "(whose code is imported); print its gauges, verdicts and rates, and what a change of it "
        "buys.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    parser.set_defaults(call=run)
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", help="a config.json, or file.py:NAME"
    )
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="two of them, side by side")
    parser.add_argument("--config", metavar="FILE", help="what a class is made of, as JSON")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every draw (0)")
    parser.add_argument(
        "--time-limit",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds for each source, then undecided (60)",
    )
    parser.add_argument("--json", action="store_true", help="schema identkit.layer/1")
    parser.add_argument("--html", metavar="FILE", help="one page with everything")


def run(options: argparse.Namespace) -> int:
    """Read, analyse, print. Returns the exit code."""
    if (options.source is None) == (options.compare is None):
        raise InputError("layer: give one SOURCE, or --compare with two.")
    if options.html is not None:
        from identkit.files import check_target

        check_target(options.html, f"--html '{options.html}'")
    found = _analysed(options.compare or [options.source], options)
    if options.html is not None:
        from identkit.report.layer_page import write_page

        write_page(options.html, *found)
    if options.json:
        from identkit.report.json_text import dumps
        from identkit.report.layer_document import layer_document

        print(dumps(layer_document(*found)))
        return 0
    from identkit.report.layer_report import comparison, layer_report

    show(layer_report(found[0]) if len(found) == 1 else comparison(found[0], found[1]))
    if options.html is not None:
        print(f"written to {options.html}")
    return 0


def _analysed(sources: list[str], options: argparse.Namespace) -> list[Findings]:
    """All sources are read before anything is computed."""
    if options.config is not None and not any(map(named, sources)):
        raise InputError(
            f"--config {options.config}: is for a class of torch; give file.py:NAME as SOURCE."
        )
    read = [_read(source, options) for source in sources]
    if "identkit.layers.analysis" not in sys.modules:
        import_module("identkit.layers.analysis")
    from identkit.layers.analysis import analyse

    with status_line() as progress:
        return [
            analyse(each, seed=options.seed, time_limit=options.time_limit, progress=progress)
            for each in read
        ]


def named(source: str) -> tuple[str, str] | None:
    """Where a module of torch is and its name, if that is what is given."""
    found = None if os.path.exists(source) else NAMED.fullmatch(source)
    return None if found is None else (found["place"], found["name"])


def _read(source: str, options: argparse.Namespace) -> Architecture:
    place = named(source)
    if place is None:
        if source.endswith(".py"):
            raise InputError(f"{source}: is a file of code; give {source}:NAME.")
        from identkit.layers.config import read_config

        return read_config(source)
    require("layer FILE:NAME", "torch")
    from dataclasses import replace

    from identkit.layers.imported import load
    from identkit.layers.module import read_module

    layer = load(*place, config=options.config, seed=options.seed)
    file, name = os.path.basename(place[0]).removesuffix(".py"), place[1]
    return replace(read_module(layer, seed=options.seed), source=f"{file}:{name}")
