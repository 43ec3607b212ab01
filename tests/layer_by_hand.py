"""The layers of the families in NumPy, as their modeling files compute them; small, float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import erf, expit, softmax

from identkit.layers.record import Divided, Form, Scores

ACTIVATIONS = {
    "silu": lambda z: z * expit(z),
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
}


def small(architecture, *, hidden=5, width=3):
    """The same layer with few experts, units and inputs."""
    router = architecture.router
    groups = min(router.groups, 4)
    made = replace(
        router,
        count=8,
        selected=min(router.selected, 3),
        groups=groups,
        groups_kept=min(router.groups_kept, 2) if groups > 1 else 1,
    )
    expert = replace(architecture.expert, width=width)
    return replace(architecture, router=made, expert=expert, hidden=hidden)


def drawn(architecture, rng):
    """Numbers of the layer: W, b0, b, and for each expert gate, up, down and biases."""
    n, d, m = architecture.router.count, architecture.hidden, architecture.expert.width
    shapes = {
        "W": (n, d), "b0": (n,), "b": (n,), "gate": (n, m, d), "up": (n, m, d),
        "down": (n, d, m), "gate bias": (n, m), "up bias": (n, m), "down bias": (n, d),
    }  # fmt: skip
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def weights(architecture, numbers, x):
    """(n,) at one x (d,), 0 for experts that are not selected."""
    r = architecture.router
    score = numbers["W"] @ x + (numbers["b0"] if r.bias else 0)
    own = softmax(score) if r.scores is Scores.SOFTMAX else expit(score)
    choice = own + (numbers["b"] if r.selection_bias else 0)
    if r.grouped:
        split = np.sort(choice.reshape(r.groups, -1), axis=1)
        of_group = split[:, -2:].sum(axis=1) if r.selection_bias else split[:, -1]
        kept = np.argsort(of_group)[-r.groups_kept :]
        inside = np.isin(np.arange(r.count) // (r.count // r.groups), kept)
        choice = np.where(inside, choice, -np.inf)
    chosen = np.argsort(choice)[-r.selected :]
    found = np.zeros(r.count)
    found[chosen] = own[chosen]
    if r.divided is Divided.SELECTED:
        found /= found.sum()
    return found * float(r.factor)


def expert(architecture, numbers, i, x):
    """(d,) of expert i at x (d,)."""
    form = architecture.expert
    gate, up = (
        numbers[part][i] @ x + form.has_bias(part) * numbers[f"{part} bias"][i]
        for part in ("gate", "up")
    )
    if form.form is Form.PLAIN:
        inner = ACTIVATIONS[form.activation](gate)
    elif form.form is Form.GLU:
        inner = ACTIVATIONS[form.activation](gate) * up
    else:
        limit = float(form.limit)
        cut = np.minimum(gate, limit)
        inner = cut * expit(float(form.alpha) * cut) * (np.clip(up, -limit, limit) + 1)
    return numbers["down"][i] @ inner + form.has_bias("down") * numbers["down bias"][i]


def layer(architecture, numbers, x):
    """(d,) at x (d,), without shared experts and what is added besides."""
    own = weights(architecture, numbers, x)
    chosen = np.flatnonzero(own)
    if architecture.router.on_input:
        return sum(expert(architecture, numbers, i, own[i] * x) for i in chosen)
    return sum(own[i] * expert(architecture, numbers, i, x) for i in chosen)
