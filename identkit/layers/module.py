"""A layer of torch as an :class:`~identkit.layers.record.Architecture`.

Read is a module of the common shape: a list of experts of one class, or their maps in tensors of
three dimensions, gate_up_proj and down_proj, one matrix of scores (n, d), perhaps shared experts.
Each expert is traced (:mod:`identkit.layers.traced`). How experts are weighed is not read from the
code: every known router is evaluated with the module's own numbers and experts and compared with
its forward at random inputs; one that agrees is taken, and where none does the module is refused.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import nn

from identkit.errors import InputError
from identkit.layers.record import Architecture, Divided, Router, Scores, SharedExperts
from identkit.layers.traced import traced

POINTS = 64
TOLERANCE = 1e-6
"""Of the largest output, in float64."""
COUNTS = ("top_k", "topk", "k", "num_experts_per_tok", "num_selected_experts", "num_selects")
FACTORS = ("routed_scaling_factor", "scaling_factor")


@dataclass(frozen=True)
class _Parts:
    """What a layer is made of; matrices (n, d), vectors (n,)."""

    experts: tuple[nn.Module, ...]
    weight: torch.Tensor
    bias: torch.Tensor | None
    selection: torch.Tensor | None
    shared: tuple[nn.Module, ...]
    shared_gate: nn.Linear | None
    count: int | None
    factor: float


def read_module(layer: nn.Module, *, seed: int = 0) -> Architecture:
    """The architecture of a layer, x of shape (tokens, d) or (1, tokens, d).

    ``seed`` is that of the inputs at which its forward is compared. The module is copied, not
    changed. Raises :class:`~identkit.errors.InputError`, which names what is not read.
    """
    name = type(layer).__name__
    try:
        own = copy.deepcopy(layer).double().eval()
    except Exception as error:  # of what the module holds besides numbers
        raise InputError(
            f"layer {name}: cannot be copied ({_first(error)}); make it anew."
        ) from None
    parts = _parts(own)
    forms = {traced(expert, seed).form for expert in parts.experts}
    if len(forms) > 1:
        raise InputError(f"layer {name}: its experts have {len(forms)} forms; give them one.")
    generator = torch.Generator().manual_seed(seed)
    hidden = parts.weight.shape[1]
    x = torch.randn((POINTS, hidden), generator=generator, dtype=torch.float64)
    with torch.no_grad():
        router = _agreeing(own, parts, x)
    return Architecture(
        family="module",
        source=name,
        router=router,
        expert=forms.pop(),
        hidden=hidden,
        shared=_shared(parts),
        notes=(
            f"the router agrees with the module's forward at {POINTS} random inputs, seed {seed}",
        ),
    )


# -- the parts ------------------------------------------------------------------------------------


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


def _parts(layer: nn.Module) -> _Parts:
    """Raises InputError where experts or scores are not found, or found twice."""
    name = type(layer).__name__
    path, experts = experts_of(layer)
    inside = f"{path}."
    tensors = {
        key: value
        for key, value in (*layer.named_parameters(), *layer.named_buffers())
        if not key.startswith(inside)
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
    count = _attribute(layer, COUNTS)
    return _Parts(
        experts=experts,
        weight=tensors[matrices[0]].detach(),
        bias=None if intercept is None else intercept.detach(),
        selection=next(iter(vectors.values()), None),
        shared=tuple(e for _, m in shared for e in (m if isinstance(m, nn.ModuleList) else (m,))),
        shared_gate=gates[0] if gates and isinstance(gates[0], nn.Linear) else None,
        count=None if count is None else int(count),
        factor=float(_attribute(layer, FACTORS) or 1),
    )


class _OfStacked(nn.Module):
    """One expert of a stack: gate and up in one map, down, the activation of the stack."""

    def __init__(self, gate_up: torch.Tensor, down: torch.Tensor, act: nn.Module) -> None:
        super().__init__()
        self.gate_up_proj = _map_of(gate_up)
        self.down_proj = _map_of(down)
        self.act_fn = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(self.act_fn(gate) * up)


def _map_of(matrix: torch.Tensor) -> nn.Linear:
    rows, columns = matrix.shape
    made = nn.Linear(columns, rows, bias=False, dtype=matrix.dtype)
    made.weight = nn.Parameter(matrix.detach())
    return made


def _stacked(layer: nn.Module) -> Iterator[tuple[str, tuple[nn.Module, ...]]]:
    """Experts whose maps are stacked: (n, 2m, d) and (n, d, m), or each matrix transposed.

    Whether the halves are gate and up, in this order, the comparison with the forward shows.
    """
    for path, module in layer.named_modules():
        own = dict(module.named_parameters(recurse=False))
        act = getattr(module, "act_fn", None)
        both, down = own.get("gate_up_proj"), own.get("down_proj")
        if both is None or down is None or not isinstance(act, nn.Module):
            continue
        if {*own} != {"gate_up_proj", "down_proj"} or both.ndim != 3 or down.ndim != 3:
            continue
        if both.shape[1] != 2 * down.shape[2]:
            both, down = both.transpose(1, 2), down.transpose(1, 2)
        yield path, tuple(_OfStacked(b, d, act) for b, d in zip(both, down, strict=True))


def _attribute(layer: nn.Module, known: tuple[str, ...]) -> float | None:
    """The first attribute of the layer or a part of it with one of these names."""
    for module in layer.modules():
        for key in known:
            value = getattr(module, key, None)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return value
    return None


def _shared(parts: _Parts) -> SharedExperts | None:
    if not parts.shared:
        return None
    width = sum(traced(expert).form.width for expert in parts.shared)
    return SharedExperts(len(parts.shared), width, parts.shared_gate is not None)


# -- the router -----------------------------------------------------------------------------------


def _agreeing(layer: nn.Module, parts: _Parts, x: torch.Tensor) -> Router:
    """The first router with which the layer agrees. Raises InputError where none does."""
    given = _forward(layer, x)
    given = given - _added(parts, x)
    scale = max(1.0, float(given.abs().max()))
    outputs = torch.stack([expert(x) for expert in parts.experts])  # (n, points, d)
    best, least = None, float("inf")
    for router in _candidates(parts):
        weights = weights_of(router, parts.weight, parts.bias, parts.selection, x)
        if router.on_input:
            own = [e(w[:, None] * x) for e, w in zip(parts.experts, weights.T, strict=True)]
            made = sum(o * (w != 0)[:, None] for o, w in zip(own, weights.T, strict=True))
        else:
            made = torch.einsum("pn,npd->pd", weights, outputs)
        gap = float((made - given).abs().max()) / scale
        if gap <= TOLERANCE:
            return router
        if gap < least:
            best, least = router, gap
    source = inspect.getsourcefile(type(layer)) or ""
    line = inspect.getsourcelines(type(layer).forward)[1] if source else 0
    nearest = "" if best is None else (
        f" (nearest: {best.scores}, {best.selected} selected, divided by {best.divided}: off by "
        f"{least:.1e})"
    )  # fmt: skip
    raise InputError(
        f"layer {type(layer).__name__}: its forward, line {line}, agrees with no router that is "
        f"known{nearest}; softmax and sigmoid weights of the largest scores are."
    )


def _candidates(parts: _Parts) -> Iterator[Router]:
    """Every router of these numbers that a registered gate or the record can say."""
    n = len(parts.experts)
    counts = range(1, n + 1) if parts.count is None else [parts.count]
    factors = dict.fromkeys((f"{parts.factor:g}", "1"))
    for k, scores, divided, on_input, factor in product(
        counts, Scores, (Divided.SELECTED, Divided.ALL, Divided.NOT), (False, True), factors
    ):
        if not 1 <= k <= n or (scores is Scores.SOFTMAX and divided is Divided.NOT):
            continue
        if scores is Scores.SIGMOID and divided is Divided.ALL and k < n:
            continue
        divided_by = Divided.SELECTED if k == n and divided is Divided.ALL else divided
        plain = Router(
            scores=scores, count=n, selected=k, divided=divided_by, first="weights first",
            bias=parts.bias is not None, factor=factor, on_input=on_input,
        )  # fmt: skip
        yield plain
        if parts.selection is not None:
            yield replace(plain, selection_bias=True)


def weights_of(
    router: Router,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    selection: torch.Tensor | None,
    x: torch.Tensor,
) -> torch.Tensor:
    """The weights (points, n) of a router without groups, 0 for experts that are not selected."""
    score = x @ weight.T + (0 if bias is None else bias)
    own = score.softmax(dim=1) if router.scores is Scores.SOFTMAX else score.sigmoid()
    choice = own
    if router.selection_bias and selection is not None:
        choice = own + selection
    chosen = choice.topk(router.selected, dim=1).indices
    found = torch.zeros_like(own).scatter(1, chosen, own.gather(1, chosen))
    if router.divided is Divided.SELECTED:
        found = found / found.sum(dim=1, keepdim=True)
    return found * float(router.factor)


def _forward(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Its output (points, d), whichever of the two shapes it takes."""
    failure = None
    for given in (x[None], x):
        try:
            out = layer(given)
        except Exception as error:  # of a forward that takes the other shape
            failure = error
            continue
        first = out[0] if isinstance(out, tuple | list) else out
        if isinstance(first, torch.Tensor) and first.numel() == x.numel():
            return first.reshape(x.shape)
    reason = "" if failure is None else f" ({_first(failure)})"
    raise InputError(
        f"layer {type(layer).__name__}: its forward makes no tensor like x of it, of shape "
        f"(1, {x.shape[0]}, {x.shape[1]}) or ({x.shape[0]}, {x.shape[1]}){reason}."
    )


def _added(parts: _Parts, x: torch.Tensor) -> torch.Tensor:
    """What shared experts add."""
    total = torch.zeros_like(x)
    for expert in parts.shared:
        total = total + expert(x)
    return total if parts.shared_gate is None else parts.shared_gate(x).sigmoid() * total


def _first(error: Exception) -> str:
    """The first line of what an error says, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
