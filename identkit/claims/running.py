"""Rerun the checks of ``proofs_check/`` with pytest and gather what they found."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from identkit.claims.record import ClaimRecord, gathered
from identkit.errors import InputError

FOLDER = "proofs_check"


@dataclass
class Run:
    """What a run gave: findings by claim, checks that failed (node, why), seconds of work."""

    claims: tuple[ClaimRecord, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


class _Gather:
    """A pytest plugin: counts checks and keeps their findings, failures and times."""

    def __init__(self, progress: Callable[[int, int], None]) -> None:
        self.progress, self.done, self.total = progress, 0, 0
        self.order: list[str] = []
        self.found: list[tuple[str, Any]] = []
        self.failed: list[tuple[str, str]] = []
        self.seconds: dict[str, float] = {}

    def pytest_collection_finish(self, session: Any) -> None:
        self._expect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        self._expect(ids)

    def _expect(self, ids: list[str]) -> None:
        self.order, self.total = ids or self.order, len(ids) or self.total

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed.append((report.nodeid, _reason(report)))

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and not report.failed:
            return
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append((report.nodeid, _reason(report)))
        self.found += [(report.nodeid, f) for key, f in report.user_properties if key == "claim"]
        if report.when == "call":
            self.done += 1
            self.progress(self.done, self.total)


def _reason(report: Any) -> str:
    """The last line that pytest gives: the assertion or the exception."""
    lines = [line[1:].strip() for line in str(report.longrepr).splitlines() if line[:1] == "E"]
    return lines[0] if lines else str(report.longrepr).splitlines()[-1]


def folder(given: str | None) -> Path:
    """Where the checks are: ``given``, else beside the package. Raises InputError."""
    path = Path(__file__).resolve().parents[2] / FOLDER if given is None else Path(given)
    if not (path / "conftest.py").is_file():
        where = f"--checks {given}" if given is not None else f"the folder {FOLDER}/"
        raise InputError(
            f"{where}: no checks are there; they come with the repository, not with the package: "
            f"clone it and run identkit claims --run --checks CLONE/{FOLDER}."
        )
    return path


def rerun(
    path: Path,
    tests: Sequence[str] = (),
    *,
    compare: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Run:
    """Run all checks under ``path``, or ``tests`` (files or nodes relative to its parent).

    With ``compare`` a finding other than the recorded one is a failure. Raises InputError where
    there is no check.
    """
    root = path.resolve().parent
    gather = _Gather(progress)
    chosen = [str(root / t) for t in tests] or [str(path.resolve())]
    # -s: what pytest captures would be the progress line as well
    options = ["-q", "-s", "-p", "no:cacheprovider", "--rootdir", str(root)]
    options += [] if compare else ["--no-record"]
    options += _parallel(len(tests) or FEW)
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main([*options, *chosen], plugins=[gather])
    if code == pytest.ExitCode.INTERRUPTED and not gather.failed:
        raise KeyboardInterrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not gather.failed:
        raise InputError(f"{path}: pytest found no check to run; see pytest {path}.")
    position = {node: i for i, node in enumerate(gather.order)}  # workers finish in any order
    found = sorted(gather.found, key=lambda pair: position.get(pair[0], len(position)))
    return Run(gathered(found), tuple(gather.failed), gather.seconds)


FEW = 12
"""Fewer checks than this run in one process: another one takes seconds to start."""


def _parallel(checks: int) -> list[str]:
    """Two workers where pytest-xdist is at hand."""
    found = importlib.util.find_spec("xdist") is not None  # imported here it could not be rewritten
    return ["-n", "2"] if found and checks >= FEW and (os.cpu_count() or 1) > 1 else []
