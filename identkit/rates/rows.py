"""What passes between plans, workers and stores: blocks of replicates and rows of fits."""

from __future__ import annotations

from dataclasses import dataclass

from identkit.rates.missing import Missing


@dataclass(frozen=True)
class Block:
    """Some replicates of one (setting, start, n)."""

    setting: str
    start: str
    n: int
    replicates: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Row(Missing):
    """One fit. ``estimates`` is the parameter vector (p,); ``errors`` maps quantities to numbers,
    and :data:`~identkit.rates.quantities.DEVIANCE` to the cost against that of the truth.

    ``budget`` is the step limit; ``steps`` counts from the start, over all budgets so far.
    ``seconds`` is this fit's share of the time of its block.
    """

    setting: str
    start: str
    n: int
    replicate: int
    budget: int
    status: str
    cost: float
    gradient_norm: float
    steps: int
    estimates: tuple[float, ...]
    errors: dict[str, float]
    seconds: float
