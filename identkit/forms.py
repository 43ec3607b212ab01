"""Affine forms z = aᵀx + b through which a function depends on x: found, not assumed."""

from __future__ import annotations

from typing import Any

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.balls import Node
from identkit.expression import Step, is_affine, symbol


def affine_forms(atom: AtomFunction) -> list[sp.Expr]:
    """Affine forms in x through which all transcendental parts depend on x; [] if there are none.

    Also [] when some part depends on x without parameters: such parts are the same function for
    every atom and must stay recognisable.
    """
    inputs: set[Any] = {symbol(x) for x in atom.inputs}
    forms: dict[sp.Expr, None] = {}

    def covered(node: Node) -> bool:
        if not node.free_symbols & inputs:
            return True
        if node.free_symbols <= inputs:
            return False
        if not isinstance(node, sp.Function) and is_affine(node, inputs):
            forms.setdefault(_without_numeric_factors(node))
            return True
        return bool(node.args) and all(covered(a) for a in node.args)

    seen: set[sp.Basic] = set()

    def visit(node: Node) -> bool:
        if node in seen or not node.free_symbols & inputs:
            return True
        seen.add(node)
        if isinstance(node, sp.Function):
            return covered(node.args[0])
        if node.is_Pow and not node.args[0].is_Symbol:
            return all(covered(a) for a in node.args)
        return all(visit(a) for a in node.args)

    if not visit(atom.expression):
        return []
    if any(_has_fixed_slopes(f, inputs) for f in forms):
        return []  # exp(x + b) is exp(x) times a number: exp(x) must remain visible
    if atom.expression.has(Step) and (
        len(forms) > len(inputs) or any(_stands_still(f, inputs) for f in forms)
    ):
        return []  # the kink of relu(a*x) stays at x = 0: x must remain visible as a factor
    return sorted(forms, key=lambda f: (sp.count_ops(f), str(f)))


def _without_numeric_factors(node: Node) -> Node:
    """z from z/√2: the simplest of the proportional forms."""
    if not node.is_Mul:
        return node
    return sp.Mul(*(a for a in node.args if not a.is_number))


def _has_fixed_slopes(form: sp.Expr, inputs: set[sp.Symbol]) -> bool:
    """Whether no coefficient of x in an affine form depends on the parameters."""
    return all(sp.diff(form, x).is_number for x in inputs)


def _stands_still(form: sp.Expr, inputs: set[sp.Symbol]) -> bool:
    """Whether the zero set of an affine form does not depend on the parameters."""
    at_zero = form.subs(dict.fromkeys(inputs, 0))
    coefficients = [sp.diff(form, x) for x in inputs] + [at_zero]
    nonzero = [c for c in coefficients if c != 0]
    return all((c / nonzero[0]).is_number for c in nonzero)


MOST_OPERATIONS = 500
"""Beyond this a jump is not excluded: dividing larger expressions takes seconds."""


def may_jump(atom: AtomFunction) -> bool:
    """Whether it is not seen that the function is continuous where it has kinks.

    It is if, for every Step(u), its values on the two sides differ by a multiple of u.
    """
    h: Any = atom.expression
    steps = h.atoms(Step)
    if not steps:
        return False
    if h.count_ops() > MOST_OPERATIONS:
        return True
    for kink in steps:
        gap = h.xreplace({kink: sp.Integer(1)}) - h.xreplace({kink: sp.Integer(0)})
        size = sp.fraction(sp.cancel(sp.together(gap)))[0]
        if not sp.fraction(sp.cancel(size / kink.args[0]))[1].is_number:
            return True
    return False
