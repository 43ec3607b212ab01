"""Where a proof looks: rational parameters for k atoms and rational points in the domain.

Any choice would be valid; a good one makes the proof cheap. Slopes are scaled to the domain,
offsets are set so that kinks and bends fall inside it, and atoms at which the expert is singular
or not real somewhere on the domain are rejected by interval arithmetic over the whole domain.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy as sp
from flint import arb

from identkit.atoms import AtomFunction
from identkit.balls import Hazard, Tape, ball, interval, precision
from identkit.deadline import Deadline
from identkit.domain import Domain, Interval
from identkit.errors import DomainError
from identkit.experts import symbols

DRAWS = 400
"""Parameter draws before the expert is said to be singular on the domain."""
UNWANTED = 20
"""Draws passed over per atom before one that is not wanted is taken."""
BOXES = 128
"""Sub-boxes examined to prove that one draw is regular on the whole domain."""
KINK_POINTS = 200
"""Points at which a kink's argument must take both signs."""
WALK_DEPTH = 14
"""Bisections between two points in search of what meets at a kink."""
INTERVAL_BITS = 64
"""Precision of regularity checks; a failure only rejects a draw."""


class Sampler:
    """Draws parameters and points for one atom function, from one seeded stream.

    Regularity is that of U: what is derived from U has no other singularities. ``forms`` are the
    affine forms whose zeros (bends) are placed inside the domain. Raises
    :class:`~identkit.errors.DomainError` when no draw is regular on the domain.
    """

    def __init__(
        self,
        atom: AtomFunction,
        domain: Domain,
        seed: int,
        forms: Sequence[sp.Expr],
        deadline: Deadline,
    ) -> None:
        self.atom, self.domain, self.deadline = atom, domain, deadline
        self.seed = seed
        self.rng = random.Random(seed)
        self.inputs, self.parameters = symbols(atom.inputs), symbols(atom.parameters)
        self.variables = (*symbols(atom.variables), *self.parameters)
        self.sides = domain.sides(len(self.inputs))
        self.tape = Tape([atom.expression], self.variables)
        self.kinks = [h for h in self.tape.hazards if h.kind == "kink"]
        self.singular = [h for h in self.tape.hazards if h.kind != "kink"]
        self._forms = [
            _Form(f, self.inputs, self.parameters) for f in (*forms, *self._kink_forms())
        ]
        self._reach = self._reaches()
        self._centring = True
        self.uncrossed: list[str] = []

    def _kink_forms(self) -> list[sp.Expr]:
        return [h.expression for h in self.kinks if h.expression.free_symbols & set(self.inputs)]

    def _reaches(self) -> dict[sp.Symbol, Fraction]:
        """How far from the middle of the domain the inputs go that a slope multiplies."""
        reach: dict[sp.Symbol, Fraction] = {}
        for form in self._forms:
            for p, multiplied in form.slopes.items():
                half = max((self.sides[i][1] - self.sides[i][0]) / 2 for i in multiplied)
                reach[p] = max(half, reach.get(p, half))
        return reach

    # -- points -----------------------------------------------------------------------------

    def point(self) -> tuple[Fraction, ...]:
        """A rational point inside the domain, multiples of 1/1024 of its widths."""
        return tuple(
            low + (high - low) * Fraction(self.rng.randrange(1, 1024), 1024)
            for low, high in self.sides
        )

    def points(self, count: int) -> list[tuple[Fraction, ...]]:
        """Distinct x (in one dimension stratified, so that every kink is surrounded)."""
        if len(self.inputs) > 1:
            found: dict[tuple[Fraction, ...], None] = {}
            while len(found) < count:
                found[self.point()] = None
            return list(found)
        if not count:
            return []
        low, high = self.sides[0]
        width = (high - low) / count
        return [
            (low + width * (i + Fraction(self.rng.randrange(8, 56), 64)),) for i in range(count)
        ]

    # -- parameters -------------------------------------------------------------------------

    def atoms(
        self, count: int, wanted: Callable[[Sequence[Fraction]], bool] | None = None
    ) -> list[tuple[Fraction, ...]]:
        """Parameters of ``count`` distinct atoms, regular on the domain, kinks crossing it.

        Each atom bends in a slab of the domain of its own, so that no two kinks nearly coincide.
        Draws that are not ``wanted`` are passed over while there is hope for others.
        """
        found: list[tuple[Fraction, ...]] = []
        passed_over = 0
        for _ in range(200 * count):
            if len(found) == count:
                return found
            # the crossing of kinks may be what makes a draw unwanted: every other one does without
            draw = self.parameter_draw((len(found), count), crossing=passed_over % 2 == 0)
            if draw in found:
                continue
            if wanted is not None and passed_over < UNWANTED * count and not wanted(draw):
                passed_over += 1
                continue
            found.append(draw)
        raise DomainError(
            f"expert: after {200 * count} draws only {len(found)} distinct atoms were found; "
            "lower --atoms."
        )

    def parameter_draw(
        self, slab: tuple[int, int] = (0, 1), crossing: bool = True
    ) -> tuple[Fraction, ...]:
        """One regular draw, bending in slab ``i`` of ``n`` along the first input.

        ``crossing``: one whose kinks cross the domain is preferred.
        """
        culprit: Hazard | None = None
        crossing_failed = 0
        for attempt in range(DRAWS):
            self.deadline.check()
            values = self._raw_draw(attempt, slab)
            hazard = self.irregular(values)
            if hazard is not None:
                culprit = hazard
                # bends placed inside the domain are where log, 1/z and sqrt are singular
                self._centring = self._centring and attempt < DRAWS // 40
                continue
            if crossing and self._uncrossed(values) and crossing_failed < DRAWS // 8:
                crossing_failed += 1
                continue
            self.uncrossed = [str(h.expression) for h in self._uncrossed(values)]
            return values
        assert culprit is not None
        verb = {"pole": "vanishes", "tan": "meets a pole of tan"}.get(
            culprit.kind, "is not positive"
        )
        who = "expert" if self.atom.routed is None else "router or expert"
        raise DomainError(
            f"{who}: '{culprit.expression}' {verb} somewhere on the domain {self.domain} at each "
            f"of {DRAWS} parameter draws, so it is singular or not real there; "
            "narrow --domain or change the expression."
        )

    def _raw_draw(self, attempt: int, slab: tuple[int, int]) -> tuple[Fraction, ...]:
        spread = 1 if len(self.inputs) < 4 else 2
        values: dict[sp.Symbol, Fraction] = {}
        for p in self.parameters:
            # a fine grid: equal magnitudes are exceptional parameters for odd and even experts
            size = Fraction(self.rng.randrange(2_500, 12_500), 8_192)
            if p in self._reach:
                size = size * Fraction(3) / (self._reach[p] * spread)
            if attempt > DRAWS // 8:
                size *= Fraction(2) ** self.rng.randrange(-4, 4)
            values[p] = size if self.rng.random() < 0.5 or attempt % 7 == 6 else -size
        if self._centring:
            for form in self._forms:
                form.centre(values, dict(zip(self.inputs, self._interior(slab), strict=True)))
        return tuple(values[p] for p in self.parameters)

    def _interior(self, slab: tuple[int, int]) -> tuple[Fraction, ...]:
        """A point in the middle two thirds of the domain, its first coordinate in the slab."""
        middles = [(low + high) / 2 for low, high in self.sides]
        drawn = zip(middles, self.point(), strict=True)
        point = [middle + (x - middle) * Fraction(2, 3) for middle, x in drawn]
        index, count = slab
        low, high = self.sides[0]
        width = (high - low) * Fraction(2, 3)
        inside = Fraction(self.rng.randrange(16, 48), 64)
        point[0] = middles[0] - width / 2 + width * (index + inside) / count
        return tuple(point)

    def _balls(self, x: Sequence[arb], values: Sequence[Fraction]) -> list[arb]:
        # no kink and no singularity depends on a marker
        return [*x, *(arb(1) for _ in self.atom.markers), *(ball(v) for v in values)]

    def irregular(self, values: Sequence[Fraction]) -> Hazard | None:
        """The first hazard not proved harmless on the whole domain at these parameters."""
        if not self.singular:
            return None
        full = list(self.sides)
        with precision(INTERVAL_BITS):
            culprit = self._visibly_irregular(values)
            if culprit is not None:
                return culprit
            waiting, examined = [full], 0
            while waiting:
                box = waiting.pop()
                examined += 1
                x = [interval(low, high) for low, high in box]
                slots = self.tape.run(self._balls(x, values))
                bad = next((h for h in self.singular if not _harmless(h, slots[h.slot])), None)
                if bad is None:
                    continue
                if examined >= BOXES:
                    return bad
                waiting += _halves(box, self.sides)
        return None

    def _visibly_irregular(self, values: Sequence[Fraction]) -> Hazard | None:
        """A hazard that sample points already expose: cheaper than subdividing down to it."""
        ends = list(zip(*self.sides, strict=True))
        signs: dict[int, set[bool]] = {}
        for x in [*ends, *(self.point() for _ in range(12))]:
            slots = self.tape.run(self._balls([ball(v) for v in x], values))
            for h in self.singular:
                if not _harmless(h, slots[h.slot]):
                    return h
                if h.kind in ("pole", "tan"):
                    vanishing = slots[h.slot] if h.kind == "pole" else slots[h.slot].cos()
                    signs.setdefault(h.slot, set()).add(bool(vanishing > 0))
                    if len(signs[h.slot]) == 2:
                        return h  # continuous and of both signs: it vanishes in between
        return None

    def _uncrossed(self, values: Sequence[Fraction]) -> list[Hazard]:
        """Kinks that depend on x but keep one sign at the points tried."""
        kinks = [h for h in self.kinks if h.expression.free_symbols & set(self.inputs)]
        signs: dict[int, set[bool]] = {h.slot: set() for h in kinks}
        if not kinks:
            return []
        with precision(INTERVAL_BITS):
            for x in self.points(KINK_POINTS if len(self.inputs) > 1 else 40):
                slots = self.tape.run(self._balls([ball(v) for v in x], values))
                for h in kinks:
                    signs[h.slot].add(bool(slots[h.slot] > 0))
                if all(len(s) == 2 for s in signs.values()):
                    return []
        return [h for h in kinks if len(signs[h.slot]) < 2]

    def meetings(
        self, arguments: dict[str, sp.Expr], values: Sequence[Fraction], count: int = 300
    ) -> list[list[dict[str, int]]]:
        """The sign patterns of the kinks' arguments seen in the domain at one θ, by what meets.

        Patterns are in one list where a chain of kinks that move with θ joins them. Each is proved
        by balls at a point, each kink of the chain on a segment: one argument changes its sign
        there, no other one vanishes, and some ∂/∂θ_j of it does not vanish either. All of it stays
        true for θ nearby.
        """
        # a stream of its own: prover and verifier see the same points
        looking = Sampler(self.atom, self.domain, self.seed, (), self.deadline)
        with precision(INTERVAL_BITS):
            return _Walk(looking, arguments, values).meetings(looking.points(count))


class _Walk:
    """Walks between points of the domain at one θ and notes which sign patterns meet."""

    def __init__(
        self, sampler: Sampler, arguments: dict[str, sp.Expr], values: Sequence[Fraction]
    ) -> None:
        self.keys, self.deadline = list(arguments), sampler.deadline
        variables = (*sampler.inputs, *sampler.parameters)
        speeds = [[sp.diff(a, u) for u in sampler.parameters] for a in arguments.values()]
        self.signs_tape = Tape(arguments.values(), variables)
        self.speed_tapes = [Tape(row, variables) for row in speeds]
        self.still = {n for n, row in enumerate(speeds) if not any(row)}
        self.theta = [ball(v) for v in values]
        self.parent: dict[tuple[int, ...], tuple[int, ...]] = {}

    def meetings(self, points: Sequence[tuple[Fraction, ...]]) -> list[list[dict[str, int]]]:
        """One list of patterns per chain of moving kinks (see :meth:`Sampler.meetings`)."""
        seen = [(x, signs) for x in points if (signs := self._signs(x)) is not None]
        for (x, at_x), (y, at_y) in pairwise(seen):
            self._step(x, at_x, y, at_y, WALK_DEPTH)
        chains: dict[tuple[int, ...], list[dict[str, int]]] = {}
        for signs in sorted(self.parent):
            pattern = dict(zip(self.keys, signs, strict=True))
            chains.setdefault(self._root(signs), []).append(pattern)
        return list(chains.values())

    def _signs(self, x: Sequence[Fraction]) -> tuple[int, ...] | None:
        """The pattern at a point, None where a ball does not tell."""
        values = self.signs_tape.evaluate([*(ball(v) for v in x), *self.theta])
        if not all(v > 0 or v < 0 for v in values):
            return None
        signs = tuple(1 if v > 0 else -1 for v in values)
        self.parent.setdefault(signs, signs)
        return signs

    def _root(self, signs: tuple[int, ...]) -> tuple[int, ...]:
        while self.parent[signs] != signs:
            signs = self.parent[signs]
        return signs

    def _step(
        self,
        x: tuple[Fraction, ...],
        at_x: tuple[int, ...],
        y: tuple[Fraction, ...],
        at_y: tuple[int, ...],
        depth: int,
    ) -> None:
        """Join the patterns met between x and y across kinks that move."""
        if self._root(at_x) == self._root(at_y):
            return
        changed = [n for n, (s, t) in enumerate(zip(at_x, at_y, strict=True)) if s != t]
        if len(changed) == 1 and self._moves_between(changed[0], x, y):
            self.parent[self._root(at_x)] = self._root(at_y)
            return
        if self.still.issuperset(changed):
            return
        self.deadline.check()
        # an odd share: the middle of a symmetric domain is where kinks like to meet
        middle = tuple(s + (t - s) * Fraction(61, 128) for s, t in zip(x, y, strict=True))
        at_middle = self._signs(middle) if depth else None
        if at_middle is not None:
            self._step(x, at_x, middle, at_middle, depth - 1)
            self._step(middle, at_middle, y, at_y, depth - 1)

    def _moves_between(self, n: int, x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
        box = [interval(min(s, t), max(s, t)) for s, t in zip(x, y, strict=True)]
        values = self.signs_tape.evaluate([*box, *self.theta])
        if not all(i == n or v > 0 or v < 0 for i, v in enumerate(values)):
            return False
        speeds = self.speed_tapes[n].evaluate([*box, *self.theta])
        return any(v > 0 or v < 0 for v in speeds)


class _Form:
    """An expression whose zero should lie inside the domain: its slopes and its offset.

    ``slopes`` maps each slope to the numbers of the inputs that it multiplies.
    """

    def __init__(
        self, expression: sp.Expr, inputs: Sequence[sp.Symbol], parameters: Sequence[sp.Symbol]
    ) -> None:
        self.expression = expression
        self.slopes: dict[sp.Symbol, list[int]] = {}
        self.offset: sp.Symbol | None = None
        for p in parameters:
            rate = sp.diff(expression, p)
            multiplied = [i for i, x in enumerate(inputs) if x in rate.free_symbols]
            if multiplied:
                self.slopes[p] = multiplied
            elif rate.is_number and rate != 0:
                self.offset = p
        self._rate = sp.diff(expression, self.offset) if self.offset is not None else None

    def centre(self, values: dict[sp.Symbol, Fraction], x: dict[sp.Symbol, Fraction]) -> None:
        """Set the offset so that the form nearly vanishes at x."""
        if self.offset is None:
            return
        known: Any = {s: sp.Rational(v.numerator, v.denominator) for s, v in (values | x).items()}
        known[self.offset] = sp.Integer(0)
        value = (-self.expression / self._rate).subs(known)
        if value.is_number and value.is_real:
            # where SymPy finds no digits the offset stays as it was drawn
            with contextlib.suppress(TypeError):
                values[self.offset] = Fraction(float(value)).limit_denominator(2**20)


def is_harmless_number(hazard: Hazard) -> bool:
    """Whether a hazard free of x and θ (√2, log 3) is proved harmless."""
    tape = Tape([hazard.expression], ())
    with precision(INTERVAL_BITS):
        return _harmless(hazard, tape.evaluate([])[0])


def _harmless(hazard: Hazard, value: arb) -> bool:
    if not value.is_finite():
        return False
    if hazard.kind == "pole":
        return bool(value > 0 or value < 0)
    if hazard.kind == "tan":
        cosine = value.cos()
        return bool(cosine > 0 or cosine < 0)
    return bool(value > 0)


def _halves(box: list[Interval], sides: Sequence[Interval]) -> list[list[Interval]]:
    """The box cut across where it is widest, in units of the whole domain."""

    def share(i: int) -> Fraction:
        (low, high), (least, most) = box[i], sides[i]
        return (high - low) / (most - least)

    widest = max(range(len(box)), key=share)
    low, high = box[widest]
    middle = (low + high) / 2
    return [[*box[:widest], half, *box[widest + 1 :]] for half in ((low, middle), (middle, high))]
