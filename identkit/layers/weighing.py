"""Which router a layer of torch has: every known one is evaluated and compared with its forward.

Where several agree at the inputs that were drawn, inputs are looked for at which they differ, and
the forward is asked there: a selection that groups restrict seldom shows at inputs at random.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import nn

from identkit.errors import InputError
from identkit.layers.parts import Parts
from identkit.layers.record import LEARNED, Divided, Router, Scores

POINTS = 64
TOLERANCE = 1e-6
"""Of the largest output, in float64."""
SEARCHES, SEARCHED, MOST_OF_ONE = 16, 512, 16
"""Times that inputs are drawn at which routers that agree are looked at for a difference, how many
each time, and how many with a difference are then used."""
DIFFERENT = 1e-3
"""Of weights, from where the outputs of the layer tell them apart."""
GROUP_SCORES = ("its largest {}", "the sum of its two largest {}")

Forward = Callable[[torch.Tensor], torch.Tensor]
"""(points, d) -> (points, d), without shared experts and what is added."""


def agreeing(layer: nn.Module, parts: Parts, forward: Forward, drawn: torch.Generator) -> Router:
    """The router with which the layer agrees. Raises InputError where none does."""
    hidden = parts.weight.shape[1]
    x = torch.randn((POINTS, hidden), generator=drawn, dtype=torch.float64)
    gaps: dict[Router, float] = {}
    for on_input in (False, True):  # the second kind evaluates the experts for each router
        left = [router for router in _candidates(parts) if router.on_input is on_input]
        at = x
        while left and len(at):
            given = forward(at)
            scale = max(1.0, float(given.abs().max()))
            outputs = [] if on_input else [expert(at) for expert in parts.experts]
            for router in left:
                gaps[router] = _gap(router, parts, at, given, outputs) / scale
            left = [router for router in left if gaps[router] <= TOLERANCE]
            at = _differing(left, parts, drawn)
        if left:
            return left[0]
    best = min(gaps, key=lambda router: gaps[router])
    source = inspect.getsourcefile(type(layer)) or ""
    line = inspect.getsourcelines(type(layer).forward)[1] if source else 0
    raise InputError(
        f"layer {type(layer).__name__}: its forward, line {line}, agrees with no router that is "
        f"known (nearest: {best.scores}, {best.selected} selected, divided by {best.divided}: off "
        f"by {gaps[best]:.1e}); softmax and sigmoid weights of the largest scores are."
    )


def _gap(
    router: Router,
    parts: Parts,
    x: torch.Tensor,
    given: torch.Tensor,
    outputs: Sequence[torch.Tensor],
) -> float:
    """The greatest difference between the layer and the sum over experts with these weights.

    ``outputs`` (points, d) are those of each expert, where weights do not multiply its input.
    """
    made = torch.zeros_like(given)
    for i, weight in enumerate(weights_of(router, parts, x).T):
        rows = weight.nonzero()[:, 0]
        if router.on_input:
            own = parts.experts[i](weight[rows, None] * x[rows]) if len(rows) else given[rows]
        else:
            own = weight[rows, None] * outputs[i][rows]
        made[rows] += own
    return float((made - given).abs().max())


def _differing(routers: Sequence[Router], parts: Parts, drawn: torch.Generator) -> torch.Tensor:
    """Inputs at which the first of these routers differs from another; none if none is found."""
    hidden = parts.weight.shape[1]
    found = [torch.zeros((0, hidden), dtype=torch.float64)]
    for _ in range(SEARCHES if len(routers) > 1 else 0):
        x = torch.randn((SEARCHED, hidden), generator=drawn, dtype=torch.float64)
        first = weights_of(routers[0], parts, x)
        apart = torch.zeros(SEARCHED, dtype=torch.bool)
        for router in routers[1:]:
            apart |= (weights_of(router, parts, x) - first).abs().amax(dim=1) > DIFFERENT
        found.append(x[apart][:MOST_OF_ONE])
    return torch.cat(found)


def _candidates(parts: Parts) -> Iterator[Router]:
    """Every router of these numbers that a registered gate or the record can say."""
    n = len(parts.experts)
    counts = range(1, n + 1) if parts.count is None else [parts.count]
    factors = dict.fromkeys((_exact(parts.factor), "1"))
    for k, scores, divided, on_input, factor, temperature in product(
        counts, Scores, (Divided.SELECTED, Divided.ALL, Divided.NOT), (False, True), factors,
        _temperatures(parts),
    ):  # fmt: skip
        if not 1 <= k <= n or (scores is Scores.SOFTMAX and divided is Divided.NOT):
            continue
        if scores is Scores.SIGMOID and divided is Divided.ALL and k < n:
            continue
        divided_by = Divided.SELECTED if k == n and divided is Divided.ALL else divided
        plain = Router(
            scores=scores, count=n, selected=k, divided=divided_by, first="weights first",
            bias=parts.bias is not None, factor=factor, on_input=on_input, temperature=temperature,
        )  # fmt: skip
        biased = () if parts.selection is None else (replace(plain, selection_bias=True),)
        for router in (plain, *biased):
            yield router
            yield from _grouped(router, parts)


def _temperatures(parts: Parts) -> list[str]:
    """None, and that of the layer."""
    own = parts.temperature
    if own is None or (not isinstance(own, torch.Tensor) and not own > 0):
        return ["1"]
    return list(dict.fromkeys(("1", LEARNED if isinstance(own, torch.Tensor) else _exact(own))))


def _exact(number: float) -> str:
    """The shortest text of a number."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(float(number))


def _grouped(router: Router, parts: Parts) -> Iterator[Router]:
    """The same router with the groups that the layer names, if their numbers fit."""
    groups, kept = parts.groups, parts.groups_kept
    if groups is None or kept is None or not 1 <= kept < groups or router.count % groups:
        return
    size = router.count // groups
    if router.selected > size * kept:
        return
    softmax = router.scores is Scores.SOFTMAX
    word = "softmax weight" if softmax else "σ + b" if router.selection_bias else "σ"
    for top, text in enumerate(GROUP_SCORES[: min(size, 2)], 1):
        own = f"{word}s" if softmax and top > 1 else word
        yield replace(router, groups=groups, groups_kept=kept, group_score=text.format(own))


def weights_of(router: Router, parts: Parts, x: torch.Tensor) -> torch.Tensor:
    """The weights (points, n) of a router, 0 for experts that are not selected."""
    own = parts.temperature if router.temperature == LEARNED else float(router.temperature)
    score = x @ parts.weight.T + (0 if parts.bias is None else parts.bias)
    score = score if own is None else score / own
    weight = score.softmax(dim=1) if router.scores is Scores.SOFTMAX else score.sigmoid()
    choice = weight
    if router.selection_bias and parts.selection is not None:
        choice = weight + parts.selection
    if router.grouped:
        of_group = choice.reshape(len(x), router.groups, -1)
        largest = of_group.topk(router.largest_of_group, dim=2).values.sum(dim=2)
        kept = largest.topk(router.groups_kept, dim=1).indices
        outside = torch.ones_like(largest, dtype=torch.bool).scatter(1, kept, False)
        choice = of_group.masked_fill(outside[:, :, None], -torch.inf).reshape(choice.shape)
    chosen = choice.topk(router.selected, dim=1).indices
    found = torch.zeros_like(weight).scatter(1, chosen, weight.gather(1, chosen))
    if router.divided is Divided.SELECTED:
        found = found / found.sum(dim=1, keepdim=True)
    return found * float(router.factor)
