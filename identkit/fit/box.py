"""Bounds of the parameters of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.layout import STANDARD, Layout

Array = NDArray[np.float64]
Pair = tuple[float, float]
_WIDE, _POSITIVE = 10.0, (0.1, 10.0)
"""Bounds of blocks that a box does not name."""


@dataclass(frozen=True)
class Box:
    """Bounds of the parameters; Θ is compact in the theorems, so the box is part of the estimator.

    Each entry is a bound b for [-b, b] or a pair (low, high), which holds the number where both are
    equal; ``eta`` also a sequence of q such entries, None for those left to the default. Infinite
    bounds are allowed. ``others`` are (name, entry) of further blocks of a gate. What is not named
    lies in ±10, and in [0.1, 10] if it divides; where a fit changes to standard units, in the wider
    bounds of :mod:`identkit.fit.change`.

    >>> Box(beta0=(-1.5, 4)).pair("beta0")
    (-1.5, 4.0)
    """

    beta1: Any = None
    beta0: Any = None
    eta: Any = None
    others: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name in ("beta1", "beta0"):
            if not _is_several(self.entries[name]):
                self.pair(name)

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> Box:
        """The box of entries by name of a block."""
        own = {b.name: entries[b.name] for b in STANDARD if b.name in entries}
        return cls(**own, others=tuple((n, e) for n, e in entries.items() if n not in own))

    @property
    def entries(self) -> dict[str, Any]:
        """The entries by name of a block, as they were given."""
        return {**{b.name: getattr(self, b.name) for b in STANDARD}, **dict(self.others)}

    def pair(self, name: str) -> tuple[float, float]:
        entry = self.entries[name]
        return _pair(name, _WIDE if entry is None else entry)

    def named(self, layout: Layout, parameters: Sequence[str]) -> dict[str, list[bool]]:
        """Whether the box names bounds, for every number of each block."""
        found = {}
        for block in layout.blocks:
            entry, size = self.entries.get(block.name), layout.size(block)
            own: Any = entry if _is_several(entry) else [entry] * size
            found[block.name] = [e is not None for e in own]
        return found

    def pairs(self, layout: Layout, parameters: Sequence[str]) -> dict[str, list[Pair]]:
        """(low, high) of every number of each block, in the order of the layout.

        Raises InputError for entries that are none of its blocks.
        """
        entries = self.entries
        stray = [name for name, _ in self.others if name not in layout]
        if stray:
            raise InputError(
                f"box: there is no {stray[0]}; the blocks are "
                f"{', '.join(b.name for b in layout.listed)}."
            )
        found = {}
        for block in layout.blocks:
            positive = layout.positive(block)
            names = parameters if block.axis == "q" else block.names(layout.size(block))
            entry = entries.get(block.name)
            if entry is None:
                pairs = [_POSITIVE if above else (-_WIDE, _WIDE) for above in positive]
            else:
                pairs = _several(block.name, entry, names)
            if all(positive):
                wrong = next((low for low, _ in pairs if not low > 0), None)
                if wrong is not None:
                    raise InputError(
                        f"box: {block.name} has low {wrong:g}; it divides, so its bounds must be "
                        "above 0."
                    )
            found[block.name] = [
                _raised(block.name, pair) if above else pair
                for pair, above in zip(pairs, positive, strict=True)
            ]
        return found

    def bounds(self, model: Model, atoms: int) -> tuple[Array, Array]:
        """Lower and upper bounds, each of the shape of the vector. Raises InputError."""
        layout = model.layout
        pairs = self.pairs(layout, model.parameters)
        layout.check_atoms(atoms)
        atom, group, shared = (
            [pair for block in blocks for pair in pairs[block.name]]
            for blocks in (layout.of_atoms, layout.of_groups, layout.of_all)
        )
        low, high = np.array(atom * atoms + group * len(layout.groups) + shared).T
        return low.copy(), high.copy()

    def document(self, model: Model) -> dict[str, Any]:
        """One form for all ways to write the box: a pair for each block, for η one a parameter."""
        pairs = self.pairs(model.layout, model.parameters)
        return {
            b.name: list(pairs[b.name][0])
            if b.axis != "q" and len(set(pairs[b.name])) == 1
            else [list(p) for p in pairs[b.name]]
            for b in model.layout.blocks
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON form; infinite bounds are null."""

        def plain(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [plain(v) for v in value]
            return number(value)

        return {
            name: plain(_WIDE if entry is None else _filled(entry))
            for name, entry in self.entries.items()
        }


def _raised(name: str, pair: Pair) -> Pair:
    """The positive part of the bounds of a number that has to be positive."""
    low, high = pair
    if not high > 0:
        raise InputError(
            f"box: {name} has high {high:g}, some of its numbers are above 0; raise it."
        )
    return (low if low > 0 else min(_POSITIVE[0], high / 10), high)


def _is_several(entry: Any) -> bool:
    """Whether it has an entry for each number."""
    return isinstance(entry, list | tuple) and any(
        e is None or isinstance(e, list | tuple) for e in entry
    )


def _filled(entry: Any) -> Any:
    """The entry with the default bounds where it has none."""
    return [(-_WIDE, _WIDE) if e is None else e for e in entry] if _is_several(entry) else entry


def _several(name: str, entry: Any, parameters: Sequence[str]) -> list[Pair]:
    """The pairs of an entry that may have one for each parameter."""
    if not _is_several(entry):
        return [_pair(name, entry)] * len(parameters)
    entry = _filled(entry)
    if len(entry) != len(parameters):
        raise InputError(
            f"box: {name} has {len(entry)} entries, "
            f"{'the expert has' if name == 'eta' else 'there are'} {len(parameters)} "
            f"{'parameters' if name == 'eta' else 'numbers'} ({', '.join(parameters)}); give one "
            f"pair or {len(parameters)}."
        )
    return [_pair(f"{name} ({n})", e) for n, e in zip(parameters, entry, strict=True)]


def _pair(name: str, value: Any) -> Pair:
    try:
        low, high = value if isinstance(value, list | tuple) else (-value, value)
        low, high = float(low), float(high)
    except (TypeError, ValueError):
        raise InputError(
            f"box: {name} is {value!r}, must be a bound b for [-b, b] or a pair (low, high)."
        ) from None
    if not low <= high or (low == high and np.isinf(low)):
        raise InputError(f"box: {name} has low {low:g} not below high {high:g}; swap or widen.")
    return low, high


def number(value: Any) -> float | None:
    """A number for JSON, which knows neither NaN nor infinity."""
    return float(value) if np.isfinite(value) else None
