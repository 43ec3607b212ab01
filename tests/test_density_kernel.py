"""The sums of maximum likelihood, native and in torch, against log p written by hand in torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch


from routed_models import NAMES, dims, measure, parts_by_torch
from torch.distributions import Categorical, Normal

from identkit.density import DensityModel, maximum_likelihood
from identkit.density.kernel import CpuSums
from identkit.density.torch_kernel import TorchSums
from identkit.experts import builtin
from identkit.fit.problem import Compute
from identkit.gates import GATES, resolve
from identkit.likelihoods.categorical import with_classes

SAMPLES = 40
GATES_HERE = (
    *(name for name, gate in GATES.items() if gate.is_affine and gate.adds_up),
    *(name for name in NAMES if resolve(name).adds_up),
)
KINDS = {
    "free": ("gaussian", "tanh", None, 1),
    "common, shared": ("gaussian-common", "tanh", "linear", 3),
    "2 classes, shared": ("categorical", "linear", "linear", 1),
    "3 classes": ("categorical", "3 linear", None, 3),
    "free, shared": ("gaussian", "linear", "linear", 3),
}
"""Likelihood, expert, shared expert and inputs."""
CPU = torch.device("cpu")


def inputs_of(name: str, dim: int) -> int:
    """As many as asked for where the gate is for any number."""
    allowed = dims(name)
    return dim if len(allowed) == 2 or dim in allowed else (3 if allowed == (2,) else 1)


def made_of(name: str, kind: str) -> DensityModel:
    likelihood, expert, shared, dim = KINDS[kind]
    dim = inputs_of(name, dim)
    found: Any = expert
    if expert == "3 linear":
        found = with_classes(builtin("linear", None, dim), 3)
    groups = (2, 1) if resolve(name).level else ()
    return DensityModel.of(found, name, likelihood, shared=shared, dim=dim, groups=groups)


def vector_of(model: DensityModel, atoms: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    parts = [model.routed.pack(measure(model.routed, atoms[1], rng))]
    if model.shared is not None:
        parts.append(model.shared.pack(measure(model.shared, atoms[0], rng)))
    return np.concatenate([*parts, 0.5 * rng.normal(size=model.spreads(atoms))])


class Problem(NamedTuple):
    """Random vectors (R, p) and data x (R, n, d), y (R, n), weight (R, n)."""

    model: DensityModel
    atoms: tuple[int, int]
    theta: np.ndarray
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def sums(self, kernel: str, weighted: bool = True, threads: int = 1) -> Any:
        columns = self.model.density.columns(self.y, self.model.routed.outputs)
        given = (self.model, self.atoms, self.x, columns, self.weight if weighted else None)
        if kernel == "torch":
            return TorchSums(*given, CPU)
        return CpuSums(*given, threads)


def steps(sums: Any, theta: np.ndarray, which: Any, second: bool) -> tuple[np.ndarray, ...]:
    index = np.asarray(which, dtype=np.int64)
    if isinstance(sums, TorchSums):
        found = sums.on_tensors(torch.from_numpy(theta), torch.from_numpy(index), second)
        return tuple(values.numpy() for values in found)
    return sums.steps(np.ascontiguousarray(theta), index, second)


def problem(
    model: DensityModel, atoms: tuple[int, int], seed: int, batch: int = 1, samples: int = SAMPLES
) -> Problem:
    rng = np.random.default_rng(seed)
    theta = np.stack([vector_of(model, atoms, rng) for _ in range(batch)])
    x = rng.normal(size=(batch, samples, model.dim))
    y = rng.normal(size=(batch, samples))
    if not model.density.spread:
        y = rng.integers(0, model.routed.outputs + 1, size=y.shape).astype(float)
    return Problem(model, atoms, theta, x, y, rng.uniform(0.5, 2.0, size=y.shape))


# -- log p by another route ---------------------------------------------------------------------


def halves(model: DensityModel, atoms: tuple[int, int], theta: torch.Tensor, x: torch.Tensor):
    """Of each half (model, weights (k, n), h (k, n) each, log ν (k,) or None), shared first."""
    routed, shared, _ = model.parts(atoms)
    found = [(model.routed, *parts_by_torch(model.routed, theta[routed], x))]
    if model.shared is not None:
        found.insert(0, (model.shared, *parts_by_torch(model.shared, theta[shared], x)))
    spread = theta[model.spread_index(atoms)] if model.density.spread else None
    out, at = [], 0
    for half, weights, h in found:
        own = None if spread is None else spread[at : at + len(weights), None]
        out.append((half, weights, h, own))
        at += len(weights)
    return out


def atom_of(h: list[torch.Tensor], spread: torch.Tensor | None) -> Any:
    """The distribution of y of every atom."""
    if spread is not None:
        return Normal(h[0], torch.exp(0.5 * spread))
    return Categorical(logits=torch.stack([*h, torch.zeros_like(h[0])], dim=-1))


def log_components(
    model: DensityModel, atoms: tuple[int, int], theta: torch.Tensor, x: Any, y: torch.Tensor
) -> torch.Tensor:
    """(m + k, n), −∞ of atoms that are not selected."""
    each = halves(model, atoms, theta, x)
    parts = [
        torch.where(
            w > 0,
            torch.log(torch.where(w > 0, w, 1.0) / len(each)) + atom_of(h, spread).log_prob(y),
            -torch.inf,
        )
        for _, w, h, spread in each
    ]
    return torch.cat(parts)


def minus_log(given: Problem, x: Any, y: Any, weight: Any) -> Any:
    def cost(theta: torch.Tensor) -> torch.Tensor:
        parts = log_components(given.model, given.atoms, theta, x, y)
        return -(weight * parts.logsumexp(0)).sum()

    return cost


def averaged(given: Problem, theta: torch.Tensor, x: Any, y: Any, weight: Any) -> Any:
    """What EM minimises if weights at θ, of atoms in a group and of groups in a half, stand for
    the rows that each has of its group's or half's, and every atom's own y for the data."""
    at = halves(given.model, given.atoms, theta, x)
    posterior = log_components(given.model, given.atoms, theta, x, y).softmax(0).detach()

    def crossed(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        return torch.where(p > 0, p * torch.log(torch.where(p > 0, q, 1.0)), 0.0).sum(0)

    def cost(moved: torch.Tensor) -> torch.Tensor:
        total, first = torch.zeros(()), 0
        each = zip(at, halves(given.model, given.atoms, moved, x), strict=True)
        for (half, w, h, spread), (_, w_moved, h_moved, spread_moved) in each:
            r = posterior[first : first + len(w)]
            first += len(w)
            members = half.layout.members or (slice(0, len(w)),)
            groups = torch.stack([w[part].sum(0) for part in members])
            groups_moved = torch.stack([w_moved[part].sum(0) for part in members])
            gain = r.sum(0) * crossed(groups, groups_moved)
            for part, a, b in zip(members, groups, groups_moved, strict=True):
                gain = gain + r[part].sum(0) * crossed(w[part] / a, w_moved[part] / b)
            own, other = atom_of(h, spread), atom_of(h_moved, spread_moved)
            if spread is None:
                mean = (own.probs * other.logits).sum(-1)
            else:
                mean = other.log_prob(own.loc) - 0.5 * own.variance / other.variance
            total = total - (weight * (gain + (r * mean).sum(0))).sum()
        return total

    return cost


def close(ours: np.ndarray, theirs: torch.Tensor, tolerance: float = 1e-10) -> None:
    other = theirs.detach().numpy()
    assert np.abs(ours - other).max() <= tolerance * max(np.abs(other).max(), 1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GATES_HERE)
def test_sums_are_those_of_automatic_differentiation(name, kind):
    """Value, gradient and Hessian; the first matrix is that of EM; both kernels agree."""
    model = made_of(name, kind)
    atoms = (2 if model.shared is not None else 0, 3)
    drawn = problem(model, atoms, sum(map(ord, name + kind)))
    theta, x, y, weight = (
        torch.from_numpy(array[0]) for array in (drawn.theta, drawn.x, drawn.y, drawn.weight)
    )
    cost = minus_log(drawn, x, y, weight)
    value, gradient = cost(theta), torch.autograd.functional.jacobian(cost, theta)
    hessian = torch.autograd.functional.hessian(cost, theta)
    em = torch.autograd.functional.hessian(averaged(drawn, theta, x, y, weight), theta)
    log_p = model.log_density(model.unpack(drawn.theta[0], atoms), drawn.x[0], drawn.y[0])
    assert -(drawn.weight[0] * log_p).sum() == pytest.approx(float(value), rel=1e-12)
    found = {}
    for kernel in ("native", "torch"):
        sums = drawn.sums(kernel)
        for second, matrix in ((True, hessian), (False, em)):
            got = steps(sums, drawn.theta, [0], second)
            found[kernel, second] = got
            assert got[0][0] == pytest.approx(float(value), rel=1e-12)
            close(got[1][0], gradient)
            close(got[2][0], matrix)
        first = found[kernel, False]
        least = np.linalg.eigvalsh(first[2][0])[0]
        assert least >= -1e-12 * np.trace(first[2][0])
        own = np.array([i is not None for _, i, _ in model.numbers(atoms)])
        assert np.allclose(first[3][0][own], np.diagonal(first[2][0])[own], rtol=1e-9, atol=1e-12)
    for second in (True, False):
        for ours, theirs in zip(found["native", second], found["torch", second], strict=True):
            assert np.abs(ours - theirs).max() <= 1e-12 * np.abs(ours).max()
