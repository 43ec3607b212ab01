"""``identkit table``: the published table, certified row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from identkit import __version__
from identkit.checking import check
from identkit.experts import ACTIVATIONS, builtin
from identkit.gates import GATES
from identkit.results import CheckResult, ConditionResult

ROWS: tuple[tuple[str, str | None], ...] = (
    *((name, "ridge") for name in ACTIVATIONS),
    ("gelu", "nobias"),
    ("relu", "ffn"),
    ("gelu", "ffn"),
    ("linear", None),
    ("poly2", None),
    ("poly3", None),
    ("input-free", None),
)
"""Built-in experts of the table; a user's own expert goes through ``check``."""


@dataclass(frozen=True)
class TableRow:
    """One expert under every (gate, regime)."""

    expert: str
    checks: tuple[CheckResult, ...]

    @property
    def cells(self) -> tuple[tuple[str, ConditionResult], ...]:
        """(gate, result) in column order."""
        return tuple((c.gate, r) for c in self.checks for r in c.results)


@dataclass(frozen=True)
class Table:
    """Experts × (gate, regime)."""

    version: str
    dim: int
    seed: int
    rows: tuple[TableRow, ...]


def table(dim: int = 2, *, seed: int = 0, progress: Callable[[str], None] | None = None) -> Table:
    """Certify every built-in expert under every gate. Raises InputError for a bad ``dim``."""
    rows = []
    for name, shape in ROWS:
        expert = builtin(name, shape, dim)
        checks = tuple(check(expert, gate, seed=seed, progress=progress) for gate in GATES)
        rows.append(TableRow(expert.label, checks))
    return Table(__version__, dim, seed, tuple(rows))
