"""One pass over a recording for each layer, in bounded memory, and what is found in it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError, whole
from identkit.routers.between import between_layers
from identkit.routers.counts import BLOCKS, BlockSums, Sums, TypeCounts, columns_of, counts_of
from identkit.routers.counts import overlaps as overlaps_of
from identkit.routers.labels import Labels, labels_of
from identkit.routers.metrics import DEAD, OVERLOADED
from identkit.routers.recorded import MOST_EXPERTS, Recording, Series
from identkit.routers.records import Found, LayerFound
from identkit.routers.resampling import DRAWS, LEAST, LEVEL, Bootstrap
from identkit.routers.results import found_at

Array = NDArray[Any]
CHUNK = 2**16
"""Tokens that are read and counted at a time."""
PROBABLE = 2**19
"""Probabilities that are at a time."""
Progress = Callable[[int, int, str], None]


def analyse(
    recording: Recording,
    *,
    experts: int | None = None,
    types: int | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
    dead_below: float = DEAD,
    overloaded_above: float = OVERLOADED,
    between: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Found:
    """All metrics of a recording, by layer and checkpoint.

    ``experts`` is n, where the recording has it not; ``types``: only so many, the most frequent,
    count in averages over types (all that occur). ``seed`` is that of the bootstrap, of ``draws``
    resamples (0: no intervals); ``between``: also what consecutive layers tell of each other, in a
    pass of its own for each two. ``progress`` is called with tokens done, all tokens, and a label.
    Raises InputError for recorded values that cannot be.
    """
    _check(recording, types, draws, level, dead_below, overloaded_above)
    workers = whole("workers", workers or min(4, os.cpu_count() or 1), least=1)
    told = _Told(recording, progress)
    notes: list[str] = []
    count = _experts(recording, experts, told, notes)
    labels = labels_of(recording, count, types, told.step, notes)
    bootstrap = Bootstrap(whole("seed", seed, least=0), draws, level)
    comparable = _comparable(recording, labels, notes)
    found: list[LayerFound] = []
    block = 1
    with ThreadPoolExecutor(workers) as pool:
        for layer in recording.layers:
            together = [recording.checkpoints] if comparable else [
                (t,) for t in recording.checkpoints
            ]  # fmt: skip
            for checkpoints in together:
                passed = _Pass(recording, layer, checkpoints, count, labels)
                passed.run(pool, 2 * workers, told)
                block = max(block, passed.block)
                for i, t in enumerate(checkpoints):
                    found.append(
                        found_at(
                            layer, t, recording.top(layer), count, passed.sums[i],
                            passed.types[i] if labels.types is not None else None,
                            passed.compared(i),
                            passed.type_hits[i], labels, bootstrap, dead_below, overloaded_above,
                        )
                    )  # fmt: skip
        shared_between = (
            between_layers(recording, count, bootstrap, pool, 2 * workers, told.step)
            if between
            else ()
        )
    if bootstrap.draws and all(one.jain.low is None for one in found):
        notes.append(f"too few tokens for intervals, which need {LEAST}")
    return Found(
        recording.path, count, recording.checkpoints, recording.layers, tuple(found),
        shared_between, labels.domain_names, labels.occurring, block, seed, draws, level,
        dead_below, overloaded_above, tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def _check(
    recording: Recording, types: int | None, draws: int, level: float, dead: float, over: float
) -> None:
    if types is not None:
        whole("types", types, least=1)
        if not recording.tokens:
            raise InputError("types: the recording has no tokens; give a file of them (--tokens).")
    whole("draws", draws, least=0)
    if not 0.0 < level < 1.0:
        raise InputError(f"level: {level} is no level of an interval; give one such as 0.95.")
    if not 0.0 <= dead <= 1.0 or not 1.0 <= over < np.inf:
        raise InputError(
            f"dead below {dead:g}, overloaded above {over:g} of the balanced share: the first is "
            "between 0 and 1, the second is 1 or more."
        )


class _Told:
    """Progress in tokens over all passes."""

    def __init__(self, recording: Recording, progress: Progress | None) -> None:
        each = sum(recording.length(t) for t in recording.checkpoints)
        self.all, self.done, self.call = each * len(recording.layers), 0, progress

    def step(self, tokens: int, label: str) -> None:
        self.done += tokens
        if self.call is not None:
            self.call(self.done, self.all, label)


def _experts(recording: Recording, given: int | None, told: _Told, notes: list[str]) -> int:
    """n: as given, as recorded, as there are probabilities, or the greatest index + 1."""
    if given is not None:
        whole("experts", given, least=1)
        if given > MOST_EXPERTS:
            raise InputError(f"experts: {given} given, at most {MOST_EXPERTS:,} are analysed.")
    wide = {s.width for s in recording.probabilities.values()}
    stated = wide | {n for n in (given, recording.experts) if n is not None}
    if len(stated) > 1:
        raise InputError(
            f"{recording.path}: {' and '.join(map(str, sorted(stated)))} experts are stated; "
            "give the number that the router chooses from."
        )
    if stated:
        count = stated.pop()
    else:
        top = 0
        for series in recording.selected.values():
            for values in series.rows(CHUNK):
                top = max(top, int(values.max()))
                told.step(0, "experts")
        count = top + 1
        if count > MOST_EXPERTS:
            raise InputError(
                f"{recording.path}: expert {top} is selected; at most {MOST_EXPERTS:,} are "
                "analysed (are these token ids?)."
            )
        notes.append(
            f"the number of experts is not recorded: {count} is the greatest index + 1, so that "
            "experts beyond it that are never selected are not seen (give it with --experts)"
        )
    widest = max(recording.top(layer) for layer in recording.layers)
    if widest > count:
        raise InputError(
            f"{recording.path}: tokens select {widest} of {count} experts; give the number that "
            "the router chooses from."
        )
    return count


def _comparable(recording: Recording, labels: Labels, notes: list[str]) -> bool:
    """Whether the rows of all checkpoints are the same tokens, as far as is known."""
    if len(recording.checkpoints) == 1:
        return True
    if len({recording.length(t) for t in recording.checkpoints}) > 1 or not labels.same_tokens:
        notes.append(
            "the checkpoints were recorded on different tokens: no saturation and no change rate, "
            "which compare what the same tokens select"
        )
        return False
    if not recording.tokens:
        notes.append(
            "no tokens are recorded: row i of each checkpoint is taken to be the same token"
        )
    return True


@dataclass
class _Chunk:
    """What one chunk of tokens adds, by checkpoint."""

    sums: list[Sums]
    columns: list[Array]
    hits: list[dict[str, Array]]
    types: list[Array | None]


class _Pass:
    """One layer over checkpoints that are compared, whose chunks are read side by side."""

    def __init__(
        self,
        recording: Recording,
        layer: int,
        checkpoints: Sequence[int],
        experts: int,
        labels: Labels,
    ) -> None:
        self.layer, self.experts, self.labels = layer, experts, labels
        self.checkpoints, self.recording = checkpoints, recording
        length = recording.length(checkpoints[0])
        most = CHUNK
        if any((t, layer) in recording.probabilities for t in checkpoints):
            most = max(1, PROBABLE // experts)
        self.chunk = min(most, -(-length // BLOCKS))
        self.block = self.chunk * -(-length // (BLOCKS * self.chunk))
        self.sums = [BlockSums(self.block) for _ in checkpoints]
        count = labels.types or 0
        self.types = [TypeCounts(count, experts) for _ in checkpoints] if count else []
        self.type_hits: list[dict[str, Array]] = [
            {name: np.zeros(count, np.int64) for name in self._compared(i)} if count else {}
            for i in range(len(checkpoints))
        ]

    def _compared(self, i: int) -> list[str]:
        """Names of the sums of overlaps of a checkpoint: with the last, and with the next."""
        if len(self.checkpoints) == 1:
            return []
        return ["last", "next"] if i + 1 < len(self.checkpoints) else ["last"]

    def compared(self, i: int) -> dict[str, TypeCounts]:
        """The types at the checkpoints that a checkpoint is compared with."""
        if not self.types:
            return {}
        at = {"last": -1, "next": i + 1}
        return {name: self.types[at[name]] for name in self._compared(i)}

    def run(self, pool: ThreadPoolExecutor, ahead: int, told: _Told) -> None:
        """Read here, count in the pool, add up here in order."""
        waiting: deque[Future[_Chunk]] = deque()
        for values in self._read():
            waiting.append(pool.submit(self._count, *values))
            if len(waiting) >= ahead:
                self._add(waiting.popleft().result(), told)
        while waiting:
            self._add(waiting.popleft().result(), told)

    def _read(self) -> Iterator[tuple[list[Any], ...]]:
        r, labels, keys = self.recording, self.labels, [(t, self.layer) for t in self.checkpoints]
        rows = partial(_rows, size=self.chunk)
        yield from zip(
            rows([r.selected[key] for key in keys]),
            rows([r.weights.get(key) for key in keys]),
            rows([r.probabilities.get(key) for key in keys]),
            rows([r.tokens.get(t) if labels.types else None for t in self.checkpoints]),
            rows([r.domains.get(t) for t in self.checkpoints]),
            strict=False,
        )

    def _count(
        self, selected: Any, weights: Any, probabilities: Any, tokens: Any, domains: Any
    ) -> _Chunk:
        columns = [columns_of(s, self.experts) for s in selected]
        chunk = _Chunk([], columns, [], [])
        for i, one in enumerate(columns):
            codes = None if domains[i] is None else self.labels.domain_codes(domains[i])
            sums = counts_of(
                one, self.experts, weights=weights[i], probabilities=probabilities[i],
                domains=codes, domain_count=len(self.labels.domain_names),
            )  # fmt: skip
            hits = {
                name: overlaps_of(one, columns[-1 if name == "last" else i + 1])
                for name in self._compared(i)
            }
            sums |= {name: np.int64(h.sum(dtype=np.int64)) for name, h in hits.items()}
            chunk.sums.append(sums)
            chunk.hits.append(hits)
            chunk.types.append(None if tokens[i] is None else self.labels.type_codes(tokens[i]))
        return chunk

    def _add(self, chunk: _Chunk, told: _Told) -> None:
        for i, sums in enumerate(chunk.sums):
            self.sums[i].add(sums)
            types = chunk.types[i]
            if types is not None:
                self.types[i].update(types, chunk.columns[i])
                kept = types >= 0
                for name, hits in chunk.hits[i].items():
                    np.add.at(self.type_hits[i][name], types[kept], hits[kept].astype(np.int64))
            told.step(chunk.columns[i].shape[1], f"layer {self.layer}")


def _rows(series: Sequence[Series | None], size: int) -> Iterator[list[Array | None]]:
    """The next rows of each; None for what there is not. One series in several places is read
    once. Without any it does not end."""
    own = {id(s): s for s in series if s is not None}
    reading = {key: s.rows(size) for key, s in own.items()}
    while True:
        parts = {key: next(iterator, None) for key, iterator in reading.items()}
        if parts and all(p is None for p in parts.values()):
            return
        yield [None if s is None else parts[id(s)] for s in series]
