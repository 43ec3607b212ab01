"""Gauges of layers: what is reported leaves layers written out in NumPy as they are, and no other.

The layers here have five inputs, three units and eight experts: no width at which anything was
proved.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layer_by_hand import drawn, expert, layer, small

from identkit.checking import check
from identkit.layers.config import read_config
from identkit.layers.findings import Absent, LayerGauge
from identkit.layers.gauges import SCALE, SHIFT, inputs_of, of_the_expert, of_the_router
from identkit.layers.record import Divided, Form, Scores
from identkit.layers.symbols import expert as symbolic
from identkit.layers.symbols import names

CONFIGS = sorted((Path(__file__).parent / "configs").glob("*.json"))
NAMES = [path.stem for path in CONFIGS]
X = np.random.default_rng(7).normal(size=(20, 5))


def read(name):
    return read_config(Path(__file__).parent / "configs" / f"{name}.json")


def kept(architecture, numbers, moved):
    """Whether both layers are the same function at 20 points."""
    pairs = [(layer(architecture, numbers, x), layer(architecture, moved, x)) for x in X]
    return all(np.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_router(name):
    made = small(read(name))
    numbers = drawn(made, np.random.default_rng(1))
    found = {g.name: g for g in of_the_router(read(name), 20)}
    shifted = {**numbers, "W": numbers["W"] + np.linspace(-1, 1, made.hidden)}
    own = found[SHIFT]
    assert isinstance(own, LayerGauge) == kept(made, numbers, shifted)
    if isinstance(own, LayerGauge):
        assert own.proved
        assert own.dimension == read(name).hidden + made.router.bias
    else:
        assert made.router.scores is Scores.SIGMOID
        assert own.excluded
    assert ("shift of the selection" in found) == made.router.selection_bias
    assert kept(made, numbers, {**numbers, "b": numbers["b"] + 3})
    size = made.router.count // made.router.groups
    order = np.arange(made.router.count).reshape(-1, size)[::-1, ::-1].ravel()
    assert kept(made, numbers, {key: value[order] for key, value in numbers.items()})


@pytest.mark.parametrize("name", NAMES)
def test_units(name):
    made = small(read(name))
    numbers = drawn(made, np.random.default_rng(2))
    order = [2, 0, 1]
    permuted = {
        **{k: numbers[k][:, order] for k in ("gate", "up", "gate bias", "up bias")},
        "down": numbers["down"][:, :, order],
    }
    assert kept(made, numbers, {**numbers, **permuted})
    r = np.array([2.0, 0.5, 3.0])
    partner = "gate" if made.expert.form is Form.PLAIN else "up"
    scaled = {"down": numbers["down"] * r, partner: numbers[partner] / r[:, None]}
    assert kept(made, numbers, {**numbers, **scaled}) == (made.expert.form is not Form.CLAMPED)
    if made.expert.form is Form.CLAMPED:  # in up bias + 1, where no clamp is reached
        scaled["up bias"] = (numbers["up bias"] + 1) / r - 1
        high = replace(made, expert=replace(made.expert, limit="1000"))
        assert kept(high, numbers, {**numbers, **scaled})
    flipped = {"down": -numbers["down"], "up": -numbers["up"]}
    assert kept(made, numbers, {**numbers, **flipped}) == (made.expert.form is Form.GLU)


@pytest.mark.parametrize("name", ["mixtral-8x7b", "switch-base-8"])
def test_units_are_found_and_proved(name):
    made = read(name)
    own = check(symbolic(made.expert, inputs=inputs_of(made.expert)), "softmax")
    found = {g.name: g for g in of_the_expert(made, own, 20, 0)}
    scale = found[SCALE]
    assert isinstance(scale, LayerGauge)
    assert scale.proved
    assert scale.dimension == made.router.count * made.expert.width
    partner = "gate" if made.expert.form is Form.PLAIN else "up"
    assert f"down[:, j] → r·down[:, j], {partner}[j] → {partner}[j]/r" in scale.action
    assert ("r ≠ 0" in scale.action) == (made.expert.form is Form.GLU)
    assert found["permutation of units"].proved
    none = found["another curve of units"]
    assert isinstance(none, Absent)
    assert none.excluded
    assert "any number of units" in none.reason


@pytest.mark.parametrize("biased", [False, True])
def test_one_selected_sigmoid_is_one(biased):
    """Divided by itself its weight is 1: scores alone select, and W moves as under softmax."""
    made = read("mixtral-8x7b")
    own = replace(made.router, scores=Scores.SIGMOID, selected=1, selection_bias=biased)
    made = replace(made, router=own)
    found = {g.name: g for g in of_the_router(made, 20)}
    few = small(made)
    numbers = drawn(few, np.random.default_rng(4))
    rows, numbers["b"] = numbers["W"], numbers["b"] / 10
    same = [
        kept(few, numbers, {**numbers, "W": moved})
        for moved in (rows + np.linspace(-1, 1, few.hidden), 3 * rows)
    ]
    if biased:
        assert same == [False, False]
        assert isinstance(found[SHIFT], Absent)
        assert not found[SHIFT].excluded  # W is seen in the regions alone
    else:
        assert same == [True, True]
        assert isinstance(found[SHIFT], LayerGauge)
        assert found[SHIFT].proved
        assert found["scale of the router"].dimension == 1


@pytest.mark.parametrize("divided", [Divided.SELECTED, Divided.NOT])
def test_sigmoid_scores_with_intercepts_have_no_shift(divided):
    made = read("deepseek-v3")
    made = replace(made, router=replace(made.router, bias=True, divided=divided))
    none = next(g for g in of_the_router(made, 20) if g.name == SHIFT)
    assert isinstance(none, Absent)
    assert none.excluded
    assert ("+ p" in none.reason) == (divided is Divided.SELECTED)
    few = small(made)
    numbers = drawn(few, np.random.default_rng(5))
    assert not kept(few, numbers, {**numbers, "b0": numbers["b0"] + 1})


def test_nothing_is_held_of_units_without_a_scale():
    """A plain gelu: down is among the numbers whose derivatives are independent."""
    made = read("switch-base-8")
    made = replace(made, expert=replace(made.expert, activation="gelu"))
    for form in (made.expert, replace(made.expert, activation="relu")):
        given = replace(made, expert=form)
        own = check(symbolic(form, inputs=inputs_of(form)), "softmax")
        found = {g.name: g for g in of_the_expert(given, own, 20, 0)}
        none = found["another curve of units"]
        assert none.excluded
        scaled = isinstance(found[SCALE], LayerGauge)
        assert scaled == (form.activation == "relu")
        assert ("with the scale held" in none.reason) == scaled
        assert ("both sides of every kink" in none.reason) == scaled


def test_a_glu_with_relu_has_two_scales():
    made = read("mixtral-8x7b")
    made = replace(made, expert=replace(made.expert, activation="relu"))
    own = check(symbolic(made.expert), "softmax")
    found = list(of_the_expert(made, own, 20, 0))
    scales = [g for g in found if isinstance(g, LayerGauge) and g.dimension]
    assert sum(g.dimension for g in scales) == 2 * 8 * made.expert.width
    few = small(made)
    numbers = drawn(few, np.random.default_rng(6))
    r = np.array([2.0, 0.5, 3.0])
    moved = {"gate": numbers["gate"] * r[:, None], "down": numbers["down"] / r}
    assert kept(few, numbers, {**numbers, **moved})
    assert not kept(few, numbers, {**numbers, "gate": -numbers["gate"], "down": -numbers["down"]})


def test_shared_experts_have_units_too():
    made = read("deepseek-v3")
    own = check(symbolic(made.expert), "softmax")
    scale = next(g for g in of_the_expert(made, own, 20, 0) if g.name == SCALE)
    assert scale.dimension == 256 * 2048 + 2048


@pytest.mark.parametrize("name", ["mixtral-8x7b", "gpt-oss-20b", "switch-base-8"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_symbolic_experts_are_the_networks(name, outputs):
    """The expression at 3 units and 5 inputs, evaluated, is the network."""
    made = small(read(name))
    numbers = drawn(made, np.random.default_rng(3))
    numbers = {key: 3 * value for key, value in numbers.items()}  # where GPT-OSS clamps
    text = symbolic(made.expert, units=3, inputs=5, outputs=outputs)
    values = {}
    for letter, matrix in (("a", "gate"), ("u", "up")):
        for j in range(3):
            values |= dict(zip(names(letter, j, 3, 5), numbers[matrix][0, j], strict=True))
    for j in range(3):
        own = numbers["down"][0][:outputs, j]
        values |= dict(zip(names("c", j, 3, outputs), own, strict=True))
        values |= {f"b{j}": numbers["gate bias"][0, j], f"v{j}": numbers["up bias"][0, j]}
    values |= dict(zip(names("e", 0, 1, outputs), numbers["down bias"][0], strict=False))
    for x in X[:4]:
        at = {**values, **{f"x{i}": x[i] for i in range(5)}}
        for h, output in zip(text.functions, expert(made, numbers, 0, x), strict=False):
            number = h.subs({s: float(at[str(s)]) for s in h.free_symbols})
            assert float(number) == pytest.approx(output, rel=1e-9, abs=1e-9)
