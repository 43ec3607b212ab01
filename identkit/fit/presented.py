"""``identkit.fit_data``: a fit of a data set with its report, as the command prints it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.experts import Expert
from identkit.fit import summary
from identkit.fit.model import Model
from identkit.fit.prediction import LEVEL, Prediction, predict
from identkit.fit.problem import Compute, check_table
from identkit.fit.result import Box
from identkit.fit.running import Steps, best_fit, reported
from identkit.fit.saved import SavedFit, read_fit, with_interval
from identkit.fit.statistics import Statistics, statistics
from identkit.gates import Gate
from identkit.mixing import real_array
from identkit.presented import presented
from identkit.rates import figure_files
from identkit.report import fit_document, fit_figure, fit_report, fit_summary
from identkit.report.terminal import plain
from identkit.tables import Column, Table
from identkit.tables.given import Data, table_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FitReport(summary.FitReport):
    """The answer of :func:`identkit.fit_data`; prints as a report."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of :meth:`FitResult.to_dict`; numbers that are not finite are null."""
        return fit_document.document(self)

    def save(self, path: str) -> None:
        """Write the JSON form to ``path``. Raises InputError if it cannot be written."""
        fit_document.save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> SavedFit:
        """The fit in a file of :meth:`save`: :func:`identkit.read_fit`."""
        return read_fit(path)

    def predictions(self, x: ArrayLike, level: float = LEVEL) -> Prediction:
        """f at x (n, d) with standard errors, both kinds of intervals, and where it extrapolates.

        :func:`identkit.fit.prediction.predict` says what they presume and raises.
        """
        return predict(self.result, self.covariance, x, level=level, ranges=self.ranges)

    def predict(
        self, x: ArrayLike, interval: str | None = None, level: float = LEVEL
    ) -> NDArray[np.float64]:
        """f at x (n, d), shape (n,); with an ``interval`` (n, 3): f, and its ends at ``level``.

        ``confidence`` is of f, ``prediction`` of one new y; both NaN where the data do not
        determine f. Raises InputError for x of another shape and for other intervals and levels.
        """
        return with_interval(self.predictions(x, level), interval)

    @property
    def statistics(self) -> Statistics:
        """n, degrees of freedom, residual s.d., R², adjusted R², BIC and the atoms' mean weights.

        Raises InputError for a report without its data.
        """
        if self.table is None:
            raise InputError("statistics: the report has no data; fit again.")
        table = self.table
        return statistics(self.result, self.covariance, table.x, table.y, table.weight)

    def summary(self, level: float = LEVEL) -> str:
        """One page of text: statistics, then estimates with t intervals of the ``level``."""
        return fit_summary.summary(
            self.result, self.covariance, self.statistics, self.inputs, self.target, level
        )

    def figure(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Data and fit as a matplotlib figure, written to a .png, .svg or .pdf file ``path``.

        One input: data, f with its confidence band, experts, weights. Several: f by the inputs of
        the largest effect, observed against fitted. Raises InputError without matplotlib, for
        other endings, and where the file cannot be written.
        """
        if path is not None:
            figure_files.check_path(path)
        made = fit_figure.figure(self)
        if path is not None:
            figure_files.save(made, path)
        return made

    def __repr__(self) -> str:
        model = self.result.model
        return (
            f"<FitReport: {model.expert.label}, {model.gate.name} gate, "
            f"k = {self.result.measure.atoms}: {self.result.status.value}>"
        )

    def __str__(self) -> str:
        return plain(fit_report.terminal(self))


def asked(
    data: Data,
    expert: Expert | str,
    gate: Gate | str,
    shape: str | None,
    target: Column | None,
    inputs: Column | Sequence[Column] | None,
    weight: ArrayLike | None,
) -> tuple[Model, Table, str]:
    """The model and the table with its weights, checked, and what to call the data.

    Raises :class:`~identkit.errors.InputError` for what does not fit or cannot be used.
    """
    table, file = table_of(data, target, inputs)
    model = Model.of(expert, gate, table.dim if isinstance(expert, str) else None, shape)
    if model.dim != table.dim:
        raise InputError(
            f"x: it has {table.dim} columns, the expert {model.expert.label} has {model.dim} "
            "inputs; choose the columns or set the dimension."
        )
    if weight is not None:
        table = replace(table, weight=real_array("weight", weight))
    check_table(table)
    return model, table, file


def fit_data(
    data: str | os.PathLike[str] | Table | tuple[ArrayLike, ArrayLike],
    expert: Expert | str,
    gate: Gate | str,
    k: int,
    *,
    shape: str | None = None,
    target: Column | None = None,
    inputs: Column | Sequence[Column] | None = None,
    starts: int = 5,
    seed: int = 0,
    weight: ArrayLike | None = None,
    standardise: bool = True,
    box: Box | None = None,
    start: Mapping[str, Sequence[float] | float] | None = None,
    ridge: float = 0.0,
    max_steps: int = 500,
    compute: Compute | None = None,
    check: bool = True,
    steps: Steps | None = None,
    stop: Callable[[], bool] | None = None,
) -> FitReport:
    """Fit k atoms to data by least squares, with standard errors and what is identifiable.

    ``data`` is a CSV, NPZ or Parquet file, of which ``target`` and ``inputs`` choose columns
    (:func:`identkit.tables.read_table`), or a pair of arrays x of shape (n, d) and y of shape (n,).
    A built-in ``expert`` given by name has one input for each column. The best of ``starts`` random
    starts is taken, in the ``box``; ``weight`` (n,), ``standardise``, ``start`` and ``ridge`` are
    those of :func:`identkit.fit.running.best_fit`. ``check`` proves on the ranges of the data which
    parameters can be told apart; it takes up to 20 seconds. ``steps`` is told of the parts of the
    run, ``stop`` asked after every step.

    >>> import numpy as np
    >>> x = np.linspace(-2.0, 2.0, 40)[:, None]
    >>> report = fit_data((x, np.tanh(x[:, 0])), "tanh", "sigmoid", 1, starts=2, check=False)
    >>> report.exit_code, report.to_dict()["schema"]
    (0, 'identkit.fit/3')

    Raises :class:`~identkit.errors.InputError` for files, columns and data that cannot be used and
    for an expert with another number of inputs.
    """
    began = time.perf_counter()
    model, table, file = asked(data, expert, gate, shape, target, inputs, weight)
    result = best_fit(
        model, table.x, table.y, k,
        weight=table.weight, starts=starts, seed=seed, standardise=standardise, box=box,
        start=start, ridge=ridge, max_steps=max_steps, compute=compute, steps=steps, stop=stop,
    )  # fmt: skip
    interrupted = stop is not None and stop()
    return presented(
        FitReport,
        reported(
            result, table, file=file, seed=seed, began=began, interrupted=interrupted,
            check=check, steps=steps,
        ),
    )  # fmt: skip
