"""Recorded routing: which experts each token selected, by layer and checkpoint, in files.

Names of arrays, in NPZ and safetensors files, and of columns (lists) in Parquet files:

    layer{L}                 integers (tokens, k): the experts that were selected, from 0
    weights/layer{L}         (tokens, k), their routing weights; may be missing
    probabilities/layer{L}   (tokens, n), of all experts before the selection; may be missing
    tokens                   integers (tokens,): ids of the vocabulary; may be missing
    domains                  integers or text (tokens,); may be missing
    domain_names             text (D,), if domains are integers; may be missing
    experts                  one integer, n; may be missing

Each may stand below ``checkpoint{T}/``. A recording is one such file, or a folder of files
``checkpoint{T}.npz``, or ``checkpoint{T}-part{P}.npz``, whose parts are put together in order.
Files of tokens may be .npy, or have arrays ``tokens`` and ``domains``; one called tokens.npz (or
.npy, …) in the folder is taken for all checkpoints.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.routers.sources import ENDINGS, Source, sources

Array = NDArray[Any]
MOST_EXPERTS, MOST_TYPES, MOST_DOMAINS = 4096, 2**24, 1024
_NAME = re.compile(
    r"(?:checkpoint(\d+)/)?(?:(layer|weights/layer|probabilities/layer)(\d+)"
    r"|(tokens|domains|domain_names|experts))"
)
_FILE = re.compile(r"checkpoint(\d+)(?:-part(\d+))?")
_TOKENS = "tokens"
_LAYOUT = "name arrays layer0, layer1, …, or checkpoint100/layer0, …"


@dataclass(frozen=True)
class Series:
    """An array in parts: ``rows(size)`` reads them as if they were one."""

    parts: tuple[Source, ...]

    @property
    def label(self) -> str:
        return self.parts[0].label

    @property
    def kind(self) -> str:
        return self.parts[0].kind

    @property
    def length(self) -> int:
        """Tokens."""
        return sum(p.shape[0] for p in self.parts)

    @property
    def width(self) -> int:
        """Columns."""
        return self.parts[0].shape[1]

    def rows(self, size: int) -> Iterator[Array]:
        """All rows in order, ``size`` at a time, the last ones fewer."""
        waiting: list[Array] = []
        held = 0
        for part in self.parts:
            for values in part.rows(size):
                waiting.append(values)
                held += len(values)
                if held >= size:
                    joined = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
                    yield joined[:size]
                    waiting, held = [joined[size:]], held - size
        if held:
            yield np.concatenate(waiting)


@dataclass(frozen=True)
class Recording:
    """What was found: series by (checkpoint, layer), and by checkpoint."""

    path: str
    selected: dict[tuple[int, int], Series]
    weights: dict[tuple[int, int], Series]
    probabilities: dict[tuple[int, int], Series]
    tokens: dict[int, Series]
    domains: dict[int, Series]
    domain_names: tuple[str, ...]
    experts: int | None
    """As recorded; None: not recorded."""

    @property
    def checkpoints(self) -> tuple[int, ...]:
        return tuple(sorted({t for t, _ in self.selected}))

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(sorted({layer for _, layer in self.selected}))

    def top(self, layer: int) -> int:
        """k of a layer."""
        return next(s.width for (_, at), s in self.selected.items() if at == layer)

    def length(self, checkpoint: int) -> int:
        """Tokens of a checkpoint."""
        return next(s.length for (t, _), s in self.selected.items() if t == checkpoint)


@dataclass
class _Found:
    series: dict[tuple[str, int, int], list[Source]] = field(default_factory=dict)
    alone: dict[str, list[tuple[int | None, Source]]] = field(default_factory=dict)


def recording(path: str | os.PathLike[str], tokens: str | None = None) -> Recording:
    """The recording in a file or folder; ``tokens`` is a file of ids and domains for all of it.

    Nothing but headers and small arrays is read. Raises InputError for files that are no
    recordings, logits in place of selected experts, and lengths that differ.
    """
    files = _files(Path(path))
    tokens = tokens or _tokens_in(Path(path))
    found = _Found()
    for checkpoint, file in files:
        _collect(found, file, checkpoint)
    series = {key: Series(tuple(parts)) for key, parts in found.series.items()}
    of: dict[str, dict[tuple[int, int], Series]] = {
        kind: {(t, at): s for (what, t, at), s in series.items() if what == kind}
        for kind in ("layer", "weights/layer", "probabilities/layer")
    }
    selected = of["layer"]
    if not selected:
        raise InputError(f"{path}: has no array of selected experts; {_LAYOUT}.")
    checkpoints = sorted({t for t, _ in selected})
    beside = {what: _alone(found, what, checkpoints) for what in ("tokens", "domains")}
    names = [tuple(map(str, s.whole())) for _, s in found.alone.get("domain_names", [])]
    counts = {_number(s) for _, s in found.alone.get("experts", [])}
    if len(counts) > 1:
        raise InputError(f"{path}: gives {len(counts)} numbers of experts; record one.")
    if tokens is not None:
        beside, names = _given_tokens(Path(tokens), checkpoints, beside, names)
    result = Recording(
        os.fspath(path), selected, of["weights/layer"], of["probabilities/layer"],
        beside["tokens"], beside["domains"], names[0] if names else (),
        counts.pop() if counts else None,
    )  # fmt: skip
    _check(result)
    return result


def _tokens_in(path: Path) -> str | None:
    """The file of tokens in a folder, which belongs to all of its checkpoints."""
    found = [path / f"{_TOKENS}{ending}" for ending in ENDINGS] if path.is_dir() else []
    return next((str(file) for file in found if file.exists()), None)


def _number(source: Source) -> int:
    if math.prod(source.shape) != 1 or source.kind not in "iu":
        raise InputError(f"{source.label}: is not one integer; record how many experts there are.")
    return int(source.whole().reshape(-1)[0])


def _files(path: Path) -> list[tuple[int | None, Path]]:
    """(checkpoint, file) in order; None for a file by itself, which says its checkpoints."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; give that of a recording.")
    if not path.is_dir():
        return [(None, path)]
    found: list[tuple[int, int, Path]] = []
    for file in sorted(path.iterdir()):
        if file.suffix.lower() not in ENDINGS or file.name.startswith("."):
            continue
        if file.stem == _TOKENS:
            continue
        match = _FILE.fullmatch(file.stem)
        if match is None:
            raise InputError(
                f"{file}: its name says no checkpoint; call it checkpoint100{file.suffix}, or "
                "move it elsewhere."
            )
        found.append((int(match[1]), int(match[2] or 0), file))
    if not found:
        raise InputError(
            f"{path}: the folder has no recordings; they are called checkpoint100.npz (or "
            f"{', '.join(ENDINGS[2:])})."
        )
    found.sort()
    for one, two in itertools.pairwise(found):
        if one[:2] == two[:2]:
            raise InputError(f"{one[2]} and {two[2].name}: the same checkpoint twice; remove one.")
    return [(t, file) for t, _, file in found]


def _collect(found: _Found, file: Path, checkpoint: int | None) -> None:
    for name, source in sources(file).items():
        match = _NAME.fullmatch(name)
        if match is None:
            continue  # a recording may hold other things
        if match[2] is None:
            of = checkpoint if match[1] is None else int(match[1])
            found.alone.setdefault(match[4], []).append((of, source))
            continue
        t = (checkpoint or 0) if match[1] is None else int(match[1])
        if len(source.shape) != 2 or 0 in source.shape:
            raise InputError(
                f"{source.label}: has shape {source.shape}; give (tokens, k), not empty."
            )
        if match[2] == "layer" and source.kind not in "iu":
            raise InputError(
                f"{source.label}: holds real numbers, not selected experts; logits do not say what "
                "was selected where there is a selection bias or groups: record the indices."
            )
        if match[2] != "layer" and source.kind != "f":
            raise InputError(f"{source.label}: holds no real numbers; record float32 values.")
        found.series.setdefault((match[2], t, int(match[3])), []).append(source)


def _alone(found: _Found, what: str, checkpoints: Sequence[int]) -> dict[int, Series]:
    """Tokens or domains by checkpoint; an array without one, in a single file, is for all."""
    parts: dict[int | None, list[Source]] = {}
    for t, source in found.alone.get(what, []):
        parts.setdefault(t, []).append(source)
    for_all = None if None not in parts else Series(tuple(parts[None]))
    own = {t: Series(tuple(parts[t])) for t in checkpoints if t in parts}
    return own if for_all is None else {t: own.get(t, for_all) for t in checkpoints}


def _given_tokens(
    file: Path,
    checkpoints: Sequence[int],
    beside: dict[str, dict[int, Series]],
    names: list[tuple[str, ...]],
) -> tuple[dict[str, dict[int, Series]], list[tuple[str, ...]]]:
    given = sources(file)
    if file.suffix.lower() == ".npy":
        given = {"tokens": next(iter(given.values()))}
    if not {"tokens", "domains"} & set(given):
        raise InputError(f"{file}: has no array 'tokens' or 'domains'; name one so.")
    for what in ("tokens", "domains"):
        if what in given:
            beside[what] = dict.fromkeys(checkpoints, Series((given[what],)))
    if "domain_names" in given:
        names = [tuple(map(str, given["domain_names"].whole()))]
    return beside, names


def _check(found: Recording) -> None:
    """Raise InputError where lengths and widths differ that must not."""
    if found.experts is not None and not 1 <= found.experts <= MOST_EXPERTS:
        raise InputError(
            f"{found.path}: {found.experts} experts are recorded; at most {MOST_EXPERTS:,} are "
            "analysed."
        )
    for layer in found.layers:
        missing = [t for t in found.checkpoints if (t, layer) not in found.selected]
        if missing:
            raise InputError(
                f"{found.path}: checkpoint {missing[0]} has no layer {layer}, others have; record "
                "the same layers at each."
            )
        wide = {s.width for (_, at), s in found.selected.items() if at == layer}
        wide |= {p.shape[1] for t in found.checkpoints for p in found.selected[t, layer].parts}
        if len(wide) > 1:
            raise InputError(
                f"{found.path}: layer {layer} has {' and '.join(map(str, sorted(wide)))} experts "
                "of a token; record the same k throughout."
            )
    for t in found.checkpoints:
        length = found.length(t)
        others = [found.selected[t, layer] for layer in found.layers]
        for kept in (found.weights, found.probabilities):
            others += [s for (at, _), s in kept.items() if at == t]
        others += [kept[t] for kept in (found.tokens, found.domains) if t in kept]
        for series in others:
            if series.length != length:
                raise InputError(
                    f"{series.label}: has {series.length:,} rows where "
                    f"{found.selected[t, found.layers[0]].label} has {length:,}; record the same "
                    "tokens."
                )
        tokens = found.tokens.get(t)
        if tokens is not None and (tokens.kind not in "iu" or len(tokens.parts[0].shape) != 1):
            raise InputError(f"{tokens.label}: holds no ids; give integers of shape (tokens,).")
    for key in [*found.weights, *found.probabilities]:
        if key not in found.selected:
            raise InputError(
                f"{found.path}: has weights of layer {key[1]}, checkpoint {key[0]}, but not its "
                "selected experts; record the indices."
            )
