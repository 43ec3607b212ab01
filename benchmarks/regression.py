"""Predictions of real data, cross-validated: MoERegressor beside scikit-learn's regressors.

Every method is fitted on the same folds of the same rows. Peers, each with the defaults of
scikit-learn but for what is said:

- ordinary least squares: ``LinearRegression``;
- nearest neighbours: 5, inputs standardised;
- boosting: ``GradientBoostingRegressor`` (100 trees of depth 3);
- perceptron: ``MLPRegressor``, one layer of 100 ReLU units, inputs and target standardised, L-BFGS
  (which scikit-learn recommends for small data), at most 2,000 iterations.

MoERegressor is given expert, gate and k, everything else by default, X and y as they are; and once
more with a ridge.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from real_sets import DataSet

FOLDS = 10
FITTED = (
    ("linear", None, "softmax", 2),
    ("linear", None, "softmax", 3),
    ("tanh", "ffn", "softmax", 2),
    ("tanh", "ffn", "softmax", 3),
    ("gelu", "ffn", "sigmoid", 2),
)
"""Expert, shape, gate, number of atoms."""
RIDGE = 0.01
"""Of the rows with a ridge, in standard units. It was chosen among 0.001, 0.01, 0.1 and 1 on these
very tables (benchmarks/README.md), so that its rows are a little too good."""


@dataclass(frozen=True)
class Score:
    """One method on one data set; lists have an entry for each repeat.

    R² is 1 − Σ(y − ŷ)²/Σ(y − ȳ)² over all rows, each predicted by the fit that had not seen it;
    ``rmse`` is in units of y, ``seconds`` the median time of a fit, ``warned`` the fits of
    ``fits`` that warned, ``failed`` the sentence of the first fit that was refused.
    """

    data: str
    method: str
    r2: list[float] = field(default_factory=list)
    rmse: list[float] = field(default_factory=list)
    seconds: float = float("nan")
    fits: int = 0
    warned: int = 0
    failed: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def methods(seed: int, bic: bool) -> dict[str, Callable[[], Any]]:
    """What is compared, by name; ``bic`` adds fits whose k is chosen by the criterion."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from identkit import MoERegressor

    found: dict[str, Callable[[], Any]] = {}
    rows: list[tuple[str, str | None, str, int | str, float]] = []
    for ridge in (0.0, RIDGE):
        rows += [(expert, shape, gate, k, ridge) for expert, shape, gate, k in FITTED]
    if bic:
        kinds = dict.fromkeys((expert, shape, gate) for expert, shape, gate, _ in FITTED)
        rows += [(expert, shape, gate, "bic", 0.0) for expert, shape, gate in kinds]
    for expert, shape, gate, k, ridge in rows:
        label = f"{expert}{' ' + shape if shape else ''}, {gate}, k {'by BIC' if k == 'bic' else k}"
        found[label + (", ridge" if ridge else "")] = partial(
            MoERegressor, expert, gate, k, shape=shape, random_state=seed, ridge=ridge
        )
    found["least squares"] = LinearRegression
    found["nearest neighbours"] = lambda: make_pipeline(StandardScaler(), KNeighborsRegressor())
    found["boosting"] = lambda: GradientBoostingRegressor(random_state=seed)
    found["perceptron"] = lambda: TransformedTargetRegressor(
        make_pipeline(
            StandardScaler(), MLPRegressor(solver="lbfgs", max_iter=2000, random_state=seed)
        ),
        transformer=StandardScaler(),
    )
    return found


def validated(
    data: DataSet, method: str, make: Callable[[], Any], repeats: int, seed: int
) -> Score:
    """Cross-validation of one method. Raises InputError for more folds than rows."""
    from sklearn.model_selection import KFold

    from identkit.errors import InputError

    n = len(data.y)
    if n < FOLDS:
        raise InputError(f"data set: {data.name} has {n} rows, fewer than {FOLDS} folds.")
    total = float(((data.y - data.y.mean()) ** 2).sum())
    squares, times, warned = [], [], 0
    for repeat in range(repeats):
        predicted: NDArray[np.float64] = np.full(n, np.nan)
        for train, test in KFold(FOLDS, shuffle=True, random_state=seed + repeat).split(data.x):
            regressor = make()
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                began = time.perf_counter()
                try:
                    regressor.fit(data.x[train], data.y[train])
                except InputError as error:
                    return Score(data.name, method, failed=str(error))
                times.append(time.perf_counter() - began)
            warned += bool(heard)
            predicted[test] = regressor.predict(data.x[test])
        squares.append(float(((data.y - predicted) ** 2).sum()))
    return Score(
        data.name,
        method,
        [1.0 - s / total for s in squares],
        [float(np.sqrt(s / n)) for s in squares],
        float(np.median(times)),
        len(times),
        warned,
    )


def table(data: DataSet, scores: list[Score]) -> str:
    """Markdown: one row a method, the best R² in bold."""
    n, d = data.x.shape
    lines = [
        f"### {data.name}: n = {n}, d = {d}",
        "",
        f"{data.source[0].upper()}{data.source[1:]}.",
        "",
        "| method | R² | sd | RMSE | seconds a fit | warned |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    best = max((np.mean(s.r2) for s in scores if s.r2), default=np.nan)
    for s in scores:
        if s.failed:
            lines.append(f"| {s.method} | {s.failed} | | | | |")
            continue
        mean = float(np.mean(s.r2))
        shown = f"**{mean:.3f}**" if mean == best else f"{mean:.3f}"
        spread = f"{np.std(s.r2, ddof=1):.3f}" if len(s.r2) > 1 else "–"
        lines.append(
            f"| {s.method} | {shown} | {spread} | {np.mean(s.rmse):.4g} | {s.seconds:.3f} | "
            f"{s.warned} of {s.fits} |"
        )
    return "\n".join(lines)
