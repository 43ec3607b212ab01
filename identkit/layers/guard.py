"""A guard for tests of training code: what is proved of the layer that is about to be trained."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from identkit.errors import InputError, unknown_name
from identkit.layers.analysis import SECONDS, analyse
from identkit.layers.config import read_config
from identkit.layers.findings import Findings
from identkit.layers.record import Architecture
from identkit.layers.symbols import added
from identkit.layers.verdicts import LIKELIHOODS
from identkit.likelihoods import LEAST_SQUARES
from identkit.registry import folded
from identkit.report.layer_report import layer_report
from identkit.report.terminal import plain
from identkit.vocabulary import Verdict

if TYPE_CHECKING:
    from torch import nn


def assert_layer_identifiable(
    source: nn.Module | Architecture | str | os.PathLike[str] | Mapping[str, Any],
    *,
    held: bool = True,
    likelihood: str = LEAST_SQUARES,
    nondegenerate: bool = False,
    seed: int = 0,
    time_limit: float = SECONDS,
    progress: Callable[[str], None] | None = None,
) -> Findings:
    """Fail unless a layer is *proved* to be identifiable up to the gauges that are listed.

    ``source`` is a layer of torch (:func:`identkit.layers.module.read_module`), a configuration of
    transformers (file, directory or mapping) or an Architecture. Demanded are, as
    :func:`identkit.layers.analysis.analyse` finds them: a proof of every gauge and that nothing
    else moves router or units; the condition of every regime of the gate for the expert, with the
    scale of its units held unless ``held`` is False; no proof that this expert is degenerate under
    this gate all the same; and nothing that f has besides. An intercept that the scores lack is no
    matter, since functions that are independent stay so when some are left out; for a *rate* it
    is, and rates are not demanded. ``nondegenerate``: demand the proof of the second order as well,
    which is open for every gate that selects. What is undecided fails, also for want of time.
    ``likelihood`` is least-squares or gaussian; ``seed``, ``time_limit`` (seconds) and
    ``progress`` are those of ``analyse``. Returns what is found.

    >>> layer = {"model_type": "mixtral", "num_local_experts": 4, "intermediate_size": 8}
    >>> assert_layer_identifiable(layer).gate
    'top-2'

    Raises AssertionError with what is not proved and the report, and
    :class:`~identkit.errors.InputError` for a source that is not read.
    """
    likelihood = folded(likelihood, LIKELIHOODS)
    if likelihood not in LIKELIHOODS:
        raise unknown_name("likelihood of a layer", likelihood, LIKELIHOODS)
    found = analyse(_read(source, seed), seed=seed, time_limit=time_limit, progress=progress)
    reasons = list(missing(found, held, likelihood, nondegenerate))
    if reasons:
        lines = "\n".join(f"- {reason}" for reason in reasons)
        raise AssertionError(
            f"layer {found.architecture.source}: identifiability up to the listed gauges is not "
            f"proved ({likelihood}, seed {seed}):\n{lines}\n\n{plain(layer_report(found))}"
        )
    return found


def _read(source: Any, seed: int) -> Architecture:
    if isinstance(source, Architecture):
        return source
    if isinstance(source, str | os.PathLike | Mapping):
        return read_config(source)
    if not hasattr(source, "named_modules"):
        raise InputError(
            f"layer: a {type(source).__name__} is not read; give a module of torch, a "
            "configuration or an Architecture."
        )
    from identkit.layers.module import read_module

    return read_module(source, seed=seed)


def missing(
    found: Findings,
    held: bool = True,
    likelihood: str = LEAST_SQUARES,
    nondegenerate: bool = False,
) -> Iterator[str]:
    """What :func:`assert_layer_identifiable` demands and is not proved, each in a clause."""
    for gauge in found.gauges:
        if not gauge.proved:
            yield f"{gauge.name}: found, and not proved"
    for none in found.absent:
        if not none.excluded:
            yield f"{none.name} ({none.part}): not excluded: {none.reason}"
    yield from added(found.architecture)
    if found.gate is None:
        yield found.why_no_gate
        return
    own = [d for d in found.decided if d.likelihood == likelihood]
    # without a scale there is but one row for each likelihood: held or not is the same
    row = next((d for d in own if d.scaled is not held), own[0])
    if not row.verdicts:
        yield from row.reasons
    for verdict in row.verdicts:
        where = f"{verdict.regime}, " if verdict.regime else ""
        of = f"{where}{verdict.condition} for {row.expert}, gate {row.gate}"
        if verdict.verdict != Verdict.YES:
            yield f"{of}: {verdict.verdict}"
        elif verdict.nondegenerate == Verdict.NO:
            yield f"{of}: yes, but it is degenerate: {verdict.rate}"
        elif nondegenerate and verdict.nondegenerate != Verdict.YES:
            yield f"{of}: yes, but whether it is degenerate is undecided: {verdict.why}"
