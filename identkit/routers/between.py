"""What the experts of one layer tell of those of the next."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.routers import metrics
from identkit.routers.counts import BLOCKS, BlockSums, Sums, columns_of, transitions
from identkit.routers.recorded import Recording
from identkit.routers.records import Between
from identkit.routers.resampling import Bootstrap

Array = NDArray[Any]
_CHUNK = 2**16


def between_layers(
    recording: Recording,
    experts: int,
    bootstrap: Bootstrap,
    pool: ThreadPoolExecutor,
    ahead: int,
    step: Callable[[int, str], None],
) -> tuple[Between, ...]:
    """Consecutive layers of the last checkpoint, in one pass for each two."""
    layers, t = recording.layers, recording.checkpoints[-1]
    length = recording.length(t)
    chunk = min(_CHUNK, -(-length // BLOCKS))
    found = []
    for one, two in itertools.pairwise(layers):
        sums = BlockSums(chunk * -(-length // (BLOCKS * chunk)))
        waiting: deque[Future[Sums]] = deque()
        rows = (recording.selected[t, layer].rows(chunk) for layer in (one, two))
        for first, second in zip(*rows, strict=True):
            waiting.append(pool.submit(_count, first, second, experts))
            if len(waiting) >= ahead:
                sums.add(waiting.popleft().result())
            step(0, f"layers {one}, {two}")
        while waiting:
            sums.add(waiting.popleft().result())
        found.append(_found(one, two, recording, experts, sums, bootstrap))
    return tuple(found)


def _count(first: Array, second: Array, experts: int) -> Sums:
    a, b = columns_of(first, experts), columns_of(second, experts)
    use = np.bincount(a.ravel(), minlength=experts)
    return {"tokens": np.int64(len(first)), "use": use, "pairs": transitions(a, b, experts)}


def _found(
    one: int, two: int, recording: Recording, experts: int, sums: BlockSums, bootstrap: Bootstrap
) -> Between:
    tops = recording.top(one), recording.top(two)
    tokens = int(sums.total("tokens"))
    random = metrics.between_random(experts, *tops, tokens)
    information = bootstrap.estimate(
        metrics.mutual_information, sums.by_block("pairs"), random=random
    )
    use = sums.total("use")
    given = metrics.coactivation(sums.total("pairs"), use)
    given[use < 0.5 * tokens * tops[0] / experts] = -1.0  # a rare expert has a greatest by chance
    a, b = np.unravel_index(int(given.argmax()), given.shape)
    return Between(one, two, information, int(a), int(b), float(given[a, b]))
