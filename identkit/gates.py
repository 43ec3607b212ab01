"""Gates: how the weight of an atom depends on x. One object per gate; the rest reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from identkit.errors import unknown_name


@dataclass(frozen=True)
class Regime:
    """A gating regime of theory section 1 and the condition its theorem asks for.

    ``moments`` says which second moments of an over-specified cell can hide: ``all`` (weight and
    gate take part), ``expert`` (the denominator pins the rest), None where fitted atoms cannot
    share a true one and the expansion stops at first order.
    """

    number: int | None
    condition: str
    meaning: str
    moments: str | None


@dataclass(frozen=True)
class Gate:
    """A gate: the unnormalised weight as a function of the score s = β1ᵀx + β0.

    ``weight`` maps the SymPy score to the weight; ``normalised`` says whether weights are divided
    by their sum over atoms, in which case a common shift of all (β0, β1) changes nothing
    (``gauge``). ``regimes`` are the cases of the theory with the condition each asks for.
    """

    name: str
    formula: str
    weight: Callable[[sp.Expr], sp.Expr]
    normalised: bool
    gauge: str
    regimes: tuple[Regime, ...]
    source: str

    def __reduce__(self) -> tuple:
        """A gate pickles as its name: weights are functions, which do not."""
        return resolve, (self.name,)

    def regime(self, number: int | None) -> Regime | None:
        """The regime with this number, or None."""
        return next((r for r in self.regimes if r.number == number), None)


GATES: dict[str, Gate] = {
    g.name: g
    for g in (
        Gate(
            name="sigmoid",
            formula="σ(β1ᵀx + β0), not normalised",
            weight=lambda s: 1 / (1 + sp.exp(-s)),
            normalised=False,
            gauge="none",
            regimes=(
                Regime(1, "strong", "every over-specified true atom has β1* = 0 (sparse)", "all"),
                Regime(2, "weak", "some over-specified true atom has β1* ≠ 0 (dense)", None),
            ),
            source="Nguyen, Ho, Rinaldo, NeurIPS 2024 (arXiv 2405.13997)",
        ),
        Gate(
            name="softmax",
            formula="exp(β1ᵀx + β0), divided by the sum over atoms",
            weight=sp.exp,
            normalised=True,
            gauge="a common shift of all (β0, β1) leaves f unchanged; pin one atom",
            regimes=(Regime(None, "strong", "any truth", "expert"),),
            source="Nguyen, Ho, Rinaldo, ICML 2024 (arXiv 2402.02952); arXiv 2503.03213",
        ),
    )
}


def resolve(gate: Gate | str) -> Gate:
    """A :class:`Gate` from itself or its name. Raises InputError for an unknown name."""
    if isinstance(gate, Gate):
        return gate
    if gate not in GATES:
        raise unknown_name("gate", gate, GATES)
    return GATES[gate]
