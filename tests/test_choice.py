"""How many atoms: the dendrogram of a fit, the criteria, and what they name on simulated data."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.cluster.hierarchy import linkage

pytest.importorskip("torch")
pytest.importorskip("numba")

import identkit
from identkit.choice import Choice, CrossValidation, Frame, choose, criteria, dendrogram
from identkit.choice.choosing import check_range
from identkit.errors import InputError
from identkit.experts import Expert
from identkit.fit import Model, least_squares
from identkit.fit.result import Status
from identkit.fit.running import best_fit
from identkit.gates import GATES, resolve
from identkit.report.choice_report import notes
from identkit.tables import Table

M = identkit.MixingMeasure
TANH = Model.of("tanh", "softmax")
PLANE = Model.of("tanh", "softmax", dim=2)
GELU = Model.of("gelu", "sigmoid")
FRAMES = {model: Frame.of(model) for model in (TANH, PLANE, GELU)}
SAME = 1e-9
"""Relative: between two ways to compute one height in float64."""


def inputs(dim=1, n=60, seed=0):
    return np.random.default_rng(seed).normal(0.4, 1.7, (n, dim))


numbers = st.floats(-3, 3).map(lambda v: round(v, 3))


@st.composite
def measures(draw, dim=1, q=2, most=5):
    k = draw(st.integers(2, most))

    def block(*shape):
        size = int(np.prod(shape))
        return np.reshape(draw(st.lists(numbers, min_size=size, max_size=size)), shape)

    return M(block(k), block(k, dim), block(k, q))


# -- the dendrogram ---------------------------------------------------------------------------


def by_hand(measure, x):
    """Heights of a tanh ridge under softmax by the definition, in plain loops."""
    mean, sd, d = x.mean(axis=0), x.std(axis=0), x.shape[1]
    scores = x @ measure.beta1.T + measure.beta0
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    atoms = [
        {
            "w": weights[:, i],
            "b0": measure.beta0[i],
            "b1": measure.beta1[i],
            "a": measure.eta[i, :d],
            "b": measure.eta[i, d],
        }
        for i in range(measure.atoms)
    ]

    def distance(one, two):
        p, r = one["w"].mean(), two["w"].mean()
        levels = [o["b"] + o["a"] @ mean for o in (one, two)]
        square = (((one["b1"] - two["b1"]) * sd) ** 2).sum()
        square += (((one["a"] - two["a"]) * sd) ** 2).sum() + (levels[0] - levels[1]) ** 2
        return p * r / (p + r) * square

    found = {}
    while len(atoms) > 1:
        every = [
            (distance(atoms[i], atoms[j]), i, j)
            for i in range(len(atoms))
            for j in range(i + 1, len(atoms))
        ]
        height, i, j = min(every)
        found[len(atoms)] = height
        one, two = atoms[i], atoms[j]
        both = one["w"] + two["w"]
        centre = both @ x / both.sum()
        masses = [o["w"].mean() for o in (one, two)]
        share = masses[0] / sum(masses)
        local = [o["b0"] + o["b1"] @ centre for o in (one, two)]
        total = np.logaddexp(*local)
        slope = sum(np.exp(s - total) * o["b1"] for s, o in zip(local, (one, two), strict=True))
        merged = {"w": both, "b1": slope, "b0": total - slope @ centre}
        merged |= {n: share * one[n] + (1 - share) * two[n] for n in ("a", "b")}
        atoms = [a for n, a in enumerate(atoms) if n not in (i, j)] + [merged]
    return found


@given(st.integers(1, 2).flatmap(lambda d: measures(dim=d, q=d + 1)))
def test_heights_are_those_of_the_definition(measure):
    model = TANH if measure.dim == 1 else PLANE
    x = inputs(measure.dim)
    tree = dendrogram(FRAMES[model], measure, x)
    expected = by_hand(measure, x)
    ordered = sorted(expected.values())
    if any(b - a < SAME * (1 + b) for a, b in pairwise(ordered)):
        return  # ties may be broken either way
    assert tree.heights == pytest.approx(expected, rel=SAME, abs=1e-12)
    assert tree.complete
    assert [level.atoms for level in tree.levels] == list(range(measure.atoms, 0, -1))
    assert sum(tree.masses) == pytest.approx(1.0)


def test_with_equal_masses_it_is_that_of_ward():
    """Gates that are all alike: heights are p/2 times the squares of SciPy's."""
    eta = np.random.default_rng(3).normal(size=(7, 2))
    x = np.linspace(-1.0, 1.0, 41)[:, None]
    x = (x - x.mean()) / x.std()
    tree = dendrogram(FRAMES[TANH], M(np.zeros(7), np.zeros((7, 1)), eta), x)
    ward = linkage(eta, "ward")
    np.testing.assert_allclose(tree.linkage[:, 2], ward[:, 2] ** 2 / 2 / 7, rtol=1e-10)
    np.testing.assert_array_equal(tree.linkage[:, [0, 1, 3]], ward[:, [0, 1, 3]])


@given(measures(), st.randoms(use_true_random=False), numbers, numbers)
def test_names_of_atoms_and_the_gauge_change_nothing(measure, random, level, slope):
    order = list(range(measure.atoms))
    random.shuffle(order)
    x = inputs()
    plain = dendrogram(FRAMES[TANH], measure, x).heights
    other = measure.relabelled(order).shifted(level, [slope])
    moved = dendrogram(FRAMES[TANH], other, x).heights
    first = plain[measure.atoms]  # later ones may differ where ties are broken otherwise
    assert moved[measure.atoms] == pytest.approx(first, rel=1e-6, abs=1e-9)
    assert sum(moved.values()) == pytest.approx(sum(plain.values()), rel=1e-6, abs=1e-9) or any(
        abs(a - b) < 1e-6 for a, b in pairwise(sorted(plain.values()))
    )


@given(measures(dim=2, q=3), st.floats(0.01, 100), st.floats(-50, 50))
def test_units_of_the_inputs_change_nothing(measure, unit, origin):
    """x' = origin + unit·x with the parameters that leave f as it is."""
    x, place = inputs(2), np.array([origin, 0.0])
    units = np.array([unit, 1.0])
    slope, a = measure.beta1 / units, measure.eta[:, :2] / units
    other = M(
        measure.beta0 - slope @ place,
        slope,
        np.column_stack([a, measure.eta[:, 2] - a @ place]),
    )
    moved = place + units * x
    np.testing.assert_allclose(
        PLANE.predict(other, moved), PLANE.predict(measure, x), rtol=1e-6, atol=1e-6
    )
    plain, changed = (
        dendrogram(FRAMES[PLANE], m, z).heights for m, z in ((measure, x), (other, moved))
    )
    assert changed[measure.atoms] == pytest.approx(plain[measure.atoms], rel=1e-5, abs=1e-7)


CELLS = {
    "softmax": (TANH, M([0.2, -0.4], [[0.7], [-1.0]], [[1.5, 0.5], [-1.0, 1.0]])),
    "sigmoid": (GELU, M([-0.6, 0.5], [[0.0], [1.5]], [[2.0, 1.0], [-1.5, 0.5]])),
    "normalized-sigmoid": (
        Model.of("gelu", "normalized-sigmoid"),
        M([-0.6, 0.5], [[0.0], [1.5]], [[2.0, 1.0], [-1.5, 0.5]]),
    ),
}


def split(gate, truth, t):
    """The first atom as two, ±t apart in the gate's slope and in η, of unequal weights."""
    shares = np.log([0.3, 0.7])
    if gate.adds_up and gate.pinning is not None:
        offsets = truth.beta0[0] + shares
    else:
        weight = np.exp(shares) / (1 + np.exp(-truth.beta0[0]))
        offsets = np.log(weight / (1 - weight))
    step = t * np.array([1.0, -0.8])
    return M(
        [*offsets, *truth.beta0[1:]],
        np.concatenate([truth.beta1[0] + step[:, None], truth.beta1[1:]]),
        np.concatenate([truth.eta[0] + step[:, None] * [0.9, -1.1], truth.eta[1:]]),
    )


@pytest.mark.parametrize("name", CELLS)
def test_a_merge_changes_f_by_second_moments_alone(name):
    model, truth = CELLS[name]
    frame, x = Frame.of(model), inputs(n=400)
    gaps, heights = [], []
    for t in (0.08, 0.04, 0.02, 0.01):
        measure = split(model.gate, truth, t)
        tree = dendrogram(frame, measure, x)
        assert tree.merges[0].atoms == (0, 1)
        gap = model.predict(tree.levels[1], x) - model.predict(measure, x)
        gaps.append(np.sqrt((gap**2).mean()))
        heights.append(tree.merges[0].height)
    # halves of t: a quarter of both, up to the next order
    assert np.diff(np.log2(gaps)) == pytest.approx(-2.0, abs=0.25)
    assert np.diff(np.log2(heights)) == pytest.approx(-2.0, abs=0.05)


@pytest.mark.parametrize("name", CELLS)
def test_copies_of_an_atom_merge_at_height_0_into_it(name):
    model, truth = CELLS[name]
    tree = dendrogram(Frame.of(model), split(model.gate, truth, 0.0), x := inputs())
    assert tree.merges[0].height == pytest.approx(0.0, abs=1e-20)
    np.testing.assert_allclose(model.predict(tree.levels[1], x), model.predict(truth, x))


def test_a_sloped_gate_under_sigmoid_is_no_cell():
    """Two atoms with one gate σ(β1ᵀx + β0), β1 ≠ 0, are not like one atom of any weight."""
    measure = M([-5.0, -5.0], [[1.5], [1.5]], [[1.0, 0.0], [1.0, 0.0]])
    height = dendrogram(FRAMES[GELU], measure, inputs()).merges[0].height
    flat = M([-5.0, -5.0], [[0.0], [0.0]], [[1.0, 0.0], [1.0, 0.0]])
    assert dendrogram(FRAMES[GELU], flat, inputs()).merges[0].height == 0.0
    assert height > 0.1


def test_weights_of_a_sigmoid_stay_below_1():
    measure = M([1.0, 1.0, -3.0], np.zeros((3, 1)), [[1.0, 0.0], [1.0, 0.0], [2.0, 1.0]])
    tree = dendrogram(FRAMES[GELU], measure, inputs())
    assert tree.merges[0].atoms != (0, 1)  # although they are equal: σ(1) + σ(1) > 1
    assert not tree.complete
    assert [level.atoms for level in tree.levels] == [3, 2]


def test_signs_that_leave_the_expert_as_it_is():
    bump = Model.of(Expert.from_expression("exp(-(a*x + b)**2)"), "softmax")
    measure = M([0.0, 0.5], [[0.3], [0.3]], [[1.2, 0.7], [-1.2, -0.7]])
    tree = dendrogram(Frame.of(bump), measure, x := inputs())
    assert tree.merges[0].height == pytest.approx(0.0, abs=1e-20)
    np.testing.assert_allclose(bump.predict(tree.levels[1], x), bump.predict(measure, x))


def test_experts_affine_in_all_parameters_merge_without_a_change_of_f():
    linear = Model.of("linear", "softmax")
    measure = M([0.1, -0.5, 0.0], [[0.3], [0.3], [2.0]], [[5.0, 1.0], [-9.0, 2.0], [1.0, 1.0]])
    tree = dendrogram(Frame.of(linear), measure, x := inputs())
    assert tree.merges[0].atoms == (0, 1)
    assert tree.merges[0].height == pytest.approx(0.0, abs=1e-20)
    np.testing.assert_allclose(linear.predict(tree.levels[1], x), linear.predict(measure, x))


REFUSED = [
    (("tanh", "quadratic"), "gate quadratic: how two atoms merge is not known"),
    (("tanh", "(1 + tanh(s))/2"), "how two atoms merge is not known"),
    (("relu", "softmax"), "atoms of one cell can differ in a, b"),
    (("exp", "softmax"), "atoms of one cell can differ in b"),
    (("linear", "sigmoid"), "atoms of one cell can differ in a, b"),
    (("sin", "sigmoid"), "atoms of one cell can differ in b"),
]


@pytest.mark.parametrize(("names", "said"), REFUSED)
def test_where_no_distance_means_anything_there_is_no_dendrogram(names, said):
    with pytest.raises(InputError, match="choose by bic or cv") as refused:
        Frame.of(Model.of(*names))
    assert said in str(refused.value)


def test_ffn_experts_have_none():
    with pytest.raises(InputError, match="can differ in c "):
        Frame.of(Model.of("gelu", "softmax", shape="ffn"))


def test_a_gate_with_another_weight_has_no_merging():
    softmax = GATES["softmax"]
    assert softmax.merging is not None
    assert resolve("normalised exp(2*s)").merging is None
    assert replace(softmax, normalised=False).merging is None


def heights_of(model, truth, k, n, replicates):
    """Median heights of fits that start beside the truth."""
    data = identkit.simulate(model, truth, n, replicates, noise=0.1, seed=5)
    x, y = data.batch(range(replicates))
    starts = [data.starts(k, start=s) for s in range(3)]
    fits = least_squares(model, x, y, starts)
    frame = Frame.of(model)
    trees = [dendrogram(frame, fits.measure[r], x[r]) for r in range(replicates)]
    return {level: np.median([t.heights.get(level, np.inf) for t in trees]) for level in (3, 2)}


RATES = {
    "softmax": (TANH, M([0.0, 0.0], [[0.0], [2.0]], [[2.0, 1.0], [-1.5, 0.5]])),
    "sigmoid": (GELU, M([0.0, 0.5], [[0.0], [1.5]], [[2.0, 1.0], [-1.5, 0.5]])),
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.usefixtures("one_thread")
def test_heights_above_the_truth_vanish_and_the_one_at_it_stays(name):
    """n^-1/4 each is n^-1/2 of a height; -0.78 and -0.57 were measured from n = 10³ to 10⁵."""
    sizes = (1000, 64000)
    small, large = (heights_of(*RATES[name], 3, n, 12) for n in sizes)

    def slope(level):
        return np.log(large[level] / small[level]) / np.log(sizes[1] / sizes[0])

    assert -1.1 < slope(3) < -0.35
    if name == "softmax":
        assert abs(slope(2)) < 0.25
    else:
        assert np.isinf(large[2])  # σ of the two true atoms add up to more than 1


# -- the criteria -----------------------------------------------------------------------------


def test_the_likelihood_is_that_of_normal_errors():
    rng = np.random.default_rng(0)
    r, w = rng.normal(size=30), rng.uniform(0.5, 2.0, 30)
    sigma = np.sqrt((r**2).mean())
    assert criteria.log_likelihood((r**2).sum(), 30, 0.0) == pytest.approx(
        stats.norm.logpdf(r, scale=sigma).sum()
    )
    squares = (w * r**2).sum()
    sigmas = np.sqrt(squares / 30 / w)
    assert criteria.log_likelihood(squares, 30, 0.0, w) == pytest.approx(
        stats.norm.logpdf(r, scale=sigmas).sum()
    )
    # and no other σ² is better
    for factor in (0.9, 1.1):
        assert stats.norm.logpdf(r, scale=factor * sigma).sum() < criteria.log_likelihood(
            (r**2).sum(), 30, 0.0
        )


def test_data_without_noise_leave_the_penalty():
    assert criteria.log_likelihood(0.0, 10, 1e-12) == criteria.log_likelihood(1e-13, 10, 1e-12)
    assert criteria.bic(5.0, 3, 100) == pytest.approx(-10 + 4 * np.log(100))


@given(measures())
def test_the_entropy_of_a_gate(measure):
    x = inputs(n=20)
    w = TANH.weights(measure, x)
    entropy = criteria.gate_entropy(TANH, measure, x)
    assert entropy == pytest.approx(sum(stats.entropy(w)), abs=1e-9)
    assert 0.0 <= entropy <= 20 * np.log(measure.atoms) + 1e-9


@given(st.integers(2, 60), st.integers(2, 10), st.integers(0, 5))
def test_folds_part_the_rows(samples, folds, seed):
    cut = criteria.folds_of(samples, folds, seed)
    assert sorted(np.concatenate(cut)) == list(range(samples))
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
    again = criteria.folds_of(samples, folds, seed)
    assert all((a == b).all() for a, b in zip(cut, again, strict=True))


def test_one_standard_error():
    def errors(*values):
        return CrossValidation(values, (10,) * len(values))

    best = errors(1.0, 1.2, 0.8)
    assert best.standard_error == pytest.approx(0.2 / np.sqrt(3))
    close, far = errors(1.1, 1.1, 1.1), errors(1.2, 1.2, 1.2)
    assert criteria.within_one_error({1: far, 2: close, 3: best}) == 2
    assert criteria.within_one_error({1: far, 3: best}) == 3
    assert criteria.within_one_error({}) is None


def fitting(x, y, model, starts=4, seed=0):
    def fit(k, rows, steps):
        part = slice(None) if rows is None else rows
        table = Table(x[part].copy(), y[part].copy(), ("x",), "y")
        return best_fit(model, table.x, table.y, k, starts=starts, seed=seed)

    return fit


TRUTHS = {
    1: M([0.0], [[0.0]], [[2.0, 1.0]]),
    2: M([0.0, 0.0], [[0.0], [2.0]], [[2.0, 1.0], [-1.5, 0.5]]),
    3: M([-3.0, 1.0, -3.0], [[-3.0], [0.0], [3.0]], [[0.0, -1.0], [2.0, 0.0], [0.0, -0.7]]),
}


@pytest.fixture(scope="module")
def chosen():
    """Choices for data of 1, 2 and 3 atoms, k = 1 to 5."""
    found = {}
    for k, truth in TRUTHS.items():
        x, y = identkit.simulate(TANH, truth, 1500, noise=0.1, seed=1).data(0)
        found[k] = choose(TANH, fitting(x, y, TANH), x, y, range(1, 6), folds=0)
    return found


@pytest.mark.parametrize("k", TRUTHS)
def test_the_number_of_atoms_is_found(chosen, k):
    choice = chosen[k]
    assert choice.of("bic").k == k
    assert choice.of("dsc").k == max(2, k)  # it cannot name 1
    assert choice.of("cv").k is None
    assert choice.of("cv").reason == "no folds were asked for"


def test_a_choice_is_what_its_parts_say(chosen):
    choice = chosen[2]
    n = choice.samples
    for c in choice.candidates:
        assert c.free == TANH.free(c.k) == 4 * c.k - 2
        rms = float(c.result.root_mean_square)
        assert c.log_likelihood == pytest.approx(-n / 2 * (np.log(2 * np.pi * rms**2) + 1))
        assert c.bic == pytest.approx(-2 * c.log_likelihood + (c.free + 1) * np.log(n))
        assert c.icl >= c.bic
    tree = choice.dendrogram
    assert choice.merged_from == max(c.k for c in choice.candidates if c.finished)
    total = sum(tree.heights.values())
    for level in choice.levels:
        assert level.part == pytest.approx(tree.heights[level.k] / total)
        own = choice[level.k].log_likelihood
        assert level.dsc == pytest.approx(-(level.part + np.log(n) * own / n))
    assert choice.levels[0].merged == pytest.approx(choice[choice.merged_from].log_likelihood)
    assert not choice.ended
    assert not choice.interrupted


def test_cross_validation_holds_rows_out():
    x, y = identkit.simulate(TANH, TRUTHS[2], 300, noise=0.1, seed=2).data(0)
    fit, seen = fitting(x, y, TANH, starts=2), []

    def watched(k, rows, steps):
        seen.append((k, None if rows is None else tuple(rows)))
        return fit(k, rows, steps)

    choice = choose(TANH, watched, x, y, [1, 2], folds=4, seed=7)
    assert choice.of("cv").k == choice.least_error == 2
    cut = criteria.folds_of(300, 4, 7)
    for k in (1, 2):
        assert [s for s in seen if s[0] == k and s[1] is None] == [(k, None)]
        for fold, error in zip(cut, choice[k].cv.errors, strict=True):
            kept = np.setdiff1d(np.arange(300), fold)
            assert (k, tuple(kept)) in seen
            gap = fit(k, kept, None).predict(x[fold]) - y[fold]
            assert error == pytest.approx((gap**2).mean())


def test_rows_without_weight_are_left_out():
    x, y = identkit.simulate(TANH, TRUTHS[1], 120, noise=0.1, seed=2).data(0)
    weight = np.ones(120)
    weight[::3] = 0.0
    kept = np.flatnonzero(weight)
    fit = fitting(x, y, TANH, starts=2)
    with_weights = choose(TANH, fit, x, y, [1, 2], weight=weight, folds=0)
    without = choose(TANH, fitting(x[kept], y[kept], TANH, 2), x[kept], y[kept], [1, 2], folds=0)
    assert with_weights.samples == 80
    assert [c.bic for c in with_weights.candidates] == [c.bic for c in without.candidates]


def test_the_range_ends_where_data_end():
    x, y = identkit.simulate(TANH, TRUTHS[1], 9, noise=0.1, seed=2).data(0)
    choice = choose(TANH, fitting(x, y, TANH, 2), x, y, range(1, 7), folds=0)
    assert [c.k for c in choice.candidates] == [1, 2]
    assert choice.ended == "k = 3 has 10 free parameters, more than the 9 samples"


def test_a_stop_leaves_what_is_there():
    x, y = identkit.simulate(TANH, TRUTHS[2], 200, noise=0.1, seed=2).data(0)
    fit, calls = fitting(x, y, TANH, 2), []

    def counted(k, rows, steps):
        calls.append(k)
        return fit(k, rows, steps)

    choice = choose(TANH, counted, x, y, range(1, 7), folds=5, stop=lambda: len(calls) >= 2)
    assert calls == [1, 2]
    assert choice.interrupted
    assert choice.of("bic").k == 2
    assert choice.of("cv").k is None


def test_what_did_not_end_at_a_minimum_is_not_named():
    x, y = identkit.simulate(TANH, TRUTHS[2], 200, noise=0.1, seed=2).data(0)
    fit = fitting(x, y, TANH, 2)

    def broken(k, rows, steps):
        result = fit(k, rows, steps)
        return replace(result, status=Status.STEP_LIMIT) if k == 2 else result

    choice = choose(TANH, broken, x, y, [1, 2, 3], folds=0)
    assert choice.of("bic").k == 3
    assert choice[2].bic < choice[3].bic
    assert [level.dsc is None for level in choice.levels] == [False, True]


def test_a_fit_worse_than_one_of_fewer_atoms_is_seen():
    x, y = identkit.simulate(TANH, TRUTHS[2], 200, noise=0.1, seed=2).data(0)
    fit = fitting(x, y, TANH, 2)

    def poor(k, rows, steps):
        result = fit(k, rows, steps)
        return replace(result, cost=result.cost * 100) if k == 3 else result

    assert choose(TANH, poor, x, y, [1, 2, 3], folds=0).worse == (3,)


def test_the_largest_k_is_said_to_be_that(chosen):
    few = replace(chosen[3], candidates=chosen[3].candidates[:3], levels=(), dendrogram=None)
    said = "k = 3 is the largest there is"
    assert any(said in text for _, text in notes(few))
    assert not any("is the largest there is" in text for _, text in notes(chosen[2]))


def test_without_weights_that_add_up_there_is_no_icl():
    x, y = identkit.simulate(GELU, RATES["sigmoid"][1], 300, noise=0.1, seed=1).data(0)
    choice = choose(GELU, fitting(x, y, GELU, 2), x, y, [1, 2], folds=0)
    assert choice.of("icl").k is None
    assert "do not sum to 1" in choice.of("icl").reason
    assert all(c.icl is None for c in choice.candidates)
    assert choice.of("bic").k == 2


WRONG = [
    ((TANH, [], 5, "bic"), "the range is empty"),
    ((TANH, [0, 1], 5, "bic"), "1 or more"),
    ((TANH, [1], 1, "bic"), "leaves nothing to fit"),
    ((TANH, [1], -1, "bic"), "0 or more"),
    ((TANH, [1], 0, "cv"), "there are no folds"),
    ((TANH, [1], 5, "aic"), "choose bic, icl, cv, dsc"),
    ((GELU, [1], 5, "icl"), "do not sum to 1"),
    ((Model.of("relu", "softmax"), [1, 2], 5, "dsc"), "no dendrogram"),
    ((Model.of("tanh", "top-2"), [1, 2], 5, "bic"), "begin the range at 2"),
    ((Model.of("tanh", "hierarchical", groups=(1, 1)), [1, 2], 5, "bic"), "sizes of its groups"),
]


@pytest.mark.parametrize(("asked", "said"), WRONG)
def test_what_cannot_be_compared(asked, said):
    with pytest.raises(InputError) as refused:
        check_range(*asked)
    assert said in str(refused.value)


# -- from Python ------------------------------------------------------------------------------


def test_choose_atoms_prints_a_table():
    x, y = identkit.simulate(TANH, TRUTHS[2], 300, noise=0.1, seed=2).data(0)
    answer = identkit.choose_atoms((x, y), "tanh", "softmax", [1, 2, 3], starts=2, folds=3)
    assert isinstance(answer.choice, Choice)
    assert answer.k() == 2
    assert answer.fit().measure.atoms == 2
    text = str(answer)
    assert max(map(len, text.splitlines())) <= 80
    assert "k = 1 to 3, seed 0, 3 folds" in text
    assert answer.to_dict()["chosen"] == 2
    with pytest.raises(InputError, match="choose bic"):
        answer.k("aic")
    drawn = answer.figure()
    assert len(drawn.axes) == 4
