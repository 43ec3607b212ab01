"""What a gate declares of its gauges, compared with f itself in ball arithmetic.

The experts are generic: any numbers, one for each atom and point, so that f stays only if the gate
leaves every weight as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from flint import arb, arb_mat
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from identkit.balls import Tape, ball, precision
from identkit.errors import InputError
from identkit.expression import symbol
from identkit.gates import Gate, Gauge, Situation, common_shift, resolve
from identkit.gates.gauge import Values
from identkit.layout import POSITIVE, Block

BITS = 400
SAME = Fraction(1, 2**200)
"""Below this two numbers that are of size 1 agree."""
STEP = Fraction(1, 2**100)
"""Of an amount, to see where it moves parameters."""
INDEPENDENT = Fraction(1, 2**60)
"""Above this is a Gram determinant of directions that are independent."""
POINTS = 3

_number = st.fractions(-3, 3, max_denominator=60).filter(bool)
_positive = st.fractions(Fraction(1, 4), 3, max_denominator=60)
_factor = st.fractions(Fraction(1, 8), Fraction(7, 8), max_denominator=60)


@dataclass(frozen=True)
class _Case:
    """Parameters of k atoms in d dimensions, an amount, and a generic expert at some points."""

    values: Values
    amount: Any
    x: Any  # (POINTS, d)
    experts: Any  # (POINTS, k)


def check_gate(gate: Gate | str, *, examples: int = 20) -> None:
    """Fail unless the gauges that a gate declares are gauges of it.

    For ``examples`` random rational parameters, experts that are any numbers, and amounts, in ball
    arithmetic: a gauge leaves f as it is and moves the parameters that it says, in as many
    directions as its dimension; where its caveat does not hold f changes. A common shift of all
    (β1, β0) that leaves f as it is must be declared. Which other gauges there are is not searched.

    >>> check_gate("softmax", examples=3)

    Raises AssertionError with the first gauge that is none, and
    :class:`~identkit.errors.InputError` for a gate that is not known.
    """
    gate = resolve(gate)
    if gate.structure and gate.selection is None:
        raise InputError(
            f"gate {gate.name}: weights over {gate.structure} are not compared; leave it out."
        )
    if gate.router is not None and gate.score is None:
        raise InputError(
            f"gate {gate.name}: the score of this router is not known in numbers, so it is not "
            "compared; leave it out."
        )
    for gauge in gate.gauges:
        _each(gate, gauge, examples, lambda case, gauge=gauge: _holds(gate, gauge, case))
        if gauge.caveat is not None and not _changes(gate, gauge, examples, holding=False):
            raise AssertionError(
                f"{_of(gate, gauge)} leaves f unchanged where '{gauge.caveat.text}' does not hold "
                "too; leave the caveat out"
            )
    shift = common_shift(gate.rule)
    declared = any(g.pins and g.caveat is None for g in gate.gauges)
    known = all(b in gate.blocks for b in shift.moves)
    if known and not declared and not _changes(gate, shift, examples):
        raise AssertionError(
            f"gate {gate.name}: {shift.text}; declare it (identkit.gates.common_shift)"
        )


def _of(gate: Gate, gauge: Gauge) -> str:
    return f"gate {gate.name}: the gauge '{gauge.name}'"


def _each(
    gate: Gate, gauge: Gauge, examples: int, test: Callable[[_Case], None], holding: bool = True
) -> None:
    """Run a test on random cases, those of which the caveat holds or those of which it does not."""

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # what fails does so nearly everywhere: no example is simpler
        report_multiple_bugs=False,
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with precision(BITS):
            test(_drawn(data.draw, gate, gauge, holding))

    run()


def _changes(gate: Gate, gauge: Gauge, examples: int, holding: bool = True) -> bool:
    """Whether f changes in some case."""
    changed: list[bool] = []

    def look(case: _Case) -> None:
        changed.append(not _small(_moved_by(gate, case, gauge.apply(case.values, case.amount))))

    _each(gate, gauge, examples, look, holding)
    return any(changed)


def _drawn(draw: Callable[..., Any], gate: Gate, gauge: Gauge, holding: bool) -> _Case:
    dim, atoms = draw(st.integers(1, 2)), draw(st.integers(2, 3))
    if gate.selection is not None:  # or nothing is selected
        atoms += gate.selection.count - 1
    sizes = {"": (), "d": (dim,), "t": (dim * (dim + 1) // 2,)}

    def array(shape: tuple[int, ...], numbers: st.SearchStrategy[Fraction]) -> Any:
        size = int(np.prod(shape, dtype=int))
        drawn = draw(st.lists(numbers, min_size=size, max_size=size))
        return _objects([ball(v) for v in drawn]).reshape(shape)

    def block(b: Block) -> Any:
        shape = (*([atoms] if b.per_atom else []), *sizes[b.axis])
        return array(shape, _positive if b.role in POSITIVE else _number)

    values = {b.name: block(b) for b in gate.blocks}
    if gauge.caveat is not None:
        holds = gauge.caveat.holds
        patterns = [
            p for p in product((False, True), repeat=atoms) if holds(Situation(atoms, p)) == holding
        ]
        assert patterns, (
            f"{_of(gate, gauge)}: no measure is {'' if holding else 'not '}of its caveat"
        )
        values["beta1"][~np.array(draw(st.sampled_from(patterns)))] = arb(0)
    amount = _number if gauge.amounts == "shifts" else _factor
    return _Case(
        values,
        array((gauge.dimension(dim, atoms),), amount),
        array((POINTS, dim), _number),
        array((POINTS, atoms), _number),
    )


def _objects(values: Any) -> Any:
    """An array of balls, whatever their number."""
    return np.array(values, dtype=object)


def _holds(gate: Gate, gauge: Gauge, case: _Case) -> None:
    """Assert all that the gauge says of one case."""
    who = _of(gate, gauge)
    moved = gauge.apply(case.values, case.amount)
    shapes = {name: np.shape(v) for name, v in case.values.items()}
    assert {name: np.shape(v) for name, v in moved.items()} == shapes, f"{who} changes shapes"
    change = _moved_by(gate, case, moved)
    assert _small(change), f"{who} moves f, by {float(change.mid()):.2g}"
    changed = {name for name in case.values if not _small(_distance(case.values, moved, [name]))}
    names = [b.name for b in gauge.moves]
    assert changed == set(names), f"{who} moves {_listed(changed)}, not {_listed(names)}"
    rest = _objects([arb(int(gauge.amounts == "factors"))] * len(case.amount))
    still = gauge.apply(case.values, rest)
    assert _small(_distance(case.values, still, names)), f"{who} moves something by {rest[0]}"
    assert _independent(gauge, case), f"{who} has fewer directions than {len(case.amount)}"
    if gauge.pins:
        pinned = gauge.pinned(case.values, 0)
        assert _small(_moved_by(gate, case, pinned)), f"{who} cannot pin an atom: f changes"
        own = np.concatenate([np.ravel(pinned[b.name][0]) for b in gauge.moves])
        assert _small(_largest(list(own))), f"{who} does not bring an atom to 0"
        assert len(case.amount) == len(own), f"{who} pins {len(own)} numbers of an atom"


def _independent(gauge: Gauge, case: _Case) -> bool:
    """Whether the parameters move in as many directions as the amount has numbers."""
    at = _flat(gauge, gauge.apply(case.values, case.amount))
    rows = []
    for i in range(len(case.amount)):
        step = _objects([arb(0)] * len(case.amount))
        step[i] = ball(STEP)
        beside = _flat(gauge, gauge.apply(case.values, case.amount + step))
        rows.append((beside - at) / ball(STEP))
    gram = arb_mat([[(one * other).sum() for other in rows] for one in rows])
    return bool(gram.det() > ball(INDEPENDENT))


def _flat(gauge: Gauge, values: Values) -> Any:
    return np.concatenate([_objects(values[b.name]).ravel() for b in gauge.moves])


def _distance(one: Values, other: Values, names: list[str]) -> arb:
    """The largest difference in these blocks."""
    gaps = [_objects(one[name] - other[name]).ravel() for name in names]
    return _largest([g for gap in gaps for g in gap])


def _moved_by(gate: Gate, case: _Case, moved: Values) -> arb:
    """The largest change of f; cases where f is not defined are left out."""
    tape = Tape([gate.weight(symbol("s"))], (symbol("s"),))
    gaps = [
        _f(gate, tape, moved, x, h) - _f(gate, tape, case.values, x, h)
        for x, h in zip(case.x, case.experts, strict=True)
    ]
    assume(all(g.is_finite() for g in gaps))
    return _largest(gaps)


def _f(gate: Gate, tape: Tape, values: Mapping[str, Any], x: Any, experts: Any) -> arb:
    if gate.score is not None:
        scores = gate.score(values, x)
    else:
        scores = values["beta0"] + (values["beta1"] * x).sum(axis=-1)
    weights = _objects([tape.evaluate([s])[0] for s in scores])
    f, below = (weights * experts).sum(), weights.sum()
    if gate.selection is not None:
        chosen = _selected(gate, values, weights)
        f = (weights[chosen] * experts[chosen]).sum()
        below = weights[chosen].sum() if gate.adds_up else below
    return f / below if gate.divides else f


def _selected(gate: Gate, values: Mapping[str, Any], weights: Any) -> list[int]:
    """The atoms that are selected; cases where balls do not tell which are left out."""
    selection = gate.selection
    assert selection is not None
    if selection.bias is not None:
        weights = weights + values[selection.bias.name]
    order = sorted(range(len(weights)), key=lambda i: float(weights[i].mid()), reverse=True)
    chosen, others = order[: selection.count], order[selection.count :]
    assume(all(bool(weights[i] > weights[j]) for i in chosen for j in others))
    return chosen


def _largest(gaps: list[arb]) -> arb:
    return max((abs(g) for g in gaps), key=lambda v: v.mid())


def _small(gap: arb) -> bool:
    return bool(gap < ball(SAME))


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"
