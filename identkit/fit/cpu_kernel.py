"""The sums of a least-squares step, fused for the CPU: heads in cache, Gram sums, no Jacobian.

Each problem is one loop over blocks of :data:`BLOCK` samples in a fixed order, so its sums depend
neither on the batch nor on the number of threads. The loop is compiled once and kept on disk; per
expert only the small functions that evaluate its heads on a block are compiled.

Notation as in :mod:`identkit.fit.solver`: rows a = (atom, t), t = 0 for the score and t ≥ 1 for the
slots; D_a = ∂f/∂(row a), and second derivatives enter through the pairs (a, b).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from identkit.fit import vector_math
from identkit.fit.kept import compiled

if TYPE_CHECKING:
    from identkit.fit.model import Model

Array = NDArray[np.float64]
BLOCK = 128
"""Samples per block: heads and products of inputs for d = 8 stay in cache (about 100 KiB)."""

_MATRIX = types.float64[:, ::1]
_SIGNATURE = types.void(_MATRIX, _MATRIX, types.int64)
_FAST = {"contract", "reassoc", "nsz"}
"""Sums may be reordered for the vector units; NaN and infinity keep their meaning."""


@lru_cache(maxsize=64)
def native_heads(model: Model) -> tuple[Any, Any]:
    """Native functions (rows in, rows out, count) for the expert's and the gate's heads."""
    heads = model.heads(vector_math.FUNCTIONS)
    return (
        block_function(heads.expert, len(model.arguments), len(model.expressions[0])),
        block_function(heads.gate, 1, 3),
    )


def block_function(scalar: Any, inputs: int, outputs: int) -> Any:
    """A loop over samples around a scalar function returning a tuple, kept as the loops are.

    The source is assembled from row indices alone; the function itself was printed by SymPy.
    """
    arguments = ", ".join(f"rows[{i}, j]" for i in range(inputs))
    stores = "\n".join(f"        out[{i}, j] = value[{i}]" for i in range(outputs))
    source = (
        "def block(rows, out, count):\n"
        "    for j in range(count):\n"
        f"        value = scalar({arguments})\n{stores}\n"
    )
    place: Any = _steps
    beside = place.stats.cache_path
    return compiled(scalar, source, _SIGNATURE, None if beside is None else Path(beside, "heads"))


@njit(cache=True)
def head_count(slots):
    """φ, its first derivatives in so many slots, and its second ones."""
    return 1 + slots + slots * (slots + 1) // 2


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _rows(theta, row_of, feature, scale, level, direct, dim, slots, count, points, rows):
    """Scores, slots and direct inputs of every atom; linear, so also for velocities."""
    stride = 1 + slots + direct.shape[0]
    for i in range(theta.shape[0]):
        base = i * stride
        for t in range(1, slots + 1):
            for j in range(count):
                rows[base + t, j] = 0.0
        shift = theta[i, level]
        for j in range(count):
            rows[base, j] = shift
        for v in range(row_of.shape[0]):
            if v == level:
                continue
            c = theta[i, v] * scale[v]
            row = base + row_of[v]
            f = feature[v]
            if f == dim:
                for j in range(count):
                    rows[row, j] += c
            else:
                for j in range(count):
                    rows[row, j] += c * points[f, j]
        for e in range(direct.shape[0]):
            for j in range(count):
                rows[base + 1 + slots + e, j] = points[direct[e], j]


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _block(
    atoms, slots, stride, heads, normalised, exponential, expert, gate, count, rows, gates,
    experts, shares, first, mean,
):  # fmt: skip
    """Values and first derivatives on a block: mean f, first D_a, shares p_i = ω_i'/Σω.

    Afterwards ``gates`` holds ω, ω', ω'' over the normaliser and ``experts`` the heads of h.
    """
    if exponential:
        for j in range(count):
            mean[j] = rows[0, j]
        for i in range(1, atoms):
            for j in range(count):
                mean[j] = max(mean[j], rows[i * stride, j])
        for i in range(atoms):
            for j in range(count):
                rows[i * stride, j] -= mean[j]
    for i in range(atoms):
        gate(rows[i * stride : i * stride + 1], gates[3 * i : 3 * i + 3], count)
        expert(
            rows[i * stride + 1 : (i + 1) * stride],
            experts[heads * i : heads * (i + 1)],
            count,
        )
    if normalised:
        total = shares[0]
        for j in range(count):
            total[j] = gates[0, j]
        for i in range(1, atoms):
            for j in range(count):
                total[j] += gates[3 * i, j]
        for j in range(count):
            total[j] = 1.0 / total[j]
        for i in range(atoms):
            for j in range(count):
                gates[3 * i, j] *= total[j]
                gates[3 * i + 1, j] *= total[j]
                gates[3 * i + 2, j] *= total[j]
    for j in range(count):
        mean[j] = gates[0, j] * experts[0, j]
    for i in range(1, atoms):
        for j in range(count):
            mean[j] += gates[3 * i, j] * experts[heads * i, j]
    if normalised:
        # h_i - f takes the place of h_i: what a change of the gate moves
        for i in range(atoms):
            for j in range(count):
                experts[heads * i, j] -= mean[j]
                shares[i, j] = gates[3 * i + 1, j]
    for i in range(atoms):
        a = i * (slots + 1)
        for j in range(count):
            first[a, j] = gates[3 * i + 1, j] * experts[heads * i, j]
        for t in range(slots):
            for j in range(count):
                first[a + 1 + t, j] = gates[3 * i, j] * experts[heads * i + 1 + t, j]


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _pairs(atoms, slots, heads, normalised, count, gates, experts, shares, first, residual, pairs):
    """Adds residual·∂²f/∂a∂b to the products D_a·D_b, rows a ≤ b."""
    width = slots + 1
    total = atoms * width
    for i in range(atoms):
        for t in range(width):
            a = i * width + t
            start = a * total - a * (a - 1) // 2 - a
            for u in range(t, width):
                row = start + i * width + u
                if u == 0:
                    for j in range(count):
                        pairs[row, j] += residual[j] * gates[3 * i + 2, j] * experts[heads * i, j]
                elif t == 0:
                    for j in range(count):
                        pairs[row, j] += (
                            residual[j] * gates[3 * i + 1, j] * experts[heads * i + u, j]
                        )
                else:
                    v = t - 1
                    second = heads * i + 1 + slots + v * slots - v * (v - 1) // 2 + (u - 1 - v)
                    for j in range(count):
                        pairs[row, j] += residual[j] * gates[3 * i, j] * experts[second, j]
    if normalised:
        for i in range(atoms):
            for t in range(width):
                a = i * width + t
                start = a * total - a * (a - 1) // 2 - a
                for b in range(a, total):
                    k = b // width
                    if t == 0:
                        for j in range(count):
                            pairs[start + b, j] -= residual[j] * shares[i, j] * first[b, j]
                    if b == k * width:
                        for j in range(count):
                            pairs[start + b, j] -= residual[j] * shares[k, j] * first[a, j]


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _contract(left, right, rows, columns, count, out):
    """out[a, f] += Σ_j left[a, j]·right[f, j], two rows by four columns at a time."""
    even, fours = rows - rows % 2, columns - columns % 4
    for a in range(0, even, 2):
        for f in range(0, fours, 4):
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = 0.0
            for j in range(count):
                p, q = left[a, j], left[a + 1, j]
                s0 += p * right[f, j]
                s1 += p * right[f + 1, j]
                s2 += p * right[f + 2, j]
                s3 += p * right[f + 3, j]
                t0 += q * right[f, j]
                t1 += q * right[f + 1, j]
                t2 += q * right[f + 2, j]
                t3 += q * right[f + 3, j]
            out[a, f] += s0
            out[a, f + 1] += s1
            out[a, f + 2] += s2
            out[a, f + 3] += s3
            out[a + 1, f] += t0
            out[a + 1, f + 1] += t1
            out[a + 1, f + 2] += t2
            out[a + 1, f + 3] += t3
        for f in range(fours, columns):
            s0 = t0 = 0.0
            for j in range(count):
                s0 += left[a, j] * right[f, j]
                t0 += left[a + 1, j] * right[f, j]
            out[a, f] += s0
            out[a + 1, f] += t0
    for a in range(even, rows):
        for f in range(columns):
            s0 = 0.0
            for j in range(count):
                s0 += left[a, j] * right[f, j]
            out[a, f] += s0


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _features(data, begin, count, dim, points):
    """The inputs on a block, and 1."""
    for s in range(dim):
        for j in range(count):
            points[s, j] = data[begin + j, s]
    for j in range(count):
        points[dim, j] = 1.0


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _crossed(points, features, count, product):
    """Products of features f ≤ q."""
    f = 0
    for s in range(features):
        for u in range(s, features):
            for j in range(count):
                product[f, j] = points[s, j] * points[u, j]
            f += 1


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _multiplied(first, weight, begin, total, count, moved, pairs):
    """w·D_a, and the products w·D_a·D_b of rows a ≤ b; no weights are all 1."""
    row = 0
    for a in range(total):
        if weight.shape[0] > 0:
            for j in range(count):
                moved[a, j] = weight[begin + j] * first[a, j]
        else:
            for j in range(count):
                moved[a, j] = first[a, j]
        for b in range(a, total):
            for j in range(count):
                pairs[row, j] = moved[a, j] * first[b, j]
            row += 1


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _squared(moved, first, points, total, features, count, squared, squares):
    """Adds Σ w·D_a²·feature²; ``moved`` holds w·D_a."""
    for s in range(features):
        for j in range(count):
            squared[s, j] = points[s, j] * points[s, j]
    for a in range(total):
        for j in range(count):
            moved[a, j] *= first[a, j]
    _contract(moved, squared, total, features, count, squares)


@njit(cache=True, error_model="numpy")
def _place(m, per_atom, width, row_of, feature, scale):
    """Row, feature and factor of parameter m."""
    v = m % per_atom
    return m // per_atom * width + row_of[v], feature[v], scale[v]


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _assemble(slopes, sums, atoms, per_atom, dim, width, row_of, feature, scale, gradient, gram):
    """Gradient and matrix of the parameters from the sums over rows and pairs of rows."""
    total, features, size = atoms * width, dim + 1, atoms * per_atom
    for m in range(size):
        a, g, c = _place(m, per_atom, width, row_of, feature, scale)
        gradient[m] = c * slopes[a, g]
        for other in range(m, size):
            b, h, e = _place(other, per_atom, width, row_of, feature, scale)
            low, high = min(a, b), max(a, b)
            f, q = min(g, h), max(g, h)
            value = (
                c * e * sums[
                    low * total - low * (low - 1) // 2 + high - low,
                    f * features - f * (f - 1) // 2 + q - f,
                ]
            )  # fmt: skip
            gram[m, other] = value
            gram[other, m] = value


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _steps(
    theta, which, x, y, weight, row_of, feature, scale, level, direct, slots, heads, normalised,
    exponential, expert, gate, second, cost, gradient, gram, diagonal,
):  # fmt: skip
    """Cost, gradient, Gram or Hessian and Gram diagonal of every problem."""
    problems, atoms, per_atom = theta.shape
    n, dim = x.shape[1], x.shape[2]
    stride, width = 1 + slots + direct.shape[0], slots + 1
    total, features = atoms * width, dim + 1
    pair_rows, products = total * (total + 1) // 2, features * (features + 1) // 2
    points = np.empty((features, BLOCK))
    product = np.empty((products, BLOCK))
    rows = np.empty((atoms * stride, BLOCK))
    gates = np.empty((3 * atoms, BLOCK))
    experts = np.empty((heads * atoms, BLOCK))
    shares = np.empty((atoms, BLOCK))
    first = np.empty((total, BLOCK))
    pairs = np.empty((pair_rows, BLOCK))
    mean, residual = np.empty(BLOCK), np.empty((1, BLOCK))
    moved = np.empty((total, BLOCK))
    sums = np.empty((pair_rows, products))
    slopes = np.empty((total, features))
    squares = np.empty((total, features))
    squared = np.empty((features, BLOCK))
    for r in range(problems):
        data = x[which[r] if x.shape[0] > 1 else 0]
        target = y[which[r]]
        sums[:] = 0.0
        slopes[:] = 0.0
        squares[:] = 0.0
        half = 0.0
        for begin in range(0, n, BLOCK):
            count = min(BLOCK, n - begin)
            _features(data, begin, count, dim, points)
            _crossed(points, features, count, product)
            _rows(theta[r], row_of, feature, scale, level, direct, dim, slots, count, points, rows)
            _block(
                atoms, slots, stride, heads, normalised, exponential, expert, gate, count, rows,
                gates, experts, shares, first, mean,
            )  # fmt: skip
            here = residual[0]
            for j in range(count):
                here[j] = mean[j] - target[begin + j]
            block_cost = 0.0
            if weight.shape[0] > 0:
                w = weight[which[r]]
                for j in range(count):
                    block_cost += w[begin + j] * here[j] * here[j]
                # a loop of its own: a sum that also stores is vectorised or not as arrays happen
                # to lie in memory, and would not be the same twice
                for j in range(count):
                    here[j] *= w[begin + j]
            else:
                for j in range(count):
                    block_cost += here[j] * here[j]
            half += 0.5 * block_cost
            for a in range(total):
                for j in range(count):
                    moved[a, j] = here[j] * first[a, j]
            _contract(moved, points, total, features, count, slopes)
            w = weight[which[r]] if weight.shape[0] > 0 else weight.reshape(0)
            _multiplied(first, w, begin, total, count, moved, pairs)
            if second:
                _squared(moved, first, points, total, features, count, squared, squares)
                _pairs(
                    atoms, slots, heads, normalised, count, gates, experts, shares, first, here,
                    pairs,
                )  # fmt: skip
            _contract(pairs, product, pair_rows, products, count, sums)
        cost[r] = half
        _assemble(
            slopes, sums, atoms, per_atom, dim, width, row_of, feature, scale, gradient[r], gram[r]
        )
        for m in range(atoms * per_atom):
            a, g, c = _place(m, per_atom, width, row_of, feature, scale)
            diagonal[r, m] = c * c * squares[a, g] if second else gram[r, m, m]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _bends(
    theta, velocity, which, x, weight, row_of, feature, scale, level, direct, slots, heads,
    normalised, exponential, expert, gate, out,
):  # fmt: skip
    """Jᵀ f_vv of every problem: f_vv the second derivative of f along the velocity."""
    problems, atoms, per_atom = theta.shape
    n, dim = x.shape[1], x.shape[2]
    stride, width = 1 + slots + direct.shape[0], slots + 1
    total, features = atoms * width, dim + 1
    points = np.empty((features, BLOCK))
    rows = np.empty((atoms * stride, BLOCK))
    moving = np.empty((atoms * stride, BLOCK))
    gates = np.empty((3 * atoms, BLOCK))
    experts = np.empty((heads * atoms, BLOCK))
    shares = np.empty((atoms, BLOCK))
    first = np.empty((total, BLOCK))
    mean, bend, along = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    speed = np.empty(BLOCK)
    slopes = np.empty((total, features))
    for r in range(problems):
        data = x[which[r] if x.shape[0] > 1 else 0]
        slopes[:] = 0.0
        for begin in range(0, n, BLOCK):
            count = min(BLOCK, n - begin)
            _features(data, begin, count, dim, points)
            _rows(theta[r], row_of, feature, scale, level, direct, dim, slots, count, points, rows)
            _rows(
                velocity[r], row_of, feature, scale, level, direct, dim, slots, count, points,
                moving,
            )  # fmt: skip
            _block(
                atoms, slots, stride, heads, normalised, exponential, expert, gate, count, rows,
                gates, experts, shares, first, mean,
            )  # fmt: skip
            for j in range(count):
                bend[j] = 0.0
                along[j] = 0.0
                speed[j] = 0.0
            for i in range(atoms):
                base, value = i * stride, heads * i
                for j in range(count):
                    bend[j] += gates[3 * i + 2, j] * experts[value, j] * moving[base, j] ** 2
                row = value + width
                for t in range(1, width):
                    for j in range(count):
                        bend[j] += (
                            2.0 * gates[3 * i + 1, j] * moving[base, j]
                            * experts[value + t, j] * moving[base + t, j]
                        )  # fmt: skip
                    for u in range(t, width):
                        factor = 1.0 if t == u else 2.0
                        for j in range(count):
                            bend[j] += (
                                factor * gates[3 * i, j] * experts[row, j]
                                * moving[base + t, j] * moving[base + u, j]
                            )  # fmt: skip
                        row += 1
                if normalised:
                    for t in range(width):
                        for j in range(count):
                            along[j] += first[i * width + t, j] * moving[base + t, j]
                    for j in range(count):
                        speed[j] += shares[i, j] * moving[base, j]
            if normalised:
                for j in range(count):
                    bend[j] -= 2.0 * speed[j] * along[j]
            if weight.shape[0] > 0:
                w = weight[which[r]]
                for j in range(count):
                    bend[j] *= w[begin + j]
            for a in range(total):
                for j in range(count):
                    first[a, j] *= bend[j]
            _contract(first, points, total, features, count, slopes)
        for m in range(atoms * per_atom):
            a, g, c = _place(m, per_atom, width, row_of, feature, scale)
            out[r, m] = c * slopes[a, g]


class CpuSums:
    """The sums over fixed data, for any subset of problems (see :mod:`identkit.fit.solver`).

    ``x`` (R, n, d) or (1, n, d) if all problems share it, ``y`` (R, n), ``weight`` (R, n) or None.
    """

    _loops: tuple[Any, Any] = (_steps, _bends)
    """Those of :meth:`steps` and :meth:`bends`."""

    def __init__(
        self, model: Model, x: Array, y: Array, weight: Array | None, threads: int
    ) -> None:
        self.model, self.threads = model, max(1, threads)
        self.x, self.y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        self.weight = np.empty((0, 0)) if weight is None else np.ascontiguousarray(weight)
        self.arguments: Any = self._prepared()

    def _prepared(self) -> Any:
        """The arguments of the loops that are the same for all vectors."""
        model, at = self.model, self.model.places
        return (
            np.array(at.row, dtype=np.int64),
            np.array(at.feature, dtype=np.int64),
            np.array(at.scale, dtype=np.float64),
            at.level,
            np.array(model.structure.direct, dtype=np.int64),
            model.slots,
            len(model.expressions[0]),
            model.gate.divides,
            model.exponential,
            *native_heads(model),
        )

    def steps(
        self, theta: Array, which: NDArray[np.int64], second: bool
    ) -> tuple[Array, Array, Array, Array]:
        """Cost (A,), gradient (A, p), Gram or (``second``) Hessian (A, p, p), Gram diagonal."""
        size = theta.shape[1]
        out = (
            np.empty(len(theta)),
            np.empty_like(theta),
            np.empty((len(theta), size, size)),
            np.empty_like(theta),
        )
        shaped, given = self._shaped(theta), self._given(size)
        steps = self._loops[0]
        in_parts(
            self.threads,
            len(theta),
            lambda part: steps(
                shaped[part], which[part], self.x, self.y, self.weight, *given, second,
                *(array[part] for array in out),
            ),
        )  # fmt: skip
        return out

    def bends(self, theta: Array, velocity: Array, which: NDArray[np.int64]) -> Array:
        """Jᵀ f_vv (A, p) for velocities (A, p)."""
        out = np.empty_like(theta)
        shaped, given = self._shaped(theta), self._given(theta.shape[1])
        speeds = self._shaped(np.ascontiguousarray(velocity))
        bends = self._loops[1]
        in_parts(
            self.threads,
            len(theta),
            lambda part: bends(
                shaped[part], speeds[part], which[part], self.x, self.weight, *given, out[part]
            ),
        )
        return out

    def _shaped(self, vectors: Array) -> Array:
        """Vectors (A, p) as the loops take them: (A, k, per_atom)."""
        return vectors.reshape(len(vectors), -1, self.model.per_atom)

    def _given(self, size: int) -> Any:
        """The arguments of the loops between data and results, for vectors of this size."""
        return self.arguments


def in_parts(threads: int, problems: int, work: Callable[[slice], None]) -> None:
    """Contiguous parts to threads; the kernels release the interpreter's lock."""
    parts = min(threads, problems)
    if parts <= 1:
        work(slice(0, problems))
        return
    edges = np.linspace(0, problems, parts + 1).astype(int)
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, (slice(a, b) for a, b in pairwise(edges))))
