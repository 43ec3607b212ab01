"""A router: the score π(x, γ) of an atom, where it is not β1ᵀx, with parameters γ of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from identkit.expression import symbol
from identkit.layout import Block

Written = Callable[[Sequence[Any], Mapping[str, Sequence[Any]]], Any]
"""A score in SymPy, of the inputs and of the numbers of blocks by name, one measure's atom's."""


@dataclass(frozen=True)
class Router:
    """The score beside β0. ``text`` says what it is, and tells routers apart.

    ``named`` maps the names of the inputs to those of γ, which no expert can have; ``of`` maps
    inputs, γ and the parameters that all atoms have ``shared``, as SymPy symbols, to π.

    ``flows`` maps the inputs, two symbols s and t, and a power n to deviations of γ by name,
    polynomials in s, t and γ: along each, e^π averaged over s ~ N(0, 1) is proposed to stay the
    same up to t^n. Nothing rests on it that is not proved (:mod:`identkit.orders.of_gates`).
    """

    text: str
    named: Callable[[Sequence[str]], tuple[str, ...]] = field(repr=False, compare=False)
    of: Callable[..., Any] = field(repr=False, compare=False)
    shared: tuple[str, ...] = ()
    flows: Callable[[Sequence[str], Any, Any, int], list[dict[str, Any]]] | None = field(
        default=None, repr=False, compare=False
    )

    def parameters(self, inputs: Sequence[str]) -> tuple[str, ...]:
        """The names of γ. Raises InputError for inputs that the router is not about."""
        return self.named(inputs)

    def score(self, inputs: Sequence[str]) -> Any:
        """π, a SymPy expression."""
        names = (inputs, self.named(inputs), self.shared)
        return self.of(*([symbol(n) for n in some] for some in names if some))


@dataclass(frozen=True)
class Level:
    """The gate over groups of atoms: exp(score)/Σ over the groups.

    ``blocks`` are of groups, ``score`` is in them; all of one group's numbers in ``pinned`` can be
    held at 0, since a shift of them that all groups have in common leaves f as it is. ``within`` is
    the gate of the atoms of one group.
    """

    blocks: tuple[Block, ...]
    score: Written = field(repr=False)
    within: str
    pinned: tuple[Block, ...] = ()


def inputs_of(dim: int) -> tuple[str, ...]:
    """The names of so many inputs: ``x``, or ``x0``, ``x1``, …"""
    return ("x",) if dim == 1 else tuple(f"x{i}" for i in range(dim))


def each(letter: str) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """One parameter for each input: ``β1``, or ``β1_0``, ``β1_1``, …"""
    return lambda inputs: (
        (letter,) if len(inputs) == 1 else tuple(f"{letter}_{i}" for i in range(len(inputs)))
    )


def product(one: Sequence[Any], other: Sequence[Any]) -> Any:
    """Σ_i one_i·other_i."""
    return sp.Add(*(a * b for a, b in zip(one, other, strict=True)))


LINEAR = Router("β1ᵀx", each("β1"), lambda x, slope: product(slope, x))
"""That of gates whose parameters are β1 and β0."""
