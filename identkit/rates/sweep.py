"""Sweeps: all fits of some experiments that the store does not hold yet."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from identkit.fit.engine import Compute
from identkit.gates import Gate
from identkit.rates.density_setting import DensitySetting
from identkit.rates.fits import Block, blocks
from identkit.rates.scheduling import Scheduler, Task
from identkit.rates.setting import CONTROL, AnySetting, Experiment
from identkit.rates.store import Store

Progress = Callable[[int, int, float, float, str], None]
"""(fits done, fits in all, work done, work in all, what was done last).

Fits are rows of the store, those from earlier runs too. Work is this run's alone, in seconds of one
worker: estimated at first, then corrected by what blocks of the setting took. Time left is
elapsed·(all − done)/done.
"""

FIT_SECONDS = 0.01
SMOOTH_SAMPLE_SECONDS, SAMPLE_SECONDS = 2e-7, 3e-6
"""Of one fit, and in addition per sample (benchmarks/README.md); without compression to nodes, per
input."""
DENSITY_SAMPLE_SECONDS = 1.5e-5
"""The same of a fit by maximum likelihood with 2 shared and 3 routed atoms."""


@dataclass(frozen=True)
class Failure:
    """A block that raised: the sweep went on without it."""

    experiment: str
    start: str
    n: int
    replicates: tuple[int, ...]
    error: str

    def __str__(self) -> str:
        first, last = self.replicates[0], self.replicates[-1]
        return (
            f"{self.experiment}: n = {self.n}, start {self.start}, replicates {first} to {last}: "
            f"{self.error}"
        )


@dataclass(frozen=True)
class Outcome:
    """Rows this run added, rows that were there, and blocks that failed."""

    performed: int
    skipped: int
    failed: tuple[Failure, ...]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 complete, 1 some blocks failed, 130 interrupted."""
        return 130 if self.interrupted else 1 if self.failed else 0


def run(
    experiments: Sequence[Experiment],
    store: Store,
    scheduler: Scheduler,
    compute: Compute | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Compute what is missing of the experiments, one after the other, smaller n first.

    Each block is written when it ends, so that a run may be killed at any time and goes on where
    it was. Another run on the same store may do part of the work meanwhile. ``stop`` is asked
    every now and then; once true, finished blocks are kept and the others cancelled. Ctrl-C does
    the same and is raised again. Nothing is closed here.

    Raises :class:`~identkit.errors.InputError` where the store cannot be written.
    """
    for experiment in experiments:
        store.add_experiment(experiment)
    jobs = _jobs(experiments, store)
    total = _rows(experiments)
    pace = _Pace(jobs)
    performed, failed, running = 0, [], {}
    skipped = total - sum(job.rows for job in jobs)

    def report(label: str) -> None:
        if progress is not None:
            progress(skipped + performed, total, pace.done, pace.total, label)

    def tasks() -> Iterator[Task]:
        nonlocal skipped
        for job in jobs:
            missing = _missing(job, store)
            if len(missing) < len(job.block.replicates):
                skipped += (len(job.block.replicates) - len(missing)) * job.budgets
            if not missing:
                pace.drop(job)
                continue
            task = Task(job.document, replace(job.block, replicates=missing), compute, job.gate)
            running[task] = job
            yield task

    report("")
    with closing(scheduler.results(tasks(), stop)) as results:
        for done in results:
            job = running.pop(done.task)
            block = done.task.block
            if done.error is None:
                new = store.write(done.rows, done.environment)
                performed += new
                skipped += len(done.rows) - new
                pace.add(job, sum(row.seconds for row in done.rows))
            else:
                failed.append(
                    Failure(job.experiment, block.start, block.n, block.replicates, done.error)
                )
                pace.drop(job)
            report(f"{job.experiment}, n = {block.n}, {block.start}")
    interrupted = stop is not None and stop() and performed + skipped < total
    return Outcome(performed, skipped, tuple(failed), interrupted)


@dataclass(frozen=True)
class _Job:
    """A block of an experiment that was not done when the run began."""

    experiment: str
    block: Block
    document: str
    budgets: int
    work: float
    gate: Gate

    @property
    def rows(self) -> int:
        return len(self.block.replicates) * self.budgets


def _jobs(experiments: Sequence[Experiment], store: Store) -> list[_Job]:
    """The blocks to compute; what two experiments share is computed once."""
    planned: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    jobs = []
    for experiment in experiments:
        setting = experiment.setting
        document = json.dumps(setting.document(), sort_keys=True)

        def done(start: str, n: int, setting: AnySetting = setting) -> set[int]:
            there = store.done(setting.key, start, n, setting.budgets)
            return there | planned[setting.key, start, n]

        for block in blocks(experiment, done):
            planned[setting.key, block.start, block.n].update(block.replicates)
            work = _work(setting, block)
            gate = setting.gate
            jobs.append(_Job(experiment.name, block, document, len(setting.budgets), work, gate))
    return jobs


def _missing(job: _Job, store: Store) -> tuple[int, ...]:
    """The replicates of a block that no other run has done by now."""
    block, budgets = job.block, json.loads(job.document)["budgets"]
    among = range(min(block.replicates), max(block.replicates) + 1)
    done = store.done(block.setting, block.start, block.n, budgets, among)
    return tuple(r for r in block.replicates if r not in done)


def _rows(experiments: Sequence[Experiment]) -> int:
    """Rows of all experiments when complete; what they share counts once."""
    most: dict[tuple[str, str, int], int] = defaultdict(int)
    for experiment in experiments:
        setting = experiment.setting
        for start, replicates in experiment.runs:
            for n in experiment.sizes:
                key = setting.key, start, n
                most[key] = max(most[key], replicates * len(setting.budgets))
    return sum(most.values())


def _work(setting: AnySetting, block: Block) -> float:
    """Seconds a block may take on one core."""
    if isinstance(setting, DensitySetting):
        sample = DENSITY_SAMPLE_SECONDS
    elif setting.model.compressible:
        sample = SMOOTH_SAMPLE_SECONDS
    else:
        sample = SAMPLE_SECONDS * setting.model.dim
    trials = setting.trials if block.start == CONTROL else 1
    return len(block.replicates) * trials * (FIT_SECONDS + sample * block.n)


class _Pace:
    """Work in seconds: what is done as measured, what is left as measured for its setting so far.

    A degenerate expert takes a hundred times as long as a good one, which no formula foresees.
    """

    def __init__(self, jobs: Sequence[_Job]) -> None:
        self.left: dict[str, float] = defaultdict(float)
        self.guessed: dict[str, float] = defaultdict(float)
        self.took: dict[str, float] = defaultdict(float)
        for job in jobs:
            self.left[job.block.setting] += job.work

    def add(self, job: _Job, seconds: float) -> None:
        """A block took some seconds."""
        self.drop(job)
        self.guessed[job.block.setting] += job.work
        self.took[job.block.setting] += seconds

    def drop(self, job: _Job) -> None:
        """A block is not going to be computed."""
        key = job.block.setting
        self.left[key] = max(0.0, self.left[key] - job.work)

    @property
    def done(self) -> float:
        return sum(self.took.values())

    @property
    def total(self) -> float:
        guessed = sum(self.guessed.values())
        common = self.done / guessed if guessed else 1.0
        return self.done + sum(
            left * (self.took[key] / self.guessed[key] if self.guessed[key] else common)
            for key, left in self.left.items()
        )
