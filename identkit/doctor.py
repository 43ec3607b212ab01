"""What an installation has: versions, extras, threads, device, where compiled kernels are kept.

Which libraries an extra has, and from which version on, is read in identkit's own metadata. Each
library that is installed is imported, in a process of its own: one that ends its process ends no
other, and nothing heavy is imported here.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from identkit import __version__
from identkit.bounded import cpus
from identkit.errors import InputError
from identkit.vocabulary import LibraryState

SCHEMA = "identkit.doctor/1"
SECONDS = 120.0
"""For the import of one library; torch takes two."""
CORE = ""
"""The name here of what is always needed."""
IMPORTED_AS = {"python-flint": "flint", "scikit-learn": "sklearn", "pytest-xdist": "xdist"}
"""Libraries whose module is not called as they are."""
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[(?P<of>[^\]]*)\])? *(>= *(?P<least>[0-9.]+))?"
    r" *(; *extra *== *['\"](?P<extra>[a-z-]+)['\"])?"
)
_ASKED = {
    "torch": "cuda = module.cuda; found = {'threads': module.get_num_threads(), 'gpus': "
    "[cuda.get_device_name(i) for i in range(cuda.device_count())] if cuda.is_available() else []}",
    "numba": "found = {'threads': module.config.NUMBA_NUM_THREADS}",
}
"""What is asked of a library besides, in its process."""
_FOLDERS = """\
import json
from identkit.density.kernel import _scored
from identkit.fit.cpu_kernel import _steps
print(json.dumps({"folders": [k.stats.cache_path for k in (_steps, _scored)]}))"""
"""Numba keeps what is compiled by the folder of its module; it alone knows where."""


@dataclass(frozen=True)
class Library:
    """A library: the least version that will do (empty: any), and the one that is there."""

    name: str
    least: str
    installed: str | None
    state: LibraryState
    reason: str = ""


@dataclass(frozen=True)
class Extra:
    """What ``pip install identkit[name]`` brings: its libraries, and the extras it includes."""

    name: str
    includes: tuple[str, ...]
    libraries: tuple[Library, ...]

    @property
    def missing(self) -> bool:
        return any(own.state == LibraryState.MISSING for own in self.libraries)

    @property
    def install(self) -> str:
        """The command that brings it."""
        return f"pip install identkit[{self.name}]" if self.name else "pip install identkit"


@dataclass(frozen=True)
class Kept:
    """A folder in which compiled kernels are kept, with the bytes of those that are there."""

    folder: str
    bytes: int
    writable: bool


@dataclass(frozen=True)
class Installation:
    """What is there. ``threads`` by whom: cores usable, and of torch and Numba where installed."""

    python: str
    system: str
    extras: tuple[Extra, ...]
    threads: dict[str, int]
    gpus: tuple[str, ...]
    kept: tuple[Kept, ...]
    broken: str = ""
    """Why the kernels cannot be loaded though Numba can be imported."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What has to be mended: a library that is too old, broken, or needed and not there."""
        found = []
        seen = set()
        for extra in self.extras:
            for own in extra.libraries:
                needed = own.state != LibraryState.MISSING or extra.name == CORE
                if own.state != LibraryState.OK and needed and (own.name, own.least) not in seen:
                    seen.add((own.name, own.least))
                    wanted = f"{own.name}>={own.least}" if own.least else own.name
                    found.append(f"{own.name}: {own.reason}; run pip install -U '{wanted}'.")
        if self.broken:
            found.append(f"compiled kernels: they cannot be loaded ({self.broken}).")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """The ``identkit.doctor/1`` document."""
        return {
            "schema": SCHEMA,
            "identkit": __version__,
            "python": self.python,
            "system": self.system,
            "extras": [
                {
                    "name": extra.name or None,
                    "includes": list(extra.includes),
                    "install": extra.install,
                    "libraries": [
                        {
                            "name": own.name,
                            "least": own.least or None,
                            "installed": own.installed,
                            "state": str(own.state),
                            "reason": own.reason or None,
                        }
                        for own in extra.libraries
                    ],
                }
                for extra in self.extras
            ],
            "threads": self.threads,
            "device": "cuda" if self.gpus else "none",
            "gpus": list(self.gpus),
            "kernels": [asdict(own) for own in self.kept],
            "problems": list(self.problems),
        }


def examine() -> Installation:
    """Look at everything: some seconds, most of them of imports.

    Raises :class:`~identkit.errors.InputError` where identkit runs without having been installed.
    """
    wanted = list(requirements())
    names = list(dict.fromkeys(name for _, name, _, _ in wanted))
    there = {name: version for name in names if (version := _version(name)) is not None}
    with ThreadPoolExecutor(max(1, min(4, cpus()))) as pool:
        tried = dict(zip(there, pool.map(tried_import, there), strict=True))
    groups: dict[str, list[Library]] = {CORE: []}
    includes: dict[str, tuple[str, ...]] = {}
    for extra, name, of, least in wanted:
        groups.setdefault(extra, [])
        if name == "identkit":
            includes[extra] = of
        else:
            error = tried[name].get("error", "") if name in tried else ""
            groups[extra].append(judged(name, least, there.get(name), error))
    torch, numba = tried.get("torch", {}), tried.get("numba", {})
    usable = "torch" in tried and "threads" in numba
    kernels = _answer(_python(_FOLDERS)) if usable else {}
    threads = {"cores": cpus()}
    threads |= {k: v["threads"] for k, v in (("torch", torch), ("numba", numba)) if "threads" in v}
    return Installation(
        python=platform.python_version(),
        system=platform.platform(),
        extras=tuple(Extra(k, includes.get(k, ()), tuple(v)) for k, v in groups.items()),
        threads=threads,
        gpus=tuple(torch.get("gpus", ())),
        kept=tuple(kept_in(Path(f)) for f in dict.fromkeys(kernels.get("folders", ())) if f),
        broken=kernels.get("error", ""),
    )


def requirements() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """(extra, library, its own extras, least version) of each requirement in identkit's metadata.

    Raises InputError.
    """
    try:
        lines = metadata.requires("identkit") or []
    except metadata.PackageNotFoundError:
        raise InputError(
            "doctor: identkit is not installed as a package, so that what it needs is not known; "
            "run pip install -e . in its folder."
        ) from None
    for line in lines:
        read = _REQUIREMENT.fullmatch(line.strip())
        if read is None:
            raise InputError(f"doctor: the requirement '{line}' is not understood; report it.")
        of = tuple(part.strip() for part in (read["of"] or "").split(",") if part.strip())
        yield read["extra"] or CORE, read["name"], of, read["least"] or ""


def judged(name: str, least: str, installed: str | None, error: str) -> Library:
    """A library of this version, whose import ended with this error (empty: with none).

    >>> judged("torch", "2.2", "2.10.0+cpu", "").state, judged("torch", "2.2", "2.1", "").reason
    ('ok', '2.1 is installed, and at least 2.2 is needed')
    """
    if installed is None:
        return Library(name, least, None, LibraryState.MISSING, "it is not installed")
    if _numbers(installed) < _numbers(least):
        reason = f"{installed} is installed, and at least {least} is needed"
        return Library(name, least, installed, LibraryState.TOO_OLD, reason)
    if error:
        reason = f"{installed} is installed and cannot be imported ({error})"
        return Library(name, least, installed, LibraryState.BROKEN, reason)
    return Library(name, least, installed, LibraryState.OK)


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers a version begins with, without zeros at the end: 2.10.0+cpu is 2.10."""
    begun = re.match(r"[0-9]+(\.[0-9]+)*", version)
    found = [int(part) for part in begun[0].split(".")] if begun else []
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def tried_import(name: str) -> dict[str, Any]:
    """What a library says in a process of its own; ``error`` where it cannot be imported."""
    module = IMPORTED_AS.get(name, name.replace("-", "_"))
    lines = (
        "import importlib, json",
        f"module = importlib.import_module({module!r})",
        "found = {}",
        _ASKED.get(name, ""),
        "print(json.dumps(found))",
    )
    return _answer(_python("\n".join(lines)))


def _python(text: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-c", text]


def _answer(command: Sequence[str]) -> dict[str, Any]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"it did not end within {SECONDS:g} s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"error": last[:200]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def kept_in(folder: Path) -> Kept:
    """The folder of compiled kernels; it need not be there yet."""
    files = [own for kind in ("nbi", "nbc", "source") for own in folder.rglob(f"*.{kind}")]
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    return Kept(str(folder), sum(own.stat().st_size for own in files), os.access(place, os.W_OK))
