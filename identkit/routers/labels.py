"""What tokens are: types of the vocabulary, and domains, as numbers without gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.routers.recorded import MOST_DOMAINS, MOST_TYPES, Recording, Series

Array = NDArray[Any]
CELLS = 2**25
"""Counts of types × experts × checkpoints that are held at a time, of 4 bytes each."""
_SIZE = 2**20


@dataclass(frozen=True)
class Labels:
    """Codes of ids and domains, and whether all checkpoints saw the same tokens."""

    types: int | None
    """That are counted; None: no tokens are recorded."""
    occurring: int | None
    codes: Array
    """Of each id, −1 for those that are not counted."""
    domain_names: tuple[str, ...]
    domain_values: dict[Any, int]
    same_tokens: bool

    def type_codes(self, ids: Array) -> Array:
        """(tokens,) in 0 … types − 1, or −1."""
        return self.codes[ids]

    def domain_codes(self, values: Array) -> Array:
        """(tokens,) in 0 … domains − 1."""
        kinds, inverse = np.unique(_plain(values), return_inverse=True)
        return np.array([self.domain_values[v] for v in kinds.tolist()])[inverse]


def labels_of(
    recording: Recording,
    experts: int,
    types: int | None,
    step: Callable[[int, str], None],
    notes: list[str],
) -> Labels:
    """A first pass over tokens and domains. Raises InputError for ids that cannot be."""
    names, values = _domains(recording, step)
    if not recording.tokens:
        return Labels(None, None, np.zeros(0, np.int64), names, values, True)
    missing = set(recording.checkpoints) - set(recording.tokens)
    if missing:
        raise InputError(
            f"{recording.path}: checkpoint {min(missing)} has no tokens, others have; record them "
            "at each, or give a file of them (--tokens)."
        )
    counts = np.zeros(1, np.int64)
    different = {id(s): s for s in recording.tokens.values()}
    for series in different.values():
        for ids in series.rows(_SIZE):
            step(0, "tokens")
            if int(ids.min()) < 0 or int(ids.max()) >= MOST_TYPES:
                raise InputError(
                    f"{series.label}: has ids from {ids.min()} to {ids.max()}; they are between 0 "
                    f"and {MOST_TYPES - 1:,}: leave out padded tokens."
                )
            new = np.bincount(ids)
            if len(new) > len(counts):
                counts = np.concatenate([counts, np.zeros(len(new) - len(counts), np.int64)])
            counts[: len(new)] += new
    occurring = int(np.count_nonzero(counts))
    room = max(1, CELLS // (experts * len(recording.checkpoints)))
    kept = min(occurring, room, types or occurring)
    if kept < occurring:
        why = "as asked" if kept == types else "more would not fit in memory"
        notes.append(
            f"averages over types are over the {kept:,} most frequent of {occurring:,}: {why}"
        )
    best = np.sort(np.argsort(-counts, kind="stable")[:kept])
    codes = np.full(len(counts), -1, np.int32)
    codes[best] = np.arange(kept)
    return Labels(kept, occurring, codes, names, values, _same(list(different.values())))


def _domains(
    recording: Recording, step: Callable[[int, str], None]
) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Names and codes; names that are recorded belong to 0, 1, …"""
    if not recording.domains:
        return (), {}
    missing = set(recording.checkpoints) - set(recording.domains)
    if missing:
        raise InputError(
            f"{recording.path}: checkpoint {min(missing)} has no domains, others have; record "
            "them at each, or give a file of them (--tokens)."
        )
    seen: set[Any] = set()
    for series in {id(s): s for s in recording.domains.values()}.values():
        for values in series.rows(_SIZE):
            step(0, "domains")
            if values.ndim != 1 or values.dtype.kind not in "iuUO":
                raise InputError(f"{series.label}: give an integer or text for each token.")
            seen |= set(np.unique(_plain(values)).tolist())
            if len(seen) > MOST_DOMAINS:
                raise InputError(
                    f"{series.label}: has more than {MOST_DOMAINS:,} domains; give fewer (are "
                    "these token ids?)."
                )
    ordered = sorted(seen)
    names = recording.domain_names
    if not names or isinstance(ordered[0], str):
        return tuple(map(str, ordered)), {value: i for i, value in enumerate(ordered)}
    if not 0 <= ordered[0] <= ordered[-1] < len(names):
        raise InputError(
            f"{recording.path}: domain {ordered[-1] if ordered[0] >= 0 else ordered[0]} has none "
            f"of the {len(names)} domain_names; name all, from 0."
        )
    return names, {i: i for i in range(len(names))}


def _plain(values: Array) -> Array:
    return values.astype(str) if values.dtype.kind == "O" else values


def _same(series: list[Series]) -> bool:
    """Whether they hold the same ids."""
    if len(series) == 1:
        return True
    if len({s.length for s in series}) > 1:
        return False
    for parts in zip(*(s.rows(_SIZE) for s in series), strict=True):
        if any(not np.array_equal(parts[0], other) for other in parts[1:]):
            return False
    return True
