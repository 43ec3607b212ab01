"""Maximum likelihood finds what R's flexmix and mixtools find (``benchmarks/density_peers.json``).

The file has the peers' parameters and log-likelihoods as R computed them; nothing here needs R.
Only simulated data are fitted: they are drawn anew, and their checksum says that they are R's.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from identkit.density import maximum_likelihood

pytestmark = pytest.mark.usefixtures("one_thread")

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FORMULA = 1e-12
"""Relative to n: two programs add up n logarithms of 17 digits."""
SAME = 1e-6
DRAWN = (
    "sim1-n150-d1-k2:2:softmax",
    "sim2-n150-d4-k2:2:softmax",
    "sim3-n2000-d1-k2:2:softmax",
    "sim4-n2000-d1-k3:3:softmax",
    "sim5-n2000-d4-k3:3:softmax",
    "sim6-n150-d1-k2:2:input-free",
    "sim7-n2000-d1-k3:3:input-free",
)
SMALL = tuple(name for name in DRAWN if "n150" in name)


class Kept:
    """The peers' results and the modules of the benchmark that read them."""

    def __init__(self) -> None:
        sys.path.insert(0, str(BENCHMARKS))
        try:
            self.sets: ModuleType = importlib.import_module("density_sets")
            self.peers: ModuleType = importlib.import_module("density_peers")
            self.ours: ModuleType = importlib.import_module("density_ours")
        finally:
            sys.path.remove(str(BENCHMARKS))
        text = (BENCHMARKS / "density_peers.json").read_text(encoding="utf-8")
        self.rows = {row["name"]: row for row in json.loads(text)["problems"]}

    def problem(self, name: str) -> tuple[Any, Any, Any, list[Any]]:
        """The problem, x, y and every peer's best start that is compared."""
        problem = self.sets.chosen([name])[0]
        x, y = problem.load()
        fits = [self.peers.Fits.from_dict(f) for f in self.rows[name]["fits"]]
        best = [b for b in (f.best(x.shape[1]) for f in fits) if b is not None]
        assert best, f"{name}: no peer has a maximum"
        return problem, x, y, best


@pytest.fixture(scope="module")
def kept() -> Kept:
    return Kept()


@pytest.mark.parametrize("name", DRAWN)
def test_log_likelihood_is_that_of_the_peers_program(kept: Kept, name: str):
    problem, x, y, best = kept.problem(name)
    assert kept.rows[name]["sha256"] == kept.sets.checksum(x, y)
    for start in best:
        value = kept.ours.log_likelihood(start, problem.gate, x, y)
        assert value == pytest.approx(start.polished, abs=FORMULA * len(y))


@pytest.mark.parametrize("name", DRAWN)
def test_a_peers_maximum_is_one_here(kept: Kept, name: str):
    problem, x, y, best = kept.problem(name)
    dim = x.shape[1]
    for start in best:
        begin = kept.ours.measure(start, problem.gate, dim)
        found = maximum_likelihood(kept.ours.model(problem.gate, dim), x, y, begin)
        assert found.status.finished
        assert found.log_likelihood == pytest.approx(start.polished, abs=SAME)


@pytest.mark.parametrize("name", SMALL)
def test_random_starts_reach_the_peers_maximum(kept: Kept, name: str):
    problem, x, y, best = kept.problem(name)
    found = kept.ours.ours(x, y, problem.atoms, 5, 0, problem.gate)
    assert found.maximum(x.shape[1])
    assert found.best >= max(start.polished for start in best) - SAME


def test_the_file_has_every_problem_and_says_with_what_it_was_made(kept: Kept):
    assert set(kept.rows) == {p.name for p in kept.sets.PROBLEMS}
    for name, row in kept.rows.items():
        problem = kept.sets.chosen([name])[0]
        asked = {f["method"]: f["asked"] for f in row["fits"]}
        assert asked == kept.sets.methods(problem, row["dim"])


def test_spikes_are_not_compared(kept: Kept):
    fields = {
        "own": 0.0, "loglik": 0.0, "seconds": 1.0, "iterations": 1, "kept": 2, "converged": True,
        "restarts": 0, "steepest": 1.0, "parameters": (), "message": "",
    }  # fmt: skip

    def start(polished: float, **more: float) -> Any:
        values = {"gradient": 0.0, "variance": 0.1, "points": 50.0, **more}
        return kept.peers.Start(**fields, polished=polished, **values)

    fine = start(1.0)
    spikes = [start(9.0, variance=1e-7), start(9.0, points=2.5), start(9.0, gradient=20.0)]
    fits = kept.peers.Fits("flexmix", 4, (spikes[0], fine, *spikes[1:]))
    assert fits.best(1) is fine
    assert fits.left_out(1) == 3
    again = kept.peers.Fits.from_dict(json.loads(json.dumps(fits.to_dict(1))))
    assert np.isclose(again.best(1).polished, 1.0)
