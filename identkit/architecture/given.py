"""Other measures with the same f or p as one that is given, in exact numbers.

A gauge says how parameters move; here it moves those of one measure: all gates together, one atom
along a curve of its expert, masses between the halves. Whether it can is decided at the numbers
given (routed weights that are constants, say, are proved to be), and every measure that comes out
is proved to have the same f or p in normal form; what is no pair is not returned.

Source: theory sections 8 and 13; proofs_check/test_architecture_gauges.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from identkit.architecture.examples import positions, put_images, tidy
from identkit.architecture.halves import Component, component, measure
from identkit.architecture.measures import OMEGA, Setting, differ, routed_atom, written
from identkit.architecture.moves import Move
from identkit.architecture.overlap import linear_solution
from identkit.architecture.records import ExactAtom, ExactMeasure, FoundGauge
from identkit.errors import InputError
from identkit.experts import symbols
from identkit.expression import enclosure, parse, put, symbol
from identkit.layout import SLOPE
from identkit.vocabulary import GaugeKind, Half

MASS = "p"
"""The free number of a family of measures: the mass that is moved."""
AMOUNTS = (sp.Integer(1), sp.Rational(1, 2))
"""Of a gauge of the gate, the first that moves anything: factors of 1 do not."""


@dataclass(frozen=True)
class OtherMeasure:
    """A measure with the same f or p as the one given, by one gauge.

    ``said`` is what was moved, in a clause. ``family`` has :data:`MASS` in its numbers, and is the
    same f or p for every value of it from 0 to ``most``; ``measure`` is the one at half of that.
    """

    gauge: FoundGauge
    said: str
    measure: ExactMeasure
    family: ExactMeasure | None = None
    most: str = ""

    @property
    def name(self) -> str:
        return self.gauge.name

    @property
    def of_the_gate(self) -> bool:
        """Whether every measure has it: a gauge of the gate, without a condition of its own."""
        kind = self.gauge.kind
        return kind is GaugeKind.COPIES or (kind is GaugeKind.GATE and not self.gauge.where)


@dataclass(frozen=True)
class NoMeasure:
    """A gauge that moves nothing at the measure given, and why."""

    gauge: FoundGauge
    reason: str


def others(
    setting: Setting,
    given: ExactMeasure,
    gauges: Sequence[FoundGauge],
    beside: Sequence[FoundGauge] = (),
) -> Iterator[OtherMeasure | NoMeasure]:
    """What each gauge makes of the measure: those of the setting, and ``beside`` of h1 alone.

    Cells (a curve of several atoms) are not tried. Raises InputError for a gate that is more than
    a function of β1ᵀx + β0, and for what is no measure of the setting.
    """
    if not setting.plain:
        raise InputError(
            f"truth: other measures are written for gates of β1ᵀx + β0, and {setting.gate.name} "
            "is none; choose softmax or normalized-sigmoid."
        )
    if not setting.is_measure(given):
        raise InputError("truth: shared weights must be positive and sum to 1, variances positive.")
    make = {
        GaugeKind.GATE: _moved_gates,
        GaugeKind.COPIES: _copied,
        GaugeKind.EXCHANGE: _exchanged,
        GaugeKind.TRANSPORT: _transported,
    }
    for gauge in gauges:
        if not (gauge.proved and gauge.images):
            yield NoMeasure(gauge, "it is not proved by an action on numbers")
        elif gauge.kind in make:
            yield make[gauge.kind](setting, given, gauge)
        elif gauge.kind in (GaugeKind.ORBIT, GaugeKind.SYMMETRY):
            yield from _atoms_moved(setting, given, gauge, Half.ROUTED)
    for gauge in beside:
        if gauge.half is Half.SHARED and gauge.kind in (GaugeKind.ORBIT, GaugeKind.SYMMETRY):
            yield from _atoms_moved(setting, given, gauge, Half.SHARED)


def _checked(
    setting: Setting, given: ExactMeasure, gauge: FoundGauge, said: str, found: ExactMeasure | None
) -> OtherMeasure | NoMeasure:
    if found is None or not differ(given, found):
        return NoMeasure(gauge, "it leaves this measure as it is")
    if not setting.same(given, found):
        return NoMeasure(gauge, "the same f or p was not proved at these numbers")
    return OtherMeasure(gauge, said, found)


# -- gates ----------------------------------------------------------------------------------------


def _moved_gates(
    setting: Setting, given: ExactMeasure, gauge: FoundGauge
) -> OtherMeasure | NoMeasure:
    move = Move.of_record(setting, gauge)
    gates = [setting.gate_numbers(atom) for atom in given.routed]
    if move.flat and any(g[n] != 0 for g in gates for n, b in setting.numbers if b == SLOPE.name):
        return NoMeasure(gauge, f"it needs: {gauge.where}")
    result: OtherMeasure | NoMeasure = NoMeasure(gauge, "it leaves this measure as it is")
    for amount in AMOUNTS:
        amounts = dict.fromkeys(move.amounts, amount)
        found = replace(given, routed=_with_gates(setting, given, move, amounts))
        said = ", ".join(f"{name} = {value}" for name, value in amounts.items())
        result = _checked(setting, given, gauge, said, found)
        if isinstance(result, OtherMeasure):
            return result
    return result


def _with_gates(
    setting: Setting, given: ExactMeasure, move: Move, amounts: dict[str, Any]
) -> tuple[ExactAtom, ...]:
    moved = []
    for atom in given.routed:
        gate = move.at(setting.gate_numbers(atom), amounts)
        eta = {p: parse(text) for p, text in atom.eta}
        variance = None if atom.variance is None else parse(atom.variance)
        moved.append(routed_atom(setting, {n: tidy(v) for n, v in gate.items()}, eta, variance))
    return tuple(moved)


def _copied(setting: Setting, given: ExactMeasure, gauge: FoundGauge) -> OtherMeasure | NoMeasure:
    """Two copies of every atom, with slopes moved by 1 and by -1."""
    move = Move.of_record(setting, gauge)
    slopes = [move.images[n] for n, b in setting.numbers if b == SLOPE.name and n in move.images]
    steep = {str(s) for e in slopes for s in e.free_symbols} & set(move.amounts)
    copies: tuple[ExactAtom, ...] = ()
    for sign in (1, -1):
        amounts: dict[str, Any] = {t: sp.Integer(sign * (t in steep)) for t in move.amounts}
        copies += _with_gates(setting, given, move, amounts)
    said = f"{len(copies)} routed atoms, slopes moved by 1 and by -1"
    return _checked(setting, given, gauge, said, replace(given, routed=copies))


# -- one atom -------------------------------------------------------------------------------------


def _atoms_moved(
    setting: Setting, given: ExactMeasure, gauge: FoundGauge, half: Half
) -> Iterator[OtherMeasure | NoMeasure]:
    """Each atom of a half moved by itself."""
    if not gauge.images:
        return
    atoms = given.routed if half is Half.ROUTED else given.shared
    names = {p for atom in atoms for p, _ in atom.eta}
    if not {p for p, _ in gauge.images} <= names:
        return  # it moves the gate with the expert
    images = {p: parse(text) for p, text in gauge.images}
    for index, atom in enumerate(atoms):
        result: OtherMeasure | NoMeasure = NoMeasure(gauge, "it leaves this measure as it is")
        for at in positions(images.values()) if gauge.amounts else [None]:
            amounts = dict.fromkeys(gauge.amounts, at)
            eta = {p: parse(text) for p, text in atom.eta}
            try:
                moved = {**eta, **put_images(images, {**eta, **amounts})}
            except (ArithmeticError, ValueError):
                continue
            new = replace(atom, eta=tuple((p, written(moved[p])) for p, _ in atom.eta))
            row = (*atoms[:index], new, *atoms[index + 1 :])
            found = replace(given, **{str(half): row})
            position = "".join(f" at {s} = {written(at)}" for s in gauge.amounts)
            said = f"{half} atom {index + 1}{position}"
            result = _checked(setting, given, gauge, said, found)
            if isinstance(result, OtherMeasure):
                break
        yield result


# -- both halves ----------------------------------------------------------------------------------


def constant_weights(setting: Setting, given: ExactMeasure) -> list[Any] | None:
    """The routed weights, if each is proved to be the same number at every x."""
    made = [setting.weight(setting.gate_numbers(atom)) for atom in given.routed]
    total: Any = sp.Add(*made) if setting.gate.divides else sp.Integer(1)
    inputs = symbols(setting.expert.inputs)
    ratios = [w / total for w in made]
    if any(not setting.is_identity(sp.diff(ratio, x)) for ratio in ratios for x in inputs):
        return None
    at_0 = (put(ratio, dict.fromkeys(inputs, sp.Integer(0))) for ratio in ratios)
    return [sp.simplify(value) for value in at_0]


def _components(
    setting: Setting, given: ExactMeasure, gauge: FoundGauge
) -> tuple[list[Component], list[Component]]:
    """The pairs of the shared and of the routed atoms; in one half only: without the other's."""
    onto_shared = gauge.onto is Half.SHARED
    source = setting.expert if onto_shared else setting.beside
    halves = []
    for atoms, shared in ((given.shared, True), (given.routed, False)):
        row = []
        for atom in atoms:
            own: dict[str, Any] | None = {p: parse(text) for p, text in atom.eta}
            numbers, variance = own, None if atom.variance is None else parse(atom.variance)
            if shared is onto_shared:  # an image: where does it come from?
                equations = [parse(text) - numbers[p] for p, text in gauge.images]
                own = linear_solution(equations, symbols(source.parameters))
                if own is not None:
                    solved: dict[Any, Any] = own
                    own = {p: solved[symbol(p)] for p in source.parameters}
            if own is None:
                row.append(
                    Component(numbers, {}, variance) if shared else Component({}, numbers, variance)
                )
            else:
                row.append(component(gauge, own, variance))
        halves.append(row)
    return halves[0], halves[1]


def _in_both(pair: Component) -> bool:
    return bool(pair.kappa and pair.eta)


def _free_of_x(setting: Setting, given: ExactMeasure) -> list[Any] | str:
    """The constant routed weights, or why nothing can be moved between the halves."""
    if not given.shared or not given.routed:
        return "one half is empty"
    variances = {atom.variance for atom in (*given.shared, *given.routed)}
    if not setting.own_variance and len(variances) > 1:
        return "the variances are known or common, and differ"
    weights = constant_weights(setting, given)
    return "the routed weights depend on x" if weights is None else weights


def _omegas(given: ExactMeasure) -> list[Any]:
    return [parse(dict(atom.weight)[OMEGA][0]) for atom in given.shared]


def _exchanged(
    setting: Setting, given: ExactMeasure, gauge: FoundGauge
) -> OtherMeasure | NoMeasure:
    weights = _free_of_x(setting, given)
    if isinstance(weights, str):
        return NoMeasure(gauge, weights)
    shared, routed = _components(setting, given, gauge)
    if not all(map(_in_both, (*shared, *routed))):
        return NoMeasure(gauge, "some atom was not found among the functions of the other half")
    found = measure(
        setting,
        list(zip(routed, weights, strict=True)),
        list(zip(shared, _omegas(given), strict=True)),
    )
    said = f"{len(routed)} shared and {len(shared)} routed atoms"
    return _checked(setting, given, gauge, said, found)


def _transported(
    setting: Setting, given: ExactMeasure, gauge: FoundGauge
) -> OtherMeasure | NoMeasure:
    """Mass p of the first shared atom that can go, for mass p of the last routed one that can."""
    weights = _free_of_x(setting, given)
    if isinstance(weights, str):
        return NoMeasure(gauge, weights)
    shared, routed = _components(setting, given, gauge)
    going = [i for i, pair in enumerate(shared) if _in_both(pair)]
    coming = [i for i, pair in enumerate(routed) if _in_both(pair)]
    common = {repr(pair) for pair in (*shared, *routed) if _in_both(pair)}
    if not going or not coming or len(common) < 2:
        return NoMeasure(gauge, "no two pairs (function, variance) are in both halves")
    omegas, there, back = _omegas(given), going[0], coming[-1]
    most = _least(omegas[there], weights[back])

    def moved(mass: Any) -> ExactMeasure | None:
        own = [
            (pair, w - mass * int(i == there))
            for i, (pair, w) in enumerate(zip(shared, omegas, strict=True))
        ]
        other = [
            (pair, w - mass * int(i == back))
            for i, (pair, w) in enumerate(zip(routed, weights, strict=True))
        ]
        return measure(setting, [*own, (routed[back], mass)], [*other, (shared[there], mass)])

    said = (
        f"{len(omegas) + 1} shared and {len(weights) + 1} routed atoms, along one of "
        f"{len(common) - 1} directions, at half of the way"
    )
    found = _checked(setting, given, gauge, said, moved(most / 2))
    family = moved(symbol(MASS))
    if isinstance(found, NoMeasure) or family is None or not setting.same_function(given, family):
        return found
    return replace(found, family=family, most=written(most))


def _least(one: Any, other: Any) -> Any:
    """The smaller of two numbers, by enclosures; either where they cannot be told apart."""
    size = enclosure(one - other)
    return one if size is not None and bool(size < 0) else other
