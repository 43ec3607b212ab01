"""Models under every gate with parameters of its own, random measures, and f by another route."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp
import torch

from identkit.experts import builtin
from identkit.expression import symbol
from identkit.fit.model import Model
from identkit.fit.torch_kernel import torch_functions
from identkit.gates import GATES, resolve
from identkit.mixing import MixingMeasure

ROUTERS = ("", " tanh", " relu-bias", " exp-bias", " -(x - w)**2 + v*sin(x)")
NAMES = tuple(
    [n for n, g in GATES.items() if not g.is_affine]
    + [f"dense-to-sparse{r}" for r in ROUTERS]
    + ["top-1", "top-2"]
)
"""Gates that are not functions of β1ᵀx + β0 over all atoms; top-K and routers are samples."""


def dims(name: str) -> tuple[int, ...]:
    """The numbers of inputs that the gate is for, of 1 and 2."""
    if name == "cosine":
        return (2,)
    return (1,) if "(x" in name else (1, 2)


def model(name: str, dim: int, expert: str = "tanh", groups: tuple[int, ...] = (2, 1)) -> Model:
    gate = resolve(name)
    return Model(builtin(expert, "ffn", dim), gate, groups if gate.level else ())


def measure(made: Model, atoms: int, rng: np.random.Generator) -> MixingMeasure:
    """Normal numbers; positive ones where they have to be, precisions positive definite."""
    values = {}
    for block in made.layout.blocks:
        drawn = 0.7 * rng.normal(size=made.layout.shape(block, atoms))
        above = np.array(made.layout.positive(block))
        if above.all():
            drawn = np.abs(drawn) + 0.5
        elif above.any():
            drawn = np.where(above, np.abs(drawn) + 1.5, 0.2 * drawn)
        values[block.name] = drawn
    return MixingMeasure.of(made.layout, values)


def by_torch(made: Model, vector: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """f (n,) of one vector (p,), from the gate's score in symbols and torch's own softmax."""
    weights, (h,) = parts_by_torch(made, vector, x)
    return (weights * h).sum(0)


def parts_by_torch(
    made: Model, vector: torch.Tensor, x: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The weights (k, n) and the outputs of the experts, (k, n) each, of one vector (p,)."""
    layout, gate = made.layout, made.gate
    atoms = layout.atoms(len(vector))
    assert atoms is not None
    own = vector[: atoms * layout.width].reshape(atoms, layout.width)
    rest = vector[atoms * layout.width :]
    width = len(layout.groups) * layout.group_width
    groups = rest[:width].reshape(len(layout.groups), layout.group_width)
    blocks: dict[str, Any] = {b.name: own[:, layout[b.name]] for b in layout.of_atoms}
    blocks |= {b.name: groups[:, layout[b.name]] for b in layout.of_groups}
    blocks |= {b.name: rest[width:][layout[b.name]][None] for b in layout.of_all}
    inputs = [symbol(name) for name in made.expert.inputs]
    columns = [x[None, :, i] for i in range(made.dim)]

    def call(expression: Any, names: list[Any], values: list[Any]) -> torch.Tensor:
        numbers = expression.replace(
            lambda e: e.is_number and not e.is_Rational, lambda e: e.evalf(17)
        )
        function = sp.lambdify([*inputs, *names], numbers, modules=[torch_functions()])
        return function(*columns, *values) + 0.0 * columns[0]

    def score(of: Any, some: Any) -> torch.Tensor:
        named = {
            b.name: [sp.Symbol(f"{b.name}{i}", real=True) for i in range(layout.size(b))]
            for b in some
        }
        names = [s for b in some for s in named[b.name]]
        values = [blocks[b.name][:, i, None] for b in some for i in range(layout.size(b))]
        return call(of(inputs, named), names, values)

    s = score(gate.score_of, [b for b in layout.of_gate if not b.per_group])
    eta = [blocks["eta"][:, i, None] for i in range(len(made.parameters))]
    h = [call(each, [symbol(p) for p in made.parameters], eta) for each in made.expert.functions]
    if gate.level is not None:
        outer = torch.softmax(score(gate.level.score, layout.of_groups), 0)
        parts = [torch.softmax(s[m], 0) * outer[g] for g, m in enumerate(layout.members)]
        return torch.cat(parts), h
    weight = torch.exp(s - s.detach().amax(0)) if made.exponential else torch.sigmoid(s)
    if gate.selection is None:
        return weight / (weight.sum(0) if gate.divides else 1.0), h
    bias = gate.selection.bias
    compared = s if bias is None else weight + blocks[bias.name]
    least = torch.topk(compared.detach(), gate.selection.count, dim=0).values[-1]
    chosen = weight * (compared >= least)
    whole = gate.selection.divided_by == "all"
    return chosen / (weight if whole else chosen).sum(0), h
