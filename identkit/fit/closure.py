"""Which changes of units and origins leave a model the same family, found in its expressions.

A change of units x_s = e^{λ_s}·x̃_s, y = e^{λ}·ỹ is followed by factors of the parameters if these
make h as large as y and every score without a unit: linear equations between logarithms, one for
each sum and each function that needs a number without a unit, as a physicist checks a formula.
A move x_s = m + x̃_s is followed by an affine map of the parameters; candidates are read off the
pre-activations, off differences x_s − p, and off polynomials, and each is verified in SymPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from flint import fmpq, fmpq_mat
from numpy.typing import NDArray

from identkit.balls import Step
from identkit.expression import symbol
from identkit.fit.structure import Structure, score_structure

if TYPE_CHECKING:
    from identkit.fit.model import Model

Array = NDArray[np.float64]
Form = dict[Any, Any]
"""A linear form: SymPy symbol -> rational number."""
MOVE = sp.Symbol("origin'", real=True)
"""The grammar cannot write it, so no parameter is called so."""
_SIGNS = (Step, sp.sign)
"""Functions that see the sign of their argument alone."""


@dataclass(frozen=True)
class Entry:
    """The number ``row`` of a unit gains ``factor(m)`` times the number ``column``, None for 1."""

    row: int
    column: int | None
    factor: Any

    def at(self, move: float) -> float:
        """The factor for a move of the origin by ``move``."""
        return float(self.factor.subs(MOVE, move))


class Closure:
    """The changes that one model is closed under. Numbers are those of a unit, in its order."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.inputs: list[Any] = [symbol(name) for name in model.expert.inputs]
        self.expert: Any = model.expert.expression
        layout, level = model.layout, model.gate.level
        blocks = (*layout.of_atoms, *layout.of_groups, *layout.of_all)
        values = {
            b.name: tuple(
                symbol(model.parameters[i])
                if b.axis == "q"
                else sp.Symbol(f"{b.name}[{i}]", real=True, positive=above or None)
                for i, above in enumerate(layout.positive(b))
            )
            for b in blocks
        }
        gate = [b for b in layout.of_gate if not b.per_group]
        self.scores: list[Any] = [model.gate.score_of(self.inputs, values)]
        self._score_numbers = [[v for b in gate for v in values[b.name]]]
        if level is not None:
            self.scores.append(level.score(self.inputs, values))
            self._score_numbers.append([v for b in level.blocks for v in values[b.name]])
        self.numbers: list[Any] = [v for b in blocks for v in values[b.name]]
        # 0 for a number of an atom, 1 of a group, 2 of all
        self.levels = [
            0 if b.per_atom else 1 if b.per_group else 2
            for b in blocks
            for _ in range(layout.size(b))
        ]
        self.index = {v: i for i, v in enumerate(self.numbers)}

    # -- units ----------------------------------------------------------------------------------

    @cached_property
    def _free_units(self) -> tuple[Array, NDArray[np.intp]]:
        """A basis of the logarithms of factors that go together, and the free ones of x and y.

        The basis has a row for each number, each input and y, a column for each free one.
        """
        target = sp.Symbol("identkit_target")
        names = [*self.numbers, *self.inputs, target]
        rows: list[Form] = []
        _equal(rows, _units(self.expert, rows, None), {target: sp.Integer(1)})
        for score in self.scores:
            terms = list(sp.Add.make_args(score))
            if self.model.exponential:  # a common constant changes no weight
                for term in [t for t in terms if _is_log(t)]:
                    log: Any = next(a for a in sp.Mul.make_args(term) if a.func is sp.log)
                    _units(log.args[0], rows, None)
                    terms.remove(term)
            for term in terms:
                _equal(rows, _units(term, rows, None), {})
        count = len(self.numbers)
        basis, free = _null_space(rows, names)
        of_data = free >= count
        return basis[:, of_data], free[of_data] - count

    @cached_property
    def exponents(self) -> Array:
        """Powers of the units of the inputs and y in those of the expert's parameters, (q, d + 1).

        Where it is needed to balance units, a number written in the expression has one, as the 12
        of cos(2πx/12). Without an answer it is 0. For the size of random starts, nothing else.
        """
        target = sp.Symbol("identkit_target")
        own = [symbol(p) for p in self.model.parameters]
        rows: list[Form] = []
        constants: list[Any] = []
        _equal(rows, _units(self.expert, rows, constants), {target: sp.Integer(1)})
        data = [*self.inputs, target]
        basis, _ = _null_space(rows, [*own, *constants, *data])
        q, c = len(own), len(constants)
        weight = np.r_[np.full(q, 1.0), np.full(c, 1e3), np.full(len(data), 1e6)]
        goal = np.zeros((len(weight), len(data)))
        goal[q + c :] = 1e6 * np.eye(len(data))
        found = basis @ np.linalg.lstsq(weight[:, None] * basis, goal, rcond=None)[0]
        met = np.abs(np.diag(found[q + c :]) - 1.0) < 0.01
        return np.where(met, np.round(found[:q], 2), 0.0)

    def factors(self, wanted: Array) -> tuple[Array, Array]:
        """Factors of the numbers, and of the inputs and y, the latter as near ``wanted`` as is
        possible: (unit,) and (d + 1,), all above 0; ``wanted`` (d + 1,) are factors too."""
        basis, free = self._free_units
        goal = np.log(wanted)
        moving = basis[len(self.numbers) :]
        if len(free) == len(goal):
            chosen = goal[free]
        else:
            chosen = np.linalg.lstsq(moving, goal, rcond=None)[0] if len(free) else np.zeros(0)
        logs = basis @ chosen
        return np.exp(logs[: len(self.numbers)]), np.exp(logs[len(self.numbers) :])

    @cached_property
    def scaled(self) -> NDArray[np.bool_]:
        """Which inputs, and y (the last), can change their unit at all: (d + 1,)."""
        basis, _ = self._free_units
        return np.asarray(basis[len(self.numbers) :].any(axis=1))

    # -- origins --------------------------------------------------------------------------------

    @cached_property
    def moves(self) -> tuple[tuple[Entry, ...] | None, ...]:
        """For each input how the numbers follow a move of its origin by m, None if they cannot."""
        found = []
        for s in range(len(self.inputs)):
            parts = [self._moved(self.expert, s, list(map(symbol, self.model.parameters)))]
            for score, numbers in zip(self.scores, self._score_numbers, strict=True):
                parts.append(self._moved(score, s, numbers))
            entries = [e for part in parts if part is not None for e in part]
            found.append(None if any(part is None for part in parts) else tuple(entries))
        return tuple(found)

    @cached_property
    def level(self) -> tuple[int, float] | None:
        """The number of the expert that adds to h, and its factor; None if there is none.

        Where weights sum to 1 the origin of y moves with it.
        """
        for p in self.model.parameters:
            slope = sp.diff(self.expert, symbol(p))
            if slope.is_number and slope.is_finite and slope != 0:
                return self.index[symbol(p)], float(slope)
        return None

    def _moved(self, expression: Any, s: int, own: Sequence[Any]) -> tuple[Entry, ...] | None:
        """The entries for one expression in ``own``, verified; None if no candidate is right."""
        x, levels = self.inputs[s], self.levels
        if not expression.has(x):
            return ()
        for rule in (self._polynomial, self._sums):
            entries = rule(expression, s, own)
            if entries is None or not self._follows(expression, x, entries):
                continue
            # what atoms share cannot gain what each has its own of
            if all(e.column is None or levels[e.row] <= levels[e.column] for e in entries):
                return entries
        return None

    def _follows(self, expression: Any, x: Any, entries: Sequence[Entry]) -> bool:
        """Whether the expression at x with the moved numbers is that at x − m with the old."""
        gains: dict[Any, Any] = {}
        for e in entries:
            column = sp.Integer(1) if e.column is None else self.numbers[e.column]
            row = self.numbers[e.row]
            gains[row] = gains.get(row, row) + e.factor * column
        left = expression.xreplace({x: x + MOVE}).xreplace(gains)
        return left == expression or sp.expand(left - expression) == 0

    def _polynomial(self, expression: Any, s: int, _: Sequence[Any]) -> tuple[Entry, ...] | None:
        """A polynomial in the inputs whose coefficients are numbers, times constants.

        A coefficient that is a constant is allowed, as in x² + b·x + c.
        """
        if not expression.is_polynomial(*self.inputs):
            return None
        coefficients: dict[tuple[int, ...], tuple[int | None, Any]] = {}
        for powers, coefficient in sp.Poly(expression, *self.inputs).terms():
            if coefficient.is_number:
                coefficients[powers] = (None, coefficient)
                continue
            constant, rest = coefficient.as_coeff_Mul()
            if rest not in self.index or self.index[rest] in [n for n, _ in coefficients.values()]:
                return None
            coefficients[powers] = (self.index[rest], constant)
        entries = []
        for powers, (number, constant) in coefficients.items():
            for lower in range(powers[s]):
                at = (*powers[:s], lower, *powers[s + 1 :])
                row, own = coefficients.get(at, (None, 1))
                if row is None:
                    return None
                gain = sp.binomial(powers[s], lower) * (-MOVE) ** (powers[s] - lower)
                entries.append(Entry(row, number, gain * constant / own))
        return tuple(entries)

    def _sums(self, expression: Any, s: int, own: Sequence[Any]) -> tuple[Entry, ...] | None:
        """Pre-activations with a constant, and differences x_s − p."""
        x, entries = self.inputs[s], []
        for p in _locations(expression, x):
            if p in self.index:
                entries.append(Entry(self.index[p], None, MOVE))
        read = self._read(expression, own)
        at = [self.index[v] for v in own]
        for number, slot, feature, scale in zip(
            at, read.slot_of, read.feature_of, read.scale_of, strict=True
        ):
            if feature != s:
                continue
            level = self._beside(at, read, slot)
            if level is None:
                return None
            ratio = sp.nsimplify(scale / read.scale_of[level], rational=True)
            entries.append(Entry(at[level], number, -ratio * MOVE))
        return tuple(entries)

    def _read(self, expression: Any, own: Sequence[Any]) -> Structure:
        """The pre-activations of an expression."""
        if expression is self.expert:
            return self.model.structure
        return score_structure(expression, self.inputs, list(own))

    def _beside(self, own: Sequence[int], read: Structure, slot: int) -> int | None:
        """The constant in a slot, or alone in another one in which φ has the same slope."""
        constant = len(self.inputs)
        slope = None
        for v, (other, feature) in enumerate(zip(read.slot_of, read.feature_of, strict=True)):
            if feature != constant:
                continue
            if other == slot:
                return v
            slope = sp.diff(read.phi, read.slots[slot]) if slope is None else slope
            if sp.diff(read.phi, read.slots[other]) == slope:
                return v
        return None


def _null_space(rows: list[Form], names: list[Any]) -> tuple[Array, NDArray[np.intp]]:
    """A basis (names, free) of the solutions of the equations, exact, and which names are free."""
    size = len(names)
    entries = [_fraction(row.get(v, 0)) for row in rows or [{}] for v in names]
    reduced, rank = fmpq_mat(max(1, len(rows)), size, entries).rref()
    pivots = [next(j for j in range(size) if reduced[i, j] != 0) for i in range(rank)]
    free = [j for j in range(size) if j not in pivots]
    basis = np.zeros((size, len(free)))
    for column, j in enumerate(free):
        basis[j, column] = 1.0
        for i, pivot in enumerate(pivots):
            basis[pivot, column] = -int(reduced[i, j].p) / int(reduced[i, j].q)
    return basis, np.array(free, dtype=np.intp)


def _is_log(node: Any) -> bool:
    """Whether it is a logarithm times a number."""
    parts = sp.Mul.make_args(node)
    logs = [a for a in parts if isinstance(a, sp.log)]
    return len(logs) == 1 and all(a.is_number for a in parts if a not in logs)


def _equal(rows: list[Form], left: Form, right: Form) -> None:
    row = {v: left.get(v, 0) - right.get(v, 0) for v in {*left, *right}}
    row = {v: c for v, c in row.items() if c != 0}
    if row:
        rows.append(row)


def _units(node: Any, rows: list[Form], constants: list[Any] | None) -> Form:
    """The logarithm of the factor of an expression; what must hold is added to ``rows``.

    Numbers have no unit, or, where there is a list of ``constants``, one of their own each.
    """
    if node.is_number:
        if constants is None:
            return {}
        constants.append(sp.Dummy())
        return {constants[-1]: sp.Integer(1)}
    if node.is_Symbol:
        return {node: sp.Integer(1)}
    if node.is_Mul:
        total: Form = {}
        for part in node.args:
            for v, c in _units(part, rows, constants).items():
                total[v] = total.get(v, 0) + c
        return total
    if node.is_Add:
        first, *others = (_units(part, rows, constants) for part in node.args)
        for other in others:
            _equal(rows, other, first)
        return first
    if node.is_Pow:
        base, power = node.args
        of = _units(base, rows, constants)
        if power.is_Rational:
            return {v: c * power for v, c in of.items()}
        _equal(rows, of, {})
        _equal(rows, _units(power, rows, constants), {})
        return {}
    name = type(node).__name__
    of = [_units(part, rows, constants) for part in node.args]
    if isinstance(node, _SIGNS):
        return {}
    if isinstance(node, sp.Abs):
        return of[0]
    if name in ("Root", "InverseRoot"):
        half = sp.Rational(1, 2) if name == "Root" else -sp.Rational(1, 2)
        return {v: c * half for v, c in of[0].items()}
    for form in of:  # any other function takes numbers without a unit
        _equal(rows, form, {})
    return {}


def _locations(expression: Any, x: Any) -> list[Any]:
    """Symbols p that stand in sums as x − p or p − x."""
    found: list[Any] = []
    for node in expression.atoms(sp.Add):
        own = [t for t in node.args if t in (x, -x)]
        if len(own) == 1:
            sign = 1 if own[0] == x else -1
            found += [-sign * t for t in node.args if (-sign * t).is_Symbol and t != own[0]]
    return list(dict.fromkeys(p for p in found if p != x))


def _fraction(value: Any) -> fmpq:
    rational: Any = sp.Rational(value)
    return fmpq(int(rational.p), int(rational.q))
