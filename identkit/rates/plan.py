"""Sweep files: TOML that says which experiments to run.

::

    # A line about the sweep, shown by `presets()`.
    name = "gelu-and-relu"
    sizes = {from = 1000, to = 100000, count = 5}   # or a list: [1000, 3162, 10000]
    replicates = 160
    control = 8               # replicates started away from the truth, in addition (0)
    seed = 1                  # (1)

    [[grid]]                  # every expert × gate × regime is an experiment
    experts = ["gelu", {name = "gelu", shape = "ffn"}, {expr = "c*tanh(a*x + b)"}]
    gates = ["sigmoid", "softmax"]
    regimes = ["sparse"]      # (all of the gate; sigmoid also has 1 and 2, softmax none)
    starts = ["local"]        # kinds of start, the first one gives the verdict (by `defaults`)
    k = 3                     # fitted atoms (one more than the truth has)
    noise = 0.003             # standard deviation
    truth = "search"          # a well-conditioned one with its noise and box ("search")

    [[grid]]                  # other gates have their own blocks (identkit gates NAME)
    experts = ["gelu"]
    gates = ["hierarchical"]
    truth = {groups = [1, 2], beta0 = [0, 1, 0], beta1 = [[0], [2], [0]], alpha0 = [0, 0],
             alpha1 = [[1], [0]], eta = [[2, 0.7], [-4, 1.2], [1, -1]]}
    box = {alpha1 = 10, alpha0 = [-2, 4]}
    noise = 0.01

    [[grid]]
    experts = [{expr = "a*x + b*y", params = ["a", "b", "y"]}]
    gates = ["sigmoid"]
    regimes = [1]
    truth = {beta0 = [1, -1], beta1 = [[0], [-4.5]], eta = [[2.2, 0.7, 0], [-4, 1.25, 1]]}
    box = {beta0 = [-1.5, 4], beta1 = 10, eta = 10}   # [low, high], or b for ±b
    noise = 0.01
    label = "by hand"         # tells experiments of the same expert and gate apart

All keys but ``name`` and ``grid`` may stand in a grid or, for all grids, above the first. The
others: ``dim`` inputs of built-in experts (1); ``truth = "file.json"``, a saved truth or mixing
measure, relative to the sweep file; ``over`` the true atom, from 0, that copies start at (0);
``budgets`` step limits ([300, 3000]) and ``flat`` (by :func:`defaults`); ``scale`` of starts (0.1),
``spread`` of ``split`` ones (0.4), ``trials`` of a control (5), ``domain`` of each input ([-3, 3]).

An experiment is named "expert[, label] / gate[ regime r]". A grid with ``truths`` is one of
densities: :mod:`identkit.rates.density_plan`.
"""

from __future__ import annotations

import io
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from identkit.errors import InputError, shown, unknown_name
from identkit.experts import Expert
from identkit.files import read_whole, regular
from identkit.fit.model import Model
from identkit.gates import Gate, RegimeCode
from identkit.mixing import MixingMeasure
from identkit.rate import NONE
from identkit.rates import truth_search
from identkit.rates.density_plan import (
    DENSITY_KEYS,
    OWN_KEYS,
    TRUTHS,
    density_experiments,
)
from identkit.rates.plan_values import KEYS, SEARCH, brief, plain_error, read_values
from identkit.rates.quantities import check_once
from identkit.rates.setting import Experiment, Setting, is_null, needs_errors
from identkit.rates.suggested import suggested_box
from identkit.rates.truth import load_truth

MOST_BYTES = 2**20
DRIFTING_FLAT = 1e-8

_FILE_NAME = re.compile(r"\w[\w .+=,()&-]{0,99}")
"""What a plan may be called: its store is a file of that name in the current folder."""

Progress = Callable[[str], None]
"""Told what is being computed, which may take seconds: proofs and searches for truths."""


@dataclass(frozen=True)
class Plan:
    """The experiments of a sweep file and its text, to be kept with the results."""

    name: str
    experiments: tuple[Experiment, ...]
    source_text: str


def load_plan(source: str | Path, progress: Progress | None = None) -> Plan:
    """The plan of a sweep file, or of a preset by its name.

    Raises :class:`~identkit.errors.InputError` for the first mistake, naming file, table and key.
    """
    label, folder, text = _source(source)
    document = _Parsed(label, _toml(label, text))
    experiments: dict[str, Experiment] = {}
    for grid in document.grids():
        for experiment in grid.experiments(folder, progress or (lambda label: None)):
            if experiment.name in experiments:
                raise InputError(
                    f"{grid.where}: experts: there is an experiment '{experiment.name}' already; "
                    'leave one out, or add a label = "…" to this grid.'
                )
            experiments[experiment.name] = experiment
    return Plan(document.name, tuple(experiments.values()), text)


def presets() -> dict[str, str]:
    """Name -> description of the sweeps that come with identkit, the first line of each file."""
    found = {}
    for path in _preset_folder().iterdir():
        if path.name.endswith(".toml"):
            first = path.read_text(encoding="utf-8").partition("\n")[0]
            found[path.name.removesuffix(".toml")] = first.lstrip("# ").rstrip()
    return dict(sorted(found.items()))


def preset_text(name: str) -> str:
    """The file of a preset. Raises InputError for an unknown one."""
    if name not in presets():
        raise unknown_name("preset", name, presets())
    return _preset_folder().joinpath(f"{name}.toml").read_text(encoding="utf-8")


class Defaults(NamedTuple):
    """``flat`` of the fits, and the kinds of starts."""

    flat: float
    starts: tuple[str, ...]


def defaults(
    model: Model,
    regime: RegimeCode,
    domain: tuple[float, float] = (-3.0, 3.0),
    progress: Progress | None = None,
) -> Defaults:
    """How a model is fitted, by what is proved of it, which may take seconds.

    Along an exact family fits drift for ever: they end where the cost no longer falls, and
    ``split`` starts show the continuum. So do they in a dense regime, where f* may have refits;
    ``null`` starts reach these, ``local`` ones are often caught in a local minimum. Elsewhere fits
    go on to the minimum: stopped early, slopes are too steep (benchmarks/README.md).
    """
    if progress is not None:
        progress(f"checking {model.expert.label} under {model.gate.name}")
    rate = check_once(model.expert, model.gate.name, regime, *domain).results[0].rate
    if model.gate.chosen(regime).order == 1:
        null = ("null",) if is_null(model, domain) else ()
        return Defaults(DRIFTING_FLAT, (*null, "local"))
    if rate is not None and rate.derived == NONE:
        return Defaults(DRIFTING_FLAT, ("split",))
    return Defaults(0.0, ("local",))


def experiment_name(model: Model, regime: RegimeCode, label: str = "") -> str:
    """expert[, label] / gate[ regime r]."""
    which = f"{model.expert.label}, {label}" if label else model.expert.label
    return f"{which} / {model.gate.name}" + ("" if regime is None else f" regime {regime}")


# -- the file ---------------------------------------------------------------------------------


def _preset_folder() -> Any:
    return resources.files("identkit.rates").joinpath("presets")


def _source(source: str | Path) -> tuple[str, Path, str]:
    """What to call a plan, the folder its paths start from, and its text."""
    name, path = str(source), Path(source)
    if path.suffix != ".toml" and len(path.parts) == 1 and not os.path.isfile(path):
        if name not in presets():
            error = unknown_name("preset", name, presets())
            raise InputError(f"{error} A sweep file of your own ends in .toml.")
        path = Path(str(_preset_folder().joinpath(f"{name}.toml")))
        name = path.name
    try:
        if os.path.exists(path) and not os.path.isdir(path):
            regular(path, name)  # a pipe or a device may never end
        text = io.StringIO(read_whole(path, MOST_BYTES).decode(), newline=None).getvalue()
        return name, path.resolve().parent, text
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(f"{name}: is not text in UTF-8; save it as that.") from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        known = ", ".join(presets())
        raise InputError(
            f"{name}: cannot be read ({reason}); give a .toml file or a preset ({known})."
        ) from None


def _toml(label: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{label}: is not TOML: {reason}; correct that place.") from None


class _Parsed:
    """A file whose keys and values are well-formed, one by one."""

    def __init__(self, label: str, document: dict[str, Any]) -> None:
        self.label = label
        grids = document.pop("grid", None)
        name = document.pop("name", None)
        self.defaults = read_values(f"{label}: top level", document, {"name", "grid", *KEYS})
        if not isinstance(name, str) or not name.strip():
            raise InputError(f'{label}: top level: name: give a text, as in name = "gelu".')
        self.name = name.strip()
        if not _FILE_NAME.fullmatch(self.name) or shown(self.name) != self.name:
            raise InputError(
                f"{label}: top level: name: {brief(name)} names the store as well; use letters, "
                "digits, blanks and - _ . only, a letter or digit first, at most 100."
            )
        if not isinstance(grids, list) or not grids or not all(isinstance(g, dict) for g in grids):
            raise InputError(
                f"{label}: grid: write one or more tables under [[grid]], with experts and gates."
            )
        self._grids = [
            _Grid(f"{label}: [[grid]] {i}", self._complete(f"{label}: [[grid]] {i}", grid))
            for i, grid in enumerate(grids, start=1)
        ]

    def _complete(self, where: str, grid: dict[str, Any]) -> dict[str, Any]:
        values = {**self.defaults, **read_values(where, grid, set(KEYS))}
        density = TRUTHS in values
        other = sorted(set(grid) - DENSITY_KEYS if density else set(grid) & OWN_KEYS)
        if other:
            whose = "other grids" if density else f"grids with {TRUTHS}"
            raise InputError(f"{where}: {other[0]}: is a key of {whose}; leave it out.")
        for key, example in _REQUIRED.items():
            if key not in values and not (density and key in ("experts", "gates")):
                raise InputError(f"{where}: {key}: is missing; write, say, {key} = {example}.")
        return values

    def grids(self) -> list[_Grid]:
        return self._grids


_REQUIRED = {
    "experts": '["gelu"]',
    "gates": '["sigmoid"]',
    "sizes": "{from = 1000, to = 100000, count = 5}",
    "replicates": "160",
}


# -- grids ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grid:
    """A grid whose values are well-formed; together they may still make no sense."""

    where: str
    values: dict[str, Any]

    def experiments(self, folder: Path, progress: Progress) -> Iterator[Experiment]:
        """What the grid asks for, one after the other."""
        if TRUTHS in self.values:
            yield from density_experiments(self.where, self.values, folder, progress)
            return
        for expert in self._experts():
            for gate in self.values["gates"]:
                for regime in self._regimes(gate):
                    name = self._name(expert, gate, regime)
                    try:
                        yield self._experiment(name, Model(expert, gate), regime, folder, progress)
                    except InputError as error:
                        raise InputError(f"{self.where}, {name}: {error}") from None

    def _experts(self) -> Iterator[Expert]:
        for make in self.values["experts"]:
            try:
                yield make(self.values.get("dim"))
            except InputError as error:
                raise InputError(f"{self.where}: experts: {plain_error(error)}") from None

    def _regimes(self, gate: Gate) -> tuple[RegimeCode, ...]:
        codes = tuple(r.code for r in gate.regimes)
        if codes == (None,):
            return codes
        chosen = self.values.get("regimes", codes)
        return tuple(gate.chosen(r, f"{self.where}: regimes:").code for r in chosen)

    def _name(self, expert: Expert, gate: Gate, regime: RegimeCode) -> str:
        return experiment_name(Model(expert, gate), regime, self.values.get("label", ""))

    def _experiment(
        self, name: str, model: Model, regime: RegimeCode, folder: Path, progress: Progress
    ) -> Experiment:
        found = self._truth(name, model, regime, folder, progress)
        given = {**found, **self.values, "truth": found["truth"]}
        if "noise" not in given:
            raise InputError("noise: is missing; write, say, noise = 0.003.")
        options = {key: given[key] for key in _OPTIONS if key in given}
        truth = given["truth"]
        k = given.get("k", truth.atoms + 1)
        model = model.grouped(truth.layout.groups)
        needs_errors(model.gate, truth.atoms, k)
        box = given.get("box") or suggested_box(
            model, truth, over=given.get("over", 0), k=max(k, truth.atoms)
        )
        setting = Setting(model, regime, truth, k, given["noise"], box, **options)
        starts = given.get("starts")
        if "flat" not in given or starts is None:
            usual = defaults(model, regime, setting.domain, progress)
            setting = replace(setting, flat=given.get("flat", usual.flat))
            starts = starts or usual.starts
        return Experiment(
            name, setting, given["sizes"], given["replicates"], starts, given.get("control", 0)
        )

    def _truth(
        self, name: str, model: Model, regime: RegimeCode, folder: Path, progress: Progress
    ) -> dict[str, Any]:
        """The truth, and what comes with it."""
        truth = self.values.get("truth", SEARCH)
        if isinstance(truth, dict):
            return {"truth": measure_of(model, truth)}
        if truth == SEARCH:
            progress(f"searching a truth for {name}")
            found: Any = truth_search.search_truth(
                model, regime=regime, over=self.values.get("over", 0),
                seed=self.values.get("seed", Setting.seed),
                domain=self.values.get("domain", Setting.domain),
                atoms=max(2, self.values.get("over", 0) + 1),
            )  # fmt: skip
        else:
            found = load_truth(folder / truth)
            found.check(model)
        named = {key: getattr(found, key) for key in ("truth", "noise", "box", "over")}
        return {key: value for key, value in named.items() if value is not None}


def measure_of(model: Model, values: Mapping[str, Any]) -> MixingMeasure:
    """The truth that a table holds by blocks, and its groups. Raises InputError."""
    blocks = {name: value for name, value in values.items() if name != "groups"}
    layout = model.gate.layout(model.dim, len(model.parameters), values.get("groups", ()))
    names = [b.name for b in layout.listed]
    missing = [name for name in names if name not in blocks]
    if missing:
        raise InputError(
            f"truth: {missing[0]} is missing; a truth of gate {model.gate.name} has "
            f"{', '.join(names)}."
        )
    extra = [name for name in blocks if name not in names]
    if extra:
        raise InputError(f"truth: {unknown_name('key', extra[0], names)}")
    try:
        if layout.standard:
            return MixingMeasure(**blocks)
        return MixingMeasure.of(layout, blocks)
    except InputError as error:
        raise InputError(f"truth: {error}") from None


_OPTIONS = ("over", "budgets", "flat", "scale", "spread", "trials", "domain", "seed")
"""Keys of a grid that are fields of the setting under the same name."""
