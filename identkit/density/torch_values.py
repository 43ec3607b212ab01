"""One half of a density on a chunk of samples, in torch: weights, log V and their derivatives.

The names are those of :mod:`identkit.density.kernel`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from identkit.fit.printing import function_of
from identkit.fit.routed_kernel import _selected
from identkit.fit.torch_kernel import torch_functions

if TYPE_CHECKING:
    from identkit.density.half import Half
    from identkit.density.model import DensityModel, Rows

Tensor = torch.Tensor


class Values(NamedTuple):
    """Of one half on a chunk of n samples, lists of (A, k, n) each but where said.

    ``score``: ψ, ψ_t, ψ_tu; ``gate``: λ and κ; ``within`` w̃ (A, k, n); ``heads`` those of log V.
    ``level``: τ, τ_t, τ_tu (A, G, n) of the groups and their ``share`` (A, G, n), or empty and
    None. ``logs`` (A, k, n) is log of weight times V.
    """

    score: list[Tensor]
    gate: list[Tensor]
    within: Tensor
    heads: list[Tensor]
    level: list[Tensor]
    share: Tensor | None
    logs: Tensor


class Side(NamedTuple):
    """A half: its functions, and where its atoms, rows and groups stand among all.

    ``members`` are the atoms of each of its groups, counted within the half; ``rows`` the rows of
    its atoms, ``outer`` those of its groups' scores. ``most`` atoms are selected, 0 for all, by
    biases that the vector has at ``bias``. ``weight`` is that of the half.
    """

    half: Half
    density: Callable[..., tuple]
    gate: Callable[..., tuple]
    score: Callable[..., tuple] | None
    group: Callable[..., tuple] | None
    atoms: slice
    rows: slice
    members: tuple[slice, ...]
    outer: slice
    most: int
    bias: list[int]
    weight: float

    @property
    def inner(self) -> int:
        """Slots of the score."""
        return 1 if self.half.score is None else len(self.half.score.slots)

    @property
    def width(self) -> int:
        """Rows of an atom."""
        return self.inner + len(self.half.variables)

    def atom(self, i: int) -> slice:
        """The rows of the i-th atom."""
        first = self.rows.start + i * self.width
        return slice(first, first + self.width)

    def of_group(self, members: slice) -> slice:
        """The rows of the atoms of a group."""
        return slice(self.atom(members.start).start, self.atom(members.stop - 1).stop)

    def repeated(self, of_groups: Tensor) -> Tensor:
        """(A, G, n) for each atom of the groups: (A, k, n)."""
        parts = [
            of_groups[:, h, None].expand(-1, part.stop - part.start, -1)
            for h, part in enumerate(self.members)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def values(self, theta: Tensor, rows: Tensor, features: Tensor, columns: Tensor) -> Values:
        """For vectors (A, p), all rows (A, total, n), x and 1 (A or 1, d + 1, n), columns of
        responses (A, r, n)."""
        half, inner = self.half, self.inner
        own = rows[:, self.rows].unflatten(1, (-1, self.width))
        slots = [own[:, :, t] for t in range(self.width)]
        score = [slots[0], torch.ones_like(slots[0]), torch.zeros_like(slots[0])]
        if self.score is not None:
            assert half.score is not None
            score = _called(self.score, slots[:inner], half.score.direct, features)
        logs, *gate = self._gated(theta, score[0])
        logs = torch.cat([logs[:, part].log_softmax(dim=1) for part in self.members], dim=1)
        within = torch.exp(logs)
        level: list[Tensor] = []
        share = None
        if self.group is not None:
            assert half.group_score is not None
            of_groups = rows[:, self.outer].unflatten(1, (len(self.members), -1))
            given = [of_groups[:, :, t] for t in range(of_groups.shape[2])]
            level = _called(self.group, given, half.group_score.direct, features)
            of_level = level[0].log_softmax(dim=1)
            share = torch.exp(of_level)
            logs = logs + self.repeated(of_level)
        answers = [columns[:, e, None] for e in range(columns.shape[1])]
        heads = _called(self.density, slots[inner:], half.structure.direct, features, answers)
        logs = logs + math.log(self.weight) + heads[0]
        return Values(score, gate, within, heads, level, share, logs)

    def _gated(self, theta: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log ω, λ = ω'/ω and κ = ω''/ω of scores (A, k, n); −∞ where an atom is not selected."""
        exponential = self.half.exponential
        gate: list[Tensor] = []
        if self.bias or not exponential:
            shifted = score - score.amax(dim=1, keepdim=True) if exponential else score
            gate = _full(self.gate(shifted), score)
        if exponential:
            logs, first, second = score, torch.ones_like(score), torch.ones_like(score)
        else:
            logs = torch.log(gate[0])
            # of a weight that is 0, or too small to tell, all that λ and κ multiply is 0
            there = gate[0] > 0
            first, second = (torch.where(there, g / gate[0], 0.0) for g in gate[1:])
        if self.most:
            compared = gate[0] + theta[:, self.bias, None] if self.bias else score
            logs = torch.where(_selected(compared, self.most), logs, -torch.inf)
        return logs, first, second


def sides(model: DensityModel, atoms: tuple[int, int], rows: Rows) -> tuple[Side, ...]:
    """The halves of a model, shared atoms first."""
    functions = torch_functions()
    found = []
    for at, half in enumerate((model.shared, model.routed)):
        if half is None:
            continue
        own = np.flatnonzero(rows.half == at)
        groups = np.flatnonzero(rows.group_half == at)
        sizes = [int((rows.group == h).sum()) for h in groups]
        first, level = int(rows.start[own[0]]), int(rows.group_start[groups[0]])
        outer = 0 if half.group_score is None else len(half.group_score.slots) * len(groups)
        selection, bias = half.gate.selection, []
        if selection is not None and selection.bias is not None:
            place = half.layout[selection.bias.name].start
            bias = [half.layout.index(i, place) for i in range(atoms[1])]
        side = Side(
            half,
            function_of(half.given, half.density_heads, functions),
            half.gate_heads(functions),
            half.compiled(half.score, functions),
            half.compiled(half.group_score, functions),
            slice(int(own[0]), int(own[-1]) + 1),
            slice(first, first),
            tuple(slice(a, b) for a, b in pairwise(np.cumsum([0, *sizes]).tolist())),
            slice(level, level + outer),
            0 if selection is None else selection.count,
            bias,
            1.0 if model.shared is None else 0.5,
        )
        found.append(side._replace(rows=slice(first, first + side.width * len(own))))
    return tuple(found)


def _full(heads: tuple, like: Tensor) -> list[Tensor]:
    return [
        v.expand_as(like) if isinstance(v, torch.Tensor) else torch.full_like(like, float(v))
        for v in heads
    ]


def _called(
    call: Callable[..., tuple],
    slots: list[Tensor],
    direct: Sequence[int],
    features: Tensor,
    more: Sequence[Tensor] = (),
) -> list[Tensor]:
    """Heads (A, k, n) of slots, of the inputs that are used directly, and of responses."""
    return _full(call(*slots, *(features[:, None, f] for f in direct), *more), slots[0])
