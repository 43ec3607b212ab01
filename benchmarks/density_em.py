"""EM's steps alone against EM's first and Newton's after: steps and time to the same maximum.

    python benchmarks/density_em.py [--starts 20] [--seed 0]

Data: x ~ U[-2, 2], n = 2,000, two linear experts under a softmax gate; fitted with k = 2 (as many
as there are) and k = 3 (over-specified). All starts are random ones of identkit; a start counts
once where both ways end at the same log-likelihood to 1e-6.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import identkit
from identkit.density import DensityMeasure, DensityModel, maximum_likelihood
from identkit.density.starts import random_starts

SAME = 1e-6


def data(model: DensityModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """2,000 rows of a truth with two atoms."""
    routed = identkit.MixingMeasure([0.5, 0.0], [[1.0], [0.0]], [[2.0, 1.0], [-1.0, 0.0]])
    truth = DensityMeasure(routed, [0.1, 0.2])
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2.0, 2.0, (2000, 1))
    return x, model.sample(truth, x, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = DensityModel.of("linear", "softmax")
    x, y = data(model, options.seed)
    print(f"seed {options.seed}, {options.starts} starts, one thread")
    print("k   way      steps (median, largest)   seconds a start   log-likelihood (best)   same")
    for k in (2, 3):
        starts = random_starts(model, x, y, (0, k), options.starts, options.seed)
        ends = {}
        for way, newton, most in (("Newton", True, 500), ("EM alone", False, 50_000)):
            began = time.perf_counter()
            steps, values = [], []
            for start in starts:
                fit = maximum_likelihood(
                    model, x, y, start, newton=newton, max_steps=most, flat=0.0
                )
                steps.append(int(fit.steps))
                values.append(float(fit.log_likelihood))
            each = (time.perf_counter() - began) / len(starts)
            ends[way] = np.array(values)
            same = int((np.abs(ends[way] - ends["Newton"]) < SAME).sum())
            print(
                f"{k}   {way:8} {int(np.median(steps)):6d} {max(steps):6d} {each:22.4f} "
                f"{max(values):22.6f} {same:12d}"
            )


if __name__ == "__main__":
    main()
