"""The sums of :mod:`identkit.fit.routed_kernel`, fused for the CPU as in ``cpu_kernel``.

Each problem is one loop over blocks of samples; of a block are kept the heads of scores, weights
and experts, the rows D_a of first derivatives and, for the Hessian, the pairs of rows. The formulas
are those of the torch kernel, with every row of an atom in one list: the slots of its score, those
of the expert, those of its group's score, which are zero but for the first atom of a group.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from identkit.fit import vector_math
from identkit.fit.cpu_kernel import (
    _FAST,
    BLOCK,
    CpuSums,
    _assemble,
    _contract,
    _crossed,
    _features,
    _multiplied,
    _place,
    _squared,
    block_function,
    head_count,
)

if TYPE_CHECKING:
    from identkit.fit.model import Model

Array = NDArray[np.float64]


@lru_cache(maxsize=64)
def native_heads(model: Model) -> tuple[Any, ...]:
    """Native functions for the heads of expert, gate, score and the group's score, in this order.

    Without groups the score's stands for the group's.
    """
    heads = model.heads(vector_math.FUNCTIONS)
    assert model.score is not None

    def of(call: Any, found: Any) -> Any:
        m = len(found.slots)
        return block_function(call, m + len(found.direct), head_count(m))

    group = model.group_score
    return (
        block_function(heads.expert, len(model.arguments), len(model.expressions[0])),
        block_function(heads.gate, 1, 3),
        of(heads.score, model.score),
        of(heads.score, model.score) if group is None else of(heads.group, group),
    )


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _slotted(units, row_of, feature, scale, dim, width, count, points, rows):
    """Every row of every atom, also for velocities."""
    for a in range(rows.shape[0]):
        for j in range(count):
            rows[a, j] = 0.0
    for i in range(units.shape[0]):
        for v in range(row_of.shape[0]):
            c = units[i, v] * scale[v]
            row = i * width + row_of[v]
            f = feature[v]
            if f == dim:
                for j in range(count):
                    rows[row, j] += c
            else:
                for j in range(count):
                    rows[row, j] += c * points[f, j]


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _called(call, rows, first, slots, direct, points, count, given, out):
    """The heads of one function of slots and inputs, of one atom."""
    for t in range(slots):
        for j in range(count):
            given[t, j] = rows[first + t, j]
    for e in range(direct.shape[0]):
        for j in range(count):
            given[slots + e, j] = points[direct[e], j]
    call(given, out, count)


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _select(scores, gates, biases, atoms, count, most, mask):
    """1 for the atoms of the ``most`` largest scores, or weights plus biases; ties: the first."""
    biased = biases.shape[0] > 0
    for j in range(count):
        for i in range(atoms):
            own = gates[3 * i, j] + biases[i] if biased else scores[i, j]
            above = 0
            for other in range(atoms):
                value = gates[3 * other, j] + biases[other] if biased else scores[other, j]
                if value > own or (value == own and other < i):
                    above += 1
            mask[i, j] = 1.0 if above < most else 0.0


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _block(
    shape, direct, home, leaders, expert, gate, score, group, biases, flags, count, points, rows,
    buffers,
):  # fmt: skip
    """Values and first derivatives on a block, into the buffers; see :class:`RoutedCpuSums`."""
    atoms, inner, slots, outer = shape
    expert_direct, score_direct, group_direct = direct
    divides, exponential, most, whole = flags
    psi, gates, experts, tau, weight, mean, means, shares, mask, scores, given, first = buffers
    width = inner + slots + outer
    of_score, of_expert, of_group = head_count(inner), head_count(slots), head_count(outer)
    groups = leaders.shape[0]
    for i in range(atoms):
        part = psi[of_score * i : of_score * (i + 1)]
        _called(score, rows, i * width, inner, score_direct, points, count, given, part)
        for j in range(count):
            scores[i, j] = part[0, j]
        _called(
            expert, rows, i * width + inner, slots, expert_direct, points, count, given,
            experts[of_expert * i : of_expert * (i + 1)],
        )  # fmt: skip
    if exponential:
        for g in range(groups):
            for j in range(count):
                means[g, j] = -np.inf
        for i in range(atoms):
            for j in range(count):
                means[home[i], j] = max(means[home[i], j], scores[i, j])
        for i in range(atoms):
            for j in range(count):
                scores[i, j] -= means[home[i], j]
    for i in range(atoms):
        gate(scores[i : i + 1], gates[3 * i : 3 * i + 3], count)
    if most > 0:
        _select(scores, gates, biases, atoms, count, most, mask)
        for i in range(atoms):
            if whole:
                for row in range(of_expert * i, of_expert * (i + 1)):
                    for j in range(count):
                        experts[row, j] *= mask[i, j]
            else:
                for row in range(3 * i, 3 * i + 3):
                    for j in range(count):
                        gates[row, j] *= mask[i, j]
    if divides:
        for g in range(groups):
            for j in range(count):
                weight[g, j] = 0.0
                means[g, j] = 0.0
        for i in range(atoms):
            for j in range(count):
                weight[home[i], j] += gates[3 * i, j]
        for i in range(atoms):
            for row in range(3 * i, 3 * i + 3):
                for j in range(count):
                    gates[row, j] /= weight[home[i], j]
            for j in range(count):
                means[home[i], j] += gates[3 * i, j] * experts[of_expert * i, j]
                shares[i, j] = gates[3 * i + 1, j]
        for i in range(atoms):
            for j in range(count):
                experts[of_expert * i, j] -= means[home[i], j]
        for j in range(count):
            mean[j] = means[0, j]
    else:
        for j in range(count):
            mean[j] = 0.0
        for i in range(atoms):
            for j in range(count):
                mean[j] += gates[3 * i, j] * experts[of_expert * i, j]
    if outer > 0:
        for g in range(groups):
            _called(
                group, rows, leaders[g] * width + inner + slots, outer, group_direct, points,
                count, given, tau[of_group * g : of_group * (g + 1)],
            )  # fmt: skip
        for j in range(count):
            top = -np.inf
            for g in range(groups):
                top = max(top, tau[of_group * g, j])
            total = 0.0
            for g in range(groups):
                weight[g, j] = np.exp(tau[of_group * g, j] - top)
                total += weight[g, j]
            mean[j] = 0.0
            for g in range(groups):
                weight[g, j] /= total
                mean[j] += weight[g, j] * means[g, j]
            for g in range(groups):
                means[g, j] -= mean[j]
        for i in range(atoms):
            for row in range(3 * i, 3 * i + 3):
                for j in range(count):
                    gates[row, j] *= weight[home[i], j]
    for i in range(atoms):
        a = i * width
        for t in range(inner):
            for j in range(count):
                first[a + t, j] = (
                    gates[3 * i + 1, j] * experts[of_expert * i, j] * psi[of_score * i + 1 + t, j]
                )
        for t in range(slots):
            for j in range(count):
                first[a + inner + t, j] = gates[3 * i, j] * experts[of_expert * i + 1 + t, j]
        for t in range(outer):
            leads = leaders[home[i]] == i
            for j in range(count):
                g = home[i]
                first[a + inner + slots + t, j] = (
                    weight[g, j] * means[g, j] * tau[of_group * g + 1 + t, j] if leads else 0.0
                )


@njit(cache=True, error_model="numpy")
def _pair(a, b, total):
    low, high = min(a, b), max(a, b)
    return low * total - low * (low - 1) // 2 + high - low


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _pairs(shape, home, leaders, divides, count, buffers, residual, pairs):
    """Adds residual·∂²f/∂a∂b to the products D_a·D_b, rows a ≤ b."""
    atoms, inner, slots, outer = shape
    psi, gates, experts, tau, weight, _, means, shares, _, _, _, first = buffers
    width = inner + slots + outer
    total = atoms * width
    of_score, of_expert, of_group = head_count(inner), head_count(slots), head_count(outer)
    for i in range(atoms):
        a, s, e = i * width, of_score * i, of_expert * i
        row = s + 1 + inner
        for t in range(inner):
            for u in range(t, inner):
                p = _pair(a + t, a + u, total)
                for j in range(count):
                    pairs[p, j] += (
                        residual[j]
                        * experts[e, j]
                        * (
                            gates[3 * i + 2, j] * psi[s + 1 + t, j] * psi[s + 1 + u, j]
                            + gates[3 * i + 1, j] * psi[row, j]
                        )
                    )
                row += 1
            for v in range(slots):
                p = _pair(a + t, a + inner + v, total)
                for j in range(count):
                    pairs[p, j] += (
                        residual[j] * gates[3 * i + 1, j] * psi[s + 1 + t, j]
                        * experts[e + 1 + v, j]
                    )  # fmt: skip
        row = e + 1 + slots
        for v in range(slots):
            for w in range(v, slots):
                p = _pair(a + inner + v, a + inner + w, total)
                for j in range(count):
                    pairs[p, j] += residual[j] * gates[3 * i, j] * experts[row, j]
                row += 1
        if not divides:
            continue
        for t in range(inner):
            for other in range(atoms):
                if home[other] != home[i]:
                    continue
                for v in range(inner + slots):
                    b = other * width + v
                    p = _pair(a + t, b, total)
                    twice = 2.0 if b == a + t else 1.0
                    for j in range(count):
                        pairs[p, j] -= (
                            twice * residual[j] * shares[i, j] * psi[s + 1 + t, j] * first[b, j]
                        )
    for g in range(leaders.shape[0] if outer > 0 else 0):
        a, h = leaders[g] * width + inner + slots, of_group * g
        row = h + 1 + outer
        for t in range(outer):
            for u in range(t, outer):
                p = _pair(a + t, a + u, total)
                for j in range(count):
                    pairs[p, j] += (
                        residual[j]
                        * weight[g, j]
                        * means[g, j]
                        * (tau[h + 1 + t, j] * tau[h + 1 + u, j] + tau[row, j])
                    )
                row += 1
            for b in range(total):
                within = home[b // width] == g and b % width < inner + slots
                p = _pair(a + t, b, total)
                twice = 2.0 if b == a + t else 1.0
                for j in range(count):
                    own = 1.0 if within else 0.0
                    pairs[p, j] += (
                        residual[j] * tau[h + 1 + t, j] * first[b, j]
                        * (own - twice * weight[g, j])
                    )  # fmt: skip


@njit(cache=True, error_model="numpy")
def _gathered(theta, index, units):
    for i in range(units.shape[0]):
        for v in range(units.shape[1]):
            units[i, v] = theta[index[i, v]]


@njit(cache=True, error_model="numpy")
def _tied(index, gradient, gram, squares, where, out_gradient, out_gram, out_width):
    """Adds up what units share; of the squares k times their sum, a bound."""
    size = gradient.shape[0]
    out_gradient[:] = 0.0
    out_gram[:] = 0.0
    out_width[:] = 0.0
    where[:] = 0
    flat = index.ravel()
    for m in range(size):
        out_gradient[flat[m]] += gradient[m]
        out_width[flat[m]] += squares[m]
        where[flat[m]] += 1
        for other in range(size):
            out_gram[flat[m], flat[other]] += gram[m, other]
    for m in range(out_width.shape[0]):
        out_width[m] *= where[m]


@njit(cache=True, error_model="numpy")
def _buffers(shape, heads):
    """What a block needs; ``heads`` counts those of score, expert and group."""
    atoms, inner, slots, outer = shape
    of_score, of_expert, of_group, arguments, groups = heads
    return (
        np.empty((atoms * of_score, BLOCK)),
        np.empty((3 * atoms, BLOCK)),
        np.empty((atoms * of_expert, BLOCK)),
        np.empty((groups * of_group, BLOCK)),
        np.empty((groups, BLOCK)),
        np.empty(BLOCK),
        np.empty((groups, BLOCK)),
        np.empty((atoms, BLOCK)),
        np.empty((atoms, BLOCK)),
        np.empty((atoms, BLOCK)),
        np.empty((arguments, BLOCK)),
        np.empty((atoms * (inner + slots + outer), BLOCK)),
    )


@njit(cache=True, error_model="numpy")
def _biases(units, place):
    found = np.empty(units.shape[0] if place >= 0 else 0)
    for i in range(found.shape[0]):
        found[i] = units[i, place]
    return found


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _steps(
    theta, which, x, y, weight, index, row_of, feature, scale, shape, heads, direct, home, leaders,
    flags, bias, expert, gate, score, group, second, cost, gradient, gram, diagonal,
):  # fmt: skip
    """Cost, gradient, Gram or Hessian and Gram diagonal of every problem."""
    atoms, inner, slots, outer = shape
    n, dim = x.shape[1], x.shape[2]
    width = inner + slots + outer
    per_atom = index.shape[1]
    total, features = atoms * width, dim + 1
    pair_rows, products = total * (total + 1) // 2, features * (features + 1) // 2
    points = np.empty((features, BLOCK))
    product = np.empty((products, BLOCK))
    rows = np.empty((total, BLOCK))
    buffers = _buffers(shape, heads)
    first, mean = buffers[11], buffers[5]
    pairs = np.empty((pair_rows, BLOCK))
    here = np.empty(BLOCK)
    moved = np.empty((total, BLOCK))
    squared = np.empty((features, BLOCK))
    sums = np.empty((pair_rows, products))
    slopes = np.empty((total, features))
    squares = np.empty((total, features))
    units = np.empty((atoms, per_atom))
    size = atoms * per_atom
    own_gradient, own_gram, own_width = np.empty(size), np.empty((size, size)), np.empty(size)
    where = np.empty(theta.shape[1], dtype=np.int64)
    for r in range(theta.shape[0]):
        data, target = x[which[r] if x.shape[0] > 1 else 0], y[which[r]]
        _gathered(theta[r], index, units)
        biases = _biases(units, bias)
        sums[:] = 0.0
        slopes[:] = 0.0
        squares[:] = 0.0
        half = 0.0
        for begin in range(0, n, BLOCK):
            count = min(BLOCK, n - begin)
            _features(data, begin, count, dim, points)
            _crossed(points, features, count, product)
            _slotted(units, row_of, feature, scale, dim, width, count, points, rows)
            _block(
                shape, direct, home, leaders, expert, gate, score, group, biases, flags, count,
                points, rows, buffers,
            )  # fmt: skip
            for j in range(count):
                here[j] = mean[j] - target[begin + j]
            block_cost = 0.0
            if weight.shape[0] > 0:
                w = weight[which[r]]
                for j in range(count):
                    block_cost += w[begin + j] * here[j] * here[j]
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
                _pairs(shape, home, leaders, flags[0], count, buffers, here, pairs)
            _contract(pairs, product, pair_rows, products, count, sums)
        cost[r] = half
        _assemble(
            slopes, sums, atoms, per_atom, dim, width, row_of, feature, scale, own_gradient,
            own_gram,
        )  # fmt: skip
        for m in range(size):
            a, g, c = _place(m, per_atom, width, row_of, feature, scale)
            own_width[m] = c * c * squares[a, g]
        _tied(index, own_gradient, own_gram, own_width, where, gradient[r], gram[r], diagonal[r])
        if not second:
            for m in range(theta.shape[1]):
                diagonal[r, m] = gram[r, m, m]


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _along(heads, first, rows, at, slots, count, speed, turn):
    """First and second derivative of a function of slots, heads from ``first``, along rows."""
    for j in range(count):
        speed[j] = 0.0
        turn[j] = 0.0
    row = first + 1 + slots
    for t in range(slots):
        for j in range(count):
            speed[j] += heads[first + 1 + t, j] * rows[at + t, j]
        for u in range(t, slots):
            factor = 1.0 if t == u else 2.0
            for j in range(count):
                turn[j] += factor * heads[row, j] * rows[at + t, j] * rows[at + u, j]
            row += 1


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _bends(
    theta, velocity, which, x, weight, index, row_of, feature, scale, shape, heads, direct, home,
    leaders, flags, bias, expert, gate, score, group, out,
):  # fmt: skip
    """Jᵀ f_vv of every problem: f_vv the second derivative of f along the velocity."""
    atoms, inner, slots, outer = shape
    n, dim = x.shape[1], x.shape[2]
    width = inner + slots + outer
    total, features, groups = atoms * width, dim + 1, leaders.shape[0]
    of_score, of_expert, of_group = head_count(inner), head_count(slots), head_count(outer)
    points = np.empty((features, BLOCK))
    rows, moving = np.empty((total, BLOCK)), np.empty((total, BLOCK))
    buffers = _buffers(shape, heads)
    psi, gates, experts, tau, weights, _, means, shares, _, _, _, first = buffers
    speed, turn, value, bent = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    moved, bend, mixing = (
        np.empty((groups, BLOCK)), np.empty((groups, BLOCK)), np.empty((groups, BLOCK))
    )  # fmt: skip
    along = np.empty(BLOCK)
    slopes = np.empty((total, features))
    units, speeds = np.empty(index.shape), np.empty(index.shape)
    for r in range(theta.shape[0]):
        data = x[which[r] if x.shape[0] > 1 else 0]
        _gathered(theta[r], index, units)
        _gathered(velocity[r], index, speeds)
        biases = _biases(units, bias)
        slopes[:] = 0.0
        for begin in range(0, n, BLOCK):
            count = min(BLOCK, n - begin)
            _features(data, begin, count, dim, points)
            _slotted(units, row_of, feature, scale, dim, width, count, points, rows)
            _slotted(speeds, row_of, feature, scale, dim, width, count, points, moving)
            _block(
                shape, direct, home, leaders, expert, gate, score, group, biases, flags, count,
                points, rows, buffers,
            )  # fmt: skip
            moved[:] = 0.0
            bend[:] = 0.0
            mixing[:] = 0.0
            for i in range(atoms):
                g, e = home[i], of_expert * i
                _along(psi, of_score * i, moving, i * width, inner, count, speed, turn)
                _along(experts, e, moving, i * width + inner, slots, count, value, bent)
                for j in range(count):
                    moved[g, j] += (
                        gates[3 * i + 1, j] * experts[e, j] * speed[j] + gates[3 * i, j] * value[j]
                    )
                    bend[g, j] += (
                        experts[e, j]
                        * (gates[3 * i + 2, j] * speed[j] ** 2 + gates[3 * i + 1, j] * turn[j])
                        + 2.0 * gates[3 * i + 1, j] * speed[j] * value[j]
                        + gates[3 * i, j] * bent[j]
                    )
                    if flags[0]:
                        mixing[g, j] += shares[i, j] * speed[j]
            for j in range(count):
                along[j] = 0.0
            for g in range(groups):
                for j in range(count):
                    bend[g, j] -= 2.0 * mixing[g, j] * moved[g, j]
                    along[j] += bend[g, j]
            if outer > 0:
                # of the groups: what moves their weights, and the two together
                for j in range(count):
                    value[j] = 0.0
                    bent[j] = 0.0
                for g in range(groups):
                    at = leaders[g] * width + inner + slots
                    _along(tau, of_group * g, moving, at, outer, count, speed, turn)
                    for j in range(count):
                        own = weights[g, j] * means[g, j]
                        along[j] += own * (speed[j] ** 2 + turn[j]) + 2.0 * speed[j] * moved[g, j]
                        value[j] += weights[g, j] * speed[j]
                        bent[j] += own * speed[j] + moved[g, j]
                for j in range(count):
                    along[j] -= 2.0 * value[j] * bent[j]
            if weight.shape[0] > 0:
                w = weight[which[r]]
                for j in range(count):
                    along[j] *= w[begin + j]
            for a in range(total):
                for j in range(count):
                    first[a, j] *= along[j]
            _contract(first, points, total, features, count, slopes)
        out[r] = 0.0
        for i in range(atoms):
            for v in range(index.shape[1]):
                out[r, index[i, v]] += scale[v] * slopes[i * width + row_of[v], feature[v]]


class RoutedCpuSums(CpuSums):
    """The sums over fixed data, as :class:`~identkit.fit.cpu_kernel.CpuSums`.

    ``shape`` are k, the slots of the score, of the expert and of the group's score; ``home`` is the
    group of each atom, ``leaders`` the first atom of each; ``flags``: whether weights are divided,
    whether ω = exp, how many atoms are selected (0: all), whether by the sum over all.
    """

    _loops = (_steps, _bends)

    def _prepared(self) -> Any:
        model, at = self.model, self.model.places
        score, group, selection = model.score, model.group_score, model.gate.selection
        assert score is not None
        inner, slots = len(score.slots), model.slots
        outer = 0 if group is None else len(group.slots)
        shape = (inner, slots, outer)
        groups = max(1, len(model.groups))
        arguments = max(
            inner + len(score.direct),
            slots + len(model.structure.direct),
            0 if group is None else outer + len(group.direct),
        )
        heads = (*(head_count(m) for m in shape), arguments, groups)
        direct = tuple(
            np.array(() if s is None else s.direct, dtype=np.int64)
            for s in (model.structure, score, group)
        )
        bias = -1
        if selection is not None and selection.bias is not None:
            bias = model.layout[selection.bias.name].start
        flags = (
            model.gate.divides,
            model.exponential,
            0 if selection is None else selection.count,
            selection is not None and selection.divided_by == "all",
        )
        return (
            (
                np.array(at.row, dtype=np.int64),
                np.array(at.feature, dtype=np.int64),
                np.array(at.scale, dtype=np.float64),
            ),
            shape,
            (heads, direct),
            (flags, bias, *native_heads(model)),
        )

    def _shaped(self, vectors: Array) -> Array:
        return vectors  # units are gathered in the loops

    def _given(self, size: int) -> Any:
        model = self.model
        atoms = model.layout.atoms(size)
        assert atoms is not None
        index = model.gather(atoms)
        if index is None:
            index = np.arange(size).reshape(atoms, -1)
        places, shape, heads, rest = self.arguments
        members = model.layout.members or (slice(0, atoms),)
        home = np.repeat(np.arange(len(members)), [m.stop - m.start for m in members])
        leaders = np.array([m.start for m in members], dtype=np.int64)
        return (
            np.ascontiguousarray(index, dtype=np.int64),
            *places,
            (atoms, *shape),
            *heads,
            home.astype(np.int64),
            leaders,
            *rest,
        )
