"""The sums of a step of maximum likelihood, fused for the CPU: log p, gradient, Hessian.

With rows a of atoms c (:mod:`identkit.density.model`) and log p = log Σ_c exp(a_c), where

    a_c = log ω(s_c) − log Σ_{c' in the group of c} ω(s_c') + log weight of the group + log V_c,

let r_c be the posterior probability of c, R_g of group g, w̃_c the weight of c in its group. With
λ = ω'/ω and κ = ω''/ω at the score s_c, u_a = λ·∂s/∂a or ∂log V/∂a, v_a = w̃_c·λ·∂s/∂a (0 for rows
of V), the derivatives are

    ∂ log p/∂a = r_c·u_a − R_g·v_a =: g_a
    ∂² log p/∂a∂b = [one atom] (r_c·(U_ab + u_a·u_b) − [scores] R_g·w̃_c·(κ s_a s_b + λ s_ab))
                    − [one group] (r_c u_a·v_b + v_a·r_c u_b − 2R_g·v_a·v_b) − g_a·g_b

and likewise one level up for the rows of groups, whose weights are a softmax of their scores. The
first steps hold posterior probabilities fixed, average y in the part of V, and keep of the gate's
part the covariance of λ·∂s/∂a under its weights: the Hessian of EM's M-step for a softmax of linear
scores, a Gauss-Newton matrix for others, positive semidefinite for all (EM gradient: Lange, JRSS B
57, 1995).

Each problem is one loop over blocks of samples in a fixed order, as in
:mod:`identkit.fit.cpu_kernel`: its sums do not depend on the batch or on the number of threads.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numba.core.errors import NumbaExperimentalFeatureWarning
from numpy.typing import NDArray

from identkit.fit import vector_math
from identkit.fit.cpu_kernel import (
    _FAST,
    BLOCK,
    _contract,
    _crossed,
    _features,
    block_function,
    head_count,
    in_parts,
)
from identkit.fit.printing import function_of
from identkit.fit.routed_cpu import _select

if TYPE_CHECKING:
    from identkit.density.model import DensityModel, Half

Array = NDArray[np.float64]
FAR = -1e300
"""Logarithm of the weight of an atom that has none, as one that is not selected."""


@lru_cache(maxsize=64)
def native_heads(half: Half) -> dict[str, Any]:
    """Native functions of a half: log V, weight, score, score of groups.

    Those that a half does not have are another's, and are not called.
    """
    heads = half.density_heads
    density = block_function(
        function_of(half.given, heads, vector_math.FUNCTIONS), len(half.given), len(heads)
    )
    functions = vector_math.FUNCTIONS

    def of(found: Any) -> Any:
        call = half.compiled(found, functions)
        m = len(found.slots)
        return block_function(call, m + len(found.direct), head_count(m))

    gate = block_function(half.gate_heads(functions), 1, 3)
    score = gate if half.score is None else of(half.score)
    group = gate if half.group_score is None else of(half.group_score)
    return {"density": density, "gate": gate, "score": score, "group": group}


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _called(call, rows, first, slots, direct, points, responses, count, given, out):
    """The heads of one function of rows, inputs and, behind the features, responses."""
    for t in range(slots):
        for j in range(count):
            given[t, j] = rows[first + t, j]
    for e in range(direct.shape[0]):
        for j in range(count):
            given[slots + e, j] = points[direct[e], j]
    behind = points.shape[0] - responses
    for e in range(responses):
        for j in range(count):
            given[slots + direct.shape[0] + e, j] = points[behind + e, j]
    call(given, out, count)


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _scored(
    begin, end, starts, rows, inner, identity, direct, score, points, count, given, psi
):  # fmt: skip
    """The heads of the scores of atoms begin … end − 1."""
    for c in range(begin, end):
        part = psi[c]
        if identity:
            for j in range(count):
                part[0, j] = rows[starts[c], j]
                part[1, j] = 1.0
                part[2, j] = 0.0
        else:
            _called(
                score, rows, starts[c], inner, direct, points, 0, count, given,
                part[: head_count(inner)],
            )  # fmt: skip


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _gated(begin, end, exponential, most, biases, gate, count, given, psi, gates, mask):
    """log ω, λ = ω'/ω and κ = ω''/ω of the scores; FAR where an atom is not selected."""
    shifted = given[0:1]
    if most > 0 or not exponential:
        top = given[1]
        for j in range(count):
            top[j] = 0.0
        if exponential:
            for j in range(count):
                top[j] = psi[begin, 0, j]
            for c in range(begin + 1, end):
                for j in range(count):
                    top[j] = max(top[j], psi[c, 0, j])
        for c in range(begin, end):
            for j in range(count):
                shifted[0, j] = psi[c, 0, j] - top[j]
            gate(shifted, gates[3 * c : 3 * c + 3], count)
    if most > 0:
        _select(
            psi[begin:end, 0], gates[3 * begin : 3 * end], biases, end - begin, count, most,
            mask[begin:end],
        )  # fmt: skip
    for c in range(begin, end):
        if exponential:
            for j in range(count):
                gates[3 * c, j] = psi[c, 0, j]
                gates[3 * c + 1, j] = 1.0
                gates[3 * c + 2, j] = 1.0
        else:
            for j in range(count):
                # of a weight that is 0 all that λ and κ multiply is 0
                w = 1.0 / gates[3 * c, j] if gates[3 * c, j] > 0.0 else 0.0
                gates[3 * c + 1, j] *= w
                gates[3 * c + 2, j] *= w
            for j in range(count):
                w = gates[3 * c, j]
                gates[3 * c, j] = FAR if w == 0.0 else np.log(w)
        if most > 0:
            for j in range(count):
                if mask[c, j] == 0.0:
                    gates[3 * c, j] = FAR


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _exponentials(logs, shift, count, out):
    """exp(logs − shift); sums in exp must not be reordered, as they may elsewhere."""
    for j in range(count):
        out[j] = vector_math.exp(logs[j] - shift[j])


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _shared_out(members, logs, count, top, share):
    """share = exp(logs) over its sum, of the rows ``members``; logs become those of the shares."""
    for j in range(count):
        top[j] = logs[members[0], j]
    for i in range(1, members.shape[0]):
        for j in range(count):
            top[j] = max(top[j], logs[members[i], j])
    for j in range(count):
        if top[j] == FAR:  # no atom has a weight here: there is no density
            top[j] = np.nan
    for i in range(members.shape[0]):
        c = members[i]
        _exponentials(logs[c], top, count, share[c])
        for j in range(count):
            logs[c, j] -= top[j]
    for j in range(count):
        top[j] = 0.0
    for i in range(members.shape[0]):
        for j in range(count):
            top[j] += share[members[i], j]
    for i in range(members.shape[0]):
        c = members[i]
        for j in range(count):
            share[c, j] /= top[j]
    for j in range(count):
        top[j] = np.log(top[j])
    for i in range(members.shape[0]):
        for j in range(count):
            logs[members[i], j] -= top[j]


@njit(cache=True, error_model="numpy")
def _pair(a, b, total):
    """Where the pair of rows a ≤ b stands."""
    return a * total - a * (a - 1) // 2 + b - a


@njit(cache=True, error_model="numpy")
def _cleared(rows, count):
    for a in range(rows.shape[0]):
        for j in range(count):
            rows[a, j] = 0.0


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _steps(
    theta, which, x, columns, weight, entries, layout, shapes, directs, bias_index, numbers,
    shared_gate, shared_score, shared_density, gate, score, group_score, density,
    second, cost, gradient, gram, diagonal,
):  # fmt: skip
    """−log-likelihood, gradient, first or second matrix and its diagonal of every problem."""
    index, row_of, feature, scale = entries
    starts, group, half, group_half, group_start, atoms_of, groups_of = layout
    total, groups, most, own_log = numbers
    problems = theta.shape[0]
    n, dim = x.shape[1], x.shape[2]
    responses = columns.shape[2]
    atoms = starts.shape[0]
    features = dim + 1
    pair_rows, products = total * (total + 1) // 2, features * (features + 1) // 2
    widest = 0
    inner_most = 1
    for side in range(2):
        widest = max(widest, shapes[side, 1])
        inner_most = max(inner_most, shapes[side, 0])
    outer = shapes[1, 2]
    given = np.empty((widest + inner_most + outer + dim + responses + 2, BLOCK))
    points = np.empty((features + responses, BLOCK))
    product = np.empty((products, BLOCK))
    rows = np.empty((total, BLOCK))
    psi = np.empty((atoms, head_count(inner_most), BLOCK))
    heads = np.empty((atoms, 1 + widest + widest * (widest + 1), BLOCK))
    tau = np.empty((groups, head_count(outer), BLOCK))
    gates = np.empty((3 * atoms, BLOCK))
    mask = np.empty((atoms, BLOCK))
    logs, within, posterior = (
        np.empty((atoms, BLOCK)),
        np.empty((atoms, BLOCK)),
        np.empty((atoms, BLOCK)),
    )
    of_group = np.empty((groups, BLOCK))
    share = np.empty((groups, BLOCK))
    mass = np.empty((groups, BLOCK))
    half_mass = np.empty((2, BLOCK))
    u = np.empty((total, BLOCK))
    v = np.empty((total, BLOCK))
    m = np.empty((total, BLOCK))
    g = np.empty((total, BLOCK))
    top = np.empty(BLOCK)
    value = np.empty(BLOCK)
    ones = np.ones(BLOCK)
    moved = np.empty((total, BLOCK))
    widths = np.empty((total, BLOCK))
    pairs = np.empty((pair_rows, BLOCK))
    sums = np.empty((pair_rows, products))
    slopes = np.empty((total, features))
    squares = np.empty((total, features))
    squared = np.empty((features, BLOCK))
    for r in range(problems):
        data = x[which[r] if x.shape[0] > 1 else 0]
        answers = columns[which[r]]
        sums[:] = 0.0
        slopes[:] = 0.0
        squares[:] = 0.0
        whole = 0.0
        biases = np.empty(bias_index.shape[0])
        for i in range(bias_index.shape[0]):
            biases[i] = theta[r, bias_index[i]]
        for begin in range(0, n, BLOCK):
            count = min(BLOCK, n - begin)
            _features(data, begin, count, dim, points)
            for e in range(responses):
                for j in range(count):
                    points[features + e, j] = answers[begin + j, e]
            _crossed(points, features, count, product)
            _cleared(rows, count)
            for e in range(index.shape[0]):
                c = theta[r, index[e]] * scale[e]
                a, f = row_of[e], feature[e]
                if f == dim:
                    for j in range(count):
                        rows[a, j] += c
                else:
                    for j in range(count):
                        rows[a, j] += c * points[f, j]
            # weights of the atoms within their groups, of the groups within their half
            first = 0
            for side in range(2):
                end = first
                while end < atoms and half[end] == side:
                    end += 1
                if end > first:
                    call, weigh = score, gate
                    if side == 0:
                        call, weigh = shared_score, shared_gate
                    _scored(
                        first, end, starts, rows, shapes[side, 0], shapes[side, 3] == 1,
                        directs[2 * side], call, points, count, given, psi,
                    )  # fmt: skip
                    _gated(
                        first, end, shapes[side, 4] == 1, most if side == 1 else 0, biases, weigh,
                        count, given, psi, gates, mask,
                    )  # fmt: skip
                first = end
            for c in range(atoms):
                for j in range(count):
                    logs[c, j] = gates[3 * c, j]
            for h in range(groups):
                _shared_out(atoms_of[h][: groups_of[h]], logs, count, top, within)
            for h in range(groups):
                for j in range(count):
                    of_group[h, j] = own_log
                    share[h, j] = 1.0
            if outer > 0:
                for h in range(groups):
                    if group_half[h] == 1:
                        _called(
                            group_score, rows, group_start[h], outer, directs[4], points, 0, count,
                            given, tau[h],
                        )  # fmt: skip
                        for j in range(count):
                            of_group[h, j] = tau[h, 0, j]
                some = np.flatnonzero(group_half == 1)
                _shared_out(some, of_group, count, top, share)
                for i in range(some.shape[0]):
                    for j in range(count):
                        of_group[some[i], j] += own_log
            # log V and posterior probabilities
            for c in range(atoms):
                side = half[c]
                inner, slots = shapes[side, 0], shapes[side, 1]
                call = density
                if side == 0:
                    call = shared_density
                _called(
                    call, rows, starts[c] + inner, slots, directs[2 * side + 1], points,
                    responses, count, given, heads[c, : 1 + slots + slots * (slots + 1)],
                )  # fmt: skip
                for j in range(count):
                    logs[c, j] += of_group[group[c], j] + heads[c, 0, j]
            for j in range(count):
                value[j] = logs[0, j]
            for c in range(1, atoms):
                for j in range(count):
                    value[j] = max(value[j], logs[c, j])
            for c in range(atoms):
                _exponentials(logs[c], value, count, posterior[c])
            for j in range(count):
                top[j] = posterior[0, j]
            for c in range(1, atoms):
                for j in range(count):
                    top[j] += posterior[c, j]
            for c in range(atoms):
                for j in range(count):
                    posterior[c, j] /= top[j]
            for j in range(count):
                value[j] += np.log(top[j])
            part = 0.0
            if weight.shape[0] > 0:
                w = weight[which[r]]
                for j in range(count):
                    ones[j] = w[begin + j]
                for j in range(count):
                    part += ones[j] * value[j]
            else:
                for j in range(count):
                    part += value[j]
            whole -= part
            _cleared(mass, count)
            _cleared(half_mass, count)
            for c in range(atoms):
                h = group[c]
                for j in range(count):
                    mass[h, j] += posterior[c, j]
            for h in range(groups):
                side = group_half[h]
                for j in range(count):
                    half_mass[side, j] += mass[h, j]
            # first derivatives by rows
            for c in range(atoms):
                side, h, a = half[c], group[c], starts[c]
                inner, slots = shapes[side, 0], shapes[side, 1]
                for t in range(inner):
                    for j in range(count):
                        slope = gates[3 * c + 1, j] * psi[c, 1 + t, j]
                        u[a + t, j] = slope
                        v[a + t, j] = within[c, j] * slope
                        m[a + t, j] = posterior[c, j] * slope
                        g[a + t, j] = m[a + t, j] - mass[h, j] * v[a + t, j]
                for t in range(slots):
                    for j in range(count):
                        u[a + inner + t, j] = heads[c, 1 + t, j]
                        v[a + inner + t, j] = 0.0
                        m[a + inner + t, j] = posterior[c, j] * heads[c, 1 + t, j]
                        g[a + inner + t, j] = m[a + inner + t, j]
            if outer > 0:
                for h in range(groups):
                    if group_half[h] == 1:
                        for t in range(outer):
                            a = group_start[h] + t
                            for j in range(count):
                                u[a, j] = tau[h, 1 + t, j]
                                v[a, j] = share[h, j] * tau[h, 1 + t, j]
                                m[a, j] = mass[h, j] * tau[h, 1 + t, j]
                                g[a, j] = m[a, j] - half_mass[1, j] * v[a, j]
            for a in range(total):
                for j in range(count):
                    moved[a, j] = -ones[j] * g[a, j]
            _contract(moved, points, total, features, count, slopes)
            # pairs of rows: −∂² of log p, or what EM leaves of it
            _cleared(pairs, count)
            for c in range(atoms):
                side, h, a = half[c], group[c], starts[c]
                inner, slots = shapes[side, 0], shapes[side, 1]
                row = 1 + inner
                for t in range(inner):
                    for s in range(t, inner):
                        p = _pair(a + t, a + s, total)
                        if second:
                            for j in range(count):
                                pairs[p, j] -= (posterior[c, j] - mass[h, j] * within[c, j]) * (
                                    gates[3 * c + 2, j] * psi[c, 1 + t, j] * psi[c, 1 + s, j]
                                    + gates[3 * c + 1, j] * psi[c, row, j]
                                )
                        else:
                            for j in range(count):
                                pairs[p, j] += mass[h, j] * v[a + t, j] * u[a + s, j]
                        row += 1
                    for j in range(count):
                        widths[a + t, j] = mass[h, j] * v[a + t, j] * (u[a + t, j] - v[a + t, j])
                    if second:
                        for s in range(slots):
                            p = _pair(a + t, a + inner + s, total)
                            for j in range(count):
                                pairs[p, j] -= m[a + t, j] * u[a + inner + s, j]
                row = 1 + slots
                more = slots * (slots + 1) // 2
                for t in range(slots):
                    for j in range(count):
                        widths[a + inner + t, j] = posterior[c, j] * heads[c, row + more, j]
                    for s in range(t, slots):
                        p = _pair(a + inner + t, a + inner + s, total)
                        if second:
                            for j in range(count):
                                pairs[p, j] -= posterior[c, j] * (
                                    heads[c, row, j] + heads[c, 1 + t, j] * heads[c, 1 + s, j]
                                )
                        else:
                            for j in range(count):
                                pairs[p, j] += posterior[c, j] * heads[c, row + more, j]
                        row += 1
                # scores with the rows of all atoms of the group
                for t in range(inner):
                    for d in range(atoms):
                        if group[d] != h:
                            continue
                        b0 = starts[d]
                        last = b0 + inner + (slots if second else 0)
                        for b in range(b0, last):
                            if b < b0 + inner and b < a + t:
                                continue  # each pair of scores once
                            p = _pair(min(a + t, b), max(a + t, b), total)
                            if b >= b0 + inner:
                                for j in range(count):
                                    pairs[p, j] += v[a + t, j] * m[b, j]
                            elif second:
                                for j in range(count):
                                    pairs[p, j] += (
                                        m[a + t, j] * v[b, j] + v[a + t, j] * m[b, j]
                                        - 2.0 * mass[h, j] * v[a + t, j] * v[b, j]
                                    )  # fmt: skip
                            else:
                                for j in range(count):
                                    pairs[p, j] -= mass[h, j] * v[a + t, j] * v[b, j]
            if outer > 0:
                _groups(
                    second, group, half, group_half, group_start, starts, shapes, outer, count,
                    total, tau, share, mass, half_mass, u, v, m, g, widths, pairs,
                )  # fmt: skip
            if second:
                for a in range(total):
                    for b in range(a, total):
                        p = _pair(a, b, total)
                        for j in range(count):
                            pairs[p, j] += g[a, j] * g[b, j]
            if weight.shape[0] > 0:
                for p in range(pair_rows):
                    for j in range(count):
                        pairs[p, j] *= ones[j]
                for a in range(total):
                    for j in range(count):
                        widths[a, j] *= ones[j]
            _contract(pairs, product, pair_rows, products, count, sums)
            for f in range(features):
                for j in range(count):
                    squared[f, j] = points[f, j] * points[f, j]
            _contract(widths, squared, total, features, count, squares)
        cost[r] = whole
        gradient[r] = 0.0
        diagonal[r] = 0.0
        gram[r] = 0.0
        for e in range(index.shape[0]):
            i, a, f, c = index[e], row_of[e], feature[e], scale[e]
            gradient[r, i] += c * slopes[a, f]
            diagonal[r, i] += c * c * squares[a, f]
            for o in range(index.shape[0]):
                b, q = row_of[o], feature[o]
                low, high = min(f, q), max(f, q)
                gram[r, i, index[o]] += (
                    c * scale[o] * sums[
                        _pair(min(a, b), max(a, b), total),
                        low * features - low * (low - 1) // 2 + high - low,
                    ]
                )  # fmt: skip


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _groups(
    second, group, half, group_half, group_start, starts, shapes, outer, count, total, tau, share,
    mass, half_mass, u, v, m, g, widths, pairs,
):  # fmt: skip
    """The pairs with rows of groups."""
    for h in range(group_half.shape[0]):
        if group_half[h] != 1:
            continue
        a = group_start[h]
        row = 1 + outer
        for t in range(outer):
            for j in range(count):
                widths[a + t, j] = half_mass[1, j] * v[a + t, j] * (u[a + t, j] - v[a + t, j])
            for s in range(t, outer):
                p = _pair(a + t, a + s, total)
                if second:
                    for j in range(count):
                        pairs[p, j] -= (mass[h, j] - half_mass[1, j] * share[h, j]) * (
                            u[a + t, j] * u[a + s, j] + tau[h, row, j]
                        )
                else:
                    for j in range(count):
                        pairs[p, j] += half_mass[1, j] * v[a + t, j] * u[a + s, j]
                row += 1
            for k in range(group_half.shape[0]):
                if group_half[k] != 1:
                    continue
                for b in range(group_start[k], group_start[k] + outer):
                    if b < a + t:
                        continue
                    p = _pair(a + t, b, total)
                    if second:
                        for j in range(count):
                            pairs[p, j] += (
                                m[a + t, j] * v[b, j] + v[a + t, j] * m[b, j]
                                - 2.0 * half_mass[1, j] * v[a + t, j] * v[b, j]
                            )  # fmt: skip
                    else:
                        for j in range(count):
                            pairs[p, j] -= half_mass[1, j] * v[a + t, j] * v[b, j]
            if not second:
                continue
            for c in range(starts.shape[0]):
                if half[c] != 1:
                    continue
                own = 1.0 if group[c] == h else 0.0
                for b in range(starts[c], starts[c] + shapes[1, 0] + shapes[1, 1]):
                    p = _pair(b, a + t, total)
                    for j in range(count):
                        pairs[p, j] -= g[b, j] * (own * u[a + t, j] - v[a + t, j])


class CpuSums:
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
        threads: int,
    ) -> None:
        self.threads = max(1, threads)
        self.x, self.columns = np.ascontiguousarray(x), np.ascontiguousarray(columns)
        self.weight = np.empty((0, 0)) if weight is None else np.ascontiguousarray(weight)
        rows = model.rows(atoms)
        groups = len(rows.group_half)
        counts = np.bincount(rows.group, minlength=groups)
        members = np.zeros((groups, counts.max()), dtype=np.int64)
        for h in range(groups):
            members[h, : counts[h]] = np.flatnonzero(rows.group == h)
        sides = (model.routed if model.shared is None else model.shared, model.routed)
        shapes, directs, calls = [], [], []
        for side in sides:
            found = side.score
            identity = found is None or (
                len(found.slots) == 1 and found.phi == found.slots[0] and not found.direct
            )
            outer = 0 if side.group_score is None else len(side.group_score.slots)
            inner = 1 if found is None else len(found.slots)
            shapes.append((inner, len(side.variables), outer, int(identity), int(side.exponential)))
            directs.append(_whole(() if found is None else found.direct))
            directs.append(_whole(side.structure.direct))
            calls.append(native_heads(side))
        level = model.routed.group_score
        directs.append(_whole(() if level is None else level.direct))
        selection = model.routed.gate.selection
        bias = np.empty(0, dtype=np.int64)
        if selection is not None and selection.bias is not None:
            layout = model.routed.layout
            place = layout[selection.bias.name].start
            bias = _whole([layout.index(i, place) for i in range(atoms[1])])
        own_log = np.log(0.5) if model.shared is not None else 0.0
        self.arguments: Any = (
            tuple(rows.entries),
            (
                rows.start, rows.group, rows.half, rows.group_half, rows.group_start, members,
                _whole(counts),
            ),
            np.array(shapes, dtype=np.int64),
            tuple(directs),
            bias,
            (rows.total, groups, 0 if selection is None else selection.count, float(own_log)),
            # one by one: of a tuple of functions Numba warns that it is experimental
            *(calls[0][name] for name in ("gate", "score", "density")),
            *(calls[1][name] for name in ("gate", "score", "group", "density")),
        )  # fmt: skip

    def steps(
        self, theta: Array, which: NDArray[np.int64], second: bool
    ) -> tuple[Array, Array, Array, Array]:
        """−log-likelihood (A,), gradient (A, p), first or second matrix (A, p, p), diagonal."""
        size = theta.shape[1]
        out = (
            np.empty(len(theta)),
            np.empty_like(theta),
            np.empty((len(theta), size, size)),
            np.empty_like(theta),
        )
        steps: Any = _steps
        with warnings.catch_warnings():
            # Numba gives it for a tuple of functions each time one is an argument
            warnings.simplefilter("ignore", NumbaExperimentalFeatureWarning)
            in_parts(
                self.threads,
                len(theta),
                lambda part: steps(
                    theta[part], which[part], self.x, self.columns, self.weight, *self.arguments,
                    second, *(array[part] for array in out),
                ),
            )  # fmt: skip
        return out


def _whole(values: Any) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)
