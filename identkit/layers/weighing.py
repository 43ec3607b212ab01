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
SCALES = (1.0, 1 / 8, 8.0)
"""Times normal inputs: POINTS of each are compared."""
TOLERANCE = 1e-6
"""Of the largest output, in float64; times the scale of inputs, if that is larger than 1: a layer
may compute scores in float32, whose errors grow with them."""
SEARCHES, SEARCHED, MOST_OF_ONE = 16, 512, 16
"""Times that inputs are drawn at which routers that agree are looked at for a difference, how many
each time, and how many with a difference are then used."""
DIFFERENT = 1e-3
"""Of the largest weight, from where the outputs of the layer tell them apart."""
GROUP_SCORES = ("its largest {}", "the sum of its two largest {}")

Forward = Callable[[torch.Tensor], torch.Tensor]
"""(points, d) -> (points, d), without shared experts and what is added."""


def agreeing(
    layer: nn.Module, parts: Parts, forward: Forward, drawn: torch.Generator
) -> tuple[Router, dict[float, int]]:
    """The router with which the layer agrees, and at how many inputs of each scale it does.

    Raises InputError where none does, where several do that are not the same function and no
    input tells them apart, and for outputs that are not finite or 0 throughout.
    """
    hidden = parts.weight.shape[1]
    blocks = [(scale, scale * _normal(POINTS, hidden, drawn)) for scale in SCALES]
    compared = dict.fromkeys(SCALES, POINTS)
    given = [forward(x) for _, x in blocks]
    largest = {
        scale: _largest(layer, out, scale) for (scale, _), out in zip(blocks, given, strict=True)
    }
    if not any(largest.values()):
        raise InputError(
            f"layer {type(layer).__name__}: its forward gives 0 at each of {POINTS * len(SCALES)} "
            "random inputs, whatever its numbers; give a layer whose experts have an effect."
        )
    gaps: dict[Router, float] = {}
    for on_input in (False, True):  # the second kind evaluates the experts for each router
        left = [router for router in _candidates(parts) if router.on_input is on_input]
        for (scale, x), out in zip(blocks, given, strict=True):
            left = _left(left, parts, (scale, x, out), largest[scale], gaps)
        while len(left) > 1 and (found := _differing(left, parts, drawn)):
            before = len(left)
            for scale, x in found:
                out = forward(x)
                size = max(largest[scale], _largest(layer, out, scale))
                left = _left(left, parts, (scale, x, out), size, gaps)
                compared[scale] += len(x)
            if len(left) == before:
                raise _untold(layer, left)
        if left:
            if len({_function(router, parts) for router in left}) > 1:
                raise _untold(layer, left)
            return left[0], compared
    best = min(gaps, key=lambda router: gaps[router])
    source = inspect.getsourcefile(type(layer)) or ""
    line = inspect.getsourcelines(type(layer).forward)[1] if source else 0
    raise InputError(
        f"layer {type(layer).__name__}: its forward, line {line}, agrees with no router that is "
        f"known (nearest: {best.scores}, {best.selected} selected, divided by {best.divided}: off "
        f"by {gaps[best]:.1e} of the largest output); softmax and sigmoid weights of the largest "
        "scores are."
    )


def _normal(count: int, hidden: int, drawn: torch.Generator) -> torch.Tensor:
    return torch.randn((count, hidden), generator=drawn, dtype=torch.float64)


def _largest(layer: nn.Module, out: torch.Tensor, scale: float) -> float:
    """The largest output. Raises InputError if one is not finite."""
    if not out.isfinite().all():
        raise InputError(
            f"layer {type(layer).__name__}: its forward gives numbers that are not finite at "
            f"normal inputs times {scale:g}, its own numbers drawn at random; keep them finite."
        )
    return float(out.abs().max())


def _left(
    routers: Sequence[Router],
    parts: Parts,
    at: tuple[float, torch.Tensor, torch.Tensor],
    largest: float,
    gaps: dict[Router, float],
) -> list[Router]:
    """Those of the routers that agree at inputs of one scale; ``gaps`` are of ``largest``."""
    scale, x, given = at
    outputs = [] if not routers or routers[0].on_input else [expert(x) for expert in parts.experts]
    left = []
    for router in routers:
        gap = _gap(router, parts, x, given, outputs)
        gaps[router] = gap / largest if largest else float("inf")
        if gap <= TOLERANCE * max(1.0, scale) * largest:
            left.append(router)
    return left


def _untold(layer: nn.Module, left: Sequence[Router]) -> InputError:
    one, other = left[:2]
    return InputError(
        f"layer {type(layer).__name__}: agrees with {len(left)} routers that its outputs do not "
        f"tell apart, such as {one.scores}, {one.selected} selected, divided by {one.divided}, and "
        f"{other.scores}, {other.selected} selected, divided by {other.divided}; give experts that "
        "differ, and k as the attribute top_k."
    )


def _function(router: Router, parts: Parts) -> Router:
    """One name for routers that are one function, whatever the scores are.

    All experts are selected whatever selects. Groups restrict nothing if as many are kept as
    experts are selected and a group scores as its largest: the experts that are selected lie in the
    groups of the largest. One expert, divided by its own weight, has weight 1, and softmax and
    sigmoid have the largest score's expert at every temperature.
    """
    own = parts.temperature
    if router.temperature == LEARNED and isinstance(own, torch.Tensor):
        router = replace(router, temperature=_exact(float(own)))
    if router.selected == router.count:
        router = replace(router, selection_bias=False)
    by_largest = router.grouped and router.largest_of_group == 1
    if by_largest and router.groups_kept >= router.selected:
        router = replace(router, groups=1, groups_kept=1, group_score="")
    one = router.selected == 1 and router.divided is Divided.SELECTED
    if one and not router.selection_bias and not router.grouped:
        router = replace(router, scores=Scores.SOFTMAX, temperature="1")
    return router


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


def _differing(
    routers: Sequence[Router], parts: Parts, drawn: torch.Generator
) -> list[tuple[float, torch.Tensor]]:
    """Inputs, by scale, at which the first of these routers differs from another."""
    found = []
    for i in range(SEARCHES):
        scale = SCALES[i % len(SCALES)]
        x = scale * _normal(SEARCHED, parts.weight.shape[1], drawn)
        first = weights_of(routers[0], parts, x)
        apart = torch.zeros(SEARCHED, dtype=torch.bool)
        for router in routers[1:]:
            other = weights_of(router, parts, x)
            least = DIFFERENT * max(float(first.max()), float(other.max()))
            apart |= (other - first).abs().amax(dim=1) > least
        if apart.any():
            found.append((scale, x[apart][:MOST_OF_ONE]))
    return found


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
    if own is None:
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
