"""What an experiment with densities shows: slopes beside rates, and exponents as a paper fits them.

Lines, slopes, intervals, verdicts and shares are those of least squares (:mod:`identkit.rates.
result`); what is certified of a density is said by its predictions and its exact alternatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from identkit.density.result import Status
from identkit.rates import density_predictions as predictions
from identkit.rates.density_setting import DensitySetting
from identkit.rates.quantities import DEVIANCE
from identkit.rates.result import (
    ALIKE,
    DOUBTFUL,
    Groups,
    Observed,
    Share,
    check_errors,
    groups_of,
    lines_of,
    shares_of,
    verdicts_of,
)
from identkit.rates.rows import Row
from identkit.rates.setting import Experiment
from identkit.rates.slopes import Slope, exponent

DENSITY_RATES = "identkit.density-rates/1"
FINISHED = tuple(status.value for status in Status if status.finished)


@dataclass(frozen=True)
class Exponent:
    """α of (log n / n)^α for one quantity from one kind of start, at the last budget.

    By least squares on logarithms, of the ``mean`` over replicates and of the ``median``, with
    bootstrap intervals; None where there are too few values.
    """

    quantity: str
    start: str
    mean: Slope | None
    median: Slope | None


@dataclass(frozen=True, eq=False)
class DensityResult(Observed):
    """What :func:`observe_density` finds.

    ``alternatives`` are gauges that lead from the truth to other measures of the same density,
    ``unmet`` caveats of the theorem that the truth does not meet: with either, nothing is predicted
    of parameters.
    """

    exponents: tuple[Exponent, ...]
    alternatives: tuple[str, ...]
    unmet: tuple[str, ...]


def observe_density(
    experiment: Experiment[DensitySetting],
    rows: Sequence[Row],
    environments: Sequence[dict[str, str]] = (),
) -> DensityResult:
    """Slopes, exponents, verdicts and warnings from the rows of an experiment."""
    setting = experiment.setting
    groups = groups_of(experiment, rows)
    for group in groups.values():
        check_errors(group)
    lines = lines_of(experiment, groups)
    attained = predictions.attained(setting)
    shares = shares_of(setting.budgets, groups, attained)
    count = sum(len(group) for group in groups.values())
    return DensityResult(
        experiment=experiment,
        lines=lines,
        verdicts=verdicts_of(
            experiment,
            lines,
            shares,
            predictions.published(setting),
            lambda start: predictions.derived(setting, start),
            FINISHED,
        ),
        exponents=tuple(_exponents(experiment, groups)),
        shares=shares,
        alternatives=predictions.known_alternatives(setting),
        unmet=predictions.unmet(setting),
        warnings=tuple(_warnings(experiment, groups, shares, count, len(environments))),
        environments=tuple(environments),
        fits=count,
    )


def _exponents(experiment: Experiment[DensitySetting], groups: Groups) -> list[Exponent]:
    """Those of the distance of densities and of the losses."""
    budget, found = experiment.setting.budgets[-1], []
    names = ["hellinger", "quotient"]
    if experiment.setting.loss is not None:
        names.insert(0, f"printed:{experiment.setting.loss}")
    for start, _ in experiment.runs:
        for name in names:
            values = [
                np.array([r.errors.get(name, np.nan) for r in groups.get((start, n, budget), [])])
                for n in experiment.sizes
            ]
            both = (exponent(experiment.sizes, values, mean=mean) for mean in (True, False))
            found.append(Exponent(name, start, *both))
    return found


def _warnings(
    experiment: Experiment[DensitySetting],
    groups: Groups,
    shares: Sequence[Share],
    count: int,
    environments: int,
) -> list[str]:
    setting, found = experiment.setting, []
    if count < experiment.fits:
        found.append(
            f"{experiment.fits - count:,} of {experiment.fits:,} fits are missing; slopes are "
            "those of what is there."
        )
    last = setting.budgets[-1]
    for start, _ in experiment.runs:
        mine = [s for s in shares if s.start == start and s.budget == last]
        for part, what in (
            ([(s.n, 1 - s.of(*FINISHED)) for s in mine],
             f"ran out of {last} steps; raise the last budget."),
            ([(s.n, s.trapped or 0.0) for s in mine],
             "have a lower likelihood than the truth: local maxima."),
            ([(s.n, s.of(Status.SPIKE.value)) for s in mine],
             "end with a variance at the lower end of the box."),
        ):  # fmt: skip
            over = [(n, share) for n, share in part if share > DOUBTFUL]
            if over:
                sizes = ", ".join(f"{n:,}" for n, _ in over)
                most = max(share for _, share in over)
                found.append(f"{start} starts, n = {sizes}: up to {most:.0%} of the fits {what}")
    first, *others = [kind for kind, _ in experiment.runs]
    for start in others:
        pairs = _pairs(experiment, groups, first, start)
        clearly = sum(other < own - ALIKE for own, other in pairs)
        if clearly > DOUBTFUL * len(pairs):
            found.append(
                f"in {clearly} of {len(pairs)} fits the {start} start reaches a clearly higher "
                f"likelihood (deviance lower by more than {ALIKE:g}) than the {first} start, which "
                "is then not the maximum."
            )
    if environments > 1:
        found.append(f"the fits are from {environments} environments (versions or machines).")
    return found


def _pairs(
    experiment: Experiment[DensitySetting], groups: Groups, first: str, other: str
) -> list[tuple[float, float]]:
    """Deviances of the same data from both kinds of start, at the last budget."""
    budget, found = experiment.setting.budgets[-1], []
    for n in experiment.sizes:
        main = {r.replicate: r for r in groups.get((first, n, budget), [])}
        for r in groups.get((other, n, budget), []):
            if r.replicate in main:
                found.append((main[r.replicate].errors[DEVIANCE], r.errors[DEVIANCE]))
    return found
