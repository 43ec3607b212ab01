"""Other measures with the density of a truth: from its gauges, proved, shown in digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from identkit.architecture.compared import Compared, compared
from identkit.architecture.given import NoMeasure, OtherMeasure, others
from identkit.architecture.records import NoGauge
from identkit.bounded import bounded
from identkit.checking import check
from identkit.errors import OutOfTime
from identkit.truths.record import Truth


@dataclass(frozen=True)
class Alternatives:
    """What was found for one truth.

    ``found`` are measures with the same p (or f), each proved in normal form, beside the values of
    both at points drawn with ``seed``. ``none`` are gauges that move nothing here, with the reason,
    ``absent`` what was looked for without success for the model as such.
    """

    truth: Truth
    found: tuple[tuple[OtherMeasure, tuple[Compared, ...]], ...]
    none: tuple[NoMeasure, ...]
    absent: tuple[NoGauge, ...]
    seed: int
    complete: bool


def alternatives_of(
    truth: Truth,
    *,
    seed: int = 0,
    points: int = 3,
    progress: Callable[[str], None] | None = None,
) -> Alternatives:
    """Every gauge of the truth's model applied to its numbers.

    The gauges are those that :func:`identkit.check` finds and proves: common moves of all gates,
    orbits and sign flips of the experts of both halves, exchange and transport between them. What
    is applied is proved once more at the truth's numbers. Values are compared at ``points`` points
    to :data:`~identkit.architecture.compared.DIGITS` digits. ``complete`` is False where the time
    limit was reached before the last gauge. Raises :class:`~identkit.errors.InputError`.
    """
    say = progress or (lambda text: None)
    say(f"{truth.name}: gauges")
    result = check(
        truth.expert,
        truth.gate,
        shared=truth.shared,
        domain=truth.domain,
        seed=seed,
    )
    beside = () if result.shared is None else result.shared.gauges
    setting = truth.setting()
    found: list[tuple[OtherMeasure, tuple[Compared, ...]]] = []
    none: list[NoMeasure] = []

    def work(send: Callable[[Any], None]) -> None:
        for other in others(setting, truth.measure, result.gauges, beside):
            if isinstance(other, NoMeasure):
                send(other)
                continue
            values = compared(
                setting, truth.measure, other.measure, domain=truth.domain, seed=seed, count=points
            )
            send((other, tuple(values)))

    def receive(piece: Any) -> None:
        none.append(piece) if isinstance(piece, NoMeasure) else found.append(piece)

    say(f"{truth.name}: measures")
    complete = True
    try:
        bounded(work, setting.deadline, receive)
    except OutOfTime:
        complete = False
    absent = [*result.no_gauges, *(() if result.shared is None else result.shared.no_gauges)]
    return Alternatives(truth, tuple(found), tuple(none), tuple(absent), seed, complete)
