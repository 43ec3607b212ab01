"""Problems of maximum likelihood: data, number of experts, and weights that depend on x or do not.

Real data come from :mod:`real_sets`, or from R's packages flexmix and mixtools, which nobody else
ships: those are read through Rscript. Simulated data are drawn from the seed that their name shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import density_peers
import numpy as np
import real_sets
from numpy.typing import NDArray

from identkit.errors import InputError

Array = NDArray[np.float64]

STARTS = 20
"""Random starts of a method for a problem."""
IN_R = {
    "NPreg": ("flexmix", "NPreg", "yn", ("x",)),
    "tonedata": ("mixtools", "tonedata", "tuned", ("stretchratio",)),
    "CO2data": ("mixtools", "CO2data", "CO2", ("GNP",)),
}
"""Package, item, target and inputs of data sets that only R has."""


@dataclass(frozen=True)
class Problem:
    """A data set, how many linear experts are fitted, and the gate: softmax or input-free.

    Of ``slow`` methods five starts are asked, not twenty.
    """

    data: str
    atoms: int
    gate: str
    slow: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.data}:{self.atoms}:{self.gate}"

    def load(self) -> tuple[Array, Array]:
        """x (n, d) and y (n,). Raises InputError where the package that has them is missing."""
        if self.data in SIMULATED:
            return SIMULATED[self.data]()
        if self.data in IN_R:
            return density_peers.data(*IN_R[self.data])
        found = real_sets.load(self.data)
        return found.x, found.y


def checksum(x: Array, y: Array) -> str:
    """SHA-256 of the rows as little-endian float64, so that results are of the same data."""
    rows = np.concatenate([y[:, None], x], axis=1).astype("<f8")
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()


def simulated(n: int, dim: int, atoms: int, gate: str, seed: int) -> tuple[Array, Array]:
    """Standard normal x (n, dim), ``atoms`` linear experts drawn from ``seed``, y (n,) of them."""
    rng = np.random.default_rng(seed)
    slopes = 1.5 * rng.normal(size=(atoms, dim)) * (gate == "softmax")
    levels = 0.5 * rng.normal(size=atoms)
    lines = 2.0 * rng.normal(size=(atoms, dim + 1))
    deviations = rng.uniform(0.3, 0.8, size=atoms)
    x = rng.normal(size=(n, dim))
    scores = x @ slopes.T + levels + rng.gumbel(size=(n, atoms))  # the largest is chosen
    chosen = scores.argmax(axis=1)
    means = (x * lines[chosen, 1:]).sum(axis=1) + lines[chosen, 0]
    return x, means + deviations[chosen] * rng.normal(size=n)


def _simulated() -> dict[str, Callable[[], tuple[Array, Array]]]:
    shapes = [
        (150, 1, 2, "softmax"), (150, 4, 2, "softmax"), (2000, 1, 2, "softmax"),
        (2000, 1, 3, "softmax"), (2000, 4, 3, "softmax"),
        (150, 1, 2, "input-free"), (2000, 1, 3, "input-free"),
    ]  # fmt: skip
    made = {}
    for seed, (n, dim, atoms, gate) in enumerate(shapes, start=1):
        name = f"sim{seed}-n{n}-d{dim}-k{atoms}"
        made[name] = partial(simulated, n, dim, atoms, gate, seed)
    return made


SIMULATED = _simulated()
"""Named after seed, rows, inputs and experts of the truth."""

_HME = ("hmeEM",)
PROBLEMS = (
    Problem("faithful", 2, "softmax", slow=_HME),
    Problem("faithful", 3, "softmax"),
    Problem("cars", 2, "softmax", slow=_HME),
    Problem("iris", 2, "softmax"),
    Problem("iris", 3, "softmax"),
    Problem("mtcars", 2, "softmax"),
    Problem("ozone", 2, "softmax", slow=_HME),
    Problem("mcycle", 2, "softmax"),
    Problem("mcycle", 3, "softmax"),
    Problem("ethanol", 2, "softmax"),
    Problem("airquality", 2, "softmax"),
    Problem("diabetes", 2, "softmax"),
    Problem("NPreg", 2, "softmax"),
    Problem("tonedata", 2, "softmax", slow=_HME),
    Problem("CO2data", 2, "softmax"),
    Problem("sim1-n150-d1-k2", 2, "softmax", slow=_HME),
    Problem("sim1-n150-d1-k2", 3, "softmax"),
    Problem("sim2-n150-d4-k2", 2, "softmax"),
    Problem("sim3-n2000-d1-k2", 2, "softmax"),
    Problem("sim3-n2000-d1-k2", 3, "softmax", slow=("flexmix",)),
    Problem("sim4-n2000-d1-k3", 3, "softmax", slow=("flexmix",)),
    Problem("sim5-n2000-d4-k3", 3, "softmax", slow=("flexmix",)),
    Problem("faithful", 2, "input-free"),
    Problem("iris", 2, "input-free"),
    Problem("ozone", 2, "input-free"),
    Problem("NPreg", 2, "input-free"),
    Problem("tonedata", 2, "input-free"),
    Problem("CO2data", 2, "input-free"),
    Problem("sim6-n150-d1-k2", 2, "input-free"),
    Problem("sim7-n2000-d1-k3", 3, "input-free", slow=("regmixEM",)),
)
SLOW_STARTS = 5


def chosen(names: list[str] | None) -> list[Problem]:
    """The problems of these names, all where none are given. Raises InputError for others."""
    known = {p.name: p for p in PROBLEMS}
    for name in names or ():
        if name not in known:
            raise InputError(f"problem: '{name}' is not known; there are {', '.join(known)}.")
    return [known[name] for name in names or known]


def methods(problem: Problem, dim: int) -> dict[str, int]:
    """The peers that fit a problem's model, with the number of starts of each."""
    if problem.gate == "input-free":
        names = ["flexmix-constant", "regmixEM"]
    else:
        names = ["flexmix"]
        if "hmeEM" in problem.slow and problem.atoms == 2 and dim == 1:
            names.append("hmeEM")
    return {n: SLOW_STARTS if n in problem.slow else STARTS for n in names}


def default_peers() -> Path:
    """Where the peers' results are kept."""
    return Path(__file__).with_name("density_peers.json")
