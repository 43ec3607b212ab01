"""Exact measures of an architecture, and the proof that two of them have the same f or p.

f is Σ w_i(x) h(x, η_i). Under the Gaussian likelihood p(y|x) = Σ_c w_c(x) N(y | h_c(x), ν_c), half
of it from the shared atoms where there are any. N is left as it is: two measures have the same p as
soon as, for every pair (h, ν), the weights of the atoms with that pair add up to the same function
of x, whatever N. Each of these is an identity of functions of x alone, decided in normal form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from identkit.architecture.records import ExactAtom, ExactMeasure
from identkit.atoms import AtomFunction
from identkit.deadline import Deadline
from identkit.errors import InputError
from identkit.experts import Expert, symbols
from identkit.expression import enclosure, parse, put, symbol
from identkit.gates import Gate
from identkit.layout import OFFSET, SLOPE
from identkit.likelihoods import resolve
from identkit.relations import proved_zero
from identkit.vocabulary import Through, Variance

OMEGA = "omega"
"""The block of a shared atom's weight."""


@dataclass(frozen=True)
class Setting:
    """What is estimated: routed experts under a gate, and shared ones beside them or None."""

    expert: Expert
    gate: Gate
    deadline: Deadline
    shared: Expert | None = None

    @property
    def beside(self) -> Expert:
        """The expert of atoms whose weights are free of x: the shared one, or the only one."""
        return self.expert if self.shared is None else self.shared

    @property
    def dim(self) -> int:
        return self.expert.dim

    @cached_property
    def density(self) -> bool:
        """Whether a density is estimated, not f."""
        return resolve(self.gate.likelihood).through is not Through.VALUE

    @cached_property
    def own_variance(self) -> bool:
        """Whether each atom has a variance of its own."""
        return resolve(self.gate.likelihood).variance is Variance.FREE

    @property
    def letter(self) -> str:
        return resolve(self.gate.likelihood).letter

    def is_zero(self, expression: Any, parameters: Iterable[str] = ()) -> bool:
        """Proved: an expression in x, and these parameters, is 0."""
        expert = self.expert
        names = tuple(parameters)
        atom = AtomFunction("f", expression, expert.inputs, names, expert.markers)
        return proved_zero(expression, atom, self.deadline)

    def is_identity(self, gap: Any) -> bool:
        """Proved: an expression in x and whatever symbols it has is 0, x being one of them."""
        names = tuple(sorted(str(s) for s in gap.free_symbols))
        return proved_zero(gap, AtomFunction("f", gap, (), names), self.deadline)

    # -- gates --------------------------------------------------------------------------------

    @cached_property
    def numbers(self) -> tuple[tuple[str, str], ...]:
        """(name, block) for each number of an atom's gate: beta1, or beta1_0, beta1_1, …"""
        named = []
        for block in self.gate.blocks:
            several = block.axis == "d" and self.dim > 1
            ends = [f"_{i}" for i in range(self.dim)] if several else [""]
            named += [(block.name + end, block.name) for end in ends]
        return tuple(named)

    def weight(self, values: Mapping[str, Any]) -> Any:
        """The unnormalised weight as a function of x, from the numbers of the gate by name."""
        return self.gate.weight(self.score(values))

    def score(self, values: Mapping[str, Any]) -> Any:
        """β1ᵀx + β0, without what the gate does not have."""
        slopes = [values[name] for name, block in self.numbers if block == SLOPE.name]
        score = values.get(OFFSET.name, sp.Integer(0))
        for slope, x in zip(slopes, symbols(self.expert.inputs), strict=False):
            score = score + slope * x
        return score

    @cached_property
    def generic_gates(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The gates of two atoms, all numbers free."""
        first = {name: symbol(f"{name}_i") for name, _ in self.numbers}
        return first, {name: symbol(f"{name}_j") for name, _ in self.numbers}

    @cached_property
    def only_shared(self) -> bool:
        """Whether there are shared experts alone: one half, whose gate sees no x."""
        return self.shared is None and self._sees_no_x

    @property
    def plain(self) -> bool:
        """Whether an atom's weight is that of β1ᵀx + β0, which measures in numbers are made of."""
        own = {block for _, block in self.numbers}
        return self._over_all and own <= {OFFSET.name, SLOPE.name}

    @property
    def _over_all(self) -> bool:
        """Whether no router has parameters of its own, and all atoms are weighed together."""
        return self.gate.router is None and not self.gate.structure

    @property
    def _sees_no_x(self) -> bool:
        return all(block == OFFSET.name for _, block in self.numbers)

    @cached_property
    def constant(self) -> str | None:
        """When the weights of the routed atoms are constants, as a clause; None: never seen.

        Proved: the ratio of two weights does not depend on x.
        """
        together = self.gate.together
        if not self.gate.divides or together is None:
            return None
        return ", and ".join(filter(None, (together, self._constant)))

    @property
    def _constant(self) -> str:
        if self._sees_no_x:
            return ""
        if self.gate.weight(symbol("s")) == sp.exp(symbol("s")):
            # exp(π + β0) in a ratio is exp of a difference of β0, whatever π sees of x
            own = [b.label for b in self.gate.blocks if b.per_atom and b != OFFSET]
            return f"all routed {' and '.join(own)} are equal, or one atom is routed"
        return (
            "all routed β1 are equal, or one atom is routed"
            if self.equal_slopes
            else "all routed β1 are 0, or all routed gates are equal, or one atom is routed"
        )

    @cached_property
    def equal_slopes(self) -> bool:
        """Whether weights with equal slopes are in a ratio free of x."""
        first, other = self.generic_gates
        same = {n: first[n] for n, block in self.numbers if block == SLOPE.name}
        left, right = self.weight(first), self.weight({**other, **same})
        return all(
            self.is_identity(sp.diff(left, x) * right - left * sp.diff(right, x))
            for x in symbols(self.expert.inputs)
        )

    @cached_property
    def _inverse(self) -> Any:
        """β0 of the weight w at β1 = 0; None if it is not known how to find it."""
        w = symbol("w")
        candidates = (sp.log(w), sp.log(w / (1 - w)))
        return next((e for e in candidates if self.is_identity(self.gate.weight(e) - w)), None)

    def offset(self, weight: Any) -> Any:
        """β0 of an atom with this weight at β1 = 0, or None."""
        if self._inverse is None:
            return None
        found = self._inverse.subs(symbol("w"), weight)
        return None if found.has(sp.zoo, sp.nan, sp.I, sp.oo) else found

    @cached_property
    def scales(self) -> bool:
        """Whether log c more in β0 multiplies the weight by c whatever the score, and f divides."""
        s, c = symbol("s"), symbol("c")
        change = self.gate.weight(s + sp.log(c)) - c * self.gate.weight(s)
        return self.gate.divides and self.is_identity(change)

    # -- f and p ------------------------------------------------------------------------------

    def parts(self, measure: ExactMeasure) -> list[tuple[Any, Any, str | None]]:
        """(weight, h, ν) of each atom, functions of x."""
        routed = [self.weight(self.gate_numbers(atom)) for atom in measure.routed]
        total = sp.Add(*routed) if self.gate.divides else sp.Integer(1)
        half = sp.Rational(1, 2) if measure.shared and measure.routed else sp.Integer(1)
        found = [
            (half * w / total, _at(self.expert, atom), atom.variance)
            for w, atom in zip(routed, measure.routed, strict=True)
        ]
        for atom in measure.shared:
            (omega,) = dict(atom.weight)[OMEGA]
            found.append((half * parse(omega), _at(self.beside, atom), atom.variance))
        return found

    def gate_numbers(self, atom: ExactAtom) -> dict[str, Any]:
        """The numbers of a routed atom's gate by name."""
        texts = [text for block in self.gate.blocks for text in dict(atom.weight)[block.name]]
        return {name: parse(t) for (name, _), t in zip(self.numbers, texts, strict=True)}

    def is_measure(self, measure: ExactMeasure) -> bool:
        """Whether variances and shared weights are positive, and the latter add up to 1."""
        variances = [a.variance for a in (*measure.routed, *measure.shared) if a.variance]
        omegas = [dict(a.weight)[OMEGA][0] for a in measure.shared]
        if not all(_positive(parse(t)) for t in (*variances, *omegas)):
            return False
        whole: Any = sp.Add(*map(parse, omegas))
        return not omegas or self.is_identity(whole - 1)

    def same(self, one: ExactMeasure, other: ExactMeasure) -> bool:
        """Proved: both are measures, and have the same f or p at every x."""
        return self.is_measure(one) and self.is_measure(other) and self.same_function(one, other)

    def same_function(self, one: ExactMeasure, other: ExactMeasure) -> bool:
        """Proved: the same f or p at every x, whether weights and variances are positive or not.

        Their numbers may hold symbols: then it is proved for every value of these.
        """
        gaps: dict[tuple[Any, str | None], Any] = {}
        for sign, measure in ((1, one), (-1, other)):
            for weight, h, variance in self.parts(measure):
                gaps[h, variance] = gaps.get((h, variance), sp.Integer(0)) + sign * weight
        # what is written alike is alike; only what is left over is compared as functions of x
        left = {key: gap for key, gap in gaps.items() if not self.is_identity(gap)}
        if not left:
            return True
        if not self.density:
            return self.is_zero(sp.Add(*(gap * h for (h, _), gap in left.items())))
        kinds: list[tuple[Any, str | None, list[Any]]] = []
        for (h, variance), gap in left.items():
            home = next((g for k, v, g in kinds if v == variance and self.is_zero(k - h)), None)
            if home is None:
                kinds.append((h, variance, [gap]))
            else:
                home.append(gap)
        return all(self.is_identity(sp.Add(*each)) for _, _, each in kinds)


def _at(expert: Expert, atom: ExactAtom) -> Any:
    """h as a function of x at the atom's η."""
    return put(expert.expression, {symbol(p): parse(t) for p, t in atom.eta})


def _positive(value: Any) -> bool:
    size = enclosure(value)
    return size is not None and bool(size > 0)


def routed_atom(
    setting: Setting, gate: Mapping[str, Any], eta: Mapping[str, Any], variance: Any = None
) -> ExactAtom:
    """An atom of the gate's numbers by name, and of η by name."""
    weight = tuple(
        (block.name, tuple(written(gate[n]) for n, own in setting.numbers if own == block.name))
        for block in setting.gate.blocks
    )
    return ExactAtom(weight, _texts(setting.expert, eta), _text(variance))


def shared_atom(setting: Setting, omega: Any, eta: Mapping[str, Any], variance: Any) -> ExactAtom:
    """A shared atom of weight ω."""
    return ExactAtom(((OMEGA, (written(omega),)),), _texts(setting.beside, eta), _text(variance))


def _texts(expert: Expert, eta: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((p, written(eta[p])) for p in expert.parameters)


def _text(value: Any) -> str | None:
    return None if value is None else written(value)


def written(value: Any) -> str:
    """A number in identkit's grammar, which has no name for e."""
    return re.sub(r"\bE\b", "exp(1)", str(value))


def in_decimals(measure: ExactMeasure) -> ExactMeasure:
    """The same in decimals of double precision, for programs that take no formulas.

    Raises :class:`~identkit.errors.InputError` for a number that holds a symbol.
    """

    def decimal(text: str) -> str:
        size = enclosure(parse(text))
        if size is None:
            raise InputError(f"measure: {text} is no number; give its symbols values.")
        return repr(float(size))

    def atom(own: ExactAtom) -> ExactAtom:
        return ExactAtom(
            tuple((block, tuple(map(decimal, texts))) for block, texts in own.weight),
            tuple((p, decimal(text)) for p, text in own.eta),
            None if own.variance is None else decimal(own.variance),
        )

    return ExactMeasure(tuple(map(atom, measure.routed)), tuple(map(atom, measure.shared)))


def distinct(atoms: Sequence[ExactAtom]) -> list[ExactAtom]:
    """The atoms in one order, to compare measures without their labels."""
    return sorted(atoms, key=repr)


def differ(one: ExactMeasure, other: ExactMeasure) -> bool:
    """Whether two measures are not the same up to the order of the atoms."""
    return (distinct(one.routed), distinct(one.shared)) != (
        distinct(other.routed),
        distinct(other.shared),
    )
