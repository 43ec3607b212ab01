"""R's flexmix and mixtools, run by ``density_peers.R``, and what they found.

Debian's packages r-base-core, r-cran-flexmix and r-cran-mixtools have all that is needed.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError

Array = NDArray[np.float64]

SCRIPT = Path(__file__).with_name("density_peers.R")
TOLERANCE = 1e-10
"""Of flexmix: relative change of the log-likelihood at which it stops."""
SPIKE = 1e-5
"""Smallest variance, in units of that of y, of a fit that is compared: the likelihood has no bound
where a variance goes to 0. Polishing stops at 1e-6."""
STILL = 1e-2
"""Largest slope at a maximum, in standard units. Towards a spike the slope along log σ is the
number of rows of the expert, and polishing may crawl there until its steps are used up."""


@dataclass(frozen=True)
class Start:
    """One start of one method. A failed one has its message and no numbers.

    ``own``, ``loglik`` and ``polished`` are the three log-likelihoods of ``density_peers.R``;
    ``gradient`` is the largest slope at the polished one, in standard units. ``variance`` is the
    smallest, in units of the variance of y (divided by n - 1), ``points`` the least number of rows
    of an expert (sum of posteriors), ``steepest`` the largest parameter of the scores in standard
    units, all three after polishing. ``parameters`` (k·(2p + 1),) are, for the polished fit, the
    scores' (intercept, slopes) expert by expert, the lines' likewise, the variances.
    """

    own: float | None
    loglik: float | None
    polished: float | None
    gradient: float | None
    seconds: float
    iterations: int | None
    kept: int | None
    converged: bool | None
    restarts: int | None
    variance: float | None
    points: float | None
    steepest: float | None
    parameters: tuple[float, ...]
    message: str

    def spike(self, dim: int) -> bool:
        """Whether the fit is one of a variance that goes to 0.

        An expert of fewer rows than numbers of its own (a line and a variance) is one as well,
        wherever the bound of the variance stopped it.
        """
        if self.variance is None or self.points is None:
            return False
        return self.variance < SPIKE or self.points < dim + 2

    def maximum(self, dim: int) -> bool:
        """Whether it is compared: polished to where the slope is 0, and no spike."""
        at_rest = self.gradient is not None and self.gradient <= STILL
        return at_rest and not self.spike(dim)


@dataclass(frozen=True)
class Fits:
    """Starts of a method for one problem; ``asked`` were to run, a limit may have stopped it."""

    method: str
    asked: int
    starts: tuple[Start, ...]

    def best(self, dim: int) -> Start | None:
        """The start of the highest polished log-likelihood that is compared, if there is one."""
        fine = [s for s in self.starts if s.maximum(dim)]
        return max(fine, key=_polished, default=None)

    def left_out(self, dim: int) -> int:
        """How many starts are not compared: spikes, fits that climb to one, failures."""
        return sum(not s.maximum(dim) for s in self.starts)

    def seconds(self) -> float:
        """CPU seconds per start, on the average."""
        return float(np.mean([s.seconds for s in self.starts]))

    def to_dict(self, dim: int) -> dict[str, Any]:
        """One list per column; parameters of the best start alone, for d = ``dim``."""
        columns = {
            f.name: [getattr(s, f.name) for s in self.starts]
            for f in fields(Start)
            if f.name != "parameters"
        }
        best = self.best(dim)
        return {
            "method": self.method,
            "asked": self.asked,
            **columns,
            "best": None if best is None else self.starts.index(best),
            "parameters": [] if best is None else list(best.parameters),
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Fits:
        """What :meth:`to_dict` wrote; starts other than the best have no parameters."""
        names = [f.name for f in fields(Start) if f.name != "parameters"]
        starts = []
        for i, values in enumerate(zip(*(document[n] for n in names), strict=True)):
            own = document["parameters"] if i == document["best"] else ()
            starts.append(Start(**dict(zip(names, values, strict=True)), parameters=tuple(own)))
        return cls(document["method"], document["asked"], tuple(starts))


def _polished(start: Start) -> float:
    return -math.inf if start.polished is None else start.polished


def present() -> bool:
    """Whether Rscript is on the path."""
    return shutil.which("Rscript") is not None


def versions() -> dict[str, str]:
    """R's version string and the versions of flexmix, mixtools and nnet, where they are there."""
    return dict(line.split("\t") for line in _run("versions").splitlines())


def data(package: str, item: str, target: str, inputs: tuple[str, ...]) -> tuple[Array, Array]:
    """x (n, d) and y (n,) of a data set that an R package ships. Raises InputError without it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.csv")
        try:
            _run("data", package, item, str(path), target, *inputs)
        except InputError as error:
            raise InputError(
                f"data set: {item} is read from R's package {package}; {error}"
            ) from None
        rows = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return np.ascontiguousarray(rows[:, 1:]), rows[:, 0].copy()


def fits(x: Array, y: Array, k: int, method: str, starts: int, seed: int, limit: float) -> Fits:
    """Run a method: start i = 1, … from R's generator seeded with seed + i.

    x (n, d), y (n,). No start begins after ``limit`` CPU seconds of fits. Raises InputError where
    R or a package is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder, "data.csv"), Path(folder, "out.csv")
        names = ["y", *(f"x{i}" for i in range(x.shape[1]))]
        with open(rows, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows(
                [repr(float(v)) for v in row] for row in np.concatenate([y[:, None], x], axis=1)
            )
        values = (k, starts, seed, TOLERANCE, limit)
        _run("fit", str(rows), str(out), method, *(str(v) for v in values))
        with open(out, encoding="utf-8", newline="") as file:
            found = [_start(row) for row in csv.DictReader(file)]
    return Fits(method, starts, tuple(found))


def _start(row: dict[str, str]) -> Start:
    def number(name: str) -> float | None:
        return None if row[name] == "NA" else float(row[name])

    def whole(name: str) -> int | None:
        return None if row[name] == "NA" else int(row[name])

    return Start(
        own=number("own"),
        loglik=number("loglik"),
        polished=number("polished"),
        gradient=number("gradient"),
        seconds=float(row["seconds"]),
        iterations=whole("iterations"),
        kept=whole("kept"),
        converged=None if row["converged"] == "NA" else row["converged"] == "TRUE",
        restarts=whole("restarts"),
        variance=number("variance"),
        points=number("points"),
        steepest=number("steepest"),
        parameters=tuple(float(v) for v in row["parameters"].split()),
        message=row["message"],
    )


def _run(*arguments: str) -> str:
    if not present():
        raise InputError(
            "peers: Rscript is not on the path; install R with flexmix and mixtools (Debian: "
            "r-base-core r-cran-flexmix r-cran-mixtools)."
        )
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        ["Rscript", "--vanilla", str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **single},
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"peers: Rscript stopped: {said[-1]}; see density_peers.R for its needs.")
    return done.stdout
