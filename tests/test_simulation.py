"""Simulated data: reproducible bit by bit however they are drawn, and of the right law."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from identkit import simulation
from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.gates import GATES, resolve
from identkit.mixing import MixingMeasure
from identkit.simulation import CHUNK, STARTS, simulate

TRUTH = MixingMeasure([0.0, 1.0], [[0.0], [2.2]], [[-4.5, -1.0], [-4.0, 1.25]])
PLANE = MixingMeasure([0.5, 0.0], [[0.0, 0.0], [1.0, -1.0]], [[1.0, 2.0, 0.0], [0.5, 0.0, 1.0]])
ZERO = MixingMeasure([0.0], [[0.0]], [[0.0]])
MODELS = {
    ("sigmoid", 1): (Model.of("gelu", "sigmoid"), TRUTH),
    ("softmax", 1): (Model.of("gelu", "softmax"), TRUTH),
    ("sigmoid", 2): (Model.of("tanh", "sigmoid", dim=2), PLANE),
    ("softmax", 2): (Model.of("tanh", "softmax", dim=2), PLANE),
}
NOISE_ONLY = Model.of("input-free", "sigmoid")
"""With ZERO as the truth f = 0, so that y is the noise."""


def drawn(n=50, replicates=6, gate="sigmoid", dim=1, noise=0.1, **options):
    return simulate(*MODELS[gate, dim], n, replicates, noise=noise, **options)


def noise_only(n, replicates=1, noise=1.0, **options):
    return simulate(NOISE_ONLY, ZERO, n, replicates, noise=noise, **options)


# -- the same bits however they are drawn -----------------------------------------------------

GOLDEN_X = [-0.45087051121102917, -0.5023942421662859, -0.4602107635453532]
GOLDEN_Y = [-1.2869967500081207, 0.5502175912504093, 0.15457639790024136]


def test_golden_stream():
    """Pins the stream: a change here changes every published experiment."""
    x, y = noise_only(3, 3, seed=20).data(2)
    assert x[:, 0].tolist() == GOLDEN_X
    assert y.tolist() == GOLDEN_Y


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)),
    st.permutations(range(6)),
    st.integers(1, 6),
    st.integers(1, 40),
)
def test_batches_and_order_change_no_bit(case, order, size, n):
    gate, dim = case
    data = drawn(n, gate=gate, dim=dim)
    alone = [data.data(r) for r in range(6)]
    for i in range(0, 6, size):
        part = order[i : i + size]
        x, y = data.batch(part)
        assert x.shape == (len(part), n, dim)
        assert y.shape == (len(part), n)
        for j, r in enumerate(part):
            assert np.array_equal(x[j], alone[r][0])
            assert np.array_equal(y[j], alone[r][1])


@pytest.mark.parametrize(("gate", "dim"), sorted(MODELS))
def test_several_chunks(gate, dim):
    data = drawn(2 * CHUNK + 77, 3, gate, dim)
    x, y = data.batch(range(3))
    for r in (2, 0, 1):
        alone = data.data(r)
        assert np.array_equal(x[r], alone[0])
        assert np.array_equal(y[r], alone[1])
    clean = data.model.predict(data.truth, x[1])
    assert np.allclose(y[1] - clean, noise_of(data, 1), atol=1e-12)


def noise_of(data, r):
    """The noise by a route of its own: all of x in one call, then all of the noise."""
    bits = np.random.PCG64DXSM(np.random.SeedSequence(data.seed, spawn_key=(r, data.n)))
    rng = np.random.Generator(bits)
    rng.random((data.n, data.dim))
    return data.noise * rng.standard_normal(data.n)


def test_chunk_size_does_not_change_the_draws(monkeypatch):
    """Only predict could see the chunks, and it does not for a constant expert."""
    before = noise_only(1000, 2).batch(range(2))
    monkeypatch.setattr(simulation, "CHUNK", 7)
    after = noise_only(1000, 2).batch(range(2))
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_more_replicates_leave_the_first_alone():
    few, many = drawn(replicates=2), drawn(replicates=200)
    assert np.array_equal(few.data(1)[1], many.data(1)[1])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4000), st.lists(st.integers(0, 5), max_size=8))
def test_batches_stream_everything_once_in_order(max_bytes, indices):
    data = drawn(10)
    stream = list(data.batches(max_bytes, indices))
    assert [r for part, _, _ in stream for r in part] == indices
    for part, x, y in stream:
        assert len(part) == 1 or x.nbytes + y.nbytes <= max_bytes / 2
        again = data.batch(part)
        assert np.array_equal(x, again[0])
        assert np.array_equal(y, again[1])


def test_batches_cover_all_replicates_by_default():
    stream = list(drawn(replicates=5).batches())
    assert [part.tolist() for part, _, _ in stream] == [[0, 1, 2, 3, 4]]
    assert len(list(drawn(replicates=5).batches(1))) == 5


def test_streaming_keeps_memory_bounded():
    data = noise_only(CHUNK, 60)
    limit = 8 * data.bytes_per_replicate
    assert limit < 60 * data.bytes_per_replicate / 7
    data.batch([0])  # what is compiled once
    tracemalloc.start()
    try:
        count = sum(len(y) for _, _, y in data.batches(limit))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 60
    assert peak < limit + 40 * CHUNK * 8  # predict works on a chunk


# -- what the draws depend on -----------------------------------------------------------------


def test_x_does_not_depend_on_noise_or_truth():
    x = drawn(noise=0.1).batch(range(3))[0]
    assert np.array_equal(x, drawn(noise=2.0).batch(range(3))[0])
    assert np.array_equal(x, drawn(gate="softmax").batch(range(3))[0])
    assert np.array_equal(x, noise_only(50, 6).batch(range(3))[0])


def test_the_noise_scales():
    one, two = (noise_only(50, noise=sd).data(0)[1] for sd in (1.0, 2.0))
    assert np.array_equal(2 * one, two)


def test_no_noise_is_the_regression_function():
    data = drawn(noise=0.0)
    x, y = data.data(3)
    assert np.array_equal(y, data.model.predict(data.truth, x))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 2**70)] * 2, st.integers(1, 4)), min_size=2, unique=True)
)
def test_other_seeds_replicates_and_sizes_are_other_data(keys):
    first = [noise_only(n, r + 1, seed=seed).data(r) for seed, r, n in keys]
    assert len({(x[0, 0], y[0]) for x, y in first}) == len(keys)


@pytest.mark.parametrize("option", ["seed", "n", "r"])
def test_streams_are_uncorrelated(option):
    a = noise_only(4000, 2)
    b = {"seed": noise_only(4000, seed=1), "n": noise_only(4001), "r": a}[option]
    r = int(option == "r")
    for left, right in zip(a.data(0), b.data(r), strict=True):
        assert not np.array_equal(left[:4000], right[:4000])
        correlation = np.corrcoef(left.ravel(), right[:4000].ravel())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(4000)


# -- the law ----------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", [(-3.0, 3.0), (0.0, 1.0), (-5.0, -4.5)])
def test_x_is_uniform_and_the_noise_normal(domain):
    data = noise_only(20_000, 4, noise=0.3, seed=1, domain=domain)
    x, y = data.batch(range(4))
    low, high = domain
    assert x.min() >= low
    assert x.max() <= high
    assert stats.kstest(x.ravel(), stats.uniform(low, high - low).cdf).pvalue > 1e-3
    assert stats.kstest(y.ravel(), stats.norm(0, 0.3).cdf).pvalue > 1e-3
    assert y.mean() == pytest.approx(0, abs=4 * 0.3 / np.sqrt(y.size))
    assert y.var() == pytest.approx(0.09, rel=4 * np.sqrt(2 / y.size))
    assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 4 / np.sqrt(y.size)


def test_inputs_are_independent_in_two_dimensions():
    x, _ = drawn(20_000, 2, dim=2, seed=3).data(1)
    assert abs(np.corrcoef(x.T)[0, 1]) < 4 / np.sqrt(20_000)
    for column in x.T:
        assert stats.kstest(column, stats.uniform(-3, 6).cdf).pvalue > 1e-3


def test_first_samples_of_replicates_are_a_sample_too():
    """Across replicates, not only within one."""
    x, y = noise_only(1, 3000, seed=2).batch(range(3000))
    assert stats.kstest(x.ravel(), stats.uniform(-3, 6).cdf).pvalue > 1e-3
    assert stats.kstest(y.ravel(), stats.norm.cdf).pvalue > 1e-3


# -- starting measures ------------------------------------------------------------------------


@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
@pytest.mark.parametrize("kind", sorted(STARTS))
def test_starts_depend_on_seed_replicate_kind_and_start_only(gate, kind):
    data = drawn(gate=gate)
    starts = data.starts(4, kind=kind)
    assert starts.batch == (6,)
    assert starts.atoms == 4
    again = drawn(n=7, replicates=9, gate=gate, noise=5.0).starts(4, kind=kind, indices=[5, 1])
    assert np.array_equal(again.to_vector(), starts[[5, 1]].to_vector())
    others = [
        data.starts(4, kind=kind, start=1),
        drawn(gate=gate, seed=1).starts(4, kind=kind),
        *(data.starts(4, kind=other) for other in STARTS if other != kind),
    ]
    for other in others:
        assert not np.isclose(other.to_vector(), starts.to_vector()).any(axis=1).all()
    assert len(np.unique(starts.to_vector(), axis=0)) == 6


def centre(kind, k, gate="sigmoid", dim=1, **options):
    return drawn(gate=gate, dim=dim).starts(k, 0.0, kind, **options)[0]


@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_copies_share_the_weight(gate, over, k):
    model, truth = MODELS[gate, 1]
    measure = centre("local", k, gate, over=over)
    m = k - 1
    weight = {"sigmoid": lambda b: 1 / (1 + np.exp(-b)), "softmax": np.exp}[gate]
    copies = slice(over, over + m)
    assert np.allclose(weight(measure.beta0[copies]), weight(truth.beta0[over]) / m, rtol=1e-13)
    assert (measure.eta[copies] == truth.eta[over]).all()
    if gate == "softmax" or over == 0:  # sigmoid: copies add up where β1* = 0
        x = np.linspace(-3, 3, 50)[:, None]
        assert np.allclose(model.predict(measure, x), model.predict(truth, x), atol=1e-12)


@pytest.mark.parametrize("beta0", [-700.0, -40.0, 0.0, 36.0, 700.0])
def test_sharing_a_sigmoid_weight_at_the_extremes(beta0):
    shared = GATES["sigmoid"].share.beta0(beta0, 2)
    if beta0 < -30:  # σ(b) = exp(b) there
        assert shared == pytest.approx(beta0 - np.log(2), rel=1e-14)
    else:
        assert 1 / (1 + np.exp(-shared)) == pytest.approx(0.5 / (1 + np.exp(-beta0)), rel=1e-12)


def test_every_gate_has_a_rule_for_sharing():
    assert all(gate.share is not None for gate in GATES.values() if gate.is_affine)


def test_split_spreads_the_scales():
    assert np.allclose(centre("split", 3).eta[:2], np.outer([0.6, 1.4], TRUTH.eta[0]))
    assert np.allclose(
        centre("split", 4, over=1, spread=0.2).eta[1:], np.outer([0.8, 1, 1.2], TRUTH.eta[1])
    )
    assert np.array_equal(centre("split", 2).to_vector(), TRUTH.to_vector())
    relu = simulate(Model.of("relu", "sigmoid"), TRUTH, 10, noise=0.01)
    x = np.linspace(-3, 3, 50)[:, None]
    split = relu.starts(3, 0.0, "split")[0]
    assert np.allclose(relu.model.predict(split, x), relu.model.predict(TRUTH, x))


def test_null_atoms_leave_f_as_it_is_under_the_sigmoid_gate():
    measure = centre("null", 4)
    assert np.array_equal(measure.eta, [*TRUTH.eta, [0, 0], [0, 0]])
    x = np.linspace(-3, 3, 50)[:, None]
    model = MODELS["sigmoid", 1][0]
    assert np.array_equal(model.predict(measure, x), model.predict(TRUTH, x))


def test_starts_scatter_as_scale_says():
    data = drawn(replicates=4000, dim=2)
    starts = data.starts(3, 0.2, start=5)
    residual = (starts.to_vector() - centre("local", 3, dim=2).to_vector()) / 0.2
    assert stats.kstest(residual.ravel(), stats.norm.cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(residual.T) - np.eye(residual.shape[1])).max() < 5 / np.sqrt(4000)


def test_away_starts_fill_the_box():
    low, high = [-1.0, 0.0, -2.0, 4.0], [1.0, 0.0, 5.0, 4.5]
    starts = drawn(replicates=3000).starts(2, kind="away", box=(low, high))
    atoms = starts.to_vector().reshape(-1, 4)
    for i in (0, 2, 3):
        law = stats.uniform(low[i], high[i] - low[i])
        assert stats.kstest(atoms[:, i], law.cdf).pvalue > 1e-3
    assert (starts.beta0 == 0).all()  # second of (β1, β0, a, b)
    assert drawn().starts(1, kind="away").atoms == 1  # fewer atoms than the truth


# -- wrong inputs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n: 0 must"),
        ({"n": 2.5}, "n: 2.5 is not a whole number"),
        ({"replicates": 0}, "replicates: 0"),
        ({"replicates": True}, "replicates: True"),
        ({"seed": -1}, "seed: -1"),
        ({"seed": "a"}, "seed: 'a'"),
        ({"noise": -0.1}, "noise: -0.1 is a standard deviation"),
        ({"noise": float("nan")}, "noise: nan must be finite"),
        ({"noise": float("inf")}, "noise: inf must be finite"),
        ({"noise": "loud"}, "noise: 'loud'"),
        ({"domain": (1, 1)}, "domain: .1, 1. is empty"),
        ({"domain": (3, -3)}, "domain: .3, -3. is empty"),
        ({"domain": (0, float("inf"))}, "domain: inf must be finite"),
        ({"domain": (-1e308, 1e308)}, "too wide"),
        ({"domain": 3}, "domain: 3 is not a pair"),
        ({"domain": (1, 2, 3)}, "is not a pair"),
        ({"truth": MixingMeasure.stack([TRUTH, TRUTH])}, "truth: holds 2 measures"),
        ({"truth": PLANE}, "mixing measure: it has d = 2"),
        ({"truth": ZERO}, "q = 1"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    options = {"truth": TRUTH, "n": 10, "noise": 0.1, **options}
    with pytest.raises(InputError, match=message):
        simulate(MODELS["sigmoid", 1][0], **options)


def test_numpy_numbers_are_numbers():
    data = drawn(np.int64(5), np.int32(2), noise=np.float32(0.5), seed=np.uint64(2**63))
    assert data.data(np.int64(1))[0].shape == (5, 1)


@pytest.mark.parametrize("r", [-1, 6, 1.0, "0"])
def test_wrong_replicates_are_named(r):
    data = drawn()
    for ask in (data.data, lambda r: data.batch([0, r]), lambda r: data.starts(3, indices=[r])):
        with pytest.raises(InputError, match=f"replicate: {r!r}"):
            ask(r)
    with pytest.raises(InputError, match="max_bytes: 0"):
        data.batches(0)
    with pytest.raises(InputError, match=f"replicate: {r!r}"):
        data.batches(indices=[r])  # before the first batch is asked for


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "lokal"}, "unknown start 'lokal'; did you mean local"),
        ({"k": 0}, "k: 0"),
        ({"k": 1}, "k: 1 atoms are fewer than the 2 of the truth"),
        ({"start": -1}, "start: -1"),
        ({"scale": -1}, "scale: -1"),
        ({"scale": float("nan")}, "scale: nan"),
        ({"over": 2}, "over: the truth has no atom 2"),
        ({"kind": "split", "spread": float("inf")}, "spread: inf"),
        ({"kind": "away", "box": (1, 0)}, "box: each low"),
        ({"kind": "away", "box": (0, [1, 2])}, "box: must be .* 4 numbers"),
        ({"kind": "away", "box": 3}, "box: must be"),
        ({"indices": []}, "replicate: none is chosen"),
    ],
)
def test_wrong_starts_are_named(options, message):
    with pytest.raises(InputError, match=message):
        drawn().starts(**{"k": 3, **options})


def test_a_gate_without_a_rule_is_named():
    model, truth = MODELS["sigmoid", 1]
    other = Model(model.expert, replace(model.gate, name="other", share=None))
    data = simulate(other, truth, 5, noise=0.1)
    assert data.starts(2).atoms == 2
    with pytest.raises(InputError, match="gate 'other' among 2 copies"):
        data.starts(3)


def test_a_truth_that_is_not_finite_is_named():
    class Pole:
        """Stands in for an expert with a pole at 0."""

        dim = 1
        gate = resolve("sigmoid")

        def pack(self, truth):
            return truth.to_vector()

        def predict(self, truth, x):
            return np.where(x[:, 0] > 2.9, np.inf, 0.0)

    data = simulate(Pole(), TRUTH, 1000, noise=0.1)
    with pytest.raises(InputError, match=r"truth: f is not finite at x = \(2\.9"):
        data.data(0)
