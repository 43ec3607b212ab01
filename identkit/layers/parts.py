"""The parts of a layer of torch: experts, the matrix of scores, shared experts, single numbers.

Experts are a list of modules of one class, or their maps in tensors of three dimensions:
gate_up_proj and down_proj, perhaps with gate_up_proj_bias and down_proj_bias; or the weights of
input_linear and output_linear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from identkit.errors import InputError
from identkit.foreign import FAILS

COUNTS = ("top_k", "topk", "k", "num_experts_per_tok", "num_selected_experts", "num_selects")
FACTORS = ("routed_scaling_factor", "scaling_factor")
GROUPS = ("n_group", "num_group", "n_groups", "num_groups", "num_expert_group")
KEPT = ("topk_group", "topk_groups", "n_limited_groups", "num_limited_groups")
ACTIVATIONS = ("act_fn", "activation", "act")
STACKED = ("input_linear", "output_linear")
TEMPERATURES = ("temperature", "router_temperature", "softmax_temperature", "temp", "tau")
LARGEST = 1e100
"""Of factors and temperatures that a layer may have."""


@dataclass(frozen=True)
class Parts:
    """What a layer is made of; matrices (n, d), vectors (n,), a number where its name is known.

    ``output_bias`` (d,) is a parameter called bias of the layer itself.
    ``temperature`` is a number of the layer, or a parameter of one number.
    """

    experts: tuple[nn.Module, ...]
    weight: torch.Tensor
    bias: torch.Tensor | None
    selection: torch.Tensor | None
    shared: tuple[nn.Module, ...]
    shared_gate: nn.Linear | None
    output_bias: torch.Tensor | None
    count: int | None
    factor: float
    groups: int | None
    groups_kept: int | None
    temperature: float | torch.Tensor | None


def parts_of(layer: nn.Module) -> Parts:
    """Raises InputError where experts or scores are not found, or found twice."""
    name = type(layer).__name__
    path, experts = experts_of(layer)
    inside = f"{path}."
    tensors = {
        key: value
        for key, value in (*layer.named_parameters(), *layer.named_buffers())
        if not key.startswith(inside) and value.is_floating_point()
    }
    matrices = [k for k, v in tensors.items() if v.ndim == 2 and v.shape[0] == len(experts)]
    matrices = [k for k in matrices if "shared" not in k]
    if len(matrices) != 1:
        found = ", ".join(matrices) or "none"
        raise InputError(
            f"layer {name}: one matrix of scores with a row for each of {len(experts)} experts is "
            f"needed beside them, found: {found}."
        )
    vectors = {k: v for k, v in tensors.items() if v.shape == (len(experts),)}
    bias = matrices[0].rpartition(".")[0]
    intercept = vectors.pop(f"{bias}.bias" if bias else "bias", None)
    if len(vectors) > 1:
        raise InputError(
            f"layer {name}: {', '.join(vectors)} have a number for each expert, and one selection "
            "bias is read; remove the others."
        )
    shared = [
        (key, module)
        for key, module in layer.named_children()
        if "shared" in key and "gate" not in key
    ]
    gates = [m for k, m in layer.named_children() if "shared" in k and "gate" in k]
    learned = {
        k: v for k, v in tensors.items() if v.numel() == 1 and k.rpartition(".")[2] in TEMPERATURES
    }
    if len(learned) > 1:
        raise InputError(
            f"layer {name}: {', '.join(learned)} are called temperatures, and one is read; remove "
            "the others."
        )
    added = tensors.get("bias")
    wide = added is not None and bias and added.shape == tensors[matrices[0]].shape[1:]
    return Parts(
        experts=experts,
        weight=tensors[matrices[0]].detach(),
        bias=None if intercept is None else intercept.detach(),
        selection=next(iter(vectors.values()), None),
        shared=tuple(e for _, m in shared for e in (m if isinstance(m, nn.ModuleList) else (m,))),
        shared_gate=gates[0] if gates and isinstance(gates[0], nn.Linear) else None,
        output_bias=added.detach() if wide and added is not None else None,
        count=_count(layer, COUNTS, len(experts)),
        factor=_number(layer, FACTORS, lambda v: 0 < abs(v) <= LARGEST) or 1.0,
        groups=_count(layer, GROUPS, len(experts)),
        groups_kept=_count(layer, KEPT, len(experts)),
        temperature=next(
            iter(learned.values()), _number(layer, TEMPERATURES, lambda v: 0 < v <= LARGEST)
        ),
    )


def _number(
    layer: nn.Module, known: tuple[str, ...], possible: Callable[[float], bool]
) -> float | None:
    """The first possible number of the layer or a part of it with one of these names.

    What cannot be, such as nan, or a property that fails, counts as not given.
    """
    for module in layer.modules():
        for key in known:
            try:
                value = getattr(module, key, None)
            except FAILS:  # of a property
                continue
            if isinstance(value, int | float) and not isinstance(value, bool) and possible(value):
                return float(value)
    return None


def _count(layer: nn.Module, known: tuple[str, ...], most: int) -> int | None:
    """A whole number from 1 to ``most``: 2.7 is none."""
    found = _number(layer, known, lambda v: 1 <= v <= most and v == int(v))
    return None if found is None else int(found)


# -- experts --------------------------------------------------------------------------------------


def experts_of(layer: nn.Module) -> tuple[str, tuple[nn.Module, ...]]:
    """The name of the module that holds the experts of a layer, and the experts.

    Stacked experts are modules made now, on the numbers that the layer has now. Raises
    :class:`~identkit.errors.InputError` where none are found, or several lists.
    """
    name = type(layer).__name__
    lists = [
        (path, tuple(module.children()))
        for path, module in layer.named_modules()
        if isinstance(module, nn.ModuleList | nn.ModuleDict)
        and len(module) > 1
        and len({type(m) for m in module.children()}) == 1
        and "shared" not in path
    ]
    lists += [] if lists else list(_stacked(layer))
    if len(lists) != 1:
        raise InputError(
            f"layer {name}: {len(lists) or 'no'} list of experts, an nn.ModuleList of two or more "
            "of one class, was found; give a layer with one, or its configuration."
        )
    return lists[0]


class _OfStacked(nn.Module):
    """One expert of a stack: gate and up in one map, down, and what the stack does in between."""

    def __init__(self, gate_up: nn.Linear, down: nn.Linear, stack: nn.Module) -> None:
        super().__init__()
        self.gate_up_proj, self.down_proj = gate_up, down
        self.of_the_stack = nn.ModuleList(stack.children())
        own: Callable[[torch.Tensor], torch.Tensor] | None = getattr(stack, "_apply_gate", None)
        self.between = _halves(stack) if own is None else own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(self.between(self.gate_up_proj(x)))


def _halves(stack: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """φ(gate)·up of halves in this order; whether it is so, the layer's forward shows."""

    act: Any = _activation(stack)

    def between(both: torch.Tensor) -> torch.Tensor:
        gate, up = both.chunk(2, dim=-1)
        return act(gate) * up

    return between


def _activation(stack: nn.Module) -> Any:
    return next((getattr(stack, key) for key in ACTIVATIONS if hasattr(stack, key)), None)


def _map_of(matrix: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    rows, columns = matrix.shape
    made = nn.Linear(columns, rows, bias=bias is not None, dtype=matrix.dtype)
    made.weight = nn.Parameter(matrix.detach())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach())
    return made


def _stacked(layer: nn.Module) -> Iterator[tuple[str, tuple[nn.Module, ...]]]:
    """Experts whose maps are stacked: (n, 2m, d) and (n, d, m), or each matrix transposed."""
    for path, stack in layer.named_modules():
        own = _maps(stack)
        both, down = own.pop("gate_up_proj", None), own.pop("down_proj", None)
        biases = own.pop("gate_up_proj_bias", None), own.pop("down_proj_bias", None)
        if both is None or down is None or own or both.ndim != 3 or down.ndim != 3:
            continue
        if not hasattr(stack, "_apply_gate") and _activation(stack) is None:
            continue
        if both.shape[1] != 2 * down.shape[2]:
            both, down = both.transpose(1, 2), down.transpose(1, 2)
        first, last = ([None] * len(both) if b is None else list(b) for b in biases)
        yield (
            path,
            tuple(
                _OfStacked(_map_of(g, b), _map_of(d, c), stack)
                for g, b, d, c in zip(both, first, down, last, strict=True)
            ),
        )


def _maps(stack: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a stack by the names of transformers."""
    first, last = (getattr(getattr(stack, key, None), "weight", None) for key in STACKED)
    if isinstance(first, torch.Tensor) and isinstance(last, torch.Tensor):
        return {"gate_up_proj": first, "down_proj": last}
    return dict(stack.named_parameters(recurse=False))
