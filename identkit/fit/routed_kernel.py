"""The sums of a step under any gate: scores with slots of their own, groups, selections, in torch.

With ψ the score in its slots v_t, what :mod:`identkit.fit.torch_kernel` has for β1ᵀx + β0 holds
with one row for each v_t: ∂f/∂v_t = ∂f/∂s·ψ_t and ∂²f/∂v_t∂v_u = ∂²f/∂s²·ψ_tψ_u + ∂f/∂s·ψ_tu. Under
two levels, with p_i the weight within a group, H its mean, P_g the weight of a group with score τ,

    ∂f/∂s_i = P p_i (h_i − H),   ∂f/∂h_i = P p_i,   ∂f/∂τ_g = P_g (H_g − f),

and a further derivative in s_j of the same group adds −p_j times the first one, in τ_g for the
group itself 1 and for all −P_g times. The rows of a group's score are those of its first atom; the
others have zeros. A selection is constant but for jumps, so that it has no derivative.

What units share is added up at the end. The diagonal of JᵀJ of what k units share is then at most k
times the sum of theirs (Cauchy and Schwarz), which stands for it where it scales a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from identkit.fit.torch_kernel import TorchSums

if TYPE_CHECKING:
    from identkit.fit.model import Model
    from identkit.fit.structure import Structure

Tensor = torch.Tensor


class _Outer(NamedTuple):
    """Of the groups: weights P, and H − f (A, g, n); ``heads`` of their scores (A, g, n) each."""

    weight: Tensor
    value: Tensor
    heads: list[Tensor]


class _Values(NamedTuple):
    """As in the kernel of affine scores, with the heads ψ, ψ_t, ψ_tu of the score.

    ``value`` is h − H within groups, ``shares`` are relative to the group, ``gate`` to all.
    """

    mean: Tensor
    first: Tensor
    gate: list[Tensor]
    expert: list[Tensor]
    value: Tensor
    shares: Tensor | None
    score: list[Tensor]
    outer: _Outer | None


class RoutedSums(TorchSums):
    """The sums over fixed data, as :class:`~identkit.fit.torch_kernel.TorchSums`."""

    def __init__(
        self, model: Model, x: Tensor, y: Tensor, weight: Tensor | None, device: torch.device
    ) -> None:
        super().__init__(model, x, y, weight, device)
        assert model.score is not None
        self.inner: Structure = model.score
        self.outer = model.group_score
        self.score_slots = len(self.inner.slots)
        self.group_slots = 0 if self.outer is None else len(self.outer.slots)
        self.width = self.score_slots + model.slots + self.group_slots
        layout = model.layout
        self.members = layout.members
        self.leaders = [part.start for part in layout.members]
        bias = None if model.gate.selection is None else model.gate.selection.bias
        self.bias = None if bias is None else layout[bias.name].start

    # -- one chunk ------------------------------------------------------------------------------

    def _slotted(self, units: Tensor, features: Tensor) -> list[Tensor]:
        """Every row (A, k, n): sums of products, one after the other."""
        zero = units.new_zeros((*units.shape[:2], features.shape[-1]))
        rows = [zero] * self.width
        for v, (row, f, scale) in enumerate(zip(*self.places[:3], strict=True)):
            c = units[:, :, v, None] * scale
            rows[row] = rows[row] + (c if f == self.model.dim else c * features[:, None, f])
        return rows

    def _of(self, units: Tensor, features: Tensor) -> tuple[list[Any], list[Any], list[Any]]:
        """The rows of the score, of the expert, and of the group's score, at the leaders."""
        rows = self._slotted(units, features)
        a, b = self.score_slots, self.score_slots + self.model.slots
        return rows[:a], rows[a:b], [row[:, self.leaders] for row in rows[b:]]

    def _full(self, heads: tuple, like: Tensor) -> list[Tensor]:
        return [
            v.expand_as(like) if isinstance(v, torch.Tensor) else torch.full_like(like, float(v))
            for v in heads
        ]

    def _called(
        self, call: Callable[..., tuple], found: Structure, slots: list[Tensor], features: Tensor
    ) -> list[Tensor]:
        direct = [features[:, None, f] for f in found.direct]
        return self._full(call(*slots, *direct), slots[0])

    def _values(self, theta: Tensor, features: Tensor) -> Any:
        model, heads = self.model, self.heads
        assert heads.score is not None
        inner, slots, outer = self._of(theta, features)
        psi = self._called(heads.score, self.inner, inner, features)
        expert = self._called(heads.expert, model.structure, slots, features)
        score = self._raised(psi[0])
        gate = self._full(heads.gate(score), score)
        selection = model.gate.selection
        if selection is not None:
            compared = score if self.bias is None else gate[0] + theta[:, :, self.bias, None]
            chosen = _selected(compared, selection.count).to(score.dtype)
            if selection.divided_by == "all":
                expert = [e * chosen for e in expert]
            else:
                gate = [g * chosen for g in gate]
        value, shares, groups = expert[0], None, None
        if model.gate.divides:
            total = self._over_groups(gate[0])
            gate = [g / total for g in gate]
            mean = self._over_groups(gate[0] * value)
            value = value - mean
            shares = gate[1]
            if self.members:
                assert heads.group is not None
                assert self.outer is not None
                tau = self._called(heads.group, self.outer, outer, features)
                weight = torch.exp(tau[0] - tau[0].amax(dim=1, keepdim=True))
                weight = weight / weight.sum(dim=1, keepdim=True)
                means = mean[:, self.leaders]
                f = (weight * means).sum(dim=1)
                groups = _Outer(weight, means - f[:, None], tau)
                of_atoms = self._repeated(weight)
                gate = [g * of_atoms for g in gate]
            else:
                f = mean[:, 0]
        else:
            f = (gate[0] * value).sum(dim=1)
        rows = [gate[1] * value * psi[1 + t] for t in range(self.score_slots)]
        rows += [gate[0] * expert[1 + t] for t in range(model.slots)]
        for t in range(self.group_slots):
            assert groups is not None
            row = torch.zeros_like(value)
            row[:, self.leaders] = groups.weight * groups.value * groups.heads[1 + t]
            rows.append(row)
        return _Values(f, torch.stack(rows, dim=2), gate, expert, value, shares, psi, groups)

    def _raised(self, score: Tensor) -> Tensor:
        """Scores less their maximum where a common factor of weights cancels."""
        if not self.model.exponential:
            return score
        if not self.members:
            return score - score.amax(dim=1, keepdim=True)
        return torch.cat(
            [score[:, part] - score[:, part].amax(dim=1, keepdim=True) for part in self.members],
            dim=1,
        )

    def _over_groups(self, terms: Tensor) -> Tensor:
        """Sums over the atoms of each group, or of all, for each atom: (A, k, n)."""
        parts = self.members or (slice(0, terms.shape[1]),)
        sums = [terms[:, part].sum(dim=1, keepdim=True).expand_as(terms[:, part]) for part in parts]
        return torch.cat(sums, dim=1)

    def _repeated(self, of_groups: Tensor) -> Tensor:
        """(A, g, n) for each atom of the groups: (A, k, n)."""
        sizes = torch.tensor(self.model.groups, device=of_groups.device)
        return of_groups.repeat_interleave(sizes, dim=1)

    def _pairs(self, values: Any, slope: Tensor) -> Tensor:
        gate, expert, first, psi = values.gate, values.expert, values.first, values.score
        batch, atoms, width, n = first.shape
        a, m = self.score_slots, self.model.slots
        own = torch.zeros((batch, atoms, width, width, n), dtype=first.dtype, device=first.device)
        row = 1 + a
        for t in range(a):
            for u in range(t, a):
                own[:, :, t, u] = own[:, :, u, t] = values.value * (
                    gate[2] * psi[1 + t] * psi[1 + u] + gate[1] * psi[row]
                )
                row += 1
            for v in range(m):
                cross = gate[1] * psi[1 + t] * expert[1 + v]
                own[:, :, t, a + v] = own[:, :, a + v, t] = cross
        row = 1 + m
        for v in range(m):
            for w in range(v, m):
                own[:, :, a + v, a + w] = own[:, :, a + w, a + v] = gate[0] * expert[row]
                row += 1
        if values.outer is not None:
            self._of_groups(own, values.outer)
        total = atoms * width
        out = torch.zeros((batch, total, total, n), dtype=first.dtype, device=first.device)
        for i in range(atoms):
            part = slice(i * width, (i + 1) * width)
            out[:, part, part] = own[:, i]
        if values.shares is None:
            return out * slope[:, None, None]
        flat = first.reshape(batch, total, n)

        def share(row: int, factor: Tensor, columns: list[int] | slice, sign: float) -> None:
            mixed = sign * factor[:, None] * flat[:, columns]
            out[:, row, columns] += mixed
            out[:, columns, row] += mixed

        for part in self.members or (slice(0, atoms),):
            inside = [i * width + t for i in range(part.start, part.stop) for t in range(a + m)]
            for i in range(part.start, part.stop):
                for t in range(a):
                    factor = values.shares[:, i] * psi[1 + t][:, i]
                    share(i * width + t, factor, inside, -1.0)
            if values.outer is not None:
                g = self.leaders.index(part.start)
                for t in range(self.group_slots):
                    row = part.start * width + a + m + t
                    tau = values.outer.heads[1 + t][:, g]
                    share(row, tau, inside, 1.0)
                    share(row, values.outer.weight[:, g] * tau, slice(0, total), -1.0)
        return out * slope[:, None, None]

    def _of_groups(self, own: Tensor, outer: _Outer) -> None:
        """The entries of the groups' scores with themselves, at the leaders."""
        first = self.score_slots + self.model.slots
        row = 1 + self.group_slots
        for t in range(self.group_slots):
            for u in range(t, self.group_slots):
                entry = outer.weight * outer.value
                entry = entry * (outer.heads[1 + t] * outer.heads[1 + u] + outer.heads[row])
                own[:, self.leaders, first + t, first + u] = entry
                own[:, self.leaders, first + u, first + t] = entry
                row += 1

    def _bend(self, values: Any, speeds: Tensor, features: Tensor) -> Tensor:
        inner, slots, outer = self._of(speeds, features)
        gate, expert = values.gate, values.expert
        speed, turn = _along(values.score, inner)
        value, bend = _along(expert, slots)
        moved = gate[1] * values.value * speed + gate[0] * value
        terms = (
            values.value * (gate[2] * speed.square() + gate[1] * turn)
            + 2.0 * gate[1] * speed * value
            + gate[0] * bend
        )
        if values.shares is None:
            return terms.sum(dim=1)
        mixed = values.shares * speed
        if values.outer is None:
            return terms.sum(dim=1) - 2.0 * mixed.sum(dim=1) * moved.sum(dim=1)
        # both of each group, times its weight
        means = torch.stack([moved[:, part].sum(dim=1) for part in self.members], dim=1)
        bends = torch.stack([terms[:, part].sum(dim=1) for part in self.members], dim=1)
        mixing = torch.stack([mixed[:, part].sum(dim=1) for part in self.members], dim=1)
        bends = bends - 2.0 * mixing * means
        tau, turn = _along(values.outer.heads, outer)
        weight = values.outer.weight
        moving = weight * values.outer.value * tau + means
        total = (
            weight * values.outer.value * (tau.square() + turn) + 2.0 * tau * means + bends
        ).sum(dim=1)
        return total - 2.0 * (weight * tau).sum(dim=1) * moving.sum(dim=1)

    # -- units ----------------------------------------------------------------------------------

    def _index(self, atoms: int) -> Tensor | None:
        index = self.model.gather(atoms)
        return None if index is None else torch.from_numpy(index.reshape(-1)).to(self.device)

    def _shaped(self, vector: Tensor) -> Tensor:
        layout = self.model.layout
        atoms = layout.atoms(vector.shape[1])
        assert atoms is not None
        index = self._index(atoms)
        return super()._shaped(vector if index is None else vector[:, index])

    def _tied(
        self, gradient: Tensor, gram: Tensor | None = None, width: Tensor | None = None
    ) -> tuple[Any, Any, Any]:
        atoms = gradient.shape[1] // self.model.per_atom
        index = self._index(atoms)
        if index is None:
            return gradient, gram, width
        size = self.model.layout.length(atoms)

        def added(values: Tensor, dim: int) -> Tensor:
            shape = list(values.shape)
            shape[dim] = size
            return values.new_zeros(shape).index_add_(dim, index, values)

        if width is not None:
            count = torch.bincount(index, minlength=size).to(width.dtype)
            width = added(width, 1) * count
        whole = None if gram is None else added(added(gram, 1), 2)
        return added(gradient, 1), whole, width


def _along(heads: list[Tensor], speeds: list[Tensor]) -> tuple[Tensor, Tensor]:
    """First and second derivative of a function of slots along their speeds."""
    m = len(speeds)
    first = torch.zeros_like(heads[0])
    second = torch.zeros_like(heads[0])
    row = 1 + m
    for t in range(m):
        first = first + heads[1 + t] * speeds[t]
        for u in range(t, m):
            factor = 1.0 if t == u else 2.0
            second = second + factor * heads[row] * speeds[t] * speeds[u]
            row += 1
    return first, second


def _selected(compared: Tensor, count: int) -> Tensor:
    """As :func:`identkit.fit.model.selected`, over (A, k, n)."""
    order = torch.argsort(compared, dim=1, descending=True, stable=True)
    chosen = torch.zeros_like(compared, dtype=torch.bool)
    return chosen.scatter_(1, order[:, :count], True)
