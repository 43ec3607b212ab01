"""Fits read back from the files of ``identkit fit --save``, checked before they are used."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.experts import Expert
from identkit.files import read_whole
from identkit.fit.change import Change
from identkit.fit.inference import Covariance, Direction, covariance_of_information
from identkit.fit.model import Model
from identkit.fit.prediction import LEVEL, Prediction, predict
from identkit.fit.result import Box, FitResult, Settings, Status
from identkit.gates import resolve
from identkit.likelihoods import from_document
from identkit.mixing import MixingMeasure
from identkit.report.json_text import schema

Array = NDArray[np.float64]

MOST_BYTES = 2**27
"""Largest file: 100 atoms of 64 inputs have a covariance of some 50 MB."""
SCHEMAS = {f"identkit.fit/{n}": f"fit-{n}" for n in (1, 2, 3)}
"""Formats that are read, and the files of their schemas."""
AGREE_OF_INVERSE = 1e-6
"""… and through the inverse of a matrix, whose eigenvalues are above 1e-12."""
AGREE = 1e-9
"""Numbers that follow from each other in a file differ by no more than this part: all are written
to the last digit, and computed with few operations."""


@dataclass(frozen=True, eq=False)
class SavedFit:
    """A fit of one data set as its file has it.

    ``result`` is the fit, ``covariance`` None where it has none (no standard errors then);
    ``target`` and ``inputs`` are the columns it was fitted to, ``ranges`` (lowest, highest) of each
    input, empty where the file does not have them.
    """

    path: str
    result: FitResult
    covariance: Covariance | None
    target: str
    inputs: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    document: dict[str, Any]

    @property
    def model(self) -> Model:
        """Expert, gate and groups."""
        return self.result.model

    @property
    def measure(self) -> MixingMeasure:
        """The estimate."""
        return self.result.measure

    def predictions(self, x: ArrayLike, level: float = LEVEL) -> Prediction:
        """f at x (n, d) with standard errors: :func:`identkit.fit.prediction.predict`."""
        return predict(self.result, self.covariance, x, level=level, ranges=self.ranges)

    def predict(self, x: ArrayLike, interval: str | None = None, level: float = LEVEL) -> Array:
        """f at x (n, d), shape (n,); with an ``interval`` (n, 3): f, low, high."""
        return with_interval(self.predictions(x, level), interval)

    def __repr__(self) -> str:
        return (
            f"<SavedFit {self.path}: {self.model.expert.label}, {self.model.gate.name} gate, "
            f"k = {self.measure.atoms}, {self.target} on {', '.join(self.inputs)}>"
        )


def with_interval(found: Prediction, interval: str | None) -> Array:
    """f alone (n,), or f, low and high (n, 3) of a ``confidence`` or ``prediction`` interval."""
    if interval is None:
        return found.f
    if interval not in ("confidence", "prediction"):
        raise InputError(
            f"interval: {interval!r} is none; use 'confidence' for f, 'prediction' for a new y."
        )
    return np.column_stack([found.f, getattr(found, interval)])


def read_fit(path: str | os.PathLike[str]) -> SavedFit:
    """The fit in a file of ``identkit fit --save``, checked; schemas identkit.fit/1 to /3.

    Checked is that the document has the form of its schema and that what it says twice agrees: the
    expert with its name, the measure with model, groups and lists of parameters, cost, R² and
    errors with each other. Nothing of the data is in it, so estimates cannot be checked.

    Raises :class:`~identkit.errors.InputError` for a file that cannot be read, is no such document,
    has been altered, or holds several fits.
    """
    return fit_of(loaded(path), str(path))


def loaded(path: str | os.PathLike[str]) -> Any:
    """The document in a file of ``identkit fit --save``, not looked at yet. Raises InputError."""
    label = str(path)
    try:
        return json.loads(read_whole(path, MOST_BYTES))
    except OSError as error:
        raise InputError(
            f"{label}: cannot be read ({error.strerror or error}); give a file of "
            "'identkit fit --save'."
        ) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{label}: is not JSON; give a file of 'identkit fit --save'.") from None


def fit_of(document: Any, label: str = "document") -> SavedFit:
    """The fit of a document, as :func:`read_fit`; ``label`` names it in errors."""
    named = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(named, str) or named not in SCHEMAS:
        what = f"has schema '{named}'" if isinstance(named, str) else "names no schema"
        newer = isinstance(named, str) and named.startswith("identkit.fit/")
        remedy = "update identkit" if newer else "give a file of 'identkit fit --save'"
        raise InputError(f"{label}: {what}, not {' or '.join(SCHEMAS)}; {remedy}.")
    check_form(document, SCHEMAS[named], label)
    if len(document["fits"]) != 1:
        raise InputError(
            f"{label}: holds {len(document['fits'])} fits; save one, as result[0].to_dict()."
        )
    if "report" not in document:
        raise InputError(
            f"{label}: has no report, which names the columns; write it with 'identkit fit "
            "--save' or FitReport.save."
        )
    try:
        return _fit(document, label)
    except InputError as error:
        raise InputError(f"{label}: {error}") from None


def check_form(document: dict[str, Any], name: str, label: str) -> None:
    """Raise InputError unless the document has the form of the schema of this name."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema(name)).iter_errors(document))
    if error is not None:
        where = ".".join(str(p) for p in error.absolute_path) or "document"
        raise InputError(
            f"{label}: is not as it was saved: {where}: {error.message[:160]}; fit again with "
            "--save."
        )


def altered(what: str) -> InputError:
    """That a file says two things that do not agree."""
    return InputError(f"is not as it was saved: {what}; fit again with --save.")


def _fit(document: dict[str, Any], label: str) -> SavedFit:
    expert = Expert.from_canonical(document["expert"], columns=True)
    if expert.canonical() != document["expert"]:
        raise altered("the expert is not the one of its name, shape and dimension")
    likelihood = from_document(document.get("likelihood"))
    gate = resolve(document["gate"], likelihood)
    (fit,), report = document["fits"], document["report"]
    measure = MixingMeasure.from_dict(fit["measure"])
    model = Model(expert, gate, measure.layout.groups)
    vector = model.pack(measure)
    if list(model.names) != report["parameters"]:
        raise altered("its parameters are not those of expert and gate")
    for name, size in (("held", len(fit["held"])), ("fixed", len(report["fixed"]))):
        if size != len(vector):
            raise altered(f"{name} has {size} entries for {len(vector)} parameters")
    inputs = tuple(report["data"]["inputs"])
    if len(inputs) != model.dim:
        raise altered(f"it names {len(inputs)} inputs, the expert has {model.dim}")
    result = _result(document, fit, model, measure)
    covariance = None
    if report["covariance"] is not None:
        covariance = _covariance(document, report["covariance"], result)
    return SavedFit(
        label,
        result,
        covariance,
        report["data"]["target"],
        inputs,
        _ranges(report, model),
        document,
    )


def _result(
    document: dict[str, Any], fit: dict[str, Any], model: Model, measure: MixingMeasure
) -> FitResult:
    cost, starts = _number(fit["cost"]), fit["starts"]
    if not fit["start"] < len(starts):
        raise altered(f"start {fit['start']} is not one of its {len(starts)}")
    if not _agree(_number(starts[fit["start"]]["cost"]), cost):
        raise altered("the cost is not that of its start")
    settings = dict(document["settings"])
    standard, ridge = document.get("standardised"), document.get("ridge")
    box = settings["box"]
    settings["box"] = _box(box) if ridge is None else _named_box(box, model)
    settings["libraries"] = tuple(sorted(settings["libraries"].items()))
    known = {f.name for f in fields(Settings)}
    result = FitResult(
        model=model,
        measure=measure,
        status=Status(fit["status"]),
        cost=cost,
        gradient_norm=_number(fit["gradient_norm"]),
        steps=fit["steps"],
        passes=fit["passes"],
        start=fit["start"],
        costs=np.array([[_number(s["cost"]) for s in starts]]),
        statuses=(tuple(Status(s["status"]) for s in starts),),
        held=np.array(fit["held"], dtype=bool),
        samples=document["samples"],
        seconds=document["seconds"],
        settings=Settings(**{k: v for k, v in settings.items() if k in known}),
        ridge=ridge or 0.0,
    )
    if standard is not None:
        result = _changed(result, standard)
    if not _agree(_number(fit["root_mean_square"]), float(result.root_mean_square)):
        raise altered("its root mean square is not that of its cost")
    return result


def _changed(result: FitResult, standard: dict[str, Any]) -> FitResult:
    """The fit with the one in standard units that it was told from."""
    measure = MixingMeasure.from_dict(standard["measure"])
    change = Change.from_document(result.model, measure.atoms, standard)
    told = change.outward(result.model.pack(measure))
    if not np.allclose(told, result.model.pack(result.measure), rtol=AGREE, atol=AGREE):
        raise altered("its measure is not the one in standard units")
    squares = change.unit**2 if result.objective.quadratic else 1.0
    inner = replace(
        result,
        measure=measure,
        cost=result.cost / squares,
        costs=result.costs / squares,
        gradient_norm=_number(standard["gradient_norm"]),
        settings=replace(result.settings, box=_box(standard["box"])),
    )
    return replace(result, change=change, inner=inner)


def _covariance(document: dict[str, Any], section: dict[str, Any], result: FitResult) -> Covariance:
    """The covariance of a report, from the information in standard units where there is one."""
    standard = document.get("standardised", {})
    plain = covariance_of(section, result, standard.get("counted"))
    if "information" not in standard:
        return plain
    gram = _square("information", standard["information"], len(result.held))
    found = covariance_of_information(result, gram, standard["counted"])
    alike = np.allclose(
        plain.standard_errors, found.standard_errors, rtol=AGREE_OF_INVERSE, equal_nan=True
    )
    if not alike or plain.rank != found.rank:
        raise altered("standard errors are not those of its information")
    return found


def covariance_of(
    section: dict[str, Any], result: FitResult, counted: int | None = None
) -> Covariance:
    """The covariance of a report's section; ``information`` is read where a file has it.

    ``counted`` are the samples of weight above 0, all unless they are given.

    Raises :class:`~identkit.errors.InputError` where its numbers contradict each other.
    """
    size = len(result.held)
    matrix = _square("covariance", section["matrix"], size)
    errors = np.array(section["standard_errors"], dtype=np.float64)
    if errors.shape != (size,):
        raise altered(f"it has {errors.size} standard errors for {size} parameters")
    seen = np.isfinite(errors)
    alone = None if result.change is None else result.change.alone
    samples = result.samples if counted is None else counted
    sigma, rank = _number(section["sigma"]), section["rank"]
    objective = result.objective.errors
    if objective is None:
        raise altered(f"standard errors are not known for {result.objective.title}")
    if not (
        np.allclose(matrix, matrix.T, rtol=AGREE, atol=0.0, equal_nan=True)
        and np.allclose(errors[seen] ** 2, np.diag(matrix)[seen], rtol=AGREE, atol=0.0)
        and not np.any(matrix[result.held if alone is None else result.held & alone])
    ):
        raise altered("standard errors are not those of its covariance")
    free = int((~result.held).sum())
    if section["free"] != free or not 0 <= rank <= free:
        raise altered(f"a rank of {rank} with {free} free parameters cannot be")
    degrees = samples - rank
    if not _agree(sigma, float(np.sqrt(objective.variance(result.cost, samples, rank)))):
        raise altered("the error's standard deviation is not that of cost and rank")
    information = section.get("information")
    return Covariance(
        matrix,
        errors,
        sigma,
        free,
        rank,
        section["tolerance"],
        _number(section["smallest_eigenvalue"]),
        tuple(
            Direction(
                _names(d["parameters"]),
                d["count"],
                None if d["along"] is None else tuple(d["along"]),
            )
            for d in section["undetermined"]
        ),
        _names(section["wider_than_box"]),
        section["assumption"],
        degrees,
        None if information is None else np.array(information, dtype=np.float64),
    )


def _square(what: str, rows: list[list[float | None]], size: int) -> Array:
    """Rows of a file as a matrix (p, p); null is NaN."""
    lengths = sorted({len(row) for row in rows})
    if len(rows) != size or lengths != [size]:
        raise altered(
            f"the shape of its {what}, {len(rows)} rows of {' or '.join(map(str, lengths))} "
            f"numbers, is not that of {size} parameters"
        )
    return np.array(rows, dtype=np.float64)


def _names(entries: list[dict[str, Any]]) -> tuple[tuple[int | None, str], ...]:
    return tuple((e["atom"], e["parameter"]) for e in entries)


def _ranges(report: dict[str, Any], model: Model) -> tuple[tuple[float, float], ...]:
    """Of the data; of a file without them those that the check was asked on, rounded outwards."""
    ranges = report["data"].get("ranges")
    if ranges is None:
        proved = report["identifiability"]
        domain = None if proved is None else proved["domain"]
        if domain is None:
            return ()
        pairs = domain if isinstance(domain[0], list) else [domain] * model.dim
        ranges = [[float(Fraction(end)) for end in pair] for pair in pairs]
    if len(ranges) != model.dim:
        raise altered(f"it has {len(ranges)} ranges for {model.dim} inputs")
    return tuple((float(low), float(high)) for low, high in ranges)


def _box(entries: dict[str, Any]) -> Box:
    """Infinite bounds are null in JSON."""

    def bound(entry: Any) -> Any:
        if entry is None:
            return np.inf
        if not isinstance(entry, list):
            return entry
        if any(isinstance(e, list) for e in entry):
            return [bound(e) for e in entry]
        ends = (-np.inf, np.inf)
        return tuple(end if e is None else e for e, end in zip(entry, ends, strict=True))

    return Box.of({name: bound(entry) for name, entry in entries.items()})


def _named_box(entries: dict[str, Any], model: Model) -> Box:
    """The box of bounds by option: the name of a block, or of a parameter of the expert."""
    pairs = {
        name: tuple(end if e is None else e for e, end in zip(pair, (-np.inf, np.inf), strict=True))
        for name, pair in entries.items()
    }
    blocks = {b.name for b in model.layout.of_gate}
    eta = tuple(pairs.get(p) for p in model.parameters)
    found = {name: pair for name, pair in pairs.items() if name in blocks}
    return Box.of({**found, "eta": None if set(eta) == {None} else eta})


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _agree(one: float, other: float) -> bool:
    return bool(np.isclose(one, other, rtol=AGREE, atol=0.0, equal_nan=True))
