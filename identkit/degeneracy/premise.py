"""Regime 2 under the sigmoid gate: is f_G* an exact sum of more than k* atoms?

The theorem assumes it is not. Two ways to refit it are searched, and every one reported is proved:

* a null expert, h(·, η) ≡ 0 for some η: an atom with it and any gate can be added. On a box that
  includes experts all of whose kinks lie outside it (an open set of η);
* splitting under a common gate, h(·, η1) + h(·, η2) = h(·, η*). Along a curve with h(curve(s)) =
  r1(s) h + r2(s) V·∇h that is r1(s1) + r1(s2) = 1 and r2(s1) + r2(s2) = 0: s1 = s2 with r1 = ½
  where r2 = 0, and s2 = -s1 with r1 = ½ where r1 is even and r2 odd.

Finding nothing proves nothing, so the answer is then ``undecided``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations, islice, product
from typing import Any

import sympy as sp

from identkit.atoms import AtomFunction
from identkit.balls import Tape, ball, interval, precision
from identkit.deadline import Deadline
from identkit.degeneracy.families import Lift
from identkit.degeneracy.records import Premise, Refit
from identkit.domain import Domain
from identkit.experts import symbols
from identkit.expression import Step, put, step
from identkit.relations import proved_zero
from identkit.vocabulary import PremiseVerdict, RefitKind

MAX_SUBSTITUTIONS = 1_000
"""Substitutions whose values are looked at per size; each costs a few evaluations in balls."""
MAX_KINKS = 4
"""Kinks whose sides are tried in all combinations."""
MAX_ROOTS = 8
"""Solutions of r1(s) = ½ that are tried."""

Substitution = dict[Any, Any]


class Probe:
    """Values of an expression at seeded points, to discard most candidates before a proof."""

    def __init__(self, expression: Any, atom: AtomFunction, domain: Domain) -> None:
        self.parameters = symbols(atom.parameters)
        self.tape = Tape([expression], [*symbols(atom.variables), *self.parameters])
        rng = random.Random(4)
        sides = domain.sides(len(atom.inputs))
        self.points = [
            (
                [ball(low + (high - low) / 64 * rng.randrange(1, 64)) for low, high in sides]
                + [ball(Fraction(rng.randrange(33, 97), 64)) for _ in atom.markers],
                {p: Fraction(rng.randrange(33, 97), 64) for p in self.parameters},
            )
            for _ in range(6)
        ]

    def may_vanish(self, images: Substitution) -> bool | None:
        """False if a value is certainly not 0, None if no value is defined."""
        defined = None
        with precision(128):
            for x, values in self.points:
                exact = [_rational(images.get(p, p), values) for p in self.parameters]
                (value,) = self.tape.evaluate([*x, *(ball(v) for v in exact)])
                if value.is_finite():
                    defined = True
                    if not value.contains(0):
                        return False
        return defined


def _rational(image: Any, values: dict[Any, Fraction]) -> Fraction:
    """0, 1, u or -u at a point."""
    if image.is_Rational:
        return Fraction(int(image.p), int(image.q))
    return -values[-image] if (-image).is_Symbol else values[image]


def _substitutions(parameters: Sequence[Any], count: int) -> Iterator[Substitution]:
    """``count`` parameters fixed: zeros first, then ones, then disjoint pairs u = ±v."""
    zero, one = sp.Integer(0), sp.Integer(1)
    for values in sorted(product((zero, one), repeat=count), key=sum):
        for chosen in combinations(parameters, count):
            yield dict(zip(chosen, values, strict=True))
    for pairs in combinations(combinations(parameters, 2), count):
        if len({p for pair in pairs for p in pair}) == 2 * count:
            for signs in product((1, -1), repeat=count):
                yield {v: s * u for s, (u, v) in zip(signs, pairs, strict=True)}


def null_expert(atom: AtomFunction, domain: Domain, deadline: Deadline) -> Substitution | None:
    """The smallest substitution found, in at most three parameters or all, with h ≡ 0."""
    parameters = symbols(atom.parameters)
    probe = Probe(atom.expression, atom, domain)

    def is_null(images: Substitution) -> bool:
        deadline.check()
        hint = probe.may_vanish(images)
        if hint is None:  # sqrt(0) in balls, say: then only what is literally 0
            return put(atom.expression, images) == 0
        return hint and proved_zero(put(atom.expression, images), atom, deadline)

    for count in range(1, min(3, len(parameters)) + 1):
        for images in islice(_substitutions(parameters, count), MAX_SUBSTITUTIONS):
            if is_null(images):
                return images
    for value in (0, 1):
        images = dict.fromkeys(parameters, sp.Integer(value))
        if is_null(images):
            for p in parameters:  # drop what is not needed, one at a time
                fewer = {k: v for k, v in images.items() if k != p}
                images = fewer if fewer and is_null(fewer) else images
            return images
    return None


def dead_expert(atom: AtomFunction, domain: Domain, deadline: Deadline) -> Substitution | None:
    """A rational η at which every kink is outside [low, high]^d, on sides where h ≡ 0.

    The kinks' arguments have a sign on the whole (compact) box in interval arithmetic, so they
    keep it for an open set of η around.
    """
    steps = sorted(atom.expression.atoms(Step), key=str)
    parameters = symbols(atom.parameters)
    if not 0 < len(steps) <= MAX_KINKS:
        return None
    arguments: list[Any] = [s.args[0] for s in steps]
    tape = Tape(arguments, [*symbols(atom.inputs), *parameters])
    sides = domain.sides(len(atom.inputs))
    box = [interval(low, high) for low, high in sides]
    # |a·x| ≤ d·max|x| for slopes ±1, so an offset of this size decides the sign
    far = 1 + int(sum(max(abs(low), abs(high)) for low, high in sides) + 1)
    for sides in product((0, 1), repeat=len(steps)):
        chosen = {s: sp.Integer(v) for s, v in zip(steps, sides, strict=True)}
        if not proved_zero(put(atom.expression, chosen), atom, deadline):
            continue
        for point in _points(len(parameters), far):
            deadline.check()
            with precision(64):
                values = tape.evaluate([*box, *(ball(v) for v in point)])
            if all(v > 0 if side else v < 0 for v, side in zip(values, sides, strict=True)):
                return dict(zip(parameters, map(sp.Integer, point), strict=True))
    return None


def _points(q: int, far: int) -> Iterator[list[int]]:
    """Parameters ±1, with none, one or two of them ±``far``."""
    for count in range(min(q, 2 if q <= 40 else 1) + 1):
        for base in (1, -1):
            for places in combinations(range(q), count):
                for signs in product((-1, 1), repeat=count):
                    point = [base] * q
                    for place, sign in zip(places, signs, strict=True):
                        point[place] = sign * far
                    yield point


def splittings(
    atom: AtomFunction, lifts: Sequence[Lift], deadline: Deadline
) -> Iterator[tuple[Substitution, Substitution]]:
    """For each lift that has one, two atoms on its curve with h(η1) + h(η2) = h(η*), proved."""
    for lift in lifts:
        s = lift.curve.s
        if lift.r1 == 1:
            continue
        for value in _halving(lift.r1, s):
            deadline.check()
            other = value if lift.r2 == 0 else -value
            pair = (_at(lift, value), _at(lift, other))
            if not all(_is_real(v, atom) for images in pair for v in images.values()):
                continue
            h: Any = atom.expression
            rest = _free_kinks(put(h, pair[0]) + put(h, pair[1]) - h)
            # expanded, SymPy takes exp(log 2) apart
            if any(proved_zero(r, atom, deadline) for r in (rest, sp.expand(rest))):
                yield pair
                break


def _at(lift: Lift, value: Any) -> Substitution:
    """The atom of a curve at s = value."""
    s = lift.curve.s
    return {p: sp.expand(image.xreplace({s: value})) for p, image in lift.curve.images.items()}


def _free_kinks(expression: Any) -> Any:
    """Step(√2·u) as Step(u): positive constants do not move a kink."""

    def freed(argument: Any) -> Any:
        number, rest = sp.factor_terms(argument).as_independent(
            *argument.free_symbols, as_Add=False
        )
        return step(rest if number.is_positive else argument)

    return expression.replace(Step, freed)


def _halving(r1: Any, s: Any) -> list[Any]:
    """Solutions of r1(s) = ½; r1 = exp(k s) directly, since r1(0) = 1."""
    rate = sp.cancel(sp.diff(r1, s) / r1) if not r1.has(sp.sin, sp.cos, sp.tan) else s
    if not rate.has(s):
        return [-sp.log(2) / rate]
    try:
        found = [v for v in sp.solve(r1 - sp.Rational(1, 2), s) if not v.has(sp.I)]
    except NotImplementedError:
        return []
    return found[:MAX_ROOTS]


def _is_real(value: Any, atom: AtomFunction) -> bool:
    """A finite real number at some positive η, by balls."""
    names = symbols(atom.parameters)
    try:
        tape = Tape([value], names)
    except TypeError:
        return False
    with precision(64):
        return any(
            tape.evaluate([ball(c + Fraction(i, 7)) for i in range(len(names))])[0].is_finite()
            for c in (1, 3, Fraction(1, 5))
        )


def regime_2_premise(
    atom: AtomFunction,
    lifts: Sequence[Lift],
    domain: Domain,
    deadline: Deadline,
) -> Premise:
    """Exact refits of f_G* with more atoms."""
    refits = []
    null = null_expert(atom, domain, deadline)
    if null is not None:
        shown = _shown(null)
        text = (
            f"at {_equations(shown)} the expert is 0 for every x: such an atom can be added with "
            "any gate."
        )
        refits.append(Refit(RefitKind.NULL_EXPERT, text, (shown,)))
    dead = dead_expert(atom, domain, deadline)
    if dead is not None:
        shown = _shown(dead)
        text = (
            f"near {_equations(shown)} every kink lies outside the box {_box(atom, domain)} and "
            f"the expert is 0 on it: such an atom can be added with any "
            "gate."
        )
        refits.append(Refit(RefitKind.DEAD_EXPERT, text, (shown,)))
    for pair in splittings(atom, lifts, deadline):
        atoms = tuple(_shown(images) for images in pair)
        written = [f"h({_equations(a)})" for a in atoms]
        total = f"2*{written[0]}" if atoms[0] == atoms[1] else " + ".join(written)
        plain = all(v.is_polynomial(*symbols(atom.parameters)) for v in pair[0].values())
        scope = "every x and η" if plain else "every x and every η at which these are real"
        text = f"{total} = h for {scope}: one atom is two atoms under its gate."
        refits.append(Refit(RefitKind.SPLITTING, text, atoms))
    searched = (
        "experts that are 0 with up to three parameters or all of them at 0 or 1, or up to three "
        "pairs equal or opposite; experts whose kinks all miss the box; and pairs of atoms under "
        f"a common gate on the {len(lifts)} known curves of dependent atoms."
    )
    return Premise(
        PremiseVerdict.FAILS if refits else PremiseVerdict.UNDECIDED, tuple(refits), searched
    )


def _box(atom: AtomFunction, domain: Domain) -> str:
    same = len(domain.intervals) == 1
    return f"{domain}^{len(atom.inputs)}" if same else str(domain)


def _shown(images: Substitution) -> tuple[tuple[str, str], ...]:
    return tuple((str(p), str(v)) for p, v in images.items())


def _equations(shown: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in shown)
