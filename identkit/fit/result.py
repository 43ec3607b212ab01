"""What a fit returns: how each problem ended, where, and with what settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from identkit import __version__
from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.fit.objective import Objective, objective_of
from identkit.layout import STANDARD, Layout
from identkit.likelihoods import asked_under
from identkit.mixing import MixingMeasure, real_array

if TYPE_CHECKING:
    from identkit.fit.change import Change

Array = NDArray[np.float64]
Pair = tuple[float, float]
_WIDE, _POSITIVE = 10.0, (0.1, 10.0)
"""Bounds of blocks that a box does not name."""


class Status(Enum):
    """How a fit ended; ``value`` is the name in reports, ``remedy`` what to do about it."""

    CONVERGED = "converged"
    AT_THE_BOX = "at the box"
    LIGHT_ATOM = "light atom"
    FLAT_VALLEY = "flat valley"
    STEP_LIMIT = "step limit"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    BAD_DATA = "bad data"

    @property
    def remedy(self) -> str:
        return _REMEDIES[self]

    @property
    def finished(self) -> bool:
        """Whether the cost is at a local minimum within the box, or has stopped falling."""
        return self not in (
            Status.STEP_LIMIT, Status.DIVERGED, Status.INTERRUPTED, Status.BAD_DATA
        )  # fmt: skip


_REMEDIES = {
    Status.CONVERGED: "a local minimum; try more starts to see whether there is a lower one",
    Status.AT_THE_BOX: "the minimum lies on the boundary of the box; widen the box, or read the "
    "parameters at their bounds as not estimated",
    Status.LIGHT_ATOM: "an atom has almost no weight on the data, so its parameters mean nothing; "
    "fit fewer atoms or raise the lower bound of beta0",
    Status.FLAT_VALLEY: "the cost no longer falls while parameters still move along a valley: the "
    "data hardly determine them there; set flat=0 to go on to the minimum",
    Status.STEP_LIMIT: "no minimum within the step limit; raise max_steps, or start elsewhere",
    Status.DIVERGED: "the cost was not finite at the start; start with smaller parameters",
    Status.INTERRUPTED: "stopped before the end; run again",
    Status.BAD_DATA: "the replicate holds values that are not finite or out of range, or a "
    "constant y; remove it",
}


@dataclass(frozen=True)
class Box:
    """Bounds of the parameters; Θ is compact in the theorems, so the box is part of the estimator.

    Each entry is a bound b for [-b, b] or a pair (low, high), which holds the number where both are
    equal; ``eta`` also a sequence of q such entries, None for those left to the default. Infinite
    bounds are allowed. ``others`` are (name, entry) of further blocks of a gate. What is not named
    lies in ±10, and in [0.1, 10] if it divides; in standard units where a fit changes to these.

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


@dataclass(frozen=True)
class Settings:
    """Everything that steered a fit besides model and data; printed with every result.

    ``pinned``: whether the gauge was fixed by holding the last atom's gate at 0.
    ``kernel``: native (fused, Numba) or torch. ``nodes``: cells of the compression, 0 without.
    """

    version: str
    box: Box
    max_steps: int
    tolerance: float
    first_order: int
    accelerate: bool
    flat: float
    pinned: bool
    device: str
    kernel: str
    nodes: int
    threads: int
    libraries: tuple[tuple[str, str], ...]


_EACH = (
    "measure", "status", "cost", "gradient_norm", "steps", "passes", "start", "held",
)  # fmt: skip
"""Fields of a result with an entry for each problem."""
_ROWS = ("costs", "statuses")
"""Fields with a row for each problem, also where there is only one."""


@dataclass(frozen=True, eq=False)
class FitResult:
    """Fits of R problems, each the best of its starts.

    ``measure`` has the batch of the problems; so have ``status`` (list or one), ``cost`` (of the
    objective: half the residual sum of squares for least squares), ``gradient_norm`` (Euclidean,
    without parameters held by the box), ``steps`` (trial steps), ``passes`` (sums over all data,
    rounded up) and ``start``, the index of the start it came from. ``costs`` and ``statuses`` have
    a row per problem, a column per start. ``held`` marks parameters at a bound or fixed.

    Where data were standardised, ``change`` says how and ``inner`` is the fit in standard units
    (:mod:`identkit.fit.change`): there the gradient has a size, which is NaN in the user's, and the
    bounds are those of its box; ``held`` is of the standard numbers.
    """

    model: Model
    measure: MixingMeasure
    status: Any
    cost: Any
    gradient_norm: Any
    steps: Any
    passes: Any
    start: Any
    costs: Array
    statuses: tuple[tuple[Status, ...], ...]
    held: NDArray[np.bool_]
    samples: int
    seconds: float
    settings: Settings
    change: Change | None = None
    inner: FitResult | None = None
    ridge: float = 0.0

    @property
    def scaled(self) -> FitResult:
        """The same fit in standard units, itself where nothing was changed."""
        return self if self.inner is None else self.inner

    @property
    def objective(self) -> Objective:
        """What was minimised."""
        return objective_of(self.model.gate)

    @property
    def root_mean_square(self) -> Any:
        """√(2·cost/n), in units of y; with weights, of the weighted residuals √w·r.

        NaN under an objective that is no sum of squares.
        """
        squares = 2.0 if self.objective.quadratic else np.nan
        return np.sqrt(squares * (np.asarray(self.cost) - self.penalty) / self.samples)

    @property
    def penalty(self) -> Any:
        """The part of the cost that is the ridge penalty, 0.0 without one."""
        if not self.ridge:
            return 0.0
        inner = self.scaled
        free = ~self.model.pinned(inner.measure.atoms)
        squares = (self.model.pack(inner.measure)[..., free] ** 2).sum(axis=-1)
        unit = 1.0 if self.change is None else self.change.unit**2
        return 0.5 * self.ridge * unit * squares

    def predict(self, x: Any) -> Array:
        """The fitted f at x of shape (n, d) or (R, n, d)."""
        if self.change is None or self.inner is None:
            return self.model.predict(self.measure, x)
        inside = self.change.inputs(real_array("x", x))
        return self.change.value(self.model.predict(self.inner.measure, inside))

    def to_dict(self) -> dict[str, Any]:
        """JSON form; numbers that are not finite are null.

        Schema ``identkit.fit/1``, or ``/2`` under a gate with other blocks than β1 and β0; ``/3``
        where data were standardised.
        """
        gate, change = self.model.gate, self.change
        many = bool(self.measure.batch)
        rows = [self] if not many else [self[r] for r in range(len(self.status))]
        return {
            "schema": f"identkit.fit/{self._version}",
            "version": __version__,
            "expert": self.model.expert.canonical(),
            **asked_under(gate.name, gate.likelihood),
            "samples": self.samples,
            "seconds": self.seconds,
            "settings": {
                **{f.name: getattr(self.settings, f.name) for f in fields(self.settings)},
                "box": self._box(),
                "libraries": dict(self.settings.libraries),
            },
            "fits": [
                {
                    "measure": one.measure.to_dict(),
                    "status": one.status.value,
                    "remedy": one.status.remedy,
                    "cost": number(one.cost),
                    "root_mean_square": number(one.root_mean_square),
                    "gradient_norm": number(one.gradient_norm),
                    "steps": int(one.steps),
                    "passes": int(one.passes),
                    "start": int(one.start),
                    "held": one.held.tolist(),
                    "starts": [
                        {"cost": number(c), "status": s.value}
                        for c, s in zip(one.costs[0], one.statuses[0], strict=True)
                    ],
                }
                for one in rows
            ],
            **({"ridge": self.ridge} if self._version == 3 else {}),
            **({} if change is None else {"standardised": self._standardised(change)}),
        }

    @property
    def _version(self) -> int:
        if self.change is not None or self.ridge:
            return 3
        return 1 if self.measure.layout.standard else 2

    def _box(self) -> dict[str, Any]:
        """The box; of a fit of the third format the bounds that were given, each by its option."""
        box, model = self.settings.box, self.model
        if self._version < 3:
            return box.to_dict()
        named = box.named(model.layout, model.parameters)
        found = {}
        for block, pairs in box.pairs(model.layout, model.parameters).items():
            own = model.parameters if block == "eta" else [block] * len(pairs)
            for option, pair, given in zip(own, pairs, named[block], strict=True):
                if given:
                    found[option] = [number(end) for end in pair]
        return found

    def _standardised(self, change: Change) -> dict[str, Any]:
        inner = self.scaled
        return {
            **change.document(),
            "measure": inner.measure.to_dict(),
            "box": inner.settings.box.to_dict(),
            "gradient_norm": number(inner.gradient_norm),
        }

    def __getitem__(self, r: int) -> FitResult:
        """The fit of one problem."""
        return replace(
            self,
            **{name: getattr(self, name)[r] for name in _EACH},
            **{name: getattr(self, name)[r : r + 1 or None] for name in _ROWS},
        )

    @classmethod
    def joined(cls, parts: Sequence[FitResult]) -> FitResult:
        """Fits of several batches of problems, alike in model, samples and settings, as one."""
        if len(parts) == 1:
            return parts[0]

        def together(name: str) -> Any:
            values = [getattr(part, name) for part in parts]
            if isinstance(values[0], tuple):
                return tuple(chain.from_iterable(values))
            return np.concatenate(values)

        return replace(
            parts[0],
            measure=MixingMeasure.stack([part.measure for part in parts]),
            seconds=sum(part.seconds for part in parts),
            **{name: together(name) for name in (*_EACH, *_ROWS) if name != "measure"},
        )

    def __len__(self) -> int:
        if not self.measure.batch:
            raise TypeError("one fit has no length")
        return len(self.status)

    def __bool__(self) -> bool:
        return True


def number(value: Any) -> float | None:
    """A number for JSON, which knows neither NaN nor infinity."""
    return float(value) if np.isfinite(value) else None
