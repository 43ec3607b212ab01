"""Which numbers n_j of selected atoms fill every region, and why none do.

Source: theory section 9; proofs_check/test_nested_gates.py, proofs_check/test_selections.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations, islice, product
from math import comb, prod

from identkit.balls import ball, precision
from identkit.domain import Domain
from identkit.errors import InputError
from identkit.gates.selection import CellTheorem, Selection
from identkit.selecting.examples import Differing
from identkit.selecting.records import Cells
from identkit.selecting.regions import Division, Score, by_bias, by_scores
from identkit.vocabulary import Verdict

MOST_CELLS = 2000
"""Ways to distribute the fitted atoms, and regions, that are gone through one by one."""
MOST_COUNTS = 100_000
"""Numbers of selected atoms that are tried, one for each set of exchanged cells."""
BITS = 128


@dataclass(frozen=True)
class Question:
    """A question: the rule of the gate, k*, K̄, and scores where these are given."""

    selection: Selection
    theorem: CellTheorem
    true_atoms: int
    count: int
    lines: tuple[Score, ...] | None
    domain: Domain

    @cached_property
    def division(self) -> Division | None:
        """That of the domain, None without scores."""
        if self.lines is None:
            return None
        ((low, high),) = self.domain.sides(1)
        divide = by_scores if self.selection.bias is None else by_bias
        return divide(self.lines, self.selection.count, low, high)

    @property
    def number(self) -> int:
        """How many regions there are."""
        if self.division is not None:
            return len(self.division.sets)
        return comb(self.true_atoms, self.selection.count)

    @property
    def sets(self) -> tuple[tuple[int, ...], ...] | None:
        """The regions, None if they are too many."""
        if self.division is not None:
            return self.division.sets
        if self.number > MOST_CELLS:
            return None
        return tuple(combinations(range(self.true_atoms), self.selection.count))

    def ways(self, fitted: int) -> tuple[tuple[int, ...], ...]:
        """The sizes of cells: up to their order where all regions are there alike."""
        if self.lines is None:
            found = tuple(islice(_partitions(fitted, self.true_atoms, fitted), MOST_CELLS + 1))
        else:
            inner = combinations(range(1, fitted), self.true_atoms - 1)
            cuts = islice(inner, MOST_CELLS + 1)
            found = tuple(
                tuple(b - a for a, b in zip((0, *c), (*c, fitted), strict=True)) for c in cuts
            )
        if len(found) > MOST_CELLS:
            raise InputError(
                f"--fitted {fitted}: there are more than {MOST_CELLS} sizes of cells; name some "
                "with --cells."
            )
        return found

    def decided(self, sizes: tuple[int, ...]) -> Cells:
        """What is known of one fit's cells."""
        smallest, largest = self._sums(sizes)
        reason, selected, verdict = "", None, Verdict.NO
        if self.division is None:
            selected = self._everywhere(sizes)
        elif self.division.open:
            verdict, reason = Verdict.UNDECIDED, f"regions: {self.division.open}"
        else:
            selected = self._here(sizes)
            if selected is None:
                reason = self._not_covered(sizes)
                verdict = Verdict.UNDECIDED if reason else Verdict.NO
        if selected is not None:
            verdict, reason = Verdict.YES, _filled(self.theorem)
        example = None
        if verdict == Verdict.NO:
            reason = self._lacking(sizes, smallest, largest)
            differing = Differing(self.selection, self.theorem, self.count, sizes, self.lines)
            split = self.division
            example = differing.somewhere() if split is None else differing.within(split)
        return Cells(
            sizes=sizes,
            smallest=smallest,
            largest=largest,
            published=self.count >= largest,
            converges=verdict,
            reason=reason,
            selected=selected,
            counterexample=example,
        )

    def _sums(self, sizes: Sequence[int]) -> tuple[int, int]:
        """The smallest and the largest Σ|V_j| over regions."""
        if self.division is not None and self.division.sets:
            sums = [sum(sizes[j] for j in s) for s in self.division.sets]
            return min(sums), max(sums)
        ordered = sorted(sizes)
        return sum(ordered[: self.selection.count]), sum(ordered[-self.selection.count :])

    def _lacking(self, sizes: Sequence[int], smallest: int, largest: int) -> str:
        """Why no fit with these cells converges."""
        who = f"K̄ = {self.count}"
        if smallest < self.count:
            return f"a region has {smallest} atoms in its cells; {who} brings in one of another"
        if self.theorem.cells == "whole" and largest > self.count:
            return f"a region has {largest} atoms in its cells, and {who} leaves one out"
        if self.theorem.cells == "copies" and self.count % self.selection.count:
            return f"{who} is no multiple of K, so that cells are not selected alike"
        return f"no n_j ≤ |V_j| fill every region with {who} atoms that stay ahead of the others"

    # -- all regions ----------------------------------------------------------------------------

    def _everywhere(self, sizes: Sequence[int]) -> tuple[int, ...] | None:
        """n_j where every K atoms are a region: all the same, unless there is one region alone."""
        kind, total = self.theorem.cells, self.count
        if self.selection.count == len(sizes) and kind != "copies":
            return _one_region(sizes, total, kind == "whole")
        m, rest = divmod(total, self.selection.count)
        fits = (lambda c: c == m) if kind == "whole" else (lambda c: c >= m)
        return (m,) * len(sizes) if m and not rest and all(map(fits, sizes)) else None

    # -- given scores ---------------------------------------------------------------------------

    def _here(self, sizes: Sequence[int]) -> tuple[int, ...] | None:
        """n_j on the regions of the domain, 0 for atoms that are selected nowhere."""
        split = self.division
        assert split is not None
        kind, occurring = self.theorem.cells, {i for s in split.sets for i in s}
        if kind == "copies":
            m, rest = divmod(self.count, self.selection.count)
            if not m or rest or any(sizes[j] < m for j in occurring):
                return None
            return tuple(m if j in occurring else 0 for j in range(len(sizes)))
        if kind == "whole":
            numbers = tuple(n if j in occurring else 0 for j, n in enumerate(sizes))
            return numbers if self._fills(numbers, sizes) else None
        groups = split.components
        ranges = [range(1, min(self.count, *(sizes[j] for j in g)) + 1) for g in groups]
        if prod(map(len, ranges)) > MOST_COUNTS:
            return None
        for each in product(*ranges):
            n = {j: v for g, v in zip(groups, each, strict=True) for j in g}
            numbers = tuple(n.get(j, 0) for j in range(len(sizes)))
            if self._fills(numbers, sizes):
                return numbers
        return None

    def _fills(self, numbers: Sequence[int], sizes: Sequence[int]) -> bool:
        """Whether Σ n_j = K̄ on every region, and parts 1/n_j are ahead of all others there."""
        split, lines = self.division, self.lines
        assert split is not None
        assert lines is not None
        if any(sum(numbers[j] for j in s) != self.count for s in split.sets):
            return False
        keeps = self.theorem.cells == "whole"  # atoms that are selected nowhere weigh as well
        for piece in split.pieces:
            others = [j for j in range(len(lines)) if j not in piece.atoms]
            for i, j in product(piece.atoms, others):
                parts = numbers[j] or (sizes[j] if keeps else 0)
                gaps = [lines[i].at(x) - lines[j].at(x) for x in (piece.low, piece.high)]
                if parts and not _ahead(min(gaps), Fraction(numbers[i], parts)):
                    return False
        return True

    def _not_covered(self, sizes: Sequence[int]) -> str:
        """What the theorem asks for and these scores do not have; empty if nothing is missing."""
        split, lines = self.division, self.lines
        assert split is not None
        assert lines is not None
        if any(len(gone) > 1 for gone, _ in split.exchanges):
            return "several atoms give way at one x; what is proved is about one at a time"
        flat = [str(j) for s in split.sets for j in s if not lines[j].slope]
        if self.theorem.cells == "copies" and flat:
            return f"atom {flat[0]} has β1 = 0, whose weight can be shared in other ways"
        if self.theorem.cells == "parts":
            tried = prod(min(self.count, *(sizes[j] for j in g)) for g in split.components)
            if tried > MOST_COUNTS:
                return f"more than {MOST_COUNTS} numbers of selected atoms; ask for smaller cells"
        return ""


def _filled(theorem: CellTheorem) -> str:
    return {
        "parts": "n_j atoms of each cell share its weight and fill every region",
        "whole": "whole cells fill every region",
        "copies": "K̄/K copies of each atom fill every region",
    }[theorem.cells]


def _one_region(sizes: Sequence[int], total: int, whole_cells: bool) -> tuple[int, ...] | None:
    """n_j where all true atoms are selected everywhere: any numbers from 1 on."""
    if whole_cells:
        return tuple(sizes) if sum(sizes) == total else None
    left, numbers = total - len(sizes), []
    if left < 0:
        return None
    for n in sizes:
        more = min(left, n - 1)
        numbers.append(1 + more)
        left -= more
    return tuple(numbers)


def _partitions(total: int, parts: int, most: int) -> Iterator[tuple[int, ...]]:
    """Sizes that add up to ``total``, the largest first."""
    if parts == 1:
        if total <= most:
            yield (total,)
        return
    for first in range(min(most, total - parts + 1), 0, -1):
        if first * parts >= total:
            yield from ((first, *rest) for rest in _partitions(total - first, parts - 1, first))


def _ahead(gap: Fraction, ratio: Fraction) -> bool:
    """e^gap ≥ ratio. A rational gap other than 0 has no rational e^gap, so that balls decide."""
    if not gap or ratio == 1:
        return gap >= 0 if ratio == 1 else ratio < 1
    bits = BITS
    while True:
        with precision(bits):
            size, other = ball(gap).exp(), ball(ratio)
            if size > other or size < other:
                return bool(size > other)
        bits *= 2
