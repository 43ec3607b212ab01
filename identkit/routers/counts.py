"""Sums over routed tokens that every metric is a function of, by block of tokens.

They add: over chunks, over processes, over machines. A pass over 10⁹ tokens keeps what 128 blocks
take, whatever their length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError, whole

BLOCKS = 64
"""Blocks that a recording of known length is divided into; at most twice as many otherwise."""
Array = NDArray[Any]
Sums = dict[str, Any]
"""Arrays, or NumPy integers, by name."""


def columns_of(selected: Array, experts: int) -> Array:
    """Selected experts (tokens, k) as (k, tokens), each of a contiguous row, in few bytes.

    Raises InputError for an expert outside 0 … experts − 1.
    """
    selected = np.asarray(selected)
    if selected.ndim != 2 or selected.dtype.kind not in "iu":
        raise InputError(
            f"selected experts of shape {selected.shape} and type {selected.dtype}: give integers "
            "(tokens, k)."
        )
    if selected.size and (int(selected.max()) >= experts or int(selected.min()) < 0):
        wrong = selected[(selected >= experts) | (selected < 0)].flat[0]
        raise InputError(
            f"expert {wrong} is selected but there are {experts}, numbered from 0; give the "
            "number of experts, or leave out padded tokens."
        )
    kind = np.uint8 if experts <= 256 else np.uint16 if experts <= 65536 else np.uint32
    return np.ascontiguousarray(selected.T, dtype=kind)


def overlaps(first: Array, second: Array) -> Array:
    """|E ∩ E′| of each token, uint8 (tokens,), of two outputs of :func:`columns_of`."""
    hits = np.zeros(first.shape[1], dtype=np.uint8)
    same = np.empty(first.shape[1], dtype=bool)
    for one in first:
        for other in second:
            np.equal(one, other, out=same)
            hits += same.view(np.uint8)
    return hits


def counts_of(
    columns: Array,
    experts: int,
    *,
    weights: Array | None = None,
    probabilities: Array | None = None,
    domains: Array | None = None,
    domain_count: int = 0,
) -> Sums:
    """The sums of one chunk of tokens.

    ``columns`` (k, tokens) is from :func:`columns_of`; ``weights`` (tokens, k) are the routing
    weights of the selected experts, ``probabilities`` (tokens, n) those of all experts before the
    selection, ``domains`` (tokens,) numbers from 0. Keys: ``tokens`` (), ``use`` (n,), ``pairs``
    (n, n) symmetric; with weights ``weight`` (n,) and ``weight_entropy`` (); with probabilities
    ``probability`` (n,), ``router_entropy`` () and ``expected`` (), the selected experts that are
    among the k most probable; with domains ``domain`` (D, n) and ``domain_tokens`` (D,).

    Raises InputError where a token selects an expert twice, for weights that are negative or not
    finite, and for shapes that differ.
    """
    k, tokens = columns.shape
    use = np.bincount(columns.ravel(), minlength=experts)
    sums: Sums = {"tokens": np.int64(tokens), "use": use, "pairs": _pairs(columns, experts)}
    if weights is not None:
        weights = _weights("weights", weights, (tokens, k))
        flat = columns.ravel()
        sums["weight"] = np.bincount(flat, weights=weights.T.ravel(), minlength=experts)
        sums["weight_entropy"] = _entropies(weights).sum()
    if probabilities is not None:
        probabilities = _weights("probabilities", probabilities, (tokens, experts))
        p = probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-300)
        sums["probability"] = p.sum(axis=0)
        sums["router_entropy"] = _entropies(p).sum()
        best = np.argpartition(-p, k - 1, axis=1)[:, :k] if k < experts else None
        agree = k * tokens if best is None else overlaps(columns, columns_of(best, experts)).sum()
        sums["expected"] = np.int64(agree)
    if domains is not None:
        if domains.shape != (tokens,):
            raise InputError(
                f"domains of shape {domains.shape} beside {tokens} tokens; give one for each."
            )
        codes = domains.astype(np.int64)[None, :] * experts + columns
        table = np.bincount(codes.ravel(), minlength=domain_count * experts)
        sums["domain"] = table.reshape(domain_count, experts)
        sums["domain_tokens"] = np.bincount(domains, minlength=domain_count)
    return sums


def _pairs(columns: Array, experts: int) -> Array:
    """How many tokens select a and b, for every unordered pair, as a symmetric (n, n)."""
    table = np.zeros(experts * experts, dtype=np.int64)
    wide = columns.astype(np.uint16 if experts <= 256 else np.int64)
    for i in range(len(columns) - 1):
        codes = wide[i] * wide.dtype.type(experts) + wide[i + 1 :]  # rows: the partners of slot i
        table += np.bincount(codes.ravel(), minlength=experts * experts)
    pairs = table.reshape(experts, experts)
    twice = np.flatnonzero(np.diagonal(pairs))
    if len(twice):
        raise InputError(
            f"a token selects expert {twice[0]} twice; record each of its k experts once, and "
            "leave out padded tokens."
        )
    return pairs + pairs.T


def transitions(first: Array, second: Array, experts: int) -> Array:
    """How many tokens select a in the first layer and b in the second, (n, n), over all k·k pairs.

    OLMoE's script for layers counts only the pairs of equal rank.
    """
    table = np.zeros(experts * experts, dtype=np.int64)
    kind = np.uint16 if experts <= 256 else np.int64
    second = second.astype(kind)
    for column in first.astype(kind):
        codes = column * kind(experts) + second
        table += np.bincount(codes.ravel(), minlength=experts * experts)
    return table.reshape(experts, experts)


def _weights(name: str, values: Array, shape: tuple[int, int]) -> Array:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != shape:
        raise InputError(f"{name} of shape {values.shape}, expected {shape}; record both together.")
    if not np.isfinite(values).all() or (values < 0.0).any():
        raise InputError(
            f"{name}: negative or not finite, so they are no routing weights (logits are none); "
            "record the weights after the softmax or sigmoid."
        )
    return values


def _entropies(values: Array) -> Array:
    """−Σ p log p in nats of each row, normalised to sum 1; 0 for a row of zeros."""
    total = values.sum(axis=1)
    logs = np.log(values, out=np.zeros_like(values), where=values > 0.0)
    safe = np.where(total > 0.0, total, 1.0)
    return np.where(total > 0.0, np.log(safe) - (values * logs).sum(axis=1) / safe, 0.0)


class BlockSums:
    """Sums by consecutive block of ``block`` tokens: arrays (B, …) by name.

    Beyond ``2·BLOCKS`` blocks neighbours are added up and blocks are twice as long.
    """

    def __init__(self, block: int) -> None:
        self.block = whole("block", block, least=1)
        self._blocks: list[Sums] = []

    @property
    def room(self) -> int:
        """Tokens that still go into the last block, or into a new one."""
        used = int(self._blocks[-1]["tokens"]) if self._blocks else self.block
        return self.block if used >= self.block else self.block - used

    def add(self, sums: Sums) -> None:
        """Add the sums of the next tokens, at most :attr:`room` of them (a ValueError else)."""
        if int(sums["tokens"]) > self.room:
            raise ValueError("more tokens than the block has room for")
        if self._blocks and int(self._blocks[-1]["tokens"]) < self.block:
            _add(self._blocks[-1], sums)
        else:
            self._blocks.append({name: np.array(value) for name, value in sums.items()})
            if len(self._blocks) > 2 * BLOCKS:
                self._halve()

    def merge(self, other: BlockSums) -> None:
        """Append the blocks of the tokens that came after these.

        Blocks of unequal length are allowed (the last of each part may be short), so the length
        need only be of the same size.
        """
        self._blocks += [{n: v.copy() for n, v in sums.items()} for sums in other._blocks]
        self.block = max(self.block, other.block)
        while len(self._blocks) > 2 * BLOCKS:
            self._halve()

    def _halve(self) -> None:
        for left, right in zip(self._blocks[::2], self._blocks[1::2], strict=False):
            _add(left, right)
        self._blocks = self._blocks[::2]
        self.block *= 2

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, name: str) -> bool:
        return bool(self._blocks) and all(name in sums for sums in self._blocks)

    def by_block(self, name: str) -> Array:
        """The sums (B, …) of one name. Raises KeyError where a block has none."""
        return np.stack([sums[name] for sums in self._blocks])

    def total(self, name: str) -> Array:
        """The sum over all tokens. Raises KeyError where a block has none."""
        return self.by_block(name).sum(axis=0)


def _add(into: Sums, sums: Sums) -> None:
    if set(into) != set(sums):
        raise InputError(
            f"some tokens have {', '.join(sorted(set(into) ^ set(sums)))} and others have not; "
            "record the same for all."
        )
    for name, value in sums.items():
        into[name] += value


class LayerCounts:
    """The sums of one layer, chunk by chunk.

    >>> counts = LayerCounts(experts=4, top=2, block=2)
    >>> counts.update(np.array([[0, 1], [2, 1], [0, 3]]))
    >>> counts.sums.total("use").tolist(), len(counts.sums)
    ([2, 2, 1, 1], 2)
    """

    def __init__(self, experts: int, top: int, *, block: int = 2**16, domains: int = 0) -> None:
        """``top`` of ``experts`` are selected for a token; ``domains``: how many there are.

        Raises InputError for numbers that cannot be.
        """
        self.experts = whole("experts", experts, least=1)
        self.top = whole("top", top, least=1)
        if top > experts:
            raise InputError(f"top: {top} of {experts} experts cannot be selected; lower it.")
        self.domains, self.sums = domains, BlockSums(block)

    def update(
        self,
        selected: Array,
        weights: Array | None = None,
        probabilities: Array | None = None,
        domains: Array | None = None,
    ) -> None:
        """Add the next tokens; shapes as in :func:`counts_of`, ``selected`` (tokens, k).

        Raises InputError as :func:`columns_of` and :func:`counts_of` do.
        """
        columns = columns_of(selected, self.experts)
        if len(columns) != self.top:
            raise InputError(f"{len(columns)} experts of a token, expected {self.top}.")
        begin = 0
        while begin < columns.shape[1]:
            rows = slice(begin, begin + self.sums.room)
            begin = rows.stop
            cut = [None if a is None else a[rows] for a in (weights, probabilities, domains)]
            self.sums.add(
                counts_of(
                    columns[:, rows], self.experts, weights=cut[0], probabilities=cut[1],
                    domains=cut[2], domain_count=self.domains,
                )
            )  # fmt: skip

    def merge(self, other: LayerCounts) -> None:
        """Append what ``other`` counted of later tokens. Raises InputError for another layer."""
        if (self.experts, self.top, self.domains) != (other.experts, other.top, other.domains):
            raise InputError(
                f"top-{other.top} of {other.experts} cannot be added to top-{self.top} of "
                f"{self.experts}; merge counts of one layer."
            )
        self.sums.merge(other.sums)


class TypeCounts:
    """How often tokens of each type (vocabulary item) selected which expert: (V, n) counts."""

    def __init__(self, types: int, experts: int) -> None:
        self.use = np.zeros((types, experts), dtype=np.uint32)
        self.occurrences = np.zeros(types, dtype=np.int64)

    def update(self, types: Array, columns: Array) -> None:
        """Add tokens of ``types`` (tokens,), −1 for those not counted; ``columns`` (k, tokens)."""
        kept = types >= 0
        if not kept.all():
            types, columns = types[kept], columns[:, kept]
        flat, experts = self.use.reshape(-1), self.use.shape[1]
        start = types.astype(np.int64) * experts
        one = flat.dtype.type(1)  # of the same type: forty times as fast
        for column in columns:
            np.add.at(flat, start + column, one)
        self.occurrences += np.bincount(types, minlength=len(self.occurrences))

    def merge(self, other: TypeCounts) -> None:
        """Add the counts of other tokens of the same types."""
        self.use += other.use
        self.occurrences += other.occurrences
