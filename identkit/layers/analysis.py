"""Everything that is said of one layer."""

from __future__ import annotations

import time
from collections.abc import Callable

from identkit import __version__
from identkit.deadline import Deadline
from identkit.errors import OutOfTime
from identkit.layers.findings import Absent, Findings, LayerGauge
from identkit.layers.gauges import inputs_of, of_the_expert, of_the_router
from identkit.layers.record import Architecture
from identkit.layers.symbols import MATRICES, expert, gate_of
from identkit.layers.verdicts import asking, changes, decided, share_of
from identkit.likelihoods import LEAST_SQUARES
from identkit.questions import check_time_limit

SECONDS = 60.0
"""For all checks of a layer; each has a part of it."""


def analyse(
    architecture: Architecture,
    *,
    seed: int = 0,
    time_limit: float = SECONDS,
    progress: Callable[[str], None] | None = None,
) -> Findings:
    """Gauges, verdicts and changes of a layer, decided at a small width.

    ``time_limit`` seconds are for all of it, what is not reached is undecided; ``seed`` is of every
    draw. ``progress`` is called with a line before each step. Raises
    :class:`~identkit.errors.InputError` for options that cannot be used.
    """
    check_time_limit(time_limit)
    started = time.monotonic()
    form = architecture.expert
    deadline = Deadline(time_limit)
    ask = asking(seed, deadline, progress)
    gate, why = gate_of(architecture.router)
    whole = expert(form, inputs=inputs_of(form))
    found = ask(whole, gate or "softmax", LEAST_SQUARES)
    gauges: list[LayerGauge] = []
    absent: list[Absent] = []
    steps = (
        ("router", lambda: of_the_router(architecture, share_of(deadline))),
        ("unit", lambda: of_the_expert(architecture, found, share_of(deadline), seed)),
    )
    for part, step in steps:
        if progress is not None:
            progress(f"gauges of the {part}")
        try:
            for one in step():
                (gauges if isinstance(one, LayerGauge) else absent).append(one)  # type: ignore[arg-type]
        except OutOfTime as limit:
            absent.append(Absent(part, "further gauges", False, str(limit)))
    return Findings(
        version=__version__,
        architecture=architecture,
        gate=gate,
        why_no_gate=why,
        inputs=inputs_of(form),
        letters=tuple((p, MATRICES[p[0]]) for p in whole.parameters),
        gauges=tuple(gauges),
        absent=tuple(absent),
        decided=tuple(decided(architecture, ask)),
        changes=tuple(changes(architecture, ask)),
        seed=seed,
        time_limit=time_limit,
        seconds=time.monotonic() - started,
    )
