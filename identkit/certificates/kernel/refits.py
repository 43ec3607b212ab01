"""Exact refits of f_G* with more atoms: by an expert that is 0, or by two atoms for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, interval, precision
from identkit.certificates.kernel.field import Unshown, vanishes
from identkit.certificates.kernel.points import FIRST_BITS, draws
from identkit.deadline import Deadline
from identkit.degeneracy.records import Refit
from identkit.domain import Interval
from identkit.errors import CertificateError
from identkit.experts import symbols
from identkit.expression import Step, free_names, parse, put, symbol


def check_refit(
    atom: AtomFunction, refit: Refit, sides: Sequence[Interval], where: str, deadline: Deadline
) -> None:
    """Raises CertificateError for what is no refit, and Unshown for what is not shown to be one."""
    count = {"null expert": 1, "dead expert": 1, "splitting": 2}.get(refit.kind, 0)
    if len(refit.substitution) != count or not count:
        raise CertificateError(f"{where}: is no kind of refit.")
    images = [_images(atom, pairs, where) for pairs in refit.substitution]
    moved = [put(atom.expression, i) for i in images]
    if refit.kind == "dead expert":
        rests = [_beyond_the_kinks(atom, images[0], sides, where)]
    else:
        rest: Any = moved[0] if count == 1 else moved[0] + moved[1] - atom.expression
        rests = [rest, sp.expand(rest)]
    if _is_nonzero(rests[0], atom, sides):
        raise CertificateError(f"{where}: does not refit f.")
    if not all(_is_real(e, atom, sides) for i in images for e in i.values()):
        raise Unshown("that the atoms of a refit are real")
    for expression in rests:
        if vanishes(expression, atom, sides, deadline):
            return
    raise Unshown("that a refit is exact")


def _images(atom: AtomFunction, pairs: Sequence[tuple[str, str]], where: str) -> dict[Any, Any]:
    names = frozenset(atom.parameters)
    images: dict[Any, Any] = {}
    for name, text in pairs:
        expression = parse(text, extra=names, generous=True)
        if name not in names or symbol(name) in images or not free_names(expression) <= names:
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


def _is_nonzero(expression: Any, atom: AtomFunction, sides: Sequence[Interval]) -> bool:
    """Whether a ball shows it to be nonzero somewhere; where it has kinks that says the same."""
    try:
        tape = Tape([expression], (*symbols(atom.inputs), *symbols(atom.parameters)))
    except TypeError:
        return True
    with precision(FIRST_BITS):
        for theta, points in draws(atom, sides, 7):
            (value,) = tape.evaluate([ball(v) for v in (*points[0], *theta)])
            if value.is_finite() and not value.contains(0):
                return True
    return False


def _is_real(expression: Any, atom: AtomFunction, sides: Sequence[Interval]) -> bool:
    """Finite somewhere."""
    tape = Tape([expression], symbols(atom.parameters))
    with precision(64):
        return any(
            tape.evaluate([ball(abs(v)) for v in theta])[0].is_finite()
            for theta, _ in draws(atom, sides, 8)
        )
