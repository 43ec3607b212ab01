"""Rate experiments from their options to their results: defaults, the run, what the rows show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from identkit.errors import InputError, unknown_name
from identkit.fit.engine import Compute
from identkit.fit.model import Model
from identkit.gates import Gate, RegimeCode, known_gates
from identkit.mixing import MixingMeasure
from identkit.rates import density_predictions, predictions
from identkit.rates.conditioned import conditioning
from identkit.rates.density_result import DensityResult, observe_density
from identkit.rates.density_setting import DensitySetting
from identkit.rates.plan import defaults, experiment_name
from identkit.rates.quantities import checked
from identkit.rates.result import Observed, RateResult, observe
from identkit.rates.scheduling import scheduler as scheduler_of
from identkit.rates.setting import Experiment, Setting, check_likelihood, needs_errors
from identkit.rates.store import Store
from identkit.rates.suggested import suggested_box, suggested_noise
from identkit.rates.sweep import Outcome, Progress
from identkit.rates.sweep import run as run_blocks
from identkit.rates.truth import TruthFile
from identkit.rates.truth_search import Found
from identkit.vocabulary import Basis, Judgement

Truth = TruthFile | Found | MixingMeasure


def needs_loss(gate: Gate) -> None:
    """Raise InputError for a gate without errors to observe, or a likelihood without rates."""
    check_likelihood(gate)
    gate.needs_weights("fit")
    if not gate.has_loss and gate.selection is None:  # of a selection f can be observed
        raise InputError(
            f"--gate '{gate.name}': no Voronoi loss is known for this gate, so there are no errors "
            f"to observe; use {known_gates(lambda g: g.has_loss)}."
        )


def experiment_of(
    model: Model,
    regime: RegimeCode,
    truth: Truth,
    sizes: Sequence[int],
    replicates: int = 80,
    *,
    starts: Sequence[str] = (),
    control: int = 16,
    k: int | None = None,
    noise: float | None = None,
    budgets: Sequence[int] = (),
    seed: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Experiment:
    """The experiment of these options; what they leave open is chosen here.

    Noise and box come from the truth's file or search where k* + 1 atoms are fitted, which they
    are for, and are suggested otherwise; starts and the flatness at which a fit is left are the
    usual ones of the expert. Raises InputError.
    """
    usual = defaults(model, regime, progress=progress)
    if isinstance(truth, MixingMeasure):
        truth = TruthFile(truth)
    if isinstance(truth, TruthFile):
        truth.check(model)
    measure, over = truth.truth, truth.over or 0
    model = model.grouped(measure.layout.groups)
    k = measure.atoms + 1 if k is None else k
    most = max(k, measure.atoms)
    needs_errors(model.gate, measure.atoms, k)
    given = truth if k == measure.atoms + 1 else None
    box = None if given is None else given.box
    noise = given.noise if noise is None and given is not None else noise
    if noise is None and not model.gate.is_affine:
        raise InputError(
            f"noise: none is suggested for gate {model.gate.name}; give one, such as --noise 0.01."
        )
    if noise is None:
        spread = conditioning(model, measure, over=over, k=most, regime=regime)
        noise = suggested_noise(spread, sizes[0], model.free(k))
    setting = Setting(
        model,
        regime,
        measure,
        k,
        noise,
        suggested_box(model, measure, over=over, k=most) if box is None else box,
        over=over,
        budgets=tuple(budgets) or Setting.budgets,
        seed=seed,
        flat=usual.flat,
    )
    name = experiment_name(model, regime)
    return Experiment(
        name, setting, tuple(sizes), replicates, tuple(starts) or usual.starts, control
    )


def perform(
    experiments: Sequence[Experiment],
    store: Store,
    *,
    scheduler: str = "processes",
    workers: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Compute what the store lacks of the experiments; see :func:`identkit.rates.run`."""
    with scheduler_of(scheduler, workers) as chosen:
        compute = Compute(device=device)
        return run_blocks(experiments, store, chosen, compute, progress, stop)


def observed(experiment: Experiment, store: Store) -> RateResult | DensityResult:
    """What the rows in a store say of an experiment."""
    key = experiment.setting.key
    if isinstance(experiment.setting, DensitySetting):
        return observe_density(experiment, store.rows(key), store.environments(key))
    return observe(experiment, store.rows(key), store.environments(key))


def named(experiments: list[Experiment], name: str | None) -> list[Experiment]:
    """The experiments of this name, else with it in their names, or whose key begins with it.

    All without a name. Raises InputError where there is none.
    """
    if name is None:
        return experiments
    found = [e for e in experiments if e.name == name]
    found = found or [e for e in experiments if name in e.name or e.setting.key.startswith(name)]
    if not found:
        raise unknown_name("experiment", name, [e.name for e in experiments])
    return found


def check_requirement(experiment: Experiment, which: str | None) -> None:
    """Raise InputError where there are no ``published`` or ``derived`` rates to require."""
    if which is None:
        return
    setting = experiment.setting
    if isinstance(setting, DensitySetting):
        rates = (
            density_predictions.published(setting)
            if which == Basis.PUBLISHED
            else density_predictions.derived(setting, experiment.starts[0])
        )
    else:
        results = checked(setting).results
        rates = (
            predictions.published(setting, results[0])
            if which == Basis.PUBLISHED
            else predictions.derived(
                setting, results[0], experiment.starts[0], {r.condition: r.verdict for r in results}
            )
        )
    if not rates:
        raise InputError(f"--require {which}: no {which} rate is known here; drop it.")


def required(result: Observed, which: str | None) -> int:
    """0 met, 1 not, 3 undecided: by the quantities from the first kind of start."""
    if which is None:
        return 0
    first = result.experiment.starts[0]
    said = [getattr(v, f"against_{which}") for v in result.verdicts if v.start == first]
    return 1 if Judgement.INCONSISTENT in said else 3 if Judgement.INCONCLUSIVE in said else 0
