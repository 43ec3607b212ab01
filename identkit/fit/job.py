"""One job: starts as problems for the solver, kernels chosen, starts compared. Needs torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
import sympy
import torch
from numpy.typing import ArrayLike, NDArray

from identkit import __version__
from identkit.errors import InputError, whole
from identkit.fit.model import Model
from identkit.fit.nodes import ORDER, cell_count, compress
from identkit.fit.objective import objective_of
from identkit.fit.problem import Compute, Data
from identkit.fit.result import Box, FitResult, Settings, Status
from identkit.fit.solver import (
    DONE,
    FAILED,
    FLAT,
    LIMIT,
    ROUNDING,
    Options,
    Problems,
    Ridged,
    Solution,
    solve,
)
from identkit.fit.sums import kernel_sums

Array = NDArray[np.float64]

LIGHT = 1e-3
"""An atom is light when its root mean square weight is below this part of the largest one: its
contribution is then below the third digit, and its parameters are hardly in the cost."""
SAME = 1e-12
"""Costs that differ by this part tie: a sum of n terms is rounded by √n·ε or so."""
LIGHT_SAMPLE = 4096
"""Samples on which atoms' weights are compared."""


def check_options(options: Options) -> None:
    """Raise InputError for options out of their ranges."""
    whole("max_steps", options.max_steps, least=1)
    whole("first_order", options.first_order, least=0)
    if not 0 < options.tolerance < 1:
        raise InputError(f"tolerance: {options.tolerance:g} must lie between 0 and 1.")
    if not 0 <= options.flat < 1:
        raise InputError(f"flat: {options.flat:g} must be at least 0 and below 1.")
    if not 0 <= options.ridge < np.inf:
        raise InputError(f"ridge: {options.ridge:g} must be at least 0 and finite.")


@dataclass(frozen=True)
class _Ends:
    """Where the starts of the good problems ended; every array leads with (problems, starts)."""

    theta: Array
    cost: Array
    gradient: Array
    held: NDArray[np.bool_]
    states: NDArray[np.int64]
    steps: NDArray[np.int64]
    passes: Array


class Job:
    """Starts as problems for the solver, on one device with one kernel."""

    def __init__(
        self,
        model: Model,
        data: Data,
        starts: Array,
        atoms: int,
        low: Array,
        high: Array,
        options: Options,
        compute: Compute,
    ) -> None:
        self.model, self.data, self.starts, self.options = model, data, starts, options
        self.low, self.high, self.compute = low, high, compute
        self.objective = objective_of(model.gate)
        self.fixed = model.pinned(atoms)
        self.device = device_of(compute.device)
        self.kernel = kernel_of(compute, self.device, fused=self.objective.quadratic)
        if self.kernel == "native" and not self.objective.quadratic:
            raise InputError(
                f"kernel: native has no sums for objective {self.objective.name}; use auto."
            )
        self.threads = threads_of(compute)

    def run(
        self,
        box: Box,
        began: float,
        progress: Callable[[int, int], None] | None,
        stop: Callable[[], bool] | None,
    ) -> FitResult:
        cells = self._cells()
        ends = self._minimised(cells, progress, stop)
        interrupted = stop is not None and stop()
        return self._result(ends, interrupted, self._settings(box, cells), began)

    def _minimised(
        self,
        cells: int,
        progress: Callable[[int, int], None] | None,
        stop: Callable[[], bool] | None,
    ) -> _Ends:
        """Every start of every good problem, on the compressed data first if there are cells."""
        several, size = self.starts.shape[1:]
        good = np.flatnonzero(self.data.good)
        which = np.repeat(good, several)
        theta = self.starts[good].reshape(-1, size)
        if self.fixed.any():
            theta = self.model.gate.held(self.model.unpack(theta)).to_vector()
        if not cells:
            end = self._solve(self._everything(), theta, which, self.options, progress, stop)
            return self._ends(end, end.steps, end.state, end.passes.cpu().numpy())
        first = self._solve(
            self._nodes(cells), theta, which, self.options, _half(progress, 0), stop
        )
        # where the cost no longer falls there is nothing to polish: it is only evaluated
        valley = first.state == FLAT
        taken = torch.where(valley, self.options.max_steps, first.steps)
        # close to the minimum the Hessian is used at once
        options = replace(self.options, first_order=0)
        theta = first.theta.cpu().numpy()
        end = self._solve(
            self._everything(), theta, which, options, _half(progress, 1), stop, taken
        )
        part = cells * ORDER / self.data.samples
        return self._ends(
            end,
            torch.where(valley, first.steps, end.steps),
            torch.where(valley & (end.state == LIMIT), FLAT, end.state),
            first.passes.cpu().numpy() * part + end.passes.cpu().numpy(),
        )

    def _ends(self, end: Solution, steps: Any, states: Any, passes: Array) -> _Ends:
        several = self.starts.shape[1]

        def grid(values: Any) -> Any:
            array = values if isinstance(values, np.ndarray) else values.cpu().numpy()
            return array.reshape(-1, several, *array.shape[1:])

        return _Ends(
            theta=grid(end.theta),
            cost=grid(end.cost),
            gradient=grid(end.gradient),
            held=grid(end.held),
            states=grid(states),
            steps=grid(steps),
            passes=grid(passes),
        )

    def _result(
        self, ends: _Ends, interrupted: bool, settings: Settings, began: float
    ) -> FitResult:
        """The best start of each problem; problems with bad data stay at their first start."""
        problems, several = self.starts.shape[:2]
        good, every = self.data.good, np.arange(problems)
        size = self._size(self.data.y, self.data.weight)[good]
        # where only rounding is left the cost cannot fall: that is a minimum
        exact = (ends.states == FLAT) & (ends.cost <= ROUNDING * size[:, None])
        found = _statuses(np.where(exact, DONE, ends.states), interrupted)
        best = _best(ends.cost, found, size)

        def spread(values: Any, fill: Any) -> Any:
            out = np.full((problems, *values.shape[1:]), fill, dtype=values.dtype)
            out[good] = values
            return out

        def chosen(values: Any, fill: Any) -> Any:
            return spread(values[np.arange(len(best)), best], fill)

        start = spread(best, 0)
        vector, held = chosen(ends.theta, 0.0), chosen(ends.held, False)
        vector[~good] = self.starts[~good, 0]
        statuses = np.full((problems, several), Status.BAD_DATA, dtype=object)
        statuses[good] = found
        status = self._refined(statuses[every, start], vector, held)
        statuses[every, start] = status
        result = FitResult(
            model=self.model,
            measure=self.model.unpack(vector),
            status=tuple(status),
            cost=chosen(ends.cost, np.nan),
            gradient_norm=np.linalg.norm(chosen(ends.gradient, np.nan), axis=1),
            steps=chosen(ends.steps, 0),
            passes=chosen(np.ceil(ends.passes).astype(np.int64), 0),
            start=start,
            costs=spread(ends.cost, np.nan),
            statuses=tuple(tuple(row) for row in statuses),
            held=held,
            samples=self.data.samples,
            seconds=time.perf_counter() - began,
            settings=settings,
            ridge=self.options.ridge,
        )
        return result[0] if self.data.single else result

    # -- parts ----------------------------------------------------------------------------------

    def _cells(self) -> int:
        wanted = self.compute.nodes and self.model.compressible and self.objective.quadratic
        return cell_count(self.data.samples) if wanted else 0

    def _nodes(self, cells: int) -> Any:
        data = self.data
        y = np.where(data.good[:, None], data.y, 0.0)
        x = np.where(np.isfinite(data.x[..., 0]), data.x[..., 0], 0.0)
        points, values, weights = compress(np.broadcast_to(x, y.shape), y, data.weight, cells)
        return self._sums(points[..., None], values, weights)

    def _everything(self) -> Any:
        return self._sums(self.data.x, self.data.y, self.data.weight)

    def _sums(self, x: Array, y: Array, weight: Array | None) -> Any:
        return kernel_sums(self.model, x, y, weight, self.kernel, self.threads, self.device)

    def _solve(
        self,
        sums: Any,
        theta: Array,
        which: NDArray[np.int64],
        options: Options,
        progress: Callable[[int, int], None] | None,
        stop: Callable[[], bool] | None,
        taken: Any = None,
    ) -> Solution:
        scale = self._size(self.data.y, self.data.weight)

        def move(array: Any) -> Any:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

        problems = Problems(
            theta=move(theta),
            which=move(which),
            scale=move(scale[which]),
            lower=move(self.low),
            upper=move(self.high),
            fixed=move(self.fixed),
        )
        if options.ridge:
            sums = Ridged(sums, options.ridge, move((~self.fixed).astype(float)))
        # small matrices: torch's threads take longer to start than to work (3 to 6 times slower)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return solve(sums, problems, options, progress, stop, taken)
        finally:
            torch.set_num_threads(before)

    def _size(self, y: Array, weight: Array | None) -> Array:
        """The cost of f = 0, (R,)."""
        with np.errstate(invalid="ignore", over="ignore"):
            return self.objective.cost(-y, weight)

    def _refined(self, status: Any, vector: Array, held: Any) -> Any:
        """Minima on the box and minima with a light atom get their own status."""
        status = status.copy()
        boxed: Any = (held & ~self.fixed & (self.low < self.high)).any(axis=1)
        measure = self.model.unpack(vector)
        part = slice(0, None, max(1, self.data.samples // LIGHT_SAMPLE))
        for r in np.flatnonzero(self.data.good):
            if status[r] is not Status.CONVERGED:
                continue
            x = self.data.x[r if len(self.data.x) > 1 else 0, part]
            weights = np.sqrt((self.model.weights(measure[int(r)], x) ** 2).mean(axis=1))
            if weights.min() < LIGHT * weights.max():
                status[r] = Status.LIGHT_ATOM
            elif boxed[r]:
                status[r] = Status.AT_THE_BOX
        return status

    def _settings(self, box: Box, cells: int) -> Settings:
        libraries = [("numpy", np.__version__), ("torch", torch.__version__)]
        libraries.append(("sympy", sympy.__version__))
        if self.kernel == "native":
            libraries.append(("numba", numba.__version__))
        name = "cpu"
        if self.device.type == "cuda":
            name = f"cuda ({torch.cuda.get_device_name(self.device)})"
        o = self.options
        return Settings(
            __version__, box, o.max_steps, o.tolerance, o.first_order, o.accelerate, o.flat,
            bool(self.fixed.any()),
            name, self.kernel, cells, self.threads if self.kernel == "native" else 0,
            tuple(sorted(libraries)),
        )  # fmt: skip


def squared_jacobian(
    result: FitResult, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None
) -> Array:
    """Jᵀ diag(w·ρ'') J at one fit over all parameters, shape (p, p)."""

    def row(array: ArrayLike) -> Array:
        """As one problem; writeable, since torch warns of read-only arrays."""
        return np.require(array, np.float64, ("C_CONTIGUOUS", "WRITEABLE"))[None]

    device = torch.device("cuda" if result.settings.device.startswith("cuda") else "cpu")
    sums = kernel_sums(
        result.model,
        row(x),
        row(y),
        None if weight is None else row(weight),
        result.settings.kernel,
        max(1, result.settings.threads),
        device,
    )
    theta = torch.from_numpy(result.model.pack(result.measure)[None].copy()).to(device)
    which = torch.zeros(1, dtype=torch.int64, device=device)
    return sums.steps(theta, which, False)[2][0].cpu().numpy()


def _half(
    progress: Callable[[int, int], None] | None, part: int
) -> Callable[[int, int], None] | None:
    """Progress of the first (0) or the second (1) of two runs over the same problems."""
    if progress is None:
        return None
    tell = progress
    return lambda done, total: tell(part * total + done, 2 * total)


def _best(costs: Array, statuses: Any, size: Array) -> NDArray[np.intp]:
    """The start of the least cost for each of (R, S); of those that tie, the first of best status.

    Costs that only rounding tells apart tie, so that it does not decide between their parameters.
    """
    costs = np.where(np.isfinite(costs), costs, np.inf)
    least = costs.min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        tied = costs <= least + SAME * least + ROUNDING * size[:, None]
    order = list(Status)
    rank = np.vectorize(order.index, otypes=[np.int64])(statuses)
    return np.where(tied, rank, len(order)).argmin(axis=1)


def _statuses(states: NDArray[np.int64], interrupted: bool) -> Any:
    meaning = {
        DONE: Status.CONVERGED,
        LIMIT: Status.INTERRUPTED if interrupted else Status.STEP_LIMIT,
        FAILED: Status.DIVERGED,
        FLAT: Status.FLAT_VALLEY,
    }
    return np.vectorize(meaning.__getitem__, otypes=[object])(states)


def kernel_of(compute: Compute, device: torch.device, *, fused: bool = True) -> str:
    """The kernel that is computed with; auto takes the native one where sums are ``fused``.

    Raises InputError for one that is not available on the device.
    """
    kernel = compute.kernel
    if kernel == "auto":
        kernel = "native" if device.type == "cpu" and fused else "torch"
    if kernel not in ("native", "torch") or (kernel == "native" and device.type != "cpu"):
        raise InputError(f"kernel: '{kernel}' is not available on {device.type}; use auto.")
    return kernel


def threads_of(compute: Compute) -> int:
    """Threads of the native kernel. Raises InputError."""
    if compute.threads is not None and compute.threads < 1:
        raise InputError(f"threads: {compute.threads} is below 1; give at least one, or None.")
    return compute.threads or 1


def device_of(name: str) -> torch.device:
    """The device of a name. Raises InputError for one that this torch does not have."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise InputError(f"device: '{name}' is not known; use auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device: cuda is not available to this torch; use cpu, or install torch with CUDA."
        )
    return torch.device(name)
