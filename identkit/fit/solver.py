"""Levenberg-Marquardt for many problems at once: box constraints, Hessian, acceleration.

One iteration solves (M + λD)v = -g on the parameters that the box leaves free, adds the geodesic
acceleration a = -½(M + λD)⁻¹Jᵀf_vv (Transtrum, Machta, Sethna, PRE 83, 2011), clips θ + v + a
into the box and evaluates there. M is JᵀJ for the first steps of a problem and the exact Hessian
afterwards: in the flat valleys of an over-specified fit both corrections together cut the number
of steps several times. Problems that have finished leave the batch. The linear algebra is batched
torch on the device of the data; the sums over samples come from a kernel (:mod:`.cpu_kernel`,
:mod:`.torch_kernel`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

import torch

Tensor = torch.Tensor

DONE, LIMIT, FAILED, RUNNING = 0, 1, 2, 3
"""How a problem ended: a minimum, out of steps, no finite cost."""

DAMPING = 1e-3
"""First λ, relative to the diagonal of JᵀJ."""
LEAST_DAMPING = 1e-15
MOST_DAMPING = 1e12
"""Beyond it steps change no digit of the parameters."""
PIVOT = 1e-13
"""Added to the scaled matrix when a minimum is tested: a flat direction of an unidentifiable
expert has curvature 0 up to rounding, about 1e-16 times the largest."""
ROUNDING = 1e-26
"""Cost, relative to ½Σwy², below which only rounding is left: (1e-13)²."""
LEAST_RATIO = 1e-4
"""Actual over predicted decrease from which a step is taken (MINPACK)."""
FAST_BEND = 0.75
"""Largest ‖a‖/‖v‖ at which the acceleration is used (Transtrum and Sethna, 2012, eq. 15)."""


@dataclass(frozen=True)
class Options:
    """Everything that steers the solver.

    ``max_steps`` evaluations per problem; ``tolerance``: a fit is at a minimum when the Newton
    step predicts a decrease below tolerance·cost and the Hessian is positive semidefinite;
    ``first_order`` steps with JᵀJ before the Hessian; ``accelerate``: geodesic acceleration.
    """

    max_steps: int = 500
    tolerance: float = 1e-12
    first_order: int = 8
    accelerate: bool = True


class Sums(Protocol):
    """The sums a step needs, over fixed data, for the problems ``which`` of the data."""

    def steps(
        self, theta: Tensor, which: Tensor, second: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]: ...

    def bends(self, theta: Tensor, velocity: Tensor, which: Tensor) -> Tensor: ...


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
    theta: Tensor,
    which: Tensor,
    scale: Tensor,
    lower: Tensor,
    upper: Tensor,
    fixed: Tensor,
    options: Options,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Solution:
    """Minimise from ``theta`` (A, p); ``scale`` (A,) is ½Σwy² of each problem.

    ``lower``, ``upper`` and ``fixed`` have shape (p,) or (A, p). ``progress(done, all)`` is called
    after every step; ``stop()`` true ends early, with what has been found.
    """
    run = _Run(sums, theta, which, scale, lower, upper, fixed, options)
    while run.running:
        run.step()
        if progress is not None:
            progress(len(theta) - run.running, len(theta))
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

    def only(self, keep: Tensor) -> _State:
        return _State(*(getattr(self, f.name)[keep] for f in fields(self)))


class _Run:
    def __init__(
        self,
        sums: Sums,
        theta: Tensor,
        which: Tensor,
        scale: Tensor,
        lower: Tensor,
        upper: Tensor,
        fixed: Tensor,
        options: Options,
    ) -> None:
        self.sums, self.options = sums, options
        count, size = theta.shape
        new = {"dtype": theta.dtype, "device": theta.device}
        lower, upper = lower.expand(count, size), upper.expand(count, size)
        fixed = fixed.expand(count, size)
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
            growth=torch.full((count,), 2.0, **new),
            taken=torch.zeros(count, **whole),
            passes=torch.ones(count, **whole),
            second=torch.full((count,), second, dtype=torch.bool, device=theta.device),
            lower=lower,
            upper=upper,
            fixed=fixed,
            floor=ROUNDING * scale,
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
        self._leave(torch.where(broken, FAILED, RUNNING))

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
        done = now.second & self._settled(scaled, slope)
        if bool(done.any()):
            self._leave(torch.where(done, DONE, RUNNING))
            if not self.running:
                return
            keep = ~done
            now, held, root, slope, scaled = (
                self.state, held[keep], root[keep], slope[keep], scaled[keep]
            )  # fmt: skip
        factor, now.damping, usable = _factorise(scaled, now.damping, self.eye)
        free = ~held & usable[:, None]
        v = torch.where(free, -torch.cholesky_solve(slope[:, :, None], factor)[:, :, 0], 0.0)
        move = v
        if self.options.accelerate:
            bend = self.sums.bends(now.theta, v / root, now.which)
            now.passes += 1
            bend = torch.where(held, 0.0, bend / root)
            a = -0.5 * torch.cholesky_solve(bend[:, :, None], factor)[:, :, 0]
            gentle = 2.0 * a.norm(dim=1) <= FAST_BEND * v.norm(dim=1)
            move = v + torch.where(gentle[:, None] & free, a, 0.0)
        trial = _clipped(now, now.theta + move / root, held)
        # the quadratic model along the clipped step without acceleration
        s = (_clipped(now, now.theta + v / root, held) - now.theta) * root
        curved = torch.matmul(scaled, s[:, :, None])[:, :, 0]
        predicted = -(s * (slope + 0.5 * curved)).sum(1)
        self._evaluate(trial, predicted, usable)

    def _settled(self, scaled: Tensor, slope: Tensor) -> Tensor:
        """At a minimum: positive semidefinite matrix, negligible decrease by the Newton step."""
        factor, info = torch.linalg.cholesky_ex(scaled + PIVOT * self.eye)
        newton = torch.cholesky_solve(slope[:, :, None], factor)[:, :, 0]
        decrease = 0.5 * (slope * newton).sum(1)
        return (info == 0) & (
            decrease <= self.options.tolerance * self.state.cost + self.state.floor
        )

    def _evaluate(self, trial: Tensor, predicted: Tensor, usable: Tensor) -> None:
        now = self.state
        now.taken += 1
        now.passes += 1
        wants = now.second | (now.taken >= self.options.first_order)
        cost, gradient, matrix, diagonal = self._sums(trial, now.which, wants)
        finite = torch.isfinite(cost) & torch.isfinite(gradient).all(1)
        ratio = torch.where(
            finite, (now.cost - cost) / predicted.clamp(min=1e-300), -1.0
        )
        accept = usable & (ratio > LEAST_RATIO)
        row = accept[:, None]
        now.theta = torch.where(row, trial, now.theta)
        now.cost = torch.where(accept, cost, now.cost)
        now.gradient = torch.where(row, gradient, now.gradient)
        now.matrix = torch.where(row[:, :, None], matrix, now.matrix)
        # the largest diagonal seen, as in MINPACK
        now.width = torch.where(row, torch.maximum(now.width, diagonal), now.width)
        now.second = torch.where(accept, wants, now.second)
        shrink = (1.0 - (2.0 * ratio - 1.0) ** 3).clamp(0.1, 2.0)
        now.damping = (now.damping * torch.where(accept, shrink, now.growth)).clamp(
            LEAST_DAMPING, 10 * MOST_DAMPING
        )
        now.growth = torch.where(accept, 2.0, 2.0 * now.growth)
        ended = (now.taken >= self.options.max_steps) | (now.damping > MOST_DAMPING)
        if bool(ended.any()):
            self._leave(torch.where(ended, LIMIT, RUNNING))

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


def _held(now: _State) -> Tensor:
    """Parameters that are fixed, or at a bound with the gradient pointing outwards."""
    return (
        now.fixed
        | ((now.theta <= now.lower) & (now.gradient > 0))
        | ((now.theta >= now.upper) & (now.gradient < 0))
    )


def _clipped(now: _State, theta: Tensor, held: Tensor) -> Tensor:
    inside = torch.minimum(torch.maximum(theta, now.lower), now.upper)
    return torch.where(held, now.theta, inside)


def _factorise(
    scaled: Tensor, damping: Tensor, eye: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cholesky factors of M + λ, with λ raised where M is too indefinite for it."""
    factor, info = torch.linalg.cholesky_ex(scaled + damping[:, None, None] * eye)
    for _ in range(12):
        bad = info != 0
        if not bool(bad.any()):
            break
        damping = torch.where(bad, torch.clamp(8.0 * damping, min=1e-6), damping)
        again, info_again = torch.linalg.cholesky_ex(
            scaled[bad] + damping[bad, None, None] * eye
        )
        factor[bad] = again
        info = info.clone()
        info[bad] = info_again
    return factor, damping, info == 0
