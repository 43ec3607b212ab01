"""The gauges of a layer are all there are near generic numbers: measured ranks of Jacobians.

Eight experts of two units with three inputs, in NumPy: the Jacobian by central differences of the
layer at points of every region has as many vanishing singular values as the reported gauges have
dimensions. Nothing is proved so; a gauge that was missed, also one between router and experts,
would show. ReLU is left out: on the cone of one expert its units can be linear, and then hide more.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layer_by_hand import drawn, layer, small, weights

from identkit.checking import check
from identkit.layers.config import read_config
from identkit.layers.findings import LayerGauge
from identkit.layers.gauges import inputs_of, of_the_expert, of_the_router
from identkit.layers.record import ExpertForm, Form
from identkit.layers.symbols import expert

CONFIGS = Path(__file__).parent / "configs"
FAST = ("mixtral-8x7b", "deepseek-v3")
SLOW = ("olmoe-1b-7b-0924", "deepseek-v2", "llama-4-scout")
STEP = 1e-5
EACH = 24
"""Points at which each expert is selected, at least."""


def covered(made, size=2.0):
    """Numbers and points: the first draw, of seeds 0, 1, …, in which every expert is selected."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        numbers = drawn(made, rng)
        numbers["b"] *= 0.1
        x = size * rng.normal(size=(600, made.hidden))
        used = np.array([weights(made, numbers, p) != 0 for p in x])
        if (used.sum(axis=0) >= EACH).all():
            rows = [np.flatnonzero(column)[:EACH] for column in used.T]
            return numbers, x[np.unique(np.concatenate(rows))]
    raise AssertionError("no draw in which every expert is selected")


def movable(made):
    """The names of the numbers that are in the function, selection biases left out."""
    router, form = made.router, made.expert
    found = ["W", "gate", "down"] + (["up"] if form.form is not Form.PLAIN else [])
    found += ["b0"] if router.bias else []
    return found + [f"{part} bias" for part in ("gate", "up", "down") if form.has_bias(part)]


def jacobian(made, numbers, x):
    """Rows: points and outputs, columns: numbers, each of length 1."""

    def values(given):
        return np.concatenate([layer(made, given, p) for p in x])

    columns = []
    for key in movable(made):
        for place in np.ndindex(numbers[key].shape):
            ends = []
            for step in (STEP, -STEP):
                moved = {**numbers, key: numbers[key].copy()}
                moved[key][place] += step
                ends.append(values(moved))
            columns.append(ends[0] - ends[1])
    found = np.array(columns).T
    return found / np.linalg.norm(found, axis=0)


def dimensions(made, *, where=False):
    """Those of the gauges that are found, without that of the selection biases."""
    own = check(expert(made.expert, inputs=inputs_of(made.expert)), "softmax", time_limit=10)
    found = [*of_the_router(made, 10), *of_the_expert(made, own, 10, 0)]
    gauges = [g for g in found if isinstance(g, LayerGauge) and (where or not g.where)]
    assert all(g.proved for g in gauges)
    return sum(g.dimension for g in gauges if g.name != "shift of the selection")


def vanishing(made, numbers, x):
    """How many singular values vanish; none is in between."""
    sizes = np.linalg.svd(jacobian(made, numbers, x), compute_uv=False)
    count = int((sizes < 1e-8 * sizes[0]).sum())
    assert sizes[-count - 1] > 1e-6 * sizes[0]
    return count


def read(name):
    made = small(read_config(CONFIGS / f"{name}.json"), hidden=3, width=2)
    return replace(made, shared=None)


@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_no_gauge_is_missed(name):
    made = read(name)
    assert vanishing(made, *covered(made)) == dimensions(made)


BIASED = [
    (Form.GLU, ("gate",)),
    (Form.GLU, ("up",)),
    (Form.GLU, ("down",)),
    (Form.GLU, ("up", "down")),
    (Form.PLAIN, ("gate",)),
    (Form.PLAIN, ("down",)),
]


@pytest.mark.parametrize(
    ("form", "biased"),
    [
        BIASED[1],
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (BIASED[0], *BIASED[2:])),
    ],
)
def test_no_gauge_is_missed_where_some_maps_have_a_bias(form, biased):
    made = read("mixtral-8x7b")
    activation = "silu" if form is Form.GLU else "gelu"
    own = ExpertForm(form, activation, 2, bias=True, biased=biased)
    made = replace(made, expert=own)
    assert vanishing(made, *covered(made)) == dimensions(made)


@pytest.mark.slow
def test_clamps_decide_whether_a_unit_has_a_scale():
    """The scale of a unit of GPT-OSS is exact as long as the clamp of up cuts no input."""
    made = read("gpt-oss-20b")
    numbers, x = covered(made, size=0.7)
    up = np.einsum("nmd,pd->pnm", numbers["up"], x) + numbers["up bias"]
    gate = np.einsum("nmd,pd->pnm", numbers["gate"], x) + numbers["gate bias"]
    assert max(np.abs(up).max(), gate.max()) < 7
    assert vanishing(made, numbers, x) == dimensions(made, where=True) == 4 + 16
    gated = {**numbers, "gate bias": numbers["gate bias"] + 5}
    assert (gate + 5 > 7).mean() > 0.1  # the gate's clamp is no matter
    assert vanishing(made, gated, x) == 20
    reached = {**numbers, "up": 8 * numbers["up"]}
    assert vanishing(made, reached, x) == dimensions(made) == 4
