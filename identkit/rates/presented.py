"""Rate experiments from Python: what ``rates``, ``sweep``, ``runs`` and ``report`` do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from identkit.errors import InputError
from identkit.experts import Expert
from identkit.files import check_target
from identkit.fit.model import Model
from identkit.gates import Gate, RegimeCode, resolve
from identkit.presented import presented, presenting
from identkit.rates import density_result, result
from identkit.rates.density_plan import density_experiment
from identkit.rates.density_setting import NEAR, DensitySetting
from identkit.rates.page import write_page
from identkit.rates.plan import Plan, load_plan
from identkit.rates.running import Truth, experiment_of, named, needs_loss, observed, perform
from identkit.rates.setting import Experiment
from identkit.rates.store import Store
from identkit.rates.sweep import Progress
from identkit.rates.truth import load_truth
from identkit.rates.truth_search import search_truth
from identkit.report import rates_document, rates_report
from identkit.report.terminal import plain
from identkit.truths.record import Truth as ExactTruth
from identkit.truths.record import load_truths

SIZES = (1000, 3162, 10_000, 31_623, 100_000)
"""Sample sizes unless others are asked for: five, evenly spaced on a logarithmic scale."""


class RateResult(result.RateResult):
    """The answer of a rate experiment; see :func:`observe`. Prints as a report."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema ``identkit.rates/1`` (``/2`` of other blocks).

        Numbers that are not finite are null.
        """
        return rates_document.document(self)

    def __repr__(self) -> str:
        e = self.experiment
        return f"<RateResult: {e.name}: {self.fits:,} of {e.fits:,} fits>"

    def __str__(self) -> str:
        return plain(rates_report.terminal(self))


class DensityResult(density_result.DensityResult):
    """The answer of an experiment with densities. Prints as a report."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema ``identkit.density-rates/1``."""
        return rates_document.document(self)

    def __repr__(self) -> str:
        e = self.experiment
        return f"<DensityResult: {e.name}: {self.fits:,} of {e.fits:,} fits>"

    def __str__(self) -> str:
        return plain(rates_report.terminal(self))


observe = presenting(RateResult, result.observe)


def run_rates(
    expert: Expert | str,
    gate: Gate | str,
    *,
    shape: str | None = None,
    dim: int = 1,
    regime: RegimeCode = None,
    truth: Truth | str | os.PathLike[str] | None = None,
    sizes: Sequence[int] = SIZES,
    replicates: int = 80,
    starts: Sequence[str] = (),
    control: int = 16,
    k: int | None = None,
    noise: float | None = None,
    budgets: Sequence[int] = (),
    seed: int = 1,
    store: str | os.PathLike[str] | None = None,
    scheduler: str = "processes",
    workers: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> RateResult:
    """Fit simulated data at growing n, and hold the errors against the rates.

    Without a ``truth`` (a mixing measure, what :func:`search_truth` found, or its file) one is
    searched. ``sizes`` are three sample sizes n or more, each with ``replicates`` data sets; k
    atoms (one more than the truth's) are fitted from each of ``starts``. Noise, box, starts and
    budgets that are not given are chosen for the model. Fits are kept in the file ``store``, where
    the same call finds them again; without one they are dropped. ``progress`` is called after each
    block, ``stop`` asked now and then: the result then says that fits are missing (``complete``).

    >>> import identkit
    >>> truth = identkit.MixingMeasure([0.0], [[0.0]], [[1.0, 0.5]])
    >>> found = run_rates(
    ...     "tanh", "sigmoid", truth=truth, sizes=(100, 200, 400), replicates=2, control=0,
    ...     noise=0.1, budgets=(20,), scheduler="inline",
    ... )
    >>> found.complete, found.experiment.setting.k
    (True, 2)

    Raises :class:`~identkit.errors.InputError` for a gate without a Voronoi loss, options that do
    not fit together and a store that cannot be written.
    """
    gate = resolve(gate)
    needs_loss(gate)
    if isinstance(truth, str | os.PathLike):
        truth = load_truth(truth)
        regime = truth.regime if regime is None else regime
    model = Model.of(expert, gate, dim if isinstance(expert, str) else None, shape)
    regime = gate.chosen(regime).code
    if truth is None:
        truth = search_truth(model, regime=regime, seed=seed)
    experiment = experiment_of(
        model, regime, truth, sizes, replicates,
        starts=starts, control=control, k=k, noise=noise, budgets=budgets, seed=seed,
    )  # fmt: skip
    return _one(experiment, store, scheduler, workers, device, progress, stop)


def run_density_rates(
    truth: ExactTruth | str | os.PathLike[str],
    *,
    only: str | None = None,
    sizes: Sequence[int] = SIZES,
    replicates: int = 80,
    starts: Sequence[str] = (NEAR,),
    control: int = 16,
    k: int | None = None,
    k_shared: int | None = None,
    budgets: Sequence[int] = DensitySetting.budgets,
    seed: int = 1,
    store: str | os.PathLike[str] | None = None,
    scheduler: str = "processes",
    workers: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> DensityResult:
    """Maximum likelihood of simulated data at growing n, and the errors beside the rates.

    ``truth`` is what :func:`~identkit.rates.density_search.search_density_truth` found, a .toml
    file of truths or the name of a shipped one, of which ``only`` chooses one; it says model,
    domain and how many atoms are fitted, unless ``k`` (routed) and ``k_shared`` do. ``starts`` are
    "local" and "away". Other arguments as in :func:`run_rates`.

    >>> found = run_density_rates(
    ...     "deepseek-repaired", only="R2", sizes=(100, 200, 400), replicates=2, control=0,
    ...     budgets=(20,), scheduler="inline",
    ... )
    >>> found.complete, found.experiment.setting.atoms
    (True, (2, 3))

    Raises :class:`~identkit.errors.InputError` for options that do not fit together and a store
    that cannot be written.
    """
    if not isinstance(truth, ExactTruth):
        truth = load_truths(truth).chosen(only)
    elif only is not None:
        raise InputError("only: one truth is given already; leave it out.")
    given = {"shared": k_shared, "routed": k}
    values = {
        "sizes": tuple(sizes), "replicates": replicates, "control": control, "seed": seed,
        "starts": tuple(starts), "budgets": tuple(budgets),
        "fitted": {half: count for half, count in given.items() if count is not None},
    }  # fmt: skip
    experiment = density_experiment(truth, values, truth.name)
    return _one(experiment, store, scheduler, workers, device, progress, stop)


def run_sweep(
    plan: Plan | str | Path,
    store: str | os.PathLike[str] | None = None,
    *,
    scheduler: str = "processes",
    workers: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[RateResult]:
    """Run all experiments of a plan, resumable: a result for each, in the plan's order.

    Those of densities are a :class:`DensityResult`.

    ``plan`` is a TOML file, the name of a shipped one (:func:`identkit.rates.presets`) or read
    already. Fits are kept in ``store``, by default ``<name of the plan>.sqlite``; those that are
    there are not repeated. Other arguments as in :func:`run_rates`.

    >>> run_sweep("no-such-plan")
    Traceback (most recent call last):
    identkit.errors.InputError: ...

    Raises :class:`~identkit.errors.InputError` for the first mistake in the plan, and where the
    store cannot be written.
    """
    plan = plan if isinstance(plan, Plan) else load_plan(plan)
    with Store.open(f"{plan.name}.sqlite" if store is None else store) as kept:
        return _results(
            list(plan.experiments), kept, scheduler, workers, device, progress, stop
        )  # fmt: skip


def _one(experiment: Experiment, store: str | os.PathLike[str] | None, *how: Any) -> Any:
    """The result of one experiment, in the file ``store`` or in one that is dropped."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(Path(folder, "fits.sqlite") if store is None else store) as kept,
    ):
        return _results([experiment], kept, *how)[0]


def _results(
    experiments: list[Experiment],
    store: Store,
    scheduler: str,
    workers: int | None,
    device: str,
    progress: Progress | None,
    stop: Callable[[], bool] | None,
) -> list[RateResult]:
    perform(
        experiments, store,
        scheduler=scheduler, workers=workers, device=device, progress=progress, stop=stop,
    )  # fmt: skip
    return [_presented(observed(e, store)) for e in experiments]


def _presented(found: result.RateResult | density_result.DensityResult) -> Any:
    kind = DensityResult if isinstance(found, density_result.DensityResult) else RateResult
    return presented(kind, found)


def stored_results(store: str | os.PathLike[str], name: str | None = None) -> list[RateResult]:
    """What the fits in a store's file say, for all its experiments or those of a ``name``.

    A name is an experiment's, a part of it, or the begin of a key. Raises
    :class:`~identkit.errors.InputError` for a file that is no store and a name that is not there.
    """
    with Store.open(store, read_only=True) as kept:
        return [_presented(observed(e, kept)) for e in named(kept.experiments(), name)]


def write_report(
    store: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    progress: Callable[[int, int, str], object] | None = None,
) -> str:
    """One HTML page of a store: verdicts, figures, certificates. Returns where it is.

    ``out`` and ``title`` are made from the store's name where they are not given. ``progress`` is
    called with (experiments read, all, name of the last). Raises
    :class:`~identkit.errors.InputError` for a store that cannot be read or is empty, for an ``out``
    that cannot be written, and without matplotlib.
    """
    stem, _ = os.path.splitext(store)
    path = os.fspath(out or f"{stem}.html")
    check_target(path, path)
    with Store.open(store, read_only=True) as kept:
        experiments = kept.experiments()
        if not experiments:
            raise InputError(f"{store}: it holds no experiment; run one first.")
        results = []
        for i, experiment in enumerate(experiments):
            results.append(observed(experiment, kept))
            if progress is not None:
                progress(i + 1, len(experiments), experiment.name)
    write_page(path, results, title=title or os.path.basename(stem), store=store)
    return path
