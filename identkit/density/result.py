"""What maximum likelihood returns: how each problem ended, where, and with what settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.fit.batch import Fits, joined

if TYPE_CHECKING:
    from identkit.density.units import Units

Array = NDArray[np.float64]


class Status(Enum):
    """How a fit ended, the best first; ``value`` is the name in reports."""

    CONVERGED = "converged"
    AT_THE_BOX = "at the box"
    LIGHT_ATOM = "light atom"
    FLAT_VALLEY = "flat valley"
    SPIKE = "variance at its floor"
    STEP_LIMIT = "step limit"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    BAD_DATA = "bad data"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self]

    @property
    def finished(self) -> bool:
        """Whether the likelihood is at a local maximum within the box, or has stopped rising."""
        return self in (
            Status.CONVERGED, Status.AT_THE_BOX, Status.LIGHT_ATOM, Status.FLAT_VALLEY, Status.SPIKE
        )  # fmt: skip


_REMEDIES = {
    Status.CONVERGED: "a local maximum; try more starts to see whether there is a higher one",
    Status.AT_THE_BOX: "the maximum lies on the boundary of the box; widen the box, or read the "
    "parameters at their bounds as not estimated",
    Status.LIGHT_ATOM: "an atom has hardly any of the rows, so its parameters mean nothing; fit "
    "fewer atoms",
    Status.FLAT_VALLEY: "the likelihood no longer rises while parameters still move along a "
    "valley: the data hardly determine them there; set flat=0 to go on to the maximum",
    Status.SPIKE: "an atom fits its rows exactly and its variance is at the floor; if these are "
    "few, it is a spike, whose likelihood has no bound and means nothing: fit fewer atoms, or one "
    "variance for all; if they are all, the data have no noise: fit them by least squares",
    Status.STEP_LIMIT: "no maximum within the step limit; raise max_steps, or start elsewhere",
    Status.DIVERGED: "the likelihood was not finite at the start; start with smaller parameters",
    Status.INTERRUPTED: "stopped before the end; run again",
    Status.BAD_DATA: "the replicate holds values that are not finite or out of range, or a "
    "constant y; remove it",
}


@dataclass(frozen=True)
class Settings:
    """What steered a fit besides model and data.

    ``floor`` and ``ceiling`` bound the variances, relative to the variance of y of each problem
    where ``relative``; ``em_steps`` are steps of EM before those of Newton, ``newton`` is False
    where all are of EM.
    """

    version: str
    max_steps: int
    em_steps: int
    newton: bool
    tolerance: float
    flat: float
    floor: float
    ceiling: float
    relative: bool
    device: str
    kernel: str
    threads: int
    libraries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class DensityFit(Fits):
    """Maximum likelihood for R problems, each the best of its starts.

    ``measure`` has the batch of the problems; so have ``status`` (list or one), ``log_likelihood``
    (Σ w·log p, natural logarithms), ``gradient_norm`` (Euclidean, in the coordinates of the
    solver, variances by their logarithms, without what the box holds), ``steps`` and ``start``,
    the index of the start it came from. ``fixed`` (p,) marks what equal bounds hold,
    ``held`` (…, p) numbers of the vector at a bound or held. ``log_likelihoods`` and ``statuses``
    have a row per problem, a column per start.

    Of several starts the largest likelihood wins among those that ended at no spike; with spikes
    alone, one of them is returned, with that status.

    Where data were standardised, ``units`` says how and ``inner`` is the fit in standard units
    (:mod:`identkit.density.units`): gradient and ``held`` are of its numbers.
    """

    _EACH = (
        "measure", "status", "log_likelihood", "gradient_norm", "steps", "start", "held",
    )  # fmt: skip
    _ROWS = ("log_likelihoods", "statuses")

    model: DensityModel
    measure: DensityMeasure
    status: Any
    log_likelihood: Any
    gradient_norm: Any
    steps: Any
    start: Any
    log_likelihoods: Array
    statuses: tuple[tuple[Status, ...], ...]
    held: NDArray[np.bool_]
    fixed: NDArray[np.bool_]
    samples: int
    seconds: float
    settings: Settings
    units: Units | None = None
    inner: DensityFit | None = None

    @property
    def scaled(self) -> DensityFit:
        """The same fit in standard units, itself where nothing was changed."""
        return self if self.inner is None else self.inner

    @property
    def free(self) -> Any:
        """The numbers that were estimated: not those that a gauge or the box holds."""
        return (~self.held).sum(axis=-1)

    def settings_document(self) -> dict[str, Any]:
        """The settings for JSON."""
        return {
            **{f.name: getattr(self.settings, f.name) for f in fields(self.settings)},
            "libraries": dict(self.settings.libraries),
        }

    @classmethod
    def joined(cls, parts: Sequence[DensityFit]) -> DensityFit:
        """Fits of several batches of problems, alike in model, samples and settings, as one."""
        return joined(parts)
