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
from identkit.layers.record import Form, Scores
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
