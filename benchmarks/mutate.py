"""Mutation of the code that proves: one node changed at a time, and which tests notice.

    python benchmarks/mutate.py relations coincidence --count 40 --seed 1

A mutant is the module with one comparison, constant, sign, condition, term or statement changed.
It is tried in a copy of the tree, in a fresh process with the tests of :data:`TESTS`, the quickest
first, until one fails. Killed: a test failed, or the time was up (a loop that no longer ends).
Survivors are printed with their line; exit code 1 if there are any. Not changed: limits of effort
(constants in capitals), texts of errors, annotations.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("identkit", "tests", "proofs_check", "pyproject.toml", "README.md")
LIMIT = 5.0
"""Times the CPU seconds of the unchanged module, after which a mutant counts as killed."""
LEAST = 4.0
PRELOADED = ("pytest", "hypothesis", "sympy", "flint", "clarabel", "rich", "jsonschema")
"""Imported once: every mutant inherits them."""

# module: where it is, tests that are about it, the quickest first
TESTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "relations": (
        "identkit/relations.py",
        ("tests/test_relations.py",),
    ),
    "coincidence": (
        "identkit/coincidence.py",
        ("tests/test_coincidence.py",),
    ),
    "cone": (
        "identkit/degeneracy/cone.py",
        ("tests/test_cone.py",),
    ),
    "jets": ("identkit/certificates/jets.py", ("tests/test_jets.py",)),
    "independence": (
        "identkit/certificates/independence.py",
        ("tests/test_independence.py",),
    ),
    "verify": ("identkit/certificates/verify.py", ("tests/test_certificates.py",)),
}

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
EXCHANGED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Mutant:
    """One change: node ``number`` of a module, in this line, is replaced."""

    number: int
    line: int
    before: str
    by: ast.AST

    @property
    def after(self) -> str:
        """The source of what stands there now."""
        return ast.unparse(self.by)

    def source(self, text: str) -> str:
        """The whole module with this change."""
        tree = _numbered(text)
        return ast.unparse(ast.fix_missing_locations(_Replace(self.number, self.by).visit(tree)))


def mutants(text: str) -> Iterator[Mutant]:
    """Every single change of a module, in the order of its nodes."""
    tree = _numbered(text)
    skipped = _skipped(tree)
    for number, node in enumerate(ast.walk(tree)):
        if node not in skipped:
            placed = node.target if isinstance(node, ast.comprehension) else node
            for change in _changes(node):
                yield Mutant(number, vars(placed)["lineno"], ast.unparse(node), change)


def _numbered(text: str) -> ast.Module:
    tree = ast.parse(text)
    for number, node in enumerate(ast.walk(tree)):
        vars(node)["number"] = number
    return tree


class _Replace(ast.NodeTransformer):
    def __init__(self, number: int, by: ast.AST) -> None:
        self.number, self.by = number, by

    def visit(self, node: ast.AST) -> ast.AST:
        if vars(node).get("number") == self.number:
            return self.by
        return self.generic_visit(node)


def _skipped(tree: ast.Module) -> set[ast.AST]:
    """Nodes that no mutant changes."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
            found.update(ast.walk(node.annotation))
        if isinstance(node, ast.FunctionDef):
            found.update(n for part in node.decorator_list for n in ast.walk(part))
            found.update(ast.walk(node.returns) if node.returns is not None else ())
        if isinstance(node, ast.ClassDef):
            found.update(n for part in node.decorator_list for n in ast.walk(part))
        if isinstance(node, (ast.Raise, ast.JoinedStr)):
            found.update(n for n in ast.walk(node) if n is not node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.update(ast.walk(node))
    for node in tree.body:
        names = [n.id for t in getattr(node, "targets", ()) for n in ast.walk(t) if _named(n)]
        if names and all(n.isupper() and not n.startswith("_") for n in names):
            found.update(ast.walk(node))
    return found


def _named(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    if isinstance(node, ast.Compare):
        for position, operation in enumerate(node.ops):
            for other in COMPARED[type(operation)]:
                changed = copy.deepcopy(node)
                changed.ops[position] = other()
                yield changed
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int):
            yield ast.Constant(node.value + 1)
            yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.BoolOp):
        changed = copy.deepcopy(node)
        changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield changed
        for position in range(len(node.values)):
            rest = node.values[:position] + node.values[position + 1 :]
            yield copy.deepcopy(ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0])
    elif isinstance(node, ast.BinOp):
        yield copy.deepcopy(node.left)
        if type(node.op) in EXCHANGED:
            changed = copy.deepcopy(node)
            changed.op = EXCHANGED[type(node.op)]()
            yield changed
    elif isinstance(node, ast.UnaryOp):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(copy.deepcopy(node.test), *map(copy.deepcopy, (node.orelse, node.body)))
    elif isinstance(node, ast.comprehension) and node.ifs:
        changed = copy.deepcopy(node)
        changed.ifs.pop()
        yield changed
    elif isinstance(node, ast.stmt):
        yield from _changed_statements(node)


def _changed_statements(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, ast.If):
        changed = copy.deepcopy(node)
        changed.test = ast.UnaryOp(ast.Not(), changed.test)
        yield changed
        if not node.orelse:
            yield ast.Pass()
    elif isinstance(node, (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)):
        yield ast.Pass()
    elif isinstance(node, ast.Return) and node.value is not None:
        yield ast.Return(ast.Constant(None))


def attempt(copied: Path, tests: tuple[str, ...], limit: float) -> tuple[str, float]:
    """("killed", "survived" or "too long", seconds of CPU time) for the tree as it is now."""
    child = os.fork()
    if child == 0:
        _test(copied, tests, limit)
    _, status, used = os.wait4(child, 0)
    spent = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(status):
        return "too long", spent
    return ("killed" if os.WEXITSTATUS(status) else "survived"), spent


def _test(copied: Path, tests: tuple[str, ...], limit: float) -> None:
    """In a child: the tests, until one fails. Never returns."""
    status = 1
    try:
        # of CPU time, since others may use the machine
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit)))
        os.chdir(copied)
        sys.path[:0] = [str(copied), str(copied / "tests")]
        os.environ["PYTHONPATH"] = str(copied)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        import pytest

        arguments = ["-x", "-q", "--assert=plain", "--rootdir", "."]
        arguments += [f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "faulthandler")]
        status = int(pytest.main([*arguments, "-m", "not slow and not gpu", *tests]))
    finally:
        os._exit(status)


def run(name: str, count: int, seed: int) -> list[Mutant]:
    """The survivors of ``count`` mutants of a module drawn with ``seed``."""
    say = partial(print, flush=True)
    where, tests = TESTS[name]
    text = (ROOT / where).read_text(encoding="utf-8")
    every = list(mutants(text))
    drawn = random.Random(seed).sample(every, min(count, len(every)))
    outcomes = {"killed": 0, "survived": 0, "too long": 0}
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder)
        for part in COPIED:
            source = ROOT / part
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
                shutil.copytree(source, copied / part, ignore=ignored)
            else:
                shutil.copy(source, copied / part)
        outcome, seconds = attempt(copied, tests, 3600)
        if outcome != "survived":
            raise SystemExit(f"{name}: the tests fail on the module as it is.")
        say(f"{name}: {len(every)} mutants, {len(drawn)} tried, {seconds:.0f} s each if it lives")
        for number, mutant in enumerate(drawn):  # as drawn: what is done so far is a sample too
            (copied / where).write_text(mutant.source(text), encoding="utf-8")
            outcome, spent = attempt(copied, tests, max(LEAST, LIMIT * seconds))
            outcomes[outcome] += 1
            change = f"line {mutant.line}: {_short(mutant.before)}  →  {_short(mutant.after)}"
            say(f"  {number + 1:3d} {outcome:8s} {spent:5.1f} s  {change}")
            if outcome == "survived":
                survivors.append(mutant)
    say(f"{name}, seed {seed}: {outcomes}")
    return survivors


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 90 else line[:89] + "…"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="+", choices=[*TESTS])
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.dont_write_bytecode = True  # a mutant may be as old and as long as the one before
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for heavy in PRELOADED:
        import_module(heavy)
    survived = 0
    for name in options.module:
        survived += len(run(name, options.count, options.seed))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
