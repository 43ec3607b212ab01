"""Conditioning numbers by routes of their own, the search for truths, and their files."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from amounts import amount
from hypothesis import given, settings
from hypothesis import strategies as st

from identkit import __version__
from identkit.errors import InputError
from identkit.experts import Expert
from identkit.fit.model import Model
from identkit.fit.result import Box
from identkit.gates import resolve
from identkit.losses.norms import Rule
from identkit.mixing import MixingMeasure
from identkit.rates import truth_search as truths
from identkit.rates.conditioned import NOTHING, Conditioning, conditioning, minimum
from identkit.rates.suggested import suggested_box, suggested_noise
from identkit.rates.truth import TruthFile, load_truth, save_truth
from identkit.rates.truth_search import search_truth
from identkit.simulation import simulate

SIGMOID, SOFTMAX = Model.of("gelu", "sigmoid"), Model.of("gelu", "softmax")
S = MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
M = MixingMeasure([1.4, 0.0], [[0.9], [0.0]], [[1.5, 0.95], [-2.4, -1.55]])
DENSE = MixingMeasure([1.0, -1.0], [[1.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
PLANE = MixingMeasure([0.7, 0.0], [[0.0, 0.0], [-2.0, 1.0]], [[0.9, -1.4, -0.3], [0.4, 2.0, -1.0]])
PLANE_SOFT = MixingMeasure(
    [0.7, 0.0], [[0.5, -0.8], [0.0, 0.0]], [[0.9, -1.4, -0.3], [0.4, 2.0, -1.0]]
)
THREE = MixingMeasure(
    [1.0, -1.0, 0.5], [[0.0], [-4.5], [2.0]], [[2.2, 0.7], [-4.0, 1.25], [1.5, -1.0]]
)
CASES = {
    "S": (SIGMOID, S),
    "M": (SOFTMAX, M),
    "S silu": (Model.of("silu", "sigmoid"), S),
    "M atan": (Model(Expert.from_expression("atan(a*x + b)"), resolve("softmax")), M),
    "plane": (Model.of("tanh", "sigmoid", dim=2), PLANE),
    "plane soft": (Model.of("tanh", "softmax", dim=2), PLANE_SOFT),
}


# -- f by Model.predict alone, derivatives by differences ---------------------------------------


class Differences:
    """The tangent and D by finite differences of f at the fitted measure of k atoms."""

    def __init__(self, model, truth, over=0, k=None, points=None):
        self.model, self.over = model, over
        k = truth.atoms + 1 if k is None else k
        self.copies = k - truth.atoms + 1
        self.rule = Rule.of(model.dim, (-3.0, 3.0), points, 0)
        centre = simulate(model, truth, 1, noise=0.0).starts(k, 0.0, over=over)[0]
        self.rows = centre.to_vector().reshape(k, -1)
        self.f = model.predict(truth, self.rule.points)

    def value(self, rows):
        """f of measures (R, k, d + 1 + q), minus f of the truth, times √weights."""
        measure = MixingMeasure.from_vector(
            rows.reshape(len(rows), -1), self.model.dim, len(self.model.parameters)
        )
        return (self.model.predict(measure, self.rule.points) - self.f) * np.sqrt(self.rule.weights)

    def tangent(self, h=1e-5):
        """Columns of all atoms but the further copies; the last atom's gate pinned."""
        copies = range(self.over + 1, self.over + self.copies)
        out = []
        for atom in range(len(self.rows)):
            for j in range(self.rows.shape[1]):
                last = atom == len(self.rows) - 1
                pinned = self.model.gate.normalised and last and j <= self.model.dim
                if atom in copies or pinned:
                    continue
                moved = np.array([self.rows, self.rows])
                moved[0, atom, j] += h
                moved[1, atom, j] -= h
                up, down = self.value(moved)
                out.append((up - down) / (2 * h))
        return np.array(out).T

    def seen(self, deviations, t=1e-3):
        """‖D ⊥ tangent‖ for deviations (R, copies, d + q) with mean 0."""
        moved = np.tile(self.rows, (len(deviations), 1, 1))
        cell = moved[:, self.over : self.over + self.copies]
        d = self.model.dim
        cell[..., :d] += t * deviations[..., :d]
        cell[..., d + 1 :] += t * deviations[..., d:]
        changes = self.value(moved).T / t**2
        basis = np.linalg.qr(self.tangent())[0]
        return np.linalg.norm(changes - basis @ (basis.T @ changes), axis=0)


@pytest.mark.parametrize("case", CASES)
def test_both_numbers_by_differences_of_f(case):
    model, truth = CASES[case]
    points = 256 if model.dim == 1 else 2000
    got = conditioning(model, truth, points=points)
    by = Differences(model, truth, points=points)
    first = np.linalg.svd(by.tangent(), compute_uv=False)[-1]
    assert got.first == pytest.approx(first, rel=1e-4)
    assert got.determined == got.first
    v = np.array(got.direction)
    assert np.linalg.norm(v) == pytest.approx(1)
    assert got.second == pytest.approx(by.seen(np.array([[v, -v]]))[0], rel=3e-3)
    drawn = np.random.default_rng(0).standard_normal((2000 if model.dim == 1 else 500, len(v)))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    others = by.seen(np.stack([drawn, -drawn], axis=1))
    assert others.min() >= got.second * (1 - 3e-3)
    if model.dim == 1:  # 2000 directions of a sphere come close to the smallest
        assert others.min() <= got.second * 1.3
    assert got.worst == min(got.first, got.second)
    assert ("quadrature" if model.dim == 1 else "Monte Carlo, 2000 points, seed 0") in got.method


@pytest.mark.parametrize(("model", "truth"), [(SIGMOID, S), (SOFTMAX, M)])
def test_cells_of_three(model, truth):
    got = conditioning(model, truth, k=4)
    by = Differences(model, truth, k=4, points=256)
    first = np.linalg.svd(by.tangent(), compute_uv=False)[-1]
    assert got.first == pytest.approx(first, rel=1e-4)
    drawn = np.random.default_rng(0).standard_normal((1500, 3, 3))
    drawn -= drawn.mean(axis=1, keepdims=True)
    drawn *= np.sqrt(3) / np.linalg.norm(drawn, axis=(1, 2))[:, None, None]
    seen = by.seen(drawn)
    assert got.second * (1 - 3e-3) <= seen.min() <= got.second * 2
    # the pair (v, -v) with the third atom at the mean is one such cell
    v = np.array(conditioning(model, truth).direction) * np.sqrt(1.5)
    assert by.seen(np.array([[v, -v, 0 * v]]))[0] >= got.second * (1 - 3e-3)


@pytest.mark.parametrize("split", [0.0, 0.8])
@pytest.mark.parametrize(("model", "truth"), [(SIGMOID, S), (SOFTMAX, M)])
def test_second_is_the_limit_of_refits(model, truth, split):
    """min ‖f_G − f*‖/t² over measures whose pair of atoms is 2t apart, by least squares.

    The pair's β0 may differ by an amount of order t (``split``): the limit stays.
    """
    from scipy.optimize import least_squares

    got = conditioning(model, truth)
    by = Differences(model, truth, points=128)
    moves = np.eye(by.rows.size)[~model.pinned(3)]  # of all parameters, the pair's in common
    width = by.rows.shape[1]
    moves = np.vstack([moves[:width] + moves[width : 2 * width], moves[2 * width :]])

    def smallest(t):
        def residual(z):
            v = z[:3] / np.linalg.norm(z[:3])
            rows = (by.rows.reshape(-1) + t**2 * z[3:] @ moves).reshape(by.rows.shape)
            rows[:2, 1] += t * split * np.array([1, -1])
            rows[:2, 0] += t * v[0] * np.array([1, -1])
            rows[:2, 2:] += t * v[1:] * np.array([[1], [-1]])
            return by.value(rows[None])[0] / t**2

        best = np.inf
        for v in np.eye(3) + 0.2:
            start = np.concatenate([v, np.zeros(len(moves))])
            best = min(best, 2 * least_squares(residual, start, x_scale="jac", max_nfev=60).cost)
        return math.sqrt(best)

    coarse, fine = smallest(0.04), smallest(0.02)
    limit = fine + (fine - coarse) / 3  # even in t
    assert limit == pytest.approx(got.second, rel=0.01)


# -- what the numbers depend on -------------------------------------------------------------------


def numbers(model, truth, **options):
    got = conditioning(model, truth, points=128, **options)
    return got.first, got.second


def same(one, other, rel=1e-6):
    return one == pytest.approx(other, rel=rel, abs=1e-13)


def test_labels_of_exact_atoms():
    assert same(numbers(SIGMOID, THREE), numbers(SIGMOID, THREE.relabelled([0, 2, 1])))
    assert same(numbers(SIGMOID, THREE), numbers(SIGMOID, THREE.relabelled([2, 1, 0]), over=2))
    kept = THREE.relabelled([1, 0, 2])  # the pinned gate is the last one's
    assert same(numbers(SOFTMAX, THREE), numbers(SOFTMAX, kept, over=1))
    for order, over in (([0, 2, 1], 0), ([2, 1, 0], 2)):
        second = numbers(SOFTMAX, THREE.relabelled(order), over=over)[1]
        assert second == pytest.approx(numbers(SOFTMAX, THREE)[1], rel=1e-6)


def test_the_pinned_atom_where_the_last_is_over_specified():
    by = Differences(SOFTMAX, M)  # pins the exact atom, as the exchanged truth must
    assert numbers(SOFTMAX, M.relabelled([1, 0]), over=1)[0] == pytest.approx(
        np.linalg.svd(by.tangent(), compute_uv=False)[-1], rel=1e-4
    )


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(-2, 2))
def test_gauge_shifts(beta0, beta1):
    assert same(numbers(SOFTMAX, M), numbers(SOFTMAX, M.shifted(beta0, [beta1])))


@pytest.mark.parametrize(("model", "truth"), [(SIGMOID, S), (SOFTMAX, M)])
def test_reflected_inputs(model, truth):
    eta = truth.eta * np.array([-1.0, 1.0])
    assert same(
        numbers(model, truth), numbers(model, MixingMeasure(truth.beta0, -truth.beta1, eta))
    )


@pytest.mark.parametrize(("gate", "truth"), [("sigmoid", S), ("softmax", M)])
def test_units(gate, truth):
    """Twice the expert in place of η ↦ η: D and the tangent in η double, and h with them."""
    double = Model(Expert.from_expression("2*gelu(a*x + b)"), resolve(gate))
    one, two = numbers(Model.of("gelu", gate), truth), numbers(double, truth)
    assert same(two, (2 * one[0], 2 * one[1]))


def test_scaled_domain():
    """x = 2u: with slopes doubled f is the same, and β1 has half the unit, a likewise."""
    wide = Expert.from_expression("gelu(2*a*x + b)")  # its a is that of the wide domain
    model = Model(wide, resolve("sigmoid"))
    still = MixingMeasure(S.beta0, 2 * S.beta1, S.eta)
    narrow = conditioning(model, still, domain=(-1.5, 1.5))
    # β1 alone changes its unit, by which a singular value changes by at most that factor
    ratio = narrow.first / conditioning(SIGMOID, S).first
    assert 0.5 - 1e-9 <= ratio <= 1 + 1e-9
    free = conditioning(SIGMOID, MixingMeasure([1.0], [[0.0]], [[2.2, 0.7]]))
    assert 0.25 <= narrow.second / conditioning(SIGMOID, S).second <= 1
    assert free.second > conditioning(SIGMOID, S).second  # fewer atoms, a smaller tangent


def test_points_and_seed():
    model, truth = CASES["plane"]
    few = [conditioning(model, truth, points=4000, seed=s) for s in (0, 1)]
    assert few[0] == conditioning(model, truth, points=4000)
    assert few[0].first != few[1].first
    assert few[0].first == pytest.approx(few[1].first, rel=0.1)
    fine, coarse = conditioning(SIGMOID, S), conditioning(SIGMOID, S, points=256)
    assert same((fine.first, fine.second), (coarse.first, coarse.second))


# -- known answers ------------------------------------------------------------------------------


def test_truths_of_the_measured_protocols():
    s, m = conditioning(SIGMOID, S), conditioning(SOFTMAX, M)
    assert (s.first, s.second) == pytest.approx((0.0044367, 0.0061689), rel=1e-4)
    assert (m.first, m.second) == pytest.approx((0.0175341, 0.0140365), rel=1e-4)
    for numbers_, parameters in ((s, 12), (m, 10)):
        assert 0.0015 <= suggested_noise(numbers_, 1000, parameters) <= 0.006  # both used .003
    assert suggested_box(SIGMOID, S).beta0 == (-1.5, 4.0)
    assert suggested_box(SOFTMAX, M).beta0 == (-0.5, 4.0)


def with_output(truth):
    eta = np.column_stack([np.array([1.0, 1.5]), truth.eta])
    return MixingMeasure(truth.beta0, truth.beta1, eta)


@pytest.mark.parametrize(
    ("expert", "gate", "curved"),
    [
        ("gelu", "sigmoid", True),
        ("gelu", "softmax", True),
        ("sin", "softmax", True),
        ("sin", "sigmoid", False),
        ("relu", "sigmoid", False),
        ("relu", "softmax", False),
        ("gelu ffn", "sigmoid", False),
        ("gelu ffn", "softmax", False),
        ("erf(a*x + b)", "sigmoid", False),
        ("erf(a*x + b)", "softmax", False),
        ("linear", "sigmoid", False),
        ("exp", "softmax", False),
    ],
)
def test_second_vanishes_exactly_for_degenerate_experts(expert, gate, curved):
    """The table of theory section 4 (ReLU almost everywhere)."""
    truth = S if gate == "sigmoid" else M
    if "(" in expert:
        model = Model(Expert.from_expression(expert), resolve(gate))
    elif " " in expert:
        model, truth = Model.of("gelu", gate, shape="ffn"), with_output(truth)
    else:
        model = Model.of(expert, gate)
    got = conditioning(model, truth)
    assert got.curved == curved
    if curved:
        assert got.second > 1e-4
    else:
        assert got.second <= NOTHING
        assert np.linalg.norm(got.direction) == pytest.approx(1)
    assert got.determined > 1e-6


def test_dependent_first_order_functions():
    """ReLU under the sigmoid gate: a∂_a h + b∂_b h = h, the derivative in β0."""
    got = conditioning(Model.of("relu", "sigmoid"), S)
    assert got.first < 1e-12
    assert got.determined > 1e-3
    assert conditioning(Model.of("relu", "softmax"), M).first > 1e-3


def test_no_second_order():
    dense = conditioning(SIGMOID, DENSE)
    assert math.isnan(dense.second)
    assert dense.direction == ()
    assert dense.worst == dense.first > 0
    assert not dense.curved
    assert dense.first == conditioning(SIGMOID, DENSE, k=2, regime=2).first
    exact = conditioning(SIGMOID, S, k=2)
    assert math.isnan(exact.second)
    by = Differences(SIGMOID, S, k=2)
    assert exact.first == pytest.approx(np.linalg.svd(by.tangent(), compute_uv=False)[-1], rel=1e-4)


@pytest.mark.parametrize("second", [math.nan, 0.5])
def test_equal_numbers_are_equal(second):
    """Also where there is none: NaN, which differs from itself on Python 3.13."""
    one, other = (Conditioning(0.1, float(f"{second}"), (), "", 0.2) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    assert one != replace(one, second=0.25)
    assert one != replace(one, first=math.nan)
    assert one != one.to_dict()


def test_one_atom():
    alone = MixingMeasure([0.3], [[0.0]], [[2.0, 0.5]])
    assert conditioning(SIGMOID, alone).second > 1e-3
    soft = conditioning(SOFTMAX, alone)  # two atoms with equal experts are one, whatever the gates
    assert soft.second <= NOTHING
    assert soft.first > 1e-3


@pytest.mark.parametrize("p", [2, 3, 5])
def test_minimum_of_the_form(p):
    rng = np.random.default_rng(p)
    for trial in range(5):
        form = rng.standard_normal((p * (p + 1) // 2, p, p))
        form = (form + form.transpose(0, 2, 1)) * 10.0 ** rng.uniform(-4, 0, len(form))[
            :, None, None
        ]
        value, at = minimum(form, 2, 0)
        assert np.linalg.norm(at @ form @ at) == pytest.approx(value)
        v = rng.standard_normal((20_000, p))
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        values = np.einsum("sp,rpq,sq->sr", v, form, v)
        assert np.linalg.norm(values, axis=1).min() >= value * (1 - 1e-9)
        assert minimum(form, 2, trial)[0] == pytest.approx(value, rel=1e-6)
    assert minimum(np.zeros((1, p, p)), 2, 0)[0] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"over": 2}, "no atom 2"),
        ({"over": -1}, "over: -1"),
        ({"over": 0.5}, "not a whole number"),
        ({"k": 1}, "k: 1 atoms are fewer"),
        ({"k": True}, "k: True"),
        ({"domain": (3, -3)}, "domain"),
        ({"domain": 3.0}, "domain"),
        ({"points": 3}, "points 3"),
        ({"model": CASES["plane"][0], "truth": PLANE, "points": 20}, "at least 27"),
        ({"regime": 2}, "is Regime 1"),
        ({"regime": 3}, "regime 3"),
        ({"truth": DENSE, "regime": 1}, "is Regime 2"),
        ({"truth": MixingMeasure.stack([S, S])}, r"truth\[0\]"),
        ({"truth": PLANE}, "d = 2"),
        ({"model": SOFTMAX, "truth": M, "regime": 1}, "no such regime"),
        ({"model": Model.of("exp", "sigmoid"), "domain": (0, 1e3)}, "not finite"),
    ],
)
def test_errors(change, words):
    arguments = {"model": SIGMOID, "truth": S, **change}
    with pytest.raises(InputError, match=words):
        conditioning(arguments.pop("model"), arguments.pop("truth"), **arguments)


# -- noise and box --------------------------------------------------------------------------------


def test_noise():
    good = Conditioning(0.01, 0.006, (1.0,), "")
    # second·t² = noise·√(p/n)
    assert suggested_noise(good, 1000, 12) == float(f"{0.006 * 0.04 / math.sqrt(0.012):.0e}")
    assert suggested_noise(good, 100_000, 12) == 0.01  # the cap
    assert suggested_noise(replace(good, first=1e-5, determined=1e-5), 1000, 12) == 2e-5
    assert suggested_noise(replace(good, second=math.nan), 1000, 12) == 0.01
    assert suggested_noise(replace(good, second=1e-17, determined=1e-4), 1000, 12) == 0.0002
    assert suggested_noise(good, 1000, 12, error=0.1) < suggested_noise(good, 1000, 12)
    for change in ({"n": 0}, {"parameters": 0}, {"error": 0}, {"error": math.nan}):
        with pytest.raises(InputError):
            suggested_noise(good, **{"n": 1000, "parameters": 12, **change})
    with pytest.raises(InputError, match="do not change f"):
        suggested_noise(Conditioning(0.0, 0.0, (), ""), 1000, 12)


@pytest.mark.parametrize("case", CASES)
def test_box_holds_the_local_starts(case):
    model, truth = CASES[case]
    for over in (0, 1) if model.gate.normalised else (0,):
        box = suggested_box(model, truth, over=over)
        low, high = box.bounds(model, truth.atoms + 1)
        data = simulate(model, truth, 1, 50, noise=0.0)
        starts = data.starts(truth.atoms + 1, 0.1, over=over)
        if model.gate.normalised:
            starts = starts.pinned()
        vectors = starts.to_vector()
        assert ((vectors > low) & (vectors < high)).mean() > 0.99
        assert box.beta0[0] >= data.starts(3, 0.0, over=over)[0].beta0.min() - 2.2


def test_box_widens_for_large_truths():
    large = MixingMeasure([6.0, -1.0], [[0.0], [-8.0]], [[30.0, 0.7], [-4.0, 1.25]])
    box = suggested_box(SIGMOID, large)
    assert (box.beta1, box.beta0, box.eta) == (20.0, (-1.5, 7.0), 75.0)
    assert suggested_box(SIGMOID, replace_beta0(large, [-1.0, 6.0])).beta0[1] == 7.0
    assert suggested_box(SIGMOID, DENSE).beta0 == (-1.5, 4.0)


def replace_beta0(truth, beta0):
    return MixingMeasure(beta0, truth.beta1, truth.eta)


# -- the search -----------------------------------------------------------------------------------


@pytest.fixture
def brief(monkeypatch):
    """A short refinement: the tests look at what is searched, not at how good it is."""
    monkeypatch.setattr(truths, "_REFINE_CALLS", (12, 12))
    monkeypatch.setattr(truths, "_REFINED", 3)
    monkeypatch.setattr(truths, "_REFINED_TWICE", 2)


def qualifies(model, found, atoms=2):
    truth = found.truth
    x = Rule.of(model.dim, (-3.0, 3.0), None, 0).points
    weights = np.sqrt((model.weights(truth, x) ** 2).mean(axis=-1))
    places = np.column_stack([truth.beta1, truth.eta])
    gaps = np.linalg.norm(places[:, None] - places, axis=2)[np.triu_indices(atoms, 1)]
    return (
        truth.atoms == atoms
        and weights.min() >= 0.09 * weights.max()
        and (gaps >= 0.99).all()
        and np.isfinite(model.predict(truth, x)).all()
    )


@pytest.mark.parametrize(
    ("expert", "gate", "options"),
    [
        ("gelu", "sigmoid", {}),
        ("gelu", "sigmoid", {"regime": 2}),
        ("tanh", "softmax", {"seed": 7}),
        ("tanh", "softmax", {"atoms": 3, "over": 2}),
        ("relu", "sigmoid", {}),
        ("poly2", "sigmoid", {}),
        ("input-free", "softmax", {}),
        ("c*atan(a*x + b) + e", "sigmoid", {"over": 1}),
    ],
)
def test_search(brief, expert, gate, options):
    model = (
        Model(Expert.from_expression(expert), resolve(gate))
        if "(" in expert
        else Model.of(expert, gate)
    )
    calls = []
    found = search_truth(model, candidates=60, progress=lambda *c: calls.append(c), **options)
    atoms, over = options.get("atoms", 2), options.get("over", 0)
    assert qualifies(model, found, atoms)
    assert found.conditioning == conditioning(
        model, found.truth, over=over, seed=found.seed, regime=found.regime
    )
    assert found.regime == (options.get("regime", 1) if gate == "sigmoid" else None)
    if gate == "softmax":
        assert found.truth.beta0[-1] == 0
        assert not found.truth.beta1[-1].any()
    else:
        assert found.truth.beta1[over].any() == (found.regime == 2)
    assert all(float(f"{v:.2e}") == v for v in found.truth.to_vector())
    assert [c[0] for c in calls] == sorted(c[0] for c in calls)
    assert calls[-1][0] == calls[-1][1]
    assert 0 < found.noise <= 0.01
    low, high = found.box.bounds(model, atoms)
    vector = found.truth.to_vector()
    assert ((vector > low) & (vector < high)).all()
    again = search_truth(model, candidates=60, **options)
    assert np.array_equal(again.truth.to_vector(), vector)
    assert again.conditioning.first == found.conditioning.first
    assert found.candidates == 60
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_search_beats_random_truths(brief):
    found = search_truth(SIGMOID, candidates=200)
    assert found.conditioning.worst > 1.5e-3  # a random one has 3e-4
    other = search_truth(SIGMOID, candidates=200, seed=1)
    assert not np.array_equal(other.truth.to_vector(), found.truth.to_vector())


def test_search_in_two_dimensions_and_on_another_domain(brief):
    plane = Model.of("gelu", "sigmoid", dim=2)
    found = search_truth(plane, candidates=amount(8, 20))
    assert qualifies(plane, found)
    narrow = search_truth(SOFTMAX, candidates=amount(20, 40), domain=(10.0, 11.0))
    assert narrow.conditioning == conditioning(SOFTMAX, narrow.truth, domain=(10.0, 11.0))
    turning = -narrow.truth.eta[:, 1] / narrow.truth.eta[:, 0]
    assert ((turning > 10.2) & (turning < 10.8)).all()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "known"), [(SIGMOID, S), (SOFTMAX, M)])
def test_search_finds_truths_as_good_as_the_known(model, known):
    found = search_truth(model)
    assert found.conditioning.worst >= 0.7 * conditioning(model, known).worst


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"atoms": 0}, "atoms: 0"),
        ({"over": 2}, "no atom 2"),
        ({"candidates": 0}, "candidates: 0"),
        ({"seed": -1}, "seed: -1"),
        ({"regime": 3}, "regime 3"),
        ({"domain": (1, 0)}, "domain"),
        ({"domain": 1}, "domain"),
    ],
)
def test_search_errors(options, words):
    with pytest.raises(InputError, match=words):
        search_truth(SIGMOID, **options)


def test_no_candidate_qualifies():
    model = Model(Expert.from_expression("a*log(x - 5)"), resolve("sigmoid"))
    with pytest.raises(InputError, match="none of 5 candidates"):
        search_truth(model, candidates=5)


# -- files ----------------------------------------------------------------------------------------

NUMBERS = Conditioning(0.0044, 0.0062, (0.6, 0.8, 0.0), "quadrature")


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "truth.json"
    save_truth(
        target, SIGMOID, S, noise=0.003, box=Box(10.0, (-1.5, 4), [(-9, 9), 12]), regime=1,
        conditioning=NUMBERS, seed=4,
    )  # fmt: skip
    return target


def test_file_comes_back(path):
    got = load_truth(path)
    assert np.array_equal(got.truth.to_vector(), S.to_vector())
    assert (got.gate, got.regime, got.noise, got.over, got.seed) == ("sigmoid", 1, 0.003, 0, 4)
    assert got.version == __version__
    assert got.conditioning == NUMBERS
    assert got.box is not None
    assert [b.tolist() for b in got.box.bounds(SIGMOID, 1)] == [
        [-10, -1.5, -9, -12],
        [10, 4, 9, 12],
    ]
    got.check(SIGMOID)
    got.check(Model(Expert.from_expression("gelu(a*x + b)"), resolve("sigmoid")))
    for model in (SOFTMAX, Model.of("relu", "sigmoid"), Model.of("gelu", "sigmoid", dim=2)):
        with pytest.raises(InputError, match=r"truth: it was made|mixing measure"):
            got.check(model)


def test_file_with_nothing_known(tmp_path):
    target = tmp_path / "t.json"
    nothing = Conditioning(0.005, math.nan, (), "quadrature")
    save_truth(
        target, SIGMOID, DENSE, noise=None, box=Box(math.inf, (-math.inf, 4), math.inf), regime=2,
        conditioning=nothing, seed=None,
    )  # fmt: skip
    got = load_truth(target)
    assert got.conditioning is not None
    assert math.isnan(got.conditioning.second)
    assert got.conditioning == nothing
    assert (got.noise, got.seed) == (None, None)
    assert got.box is not None
    assert got.box.bounds(SIGMOID, 1)[0].tolist() == [-math.inf, -math.inf, -math.inf, -math.inf]
    save_truth(
        target, SOFTMAX, M, noise=0.003, box=None, regime=None, conditioning=None, seed=0, over=1
    )
    assert load_truth(target).over == 1


def test_bare_measure(tmp_path):
    target = tmp_path / "m.json"
    S.save(target)
    got = load_truth(target)
    assert np.array_equal(got.truth.to_vector(), S.to_vector())
    assert isinstance(got, TruthFile)
    assert (got.noise, got.box, got.gate, got.over) == (None, None, None, None)
    for model in (SIGMOID, SOFTMAX, Model.of("relu", "sigmoid")):
        got.check(model)
    with pytest.raises(InputError, match="d = 1"):
        got.check(Model.of("gelu", "sigmoid", dim=2))


def test_found_saves(brief, tmp_path):
    found = search_truth(SOFTMAX, candidates=20, over=1)
    found.save(tmp_path / "f.json")
    got = load_truth(tmp_path / "f.json")
    got.check(SOFTMAX)
    assert (got.over, got.noise, got.regime) == (1, found.noise, None)
    assert got.conditioning == found.conditioning
    assert got.box == found.box


DROP = object()


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (["schema"], "identkit.truth/2", "schema"),
        (["version"], 1, "version"),
        (["seed"], DROP, "seed is missing"),
        (["colour"], 1, "colour is not known"),
        (["expert"], "gelu", "expert: must be an object"),
        (["expert", "shape"], 3, "shape"),
        (["expert", "name"], None, "name and expression"),
        (["expert", "inputs"], "x", "inputs must be a list"),
        (["expert", "dim"], 2, "dim is 2"),
        (["expert", "expression"], "gelu(", "expression"),
        (["expert", "expression"], "gelu(a*x + c)", "c"),
        (["expert", "parameters"], ["a"], "b"),
        (["gate"], "soft", "gate: 'soft'"),
        (["gate"], ["sigmoid"], "gate"),
        (["regime"], None, "must be 1 or 2"),
        (["regime"], True, "must be 1 or 2"),
        (["regime"], 2, "contradicts"),
        (["measure"], 3, "schema"),
        (["measure", "eta"], [[1.0], [2.0]], "q = 1"),
        (["measure", "beta0"], [1.0, 2.0, 3.0], "atoms"),
        (["measure"], MixingMeasure.stack([S, S]).to_dict(), "2 measures"),
        (["over"], 2, "no atom 2"),
        (["over"], None, "over"),
        (["noise"], 0, "noise: 0"),
        (["noise"], "0.1", "noise"),
        (["noise"], True, "noise"),
        (["box"], [1], "box: must be an object"),
        (["box", "beta1"], "x", "box: beta1"),
        (["box", "beta1"], -1, "not below"),
        (["box", "beta0"], [1, 2, 3], "box: beta0"),
        (["box", "eta"], [[-1, 1]], "1 entries"),
        (["box", "eta"], [[1, -1], [-1, 1]], "not below"),
        (["conditioning"], 0.1, "conditioning: must"),
        (["conditioning", "first"], None, "first"),
        (["conditioning", "first"], -1, "negative"),
        (["conditioning", "second"], None, "direction"),
        (["conditioning", "direction"], [1.0], "direction"),
        (["conditioning", "direction"], [1.0, 0.0, "a"], "direction"),
        (["conditioning", "method"], None, "method"),
        (["seed"], -1, "seed: -1"),
        (["seed"], 0.5, "seed"),
    ],
)
def test_one_clear_error_for_each_mistake(path, where, value, words):
    document = json.loads(path.read_text(encoding="utf-8"))
    part = document
    for key in where[:-1]:
        part = part[key]
    if value is DROP:
        del part[where[-1]]
    else:
        part[where[-1]] = value
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=words) as error:
        load_truth(path)
    assert str(error.value).startswith(f"{path}: ")


def test_files_that_are_no_truth(tmp_path, path):
    with pytest.raises(InputError, match=r"end in \.json"):
        load_truth(tmp_path / "t.npz")
    with pytest.raises(InputError, match="cannot be read"):
        load_truth(tmp_path / "none.json")
    for text, words in (
        ("{", "not a JSON file"),
        ("[]", "schema"),
        ("\x00", "not a JSON"),
        ('{"schema": ["a"]}', "schema"),
        ("[" * 100_000, "not a JSON"),
        ('{"noise": NaN}', "not finite"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=words):
            load_truth(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not a JSON file"):
        load_truth(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"regime": 2}, "contradicts"),
        ({"noise": -1.0}, "noise"),
        ({"over": 5}, "no atom 5"),
        ({"seed": -3}, "seed"),
        ({"truth": PLANE}, "d = 2"),
    ],
)
def test_nothing_unreadable_is_saved(tmp_path, change, words):
    arguments = {"noise": 0.1, "box": None, "regime": 1, "conditioning": None, "seed": 0}
    arguments |= {"truth": S, **change}
    truth = arguments.pop("truth")
    with pytest.raises(InputError, match=words):
        save_truth(tmp_path / "t.json", SIGMOID, truth, **arguments)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"end in \.json"):
        save_truth(
            tmp_path / "t", SIGMOID, S, noise=None, box=None, regime=1, conditioning=None, seed=0
        )
