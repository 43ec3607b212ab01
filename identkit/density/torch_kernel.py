"""The sums of a step of maximum likelihood in torch, on any device: chunks of samples, no autograd.

The formulas, and the names of what stands in them, are those of :mod:`identkit.density.kernel`.
With g_a = r_c·u_a − R_g·v_a its pairs within a group,

    r_c u_a·v_b + v_a·r_c u_b − 2R_g·v_a·v_b = g_a·v_b + v_a·g_b,

are two products of rows, and likewise one level up. How a problem's sums are kept the same,
whatever it is batched with, is said in :mod:`identkit.fit.torch_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from identkit.density.torch_values import Side, Values, sides
from identkit.fit.torch_kernel import LANES, _padded, _products, cut

if TYPE_CHECKING:
    from identkit.density.model import DensityModel

Array = NDArray[np.float64]
Tensor = torch.Tensor


class _Rows(NamedTuple):
    """First derivatives by rows, (A, total, n) each."""

    u: Tensor
    v: Tensor
    g: Tensor


class TorchSums:
    """The sums over fixed data, for any subset of problems (see :mod:`identkit.fit.solver`).

    ``x`` (R or 1, n, d), ``columns`` (R, n, r) of the responses, ``weight`` (R, n) or None.
    """

    def __init__(
        self,
        model: DensityModel,
        atoms: tuple[int, int],
        x: Array,
        columns: Array,
        weight: Array | None,
        device: torch.device,
    ) -> None:
        self.device = device
        missing = -columns.shape[1] % LANES
        self.samples = columns.shape[1] + missing
        if missing and weight is None:
            weight = np.ones(columns.shape[:2])
        inputs = torch.from_numpy(np.ascontiguousarray(x.swapaxes(1, 2)))
        # (R or 1, d + 1, samples): x and 1, along the samples
        features = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
        self.features = _padded(features, missing, device)
        answers = torch.from_numpy(np.ascontiguousarray(columns.swapaxes(1, 2)))
        self.columns = _padded(answers, missing, device)
        self.weight = None
        if weight is not None:
            self.weight = _padded(torch.from_numpy(np.array(weight)), missing, device)
            if missing:
                self.weight[:, -missing:] = 0.0
        rows = model.rows(atoms)
        self.total, self.length = rows.total, model.length(atoms)
        index, row, feature, scale = rows.entries
        d = model.dim
        self.index = torch.from_numpy(index).to(device)
        self.place = torch.from_numpy(row * (d + 1) + feature).to(device)
        self.scale = torch.from_numpy(scale).to(device)
        # products of features, f ≤ q, and which of them belongs to a pair of entries
        low, high = np.triu_indices(d + 1)
        self.products = [torch.from_numpy(side).to(device) for side in (low, high)]
        of_pair = np.zeros((d + 1, d + 1), dtype=np.int64)
        of_pair[low, high] = of_pair[high, low] = np.arange(len(low))
        pairs = (row[:, None] * rows.total + row) * len(low) + of_pair[feature[:, None], feature]
        self.pairs = torch.from_numpy(pairs.reshape(-1)).to(device)
        self.factors = self.scale[:, None] * self.scale
        self.sides = sides(model, atoms, rows)

    # -- one chunk ------------------------------------------------------------------------------

    def _rows(self, theta: Tensor, features: Tensor) -> Tensor:
        """Rows (A, total, n), for theta (A, p) and features (A or 1, d + 1, n).

        Sums of products, one after the other: BLAS would round as theta is aligned.
        """
        d = features.shape[1] - 1
        flat = theta.new_zeros((len(theta), self.total * (d + 1)))
        flat.index_add_(1, self.place, theta[:, self.index] * self.scale)
        of = flat.reshape(len(theta), self.total, d + 1)
        rows = of[:, :, d, None] * features[:, None, d]
        for f in range(d):
            rows = rows + of[:, :, f, None] * features[:, None, f]
        return rows

    def _first(
        self, values: list[Values], posterior: Tensor
    ) -> tuple[_Rows, list[Tensor], list[Tensor | None], list[Tensor]]:
        """Rows; of each half the mass R of its atoms' groups (A, k, n), of its groups
        (A, G, n), and its own (A, 1, n)."""
        parts: list[list[Tensor]] = [[], [], []]
        of_atoms: list[Tensor] = []
        of_groups: list[Tensor | None] = []
        of_halves: list[Tensor] = []
        last: list[Tensor] = []
        for side, found in zip(self.sides, values, strict=True):
            r = posterior[:, side.atoms]
            mass = torch.stack([r[:, part].sum(dim=1) for part in side.members], dim=1)
            spread = side.repeated(mass)
            slopes = [found.gate[0] * found.score[1 + t] for t in range(side.inner)]
            slots = found.heads[1 : 1 + side.width - side.inner]
            u = torch.stack([*slopes, *slots], dim=2)
            nothing = torch.zeros_like(r)
            v = torch.stack(
                [*(found.within * slope for slope in slopes), *(nothing for _ in slots)], dim=2
            )
            g = r[:, :, None] * u - spread[:, :, None] * v
            for rows, more in zip(parts, (u, v, g), strict=True):
                rows.append(more.flatten(1, 2))
            whole = r.sum(dim=1, keepdim=True)
            of_atoms.append(spread)
            of_groups.append(mass if found.level else None)
            of_halves.append(whole)
            if found.share is not None:
                count = (side.outer.stop - side.outer.start) // len(side.members)
                u = torch.stack(found.level[1 : 1 + count], dim=2)
                v = found.share[:, :, None] * u
                last = [u, v, mass[:, :, None] * u - whole[:, :, None] * v]
        for rows, more in zip(parts, last, strict=False):  # rows of groups come behind all atoms
            rows.append(more.flatten(1, 2))
        together = _Rows(*(torch.cat(rows, dim=1) for rows in parts))
        return together, of_atoms, of_groups, of_halves

    def _pairs(
        self, values: list[Values], posterior: Tensor, rows: _Rows, masses: Any, second: bool
    ) -> tuple[Tensor, Tensor]:
        """−∂² log p by rows (A, total, total, n), or what EM leaves of it, and widths of the
        latter (A, total, n)."""
        u, v, g = rows.u, rows.v, rows.g
        of_atoms, of_groups, of_halves = masses
        if second:
            out = g[:, :, None] * g[:, None]
        else:
            out = g.new_zeros((len(g), self.total, self.total, g.shape[-1]))
        widths = torch.zeros_like(g)
        each = zip(self.sides, values, of_atoms, of_groups, of_halves, strict=True)
        for side, found, mass, of_group, whole in each:
            r, inner, width = posterior[:, side.atoms], side.inner, side.width
            own = _own_pairs(side, found, r, mass, rows, second)
            for i in range(r.shape[1]):
                part = side.atom(i)
                out[:, part, part] += own[:, i]
            flat = widths[:, side.rows].unflatten(1, (-1, width))
            ours, theirs = (z[:, side.rows].unflatten(1, (-1, width))[:, :, :inner] for z in (u, v))
            flat[:, :, :inner] = mass[:, :, None] * theirs * (ours - theirs)
            slots = width - inner
            row = 1 + slots + slots * (slots + 1) // 2
            for t in range(slots):
                flat[:, :, inner + t] = r * found.heads[row]
                row += slots - t
            for members in side.members:
                _shared(out, side.of_group(members), rows, mass[:, members.start, None], second)
            if of_group is not None:
                self._of_groups(out, widths, side, found, rows, of_group, whole, second)
        return out, widths

    def _of_groups(
        self, out: Tensor, widths: Tensor, side: Side, found: Values, rows: _Rows,
        mass: Tensor, whole: Tensor, second: bool,
    ) -> None:  # fmt: skip
        """The pairs with rows of groups, into ``out`` and ``widths``."""
        u, v, g = rows.u, rows.v, rows.g
        share, part = found.share, side.outer
        assert share is not None
        count = (part.stop - part.start) // len(side.members)
        widths[:, part] = whole * v[:, part] * (u[:, part] - v[:, part])
        _shared(out, part, rows, whole, second)
        for h, members in enumerate(side.members):
            at = slice(part.start + h * count, part.start + (h + 1) * count)
            if not second:
                out[:, at, at] += whole[:, None] * v[:, at, None] * u[:, None, at]
                continue
            left = mass[:, h] - whole[:, 0] * share[:, h]
            row = 1 + count
            for t in range(count):
                for s in range(t, count):
                    a, b = at.start + t, at.start + s
                    entry = left * (u[:, a] * u[:, b] + found.level[row][:, h])
                    out[:, a, b] -= entry
                    if s > t:
                        out[:, b, a] -= entry
                    row += 1
            rows_of = side.of_group(members)
            mixed = g[:, rows_of, None] * u[:, None, at]
            out[:, rows_of, at] -= mixed
            out[:, at, rows_of] -= mixed.transpose(1, 2)
        if second:
            mixed = g[:, side.rows, None] * v[:, None, part]
            out[:, side.rows, part] += mixed
            out[:, part, side.rows] += mixed.transpose(1, 2)

    # -- sums over all samples ------------------------------------------------------------------

    def steps(
        self, theta: Tensor, which: Tensor, second: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """−log-likelihood (A,), gradient (A, p), first or second matrix (A, p, p), diagonal."""
        batch, size = theta.shape
        cost, gradient = theta.new_zeros(batch), torch.zeros_like(theta)
        matrix, diagonal = theta.new_zeros((batch, size, size)), torch.zeros_like(theta)
        numbers = max(self.total**2, len(self.products[0]))
        groups, parts = cut(batch, self.samples, numbers, self.device)
        for group in groups:
            found = self._sums(theta[group], which[group], parts, second)
            cost[group], slopes, squares, sums = found
            gradient[group] = self._added(slopes.flatten(1)[:, self.place] * self.scale)
            diagonal[group] = self._added(squares.flatten(1)[:, self.place] * self.scale**2)
            pairs = sums.flatten(1)[:, self.pairs].unflatten(1, self.factors.shape) * self.factors
            matrix[group] = self._added(self._added(pairs).transpose(1, 2))
        return cost, gradient, matrix, diagonal

    def _sums(
        self, theta: Tensor, which: Tensor, parts: list[slice], second: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cost, and sums by rows and features: slopes, squares (A, total, d + 1), and pairs
        (A, total², products)."""
        batch, d = len(theta), self.features.shape[1] - 1
        low, high = self.products
        cost = theta.new_zeros(batch)
        slopes, squares = (theta.new_zeros((batch, self.total, d + 1)) for _ in range(2))
        sums = theta.new_zeros((batch, self.total**2, len(low)))
        for part in parts:
            features = self.features[:, :, part]
            features = features.contiguous() if len(features) == 1 else features[which]
            weight = None if self.weight is None else self.weight[which, None, part]
            rows = self._rows(theta, features)
            columns = self.columns[which, :, part]
            values = [s.values(theta, rows, features, columns) for s in self.sides]
            logs = torch.cat([found.logs for found in values], dim=1)
            value, posterior = logs.logsumexp(dim=1), logs.softmax(dim=1)
            first, *masses = self._first(values, posterior)
            pairs, widths = self._pairs(values, posterior, first, masses, second)
            slope = first.g
            if weight is not None:
                value, slope = weight[:, 0] * value, weight * slope
                pairs, widths = pairs.mul_(weight[:, None]), widths.mul_(weight)
            cost -= value.sum(dim=1)
            slopes -= _products(slope, features)
            squares += _products(widths, features.square())
            sums += _products(pairs.flatten(1, 2), features[:, low] * features[:, high])
        return cost, slopes, squares, sums

    def _added(self, entries: Tensor) -> Tensor:
        """Entries (A, E, …) where the vector has them, (A, p, …)."""
        shape = (len(entries), self.length, *entries.shape[2:])
        return entries.new_zeros(shape).index_add_(1, self.index, entries)


def _own_pairs(
    side: Side, found: Values, r: Tensor, mass: Tensor, rows: _Rows, second: bool
) -> Tensor:
    """What the pairs of rows of one atom have beside products of g and v, (A, k, w, w, n)."""
    inner, width = side.inner, side.width
    own = r.new_zeros((*r.shape[:2], width, width, r.shape[-1]))
    u, v = (z[:, side.rows].unflatten(1, (-1, width)) for z in (rows.u, rows.v))
    first, bent = found.gate
    left = r - mass * found.within
    row = 1 + inner
    for t in range(inner):
        for s in range(t, inner):
            if second:
                turn = bent * found.score[1 + t] * found.score[1 + s] + first * found.score[row]
                entry = -left * turn
            else:
                entry = mass * v[:, :, t] * u[:, :, s]
            own[:, :, t, s] = own[:, :, s, t] = entry
            row += 1
        for s in range(inner, width) if second else ():
            own[:, :, t, s] = own[:, :, s, t] = -r * u[:, :, t] * u[:, :, s]
    slots = width - inner
    row, more = 1 + slots, slots * (slots + 1) // 2
    for t in range(inner, width):
        for s in range(t, width):
            if second:
                entry = -r * (found.heads[row] + u[:, :, t] * u[:, :, s])
            else:
                entry = r * found.heads[row + more]
            own[:, :, t, s] = own[:, :, s, t] = entry
            row += 1
    return own


def _shared(out: Tensor, part: slice, rows: _Rows, mass: Tensor, second: bool) -> None:
    """What pairs of rows have because their weights add up to 1, for a mass (A, 1, n)."""
    v = rows.v[:, part]
    if second:
        mixed = rows.g[:, part, None] * v[:, None]
        out[:, part, part] += mixed
        out[:, part, part] += mixed.transpose(1, 2)
    else:
        out[:, part, part] -= mass[:, None] * v[:, :, None] * v[:, None]
