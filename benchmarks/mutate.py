"""Mutation of the code that proves: one node changed at a time, and which tests notice.

    python benchmarks/mutate.py relations coincidence --count 40 --seed 1

A mutant is a module with one comparison, constant, sign, condition, term or statement of a function
changed. The tests of :data:`TESTS` are collected once; a forked child then puts the mutant's code
into the module and runs them until one fails. Killed: one did, or the time was up (a loop that no
longer ends). Survivors are printed with their line; exit code 1 if there are any. Not changed: what
is outside of functions (limits of effort), their defaults, texts of errors, annotations.
"""

from __future__ import annotations

import argparse
import ast
import copy
import inspect
import os
import random
import resource
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 5.0
"""Times the CPU seconds of the unchanged module, after which a mutant counts as killed."""
LEAST = 4.0
BROKEN = 97
"""Exit status of a child in which the mutant's code does not fit."""

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
    **{
        f"architecture.{name}": (
            f"identkit/architecture/{name}.py",
            ("tests/test_architecture.py",),
        )
        for name in ("measures", "moves", "halves", "overlap")
    },
    "verify": ("identkit/certificates/verify.py", ("tests/test_certificates.py",)),
    **{
        f"kernel.{name}": (
            f"identkit/certificates/kernel/{name}.py",
            (f"tests/test_kernel_{name}.py", "tests/test_kernel.py"),
        )
        for name in ("field", "points", "parts", "every_k", "refits", "second_order")
    },
    **{
        f"kernel.{name}": (
            f"identkit/certificates/kernel/{name}.py",
            ("tests/test_kernel_arcs.py",),
        )
        for name in ("arcs", "orders")
    },
    "order_entry": ("identkit/certificates/order_entry.py", ("tests/test_kernel_arcs.py",)),
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

    def applied_to(self, tree: ast.Module) -> ast.Module:
        """The whole module, changed in place."""
        return ast.fix_missing_locations(_Replace(self.number, self.by).visit(tree))


def mutants(tree: ast.Module) -> Iterator[Mutant]:
    """Every single change of a module with numbered nodes, in their order."""
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
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments):
            found.update(ast.walk(node))
    inside = {n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    found.update(node for node in ast.walk(tree) if node not in inside)
    return found


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


class Trial:
    """A pytest plugin: once the tests are collected, each mutant runs them in a forked child."""

    def __init__(self, name: str, count: int, seed: int) -> None:
        self.name, self.seed = name, seed
        self.where = TESTS[name][0]
        self.tree = _numbered((ROOT / self.where).read_text(encoding="utf-8"))
        self.every = list(mutants(self.tree))
        self.drawn = random.Random(seed).sample(self.every, min(count, len(self.every)))
        self.survivors: list[Mutant] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        say = partial(print, flush=True)
        outcome, seconds = self.attempt(session.items, None, 3600)
        if outcome != "survived":
            raise SystemExit(f"{self.name}: the tests fail on the module as it is.")
        say(f"{self.name}: {len(self.every)} mutants, {len(self.drawn)} tried, {seconds:.1f} s")
        outcomes = {"killed": 0, "survived": 0, "too long": 0}
        for number, mutant in enumerate(self.drawn):  # as drawn: a part of them is a sample too
            limit = max(LEAST, LIMIT * seconds)
            outcome, spent = self.attempt(session.items, mutant, limit)
            outcomes[outcome] += 1
            change = f"line {mutant.line}: {_short(mutant.before)}  →  {_short(mutant.after)}"
            say(f"  {number + 1:3d} {outcome:8s} {spent:5.1f} s  {change}")
            if outcome == "survived":
                self.survivors.append(mutant)
        say(f"{self.name}, seed {self.seed}: {outcomes}")
        return True

    def attempt(
        self, items: list[pytest.Item], mutant: Mutant | None, limit: float
    ) -> tuple[str, float]:
        """("killed", "survived" or "too long", seconds of CPU time)."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                # of CPU time, since others may use the machine
                resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit)))
                silent = os.open(os.devnull, os.O_WRONLY)
                os.dup2(silent, 1)
                os.dup2(silent, 2)
                if mutant is not None:
                    status = BROKEN
                    put(mutant.applied_to(self.tree), self.where)
                status = int(fails(items))
            finally:
                os._exit(status)
        _, status, used = os.wait4(child, 0)
        spent = used.ru_utime + used.ru_stime
        if os.WIFSIGNALED(status):
            return "too long", spent
        if os.WEXITSTATUS(status) == BROKEN:
            raise SystemExit(f"{self.name}: a mutant cannot be put into the module: {mutant}")
        return ("killed" if os.WEXITSTATUS(status) else "survived"), spent


def fails(items: list[pytest.Item]) -> bool:
    """Whether a test fails; the others are then not run."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        reports = runtestprotocol(item, log=False, nextitem=following)
        if any(report.failed for report in reports):
            return True
    return False


def put(source: ast.Module, where: str) -> None:
    """Give the functions of a module that is in use the code of another source of it."""
    codes: dict[str, CodeType] = {}
    waiting = [compile(source, where, "exec", dont_inherit=True)]
    while waiting:
        inner = [c for c in waiting.pop().co_consts if isinstance(c, CodeType)]
        codes.update((c.co_qualname, c) for c in inner)
        waiting += inner
    module = import_module(where.removesuffix(".py").replace("/", "."))
    for function in _functions(vars(module), module.__name__):
        if function.__code__.co_qualname in codes:
            function.__code__ = codes[function.__code__.co_qualname]


def _functions(names: Mapping[str, object], module: str) -> Iterator[FunctionType]:
    for value in names.values():
        inner = getattr(value, "fget", None) or getattr(value, "func", None)
        value = inspect.unwrap(getattr(inner or value, "__func__", inner or value))
        if getattr(value, "__module__", None) != module:
            continue
        if isinstance(value, FunctionType):
            yield value
        elif isinstance(value, type):
            yield from _functions(vars(value), module)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 90 else line[:89] + "…"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="+", choices=[*TESTS])
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.chdir(ROOT)
    survived = 0
    for name in options.module:
        trial = Trial(name, options.count, options.seed)
        plugins = [f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "faulthandler")]
        chosen = ["-s", "-qq", "-m", "not slow and not gpu", *TESTS[name][1]]
        pytest.main([*plugins, *chosen], plugins=[trial])
        survived += len(trial.survivors)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
