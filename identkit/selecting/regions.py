"""The regions of a gate that selects: the sets of true atoms that are selected somewhere.

Without scores every K of the k* true atoms are such a set: k* − 1 inputs suffice for almost every
gates. With scores of one input the domain is divided: exactly, at the rational crossings of two
lines; for scores that are compared with a bias, in ball arithmetic, until in every piece the
selection is certain and at every face between two pieces just one atom gives way to one other,
their difference being monotone there. What is not certain is said to be so.

Source: theory section 9; proofs_check/test_selections.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from flint import arb

from identkit.balls import ball, precision

BITS = 200
HALVINGS = 40
"""Of the domain, until a place where two atoms are level is taken for a face."""
UNSURE = 512
"""Intervals without a certain selection at a time: with more, atoms touch or stay level."""


@dataclass(frozen=True)
class Score:
    """A true atom's score β1·x + β0 of one input, and what is added to its weight to be compared.

    >>> Score(Fraction(2), Fraction(1)).at(Fraction(3))
    Fraction(7, 1)
    """

    slope: Fraction
    offset: Fraction
    bias: Fraction = Fraction(0)

    def at(self, x: Fraction) -> Fraction:
        """The score at x."""
        return self.slope * x + self.offset


@dataclass(frozen=True)
class Piece:
    """An interval on which the same atoms are selected, its ends exact or beside the face."""

    low: Fraction
    high: Fraction
    atoms: tuple[int, ...]

    @property
    def middle(self) -> Fraction:
        """A point of its interior."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Division:
    """The domain in pieces. ``open`` says why it is not certain to be all; empty if it is.

    ``exact`` says whether the ends of pieces are the faces, or at most 2^-39 of the domain beside.
    """

    pieces: tuple[Piece, ...]
    exact: bool = True
    open: str = ""

    @property
    def sets(self) -> tuple[tuple[int, ...], ...]:
        """The sets of atoms that are selected, each once, in the order of x."""
        return tuple(dict.fromkeys(p.atoms for p in self.pieces))

    @property
    def exchanges(self) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """(the atoms that give way, those that come in) at each face."""
        found = []
        for one, other in pairwise(self.pieces):
            gone = tuple(sorted({*one.atoms} - {*other.atoms}))
            found.append((gone, tuple(sorted({*other.atoms} - {*one.atoms}))))
        return tuple(found)

    @property
    def components(self) -> tuple[tuple[int, ...], ...]:
        """Atoms that are selected somewhere, joined where one gives way to another one.

        Selection biases are determined up to one shift for each of them.
        """
        group = {i: {i} for atoms in self.sets for i in atoms}
        for gone, come in self.exchanges:
            joined = set().union(*(group[i] for i in (*gone, *come)))
            for i in joined:
                group[i] = joined
        return tuple(sorted({tuple(sorted(g)) for g in group.values()}))


def by_scores(scores: Sequence[Score], count: int, low: Fraction, high: Fraction) -> Division:
    """The regions in [low, high] of the ``count`` largest scores, exactly.

    >>> lines = [Score(Fraction(s), Fraction(t)) for s, t in ((1, 0), (-1, 0), (0, 0))]
    >>> by_scores(lines, 2, Fraction(-1), Fraction(1)).sets
    ((1, 2), (0, 2))
    """
    ends = {low, high}
    for n, one in enumerate(scores):
        for other in scores[:n]:
            if one.slope != other.slope:
                x = (other.offset - one.offset) / (one.slope - other.slope)
                ends |= {x} if low < x < high else set()
    pieces: list[Piece] = []
    for left, right in pairwise(sorted(ends)):
        middle = (left + right) / 2
        order = sorted(range(len(scores)), key=lambda i: scores[i].at(middle), reverse=True)
        _join(pieces, Piece(left, right, tuple(sorted(order[:count]))))
    return Division(tuple(pieces))


def by_bias(scores: Sequence[Score], count: int, low: Fraction, high: Fraction) -> Division:
    """The regions in [low, high] of the ``count`` largest σ(score) + bias, in ball arithmetic."""
    with precision(BITS):
        found, unsure = [], [(low, high)]
        for _ in range(HALVINGS):
            left = []
            for ends in unsure:
                piece = _certain(scores, count, *ends)
                if piece is None:
                    middle = sum(ends) / 2
                    left += [(ends[0], middle), (middle, ends[1])]
                else:
                    found.append(piece)
            if len(left) > UNSURE:
                x = float(left[0][0])
                return Division((), False, f"near x = {x:.6g} two atoms stay level; change a bias")
            unsure = left
        pieces: list[Piece] = []
        for piece in sorted(found, key=lambda p: p.low):
            _join(pieces, piece)
        ends = [low, *(e for p in pieces for e in (p.low, p.high)), high]
        gaps = [(x, y) for x, y in zip(ends[::2], ends[1::2], strict=True) if x < y]
        reasons = (_face(scores, x, y, pieces) for x, y in gaps)
        return Division(tuple(pieces), exact=False, open=next(filter(None, reasons), ""))


def _join(pieces: list[Piece], piece: Piece) -> None:
    """Add a piece, to the last one if the two touch and the same atoms are selected."""
    last = pieces[-1] if pieces else None
    if last is not None and (last.high, last.atoms) == (piece.low, piece.atoms):
        pieces[-1] = Piece(last.low, piece.high, piece.atoms)
    else:
        pieces.append(piece)


def _weight(score: Score, low: Fraction, high: Fraction) -> arb:
    """σ(score) on [low, high]; it is monotone in x."""
    ends = [1 / (1 + (-ball(score.at(x))).exp()) for x in (low, high)]
    return ends[0].union(ends[1])


def _certain(scores: Sequence[Score], count: int, low: Fraction, high: Fraction) -> Piece | None:
    """[low, high] with the atoms that are certain to be selected on all of it, or None."""
    sizes = [_weight(s, low, high) + ball(s.bias) for s in scores]
    order = sorted(range(len(scores)), key=lambda i: float(sizes[i].mid()), reverse=True)
    chosen, others = order[:count], order[count:]
    if all(sizes[i] > sizes[j] for i in chosen for j in others):
        return Piece(low, high, tuple(sorted(chosen)))
    return None


def _face(scores: Sequence[Score], low: Fraction, high: Fraction, pieces: Sequence[Piece]) -> str:
    """Why [low, high] may hold more than one face; empty where it is proved to hold just one."""
    where = f"near x = {float((low + high) / 2):.6g}"
    before = next((p for p in pieces if p.high == low), None)
    after = next((p for p in pieces if p.low == high), None)
    if before is None or after is None:
        return f"{where}, at an end of the domain, two atoms are level; move that end"
    gone, come = {*before.atoms} - {*after.atoms}, {*after.atoms} - {*before.atoms}
    if len(gone) != 1:
        return f"{where} atoms touch without one giving way to one other; change a bias"
    i, j = gone.pop(), come.pop()
    sizes = [_weight(s, low, high) + ball(s.bias) for s in scores]
    stay = {*before.atoms} & {*after.atoms}
    level = {i, j}
    apart = all(sizes[t] > sizes[n] for t in stay for n in level)
    apart &= all(sizes[n] > sizes[o] for n in level for o in {*range(len(scores))} - stay - level)
    slopes = []
    for n in (i, j):
        w = _weight(scores[n], low, high)
        slopes.append(ball(scores[n].slope) * w * (1 - w))
    if not apart or not (slopes[0] < slopes[1] or slopes[0] > slopes[1]):
        return f"{where} more than two atoms are level, or two touch; change a bias"
    return ""
