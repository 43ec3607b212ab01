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
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.checking import check
from identkit.domain import Domain
from identkit.errors import IdentkitError, InputError
from identkit.fit.result import FitResult
from identkit.fit.starts import spread
from identkit.mixing import real_array
from identkit.vocabulary import Verdict

if TYPE_CHECKING:
    from identkit.fit.change import Change
    from identkit.fit.model import Model
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
SAME_GATE = 0.1
"""Gates count as equal when their scores differ by less than this per standard deviation of x,
which changes a sigmoid weight by less than 0.025."""
SCORED = 4096
"""Samples on which scores are compared."""
MAYBE_SAME_GATE = 1.0
"""… or by less than this, if the data do not tell them apart (Wald statistic)."""


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
    root = np.sqrt(np.diag(inner))
    scale = np.where(root > 0, root, 1.0)
    values, vectors = np.linalg.eigh(inner / np.outer(scale, scale))
    return Spectrum(scale, values, vectors, values > tolerance)


@dataclass(frozen=True)
class SharedGate:
    """Fitted atoms whose gates are equal as far as the data tell: candidates for one true atom.

    ``constant`` says that their slopes are 0 as far as the data tell; ``within`` is ``tolerance``
    if all gates differ by less than SAME_GATE, else ``standard errors``.
    """

    atoms: tuple[int, ...]
    constant: bool
    within: Literal["tolerance", "standard errors"]


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
    if result.measure.batch:
        raise InputError("covariance: the result holds several fits; choose one, as in result[0].")
    if not result.status.finished:
        raise InputError(
            f"covariance: the fit ended with '{result.status.value}', not at a minimum; "
            f"{result.status.remedy}."
        )
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
        _directions(numbers, null, lost, used, free),
        tuple(numbers[i] for i in np.flatnonzero(wide)),
        stated.assumes,
        n - rank,
        gram,
    )


def _outward(inner: Covariance, change: Change, result: FitResult) -> Covariance:
    """The covariance in the user's units of one in standard units."""
    a = change.matrix
    numbers = result.model.layout.numbers(result.model.parameters, result.measure.atoms)
    unknown = np.isnan(np.diag(inner.matrix))
    matrix = a @ np.nan_to_num(inner.matrix) @ a.T
    lost = (a[:, unknown] != 0.0).any(axis=1)
    matrix[lost] = np.nan
    matrix[:, lost] = np.nan
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.diag(matrix))
    errors = np.where(errors > 0, errors, np.nan)
    far = np.array([number in inner.wide for number in numbers])
    wide = (a[:, far] != 0.0).any(axis=1)
    errors[wide] = np.nan
    return replace(
        inner,
        matrix=matrix,
        standard_errors=errors,
        sigma=inner.sigma * change.unit,
        undetermined=tuple(_turned(d, a, numbers) for d in inner.undetermined),
        wide=tuple(numbers[i] for i in np.flatnonzero(wide)),
        inner=inner,
    )


def _turned(direction: Direction, a: Array, numbers: Sequence[tuple[int | None, str]]) -> Direction:
    """A direction in the user's units of one in standard units."""
    at = np.array([numbers.index(p) for p in direction.parameters], dtype=np.intp)
    touched = np.flatnonzero((a[:, at] != 0.0).any(axis=1))
    along = direction.along
    if along is not None:
        vector = a[np.ix_(touched, at)] @ np.array(along)
        vector = vector / np.linalg.norm(vector)
        vector = vector * np.sign(vector[np.abs(vector).argmax()])
        along = tuple(float(v) for v in vector)
    return Direction(tuple(numbers[int(i)] for i in touched), direction.count, along)


def information(
    result: FitResult, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None
) -> Array:
    """Jᵀ diag(w·ρ'') J at one fit over all parameters, (p, p), by the kernel that fitted it."""

    from identkit.fit.job import squared_jacobian

    return squared_jacobian(result, x, y, weight)


def _directions(
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


def shared_gates(
    result: FitResult, x: Array, covariance: Covariance | None = None
) -> tuple[SharedGate, ...]:
    """Groups of fitted atoms with one gate, as far as the data tell.

    Two gates are equal when their scores differ by less than SAME_GATE per standard deviation of x,
    or by less than MAYBE_SAME_GATE and no more than their standard errors explain: a Wald statistic
    of m components at most two standard deviations above its mean, m + 2√(2m). Under a gate
    with a common shift, and where slopes are 0, only slopes are compared: what is left are weights.
    Scores that are not β1ᵀx + β0 are compared on the data, by their standard deviation there, with
    SAME_GATE alone; those of atoms in different groups are not.
    """
    if result.change is not None and result.inner is not None:
        inner = None if covariance is None else covariance.inner
        return shared_gates(result.inner, result.change.inputs(x), inner)
    measure, model = result.measure, result.model
    if not model.gate.is_affine:
        return _alike(result, x)
    d, k = model.dim, measure.atoms
    sd, mean = spread(x), x.mean(axis=0)
    # places in an atom: slopes, then the offset
    slopes, offset = model.layout["beta1"], model.layout["beta0"]
    gate = np.r_[slopes, offset]
    matrix = None if covariance is None else covariance.matrix
    # rows: what the slopes and the level of a score are at the scale of the data
    units = np.zeros((d + 1, d + 1))
    units[:d, :d] = np.diag(sd)
    units[d, :d], units[d, d] = mean, 1.0
    gates = np.concatenate([measure.beta1, measure.beta0[:, None]], axis=1) @ units.T

    def within(i: int, j: int | None, size: int) -> str | None:
        """How the first components of gates i and j, or of gate i and 0, agree."""
        gap = gates[i, :size] - (0.0 if j is None else gates[j, :size])
        distance = float(np.linalg.norm(gap))
        if distance <= SAME_GATE:
            return "tolerance"
        if matrix is None or distance > MAYBE_SAME_GATE:
            return None
        pick = np.zeros((size, len(matrix)))
        for atom, sign in ((i, 1.0), (j, -1.0)):
            if atom is not None:
                pick[:, atom * model.per_atom + gate] += sign * units[:size]
        touched = np.abs(pick).sum(axis=0) > 0
        part = pick[:, touched] @ matrix[np.ix_(touched, touched)] @ pick[:, touched].T
        if not np.isfinite(part).all():
            return "standard errors"  # not determined: nothing tells them apart
        statistic = float(gap @ np.linalg.pinv(part, hermitian=True) @ gap)
        if not part.any() or statistic > size + 2.0 * np.sqrt(2.0 * size):
            return None
        return "standard errors"

    flat = [within(i, None, d) for i in range(k)]
    pairs: dict[tuple[int, int], str] = {}
    for i in range(k):
        for j in range(i + 1, k):
            level = model.gate.pinning is None and not (flat[i] and flat[j])
            how = within(i, j, d + level)
            if how is not None:
                pairs[i, j] = how
    return _grouped(
        k, pairs, lambda group: model.gate.pinning is None and all(flat[i] for i in group)
    )


def _alike(result: FitResult, x: Array) -> tuple[SharedGate, ...]:
    """The groups by the scores on the data, up to a constant where weights are divided."""
    measure, model = result.measure, result.model
    part = x[:: max(1, len(x) // SCORED)]
    with np.errstate(all="ignore"):
        scores = model.scores(measure, part)
    centred = scores - scores.mean(axis=-1, keepdims=True)
    compared = centred if model.gate.divides else scores
    flat = np.sqrt((centred**2).mean(axis=-1)) <= SAME_GATE
    pairs = {}
    for members in model.layout.members or (slice(0, measure.atoms),):
        for i in range(members.start, members.stop):
            for j in range(i + 1, members.stop):
                gap = compared[i] - compared[j]
                if np.sqrt((gap**2).mean()) <= SAME_GATE:
                    pairs[i, j] = "tolerance"
    weighed = not model.gate.divides  # else a constant score is no more than a weight
    return _grouped(measure.atoms, pairs, lambda group: weighed and bool(flat[group].all()))


def _grouped(
    atoms: int, pairs: dict[tuple[int, int], str], constant: Callable[[list[int]], bool]
) -> tuple[SharedGate, ...]:
    """Groups in which all share their gate with all."""
    groups: list[list[int]] = []
    for i in range(atoms):
        # an atom joins a group all of whose members share its gate
        home = next((g for g in groups if all((j, i) in pairs for j in g)), None)
        if home is None:
            groups.append([i])
        else:
            home.append(i)
    found = []
    for group in groups:
        if len(group) > 1:
            ties = {pairs[i, j] for n, i in enumerate(group) for j in group[n + 1 :]}
            how = "tolerance" if ties == {"tolerance"} else "standard errors"
            found.append(SharedGate(tuple(group), constant(group), how))
    return tuple(found)


def identifiability(
    model: Model,
    groups: Sequence[SharedGate],
    x: Array,
    *,
    time_limit: float = 20.0,
    progress: Callable[[str], None] | None = None,
) -> Identifiability:
    """What ``check`` proves for the model, on the range of the data.

    The regime follows from the fitted gates: sparse if all that are shared are constant, dense if
    one is not; without shared gates every cell looks exactly specified, and the first-order
    condition of the dense regime is the one that matters.
    """
    regime = model.gate.of_truth(not (groups and all(g.constant for g in groups))).code
    domain = None
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
