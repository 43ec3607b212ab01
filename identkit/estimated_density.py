"""What the estimators of densities do with data once they are rows of numbers.

Rows are counted before anything is fitted, equal ones as one with the sum of their weights, in
lexicographic order: a fit depends neither on the order of the rows nor on whether a row is given
twice or with weight 2.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from identkit.choice.choosing import check_range
from identkit.choice.of_estimator import check_criterion
from identkit.density.box import DensityBox
from identkit.density.choosing import DensityChoice, choose_density, frame_of
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.density.result import DensityFit, Status
from identkit.density.running import best_density
from identkit.density.summary import bic, entropy, estimated
from identkit.errors import InputError, whole
from identkit.estimating import (
    MOST_NAMED,
    BaseEstimator,
    ConvergenceWarning,
    check_is_fitted,
    check_random_state,
    counted,
    validate_data,
)
from identkit.experts import Expert
from identkit.fit.box import Box
from identkit.fit.problem import Compute

if TYPE_CHECKING:
    from identkit.gates import Gate

Array = NDArray[np.float64]

QUIET = (Status.CONVERGED, Status.FLAT_VALLEY)
"""Ends of a fit that are not warned of: in a flat valley the likelihood is as high as it gets."""
FOLDS = 5
"""Of cross-validation, for ``n_atoms="cv"``."""


class DensityEstimator(BaseEstimator):
    """What both estimators do with counted rows."""

    expert: Expert | str
    gate: Gate | str
    n_atoms: int | str
    shape: str | None
    n_starts: int
    box: DensityBox | Box | None
    max_steps: int
    random_state: Any
    device: str
    n_jobs: int | None
    groups: tuple[int, ...] | None
    standardise: bool
    start: Mapping[str, Sequence[float]] | None
    max_atoms: int

    if TYPE_CHECKING:
        measure_: DensityMeasure
        result_: DensityFit
        choice_: DensityChoice
        log_likelihood_: float
        bic_: float
        icl_: float
        n_iter_: int
        n_atoms_: int
        converged_: bool
        n_features_in_: int

    def _fit_rows(
        self,
        model: DensityModel,
        x: Array,
        y: Array,
        weight: Array | None,
        shared: int | None = None,
        variances: Any = None,
    ) -> None:
        """Fit to rows of weight above 0, and set what is learnt."""
        if x.shape[1] != model.dim:
            raise InputError(
                f"expert: {model.routed.expert.label} has {model.dim} inputs, X has {x.shape[1]} "
                "columns; choose the columns, or write an expert for them."
            )
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        total = float(len(y)) if weight is None else float(weight.sum())
        samples = max(len(y), int(total))
        x, y, weight = counted(x, y, weight)
        m = 0 if model.shared is None else shared or 1

        def free(k: int) -> int:
            known = model.spreads((m, k)) if variances is not None else 0
            return model.length((m, k)) - int(model.pinned((m, k)).sum()) - known

        options: dict[str, Any] = {
            "shared": shared, "starts": int(self.n_starts), "seed": seed,
            "standardise": self.standardise, "variances": variances, "start": self.start,
            "box": DensityBox(self.box) if isinstance(self.box, Box) else self.box,
            "max_steps": int(self.max_steps),
            "compute": Compute(device=self.device, threads=self.n_jobs),
        }  # fmt: skip

        def fit(k: int, rows: Any, _: Any) -> DensityFit:
            part = slice(None) if rows is None else rows
            w = None if weight is None else weight[part]
            return best_density(model, x[part], y[part], k, weight=w, few=True, **options)

        self.__dict__.pop("choice_", None)
        if isinstance(self.n_atoms, str):
            result = self._chosen(model, fit, (x, y, weight), free, samples, seed, options)
        else:
            k = whole("n_atoms", self.n_atoms, least=1)
            if samples < free(k):
                warnings.warn(
                    f"{samples} samples are fewer than the {free(k)} free parameters of {m + k} "
                    f"{'atoms' if m + k > 1 else 'atom'}: the likelihood need not have a maximum, "
                    "and what is fitted depends on the bounds; give more data or fit fewer atoms.",
                    stacklevel=3,
                )
            result = fit(k, None, None)
        self.result_ = replace(result, samples=samples)
        self.measure_ = result.measure
        self.n_atoms_ = result.measure.atoms[1]
        self.n_iter_ = max(1, int(result.steps))
        self.converged_ = bool(result.status.finished and result.status is not Status.SPIKE)
        self.log_likelihood_ = float(result.log_likelihood)
        self.bic_ = bic(self.log_likelihood_, estimated(result), total)
        spread = entropy(model.posterior(result.measure, x, y), weight)
        self.icl_ = self.bic_ + 2.0 * spread
        for sentence in remarks(result):
            warnings.warn(sentence, ConvergenceWarning, stacklevel=3)

    def _chosen(
        self,
        model: DensityModel,
        fit: Any,
        data: tuple[Array, Array, Array | None],
        free: Any,
        samples: int,
        seed: int,
        options: Mapping[str, Any],
    ) -> DensityFit:
        """The fit of the k, of 1 to ``max_atoms``, that a criterion names."""
        criterion = check_criterion(str(self.n_atoms))
        most = whole("max_atoms", self.max_atoms, least=1)
        check_range(model.routed, range(most, most + 1), 0, "bic")
        if criterion == "dsc":
            frame_of(model)  # raises
        first = 1 if model.routed.gate.selection is None else model.routed.gate.selection.count
        ks = [k for k in range(first, most + 1) if k == first or free(k) <= samples]
        x, y, weight = data
        self.choice_ = choose_density(
            model, x, y, ks or [first],
            shared=options["shared"], weight=weight, variances=options["variances"], seed=seed,
            folds=min(FOLDS, len(y)) if criterion == "cv" else 0, fit=fit,
        )  # fmt: skip
        named = self.choice_.of(criterion)
        if named.k is None:
            raise InputError(f"n_atoms='{criterion}': it names no number of atoms: {named.reason}")
        return self.choice_[named.k].fit

    def _inputs(self, X: Any) -> Array:  # noqa: N803
        """The rows to predict at."""
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, dtype=np.float64, reset=False))


def remarks(result: DensityFit) -> list[str]:
    """What is to be warned of after a fit, each with the remedy."""
    if result.status in QUIET:
        return []
    if result.status is not Status.AT_THE_BOX:
        return [f"the fit ended with status '{result.status.value}': {result.status.remedy}."]
    inner = result.scaled
    atoms = inner.measure.atoms
    at = inner.held & ~inner.fixed & ~inner.model.pinned(atoms)
    named = [
        name if i is None else f"{name} of {'shared ' if half == 'shared' else ''}atom {i}"
        for (half, i, name), found in zip(inner.model.numbers(atoms), at, strict=True)
        if found
    ]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    units = "" if result.inner is None else ", in standard units"
    return [
        f"the fit ended 'at the box': {', '.join(named[:MOST_NAMED])}{more} at a bound{units}; "
        "widen the box, or read them as not estimated."
    ]
