"""Exceptional pairs of atoms: measure-zero sets of (η, η') at which independence is lost.

* Reflections. For a sign flip S of some parameters, h(x; Sη) = h(x; η) makes one atom a discrete
  non-identifiability, h(x; Sη) = -h(x; η) makes the pair dependent. h(x; η) ∓ h(x; Sη) = D, a
  polynomial in x and η, makes second derivatives of the pair dependent as soon as ∂_u∂_v D = 0 for
  some flipped u, v (every pair of them if D is affine in η).
* Orbits. On a curve with h(curve(s)) = r1(s) h + r2(s) V·∇h the atoms span a plane (a line if
  r2 = 0).

Flips form the group (Z/2)^q, so only generators are reported. Each identity is proved in normal
form, on every side of the kinks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from math import comb
from typing import Any

import sympy as sp
from flint import arb

from identkit.algebra import TooLarge
from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, precision
from identkit.deadline import Deadline
from identkit.degeneracy.families import Lift
from identkit.degeneracy.records import Exceptional, Identity
from identkit.experts import symbols
from identkit.expression import Step
from identkit.forms import affine_forms
from identkit.normal_form import NeedSign, Rebase
from identkit.relations import FormalFamily, proved_zero
from identkit.vocabulary import FamilyKind

MAX_SUBSETS = 6
"""All subsets of this many parameters are flipped, or of this many blocks of parameters."""
MAX_DEGREE = 8
"""Degree in x of the polynomials D that are recognised."""

Flip = frozenset[Any]


class Line:
    """Values of h at equally spaced x on a line, at seeded η: a filter before any proof."""

    def __init__(self, atom: AtomFunction) -> None:
        self.parameters = symbols(atom.parameters)
        self.tape = Tape([atom.expression], [*symbols(atom.variables), *self.parameters])
        rng = random.Random(5)
        count = MAX_DEGREE + 2
        self.places: list[tuple[list[list[Fraction]], list[Fraction]]] = []
        for _ in range(2):
            # through the origin's neighbourhood, so that most kinks are crossed
            start = [Fraction(-rng.randrange(90, 190), 64) for _ in atom.inputs]
            move = [Fraction(rng.randrange(20, 40), 64) for _ in atom.inputs]
            xs = [[u + i * v for u, v in zip(start, move, strict=True)] for i in range(count)]
            theta = [Fraction(rng.randrange(33, 97), 64) for _ in self.parameters]
            mixed = [Fraction(rng.randrange(33, 97), 64) for _ in atom.markers]
            xs = [[*x, *mixed] for x in xs]
            self.places.append((xs, theta))

    def values(self, flip: Flip) -> list[list[arb]]:
        """h(x; Sη), one row per η."""
        rows = []
        for xs, theta in self.places:
            point = [-t if p in flip else t for p, t in zip(self.parameters, theta, strict=True)]
            rows.append([self.tape.evaluate([ball(v) for v in (*x, *point)])[0] for x in xs])
        return rows

    def kind(self, flip: Flip) -> set[tuple[str, int]]:
        """What S may be: ("zero" or "polynomial", sign) of h(Sη) + sign·h(η)."""
        found = set()
        with precision(256):
            left, right = self.values(flip), self.values(frozenset())
            for sign in (-1, 1):
                rows = [
                    [a + sign * b for a, b in zip(u, v, strict=True)]
                    for u, v in zip(left, right, strict=True)
                ]
                flat = [v for row in rows for v in row if v.is_finite()]
                if flat and all(v.contains(0) for v in flat):
                    found.add(("zero", sign))
                elif len(flat) == sum(map(len, rows)) and all(
                    _difference(row).contains(0) for row in rows
                ):
                    found.add(("polynomial", sign))
        return found


def _difference(values: Sequence[arb]) -> arb:
    """The finite difference that vanishes on polynomials of degree below its order."""
    n = len(values) - 1
    return sum((v * (-1) ** i * comb(n, i) for i, v in enumerate(values)), arb(0))


def flips(atom: AtomFunction) -> list[Flip]:
    """Subsets of the parameters, or of blocks: the parameters of each affine form, the others."""
    parameters = symbols(atom.parameters)
    blocks: list[Flip] = [frozenset({p}) for p in parameters]
    if len(parameters) > MAX_SUBSETS:
        forms = [frozenset(p for p in parameters if f.has(p)) for f in affine_forms(atom)]
        covered = frozenset().union(*forms)
        blocks = [*forms, *(b for b in blocks if not b <= covered)]
    sizes = range(1, len(blocks) + 1) if len(blocks) <= MAX_SUBSETS else (1, len(blocks))
    unions = [frozenset().union(*c) for n in sizes for c in combinations(blocks, n)]
    if len(parameters) > MAX_SUBSETS:
        unions += [frozenset({p}) for p in parameters] + [frozenset(parameters)]
    return sorted(dict.fromkeys(u for u in unions if u), key=len)


def _polynomial(expression: Any, atom: AtomFunction, deadline: Deadline) -> Any:
    """The polynomial in x and η equal to an expression on every branch, or None."""
    try:
        family = FormalFamily.from_expressions([expression], atom, deadline)
    except (TooLarge, Rebase, NeedSign, TypeError):
        return None
    found = set()
    for branch in family.branches:
        element = branch.elements[0]
        if any(family.field.kernel_at(i) is not None for i in element.generators()):
            return None
        found.add(sp.expand(family.field.to_sympy(element)))
    if len(found) != 1:
        return None
    value = found.pop()
    variables = symbols((*atom.variables, *atom.parameters))
    return value if value.is_polynomial(*variables) else None


def _implied(flip: Flip, known: Iterable[Flip]) -> bool:
    """Whether S is a composition of known flips: elimination over GF(2)."""
    basis: dict[str, Flip] = {}

    def reduced(f: Flip) -> Flip:
        while f:
            lead = min(map(str, f))
            if lead not in basis:
                break
            f ^= basis[lead]
        return f

    for f in known:
        rest = reduced(f)
        if rest:
            basis[min(map(str, rest))] = rest
    return not reduced(flip)


def reflections(atom: AtomFunction, deadline: Deadline) -> Iterator[Exceptional]:
    """Generators of the sign flips that are symmetries, odd symmetries, or leave a polynomial."""
    h, parameters = atom.expression, symbols(atom.parameters)
    line = Line(atom)
    inputs = symbols(atom.variables)
    candidates: list[tuple[Flip, set[tuple[str, int]]]] = []
    for flip in flips(atom):
        deadline.check()
        found = line.kind(flip)
        if found:
            candidates.append((flip, found))

    def moved(flip: Flip) -> Any:
        return h.xreplace({p: -p for p in flip})

    def own(flip: Flip) -> str:
        return ", ".join(f"-{p}" if p in flip else str(p) for p in parameters)

    def flipped(flip: Flip) -> tuple[tuple[str, str], ...]:
        return tuple((str(p), f"-{p}") for p in parameters if p in flip)

    eta = ", ".join(atom.parameters)
    primes = ", ".join(f"{p}'" for p in atom.parameters)
    one = len(parameters) == 1

    def where(flip: Flip) -> str:
        pair = f"{primes} = {own(flip)}" if one else f"({primes}) = ({own(flip)})"
        return f"{pair} under equal gates"

    known: list[Flip] = []
    for sign in (-1, 1):
        odd = sign == 1
        for flip, found in candidates:
            if ("zero", sign) not in found or _implied(flip, known):
                continue
            if not proved_zero(moved(flip) + sign * h, atom, deadline):
                continue
            known.append(flip)
            yield Exceptional(
                where(flip),
                f"{atom.symbol}(x; {own(flip)}) = {'-' if odd else ''}{atom.symbol}(x; {eta})",
                "reflection" if odd else "symmetry of one atom",
                Identity((("1", ()), (str(sign), flipped(flip))), (), "0", ""),
            )
    # a parameter with polynomial ∂h leaves a polynomial when flipped, whatever the rest of h is
    plain = [p for p in parameters if _is_plain(sp.diff(h, p), inputs)]
    known += [frozenset({p}) for p in plain]
    for flip, found in candidates:
        for sign in (-1, 1):
            if ("polynomial", sign) not in found or _implied(flip, known):
                continue
            rest = _polynomial(h + sign * moved(flip), atom, deadline)
            if rest is None or not _loses_a_derivative(rest, flip):
                continue
            if not proved_zero(h + sign * moved(flip) - rest, atom, deadline):
                continue
            known.append(flip)
            yield Exceptional(
                where(flip),
                f"{atom.symbol}(x; {eta}) {'+' if sign == 1 else '-'} "
                f"{atom.symbol}(x; {own(flip)}) = {atom.shown(rest)}",
                "reflection",
                Identity((("1", ()), (str(sign), flipped(flip))), (), str(-rest), ""),
            )


def _is_plain(expression: Any, inputs: Sequence[Any]) -> bool:
    return expression.is_polynomial(*inputs) and not expression.has(Step)


def _loses_a_derivative(rest: Any, flip: Flip) -> bool:
    """Some ∂_u∂_v D = 0, so that ∂_u∂_v h is the same for the pair up to sign."""
    return any(sp.diff(rest, u, v) == 0 for u in flip for v in flip)


def orbits(atom: AtomFunction, lifts: Sequence[Lift]) -> Iterator[Exceptional]:
    """The lifts that move h: a line or a plane of dependent atoms under equal gates."""
    parameters = symbols(atom.parameters)
    for lift in lifts:
        if lift.kind == FamilyKind.REDUNDANT:
            continue
        curve = lift.curve
        images = ", ".join(str(curve.images.get(p, p)) for p in parameters)
        terms = []
        if lift.r1 != 0:
            terms.append(f"{_factor(lift.r1)}{atom.symbol}")
        if lift.r2 != 0:
            along = [
                f"{_factor(v)}∂{atom.symbol}/∂{p}"
                for p, v in zip(parameters, curve.velocity, strict=True)
                if v != 0
            ]
            sum_along = " + ".join(along)
            terms.append(f"{_factor(lift.r2)}{sum_along if len(along) == 1 else f'({sum_along})'}")
        number = "two" if lift.r2 == 0 else "three"
        place = images if len(parameters) == 1 else f"({images})"
        yield Exceptional(
            f"{number} atoms at {place} for different {curve.s}, under equal gates",
            f"{atom.symbol}(x; {images}) = {' + '.join(terms)}",
            "orbit",
            Identity(
                (
                    ("1", tuple((str(p), str(e)) for p, e in curve.images.items())),
                    (str(-lift.r1), ()),
                ),
                tuple(
                    (str(p), str(-lift.r2 * v))
                    for p, v in zip(parameters, curve.velocity, strict=True)
                    if v * lift.r2 != 0
                ),
                "0",
                str(curve.s),
            ),
        )


def _factor(value: Any) -> str:
    if value == 1:
        return ""
    return f"({value})*" if value.is_Add or value.could_extract_minus_sign() else f"{value}*"


def exceptional_sets(
    atom: AtomFunction, lifts: Sequence[Lift], deadline: Deadline
) -> tuple[Exceptional, ...]:
    """Reflections first, then orbits; what the limits cut off is not found."""
    return (*reflections(atom, deadline), *orbits(atom, lifts))
