"""Advice that can be followed: every option that a text of the package names exists."""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path

import pytest

import identkit
from identkit.cli import build_parser

PACKAGE = Path(identkit.__file__).parent
ROOT = PACKAGE.parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NOT_OURS = {"--nthreads", "--no-deps", "--upgrade"}
"""Options of dask and pip that texts show."""
OWNERS = {
    "fit.py": ("fit",),
    "fit": ("fit",),
    "fit_report.py": ("fit",),
    "fit_document.py": ("fit",),
    "fit_density.py": ("fit",),
    "density_report.py": ("fit",),
    "asked.py": ("fit",),
    "tables": ("fit",),
    "interactions.py": ("interactions", "check"),
    "claims.py": ("claims",),
    "checking.py": ("check",),
}
"""Modules that speak of certain commands only."""


def options() -> dict[str, set[str]]:
    """Command -> its options, those of its parts included."""
    found: dict[str, set[str]] = {}

    def visit(parser: argparse.ArgumentParser, into: set[str]) -> None:
        for action in parser._actions:
            into.update(o for o in action.option_strings if o.startswith("--"))
            if isinstance(action, argparse._SubParsersAction):
                for name, part in action.choices.items():
                    visit(part, found.setdefault(name, set()) if parser is top else into)

    top = build_parser()
    visit(top, found.setdefault("", set()))
    return found


def texts(path: Path) -> list[str]:
    """The string constants of a module, f-strings by their fixed parts."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is str]


FOREIGN = {"claims/running.py"}
"""Options of pytest."""
MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).as_posix() not in FOREIGN
]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_options_that_a_message_names_exist(path):
    known = options()
    owners = next((OWNERS[p] for p in (path.name, path.parent.name) if p in OWNERS), tuple(known))
    allowed = set().union(*(known[name] for name in owners), NOT_OURS)
    named = {o for text in texts(path) for o in OPTION.findall(text)}
    assert not named - allowed


@pytest.mark.parametrize("path", ["README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_commands_that_a_page_shows_exist(path):
    known = options()
    text = (ROOT / path).read_text(encoding="utf-8")
    for command, rest in re.findall(r"identkit ([a-z]+)([^\n`]*)", text):
        if command in known:
            assert not set(OPTION.findall(rest.partition("#")[0])) - known[command], (command, rest)


def test_remedies_of_the_command_name_its_options():
    """The library's remedies speak of arguments; those of the command of its options."""
    from identkit.density import result as density_result
    from identkit.fit.result import Status
    from identkit.report import density_report
    from identkit.report.fit_report import REMEDIES

    arguments = re.compile(r"flat=|max_steps|n_starts")
    for kind, remedies in ((Status, REMEDIES), (density_result.Status, density_report.REMEDIES)):
        for status in kind:
            if status.name not in ("BAD_DATA", "INTERRUPTED"):
                assert not arguments.search(remedies.get(status, status.remedy)), status
