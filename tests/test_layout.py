"""Layouts: blocks of each atom and shared ones, through measures, vectors, files, boxes, columns.

The gate of these tests divides its scores by a temperature that all atoms share, and gives each
atom a variance. Nothing computes f of it, so that everything that would refuses.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import sympy as sp

import identkit
from identkit import Expert, Gate, InputError, MixingMeasure, check
from identkit.fit import Box, Model, least_squares
from identkit.fit.starts import random_starts
from identkit.gates import GATES, common_shift
from identkit.layout import AFFINE, EXPERT, STANDARD, Block, Layout
from identkit.losses import voronoi

TEMPERATURE = Block("temperature", "τ", "", "scale", "1", per_atom=False)
VARIANCE = Block("variance", "v", "", "variance", "y^2")
TILT = Block("tilt", "t", "d", "slope", "1/x", per_atom=False)
LAYOUT = Layout((*AFFINE, VARIANCE, EXPERT, TEMPERATURE, TILT), dim=2, parameters=1)
VALUES = {
    "beta0": [0.1, 0.2],
    "beta1": [[1.0, 2.0], [3.0, 4.0]],
    "variance": [0.5, 0.6],
    "eta": [[7.0], [8.0]],
    "temperature": 9.0,
    "tilt": [10.0, 11.0],
}
ONE = MixingMeasure.of(LAYOUT, VALUES)
TEMPERED = Gate(
    "tempered",
    "exp((β1ᵀx + β0)/τ), divided by the sum over atoms",
    sp.exp,
    True,
    (common_shift(GATES["softmax"].rule),),
    GATES["softmax"].regimes,
    "a test",
    GATES["softmax"].share,
    blocks=(*AFFINE, TEMPERATURE),
)
MODEL = Model.of("tanh", TEMPERED)
FITTED = MixingMeasure.of(
    MODEL.layout, {"beta0": [0.0], "beta1": [[1.0]], "eta": [[1.0, 0.5]], "temperature": 2.0}
)


def same(left, right):
    return left.layout == right.layout and all(
        np.array_equal(left[b.name], right[b.name]) for b in left.layout.blocks
    )


def test_the_vector_lists_atoms_and_then_what_they_share():
    vector = [1.0, 2.0, 0.1, 0.5, 7.0, 3.0, 4.0, 0.2, 0.6, 8.0, 9.0, 10.0, 11.0]
    assert ONE.to_vector().tolist() == vector
    assert LAYOUT.length(2) == len(vector)
    assert same(MixingMeasure.of_vector(LAYOUT, vector), ONE)
    assert (LAYOUT.atoms(13), LAYOUT.atoms(12), LAYOUT.atoms(3)) == (2, None, None)
    assert LAYOUT.numbers(("a",), 2)[LAYOUT.index(1, 3)] == (1, "v")
    assert LAYOUT.numbers(("a",), 2)[10:] == ((None, "τ"), (None, "t_0"), (None, "t_1"))
    with pytest.raises(InputError, match=r"multiple of d \+ 1 \+ 1 \+ q = 5 and 3 more"):
        MixingMeasure.of_vector(LAYOUT, vector[:-1])


def test_batches_and_relabelling_leave_shared_blocks():
    many = MixingMeasure.stack([ONE, ONE.shifted(1.0, [2.0, 3.0])])
    assert many["temperature"].tolist() == [9.0, 9.0]
    assert same(many[0], ONE)
    assert same(MixingMeasure.of_vector(LAYOUT, many.to_vector()), many)
    moved = ONE.relabelled([1, 0])
    assert moved["variance"].tolist() == [0.6, 0.5]
    assert moved["tilt"].tolist() == [10.0, 11.0]
    assert same(moved.relabelled([1, 0]), ONE)
    with pytest.raises(InputError, match="different blocks"):
        MixingMeasure.stack([ONE, MixingMeasure(ONE.beta0, ONE.beta1, ONE.eta)])


@pytest.mark.parametrize("name", ["g.json", "g.npz"])
def test_files(tmp_path, name):
    ONE.save(tmp_path / name)
    assert same(MixingMeasure.load(tmp_path / name), ONE)
    assert ONE.to_dict()["schema"] == "identkit.mixing/2"
    standard = MixingMeasure(ONE.beta0, ONE.beta1, ONE.eta).to_dict()
    assert list(standard) == ["schema", "beta0", "beta1", "eta"]
    assert standard["schema"] == "identkit.mixing/1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": [1.0, 2.0]}, "leading shapes"),
        ({"variance": [1.0]}, "have 2, 2, 2 and 1 atoms"),
        ({"tilt": [1.0]}, r"tilt: has shape \(1,\), must be \(d,\) or \(R, d\) with d = 2"),
        ({"temperature": np.nan}, "not finite"),
        ({"other": 1.0}, "it has the blocks"),
    ],
)
def test_values_that_do_not_fit(change, message):
    with pytest.raises(InputError, match=message):
        MixingMeasure.of(LAYOUT, {**VALUES, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": True}, "dim is True"),
        ({"blocks": [{"name": "eta"}]}, "a block holds"),
        ({"blocks": 3}, "must be a list"),
        ({"blocks": []}, "one block"),
        ({"more": 1}, "nothing else"),
    ],
)
def test_layouts_that_are_none(change, message):
    document = json.loads(json.dumps(LAYOUT.document()))
    assert Layout.from_document(document) == LAYOUT
    with pytest.raises(InputError, match=message):
        MixingMeasure.from_dict({**ONE.to_dict(), "layout": {**document, **change}})


def test_blocks_that_cannot_be_told_apart():
    with pytest.raises(InputError, match="cannot be called 'temperature'"):
        Layout((*STANDARD, TEMPERATURE, TEMPERATURE), 1, 1)


def test_words():
    assert LAYOUT.names(("a",)) == ("β1_0", "β1_1", "β0", "v", "a")
    assert LAYOUT.shared_names == ("τ", "t_0", "t_1")
    own = ("beta1", "beta1", "beta0", "variance", "a")
    assert LAYOUT.options(("a",), 2) == (*own, *own, "temperature", "tilt", "tilt")
    assert LAYOUT.units(("p", "q"), (None,)) == ("1/p", "1/q", "1", "y^2", None)
    assert Model.of(Expert.from_expression("a*x + b"), "sigmoid").units == ("1/x", "1", "y/x", "y")
    assert Model.of("tanh", "sigmoid").units[2:] == (None, None)
    assert MODEL.layout.columns(("a", "b"), 1) == [
        "beta1[0]", "beta0[0]", "eta.a[0]", "eta.b[0]", "temperature",
    ]  # fmt: skip


def test_box():
    low, high = Box.of({"beta0": 3, "temperature": (0.5, 2)}).bounds(MODEL, 2)
    assert low.tolist() == [*[-10, -3, -10, -10] * 2, 0.5]
    assert high[-1] == 2
    assert Box().document(MODEL)["temperature"] == [0.1, 10.0]
    assert list(Box().to_dict()) == ["beta1", "beta0", "eta"]
    with pytest.raises(InputError, match="above 0"):
        Box.of({"temperature": 2}).bounds(MODEL, 1)
    with pytest.raises(InputError, match="there is no temperature"):
        Box.of({"temperature": 2}).bounds(Model.of("tanh", "softmax"), 1)


def test_the_last_gate_is_pinned_and_nothing_shared():
    assert MODEL.pinned(2).tolist() == [False] * 4 + [True, True] + [False] * 3
    assert MODEL.free(2) == 7


def test_no_theorem_is_inherited():
    assert TEMPERED.share is None
    assert not TEMPERED.has_loss
    assert not TEMPERED.has_theory


@pytest.mark.parametrize(
    ("attempt", "what"),
    [
        (lambda x: least_squares(MODEL, x, x[:, 0], FITTED), "fit"),
        (lambda x: random_starts(MODEL, x, x[:, 0], 1), "fit"),
        (lambda x: MODEL.predict(FITTED, x), "fit"),
        (lambda x: identkit.simulate(MODEL, FITTED, 5, noise=0.1), "simulation"),
        (lambda x: check("tanh", TEMPERED, dim=1), "condition"),
        (lambda x: voronoi(FITTED, FITTED, "softmax"), "loss"),
    ],
)
def test_what_would_compute_with_shared_parameters_refuses(attempt, what):
    x = np.linspace(-1.0, 1.0, 20)[:, None]
    with pytest.raises(
        InputError, match=rf"no {what} is registered for shared parameters \(temperature\)"
    ):
        attempt(x)


def test_a_measure_of_other_blocks_is_none_of_the_model():
    with pytest.raises(InputError, match="gate softmax has beta0, beta1, eta"):
        Model.of("tanh", "softmax").pack(FITTED)
