"""Voronoi losses, regression error and identifiable parts: by hand, by a slow loop, by symmetry."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from amounts import amount
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

import identkit
from identkit import InputError
from identkit.degeneracy.records import Family
from identkit.fit.model import Model
from identkit.losses import align, cells, identifiable_parts, norms, regression_error, voronoi
from identkit.mixing import MixingMeasure


def sigma(z):
    return 1 / (1 + math.exp(-z))


# -- an independent implementation: loops over atoms, no arrays ------------------------------------


def slow(fitted, truth, gate, regime=None, order=2.0, shift=0.0, cells=None):
    """The loss of one fitted measure whose β1 is shifted by ``shift``, and its cells.

    ``cells`` given are used, after checking that each holds a nearest true atom (one of a tie).
    """

    def atoms(m, move):
        return [
            (b0, tuple(b1 + move), tuple(eta))
            for b0, b1, eta in zip(m.beta0.tolist(), m.beta1, m.eta, strict=True)
        ]

    mine, true = atoms(fitted, np.asarray(shift)), atoms(truth, 0.0)
    if gate == "softmax":
        sums = [math.fsum(math.exp(a[0]) for a in side) for side in (mine, true)]
        weights = [
            [math.exp(a[0]) / s for a in side] for side, s in zip((mine, true), sums, strict=True)
        ]
    else:
        weights = [[sigma(a[0]) for a in side] for side in (mine, true)]
    where = []
    for i, (_, b1, eta) in enumerate(mine):
        distances = [math.hypot(math.dist(b1, t[1]), math.dist(eta, t[2])) for t in true]
        where.append(distances.index(min(distances)) if cells is None else int(cells[i]))
        assert distances[where[-1]] <= min(distances) + 1e-12
    terms = []
    for j, (b0_true, b1_true, eta_true) in enumerate(true):
        inside = [i for i, cell in enumerate(where) if cell == j]
        gap = abs(math.fsum(weights[0][i] for i in inside) - weights[1][j])
        if gate == "softmax" or not inside or (regime != 2 and len(inside) > 1):
            terms.append(gap)
        for i in inside:
            b0, b1, eta = mine[i]
            power = order if len(inside) > 1 and regime != 2 else 1.0
            distance = math.dist(b1, b1_true) ** power + math.dist(eta, eta_true) ** power
            if gate == "softmax":
                distance *= weights[0][i]
            elif regime == 2 or len(inside) == 1:
                distance += abs(b0 - b0_true)
            terms.append(distance)
    return math.fsum(terms), where


# Multiples of 1/8: sums and differences are exact, so ties are, too.
eighth = st.integers(-24, 24).map(lambda n: n / 8)


@st.composite
def pairs(draw, d=1, q=2, batch=2):
    """Fitted measures (a batch) and a truth with distinct atoms."""
    k, true = draw(st.integers(1, 4)), draw(st.integers(1, 3))

    def array(*shape):
        size = math.prod(shape)
        return np.reshape(draw(st.lists(eighth, min_size=size, max_size=size)), shape)

    truth = MixingMeasure(array(true), array(true, d), array(true, q))
    places = {(*b1, *eta) for b1, eta in zip(truth.beta1, truth.eta, strict=True)}
    assume(len(places) == true)
    return MixingMeasure(array(batch, k), array(batch, k, d), array(batch, k, q)), truth


GATES = ("sigmoid", "softmax")
VARIANTS = (
    ("sigmoid", None, None),
    ("sigmoid", 1, 3.0),
    ("sigmoid", 2, None),
    ("softmax", None, None),
    ("softmax", None, 1.0),
    ("softmax", None, 4.0),
)
variants = st.sampled_from(VARIANTS)


@settings(deadline=None)
@given(pairs(), variants)
def test_agrees_with_the_loop(pair, variant):
    fitted, truth = pair
    gate, regime, order = variant
    loss = voronoi(fitted, truth, gate, regime, order)
    for r, one in enumerate(fitted):
        shift = loss.shift[r]
        if gate == "sigmoid":
            assert not shift.any()
        value, _ = slow(one, truth, gate, regime, order or 2.0, shift, loss.cells[r])
        assert loss.value[r] == pytest.approx(value, rel=1e-12, abs=1e-12)
        sizes = np.bincount(loss.cells[r], minlength=truth.atoms)
        assert list(loss.sizes[r]) == list(sizes)
        assert list(loss.empty[r]) == list(sizes == 0)
    assert np.allclose(sum(loss.parts), loss.value)


@settings(deadline=None)
@given(pairs(batch=1), variants)
def test_one_and_many_agree(pair, variant):
    fitted, truth = pair
    many, one = voronoi(fitted, truth, *variant), voronoi(fitted[0], truth, *variant)
    assert one.value.shape == ()
    assert one.value == many.value[0]
    assert one.cells.shape == (fitted.atoms,)
    assert one.sizes.shape == (truth.atoms,)
    assert one.shift.shape == (1,)
    assert list(one.cells) == list(many.cells[0])


@settings(deadline=None)
@given(pairs(), eighth, eighth, eighth, eighth, variants.filter(lambda v: v[0] == "softmax"))
def test_invariant_under_the_gauge(pair, c0, c1, t0, t1, variant):
    """Shifts of the fitted measures and, other shifts, of the truth."""
    fitted, truth = pair
    before = voronoi(fitted, truth, *variant)
    after = voronoi(fitted.shifted(c0, [c1]), truth.shifted(t0, [t1]), *variant)
    assert np.array_equal(before.cells, after.cells)
    for name in ("value", "eta_over", "gate_over", "exact_error"):
        left, right = getattr(before, name), getattr(after, name)
        assert np.allclose(left, right, rtol=1e-9, atol=1e-12, equal_nan=True), name
    assert np.allclose(after.shift, before.shift - c1 + t1)


def test_shifts_far_away_and_not_exact():
    truth = MixingMeasure([0.3, -0.2], [[0.1], [2.3]], [[1.7, 0.2], [-0.4, 1.1]])
    fitted = MixingMeasure(
        [-0.4, -0.35, -0.25], [[0.11], [0.07], [2.3]], [[1.6, 0.2], [1.8, 0.3], [-0.4, 1.12]]
    )
    base = voronoi(fitted, truth, "softmax")
    assert 0 < base.value < 0.2
    for c0, c1 in ((700.0, 0.1), (-900.0, 1e3), (0.0, -1 / 3)):
        for moved in (
            voronoi(fitted.shifted(c0, [c1]), truth, "softmax"),
            voronoi(fitted, truth.shifted(c0, [c1]), "softmax"),
        ):
            assert moved.value == pytest.approx(base.value, rel=1e-9)
            assert list(moved.cells) == list(base.cells) == [0, 0, 1]


@settings(deadline=None)
@given(pairs(), variants, st.randoms(use_true_random=False))
def test_invariant_under_relabelling(pair, variant, random):
    fitted, truth = pair
    mine, true = list(range(fitted.atoms)), list(range(truth.atoms))
    random.shuffle(mine)
    random.shuffle(true)
    before = voronoi(fitted, truth, *variant)
    after = voronoi(fitted.relabelled(mine), truth.relabelled(true), *variant)
    assert np.array_equal(before.value, after.value)
    assert np.array_equal(before.shift, after.shift)
    assert np.array_equal(np.array(true)[after.cells], before.cells[:, mine])
    assert np.array_equal(before.sizes[:, true], after.sizes)
    assert np.array_equal(before.eta_over, after.eta_over, equal_nan=True)
    assert np.array_equal(before.exact_error, after.exact_error, equal_nan=True)


@settings(deadline=None)
@given(pairs(), variants, eighth, eighth, st.lists(st.integers(0, 2), min_size=1, max_size=3))
def test_zero_for_the_truth_with_atoms_split(pair, variant, c0, c1, extra):
    """Atoms of the truth split into several at the same place; softmax up to the gauge."""
    _, truth = pair
    gate = variant[0]
    copies = [*range(truth.atoms), *(j % truth.atoms for j in extra)]
    count = [copies.count(j) for j in copies]
    if gate == "softmax":
        beta0 = [truth.beta0[j] - math.log(n) for j, n in zip(copies, count, strict=True)]
    elif variant[1] == 2:
        beta0 = [truth.beta0[j] for j in copies]  # Regime 2 compares β0 atom by atom
    else:
        share = [sigma(truth.beta0[j]) / n for j, n in zip(copies, count, strict=True)]
        beta0 = [math.log(w / (1 - w)) for w in share]
    fitted = MixingMeasure(beta0, truth.beta1[copies], truth.eta[copies])
    if gate == "softmax":
        fitted = fitted.shifted(c0, [c1])
    loss = voronoi(fitted, truth, *variant)
    assert loss.value == pytest.approx(0.0, abs=1e-12)
    assert list(loss.cells) == copies
    assert not loss.empty.any()


@settings(deadline=None)
@given(pairs(batch=1), variants)
def test_zero_only_if_all_atoms_lie_on_true_ones_with_their_weights(pair, variant):
    fitted, truth = pair
    one = fitted[0]
    loss = voronoi(one, truth, *variant)
    spread = one.beta1 + loss.shift - truth.beta1[loss.cells]
    away = spread.any() or (one.eta - truth.eta[loss.cells]).any() or loss.empty.any()
    if variant[0] == "softmax":
        mine, true = (np.exp(m.beta0) / np.exp(m.beta0).sum() for m in (one, truth))
        total = np.bincount(loss.cells, weights=mine, minlength=truth.atoms)
        away = away or np.abs(total - true).max() > 1e-12
    elif (loss.sizes == 1).all():
        away = away or (one.beta0 != truth.beta0[loss.cells]).any()
    assert not away or loss.value > 0


def test_ties_go_to_the_smaller_true_atom():
    truth = MixingMeasure([0.0, 0.0], [[0.0], [0.0]], [[1.0, -1.0], [-1.0, 1.0]])
    assert list(cells(linear(1, [0.0, 0.0]), truth, "sigmoid")) == [1]
    assert list(cells(linear(1, [0.0, 0.0]), truth.relabelled([1, 0]), "sigmoid")) == [0]


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v[0] == "softmax"])
def test_the_gauge_found_is_the_best_one(variant):
    """Against a fine grid of shifts, the best one polished: none is better beyond rounding."""
    rng = np.random.default_rng(3)
    truth = MixingMeasure([0.4, -0.3], [[0.0], [1.0]], [[1.0, 0.0], [-1.0, 0.5]])
    for origin in ([0, 0, 1], [0, 1], [0, 0, 1, 1]):
        for scale in (0.01, 0.1):
            noise = scale * rng.normal(size=(len(origin), 4))
            fitted = MixingMeasure(
                truth.beta0[origin] + noise[:, 0] - np.log(np.bincount(origin)[origin]),
                truth.beta1[origin] + noise[:, 1:2] + 5.0,
                truth.eta[origin] + noise[:, 2:],
            )
            loss = voronoi(fitted, truth, *variant)
            assert list(loss.cells) == origin

            def at(t, fitted=fitted):
                return slow(fitted, truth, *variant[:2], variant[2] or 2.0, [float(t)])[0]

            grid = np.linspace(-8, -2, 601)
            start = grid[np.argmin([at(t) for t in grid])]
            found = optimize.minimize_scalar(
                at, bounds=(start - 0.02, start + 0.02), method="bounded", options={"xatol": 1e-10}
            )
            assert loss.value <= found.fun * (1 + 1e-6)


# -- by hand ---------------------------------------------------------------------------------------

TRUTH = MixingMeasure([0.0, math.log(3)], [[0.0], [2.0]], [[1.0], [3.0]])


def test_softmax_by_hand():
    """Weights ¼, ½, ¼ against ¼, ¾; gate deviations .2, −.4 balance, so the shift stays 0."""
    fitted = MixingMeasure(
        [math.log(0.25), math.log(0.5), math.log(0.25)],
        [[0.0], [2.2], [1.6]],
        [[1.1], [3.0], [3.3]],
    )
    loss = voronoi(fitted.shifted(-2.0, [9.0]), TRUTH, "softmax")
    assert list(loss.cells) == [0, 1, 1]
    assert loss.shift == pytest.approx([-9.0])
    assert loss.parts.weight == pytest.approx(0.0, abs=1e-15)
    assert loss.parts.over == pytest.approx(0.5 * 0.04 + 0.25 * (0.16 + 0.09))
    assert loss.parts.exact == pytest.approx(0.25 * 0.1)
    assert loss.eta_over == pytest.approx(0.3)
    assert loss.gate_over == pytest.approx(0.4)
    assert loss.exact_error == pytest.approx(0.1)
    assert voronoi(fitted, TRUTH, "softmax", order=1).parts.over == pytest.approx(
        0.5 * 0.2 + 0.25 * (0.4 + 0.3)
    )
    assert voronoi(fitted, TRUTH, "softmax", order=3).parts.over == pytest.approx(
        0.5 * 0.008 + 0.25 * (0.064 + 0.027)
    )


def test_softmax_weights_by_hand():
    fitted = MixingMeasure([0.0, 0.0], [[0.0], [2.0]], [[1.0], [3.0]])
    loss = voronoi(fitted, TRUTH, "softmax")  # ½, ½ against ¼, ¾
    assert loss.value == pytest.approx(0.5)
    assert loss.parts.weight == pytest.approx(0.5)
    assert math.isnan(loss.eta_over)
    assert math.isnan(loss.gate_over)
    assert loss.exact_error == 0


def test_sigmoid_regime_1_by_hand():
    fitted = MixingMeasure([-1.0, 0.5, 1.0], [[0.1], [-0.2], [2.5]], [[1.3], [0.9], [3.25]])
    loss = voronoi(fitted, TRUTH, "sigmoid")
    assert list(loss.cells) == [0, 0, 1]
    assert loss.parts.weight == pytest.approx(abs(sigma(-1.0) + sigma(0.5) - 0.5))
    assert loss.parts.over == pytest.approx(0.01 + 0.09 + 0.04 + 0.01)
    assert loss.parts.exact == pytest.approx(math.log(3) - 1.0 + 0.5 + 0.25)
    assert loss.value == pytest.approx(sum(map(float, loss.parts)))
    assert loss.eta_over == pytest.approx(0.3)
    assert loss.gate_over == pytest.approx(0.2)
    assert loss.exact_error == loss.parts.exact
    assert voronoi(fitted, TRUTH, "sigmoid", order=4).parts.over == pytest.approx(
        0.1**4 + 0.3**4 + 0.2**4 + 0.1**4
    )


def test_sigmoid_regime_2_by_hand():
    fitted = MixingMeasure([-1.0, 0.5, 1.0], [[0.1], [-0.2], [2.5]], [[1.3], [0.9], [3.25]])
    loss = voronoi(fitted, TRUTH, "sigmoid", regime=2)
    assert loss.parts.weight == 0
    assert loss.parts.over == pytest.approx(1.0 + 0.1 + 0.3 + 0.5 + 0.2 + 0.1)
    assert loss.parts.exact == pytest.approx(math.log(3) - 1.0 + 0.5 + 0.25)


@pytest.mark.parametrize("regime", [1, 2])
def test_empty_cells_are_reported_and_cost_their_weight(regime):
    fitted = MixingMeasure([0.0, 0.0], [[2.0], [2.0]], [[3.0], [3.0]])
    loss = voronoi(fitted, TRUTH, "sigmoid", regime=regime)
    assert list(loss.empty) == [True, False]
    assert list(loss.sizes) == [0, 2]
    over = abs(2 * 0.5 - 0.75) if regime == 1 else 0.0
    assert loss.parts.weight == pytest.approx(0.5 + over)
    assert math.isnan(loss.exact_error)
    softmax = voronoi(fitted, TRUTH, "softmax")
    assert softmax.parts.weight == pytest.approx(0.25 + 0.25)
    assert softmax.sizes.sum() == 2


def test_an_over_specified_atom_with_a_slope_breaks_the_premise_of_regime_1():
    over = MixingMeasure.stack(
        [
            MixingMeasure([0.0] * 3, [[0.0], [0.0], [2.0]], [[1.0], [1.0], [3.0]]),
            MixingMeasure([0.0] * 3, [[0.0], [2.0], [2.0]], [[1.0], [3.0], [3.0]]),
        ]
    )
    assert list(voronoi(over, TRUTH, "sigmoid").premise) == [True, False]
    assert voronoi(over, TRUTH, "sigmoid", regime=2).premise.all()
    assert voronoi(over, TRUTH, "softmax").premise.all()


@example([0.0, 0.0])
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=2))
def test_align_writes_the_fit_in_the_gauge_of_the_truth(shift):
    moved = align(TRUTH.shifted(shift[0], [shift[1]]).relabelled([1, 0]), TRUTH, "softmax")
    assert np.allclose(moved.beta0, TRUTH.beta0[::-1])
    assert np.allclose(moved.beta1, TRUTH.beta1[::-1])
    assert align(TRUTH, TRUTH, "sigmoid") is TRUTH


def test_two_inputs_and_cells_by_the_nearest_of_all_distances():
    rng = np.random.default_rng(0)
    truth = MixingMeasure(rng.normal(size=3), rng.normal(size=(3, 2)), rng.normal(size=(3, 3)))
    fitted = MixingMeasure(
        rng.normal(size=(20, 5)), rng.normal(size=(20, 5, 2)), rng.normal(size=(20, 5, 3))
    )
    found = cells(fitted, truth, "sigmoid")
    for r, i in itertools.product(range(20), range(5)):
        squares = ((fitted.beta1[r, i] - truth.beta1) ** 2).sum(1)
        squares = squares + ((fitted.eta[r, i] - truth.eta) ** 2).sum(1)
        assert found[r, i] == np.argmin(squares)
    loss = voronoi(fitted, truth, "softmax")
    for r in range(20):
        value, where = slow(fitted[r], truth, "softmax", shift=loss.shift[r])
        assert where == list(loss.cells[r])
        assert loss.value[r] == pytest.approx(value, rel=1e-12)
        for i, j in itertools.product(range(5), range(3)):
            candidate = truth.beta1[j] - fitted.beta1[r, i]
            assert value <= slow(fitted[r], truth, "softmax", shift=candidate)[0] + 1e-12


def test_a_thousand_fits_in_well_under_a_second():
    import time

    rng = np.random.default_rng(0)
    truth = MixingMeasure(rng.normal(size=4), rng.normal(size=(4, 1)), rng.normal(size=(4, 2)))
    fitted = MixingMeasure(
        rng.normal(size=(1000, 10)), rng.normal(size=(1000, 10, 1)), rng.normal(size=(1000, 10, 2))
    )
    start = time.process_time()
    voronoi(fitted, truth, "softmax")
    assert time.process_time() - start < 1.5  # 0.2 s on an idle core


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((TRUTH, MixingMeasure.stack([TRUTH]), "sigmoid"), {}, "batch of 1"),
        ((TRUTH, MixingMeasure([0.0], [[1.0]], [[1.0, 2.0]]), "sigmoid"), {}, "q = 2"),
        ((TRUTH, TRUTH, "sigmod"), {}, "sigmoid"),
        ((TRUTH, TRUTH, "sigmoid"), {"regime": 3}, "regime 3"),
        ((TRUTH, TRUTH, "softmax"), {"regime": 2}, "no such regime; leave it out"),
        ((TRUTH, TRUTH, "sigmoid"), {"order": 0.5}, "order 0.5"),
        ((TRUTH, TRUTH, "sigmoid"), {"order": 2, "regime": 2}, "first powers"),
        ((TRUTH, TRUTH.relabelled([0, 1]).shifted(0, [0]), "sigmoid"), {"order": math.nan}, "nan"),
        (
            (TRUTH, MixingMeasure([0, 1, 2], [[1], [0], [1]], [[1], [1], [1]]), "sigmoid"),
            {},
            "atoms 0 and 2 have the same",
        ),
    ],
)
def test_what_does_not_fit(arguments, options, message):
    with pytest.raises(InputError, match=message):
        voronoi(*arguments, **options)


# -- regression error ------------------------------------------------------------------------------


def linear(d, *etas):
    """Linear experts; gates of slope 0 under sigmoid."""
    return MixingMeasure(np.zeros(len(etas)), np.zeros((len(etas), d)), etas)


def test_quadrature_by_hand():
    """One softmax atom has weight 1: ‖Δa·x + Δb‖ = √(Δa²·L²/3 + Δb²) on [−L, L]."""
    model = Model.of("linear", "softmax", dim=1)
    fitted = MixingMeasure.stack([linear(1, [1.0, 2.0]), linear(1, [0.5, -1.0])])
    found = regression_error(model, fitted, linear(1, [0.0, 1.0]))
    assert found.value == pytest.approx([math.sqrt(3 + 1), math.sqrt(0.25 * 3 + 4)], rel=1e-13)
    assert (found.error < 1e-13).all()
    assert found.standard_error is None
    assert "quadrature" in found.method
    half = regression_error(model, fitted, linear(1, [0.0, 1.0]), domain=(0.0, 1.0))
    assert half.value[0] == pytest.approx(math.sqrt(1 / 3 + 1 + 1), rel=1e-13)
    one = regression_error(model, fitted[0], linear(1, [0.0, 1.0]))
    assert one.value.shape == ()
    assert one.value == found.value[0]


def test_quadrature_states_its_error():
    """Against scipy's adaptive quadrature told where the kinks are."""
    model = Model.of("relu", "sigmoid", dim=1)
    truth = MixingMeasure([0.2], [[0.5]], [[1.3, 0.4]])
    fitted = MixingMeasure([0.1], [[0.7]], [[1.1, -0.6]])

    def square(x):
        def f(m):
            gate = sigma(m.beta1[0, 0] * x + m.beta0[0])
            return gate * max(0.0, m.eta[0, 0] * x + m.eta[0, 1])

        return (f(fitted) - f(truth)) ** 2 / 6

    exact = math.sqrt(integrate.quad(square, -3, 3, points=[-0.4 / 1.3, 0.6 / 1.1])[0])
    for points in (64, 256, 1024):
        found = regression_error(model, fitted, truth, points=points)
        assert abs(found.value - exact) <= 3 * found.error + 1e-12
    assert found.value == pytest.approx(exact, rel=1e-5)
    assert 0 < found.error < 1e-5


def test_monte_carlo_states_its_error():
    model = Model.of("linear", "softmax", dim=3)
    fitted, truth = linear(3, [1.0, 0.5, -2.0, 0.3]), linear(3, [0.0, 0.0, 0.0, 0.0])
    exact = math.sqrt(3 * (1 + 0.25 + 4) + 0.09)
    off = []
    for seed in range(40):
        found = regression_error(model, fitted, truth, points=400, seed=seed)
        assert found.error is None
        off.append(float((found.value - exact) / found.standard_error))
    assert 0.6 < np.std(off) < 1.4  # the stated standard error is the spread
    assert abs(np.mean(off)) < 0.6
    again = regression_error(model, fitted, truth, points=400, seed=39)
    assert again.value == found.value
    assert "seed 39" in again.method
    same = regression_error(model, fitted, fitted, points=100)
    assert (same.value, same.standard_error) == (0.0, 0.0)


@pytest.mark.parametrize("dim", [1, 2])
def test_chunks_change_nothing(monkeypatch, dim):
    model = Model.of("gelu", "softmax", dim=dim)
    rng = np.random.default_rng(1)
    truth, fitted = (
        MixingMeasure(*(rng.normal(size=(*s, w)[: len(s) + bool(w)]) for w in (0, dim, dim + 1)))
        for s in ((2,), (5, 3))
    )
    whole = regression_error(model, fitted, truth, points=200)
    parts = identifiable_parts(model, fitted, truth, ())
    monkeypatch.setattr(norms, "_CHUNK", 7)
    again = regression_error(model, fitted, truth, points=200)
    assert again.value == pytest.approx(whole.value, rel=1e-12)
    monkeypatch.setattr(norms, "_CHUNK", 33)
    assert identifiable_parts(model, fitted, truth, ()).aggregate == pytest.approx(
        parts.aggregate, rel=1e-10
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": (1.0, 1.0)}, "smaller first"),
        ({"domain": (0.0, math.inf)}, "smaller first"),
        ({"points": 3}, "points 3"),
    ],
)
def test_regression_error_inputs(options, message):
    model = Model.of("linear", "softmax", dim=1)
    with pytest.raises(InputError, match=message):
        regression_error(model, linear(1, [0.0, 1.0]), linear(1, [0.0, 1.0]), **options)


# -- identifiable parts ----------------------------------------------------------------------------


def setting(expert, gate, shape=None):
    kwargs = {} if shape is None else {"shape": shape}
    found = identkit.check(expert, gate, dim=1, **kwargs).results[0].second_order
    return Model.of(expert, gate, 1, shape), found.families


def test_relu_along_its_scale_family():
    """w1 c1 + w2 c2 = w*: the same f, raw parameters off, everything identified exact."""
    model, families = setting("relu", "sigmoid")
    truth = MixingMeasure([0.0, 0.5], [[0.0], [1.0]], [[1.0, 0.5], [-2.0, 1.0]])
    w1, c1, w2 = 0.3, 0.6, 0.2
    c2 = (0.5 - w1 * c1) / w2
    logit = [math.log(w / (1 - w)) for w in (w1, w2)]
    fitted = MixingMeasure(
        [*logit, 0.5],
        [[0.0], [0.0], [1.0]],
        [[c1, 0.5 * c1], [c2, 0.5 * c2], [-2.0, 1.0]],
    )
    assert voronoi(fitted, truth, "sigmoid").value > 0.3
    assert regression_error(model, fitted, truth).value < 1e-14
    found = identifiable_parts(model, fitted, truth, families)
    assert list(found.cells) == [0, 0, 1]
    assert found.orbit == pytest.approx(0.0, abs=1e-14)
    (direction,) = found.directions
    assert direction.parameters == ("a", "b")
    assert direction.error == pytest.approx(0.0, abs=1e-14)
    assert found.aggregate == pytest.approx(0.0, abs=1e-14)
    assert found.identified == ()
    assert np.isnan(found.identified_error).all()


@settings(deadline=None, max_examples=amount(12, 25))
@example([(0.0, 0.0), (-1.0, 0.0), (0.5, 0.5)], (1.0, 0.5))
@given(
    st.lists(st.tuples(eighth, eighth), min_size=3, max_size=3),
    st.tuples(eighth, eighth).filter(any),
)
def test_distance_and_direction_of_a_ray(etas, true):
    """In closed form: the curve is {c·η*, c > 0}."""
    model, families = RELU
    fitted = MixingMeasure([0.0] * 3, [[0.0]] * 3, etas)
    found = identifiable_parts(model, fitted, linear(1, true), families, points=16)
    for i, eta in enumerate(etas):
        c = max(0.0, float(np.dot(eta, true) / np.dot(true, true)))
        assert found.orbit[i] == pytest.approx(math.dist(eta, np.multiply(c, true)), abs=1e-10)
        assert found.orbit[i] <= math.dist(eta, true)
        error = found.directions[0].error[i]
        if any(eta):
            angle = math.atan2(eta[1], eta[0]) - math.atan2(true[1], true[0])
            assert error == pytest.approx(abs(2 * math.sin(angle / 2)), abs=1e-12)
        else:
            assert math.isnan(error)


RELU = setting("relu", "sigmoid")


def test_an_output_weight_moves_and_the_rest_is_identified():
    model, families = setting("gelu", "softmax", "ffn")
    truth = linear(1, [2.0, 1.0, 0.5])
    fitted = linear(1, [5.0, 1.1, 0.3], [-1.0, 1.0, 0.5])
    found = identifiable_parts(model, fitted, truth, families)
    assert found.identified == ("a", "b")
    assert found.identified_error == pytest.approx([math.hypot(0.1, 0.2), 0.0])
    kinds = {f.kind for f in found.families}
    assert all(f.moving == ("c",) for f in found.families)
    assert found.directions == ()
    # a scale keeps the sign of c, a split does not
    assert found.orbit[0] == pytest.approx(math.hypot(0.1, 0.2), abs=1e-12)
    assert found.orbit[1] == pytest.approx(0.0 if "split" in kinds else 1.0, abs=1e-12)


def test_linear_identifies_no_parameter_but_the_aggregate():
    model, families = setting("linear", "sigmoid")
    truth, fitted = linear(1, [2.0, 1.0]), linear(1, [-7.0, 3.0], [10.0, -1.5])
    found = identifiable_parts(model, fitted, truth, families)
    assert sorted((f.kind, f.moving) for f in found.families) == [
        ("scale", ("a", "b")),
        ("split", ("a",)),
        ("split", ("b",)),
    ]
    by_moving = {f.moving: f.distance for f in found.families}
    assert by_moving["a",] == pytest.approx([2.0, 2.5], abs=1e-12)
    assert by_moving["b",] == pytest.approx([9.0, 8.0], abs=1e-12)
    assert found.orbit == pytest.approx(0.0, abs=1e-12)
    assert found.directions == ()  # the splits turn (a, b)
    assert found.identified == ()
    # σ(0)·(a1 + a2 − a*) = .5, σ(0)·(b1 + b2 − b*) = .25
    assert found.aggregate == pytest.approx([math.sqrt(3 * 0.25 + 0.0625)], rel=1e-12)


def test_joint_orbit_of_several_families():
    """relu ffn: c and (a, b) are scaled apart; the third family adds nothing to these two."""
    model, families = setting("relu", "sigmoid", "ffn")
    assert {f.kind for f in families} == {"redundant", "scale"}
    truth = linear(1, [2.0, 1.0, 0.5])
    fitted = linear(1, [4.0, 1.0, 1.0], [-1.0, 0.1, 0.05], [0.5, 4.0, 2.0])
    found = identifiable_parts(model, fitted, truth, families)
    ray = math.dist([1.0, 1.0], np.multiply(1.5 / 1.25, [1.0, 0.5]))
    assert found.orbit == pytest.approx([ray, 1.0, 0.0], abs=1e-7)
    assert [d.parameters for d in found.directions] == [("a", "b")]
    assert found.directions[0].error[1:] == pytest.approx(0.0, abs=1e-12)
    (hyperbola,) = (f for f in families if f.kind == "redundant")
    (distance,) = (f.distance for f in found.families if f.kind == "redundant")
    assert dict(hyperbola.curve)["a"] == "a*exp(-s)"
    for i, (c, a, b) in enumerate(fitted.eta):
        s = np.linspace(-4, 4, 400_001)  # steps of 2e-5, slopes of at most 10
        path = (2 * np.exp(s) - c) ** 2 + (np.exp(-s) - a) ** 2 + (0.5 * np.exp(-s) - b) ** 2
        assert math.sqrt(path.min()) - 2e-4 <= distance[i] <= math.sqrt(path.min()) + 1e-12
        assert found.orbit[i] <= distance[i] + 1e-12


@settings(deadline=None, max_examples=amount(12, 25))
@given(
    st.lists(st.tuples(eighth, eighth, eighth), min_size=3, max_size=3),
    st.tuples(eighth, eighth, eighth).filter(lambda v: v[0] and any(v[1:])),
)
def test_joint_orbit_in_closed_form(etas, true):
    """relu ffn: the half-line of c times the ray of (a, b); never farther than a single curve."""
    model, families = RELU_FFN
    fitted = MixingMeasure([0.0] * 3, [[0.0]] * 3, etas)
    found = identifiable_parts(model, fitted, linear(1, true), families, points=16)
    for i, (c, *slope) in enumerate(etas):
        ray = np.array(true[1:])
        scale = max(0.0, float(ray @ slope / (ray @ ray)))
        exact = math.hypot(0.0 if c * true[0] > 0 else c, math.dist(slope, scale * ray))
        assert found.orbit[i] == pytest.approx(exact, abs=1e-5)
        assert all(found.orbit[i] <= f.distance[i] + 1e-12 for f in found.families)


RELU_FFN = setting("relu", "sigmoid", "ffn")


def test_phase_and_translation():
    model, families = setting("sin", "sigmoid")
    found = identifiable_parts(model, linear(1, [1.25, 30.0]), linear(1, [1.0, 2.0]), families)
    assert [f.kind for f in found.families] == ["phase"]
    assert found.orbit == pytest.approx([0.25], abs=1e-12)
    assert found.identified == ("a",)
    assert found.identified_error == pytest.approx([0.25])


def test_without_families_all_parameters_are_identified():
    model, families = setting("gelu", "softmax")
    assert families == ()
    found = identifiable_parts(model, linear(1, [1.3, 2.4]), linear(1, [1.0, 2.0]), families)
    assert found.identified == ("a", "b")
    assert found.orbit == found.identified_error == pytest.approx([0.5])


def test_a_family_without_closed_form_is_said_to_be_skipped():
    model, _ = setting("gelu", "softmax")
    flow = Family(
        "flow", "s", "0", (), (("a", "b"), ("b", "0")), "1", "0", 1, (), (), (), (), (), ()
    )
    found = identifiable_parts(model, linear(1, [1.3, 2.4]), linear(1, [1.0, 2.0]), (flow,))
    assert np.isnan(found.orbit).all()
    assert "moves a has no closed form" in found.notes[0]
    assert found.identified == ("b",)
    assert found.identified_error == pytest.approx([0.4])


def test_aggregate_of_cells_against_quadrature():
    model = Model.of("gelu", "softmax", dim=1)
    truth = MixingMeasure([0.0, 0.4], [[0.3], [-0.8]], [[1.2, 0.1], [-0.7, 0.6]])
    fitted = MixingMeasure(
        [-0.7, -0.6, 0.4], [[0.2], [0.5], [-0.8]], [[1.1, 0.0], [1.4, 0.2], [-0.7, 0.5]]
    )

    def terms(m, x):
        scores = [math.exp(b1 * x + b0) for b0, b1 in zip(m.beta0, m.beta1[:, 0], strict=True)]
        z = [a * x + b for a, b in m.eta]
        phi = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in z]
        return [s / sum(scores) * h for s, h in zip(scores, phi, strict=True)]

    def gap(x, j):
        mine, true = terms(fitted, x), terms(truth, x)
        return (sum(mine[i] for i in ([0, 1], [2])[j]) - true[j]) ** 2 / 6

    found = identifiable_parts(model, fitted, truth, ())
    assert list(found.cells) == [0, 0, 1]
    for j in (0, 1):
        exact = math.sqrt(integrate.quad(gap, -3, 3, args=(j,), epsabs=1e-14)[0])
        assert found.aggregate[j] == pytest.approx(exact, rel=1e-9)
    assert (found.aggregate_error < 1e-9).all()
    moved = identifiable_parts(model, fitted.shifted(3.0, [2.0]), truth.shifted(1.0, [-4.0]), ())
    assert moved.aggregate == pytest.approx(found.aggregate, rel=1e-9)
    assert moved.orbit == pytest.approx(found.orbit)
    back = identifiable_parts(model, fitted.relabelled([2, 0, 1]), truth.relabelled([1, 0]), ())
    assert list(back.cells) == [0, 1, 1]
    assert back.aggregate[::-1] == pytest.approx(found.aggregate, rel=1e-12)
    assert back.orbit == pytest.approx(found.orbit[[2, 0, 1]])


def test_by_cell_takes_the_largest_and_given_cells_are_used():
    model = Model.of("gelu", "sigmoid", dim=1)
    truth = MixingMeasure([0.0] * 3, [[0.0], [1.0], [9.0]], [[1.0, 0.0]] * 3)
    fitted = MixingMeasure.stack(
        [
            MixingMeasure([0.0] * 3, [[0.0], [0.0], [1.0]], [[1.5, 0.0], [1.0, -0.25], [1.0, 2.0]]),
            MixingMeasure([0.0] * 3, [[0.0], [1.0], [9.0]], [[1.5, 0.0], [1.0, -0.25], [1.0, 2.0]]),
        ]
    )
    found = identifiable_parts(model, fitted, truth, ())
    largest = found.by_cell(found.orbit)
    assert largest[0] == pytest.approx([0.5, 2.0, math.nan], nan_ok=True)
    assert largest[1] == pytest.approx([0.5, 0.25, 2.0])
    assert found.sizes.tolist() == [[2, 1, 0], [1, 1, 1]]
    # the empty cell keeps the whole true term
    x = np.linspace(-3, 3, 20001)[:, None]
    term = model.weights(truth, x)[2] * model.experts(truth, x)[2]
    assert found.aggregate[0, 2] == pytest.approx(math.sqrt(np.mean(term**2)), rel=1e-3)
    other = identifiable_parts(model, fitted, truth, (), cells=[[0, 0, 0], [2, 1, 0]])
    assert other.by_cell(other.orbit)[0] == pytest.approx([2.0, math.nan, math.nan], nan_ok=True)
    assert other.sizes.tolist() == [[3, 0, 0], [1, 1, 1]]


def test_identifiable_parts_inputs():
    model, families = RELU
    with pytest.raises(InputError, match="labels 0 to 0"):
        identifiable_parts(model, linear(1, [1.0, 1.0]), linear(1, [1.0, 2.0]), (), cells=[1])
    with pytest.raises(InputError, match="give measures of this model"):
        identifiable_parts(model, linear(1, [1.0]), linear(1, [2.0]), ())
    other = Model.of("sin", "sigmoid", 1, "nobias")
    with pytest.raises(InputError, match="they move b"):
        identifiable_parts(other, linear(1, [1.0]), linear(1, [2.0]), families)
