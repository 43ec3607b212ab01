"""Fits of several problems in one record: how one is taken out, and how batches are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

if TYPE_CHECKING:
    from typing import Self


class Fits:
    """A dataclass of fits, of one problem or of R.

    ``_EACH`` are its fields with an entry for each problem, ``measure`` and ``status`` among them,
    ``_ROWS`` those with a row for each problem, also where there is only one.
    """

    _EACH: ClassVar[tuple[str, ...]]
    _ROWS: ClassVar[tuple[str, ...]]

    if TYPE_CHECKING:
        measure: Any
        status: Any
        seconds: float

    def __getitem__(self, r: int) -> Self:
        """The fit of one problem."""
        own: Any = self
        return replace(
            own,
            **{name: getattr(self, name)[r] for name in self._EACH},
            **{name: getattr(self, name)[r : r + 1 or None] for name in self._ROWS},
        )

    def __len__(self) -> int:
        if not self.measure.batch:
            raise TypeError("one fit has no length")
        return len(self.status)

    def __bool__(self) -> bool:
        return True


F = TypeVar("F", bound=Fits)


def joined(parts: Sequence[F]) -> F:
    """Fits of several batches of problems, alike in model, samples and settings, as one."""
    first: Any = parts[0]
    if len(parts) == 1:
        return first

    def together(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], tuple):
            return tuple(chain.from_iterable(values))
        return np.concatenate(values)

    return replace(
        first,
        measure=type(first.measure).stack([part.measure for part in parts]),
        seconds=sum(part.seconds for part in parts),
        **{name: together(name) for name in (*first._EACH, *first._ROWS) if name != "measure"},
    )
