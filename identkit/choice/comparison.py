"""What a comparison of several k is, of least squares or of densities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from identkit.choice import criteria
from identkit.choice.dendrogram import Dendrogram
from identkit.errors import InputError
from identkit.fit.running import Steps

if TYPE_CHECKING:
    from identkit.gates import Gate

C = TypeVar("C", bound="Compared")


class Compared(Protocol):
    """What is known of every candidate."""

    @property
    def k(self) -> int: ...


@dataclass(frozen=True)
class Level:
    """A level of the dendrogram, of k atoms.

    ``height`` is that of the merge to k − 1 atoms, ``part`` that over the sum of all heights,
    ``merged`` ℓ of the level's measure and ``published`` the DSC of both, as in the papers;
    ``dsc`` is that of ``part`` and of ℓ of the fit of k atoms, None without one at its optimum. Of
    densities heights are in standard units where the fit was in these.
    """

    k: int
    height: float
    part: float
    merged: float
    published: float
    dsc: float | None


@dataclass(frozen=True)
class Named:
    """The k that a criterion names, or None with the reason."""

    criterion: str
    k: int | None
    reason: str


@dataclass(frozen=True, eq=False)
class Comparison(Generic[C]):
    """Fits of several k with the criteria, of least squares or of densities.

    ``asked`` are the k of the range, ``ended`` says why there are fewer candidates (empty if there
    are not). ``named`` has an entry for each criterion. ``merged_from`` is the k of the fit that
    ``dendrogram`` is of, with ``levels`` from it down to 2; all three are empty where there is
    none.
    """

    asked: tuple[int, ...]
    candidates: tuple[C, ...]
    dendrogram: Dendrogram | None
    merged_from: int | None
    levels: tuple[Level, ...]
    named: tuple[Named, ...]
    folds: int
    seed: int
    ended: str
    interrupted: bool

    def __getitem__(self, k: int) -> C:
        """The candidate of k atoms. Raises KeyError."""
        for candidate in self.candidates:
            if candidate.k == k:
                return candidate
        raise KeyError(k)

    def of(self, criterion: str) -> Named:
        """What a criterion names."""
        return next(n for n in self.named if n.criterion == criterion)

    @property
    def heights(self) -> dict[int, float]:
        """Level κ -> height of the merge from κ to κ − 1 atoms."""
        return {level.k: level.height for level in self.levels}

    @property
    def agreed(self) -> bool:
        """Whether all criteria that name a k name the same."""
        return len({n.k for n in self.named if n.k is not None}) <= 1


class Labelled:
    """Steps of one fit among several."""

    def __init__(self, steps: Steps, label: str) -> None:
        self.steps, self.label = steps, label

    def begin(self, label: str, steps: int | None = None) -> None:
        self.steps.begin(f"{self.label}: {label}", steps)

    def update(self, done: int, total: int) -> None:
        self.steps.update(done, total)


def merged(
    k: int | None, none: str, gate: Gate, make: Callable[[], Dendrogram]
) -> tuple[Dendrogram | None, int | None, str]:
    """The dendrogram of the fit of k atoms, its k, or why there is none (``none``: no fit)."""
    if k is None:
        return None, None, none
    try:
        tree = make()
    except InputError as error:
        return None, None, str(error)
    left = tree.levels[-1].atoms
    reason = f"of {left} atoms no two can be one under gate {gate.name}: no level below"
    return tree, k, "" if tree.complete else reason


def levels_of(
    tree: Dendrogram,
    fitted: Mapping[int, float],
    likelihood: Callable[[int], float],
    rows: float,
) -> tuple[Level, ...]:
    """The levels from K down to 2: ``fitted`` k -> ℓ, ``likelihood(i)`` that of the i-th level."""
    total, found = sum(tree.heights.values()), []
    for i, (measure, merge) in enumerate(zip(tree.levels, tree.merges, strict=False)):
        own, k = likelihood(i), measure.atoms
        part = merge.height / total if total > 0 else 0.0
        found.append(
            Level(
                k=k,
                height=merge.height,
                part=part,
                merged=own,
                published=criteria.dsc(merge.height, own, rows),
                dsc=criteria.dsc(part, fitted[k], rows) if k in fitted else None,
            )
        )
    return tuple(found)
