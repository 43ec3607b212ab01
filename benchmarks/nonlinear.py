"""NIST's nonlinear problems from no start values, beside SciPy from NIST's.

Each is fitted as one atom, h the model that NIST fits, under the softmax gate (whose weight is 1
for one atom): ``fit_data`` with its defaults and 20 random starts. A problem is solved when the
residual sum of squares is the certified one (:func:`agrees`). SciPy's ``curve_fit`` (Levenberg–
Marquardt, MINPACK, numerical derivatives, default tolerances, at most 10,000 evaluations) starts
from NIST's first and second start, and from 1 for every parameter.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from nist import Problem
from numpy.typing import NDArray

Array = NDArray[np.float64]

STARTS = 20
AGREES = 1e-6
"""Largest relative difference of a residual sum of squares from the certified one."""
ULPS = 8
"""Rounding errors of a residual in units of the last place of the largest |y|: an expression of a
dozen operations. It matters for Lanczos1 alone, whose certified residuals are 1e-13: there rounding
allows 10 %."""
DIGITS = 11
"""NIST certifies eleven."""
SAME = 1e-9
"""Relative difference of f at two parameter vectors that are images of each other."""
EVALUATIONS = 10_000


@dataclass(frozen=True)
class Solved:
    """One problem. ``digits`` and ``error_digits`` are the least log relative errors.

    ``reached`` of ``starts`` ended at the best cost; ``parameters`` are in NIST's order and
    arrangement; ``peers`` has for each start of SciPy whether it solved the problem, and seconds.
    """

    name: str
    level: str
    samples: int
    free: int
    solved: bool
    status: str
    rss: float
    certified: float
    reached: int
    starts: int
    digits: float | None
    error_digits: float | None
    parameters: list[float]
    seconds: float
    failed: str
    peers: dict[str, tuple[bool, float]]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def allowed(problem: Problem) -> float:
    """By how much a residual sum of squares may differ from the certified one R.

    AGREES·R, and what rounding does: residuals r + δ with |δ_i| ≤ δ change Σr² by at most
    2·√(n·R)·δ + n·δ².
    """
    n, rss = len(problem.y), problem.rss
    delta = ULPS * np.finfo(float).eps * float(np.abs(problem.y).max())
    return AGREES * rss + 2.0 * float(np.sqrt(n * rss)) * delta + n * delta**2


def agrees(problem: Problem, rss: float) -> bool:
    """Whether a residual sum of squares is the certified one."""
    return bool(abs(rss - problem.rss) <= allowed(problem))


def digits(found: Array, certified: Array) -> float:
    """The least number of correct digits, −log10 of the largest relative error, 0 to DIGITS.

    >>> digits(np.array([1.0, 2.002]), np.array([1.0, 2.0]))
    3.0
    """
    with np.errstate(all="ignore"):
        error = float(np.max(np.abs(found - certified) / np.abs(certified)))
    if not np.isfinite(error):
        return 0.0
    return float(np.clip(-np.log10(max(error, 10.0**-DIGITS)), 0.0, DIGITS).round(6))


def arranged(problem: Problem, values: Array) -> tuple[NDArray[np.intp], Array]:
    """Where each of NIST's parameters stands among the fitted ones, and the values so arranged.

    Exponentials in a sum can change places and widths their sign. The arrangement closest to the
    certified values is taken, with their signs, if f is the same there; else what was fitted.
    """
    from scipy.optimize import linear_sum_assignment

    as_fitted = np.arange(len(values)), values
    with np.errstate(all="ignore"):
        far = np.abs(np.log(np.abs(problem.values))[:, None] - np.log(np.abs(values))[None])
    if not np.isfinite(far).all():
        return as_fitted
    order = linear_sum_assignment(far)[1]
    image = np.abs(values[order]) * np.sign(problem.values)
    f = problem.function()
    here = f(problem.x, values)
    same = np.abs(f(problem.x, image) - here).max() <= SAME * np.abs(here).max()
    return (order, image) if same else as_fitted


def solve(problem: Problem, seed: int) -> Solved:
    """Fit one problem, and let SciPy fit it."""
    from identkit import Expert, fit_data
    from identkit.errors import IdentkitError

    common = {
        "name": problem.name, "level": problem.level, "samples": len(problem.y),
        "free": len(problem.values), "certified": problem.rss, "starts": STARTS,
        "peers": _peers(problem),
    }  # fmt: skip
    began = time.perf_counter()
    try:
        report = fit_data(
            (problem.x, problem.y),
            Expert.from_expression(problem.expression),
            "softmax",
            1,
            starts=STARTS,
            seed=seed,
            check=False,
        )
    except IdentkitError as error:
        return Solved(
            **common, solved=False, status="refused", rss=float("nan"), reached=0, digits=None,
            error_digits=None, parameters=[], seconds=time.perf_counter() - began,
            failed=str(error),
        )  # fmt: skip
    seconds = time.perf_counter() - began
    result = report.result
    places = {name: i for i, name in enumerate(result.model.parameters)}
    order = [places[name] for name in problem.names]
    values = np.asarray(result.measure.eta)[0][order]
    rss = float(((problem.y - problem.function()(problem.x, values)) ** 2).sum())
    solved = agrees(problem, rss)
    best = float(np.nanmin(result.costs))
    near = result.costs <= best * (1.0 + allowed(problem) / problem.rss)
    right, wrong = None, None
    if solved:
        moved, values = arranged(problem, values)
        right = digits(values, problem.values)
        if report.covariance is not None:
            errors = _errors(report, problem)[moved]
            wrong = digits(errors, problem.errors)
    return Solved(
        **common, solved=solved, status=result.status.value, rss=rss,
        reached=int(near.sum()), digits=right, error_digits=wrong,
        parameters=[float(v) for v in values], seconds=seconds, failed="",
    )  # fmt: skip


def _errors(report: Any, problem: Problem) -> Array:
    """Standard errors of the expert's parameters in NIST's order."""
    model = report.result.model
    numbers = [name for _, name in model.layout.numbers(model.parameters, 1)]
    errors = dict(zip(numbers, report.covariance.standard_errors, strict=True))
    return np.array([errors[name] for name in problem.names])


def _peers(problem: Problem) -> dict[str, tuple[bool, float]]:
    """SciPy from three starts: solved or not, seconds."""
    from scipy.optimize import curve_fit

    f = problem.function()

    def curve(x: Array, *b: float) -> Array:
        return np.broadcast_to(f(x.T, np.array(b)), x.shape[1])

    starts = {
        "start 1": problem.starts[0],
        "start 2": problem.starts[1],
        "ones": np.ones(len(problem.values)),
    }
    found = {}
    for name, start in starts.items():
        began, rss = time.perf_counter(), float("nan")
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                b, _ = curve_fit(curve, problem.x.T, problem.y, p0=start, maxfev=EVALUATIONS)
                rss = float(((problem.y - f(problem.x, b)) ** 2).sum())
            except (RuntimeError, ValueError):
                pass  # out of evaluations, or values that are not finite: not solved
        found[name] = (agrees(problem, rss), time.perf_counter() - began)
    return found


def table(rows: list[Solved]) -> str:
    """Markdown: one row a problem, the counts at the end."""
    names = list(rows[0].peers)
    lines = [
        "| problem | level | n | p | solved | starts there | status | digits | of errors | s |"
        + "".join(f" SciPy, {name} |" for name in names),
        "| --- | --- | ---: | ---: | --- | ---: | --- | ---: | ---: | ---: |"
        + " --- |" * len(names),
    ]
    for r in rows:
        lines.append(
            f"| {r.name} | {r.level} | {r.samples} | {r.free} | {_word(r.solved)} | "
            f"{r.reached if r.solved else 0} of {r.starts} | {r.failed or r.status} | "
            f"{_digits(r.digits)} | {_digits(r.error_digits)} | {r.seconds:.2f} | "
            + " | ".join(_word(r.peers[name][0]) for name in names)
            + " |"
        )
    own = sum(r.solved for r in rows)
    peers = [sum(r.peers[name][0] for r in rows) for name in names]
    median = float(np.median([r.seconds for r in rows]))
    lines.append(
        f"| solved, of {len(rows)} | | | | **{own}** | | | | | {median:.2f} (median) | "
        + " | ".join(f"**{count}**" for count in peers)
        + " |"
    )
    return "\n".join(lines)


def _word(solved: bool) -> str:
    return "yes" if solved else "no"


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
