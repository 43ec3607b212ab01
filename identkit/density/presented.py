"""``identkit.fit_density``: a density of a data set with its report, as the command prints it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from identkit.density import summary
from identkit.density.asked import model_for
from identkit.density.box import DensityBox
from identkit.density.components import Component, components
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.density.prediction import DensityPrediction, predict_density, quantile
from identkit.density.reporting import reported
from identkit.density.running import best_density
from identkit.density.saved import SavedDensity, read_density_fit
from identkit.experts import Expert
from identkit.fit.prediction import LEVEL, data_ranges
from identkit.fit.problem import Compute, check_table
from identkit.fit.running import Steps
from identkit.gates import Gate
from identkit.likelihoods import Likelihood
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.mixing import real_array
from identkit.presented import presented
from identkit.rates import figure_files
from identkit.report import density_document, density_figure, density_report
from identkit.report.terminal import plain
from identkit.tables import Column
from identkit.tables.given import Data, table_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DensityReport(summary.DensityReport):
    """The answer of :func:`identkit.fit_density`; prints as a report."""

    @property
    def model(self) -> DensityModel:
        """Experts, gate and likelihood."""
        return self.fit.model

    @property
    def measure(self) -> DensityMeasure:
        """The estimate."""
        return self.fit.measure

    @property
    def components(self) -> tuple[Component, ...]:
        """The atoms, shared ones first, with numbers, standard errors, weights and rows."""
        return components(self)[0]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, schema ``identkit.density-fit/1``; numbers not finite are null."""
        return density_document.document(self)

    def save(self, path: str) -> None:
        """Write the JSON form to ``path``. Raises InputError if it cannot be written."""
        density_document.save(self, path)

    def save_posterior(self, path: str) -> None:
        """Write P(atom | x, y) of every row as CSV. Raises InputError if it cannot be written."""
        density_document.save_posterior(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> SavedDensity:
        """The density in a file of :meth:`save`."""
        return read_density_fit(path)

    def predictions(
        self, x: ArrayLike, level: float = LEVEL, *, interval: bool = False
    ) -> DensityPrediction:
        """Means, weights, intervals or probabilities at x (n, d):
        :func:`identkit.density.prediction.predict_density`."""
        ranges = () if self.table is None else data_ranges(self.table.x)
        return predict_density(
            self.model, self.measure, x, level=level, interval=interval, ranges=ranges
        )

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """E[y|x] at x (n, d), shape (n,); of classes their probabilities (n, S)."""
        found: Any = self.predictions(x)
        return found.probabilities.T if found.mean is None else found.mean

    def quantile(self, x: ArrayLike, order: float) -> NDArray[Any]:
        """The quantile of y given x (n, d) of an order between 0 and 1, shape (n,)."""
        return quantile(self.model, self.measure, x, order)

    def figure(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Data, atoms and weights as a matplotlib figure, written to a .png, .svg or .pdf ``path``.

        Raises InputError without matplotlib, for other endings, and where the file cannot be
        written.
        """
        if path is not None:
            figure_files.check_path(path)
        made = density_figure.figure(self)
        if path is not None:
            figure_files.save(made, path)
        return made

    def __repr__(self) -> str:
        model = self.fit.model
        return (
            f"<DensityReport: {model.routed.expert.label}, {model.routed.gate.name} gate, "
            f"{model.likelihood.name}, k = {self.fit.measure.atoms[1]}: {self.fit.status.value}>"
        )

    def __str__(self) -> str:
        return plain(density_report.terminal(self))


def fit_density(
    data: Data,
    expert: Expert | str,
    gate: Gate | str,
    k: int,
    *,
    likelihood: Likelihood | str = "gaussian",
    variance: str | None = None,
    variances: Sequence[float] | float | None = None,
    classes: int | None = None,
    shared: Expert | str | None = None,
    k_shared: int | None = None,
    shape: str | None = None,
    groups: Sequence[int] = (),
    target: Column | None = None,
    inputs: Column | Sequence[Column] | None = None,
    starts: int = 5,
    seed: int = 0,
    weight: ArrayLike | None = None,
    standardise: bool = True,
    box: DensityBox | None = None,
    start: Mapping[str, Sequence[float] | float] | None = None,
    max_steps: int = 500,
    compute: Compute | None = None,
    check: bool = True,
    steps: Steps | None = None,
    stop: Callable[[], bool] | None = None,
) -> DensityReport:
    """Fit p(y|x) of k atoms by maximum likelihood, with standard errors and what is identifiable.

    ``data``, ``target``, ``inputs``, ``weight`` and ``check`` are those of
    :func:`identkit.fit_data`; a categorical target may hold texts. ``likelihood`` is gaussian, with
    a ``variance`` that is free (one for each atom), common or known (then ``variances`` says which,
    in the squared unit of y), or categorical, of as many classes as the target has. ``shared`` is
    the expert of ``k_shared`` atoms (1) without a gate, which have half of the weight; ``groups``
    are the sizes of a hierarchical gate's groups. The best of ``starts`` random starts is taken;
    ``box``, ``start`` and ``standardise`` are those of
    :func:`identkit.density.running.best_density`.

    >>> import numpy as np
    >>> x = np.linspace(-2.0, 2.0, 60)[:, None]
    >>> y = np.where(x[:, 0] < 0, -x[:, 0], x[:, 0]) + 0.1 * np.sin(40.0 * x[:, 0])
    >>> report = fit_density((x, y), "linear", "softmax", 1, starts=1, check=False)
    >>> report.exit_code, report.to_dict()["schema"]
    (0, 'identkit.density-fit/1')

    Raises :class:`~identkit.errors.InputError` for files, columns and data that cannot be used, for
    gates whose weights do not add up to 1, and for experts of other inputs or classes.
    """
    began = time.perf_counter()
    form = resolve_likelihood(likelihood, variance)
    table, file = table_of(data, target, inputs, classes=form.with_classes is not None)
    if weight is not None:
        table = replace(table, weight=real_array("weight", weight))
    check_table(table)
    model = model_for(
        table, expert, gate, form, classes=classes, shared=shared, groups=groups, shape=shape
    )
    fit = best_density(
        model, table.x, table.y, k,
        shared=k_shared, weight=table.weight, starts=starts, seed=seed, standardise=standardise,
        box=box, variances=variances, start=start, max_steps=max_steps, compute=compute,
        steps=steps, stop=stop,
    )  # fmt: skip
    interrupted = stop is not None and stop()
    return presented(
        DensityReport,
        reported(
            fit, table, file=file, seed=seed, began=began, interrupted=interrupted, check=check,
            steps=steps,
        ),
    )  # fmt: skip
