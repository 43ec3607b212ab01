"""What is found of a layer: gauges, verdicts, and changes with what they buy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from identkit.layers.record import Architecture
from identkit.vocabulary import Verdict


@dataclass(frozen=True)
class LayerGauge:
    """A way to move the numbers of a layer that leaves its function as it is.

    ``part`` is ``router``, ``unit``, ``expert``. ``dimension`` counts continuous parameters over
    the whole layer, 0 for a finite action. ``proved``: the identity was computed here, as
    ``proof`` says; ``widths`` is the argument for every width, number of inputs and of experts;
    ``where`` is the condition under which it is one, empty if it always is.
    """

    part: str
    name: str
    action: str
    dimension: int
    proved: bool
    proof: str
    widths: str
    where: str = ""


@dataclass(frozen=True)
class Absent:
    """What is not a gauge: ``excluded`` if that is proved, else merely not found."""

    part: str
    name: str
    excluded: bool
    reason: str


@dataclass(frozen=True)
class RegimeVerdict:
    """A condition in one regime of the gate, and the rate that follows under that gate.

    ``provided`` are the hypotheses of a rate, ``why`` the reason where there is none.
    """

    regime: str
    condition: str
    verdict: Verdict
    nondegenerate: Verdict | None
    rate: str
    why: str
    provided: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decided:
    """The verdicts for one expert under one likelihood.

    ``scaled``: the expert as it is; else one number of each unit is held at 1. ``gate`` is the
    registered gate with the layer's weights, None where there is none. ``rate`` is what is known of
    the layer itself, ``reasons`` why it is undecided; ``verdicts`` are those of the registered
    gate, with an intercept and nothing beside it.
    """

    scaled: bool
    expert: str
    gate: str | None
    likelihood: str
    rate: str
    reasons: tuple[str, ...]
    verdicts: tuple[RegimeVerdict, ...]
    command: str


@dataclass(frozen=True)
class Change:
    """A change of the layer, checked: gauges that are gone or new, what follows then."""

    change: str
    gone: tuple[str, ...]
    new: tuple[str, ...]
    verdicts: tuple[RegimeVerdict, ...]
    command: str


@dataclass(frozen=True)
class Findings:
    """All that is found of one layer; ``inputs`` d of the small expert that was decided."""

    version: str
    architecture: Architecture
    gate: str | None
    why_no_gate: str
    inputs: int
    letters: tuple[tuple[str, str], ...]
    gauges: tuple[LayerGauge, ...]
    absent: tuple[Absent, ...]
    decided: tuple[Decided, ...]
    changes: tuple[Change, ...]
    seed: int
    time_limit: float
    seconds: float

    @property
    def dimension(self) -> int:
        """How many continuous parameters of the layer its gauges move, under no condition."""
        return sum(g.dimension for g in self.gauges if not g.where)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, without the schema's name; ``seconds`` is the only part that varies."""
        return {
            **asdict(self),
            "architecture": self.architecture.to_dict(),
            "letters": dict(self.letters),
            "dimension": self.dimension,
        }
