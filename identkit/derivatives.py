"""SymPy derives the functions a condition names: monomials in x times partial derivatives of U."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.conditions import AtomTerm, BasisFunction, BlockFunction
from identkit.deadline import Deadline
from identkit.expression import put, symbol
from identkit.forms import affine_forms


class Derivatives:
    """The partial derivatives of one atom function, each derived once.

    Derivatives are almost-everywhere ones: the derivative of :class:`~identkit.expression.Step`
    is 0 (theory section 2). With U(x, θ) = E(z(x, θ), x, θ) for affine forms z they are derived as
    ∂_u U = ∂_u E + Σ_i ∂_u z_i · ∂_{z_i} E, which spares SymPy the same work for every slope.
    """

    def __init__(self, atom: AtomFunction, deadline: Deadline | None = None) -> None:
        self.atom = atom
        self._deadline = deadline
        self._forms = {f: sp.Dummy(real=True) for f in affine_forms(atom)}
        self._back = {z: f for f, z in self._forms.items()}
        self._known: dict[tuple[str, ...], Any] = {(): put(atom.expression, self._forms)}

    def partial(self, names: tuple[str, ...]) -> sp.Expr:
        """∂^n U / ∂names; the order of ``names`` does not matter."""
        return self._partial(tuple(sorted(names))).xreplace(self._back)

    def _partial(self, names: tuple[str, ...]) -> Any:
        """The same, written in the forms z."""
        if names not in self._known:
            if self._deadline is not None:
                self._deadline.check()
            inner, u = self._partial(names[:-1]), symbol(names[-1])
            through = (
                sp.diff(form, u) * sp.diff(inner, z)
                for form, z in self._forms.items()
                if form.has(u)
            )
            self._known[names] = sp.Add(sp.diff(inner, u), *through)
        return self._known[names]

    def expression(self, function: AtomTerm) -> sp.Expr:
        """The function of (x, θ) that ``function`` names, linear in the blocks of a density."""
        if isinstance(function, BlockFunction):
            return sp.Add(*(symbol(b) * self._product(f) for b, f in function.terms))
        return self._product(function)

    def _product(self, function: BasisFunction) -> sp.Expr:
        factors = [symbol(x) for x in function.inputs]
        factors += [self.partial(f) for f in function.factors]
        return sp.Mul(*factors)

    def expressions(self, functions: Iterable[AtomTerm]) -> list[sp.Expr]:
        """One expression per function."""
        return [self.expression(f) for f in functions]
