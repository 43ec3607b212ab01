"""A truth in a file: the measure, what it was made for, and what to fit it with."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from identkit import __version__
from identkit.errors import InputError, whole
from identkit.experts import Expert
from identkit.expression import parse
from identkit.files import read_whole, write_whole
from identkit.fit.model import Model
from identkit.fit.result import Box
from identkit.gates import GATES, RegimeCode, resolve
from identkit.layout import STANDARD
from identkit.mixing import MOST_BYTES, MixingMeasure
from identkit.mixing import SCHEMA as MIXING_SCHEMA
from identkit.mixing import SCHEMAS as MIXING_SCHEMAS
from identkit.rates.conditioned import (
    Conditioning,
)

SCHEMA = "identkit.truth/1"


@dataclass(frozen=True, eq=False)
class TruthFile:
    """A truth read from a file; all but ``truth`` are None where the file is a bare measure."""

    truth: MixingMeasure
    expert: dict[str, Any] | None = None
    gate: str | None = None
    regime: RegimeCode = None
    noise: float | None = None
    box: Box | None = None
    over: int | None = None
    conditioning: Conditioning | None = None
    seed: int | None = None
    version: str | None = None

    def check(self, model: Model) -> None:
        """Raise InputError unless the truth was made for this expert and gate.

        An expert counts as the same if its expression, inputs and parameters are, whatever its
        name. A bare measure only has to have the right shape.
        """
        model.grouped(self.truth.layout.groups).pack(self.truth)
        if self.gate is not None and self.gate != model.gate.name:
            raise InputError(
                f"truth: it was made for gate {self.gate}, not {model.gate.name}; choose that "
                "gate, or give the bare measure."
            )
        if self.expert is None:
            return
        own = model.expert.canonical()
        same = all(self.expert[key] == own[key] for key in ("inputs", "parameters"))
        if not same or parse(self.expert["expression"]) != model.expert.expression:
            raise InputError(
                f"truth: it was made for the expert {self.expert['expression']}, not "
                f"{own['expression']}; choose that expert, or give the bare measure."
            )


def save_truth(
    path: str | os.PathLike[str],
    model: Model,
    truth: MixingMeasure,
    *,
    noise: float | None,
    box: Box | None,
    regime: RegimeCode,
    conditioning: Conditioning | None,
    seed: int | None,
    over: int = 0,
) -> None:
    """Write a truth with its model and settings to a ``.json`` file, whole or not at all.

    Raises :class:`~identkit.errors.InputError` for what :func:`load_truth` would not read back,
    and if the file cannot be written.
    """
    _check_suffix(path)
    document = truth_document(model, truth, noise, box, regime, conditioning, seed, over)
    _read(document)
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    write_whole(path, lambda stream: stream.write(text.encode()))


def load_truth(path: str | os.PathLike[str]) -> TruthFile:
    """Read a file of :func:`save_truth`, or a bare measure in JSON (:meth:`MixingMeasure.save`).

    Raises :class:`~identkit.errors.InputError` if the file is neither, naming what is wrong.
    """
    _check_suffix(path)

    def reject(name: str) -> Any:
        raise InputError(f"the number {name} is not finite; write a number or null.")

    try:
        document = json.loads(read_whole(path, MOST_BYTES).decode(), parse_constant=reject)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or 'it is damaged'}); give a saved truth."
        ) from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: is not a JSON file; give one written by save_truth().") from None
    try:
        return _read(document)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_suffix(path: str | os.PathLike[str]) -> None:
    if Path(path).suffix.lower() != ".json":
        raise InputError(f"{path}: the name of a truth must end in .json.")


def truth_document(
    model: Model,
    truth: MixingMeasure,
    noise: float | None,
    box: Box | None,
    regime: RegimeCode,
    numbers: Conditioning | None,
    seed: int | None,
    over: int,
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "version": __version__,
        "expert": model.expert.canonical(),
        "gate": model.gate.name,
        "regime": regime,
        "measure": truth.to_dict(),
        "over": over,
        "noise": noise,
        "box": None if box is None else box.to_dict(),
        "conditioning": None if numbers is None else numbers.to_dict(),
        "seed": seed,
    }


_KEYS = (
    "schema", "version", "expert", "gate", "regime", "measure", "over", "noise", "box",
    "conditioning", "seed",
)  # fmt: skip


def _read(document: Any) -> TruthFile:
    """The truth of a document. Raises InputError for the first mistake in it."""
    if not isinstance(document, dict) or document.get("schema") not in (SCHEMA, *MIXING_SCHEMAS):
        raise InputError(
            f"truth: the document has neither the schema '{SCHEMA}' nor '{MIXING_SCHEMA}'."
        )
    if document["schema"] in MIXING_SCHEMAS:
        return TruthFile(_measure(document))
    _exactly("truth", document, _KEYS)
    if not isinstance(document["version"], str):
        raise InputError(f'version: {document["version"]!r} must be text, as in "0.1.0".')
    expert, gate = document["expert"], document["gate"]
    _check_expert(expert)
    if not isinstance(gate, str) or gate not in GATES:
        raise InputError(f"gate: {gate!r} is not known; known: {', '.join(sorted(GATES))}.")
    resolve(gate).needs_affine("truth")
    truth = _measure(document["measure"])
    resolve(gate).check_layout(truth.layout)
    if truth.dim != len(expert["inputs"]) or truth.parameters != len(expert["parameters"]):
        raise InputError(
            f"measure: it has d = {truth.dim} inputs and q = {truth.parameters} expert "
            f"parameters, the expert {expert['expression']} has {len(expert['inputs'])} and "
            f"{len(expert['parameters'])}."
        )
    over = whole("over", document["over"], least=0)
    if over >= truth.atoms:
        raise InputError(
            f"over: the truth has no atom {over}; its {truth.atoms} are counted from 0."
        )
    regime = document["regime"]
    known = [r.code for r in resolve(gate).regimes]
    if isinstance(regime, bool) or regime not in known:
        allowed = " or ".join("null" if r is None else str(r) for r in known)
        raise InputError(f"regime: {regime!r} is none of gate {gate}; it must be {allowed}.")
    found = resolve(gate).of_truth(bool(truth.beta1[over].any()))
    if regime != found.code:
        raise InputError(
            f"regime: {regime} contradicts the measure, whose atom {over} has β1 "
            f"{found.needs}; write {found.code}."
        )
    noise = document["noise"]
    if noise is not None and _real("noise", noise) <= 0:
        raise InputError(f"noise: {noise} is a standard deviation, which is above 0; or null.")
    box, numbers, seed = document["box"], document["conditioning"], document["seed"]
    return TruthFile(
        truth,
        expert,
        gate,
        regime,
        None if noise is None else float(noise),
        None if box is None else _box(box, len(expert["parameters"])),
        over,
        None if numbers is None else _numbers(numbers, truth),
        None if seed is None else whole("seed", seed, least=0),
        document["version"],
    )


def _exactly(what: str, document: Any, keys: tuple[str, ...]) -> None:
    if not isinstance(document, dict):
        raise InputError(f"{what}: must be an object with {', '.join(keys)}.")
    missing = [key for key in keys if key not in document]
    if missing:
        raise InputError(f"{what}: {', '.join(missing)} is missing; add it.")
    extra = [str(key) for key in document if key not in keys]
    if extra:
        raise InputError(f"{what}: {', '.join(extra)} is not known; remove it.")


def _measure(document: Any) -> MixingMeasure:
    truth = MixingMeasure.from_dict(document)
    if truth.batch:
        raise InputError(f"measure: holds {len(truth)} measures; a truth is one.")
    return truth


def _check_expert(expert: Any) -> None:
    _exactly("expert", expert, ("name", "shape", "expression", "inputs", "parameters", "dim"))
    if not all(isinstance(expert[key], str) for key in ("name", "expression")):
        raise InputError("expert: name and expression must be text.")
    if not isinstance(expert["shape"], str | None):
        raise InputError(f"expert: shape {expert['shape']!r} must be text or null.")
    for key in ("inputs", "parameters"):
        if not isinstance(expert[key], list) or not all(isinstance(n, str) for n in expert[key]):
            raise InputError(f"expert: {key} must be a list of names.")
    if isinstance(expert["dim"], bool) or expert["dim"] != len(expert["inputs"]):
        raise InputError(
            f"expert: dim is {expert['dim']!r}, but it lists {len(expert['inputs'])} inputs."
        )
    Expert(
        expert["name"], expert["expression"], tuple(expert["inputs"]), tuple(expert["parameters"])
    )  # raises unless these fit together


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name}: {value!r} is not a finite number; give one.")
    return float(value)


def _box(document: Any, parameters: int) -> Box:
    _exactly("box", document, tuple(b.name for b in STANDARD))

    def pair(name: str, value: Any) -> Any:
        """A bound or (low, high), with infinite ends for null."""
        if isinstance(value, list):
            if len(value) != 2:
                raise InputError(f"box: {name} must be a bound b for [-b, b] or [low, high].")
            low, high = value
            return (
                -math.inf if low is None else _real(f"box: {name}", low),
                math.inf if high is None else _real(f"box: {name}", high),
            )
        return math.inf if value is None else _real(f"box: {name}", value)

    eta = document["eta"]
    many = isinstance(eta, list) and any(isinstance(e, list) for e in eta)
    if many and len(eta) != parameters:
        raise InputError(f"box: eta has {len(eta)} entries, the expert {parameters} parameters.")
    box = Box(
        pair("beta1", document["beta1"]),
        pair("beta0", document["beta0"]),
        [pair("eta", e) for e in eta] if many else pair("eta", eta),
    )
    for entry in box.eta if many else [box.eta]:
        Box(entry)  # raises unless low < high
    return box


def _numbers(document: Any, truth: MixingMeasure) -> Conditioning:
    _exactly("conditioning", document, ("first", "second", "direction", "method", "determined"))
    first, determined = (
        _real(f"conditioning: {key}", document[key]) for key in ("first", "determined")
    )
    second = document["second"]
    second = math.nan if second is None else _real("conditioning: second", second)
    if min(first, determined) < 0 or second < 0:
        raise InputError("conditioning: a number is negative; all are norms.")
    direction, method = document["direction"], document["method"]
    width = 0 if math.isnan(second) else truth.dim + truth.parameters
    if not isinstance(direction, list) or len(direction) != width:
        raise InputError(f"conditioning: direction must be a list of {width} numbers.")
    if not isinstance(method, str):
        raise InputError(f"conditioning: method {method!r} must be text.")
    at = tuple(_real("conditioning: direction", v) for v in direction)
    return Conditioning(first, second, at, method, determined)
