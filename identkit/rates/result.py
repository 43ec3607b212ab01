"""What a rate experiment shows: slopes beside published and derived rates, with verdicts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from identkit import __version__
from identkit.errors import InputError
from identkit.fit.result import Status
from identkit.rate import Rate
from identkit.rates import predictions, slopes
from identkit.rates.conditioned import Conditioning, conditioning
from identkit.rates.missing import Missing
from identkit.rates.quantities import DEVIANCE, Quantity, checked, quantity
from identkit.rates.setting import CONTROL, Experiment, Setting
from identkit.rates.slopes import (
    SLOWER,
    Prediction,
    Slope,
    judge,
    slope,
)
from identkit.results import ConditionResult
from identkit.vocabulary import Basis, Judgement

if TYPE_CHECKING:
    from identkit.rates.rows import Row

Groups = dict[tuple[str, int, int], "list[Row]"]
"""(start, n, budget) -> its fits."""
SCHEMA, OF_BLOCKS = "identkit.rates/1", "identkit.rates/2"
"""Of measures of atoms (β1, β0, η), and of other layouts."""
FINISHED = tuple(status.value for status in Status if status.finished)
MOST_DOUBTFUL, DOUBTFUL = 0.5, 0.1
"""Share of fits that ran out of steps or are in a local minimum above which no verdict is given
(the median is then one of theirs), and above which there is a warning."""
LOCAL = 0.5
"""Typical deviation at the smallest n above which second-order expansions are not to be trusted:
half a unit in parameters of order 1."""
LEVELLED = 0.15
"""An error of f whose last slope is above minus this has stopped falling."""
SAME = 1e-6
"""Relative difference of costs below which two fits count as the same minimum."""
ALIKE = 2.0
"""Difference of deviances below which the data hardly tell two minima apart (AIC's unit)."""


@dataclass(frozen=True, eq=False)
class Line(Missing):
    """One quantity over n, from one kind of start, at one budget.

    ``counts`` are the finite values; ``lower`` and ``upper`` the quartiles; all have a number for
    each n.
    """

    quantity: str
    start: str
    budget: int
    counts: tuple[int, ...]
    medians: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    slope: Slope | None


@dataclass(frozen=True)
class Verdict:
    """A quantity's slope against its rates, from one kind of start at the last budget.

    ``against_published`` and ``against_derived`` are consistent, inconsistent or inconclusive,
    None where there is no such rate; ``reasons`` say why where it is not consistent.
    """

    quantity: Quantity
    start: str
    published: Prediction | None
    derived: Prediction | None
    against_published: Judgement | None
    against_derived: Judgement | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """How the fits of one (start, n, budget) ended: status -> count.

    ``seconds`` per fit over all budgets. ``trapped``: the share that cost more than the truth does,
    so that they are no least-squares estimates but local minima; None where the truth's f may be
    out of the fitted class.
    """

    start: str
    n: int
    budget: int
    statuses: tuple[tuple[str, int], ...]
    seconds: float
    trapped: float | None

    @property
    def fits(self) -> int:
        return sum(count for _, count in self.statuses)

    def of(self, *names: str) -> float:
        """The share of fits with one of these statuses."""
        return sum(count for name, count in self.statuses if name in names) / max(1, self.fits)


@dataclass(frozen=True)
class Control:
    """Fits from another kind of start beside those of the first, at one n, last budget.

    Of ``fits`` replicates the other's cost is ``lower``, the ``same`` to 1e-6, or higher;
    ``clearly`` counts those lower by more than :data:`ALIKE` in deviance.
    """

    start: str
    n: int
    fits: int
    lower: int
    same: int
    clearly: int


@dataclass(frozen=True, eq=False)
class Observed:
    """What the rows of an experiment show, of least squares or of densities."""

    experiment: Experiment
    lines: tuple[Line, ...]
    verdicts: tuple[Verdict, ...]
    shares: tuple[Share, ...]
    warnings: tuple[str, ...]
    environments: tuple[dict[str, str], ...]
    fits: int

    @property
    def complete(self) -> bool:
        """Whether every fit of the experiment is there."""
        return self.fits == self.experiment.fits

    def line(self, quantity: str, start: str | None = None, budget: int | None = None) -> Line:
        """A line, by default of the first start at the last budget. Raises KeyError."""
        start = self.experiment.starts[0] if start is None else start
        budget = self.experiment.setting.budgets[-1] if budget is None else budget
        for line in self.lines:
            if (line.quantity, line.start, line.budget) == (quantity, start, budget):
                return line
        raise KeyError(quantity)

    def verdict(self, quantity: str, start: str | None = None) -> Verdict:
        """A verdict, by default of the first start. Raises KeyError."""
        start = self.experiment.starts[0] if start is None else start
        for verdict in self.verdicts:
            if (verdict.quantity.key, verdict.start) == (quantity, start):
                return verdict
        raise KeyError(quantity)


@dataclass(frozen=True, eq=False)
class RateResult(Observed):
    """What :func:`observe` finds; :class:`identkit.rates.RateResult` has its JSON form too."""

    condition: ConditionResult
    conditioning: Conditioning | None
    controls: tuple[Control, ...]


def observe(
    experiment: Experiment,
    rows: Sequence[Row],
    environments: Sequence[dict[str, str]] = (),
) -> RateResult:
    """Slopes, verdicts and warnings from the rows of an experiment; other rows are ignored."""
    setting = experiment.setting
    assert isinstance(setting, Setting)
    groups = groups_of(experiment, rows)
    for group in groups.values():
        check_errors(group)
    lines = lines_of(experiment, groups)
    results = checked(setting).results
    condition = results[0]
    attained = predictions.attained(setting, condition)
    shares = shares_of(setting.budgets, groups, attained)
    spread = None
    if setting.k > setting.truth.atoms and setting.model.gate.is_affine:
        spread = conditioning(
            setting.model, setting.truth, over=setting.over, k=setting.k, domain=setting.domain,
            regime=setting.regime,
        )  # fmt: skip
    controls = _controls(experiment, groups)
    count = sum(len(g) for g in groups.values())
    warnings = _warnings(experiment, spread, lines, shares, controls, count)
    if len(environments) > 1:
        warnings.append(
            f"the fits are from {len(environments)} environments (versions or machines), which the "
            "JSON and the page list."
        )
    return RateResult(
        experiment=experiment,
        condition=condition,
        conditioning=spread,
        lines=lines,
        verdicts=verdicts_of(
            experiment,
            lines,
            shares,
            predictions.published(setting, condition),
            lambda start: predictions.derived(
                setting, condition, start, {r.condition: r.verdict for r in results}
            ),
        ),
        shares=shares,
        controls=controls,
        warnings=tuple(warnings),
        environments=tuple(environments),
        fits=count,
    )


def shares_of(budgets: Sequence[int], groups: Groups, attained: bool) -> tuple[Share, ...]:
    """How the fits ended; ``attained``: what is estimated is in the fitted class."""
    return tuple(
        Share(
            start, n, budget,
            tuple(Counter(r.status for r in group).most_common()),
            len(budgets) * float(np.mean([r.seconds for r in group])),
            float(np.mean([r.errors[DEVIANCE] > 0 for r in group])) if attained else None,
        )
        for (start, n, budget), group in sorted(groups.items())
    )  # fmt: skip


def groups_of(experiment: Experiment, rows: Sequence[Row]) -> Groups:
    """The rows of an experiment by (start, n, budget), in the order of replicates."""
    setting, wanted = experiment.setting, dict(experiment.runs)
    groups: Groups = {}
    for row in rows:
        if (
            row.setting == setting.key
            and row.n in experiment.sizes
            and row.replicate < wanted.get(row.start, 0)
            and row.budget in setting.budgets
        ):
            groups.setdefault((row.start, row.n, row.budget), []).append(row)
    for group in groups.values():
        group.sort(key=lambda row: row.replicate)
    return groups


def check_errors(rows: Sequence[Row]) -> None:
    """Raise InputError for rows that no fit wrote: without deviance, or at negative distances."""
    for r in rows:
        wrong = [name for name, value in r.errors.items() if name != DEVIANCE and value < 0]
        if wrong or DEVIANCE not in r.errors:
            what = f"a negative {wrong[0]}" if wrong else f"no {DEVIANCE}"
            raise InputError(
                f"fits: {r.start}, n = {r.n}, replicate {r.replicate} has {what}, which no fit "
                "gives; the store was changed by hand, restore a copy."
            )


def lines_of(experiment: Experiment, groups: Groups) -> tuple[Line, ...]:
    """Quartiles and slope of every quantity, kind of start and budget."""
    sizes, lines = experiment.sizes, []
    names = dict.fromkeys(name for group in groups.values() for r in group for name in r.errors)
    names.pop(DEVIANCE, None)
    for name in names:
        for start, _ in experiment.runs:
            for budget in experiment.setting.budgets:
                values = [
                    np.array(
                        [r.errors.get(name, math.nan) for r in groups.get((start, n, budget), [])]
                    )
                    for n in sizes
                ]
                finite = [v[~np.isnan(v)] for v in values]
                low, middle, high = (
                    tuple(float(np.quantile(v, q)) if len(v) else math.nan for v in finite)
                    for q in (0.25, 0.5, 0.75)
                )
                lines.append(
                    Line(
                        name, start, budget, tuple(map(len, finite)), middle, low, high,
                        slope(sizes, values),
                    )
                )  # fmt: skip
    return tuple(lines)


def verdicts_of(
    experiment: Experiment,
    lines: Sequence[Line],
    shares: Sequence[Share],
    said: Mapping[str, Rate],
    derived: Callable[[str], Mapping[str, Rate]],
    finished: Sequence[str] = FINISHED,
) -> tuple[Verdict, ...]:
    """Every line's slopes against the published rates and, by kind of start, the derived ones."""
    setting, sizes = experiment.setting, experiment.sizes
    by = {(line.quantity, line.start, line.budget): line for line in lines}
    verdicts = []
    for start in experiment.starts:
        mine = [s for s in shares if s.start == start and s.budget == setting.budgets[-1]]
        follows = derived(start)
        doubt = doubt_of(mine, finished)
        for name in dict.fromkeys(line.quantity for line in lines):
            own = [by[name, start, budget] for budget in setting.budgets]
            found = [line.slope for line in own]
            part = _missing(own[-1], mine)
            without = f"up to {part:.0%} of the fits have no value"
            trust = doubt or (without if part > MOST_DOUBTFUL else "")
            reasons: list[str] = []
            answers: list[Judgement | None] = []
            rates = [Prediction.of(said.get(name), sizes), Prediction.of(follows.get(name), sizes)]
            for which, rate in zip(Basis, rates, strict=True):
                answer, reason = (None, "") if rate is None else _judged(rate, found, trust)
                if answer == Judgement.INCONSISTENT and reason == SLOWER and quantity(name).bound:
                    answer, reason = (
                        Judgement.INCONCLUSIVE,
                        "an upper bound of the distance falls slower",
                    )
                answers.append(answer)
                if reason:
                    reasons.append(f"{which}: {reason}")
            verdicts.append(
                Verdict(
                    quantity(name), start, rates[0], rates[1], answers[0], answers[1],
                    tuple(reasons),
                )
            )  # fmt: skip
    return tuple(verdicts)


def doubt_of(shares: Sequence[Share], finished: Sequence[str]) -> str:
    """Why the fits of one start are not the estimates asked for; empty if nothing shows it."""
    unfinished = max((1 - s.of(*finished) for s in shares), default=0.0)
    if unfinished > MOST_DOUBTFUL:
        return f"up to {unfinished:.0%} of the fits ran out of steps"
    trapped = max((s.trapped or 0.0 for s in shares), default=0.0)
    if trapped > MOST_DOUBTFUL:
        return f"up to {trapped:.0%} of the fits cost more than the truth: local minima"
    return ""


def _missing(line: Line, shares: Sequence[Share]) -> float:
    """The largest share, over n, of fits without a value (a cell that is empty, say)."""
    fits = [
        s.fits
        for s in sorted(shares, key=lambda s: s.n)
        if (s.start, s.budget) == (line.start, line.budget)
    ]
    if len(fits) < len(line.counts):  # whole sizes are missing, which is said elsewhere
        return 0.0
    return max(1 - count / total for count, total in zip(line.counts, fits, strict=True))


def _gaps(lines: Sequence[Line], shares: Sequence[Share]) -> list[str]:
    found = []
    for line in lines:
        part = _missing(line, shares)
        if DOUBTFUL < part < 1 and line.start != CONTROL:
            found.append(
                f"{line.start} starts, {quantity(line.quantity).label}: up to {part:.0%} of the "
                f"fits have no value after {line.budget} steps; the slope is that of the others."
            )
    return found


def _judged(rate: Prediction, found: Sequence[Slope | None], doubt: str) -> tuple[Judgement, str]:
    """The verdict at the last budget, unless the fits are in doubt or it hangs on the budget."""
    answers = [judge(rate, s) for s in found]
    if doubt:
        return Judgement.INCONCLUSIVE, doubt
    if len({answer for answer, _ in answers}) > 1:
        return Judgement.INCONCLUSIVE, "the verdict depends on the step budget"
    return answers[-1]


def _controls(experiment: Experiment, groups: Groups) -> tuple[Control, ...]:
    budget, controls = experiment.setting.budgets[-1], []
    first, *others = [kind for kind, _ in experiment.runs]
    for start in others:
        for n in experiment.sizes:
            main = {r.replicate: r for r in groups.get((first, n, budget), [])}
            pairs = [
                (r, main[r.replicate])
                for r in groups.get((start, n, budget), [])
                if r.replicate in main
            ]
            if pairs:
                lower = sum(a.cost < b.cost * (1 - SAME) for a, b in pairs)
                same = sum(abs(a.cost - b.cost) <= b.cost * SAME for a, b in pairs)
                clearly = sum(a.errors[DEVIANCE] < b.errors[DEVIANCE] - ALIKE for a, b in pairs)
                controls.append(Control(start, n, len(pairs), lower, same, clearly))
    return tuple(controls)


def _warnings(
    experiment: Experiment,
    spread: Conditioning | None,
    lines: Sequence[Line],
    shares: Sequence[Share],
    controls: Sequence[Control],
    count: int,
) -> list[str]:
    setting = experiment.setting
    found = []
    if count < experiment.fits:
        found.append(
            f"{experiment.fits - count:,} of {experiment.fits:,} fits are missing; slopes are "
            "those of what is there."
        )
    n = experiment.sizes[0]
    # where a degenerate expert's form vanishes there is nothing to condition
    if spread is not None and spread.curved:
        typical = math.sqrt(
            setting.noise * math.sqrt(setting.model.layout.length(setting.k) / n) / spread.second
        )
        if typical > LOCAL:
            found.append(
                f"the truth is ill-conditioned for this noise: deviations of about {typical:.2g} "
                f"are expected at n = {n:,} (second-order form {spread.second:.1e}); lower the "
                "noise or search a truth with 'identkit truth'."
            )
    last = setting.budgets[-1]
    found += _gaps(lines, shares)
    for start, _ in experiment.runs:
        mine = [s for s in shares if s.start == start and s.budget == last]
        found += _at_sizes(
            mine, start, lambda s: 1 - s.of(*FINISHED),
            f"ran out of {last} steps; raise the last budget.",
        )  # fmt: skip
        found += _at_sizes(
            mine, start, lambda s: s.of("light atom"),
            "end at an atom without weight; raise the box's lower end of beta0.",
        )  # fmt: skip
        if start != CONTROL:
            found += _at_sizes(
                mine, start, lambda s: s.trapped or 0.0,
                "cost more than the truth does: they are in a local minimum; start elsewhere.",
            )  # fmt: skip
    for line in lines:
        if line.quantity == "regression" and line.budget == last and line.start != CONTROL:
            end = line.medians[-2:]
            fall = math.log(end[1] / end[0]) / math.log(experiment.sizes[-1] / experiment.sizes[-2])
            if fall > -LEVELLED:
                found.append(
                    f"{line.start} starts: the error of the regression function no longer falls at "
                    "the largest n; the fits are caught in a local minimum, or by the box."
                )
    for start in dict.fromkeys(c.start for c in controls):
        mine = [c for c in controls if c.start == start]
        clearly, total = sum(c.clearly for c in mine), sum(c.fits for c in mine)
        if clearly > DOUBTFUL * total:
            found.append(
                f"in {clearly} of {total} fits the {start} start reaches a clearly lower cost "
                f"(deviance lower by more than {ALIKE:g}) than the {experiment.starts[0]} start, "
                "which is then not the least-squares estimate; verdicts are on the fits from "
                "their start."
            )
    return found


def _at_sizes(
    shares: Sequence[Share], start: str, part: Callable[[Share], float], what: str
) -> list[str]:
    """One warning for all n at which more than a tenth of the fits are doubtful."""
    over = [(s.n, part(s)) for s in shares if part(s) > DOUBTFUL]
    if not over:
        return []
    sizes = ", ".join(f"{n:,}" for n, _ in over)
    return [f"{start} starts, n = {sizes}: up to {max(p for _, p in over):.0%} of the fits {what}"]


def settings_of_analysis() -> dict[str, str | float | list[str]]:
    """What steers slopes and verdicts; printed with every result."""
    return {
        "identkit": __version__,
        "level": slopes.LEVEL,
        "bootstrap": slopes.DRAWS,
        "bootstrap_seed": slopes.SEED,
        "finite_size": slopes.FINITE_SIZE,
        "rates_told_apart": list(slopes.RATES),
    }
