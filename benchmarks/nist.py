"""NIST's nonlinear regression problems with certified values, as identkit expressions.

The problems are those of the Statistical Reference Datasets (NIST/ITL StRD, nonlinear regression,
https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml), works of the United States government and
in the public domain. They are read at run time from the source archive of the Python package lmfit,
which holds NIST's own files; nothing of them is copied here.

    pip download --no-deps --no-binary lmfit lmfit==1.3.4
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError

Array = NDArray[np.float64]

ARCHIVE = "lmfit-1.3.4.tar.gz"
FOLDER = "NIST_STRD"
_NUMBER = r"[-+]?[0-9.]+(?:[Ee][-+]?[0-9]+)?"
_PARAMETER = re.compile(rf"^\s*b\d+\s*=\s*((?:{_NUMBER}\s+){{3}}{_NUMBER})\s*$", re.MULTILINE)
_RSS = re.compile(rf"Residual Sum of Squares:?\s+({_NUMBER})")
_DATA = re.compile(r"Data\s*\(lines\s*(\d+)\s*to\s*(\d+)\)")
_LEVEL = re.compile(r"(Lower|Average|Higher) Level of Difficulty")


@dataclass(frozen=True, eq=False)
class Problem:
    """One problem: data, what NIST fits, where it starts and what it certifies.

    ``expression`` is in identkit's grammar, in x or x0, x1; ``x`` has shape (n, d) and ``y`` (n,),
    already the logarithm where NIST fits log y (``logged``). ``starts`` (2, p) and the certified
    ``values`` and standard errors ``errors`` (p,) are in the order b1, …, bp; ``rss`` is the
    certified residual sum of squares.
    """

    name: str
    level: str
    expression: str
    logged: bool
    x: Array
    y: Array
    starts: Array
    values: Array
    errors: Array
    rss: float

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"b{i + 1}" for i in range(len(self.values)))

    def function(self) -> Any:
        """f(x, b) with x (n, d) and b (p,) as the expression says it, for peers: shape (n,)."""
        code = compile(self.expression, self.name, "eval")  # from NIST's file, not from a user
        inputs = ("x",) if self.x.shape[1] == 1 else tuple(f"x{i}" for i in range(self.x.shape[1]))
        known = {
            "exp": np.exp, "cos": np.cos, "sin": np.sin, "atan": np.arctan, "pi": np.pi,
            "__builtins__": {},
        }  # fmt: skip

        def f(x: Array, b: Array) -> Array:
            with np.errstate(all="ignore"):
                names = dict(zip((*inputs, *self.names), (*x.T, *b), strict=True))
                return eval(code, known, names)

        return f


def problems(archive: str | Path = ARCHIVE) -> list[Problem]:
    """All problems, in alphabetic order. Raises InputError where the archive is not there."""
    path = Path(archive)
    if not path.is_file():
        raise InputError(
            f"NIST: {path} is not there; run 'pip download --no-deps --no-binary lmfit "
            "lmfit==1.3.4' in this folder, or name its place with --nist."
        )
    try:
        with tarfile.open(path) as tar:
            found = [
                _read(Path(m.name).stem, tar.extractfile(m).read().decode("latin-1"))  # type: ignore
                for m in tar.getmembers()
                if m.isfile() and Path(m.name).parts[1:2] == (FOLDER,) and m.name.endswith(".dat")
            ]
    except tarfile.TarError as error:
        raise InputError(f"NIST: {path} is no tar archive ({error}); download it again.") from None
    if not found:
        raise InputError(f"NIST: {path} has no folder {FOLDER}; use the archive of lmfit 1.3.4.")
    return sorted(found, key=lambda p: p.name)


def _read(name: str, text: str) -> Problem:
    lines = text.splitlines()
    numbers = np.array([[float(n) for n in row.split()] for row in _PARAMETER.findall(text)])
    first, last = map(int, _search(_DATA, text, name).groups())
    table = np.array([[float(n) for n in row.split()] for row in lines[first - 1 : last]])
    formula, logged = _formula(lines, table.shape[1] - 1)
    response = table[:, 0]
    return Problem(
        name=name,
        level=_search(_LEVEL, text, name).group(1).lower(),
        expression=formula,
        logged=logged,
        x=np.ascontiguousarray(table[:, 1:]),
        y=np.log(response) if logged else response.copy(),
        starts=numbers[:, :2].T.copy(),
        values=numbers[:, 2].copy(),
        errors=numbers[:, 3].copy(),
        rss=float(_search(_RSS, text, name).group(1)),
    )


def _search(pattern: re.Pattern[str], text: str, name: str) -> re.Match[str]:
    found = pattern.search(text)
    if found is None:
        raise InputError(f"NIST: {name}.dat is not in NIST's form; use the archive of lmfit 1.3.4.")
    return found


def _formula(lines: list[str], inputs: int) -> tuple[str, bool]:
    """The model in identkit's grammar, and whether its response is log y."""
    start = next(i for i, line in enumerate(lines) if re.match(r"\s*(y|log\[y\])\s*=", line))
    end = next(i for i, line in enumerate(lines[start:], start) if re.search(r"\+ +e\s*$", line))
    text = " ".join(" ".join(lines[start : end + 1]).split())
    left, right = text.split("=", 1)
    right = re.sub(r"\+ +e\s*$", "", right.strip()).strip()
    for old, new in (("[", "("), ("]", ")"), ("arctan", "atan")):
        right = right.replace(old, new)
    if inputs > 1:
        right = re.sub(r"\bx(\d)\b", lambda m: f"x{int(m.group(1)) - 1}", right)
    return right, left.strip().startswith("log")
