"""The sums of a step in torch, on any device, for any objective: chunks of samples, no Jacobian.

For least squares the same sums as :mod:`identkit.fit.cpu_kernel`, batched over problems; see there
and :mod:`identkit.fit.structure` for the notation. Nothing here waits for the device.

On the CPU, with one thread of torch, the sums of a problem are bitwise the same whatever it is
batched with. ATen's loops round exp, tanh, erf and sums over atoms otherwise in a remainder that
does not fill a vector than in full vectors, and BLAS otherwise for other alignments and batches.
So samples are padded, with weight 0, to a multiple of :data:`LANES`: every row of every array is
then a whole number of vectors, wherever in the batch it lies. Parts of the samples are cut
without regard to the batch, and sums over samples are one product per problem, each of the same
shape and alignment. On a GPU the order of the sums depends on the batch.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from identkit.fit.objective import objective_of
from identkit.heads import HEADS

if TYPE_CHECKING:
    from identkit.fit.model import Heads, Model

CHUNK_BYTES = {"cpu": 2**20, "cuda": 2**28}
"""Size of one array over (problems, rows, samples): the cache of a core, a part of a GPU."""
LANES = 64
"""A multiple of what any of ATen's CPU loops takes at a time: four vectors of 8 doubles (AVX-512)
at most, and of the 64 bytes to which torch aligns memory. Part of the samples at least."""
MOST_SAMPLES = 16384
"""In one part."""

Tensor = torch.Tensor


def torch_functions() -> dict[str, Any]:
    """The grammar's functions for torch tensors."""
    return {
        **{h.name: getattr(torch, h.name) for h in HEADS},
        "sqrt": torch.sqrt,
        "Root": torch.sqrt,
        "InverseRoot": lambda z: torch.where(z > 0, torch.rsqrt(z), torch.zeros_like(z)),
        "Power": torch.pow,
        "LogPower": _log_power,
        "acos": torch.acos,
        "Logistic": torch.sigmoid,
        "Softplus": _softplus,
        "Step": lambda z: (z > 0).to(z.dtype),
        "Abs": torch.abs,
        "sign": torch.sign,
    }


def _log_power(z: Any, b: Any, n: int) -> Any:
    found = torch.pow(z, b) * torch.log(z) ** n
    return torch.where(z == 0, torch.zeros_like(found), found)


def _softplus(z: Tensor) -> Tensor:
    # torch's own replaces it by z above 20, an error of 2e-9
    return torch.clamp(z, min=0.0) + torch.log1p(torch.exp(-torch.abs(z)))


def cut(
    batch: int, samples: int, numbers: int, device: torch.device
) -> tuple[list[slice], list[slice]]:
    """Groups of the problems, and parts of the samples; these do not depend on ``batch``.

    ``numbers`` is what the largest array holds for one sample of one problem.
    """
    room = CHUNK_BYTES["cuda" if device.type == "cuda" else "cpu"] // (8 * numbers)
    length = min(samples, max(LANES, min(MOST_SAMPLES, room) // LANES * LANES))
    size = max(1, room // length)
    return (
        [slice(a, min(batch, a + size)) for a in range(0, batch, size)],
        [slice(a, min(samples, a + length)) for a in range(0, samples, length)],
    )


class _Values(NamedTuple):
    """Values and first derivatives on a chunk of n samples.

    ``mean`` (A, n) is f and ``first`` (A, k, 1 + slots, n) its derivatives D_a. Lists of (A, k, n):
    ``gate`` holds ω, ω', ω'' over the normaliser and ``expert`` the heads of h. ``value`` (A, k, n)
    is what a change of the gate moves: h_i, or h_i − f under a normalised gate, which alone has
    ``shares`` (A, k, n), ω_i'/Σω.
    """

    mean: Tensor
    first: Tensor
    gate: list[Tensor]
    expert: list[Tensor]
    value: Tensor
    shares: Tensor | None


class TorchSums:
    """The sums over fixed data, for any subset of problems.

    ``x`` (R, n, d) or (1, n, d) if all problems share it, ``y`` (R, n), ``weight`` (R, n) or None.
    """

    def __init__(
        self, model: Model, x: Tensor, y: Tensor, weight: Tensor | None, device: torch.device
    ) -> None:
        self.model, self.device = model, device
        self.objective = objective_of(model.gate)
        self.heads: Heads = model.heads(torch_functions())
        # (R or 1, d + 1, samples): x and 1, along the samples
        inputs = x.transpose(1, 2)
        features = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
        missing = -y.shape[1] % LANES
        if missing and weight is None:
            weight = torch.ones_like(y)
        self.features, self.y = _padded(features, missing, device), _padded(y, missing, device)
        self.weight = None if weight is None else _padded(weight, missing, device)
        if self.weight is not None and missing:
            self.weight[:, -missing:] = 0.0
        self.places, self.width = model.places, max(model.places.row) + 1
        # row and feature of each parameter of one atom, and its factor
        self.row = torch.tensor(self.places.row, device=device)
        self.feature = torch.tensor(self.places.feature, device=device)
        self.scale = torch.tensor(self.places.scale, dtype=torch.float64).to(device)

    # -- one chunk ------------------------------------------------------------------------------

    def _rows(self, theta: Tensor, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores (A, k, n) and slots, for theta (A, k, per_atom) and features (A or 1, d + 1, n).

        Sums of products, one after the other: BLAS would round as theta is aligned.
        """
        score = theta[:, :, self.places.level, None]
        zero = theta.new_zeros((*theta.shape[:2], features.shape[-1]))
        rows = [score, *[zero] * self.model.slots]
        for v, (row, f, scale) in enumerate(zip(*self.places[:3], strict=True)):
            if v != self.places.level:
                c = theta[:, :, v, None] * scale
                rows[row] = rows[row] + (c if f == self.model.dim else c * features[:, None, f])
        return rows[0], rows[1:]

    def _values(self, theta: Tensor, features: Tensor) -> _Values:
        score, slots = self._rows(theta, features)
        if self.model.exponential:
            score = score - score.amax(dim=1, keepdim=True)

        def full(values: tuple) -> list[Tensor]:
            return [
                v.expand_as(score)
                if isinstance(v, torch.Tensor)
                else torch.full_like(score, float(v))
                for v in values
            ]

        direct = [features[:, None, f] for f in self.model.structure.direct]
        gate, expert = full(self.heads.gate(score)), full(self.heads.expert(*slots, *direct))
        value = expert[0]
        shares = None
        if self.model.gate.divides:
            total = gate[0].sum(dim=1, keepdim=True)
            gate = [g / total for g in gate]
            mean = (gate[0] * value).sum(dim=1)
            value = value - mean[:, None]
            shares = gate[1]
        else:
            mean = (gate[0] * value).sum(dim=1)
        m = self.model.slots
        first = torch.stack([gate[1] * value, *(gate[0] * expert[1 + t] for t in range(m))], dim=2)
        return _Values(mean, first, gate, expert, value, shares)

    def _pairs(self, values: _Values, slope: Tensor) -> Tensor:
        """Σ-ready w·ρ'(r)·∂²f/∂a∂b, (A, rows, rows, n)."""
        gate, expert, first = values.gate, values.expert, values.first
        batch, atoms, width, n = first.shape
        m = self.model.slots
        own = torch.zeros((batch, atoms, width, width, n), dtype=first.dtype, device=first.device)
        own[:, :, 0, 0] = gate[2] * values.value
        row = 1 + m
        for t in range(m):
            own[:, :, 0, 1 + t] = own[:, :, 1 + t, 0] = gate[1] * expert[1 + t]
            for u in range(t, m):
                own[:, :, 1 + t, 1 + u] = own[:, :, 1 + u, 1 + t] = gate[0] * expert[row]
                row += 1
        total = atoms * width
        out = torch.zeros((batch, total, total, n), dtype=first.dtype, device=first.device)
        for i in range(atoms):
            part = slice(i * width, (i + 1) * width)
            out[:, part, part] = own[:, i]
        if values.shares is not None:
            flat = first.reshape(batch, total, n)
            for i in range(atoms):
                mixed = values.shares[:, i, None] * flat
                out[:, i * width] -= mixed
                out[:, :, i * width] -= mixed
        return out * slope[:, None, None]

    # -- sums over all samples ------------------------------------------------------------------

    def _data(self, which: Tensor, part: slice) -> tuple[Tensor, Tensor, Tensor | None]:
        rows = self.features[:, :, part]
        features = rows.contiguous() if len(rows) == 1 else rows[which]
        weight = None if self.weight is None else self.weight[which, part]
        return features, self.y[which, part], weight

    def steps(
        self, theta: Tensor, which: Tensor, second: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cost (A,), gradient (A, p), Gram or (``second``) Hessian (A, p, p), Gram diagonal."""
        batch, d = len(theta), self.model.dim
        shaped = self._shaped(theta)
        atoms = shaped.shape[1]
        total = atoms * self.width
        new = {"dtype": theta.dtype, "device": theta.device}
        cost = torch.zeros(batch, **new)
        slopes = torch.zeros((batch, total, d + 1), **new)
        squares = torch.zeros((batch, total, d + 1), **new)
        sums = torch.zeros((batch, total * total, (d + 1) ** 2), **new)
        groups, parts = cut(batch, self.y.shape[1], total**2, self.device)
        for group, part in itertools.product(groups, parts):
            features, y, weight = self._data(which[group], part)
            values = self._values(shaped[group], features)
            residual = values.mean - y
            slope = self.objective.slope(residual, weight)
            curvature = self.objective.curvature(residual, weight)
            cost[group] += self.objective.cost(residual, weight)
            first = values.first.flatten(1, 2)
            slopes[group] += _products(first * slope[:, None], features)
            scaled = first if curvature is None else first * curvature[:, None]
            pairs = scaled[:, :, None] * first[:, None]
            if second:
                diagonal = torch.diagonal(pairs, dim1=1, dim2=2).transpose(1, 2)
                squares[group] += _products(diagonal, features.square())
                pairs = pairs + self._pairs(values, slope)
            crossed = (features[:, :, None] * features[:, None]).flatten(1, 2)
            sums[group] += _products(pairs.flatten(1, 2), crossed)
        rows, feature, scale = self._gather(atoms)
        gram = sums.reshape(batch, total, total, d + 1, d + 1)[
            :, rows[:, None], rows[None, :], feature[:, None], feature[None, :]
        ] * (scale[:, None] * scale[None, :])
        gradient = slopes[:, rows, feature] * scale
        width = None
        if second:
            width = squares[:, rows, feature] * scale.square()
        gradient, gram, width = self._tied(gradient, gram, width)
        if width is None:
            width = torch.diagonal(gram, dim1=1, dim2=2).clone()
        return cost, gradient, gram, width

    def bends(self, theta: Tensor, velocity: Tensor, which: Tensor) -> Tensor:
        """Jᵀ diag(w·ρ'') f_vv (A, p) for velocities (A, p)."""
        batch = theta.shape[0]
        shaped, speeds = self._shaped(theta), self._shaped(velocity)
        atoms = shaped.shape[1]
        total = atoms * self.width
        slopes = torch.zeros(
            (batch, total, self.model.dim + 1), dtype=theta.dtype, device=theta.device
        )
        groups, parts = cut(batch, self.y.shape[1], total * (self.model.dim + 2), self.device)
        for group, part in itertools.product(groups, parts):
            features, y, weight = self._data(which[group], part)
            values = self._values(shaped[group], features)
            bend = self._bend(values, speeds[group], features)
            curvature = self.objective.curvature(values.mean - y, weight)
            if curvature is not None:
                bend = bend * curvature
            slopes[group] += _products(values.first.flatten(1, 2) * bend[:, None], features)
        rows, feature, scale = self._gather(atoms)
        return self._tied(slopes[:, rows, feature] * scale)[0]

    def _bend(self, values: Any, speeds: Tensor, features: Tensor) -> Tensor:
        """f_vv (A, n), the second derivative of f along the velocity."""
        m = self.model.slots
        gate, expert, first = values.gate, values.expert, values.first
        score, slots = self._rows(speeds, features)
        bend = gate[2] * values.value * score.square()
        for t in range(m):
            bend = bend + 2.0 * gate[1] * score * expert[1 + t] * slots[t]
        row = 1 + m
        for t in range(m):
            for u in range(t, m):
                factor = 1.0 if t == u else 2.0
                bend = bend + factor * gate[0] * expert[row] * slots[t] * slots[u]
                row += 1
        total = bend.sum(dim=1)
        if values.shares is not None:
            moving = torch.stack([score, *slots], dim=2)
            along = (first * moving).sum(dim=(1, 2))
            speed = (values.shares * score).sum(dim=1)
            total = total - 2.0 * speed * along
        return total

    # -- units ----------------------------------------------------------------------------------

    def _shaped(self, vector: Tensor) -> Tensor:
        """(A, k, per_atom) of vectors (A, p)."""
        return vector.reshape(len(vector), -1, self.model.per_atom)

    def _tied(
        self, gradient: Tensor, gram: Tensor | None = None, width: Tensor | None = None
    ) -> tuple[Any, Any, Any]:
        """Over the vector, from what is over the numbers of all units: here the same."""
        return gradient, gram, width

    def _gather(self, atoms: int) -> tuple[Tensor, Tensor, Tensor]:
        offset = torch.arange(atoms, device=self.device)[:, None] * self.width
        rows = (offset + self.row[None]).reshape(-1)
        return rows, self.feature.repeat(atoms), self.scale.repeat(atoms)


def _padded(rows: Tensor, missing: int, device: torch.device) -> Tensor:
    """A copy, aligned as torch aligns, with the last sample ``missing`` times more."""
    return torch.cat([rows, rows[..., -1:].expand(*rows.shape[:-1], missing)], dim=-1).to(device)


def _products(left: Tensor, right: Tensor) -> Tensor:
    """Sums over samples (A, m, q) of products, for (A, m, n) and (A or 1, q, n)."""
    if left.device.type == "cuda":
        return torch.matmul(left, right.transpose(1, 2))
    return torch.stack(
        [torch.mm(a, b.T) for a, b in zip(left, right.expand(len(left), -1, -1), strict=True)]
    )
