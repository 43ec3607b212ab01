"""What a fit returns: how each problem ended, where, and with what settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from identkit import __version__
from identkit.fit.batch import Fits, joined
from identkit.fit.box import Box, number
from identkit.fit.model import Model
from identkit.fit.objective import Objective, objective_of
from identkit.likelihoods import asked_under
from identkit.mixing import MixingMeasure, real_array

if TYPE_CHECKING:
    from identkit.fit.change import Change

Array = NDArray[np.float64]


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


@dataclass(frozen=True, eq=False)
class FitResult(Fits):
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

    _EACH = (
        "measure", "status", "cost", "gradient_norm", "steps", "passes", "start", "held",
    )  # fmt: skip
    _ROWS = ("costs", "statuses")

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

    @classmethod
    def joined(cls, parts: Sequence[FitResult]) -> FitResult:
        """Fits of several batches of problems, alike in model, samples and settings, as one."""
        return joined(parts)
