"""From a fitted density to its report: standard errors, and what is proved about its experts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identkit.architecture.records import FoundGauge
from identkit.checking import check
from identkit.density.inference import covariance
from identkit.density.model import DensityModel
from identkit.density.result import DensityFit
from identkit.density.summary import DensityReport
from identkit.errors import IdentkitError
from identkit.fit.inference import Identifiability, data_domain
from identkit.fit.running import CHECK_SECONDS, Steps
from identkit.fit.shared_gates import SharedGate, alike_gates
from identkit.tables import Table

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ProvedHalf(Identifiability):
    """What ``check`` proves of one half under the likelihood, and the ``gauges`` of the model.

    Those are ways to move parameters that leave p(y|x) exactly as it is; the routed half has them.
    """

    gauges: tuple[FoundGauge, ...] = ()


def reported(
    fit: DensityFit,
    table: Table,
    *,
    file: str,
    seed: int,
    began: float,
    interrupted: bool = False,
    check: bool = True,
    steps: Steps | None = None,
) -> DensityReport:
    """One fit with standard errors and, unless it was cut short, what is proved.

    ``began`` is the :func:`time.perf_counter` of the run's begin. Ctrl-C ends the check, not the
    report.
    """
    errors = None
    if fit.status.finished:
        errors = covariance(fit, table.x, table.y, table.weight)
    proved = None
    if check and not interrupted:
        if steps is not None:
            steps.begin("checking identifiability")
        try:
            groups = gates_shared(fit, table.x, None if errors is None else errors.observed)
            proved = identifiability(
                fit.model, groups, table.x, held=_held(fit), time_limit=CHECK_SECONDS
            )
        except KeyboardInterrupt:
            interrupted = True
    return DensityReport(
        fit=fit,
        file=file,
        target=table.target_name,
        inputs=table.input_names,
        seed=seed,
        seconds=time.perf_counter() - began,
        interrupted=interrupted,
        covariance=errors,
        identifiability=proved,
        classes=table.classes or None,
        table=table,
    )


def gates_shared(fit: DensityFit, x: Array, matrix: Array | None = None) -> tuple[SharedGate, ...]:
    """The routed atoms of one fit that share a gate, by :func:`identkit.fit.shared_gates`.

    ``matrix`` (p, p) is the covariance of the fit's numbers, if there is one.
    """
    own = fit.model.parts(fit.measure.atoms)[0]
    part = None if matrix is None else matrix[own, own]
    groups = fit.measure.routed.layout.groups
    model = fit.model if not groups else fit.model.grouped(groups)
    return alike_gates(model.routed, fit.measure.routed, x, part)


def identifiability(
    model: DensityModel,
    groups: Sequence[SharedGate],
    x: Array,
    *,
    held: Sequence[str] = (),
    time_limit: float = CHECK_SECONDS,
) -> tuple[ProvedHalf, ...]:
    """What ``check`` proves under the likelihood on the range of x (n, d): of the routed expert,
    then of the shared one where there is one.

    The regime follows from the atoms that share a gate, as for least squares. ``time_limit`` in
    seconds is for all of it. Nothing is said where parameters of an expert are ``held``.
    """
    regime = model.routed.gate.of_truth(not (groups and all(g.constant for g in groups))).code
    domain = None
    halves = 1 if model.shared is None else 2
    if held:
        reason = (
            f"{', '.join(held)} held; check is about all parameters free: write the numbers into "
            "the expression instead"
        )
        return (ProvedHalf(None, reason, regime, None, None),)
    try:
        domain = data_domain(x, model.routed.expert.inputs)
        checked = check(
            model.routed.expert,
            model.routed.gate,
            shared=None if model.shared is None else model.shared.expert,
            regime=regime,
            domain=domain,
            time_limit=time_limit / halves,
        )
    except IdentkitError as error:
        return (ProvedHalf(None, str(error), regime, domain, None),)
    first = checked.results[0]
    found = [ProvedHalf(first.verdict, "", regime, domain, first, checked.gauges)]
    if checked.shared is not None:
        own = checked.shared.results[0]
        found.append(ProvedHalf(own.verdict, "", None, domain, own))
    return tuple(found)


def _held(fit: DensityFit) -> list[str]:
    """Parameters of the experts that bounds hold at one value."""
    inner, atoms = fit.scaled, fit.measure.atoms
    routed, shared, _ = fit.model.parts(atoms)
    names = []
    for half, part, count in (
        (fit.model.routed, routed, atoms[1]), (fit.model.shared, shared, atoms[0])
    ):  # fmt: skip
        if half is None or not count:
            continue
        options = half.layout.options(half.parameters, count)
        own = inner.fixed[part]
        names += [n for n, same in zip(options, own, strict=True) if same and n in half.parameters]
    return list(dict.fromkeys(names))
