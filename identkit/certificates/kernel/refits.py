"""Exact refits of f_G* with more atoms, and parameters at which atoms lose independence.

A refit is an expert that is 0, or two atoms for one. Atoms lose independence where h is the same
for other parameters, or odd, where h(η) ± h(Sη) = D for a sign flip S and a D with a vanishing
second derivative in what is flipped, and along a curve on which h stays in a plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, interval, precision
from identkit.certificates.kernel.field import (
    Cases,
    Element,
    Field,
    Unshown,
    vanishes,
)
from identkit.certificates.kernel.outputs import is_scalar, one_function, wide
from identkit.certificates.kernel.points import draws
from identkit.deadline import Deadline
from identkit.degeneracy.records import Exceptional, Refit
from identkit.domain import Interval
from identkit.errors import CertificateError
from identkit.experts import symbols
from identkit.expression import Step, free_names, parse, put, symbol
from identkit.vocabulary import RefitKind


def check_refit(
    atom: AtomFunction, refit: Refit, sides: Sequence[Interval], where: str, deadline: Deadline
) -> None:
    """Raises CertificateError for what is no refit, and Unshown for what is not shown to be one."""
    sides, atom = wide(sides, atom), one_function(atom)
    count = {RefitKind.NULL_EXPERT: 1, RefitKind.DEAD_EXPERT: 1, RefitKind.SPLITTING: 2}.get(
        refit.kind, 0
    )
    if len(refit.substitution) != count or not count:
        raise CertificateError(f"{where}: is no kind of refit.")
    images = [_images(atom, pairs, where) for pairs in refit.substitution]
    moved = [put(atom.expression, i) for i in images]
    if refit.kind == RefitKind.DEAD_EXPERT:
        rests = [_beyond_the_kinks(atom, images[0], sides, where)]
    else:
        rest: Any = moved[0] if count == 1 else moved[0] + moved[1] - atom.expression
        rests = [rest, sp.expand(rest)]
    if not all(_is_real(e, atom, sides) for i in images for e in i.values()):
        raise Unshown("that the atoms of a refit are real")
    for expression in rests:
        if vanishes(expression, atom, sides, deadline):
            return
    raise Unshown("that a refit is exact")


def check_exceptional(
    atom: AtomFunction,
    found: Exceptional,
    sides: Sequence[Interval],
    where: str,
    deadline: Deadline,
) -> None:
    """Raises CertificateError for what is wrong, and Unshown for what is not shown."""
    identity = found.identity
    assert identity is not None
    if identity.rest != "0" and not is_scalar(atom):
        raise Unshown("a rest that is written by components")
    sides, atom = wide(sides, atom), one_function(atom)
    s, inputs = identity.parameter, frozenset(atom.inputs)
    own = [s] if s else []
    names: frozenset[str] = frozenset([*atom.parameters, *own])
    if (s and not s.isidentifier()) or s in (*atom.inputs, *atom.parameters):
        raise CertificateError(f"{where}: has no parameter of its own.")
    maps = [_images(atom, pairs, where, names) for _, pairs in identity.terms]
    factors = [_factor(c, names, where) for c, _ in identity.terms]
    slopes = [(p, _factor(c, names, where)) for p, c in identity.slopes]
    rest = _factor(identity.rest, names | inputs, where)
    moving = [i for i in maps if any(p != e for p, e in i.items())]
    flip = all(e == -p for i in moving for p, e in i.items())
    plain = flip and not s and not slopes and factors[0] == 1 and not maps[0]
    kinds = {
        "symmetry of one atom": plain and factors[1:] == [-1] and rest == 0,
        "reflection": plain and factors[1:] in ([1], [-1]) and (rest != 0 or factors[1] == 1),
        "orbit": bool(s) and rest == 0 and factors[0] == 1 and not flip,
    }
    if len(maps) != 2 or len(moving) != 1 or not kinds.get(found.kind):
        raise CertificateError(f"{where}: is of another kind.")
    if not {p for p, _ in slopes} <= set(atom.parameters):
        raise CertificateError(f"{where}: derives by what is no parameter.")
    extended = AtomFunction(
        atom.symbol, atom.expression, atom.inputs, (*atom.parameters, *([s] if s else []))
    )

    def build(field: Field) -> list[Element]:
        total = field.convert(rest)
        for factor, images in zip(factors, maps, strict=True):
            moved = put(atom.expression, images)
            total = total + field.convert(factor) * field.convert(moved)
        for p, factor in slopes:
            slope = field.derivative(field.convert(atom.expression), field.names.index(p))
            total = total + field.convert(factor) * slope
        return [total]

    cases = Cases(extended, sides, build, deadline)
    if any(not case.elements[0].is_zero for case in cases.cases):
        raise Unshown("the identity of an exceptional set")
    if rest != 0:
        flipped = [atom.parameters.index(str(p)) + len(atom.inputs) for p in moving[0]]
        _loses_a_derivative(rest, flipped, atom, sides, where, deadline)


def _loses_a_derivative(
    rest: Any,
    flipped: Sequence[int],
    atom: AtomFunction,
    sides: Sequence[Interval],
    where: str,
    deadline: Deadline,
) -> None:
    """Some ∂_u∂_v D = 0, so that ∂_u∂_v h is the same for the pair up to sign."""

    def build(field: Field) -> list[Element]:
        d = field.convert(rest)
        return [field.derivative(field.derivative(d, u), v) for u in flipped for v in flipped]

    own = AtomFunction(atom.symbol, rest, atom.inputs, atom.parameters)
    cases = Cases(own, sides, build, deadline).cases
    if not rest.is_polynomial(*symbols(atom.inputs)) or len(cases) > 1:
        raise CertificateError(f"{where}: is no reflection.")
    if not any(e.is_zero for e in cases[0].elements):
        raise CertificateError(f"{where}: loses no derivative.")


def _factor(text: str, names: frozenset[str], where: str) -> Any:
    expression = parse(text, extra=names, generous=True)
    if not free_names(expression) <= names:
        raise CertificateError(f"{where}: '{text[:60]}' depends on something else.")
    return expression


def _images(
    atom: AtomFunction,
    pairs: Sequence[tuple[str, str]],
    where: str,
    names: frozenset[str] = frozenset(),
) -> dict[Any, Any]:
    names = names or frozenset(atom.parameters)
    images: dict[Any, Any] = {}
    for name, text in pairs:
        expression = parse(text, extra=names, generous=True)
        if (
            name not in atom.parameters
            or symbol(name) in images
            or not free_names(expression) <= names
        ):
            raise CertificateError(f"{where}: is no substitution of the parameters.")
        images[symbol(name)] = expression
    return images


def _beyond_the_kinks(
    atom: AtomFunction, images: dict[Any, Any], sides: Sequence[Interval], where: str
) -> Any:
    """The expert on the sides of its kinks that the whole domain is on, near these parameters."""
    steps, parameters = sorted(atom.expression.atoms(Step), key=str), symbols(atom.parameters)
    if not steps or set(images) != set(parameters):
        raise CertificateError(f"{where}: is no expert beyond its kinks.")
    if not all(images[p].is_Rational for p in parameters):
        raise CertificateError(f"{where}: is not at rational parameters.")
    arguments: list[Any] = [s.args[0] for s in steps]
    tape = Tape(arguments, (*symbols(atom.inputs), *parameters))
    with precision(64):
        numbers = Tape([images[p] for p in parameters], ()).evaluate([])
        box = [interval(low, high) for low, high in sides]
        values = tape.evaluate([*box, *numbers])
    if not all(v > 0 or v < 0 for v in values):
        raise CertificateError(f"{where}: does not keep the kinks off the domain.")
    chosen = {s: sp.Integer(1 if v > 0 else 0) for s, v in zip(steps, values, strict=True)}
    return put(atom.expression, chosen)


def _is_real(expression: Any, atom: AtomFunction, sides: Sequence[Interval]) -> bool:
    """Finite somewhere."""
    tape = Tape([expression], symbols(atom.parameters))
    with precision(64):
        return any(
            tape.evaluate([ball(abs(v)) for v in theta])[0].is_finite()
            for theta, _ in draws(atom, sides, 8)
        )
