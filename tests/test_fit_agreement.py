"""Fits against scipy.optimize.least_squares, and against themselves computed another way.

*Same cost is not automatic*: from one start two correct solvers may end in different local minima.
So three things are compared. Where both report a minimum and their fits differ by less than 1% of
the residual, the costs must agree to 1e-8 (a difference of 1% in the fit alone would allow 1e-4).
From the same starts ours may be worse by more than 1e-6 in one problem of ten, and not more often
than it is better; so may the best of five starts. Shares are asserted over the full product of
settings, marked slow; the part that always runs has too few problems for them.

*Identical* means costs to 1e-9. Parameters are then known to about 1e-8 standard errors times √n,
since a fit ends when the next step would lower the cost by 1e-16 of itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import optimize

from identkit.experts import ACTIVATIONS
from identkit.fit.model import Model, numpy_functions
from identkit.gates import GATES as EVERY
from identkit.mixing import MixingMeasure
from identkit.simulation import simulate

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

from identkit.fit import Box, Compute, Status, least_squares, replicates, torch_kernel  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

GATES = {name: gate for name, gate in EVERY.items() if gate.is_affine}
FREE = Box(np.inf, np.inf, np.inf)
TORCH, NATIVE = Compute(device="cpu", kernel="torch"), Compute(device="cpu", kernel="native")


# -- the same problem for scipy --------------------------------------------------------------------


class Residuals:
    """f_θ(x) - y and its Jacobian in NumPy, dense, from the model's scalar functions."""

    def __init__(self, model, x, y):
        self.model, self.x, self.y = model, x, y
        self.heads = model.heads(numpy_functions())
        self.features = np.column_stack([x, np.ones(len(x))])

    def _parts(self, theta):
        model, s = self.model, self.model.structure
        atoms, d = theta.reshape(-1, model.per_atom), model.dim
        score = atoms[:, : d + 1] @ self.features.T
        if model.exponential:
            score = score - score.max(axis=0)
        slots = np.zeros((model.slots, *score.shape))
        for v, (t, f, c) in enumerate(zip(s.slot_of, s.feature_of, s.scale_of, strict=True)):
            slots[t] += c * atoms[:, d + 1 + v, None] * self.features[:, f]
        direct = [self.x[:, f] for f in s.direct]
        gate = [np.broadcast_to(v, score.shape) for v in self.heads.gate(score)]
        expert = [np.broadcast_to(v, score.shape) for v in self.heads.expert(*slots, *direct)]
        if model.gate.normalised:
            gate = [g / gate[0].sum(axis=0) for g in gate]
        return gate, expert

    def value(self, theta):
        gate, expert = self._parts(theta)
        return (gate[0] * expert[0]).sum(axis=0) - self.y

    def jacobian(self, theta):
        model, s = self.model, self.model.structure
        gate, expert = self._parts(theta)
        mean = (gate[0] * expert[0]).sum(axis=0) if model.gate.normalised else 0.0
        columns = []
        for i in range(len(gate[0])):
            columns += list(gate[1][i] * (expert[0][i] - mean) * self.features.T)
            columns += [
                c * gate[0][i] * expert[1 + t][i] * self.features[:, f]
                for t, f, c in zip(s.slot_of, s.feature_of, s.scale_of, strict=True)
            ]
        return np.column_stack(columns)


@dataclass
class Peer:
    cost: float
    converged: bool
    theta: np.ndarray


def scipy_fit(model, x, y, start, fixed, bound=np.inf, max_nfev=1000):
    """MINPACK's lm without a box, trf within one; parameters ``fixed`` stay at the start."""
    problem, free = Residuals(model, x, y), ~fixed
    theta = start.to_vector()

    def full(part):
        out = theta.copy()
        out[free] = part
        return out

    first = theta[free]
    options = {"method": "lm"}
    if np.isfinite(bound):
        # trf starts strictly inside
        first = np.clip(first, -bound + 1e-3, bound - 1e-3)
        options = {"method": "trf", "bounds": (-bound, bound)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # overflow at trial points
        done = optimize.least_squares(
            lambda p: problem.value(full(p)),
            first,
            lambda p: problem.jacobian(full(p))[:, free],
            x_scale="jac",
            **dict.fromkeys(("ftol", "xtol", "gtol"), 1e-15),
            max_nfev=max_nfev,
            **options,
        )
    return Peer(float(done.cost), done.status > 0, full(done.x))


def pinned_parameters(model, atoms):
    fixed = np.zeros(atoms * model.per_atom, dtype=bool)
    if model.gate.pinning:
        last = (atoms - 1) * model.per_atom
        fixed[last : last + model.dim + 1] = True
    return fixed


def pinned(model, measure):
    return measure.pinned() if model.gate.pinning else measure


# -- well-specified --------------------------------------------------------------------------------

SMOOTH = [*(name for name in ACTIVATIONS if name != "relu"), "linear", "poly2"]
PRODUCT = [
    (name, gate, dim, k) for name in SMOOTH for gate in GATES for dim in (1, 2, 8) for k in (2, 3)
]
# one setting for each expert, dimension and k, and all of them in turn
SOME = [case for i, case in enumerate(PRODUCT) if i % 5 == 0]


def well_specified(name, gate, dim, k, replicates=2):
    """A truth whose atoms differ, with slopes that do not grow with d, and data around it."""
    model = Model.of(name, gate, dim=dim)
    rng = np.random.default_rng([dim, k])
    size = 0.5 if name in ("exp", "poly2") else 1.2
    truth = MixingMeasure(
        0.5 * rng.standard_normal(k),
        1.5 * rng.standard_normal((k, dim)) / np.sqrt(dim),
        size * rng.standard_normal((k, len(model.parameters))) / np.sqrt(dim),
    )
    n = 500 if dim == 8 else 250
    data = simulate(model, pinned(model, truth), n, replicates, noise=0.02, domain=(-2, 2))
    return model, data, pinned(model, data.starts(k, 0.05))


def compare(case):
    """(relative difference of the costs, same minimum, both converged) of every replicate."""
    model, data, starts = well_specified(*case)
    x, y = data.batch(range(len(data)))
    fixed = pinned_parameters(model, starts.atoms)
    ours = least_squares(model, x, y, starts, box=FREE, compute=TORCH)
    rows = []
    for i in range(len(data)):
        peer = scipy_fit(model, x[i], y[i], starts[i], fixed, max_nfev=400)
        gap = ours.model.predict(ours.measure[i], x[i]) - y[i]
        gap -= Residuals(model, x[i], y[i]).value(peer.theta)
        close = np.sqrt(np.mean(gap**2)) <= 0.01 * ours[i].root_mean_square
        minimum = peer.converged and ours.status[i].finished
        rows.append(((ours.cost[i] - peer.cost) / peer.cost, close and minimum))
    return rows


def assert_agreement(cases, least_share):
    rows = [(case, *row) for case in cases for row in compare(case)]
    same = [(case, gap) for case, gap, at_one in rows if at_one]
    assert len(same) >= least_share * len(rows)
    apart = [(case, f"{gap:.1e}") for case, gap in same if abs(gap) > 1e-8]
    assert not apart
    gaps = np.array([gap for _, gap, _ in rows])
    assert (gaps > 1e-6).mean() <= 0.1


def test_well_specified_fits_have_scipys_cost():
    assert {c[0] for c in SOME} == set(SMOOTH)
    assert {c[1:] for c in SOME} == {c[1:] for c in PRODUCT}
    assert_agreement(SOME, 0.8)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMOOTH)
def test_well_specified_fits_have_scipys_cost_everywhere(name):
    assert_agreement([c for c in PRODUCT if c[0] == name], 0.6)


def test_a_minimum_is_called_one():
    """Well-conditioned fits end as converged, with a gradient of rounding size."""
    counts = {}
    for name in ("gelu", "tanh", "sin", "softplus"):
        for gate in GATES:
            model, data, starts = well_specified(name, gate, 8, 2, replicates=4)
            x, y = data.batch(range(4))
            fit = least_squares(model, x, y, starts, box=FREE, compute=TORCH)
            assert (fit.gradient_norm <= 1e-7).all()
            for status in fit.status:
                counts[status] = counts.get(status, 0) + 1
    assert set(counts) == {Status.CONVERGED}, counts


# -- over-specified --------------------------------------------------------------------------------

# shared/fitting.md 1: well-conditioned truths with k* = 2, atoms (β1, β0, a, b)
OVER = {
    "sigmoid": [0, 1, 2.2, 0.7, -4.5, -1, -4, 1.25],
    "softmax": [0.9, 1.4, 1.5, 0.95, 0, 0, -2.4, -1.55],
    "normalized-sigmoid": [0, 1.1, -1.8, 1.6, -1.2, -1.4, 3.4, 3],
}


def over_specified(name, gate, noise, replicates, starts=1, seed=2):
    model = Model.of(name, gate)
    truth = MixingMeasure.from_vector(OVER[gate], 1, 2)
    data = simulate(model, truth, 300, replicates, noise=noise, seed=seed)
    several = [data.starts(3, 0.1 if s == 0 else 0.3, start=s) for s in range(starts)]
    return model, data, [pinned(model, s) for s in several]


def over_specified_gaps(cases, replicates, starts):
    """Relative differences of costs (problems, starts) and of the best, within the box."""
    gaps, best = [], []
    for name, gate, noise in cases:
        model, data, several = over_specified(name, gate, noise, replicates, starts)
        x, y = data.batch(range(replicates))
        ours = least_squares(model, x, y, several, compute=NATIVE)
        fixed = pinned_parameters(model, 3)
        for i in range(replicates):
            peers = [scipy_fit(model, x[i], y[i], s[i], fixed, bound=10.0).cost for s in several]
            gaps.append((ours.costs[i] - peers) / peers)
            best.append((ours.costs[i].min() - min(peers)) / min(peers))
    return np.array(gaps), np.array(best)


def test_over_specified_fits_are_no_worse_than_scipys():
    cases = [("tanh", "softmax", 0.05), ("gelu", "sigmoid", 0.05), ("sin", "softmax", 0.01)]
    gaps, _ = over_specified_gaps(cases, replicates=6, starts=1)
    assert (gaps > 1e-6).mean() <= 0.2
    assert (gaps < -1e-6).sum() >= (gaps > 1e-6).sum()
    assert (np.abs(gaps) <= 1e-8).mean() >= 0.4


@pytest.mark.slow
def test_over_specified_fits_over_all_smooth_ridge_experts():
    cases = [
        (name, gate, noise)
        for name in ("gelu", "silu", "sigmoid", "tanh", "softplus", "sin")
        for gate in GATES
        for noise in (0.05, 0.01)
    ]
    gaps, _ = over_specified_gaps(cases, replicates=6, starts=1)
    assert (gaps > 1e-6).mean() <= 0.1
    assert (gaps < -1e-6).sum() >= (gaps > 1e-6).sum()


@pytest.mark.slow
def test_the_best_of_five_starts_is_scipys_or_better():
    cases = [(name, gate, 0.05) for name in ("gelu", "tanh", "softplus") for gate in GATES]
    _, best = over_specified_gaps(cases, replicates=6, starts=5)
    assert (best > 1e-6).mean() <= 0.1
    assert (best < -1e-6).sum() >= (best > 1e-6).sum()


# -- the same fit, computed another way ------------------------------------------------------------


def plain(gate="softmax", replicates=7, n=300):
    """Well-conditioned fits in one dimension: rounding does not choose the minimum."""
    model = Model.of("tanh", gate)
    truth = MixingMeasure.from_vector(OVER[gate], 1, 2)
    data = simulate(model, truth, n, replicates, noise=0.05, seed=1)
    return model, data, [data.starts(2, 0.2, start=s) for s in range(2)]


def assert_equal_fits(found, expected, tolerance=0.0):
    """Bitwise, or costs to ``tolerance`` and parameters as the costs know them."""
    assert found.status == expected.status
    if not tolerance:
        assert np.array_equal(found.measure.to_vector(), expected.measure.to_vector())
        for name in ("cost", "costs", "gradient_norm", "steps", "passes", "start", "held"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name
        return
    assert found.costs == pytest.approx(expected.costs, rel=tolerance)
    assert found.measure.to_vector() == pytest.approx(
        expected.measure.to_vector(), rel=1e-6, abs=1e-6
    )


@pytest.mark.parametrize("compute", [TORCH, NATIVE], ids=["torch", "native"])
def test_repeated_fits_are_bitwise_equal(compute):
    model, data, starts = plain()
    x, y = data.batch(range(7))
    first, second = (least_squares(model, x, y, starts, compute=compute) for _ in range(2))
    assert_equal_fits(second, first)


def test_weighted_fits_do_not_depend_on_where_arrays_lie():
    """Bitwise the same again and again, whatever else is in memory."""
    model = Model.of("tanh", "sigmoid")
    truth = MixingMeasure.from_vector([1.5, 0.5, 1.5, 0.5, -2, -0.5, -1.5, 1], 1, 2)
    data = simulate(model, truth, 300, 5, noise=0.02, seed=4)
    rng, others, found = np.random.default_rng(0), [], set()
    for _ in range(60):
        others.append(np.empty(int(rng.integers(1, 3000))))
        if len(others) > 20:
            others.pop(int(rng.integers(20)))
        x, y = data.batch([3, 4])
        starts = data.starts(2, indices=[3, 4])
        fit = least_squares(model, x, y, starts, weight=np.ones_like(y), compute=NATIVE)
        found.add(fit.measure.to_vector().tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("compute", [TORCH, NATIVE], ids=["torch", "native"])
def test_batch_and_order_do_not_matter(compute):
    model, data, starts = plain()
    x, y = data.batch(range(7))
    together = least_squares(model, x, y, starts, compute=compute)
    order = np.array([4, 0, 6, 1, 5, 3, 2])
    shuffled = least_squares(model, x[order], y[order], [s[order] for s in starts], compute=compute)
    for place, r in enumerate(order):
        alone = least_squares(model, x[r], y[r], [s[int(r)] for s in starts], compute=compute)
        assert alone.status is together.status[r] is shuffled.status[place]
        assert_equal_fits(shuffled[place], together[int(r)])
        assert_equal_fits(alone, together[int(r)])


@pytest.mark.parametrize("size", [1, 3, 100])
def test_replicates_fit_in_batches_of_any_size(size):
    model, data, starts = plain()
    x, y = data.batch(range(7))
    together = least_squares(model, x, y, starts, compute=NATIVE)
    several = replicates(
        data,
        lambda r: [s[r] for s in starts],
        batch_bytes=2 * size * data.bytes_per_replicate,
        compute=NATIVE,
    )
    assert_equal_fits(several, together, 1e-9)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads):
    model, data, starts = plain()
    x, y = data.batch(range(7))
    one = least_squares(model, x, y, starts, compute=Compute("cpu", "native", True, 1))
    many = least_squares(model, x, y, starts, compute=Compute("cpu", "native", True, threads))
    assert_equal_fits(many, one)


@pytest.mark.parametrize("size", [2**12, 2**15, 2**30])
def test_chunks_of_samples_change_rounding_only(monkeypatch, size):
    model, data, starts = plain(n=2000)
    x, y = data.batch(range(7))
    usual = least_squares(model, x, y, starts, compute=TORCH)
    monkeypatch.setitem(torch_kernel.CHUNK_BYTES, "cpu", size)
    assert_equal_fits(least_squares(model, x, y, starts, compute=TORCH), usual, 1e-9)


def test_chunks_of_samples_change_parameters_by_rounding_only(monkeypatch):
    model, data, starts = plain(n=2000)
    x, y = data.batch(range(7))
    usual = least_squares(model, x, y, starts, compute=TORCH).measure.to_vector()
    monkeypatch.setitem(torch_kernel.CHUNK_BYTES, "cpu", 2**15)
    found = least_squares(model, x, y, starts, compute=TORCH).measure.to_vector()
    assert found == pytest.approx(usual, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("gate", GATES)
def test_both_kernels_reach_the_same_minimum(gate):
    model, data, starts = plain(gate)
    x, y = data.batch(range(7))
    native = least_squares(model, x, y, starts, compute=NATIVE)
    assert_equal_fits(least_squares(model, x, y, starts, compute=TORCH), native, 1e-9)


def test_x_in_common_is_the_same_as_x_repeated():
    model, data, starts = plain()
    x, y = data.batch(range(7))
    shared = least_squares(model, x[0], y, starts, compute=NATIVE)
    repeated = least_squares(model, np.repeat(x[:1], 7, axis=0), y, starts, compute=NATIVE)
    assert_equal_fits(shared, repeated)


def test_the_gauge_of_the_start_does_not_matter():
    model, data, starts = plain("softmax", replicates=3)
    x, y = data.batch(range(3))
    moved = [s.shifted(0.7, [-1.3]) for s in starts]
    usual = least_squares(model, x, y, starts, compute=NATIVE)
    assert_equal_fits(least_squares(model, x, y, moved, compute=NATIVE), usual, 1e-9)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_nodes_reach_the_minimum_of_all_data(gate, weighted):
    """Compression is a way to the minimum, which is polished on all data."""
    model, data, starts = plain(gate, replicates=3, n=20_000)
    x, y = data.batch(range(3))
    weight = np.random.default_rng(0).uniform(0.1, 3.0, y.shape) if weighted else None
    on, off = (
        least_squares(
            model, x, y, starts, weight=weight, compute=Compute("cpu", "native", nodes=nodes)
        )
        for nodes in (True, False)
    )
    assert on.settings.nodes > 0 == off.settings.nodes
    assert on.costs == pytest.approx(off.costs, rel=1e-8)
    assert (on.passes < off.passes).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("dim", [1, 2])
def test_the_gpu_finds_the_same_minimum(gate, dim):
    model, data, starts = well_specified("tanh", gate, dim, 2, replicates=8)
    x, y = data.batch(range(8))
    cpu = least_squares(model, x, y, starts, compute=TORCH)
    cuda = least_squares(model, x, y, starts, compute=Compute(device="cuda"))
    assert cuda.settings.device.startswith("cuda")
    assert cuda.settings.kernel == "torch"
    assert_equal_fits(cuda, cpu, 1e-6)
    again = least_squares(model, x, y, starts, compute=Compute(device="cuda"))
    assert again.costs == pytest.approx(cuda.costs, rel=1e-9)


@pytest.mark.parametrize("compute", [TORCH, NATIVE], ids=["torch", "native"])
@pytest.mark.parametrize("dim", [1, 3, 8])
def test_a_fit_alone_is_bitwise_the_fit_in_a_batch(dim, compute):
    model = Model.of("tanh", "softmax", dim)
    rng = np.random.default_rng(0)
    truth = MixingMeasure(
        rng.normal(size=2), rng.normal(size=(2, dim)), rng.normal(size=(2, dim + 1))
    )
    data = simulate(model, truth, 300, 8, noise=0.05)
    x, y = data.batch(range(8))
    start = data.starts(3)
    together = least_squares(model, x, y, start, compute=compute)
    for r in (0, 5):
        alone = least_squares(model, x[r], y[r], start[r], compute=compute)
        assert np.array_equal(alone.measure.to_vector(), together.measure[r].to_vector())
        assert alone.cost == together.cost[r]
