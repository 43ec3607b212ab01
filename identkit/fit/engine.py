"""Fits of many problems: data and settings are checked, kernels chosen, starts compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit import __version__
from identkit.errors import InputError, whole
from identkit.fit.model import Model
from identkit.fit.result import Box, FitResult, Settings, Status
from identkit.mixing import MixingMeasure, real_array

if TYPE_CHECKING:
    from identkit.fit.solver import Options, Solution
    from identkit.simulation import Simulation

Array = NDArray[np.float64]

LARGEST = 1e100
"""Of |x|, |y| and weights: beyond it squares leave the range of float64."""
SMALLEST = 1e-100
"""Of the largest |y| and weight: below it squares vanish."""
LIGHT = 1e-3
"""An atom is light when its root mean square weight is below this part of the largest one: its
contribution is then below the third digit, and its parameters are hardly in the cost."""
LIGHT_SAMPLE = 4096
"""Samples on which atoms' weights are compared."""
BATCH_BYTES = 2**28
"""Data of replicates fitted together when they are generated on the way."""


@dataclass(frozen=True)
class Compute:
    """Where and how to compute.

    ``device``: auto, cpu or cuda. ``kernel``: auto (native on the CPU, torch elsewhere), native or
    torch. ``nodes``: compress one-dimensional data of a smooth expert, polish on all of it.
    ``threads``: of the native kernel, by default 1; results do not depend on it. On two cores a
    second one gained a tenth at d = 8 and lost a third at d = 1 (benchmarks/README.md).
    """

    device: str = "auto"
    kernel: str = "auto"
    nodes: bool = True
    threads: int | None = None


def least_squares(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    start: MixingMeasure | Sequence[MixingMeasure],
    *,
    weight: ArrayLike | None = None,
    box: Box | None = None,
    max_steps: int = 500,
    tolerance: float = 1e-16,
    first_order: int = 8,
    accelerate: bool = True,
    flat: float = 1e-8,
    compute: Compute | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Minimise ½Σ_i w_i (f_G(x_i) − y_i)² over mixing measures G in a box.

    ``x`` has shape (n, d) and ``y`` (n,) for one problem; (R, n, d) or (n, d), and (R, n), for R
    problems. ``start`` is a mixing measure, or several to start from; each has one measure for all
    problems or R of them. The best of its starts is returned for each problem. Under a gate with a
    gauge the start is shifted so that the last atom's gate is 0, where it is held (the box speaks
    of these coordinates). ``weight``, like y in shape, is ≥ 0.

    >>> import numpy as np, identkit
    >>> from identkit.fit import least_squares, Model
    >>> model = Model.of("tanh", "sigmoid")
    >>> truth = identkit.MixingMeasure([0.0], [[0.0]], [[1.0, 0.5]])
    >>> data = identkit.simulate(model, truth, 200, noise=0.01)
    >>> least_squares(model, *data.data(0), start=truth).status
    <Status.CONVERGED: 'converged'>

    Raises :class:`~identkit.errors.InputError`, before any work, for data that do not fit the model
    or each other, are not finite, are constant or fewer than the parameters. Of several problems
    those with such y are left out with status ``bad data``, unless all are.
    """
    from identkit.fit.solver import Options

    began = time.perf_counter()
    data = _Data.checked(model, x, y, weight)
    starts = _starts(model, start, data.problems)
    box = Box() if box is None else box
    options = Options(max_steps, tolerance, first_order, accelerate, flat)
    _check_options(options)
    atoms = starts.shape[2] // model.per_atom
    if data.samples < model.free(atoms):
        raise InputError(
            f"data: {data.samples} samples are fewer than the {starts.shape[2]} parameters of "
            f"{atoms} atoms; give more data or fit fewer atoms."
        )
    low, high = box.bounds(model, atoms)
    job = _Job(model, data, starts, low, high, options, compute or Compute())
    return job.run(box, began, progress, stop)


def replicates(
    simulation: Simulation,
    start: Callable[[NDArray[np.int64]], MixingMeasure | Sequence[MixingMeasure]],
    *,
    batch_bytes: int = BATCH_BYTES,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> FitResult:
    """Fit every replicate of a simulation; data are generated a batch at a time.

    ``start(indices)`` gives the starting measures of those replicates, for example
    ``lambda r: simulation.starts(3, indices=r)``. Other options as in :func:`least_squares`.
    """
    parts, done = [], 0
    for indices, x, y in simulation.batches(max_bytes=batch_bytes):
        before = done

        def report(finished: int, total: int, before: int = before, size: int = len(y)) -> None:
            if progress is not None:
                progress(before + finished * size // max(1, total), simulation.replicates)

        parts.append(
            least_squares(simulation.model, x, y, start(indices), progress=report, **options)
        )
        done += len(y)
    return FitResult.joined(parts)


@dataclass(frozen=True)
class _Data:
    """x (R or 1, n, d), y (R, n), weight (R, n) or None; ``good`` (R,) marks usable problems."""

    x: Array
    y: Array
    weight: Array | None
    good: NDArray[np.bool_]
    single: bool

    @property
    def problems(self) -> int:
        return len(self.y)

    @property
    def samples(self) -> int:
        return self.y.shape[1]

    @classmethod
    def checked(cls, model: Model, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None) -> _Data:
        points, values = real_array("x", x), real_array("y", y)
        single = values.ndim == 1
        if values.ndim not in (1, 2) or points.ndim not in (2, 3) or (single and points.ndim == 3):
            raise InputError(
                f"data: x has shape {points.shape} and y {values.shape}; they must be (n, d) and "
                "(n,), or (R, n, d) and (R, n) for R problems."
            )
        values = np.atleast_2d(values)
        points = points if points.ndim == 3 else points[None]
        if points.shape[1] != values.shape[1] or points.shape[0] not in (1, len(values)):
            raise InputError(
                f"data: x has {points.shape[1]} rows and y {values.shape[1]}; give one y for "
                "each row of x."
                if points.shape[1] != values.shape[1]
                else f"data: x has {points.shape[0]} problems and y {len(values)}; give as many."
            )
        if points.shape[2] != model.dim:
            raise InputError(
                f"x: it has {points.shape[2]} columns, the expert {model.expert.label} has "
                f"{model.dim} inputs; choose the columns or set the dimension."
            )
        good = np.ones(len(values), dtype=bool)
        faults: list[str] = []
        weights = None
        if weight is not None:
            weights = _weights(weight, values.shape)
            good = weights.any(axis=1)
            if not good.all():
                faults.append("weight: all are 0, so there is nothing to fit; raise some.")
        for name, array in (("x", points), ("y", values)):
            axes = tuple(range(1, array.ndim))
            with np.errstate(invalid="ignore"):
                ok = (np.abs(array) <= LARGEST).all(axis=axes)
            if not ok.all():
                bad = np.argwhere(~(np.abs(array) <= LARGEST))[0]
                value = array[tuple(bad)]
                faults.append(
                    f"{name}: row {bad[1]} holds {value:g}; "
                    + (
                        f"rescale it, magnitudes up to {LARGEST:g} are fitted."
                        if np.isfinite(value)
                        else "remove rows with missing or infinite values."
                    )
                )
            good &= ok
        if not values.size:
            raise InputError(
                f"data: there is no sample (y has shape {values.shape}); give data to fit."
            )
        constant = (values == values[:, :1]).all(axis=1)
        if constant[good].any():
            faults.append(
                f"y: all {values.shape[1]} values are {values[good & constant][0, 0]:g}, so there "
                "is nothing to fit; check the target column."
            )
        good &= ~constant
        tiny = np.abs(np.where(good[:, None], values, 1.0)).max(axis=1) < SMALLEST
        if tiny.any():
            faults.append(
                f"y: its largest magnitude is {np.abs(values[tiny][0]).max():g}, squares of which "
                f"vanish; rescale it to {SMALLEST:g} or more."
            )
        good &= ~tiny
        if not good.any():
            raise InputError(faults[0])
        # writeable too: torch warns of read-only arrays, Numba compiles once more for them
        kind: Any = ("C_CONTIGUOUS", "WRITEABLE")
        return cls(
            np.require(points, requirements=kind),
            np.require(values, requirements=kind),
            weights,
            good,
            single,
        )


def _weights(weight: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Weights in the shape (R, n) of y, a copy."""
    array = real_array("weight", weight)
    if array.shape not in (shape, shape[1:]):
        raise InputError(
            f"weight: it has shape {array.shape}, y has {shape[1]} samples in {shape[0]} "
            f"{'problems' if shape[0] > 1 else 'problem'}; give one weight for each y."
        )
    if not np.isfinite(array).all() or (array < 0).any():
        raise InputError("weight: it holds a negative or not finite value; remove it.")
    largest = array.max(initial=0.0)
    if largest > LARGEST or 0 < largest < SMALLEST:
        raise InputError(
            f"weight: its largest is {largest:g}; rescale, only ratios of weights matter."
        )
    return np.array(np.broadcast_to(array, shape))


def _starts(model: Model, start: MixingMeasure | Sequence[MixingMeasure], problems: int) -> Array:
    """Starting vectors, shape (R, S, p)."""
    several = [start] if isinstance(start, MixingMeasure) else list(start)
    if not several:
        raise InputError("start: it is empty; give at least one mixing measure.")
    columns = []
    for measure in several:
        vector = model.pack(measure)
        if vector.ndim == 2 and len(vector) not in (1, problems):
            raise InputError(
                f"start: it holds {len(vector)} measures for {problems} problems; give one, or "
                "one for each problem, and several starts as a list."
            )
        columns.append(np.broadcast_to(np.atleast_2d(vector), (problems, vector.shape[-1])))
    if len({c.shape[1] for c in columns}) > 1:
        raise InputError("start: the starts have different numbers of atoms; give the same.")
    return np.stack(columns, axis=1)


def _check_options(options: Options) -> None:
    whole("max_steps", options.max_steps, least=1)
    whole("first_order", options.first_order, least=0)
    if not 0 < options.tolerance < 1:
        raise InputError(f"tolerance: {options.tolerance:g} must lie between 0 and 1.")
    if not 0 <= options.flat < 1:
        raise InputError(f"flat: {options.flat:g} must be at least 0 and below 1.")


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


class _Job:
    """Starts as problems for the solver, on one device with one kernel."""

    def __init__(
        self,
        model: Model,
        data: _Data,
        starts: Array,
        low: Array,
        high: Array,
        options: Options,
        compute: Compute,
    ) -> None:
        self.model, self.data, self.starts, self.options = model, data, starts, options
        self.low, self.high, self.compute = low, high, compute
        self.fixed = model.pinned(starts.shape[2] // model.per_atom)
        self.device = _device(compute.device)
        self.kernel = compute.kernel
        if self.kernel == "auto":
            self.kernel = "native" if self.device.type == "cpu" else "torch"
        if self.kernel not in ("native", "torch") or (
            self.kernel == "native" and self.device.type != "cpu"
        ):
            raise InputError(
                f"kernel: '{self.kernel}' is not available on {self.device.type}; use auto."
            )
        if compute.threads is not None and compute.threads < 1:
            raise InputError(f"threads: {compute.threads} is below 1; give at least one, or None.")
        self.threads = compute.threads or 1

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
        import torch

        from identkit.fit.solver import FLAT, LIMIT

        several, size = self.starts.shape[1:]
        good = np.flatnonzero(self.data.good)
        which = np.repeat(good, several)
        theta = self.starts[good].reshape(-1, size)
        if self.fixed.any():
            theta = self.model.unpack(theta).pinned().to_vector()
        if not cells:
            end = self._solve(self._everything(), theta, which, self.options, progress, stop)
            return self._ends(end, end.steps, end.state, end.passes.cpu().numpy())
        from identkit.fit.nodes import ORDER

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
        best = np.where(np.isfinite(ends.cost), ends.cost, np.inf).argmin(axis=1)

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
        statuses[good] = _statuses(ends.states, interrupted)
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
        )
        return result[0] if self.data.single else result

    # -- parts ----------------------------------------------------------------------------------

    def _cells(self) -> int:
        from identkit.fit.nodes import cell_count

        wanted = self.compute.nodes and self.model.compressible
        return cell_count(self.data.samples) if wanted else 0

    def _nodes(self, cells: int) -> Any:
        from identkit.fit.nodes import compress

        data = self.data
        y = np.where(data.good[:, None], data.y, 0.0)
        x = np.where(np.isfinite(data.x[..., 0]), data.x[..., 0], 0.0)
        points, values, weights = compress(np.broadcast_to(x, y.shape), y, data.weight, cells)
        return self._sums(points[..., None], values, weights)

    def _everything(self) -> Any:
        return self._sums(self.data.x, self.data.y, self.data.weight)

    def _sums(self, x: Array, y: Array, weight: Array | None) -> Any:
        import torch

        if self.kernel == "native":
            from identkit.fit.cpu_kernel import CpuSums

            return NativeSums(CpuSums(self.model, x, y, weight, self.threads))
        from identkit.fit.torch_kernel import TorchSums

        return TorchSums(
            self.model,
            torch.from_numpy(x),
            torch.from_numpy(y),
            None if weight is None else torch.from_numpy(weight),
            self.device,
        )

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
        import torch

        from identkit.fit.solver import Problems, solve

        weight = 1.0 if self.data.weight is None else self.data.weight
        with np.errstate(invalid="ignore", over="ignore"):
            scale = 0.5 * (weight * self.data.y**2).sum(axis=1)

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
        # small matrices: torch's threads take longer to start than to work (3 to 6 times slower)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return solve(sums, problems, options, progress, stop, taken)
        finally:
            torch.set_num_threads(before)

    def _refined(self, status: Any, vector: Array, held: Any) -> Any:
        """Minima on the box and minima with a light atom get their own status."""
        status = status.copy()
        boxed: Any = (held & ~self.fixed).any(axis=1)
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
        import sympy
        import torch

        libraries = [("numpy", np.__version__), ("torch", torch.__version__)]
        libraries.append(("sympy", sympy.__version__))
        if self.kernel == "native":
            import numba

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


class NativeSums:
    """The native kernel behind the solver's tensors; on the CPU they share memory with NumPy."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel

    def steps(self, theta: Any, which: Any, second: bool) -> Any:
        import torch

        sums = self.kernel.steps(theta.contiguous().numpy(), which.numpy(), second)
        return tuple(torch.from_numpy(a) for a in sums)

    def bends(self, theta: Any, velocity: Any, which: Any) -> Any:
        import torch

        out = self.kernel.bends(
            theta.contiguous().numpy(), velocity.contiguous().numpy(), which.numpy()
        )
        return torch.from_numpy(out)


def _half(
    progress: Callable[[int, int], None] | None, part: int
) -> Callable[[int, int], None] | None:
    """Progress of the first (0) or the second (1) of two runs over the same problems."""
    if progress is None:
        return None
    tell = progress
    return lambda done, total: tell(part * total + done, 2 * total)


def _statuses(states: NDArray[np.int64], interrupted: bool) -> Any:
    from identkit.fit.solver import DONE, FAILED, FLAT, LIMIT

    meaning = {
        DONE: Status.CONVERGED,
        LIMIT: Status.INTERRUPTED if interrupted else Status.STEP_LIMIT,
        FAILED: Status.DIVERGED,
        FLAT: Status.FLAT_VALLEY,
    }
    return np.vectorize(meaning.__getitem__, otypes=[object])(states)


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise InputError(f"device: '{name}' is not known; use auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device: cuda is not available to this torch; use cpu, or install torch with CUDA."
        )
    return torch.device(name)
