"""The problems of maximum likelihood for the solver: sums and costs. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from identkit.density.kernel import CpuSums
from identkit.density.model import DensityModel
from identkit.density.result import Status
from identkit.density.torch_kernel import TorchSums
from identkit.fit.job import device_of, kernel_of, threads_of
from identkit.fit.problem import Compute, Data
from identkit.fit.solver import (
    DONE,
    FAILED,
    FLAT,
    LIMIT,
    RUNNING,
    Options,
    Problems,
    Solution,
    solve,
)  # fmt: skip
from identkit.fit.sums import NativeSums

Array = NDArray[np.float64]


def computing(compute: Compute) -> tuple[str, torch.device, int]:
    """Kernel, device and threads. Raises InputError for what is not available."""
    device = device_of(compute.device)
    return kernel_of(compute, device), device, threads_of(compute)


def sums_of(
    model: DensityModel,
    atoms: tuple[int, int],
    data: Data,
    kernel: str = "native",
    device: torch.device | None = None,
    threads: int = 1,
) -> Any:
    """The sums over the data that steps need: of NumPy arrays, or by torch of tensors."""
    y = np.where(data.good[:, None], data.y, 0.0)
    x = np.where(np.isfinite(data.x), data.x, 0.0)
    columns = model.density.columns(y, model.routed.outputs)
    if kernel == "torch":
        return TorchSums(model, atoms, x, columns, data.weight, device or torch.device("cpu"))
    return CpuSums(model, atoms, x, columns, data.weight, threads)


class Costs:
    """−log-likelihoods behind the solver's tensors, moved so that they are positive.

    Its tolerances are relative to the cost, and log p is at most −½log(2πν) at the floor of ν.
    """

    def __init__(self, sums: Any, least: Any, newton: bool) -> None:
        self.sums, self.least, self.newton = sums, least, newton

    def steps(self, theta: Any, which: Any, second: bool) -> Any:
        cost, *rest = self.sums.steps(theta, which, second and self.newton)
        return cost - self.least[which], *rest

    def bends(self, theta: Any, velocity: Any, which: Any) -> Any:
        raise NotImplementedError  # no acceleration is asked for


def meaning(interrupted: bool) -> dict[int, Status]:
    """What the solver's states are called."""
    return {
        DONE: Status.CONVERGED,
        LIMIT: Status.INTERRUPTED if interrupted else Status.STEP_LIMIT,
        RUNNING: Status.INTERRUPTED,
        FAILED: Status.DIVERGED,
        FLAT: Status.FLAT_VALLEY,
    }


def solved(
    model: DensityModel,
    atoms: tuple[int, int],
    data: Data,
    theta: Array,
    which: NDArray[np.int64],
    bounds: tuple[Array, Array, NDArray[np.bool_]],
    kernel: str,
    device: torch.device,
    threads: int,
    options: dict[str, Any],
    newton: bool,
    progress: Callable[[int, int], None] | None,
    stop: Callable[[], bool] | None,
) -> Solution:
    """Every start of every good problem at its end; costs are −log-likelihoods."""

    def move(array: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    low, high, fixed = bounds
    least = np.zeros(data.problems)
    if model.density.spread:
        w = np.full(data.problems, float(data.samples))
        if data.weight is not None:
            w = data.weight.sum(axis=1)
        part = model.parts(atoms)[2]
        floor = np.full(data.problems, np.inf)
        np.minimum.at(floor, which, low[:, part].min(axis=1))
        floor = np.where(np.isfinite(floor), floor, 0.0)
        least = 0.5 * w * (np.log(2 * np.pi) + floor)
    sums = sums_of(model, atoms, data, kernel, device, threads)
    if kernel == "native":
        sums = NativeSums(sums)
    costs = Costs(sums, move(least), newton)
    problems = Problems(
        theta=move(theta), which=move(which), scale=move(np.zeros(len(which))),
        lower=move(low), upper=move(high), fixed=move(fixed),
    )  # fmt: skip
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small matrices: threads take longer to start than to work
    try:
        end = solve(costs, problems, Options(accelerate=False, **options), progress, stop)
    finally:
        torch.set_num_threads(before)
    cost = end.cost.cpu() + torch.from_numpy(least)[torch.from_numpy(which)]
    return Solution(
        *(
            cost if name == "cost" else getattr(end, name).cpu()
            for name in ("theta", "cost", "gradient", "held", "state", "steps", "passes")
        )
    )
