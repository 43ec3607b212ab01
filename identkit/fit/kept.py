"""Native functions of generated source, kept on disk as Numba keeps those of modules.

Numba keeps what stands in a file. So the source that is generated for an expert or a gate is
written to a file named by a digest of all that it depends on, beside the loops that are kept, and
compiled from there: the next process that fits the same model loads it.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import cfunc, njit

from identkit import __version__
from identkit.fit import vector_math

MOST = 300
"""Functions kept, of some 30 kB each; the oldest go first."""
OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
"""Of all functions: sums may use fused multiply-adds; division by 0 gives infinity."""
SUFFIX = ".source"
"""Of the files: tools that look for modules are not to find any."""
_NAME = "_lambdifygenerated"
"""SymPy's name for what it prints."""


def compiled(scalar: Any, block: str, signature: Any, folder: Path | None) -> Any:
    """``block``, source of a function of that name that calls ``scalar``, as a C function.

    ``scalar`` was printed by SymPy with :data:`identkit.fit.vector_math.FUNCTIONS`. Nothing is kept
    where ``folder`` is None or cannot be written.
    """
    printed = f"{inspect.getsource(scalar)}\n\n{block}"
    # Numba knows of no change in what a function calls, so the name does; and native functions of
    # one name, of several processes, would be one when they are loaded together
    options = repr(sorted((name, repr(value)) for name, value in OPTIONS.items()))
    depends = (printed, repr(signature), options, _functions(), __version__)
    name = f"block_{sha256(repr(depends).encode()).hexdigest()[:24]}"
    source = printed.replace("def block(", f"def {name}(")
    path = None if folder is None else _written(source, folder / f"{name}{SUFFIX}")
    # Numba imports the module of what it loads
    space = {**scalar.__globals__, "__name__": vector_math.__name__}
    exec(compile(source, path or "<heads>", "exec"), space)
    space["scalar"] = njit(inline="always", **OPTIONS)(space[_NAME])
    return cfunc(signature, cache=path is not None, **OPTIONS)(space[name])


def _written(source: str, path: Path) -> str | None:
    """The file with this source; None where it cannot be written."""
    folder = path.parent
    if path.exists():
        return str(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            file.write(source)
        os.replace(file.name, path)
    except OSError:
        return None
    _tidy(folder)
    return str(path)


@cache
def _functions() -> str:
    return inspect.getsource(vector_math)


def _tidy(folder: Path) -> None:
    """Drop the oldest functions beyond MOST, with what Numba made of them."""
    with suppress(OSError):  # another process tidies too
        files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda file: file.stat().st_mtime)
        for old in files[:-MOST]:
            for made in (*folder.glob(f"__pycache__/{old.stem}.*"), old):
                made.unlink(missing_ok=True)
