"""Two mixing measures with the same f or p for a gauge that was found, in exact numbers to paste.

They are made when they are asked for. That they have the same f or p is proved for the numbers that
are printed: what is no pair is not shown, whatever the gauge says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sympy as sp

from identkit.architecture.halves import components, measure
from identkit.architecture.measures import Setting, differ, routed_atom, shared_atom
from identkit.architecture.moves import Move
from identkit.architecture.records import ExactAtom, ExactMeasure, Example, FoundGauge
from identkit.bounded import bounded
from identkit.deadline import Deadline
from identkit.errors import OutOfTime
from identkit.expression import enclosure, parse, put, symbol
from identkit.gates import resolve
from identkit.layout import OFFSET, SLOPE
from identkit.results import CheckResult
from identkit.vocabulary import GaugeKind

SECONDS = (1.0, 10.0)
"""For all examples of a check, as far as its time limit leaves them: at least, at most."""
WEIGHT = sp.Rational(1, 3)
"""Of each of two atoms in an example, so that cells of them have weights below 1."""
HALF = sp.Rational(1, 2)

Numbers = Mapping[str, Any]


def examples_of(result: CheckResult) -> list[tuple[FoundGauge, Example | None]]:
    """Each gauge of a check with its example; None where none was found in time."""
    found: list[Example | None] = []
    if not result.gauges:
        return []
    least, most = SECONDS
    deadline = Deadline(max(least, min(most, result.options.time_limit - result.seconds)))
    gate = resolve(result.gate, result.likelihood)
    beside = None if result.shared is None else result.shared.expert
    setting = Setting(result.expert, gate, deadline, beside)

    def work(send: Callable[[Any], None]) -> None:
        for gauge in result.gauges:
            send(example_of(setting, gauge))

    try:
        bounded(work, deadline, found.append)
    except OutOfTime:
        found += [None] * (len(result.gauges) - len(found))
    return list(zip(result.gauges, found, strict=True))


def example_of(setting: Setting, gauge: FoundGauge) -> Example | None:
    """Two measures that are not the same and are proved to have the same f or p."""
    if not gauge.proved or not gauge.images or not setting.plain:
        return None
    make = {
        GaugeKind.GATE: _moved_gates,
        GaugeKind.COPIES: _copied,
        GaugeKind.ORBIT: _along,
        GaugeKind.CELL: _replaced,
        GaugeKind.SYMMETRY: _reflected,
        GaugeKind.EXCHANGE: _exchanged,
        GaugeKind.TRANSPORT: _transported,
    }[gauge.kind]
    try:
        return make(setting, gauge)
    except (ArithmeticError, ValueError):
        return None


def pair(
    setting: Setting, given: ExactMeasure | None, alternative: ExactMeasure | None
) -> Example | None:
    """The example, if the two are not the same measure and are proved to have the same f or p."""
    if given is None or alternative is None or not differ(given, alternative):
        return None
    return Example(given, alternative) if setting.same(given, alternative) else None


# -- gates ----------------------------------------------------------------------------------------


def _moved_gates(setting: Setting, gauge: FoundGauge) -> Example | None:
    move = Move.of_record(setting, gauge)
    gates, etas = [gate_of(setting, i, move.flat) for i in range(2)], numbers(setting, 2)
    for amount in (sp.Integer(1), HALF):  # of factors 1 is no move, and below 1 they exist
        amounts = dict.fromkeys(move.amounts, amount)
        moved = [{n: tidy(v) for n, v in move.at(g, amounts).items()} for g in gates]
        example = pair(setting, _routed(setting, gates, etas), _routed(setting, moved, etas))
        if example is not None:
            return example
    return None


def _copied(setting: Setting, gauge: FoundGauge) -> Example | None:
    """Two copies of each atom, their slopes moved by 1 and by -1."""
    move = Move.of_record(setting, gauge)
    gates, etas = [gate_of(setting, i) for i in range(2)], numbers(setting, 2)
    slopes = [move.images[n] for n, b in setting.numbers if b == SLOPE.name and n in move.images]
    steep = {str(s) for e in slopes for s in e.free_symbols}
    sizes = ({t: sp.Integer(sign * (t in steep)) for t in move.amounts} for sign in (1, -1))
    copies = [(move.at(g, size), eta) for size in sizes for g, eta in zip(gates, etas, strict=True)]
    many = _routed(setting, [g for g, _ in copies], [eta for _, eta in copies])
    return pair(setting, _routed(setting, gates, etas), many)


# -- one atom -------------------------------------------------------------------------------------


def _images(gauge: FoundGauge) -> dict[str, Any]:
    return {p: parse(text) for p, text in gauge.images}


def _along(setting: Setting, gauge: FoundGauge) -> Example | None:
    """One atom moved, at a position with short numbers."""
    images, (s,) = _images(gauge), gauge.amounts
    tries = (_one_atom(setting, images, {s: at}) for at in positions(images.values()))
    return next((example for example in tries if example is not None), None)


def positions(expressions: Iterable[Any]) -> list[Any]:
    """Positions on a curve, first where exp, cos or a polynomial in them has short values."""
    heads = {type(f) for e in expressions for f in e.atoms(sp.Function)}
    own = sp.log(2) if sp.exp in heads else sp.pi / 3 if heads & {sp.sin, sp.cos} else sp.Integer(1)
    return [own, *(p for p in (sp.Integer(1), sp.Rational(1, 4)) if p != own)]


def _one_atom(setting: Setting, images: Numbers, amounts: Numbers) -> Example | None:
    first, other = numbers(setting, 2)
    moved = put_images(images, {**first, **amounts})
    return pair(
        setting,
        _of_atoms(setting, [first, other]),
        _of_atoms(setting, [{**first, **moved}, other]),
    )


def put_images(images: Numbers, values: Numbers) -> dict[str, Any]:
    """The images at these numbers. Raises ValueError where one is not defined."""
    own = {symbol(n): v for n, v in values.items()}
    found = {p: put(e, own) for p, e in images.items()}
    if any(v is sp.nan for v in found.values()):
        raise ValueError("no number")
    return found


def _reflected(setting: Setting, gauge: FoundGauge) -> Example | None:
    images = _images(gauge)
    if set(images) <= {*setting.expert.parameters}:
        return _one_atom(setting, images, {})
    (first, other), (own, gate) = numbers(setting, 2), (gate_of(setting, i) for i in range(2))
    moved = {**own, **first, **put_images(images, {**own, **first})}
    swapped = {n: moved[n] for n in own}, {p: moved[p] for p in first}
    return pair(
        setting,
        _routed(setting, [own, gate], [first, other]),
        _routed(setting, [swapped[0], gate], [swapped[1], other]),
    )


def _replaced(setting: Setting, gauge: FoundGauge) -> Example | None:
    """One atom replaced by a cell of two, or of one where that suffices, at exact weights."""
    (s,), images = gauge.amounts, _images(gauge)
    sums = {f"sum {i}": parse(text) for i, (text, _) in enumerate(gauge.sums)}
    totals = [parse(total) for _, total in gauge.sums]
    first, other = numbers(setting, 2)
    flat = not setting.scales
    for at in positions((*images.values(), *sums.values())):
        places = [{**first, s: place} for place in (at, -at)[: len(totals)]]
        rows = [put_images(sums, values).values() for values in places]
        weights = _solved(sp.Matrix([list(row) for row in rows]).T, totals)
        cell = [
            (WEIGHT * w, {**first, **put_images(images, values)})
            for w, values in zip(weights, places, strict=False)
        ]
        one = _weighted(setting, [(WEIGHT, first), (WEIGHT, other)], flat)
        two = _weighted(setting, [*cell, (WEIGHT, other)], flat) if cell else None
        example = pair(setting, one, two)
        if example is not None:
            return example
    return None


def _solved(matrix: Any, totals: Sequence[Any]) -> tuple[Any, ...]:
    """The positive solution of as many equations as unknowns; empty without one."""
    size = matrix.det() if matrix.rows == matrix.cols else 0
    if size == 0:
        return ()
    solved = tuple(sp.simplify(w) for w in matrix.adjugate() * sp.Matrix(totals) / size)
    return solved if all(w.is_number and _positive(w) for w in solved) else ()


def _positive(value: Any) -> bool:
    size = enclosure(value)
    return size is not None and bool(size > 0)


# -- both halves ----------------------------------------------------------------------------------


def _exchanged(setting: Setting, gauge: FoundGauge) -> Example | None:
    one, other, third = components(setting, gauge, 3)
    single, two = [(one, sp.Integer(1))], [(other, HALF), (third, HALF)]
    return pair(setting, measure(setting, single, two), measure(setting, two, single))


def _transported(setting: Setting, gauge: FoundGauge) -> Example | None:
    """Half of the one shared and of the one routed atom change places."""
    one, other = components(setting, gauge, 2)
    both = [(one, HALF), (other, HALF)]
    given = measure(setting, [(one, sp.Integer(1))], [(other, sp.Integer(1))])
    return pair(setting, given, measure(setting, both, both))


# -- numbers --------------------------------------------------------------------------------------


def tidy(value: Any) -> Any:
    """-log(3) for log(1/2) - log(3/2)."""
    whole = sp.exp(value) if value.has(sp.log) else value
    return sp.log(whole) if value.has(sp.log) and whole.is_Rational else value


def gate_of(setting: Setting, index: int, flat: bool = False) -> dict[str, Any]:
    """A gate with small numbers, another one for each index."""
    slope = 0 if flat else (1, -1)[index % 2]
    return {n: sp.Integer(slope if b == SLOPE.name else 0) for n, b in setting.numbers}


def numbers(setting: Setting, count: int) -> list[dict[str, Any]]:
    """Small η for some atoms, no two alike."""
    names = setting.expert.parameters
    return [
        {p: sp.Integer(1 + (i + j) % (len(names) + 1)) for j, p in enumerate(names)}
        for i in range(count)
    ]


def _variance(setting: Setting, index: int) -> Any:
    """A variance for an atom; the same for all where they have no own one."""
    if not setting.density:
        return None
    return sp.Rational(1, 1 + index) if setting.own_variance else sp.Integer(1)


def _routed(setting: Setting, gates: Sequence[Numbers], etas: Sequence[Numbers]) -> ExactMeasure:
    """Routed atoms; equal η have equal variances."""
    kinds = [eta for i, eta in enumerate(etas) if eta not in etas[:i]]
    variances = [_variance(setting, kinds.index(eta)) for eta in etas]
    rows = zip(gates, etas, variances, strict=True)
    return ExactMeasure(tuple(routed_atom(setting, *row) for row in rows))


def _of_atoms(setting: Setting, etas: Sequence[Numbers]) -> ExactMeasure:
    """Atoms of one half at these η, whose gates or weights stay."""
    if not setting.only_shared:
        return ExactMeasure(
            tuple(
                routed_atom(setting, gate_of(setting, i), eta, _variance(setting, i))
                for i, eta in enumerate(etas)
            )
        )
    weight = sp.Rational(1, len(etas))
    shared = (shared_atom(setting, weight, e, _variance(setting, i)) for i, e in enumerate(etas))
    return ExactMeasure((), tuple(shared))


def _weighted(
    setting: Setting, atoms: Sequence[tuple[Any, Numbers]], flat: bool
) -> ExactMeasure | None:
    """Routed atoms of given weights at x = 0; None where no β0 is known that gives them."""
    made: list[ExactAtom] = []
    for weight, eta in atoms:
        offset = setting.offset(weight)
        if offset is None:
            return None
        gate = {**gate_of(setting, 0, flat), OFFSET.name: tidy(offset)}
        made.append(routed_atom(setting, gate, eta))
    return ExactMeasure(tuple(made))
