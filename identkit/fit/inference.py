"""What a fit says about parameters: standard errors, directions not determined, shared gates.

With J the Jacobian of (f(x_i))_i at the estimate, over the parameters that neither the gauge nor
the box holds, the covariance of least squares is σ²(JᵀJ)⁻¹; σ², and what it presumes, are those of
the objective (:mod:`identkit.fit.objective`). In an over-specified cell (several fitted atoms for
one true atom) it is not valid: there J loses rank at the truth, and parameters converge like n^-1/4
or slower, not like n^-1/2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.checking import check
from identkit.domain import Domain
from identkit.errors import IdentkitError, InputError
from identkit.fit.result import FitResult
from identkit.mixing import real_array
from identkit.vocabulary import Verdict

if TYPE_CHECKING:
    from identkit.fit.change import Change
    from identkit.fit.model import Model
    from identkit.fit.shared_gates import SharedGate
    from identkit.gates import RegimeCode
    from identkit.results import CheckResult, ConditionResult

Array = NDArray[np.float64]

ROUNDING = 10.0
"""Eigenvalues of the information matrix, scaled to diagonal 1, count as zero below
ROUNDING·p·√n·ε. Its entries are sums of n products, whose rounding errors grow like √n·ε (Higham,
Accuracy and Stability of Numerical Algorithms, section 2.8); a matrix with p rows of such entries
moves an eigenvalue by at most p times as much."""
PART = 1e-4
"""A parameter takes part in a direction of length 1 from an entry of this size in scaled
coordinates: smaller ones are left by rounding."""


@dataclass(frozen=True)
class Direction:
    """Parameters that these data do not determine together.

    ``parameters`` are (atom, name) with atoms counted from 0, None for the atom of what groups or
    all of them share; ``count`` is the dimension of what they can do without changing f; ``along``
    gives the change of each, of length 1, if that is 1.
    """

    parameters: tuple[tuple[int | None, str], ...]
    count: int
    along: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class Covariance:
    """Covariance of the estimate, shape (p, p); p = k·(d + 1 + q) in the order of the vector.

    Rows are 0 for parameters that are held, and NaN for those not determined. ``standard_errors``
    (p,) is NaN for both, and for the parameters in ``wide`` (atom, name), whose standard error
    would exceed the width of their box: the linear approximation says nothing there. ``sigma`` is
    the estimate of the error's standard deviation; ``rank`` the rank of the information matrix,
    ``tolerance`` what its scaled eigenvalues were compared with and ``smallest`` the smallest of
    those above it. ``assumes`` says what makes it valid. ``degrees`` are those of freedom of σ²,
    n − rank; ``information`` (p, p) is Jᵀ diag(w·ρ'') J, None where it is not known: of a file.
    ``inner`` is that of the standard numbers, where data were standardised: rank, tolerance,
    eigenvalues and information are its.
    """

    matrix: Array
    standard_errors: Array
    sigma: float
    free: int
    rank: int
    tolerance: float
    smallest: float
    undetermined: tuple[Direction, ...]
    wide: tuple[tuple[int | None, str], ...]
    assumes: str
    degrees: int = 0
    information: Array | None = None
    inner: Covariance | None = None


class Spectrum(NamedTuple):
    """Eigenvalues (f,) and vectors (f, f) of an information matrix scaled to diagonal 1 by
    ``scale`` (f,), and which of them are ``sound``, above rounding."""

    scale: Array
    values: Array
    vectors: Array
    sound: NDArray[np.bool_]


def spectrum(inner: Array, tolerance: float) -> Spectrum:
    """The spectrum of the information (f, f) of free parameters."""
    # of −log p in a valley it may be negative: no direction there is sound
    root = np.sqrt(np.diag(inner).clip(min=0.0))
    scale = np.where(root > 0, root, 1.0)
    values, vectors = np.linalg.eigh(inner / np.outer(scale, scale))
    return Spectrum(scale, values, vectors, values > tolerance)


class Seen:
    """Numbers that are sums of free ones, and what of them the data determine.

    ``sums`` (p, f): each number as a sum of the free ones in the scale of their spectrum. A number
    is ``held`` (p,) where its sum is empty, and ``lost`` (p,) where it has a part that is not
    sound.
    """

    def __init__(self, sums: Array, found: Spectrum) -> None:
        size = np.linalg.norm(sums, axis=1)
        self.held = size == 0.0
        self._size = np.where(self.held, 1.0, size)
        hidden = np.linalg.qr(sums @ found.vectors[:, ~found.sound] / self._size[:, None])[0]
        self._null = hidden @ hidden.T
        self.lost = np.sqrt(np.diag(self._null).clip(min=0.0)) > PART
        self._along = sums @ found.vectors[:, found.sound]

    def covariance(self, middle: Array) -> tuple[Array, Array]:
        """(p, p) and its standard errors (p,), from the covariance of the sound directions.

        ``middle`` is (s, s), or its diagonal. NaN for what is lost; 0, and no error, if held.
        """
        along = self._along
        half = along * middle if middle.ndim == 1 else along @ middle
        matrix = half @ along.T
        matrix = 0.5 * (matrix + matrix.T)  # rounding
        matrix[self.lost] = np.nan
        matrix[:, self.lost] = np.nan
        matrix[self.held] = matrix[:, self.held] = 0.0
        with np.errstate(invalid="ignore"):
            return matrix, np.where(self.held, np.nan, np.sqrt(np.diag(matrix)))

    def undetermined(self, numbers: Sequence[tuple[Any, str]]) -> tuple[Direction, ...]:
        """The directions that are lost, by the names of the numbers."""
        every = np.arange(len(self._size))
        return directions(numbers, self._null, self.lost, 1.0 / self._size, every)


@dataclass(frozen=True)
class Identifiability:
    """What ``check`` proves about the expert, and for which case of the fitted gates.

    ``verdict`` is None with a ``reason`` if there is no answer; ``result`` is the entry that
    belongs to ``regime`` (None where the gate has only one).
    """

    verdict: Verdict | None
    reason: str
    regime: RegimeCode
    domain: Domain | None
    result: ConditionResult | None


def covariance(
    result: FitResult, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None
) -> Covariance:
    """σ²(JᵀJ)⁻¹ over the free parameters of one fit, where that matrix is numerically nonsingular.

    ``x`` (n, d), ``y`` and ``weight`` (n,) are the data of the fit; weights are inverse variances
    up to a factor. Raises :class:`~identkit.errors.InputError` for several fits, for one that is
    not at a minimum, and under an objective without standard errors.
    """
    check_one(result, "minimum")
    stated = result.objective.errors
    if stated is None:
        raise InputError(
            f"covariance: no standard errors are known for objective {result.objective.name}; "
            "resample the data."
        )
    if result.change is not None and result.inner is not None:
        change = result.change
        inner = covariance(
            result.inner,
            change.inputs(real_array("x", x)),
            change.target(real_array("y", y)),
            weight,
        )
        return _outward(inner, change, result)
    # a sample of weight 0 is none
    n = result.samples if weight is None else int(np.count_nonzero(weight))
    return _of_information(result, information(result, x, y, weight), n)


def check_one(fit: Any, optimum: str) -> None:
    """Raise InputError for several fits, and for one that is not at its ``optimum``."""
    if fit.measure.batch:
        raise InputError("covariance: the result holds several fits; choose one, as in result[0].")
    if not fit.status.finished:
        raise InputError(
            f"covariance: the fit ended with '{fit.status.value}', not at a {optimum}; "
            f"{fit.status.remedy}."
        )


def covariance_of_information(result: FitResult, gram: Array, samples: int) -> Covariance:
    """The covariance of a fit from its information Jᵀ diag(w·ρ'') J (p, p), in standard units.

    ``samples`` are those of weight above 0. As :func:`covariance`, without the data.
    """
    inner = _of_information(result.scaled, gram, samples)
    return inner if result.change is None else _outward(inner, result.change, result)


def _of_information(result: FitResult, gram: Array, n: int) -> Covariance:
    stated = result.objective.errors
    assert stated is not None
    free = np.flatnonzero(~result.held)
    size = len(gram)
    matrix, errors = np.zeros((size, size)), np.full(size, np.nan)
    tolerance = ROUNDING * size * np.sqrt(n) * np.finfo(float).eps
    used, values, vectors, sound = spectrum(gram[np.ix_(free, free)], tolerance)
    rank = int(sound.sum())
    sigma = float(np.sqrt(stated.variance(result.cost, n, rank)))
    null = vectors[:, ~sound] @ vectors[:, ~sound].T
    lost = np.sqrt(np.diag(null).clip(min=0.0)) > PART
    inverse = (vectors[:, sound] / values[sound]) @ vectors[:, sound].T
    block = sigma**2 * inverse / np.outer(used, used)
    block[lost] = np.nan
    block[:, lost] = np.nan
    matrix[np.ix_(free, free)] = block
    errors[free] = np.sqrt(np.diag(block))
    low, high = result.settings.box.bounds(result.model, result.measure.atoms)
    wide = errors > high - low
    errors[wide] = np.nan
    numbers = result.model.layout.numbers(result.model.parameters, result.measure.atoms)
    return Covariance(
        matrix,
        errors,
        sigma,
        len(free),
        rank,
        float(tolerance),
        float(values[sound].min()) if rank else np.nan,
        directions(numbers, null, lost, used, free),
        tuple(numbers[i] for i in np.flatnonzero(wide)),
        stated.assumes,
        n - rank,
        gram,
    )


def _outward(inner: Covariance, change: Change, result: FitResult) -> Covariance:
    """The covariance in the user's units of one in standard units.

    A number of the user's is a sum of standard ones, and is determined where that sum is: of slopes
    p and q of one input neither is, but p + q, and an intercept after a move of the origin.
    """
    assert inner.information is not None
    free = np.flatnonzero(~result.scaled.held)
    found = spectrum(inner.information[np.ix_(free, free)], inner.tolerance)
    seen = Seen(change.matrix[:, free] / found.scale, found)
    matrix, errors = seen.covariance(inner.sigma**2 / found.values[found.sound])
    numbers = result.model.layout.numbers(result.model.parameters, result.measure.atoms)
    far = np.array([number in inner.wide for number in numbers])
    wide = (change.matrix[:, far] != 0.0).any(axis=1) & ~seen.lost
    errors[wide] = np.nan
    return replace(
        inner,
        matrix=matrix,
        standard_errors=errors,
        sigma=inner.sigma * change.unit,
        undetermined=seen.undetermined(numbers),
        wide=tuple(numbers[i] for i in np.flatnonzero(wide)),
        inner=inner,
    )


def information(
    result: FitResult, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None
) -> Array:
    """Jᵀ diag(w·ρ'') J at one fit over all parameters, (p, p), by the kernel that fitted it."""

    from identkit.fit.job import squared_jacobian

    return squared_jacobian(result, x, y, weight)


def directions(
    numbers: Sequence[tuple[int | None, str]],
    null: Array,
    lost: NDArray[np.bool_],
    root: Array,
    free: NDArray[np.intp],
) -> tuple[Direction, ...]:
    """The null space by groups of parameters that it ties together: blocks of its projector."""
    left = [int(i) for i in np.flatnonzero(lost)]
    found = []
    while left:
        group, edge = [left.pop(0)], [0]
        while edge:
            row = group[edge.pop()]
            tied = [i for i in left if abs(null[row, i]) > PART**2]
            left = [i for i in left if i not in tied]
            edge += range(len(group), len(group) + len(tied))
            group += tied
        group.sort()
        block = null[np.ix_(group, group)]
        count = max(1, round(float(np.trace(block))))
        along = None
        if count == 1:
            # from scaled to the parameters' own units
            vector = np.linalg.eigh(block)[1][:, -1] / root[group]
            vector = vector / np.linalg.norm(vector)
            vector = vector * np.sign(vector[np.abs(vector).argmax()])
            along = tuple(float(v) for v in vector)
        found.append(Direction(tuple(numbers[free[i]] for i in group), count, along))
    return tuple(found)


def identifiability(
    model: Model,
    groups: Sequence[SharedGate],
    x: Array,
    *,
    held: Sequence[str] = (),
    time_limit: float = 20.0,
    progress: Callable[[str], None] | None = None,
) -> Identifiability:
    """What ``check`` proves for the model, on the range of the data.

    The regime follows from the fitted gates: sparse if all that are shared are constant, dense if
    one is not; without shared gates every cell looks exactly specified, and the first-order
    condition of the dense regime is the one that matters. Nothing is said where parameters of the
    expert are ``held``: what is proved is about all of them free.
    """
    regime = model.gate.of_truth(not (groups and all(g.constant for g in groups))).code
    domain = None
    if held:
        reason = (
            f"{', '.join(held)} held; check is about all parameters free: write the numbers into "
            "the expression instead"
        )
        return Identifiability(None, reason, regime, None, None)
    try:
        domain = data_domain(x, model.expert.inputs)
        checked: CheckResult = check(
            model.expert,
            model.gate,
            regime=regime,
            domain=domain,
            time_limit=time_limit,
            progress=progress,
        )
    except IdentkitError as error:
        return Identifiability(None, str(error), regime, domain, None)
    found = checked.results[0]
    return Identifiability(found.verdict, "", regime, domain, found)


def data_domain(x: Array, inputs: Sequence[str]) -> Domain:
    """The ranges of the data, one for each input, their ends short decimals.

    They are rounded outwards, but not onto 0: log(x) may need inputs that are positive. Raises
    InputError for an input that is constant.
    """
    return Domain.of([_range(column) for column in x.T], inputs)


def _range(column: Array) -> tuple[str, str]:
    low, high = float(column.min()), float(column.max())
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-300)) - 1.0)
    ends = [np.floor(low / step) * step, np.ceil(high / step) * step]
    for i, (end, toward) in enumerate(((low, np.floor), (high, np.ceil))):
        if end and end * ends[i] <= 0:
            finer = 10.0 ** np.floor(np.log10(abs(end)) - 1.0)
            ends[i] = toward(end / finer) * finer
    return f"{ends[0]:.12g}", f"{ends[1]:.12g}"
