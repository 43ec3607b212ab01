"""Which over-specified fits of a gate that selects converge: its cells, K̄, and the regions.

A fit selects K̄ of its k atoms; |V_j| of these lie in the cell of true atom j. f_G → f_G* asks that
on *every* region n_j ≤ |V_j| atoms of the cells of its K true atoms are selected with Σ n_j = K̄,
and nothing else (:class:`~identkit.gates.selection.CellTheorem` says what more for which gate). The
published condition K̄ ≥ max Σ |V_j| does not suffice: where a region has fewer than K̄ atoms in its
cells, one of another cell comes in.

Every answer is exact: n_j by enumeration, margins between scores as signs of e^q − r with rational
q and r, and where a fit fails a measure of rational numbers with a point x at which f differs.

Source: theory section 9; proofs_check/test_nested_gates.py, proofs_check/test_selections.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from identkit.domain import Domain, DomainLike
from identkit.errors import InputError, whole
from identkit.gates import Gate, resolve
from identkit.gates.selection import Selection
from identkit.selecting.filling import Question
from identkit.selecting.records import Answer
from identkit.selecting.regions import Score

SCHEMA = "identkit.regions/1"
MOST_ATOMS = 256
"""Of either measure."""


def answer(
    gate: Gate | str,
    *,
    true_atoms: int | None = None,
    fitted: int | None = None,
    fitted_top: int | None = None,
    cells: Sequence[int] | None = None,
    scores: Sequence[Sequence[Any]] | None = None,
    domain: DomainLike = ("-3", "3"),
) -> Answer:
    """The regions of ``true_atoms`` k* under a gate that selects K, and which fits converge.

    A fit has ``fitted`` atoms k, or one cell of so many for each true atom (``cells``), and selects
    ``fitted_top`` K̄ of them (K). Without ``scores`` every K true atoms are a region somewhere; with
    them, (β1, β0), or (β1, β0, b) under a selection bias, of each true atom for one input, only
    the regions in ``domain`` count. Atoms are counted from 0.

    >>> answer("top-2", cells=(2, 1, 1), fitted_top=3).cells[0].converges
    'no'
    >>> answer("top-2", cells=(2, 2, 2), fitted_top=4).cells[0].selected
    (2, 2, 2)

    Raises :class:`~identkit.errors.InputError` for a gate that does not select, or of whose fits
    nothing is proved, and numbers that do not fit together.
    """
    gate = resolve(gate)
    selection = gate.selection
    if selection is None:
        raise InputError(
            f"gate {gate.name}: it selects no atoms, so that there is one region; use top-2, "
            "top-2-unnormalised or top-2-biased."
        )
    if selection.theorem is None:
        raise InputError(
            f"gate {gate.name}: which of its fits converge is not proved; use top-2, "
            "top-2-unnormalised or top-2-biased."
        )
    lines = None if scores is None else _scores(scores, selection)
    sizes = None if cells is None else tuple(whole("--cells", c, least=1) for c in cells)
    k = _true_atoms(true_atoms, lines, sizes)
    if selection.count > k:
        raise InputError(
            f"--true-atoms {k}: gate {gate.name} selects {selection.count}; give at least as many."
        )
    if sizes is not None and len(sizes) != k:
        raise InputError(f"--cells: {len(sizes)} sizes for {k} true atoms; give one for each.")
    if fitted is not None:
        fitted = _within("--fitted", fitted, k, "a cell has one atom at least")
    if sizes is not None:
        if fitted not in (None, sum(sizes)):
            raise InputError(f"--fitted {fitted}: the cells have {sum(sizes)} atoms; drop one.")
        fitted = _within("--cells", sum(sizes), k, "a cell has one atom at least")
    count = selection.count
    if fitted_top is not None:
        count = whole("--fitted-top", fitted_top, least=1)
        if fitted is None:
            raise InputError(
                f"--fitted-top {count}: of how many atoms is not said; add --fitted or --cells."
            )
    if fitted is not None and count > fitted:
        raise InputError(f"--fitted-top {count}: the fit has {fitted} atoms; select no more.")
    asked = Question(selection, selection.theorem, k, count, lines, Domain.of(domain))
    ways = () if fitted is None else (sizes,) if sizes is not None else asked.ways(fitted)
    return Answer(
        gate=gate.name,
        count=selection.count,
        true_atoms=k,
        number=asked.number,
        sets=asked.sets,
        division=asked.division,
        domain=None if lines is None else asked.domain,
        fitted=fitted,
        fitted_count=count,
        cells=tuple(asked.decided(way) for way in ways),
        claim=selection.theorem.claim,
    )


def _within(option: str, value: Any, least: int, why: str) -> int:
    number = whole(option, value, least=1)
    if not least <= number <= MOST_ATOMS:
        raise InputError(f"{option} {number}: give {least} to {MOST_ATOMS} atoms, since {why}.")
    return number


def _true_atoms(
    given: int | None, lines: Sequence[Score] | None, sizes: Sequence[int] | None
) -> int:
    said = [len(v) for v in (lines, sizes) if v is not None]
    if given is None and not said:
        raise InputError("--true-atoms: it is missing; give the number of true atoms, such as 4.")
    number = said[0] if given is None else given
    number = _within("--true-atoms", number, 1, "more are not gone through")
    if lines is not None and len(lines) != number:
        raise InputError(f"--scores: {len(lines)} scores for {number} true atoms; give one each.")
    return number


def _scores(given: Sequence[Sequence[Any]], selection: Selection) -> tuple[Score, ...]:
    names = ("β1", "β0") if selection.bias is None else ("β1", "β0", "b")
    found = []
    for n, numbers in enumerate(given):
        if len(numbers) != len(names):
            raise InputError(
                f"--scores: atom {n} has {len(numbers)} numbers; give {', '.join(names)} of each, "
                "atoms between semicolons."
            )
        found.append(Score(*(_number(v, n) for v in numbers)))
    slopes = [s.slope for s in found]
    for n, slope in enumerate(slopes):
        if slope in slopes[:n]:
            raise InputError(
                f"--scores: atoms {slopes.index(slope)} and {n} have the same β1; what is proved "
                "is about different ones, so change one."
            )
    return tuple(found)


def _number(value: Any, atom: int) -> Fraction:
    text = str(value).strip()
    try:
        number = Fraction(text) if len(text) <= 40 and "e" not in text.lower() else None
    except (ValueError, ZeroDivisionError):
        number = None
    if number is None or abs(number) > 10**6:
        raise InputError(
            f"--scores: '{text[:40]}' of atom {atom} is no number up to 10^6; write it as 1.5 or "
            "3/2."
        )
    return number
