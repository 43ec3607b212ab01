"""The loss under gates of two levels: gauges, labels, known answers, and a loop over matchings."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from routed_models import measure, model

from identkit.errors import InputError
from identkit.layout import Layout
from identkit.losses import align, voronoi
from identkit.mixing import MixingMeasure

NAMES = ("hierarchical", "hierarchical-softmax-laplace", "hierarchical-laplace-laplace")


def moved(gate, drawn, rng):
    """The measure in another gauge: a shift of each group's inner gates, and of the first level."""
    layout = drawn.layout
    values = {b.name: drawn[b.name].copy() for b in layout.blocks}
    inner = ("beta0", "beta1") if gate == "hierarchical" else ("beta0",)
    for part in layout.members:
        for name in inner:
            values[name][part] += rng.normal(size=values[name].shape[1:])
    for name in [b.name for b in model(gate, drawn.dim).gate.level.pinned]:
        values[name] += rng.normal(size=values[name].shape[1:])
    return MixingMeasure.of(layout, values)


def of_groups(drawn, order):
    """The same measure with its groups listed in another order."""
    layout = drawn.layout
    parts = [layout.members[g] for g in order]
    atoms = [i for part in parts for i in range(part.start, part.stop)]
    values = {b.name: drawn[b.name][atoms] for b in layout.of_atoms}
    values |= {b.name: drawn[b.name][list(order)] for b in layout.of_groups}
    blocks = layout.of_gate
    sizes = [layout.groups[g] for g in order]
    made = Layout.of(blocks, layout.dim, layout.parameters, layout.router, sizes)
    return MixingMeasure.of(made, values)


@pytest.mark.parametrize("gate", NAMES)
@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_neither_gauges_nor_labels_are_in_the_loss(gate, dim, seed):
    rng = np.random.default_rng(seed)
    made = model(gate, dim, groups=(2, 1))
    truth = measure(made, 3, rng)
    fitted = measure(made.grouped((2, 2)), 4, rng)
    value = voronoi(fitted, truth, gate).value
    other = of_groups(moved(gate, fitted, rng), (1, 0))
    order = [1, 0, 3, 2]
    assert value > 0
    assert abs(voronoi(moved(gate, fitted, rng), truth, gate).value - value) <= 1e-9 * value
    assert abs(voronoi(fitted, moved(gate, truth, rng), gate).value - value) <= 1e-9 * value
    assert abs(voronoi(other.relabelled(order), truth, gate).value - value) <= 1e-9 * value
    x = rng.normal(size=(20, dim))
    same = made.grouped((2, 2)).predict(moved(gate, fitted, rng), x)
    assert np.abs(same - made.predict(fitted, x)).max() <= 1e-12


@pytest.mark.parametrize("gate", NAMES)
def test_it_is_zero_at_the_truth_with_copies_of_an_atom_and_at_it_alone(gate):
    rng = np.random.default_rng(3)
    made = model(gate, 1, groups=(2, 1))
    truth = measure(made, 3, rng)
    order = [0, 0, 1, 2]
    layout = made.grouped((3, 1)).layout
    values = {b.name: truth[b.name][order] if b.per_atom else truth[b.name] for b in layout.blocks}
    values["beta0"][:2] -= np.log(2)
    split = MixingMeasure.of(layout, values)
    found = voronoi(split, truth, gate)
    assert found.value <= 1e-12
    assert found.cells.tolist() == [0, 0, 1, 2]
    assert found.sizes.tolist() == [2, 1, 1]
    for name in ("beta0", "alpha0", "eta"):
        changed = {b.name: truth[b.name].copy() for b in truth.layout.blocks}
        changed[name].reshape(-1)[0] += 0.1
        assert voronoi(MixingMeasure.of(truth.layout, changed), truth, gate).value > 1e-3


def test_a_known_answer():
    layout = model("hierarchical", 1, groups=(1, 1)).layout
    zero = np.zeros(2)
    values = {
        "beta0": zero, "beta1": zero[:, None], "alpha0": zero, "alpha1": np.array([[1.0], [0.0]]),
        "eta": np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]),
    }  # fmt: skip
    truth = MixingMeasure.of(layout, values)
    fitted = MixingMeasure.of(layout, {**values, "alpha1": np.array([[1.5], [0.0]])})
    # the slope of the first group is 0.5 off, or that of the second: each weighs 1/2
    found = voronoi(fitted, truth, "hierarchical")
    assert found.value == pytest.approx(0.25)
    assert found.parts.exact == pytest.approx(0.25)
    assert found.exact_error == pytest.approx(0.5)
    # e^α0 of 3 : 1 against 1 : 1, and η of the first atom, alone in its group, 0.2 off
    eta = values["eta"] + np.array([[0.2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    fitted = MixingMeasure.of(layout, {**values, "alpha0": np.log([3.0, 1.0]), "eta": eta})
    found = voronoi(fitted, truth, "hierarchical")
    assert found.parts.weight == pytest.approx(0.5)
    assert found.value == pytest.approx(0.7)


def test_the_best_matching_of_three_groups_is_found():
    rng = np.random.default_rng(8)
    made = model("hierarchical", 1, groups=(1, 2, 1))
    truth = measure(made, 4, rng)
    many = MixingMeasure.stack([measure(made, 4, rng) for _ in range(5)])
    loss = voronoi(many, truth, "hierarchical")
    for r, one in enumerate(many):
        # each order of the true groups is a matching with the fitted ones where they stand
        values = [
            voronoi(one, of_groups(truth, order), "hierarchical").value
            for order in permutations(range(3))
        ]
        assert np.ptp(values) <= 1e-12
        assert loss.value[r] == pytest.approx(values[0], rel=1e-12)
        assert sum(part[r] for part in loss.parts) == pytest.approx(values[0], rel=1e-12)


def test_what_is_not_known_is_refused():
    rng = np.random.default_rng(0)
    made = model("hierarchical", 1, groups=(2, 1))
    truth = measure(made, 3, rng)
    three = measure(made.grouped((1, 1, 1)), 3, rng)
    with pytest.raises(InputError, match="it has 3 groups, the truth 2"):
        voronoi(three, truth, "hierarchical")
    with pytest.raises(InputError, match="are not written in another's gauge"):
        align(truth, truth, "hierarchical")
    seven = measure(made.grouped((1,) * 7), 7, rng)
    with pytest.raises(InputError, match="7 are more than the 6"):
        voronoi(seven, seven, "hierarchical")
    with pytest.raises(InputError, match="atoms are in groups; give their sizes"):
        model("hierarchical", 1, groups=()).layout  # noqa: B018
    with pytest.raises(InputError, match="takes atoms out of their groups"):
        truth.relabelled([0, 2, 1])
    with pytest.raises(InputError, match=r"2, 1 are 3 atoms, not 4"):
        made.layout.length(4)
