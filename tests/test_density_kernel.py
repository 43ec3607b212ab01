"""The sums of maximum likelihood, native and in torch, against log p written by hand in torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from routed_models import NAMES, dims, measure, parts_by_torch
from torch.distributions import Categorical, Normal

from identkit.density import DensityMeasure, DensityModel, maximum_likelihood
from identkit.density.kernel import CpuSums
from identkit.density.torch_kernel import TorchSums
from identkit.experts import builtin
from identkit.fit.problem import Compute
from identkit.gates import GATES, Gate, resolve
from identkit.likelihoods.categorical import with_classes
from identkit.mixing import MixingMeasure

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
KERNELS = ("native", "torch")
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
        parts = (self.model, self.atoms, self.x, columns, self.weight if weighted else None)
        if kernel == "torch":
            return TorchSums(*parts, CPU)
        return CpuSums(*parts, threads)


def steps(sums: Any, theta: np.ndarray, which: Any, second: bool) -> tuple[np.ndarray, ...]:
    index = np.asarray(which, dtype=np.int64)
    if isinstance(sums, TorchSums):
        found = sums.steps(torch.from_numpy(theta), torch.from_numpy(index), second)
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


def minus_log(of: Problem, x: Any, y: Any, weight: Any) -> Any:
    def cost(theta: torch.Tensor) -> torch.Tensor:
        parts = log_components(of.model, of.atoms, theta, x, y)
        return -(weight * parts.logsumexp(0)).sum()

    return cost


def averaged(of: Problem, theta: torch.Tensor, x: Any, y: Any, weight: Any) -> Any:
    """What EM minimises if weights at θ, of atoms in a group and of groups in a half, stand for
    the rows that each has of its group's or half's, and every atom's own y for the data."""
    at = halves(of.model, of.atoms, theta, x)
    posterior = log_components(of.model, of.atoms, theta, x, y).softmax(0).detach()

    def crossed(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        return torch.where(p > 0, p * torch.log(torch.where(p > 0, q, 1.0)), 0.0).sum(0)

    def cost(moved: torch.Tensor) -> torch.Tensor:
        total, first = torch.zeros(()), 0
        each = zip(at, halves(of.model, of.atoms, moved, x), strict=True)
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
    for kernel in KERNELS:
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


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["softmax", "normalized-sigmoid", "hierarchical", "top-2"])
def test_sums_of_a_problem_do_not_depend_on_the_batch(name, kernel):
    """Bitwise, whatever else is asked for, in what order, by how many threads; 1500 samples are
    two blocks of the native loop, 60 problems several groups in torch."""
    model = made_of(name, "free, shared")
    drawn = problem(model, (1, 3), 11, batch=60, samples=150 if kernel == "torch" else 1500)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sums, many = drawn.sums(kernel), drawn.sums(kernel, threads=3)
        every = np.arange(60)
        turned = np.random.default_rng(0).permutation(60)
        for second in (True, False):
            whole = steps(sums, drawn.theta, every, second)
            other = steps(many, drawn.theta[turned], turned, second)
            for a, b in zip(whole, other, strict=True):
                assert np.array_equal(a[turned], b)
            for r in (0, 17, 59):
                alone = steps(sums, drawn.theta[[r]], [r], second)
                apart = Problem(model, (1, 3), *(v[[r]] for v in drawn[2:])).sums(kernel)
                again = steps(apart, drawn.theta[[r]], [0], second)
                for a, b, c in zip(whole, alone, again, strict=True):
                    assert np.array_equal(a[r], b[0])
                    assert np.array_equal(a[r], c[0])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("kernel", KERNELS)
def test_inputs_may_be_shared_and_weights_left_out(kernel):
    model = made_of("softmax", "free, shared")
    drawn = problem(model, (2, 2), 5, batch=3)
    shared = drawn._replace(x=drawn.x[:1])
    repeated = drawn._replace(x=np.repeat(drawn.x[:1], 3, axis=0), weight=np.ones_like(drawn.y))
    for second in (True, False):
        ours = steps(shared.sums(kernel, weighted=False), drawn.theta, [0, 1, 2], second)
        theirs = steps(repeated.sums(kernel), drawn.theta, [0, 1, 2], second)
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a - b).max() <= 1e-13 * np.abs(b).max()


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_row_of_weight_two_is_two_rows(kernel):
    model = made_of("normalized-sigmoid", "free")
    drawn = problem(model, (0, 3), 6)
    count = np.random.default_rng(1).integers(0, 4, size=SAMPLES)
    weighted = drawn._replace(weight=count[None].astype(float))
    rows = np.repeat(np.arange(SAMPLES), count)
    repeated = drawn._replace(x=drawn.x[:, rows], y=drawn.y[:, rows])
    for second in (True, False):
        ours = steps(weighted.sums(kernel), drawn.theta, [0], second)
        theirs = steps(repeated.sums(kernel, weighted=False), drawn.theta, [0], second)
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a - b).max() <= 1e-12 * np.abs(b).max()


@pytest.mark.parametrize("kernel", KERNELS)
def test_many_samples_are_the_sum_of_their_parts(kernel, monkeypatch):
    """Whatever the chunks."""
    from identkit.fit import torch_kernel

    model = made_of("softmax", "3 classes")
    drawn = problem(model, (0, 3), 7, samples=3000)
    monkeypatch.setitem(torch_kernel.CHUNK_BYTES, "cpu", 2**17)
    for second in (True, False):
        whole = steps(drawn.sums(kernel), drawn.theta, [0], second)
        parts = [
            drawn._replace(x=drawn.x[:, p], y=drawn.y[:, p], weight=drawn.weight[:, p])
            for p in (slice(0, 1), slice(1, 777), slice(777, 3000))
        ]
        added = [steps(p.sums(kernel), drawn.theta, [0], second) for p in parts]
        for a, *b in zip(whole, *added, strict=True):
            assert np.abs(a - sum(b)).max() <= 1e-11 * np.abs(a).max()


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_fit_alone_is_the_fit_in_a_batch(kernel):
    model = DensityModel.of("linear", "softmax", shared="linear")
    drawn = problem(model, (1, 2), 8, batch=4, samples=90)
    starts = model.unpack(drawn.theta, (1, 2))

    def fitted(part: Any, threads: int) -> Any:
        return maximum_likelihood(
            model, drawn.x[part], drawn.y[part], starts[part], weight=drawn.weight[part],
            compute=Compute(kernel=kernel, threads=threads), max_steps=15, em_steps=5,
        )  # fmt: skip

    first = fitted(slice(None), 1)
    for threads in (1, 3):
        whole = fitted(slice(None), threads)
        assert np.array_equal(model.pack(first.measure), model.pack(whole.measure))
        for r in (0, 3):
            alone = fitted(r, threads)
            assert np.array_equal(model.pack(alone.measure), model.pack(whole.measure[r]))
            assert alone.log_likelihood == whole.log_likelihood[r]
            assert alone.status == whole.status[r]


@pytest.mark.parametrize("kind", ["2 classes, shared", "free, shared"])
@pytest.mark.parametrize("name", ["softmax", "normalized-sigmoid"])
def test_both_kernels_fit_the_same(name, kind):
    model = made_of(name, kind)
    drawn = problem(model, (1, 2), 9, batch=3, samples=120)
    starts = model.unpack(drawn.theta, (1, 2))
    ours, theirs = (
        maximum_likelihood(
            model, drawn.x, drawn.y, starts, max_steps=10, compute=Compute(kernel=kernel)
        )
        for kernel in KERNELS
    )
    assert theirs.settings.kernel == "torch"
    assert theirs.log_likelihood == pytest.approx(ours.log_likelihood, rel=1e-8)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    k=st.integers(1, 4),
    m=st.integers(1, 3),
    name=st.sampled_from(["softmax", "normalized-sigmoid", "quadratic", "laplace"]),
    size=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_any_numbers_of_atoms(seed, k, m, name, size):
    """Far from 0 as well, where posterior probabilities are 0 and 1 and scores saturate."""
    model = made_of(name, "free, shared")
    drawn = problem(model, (m, k), seed, samples=30)
    routed = model.parts((m, k))[0]
    drawn.theta[0, routed] *= size
    theta, x, y, weight = (
        torch.from_numpy(array[0]) for array in (drawn.theta, drawn.x, drawn.y, drawn.weight)
    )
    cost = minus_log(drawn, x, y, weight)
    value, gradient = float(cost(theta)), torch.autograd.functional.jacobian(cost, theta)
    native, ours = (steps(drawn.sums(kernel), drawn.theta, [0], True) for kernel in KERNELS)
    for found in (native, ours):
        assert found[0][0] == pytest.approx(value, rel=1e-11)
        close(found[1][0], gradient, 1e-9)
    for a, b in zip(native, ours, strict=True):
        assert np.abs(a - b).max() <= 1e-10 * max(np.abs(a).max(), 1e-3)
    for kernel in KERNELS:
        first = steps(drawn.sums(kernel), drawn.theta, [0], False)[2][0]
        assert np.linalg.eigvalsh(first)[0] >= -1e-12 * np.trace(first)


def test_logits_and_scores_far_out_are_exact():
    """Where exp leaves the range of float64: by logarithms of sums in NumPy."""
    rng = np.random.default_rng(2)
    for classes in (2, 3, 4):
        expert = with_classes(builtin("linear", None, 1), classes)
        model = DensityModel.of(expert, "softmax", "categorical")
        drawn = problem(model, (0, 2), classes)
        drawn.theta[:] *= 1e4
        measured = model.unpack(drawn.theta[0], (0, 2))
        h = model.outputs(measured, drawn.x[0])  # (k, classes - 1, n)
        logits = np.concatenate([h, np.zeros_like(h[:, :1])], axis=1)
        own = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        y = rng.integers(0, classes, size=SAMPLES)
        score = model.routed.scores(measured.routed, drawn.x[0])
        gate = score - np.logaddexp.reduce(score, axis=0)
        log_p = np.logaddexp.reduce(gate + own[:, y, np.arange(SAMPLES)], axis=0)
        there = drawn._replace(y=y[None].astype(float))
        assert np.abs(log_p).max() > 1e3
        assert model.log_density(measured, drawn.x[0], y) == pytest.approx(log_p, rel=1e-12)
        for kernel in KERNELS:
            cost, *rest = steps(there.sums(kernel, weighted=False), drawn.theta, [0], True)
            assert cost[0] == pytest.approx(-log_p.sum(), rel=1e-12)
            assert all(np.isfinite(values).all() for values in rest)


@pytest.mark.parametrize("gate", ["normalized-sigmoid", "normalised relu(s)"])
def test_an_atom_without_weight_leaves_the_others_as_they_are(gate):
    """ω is 0, or too small for a number: its λ = ω'/ω must not make all others NaN."""
    found = Gate.from_expression(gate) if "relu" in gate else gate
    model = DensityModel.of("linear", found)
    drawn = problem(model, (0, 3), 3)
    offsets, slopes, eta = (
        np.array([0.5, 1.0, -1e4]),
        np.array([[0.0], [0.1], [0.0]]),
        np.ones((3, 2)),
    )
    routed = MixingMeasure(offsets, slopes, eta)
    without = MixingMeasure(offsets[:2], slopes[:2], eta[:2])
    theta = model.pack(DensityMeasure(routed, [0.5, 1.0, 2.0]))[None]
    less = model.pack(DensityMeasure(without, [0.5, 1.0]))[None]
    two = drawn._replace(atoms=(0, 2))
    kept = [i for i, (_, atom, _) in enumerate(model.numbers((0, 3))) if atom != 2]
    for second in (True, False):
        for kernel in KERNELS:
            ours = steps(drawn.sums(kernel), theta, [0], second)
            theirs = steps(two.sums(kernel), less, [0], second)
            assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
            assert np.isfinite(ours[2]).all()
            assert ours[1][0, kept] == pytest.approx(theirs[1][0], rel=1e-10, abs=1e-12)
            matrix = ours[2][0][np.ix_(kept, kept)]
            assert matrix == pytest.approx(theirs[2][0], rel=1e-10, abs=1e-12)


def test_there_is_no_density_where_no_atom_has_a_weight():
    model = DensityModel.of("linear", Gate.from_expression("normalised relu(s)"))
    drawn = problem(model, (0, 2), 3)
    routed = MixingMeasure([-1.0, -1.0], [[0.0], [0.0]], np.ones((2, 2)))
    theta = model.pack(DensityMeasure(routed, [0.5, 1.0]))[None]
    for kernel in KERNELS:
        assert np.isnan(steps(drawn.sums(kernel), theta, [0], True)[0][0])
