"""What is run: a setting, which determines every fit, and an experiment, which says how many.

The key of a setting is a hash of all that a fit depends on besides (start, n, replicate, budget):
model, truth, noise, box, seed, …; not of the sizes and the number of replicates. A longer run of
the same setting therefore finds the fits that are there already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError, unknown_name, whole
from identkit.experts import Expert
from identkit.fit.model import Model
from identkit.fit.objective import objective_of
from identkit.fit.result import Box
from identkit.gates import Gate, Regime, RegimeCode, Situation, resolve
from identkit.likelihoods import LEAST_SQUARES
from identkit.mixing import MixingMeasure
from identkit.rates.density_setting import DENSITY_SCHEMA, DensitySetting, key_of
from identkit.simulation import STARTS, Simulation

SCHEMA = "identkit.setting/1"
CONTROL = "away"
"""The kind of start of a control run: without regard to the truth."""
MOST_REPLICATES, MOST_SIZES, MOST_SAMPLES = 100_000, 100, 10_000_000


def check_likelihood(gate: Gate) -> None:
    """Raise InputError for a likelihood under which nothing is fitted, or no rate is observed.

    Settings and stores name a gate alone, so what they hold is under least squares.
    """
    objective_of(gate)
    if gate.likelihood != LEAST_SQUARES:
        raise InputError(
            f"likelihood {gate.likelihood}: rates are observed under {LEAST_SQUARES} alone; use "
            "that one."
        )


def needs_errors(gate: Gate, atoms: int, k: int) -> None:
    """Raise InputError where no errors of k atoms can be observed, the truth having ``atoms``.

    The error of f can be under every gate that is fitted; without a Voronoi loss nothing is said
    of parameters, and more atoms than the truth's would be fitted for nothing.
    """
    gate.needs_weights("fit")
    if not gate.has_loss and k > atoms:
        raise InputError(
            f"k: {k} atoms are more than the {atoms} of the truth, but no Voronoi loss is known "
            f"for gate {gate.name}; fit {atoms}, then the error of f is observed."
        )


@dataclass(frozen=True, eq=False)
class Setting:
    """Data Y = f_truth(X) + noise·N(0, 1) and the estimator: k atoms in a box, from some start.

    ``regime`` is the gate's, kept by its code; ``over`` the true atom that copies of the start
    sit at; ``budgets`` step limits in increasing order, each fit goes on where the last one
    stopped; ``flat`` as in :func:`identkit.fit.least_squares`; ``scale`` the standard deviation of
    starts around the truth, ``spread`` how far a ``split`` start spreads scales; ``trials`` the
    starts of a control run, of which the best counts.

    Raises :class:`~identkit.errors.InputError` for what does not fit together, an infinite box
    (Θ is compact in the theorems) and a box without the truth: estimates then stop at its boundary.
    """

    model: Model
    regime: RegimeCode
    truth: MixingMeasure
    k: int
    noise: float
    box: Box
    over: int = 0
    budgets: tuple[int, ...] = (300, 3000)
    flat: float = 0.0
    scale: float = 0.1
    spread: float = 0.4
    trials: int = 5
    domain: tuple[float, float] = (-3.0, 3.0)
    seed: int = 1

    def __post_init__(self) -> None:
        gate = self.model.gate
        check_likelihood(gate)
        needs_errors(gate, self.truth.atoms, self.k)
        case = gate.chosen(self.regime)
        if self.regime is None and case.code is not None:
            raise InputError(f"regime: the {gate.name} gate has several; name one of them.")
        object.__setattr__(self, "regime", case.code)
        if self.truth.layout.groups:  # the model is that of the truth
            object.__setattr__(self, "model", self.model.grouped(self.truth.layout.groups))
        self.model.pack(self.truth)
        if self.truth.batch:
            raise InputError("truth: it is a batch of measures; give one.")
        if not self.truth.atoms <= self.k <= 100:
            raise InputError(
                f"k: {self.k} atoms must be at least the truth's {self.truth.atoms}, at most 100."
            )
        if not 0 <= self.over < self.truth.atoms:
            raise InputError(
                f"over: the truth has no atom {self.over}; its {self.truth.atoms} are counted "
                "from 0."
            )
        if not (np.isfinite(self.noise) and self.noise > 0):
            raise InputError(f"noise: {self.noise:g} must be a standard deviation above 0.")
        budgets = self.budgets
        if not budgets or budgets[0] < 1 or any(a >= b for a, b in pairwise(budgets)):
            raise InputError(f"budgets: {list(budgets)} must be step limits in increasing order.")
        for name in ("flat", "scale", "spread"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name}: {value:g} must be 0 or more.")
        for name in ("k", "trials"):
            whole(name, getattr(self, name), least=1)
        for budget in self.budgets:
            whole("budgets", budget, least=1)
        whole("over", self.over, least=0)
        whole("seed", self.seed, least=0)
        low, high = self.domain
        if not (np.isfinite([low, high]).all() and low < high):
            raise InputError(f"domain: [{low:g}, {high:g}] must be two numbers, the smaller first.")
        self._check_regime()
        self._check_box()

    def _check_regime(self) -> None:
        """The premise on the over-specified true atom."""
        sloped = self.situation.sloped[self.over]
        if self.k > self.truth.atoms and not self.case.admits(sloped):
            raise InputError(
                f"truth: {self.case.title} needs β1* {self.case.needs} at the over-specified atom "
                f"{self.over}; change the truth, the regime or the atom."
            )

    def _check_box(self) -> None:
        """Finite, with the truth in it, and the truth with k atoms where copies share its gate."""
        for measure, which in ((self.truth, "the truth"), (self.centre, "the truth with k atoms")):
            model = self.model.grouped(measure.layout.groups)
            low, high = self.box.bounds(model, measure.atoms)
            if not np.isfinite([low, high]).all():
                raise InputError("box: it must be finite, the theorems ask for a compact one.")
            # estimates are in the coordinates in which the last atom's gate is 0
            vector = self.model.gate.held(measure).to_vector()
            outside = np.flatnonzero((vector < low) | (vector > high))
            if len(outside):
                i = int(outside[0])
                atom, name = model.layout.numbers(model.parameters, measure.atoms)[i]
                of = "" if atom is None else f" of atom {atom}"
                raise InputError(
                    f"box: it leaves out {which}, {name} = {vector[i]:.4g}{of}; widen it, else the "
                    "errors level off."
                )

    @property
    def case(self) -> Regime:
        """The regime itself."""
        return self.model.gate.chosen(self.regime)

    @property
    def situation(self) -> Situation:
        """What the caveats of the regime's theorem look at."""
        sloped = sloped_atoms(self.truth)
        return Situation(self.k, tuple(map(bool, sloped)), self.over)

    @property
    def fitted(self) -> Model:
        """The model of k atoms: where atoms are in groups, that of ``over`` has the others."""
        return self._alone.fitted(self.k, self.over)

    @property
    def _alone(self) -> Simulation:
        return Simulation(self.model, self.truth, 1, 1, 0.0, 0, self.domain)

    @property
    def shared(self) -> bool:
        """Whether several fitted atoms can come to lie on a true one."""
        return self.case.order != 1

    @property
    def centre(self) -> MixingMeasure:
        """k atoms with f = f_G*, copies sharing the weight of ``over``, or the truth."""
        if not self.shared or self.k == self.truth.atoms:
            return self.truth
        return self._alone.starts(self.k, 0.0, over=self.over)[0]

    @property
    def gate(self) -> Gate:
        """The gate of the model."""
        return self.model.gate

    @property
    def expert_label(self) -> str:
        """The expert in print."""
        return self.model.expert.label

    @property
    def length(self) -> int:
        """Numbers that are estimated."""
        return self.fitted.layout.length(self.k)

    @property
    def columns(self) -> list[str]:
        """A name for each estimate."""
        return self.model.layout.columns(self.model.parameters, self.k)

    def check_start(self, kind: str) -> None:
        """Raise InputError for a kind of start that is none, or not for this expert."""
        if kind not in STARTS:
            raise unknown_name("start", kind, STARTS)
        if kind == "null" and not is_null(self.model, self.domain):
            raise InputError(
                f"starts: null: {self.model.expert.label} is not 0 where its parameters "
                "are 0; leave that kind out."
            )

    def document(self) -> dict[str, Any]:
        """The canonical JSON form."""
        return {
            "schema": SCHEMA,
            "expert": self.model.expert.canonical(),
            "family": self.model.expert.family,
            "gate": self.model.gate.name,
            "regime": self.regime,
            "truth": self.truth.to_dict(),
            "k": self.k,
            "noise": float(self.noise),
            "box": self.box.document(self.model),
            "over": self.over,
            "budgets": list(self.budgets),
            "flat": float(self.flat),
            "scale": float(self.scale),
            "spread": float(self.spread),
            "trials": self.trials,
            "domain": [float(v) for v in self.domain],
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        """The hash of the canonical form."""
        return key_of(self.document())

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Setting:
        """The inverse of :meth:`document`."""
        e = document["expert"]
        expert = Expert(
            e["name"], e["expression"], tuple(e["inputs"]), tuple(e["parameters"]), e["shape"],
            document["family"],
        )  # fmt: skip
        box, truth = document["box"], MixingMeasure.from_dict(document["truth"])
        return cls(
            Model(expert, resolve(document["gate"]), truth.layout.groups),
            document["regime"],
            truth,
            document["k"],
            document["noise"],
            Box.of(box),
            document["over"],
            tuple(document["budgets"]),
            document["flat"],
            document["scale"],
            document["spread"],
            document["trials"],
            (document["domain"][0], document["domain"][1]),
            document["seed"],
        )


def sloped_atoms(truth: MixingMeasure) -> NDArray[np.bool_]:
    """Which atoms have a gate that depends on x; all, where that is not β1's to say."""
    if "beta1" not in truth.layout:
        return np.ones(truth.atoms, dtype=bool)
    return (truth.beta1 != 0).any(axis=-1)


def is_null(model: Model, domain: tuple[float, float]) -> bool:
    """Whether h(·, 0) is 0 at some points of the domain, to rounding: what a null start needs."""
    x = np.tile(np.linspace(*domain, 33)[:, None], (1, model.dim))
    plain = Model(model.expert, resolve("softmax"))  # h is the same under every gate
    zero = MixingMeasure([0.0], np.zeros((1, model.dim)), np.zeros((1, len(model.parameters))))
    with np.errstate(all="ignore"):
        return bool((np.abs(plain.experts(zero, x)) <= 1e-12).all())


AnySetting = Setting | DensitySetting
S = TypeVar("S", bound=AnySetting)


def setting_from(document: Mapping[str, Any]) -> AnySetting:
    """The setting of a canonical form, of least squares or of densities."""
    if document.get("schema") == DENSITY_SCHEMA:
        return DensitySetting.from_document(document)
    return Setting.from_document(document)


@dataclass(frozen=True, eq=False)
class Experiment(Generic[S]):
    """A setting run at several sizes n, from some kinds of starts, with replicates.

    ``starts``: kinds of :data:`identkit.simulation.STARTS`, the first is the one verdicts are read
    from. ``control`` replicates start away from the truth in addition (0: none).

    The n-grid is the window of the slopes; it is fixed here, before any fit.
    """

    name: str
    setting: S
    sizes: tuple[int, ...]
    replicates: int
    starts: tuple[str, ...] = ("local",)
    control: int = 0

    def __post_init__(self) -> None:
        if len(self.sizes) < 3 or any(a >= b for a, b in pairwise(self.sizes)):
            raise InputError(f"sizes: {list(self.sizes)} must be 3 or more in increasing order.")
        if len(self.sizes) > MOST_SIZES or self.sizes[-1] > MOST_SAMPLES:
            raise InputError(
                f"sizes: at most {MOST_SIZES} of up to {MOST_SAMPLES:,} samples; use fewer."
            )
        for n in self.sizes:
            whole("sizes", n, least=1)
        whole("replicates", self.replicates, least=2)
        whole("control", self.control, least=0)
        least = self.setting.length
        if self.sizes[0] < least:
            raise InputError(
                f"sizes: {self.sizes[0]} samples are fewer than the {least} parameters; "
                "start higher."
            )
        if not 2 <= self.replicates <= MOST_REPLICATES:
            raise InputError(
                f"replicates: {self.replicates} must be from 2 to {MOST_REPLICATES:,}."
            )
        if not 0 <= self.control <= MOST_REPLICATES:
            raise InputError(f"control: {self.control} must be from 0 to {MOST_REPLICATES:,}.")
        for kind in self.starts:
            self.setting.check_start(kind)
        if not self.starts or len(set(self.starts)) < len(self.starts):
            raise InputError("starts: name at least one kind, each once.")

    @property
    def runs(self) -> tuple[tuple[str, int], ...]:
        """(kind of start, replicates), the control last."""
        runs = [(kind, self.replicates) for kind in self.starts]
        if self.control and CONTROL not in self.starts:
            runs.append((CONTROL, self.control))
        return tuple(runs)

    @property
    def fits(self) -> int:
        """Rows of the complete experiment."""
        return sum(r for _, r in self.runs) * len(self.sizes) * len(self.setting.budgets)

    def document(self) -> dict[str, Any]:
        """The JSON form, the setting by its key and in full."""
        return {
            "name": self.name,
            "key": self.setting.key,
            "setting": self.setting.document(),
            "sizes": list(self.sizes),
            "replicates": self.replicates,
            "starts": list(self.starts),
            "control": self.control,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Experiment[Any]:
        """The inverse of :meth:`document`."""
        return Experiment(
            document["name"],
            setting_from(document["setting"]),
            tuple(document["sizes"]),
            document["replicates"],
            tuple(document["starts"]),
            document["control"],
        )
