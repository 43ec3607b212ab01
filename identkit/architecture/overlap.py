"""Whether shared and routed experts are the same functions of x: h1(x, κ) = h2(x, η), by proof.

For source and target, one of the two each, parameters T of the target are sought with
target(x, T(σ)) = source(x, σ) for every x and σ. Candidates: T = σ in order; else the affine forms
inside the target's functions are set equal to those of the source, up to a simple factor, which is
linear in T, and what is left of T has to enter as Σ T_u g_u: a combination of known functions of x,
read off their relations. Whatever the candidate, the identity is then proved in normal form.

That there is none is proved in one case: the target is a polynomial of degree at most n in x, and
the finite difference of order n + 1 of the source along a line, which is 0 for these, is not 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations, product
from math import comb
from typing import Any

import sympy as sp
from flint import arb
from sympy.solvers.solveset import NonlinearError

from identkit.algebra import TooLarge
from identkit.atoms import AtomFunction, expert_function
from identkit.balls import Tape, ball, precision
from identkit.deadline import Deadline
from identkit.domain import Domain
from identkit.errors import DomainError
from identkit.experts import Expert, symbols
from identkit.expression import Step, is_affine, put, symbol
from identkit.normal_form import NeedSign, Rebase
from identkit.prove import witness_quantifier
from identkit.relations import FormalFamily, proved_zero
from identkit.results import QUANTIFIERS
from identkit.sampling import Sampler

FACTORS = (1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2))
"""Of the forms that are set equal: tanh is a sigmoid of twice the argument."""
MOST_FORMS = 3
"""Affine forms of one expert that are matched with those of the other."""
DIFFERENCE_BITS = 256

Images = dict[str, Any]
"""Parameter of the target -> expression in the parameters of the source."""


@dataclass(frozen=True)
class Overlap:
    """What was proved: κ as functions of η for every η, η as functions of κ for every κ, or one."""

    to_shared: Images | None
    to_routed: Images | None

    @property
    def whole(self) -> bool:
        """Whether each half has all functions of the other."""
        return self.to_shared is not None and self.to_routed is not None


def overlap(shared: Expert, routed: Expert, deadline: Deadline) -> Overlap | None:
    """The functions that both halves have, None if none were found."""
    found = Overlap(embedded(routed, shared, deadline), embedded(shared, routed, deadline))
    return None if found.to_shared is None and found.to_routed is None else found


def embedded(source: Expert, target: Expert, deadline: Deadline) -> Images | None:
    """The target's parameters at which it is the source, proved for every x and σ."""
    own = {symbol(p): symbol(f"{p}_target") for p in target.parameters}
    unknown = tuple(own.values())
    wanted, given = target.expression.xreplace(own), source.expression
    atom = AtomFunction("h", given, source.inputs, source.parameters)
    for candidate in _candidates(source, wanted, unknown, atom, deadline):
        deadline.check()
        images = {u: candidate.get(u) for u in unknown}
        if any(v is None or v.free_symbols & {*unknown} for v in images.values()):
            continue
        if proved_zero(put(wanted, images) - given, atom, deadline):
            return {p: images[own[symbol(p)]] for p in target.parameters}
    return None


def _candidates(
    source: Expert, wanted: Any, unknown: Sequence[Any], atom: AtomFunction, deadline: Deadline
) -> Iterator[dict[Any, Any]]:
    if len(unknown) == len(source.parameters):
        yield dict(zip(unknown, symbols(source.parameters), strict=True))
    inputs = {*symbols(source.inputs)}
    free = [f for f in _inner(wanted, inputs) if f.free_symbols & {*unknown}]
    for matched in _matched(_inner(source.expression, inputs), free, atom):
        rest = [u for u in unknown if u not in matched]
        reduced = put(wanted, matched)
        if reduced is sp.nan:
            continue
        if not rest:
            yield matched
            continue
        for held in _held(reduced, rest):
            free = [u for u in rest if u not in held]
            found = _combination(put(reduced, held), free, atom, deadline)
            if found is not None:
                yield {**matched, **held, **found}


def _inner(expression: Any, inputs: set[Any]) -> list[Any]:
    """The affine forms in x inside functions and powers, without numeric factors."""
    arguments = (e.args[0] for e in expression.atoms(sp.Function, sp.Pow))
    forms = {a.as_content_primitive()[1] for a in arguments if a.free_symbols & inputs}
    forms = {sp.Mul(*(f for f in sp.Mul.make_args(a) if not f.is_number)) for a in forms}
    affine = sorted((f for f in forms if is_affine(f, inputs)), key=sp.default_sort_key)
    kept: list[Any] = []
    for form in affine:
        if all(sp.expand(form + k) != 0 for k in kept):
            kept.append(form)
    return kept


def _matched(
    given: Sequence[Any], wanted: Sequence[Any], atom: AtomFunction
) -> Iterator[dict[Any, Any]]:
    """Solutions of wanted form = factor · given form, for every way to pair the forms."""
    if not wanted:
        yield {}
        return
    if len(wanted) > min(MOST_FORMS, len(given)) or len(given) > MOST_FORMS:
        return
    inputs = symbols(atom.inputs)
    own = {*symbols(atom.parameters), *inputs}
    for chosen in permutations(given, len(wanted)):
        for factors in product(FACTORS, repeat=len(wanted)):
            equations = []
            for left, right, factor in zip(wanted, chosen, factors, strict=True):
                gap = sp.expand(left - sp.Rational(factor) * right)
                constant = gap.xreplace(dict.fromkeys(inputs, sp.Integer(0)))
                equations += [constant, *(sp.diff(gap, x) for x in inputs)]
            free = sorted({s for e in equations for s in e.free_symbols} - own, key=str)
            solved = linear_solution(equations, free)
            if solved is not None:
                yield solved


def linear_solution(equations: Sequence[Any], unknown: Sequence[Any]) -> dict[Any, Any] | None:
    """The one solution of linear equations; None if there is none, or not one."""
    if not unknown:
        return {} if all(sp.expand(e) == 0 for e in equations) else None
    try:
        matrix, right = sp.linear_eq_to_matrix(list(equations), *unknown)
    except NonlinearError:
        return None
    if matrix.free_symbols or matrix.rank() < len(unknown):
        return None
    rows = matrix.T.rref()[1]
    values = matrix[rows, :].LUsolve(right[rows, :])
    if any(sp.expand(gap) != 0 for gap in matrix * values - right):
        return None
    return {u: sp.expand(values[i]) for i, u in enumerate(unknown)}


def _held(reduced: Any, rest: Sequence[Any]) -> Iterator[dict[Any, Any]]:
    """Which of the parameters left are held at 1, so that the others enter linearly."""
    if all(sp.expand(sp.diff(reduced, u, v)) == 0 for u in rest for v in rest):
        yield {}
    elif len(rest) > 1:
        for free in rest:
            if sp.expand(sp.diff(reduced, free, 2)) == 0:
                yield {u: sp.Integer(1) for u in rest if u != free}


def _combination(
    reduced: Any, free: Sequence[Any], atom: AtomFunction, deadline: Deadline
) -> dict[Any, Any] | None:
    """c with reduced = source at free = c, where ``reduced`` is affine in ``free``."""
    zero = dict.fromkeys(free, sp.Integer(0))
    functions: list[Any] = [sp.diff(reduced, u).xreplace(zero) for u in free]
    left: Any = atom.expression - put(reduced, zero)
    if left is sp.nan:
        return None
    try:
        family = FormalFamily.from_expressions([*functions, left], atom, deadline)
        columns = family.columns()
        _, dependent = family.echelon(columns, list(range(len(free) + 1)))
        support = dict(dependent).get(len(free))
        if support is None:
            return None
        if not support:
            return dict(zero)
        combination = family.null_combination(columns, len(free), support)
        if combination is None:
            return None
        field, top = family.field, combination.coefficients[len(free)]
        values = {
            u: _readable(field.to_sympy(-combination.coefficients[i] / top))
            for i, u in enumerate(free)
            if i in combination.coefficients
        }
    except (TooLarge, Rebase, NeedSign, TypeError):
        return None
    return {**zero, **values}


def _readable(value: Any) -> Any:
    """cos d instead of (1 - tan²(d/2))/(1 + tan²(d/2)); proved afterwards."""
    return sp.simplify(value) if value.has(sp.tan) else sp.cancel(value)


# -- that there is none ---------------------------------------------------------------------------


def excluded(source: Expert, target: Expert, domain: Domain, deadline: Deadline) -> str | None:
    """Why no target is a source, with its quantifier over σ; None if that is not proved."""
    degree = _degree(target)
    if degree is None:
        return None
    atom = expert_function(source)
    try:
        sampler = Sampler(atom, domain, 0, [], deadline)
        sigma = sampler.parameter_draw()
    except DomainError:
        return None
    low = [side[0] for side in sampler.sides]
    move = [(side[1] - side[0]) / (degree + 1) for side in sampler.sides]
    tape = Tape([atom.expression], sampler.variables)
    with precision(DIFFERENCE_BITS):
        total = arb(0)
        for i in range(degree + 2):
            x = [start + i * step for start, step in zip(low, move, strict=True)]
            value = tape.evaluate([ball(v) for v in (*x, *sigma)])[0]
            total += value * (-1) ** i * comb(degree + 1, i)
        if not total.is_finite() or total.contains(0):
            return None
    who = QUANTIFIERS[witness_quantifier(sampler)].replace("the atoms'", "its")
    return f"a polynomial of degree {degree} in x against one that is none, for {who}"


def _degree(expert: Expert) -> int | None:
    """The largest degree in x that the expert has at any parameters; None for no polynomial."""
    inputs = symbols(expert.inputs)
    h = expert.expression
    if h.has(Step) or not h.is_polynomial(*inputs):
        return None
    return int(sp.Poly(h, *inputs).total_degree())
