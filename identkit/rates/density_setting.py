"""A setting of densities: what every fit by maximum likelihood of an experiment depends on.

The counterpart of :class:`identkit.rates.setting.Setting` for p(y|x) with shared experts beside
routed ones: the same store, the same blocks, the same key of a canonical document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.density.box import DensityBox
from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.errors import InputError, unknown_name, whole
from identkit.experts import Expert
from identkit.fit.box import Box
from identkit.gates import Gate, Regime, RegimeCode, Situation
from identkit.likelihoods import Likelihood
from identkit.simulation import Simulation, generator
from identkit.vocabulary import Variance

Array = NDArray[np.float64]
DENSITY_SCHEMA = "identkit.density-setting/1"
STARTS = NEAR, AWAY = "local", "away"
"""Kinds of start: the truth with copied atoms plus noise; without regard to the truth."""
LOSSES = ("D1", "D2", "D3", "D4")
"""Printed losses that are measured."""
MARGIN = 1.0
"""β0 may go beyond what the truth and equal copies need by this much: weights then stay above e^-1
of theirs, as the theorems ask for weights bounded below."""
WIDE = 2.5
"""The other bounds, times the largest number of the truth of that kind; at least this much."""
VARIANCES = 5.0
"""Variances may be so many times smaller or larger than the truth's."""
DATA_STREAM, STARTS_STREAM = 0x4445, 0x4446
"""Keys that keep these draws apart from those of least squares."""


def key_of(document: Any) -> str:
    """SHA-256 of a setting's canonical form, hexadecimal."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check_variances(likelihood: Likelihood) -> None:
    """Raise InputError for a likelihood without variances that are estimated."""
    if likelihood.variance not in (Variance.FREE, Variance.COMMON):
        raise InputError(
            f"likelihood {likelihood.name}: rates of densities are observed where variances are "
            "estimated; use gaussian with --variance free or common."
        )


@dataclass(frozen=True, eq=False)
class DensitySetting:
    """Y ~ p_truth(·|X), X uniform on ``domain``, and maximum likelihood of ``atoms`` (m, k).

    ``over`` are the true atoms, (shared, routed), that the copies of ``local`` starts sit at;
    ``loss`` is the printed loss (:mod:`identkit.losses.printed`) that is measured besides, None for
    none; ``regime``, ``budgets``, ``scale``, ``trials`` and ``seed`` are as of a setting of least
    squares, ``trials`` being the random starts of an ``away`` fit.

    Raises :class:`~identkit.errors.InputError` for what does not fit together and a box without
    the truth.
    """

    model: DensityModel
    truth: DensityMeasure
    atoms: tuple[int, int]
    box: DensityBox
    regime: RegimeCode = None
    loss: str | None = None
    over: tuple[int, int] = (0, 0)
    budgets: tuple[int, ...] = (100, 1000)
    scale: float = 0.1
    trials: int = 5
    domain: tuple[float, float] = (-3.0, 3.0)
    seed: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "regime", self.gate.chosen(self.regime).code)
        if self.truth.batch:
            raise InputError("truth: it is a batch of measures; give one.")
        check_variances(self.model.likelihood)
        if self.truth.variances is None:
            raise InputError("truth: it has no variances; give one for each atom.")
        self.model.pack(self.truth)
        self.model.check_atoms(self.atoms)
        for name, fitted, true, at in zip(
            ("shared", "routed"), self.atoms, self.truth.atoms, self.over, strict=True
        ):
            if not true <= fitted <= 100:
                raise InputError(
                    f"fitted: {fitted} {name} atoms; give from the truth's {true} to 100."
                )
            if true and not 0 <= at < true:
                raise InputError(f"over: the truth has no {name} atom {at}; count from 0.")
        budgets = self.budgets
        if not budgets or any(a >= b for a, b in pairwise(budgets)):
            raise InputError(f"budgets: {list(budgets)} must be step limits in increasing order.")
        for budget in budgets:
            whole("budgets", budget, least=1)
        whole("trials", self.trials, least=1)
        whole("seed", self.seed, least=0)
        if not (np.isfinite(self.scale) and self.scale >= 0):
            raise InputError(f"scale: {self.scale:g} must be 0 or more.")
        if self.loss is not None and self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        if self.loss == "D4" and self.atoms[1] != self.truth.atoms[1]:
            raise InputError(
                "loss: D4 compares with a population minimiser, which is known for as many routed "
                "atoms as the truth has; fit so many, or drop it."
            )
        low, high = self.domain
        if not (np.isfinite([low, high]).all() and low < high):
            raise InputError(f"domain: [{low:g}, {high:g}] must be two numbers, the smaller first.")
        self._check_box()

    def _check_box(self) -> None:
        if self.box.variance is None:
            raise InputError("box: give bounds of the variances, since the theorems need them.")
        centre = self.centre
        low, high = self.box.bounds(self.model, self.atoms, np.ones(1))
        vector = self.model.held(self.model.pack(centre)[None], self.atoms)[0]
        outside = np.flatnonzero((vector < low[0]) | (vector > high[0]))
        if len(outside) or not np.isfinite([low, high]).all():
            name = self.model.names(self.atoms)[int(outside[0])] if len(outside) else "a bound"
            raise InputError(
                f"box: it is infinite or leaves out the truth ({name}); the theorems ask for a "
                "compact one around it."
            )

    # -- what views and the store ask ----------------------------------------------------------

    @property
    def gate(self) -> Gate:
        """The gate of the routed half."""
        return self.model.routed.gate

    @property
    def case(self) -> Regime:
        """The regime of the gate."""
        return self.gate.chosen(self.regime)

    @property
    def dense(self) -> bool:
        """Whether the regime is about atoms that are alone in their cells: first order."""
        return not self.case.admits(False)

    @property
    def expert_label(self) -> str:
        """Both experts, the shared one first."""
        routed, shared = self.model.routed.expert.label, self.model.shared
        return routed if shared is None else f"{shared.expert.label} + {routed}"

    @property
    def length(self) -> int:
        """Numbers that are estimated."""
        return self.model.length(self.atoms)

    @property
    def columns(self) -> list[str]:
        """A name for each estimate."""
        return [
            f"{half}.{name}" + ("" if atom is None else f"[{atom}]")
            for half, atom, name in self.model.numbers(self.atoms)
        ]

    @property
    def situation(self) -> Situation:
        """What the caveats of the regime's theorem look at."""
        sloped = (self.truth.routed.beta1 != 0).any(axis=-1)
        return Situation(self.atoms[1], tuple(map(bool, sloped)), self.over[1])

    def check_start(self, kind: str) -> None:
        """Raise InputError for a kind of start that densities do not have."""
        if kind not in STARTS:
            raise unknown_name("start", kind, STARTS)

    # -- data and starts -----------------------------------------------------------------------

    def draw(self, n: int, replicate: int) -> tuple[Array, Array]:
        """x (n, d) and y (n,) of one replicate: a function of (seed, replicate, n)."""
        rng = generator(self.seed, replicate, n, DATA_STREAM)
        low, high = self.domain
        x = rng.uniform(low, high, (n, self.model.dim))
        return x, self.model.sample(self.truth, x, rng)

    @cached_property
    def centre(self) -> DensityMeasure:
        """The truth with the fitted numbers of atoms: copies share the weight of ``over``."""
        truth, (m, k) = self.truth, self.atoms
        data = Simulation(self.model.routed, truth.routed, 1, 1, 0.0, 0, self.domain)
        routed = data.starts(k, 0.0, over=self.over[1])[0]
        at = _places(truth.atoms[1], k, self.over[1])
        variances = np.asarray(truth.variances)[at]
        if truth.shared is None:
            return DensityMeasure(routed, variances)
        at = _places(truth.atoms[0], m, self.over[0])
        omega = truth.omega[at].copy()
        omega[np.array(at) == self.over[0]] /= at.count(self.over[0])
        return DensityMeasure.with_shared(
            routed, variances, omega, truth.shared.eta[at], np.asarray(truth.shared_variances)[at]
        )

    def near(self, replicates: list[int]) -> DensityMeasure:
        """Starts around the truth, (R,): all numbers (ν by logs) moved by ``scale``·N(0, 1)."""
        vector = self.model.pack(self.centre)
        rows = [
            vector
            + self.scale * generator(self.seed, r, STARTS_STREAM).standard_normal(len(vector))
            for r in replicates
        ]
        return self.model.unpack(np.stack(rows), self.atoms)

    # -- documents -----------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """The canonical JSON form."""
        shared = self.model.shared
        return {
            "schema": DENSITY_SCHEMA,
            "expert": self.model.routed.expert.canonical(),
            "shared": None if shared is None else shared.expert.canonical(),
            "gate": self.gate.name,
            "likelihood": self.model.likelihood.name,
            "regime": self.regime,
            "truth": self.truth.to_dict(),
            "atoms": list(self.atoms),
            "length": self.length,
            "box": {
                "routed": self.box.routed.document(self.model.routed),
                "shared": None if shared is None else self.box.shared.document(shared),
                "variance": np.asarray(self.box.variance, dtype=float).tolist(),
            },
            "loss": self.loss,
            "over": list(self.over),
            "budgets": list(self.budgets),
            "scale": float(self.scale),
            "trials": self.trials,
            "domain": [float(v) for v in self.domain],
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        """The hash of the canonical form."""
        return key_of(self.document())

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> DensitySetting:
        """The inverse of :meth:`document`."""
        shared, box = document["shared"], document["box"]
        model = DensityModel.of(
            Expert.from_canonical(document["expert"]),
            document["gate"],
            document["likelihood"],
            None if shared is None else Expert.from_canonical(shared),
        )
        low, high = document["domain"]
        return cls(
            model,
            DensityMeasure.from_dict(document["truth"]),
            (document["atoms"][0], document["atoms"][1]),
            DensityBox(
                Box.of(box["routed"]),
                Box() if box["shared"] is None else Box.of(box["shared"]),
                box["variance"],
            ),
            document["regime"],
            document["loss"],
            (document["over"][0], document["over"][1]),
            tuple(document["budgets"]),
            document["scale"],
            document["trials"],
            (low, high),
            document["seed"],
        )


def _places(true: int, fitted: int, over: int) -> list[int]:
    """The true atom of each fitted one, copies beside the atom that they are of."""
    return [j for j in range(true) for _ in range(fitted - true + 1 if j == over else 1)]


def density_box(model: DensityModel, truth: DensityMeasure, atoms: tuple[int, int]) -> DensityBox:
    """A compact box around the truth, for fits of ``atoms``: weights bounded below, see above."""
    routed = truth.routed
    # estimates are in the coordinates in which the last gate is 0, where that is a gauge
    held = model.routed.gate.held(routed)
    both = [np.abs(m["beta0"]).max() for m in (routed, held)]
    copies = [max(1, f - true + 1) for f, true in zip(atoms, truth.atoms, strict=True)]
    offset = float(max(both) + np.log(copies[1]) + MARGIN)
    if model.routed.gate.pinning is None:  # σ(β0)/m needs more than log m
        offset += float(np.log1p(np.exp(np.abs(routed.beta0).max())))
    slopes = max(np.abs(m["beta1"]).max() for m in (routed, held))
    every: Any = truth.all_variances
    shared = Box()
    if truth.shared is not None:
        logits = np.log(truth.omega)
        spread = float(logits.max() - logits.min() + np.log(copies[0]) + MARGIN)
        shared = Box(beta0=spread, eta=_wide(truth.shared.eta))
    return DensityBox(
        Box(beta1=float(max(WIDE, WIDE * slopes)), beta0=offset, eta=_wide(routed.eta)),
        shared,
        (float(every.min() / VARIANCES), float(every.max() * VARIANCES)),
    )


def _wide(eta: Any) -> float:
    return float(max(WIDE, WIDE * np.abs(eta).max()))
