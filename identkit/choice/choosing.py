"""Fits of every k of a range, and what each criterion says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from identkit.choice import criteria
from identkit.choice.comparison import Comparison, Labelled, Level, Named, levels_of, merged
from identkit.choice.criteria import CrossValidation
from identkit.choice.dendrogram import Dendrogram, dendrogram
from identkit.choice.frame import Frame
from identkit.errors import InputError, whole
from identkit.fit.model import Model
from identkit.fit.result import Status
from identkit.fit.running import Silent, Steps

if TYPE_CHECKING:
    from identkit.fit.result import FitResult

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Fit = Callable[[int, Rows | None, Steps], "FitResult"]
"""Fits k atoms to these rows, or to all, in the user's units. Raises InputError."""

CRITERIA = ("bic", "icl", "cv", "dsc")
FOLDS = 5
WORSE = 1e-6
"""Of the cost: by so much more than with fewer atoms a fit shows that it is not the best."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One k: its fit, and the criteria that are known of it, None where they are not.

    ``free`` is the number of its parameters when gauges are fixed, ``r_squared`` is None for a
    constant y. ``finished``: whether the fit ended at a minimum; otherwise no criterion names it.
    ``settled``: and neither in a flat valley nor with an atom of no weight, where the data do not
    determine it: such a k is named only if there is no other.
    """

    k: int
    result: FitResult
    free: int
    r_squared: float | None
    log_likelihood: float
    bic: float
    icl: float | None
    cv: CrossValidation | None

    @property
    def finished(self) -> bool:
        return self.result.status.finished

    @property
    def settled(self) -> bool:
        return self.finished and self.result.status not in (Status.FLAT_VALLEY, Status.LIGHT_ATOM)


@dataclass(frozen=True, eq=False)
class Choice(Comparison[Candidate]):
    """See :func:`choose`; ``least_error`` is the k of the least error of cross-validation."""

    model: Model
    samples: int
    least_error: int | None

    @property
    def published(self) -> int | None:
        """What DSC names as in the papers; None where *dsc* names none."""
        if self.of("dsc").k is None:
            return None
        return criteria.smallest({level.k: level.published for level in self.levels})

    @property
    def worse(self) -> tuple[int, ...]:
        """The k whose fit costs more than one of fewer atoms: more starts would find a better."""
        found, least = [], np.inf
        for candidate in self.candidates:
            cost = float(candidate.result.cost)
            if cost > least * (1.0 + WORSE):
                found.append(candidate.k)
            least = min(least, cost)
        return tuple(found)


def check_range(model: Model, ks: Sequence[int], folds: int, criterion: str) -> tuple[int, ...]:
    """The k in order. Raises :class:`~identkit.errors.InputError` for what cannot be asked for."""
    if criterion not in CRITERIA:
        raise InputError(f"criterion '{criterion}': choose {', '.join(CRITERIA)}.")
    found = tuple(sorted({whole("k", k, least=1) for k in ks}))
    if not found:
        raise InputError("k: the range is empty; give the least and the most, such as 1:6.")
    gate = model.gate
    if gate.level is not None:
        raise InputError(
            f"gate {gate.name}: atoms are in groups, so that k alone says too little; give one k "
            "with the sizes of its groups."
        )
    if gate.selection is not None and found[0] < gate.selection.count:
        raise InputError(
            f"gate {gate.name}: it selects {gate.selection.count} atoms, k = {found[0]} are "
            f"fewer; begin the range at {gate.selection.count}."
        )
    whole("folds", folds, least=0)
    if folds == 1:
        raise InputError("folds: 1 leaves nothing to fit; give 2 or more, or 0 to do without.")
    if criterion == "icl" and not gate.adds_up:
        raise InputError(f"icl: {_no_icl(model)}; choose by bic or cv.")
    if criterion == "cv" and folds == 0:
        raise InputError("criterion 'cv': there are no folds; give 2 or more.")
    if criterion == "dsc":
        Frame.of(model)  # raises
    return found


def choose(
    model: Model,
    fit: Fit,
    x: Array,
    y: Array,
    ks: Sequence[int],
    *,
    weight: Array | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    steps: Steps | None = None,
    stop: Callable[[], bool] | None = None,
) -> Choice:
    """Fit every k of ``ks`` to x (n, d), y (n,), and say which of them each criterion names.

    ``fit(k, rows, steps)`` fits k atoms to these rows, to all of them for None. Rows of ``weight``
    (n,) 0 are left out; others count as one sample each, whatever their weight. The data are cut
    into ``folds`` for cross-validation (0: none), by ``seed``. The range ends where a k has more
    parameters than there are samples. ``stop`` is asked before every fit: what is there by then is
    returned, ``interrupted``.

    - *bic*: −2ℓ + (parameters + 1)·log n
    - *icl*: BIC + 2·Σ_i entropy of the gate at x_i; undefined where weights do not sum to 1
    - *cv*: the least k within one standard error of the least error on held-out folds
    - *dsc*: of the dendrogram of the largest fit that ended at a minimum, from 2 atoms on
      (:func:`identkit.choice.criteria.dsc`)

    What they presume: :data:`identkit.choice.criteria.PRESUMES`. Raises
    :class:`~identkit.errors.InputError` where nothing can be fitted.
    """
    ks = check_range(model, ks, folds, "bic")
    steps = Silent() if steps is None else steps
    stopped = stop if stop is not None else lambda: False
    rows = None if weight is None else np.flatnonzero(weight > 0)
    if rows is not None and len(rows) < len(y):
        return choose(
            model, lambda k, part, s: fit(k, rows if part is None else rows[part], s),
            x[rows], y[rows], ks, weight=None if weight is None else weight[rows], folds=folds,
            seed=seed, steps=steps, stop=stop,
        )  # fmt: skip
    n, candidates, ended = len(y), [], ""
    if folds > n:
        raise InputError(f"folds: {folds} are more than the {n} samples; give {n} or fewer.")
    for k in ks:
        free = model.free(k)
        if free > n and candidates:
            ended = f"k = {k} has {free} free parameters, more than the {n} samples"
            break
        if stopped() and candidates:
            break
        result = fit(k, None, Labelled(steps, f"k = {k} of {ks[0]} to {ks[-1]}"))
        if result.objective.errors is None or not result.objective.quadratic:
            raise InputError(
                f"objective {result.objective.name}: criteria are known for least squares alone; "
                "give one k."
            )
        candidates.append(_candidate(model, k, result, x, y, weight))
    cut = criteria.folds_of(n, folds, seed) if folds else []
    if cut and not stopped():
        candidates = _cross_validated(candidates, cut, fit, x, y, weight, steps, stopped, model)
    tree, merged_from, reason = _tree(model, candidates, x)
    levels = () if tree is None else _levels(model, tree, candidates, x, y, weight)
    finished = [c for c in candidates if c.settled] or [c for c in candidates if c.finished]
    held = {c.k: c.cv for c in finished if c.cv is not None}
    named = (
        _named("bic", criteria.smallest({c.k: c.bic for c in finished}), _UNFINISHED),
        _named(
            "icl",
            criteria.smallest({c.k: c.icl for c in finished if c.icl is not None}),
            _UNFINISHED if model.gate.adds_up else _no_icl(model),
        ),
        _named("cv", criteria.within_one_error(held), _NO_FOLDS if not cut else _NOT_VALIDATED),
        _named(
            "dsc",
            None
            if reason
            else criteria.smallest({v.k: v.dsc for v in levels if v.dsc is not None}),
            reason,
        ),
    )
    return Choice(
        model=model,
        asked=ks,
        samples=n,
        candidates=tuple(candidates),
        dendrogram=tree,
        merged_from=merged_from,
        levels=levels,
        named=named,
        least_error=criteria.smallest({k: v.mean for k, v in held.items()}),
        folds=folds,
        seed=seed,
        ended=ended,
        interrupted=stopped(),
    )


_UNFINISHED = "no fit ended at a minimum"
_NO_FOLDS = "no folds were asked for"
_NOT_VALIDATED = "no k was fitted to all folds"
_TOO_FEW = "no fit of 2 atoms or more ended at a minimum"


def _no_icl(model: Model) -> str:
    return (
        f"the weights of gate {model.gate.name} do not sum to 1, so that they are no "
        "probabilities of atoms and have no entropy"
    )


def _named(criterion: str, k: int | None, reason: str) -> Named:
    return Named(criterion, k, "" if k is not None else reason)


def _candidate(
    model: Model, k: int, result: FitResult, x: Array, y: Array, weight: Array | None
) -> Candidate:
    n, free = len(y), model.free(k)
    squares = 2.0 * float(result.cost)
    total = _squares(y - np.average(y, weights=weight), weight)
    likelihood = criteria.log_likelihood(squares, n, criteria.rounding(y, weight), weight)
    value = criteria.bic(likelihood, free, n)
    entropy = criteria.gate_entropy(model, result.measure, x) if model.gate.adds_up else None
    return Candidate(
        k=k,
        result=result,
        free=free,
        r_squared=criteria.plain(1.0 - squares / total) if total > 0 else None,
        log_likelihood=likelihood,
        bic=value,
        icl=None if entropy is None else criteria.icl(value, entropy),
        cv=None,
    )


def _squares(residual: Array, weight: Array | None) -> float:
    return float((residual**2 if weight is None else weight * residual**2).sum())


def _cross_validated(
    candidates: list[Candidate],
    cut: list[Rows],
    fit: Fit,
    x: Array,
    y: Array,
    weight: Array | None,
    steps: Steps,
    stopped: Callable[[], bool],
    model: Model,
) -> list[Candidate]:
    """The candidates with errors on held-out folds, where all folds could be fitted."""
    n, found = len(y), []
    for candidate in candidates:
        k, errors = candidate.k, []
        if n - max(map(len, cut)) >= model.free(k):
            for i, held in enumerate(cut):
                if stopped():
                    break
                label = f"k = {k}, fold {i + 1} of {len(cut)}"
                kept = np.setdiff1d(np.arange(n), held)
                try:
                    result = fit(k, kept, Labelled(steps, label))
                except InputError:  # a fold without variation, say: y constant on it
                    break
                with np.errstate(all="ignore"):
                    gaps = (result.predict(x[held]) - y[held]) ** 2
                    own = None if weight is None else weight[held]
                    errors.append(float(np.average(gaps, weights=own)))
        whole_one = len(errors) == len(cut) and bool(np.isfinite(errors).all()) and not stopped()
        sizes = tuple(map(len, cut))
        found.append(
            replace(candidate, cv=CrossValidation(tuple(errors), sizes)) if whole_one else candidate
        )
    return found


def _tree(
    model: Model, candidates: Sequence[Candidate], x: Array
) -> tuple[Dendrogram | None, int | None, str]:
    """The dendrogram of the largest fit at a minimum, its k, or why there is none."""
    large = [c for c in candidates if c.finished and c.k > 1]
    return merged(
        large[-1].k if large else None, _TOO_FEW, model.gate,
        lambda: dendrogram(Frame.of(model), large[-1].result.measure, x),
    )  # fmt: skip


def _levels(
    model: Model,
    tree: Dendrogram,
    candidates: Sequence[Candidate],
    x: Array,
    y: Array,
    weight: Array | None,
) -> tuple[Level, ...]:
    """The levels from K down to 2."""
    n = len(y)

    def likelihood(level: int) -> float:
        with np.errstate(all="ignore"):
            squares = _squares(model.predict(tree.levels[level], x) - y, weight)
        return criteria.log_likelihood(squares, n, criteria.rounding(y, weight), weight)

    fitted = {c.k: c.log_likelihood for c in candidates if c.finished}
    return levels_of(tree, fitted, likelihood, n)
