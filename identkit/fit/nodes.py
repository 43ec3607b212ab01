"""Compression of a data set with one input to a few Gauss nodes per cell.

In a cell of [min x, max x] the squares f² and the products y·f are integrated against the points
there. The Gauss rule of the *empirical* measure of the cell, ORDER nodes t_m with weights w_m, is
exact for f² up to degree 2·ORDER - 1, and with ỹ_m the values at the nodes of the polynomial of
degree ORDER - 1 that is nearest to the y there, Σ y·f is exact up to degree ORDER - 1:

    Σ_i (y_i - f(x_i))² = const + Σ_m w_m (ỹ_m - f(t_m))²  up to what f deviates from polynomials.

So the compressed problem is a weighted fit of the same model to far fewer points; its minimum is
then polished on all data. Recurrence coefficients come from Stieltjes' procedure on the points,
nodes and weights from the Jacobi matrix (Golub and Welsch, Math. Comp. 23, 1969).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

ORDER = 8
"""Nodes per cell."""
POINTS_PER_NODE = 4
"""Data points per node from which compression pays for itself (benchmarks/README.md)."""
MOST_CELLS = 128
"""1024 nodes: on [-3, 3] with slopes up to 10 the cost is then right to rounding."""


def cell_count(samples: int) -> int:
    """How many cells to use for this many samples; 0 where compression does not pay."""
    cells = min(MOST_CELLS, samples // (ORDER * POINTS_PER_NODE))
    return cells if cells >= 16 else 0


def compress(x: Array, y: Array, weight: Array | None, cells: int) -> tuple[Array, Array, Array]:
    """Nodes, values and weights, each (R, cells·ORDER), for x, y and weight of shape (R, n).

    Cells with fewer distinct points than nodes keep fewer; the rest have weight 0.
    """
    problems = len(y)
    diagonal = np.zeros((problems, cells, ORDER))
    off = np.zeros((problems, cells, ORDER))
    target = np.zeros((problems, cells, ORDER))
    mass = np.zeros((problems, cells))
    rank = np.zeros((problems, cells), dtype=np.int64)
    low, high = x.min(axis=1), x.max(axis=1)
    width = np.where(high > low, (high - low) / cells, 1.0)
    empty = np.empty((0, 0)) if weight is None else weight
    _recurrences(x, y, empty, low, width, diagonal, off, target, mass, rank)
    jacobi = np.zeros((problems, cells, ORDER, ORDER))
    index = np.arange(ORDER)
    jacobi[..., index, index] = diagonal
    jacobi[..., index[1:], index[:-1]] = off[..., 1:]
    # beyond the rank: nodes far from all others and uncoupled, told apart by their weight 0
    spare = index >= rank[..., None]
    jacobi[..., index, index] = np.where(spare, 2.0 + index, diagonal)
    nodes, vectors = np.linalg.eigh(jacobi)
    weights = mass[..., None] * vectors[..., 0, :] ** 2
    # the orthonormal polynomials at a node are its eigenvector over the first entry
    first = vectors[..., 0, :]
    safe = np.where(np.abs(first) > 1e-150, first, np.inf)
    scale = np.sqrt(np.where(mass > 0, mass, 1.0))[..., None]
    values = np.einsum("rcj,rcjm->rcm", target, vectors) / (safe * scale)
    used = np.isfinite(safe) & (nodes < 1.5) & (mass[..., None] > 0)
    middle = low[:, None] + (np.arange(cells) + 0.5) * width[:, None]
    points = middle[..., None] + np.where(used, nodes, 0.0) * (0.5 * width[:, None, None])
    shape = (problems, cells * ORDER)
    return (
        points.reshape(shape),
        np.where(used, values, 0.0).reshape(shape),
        np.where(used, weights, 0.0).reshape(shape),
    )


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
def _recurrences(x, y, weight, low, width, diagonal, off, target, mass, rank):
    """Stieltjes' procedure in every cell, with the local variable t in [-1, 1].

    ``diagonal``, ``off``: the Jacobi matrix; ``target``: Σ w·y·p_j, p_j orthonormal.
    """
    problems, n = y.shape
    cells = diagonal.shape[1]
    order = diagonal.shape[2]
    t = np.empty(n)
    values = np.empty(n)
    weights = np.empty(n)
    before, here = np.empty(n), np.empty(n)
    start = np.empty(cells + 1, dtype=np.int64)
    home = np.empty(n, dtype=np.int64)
    for r in range(problems):
        points = x[r if x.shape[0] > 1 else 0]
        start[:] = 0
        inverse = 1.0 / width[r]
        for j in range(n):
            c = min(cells - 1, max(0, int((points[j] - low[r]) * inverse)))
            home[j] = c
            start[c + 1] += 1
        for c in range(cells):
            start[c + 1] += start[c]
        fill = start[:-1].copy()
        for j in range(n):
            c = home[j]
            at = fill[c]
            fill[c] += 1
            t[at] = 2.0 * ((points[j] - low[r]) * inverse - c) - 1.0
            values[at] = y[r, j]
            weights[at] = weight[r, j] if weight.shape[0] > 0 else 1.0
        for c in range(cells):
            a, b = start[c], start[c + 1]
            total = 0.0
            for j in range(a, b):
                total += weights[j]
            mass[r, c] = total
            if total <= 0.0:
                continue
            scale = 1.0 / np.sqrt(total)
            for j in range(a, b):
                before[j] = 0.0
                here[j] = scale
            coupling = 0.0
            for k in range(order):
                centre = 0.0
                against = 0.0
                for j in range(a, b):
                    p = weights[j] * here[j]
                    centre += p * here[j] * t[j]
                    against += p * values[j]
                diagonal[r, c, k] = centre
                target[r, c, k] = against
                rank[r, c] = k + 1
                if k + 1 == order or k + 1 >= b - a:
                    break
                norm = 0.0
                for j in range(a, b):
                    p = (t[j] - centre) * here[j] - coupling * before[j]
                    before[j] = here[j]
                    here[j] = p
                    norm += weights[j] * p * p
                # fewer distinct points than nodes: the next polynomial vanishes at all of them
                if norm <= 1e-20:
                    break
                coupling = np.sqrt(norm)
                off[r, c, k + 1] = coupling
                for j in range(a, b):
                    here[j] /= coupling
