"""Densities read back from the files of ``identkit fit --save``, checked before they are used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.density.measure import DensityMeasure
from identkit.density.model import DensityModel
from identkit.density.prediction import DensityPrediction, predict_density, quantile
from identkit.density.result import Status
from identkit.density.summary import bic
from identkit.errors import InputError
from identkit.experts import Expert
from identkit.fit.prediction import LEVEL
from identkit.fit.saved import AGREE, AGREE_OF_INVERSE, altered, check_form, loaded
from identkit.likelihoods import from_document
from identkit.mixing import real_array

Array = NDArray[np.float64]
SCHEMA = "identkit.density-fit/1"


@dataclass(frozen=True, eq=False)
class SavedDensity:
    """A density fitted to one data set as its file has it.

    ``target`` and ``inputs`` are the columns it was fitted to, ``ranges`` (lowest, highest) of each
    input, ``classes`` the names of the classes of a categorical response, in order, else None.
    ``standard_errors`` and ``sandwich_errors`` (p,) belong to ``model.numbers``; NaN where there
    are none.
    """

    path: str
    model: DensityModel
    measure: DensityMeasure
    status: Status
    log_likelihood: float
    standard_errors: Array
    sandwich_errors: Array
    target: str
    inputs: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    classes: tuple[str, ...] | None
    document: dict[str, Any]

    def predictions(
        self, x: ArrayLike, level: float = LEVEL, *, interval: bool = False
    ) -> DensityPrediction:
        """Means, weights, intervals or probabilities at x (n, d): :func:`predict_density`."""
        return predict_density(
            self.model, self.measure, x, level=level, interval=interval, ranges=self.ranges
        )

    def predict(self, x: ArrayLike) -> Array:
        """E[y|x] at x (n, d), shape (n,); of classes their probabilities (n, S)."""
        found = self.predictions(x)
        if found.mean is not None:
            return found.mean
        shares: Any = found.probabilities
        return shares.T

    def quantile(self, x: ArrayLike, order: float) -> Array:
        """The quantile of y given x (n, d) of an order, (n,): :func:`quantile`."""
        return quantile(self.model, self.measure, x, order)

    def posterior(self, x: ArrayLike, y: ArrayLike) -> Array:
        """P(atom | x_j, y_j), (m + k, n), shared atoms first; classes by their names."""
        values: Any = y
        if self.classes is not None:
            places = {name: i for i, name in enumerate(self.classes)}
            names = [str(v) for v in np.asarray(y).tolist()]
            stray = next((name for name in names if name not in places), None)
            if stray is not None:
                raise InputError(f"y: '{stray}' is none of the classes {', '.join(self.classes)}.")
            values = [float(places[name]) for name in names]
        return self.model.posterior(self.measure, real_array("x", x), real_array("y", values))

    def __repr__(self) -> str:
        return (
            f"<SavedDensity {self.path}: {self.model.routed.expert.label}, "
            f"{self.model.routed.gate.name} gate, k = {self.measure.atoms[1]}, {self.target} on "
            f"{', '.join(self.inputs)}>"
        )


def is_density(document: Any) -> bool:
    """Whether a document says that it is one of a density."""
    named = document.get("schema") if isinstance(document, dict) else None
    return isinstance(named, str) and named.startswith("identkit.density-fit/")


def read_density_fit(path: str | os.PathLike[str]) -> SavedDensity:
    """The density in a file of ``identkit fit --likelihood … --save``, checked.

    Checked is that the document has the form of its schema and that what it says twice agrees:
    measure, parameters, log-likelihood, BIC and standard errors. Nothing of the data is in it, so
    estimates cannot be checked. Raises :class:`~identkit.errors.InputError` for a file that cannot
    be read, is no such document, or has been altered.
    """
    return density_of(loaded(path), str(path))


def density_of(document: Any, label: str = "document") -> SavedDensity:
    """The density of a document, as :func:`read_density_fit`; ``label`` names it in errors."""
    named = document.get("schema") if isinstance(document, dict) else None
    if named != SCHEMA:
        what = f"has schema '{named}'" if isinstance(named, str) else "names no schema"
        remedy = "update identkit" if is_density(document) else "fit again with --likelihood --save"
        raise InputError(f"{label}: {what}, not {SCHEMA}; {remedy}.")
    check_form(document, "density-fit-1", label)
    try:
        return _density(document, label)
    except InputError as error:
        raise InputError(f"{label}: {error}") from None


def _density(document: dict[str, Any], label: str) -> SavedDensity:
    fit, report = document["fit"], document["report"]
    measure = DensityMeasure.from_dict(fit["measure"])
    shared = document.get("shared")
    model = DensityModel.of(
        _expert(document["expert"]),
        document["gate"],
        from_document(document["likelihood"]),
        None if shared is None else _expert(shared),
        groups=measure.routed.layout.groups,
    )
    if measure.batch:
        raise altered("it holds several measures")
    size, atoms = len(model.pack(measure)), measure.atoms
    listed = [(p["half"], p["atom"], p["name"]) for p in report["parameters"]]
    if listed != list(model.numbers(atoms)):
        raise altered("its parameters are not those of the model")
    data = report["data"]
    if len(data["inputs"]) != model.dim or len(data["ranges"]) != model.dim:
        raise altered(f"it names {len(data['inputs'])} inputs, the expert has {model.dim}")
    for name in ("held", "fixed"):
        if len(fit[name]) != size:
            raise altered(f"{name} has {len(fit[name])} entries for {size} parameters")
    classes = data["classes"]
    if (classes is None) != model.density.spread or (
        classes is not None and len(classes) != model.routed.outputs + 1
    ):
        raise altered("its classes are not those of the model")
    value = _number(fit["log_likelihood"])
    if not fit["start"] < len(fit["starts"]) or not _agree(
        _number(fit["starts"][fit["start"]]["log_likelihood"]), value
    ):
        raise altered("the log-likelihood is not that of its start")
    if not _agree(_number(report["bic"]), bic(value, report["free"], data["rows"])):
        raise altered("the BIC is not that of its log-likelihood")
    errors = _errors(report["covariance"], size)
    return SavedDensity(
        label,
        model,
        measure,
        Status(fit["status"]),
        value,
        *errors,
        data["target"],
        tuple(data["inputs"]),
        tuple((float(low), float(high)) for low, high in data["ranges"]),
        None if classes is None else tuple(classes),
        document,
    )


def _expert(document: dict[str, Any]) -> Expert:
    expert = Expert.from_canonical(document, columns=True)
    if expert.canonical() != document:
        raise altered("an expert is not the one of its name, shape and dimension")
    return expert


def _errors(section: dict[str, Any] | None, size: int) -> tuple[Array, Array]:
    """Both kinds of standard errors, those of their matrices."""
    if section is None:
        return np.full(size, np.nan), np.full(size, np.nan)
    found = []
    for matrix, errors in (("observed", "standard_errors"), ("sandwich", "sandwich_errors")):
        rows, own = section[matrix], np.array(section[errors], dtype=np.float64)
        if len(rows) != size or {len(row) for row in rows} != {size} or len(own) != size:
            raise altered(f"the shape of its covariance is not that of {size} parameters")
        diagonal = np.array([row[i] for i, row in enumerate(rows)], dtype=np.float64)
        seen = np.isfinite(own)
        if not np.allclose(own[seen] ** 2, diagonal[seen], rtol=AGREE_OF_INVERSE, atol=0.0):
            raise altered("standard errors are not those of its covariance")
        found.append(own)
    return found[0], found[1]


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _agree(one: float, other: float) -> bool:
    return bool(np.isclose(one, other, rtol=AGREE, atol=0.0, equal_nan=True))
