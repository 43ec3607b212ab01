"""Grids of a sweep file that are about densities: the truths of a file, each an experiment.

::

    [[grid]]
    truths = "deepseek-published"        # a file of truths, or one that comes with identkit
    only = ["T1", "T2"]                  # (all)
    fitted = {shared = 2, routed = 2}    # (those of the file)
    starts = ["local"]                   # local: copies of the truth plus noise; away: random

``sizes``, ``replicates``, ``control``, ``seed``, ``budgets`` ([100, 1000]), ``scale``, ``trials``
and ``label`` are as in other grids; the box is made around the truth
(:func:`identkit.rates.density_setting.density_box`), gate, experts and domain are the file's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from identkit.architecture.measures import OMEGA, in_decimals, routed_atom, shared_atom
from identkit.architecture.measures import Setting as Architecture
from identkit.architecture.records import ExactMeasure
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.errors import InputError
from identkit.expression import parse
from identkit.mixing import MixingMeasure
from identkit.rates.density_setting import NEAR, DensitySetting, density_box
from identkit.rates.setting import Experiment
from identkit.truths.record import Truth, load_truths

TRUTHS = "truths"
"""The key that makes a grid one of densities."""
DENSITY_KEYS = {
    TRUTHS, "only", "fitted", "sizes", "replicates", "control", "seed", "budgets", "label",
    "starts", "scale", "trials",
}  # fmt: skip
OWN_KEYS = {TRUTHS, "only", "fitted"}
"""Keys that other grids do not have."""


def density_experiments(
    where: str, values: Mapping[str, Any], folder: Path, progress: Callable[[str], None]
) -> Iterator[Experiment[DensitySetting]]:
    """The experiments of a grid. Raises InputError, naming the place."""
    name = values[TRUTHS]
    loaded = load_truths(folder / name if name.endswith(".toml") else name)
    for own in values.get("only", [t.name for t in loaded.truths]):
        truth = loaded[own]
        progress(f"reading truth {own}")
        label = f"{own}, {values['label']}" if "label" in values else own
        try:
            experiment = density_experiment(truth, values, label)
        except InputError as error:
            raise InputError(f"{where}, {label}: {error}") from None
        yield experiment


def density_experiment(
    truth: Truth, values: Mapping[str, Any], label: str
) -> Experiment[DensitySetting]:
    """The experiment of one truth; ``values`` are those of a grid. Raises InputError."""
    return Experiment(
        f"{label} / {truth.gate.name}", density_setting(truth, values), values["sizes"],
        values["replicates"], values.get("starts", (NEAR,)), values.get("control", 0),
    )  # fmt: skip


def density_setting(truth: Truth, values: Mapping[str, Any]) -> DensitySetting:
    """The setting of an exact truth, drawn from in decimals."""
    first, *more = truth.domain.intervals
    if more:
        raise InputError("domain: rates of densities have one interval for all inputs; give one.")
    low, high = map(float, first)
    shared, routed = truth.fitted
    fitted = values.get("fitted", {})
    atoms = (fitted.get("shared", shared), fitted.get("routed", routed))
    model = DensityModel.of(truth.expert, truth.gate.name, truth.gate.likelihood, truth.shared)
    measure = measure_of(truth)
    # a population minimiser of more atoms than the truth's is not known
    loss = None if truth.loss == "D4" and atoms[1] > len(truth.measure.routed) else truth.loss
    gate: Any = measure.routed.beta1[..., 0, :]
    sloped = bool((gate != 0).any())
    options = {k: values[k] for k in ("budgets", "scale", "trials", "seed") if k in values}
    setting = DensitySetting(
        model, measure, atoms, density_box(model, measure, atoms), loss=loss,
        regime=truth.gate.of_truth(sloped).code, domain=(low, high),
    )  # fmt: skip
    return replace(setting, **options) if options else setting


def measure_of(truth: Truth) -> DensityMeasure:
    """The measure in double precision."""
    exact = in_decimals(truth.measure)

    def numbers(atom: Any, block: str) -> list[float]:
        return [float(text) for text in dict(atom.weight)[block]]

    def eta(atoms: Any) -> list[list[float]]:
        return [[float(text) for _, text in atom.eta] for atom in atoms]

    routed = MixingMeasure(
        [numbers(atom, "beta0")[0] for atom in exact.routed],
        [numbers(atom, "beta1") for atom in exact.routed],
        eta(exact.routed),
    )
    variances = [float(atom.variance or "nan") for atom in exact.routed]
    if not exact.shared:
        return DensityMeasure(routed, variances)
    return DensityMeasure.with_shared(
        routed,
        variances,
        [numbers(atom, OMEGA)[0] for atom in exact.shared],
        eta(exact.shared),
        [float(atom.variance or "nan") for atom in exact.shared],
    )


def exact_measure(setting: Architecture, measure: DensityMeasure) -> ExactMeasure:
    """A measure in double precision as the exact numbers that its decimals are.

    The last ω is what the others leave of 1.
    """

    def number(value: Any) -> Any:
        return parse(str(Fraction(repr(float(value)))))

    slopes = [name for name, block in setting.numbers if block == "beta1"]
    routed, beside = [], []
    for i in range(measure.atoms[1]):
        gate = dict(zip(slopes, map(number, measure.routed.beta1[i]), strict=True))
        gate["beta0"] = number(measure.routed.beta0[i])
        names = setting.expert.parameters
        eta = dict(zip(names, map(number, measure.routed.eta[i]), strict=True))
        routed.append(routed_atom(setting, gate, eta, number(measure.variances[i])))
    if measure.shared is not None:
        omega = [number(w) for w in measure.omega]
        omega[-1] = 1 - sum(omega[:-1])
        names = setting.beside.parameters
        for i, weight in enumerate(omega):
            eta = dict(zip(names, map(number, measure.shared.eta[i]), strict=True))
            variance = number(measure.shared_variances[i])
            beside.append(shared_atom(setting, weight, eta, variance))
    return ExactMeasure(tuple(routed), tuple(beside))
