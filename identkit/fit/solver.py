"""Levenberg-Marquardt for many problems at once: box constraints, Hessian, acceleration.

One iteration solves (M + λD)v = -g on the parameters that the box leaves free, adds the geodesic
acceleration a = -½(M + λD)⁻¹Jᵀf_vv (Transtrum, Machta, Sethna, PRE 83, 2011), clips θ + v + a
into the box and evaluates there. M is JᵀJ, without acceleration, for the first steps of a problem,
which suffice for a well-specified fit; then the exact Hessian. In the flat valleys of an
over-specified fit both corrections together cut the number of steps several times. Problems that
have finished leave the batch. The linear algebra is batched torch on the device of the data; the
sums over samples come from a kernel (:mod:`.cpu_kernel`, :mod:`.torch_kernel`). A step reads about
five flags back from the device: which problems have ended, and whether any needs special care.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

import torch

Tensor = torch.Tensor

DONE, LIMIT, FAILED, RUNNING, FLAT = 0, 1, 2, 3, 4
"""How a problem ended: a minimum, out of steps, no finite cost; FLAT: the cost stopped falling."""

DAMPING = 1e-3
"""First λ, relative to the diagonal of JᵀJ."""
LEAST_DAMPING = 1e-15
MOST_DAMPING = 1e12
"""Beyond it steps change no digit of the parameters."""
PIVOT = 1e-13
"""Added to the scaled matrix when a minimum is tested: a flat direction of an unidentifiable
expert has curvature 0 up to rounding, about 1e-16 times the largest."""
LAST_PIVOT = 1e-10
"""Added for the step that ends a fit: where the data determine nothing, rounding errors of the
gradient (1e-16) would move parameters by themselves over PIVOT."""
ROUNDING = 1e-26
"""Cost, relative to that of f = 0, below which only rounding is left: (1e-13)²."""
GROW, SHRINK = 4.0, 0.2
"""Factors of λ after a rejected step (doubled each time) and after a good one, at most. A good step
is often followed by one too long: in a curved valley quicker shrinking costs more than it gains."""
WINDOW = 20
"""Steps over which a fall of the cost is judged."""
ROUNDS = 2
"""Times a step is solved again with parameters put on their bounds."""
NEAR = 1e-6
"""Predicted decrease over cost from which the Hessian is wanted: a minimum can then be tested."""
COST_ROUNDING = 1e-14
"""Of the cost: rounding of its sum, measured at up to 3e-15 for 1e5 samples."""
INDEFINITE = 2.0
"""λ over the most negative eigenvalue: along it the curvature then keeps its size, reversed."""
LEAST_RATIO = 1e-4
"""Actual over predicted decrease from which a step is taken (MINPACK)."""
FAST_BEND = 0.75
"""Largest ‖a‖/‖v‖ at which the acceleration is used (Transtrum and Sethna, 2012, eq. 15)."""


@dataclass(frozen=True)
class Options:
    """Everything that steers the solver.

    ``max_steps`` evaluations per problem; ``tolerance``: a fit is at a minimum when the Newton
    step predicts a decrease below tolerance·cost and the Hessian is positive semidefinite;
    ``first_order`` steps with JᵀJ before the Hessian; ``accelerate``: geodesic acceleration;
    ``flat``: a problem is left when its cost fell by less than this part per step over WINDOW steps
    (1e-8 is SciPy's ftol; over n samples the log-likelihood then changes by n/2·1e-8 per step).
    ``ridge`` ρ adds ½ρ‖θ‖² over the numbers that are not fixed.
    """

    max_steps: int
    tolerance: float
    first_order: int
    accelerate: bool
    flat: float
    ridge: float = 0.0


class Sums(Protocol):
    """The sums a step needs, over fixed data, for the problems ``which`` of the data."""

    def steps(
        self, theta: Tensor, which: Tensor, second: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]: ...

    def bends(self, theta: Tensor, velocity: Tensor, which: Tensor) -> Tensor: ...


class Ridged:
    """Sums with ½ρ‖θ‖² added, over the numbers where ``counted`` (p,) is 1."""

    def __init__(self, sums: Sums, ridge: float, counted: Tensor) -> None:
        self.sums, self.weight = sums, ridge * counted

    def steps(
        self, theta: Tensor, which: Tensor, second: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        cost, gradient, matrix, diagonal = self.sums.steps(theta, which, second)
        pull = self.weight * theta
        return (
            cost + 0.5 * (pull * theta).sum(1),
            gradient + pull,
            matrix + torch.diag(self.weight),
            diagonal + self.weight,
        )

    def bends(self, theta: Tensor, velocity: Tensor, which: Tensor) -> Tensor:
        return self.sums.bends(theta, velocity, which)  # the penalty is a quadratic


@dataclass(frozen=True)
class Problems:
    """Where A minimisations start, and within which box.

    ``theta`` (A, p); ``which`` (A,) is the data of each and ``scale`` (A,) the cost of f = 0 there.
    ``lower``, ``upper`` and ``fixed`` have shape (p,) or (A, p).
    """

    theta: Tensor
    which: Tensor
    scale: Tensor
    lower: Tensor
    upper: Tensor
    fixed: Tensor


@dataclass(frozen=True)
class Solution:
    """Where each problem ended, all tensors with leading dimension A.

    ``gradient`` is zero at parameters held by the box; ``passes`` counts sums over the data.
    """

    theta: Tensor
    cost: Tensor
    gradient: Tensor
    held: Tensor
    state: Tensor
    steps: Tensor
    passes: Tensor


def solve(
    sums: Sums,
    problems: Problems,
    options: Options,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
    taken: Tensor | None = None,
) -> Solution:
    """Minimise from ``problems.theta``.

    ``progress(done, all)`` is called after every step; ``stop()`` true ends early, with what has
    been found. ``taken`` (A,) are steps spent before, which count.
    """
    run = _Run(sums, problems, options, taken)
    count = len(problems.theta)
    while run.running:
        run.step()
        if progress is not None:
            progress(count - run.running, count)
        if stop is not None and stop():
            break
    return run.solution()


@dataclass
class _State:
    """The problems still running, packed: every tensor has leading dimension A."""

    index: Tensor
    which: Tensor
    theta: Tensor
    cost: Tensor
    gradient: Tensor
    matrix: Tensor
    width: Tensor
    damping: Tensor
    growth: Tensor
    taken: Tensor
    passes: Tensor
    second: Tensor
    lower: Tensor
    upper: Tensor
    fixed: Tensor
    floor: Tensor
    mark: Tensor
    marked: Tensor

    def only(self, keep: Tensor) -> _State:
        return _State(*(getattr(self, f.name)[keep] for f in fields(self)))


class _Run:
    def __init__(
        self, sums: Sums, problems: Problems, options: Options, taken: Tensor | None
    ) -> None:
        self.sums, self.options = sums, options
        theta, which = problems.theta, problems.which
        count, size = theta.shape
        new = {"dtype": theta.dtype, "device": theta.device}
        lower, upper, fixed = (
            bound.expand(count, size) for bound in (problems.lower, problems.upper, problems.fixed)
        )
        # fixed parameters stay where they are, inside the box or not
        theta = torch.where(fixed, theta, torch.minimum(torch.maximum(theta, lower), upper))
        second = options.first_order <= 0
        cost, gradient, matrix, diagonal = sums.steps(theta, which, second)
        whole = {"dtype": torch.int64, "device": theta.device}
        self.state = _State(
            index=torch.arange(count, device=theta.device),
            which=which,
            theta=theta,
            cost=cost,
            gradient=gradient,
            matrix=matrix,
            width=diagonal,
            damping=torch.full((count,), DAMPING, **new),
            growth=torch.full((count,), GROW, **new),
            taken=torch.zeros(count, **whole) if taken is None else taken.clone(),
            passes=torch.ones(count, **whole),
            second=torch.full((count,), second, dtype=torch.bool, device=theta.device),
            lower=lower,
            upper=upper,
            fixed=fixed,
            floor=ROUNDING * problems.scale,
            mark=cost.clone(),
            marked=torch.zeros(count, **whole) if taken is None else taken.clone(),
        )
        self.eye = torch.eye(size, **new)
        self.end = Solution(
            theta.clone(),
            cost.clone(),
            gradient.clone(),
            torch.zeros_like(fixed),
            torch.full((count,), RUNNING, **whole),
            torch.zeros(count, **whole),
            torch.ones(count, **whole),
        )
        broken = ~(torch.isfinite(cost) & torch.isfinite(gradient).all(1))
        spent = torch.where(self.state.taken >= options.max_steps, LIMIT, RUNNING)
        self._leave(torch.where(broken, FAILED, spent))

    @property
    def running(self) -> int:
        return len(self.state.index)

    def step(self) -> None:
        """One trial step of every running problem; those at a minimum leave first."""
        now = self.state
        held = _held(now)
        root = torch.sqrt(now.width.clamp(min=1e-30) + 1e-14 * now.width.amax(1, keepdim=True))
        slope = torch.where(held, 0.0, now.gradient) / root
        scaled = now.matrix / (root[:, :, None] * root[:, None, :])
        scaled = torch.where(held[:, :, None] | held[:, None, :], self.eye, scaled)
        ready = bool(now.second.any())
        done = now.second & self._settled(scaled, slope) if ready else now.second
        if ready and bool(done.any()):
            # one more step, predicted to lower the cost by less than tolerance·cost, which is not
            # evaluated again: with it the parameters depend less on the way that led here
            factor, info = torch.linalg.cholesky_ex(scaled + LAST_PIVOT * self.eye)
            newton = torch.where((info == 0)[:, None], _solved(factor, slope), 0.0)
            last = torch.where(done[:, None] & ~held, now.theta - newton / root, now.theta)
            now.theta = torch.minimum(torch.maximum(last, now.lower), now.upper)
            now.theta = torch.where(now.fixed, last, now.theta)
            self._leave(torch.where(done, DONE, RUNNING))
            if not self.running:
                return
            keep = ~done
            now, held, root, slope, scaled = (
                self.state, held[keep], root[keep], slope[keep], scaled[keep]
            )  # fmt: skip
        factor, now.damping, usable = _factorise(scaled, now.damping, self.eye)
        v = torch.where(held, 0.0, -_solved(factor, slope))
        low, high = (now.lower - now.theta) * root, (now.upper - now.theta) * root
        factor, v, held = self._bounded(scaled, slope, now.damping, factor, v, held, low, high)
        free = ~held & usable[:, None]
        v = torch.where(usable[:, None], v, 0.0)
        move = v
        if self.options.accelerate:
            some = now.second
            if bool(some.any()):
                part = v[some]
                bend = self.sums.bends(now.theta[some], part / root[some], now.which[some])
                now.passes = now.passes + some.to(now.passes.dtype)
                bend = torch.where(held[some], 0.0, bend / root[some])
                a = -0.5 * _solved(factor[some], bend)
                gentle = 2.0 * a.norm(dim=1) <= FAST_BEND * part.norm(dim=1)
                move = v.clone()
                move[some] += torch.where(gentle[:, None] & free[some], a, 0.0)
        trial = torch.minimum(torch.maximum(now.theta + move / root, now.lower), now.upper)
        trial = torch.where(now.fixed, now.theta, trial)
        # the quadratic model along the step without acceleration
        s = torch.minimum(torch.maximum(v, low), high)
        s = torch.where(now.fixed, 0.0, s)
        curved = _times(scaled, s)
        predicted = -(s * (slope + 0.5 * curved)).sum(1)
        self._evaluate(trial, predicted, usable)

    def _bounded(
        self,
        scaled: Tensor,
        slope: Tensor,
        damping: Tensor,
        factor: Tensor,
        v: Tensor,
        held: Tensor,
        low: Tensor,
        high: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Put what leaves the box on its bound and solve again for the rest.

        Clipping alone would spoil the step of the other parameters in a narrow valley. A second
        round catches those that leave only then; what leaves after that is clipped.
        """
        for _ in range(ROUNDS):
            out = ~held & ((v < low) | (v > high))
            if not bool(out.any()):
                break
            held = held | out
            v = torch.where(out, torch.minimum(torch.maximum(v, low), high), v)
            stuck = torch.where(held, v, 0.0)
            mask = held[:, :, None] | held[:, None, :]
            rest = torch.where(held, 0.0, slope + _times(scaled, stuck))
            reduced = torch.where(mask, self.eye, scaled)
            factor, _ = torch.linalg.cholesky_ex(reduced + damping[:, None, None] * self.eye)
            solved = -_solved(factor, rest)
            v = torch.where(held, stuck, solved)
        return factor, v, held

    def _settled(self, scaled: Tensor, slope: Tensor) -> Tensor:
        """At a minimum: positive semidefinite matrix, negligible decrease by the Newton step."""
        factor, info = torch.linalg.cholesky_ex(scaled + PIVOT * self.eye)
        newton = _solved(factor, slope)
        decrease = 0.5 * (slope * newton).sum(1)
        small = decrease <= self.options.tolerance * self.state.cost + self.state.floor
        return (info == 0) & small

    def _evaluate(self, trial: Tensor, predicted: Tensor, usable: Tensor) -> None:
        now = self.state
        now.taken += 1
        now.passes += 1
        near = predicted <= NEAR * now.cost
        wants = now.second | near | (now.taken >= self.options.first_order)
        cost, gradient, matrix, diagonal = self._sums(trial, now.which, wants)
        finite = torch.isfinite(cost) & torch.isfinite(gradient).all(1)
        # differences of costs below their rounding decide nothing (Conn, Gould, Toint, 17.4.2)
        slack = COST_ROUNDING * now.cost
        ratio = (now.cost - cost + slack) / (predicted + slack).clamp(min=1e-300)
        ratio = torch.where(finite, ratio, -1.0)
        accept = usable & (ratio > LEAST_RATIO)
        row = accept[:, None]
        now.theta = torch.where(row, trial, now.theta)
        now.cost = torch.where(accept, cost, now.cost)
        now.gradient = torch.where(row, gradient, now.gradient)
        now.matrix = torch.where(row[:, :, None], matrix, now.matrix)
        # the largest diagonal seen, as in MINPACK
        now.width = torch.where(row, torch.maximum(now.width, diagonal), now.width)
        now.second = torch.where(accept, wants, now.second)
        shrink = (1.0 - (2.0 * ratio - 1.0) ** 3).clamp(SHRINK, 2.0)
        now.damping = (now.damping * torch.where(accept, shrink, now.growth)).clamp(
            LEAST_DAMPING, 10 * MOST_DAMPING
        )
        now.growth = torch.where(accept, GROW, 2.0 * now.growth)
        judged = now.taken - now.marked >= WINDOW
        flat = judged & (now.mark - now.cost <= WINDOW * self.options.flat * now.cost + now.floor)
        flat = flat | (now.damping > MOST_DAMPING)
        now.mark = torch.where(judged, now.cost, now.mark)
        now.marked = torch.where(judged, now.taken, now.marked)
        out = now.taken >= self.options.max_steps
        verdict = torch.where(flat, FLAT, torch.where(out, LIMIT, RUNNING))
        if bool((flat | out).any()):
            self._leave(verdict)

    def _sums(
        self, trial: Tensor, which: Tensor, wants: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The sums at ``trial``, with the Hessian where it is wanted."""
        if bool(wants.all()):
            return self.sums.steps(trial, which, True)
        if not bool(wants.any()):
            return self.sums.steps(trial, which, False)
        hessian = self.sums.steps(trial[wants], which[wants], True)
        gram = self.sums.steps(trial[~wants], which[~wants], False)
        order = torch.argsort(torch.cat([wants.nonzero()[:, 0], (~wants).nonzero()[:, 0]]))
        a, b, c, d = (torch.cat(pair)[order] for pair in zip(hessian, gram, strict=True))
        return a, b, c, d

    def _leave(self, verdict: Tensor) -> None:
        """Write down the problems whose verdict is not RUNNING and go on with the others."""
        now = self.state
        gone = verdict != RUNNING
        self._write(now.only(gone), verdict[gone])
        self.state = now.only(~gone)

    def _write(self, gone: _State, verdict: Tensor) -> None:
        end, at = self.end, gone.index
        held = _held(gone)
        end.theta[at], end.cost[at], end.held[at] = gone.theta, gone.cost, held
        end.gradient[at] = torch.where(held, 0.0, gone.gradient)
        end.state[at], end.steps[at], end.passes[at] = verdict, gone.taken, gone.passes

    def solution(self) -> Solution:
        """Where all problems are; those still running count as out of steps."""
        now = self.state
        self._write(now, torch.full_like(now.index, LIMIT))
        return self.end


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Products (A, p); torch.matmul would round differently for other batch sizes."""
    return (matrix * vector[:, None, :]).sum(2)


def _held(now: _State) -> Tensor:
    """Parameters that are fixed, or at a bound with the gradient pointing outwards."""
    return (
        now.fixed
        | ((now.theta <= now.lower) & (now.gradient > 0))
        | ((now.theta >= now.upper) & (now.gradient < 0))
    )


def _even(matrix: Tensor, corner: Tensor | float) -> Tensor:
    """Matrices (R, p, p) with p made even by a row and a column that are 0 but for ``corner``.

    MKL's triangular solves and eigenvalues depend on how a matrix is aligned in memory: for odd p a
    matrix of a batch is not aligned as it is alone, and the last bits differ.
    """
    p = matrix.shape[1]
    if p % 2 == 0:
        return matrix
    matrix = torch.nn.functional.pad(matrix, (0, 1, 0, 1))
    matrix[:, p, p] = corner
    return matrix


def _solved(factor: Tensor, right: Tensor) -> Tensor:
    """Solutions (R, p) by Cholesky factors (R, p, p), each as if it were alone."""
    p = right.shape[1]
    right = torch.nn.functional.pad(right, (0, p % 2))
    return torch.cholesky_solve(right[:, :, None], _even(factor, 1.0))[:, :p, 0]


def _least(matrix: Tensor) -> Tensor:
    """The smallest eigenvalues (R,) of (R, p, p), each as if it were alone."""
    # no diagonal entry is below the smallest eigenvalue, so that a copy of one changes nothing
    return torch.linalg.eigvalsh(_even(matrix, matrix[:, 0, 0]))[:, 0]


def _factorise(scaled: Tensor, damping: Tensor, eye: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cholesky factors of M + λ, with λ raised just above what an indefinite M needs."""
    factor, info = torch.linalg.cholesky_ex(scaled + damping[:, None, None] * eye)
    bad = info != 0
    if bool(bad.any()):
        finite = torch.nan_to_num(scaled[bad], nan=0.0, posinf=0.0, neginf=0.0)
        least = _least(finite)
        raised = torch.maximum(damping[bad], INDEFINITE * least.abs() + LEAST_DAMPING)
        damping = damping.clone()
        damping[bad] = raised
        again, info[bad] = torch.linalg.cholesky_ex(scaled[bad] + raised[:, None, None] * eye)
        factor[bad] = again
    return factor, damping, info == 0
