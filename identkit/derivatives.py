"""SymPy derives the functions a condition names: monomials in x times partial derivatives of U."""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.conditions import BasisFunction
from identkit.deadline import Deadline
from identkit.expression import symbol


class Derivatives:
    """The partial derivatives of one atom function, each derived once.

    Derivatives are almost-everywhere ones: the derivative of :class:`~identkit.expression.Step`
    is 0 (theory section 2).
    """

    def __init__(self, atom: AtomFunction, deadline: Deadline | None = None) -> None:
        self.atom = atom
        self._deadline = deadline
        self._known: dict[tuple[str, ...], sp.Expr] = {(): atom.expression}

    def partial(self, names: tuple[str, ...]) -> sp.Expr:
        """∂^n U / ∂names; the order of ``names`` does not matter."""
        key = tuple(sorted(names))
        if key not in self._known:
            if self._deadline is not None:
                self._deadline.check()
            self._known[key] = sp.diff(self.partial(key[:-1]), symbol(key[-1]))
        return self._known[key]

    def expression(self, function: BasisFunction) -> sp.Expr:
        """The function of (x, θ) that ``function`` names."""
        factors = [symbol(x) for x in function.inputs]
        factors += [self.partial(f) for f in function.factors]
        return sp.Mul(*factors)

    def expressions(self, functions: Iterable[BasisFunction]) -> list[sp.Expr]:
        """One expression per function."""
        return [self.expression(f) for f in functions]
