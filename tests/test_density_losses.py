"""Losses of densities: 0 on gauge images of the truth, by hand, and what the printed ones do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identkit import InputError
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.experts import Expert
from identkit.losses import voronoi
from identkit.losses.density import density_loss
from identkit.losses.divergence import total_variation
from identkit.losses.printed import printed_loss
from identkit.losses.quotient import quotient
from identkit.losses.template import known_orders
from identkit.mixing import MixingMeasure
from identkit.orders.deciding import order

SEEDS = st.integers(0, 2**32 - 1)


def drawn(rng, model, k, m, d=1, batch=(), slopes=None):
    """A measure with k routed and m shared atoms."""
    q = len(model.routed.parameters)
    beta1 = rng.normal(size=(*batch, k, d)) if slopes is None else np.full((*batch, k, d), slopes)
    routed = MixingMeasure(rng.normal(size=(*batch, k)), beta1, rng.normal(size=(*batch, k, q)))
    variances = rng.uniform(0.2, 1.5, (*batch, k))
    if model.shared is None:
        return DensityMeasure(routed, variances)
    kappa = rng.normal(size=(*batch, m, len(model.shared.parameters)))
    omega = rng.uniform(0.2, 1.0, (*batch, m))
    return DensityMeasure.with_shared(
        routed, variances, omega, kappa, rng.uniform(0.2, 1.5, (*batch, m))
    )


def changed(measure, *, beta0=None, beta1=None, eta=None, kappa=None):
    """The measure with other numbers."""
    old = measure.routed
    routed = MixingMeasure(
        old.beta0 if beta0 is None else beta0,
        old.beta1 if beta1 is None else beta1,
        old.eta if eta is None else eta,
    )
    if measure.shared is None:
        return DensityMeasure(routed, measure.variances)
    return DensityMeasure.with_shared(
        routed,
        measure.variances,
        measure.omega,
        measure.shared.eta if kappa is None else kappa,
        measure.shared_variances,
    )


def relabelled(rng, measure):
    """The atoms of both halves in another order."""
    order = rng.permutation(measure.routed.atoms)
    routed = measure.routed.relabelled(order)
    if measure.shared is None:
        return DensityMeasure(routed, measure.variances[..., order])
    beside = rng.permutation(measure.shared.atoms)
    return DensityMeasure(
        routed,
        measure.variances[..., order],
        measure.shared.relabelled(beside),
        measure.shared_variances[..., beside],
    )


def same_density(model, one, other):
    x = np.linspace(-3, 3, 41).reshape(-1, 1) * np.ones(model.dim)
    y = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(
        model.log_density(one, x, y), model.log_density(other, x, y), rtol=1e-8, atol=1e-8
    )


# -- gauges ----------------------------------------------------------------------------------------

RELU = DensityModel.of("relu", "softmax", shape="ffn", shared="tanh")
SWIGLU = DensityModel.of(Expert.from_expression("c*silu(a*x)*(u*x)"), "softmax")
LINEAR = DensityModel.of("linear", "softmax", shared="linear")
SIGMA = DensityModel.of("relu", "normalized-sigmoid", shape="ffn", shared="tanh")


def moved(rng, model, measure):
    """An image under the shift of a softmax gate, the scalings and signs of the experts, labels."""
    found = quotient(model.routed.expert)
    powers = rng.uniform(-1.5, 1.5, (measure.routed.atoms, len(found.scalings)))
    eta = measure.routed.eta * np.exp(powers @ found.scalings)
    if len(found.signs):
        eta = eta * np.where(rng.random((measure.routed.atoms, 1)) < 0.5, found.signs[0], 1.0)
    image = changed(measure, eta=eta)
    if model.routed.gate.pinning is not None:
        shift = model.routed.gate.pinning.apply(image.routed, rng.normal(size=model.dim + 1))
        image = changed(image, beta0=shift.beta0, beta1=shift.beta1)
    return relabelled(rng, image)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
@pytest.mark.parametrize("model", [RELU, SWIGLU, SIGMA], ids=["relu", "swiglu", "sigma"])
def test_images_of_the_truth_have_loss_0_and_images_of_a_fit_its_loss(model, seed):
    rng = np.random.default_rng(seed)
    truth, fitted = drawn(rng, model, 2, 2), drawn(rng, model, 3, 3)
    image, other = moved(rng, model, truth), moved(rng, model, fitted)
    same_density(model, image, truth)
    assert density_loss(model, image, truth).value < 1e-9
    value = density_loss(model, fitted, truth).value
    assert value > 1e-6
    for one, against in ((other, truth), (fitted, image), (other, image)):
        # the descent over shifts of β1 ends within a relative 1e-12 of a step of its own
        assert density_loss(model, one, against).value == pytest.approx(value, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_without_a_shift_images_have_the_same_loss_exactly(seed):
    rng = np.random.default_rng(seed)
    truth, fitted = drawn(rng, SIGMA, 2, 2), drawn(rng, SIGMA, 3, 3)
    value = density_loss(SIGMA, fitted, truth).value
    other, image = moved(rng, SIGMA, fitted), moved(rng, SIGMA, truth)
    assert density_loss(SIGMA, other, image).value == pytest.approx(value, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0.05, 1.0))
def test_the_factor_of_sigma_is_divided_out_where_all_slopes_are_0(seed, factor):
    rng = np.random.default_rng(seed)
    truth, fitted = (drawn(rng, SIGMA, k, 2, slopes=0.0) for k in (2, 3))
    scale = next(g for g in SIGMA.routed.gate.gauges if g.amounts == "factors")
    image = changed(truth, beta0=scale.apply(truth.routed, np.array([factor])).beta0)
    same_density(SIGMA, image, truth)
    found = density_loss(SIGMA, image, truth)
    assert found.value < 1e-9
    assert "a common factor of the routed weights, which are constants" in found.divided_out
    value = density_loss(SIGMA, fitted, truth).value
    assert density_loss(SIGMA, fitted, image).value == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("gate", ["normalized-sigmoid", "softmax"])
def test_equal_gates_of_any_slope_are_constants(gate):
    model = DensityModel.of("linear", gate)
    eta = [[1.0, 0.0], [-1.0, 1.0]]
    flat, sloped = (
        DensityMeasure(MixingMeasure([b, b], [[s], [s]], eta), [0.5, 0.25])
        for b, s in ((0.0, 0.0), (1.0, 2.0))
    )
    same_density(model, flat, sloped)
    assert density_loss(model, sloped, flat).value < 1e-12
    assert density_loss(model, flat, sloped).value < 1e-12


def transported(q):
    """The truth T2 of arXiv 2505.10860 with q of the mass moved between the halves (section 8)."""
    w = 1 / (1 + math.e)
    masses = [w, 1 - w - q, q]
    eta = [[8.0, 2.0], [-6.0, 1.0], [2.0, 0.0]]
    routed = MixingMeasure(np.log(masses), [[1.0]] * 3, eta)
    return DensityMeasure.with_shared(
        routed, [0.4, 0.4, 0.2], [1 - q, q], [[2.0, 0.0], [-6.0, 1.0]], [0.2, 0.4]
    )


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0.01, 0.7), st.floats(0.01, 0.7))
def test_transport_between_halves_is_divided_out(seed, one, other):
    truth, image = transported(one), transported(other)
    same_density(LINEAR, image, truth)
    found = density_loss(LINEAR, image, truth)
    assert set(found.halves) == {"both"}
    assert found.value < 1e-12
    assert sorted(found.halves["both"].pairs) == [(0, 4), (1, 3), (2,)]
    fitted = drawn(np.random.default_rng(seed), LINEAR, 4, 3)
    value = density_loss(LINEAR, fitted, truth).value
    assert density_loss(LINEAR, fitted, image).value == pytest.approx(value, rel=1e-9)
    assert value > 1e-3


def test_the_exchange_of_halves_by_different_names():
    """h1 = κ and h2 = aᵀx + b: the constants are in both, and the sum is over (a, b)."""
    model = DensityModel.of("linear", "softmax", shared="input-free")
    one, other = (
        DensityMeasure.with_shared(
            MixingMeasure([0.0], [[1.0]], [[0.0, b]]), [nu], [1.0], [[kappa]], [tau]
        )
        for b, nu, kappa, tau in ((1.0, 0.5, 2.0, 0.25), (2.0, 0.25, 1.0, 0.5))
    )
    same_density(model, one, other)
    assert density_loss(model, one, other).value < 1e-12


def test_several_slopes_are_no_constants():
    truth = transported(0.3)
    sloped = changed(truth, beta1=[[1.0], [2.0], [0.0]])
    assert set(density_loss(LINEAR, truth, sloped).halves) == {"shared", "routed"}


def test_caveats():
    truth = drawn(np.random.default_rng(0), RELU, 1, 1, slopes=0.0)
    found = density_loss(RELU, drawn(np.random.default_rng(1), RELU, 2, 1), truth)
    assert len(found.caveats) == 2
    assert "no proof" in found.caveats[0]
    assert "spreading" in found.caveats[1]
    sloped = drawn(np.random.default_rng(0), SIGMA, 2, 1)
    over = DensityMeasure.stack([sloped]).routed
    four = DensityMeasure.with_shared(
        MixingMeasure(*(np.repeat(v, 2, axis=1)[0] for v in (over.beta0, over.beta1, over.eta))),
        np.repeat(sloped.variances, 2), [1.0], sloped.shared.eta, sloped.shared_variances,
    )  # fmt: skip
    assert any("sparse" in c for c in density_loss(SIGMA, four, sloped).caveats)


# -- by hand ---------------------------------------------------------------------------------------

ONE = DensityModel.of("linear", "softmax")


def single(eta=(0.0, 0.0), nu=1.0, beta0=0.0, beta1=0.0):
    return DensityMeasure(MixingMeasure([beta0], [[beta1]], [eta]), [nu])


def pair(step, nu=1.0):
    """Two atoms b ± step of equal weights."""
    return DensityMeasure(
        MixingMeasure([0.0, 0.0], [[0.0], [0.0]], [[0.0, step], [0.0, -step]]), [nu, nu]
    )


def test_orders_of_directions_by_hand():
    truth = single()
    assert density_loss(ONE, single((3.0, 0.0), 5.0), truth).value == pytest.approx(5.0)
    assert density_loss(ONE, pair(0.1), truth).value == pytest.approx(0.01)
    twice = {"b": lambda m: 2 * m, "variance": lambda m: m}
    fitted = pair(0.1, 0.7)
    found = density_loss(ONE, fitted, truth, orders=twice)
    assert found.value == pytest.approx(0.1**4 + 0.3**2)
    assert found.halves["routed"].parts.over == pytest.approx(0.1**4 + 0.3**2)
    assert density_loss(ONE, fitted, truth, orders=3).value == pytest.approx(0.001 + 0.027)
    many = density_loss(ONE, DensityMeasure.stack([fitted, pair(0.2)]), truth, orders=twice)
    np.testing.assert_allclose(many.value, [0.0001 + 0.09, 0.2**4])
    assert many.halves["routed"].cells.tolist() == [[0, 0], [0, 0]]


def test_orders_that_were_decided():
    answers = [order("linear", "softmax", likelihood="gaussian", dim=1, cell=m) for m in (2, 3)]
    truth, fitted = single(), pair(0.1, 0.7)
    twice = {"b": lambda m: 2 * m, "variance": lambda m: m}
    value = density_loss(ONE, fitted, truth, orders=twice).value
    assert density_loss(ONE, fitted, truth, orders=known_orders(*answers)).value == value
    with pytest.raises(InputError, match="ask with cell=2"):
        density_loss(ONE, fitted, truth, orders=known_orders(answers[1]))
    # along an orbit there is none, and none is made up
    assert not known_orders(order("relu", "softmax", likelihood="gaussian", shape="ffn", dim=1))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
@pytest.mark.parametrize("gate", ["softmax", "quadratic", "laplace"])
def test_the_routed_half_is_the_loss_of_regression_with_the_variance_in_eta(gate, seed):
    """Of an expert without orbits: the variance is one more parameter of an atom."""
    rng = np.random.default_rng(seed)
    model = DensityModel.of("gelu", gate)

    def both(k):
        measure = model.routed.layout
        values = {b.name: rng.normal(size=(5, *measure.shape(b, k))) for b in measure.blocks}
        variances = rng.uniform(0.2, 1.0, (5, k))
        eta = np.concatenate([values["eta"], variances[..., None]], axis=-1)
        wide = model.routed.gate.layout(1, 3)
        return (
            DensityMeasure(MixingMeasure.of(measure, values), variances),
            MixingMeasure.of(wide, {**values, "eta": eta}),
        )

    (fitted, flat), (truth, true) = both(3), both(2)
    value = density_loss(model, fitted, truth[0]).value
    # both descend over shifts, and squares that add up in another order may end a step earlier:
    # 3e-7 was the largest difference over 4500 draws
    np.testing.assert_allclose(value, voronoi(flat, true[0], gate).value, rtol=1e-5)


def test_the_shared_half_by_hand():
    model = DensityModel.of("linear", "softmax", shared="tanh")  # no function in common
    routed = MixingMeasure([0.0, 0.0], [[0.0], [1.0]], [[0.0, 0.0], [1.0, 0.0]])

    def with_shared(omega, kappa, tau):
        return DensityMeasure.with_shared(routed, [1.0, 1.0], omega, kappa, tau)

    truth = with_shared([0.25, 0.75], [[1.0, 0.0], [3.0, 0.0]], [1.0, 2.0])
    fitted = with_shared([1, 2, 1], [[1.0, 0.5], [3.0, 0.1], [3.0, -0.2]], [1.0, 2.0, 2.1])
    found = density_loss(model, fitted, truth)
    assert (
        found.value
        == found.halves["shared"].value
        == pytest.approx(0.25 * 0.5 + 0.5 * 0.01 + 0.25 * (0.04 + 0.01))
    )
    assert found.halves["shared"].cells.tolist() == [0, 1, 1]


SAME = DensityModel.of(
    "gelu", "softmax", shape="ffn", shared=Expert.from_expression("c*gelu(a*x + b)")
)


@pytest.mark.parametrize(
    ("model", "slopes", "kappa", "tau"),
    [
        (RELU, [[1.0], [-0.5]], [[1.2, -0.3], [0.5, 1.0]], [0.4, 0.2]),
        (SAME, [[1.0], [1.0]], [[1.0, 1.5, 0.5], [0.8, -1.0, 0.2]], [0.3, 0.2]),
    ],
    ids=["halves", "both"],
)
def test_the_distance_of_the_densities_bounds_the_loss_near_the_truth(model, slopes, kappa, tau):
    """An atom of either half split in two by ±t, all else moved by t²: TV ≥ C·loss as t falls.

    The least ratios over 200 draws at t = 0.3, 0.1, 0.03 and 0.01 were 0.07 to 0.11.
    """
    rng = np.random.default_rng(3)
    truth = DensityMeasure.with_shared(
        MixingMeasure([0.0, 0.5], slopes, [[1.0, 1.5, 0.5], [-1.0, 0.7, -0.8]]),
        [0.3, 0.5], [0.4, 0.6], kappa, tau,
    )  # fmt: skip
    draws = 40

    def split(base, t):
        base = np.asarray(base)
        move = rng.normal(size=(draws, *base.shape[1:]))
        parts = [base[0] + t * move, base[0] - t * move, np.broadcast_to(base[1], move.shape)]
        made = np.stack(parts, axis=1)
        return made + t**2 * rng.normal(size=made.shape)

    for t in (0.1, 0.01):
        beta0 = np.array([-np.log(2), -np.log(2), 0.5]) + t**2 * rng.normal(size=(draws, 3))
        omega = np.array([0.2, 0.2, 0.6]) * np.exp(t**2 * rng.normal(size=(draws, 3)))
        fitted = DensityMeasure.with_shared(
            MixingMeasure(beta0, split(slopes, t), split(truth.routed.eta, t)),
            np.maximum(split([0.3, 0.5], t), 0.02), omega, split(kappa, t),
            np.maximum(split(tau, t), 0.02),
        )  # fmt: skip
        loss = density_loss(model, fitted, truth).value
        assert (loss < 30 * t**2).all()
        assert (total_variation(model, fitted, truth, points=16).value > 0.03 * loss).all()


# -- quotients -------------------------------------------------------------------------------------


def test_an_orbit_is_represented_by_its_shortest_point():
    found = quotient(RELU.routed.expert)
    assert found.texts == ("the scaling c → c·c, a → a·c^-1, b → b·c^-1",)
    eta = np.array([[4.0, 0.6, 0.8], [0.0, 3.0, 4.0], [2.0, 0.0, 0.0], [-9.0, 1.0, 0.0]])
    expected = [[2.0, 1.2, 1.6], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-3.0, 3.0, 0.0]]
    np.testing.assert_allclose(found.representatives(eta), expected, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(SEEDS)
@pytest.mark.parametrize(
    "text", ["c*relu(a*x + b)", "c*silu(a*x)*(u*x) + (b + e)*x", "c*e*relu(a*x + b)"]
)
def test_representatives_are_those_of_a_function(text, seed):
    rng = np.random.default_rng(seed)
    expert = Expert.from_expression(text)
    found = quotient(expert)
    eta = rng.normal(size=(6, len(expert.parameters)))
    first = found.representatives(eta)
    np.testing.assert_allclose(found.representatives(first), first, atol=1e-12)
    image = eta * np.exp(rng.uniform(-2, 2, (6, len(found.scalings))) @ found.scalings)
    image = image + rng.normal(size=(6, len(found.translations))) @ found.translations
    np.testing.assert_allclose(found.representatives(image), first, atol=1e-10)
    assert (np.linalg.norm(first, axis=-1) <= np.linalg.norm(eta, axis=-1) + 1e-12).all()


def test_curves_without_coordinates_are_refused():
    model = DensityModel.of(Expert.from_expression("c*exp(a*x + b)"), "softmax")
    measure = DensityMeasure(MixingMeasure([0.0], [[0.0]], [[1.0, 1.0, 1.0]]), [1.0])
    with pytest.raises(InputError, match="moves c, b"):
        density_loss(model, measure, measure)


def test_logits_that_see_each_other():
    """Categorical: classes have no variances, and the loss is of the logits' parameters."""
    expert = Expert.from_expression("a*x + b")
    model = DensityModel.of(expert, "softmax", "categorical")
    one, other = (
        DensityMeasure(MixingMeasure([0.0, 0.0], [[0.0], [1.0]], [[1.0, b], [-1.0, 0.0]]))
        for b in (0.0, 0.5)
    )
    assert density_loss(model, one, other).value == pytest.approx(0.25)
    with pytest.raises(InputError, match="variance"):
        density_loss(model, one, other, orders={"variance": 2})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"orders": {"z": 2}}, "z is none of a, b, variance, gate"),
        ({"orders": 0.5}, "give a number of at least 1"),
        ({"orders": {"b": lambda m: 0}}, "0 in cells of 2 atoms"),
        ({"regime": "dense"}, "regime"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(InputError, match=said):
        density_loss(ONE, pair(0.1), single(), **options)


def test_measures_are_checked():
    with pytest.raises(InputError, match="give one of them"):
        density_loss(ONE, single(), DensityMeasure.stack([single(), single()]))
    model = DensityModel.of("gelu", "hierarchical", groups=(1, 1))
    layout = model.routed.layout
    values = {b.name: np.zeros(layout.shape(b, 2)) for b in layout.blocks}
    measure = DensityMeasure(MixingMeasure.of(layout, values), [1.0, 1.0])
    with pytest.raises(InputError, match="two levels"):
        density_loss(model, measure, measure)
    dense = DensityModel.of("gelu", "normalized-sigmoid")
    measure = drawn(np.random.default_rng(0), dense, 2, 0)
    assert density_loss(dense, measure, measure, regime="dense").value == 0
    with pytest.raises(InputError, match="first powers everywhere"):
        density_loss(dense, measure, measure, regime="dense", orders=3)


# -- the printed losses ----------------------------------------------------------------------------


def slow(name, fitted, truth, minimiser=None, active=None):
    """The printed formulas in loops, for one measure."""

    def cells(own, true):
        return [min(range(len(true)), key=lambda j: math.dist(a, true[j])) for a in own]

    total = 0.0
    if fitted.shared is not None:
        own = [(*k, t) for k, t in zip(fitted.shared.eta, fitted.shared_variances, strict=True)]
        true = [(*k, t) for k, t in zip(truth.shared.eta, truth.shared_variances, strict=True)]
        where = cells(own, true)
        for j, omega in enumerate(truth.omega):
            inside = [i for i, c in enumerate(where) if c == j]
            total += abs(sum(fitted.omega[i] for i in inside) - omega)
            for i in inside:
                kappa, tau = math.dist(own[i][:-1], true[j][:-1]), abs(own[i][-1] - true[j][-1])
                r = 2 * len(inside)
                several = kappa**2 + tau**2
                if name == "D2":
                    several = math.dist(own[i][:-2], true[j][:-2]) ** 2
                    several += abs(own[i][-2] - true[j][-2]) ** r + tau ** (r / 2)
                total += fitted.omega[i] * (kappa + tau if len(inside) == 1 else several)
    target = truth if minimiser is None else minimiser

    def rows(measure):
        g = measure.routed
        return [(*b, *e, v) for b, e, v in zip(g.beta1, g.eta, measure.variances, strict=True)]

    own, true, d = rows(fitted), rows(target), fitted.routed.dim
    where, parts = cells(own, true), []
    for j, true_beta0 in enumerate(target.routed.beta0):
        inside = [i for i, c in enumerate(where) if c == j]
        beta0 = [fitted.routed.beta0[i] for i in inside]
        weight = [math.exp(b) for b in beta0] if name in ("D1", "D2", "D5") else [1.0] * len(beta0)
        part = 0.0
        if name in ("D1", "D2", "D5"):
            part = abs(sum(weight) - math.exp(true_beta0))
        elif name == "D3" and len(inside) > 1:
            part = abs(sum(1 / (1 + math.exp(-b)) for b in beta0) - 1 / (1 + math.exp(-true_beta0)))
        for i, b, w in zip(inside, beta0, weight, strict=True):
            slope = math.dist(own[i][:d], true[j][:d])
            eta = math.dist(own[i][d:-1], true[j][d:-1])
            nu = abs(own[i][-1] - true[j][-1])
            change = abs(b - true_beta0) if name in ("D3", "D4") else 0.0
            if len(inside) == 1 or name == "D4":
                part += w * (slope + eta + nu + change)
            elif name == "D2":
                r = 2 * len(inside)
                part += w * (
                    slope**r + math.dist(own[i][d:-2], true[j][d:-2]) ** (r / 2)
                    + abs(own[i][-2] - true[j][-2]) ** r + nu ** (r / 2)
                )  # fmt: skip
            else:
                part += w * (slope**2 + eta**2 + nu**2)
        parts.append(part)
    return total + sum(sorted(parts)[-active:] if active else parts)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
@pytest.mark.parametrize("name", ["D1", "D2", "D3", "D4", "D5"])
@pytest.mark.parametrize("model", [LINEAR, ONE], ids=["shared", "routed"])
def test_printed_losses_as_loops_compute_them(name, model, seed):
    rng = np.random.default_rng(seed)
    fitted, truth = drawn(rng, model, 5, 4, batch=(3,)), drawn(rng, model, 3, 2)
    options, least = {}, None
    if name == "D4":
        least = drawn(rng, model, 4, 2)
        options = {"minimiser": least.routed, "minimiser_variances": least.variances}
    if name == "D5":
        options = {"active": 2}
    found = printed_loss(name, fitted, truth, **options)
    expected = [slow(name, f, truth, least, options.get("active")) for f in fitted]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert printed_loss(name, fitted[0], truth, **options) == pytest.approx(expected[0])


def no_difference(model, one, other):
    """The same density, and a gauge-free loss of 0."""
    same_density(model, one, other)
    assert total_variation(model, one, other).value < 1e-12
    assert density_loss(model, one, other).value < 1e-12


@pytest.mark.parametrize("name", ["D1", "D2", "D5"])
def test_common_shifts_change_d1_d2_and_d5(name):
    """β0 + log 2, β1 + 3 of the only atom: |2 − 1| + 2·3."""
    truth, image = single((1.0, 0.0)), single((1.0, 0.0), beta0=math.log(2), beta1=3.0)
    no_difference(ONE, image, truth)
    value = printed_loss(name, image, truth, **({"active": 1} if name == "D5" else {}))
    assert value == pytest.approx(7.0)


@pytest.mark.parametrize("name", ["D1", "D3", "D4"])
@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        ("c*relu(a*x + b)", (1.0, 2.0, 0.0), (2.0, 1.0, 0.0)),
        ("c*silu(a*x)*(u*x)", (1.0, 3.0, 2.0), (2.0, 3.0, 1.0)),
    ],
    ids=["relu", "swiglu"],
)
def test_scale_orbits_change_d1_d3_and_d4(name, text, one, other):
    """(c, a) = (1, 2) to (2, 1): √2."""
    expert = Expert.from_expression(text)
    order = ["cab", "cau"]["silu" in text]
    gate = "softmax" if name == "D1" else "normalized-sigmoid"
    model = DensityModel.of(expert, gate)

    def measure(values):
        eta = [dict(zip(order, values, strict=True))[p] for p in expert.parameters]
        return single(tuple(eta))

    truth, image = measure(one), measure(other)
    no_difference(model, image, truth)
    options = {}
    if name == "D4":
        options = {"minimiser": truth.routed, "minimiser_variances": truth.variances}
    assert printed_loss(name, image, truth, **options) == pytest.approx(math.sqrt(2))


def test_the_factor_of_sigma_changes_d3():
    """σ(β0) = ½ to ¼ for both atoms: |Δβ0| = log 3 each."""
    model = DensityModel.of("gelu", "normalized-sigmoid")
    eta = [[1.0, 0.0], [-1.0, 0.5]]
    truth, image = (
        DensityMeasure(MixingMeasure([b, b], [[0.0], [0.0]], eta), [0.5, 0.5])
        for b in (0.0, -math.log(3))
    )
    no_difference(model, image, truth)
    assert printed_loss("D3", image, truth) == pytest.approx(2 * math.log(3))


@pytest.mark.parametrize("name", ["D1", "D2", "D3"])
def test_exchanges_of_halves_with_constant_gates_change_d1_d2_and_d3(name):
    """Constants 1 and 2 exchanged between one shared and one routed atom: 1 + 1."""
    gate = "normalized-sigmoid" if name == "D3" else "softmax"
    model = DensityModel.of("linear", gate, shared="linear")
    truth, image = (
        DensityMeasure.with_shared(
            MixingMeasure([0.0], [[0.0]], [[0.0, b]]), [1.0], [1.0], [[0.0, kappa]], [1.0]
        )
        for b, kappa in ((1.0, 2.0), (2.0, 1.0))
    )
    no_difference(model, image, truth)
    assert printed_loss(name, image, truth) == pytest.approx(2.0)


def test_copies_with_a_common_spreading_change_every_loss_for_twice_the_atoms():
    """k = 2k*, β1 ± 1 of every atom: the same density; the loss here says so among its caveats."""
    truth = DensityMeasure(
        MixingMeasure([0.0, 0.0], [[0.0], [1.0]], [[1.0, 0.0], [-1.0, 0.0]]), [0.5, 0.5]
    )
    image = DensityMeasure(
        MixingMeasure(
            [0.0] * 4, [[1.0], [-1.0], [2.0], [0.0]],
            [[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]],
        ),
        [0.5] * 4,
    )  # fmt: skip
    same_density(ONE, image, truth)
    found = density_loss(ONE, image, truth)
    assert found.value > 0.5
    assert any("spreading" in c for c in found.caveats)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("D6", {}, "choose one of D1, D2, D3, D4, D5"),
        ("D4", {}, "give one"),
        ("D1", {"minimiser": single().routed}, "it is of D4"),
        ("D5", {}, "give K"),
        ("D5", {"active": 2}, "from 1 to 1"),
        ("D1", {"active": 1}, "it is of D5"),
    ],
)
def test_options_of_printed_losses(name, options, said):
    with pytest.raises(InputError, match=said):
        printed_loss(name, single(), single(), **options)
