"""The sums over samples that the solver's steps need, by one of the kernels. Needs torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from identkit.fit.cpu_kernel import CpuSums
from identkit.fit.model import Model
from identkit.fit.routed_cpu import RoutedCpuSums
from identkit.fit.routed_kernel import RoutedSums
from identkit.fit.torch_kernel import TorchSums

Array = NDArray[np.float64]


class NativeSums:
    """The native kernel behind the solver's tensors; on the CPU they share memory with NumPy."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel

    def steps(self, theta: Any, which: Any, second: bool) -> Any:
        sums = self.kernel.steps(theta.contiguous().numpy(), which.numpy(), second)
        return tuple(torch.from_numpy(a) for a in sums)

    def bends(self, theta: Any, velocity: Any, which: Any) -> Any:
        out = self.kernel.bends(
            theta.contiguous().numpy(), velocity.contiguous().numpy(), which.numpy()
        )
        return torch.from_numpy(out)


def kernel_sums(
    model: Model,
    x: Array,
    y: Array,
    weight: Array | None,
    kernel: str,
    threads: int,
    device: torch.device,
) -> Any:
    """The sums over x (R or 1, n, d), y and weight (R, n) that steps need, by ``kernel``."""
    affine = model.gate.is_affine
    if kernel == "native":
        fused = CpuSums if affine else RoutedCpuSums
        return NativeSums(fused(model, x, y, weight, threads))
    return (TorchSums if affine else RoutedSums)(
        model,
        torch.from_numpy(x),
        torch.from_numpy(y),
        None if weight is None else torch.from_numpy(weight),
        device,
    )
