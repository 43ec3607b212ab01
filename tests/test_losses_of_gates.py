"""Voronoi losses in normal coordinates: of every gate with a loss, free of its gauges."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from amounts import amount
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import optimize

from identkit import InputError
from identkit.gates import GATES, resolve
from identkit.layout import AFFINE, POSITIVE
from identkit.losses import align, cells, voronoi
from identkit.mixing import MixingMeasure

ROUTERS = {
    # (coordinates beside β0 that have a common shift, number of all of them, whether τ is one)
    "linear": (1, 1, False),
    "tanh": (0, 1, True),
    "tanh-bias": (0, 2, True),
    "relu-bias": (0, 2, False),
    "exp": (0, 1, True),
    "exp-bias": (0, 2, False),
    "(w*x)**2": (1, 1, False),
    "-(x - w)**2": (1, 1, False),
    "(w + v**2)*x": (1, 1, False),
    "(w + 1)*tanh(x*v)": (0, 2, False),
    "sin(w*x) + x*v": (1, 2, True),
    "w*x + v": (1, 1, False),
}
NAMES = [
    "quadratic",
    "monomial-quadratic",
    "gaussian-gate",
    "laplace",
    "cosine",
    "perturbed-cosine",
    "sigmoid-temperature",
    "euclidean-sigmoid",
]
QUADRATIC = ("quadratic", "gaussian-gate")
"""Gates whose own second moments are invisible whatever the expert."""
SURELY = 0.5
"""Part of (smallest weight) · (distance moved) that a loss has at least: all of it, since a shift
to the moved atom costs the others as much, but for the change of its own weight (.89 measured)."""
SEEN = 0.01
"""Part of (smallest weight) · (change of weights) that a loss has at least, under any router:
the change of a score is at most x² ~ 25 times that of γ, of weights a quarter (.10 measured)."""
seeds = st.integers(0, 2**32 - 1)
few = settings(deadline=None, max_examples=amount(15, 100))


def measure(gate, dim, atoms, rng, q=2, batch=()):
    """Random parameters in the blocks of a gate."""
    layout = gate.layout(dim, q)
    values = {}
    for block in layout.blocks:
        shape = (*batch, *layout.shape(block, atoms))
        values[block.name] = rng.normal(size=shape)
        if block.role in POSITIVE:
            values[block.name] = rng.uniform(0.5, 2.0, size=shape)
        if block.role in POSITIVE and block.axis == "t":  # positive definite
            root = rng.normal(size=(*batch, atoms, dim, dim))
            matrix = root @ np.swapaxes(root, -1, -2) + 0.5 * np.eye(dim)
            places = itertools.combinations_with_replacement(range(dim), 2)
            values[block.name] = np.stack([matrix[..., i, j] for i, j in places], axis=-1)
    return MixingMeasure.of(layout, values)


def shifted_precision(m, rng):
    """P + S, P c + t, with β0 to match, S positive: another measure with the same f."""
    dim = m.dim
    root = rng.normal(size=(dim, dim))
    s, t = root @ root.T, rng.normal(size=dim)
    places = list(itertools.combinations_with_replacement(range(dim), 2))
    values = {b.name: m[b.name].copy() for b in m.layout.blocks}
    for i in range(m.atoms):
        p = np.zeros((dim, dim))
        for n, (a, b) in enumerate(places):
            p[a, b] = p[b, a] = m["precision"][i, n]
        c = m["centre"][i]
        new = p + s
        centre = np.linalg.solve(new, p @ c + t)
        values["precision"][i] = [new[a, b] for a, b in places]
        values["centre"][i] = centre
        old = math.log(np.linalg.det(p)) - c @ p @ c
        values["beta0"][i] += (old - math.log(np.linalg.det(new)) + centre @ new @ centre) / 2
    return MixingMeasure.of(m.layout, values)


def moved(gate, m, rng):
    """Along every gauge of the gate, by random amounts."""
    for gauge in gate.gauges:
        if gauge.caveat is not None:
            continue
        size = gauge.dimension(m.dim, m.atoms)
        amounts = rng.normal(size=size)
        if gauge.amounts == "factors":
            amounts = np.exp(-np.abs(amounts))
        m = gauge.apply(m, amounts)
    return shifted_precision(m, rng) if gate.name == "gaussian-gate" else m


def close(gate, truth, rng, scale, copies=(0,)):
    """A measure near the truth, with atoms that are copies of true ones (the weight shared)."""
    origin = [*range(truth.atoms), *copies]
    values = {}
    for b in truth.layout.blocks:
        own = truth[b.name][origin] if b.per_atom else truth[b.name]
        factor = np.exp if b.role in POSITIVE and b.axis == "" else None
        noise = scale * rng.normal(size=own.shape)
        values[b.name] = own * factor(noise) if factor else own + noise
    if gate.share is not None or gate.pinning is not None:
        counts = np.bincount(origin)[origin]
        values["beta0"] = values["beta0"] - np.log(counts)
    return MixingMeasure.of(truth.layout, values), origin


def predicted(gate, m, x):
    """f at points with linear experts of the first numbers of η, from the gate's own score."""
    out = []
    for point in x:
        scores = gate.score({b.name: m[b.name] for b in gate.blocks}, point)
        weights = np.exp(scores) if gate.divides else 1 / (1 + np.exp(-scores))
        h = np.tanh(m.eta[:, 0] * point[0] + m.eta[:, 1])
        out.append((weights * h).sum() / (weights.sum() if gate.divides else 1.0))
    return np.array(out)


@pytest.mark.parametrize("name", NAMES)
@few
@given(seed=seeds, dim=st.integers(1, 3), near=st.booleans())
def test_free_of_gauges_and_labels(name, seed, dim, near):
    gate, rng = resolve(name), np.random.default_rng(seed)
    truth = measure(gate, dim, 3, rng)
    fitted = close(gate, truth, rng, 0.05)[0] if near else measure(gate, dim, 4, rng)
    before = voronoi(fitted, truth, gate)
    mine, true = rng.permutation(4), rng.permutation(3)
    after = voronoi(
        moved(gate, fitted, rng).relabelled(mine), moved(gate, truth, rng).relabelled(true), gate
    )
    assert after.value == pytest.approx(float(before.value), rel=1e-8, abs=1e-9)
    assert np.array_equal(true[after.cells], before.cells[mine])
    for part in ("eta_over", "gate_over", "exact_error"):
        left, right = float(getattr(before, part)), float(getattr(after, part))
        assert right == pytest.approx(left, rel=1e-6, abs=1e-8, nan_ok=True), part


@pytest.mark.parametrize("name", NAMES)
@few
@given(seed=seeds, dim=st.integers(1, 2))
@example(seed=23, dim=2)  # an atom of a Gaussian gate that weighs 1e-11
def test_zero_on_the_orbit_of_the_truth_and_positive_away(name, seed, dim):
    gate, rng = resolve(name), np.random.default_rng(seed)
    truth = measure(gate, dim, 3, rng)
    copies = (0,) if gate.pinning is not None else ()
    same, origin = close(gate, truth, rng, 0.0, copies)
    loss = voronoi(moved(gate, same, rng), truth, gate)
    assert float(loss.value) == pytest.approx(0, abs=1e-9)
    assert list(loss.cells) == origin
    assert not loss.empty.any()
    for block in truth.layout.of_atoms:
        values = {b.name: same[b.name].copy() for b in truth.layout.blocks}
        values[block.name][1] += 0.01 * np.abs(rng.normal(size=values[block.name][1].shape)) + 0.01
        changed = MixingMeasure.of(truth.layout, values)
        if name == "cosine" and dim == 1 and block.name == "direction":
            continue  # a sign
        least = SURELY * weights_by_hand(name, by_hand(name, truth)).min()
        assert voronoi(changed, truth, gate).value > least * moved_by(name, changed, truth, 1), (
            block.name
        )


@pytest.mark.parametrize("name", NAMES)
def test_one_and_many_agree(name):
    gate, rng = resolve(name), np.random.default_rng(5)
    truth, many = measure(gate, 2, 3, rng), measure(gate, 2, 4, rng, batch=(6,))
    found = voronoi(many, truth, gate)
    for r in range(6):
        one = voronoi(many[r], truth, gate)
        assert one.value == found.value[r]
        assert np.array_equal(one.cells, found.cells[r])
        assert np.array_equal(one.shift, found.shift[r])
    assert cells(many, truth, gate).shape == (6, 4)


# -- an independent implementation: formulas again, loops, a search over shifts --------------------


def by_hand(name, m):
    """(offsets, γ without gauges of one atom) of each atom, from the definition of the gate."""
    dim = m.dim
    found = []
    for i in range(m.atoms):
        offset = float(m.beta0[i])
        if name == "quadratic":
            gamma = [*m["quadratic"][i], *m["beta1"][i]]
        elif name == "monomial-quadratic":
            gamma = [*m["quadratic"][i]]
        elif name == "gaussian-gate":
            p = np.zeros((dim, dim))
            pairs = list(itertools.combinations_with_replacement(range(dim), 2))
            for e, (a, b) in zip(m["precision"][i], pairs, strict=True):
                p[a, b] = p[b, a] = e
            c = m["centre"][i]
            # x_a² and x_a·x_b in −½(x − c)ᵀP(x − c)
            gamma = [-p[a, b] / 2 * (1 if a == b else 2) for a, b in pairs] + list(p @ c)
            offset += math.log(np.linalg.det(p)) / 2 - c @ p @ c / 2
        elif name in ("laplace", "euclidean-sigmoid"):
            gamma = [*m["centre"][i]]
        elif name == "cosine":
            gamma = list(m["direction"][i] / math.hypot(*m["direction"][i]))
        elif name == "perturbed-cosine":
            gamma = list(m["direction"][i] / (math.hypot(*m["direction"][i]) + 1))
        else:
            tau = float(m["temperature"])
            offset, gamma = offset / tau, list(m["beta1"][i] / tau)
        found.append((offset, np.array(gamma)))
    return found


def weights_by_hand(name, side):
    """What atoms weigh, of their offsets; 1e-16 for an atom of a Gaussian gate far from 0."""
    offsets = np.array([o for o, _ in side])
    if name in ("sigmoid-temperature", "euclidean-sigmoid"):
        return 1 / (1 + np.exp(-offsets))
    weights = np.exp(offsets)
    return weights / math.fsum(weights)


def moved_by(name, fitted, truth, atom):
    """How far an atom was moved in (offset, γ, η): its direction may have stayed as it was."""
    (offset, gamma), (before, old) = by_hand(name, fitted)[atom], by_hand(name, truth)[atom]
    return math.hypot(
        offset - before, math.dist(gamma, old), math.dist(fitted.eta[atom], truth.eta[atom])
    )


def slow(name, fitted, truth, shift, order=2.0, whole=False):
    """The loss at one shift; ``whole`` with the gate's terms that are left out of the value."""
    mine, true = by_hand(name, fitted), by_hand(name, truth)

    own, others = weights_by_hand(name, mine), weights_by_hand(name, true)
    divided = resolve(name).divides
    where = []
    for i, (_, gamma) in enumerate(mine):
        distances = [
            math.hypot(math.dist(gamma + shift, g), math.dist(fitted.eta[i], truth.eta[j]))
            for j, (_, g) in enumerate(true)
        ]
        where.append(distances.index(min(distances)))
    total = 0.0
    for j, (offset, g) in enumerate(true):
        inside = [i for i, cell in enumerate(where) if cell == j]
        gap = abs(math.fsum(own[i] for i in inside) - others[j])
        first = name == "euclidean-sigmoid"
        if divided or not inside or (len(inside) > 1 and not first):
            total += gap
        for i in inside:
            gate = math.dist(mine[i][1] + shift, g)
            eta = math.dist(fitted.eta[i], truth.eta[j])
            over = len(inside) > 1
            power = order if over and not first else 1.0
            term = eta**power
            if not (over and name in QUADRATIC) or whole:
                term += gate**power
            if not divided and (not over or first):
                term += abs(mine[i][0] - offset)
            total += term * (own[i] if divided else 1.0)
    return total, where


@pytest.mark.parametrize("name", NAMES)
@few
@given(
    seed=seeds, dim=st.integers(1, 2), near=st.booleans(), order=st.sampled_from([1.0, 2.0, 3.0])
)
def test_agrees_with_the_loop(name, seed, dim, near, order):
    gate, rng = resolve(name), np.random.default_rng(seed)
    truth = measure(gate, dim, 3, rng)
    fitted = close(gate, truth, rng, 0.1)[0] if near else measure(gate, dim, 4, rng)
    terms = gate.regimes[0].loss
    assert terms is not None
    loss = voronoi(fitted, truth, gate, order=None if terms.fixed else order)
    value, where = slow(name, fitted, truth, loss.shift, order)
    assert loss.value == pytest.approx(value, rel=1e-11, abs=1e-13)
    assert list(loss.cells) == where
    assert bool(loss.shift.any()) <= gate.divides


@pytest.mark.parametrize(
    "name", ["quadratic", "monomial-quadratic", "gaussian-gate", "cosine", "perturbed-cosine"]
)
def test_the_shift_found_is_the_best_one(name):
    """Against a search from many starts, which knows no candidates and no Weiszfeld step."""
    gate, rng = resolve(name), np.random.default_rng(11)
    for scale in (0.02, 0.2):
        truth = measure(gate, 1, 3, rng) if name != "cosine" else measure(gate, 2, 3, rng)
        fitted, _ = close(gate, truth, rng, scale)
        loss = voronoi(fitted, truth, gate)

        def height(t, fitted=fitted, truth=truth):
            return slow(name, fitted, truth, t, whole=True)[0]

        found = height(loss.shift)
        starts = [loss.shift + s * rng.normal(size=loss.shift.shape) for s in (0.01, 0.1, 1.0)]
        starts += [np.zeros_like(loss.shift), loss.shift]
        for start in starts:
            best = optimize.minimize(
                height, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
            )
            assert found <= best.fun * (1 + 2e-3), (scale, found, best.fun)


# -- by hand ---------------------------------------------------------------------------------------


def of(name, values, dim=1, q=1):
    return MixingMeasure.of(resolve(name).layout(dim, q), values)


def test_cosine_by_hand():
    """Directions 0° and 90° against 0° and 60°: exact cells, equal weights, half a chord each."""
    truth = of(
        "cosine",
        {"direction": [[2.0, 0.0], [0.0, 7.0]], "beta0": [0.0, 0.0], "eta": [[1.0], [3.0]]},
        dim=2,
    )
    angle = math.radians(60)
    turned = [[5.0, 0.0], [0.1 * math.cos(angle), 0.1 * math.sin(angle)]]
    fitted = of("cosine", {"direction": turned, "beta0": [4.0, 4.0], "eta": [[1.0], [3.5]]}, dim=2)
    chord = 2 * math.sin(math.radians(15))
    loss = voronoi(fitted, truth, "cosine")
    assert loss.value == pytest.approx(0.5 * chord + 0.5 * 0.5)
    assert loss.parts.weight == pytest.approx(0, abs=1e-15)


def test_two_directions_have_a_mirror_image():
    """(b1, b2) → (−b2, −b1) is a common shift of both: the same f for any experts."""
    gate, rng = resolve("cosine"), np.random.default_rng(2)
    truth = measure(gate, 2, 2, rng)
    b = truth["direction"]
    values = {k.name: truth[k.name] for k in truth.layout.blocks}
    mirror = MixingMeasure.of(truth.layout, {**values, "direction": -3 * b[::-1] / 5})
    x = rng.normal(size=(20, 2))
    assert np.allclose(predicted(gate, mirror, x), predicted(gate, truth, x), rtol=1e-12)
    assert voronoi(mirror, truth, gate).value == pytest.approx(0, abs=1e-12)


def test_gates_that_are_slow_whatever_the_expert_are_reported_and_not_summed():
    """b ± t, A − t²/2 look like one atom up to t⁴: no term of the loss is as large as t."""
    t = 0.1
    truth = of(
        "quadratic",
        {"quadratic": [[0.3], [0.0]], "beta1": [[1.0], [0.0]], "beta0": [0.2, 0.0],
         "eta": [[1.0], [2.0]]},
    )  # fmt: skip
    fitted = of(
        "quadratic",
        {
            "quadratic": [[0.3 - t**2 / 2], [0.3 - t**2 / 2], [0.0]],
            "beta1": [[1.0 + t], [1.0 - t], [0.0]],
            "beta0": [0.2 - math.log(2), 0.2 - math.log(2), 0.0],
            "eta": [[1.0], [1.0], [2.0]],
        },
    )
    loss = voronoi(fitted, truth, "quadratic")
    assert loss.value == pytest.approx(0, abs=1e-12)
    assert loss.gate_over == pytest.approx(math.hypot(t, t**2 / 2))
    x = np.linspace(-2, 2, 41)[:, None]
    gap = predicted(resolve("quadratic"), with_two(fitted), x)
    gap = gap - predicted(resolve("quadratic"), with_two(truth), x)
    assert 0 < np.abs(gap).max() < 5 * t**4


def with_two(m):
    """The same with a second parameter 0 of each expert."""
    values = {b.name: m[b.name] for b in m.layout.of_gate}
    values["eta"] = np.concatenate([m.eta, np.zeros_like(m.eta)], axis=-1)
    return MixingMeasure.of(resolve("quadratic").layout(m.dim, 2), values)


def test_laplace_by_hand():
    truth = of("laplace", {"centre": [[0.0], [2.0]], "beta0": [0.0, 0.0], "eta": [[1.0], [3.0]]})
    fitted = of(
        "laplace",
        {
            "centre": [[0.2], [-0.1], [2.3]],
            "beta0": [1.0, 1.0, 1.0 + math.log(2)],
            "eta": [[1.0], [1.1], [3.0]],
        },
    )
    loss = voronoi(fitted, truth, "laplace")
    assert loss.parts.over == pytest.approx(0.25 * (0.04 + 0.01 + 0.01))
    assert loss.parts.exact == pytest.approx(0.5 * 0.3)
    assert loss.parts.weight == pytest.approx(0, abs=1e-15)
    assert not loss.shift.any()  # of centres there is no gauge


def test_temperature_by_hand():
    """σ((β1x + β0)/τ) at τ = 1 is the sigmoid gate."""
    rng = np.random.default_rng(0)
    gate = resolve("sigmoid-temperature")
    truth, fitted = measure(gate, 2, 2, rng), measure(gate, 2, 3, rng)

    def plain(m):
        tau = m["temperature"]
        return MixingMeasure(m.beta0 / tau, m.beta1 / tau, m.eta)

    for regime in (1, 2):
        own = voronoi(fitted, truth, gate, regime)
        assert own.value == voronoi(plain(fitted), plain(truth), "sigmoid", regime).value


def test_the_quadratic_loss_of_affine_scores_is_that_of_softmax():
    rng = np.random.default_rng(4)
    fitted, truth = (
        MixingMeasure(rng.normal(size=k), rng.normal(size=(k, 2)), rng.normal(size=(k, 2)))
        for k in (3, 2)
    )

    def quadratic(m):
        gate = resolve("quadratic")
        values = {"quadratic": np.zeros((m.atoms, 3)), "beta1": m.beta1, "beta0": m.beta0}
        return MixingMeasure.of(gate.layout(2, 2), {**values, "eta": m.eta})

    one = voronoi(fitted, truth, "softmax")
    other = voronoi(quadratic(fitted), quadratic(truth), "quadratic")
    assert np.array_equal(one.cells, other.cells)
    assert np.allclose(one.shift, other.shift[3:])
    assert one.parts.weight == pytest.approx(float(other.parts.weight))
    assert one.parts.exact == pytest.approx(float(other.parts.exact))


# -- align -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@few
@given(seed=seeds)
def test_align_writes_the_fit_in_the_gauge_of_the_truth(name, seed):
    """f stays, and a measure on the orbit of the truth becomes the truth."""
    gate, rng = resolve(name), np.random.default_rng(seed)
    truth = measure(gate, 2, 3, rng)
    order = rng.permutation(3)
    there = align(moved(gate, truth, rng).relabelled(order), truth, gate)
    for b in truth.layout.of_gate:
        mine, true = there[b.name], truth[b.name]
        if b.name == "direction" and name == "cosine":
            true = true / np.linalg.norm(true, axis=-1, keepdims=True)
        assert np.allclose(mine, true[order] if b.per_atom else true, atol=1e-6), b.name
    fitted, _ = close(gate, truth, rng, 0.01)
    fitted = moved(gate, fitted, rng)
    try:
        aligned = align(fitted, truth, gate)
    except InputError:  # no measure of the gate is there
        assert name in ("gaussian-gate", "perturbed-cosine")
        return
    x = rng.normal(size=(5, 2))
    assert np.allclose(predicted(gate, aligned, x), predicted(gate, fitted, x), rtol=1e-7)
    assert voronoi(aligned, truth, gate).value == pytest.approx(
        float(voronoi(fitted, truth, gate).value), rel=1e-7
    )


# -- dense to sparse: any router ------------------------------------------------------------------


def router_score(text, w, x):
    """π, written again."""
    a = w[..., 0]
    b = w[..., -1]
    return {
        "linear": lambda: a * x,
        "tanh": lambda: np.tanh(a * x),
        "tanh-bias": lambda: np.tanh(a * x + b),
        "relu-bias": lambda: np.maximum(a * x + b, 0),
        "exp": lambda: np.exp(a * x),
        "exp-bias": lambda: np.exp(a * x + b),
        "(w*x)**2": lambda: (a * x) ** 2,
        "-(x - w)**2": lambda: -((x - a) ** 2),
        "(w + v**2)*x": lambda: (a + b**2) * x,
        "(w + 1)*tanh(x*v)": lambda: (a + 1) * np.tanh(x * b),
        "sin(w*x) + x*v": lambda: np.sin(a * x) + x * b,
        "w*x + v": lambda: a * x + b,
    }[text]()


def weights_at(text, m, x):
    scores = np.array([router_score(text, m["router"], t) for t in x]) / m["temperature"] + m.beta0
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def offsets_at(text, m):
    """β0 and what the router adds to it: −w²/τ of a Gaussian score is far below 0 for w far off."""
    w, tau = m["router"], m["temperature"]
    added = {"-(x - w)**2": -(w[:, 0] ** 2) / tau, "w*x + v": w[:, -1] / tau}
    return m.beta0 + added.get(text, 0.0)


def along(text, m, rng):
    """Another measure with the same weights at every x, by the gauges known of each router."""
    w, tau, beta0 = m["router"].copy(), float(m["temperature"]), m.beta0 + rng.normal()
    c, t = math.exp(rng.normal() / 2), rng.normal()
    if text == "linear":
        w = (w + t) * c
    elif text in ("relu-bias",):
        w = w * c
    elif text == "exp-bias":
        w[:, 1] += math.log(c)
    elif text == "(w*x)**2":
        w = np.sqrt((w**2 + abs(t)) * c) * np.sign(w)
    elif text == "-(x - w)**2":
        new = c * w
        beta0 = beta0 + new[:, 0] ** 2 / (tau * c) - w[:, 0] ** 2 / tau
        new, old = new + t, new  # −2wx/τ is linear in w
        beta0 = beta0 + (new[:, 0] ** 2 - old[:, 0] ** 2) / (tau * c)
        w = new
    elif text == "(w + v**2)*x":
        new = rng.normal(size=len(w))
        w = np.stack([c * (w[:, 0] + w[:, 1] ** 2 + t) - new**2, new], axis=-1)
    elif text == "(w + 1)*tanh(x*v)":
        w[:, 0] = c * (w[:, 0] + 1) - 1
    elif text == "sin(w*x) + x*v":
        w[:, 1] += t
        c = 1.0
    elif text == "w*x + v":
        new = rng.normal(size=len(w))
        beta0 = beta0 + (w[:, 1] - new / c) / tau
        w = np.stack([c * (w[:, 0] + t), new], axis=-1)
    else:
        c = 1.0
    values = {"router": w, "beta0": beta0, "temperature": c * tau, "eta": m.eta}
    return MixingMeasure.of(m.layout, values)


@pytest.mark.parametrize("text", ROUTERS)
@few
@given(seed=seeds)
@example(seed=785)  # an atom that weighs 1e-8
def test_any_router(text, seed):
    """Free of its gauges, which are gauges; zero on the orbit, positive away; what moves."""
    gate, rng = resolve(f"dense-to-sparse {text}"), np.random.default_rng(seed)
    truth = measure(gate, 1, 3, rng)
    fitted, _ = close(gate, truth, rng, 0.05)
    x = rng.normal(size=7)
    other, there = along(text, fitted, rng), along(text, truth, rng)
    for one, same in ((fitted, other), (truth, there)):
        assert np.allclose(weights_at(text, one, x), weights_at(text, same, x), rtol=1e-9)
    before = voronoi(fitted, truth, gate)
    after = voronoi(other.relabelled(rng.permutation(4)), there, gate)
    assert after.value == pytest.approx(float(before.value), rel=1e-7, abs=1e-9)
    assert voronoi(there, truth, gate).value == pytest.approx(0, abs=1e-9)
    values = {b.name: truth[b.name].copy() for b in truth.layout.blocks}
    values["router"][1] += 0.05
    changed = MixingMeasure.of(truth.layout, values)
    change = np.abs(weights_at(text, changed, x) - weights_at(text, truth, x)).max()
    if change > 1e-7:
        lightest = np.exp(offsets := offsets_at(text, truth)).min() / np.exp(offsets).sum()
        assert voronoi(changed, truth, gate).value > SEEN * lightest * change
    moving, count, shared = ROUTERS[text]
    assert before.shift.shape == (count,)
    assert not before.shift[moving:].any()
    if not shared:
        assert before.parts.shared == 0
    else:
        gap = abs(float(fitted["temperature"] - truth["temperature"]))
        assert before.parts.shared == pytest.approx(gap)


@few
@given(seed=seeds)
def test_the_linear_router_is_softmax(seed):
    rng = np.random.default_rng(seed)
    gate = resolve("dense-to-sparse linear")
    truth, fitted = measure(gate, 2, 3, rng), measure(gate, 2, 4, rng)

    def plain(m):
        return MixingMeasure(m.beta0, m["router"] / m["temperature"], m.eta)

    own, softmax = voronoi(fitted, truth, gate), voronoi(plain(fitted), plain(truth), "softmax")
    assert own.value == pytest.approx(float(softmax.value), rel=1e-12)
    assert np.array_equal(own.cells, softmax.cells)
    aligned = align(fitted, truth, gate)
    assert aligned["temperature"] == truth["temperature"]
    assert np.allclose(plain(aligned).beta1, align(plain(fitted), plain(truth), "softmax").beta1)


@pytest.mark.parametrize("text", ROUTERS)
def test_align_under_a_router(text):
    gate, rng = resolve(f"dense-to-sparse {text}"), np.random.default_rng(3)
    truth = measure(gate, 1, 3, rng)
    if text in ("exp-bias", "(w*x)**2", "-(x - w)**2", "(w + v**2)*x", "(w + 1)*tanh(x*v)") or (
        text == "w*x + v"
    ):
        with pytest.raises(InputError, match="another's gauge is not known"):
            align(truth, truth, gate)
        return
    there = align(along(text, truth, rng), truth, gate)
    for b in truth.layout.blocks:
        assert np.allclose(there[b.name], truth[b.name], atol=1e-9), b.name


@pytest.mark.parametrize("text", ["relu", "abs", "v*relu(w*x)", "Max(w*x, w*x/10)"])
def test_routers_with_another_gauge_refuse(text):
    """relu(w·x) of one input is linear in w on either side of 0, so that w has a shift there."""
    gate = resolve(f"dense-to-sparse {text}")
    truth = measure(gate, 1, 2, np.random.default_rng(0))
    with pytest.raises(InputError, match="a gauge that no coordinates are known of"):
        voronoi(truth, truth, gate)


def test_two_inputs_pin_what_one_does_not():
    for text in ("relu", "relu-bias", "tanh", "exp-bias"):
        gate, rng = resolve(f"dense-to-sparse {text}"), np.random.default_rng(1)
        truth, fitted = measure(gate, 2, 3, rng), measure(gate, 2, 4, rng)
        assert voronoi(truth, truth, gate).value == 0
        assert voronoi(fitted, truth, gate).value > 0.01


def test_layouts_of_routers():
    gate = resolve("dense-to-sparse tanh-bias")
    assert [gate.layout(d, 2).length(2) for d in (1, 3)] == [2 * 5 + 1, 2 * 7 + 1]
    m = measure(gate, 2, 3, np.random.default_rng(0))
    assert MixingMeasure.from_dict(m.to_dict())["router"].tolist() == m["router"].tolist()
    other = measure(resolve("dense-to-sparse tanh"), 2, 3, np.random.default_rng(0))
    with pytest.raises(InputError, match="2 router parameters of an atom"):
        voronoi(other, other, gate)


# -- what does not fit -----------------------------------------------------------------------------


def test_a_direction_of_zero_has_none():
    values = {"direction": [[0.0], [1.0]], "beta0": [0.0, 0.0], "eta": [[1.0], [2.0]]}
    bad = of("cosine", values)
    with pytest.raises(InputError, match="some atom has no β1/‖β1‖"):
        voronoi(bad, bad, "cosine")


@pytest.mark.parametrize("gate", ["top-1", "top-2", "top-2-unnormalised"])
def test_gates_without_a_loss_refuse(gate):
    truth = MixingMeasure([0.0], [[1.0]], [[1.0]])
    with pytest.raises(InputError, match="no Voronoi loss is known"):
        voronoi(truth, truth, gate)


def test_measures_of_other_blocks_refuse():
    affine = MixingMeasure([0.0], [[1.0]], [[1.0]])
    other = of("laplace", {"centre": [[0.0]], "beta0": [0.0], "eta": [[1.0]]})
    with pytest.raises(InputError, match="gate laplace has beta0, centre, eta"):
        voronoi(affine, other, "laplace")
    with pytest.raises(InputError, match="no loss is registered for the blocks"):
        voronoi(other, other, "softmax")


def test_equal_atoms_of_the_truth_are_seen_through_their_scale():
    values = {"direction": [[1.0], [2.0]], "beta0": [0.0, 1.0], "eta": [[1.0], [1.0]]}
    truth = of("cosine", values)
    with pytest.raises(InputError, match="atoms 0 and 1 have the same gate"):
        voronoi(truth, truth, "cosine")


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_every_expansion_under_least_squares_has_a_loss(gate):
    """Of levels it is the inner gate's (test_losses_of_levels); others are tested above."""
    known = gate.has_theory and gate.likelihood == "least-squares"
    assert gate.has_loss == known
    for regime in gate.regimes:
        if regime.loss is not None and gate.level is None:
            assert (regime.loss.coordinates is None) == (gate.blocks == AFFINE)
            assert gate.blocks == AFFINE or gate.name in NAMES
            assert (regime.loss.gates == "exact") == (gate.name in QUADRATIC)
