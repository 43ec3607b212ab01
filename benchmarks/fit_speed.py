"""Speed and memory of the fitter, beside SciPy on the same data in the same run.

    python benchmarks/fit_speed.py            # everything but the longest, about 15 minutes
    python benchmarks/fit_speed.py peer       # one group: peer, growth, roofline, cores, memory
    python benchmarks/fit_speed.py long       # d = 8 at n = 1e5: another hour of SciPy

Problems: GELU ridge experts under the sigmoid gate, fitted with k = 3 atoms; truth with two
distinct atoms (over-specified) or three (well-specified), drawn N(0, 1) with slopes over √d; x
uniform on [-3, 3]^d, noise sd .05, start truth + 0.1·N(0, 1), box [-10, 10]. One thread each
unless said. SciPy is `least_squares` with the analytic Jacobian (NumPy, written by hand), `lm` and
`trf` at default tolerances and at most 1000 evaluations, the faster one for each problem. identkit
fits a batch, data in memory, kernels compiled, and is charged its time over the size of the batch;
SciPy fits the first of the same problems. Sizes in brackets; times are means.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import platform  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from importlib.metadata import version  # noqa: E402

import numpy as np  # noqa: E402

SEED = 0


def problems(dim: int, samples: int, count: int, over: bool, atoms: int = 3):
    """A model, x (R, n, d), y (R, n) and starts."""
    from identkit import MixingMeasure
    from identkit.fit import Model

    model = Model.of("gelu", "sigmoid", dim=dim)
    rng = np.random.default_rng([SEED, dim, samples, over])
    x = rng.uniform(-3, 3, (count, samples, dim))
    y = np.empty((count, samples))
    start = np.empty((count, atoms, 2 * dim + 2))
    slopes = np.r_[np.full(dim, dim**-0.5), 1.0, np.full(dim, dim**-0.5), 1.0]
    for r in range(count):
        truth = rng.normal(size=(atoms, 2 * dim + 2)) * slopes
        if over:
            truth[1] = truth[0]
        distinct = truth[1:] if over else truth
        measure = MixingMeasure(distinct[:, dim], distinct[:, :dim], distinct[:, dim + 1 :])
        y[r] = model.predict(measure, x[r]) + 0.05 * rng.normal(size=samples)
        start[r] = truth + 0.1 * rng.normal(size=truth.shape)
    starts = MixingMeasure(start[..., dim], start[..., :dim], start[..., dim + 1 :])
    return model, x, y, starts


def fit(model, x, y, starts, threads: int = 1, **options):
    from identkit.fit import Compute, least_squares

    compute = Compute(device="cpu", threads=threads, **options)
    began = time.perf_counter()
    result = least_squares(model, x, y, starts, compute=compute)
    return result, time.perf_counter() - began


def warm(*dims: int) -> None:
    """Compile the kernels."""
    for dim in dims:
        fit(*problems(dim, 1000, 2, True))


def scipy_fit(x, y, start) -> tuple[float, float, str]:
    """Seconds, cost and name of the faster method."""
    from scipy.optimize import least_squares
    from scipy.special import erf, expit

    dim = x.shape[1]
    ones = np.c_[x, np.ones(len(x))]

    def parts(vector):
        theta = vector.reshape(-1, 2 * dim + 2)
        gate = expit(x @ theta[:, :dim].T + theta[:, dim])
        z = x @ theta[:, dim + 1 : -1].T + theta[:, -1]
        return gate, z, 0.5 * (1 + erf(z * 0.7071067811865476))

    def residual(vector):
        gate, z, phi = parts(vector)
        return (gate * z * phi).sum(axis=1) - y

    def jacobian(vector):
        gate, z, phi = parts(vector)
        slope = gate * (phi + z * np.exp(-0.5 * z * z) * 0.3989422804014327)
        score = gate * (1 - gate) * z * phi
        blocks = [score[:, :, None] * ones[:, None], slope[:, :, None] * ones[:, None]]
        return np.concatenate(blocks, axis=2).reshape(len(x), -1)

    best = (np.inf, np.inf, "")
    for method in ("lm", "trf"):
        began = time.perf_counter()
        found = least_squares(residual, start, jacobian, method=method, max_nfev=1000)
        best = min(best, (time.perf_counter() - began, found.cost, method))
    return best


def compare(rows: list[tuple[int, int, bool, int, int]]) -> None:
    heads = ("d", "n", "truth", "identkit, s per fit", "SciPy, s per fit", "ratio")
    print(f"| {' | '.join(heads)} | cost equal, lower, higher | finished |")
    print("| ---: " * 2 + "| --- " + "| ---: " * 3 + "| --- | ---: |")
    for dim, samples, over, count, peers in rows:
        model, x, y, starts = problems(dim, samples, count, over)
        result, seconds = fit(model, x, y, starts)
        peer = [scipy_fit(x[r], y[r], model.pack(starts[r])) for r in range(peers)]
        gap = result.cost[:peers] / np.array([p[1] for p in peer]) - 1
        equal, lower = np.sum(np.abs(gap) <= 1e-6), np.sum(gap < -1e-6)
        ours, theirs = seconds / count, float(np.mean([p[0] for p in peer]))
        done = sum(s.finished for s in result.status)
        print(
            f"| {dim} | {samples} | {'over' if over else 'well'} | {ours:.4f} ({count}) | "
            f"{theirs:.3f} ({peers}) | {theirs / ours:.1f} | "
            f"{equal}, {lower}, {peers - equal - lower} | {done} of {count} |",
            flush=True,
        )


def peer() -> None:
    print("\n## Against SciPy, one thread each\n")
    warm(1, 8)
    sizes = {
        1: ((1_000, 256, 32), (10_000, 64, 8), (100_000, 32, 4)),
        8: ((1_000, 64, 8), (10_000, 16, 3)),
    }
    compare([(d, *size[:1], over, *size[1:]) for d in sizes for size in sizes[d]
             for over in (True, False)])  # fmt: skip


def long() -> None:
    print("\n## Against SciPy at d = 8, n = 1e5, one thread each\n")
    warm(8)
    compare([(8, 100_000, over, 4, 2) for over in (True, False)])


def growth() -> None:
    print("\n## Growth: seconds per fit (over-specified, nodes off where said)\n")
    print("| n, d, k, R | s per fit | median steps |")
    print("| --- | ---: | ---: |")
    rows = [(n, 1, 3, 16, nodes) for n in (1_000, 10_000, 100_000) for nodes in (True, False)]
    rows += [(1_000, d, 3, 32, True) for d in (1, 2, 4, 8, 16)]
    rows += [(1_000, 2, k, 32, True) for k in (2, 3, 5, 10)]
    rows += [(1_000, 1, 3, r, True) for r in (1, 4, 16, 64, 256, 1024)]
    for n, d, k, count, nodes in rows:
        model, x, y, starts = problems(d, n, count, True, k)
        fit(model, x[:1, :200], y[:1, :200], starts[:1])
        result, seconds = fit(model, x, y, starts, nodes=nodes)
        label = f"{n}, {d}, {k}, {count}" + ("" if nodes else ", no nodes")
        print(f"| {label} | {seconds / count:.4f} | {np.median(result.steps):.0f} |", flush=True)


def roofline() -> None:
    """One pass of the native kernel beside what its arithmetic needs at measured peak rates."""
    from numba import njit

    from identkit.fit import vector_math
    from identkit.fit.cpu_kernel import CpuSums

    def clock(function, *arguments) -> float:
        function(*arguments)
        times = []
        for _ in range(7):
            began = time.perf_counter()
            function(*arguments)
            times.append(time.perf_counter() - began)
        return min(times)

    @njit(fastmath={"contract"}, error_model="numpy")
    def exps(z, out):
        for _ in range(1000):
            for j in range(z.size):
                out[j] = vector_math.exp(z[j])

    @njit(fastmath={"contract"}, error_model="numpy")
    def erfs(z, out):
        for _ in range(1000):
            for j in range(z.size):
                out[j] = vector_math.erf(z[j])

    z, out = np.random.default_rng(SEED).normal(size=512), np.empty(512)
    exp_ns = clock(exps, z, out) / 512e3 * 1e9
    erf_ns = clock(erfs, z, out) / 512e3 * 1e9
    square = np.random.default_rng(SEED).normal(size=(768, 768))
    fma_ns = clock(np.matmul, square, square) / 768**3 * 1e9
    print("\n## Roofline of one pass (cost, gradient, Hessian), one thread\n")
    print(f"exp {exp_ns:.1f} ns, erf {erf_ns:.1f} ns (this kernel's own, vectorised), ", end="")
    print(f"one multiply-add {fma_ns:.3f} ns (BLAS, 768 × 768)\n")
    print("| d | sums, ns | exp and erf, ns | bound, ns per sample | measured | fraction |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for dim in (1, 8):
        model, x, y, starts = problems(dim, 10_000, 8, True)
        sums = CpuSums(model, x, y, None, 1)
        theta, which = model.pack(starts), np.arange(8)
        measured = clock(sums.steps, theta, which, True) / 8e4 * 1e9
        rows, features = 6, dim + 1
        pairs, products = rows * (rows + 1) // 2, features * (features + 1) // 2
        arithmetic = (pairs * products + 2 * rows * features) * fma_ns
        heads = 3 * (2 * exp_ns + erf_ns)
        bound = arithmetic + heads
        print(
            f"| {dim} | {arithmetic:.0f} | {heads:.0f} | {bound:.0f} | {measured:.0f} | "
            f"{bound / measured:.2f} |",
            flush=True,
        )


def cores() -> None:
    print("\n## Two cores: threads of the native kernel\n")
    print("| problem | 1 thread, s per fit | 2 threads | ratio |")
    print("| --- | ---: | ---: | ---: |")
    warm(1, 8)
    for dim, n, count in ((1, 1_000, 256), (1, 100_000, 32), (8, 1_000, 64), (8, 10_000, 16)):
        data = problems(dim, n, count, True)
        one, two = (fit(*data, threads=t)[1] / count for t in (1, 2))
        print(f"| d = {dim}, n = {n} | {one:.4f} | {two:.4f} | {one / two:.2f} |", flush=True)


def memory() -> None:
    """R = 1000 replicates of n = 1e5, generated on the way, in a process of its own."""
    print("\n## Memory: replicates of n = 1e5, d = 1, generated and fitted batch by batch\n")
    print("| replicates | peak MB of the process | seconds |")
    print("| ---: | ---: | ---: |")
    for count in (2, 1000):
        began = time.perf_counter()
        script = f"import fit_speed; fit_speed.stream({count})"
        process = subprocess.Popen(
            [sys.executable, "-c", script], cwd=os.path.dirname(os.path.abspath(__file__))
        )
        _, status, usage = os.wait4(process.pid, 0)
        if os.waitstatus_to_exitcode(status):
            raise SystemExit("the stream failed")
        seconds = time.perf_counter() - began
        print(f"| {count} | {usage.ru_maxrss / 1024:.0f} | {seconds:.0f} |", flush=True)


def stream(count: int) -> None:
    from identkit import MixingMeasure, simulate
    from identkit.fit import Box, Model, replicates

    model = Model.of("gelu", "sigmoid")
    truth = MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
    data = simulate(model, truth, 100_000, count, noise=0.003, seed=SEED)
    result = replicates(
        data, lambda r: data.starts(3, indices=r), box=Box(beta0=(-1.5, 4)), max_steps=100
    )
    assert len(result) == count


GROUPS = {f.__name__: f for f in (peer, growth, roofline, cores, memory, long)}


def main() -> None:
    wanted = sys.argv[1:] or [name for name in GROUPS if name != "long"]
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown:
        raise SystemExit(f"no group '{unknown[0]}'; choose from {', '.join(GROUPS)}")
    packages = ", ".join(f"{p} {version(p)}" for p in ("numpy", "scipy", "numba", "torch"))
    print(f"{platform.machine()}, Python {platform.python_version()}, {packages}, seed {SEED}")
    for name in wanted:
        GROUPS[name]()


if __name__ == "__main__":
    main()
